/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * compare - plan against host: what has to be written, and who is to blame for the difference.
 *
 * Reading is what costs, so a turn reads only the entries that the plan changed and those of dirty
 * lanes; each DRIFT_PERIOD everything. An entry that could not be looked at because its lane waits
 * (a worker has its changes, or it is in back-off after an error) leaves the lane dirty, so that it
 * is looked at as soon as the lane is ready.
 */
#include <errno.h>
#include <string.h>

#include "qosd/daemon/overload.h"

#define VERIFY_DELAY_US 100000ULL
#define LOOK_LATER_US   1000000ULL
#define START_US        5000000ULL

int engine_read(struct engine *e, const struct target *t, enum knob_id knob, struct knob_value *ret,
		struct qerr *err)
{
	struct adapter *a = e->adapters[knob_get(knob)->adapter];

	return a->ops->read(a, t, knob, ret, err);
}

static struct lane *lane_of(struct engine *e, const struct plan_entry *entry)
{
	struct guest_row *row = guests_find(&e->guests, entry->target.guest_id);

	return row ? guests_lane(row, &entry->target, entry->knob) : NULL;
}

static int compare_keys(const struct plan_entry *a, const struct plan_entry *b)
{
	int c = target_compare(&a->target, &b->target);

	return c ? c : (int)a->knob - (int)b->knob;
}

/* The same entry in the plan of before, both being walked in order; NULL if it is new. */
static const struct plan_entry *entry_before(const struct plan *previous, size_t *at,
					     const struct plan_entry *entry)
{
	while (previous && *at < previous->count &&
	       compare_keys(&previous->entries[*at], entry) < 0)
		(*at)++;
	if (!previous || *at == previous->count ||
	    compare_keys(&previous->entries[*at], entry) != 0)
		return NULL;
	return &previous->entries[*at];
}

/* Does it matter that this knob cannot be read? Not where the plan wants what the kernel does
 * anyway. */
static bool wants_something(const struct plan_entry *entry)
{
	const struct knob_value *v = &entry->want;

	switch (entry->knob) {
	case KNOB_MEMORY_MIN:
	case KNOB_MEMORY_LOW:
	case KNOB_CPU_MAX_BURST:
		return v->u64 != 0;
	case KNOB_CPU_WEIGHT:
		return v->u64 != 100;
	case KNOB_CPU_MAX:
		return v->quota_us != KNOB_MAX;
	case KNOB_SWAP_MAX:
	case KNOB_NET_IN:
	case KNOB_NET_OUT:
		return v->u64 != KNOB_MAX;
	default:
		return true;
	}
}

/* While a guest starts libvirt still sets things itself: that is nobody's fault. */
static bool grown_up(struct engine *e, const struct plan_entry *entry)
{
	struct guest_row *row = guests_find(&e->guests, entry->target.guest_id);
	uint64_t now_us = engine_now_us(e);

	if (!row->seen_us)
		row->seen_us = now_us;
	return !row->id || now_us - row->seen_us >= START_US;
}

/* What is wanted may not hold, and the lane says so meanwhile. */
static void look_later(struct engine *e, struct lane *lane)
{
	lane->unsure = true;
	engine_mark_at(e, engine_now_us(e) + LOOK_LATER_US);
}

static void note_read_error(struct engine *e, const struct plan_entry *entry, struct lane *lane,
			    int r, const struct qerr *err)
{
	const char *name = entry->target.guest ? entry->target.guest->name : entry->target.path;
	struct log_about about = { .guest = entry->target.guest ? name : NULL,
				   .knob = knob_get(entry->knob)->name,
				   .error = r };

	if (r == -ENOENT || r == -ESRCH || r == -ENODEV) { /* gone, which is normal */
		lane->unsure = true;
		return;
	}
	if (r == -EOPNOTSUPP && !wants_something(entry))
		return;
	if (r == -EAGAIN) { /* not known yet */
		lane->dirty = true;
		if (entry->target.kind == TARGET_NIC) /* and nobody will tell when it is */
			look_later(e, lane);
		return;
	}
	if (lane->told != r && (!entry->target.guest || grown_up(e, entry))) {
		log_error(&e->log, LOG_WARNING, &about, name, err);
		lane->told = r;
	}
	lane_failed(lane, err, engine_now_us(e));
}

/* Written by a worker, reported as done, and yet not there: writing it again and again is no cure.
 */
static void note_not_held(struct engine *e, const struct plan_entry *entry, struct lane *lane,
			  const struct knob_value *actual)
{
	char want[KNOB_TEXT_MAX], is[KNOB_TEXT_MAX];
	struct qerr err = { 0 };

	qerr_set(&err, -EBUSY,
		 "%s was set to %s but is %s: something else on this host sets or restricts it",
		 knob_get(entry->knob)->name, knob_value_format(&entry->want, want, sizeof(want)),
		 knob_value_format(actual, is, sizeof(is)));
	note_read_error(e, entry, lane, -EBUSY, &err);
}

static void note_foreign(struct engine *e, const struct plan_entry *entry,
			 const struct knob_value *actual)
{
	char target[TARGET_TEXT_MAX], want[KNOB_TEXT_MAX], is[KNOB_TEXT_MAX];
	struct log_about about = { .guest = entry->target.guest ? entry->target.guest->name : NULL,
				   .knob = knob_get(entry->knob)->name };

	e->repaired++;
	/* What qosd found and left was as it wants it: that is the value of before, not this one.
	 */
	if (baseline_put(e->baseline, &entry->target, entry->knob, &entry->want) > 0)
		e->baseline_unsaved = true;
	log_message(&e->log, LOG_NOTICE, &about,
		    "%s %s was changed to %s by somebody else; put back to %s",
		    target_format(&entry->target, target, sizeof(target)), about.knob,
		    knob_value_format(actual, is, sizeof(is)),
		    knob_value_format(&entry->want, want, sizeof(want)));
}

/* One entry that has to be looked at now. 0 or -ENOMEM. */
static int compare_entry(struct engine *e, const struct plan_entry *entry, bool settled_before,
			 struct lane *lane, struct diff *ret)
{
	struct knob_value actual;
	struct qerr err = { 0 };
	bool grown = grown_up(e, entry);
	int r = engine_read(e, &entry->target, entry->knob, &actual, &err);

	if (r < 0) {
		note_read_error(e, entry, lane, r, &err);
		return 0;
	}
	if (knob_holds(entry->knob, &entry->want, &actual)) {
		baseline_note_set(e->baseline, &entry->target, entry->knob, &actual);
		return 0;
	}
	if (lane->verify && settled_before) {
		note_not_held(e, entry, lane, &actual);
		return 0;
	}
	if (settled_before && !lane->failures && grown && entry->why.kind != WHY_BASELINE)
		note_foreign(e, entry, &actual);
	r = diff_entry(ret, entry, &actual);
	return r < 0 ? r : 0;
}

/*
 * In a turn of overload protection what the plan of before wanted, and nobody has a doubt about, is
 * taken to be there: reading it back would be most of the cost of a throttle. 1, 0 or -ENOMEM.
 */
static int take_as_held(struct engine *e, const struct plan_entry *entry,
			const struct plan_entry *before, const struct lane *lane, struct diff *ret)
{
	int r;

	if (!e->protection->ticking || !before || lane->dirty || lane->stale || lane->failures)
		return 0;
	r = diff_entry(ret, entry, &before->want);
	return r < 0 ? r : 1;
}

int engine_compare(struct engine *e, const struct plan *plan, const struct plan *previous,
		   const struct plan *other, bool all, struct diff *ret)
{
	uint64_t now_us = engine_now_us(e);
	size_t at = 0;

	for (size_t i = 0; i < plan->count; i++) {
		const struct plan_entry *entry = &plan->entries[i];
		const struct plan_entry *before = entry_before(previous, &at, entry);
		bool settled = before && knob_value_equal(&before->want, &entry->want);
		struct lane *lane = lane_of(e, entry);
		int r;

		if (!lane || (settled && !all && !lane->dirty))
			continue;
		if (other && plan_find(other, &entry->target, entry->knob))
			continue;
		if (entry->target.guest && !entry->target.guest->start_ticks)
			continue; /* not looked at closely yet: its values could not be given back
				   */
		if (!lane_ready(lane, now_us)) {
			lane->dirty = true;
			lane->stale |= !settled;
			continue;
		}
		r = all || settled ? 0 : take_as_held(e, entry, before, lane, ret);
		if (r == 0)
			r = compare_entry(e, entry, settled && !lane->stale, lane, ret);
		if (r < 0)
			return r;
	}
	diff_sort(ret);
	return 0;
}

int engine_preview(struct engine *e, const struct plan *plan, struct diff *ret)
{
	for (size_t i = 0; i < plan->count; i++) {
		const struct plan_entry *entry = &plan->entries[i];
		struct knob_value actual;
		int r;

		if (engine_read(e, &entry->target, entry->knob, &actual, NULL) < 0)
			continue;
		r = diff_entry(ret, entry, &actual);
		if (r < 0)
			return r;
	}
	diff_sort(ret);
	return 0;
}

static void settle_lane(struct engine *e, struct lane *lane, uint64_t now_us)
{
	if (lane->retry_us > now_us) {
		engine_mark_at(e, lane->retry_us);
	} else if (lane->inflight) {
		lane->dirty &= !lane->touched; /* it was looked at before it was written to */
	} else if (lane->dirty || lane->touched) {
		if (!lane->touched) {
			lane->failures = 0;
			lane->trouble.code = 0;
			lane->told = 0;
			lane->verify = false;
		}
		lane->stale = false;
		lane->dirty = lane->touched && lane->failures; /* does it hold now? */
		if (lane->dirty)
			engine_mark_at(e, now_us + VERIFY_DELAY_US);
	}
	/* If the inventory tells the same, nobody asks again. */
	lane->dirty |= lane->unsure;
	lane->stale |= lane->unsure;
	lane->touched = lane->unsure = false;
}

void engine_settle_lanes(struct engine *e)
{
	uint64_t now_us = engine_now_us(e);

	for (size_t i = 0; i <= e->guests.count; i++) {
		struct guest_row *row =
			i < e->guests.count ? &e->guests.rows[i] : &e->guests.groups;

		for (size_t a = 0; a < LANE_COUNT; a++)
			settle_lane(e, &row->lanes[a], now_us);
	}
}

void engine_settle_written(struct engine *e, const struct diff *d)
{
	uint64_t now_us = engine_now_us(e);

	for (size_t i = 0; i < d->count; i++) {
		const struct change *c = &d->changes[i];
		struct guest_row *row = guests_find(&e->guests, c->target.guest_id);
		struct lane *lane = row ? guests_lane(row, &c->target, c->knob) : NULL;

		if (lane && lane->touched)
			settle_lane(e, lane, now_us);
	}
}
