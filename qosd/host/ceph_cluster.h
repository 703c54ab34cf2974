/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ceph_cluster - questions to a Ceph cluster, by librados and librbd, which are loaded when the
 * first question is asked: a host without RBD guests pays nothing for them.
 *
 * Every call ends by the time limit given at open. For the qosd-ceph thread alone.
 */
#ifndef QOSD_HOST_CEPH_CLUSTER_H
#define QOSD_HOST_CEPH_CLUSTER_H

#include <jansson.h>

#include "qosd/host/ceph.h"

struct ceph_cluster;
struct ceph_origin;

/*
 * -ENOSYS not built in, or the libraries are missing; -ETIMEDOUT no answer; -EACCES unknown user or
 * no key; others as they come.
 */
int ceph_cluster_open(const char *conf, const char *user, uint64_t timeout_us,
		      struct ceph_cluster **ret, struct qerr *err);
void ceph_cluster_close(struct ceph_cluster *c); /* NULL is fine */
/* "" when it is not known. */
const char *ceph_cluster_fsid(const struct ceph_cluster *c);
/* Overrides of pool and image into `layers`; size of the image. -ENOENT: no such image. */
int ceph_cluster_image(struct ceph_cluster *c, const struct guest_rbd *rbd,
		       struct rbd_layers *layers, uint64_t *ret_size_bytes, struct qerr *err);
/* See ceph_put(). Keys written, or -EBUSY: the image is open somewhere. */
int ceph_cluster_put(struct ceph_cluster *c, const struct guest_rbd *rbd,
		     const struct rbd_wanted *wanted, struct qerr *err);
/* A command of the monitors, in JSON: their answer, or NULL with *ret_r. */
json_t *ceph_cluster_ask(struct ceph_cluster *c, const char *request, int *ret_r);

/* ---- ceph_mons.c ---- */
/* The command for the settings of a client, as malloc'ed text; NULL: no text that JSON can carry.
 */
char *ceph_mons_request(const char *entity);
/* What the monitors say to a client. */
int ceph_cluster_mon(struct ceph_cluster *c, const char *entity, struct rbd_layers *layers,
		     struct qerr *err);
/* Addresses of its monitors into `origin`. */
int ceph_cluster_monitors(struct ceph_cluster *c, struct ceph_origin *origin, struct qerr *err);
/* The cluster or one of its pools is full; our user may do more than look and write overrides. */
int ceph_cluster_health(struct ceph_cluster *c, bool *ret_full, bool *ret_strong, struct qerr *err);
#endif
