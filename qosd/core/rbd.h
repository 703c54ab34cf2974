/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * rbd - which librbd settings an RBD disk really gets, and where each comes from.
 *
 * Settings come in layers, the higher wins: Ceph's default, the cluster's monitor database, the
 * client's ceph.conf, QEMU's cache mode (rbd_cache alone), then what is kept with the pool and with
 * the image. A text that Ceph cannot read counts as not being there: Ceph says nothing and takes
 * the layer below, and so do we (measured with 16.2.15: "off", "64MiB" and "2m" are such texts).
 * All of this is read when the image is opened; only rbd_qos_* act on an open one.
 * Units: bytes, microseconds.
 */
#ifndef QOSD_CORE_RBD_H
#define QOSD_CORE_RBD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "qosd/core/guest.h"

enum rbd_key {
	RBD_CACHE,
	RBD_CACHE_POLICY,
	RBD_CACHE_WTUF, /* writethrough until flush */
	RBD_CACHE_SIZE,
	RBD_CACHE_MAX_DIRTY,
	RBD_CACHE_TARGET_DIRTY,
	RBD_CACHE_MAX_DIRTY_AGE,
	RBD_PLUGINS,
	RBD_PWL_MODE, /* persistent write log */
	RBD_PWL_SIZE,
	RBD_PWL_PATH,
	RBD_PARENT_CACHE,
	RBD_QOS_IOPS,
	RBD_QOS_BPS,
	RBD_QOS_READ_IOPS,
	RBD_QOS_READ_BPS,
	RBD_QOS_WRITE_IOPS,
	RBD_QOS_WRITE_BPS,
	RBD_ADMIN_SOCKET,
	RBD_KEYS
};
#define RBD_QOS_FIRST RBD_QOS_IOPS
#define RBD_QOS_LAST  RBD_QOS_WRITE_BPS

enum rbd_type {
	RBD_BOOL,    /* "true", "false" or an integer; not "yes", "no", "on", "off" */
	RBD_SIZE,    /* bytes: "64M" = "64Mi" = "64MB", powers of 1024; not "64MiB" */
	RBD_COUNT,   /* "1M" is 10^6; not "1Mi", not "1k" */
	RBD_SECONDS, /* a plain number; as microseconds here */
	RBD_WORD,    /* one of words */
	RBD_TEXT,
};

struct rbd_key_row {
	const char *name; /* as Ceph has it */
	enum rbd_type type;
	const char *fallback; /* Ceph's default */
	const char *const *words;
	uint64_t min; /* less is refused by Ceph */
};
extern const struct rbd_key_row rbd_keys[RBD_KEYS];
int rbd_key_find(const char *name); /* enum rbd_key, or -1 */

enum rbd_policy { RBD_POLICY_WRITETHROUGH, RBD_POLICY_WRITEBACK, RBD_POLICY_WRITEAROUND };
enum rbd_pwl { RBD_PWL_DISABLED, RBD_PWL_RWL, RBD_PWL_SSD };

/* 0 and the number (RBD_TEXT: 0), or -EINVAL: Ceph would not take this text. */
int rbd_parse(enum rbd_key key, const char *text, uint64_t *ret);

/* ---- layers ---- */
enum rbd_layer { RBD_DEFAULT, RBD_MON, RBD_FILE, RBD_QEMU, RBD_POOL, RBD_IMAGE, RBD_LAYERS };

struct rbd_layers { /* texts as found; NULL: not set there */
	const char *values[RBD_LAYERS][RBD_KEYS];
	bool known[RBD_LAYERS]; /* it was looked at: "not set" is a fact */
	struct arena *arena;    /* owns the texts */
};

int rbd_layers_init(struct rbd_layers *l); /* 0, -ENOMEM */
void rbd_layers_done(struct rbd_layers *l);
/* `to` is initialised by it, with texts of its own. 0, -ENOMEM (rbd_layers_done() it anyway). */
int rbd_layers_copy(struct rbd_layers *to, const struct rbd_layers *from);
/* Ignores names that matter nothing here. 0, -ENOMEM. */
int rbd_layers_set(struct rbd_layers *l, enum rbd_layer layer, const char *name, const char *text);
/* The layer that QEMU makes of <driver cache=...> ("": its default, writeback). */
void rbd_layers_qemu(struct rbd_layers *l, const char *cache_mode);
bool rbd_qemu_cached(const char *cache_mode);

/* ---- what comes out ---- */
enum rbd_mode { RBD_MODE_NONE, RBD_MODE_WRITETHROUGH, RBD_MODE_WRITEBACK, RBD_MODE_WRITEAROUND };
extern const char *const rbd_mode_names[]; /* "none", "writethrough", ... */

struct rbd_value {
	const char *text; /* of the layers */
	uint64_t number;  /* see rbd_parse(); a word's place */
	uint8_t layer;    /* enum rbd_layer */
	bool sure;        /* all layers above it were looked at: none of them sets the key */
};

struct rbd_effective {
	struct rbd_value values[RBD_KEYS];
	enum rbd_mode mode;
};

/* Borrows the texts of `l`. */
void rbd_resolve(const struct rbd_layers *l, struct rbd_effective *ret);

/*
 * The most memory that librbd takes for one open image with `inflight_bytes` of requests under way,
 * a bound that held for every measured load. What the first RBD disk of a guest costs besides
 * (RBD_FIRST_BYTES) is not in it.
 */
#define RBD_FIRST_BYTES    (UINT64_C(24) << 20)
#define RBD_INFLIGHT_BYTES (UINT64_C(32) << 20) /* where queue and request size are not known */
uint64_t rbd_memory_bytes(const struct rbd_effective *e, uint64_t inflight_bytes);

/* "image rbd/vm1", "pool rbd", "QEMU's cache=none", "/etc/ceph/ceph.conf", ... Returns buf. */
#define RBD_FROM_MAX 256
char *rbd_from(enum rbd_layer layer, const struct guest_rbd *rbd, const char *cache_mode, char *buf,
	       size_t size);
/* The file that QEMU reads for this disk. */
const char *rbd_conf_path(const struct guest_rbd *rbd);
/* One of /etc/ceph/NAME.conf, where QEMU may read under AppArmor. */
bool rbd_conf_path_ok(const char *path);
/* "client.libvirt"; Ceph's default is admin. Returns buf. */
char *rbd_entity(const struct guest_rbd *rbd, char *buf, size_t size);
/* "vms/disk-1", "vms/ns/disk-1@s1". Returns buf. */
#define RBD_SPEC_MAX 320
char *rbd_spec(const struct guest_rbd *rbd, char *buf, size_t size);

#endif
