/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "qosd/host/ceph_limits.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "qosd/core/mem.h"

#define STALL_S 2 /* a request under way for longer: the cluster does not answer */

/* What a knob sets, and what it is read from: a burst is set for all limits of its unit. */
#define KEYS_MAX 6
static const char *const knob_keys[KNOB_OF_DISK][KEYS_MAX] = {
	{ "rbd_qos_read_iops_limit" },
	{ "rbd_qos_write_iops_limit" },
	{ "rbd_qos_iops_limit" },
	{ "rbd_qos_read_bps_limit" },
	{ "rbd_qos_write_bps_limit" },
	{ "rbd_qos_bps_limit" },
	{ "rbd_qos_iops_burst", "rbd_qos_read_iops_burst", "rbd_qos_write_iops_burst" },
	{ "rbd_qos_bps_burst", "rbd_qos_read_bps_burst", "rbd_qos_write_bps_burst" },
	{ "rbd_qos_iops_burst_seconds", "rbd_qos_read_iops_burst_seconds",
	  "rbd_qos_write_iops_burst_seconds", "rbd_qos_bps_burst_seconds",
	  "rbd_qos_read_bps_burst_seconds", "rbd_qos_write_bps_burst_seconds" },
};

static const uint64_t knob_defaults[KNOB_OF_DISK] = { [KNOB_RBD_BURST_S - KNOB_RBD_READ_IOPS] = 1 };

/* Numbers come as reals (ceph_asok.c), exact to 2^53: far above any limit. */
static bool is_limit(const json_t *value)
{
	return json_is_number(value) && json_number_value(value) >= 0 &&
	       json_number_value(value) < 9e15;
}

/* A setting as `config diff` tells: in which layers it stands. What is not there is the default. */
static void read_layers(const json_t *diff, const char *key, uint64_t *value, uint64_t *base)
{
	static const char *const layers[] = { "cmdline", "env", "file", "mon", "default" };
	const json_t *entry = json_object_get(diff, key), *layer;

	layer = json_object_get(entry, "final");
	if (is_limit(layer))
		*value = (uint64_t)json_number_value(layer);
	for (size_t i = 0; i < ARRAY_SIZE(layers); i++) {
		layer = json_object_get(entry, layers[i]);
		if (!is_limit(layer))
			continue;
		*base = (uint64_t)json_number_value(layer);
		return;
	}
}

static void read_diff(const json_t *answer, struct ceph_limits *ret)
{
	const json_t *diff = json_object_get(answer, "diff");

	memcpy(ret->values, knob_defaults, sizeof(ret->values));
	memcpy(ret->bases, knob_defaults, sizeof(ret->bases));
	for (unsigned int k = 0; k < KNOB_OF_DISK; k++)
		read_layers(diff, knob_keys[k][0], &ret->values[k], &ret->bases[k]);
}

/* A socket's name may be used again, by the client of another image. */
static int check_image(const struct ceph_asok *asok, const struct guest_rbd *rbd)
{
	json_t *perf = NULL;
	int r = ceph_asok_command(asok, "perf dump", &perf, NULL);

	if (r == 0 && !ceph_asok_has_image(perf, rbd))
		r = -ENOENT;
	json_decref(perf);
	return r;
}

int ceph_limits_read(int pid, const struct guest_rbd *rbd, struct ceph_asok *asok,
		     struct ceph_limits *ret)
{
	json_t *answer = NULL;
	int r = asok->path[0] ? check_image(asok, rbd) : -ENOENT;

	if (r == -ENOENT || r == -ECONNREFUSED || r == -EPERM)
		r = ceph_asok_find(pid, rbd, asok, NULL);
	if (r == 0)
		r = ceph_asok_command(asok, "config diff", &answer, NULL);
	if (r == 0)
		read_diff(answer, ret);
	json_decref(answer);
	return r;
}

static int set_keys(const struct ceph_asok *asok, unsigned int knob, uint64_t value, bool unset,
		    struct qerr *err)
{
	char text[24];
	int r = 0;

	snprintf(text, sizeof(text), "%" PRIu64, value);
	for (unsigned int i = 0; r == 0 && i < KEYS_MAX && knob_keys[knob][i]; i++) {
		const char *key = knob_keys[knob][i];

		r = unset ? ceph_asok_config_unset(asok, key, err)
			  : ceph_asok_config_set(asok, key, text, err);
	}
	return r;
}

/* Is it in force? "Success" is said of what has no effect, too. */
static int verify(const struct ceph_asok *asok, unsigned int knob, uint64_t *ret, struct qerr *err)
{
	const char *key = knob_keys[knob][0];
	char text[CEPH_ASOK_VALUE_MAX];
	int r = ceph_asok_config_get(asok, key, text, sizeof(text), err);

	if (r < 0)
		return r;
	*ret = strtoull(text, NULL, 10);
	return 0;
}

/*
 * Has the client waited for its cluster for long? A change of rbd_qos_* makes librbd read the
 * image's header again; with the cluster away for more than the watch's 30 s the image did not come
 * back (measured with 16.2.15). So limits are left as they are until the cluster answers.
 */
static int check_cluster(const struct ceph_asok *asok, struct qerr *err)
{
	json_t *answer = NULL, *op;
	bool stalled = false;
	size_t i;
	int r = ceph_asok_command(asok, "objecter_requests", &answer, err);

	if (r < 0)
		return r;
	json_array_foreach (json_object_get(answer, "ops"), i, op)
		stalled |= json_number_value(json_object_get(op, "age")) > STALL_S;
	json_decref(answer);
	return stalled ? qerr_set(err, -EBUSY,
				  "the Ceph cluster does not answer this disk's client: its limits "
				  "are left as they are until it does")
		       : 0;
}

int ceph_limits_set(const struct ceph_asok *asok, unsigned int knob, uint64_t value, uint64_t base,
		    uint64_t *ret_value, struct qerr *err)
{
	int r = check_cluster(asok, err);

	if (r == 0)
		r = set_keys(asok, knob, value, value == base, err);
	return r == 0 ? verify(asok, knob, ret_value, err) : r;
}
