/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * net_shape - attaches the shaper to a device, takes it off again, and adopts what is there.
 *
 * Order of writes. Attaching: the entry of the map first, with rate 0 (no limit) and the note of
 * what is about to be made; then qdiscs and filters; the rate last. Taking off: the entry last. So
 * an entry exists whenever something of ours is on the device, and the next qosd can finish
 * whatever was cut short. What is not ours is never removed, except what has no settings of its
 * own and is given back: an empty ingress qdisc, and a root qdisc of one of the kernel's default
 * kinds without parameters (libvirt sets noqueue on its taps).
 */
#ifndef QOSD_HOST_NET_SHAPE_H
#define QOSD_HOST_NET_SHAPE_H

#include "qosd/core/adapter.h"
#include "qosd/host/net_bpf.h"
#include "qosd/host/net_link.h"
#include "qosd/host/net_watch.h"

struct net {
	struct adapter adapter;
	struct net_bpf bpf;
	struct net_nl *nl; /* writes */
	struct net_watch *watch;
	char ifb_name[IF_NAMESIZE];
	bool readonly;
	bool adopted; /* what an earlier qosd left is known */
};

/* Take notice of what is pinned and attached; finishes what was cut short unless readonly. */
int net_shape_adopt(struct net *n, struct qerr *err);
/* Is the shaper in place on dev in this direction? Filters must be known or obtainable. */
bool net_shape_holds(struct net *n, struct net_dev *dev, enum edt_direction direction);
/*
 * Limit to rate_bps > 0. One map write when the shaper is in place already. -EBUSY: somebody
 * else's qdisc or filter is in the way; -ENODEV: the device has gone.
 */
int net_shape_set(struct net *n, struct net_dev *dev, enum edt_direction direction,
		  uint64_t rate_bps, struct qerr *err);
/* Take the shaper off. Idempotent. */
int net_shape_clear(struct net *n, struct net_dev *dev, enum edt_direction direction,
		    struct qerr *err);
bool net_shape_ifb_holds(struct net *n); /* The ifb has all it needs */
/* Remove the ifb if nothing is redirected to it. */
void net_shape_drop_ifb(struct net *n);

#endif
