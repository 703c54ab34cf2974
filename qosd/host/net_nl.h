/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * net_nl - one rtnetlink socket for requests and dumps, with the kernel's own words on failure.
 *
 * The kernel answers rtnetlink requests before send() returns; the receive time limit of the
 * socket is only a safeguard. Used by the network adapter alone.
 */
#ifndef QOSD_HOST_NET_NL_H
#define QOSD_HOST_NET_NL_H

#include <linux/netlink.h>
#include <netlink/msg.h>

#include "qosd/core/err.h"

struct net_nl;

int net_nl_open(struct net_nl **ret, struct qerr *err);
void net_nl_close(struct net_nl *nl); /* NULL is fine */
/* Send a request and wait for its answer. Frees msg. 0 or the kernel's negative errno. */
int net_nl_talk(struct net_nl *nl, struct nl_msg *msg);
/* Send a request whose answer is one message, and call back for it. Frees msg. As net_nl_talk. */
int net_nl_ask(struct net_nl *nl, struct nl_msg *msg, void (*seen)(void *user, struct nlmsghdr *h),
	       void *user);
/* Send a dump request and call back for each message. Frees msg. 0 or negative errno. */
int net_nl_dump(struct net_nl *nl, struct nl_msg *msg, void (*seen)(void *user, struct nlmsghdr *h),
		void *user);
/* Why the last request failed: the kernel's explanation, or that of the errno. Never NULL. */
const char *net_nl_why(const struct net_nl *nl);
/* libnl's error codes are not errnos. */
int net_nl_errno(int nl_error);

#endif
