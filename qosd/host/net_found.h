/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * net_found - what was on a device before qosd, what of it stays untouched, and giving it back.
 *
 * What is not ours is never removed, except what has no settings of its own and is given back: an
 * empty ingress qdisc, and a root qdisc of one of the kernel's default kinds without parameters
 * (libvirt sets noqueue on its taps). Notes are the flags of edt_cfg.
 */
#ifndef QOSD_HOST_NET_FOUND_H
#define QOSD_HOST_NET_FOUND_H

#include "bpf/edt.h"
#include "qosd/host/net_watch.h"

/* Is any filter on its hooks, of whomever? They must be known. */
bool net_found_filters(const struct net_dev *dev);
/* The root qdisc has our mark, whichever of our kinds. */
bool net_found_root_is_ours(const struct net_dev *dev);
/* The note on the root qdisc, 0: it needs none (the kernel's own, or ours), or none can be made. */
uint32_t net_found_root(const struct net_dev *dev);
/* -EBUSY and who is in the way, with the command that helps: a root qdisc, filters on ingress. */
int net_found_refuse_root(const struct net_dev *dev, struct qerr *err);
int net_found_refuse_filters(const struct net_dev *dev, struct qerr *err);
/* Put back the root qdisc of the notes in place of ours. */
int net_found_give_back_root(struct net_nl *nl, const struct net_dev *dev, uint32_t notes,
			     struct qerr *err);

#endif
