/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * net_vf - limits of virtual functions (SR-IOV) that guests drive themselves, by the card.
 *
 * Their packets never pass the host's network stack, but the card may hold what a function sends to
 * a rate, in whole Mbit/s (IFLA_VF_RATE of the card's device; `ip link set CARD vf N max_tx_rate`).
 * What a function receives no card limits. A function stands as a struct net_dev with `is_vf`:
 * ifindex and name are the card's.
 *
 * Everything is kept by the card's driver. Rates are read from it, all functions of a card at once,
 * since some drivers ask their firmware for each. An answer, or that there was none, holds for
 * CARD_FRESH_NS, or for CARD_FRESH_TIMES as long as it took; what others write is seen by the next
 * look. A driver that takes no rate of a function says so only to a write: that is remembered for
 * REFUSED_NS, since some do in one mode and not in another.
 *
 * The kernel leaves out what a driver cannot tell of at the moment, as of a function that is being
 * reset, which happens when its guest starts and stops: so one that is missing is -EAGAIN, and for
 * longer than MISSING_NS an error. That a function has gone is told by sysfs alone.
 */
#ifndef QOSD_HOST_NET_VF_H
#define QOSD_HOST_NET_VF_H

#include <linux/if_link.h>

#include "bpf/edt.h"
#include "qosd/core/guest.h"
#include "qosd/host/net_watch.h"

struct net;

struct net_vf_past { /* of one function; monotonic times */
	uint32_t vf;
	uint64_t refused_ns; /* its driver took no rate; 0: not when it was last given one */
	uint64_t missing_ns; /* its driver has not told of it since; 0: it did */
};

struct net_card {
	uint32_t ifindex;
	uint64_t asked_ns;   /* when the answer came, monotonic; 0: what is known is not of now */
	uint64_t fresh_ns;   /* how long that holds */
	struct qerr trouble; /* why there was no answer; code 0: there was one */
	bool tells;          /* its driver tells of virtual functions */
	struct ifla_vf_rate *rates;
	size_t count, capacity;
	struct net_vf_past *past; /* of functions that were asked for */
	size_t npast, past_capacity;
};

struct net_vfs { /* all zero: empty */
	struct net_card *cards;
	size_t count, capacity;
	struct net_dev dev; /* of the latest net_vf_find() */
};

void net_vfs_done(struct net_vfs *v);
/* All of one RTM_NEWLINK into card: tells, rates, count. 0 or -ENOMEM. */
int net_vf_parse(struct net_card *card, struct nlmsghdr *h);
/*
 * The function that this NIC is, guest_nic_is_vf(), with its rates. Borrowed until the next call.
 * -EOPNOTSUPP: the card's driver tells of none or takes no rate of it; -ENOENT: the card has gone;
 * -EAGAIN: the driver tells nothing of it now, -EIO: for long.
 */
int net_vf_find(struct net *n, const struct guest_nic *nic, struct net_dev **ret, struct qerr *err);
/* What a rate is to the card: whole Mbit/s, at least one. */
uint32_t net_vf_mbit(uint64_t rate_bps);

/* As those of net_shape.h. */
bool net_vf_holds(struct net *n, struct net_dev *dev, enum edt_direction direction);
uint64_t net_vf_rate(struct net *n, struct net_dev *dev, enum edt_direction direction);
/* Its guaranteed rate stays. -EOPNOTSUPP: towards the guest, or the driver takes no rate. */
int net_vf_set(struct net *n, struct net_dev *dev, enum edt_direction direction, uint64_t rate_bps,
	       struct qerr *err);
int net_vf_clear(struct net *n, struct net_dev *dev, enum edt_direction direction,
		 struct qerr *err);

#define NET_VF_SENDS_ONLY "the card limits only what a virtual function sends"

#endif
