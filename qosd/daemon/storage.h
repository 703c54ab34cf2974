/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * storage - what guests' disks may have of what the host's storage carries: the rounds.
 *
 * A round reads what disks did, divides host.disk among them (core/diskshare.h), and tells whether
 * a part changed; then the tick makes a turn, whose plan takes the parts as caps of its disks. So
 * explain, drift, release, hold and dry run know a part as they know a throttle, and it is leased
 * as one: without qosd it ends.
 *
 * Rounds come with the ticks, at most once a second: so often disks are read. While host.disk says
 * nothing nothing is read.
 */
#ifndef QOSD_DAEMON_STORAGE_H
#define QOSD_DAEMON_STORAGE_H

#include "qosd/core/diskshare.h"
#include "qosd/daemon/engine.h"

struct storage_source { /* where counts come from: libvirt, or a test */
	void *ctx;
	uint64_t (*now_us)(void *ctx); /* monotonic */
	void (*want)(void *ctx);       /* counts are about to be asked for, now and later */
	/* What one disk (a place in g->disks) did until then; 0: not known. */
	uint64_t (*count)(void *ctx, const struct guest *g, uint32_t disk,
			  uint64_t ret[DISKSHARE_UNITS]);
};

struct storage; /* NULL source.count: nothing is shared */

struct storage *storage_new(void); /* NULL when out of memory */
void storage_free(struct storage *s);
void storage_set_source(struct storage *s, const struct storage_source *source);
/* With the adapters there. (storage_source.c) */
void storage_start(struct engine *e);

/* In a tick: a round if one is due. True: parts changed, a turn is to put them in force. */
bool storage_round(struct engine *e);
/*
 * Parts of the disks that are held back, for a plan of policy `p` (malloc'd). NULL: nobody is, or
 * out of memory.
 */
struct disk_parts *storage_parts(struct engine *e, const struct policy *p);
/* Before the first picture: parts that are in force are taken over. */
void storage_adopt(struct engine *e);
/* All parts end with the turn that follows (mode observe, stop, release). */
void storage_stand_down(struct engine *e);

#endif
