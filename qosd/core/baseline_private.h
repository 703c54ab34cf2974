/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * baseline_private - the identity of a target, apart from any inventory. Only for baseline*.c.
 */
#ifndef QOSD_CORE_BASELINE_PRIVATE_H
#define QOSD_CORE_BASELINE_PRIVATE_H

#include "qosd/core/baseline.h"

#define BASELINE_VF "/vf/" /* before the PCI address */

struct identity {
	enum target_kind kind;
	char uuid[GUEST_UUID_MAX];
	uint64_t start_ticks;
	uint32_t index;                /* TARGET_VCPU */
	char device[GUEST_DEVICE_MAX]; /* of a virtual function its PCI address */
	uint32_t ifindex;              /* 0: a virtual function */
	const char *path;              /* TARGET_CGROUP; borrowed */
};

/* 0, or -EINVAL: cannot be told apart from others. */
int identity_of(const struct target *t, struct identity *ret);
/* 0, or -EINVAL (too long). */
int identity_format(const struct identity *id, char key[BASELINE_KEY_MAX]);
/* Exactly what identity_format writes; ret->path points into key. 0, -EINVAL. */
int identity_parse(const char *key, struct identity *ret);
bool identity_is_guest(const struct identity *id, const struct guest *g);

/* The limit of what a virtual function sends. */
bool entry_is_vf(const struct baseline_entry *e);

/* Length of the path of the scope that is only this guest's; 0 if it has none. */
size_t guest_scope_len(const struct guest *g);

struct baseline_entry *baseline_entry_at(struct baseline *b, size_t i); /* NULL: no more */

/* 1 stored, 0 there already, -ENOMEM. `key` is valid. */
int baseline_insert(struct baseline *b, const char *key, enum knob_id knob,
		    const struct knob_value *value);

#endif
