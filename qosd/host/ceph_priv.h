/* SPDX-License-Identifier: GPL-2.0-or-later */
/* ceph_priv - what the ceph*.c files share; all of it runs on the qosd-ceph thread. */
#ifndef QOSD_HOST_CEPH_PRIV_H
#define QOSD_HOST_CEPH_PRIV_H

#include "qosd/host/ceph_asok.h"
#include "qosd/host/ceph_cluster.h"

/* What a look may ask of the cluster. */
struct ceph_asked {
	struct ceph_cluster *cluster; /* NULL: `state` says why */
	enum rbd_cluster_state state;
	char trouble[200];
	bool full, strong;
};

/* The admin sockets of one process, each asked once. */
struct ceph_sockets {
	struct ceph_asok list[CEPH_ASOK_MAX];
	json_t *perf[CEPH_ASOK_MAX]; /* its counters; NULL: none of Ceph's */
	int count;                   /* negative errno: the process cannot be looked at */
	bool silent;                 /* one did not answer in time */
};
void ceph_sockets_read(int pid, struct ceph_sockets *ret);
void ceph_sockets_done(struct ceph_sockets *s);

/* Fills `ret`, whose layers are initialised already. -ENOMEM is the only error. */
int ceph_look_image(const struct ceph_asked *asked, const struct ceph_sockets *sockets,
		    const struct guest *g, const struct guest_rbd *rbd, struct ceph_image *ret);
/* Ceph's daemons of this host, from /proc and their sockets. */
void ceph_find_daemons(struct rbd_daemons *ret);

#endif
