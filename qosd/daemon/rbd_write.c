/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * rbd_write - settings of classes, written for the next open of an image: into the guest's own
 * ceph.conf, or as overrides of the image while it is closed.
 *
 * All of it is done on the thread of Ceph, but for the file of a guest that is about to start: that
 * must be there when the hook's question is answered. What was written once leaves a trace
 * (rbd_trace.c), by which it is taken out again when it is not wanted any more: after a release, or
 * when ceph.apply names another place. Nothing is taken out because qosd only observes.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "qosd/daemon/rbd.h"

#define DEFAULT_CONF "/etc/ceph/ceph.conf"
#define AT_A_TIME    64 /* of what is taken out */

/* Where the policy has settings written. */
static bool is_place(const struct engine *e, enum ceph_place place)
{
	return e->policy->ceph.apply == (place == CEPH_FILE ? CEPH_APPLY_FILE : CEPH_APPLY_IMAGE);
}

static bool given_back(struct engine *e, const struct guest *g)
{
	const struct guest *running = e->inventory ? inventory_find(e->inventory, g->uuid) : NULL;
	const struct guest_row *row = running ? guests_find(&e->guests, running->id) : NULL;

	return row && row->released;
}

/* Is what was written there not wanted any more, whoever it is of? */
static bool all_back(struct engine *e, enum ceph_place place)
{
	return e->rbd->give_back || (engine_enforcing(e) && !is_place(e, place));
}

static void fill(const struct engine *e, const char *guest, const struct guest_rbd *rbd,
		 enum ceph_place place, struct ceph_put *ret)
{
	*ret = (struct ceph_put){ .place = place, .rbd = *rbd };
	snprintf(ret->guest, sizeof(ret->guest), "%s", guest);
	snprintf(ret->base, sizeof(ret->base), "%s",
		 e->policy->ceph.conf ? e->policy->ceph.conf : DEFAULT_CONF);
}

static bool can_be_put(const struct guest_rbd *rbd, enum ceph_place place)
{
	if (place == CEPH_FILE)
		return rbd_conf_path_ok(rbd->conf);
	return rbd->image[0] && !rbd->snapshot[0];
}

/*
 * What is to be written for a disk: what the class asks for; nothing, so that what was before comes
 * back, where it is given back. false: it is left as it is.
 */
static bool wanted_of(struct engine *e, const struct guest *g, const struct guest_rbd *rbd,
		      enum ceph_place place, struct ceph_put *ret)
{
	struct assignment assign;
	bool back;

	if (e->options.observe || !can_be_put(rbd, place))
		return false;
	fill(e, g->name ? g->name : g->uuid, rbd, place, ret);
	if (all_back(e, place)) {
		ret->back = true;
		return place == CEPH_FILE || rbd_trace_find(e->rbd, place, rbd);
	}
	back = given_back(e, g);
	if (!is_place(e, place) || (!back && !engine_enforcing(e)))
		return false;
	classify(e->policy, g, &assign);
	if (!back)
		rbd_wanted(&assign.effective.rbd, g->disks[rbd->disk].cache, &ret->wanted);
	return true;
}

/* The first disk of each file decides: they have one class, and mostly one cache mode. */
static bool has_own_file(const struct guest *g, size_t k)
{
	for (size_t i = 0; i < k; i++)
		if (strcmp(g->rbds[i].conf, g->rbds[k].conf) == 0)
			return false;
	return true;
}

/* The trace comes first: what is written and not known of would stay. */
static void put(struct engine *e, const struct ceph_put *what)
{
	if (what->wanted.any)
		rbd_trace_add(e->rbd, what);
	(void)ceph_put(e->rbd->ceph, what);
}

static void put_now(struct engine *e, const struct ceph_put *what)
{
	struct ceph_written w = { .put = *what };

	if (what->wanted.any)
		rbd_trace_add(e->rbd, what);
	w.result = ceph_put_file(what, &w.err);
	rbd_written(e, &w);
}

static void put_all(struct engine *e, const struct guest *g, enum ceph_place place, bool now)
{
	struct ceph_put what;

	for (size_t k = 0; k < g->nrbds; k++) {
		if ((place == CEPH_FILE && !has_own_file(g, k)) ||
		    !wanted_of(e, g, &g->rbds[k], place, &what))
			continue;
		if (now)
			put_now(e, &what);
		else
			put(e, &what);
	}
}

void rbd_hook(struct engine *e, struct guest *g, const char *phase)
{
	bool starts = strcmp(phase, "prepare") == 0;

	if (!e->rbd || !g->nrbds)
		return;
	if (starts)
		put_all(e, g, CEPH_FILE, true);
	if (starts || strcmp(phase, "release") == 0)
		put_all(e, g, CEPH_IMAGE, false);
	rbd_traces_save(e);
}

static bool is_open(const struct engine *e, const struct guest_rbd *rbd)
{
	for (size_t i = 0; e->inventory && i < e->inventory->count; i++)
		for (size_t k = 0; k < e->inventory->guests[i]->nrbds; k++)
			if (guest_rbd_same(&e->inventory->guests[i]->rbds[k], rbd))
				return true;
	return false;
}

/* An open image waits for its guest's end: the hook tells of that, or the next time does. */
static void take_out(struct engine *e)
{
	struct rbd_watch *w = e->rbd;
	struct ceph_put what;
	size_t n = 0;

	for (size_t i = 0; i < w->ntraces && n < AT_A_TIME; i++) {
		struct rbd_trace *t = &w->traces[i];

		if (t->asked || !all_back(e, t->place) ||
		    (t->place == CEPH_IMAGE && (!e->inventory || is_open(e, &t->rbd))))
			continue;
		fill(e, t->guest, &t->rbd, t->place, &what);
		what.back = what.quiet = true;
		t->asked = ceph_put(w->ceph, &what) == 0;
		n++;
	}
}

void rbd_write_all(struct engine *e)
{
	if (e->options.observe)
		return;
	for (size_t i = 0; e->inventory && is_place(e, CEPH_FILE) && i < e->inventory->count; i++)
		put_all(e, e->inventory->guests[i], CEPH_FILE, false);
	take_out(e);
	rbd_traces_save(e);
}

/* ---- outcomes ---- */

static void tell(struct engine *e, const struct ceph_written *w)
{
	const char *guest = w->put.guest;
	struct log_about about = { .guest = guest, .error = w->result < 0 ? w->result : 0 };
	char spec[RBD_SPEC_MAX];
	bool file = w->put.place == CEPH_FILE;

	if (w->result > 0 && file)
		log_message(&e->log, LOG_INFO, &about, "%s: %s is written for its next start",
			    guest, w->put.rbd.conf);
	else if (w->result > 0)
		log_message(&e->log, LOG_INFO, &about,
			    "%s: %d settings of image %s are written for its next open", guest,
			    w->result, rbd_spec(&w->put.rbd, spec, sizeof(spec)));
	else if (w->result < 0 && !w->put.quiet && !(file && w->result == -EPERM))
		log_message(&e->log, LOG_WARNING, &about,
			    "%s: settings for the next open are not written: %s", guest,
			    w->err.text);
}

/* An image that has gone has nothing of ours, nor has a file that is the operator's. */
static bool has_nothing(const struct ceph_written *w)
{
	if (!w->put.wanted.any && w->result >= 0)
		return true;
	return w->result == (w->put.place == CEPH_IMAGE ? -ENOENT : -EPERM);
}

void rbd_written(struct engine *e, const struct ceph_written *w)
{
	struct rbd_trace *t = rbd_trace_find(e->rbd, w->put.place, &w->put.rbd);

	if (w->put.place == CEPH_IMAGE) {
		e->rbd->last = *w;
		e->rbd->any_written = true;
	}
	tell(e, w);
	if (!t)
		return;
	if (has_nothing(w))
		rbd_trace_drop(e->rbd, t);
	else
		rbd_trace_defer(e->rbd, t);
}

void rbd_take_written(struct engine *e)
{
	struct ceph_written w;

	while (ceph_take_written(e->rbd->ceph, &w))
		rbd_written(e, &w);
	rbd_traces_save(e);
}
