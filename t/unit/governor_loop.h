/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * governor_loop - the law in a loop with a small plant: p as a function of depth (and time).
 */
#ifndef QOSD_T_GOVERNOR_LOOP_H
#define QOSD_T_GOVERNOR_LOOP_H

#include "qosd/core/governor.h"
#include "t/unit/harness.h"
#include "t/unit/make.h"

#define MS     UINT64_C(1000)
#define SECOND UINT64_C(1000000)

struct plant { /* pressure = max(0, base - slope * depth of `delay` ago) */
	double base, slope;
	unsigned int delay; /* ticks */
	double past[16];
};

struct loop {
	struct governor g;
	struct governor_law law;
	struct plant plant;
	uint64_t now_us, tick_us;
	unsigned int steps;
	bool slack, brink, frozen;
	double claim, claim_all; /* CPUs */
	unsigned int events[GOVERNOR_OVER + 1];
	double deepest;
};

static inline struct loop loop_new(double base, double slope, uint64_t tick_us)
{
	struct overload o = { .tick_us = 100 * MS,
			      .release_hold_us = 10 * SECOND,
			      .release_step_permille = 100 };

	return (struct loop){ .law = governor_law_of(RESOURCE_CPU, &o),
			      .plant = { .base = base, .slope = slope, .delay = 1 },
			      .now_us = 1000 * SECOND,
			      .tick_us = tick_us,
			      .steps = 2,
			      .claim_all = 10 };
}

static inline double pressure_of(const struct loop *l)
{
	double p = l->plant.base - l->plant.slope * l->plant.past[l->plant.delay];

	return p > 0 ? p : 0;
}

static inline enum governor_event tick(struct loop *l)
{
	struct governor_reading in = { .pressure = pressure_of(l),
				       .steps = l->steps,
				       .slack = l->slack,
				       .brink = l->brink,
				       .frozen = l->frozen,
				       .claim = 1000 * l->claim,
				       .claim_all = 1000 * l->claim_all };
	enum governor_event e = governor_step(&l->g, &l->law, &in, l->now_us);

	memmove(&l->plant.past[1], &l->plant.past[0], 15 * sizeof(double));
	l->plant.past[0] = l->g.depth;
	l->now_us += l->tick_us;
	l->events[e]++;
	if (l->g.depth > l->deepest)
		l->deepest = l->g.depth;
	return e;
}

static inline void run(struct loop *l, double seconds)
{
	for (uint64_t end = l->now_us + (uint64_t)(seconds * 1e6); l->now_us < end;)
		tick(l);
}

#endif
