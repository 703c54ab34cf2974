/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ceph_qos - limits of RBD disks by librbd's rbd_qos_*, over the admin socket inside QEMU.
 *
 * The lever that needs no libvirt: a call is local and takes 0.1-0.5 ms. With the cluster away
 * limits are left as they are: a change then could cost the guest its disk (ceph_qos.c). Only the
 * client's own override is set, never the image's metadata, and a value that the client has without
 * qosd is given back by `config unset`, so that later values of the cluster show again.
 *
 * All calls are made on a worker thread, each with a time limit. What is read is what that thread
 * saw last: it looks for the sockets of new guests when they are watched, and again at values that
 * are read and older than CEPH_QOS_FRESH_US. A socket that was found stays the disk's until
 * nobody listens there, so a QEMU that stands still is an error of its own and no reason to take
 * the other lever. Everything here is for the daemon's loop.
 */
#ifndef QOSD_HOST_CEPH_QOS_H
#define QOSD_HOST_CEPH_QOS_H

#include <stdbool.h>
#include <stdint.h>

#include "qosd/core/adapter.h"
#include "qosd/core/guest.h"
#include "qosd/host/worker.h"

#define CEPH_QOS_FRESH_US  UINT64_C(8000000)
#define CEPH_QOS_DISKS_MAX 64 /* of a guest that are looked at: one bit each */

struct ceph_qos;

int ceph_qos_new(struct ceph_qos **ret, struct qerr *err);
void ceph_qos_free(struct ceph_qos *c, uint64_t timeout_us); /* NULL is fine */
int ceph_qos_fd(const struct ceph_qos *c);                   /* readable: collect */
/* Completions, as worker_collect(). True: other disks can be asked than before. */
bool ceph_qos_collect(struct ceph_qos *c, worker_done done, void *user);
/*
 * These are the guests of now. New disks, and those whose QEMU did not answer, are looked for at
 * once; those without a socket again, each time after twice as long, when this is called. Disks are
 * known by their images: another one at the same place in g->disks is a new disk.
 */
void ceph_qos_watch(struct ceph_qos *c, const struct inventory *inv);
/* Bit per disk (place in g->disks) whose librbd can be asked. */
uint64_t ceph_qos_live(const struct ceph_qos *c, const struct guest *g);
/* Nothing is being looked for: what is not live has no socket, or its QEMU stands still. */
bool ceph_qos_looked(const struct ceph_qos *c);
/*
 * KNOB_RBD_* of TARGET_DISK. read: -EAGAIN the disk is still being looked for, or its QEMU did not
 * answer the look: it may hold a limit; -EOPNOTSUPP it certainly has no socket. apply:
 * -EINPROGRESS, or -EAGAIN with too many queued.
 */
struct adapter *ceph_qos_adapter(struct ceph_qos *c);

#endif
