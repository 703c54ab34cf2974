/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * net_ifb - the ifb with one fq for each of its queues below mq, so that CPUs do not share a lock.
 *
 * The kernel chooses the queue by the tap's queue, so taps with one queue all share the first fq.
 * There each NIC may have about edt_cfg.queue_packets waiting, and the fq takes as many packets as
 * use a 64th of the memory, taken for 1 KiB each.
 */
#include "qosd/host/net_ifb.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "qosd/host/net_hook.h"
#include "qosd/host/net_htb.h"

#define IFB_QUEUES_MAX  16
#define IFB_PACKETS_MAX 2000000
#define MEMORY_A_PACKET (64 << 10) /* of all memory, for each packet that may wait */

static bool root_is_our_mq(const struct net_dev *dev)
{
	return dev->root_handle == NET_ROOT_HANDLE && strcmp(dev->root_kind, "mq") == 0;
}

static uint64_t queue_bits(uint32_t queues)
{
	return queues >= 64 ? UINT64_MAX : (1ULL << queues) - 1;
}

static bool ifb_root_holds(const struct net_dev *dev, uint32_t queues)
{
	if (queues <= 1)
		return net_root_is_our_fq(dev);
	return root_is_our_mq(dev) && (dev->fq_children & queue_bits(queues)) == queue_bits(queues);
}

bool net_ifb_holds(struct net *n)
{
	const struct net_ifb *ifb = net_watch_ifb(n->watch);
	struct net_dev *dev;

	if (!ifb->ifindex || !ifb->is_ifb || !ifb->up)
		return false;
	dev = net_watch_device(n->watch, ifb->ifindex);
	return dev && ifb_root_holds(dev, ifb->queues) && net_hook_holds(n, dev, NET_PROG_OUT);
}

static uint32_t wanted_queues(void)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);

	return cpus < 1 ? 1 : cpus > IFB_QUEUES_MAX ? IFB_QUEUES_MAX : (uint32_t)cpus;
}

static uint32_t wanted_packets(void)
{
	long pages = sysconf(_SC_PHYS_PAGES), page_bytes = sysconf(_SC_PAGESIZE);
	uint64_t packets = 0;

	if (pages > 0 && page_bytes > 0)
		packets = (uint64_t)pages * (uint64_t)page_bytes / MEMORY_A_PACKET;
	if (packets < NET_FQ_LIMIT)
		return NET_FQ_LIMIT;
	return packets > IFB_PACKETS_MAX ? IFB_PACKETS_MAX : (uint32_t)packets;
}

static int set_ifb_root(struct net *n, struct net_dev *dev, uint32_t queues, struct qerr *err)
{
	int r = 0;

	if (ifb_root_holds(dev, queues))
		return 0;
	if (queues <= 1)
		return net_link_set_fq(n->nl, dev->ifindex, TC_H_ROOT, NET_ROOT_HANDLE,
				       wanted_packets(), err);
	if (!root_is_our_mq(dev))
		r = net_link_set_mq(n->nl, dev->ifindex, err);
	for (uint32_t i = 1; r == 0 && i <= queues; i++)
		r = net_link_set_fq(n->nl, dev->ifindex, NET_ROOT_HANDLE | i,
				    NET_ROOT_HANDLE + (i << 16), wanted_packets(), err);
	return r;
}

static int make_ifb(struct net *n, struct qerr *err)
{
	const struct net_ifb *ifb = net_watch_ifb(n->watch);
	int r = 0;

	if (!ifb->ifindex) {
		net_tcx_sweep(&n->tcx); /* one that somebody removed */
		r = net_link_add_ifb(n->nl, n->ifb_name, wanted_queues(), err);
		if (r == 0)
			r = net_watch_drain(n->watch, err);
	}
	if (r < 0)
		return r;
	if (!ifb->ifindex || !ifb->is_ifb)
		return qerr_set(err, -EBUSY, "%s is no ifb; rename or remove that device",
				n->ifb_name);
	return ifb->up ? 0 : net_link_set_up(n->nl, ifb->ifindex, err);
}

int net_ifb_ensure(struct net *n, struct qerr *err)
{
	const struct net_ifb *ifb = net_watch_ifb(n->watch);
	struct net_dev *dev;
	int r;

	if (net_ifb_holds(n))
		return 0;
	r = make_ifb(n, err);
	if (r < 0)
		return r;
	dev = net_watch_device(n->watch, ifb->ifindex);
	if (!dev)
		return qerr_set(err, -ENODEV, "%s has gone", n->ifb_name);
	r = set_ifb_root(n, dev, ifb->queues, err);
	if (r == 0)
		r = net_hook_look(n, dev, err);
	if (r == 0 && dev->slot == NET_SLOT_NONE && !net_hook_by_link(n, dev, NET_PROG_OUT))
		r = net_link_add_clsact(n->nl, dev->ifindex, err);
	return r < 0 ? r : net_hook_set(n, dev, NET_PROG_OUT, err);
}

struct users {
	struct net *n;
	uint32_t ifindex; /* the ifb's */
	size_t count;
};

/* Also those that nobody told us of: without the ifb their packets would be dropped. */
static void count_redirected(void *user, struct net_dev *dev)
{
	struct users *u = user;
	bool known = dev->slot != NET_SLOT_CLSACT || net_watch_filters(u->n->watch, dev, NULL) == 0;

	u->count += !known || (dev->slot == NET_SLOT_CLSACT && dev->redirect == u->ifindex) ||
		    (dev->shaped[EDT_OUT] && !net_htb_remains(u->n, dev, EDT_OUT));
}

void net_ifb_drop(struct net *n)
{
	const struct net_ifb *ifb = net_watch_ifb(n->watch);
	struct users users = { n, ifb->ifindex, 0 };

	if (n->readonly || !ifb->ifindex || !ifb->is_ifb)
		return;
	net_watch_each(n->watch, count_redirected, &users);
	if (users.count > 0 || net_tcx_any(&n->tcx, NET_PROG_DIVERT))
		return;
	net_bpf_set_ifb(&n->bpf, 0, NULL); /* whom nobody knows of is not sent into the void */
	net_hook_forget(n, ifb->ifindex);
	net_link_del(n->nl, ifb->ifindex, NULL);
}
