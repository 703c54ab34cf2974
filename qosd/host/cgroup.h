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
#include "qosd/core/sample.h"
#include "qosd/host/worker.h"

struct cgroup_config {
	const char *root; /* NULL: find the mounts with libcgroup; else a tree (tests, bench) */
	struct worker *worker; /* for systemd's D-Bus; NULL: what systemd owns stays as it is */
	/* For memory.reclaim, which blocks for long: no other job belongs there. NULL: none. */
	struct worker *reclaimer;
	const char *proc; /* NULL: "/proc" */
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
/*
 * Readable when groups of vCPUs came or went; -1: nobody tells. cgroup_changes_collect() takes what
 * there is and calls `changed` for each guest (by id; the same one perhaps more than once).
 */
int cgroup_changes_fd(const struct adapter *a);
void cgroup_changes_collect(struct adapter *a, void (*changed)(void *user, uint32_t guest_id),
			    void *user);
/*
 * For struct sensor_config: what the guest's groups tell, the parts asked for (enum sample_part),
 * into *ret. What this kernel cannot tell stays as it is. One pread() a value once it is known.
 * ctx: the adapter. 0, -ENOENT: the guest has gone.
 */
int cgroup_sample(void *ctx, const struct guest *g, unsigned int parts, struct sample_guest *ret);
int cgroup_read_usage(struct adapter *a, const struct guest *g, struct cgroup_usage *ret);
/*
 * Effective memory protection of the guest: the smallest share that the whole chain above lets
 * through (own min, capped at each ancestor by its min distributed over its children). bytes.
 */
int cgroup_effective_min(struct adapter *a, const struct guest *g, uint64_t *ret_bytes);
/*
 * One step of reclaim towards `down_to_bytes` of memory (its group's memory.current), but never
 * below its memory.min: at most CGROUP_RECLAIM_STEP, in small writes that end when it is near.
 * -EINPROGRESS: the reclaimer runs it, `ticket` completes with 0, or -EAGAIN: not all of the step
 * could be reclaimed (protected, or no swap: normal, told in the sentence). 0: it is there already,
 * nothing runs. -EOPNOTSUPP cgroup v1, a kernel before 5.19, or no reclaimer; -EBUSY the reclaimer
 * has enough to do; -ENOENT / -ESRCH the guest has gone.
 */
#define CGROUP_RECLAIM_STEP (UINT64_C(64) << 20)
int cgroup_reclaim(struct adapter *a, const struct guest *g, uint64_t down_to_bytes,
		   uint64_t ticket, struct qerr *err);
/* MemAvailable and MemTotal from /proc/meminfo, bytes. */
int cgroup_read_meminfo(struct adapter *a, uint64_t *ret_total, uint64_t *ret_available);

#endif
