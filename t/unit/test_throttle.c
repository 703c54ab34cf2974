/* SPDX-License-Identifier: GPL-2.0-or-later */
/* throttle - water filling: worked examples, and its laws as properties of random classes. */
#include "qosd/core/throttle.h"
#include "t/unit/harness.h"
#include "t/unit/make.h"

#define NEAR(a, b) CU_ASSERT_DOUBLE_EQUAL(a, b, 1e-6 * ((b) + 1))

static void test_light_untouched(void)
{
	/* Budget 0.5 * (100 + 1000 + 1000) = 1050: the light one keeps 100, the others share 950.
	 */
	struct throttle_share s[] = { { .demand = 100, .full = 2000, .size = 1 },
				      { .demand = 1000, .full = 2000, .size = 1 },
				      { .demand = 1000, .full = 2000, .size = 1 } };

	throttle_fill(s, 3, 500);
	NEAR(s[1].cap, 475);
	NEAR(s[2].cap, 475);
	NEAR(s[0].cap, 475); /* untouched: it wants 100 */
}

static void test_sizes(void)
{
	/* 0.5 * (4000 + 1000), by vCPU: 2000 and 500. */
	struct throttle_share s[] = { { .demand = 4000, .full = 4000, .size = 4 },
				      { .demand = 1000, .full = 1000, .size = 1 } };

	throttle_fill(s, 2, 500);
	NEAR(s[0].cap, 2000);
	NEAR(s[1].cap, 500);
}

static void test_floors(void)
{
	/* B = 600 + 0.1 * (1000 - 500) = 650: 500 is the floor of one, 150 for the other. */
	struct throttle_share s[] = { { .demand = 500, .floor = 500, .full = 1000, .size = 1 },
				      { .demand = 600, .floor = 100, .full = 1000, .size = 1 } };

	throttle_fill(s, 2, 100);
	NEAR(s[0].cap, 500);
	NEAR(s[1].cap, 150);
}

static void test_ends(void)
{
	struct throttle_share s[] = { { .demand = 900, .floor = 100, .full = 1000, .size = 1 },
				      { .demand = 0, .floor = 50, .full = 1e18, .size = 1 } };

	throttle_fill(s, 2, 0);
	NEAR(s[0].cap, 100);
	NEAR(s[1].cap, 50);
	throttle_fill(s, 2, 1000);
	CU_ASSERT(s[0].cap >= s[0].full && s[1].cap >= s[1].full);
	throttle_fill(s, 2, 5000);
	CU_ASSERT(s[0].cap >= s[0].full && s[1].cap >= s[1].full);
	throttle_fill(s, 0, 500);
}

static void test_idle(void)
{
	struct throttle_share s[] = { { .demand = 10, .floor = 100, .full = 1100, .size = 1 },
				      { .demand = 0, .floor = 200, .full = 200, .size = 1 } };

	throttle_fill(s, 2, 500);
	NEAR(s[0].cap, 600);
	NEAR(s[1].cap, 200);
}

/* ---- properties ---- */

static double min(double a, double b)
{
	return a < b ? a : b;
}

static double max(double a, double b)
{
	return a > b ? a : b;
}

static double random_between(uint64_t *seed, double low, double high)
{
	return low + (high - low) * (next_random(seed) % 1000001) / 1e6;
}

static size_t random_class(uint64_t *seed, struct throttle_share *s, size_t room)
{
	size_t n = 1 + next_random(seed) % room;

	for (size_t i = 0; i < n; i++) {
		s[i].floor = next_random(seed) % 3 ? random_between(seed, 0, 500) : 0;
		s[i].full = s[i].floor + random_between(seed, 0, 5000);
		s[i].demand = next_random(seed) % 4 ? random_between(seed, 0, s[i].full * 1.2) : 0;
		s[i].size = 1 + next_random(seed) % 8;
	}
	return n;
}

static double want(const struct throttle_share *s)
{
	return max(s->floor, min(s->demand, s->full));
}

/* Who is below what it wants has no less for its size than anyone who is above its floor. */
static bool is_max_min(const struct throttle_share *s, size_t n)
{
	double lowest = 1e30, highest = 0;

	for (size_t i = 0; i < n; i++) {
		if (s[i].cap < want(&s[i]) - 1e-6)
			lowest = min(lowest, s[i].cap / s[i].size);
		if (s[i].cap > s[i].floor + 1e-6)
			highest = max(highest, min(s[i].cap, want(&s[i])) / s[i].size);
	}
	return lowest >= highest - 1e-6 * highest - 1e-6;
}

static void one_class(uint64_t *seed)
{
	struct throttle_share s[300];
	size_t n = random_class(seed, s, ARRAY_SIZE(s));
	uint32_t level = next_random(seed) % 1000;
	double floors = 0, wants = 0, taken = 0, budget;
	bool safe = true, someone = false;

	throttle_fill(s, n, level);
	for (size_t i = 0; i < n; i++) {
		floors += s[i].floor;
		wants += want(&s[i]);
		taken += min(s[i].cap, want(&s[i]));
		safe &= s[i].cap >= s[i].floor;
		someone |= want(&s[i]) > s[i].floor;
	}
	budget = floors + level / 1000.0 * (wants - floors);
	CU_ASSERT(safe);
	CU_ASSERT(taken <= budget * (1 + 1e-9) + 1e-6);
	CU_ASSERT(taken >= budget * (1 - 1e-9) - 1e-6); /* nothing is left lying about */
	CU_ASSERT(!someone || is_max_min(s, n));
}

static void test_properties(void)
{
	for (uint64_t k = 0; k < 20000; k++) {
		uint64_t seed = k * 7919 + 1;

		one_class(&seed);
	}
}

static void test_more_level_never_less(void)
{
	for (uint64_t k = 0; k < 500; k++) {
		struct throttle_share s[40];
		uint64_t seed = k + 77;
		size_t n = random_class(&seed, s, ARRAY_SIZE(s));
		double before[40] = { 0 };
		bool rises = true;

		for (uint32_t level = 0; level <= 1000; level += 50) {
			throttle_fill(s, n, level);
			for (size_t i = 0; i < n; i++) {
				double part = min(s[i].cap, want(&s[i]));

				rises &= part >= before[i] - 1e-6 * (before[i] + 1);
				before[i] = part;
			}
		}
		CU_ASSERT(rises);
	}
}

static const struct test tests[] = {
	{ "who wants little is untouched", test_light_untouched },
	{ "parts go by size", test_sizes },
	{ "floors hold", test_floors },
	{ "both ends of the level", test_ends },
	{ "a class that wants nothing", test_idle },
	{ "laws of 20000 random classes", test_properties },
	{ "a higher level never takes from anyone", test_more_level_never_less },
};

int main(void)
{
	return harness_run("throttle", tests, ARRAY_SIZE(tests));
}
