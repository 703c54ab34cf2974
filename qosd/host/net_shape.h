/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * net_shape - attaches the shaper to a device, takes it off again, and adopts what is there.
 *
 * Order of writes. Attaching: the entry of the map first, with rate 0 (no limit) and the note of
 * what is about to be made; then qdiscs and filters; the rate last. Taking off: the entry last. So
 * an entry exists whenever something of ours is on the device, and the next qosd can finish
 * whatever was cut short. If the maps cannot be found (their pins were removed, and qosd may not
 * ask for maps by id), the marks on qdiscs and filters still tell what is ours, and fq's limit what
 * was there before. net_found.h tells what becomes of
 * what is not ours.
 */
#ifndef QOSD_HOST_NET_SHAPE_H
#define QOSD_HOST_NET_SHAPE_H

#include "qosd/host/net.h"
#include "qosd/host/net_bpf.h"
#include "qosd/host/net_count.h"
#include "qosd/host/net_link.h"
#include "qosd/host/net_share.h"
#include "qosd/host/net_tcx.h"
#include "qosd/host/net_vf.h"
#include "qosd/host/net_watch.h"

struct net {
	struct adapter adapter;
	struct net_bpf bpf;
	struct net_tcx tcx;
	struct net_nl *nl; /* writes */
	struct net_watch *watch;
	struct net_shares shares;
	struct net_count count;
	struct net_vfs vfs;
	char ifb_name[IF_NAMESIZE];
	bool readonly;
	bool adopted; /* what an earlier qosd left is known */
	enum net_way way;
	char lack[256];      /* of eBPF shaping, found when it was tried; "": nothing */
	uint64_t counted_ns; /* when HTB's queues were counted last */
};

/* Take notice of what is pinned and attached; finishes what was cut short unless readonly. */
int net_shape_adopt(struct net *n, struct qerr *err);
/* Has dev anything of ours in this direction, whole or not? Then net_shape_clear has work. */
bool net_shape_remains(struct net *n, struct net_dev *dev, enum edt_direction direction);
/* Are programs and maps ready, and the fq qdisc there? 0, -ENOMEM or -EOPNOTSUPP. */
int net_shape_possible(struct net *n, struct qerr *err);
/* Do programs of others leave place on the device? What else is in the way net_shape_set() tells.
 * -EBUSY: they do not; -ENODEV: the device has gone. */
int net_shape_allowed(struct net *n, uint32_t ifindex, enum edt_direction direction,
		      struct qerr *err);
/* Is the shaper in place on dev in this direction? Filters must be known or obtainable. */
bool net_shape_holds(struct net *n, struct net_dev *dev, enum edt_direction direction);
/* The rate of its entry, whether all else is in place or not; 0: there is none. */
uint64_t net_shape_rate(struct net *n, struct net_dev *dev, enum edt_direction direction);
/*
 * Limit to rate_bps > 0. One map write when the shaper is in place already. -EBUSY: somebody
 * else's qdisc or filter is in the way; -ENODEV: the device has gone; -EOPNOTSUPP: this host lacks
 * a part of it, or eBPF may not be used.
 */
int net_shape_set(struct net *n, struct net_dev *dev, enum edt_direction direction,
		  uint64_t rate_bps, struct qerr *err);
/* Take the shaper off. Idempotent. */
int net_shape_clear(struct net *n, struct net_dev *dev, enum edt_direction direction,
		    struct qerr *err);
/* The burst in force, us, 0: there is none; and dev->burst_us put in force where there is a limit.
 */
uint64_t net_shape_burst(struct net *n, struct net_dev *dev, enum edt_direction direction);
int net_shape_set_burst(struct net *n, struct net_dev *dev, enum edt_direction direction,
			struct qerr *err);
/* The device has gone: so may all that is kept of it. */
void net_shape_forget(struct net *n, uint32_t ifindex);
/* ---- for net_ifb.c ---- */
/* The root qdisc is fq with our mark, perhaps with limits that somebody has changed. */
bool net_root_is_ours(const struct net_dev *dev);
bool net_root_is_our_fq(const struct net_dev *dev); /* ... and with our limits */

#endif
