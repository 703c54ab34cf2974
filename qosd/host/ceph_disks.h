/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ceph_disks - the table of RBD disks whose clients are asked (ceph_qos.c, who locks it).
 *
 * Sorted by guest and by place in the guest's list of disks; what a place is about is the image
 * that was there, so a disk goes when the guest has another one there.
 */
#ifndef QOSD_HOST_CEPH_DISKS_H
#define QOSD_HOST_CEPH_DISKS_H

#include "qosd/core/guest.h"
#include "qosd/host/ceph_limits.h"

enum disk_state { DISK_UNKNOWN, DISK_LIVE, DISK_ABSENT };

struct ceph_disk {
	uint32_t guest_id, index; /* sorted by both */
	struct guest *guest;      /* a reference */
	enum disk_state state;
	bool looking; /* a job is on its way */
	struct ceph_asok asok;
	struct ceph_limits limits;
	uint64_t looked_us, retry_us, sick_us;
};

struct ceph_disks {
	struct ceph_disk *items;
	size_t count, capacity;
	bool changed; /* other disks are live */
};
void ceph_disks_done(struct ceph_disks *t);
/* Where the disk is, or would be. */
size_t ceph_disks_place(const struct ceph_disks *t, uint32_t guest_id, uint32_t index);
struct ceph_disk *ceph_disks_find(const struct ceph_disks *t, uint32_t guest_id, uint32_t index);
/* A new one; NULL when out of memory. */
struct ceph_disk *ceph_disks_add(struct ceph_disks *t, struct guest *g, uint32_t index);
/* Has this guest the image at the disk's place that the entry is about? */
bool ceph_disk_is_of(const struct ceph_disk *d, const struct guest *g);
/* Drop those of which the guests, as they are now, have another image, or none, at the place. */
void ceph_disks_keep(struct ceph_disks *t, const struct inventory *inv);
/* Drop all of a guest that has gone. */
void ceph_disks_drop(struct ceph_disks *t, const struct guest *gone);

#endif
