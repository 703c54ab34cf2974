/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * class_size - a class's shares applied to the size of one guest.
 */
#include "qosd/core/classify.h"
#include "qosd/core/mem.h"
#include "qosd/core/unit.h"

#define QUOTA_MIN_US UINT64_C(1000)
/* The kernel refuses more (44 bits); nobody has as many CPUs. */
#define QUOTA_MAX_US (UINT64_C(1) << 43)

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

uint64_t class_memory_rbd_caches(const struct qclass *c, const struct guest *g)
{
	uint64_t bytes = 0;

	if (c->rbd.cache == RBD_CACHE_KEEP || c->rbd.cache == RBD_CACHE_NONE ||
	    c->rbd.cache_size_bytes == POLICY_NONE_U64)
		return 0;
	for (size_t i = 0; i < g->ndisks; i++)
		if (g->disks[i].rbd)
			bytes = sum(bytes, c->rbd.cache_size_bytes);
	return bytes;
}

uint64_t class_memory_reservation(const struct qclass *c, const struct guest *g)
{
	uint64_t own = amount_of(&c->memory.reservation, g->memory_bytes);

	if (!own)
		return 0;
	return sum(own, sum(class_memory_overhead(c, g), class_memory_rbd_caches(c, g)));
}

uint64_t class_memory_low(const struct qclass *c, const struct guest *g)
{
	return amount_of(&c->memory.low, g->memory_bytes);
}

uint64_t class_cpu_reservation_mcpu(const struct qclass *c, const struct guest *g)
{
	return (uint64_t)c->cpu.reservation_permille * class_vcpus(g);
}

uint64_t class_net_limit(const struct qclass *c, bool in)
{
	uint64_t own = in ? c->net.in_limit_bps : c->net.out_limit_bps;

	return own != POLICY_NONE_U64 ? own : c->net.limit_bps;
}

void class_cpu_quota(const struct qclass *c, const struct guest *g, uint64_t *ret_quota_us,
		     uint64_t *ret_period_us)
{
	static const uint64_t periods_us[] = { 20000, 50000, 100000, 200000, 500000, 1000000 };
	uint64_t limit = c->cpu.limit_permille, per_vcpu = 0;
	uint32_t vcpus = class_vcpus(g);

	*ret_quota_us = UINT64_MAX;
	*ret_period_us = 100000;
	if (limit == POLICY_NONE_U32 || !vcpus)
		return;
	for (size_t i = 0; i < ARRAY_SIZE(periods_us) && per_vcpu < QUOTA_MIN_US; i++) {
		*ret_period_us = periods_us[i];
		per_vcpu = limit * periods_us[i] / 1000;
	}
	if (per_vcpu < QUOTA_MIN_US)
		per_vcpu = QUOTA_MIN_US;
	if (per_vcpu > QUOTA_MAX_US / vcpus)
		per_vcpu = QUOTA_MAX_US / vcpus;
	*ret_quota_us = per_vcpu * vcpus;
}
