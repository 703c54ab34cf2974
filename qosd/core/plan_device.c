/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * plan_device - limits of network cards and disks.
 *
 * What overload leaves a guest is divided evenly over its cards, and over its disks. A disk's
 * limits of a unit (operations, bytes) are planned all three or none: libvirt takes a total or
 * limits of reading and writing, not both, so a cap is put as a total where that is no wider than
 * the class's own limits, and else shared out to reading and writing.
 */
#include <errno.h>

#include "qosd/core/diff.h"
#include "qosd/core/mem.h"
#include "qosd/core/plan_private.h"

#define NET_LEAST_BPS UINT64_C(8000) /* slower is no network at all */

/* ---- network ---- */

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

		r = refresh_nic(&b, &t, i, true, changed);
		if (r == 0)
			r = refresh_nic(&b, &t, i, false, changed);
	}
	return r;
}

/* ---- disks ---- */

struct disk_unit { /* limits of one unit, operations or bytes a second; KNOB_MAX: none */
	uint64_t read, write, total;
};

static bool unlimited(const struct disk_unit *u)
{
	return u->read == KNOB_MAX && u->write == KNOB_MAX && u->total == KNOB_MAX;
}

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* a * b / c for a <= c. */
static uint64_t part(uint64_t a, uint64_t b, uint64_t c)
{
	return (uint64_t)((unsigned __int128)a * b / c);
}

/* Reading's part of a cap that is below both limits together, so that neither is passed. */
static uint64_t read_part(const struct disk_unit *u, uint64_t cap)
{
	if (u->write == KNOB_MAX)
		return least(u->read, cap / 2);
	if (u->read == KNOB_MAX)
		return cap - least(u->write, cap / 2);
	return part(u->read, cap, u->read + u->write);
}

static uint64_t at_least_one(uint64_t n)
{
	return n ? n : 1; /* 0 would be no limit */
}

/* Lower the limits to `cap` for both directions together. True: that changed something. */
static bool cap_unit(struct disk_unit *u, uint64_t cap)
{
	uint64_t both = u->read == KNOB_MAX || u->write == KNOB_MAX ? KNOB_MAX : u->read + u->write;
	uint64_t read;

	if (cap >= least(both, u->total))
		return false;
	cap = at_least_one(cap);
	if (cap <= least(u->read, u->write)) {
		*u = (struct disk_unit){ KNOB_MAX, KNOB_MAX, cap };
		return true;
	}
	read = at_least_one(least(read_part(u, cap), cap - 1)); /* cap > 1: it is above a limit */
	*u = (struct disk_unit){ read, cap - read, KNOB_MAX };
	return true;
}

static int add_unit(struct build *b, const struct target *t, uint32_t i, struct disk_unit u,
		    uint64_t cap, enum knob_id first)
{
	bool capped = cap_unit(&u, cap);
	const uint64_t values[] = { u.read, u.write, u.total };
	int r = 0;

	if (unlimited(&u))
		return 0;
	for (unsigned int k = 0; r == 0 && k < ARRAY_SIZE(values); k++) {
		struct reason why = plan_reason(b->in, i, WHY_NO_DISK_LIMIT);

		if (values[k] != KNOB_MAX)
			why.kind = capped ? WHY_DISK_THROTTLED : WHY_DISK_LIMIT;
		why.a = values[k];
		why.b = first + k;
		why.d = capped ? plan_caps(b, i)->level[RESOURCE_DISK] : 0;
		r = plan_add(b->plan, t, first + k, knob_u64(values[k]), why);
	}
	return r;
}

/* One disk's part of what the guest may take. */
static uint64_t per_disk(uint64_t cap, uint32_t ndisks)
{
	return cap == THROTTLE_NONE ? KNOB_MAX : cap / ndisks;
}

static int add_disk(struct build *b, uint32_t i, uint32_t index)
{
	struct target t = plan_target(b, i, TARGET_DISK, index);
	const struct class_disk *d = &plan_class(b, i)->disk;
	const struct guest_caps *caps = plan_caps(b, i);
	struct disk_unit iops = { d->read_iops, d->write_iops, d->total_iops };
	struct disk_unit bytes = { d->read_bps, d->write_bps, d->total_bps };
	uint64_t cap_iops = KNOB_MAX, cap_bytes_ps = KNOB_MAX;
	int r;

	if (!t.guest->disks[index].fixed)
		return 0;
	if (caps) {
		cap_iops = per_disk(caps->disk_iops, guest_fixed_disks(t.guest));
		cap_bytes_ps = per_disk(caps->disk_bytes_ps, guest_fixed_disks(t.guest));
	}
	r = add_unit(b, &t, i, iops, cap_iops, KNOB_DISK_READ_IOPS);
	if (r < 0)
		return r;
	return add_unit(b, &t, i, bytes, cap_bytes_ps, KNOB_DISK_READ_BPS);
}

int plan_add_disks(struct build *b, uint32_t i)
{
	size_t ndisks = b->in->inventory->guests[i]->ndisks;
	int r = 0;

	for (uint32_t k = 0; r == 0 && k < ndisks; k++)
		r = add_disk(b, i, k);
	return r;
}
