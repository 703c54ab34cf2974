/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * net_link - builds the requests by libnl-route, and by hand where it has no words for them (fq's
 * parameters, eBPF filters).
 */
#include "qosd/host/net_link.h"

#include <errno.h>
#include <linux/if_ether.h>
#include <linux/pkt_cls.h>
#include <linux/rtnetlink.h>
#include <linux/tc_act/tc_mirred.h>
#include <net/if.h>
#include <netlink/route/act/mirred.h>
#include <netlink/route/action.h>
#include <netlink/route/classifier.h>
#include <netlink/route/cls/matchall.h>
#include <netlink/route/cls/u32.h>
#include <netlink/route/link.h>
#include <netlink/route/link/inet6.h>
#include <netlink/route/link/sriov.h>
#include <netlink/route/qdisc.h>
#include <netlink/utils.h>
#include <stdio.h>
#include <string.h>

#define LOOPBACK_IFINDEX 1
#define IFB_TX_QUEUE_LEN 1000
#define HTB_QUANTUM      1514u /* of no matter to a lone class, but the kernel wants one */
#define FIFO_MS          100u
#define FIFO_BYTES_MIN   (68u << 10) /* one packet of 64 KiB, else such would never pass */

/* Talk, and say what could not be done. */
static int request(struct net_nl *nl, struct nl_msg *msg, uint32_t ifindex, const char *what,
		   struct qerr *err)
{
	char name[IF_NAMESIZE];
	int r = net_nl_talk(nl, msg);

	if (r == 0)
		return 0;
	if (!if_indextoname(ifindex, name))
		return qerr_set(err, -ENODEV, "device %u has gone", ifindex);
	return qerr_set(err, r, "cannot %s on %s: %s", what, name, net_nl_why(nl));
}

/* ... of something new: the kernel does not find the kind's module. */
static int create(struct net_nl *nl, struct nl_msg *msg, uint32_t ifindex, const char *what,
		  struct qerr *err)
{
	int r = request(nl, msg, ifindex, what, err);

	return r == -ENOENT ? -EOPNOTSUPP : r;
}

static int absent_is_fine(int r)
{
	return r == -ENOENT ? 0 : r;
}

static struct nl_msg *tc_message(int type, int flags, uint32_t ifindex, uint32_t parent,
				 uint32_t handle, const char *kind)
{
	struct tcmsg tc = { .tcm_family = AF_UNSPEC,
			    .tcm_ifindex = (int)ifindex,
			    .tcm_parent = parent,
			    .tcm_handle = handle };
	struct nl_msg *msg = nlmsg_alloc_simple(type, flags);

	if (!msg)
		return NULL;
	if (nlmsg_append(msg, &tc, sizeof(tc), NLMSG_ALIGNTO) < 0 ||
	    (kind && nla_put_string(msg, TCA_KIND, kind) < 0)) {
		nlmsg_free(msg);
		return NULL;
	}
	return msg;
}

bool net_link_has_qdisc(struct net_nl *nl, const char *kind)
{
	struct nl_msg *msg = tc_message(RTM_NEWQDISC, NLM_F_CREATE | NLM_F_REPLACE | NLM_F_EXCL,
					LOOPBACK_IFINDEX, TC_H_ROOT, 0, kind);
	struct nlattr *options = msg ? nla_nest_start(msg, TCA_OPTIONS) : NULL;

	if (options) {
		nla_put_u8(msg, 1, 0); /* all kinds want more than a byte of their first one */
		nla_nest_end(msg, options);
	}
	return net_nl_talk(nl, msg) != -ENOENT;
}

int net_link_add_clsact(struct net_nl *nl, uint32_t ifindex, struct qerr *err)
{
	return create(nl,
		      tc_message(RTM_NEWQDISC, NLM_F_CREATE | NLM_F_EXCL, ifindex, TC_H_CLSACT,
				 NET_SLOT_HANDLE, "clsact"),
		      ifindex, "add clsact", err);
}

int net_link_add_ingress(struct net_nl *nl, uint32_t ifindex, struct qerr *err)
{
	return create(nl,
		      tc_message(RTM_NEWQDISC, NLM_F_CREATE | NLM_F_EXCL, ifindex, TC_H_INGRESS,
				 NET_SLOT_HANDLE, "ingress"),
		      ifindex, "add ingress", err);
}

int net_link_del_slot(struct net_nl *nl, uint32_t ifindex, struct qerr *err)
{
	return absent_is_fine(request(nl,
				      tc_message(RTM_DELQDISC, 0, ifindex, TC_H_CLSACT, 0, NULL),
				      ifindex, "remove clsact", err));
}

int net_link_set_fq(struct net_nl *nl, uint32_t ifindex, uint32_t parent, uint32_t handle,
		    uint32_t limit, struct qerr *err)
{
	struct nl_msg *msg = tc_message(RTM_NEWQDISC, NLM_F_CREATE | NLM_F_REPLACE, ifindex, parent,
					handle, "fq");
	struct nlattr *options = msg ? nla_nest_start(msg, TCA_OPTIONS) : NULL;

	if (options) {
		nla_put_u32(msg, TCA_FQ_PLIMIT, limit);
		nla_put_u32(msg, TCA_FQ_FLOW_PLIMIT, NET_FQ_FLOW_LIMIT);
		nla_nest_end(msg, options);
	}
	return create(nl, msg, ifindex, "set the fq qdisc", err);
}

/* ---- HTB ---- */

int net_link_set_htb(struct net_nl *nl, uint32_t ifindex, uint32_t notes, struct qerr *err)
{
	struct tc_htb_glob global = { .version = TC_HTB_PROTOVER,
				      .rate2quantum = NET_HTB_R2Q + notes,
				      .defcls = TC_H_MIN(NET_CLASS_ID) };
	struct nl_msg *msg = tc_message(RTM_NEWQDISC, NLM_F_CREATE | NLM_F_REPLACE, ifindex,
					TC_H_ROOT, NET_ROOT_HANDLE, "htb");
	struct nlattr *options = msg ? nla_nest_start(msg, TCA_OPTIONS) : NULL;

	if (options) {
		nla_put(msg, TCA_HTB_INIT, sizeof(global), &global);
		nla_nest_end(msg, options);
	}
	return create(nl, msg, ifindex, "set the htb qdisc", err);
}

/* The link layer is told, so the kernel needs no table of rates. */
int net_link_set_class(struct net_nl *nl, uint32_t ifindex, uint64_t rate_bps, uint32_t burst_us,
		       struct qerr *err)
{
	uint64_t rate = rate_bps / 8;
	struct tc_ratespec spec = { .linklayer = TC_LINKLAYER_ETHERNET,
				    .rate = rate > UINT32_MAX ? UINT32_MAX : (uint32_t)rate };
	struct tc_htb_opt opt = { .rate = spec,
				  .ceil = spec,
				  .buffer = nl_us2ticks(burst_us),
				  .cbuffer = nl_us2ticks(burst_us),
				  .quantum = HTB_QUANTUM };
	struct nl_msg *msg = tc_message(RTM_NEWTCLASS, NLM_F_CREATE, ifindex, NET_ROOT_HANDLE,
					NET_CLASS_ID, "htb");
	struct nlattr *options = msg ? nla_nest_start(msg, TCA_OPTIONS) : NULL;

	if (options) {
		nla_put(msg, TCA_HTB_PARMS, sizeof(opt), &opt);
		nla_put_u64(msg, TCA_HTB_RATE64, rate);
		nla_put_u64(msg, TCA_HTB_CEIL64, rate);
		nla_nest_end(msg, options);
	}
	return request(nl, msg, ifindex, "set the rate", err);
}

int net_link_set_fifo(struct net_nl *nl, uint32_t ifindex, uint64_t rate_bps, struct qerr *err)
{
	uint64_t bytes = rate_bps / 8 * FIFO_MS / 1000;
	struct tc_fifo_qopt opt = { .limit = bytes < FIFO_BYTES_MIN ? FIFO_BYTES_MIN
					     : bytes > UINT32_MAX   ? UINT32_MAX
								    : (uint32_t)bytes };
	struct nl_msg *msg = tc_message(RTM_NEWQDISC, NLM_F_CREATE | NLM_F_REPLACE, ifindex,
					NET_CLASS_ID, NET_LEAF_HANDLE, "bfifo");

	if (msg)
		nla_put(msg, TCA_OPTIONS, sizeof(opt), &opt);
	return request(nl, msg, ifindex, "set the queue", err);
}

int net_link_set_leaf(struct net_nl *nl, uint32_t ifindex, uint64_t rate_bps, struct qerr *err)
{
	if (!net_link_has_qdisc(nl, "fq_codel"))
		return net_link_set_fifo(nl, ifindex, rate_bps, err);
	return request(nl,
		       tc_message(RTM_NEWQDISC, NLM_F_CREATE | NLM_F_REPLACE, ifindex, NET_CLASS_ID,
				  NET_LEAF_HANDLE, "fq_codel"),
		       ifindex, "set the queue", err);
}

/* ---- other qdiscs and filters ---- */

int net_link_set_mq(struct net_nl *nl, uint32_t ifindex, struct qerr *err)
{
	return create(nl,
		      tc_message(RTM_NEWQDISC, NLM_F_CREATE | NLM_F_REPLACE, ifindex, TC_H_ROOT,
				 NET_ROOT_HANDLE, "mq"),
		      ifindex, "set the mq qdisc", err);
}

int net_link_set_root(struct net_nl *nl, uint32_t ifindex, const char *kind, struct qerr *err)
{
	return create(
		nl,
		tc_message(RTM_NEWQDISC, NLM_F_CREATE | NLM_F_REPLACE, ifindex, TC_H_ROOT, 0, kind),
		ifindex, "give back the root qdisc", err);
}

int net_link_del_root(struct net_nl *nl, uint32_t ifindex, struct qerr *err)
{
	return absent_is_fine(
		request(nl, tc_message(RTM_DELQDISC, 0, ifindex, TC_H_ROOT, NET_ROOT_HANDLE, NULL),
			ifindex, "remove our root qdisc", err));
}

int net_link_set_program(struct net_nl *nl, uint32_t ifindex, uint32_t hook, uint32_t handle,
			 int prog_fd, const char *name, struct qerr *err)
{
	struct nl_msg *msg = tc_message(RTM_NEWTFILTER, NLM_F_CREATE | NLM_F_REPLACE, ifindex, hook,
					handle, "bpf");
	struct nlattr *options;

	if (!msg)
		return qerr_set(err, -ENOMEM, "out of memory");
	((struct tcmsg *)nlmsg_data(nlmsg_hdr(msg)))->tcm_info =
		TC_H_MAKE(NET_FILTER_PREF << 16, htons(ETH_P_ALL));
	options = nla_nest_start(msg, TCA_OPTIONS);
	if (options) {
		nla_put_u32(msg, TCA_BPF_FD, (uint32_t)prog_fd);
		nla_put_string(msg, TCA_BPF_NAME, name);
		nla_put_u32(msg, TCA_BPF_FLAGS, TCA_BPF_FLAG_ACT_DIRECT);
		nla_nest_end(msg, options);
	}
	return create(nl, msg, ifindex, "attach a program", err);
}

/* Every packet that comes in, by the classifier matchall or by u32 where that is absent. */
static struct rtnl_cls *classifier_new(uint32_t ifindex, const char *kind, uint32_t handle)
{
	struct rtnl_cls *cls = rtnl_cls_alloc();

	if (!cls)
		return NULL;
	rtnl_tc_set_ifindex(TC_CAST(cls), (int)ifindex);
	rtnl_tc_set_parent(TC_CAST(cls), NET_HOOK_INGRESS);
	rtnl_tc_set_handle(TC_CAST(cls), handle);
	rtnl_cls_set_prio(cls, NET_FILTER_PREF);
	rtnl_cls_set_protocol(cls, ETH_P_ALL);
	if (rtnl_tc_set_kind(TC_CAST(cls), kind) == 0)
		return cls;
	rtnl_cls_put(cls);
	return NULL;
}

static int add_redirect(struct net_nl *nl, uint32_t ifindex, uint32_t ifb_ifindex, bool u32,
			struct qerr *err)
{
	struct rtnl_cls *cls = u32 ? classifier_new(ifindex, "u32", NET_U32_NODE)
				   : classifier_new(ifindex, "matchall", NET_FILTER_HANDLE);
	struct rtnl_act *act = rtnl_act_alloc();
	struct nl_msg *msg = NULL;
	int r = cls && act ? rtnl_tc_set_kind(TC_CAST(act), "mirred") : -1;

	if (r == 0) {
		rtnl_mirred_set_action(act, TCA_EGRESS_REDIR);
		rtnl_mirred_set_policy(act, TC_ACT_STOLEN);
		rtnl_mirred_set_ifindex(act, ifb_ifindex);
		r = u32 ? rtnl_u32_add_action(cls, act) : rtnl_mall_append_action(cls, act);
	}
	if (r == 0 && u32)
		r = rtnl_u32_add_key_uint8(cls, 0, 0, 0, 0);
	if (r == 0 && u32)
		r = rtnl_u32_set_cls_terminal(cls);
	if (r == 0)
		rtnl_cls_build_add_request(cls, NLM_F_CREATE | NLM_F_EXCL, &msg);
	rtnl_act_put(act); /* the classifier holds one of its own */
	rtnl_cls_put(cls);
	return create(nl, msg, ifindex, "redirect to the ifb", err);
}

int net_link_set_redirect(struct net_nl *nl, uint32_t ifindex, uint32_t ifb_ifindex,
			  struct qerr *err)
{
	struct qerr first = { 0 };
	int r = add_redirect(nl, ifindex, ifb_ifindex, false, &first);

	if (r == -EOPNOTSUPP)
		return add_redirect(nl, ifindex, ifb_ifindex, true, err);
	if (r < 0 && err)
		*err = first;
	return r;
}

static int del_filter(struct net_nl *nl, uint32_t ifindex, uint32_t hook, uint32_t handle,
		      const char *kind, struct qerr *err)
{
	struct nl_msg *msg = tc_message(RTM_DELTFILTER, 0, ifindex, hook, handle, kind);

	if (msg)
		((struct tcmsg *)nlmsg_data(nlmsg_hdr(msg)))->tcm_info =
			TC_H_MAKE(NET_FILTER_PREF << 16, htons(ETH_P_ALL));
	return absent_is_fine(request(nl, msg, ifindex, "remove our filter", err));
}

int net_link_del_program(struct net_nl *nl, uint32_t ifindex, uint32_t hook, uint32_t handle,
			 struct qerr *err)
{
	return del_filter(nl, ifindex, hook, handle, "bpf", err);
}

int net_link_del_redirect(struct net_nl *nl, uint32_t ifindex, uint32_t handle, bool u32,
			  struct qerr *err)
{
	return del_filter(nl, ifindex, NET_HOOK_INGRESS, handle, u32 ? "u32" : "matchall", err);
}

int net_link_add_ifb(struct net_nl *nl, const char *name, uint32_t queues, struct qerr *err)
{
	struct rtnl_link *link = rtnl_link_alloc();
	struct nl_msg *msg = NULL;
	int r;

	if (link && rtnl_link_set_type(link, "ifb") == 0) {
		rtnl_link_set_name(link, name);
		rtnl_link_set_num_tx_queues(link, queues);
		rtnl_link_set_txqlen(link, IFB_TX_QUEUE_LEN);
		rtnl_link_build_add_request(link, NLM_F_CREATE | NLM_F_EXCL, &msg);
	}
	rtnl_link_put(link);
	r = net_nl_talk(nl, msg);
	if (r == -EOPNOTSUPP)
		return qerr_set(err, r, "the kernel has no ifb device; run: modprobe ifb");
	if (r < 0)
		return qerr_set(err, r, "cannot create the ifb %s: %s", name, net_nl_why(nl));
	return 0;
}

static struct nl_msg *link_message(int type, uint32_t ifindex, unsigned int flags)
{
	struct ifinfomsg info = { .ifi_family = AF_UNSPEC,
				  .ifi_index = (int)ifindex,
				  .ifi_flags = flags,
				  .ifi_change = flags };
	struct nl_msg *msg = nlmsg_alloc_simple(type, 0);

	if (msg && nlmsg_append(msg, &info, sizeof(info), NLMSG_ALIGNTO) < 0) {
		nlmsg_free(msg);
		msg = NULL;
	}
	return msg;
}

int net_link_set_up(struct net_nl *nl, uint32_t ifindex, struct qerr *err)
{
	struct nl_msg *msg = link_message(RTM_NEWLINK, ifindex, 0);
	struct nlattr *spec = msg ? nla_nest_start(msg, IFLA_AF_SPEC) : NULL;
	struct nlattr *inet6 = spec ? nla_nest_start(msg, AF_INET6) : NULL;

	if (inet6) {
		nla_put_u8(msg, IFLA_INET6_ADDR_GEN_MODE, IN6_ADDR_GEN_MODE_NONE);
		nla_nest_end(msg, inet6);
		nla_nest_end(msg, spec);
	}
	net_nl_talk(nl, msg); /* fails without IPv6: then there is nothing to prevent */
	return request(nl, link_message(RTM_NEWLINK, ifindex, IFF_UP), ifindex, "bring up", err);
}

int net_link_del(struct net_nl *nl, uint32_t ifindex, struct qerr *err)
{
	int r = request(nl, link_message(RTM_DELLINK, ifindex, 0), ifindex, "remove the device",
			err);

	return r == -ENODEV ? 0 : r;
}

/* A link with nothing but the rates of one virtual function. NULL when out of memory. */
static struct rtnl_link *link_with_rate(uint32_t vf, uint32_t min_mbit, uint32_t max_mbit)
{
	struct nl_vf_rate rate = { .api = RTNL_LINK_VF_RATE_API_NEW,
				   .min_tx_rate = min_mbit,
				   .max_tx_rate = max_mbit };
	struct rtnl_link *link = rtnl_link_alloc();
	struct rtnl_link_vf *entry = rtnl_link_vf_alloc();

	if (entry) {
		rtnl_link_vf_set_index(entry, vf);
		rtnl_link_vf_set_rate(entry, &rate);
	}
	if (link && entry && rtnl_link_vf_add(link, entry) == 0) {
		rtnl_link_vf_put(entry); /* the link has a reference of its own */
		return link;
	}
	rtnl_link_vf_put(entry);
	rtnl_link_put(link);
	return NULL;
}

struct nl_msg *net_link_vf_message(uint32_t ifindex, uint32_t vf, uint32_t min_mbit,
				   uint32_t max_mbit)
{
	struct rtnl_link *change = link_with_rate(vf, min_mbit, max_mbit);
	struct rtnl_link *card = rtnl_link_alloc();
	struct nl_msg *msg = NULL;

	if (change && card) {
		rtnl_link_set_ifindex(card, (int)ifindex);
		if (rtnl_link_build_change_request(card, change, 0, &msg) < 0)
			msg = NULL;
	}
	rtnl_link_put(change);
	rtnl_link_put(card);
	return msg;
}

int net_link_set_vf_rate(struct net_nl *nl, uint32_t ifindex, uint32_t vf, uint32_t min_mbit,
			 uint32_t max_mbit, struct qerr *err)
{
	char what[64];

	snprintf(what, sizeof(what), "set a rate of %u Mbit/s for virtual function %u", max_mbit,
		 vf);
	return request(nl, net_link_vf_message(ifindex, vf, min_mbit, max_mbit), ifindex, what,
		       err);
}
