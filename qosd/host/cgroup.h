/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cgroup - CPU and memory knobs of guests and of the groups above them, cgroup v2 and v1.
 *
 * libcgroup finds the mounts and does the slow writes where it is sound (facts: safe subset only);
 * reads and the fast path use file descriptors relative to the mount. Groups that systemd owns
 * (scopes, slices: cpu.weight, memory.min/low) are set through systemd's D-Bus on a worker thread,
 * so that daemon-reload does not undo them; groups below the delegated scope are written directly.
 */
#ifndef QOSD_HOST_CGROUP_H
#define QOSD_HOST_CGROUP_H

#include "qosd/core/adapter.h"
#include "qosd/host/worker.h"

struct cgroup_config {
	const char *root; /* NULL: find the mounts with libcgroup; else a tree (tests, bench) */
	struct worker *worker; /* for systemd's D-Bus; NULL: what systemd owns stays as it is */
	const char *proc;      /* NULL: "/proc" */
};

struct cgroup_usage {                       /* of one guest */
	uint64_t cpu_us;                    /* all threads */
	uint64_t vcpu_run_ns, vcpu_wait_ns; /* sums over vCPU threads, from schedstat */
	uint64_t memory_bytes, swap_bytes;
	uint64_t nr_throttled;
};

int cgroup_new(const struct cgroup_config *config, struct adapter **ret, struct qerr *err);
/* NULL is fine. Not cgroup_free(): libcgroup has a function of that name. */
void cgroup_adapter_free(struct adapter *a);
bool cgroup_is_v1(const struct adapter *a);
/*
 * virt_config.bind: cgroup paths, systemd flag, start time and vCPU thread ids of g->pid. Thread
 * safe. ctx: the adapter. -ESRCH: no such process; -ENOENT: it is in no group of its own.
 */
int cgroup_bind_guest(void *ctx, struct guest *g);
int cgroup_read_usage(struct adapter *a, const struct guest *g, struct cgroup_usage *ret);
/*
 * Effective memory protection of the guest: the smallest share that the whole chain above lets
 * through (own min, capped at each ancestor by its min distributed over its children). bytes.
 */
int cgroup_effective_min(struct adapter *a, const struct guest *g, uint64_t *ret_bytes);
/* MemAvailable and MemTotal from /proc/meminfo, bytes. */
int cgroup_read_meminfo(struct adapter *a, uint64_t *ret_total, uint64_t *ret_available);

#endif
