/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * net_vf - rates of virtual functions, as net_vf.h tells.
 */
#include "qosd/host/net_vf.h"

#include <errno.h>
#include <linux/rtnetlink.h>
#include <netlink/attr.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "qosd/core/mem.h"
#include "qosd/host/net_ask.h"
#include "qosd/host/net_clock.h"
#include "qosd/host/net_shape.h"

#define CARD_FRESH_NS    50000000ULL
#define CARD_FRESH_TIMES 10
#define REFUSED_NS       60000000000ULL
#define MISSING_NS       10000000000ULL
#define MBIT_BPS         1000000ULL

void net_vfs_done(struct net_vfs *v)
{
	for (size_t i = 0; i < v->count; i++) {
		free(v->cards[i].rates);
		free(v->cards[i].past);
	}
	free(v->cards);
	*v = (struct net_vfs){ 0 };
}

uint32_t net_vf_mbit(uint64_t rate_bps)
{
	uint64_t mbit = rate_bps / MBIT_BPS;

	if (mbit == 0)
		return 1;
	return mbit > UINT32_MAX ? UINT32_MAX : (uint32_t)mbit;
}

/* ---- what the card's driver tells ---- */

static int add_rate(struct net_card *card, const struct nlattr *info)
{
	const struct nlattr *rate = nla_find(nla_data(info), nla_len(info), IFLA_VF_RATE);

	if (!rate || nla_len(rate) < (int)sizeof(struct ifla_vf_rate))
		return 0;
	if (mem_grow(&card->rates, &card->capacity, card->count + 1, sizeof(*card->rates)) < 0)
		return -ENOMEM;
	memcpy(&card->rates[card->count++], nla_data(rate), sizeof(*card->rates));
	return 0;
}

int net_vf_parse(struct net_card *card, struct nlmsghdr *h)
{
	struct nlattr *list = nlmsg_find_attr(h, sizeof(struct ifinfomsg), IFLA_VFINFO_LIST);
	struct nlattr *info;
	int left, r = 0;

	card->count = 0;
	card->tells = list != NULL;
	if (!list)
		return 0;
	nla_for_each_nested(info, list, left) if (r == 0 && nla_type(info) == IFLA_VF_INFO) r =
		add_rate(card, info);
	return r;
}

struct asking {
	struct net_card *card;
	int r;
};

static void on_card(void *user, struct nlmsghdr *h)
{
	struct asking *a = user;

	if (h->nlmsg_type == RTM_NEWLINK)
		a->r = net_vf_parse(a->card, h);
}

static struct net_card *card_of(struct net_vfs *v, uint32_t ifindex)
{
	for (size_t i = 0; i < v->count; i++)
		if (v->cards[i].ifindex == ifindex)
			return &v->cards[i];
	if (mem_grow(&v->cards, &v->capacity, v->count + 1, sizeof(*v->cards)) < 0)
		return NULL;
	v->cards[v->count] = (struct net_card){ .ifindex = ifindex };
	return &v->cards[v->count++];
}

static int ask_driver(struct net *n, struct net_card *card, const char *name, struct qerr *err)
{
	struct asking a = { .card = card };
	int r;

	card->count = 0;
	r = net_ask_card(n->nl, card->ifindex, on_card, &a);
	if (r == 0)
		r = a.r;
	if (r == -ENODEV)
		return qerr_set(err, -ENOENT, "%s has gone", name);
	return r < 0 ? qerr_set(err, r, "cannot ask %s for its virtual functions: %s", name,
				net_nl_why(n->nl))
		     : 0;
}

static int ask(struct net *n, struct net_card *card, const char *name, struct qerr *err)
{
	uint64_t begun_ns = clock_now_ns();

	if (!card->asked_ns || begun_ns - card->asked_ns >= card->fresh_ns) {
		card->trouble.code = 0;
		(void)ask_driver(n, card, name, &card->trouble);
		card->asked_ns = clock_now_ns();
		card->fresh_ns = (card->asked_ns - begun_ns) * CARD_FRESH_TIMES;
		if (card->fresh_ns < CARD_FRESH_NS)
			card->fresh_ns = CARD_FRESH_NS;
	}
	if (card->trouble.code && err)
		*err = card->trouble;
	return card->trouble.code;
}

static struct ifla_vf_rate *rate_of(const struct net_card *card, uint32_t vf)
{
	for (size_t i = 0; i < card->count; i++)
		if (card->rates[i].vf == vf)
			return &card->rates[i];
	return NULL;
}

/* NULL: out of memory. */
static struct net_vf_past *past_of(struct net_card *card, uint32_t vf)
{
	for (size_t i = 0; i < card->npast; i++)
		if (card->past[i].vf == vf)
			return &card->past[i];
	if (mem_grow(&card->past, &card->past_capacity, card->npast + 1, sizeof(*card->past)) < 0)
		return NULL;
	card->past[card->npast] = (struct net_vf_past){ .vf = vf };
	return &card->past[card->npast++];
}

static int refused(const char *name, struct qerr *err)
{
	return qerr_set(
		err, -EOPNOTSUPP,
		"the driver of its card (%s) takes no rates for virtual functions; limit it "
		"in the switch",
		name);
}

static int missing(struct net_vf_past *past, const struct net_dev *dev, struct qerr *err)
{
	uint64_t now_ns = clock_now_ns();

	if (!past->missing_ns)
		past->missing_ns = now_ns;
	if (now_ns - past->missing_ns < MISSING_NS)
		return qerr_set(err, -EAGAIN,
				"the driver of %s tells nothing of virtual function %u now",
				dev->name, dev->vf);
	return qerr_set(err, -EIO,
			"the driver of %s has told nothing of virtual function %u for %llu s or "
			"more, so its rate is not known; is it in `ip link show %s`?",
			dev->name, dev->vf, MISSING_NS / 1000000000, dev->name);
}

/* Rates and refusals of one function into dev. */
static int look(struct net *n, struct net_dev *dev, struct qerr *err)
{
	struct net_card *card = card_of(&n->vfs, dev->ifindex);
	struct net_vf_past *past = card ? past_of(card, dev->vf) : NULL;
	const struct ifla_vf_rate *rate;
	int r = past ? ask(n, card, dev->name, err) : qerr_set(err, -ENOMEM, "out of memory");

	if (r < 0)
		return r;
	if (!card->tells || (past->refused_ns && clock_now_ns() - past->refused_ns < REFUSED_NS))
		return refused(dev->name, err);
	rate = rate_of(card, dev->vf);
	if (!rate)
		return missing(past, dev, err);
	past->missing_ns = 0;
	dev->vf_min_mbit = rate->min_tx_rate;
	dev->vf_max_mbit = rate->max_tx_rate;
	return 0;
}

int net_vf_find(struct net *n, const struct guest_nic *nic, struct net_dev **ret, struct qerr *err)
{
	struct net_dev *dev = &n->vfs.dev;

	*dev = (struct net_dev){ .ifindex = nic->card_ifindex,
				 .is_vf = true,
				 .vf = nic->vf_number };
	memcpy(dev->name, nic->card, sizeof(dev->name));
	*ret = dev;
	return look(n, dev, err);
}

/* ---- the plane ---- */

bool net_vf_holds(struct net *n, struct net_dev *dev, enum edt_direction direction)
{
	return net_vf_rate(n, dev, direction) != 0;
}

uint64_t net_vf_rate(struct net *n, struct net_dev *dev, enum edt_direction direction)
{
	(void)n;
	return direction == EDT_OUT ? dev->vf_max_mbit * MBIT_BPS : 0;
}

/* What is written next to it must be of now, whoever set it. */
static int write_rate(struct net *n, struct net_dev *dev, uint32_t mbit, struct qerr *err)
{
	struct net_card *card = card_of(&n->vfs, dev->ifindex);
	int r;

	if (card)
		card->asked_ns = 0;
	r = look(n, dev, err);
	if (r < 0)
		return r;
	if (mbit && mbit < dev->vf_min_mbit)
		return qerr_set(err, -EINVAL,
				"virtual function %u of %s is guaranteed %u Mbit/s (min_tx_rate), "
				"more than its limit of %u Mbit/s; run: ip link set %s vf %u "
				"min_tx_rate 0",
				dev->vf, dev->name, dev->vf_min_mbit, mbit, dev->name, dev->vf);
	r = net_link_set_vf_rate(n->nl, dev->ifindex, dev->vf, dev->vf_min_mbit, mbit, err);
	past_of(card, dev->vf)->refused_ns = r == -EOPNOTSUPP ? clock_now_ns() : 0;
	if (r == 0)
		rate_of(card, dev->vf)->max_tx_rate = mbit;
	else
		card->asked_ns = 0;
	return r == -EOPNOTSUPP ? refused(dev->name, err) : r;
}

int net_vf_set(struct net *n, struct net_dev *dev, enum edt_direction direction, uint64_t rate_bps,
	       struct qerr *err)
{
	if (direction == EDT_IN)
		return qerr_set(err, -EOPNOTSUPP, NET_VF_SENDS_ONLY);
	return write_rate(n, dev, net_vf_mbit(rate_bps), err);
}

int net_vf_clear(struct net *n, struct net_dev *dev, enum edt_direction direction, struct qerr *err)
{
	return direction == EDT_IN ? 0 : write_rate(n, dev, 0, err);
}
