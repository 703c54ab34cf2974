/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "t/sim/run.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "t/sim/actuator.h"
#include "t/sim/sensor.h"
#include "t/unit/make.h"

#define CALM_TICK_S 1.0

struct run {
	const struct scenario *sc;
	struct world *world;
	struct sensor *sensor;
	struct actuator *actuator;
	struct series *series;
	struct govern *govern;
	struct sample samples[2]; /* now and before; [turn] is the next to fill */
	unsigned int turn;
	bool have_before, dead, fast, planned;
	size_t nguests;
	double next_tick_s, depth[RESOURCE_COUNT];
	struct rng rng;
	/* Levels held by hand on all classes, for finding out what is needed; < 0: none. */
	int fixed_resource;
	double fixed_depth;
	struct govern_manual manual[SCENARIO_CLASSES];
};

static uint64_t now_us(const struct run *r)
{
	return (uint64_t)(r->world->now_s * 1e6 + 0.5);
}

/* ---- manual levels ---- */

static unsigned int place_of(const struct scenario *sc, uint32_t rank)
{
	bool seen[64] = { false };
	unsigned int place = 0;

	for (size_t i = 0; sc->guests[i].count; i++)
		seen[sc->classes[sc->guests[i].class_index].rank] = true;
	for (uint32_t k = rank + 1; k < 64; k++)
		place += seen[k];
	return place;
}

static unsigned int ladder_steps(const struct scenario *sc)
{
	return place_of(sc, 0);
}

static void add_manual(struct run *r, size_t *count, const char *class_name, uint32_t resource,
		       uint32_t level, uint64_t until_us)
{
	struct govern_manual *m = &r->manual[(*count)++];

	snprintf(m->class_name, sizeof(m->class_name), "%s", class_name);
	m->resource = resource;
	m->level_permille = level;
	m->until_us = until_us;
}

static size_t manual_now(struct run *r)
{
	const struct manual_spec *m = &r->sc->manual;
	size_t count = 0;

	for (size_t c = 0; r->fixed_resource >= 0 && r->sc->classes[c].name; c++) {
		uint32_t rank = r->sc->classes[c].rank;

		if (rank)
			add_manual(r, &count, r->sc->classes[c].name, (uint32_t)r->fixed_resource,
				   governor_level(r->fixed_depth, place_of(r->sc, rank)),
				   UINT64_MAX);
	}
	if (m->class_name && r->world->now_s >= m->at_s)
		add_manual(r, &count, m->class_name, m->resource, m->level_permille,
			   (uint64_t)(m->until_s * 1e6));
	return count;
}

/* ---- one tick ---- */

static void keep_depths(struct run *r, const struct govern_output *out)
{
	for (int k = 0; k < RESOURCE_COUNT; k++)
		r->depth[k] = out->resources[k].depth;
}

static void tick(struct run *r)
{
	struct sample *now = &r->samples[r->turn], *before = &r->samples[!r->turn];
	struct govern_output out;
	struct govern_input in = { .policy = actuator_policy(r->actuator),
				   .now = now,
				   .before = r->have_before ? before : NULL,
				   .manual = r->manual,
				   .nmanual = manual_now(r),
				   .cpu_pool_mcpu = (uint64_t)(r->sc->host->cpus * 1000) };
	bool manual = in.nmanual && (r->fixed_resource >= 0 ||
				     r->world->now_s < r->sc->manual.until_s + CALM_TICK_S);
	int error;

	sensor_read(r->sensor, r->world, now);
	in.guests = actuator_guests(r->actuator, r->world, &in.nguests);
	error = govern_tick(r->govern, &in, &out);
	series_tick(r->series, r->world, &in, &out, error, manual);
	if (error)
		return;
	if (out.caps_changed || !r->planned || in.nguests != r->nguests)
		actuator_plan(r->actuator, r->world, out.caps);
	r->planned = true;
	r->nguests = in.nguests;
	r->fast = out.fast;
	keep_depths(r, &out);
	r->turn = !r->turn;
	r->have_before = true;
}

static void schedule(struct run *r)
{
	double tick_s = r->sc->tick_s > 0 ? r->sc->tick_s : 0.1;
	double next_s = r->fast ? tick_s : CALM_TICK_S;

	next_s *= 1 + r->sc->sensor.tick_jitter * rng_uniform(&r->rng);
	r->next_tick_s = r->world->now_s + next_s;
}

/* qosd dies: values stay as they are. It comes back and adopts the depths. */
static void life_and_death(struct run *r)
{
	double now_s = r->world->now_s;
	bool dead = r->sc->killed_s > 0 && now_s >= r->sc->killed_s && now_s < r->sc->restarted_s;

	if (dead == r->dead)
		return;
	r->dead = dead;
	if (dead)
		return;
	govern_free(r->govern);
	r->govern = must(govern_new());
	govern_adopt(r->govern, r->depth, now_us(r));
	r->have_before = false;
	r->next_tick_s = now_s;
}

static void written(void *context, size_t vm)
{
	struct run *r = context;

	series_write(r->series, r->world, vm);
}

static bool stuck(const struct run *r)
{
	const struct sensor_spec *s = &r->sc->sensor;

	return r->world->now_s >= s->stuck_from_s && r->world->now_s < s->stuck_until_s;
}

static void step(struct run *r)
{
	bool due, triggered;

	world_step(r->world);
	sensor_step(r->sensor, r->world);
	life_and_death(r);
	triggered = sensor_triggered(r->sensor, r->world);
	due = r->world->now_s >= r->next_tick_s - WORLD_STEP_S / 2;
	if ((due || (triggered && !r->fast)) && !r->dead && !stuck(r)) {
		tick(r);
		schedule(r);
	}
	actuator_apply(r->actuator, r->world, written, r);
	series_step(r->series, r->world);
}

/* ---- whole runs ---- */

static void run_until(const struct scenario *sc, int fixed_resource, double fixed_depth,
		      double until_s, struct result *ret)
{
	struct run r = { .sc = sc, .fixed_resource = fixed_resource, .fixed_depth = fixed_depth };
	size_t nspecs = 0;

	while (sc->guests[nspecs].count)
		nspecs++;
	r.world = world_new(sc->host, sc->guests, nspecs, sc->seed);
	r.rng = rng_new(sc->seed, 2000000);
	r.sensor = sensor_new(sc, r.world);
	r.actuator = actuator_new(sc, r.world);
	r.series = series_new(sc, r.world);
	r.govern = must(govern_new());
	while (r.world->now_s < until_s)
		step(&r);
	govern_free(r.govern);
	actuator_free(r.actuator);
	sensor_free(r.sensor);
	sample_done(&r.samples[0]);
	sample_done(&r.samples[1]);
	ret->series = r.series;
	ret->world = r.world;
}

void result_done(struct result *r)
{
	series_free(r->series);
	world_free(r->world);
}

/* Mean pressure some seconds into the storm with the ladder held at `depth`. */
static double pressure_at(const struct scenario *sc, enum resource r, double depth)
{
	double until_s = fmin(sc->storm_from_s + 16, sc->storm_until_s);
	struct result result;
	double p;

	run_until(sc, (int)r, depth, until_s, &result);
	p = series_pressure(result.series, r, until_s - 6, until_s);
	result_done(&result);
	return p;
}

/* The least depth that holds the pressure at 1, by bisection: what an oracle would choose. */
static double needed_depth(const struct scenario *sc, enum resource r)
{
	double low = 0, high = ladder_steps(sc);

	if (pressure_at(sc, r, 0) <= 1)
		return 0;
	for (int round = 0; round < 7; round++) {
		double middle = (low + high) / 2;

		if (pressure_at(sc, r, middle) > 1)
			low = middle;
		else
			high = middle;
	}
	return high;
}

static bool asks_for_need(const struct scenario *sc, int r)
{
	for (int b = 0; sc->bounds[b].what; b++) {
		const struct bound *bound = &sc->bounds[b];
		int resource = bound->resource ? bound->resource - 1 : (int)sc->resource;

		if (resource == r &&
		    (bound->what == OVERSHOOT || bound->what == EXCESS || bound->what == NEEDED))
			return true;
	}
	return false;
}

void run_scenario(const struct scenario *sc, struct result *ret)
{
	run_until(sc, -1, 0, sc->duration_s, ret);
	for (int r = 0; r < RESOURCE_COUNT; r++)
		ret->needed[r] = asks_for_need(sc, r) ? needed_depth(sc, (enum resource)r) : -1;
}
