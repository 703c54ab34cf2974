/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * net_htb - limits by HTB, in the order that net_htb.h tells.
 */
#include "qosd/host/net_htb.h"

#include <errno.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "qosd/core/mem.h"
#include "qosd/host/net_ask.h"
#include "qosd/host/net_found.h"
#include "qosd/host/net_parse.h"

#define COUNT_PERIOD_NS 50000000ULL /* one dump tells of all queues */

/* ---- what is in place ---- */

/* The device whose root HTB limits this direction of dev, NULL: there is none. */
static struct net_dev *shaper_of(struct net *n, struct net_dev *dev, enum edt_direction direction)
{
	return direction == EDT_IN ? dev : net_watch_serving(n->watch, dev->ifindex);
}

uint64_t net_htb_rate(struct net *n, struct net_dev *dev, enum edt_direction direction)
{
	struct net_dev *shaper = shaper_of(n, dev, direction);

	return shaper ? net_watch_class(n->watch, shaper) : 0;
}

bool net_htb_redirects(struct net *n, const struct net_dev *dev)
{
	struct net_dev *ifb = dev->redirect ? net_watch_serving(n->watch, dev->ifindex) : NULL;

	return ifb && ifb->ifindex == dev->redirect;
}

bool net_htb_holds(struct net *n, struct net_dev *dev, enum edt_direction direction)
{
	struct net_dev *shaper = shaper_of(n, dev, direction);

	if (!shaper || net_watch_class(n->watch, shaper) == 0)
		return false;
	return direction == EDT_IN ||
	       (shaper->up && dev->slot != NET_SLOT_NONE &&
		net_watch_filters(n->watch, dev, NULL) == 0 && net_htb_redirects(n, dev));
}

bool net_htb_remains(struct net *n, struct net_dev *dev, enum edt_direction direction)
{
	struct net_dev *shaper = shaper_of(n, dev, direction);

	return shaper && (direction == EDT_OUT || net_parse_is_our_htb(shaper));
}

static void count_one(void *user, struct net_dev *dev)
{
	*(size_t *)user += dev->serves || net_parse_is_our_htb(dev);
}

size_t net_htb_count(struct net *n)
{
	size_t count = 0;

	net_watch_each(n->watch, count_one, &count);
	return count;
}

static void on_queue(void *user, struct nlmsghdr *h)
{
	struct net *n = user;
	struct net_queue queue;
	struct net_dev *dev;

	if (!net_parse_queue(&queue, h))
		return;
	dev = net_watch_device(n->watch, (uint32_t)((struct tcmsg *)nlmsg_data(h))->tcm_ifindex);
	if (dev)
		dev->queue = queue;
}

int net_htb_queue(struct net *n, struct net_dev *dev, enum edt_direction direction, uint64_t now_ns,
		  struct net_queue *ret, uint64_t *ret_bps)
{
	uint32_t ifindex = dev->ifindex;
	struct net_dev *shaper;

	if (now_ns - n->counted_ns > COUNT_PERIOD_NS) {
		n->counted_ns = now_ns;
		net_watch_drain(n->watch, NULL);
		if (net_htb_count(n) > 0)
			net_ask_qdiscs(n->nl, on_queue, n);
	}
	dev = net_watch_device(n->watch, ifindex);
	shaper = dev ? shaper_of(n, dev, direction) : NULL;
	if (!shaper || net_watch_class(n->watch, shaper) == 0)
		return -ENOENT;
	*ret = shaper->queue;
	*ret_bps = shaper->class_bps;
	return 0;
}

/* ---- attaching ---- */

/* What was told of the NIC that `dev` shapes, else what is in force. */
static uint32_t burst_of(struct net *n, const struct net_dev *dev)
{
	const struct net_dev *nic = dev->serves ? net_watch_device(n->watch, dev->serves) : dev;

	if (nic && nic->burst_us)
		return nic->burst_us;
	return dev->class_known && dev->class_bps ? dev->class_burst_us : KNOB_NET_BURST_US;
}

/* HTB with this rate at the root of a device. A class that is there only changes its rate. */
static int put_htb(struct net *n, struct net_dev *dev, uint32_t notes, uint64_t rate_bps,
		   struct qerr *err)
{
	bool there = net_parse_is_our_htb(dev);
	int r = there ? 0 : net_link_set_htb(n->nl, dev->ifindex, notes, err);

	if (r == 0)
		r = net_link_set_class(n->nl, dev->ifindex, rate_bps, burst_of(n, dev), err);
	if (r == 0 && (!there || !dev->leaf_kind[0]))
		return net_link_set_leaf(n->nl, dev->ifindex, rate_bps, err);
	if (r == 0 && strcmp(dev->leaf_kind, "bfifo") == 0)
		return net_link_set_fifo(n->nl, dev->ifindex, rate_bps, err);
	return r;
}

static int make_ifb(struct net *n, uint32_t ifindex, struct net_dev **ret, struct qerr *err)
{
	char name[IF_NAMESIZE];
	int r;

	*ret = net_watch_serving(n->watch, ifindex);
	if (!*ret) {
		snprintf(name, sizeof(name), NET_OWN_IFB "%u", ifindex & INT32_MAX);
		r = net_link_add_ifb(n->nl, name, 1, err);
		if (r == 0)
			r = net_watch_drain(n->watch, err);
		if (r < 0)
			return r;
		*ret = net_watch_serving(n->watch, ifindex);
	}
	if (!*ret)
		return qerr_set(err, -ENODEV, "the ifb of device %u has gone", ifindex);
	return (*ret)->up ? 0 : net_link_set_up(n->nl, (*ret)->ifindex, err);
}

/* What is not known of the place for filters is taken for ours, if it is empty in the end. */
static uint32_t slot_notes(const struct net_dev *dev)
{
	return dev->slot == NET_SLOT_NONE || dev->redirect_there ? EDT_OWNS_CLSACT : 0;
}

static int redirect(struct net *n, struct net_dev *dev, uint32_t ifb_ifindex, struct qerr *err)
{
	int r = 0;

	if (dev->redirect == ifb_ifindex)
		return 0;
	if (dev->slot == NET_SLOT_NONE)
		r = net_link_add_clsact(n->nl, dev->ifindex, err);
	else if (dev->redirect_there)
		r = net_link_del_redirect(n->nl, dev->ifindex, dev->redirect_handle,
					  dev->redirect_u32, err);
	return r < 0 ? r : net_link_set_redirect(n->nl, dev->ifindex, ifb_ifindex, err);
}

static int attach_out(struct net *n, uint32_t ifindex, uint64_t rate_bps, struct qerr *err)
{
	struct net_dev *ifb, *dev;
	uint32_t ifb_ifindex;
	int r = make_ifb(n, ifindex, &ifb, err);

	dev = net_watch_device(n->watch, ifindex);
	if (r == 0 && !dev)
		r = qerr_set(err, -ENODEV, "device %u has gone", ifindex);
	if (r == 0)
		r = net_watch_filters(n->watch, dev, err);
	if (r < 0)
		return r;
	ifb_ifindex = ifb->ifindex;
	r = put_htb(n, ifb, slot_notes(dev), rate_bps, err);
	return r < 0 ? r : redirect(n, dev, ifb_ifindex, err);
}

static int refuse_foreign(const struct net_dev *dev, enum edt_direction direction, struct qerr *err)
{
	return direction == EDT_IN ? net_found_refuse_root(dev, err)
				   : net_found_refuse_filters(dev, err);
}

int net_htb_set(struct net *n, struct net_dev *dev, enum edt_direction direction, uint64_t rate_bps,
		struct qerr *err)
{
	uint32_t ifindex = dev->ifindex;
	bool limited = net_htb_holds(n, dev, direction);
	int r = 0;

	if (!limited) {
		r = net_watch_filters(n->watch, dev, err);
		if (r == 0)
			r = refuse_foreign(dev, direction, err);
	}
	if (r < 0)
		return r;
	dev->shaped[direction] = true;
	r = direction == EDT_IN ? put_htb(n, dev, net_found_root(dev), rate_bps, err)
				: attach_out(n, ifindex, rate_bps, err);
	if (r < 0 && !limited && net_watch_drain(n->watch, NULL) == 0) {
		dev = net_watch_device(n->watch, ifindex);
		if (dev)
			net_htb_clear(n, dev, direction, NULL);
	}
	return r;
}

uint64_t net_htb_burst(struct net *n, struct net_dev *dev, enum edt_direction direction)
{
	struct net_dev *shaper = shaper_of(n, dev, direction);

	return shaper && net_watch_class(n->watch, shaper) ? shaper->class_burst_us : 0;
}

int net_htb_set_burst(struct net *n, struct net_dev *dev, enum edt_direction direction,
		      struct qerr *err)
{
	struct net_dev *shaper = shaper_of(n, dev, direction);
	uint64_t rate_bps = shaper ? net_watch_class(n->watch, shaper) : 0;

	return rate_bps ? net_link_set_class(n->nl, shaper->ifindex, rate_bps, dev->burst_us, err)
			: 0;
}

/* ---- taking off ---- */

static int give_back_slot(struct net *n, uint32_t ifindex, uint32_t notes, struct qerr *err)
{
	struct net_dev *dev = net_watch_device(n->watch, ifindex);
	int r;

	if (!dev || !(notes & EDT_OWNS_CLSACT) || dev->slot != NET_SLOT_CLSACT)
		return 0;
	r = net_watch_filters(n->watch, dev, err);
	if (r < 0 || dev->foreign_egress || dev->foreign_ingress || dev->program_id ||
	    dev->redirect_there)
		return r;
	return net_link_del_slot(n->nl, ifindex, err);
}

static int take_off_out(struct net *n, struct net_dev *dev, struct qerr *err)
{
	struct net_dev *ifb = net_watch_serving(n->watch, dev->ifindex);
	uint32_t ifindex = dev->ifindex, ifb_ifindex = ifb ? ifb->ifindex : 0;
	uint32_t notes = ifb ? ifb->htb_notes : EDT_OWNS_CLSACT;
	int r = net_watch_filters(n->watch, dev, err);

	if (r == 0 && dev->redirect_there && dev->redirect == ifb_ifindex) {
		r = net_link_del_redirect(n->nl, ifindex, dev->redirect_handle, dev->redirect_u32,
					  err);
		if (r == 0)
			r = net_watch_drain(n->watch, err);
	}
	if (r == 0)
		r = give_back_slot(n, ifindex, notes, err);
	if (r == 0 && ifb_ifindex)
		r = net_link_del(n->nl, ifb_ifindex, err);
	return r;
}

int net_htb_clear(struct net *n, struct net_dev *dev, enum edt_direction direction,
		  struct qerr *err)
{
	uint32_t ifindex = dev->ifindex;
	int r = 0;

	if (direction == EDT_OUT)
		r = take_off_out(n, dev, err);
	else if (net_parse_is_our_htb(dev))
		r = net_found_give_back_root(n->nl, dev, dev->htb_notes, err);
	if (r == 0)
		r = net_watch_drain(n->watch, err);
	if (r < 0 && r != -ENODEV)
		return r;
	dev = net_watch_device(n->watch, ifindex);
	if (dev)
		dev->shaped[direction] = false;
	return 0;
}

void net_htb_lose(struct net *n, uint32_t ifindex)
{
	struct net_dev *ifb = net_watch_serving(n->watch, ifindex);

	if (ifb && !n->readonly)
		net_link_del(n->nl, ifb->ifindex, NULL);
}

/* ---- adopting ---- */

struct found { /* NICs with anything of HTB's */
	uint32_t *ifindexes;
	size_t count, capacity;
	int r;
};

static void find(void *user, struct net_dev *dev)
{
	struct found *f = user;

	if (!dev->serves && !net_parse_is_our_htb(dev))
		return;
	if (f->r == 0)
		f->r = mem_grow(&f->ifindexes, &f->capacity, f->count + 1, sizeof(uint32_t));
	if (f->r == 0)
		f->ifindexes[f->count++] = dev->serves ? dev->serves : dev->ifindex;
}

/* Whole, or to be taken away: its attachment was cut short in making or in removing. */
static void adopt_one(struct net *n, uint32_t ifindex, enum edt_direction direction)
{
	struct net_dev *dev = net_watch_device(n->watch, ifindex);

	if (!dev) {
		net_htb_lose(n, ifindex);
		return;
	}
	if (dev->serves || !net_htb_remains(n, dev, direction))
		return;
	dev->shaped[direction] = true;
	if (!n->readonly && !net_htb_holds(n, dev, direction))
		net_htb_clear(n, dev, direction, NULL);
}

int net_htb_adopt(struct net *n, struct qerr *err)
{
	struct found f = { 0 };

	net_watch_each(n->watch, find, &f);
	for (size_t i = 0; f.r == 0 && i < f.count; i++)
		for (int d = 0; d < 2; d++)
			adopt_one(n, f.ifindexes[i], d);
	free(f.ifindexes);
	return f.r < 0 ? qerr_set(err, f.r, "out of memory") : 0;
}
