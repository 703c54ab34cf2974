/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * classify - finds the class; class_size.c has the sums.
 */
#include "qosd/core/classify.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "qosd/core/glob.h"
#include "qosd/core/mem.h"

struct pattern {
	const char *what, *pattern, *text;
	bool fold;
};

enum { PATTERNS = 5 };

static void rule_patterns(const struct match_rule *r, const struct guest *g,
			  struct pattern ret[PATTERNS])
{
	ret[0] = (struct pattern){ "name", r->name, g->name, false };
	ret[1] = (struct pattern){ "uuid", r->uuid, g->uuid, true };
	ret[2] = (struct pattern){ "title", r->title, g->title, false };
	ret[3] = (struct pattern){ "flavor", r->flavor, g->flavor, false };
	ret[4] = (struct pattern){ "project", r->project, g->project, false };
}

static bool rule_matches(const struct match_rule *rule, const struct guest *g)
{
	struct pattern patterns[PATTERNS];

	rule_patterns(rule, g, patterns);
	for (size_t i = 0; i < PATTERNS; i++) {
		const struct pattern *p = &patterns[i];

		if (p->pattern && (!p->text || !glob_match(p->pattern, p->text, p->fold)))
			return false;
	}
	return true;
}

/* "match name db-* flavor m1.*" */
static void rule_describe(const struct match_rule *rule, const struct guest *g, char *buf,
			  size_t size)
{
	struct pattern patterns[PATTERNS];
	size_t len = (size_t)snprintf(buf, size, "match");

	rule_patterns(rule, g, patterns);
	for (size_t i = 0; i < PATTERNS && len < size; i++)
		if (patterns[i].pattern)
			len += (size_t)snprintf(buf + len, size - len, " %s %s", patterns[i].what,
						patterns[i].pattern);
}

static const struct qclass *by_metadata(const struct policy *policy, const struct guest *g,
					struct assignment *ret)
{
	const struct qclass *c;

	if (!g->class_name)
		return NULL;
	c = policy_class(policy, g->class_name);
	if (c)
		snprintf(ret->from, sizeof(ret->from), "metadata");
	else
		qerr_set(&ret->finding, -ENOENT,
			 "the metadata asks for class \"%s\", which the policy does not have; "
			 "use one that it has, or add it",
			 g->class_name);
	return c;
}

static const struct qclass *by_rule(const struct policy *policy, const struct guest *g,
				    struct assignment *ret)
{
	for (size_t i = 0; i < policy->nrules; i++) {
		const struct match_rule *rule = &policy->rules[i];
		const struct qclass *c = rule->qclass;

		if (!rule_matches(rule, g))
			continue;
		if (!c && rule->class_name)
			c = policy_class(policy, rule->class_name);
		if (c) {
			rule_describe(rule, g, ret->from, sizeof(ret->from));
			return c;
		}
	}
	return NULL;
}

static const struct qclass *by_default(const struct policy *policy, struct assignment *ret)
{
	const struct qclass *c = policy->default_class;

	if (!c && policy->default_class_name)
		c = policy_class(policy, policy->default_class_name);
	if (c)
		snprintf(ret->from, sizeof(ret->from), "default_class");
	return c;
}

/* For a guest that no class fits: nothing asked, nothing taken. */
static const struct qclass neutral = {
	.name = (char *)"none",
	.cpu = { .limit_permille = POLICY_NONE_U32, .weight = 100 },
	.net = { .limit_bps = POLICY_NONE_U64,
		 .in_limit_bps = POLICY_NONE_U64,
		 .out_limit_bps = POLICY_NONE_U64,
		 .weight = 1 },
	.disk = { .read_iops = POLICY_NONE_U64,
		  .write_iops = POLICY_NONE_U64,
		  .total_iops = POLICY_NONE_U64,
		  .read_bps = POLICY_NONE_U64,
		  .write_bps = POLICY_NONE_U64,
		  .total_bps = POLICY_NONE_U64,
		  .floor_iops = POLICY_NONE_U64,
		  .floor_bps = POLICY_NONE_U64,
		  .weight = 100 },
};

static void apply_overrides(const struct guest *g, struct assignment *ret)
{
	for (size_t i = 0; i < g->noverrides; i++) {
		const struct guest_override *o = &g->overrides[i];
		struct qclass changed = ret->effective;
		struct qerr err = { 0 };
		int r = policy_class_override(&changed, o->key, o->value, NULL, &err);

		if (r == 0) {
			ret->effective = changed;
			ret->overridden = true;
		} else if (!ret->finding.code) {
			qerr_set(&ret->finding, r, "override ignored: %s", err.text);
		}
	}
}

/*
 * An override can put a limit below the class's floor or reservation, or make it idle: the limit is
 * the stronger word.
 */
static void keep_consistent(struct qclass *c)
{
	if (c->cpu.reservation_permille > c->cpu.limit_permille)
		c->cpu.reservation_permille = c->cpu.limit_permille;
	if (c->cpu.floor_permille > c->cpu.limit_permille)
		c->cpu.floor_permille = c->cpu.limit_permille;
	if (c->cpu.idle)
		c->cpu.reservation_permille = 0;
}

void classify_none(const char *from, struct assignment *ret)
{
	*ret = (struct assignment){ .effective = neutral };
	snprintf(ret->from, sizeof(ret->from), "%s", from);
}

void classify(const struct policy *policy, const struct guest *guest, struct assignment *ret)
{
	*ret = (struct assignment){ 0 };
	ret->base = by_metadata(policy, guest, ret);
	if (!ret->base)
		ret->base = by_rule(policy, guest, ret);
	if (!ret->base)
		ret->base = by_default(policy, ret);
	if (!ret->base) {
		ret->effective = neutral;
		snprintf(ret->from, sizeof(ret->from), "none");
		if (!ret->finding.code)
			qerr_set(&ret->finding, -ENOENT,
				 "no class fits this guest; set default_class");
		return;
	}
	ret->effective = *ret->base;
	apply_overrides(guest, ret);
	if (ret->overridden)
		keep_consistent(&ret->effective);
}
