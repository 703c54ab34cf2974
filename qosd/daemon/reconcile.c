/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * reconcile - one turn: make the picture, read back what may differ, apply the difference.
 *
 * Reading is what costs, so a turn reads only the entries that the plan changed and the guests
 * that are dirty; each DRIFT_PERIOD everything. A guest is left alone while a worker still has
 * changes of its own, while it is in back-off after an error, and while the operator holds it.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "qosd/core/mem.h"
#include "qosd/daemon/engine.h"
#include "qosd/host/cgroup.h"

#define VERIFY_DELAY_US 100000ULL

int engine_read(struct engine *e, const struct target *t, enum knob_id knob, struct knob_value *ret,
		struct qerr *err)
{
	struct adapter *a = e->adapters[knob_get(knob)->adapter];

	return a->ops->read(a, t, knob, ret, err);
}

/* ---- which guests are managed ---- */

static uint8_t treatment_of(const struct engine *e, const struct guest *g, uint64_t now_s)
{
	const struct guest_row *row = guests_find(&e->guests, g->id);

	if (!row)
		return GUEST_MANAGED;
	if (row->released)
		return GUEST_RELEASED;
	return guests_held(row, now_s) ? GUEST_HELD : GUEST_MANAGED;
}

struct picture *engine_picture(struct engine *e, const struct policy *policy)
{
	uint8_t *treatment CLEANUP_FREE = NULL;
	struct picture_input in = {
		.policy = policy,
		.host = e->host,
		.inventory = e->inventory,
		.baseline = e->baseline,
		.previous = e->picture ? e->picture->placement : NULL,
		.cgroup_v1 = cgroup_is_v1(e->adapters[ADAPTER_CGROUP]),
	};
	uint64_t now_s = (uint64_t)time(NULL);

	if (!e->inventory)
		return NULL;
	treatment = calloc(e->inventory->count + 1, sizeof(*treatment));
	if (!treatment)
		return NULL;
	for (size_t i = 0; i < e->inventory->count; i++)
		treatment[i] = treatment_of(e, e->inventory->guests[i], now_s);
	in.treatment = treatment;
	return picture_make(&in);
}

/* ---- comparing ---- */

/* May this target be touched now? */
static bool target_ready(const struct engine *e, const struct target *t)
{
	const struct guest_row *row;

	if (t->kind == TARGET_CGROUP)
		return e->cgroup_inflight == 0;
	row = guests_find(&e->guests, t->guest_id);
	return !row || (row->inflight == 0 && row->retry_us <= engine_now_us(e));
}

/* Is there any reason to look at this entry, given the plan of the turn before? */
static bool entry_fresh(const struct engine *e, const struct plan_entry *entry,
			const struct plan_entry *before)
{
	const struct guest_row *row;

	if (!before || !knob_value_equal(&before->want, &entry->want))
		return true;
	if (entry->target.kind == TARGET_CGROUP)
		return false;
	row = guests_find(&e->guests, entry->target.guest_id);
	return row && row->dirty;
}

static int compare_entry_keys(const struct plan_entry *a, const struct plan_entry *b)
{
	int c = target_compare(&a->target, &b->target);

	return c ? c : (int)a->knob - (int)b->knob;
}

/* A value that cannot be read: gone is normal, all else is the guest's trouble. */
static void note_read_error(struct engine *e, const struct plan_entry *entry, int r,
			    const struct qerr *err)
{
	struct guest_row *row = guests_find(&e->guests, entry->target.guest_id);

	if (r == -ENOENT || r == -ESRCH || r == -ENODEV || r == -EOPNOTSUPP || !row)
		return;
	if (row->degraded.code != r)
		log_error(&e->log, LOG_WARNING,
			  &(struct log_about){ .guest = entry->target.guest->name,
					       .knob = knob_get(entry->knob)->name,
					       .error = r },
			  entry->target.guest->name, err);
	guests_failed(row, err, engine_now_us(e));
}

int engine_compare(struct engine *e, const struct plan *plan, const struct plan *previous,
		   struct diff *ret)
{
	size_t old = 0;

	for (size_t i = 0; i < plan->count; i++) {
		const struct plan_entry *entry = &plan->entries[i], *before = NULL;
		struct knob_value actual;
		struct qerr err = { 0 };
		int r;

		while (previous && old < previous->count &&
		       compare_entry_keys(&previous->entries[old], entry) < 0)
			old++;
		if (previous && old < previous->count &&
		    compare_entry_keys(&previous->entries[old], entry) == 0)
			before = &previous->entries[old];
		if ((previous && !entry_fresh(e, entry, before)) || !target_ready(e, &entry->target))
			continue;
		r = engine_read(e, &entry->target, entry->knob, &actual, &err);
		if (r < 0) {
			note_read_error(e, entry, r, &err);
			continue;
		}
		r = diff_entry(ret, entry, &actual);
		if (r < 0)
			return r;
	}
	diff_sort(ret);
	return 0;
}

/* ---- the turn ---- */

/* The CPU of each vCPU when each is bound to one of its own; else nothing is filled in. */
static void adopt_guest(struct engine *e, const struct guest *g, struct placement_guest *ret)
{
	uint32_t *vcpu_cpu = calloc(g->vcpus + 1, sizeof(*vcpu_cpu));
	struct cpuset owned = { { 0 } };
	uint32_t v;

	for (v = 0; vcpu_cpu && v < g->vcpus; v++) {
		struct target t = { .kind = TARGET_VCPU, .index = v, .guest_id = g->id, .guest = g };
		struct knob_value actual;

		if (engine_read(e, &t, KNOB_CPU_AFFINITY, &actual, NULL) < 0 ||
		    cpuset_count(&actual.cpuset) != 1)
			break;
		vcpu_cpu[v] = cpuset_next(&actual.cpuset, 0);
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
static struct placement *placement_from_host(struct engine *e)
{
	struct placement *p = placement_new(e->inventory);

	for (size_t i = 0; p && i < e->inventory->count; i++)
		adopt_guest(e, e->inventory->guests[i], &p->guests[i]);
	return p;
}

/* Show on each guest what the plan could not give it. */
static void note_findings(struct engine *e)
{
	const struct picture *p = e->picture;

	for (size_t i = 0; i < p->inventory->count; i++) {
		struct guest_row *row = guests_find(&e->guests, p->inventory->guests[i]->id);
		const struct qerr *why = p->refusals[i].code ? &p->refusals[i] :
								&p->assign[i].finding;

		if (!row || row->failures)
			continue;
		if (why->code && why->code != row->degraded.code)
			log_error(&e->log, LOG_WARNING,
				  &(struct log_about){ .guest = p->inventory->guests[i]->name,
						       .error = why->code },
				  p->inventory->guests[i]->name, why);
		row->degraded = *why;
	}
}

/*
 * What was looked at and needed no write is well again; what has to wait asks for a turn of its
 * own.
 */
static void settle_rows(struct engine *e)
{
	uint64_t now_us = engine_now_us(e), now_s = (uint64_t)time(NULL);

	for (size_t i = 0; i < e->guests.count; i++) {
		struct guest_row *row = &e->guests.rows[i];

		if (row->retry_us > now_us) {
			engine_mark_at(e, row->retry_us);
		} else if (row->inflight == 0) {
			if (row->dirty && !row->touched && row->failures)
				guests_recovered(row);
			row->dirty = row->touched && row->failures; /* does it hold now? */
			if (row->dirty)
				engine_mark_at(e, now_us + VERIFY_DELAY_US);
		}
		row->touched = false;
		if (guests_held(row, now_s))
			engine_mark_at(e, now_us + (row->hold_until_s - now_s) * 1000000ULL);
	}
}

static void adopt_placement(struct engine *e)
{
	struct picture *seed;

	if (e->picture)
		return;
	seed = calloc(1, sizeof(*seed));
	if (!seed)
		return;
	seed->placement = placement_from_host(e);
	e->picture = seed;
}

void engine_turn(struct engine *e)
{
	struct picture *next, *before;
	struct diff diff;

	if (!e->inventory)
		return;
	adopt_placement(e);
	next = engine_picture(e, e->policy);
	if (!next) {
		log_message(&e->log, LOG_ERR, NULL, "out of memory: this turn is left out");
		return;
	}
	before = e->picture;
	e->picture = next;
	note_findings(e);
	if (engine_enforcing(e)) {
		const struct plan *previous = e->read_all || !before ? NULL : before->plan;

		diff_init(&diff);
		if (engine_compare(e, next->plan, previous, &diff) == 0)
			engine_apply(e, &diff);
		diff_done(&diff);
		e->read_all = false;
		settle_rows(e);
	}
	picture_free(before);
	e->last_turn_us = engine_now_us(e);
}
