/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * share - progressive filling by a heap: whose room is used up first, measured by its weight, comes
 * off first; once that one cannot be filled, all that are left get the same level.
 *
 * The products are 128 bits wide: capacity times the sum of weights.
 */
#include "qosd/core/share.h"

typedef unsigned __int128 wide;

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* ---- a heap with the smallest room per weight on top ---- */

static int before(const struct share_slot *a, const struct share_slot *b)
{
	return (wide)a->room * b->weight < (wide)b->room * a->weight;
}

static void sift_down(struct share_slot *heap, size_t count, size_t i)
{
	for (size_t child; (child = 2 * i + 1) < count; i = child) {
		struct share_slot slot = heap[i];

		if (child + 1 < count && before(&heap[child + 1], &heap[child]))
			child++;
		if (!before(&heap[child], &slot))
			return;
		heap[i] = heap[child];
		heap[child] = slot;
	}
}

static void heapify(struct share_slot *heap, size_t count)
{
	for (size_t i = count / 2; i-- > 0;)
		sift_down(heap, count, i);
}

/* ---- filling ---- */

/* Adds to the rates of `slots` what `amount` gives them; what is left over. */
static uint64_t fill(uint64_t amount, struct share *shares, struct share_slot *slots, size_t count)
{
	wide weights = 0;

	for (size_t i = 0; i < count; i++)
		weights += slots[i].weight;
	heapify(slots, count);
	while (count && slots[0].room * weights <= (wide)amount * slots[0].weight) {
		shares[slots[0].index].rate += slots[0].room;
		amount -= slots[0].room;
		weights -= slots[0].weight;
		slots[0] = slots[--count];
		sift_down(slots, count, 0);
	}
	for (size_t i = 0; i < count; i++)
		shares[slots[i].index].rate += (uint64_t)(amount * (wide)slots[i].weight / weights);
	return count ? 0 : amount;
}

/* Everyone up to a bound, as far as its weight carries. What is left over. */
static uint64_t fill_to(uint64_t amount, struct share *shares, size_t count,
			uint64_t (*bound)(const struct share *s), struct share_slot *slots)
{
	size_t n = 0;

	for (size_t i = 0; i < count; i++) {
		uint64_t up_to = bound(&shares[i]);

		if (shares[i].weight && up_to > shares[i].rate)
			slots[n++] = (struct share_slot){ .room = up_to - shares[i].rate,
							  .weight = shares[i].weight,
							  .index = i };
	}
	return fill(amount, shares, slots, n);
}

static uint64_t wanted(const struct share *s)
{
	return least(s->demand, s->limit);
}

static uint64_t allowed(const struct share *s)
{
	return s->limit;
}

/* What is owned comes first. What is left over. */
static uint64_t fill_owned(uint64_t amount, struct share *shares, size_t count,
			   struct share_slot *slots)
{
	size_t n = 0;

	for (size_t i = 0; i < count; i++) {
		uint64_t owned = least(wanted(&shares[i]), shares[i].reservation);

		shares[i].rate = 0;
		if (owned)
			slots[n++] = (struct share_slot){ .room = owned,
							  .weight = shares[i].reservation,
							  .index = i };
	}
	return fill(amount, shares, slots, n);
}

void share_divide(uint64_t capacity, struct share *shares, size_t count, struct share_slot *scratch)
{
	uint64_t left = fill_owned(capacity, shares, count, scratch);

	left = fill_to(left, shares, count, wanted, scratch);
	fill_to(left, shares, count, allowed, scratch);
}
