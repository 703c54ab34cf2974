/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * governor - the law against small plants: p as a function of depth (and time), at several ticks.
 */
#include "t/unit/governor_loop.h"

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
	{ "a storm with a rhythm is held through", test_rhythm },
	{ "the next class is entered by its first rung", test_enters_the_next_class_gently },
	{ "memory: a class at its floor has time", test_waits_at_a_floor },
	{ "on the brink a class gives way at once", test_brink },
	{ "who was stopped on the brink stays so for a while", test_brink_and_frozen },
	{ "on the brink the next class soon follows", test_brink_at_floor },
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
