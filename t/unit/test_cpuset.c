/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * CPU sets: the kernel's list format in both directions, and the set operations.
 */
#include <errno.h>

#include "qosd/core/cpuset_store.h"
#include "t/unit/harness.h"

static struct cpuset set_of(const char *text)
{
	struct cpuset set = { 0 };

	CU_ASSERT_EQUAL(cpuset_parse(text, &set), 0);
	return set;
}

static void test_lists(void)
{
	static const struct {
		const char *text, *normal;
	} cases[] = {
		{ "", "" },
		{ "\n", "" },
		{ "0", "0" },
		{ "0-3,8,10-11", "0-3,8,10-11" },
		{ "0-3,8,10-11\n", "0-3,8,10-11" },
		{ "3,2,1,0", "0-3" },
		{ "0-1,1-2", "0-2" },
		{ "5-5", "5" },
		{ "62-65", "62-65" },
		{ "007", "7" },
		{ "0-1023", "0-1023" },
		{ "1023", "1023" },
	};
	char buf[CPUSET_TEXT_MAX];

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct cpuset set = set_of(cases[i].text);

		ASSERT_STR(cpuset_format(&set, buf, sizeof(buf)), cases[i].normal);
	}
}

static void test_refused(void)
{
	static const struct {
		const char *text;
		int error;
	} cases[] = {
		{ ",", -EINVAL },       { "0,", -EINVAL },
		{ "0,,1", -EINVAL },    { "-1", -EINVAL },
		{ "1-", -EINVAL },      { "3-1", -EINVAL },
		{ "0-7:2/4", -EINVAL }, { "a", -EINVAL },
		{ "0 ", -EINVAL },      { "0, 1", -EINVAL },
		{ "0\n1", -EINVAL },    { "0,\n", -EINVAL },
		{ "1-2-3", -EINVAL },   { "1024", -ERANGE },
		{ "0-1024", -ERANGE },  { "99999999999999999999", -ERANGE },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct cpuset set = { .bits = { 42 } };

		CU_ASSERT_EQUAL(cpuset_parse(cases[i].text, &set), cases[i].error);
		CU_ASSERT_EQUAL(set.bits[0], 42);
	}
}

static void test_longest(void)
{
	struct cpuset set = { 0 }, back;
	char buf[CPUSET_TEXT_MAX], small[8];

	for (unsigned int cpu = 0; cpu < CPUSET_MAX; cpu += 2)
		cpuset_add(&set, cpu);
	cpuset_format(&set, buf, sizeof(buf));
	back = set_of(buf);
	CU_ASSERT(cpuset_equal(&set, &back));
	CU_ASSERT_EQUAL(cpuset_count(&set), CPUSET_MAX / 2);
	ASSERT_STR(cpuset_format(&set, small, sizeof(small)), "0,2,4,6");
	ASSERT_STR(cpuset_format(&set, small, 2), "0");
	ASSERT_STR(cpuset_format(&set, small, 1), "");
}

static void test_sets(void)
{
	struct cpuset a = set_of("0-7,100"), b = set_of("4-11,100"), c;
	struct cpuset empty = { 0 }, expected;

	c = cpuset_and(&a, &b);
	expected = set_of("4-7,100");
	CU_ASSERT(cpuset_equal(&c, &expected));
	CU_ASSERT(cpuset_subset(&c, &a) && cpuset_subset(&c, &b) && !cpuset_subset(&a, &b));
	c = cpuset_or(&a, &b);
	expected = set_of("0-11,100");
	CU_ASSERT(cpuset_equal(&c, &expected));
	c = cpuset_minus(&a, &b);
	expected = set_of("0-3");
	CU_ASSERT(cpuset_equal(&c, &expected));
	CU_ASSERT(cpuset_intersects(&a, &b) && !cpuset_intersects(&c, &b));
	CU_ASSERT(cpuset_subset(&empty, &a) && !cpuset_intersects(&empty, &a));
	CU_ASSERT(cpuset_empty(&empty) && !cpuset_empty(&a));
}

static void test_members(void)
{
	struct cpuset set = set_of("3,64,1023");

	CU_ASSERT_EQUAL(cpuset_next(&set, 0), 3);
	CU_ASSERT_EQUAL(cpuset_next(&set, 3), 3);
	CU_ASSERT_EQUAL(cpuset_next(&set, 4), 64);
	CU_ASSERT_EQUAL(cpuset_next(&set, 65), 1023);
	CU_ASSERT_EQUAL(cpuset_next(&set, 1024), CPUSET_MAX);
	CU_ASSERT_EQUAL(cpuset_next(&set, UINT32_MAX), CPUSET_MAX);
	cpuset_del(&set, 1023);
	CU_ASSERT(!cpuset_has(&set, 1023) && cpuset_has(&set, 64));
	CU_ASSERT_EQUAL(cpuset_next(&set, 65), CPUSET_MAX);
	cpuset_add(&set, CPUSET_MAX);
	cpuset_del(&set, UINT32_MAX);
	CU_ASSERT(!cpuset_has(&set, CPUSET_MAX));
	CU_ASSERT_EQUAL(cpuset_count(&set), 2);
}

/* Copies that last; one for equal sets that come near each other. */
static void test_store(void)
{
	struct cpuset_store store = { 0 };
	struct cpuset set = set_of("0-3"), all = set_of("0-1023");
	const struct cpuset *kept = cpuset_store_keep(&store, &set), *others[200];
	char buf[CPUSET_TEXT_MAX];

	cpuset_add(&set, 8);
	for (unsigned int i = 0; i < 200; i++) {
		struct cpuset one = { 0 };

		cpuset_add(&one, i);
		CU_ASSERT_PTR_EQUAL(cpuset_store_keep(&store, &all),
				    cpuset_store_keep(&store, &all));
		others[i] = cpuset_store_keep(&store, &one);
	}
	for (unsigned int i = 0; i < 200; i++)
		CU_ASSERT(cpuset_count(others[i]) == 1 && cpuset_has(others[i], i));
	ASSERT_STR(cpuset_format(kept, buf, sizeof(buf)), "0-3");
	ASSERT_STR(cpuset_format(cpuset_store_keep(&store, &set), buf, sizeof(buf)), "0-3,8");
	cpuset_store_done(&store);
	CU_ASSERT_PTR_NULL(store.arena);
}

static const struct test tests[] = {
	{ "reads lists and writes the shortest", test_lists },
	{ "refuses other forms and leaves the result alone", test_refused },
	{ "fits the longest list and cuts at whole ranges", test_longest },
	{ "and, or, minus, subset, intersects", test_sets },
	{ "members and bounds", test_members },
	{ "sets that are kept", test_store },
};

int main(void)
{
	return harness_run("cpuset", tests, ARRAY_SIZE(tests));
}
