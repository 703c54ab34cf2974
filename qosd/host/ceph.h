/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ceph - what the daemon knows of RBD images and Ceph's daemons on this host.
 *
 * Looks are jobs of one thread of their own ("qosd-ceph"): files and sockets take milliseconds, a
 * cluster that is away takes its time limit once and is then left alone for a while. The loop only
 * takes finished looks. Built without librbd (configure --without-ceph) all of it works but the
 * questions to the cluster: what image, pool and monitors say stays unknown, and is called that.
 */
#ifndef QOSD_HOST_CEPH_H
#define QOSD_HOST_CEPH_H

#include "qosd/core/guest.h"
#include "qosd/core/rbd_lint.h"
#include "qosd/host/ceph_qos.h" /* the other face of this adapter: limits */

struct ceph_config {      /* texts are copied */
	const char *conf; /* of the cluster that is asked; NULL: /etc/ceph/ceph.conf */
	const char *user; /* without "client."; NULL: no cluster is asked */
	uint64_t timeout_us;
};

struct ceph_image {               /* what was found of one RBD disk */
	struct guest_rbd rbd;     /* the disk */
	uint64_t at_us;           /* CLOCK_MONOTONIC */
	struct rbd_layers layers; /* of today; QEMU's and the default are in it, too */
	struct rbd_layers open;   /* as the running client read them: file and monitors */
	bool open_known;
	enum rbd_file_state file;
	unsigned int file_line;
	char file_trouble[160];
	enum rbd_socket_state socket;
	char socket_path[108];
	bool object_cacher;
	char live[RBD_KEYS][RBD_TEXT_MAX]; /* set through the socket since the open; "" if not */
	uint64_t buffer_bytes;             /* held by all clients of the process; 0: unknown */
	enum rbd_cluster_state cluster;
	char cluster_trouble[200];
	bool cluster_full, cluster_strong;
	uint64_t size_bytes; /* of the image; 0: unknown */
	bool plugin_missing;
	char plugin[48];
};

struct ceph_look { /* of one guest; immutable */
	uint32_t guest_id;
	uint64_t at_us; /* CLOCK_MONOTONIC */
	struct rbd_process process;
	size_t count; /* of the guest's images, in their order */
	struct ceph_image images[];
};
void ceph_look_free(struct ceph_look *l); /* NULL is fine */
/* What was found of this image; NULL: nothing, or `l` is NULL. */
struct ceph_image *ceph_look_find(const struct ceph_look *l, const struct guest_rbd *rbd);
/*
 * What is in force: of each image that the latest look is of, what the first look at it found,
 * unless that could not see all of it. `before` is what was in force so far (NULL: nothing), and is
 * taken over; *ret_changed: other images, or other knowledge, than before. NULL when out of memory.
 */
struct ceph_look *ceph_look_in_force(struct ceph_look *before, const struct ceph_look *latest,
				     bool *ret_changed);

struct ceph;
/* Starts the thread. */
int ceph_new(struct ceph **ret, struct qerr *err);
void ceph_free(struct ceph *c, uint64_t timeout_us); /* NULL is fine */
int ceph_fd(const struct ceph *c); /* readable when something is there to be taken */
void ceph_collect(struct ceph *c); /* before taking: it is not readable any more */
bool ceph_built_in(void);          /* clusters can be asked */
/* From now on looks ask this cluster as this user. */
void ceph_configure(struct ceph *c, const struct ceph_config *config);
/* Look at all RBD disks of a guest, as it is now: one look of each waits at the most. -ENOMEM. */
int ceph_look_at(struct ceph *c, struct guest *g);
/* Look at Ceph's daemons on this host. */
void ceph_look_at_daemons(struct ceph *c);
/* A finished look (ceph_look_free() it), or NULL. */
struct ceph_look *ceph_take_look(struct ceph *c);
/* The latest daemons seen; false: not looked at yet. */
bool ceph_take_daemons(struct ceph *c, struct rbd_daemons *ret);

/* ---- writing for the next open ---- */
/*
 * The file that <config> of the domain names: the base file with a section of ours at its end. It
 * is made only where there is none, and changed only where we made it (its first line says so).
 * 0 or 1 when something was written; -EPERM: it is the operator's; others as of files.
 * `wanted` without keys: the base file alone, for a guest that must still start.
 * It does not wait for the disk (no fsync): an empty file, as a crash of the host may leave one, is
 * taken for ours and written anew at the guest's next start.
 */
int ceph_file_put(const char *path, const char *base, const char *entity,
		  const struct rbd_wanted *wanted, struct qerr *err);
/* Was it made by ceph_file_put()? */
bool ceph_file_ours(const char *path);

enum ceph_place { CEPH_FILE, CEPH_IMAGE };
struct ceph_put {
	enum ceph_place place;
	char guest[GUEST_NAME_MAX];
	struct guest_rbd rbd;
	char base[256]; /* CEPH_FILE: the file that is copied into rbd.conf */
	struct rbd_wanted wanted;
	bool back;  /* nothing is wanted any more: only what is ours is touched */
	bool quiet; /* for the daemon: tried again, a failure is no news */
};
/*
 * Write for the next open, done on the thread, before all looks that wait. 0, -EAGAIN, -ENOMEM.
 * CEPH_FILE: as ceph_file_put(). CEPH_IMAGE: overrides of the image, while no client has it open
 * and only if it certainly lies in the cluster that is asked. What was there before is kept in the
 * image's metadata (qosd_before_KEY) and comes back when `wanted` does not name the key any more.
 */
int ceph_put(struct ceph *c, const struct ceph_put *what);
/* The same at once, of CEPH_FILE. */
int ceph_put_file(const struct ceph_put *what, struct qerr *err);
/* Outcome of one such write, oldest first; false: none. */
struct ceph_written {
	struct ceph_put put;
	/* 0 or how much was written; -EBUSY: the image is open; -EXDEV: not in our cluster */
	int result;
	struct qerr err;
};
bool ceph_take_written(struct ceph *c, struct ceph_written *ret);

#endif
