/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * class_size - a class's shares applied to the size of one guest.
 */
#include "qosd/core/classify.h"
#include "qosd/core/mem.h"
#include "qosd/core/rbd.h"
#include "qosd/core/unit.h"

#define QUOTA_MIN_US UINT64_C(1000)
/*
 * Each time a quota is refilled its guest comes back as one that had slept, ahead of a protected
 * guest that wakes (Linux 6.1). Refills of at least 5 ms come seldom enough: with five times as
 * many, at 1 ms, up to 3 % of a protected guest's requests waited for 1 to 14 ms. Periods no longer
 * than the governor's tick: all that are throttled at once run at once, and in longer ones it would
 * see the victim suffer in one window and not in the next.
 */
#define QUOTA_THROTTLE_US  UINT64_C(5000)
#define PERIOD_THROTTLE_US UINT64_C(100000) /* longer ones only for the kernel's least quota */
/* The kernel refuses more (44 bits); nobody has as many CPUs. */
#define QUOTA_MAX_US (UINT64_C(1) << 43)
/* As many CPUs as nobody has; times a period it stays below 2^64. */
#define LIMIT_MAX_MCPU (UINT64_C(1) << 43)
/* What a disk keeps under overload where its class says nothing: a slow disk's, not a dead one's.
 */
#define DISK_FLOOR_IOPS     UINT64_C(50)
#define DISK_FLOOR_BYTES_PS UINT64_C(4000000)
/* Ceph's defaults of a cache. */
#define RBD_SIZE_DEFAULT  (UINT64_C(32) << 20)
#define RBD_DIRTY_DEFAULT (UINT64_C(24) << 20)
/*
 * librbd's threads (measured, 16.2.15): 54 to 68 us for a write of 4 KiB, half of it for a read,
 * and 0.4 to 0.8 ms for each MB.
 */
#define RBD_REQUEST_US       UINT64_C(60)
#define RBD_BYTES_PS_BY_MCPU UINT64_C(1250000)

static uint64_t sum(uint64_t a, uint64_t b)
{
	return a > UINT64_MAX - b ? UINT64_MAX : a + b;
}

static uint64_t amount_of(const struct amount *a, uint64_t whole)
{
	if (!a->relative)
		return a->value;
	return unit_permille_of(whole, a->value > UINT32_MAX ? UINT32_MAX : (uint32_t)a->value);
}

uint32_t class_vcpus(const struct guest *g)
{
	return g->vcpus < GUEST_VCPUS_MAX ? g->vcpus : GUEST_VCPUS_MAX;
}

uint64_t class_memory_overhead(const struct qclass *c, const struct guest *g)
{
	return amount_of(&c->memory.overhead, g->memory_bytes);
}

/* What an image gets at its open: QEMU says whether there is a cache, the class of what kind. */
static void expect_cache(const struct class_rbd *wish, const char *cache_mode,
			 struct rbd_effective *ret)
{
	static const enum rbd_mode modes[] = {
		[RBD_CACHE_KEEP] = RBD_MODE_WRITEAROUND, /* Ceph's own choice */
		[RBD_CACHE_NONE] = RBD_MODE_NONE,
		[RBD_CACHE_WRITETHROUGH] = RBD_MODE_WRITETHROUGH,
		[RBD_CACHE_WRITEBACK] = RBD_MODE_WRITEBACK,
		[RBD_CACHE_WRITEAROUND] = RBD_MODE_WRITEAROUND,
	};

	*ret = (struct rbd_effective){ .mode = rbd_qemu_cached(cache_mode) ? modes[wish->cache]
									   : RBD_MODE_NONE };
	ret->values[RBD_CACHE_SIZE].number = wish->cache_size_bytes != POLICY_NONE_U64
						     ? wish->cache_size_bytes
						     : RBD_SIZE_DEFAULT;
	ret->values[RBD_CACHE_MAX_DIRTY].number = wish->max_dirty_bytes != POLICY_NONE_U64
							  ? wish->max_dirty_bytes
							  : RBD_DIRTY_DEFAULT;
}

uint64_t class_memory_rbd_caches(const struct qclass *c, const struct guest *g)
{
	struct rbd_effective expected;
	uint64_t bytes = 0;

	for (size_t i = 0; i < g->ndisks; i++) {
		if (!g->disks[i].rbd)
			continue;
		expect_cache(&c->rbd, g->disks[i].cache, &expected);
		bytes = sum(bytes, rbd_memory_bytes(&expected, RBD_INFLIGHT_BYTES));
	}
	if (bytes && c->rbd.in_force_bytes != POLICY_NONE_U64)
		return c->rbd.in_force_bytes;
	return bytes ? sum(bytes, RBD_FIRST_BYTES) : 0;
}

uint64_t class_memory_reservation(const struct qclass *c, const struct guest *g)
{
	uint64_t own = amount_of(&c->memory.reservation, g->memory_bytes);

	if (!own)
		return 0;
	return sum(own, sum(class_memory_overhead(c, g), class_memory_rbd_caches(c, g)));
}

uint64_t class_rbd_clients_mcpu(uint64_t iops, uint64_t bytes_ps)
{
	if (iops > LIMIT_MAX_MCPU / RBD_REQUEST_US)
		iops = LIMIT_MAX_MCPU / RBD_REQUEST_US;
	return iops * RBD_REQUEST_US / 1000 + bytes_ps / RBD_BYTES_PS_BY_MCPU;
}

uint64_t class_memory_low(const struct qclass *c, const struct guest *g)
{
	return amount_of(&c->memory.low, g->memory_bytes);
}

uint64_t class_cpu_reservation_mcpu(const struct qclass *c, const struct guest *g)
{
	return (uint64_t)c->cpu.reservation_permille * class_vcpus(g);
}

uint64_t class_cpu_floor_mcpu(const struct qclass *c, const struct guest *g)
{
	uint32_t permille = c->cpu.floor_permille < c->cpu.limit_permille ? c->cpu.floor_permille
									  : c->cpu.limit_permille;

	return (uint64_t)permille * class_vcpus(g);
}

uint64_t class_net_limit(const struct qclass *c, bool in)
{
	uint64_t own = in ? c->net.in_limit_bps : c->net.out_limit_bps;

	return own != POLICY_NONE_U64 ? own : c->net.limit_bps;
}

uint64_t class_memory_floor(const struct qclass *c, const struct guest *g)
{
	return amount_of(&c->memory.floor, g->memory_bytes);
}

/* A total, or reads and writes together; no limit if one of them has none. */
static uint64_t disk_limit(uint64_t read, uint64_t write, uint64_t total)
{
	return total != POLICY_NONE_U64 ? total : sum(read, write);
}

static uint64_t disk_floor(uint64_t floor, uint64_t limit, uint64_t without_limit)
{
	if (floor == POLICY_NONE_U64)
		floor = limit == POLICY_NONE_U64 ? without_limit : limit / 10 + !(limit / 10);
	return floor < limit ? floor : limit;
}

uint64_t class_disk_limit_iops(const struct qclass *c)
{
	return disk_limit(c->disk.read_iops, c->disk.write_iops, c->disk.total_iops);
}

uint64_t class_disk_limit_bytes_ps(const struct qclass *c)
{
	return disk_limit(c->disk.read_bps, c->disk.write_bps, c->disk.total_bps);
}

uint64_t class_disk_floor_iops(const struct qclass *c)
{
	return disk_floor(c->disk.floor_iops, class_disk_limit_iops(c), DISK_FLOOR_IOPS);
}

uint64_t class_disk_floor_bytes_ps(const struct qclass *c)
{
	return disk_floor(c->disk.floor_bps, class_disk_limit_bytes_ps(c), DISK_FLOOR_BYTES_PS);
}

/* 1/1000 CPU of all vCPUs together; UINT64_MAX: no limit. */
static uint64_t cpu_limit_mcpu(const struct qclass *c, uint32_t vcpus)
{
	return c->cpu.limit_permille == POLICY_NONE_U32 ? UINT64_MAX
							: (uint64_t)c->cpu.limit_permille * vcpus;
}

/* The shortest of the usual periods in which a vCPU's part of `limit` is worth a refill. */
static uint64_t quota_period_us(uint64_t limit_mcpu, uint32_t vcpus, bool throttled)
{
	static const uint64_t periods_us[] = { 20000, 50000, 100000, 200000, 500000, 1000000 };
	size_t i = 0;

	for (; i < ARRAY_SIZE(periods_us) - 1; i++) {
		uint64_t per_vcpu = limit_mcpu * periods_us[i] / 1000 / vcpus;
		bool calm = throttled && periods_us[i] < PERIOD_THROTTLE_US;

		if (per_vcpu >= (calm ? QUOTA_THROTTLE_US : QUOTA_MIN_US))
			break;
	}
	return periods_us[i];
}

void class_cpu_quota(const struct qclass *c, const struct guest *g, uint64_t cap_mcpu,
		     uint64_t *ret_quota_us, uint64_t *ret_period_us)
{
	uint32_t vcpus = class_vcpus(g);
	uint64_t limit = cpu_limit_mcpu(c, vcpus), per_vcpu;
	bool throttled = cap_mcpu < limit;

	*ret_quota_us = UINT64_MAX;
	*ret_period_us = 100000;
	if (throttled)
		limit = cap_mcpu;
	if (limit == UINT64_MAX || !vcpus)
		return;
	if (limit > LIMIT_MAX_MCPU)
		limit = LIMIT_MAX_MCPU;
	*ret_period_us = quota_period_us(limit, vcpus, throttled);
	per_vcpu = limit * *ret_period_us / 1000 / vcpus;
	if (per_vcpu < QUOTA_MIN_US)
		per_vcpu = QUOTA_MIN_US;
	if (per_vcpu > QUOTA_MAX_US / vcpus)
		per_vcpu = QUOTA_MAX_US / vcpus;
	*ret_quota_us = per_vcpu * vcpus;
}
