/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * govern_demand - what each guest takes, and what it would take if nobody held it.
 *
 * A throttled guest uses less because we throttle it: its claim must not shrink by that, or the
 * caps would spiral down to the floor. So the claim of a guest that fills its cap stands, and grows
 * slowly while the cap is being given back (what it would really take is not known until then). One
 * that leaves room below its cap is not held by us: its claim follows what it uses.
 */
#include <string.h>

#include "qosd/core/govern_private.h"

#define AT_CAP 0.9 /* from here on it is the cap that holds it */
#define CLAIM_DOWN_S                                                                               \
	5.0               /* claims follow a falling use this slowly: a short pause is no farewell \
			   */
#define CLAIM_GROW   0.02 /* of itself, per second, while giving back */
#define CLAIM_MANUAL 0.1  /* the same where the operator set the level: no loop to disturb */
#define CALM_S       30.0 /* "before the storm" is the average of this time */
#define RISE_MIN     0.05 /* of the sum of rises: less is nobody's fault */

static const enum resource resources[TRACK_COUNT] = {
	[TRACK_CPU] = RESOURCE_CPU,        [TRACK_MEMORY] = RESOURCE_MEMORY,
	[TRACK_NET_IN] = RESOURCE_NET,     [TRACK_NET_OUT] = RESOURCE_NET,
	[TRACK_DISK_IOPS] = RESOURCE_DISK, [TRACK_DISK_BYTES] = RESOURCE_DISK,
};

enum resource govern_track_resource(enum track_id track)
{
	return resources[track];
}

static double limit_of(uint64_t value)
{
	return value == THROTTLE_NONE || (double)value > TRACK_FREE ? TRACK_FREE : (double)value;
}

void govern_track_bounds(const struct govern_turn *turn, const struct govern_guest *guest,
			 enum track_id track, double *ret_floor, double *ret_full)
{
	const uint64_t bounds[TRACK_COUNT][2] = {
		[TRACK_CPU] = { guest->cpu_floor_mcpu, guest->cpu_full_mcpu },
		[TRACK_MEMORY] = { guest->memory_floor_bytes, THROTTLE_NONE },
		[TRACK_NET_IN] = { guest->net_floor_bps, guest->net_in_full_bps },
		[TRACK_NET_OUT] = { guest->net_floor_bps, guest->net_out_full_bps },
		[TRACK_DISK_IOPS] = { guest->disk_floor_iops, guest->disk_full_iops },
		[TRACK_DISK_BYTES] = { guest->disk_floor_bytes_ps, guest->disk_full_bytes_ps },
	};
	double full = limit_of(bounds[track][1]);

	if (govern_track_resource(track) == RESOURCE_NET && full > turn->uplink_bps)
		full = turn->uplink_bps;
	*ret_floor = limit_of(bounds[track][0]);
	*ret_full = full > *ret_floor ? full : *ret_floor;
}

const struct sample_guest *govern_next(const struct sample *s, size_t *at, uint32_t id)
{
	while (*at < s->nguests && s->guests[*at].id < id)
		(*at)++;
	return *at < s->nguests && s->guests[*at].id == id ? &s->guests[*at] : NULL;
}

static double rate(uint64_t earlier, uint64_t later, double dt_s, double unit)
{
	uint64_t delta = sample_delta(earlier, later);

	return delta == SAMPLE_UNKNOWN || dt_s <= 0 ? TRACK_UNKNOWN : (double)delta * unit / dt_s;
}

static void measure(double use[TRACK_COUNT], const struct sample_guest *was,
		    const struct sample_guest *is, double dt_s)
{
	if (is && is->memory_bytes != SAMPLE_UNKNOWN)
		use[TRACK_MEMORY] = (double)is->memory_bytes;
	if (!is || !was)
		return;
	use[TRACK_CPU] = rate(was->run_ns, is->run_ns, dt_s, 1e-6);
	use[TRACK_NET_IN] = rate(was->in_bytes, is->in_bytes, dt_s, 8);
	use[TRACK_NET_OUT] = rate(was->out_bytes, is->out_bytes, dt_s, 8);
	use[TRACK_DISK_IOPS] = rate(was->disk_ops, is->disk_ops, dt_s, 1);
	use[TRACK_DISK_BYTES] = rate(was->disk_bytes, is->disk_bytes, dt_s, 1);
}

static void claim_follow(struct track *t, double floor, double full, double growth, double dt_s)
{
	double down = dt_s / (dt_s + CLAIM_DOWN_S);

	if (t->claim < 0 || t->use > t->claim) {
		t->claim = t->use;
	} else if (t->cap < TRACK_FREE && t->use >= AT_CAP * t->cap) {
		t->claim += growth * dt_s * (t->claim > floor ? t->claim : floor);
	} else {
		t->claim += down * (t->use - t->claim);
	}
	if (t->claim > full)
		t->claim = full;
}

/* Memory that we took back is still wanted: its claim stands while it is capped. */
static void claim_hold(struct track *t)
{
	if (t->claim < 0 || t->use > t->claim || t->cap >= TRACK_FREE)
		t->claim = t->use;
}

static void calm_follow(struct track *t, double dt_s)
{
	if (t->calm < 0)
		t->calm = t->use;
	t->calm += dt_s / (dt_s + CALM_S) * (t->use - t->calm);
}

/* A throttle that did not help goes away anyhow: no claim is to be found out. */
static double claim_growth(const struct govern *g, uint32_t c, enum resource r)
{
	const struct governor *gov = &g->governors[r];

	if (g->classes[c].manual[r])
		return CLAIM_MANUAL;
	return gov->state == GOVERNOR_RELEASING && !gov->giving_up ? CLAIM_GROW : 0;
}

static void track_guest(struct govern *g, const struct govern_turn *turn, size_t i,
			const double use[TRACK_COUNT])
{
	const struct govern_guest *guest = &turn->in->guests[i];
	uint32_t c = guest->qclass->index;

	for (size_t k = 0; k < TRACK_COUNT; k++) {
		struct track *t = &g->states[i].tracks[k];
		enum resource r = resources[k];
		double growth = claim_growth(g, c, r);
		double floor, full;

		t->use = use[k];
		if (t->use < 0)
			continue;
		govern_track_bounds(turn, guest, (enum track_id)k, &floor, &full);
		if (k == TRACK_MEMORY)
			claim_hold(t);
		else
			claim_follow(t, floor, full, growth, turn->dt_s);
		if (g->governors[r].state == GOVERNOR_CALM)
			calm_follow(t, turn->dt_s);
	}
}

void govern_demand_update(struct govern *g, const struct govern_turn *turn)
{
	const struct sample *now = turn->in->now, *before = turn->in->before;
	size_t a = 0, b = 0;

	for (size_t i = 0; i < turn->in->nguests; i++) {
		double use[TRACK_COUNT] = { TRACK_UNKNOWN, TRACK_UNKNOWN, TRACK_UNKNOWN,
					    TRACK_UNKNOWN, TRACK_UNKNOWN, TRACK_UNKNOWN };
		uint32_t id = turn->in->guests[i].id;

		measure(use, before ? govern_next(before, &b, id) : NULL, govern_next(now, &a, id),
			turn->dt_s);
		track_guest(g, turn, i, use);
	}
}

bool govern_slack(const struct govern *g, enum resource r)
{
	for (size_t i = 0; i < g->nstates; i++)
		for (size_t k = 0; k < TRACK_COUNT; k++) {
			const struct track *t = &g->states[i].tracks[k];

			if (resources[k] == r && t->cap < TRACK_FREE &&
			    (t->use < 0 || t->use >= AT_CAP * t->cap))
				return false;
		}
	return true;
}

/* Requests and bytes do not add up: a disk's part is what it moved. */
static bool adds_up(size_t track, enum resource r)
{
	return resources[track] == r && track != TRACK_DISK_IOPS;
}

void govern_claims(const struct govern *g, const struct govern_turn *turn, enum resource r,
		   double *ret_yielding, double *ret_all)
{
	*ret_yielding = *ret_all = 0;
	for (size_t i = 0; i < g->nstates; i++) {
		const struct govern_guest *guest = &turn->in->guests[i];
		uint32_t c = guest->qclass->index;
		bool yields = g->ladder.places[c] != PLACE_NONE && !guest->exempt;

		for (size_t k = 0; k < TRACK_COUNT; k++) {
			double claim = g->states[i].tracks[k].claim;

			/* what is held by hand grows by guessing */
			if (!adds_up(k, r) || claim < 0 || g->classes[c].manual[r])
				continue;
			*ret_all += claim;
			*ret_yielding += yields ? claim : 0;
		}
	}
}

/* ---- whose use rose ---- */

static double rise_of(const struct govern_state *s, enum resource r)
{
	double rise = 0;

	for (size_t k = 0; k < TRACK_COUNT; k++) {
		const struct track *t = &s->tracks[k];

		if (adds_up(k, r) && t->claim > t->calm && t->calm >= 0)
			rise += t->claim - t->calm;
	}
	return rise;
}

void govern_culprits(const struct govern *g, enum resource r, uint32_t culprits[3])
{
	double rises[3] = { 0 }, sum = 0;

	memset(culprits, 0, 3 * sizeof(*culprits));
	for (size_t i = 0; i < g->nstates; i++) {
		double rise = rise_of(&g->states[i], r);
		uint32_t id = g->states[i].id;

		sum += rise;
		for (size_t k = 0; k < 3 && rise > 0; k++) {
			if (rise <= rises[k])
				continue;
			double other = rises[k];
			uint32_t other_id = culprits[k];

			rises[k] = rise;
			culprits[k] = id;
			rise = other;
			id = other_id;
		}
	}
	for (size_t k = 0; k < 3; k++)
		if (rises[k] < RISE_MIN * sum)
			culprits[k] = 0;
}
