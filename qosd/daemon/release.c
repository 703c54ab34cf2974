/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * release - off means off: every knob gets its baseline back.
 *
 * Releasing is a state, not an act: while something is released, each turn writes the plan that the
 * baseline store makes, with the same order, back-off and verification as any other; a value that
 * was read back as it was before is forgotten; the release is over when the store has none left,
 * nor a rate that a guest which has stopped left with a card (vf_left.c).
 *
 * A released guest is left alone until it starts anew, gets a class by `qosctl class`, or `qosctl
 * mode enforce` takes all back. Releasing all also turns the mode to observe.
 */
#include <errno.h>
#include <string.h>

#include "qosd/core/arena.h"
#include "qosd/daemon/overload.h"

#define LOOK_AGAIN_US 1000000ULL /* lanes that wait ask for earlier turns themselves */

bool engine_releasing(const struct engine *e)
{
	if (e->options.observe) /* what a daemon before began waits for one that may write */
		return false;
	if (e->giving_back)
		return true;
	for (size_t i = 0; i < e->guests.count; i++)
		if (e->guests.rows[i].released && e->guests.rows[i].giving_back)
			return true;
	return false;
}

/* Paths of groups are in the arena of their plan. */
static int append(struct plan *to, const struct plan *from)
{
	for (size_t i = 0; i < from->count; i++) {
		const struct plan_entry *x = &from->entries[i];
		struct target t = x->target;

		if (t.path && !(t.path = arena_strdup(to->arena, t.path)))
			return -ENOMEM;
		if (plan_add(to, &t, x->knob, x->want, x->why) < 0)
			return -ENOMEM;
	}
	return 0;
}

struct plan *engine_release_plan(struct engine *e)
{
	struct plan *all;
	int r = 0;

	if (e->giving_back)
		return baseline_plan(e->baseline, e->inventory, NULL);
	all = plan_new();
	for (size_t i = 0; all && r == 0 && i < e->guests.count; i++) {
		const struct guest_row *row = &e->guests.rows[i];
		const struct guest *g = inventory_by_id(e->inventory, row->id);
		struct plan *one;

		if (!row->released || !row->giving_back || !g)
			continue;
		one = baseline_plan(e->baseline, e->inventory, g);
		r = one ? append(all, one) : -ENOMEM;
		plan_free(one);
	}
	if (r < 0) {
		plan_free(all);
		return NULL;
	}
	if (all)
		plan_sort(all);
	return all;
}

/*
 * Does it hold for good? Not while a worker may still write what was wanted before; nor when what
 * is read says that a guest has gone: that it has is told by the inventory, or it may be throttled
 * yet. -EOPNOTSUPP is certain: nothing can hold the value (what is not known is -EAGAIN).
 */
static bool given_back(struct engine *e, const struct plan_entry *x)
{
	struct guest_row *row = guests_find(&e->guests, x->target.guest_id);
	struct knob_value actual;
	int r;

	if (row && guests_lane(row, &x->target, x->knob)->inflight)
		return false;
	r = engine_read(e, &x->target, x->knob, &actual, NULL);
	if (r == -ENOENT || r == -ESRCH || r == -ENODEV)
		return !x->target.guest;
	return r == -EOPNOTSUPP || (r == 0 && knob_holds(x->knob, &x->want, &actual));
}

/* Forget what holds again. How many entries are still to be given back. */
static size_t drop_held(struct engine *e, const struct plan *plan)
{
	size_t left = 0;

	for (size_t i = 0; i < plan->count; i++) {
		const struct plan_entry *x = &plan->entries[i];

		if (given_back(e, x))
			baseline_mark(e->baseline, &x->target, x->knob);
		else
			left++;
	}
	if (baseline_sweep(e->baseline))
		e->baseline_rewrite = true;
	return left;
}

void engine_passing_settle(struct engine *e, const struct plan *wanted)
{
	bool marked = false;

	for (size_t i = 0; i < wanted->count; i++) {
		const struct plan_entry *x = &wanted->entries[i];

		if (x->why.kind != WHY_BASELINE || !knob_passes(&x->target, x->knob) ||
		    !given_back(e, x))
			continue;
		baseline_mark(e->baseline, &x->target, x->knob);
		marked = true;
	}
	if (marked && baseline_sweep(e->baseline))
		e->baseline_rewrite = true;
}

static void release_is_over(struct engine *e)
{
	if (e->giving_back)
		log_message(&e->log, LOG_INFO, NULL, "every value is as it was before qosd");
	for (size_t i = 0; i < e->guests.count; i++) {
		struct guest_row *row = &e->guests.rows[i];

		row->giving_back = false;
		row->released &= !e->giving_back; /* when all is released, the mode keeps it so */
	}
	e->giving_back = false;
	(void)state_save_baseline(e, NULL);
	state_save_runtime(e);
	engine_settle_mode(e);
}

void engine_release_settle(struct engine *e, const struct plan *plan)
{
	size_t left = drop_held(e, plan);

	if (e->giving_back)
		left += engine_give_back_vfs(e, e->inventory);
	if (left == 0 && e->inflight.open == 0)
		release_is_over(e);
	else
		engine_mark_at(e, engine_now_us(e) + LOOK_AGAIN_US);
}

int engine_release(struct engine *e, const struct guest *only, struct qerr *err)
{
	if (e->options.observe)
		return qerr_set(err, -EPERM, "qosd was started with --observe and writes nothing");
	if (!e->inventory)
		return qerr_set(err, -EAGAIN, "libvirt has not answered yet; try again");
	if (!only) {
		overload_forget(e);
		e->mode = MODE_OBSERVE;
		e->mode_overridden = e->mode != e->policy->mode;
		e->giving_back = true;
	}
	for (size_t i = 0; i < e->guests.count; i++) {
		struct guest_row *row = &e->guests.rows[i];

		if (only && row->id != only->id)
			continue;
		row->released = row->giving_back = true;
		row->hold_until_s = 0;
		guests_retry(row);
	}
	log_message(&e->log, LOG_INFO, only ? &(struct log_about){ .guest = only->name } : NULL,
		    "giving %s the values of before qosd back", only ? only->name : "all guests");
	engine_settle_mode(e);
	engine_give_back_vfs(e, e->inventory);
	state_save_runtime(e); /* should it be killed in this turn, the next daemon goes on */
	engine_turn(e);
	state_save_runtime(e);
	return 0;
}

void engine_take_back(struct engine *e)
{
	e->giving_back = false;
	for (size_t i = 0; i < e->guests.count; i++) {
		e->guests.rows[i].released = e->guests.rows[i].giving_back = false;
		guests_retry(&e->guests.rows[i]);
	}
	e->read_all = true;
}
