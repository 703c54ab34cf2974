/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * knob - the table of everything qosd can set, and the values that knobs take.
 *
 * Whatever qosd does to a host is: a knob of a target gets a value for a reason. One row of the
 * table says all that is special about a knob: its name, the form of its values, which adapter
 * writes it, the order of writing, and how the kernel rounds. Adding a capability is adding a row.
 *
 * Order of writes (rule 5 of the design): changes are sorted by order_lower or order_raise of
 * their knob, according to the direction of the change, then along the cgroup tree: when raising
 * parents go first, when lowering children go first, for knobs that bind along the tree. All that
 * narrows comes before all that widens, so that what is given up is there to be claimed, and no sum
 * is exceeded on the way. cpu.max.burst has to stay <= the quota: burst down, quota down, quota up,
 * burst up. CPU sets: sets that only shrink (the large ones, which release cores, before the single
 * CPUs), then those that move, then those that only grow.
 */
#ifndef QOSD_CORE_KNOB_H
#define QOSD_CORE_KNOB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "qosd/core/cpuset.h"

struct guest;

/* ---- targets ---- */
enum target_kind {
	TARGET_CGROUP,   /* an ancestor of guests' groups: path */
	TARGET_GUEST,    /* the whole guest */
	TARGET_VCPU,     /* guest, index = vCPU number */
	TARGET_EMULATOR, /* guest's emulator and I/O threads */
	TARGET_NIC,      /* guest, index = place in guest->nics */
	TARGET_DISK,     /* guest, index = place in guest->disks */
};

struct target {
	uint8_t kind;
	uint32_t index;
	uint32_t guest_id;         /* 0 for TARGET_CGROUP */
	const struct guest *guest; /* borrowed from the inventory; NULL for TARGET_CGROUP */
	const char *path;          /* TARGET_CGROUP: "/machine.slice"; borrowed; else NULL */
};

#define TARGET_TEXT_MAX 512
/*
 * "guest:web1", "guest:web1/vcpu0", "guest:web1/emulator", "guest:web1/vnet0", "guest:web1/vda",
 * "cgroup:/machine.slice"; control characters in names are shown as '?'. Returns buf (size > 0).
 */
char *target_format(const struct target *t, char *buf, size_t size);
/* Total order: kind, path, guest id, index. */
int target_compare(const struct target *a, const struct target *b);
/* How deep in the cgroup tree: components of the path, or of the guest's group; 0 if unknown. */
unsigned int target_depth(const struct target *t);

/* ---- values ---- */
enum knob_type {
	KNOB_U64,    /* KNOB_MAX prints as "max" */
	KNOB_QUOTA,  /* quota_us (KNOB_MAX = "max") and period_us, as cpu.max: "50000 20000" */
	KNOB_CPUSET, /* list format */
};

#define KNOB_MAX UINT64_MAX

/*
 * A CPU set is borrowed: whoever keeps a value longer than it was lent keeps a copy of the set
 * (plans, diffs and baselines do; so a value has 24 bytes, not 136).
 */
struct knob_value {
	uint8_t type; /* enum knob_type */
	union {
		uint64_t u64;
		struct {
			uint64_t quota_us; /* KNOB_MAX: no limit */
			uint64_t period_us;
		};
		const struct cpuset *cpuset;
	};
};

struct knob_value knob_u64(uint64_t v);
struct knob_value knob_quota(uint64_t quota_us, uint64_t period_us);
struct knob_value knob_cpuset(const struct cpuset *set); /* borrows it */

#define KNOB_NET_BURST_US UINT64_C(5000) /* the least, so that a late timer costs no rate */

/* ---- the table ---- */
enum knob_id {
	KNOB_CPU_WEIGHT,    /* guest: cpu.weight 1..10000 (v1: cpu.shares, scaled); 0: cpu.idle, so
			     * that it runs only when nobody else wants the CPU (the kernel shows
			     * weight 0 then, too) */
	KNOB_CPU_MAX,       /* guest: quota and period of all vCPUs together; the adapter gives each
			     * vCPU group its even share, so that emulator and I/O threads are not
			     * starved */
	KNOB_CPU_MAX_BURST, /* guest: burst of all vCPUs together, us */
	KNOB_CPU_AFFINITY,  /* vcpu, emulator: CPUs it may run on, by libvirt */
	KNOB_MEMORY_MIN,    /* guest, cgroup: bytes (v1: memory.soft_limit_in_bytes) */
	KNOB_MEMORY_LOW,    /* guest, cgroup: bytes */
	KNOB_SWAP_MAX,      /* guest: memory.swap.max bytes (v1: swappiness 0 or the parent's) */
	KNOB_NET_IN,        /* nic: bit/s towards the guest; 0 is read where a
			     * limit is not whole, and never written */
	KNOB_NET_OUT,       /* nic: bit/s from the guest; 0 as above */
	KNOB_NET_BURST,     /* nic: credit that its limits keep while it is idle, us at the limit */
	/* disk, by libvirt: a total goes with neither a read nor a write limit of its unit */
	KNOB_DISK_READ_IOPS,
	KNOB_DISK_WRITE_IOPS,
	KNOB_DISK_TOTAL_IOPS,
	KNOB_DISK_READ_BPS, /* bytes/s */
	KNOB_DISK_WRITE_BPS,
	KNOB_DISK_TOTAL_BPS,
	/* while it has credit, each limit of the unit for the time of KNOB_DISK_BURST_S */
	KNOB_DISK_BURST_IOPS,
	KNOB_DISK_BURST_BPS, /* bytes/s */
	KNOB_DISK_BURST_S,   /* seconds */
	/* disk, by librbd inside QEMU: as the six limits and three bursts above, in their order */
	KNOB_RBD_READ_IOPS,
	KNOB_RBD_WRITE_IOPS,
	KNOB_RBD_TOTAL_IOPS,
	KNOB_RBD_READ_BPS,
	KNOB_RBD_WRITE_BPS,
	KNOB_RBD_TOTAL_BPS,
	KNOB_RBD_BURST_IOPS,
	KNOB_RBD_BURST_BPS,
	KNOB_RBD_BURST_S,
	KNOB_BALLOON, /* guest: bytes that it is asked to get along with, by libvirt */
	KNOB_FREEZE,  /* guest: 1 all its threads stand still (v2 only) */
	KNOB_COUNT
};

/* A disk has so many knobs of each kind, from KNOB_DISK_READ_IOPS and KNOB_RBD_READ_IOPS on. */
#define KNOB_OF_DISK (KNOB_DISK_BURST_S - KNOB_DISK_READ_IOPS + 1)

enum adapter_id { ADAPTER_CGROUP, ADAPTER_LIBVIRT, ADAPTER_NET, ADAPTER_CEPH, ADAPTER_COUNT };

struct knob {
	const char *name; /* "cpu.weight": what people see */
	enum knob_type type;
	enum adapter_id adapter;
	uint8_t targets;      /* which kinds of target have it: bit 1 << enum target_kind */
	uint16_t order_lower; /* place in the order of writes when the value gets smaller */
	uint16_t order_raise; /* ... larger */
	bool along_tree;      /* raise parents first, lower children first */
	bool limit;           /* KNOB_MAX, no limit, is what it has when nobody sets it */
	/* Planned only while something is wanted of it; afterwards its baseline is given back. */
	bool passing;
	const char *unit; /* "us", "bytes", "bit/s", "" */
	/* What the kernel makes of the value when read back; NULL: exactly as written. */
	struct knob_value (*normalize)(struct knob_value v);
	const char *help; /* one line for people */
};

/*
 * Planned only while something is wanted of it: `passing` knobs, and the rate of a virtual
 * function, which others (a cloud's agent) set where qosd has no limit for it.
 */
bool knob_passes(const struct target *t, enum knob_id id);
/* What a card can keep of a rate for a virtual function: whole Mbit/s, at least one. */
#define KNOB_VF_RATE_BPS UINT64_C(1000000)
uint64_t knob_vf_rate(uint64_t rate_bps);           /* KNOB_MAX stays */
const struct knob *knob_get(enum knob_id id);       /* never NULL for id < KNOB_COUNT */
int knob_find(const char *name, enum knob_id *ret); /* 0 or -ENOENT */

#define KNOB_TEXT_MAX CPUSET_TEXT_MAX
/* As the kernel writes it: "400", "max", "50000 20000", "0-3". Returns buf. */
char *knob_value_format(const struct knob_value *v, char *buf, size_t size);
/*
 * The exact opposite: what format cannot have written is refused. A CPU set goes to *room, which
 * *ret then borrows. 0, -EINVAL (*ret untouched).
 */
int knob_value_parse(enum knob_type type, const char *text, struct cpuset *room,
		     struct knob_value *ret);
bool knob_value_equal(const struct knob_value *a, const struct knob_value *b);
/* Equal after the kernel's rounding: no drift. The period of an unlimited quota does not matter. */
bool knob_holds(enum knob_id id, const struct knob_value *want, const struct knob_value *actual);
/*
 * <0 `to` is smaller (a narrowing), >0 larger, 0 neither (another period for the same share, a CPU
 * set that is neither inside nor around the other). Quotas compare by quota / period.
 */
int knob_direction(const struct knob_value *from, const struct knob_value *to);

#endif
