/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What of the network adapter needs no kernel: the entry for a rate, and rtnetlink messages.
 */
#include <linux/pkt_cls.h>
#include <linux/rtnetlink.h>
#include <linux/tc_act/tc_mirred.h>
#include <netlink/attr.h>
#include <netlink/msg.h>

#include "qosd/host/net_bpf.h"
#include "qosd/host/net_found.h"
#include "qosd/host/net_link.h"
#include "qosd/host/net_parse.h"
#include "qosd/host/net_table.h"
#include "t/unit/harness.h"

static void test_profile(void)
{
	struct edt_cfg cfg = net_bpf_profile(20000000, EDT_OWNS_CLSACT);

	CU_ASSERT_EQUAL(cfg.rate_bps, 20000000);
	CU_ASSERT_EQUAL(cfg.horizon_ns, 200000000);
	CU_ASSERT_EQUAL(cfg.target_ns, 7000000);
	CU_ASSERT_EQUAL(cfg.packet_ns, 605600);
	CU_ASSERT_EQUAL(cfg.flags, EDT_OWNS_CLSACT);
	cfg = net_bpf_profile(64000, 0);                /* a packet takes 189 ms */
	CU_ASSERT_EQUAL(cfg.horizon_ns, 5000000000ULL); /* not 128 of them */
	CU_ASSERT_EQUAL(cfg.target_ns, 2 * 189250000ULL);
	cfg = net_bpf_profile(1000000, 0);
	CU_ASSERT_EQUAL(cfg.horizon_ns, 128 * 12112000ULL);
	cfg = net_bpf_profile(1, 0);
	CU_ASSERT(cfg.horizon_ns <= 5000000000ULL);
	cfg = net_bpf_profile(100000000000, 0);
	CU_ASSERT_EQUAL(cfg.horizon_ns, 200000000);
	cfg = net_bpf_profile(0, 0);
	CU_ASSERT_EQUAL(cfg.rate_bps, 0);
}

static struct nl_msg *tc_new(int type, uint32_t parent, uint32_t handle, const char *kind)
{
	struct tcmsg tc = { .tcm_ifindex = 7, .tcm_parent = parent, .tcm_handle = handle };
	struct nl_msg *msg = nlmsg_alloc_simple(type, 0);

	nlmsg_append(msg, &tc, sizeof(tc), NLMSG_ALIGNTO);
	nla_put_string(msg, TCA_KIND, kind);
	return msg;
}

static void qdisc(struct net_dev *dev, int type, uint32_t parent, uint32_t handle, const char *kind,
		  uint32_t limit)
{
	struct nl_msg *msg = tc_new(type, parent, handle, kind);
	struct nlattr *options = nla_nest_start(msg, TCA_OPTIONS);

	if (limit) {
		nla_put_u32(msg, TCA_FQ_PLIMIT, limit);
		nla_put_u32(msg, TCA_FQ_FLOW_PLIMIT, limit);
	}
	nla_nest_end(msg, options);
	net_parse_qdisc(dev, nlmsg_hdr(msg));
	nlmsg_free(msg);
}

static void test_root(void)
{
	struct net_dev dev = { .ifindex = 7 };

	qdisc(&dev, RTM_NEWQDISC, TC_H_ROOT, NET_ROOT_HANDLE, "fq", NET_FQ_LIMIT);
	ASSERT_STR(dev.root_kind, "fq");
	CU_ASSERT_EQUAL(dev.root_handle, NET_ROOT_HANDLE);
	CU_ASSERT_EQUAL(dev.fq_limit, NET_FQ_LIMIT);
	qdisc(&dev, RTM_DELQDISC, TC_H_ROOT, 0x10000, "htb", 0); /* another one */
	CU_ASSERT_EQUAL(dev.root_handle, NET_ROOT_HANDLE);
	qdisc(&dev, RTM_NEWQDISC, TC_H_ROOT, 0x10000, "htb", 0);
	CU_ASSERT_EQUAL(dev.root_handle, 0x10000);
	CU_ASSERT_EQUAL(dev.fq_limit, 0);
	qdisc(&dev, RTM_DELQDISC, TC_H_ROOT, 0x10000, "htb", 0);
	CU_ASSERT_EQUAL(dev.root_handle, 0);
	ASSERT_STR(dev.root_kind, "");
}

static void codel(struct net_dev *dev, uint32_t limit, uint32_t quantum, uint32_t memory)
{
	struct nl_msg *msg = tc_new(RTM_NEWQDISC, TC_H_ROOT, 0x80010000, "fq_codel");
	struct nlattr *options = nla_nest_start(msg, TCA_OPTIONS);

	nla_put_u32(msg, TCA_FQ_CODEL_TARGET, 4999);
	nla_put_u32(msg, TCA_FQ_CODEL_LIMIT, limit);
	nla_put_u32(msg, TCA_FQ_CODEL_INTERVAL, 99999);
	nla_put_u32(msg, TCA_FQ_CODEL_ECN, 1);
	nla_put_u32(msg, TCA_FQ_CODEL_FLOWS, 1024);
	nla_put_u32(msg, TCA_FQ_CODEL_QUANTUM, quantum);
	nla_put_u32(msg, TCA_FQ_CODEL_DROP_BATCH_SIZE, 64);
	nla_put_u32(msg, TCA_FQ_CODEL_MEMORY_LIMIT, memory);
	nla_nest_end(msg, options);
	net_parse_qdisc(dev, nlmsg_hdr(msg));
	nlmsg_free(msg);
}

/* Only a root qdisc whose kind is all there is to know may be replaced. */
static void test_plain_root(void)
{
	struct net_dev dev = { .ifindex = 7 };

	qdisc(&dev, RTM_NEWQDISC, TC_H_ROOT, 0x80010000, "noqueue", 0);
	CU_ASSERT(dev.root_plain);
	qdisc(&dev, RTM_NEWQDISC, TC_H_ROOT, 0x80010000, "htb", 0);
	CU_ASSERT(!dev.root_plain);
	qdisc(&dev, RTM_NEWQDISC, TC_H_ROOT, 0x80010000, "pfifo_fast", 0);
	CU_ASSERT(dev.root_plain);
	codel(&dev, 10240, 1514, 32 << 20);
	CU_ASSERT_EQUAL(net_found_root(&dev), EDT_HAD_FQ_CODEL);
	codel(&dev, 100, 1514, 32 << 20);
	CU_ASSERT(!dev.root_plain);
	codel(&dev, 10240, 1514, 4 << 20);
	CU_ASSERT(!dev.root_plain);
	codel(&dev, 10240, 300, 32 << 20);
	CU_ASSERT_EQUAL(net_found_root(&dev), 0);
	dev.mtu = 9000;
	codel(&dev, 10240, 9014, 32 << 20);
	CU_ASSERT_EQUAL(net_found_root(&dev), EDT_HAD_FQ_CODEL);
	dev.foreign_root = 1;
	CU_ASSERT_EQUAL(net_found_root(&dev), 0);
	qdisc(&dev, RTM_NEWQDISC, TC_H_ROOT, 0x80010000, "noqueue", 0);
	qdisc(&dev, RTM_DELQDISC, TC_H_ROOT, 0x80010000, "noqueue", 0);
	CU_ASSERT(!dev.root_plain);
}

static void test_children(void)
{
	struct net_dev dev = { .ifindex = 7 };

	qdisc(&dev, RTM_NEWQDISC, TC_H_ROOT, NET_ROOT_HANDLE, "mq", 0);
	qdisc(&dev, RTM_NEWQDISC, NET_ROOT_HANDLE | 1, 0x71060000, "fq", NET_FQ_LIMIT);
	qdisc(&dev, RTM_NEWQDISC, NET_ROOT_HANDLE | 2, 0x71070000, "fq", 100);
	CU_ASSERT_EQUAL(dev.fq_children, 1);
	qdisc(&dev, RTM_NEWQDISC, NET_ROOT_HANDLE | 2, 0x71070000, "fq", NET_FQ_LIMIT);
	CU_ASSERT_EQUAL(dev.fq_children, 3);
	qdisc(&dev, RTM_NEWQDISC, NET_ROOT_HANDLE | 1, 0x80010000, "pfifo", 0);
	CU_ASSERT_EQUAL(dev.fq_children, 2);
	qdisc(&dev, RTM_DELQDISC, TC_H_ROOT, NET_ROOT_HANDLE, "mq", 0);
	CU_ASSERT_EQUAL(dev.fq_children, 0);
}

static void test_slot(void)
{
	struct net_dev dev = { .ifindex = 7, .filters_known = true };

	qdisc(&dev, RTM_NEWQDISC, TC_H_INGRESS, NET_SLOT_HANDLE, "ingress", 0);
	CU_ASSERT_EQUAL(dev.slot, NET_SLOT_INGRESS);
	CU_ASSERT_FALSE(dev.filters_known);
	qdisc(&dev, RTM_DELQDISC, TC_H_INGRESS, NET_SLOT_HANDLE, "ingress", 0);
	CU_ASSERT_EQUAL(dev.slot, NET_SLOT_NONE);
	qdisc(&dev, RTM_NEWQDISC, TC_H_CLSACT, NET_SLOT_HANDLE, "clsact", 0);
	CU_ASSERT_EQUAL(dev.slot, NET_SLOT_CLSACT);
}

static void filter(struct net_dev *dev, struct nl_msg *msg, uint32_t pref)
{
	((struct tcmsg *)nlmsg_data(nlmsg_hdr(msg)))->tcm_info = TC_H_MAKE(pref << 16, 0x300);
	net_parse_filter(dev, nlmsg_hdr(msg));
	nlmsg_free(msg);
}

static struct nl_msg *program(uint32_t handle, uint32_t id)
{
	struct nl_msg *msg = tc_new(RTM_NEWTFILTER, NET_HOOK_EGRESS, handle, "bpf");
	struct nlattr *options = nla_nest_start(msg, TCA_OPTIONS);

	nla_put_u32(msg, TCA_BPF_ID, id);
	nla_nest_end(msg, options);
	return msg;
}

static struct nl_msg *redirect(int eaction, uint32_t to)
{
	struct tc_mirred parms = { .eaction = eaction, .ifindex = to };
	struct nl_msg *msg =
		tc_new(RTM_NEWTFILTER, NET_HOOK_INGRESS, NET_FILTER_HANDLE, "matchall");
	struct nlattr *options = nla_nest_start(msg, TCA_OPTIONS);
	struct nlattr *list = nla_nest_start(msg, TCA_MATCHALL_ACT);
	struct nlattr *action = nla_nest_start(msg, 1), *inner;

	nla_put_string(msg, TCA_ACT_KIND, "mirred");
	inner = nla_nest_start(msg, TCA_ACT_OPTIONS);
	nla_put(msg, TCA_MIRRED_PARMS, sizeof(parms), &parms);
	nla_nest_end(msg, inner);
	nla_nest_end(msg, action);
	nla_nest_end(msg, list);
	nla_nest_end(msg, options);
	return msg;
}

static void test_filters(void)
{
	struct net_dev dev = { .ifindex = 7 };

	filter(&dev, program(NET_FILTER_HANDLE, 42), NET_FILTER_PREF);
	CU_ASSERT_EQUAL(dev.program_id, 42);
	filter(&dev, program(1, 43), NET_FILTER_PREF);
	filter(&dev, program(NET_FILTER_HANDLE, 44), 1);
	CU_ASSERT_EQUAL(dev.program_id, 42);
	CU_ASSERT_EQUAL(dev.foreign_egress, 2);
	filter(&dev, redirect(TCA_EGRESS_MIRROR, 9), NET_FILTER_PREF);
	CU_ASSERT_FALSE(dev.redirect_there);
	CU_ASSERT_EQUAL(dev.foreign_ingress, 1);
	filter(&dev, redirect(TCA_EGRESS_REDIR, 9), NET_FILTER_PREF);
	CU_ASSERT(dev.redirect_there);
	CU_ASSERT_EQUAL(dev.redirect, 9);
}

/* Those that count are known by a handle of their own, on both hooks, and are nobody else's. */
static void test_counters(void)
{
	struct net_dev dev = { .ifindex = 7 };
	struct nl_msg *in = tc_new(RTM_NEWTFILTER, NET_HOOK_INGRESS, NET_COUNT_HANDLE, "bpf");
	struct nlattr *options = nla_nest_start(in, TCA_OPTIONS);

	nla_put_u32(in, TCA_BPF_ID, 51);
	nla_nest_end(in, options);
	filter(&dev, in, NET_FILTER_PREF);
	filter(&dev, program(NET_COUNT_HANDLE, 52), NET_FILTER_PREF);
	CU_ASSERT(dev.counter_id[0] == 51 && dev.counter_id[1] == 52);
	CU_ASSERT(!dev.program_id && !dev.foreign_egress && !dev.foreign_ingress);
	filter(&dev, program(NET_COUNT_HANDLE, 53), 1); /* another preference */
	CU_ASSERT(dev.counter_id[1] == 52 && dev.foreign_egress == 1);
}

static void test_u32(void)
{
	struct net_dev dev = { .ifindex = 7 };
	struct tc_mirred parms = { .eaction = TCA_EGRESS_REDIR, .ifindex = 9 };
	struct nl_msg *msg = tc_new(RTM_NEWTFILTER, NET_HOOK_INGRESS, 0x80000000, "u32");
	struct nlattr *options, *list, *action, *inner;

	nla_put_u32(msg, TCA_OPTIONS, 0);
	filter(&dev, msg, NET_FILTER_PREF); /* the hash table */
	CU_ASSERT_EQUAL(dev.foreign_ingress, 0);
	msg = tc_new(RTM_NEWTFILTER, NET_HOOK_INGRESS, 0x80000000 | NET_U32_NODE, "u32");
	options = nla_nest_start(msg, TCA_OPTIONS);
	list = nla_nest_start(msg, TCA_U32_ACT);
	action = nla_nest_start(msg, 1);
	nla_put_string(msg, TCA_ACT_KIND, "mirred");
	inner = nla_nest_start(msg, TCA_ACT_OPTIONS);
	nla_put(msg, TCA_MIRRED_PARMS, sizeof(parms), &parms);
	nla_nest_end(msg, inner);
	nla_nest_end(msg, action);
	nla_nest_end(msg, list);
	nla_nest_end(msg, options);
	filter(&dev, msg, NET_FILTER_PREF);
	CU_ASSERT(dev.redirect_there && dev.redirect_u32);
	CU_ASSERT_EQUAL(dev.redirect, 9);
	CU_ASSERT_EQUAL(dev.redirect_handle, 0x80000000 | NET_U32_NODE);
	CU_ASSERT_EQUAL(dev.foreign_ingress, 0);
	msg = tc_new(RTM_NEWTFILTER, NET_HOOK_INGRESS, 0x80000800, "u32"); /* libvirt's policer */
	nla_put_u32(msg, TCA_OPTIONS, 0);
	filter(&dev, msg, 49152);
	CU_ASSERT_EQUAL(dev.foreign_ingress, 1);
}

/* Notes in the root's ratio, the rate in the class, the queue below it. */
static void test_htb(void)
{
	struct net_dev dev = { .ifindex = 7 };
	struct tc_htb_glob global = { .version = 3, .rate2quantum = NET_HTB_R2Q + EDT_HAD_NOQUEUE };
	struct tc_htb_opt opt = { .rate.rate = UINT32_MAX };
	struct nl_msg *msg = tc_new(RTM_NEWQDISC, TC_H_ROOT, NET_ROOT_HANDLE, "htb");
	struct nlattr *options = nla_nest_start(msg, TCA_OPTIONS);

	nla_put(msg, TCA_HTB_INIT, sizeof(global), &global);
	nla_nest_end(msg, options);
	net_parse_qdisc(&dev, nlmsg_hdr(msg));
	nlmsg_free(msg);
	CU_ASSERT(net_parse_is_our_htb(&dev));
	CU_ASSERT_EQUAL(dev.htb_notes, EDT_HAD_NOQUEUE);
	msg = tc_new(RTM_NEWTCLASS, TC_H_ROOT, NET_CLASS_ID, "htb");
	options = nla_nest_start(msg, TCA_OPTIONS);
	nla_put(msg, TCA_HTB_PARMS, sizeof(opt), &opt);
	nla_put_u64(msg, TCA_HTB_RATE64, 12500000000ULL);
	nla_nest_end(msg, options);
	net_parse_class(&dev, nlmsg_hdr(msg));
	nlmsg_free(msg);
	CU_ASSERT_EQUAL(dev.class_bps, 100000000000ULL);
	qdisc(&dev, RTM_NEWQDISC, NET_CLASS_ID, NET_LEAF_HANDLE, "bfifo", 0);
	ASSERT_STR(dev.leaf_kind, "bfifo");
	qdisc(&dev, RTM_NEWQDISC, NET_CLASS_ID, 0x80010000, "pfifo", 0);
	ASSERT_STR(dev.leaf_kind, "");
	msg = tc_new(RTM_DELTCLASS, TC_H_ROOT, NET_CLASS_ID, "htb");
	net_parse_class(&dev, nlmsg_hdr(msg));
	nlmsg_free(msg);
	CU_ASSERT_EQUAL(dev.class_bps, 0);
	qdisc(&dev, RTM_DELQDISC, TC_H_ROOT, NET_ROOT_HANDLE, "htb", 0);
	CU_ASSERT_FALSE(net_parse_is_our_htb(&dev));
}

static struct net_dev link_of(const char *name, const char *kind, const char *port)
{
	struct ifinfomsg info = { .ifi_index = 7, .ifi_flags = IFF_UP };
	struct nl_msg *msg = nlmsg_alloc_simple(RTM_NEWLINK, 0);
	struct net_dev dev = { .ifindex = 7 };
	struct nlattr *nest;
	uint32_t queues;
	bool is_ifb;

	nlmsg_append(msg, &info, sizeof(info), NLMSG_ALIGNTO);
	nla_put_string(msg, IFLA_IFNAME, name);
	nest = nla_nest_start(msg, IFLA_LINKINFO);
	nla_put_string(msg, IFLA_INFO_KIND, kind);
	if (port)
		nla_put_string(msg, IFLA_INFO_SLAVE_KIND, port);
	nla_nest_end(msg, nest);
	CU_ASSERT_EQUAL(net_parse_link(&dev, nlmsg_hdr(msg), &queues, &is_ifb), 0);
	CU_ASSERT_EQUAL(is_ifb, strcmp(kind, "ifb") == 0);
	nlmsg_free(msg);
	return dev;
}

static void test_link(void)
{
	CU_ASSERT_EQUAL(link_of("qosd-12", "ifb", NULL).serves, 12);
	CU_ASSERT_EQUAL(link_of("qosd-2147483647", "ifb", NULL).serves, 2147483647);
	CU_ASSERT_EQUAL(link_of("qosd-012", "ifb", NULL).serves, 0);
	CU_ASSERT_EQUAL(link_of("qosd-12x", "ifb", NULL).serves, 0);
	CU_ASSERT_EQUAL(link_of("qosd-ifb", "ifb", NULL).serves, 0);
	CU_ASSERT_EQUAL(link_of("qosd-12", "veth", NULL).serves, 0);
	CU_ASSERT(link_of("macvtap0", "macvtap", NULL).turned);
	CU_ASSERT(link_of("vnet0", "tun", "openvswitch").on_ovs);
	CU_ASSERT_FALSE(link_of("vnet0", "tun", "bridge").on_ovs);
	CU_ASSERT(link_of("vnet0", "tun", NULL).up);
}

/* Devices and the ifbs that serve them, some of them in the same buckets. */
static void test_table(void)
{
	struct net_table t = { 0 };
	uint32_t nics = 3000, ifbs = 10000;

	for (uint32_t i = 1; i <= nics; i++) {
		CU_ASSERT_PTR_NOT_NULL(net_table_get(&t, i));
		net_table_serve(&t, net_table_get(&t, ifbs + i), i);
	}
	for (uint32_t i = 1; i <= nics; i++)
		CU_ASSERT_EQUAL(net_table_serving(&t, i)->ifindex, ifbs + i);
	net_table_drop(&t, 1025); /* a NIC goes, its ifb stays */
	CU_ASSERT_PTR_NULL(net_table_find(&t, 1025));
	CU_ASSERT_EQUAL(net_table_serving(&t, 1025)->ifindex, ifbs + 1025);
	net_table_drop(&t, ifbs + 1025);
	CU_ASSERT_PTR_NULL(net_table_serving(&t, 1025));
	CU_ASSERT_EQUAL(net_table_serving(&t, 1)->ifindex, ifbs + 1);
	net_table_serve(&t, net_table_find(&t, ifbs + 1), 4000); /* it is renamed */
	CU_ASSERT_PTR_NULL(net_table_serving(&t, 1));
	CU_ASSERT_EQUAL(net_table_serving(&t, 4000)->ifindex, ifbs + 1);
	net_table_serve(&t, net_table_find(&t, ifbs + 1), 0);
	CU_ASSERT_PTR_NULL(net_table_serving(&t, 4000));
	CU_ASSERT_PTR_NULL(net_table_serving(&t, 0));
	net_table_done(&t);
}

static void test_rubbish(void)
{
	struct net_dev dev = { .ifindex = 7 };
	struct nl_msg *msg =
		tc_new(RTM_NEWTFILTER, NET_HOOK_INGRESS, NET_FILTER_HANDLE, "matchall");

	nla_put_u32(msg, TCA_OPTIONS, 0x00ff0003);
	filter(&dev, msg, NET_FILTER_PREF);
	CU_ASSERT_FALSE(dev.redirect_there);
	msg = tc_new(RTM_NEWQDISC, TC_H_ROOT, NET_ROOT_HANDLE, "a-name-that-is-far-too-long");
	net_parse_qdisc(&dev, nlmsg_hdr(msg));
	nlmsg_free(msg);
	CU_ASSERT_EQUAL(strlen(dev.root_kind), NET_KIND_MAX - 1);
}

int main(void)
{
	static const struct test tests[] = {
		{ "the entry for a rate", test_profile },
		{ "root qdisc", test_root },
		{ "root qdisc without parameters", test_plain_root },
		{ "fq below mq", test_children },
		{ "clsact and ingress", test_slot },
		{ "filters", test_filters },
		{ "filters that count", test_counters },
		{ "a redirect by u32", test_u32 },
		{ "HTB", test_htb },
		{ "links", test_link },
		{ "the table of devices", test_table },
		{ "rubbish", test_rubbish },
	};

	return harness_run("net", tests, ARRAY_SIZE(tests));
}
