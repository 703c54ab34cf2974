/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * overload_lease - when the lease is taken, renewed and given up.
 *
 * No throttle is written that the lease does not cover; it is given up only after the last one is
 * known to be gone. In between all errors are on the safe side: a lease that nobody needs any more
 * ends by itself.
 */
#include <errno.h>
#include <string.h>
#include <sys/wait.h>

#include "qosd/daemon/bandwidth.h"
#include "qosd/daemon/keeper.h"
#include "qosd/daemon/overload.h"
#include "qosd/daemon/storage.h"

#define STOPPED_LEASE_US 2000000ULL /* what a stopped daemon could not write itself */

int overload_start_lease(struct engine *e, struct qerr *err)
{
	const char *dir = e->options.run_dir ? e->options.run_dir : e->options.state_dir;
	struct keeper_config config = { .libvirt_uri = e->options.libvirt_uri };
	int r = lease_open(dir, &e->protection->lease, err);

	if (r < 0)
		return r;
	lease_take_over(e->protection->lease, engine_now_us(e));
	return keeper_start(e->protection->lease, &config, err);
}

bool overload_inherit(struct engine *e, double ret_depth[RESOURCE_COUNT])
{
	const struct lease *l = e->protection->lease;

	return l && engine_enforcing(e) && lease_held(l, ret_depth);
}

static uint64_t until_us(const struct engine *e)
{
	const struct protection *p = e->protection;

	return p->samples[p->newest].at_us + e->policy->overload.lease_us;
}

/* ---- before throttles are written ---- */

static int record(struct engine *e, struct qerr *err)
{
	struct picture *steady = engine_picture_steady(e);
	int r = steady ? lease_record(e->protection->lease, steady->plan, steady->inventory,
				      until_us(e), err)
		       : qerr_set(err, -ENOMEM, "out of memory");

	picture_free(steady);
	return r;
}

bool overload_lease_covers(struct engine *e)
{
	struct protection *p = e->protection;
	struct qerr err = { 0 };

	if (!p->lease || !engine_enforcing(e))
		return true;
	if (p->leased && p->ticking && p->recorded_baselines == baseline_count(e->baseline))
		return true;
	p->leased = record(e, &err) == 0;
	p->unleased = !p->leased;
	p->recorded_baselines = baseline_count(e->baseline);
	if (err.code && err.code != p->lease_told)
		log_error(&e->log, LOG_ERR, NULL, "nobody is throttled", &err);
	p->lease_told = err.code;
	return p->leased;
}

/* ---- while they last ---- */

static bool throttles_left(const struct engine *e)
{
	if (picture_throttles(e->picture) || e->inflight.open)
		return true;
	for (size_t i = 0; i < e->guests.count; i++)
		if (e->guests.rows[i].capped)
			return true;
	return false;
}

static void note_lapsed(struct engine *e)
{
	log_message(&e->log, LOG_WARNING, NULL,
		    "throttles have lapsed, for qosd was not able to run; they are set anew");
	e->protection->leased = false;
	e->enforced_before = false;
	engine_mark_all(e);
}

static void look_after_keeper(struct engine *e)
{
	struct lease *l = e->protection->lease;

	if (!l->keeper_pid || waitpid(l->keeper_pid, NULL, WNOHANG) != l->keeper_pid)
		return;
	l->keeper_pid = 0;
	log_message(&e->log, LOG_ERR, NULL,
		    "qosd-keeper has ended: should qosd end too while guests are throttled, they "
		    "stay so; restart qosd");
}

void overload_renew_lease(struct engine *e)
{
	struct protection *p = e->protection;
	double depth[RESOURCE_COUNT];

	if (!p->lease)
		return;
	look_after_keeper(e);
	if (!engine_enforcing(e) || !e->picture)
		return; /* what is left of throttles lapses */
	if (!throttles_left(e)) {
		if (p->lease->header->state == LEASE_HELD)
			lease_drop(p->lease);
		p->leased = false;
		return;
	}
	if (p->leased && p->recorded_baselines != baseline_count(e->baseline))
		(void)overload_lease_covers(e); /* what was written first in this tick */
	for (size_t r = 0; r < RESOURCE_COUNT; r++)
		depth[r] = p->ticked ? p->out.resources[r].depth : 0;
	if (p->leased && !lease_renew(p->lease, until_us(e), depth))
		note_lapsed(e);
}

/* ---- the end ---- */

void overload_begin_anew(struct engine *e)
{
	govern_reset(e->protection->govern);
	e->protection->ticked = false;
}

void overload_forget(struct engine *e)
{
	struct protection *p = e->protection;

	overload_begin_anew(e);
	bandwidth_stand_down(e);
	storage_stand_down(e);
	p->leased = false;
	if (p->lease)
		lease_drop(p->lease);
}

void overload_stand_down(struct engine *e)
{
	struct protection *p = e->protection;
	bool throttled = engine_enforcing(e) && e->picture && throttles_left(e);

	overload_begin_anew(e);
	bandwidth_stand_down(e);
	storage_stand_down(e);
	if (!throttled)
		return;
	engine_turn_now(e);
	if (!p->lease)
		return;
	if (!throttles_left(e))
		lease_drop(p->lease);
	else
		p->lease->header->until_us = engine_now_us(e) + STOPPED_LEASE_US;
	p->leased = false;
}
