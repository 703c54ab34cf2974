/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * policy_check - what must fit together across the whole policy, and with the host.
 *
 * Errors are what cannot be kept or means nothing; warnings are what can be kept but is hardly
 * meant. All findings in one run. A check whose inputs were refused when read stays silent.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "qosd/core/host.h"
#include "qosd/core/policy_report.h"
#include "qosd/core/unit.h"

#define RANKS 64 /* as bounded by the key table */

void policy_report(struct policy_report *r, enum diag_severity severity, const char *path,
		   const char *fix, const char *fmt, ...)
{
	const struct policy_origin *origin = r->policy ? policy_origin_find(r->policy, path) : NULL;
	const char *file = origin ? origin->file : r->policy ? r->policy->path : NULL;
	va_list args;

	if (severity == DIAG_ERROR)
		r->errors++;
	va_start(args, fmt);
	diag_addv(r->findings, severity, file, origin ? origin->line : 0, path[0] ? path : NULL,
		  fix, fmt, args);
	va_end(args);
}

static bool has_ends(const char *text, const char *prefix, const char *suffix)
{
	size_t len = strlen(text), plen = strlen(prefix), slen = strlen(suffix);

	return len >= plen && len >= slen && memcmp(text, prefix, plen) == 0 &&
	       memcmp(text + len - slen, suffix, slen) == 0;
}

bool policy_report_bad(const struct policy_report *r, const char *prefix, const char *suffix)
{
	if (!r->any_bad)
		return false;
	for (size_t i = 0; i < r->policy->norigins; i++)
		if (r->policy->origins[i].bad &&
		    has_ends(r->policy->origins[i].path, prefix, suffix))
			return true;
	return false;
}

/* A bad list or element of it: "classes" or "classes[2]", but not what is inside. */
static bool list_bad(const struct policy_report *r, const char *list)
{
	return policy_report_bad(r, list, list) || policy_report_bad(r, list, "]");
}

static bool class_names_bad(const struct policy_report *r)
{
	return list_bad(r, "classes") || policy_report_bad(r, "classes[", "].name");
}

/* `"gold", "silver" or "bronze"`, as far as there is room. */
static void list_classes(const struct policy *p, char *buf, size_t size)
{
	size_t len = (size_t)snprintf(buf, size, "%s", p->nclasses == 1 ? "" : "one of ");

	for (size_t i = 0; i < p->nclasses && len < size; i++) {
		int n = snprintf(buf + len, size - len, "%s\"%s\"", i ? ", " : "",
				 p->classes[i].name ? p->classes[i].name : "");

		if (n < 0 || (size_t)n + 6 > size - len) {
			snprintf(buf + len, size - len, ", ...");
			return;
		}
		len += (size_t)n;
	}
}

/* ---- classes ---- */

static void check_class_name(struct policy_report *r, size_t index)
{
	const struct policy *p = r->policy;
	const char *name = p->classes[index].name;
	char path[REPORT_PATH_MAX];

	for (size_t i = 0; name && i < index; i++) {
		if (!p->classes[i].name || strcmp(p->classes[i].name, name) != 0)
			continue;
		snprintf(path, sizeof(path), "classes[%zu].name", index);
		policy_report(r, DIAG_ERROR, path, "give each class a name of its own",
			      "class \"%s\" is there already as classes[%zu]", name, i);
		return;
	}
}

/* Ranks in use must be 0..n-1: a hole would be a step of the ladder that frees nothing. */
static void check_ranks(struct policy_report *r)
{
	const struct policy *p = r->policy;
	size_t user[RANKS]; /* a class of that rank, + 1 */
	uint32_t expected = 0;
	char path[REPORT_PATH_MAX];

	if (list_bad(r, "classes") || policy_report_bad(r, "classes[", "].rank"))
		return;
	memset(user, 0, sizeof(user));
	for (size_t i = p->nclasses; i-- > 0;)
		if (p->classes[i].rank < RANKS)
			user[p->classes[i].rank] = i + 1;
	for (uint32_t rank = 0; rank < RANKS; rank++) {
		if (!user[rank])
			continue;
		if (rank != expected) {
			snprintf(path, sizeof(path), "classes[%zu].rank", user[rank] - 1);
			policy_report(r, DIAG_ERROR, path,
				      "number the ranks 0, 1, 2, ... without a gap",
				      "rank %u is used, but no class has rank %u", rank, rank - 1);
		}
		expected = rank + 1;
	}
}

static void check_dedicated(struct policy_report *r, size_t index)
{
	const struct qclass *c = &r->policy->classes[index];
	char path[REPORT_PATH_MAX];

	if (c->cpu.placement != PLACEMENT_DEDICATED || !cpuset_empty(&c->cpu.emulator) ||
	    !cpuset_empty(&r->policy->host.reserve.cpus) || policy_report_bad(r, "host", ""))
		return;
	snprintf(path, sizeof(path), "classes[%zu].cpu.placement", index);
	policy_report(r, DIAG_WARNING, path, "set host.reserve.cpus, or this class's cpu.emulator",
		      "guests with dedicated cores have no CPU set aside for QEMU's own threads");
}

static void check_classes(struct policy_report *r)
{
	struct policy *p = r->policy;
	char path[REPORT_PATH_MAX];

	if (p->nclasses == 0 && !list_bad(r, "classes"))
		policy_report(r, DIAG_ERROR, "classes",
			      "write classes = ( { name = \"gold\"; rank = 0; }, ... )",
			      "there is no service class");
	for (size_t i = 0; i < p->nclasses; i++) {
		snprintf(path, sizeof(path), "classes[%zu]", i);
		check_class_name(r, i);
		policy_report_class(r, &p->classes[i], path);
		check_dedicated(r, i);
	}
	check_ranks(r);
}

/* ---- which class a guest gets ---- */

static const struct qclass *resolve(struct policy_report *r, const char *path, const char *name)
{
	const struct qclass *c = policy_class(r->policy, name);
	char classes[160], fix[192];

	if (c || !name || class_names_bad(r) || r->policy->nclasses == 0)
		return c;
	list_classes(r->policy, classes, sizeof(classes));
	snprintf(fix, sizeof(fix), "write %s", classes);
	policy_report(r, DIAG_ERROR, path, fix, "there is no class \"%s\"", name);
	return NULL;
}

static bool is_any(const char *pattern)
{
	return !pattern || strspn(pattern, "*") == strlen(pattern);
}

static bool has_pattern(const struct match_rule *rule)
{
	return rule->name || rule->uuid || rule->title || rule->flavor || rule->project;
}

/* A guest always has a name and a UUID; title, flavor and project may be absent. */
static bool catches_all(const struct match_rule *rule)
{
	return has_pattern(rule) && is_any(rule->name) && is_any(rule->uuid) && !rule->title &&
	       !rule->flavor && !rule->project;
}

static void check_rules(struct policy_report *r)
{
	struct policy *p = r->policy;
	char path[REPORT_PATH_MAX];
	bool caught = false;

	for (size_t i = 0; i < p->nrules; i++) {
		struct match_rule *rule = &p->rules[i];

		snprintf(path, sizeof(path), "match[%zu]", i);
		if (!has_pattern(rule) && !policy_report_bad(r, path, ""))
			policy_report(r, DIAG_ERROR, path,
				      "add name, uuid, title, flavor or project",
				      "this rule asks for nothing");
		if (caught)
			policy_report(r, DIAG_WARNING, path,
				      "move it before the rule that matches every guest",
				      "this rule is never reached");
		caught = caught || catches_all(rule);
		snprintf(path, sizeof(path), "match[%zu].class", i);
		rule->qclass = resolve(r, path, rule->class_name);
	}
}

static void check_default_class(struct policy_report *r)
{
	struct policy *p = r->policy;
	const char *example = p->nclasses ? p->classes[p->nclasses / 2].name : NULL;
	char fix[128];

	p->default_class = resolve(r, "default_class", p->default_class_name);
	if (p->default_class_name || policy_report_bad(r, "default_class", ""))
		return;
	snprintf(fix, sizeof(fix), "write default_class = \"%s\";", example ? example : "silver");
	policy_report(r, DIAG_ERROR, "default_class", fix,
		      "there is no class for guests that no rule matches");
}

/* ---- the host's storage ---- */

/* A floor above all that there is cannot be kept. */
static void check_disk_floor(struct policy_report *r, size_t index, const char *key, uint64_t floor,
			     uint64_t capacity)
{
	char path[REPORT_PATH_MAX], fix[128];

	if (floor == POLICY_NONE_U64 || capacity == POLICY_NONE_U64 || floor <= capacity)
		return;
	snprintf(path, sizeof(path), "classes[%zu].disk.floor_%s", index, key);
	snprintf(fix, sizeof(fix), "lower floor_%s, or raise host.disk.%s", key, key);
	policy_report(r, DIAG_ERROR, path, fix, "floor_%s is above all of host.disk.%s", key, key);
}

static void check_storage(struct policy_report *r)
{
	const struct policy *p = r->policy;

	if (policy_report_bad(r, "host.disk", ""))
		return;
	for (size_t i = 0; i < p->nclasses; i++) {
		const struct class_disk *d = &p->classes[i].disk;

		check_disk_floor(r, i, "iops", d->floor_iops, p->host.disk.iops);
		check_disk_floor(r, i, "bps", d->floor_bps, p->host.disk.bps);
	}
}

/* ---- the host ---- */

static void check_cpus_online(struct policy_report *r, const char *path, const struct cpuset *cpus)
{
	struct cpuset missing = cpuset_minus(cpus, &r->host->online);
	char have[160], online[160], fix[192];

	if (cpuset_empty(&missing))
		return;
	cpuset_format(&missing, have, sizeof(have));
	cpuset_format(&r->host->online, online, sizeof(online));
	snprintf(fix, sizeof(fix), "choose from %s", online);
	policy_report(r, DIAG_ERROR, path, fix, "CPU %s is not online on this host", have);
}

/* A reserve that nobody asked for is no mistake of the file: a tiny host still gets its policy. */
static void check_host_memory(struct policy_report *r)
{
	struct policy *p = r->policy;
	const struct policy_origin *origin = policy_origin_find(p, "host.reserve.memory");
	bool asked = origin && strcmp(origin->path, "host.reserve.memory") == 0;
	uint64_t ram = r->host->memory_bytes;
	char most[UNIT_TEXT_MAX], fix[96];

	unit_format_size(ram >> 20 << 20, most);
	snprintf(fix, sizeof(fix), "write well below the host's %s", most);
	if (p->host.reserve.memory_bytes >= ram && !policy_report_bad(r, "host.reserve.memory", ""))
		policy_report(r, asked ? DIAG_ERROR : DIAG_WARNING, "host.reserve.memory", fix,
			      "the reserve leaves no memory for guests");
	if (p->overload.memory_low_bytes != POLICY_NONE_U64 && p->overload.memory_low_bytes >= ram)
		policy_report(r, DIAG_ERROR, "overload.memory.low", fix,
			      "this host would be overloaded for ever");
}

static void check_host(struct policy_report *r)
{
	const struct policy *p = r->policy;
	char path[REPORT_PATH_MAX];

	if (!r->host)
		return;
	check_host_memory(r);
	check_cpus_online(r, "host.reserve.cpus", &p->host.reserve.cpus);
	if (cpuset_subset(&r->host->online, &p->host.reserve.cpus))
		policy_report(r, DIAG_ERROR, "host.reserve.cpus", "leave CPUs for guests",
			      "the reserve takes every CPU of this host");
	for (size_t i = 0; i < p->nclasses; i++) {
		snprintf(path, sizeof(path), "classes[%zu].cpu.emulator", i);
		check_cpus_online(r, path, &p->classes[i].cpu.emulator);
	}
}

int policy_check(struct policy *p, const struct host *host, struct diag_list *findings)
{
	struct policy_report r = { .policy = p, .host = host, .findings = findings };

	for (size_t i = 0; i < p->norigins; i++)
		r.any_bad = r.any_bad || p->origins[i].bad;
	check_classes(&r);
	check_rules(&r);
	check_default_class(&r);
	policy_report_networks(&r);
	check_storage(&r);
	check_host(&r);
	return r.errors ? -EINVAL : 0;
}
