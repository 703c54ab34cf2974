/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * govern - one tick of overload protection, whole and pure: samples in, levels and caps out.
 *
 *	sample, sample before -> pressures (signal) -> depths (governor) -> levels of classes
 *	-> caps of guests (throttle)
 *
 * The daemon, the simulation (t/sim) and `qosd --replay` all run this same function. It sees guests
 * as plain numbers (struct govern_guest), in order of id; the daemon makes them from the picture.
 * rank 0 never gives way; the classes of the highest rank present give way first; classes of one
 * rank together. Protected guests (whose pain is the pressure) are those of rank 0 and, when their
 * own resource is throttled below them on the ladder, nobody else: silver's pain counts only while
 * silver has a reservation of that resource.
 */
#ifndef QOSD_CORE_GOVERN_H
#define QOSD_CORE_GOVERN_H

#include "qosd/core/err.h"
#include "qosd/core/governor.h"
#include "qosd/core/policy.h"
#include "qosd/core/sample.h"
#include "qosd/core/throttle.h"

struct govern_guest {
	uint32_t id;
	const struct qclass *qclass; /* the class it is shown with (not the effective copy) */
	uint32_t rank;
	uint32_t vcpus;
	bool exempt;    /* held or released by the operator: never capped */
	bool no_freeze; /* it has RBD disks, or its class does not opt in */
	bool cpu_alone; /* on CPUs of its own: what it waits for is not what lower classes take */
	uint64_t cpu_floor_mcpu, cpu_full_mcpu, cpu_reserved_mcpu;
	uint64_t net_floor_bps, net_reserved_bps;
	uint64_t net_in_full_bps, net_out_full_bps; /* THROTTLE_NONE: its class sets no limit */
	uint64_t disk_floor_iops, disk_full_iops, disk_floor_bytes_ps, disk_full_bytes_ps;
	uint64_t memory_floor_bytes, memory_bytes;
};

#define GOVERN_CLASSES_MAX 64

/* What the operator said: it goes before the governor until it ends. */
struct govern_manual {
	char class_name[POLICY_NAME_MAX];
	uint32_t resource;
	uint32_t level_permille;
	uint64_t until_us; /* monotonic */
};

struct govern; /* state between ticks */

struct govern *govern_new(void); /* NULL when out of memory */
void govern_free(struct govern *g);

struct govern_input {
	const struct policy *policy;       /* overload laws, classes and ranks */
	const struct sample *now, *before; /* before: NULL at the first tick */
	const struct govern_guest *guests; /* sorted by id */
	size_t nguests;
	const struct govern_manual *manual;
	size_t nmanual;
	uint64_t cpu_pool_mcpu; /* CPUs that guests share */
	bool settling;          /* we have just begun: waits for CPUs may be our own doing */
};

struct govern_resource { /* what a tick found out about one resource */
	double pressure; /* < 0: not known */
	double depth;
	uint32_t state;       /* enum governor_state */
	uint32_t event;       /* enum governor_event of this tick */
	uint32_t victim;      /* id of the guest that suffers most; 0: the host, or nobody */
	uint32_t culprits[3]; /* ids of those whose use rose most since the calm; 0: none */
};

struct govern_class { /* in the order of policy->classes */
	uint16_t level[RESOURCE_COUNT];
	bool manual[RESOURCE_COUNT];
};

struct govern_output { /* borrowed: valid until the next tick */
	struct govern_resource resources[RESOURCE_COUNT];
	const struct govern_class *classes;
	size_t nclasses;
	const struct guest_caps *caps; /* one per input guest, same order */
	bool caps_changed;             /* since the tick before */
	bool fast;                     /* tick at overload.tick: something is pressed or moves */
};

/* One tick. 0 or -ENOMEM (then the caps of before stand). */
int govern_tick(struct govern *g, const struct govern_input *in, struct govern_output *ret);

/*
 * After a restart: depths of the daemon before (leases not yet lapsed). The classes stay where they
 * are and are released gently as if pressure had just ended.
 */
void govern_adopt(struct govern *g, const double depth[RESOURCE_COUNT], uint64_t now_us);
/* Everything is given back at once (release, mode observe). */
void govern_reset(struct govern *g);

#endif
