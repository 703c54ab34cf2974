/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ceph_limits - the limits of one RBD disk in its client: calls on the client's admin socket, each
 * with its time limit, for a worker thread. Places of limits are those of KNOB_RBD_*, from
 * KNOB_RBD_READ_IOPS on; units are theirs, 0 is none.
 */
#ifndef QOSD_HOST_CEPH_LIMITS_H
#define QOSD_HOST_CEPH_LIMITS_H

#include "qosd/core/knob.h"
#include "qosd/host/ceph_asok.h"

struct ceph_limits {
	uint64_t values[KNOB_OF_DISK]; /* in force */
	uint64_t bases[KNOB_OF_DISK];  /* without our override */
};

/*
 * By the socket `asok`, if it still is the image's, else (and with an empty path) by the one that
 * is found, which `asok` then is. As ceph_asok_find(): -ENOENT and -ESRCH are certain.
 */
int ceph_limits_read(int pid, const struct guest_rbd *rbd, struct ceph_asok *asok,
		     struct ceph_limits *ret);
/*
 * Set one; `value` == `base` takes our override away. *ret_value: what is in force then. -EBUSY:
 * the client waits for its cluster, and nothing is changed.
 */
int ceph_limits_set(const struct ceph_asok *asok, unsigned int knob, uint64_t value, uint64_t base,
		    uint64_t *ret_value, struct qerr *err);

#endif
