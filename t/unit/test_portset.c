/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Port sets: text in both directions, the normal form, and what two sets share.
 */
#include <errno.h>

#include "qosd/core/portset.h"
#include "t/unit/harness.h"

static struct portset set_of(const char *text)
{
	struct portset set = { 0 };

	CU_ASSERT_EQUAL(portset_parse(text, &set), 0);
	return set;
}

static void test_lists(void)
{
	static const struct {
		const char *text, *normal;
	} cases[] = {
		{ "", "" },
		{ "3300", "3300" },
		{ "1,65535", "1,65535" },
		{ "1-65535", "1-65535" },
		{ "3300, 6789, 6800-7568", "3300,6789,6800-7568" },
		{ "6800-7568,3300", "3300,6800-7568" },
		{ "5-5", "5" },
		{ "3,2,1", "1-3" },
		{ "10-20,15-30,5-9", "5-30" },
		{ "10,12,14,1-65535", "1-65535" },
		{ "65535,65534", "65534-65535" },
		{ "10-20,40-50,30,21-29", "10-30,40-50" },
		{ "0080", "80" },
	};
	char buf[PORTSET_TEXT_MAX];

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct portset set = set_of(cases[i].text), again;

		ASSERT_STR(portset_format(&set, buf, sizeof(buf)), cases[i].normal);
		again = set_of(buf);
		CU_ASSERT_EQUAL(memcmp(&set, &again, sizeof(set)), 0);
		CU_ASSERT_EQUAL(portset_empty(&set), !cases[i].normal[0]);
	}
}

static void test_refused(void)
{
	static const struct {
		const char *text;
		int result;
	} cases[] = {
		{ ",", -EINVAL },       { "1,", -EINVAL },    { ",1", -EINVAL },
		{ "1 2", -EINVAL },     { "1-", -EINVAL },    { "-1", -EINVAL },
		{ "2-1", -EINVAL },     { "1-2-3", -EINVAL }, { "http", -EINVAL },
		{ "0x50", -ERANGE },    { "0", -ERANGE },     { "65536", -ERANGE },
		{ "1-65536", -ERANGE }, { "0-5", -ERANGE },   { "18446744073709551617", -ERANGE },
		{ "80/tcp", -EINVAL },  { "+80", -EINVAL },
	};
	struct portset set = set_of("7");

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		CU_ASSERT_EQUAL(portset_parse(cases[i].text, &set), cases[i].result);
	CU_ASSERT(set.count == 1 && set.ranges[0].first == 7);
}

static void test_limits(void)
{
	char text[PORTSET_TEXT_MAX + 8] = "", buf[PORTSET_TEXT_MAX];
	struct portset set;

	for (unsigned int i = 0; i < PORTSET_RANGES; i++)
		snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s%u-%u", i ? "," : "",
			 60000 + 10 * i, 60005 + 10 * i);
	set = set_of(text);
	ASSERT_STR(portset_format(&set, buf, sizeof(buf)), text);
	CU_ASSERT_EQUAL(portset_parse(strcat(text, ",1"), &set), -ERANGE);
	CU_ASSERT_EQUAL(set.count, PORTSET_RANGES);
	ASSERT_STR(portset_format(&set, buf, 13), "60000-60005");
}

static void test_and(void)
{
	static const struct {
		const char *a, *b, *both;
	} cases[] = {
		{ "1-100", "50,200", "50" },
		{ "1-100", "101-200", "" },
		{ "10-20,30-40", "15-35", "15-20,30-35" },
		{ "", "1-65535", "" },
		{ "65535", "1-65535", "65535" },
	};
	char buf[PORTSET_TEXT_MAX];

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct portset a = set_of(cases[i].a), b = set_of(cases[i].b);
		struct portset one = portset_and(&a, &b), other = portset_and(&b, &a);

		ASSERT_STR(portset_format(&one, buf, sizeof(buf)), cases[i].both);
		CU_ASSERT_EQUAL(memcmp(&one, &other, sizeof(one)), 0);
	}
}

int main(void)
{
	static const struct test tests[] = {
		{ "lists and the normal form", test_lists },
		{ "what is no list", test_refused },
		{ "as many ranges as fit", test_limits },
		{ "what two sets share", test_and },
	};

	return harness_run("portset", tests, ARRAY_SIZE(tests));
}
