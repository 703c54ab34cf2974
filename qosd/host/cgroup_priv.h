/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cgroup_priv - what the files of the cgroup adapter share. Nobody else includes this.
 *
 * The adapter keeps one node per guest incarnation and one per group above guests: their open
 * directories. Nodes belong to the daemon's loop. What virt's thread may call (cgroup_bind_guest)
 * uses only what never changes after cgroup_new(): `v1`, `roots`, `proc_fd`.
 */
#ifndef QOSD_HOST_CGROUP_PRIV_H
#define QOSD_HOST_CGROUP_PRIV_H

#include <stdio.h>

#include "qosd/host/cgroup.h"
#include "qosd/host/cgroup_fs.h"

#define CGROUP_PATH_MAX 1024 /* of a group below the mount; longer ones are refused */
#define CGROUP_UNIT_MAX 256  /* systemd's own limit */

enum cgroup_tree { CGROUP_CPU, CGROUP_MEMORY, CGROUP_TREES }; /* v2: the first stands for both */

struct cgroup_quota {
	uint64_t quota_us, period_us;
};

struct cgroup_throttled { /* of one group, as last read */
	uint64_t count;
	bool unlimited; /* no period was ever counted: it had no quota */
};

struct cgroup_vcpu {
	unsigned int index;
	struct cgroup_dir dir;
	/* As last read or written; somebody else may have changed it since. */
	struct cgroup_quota quota;
	uint64_t burst_us;
	bool quota_known, burst_known;
	struct cgroup_throttled throttled;
};

struct cgroup_thread {
	int tid;
	int fd; /* of its schedstat; -1: not open */
};

struct cgroup_node {
	struct cgroup_node *next; /* in its bucket */
	uint32_t guest_id;        /* key; 0: */
	char *path;               /* ... the path is */
	struct cgroup_dir top[CGROUP_TREES];
	struct cgroup_dir
		unit; /* guest: the group that holds its weight, when that is not its top */
	struct cgroup_throttled throttled; /* its top group's */
	struct cgroup_vcpu *vcpus;         /* ascending by index */
	size_t nvcpus;
	struct cgroup_thread *threads;
	size_t nthreads;
	int watch; /* guest: inotify's number for its top group; -1: none */
	/* path: the children as last summed (cgroup_effective.c) */
	uint64_t summed_at_us, children_min_bytes;
};

struct cgroup_watch {
	int wd;
	uint32_t guest_id;
};

#define CGROUP_BUCKETS 1024

struct cgroup_systemd;

struct cgroup_ctx {
	struct adapter adapter;
	struct cgroup_fs fs;
	bool v1;
	bool own_root;      /* config.root was given: no libcgroup, no systemd */
	bool booted;        /* systemd runs this host */
	bool recursive_min; /* mounted with memory_recursiveprot */
	char *roots[CGROUP_TREES];
	int root_fds[CGROUP_TREES];
	int proc_fd;
	struct worker *worker;    /* borrowed; may be NULL */
	struct worker *reclaimer; /* borrowed; may be NULL */
	struct cgroup_systemd *systemd;
	struct cgroup_node *buckets[CGROUP_BUCKETS];
	int watch_fd;                 /* -1: no inotify */
	int watch_error;              /* so inotify had no room for us, or for a guest */
	struct cgroup_watch *watches; /* ascending by wd */
	size_t nwatches, watches_capacity;
};

/* ---- cgroup_node.c ---- */
/*
 * The node of a guest or a path, opened when it is not known yet; borrowed until the next
 * call from outside.
 * A guest without a known group, or whose process is not the one that was bound: -ENOENT.
 */
int cgroup_node_guest(struct cgroup_ctx *ctx, const struct guest *g, struct cgroup_node **ret);
int cgroup_node_path(struct cgroup_ctx *ctx, const char *path, struct cgroup_node **ret);
/* Look again which vCPU groups there are. */
int cgroup_node_scan_vcpus(struct cgroup_ctx *ctx, struct cgroup_node *node);
void cgroup_node_drop_guest(struct cgroup_ctx *ctx, uint32_t guest_id);
void cgroup_node_drop_path(struct cgroup_ctx *ctx, const char *path);
void cgroup_node_drop_all(struct cgroup_ctx *ctx);
/* Keep within the budget: begin anew when it is used up. Called before nodes are borrowed. */
void cgroup_node_make_room(struct cgroup_ctx *ctx);
/* The group whose cpu.weight counts against other guests: the scope, or the guest's top group. */
int cgroup_weight_path(const struct guest *g, char *buf, size_t size);
/* Which of a node's directories holds the memory files. */
static inline enum cgroup_tree cgroup_memory_tree(const struct cgroup_ctx *ctx)
{
	return ctx->v1 ? CGROUP_MEMORY : CGROUP_CPU;
}

/* ---- cgroup_watch.c ---- */
void cgroup_watch_open(struct cgroup_ctx *ctx);
void cgroup_watch_close(struct cgroup_ctx *ctx); /* after all nodes are dropped */
void cgroup_watch_add(struct cgroup_ctx *ctx, struct cgroup_node *node);
void cgroup_watch_drop(struct cgroup_ctx *ctx, struct cgroup_node *node);

/* ---- cgroup_knob.c: one file each; cgroup_quota.c: spread over the vCPU groups ---- */
int cgroup_knob_read(struct cgroup_ctx *ctx, const struct target *t, enum knob_id knob,
		     struct knob_value *ret, struct qerr *err);
int cgroup_knob_apply(struct cgroup_ctx *ctx, const struct change *c, uint64_t ticket,
		      struct qerr *err);
int cgroup_quota_read(struct cgroup_ctx *ctx, const struct guest *g, struct knob_value *ret,
		      struct qerr *err);
int cgroup_quota_apply(struct cgroup_ctx *ctx, const struct guest *g,
		       const struct knob_value *value, struct qerr *err);
int cgroup_burst_read(struct cgroup_ctx *ctx, const struct guest *g, struct knob_value *ret,
		      struct qerr *err);
int cgroup_burst_apply(struct cgroup_ctx *ctx, const struct guest *g, uint64_t burst_us,
		       struct qerr *err);

/* ---- cgroup_lib.c: libcgroup ---- */
/* Mount point of a controller; caller frees. Must have been preceded by cgroup_lib_init(). */
int cgroup_lib_init(struct qerr *err);
int cgroup_lib_mount_point(const char *controller, char **ret);
/* 0 or negative errno; -ENODATA: refused for a reason that libcgroup does not tell. */
int cgroup_lib_write(const char *path, const char *controller, const char *file, const char *text);

/* ---- cgroup_proc.c ---- */
/* Is this still the process that was bound? 0, -ESRCH. A guest without a pid passes. */
int cgroup_proc_check(struct cgroup_ctx *ctx, const struct guest *g);

/* ---- cgroup_probe.c ---- */
void cgroup_probe(struct adapter *a, struct diag_list *findings);

/* ---- cgroup_effective.c ---- */
struct cgroup_protection { /* of one group, bytes */
	uint64_t min, usage;
	uint64_t parent_usage;
	uint64_t siblings_min; /* sum over all children of the parent, itself among them */
};
/* What is left of `parent_effective` for this group; see the file's head. */
uint64_t cgroup_effective_step(const struct cgroup_protection *p, uint64_t parent_effective,
			       bool recursive);

#endif
