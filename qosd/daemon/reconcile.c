/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * reconcile - one turn: make the picture, read back what may differ, apply the difference.
 *
 * What is written: when enforcing, the picture's plan; and always the baselines of what the
 * operator released. Both are compared before anything is written, so that a single order of writes
 * holds.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "qosd/core/mem.h"
#include "qosd/daemon/bandwidth.h"
#include "qosd/daemon/engine.h"
#include "qosd/daemon/overload.h"
#include "qosd/daemon/rbd.h"
#include "qosd/daemon/storage.h"
#include "qosd/daemon/trial.h"
#include "qosd/host/cgroup.h"

#define HOLD_LOOK_S UINT64_C(3600) /* the wall clock may be set */

/* ---- the picture ---- */

static uint8_t treatment_of(struct engine *e, const struct guest *g, uint64_t now_s)
{
	const struct guest_row *row = guests_find(&e->guests, g->id);

	if (!row)
		return GUEST_MANAGED;
	if (row->released)
		return GUEST_RELEASED;
	/* What throttles it is taken away before it is left as it is. */
	return guests_held(row, now_s) && !row->capped ? GUEST_HELD : GUEST_MANAGED;
}

/*
 * Takes over `caps` (NULL: nobody is throttled), `parts` (NULL: nothing is shared) and `disk_parts`
 * (NULL: no disk is held back).
 */
static struct picture *make_picture(struct engine *e, const struct policy *policy,
				    struct guest_caps *caps, struct nic_parts *parts,
				    struct disk_parts *disk_parts)
{
	uint8_t *treatment CLEANUP_FREE = NULL;
	struct picture_input in = {
		.policy = policy,
		.canary = e->trial && policy == e->policy ? e->trial->policy : NULL,
		.canary_permille = e->trial ? e->trial->permille : 0,
		.host = e->host,
		.inventory = e->inventory,
		.baseline = e->baseline,
		.previous = e->picture ? e->picture->placement : e->placement,
		.cgroup_v1 = e->cgroup_v1,
		.caps = caps,
		.parts = parts,
		.disk_parts = disk_parts,
	};
	uint64_t now_s = (uint64_t)time(NULL);
	uint64_t *rbd_live CLEANUP_FREE = calloc(e->inventory->count + 1, sizeof(*rbd_live));
	uint64_t *rbd_bytes CLEANUP_FREE = calloc(e->inventory->count + 1, sizeof(*rbd_bytes));

	treatment = calloc(e->inventory->count + 1, sizeof(*treatment));
	if (!treatment || !rbd_live || !rbd_bytes) {
		free(caps);
		nic_parts_free(parts);
		disk_parts_free(disk_parts);
		return NULL;
	}
	for (size_t i = 0; i < e->inventory->count; i++) {
		treatment[i] = treatment_of(e, e->inventory->guests[i], now_s);
		if (e->ceph_qos)
			rbd_live[i] = ceph_qos_live(e->ceph_qos, e->inventory->guests[i]);
		rbd_bytes[i] = rbd_guest_bytes(e, e->inventory->guests[i]);
	}
	in.treatment = treatment;
	in.rbd_live = rbd_live;
	in.rbd_bytes = rbd_bytes;
	return picture_make(&in);
}

struct picture *engine_picture(struct engine *e, const struct policy *policy)
{
	if (!e->inventory)
		return NULL;
	return make_picture(e, policy, overload_caps(e), bandwidth_parts(e, policy, false),
			    storage_parts(e, policy));
}

struct picture *engine_picture_steady(struct engine *e)
{
	if (!e->inventory)
		return NULL;
	return make_picture(e, e->policy, NULL, bandwidth_parts(e, e->policy, true), NULL);
}

/* The CPU of each vCPU when each is bound to one of its own; else nothing is filled in. */
static void adopt_guest(struct engine *e, const struct guest *g, struct placement_guest *ret)
{
	uint32_t *vcpu_cpu = calloc(g->vcpus + 1, sizeof(*vcpu_cpu));
	struct cpuset owned = { { 0 } };
	uint32_t v;

	for (v = 0; vcpu_cpu && v < g->vcpus; v++) {
		struct target t = {
			.kind = TARGET_VCPU, .index = v, .guest_id = g->id, .guest = g
		};
		struct knob_value actual;

		if (engine_read(e, &t, KNOB_CPU_AFFINITY, &actual, NULL) < 0 ||
		    cpuset_count(actual.cpuset) != 1)
			break;
		vcpu_cpu[v] = cpuset_next(actual.cpuset, 0);
		cpuset_add(&owned, vcpu_cpu[v]);
	}
	if (!v || v < g->vcpus || cpuset_count(&owned) != v) {
		free(vcpu_cpu);
		return;
	}
	ret->dedicated = true;
	ret->owned = owned;
	ret->vcpu_cpu = vcpu_cpu;
	ret->nvcpus = v;
}

/*
 * After a start the placement of before is not in memory, but the host has it: a vCPU that is
 * bound to one CPU alone shows which core its guest was given.
 */
static void adopt_placement(struct engine *e)
{
	if (e->picture || e->placement)
		return;
	e->placement = placement_new(e->inventory);
	for (size_t i = 0; e->placement && i < e->inventory->count; i++)
		adopt_guest(e, e->inventory->guests[i], &e->placement->guests[i]);
}

/* Show on each guest what the plan could not give it. */
static void note_findings(struct engine *e)
{
	const struct picture *p = e->picture;

	for (size_t i = 0; i < p->inventory->count; i++) {
		const char *name = p->inventory->guests[i]->name;
		struct guest_row *row = guests_find(&e->guests, p->inventory->guests[i]->id);
		const struct qerr *why =
			p->refusals[i].code ? &p->refusals[i] : &p->assign[i].finding;

		if (!row)
			continue;
		if (why->code && why->code != row->finding.code)
			log_error(&e->log, LOG_WARNING,
				  &(struct log_about){ .guest = name, .error = why->code }, name,
				  why);
		row->finding = *why;
	}
}

/* A hold that ends is a change that nobody tells of. */
static void wake_for_holds(struct engine *e)
{
	uint64_t now_s = (uint64_t)time(NULL), left_s = HOLD_LOOK_S;
	bool any = false;

	for (size_t i = 0; i < e->guests.count; i++) {
		const struct guest_row *row = &e->guests.rows[i];

		if (!guests_held(row, now_s))
			continue;
		any = true;
		if (row->hold_until_s - now_s < left_s)
			left_s = row->hold_until_s - now_s;
	}
	if (any)
		engine_mark_at(e, engine_now_us(e) + left_s * 1000000);
}

/* ---- the turn ---- */

/* Write what differs from `back` and `wanted` (each may be NULL). 0 or -ENOMEM. */
static int write_both(struct engine *e, const struct plan *back, const struct plan *wanted,
		      const struct plan *previous, bool all)
{
	struct diff diff;
	int r = 0;

	diff_init(&diff);
	if (back)
		r = engine_compare(e, back, e->back, wanted, true, &diff);
	if (r == 0 && wanted)
		r = engine_compare(e, wanted, previous, NULL, all, &diff);
	if (r == 0)
		engine_apply(e, &diff);
	diff_done(&diff);
	return r;
}

static void write_turn(struct engine *e, const struct picture *before)
{
	const struct plan *previous = before && e->enforced_before ? before->plan : NULL;
	const struct plan *wanted = engine_enforcing(e) ? e->picture->plan : NULL;
	struct plan *back = engine_releasing(e) ? engine_release_plan(e) : NULL;
	bool all = e->read_all;
	int r = engine_releasing(e) && !back ? -ENOMEM : 0;

	e->enforced_before = wanted;
	e->read_all &= !wanted;
	if (r == 0)
		r = write_both(e, back, wanted, previous, all);
	if (r < 0) {
		log_message(&e->log, LOG_ERR, NULL, "out of memory: nothing is written this turn");
		e->enforced_before = false;
	} else {
		if (wanted)
			engine_passing_settle(e, wanted);
		if (back)
			engine_release_settle(e, back);
	}
	plan_free(e->back);
	e->back = back;
	if (all && e->baseline_rewrite)
		(void)state_save_baseline(e, NULL); /* or the next write does it */
}

void engine_turn(struct engine *e)
{
	struct picture *next, *before = e->picture;

	if (!e->inventory)
		return;
	adopt_placement(e);
	overload_before_turn(e);
	overload_new_picture(e);
	next = engine_picture(e, e->policy);
	/* while it is leased, what the keeper would write follows the plan */
	if (next && (picture_throttles(next) || e->protection->leased) &&
	    !overload_lease_covers(e)) {
		picture_free(next);
		next = engine_picture_steady(e);
	}
	if (!next) {
		log_message(&e->log, LOG_ERR, NULL, "out of memory: this turn is left out");
		return;
	}
	e->picture = next;
	note_findings(e);
	bandwidth_before_write(e);
	write_turn(e, before);
	engine_settle_lanes(e);
	overload_after_turn(e);
	wake_for_holds(e);
	picture_free(before);
	placement_free(e->placement);
	e->placement = NULL;
}
