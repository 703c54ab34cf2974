/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "qosd/daemon/rbd.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>

#include "qosd/core/mem.h"

#define LOOK_US      UINT64_C(60000000)
#define ACCURACY_US  UINT64_C(1000000)
#define STOP_US      UINT64_C(500000)
#define DEFAULT_CONF "/etc/ceph/ceph.conf"

/* ---- rows ---- */

static size_t row_place(const struct rbd_watch *w, uint32_t guest_id)
{
	size_t low = 0, high = w->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (w->rows[middle].guest_id < guest_id)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

struct rbd_row *rbd_row_find(const struct rbd_watch *w, uint32_t guest_id)
{
	size_t i = w ? row_place(w, guest_id) : 0;

	return w && i < w->count && w->rows[i].guest_id == guest_id ? &w->rows[i] : NULL;
}

static struct rbd_row *row_add(struct rbd_watch *w, uint32_t guest_id)
{
	size_t i = row_place(w, guest_id);

	if (i < w->count && w->rows[i].guest_id == guest_id)
		return &w->rows[i];
	if (mem_grow(&w->rows, &w->capacity, w->count + 1, sizeof(*w->rows)) < 0)
		return NULL;
	memmove(&w->rows[i + 1], &w->rows[i], (w->count - i) * sizeof(*w->rows));
	w->rows[i] = (struct rbd_row){ .guest_id = guest_id };
	w->count++;
	return &w->rows[i];
}

static void row_clear(struct rbd_row *row)
{
	if (row->latest != row->first)
		ceph_look_free(row->latest);
	ceph_look_free(row->first);
}

static void drop_rows_without_guest(struct engine *e)
{
	struct rbd_watch *w = e->rbd;
	size_t kept = 0;

	for (size_t i = 0; i < w->count; i++) {
		if (inventory_by_id(e->inventory, w->rows[i].guest_id))
			w->rows[kept++] = w->rows[i];
		else
			row_clear(&w->rows[i]);
	}
	w->count = kept;
}

/* ---- looking ---- */

static void look_at(struct engine *e, struct guest *g)
{
	struct rbd_row *row = g->nrbds ? row_add(e->rbd, g->id) : NULL;

	if (row && ceph_look_at(e->rbd->ceph, g) == 0)
		row->asked = g;
}

void rbd_new_inventory(struct engine *e)
{
	if (!e->rbd)
		return;
	drop_rows_without_guest(e);
	for (size_t i = 0; i < e->inventory->count; i++) {
		struct guest *g = e->inventory->guests[i];
		struct rbd_row *row = rbd_row_find(e->rbd, g->id);

		if (!row || row->asked != g)
			look_at(e, g);
	}
}

static bool knows_overrides(const struct ceph_look *l)
{
	for (size_t i = 0; i < l->count; i++)
		if (!l->images[i].layers.known[RBD_IMAGE])
			return false;
	return true;
}

/*
 * The first look stays what is in force, unless it could not see all of it or is of other disks
 * (one was plugged or unplugged).
 */
static void take_look(struct engine *e, struct ceph_look *look)
{
	struct rbd_row *row = rbd_row_find(e->rbd, look->guest_id);

	if (!row) {
		ceph_look_free(look);
		return;
	}
	if (row->latest != row->first)
		ceph_look_free(row->latest);
	row->latest = look;
	if (!row->first || row->first->count != look->count ||
	    (!knows_overrides(row->first) && knows_overrides(look))) {
		ceph_look_free(row->first);
		row->first = look;
		engine_mark(e); /* its memory counts */
	}
}

static void take_daemons(struct engine *e)
{
	uint64_t reserve;

	if (!ceph_take_daemons(e->rbd->ceph, &e->rbd->daemons))
		return;
	e->rbd->daemons_known = true;
	reserve = rbd_daemons_reserve(&e->rbd->daemons);
	if (reserve == e->host->services_bytes)
		return;
	e->host->services_bytes = reserve;
	engine_mark(e);
}

static void take_written(struct engine *e)
{
	struct ceph_written w;

	while (ceph_take_written(e->rbd->ceph, &w)) {
		struct log_about about = { .guest = w.guest, .error = w.result };

		e->rbd->last = w;
		e->rbd->any_written = true;
		if (w.result > 0)
			log_message(&e->log, LOG_INFO, &about,
				    "%s: %d settings of image %s are written for its next open",
				    w.guest, w.result, w.spec);
		else if (w.result < 0)
			log_message(&e->log, LOG_WARNING, &about,
				    "%s: settings for the next open are not written: %s", w.guest,
				    w.err.text);
	}
}

static int on_ceph(sd_event_source *s, int fd, uint32_t events, void *user)
{
	struct engine *e = user;
	struct ceph_look *look;

	(void)s, (void)fd, (void)events;
	ceph_collect(e->rbd->ceph);
	while ((look = ceph_take_look(e->rbd->ceph)))
		take_look(e, look);
	take_written(e);
	take_daemons(e);
	return 0;
}

/* ---- writing for the next open ---- */

static const char *base_conf(const struct engine *e)
{
	return e->policy->ceph.conf ? e->policy->ceph.conf : DEFAULT_CONF;
}

static bool given_back(struct engine *e, const struct guest *g)
{
	const struct guest *running = e->inventory ? inventory_find(e->inventory, g->uuid) : NULL;
	const struct guest_row *row = running ? guests_find(&e->guests, running->id) : NULL;

	return row && row->released;
}

/*
 * What is to be written for a disk: what the class asks for; nothing, so that what was before comes
 * back, for a guest that is given back. false: it is left as it is.
 */
static bool wanted_of(struct engine *e, const struct guest *g, const struct guest_rbd *rbd,
		      struct rbd_wanted *ret)
{
	bool back = given_back(e, g);
	struct assignment assign;

	memset(ret, 0, sizeof(*ret));
	if (e->options.observe || (!back && !engine_enforcing(e)))
		return false;
	classify(e->policy, g, &assign);
	if (!back)
		rbd_wanted(&assign.effective.rbd, g->disks[rbd->disk].cache, ret);
	return true;
}

static void put_file(struct engine *e, const struct guest *g, const struct guest_rbd *rbd)
{
	char entity[sizeof(rbd->user) + 8];
	struct rbd_wanted wanted;
	struct qerr err = { 0 };
	int r;

	if (!rbd_conf_path_ok(rbd->conf) || !wanted_of(e, g, rbd, &wanted))
		return;
	r = ceph_file_put(rbd->conf, base_conf(e), rbd_entity(rbd, entity, sizeof(entity)), &wanted,
			  &err);
	if (r > 0)
		log_message(&e->log, LOG_INFO, &(struct log_about){ .guest = g->name },
			    "%s: %s is written for its next start", g->name, rbd->conf);
	else if (r < 0 && r != -EPERM)
		log_message(&e->log, LOG_WARNING,
			    &(struct log_about){ .guest = g->name, .error = r }, "%s: %s", g->name,
			    err.text);
}

/* The first disk of each file decides: they have one class, and mostly one cache mode. */
static bool has_own_file(const struct guest *g, size_t k)
{
	for (size_t i = 0; i < k; i++)
		if (strcmp(g->rbds[i].conf, g->rbds[k].conf) == 0)
			return false;
	return true;
}

static void put_files(struct engine *e, const struct guest *g)
{
	for (size_t k = 0; e->policy->ceph.apply == CEPH_APPLY_FILE && k < g->nrbds; k++)
		if (has_own_file(g, k))
			put_file(e, g, &g->rbds[k]);
}

static void put_images(struct engine *e, const struct guest *g)
{
	struct rbd_wanted wanted;

	for (size_t k = 0; e->policy->ceph.apply == CEPH_APPLY_IMAGE && k < g->nrbds; k++) {
		if (g->rbds[k].image[0] && !g->rbds[k].snapshot[0] &&
		    wanted_of(e, g, &g->rbds[k], &wanted))
			(void)ceph_image_put(e->rbd->ceph, g, &g->rbds[k], &wanted);
	}
}

void rbd_hook(struct engine *e, struct guest *g, const char *phase)
{
	if (!e->rbd || !g->nrbds)
		return;
	if (strcmp(phase, "prepare") == 0)
		put_files(e, g);
	if (strcmp(phase, "prepare") == 0 || strcmp(phase, "release") == 0)
		put_images(e, g);
}

static void attend_all(struct engine *e)
{
	for (size_t i = 0; e->inventory && i < e->inventory->count; i++) {
		put_files(e, e->inventory->guests[i]);
		look_at(e, e->inventory->guests[i]);
	}
}

void rbd_settle(struct engine *e)
{
	struct ceph_config config = {
		.conf = e->policy->ceph.conf,
		.user = e->policy->ceph.user,
		.timeout_us = e->policy->ceph.timeout_us,
	};

	if (!e->rbd)
		return;
	ceph_configure(e->rbd->ceph, &config);
	attend_all(e);
}

/* ---- life ---- */

static int on_timer(sd_event_source *s, uint64_t usec, void *user)
{
	struct engine *e = user;
	int r;

	(void)usec;
	attend_all(e);
	(void)ceph_look_at_daemons(e->rbd->ceph);
	r = sd_event_source_set_time(s, engine_now_us(e) + LOOK_US);
	return r < 0 ? r : sd_event_source_set_enabled(s, SD_EVENT_ONESHOT);
}

int rbd_start(struct engine *e, struct qerr *err)
{
	int r;

	e->rbd = calloc(1, sizeof(*e->rbd));
	if (!e->rbd)
		return qerr_set(err, -ENOMEM, "out of memory");
	r = ceph_new(&e->rbd->ceph, err);
	if (r < 0)
		return r;
	rbd_settle(e);
	(void)ceph_look_at_daemons(e->rbd->ceph);
	r = sd_event_add_io(e->event, NULL, ceph_fd(e->rbd->ceph), EPOLLIN, on_ceph, e);
	if (r >= 0)
		r = sd_event_add_time(e->event, &e->rbd->timer, CLOCK_MONOTONIC,
				      engine_now_us(e) + LOOK_US, ACCURACY_US, on_timer, e);
	return r < 0 ? qerr_set(err, r, "cannot watch Ceph: %s", strerror(-r)) : 0;
}

void rbd_stop(struct engine *e)
{
	if (!e->rbd)
		return;
	sd_event_source_unref(e->rbd->timer);
	for (size_t i = 0; i < e->rbd->count; i++)
		row_clear(&e->rbd->rows[i]);
	free(e->rbd->rows);
	ceph_free(e->rbd->ceph, STOP_US);
	free(e->rbd);
	e->rbd = NULL;
}
