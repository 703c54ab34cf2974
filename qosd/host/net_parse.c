/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * net_parse - rtnetlink messages about qdiscs and filters, into struct net_dev. No I/O.
 */
#include "qosd/host/net_parse.h"

#include <errno.h>
#include <linux/gen_stats.h>
#include <linux/pkt_cls.h>
#include <linux/rtnetlink.h>
#include <linux/tc_act/tc_mirred.h>
#include <netlink/attr.h>
#include <stdio.h>
#include <string.h>

#include "qosd/core/mem.h"
#include "qosd/host/net_link.h"

void net_parse_name(char dst[NET_KIND_MAX], const char *src)
{
	size_t n = strnlen(src, NET_KIND_MAX - 1);

	memcpy(dst, src, n);
	dst[n] = '\0';
}

/* ---- qdiscs ---- */

static bool fq_is_ours(uint32_t limit, uint32_t flow_limit)
{
	return limit >= NET_FQ_LIMIT && flow_limit >= NET_FQ_FLOW_LIMIT;
}

static void read_fq(struct nlattr *options, uint32_t *limit, uint32_t *flow_limit)
{
	struct nlattr *t[TCA_FQ_MAX + 1];

	*limit = *flow_limit = 0;
	if (!options || nla_parse_nested(t, TCA_FQ_MAX, options, NULL) < 0)
		return;
	if (t[TCA_FQ_PLIMIT])
		*limit = nla_get_u32(t[TCA_FQ_PLIMIT]);
	if (t[TCA_FQ_FLOW_PLIMIT])
		*flow_limit = nla_get_u32(t[TCA_FQ_FLOW_PLIMIT]);
}

/* Every parameter as the kernel sets it by itself. The quantum follows the MTU (net_found.c). */
static bool fq_codel_is_plain(struct nlattr *options, uint32_t *quantum_bytes)
{
	static const struct {
		int type;
		uint32_t value;
	} defaults[] = {
		{ TCA_FQ_CODEL_TARGET, 4999 },
		{ TCA_FQ_CODEL_LIMIT, 10240 },
		{ TCA_FQ_CODEL_INTERVAL, 99999 },
		{ TCA_FQ_CODEL_ECN, 1 },
		{ TCA_FQ_CODEL_FLOWS, 1024 },
		{ TCA_FQ_CODEL_DROP_BATCH_SIZE, 64 },
		{ TCA_FQ_CODEL_MEMORY_LIMIT, 32 << 20 },
	};
	struct nlattr *t[TCA_FQ_CODEL_MAX + 1];

	if (!options || nla_parse_nested(t, TCA_FQ_CODEL_MAX, options, NULL) < 0 ||
	    t[TCA_FQ_CODEL_CE_THRESHOLD] || !t[TCA_FQ_CODEL_QUANTUM])
		return false;
	*quantum_bytes = nla_get_u32(t[TCA_FQ_CODEL_QUANTUM]);
	for (size_t i = 0; i < ARRAY_SIZE(defaults); i++)
		if (!t[defaults[i].type] || nla_get_u32(t[defaults[i].type]) != defaults[i].value)
			return false;
	return true;
}

static bool is_plain(const char *kind, struct nlattr *options, uint32_t *quantum_bytes)
{
	*quantum_bytes = 0;
	if (strcmp(kind, "fq_codel") == 0)
		return fq_codel_is_plain(options, quantum_bytes);
	return strcmp(kind, "noqueue") == 0 || strcmp(kind, "pfifo_fast") == 0;
}

static void root_clear(struct net_dev *dev)
{
	dev->root_kind[0] = '\0';
	dev->root_handle = dev->fq_limit = dev->fq_flow_limit = 0;
	dev->fq_children = 0;
	dev->root_plain = false;
	dev->root_quantum = 0;
	dev->foreign_root = 0;
	dev->htb_notes = 0;
	dev->class_known = false;
	dev->class_bps = 0;
	dev->leaf_kind[0] = '\0';
}

bool net_parse_is_our_htb(const struct net_dev *dev)
{
	return dev->root_handle == NET_ROOT_HANDLE && strcmp(dev->root_kind, "htb") == 0;
}

static uint32_t read_htb_notes(struct nlattr *options)
{
	struct nlattr *t[TCA_HTB_MAX + 1];
	const struct tc_htb_glob *global;

	if (!options || nla_parse_nested(t, TCA_HTB_MAX, options, NULL) < 0 || !t[TCA_HTB_INIT] ||
	    nla_len(t[TCA_HTB_INIT]) < (int)sizeof(*global))
		return 0;
	global = nla_data(t[TCA_HTB_INIT]);
	return global->rate2quantum > NET_HTB_R2Q ? global->rate2quantum - NET_HTB_R2Q : 0;
}

static void on_root(struct net_dev *dev, const struct tcmsg *tc, const char *kind,
		    struct nlattr *options, bool gone)
{
	if (gone) {
		if (tc->tcm_handle == dev->root_handle)
			root_clear(dev);
		return;
	}
	if (tc->tcm_handle != dev->root_handle || strcmp(kind, dev->root_kind) != 0)
		root_clear(dev);
	net_parse_name(dev->root_kind, kind);
	dev->root_handle = tc->tcm_handle;
	dev->root_plain = is_plain(kind, options, &dev->root_quantum);
	if (dev->root_quantum)
		dev->filters_known = false; /* it can have filters of its own */
	if (strcmp(kind, "fq") == 0)
		read_fq(options, &dev->fq_limit, &dev->fq_flow_limit);
	if (net_parse_is_our_htb(dev))
		dev->htb_notes = read_htb_notes(options);
}

static void on_slot(struct net_dev *dev, const char *kind, bool gone)
{
	dev->slot = gone                          ? NET_SLOT_NONE
		    : strcmp(kind, "clsact") == 0 ? NET_SLOT_CLSACT
						  : NET_SLOT_INGRESS;
	dev->filters_known = false;
}

static void on_child(struct net_dev *dev, const struct tcmsg *tc, const char *kind,
		     struct nlattr *options, bool gone)
{
	uint32_t class = TC_H_MIN(tc->tcm_parent), limit, flow_limit;
	uint64_t bit;

	if (TC_H_MAJ(tc->tcm_parent) != dev->root_handle || class < 1 || class > 64)
		return;
	if (tc->tcm_parent == NET_CLASS_ID)
		net_parse_name(dev->leaf_kind,
			       gone || tc->tcm_handle != NET_LEAF_HANDLE ? "" : kind);
	bit = 1ULL << (class - 1);
	dev->fq_children &= ~bit;
	if (gone || strcmp(kind, "fq") != 0)
		return;
	read_fq(options, &limit, &flow_limit);
	if (fq_is_ours(limit, flow_limit))
		dev->fq_children |= bit;
}

void net_parse_qdisc(struct net_dev *dev, struct nlmsghdr *h)
{
	const struct tcmsg *tc = nlmsg_data(h);
	struct nlattr *t[TCA_MAX + 1];
	bool gone = h->nlmsg_type == RTM_DELQDISC;
	const char *kind;

	if (nlmsg_parse(h, sizeof(*tc), t, TCA_MAX, NULL) < 0 || !t[TCA_KIND])
		return;
	kind = nla_get_string(t[TCA_KIND]);
	if (tc->tcm_parent == TC_H_ROOT)
		on_root(dev, tc, kind, t[TCA_OPTIONS], gone);
	else if (tc->tcm_parent == TC_H_INGRESS)
		on_slot(dev, kind, gone);
	else
		on_child(dev, tc, kind, t[TCA_OPTIONS], gone);
}

void net_parse_clear(struct net_dev *dev)
{
	root_clear(dev);
	dev->slot = NET_SLOT_NONE;
	dev->filters_known = false;
}

/* ---- the class of HTB ---- */

void net_parse_class(struct net_dev *dev, struct nlmsghdr *h)
{
	const struct tcmsg *tc = nlmsg_data(h);
	struct nlattr *t[TCA_MAX + 1], *o[TCA_HTB_MAX + 1];
	const struct tc_htb_opt *opt;
	uint64_t rate;

	if (tc->tcm_handle != NET_CLASS_ID || nlmsg_parse(h, sizeof(*tc), t, TCA_MAX, NULL) < 0)
		return;
	dev->class_bps = 0;
	if (h->nlmsg_type != RTM_NEWTCLASS || !t[TCA_OPTIONS] ||
	    nla_parse_nested(o, TCA_HTB_MAX, t[TCA_OPTIONS], NULL) < 0 || !o[TCA_HTB_PARMS] ||
	    nla_len(o[TCA_HTB_PARMS]) < (int)sizeof(*opt))
		return;
	opt = nla_data(o[TCA_HTB_PARMS]);
	rate = opt->rate.rate;
	if (o[TCA_HTB_RATE64] && nla_len(o[TCA_HTB_RATE64]) >= (int)sizeof(rate))
		rate = nla_get_u64(o[TCA_HTB_RATE64]);
	dev->class_bps = rate * 8;
	dev->class_burst_us = nl_ticks2us(opt->buffer + 1); /* ticks are cut off */
}

bool net_parse_queue(struct net_queue *ret, struct nlmsghdr *h)
{
	const struct tcmsg *tc = nlmsg_data(h);
	struct nlattr *t[TCA_MAX + 1], *s[TCA_STATS_MAX + 1];
	struct gnet_stats_basic basic = { 0 };
	struct gnet_stats_queue queue = { 0 };
	struct tc_fq_codel_xstats codel = { 0 };

	if (tc->tcm_parent != NET_CLASS_ID || tc->tcm_handle != NET_LEAF_HANDLE ||
	    nlmsg_parse(h, sizeof(*tc), t, TCA_MAX, NULL) < 0 || !t[TCA_STATS2] ||
	    nla_parse_nested(s, TCA_STATS_MAX, t[TCA_STATS2], NULL) < 0)
		return false;
	if (s[TCA_STATS_BASIC])
		nla_memcpy(&basic, s[TCA_STATS_BASIC], sizeof(basic));
	if (s[TCA_STATS_QUEUE])
		nla_memcpy(&queue, s[TCA_STATS_QUEUE], sizeof(queue));
	if (s[TCA_STATS_APP] && t[TCA_KIND] && !nla_strcmp(t[TCA_KIND], "fq_codel"))
		nla_memcpy(&codel, s[TCA_STATS_APP], sizeof(codel));
	*ret = (struct net_queue){ .bytes = basic.bytes,
				   .packets = basic.packets,
				   .dropped_packets = queue.drops,
				   .marked_packets = codel.qdisc_stats.ecn_mark,
				   .backlog_bytes = queue.backlog };
	return true;
}

/* ---- filters ---- */

/* The action of a filter is a redirect: u32 and matchall keep their actions in other places. */
static bool is_redirect(struct nlattr *options, int actions, uint32_t *ret_ifindex)
{
	struct nlattr *o[TCA_U32_MAX + 1], *list[2], *a[TCA_ACT_MAX + 1], *m[TCA_MIRRED_MAX + 1];
	const struct tc_mirred *parms;

	if (nla_parse_nested(o, TCA_U32_MAX, options, NULL) < 0 || !o[actions] ||
	    nla_parse_nested(list, 1, o[actions], NULL) < 0 || !list[1] ||
	    nla_parse_nested(a, TCA_ACT_MAX, list[1], NULL) < 0 || !a[TCA_ACT_KIND] ||
	    !a[TCA_ACT_OPTIONS] || strcmp(nla_get_string(a[TCA_ACT_KIND]), "mirred") != 0 ||
	    nla_parse_nested(m, TCA_MIRRED_MAX, a[TCA_ACT_OPTIONS], NULL) < 0 ||
	    !m[TCA_MIRRED_PARMS] || nla_len(m[TCA_MIRRED_PARMS]) < (int)sizeof(*parms))
		return false;
	parms = nla_data(m[TCA_MIRRED_PARMS]);
	*ret_ifindex = parms->ifindex;
	return parms->eaction == TCA_EGRESS_REDIR;
}

static uint32_t program_of(struct nlattr *options)
{
	struct nlattr *o[TCA_BPF_MAX + 1];

	if (nla_parse_nested(o, TCA_BPF_MAX, options, NULL) < 0 || !o[TCA_BPF_ID])
		return 0;
	return nla_get_u32(o[TCA_BPF_ID]);
}

static bool is_counter(const struct tcmsg *tc, const char *kind)
{
	return TC_H_MAJ(tc->tcm_info) >> 16 == NET_FILTER_PREF &&
	       tc->tcm_handle == NET_COUNT_HANDLE && strcmp(kind, "bpf") == 0;
}

/* u32's hash tables are listed like filters, with no node in their handle. */
static bool is_table(const char *kind, uint32_t handle)
{
	return handle == 0 || (strcmp(kind, "u32") == 0 && TC_U32_KEY(handle) == 0);
}

static void on_ingress(struct net_dev *dev, const struct tcmsg *tc, const char *kind,
		       struct nlattr *options, bool marked)
{
	bool u32 = strcmp(kind, "u32") == 0;
	bool ours = u32 ? TC_H_MAJ(tc->tcm_info) >> 16 == NET_FILTER_PREF &&
				    TC_U32_NODE(tc->tcm_handle) == NET_U32_NODE
			: marked && strcmp(kind, "matchall") == 0;

	if (!ours || !is_redirect(options, u32 ? TCA_U32_ACT : TCA_MATCHALL_ACT, &dev->redirect)) {
		dev->foreign_ingress++;
		return;
	}
	dev->redirect_there = true;
	dev->redirect_u32 = u32;
	dev->redirect_handle = tc->tcm_handle;
}

void net_parse_filter(struct net_dev *dev, struct nlmsghdr *h)
{
	const struct tcmsg *tc = nlmsg_data(h);
	struct nlattr *t[TCA_MAX + 1];
	const char *kind;
	bool marked, egress = tc->tcm_parent == NET_HOOK_EGRESS;

	if (h->nlmsg_type != RTM_NEWTFILTER || nlmsg_parse(h, sizeof(*tc), t, TCA_MAX, NULL) < 0 ||
	    !t[TCA_KIND] || !t[TCA_OPTIONS])
		return;
	kind = nla_get_string(t[TCA_KIND]);
	if (is_table(kind, tc->tcm_handle))
		return;
	marked = TC_H_MAJ(tc->tcm_info) >> 16 == NET_FILTER_PREF &&
		 tc->tcm_handle == NET_FILTER_HANDLE;
	if (is_counter(tc, kind))
		dev->counter_id[egress] = program_of(t[TCA_OPTIONS]);
	else if (!egress)
		on_ingress(dev, tc, kind, t[TCA_OPTIONS], marked);
	else if (marked && strcmp(kind, "bpf") == 0)
		dev->program_id = program_of(t[TCA_OPTIONS]);
	else
		dev->foreign_egress++;
}

/* ---- links ---- */

/* The NIC of an ifb that serves one, by its name; 0: it does not. */
static uint32_t served_by(const char *name)
{
	char again[IF_NAMESIZE + 1];
	unsigned int ifindex;

	if (sscanf(name, NET_OWN_IFB "%10u", &ifindex) != 1)
		return 0;
	snprintf(again, sizeof(again), NET_OWN_IFB "%u", ifindex);
	return strcmp(name, again) == 0 ? ifindex : 0;
}

int net_parse_link(struct net_dev *dev, struct nlmsghdr *h, uint32_t *ret_queues, bool *ret_is_ifb)
{
	const struct ifinfomsg *info = nlmsg_data(h);
	struct nlattr *t[IFLA_MAX + 1], *i[IFLA_INFO_MAX + 1] = { NULL };
	const char *kind, *port;

	if (nlmsg_parse(h, sizeof(*info), t, IFLA_MAX, NULL) < 0 || !t[IFLA_IFNAME])
		return -EINVAL;
	if (t[IFLA_LINKINFO] && nla_parse_nested(i, IFLA_INFO_MAX, t[IFLA_LINKINFO], NULL) < 0)
		return -EINVAL;
	kind = i[IFLA_INFO_KIND] ? nla_get_string(i[IFLA_INFO_KIND]) : "";
	port = i[IFLA_INFO_SLAVE_KIND] ? nla_get_string(i[IFLA_INFO_SLAVE_KIND]) : "";
	net_parse_name(dev->name, nla_get_string(t[IFLA_IFNAME]));
	dev->mtu = t[IFLA_MTU] ? nla_get_u32(t[IFLA_MTU]) : 0;
	dev->up = info->ifi_flags & IFF_UP;
	dev->turned = strcmp(kind, "macvtap") == 0;
	dev->on_ovs = strcmp(port, "openvswitch") == 0;
	*ret_is_ifb = strcmp(kind, "ifb") == 0;
	dev->serves = *ret_is_ifb ? served_by(dev->name) : 0;
	*ret_queues = t[IFLA_NUM_TX_QUEUES] ? nla_get_u32(t[IFLA_NUM_TX_QUEUES]) : 0;
	return 0;
}
