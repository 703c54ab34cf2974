/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * bandwidth_source - counters of NICs from the shaper, those of the host's own traffic from the
 * devices that carry it.
 */
#include "qosd/daemon/bandwidth.h"

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

/* A device's own view: what it receives comes in. */
static void count_host(void *ctx, const struct network *n,
		       struct netshare_count ret[NETSHARE_DIRECTIONS])
{
	struct netshare_count *in = &ret[NETSHARE_IN], *out = &ret[NETSHARE_OUT];

	(void)ctx;
	*in = *out = (struct netshare_count){ 0 };
	in->known = out->known = net_read_link_bytes(n->device, &out->bytes, &in->bytes) == 0;
}

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
					   .link_speed = link_speed,
					   .set_line = set_line,
					   .set_members = set_members };

	bandwidth_set_source(e->bandwidth, &source);
}
