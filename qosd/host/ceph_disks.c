/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "qosd/host/ceph_disks.h"

#include <stdlib.h>
#include <string.h>

#include "qosd/core/mem.h"

size_t ceph_disks_place(const struct ceph_disks *t, uint32_t guest_id, uint32_t index)
{
	size_t low = 0, high = t->count;

	while (low < high) {
		size_t mid = low + (high - low) / 2;
		const struct ceph_disk *d = &t->items[mid];

		if (d->guest_id < guest_id || (d->guest_id == guest_id && d->index < index))
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

struct ceph_disk *ceph_disks_find(const struct ceph_disks *t, uint32_t guest_id, uint32_t index)
{
	size_t at = ceph_disks_place(t, guest_id, index);

	if (at == t->count || t->items[at].guest_id != guest_id || t->items[at].index != index)
		return NULL;
	return &t->items[at];
}

struct ceph_disk *ceph_disks_add(struct ceph_disks *t, struct guest *g, uint32_t index)
{
	size_t at = ceph_disks_place(t, g->id, index);

	if (mem_grow(&t->items, &t->capacity, t->count + 1, sizeof(*t->items)) < 0)
		return NULL;
	memmove(&t->items[at + 1], &t->items[at], (t->count - at) * sizeof(*t->items));
	t->count++;
	t->items[at] =
		(struct ceph_disk){ .guest_id = g->id, .index = index, .guest = guest_ref(g) };
	return &t->items[at];
}

bool ceph_disk_is_of(const struct ceph_disk *d, const struct guest *g)
{
	return d->guest == g ||
	       guest_rbd_same(guest_rbd_of(d->guest, d->index), guest_rbd_of(g, d->index));
}

/* All disks of a guest that has gone. */
static bool has_gone(const struct ceph_disk *d, const void *gone)
{
	return d->guest_id == ((const struct guest *)gone)->id;
}

/* Unplugged, or another one has taken its place in the guest's list. */
static bool is_elsewhere(const struct ceph_disk *d, const void *inv)
{
	const struct guest *g = inventory_by_id(inv, d->guest_id);

	return g && !ceph_disk_is_of(d, g);
}

static void drop(struct ceph_disks *t, bool (*which)(const struct ceph_disk *d, const void *of),
		 const void *of)
{
	size_t kept = 0;

	for (size_t i = 0; i < t->count; i++) {
		if (!which(&t->items[i], of)) {
			t->items[kept++] = t->items[i];
			continue;
		}
		t->changed |= t->items[i].state == DISK_LIVE;
		guest_unref(t->items[i].guest);
	}
	t->count = kept;
}

void ceph_disks_keep(struct ceph_disks *t, const struct inventory *inv)
{
	drop(t, is_elsewhere, inv);
}

void ceph_disks_drop(struct ceph_disks *t, const struct guest *gone)
{
	drop(t, has_gone, gone);
}

void ceph_disks_done(struct ceph_disks *t)
{
	for (size_t i = 0; i < t->count; i++)
		guest_unref(t->items[i].guest);
	free(t->items);
}
