/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * bandwidth - rounds of division, and what of them is told to the data plane and to the plan.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "qosd/core/mem.h"
#include "qosd/daemon/bandwidth_private.h"
#include "qosd/daemon/overload.h"

#define BUSY_US    UINT64_C(100000)
#define IDLE_US    UINT64_C(400000)
#define OBSERVE_US UINT64_C(2000000)
#define IDLE_SLACK UINT64_C(20000) /* lets the kernel join wake-ups */

/* ---- life ---- */

struct bandwidth *bandwidth_new(void)
{
	struct bandwidth *b = calloc(1, sizeof(*b));

	if (b && !(b->shares = netshare_new())) {
		free(b);
		return NULL;
	}
	return b;
}

void bandwidth_free(struct bandwidth *b)
{
	if (!b)
		return;
	sd_event_source_disable_unref(b->timer);
	netshare_free(b->shares);
	free(b->nics);
	free(b->members);
	free(b->adopted);
	free(b);
}

void bandwidth_set_source(struct bandwidth *b, const struct bandwidth_source *source)
{
	b->source = *source;
}

static bool shares_anything(const struct engine *e)
{
	return bandwidth_is_used(e) && e->policy->nnetworks && e->picture && e->picture->parts &&
	       e->picture->policy == e->policy;
}

uint64_t bandwidth_period_us(const struct engine *e)
{
	if (!engine_enforcing(e))
		return OBSERVE_US;
	return e->bandwidth->out.busy ? BUSY_US : IDLE_US;
}

uint64_t bandwidth_cost_us(const struct engine *e)
{
	return e->bandwidth->cost_us;
}

/* ---- what is known of now ---- */

/* What overload leaves a NIC counts as its limit, so that others get the rest. */
static uint64_t limit_of(const struct picture *pic, size_t i, bool in)
{
	const struct guest *g = pic->inventory->guests[i];
	const struct guest_caps *caps = pic->caps ? &pic->caps[i] : NULL;
	uint64_t limit = class_net_limit(&pic->assign[i].effective, in);
	uint64_t cap = !caps ? THROTTLE_NONE : in ? caps->net_in_bps : caps->net_out_bps;

	if (cap == THROTTLE_NONE)
		return limit;
	cap /= guest_shaped_nics(g);
	return cap < limit ? cap : limit;
}

static void add_nics(struct engine *e, size_t i)
{
	struct bandwidth *b = e->bandwidth;
	const struct picture *pic = e->picture;
	const struct guest *g = pic->inventory->guests[i];
	const struct class_net *net = &pic->assign[i].effective.net;
	bool managed = pic->assign[i].base != NULL;

	for (size_t k = 0; k < g->nnics; k++) {
		uint32_t network = netshare_network_of(e->policy, &g->nics[k]);
		struct netshare_nic *nic = &b->nics[b->count];

		if (network == NETSHARE_NONE || !g->nics[k].ifindex ||
		    !b->networks[network].capacity_bps)
			continue;
		*nic = (struct netshare_nic){
			.ifindex = g->nics[k].ifindex,
			.network = network,
			.weight = managed ? net->weight : 1,
			.exempt =
				!managed || guests_exempt(&e->guests, g->id, (uint64_t)time(NULL)),
			.reservation_bps = managed ? net->reservation_bps : 0,
			.limit_bps = { limit_of(pic, i, true), limit_of(pic, i, false) },
		};
		b->source.count_nic(b->source.ctx, &g->nics[k], nic->count);
		b->count++;
	}
}

static int compare_nic(const void *pa, const void *pb)
{
	const struct netshare_nic *a = pa, *b = pb;

	return (a->ifindex > b->ifindex) - (a->ifindex < b->ifindex);
}

/* The host's traffic is told apart while qosd is in force; said once, if that cannot be. */
static void tell_apart(struct engine *e)
{
	struct bandwidth *b = e->bandwidth;
	int before = b->apart.code;

	b->apart = (struct qerr){ 0 };
	if (!b->source.tell_apart)
		return;
	if (b->source.tell_apart(b->source.ctx, engine_enforcing(e) ? e->policy : NULL, &b->apart) <
		    0 &&
	    b->apart.code != before)
		log_error(&e->log, LOG_WARNING, NULL,
			  "some of the host's traffic is not told apart", &b->apart);
}

static void look_at_networks(struct engine *e)
{
	struct bandwidth *b = e->bandwidth;

	for (uint32_t i = 0; i < e->policy->nnetworks; i++) {
		const struct network *n = &e->policy->networks[i];

		b->networks[i] = (struct netshare_network){ .capacity_bps = bandwidth_capacity(
								    e, e->policy, i) };
		if (n->reservation_bps)
			b->source.count_host(b->source.ctx, e->policy, i, b->networks[i].host);
	}
}

/* One round of the numbers alone. 0 or -ENOMEM. */
static int divide(struct engine *e)
{
	struct bandwidth *b = e->bandwidth;
	struct netshare_input in = { .now_us = b->source.now_us(b->source.ctx),
				     .policy = e->policy,
				     .networks = b->networks };
	size_t need = bandwidth_nics(e->picture->inventory);

	if (mem_grow(&b->nics, &b->nics_room, need, sizeof(*b->nics)) < 0 ||
	    mem_grow(&b->members, &b->members_room, need, sizeof(*b->members)) < 0)
		return -ENOMEM;
	tell_apart(e);
	look_at_networks(e);
	b->count = 0;
	for (size_t i = 0; i < e->picture->inventory->count; i++)
		add_nics(e, i);
	if (b->count)
		qsort(b->nics, b->count, sizeof(*b->nics), compare_nic);
	in.nics = b->nics;
	in.nnics = b->count;
	b->divided = true;
	return netshare_round(b->shares, &in, &b->out);
}

/* ---- telling ---- */

static void note_trouble(struct engine *e, int r, const struct qerr *err)
{
	if (r < 0 && r != e->bandwidth->told)
		log_error(&e->log, LOG_ERR, NULL, "the division of uplinks is not complete", err);
	e->bandwidth->told = r < 0 ? r : 0;
}

/* Lines and members to the data plane; what it knows already costs nothing. True: it knows all. */
static bool tell_lines(struct engine *e)
{
	struct bandwidth *b = e->bandwidth;
	struct qerr err = { 0 };
	int r = 0;

	if (!engine_enforcing(e))
		return false;
	for (uint32_t i = 0; i < BANDWIDTH_LINES; i++)
		for (size_t d = 0; r == 0 && d < NETSHARE_DIRECTIONS; d++)
			r = b->source.set_line(b->source.ctx, i + 1, d == NETSHARE_IN,
					       i < b->out.nlines ? b->out.lines[i].rate_bps[d] : 0,
					       &err);
	for (size_t i = 0; i < b->count; i++) {
		uint64_t guaranteed = b->out.rates[i].guaranteed_bps;

		b->members[i] = (struct net_member){
			.ifindex = b->nics[i].ifindex,
			.line = netshare_line_of(e->policy, b->nics[i].network) + 1,
			.guaranteed_bps = { guaranteed, guaranteed },
		};
	}
	if (r == 0)
		r = b->source.set_members(b->source.ctx, b->members, b->count, &err);
	note_trouble(e, r, &err);
	return r == 0;
}

static bool knows_all(const struct engine *e)
{
	const struct nic_parts *parts = e->picture->parts;

	for (size_t i = 0; parts && i < parts->count; i++)
		if (!bandwidth_rate(e->bandwidth, parts->items[i].ifindex))
			return false;
	return true;
}

/* ---- a small turn ---- */

/* Whether this guest's NICs can be written now; else its next turn sees to it, and blames nobody
 * for what it finds. */
static bool is_ready(struct engine *e, const struct guest *g)
{
	struct guest_row *row = guests_find(&e->guests, g->id);
	struct lane *lane = row ? &row->lanes[ADAPTER_NET] : NULL;
	bool ready = lane && !lane->dirty && !lane->stale && !lane->failures && !lane->inflight &&
		     g->start_ticks;

	if (lane && !ready)
		lane->stale = true;
	return ready;
}

/* Puts what the round says into the picture's parts. True: something of this guest changed. */
static bool take_rates(struct engine *e, const struct guest *g, bool held)
{
	bool changed = false;

	for (size_t k = 0; k < g->nnics; k++) {
		struct nic_part *part =
			(struct nic_part *)nic_parts_find(e->picture->parts, g->nics[k].ifindex);
		const struct netshare_rate *rate = bandwidth_rate(e->bandwidth, g->nics[k].ifindex);

		for (size_t d = 0; part && d < NETSHARE_DIRECTIONS; d++) {
			uint64_t bps = rate && held ? rate->rate_bps[d] : NETSHARE_FREE;

			changed |= part->rate_bps[d] != bps;
			part->rate_bps[d] = bps;
		}
	}
	return changed;
}

/* 0 or -ENOMEM. */
static int refresh(struct engine *e, bool held, struct diff *ret)
{
	struct picture *pic = e->picture;
	struct plan_input in = { .policy = pic->policy,
				 .inventory = pic->inventory,
				 .assign = pic->assign,
				 .caps = pic->caps,
				 .parts = pic->parts };
	int r = 0;

	for (uint32_t i = 0; r == 0 && i < pic->inventory->count; i++) {
		const struct guest *g = pic->inventory->guests[i];
		size_t before = ret->count;

		if (!take_rates(e, g, held))
			continue;
		r = plan_refresh_nics(pic->plan, &in, i, ret);
		if (ret->count > before && !is_ready(e, g))
			ret->count = before;
	}
	return r;
}

static bool wants_shares(const struct bandwidth *b)
{
	for (size_t i = 0; i < b->out.count; i++)
		for (size_t d = 0; d < NETSHARE_DIRECTIONS; d++)
			if (b->out.rates[i].rate_bps[d] != NETSHARE_FREE)
				return true;
	return false;
}

/* A share is a throttle: it is leased, or not taken. */
static bool is_leased(struct engine *e)
{
	struct protection *p = e->protection;
	bool covered;

	p->ticking = true;
	covered = overload_lease_covers(e);
	p->ticking = false;
	return covered;
}

static void write_changes(struct engine *e, struct diff *d)
{
	if (!engine_enforcing(e) || !e->enforced_before)
		return;
	diff_sort(d);
	engine_apply(e, d);
	engine_settle_written(e, d);
	overload_after_turn(e);
}

static uint64_t clock_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

void bandwidth_round(struct engine *e)
{
	uint64_t began_us = clock_us();
	struct diff changed;

	if (!shares_anything(e))
		return;
	if (divide(e) < 0)
		return;
	tell_lines(e);
	diff_init(&changed);
	if (refresh(e, wants_shares(e->bandwidth) && is_leased(e), &changed) == 0 && changed.count)
		write_changes(e, &changed);
	diff_done(&changed);
	e->bandwidth->cost_us = clock_us() - began_us;
}

/* ---- when ---- */

static void plan_round(struct engine *e, uint64_t at_us)
{
	struct bandwidth *b = e->bandwidth;
	bool busy = b->out.busy;

	if (!b->timer)
		return;
	(void)sd_event_source_set_time_accuracy(b->timer, busy ? 1 : IDLE_SLACK);
	(void)sd_event_source_set_time(b->timer, at_us);
	(void)sd_event_source_set_enabled(b->timer, SD_EVENT_ONESHOT);
}

static int on_round(sd_event_source *s, uint64_t usec, void *user)
{
	struct engine *e = user;

	(void)s;
	(void)usec;
	bandwidth_round(e);
	if (shares_anything(e))
		plan_round(e, engine_now_us(e) + bandwidth_period_us(e));
	return 0;
}

static void keep_going(struct engine *e)
{
	struct bandwidth *b = e->bandwidth;
	int enabled = SD_EVENT_OFF;

	if (b->timer)
		(void)sd_event_source_get_enabled(b->timer, &enabled);
	else if (sd_event_add_time(e->event, &b->timer, CLOCK_MONOTONIC, 0, 1, on_round, e) < 0)
		return;
	if (enabled == SD_EVENT_OFF)
		plan_round(e, engine_now_us(e) + BUSY_US);
}

/* ---- around a turn ---- */

/* A policy without networks: lines and members of the one before, or of a daemon before, go. */
static void end_sharing(struct engine *e)
{
	struct bandwidth *b = e->bandwidth;

	if (bandwidth_is_used(e) && !e->policy->nnetworks && !b->ended)
		b->ended = tell_lines(e);
}

void bandwidth_before_write(struct engine *e)
{
	if (!shares_anything(e)) {
		end_sharing(e);
		if (bandwidth_is_used(e))
			tell_apart(e); /* a policy before may have asked for it */
		return;
	}
	e->bandwidth->ended = false;
	if ((!e->bandwidth->divided || !knows_all(e)) && divide(e) == 0)
		tell_lines(e);
	keep_going(e);
}

void bandwidth_stand_down(struct engine *e)
{
	struct bandwidth *b = e->bandwidth;

	if (!b)
		return;
	netshare_reset(b->shares);
	memset(&b->out, 0, sizeof(b->out));
}
