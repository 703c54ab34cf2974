/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * plan - the container. plan_build.c fills it, plan_memory.c sums along the tree, reason.c speaks.
 */
#include "qosd/core/plan.h"

#include <errno.h>
#include <stdlib.h>

#include "qosd/core/arena.h"
#include "qosd/core/mem.h"

struct plan *plan_new(void)
{
	struct plan *p = calloc(1, sizeof(*p));

	if (!p)
		return NULL;
	p->arena = arena_new();
	if (!p->arena) {
		free(p);
		return NULL;
	}
	return p;
}

void plan_free(struct plan *p)
{
	if (!p)
		return;
	free(p->entries);
	arena_free(p->arena);
	cpuset_store_done(&p->cpusets);
	free(p);
}

int plan_add(struct plan *p, const struct target *t, enum knob_id knob, struct knob_value want,
	     struct reason why)
{
	struct plan_entry *e;

	if (want.type == KNOB_CPUSET &&
	    !(want.cpuset = cpuset_store_keep(&p->cpusets, want.cpuset)))
		return -ENOMEM;
	if (mem_grow(&p->entries, &p->capacity, p->count + 1, sizeof(*p->entries)) < 0)
		return -ENOMEM;
	e = &p->entries[p->count++];
	e->target = *t;
	e->knob = knob;
	e->want = want;
	e->why = why;
	return 0;
}

static int compare_place(const struct plan_entry *e, const struct target *t, enum knob_id knob)
{
	int r = target_compare(&e->target, t);

	return r ? r : (e->knob > knob) - (e->knob < knob);
}

static int compare_entries(const void *pa, const void *pb)
{
	const struct plan_entry *b = pb;

	return compare_place(pa, &b->target, b->knob);
}

void plan_sort(struct plan *p)
{
	for (size_t i = 1; i < p->count; i++) {
		if (compare_entries(&p->entries[i - 1], &p->entries[i]) > 0) {
			qsort(p->entries, p->count, sizeof(*p->entries), compare_entries);
			return;
		}
	}
}

const struct plan_entry *plan_find(const struct plan *p, const struct target *t, enum knob_id knob)
{
	size_t low = 0, high = p->count;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (compare_place(&p->entries[mid], t, knob) < 0)
			low = mid + 1;
		else
			high = mid;
	}
	if (low < p->count && compare_place(&p->entries[low], t, knob) == 0)
		return &p->entries[low];
	return NULL;
}

const struct plan_entry *plan_next_of(const struct plan *p, uint32_t guest_id, size_t *at)
{
	while (*at < p->count) {
		const struct plan_entry *e = &p->entries[(*at)++];

		if (e->target.kind != TARGET_CGROUP && e->target.guest_id == guest_id)
			return e;
	}
	return NULL;
}
