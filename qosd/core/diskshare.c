/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * diskshare - rounds of division.
 *
 * Floors are no reservations, on top of which the rest would be shared: a disk has its part by
 * weight or its floor, whichever is more. So those whose part came out below their floor are given
 * the floor, the others share what that leaves, and so on; each pass has fewer to look at. Disks of
 * one class go together, so a few passes do.
 */
#include "qosd/core/diskshare.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "qosd/core/mem.h"
#include "qosd/core/share.h"

#define NEARLY_ALL 10                 /* takes all but a tenth of what it may: wants more */
#define RELAXED    90                 /* percent of the capacity that is asked for ... */
#define RELAX_US   UINT64_C(3000000)  /* less than that for so long: all are free */
#define SETTLE_US  UINT64_C(3000000)  /* by then a new part shows in what is counted */
#define LIGHT_US   UINT64_C(10000000) /* less than half of its part for so long: let go */
#define ADOPTED_US UINT64_C(10000000) /* what was taken over stands so long without a count */
#define SAME       10                 /* a change by less than a tenth is none */
#define EXCESS     20                 /* a twentieth too much in all: the small ones, too */
#define CLOSEST_US UINT64_C(1000)     /* two counts closer than this tell nothing */
#define PASSES_MAX 12
#define USE_MAX    (UINT64_MAX / 4) /* sums of a use and its part are numbers still */

typedef unsigned __int128 wide;

/* A disk that does anything is to be able to do a little more: its rounding. */
static const uint64_t little[DISKSHARE_UNITS] = { [DISKSHARE_IOPS] = 1, [DISKSHARE_BPS] = 4096 };

struct seen { /* of one disk, one unit */
	uint64_t count;
	uint64_t use;        /* a second */
	uint64_t rate;       /* the part in force */
	uint64_t changed_us; /* when that was another one last */
	uint64_t light_us;   /* since when it takes less than half of it; 0: it takes more */
	bool hungry;
};

struct disk_state {
	uint32_t guest_id, index;
	uint64_t counted_us; /* 0: never */
	bool told;           /* it was counted twice: `use` holds */
	struct seen seen[DISKSHARE_UNITS];
};

struct diskshare {
	bool adopted; /* the parts of `disks` are in force, of before */
	bool contended[DISKSHARE_UNITS];
	uint64_t asked_us[DISKSHARE_UNITS]; /* when much was asked for last */
	struct disk_state *disks, *next;
	struct disk_part *parts;
	struct share *shares;
	struct share_slot *slots;
	uint64_t *wishes; /* parts as they should be */
	size_t ndisks, disks_room, next_room, parts_room, shares_room, slots_room, wishes_room;
};

/* ---- life ---- */

struct diskshare *diskshare_new(void)
{
	return calloc(1, sizeof(struct diskshare));
}

void diskshare_free(struct diskshare *s)
{
	if (!s)
		return;
	free(s->disks);
	free(s->next);
	free(s->parts);
	free(s->shares);
	free(s->slots);
	free(s->wishes);
	free(s);
}

void diskshare_reset(struct diskshare *s)
{
	s->ndisks = 0;
	s->adopted = false;
	memset(s->contended, 0, sizeof(s->contended));
}

static struct disk_state new_state(uint32_t guest_id, uint32_t index)
{
	struct disk_state d = { .guest_id = guest_id, .index = index };

	for (size_t u = 0; u < DISKSHARE_UNITS; u++)
		d.seen[u].rate = DISKSHARE_FREE;
	return d;
}

int diskshare_adopt(struct diskshare *s, const struct disk_part *parts, size_t count)
{
	diskshare_reset(s);
	if (mem_grow(&s->disks, &s->disks_room, count, sizeof(*s->disks)) < 0)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++) {
		s->disks[i] = new_state(parts[i].guest_id, parts[i].index);
		for (size_t u = 0; u < DISKSHARE_UNITS; u++)
			s->disks[i].seen[u].rate = parts[i].rate[u];
	}
	s->ndisks = count;
	s->adopted = count != 0;
	return 0;
}

static int make_room(struct diskshare *s, size_t n)
{
	if (mem_grow(&s->disks, &s->disks_room, n, sizeof(*s->disks)) < 0 ||
	    mem_grow(&s->next, &s->next_room, n, sizeof(*s->next)) < 0 ||
	    mem_grow(&s->parts, &s->parts_room, n, sizeof(*s->parts)) < 0 ||
	    mem_grow(&s->shares, &s->shares_room, n, sizeof(*s->shares)) < 0 ||
	    mem_grow(&s->slots, &s->slots_room, n, sizeof(*s->slots)) < 0 ||
	    mem_grow(&s->wishes, &s->wishes_room, n, sizeof(*s->wishes)) < 0)
		return -ENOMEM;
	return 0;
}

/* ---- what was done since the round before ---- */

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static uint64_t most(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

static int compare_ids(uint32_t guest_a, uint32_t index_a, uint32_t guest_b, uint32_t index_b)
{
	if (guest_a != guest_b)
		return guest_a < guest_b ? -1 : 1;
	return (index_a > index_b) - (index_a < index_b);
}

static void look_at_unit(struct seen *s, uint64_t count, uint64_t dt_us)
{
	wide use = dt_us && count >= s->count ? (wide)(count - s->count) * 1000000 / dt_us : s->use;

	s->use = use < USE_MAX ? (uint64_t)use : USE_MAX;
	s->count = count;
}

/* What cannot be counted, or was not anew, is taken to go on as before. */
static void look(struct disk_state *d, const struct diskshare_disk *now)
{
	uint64_t dt_us = d->counted_us ? now->at_us - d->counted_us : 0;

	if (!now->at_us || now->at_us < d->counted_us || (d->counted_us && dt_us < CLOSEST_US))
		return;
	for (size_t u = 0; u < DISKSHARE_UNITS; u++)
		look_at_unit(&d->seen[u], now->count[u], dt_us);
	d->told = d->counted_us != 0;
	d->counted_us = now->at_us;
}

static void judge(struct seen *s, uint64_t limit, uint64_t now_us)
{
	uint64_t may = least(s->rate, limit);
	bool takes_all = may != DISKSHARE_FREE && s->use >= may - may / NEARLY_ALL;

	s->hungry = takes_all || (s->hungry && now_us - s->changed_us < SETTLE_US);
	if (s->rate == DISKSHARE_FREE || s->use >= s->rate / 2)
		s->light_us = 0;
	else if (!s->light_us)
		s->light_us = now_us;
}

/* The disks of now, with what is known of them: both arrays are sorted alike. */
static void take_disks(struct diskshare *s, const struct diskshare_input *in)
{
	struct disk_state *swap = s->disks;
	size_t room = s->disks_room, k = 0;

	for (size_t i = 0; i < in->ndisks; i++) {
		const struct diskshare_disk *d = &in->disks[i];

		while (k < s->ndisks && compare_ids(s->disks[k].guest_id, s->disks[k].index,
						    d->guest_id, d->index) < 0)
			k++;
		if (k < s->ndisks && compare_ids(s->disks[k].guest_id, s->disks[k].index,
						 d->guest_id, d->index) == 0)
			s->next[i] = s->disks[k];
		else
			s->next[i] = new_state(d->guest_id, d->index);
		look(&s->next[i], d);
		for (size_t u = 0; u < DISKSHARE_UNITS; u++)
			judge(&s->next[i].seen[u], d->limit[u], in->now_us);
	}
	s->disks = s->next;
	s->disks_room = s->next_room;
	s->next = swap;
	s->next_room = room;
	s->ndisks = in->ndisks;
}

/* ---- one unit ---- */

struct division {
	struct diskshare *s;
	const struct diskshare_input *in;
	size_t u;
	uint64_t capacity;
};

struct level { /* what those who ask for more got, as a part of their weight */
	uint64_t rate;
	uint32_t weight; /* 0: all have what they ask for */
};

static uint64_t demand_of(const struct division *v, size_t i)
{
	const struct seen *s = &v->s->disks[i].seen[v->u];
	uint64_t limit = v->in->disks[i].limit[v->u];

	if (s->hungry)
		return least(limit, v->capacity);
	return least(s->use + s->use / 4 + (s->use ? little[v->u] : 0), limit);
}

static void gather(struct division *v)
{
	for (size_t i = 0; i < v->in->ndisks; i++)
		v->s->shares[i] = (struct share){ .limit = v->in->disks[i].limit[v->u],
						  .demand = demand_of(v, i),
						  .weight = v->in->disks[i].weight };
}

static uint64_t floor_of(const struct division *v, size_t i)
{
	return least(v->s->shares[i].demand, v->in->disks[i].floor[v->u]);
}

/* Whoever got less than its floor has that from now on, and nothing by weight. */
static bool pin_to_floors(struct division *v)
{
	bool any = false;

	for (size_t i = 0; i < v->in->ndisks; i++) {
		struct share *s = &v->s->shares[i];

		if (!s->weight || s->rate >= floor_of(v, i))
			continue;
		s->reservation = floor_of(v, i);
		s->weight = 0;
		any = true;
	}
	return any;
}

static void divide(struct division *v)
{
	bool again = true;

	for (int pass = 0; again && pass < PASSES_MAX; pass++) {
		share_divide(v->capacity, v->s->shares, v->in->ndisks, v->s->slots);
		again = pin_to_floors(v);
	}
	if (!again)
		return;
	/* Overrides of many kinds: floors first, then, and the rest by weight. */
	for (size_t i = 0; i < v->in->ndisks; i++)
		if (v->s->shares[i].weight)
			v->s->shares[i].reservation = floor_of(v, i);
	share_divide(v->capacity, v->s->shares, v->in->ndisks, v->s->slots);
}

static bool contend(struct division *v)
{
	struct diskshare *s = v->s;
	wide asked = 0;

	for (size_t i = 0; i < v->in->ndisks; i++)
		asked += s->shares[i].demand;
	if (asked * 100 > (wide)v->capacity * RELAXED)
		s->asked_us[v->u] = most(s->asked_us[v->u], v->in->now_us);
	if (asked > v->capacity)
		s->contended[v->u] = true;
	else if (v->in->now_us > s->asked_us[v->u] && v->in->now_us - s->asked_us[v->u] >= RELAX_US)
		s->contended[v->u] = false;
	return s->contended[v->u];
}

static struct level find_level(const struct division *v)
{
	struct level level = { 0 };

	for (size_t i = 0; i < v->in->ndisks; i++) {
		const struct share *s = &v->s->shares[i];

		if (s->weight && s->rate < s->demand &&
		    (!level.weight || (wide)s->rate * level.weight > (wide)level.rate * s->weight))
			level = (struct level){ s->rate, s->weight };
	}
	return level;
}

/* Room for a disk that is held, and asks for less than its weight would give it. */
static uint64_t room_of(const struct division *v, size_t i, const struct level *level)
{
	const struct diskshare_disk *d = &v->in->disks[i];
	uint64_t rate = most(v->s->shares[i].rate, d->floor[v->u]);

	if (level->weight)
		rate = most(rate, (uint64_t)((wide)level->rate * d->weight / level->weight));
	return least(rate, v->capacity);
}

static uint64_t wish_of(const struct division *v, size_t i, const struct level *level)
{
	const struct disk_state *d = &v->s->disks[i];
	const struct seen *s = &d->seen[v->u];
	uint64_t limit = v->in->disks[i].limit[v->u], rate;

	if (v->in->disks[i].exempt)
		return DISKSHARE_FREE;
	if (!d->told) /* it is new, or taken over */
		return s->rate;
	if (v->s->shares[i].rate < v->s->shares[i].demand)
		rate = v->s->shares[i].rate;
	else if (s->rate == DISKSHARE_FREE ||
		 (s->light_us && v->in->now_us - s->light_us >= LIGHT_US))
		return DISKSHARE_FREE;
	else
		rate = room_of(v, i, level);
	return rate >= limit ? DISKSHARE_FREE : most(rate, 1);
}

static bool is_same(uint64_t a, uint64_t b)
{
	uint64_t high = most(a, b), low = least(a, b);

	return high == low || (high != DISKSHARE_FREE && high - low < high / SAME);
}

/* What a disk asks for within a part; who is exempt has its own, whatever it takes. */
static uint64_t taken(const struct division *v, size_t i, uint64_t part)
{
	const struct share *s = &v->s->shares[i];

	return least(v->in->disks[i].exempt ? s->rate : part, s->demand);
}

/* Parts that hardly moved stay, unless that is too much of all together. */
static void keep_what_is_near(struct division *v)
{
	wide sum = 0;
	bool excess;

	for (size_t i = 0; i < v->in->ndisks; i++) {
		uint64_t rate = v->s->disks[i].seen[v->u].rate, wish = v->s->wishes[i];

		sum += taken(v, i, is_same(rate, wish) ? rate : wish);
	}
	excess = sum > (wide)v->capacity + v->capacity / EXCESS;
	for (size_t i = 0; i < v->in->ndisks; i++) {
		uint64_t rate = v->s->disks[i].seen[v->u].rate, wish = v->s->wishes[i];

		if (is_same(rate, wish) && !(excess && wish < rate))
			v->s->wishes[i] = rate;
	}
}

/* Puts the wishes in force. True: one of them is new. */
static bool settle(struct division *v)
{
	bool changed = false;

	for (size_t i = 0; i < v->in->ndisks; i++) {
		struct seen *s = &v->s->disks[i].seen[v->u];

		v->s->parts[i].rate[v->u] = v->s->wishes[i];
		if (s->rate == v->s->wishes[i])
			continue;
		s->rate = v->s->wishes[i];
		s->changed_us = v->in->now_us;
		s->light_us = 0;
		changed = true;
	}
	return changed;
}

static bool round_unit(struct division *v)
{
	bool shared = v->capacity != DISKSHARE_FREE;
	struct level level;

	if (shared)
		gather(v);
	if (!shared || !contend(v)) {
		v->s->contended[v->u] = false;
		for (size_t i = 0; i < v->in->ndisks; i++)
			v->s->wishes[i] = DISKSHARE_FREE;
		return settle(v);
	}
	divide(v);
	level = find_level(v);
	for (size_t i = 0; i < v->in->ndisks; i++)
		v->s->wishes[i] = wish_of(v, i, &level);
	keep_what_is_near(v);
	return settle(v);
}

int diskshare_round(struct diskshare *s, const struct diskshare_input *in,
		    struct diskshare_output *ret)
{
	struct diskshare_output out = { .count = in->ndisks };

	if (make_room(s, in->ndisks) < 0)
		return -ENOMEM;
	take_disks(s, in);
	for (size_t u = 0; s->adopted && u < DISKSHARE_UNITS; u++) {
		s->contended[u] = true;
		s->asked_us[u] = in->now_us + ADOPTED_US;
	}
	s->adopted = false;
	for (size_t i = 0; i < in->ndisks; i++)
		s->parts[i] = (struct disk_part){ .guest_id = in->disks[i].guest_id,
						  .index = in->disks[i].index };
	for (size_t u = 0; u < DISKSHARE_UNITS; u++) {
		struct division v = { .s = s, .in = in, .u = u, .capacity = in->capacity[u] };

		out.changed |= round_unit(&v);
		out.contended[u] = s->contended[u];
	}
	out.parts = s->parts;
	*ret = out;
	return 0;
}

/* ---- for the plan ---- */

static int compare_parts(const void *pa, const void *pb)
{
	const struct disk_part *a = pa, *b = pb;

	return compare_ids(a->guest_id, a->index, b->guest_id, b->index);
}

const struct disk_part *disk_parts_find(const struct disk_parts *parts, uint32_t guest_id,
					uint32_t index)
{
	struct disk_part key = { .guest_id = guest_id, .index = index };

	if (!parts || !parts->count)
		return NULL;
	return bsearch(&key, parts->items, parts->count, sizeof(key), compare_parts);
}

static int compare_guest(const void *key, const void *item)
{
	uint32_t id = *(const uint32_t *)key, other = ((const struct disk_part *)item)->guest_id;

	return (id > other) - (id < other);
}

bool disk_parts_hold(const struct disk_parts *parts, uint32_t guest_id)
{
	return parts && parts->count &&
	       bsearch(&guest_id, parts->items, parts->count, sizeof(*parts->items),
		       compare_guest) != NULL;
}

void disk_parts_free(struct disk_parts *parts)
{
	if (parts)
		free(parts->items);
	free(parts);
}
