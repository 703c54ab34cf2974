/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * net_ask - the reads of the network adapter: dumps and single answers of rtnetlink.
 *
 * A single qdisc is never asked for: before Linux 6.7 the answer is told to everybody who listens
 * to changes.
 */
#include "qosd/host/net_ask.h"

#include <linux/rtnetlink.h>
#include <netlink/attr.h>
#include <sys/socket.h>

static struct nl_msg *message(int type, void *header, size_t size)
{
	struct nl_msg *msg = nlmsg_alloc_simple(type, 0);

	if (msg && nlmsg_append(msg, header, size, NLMSG_ALIGNTO) < 0) {
		nlmsg_free(msg);
		msg = NULL;
	}
	return msg;
}

static struct nl_msg *about_link(uint32_t ifindex)
{
	struct ifinfomsg info = { .ifi_family = AF_UNSPEC, .ifi_index = (int)ifindex };

	return message(RTM_GETLINK, &info, sizeof(info));
}

static struct nl_msg *about_tc(int type, uint32_t ifindex, uint32_t parent)
{
	struct tcmsg tc = { .tcm_family = AF_UNSPEC,
			    .tcm_ifindex = (int)ifindex,
			    .tcm_parent = parent };

	return message(type, &tc, sizeof(tc));
}

int net_ask_link(struct net_nl *nl, uint32_t ifindex, net_seen seen, void *user)
{
	return net_nl_ask(nl, about_link(ifindex), seen, user);
}

int net_ask_card(struct net_nl *nl, uint32_t ifindex, net_seen seen, void *user)
{
	struct nl_msg *msg = about_link(ifindex);

	if (msg && nla_put_u32(msg, IFLA_EXT_MASK, RTEXT_FILTER_VF | RTEXT_FILTER_SKIP_STATS) < 0) {
		nlmsg_free(msg);
		msg = NULL;
	}
	return net_nl_ask(nl, msg, seen, user);
}

int net_ask_links(struct net_nl *nl, net_seen seen, void *user)
{
	return net_nl_dump(nl, about_link(0), seen, user);
}

int net_ask_qdiscs(struct net_nl *nl, net_seen seen, void *user)
{
	return net_nl_dump(nl, about_tc(RTM_GETQDISC, 0, 0), seen, user);
}

int net_ask_classes(struct net_nl *nl, uint32_t ifindex, net_seen seen, void *user)
{
	return net_nl_dump(nl, about_tc(RTM_GETTCLASS, ifindex, 0), seen, user);
}

int net_ask_filters(struct net_nl *nl, uint32_t ifindex, uint32_t parent, net_seen seen, void *user)
{
	return net_nl_dump(nl, about_tc(RTM_GETTFILTER, ifindex, parent), seen, user);
}
