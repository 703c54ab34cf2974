/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * guest - reference-counted guests and the inventory that holds them in two orders.
 *
 * by name (for people and for deterministic output) and by id (for look-ups and for age). Adding
 * finds its place by bisection and shifts the rest: pointers only, so 1000 guests are cheap.
 */
#include "qosd/core/guest.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "qosd/core/mem.h"

struct guest *guest_new(void)
{
	struct guest *g = calloc(1, sizeof(*g));

	if (g)
		atomic_init(&g->refs, 1);
	return g;
}

bool guest_nic_is_vf(const struct guest_nic *nic)
{
	return nic->vf && nic->card_ifindex;
}

const char *guest_nic_text(const struct guest_nic *nic, char buf[GUEST_NIC_TEXT_MAX])
{
	snprintf(buf, GUEST_NIC_TEXT_MAX, "%s", nic->device);
	if (guest_nic_is_vf(nic))
		snprintf(buf, GUEST_NIC_TEXT_MAX, "%s/vf%u", nic->card, nic->vf_number);
	return buf;
}

static const char *hostdev_obstacle(const struct guest_nic *nic)
{
	if (guest_nic_is_vf(nic))
		return NULL;
	if (nic->vf)
		return "the guest drives a virtual function (PCI passthrough) of a card that has no "
		       "network device on the host by which it could be limited";
	return "the guest drives the hardware itself (PCI passthrough) and it is no virtual "
	       "function of a card; limit it in the card or the switch";
}

const char *guest_nic_obstacle(const struct guest_nic *nic)
{
	static const struct {
		const char *type, *why;
	} kinds[] = {
		{ "vhostuser",
		  "its packets pass by the kernel (vhost-user); limit it in the switch "
		  "that serves its socket" },
		{ "vdpa", "the hardware serves the guest's queues itself (vDPA); limit it in the "
			  "card or the switch" },
		{ "user",
		  "QEMU itself carries its packets (user-mode network); give it a bridge, a "
		  "network or a macvtap" },
	};

	if (strcmp(nic->type, "hostdev") == 0)
		return hostdev_obstacle(nic);
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		if (strcmp(nic->type, kinds[i].type) == 0)
			return kinds[i].why;
	return nic->device[0] ? NULL
			      : "it has no device on the host; give it a bridge, a network or "
				"a macvtap";
}

uint32_t guest_shaped_nics(const struct guest *g)
{
	uint32_t n = 0;

	for (size_t k = 0; k < g->nnics; k++)
		n += g->nics[k].ifindex != 0;
	return n;
}

uint32_t guest_fixed_disks(const struct guest *g)
{
	uint32_t n = 0;

	for (size_t i = 0; i < g->ndisks; i++)
		n += g->disks[i].fixed;
	return n;
}

const struct guest_rbd *guest_rbd_of(const struct guest *g, uint32_t disk)
{
	for (size_t i = 0; i < g->nrbds; i++)
		if (g->rbds[i].disk == disk)
			return &g->rbds[i];
	return NULL;
}

bool guest_rbd_same(const struct guest_rbd *a, const struct guest_rbd *b)
{
	if (!a || !b)
		return a == b;
	return strcmp(a->pool, b->pool) == 0 && strcmp(a->ns, b->ns) == 0 &&
	       strcmp(a->image, b->image) == 0 && strcmp(a->snapshot, b->snapshot) == 0 &&
	       strcmp(a->monitors, b->monitors) == 0 && strcmp(a->conf, b->conf) == 0;
}

struct guest *guest_ref(struct guest *g)
{
	atomic_fetch_add_explicit(&g->refs, 1, memory_order_relaxed);
	return g;
}

static void guest_free(struct guest *g)
{
	for (size_t i = 0; i < g->noverrides; i++) {
		free(g->overrides[i].key);
		free(g->overrides[i].value);
	}
	free(g->overrides);
	free(g->name);
	free(g->title);
	free(g->flavor);
	free(g->project);
	free(g->class_name);
	free(g->vcpu_tids);
	free(g->nics);
	free(g->disks);
	free(g->rbds);
	free(g->cgroup);
	free(g->cgroup_memory);
	free(g);
}

void guest_unref(struct guest *g)
{
	/* acq_rel: the last holder must see what the others did before they let go. */
	if (g && atomic_fetch_sub_explicit(&g->refs, 1, memory_order_acq_rel) == 1)
		guest_free(g);
}

struct inventory *inventory_new(size_t capacity)
{
	struct inventory *inv = calloc(1, sizeof(*inv));

	if (!inv)
		return NULL;
	inv->capacity = capacity ? capacity : 16;
	inv->guests = calloc(inv->capacity, sizeof(*inv->guests));
	inv->by_id = calloc(inv->capacity, sizeof(*inv->by_id));
	if (!inv->guests || !inv->by_id) {
		inventory_free(inv);
		return NULL;
	}
	return inv;
}

void inventory_free(struct inventory *inv)
{
	if (!inv)
		return;
	for (size_t i = 0; i < inv->count; i++)
		guest_unref(inv->guests[i]);
	free(inv->guests);
	free(inv->by_id);
	free(inv);
}

struct inventory *inventory_copy(const struct inventory *inv)
{
	struct inventory *copy = inventory_new(inv->count);

	if (!copy)
		return NULL;
	memcpy(copy->guests, inv->guests, inv->count * sizeof(*copy->guests));
	memcpy(copy->by_id, inv->by_id, inv->count * sizeof(*copy->by_id));
	copy->count = inv->count;
	for (size_t i = 0; i < copy->count; i++)
		guest_ref(copy->guests[i]);
	return copy;
}

static const char *name_of(const struct guest *g)
{
	return g->name ? g->name : "";
}

static int compare_name(const struct guest *a, const struct guest *b)
{
	int r = strcmp(name_of(a), name_of(b));

	return r ? r : strcmp(a->uuid, b->uuid);
}

static int compare_id(const struct guest *a, const struct guest *b)
{
	return (a->id > b->id) - (a->id < b->id);
}

/* The first place in the sorted array whose guest comes after g. */
static size_t place_for(struct guest *const *array, size_t count, const struct guest *g,
			int (*compare)(const struct guest *, const struct guest *))
{
	size_t low = 0, high = count;

	/* New guests mostly come last: look there before bisecting. */
	if (count && compare(array[count - 1], g) <= 0)
		return count;
	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (compare(array[mid], g) <= 0)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

static void insert(struct guest **array, size_t count, size_t at, struct guest *g)
{
	memmove(array + at + 1, array + at, (count - at) * sizeof(*array));
	array[at] = g;
}

static int inventory_grow(struct inventory *inv)
{
	size_t guests = inv->capacity, by_id = inv->capacity;

	if (inv->count < inv->capacity)
		return 0;
	if (mem_grow(&inv->guests, &guests, inv->count + 1, sizeof(*inv->guests)) < 0 ||
	    mem_grow(&inv->by_id, &by_id, inv->count + 1, sizeof(*inv->by_id)) < 0)
		return -ENOMEM;
	inv->capacity = guests < by_id ? guests : by_id;
	return 0;
}

int inventory_add(struct inventory *inv, struct guest *g)
{
	if (inventory_grow(inv) < 0)
		return -ENOMEM;
	insert(inv->guests, inv->count, place_for(inv->guests, inv->count, g, compare_name),
	       guest_ref(g));
	insert(inv->by_id, inv->count, place_for(inv->by_id, inv->count, g, compare_id), g);
	inv->count++;
	return 0;
}

int inventory_replace(struct inventory *inv, struct guest *g)
{
	struct guest *old = inventory_by_id(inv, g->id);

	if (!old || compare_name(old, g) != 0)
		return -ENOENT;
	for (size_t i = 0; i < inv->count; i++) {
		if (inv->guests[i] == old)
			inv->guests[i] = g;
		if (inv->by_id[i] == old)
			inv->by_id[i] = g;
	}
	guest_ref(g);
	guest_unref(old);
	return 0;
}

static struct guest *find_by_name(const struct inventory *inv, const char *name)
{
	size_t low = 0, high = inv->count;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (strcmp(name_of(inv->guests[mid]), name) < 0)
			low = mid + 1;
		else
			high = mid;
	}
	if (low < inv->count && strcmp(name_of(inv->guests[low]), name) == 0)
		return inv->guests[low];
	return NULL;
}

struct guest *inventory_find(const struct inventory *inv, const char *name_or_uuid)
{
	struct guest *g = find_by_name(inv, name_or_uuid);

	for (size_t i = 0; !g && i < inv->count; i++)
		if (strcasecmp(inv->guests[i]->uuid, name_or_uuid) == 0)
			g = inv->guests[i];
	return g;
}

struct guest *inventory_by_id(const struct inventory *inv, uint32_t id)
{
	size_t low = 0, high = inv->count;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (inv->by_id[mid]->id < id)
			low = mid + 1;
		else
			high = mid;
	}
	return low < inv->count && inv->by_id[low]->id == id ? inv->by_id[low] : NULL;
}
