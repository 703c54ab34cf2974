/* SPDX-License-Identifier: GPL-2.0-or-later */
/* classify - which class, by which rule; globs; and the class's shares of a guest's size. */
#include <errno.h>

#include "qosd/core/glob.h"
#include "t/unit/harness.h"
#include "t/unit/make.h"

static void test_glob(void)
{
	static const struct {
		const char *pattern, *text;
		bool fold, match;
	} cases[] = {
		{ "", "", false, true },
		{ "", "a", false, false },
		{ "*", "", false, true },
		{ "**", "abc", false, true },
		{ "db-*", "db-1", false, true },
		{ "db-*", "dbx1", false, false },
		{ "*a*b*c", "xaybzc", false, true },
		{ "*a*b*c", "xaybzcd", false, false },
		{ "?", "", false, false },
		{ "a?c", "abc", false, true },
		{ "[a-c]x", "bx", false, true },
		{ "[a-c]x", "dx", false, false },
		{ "[!a-c]x", "dx", false, true },
		{ "[^a]", "a", false, false },
		{ "[]]", "]", false, true },
		{ "[!]]", "]", false, false },
		{ "[a-]", "-", false, true },
		{ "[a", "[a", false, true },
		{ "[a", "a", false, false },
		{ "\\*", "*", false, true },
		{ "\\*", "x", false, false },
		{ "[\\]]", "]", false, true },
		{ "a\\", "a\\", false, true },
		{ "AbC", "aBc", true, true },
		{ "AbC", "aBc", false, false },
		{ "[A-C]", "b", true, true },
		{ "m1.*", "m1.tiny", false, true },
		{ "[z-a]", "m", false, false },
		{ "\xff*", "\xff\xfe", false, true },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		bool got = glob_match(cases[i].pattern, cases[i].text, cases[i].fold);

		if (got != cases[i].match)
			fprintf(stderr, "\nglob %s on %s\n", cases[i].pattern, cases[i].text);
		CU_ASSERT_EQUAL(got, cases[i].match);
	}
}

/* A pattern that sends backtracking matchers to sleep. */
static void test_glob_time(void)
{
	char pattern[256], text[4096];

	for (size_t i = 0; i + 2 < sizeof(pattern); i += 2)
		memcpy(pattern + i, "*a", 2);
	strcpy(pattern + 240, "b");
	memset(text, 'a', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	CU_ASSERT_FALSE(glob_match(pattern, text, false));
}

static struct match_rule *add_rule(struct policy *p, const char *class_name)
{
	struct match_rule *r = must(policy_add_rule(p));

	r->class_name = (char *)class_name;
	return r;
}

static struct policy *policy_with_rules(void)
{
	struct policy *p = make_policy();

	add_rule(p, "gold")->name = (char *)"db-*";
	add_rule(p, "bronze")->flavor = (char *)"m1.*";
	add_rule(p, "gold")->title = (char *)"*production*";
	add_rule(p, "bronze")->uuid = (char *)"*-8000-0000000000AB";
	return p;
}

static void assert_class(const struct policy *p, const struct guest *g, const char *name,
			 const char *from)
{
	struct assignment a;

	classify(p, g, &a);
	ASSERT_STR(a.effective.name, name);
	ASSERT_STR(a.from, from);
}

static void test_order(void)
{
	struct policy *p = policy_with_rules();
	struct guest *g = make_guest("db-1", 0xab, 2, GIB);

	assert_class(p, g, "gold", "match name db-*");
	set_text(&g->name, "web");
	assert_class(p, g, "bronze", "match uuid *-8000-0000000000AB");
	set_text(&g->title, "a production machine");
	assert_class(p, g, "gold", "match title *production*");
	set_text(&g->flavor, "m1.tiny");
	assert_class(p, g, "bronze", "match flavor m1.*");
	set_text(&g->class_name, "silver");
	assert_class(p, g, "silver", "metadata");
	guest_unref(g);
	g = make_guest("other", 2, 2, GIB);
	assert_class(p, g, "silver", "default_class");
	guest_unref(g);
	policy_free(p);
}

static void test_all_patterns(void)
{
	struct policy *p = make_policy();
	struct match_rule *r = add_rule(p, "gold");
	struct guest *g = make_guest("db-1", 1, 2, GIB);

	r->name = (char *)"db-*";
	r->project = (char *)"shop";
	assert_class(p, g, "silver", "default_class");
	set_text(&g->project, "shop");
	assert_class(p, g, "gold", "match name db-* project shop");
	guest_unref(g);
	policy_free(p);
}

static void test_unknown(void)
{
	struct policy *p = policy_with_rules();
	struct guest *g = make_guest("db-1", 1, 2, GIB);
	struct assignment a;

	set_text(&g->class_name, "platinum");
	classify(p, g, &a);
	ASSERT_STR(a.effective.name, "gold");
	CU_ASSERT_EQUAL(a.finding.code, -ENOENT);
	CU_ASSERT_PTR_NOT_NULL(strstr(a.finding.text, "platinum"));
	p->nrules = 0;
	p->default_class_name = NULL;
	set_text(&g->class_name, "silver");
	classify(p, g, &a);
	CU_ASSERT_EQUAL(a.finding.code, 0);
	free(TAKE_PTR(g->class_name));
	classify(p, g, &a);
	ASSERT_STR(a.effective.name, "none");
	CU_ASSERT_PTR_NULL(a.base);
	CU_ASSERT_EQUAL(a.effective.cpu.weight, 100);
	CU_ASSERT_EQUAL(a.finding.code, -ENOENT);
	CU_ASSERT_EQUAL(class_net_limit(&a.effective, true), KNOB_MAX);
	guest_unref(g);
	policy_free(p);
}

static void test_overrides(void)
{
	struct policy *p = make_policy();
	struct guest *g = make_guest("a", 1, 2, GIB);
	struct assignment a;

	set_text(&g->class_name, "bronze");
	make_override(g, "cpu.limit", "150%");
	make_override(g, "cpu.limt", "50%");
	make_override(g, "cpu.weight", "many");
	make_override(g, "memory.swap", "none");
	classify(p, g, &a);
	CU_ASSERT_TRUE(a.overridden);
	CU_ASSERT_EQUAL(a.effective.cpu.limit_permille, 1500);
	CU_ASSERT_EQUAL(a.effective.memory.swap, SWAP_NONE);
	CU_ASSERT_EQUAL(a.effective.cpu.weight, a.base->cpu.weight);
	CU_ASSERT_EQUAL(a.base->cpu.limit_permille, 500);
	CU_ASSERT_TRUE(a.finding.code < 0);
	CU_ASSERT_PTR_NOT_NULL(strstr(a.finding.text, "cpu.limt"));
	guest_unref(g);
	policy_free(p);
}

static void test_override_below_floor(void)
{
	struct policy *p = make_policy();
	struct guest *g = make_guest("a", 1, 2, GIB);
	struct assignment a;

	set_text(&g->class_name, "bronze");
	make_override(g, "cpu.limit", "5%");
	classify(p, g, &a);
	CU_ASSERT_EQUAL(a.effective.cpu.limit_permille, 50);
	CU_ASSERT(a.effective.cpu.floor_permille <= 50);
	CU_ASSERT(a.effective.cpu.reservation_permille <= 50);
	guest_unref(g);
	policy_free(p);
}

static void test_rbd_clients(void)
{
	CU_ASSERT_EQUAL(class_rbd_clients_mcpu(10000, 0), 600);
	CU_ASSERT_EQUAL(class_rbd_clients_mcpu(10000, 100000000), 680);
	CU_ASSERT(class_rbd_clients_mcpu(UINT64_MAX, UINT64_MAX) > 1000000); /* saturates */
}

static void test_memory(void)
{
	struct policy *p = make_policy();
	struct qclass gold = *policy_class(p, "gold");
	struct guest *g = make_guest("a", 1, 2, 2 * GIB);
	uint64_t each;

	CU_ASSERT_EQUAL(class_memory_reservation(&gold, g), 2 * GIB + 128 * MIB);
	gold.memory.reservation = (struct amount){ .relative = false, .value = GIB };
	CU_ASSERT_EQUAL(class_memory_reservation(&gold, g), GIB + 128 * MIB);
	gold.rbd.cache = RBD_CACHE_WRITEBACK;
	gold.rbd.cache_size_bytes = 64 * MIB;
	g->disks = must(calloc(3, sizeof(*g->disks)));
	g->ndisks = 3;
	g->disks[0].rbd = g->disks[2].rbd = true;
	/* Requests under way, 2.1 times the cache and 1.4 times what may be dirty. */
	each = 3 * MIB + 32 * MIB * 23 / 10 + 64 * MIB * 21 / 10 + 24 * MIB * 14 / 10;
	CU_ASSERT_EQUAL(class_memory_rbd_caches(&gold, g), 24 * MIB + 2 * each);
	CU_ASSERT_EQUAL(class_memory_reservation(&gold, g), GIB + 152 * MIB + 2 * each);
	/* QEMU has the word on whether there is a cache. */
	strcpy(g->disks[0].cache, "none");
	CU_ASSERT_EQUAL(class_memory_rbd_caches(&gold, g), 27 * MIB + 32 * MIB * 23 / 10 + each);
	/* What was found goes before what is expected. */
	gold.rbd.in_force_bytes = 100 * MIB;
	CU_ASSERT_EQUAL(class_memory_rbd_caches(&gold, g), 100 * MIB);
	gold.memory.reservation.value = 0;
	CU_ASSERT_EQUAL(class_memory_reservation(&gold, g), 0);
	gold.memory.reservation.value = UINT64_MAX - 1;
	CU_ASSERT_EQUAL(class_memory_reservation(&gold, g), UINT64_MAX);
	CU_ASSERT_EQUAL(class_memory_low(policy_class(p, "silver"), g), GIB);
	guest_unref(g);
	policy_free(p);
}

static void test_quota(void)
{
	static const struct {
		uint32_t limit, vcpus;
		uint64_t cap, quota, period;
	} cases[] = {
		{ POLICY_NONE_U32, 2, UINT64_MAX, UINT64_MAX, 100000 },
		{ 500, 2, UINT64_MAX, 20000, 20000 },
		{ 1500, 2, UINT64_MAX, 60000, 20000 },
		{ 50, 1, UINT64_MAX, 1000, 20000 },
		{ 49, 1, UINT64_MAX, 2450, 50000 },
		{ 10, 2, UINT64_MAX, 2000, 100000 },
		{ 1, 3, UINT64_MAX, 3000, 1000000 },
		{ 333, 3, UINT64_MAX, 19980, 20000 },
		{ 0, 2, UINT64_MAX, 2000, 1000000 },
		{ 500, 0, UINT64_MAX, UINT64_MAX, 100000 },
		/* throttled: a refill is worth 5 ms a vCPU, but no period is longer than 100 ms for
		   that */
		{ POLICY_NONE_U32, 1, 50, 5000, 100000 },
		{ POLICY_NONE_U32, 1, 49, 4900, 100000 },
		{ POLICY_NONE_U32, 1, 4, 2000, 500000 },
		{ POLICY_NONE_U32, 2, 200, 10000, 50000 },
		{ POLICY_NONE_U32, 1, 200, 10000, 50000 },
		{ POLICY_NONE_U32, 1, 250, 5000, 20000 },
		{ 500, 2, 400, 20000, 50000 },
		{ 50, 1, 50, 1000, 20000 }, /* its limit is less already */
	};
	struct guest *g = make_guest("a", 1, 2, GIB);
	struct qclass c = { .name = NULL };

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		uint64_t quota, period;

		c.cpu.limit_permille = cases[i].limit;
		g->vcpus = cases[i].vcpus;
		class_cpu_quota(&c, g, cases[i].cap, &quota, &period);
		CU_ASSERT_EQUAL(quota, cases[i].quota);
		CU_ASSERT_EQUAL(period, cases[i].period);
	}
	c.cpu.limit_permille = UINT32_MAX - 1;
	for (g->vcpus = 1; g->vcpus && g->vcpus < UINT32_MAX / 2; g->vcpus *= 3) {
		uint64_t quota, period;

		class_cpu_quota(&c, g, UINT64_MAX, &quota, &period);
		CU_ASSERT_EQUAL(quota % class_vcpus(g), 0);
		CU_ASSERT(quota < UINT64_C(1) << 44);
	}
	guest_unref(g);
}

static const struct test tests[] = {
	{ "globs", test_glob },
	{ "globs take bounded time", test_glob_time },
	{ "metadata, rules in order, default", test_order },
	{ "all patterns of a rule must match", test_all_patterns },
	{ "unknown classes fall through and are told", test_unknown },
	{ "overrides, good and bad", test_overrides },
	{ "an override below the floor", test_override_below_floor },
	{ "CPUs of RBD clients, by the limits of their disks", test_rbd_clients },
	{ "memory of a class", test_memory },
	{ "quota and period", test_quota },
};

int main(void)
{
	return harness_run("classify", tests, ARRAY_SIZE(tests));
}
