/* SPDX-License-Identifier: GPL-2.0-or-later */
/* ceph_priv - what the ceph*.c files share; all of it runs on the qosd-ceph thread. */
#ifndef QOSD_HOST_CEPH_PRIV_H
#define QOSD_HOST_CEPH_PRIV_H

#include <stdio.h>

#include "qosd/host/ceph_asok.h"
#include "qosd/host/ceph_cluster.h"
#include "qosd/host/ceph_conf.h"

/* ---- which cluster (ceph_same.c) ---- */

struct ceph_origin {      /* what tells a cluster from others; "" where it is not known */
	const char *path; /* of the configuration; borrowed */
	char fsid[64];
	char monitors[2048]; /* addresses, with and without ports, or names; `,` or blanks between
			      */
};
void ceph_origin_read(const struct ceph_conf *conf, const char *path, struct ceph_origin *ret);
/* One more address of a monitor, "10.0.0.1:6789/0" or "[::1]:6789". */
void ceph_origin_add(struct ceph_origin *o, const char *address);

enum ceph_same { CEPH_SAME, CEPH_OTHER, CEPH_UNTOLD };
/*
 * Does QEMU open this image in cluster `ours`? `file` is what QEMU reads: it says so by its fsid,
 * but monitors that the domain lists go before the file's. Names of monitors are not resolved:
 * where only they could tell it is CEPH_UNTOLD.
 */
enum ceph_same ceph_same_cluster(const struct guest_rbd *rbd, const struct ceph_origin *file,
				 const struct ceph_origin *ours);

/* ---- looks ---- */

/* What a look may ask of the cluster. */
struct ceph_asked {
	struct ceph_cluster *cluster; /* NULL: `state` says why */
	enum rbd_cluster_state state;
	char trouble[200];
	bool full, strong;
	struct ceph_origin origin;
};

/* Connect: with `cluster`, or with the reason why not. `conf` is borrowed. */
void ceph_asked_open(struct ceph_asked *a, const char *conf, const char *user, uint64_t timeout_us);
/* Before a write. 0, or -EXDEV: another cluster's image, or nothing tells. */
int ceph_check_same(const struct ceph_asked *asked, const struct guest_rbd *rbd, struct qerr *err);

/* The admin sockets of one process, each asked once. */
struct ceph_sockets {
	struct ceph_asok list[CEPH_ASOK_MAX];
	json_t *perf[CEPH_ASOK_MAX]; /* its counters; NULL: none of Ceph's */
	int count;                   /* negative errno: the process cannot be looked at */
	bool silent;                 /* one did not answer in time */
};
void ceph_sockets_read(int pid, struct ceph_sockets *ret);
void ceph_sockets_done(struct ceph_sockets *s);

/*
 * What an error about one image says of the cluster. Only silence and broken connections are its
 * own; all else is the image's, and the others are asked on.
 */
enum rbd_cluster_state ceph_image_state(int r);
/* Fills `ret`, whose layers are initialised already. -ENOMEM is the only error. */
int ceph_look_image(const struct ceph_asked *asked, const struct ceph_sockets *sockets,
		    const struct guest *g, const struct guest_rbd *rbd, struct ceph_image *ret);
/* A file of /proc/PID; NULL: it is not there, or not for us. For CLEANUP(ceph_close_file). */
FILE *ceph_open_proc(int pid, const char *name);
void ceph_close_file(FILE **f);
/* Threads and descriptors of a guest's QEMU; what cannot be read stays 0. */
void ceph_process_read(int pid, struct rbd_process *ret);
/* Ceph's daemons of this host, from /proc and their sockets. */
void ceph_find_daemons(struct rbd_daemons *ret);

#endif
