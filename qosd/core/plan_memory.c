/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * plan_memory - reservations summed along the cgroup tree, and what overload takes of a guest.
 *
 * Protection reaches a group only if all groups above it have at least as much; and where systemd
 * mounts cgroups with memory_recursiveprot, what a group has beyond the sum of its children goes to
 * children that own nothing. So each group above guests gets the exact sum. One hash table by path,
 * then one sort of the different paths.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "qosd/core/arena.h"
#include "qosd/core/mem.h"
#include "qosd/core/plan_private.h"

#define MIB (UINT64_C(1) << 20)

struct group {
	const char *path; /* not terminated; in a guest */
	size_t len;
	uint64_t hash;
	uint64_t min_bytes, low_bytes;
	uint32_t nmin, nlow; /* guests that add to them */
	bool managed;        /* above at least one managed guest */
};

struct groups {
	struct group *items;
	size_t count, capacity;
	uint32_t *slots; /* index + 1; open addressing, a power of two */
	size_t nslots;
};

static uint64_t sum(uint64_t a, uint64_t b)
{
	return a > UINT64_MAX - b ? UINT64_MAX : a + b;
}

/* The slot of this path, or the free one where it belongs. */
static size_t find_slot(const struct groups *g, const char *path, size_t len, uint64_t hash)
{
	size_t at = hash & (g->nslots - 1);

	for (; g->slots[at]; at = (at + 1) & (g->nslots - 1)) {
		const struct group *item = &g->items[g->slots[at] - 1];

		if (item->hash == hash && item->len == len && memcmp(item->path, path, len) == 0)
			break;
	}
	return at;
}

static int grow_slots(struct groups *g)
{
	size_t nslots = g->nslots ? g->nslots * 2 : 256;
	uint32_t *slots = calloc(nslots, sizeof(*slots));

	if (!slots)
		return -ENOMEM;
	free(g->slots);
	g->slots = slots;
	g->nslots = nslots;
	for (size_t i = 0; i < g->count; i++) {
		const struct group *item = &g->items[i];

		g->slots[find_slot(g, item->path, item->len, item->hash)] = (uint32_t)i + 1;
	}
	return 0;
}

static struct group *group_of(struct groups *g, const char *path, size_t len, uint64_t hash)
{
	size_t slot;

	if (2 * (g->count + 1) > g->nslots && grow_slots(g) < 0)
		return NULL;
	slot = find_slot(g, path, len, hash);
	if (!g->slots[slot]) {
		if (mem_grow(&g->items, &g->capacity, g->count + 1, sizeof(*g->items)) < 0)
			return NULL;
		g->items[g->count] = (struct group){ .path = path, .len = len, .hash = hash };
		g->slots[slot] = (uint32_t)++g->count;
	}
	return &g->items[g->slots[slot] - 1];
}

static void charge(struct group *group, const struct guest_memory *m, bool managed)
{
	group->min_bytes = sum(group->min_bytes, m->min_bytes);
	group->low_bytes = sum(group->low_bytes, m->low_bytes);
	group->nmin += m->min_bytes > 0;
	group->nlow += m->low_bytes > 0;
	group->managed |= managed;
}

/* Charge every group above the guest's own, without the root: the parts before each later '/'. */
static int charge_path(struct groups *g, const char *path, const struct guest_memory *m,
		       bool managed)
{
	uint64_t hash = UINT64_C(0xcbf29ce484222325); /* FNV-1a, taken along the path */

	if (path[0] != '/')
		return 0;
	for (size_t i = 0; path[i]; i++) {
		if (i > 0 && path[i] == '/' && path[i + 1] && path[i - 1] != '/') {
			struct group *group = group_of(g, path, i, hash);

			if (!group)
				return -ENOMEM;
			charge(group, m, managed);
		}
		hash = (hash ^ (unsigned char)path[i]) * UINT64_C(0x100000001b3);
	}
	return 0;
}

static int compare_groups(const void *pa, const void *pb)
{
	const struct group *a = pa, *b = pb;
	size_t len = a->len < b->len ? a->len : b->len;
	int r = memcmp(a->path, b->path, len);

	return r ? r : (a->len > b->len) - (a->len < b->len);
}

static int emit(struct plan *p, const struct group *g)
{
	struct target t = { .kind = TARGET_CGROUP };
	struct reason min = { .kind = WHY_ANCESTOR_MIN, .a = g->nmin };
	struct reason low = { .kind = WHY_ANCESTOR_LOW, .a = g->nlow };
	char *path = arena_alloc(p->arena, g->len + 1);

	if (!path)
		return -ENOMEM;
	memcpy(path, g->path, g->len);
	t.path = path;
	if (plan_add(p, &t, KNOB_MEMORY_MIN, knob_u64(g->min_bytes), min) < 0)
		return -ENOMEM;
	return plan_add(p, &t, KNOB_MEMORY_LOW, knob_u64(g->low_bytes), low);
}

static int collect(struct groups *g, const struct plan_input *in, const struct guest_memory *memory)
{
	for (size_t i = 0; i < in->inventory->count; i++) {
		const struct guest *guest = in->inventory->guests[i];
		enum guest_treatment treatment = plan_treatment(in, i);

		if (!guest->cgroup || treatment == GUEST_RELEASED)
			continue;
		if (charge_path(g, guest->cgroup, &memory[i], treatment == GUEST_MANAGED) < 0)
			return -ENOMEM;
	}
	return 0;
}

int plan_add_ancestors(struct plan *p, const struct plan_input *in,
		       const struct guest_memory *memory)
{
	struct groups g = { 0 };
	int r = collect(&g, in, memory);

	if (g.count)
		qsort(g.items, g.count, sizeof(*g.items), compare_groups);
	for (size_t i = 0; r == 0 && i < g.count; i++)
		if (g.items[i].managed)
			r = emit(p, &g.items[i]);
	free(g.items);
	free(g.slots);
	return r;
}

struct guest_memory plan_guest_memory(const struct plan_input *in, size_t i)
{
	const struct qclass *c = &in->assign[i].effective;
	const struct guest *guest = in->inventory->guests[i];
	struct guest_memory m = { 0 };

	if (in->admitted[i])
		m.min_bytes = class_memory_reservation(c, guest);
	m.low_bytes = class_memory_low(c, guest);
	return m;
}

/* ---- what overload takes ---- */

static uint64_t larger(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

/* Down to the cap, but not below the floor and what is reserved; in steps, so that a cap that
 * moves a little does not bother the guest each time. */
static uint64_t balloon_bytes(const struct build *b, const struct target *t, uint32_t i)
{
	const struct qclass *c = plan_class(b, i);
	uint64_t memory = t->guest->memory_bytes, bytes, step = larger(memory / 64, MIB);

	bytes = larger(plan_caps(b, i)->memory_bytes, class_memory_floor(c, t->guest));
	if (b->in->admitted[i] && class_memory_reservation(c, t->guest))
		bytes = larger(bytes, class_memory_reservation(c, t->guest) -
					      class_memory_overhead(c, t->guest) -
					      class_memory_rbd_caches(c, t->guest));
	step -= step % MIB;
	return bytes >= memory ? memory : (bytes + step - 1) / step * step;
}

static bool may_balloon(const struct qclass *c, const struct guest *g)
{
	if (c->memory.balloon == BALLOON_SAFE)
		return g->balloon == GUEST_BALLOON_SAFE;
	return c->memory.balloon == BALLOON_YES && g->balloon != GUEST_BALLOON_NONE;
}

int plan_add_balloon(struct build *b, const struct target *t, uint32_t i)
{
	const struct qclass *c = plan_class(b, i);
	const struct guest_caps *caps = plan_caps(b, i);
	struct reason why = plan_reason(b->in, i, WHY_BALLOON);

	if (!caps || caps->memory_bytes >= t->guest->memory_bytes || !c->rank ||
	    !may_balloon(c, t->guest))
		return 0;
	why.a = balloon_bytes(b, t, i);
	why.d = caps->level[RESOURCE_MEMORY];
	if (why.a >= t->guest->memory_bytes)
		return 0;
	return plan_add(b->plan, t, KNOB_BALLOON, knob_u64(why.a), why);
}

/* A frozen client of Ceph loses its lock, and the guest its disk. */
static bool has_rbd(const struct guest *g)
{
	for (size_t k = 0; k < g->ndisks; k++)
		if (g->disks[k].rbd)
			return true;
	return false;
}

int plan_add_freeze(struct build *b, const struct target *t, uint32_t i)
{
	const struct qclass *c = plan_class(b, i);
	const struct guest_caps *caps = plan_caps(b, i);
	struct reason why = plan_reason(b->in, i, WHY_FREEZE);

	if (!caps || !caps->freeze || !c->memory.freeze || !c->rank || b->in->cgroup_v1 ||
	    has_rbd(t->guest))
		return 0;
	why.d = caps->level[RESOURCE_MEMORY];
	return plan_add(b->plan, t, KNOB_FREEZE, knob_u64(1), why);
}
