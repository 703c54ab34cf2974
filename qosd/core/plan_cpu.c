/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * plan_cpu - weights, limits and CPU sets.
 *
 * Under overload the weight goes first, for it stalls nobody: to a tenth, but no lower than the
 * guest's reservation and floor need. It is one value for the whole overload, so that it is written
 * once at the onset and once at the end. Then the quota is lowered to what the guest may take, in
 * periods long enough that few refills disturb the others (class_cpu_quota), without a burst.
 *
 * An idle class has weight 0 (see KNOB_CPU_WEIGHT), which counts next to nothing against others;
 * where the kernel's groups know no idle (v1) it is the least weight.
 */
#include <errno.h>
#include <stdlib.h>

#include "qosd/core/cpushare.h"
#include "qosd/core/mem.h"
#include "qosd/core/plan_private.h"

#define WEIGHT_DEFAULT 100
#define SOFT_DIVISOR   10 /* of the weight while it is throttled softly */
/*
 * Floors may claim one FLOORS_DIVISOR-th of the pool by weight. Where they add up to more than the
 * protected leave, somebody has to yield, and that is not the protected; those rarely take all of
 * the other half, and what they leave goes to the floors.
 */
#define FLOORS_DIVISOR 2

/* ---- weights ---- */

/* What the guest's part in the pool is made of; released ones have the kernel's default. */
static struct cpushare share_of(const struct plan_input *in, uint32_t i)
{
	const struct qclass *c = &in->assign[i].effective;
	struct cpushare share = { .weight = c->cpu.idle ? 1 : c->cpu.weight };

	if (plan_treatment(in, i) == GUEST_RELEASED)
		share.weight = WEIGHT_DEFAULT;
	else if (in->admitted[i])
		share.reservation_mcpu = class_cpu_reservation_mcpu(c, in->inventory->guests[i]);
	return share;
}

static uint64_t floor_of(const struct plan_input *in, uint32_t i)
{
	return class_cpu_floor_mcpu(&in->assign[i].effective, in->inventory->guests[i]);
}

static bool is_soft(const struct build *b, uint32_t i)
{
	const struct guest_caps *caps = plan_caps(b, i);

	return caps && caps->cpu_soft && !b->in->placement->guests[i].dedicated;
}

/* Its part while overload has lowered its weight: a tenth, but what it keeps as its reservation. */
static struct cpushare soft_share_of(const struct plan_input *in, uint32_t i, uint32_t weight,
				     uint64_t floor_mcpu)
{
	struct cpushare share = share_of(in, i);

	share.weight = weight > SOFT_DIVISOR ? weight / SOFT_DIVISOR : 1;
	if (share.reservation_mcpu < floor_mcpu)
		share.reservation_mcpu = floor_mcpu;
	return share;
}

/*
 * Weights of those who are throttled, beside the others' as they are. Nobody's grows, so the
 * others' reservations hold.
 */
static void solve_soft_weights(struct build *b, struct cpushare *shares, const uint32_t *guest,
			       size_t used, uint64_t pool_mcpu)
{
	uint64_t floors = 0, most = pool_mcpu / FLOORS_DIVISOR;

	for (size_t k = 0; k < used; k++)
		floors += is_soft(b, guest[k]) ? floor_of(b->in, guest[k]) : 0;
	if (!floors)
		return; /* a floor is never 0 */
	for (size_t k = 0; k < used; k++) {
		uint64_t floor = floor_of(b->in, guest[k]);

		if (floors > most)
			floor = (uint64_t)((unsigned __int128)floor * most / floors);
		shares[k] = is_soft(b, guest[k])
				    ? soft_share_of(b->in, guest[k], shares[k].result, floor)
				    : (struct cpushare){ .weight = shares[k].result };
	}
	cpushare_solve(shares, used, pool_mcpu);
	for (size_t k = 0; k < used; k++)
		if (is_soft(b, guest[k]) && shares[k].result < b->soft_weight[guest[k]])
			b->soft_weight[guest[k]] = shares[k].result;
}

/* Dedicated guests compete with nobody. */
int plan_solve_weights(struct build *b)
{
	const struct plan_input *in = b->in;
	size_t n = in->inventory->count, used = 0;
	uint64_t pool_mcpu = (uint64_t)cpuset_count(&in->placement->shared) * 1000;
	CLEANUP_FREE struct cpushare *shares = calloc(n + 1, sizeof(*shares));
	CLEANUP_FREE uint32_t *guest = calloc(n + 1, sizeof(*guest));

	if (!shares || !guest)
		return -ENOMEM;
	for (uint32_t i = 0; i < n; i++) {
		b->weight[i] = b->soft_weight[i] = plan_class(b, i)->cpu.weight;
		if (in->placement->guests[i].dedicated)
			continue;
		guest[used] = i;
		shares[used++] = share_of(in, i);
	}
	cpushare_solve(shares, used, pool_mcpu);
	for (size_t k = 0; k < used; k++)
		b->weight[guest[k]] = b->soft_weight[guest[k]] = shares[k].result;
	solve_soft_weights(b, shares, guest, used, pool_mcpu);
	return 0;
}

int plan_add_weight(struct build *b, const struct target *t, uint32_t i)
{
	const struct qclass *c = plan_class(b, i);
	struct reason why = plan_reason(b->in, i, WHY_CLASS_WEIGHT);
	uint32_t weight = b->weight[i];

	why.a = c->cpu.weight;
	why.c = class_cpu_reservation_mcpu(c, t->guest);
	if (c->cpu.idle && !b->in->placement->guests[i].dedicated) {
		why.kind = WHY_CPU_IDLE;
		weight = b->in->cgroup_v1 ? 1 : 0;
	} else if (b->soft_weight[i] < weight) {
		why.kind = WHY_WEIGHT_THROTTLED;
		why.a = weight;
		why.d = plan_caps(b, i)->level[RESOURCE_CPU];
		weight = b->soft_weight[i];
	} else if (weight != c->cpu.weight) {
		why.kind = weight > c->cpu.weight ? WHY_WEIGHT_RAISED : WHY_WEIGHT_LOWERED;
	}
	why.b = weight;
	return plan_add(b->plan, t, KNOB_CPU_WEIGHT, knob_u64(weight), why);
}

/* ---- limit and burst ---- */

/* What overload leaves it, if that is less than its limit; else THROTTLE_NONE. */
static uint64_t cpu_cap(const struct build *b, const struct target *t, uint32_t i)
{
	const struct guest_caps *caps = plan_caps(b, i);
	const struct qclass *c = plan_class(b, i);
	uint64_t limit = (uint64_t)c->cpu.limit_permille * class_vcpus(t->guest);

	if (!caps || (c->cpu.limit_permille != POLICY_NONE_U32 && caps->cpu_mcpu >= limit))
		return THROTTLE_NONE;
	return caps->cpu_mcpu;
}

static int add_burst(struct build *b, const struct target *t, uint32_t i, uint64_t quota_us,
		     bool capped)
{
	struct reason why = plan_reason(b->in, i, WHY_NO_BURST);
	uint32_t vcpus = class_vcpus(t->guest);
	uint64_t burst_us = quota_us == KNOB_MAX ? 0 : plan_class(b, i)->cpu.burst_us;

	/* The kernel refuses a burst beyond the quota. */
	if (burst_us > quota_us / vcpus)
		burst_us = quota_us / vcpus;
	if (burst_us) {
		why.kind = capped ? WHY_BURST_THROTTLED : WHY_BURST;
		why.a = burst_us;
	}
	if (capped)
		burst_us = 0;
	return plan_add(b->plan, t, KNOB_CPU_MAX_BURST, knob_u64(burst_us * vcpus), why);
}

int plan_add_cpu_limit(struct build *b, const struct target *t, uint32_t i)
{
	const struct qclass *c = plan_class(b, i);
	struct reason why = plan_reason(b->in, i, WHY_NO_LIMIT);
	uint64_t quota_us, period_us, cap = cpu_cap(b, t, i);

	class_cpu_quota(c, t->guest, cap, &quota_us, &period_us);
	if (cap != THROTTLE_NONE) {
		why.kind = WHY_CPU_THROTTLED;
		why.a = cap;
		why.d = plan_caps(b, i)->level[RESOURCE_CPU];
	} else if (quota_us != KNOB_MAX) {
		why.kind = WHY_CPU_LIMIT;
		why.a = c->cpu.limit_permille;
		why.b = class_vcpus(t->guest);
	}
	if (plan_add(b->plan, t, KNOB_CPU_MAX, knob_quota(quota_us, period_us), why) < 0)
		return -ENOMEM;
	return add_burst(b, t, i, quota_us, cap != THROTTLE_NONE);
}

/* ---- CPU sets ---- */

static int add_vcpu(struct build *b, uint32_t i, uint32_t vcpu)
{
	const struct placement *place = b->in->placement;
	const struct placement_guest *pg = &place->guests[i];
	struct target t = plan_target(b, i, TARGET_VCPU, vcpu);
	struct reason why = plan_reason(b->in, i, WHY_SHARED_POOL);
	struct cpuset own = { 0 };

	if (!pg->dedicated || vcpu >= pg->nvcpus) {
		if (pg->shortfall)
			why.kind = WHY_DEDICATED_SHORT;
		return plan_add(b->plan, &t, KNOB_CPU_AFFINITY, knob_cpuset(&place->shared), why);
	}
	cpuset_add(&own, pg->vcpu_cpu[vcpu]);
	why.kind = WHY_DEDICATED;
	why.a = pg->vcpu_cpu[vcpu];
	return plan_add(b->plan, &t, KNOB_CPU_AFFINITY, knob_cpuset(&own), why);
}

/* The class's set without cores that are somebody's own; else housekeeping for dedicated guests. */
static struct cpuset emulator_cpus(const struct build *b, uint32_t i, uint64_t *ret_where)
{
	const struct placement *place = b->in->placement;
	struct cpuset set = cpuset_and(&plan_class(b, i)->cpu.emulator, &b->in->host->online);

	set = cpuset_minus(&set, &place->dedicated);
	*ret_where = EMULATOR_CLASS;
	if (!cpuset_empty(&set))
		return set;
	*ret_where = EMULATOR_HOUSEKEEPING;
	if (place->guests[i].dedicated && !cpuset_empty(&place->housekeeping))
		return place->housekeeping;
	*ret_where = EMULATOR_SHARED;
	return place->shared;
}

int plan_add_emulator(struct build *b, uint32_t i)
{
	struct target t = plan_target(b, i, TARGET_EMULATOR, 0);
	struct reason why = plan_reason(b->in, i, WHY_EMULATOR);
	struct cpuset set = emulator_cpus(b, i, &why.a);

	return plan_add(b->plan, &t, KNOB_CPU_AFFINITY, knob_cpuset(&set), why);
}

int plan_add_vcpus(struct build *b, uint32_t i)
{
	uint32_t vcpus = class_vcpus(b->in->inventory->guests[i]);
	int r = 0;

	for (uint32_t v = 0; r == 0 && v < vcpus; v++)
		r = add_vcpu(b, i, v);
	return r;
}
