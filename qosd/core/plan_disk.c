/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * plan_disk - limits of disks, by QEMU or by librbd.
 *
 * What overload leaves a guest is divided evenly over its disks; what a disk may have of the host's
 * storage (diskshare.h) is its own. The lower of the two is its cap. A disk's limits of a unit
 * (operations, bytes) are planned all three or none: libvirt takes a total or limits of reading and
 * writing, not both, so a cap is put as a total where that is no wider than the class's own limits,
 * and else shared out to reading and writing.
 *
 * An RBD disk whose librbd can be asked (plan_input.rbd_live) has two levers, and the lower one
 * wins. Caps go to librbd's: it needs no libvirt, which may hang just then. The class's own limits
 * stay with libvirt, unless the class says rbd.qos = "rbd".
 */
#include <errno.h>

#include "qosd/core/mem.h"
#include "qosd/core/plan_private.h"

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

enum unit_id { UNIT_IOPS = DISKSHARE_IOPS, UNIT_BPS = DISKSHARE_BPS, UNITS = DISKSHARE_UNITS };

struct disk_wish { /* for one disk, by one lever */
	struct disk_unit limits[UNITS];
	uint64_t burst[UNITS], burst_s; /* KNOB_MAX: none */
	uint64_t cap[UNITS];            /* KNOB_MAX: none */
	bool capped[UNITS];
	bool shared[UNITS]; /* the cap is its part of the host's storage */
};

#define NO_UNIT                                                                                    \
	{                                                                                          \
		KNOB_MAX, KNOB_MAX, KNOB_MAX                                                       \
	}
#define UNIT_KNOBS 3 /* read, write, total */

static const struct disk_wish no_wish = {
	.limits = { NO_UNIT, NO_UNIT },
	.burst = { KNOB_MAX, KNOB_MAX },
	.cap = { KNOB_MAX, KNOB_MAX },
};

static int add_value(struct build *b, const struct target *t, enum knob_id knob, uint64_t value,
		     struct reason why)
{
	why.a = value;
	why.b = knob;
	return plan_add(b->plan, t, knob, knob_u64(value), why);
}

/* Why a limit is what it is, but for its value. */
static struct reason limit_reason(const struct build *b, uint32_t i, const struct disk_wish *wish,
				  enum unit_id unit)
{
	struct reason why = plan_reason(b->in, i, WHY_DISK_LIMIT);

	if (wish->capped[unit] && wish->shared[unit]) {
		why.kind = WHY_DISK_SHARED;
		why.c = b->in->disk_parts->capacity[unit];
		why.d = plan_class(b, i)->disk.weight;
	} else if (wish->capped[unit]) {
		why.kind = WHY_DISK_THROTTLED;
		why.d = plan_caps(b, i)->level[RESOURCE_DISK];
	}
	return why;
}

static int add_unit(struct build *b, const struct target *t, uint32_t i,
		    const struct disk_wish *wish, enum unit_id unit, enum knob_id first)
{
	const struct disk_unit *u = &wish->limits[unit];
	const uint64_t values[] = { u->read, u->write, u->total };
	int r = 0;

	if (unlimited(u))
		return 0;
	for (unsigned int k = 0; r == 0 && k < ARRAY_SIZE(values); k++) {
		struct reason why = limit_reason(b, i, wish, unit);

		if (values[k] == KNOB_MAX)
			why.kind = WHY_NO_DISK_LIMIT;
		r = add_value(b, t, first + UNIT_KNOBS * unit + k, values[k], why);
	}
	return r;
}

/* Bursts of units that have a limit, and are not held below it. */
static int add_bursts(struct build *b, const struct target *t, uint32_t i,
		      const struct disk_wish *wish, enum knob_id first)
{
	struct reason why = plan_reason(b->in, i, WHY_DISK_BURST);
	bool any = false;
	int r = 0;

	for (unsigned int unit = 0; r == 0 && unit < UNITS; unit++) {
		if (wish->burst[unit] == KNOB_MAX || wish->capped[unit] ||
		    unlimited(&wish->limits[unit]))
			continue;
		any = true;
		r = add_value(b, t, first + UNITS * UNIT_KNOBS + unit, wish->burst[unit], why);
	}
	if (r == 0 && any)
		r = add_value(b, t, first + UNITS * UNIT_KNOBS + UNITS, wish->burst_s, why);
	return r;
}

static int add_wish(struct build *b, const struct target *t, uint32_t i, struct disk_wish *wish,
		    enum knob_id first)
{
	int r = 0;

	for (unsigned int unit = 0; r == 0 && unit < UNITS; unit++) {
		wish->capped[unit] = cap_unit(&wish->limits[unit], wish->cap[unit]);
		r = add_unit(b, t, i, wish, unit, first);
	}
	return r == 0 ? add_bursts(b, t, i, wish, first) : r;
}

/* One disk's part of what the guest may take. */
static uint64_t per_disk(uint64_t cap, uint32_t ndisks)
{
	return cap == THROTTLE_NONE ? KNOB_MAX : cap / ndisks;
}

static void wish_limits(struct disk_wish *wish, const struct class_disk *d)
{
	wish->limits[UNIT_IOPS] = (struct disk_unit){ d->read_iops, d->write_iops, d->total_iops };
	wish->limits[UNIT_BPS] = (struct disk_unit){ d->read_bps, d->write_bps, d->total_bps };
	wish->burst[UNIT_IOPS] = d->burst_iops;
	wish->burst[UNIT_BPS] = d->burst_bps;
	wish->burst_s = d->burst_us / 1000000;
}

static void wish_caps(struct disk_wish *wish, const struct guest_caps *caps, uint32_t ndisks)
{
	if (!caps)
		return;
	wish->cap[UNIT_IOPS] = per_disk(caps->disk_iops, ndisks);
	wish->cap[UNIT_BPS] = per_disk(caps->disk_bytes_ps, ndisks);
}

static void wish_part(struct disk_wish *wish, const struct disk_part *part)
{
	for (size_t unit = 0; part && unit < UNITS; unit++) {
		wish->shared[unit] = part->rate[unit] < wish->cap[unit];
		if (wish->shared[unit])
			wish->cap[unit] = part->rate[unit];
	}
}

static bool is_rbd_live(const struct build *b, uint32_t i, uint32_t index)
{
	return b->in->rbd_live && index < 64 && b->in->rbd_live[i] >> index & 1;
}

static int add_disk(struct build *b, uint32_t i, uint32_t index)
{
	struct target t = plan_target(b, i, TARGET_DISK, index);
	const struct qclass *c = plan_class(b, i);
	struct disk_wish by_libvirt = no_wish, by_rbd = no_wish, *capped;
	bool live = is_rbd_live(b, i, index);
	int r;

	if (!t.guest->disks[index].fixed)
		return 0;
	wish_limits(live && c->rbd.qos == RBD_QOS_RBD ? &by_rbd : &by_libvirt, &c->disk);
	capped = live ? &by_rbd : &by_libvirt;
	wish_caps(capped, plan_caps(b, i), guest_fixed_disks(t.guest));
	wish_part(capped, disk_parts_find(b->in->disk_parts, t.guest_id, index));
	r = add_wish(b, &t, i, &by_libvirt, KNOB_DISK_READ_IOPS);
	return r == 0 && live ? add_wish(b, &t, i, &by_rbd, KNOB_RBD_READ_IOPS) : r;
}

int plan_add_disks(struct build *b, uint32_t i)
{
	size_t ndisks = b->in->inventory->guests[i]->ndisks;
	int r = 0;

	for (uint32_t k = 0; r == 0 && k < ndisks; k++)
		r = add_disk(b, i, k);
	return r;
}
