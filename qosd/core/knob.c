/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * knob - the table itself, and the kernel's rounding.
 *
 * Places in the order of writes: below 100 narrowing, above widening, with gaps for rows to come.
 */
#include "qosd/core/knob.h"

#include <errno.h>
#include <string.h>

#define PAGE_BYTES        UINT64_C(4096)
#define PERIOD_DEFAULT_US UINT64_C(100000)

/* The memory controller counts pages: rounded down, and "max" from LONG_MAX bytes on. */
static struct knob_value normalize_pages(struct knob_value v)
{
	if (v.u64 / PAGE_BYTES >= (uint64_t)INT64_MAX / PAGE_BYTES)
		v.u64 = KNOB_MAX;
	else
		v.u64 -= v.u64 % PAGE_BYTES;
	return v;
}

/* Without a quota the period means nothing. */
static struct knob_value normalize_quota(struct knob_value v)
{
	if (v.quota_us == KNOB_MAX)
		v.period_us = PERIOD_DEFAULT_US;
	return v;
}

/* HTB counts whole bytes a second. */
static struct knob_value normalize_rate(struct knob_value v)
{
	if (v.u64 != KNOB_MAX)
		v.u64 &= ~UINT64_C(7);
	return v;
}

/* libvirt counts KiB. */
static struct knob_value normalize_kib(struct knob_value v)
{
	v.u64 -= v.u64 % 1024;
	return v;
}

enum {
	ON_CGROUP = 1 << TARGET_CGROUP,
	ON_GUEST = 1 << TARGET_GUEST,
	ON_THREADS = 1 << TARGET_VCPU | 1 << TARGET_EMULATOR,
	ON_NIC = 1 << TARGET_NIC,
	ON_DISK = 1 << TARGET_DISK,
};

static const struct knob table[KNOB_COUNT] = {
	[KNOB_CPU_WEIGHT] = {
		.name = "cpu.weight", .type = KNOB_U64, .adapter = ADAPTER_CGROUP,
		.targets = ON_GUEST,
		.order_lower = 20, .order_raise = 140, .unit = "",
		.help = "share of CPU time against other guests when CPUs are short, 1..10000",
	},
	[KNOB_CPU_MAX] = {
		.name = "cpu.max", .type = KNOB_QUOTA, .adapter = ADAPTER_CGROUP,
		.targets = ON_GUEST,
		.order_lower = 40, .order_raise = 150, .unit = "us",
		.normalize = normalize_quota,
		.help = "CPU time of all vCPUs together in each period",
	},
	[KNOB_CPU_MAX_BURST] = {
		.name = "cpu.max.burst", .type = KNOB_U64, .adapter = ADAPTER_CGROUP,
		.targets = ON_GUEST,
		.order_lower = 30, .order_raise = 160, .unit = "us",
		.help = "unused CPU time of all vCPUs together that may be saved for later",
	},
	[KNOB_CPU_AFFINITY] = {
		.name = "cpu.affinity", .type = KNOB_CPUSET, .adapter = ADAPTER_LIBVIRT,
		.targets = ON_THREADS,
		.order_lower = 10, .order_raise = 180, .unit = "",
		.help = "CPUs that the thread may run on",
	},
	[KNOB_MEMORY_MIN] = {
		.name = "memory.min", .type = KNOB_U64, .adapter = ADAPTER_CGROUP,
		.targets = ON_GUEST | ON_CGROUP,
		.order_lower = 70, .order_raise = 110, .along_tree = true, .unit = "bytes",
		.normalize = normalize_pages,
		.help = "memory that is never reclaimed",
	},
	[KNOB_MEMORY_LOW] = {
		.name = "memory.low", .type = KNOB_U64, .adapter = ADAPTER_CGROUP,
		.targets = ON_GUEST | ON_CGROUP,
		.order_lower = 60, .order_raise = 120, .along_tree = true, .unit = "bytes",
		.normalize = normalize_pages,
		.help = "memory that is reclaimed last",
	},
	[KNOB_SWAP_MAX] = {
		.name = "memory.swap.max", .type = KNOB_U64, .adapter = ADAPTER_CGROUP,
		.targets = ON_GUEST,
		.order_lower = 80, .order_raise = 130, .limit = true, .unit = "bytes",
		.normalize = normalize_pages,
		.help = "memory that may go to swap",
	},
	[KNOB_NET_IN] = {
		.name = "net.in", .type = KNOB_U64, .adapter = ADAPTER_NET,
		.targets = ON_NIC,
		.order_lower = 50, .order_raise = 170, .limit = true, .unit = "bit/s",
		.normalize = normalize_rate,
		.help = "limit of the rate towards the guest, layer 2 bytes",
	},
	[KNOB_NET_OUT] = {
		.name = "net.out", .type = KNOB_U64, .adapter = ADAPTER_NET,
		.targets = ON_NIC,
		.order_lower = 50, .order_raise = 170, .limit = true, .unit = "bit/s",
		.normalize = normalize_rate,
		.help = "limit of the rate from the guest, layer 2 bytes",
	},
	[KNOB_NET_BURST] = {
		.name = "net.burst", .type = KNOB_U64, .adapter = ADAPTER_NET,
		.targets = ON_NIC,
		.order_lower = 52, .order_raise = 172, .passing = true, .unit = "us",
		.help = "credit that its limits keep while the card is idle, as time at the limit",
	},
	[KNOB_DISK_READ_IOPS] = {
		.name = "disk.read_iops", .type = KNOB_U64, .adapter = ADAPTER_LIBVIRT,
		.targets = ON_DISK,
		.order_lower = 55, .order_raise = 175, .limit = true, .passing = true,
		.unit = "1/s",
		.help = "most reads a second",
	},
	[KNOB_DISK_WRITE_IOPS] = {
		.name = "disk.write_iops", .type = KNOB_U64, .adapter = ADAPTER_LIBVIRT,
		.targets = ON_DISK,
		.order_lower = 55, .order_raise = 175, .limit = true, .passing = true,
		.unit = "1/s",
		.help = "most writes a second",
	},
	[KNOB_DISK_TOTAL_IOPS] = {
		.name = "disk.total_iops", .type = KNOB_U64, .adapter = ADAPTER_LIBVIRT,
		.targets = ON_DISK,
		.order_lower = 55, .order_raise = 175, .limit = true, .passing = true,
		.unit = "1/s",
		.help = "most reads and writes together a second",
	},
	[KNOB_DISK_READ_BPS] = {
		.name = "disk.read_bps", .type = KNOB_U64, .adapter = ADAPTER_LIBVIRT,
		.targets = ON_DISK,
		.order_lower = 55, .order_raise = 175, .limit = true, .passing = true,
		.unit = "bytes/s",
		.help = "most bytes a second that are read",
	},
	[KNOB_DISK_WRITE_BPS] = {
		.name = "disk.write_bps", .type = KNOB_U64, .adapter = ADAPTER_LIBVIRT,
		.targets = ON_DISK,
		.order_lower = 55, .order_raise = 175, .limit = true, .passing = true,
		.unit = "bytes/s",
		.help = "most bytes a second that are written",
	},
	[KNOB_DISK_TOTAL_BPS] = {
		.name = "disk.total_bps", .type = KNOB_U64, .adapter = ADAPTER_LIBVIRT,
		.targets = ON_DISK,
		.order_lower = 55, .order_raise = 175, .limit = true, .passing = true,
		.unit = "bytes/s",
		.help = "most bytes a second, read and written together",
	},
	[KNOB_DISK_BURST_IOPS] = {
		.name = "disk.burst_iops", .type = KNOB_U64, .adapter = ADAPTER_LIBVIRT,
		.targets = ON_DISK,
		.order_lower = 54, .order_raise = 176, .limit = true, .passing = true,
		.unit = "1/s",
		.help = "operations a second in a burst above the limits",
	},
	[KNOB_DISK_BURST_BPS] = {
		.name = "disk.burst_bps", .type = KNOB_U64, .adapter = ADAPTER_LIBVIRT,
		.targets = ON_DISK,
		.order_lower = 54, .order_raise = 176, .limit = true, .passing = true,
		.unit = "bytes/s",
		.help = "bytes a second in a burst above the limits",
	},
	[KNOB_DISK_BURST_S] = {
		.name = "disk.burst_s", .type = KNOB_U64, .adapter = ADAPTER_LIBVIRT,
		.targets = ON_DISK,
		.order_lower = 54, .order_raise = 176, .limit = true, .passing = true,
		.unit = "s",
		.help = "how long a burst may last",
	},
	[KNOB_RBD_READ_IOPS] = {
		.name = "rbd.read_iops", .type = KNOB_U64, .adapter = ADAPTER_CEPH,
		.targets = ON_DISK,
		.order_lower = 55, .order_raise = 175, .limit = true, .passing = true,
		.unit = "1/s",
		.help = "most reads a second, by librbd",
	},
	[KNOB_RBD_WRITE_IOPS] = {
		.name = "rbd.write_iops", .type = KNOB_U64, .adapter = ADAPTER_CEPH,
		.targets = ON_DISK,
		.order_lower = 55, .order_raise = 175, .limit = true, .passing = true,
		.unit = "1/s",
		.help = "most writes a second, by librbd",
	},
	[KNOB_RBD_TOTAL_IOPS] = {
		.name = "rbd.total_iops", .type = KNOB_U64, .adapter = ADAPTER_CEPH,
		.targets = ON_DISK,
		.order_lower = 55, .order_raise = 175, .limit = true, .passing = true,
		.unit = "1/s",
		.help = "most reads and writes together a second, by librbd",
	},
	[KNOB_RBD_READ_BPS] = {
		.name = "rbd.read_bps", .type = KNOB_U64, .adapter = ADAPTER_CEPH,
		.targets = ON_DISK,
		.order_lower = 55, .order_raise = 175, .limit = true, .passing = true,
		.unit = "bytes/s",
		.help = "most bytes a second that are read, by librbd",
	},
	[KNOB_RBD_WRITE_BPS] = {
		.name = "rbd.write_bps", .type = KNOB_U64, .adapter = ADAPTER_CEPH,
		.targets = ON_DISK,
		.order_lower = 55, .order_raise = 175, .limit = true, .passing = true,
		.unit = "bytes/s",
		.help = "most bytes a second that are written, by librbd",
	},
	[KNOB_RBD_TOTAL_BPS] = {
		.name = "rbd.total_bps", .type = KNOB_U64, .adapter = ADAPTER_CEPH,
		.targets = ON_DISK,
		.order_lower = 55, .order_raise = 175, .limit = true, .passing = true,
		.unit = "bytes/s",
		.help = "most bytes a second, read and written together, by librbd",
	},
	[KNOB_RBD_BURST_IOPS] = {
		.name = "rbd.burst_iops", .type = KNOB_U64, .adapter = ADAPTER_CEPH,
		.targets = ON_DISK,
		.order_lower = 54, .order_raise = 176, .limit = true, .passing = true,
		.unit = "1/s",
		.help = "operations a second in a burst above the limits, by librbd",
	},
	[KNOB_RBD_BURST_BPS] = {
		.name = "rbd.burst_bps", .type = KNOB_U64, .adapter = ADAPTER_CEPH,
		.targets = ON_DISK,
		.order_lower = 54, .order_raise = 176, .limit = true, .passing = true,
		.unit = "bytes/s",
		.help = "bytes a second in a burst above the limits, by librbd",
	},
	[KNOB_RBD_BURST_S] = {
		.name = "rbd.burst_s", .type = KNOB_U64, .adapter = ADAPTER_CEPH,
		.targets = ON_DISK,
		.order_lower = 54, .order_raise = 176, .limit = true, .passing = true,
		.unit = "s",
		.help = "how long a burst may last, by librbd",
	},
	[KNOB_BALLOON] = {
		.name = "memory.balloon", .type = KNOB_U64, .adapter = ADAPTER_LIBVIRT,
		.targets = ON_GUEST,
		.order_lower = 65, .order_raise = 115, .passing = true, .unit = "bytes",
		.normalize = normalize_kib,
		.help = "memory that the guest is asked to get along with",
	},
	[KNOB_FREEZE] = {
		.name = "cgroup.freeze", .type = KNOB_U64, .adapter = ADAPTER_CGROUP,
		.targets = ON_GUEST,
		.order_lower = 5, .order_raise = 190, .passing = true, .unit = "",
		.help = "1: all threads of the guest stand still",
	},
};

uint64_t knob_vf_rate(uint64_t rate_bps)
{
	if (rate_bps == KNOB_MAX)
		return KNOB_MAX;
	if (rate_bps < KNOB_VF_RATE_BPS)
		return KNOB_VF_RATE_BPS;
	return rate_bps - rate_bps % KNOB_VF_RATE_BPS;
}

const struct knob *knob_get(enum knob_id id)
{
	return (unsigned int)id < KNOB_COUNT ? &table[id] : NULL;
}

int knob_find(const char *name, enum knob_id *ret)
{
	for (unsigned int id = 0; id < KNOB_COUNT; id++) {
		if (strcmp(table[id].name, name) == 0) {
			*ret = id;
			return 0;
		}
	}
	return -ENOENT;
}

bool knob_holds(enum knob_id id, const struct knob_value *want, const struct knob_value *actual)
{
	struct knob_value rounded, read;

	/* Most knobs hold most of the time: no copies for them. */
	if (knob_value_equal(want, actual))
		return true;
	if (!table[id].normalize || want->type != actual->type)
		return false;
	rounded = table[id].normalize(*want);
	read = table[id].normalize(*actual);
	return knob_value_equal(&rounded, &read);
}
