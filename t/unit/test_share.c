/* SPDX-License-Identifier: GPL-2.0-or-later */
/* share - worked examples, and its laws as properties of random sets of shares. */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include "qosd/core/share.h"
#include "t/unit/harness.h"

#define CASES      20000
#define SHARES_MAX 40

typedef unsigned __int128 wide;

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static void divide(uint64_t capacity, struct share *s, size_t n)
{
	struct share_slot scratch[SHARES_MAX];

	share_divide(capacity, s, n, scratch);
}

/* ---- examples ---- */

static void test_owner_asks(void)
{
	/* Gold asks for its reservation and no more: bronze gets what gold leaves. */
	struct share s[] = { { .reservation = 50, .limit = 100, .demand = 50, .weight = 1 },
			     { .limit = 100, .demand = 100, .weight = 1 } };

	divide(100, s, 2);
	CU_ASSERT_EQUAL(s[0].rate, 50);
	CU_ASSERT_EQUAL(s[1].rate, 50);
}

static void test_rest_by_weight(void)
{
	/* 100 - 20 - 10 is shared 3 : 1 on top of what is owned; the third is content with 6. */
	struct share s[] = { { .reservation = 20, .limit = 100, .demand = 100, .weight = 3 },
			     { .reservation = 10, .limit = 100, .demand = 100, .weight = 1 },
			     { .limit = 100, .demand = 6, .weight = 1 } };

	divide(100, s, 3);
	CU_ASSERT_EQUAL(s[0].rate, 20 + 48);
	CU_ASSERT_EQUAL(s[1].rate, 10 + 16);
	CU_ASSERT_EQUAL(s[2].rate, 6);
}

static void test_limit(void)
{
	/* Who may not take its part leaves it to the others. */
	struct share s[] = { { .limit = 30, .demand = 1000, .weight = 10 },
			     { .limit = SHARE_NO_LIMIT, .demand = 1000, .weight = 1 } };

	divide(100, s, 2);
	CU_ASSERT_EQUAL(s[0].rate, 30);
	CU_ASSERT_EQUAL(s[1].rate, 70);
}

static void test_head_room(void)
{
	/* 60 asked of 100; the rest is lent 1 : 3, and the first is at its limit with 40. */
	struct share s[] = { { .limit = 40, .demand = 35, .weight = 1 },
			     { .limit = SHARE_NO_LIMIT, .demand = 25, .weight = 3 } };

	divide(100, s, 2);
	CU_ASSERT_EQUAL(s[0].rate, 40);
	CU_ASSERT_EQUAL(s[1].rate, 60);
}

static void test_too_much_reserved(void)
{
	/* 150 owned of 100: in proportion, but who owns 150 and asks for 10 has its 10. */
	struct share s[] = { { .reservation = 150, .limit = 200, .demand = 10, .weight = 1 },
			     { .reservation = 60, .limit = 200, .demand = 200, .weight = 9 },
			     { .reservation = 120, .limit = 200, .demand = 200, .weight = 1 } };

	divide(100, s, 3);
	CU_ASSERT_EQUAL(s[0].rate, 10);
	CU_ASSERT_EQUAL(s[1].rate, 30);
	CU_ASSERT_EQUAL(s[2].rate, 60);
}

static void test_ends(void)
{
	struct share s[] = {
		{ .reservation = 5, .limit = 3, .demand = 9, .weight = 1 }, /* limit counts */
		{ .reservation = 5, .limit = SHARE_NO_LIMIT, .demand = 7, .weight = 0 },
		{ .limit = SHARE_NO_LIMIT, .demand = SHARE_NO_LIMIT, .weight = UINT32_MAX },
	};

	divide(0, s, 3);
	CU_ASSERT_EQUAL(s[0].rate + s[1].rate + s[2].rate, 0);
	divide(UINT64_MAX, s, 3);
	CU_ASSERT_EQUAL(s[0].rate, 3);
	CU_ASSERT_EQUAL(s[1].rate, 5); /* without weight it borrows nothing */
	CU_ASSERT_EQUAL(s[2].rate, UINT64_MAX - 8);
	divide(100, s, 0);
}

/* ---- laws ---- */

static uint64_t below(unsigned short seed[3], uint64_t n)
{
	return (((uint64_t)nrand48(seed) << 31) | (uint64_t)nrand48(seed)) % n;
}

/* Few values, so that ties are common, or many. */
static uint64_t amount(unsigned short seed[3], uint64_t scale)
{
	switch (below(seed, 4)) {
	case 0:
		return 0;
	case 1:
		return (1 + below(seed, 3)) * (scale / 4 + 1);
	default:
		return below(seed, scale + 1);
	}
}

static size_t random_shares(unsigned short seed[3], struct share *s, uint64_t *ret_capacity)
{
	static const uint64_t scales[] = { 3, 100, 1000000, 10000000000, 10000000000000 };
	uint64_t scale = scales[below(seed, ARRAY_SIZE(scales))];
	size_t n = below(seed, SHARES_MAX + 1);

	for (size_t i = 0; i < n; i++) {
		s[i] = (struct share){
			.reservation = amount(seed, scale),
			.limit = below(seed, 3) ? amount(seed, 2 * scale) : SHARE_NO_LIMIT,
			.demand = below(seed, 5) ? amount(seed, 2 * scale) : SHARE_NO_LIMIT,
			.weight = (uint32_t)below(seed, 4)
		};
		if (below(seed, 4) == 0)
			s[i].weight = (uint32_t)below(seed, 10000);
	}
	*ret_capacity = below(seed, 6) ? below(seed, (n + 1) * scale) : below(seed, 4);
	return n;
}

static uint64_t wants(const struct share *s)
{
	return least(s->demand, s->limit);
}

static uint64_t owns(const struct share *s)
{
	return least(wants(s), s->reservation);
}

/* Is a's part, measured by its weight, no smaller than b's but for a whole unit? */
static bool no_less(uint64_t a, uint64_t weight_a, uint64_t b, uint64_t weight_b)
{
	return (wide)(a + 1) * weight_b >= (wide)b * weight_a;
}

/* What is owned fits: everyone has it. Else nobody has more, in proportion, than one who lacks. */
static bool owners_served(const struct share *s, size_t n, bool fits)
{
	for (size_t i = 0; i < n; i++) {
		if (s[i].rate >= owns(&s[i]))
			continue;
		if (fits)
			return false;
		for (size_t k = 0; k < n; k++)
			if (!no_less(s[i].rate, s[i].reservation, s[k].rate, s[k].reservation))
				return false;
	}
	return true;
}

/* Of two who borrow, one who lacks something has as much by weight as the other. */
static bool borrowers_fair(const struct share *s, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (s[i].rate >= wants(&s[i]) || !s[i].weight)
			continue;
		for (size_t k = 0; k < n; k++)
			if (!no_less(s[i].rate - owns(&s[i]), s[i].weight, s[k].rate - owns(&s[k]),
				     s[k].weight))
				return false;
	}
	return true;
}

/* Nothing is left over while somebody may take it, nor lent while somebody asks. */
static bool conserves(uint64_t capacity, const struct share *s, size_t n)
{
	bool asks = false, may = false, lent = false;
	wide sum = 0;

	for (size_t i = 0; i < n; i++) {
		sum += s[i].rate;
		asks |= s[i].weight && s[i].rate < wants(&s[i]);
		may |= s[i].weight && s[i].rate < s[i].limit;
		lent |= s[i].rate > wants(&s[i]);
	}
	return sum <= capacity && (!(asks || may) || sum + n >= capacity) && !(asks && lent);
}

static bool in_any_order(unsigned short seed[3], uint64_t capacity, const struct share *s, size_t n)
{
	struct share shuffled[SHARES_MAX];
	size_t from[SHARES_MAX];

	for (size_t i = 0; i < n; i++) {
		size_t k = below(seed, i + 1);

		from[i] = from[k];
		from[k] = i;
	}
	for (size_t i = 0; i < n; i++)
		shuffled[i] = s[from[i]];
	divide(capacity, shuffled, n);
	for (size_t i = 0; i < n; i++)
		if (shuffled[i].rate != s[from[i]].rate)
			return false;
	return true;
}

static bool within_limits(const struct share *s, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (s[i].rate > s[i].limit)
			return false;
	return true;
}

static void show(unsigned int number, uint64_t capacity, const struct share *s, size_t n)
{
	fprintf(stderr, "\ncase %u, capacity %llu:\n", number, (unsigned long long)capacity);
	for (size_t i = 0; i < n; i++)
		fprintf(stderr, "  reservation %llu limit %llu demand %llu weight %u: %llu\n",
			(unsigned long long)s[i].reservation, (unsigned long long)s[i].limit,
			(unsigned long long)s[i].demand, s[i].weight,
			(unsigned long long)s[i].rate);
}

static bool lawful(unsigned short seed[3], uint64_t capacity, const struct share *s, size_t n)
{
	wide owned = 0;
	bool fits;

	for (size_t i = 0; i < n; i++)
		owned += owns(&s[i]);
	fits = owned <= capacity;
	return within_limits(s, n) && owners_served(s, n, fits) &&
	       (!fits || borrowers_fair(s, n)) && conserves(capacity, s, n) &&
	       in_any_order(seed, capacity, s, n);
}

static void test_laws(void)
{
	unsigned short seed[3] = { 5, 2026, 11 };

	for (unsigned int number = 0; number < CASES; number++) {
		struct share s[SHARES_MAX];
		uint64_t capacity;
		size_t n = random_shares(seed, s, &capacity);

		divide(capacity, s, n);
		if (lawful(seed, capacity, s, n))
			continue;
		show(number, capacity, s, n);
		CU_FAIL("a law is broken");
		return;
	}
}

static const struct test tests[] = {
	{ "the owner asks", test_owner_asks },
	{ "the rest goes by weight", test_rest_by_weight },
	{ "limits", test_limit },
	{ "head room is lent", test_head_room },
	{ "more reserved than there is", test_too_much_reserved },
	{ "ends", test_ends },
	{ "laws", test_laws },
};

int main(void)
{
	return harness_run("share", tests, ARRAY_SIZE(tests));
}
