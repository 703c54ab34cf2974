/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * plan_device - limits of network cards. What overload leaves a guest is divided evenly over them.
 *
 * A virtual function that the guest drives itself has only the limit of what it sends, in the
 * card's whole Mbit/s. It is on no line of the host, so neither shares nor overload change it.
 */
#include <errno.h>

#include "qosd/core/diff.h"
#include "qosd/core/plan_private.h"

/* One card's part of what overload leaves the guest; THROTTLE_NONE: no less than its limit. */
static uint64_t nic_cap(const struct build *b, const struct guest *g, uint32_t i, bool in,
			uint64_t limit_bps)
{
	const struct guest_caps *caps = plan_caps(b, i);
	uint64_t cap = !caps ? THROTTLE_NONE : in ? caps->net_in_bps : caps->net_out_bps;

	if (cap == THROTTLE_NONE)
		return THROTTLE_NONE;
	cap /= guest_shaped_nics(g);
	if (cap < NETSHARE_LEAST_BPS)
		cap = NETSHARE_LEAST_BPS;
	return cap < limit_bps ? cap : THROTTLE_NONE;
}

/* The least of what its class, its network and overload let it have, and which of them it is. */
static uint64_t nic_limit(const struct build *b, const struct target *t, uint32_t i, bool in,
			  struct reason *why)
{
	const struct class_net *net = &plan_class(b, i)->net;
	const struct nic_part *part =
		nic_parts_find(b->in->parts, t->guest->nics[t->index].ifindex);
	uint64_t limit = class_net_limit(plan_class(b, i), in);
	uint64_t share = part ? part->rate_bps[in ? NETSHARE_IN : NETSHARE_OUT] : NETSHARE_FREE;
	uint64_t cap;

	*why = plan_reason(b->in, i, limit == KNOB_MAX ? WHY_NO_LIMIT : WHY_NET_LIMIT);
	if (part && part->capacity_bps < limit) {
		why->kind = WHY_NET_LINE;
		limit = part->capacity_bps;
	}
	if (share < limit) {
		why->kind = WHY_NET_SHARED;
		limit = share;
	}
	cap = nic_cap(b, t->guest, i, in, limit);
	if (cap != THROTTLE_NONE) {
		why->kind = WHY_NET_THROTTLED;
		why->d = plan_caps(b, i)->level[RESOURCE_NET];
		limit = cap;
	}
	why->a = limit == KNOB_MAX ? 0 : limit;
	why->b = limit != KNOB_MAX && in;
	if (why->kind == WHY_NET_LINE || why->kind == WHY_NET_SHARED) {
		why->network = part->network;
		why->b = part->capacity_bps;
		why->c = net->reservation_bps;
		why->d = net->weight;
	}
	return limit;
}

static int add_nic_limit(struct build *b, const struct target *t, uint32_t i, bool in)
{
	struct reason why;
	uint64_t limit = nic_limit(b, t, i, in, &why);

	return plan_add(b->plan, t, in ? KNOB_NET_IN : KNOB_NET_OUT, knob_u64(limit), why);
}

static int add_vf_limit(struct build *b, const struct target *t, uint32_t i)
{
	uint64_t limit = class_net_limit(plan_class(b, i), false), whole = knob_vf_rate(limit);
	struct reason why = plan_reason(b->in, i, WHY_NET_LIMIT);

	if (limit == KNOB_MAX)
		return 0;
	why.a = limit;
	why.c = whole == limit ? 0 : whole;
	return plan_add(b->plan, t, KNOB_NET_OUT, knob_u64(whole), why);
}

/* Of whatever limits it, for as long as there is something: its class or its network. */
static int add_nic_burst(struct build *b, const struct target *t, uint32_t i)
{
	const struct qclass *class = plan_class(b, i);
	uint64_t burst_us = class->net.burst_us;
	struct reason why = plan_reason(b->in, i, WHY_NET_BURST);

	if (!burst_us || (class_net_limit(class, true) == KNOB_MAX &&
			  class_net_limit(class, false) == KNOB_MAX &&
			  !nic_parts_find(b->in->parts, t->guest->nics[t->index].ifindex)))
		return 0;
	if (burst_us < KNOB_NET_BURST_US)
		burst_us = KNOB_NET_BURST_US;
	why.a = burst_us;
	return plan_add(b->plan, t, KNOB_NET_BURST, knob_u64(burst_us), why);
}

static int add_nic(struct build *b, uint32_t i, uint32_t index)
{
	struct target t = plan_target(b, i, TARGET_NIC, index);

	if (guest_nic_is_vf(&t.guest->nics[index]))
		return add_vf_limit(b, &t, i);
	if (!t.guest->nics[index].ifindex)
		return 0;
	if (add_nic_limit(b, &t, i, true) < 0 || add_nic_limit(b, &t, i, false) < 0)
		return -ENOMEM;
	return add_nic_burst(b, &t, i);
}

int plan_add_nics(struct build *b, uint32_t i)
{
	size_t nnics = b->in->inventory->guests[i]->nnics;
	int r = 0;

	for (uint32_t k = 0; r == 0 && k < nnics; k++)
		r = add_nic(b, i, k);
	return r;
}

static int refresh_nic(struct build *b, const struct target *t, uint32_t i, bool in,
		       struct diff *changed)
{
	enum knob_id knob = in ? KNOB_NET_IN : KNOB_NET_OUT;
	struct plan_entry *e = (struct plan_entry *)plan_find(b->plan, t, knob);
	struct knob_value before;
	int r;

	if (!e)
		return 0;
	before = e->want;
	e->want = knob_u64(nic_limit(b, t, i, in, &e->why));
	if (knob_value_equal(&before, &e->want))
		return 0;
	r = diff_entry(changed, e, &before);
	return r < 0 ? r : 0;
}

int plan_refresh_nics(struct plan *p, const struct plan_input *in, uint32_t i, struct diff *changed)
{
	struct build b = { .in = in, .plan = p };
	size_t nnics = in->inventory->guests[i]->nnics;
	int r = 0;

	for (uint32_t k = 0; r == 0 && k < nnics; k++) {
		struct target t = plan_target(&b, i, TARGET_NIC, k);

		if (!t.guest->nics[k].ifindex)
			continue;
		r = refresh_nic(&b, &t, i, true, changed);
		if (r == 0)
			r = refresh_nic(&b, &t, i, false, changed);
	}
	return r;
}
