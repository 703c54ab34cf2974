/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * apply - writes a diff in its order: baselines first, on disk, then the knobs.
 *
 * An error belongs to one guest: it is remembered on it, logged once, and retried with back-off,
 * while all others go on. A change that an adapter gave to its worker is in flight until the
 * worker reports; its guest is then read back.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "qosd/core/mem.h"
#include "qosd/daemon/engine.h"

static bool is_gone(int r)
{
	return r == -ENOENT || r == -ESRCH || r == -ENODEV;
}

/* Values that were there before our first write, on disk before that write. */
static int record_baselines(struct engine *e, const struct diff *d, struct qerr *err)
{
	bool added = false;

	for (size_t i = 0; i < d->count; i++) {
		const struct change *c = &d->changes[i];
		int r;

		if (!c->from_known || c->why.kind == WHY_BASELINE)
			continue;
		r = baseline_put(e->baseline, &c->target, c->knob, &c->from);
		if (r < 0)
			return qerr_set(err, r, "cannot remember the values of before: %s", strerror(-r));
		added |= r > 0;
	}
	return added ? state_save_baseline(e, err) : 0;
}

static const char *name_of(const struct target *t)
{
	return t->guest ? t->guest->name : t->path;
}

static void note_failure(struct engine *e, const struct target *t, enum knob_id knob, int r,
			 const struct qerr *err)
{
	struct guest_row *row = guests_find(&e->guests, t->guest_id);
	struct log_about about = { .guest = t->guest ? t->guest->name : NULL,
				   .knob = knob_get(knob)->name, .error = r };

	if (is_gone(r))
		return; /* a guest that vanishes mid-write is normal */
	if (!row || row->degraded.code != r)
		log_error(&e->log, LOG_WARNING, &about, name_of(t), err);
	if (row)
		guests_failed(row, err, engine_now_us(e));
}

static int add_inflight(struct engine *e, const struct change *c, uint64_t ticket)
{
	struct guest_row *row = guests_find(&e->guests, c->target.guest_id);
	int r = mem_grow(&e->inflight, &e->inflight_capacity, e->ninflight + 1, sizeof(*e->inflight));

	if (r < 0)
		return r;
	e->inflight[e->ninflight++] = (struct inflight){
		.ticket = ticket, .guest_id = c->target.guest_id, .knob = c->knob
	};
	if (row)
		row->inflight++;
	else
		e->cgroup_inflight++;
	return 0;
}

static void remove_inflight(struct engine *e, size_t i)
{
	struct guest_row *row = guests_find(&e->guests, e->inflight[i].guest_id);

	if (row && row->inflight)
		row->inflight--;
	else if (!e->inflight[i].guest_id && e->cgroup_inflight)
		e->cgroup_inflight--;
	memmove(&e->inflight[i], &e->inflight[i + 1],
		(--e->ninflight - i) * sizeof(*e->inflight));
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

static void apply_change(struct engine *e, const struct change *c)
{
	struct adapter *a = e->adapters[knob_get(c->knob)->adapter];
	uint64_t ticket = ++e->next_ticket;
	struct guest_row *row = guests_find(&e->guests, c->target.guest_id);
	struct qerr err = { 0 };
	int r = a->ops->apply(a, c, ticket, &err);

	if (row)
		row->touched = true;
	if (r == -EINPROGRESS) {
		if (add_inflight(e, c, ticket) < 0)
			log_message(&e->log, LOG_ERR, NULL, "out of memory: a change is not followed");
	} else if (r < 0) {
		note_failure(e, &c->target, c->knob, r, &err);
	}
}

void engine_apply(struct engine *e, struct diff *d)
{
	struct qerr err = { 0 };

	if (!d->count)
		return;
	if (record_baselines(e, d, &err) < 0) {
		log_error(&e->log, LOG_ERR, NULL, "nothing is changed", &err);
		return;
	}
	for (size_t i = 0; i < d->count; i++) {
		log_change(e, &d->changes[i]);
		apply_change(e, &d->changes[i]);
	}
}

void engine_change_done(void *user, uint64_t ticket, int result, const struct qerr *err)
{
	struct engine *e = user;
	struct inflight done;
	struct guest_row *row;
	size_t i = 0;

	if (engine_class_done(e, ticket, result, err))
		return;
	while (i < e->ninflight && e->inflight[i].ticket != ticket)
		i++;
	if (i == e->ninflight)
		return;
	done = e->inflight[i];
	remove_inflight(e, i);
	row = guests_find(&e->guests, done.guest_id);
	if (row) {
		const struct guest *g = e->inventory ? inventory_by_id(e->inventory, row->id) : NULL;
		struct target t = { .kind = TARGET_GUEST, .guest_id = row->id, .guest = g };

		row->dirty = true;
		if (result < 0 && result != -ECANCELED && g)
			note_failure(e, &t, done.knob, result, err);
	} else if (result < 0 && !done.guest_id) {
		log_error(&e->log, LOG_WARNING, &(struct log_about){ .knob = knob_get(done.knob)->name },
			  "a group above the guests", err);
	}
	if (!row || row->inflight == 0)
		engine_mark(e);
}
