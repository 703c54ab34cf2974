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
/* Nothing is known of the device's qdiscs any more. */
void net_parse_clear(struct net_dev *dev);
/* Copy a name, cut if it is too long. */
void net_parse_name(char dst[NET_KIND_MAX], const char *src);

#endif
