/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * govern_guests - keeps what is known of each guest in step with the guests of the input, and the
 * ladder in step with the classes that have guests.
 *
 * When a class comes or goes the depth is moved with it: the classes that were untouched stay
 * untouched, and the one that gave way in part keeps its level.
 */
#include <errno.h>
#include <string.h>

#include "qosd/core/govern_private.h"
#include "qosd/core/mem.h"

static bool same_guests(const struct govern *g, const struct govern_input *in)
{
	if (g->nstates != in->nguests)
		return false;
	for (size_t i = 0; i < in->nguests; i++)
		if (g->states[i].id != in->guests[i].id)
			return false;
	return true;
}

static bool pressed(const struct govern *g)
{
	for (size_t r = 0; r < RESOURCE_COUNT; r++)
		if (g->governors[r].depth > 0)
			return true;
	return false;
}

/* A guest met for the first time: what it would take is not known yet. */
static void meet(struct govern_state *state, uint32_t id, uint64_t ramp_us)
{
	memset(state, 0, sizeof(*state));
	state->id = id;
	state->ramp_us = ramp_us;
	for (size_t t = 0; t < TRACK_COUNT; t++)
		state->tracks[t] = (struct track){ .use = TRACK_UNKNOWN,
						   .claim = TRACK_UNKNOWN,
						   .calm = TRACK_UNKNOWN,
						   .cap = TRACK_FREE };
}

static void merge(struct govern *g, const struct govern_input *in, uint64_t ramp_us)
{
	struct govern_state *old = g->states;
	size_t k = 0, capacity = g->states_capacity;

	for (size_t i = 0; i < in->nguests; i++) {
		while (k < g->nstates && old[k].id < in->guests[i].id)
			k++;
		if (k < g->nstates && old[k].id == in->guests[i].id)
			g->spare[i] = old[k];
		else
			meet(&g->spare[i], in->guests[i].id, ramp_us);
	}
	g->states = g->spare;
	g->states_capacity = g->spare_capacity;
	g->nstates = in->nguests;
	g->spare = old;
	g->spare_capacity = capacity;
}

int govern_guests_update(struct govern *g, const struct govern_input *in)
{
	bool known = g->nstates > 0 && !g->adopted;

	if (same_guests(g, in))
		return 0;
	if (mem_grow(&g->spare, &g->spare_capacity, in->nguests, sizeof(*g->spare)) < 0 ||
	    mem_grow(&g->caps, &g->caps_capacity, in->nguests, sizeof(*g->caps)) < 0 ||
	    mem_grow(&g->shares, &g->shares_capacity, in->nguests, sizeof(*g->shares)) < 0 ||
	    mem_grow(&g->by_class, &g->by_class_capacity, in->nguests, sizeof(*g->by_class)) < 0)
		return -ENOMEM;
	g->guests_changed = true;
	merge(g, in, known && pressed(g) ? in->now->at_us : 0);
	g->adopted = g->adopted && in->nguests == 0;
	return 0;
}

/* ---- classes ---- */

static bool resize_classes(struct govern *g, size_t n)
{
	size_t size = n ? n : 1;
	struct govern_class *classes;
	uint32_t *begin, *places, *spare_places, *ranks, *spare_ranks;
	uint64_t *bottom;

	if (n <= g->classes_capacity && g->classes)
		return true;
	classes = calloc(size, sizeof(*classes));
	begin = calloc(size + 1, sizeof(*begin));
	places = calloc(size, sizeof(*places));
	spare_places = calloc(size, sizeof(*places));
	ranks = calloc(size, sizeof(*ranks));
	spare_ranks = calloc(size, sizeof(*ranks));
	bottom = calloc(size, sizeof(*bottom));
	if (!classes || !begin || !places || !spare_places || !ranks || !spare_ranks || !bottom) {
		free(classes);
		free(begin);
		free(places);
		free(spare_places);
		free(ranks);
		free(spare_ranks);
		free(bottom);
		return false;
	}
	if (g->ladder.count)
		memcpy(ranks, g->ladder.ranks, g->ladder.count * sizeof(*ranks));
	free(g->classes);
	free(g->class_begin);
	free(g->bottom_us);
	free(g->ladder.places);
	free(g->ladder.ranks);
	free(g->spare_ladder.places);
	free(g->spare_ladder.ranks);
	g->classes = classes;
	g->class_begin = begin;
	g->bottom_us = bottom;
	g->ladder.places = places;
	g->ladder.ranks = ranks;
	g->spare_ladder.places = spare_places;
	g->spare_ladder.ranks = spare_ranks;
	g->classes_capacity = size;
	return true;
}

/* Guests in order of class: by_class[class_begin[c] .. class_begin[c + 1]). */
static void sort_by_class(struct govern *g, const struct govern_input *in)
{
	size_t n = in->policy->nclasses;
	uint32_t *begin = g->class_begin;

	memset(begin, 0, (n + 1) * sizeof(*begin));
	for (size_t i = 0; i < in->nguests; i++)
		begin[in->guests[i].qclass->index]++;
	for (size_t c = 1; c <= n; c++)
		begin[c] += begin[c - 1];
	for (size_t i = in->nguests; i-- > 0;)
		g->by_class[--begin[in->guests[i].qclass->index]] = (uint32_t)i;
}

/* Keep ranks[] sorted, falling, without doubles. */
static void insert_rank(struct govern_ladder *l, uint32_t rank)
{
	uint32_t at = 0;

	while (at < l->count && l->ranks[at] > rank)
		at++;
	if (at < l->count && l->ranks[at] == rank)
		return;
	memmove(&l->ranks[at + 1], &l->ranks[at], (l->count - at) * sizeof(*l->ranks));
	l->ranks[at] = rank;
	l->count++;
}

static uint32_t place_of(const struct govern_ladder *l, uint32_t rank)
{
	for (uint32_t i = 0; i < l->count; i++)
		if (l->ranks[i] == rank)
			return i;
	return PLACE_NONE;
}

static void build_ladder(struct govern *g, const struct policy *p, struct govern_ladder *l)
{
	l->count = 0;
	l->nclasses = p->nclasses;
	for (size_t c = 0; c < p->nclasses; c++)
		if (p->classes[c].rank > 0 && g->class_begin[c + 1] > g->class_begin[c])
			insert_rank(l, p->classes[c].rank);
	for (size_t c = 0; c < p->nclasses; c++)
		l->places[c] = place_of(l, p->classes[c].rank);
}

/* The same state of the classes on another ladder. */
static double move_depth(double depth, const struct govern_ladder *old,
			 const struct govern_ladder *now)
{
	uint32_t full = (uint32_t)depth, above = 0, place;

	if (depth <= 0)
		return 0;
	if (full >= old->count) /* all had given way; a class that joins below them does so too */
		full = old->count - 1;
	place = place_of(now, old->ranks[full]);
	if (place != PLACE_NONE)
		return place + (depth - full);
	while (above < now->count && now->ranks[above] > old->ranks[full])
		above++;
	return above;
}

int govern_ladder_update(struct govern *g, const struct govern_input *in)
{
	struct govern_ladder old = g->ladder, now;

	if (!resize_classes(g, in->policy->nclasses))
		return -ENOMEM;
	old = g->ladder;
	now = g->spare_ladder;
	sort_by_class(g, in);
	build_ladder(g, in->policy, &now);
	g->spare_ladder = old;
	g->ladder = now;
	if (old.count == 0 || (old.count == now.count &&
			       memcmp(old.ranks, now.ranks, now.count * sizeof(*now.ranks)) == 0))
		return 0;
	for (size_t r = 0; r < RESOURCE_COUNT; r++) {
		struct governor *gov = &g->governors[r];

		gov->depth = move_depth(gov->depth, &old, &now);
		gov->relapse_depth = -1;
	}
	memset(g->bottom_us, 0, g->classes_capacity * sizeof(*g->bottom_us));
	return 0;
}
