/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * bandwidth_parts - what the uplinks carry, and each NIC's part in them for the plan.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "qosd/core/human.h"
#include "qosd/core/mem.h"
#include "qosd/daemon/bandwidth_private.h"
#include "qosd/daemon/overload.h"

#define SPEED_AGE_US   UINT64_C(30000000) /* a renegotiated link is noticed within this */
#define SPEED_RETRY_US UINT64_C(1000000)  /* one that told no speed */

bool bandwidth_is_used(const struct engine *e)
{
	return e->bandwidth && e->bandwidth->source.count_nic;
}

/* ---- what lines carry ---- */

/* 0 or negative errno; -ENOENT: there is no such device. */
static int ask_speed(const struct bandwidth *b, const struct network *n, uint64_t *ret_bps)
{
	return b->source.link_speed(b->source.ctx, netshare_uplink(n), ret_bps);
}

/*
 * Asked rarely: it may wait for the driver. A link without carrier tells none: it keeps the one
 * that it had, for whoever shares it should not lose his limit because of a flap.
 */
static void look_at_speed(struct bandwidth *b, const struct policy *p, uint32_t network,
			  uint64_t now_us)
{
	uint64_t bps;
	int r = ask_speed(b, &p->networks[network], &bps);

	if (r == 0)
		b->speed_bps[network] = bps;
	else if (r == -ENOENT)
		b->speed_bps[network] = 0;
	b->speed_unsure[network] = r < 0 && b->speed_bps[network];
	b->speed_us[network] = now_us;
}

static uint64_t link_speed(struct engine *e, const struct policy *p, uint32_t network)
{
	struct bandwidth *b = e->bandwidth;
	uint64_t now_us = b->source.now_us(b->source.ctx), age_us, bps;

	if (p != e->policy)
		return ask_speed(b, &p->networks[network], &bps) < 0 ? 0 : bps;
	age_us = now_us - b->speed_us[network];
	if (!b->speed_us[network] || age_us >= SPEED_AGE_US ||
	    (b->speed_unsure[network] && age_us >= SPEED_RETRY_US))
		look_at_speed(b, p, network, now_us);
	return b->speed_bps[network];
}

/* What any network on the same uplink says of it, else what the link itself says; 0: not known. */
uint64_t bandwidth_capacity(struct engine *e, const struct policy *p, uint32_t network)
{
	uint32_t line = netshare_line_of(p, network);

	for (uint32_t i = line; i < p->nnetworks; i++)
		if (p->networks[i].rate_bps != POLICY_NONE_U64 && netshare_line_of(p, i) == line)
			return p->networks[i].rate_bps;
	return link_speed(e, p, line);
}

void bandwidth_take_policy(struct engine *e)
{
	struct bandwidth *b = e->bandwidth;

	if (b->policy == e->policy)
		return;
	if (b->policy)
		netshare_reset(b->shares);
	memset(&b->out, 0, sizeof(b->out));
	memset(b->speed_us, 0, sizeof(b->speed_us));
	memset(b->speed_bps, 0, sizeof(b->speed_bps));
	b->count = 0;
	b->policy = e->policy;
}

/* ---- parts ---- */

bool bandwidth_holds(const struct nic_parts *parts, const struct guest *g)
{
	for (size_t k = 0; parts && k < g->nnics; k++) {
		const struct nic_part *part = nic_parts_find(parts, g->nics[k].ifindex);

		for (size_t d = 0; part && d < NETSHARE_DIRECTIONS; d++)
			if (part->rate_bps[d] != NETSHARE_FREE)
				return true;
	}
	return false;
}

static int compare_rate(const void *key, const void *item)
{
	uint32_t ifindex = *(const uint32_t *)key;
	uint32_t other = ((const struct netshare_rate *)item)->ifindex;

	return (ifindex > other) - (ifindex < other);
}

const struct netshare_rate *bandwidth_rate(const struct bandwidth *b, uint32_t ifindex)
{
	const struct netshare_output *out = &b->out;

	if (!out->count)
		return NULL;
	return bsearch(&ifindex, out->rates, out->count, sizeof(*out->rates), compare_rate);
}

static int compare_part(const void *pa, const void *pb)
{
	const struct nic_part *a = pa, *b = pb;

	return (a->ifindex > b->ifindex) - (a->ifindex < b->ifindex);
}

static void add_part(struct engine *e, const struct policy *p, const struct guest_nic *nic,
		     bool steady, struct nic_parts *parts)
{
	uint32_t network = netshare_network_of(p, nic);
	uint64_t capacity = network == NETSHARE_NONE ? 0 : bandwidth_capacity(e, p, network);
	const struct netshare_rate *rate =
		steady ? NULL : bandwidth_rate(e->bandwidth, nic->ifindex);
	struct nic_part *part = &parts->items[parts->count];

	if (!nic->ifindex || !capacity)
		return;
	*part = (struct nic_part){ .ifindex = nic->ifindex,
				   .network = p->networks[network].name,
				   .capacity_bps = capacity,
				   .rate_bps = { NETSHARE_FREE, NETSHARE_FREE } };
	if (rate)
		memcpy(part->rate_bps, rate->rate_bps, sizeof(part->rate_bps));
	parts->count++;
}

size_t bandwidth_nics(const struct inventory *inv)
{
	size_t n = 0;

	for (size_t i = 0; i < inv->count; i++)
		n += inv->guests[i]->nnics;
	return n;
}

struct nic_parts *bandwidth_parts(struct engine *e, const struct policy *p, bool steady)
{
	struct nic_parts *parts;

	if (!bandwidth_is_used(e))
		return NULL;
	if (p == e->policy)
		bandwidth_take_policy(e);
	if (!p->nnetworks)
		return NULL;
	parts = calloc(1, sizeof(*parts));
	if (parts)
		parts->items = calloc(bandwidth_nics(e->inventory) + 1, sizeof(*parts->items));
	if (!parts || !parts->items) {
		free(parts);
		return NULL;
	}
	for (size_t i = 0; i < e->inventory->count; i++)
		for (size_t k = 0; k < e->inventory->guests[i]->nnics; k++)
			add_part(e, p, &e->inventory->guests[i]->nics[k],
				 steady || e->protection->unleased, parts);
	if (parts->count)
		qsort(parts->items, parts->count, sizeof(*parts->items), compare_part);
	return parts;
}

/* ---- findings ---- */

static void probe_line(struct engine *e, uint32_t line, struct diag_list *findings)
{
	const struct bandwidth *b = e->bandwidth;
	const struct network *n = &e->policy->networks[line];
	char reserved[HUMAN_TEXT_MAX], kept[HUMAN_TEXT_MAX];
	uint64_t asked = 0, guaranteed = 0;

	for (size_t i = 0; i < b->count && i < b->out.count; i++) {
		if (netshare_line_of(e->policy, b->nics[i].network) != line)
			continue;
		asked += b->nics[i].reservation_bps;
		guaranteed += b->out.rates[i].guaranteed_bps;
	}
	if (!bandwidth_capacity(e, e->policy, line))
		diag_add(findings, DIAG_WARNING, NULL, 0, "networks",
			 "write rate = \"10Gbit\", or what it carries, in one of its networks",
			 "the speed of uplink %s is not known, so network %s shares nothing",
			 netshare_uplink(n), n->name);
	else if (guaranteed < asked - asked / 100)
		diag_add(findings, DIAG_WARNING, NULL, 0, "networks",
			 "lower net.reservation of a class, or start fewer of its guests here",
			 "guests reserve %s of uplink %s, which has %s for them: each gets less",
			 human_rate(asked, reserved), netshare_uplink(n),
			 human_rate(guaranteed, kept));
}

/* In force it has been tried; else (observe) only what can be seen from outside. */
static void probe_apart(struct engine *e, struct diag_list *findings)
{
	const struct bandwidth *b = e->bandwidth;

	if (b->apart.code)
		diag_add(
			findings, DIAG_WARNING, NULL, 0, "networks", NULL,
			"some of the host's traffic is not told apart, so its reservation is never "
			"lent: %s",
			b->apart.text);
	for (uint32_t i = 0; !b->apart.code && i < e->policy->nnetworks; i++) {
		const struct network *n = &e->policy->networks[i];
		struct qerr why = { 0 };

		if (netshare_told_apart(n) && n->reservation_bps && b->source.check_apart &&
		    b->source.check_apart(b->source.ctx, n, &why) < 0)
			diag_add(findings, DIAG_WARNING, NULL, 0, "networks", NULL,
				 "the host's traffic of network %s cannot be told apart: %s",
				 n->name, why.text);
	}
}

void bandwidth_probe(struct engine *e, struct diag_list *findings)
{
	if (!bandwidth_is_used(e))
		return;
	probe_apart(e, findings);
	for (uint32_t i = 0; i < e->policy->nnetworks; i++)
		if (netshare_line_of(e->policy, i) == i)
			probe_line(e, i, findings);
}

/* ---- after a start ---- */

/* The rate of one direction that is in force, if it is less than all. */
static uint64_t rate_in_force(struct engine *e, const struct target *t, enum knob_id knob,
			      uint64_t steady_bps)
{
	struct knob_value actual;

	if (engine_read(e, t, knob, &actual, NULL) < 0 || !actual.u64 || actual.u64 >= steady_bps)
		return NETSHARE_FREE;
	return actual.u64;
}

static int compare_rates(const void *pa, const void *pb)
{
	return compare_rate(&((const struct netshare_rate *)pa)->ifindex, pb);
}

void bandwidth_adopt(struct engine *e)
{
	struct nic_parts *parts = bandwidth_parts(e, e->policy, true);
	struct netshare_rate *rates CLEANUP_FREE = NULL;
	size_t count = 0;

	if (parts)
		rates = calloc(parts->count + 1, sizeof(*rates));
	for (size_t i = 0; rates && i < e->inventory->count; i++) {
		const struct guest *g = e->inventory->guests[i];

		for (uint32_t k = 0; k < g->nnics; k++) {
			const struct nic_part *part = nic_parts_find(parts, g->nics[k].ifindex);
			struct target t = {
				.kind = TARGET_NIC, .index = k, .guest_id = g->id, .guest = g
			};

			if (!part || count == parts->count)
				continue;
			rates[count] = (struct netshare_rate){ .ifindex = part->ifindex };
			rates[count].rate_bps[NETSHARE_IN] =
				rate_in_force(e, &t, KNOB_NET_IN, part->capacity_bps);
			rates[count].rate_bps[NETSHARE_OUT] =
				rate_in_force(e, &t, KNOB_NET_OUT, part->capacity_bps);
			count++;
		}
	}
	nic_parts_free(parts);
	if (!count)
		return;
	qsort(rates, count, sizeof(*rates), compare_rates);
	if (netshare_adopt(e->bandwidth->shares, rates, count) < 0)
		return;
	e->bandwidth->out.rates = rates;
	e->bandwidth->out.count = count;
	e->bandwidth->adopted = TAKE_PTR(rates);
}
