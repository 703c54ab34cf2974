/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * sensor - fills samples (core/sample.h): the fast path of overload protection.
 *
 * A reading asks the kernel alone: no fork, no other daemon, no lock that a network driver may hold
 * (RTNL), nothing allocated once the guests are known. What it reads, and why that way (cost on a
 * plain 2.x GHz core, t/bench/bench_sensor):
 *
 *	vCPU threads   one BPF iterator over all threads of the host (0.3 us each), which also tells
 *	               of throttling; or, where there are few vCPUs among many threads, or no BPF,
 *	               each thread's schedstat (0.7 us) and the cpu.stat of each group with a
 *	               quota (1.1 us; whether others have got one is asked once a second)
 *	host           /proc/pressure/{cpu,memory,io} and /proc/meminfo, kept open (2 and 6 us)
 *	NICs           /proc/net/dev: 1.3 us each. RTM_GETSTATS costs 0.3, but waits for RTNL
 *	groups         by a callback. Stalls (1.7 us each) only while the host has some: a group
 *cannot stall when the whole host does not. Memory, which is a gauge, once a second
 *
 * A wait counts when it ends (the kernel adds it to run_delay when the thread gets its CPU), so one
 * that is longer than the interval shows late, and then whole.
 *
 * Belongs to one thread. The event loop stays outside: a trigger is a descriptor to poll.
 */
#ifndef QOSD_HOST_SENSOR_H
#define QOSD_HOST_SENSOR_H

#include <stdbool.h>

#include "qosd/core/diag.h"
#include "qosd/core/err.h"
#include "qosd/core/guest.h"
#include "qosd/core/policy.h"
#include "qosd/core/sample.h"

struct sensor;

struct sensor_config {
	const char *proc; /* NULL: "/proc" */
	const char *sys;  /* NULL: "/sys" */
	/* Nothing is put into the kernel: no BPF program, no triggers (mode observe). */
	bool readonly;
	bool no_bpf; /* never, not even when readonly ends */
	/*
	 * What other adapters know. Each fills fields of a guest and leaves those that it cannot
	 * tell; never blocks. NULL: these fields stay unknown. -ENOENT is normal, all errors mean
	 * "not known".
	 */
	/* The guest's groups and threads, the parts asked for (enum sample_part): cgroup_sample().
	 */
	int (*groups)(void *ctx, const struct guest *g, unsigned int parts,
		      struct sample_guest *ret);
	void *groups_ctx;
	/* disk_ops, disk_bytes, disk_wait_ns: the latest that is known. */
	int (*disk)(void *ctx, const struct guest *g, struct sample_guest *ret);
	void *disk_ctx;
	/* in_dropped, out_dropped: all its NICs. */
	int (*drops)(void *ctx, const struct guest *g, struct sample_guest *ret);
	void *drops_ctx;
};

/* The strings are copied. A source that is missing is a finding, no error. 0, -ENOMEM. */
int sensor_new(const struct sensor_config *config, struct sensor **ret, struct qerr *err);
void sensor_free(struct sensor *s); /* NULL is fine; closes the triggers */
/* Enter enforce, or leave it: loads the program, or lets it and the triggers go. */
void sensor_set_readonly(struct sensor *s, bool readonly);
/* Which sources are used, and why not the better ones. As of the last reading. */
void sensor_probe(const struct sensor *s, struct diag_list *findings);

/*
 * One reading of all guests of the inventory (NULL: none) and the uplinks of the policy into *ret,
 * whose memory is used again. Keeps a reference on each guest until the next reading. 0, or
 * -ENOMEM: *ret is then of no use.
 */
int sensor_read(struct sensor *s, const struct inventory *inv, const struct policy *policy,
		struct sample *ret, struct qerr *err);

/*
 * Bytes that a guest's NIC has received and sent, as of the last reading. -ENOENT: it was not
 * there.
 */
int sensor_nic_bytes(const struct sensor *s, const char *device, uint64_t *ret_in,
		     uint64_t *ret_out);

/*
 * A descriptor that becomes EPOLLPRI (ask for that alone) when the host stalls for more of half a
 * second than the policy's target; at most twice a second. Made anew at each call: the one of the
 * call before is closed, so take it out of the loop first. The sensor keeps owning it. For the CPU
 * it tells of onset only: throttled guests count as stalled. -EROFS: readonly; -EOPNOTSUPP: there
 * is none for this resource; -EPERM and others: then the tick alone notices an onset.
 */
int sensor_trigger_fd(struct sensor *s, enum resource r, const struct overload *o,
		      struct qerr *err);

#endif
