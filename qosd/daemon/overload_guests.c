/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * overload_guests - from the picture to the governor's plain numbers, and from its caps back.
 *
 * A floor is never below what the guest owns: a reservation is kept in an overload above all.
 */
#include <errno.h>
#include <string.h>
#include <time.h>

#include "qosd/core/mem.h"
#include "qosd/core/netshare.h"
#include "qosd/daemon/overload.h"

static uint64_t larger(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

static uint64_t smaller(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static uint64_t times(uint64_t each, uint64_t count)
{
	uint64_t all;

	return each == THROTTLE_NONE || __builtin_mul_overflow(each, count, &all) ? THROTTLE_NONE
										  : all;
}

static uint64_t plus(uint64_t a, uint64_t b)
{
	uint64_t sum;

	return __builtin_add_overflow(a, b, &sum) ? THROTTLE_NONE : sum;
}

static bool has_rbd(const struct guest *g)
{
	for (size_t i = 0; i < g->ndisks; i++)
		if (g->disks[i].rbd)
			return true;
	return false;
}

static void size_cpu(const struct guest *g, const struct qclass *c, bool admitted, bool dedicated,
		     struct govern_guest *ret)
{
	uint64_t limit = c->cpu.limit_permille == POLICY_NONE_U32 ? 1000 : c->cpu.limit_permille;

	ret->vcpus = class_vcpus(g);
	ret->cpu_full_mcpu = limit * ret->vcpus;
	ret->cpu_reserved_mcpu = admitted ? class_cpu_reservation_mcpu(c, g) : 0;
	ret->cpu_floor_mcpu = smaller(ret->cpu_full_mcpu,
				      larger(class_cpu_floor_mcpu(c, g), ret->cpu_reserved_mcpu));
	ret->cpu_alone = dedicated;
	if (dedicated) /* it is in nobody's way */
		ret->cpu_floor_mcpu = ret->cpu_full_mcpu;
}

/*
 * What a NIC on a shared line has reserved is kept by the line itself (bandwidth.h), packet by
 * packet: what it misses of it is its own doing, and no reason to throttle others.
 */
static void size_net(const struct guest *g, const struct qclass *c, const struct nic_parts *lines,
		     struct govern_guest *ret)
{
	uint64_t nics = 0, alone = 0;

	for (size_t i = 0; i < g->nnics; i++) {
		if (!g->nics[i].ifindex)
			continue;
		nics++;
		alone += !nic_parts_find(lines, g->nics[i].ifindex);
	}
	ret->net_reserved_bps = times(c->net.reservation_bps, alone);
	ret->net_floor_bps =
		larger(times(c->net.floor_bps, nics), times(c->net.reservation_bps, nics));
	ret->net_in_full_bps = times(class_net_limit(c, true), nics);
	ret->net_out_full_bps = times(class_net_limit(c, false), nics);
}

/* What a disk may take: its limit, or its part of the host's storage. */
static void size_disk(const struct guest *g, const struct qclass *c, const struct disk_parts *parts,
		      struct govern_guest *ret)
{
	uint64_t iops = class_disk_limit_iops(c), bytes_ps = class_disk_limit_bytes_ps(c);
	uint32_t ndisks = guest_fixed_disks(g);

	ret->disk_floor_iops = times(class_disk_floor_iops(c), ndisks);
	ret->disk_floor_bytes_ps = times(class_disk_floor_bytes_ps(c), ndisks);
	ret->disk_full_iops = ret->disk_full_bytes_ps = ndisks ? 0 : THROTTLE_NONE;
	for (uint32_t k = 0; k < g->ndisks; k++) {
		const struct disk_part *part = disk_parts_find(parts, g->id, k);

		if (!g->disks[k].fixed)
			continue;
		ret->disk_full_iops = plus(ret->disk_full_iops,
					   part ? smaller(iops, part->rate[DISKSHARE_IOPS]) : iops);
		ret->disk_full_bytes_ps =
			plus(ret->disk_full_bytes_ps,
			     part ? smaller(bytes_ps, part->rate[DISKSHARE_BPS]) : bytes_ps);
	}
}

static void size_memory(const struct guest *g, const struct qclass *c, bool admitted,
			struct govern_guest *ret)
{
	uint64_t reserved = admitted ? class_memory_reservation(c, g) : 0;

	ret->memory_bytes = g->memory_bytes;
	ret->memory_floor_bytes = larger(class_memory_floor(c, g), reserved);
}

static void size_guest(struct engine *e, size_t i, struct govern_guest *ret)
{
	const struct picture *p = e->picture;
	const struct guest *g = p->inventory->guests[i];
	const struct qclass *c = &p->assign[i].effective;

	*ret = (struct govern_guest){ .id = g->id,
				      .qclass = p->assign[i].base,
				      .rank = p->assign[i].base->rank,
				      .exempt = guests_exempt(&e->guests, g->id,
							      (uint64_t)time(NULL)),
				      .no_freeze = !c->memory.freeze || has_rbd(g) };
	size_cpu(g, c, p->admitted[i], p->placement->guests[i].dedicated, ret);
	size_net(g, c, engine_enforcing(e) ? p->parts : NULL, ret);
	size_disk(g, c, p->disk_parts, ret);
	size_memory(g, c, p->admitted[i], ret);
}

static int compare_places(const void *pa, const void *pb, void *user)
{
	const struct inventory *inv = user;
	uint32_t a = inv->guests[*(const uint32_t *)pa]->id;
	uint32_t b = inv->guests[*(const uint32_t *)pb]->id;

	return (a > b) - (a < b);
}

int overload_build_guests(struct engine *e)
{
	struct protection *p = e->protection;
	const struct picture *pic = e->picture;
	size_t n = pic ? pic->inventory->count : 0;

	if (!p->guests_stale)
		return 0;
	p->nguests = 0;
	if (mem_grow(&p->guests, &p->guests_capacity, n, sizeof(*p->guests)) < 0 ||
	    mem_grow(&p->places, &p->places_capacity, n, sizeof(*p->places)) < 0)
		return -ENOMEM;
	p->guests_stale = false;
	for (uint32_t i = 0; i < n; i++)
		if (pic->assign[i].base) /* a guest without a class is neither promised nor asked
					    anything */
			p->places[p->nguests++] = i;
	if (p->nguests)
		qsort_r(p->places, p->nguests, sizeof(*p->places), compare_places, pic->inventory);
	p->protects_rbd = false;
	for (size_t k = 0; k < p->nguests; k++) {
		size_guest(e, p->places[k], &p->guests[k]);
		p->protects_rbd |=
			p->guests[k].rank == 0 && has_rbd(pic->inventory->guests[p->places[k]]);
	}
	return 0;
}

bool guest_caps_any(const struct guest_caps *c)
{
	return c->cpu_soft || c->freeze || c->cpu_mcpu != THROTTLE_NONE ||
	       c->net_in_bps != THROTTLE_NONE || c->net_out_bps != THROTTLE_NONE ||
	       c->disk_iops != THROTTLE_NONE || c->disk_bytes_ps != THROTTLE_NONE ||
	       c->memory_bytes != THROTTLE_NONE;
}

static const struct guest_caps no_caps = { .cpu_mcpu = THROTTLE_NONE,
					   .net_in_bps = THROTTLE_NONE,
					   .net_out_bps = THROTTLE_NONE,
					   .disk_iops = THROTTLE_NONE,
					   .disk_bytes_ps = THROTTLE_NONE,
					   .memory_bytes = THROTTLE_NONE,
					   .level = { 1000, 1000, 1000, 1000 } };

static bool any_capped(const struct protection *p)
{
	for (size_t k = 0; k < p->nguests; k++)
		if (guest_caps_any(&p->out.caps[k]))
			return true;
	return false;
}

static int compare_id(const void *key, const void *item)
{
	uint32_t id = *(const uint32_t *)key, other = ((const struct govern_guest *)item)->id;

	return (id > other) - (id < other);
}

const struct govern_guest *overload_find_guest(const struct protection *p, uint32_t id)
{
	if (!p->ticked || !p->nguests)
		return NULL;
	return bsearch(&id, p->guests, p->nguests, sizeof(*p->guests), compare_id);
}

/* The last tick's caps, by guest: the inventory may have changed since. */
struct guest_caps *overload_caps(struct engine *e)
{
	const struct protection *p = e->protection;
	uint64_t now_s = (uint64_t)time(NULL);
	struct guest_caps *caps;

	if (!p->ticked || p->unleased || !any_capped(p))
		return NULL;
	caps = calloc(e->inventory->count + 1, sizeof(*caps));
	for (size_t i = 0; caps && i < e->inventory->count; i++) {
		const struct guest *g = e->inventory->guests[i];
		const struct govern_guest *found = overload_find_guest(p, g->id);

		caps[i] = found && !guests_exempt(&e->guests, g->id, now_s)
				  ? p->out.caps[found - p->guests]
				  : no_caps;
	}
	return caps;
}
