/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "qosd/daemon/guests.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "qosd/core/mem.h"

#define RETRY_FIRST_US 1000000ULL
#define RETRY_MAX_US   60000000ULL

static int compare_id(const void *key, const void *row)
{
	uint32_t id = *(const uint32_t *)key, other = ((const struct guest_row *)row)->id;

	return (id > other) - (id < other);
}

static int compare_rows(const void *a, const void *b)
{
	return compare_id(&((const struct guest_row *)a)->id, b);
}

struct guest_row *guests_find(const struct guest_table *t, uint32_t id)
{
	if (!t->count)
		return NULL;
	return bsearch(&id, t->rows, t->count, sizeof(*t->rows), compare_id);
}

struct guest_row *guests_find_uuid(const struct guest_table *t, const char *uuid)
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
		if (t->rows[i].present)
			t->rows[kept++] = t->rows[i];
		else if (gone)
			gone(user, &t->rows[i]);
	}
	t->count = kept;
}

int guests_sync(struct guest_table *t, const struct inventory *inv,
		void (*gone)(void *user, const struct guest_row *row), void *user)
{
	size_t known = t->count;
	int r = mem_grow(&t->rows, &t->capacity, t->count + inv->count, sizeof(*t->rows));

	if (r < 0)
		return r;
	for (size_t i = 0; i < t->count; i++)
		t->rows[i].present = false;
	for (size_t i = 0; i < inv->count; i++) {
		const struct guest *g = inv->guests[i];
		struct guest_table old = { t->rows, known, known };
		struct guest_row *row = guests_find(&old, g->id);

		if (!row) {
			row = &t->rows[t->count++];
			memset(row, 0, sizeof(*row));
			row->id = g->id;
			row->dirty = true;
			row->start_ticks = g->start_ticks;
			memcpy(row->uuid, g->uuid, sizeof(row->uuid));
		}
		row->present = true;
	}
	sweep(t, gone, user);
	qsort(t->rows, t->count, sizeof(*t->rows), compare_rows);
	return 0;
}

void guests_done(struct guest_table *t)
{
	free(t->rows);
	memset(t, 0, sizeof(*t));
}

void guests_failed(struct guest_row *row, const struct qerr *err, uint64_t now_us)
{
	unsigned int doublings = row->failures < 6 ? row->failures : 6;
	uint64_t wait_us = RETRY_FIRST_US << doublings;

	row->degraded = *err;
	row->failures++;
	row->retry_us = now_us + (wait_us < RETRY_MAX_US ? wait_us : RETRY_MAX_US);
	row->dirty = true;
}

void guests_recovered(struct guest_row *row)
{
	row->degraded.code = 0;
	row->degraded.text[0] = '\0';
	row->failures = 0;
	row->retry_us = 0;
}

bool guests_held(const struct guest_row *row, uint64_t now_s)
{
	return row->hold_until_s > now_s;
}
