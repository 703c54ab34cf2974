/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * net_ask - the reads of the network adapter: dumps and single answers of rtnetlink.
 *
 * Each calls back with every message of the answer. 0 or a negative errno; -EAGAIN: something came
 * or went meanwhile, ask again.
 */
#ifndef QOSD_HOST_NET_ASK_H
#define QOSD_HOST_NET_ASK_H

#include <stdint.h>

#include "qosd/host/net_nl.h"

typedef void (*net_seen)(void *user, struct nlmsghdr *h);

int net_ask_link(struct net_nl *nl, uint32_t ifindex, net_seen seen, void *user);
/* One link with what its driver tells of the card's virtual functions. */
int net_ask_card(struct net_nl *nl, uint32_t ifindex, net_seen seen, void *user);
int net_ask_links(struct net_nl *nl, net_seen seen, void *user);
int net_ask_qdiscs(struct net_nl *nl, net_seen seen, void *user); /* of all devices */
int net_ask_classes(struct net_nl *nl, uint32_t ifindex, net_seen seen, void *user);
int net_ask_filters(struct net_nl *nl, uint32_t ifindex, uint32_t parent, net_seen seen,
		    void *user);

#endif
