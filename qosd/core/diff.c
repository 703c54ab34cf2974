/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * diff - the order of writes as one 64-bit key a change, so that sorting looks at each target once.
 *
 *	bits 48..63  order_lower or order_raise of the knob
 *	bits 32..47  CPU sets: stage, then larger sets first; trees: depth
 *	bits  0..31  place before sorting (keeps it stable)
 */
#include "qosd/core/diff.h"

#include <errno.h>
#include <stdlib.h>

#include "qosd/core/mem.h"

void diff_init(struct diff *d)
{
	*d = (struct diff){ 0 };
}

void diff_done(struct diff *d)
{
	free(d->changes);
	cpuset_store_done(&d->cpusets);
	*d = (struct diff){ 0 };
}

static int keep_actual(struct diff *d, uint8_t type, const struct knob_value *actual,
		       struct knob_value *ret)
{
	static const struct cpuset unknown;

	*ret = actual ? *actual : (struct knob_value){ .type = type };
	if (ret->type != KNOB_CPUSET)
		return 0;
	ret->cpuset = actual ? cpuset_store_keep(&d->cpusets, actual->cpuset) : &unknown;
	return ret->cpuset ? 0 : -ENOMEM;
}

int diff_entry(struct diff *d, const struct plan_entry *e, const struct knob_value *actual)
{
	struct change *c;
	struct knob_value from;

	if (actual && knob_holds(e->knob, &e->want, actual))
		return 0;
	if (keep_actual(d, e->want.type, actual, &from) < 0)
		return -ENOMEM;
	if (mem_grow(&d->changes, &d->capacity, d->count + 1, sizeof(*d->changes)) < 0)
		return -ENOMEM;
	c = &d->changes[d->count++];
	c->target = e->target;
	c->knob = e->knob;
	c->from_known = actual;
	c->from = from;
	c->to = e->want;
	c->why = e->why;
	return 1;
}

/*
 * What is not known is taken for the default: nothing reserved, no quota, all CPUs. So a limit
 * counts as lowered, a protection as raised, a CPU set as a release.
 */
static int direction_from_unknown(const struct change *c)
{
	switch ((enum knob_type)c->to.type) {
	case KNOB_CPUSET:
		return -1;
	case KNOB_QUOTA:
		return c->to.quota_us == KNOB_MAX ? 1 : -1;
	case KNOB_U64:
		if (knob_get(c->knob)->limit)
			return c->to.u64 == KNOB_MAX ? 1 : -1;
		return c->to.u64 ? 1 : -1;
	}
	return 1;
}

static int direction_of(const struct change *c)
{
	return c->from_known ? knob_direction(&c->from, &c->to) : direction_from_unknown(c);
}

/* Moving comes before growing (0, 1); within each, large sets (which release) before small ones. */
static uint64_t cpuset_place(const struct change *c, int direction)
{
	uint64_t stage = direction > 0 ? 1 : 0;

	return stage << 12 | (CPUSET_MAX - cpuset_count(c->to.cpuset));
}

static uint64_t tree_place(const struct change *c, int direction)
{
	unsigned int depth = target_depth(&c->target);

	if (depth > UINT16_MAX)
		depth = UINT16_MAX;
	return direction < 0 ? UINT16_MAX - depth : depth;
}

static uint64_t sort_key(const struct change *c, size_t place)
{
	const struct knob *k = knob_get(c->knob);
	int direction = direction_of(c);
	uint64_t order = direction < 0 ? k->order_lower : k->order_raise, within = 0;

	if (k->type == KNOB_CPUSET)
		within = cpuset_place(c, direction);
	else if (k->along_tree)
		within = tree_place(c, direction);
	return order << 48 | within << 32 | (place & UINT32_MAX);
}

/* One pass of a radix sort: stable, by the byte at `shift`. */
static void sort_pass(const uint64_t *from, uint64_t *to, size_t count, unsigned int shift)
{
	size_t place[256] = { 0 }, sum = 0;

	for (size_t i = 0; i < count; i++)
		place[from[i] >> shift & 0xff]++;
	for (size_t i = 0; i < ARRAY_SIZE(place); i++) {
		size_t n = place[i];

		place[i] = sum;
		sum += n;
	}
	for (size_t i = 0; i < count; i++)
		to[place[from[i] >> shift & 0xff]++] = from[i];
}

/* By the upper half; the lower one is ascending already. `keys` has room for twice `count`. */
static void sort_keys(uint64_t *keys, size_t count)
{
	uint64_t *other = keys + count;

	for (unsigned int shift = 32; shift < 64; shift += 16) {
		sort_pass(keys, other, count, shift);
		sort_pass(other, keys, count, shift + 8);
	}
}

/* In place without memory: changes are few where this can happen, and order must not be lost. */
static void insertion_sort(struct diff *d)
{
	for (size_t i = 1; i < d->count; i++) {
		struct change c = d->changes[i];
		uint64_t key = sort_key(&c, 0);
		size_t at = i;

		for (; at > 0 && sort_key(&d->changes[at - 1], 0) > key; at--)
			d->changes[at] = d->changes[at - 1];
		d->changes[at] = c;
	}
}

/* Bring each change to its place along the cycles of the permutation; keys are used up. */
static void permute(struct diff *d, uint64_t *keys)
{
	for (size_t i = 0; i < d->count; i++) {
		size_t at = i, from = keys[i] & UINT32_MAX;
		struct change first;

		if (from == i)
			continue;
		first = d->changes[i];
		while (from != i) {
			d->changes[at] = d->changes[from];
			keys[at] = at;
			at = from;
			from = keys[at] & UINT32_MAX;
		}
		d->changes[at] = first;
		keys[at] = at;
	}
}

void diff_sort(struct diff *d)
{
	CLEANUP_FREE uint64_t *keys = malloc((2 * d->count + 1) * sizeof(*keys));
	bool in_order = true;

	if (!keys) {
		insertion_sort(d);
		return;
	}
	for (size_t i = 0; i < d->count; i++) {
		keys[i] = sort_key(&d->changes[i], i);
		in_order &= !i || keys[i - 1] < keys[i];
	}
	if (in_order)
		return;
	sort_keys(keys, d->count);
	permute(d, keys);
}
