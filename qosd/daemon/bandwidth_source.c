/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * bandwidth_source - counters of NICs from the shaper, those of the host's own traffic from the
 * devices that carry it, or from what is told apart on their uplink.
 */
#include <stdio.h>
#include <string.h>

#include "qosd/daemon/bandwidth_private.h"

static uint64_t now_us(void *ctx)
{
	return engine_now_us(ctx);
}

static bool count_shaped(struct adapter *net, uint32_t ifindex, bool in, struct netshare_count *ret)
{
	struct net_counters c;

	if (net_read_counters(net, ifindex, in, &c) < 0)
		return false;
	*ret = (struct netshare_count){ .known = true,
					.bytes = c.bytes,
					.pressed = c.dropped_packets + c.marked_packets,
					.lost_bytes = c.dropped_bytes,
					.queue_ns = c.queue_ns_max };
	return true;
}

/* What is not shaped is seen from outside only: nobody knows whether it wants more. */
static void count_nic(void *ctx, const struct guest_nic *nic,
		      struct netshare_count ret[NETSHARE_DIRECTIONS])
{
	struct netshare_count *in = &ret[NETSHARE_IN], *out = &ret[NETSHARE_OUT];
	struct engine *e = ctx;
	struct adapter *net = e->adapters[ADAPTER_NET];

	*in = *out = (struct netshare_count){ 0 };
	if (engine_enforcing(e) && count_shaped(net, nic->ifindex, true, in) &&
	    count_shaped(net, nic->ifindex, false, out))
		return;
	in->known = out->known = net_read_link_bytes(nic->device, &in->bytes, &out->bytes) == 0;
}

/* ---- the host's own traffic ---- */

static void make_rule(const struct network *n, uint32_t network, struct net_host_rule *ret)
{
	memset(ret, 0, sizeof(*ret));
	ret->number = network;
	ret->ports = n->ports;
	ret->mark = n->mark == POLICY_NONE_U32 ? 0 : n->mark;
	snprintf(ret->uplink, sizeof(ret->uplink), "%s", netshare_uplink(n));
	snprintf(ret->cgroup, sizeof(ret->cgroup), "%s", n->cgroup ? n->cgroup : "");
}

/* Networks are rules in the order of the file. One that reserves nothing is of no use. */
static int tell_apart(void *ctx, const struct policy *p, struct qerr *err)
{
	struct net_host_rule rules[BANDWIDTH_LINES];
	struct engine *e = ctx;
	size_t count = 0;

	for (uint32_t i = 0; p && i < p->nnetworks && i < BANDWIDTH_LINES; i++)
		if (netshare_told_apart(&p->networks[i]) && p->networks[i].reservation_bps)
			make_rule(&p->networks[i], i, &rules[count++]);
	return net_set_host_rules(e->adapters[ADAPTER_NET], rules, count, err);
}

static int check_apart(void *ctx, const struct network *n, struct qerr *err)
{
	struct net_host_rule rule;

	make_rule(n, 0, &rule);
	return net_check_host_rule(((struct engine *)ctx)->adapters[ADAPTER_NET], &rule, err);
}

/* By its rule; else all that passes its device, in the device's own view: what it receives comes
 * in.
 */
static void count_host(void *ctx, const struct policy *p, uint32_t network,
		       struct netshare_count ret[NETSHARE_DIRECTIONS])
{
	struct netshare_count *in = &ret[NETSHARE_IN], *out = &ret[NETSHARE_OUT];
	const struct network *n = &p->networks[network];
	struct engine *e = ctx;
	int r;

	*in = *out = (struct netshare_count){ 0 };
	if (netshare_told_apart(n))
		r = net_read_host_bytes(e->adapters[ADAPTER_NET], network, &in->bytes, &out->bytes);
	else
		r = net_read_link_bytes(n->device, &out->bytes, &in->bytes);
	in->known = out->known = r == 0;
}

/* ---- lines ---- */

static int link_speed(void *ctx, const char *device, uint64_t *ret_bps)
{
	(void)ctx;
	return net_read_link_speed(device, ret_bps);
}

static int set_line(void *ctx, uint32_t line, bool in, uint64_t rate_bps, struct qerr *err)
{
	return net_set_line(((struct engine *)ctx)->adapters[ADAPTER_NET], line, in, rate_bps, err);
}

static int set_members(void *ctx, struct net_member *members, size_t count, struct qerr *err)
{
	return net_set_members(((struct engine *)ctx)->adapters[ADAPTER_NET], members, count, err);
}

void bandwidth_start(struct engine *e)
{
	struct bandwidth_source source = { .ctx = e,
					   .now_us = now_us,
					   .count_nic = count_nic,
					   .count_host = count_host,
					   .tell_apart = tell_apart,
					   .check_apart = check_apart,
					   .link_speed = link_speed,
					   .set_line = set_line,
					   .set_members = set_members };

	bandwidth_set_source(e->bandwidth, &source);
}
