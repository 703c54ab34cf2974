/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Units: what is accepted, what is refused, and that nothing is lost from number to text and back.
 */
#include <errno.h>
#include <inttypes.h>

#include "qosd/core/unit.h"
#include "t/unit/harness.h"

typedef int parse_fn(const char *text, uint64_t *ret);
typedef char *format_fn(uint64_t value, char buf[UNIT_TEXT_MAX]);

static int parse_share(const char *text, uint64_t *ret)
{
	uint32_t permille = 0;
	int r = unit_parse_share(text, &permille);

	if (r == 0)
		*ret = permille;
	return r;
}

static char *format_share(uint64_t value, char buf[UNIT_TEXT_MAX])
{
	return unit_format_share((uint32_t)value, buf);
}

static char *format_count(uint64_t value, char buf[UNIT_TEXT_MAX])
{
	snprintf(buf, UNIT_TEXT_MAX, "%" PRIu64, value);
	return buf;
}

struct kind {
	parse_fn *parse;
	format_fn *format;
};

static const struct kind size = { unit_parse_size, unit_format_size };
static const struct kind rate = { unit_parse_rate, unit_format_rate };
static const struct kind byte_rate = { unit_parse_byte_rate, unit_format_byte_rate };
static const struct kind span = { unit_parse_time, unit_format_time };
static const struct kind share = { parse_share, format_share };
static const struct kind count = { unit_parse_count, format_count };

static const struct {
	const struct kind *kind;
	const char *text;
	uint64_t value;
	const char *normal;
} good[] = {
	{ &size, "4GiB", UINT64_C(4) << 30, "4GiB" },
	{ &size, "512 MiB", UINT64_C(512) << 20, "512MiB" },
	{ &size, "0.5GiB", UINT64_C(512) << 20, "512MiB" },
	{ &size, "1536MiB", UINT64_C(1536) << 20, "1.5GiB" },
	{ &size, "64KiB", 65536, "64KiB" },
	{ &size, "100B", 100, "100B" },
	{ &size, "4GB", UINT64_C(4000000000), "4GB" },
	{ &size, "1024B", 1024, "1KiB" },
	{ &size, "1.5kB", 1500, "1.5kB" },
	{ &size, "1.100000000000000000000000000kB", 1100, "1.1kB" },
	{ &size, "007kB", 7000, "7kB" },
	{ &size, "0B", 0, "0B" },
	{ &size, "0TiB", 0, "0B" },
	{ &size, "18446744073709551615B", UINT64_MAX, "18446744073709551615B" },
	{ &size, "16777215TiB", UINT64_C(16777215) << 40, "16777215TiB" },
	{ &rate, "20Mbit", 20000000, "20Mbit" },
	{ &rate, "1.5Gbit", 1500000000, "1.5Gbit" },
	{ &rate, "64kbit", 64000, "64kbit" },
	{ &rate, "800bit", 800, "800bit" },
	{ &rate, "0.001kbit", 1, "1bit" },
	{ &rate, "100Gbit", UINT64_C(100000000000), "100Gbit" },
	{ &byte_rate, "400MB/s", 400000000, "400MB/s" },
	{ &byte_rate, "1GiB/s", UINT64_C(1) << 30, "1GiB/s" },
	{ &byte_rate, "100B/s", 100, "100B/s" },
	{ &span, "250ms", 250000, "250ms" },
	{ &span, "10s", 10000000, "10s" },
	{ &span, "5us", 5, "5us" },
	{ &span, "2min", 120000000, "2min" },
	{ &span, "1h", UINT64_C(3600000000), "1h" },
	{ &span, "0.5ms", 500, "500us" },
	{ &span, "90s", 90000000, "90s" },
	{ &share, "150%", 1500, "150%" },
	{ &share, "12.5%", 125, "12.5%" },
	{ &share, "0.1 %", 1, "0.1%" },
	{ &share, "429496729.5%", UINT32_MAX, "429496729.5%" },
	{ &count, "20000", 20000, "20000" },
	{ &count, "0", 0, "0" },
	{ &count, "18446744073709551615", UINT64_MAX, "18446744073709551615" },
};

static void test_good(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		char buf[UNIT_TEXT_MAX];
		uint64_t value = 0;

		CU_ASSERT_EQUAL(good[i].kind->parse(good[i].text, &value), 0);
		CU_ASSERT_EQUAL(value, good[i].value);
		ASSERT_STR(good[i].kind->format(value, buf), good[i].normal);
	}
}

static const struct {
	const struct kind *kind;
	const char *text;
	int error;
} bad[] = {
	{ &size, "", -EINVAL },
	{ &size, "4", -EINVAL },
	{ &size, "0", -EINVAL },
	{ &size, "GiB", -EINVAL },
	{ &size, "4gib", -EINVAL },
	{ &size, "4 GiB ", -EINVAL },
	{ &size, " 4GiB", -EINVAL },
	{ &size, "4  GiB", -EINVAL },
	{ &size, "4\tGiB", -EINVAL },
	{ &size, "-4GiB", -EINVAL },
	{ &size, "+4GiB", -EINVAL },
	{ &size, "0x4GiB", -EINVAL },
	{ &size, "1e3B", -EINVAL },
	{ &size, "4.GiB", -EINVAL },
	{ &size, ".5GiB", -EINVAL },
	{ &size, "1,5GiB", -EINVAL },
	{ &size, "1.5B", -EINVAL },
	{ &size, "1.0001kB", -EINVAL },
	{ &size, "1.0000000000000000001TiB", -EINVAL },
	{ &size, "4GiB/s", -EINVAL },
	{ &size, "4Gbit", -EINVAL },
	{ &size, "18446744073709551616B", -ERANGE },
	{ &size, "16777216TiB", -ERANGE },
	{ &size, "99999999999999999999999999GiB", -ERANGE },
	{ &size, "99999999999999999999999999", -EINVAL },
	{ &rate, "5Gb", -EINVAL },
	{ &rate, "5gbit", -EINVAL },
	{ &rate, "5GB/s", -EINVAL },
	{ &byte_rate, "5MB", -EINVAL },
	{ &byte_rate, "5Mbit", -EINVAL },
	{ &span, "5", -EINVAL },
	{ &span, "5m", -EINVAL },
	{ &span, "5d", -EINVAL },
	{ &span, "0.0001ms", -EINVAL },
	{ &share, "50", -EINVAL },
	{ &share, "12.55%", -EINVAL },
	{ &share, "12.50%", -EINVAL },
	{ &share, "429496729.6%", -ERANGE },
	{ &count, "", -EINVAL },
	{ &count, "1.0", -EINVAL },
	{ &count, "20k", -EINVAL },
	{ &count, "-1", -EINVAL },
	{ &count, "18446744073709551616", -ERANGE },
};

static void test_bad(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		uint64_t value = 4711;
		int r = bad[i].kind->parse(bad[i].text, &value);

		if (r != bad[i].error)
			fprintf(stderr, "\n\"%s\": %d\n", bad[i].text, r);
		CU_ASSERT_EQUAL(r, bad[i].error);
		CU_ASSERT_EQUAL(value, 4711);
	}
}

static uint64_t next_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

/* Numbers of every length, round ones among them. */
static uint64_t random_value(uint64_t *state)
{
	uint64_t value = next_random(state) >> (next_random(state) % 64);
	static const uint64_t steps[] = { 1, 10, 1000, 1024, 1000000, 1 << 20, 60000000 };
	uint64_t step = steps[next_random(state) % ARRAY_SIZE(steps)];

	return value / step * step;
}

static void test_round_trip(void)
{
	static const struct kind *kinds[] = { &size, &rate, &byte_rate, &span, &count };
	uint64_t state = 0x5eed;

	for (unsigned int i = 0; i < 100000; i++) {
		const struct kind *kind = kinds[i % ARRAY_SIZE(kinds)];
		uint64_t value = random_value(&state), back = 0;
		char buf[UNIT_TEXT_MAX];

		kind->format(value, buf);
		if (strlen(buf) >= UNIT_TEXT_MAX || kind->parse(buf, &back) != 0 || back != value) {
			fprintf(stderr, "\n%" PRIu64 " -> %s -> %" PRIu64 "\n", value, buf, back);
			CU_FAIL("round trip");
			return;
		}
	}
	for (uint32_t permille = 0; permille < 20000; permille++) {
		char buf[UNIT_TEXT_MAX];
		uint32_t back = 0;

		if (unit_parse_share(unit_format_share(permille, buf), &back) || back != permille)
			CU_FAIL("round trip of a share");
	}
}

static void test_permille_of(void)
{
	CU_ASSERT_EQUAL(unit_permille_of(0, 500), 0);
	CU_ASSERT_EQUAL(unit_permille_of(100000, 1500), 150000);
	CU_ASSERT_EQUAL(unit_permille_of(1, 999), 0);
	CU_ASSERT_EQUAL(unit_permille_of(1999, 500), 999);
	CU_ASSERT_EQUAL(unit_permille_of(UINT64_MAX, 1000), UINT64_MAX);
	CU_ASSERT_EQUAL(unit_permille_of(UINT64_MAX, 1001), UINT64_MAX);
	CU_ASSERT_EQUAL(unit_permille_of(UINT64_MAX, UINT32_MAX), UINT64_MAX);
	CU_ASSERT_EQUAL(unit_permille_of(UINT64_MAX, 500), UINT64_MAX / 2);
}

static const struct test tests[] = {
	{ "reads every unit and writes the shortest form", test_good },
	{ "refuses what is not exactly a value with a unit", test_bad },
	{ "loses nothing from number to text and back", test_round_trip },
	{ "takes permille without overflow", test_permille_of },
};

int main(void)
{
	return harness_run("unit", tests, ARRAY_SIZE(tests));
}
