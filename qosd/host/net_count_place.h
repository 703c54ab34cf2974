/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * net_count_place - the counting programs on an uplink: by TCX links where the kernel has those,
 * else by filters of clsact. An uplink where a filter of ours counts keeps to filters.
 */
#ifndef QOSD_HOST_NET_COUNT_PLACE_H
#define QOSD_HOST_NET_COUNT_PLACE_H

#include "qosd/host/net_shape.h"

/* -EBUSY: an ingress qdisc of others leaves no place for filters, 0: there is place. */
int net_count_refuse(struct net *n, const struct net_dev *dev, struct qerr *err);
/* Count on this uplink, rules as bits; its entry with the note on clsact comes first. */
int net_count_attach(struct net *n, uint32_t ifindex, uint64_t rules, struct qerr *err);
/* Take it off, the entry last. A device that has gone took all with it. */
int net_count_detach(struct net *n, uint32_t ifindex, bool owns_clsact, struct qerr *err);
/* Does anything of ours count there, whole or not? */
bool net_count_there(struct net *n, struct net_dev *dev);

#endif
