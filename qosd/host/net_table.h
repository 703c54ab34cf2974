/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * net_table - devices by their index, and ifbs by the index of the one NIC that they serve.
 *
 * An ifb is found also when its NIC has gone: that is when it is to be removed.
 */
#ifndef QOSD_HOST_NET_TABLE_H
#define QOSD_HOST_NET_TABLE_H

#include "qosd/host/net_watch.h"

#define NET_TABLE_BUCKETS 1024u

struct net_table { /* all zero: empty */
	struct net_dev *devices[NET_TABLE_BUCKETS];
	struct net_dev *serving[NET_TABLE_BUCKETS]; /* by net_dev.serves */
};

/* NULL: it is not in the table. */
struct net_dev *net_table_find(const struct net_table *t, uint32_t ifindex);
/* Made if it is not there; NULL when out of memory. */
struct net_dev *net_table_get(struct net_table *t, uint32_t ifindex);
void net_table_drop(struct net_table *t, uint32_t ifindex);
/* dev is the ifb of this NIC from now on; 0: of none. */
void net_table_serve(struct net_table *t, struct net_dev *dev, uint32_t ifindex);
struct net_dev *net_table_serving(const struct net_table *t, uint32_t ifindex);
/* fn may drop the device. */
void net_table_each(struct net_table *t, void (*fn)(void *user, struct net_dev *dev), void *user);
void net_table_done(struct net_table *t);

#endif
