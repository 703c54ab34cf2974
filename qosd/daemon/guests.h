/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * guests - what the daemon remembers of each guest between turns: its troubles, the operator's
 * word, changes in flight, and the last two usage samples.
 *
 * One row per incarnation (guest id), sorted by id, which only grows; lookup O(log n). Id 0 is the
 * row of the groups above guests, so that they are followed by the same rules.
 *
 * A lane is one adapter's part of a row: libvirt that hangs must not keep back a cgroup write of
 * the same guest. The CPU quota, by which a guest is throttled, has a lane of its own: it waits
 * neither for systemd, which writes the weight, nor for a reservation that cannot be set. Virtual
 * functions have one, too: what their card refuses is no reason to leave taps alone.
 */
#ifndef QOSD_DAEMON_GUESTS_H
#define QOSD_DAEMON_GUESTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "qosd/core/err.h"
#include "qosd/core/guest.h"
#include "qosd/core/knob.h"
#include "qosd/core/policy.h"

#define GUEST_NICS_SAMPLED 16

struct nic_flow {               /* one direction; counters, SAMPLE_UNKNOWN: not known */
	uint64_t bytes;         /* that passed the device, as of the sample's at_us */
	uint64_t offered_bytes; /* that wanted to pass the shaper, as of its offered_at_us */
};

struct nic_sample {
	char device[GUEST_DEVICE_MAX];
	struct nic_flow in, out;
};

struct usage_sample {
	uint64_t at_us;           /* monotonic; 0: none */
	uint64_t run_ns, wait_ns; /* sums over vCPU threads */
	uint64_t offered_at_us;
	struct nic_sample nics[GUEST_NICS_SAMPLED];
	size_t nnics;
};

struct usage {
	struct usage_sample before, last;
	/* Since the guest began; they never fall, even when a vCPU goes with its counters. */
	uint64_t run_ns, wait_ns;
};

struct lane {
	bool dirty;            /* read its knobs back at the next turn */
	bool touched;          /* something was written in this turn */
	bool stale;            /* what the plan wants was not written: busy, cancelled, gone */
	bool unsure;           /* of a part of it this turn was told that it has gone */
	bool verify;           /* workers say all is done: the read-back must show it */
	unsigned int inflight; /* changes with a worker */
	unsigned int failures; /* turns in a row */
	uint64_t retry_us;     /* monotonic: leave it alone until then */
	int told;              /* code of the failure that was logged; 0: none */
	struct qerr trouble;   /* of the last failure; code 0: fine */
};

/* Beside enum adapter_id: what throttles a CPU must not wait because something else fails. */
enum lane_id { LANE_QUOTA = ADAPTER_COUNT, LANE_BURST, LANE_WEIGHT, LANE_VF, LANE_COUNT };

struct guest_row {
	uint32_t id;
	char uuid[GUEST_UUID_MAX];
	uint64_t start_ticks; /* with uuid: the same process over a restart of qosd */
	uint64_t seen_us;     /* monotonic: first looked at; 0: not yet */
	bool present;         /* seen in this inventory (mark and sweep) */
	struct lane lanes[LANE_COUNT];
	struct qerr finding;       /* what the plan could not give it; code 0: nothing */
	struct qerr refused;       /* why libvirt did not take the class; code 0: it did */
	uint64_t hold_until_s;     /* wall clock seconds; 0: not held */
	bool released;             /* the operator gave it back: not managed until told otherwise */
	bool giving_back;          /* ... and some of its values are not yet as before */
	bool reclaiming;           /* a step of memory.reclaim is under way */
	uint64_t reclaim_after_us; /* monotonic; it gave nothing: not before */
	bool capped;               /* throttled by an overload, as far as is known */
	bool lifting;              /* ... but by the plan no more: is it lifted on the host? */
	uint64_t assumed_ticket;   /* class being written to the metadata; 0: none */
	char assumed_class[POLICY_NAME_MAX]; /* "": cleared */
	char class_before[POLICY_NAME_MAX];
	struct usage *usage; /* NULL: not sampled yet */
};

struct guest_table {
	struct guest_row *rows;
	size_t count, capacity;
	struct guest_row groups;  /* id 0: the groups above guests */
	struct guest_row *latest; /* of the last lookup: entries of one guest come together */
};

struct guest_row *guests_find(struct guest_table *t, uint32_t id);
struct guest_row *guests_find_uuid(struct guest_table *t, const char *uuid);
/*
 * Add rows for new guests; `gone` is called for each row whose guest is no longer there, then it is
 * removed. Rows move: pointers to them do not outlive this call. -ENOMEM.
 */
int guests_sync(struct guest_table *t, const struct inventory *inv,
		void (*gone)(void *user, const struct guest_row *row), void *user);
void guests_done(struct guest_table *t);

/* The lane of a target's knob: its place in row->lanes. */
unsigned int guests_lane_id(const struct target *t, enum knob_id knob);
struct lane *guests_lane(struct guest_row *row, const struct target *t, enum knob_id knob);
/* Read everything of the row back at the next turn. */
void guests_mark(struct guest_row *row);
/* The operator or the world moved: forget back-offs, try at once. */
void guests_retry(struct guest_row *row);
/* A write or a read failed: remember why, and leave the lane alone for 1/8 s, 1/4 s .. 60 s. */
void lane_failed(struct lane *lane, const struct qerr *err, uint64_t now_us);
bool lane_ready(const struct lane *lane, uint64_t now_us);
/* All that was wanted of it has been written. */
bool guests_quiet(const struct guest_row *row);
/* Something of it failed when it was tried last. */
bool guests_failing(const struct guest_row *row);
/* What is wrong with the guest, most telling first; NULL: nothing. */
const struct qerr *guests_trouble(const struct guest_row *row);
bool guests_held(const struct guest_row *row, uint64_t now_s);
/* Released, held by the operator, or not known: left as it is, so nothing may hold it back. */
bool guests_exempt(struct guest_table *t, uint32_t id, uint64_t now_s);

#endif
