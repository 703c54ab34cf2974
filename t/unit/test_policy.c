/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Policy: the key tables are sound, values survive text and back, overrides, origins, the normal
 * form, and the cross checks against a host. (The findings themselves: t/conf.)
 */
#include <errno.h>

#include "qosd/core/arena.h"
#include "qosd/core/host.h"
#include "qosd/core/policy.h"
#include "t/unit/harness.h"

typedef void visit_fn(const struct policy_key *key, void *base, struct arena *arena);

/* Visit every scalar key of a policy that has one element in each list. */
static void walk(const struct policy_group *g, void *base, struct arena *arena, visit_fn *visit)
{
	for (size_t i = 0; i < g->nkeys; i++) {
		const struct policy_key *key = &g->keys[i];
		char *field = (char *)base + key->offset;
		void *element;

		if (key->type == KEY_GROUP) {
			walk(key->group, field, arena, visit);
		} else if (key->type == KEY_LIST) {
			memcpy(&element, field, sizeof(element));
			walk(key->group, element, arena, visit);
		} else {
			visit(key, base, arena);
		}
	}
}

static struct policy *full_policy(void)
{
	struct policy *p = policy_new();

	CU_ASSERT_PTR_NOT_NULL_FATAL(p);
	policy_add_class(p)->name = arena_strdup(p->arena, "gold");
	policy_add_rule(p);
	policy_add_network(p);
	return p;
}

/* ---- the tables ---- */

static void check_row(const struct policy_key *key, void *base, struct arena *arena)
{
	char text[64], buf[POLICY_VALUE_MAX];
	struct qerr err;
	const char *sample = key->type == KEY_ENUM ? key->words[0] : key->example;

	CU_ASSERT_PTR_NOT_NULL(key->help);
	CU_ASSERT_PTR_NOT_NULL_FATAL(sample);
	snprintf(text, sizeof(text), "%s", sample[0] == '"' ? sample + 1 : sample);
	if (sample[0] == '"')
		text[strlen(text) - 1] = '\0';
	if (policy_key_set(key, base, text, arena, &err) != 0)
		CU_FAIL("the example of a key is refused");
	ASSERT_STR(policy_key_format(key, base, buf, sizeof(buf)), text);
}

static void test_examples(void)
{
	struct policy *p = full_policy();

	walk(&policy_root_group, p, p->arena, check_row);
	policy_free(p);
}

static void check_default(const struct policy_key *key, void *base, struct arena *arena)
{
	char before[POLICY_VALUE_MAX], after[POLICY_VALUE_MAX];
	struct qerr err = { 0 };

	policy_key_format(key, base, before, sizeof(before));
	if (!before[0] && key->type != KEY_CPUSET)
		return; /* a string that is not set */
	CU_ASSERT_EQUAL(policy_key_set(key, base, before, arena, &err), 0);
	ASSERT_STR(policy_key_format(key, base, after, sizeof(after)), before);
}

static void test_defaults(void)
{
	struct policy *p = full_policy();

	walk(&policy_root_group, p, p->arena, check_default);
	CU_ASSERT_EQUAL(p->mode, MODE_OBSERVE);
	CU_ASSERT_EQUAL(p->overload.release_step_permille, 100);
	CU_ASSERT_EQUAL(p->classes[0].cpu.limit_permille, POLICY_NONE_U32);
	policy_free(p);
}

static void check_unique(const struct policy_group *g)
{
	for (size_t i = 0; i < g->nkeys; i++) {
		CU_ASSERT_PTR_EQUAL(policy_key_find(g, g->keys[i].name), &g->keys[i]);
		CU_ASSERT_PTR_EQUAL(policy_key_nearest(g, g->keys[i].name), &g->keys[i]);
		if (g->keys[i].group)
			check_unique(g->keys[i].group);
	}
}

static void test_names(void)
{
	check_unique(&policy_root_group);
	CU_ASSERT_PTR_NULL(policy_key_find(&policy_root_group, "Mode"));
	ASSERT_STR(policy_key_nearest(&policy_root_group, "clasess")->name, "classes");
	ASSERT_STR(policy_key_nearest(&policy_class_group, "mem0ry")->name, "memory");
	CU_ASSERT_PTR_NULL(policy_key_nearest(&policy_class_group, "colour"));
	CU_ASSERT_PTR_NULL(policy_key_nearest(&policy_class_group, ""));
	CU_ASSERT_PTR_NULL(policy_key_nearest(&policy_class_group,
					      "a-name-longer-than-any-key-could-ever-be-in-here"));
}

/* ---- overrides ---- */

static void test_override(void)
{
	struct policy *p = full_policy();
	struct qclass c = p->classes[0];
	struct qerr err = { 0 };

	CU_ASSERT_EQUAL(policy_class_override(&c, "cpu.limit", "150%", NULL, &err), 0);
	CU_ASSERT_EQUAL(c.cpu.limit_permille, 1500);
	CU_ASSERT_EQUAL(policy_class_override(&c, "memory.reservation", "1GiB", NULL, &err), 0);
	CU_ASSERT(!c.memory.reservation.relative);
	CU_ASSERT_EQUAL(policy_class_override(&c, "cpu.emulator", "0-1", NULL, &err), 0);
	CU_ASSERT_EQUAL(policy_class_override(&c, "net.in_limit", "same", NULL, &err), 0);
	CU_ASSERT_EQUAL(policy_class_override(&c, "disk.read_iops", "none", NULL, &err), 0);
	CU_ASSERT_EQUAL(policy_class_override(&c, "cpu.limit", "fast", NULL, &err), -EINVAL);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "cpu.limit: \"fast\" is not"));
	CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "write for example \"150%\""));
	CU_ASSERT_EQUAL(policy_class_override(&c, "cpu.weight", "0", NULL, NULL), -ERANGE);
	CU_ASSERT_EQUAL(c.cpu.limit_permille, 1500);
	CU_ASSERT_EQUAL(p->classes[0].cpu.limit_permille, POLICY_NONE_U32);
	policy_free(p);
}

static void test_override_refused(void)
{
	static const char *const paths[] = {
		"",
		".",
		"cpu",
		"cpu.",
		"rank",
		"name",
		"cpu.limit.x",
		"rbd.cache",
		"rank.x",
		"cpu.x",
		"classes.cpu.limit",
		"a-path-that-is-longer-than-any-group-name-could-ever-be-so-far-as-known.limit",
	};
	struct policy *p = full_policy();
	struct qerr err;

	for (size_t i = 0; i < ARRAY_SIZE(paths); i++)
		CU_ASSERT_EQUAL(policy_class_override(&p->classes[0], paths[i], "1", NULL, &err),
				-EINVAL);
	policy_free(p);
}

static void test_class_check(void)
{
	struct policy *p = full_policy();
	struct diag_list findings = { 0 };
	char buf[256];

	CU_ASSERT_EQUAL(policy_class_check(&p->classes[0], &findings), 0);
	CU_ASSERT_EQUAL(findings.count, 0);
	p->classes[0].cpu.limit_permille = 50;
	CU_ASSERT_EQUAL(policy_class_check(&p->classes[0], &findings), -EINVAL);
	ASSERT_STR(diag_format(&findings.items[0], buf, sizeof(buf)),
		   "cpu.floor: floor 10% is above the limit 5%; "
		   "write floor = \"5%\" or less, or raise the limit");
	diag_clear(&findings);
	policy_free(p);
}

/* ---- life and origins ---- */

static void test_growth(void)
{
	struct policy *p = policy_new();

	for (uint32_t i = 0; i < 100; i++) {
		struct qclass *c = policy_add_class(p);

		CU_ASSERT_PTR_NOT_NULL_FATAL(c);
		CU_ASSERT_EQUAL(c->index, i);
		CU_ASSERT_EQUAL(c->cpu.weight, 100);
		c->name = arena_printf(p->arena, "class%u", i);
		policy_add_rule(p)->line = i;
		policy_add_network(p)->line = i;
	}
	CU_ASSERT_PTR_EQUAL(policy_class(p, "class57"), &p->classes[57]);
	CU_ASSERT_PTR_NULL(policy_class(p, "class100"));
	CU_ASSERT_PTR_NULL(policy_class(p, NULL));
	CU_ASSERT(p->rules[63].line == 63 && !p->rules[63].name && p->networks[99].line == 99);
	CU_ASSERT_EQUAL(p->networks[99].rate_bps, POLICY_NONE_U64);
	policy_free(p);
	policy_free(NULL);
}

static void test_origins(void)
{
	struct policy *p = policy_new();

	CU_ASSERT_PTR_NULL(policy_origin_find(p, "mode"));
	policy_origin_add(p, "mode", "a.conf", 3, false);
	policy_origin_add(p, "classes[2]", "b.inc", 10, false);
	policy_origin_add(p, "classes[2].cpu.limit", "b.inc", 12, true);
	CU_ASSERT_EQUAL(policy_origin_find(p, "mode")->line, 3);
	CU_ASSERT_EQUAL(policy_origin_find(p, "classes[2].cpu.limit")->line, 12);
	CU_ASSERT_EQUAL(policy_origin_find(p, "classes[2].cpu.floor")->line, 10);
	ASSERT_STR(policy_origin_find(p, "classes[2].rank")->file, "b.inc");
	CU_ASSERT_PTR_NULL(policy_origin_find(p, "classes[20].rank"));
	CU_ASSERT_PTR_NULL(policy_origin_find(p, ""));
	policy_free(p);
}

/* ---- checks ---- */

static size_t check_errors(struct policy *p, const struct host *host)
{
	struct diag_list findings = { 0 };
	int r = policy_check(p, host, &findings);
	size_t errors = findings.errors;

	CU_ASSERT_EQUAL(r, errors ? -EINVAL : 0);
	diag_clear(&findings);
	return errors;
}

static struct policy *small_policy(void)
{
	struct policy *p = policy_new();

	policy_add_class(p)->name = arena_strdup(p->arena, "gold");
	policy_add_class(p)->name = arena_strdup(p->arena, "bronze");
	p->classes[1].rank = 1;
	p->default_class_name = arena_strdup(p->arena, "bronze");
	return p;
}

static void test_resolve(void)
{
	struct policy *p = small_policy();
	struct match_rule *rule = policy_add_rule(p);

	rule->name = arena_strdup(p->arena, "db-*");
	rule->class_name = arena_strdup(p->arena, "gold");
	CU_ASSERT_EQUAL(check_errors(p, NULL), 0);
	CU_ASSERT_PTR_EQUAL(p->default_class, &p->classes[1]);
	CU_ASSERT_PTR_EQUAL(p->rules[0].qclass, &p->classes[0]);
	p->rules[0].class_name = arena_strdup(p->arena, "golden");
	CU_ASSERT_EQUAL(check_errors(p, NULL), 1);
	CU_ASSERT_PTR_NULL(p->rules[0].qclass);
	policy_free(p);
}

static void test_host(void)
{
	struct host host = { .memory_bytes = UINT64_C(4) << 30 };
	struct policy *p = small_policy();

	cpuset_parse("0-3,8", &host.online);
	CU_ASSERT_EQUAL(check_errors(p, &host), 0);
	cpuset_parse("0,8", &p->host.reserve.cpus);
	CU_ASSERT_EQUAL(check_errors(p, &host), 0);
	cpuset_parse("0,7", &p->host.reserve.cpus);
	CU_ASSERT_EQUAL(check_errors(p, &host), 1);
	CU_ASSERT_EQUAL(check_errors(p, NULL), 0);
	cpuset_parse("0-3,8", &p->host.reserve.cpus);
	CU_ASSERT_EQUAL(check_errors(p, &host), 1);
	p->host.reserve.memory_bytes = host.memory_bytes; /* by default: a warning */
	CU_ASSERT_EQUAL(check_errors(p, &host), 1);
	policy_origin_add(p, "host.reserve.memory", "f", 1, false);
	CU_ASSERT_EQUAL(check_errors(p, &host), 2);
	cpuset_parse("4", &p->classes[1].cpu.emulator);
	CU_ASSERT_EQUAL(check_errors(p, &host), 3);
	policy_free(p);
}

/* A refused value silences what leans on it, and nothing else. */
static void test_silence(void)
{
	struct policy *p = small_policy();

	p->classes[0].cpu.limit_permille = 50;
	p->classes[1].cpu.limit_permille = 50;
	CU_ASSERT_EQUAL(check_errors(p, NULL), 2);
	policy_origin_add(p, "classes[0].cpu.floor", "f", 1, true);
	CU_ASSERT_EQUAL(check_errors(p, NULL), 1);
	p->classes[1].rank = 7;
	CU_ASSERT_EQUAL(check_errors(p, NULL), 2);
	policy_origin_add(p, "classes[1].rank", "f", 1, true);
	CU_ASSERT_EQUAL(check_errors(p, NULL), 1);
	p->default_class_name = arena_strdup(p->arena, "silver");
	CU_ASSERT_EQUAL(check_errors(p, NULL), 2);
	policy_origin_add(p, "classes[1].name", "f", 1, true);
	CU_ASSERT_EQUAL(check_errors(p, NULL), 1);
	policy_free(p);
}

/* ---- normal form ---- */

static void test_print(void)
{
	struct policy *p = small_policy();
	char *text, *again;

	policy_add_rule(p)->title = arena_strdup(p->arena, "a\"b\\c\x01");
	p->classes[0].disk.read_iops = UINT64_C(5000000000);
	text = policy_print(p);
	again = policy_print(p);
	CU_ASSERT_PTR_NOT_NULL_FATAL(text);
	ASSERT_STR(again, text);
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "\t\ttitle = \"a\\\"b\\\\c\\x01\";\n"));
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "\t\t\tread_iops = \"5000000000\";\n"));
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "\nnetworks = ();\n"));
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "\t\trank = 1;\n"));
	free(text);
	free(again);
	policy_free(p);
}

static const struct test tests[] = {
	{ "every key has an example that it accepts", test_examples },
	{ "every default survives text and back", test_defaults },
	{ "key names are found, and slips of the pen corrected", test_names },
	{ "a class takes overrides", test_override },
	{ "other keys cannot be overridden", test_override_refused },
	{ "a class alone can be checked", test_class_check },
	{ "lists grow", test_growth },
	{ "settings are found in the files", test_origins },
	{ "checks resolve class names", test_resolve },
	{ "checks know the host", test_host },
	{ "checks keep silent about refused values", test_silence },
	{ "the normal form is stable and escaped", test_print },
};

int main(void)
{
	return harness_run("policy", tests, ARRAY_SIZE(tests));
}
