/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "qosd/host/net_count.h"

#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include "qosd/core/mem.h"
#include "qosd/host/net_clock.h"
#include "qosd/host/net_count_place.h"

#define CGROUP        "/sys/fs/cgroup"
#define CGROUP_HYBRID CGROUP "/unified"
#define RETRY_NS      2000000000ULL

/* ---- life ---- */

int net_count_init(struct net_count *c, const char *pin_dir, struct qerr *err)
{
	return net_count_maps_init(&c->maps, pin_dir, err);
}

void net_count_begin(struct net_count *c)
{
	net_count_maps_done(&c->maps);
	c->count = 0;
	c->told = c->placed = c->removed = false;
	c->counted = 0;
}

void net_count_done(struct net_count *c)
{
	net_count_maps_done(&c->maps);
	free(c->rules);
}

/* ---- groups ---- */

/* Where cgroup v2 is mounted, NULL: it is not. */
static const char *cgroup_root(void)
{
	struct statfs fs;

	if (statfs(CGROUP, &fs) == 0 && fs.f_type == CGROUP2_SUPER_MAGIC)
		return CGROUP;
	if (statfs(CGROUP_HYBRID, &fs) == 0 && fs.f_type == CGROUP2_SUPER_MAGIC)
		return CGROUP_HYBRID;
	return NULL;
}

/* Its id is the number of its directory; 0: it is not there. */
static uint64_t group_id(const char *root, const char *group)
{
	char path[sizeof(CGROUP_HYBRID) + sizeof(((struct net_host_rule *)0)->cgroup)];
	struct stat st;

	if (!root)
		return 0;
	snprintf(path, sizeof(path), "%s%s", root, group);
	return stat(path, &st) == 0 && S_ISDIR(st.st_mode) ? st.st_ino : 0;
}

static uint32_t level_of(const char *group)
{
	uint32_t level = 0;

	for (; *group; group++)
		level += *group == '/';
	return level;
}

/* ---- rules ---- */

static bool asks_same(const struct net_count *c, const struct net_host_rule *rules, size_t count)
{
	if (c->count != count)
		return false;
	for (size_t i = 0; i < count; i++)
		if (memcmp(&c->rules[i].asked, &rules[i], sizeof(rules[i])) != 0)
			return false;
	return true;
}

static int take_rules(struct net_count *c, const struct net_host_rule *rules, size_t count,
		      struct qerr *err)
{
	if (asks_same(c, rules, count))
		return 0;
	if (mem_grow(&c->rules, &c->capacity, count, sizeof(*c->rules)) < 0)
		return qerr_set(err, -ENOMEM, "out of memory");
	for (size_t i = 0; i < count; i++)
		c->rules[i] = (struct net_count_rule){ .asked = rules[i] };
	c->count = count;
	c->told = c->placed = false;
	return 0;
}

/* Uplinks and groups may have come, gone, or have been made anew. */
static void find_all(struct net *n)
{
	struct net_count *c = &n->count;
	const char *root = NULL;

	for (size_t i = 0; i < c->count; i++) {
		struct net_count_rule *r = &c->rules[i];
		struct net_dev *dev = r->ifindex ? net_watch_device(n->watch, r->ifindex) : NULL;

		if (!dev || strcmp(dev->name, r->asked.uplink) != 0) {
			uint32_t now = net_watch_index(r->asked.uplink);

			c->placed &= now == r->ifindex;
			r->ifindex = now;
		}
		if (!r->asked.cgroup[0])
			continue;
		root = root ? root : cgroup_root();
		if (r->group_id != group_id(root, r->asked.cgroup)) {
			r->group_id = group_id(root, r->asked.cgroup);
			c->told = false;
		}
	}
}

static void add_ports(uint64_t *ports, const struct net_host_rule *rule)
{
	for (uint32_t i = 0; i < rule->ports.count; i++)
		for (uint32_t p = rule->ports.ranges[i].first; p <= rule->ports.ranges[i].last; p++)
			ports[p] |= UINT64_C(1) << rule->number;
}

static void add_key(struct net_count_key *keys, size_t *count, uint32_t kind, uint64_t value,
		    uint64_t rule)
{
	size_t i = 0;

	while (i < *count && (keys[i].key.kind != kind || keys[i].key.value != value))
		i++;
	if (i == *count)
		keys[(*count)++] =
			(struct net_count_key){ .key = { .kind = kind, .value = value } };
	keys[i].rules |= rule;
}

static int tell(struct net_count *c, struct qerr *err)
{
	uint64_t *ports CLEANUP_FREE = calloc(HOSTCOUNT_PORTS, sizeof(*ports));
	struct net_count_key keys[HOSTCOUNT_RULES * 2];
	struct net_count_told told = { .ports = ports, .keys = keys };
	int r;

	if (!ports)
		return qerr_set(err, -ENOMEM, "out of memory");
	for (size_t i = 0; i < c->count; i++) {
		const struct net_host_rule *asked = &c->rules[i].asked;
		uint64_t bit = UINT64_C(1) << asked->number;
		uint32_t level = level_of(asked->cgroup);

		add_ports(ports, asked);
		told.head.ports |= asked->ports.count ? bit : 0;
		told.head.groups |= level ? bit : 0;
		told.head.marks |= asked->mark ? bit : 0;
		told.head.levels = level > told.head.levels ? level : told.head.levels;
		if (c->rules[i].group_id)
			add_key(keys, &told.nkeys, HOSTCOUNT_GROUP, c->rules[i].group_id, bit);
		if (asked->mark)
			add_key(keys, &told.nkeys, HOSTCOUNT_MARK, asked->mark, bit);
	}
	r = net_count_maps_tell(&c->maps, &told, err);
	c->told = r == 0;
	return r;
}

static uint64_t rules_on(const struct net_count *c, uint32_t ifindex)
{
	uint64_t rules = 0;

	for (size_t i = 0; i < c->count; i++)
		if (c->rules[i].ifindex == ifindex)
			rules |= UINT64_C(1) << c->rules[i].asked.number;
	return rules;
}

/* Uplinks of which nobody asks any more. */
static int leave(struct net *n, struct qerr *err)
{
	uint32_t ifindexes[HOSTCOUNT_UPLINKS];
	size_t count = net_count_maps_uplinks(&n->count.maps, ifindexes);
	int r = 0;

	for (size_t i = 0; r == 0 && i < count; i++) {
		struct hostcount_uplink up = { 0 };

		if (rules_on(&n->count, ifindexes[i]))
			continue;
		(void)net_count_maps_uplink(&n->count.maps, ifindexes[i], &up);
		r = net_count_detach(n, ifindexes[i], up.flags & HOSTCOUNT_OWNS_CLSACT, err);
	}
	return r;
}

/* ---- all of it ---- */

/* Keeps the first of several errors. */
static void keep(int *first, struct qerr *err, int r, const struct qerr *why)
{
	if (r == 0 || *first < 0)
		return;
	*first = r;
	if (err)
		*err = *why;
}

static int lacks(const struct net_count_rule *rule, bool knows_groups, struct qerr *err)
{
	if (!rule->ifindex)
		return qerr_set(err, -ENODEV, "uplink %s is not there", rule->asked.uplink);
	if (!rule->asked.cgroup[0])
		return 0;
	if (!cgroup_root())
		return qerr_set(err, -ENOTSUP,
				"cgroup v2 is not mounted, so group %.80s cannot be told apart",
				rule->asked.cgroup);
	if (!knows_groups)
		return qerr_set(err, -ENOTSUP,
				"the kernel does not tell the control group of a packet (it lacks "
				"CONFIG_SOCK_CGROUP_DATA), so group %.80s cannot be told apart",
				rule->asked.cgroup);
	return 0;
}

static int place(struct net *n, struct qerr *err)
{
	struct net_count *c = &n->count;
	bool placed = true;
	int first = 0;

	c->counted = 0;
	for (size_t i = 0; i < c->count; i++) {
		const struct net_count_rule *rule = &c->rules[i];
		struct qerr why = { 0 };
		int r = lacks(rule, c->maps.knows_groups, &why);

		if (r == 0) {
			r = net_count_attach(n, rule->ifindex, rules_on(c, rule->ifindex), &why);
			placed &= r == 0;
		}
		if (r == 0)
			c->counted |= UINT64_C(1) << rule->asked.number;
		keep(&first, err, r, &why);
	}
	if (!c->placed) {
		struct qerr why = { 0 };
		int r = leave(n, &why);

		c->placed = placed && r == 0;
		keep(&first, err, r, &why);
	}
	return first;
}

static int bring_about(struct net *n, const struct net_host_rule *rules, size_t count,
		       struct qerr *err)
{
	struct net_count *c = &n->count;
	int r = take_rules(c, rules, count, err);

	c->counted = 0;
	c->removed = false;
	if (r == 0)
		r = net_count_maps_ready(&c->maps, err);
	if (r < 0)
		return r;
	find_all(n);
	if (!c->told)
		r = tell(c, err);
	return r < 0 ? r : place(n, err);
}

int net_count_set(struct net *n, const struct net_host_rule *rules, size_t count, struct qerr *err)
{
	struct net_count *c = &n->count;
	struct qerr why = { 0 };
	int r;

	if (count == 0 && c->removed)
		return 0;
	if (count > HOSTCOUNT_RULES)
		return qerr_set(err, -EINVAL, "too many rules for the host's traffic");
	if (count && c->lack.code && clock_now_ns() < c->retry_ns && asks_same(c, rules, count)) {
		if (err)
			*err = c->lack;
		return c->lack.code;
	}
	r = net_watch_drain(n->watch, &why);
	if (r == 0)
		r = count ? bring_about(n, rules, count, &why) : net_count_remove(n, &why);
	c->lack = why;
	c->retry_ns = clock_now_ns() + RETRY_NS;
	if (r < 0 && err)
		*err = why;
	return r;
}

static bool kernel_knows_groups(void)
{
	libbpf_print_fn_t print = net_pin_hush();
	int r = libbpf_probe_bpf_helper(BPF_PROG_TYPE_SCHED_CLS, BPF_FUNC_skb_ancestor_cgroup_id,
					NULL);

	libbpf_set_print(print);
	return r != 0; /* an error tells nothing */
}

int net_count_check(struct net *n, const struct net_host_rule *rule, struct qerr *err)
{
	struct net_count_rule found = { .asked = *rule, .ifindex = net_watch_index(rule->uplink) };
	int r = lacks(&found, !rule->cgroup[0] || kernel_knows_groups(), err);
	struct net_dev *dev;

	if (r == 0)
		r = net_watch_drain(n->watch, err);
	dev = r == 0 ? net_watch_device(n->watch, found.ifindex) : NULL;
	return dev ? net_count_refuse(n, dev, err) : r;
}

int net_count_read(const struct net_count *c, uint32_t number, uint64_t *ret_in, uint64_t *ret_out)
{
	uint64_t bytes[2];
	int r;

	if (number >= HOSTCOUNT_RULES || !(c->counted >> number & 1))
		return -ENOENT;
	r = net_count_maps_read(&c->maps, number, bytes);
	if (r < 0)
		return r;
	*ret_in = bytes[HOSTCOUNT_IN];
	*ret_out = bytes[HOSTCOUNT_OUT];
	return 0;
}

/* ---- the end ---- */

struct orphans {
	struct net *n;
	uint32_t ifindex[HOSTCOUNT_UPLINKS];
	bool filters[HOSTCOUNT_UPLINKS];
	size_t count;
};

static void add_orphan(struct orphans *o, uint32_t ifindex, bool filters)
{
	for (size_t i = 0; i < o->count; i++)
		if (o->ifindex[i] == ifindex)
			return;
	if (o->count == ARRAY_SIZE(o->ifindex))
		return;
	o->filters[o->count] = filters;
	o->ifindex[o->count++] = ifindex;
}

/* Counters whose entry has gone with its map. */
static void find_orphan(void *user, struct net_dev *dev)
{
	struct orphans *o = user;

	if (net_count_there(o->n, dev))
		add_orphan(o, dev->ifindex, dev->counter_id[0] || dev->counter_id[1]);
}

/* ... a link on an uplink that nobody has looked at. */
static bool find_link(void *user, uint32_t ifindex, const char *path)
{
	(void)path;
	add_orphan(user, ifindex, false);
	return false;
}

int net_count_remove(struct net *n, struct qerr *err)
{
	struct net_count *c = &n->count;
	struct orphans o = { .n = n };
	int r = 0;

	c->count = 0;
	c->counted = 0;
	c->told = c->placed = false;
	if (net_count_maps_look(&c->maps) == 0)
		r = leave(n, err);
	net_watch_each(n->watch, find_orphan, &o);
	net_tcx_each(&n->tcx, NET_PROG_COUNT_IN, find_link, &o);
	net_tcx_each(&n->tcx, NET_PROG_COUNT_OUT, find_link, &o);
	for (size_t i = 0; r == 0 && i < o.count; i++) /* a clsact goes if nothing else is on it */
		r = net_count_detach(n, o.ifindex[i], o.filters[i], err);
	if (r == 0)
		r = net_count_maps_unpin(&c->maps, err);
	c->removed = r == 0;
	return r;
}
