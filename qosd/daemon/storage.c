/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * storage - rounds of division, and their parts for the plan.
 */
#include "qosd/daemon/storage.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "qosd/core/mem.h"
#include "qosd/daemon/overload.h"

#define ROUND_US UINT64_C(1000000)
#define SLACK_US UINT64_C(50000) /* ticks may come a little early */

_Static_assert(DISKSHARE_FREE == POLICY_NONE_U64 && DISKSHARE_FREE == THROTTLE_NONE &&
		       DISKSHARE_FREE == KNOB_MAX,
	       "no limit is the same everywhere");

struct storage {
	struct storage_source source;
	struct diskshare *shares;
	struct diskshare_output out; /* of the last round; borrowed */
	struct disk_part *adopted;   /* what it borrows of until then */
	uint64_t round_us;           /* 0: none yet */

	struct diskshare_disk *disks;
	size_t disks_room, count;
};

/* ---- life ---- */

struct storage *storage_new(void)
{
	struct storage *s = calloc(1, sizeof(*s));

	if (s && !(s->shares = diskshare_new())) {
		free(s);
		return NULL;
	}
	return s;
}

void storage_free(struct storage *s)
{
	if (!s)
		return;
	diskshare_free(s->shares);
	free(s->disks);
	free(s->adopted);
	free(s);
}

void storage_set_source(struct storage *s, const struct storage_source *source)
{
	s->source = *source;
}

static void capacity_of(const struct policy *p, uint64_t ret[DISKSHARE_UNITS])
{
	ret[DISKSHARE_IOPS] = p->host.disk.iops;
	ret[DISKSHARE_BPS] = p->host.disk.bps;
}

static bool shares_anything(const struct engine *e, const struct policy *p)
{
	return e->storage && e->storage->source.count &&
	       (p->host.disk.iops != POLICY_NONE_U64 || p->host.disk.bps != POLICY_NONE_U64);
}

void storage_stand_down(struct engine *e)
{
	struct storage *s = e->storage;

	if (!s)
		return;
	diskshare_reset(s->shares);
	memset(&s->out, 0, sizeof(s->out));
	s->round_us = 0;
}

/* ---- limits that a disk has without its part ---- */

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static uint64_t knob_now(struct engine *e, const struct target *t, enum knob_id knob)
{
	struct knob_value actual;

	return engine_read(e, t, knob, &actual, NULL) < 0 ? KNOB_MAX : actual.u64;
}

/* What somebody else has set. librbd is not asked for that each time: it is known once we wrote. */
static uint64_t knob_before(struct engine *e, const struct target *t, enum knob_id knob)
{
	const struct knob_value *kept = baseline_get(e->baseline, t, knob);

	if (kept)
		return kept->u64;
	return knob >= KNOB_RBD_READ_IOPS ? KNOB_MAX : knob_now(e, t, knob);
}

typedef uint64_t (*ask)(struct engine *e, const struct target *t, enum knob_id knob);

/* Reads and writes together, by the three knobs of a unit that begin at `first`. */
static uint64_t limit_by(struct engine *e, const struct target *t, enum knob_id first, ask value)
{
	uint64_t read = value(e, t, first), write = value(e, t, first + 1), both;

	if (__builtin_add_overflow(read, write, &both))
		both = KNOB_MAX;
	return least(both, value(e, t, first + 2));
}

static enum knob_id first_knob(size_t unit, bool rbd)
{
	return (rbd ? KNOB_RBD_READ_IOPS : KNOB_DISK_READ_IOPS) + 3 * (enum knob_id)unit;
}

static uint64_t class_limit(const struct qclass *c, size_t unit)
{
	return unit == DISKSHARE_IOPS ? class_disk_limit_iops(c) : class_disk_limit_bytes_ps(c);
}

/*
 * A class without a limit leaves the disk what it had before qosd, by libvirt or librbd: a part is
 * not to widen that.
 */
static uint64_t whole_limit(struct engine *e, const struct target *t, const struct qclass *c,
			    size_t unit)
{
	uint64_t limit = class_limit(c, unit);

	if (limit != KNOB_MAX)
		return limit;
	return least(limit_by(e, t, first_knob(unit, false), knob_before),
		     limit_by(e, t, first_knob(unit, true), knob_before));
}

/* What overload leaves a disk counts as its limit, so that others get the rest. */
static uint64_t cap_of(const struct picture *pic, size_t i, size_t unit)
{
	const struct guest_caps *caps = pic->caps ? &pic->caps[i] : NULL;
	uint64_t cap = !caps                    ? THROTTLE_NONE
		       : unit == DISKSHARE_IOPS ? caps->disk_iops
						: caps->disk_bytes_ps;

	return cap == THROTTLE_NONE ? cap : cap / guest_fixed_disks(pic->inventory->guests[i]);
}

/* ---- the round ---- */

static void add_disk(struct engine *e, size_t i, uint32_t index, bool exempt, bool closely)
{
	struct storage *s = e->storage;
	const struct guest *g = e->picture->inventory->guests[i];
	const struct qclass *c = &e->picture->assign[i].effective;
	struct target t = { .kind = TARGET_DISK, .index = index, .guest_id = g->id, .guest = g };
	struct diskshare_disk *d = &s->disks[s->count++];

	*d = (struct diskshare_disk){
		.guest_id = g->id,
		.index = index,
		.weight = c->disk.weight,
		.exempt = exempt,
		.floor = { class_disk_floor_iops(c), class_disk_floor_bytes_ps(c) },
	};
	for (size_t u = 0; u < DISKSHARE_UNITS; u++) {
		uint64_t limit = closely ? whole_limit(e, &t, c, u) : class_limit(c, u);

		d->limit[u] = exempt ? DISKSHARE_FREE : least(limit, cap_of(e->picture, i, u));
	}
	d->at_us = s->source.count(s->source.ctx, g, index, d->count);
}

static void add_disks(struct engine *e, size_t i, uint64_t now_s, bool closely)
{
	const struct picture *pic = e->picture;
	const struct guest *g = pic->inventory->guests[i];
	bool exempt = !pic->assign[i].base || guests_exempt(&e->guests, g->id, now_s);

	for (uint32_t k = 0; k < g->ndisks; k++)
		if (g->disks[k].fixed)
			add_disk(e, i, k, exempt, closely);
}

static int compare_disks(const void *pa, const void *pb)
{
	const struct diskshare_disk *a = pa, *b = pb;

	if (a->guest_id != b->guest_id)
		return a->guest_id < b->guest_id ? -1 : 1;
	return (a->index > b->index) - (a->index < b->index);
}

/* `closely`: limits that are none of qosd's are looked up, too. 0 or -ENOMEM. */
static int divide(struct engine *e, uint64_t now_us, bool closely)
{
	struct storage *s = e->storage;
	const struct inventory *inv = e->picture->inventory;
	struct diskshare_input in = { .now_us = now_us };
	uint64_t now_s = (uint64_t)time(NULL);
	size_t need = 0;

	for (size_t i = 0; i < inv->count; i++)
		need += inv->guests[i]->ndisks;
	if (mem_grow(&s->disks, &s->disks_room, need, sizeof(*s->disks)) < 0)
		return -ENOMEM;
	s->count = 0;
	for (size_t i = 0; i < inv->count; i++)
		add_disks(e, i, now_s, closely);
	if (s->count)
		qsort(s->disks, s->count, sizeof(*s->disks), compare_disks);
	capacity_of(e->policy, in.capacity);
	in.disks = s->disks;
	in.ndisks = s->count;
	return diskshare_round(s->shares, &in, &s->out);
}

static bool is_contended(const struct storage *s)
{
	return s->out.contended[DISKSHARE_IOPS] || s->out.contended[DISKSHARE_BPS];
}

/* As long as there is enough for all, nobody's limits matter. True: parts changed. */
static bool divide_anew(struct engine *e, uint64_t now_us)
{
	struct storage *s = e->storage;
	bool before = is_contended(s), changed;

	if (divide(e, now_us, before) < 0)
		return false;
	changed = s->out.changed;
	if (before || !is_contended(s))
		return changed;
	return (divide(e, now_us, true) == 0 && s->out.changed) || changed;
}

bool storage_round(struct engine *e)
{
	struct storage *s = e->storage;
	uint64_t now_us;

	if (!e->picture || e->picture->policy != e->policy)
		return false;
	if (!shares_anything(e, e->policy)) {
		storage_stand_down(e);
		return false; /* the turn of the new policy has ended them */
	}
	s->source.want(s->source.ctx);
	now_us = s->source.now_us(s->source.ctx);
	if (s->round_us && now_us - s->round_us < ROUND_US - SLACK_US)
		return false;
	s->round_us = now_us;
	return divide_anew(e, now_us);
}

/* ---- parts for the plan ---- */

static void add_part(struct engine *e, const struct disk_part *part, uint64_t now_s,
		     struct disk_parts *parts)
{
	struct disk_part *copy = &parts->items[parts->count];
	bool held = false;

	*copy = *part;
	for (size_t u = 0; u < DISKSHARE_UNITS; u++) {
		if (parts->capacity[u] == DISKSHARE_FREE)
			copy->rate[u] = DISKSHARE_FREE;
		held |= copy->rate[u] != DISKSHARE_FREE;
	}
	parts->count += held && !guests_exempt(&e->guests, part->guest_id, now_s);
}

struct disk_parts *storage_parts(struct engine *e, const struct policy *p)
{
	uint64_t now_s = (uint64_t)time(NULL);
	struct disk_parts *parts;

	if (!shares_anything(e, p) || e->protection->unleased || !e->storage->out.count)
		return NULL;
	parts = calloc(1, sizeof(*parts));
	if (parts)
		parts->items = calloc(e->storage->out.count, sizeof(*parts->items));
	if (!parts || !parts->items) {
		free(parts);
		return NULL;
	}
	capacity_of(p, parts->capacity);
	for (size_t i = 0; i < e->storage->out.count; i++)
		add_part(e, &e->storage->out.parts[i], now_s, parts);
	if (!parts->count) {
		disk_parts_free(parts);
		return NULL;
	}
	return parts;
}

/* ---- after a start ---- */

/* The limit of a unit that qosd has set, if it is less than the class's. */
static uint64_t part_in_force(struct engine *e, const struct target *t, const struct qclass *c,
			      size_t unit)
{
	uint64_t part = DISKSHARE_FREE;

	for (int rbd = 0; rbd < 2; rbd++) {
		enum knob_id first = first_knob(unit, rbd);
		bool ours = false;

		for (enum knob_id k = first; k < first + 3; k++)
			ours |= baseline_get(e->baseline, t, k) != NULL;
		if (ours)
			part = least(part, limit_by(e, t, first, knob_now));
	}
	return part < whole_limit(e, t, c, unit) ? part : DISKSHARE_FREE;
}

static void adopt_guest(struct engine *e, const struct guest *g, struct disk_part *parts,
			size_t *count)
{
	struct assignment a;

	classify(e->policy, g, &a);
	for (uint32_t k = 0; a.base && k < g->ndisks; k++) {
		struct target t = {
			.kind = TARGET_DISK, .index = k, .guest_id = g->id, .guest = g
		};
		struct disk_part part = { .guest_id = g->id, .index = k };
		bool held = false;

		for (size_t u = 0; g->disks[k].fixed && u < DISKSHARE_UNITS; u++) {
			part.rate[u] = part_in_force(e, &t, &a.effective, u);
			held |= part.rate[u] != DISKSHARE_FREE;
		}
		if (held)
			parts[(*count)++] = part;
	}
}

void storage_adopt(struct engine *e)
{
	struct storage *s = e->storage;
	struct disk_part *parts CLEANUP_FREE = NULL;
	size_t need = 0, count = 0;

	if (!shares_anything(e, e->policy))
		return;
	for (size_t i = 0; i < e->inventory->count; i++)
		need += e->inventory->guests[i]->ndisks;
	parts = calloc(need + 1, sizeof(*parts));
	for (size_t i = 0; parts && i < e->inventory->count; i++)
		adopt_guest(e, e->inventory->by_id[i], parts, &count);
	if (!count || diskshare_adopt(s->shares, parts, count) < 0)
		return;
	s->out = (struct diskshare_output){ .parts = parts, .count = count };
	s->adopted = TAKE_PTR(parts);
}
