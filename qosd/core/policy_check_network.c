/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * policy_check_network - networks: names and devices, the rate and the reservations of an uplink,
 * and what is told apart on it.
 */
#include <stdio.h>
#include <string.h>

#include "qosd/core/mem.h"
#include "qosd/core/netshare.h"
#include "qosd/core/policy_report.h"
#include "qosd/core/unit.h"

#define MOUNT "/sys/fs/cgroup"

static bool same(const char *a, const char *b)
{
	return a && b && strcmp(a, b) == 0;
}

static bool has_end(const char *text, const char *end)
{
	size_t len = strlen(text), elen = strlen(end);

	return len >= elen && strcmp(text + len - elen, end) == 0;
}

static void check_network_unique(struct policy_report *r, size_t index)
{
	const struct network *networks = r->policy->networks, *n = &networks[index];
	char path[REPORT_PATH_MAX];

	for (size_t i = 0; i < index; i++) {
		if (same(networks[i].name, n->name)) {
			snprintf(path, sizeof(path), "networks[%zu].name", index);
			policy_report(r, DIAG_ERROR, path, "give each network a name of its own",
				      "network \"%s\" is there already as networks[%zu]", n->name,
				      i);
		}
		if (same(networks[i].device, n->device) && !netshare_told_apart(n) &&
		    !netshare_told_apart(&networks[i])) {
			snprintf(path, sizeof(path), "networks[%zu].device", index);
			policy_report(r, DIAG_ERROR, path, "name each device in one network",
				      "device \"%s\" belongs to networks[%zu] already", n->device,
				      i);
		}
	}
}

/* What the networks on one uplink say that it carries; NONE: the link itself tells. */
static uint64_t line_rate(const struct policy *p, size_t index)
{
	uint32_t line = netshare_line_of(p, (uint32_t)index);

	for (uint32_t i = line; i < p->nnetworks; i++)
		if (p->networks[i].rate_bps != POLICY_NONE_U64 && netshare_line_of(p, i) == line)
			return p->networks[i].rate_bps;
	return POLICY_NONE_U64;
}

/* What the first `count` networks reserve for the host on the uplink of one of them. */
static uint64_t line_reserved(const struct policy *p, size_t index, size_t count)
{
	uint32_t line = netshare_line_of(p, (uint32_t)index);
	uint64_t sum = 0;

	for (uint32_t i = 0; i < count; i++)
		if (netshare_line_of(p, i) == line)
			sum += p->networks[i].reservation_bps;
	return sum;
}

static void check_network_rate(struct policy_report *r, size_t index)
{
	const struct network *n = &r->policy->networks[index];
	char path[REPORT_PATH_MAX], has[UNIT_TEXT_MAX], said[UNIT_TEXT_MAX], fix[128];
	uint64_t rate = line_rate(r->policy, index);

	if (n->rate_bps == POLICY_NONE_U64 || n->rate_bps == rate)
		return;
	unit_format_rate(n->rate_bps, has);
	unit_format_rate(rate, said);
	snprintf(path, sizeof(path), "networks[%zu].rate", index);
	snprintf(fix, sizeof(fix), "write rate = \"%s\", or leave it out here", said);
	policy_report(r, DIAG_ERROR, path, fix, "uplink %s carries %s as networks[%u] says, not %s",
		      netshare_uplink(n), said, netshare_line_of(r->policy, (uint32_t)index), has);
}

static void check_network_reservation(struct policy_report *r, size_t index)
{
	const struct policy *p = r->policy;
	uint64_t rate = line_rate(p, index), before = line_reserved(p, index, index);
	uint64_t mine = p->networks[index].reservation_bps;
	char path[REPORT_PATH_MAX], have[UNIT_TEXT_MAX], most[UNIT_TEXT_MAX], fix[128];

	snprintf(path, sizeof(path), "networks[%zu]", index);
	if (rate == POLICY_NONE_U64 || before > rate || mine <= rate - before ||
	    policy_report_bad(r, path, ""))
		return;
	unit_format_rate(mine, have);
	unit_format_rate(rate - before, most);
	snprintf(path, sizeof(path), "networks[%zu].reservation", index);
	snprintf(fix, sizeof(fix), "write reservation = \"%s\" or less", most);
	policy_report(r, DIAG_ERROR, path, fix, "reservation %s is above the network's rate %s%s",
		      have, most, before ? " less what others reserve on this uplink" : "");
}

/* ---- what is told apart ---- */

static bool has_mark(const struct network *n)
{
	return n->mark && n->mark != POLICY_NONE_U32;
}

/* Each part between slashes is a name, and the first one is not where cgroups are mounted. */
static bool group_path_ok(const char *path)
{
	static const char *const bad[] = { "//", "/./", "/../" };
	size_t len = strlen(path);

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		if (strstr(path, bad[i]))
			return false;
	return path[len - 1] != '/' && !has_end(path, "/.") && !has_end(path, "/..");
}

static uint32_t levels_of(const char *path)
{
	uint32_t n = 0;

	for (; *path; path++)
		n += *path == '/';
	return n;
}

static void check_cgroup(struct policy_report *r, size_t index)
{
	const char *group = r->policy->networks[index].cgroup;
	char path[REPORT_PATH_MAX];

	if (!group)
		return;
	snprintf(path, sizeof(path), "networks[%zu].cgroup", index);
	if (strncmp(group, MOUNT, strlen(MOUNT)) == 0)
		policy_report(r, DIAG_ERROR, path,
			      "write it as below the root of cgroup v2, without " MOUNT,
			      "\"%.80s\" begins with where cgroups are mounted", group);
	else if (!group_path_ok(group))
		policy_report(r, DIAG_ERROR, path,
			      "write names between single slashes, as in /proc/PID/cgroup",
			      "\"%.80s\" is not the path of a control group", group);
	else if (levels_of(group) > POLICY_CGROUP_LEVELS)
		policy_report(r, DIAG_ERROR, path, "name a group above it",
			      "a group deeper than %d levels cannot be told apart",
			      POLICY_CGROUP_LEVELS);
}

static void check_reserves(struct policy_report *r, size_t index)
{
	const struct network *n = &r->policy->networks[index];
	const char *key = !portset_empty(&n->ports) ? "ports" : n->cgroup ? "cgroup" : "mark";
	char path[REPORT_PATH_MAX], base[REPORT_PATH_MAX];

	snprintf(base, sizeof(base), "networks[%zu].reservation", index);
	if (n->reservation_bps || policy_report_bad(r, base, ""))
		return;
	snprintf(path, sizeof(path), "networks[%zu].%s", index, key);
	policy_report(r, DIAG_WARNING, path, "add reservation = \"1Gbit\", or what it needs",
		      "nothing is reserved for this traffic, so it is not told apart");
}

/* Is the first group the second one, or above it? */
static bool group_holds(const char *group, const char *other)
{
	size_t len = strlen(group);

	return strncmp(group, other, len) == 0 && (!other[len] || other[len] == '/');
}

/* Of the two that both are told apart: what of the later one never reaches it? */
static void check_taken(struct policy_report *r, size_t before, size_t index)
{
	const struct network *a = &r->policy->networks[before], *n = &r->policy->networks[index];
	struct portset both = portset_and(&a->ports, &n->ports);
	bool by_ports = !portset_empty(&a->ports);
	char path[REPORT_PATH_MAX], ports[PORTSET_TEXT_MAX], fix[96];

	snprintf(fix, sizeof(fix), "leave that out here, or put this network before networks[%zu]",
		 before);
	if (by_ports && !a->cgroup && !has_mark(a) && !portset_empty(&both)) {
		snprintf(path, sizeof(path), "networks[%zu].ports", index);
		policy_report(r, DIAG_WARNING, path, fix,
			      "networks[%zu] takes ports %.80s of this uplink first", before,
			      portset_format(&both, ports, sizeof(ports)));
	} else if (a->cgroup && n->cgroup && !by_ports && !has_mark(a) &&
		   group_holds(a->cgroup, n->cgroup)) {
		snprintf(path, sizeof(path), "networks[%zu].cgroup", index);
		policy_report(r, DIAG_WARNING, path, fix,
			      "networks[%zu] takes all of group %.80s on this uplink first", before,
			      a->cgroup);
	} else if (has_mark(a) && a->mark == n->mark && !by_ports && !a->cgroup) {
		snprintf(path, sizeof(path), "networks[%zu].mark", index);
		policy_report(r, DIAG_WARNING, path, fix,
			      "networks[%zu] takes mark %u on this uplink first", before, a->mark);
	}
}

static void check_told_apart(struct policy_report *r, size_t index)
{
	const struct policy *p = r->policy;
	uint32_t line = netshare_line_of(p, (uint32_t)index);

	check_cgroup(r, index);
	check_reserves(r, index);
	for (uint32_t i = line; i < index; i++)
		if (netshare_told_apart(&p->networks[i]) && netshare_line_of(p, i) == line)
			check_taken(r, i, index);
}

/* ---- all of them ---- */

/* The most that one uplink leaves for guests; NONE when that depends on a link's speed. */
static uint64_t best_network_room(const struct policy *p)
{
	uint64_t best = 0;

	for (size_t i = 0; i < p->nnetworks; i++) {
		uint64_t rate = line_rate(p, i), reserved = line_reserved(p, i, p->nnetworks);
		uint64_t room = rate > reserved ? rate - reserved : 0;

		if (rate == POLICY_NONE_U64)
			return POLICY_NONE_U64;
		if (room > best)
			best = room;
	}
	return p->nnetworks ? best : POLICY_NONE_U64;
}

void policy_report_networks(struct policy_report *r)
{
	const struct policy *p = r->policy;
	uint64_t room = best_network_room(p);
	char path[REPORT_PATH_MAX], have[UNIT_TEXT_MAX], most[UNIT_TEXT_MAX], fix[128];

	for (size_t i = 0; i < p->nnetworks; i++) {
		check_network_unique(r, i);
		check_network_rate(r, i);
		check_network_reservation(r, i);
		if (netshare_told_apart(&p->networks[i]))
			check_told_apart(r, i);
	}
	if (policy_report_bad(r, "networks", ""))
		return;
	for (size_t i = 0; i < p->nclasses; i++) {
		if (p->classes[i].net.reservation_bps <= room)
			continue;
		unit_format_rate(p->classes[i].net.reservation_bps, have);
		unit_format_rate(room, most);
		snprintf(path, sizeof(path), "classes[%zu].net.reservation", i);
		snprintf(fix, sizeof(fix), "write reservation = \"%s\" or less", most);
		policy_report(r, DIAG_ERROR, path, fix,
			      "no network can keep %s for a guest, the best leaves %s", have, most);
	}
}
