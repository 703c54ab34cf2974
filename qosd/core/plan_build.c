/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * plan_build - policy, inventory and placement made into the complete desired state.
 *
 * Entries are made in the order in which a plan is sorted (by kind, then guest id), so that sorting
 * costs one look. What several knobs need is computed once per guest before.
 */
#include <errno.h>
#include <stdlib.h>

#include "qosd/core/cpushare.h"
#include "qosd/core/mem.h"
#include "qosd/core/plan_private.h"

struct build {
	const struct plan_input *in;
	struct plan *plan;
	uint32_t *order;             /* inventory indices by guest id */
	struct guest_memory *memory; /* per guest */
	uint32_t *weight;            /* per guest */
};

struct reason plan_reason(const struct plan_input *in, size_t i, enum reason_kind kind)
{
	const struct assignment *a = &in->assign[i];

	return (struct reason){ .kind = kind,
				.overridden = a->overridden,
				.subject = a->effective.name };
}

static struct target target_of(const struct build *b, uint32_t i, enum target_kind kind,
			       uint32_t index)
{
	const struct guest *g = b->in->inventory->guests[i];

	return (struct target){ .kind = kind, .index = index, .guest_id = g->id, .guest = g };
}

static const struct qclass *class_of(const struct build *b, uint32_t i)
{
	return &b->in->assign[i].effective;
}

/* ---- weights ---- */

/* Dedicated guests compete with nobody; released ones count with the kernel's default. */
static int solve_weights(struct build *b)
{
	const struct plan_input *in = b->in;
	size_t n = in->inventory->count, used = 0;
	CLEANUP_FREE struct cpushare *shares = calloc(n + 1, sizeof(*shares));
	CLEANUP_FREE uint32_t *guest = calloc(n + 1, sizeof(*guest));

	if (!shares || !guest)
		return -ENOMEM;
	for (uint32_t i = 0; i < n; i++) {
		const struct qclass *c = class_of(b, i);
		bool released = plan_treatment(in, i) == GUEST_RELEASED;

		b->weight[i] = c->cpu.weight;
		if (in->placement->guests[i].dedicated)
			continue;
		guest[used] = i;
		shares[used].weight = released ? 100 : c->cpu.weight;
		if (in->admitted[i] && !released)
			shares[used].reservation_mcpu =
				class_cpu_reservation_mcpu(c, in->inventory->guests[i]);
		used++;
	}
	cpushare_solve(shares, used, (uint64_t)cpuset_count(&in->placement->shared) * 1000);
	for (size_t k = 0; k < used; k++)
		b->weight[guest[k]] = shares[k].result;
	return 0;
}

static int add_weight(struct build *b, const struct target *t, uint32_t i)
{
	const struct qclass *c = class_of(b, i);
	struct reason why = plan_reason(b->in, i, WHY_CLASS_WEIGHT);

	if (b->weight[i] != c->cpu.weight)
		why.kind = b->weight[i] > c->cpu.weight ? WHY_WEIGHT_RAISED : WHY_WEIGHT_LOWERED;
	why.a = c->cpu.weight;
	why.b = b->weight[i];
	why.c = class_cpu_reservation_mcpu(c, t->guest);
	return plan_add(b->plan, t, KNOB_CPU_WEIGHT, knob_u64(b->weight[i]), why);
}

/* ---- CPU limit and burst ---- */

static int add_cpu_limit(struct build *b, const struct target *t, uint32_t i)
{
	const struct qclass *c = class_of(b, i);
	struct reason limit = plan_reason(b->in, i, WHY_NO_LIMIT);
	struct reason burst_why = plan_reason(b->in, i, WHY_NO_BURST);
	uint64_t quota, period, burst = 0;
	uint32_t vcpus = class_vcpus(t->guest);

	class_cpu_quota(c, t->guest, &quota, &period);
	if (quota != KNOB_MAX) {
		limit.kind = WHY_CPU_LIMIT;
		limit.a = c->cpu.limit_permille;
		limit.b = vcpus;
		/* The kernel refuses a burst beyond the quota. */
		burst = c->cpu.burst_us < quota / vcpus ? c->cpu.burst_us : quota / vcpus;
	}
	if (burst) {
		burst_why.kind = WHY_BURST;
		burst_why.a = burst;
	}
	if (plan_add(b->plan, t, KNOB_CPU_MAX, knob_quota(quota, period), limit) < 0)
		return -ENOMEM;
	return plan_add(b->plan, t, KNOB_CPU_MAX_BURST, knob_u64(burst * vcpus), burst_why);
}

/* ---- memory ---- */

static void amount_operands(struct reason *why, const struct amount *a, const struct guest *g)
{
	why->a = a->relative ? a->value : 0;
	why->b = a->relative ? g->memory_bytes : a->value;
}

static int add_memory_min(struct build *b, const struct target *t, uint32_t i)
{
	const struct qclass *c = class_of(b, i);
	struct reason why = plan_reason(b->in, i, WHY_NO_RESERVATION);
	uint64_t asked = class_memory_reservation(c, t->guest);

	if (asked && !b->in->admitted[i]) {
		why.kind = WHY_MEMORY_NOT_ADMITTED;
		why.a = asked;
	} else if (asked) {
		why.kind = WHY_MEMORY_RESERVED;
		amount_operands(&why, &c->memory.reservation, t->guest);
		why.c = class_memory_overhead(c, t->guest);
		why.d = class_memory_rbd_caches(c, t->guest);
	}
	return plan_add(b->plan, t, KNOB_MEMORY_MIN, knob_u64(b->memory[i].min_bytes), why);
}

static int add_memory_low(struct build *b, const struct target *t, uint32_t i)
{
	struct reason why = plan_reason(b->in, i, WHY_NO_RESERVATION);

	if (b->in->cgroup_v1)
		return 0;
	if (b->memory[i].low_bytes) {
		why.kind = WHY_MEMORY_LOW;
		amount_operands(&why, &class_of(b, i)->memory.low, t->guest);
	}
	return plan_add(b->plan, t, KNOB_MEMORY_LOW, knob_u64(b->memory[i].low_bytes), why);
}

static int add_swap(struct build *b, const struct target *t, uint32_t i)
{
	struct reason why = plan_reason(b->in, i, WHY_SWAP);

	why.a = class_of(b, i)->memory.swap != SWAP_NONE;
	return plan_add(b->plan, t, KNOB_SWAP_MAX, knob_u64(why.a ? KNOB_MAX : 0), why);
}

/* ---- CPU sets ---- */

static int add_vcpu(struct build *b, uint32_t i, uint32_t vcpu)
{
	const struct placement *place = b->in->placement;
	const struct placement_guest *pg = &place->guests[i];
	struct target t = target_of(b, i, TARGET_VCPU, vcpu);
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
	struct cpuset set = cpuset_and(&class_of(b, i)->cpu.emulator, &b->in->host->online);

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

static int add_emulator(struct build *b, uint32_t i)
{
	struct target t = target_of(b, i, TARGET_EMULATOR, 0);
	struct reason why = plan_reason(b->in, i, WHY_EMULATOR);
	struct cpuset set = emulator_cpus(b, i, &why.a);

	return plan_add(b->plan, &t, KNOB_CPU_AFFINITY, knob_cpuset(&set), why);
}

/* ---- network ---- */

static int add_nic_limit(struct build *b, const struct target *t, uint32_t i, bool in)
{
	struct reason why = plan_reason(b->in, i, WHY_NO_LIMIT);
	uint64_t limit = class_net_limit(class_of(b, i), in);

	if (limit != KNOB_MAX) {
		why.kind = WHY_NET_LIMIT;
		why.a = limit;
		why.b = in;
	}
	return plan_add(b->plan, t, in ? KNOB_NET_IN : KNOB_NET_OUT, knob_u64(limit), why);
}

static int add_nic(struct build *b, uint32_t i, uint32_t index)
{
	struct target t = target_of(b, i, TARGET_NIC, index);

	if (!t.guest->nics[index].ifindex)
		return 0;
	if (add_nic_limit(b, &t, i, true) < 0)
		return -ENOMEM;
	return add_nic_limit(b, &t, i, false);
}

/* ---- all of one kind, for one guest; 0 or -ENOMEM ---- */

static int add_guest_knobs(struct build *b, uint32_t i)
{
	static int (*const knobs[])(struct build *, const struct target *, uint32_t) = {
		add_weight, add_cpu_limit, add_memory_min, add_memory_low, add_swap,
	};
	struct target t = target_of(b, i, TARGET_GUEST, 0);
	int r = 0;

	if (!t.guest->cgroup)
		return 0;
	for (size_t k = 0; r == 0 && k < ARRAY_SIZE(knobs); k++)
		r = knobs[k](b, &t, i);
	return r;
}

static int add_vcpus(struct build *b, uint32_t i)
{
	uint32_t vcpus = class_vcpus(b->in->inventory->guests[i]);
	int r = 0;

	for (uint32_t v = 0; r == 0 && v < vcpus; v++)
		r = add_vcpu(b, i, v);
	return r;
}

static int add_nics(struct build *b, uint32_t i)
{
	size_t nnics = b->in->inventory->guests[i]->nnics;
	int r = 0;

	for (uint32_t k = 0; r == 0 && k < nnics; k++)
		r = add_nic(b, i, k);
	return r;
}

static int for_managed(struct build *b, int (*add)(struct build *, uint32_t))
{
	int r = 0;

	for (size_t k = 0; r == 0 && k < b->in->inventory->count; k++)
		if (plan_treatment(b->in, b->order[k]) == GUEST_MANAGED)
			r = add(b, b->order[k]);
	return r;
}

static int build_all(struct build *b)
{
	static int (*const kinds[])(struct build *, uint32_t) = {
		add_guest_knobs,
		add_vcpus,
		add_emulator,
		add_nics,
	};
	int r = solve_weights(b);

	for (size_t i = 0; i < b->in->inventory->count; i++)
		b->memory[i] = plan_guest_memory(b->in, i);
	if (r == 0 && !b->in->cgroup_v1)
		r = plan_add_ancestors(b->plan, b->in, b->memory);
	for (size_t k = 0; r == 0 && k < ARRAY_SIZE(kinds); k++)
		r = for_managed(b, kinds[k]);
	return r;
}

/* Room for most plans at once: seven knobs, emulator, scope and slice, vCPUs and NICs. */
static int reserve(struct build *b)
{
	const struct inventory *inv = b->in->inventory;
	size_t need = 16 + inv->count * 11;

	for (size_t i = 0; i < inv->count; i++)
		need += class_vcpus(inv->guests[i]) + 2 * inv->guests[i]->nnics;
	return mem_grow(&b->plan->entries, &b->plan->capacity, need, sizeof(*b->plan->entries));
}

static int compare_age(const void *pa, const void *pb, void *context)
{
	const struct inventory *inv = context;
	uint32_t a = *(const uint32_t *)pa, b = *(const uint32_t *)pb;
	uint32_t id_a = inv->guests[a]->id, id_b = inv->guests[b]->id;

	if (id_a != id_b)
		return id_a < id_b ? -1 : 1;
	return (a > b) - (a < b);
}

struct plan *plan_build(const struct plan_input *in)
{
	size_t n = in->inventory->count;
	CLEANUP_FREE uint32_t *order = calloc(n + 1, sizeof(*order));
	CLEANUP_FREE uint32_t *weight = calloc(n + 1, sizeof(*weight));
	CLEANUP_FREE struct guest_memory *memory = calloc(n + 1, sizeof(*memory));
	struct build b = { in, plan_new(), order, memory, weight };

	if (!order || !weight || !memory || !b.plan || reserve(&b) < 0) {
		plan_free(b.plan);
		return NULL;
	}
	for (uint32_t i = 0; i < n; i++)
		order[i] = i;
	qsort_r(order, n, sizeof(*order), compare_age, (void *)in->inventory);
	if (build_all(&b) < 0) {
		plan_free(b.plan);
		return NULL;
	}
	plan_sort(b.plan);
	return b.plan;
}
