/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "qosd/host/net_count_place.h"

#include <errno.h>
#include <string.h>

#include "qosd/host/net_found.h"
#include "qosd/host/net_hook.h"

static const struct {
	enum net_prog link;
	uint32_t hook; /* of clsact */
	const char *name;
} places[2] = {
	[HOSTCOUNT_IN] = { NET_PROG_COUNT_IN, NET_HOOK_INGRESS, "qosd:host-in" },
	[HOSTCOUNT_OUT] = { NET_PROG_COUNT_OUT, NET_HOOK_EGRESS, "qosd:host-out" },
};

static uint32_t counter_of(const struct net_dev *dev, int direction)
{
	uint32_t link = dev->links[places[direction].link];

	return link ? link : dev->counter_id[direction];
}

static bool by_link(struct net *n, const struct net_dev *dev)
{
	bool links = dev->links[NET_PROG_COUNT_IN] || dev->links[NET_PROG_COUNT_OUT];

	return net_tcx_there(&n->tcx) && (links || (!dev->counter_id[0] && !dev->counter_id[1]));
}

/* By a link and a filter at once it would be counted twice. */
static bool holds(const struct net_count *c, const struct net_dev *dev)
{
	for (int d = 0; d < 2; d++)
		if (!counter_of(dev, d) || counter_of(dev, d) != c->maps.prog_id[d] ||
		    (dev->links[places[d].link] && dev->counter_id[d]))
			return false;
	return true;
}

bool net_count_there(struct net *n, struct net_dev *dev)
{
	return net_hook_look(n, dev, NULL) == 0 && (counter_of(dev, 0) || counter_of(dev, 1));
}

int net_count_refuse(struct net *n, const struct net_dev *dev, struct qerr *err)
{
	if (dev->slot != NET_SLOT_INGRESS || by_link(n, dev))
		return 0;
	return qerr_set(
		err, -EBUSY,
		"%s has an ingress qdisc that is not qosd's, where traffic cannot be counted; "
		"use clsact in its place",
		dev->name);
}

/* The entry with its note; rules that hold already stay in force meanwhile. */
static int note(struct net *n, const struct net_dev *dev, uint64_t rules, struct qerr *err)
{
	struct net_count_maps *m = &n->count.maps;
	bool orphans = dev->counter_id[0] || dev->counter_id[1];
	struct hostcount_uplink old = { 0 }, up;
	bool known = net_count_maps_uplink(m, dev->ifindex, &old) == 0;

	up = old;
	up.rules = rules;
	if (!by_link(n, dev) && (dev->slot == NET_SLOT_NONE || (!known && orphans)))
		up.flags |= HOSTCOUNT_OWNS_CLSACT;
	if (known && memcmp(&up, &old, sizeof(up)) == 0)
		return 0;
	return net_count_maps_set_uplink(m, dev->ifindex, &up, err);
}

static int put_link(struct net *n, const struct net_dev *dev, int d, struct qerr *err)
{
	const struct net_count_maps *m = &n->count.maps;
	int r = 0;

	if (dev->counter_id[d])
		r = net_link_del_program(n->nl, dev->ifindex, places[d].hook, NET_COUNT_HANDLE,
					 err);
	if (r < 0 || dev->links[places[d].link] == m->prog_id[d])
		return r;
	return net_tcx_set(&n->tcx, dev->ifindex, places[d].link, m->prog_fd[d], err);
}

static int put_filter(struct net *n, const struct net_dev *dev, int d, struct qerr *err)
{
	const struct net_count_maps *m = &n->count.maps;

	if (dev->counter_id[d] == m->prog_id[d])
		return 0;
	return net_link_set_program(n->nl, dev->ifindex, places[d].hook, NET_COUNT_HANDLE,
				    m->prog_fd[d], places[d].name, err);
}

/* Both programs where they belong; clsact first where they are filters. */
static int put(struct net *n, struct net_dev *dev, struct qerr *err)
{
	bool link = by_link(n, dev);
	int r = 0;

	if (!link && dev->slot == NET_SLOT_NONE)
		r = net_link_add_clsact(n->nl, dev->ifindex, err);
	for (int d = 0; r == 0 && d < 2; d++)
		r = link ? put_link(n, dev, d, err) : put_filter(n, dev, d, err);
	dev->links_ns = 0;
	return r;
}

int net_count_attach(struct net *n, uint32_t ifindex, uint64_t rules, struct qerr *err)
{
	struct net_dev *dev = net_watch_device(n->watch, ifindex);
	int r = dev ? net_hook_look(n, dev, err)
		    : qerr_set(err, -ENODEV, "device %u has gone", ifindex);

	if (r == 0)
		r = net_count_refuse(n, dev, err);
	if (r < 0)
		return r;
	if (n->count.placed && holds(&n->count, dev))
		return 0;
	r = note(n, dev, rules, err);
	if (r == 0)
		r = put(n, dev, err);
	return r < 0 ? r : net_watch_drain(n->watch, err);
}

static int give_back_slot(struct net *n, uint32_t ifindex, struct qerr *err)
{
	struct net_dev *dev = net_watch_device(n->watch, ifindex);
	int r = dev ? net_watch_filters(n->watch, dev, err) : 0;

	if (r < 0 || !dev || dev->slot != NET_SLOT_CLSACT || net_found_filters(dev))
		return r;
	return net_link_del_slot(n->nl, ifindex, err);
}

int net_count_detach(struct net *n, uint32_t ifindex, bool owns_clsact, struct qerr *err)
{
	struct net_dev *dev = net_watch_device(n->watch, ifindex);
	int r = dev ? net_watch_filters(n->watch, dev, err) : 0;

	for (int d = 0; r == 0 && d < 2; d++) {
		r = net_tcx_clear(&n->tcx, ifindex, places[d].link, err);
		if (r == 0 && dev && dev->counter_id[d])
			r = net_link_del_program(n->nl, ifindex, places[d].hook, NET_COUNT_HANDLE,
						 err);
	}
	if (dev)
		dev->links_ns = 0;
	if (r == 0)
		r = net_watch_drain(n->watch, err);
	if (r == 0 && owns_clsact)
		r = give_back_slot(n, ifindex, err);
	if (r < 0 && r != -ENODEV)
		return r;
	net_count_maps_delete_uplink(&n->count.maps, ifindex);
	return 0;
}
