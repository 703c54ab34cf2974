/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * plan_build - policy, inventory and placement made into the complete desired state.
 *
 * Entries are made in the order in which a plan is sorted (by kind, then guest id), so that sorting
 * costs one look. What several knobs need is computed once per guest before.
 */
#include <errno.h>
#include <stdlib.h>

#include "qosd/core/mem.h"
#include "qosd/core/plan_private.h"

struct reason plan_reason(const struct plan_input *in, size_t i, enum reason_kind kind)
{
	const struct assignment *a = &in->assign[i];

	return (struct reason){ .kind = kind,
				.overridden = a->overridden,
				.subject = a->effective.name };
}

/* ---- memory ---- */

static void amount_operands(struct reason *why, const struct amount *a, const struct guest *g)
{
	why->a = a->relative ? a->value : 0;
	why->b = a->relative ? g->memory_bytes : a->value;
}

static int add_memory_min(struct build *b, const struct target *t, uint32_t i)
{
	const struct qclass *c = plan_class(b, i);
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
		amount_operands(&why, &plan_class(b, i)->memory.low, t->guest);
	}
	return plan_add(b->plan, t, KNOB_MEMORY_LOW, knob_u64(b->memory[i].low_bytes), why);
}

static int add_swap(struct build *b, const struct target *t, uint32_t i)
{
	struct reason why = plan_reason(b->in, i, WHY_SWAP);

	why.a = plan_class(b, i)->memory.swap != SWAP_NONE;
	return plan_add(b->plan, t, KNOB_SWAP_MAX, knob_u64(why.a ? KNOB_MAX : 0), why);
}

/* ---- all of one kind, for one guest; 0 or -ENOMEM ---- */

static int add_guest_knobs(struct build *b, uint32_t i)
{
	static int (*const knobs[])(struct build *, const struct target *, uint32_t) = {
		plan_add_weight, plan_add_cpu_limit, add_memory_min,  add_memory_low,
		add_swap,        plan_add_balloon,   plan_add_freeze,
	};
	struct target t = plan_target(b, i, TARGET_GUEST, 0);
	int r = 0;

	if (!t.guest->cgroup)
		return 0;
	for (size_t k = 0; r == 0 && k < ARRAY_SIZE(knobs); k++)
		r = knobs[k](b, &t, i);
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
		add_guest_knobs, plan_add_vcpus, plan_add_emulator, plan_add_nics, plan_add_disks,
	};
	int r = plan_solve_weights(b);

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
	CLEANUP_FREE uint32_t *weight = calloc(2 * n + 1, sizeof(*weight));
	CLEANUP_FREE struct guest_memory *memory = calloc(n + 1, sizeof(*memory));
	struct build b = { in, plan_new(), order, memory, weight, weight ? weight + n : NULL };

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
