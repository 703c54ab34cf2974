/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * net_parse - rtnetlink messages about qdiscs and filters, into struct net_dev. No I/O.
 */
#ifndef QOSD_HOST_NET_PARSE_H
#define QOSD_HOST_NET_PARSE_H

#include "qosd/host/net_watch.h"

/* RTM_NEWQDISC or RTM_DELQDISC of this device. */
void net_parse_qdisc(struct net_dev *dev, struct nlmsghdr *h);
/* One filter of a dump; the caller has reset what is known of filters. */
void net_parse_filter(struct net_dev *dev, struct nlmsghdr *h);
/* RTM_NEWTCLASS or RTM_DELTCLASS of this device. */
void net_parse_class(struct net_dev *dev, struct nlmsghdr *h);
/* RTM_NEWQDISC of the queue below our class, with its counters. False: it is another qdisc. */
bool net_parse_queue(struct net_queue *ret, struct nlmsghdr *h);
/* RTM_NEWLINK: name, up, turned, on_ovs, serves. 0 or -EINVAL. */
int net_parse_link(struct net_dev *dev, struct nlmsghdr *h, uint32_t *ret_queues, bool *ret_is_ifb);
/* The root qdisc is HTB with our mark. */
bool net_parse_is_our_htb(const struct net_dev *dev);
/* Nothing is known of the device's qdiscs any more. */
void net_parse_clear(struct net_dev *dev);
/* Copy a name, cut if it is too long. */
void net_parse_name(char dst[NET_KIND_MAX], const char *src);

#endif
