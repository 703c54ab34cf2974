/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * diskshare - what each disk of a guest may have of what the host's storage carries.
 *
 * The operator says what the storage carries, in operations and in bytes a second, reads and writes
 * together; each of the two is divided by itself. One round takes what every disk was seen to do
 * since the round before, makes a demand of it, and divides by weight (share.h; nothing is owned):
 *
 *	hungry (it takes nearly all of what it may)   demand = its limit
 *	else                                          demand = 1.25 * use + a little
 *
 * While the storage has room for all demands nobody is held back. When it has not, a disk that asks
 * for more than its part is held to it, though not below its floor as long as all floors fit. One
 * that is content is left alone; if it was held before it stays so, with room up to what its weight
 * would give it, until it has been light for a while: so bursts cost no changes.
 *
 * A part in force is a libvirt call, so it follows when it moved by a tenth, or when all parts
 * together were too much. What disks ask for within their parts is then at most a twentieth above
 * the capacity (and what exempt disks take beyond theirs, which nobody can help). Use lags behind
 *by a reading or two: whoever was hungry counts as hungry until a new part can have shown.
 *
 * Pure: counters and time come in, parts go out.
 */
#ifndef QOSD_CORE_DISKSHARE_H
#define QOSD_CORE_DISKSHARE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DISKSHARE_FREE UINT64_MAX /* not held back; no limit; nothing is shared */

enum diskshare_unit { DISKSHARE_IOPS, DISKSHARE_BPS, DISKSHARE_UNITS }; /* BPS: bytes a second */

struct diskshare_disk {
	uint32_t guest_id, index; /* ascending in the array, in this order */
	uint32_t weight;
	bool exempt;                     /* counted, but not held back */
	uint64_t at_us;                  /* when `count` was read; 0: it is not known */
	uint64_t count[DISKSHARE_UNITS]; /* operations, bytes since whenever */
	uint64_t limit[DISKSHARE_UNITS]; /* by its class and by overload; DISKSHARE_FREE: none */
	uint64_t floor[DISKSHARE_UNITS];
};

struct diskshare_input {
	uint64_t now_us;
	uint64_t capacity[DISKSHARE_UNITS]; /* DISKSHARE_FREE: this unit is not shared */
	const struct diskshare_disk *disks;
	size_t ndisks;
};

struct disk_part { /* of one disk */
	uint32_t guest_id, index;
	uint64_t rate[DISKSHARE_UNITS]; /* DISKSHARE_FREE: not held back */
};

struct diskshare_output {              /* borrowed of the state until its next round */
	const struct disk_part *parts; /* one for each disk, in its order */
	size_t count;
	bool contended[DISKSHARE_UNITS];
	bool changed; /* a part is another one than before the round */
};

struct diskshare;

struct diskshare *diskshare_new(void); /* NULL when out of memory */
void diskshare_free(struct diskshare *s);
/* Everything is as after diskshare_new(): nobody is held back. */
void diskshare_reset(struct diskshare *s);
/*
 * After a start: these parts are in force (of a daemon before), sorted. Each stays until its disk
 * has been counted twice, or nothing was counted for ten seconds. 0 or -ENOMEM.
 */
int diskshare_adopt(struct diskshare *s, const struct disk_part *parts, size_t count);
/* O(n log n) in disks. 0 or -ENOMEM; *ret holds what it held before, then. */
int diskshare_round(struct diskshare *s, const struct diskshare_input *in,
		    struct diskshare_output *ret);

/* ---- for the plan ---- */

struct disk_parts { /* of those that are held back; sorted by guest, then index */
	struct disk_part *items;
	size_t count;
	uint64_t capacity[DISKSHARE_UNITS]; /* of which they are parts */
};

/* NULL: it is not held back. `parts` may be NULL. */
const struct disk_part *disk_parts_find(const struct disk_parts *parts, uint32_t guest_id,
					uint32_t index);
/* Is one of this guest's disks held back? */
bool disk_parts_hold(const struct disk_parts *parts, uint32_t guest_id);
void disk_parts_free(struct disk_parts *parts); /* malloc'd with its items; NULL is fine */

#endif
