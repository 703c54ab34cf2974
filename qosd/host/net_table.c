/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * net_table - two hash tables with chains through the devices.
 */
#include "qosd/host/net_table.h"

#include <stdlib.h>

struct net_dev *net_table_find(const struct net_table *t, uint32_t ifindex)
{
	struct net_dev *dev = t->devices[ifindex % NET_TABLE_BUCKETS];

	while (dev && dev->ifindex != ifindex)
		dev = dev->next;
	return dev;
}

struct net_dev *net_table_get(struct net_table *t, uint32_t ifindex)
{
	struct net_dev **first = &t->devices[ifindex % NET_TABLE_BUCKETS];
	struct net_dev *dev = net_table_find(t, ifindex);

	if (dev)
		return dev;
	dev = calloc(1, sizeof(*dev));
	if (!dev)
		return NULL;
	dev->ifindex = ifindex;
	dev->next = *first;
	*first = dev;
	return dev;
}

void net_table_serve(struct net_table *t, struct net_dev *dev, uint32_t ifindex)
{
	struct net_dev **p = &t->serving[dev->serves % NET_TABLE_BUCKETS];

	if (dev->serves == ifindex)
		return;
	if (dev->serves) {
		while (*p != dev)
			p = &(*p)->next_serving;
		*p = dev->next_serving;
	}
	dev->serves = ifindex;
	if (ifindex) {
		p = &t->serving[ifindex % NET_TABLE_BUCKETS];
		dev->next_serving = *p;
		*p = dev;
	}
}

struct net_dev *net_table_serving(const struct net_table *t, uint32_t ifindex)
{
	struct net_dev *dev = t->serving[ifindex % NET_TABLE_BUCKETS];

	while (dev && dev->serves != ifindex)
		dev = dev->next_serving;
	return dev;
}

void net_table_drop(struct net_table *t, uint32_t ifindex)
{
	struct net_dev **p = &t->devices[ifindex % NET_TABLE_BUCKETS], *dev;

	while (*p && (*p)->ifindex != ifindex)
		p = &(*p)->next;
	dev = *p;
	if (!dev)
		return;
	net_table_serve(t, dev, 0);
	*p = dev->next;
	free(dev);
}

void net_table_each(struct net_table *t, void (*fn)(void *user, struct net_dev *dev), void *user)
{
	for (size_t i = 0; i < NET_TABLE_BUCKETS; i++)
		for (struct net_dev *dev = t->devices[i], *next; dev; dev = next) {
			next = dev->next;
			fn(user, dev);
		}
}

static void free_device(void *user, struct net_dev *dev)
{
	(void)user;
	free(dev);
}

void net_table_done(struct net_table *t)
{
	net_table_each(t, free_device, NULL);
}
