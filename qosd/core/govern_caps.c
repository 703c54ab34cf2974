/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * govern_caps - from levels to caps: water filling within each class, then calm hands.
 *
 * A cap goes down at once, up at the most once a second, and neither for less than 5 %: writing
 * cpu.max refills the quota even with the same value (measured: a 20 % cap written at 10 Hz gives
 * 40 %). The first rung of the CPU is the weight alone, which has no such leak and no stalls. When
 * the overload is over all caps go at once: who is told of calm finds nothing left of them.
 */
#include "qosd/core/govern_private.h"

#define SOFT_LEVEL  900 /* permille; down to here a lower CPU weight alone */
#define MIN_CHANGE  0.05
#define RAISE_US    UINT64_C(1000000)
#define FREEZE_US   UINT64_C(5000000) /* at the floor for so long, and still not enough */
#define FREEZE_S    2.0               /* no balloon helps when memory is used up so soon */
#define QUANTUM_CPU 10.0              /* mcpu: 1 % of a CPU */
#define QUANTUM_NET 10000.0           /* bit/s */
/* A part of "no limit" (TRACK_FREE) is no limit: no host has so many bytes or bit/s. */
#define AS_GOOD_AS_FREE 1e14
/* Held this many holds: such a guest gets its part back at twice the speed of a fresh one. */
#define LONG_HOLDS 6

static double hold_s(const struct govern_turn *turn)
{
	double s = (double)turn->in->policy->overload.release_hold_us / 1e6;

	return s > 0.001 ? s : 0.001;
}

static bool may_cap(const struct govern_guest *guest)
{
	return guest->rank > 0 && !guest->exempt;
}

static double size_of(const struct govern_guest *guest, enum track_id track)
{
	if (track == TRACK_CPU && guest->vcpus)
		return guest->vcpus;
	if (track == TRACK_MEMORY && guest->memory_bytes)
		return (double)guest->memory_bytes;
	return 1;
}

/* While giving back: who was held longest gets more. */
static double seniority(const struct govern *g, const struct track *t, enum resource r,
			const struct govern_turn *turn)
{
	double held_s, long_s = LONG_HOLDS * hold_s(turn);

	if (g->governors[r].state != GOVERNOR_RELEASING || !t->capped_us)
		return 1;
	held_s = (double)(turn->in->now->at_us - t->capped_us) / 1e6;
	return 1 + (held_s < long_s ? held_s / long_s : 1);
}

static void share_init(const struct govern *g, const struct govern_turn *turn, uint32_t i,
		       enum track_id track, struct throttle_share *share)
{
	const struct govern_guest *guest = &turn->in->guests[i];
	const struct track *t = &g->states[i].tracks[track];

	govern_track_bounds(turn, guest, track, &share->floor, &share->full);
	share->demand = t->claim >= 0              ? t->claim
			: share->full < TRACK_FREE ? share->full
						   : share->floor;
	share->size = size_of(guest, track) * seniority(g, t, govern_track_resource(track), turn);
	share->cap = TRACK_FREE;
}

/* A guest that came while the host was pressed starts at its floor and grows into its part. */
static double ramp(const struct govern *g, const struct govern_turn *turn, uint32_t i,
		   enum track_id track, const struct throttle_share *share, double cap)
{
	uint64_t since = g->states[i].ramp_us, now = turn->in->now->at_us;
	double age = since ? (double)(now - since) / 1e6 / hold_s(turn) : 1;
	double goal = cap < share->full ? cap : share->full;

	if (age >= 1 || track == TRACK_MEMORY || goal >= TRACK_FREE ||
	    g->governors[govern_track_resource(track)].depth <= 0)
		return cap;
	return share->floor + age * (goal - share->floor);
}

static double quantise(enum track_id track, double cap, double floor)
{
	double quantum = track == TRACK_CPU                                ? QUANTUM_CPU
			 : track == TRACK_NET_IN || track == TRACK_NET_OUT ? QUANTUM_NET
									   : 1;
	double whole = quantum * (double)(uint64_t)(cap / quantum);

	if (cap >= AS_GOOD_AS_FREE)
		return TRACK_FREE;
	return whole > floor ? whole : floor;
}

static void set_cap(struct track *t, double cap, uint64_t now_us)
{
	if (t->cap >= TRACK_FREE)
		t->capped_us = now_us;
	if (cap >= TRACK_FREE)
		t->capped_us = 0;
	t->cap = cap;
	t->changed_us = now_us;
}

static void settle(struct track *t, double cap, double floor, uint64_t now_us)
{
	bool lower = cap < t->cap && (cap < t->cap * (1 - MIN_CHANGE) || cap <= floor);
	bool raise = cap > t->cap && (cap > t->cap * (1 + MIN_CHANGE) || cap >= TRACK_FREE) &&
		     now_us - t->changed_us >= RAISE_US;

	if (lower || raise)
		set_cap(t, cap, now_us);
}

static void cap_guest(struct govern *g, const struct govern_turn *turn, uint32_t i,
		      enum track_id track, const struct throttle_share *share)
{
	double cap = share->cap >= share->full ? TRACK_FREE : share->cap;

	cap = quantise(track, ramp(g, turn, i, track, share, cap), share->floor);
	settle(&g->states[i].tracks[track], cap, share->floor, turn->in->now->at_us);
}

/* The class is not throttled: only those that came under pressure are still held. */
static void free_class(struct govern *g, const struct govern_turn *turn, const uint32_t *members,
		       uint32_t count, enum track_id track)
{
	bool over = g->governors[govern_track_resource(track)].depth <= 0;

	for (uint32_t k = 0; k < count; k++) {
		struct govern_state *state = &g->states[members[k]];
		struct throttle_share share;

		if (state->tracks[track].cap >= TRACK_FREE && (over || !state->ramp_us)) {
			continue;
		} else if (over) {
			set_cap(&state->tracks[track], TRACK_FREE, turn->in->now->at_us);
		} else if (state->ramp_us && may_cap(&turn->in->guests[members[k]])) {
			share_init(g, turn, members[k], track, &share);
			cap_guest(g, turn, members[k], track, &share);
		} else {
			settle(&state->tracks[track], TRACK_FREE, 0, turn->in->now->at_us);
		}
	}
}

static void cap_class(struct govern *g, const struct govern_turn *turn, size_t c,
		      enum track_id track)
{
	uint32_t begin = g->class_begin[c], count = g->class_begin[c + 1] - begin, n = 0;
	uint32_t level = g->classes[c].level[govern_track_resource(track)];
	const uint32_t *members;

	if (count == 0)
		return;
	members = &g->by_class[begin];
	if (level >= (track == TRACK_CPU ? SOFT_LEVEL : 1000)) {
		free_class(g, turn, members, count, track);
		return;
	}
	for (uint32_t k = 0; k < count; k++)
		if (may_cap(&turn->in->guests[members[k]]))
			share_init(g, turn, members[k], track, &g->shares[n++]);
	throttle_fill(g->shares, n, level);
	for (uint32_t k = 0, s = 0; k < count; k++) {
		if (may_cap(&turn->in->guests[members[k]]))
			cap_guest(g, turn, members[k], track, &g->shares[s++]);
		else
			settle(&g->states[members[k]].tracks[track], TRACK_FREE, 0,
			       turn->in->now->at_us);
	}
}

static uint64_t to_u64(double cap)
{
	return cap >= TRACK_FREE ? THROTTLE_NONE : (uint64_t)(cap + 0.5);
}

/* The last rung: at the floor for a while, and the pressure is still there, or no time is left. */
static bool frozen(const struct govern *g, const struct govern_turn *turn,
		   const struct govern_guest *guest, bool was)
{
	uint64_t since = g->bottom_us[guest->qclass->index];
	const struct governor *gov = &g->governors[RESOURCE_MEMORY];
	uint64_t now_us = turn->in->now->at_us;
	bool late = since && now_us - since >= FREEZE_US;
	bool at_once = since < now_us && turn->memory_left_s < FREEZE_S; /* a look later */

	if (!may_cap(guest) || guest->no_freeze || !since || gov->state == GOVERNOR_CALM)
		return false;
	return was || ((late || at_once) && gov->state == GOVERNOR_PRESSED);
}

static struct guest_caps caps_of(const struct govern *g, const struct govern_turn *turn, size_t i,
				 bool was_frozen)
{
	const struct govern_guest *guest = &turn->in->guests[i];
	const struct govern_class *qclass = &g->classes[guest->qclass->index];
	const struct track *t = g->states[i].tracks;
	struct guest_caps caps = { .cpu_mcpu = to_u64(t[TRACK_CPU].cap),
				   .net_in_bps = to_u64(t[TRACK_NET_IN].cap),
				   .net_out_bps = to_u64(t[TRACK_NET_OUT].cap),
				   .disk_iops = to_u64(t[TRACK_DISK_IOPS].cap),
				   .disk_bytes_ps = to_u64(t[TRACK_DISK_BYTES].cap),
				   .memory_bytes = to_u64(t[TRACK_MEMORY].cap),
				   .freeze = frozen(g, turn, guest, was_frozen) };

	for (size_t r = 0; r < RESOURCE_COUNT; r++)
		caps.level[r] = may_cap(guest) ? qclass->level[r] : 1000;
	caps.cpu_soft = caps.level[RESOURCE_CPU] < 1000;
	return caps;
}

static bool same_caps(const struct guest_caps *a, const struct guest_caps *b)
{
	for (size_t r = 0; r < RESOURCE_COUNT; r++)
		if (a->level[r] != b->level[r])
			return false;
	return a->cpu_mcpu == b->cpu_mcpu && a->cpu_soft == b->cpu_soft &&
	       a->net_in_bps == b->net_in_bps && a->net_out_bps == b->net_out_bps &&
	       a->disk_iops == b->disk_iops && a->disk_bytes_ps == b->disk_bytes_ps &&
	       a->memory_bytes == b->memory_bytes && a->freeze == b->freeze;
}

static void note_bottoms(struct govern *g, const struct govern_turn *turn)
{
	for (size_t c = 0; c < turn->in->policy->nclasses; c++) {
		if (g->classes[c].level[RESOURCE_MEMORY] > 0)
			g->bottom_us[c] = 0;
		else if (!g->bottom_us[c])
			g->bottom_us[c] = turn->in->now->at_us;
	}
}

bool govern_caps_update(struct govern *g, const struct govern_turn *turn)
{
	bool changed = g->guests_changed;

	note_bottoms(g, turn);
	for (size_t c = 0; c < turn->in->policy->nclasses; c++)
		for (size_t k = 0; k < TRACK_COUNT; k++)
			cap_class(g, turn, c, (enum track_id)k);
	for (size_t i = 0; i < g->nstates; i++) {
		struct guest_caps caps = caps_of(g, turn, i, g->states[i].frozen);

		changed |= !same_caps(&caps, &g->caps[i]);
		g->states[i].frozen = caps.freeze;
		if (turn->in->now->at_us - g->states[i].ramp_us >=
		    turn->in->policy->overload.release_hold_us)
			g->states[i].ramp_us = 0;
		g->caps[i] = caps;
	}
	return changed;
}
