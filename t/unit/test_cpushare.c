/* SPDX-License-Identifier: GPL-2.0-or-later */
/* cpushare - the promise as a property: share >= reservation whenever reservations fit. */
#include "qosd/core/cpushare.h"
#include "t/unit/harness.h"
#include "t/unit/make.h"

static void test_plain(void)
{
	struct cpushare s[] = { { .weight = 400 }, { .weight = 100 }, { .weight = 1 } };

	cpushare_solve(s, ARRAY_SIZE(s), 4000);
	CU_ASSERT_EQUAL(s[0].result, 400);
	CU_ASSERT_EQUAL(s[1].result, 100);
	CU_ASSERT_EQUAL(s[2].result, 1);
	cpushare_solve(s, 0, 4000);
	cpushare_solve(NULL, 0, 0);
}

static void test_enough_already(void)
{
	/* 400:100 on one CPU gives 0.8 and 0.2: what is reserved. */
	struct cpushare s[] = { { .weight = 400, .reservation_mcpu = 800 },
				{ .weight = 100, .reservation_mcpu = 199 } };

	cpushare_solve(s, 2, 1000);
	CU_ASSERT_EQUAL(s[0].result, 400);
	CU_ASSERT_EQUAL(s[1].result, 100);
}

static void test_raised(void)
{
	struct cpushare s[] = { { .weight = 100, .reservation_mcpu = 2000 },
				{ .weight = 100 },
				{ .weight = 100 } };

	cpushare_solve(s, 3, 4000);
	CU_ASSERT(s[0].result >= 200 && s[0].result <= 202); /* half of the pool */
	CU_ASSERT_EQUAL(s[1].result, 100);
}

static uint64_t sum_of(const struct cpushare *s, size_t n)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < n; i++)
		sum += s[i].result;
	return sum;
}

/* Reservations of 1..95 % of the pool among up to 200 guests with any weights. */
static void one_round(uint64_t *seed)
{
	struct cpushare s[200];
	size_t n = 1 + next_random(seed) % ARRAY_SIZE(s);
	uint64_t pool = 1000 * (1 + next_random(seed) % 64), reserved = 0, sum;

	for (size_t i = 0; i < n; i++) {
		s[i].weight = 1 + next_random(seed) % 1000;
		s[i].reservation_mcpu = next_random(seed) % 4 ? 0 : next_random(seed) % 4000;
		if (reserved + s[i].reservation_mcpu > pool * 95 / 100)
			s[i].reservation_mcpu = 0;
		reserved += s[i].reservation_mcpu;
	}
	cpushare_solve(s, n, pool);
	sum = sum_of(s, n);
	for (size_t i = 0; i < n; i++) {
		CU_ASSERT(s[i].result >= 1 && s[i].result <= CPUSHARE_WEIGHT_MAX);
		CU_ASSERT(s[i].result * pool >= s[i].reservation_mcpu * sum);
	}
}

static void test_promise(void)
{
	uint64_t seed = 7;

	for (int round = 0; round < 3000; round++)
		one_round(&seed);
}

/* One large reservation among a thousand weights passes 10000: all others are scaled down. */
static void test_scaled(void)
{
	enum { N = 1001 };
	static struct cpushare s[N];
	uint64_t sum;

	for (size_t i = 0; i < N; i++)
		s[i] = (struct cpushare){ .weight = 100 };
	s[500].reservation_mcpu = 32000;
	cpushare_solve(s, N, 64000);
	sum = sum_of(s, N);
	CU_ASSERT(s[500].result > 9000 && s[500].result <= CPUSHARE_WEIGHT_MAX);
	CU_ASSERT(s[500].result * 64000ULL >= 32000 * sum);
	CU_ASSERT(s[0].result < 100 && s[0].result == s[N - 1].result);
}

/* More reserved than there is: cut in proportion, and nobody gets nothing. */
static void test_too_much(void)
{
	struct cpushare s[] = { { .weight = 100, .reservation_mcpu = 6000 },
				{ .weight = 100, .reservation_mcpu = 3000 },
				{ .weight = 100 } };

	cpushare_solve(s, 3, 4000);
	CU_ASSERT(s[0].result > s[1].result * 19 / 10 && s[0].result < s[1].result * 21 / 10);
	CU_ASSERT(s[2].result >= 1);
	cpushare_solve(s, 3, 0);
	CU_ASSERT_EQUAL(s[0].result, 100);
}

static const struct test tests[] = {
	{ "without reservations weights stay", test_plain },
	{ "enough already", test_enough_already },
	{ "raised just enough", test_raised },
	{ "shares never fall below reservations", test_promise },
	{ "scaled at the kernel's largest weight", test_scaled },
	{ "more than the pool", test_too_much },
};

int main(void)
{
	return harness_run("cpushare", tests, ARRAY_SIZE(tests));
}
