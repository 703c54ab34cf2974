/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * net_parse - rtnetlink messages about qdiscs and filters, into struct net_dev. No I/O.
 */
#include "qosd/host/net_parse.h"

#include <linux/pkt_cls.h>
#include <linux/rtnetlink.h>
#include <linux/tc_act/tc_mirred.h>
#include <netlink/attr.h>
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

/* Every parameter as the kernel sets it by itself. (The quantum follows the MTU.) */
static bool fq_codel_is_plain(struct nlattr *options)
{
	static const struct {
		int type;
		uint32_t value;
	} defaults[] = {
		{ TCA_FQ_CODEL_TARGET, 4999 },    { TCA_FQ_CODEL_LIMIT, 10240 },
		{ TCA_FQ_CODEL_INTERVAL, 99999 }, { TCA_FQ_CODEL_ECN, 1 },
		{ TCA_FQ_CODEL_FLOWS, 1024 },
	};
	struct nlattr *t[TCA_FQ_CODEL_MAX + 1];

	if (!options || nla_parse_nested(t, TCA_FQ_CODEL_MAX, options, NULL) < 0 ||
	    t[TCA_FQ_CODEL_CE_THRESHOLD])
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(defaults); i++)
		if (!t[defaults[i].type] || nla_get_u32(t[defaults[i].type]) != defaults[i].value)
			return false;
	return true;
}

static bool is_plain(const char *kind, struct nlattr *options)
{
	if (strcmp(kind, "fq_codel") == 0)
		return fq_codel_is_plain(options);
	return strcmp(kind, "noqueue") == 0 || strcmp(kind, "pfifo_fast") == 0;
}

static void root_clear(struct net_dev *dev)
{
	dev->root_kind[0] = '\0';
	dev->root_handle = dev->fq_limit = dev->fq_flow_limit = 0;
	dev->fq_children = 0;
	dev->root_plain = false;
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
	dev->root_plain = is_plain(kind, options);
	if (strcmp(kind, "fq") == 0)
		read_fq(options, &dev->fq_limit, &dev->fq_flow_limit);
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

/* ---- filters ---- */

static bool is_redirect(struct nlattr *options, uint32_t *ret_ifindex)
{
	struct nlattr *o[TCA_MATCHALL_MAX + 1], *list[2], *a[TCA_ACT_MAX + 1],
		*m[TCA_MIRRED_MAX + 1];
	const struct tc_mirred *parms;

	if (nla_parse_nested(o, TCA_MATCHALL_MAX, options, NULL) < 0 || !o[TCA_MATCHALL_ACT] ||
	    nla_parse_nested(list, 1, o[TCA_MATCHALL_ACT], NULL) < 0 || !list[1] ||
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

void net_parse_filter(struct net_dev *dev, struct nlmsghdr *h)
{
	const struct tcmsg *tc = nlmsg_data(h);
	struct nlattr *t[TCA_MAX + 1];
	const char *kind;
	bool marked;

	if (h->nlmsg_type != RTM_NEWTFILTER || nlmsg_parse(h, sizeof(*tc), t, TCA_MAX, NULL) < 0 ||
	    !t[TCA_KIND] || !t[TCA_OPTIONS] || tc->tcm_handle == 0)
		return;
	kind = nla_get_string(t[TCA_KIND]);
	marked = TC_H_MAJ(tc->tcm_info) >> 16 == NET_FILTER_PREF &&
		 tc->tcm_handle == NET_FILTER_HANDLE;
	if (tc->tcm_parent == NET_HOOK_EGRESS) {
		if (marked && strcmp(kind, "bpf") == 0)
			dev->program_id = program_of(t[TCA_OPTIONS]);
		else
			dev->foreign_egress++;
	} else {
		if (marked && strcmp(kind, "matchall") == 0 &&
		    is_redirect(t[TCA_OPTIONS], &dev->redirect))
			dev->redirect_there = true;
		else
			dev->foreign_ingress++;
	}
}
