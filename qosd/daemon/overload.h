/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * overload - overload protection in the daemon: the tick.
 *
 *	overload.c         the tick: sample -> governor -> a turn at once when caps changed
 *	overload_guests.c  the picture as the governor sees it, and its caps for the next picture
 *	overload_sources.c what the sensor asks of the other adapters
 *	overload_lease.c   the lease of throttles: adopted at a restart, given back at a stop
 *	overload_memory.c  memory is taken in bounded steps
 *	overload_manual.c  what the operator throttles
 *
 * Ticks begin with the first turn: before it no guest is known.
 * The tick comes each second while calm and each overload.tick under pressure, or as soon as the
 * kernel tells of a stall. It asks the kernel alone, and writes what is ours alone: a libvirtd that
 * hangs, and systemd, keep back only what is theirs to write. In mode observe all is computed and
 * shown, and nothing is written.
 */
#ifndef QOSD_DAEMON_OVERLOAD_H
#define QOSD_DAEMON_OVERLOAD_H

#include <jansson.h>

#include "qosd/daemon/engine.h"
#include "qosd/daemon/lease.h"
#include "qosd/host/net.h"

#define OVERLOAD_MANUAL_MAX 32
#define OVERLOAD_RUNGS      16 /* of the histogram: a tick took at most 2^i * 16 us */

struct sensor;

struct nic_reading {    /* one direction of a NIC */
	uint64_t bytes; /* that passed the device, as of the last sample; SAMPLE_UNKNOWN */
	bool counted;   /* the shaper counts it: */
	struct net_counters shaper; /* as of now */
};

struct sampler { /* where samples come from: the sensor, or a test */
	/* 0, or -ENOMEM: *ret is of no use. `inv` is never NULL. */
	int (*read)(void *ctx, const struct inventory *inv, const struct policy *policy,
		    struct sample *ret, struct qerr *err);
	/* Both directions of one NIC. NULL: nothing is known of any. */
	void (*nic)(void *ctx, const struct guest_nic *nic, struct nic_reading *ret_in,
		    struct nic_reading *ret_out);
	void *ctx;
};

struct protection {
	struct govern *govern;
	struct sampler sampler; /* read NULL: there is none, nothing ticks */
	struct sensor *sensor;  /* ours; NULL in tests */
	struct sample samples[2];
	unsigned int newest;   /* of the two */
	unsigned int nsamples; /* 0, 1, 2 that hold */
	struct qerr trouble;   /* of the last tick; code 0: none */

	struct govern_guest *guests; /* of the picture, sorted by id */
	uint32_t *places;            /* of each in the picture's inventory */
	size_t nguests, guests_capacity, places_capacity;
	bool guests_stale;        /* the picture is another one */
	bool protects_rbd;        /* of rank 0 one has an RBD disk */
	uint64_t rbd_looked_us;   /* monotonic */
	struct govern_output out; /* of the last tick; borrowed of the governor */
	bool ticked;              /* `out` holds, for `guests` */

	struct govern_manual manual[OVERLOAD_MANUAL_MAX];
	size_t nmanual;

	struct lease *lease; /* NULL: none (tests) */
	bool leased;         /* it is ours and held */
	bool started;        /* the first turn has been made */
	/* Monotonic; before it waits for CPUs may be our own start's doing. 0: the next tick sets
	 * it */
	uint64_t settled_us;
	bool was_enforcing; /* at the last turn */
	bool ticking;       /* the turn is the tick's own */
	bool unleased;      /* the lease cannot be had: nobody is throttled until the next tick */
	int lease_told;     /* negative errno that was logged last */
	size_t recorded_baselines; /* in the store when the lease was recorded */

	sd_event_source *timer, *triggers[RESOURCE_COUNT];
	uint64_t next_us;        /* planned, monotonic */
	uint32_t turn;           /* of overload_early_us() */
	uint64_t alert_until_us; /* the kernel told of a stall: look closely until then */

	struct worker *reclaimer; /* NULL in tests */
	sd_event_source *reclaimed;
	/* As cgroup_reclaim(), of which ctx is the adapter; NULL: this host cannot. */
	int (*reclaim)(void *ctx, const struct guest *g, uint64_t down_to_bytes, uint64_t ticket,
		       struct qerr *err);

	uint64_t ticks;
	uint64_t tick_us_sum;               /* time spent in ticks */
	uint64_t rungs[OVERLOAD_RUNGS + 1]; /* ticks of each length; the last: longer */
};

/* ---- life ---- */
struct protection *protection_new(void); /* NULL when out of memory */
/* Throttles stay as they are; see overload_stand_down(). NULL is fine. */
void protection_free(struct protection *p);
/*
 * Before any thread is there: the lease, and the process that watches over it. `run_dir` as of
 * engine_options.
 */
int overload_start_lease(struct engine *e, struct qerr *err);
/* With adapters and loop there: sensor, triggers and the first tick. */
int overload_start(struct engine *e, struct qerr *err);

/* ---- the tick (overload.c) ---- */
/* Look, decide, and write at once what has changed. */
void overload_tick(struct engine *e);
/* The longest tick that rung i (< OVERLOAD_RUNGS) of the histogram counts. */
uint64_t overload_rung_us(size_t i);
/* From one tick to the next, as things are. */
uint64_t overload_period_us(const struct engine *e);
/*
 * How much earlier than that a quick tick comes: up to a tenth, by turns evenly spread. A guest
 * whose own work comes at fixed times would else meet tick after tick, and wait for each.
 */
uint64_t overload_early_us(uint32_t *turn, uint64_t period_us);
/* The next tick comes as soon as samples tell something. */
void overload_tick_soon(struct engine *e);
/* Caps of the guests of e->inventory (malloc'd, in its order), or NULL: nobody is capped. */
struct guest_caps *overload_caps(struct engine *e);
/* Is CPU or memory overloaded now? */
bool overload_presses(const struct engine *e, enum resource *ret);
/* May writing begin or end? Tell the sensor. */
void overload_settle_mode(struct engine *e);

/* ---- around a turn (called by reconcile.c) ---- */
/* Before the first picture: throttles that are in force are taken over. */
void overload_before_turn(struct engine *e);
/* The picture of now, and perhaps its policy, are about to go: nothing of them is kept. */
void overload_new_picture(struct engine *e);
/* It was written. */
void overload_after_turn(struct engine *e);

/* ---- overload_guests.c ---- */
/* The governor's guests of the picture of now. 0 or -ENOMEM. */
int overload_build_guests(struct engine *e);
/* As of the last tick; its caps are in the same place of out.caps. NULL: there is none. */
const struct govern_guest *overload_find_guest(const struct protection *p, uint32_t id);
bool guest_caps_any(const struct guest_caps *c);

/* ---- overload_sources.c ---- */
int overload_open_sensor(struct engine *e, struct qerr *err);
/* After a tick: libvirt is to read disk latencies while they matter, or might. */
void overload_want_disks(struct engine *e);

/* ---- overload_lease.c ---- */
/*
 * All throttles end now, limits stay (mode observe, stop): what can be written is, what waits for
 * others lapses with the lease.
 */
void overload_stand_down(struct engine *e);
/* Nobody is throttled, and what helped or did not is forgotten: throttles begin to be written. */
void overload_begin_anew(struct engine *e);
/* All values of before qosd are given back, throttled or not: nothing is left to lapse. */
void overload_forget(struct engine *e);
/* The lease covers what is about to be written. False: it cannot, so nobody may be throttled. */
bool overload_lease_covers(struct engine *e);
void overload_renew_lease(struct engine *e);
/* Depths of the daemon before whose throttles are in force; false: there are none. */
bool overload_inherit(struct engine *e, double ret_depth[RESOURCE_COUNT]);

/* ---- overload_memory.c ---- */
/* Before the cgroup adapter: the thread for its config. */
int overload_start_reclaimer(struct engine *e, struct worker **ret, struct qerr *err);
void overload_stop_reclaimer(struct protection *p);
/* How many steps were begun. */
size_t overload_memory_step(struct engine *e);
/* A step has ended (as worker_done); ticket: the guest's id. */
void overload_reclaim_done(void *engine, uint64_t ticket, int result, const struct qerr *err);

/* ---- overload_manual.c ---- */
/* Words that have ended are forgotten. */
void overload_expire_manual(struct engine *e);
/* For the state file: a list, and back. */
json_t *overload_manual_json(const struct engine *e);
void overload_manual_load(struct engine *e, json_t *list);

#endif
