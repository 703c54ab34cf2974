/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "qosd/host/ceph_cluster.h"

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <rados/librados.h>
#include <rbd/librbd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "qosd/core/mem.h"

#define FSID_MAX      40
#define METADATA_MAX  ((size_t)64 << 10)
#define METADATA_MANY 1000
#define OVERRIDE      "conf_"        /* metadata with this prefix is a setting */
#define BEFORE        "qosd_before_" /* what a setting was before ours; "" for not set */

/* The functions that are used, found at run time. */
static struct {
	pthread_once_t once;
	bool loaded;
	__typeof__(rados_create2) *create;
	__typeof__(rados_conf_read_file) *conf_read_file;
	__typeof__(rados_conf_set) *conf_set;
	__typeof__(rados_connect) *connect;
	__typeof__(rados_shutdown) *shutdown;
	__typeof__(rados_cluster_fsid) *fsid;
	__typeof__(rados_mon_command) *mon_command;
	__typeof__(rados_buffer_free) *buffer_free;
	__typeof__(rados_ioctx_create) *ioctx_create;
	__typeof__(rados_ioctx_destroy) *ioctx_destroy;
	__typeof__(rados_ioctx_set_namespace) *ioctx_set_namespace;
	__typeof__(rbd_pool_metadata_list) *pool_metadata_list;
	__typeof__(rbd_open) *open;
	__typeof__(rbd_open_read_only) *open_read_only;
	__typeof__(rbd_close) *close;
	__typeof__(rbd_get_size) *get_size;
	__typeof__(rbd_metadata_list) *metadata_list;
	__typeof__(rbd_metadata_set) *metadata_set;
	__typeof__(rbd_metadata_remove) *metadata_remove;
	__typeof__(rbd_watchers_list) *watchers_list;
	__typeof__(rbd_watchers_list_cleanup) *watchers_list_cleanup;
} lib = { .once = PTHREAD_ONCE_INIT };

static void load(void)
{
	const struct {
		const char *name;
		void *place;
	} symbols[] = {
		{ "rados_create2", &lib.create },
		{ "rados_conf_read_file", &lib.conf_read_file },
		{ "rados_conf_set", &lib.conf_set },
		{ "rados_connect", &lib.connect },
		{ "rados_shutdown", &lib.shutdown },
		{ "rados_cluster_fsid", &lib.fsid },
		{ "rados_mon_command", &lib.mon_command },
		{ "rados_buffer_free", &lib.buffer_free },
		{ "rados_ioctx_create", &lib.ioctx_create },
		{ "rados_ioctx_destroy", &lib.ioctx_destroy },
		{ "rados_ioctx_set_namespace", &lib.ioctx_set_namespace },
		{ "rbd_pool_metadata_list", &lib.pool_metadata_list },
		{ "rbd_open", &lib.open },
		{ "rbd_open_read_only", &lib.open_read_only },
		{ "rbd_close", &lib.close },
		{ "rbd_get_size", &lib.get_size },
		{ "rbd_metadata_list", &lib.metadata_list },
		{ "rbd_metadata_set", &lib.metadata_set },
		{ "rbd_metadata_remove", &lib.metadata_remove },
		{ "rbd_watchers_list", &lib.watchers_list },
		{ "rbd_watchers_list_cleanup", &lib.watchers_list_cleanup },
	};
	/* Symbols of librados are found through librbd, which needs it. */
	void *handle = dlopen("librbd.so.1", RTLD_NOW | RTLD_LOCAL);

	if (!handle)
		return;
	for (size_t i = 0; i < ARRAY_SIZE(symbols); i++) {
		void *symbol = dlsym(handle, symbols[i].name);

		if (!symbol)
			return;
		memcpy(symbols[i].place, &symbol, sizeof(symbol));
	}
	lib.loaded = true;
}

struct ceph_cluster {
	rados_t rados;
	char user[72];
	char fsid[FSID_MAX];
};

bool ceph_built_in(void)
{
	return true;
}

/* ---- the connection ---- */

static int fail(struct qerr *err, int r, const char *what)
{
	return qerr_set(err, r, "%s: %s", what, strerror(-r));
}

static int connect_error(const struct ceph_cluster *c, const char *conf, int r, struct qerr *err)
{
	if (r == -ETIMEDOUT)
		return qerr_set(err, r, "no monitor of %s answered in time", conf);
	if (r == -ENOENT || r == -EACCES || r == -EPERM || r == -EOPNOTSUPP || r == -EINVAL)
		return qerr_set(err, -EACCES,
				"%s is not known to the cluster, or its key is "
				"missing (%s)",
				c->user, strerror(-r));
	return qerr_set(err, r, "%s: %s", conf, strerror(-r));
}

static int set_limits(struct ceph_cluster *c, uint64_t timeout_us)
{
	static const char *const limits[] = { "client_mount_timeout", "rados_mon_op_timeout",
					      "rados_osd_op_timeout" };
	char seconds[24];
	int r = 0;

	snprintf(seconds, sizeof(seconds), "%llu",
		 (unsigned long long)((timeout_us + 999999) / 1000000));
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(limits); i++)
		r = lib.conf_set(c->rados, limits[i], seconds);
	/* Ours is not a guest's client: it needs neither a cache nor a socket nor a log. */
	if (r == 0)
		r = lib.conf_set(c->rados, "rbd_cache", "false");
	if (r == 0)
		r = lib.conf_set(c->rados, "admin_socket", "");
	return r == 0 ? lib.conf_set(c->rados, "log_file", "") : r;
}

static int connect_cluster(struct ceph_cluster *c, const char *conf, uint64_t timeout_us,
			   struct qerr *err)
{
	int r = lib.conf_read_file(c->rados, conf);

	if (r < 0)
		return qerr_set(err, r, "%s cannot be read as Ceph's configuration: %s", conf,
				strerror(-r));
	r = set_limits(c, timeout_us);
	if (r < 0)
		return fail(err, r, "Ceph's client takes no time limits");
	r = lib.connect(c->rados);
	if (r < 0)
		return connect_error(c, conf, r, err);
	if (lib.fsid(c->rados, c->fsid, sizeof(c->fsid)) < 0)
		c->fsid[0] = '\0';
	return 0;
}

int ceph_cluster_open(const char *conf, const char *user, uint64_t timeout_us,
		      struct ceph_cluster **ret, struct qerr *err)
{
	struct ceph_cluster *c;
	int r;

	pthread_once(&lib.once, load);
	if (!lib.loaded)
		return qerr_set(err, -ENOSYS, "librbd is not installed; apt-get install librbd1");
	c = calloc(1, sizeof(*c));
	if (!c)
		return qerr_set(err, -ENOMEM, "out of memory");
	snprintf(c->user, sizeof(c->user), "client.%s", user);
	r = lib.create(&c->rados, "ceph", c->user, 0);
	if (r < 0) {
		free(c);
		return fail(err, r, "Ceph's client cannot be made");
	}
	r = connect_cluster(c, conf, timeout_us, err);
	if (r < 0) {
		ceph_cluster_close(c);
		return r;
	}
	*ret = c;
	return 0;
}

void ceph_cluster_close(struct ceph_cluster *c)
{
	if (!c)
		return;
	lib.shutdown(c->rados);
	free(c);
}

const char *ceph_cluster_fsid(const struct ceph_cluster *c)
{
	return c->fsid;
}

/* ---- the monitors ---- */

json_t *ceph_cluster_ask(struct ceph_cluster *c, const char *request, int *ret_r)
{
	const char *command[] = { request };
	char *out = NULL, *status = NULL;
	size_t out_len = 0, status_len = 0;
	json_t *json = NULL;

	*ret_r = lib.mon_command(c->rados, command, 1, "", 0, &out, &out_len, &status, &status_len);
	if (*ret_r == 0) {
		json = json_loadb(out, out_len, JSON_DECODE_INT_AS_REAL, NULL);
		*ret_r = json ? 0 : -EPROTO;
	}
	lib.buffer_free(out);
	lib.buffer_free(status);
	return json;
}

/* ---- images ---- */

static int open_pool(struct ceph_cluster *c, const struct guest_rbd *rbd, rados_ioctx_t *ret,
		     struct qerr *err)
{
	int r = lib.ioctx_create(c->rados, rbd->pool, ret);

	if (r < 0)
		return qerr_set(err, r, "pool %s: %s", rbd->pool, strerror(-r));
	lib.ioctx_set_namespace(*ret, rbd->ns);
	return 0;
}

typedef int (*visit)(void *user, const char *key, const char *value);

/* Lists of NUL-ended keys and values. */
static int walk(const char *keys, size_t keys_len, const char *values, size_t values_len,
		visit visitor, void *user)
{
	const char *key_end = keys + keys_len, *value_end = values + values_len;
	int r = 0;

	while (r == 0 && keys < key_end && values < value_end) {
		r = visitor(user, keys, values);
		keys += strnlen(keys, (size_t)(key_end - keys)) + 1;
		values += strnlen(values, (size_t)(value_end - values)) + 1;
	}
	return r;
}

/* All metadata of an image, or with image NULL of the pool. */
static int each_metadata(rados_ioctx_t pool, rbd_image_t image, visit visitor, void *user)
{
	char *keys CLEANUP_FREE = malloc(METADATA_MAX + 1);
	char *values CLEANUP_FREE = malloc(METADATA_MAX + 1);
	size_t keys_len = METADATA_MAX, values_len = METADATA_MAX;
	int r;

	if (!keys || !values)
		return -ENOMEM;
	if (image)
		r = lib.metadata_list(image, "", METADATA_MANY, keys, &keys_len, values,
				      &values_len);
	else
		r = lib.pool_metadata_list(pool, "", METADATA_MANY, keys, &keys_len, values,
					   &values_len);
	if (r < 0)
		return r == -ENOENT && !image ? 0 : r;
	keys[keys_len] = values[values_len] = '\0';
	return walk(keys, keys_len, values, values_len, visitor, user);
}

struct into {
	struct rbd_layers *layers;
	enum rbd_layer layer;
};

static int add_override(void *user, const char *key, const char *value)
{
	struct into *into = user;

	if (strncmp(key, OVERRIDE, strlen(OVERRIDE)) != 0)
		return 0;
	return rbd_layers_set(into->layers, into->layer, key + strlen(OVERRIDE), value);
}

static int read_image(rados_ioctx_t pool, const struct guest_rbd *rbd, struct rbd_layers *layers,
		      uint64_t *ret_size_bytes)
{
	struct into into = { layers, RBD_IMAGE };
	rbd_image_t image;
	int r = lib.open_read_only(pool, rbd->image, &image,
				   rbd->snapshot[0] ? rbd->snapshot : NULL);

	if (r < 0)
		return r;
	r = each_metadata(pool, image, add_override, &into);
	if (lib.get_size(image, ret_size_bytes) < 0)
		*ret_size_bytes = 0;
	lib.close(image);
	layers->known[RBD_IMAGE] = r == 0;
	return r;
}

int ceph_cluster_image(struct ceph_cluster *c, const struct guest_rbd *rbd,
		       struct rbd_layers *layers, uint64_t *ret_size_bytes, struct qerr *err)
{
	struct into into = { layers, RBD_POOL };
	rados_ioctx_t pool;
	int r = open_pool(c, rbd, &pool, err);

	if (r < 0)
		return r;
	r = each_metadata(pool, NULL, add_override, &into);
	layers->known[RBD_POOL] = r == 0;
	if (r == 0)
		r = read_image(pool, rbd, layers, ret_size_bytes);
	lib.ioctx_destroy(pool);
	return r < 0 ? qerr_set(err, r, "image %s/%s: %s", rbd->pool, rbd->image, strerror(-r)) : 0;
}

/* ---- overrides ---- */

struct kept { /* of one image, as it is */
	char now[RBD_KEYS][RBD_TEXT_MAX], before[RBD_KEYS][RBD_TEXT_MAX];
	bool is_set[RBD_KEYS], ours[RBD_KEYS];
};

static int note_kept(void *user, const char *key, const char *value)
{
	struct kept *k = user;
	bool before = strncmp(key, BEFORE, strlen(BEFORE)) == 0;
	size_t skip = strlen(before ? BEFORE : OVERRIDE);
	int index;

	if (!before && strncmp(key, OVERRIDE, skip) != 0)
		return 0;
	index = rbd_key_find(key + skip);
	if (index < 0)
		return 0;
	snprintf(before ? k->before[index] : k->now[index], RBD_TEXT_MAX, "%s", value);
	if (before)
		k->ours[index] = true;
	else
		k->is_set[index] = true;
	return 0;
}

static int set_or_remove(rbd_image_t image, const char *name, const char *value)
{
	int r = value ? lib.metadata_set(image, name, value) : lib.metadata_remove(image, name);

	return r == -ENOENT && !value ? 0 : r;
}

/* What was before goes first, so that it is never lost. 1 when something was written. */
static int put_key(rbd_image_t image, const struct kept *k, const struct rbd_wanted *wanted,
		   int key)
{
	char name[96], before[96];
	int r = 0;

	snprintf(name, sizeof(name), OVERRIDE "%s", rbd_keys[key].name);
	snprintf(before, sizeof(before), BEFORE "%s", rbd_keys[key].name);
	if (!wanted->set[key]) {
		if (!k->ours[key])
			return 0;
		r = set_or_remove(image, name, k->before[key][0] ? k->before[key] : NULL);
		return r < 0 ? r : set_or_remove(image, before, NULL) < 0 ? -EIO : 1;
	}
	if (k->is_set[key] && strcmp(k->now[key], wanted->text[key]) == 0)
		return 0;
	if (!k->ours[key])
		r = set_or_remove(image, before, k->is_set[key] ? k->now[key] : "");
	if (r == 0)
		r = set_or_remove(image, name, wanted->text[key]);
	return r < 0 ? r : 1;
}

static int put_all(rados_ioctx_t pool, rbd_image_t image, const struct rbd_wanted *wanted)
{
	struct kept k = { 0 };
	int r = each_metadata(pool, image, note_kept, &k), n = 0;

	for (int key = 0; r >= 0 && key < RBD_KEYS; key++) {
		r = put_key(image, &k, wanted, key);
		n += r > 0;
	}
	return r < 0 ? r : n;
}

/* A read-only look, which leaves no watch of its own: somebody has the image open, or not. */
static int check_closed(rados_ioctx_t pool, const struct guest_rbd *rbd)
{
	rbd_image_watcher_t watchers[8];
	size_t count = ARRAY_SIZE(watchers);
	rbd_image_t image;
	int r = lib.open_read_only(pool, rbd->image, &image, NULL);

	if (r < 0)
		return r;
	r = lib.watchers_list(image, watchers, &count);
	if (r == 0) {
		lib.watchers_list_cleanup(watchers, count);
		r = count ? -EBUSY : 0;
	} else if (r == -ERANGE) {
		r = -EBUSY;
	}
	lib.close(image);
	return r;
}

int ceph_cluster_put(struct ceph_cluster *c, const struct guest_rbd *rbd,
		     const struct rbd_wanted *wanted, struct qerr *err)
{
	rados_ioctx_t pool;
	rbd_image_t image;
	int r = open_pool(c, rbd, &pool, err);

	if (r < 0)
		return r;
	r = check_closed(pool, rbd);
	if (r == 0)
		r = lib.open(pool, rbd->image, &image, NULL);
	if (r == 0) {
		r = put_all(pool, image, wanted);
		lib.close(image);
	}
	lib.ioctx_destroy(pool);
	if (r == -EBUSY)
		return qerr_set(err, r, "image %s/%s is open: its settings are left alone",
				rbd->pool, rbd->image);
	return r < 0 ? qerr_set(err, r, "image %s/%s: %s", rbd->pool, rbd->image, strerror(-r)) : r;
}
