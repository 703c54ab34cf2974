/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "qosd/daemon/rbd.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>

#include "qosd/core/mem.h"

#define LOOK_US     UINT64_C(60000000)
#define ACCURACY_US UINT64_C(1000000)
#define STOP_US     UINT64_C(500000)

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

static void take_look(struct engine *e, struct ceph_look *look)
{
	struct rbd_row *row = rbd_row_find(e->rbd, look->guest_id);
	bool changed;

	if (!row) {
		ceph_look_free(look);
		return;
	}
	ceph_look_free(row->latest);
	row->latest = look;
	row->first = ceph_look_in_force(row->first, look, &changed);
	if (changed)
		engine_mark(e); /* its memory counts */
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

static int on_ceph(sd_event_source *s, int fd, uint32_t events, void *user)
{
	struct engine *e = user;
	struct ceph_look *look;

	(void)s, (void)fd, (void)events;
	ceph_collect(e->rbd->ceph);
	while ((look = ceph_take_look(e->rbd->ceph)))
		take_look(e, look);
	rbd_take_written(e);
	take_daemons(e);
	return 0;
}

/* ---- all of it, now and then ---- */

static void attend_all(struct engine *e)
{
	for (size_t i = 0; e->inventory && i < e->inventory->count; i++)
		look_at(e, e->inventory->guests[i]);
	rbd_write_all(e);
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
	rbd_traces_settle(e);
	attend_all(e);
}

/* ---- life ---- */

static int on_timer(sd_event_source *s, uint64_t usec, void *user)
{
	struct engine *e = user;
	int r;

	(void)usec;
	attend_all(e);
	ceph_look_at_daemons(e->rbd->ceph);
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
	rbd_traces_load(e);
	rbd_settle(e);
	ceph_look_at_daemons(e->rbd->ceph);
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
	free(e->rbd->traces);
	ceph_free(e->rbd->ceph, STOP_US);
	free(e->rbd);
	e->rbd = NULL;
}
