/* SPDX-License-Identifier: GPL-2.0-or-later */
/* governor - whether a throttle helps: verdicts, what ends them, and what is taken up again. */
#include "t/unit/governor_loop.h"

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

static const struct test tests[] = {
	{ "given up while they wanted nothing", test_same_cause_again },
	{ "a throttle that does not help is taken back", test_futile },
	{ "... in the time of a verdict for each class", test_what_does_not_help_goes_quickly },
	{ "... and what is left without that verdict by the ramp", test_rest_goes_by_the_ramp },
	{ "where guests claim nothing their noise is no cause", test_no_cause_of_noise },
	{ "until those who may give way are a cause as well", test_another_cause },
	{ "a cause that went takes its verdict along", test_cause_gone_verdict_void },
	{ "a short rest within a storm delays no verdict", test_a_short_rest_delays_no_verdict },
	{ "a storm after a long rest is judged by itself", test_after_a_long_rest_judged_anew },
	{ "one that helps a little is kept", test_helpful_is_not_futile },
	{ "taken up again in vain", test_taken_up_in_vain },
	{ "taken up again for good", test_taken_up_for_good },
	{ "a growing storm is not mistaken", test_growing_storm_is_not_futile },
};

int main(void)
{
	return harness_run("governor_verdict", tests, ARRAY_SIZE(tests));
}
