/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * overload - the tick: look, decide, write.
 *
 * What a tick costs is counted in a histogram. Without a sample nothing moves: the throttles of
 * before stand until there is one, or the lease ends them.
 */
#include "qosd/daemon/overload.h"

#include <errno.h>
#include <malloc.h>
#include <string.h>
#include <time.h>

#include "qosd/core/mem.h"
#include "qosd/daemon/bandwidth.h"
#include "qosd/daemon/episode.h"
#include "qosd/daemon/record.h"
#include "qosd/daemon/storage.h"
#include "qosd/host/sensor.h"

#define CALM_TICK_US  1000000ULL
#define ALERT_US      1000000ULL /* look closely for this long after the kernel told of a stall */
#define CLOSEST_US    20000ULL   /* two samples closer than this tell nothing */
#define CALM_SLACK_US 50000ULL   /* lets the kernel join wake-ups */
#define TRIM_TICKS    3          /* by then all programs are loaded */
/*
 * To list guests and to load programs takes CPUs from those who are to be protected, and weights
 * that the first turn wrote have not acted yet: nobody is throttled for that. It costs a storm that
 * is under way these 2 s; guests that were throttled before a restart stay so.
 */
#define SETTLE_US 2000000ULL

/* ---- life ---- */

struct protection *protection_new(void)
{
	struct protection *p = calloc(1, sizeof(*p));

	if (p && !(p->govern = govern_new())) {
		free(p);
		return NULL;
	}
	return p;
}

void protection_free(struct protection *p)
{
	if (!p)
		return;
	overload_stop_reclaimer(p);
	sd_event_source_disable_unref(p->timer);
	for (size_t r = 0; r < RESOURCE_COUNT; r++)
		sd_event_source_disable_unref(p->triggers[r]);
	sensor_free(p->sensor);
	sample_done(&p->samples[0]);
	sample_done(&p->samples[1]);
	lease_close(p->lease);
	govern_free(p->govern);
	free(p->guests);
	free(p->places);
	free(p);
}

/* ---- when ---- */

static void plan_tick(struct engine *e, uint64_t at_us, bool exact)
{
	struct protection *p = e->protection;

	p->next_us = at_us;
	(void)sd_event_source_set_time_accuracy(p->timer, exact ? 1 : CALM_SLACK_US);
	(void)sd_event_source_set_time(p->timer, at_us);
	(void)sd_event_source_set_enabled(p->timer, SD_EVENT_ONESHOT);
}

uint64_t overload_period_us(const struct engine *e)
{
	const struct protection *p = e->protection;
	bool close = (p->ticked && p->out.fast) || engine_now_us(e) < p->alert_until_us;

	return close && e->policy->overload.tick_us < CALM_TICK_US ? e->policy->overload.tick_us
								   : CALM_TICK_US;
}

uint64_t overload_early_us(uint32_t *turn, uint64_t period_us)
{
	if (period_us >= CALM_TICK_US)
		return 0;
	*turn += UINT32_C(0x9e3779b9); /* the golden section of 2^32 */
	return (period_us / 10 * *turn) >> 32;
}

/* One period after the last, not after now: no drift. A tick that was missed is not made up for. */
static void plan_next(struct engine *e)
{
	uint64_t now_us = engine_now_us(e), period_us = overload_period_us(e);
	uint64_t at_us = e->protection->next_us + period_us;

	at_us = at_us > now_us ? at_us : now_us + period_us;
	plan_tick(e, at_us - overload_early_us(&e->protection->turn, period_us),
		  period_us < CALM_TICK_US);
}

static int on_tick(sd_event_source *s, uint64_t usec, void *user)
{
	struct engine *e = user;

	(void)s;
	(void)usec;
	overload_tick(e);
	plan_next(e);
	if (e->protection->ticks == TRIM_TICKS)
		(void)malloc_trim(0); /* the kernel's types, read to load programs: 10 MB */
	return 0;
}

void overload_tick_soon(struct engine *e)
{
	struct protection *p = e->protection;
	uint64_t now_us = engine_now_us(e), at_us = now_us;

	if (!p->timer)
		return;
	if (p->nsamples && p->samples[p->newest].at_us + CLOSEST_US > now_us)
		at_us = p->samples[p->newest].at_us + CLOSEST_US;
	if (p->next_us > at_us)
		plan_tick(e, at_us, true);
}

/* ---- the kernel tells of a stall ---- */

static int on_trigger(sd_event_source *s, int fd, uint32_t events, void *user)
{
	struct engine *e = user;
	struct protection *p = e->protection;

	(void)fd;
	if (events & EPOLLERR) { /* it will never tell anything any more */
		(void)sd_event_source_set_enabled(s, SD_EVENT_OFF);
		return 0;
	}
	p->alert_until_us = engine_now_us(e) + ALERT_US;
	for (uint32_t r = 0; r < RESOURCE_COUNT; r++)
		if (p->triggers[r] == s)
			episode_trigger(e, (enum resource)r, engine_now_us(e));
	overload_tick_soon(e);
	return 0;
}

static void watch_triggers(struct engine *e)
{
	struct protection *p = e->protection;

	for (uint32_t r = 0; r < RESOURCE_COUNT; r++) {
		int fd;

		p->triggers[r] = sd_event_source_disable_unref(p->triggers[r]);
		fd = sensor_trigger_fd(p->sensor, (enum resource)r, &e->policy->overload, NULL);
		if (fd >= 0)
			(void)sd_event_add_io(e->event, &p->triggers[r], fd, EPOLLPRI, on_trigger,
					      e);
	}
}

void overload_settle_mode(struct engine *e)
{
	struct protection *p = e->protection;

	if (!p->sensor)
		return;
	for (size_t r = 0; r < RESOURCE_COUNT; r++)
		p->triggers[r] = sd_event_source_disable_unref(p->triggers[r]);
	sensor_set_readonly(p->sensor, !engine_enforcing(e));
	watch_triggers(e);
}

/* ---- start ---- */

int overload_start(struct engine *e, struct qerr *err)
{
	struct protection *p = e->protection;
	int r = overload_open_sensor(e, err);

	if (r < 0)
		return r;
	p->next_us = engine_now_us(e);
	r = sd_event_add_time(e->event, &p->timer, CLOCK_MONOTONIC, p->next_us, 1, on_tick, e);
	if (r < 0)
		return qerr_set(err, r, "cannot make a timer: %s", strerror(-r));
	/* Before clients, who can wait. */
	(void)sd_event_source_set_priority(p->timer, SD_EVENT_PRIORITY_IMPORTANT);
	watch_triggers(e);
	return 0;
}

/* ---- the tick ---- */

static void note_trouble(struct engine *e, const struct qerr *err)
{
	struct protection *p = e->protection;

	if (p->trouble.code != err->code)
		log_error(&e->log, LOG_ERR, NULL, "overload protection stands still", err);
	p->trouble = *err;
}

static int take_sample(struct engine *e, struct qerr *err)
{
	static const struct inventory nobody;
	struct protection *p = e->protection;
	unsigned int next = !p->newest;
	int r = p->sampler.read(p->sampler.ctx, e->picture ? e->picture->inventory : &nobody,
				e->policy, &p->samples[next], err);

	if (r < 0)
		return r;
	p->newest = next;
	if (p->nsamples < 2)
		p->nsamples++;
	return 0;
}

static uint64_t cpu_pool_mcpu(const struct engine *e)
{
	const struct cpuset *pool = e->picture ? &e->picture->placement->shared : &e->host->online;

	return (uint64_t)cpuset_count(pool) * 1000;
}

static int decide(struct engine *e, struct qerr *err)
{
	struct protection *p = e->protection;
	struct govern_input in = {
		.policy = e->policy,
		.now = &p->samples[p->newest],
		.before = p->nsamples > 1 ? &p->samples[!p->newest] : NULL,
		.manual = p->manual,
		.nmanual = p->nmanual,
		.cpu_pool_mcpu = cpu_pool_mcpu(e),
	};
	int r = overload_build_guests(e);

	in.settling = in.before && in.before->at_us < p->settled_us;
	if (r == 0) {
		in.guests = p->guests;
		in.nguests = p->nguests;
		record_tick(e, &in);
		r = govern_tick(p->govern, &in, &p->out);
	}
	p->ticked = r == 0;
	return r < 0 ? qerr_set(err, r, "%s", strerror(-r)) : 0;
}

uint64_t overload_rung_us(size_t i)
{
	return UINT64_C(16) << i;
}

static void count_tick(struct protection *p, uint64_t took_us)
{
	size_t rung = 0;

	while (rung < OVERLOAD_RUNGS && took_us > overload_rung_us(rung))
		rung++;
	p->rungs[rung]++;
	p->ticks++;
	p->tick_us_sum += took_us;
}

static uint64_t clock_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

/* What the tick changed is written now, with whatever waits for a turn anyway. */
static void turn_at_once(struct engine *e)
{
	e->protection->ticking = true;
	e->protection->unleased = false; /* it is tried anew */
	engine_turn_now(e);
	e->protection->ticking = false;
}

void overload_tick(struct engine *e)
{
	struct protection *p = e->protection;
	uint64_t began_us = clock_us(), written = e->written;
	bool moved;
	size_t steps;
	struct qerr err = { 0 };

	if (!p->sampler.read || !p->started)
		return; /* nobody is known, and throttles of before are taken over by the first turn
			 */
	if (take_sample(e, &err) == 0 && !p->settled_us)
		p->settled_us = p->samples[p->newest].at_us + SETTLE_US;
	if (err.code || decide(e, &err) < 0) {
		note_trouble(e, &err);
		return;
	}
	p->trouble.code = 0;
	overload_expire_manual(e);
	moved = storage_round(e);
	if (e->inventory && (p->out.caps_changed || moved || p->unleased))
		turn_at_once(e);
	overload_renew_lease(e);
	overload_want_disks(e);
	steps = overload_memory_step(e);
	if (e->written - written + steps)
		episode_actions(e, e->written - written + steps);
	episode_tick(e, &p->out, &p->samples[p->newest]);
	count_tick(p, clock_us() - began_us);
}

bool overload_presses(const struct engine *e, enum resource *ret)
{
	static const enum resource asked[] = { RESOURCE_CPU, RESOURCE_MEMORY };
	const struct protection *p = e->protection;

	for (size_t i = 0; p->ticked && i < ARRAY_SIZE(asked); i++) {
		const struct govern_resource *r = &p->out.resources[asked[i]];

		*ret = asked[i];
		if (r->state == GOVERNOR_PRESSED || r->depth > 0)
			return true;
	}
	return false;
}

/* ---- around a turn ---- */

/*
 * The first turn after a start: were guests throttled by the daemon before, they stay so, and are
 * released gently. That takes a picture to know the guests by, and a tick before the first write.
 */
void overload_before_turn(struct engine *e)
{
	struct protection *p = e->protection;
	double depth[RESOURCE_COUNT];
	struct qerr err = { 0 };

	if (p->started)
		return;
	p->started = true;
	overload_tick_soon(e); /* right behind this turn */
	if (!p->sampler.read || !overload_inherit(e, depth))
		return;
	bandwidth_adopt(e);
	storage_adopt(e);
	e->picture = engine_picture(e, e->policy);
	p->guests_stale = true;
	if (!e->picture)
		return;
	if (take_sample(e, &err) == 0) {
		govern_adopt(p->govern, depth, p->samples[p->newest].at_us);
		(void)decide(e, &err);
	}
	picture_free(TAKE_PTR(e->picture));
	if (err.code)
		note_trouble(e, &err);
	else
		log_message(&e->log, LOG_INFO, NULL,
			    "throttles of the daemon before are taken over, to be released gently");
}

void overload_new_picture(struct engine *e)
{
	e->protection->guests_stale = true;
}

/* Is this throttle, if it is one, gone from the host? */
static bool is_lifted(struct engine *e, const struct plan_entry *x, struct guest_row *row)
{
	struct knob_value actual;
	int r;

	if (!lease_lapses(x->knob))
		return true;
	if (guests_lane(row, &x->target, x->knob)->inflight)
		return false;
	r = engine_read(e, &x->target, x->knob, &actual, NULL);
	return r == -EOPNOTSUPP || (r == 0 && knob_holds(x->knob, &x->want, &actual));
}

/* Guests of which something fails again and again, though no throttle: in one pass. */
static void look_at_lifting(struct engine *e)
{
	const struct plan *plan = e->picture->plan;

	for (size_t i = 0; i < plan->count; i++) {
		const struct plan_entry *x = &plan->entries[i];
		struct guest_row *row = guests_find(&e->guests, x->target.guest_id);

		if (row && row->lifting && !is_lifted(e, x, row))
			row->lifting = false;
	}
}

static void free_lifted(struct engine *e)
{
	for (size_t i = 0; i < e->guests.count; i++) {
		struct guest_row *row = &e->guests.rows[i];

		if (!row->lifting)
			continue;
		row->capped = row->lifting = false;
		if (row->hold_until_s) /* it waited for this */
			engine_mark(e);
	}
}

/* A hold leaves a guest as it is, so what throttles it goes first. */
void overload_after_turn(struct engine *e)
{
	const struct picture *pic = e->picture;
	bool writing = engine_enforcing(e), lifting = false;

	for (size_t i = 0; i < pic->inventory->count; i++) {
		struct guest_row *row = guests_find(&e->guests, pic->inventory->guests[i]->id);
		bool capped = (pic->caps && guest_caps_any(&pic->caps[i])) ||
			      bandwidth_holds(pic->parts, pic->inventory->guests[i]) ||
			      disk_parts_hold(pic->disk_parts, pic->inventory->guests[i]->id);

		if (!row)
			continue;
		row->capped |= writing && capped;
		row->lifting = row->capped && !(writing && capped);
		if (row->lifting && !guests_quiet(row)) {
			row->lifting = writing && !row->giving_back && guests_failing(row);
			lifting |= row->lifting;
		}
	}
	if (lifting)
		look_at_lifting(e);
	free_lifted(e);
}
