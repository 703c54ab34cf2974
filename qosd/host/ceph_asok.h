/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ceph_asok - one question to the admin socket of a Ceph client (librbd inside QEMU) or daemon.
 *
 * A QEMU has one socket for each RBD disk, and only where `admin_socket` is set for clients in
 * ceph.conf. The name does not matter: the sockets on which a process listens are found in
 * /proc, and the disk by the image's counters in `perf dump`. Each call connects anew, checks that
 * the listener is the process meant (SO_PEERCRED), and ends by its time limit: 0.1-0.5 ms when all
 * is well, timeout_us at the worst, so calls belong on a worker thread.
 *
 * What acts on an open image: rbd_qos_* within 0.5 s. Cache keys are accepted and reported, and do
 * nothing. `config set K 0` still hides later values of the cluster: give back with config unset.
 */
#ifndef QOSD_HOST_CEPH_ASOK_H
#define QOSD_HOST_CEPH_ASOK_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "qosd/core/err.h"
#include "qosd/core/guest.h"

#define CEPH_ASOK_PATH_MAX   108 /* of a UNIX socket's address */
#define CEPH_ASOK_VALUE_MAX  256
#define CEPH_ASOK_TIMEOUT_US UINT64_C(200000)
#define CEPH_ASOK_MAX        64 /* sockets of one process that are looked at */

struct ceph_asok {
	char path[CEPH_ASOK_PATH_MAX];
	int pid;             /* who must listen there; 0: anybody */
	uint64_t timeout_us; /* 0: CEPH_ASOK_TIMEOUT_US */
};

/*
 * All: 0; -ENOENT no such socket; -ECONNREFUSED nobody listens; -EPERM another process does;
 * -ETIMEDOUT; -EPROTO no JSON; -EINVAL Ceph refused the command, with its own words.
 */

/*
 * A command without arguments ("config diff", "perf dump", "dump_mempools"); json_decref() *ret.
 * All its numbers are reals: Ceph prints counters that do not fit in 63 bits.
 */
int ceph_asok_command(const struct ceph_asok *s, const char *prefix, json_t **ret,
		      struct qerr *err);
/* What the client believes a setting is: for cache keys not what is in force, see above. */
int ceph_asok_config_get(const struct ceph_asok *s, const char *key, char *buf, size_t size,
			 struct qerr *err);
int ceph_asok_config_set(const struct ceph_asok *s, const char *key, const char *value,
			 struct qerr *err);
int ceph_asok_config_unset(const struct ceph_asok *s, const char *key, struct qerr *err);
/* Bytes of data that all Ceph clients of the process hold now: caches and what is in flight. */
int ceph_asok_buffer_bytes(const struct ceph_asok *s, uint64_t *ret, struct qerr *err);

/*
 * UNIX sockets with a path on which process `pid` listens, into list[0..max); how many, or a
 * negative errno (-ESRCH: no such process). Without CAP_SYS_PTRACE, of a process of another user,
 * Ceph's alone ("*.asok"), found by connecting to them: that takes the right to write to them
 * (-EACCES), and somebody there who accepts (-ETIMEDOUT).
 */
int ceph_asok_list(int pid, struct ceph_asok *list, size_t max);
/* By its name: QEMU's monitors and others are left alone. */
bool ceph_asok_is_ceph(const struct ceph_asok *s);
/* Does this socket's client have the image open? By its counters in `perf dump`. */
bool ceph_asok_has_image(const json_t *perf, const struct guest_rbd *rbd);
/*
 * The socket for one RBD disk of process `pid`. -ENOENT with what to do: there is none; -ETIMEDOUT:
 * it may have one, but does not answer; others: what one of its clients said makes no sense.
 */
int ceph_asok_find(int pid, const struct guest_rbd *rbd, struct ceph_asok *ret, struct qerr *err);

#endif
