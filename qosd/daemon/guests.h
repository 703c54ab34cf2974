/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * guests - what the daemon remembers of each guest between turns: its troubles, the operator's
 * word, changes in flight, and the last two usage samples.
 *
 * One row per incarnation (guest id), sorted by id, which only grows; lookup O(log n).
 */
#ifndef QOSD_DAEMON_GUESTS_H
#define QOSD_DAEMON_GUESTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "qosd/core/err.h"
#include "qosd/core/guest.h"
#include "qosd/core/policy.h"
#include "qosd/host/cgroup.h"

struct nic_sample {
	char device[GUEST_DEVICE_MAX];
	uint64_t in_bytes, out_bytes;
};

#define GUEST_NICS_SAMPLED 16

struct usage_sample {
	uint64_t at_us; /* monotonic; 0: none */
	struct cgroup_usage cgroup;
	struct nic_sample nics[GUEST_NICS_SAMPLED];
	size_t nnics;
};

struct guest_row {
	uint32_t id;
	char uuid[GUEST_UUID_MAX];
	uint64_t start_ticks;	  /* with uuid: the same process over a restart of qosd */
	bool present;		  /* seen in this inventory (mark and sweep) */
	bool touched;		  /* something of it was written in this turn */
	bool dirty;		  /* read all its knobs back at the next turn */
	unsigned int inflight;	  /* changes with a worker */
	struct qerr degraded;	  /* code 0: fine */
	unsigned int failures;	  /* in a row */
	uint64_t retry_us;	  /* monotonic: leave it alone until then */
	uint64_t hold_until_s;	  /* wall clock seconds; 0: not held */
	uint64_t assumed_ticket;  /* class being written to the metadata; 0: none */
	char assumed_class[POLICY_NAME_MAX]; /* "": cleared */
	bool released;		  /* the operator gave it back: not managed until told otherwise */
	struct usage_sample before, last;
};

struct guest_table {
	struct guest_row *rows;
	size_t count, capacity;
};

struct guest_row *guests_find(const struct guest_table *t, uint32_t id);
struct guest_row *guests_find_uuid(const struct guest_table *t, const char *uuid);
/* Add rows for new guests; `gone` is called for each row whose guest is no longer there, then it is removed. -ENOMEM. */
int guests_sync(struct guest_table *t, const struct inventory *inv,
		void (*gone)(void *user, const struct guest_row *row), void *user);
void guests_done(struct guest_table *t);

/* A write failed: remember why, and leave the guest alone for 1 s, 2 s, 4 s .. 60 s. */
void guests_failed(struct guest_row *row, const struct qerr *err, uint64_t now_us);
void guests_recovered(struct guest_row *row);
bool guests_held(const struct guest_row *row, uint64_t now_s);

#endif
