/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "qosd/core/rbd.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "qosd/core/arena.h"
#include "qosd/core/mem.h"

#define MIB          (UINT64_C(1) << 20)
#define GIB          (UINT64_C(1) << 30)
#define IMAGE_BYTES  (3 * MIB) /* of an open image without a cache */
#define SECOND_US    1000000
#define SECONDS_MAX  UINT64_C(1000000000)
#define DEFAULT_CONF "/etc/ceph/ceph.conf"

static const char *const policy_words[] = { "writethrough", "writeback", "writearound", NULL };
static const char *const pwl_words[] = { "disabled", "rwl", "ssd", NULL };
const char *const rbd_mode_names[] = { "none", "writethrough", "writeback", "writearound" };

/* clang-format off */
const struct rbd_key_row rbd_keys[RBD_KEYS] = {
	[RBD_CACHE] = { "rbd_cache", RBD_BOOL, "true", NULL, 0 },
	[RBD_CACHE_POLICY] = { "rbd_cache_policy", RBD_WORD, "writearound", policy_words, 0 },
	[RBD_CACHE_WTUF] = { "rbd_cache_writethrough_until_flush", RBD_BOOL, "true", NULL, 0 },
	[RBD_CACHE_SIZE] = { "rbd_cache_size", RBD_SIZE, "33554432", NULL, 0 },
	[RBD_CACHE_MAX_DIRTY] = { "rbd_cache_max_dirty", RBD_SIZE, "25165824", NULL, 0 },
	[RBD_CACHE_TARGET_DIRTY] = { "rbd_cache_target_dirty", RBD_SIZE, "16777216", NULL, 0 },
	[RBD_CACHE_MAX_DIRTY_AGE] = { "rbd_cache_max_dirty_age", RBD_SECONDS, "1", NULL, 0 },
	[RBD_PLUGINS] = { "rbd_plugins", RBD_TEXT, "", NULL, 0 },
	[RBD_PWL_MODE] = { "rbd_persistent_cache_mode", RBD_WORD, "disabled", pwl_words, 0 },
	[RBD_PWL_SIZE] = { "rbd_persistent_cache_size", RBD_COUNT, "1073741824", NULL, GIB },
	[RBD_PWL_PATH] = { "rbd_persistent_cache_path", RBD_TEXT, "/tmp", NULL, 0 },
	[RBD_PARENT_CACHE] = { "rbd_parent_cache_enabled", RBD_BOOL, "false", NULL, 0 },
	[RBD_QOS_IOPS] = { "rbd_qos_iops_limit", RBD_COUNT, "0", NULL, 0 },
	[RBD_QOS_BPS] = { "rbd_qos_bps_limit", RBD_COUNT, "0", NULL, 0 },
	[RBD_QOS_READ_IOPS] = { "rbd_qos_read_iops_limit", RBD_COUNT, "0", NULL, 0 },
	[RBD_QOS_READ_BPS] = { "rbd_qos_read_bps_limit", RBD_COUNT, "0", NULL, 0 },
	[RBD_QOS_WRITE_IOPS] = { "rbd_qos_write_iops_limit", RBD_COUNT, "0", NULL, 0 },
	[RBD_QOS_WRITE_BPS] = { "rbd_qos_write_bps_limit", RBD_COUNT, "0", NULL, 0 },
	[RBD_ADMIN_SOCKET] = { "admin_socket", RBD_TEXT, "", NULL, 0 },
};
/* clang-format on */

int rbd_key_find(const char *name)
{
	for (int k = 0; k < RBD_KEYS; k++)
		if (strcmp(rbd_keys[k].name, name) == 0)
			return k;
	return -1;
}

/* ---- texts, by Ceph's own rules ---- */

/* Digits with an optional '+'; where they end. NULL: there are none, or too many. */
static const char *parse_digits(const char *p, uint64_t *ret)
{
	uint64_t n = 0;

	p += *p == '+';
	if (!isdigit((unsigned char)*p))
		return NULL;
	for (; isdigit((unsigned char)*p); p++) {
		unsigned int digit = (unsigned int)(*p - '0');

		if (n > ((uint64_t)INT64_MAX - digit) / 10)
			return NULL;
		n = n * 10 + digit;
	}
	*ret = n;
	return p;
}

static int scale(uint64_t n, uint64_t by, unsigned int times, uint64_t *ret)
{
	for (; times; times--) {
		if (n > INT64_MAX / by)
			return -EINVAL;
		n *= by;
	}
	*ret = n;
	return 0;
}

static int parse_scaled(const char *text, uint64_t by, uint64_t *ret)
{
	static const char letters[] = "KMGTPE";
	uint64_t n;
	const char *p = parse_digits(text, &n), *letter;
	bool iec = by == 1024;

	if (!p)
		return -EINVAL;
	if (!*p || (iec && strcmp(p, "B") == 0)) {
		*ret = n;
		return 0;
	}
	letter = strchr(letters, *p++);
	if (!letter || (*p && !(iec && (strcmp(p, "i") == 0 || strcmp(p, "B") == 0))))
		return -EINVAL;
	return scale(n, by, (unsigned int)(letter - letters) + 1, ret);
}

static int parse_bool(const char *text, uint64_t *ret)
{
	const char *digits = text + (*text == '-');
	uint64_t n;

	if (strcasecmp(text, "true") == 0 || strcasecmp(text, "false") == 0) {
		*ret = tolower((unsigned char)*text) == 't';
		return 0;
	}
	digits = parse_digits(digits, &n);
	if (!digits || *digits)
		return -EINVAL;
	*ret = n != 0;
	return 0;
}

/* "2.5" as microseconds; a negative age is no age. */
static int parse_seconds(const char *text, uint64_t *ret)
{
	bool minus = *text == '-';
	uint64_t whole, part = 0;
	const char *p = parse_digits(text + minus, &whole);

	if (!p || whole > SECONDS_MAX)
		return -EINVAL;
	if (*p == '.')
		for (uint64_t unit = SECOND_US / 10; isdigit((unsigned char)*++p); unit /= 10)
			part += (uint64_t)(*p - '0') * unit;
	if (*p)
		return -EINVAL;
	*ret = minus ? 0 : whole * SECOND_US + part;
	return 0;
}

static int parse_word(const char *const *words, const char *text, uint64_t *ret)
{
	for (uint64_t i = 0; words[i]; i++) {
		if (strcmp(words[i], text) == 0) {
			*ret = i;
			return 0;
		}
	}
	return -EINVAL;
}

int rbd_parse(enum rbd_key key, const char *text, uint64_t *ret)
{
	const struct rbd_key_row *row = &rbd_keys[key];
	uint64_t n = 0;
	int r = 0;

	switch (row->type) {
	case RBD_BOOL:
		r = parse_bool(text, &n);
		break;
	case RBD_SIZE:
		r = parse_scaled(text, 1024, &n);
		break;
	case RBD_COUNT:
		r = parse_scaled(text, 1000, &n);
		break;
	case RBD_SECONDS:
		r = parse_seconds(text, &n);
		break;
	case RBD_WORD:
		r = parse_word(row->words, text, &n);
		break;
	case RBD_TEXT:
		break;
	}
	if (r < 0 || n < row->min)
		return row->type == RBD_TEXT ? 0 : -EINVAL;
	*ret = n;
	return 0;
}

/* ---- layers ---- */

int rbd_layers_init(struct rbd_layers *l)
{
	memset(l, 0, sizeof(*l));
	l->arena = arena_new();
	if (!l->arena)
		return -ENOMEM;
	for (int k = 0; k < RBD_KEYS; k++)
		l->values[RBD_DEFAULT][k] = rbd_keys[k].fallback;
	l->known[RBD_DEFAULT] = true;
	return 0;
}

void rbd_layers_done(struct rbd_layers *l)
{
	arena_free(l->arena);
	l->arena = NULL;
}

int rbd_layers_set(struct rbd_layers *l, enum rbd_layer layer, const char *name, const char *text)
{
	int key = rbd_key_find(name);

	if (key < 0)
		return 0;
	l->values[layer][key] = arena_strdup(l->arena, text);
	return l->values[layer][key] ? 0 : -ENOMEM;
}

int rbd_layers_copy(struct rbd_layers *to, const struct rbd_layers *from)
{
	int r = rbd_layers_init(to);

	for (int layer = RBD_MON; r == 0 && layer < RBD_LAYERS; layer++) {
		to->known[layer] = from->known[layer];
		for (int k = 0; r == 0 && k < RBD_KEYS; k++)
			if (from->values[layer][k])
				r = rbd_layers_set(to, (enum rbd_layer)layer, rbd_keys[k].name,
						   from->values[layer][k]);
	}
	return r;
}

bool rbd_qemu_cached(const char *cache_mode)
{
	return strcmp(cache_mode, "none") != 0 && strcmp(cache_mode, "directsync") != 0;
}

void rbd_layers_qemu(struct rbd_layers *l, const char *cache_mode)
{
	l->values[RBD_QEMU][RBD_CACHE] = rbd_qemu_cached(cache_mode) ? "true" : "false";
	l->known[RBD_QEMU] = true;
}

/* ---- what comes out ---- */

/* QEMU says one key alone. */
static bool nothing_hidden(const struct rbd_layers *l, int layer, enum rbd_key key)
{
	while (++layer < RBD_LAYERS)
		if (!l->known[layer] && (layer != RBD_QEMU || key == RBD_CACHE))
			return false;
	return true;
}

static void resolve_key(const struct rbd_layers *l, enum rbd_key key, struct rbd_value *ret)
{
	for (int layer = RBD_LAYERS; layer-- > 0;) {
		const char *text = l->values[layer][key];

		if (text && rbd_parse(key, text, &ret->number) == 0) {
			ret->text = text;
			ret->layer = (uint8_t)layer;
			ret->sure = nothing_hidden(l, layer, key);
			return;
		}
	}
}

static enum rbd_mode mode_of(const struct rbd_value *v)
{
	bool dirty = v[RBD_CACHE_MAX_DIRTY].number > 0;

	if (!v[RBD_CACHE].number)
		return RBD_MODE_NONE;
	switch (v[RBD_CACHE_POLICY].number) {
	case RBD_POLICY_WRITEAROUND:
		return dirty ? RBD_MODE_WRITEAROUND : RBD_MODE_NONE;
	case RBD_POLICY_WRITEBACK:
		return dirty ? RBD_MODE_WRITEBACK : RBD_MODE_WRITETHROUGH;
	default:
		return RBD_MODE_WRITETHROUGH;
	}
}

void rbd_resolve(const struct rbd_layers *l, struct rbd_effective *ret)
{
	memset(ret, 0, sizeof(*ret));
	for (int k = 0; k < RBD_KEYS; k++)
		resolve_key(l, (enum rbd_key)k, &ret->values[k]);
	ret->mode = mode_of(ret->values);
}

static uint64_t tenths(uint64_t bytes, uint64_t n)
{
	return bytes > UINT64_MAX / 64 ? UINT64_MAX / 8 : bytes * n / 10;
}

uint64_t rbd_memory_bytes(const struct rbd_effective *e, uint64_t inflight_bytes)
{
	uint64_t bytes = IMAGE_BYTES + tenths(inflight_bytes, 23);

	if (e->mode == RBD_MODE_WRITEBACK || e->mode == RBD_MODE_WRITETHROUGH)
		bytes += tenths(e->values[RBD_CACHE_SIZE].number, 21);
	if (e->mode == RBD_MODE_WRITEBACK || e->mode == RBD_MODE_WRITEAROUND)
		bytes += tenths(e->values[RBD_CACHE_MAX_DIRTY].number, 14);
	return bytes;
}

/* ---- names ---- */

const char *rbd_conf_path(const struct guest_rbd *rbd)
{
	return rbd->conf[0] ? rbd->conf : DEFAULT_CONF;
}

bool rbd_conf_path_ok(const char *path)
{
	static const char dir[] = "/etc/ceph/", end[] = ".conf";
	size_t len = strlen(path), least = strlen(dir) + strlen(end);

	return len > least && strncmp(path, dir, strlen(dir)) == 0 &&
	       !strchr(path + strlen(dir), '/') && strcmp(path + len - strlen(end), end) == 0;
}

char *rbd_entity(const struct guest_rbd *rbd, char *buf, size_t size)
{
	snprintf(buf, size, "client.%s", rbd->user[0] ? rbd->user : "admin");
	return buf;
}

char *rbd_spec(const struct guest_rbd *rbd, char *buf, size_t size)
{
	snprintf(buf, size, "%s/%s%s%s%s%s", rbd->pool, rbd->ns, rbd->ns[0] ? "/" : "", rbd->image,
		 rbd->snapshot[0] ? "@" : "", rbd->snapshot);
	return buf;
}

char *rbd_from(enum rbd_layer layer, const struct guest_rbd *rbd, const char *cache_mode, char *buf,
	       size_t size)
{
	char entity[sizeof(rbd->user) + 8];

	switch (layer) {
	case RBD_IMAGE:
		snprintf(buf, size, "image %s/%s%s%s", rbd->pool, rbd->ns, rbd->ns[0] ? "/" : "",
			 rbd->image);
		break;
	case RBD_POOL:
		snprintf(buf, size, "pool %s", rbd->pool);
		break;
	case RBD_QEMU:
		snprintf(buf, size, "QEMU's cache=%s", cache_mode[0] ? cache_mode : "default");
		break;
	case RBD_FILE:
		snprintf(buf, size, "%s", rbd_conf_path(rbd));
		break;
	case RBD_MON:
		snprintf(buf, size, "monitor database for %s",
			 rbd_entity(rbd, entity, sizeof(entity)));
		break;
	default:
		snprintf(buf, size, "Ceph's default");
	}
	return buf;
}
