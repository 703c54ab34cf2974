/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "qosd/daemon/guests.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "qosd/core/mem.h"

#define RETRY_FIRST_US  125000ULL
#define RETRY_MAX_US    60000000ULL
#define RETRY_DOUBLINGS 9

static int compare_id(const void *key, const void *row)
{
	uint32_t id = *(const uint32_t *)key, other = ((const struct guest_row *)row)->id;

	return (id > other) - (id < other);
}

static int compare_rows(const void *a, const void *b)
{
	return compare_id(&((const struct guest_row *)a)->id, b);
}

static struct guest_row *search(const struct guest_table *t, size_t count, uint32_t id)
{
	return count ? bsearch(&id, t->rows, count, sizeof(*t->rows), compare_id) : NULL;
}

struct guest_row *guests_find(struct guest_table *t, uint32_t id)
{
	if (!id)
		return &t->groups;
	if (!t->latest || t->latest->id != id)
		t->latest = search(t, t->count, id);
	return t->latest;
}

struct guest_row *guests_find_uuid(struct guest_table *t, const char *uuid)
{
	for (size_t i = 0; i < t->count; i++)
		if (strcmp(t->rows[i].uuid, uuid) == 0)
			return &t->rows[i];
	return NULL;
}

/* Drop rows that were not marked present; the order stays. */
static void sweep(struct guest_table *t, void (*gone)(void *, const struct guest_row *), void *user)
{
	size_t kept = 0;

	for (size_t i = 0; i < t->count; i++) {
		if (t->rows[i].present) {
			t->rows[kept++] = t->rows[i];
			continue;
		}
		if (gone)
			gone(user, &t->rows[i]);
		free(t->rows[i].usage);
	}
	t->count = kept;
}

static struct guest_row *add_row(struct guest_table *t, const struct guest *g)
{
	struct guest_row *row = &t->rows[t->count++];

	memset(row, 0, sizeof(*row));
	row->id = g->id;
	memcpy(row->uuid, g->uuid, sizeof(row->uuid));
	guests_mark(row);
	return row;
}

static size_t count_new(const struct guest_table *t, const struct inventory *inv)
{
	size_t n = 0;

	for (size_t i = 0; i < inv->count; i++)
		n += !search(t, t->count, inv->guests[i]->id);
	return n;
}

int guests_sync(struct guest_table *t, const struct inventory *inv,
		void (*gone)(void *user, const struct guest_row *row), void *user)
{
	size_t known = t->count;
	int r = mem_grow(&t->rows, &t->capacity, t->count + count_new(t, inv), sizeof(*t->rows));

	if (r < 0)
		return r;
	t->latest = NULL;
	for (size_t i = 0; i < known; i++)
		t->rows[i].present = false;
	for (size_t i = 0; i < inv->count; i++) {
		const struct guest *g = inv->guests[i];
		struct guest_row *row = search(t, known, g->id);

		if (!row)
			row = add_row(t, g);
		row->present = true;
		if (g->start_ticks)
			row->start_ticks = g->start_ticks;
	}
	if (t->count > known)
		qsort(t->rows, t->count, sizeof(*t->rows), compare_rows);
	sweep(t, gone, user);
	return 0;
}

void guests_done(struct guest_table *t)
{
	for (size_t i = 0; i < t->count; i++)
		free(t->rows[i].usage);
	free(t->rows);
	memset(t, 0, sizeof(*t));
}

static bool is_vf(const struct target *t)
{
	return t->kind == TARGET_NIC && t->guest && t->index < t->guest->nnics &&
	       t->guest->nics[t->index].vf;
}

unsigned int guests_lane_id(const struct target *t, enum knob_id knob)
{
	switch (knob) {
	case KNOB_CPU_MAX:
		return LANE_QUOTA;
	case KNOB_CPU_MAX_BURST:
		return LANE_BURST;
	case KNOB_CPU_WEIGHT:
		return LANE_WEIGHT;
	default:
		return is_vf(t) ? LANE_VF : knob_get(knob)->adapter;
	}
}

struct lane *guests_lane(struct guest_row *row, const struct target *t, enum knob_id knob)
{
	return &row->lanes[guests_lane_id(t, knob)];
}

void guests_mark(struct guest_row *row)
{
	for (size_t i = 0; i < LANE_COUNT; i++)
		row->lanes[i].dirty = true;
}

void guests_retry(struct guest_row *row)
{
	for (size_t i = 0; i < LANE_COUNT; i++) {
		row->lanes[i].dirty = true;
		row->lanes[i].retry_us = 0;
	}
}

void lane_failed(struct lane *lane, const struct qerr *err, uint64_t now_us)
{
	unsigned int doublings =
		lane->failures < RETRY_DOUBLINGS ? lane->failures : RETRY_DOUBLINGS;
	uint64_t wait_us = RETRY_FIRST_US << doublings;

	lane->trouble = *err;
	lane->dirty = true;
	lane->verify = false;
	if (lane->retry_us > now_us)
		return; /* several knobs failed together: that is one failure */
	lane->failures++;
	lane->retry_us = now_us + (wait_us < RETRY_MAX_US ? wait_us : RETRY_MAX_US);
}

bool lane_ready(const struct lane *lane, uint64_t now_us)
{
	return lane->inflight == 0 && lane->retry_us <= now_us;
}

bool guests_quiet(const struct guest_row *row)
{
	for (size_t i = 0; i < LANE_COUNT; i++)
		if (row->lanes[i].inflight || row->lanes[i].dirty || row->lanes[i].failures)
			return false;
	return true;
}

bool guests_failing(const struct guest_row *row)
{
	for (size_t i = 0; i < LANE_COUNT; i++)
		if (row->lanes[i].failures)
			return true;
	return false;
}

const struct qerr *guests_trouble(const struct guest_row *row)
{
	for (size_t i = 0; i < LANE_COUNT; i++)
		if (row->lanes[i].failures)
			return &row->lanes[i].trouble;
	if (row->refused.code)
		return &row->refused;
	return row->finding.code ? &row->finding : NULL;
}

bool guests_held(const struct guest_row *row, uint64_t now_s)
{
	return row->hold_until_s > now_s;
}

bool guests_exempt(struct guest_table *t, uint32_t id, uint64_t now_s)
{
	const struct guest_row *row = guests_find(t, id);

	return !row || row->released || guests_held(row, now_s);
}
