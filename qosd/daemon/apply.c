/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * apply - writes a diff in its order: baselines first, on disk, then the knobs.
 *
 * An error belongs to one lane of one guest: it is remembered there, logged once, and retried with
 * back-off, while all others go on. A change that an adapter gave to its worker is in flight until
 * the worker reports; its lane is then read back.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "qosd/core/mem.h"
#include "qosd/daemon/engine.h"

#define DISK_RETRY_US 1000000ULL
#define GONE_RETRY_US 1000000ULL

static bool is_gone(int r)
{
	return r == -ENOENT || r == -ESRCH || r == -ENODEV;
}

/* ---- baselines ---- */

/*
 * What can be given back: only qosd shapes NICs by its own program, so before it there was no
 * limit, but for a virtual function's, which is the card's; and vCPU groups that somebody had set
 * unevenly have no one value.
 */
static struct knob_value baseline_value(const struct change *c)
{
	switch (c->knob) {
	case KNOB_NET_IN:
	case KNOB_NET_OUT:
		return knob_passes(&c->target, c->knob) ? c->from : knob_u64(KNOB_MAX);
	case KNOB_NET_BURST:
		return knob_u64(KNOB_NET_BURST_US);
	case KNOB_CPU_MAX:
		return c->from.period_us ? c->from : knob_quota(KNOB_MAX, 100000);
	case KNOB_CPU_MAX_BURST:
		return c->from.u64 == KNOB_MAX ? knob_u64(0) : c->from;
	default:
		return c->from;
	}
}

/* Values that were there before our first write, on disk before that write. */
static int record_baselines(struct engine *e, const struct diff *d, struct qerr *err)
{
	for (size_t i = 0; i < d->count; i++) {
		const struct change *c = &d->changes[i];
		struct knob_value value = baseline_value(c);
		int r;

		if (!c->from_known || c->why.kind == WHY_BASELINE)
			continue;
		r = baseline_put(e->baseline, &c->target, c->knob, &value);
		if (r == -ENOMEM)
			return qerr_set(err, r,
					"out of memory: the values of before cannot be remembered");
		e->baseline_unsaved |= r > 0;
	}
	if (state_save_baseline(e, err) < 0 && e->baseline_unsaved)
		return err->code;
	return 0; /* entries that are none any more do no harm in the file */
}

/* ---- in flight ---- */

static int add_inflight(struct inflight_queue *q, const struct change *c, uint64_t ticket)
{
	int r = mem_grow(&q->items, &q->capacity, q->count + 1, sizeof(*q->items));

	if (r < 0)
		return r;
	q->items[q->count++] = (struct inflight){ .ticket = ticket,
						  .guest_id = c->target.guest_id,
						  .knob = c->knob,
						  .lane = guests_lane_id(&c->target, c->knob) };
	q->open++;
	return 0;
}

static int compare_ticket(const void *key, const void *item)
{
	uint64_t ticket = *(const uint64_t *)key, other = ((const struct inflight *)item)->ticket;

	return (ticket > other) - (ticket < other);
}

/* Takes the change out. False: no such ticket. */
static bool take_inflight(struct inflight_queue *q, uint64_t ticket, struct inflight *ret)
{
	struct inflight *found = NULL;

	if (q->head < q->count)
		found = bsearch(&ticket, q->items + q->head, q->count - q->head, sizeof(*q->items),
				compare_ticket);
	if (!found || found->done)
		return false;
	*ret = *found;
	found->done = true;
	q->open--;
	while (q->head < q->count && q->items[q->head].done)
		q->head++;
	if (q->head == q->count)
		q->head = q->count = 0;
	return true;
}

/* ---- writing ---- */

static void note_failure(struct engine *e, const char *name, bool is_guest, struct lane *lane,
			 enum knob_id knob, int r, const struct qerr *err)
{
	struct log_about about = { .guest = is_guest ? name : NULL,
				   .knob = knob_get(knob)->name,
				   .error = r };

	if (is_gone(r)) { /* a guest that vanishes mid-write is normal */
		lane->unsure = true;
		return;
	}
	if (lane->told != r)
		log_error(&e->log, LOG_WARNING, &about, name, err);
	lane->told = r;
	lane_failed(lane, err, engine_now_us(e));
}

static void log_change(const struct engine *e, const struct change *c)
{
	char target[TARGET_TEXT_MAX], from[KNOB_TEXT_MAX], to[KNOB_TEXT_MAX], why[REASON_TEXT_MAX];
	struct log_about about = { .guest = c->target.guest ? c->target.guest->name : NULL,
				   .knob = knob_get(c->knob)->name };

	if (e->log.max_level < LOG_DEBUG)
		return;
	log_message(&e->log, LOG_DEBUG, &about, "%s %s: %s -> %s (%s)",
		    target_format(&c->target, target, sizeof(target)), about.knob,
		    c->from_known ? knob_value_format(&c->from, from, sizeof(from)) : "?",
		    knob_value_format(&c->to, to, sizeof(to)),
		    reason_format(&c->why, why, sizeof(why)));
}

/* The first write of this turn to a lane that has just been looked at. */
static void touch(struct lane *lane)
{
	if (lane->touched)
		return;
	lane->touched = true;
	lane->stale = false;
	lane->verify = false;
}

/* From here the change is with a worker. */
static void hand_over(struct engine *e, const struct change *c, struct lane *lane, uint64_t ticket)
{
	if (add_inflight(&e->inflight, c, ticket) < 0) {
		lane->dirty = true;
		return;
	}
	lane->inflight++;
	lane->verify = lane->retry_us <= engine_now_us(e); /* nothing of this turn has failed */
}

static void apply_change(struct engine *e, const struct change *c)
{
	enum adapter_id id = knob_get(c->knob)->adapter;
	struct guest_row *row = guests_find(&e->guests, c->target.guest_id);
	uint64_t ticket = ++e->next_ticket;
	struct qerr err = { 0 };
	struct lane *lane = row ? guests_lane(row, &c->target, c->knob) : NULL;
	int r;

	if (!lane)
		return;
	touch(lane);
	r = e->adapters[id]->ops->apply(e->adapters[id], c, ticket, &err);
	e->written++;
	if (r == -EINPROGRESS)
		hand_over(e, c, lane, ticket);
	else if (r == 0)
		baseline_note_set(e->baseline, &c->target, c->knob, &c->to);
	else
		note_failure(e, c->target.guest ? c->target.guest->name : c->target.path,
			     c->target.guest != NULL, lane, c->knob, r, &err);
}

/*
 * What has no value of before on disk is not written: say so, and try again soon. What has one goes
 * on, for a full disk is no reason to leave anybody throttled.
 */
static void note_disk(struct engine *e, const struct qerr *err)
{
	(void)baseline_drop_unstored(e->baseline);
	e->baseline_unsaved = false;
	if (e->disk_trouble.code != err->code)
		log_error(&e->log, LOG_ERR, NULL, "nothing new is written to guests", err);
	e->disk_trouble = *err;
	e->enforced_before = false;
	engine_mark_at(e, engine_now_us(e) + DISK_RETRY_US);
}

static bool has_baseline(const struct engine *e, const struct change *c)
{
	return c->why.kind == WHY_BASELINE || baseline_get(e->baseline, &c->target, c->knob);
}

void engine_apply(struct engine *e, struct diff *d)
{
	struct qerr err = { 0 };

	if (!d->count && !e->disk_trouble.code)
		return;
	if (record_baselines(e, d, &err) < 0)
		note_disk(e, &err);
	else
		e->disk_trouble.code = 0;
	for (size_t i = 0; i < d->count; i++) {
		if (e->disk_trouble.code && !has_baseline(e, &d->changes[i]))
			continue;
		log_change(e, &d->changes[i]);
		apply_change(e, &d->changes[i]);
	}
}

/* What the plan wants was not written, so nobody else is to blame if it does not hold. */
static void change_failed(struct engine *e, const struct guest_row *row, struct lane *lane,
			  enum knob_id knob, int r, const struct qerr *err)
{
	const struct guest *g =
		e->inventory && row->id ? inventory_by_id(e->inventory, row->id) : NULL;

	lane->verify = false;
	lane->stale = true;
	if (is_gone(r)) { /* the inventory tells soon: writing it again and again is no use */
		lane->retry_us = engine_now_us(e) + GONE_RETRY_US;
		return;
	}
	lane->dirty = true;
	if (r != -ECANCELED)
		note_failure(e, g ? g->name : "a group above guests", g != NULL, lane, knob, r,
			     err);
}

void engine_change_done(void *user, uint64_t ticket, int result, const struct qerr *err)
{
	struct engine *e = user;
	struct inflight done;
	struct guest_row *row;
	struct lane *lane;

	if (!take_inflight(&e->inflight, ticket, &done)) {
		(void)engine_class_done(e, ticket, result, err);
		return;
	}
	row = guests_find(&e->guests, done.guest_id);
	if (!row)
		return; /* its guest has gone meanwhile */
	lane = &row->lanes[done.lane];
	if (lane->inflight)
		lane->inflight--;
	if (result < 0)
		change_failed(e, row, lane, done.knob, result, err);
	else
		lane->dirty = true;
	if (lane->inflight == 0)
		engine_mark(e);
}

bool engine_settled(const struct engine *e)
{
	return !e->turn_scheduled && e->inflight.open == 0 && e->classes_assumed == 0 &&
	       !engine_releasing(e);
}
