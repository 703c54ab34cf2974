/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ceph_look - all that can be known of one image: file, socket, cluster, plugins.
 */
#include <errno.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "qosd/core/mem.h"
#include "qosd/host/ceph_conf.h"
#include "qosd/host/ceph_priv.h"

/* ---- the file ---- */

static int take_file(const struct ceph_conf *conf, const struct guest_rbd *rbd,
		     struct rbd_layers *layers)
{
	char entity[sizeof(rbd->user) + 8];
	int r = 0;

	rbd_entity(rbd, entity, sizeof(entity));
	for (int k = 0; r == 0 && k < RBD_KEYS; k++) {
		const char *text = ceph_conf_get(conf, entity, rbd_keys[k].name);

		if (text)
			r = rbd_layers_set(layers, RBD_FILE, rbd_keys[k].name, text);
	}
	layers->known[RBD_FILE] = r == 0;
	return r;
}

static int look_file(const struct guest_rbd *rbd, struct ceph_image *ret,
		     struct ceph_origin *ret_origin)
{
	struct ceph_conf *conf = NULL;
	struct qerr err = { 0 };
	int r = ceph_conf_load(rbd_conf_path(rbd), &conf, &ret->file_line, &err);

	ceph_origin_read(conf, rbd_conf_path(rbd), ret_origin);
	if (r < 0) {
		snprintf(ret->file_trouble, sizeof(ret->file_trouble), "%.*s",
			 (int)sizeof(ret->file_trouble) - 1, err.text);
		ret->file = r == -ENOENT   ? RBD_FILE_MISSING
			    : r == -EINVAL ? RBD_FILE_BROKEN
					   : RBD_FILE_UNKNOWN;
		/* A file that is not there sets nothing: that is known. */
		ret->layers.known[RBD_FILE] = r == -ENOENT;
		return r == -ENOMEM ? r : 0;
	}
	ret->file = RBD_FILE_READ;
	r = take_file(conf, rbd, &ret->layers);
	ceph_conf_free(conf);
	return r;
}

/* ---- the running client ---- */

static const char *json_as_text(const json_t *value, char *buf, size_t size)
{
	if (json_is_string(value))
		return json_string_value(value);
	if (json_is_boolean(value))
		return json_is_true(value) ? "true" : "false";
	if (!json_is_number(value))
		return NULL;
	snprintf(buf, size, "%.15g", json_number_value(value));
	return buf;
}

static int take_value(struct rbd_layers *layers, enum rbd_layer layer, int key,
		      const json_t *values, const char *name)
{
	char buf[48];
	const char *text = json_as_text(json_object_get(values, name), buf, sizeof(buf));

	return text ? rbd_layers_set(layers, layer, rbd_keys[key].name, text) : 0;
}

/*
 * `config diff` names every layer but image and pool. What is overridden was set by QEMU at the
 * open (rbd_cache alone), or through the socket since then.
 */
static int take_diff(const json_t *diff, struct ceph_image *ret)
{
	char buf[48];
	int r = 0;

	for (int k = 0; r == 0 && k < RBD_KEYS; k++) {
		const json_t *values = json_object_get(diff, rbd_keys[k].name);
		const char *live =
			json_as_text(json_object_get(values, "override"), buf, sizeof(buf));

		r = take_value(&ret->open, RBD_FILE, k, values, "file");
		if (r == 0)
			r = take_value(&ret->open, RBD_MON, k, values, "mon");
		if (r == 0 && k == RBD_CACHE)
			r = take_value(&ret->open, RBD_QEMU, k, values, "override");
		else if (live)
			snprintf(ret->live[k], sizeof(ret->live[k]), "%.*s", RBD_TEXT_MAX - 1,
				 live);
	}
	ret->open.known[RBD_FILE] = ret->open.known[RBD_MON] = ret->open.known[RBD_QEMU] = r == 0;
	ret->open_known = r == 0;
	return r;
}

/* "objectcacher-librbd-<image id>-<pool>-<image>" is there where the cache serves reads. */
static bool has_object_cacher(const json_t *perf, const struct guest_rbd *rbd)
{
	static const char prefix[] = "objectcacher-";
	json_t *inner = json_object(), *counters;
	const char *name;
	bool found;

	json_object_foreach ((json_t *)perf, name, counters)
		if (strncmp(name, prefix, strlen(prefix)) == 0)
			json_object_set(inner, name + strlen(prefix), counters);
	found = ceph_asok_has_image(inner, rbd);
	json_decref(inner);
	return found;
}

#define SOCKET_US UINT64_C(1000000) /* on this thread there is time */

/* Sockets that are none of Ceph's (QEMU's monitor) are told by their name, and left alone. */
void ceph_sockets_read(int pid, struct ceph_sockets *ret)
{
	memset(ret, 0, sizeof(*ret));
	ret->count = pid > 0 ? ceph_asok_list(pid, ret->list, ARRAY_SIZE(ret->list)) : -ESRCH;
	for (int i = 0; i < ret->count && !ret->silent; i++) {
		ret->list[i].timeout_us = SOCKET_US;
		if (ceph_asok_is_ceph(&ret->list[i]))
			ret->silent = ceph_asok_command(&ret->list[i], "perf dump", &ret->perf[i],
							NULL) == -ETIMEDOUT;
	}
}

void ceph_sockets_done(struct ceph_sockets *s)
{
	for (int i = 0; i < s->count; i++)
		json_decref(s->perf[i]);
}

static int find_socket(const struct ceph_sockets *s, const struct guest_rbd *rbd)
{
	for (int i = 0; i < s->count; i++)
		if (s->perf[i] && ceph_asok_has_image(s->perf[i], rbd))
			return i;
	return -1;
}

static int look_socket(const struct ceph_sockets *sockets, const struct guest_rbd *rbd,
		       struct ceph_image *ret)
{
	int i = find_socket(sockets, rbd), r;
	json_t *answer = NULL;

	if (i < 0) {
		ret->socket = sockets->count < 0 ? RBD_SOCKET_UNKNOWN
			      : sockets->silent  ? RBD_SOCKET_SILENT
						 : RBD_SOCKET_NONE;
		return 0;
	}
	ret->socket = RBD_SOCKET_FINE;
	memcpy(ret->socket_path, sockets->list[i].path, sizeof(ret->socket_path));
	ret->object_cacher = has_object_cacher(sockets->perf[i], rbd);
	(void)ceph_asok_buffer_bytes(&sockets->list[i], &ret->buffer_bytes, NULL);
	if (ceph_asok_command(&sockets->list[i], "config diff", &answer, NULL) < 0)
		return 0;
	r = take_diff(json_object_get(answer, "diff"), ret);
	json_decref(answer);
	return r;
}

/* ---- the cluster ---- */

static void note_trouble(struct ceph_image *ret, enum rbd_cluster_state state, const char *text)
{
	ret->cluster = state;
	snprintf(ret->cluster_trouble, sizeof(ret->cluster_trouble), "%.*s",
		 (int)sizeof(ret->cluster_trouble) - 1, text);
}

enum rbd_cluster_state ceph_image_state(int r)
{
	switch (r) {
	case -ENOENT:
		return RBD_CLUSTER_GONE;
	case -EPERM:
	case -EACCES:
		return RBD_CLUSTER_DENIED;
	case -ETIMEDOUT:
	case -ENOTCONN:
	case -ECONNREFUSED:
	case -ECONNRESET:
	case -ECONNABORTED:
	case -EHOSTUNREACH:
	case -ENETUNREACH:
	case -EPIPE:
	case -ESHUTDOWN: /* our client was cut off */
		return RBD_CLUSTER_AWAY;
	default:
		return RBD_CLUSTER_ODD;
	}
}

static enum rbd_cluster_state connect_state(int r)
{
	if (r == -ENOSYS)
		return RBD_CLUSTER_NOT_BUILT;
	return r == -EACCES ? RBD_CLUSTER_DENIED : RBD_CLUSTER_AWAY;
}

void ceph_asked_open(struct ceph_asked *a, const char *conf, const char *user, uint64_t timeout_us)
{
	struct qerr err = { 0 };
	int r = ceph_cluster_open(conf, user, timeout_us, &a->cluster, &err);

	a->state = r < 0 ? connect_state(r) : RBD_CLUSTER_FINE;
	snprintf(a->trouble, sizeof(a->trouble), "%.*s", (int)sizeof(a->trouble) - 1, err.text);
	if (r < 0)
		return;
	a->origin.path = conf;
	snprintf(a->origin.fsid, sizeof(a->origin.fsid), "%s", ceph_cluster_fsid(a->cluster));
	(void)ceph_cluster_monitors(a->cluster, &a->origin, NULL);
	/* Our user is too strong where it is the guests' own administrator. */
	if (ceph_cluster_health(a->cluster, &a->full, &a->strong, &err) < 0)
		a->full = a->strong = false;
}

/* Settings of the monitors, then of pool and image. */
static int ask_cluster(const struct ceph_asked *asked, const struct guest_rbd *rbd,
		       struct ceph_image *ret, struct qerr *err)
{
	char entity[sizeof(rbd->user) + 8];
	int r;

	rbd_entity(rbd, entity, sizeof(entity));
	r = ceph_cluster_mon(asked->cluster, entity, &ret->layers, err);
	if (r == -ENOMEM || (r < 0 && ceph_image_state(r) == RBD_CLUSTER_AWAY))
		return r;
	/* A user with profile rbd alone may not ask for settings: that layer stays unknown. */
	if (r < 0)
		note_trouble(ret, RBD_CLUSTER_FINE, err->text);
	return ceph_cluster_image(asked->cluster, rbd, &ret->layers, &ret->size_bytes, err);
}

static int look_cluster(const struct ceph_asked *asked, const struct guest_rbd *rbd,
			const struct ceph_origin *file, struct ceph_image *ret)
{
	struct qerr err = { 0 };
	int r;

	if (!asked->cluster) {
		note_trouble(ret, asked->state, asked->trouble);
		return 0;
	}
	if (ceph_same_cluster(rbd, file, &asked->origin) == CEPH_OTHER) {
		note_trouble(ret, RBD_CLUSTER_OTHER,
			     rbd->monitors[0] ? rbd->monitors
			     : file->fsid[0]  ? file->fsid
					      : file->monitors);
		return 0;
	}
	ret->cluster = RBD_CLUSTER_FINE;
	ret->cluster_full = asked->full;
	ret->cluster_strong = asked->strong;
	r = ask_cluster(asked, rbd, ret, &err);
	if (r < 0)
		note_trouble(ret, ceph_image_state(r), err.text);
	return r == -ENOMEM ? r : 0;
}

/* The client takes image and pool from the cluster at its open; what they were then is not kept. */
static int copy_overrides(struct ceph_image *ret)
{
	int r = 0;

	for (int layer = RBD_POOL; layer <= RBD_IMAGE; layer++) {
		ret->open.known[layer] = ret->layers.known[layer];
		for (int k = 0; r == 0 && k < RBD_KEYS; k++)
			if (ret->layers.values[layer][k])
				r = rbd_layers_set(&ret->open, (enum rbd_layer)layer,
						   rbd_keys[k].name, ret->layers.values[layer][k]);
	}
	return r;
}

/* ---- plugins ---- */

static bool plugin_installed(const char *name)
{
	static const char *const places[] = { "/usr/lib*/ceph/librbd", "/usr/lib/*/ceph/librbd" };
	char pattern[128];
	glob_t found;
	bool any = false;

	for (size_t i = 0; !any && i < ARRAY_SIZE(places); i++) {
		snprintf(pattern, sizeof(pattern), "%s/libceph_librbd_%s.so*", places[i], name);
		any = glob(pattern, GLOB_NOSORT, NULL, &found) == 0;
		if (any)
			globfree(&found);
	}
	return any;
}

static void look_plugins(struct ceph_image *ret)
{
	struct rbd_effective e;
	const char *list;

	rbd_resolve(&ret->layers, &e);
	list = e.values[RBD_PLUGINS].text;
	while (list && *list && !ret->plugin_missing) {
		size_t len = strcspn(list, ", ");
		bool plain = len && len < sizeof(ret->plugin) && !memchr(list, '*', len) &&
			     !memchr(list, '/', len);

		if (plain) {
			memcpy(ret->plugin, list, len);
			ret->plugin[len] = '\0';
			ret->plugin_missing = !plugin_installed(ret->plugin);
		}
		list += len + (list[len] != '\0');
	}
}

int ceph_look_image(const struct ceph_asked *asked, const struct ceph_sockets *sockets,
		    const struct guest *g, const struct guest_rbd *rbd, struct ceph_image *ret)
{
	struct ceph_origin file;
	int r = look_file(rbd, ret, &file);

	rbd_layers_qemu(&ret->layers, g->disks[rbd->disk].cache);
	if (r == 0)
		r = look_socket(sockets, rbd, ret);
	if (r == 0)
		r = look_cluster(asked, rbd, &file, ret);
	if (r == 0)
		r = copy_overrides(ret);
	look_plugins(ret);
	return r;
}
