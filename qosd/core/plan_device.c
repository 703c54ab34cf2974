/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * plan_device - limits of network cards. What overload leaves a guest is divided evenly over them.
 */
#include <errno.h>

#include "qosd/core/plan_private.h"

#define NET_LEAST_BPS UINT64_C(8000) /* slower is no network at all */

static size_t shaped_nics(const struct guest *g)
{
	size_t n = 0;

	for (size_t k = 0; k < g->nnics; k++)
		n += g->nics[k].ifindex != 0;
	return n;
}

/* One card's part of what overload leaves the guest; THROTTLE_NONE: no less than its limit. */
static uint64_t nic_cap(const struct build *b, const struct guest *g, uint32_t i, bool in,
			uint64_t limit_bps)
{
	const struct guest_caps *caps = plan_caps(b, i);
	uint64_t cap = !caps ? THROTTLE_NONE : in ? caps->net_in_bps : caps->net_out_bps;

	if (cap == THROTTLE_NONE)
		return THROTTLE_NONE;
	cap /= shaped_nics(g);
	if (cap < NET_LEAST_BPS)
		cap = NET_LEAST_BPS;
	return cap < limit_bps ? cap : THROTTLE_NONE;
}

static int add_nic_limit(struct build *b, const struct target *t, uint32_t i, bool in)
{
	struct reason why = plan_reason(b->in, i, WHY_NO_LIMIT);
	uint64_t limit = class_net_limit(plan_class(b, i), in);
	uint64_t cap = nic_cap(b, t->guest, i, in, limit);

	if (cap != THROTTLE_NONE) {
		why.kind = WHY_NET_THROTTLED;
		why.d = plan_caps(b, i)->level[RESOURCE_NET];
		limit = cap;
	} else if (limit != KNOB_MAX) {
		why.kind = WHY_NET_LIMIT;
	}
	if (limit != KNOB_MAX) {
		why.a = limit;
		why.b = in;
	}
	return plan_add(b->plan, t, in ? KNOB_NET_IN : KNOB_NET_OUT, knob_u64(limit), why);
}

static int add_nic(struct build *b, uint32_t i, uint32_t index)
{
	struct target t = plan_target(b, i, TARGET_NIC, index);

	if (!t.guest->nics[index].ifindex)
		return 0;
	if (add_nic_limit(b, &t, i, true) < 0)
		return -ENOMEM;
	return add_nic_limit(b, &t, i, false);
}

int plan_add_nics(struct build *b, uint32_t i)
{
	size_t nnics = b->in->inventory->guests[i]->nnics;
	int r = 0;

	for (uint32_t k = 0; r == 0 && k < nnics; k++)
		r = add_nic(b, i, k);
	return r;
}
