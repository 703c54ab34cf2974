/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "qosd/daemon/picture.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "qosd/core/mem.h"

static struct inventory *copy_inventory(const struct inventory *inv)
{
	struct inventory *copy = inventory_new(inv->count);

	for (size_t i = 0; copy && i < inv->count; i++) {
		if (inventory_add(copy, inv->guests[i]) < 0) {
			inventory_free(copy);
			return NULL;
		}
	}
	return copy;
}

static bool any_released(const struct picture *p, const struct picture_input *in)
{
	for (size_t i = 0; in->treatment && i < p->inventory->count; i++)
		if (in->treatment[i] == GUEST_RELEASED)
			return true;
	return false;
}

/*
 * What counts in ledger, placement and plan when some guests are released: those own nothing, but
 * are still shown with the class that they would have. A copy; NULL when out of memory.
 */
static struct assignment *without_released(const struct picture *p, const struct picture_input *in)
{
	size_t n = p->inventory->count;
	struct assignment *copy = calloc(n + 1, sizeof(*copy));

	if (!copy)
		return NULL;
	memcpy(copy, p->assign, n * sizeof(*copy));
	for (size_t i = 0; i < n; i++)
		if (in->treatment[i] == GUEST_RELEASED)
			classify_none("released", &copy[i]);
	return copy;
}

static struct plan *make_plan(const struct picture *p, const struct picture_input *in,
			      const struct assignment *assign)
{
	struct plan_input pi = {
		.policy = in->policy,
		.host = in->host,
		.inventory = p->inventory,
		.assign = assign,
		.admitted = p->admitted,
		.placement = p->placement,
		.treatment = in->treatment,
		.rbd_live = in->rbd_live,
		.cgroup_v1 = in->cgroup_v1,
		.caps = p->caps,
		.parts = p->parts,
		.disk_parts = p->disk_parts,
	};
	struct plan *plan = plan_build(&pi);

	if (plan && in->baseline && baseline_plan_orphans(in->baseline, &pi, plan) < 0) {
		plan_free(plan);
		return NULL;
	}
	return plan;
}

/* Ledger, placement and plan of the classified guests. -ENOMEM. */
static int compose(struct picture *p, const struct picture_input *in)
{
	struct assignment *copy CLEANUP_FREE = NULL;
	const struct assignment *assign = p->assign;

	if (any_released(p, in))
		assign = copy = without_released(p, in);
	if (!assign || ledger_build(&p->ledger, in->policy, in->host, p->inventory, assign,
				    p->admitted, p->refusals) < 0)
		return -ENOMEM;
	p->placement = placement_compute(in->policy, in->host, p->inventory, assign, p->admitted,
					 in->previous);
	p->plan = p->placement ? make_plan(p, in, assign) : NULL;
	return p->plan ? 0 : -ENOMEM;
}

bool picture_throttles(const struct picture *p)
{
	return p->caps || p->disk_parts || nic_parts_any(p->parts);
}

bool picture_on_trial(const struct guest *g, uint32_t permille)
{
	uint64_t hash = UINT64_C(0xcbf29ce484222325); /* FNV-1a, mixed as MurmurHash3 ends */

	for (const char *c = g->uuid; *c; c++)
		hash = (hash ^ (unsigned char)*c) * UINT64_C(0x100000001b3);
	hash = (hash ^ hash >> 33) * UINT64_C(0xff51afd7ed558ccd);
	hash = (hash ^ hash >> 33) * UINT64_C(0xc4ceb9fe1a85ec53);
	return (hash ^ hash >> 33) % 1000 < permille;
}

/*
 * A guest on trial has the new policy's values, but stays known by a class of the policy in force:
 * the one of the same name, else the one that it would have without the trial. So all that counts
 * by class (ranks of the governor, `status`) knows one set of classes.
 */
void picture_classify(const struct policy *policy, const struct policy *canary, uint32_t permille,
		      const struct guest *g, struct assignment *ret)
{
	const struct qclass *without, *same;
	char from[CLASSIFY_FROM_MAX];

	classify(policy, g, ret);
	if (!canary || !picture_on_trial(g, permille))
		return;
	without = ret->base;
	classify(canary, g, ret);
	same = ret->base ? policy_class(policy, ret->base->name) : NULL;
	ret->base = same ? same : without;
	snprintf(from, sizeof(from), "trial: %.110s", ret->from);
	memcpy(ret->from, from, sizeof(from));
}

struct picture *picture_make(const struct picture_input *in)
{
	struct picture *p = calloc(1, sizeof(*p));
	size_t n = in->inventory->count;

	if (!p) {
		free(in->caps);
		nic_parts_free(in->parts);
		disk_parts_free(in->disk_parts);
		return NULL;
	}
	p->caps = in->caps;
	p->parts = in->parts;
	p->disk_parts = in->disk_parts;
	p->policy = in->policy;
	p->canary = in->canary;
	p->inventory = copy_inventory(in->inventory);
	p->assign = calloc(n + 1, sizeof(*p->assign));
	p->admitted = calloc(n + 1, sizeof(*p->admitted));
	p->refusals = calloc(n + 1, sizeof(*p->refusals));
	if (!p->inventory || !p->assign || !p->admitted || !p->refusals) {
		picture_free(p);
		return NULL;
	}
	for (size_t i = 0; i < n; i++) {
		picture_classify(in->policy, in->canary, in->canary_permille,
				 p->inventory->guests[i], &p->assign[i]);
		if (in->rbd_bytes)
			p->assign[i].effective.rbd.in_force_bytes = in->rbd_bytes[i];
	}
	if (compose(p, in) < 0) {
		picture_free(p);
		return NULL;
	}
	return p;
}

void picture_free(struct picture *p)
{
	if (!p)
		return;
	plan_free(p->plan);
	placement_free(p->placement);
	inventory_free(p->inventory);
	free(p->assign);
	free(p->admitted);
	free(p->refusals);
	free(p->caps);
	nic_parts_free(p->parts);
	disk_parts_free(p->disk_parts);
	free(p);
}

long picture_index(const struct picture *p, const char *name_or_uuid)
{
	const struct guest *g;

	if (!p || !p->plan)
		return -1;
	g = inventory_find(p->inventory, name_or_uuid);
	for (size_t i = 0; g && i < p->inventory->count; i++)
		if (p->inventory->guests[i] == g)
			return (long)i;
	return -1;
}
