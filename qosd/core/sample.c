/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * sample - memory of a reading, and differences of counters.
 */
#include "qosd/core/sample.h"

#include <string.h>

#include "qosd/core/mem.h"

const char *const resource_names[RESOURCE_COUNT] = { "cpu", "memory", "net", "disk" };

void sample_guest_init(struct sample_guest *g, uint32_t id)
{
	memset(g, 0xff, sizeof(*g)); /* every field is a SAMPLE_UNKNOWN */
	g->id = id;
}

void sample_reset(struct sample *s, uint64_t at_us)
{
	s->at_us = at_us;
	for (size_t i = 0; i < RESOURCE_COUNT; i++)
		s->psi_some_us[i] = SAMPLE_UNKNOWN;
	s->memory_total_bytes = SAMPLE_UNKNOWN;
	s->memory_available_bytes = SAMPLE_UNKNOWN;
	s->swap_free_bytes = SAMPLE_UNKNOWN;
	s->nuplinks = 0;
	s->nguests = 0;
}

void sample_done(struct sample *s)
{
	free(s->guests);
	memset(s, 0, sizeof(*s));
}

struct sample_guest *sample_add(struct sample *s, uint32_t id)
{
	struct sample_guest *g;

	if (mem_grow(&s->guests, &s->capacity, s->nguests + 1, sizeof(*s->guests)) < 0)
		return NULL;
	g = &s->guests[s->nguests++];
	sample_guest_init(g, id);
	return g;
}

const struct sample_guest *sample_find(const struct sample *s, uint32_t id)
{
	size_t low = 0, high = s->nguests;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (s->guests[middle].id < id)
			low = middle + 1;
		else
			high = middle;
	}
	return low < s->nguests && s->guests[low].id == id ? &s->guests[low] : NULL;
}

uint64_t sample_delta(uint64_t earlier, uint64_t later)
{
	if (earlier == SAMPLE_UNKNOWN || later == SAMPLE_UNKNOWN || later < earlier)
		return SAMPLE_UNKNOWN;
	return later - earlier;
}

uint64_t sample_climb(uint64_t from, uint64_t to, uint64_t age_us, uint64_t span_us)
{
	if (to <= from || age_us >= span_us)
		return to;
	return from + (uint64_t)((unsigned __int128)(to - from) * age_us / span_us);
}
