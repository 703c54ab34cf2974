/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * plan - the sorted array of (target, knob, value, reason) that should hold now.
 *
 * A plan is a value: it can be compared, printed, explained and applied. Reasons are kept as codes
 * with operands and made into sentences only when a person asks. A plan borrows guests and class
 * names: it must not outlive the inventory and the policy it was made from (cgroup paths and its
 * own strings are in its arena).
 *
 * A plan is complete: a guest that is managed has an entry for each of its knobs, with the kernel's
 * default where its class says nothing, so that what is taken out of the configuration is given
 * back. Knobs that pass (knob_passes()) have entries only while something is wanted of them; see
 * baseline_plan_orphans(). memory.min and memory.low: exact values on the guest's group and its
 * scope, the exact SUM on every slice above (a larger one would protect guests that own nothing).
 */
#ifndef QOSD_CORE_PLAN_H
#define QOSD_CORE_PLAN_H

#include "qosd/core/classify.h"
#include "qosd/core/cpuset_store.h"
#include "qosd/core/diskshare.h"
#include "qosd/core/guest.h"
#include "qosd/core/host.h"
#include "qosd/core/knob.h"
#include "qosd/core/ledger.h"
#include "qosd/core/netshare.h"
#include "qosd/core/placement.h"
#include "qosd/core/policy.h"
#include "qosd/core/throttle.h"

enum reason_kind {                     /* S the class; operands a, b, c, d */
		   WHY_CLASS_WEIGHT,   /* a weight */
		   WHY_WEIGHT_RAISED,  /* a class weight, b raised to, c reservation in mcpu */
		   WHY_WEIGHT_LOWERED, /* a class weight, b lowered to, for the reservations of
					  others */
		   WHY_CPU_LIMIT,      /* a limit in permille, b vCPUs */
		   WHY_NO_LIMIT,       /* the class sets none */
		   WHY_BURST,          /* a burst of each vCPU in us */
		   WHY_NO_BURST,
		   WHY_DEDICATED, /* a CPU */
		   WHY_SHARED_POOL,
		   WHY_DEDICATED_SHORT, /* asks for dedicated CPUs and got none: shared pool */
		   WHY_EMULATOR,        /* a enum reason_emulator */
		   WHY_MEMORY_RESERVED, /* a permille of the RAM (0: absolute), b RAM or bytes, c
					 * overhead, d RBD caches */
		   WHY_MEMORY_NOT_ADMITTED, /* a bytes asked */
		   WHY_MEMORY_LOW, /* a permille of the RAM (0: absolute), b RAM or bytes */
		   WHY_NO_RESERVATION,
		   WHY_ANCESTOR_MIN,  /* a guests below that reserve something */
		   WHY_ANCESTOR_LOW,  /* the same for memory.low */
		   WHY_SWAP,          /* a: 1 allowed, 0 none */
		   WHY_NET_LIMIT,     /* a bit/s, b: 1 towards the guest, 0 from it; c what the
				       * card can keep of it, 0: all */
		   WHY_NET_LINE,      /* a what the uplink of `network` carries, bit/s */
		   WHY_NET_SHARED,    /* a bit/s of b, c reservation, d weight; `network` */
		   WHY_NET_BURST,     /* a us */
		   WHY_CPU_IDLE,      /* its class runs on what others leave */
		   WHY_DISK_LIMIT,    /* a value, b enum knob_id */
		   WHY_DISK_BURST,    /* a value, b enum knob_id */
		   WHY_NO_DISK_LIMIT, /* b enum knob_id: another one limits its unit */
		   WHY_DISK_SHARED, /* a value, b enum knob_id, c of the host's storage, d weight */
		   /* overload; d level in permille: */
		   WHY_CPU_THROTTLED,    /* a cap in mcpu */
		   WHY_BURST_THROTTLED,  /* none while throttled */
		   WHY_WEIGHT_THROTTLED, /* a weight of before, b lowered to */
		   WHY_NET_THROTTLED,    /* a bit/s, b: 1 towards the guest, 0 from it */
		   WHY_DISK_THROTTLED,   /* a value, b enum knob_id */
		   WHY_BALLOON,          /* a bytes */
		   WHY_FREEZE,
		   WHY_BASELINE, /* released: as before qosd */
		   WHY_HOLD,     /* the operator holds this guest: left as it is */
		   WHY_COUNT
};

enum reason_emulator { EMULATOR_HOUSEKEEPING, EMULATOR_CLASS, EMULATOR_SHARED };

struct reason {
	uint8_t kind;        /* enum reason_kind */
	bool overridden;     /* the guest's own overrides are in the class */
	const char *subject; /* class name; borrowed; may be NULL */
	const char *network; /* its name, where the kind says so; borrowed */
	uint64_t a, b, c, d;
};
#define REASON_TEXT_MAX 256
/* "class gold: cpu.weight 400". Returns buf. */
char *reason_format(const struct reason *r, char *buf, size_t size);

struct plan_entry {
	struct target target;
	enum knob_id knob;
	struct knob_value want;
	struct reason why;
};

struct plan {
	struct plan_entry *entries; /* sorted by target_compare, then knob */
	size_t count, capacity;
	struct arena *arena;
	struct cpuset_store cpusets; /* of the values */
};

/*
 * What a plan says about a guest. Reservations of managed and held guests count in the sums above
 * them (a held one keeps what it has, which is taken to be what its class gives it); those of
 * released ones do not: classify_none() them, so that ledger and placement give them nothing
 * either. A group above guests has entries while at least one of them is managed.
 */
enum guest_treatment {
	GUEST_MANAGED,
	GUEST_HELD,     /* by the operator: no entries */
	GUEST_RELEASED, /* given back: no entries, counts nothing */
};

struct plan_input {
	const struct policy *policy;
	const struct host *host;
	const struct inventory *inventory;
	const struct assignment *assign; /* one per guest */
	const bool *admitted;            /* one per guest: the ledger let it in */
	const struct placement *placement;
	const uint8_t *treatment;      /* one enum guest_treatment per guest; NULL: all managed */
	const struct guest_caps *caps; /* one per guest: what overload leaves it; NULL: none */
	const struct nic_parts *parts; /* of NICs in what they share; NULL: nothing is shared */
	const struct disk_parts *disk_parts; /* of the host's storage; NULL: nobody is held back */
	const uint64_t *rbd_live;            /* one per guest: bit per RBD disk (place in g->disks,
					      * below 64) whose librbd can be asked; NULL: none */
	bool cgroup_v1; /* reservations by soft limit: no entries for groups above
			 * guests, and no memory.low */
};

struct plan *plan_new(void);    /* NULL when out of memory */
void plan_free(struct plan *p); /* NULL is fine */
/* Append (any order), with a copy of a CPU set; plan_sort() before use. 0, -ENOMEM. */
int plan_add(struct plan *p, const struct target *t, enum knob_id knob, struct knob_value want,
	     struct reason why);
void plan_sort(struct plan *p); /* cheap when it is sorted already */
/* NULL: the plan says nothing about it. Needs a sorted plan. */
const struct plan_entry *plan_find(const struct plan *p, const struct target *t, enum knob_id knob);
/* A guest's entries are scattered by kind: this visits each; NULL at the end. *at begins at 0. */
const struct plan_entry *plan_next_of(const struct plan *p, uint32_t guest_id, size_t *at);
/*
 * Between two plans: what the i-th guest's NICs may have, as `in` has it now. Changes the entries
 * and appends each that differs to `changed`, the old value taken for actual. 0 or -ENOMEM.
 */
struct diff;
int plan_refresh_nics(struct plan *p, const struct plan_input *in, uint32_t i,
		      struct diff *changed);
/* The whole desired state, sorted. NULL when out of memory. O(n log n) in guests. */
struct plan *plan_build(const struct plan_input *in);

#endif
