/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test_net_vf - rates of virtual functions: the messages, byte by byte; what becomes of a card
 * whose driver knows none (the loopback device, which every host has); and a card that is an array
 * here, in place of the kernel's answers (the linker's --wrap). No root is needed. The real driver
 * of a card is in the lab: t/lab/scenarios/sriov.sh.
 */
#include <errno.h>
#include <linux/rtnetlink.h>
#include <netlink/attr.h>
#include <netlink/msg.h>

#include "qosd/host/net.h"
#include "qosd/host/net_link.h"
#include "qosd/host/net_vf.h"
#include "t/unit/harness.h"

#define LOOPBACK 1

static void test_mbit(void)
{
	CU_ASSERT_EQUAL(net_vf_mbit(1), 1);
	CU_ASSERT_EQUAL(net_vf_mbit(999999), 1);
	CU_ASSERT_EQUAL(net_vf_mbit(1999999), 1);
	CU_ASSERT_EQUAL(net_vf_mbit(2000000), 2);
	CU_ASSERT_EQUAL(net_vf_mbit(100000000000), 100000);
	CU_ASSERT_EQUAL(net_vf_mbit(KNOB_MAX - 1), UINT32_MAX);
}

/* The kernel gets one attribute of one function, and no other setting of the link. */
static void test_request(void)
{
	struct nl_msg *msg = net_link_vf_message(31, 5, 20, 300);
	struct ifinfomsg *info;
	struct nlattr *list, *entry, *rate;
	struct ifla_vf_rate r;

	CU_ASSERT_PTR_NOT_NULL_FATAL(msg);
	info = nlmsg_data(nlmsg_hdr(msg));
	CU_ASSERT_EQUAL(info->ifi_index, 31);
	CU_ASSERT_EQUAL(info->ifi_flags, 0);
	CU_ASSERT_EQUAL(info->ifi_change, 0);
	list = nlmsg_attrdata(nlmsg_hdr(msg), sizeof(*info));
	CU_ASSERT_EQUAL_FATAL(nla_type(list), IFLA_VFINFO_LIST);
	CU_ASSERT_EQUAL(nlmsg_attrlen(nlmsg_hdr(msg), sizeof(*info)),
			nla_total_size(nla_len(list)));
	entry = nla_data(list);
	CU_ASSERT_EQUAL_FATAL(nla_type(entry), IFLA_VF_INFO);
	CU_ASSERT_EQUAL(nla_len(list), nla_total_size(nla_len(entry)));
	rate = nla_data(entry);
	CU_ASSERT_EQUAL_FATAL(nla_type(rate), IFLA_VF_RATE);
	CU_ASSERT_EQUAL_FATAL(nla_len(rate), sizeof(r));
	CU_ASSERT_EQUAL(nla_len(entry), nla_total_size(nla_len(rate)));
	memcpy(&r, nla_data(rate), sizeof(r));
	CU_ASSERT_EQUAL(r.vf, 5);
	CU_ASSERT_EQUAL(r.min_tx_rate, 20);
	CU_ASSERT_EQUAL(r.max_tx_rate, 300);
	nlmsg_free(msg);
}

static void put_vf(struct nl_msg *msg, const struct ifla_vf_rate *rate, size_t size)
{
	struct nlattr *entry = nla_nest_start(msg, IFLA_VF_INFO);
	struct ifla_vf_mac mac = { .vf = rate->vf };

	nla_put(msg, IFLA_VF_MAC, sizeof(mac), &mac);
	if (size)
		nla_put(msg, IFLA_VF_RATE, (int)size, rate);
	nla_nest_end(msg, entry);
}

static struct nl_msg *card_message(void)
{
	struct ifinfomsg info = { .ifi_index = 31 };
	struct nl_msg *msg = nlmsg_alloc_simple(RTM_NEWLINK, 0);

	nlmsg_append(msg, &info, sizeof(info), NLMSG_ALIGNTO);
	nla_put_string(msg, IFLA_IFNAME, "eth0");
	return msg;
}

static void test_answer(void)
{
	static const struct ifla_vf_rate sent[] = { { 0, 0, 300 }, { 1, 20, 0 }, { 2, 7, 7 } };
	struct nl_msg *msg = card_message();
	struct nlattr *list = nla_nest_start(msg, IFLA_VFINFO_LIST);
	struct net_card got = { 0 };

	put_vf(msg, &sent[0], sizeof(sent[0]));
	put_vf(msg, &sent[1], sizeof(sent[1]));
	put_vf(msg, &sent[2], 4); /* cut short: not believed */
	put_vf(msg, &sent[2], 0); /* an old kernel, without a rate */
	nla_nest_end(msg, list);
	for (int i = 0; i < 2; i++) { /* the second one takes the place of the first */
		CU_ASSERT_EQUAL(net_vf_parse(&got, nlmsg_hdr(msg)), 0);
		CU_ASSERT(got.tells);
		CU_ASSERT_EQUAL_FATAL(got.count, 2);
		CU_ASSERT_EQUAL(memcmp(got.rates, sent, 2 * sizeof(sent[0])), 0);
	}
	nlmsg_free(msg);
	msg = card_message(); /* a driver that tells of none */
	CU_ASSERT_EQUAL(net_vf_parse(&got, nlmsg_hdr(msg)), 0);
	CU_ASSERT(!got.tells && got.count == 0);
	nlmsg_free(msg);
	free(got.rates);
}

/* ---- the adapter ---- */

struct fixture {
	struct adapter *a;
	struct guest_nic nic;
	struct guest guest;
	struct target t;
};

static bool fixture_make(struct fixture *f, uint32_t card_ifindex, bool readonly)
{
	struct net_config config = { .readonly = readonly };
	struct qerr err = { 0 };

	*f = (struct fixture){ .nic = { .type = "hostdev",
					.pci = "0000:3b:10.2",
					.vf = true,
					.vf_number = 1,
					.card = "lo",
					.card_ifindex = card_ifindex } };
	f->guest = (struct guest){ .id = 1, .nics = &f->nic, .nnics = 1 };
	f->t = (struct target){ .kind = TARGET_NIC, .guest_id = 1, .guest = &f->guest };
	if (net_new(&config, &f->a, &err) == 0)
		return true;
	printf("skipped: %s ", err.text);
	return false;
}

static int set(struct fixture *f, enum knob_id knob, struct qerr *err)
{
	struct change c = { .target = f->t, .knob = knob, .to = knob_u64(300000000) };

	*err = (struct qerr){ 0 };
	return f->a->ops->apply(f->a, &c, 1, err);
}

/* A driver without such rates: told as what cannot be limited, and no entry of it hangs a release.
 */
static void test_refused(void)
{
	struct knob_value v = { 0 };
	struct qerr err = { 0 };
	struct net_about about;
	struct fixture f;

	if (!fixture_make(&f, LOOPBACK, false))
		return;
	CU_ASSERT_EQUAL(f.a->ops->read(f.a, &f.t, KNOB_NET_OUT, &v, &err), -EOPNOTSUPP);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "(lo) takes no rates"));
	CU_ASSERT_EQUAL(set(&f, KNOB_NET_OUT, &err), -EOPNOTSUPP);
	net_look(f.a, &f.nic, &about);
	CU_ASSERT_PTR_NOT_NULL(strstr(about.obstacle, "(lo) takes no rates"));
	CU_ASSERT_PTR_NULL(about.way[0]);
	CU_ASSERT_PTR_NULL(about.way[1]);
	net_free(f.a);
}

static void test_gone(void)
{
	struct knob_value v = { 0 };
	struct net_about about;
	struct qerr err = { 0 };
	struct fixture f;

	if (!fixture_make(&f, 0x7ffffff0, false))
		return;
	CU_ASSERT_EQUAL(f.a->ops->read(f.a, &f.t, KNOB_NET_OUT, &v, &err), -ENOENT);
	CU_ASSERT_EQUAL(set(&f, KNOB_NET_OUT, &err), -ENOENT);
	net_look(f.a, &f.nic, &about);
	ASSERT_STR(about.obstacle, ""); /* the inventory will tell */
	f.a->ops->forget(f.a, &f.guest);
	f.nic.card_ifindex = 0; /* a card without a device: nothing can hold any value */
	CU_ASSERT_EQUAL(f.a->ops->read(f.a, &f.t, KNOB_NET_OUT, &v, &err), -EOPNOTSUPP);
	CU_ASSERT_EQUAL(set(&f, KNOB_NET_OUT, &err), -ENOTSUP);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "no network device on the host"));
	net_free(f.a);
}

static void test_observe(void)
{
	struct qerr err = { 0 };
	struct fixture f;

	if (!fixture_make(&f, LOOPBACK, true))
		return;
	CU_ASSERT_EQUAL(set(&f, KNOB_NET_OUT, &err), -EROFS);
	net_free(f.a);
}

/* ---- a card of our own, with the kernel's rules ---- */

/* It has the index of the loopback device, since errors tell the name of a device that is there. */
static struct {
	bool on;
	struct ifla_vf_rate rates[3];
	unsigned int asked, set;
	int error;         /* of its driver, when a rate is set */
	int silent;        /* ... and when it is asked */
	bool absent;       /* function 1 is not in the answer */
	uint64_t takes_ns; /* each answer */
	uint64_t passed_ns;
} card;

int __real_clock_gettime(clockid_t id, struct timespec *ret);
int __wrap_clock_gettime(clockid_t id, struct timespec *ret);

/* Time stands still but for what passes here. */
int __wrap_clock_gettime(clockid_t id, struct timespec *ret)
{
	uint64_t now_ns = 1000000000 + card.passed_ns;

	if (!card.on)
		return __real_clock_gettime(id, ret);
	*ret = (struct timespec){ .tv_sec = (time_t)(now_ns / 1000000000),
				  .tv_nsec = (long)(now_ns % 1000000000) };
	return 0;
}

int __real_net_nl_ask(struct net_nl *nl, struct nl_msg *msg,
		      void (*seen)(void *user, struct nlmsghdr *h), void *user);
int __wrap_net_nl_ask(struct net_nl *nl, struct nl_msg *msg,
		      void (*seen)(void *user, struct nlmsghdr *h), void *user);
int __real_net_nl_talk(struct net_nl *nl, struct nl_msg *msg);
int __wrap_net_nl_talk(struct net_nl *nl, struct nl_msg *msg);

static bool is_about_card(struct nl_msg *msg, int type)
{
	struct ifinfomsg *info = msg ? nlmsg_data(nlmsg_hdr(msg)) : NULL;

	return card.on && msg && nlmsg_hdr(msg)->nlmsg_type == type && info->ifi_index == LOOPBACK;
}

int __wrap_net_nl_ask(struct net_nl *nl, struct nl_msg *msg,
		      void (*seen)(void *user, struct nlmsghdr *h), void *user)
{
	struct nlattr *mask, *list;
	struct nl_msg *answer;

	if (!is_about_card(msg, RTM_GETLINK))
		return __real_net_nl_ask(nl, msg, seen, user);
	mask = nlmsg_find_attr(nlmsg_hdr(msg), sizeof(struct ifinfomsg), IFLA_EXT_MASK);
	CU_ASSERT_PTR_NOT_NULL_FATAL(mask);
	CU_ASSERT(nla_get_u32(mask) & RTEXT_FILTER_VF);
	nlmsg_free(msg);
	card.asked++;
	card.passed_ns += card.takes_ns;
	if (card.silent)
		return card.silent;
	answer = card_message();
	list = nla_nest_start(answer, IFLA_VFINFO_LIST);
	for (uint32_t i = 0; i < ARRAY_SIZE(card.rates); i++)
		if (i != 1 || !card.absent)
			put_vf(answer, &card.rates[i], sizeof(card.rates[i]));
	nla_nest_end(answer, list);
	seen(user, nlmsg_hdr(answer));
	nlmsg_free(answer);
	return 0;
}

int __wrap_net_nl_talk(struct net_nl *nl, struct nl_msg *msg)
{
	struct net_card request = { 0 };
	const struct ifla_vf_rate *r;

	if (!is_about_card(msg, RTM_NEWLINK))
		return __real_net_nl_talk(nl, msg);
	CU_ASSERT_EQUAL(net_vf_parse(&request, nlmsg_hdr(msg)), 0);
	nlmsg_free(msg);
	CU_ASSERT_EQUAL_FATAL(request.count, 1);
	r = &request.rates[0];
	CU_ASSERT_FATAL(r->vf < ARRAY_SIZE(card.rates));
	CU_ASSERT(!r->max_tx_rate || r->max_tx_rate >= r->min_tx_rate);
	card.set++;
	if (card.error == 0)
		card.rates[r->vf] = *r;
	free(request.rates);
	return card.error;
}

static bool fixture_on_card(struct fixture *f, bool readonly)
{
	static const struct ifla_vf_rate found[] = { { 0, 0, 55 }, { 1, 20, 300 }, { 2, 0, 0 } };

	memset(&card, 0, sizeof(card));
	memcpy(card.rates, found, sizeof(found));
	card.on = fixture_make(f, LOOPBACK, readonly);
	return card.on;
}

static int set_rate(struct fixture *f, uint64_t rate_bps, struct qerr *err)
{
	struct change c = { .target = f->t, .knob = KNOB_NET_OUT, .to = knob_u64(rate_bps) };

	*err = (struct qerr){ 0 };
	return f->a->ops->apply(f->a, &c, 1, err);
}

static uint64_t rate_read(struct fixture *f, enum knob_id knob)
{
	struct knob_value v = { 0 };

	CU_ASSERT_EQUAL(f->a->ops->read(f->a, &f->t, knob, &v, NULL), 0);
	return v.u64;
}

static void check_card(uint32_t vf, uint32_t min_mbit, uint32_t max_mbit)
{
	CU_ASSERT_EQUAL(card.rates[vf].min_tx_rate, min_mbit);
	CU_ASSERT_EQUAL(card.rates[vf].max_tx_rate, max_mbit);
}

static void test_card(void)
{
	struct qerr err = { 0 };
	struct net_about about;
	struct fixture f;

	if (!fixture_on_card(&f, false))
		return;
	CU_ASSERT_EQUAL(rate_read(&f, KNOB_NET_OUT), 300000000);
	CU_ASSERT_EQUAL(rate_read(&f, KNOB_NET_IN), KNOB_MAX);
	CU_ASSERT_EQUAL(card.asked, 1); /* one answer for all, for a while */
	card.rates[1].min_tx_rate = 30; /* since the last look */
	CU_ASSERT_EQUAL(set_rate(&f, 100000000, &err), 0);
	check_card(1, 30, 100);
	CU_ASSERT_EQUAL(card.asked, 2); /* what is written next to it is of now */
	CU_ASSERT_EQUAL(rate_read(&f, KNOB_NET_OUT), 100000000); /* not the answer of before */
	CU_ASSERT_EQUAL(card.asked, 2);
	net_look(f.a, &f.nic, &about);
	ASSERT_STR(about.obstacle, "");
	ASSERT_STR(about.way[1], "vf");
	CU_ASSERT_PTR_NULL(about.way[0]);
	ASSERT_STR(about.in_obstacle, NET_VF_SENDS_ONLY);
	CU_ASSERT_EQUAL(set_rate(&f, KNOB_MAX, &err), 0);
	check_card(1, 30, 0);
	CU_ASSERT_EQUAL(rate_read(&f, KNOB_NET_OUT), KNOB_MAX);
	CU_ASSERT_EQUAL(set(&f, KNOB_NET_IN, &err), -EOPNOTSUPP);
	f.a->ops->forget(f.a, &f.guest);
	CU_ASSERT_EQUAL(card.set, 2);
	check_card(0, 0, 55); /* of somebody else */
	check_card(2, 0, 0);
	net_free(f.a);
}

static void test_guaranteed(void)
{
	struct qerr err = { 0 };
	struct fixture f;

	if (!fixture_on_card(&f, false))
		return;
	CU_ASSERT_EQUAL(set_rate(&f, 19999999, &err), -EINVAL);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "guaranteed 20 Mbit/s (min_tx_rate)"));
	CU_ASSERT_EQUAL(card.set, 0);
	CU_ASSERT_EQUAL(set_rate(&f, 20000000, &err), 0);
	check_card(1, 20, 20);
	net_free(f.a);
}

/* It tells of its functions, and refuses their rates: known from the first write on. */
static void test_refused_write(void)
{
	struct knob_value v = { 0 };
	struct qerr err = { 0 };
	struct net_about about;
	struct fixture f;

	if (!fixture_on_card(&f, false))
		return;
	net_look(f.a, &f.nic, &about);
	ASSERT_STR(about.obstacle, "");
	card.error = -EINVAL; /* a rate that it does not like: nothing to remember */
	CU_ASSERT_EQUAL(set_rate(&f, 100000000, &err), -EINVAL);
	CU_ASSERT_EQUAL(rate_read(&f, KNOB_NET_OUT), 300000000);
	card.error = -EOPNOTSUPP;
	CU_ASSERT_EQUAL(set_rate(&f, 100000000, &err), -EOPNOTSUPP);
	CU_ASSERT_EQUAL(card.set, 2);
	net_look(f.a, &f.nic, &about);
	CU_ASSERT_PTR_NOT_NULL(strstr(about.obstacle, "takes no rates for virtual functions"));
	CU_ASSERT_EQUAL(f.a->ops->read(f.a, &f.t, KNOB_NET_OUT, &v, &err), -EOPNOTSUPP);
	CU_ASSERT_EQUAL(set_rate(&f, 100000000, &err), -EOPNOTSUPP);
	CU_ASSERT_EQUAL(card.set, 2);
	card.error = 0;
	f.nic.vf_number = 2; /* of another one nothing is known */
	CU_ASSERT_EQUAL(set_rate(&f, 100000000, &err), 0);
	check_card(2, 0, 100);
	f.nic.vf_number = 1;
	card.passed_ns += 61000000000; /* and it is asked anew */
	CU_ASSERT_EQUAL(set_rate(&f, 100000000, &err), 0);
	check_card(1, 20, 100);
	net_free(f.a);
}

/* An answer that takes long is no less worth for that; nor is one that does not come. */
static void test_slow(void)
{
	struct knob_value v = { 0 };
	struct qerr err = { 0 };
	struct fixture f;

	if (!fixture_on_card(&f, false))
		return;
	card.takes_ns = 200000000;
	rate_read(&f, KNOB_NET_OUT);
	card.passed_ns += 1999999999;
	rate_read(&f, KNOB_NET_OUT);
	CU_ASSERT_EQUAL(card.asked, 1);
	card.passed_ns += 1;
	card.takes_ns = 0;
	rate_read(&f, KNOB_NET_OUT);
	card.passed_ns += 49999999;
	rate_read(&f, KNOB_NET_OUT);
	CU_ASSERT_EQUAL(card.asked, 2);
	card.silent = -ETIMEDOUT;
	card.takes_ns = 1000000000;
	card.passed_ns += 1;
	for (int i = 0; i < 3; i++) {
		CU_ASSERT_EQUAL(f.a->ops->read(f.a, &f.t, KNOB_NET_OUT, &v, &err), -ETIMEDOUT);
		CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "cannot ask lo for its virtual"));
		err.text[0] = '\0';
		card.passed_ns += 3000000000;
	}
	CU_ASSERT_EQUAL(card.asked, 3);
	card.silent = 0;
	card.takes_ns = 0;
	card.passed_ns += 1000000000;
	CU_ASSERT_EQUAL(rate_read(&f, KNOB_NET_OUT), 300000000);
	net_free(f.a);
}

/* The driver leaves a function out while it is reset: it has not gone, but not for ever. */
static void test_missing(void)
{
	struct knob_value v = { 0 };
	struct qerr err = { 0 };
	struct net_about about;
	struct fixture f;

	if (!fixture_on_card(&f, false))
		return;
	card.absent = true;
	CU_ASSERT_EQUAL(f.a->ops->read(f.a, &f.t, KNOB_NET_OUT, &v, &err), -EAGAIN);
	ASSERT_STR(err.text, "the driver of lo tells nothing of virtual function 1 now");
	CU_ASSERT_EQUAL(set_rate(&f, 100000000, &err), -EAGAIN);
	net_look(f.a, &f.nic, &about);
	ASSERT_STR(about.obstacle, "");
	card.passed_ns += 9999999999;
	CU_ASSERT_EQUAL(set_rate(&f, 100000000, &err), -EAGAIN);
	card.passed_ns += 1;
	CU_ASSERT_EQUAL(f.a->ops->read(f.a, &f.t, KNOB_NET_OUT, &v, &err), -EIO);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "nothing of virtual function 1 for 10 s"));
	CU_ASSERT_EQUAL(card.set, 0);
	card.absent = false;
	card.passed_ns += 1000000000;
	CU_ASSERT_EQUAL(set_rate(&f, 100000000, &err), 0);
	card.absent = true;
	card.passed_ns += 1000000000;
	CU_ASSERT_EQUAL(set_rate(&f, 100000000, &err), -EAGAIN); /* counted from now */
	net_free(f.a);
}

static void test_no_function(void)
{
	struct knob_value v = { 0 };
	struct qerr err = { 0 };
	struct fixture f;

	if (!fixture_on_card(&f, true))
		return;
	CU_ASSERT_EQUAL(rate_read(&f, KNOB_NET_OUT), 300000000);
	CU_ASSERT_EQUAL(set_rate(&f, 100000000, &err), -EROFS);
	CU_ASSERT_EQUAL(card.set, 0);
	f.nic.vf_number = 3;
	CU_ASSERT_EQUAL(f.a->ops->read(f.a, &f.t, KNOB_NET_OUT, &v, &err), -EAGAIN);
	net_free(f.a);
}

/* The plane itself, on a function as the adapter would have found it. */
static void test_plane(void)
{
	struct net_dev dev = { .is_vf = true, .vf = 1, .vf_min_mbit = 5, .vf_max_mbit = 300 };
	struct qerr err = { 0 };

	CU_ASSERT_EQUAL(net_vf_rate(NULL, &dev, EDT_OUT), 300000000);
	CU_ASSERT(net_vf_holds(NULL, &dev, EDT_OUT));
	CU_ASSERT_EQUAL(net_vf_rate(NULL, &dev, EDT_IN), 0);
	CU_ASSERT(!net_vf_holds(NULL, &dev, EDT_IN));
	CU_ASSERT_EQUAL(net_vf_set(NULL, &dev, EDT_IN, 1000000, &err), -EOPNOTSUPP);
	ASSERT_STR(err.text, NET_VF_SENDS_ONLY);
	CU_ASSERT_EQUAL(net_vf_clear(NULL, &dev, EDT_IN, &err), 0);
	dev.vf_max_mbit = UINT32_MAX; /* does not overflow */
	CU_ASSERT_EQUAL(net_vf_rate(NULL, &dev, EDT_OUT), UINT64_C(4294967295000000));
	dev.vf_max_mbit = 0;
	CU_ASSERT(!net_vf_holds(NULL, &dev, EDT_OUT));
}

static const struct test tests[] = {
	{ "whole Mbit/s", test_mbit },
	{ "the request", test_request },
	{ "the answer", test_answer },
	{ "the plane", test_plane },
	{ "a driver that takes no rates", test_refused },
	{ "a card that has gone", test_gone },
	{ "observe writes nothing", test_observe },
	{ "a card: read, set, take off", test_card },
	{ "no limit below what is guaranteed", test_guaranteed },
	{ "a card that refuses when written to", test_refused_write },
	{ "a function that is not there, and observe", test_no_function },
	{ "a driver that answers slowly, or not", test_slow },
	{ "a function that its driver leaves out", test_missing },
};

int main(void)
{
	return harness_run("net_vf", tests, ARRAY_SIZE(tests));
}
