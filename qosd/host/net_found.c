/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * net_found - what was on a device before qosd, what of it stays untouched, and giving it back.
 */
#include "qosd/host/net_found.h"

#include <errno.h>
#include <linux/if_ether.h>
#include <string.h>

#include "qosd/core/mem.h"
#include "qosd/host/net_link.h"

/* Root qdiscs that ours may replace, since their kind is all there is to give back. */
static const struct {
	const char *kind;
	uint32_t flag;
} plain_roots[] = {
	{ "noqueue", EDT_HAD_NOQUEUE },
	{ "pfifo_fast", EDT_HAD_PFIFO_FAST },
	{ "fq_codel", EDT_HAD_FQ_CODEL },
};

bool net_found_filters(const struct net_dev *dev)
{
	return dev->foreign_egress || dev->foreign_ingress || dev->program_id ||
	       dev->redirect_there || dev->counter_id[0] || dev->counter_id[1];
}

bool net_found_root_is_ours(const struct net_dev *dev)
{
	return dev->root_handle == NET_ROOT_HANDLE &&
	       (strcmp(dev->root_kind, "fq") == 0 || strcmp(dev->root_kind, "htb") == 0);
}

/* Its quantum follows the MTU: that of now, or the usual one when it was made. */
static bool is_as_made(const struct net_dev *dev)
{
	return !dev->root_quantum || dev->root_quantum == ETH_FRAME_LEN ||
	       dev->root_quantum == dev->mtu + ETH_HLEN;
}

uint32_t net_found_root(const struct net_dev *dev)
{
	if (!dev->root_plain || dev->foreign_root || !is_as_made(dev))
		return 0;
	for (size_t i = 0; i < ARRAY_SIZE(plain_roots); i++)
		if (strcmp(dev->root_kind, plain_roots[i].kind) == 0)
			return plain_roots[i].flag;
	return 0;
}

int net_found_refuse_root(const struct net_dev *dev, struct qerr *err)
{
	if (dev->root_handle == 0 || net_found_root_is_ours(dev) || net_found_root(dev))
		return 0;
	if (dev->on_ovs)
		return qerr_set(err, -EBUSY,
				"%s has a root qdisc of Open vSwitch's QoS (%s %x:); leave the "
				"limit to one of them: ovs-vsctl clear Port %s qos",
				dev->name, dev->root_kind, dev->root_handle >> 16, dev->name);
	return qerr_set(err, -EBUSY,
			"%s has a root qdisc that is not qosd's (%s %x:); remove <bandwidth> "
			"from the domain XML, or run: tc qdisc del dev %s root",
			dev->name, dev->root_kind, dev->root_handle >> 16, dev->name);
}

int net_found_refuse_filters(const struct net_dev *dev, struct qerr *err)
{
	if (dev->foreign_ingress == 0)
		return 0;
	if (dev->on_ovs)
		return qerr_set(err, -EBUSY,
				"%s has %u ingress filters that are not qosd's; if Open vSwitch "
				"polices it, run: ovs-vsctl set Interface %s "
				"ingress_policing_rate=0",
				dev->name, dev->foreign_ingress, dev->name);
	return qerr_set(
		err, -EBUSY,
		"%s has %u ingress filters that are not qosd's; remove <bandwidth> from the "
		"domain XML, or run: tc qdisc del dev %s %s",
		dev->name, dev->foreign_ingress, dev->name,
		dev->slot == NET_SLOT_CLSACT ? "clsact" : "ingress");
}

int net_found_give_back_root(struct net_nl *nl, const struct net_dev *dev, uint32_t notes,
			     struct qerr *err)
{
	for (size_t i = 0; i < ARRAY_SIZE(plain_roots); i++)
		if (notes & plain_roots[i].flag)
			return net_link_set_root(nl, dev->ifindex, plain_roots[i].kind, err);
	return net_link_del_root(nl, dev->ifindex, err);
}
