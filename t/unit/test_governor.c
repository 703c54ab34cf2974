/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * governor - the law against small plants: p as a function of depth (and time), at several ticks.
 */
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

static struct loop loop_new(double base, double slope, uint64_t tick_us)
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

static double pressure_of(const struct loop *l)
{
	double p = l->plant.base - l->plant.slope * l->plant.past[l->plant.delay];

	return p > 0 ? p : 0;
}

static enum governor_event tick(struct loop *l)
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

static void run(struct loop *l, double seconds)
{
	for (uint64_t end = l->now_us + (uint64_t)(seconds * 1e6); l->now_us < end;)
		tick(l);
}

static void test_levels(void)
{
	CU_ASSERT_EQUAL(governor_level(0, 0), 1000);
	CU_ASSERT_EQUAL(governor_level(0.25, 0), 750);
	CU_ASSERT_EQUAL(governor_level(1, 0), 0);
	CU_ASSERT_EQUAL(governor_level(1, 1), 1000);
	CU_ASSERT_EQUAL(governor_level(1.5, 1), 500);
	CU_ASSERT_EQUAL(governor_level(1.5, 0), 0);
	CU_ASSERT_EQUAL(governor_level(9, 1), 0);
}

static void test_storm(void)
{
	struct loop l = loop_new(0.2, 0, 100 * MS);

	run(&l, 5);
	CU_ASSERT_EQUAL(l.g.state, GOVERNOR_CALM);
	CU_ASSERT_EQUAL(l.g.depth, 0);
	l.plant.base = 8;
	l.plant.slope = 8;
	CU_ASSERT_EQUAL(tick(&l), GOVERNOR_ONSET); /* at once, and by no more than a step */
	CU_ASSERT(l.g.depth > 0 && l.g.depth <= l.law.step_max);
	run(&l, 1);
	CU_ASSERT(pressure_of(&l) <= 1);
	CU_ASSERT(l.deepest <= 1.5); /* 0.875 was needed */
	CU_ASSERT_EQUAL(l.g.state, GOVERNOR_HOLDING);
}

static void test_waits_for_the_effect(void)
{
	struct loop l = loop_new(8, 0, 50 * MS);
	double first;

	tick(&l);
	first = l.g.depth;
	tick(&l);
	CU_ASSERT_EQUAL(l.g.depth, first);
	run(&l, 0.2);
	CU_ASSERT(l.g.depth > first);
}

/* How long from the end of the storm until all is given back. */
static double release_time(struct loop *l)
{
	uint64_t from = l->now_us;

	while (l->g.state != GOVERNOR_CALM && l->now_us < from + 600 * SECOND)
		tick(l);
	return (double)(l->now_us - from) / 1e6;
}

static void test_release(void)
{
	static const uint64_t ticks[] = { 100 * MS, 250 * MS, 1000 * MS };

	for (size_t i = 0; i < ARRAY_SIZE(ticks); i++) {
		struct loop l = loop_new(6, 8, 100 * MS);
		double depth, seconds;

		run(&l, 2);
		depth = l.g.depth;
		l.plant.base = 0;
		l.tick_us = ticks[i];
		seconds = release_time(&l);
		/* hold, then 0.1 a second, at whatever tick */
		CU_ASSERT(seconds > 8 + depth * 10 - 2);
		CU_ASSERT(seconds < 10 + depth * 10 + 3);
		CU_ASSERT_EQUAL(l.events[GOVERNOR_RELAPSE], 0);
		CU_ASSERT_EQUAL(l.events[GOVERNOR_BACK], 1);
		CU_ASSERT_EQUAL(l.events[GOVERNOR_OVER], 1);
		CU_ASSERT_FALSE(governor_active(&l.g));
	}
}

static void test_rests_within_target(void)
{
	/* The storm goes on: giving back stops by itself, with p between clean and 1. */
	struct loop l = loop_new(4, 4, 100 * MS);

	run(&l, 120);
	CU_ASSERT_EQUAL(l.events[GOVERNOR_RELAPSE], 0);
	CU_ASSERT(pressure_of(&l) >= l.law.clean - 0.05 && pressure_of(&l) <= 1);
	CU_ASSERT(l.g.depth > 0.7 && l.g.depth < 0.85);
}

/* A cliff: nothing is felt above the depth, everything below. */
static void cliff(struct loop *l, double at, double seconds)
{
	for (uint64_t end = l->now_us + (uint64_t)(seconds * 1e6); l->now_us < end;) {
		l->plant.base = l->g.depth < at ? 5 : 0.1;
		l->plant.slope = 0;
		tick(l);
	}
}

static void test_relapse(void)
{
	struct loop l = loop_new(0, 0, 100 * MS);
	double depth;

	cliff(&l, 0.4, 0.3);
	CU_ASSERT_EQUAL(l.events[GOVERNOR_ONSET], 1);
	while (!l.events[GOVERNOR_RELAPSE])
		cliff(&l, 0.4, 0.1);
	depth = l.g.depth;
	CU_ASSERT(depth > 0.4); /* met at once */
	CU_ASSERT_EQUAL(l.g.hold_us, 2 * l.law.hold_us);
	/* Ten minutes of it: the hold grows to 8 times, so it is tried ever more seldom. */
	cliff(&l, 0.4, 600);
	CU_ASSERT_EQUAL(l.g.hold_us, 8 * l.law.hold_us);
	CU_ASSERT(l.events[GOVERNOR_RELAPSE] <= 12);
	/* Over: released, and after a long calm a new storm starts with the plain hold. */
	l.plant.base = 0;
	release_time(&l);
	CU_ASSERT_EQUAL(l.g.depth, 0);
	run(&l, 700);
	cliff(&l, 0.4, 0.5);
	CU_ASSERT_EQUAL(l.g.hold_us, 0);
	CU_ASSERT_EQUAL(l.events[GOVERNOR_ONSET], 2);
}

/* Pressure comes back just above a class's floor: that floor first, not the class above. */
static void test_relapse_keeps_to_its_class(void)
{
	struct loop l = loop_new(0, 0, 100 * MS);

	cliff(&l, 0.95, 3);
	CU_ASSERT_EQUAL(l.g.depth, 1);
	while (!l.events[GOVERNOR_RELAPSE])
		cliff(&l, 0.95, 0.1);
	cliff(&l, 0.95, 3);
	CU_ASSERT_EQUAL(l.deepest, 1);
}

static void test_rests_above_a_relapse(void)
{
	struct loop l = loop_new(0, 0, 100 * MS);
	double lowest = 1;

	while (!l.events[GOVERNOR_RELAPSE])
		cliff(&l, 0.4, 0.1);
	/* the hold of 20 s is not over: it comes back to just above the cliff and stays there */
	for (int i = 0; i < 190; i++) {
		cliff(&l, 0.4, 0.1);
		lowest = l.g.depth < lowest ? l.g.depth : lowest;
	}
	CU_ASSERT(lowest > 0.4 && lowest < 0.59);
	CU_ASSERT_EQUAL(l.events[GOVERNOR_RELAPSE], 1);
	/* those who are throttled do not fill their caps any more: no need to wait for 40 s */
	while (l.events[GOVERNOR_RELAPSE] < 2)
		cliff(&l, 0.4, 0.1);
	l.plant.base = 0;
	l.slack = true;
	CU_ASSERT(release_time(&l) < 15 + 10 * 0.6 + 1);
	CU_ASSERT_EQUAL(l.g.state, GOVERNOR_CALM);
}

static void test_rhythm(void)
{
	/* 12 s of storm, 12 s of calm, for ten minutes: after some turns it is held through. */
	struct loop l = loop_new(0, 6, 100 * MS);
	unsigned int late = 0;

	for (int i = 0; i < 6000; i++) {
		enum governor_event e;

		l.plant.base = i % 240 < 120 ? 4 : 0.2;
		l.slack = i % 240 >= 120;
		e = tick(&l);
		late += i > 1200 && (e == GOVERNOR_ONSET || e == GOVERNOR_RELAPSE);
	}
	CU_ASSERT(late <= 8); /* of 20 storms */
}

static void test_enters_the_next_class_gently(void)
{
	struct loop l = loop_new(9, 0, 100 * MS);

	while (l.g.depth < 1)
		tick(&l);
	CU_ASSERT_EQUAL(l.g.depth, 1); /* to its end and no further */
	while (l.g.depth <= 1)
		tick(&l);
	CU_ASSERT_DOUBLE_EQUAL(l.g.depth, 1 + l.law.step_entry, 1e-9);
}

static void test_cause_gone_verdict_void(void)
{
	struct loop l = loop_new(5, 0, 100 * MS);

	run(&l, 20);
	CU_ASSERT_EQUAL(l.events[GOVERNOR_FUTILE], 1);
	l.plant.base = 0.2; /* that cause goes; then comes one that can be cured */
	run(&l, 5);
	l.plant.base = 5;
	l.plant.slope = 8;
	run(&l, 1);
	CU_ASSERT(pressure_of(&l) <= 1);
}

static void test_futile(void)
{
	/* Whatever we do, p stays: the cause is elsewhere. */
	struct loop l = loop_new(5, 0, 100 * MS);

	run(&l, 5);
	CU_ASSERT_EQUAL(l.events[GOVERNOR_FUTILE], 1);
	run(&l, 30);
	CU_ASSERT_EQUAL(l.g.depth, 0); /* nobody is left at the floor */
	CU_ASSERT_EQUAL(l.events[GOVERNOR_OVER], 1);
	run(&l, 600); /* tried again, ever more seldom: after 60, 120, 240 s ... */
	CU_ASSERT(l.events[GOVERNOR_FUTILE] >= 3 && l.events[GOVERNOR_FUTILE] <= 5);
}

/* The cause stays, and those who may give way become one as well. */
static void test_another_cause(void)
{
	struct loop l = loop_new(5, 0, 100 * MS);

	l.claim = 1;
	run(&l, 30);
	CU_ASSERT_EQUAL(l.events[GOVERNOR_FUTILE], 1);
	CU_ASSERT_EQUAL(l.g.depth, 0);
	l.claim = 1.9; /* the noise of claims */
	run(&l, 2);
	CU_ASSERT_EQUAL(l.g.depth, 0);
	l.claim = 3;
	tick(&l);
	CU_ASSERT(l.g.depth > 0);
	run(&l, 5);
	CU_ASSERT_EQUAL(l.events[GOVERNOR_FUTILE], 2); /* nor does this help */
	run(&l, 40);
	CU_ASSERT_EQUAL(l.g.depth, 0); /* the same claim is no third cause */
	CU_ASSERT_EQUAL(l.events[GOVERNOR_FUTILE], 2);
	l.claim = 6;
	l.plant.base = 6;
	l.plant.slope = 8;
	run(&l, 1);
	CU_ASSERT(l.g.depth > 0 && pressure_of(&l) <= 1);
}

/* The host took all, and those who may give way have next to nothing: the noise of that. */
static void test_no_cause_of_noise(void)
{
	struct loop l = loop_new(5, 0, 100 * MS);

	l.claim = 0.02;
	l.claim_all = 0.1;
	run(&l, 30);
	CU_ASSERT_EQUAL(l.events[GOVERNOR_FUTILE], 1);
	l.claim = 0.11;
	run(&l, 2);
	CU_ASSERT_EQUAL(l.g.depth, 0);
	l.claim = l.claim_all = 0.13;
	tick(&l);
	CU_ASSERT(l.g.depth > 0);
}

/* All is given back in the time of a verdict for each class, whatever the ramp of a release. */
static void test_what_does_not_help_goes_quickly(void)
{
	struct loop l = loop_new(5, 0, 100 * MS);

	while (!l.events[GOVERNOR_FUTILE])
		tick(&l);
	CU_ASSERT_EQUAL(l.g.depth, 2);
	run(&l, (double)l.law.judge_us / 1e6);
	CU_ASSERT(l.g.depth > 0.9 && l.g.depth < 1.1);
	run(&l, (double)l.law.judge_us / 1e6 + 0.1);
	CU_ASSERT_EQUAL(l.g.depth, 0);
	l = loop_new(5, 0, 100 * MS);
	l.law.release_step = 0.5;
	while (!l.events[GOVERNOR_FUTILE])
		tick(&l);
	run(&l, 2);
	CU_ASSERT(l.g.depth > 0.9 && l.g.depth < 1.1); /* a quicker ramp is not slowed */
}

/* The cause is gone before all is given back: no verdict any more, so the rest goes by the ramp. */
static void test_rest_goes_by_the_ramp(void)
{
	struct loop l = loop_new(5, 0, 100 * MS);
	double depth;

	while (!l.events[GOVERNOR_FUTILE])
		tick(&l);
	l.plant.base = 0.2;
	run(&l, 2.2);
	CU_ASSERT_EQUAL(l.g.alone_until_us, 0);
	run(&l, 10); /* the hold */
	depth = l.g.depth;
	CU_ASSERT(depth > 1);
	run(&l, 2);
	CU_ASSERT_DOUBLE_EQUAL(depth - l.g.depth, 2 * l.law.release_step, 0.02);
}

/* They had stopped when it was given up: the same storm again is met at once. */
static void test_same_cause_again(void)
{
	struct loop l = loop_new(5, 4, 100 * MS);

	l.claim = 4;
	run(&l, 1);
	CU_ASSERT(l.g.depth > 0);
	l.slack = true; /* their storm is over; something of the host's goes on */
	l.claim = 2.5;
	l.plant.slope = 0;
	l.plant.base = 0.9;
	run(&l, 14);
	l.plant.base = 5;
	run(&l, 2);
	CU_ASSERT_EQUAL(l.events[GOVERNOR_FUTILE], 1);
	run(&l, 30);
	CU_ASSERT_EQUAL(l.g.depth, 0);
	l.slack = false;
	l.claim = 4;
	l.plant.base = 5;
	l.plant.slope = 4;
	run(&l, 1);
	CU_ASSERT(l.g.depth > 0 && pressure_of(&l) <= 1);
}

/* A class at once, then the next one a lag later; and whatever was judged before. */
static void test_brink(void)
{
	struct loop l = loop_new(1.5, 0, 100 * MS);

	l.brink = true;
	tick(&l);
	CU_ASSERT_EQUAL(l.g.depth, 1);
	tick(&l);
	CU_ASSERT_EQUAL(l.g.depth, 1);
	run(&l, 1);
	CU_ASSERT_EQUAL(l.g.depth, 2);
	run(&l, 10);
	CU_ASSERT_EQUAL(l.events[GOVERNOR_FUTILE], 0);
	l.brink = false;
	run(&l, 15);
	CU_ASSERT_EQUAL(l.events[GOVERNOR_FUTILE], 1);
	CU_ASSERT(l.g.depth < 1);
	l.brink = true; /* no worse than what was judged */
	run(&l, 1);
	CU_ASSERT(l.g.depth < 1);
	l.plant.base = 2.2;
	tick(&l);
	CU_ASSERT_EQUAL(l.g.depth, 1);
}

/* Who was stopped on the brink does not lower p, and is not let go for that at once. */
static void test_brink_and_frozen(void)
{
	struct loop l = loop_new(1.5, 0, 100 * MS);

	l.steps = 1;
	l.brink = true;
	run(&l, 1);
	l.frozen = true;
	run(&l, 1);
	l.brink = false;
	run(&l, 50);
	CU_ASSERT_EQUAL(l.g.depth, 1);
	for (int i = 0; i < 200 && !l.events[GOVERNOR_FUTILE]; i++)
		tick(&l);
	CU_ASSERT_EQUAL(l.events[GOVERNOR_FUTILE], 1); /* but not for ever */
	l.frozen = false;
	l.plant.base = 3;
	l.brink = true; /* a class at its floor already: that is judged as well */
	tick(&l);
	CU_ASSERT_EQUAL(l.events[GOVERNOR_RELAPSE], 1);
	l.brink = false;
	run(&l, 20);
	CU_ASSERT_EQUAL(l.events[GOVERNOR_FUTILE], 2);
}

/* The class above one that has just reached its floor is not left in peace for as long as usual. */
static void test_brink_at_floor(void)
{
	struct loop l = loop_new(2, 0, 100 * MS);

	l.law.class_us = 6 * SECOND;
	while (l.g.depth < 1)
		tick(&l);
	l.brink = true;
	run(&l, 0.5);
	CU_ASSERT_EQUAL(l.g.depth, 2);
}

/* Until the verdict, or for half a minute: 0.9 s of storm, 0.1 s at `eased`. Seconds. */
static double futile_with_rests(double eased)
{
	struct loop l = loop_new(5, 0, 100 * MS);
	int ticks = 0;

	for (; ticks < 300 && !l.events[GOVERNOR_FUTILE]; ticks++) {
		l.plant.base = ticks % 10 == 9 ? eased : 5;
		tick(&l);
	}
	return ticks * 0.1;
}

static void test_a_short_rest_delays_no_verdict(void)
{
	/* to the end of the ladder, then the time to judge */
	CU_ASSERT(futile_with_rests(5) < 6);
	CU_ASSERT(futile_with_rests(0.95) < 7); /* neither clean nor pressed */
	CU_ASSERT(futile_with_rests(0.2) < 7);  /* clean */
}

static void test_after_a_long_rest_judged_anew(void)
{
	struct loop l = loop_new(9, 0, 100 * MS);

	while (l.g.depth < l.steps)
		tick(&l);
	CU_ASSERT_EQUAL(l.g.onset_depth, 0);
	l.plant.base = 0.2;
	run(&l, (double)l.law.judge_us / 1e6 + 1); /* within the hold: nothing is given back */
	CU_ASSERT_EQUAL(l.g.depth, l.steps);
	l.plant.base = 3; /* another storm: less than the first is no success */
	tick(&l);
	CU_ASSERT_EQUAL(l.g.onset_pressure, 3);
	CU_ASSERT_EQUAL(l.g.onset_depth, l.g.depth);
}

static void test_helpful_is_not_futile(void)
{
	/* Deeper helps, but not enough: what it does help is kept. */
	struct loop l = loop_new(10, 3, 100 * MS);

	run(&l, 60);
	CU_ASSERT_EQUAL(l.events[GOVERNOR_FUTILE], 0);
	CU_ASSERT_EQUAL(l.g.depth, 2);
}

/* It seemed to matter after all, and does not: judged once more, however deep it is already. */
static void test_taken_up_in_vain(void)
{
	struct loop l = loop_new(5, 0, 100 * MS);

	while (!l.events[GOVERNOR_FUTILE])
		tick(&l);
	l.plant.base = 9;
	while (!l.events[GOVERNOR_RELAPSE])
		tick(&l);
	CU_ASSERT_EQUAL(l.g.depth, 2);
	run(&l, 20);
	CU_ASSERT_EQUAL(l.events[GOVERNOR_FUTILE], 2);
	CU_ASSERT_EQUAL(l.g.depth, 0);
}

/* Found not to help while the storm grew; giving back shows the truth, and that is remembered. */
static void test_taken_up_for_good(void)
{
	struct loop l = loop_new(9, 3, 100 * MS);

	for (int i = 0; i < 80; i++) { /* p is 3 all the while */
		l.plant.base = 3 + 3 * l.g.depth;
		tick(&l);
	}
	CU_ASSERT_EQUAL(l.events[GOVERNOR_FUTILE], 1);
	l.plant.base = 9;
	run(&l, 60);
	CU_ASSERT(l.events[GOVERNOR_FUTILE] <= 2);
	CU_ASSERT_EQUAL(l.g.depth, 2);
}

static void test_growing_storm_is_not_futile(void)
{
	/* The storm grows while we go deeper: it may look futile, but giving back shows the truth.
	 */
	struct loop l = loop_new(2, 4, 100 * MS);
	double floor_time = 0;

	for (int i = 0; i < 600; i++) {
		l.plant.base = 2 + (i < 60 ? i * 0.1 : 6);
		tick(&l);
		if (pressure_of(&l) > 1)
			floor_time += 0.1;
	}
	CU_ASSERT(floor_time < 12);
	CU_ASSERT(l.g.depth > 1.5);
	CU_ASSERT(pressure_of(&l) <= 1.01);
}

static void test_unknown(void)
{
	struct loop l = loop_new(6, 8, 100 * MS);
	const struct governor_reading unknown = { .pressure = -1, .steps = 2 };
	double depth;

	run(&l, 2);
	depth = l.g.depth;
	for (int i = 0; i < 50; i++, l.now_us += l.tick_us)
		governor_step(&l.g, &l.law, &unknown, l.now_us);
	CU_ASSERT_EQUAL(l.g.depth, depth);
	for (int i = 0; i < 300; i++, l.now_us += l.tick_us)
		governor_step(&l.g, &l.law, &unknown, l.now_us);
	CU_ASSERT_EQUAL(l.g.depth, 0);
}

static void test_trembling(void)
{
	/* Clean mostly, now and then between clean and 1: the hold clock rests, it is not set back.
	 */
	struct loop l = loop_new(6, 8, 100 * MS);

	run(&l, 2);
	l.plant.slope = 0;
	for (int i = 0; i < 600 && l.g.state != GOVERNOR_CALM; i++) {
		l.plant.base = i % 3 ? 0.5 : 0.9;
		tick(&l);
	}
	CU_ASSERT_EQUAL(l.g.state, GOVERNOR_CALM);
}

static void test_near_target_by_itself(void)
{
	/* p stays at nine tenths of target whatever we do, and nobody fills his cap: all is back.
	 */
	struct loop l = loop_new(6, 8, 100 * MS);

	run(&l, 2);
	l.plant.base = 0.9;
	l.plant.slope = 0;
	l.slack = false;
	run(&l, 60);
	CU_ASSERT(l.g.depth > 0.5); /* filled caps: the storm may still be there */
	l.slack = true;
	CU_ASSERT(release_time(&l) < 40);
	CU_ASSERT_EQUAL(l.g.state, GOVERNOR_CALM);
}

static void test_nobody_gives_way(void)
{
	struct loop l = loop_new(9, 0, 100 * MS);

	l.steps = 0;
	run(&l, 10);
	CU_ASSERT_EQUAL(l.g.depth, 0);
	CU_ASSERT_EQUAL(l.g.state, GOVERNOR_CALM);
	l.steps = 2;
	run(&l, 0.5);
	CU_ASSERT(l.g.depth > 0);
	l.steps = 1; /* a class went */
	tick(&l);
	CU_ASSERT(l.g.depth <= 1);
}

static void test_stall_is_no_clean_time(void)
{
	struct loop l = loop_new(6, 8, 100 * MS);
	double depth;

	run(&l, 2);
	l.plant.base = 0;
	run(&l, 11);
	CU_ASSERT_EQUAL(l.g.state, GOVERNOR_RELEASING);
	depth = l.g.depth;
	l.now_us += 60 * SECOND; /* the loop stood still */
	tick(&l);
	CU_ASSERT(l.g.depth > depth - 0.25);
}

/* Memory comes back slowly: a class at its floor has time before the next one is touched. */
static void test_waits_at_a_floor(void)
{
	struct overload o = { .tick_us = 100 * MS, .release_hold_us = 10 * SECOND };
	struct loop l = loop_new(9, 0, 100 * MS);
	uint64_t since;

	l.law = governor_law_of(RESOURCE_MEMORY, &o);
	while (l.g.depth < 1)
		tick(&l);
	since = l.now_us;
	while (l.g.depth <= 1)
		tick(&l);
	CU_ASSERT(l.now_us - since >= l.law.class_us);
	CU_ASSERT(l.now_us - since <= l.law.class_us + 2 * l.tick_us);
	CU_ASSERT(l.law.class_us > l.law.lag_us);
}

/* The guests that gave way have ended: the resource comes to rest, not for ever to `holding`. */
static void test_all_gone(void)
{
	struct loop l = loop_new(6, 8, 100 * MS);

	run(&l, 2);
	CU_ASSERT(l.g.depth > 0);
	l.plant.base = 0;
	l.steps = 0;
	run(&l, 25);
	CU_ASSERT_EQUAL(l.g.depth, 0);
	CU_ASSERT_EQUAL(l.g.state, GOVERNOR_CALM);
	CU_ASSERT_EQUAL(l.events[GOVERNOR_OVER], 1);
}

static const struct test tests[] = {
	{ "levels of the classes", test_levels },
	{ "a storm is met at once and by what is needed", test_storm },
	{ "no second step before the first can show", test_waits_for_the_effect },
	{ "release: hold, then a steady ramp, at any tick", test_release },
	{ "giving back rests where victims are within target", test_rests_within_target },
	{ "relapse: at once deeper, longer holds, forgotten", test_relapse },
	{ "... and no class is passed over for it", test_relapse_keeps_to_its_class },
	{ "rests above a relapse, unless there is slack", test_rests_above_a_relapse },
	{ "given up while they wanted nothing", test_same_cause_again },
	{ "a storm with a rhythm is held through", test_rhythm },
	{ "the next class is entered by its first rung", test_enters_the_next_class_gently },
	{ "memory: a class at its floor has time", test_waits_at_a_floor },
	{ "a throttle that does not help is taken back", test_futile },
	{ "... in the time of a verdict for each class", test_what_does_not_help_goes_quickly },
	{ "... and what is left without that verdict by the ramp", test_rest_goes_by_the_ramp },
	{ "where guests claim nothing their noise is no cause", test_no_cause_of_noise },
	{ "until those who may give way are a cause as well", test_another_cause },
	{ "on the brink a class gives way at once", test_brink },
	{ "who was stopped on the brink stays so for a while", test_brink_and_frozen },
	{ "on the brink the next class soon follows", test_brink_at_floor },
	{ "a cause that went takes its verdict along", test_cause_gone_verdict_void },
	{ "a short rest within a storm delays no verdict", test_a_short_rest_delays_no_verdict },
	{ "a storm after a long rest is judged by itself", test_after_a_long_rest_judged_anew },
	{ "one that helps a little is kept", test_helpful_is_not_futile },
	{ "taken up again in vain", test_taken_up_in_vain },
	{ "taken up again for good", test_taken_up_for_good },
	{ "a growing storm is not mistaken", test_growing_storm_is_not_futile },
	{ "pressure unknown", test_unknown },
	{ "a trembling signal does not keep guests throttled", test_trembling },
	{ "victims near target by themselves", test_near_target_by_itself },
	{ "a ladder without classes, or with fewer", test_nobody_gives_way },
	{ "those who gave way have gone", test_all_gone },
	{ "a loop that stood still gives nothing back", test_stall_is_no_clean_time },
};

int main(void)
{
	return harness_run("governor", tests, ARRAY_SIZE(tests));
}
