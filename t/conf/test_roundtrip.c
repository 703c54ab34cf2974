/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Random policies, with fixed seeds: printed, read in again and printed, the text is the same.
 * Values are drawn for every key of the tables, within its bounds, so new keys are covered too.
 */
#include <inttypes.h>

#include "qosd/core/arena.h"
#include "qosd/core/unit.h"
#include "qosd/host/conf.h"
#include "t/unit/harness.h"

#define POLICIES 500

static uint64_t next_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

/* Small numbers and large ones alike. */
static uint64_t number_between(uint64_t *state, uint64_t min, uint64_t max)
{
	uint64_t span = max - min, n = next_random(state) >> (next_random(state) % 64);

	return min + (span == UINT64_MAX ? n : n % (span + 1));
}

static void random_string(uint64_t *state, char *buf, size_t size, const char *letters)
{
	size_t len = 1 + next_random(state) % (size - 1), count = strlen(letters);

	for (size_t i = 0; i < len; i++)
		buf[i] = letters[next_random(state) % count];
	buf[len] = '\0';
}

static void random_cpus(uint64_t *state, char *buf, size_t size)
{
	struct cpuset set = { 0 };

	for (unsigned int n = next_random(state) % 20; n > 0; n--)
		cpuset_add(&set, next_random(state) % CPUSET_MAX);
	cpuset_format(&set, buf, size);
}

static void random_ports(uint64_t *state, char *buf, size_t size)
{
	size_t len = 0;

	for (unsigned int n = 1 + next_random(state) % 20; n > 0; n--) {
		unsigned int first = 1 + next_random(state) % 65000;

		len += (size_t)snprintf(buf + len, size - len, "%s%u-%u", len ? "," : "", first,
					first + (unsigned int)(next_random(state) % 500));
	}
}

static void random_number(const struct policy_key *key, uint64_t *state, char *buf, size_t size)
{
	uint64_t n = number_between(state, key->min, key->max);

	switch (key->type) {
	case KEY_SIZE:
		unit_format_size(n, buf);
		break;
	case KEY_RATE:
		unit_format_rate(n, buf);
		break;
	case KEY_BYTE_RATE:
		unit_format_byte_rate(n, buf);
		break;
	case KEY_TIME:
		unit_format_time(n, buf);
		break;
	case KEY_SHARE:
		unit_format_share((uint32_t)n, buf);
		break;
	case KEY_AMOUNT:
		if (next_random(state) % 2)
			unit_format_share((uint32_t)n, buf);
		else
			unit_format_size(next_random(state) >> 14, buf);
		break;
	default:
		snprintf(buf, size, "%" PRIu64, n);
	}
}

static void random_value(const struct policy_key *key, uint64_t *state, char *buf, size_t size)
{
	size_t words = 0;

	switch (key->type) {
	case KEY_NAME:
		random_string(state, buf, 2, "abcXYZ019");
		random_string(state, buf + 1, 40, "abcXYZ019._-");
		break;
	case KEY_PATTERN:
		random_string(state, buf, 255, "ab \"\\#/*?[]{}();=,@\xc3\xa9%n");
		break;
	case KEY_DEVICE:
		random_string(state, buf, 2, "abc019");
		random_string(state, buf + 1, 14, "abc019.@-");
		break;
	case KEY_PATH:
		random_string(state, buf, 2, "/");
		random_string(state, buf + 1, 40, "ab /._-");
		break;
	case KEY_ENUM:
		while (key->words[words])
			words++;
		snprintf(buf, size, "%s", key->words[next_random(state) % words]);
		break;
	case KEY_CPUSET:
		random_cpus(state, buf, size);
		break;
	case KEY_PORTS:
		random_ports(state, buf, size);
		break;
	default:
		random_number(key, state, buf, size);
	}
}

static void fill(const struct policy_group *g, void *base, struct arena *arena, uint64_t *state)
{
	for (size_t i = 0; i < g->nkeys; i++) {
		const struct policy_key *key = &g->keys[i];
		char value[POLICY_VALUE_MAX];
		struct qerr err = { 0 };

		if (key->type == KEY_GROUP)
			fill(key->group, (char *)base + key->offset, arena, state);
		if (key->type == KEY_GROUP || key->type == KEY_LIST)
			continue;
		if (!key->required && next_random(state) % 4 == 0)
			continue; /* the default */
		random_value(key, state, value, sizeof(value));
		if (policy_key_set(key, base, value, arena, &err) != 0) {
			fprintf(stderr, "\n%s: %s\n", key->name, err.text);
			CU_FAIL("a value within the bounds is refused");
		}
	}
}

static void fill_lists(struct policy *p, uint64_t *state)
{
	const struct policy_group *root = &policy_root_group;

	for (size_t n = next_random(state) % 5; n > 0; n--)
		fill(policy_key_find(root, "networks")->group, policy_add_network(p), p->arena,
		     state);
	for (size_t n = next_random(state) % 9; n > 0; n--)
		fill(&policy_class_group, policy_add_class(p), p->arena, state);
	for (size_t n = next_random(state) % 9; n > 0; n--)
		fill(policy_key_find(root, "match")->group, policy_add_rule(p), p->arena, state);
}

static int survives(uint64_t seed)
{
	uint64_t state = seed * UINT64_C(0x9e3779b97f4a7c15) + 1;
	struct policy *p = policy_new(), *back;
	struct diag_list findings = { 0 };
	char *printed, *again = NULL, line[512];
	int good;

	fill(&policy_root_group, p, p->arena, &state);
	fill_lists(p, &state);
	printed = policy_print(p);
	back = conf_read_text(printed, "printed", &findings);
	if (back)
		again = policy_print(back);
	good = again && strcmp(printed, again) == 0;
	if (!good)
		fprintf(stderr, "\nseed %" PRIu64 ": %s\n", seed,
			findings.count ? diag_format(&findings.items[0], line, sizeof(line))
				       : "prints another text");
	free(printed);
	free(again);
	policy_free(p);
	policy_free(back);
	diag_clear(&findings);
	return good;
}

static void test_random_policies(void)
{
	for (uint64_t seed = 1; seed <= POLICIES; seed++)
		CU_ASSERT(survives(seed));
}

static const struct test tests[] = {
	{ "random policies survive print and read", test_random_policies },
};

int main(void)
{
	return harness_run("roundtrip", tests, ARRAY_SIZE(tests));
}
