/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * rbd_trace - which files and images have settings that qosd wrote, in STATE_DIR/rbd.json.
 *
 * A guest that is shut off is in no inventory, and its image can be written only then: so this must
 * outlive both the guest and the daemon, and a reboot too. One more word is kept: that all was
 * released, until the operator says enforce.
 */
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "qosd/core/mem.h"
#include "qosd/daemon/files.h"
#include "qosd/daemon/rbd.h"

#define FILE_MAX   ((size_t)16 << 20)
#define TRACES_MAX 16384

static const char *const place_words[] = { [CEPH_FILE] = "file", [CEPH_IMAGE] = "image" };

/* ---- the list ---- */

static bool is_about(const struct rbd_trace *t, enum ceph_place place, const struct guest_rbd *rbd)
{
	if (t->place != place)
		return false;
	return place == CEPH_FILE ? strcmp(t->rbd.conf, rbd->conf) == 0
				  : guest_rbd_same(&t->rbd, rbd);
}

struct rbd_trace *rbd_trace_find(const struct rbd_watch *w, enum ceph_place place,
				 const struct guest_rbd *rbd)
{
	for (size_t i = 0; i < w->ntraces; i++)
		if (is_about(&w->traces[i], place, rbd))
			return &w->traces[i];
	return NULL;
}

void rbd_trace_add(struct rbd_watch *w, const struct ceph_put *what)
{
	struct rbd_trace *t;

	if (w->ntraces >= TRACES_MAX || rbd_trace_find(w, what->place, &what->rbd) ||
	    mem_grow(&w->traces, &w->traces_capacity, w->ntraces + 1, sizeof(*w->traces)) < 0)
		return;
	t = &w->traces[w->ntraces++];
	*t = (struct rbd_trace){ .place = what->place, .rbd = what->rbd };
	memcpy(t->guest, what->guest, sizeof(t->guest));
	w->traces_unsaved = true;
}

void rbd_trace_drop(struct rbd_watch *w, struct rbd_trace *t)
{
	*t = w->traces[--w->ntraces];
	w->traces_unsaved = true;
}

void rbd_trace_defer(struct rbd_watch *w, struct rbd_trace *t)
{
	struct rbd_trace last = *t;

	memmove(t, t + 1, (size_t)(w->traces + w->ntraces - (t + 1)) * sizeof(*t));
	last.asked = false;
	w->traces[w->ntraces - 1] = last;
}

void rbd_traces_settle(struct engine *e)
{
	struct rbd_watch *w = e->rbd;
	bool before = w->give_back;

	w->give_back = e->giving_back || (before && !engine_enforcing(e));
	w->traces_unsaved |= w->give_back != before;
}

/* ---- the file ---- */

static char *path_of(const struct engine *e, char buf[FILES_PATH_MAX])
{
	snprintf(buf, FILES_PATH_MAX, "%s/rbd.json", e->options.state_dir);
	return buf;
}

static json_t *print_trace(const struct rbd_trace *t)
{
	const struct guest_rbd *r = &t->rbd;

	return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s}", "place", place_words[t->place],
			 "guest", t->guest, "pool", r->pool, "namespace", r->ns, "image", r->image,
			 "monitors", r->monitors, "user", r->user, "conf", r->conf);
}

void rbd_traces_save(struct engine *e)
{
	struct rbd_watch *w = e->rbd;
	char path[FILES_PATH_MAX], *text = NULL;
	json_t *list, *root;
	struct qerr err = { 0 };

	if (!w->traces_unsaved)
		return;
	list = json_array();
	for (size_t i = 0; i < w->ntraces; i++)
		json_array_append_new(list, print_trace(&w->traces[i]));
	root = json_pack("{s:b, s:o}", "give_back", w->give_back, "written", list);
	text = root ? json_dumps(root, JSON_INDENT(1)) : NULL;
	json_decref(root);
	if (!text)
		qerr_set(&err, -ENOMEM, "out of memory");
	else
		(void)files_replace(path_of(e, path), text, strlen(text), false, &err);
	free(text);
	/* Tried again with the next change: to say so each minute would help nobody. */
	w->traces_unsaved = false;
	if (err.code < 0)
		log_error(&e->log, LOG_WARNING, NULL,
			  "what was written for RBD disks may not be taken out after a restart",
			  &err);
}

static bool copy(const json_t *from, const char *key, char *to, size_t size)
{
	const char *text = json_string_value(json_object_get(from, key));

	return text && (size_t)snprintf(to, size, "%s", text) < size;
}

static bool parse_trace(const json_t *from, struct ceph_put *ret)
{
	struct guest_rbd *r = &ret->rbd;
	char place[8];

	memset(ret, 0, sizeof(*ret));
	if (!copy(from, "place", place, sizeof(place)))
		return false;
	ret->place = strcmp(place, place_words[CEPH_IMAGE]) == 0 ? CEPH_IMAGE : CEPH_FILE;
	return copy(from, "guest", ret->guest, sizeof(ret->guest)) &&
	       copy(from, "pool", r->pool, sizeof(r->pool)) &&
	       copy(from, "namespace", r->ns, sizeof(r->ns)) &&
	       copy(from, "image", r->image, sizeof(r->image)) &&
	       copy(from, "monitors", r->monitors, sizeof(r->monitors)) &&
	       copy(from, "user", r->user, sizeof(r->user)) &&
	       copy(from, "conf", r->conf, sizeof(r->conf)) &&
	       (ret->place == CEPH_IMAGE || rbd_conf_path_ok(r->conf));
}

void rbd_traces_load(struct engine *e)
{
	struct rbd_watch *w = e->rbd;
	char path[FILES_PATH_MAX];
	struct ceph_put what;
	json_t *root, *one;
	size_t i;
	int r;
	char *text CLEANUP_FREE = files_read(path_of(e, path), FILE_MAX, NULL, &r);

	root = text ? json_loads(text, 0, NULL) : NULL;
	if (!json_is_object(root) && (text || r < 0))
		log_message(&e->log, LOG_WARNING, NULL,
			    "%s cannot be used: what was written for RBD disks is not known", path);
	w->give_back = json_is_true(json_object_get(root, "give_back"));
	json_array_foreach (json_object_get(root, "written"), i, one)
		if (parse_trace(one, &what))
			rbd_trace_add(w, &what);
	json_decref(root);
	w->traces_unsaved = false;
}
