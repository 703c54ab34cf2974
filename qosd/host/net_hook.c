/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * net_hook - links before filters, see net_hook.h.
 */
#include "qosd/host/net_hook.h"

#include <errno.h>
#include <string.h>

#include "qosd/host/net_clock.h"
#include "qosd/host/net_htb.h"

#define FRESH_NS         5000000000ULL
#define FRESH_WATCHED_NS 60000000000ULL /* while the removal of pins is told */

static const char *const filter_names[] = {
	[NET_PROG_IN] = "qosd:in", [NET_PROG_OUT] = "qosd:out"
};

/* ---- what is there ---- */

/* A link of ours whose pin has gone is about to go: it is none of others. */
static uint32_t count_others(struct net *n, const struct net_dev *dev)
{
	uint32_t ours[NET_LINKS];

	if (!net_tcx_there(&n->tcx))
		return 0;
	memcpy(ours, dev->links, sizeof(ours));
	for (int prog = 0; prog < NET_PROGS; prog++)
		ours[prog] = ours[prog] ? ours[prog] : n->bpf.prog_id[prog];
	for (int d = 0; d < 2; d++)
		if (!ours[NET_PROG_COUNT_IN + d])
			ours[NET_PROG_COUNT_IN + d] = n->count.maps.prog_id[d];
	return net_tcx_others(dev->ifindex, ours);
}

int net_hook_look(struct net *n, struct net_dev *dev, struct qerr *err)
{
	uint64_t now = clock_now_ns(), fresh = n->tcx.watched < 0 ? FRESH_NS : FRESH_WATCHED_NS;

	if (!dev->links_ns || now - dev->links_ns > fresh) {
		for (int prog = 0; prog < NET_LINKS; prog++)
			dev->links[prog] = net_tcx_program(&n->tcx, dev->ifindex, prog);
		dev->others = count_others(n, dev);
		dev->links_ns = now;
	}
	return net_watch_filters(n->watch, dev, err);
}

static bool diverts_by_filter(struct net *n, const struct net_dev *dev)
{
	return dev->redirect_there && !net_htb_redirects(n, dev);
}

static bool filtered(struct net *n, const struct net_dev *dev, enum net_prog prog)
{
	return prog == NET_PROG_DIVERT ? diverts_by_filter(n, dev) : dev->program_id != 0;
}

bool net_hook_by_link(struct net *n, const struct net_dev *dev, enum net_prog prog)
{
	return net_tcx_there(&n->tcx) && (dev->links[prog] || !filtered(n, dev, prog));
}

int net_hook_refuse_others(struct net *n, const struct net_dev *dev, struct qerr *err)
{
	if (!dev->others || net_hook_there(n, dev, NET_PROG_DIVERT))
		return 0;
	return qerr_set(
		err, -EBUSY,
		"%s has %u TCX programs on its ingress that are not qosd's and would not see "
		"what qosd redirects; see: bpftool net show dev %s",
		dev->name, dev->others, dev->name);
}

bool net_hook_there(struct net *n, const struct net_dev *dev, enum net_prog prog)
{
	return dev->links[prog] || filtered(n, dev, prog);
}

uint32_t net_hook_program(const struct net_dev *dev, enum net_prog prog)
{
	return dev->links[prog] || prog == NET_PROG_DIVERT ? dev->links[prog] : dev->program_id;
}

bool net_hook_holds(struct net *n, struct net_dev *dev, enum net_prog prog)
{
	uint32_t ifb = net_watch_ifb(n->watch)->ifindex;

	if (net_hook_look(n, dev, NULL) < 0 || (dev->links[prog] && filtered(n, dev, prog)))
		return false;
	if (prog == NET_PROG_DIVERT && !dev->links[prog])
		return ifb && dev->redirect == ifb;
	if (prog == NET_PROG_DIVERT && (!ifb || net_bpf_ifb(&n->bpf) != ifb))
		return false;
	return net_hook_program(dev, prog) && net_hook_program(dev, prog) == n->bpf.prog_id[prog];
}

/* ---- attaching ---- */

static int divert_by_filter(struct net *n, const struct net_dev *dev, uint32_t ifb,
			    struct qerr *err)
{
	int r = 0;

	if (dev->redirect_there) /* matchall cannot be changed */
		r = net_link_del_redirect(n->nl, dev->ifindex, dev->redirect_handle,
					  dev->redirect_u32, err);
	return r < 0 ? r : net_link_set_redirect(n->nl, dev->ifindex, ifb, err);
}

static int set_filter(struct net *n, const struct net_dev *dev, enum net_prog prog,
		      struct qerr *err)
{
	if (prog == NET_PROG_DIVERT)
		return divert_by_filter(n, dev, net_watch_ifb(n->watch)->ifindex, err);
	return net_link_set_program(n->nl, dev->ifindex, NET_HOOK_EGRESS, NET_FILTER_HANDLE,
				    n->bpf.prog_fd[prog], filter_names[prog], err);
}

static int clear_filter(struct net *n, const struct net_dev *dev, enum net_prog prog,
			struct qerr *err)
{
	if (!filtered(n, dev, prog))
		return 0;
	if (prog == NET_PROG_DIVERT)
		return net_link_del_redirect(n->nl, dev->ifindex, dev->redirect_handle,
					     dev->redirect_u32, err);
	return net_link_del_program(n->nl, dev->ifindex, NET_HOOK_EGRESS, NET_FILTER_HANDLE, err);
}

/* Both at once would charge a packet twice. */
int net_hook_set(struct net *n, struct net_dev *dev, enum net_prog prog, struct qerr *err)
{
	int r = 0;

	if (!net_hook_by_link(n, dev, prog))
		return set_filter(n, dev, prog, err);
	if (prog == NET_PROG_DIVERT)
		r = net_bpf_set_ifb(&n->bpf, net_watch_ifb(n->watch)->ifindex, err);
	if (r == 0)
		r = net_tcx_set(&n->tcx, dev->ifindex, prog, n->bpf.prog_fd[prog], err);
	dev->links_ns = 0;
	return r < 0 ? r : clear_filter(n, dev, prog, err);
}

/* ---- taking off ---- */

int net_hook_clear(struct net *n, struct net_dev *dev, enum net_prog prog, struct qerr *err)
{
	int r = net_hook_look(n, dev, err);

	if (r == 0)
		r = net_tcx_clear(&n->tcx, dev->ifindex, prog, err);
	dev->links_ns = 0;
	return r < 0 ? r : clear_filter(n, dev, prog, err);
}

void net_hook_forget(struct net *n, uint32_t ifindex)
{
	for (int prog = 0; prog < NET_PROGS; prog++)
		net_tcx_clear(&n->tcx, ifindex, prog, NULL);
}
