/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * govern_private - the state between ticks, shared by the parts of govern.
 *
 * What is known of a guest is a set of tracks (one for each thing that can be capped) and its
 * feelings (what it suffers, averaged). All rates are per second, in the unit of the cap.
 */
#ifndef QOSD_CORE_GOVERN_PRIVATE_H
#define QOSD_CORE_GOVERN_PRIVATE_H

#include "qosd/core/govern.h"

enum track_id {
	TRACK_CPU,        /* mcpu */
	TRACK_MEMORY,     /* bytes held: a gauge */
	TRACK_NET_IN,     /* bit/s */
	TRACK_NET_OUT,    /* bit/s */
	TRACK_DISK_IOPS,  /* 1/s */
	TRACK_DISK_BYTES, /* bytes/s */
	TRACK_COUNT
};

#define TRACK_FREE    1e18 /* no cap, no limit */
#define TRACK_UNKNOWN (-1.0)

struct track {
	double use;          /* in the last window; TRACK_UNKNOWN */
	double claim;        /* what it would take if we let it; TRACK_UNKNOWN */
	double calm;         /* what it took while calm; TRACK_UNKNOWN */
	double cap;          /* in force; TRACK_FREE */
	uint64_t changed_us; /* when the cap was set last */
	uint64_t capped_us;  /* since when there is one; 0: there is none */
};

#define WAIT_WINDOWS 3

struct wait_window { /* CPU seconds that a guest ran and waited, in so many seconds */
	double run_s, wait_s, s;
};

struct feeling {                          /* of one guest */
	uint64_t felt_us[RESOURCE_COUNT]; /* when it was last heard of; 0: never */
	double run, wait;                 /* CPUs */
	struct wait_window open;          /* the window that is being filled */
	double wait_share[WAIT_WINDOWS];  /* of the last ones by themselves; < 0: none */
	uint64_t window_us;               /* when the last one ended */
	uint64_t held_us;                 /* seen held by its own quota last; 0: never */
	double stall;                     /* memory, share of the time */
	double need[2];                   /* network in and out: what it wanted of late, bit/s */
	double spread[2];                 /* mean deviation from that */
	uint64_t learned_us[2];           /* last seen to use an uplink that had room; 0: never */
	double got[2];                    /* bit/s */
	double dropped[2];                /* bytes */
	double disk_ops, disk_bytes, disk_wait_ns, disk_stall;
	uint64_t disk_ops_seen, disk_bytes_seen; /* the latest that was known ... */
	uint64_t disk_wait_seen_ns;
	uint64_t disk_seen_us; /* ... at this time; 0: never */
	bool cpu_known, stall_known, net_known, disk_known, disk_stall_known;
};

struct govern_state { /* of one guest */
	uint32_t id;
	bool frozen;
	uint64_t ramp_us; /* it came while the host was pressed, at this time; 0: it did not */
	struct track tracks[TRACK_COUNT];
	struct feeling feeling;
};

struct govern_ladder {    /* which classes give way, and in which order */
	uint32_t *places; /* by index of class; PLACE_NONE: not on the ladder */
	uint32_t *ranks;  /* by place, falling */
	uint32_t count;   /* places */
	size_t nclasses;  /* of the policy */
};

#define PLACE_NONE UINT32_MAX

struct govern {
	struct governor governors[RESOURCE_COUNT];
	double uplink_use[2];   /* share of the fullest uplink's rate, in and out, averaged */
	double memory_fall_bps; /* bytes a second that memory and swap lose, averaged; < 0: gain */
	bool adopted;           /* depths came from a daemon before; guests are not known yet */
	bool guests_changed;    /* in this tick: caps are of other guests than before */
	struct govern_state *states, *spare;
	size_t nstates, states_capacity, spare_capacity;
	struct guest_caps *caps;
	size_t caps_capacity;
	uint32_t *by_class; /* indices of guests, sorted by class */
	size_t by_class_capacity;
	uint32_t *class_begin; /* into by_class, nclasses + 1 */
	uint64_t *bottom_us;   /* by class: since when memory is at its floor */
	struct throttle_share *shares;
	size_t shares_capacity;
	struct govern_class *classes;
	struct govern_ladder ladder;
	struct govern_ladder spare_ladder;
	size_t classes_capacity;
};

/* What one tick passes to its parts. */
struct govern_turn {
	const struct govern_input *in;
	double dt_s;                /* between the samples; 0: no sample before */
	double uplink_bps;          /* of the fastest uplink; TRACK_FREE when none is known */
	bool saturated[2];          /* an uplink is full towards (0), from (1) the host */
	double psi[RESOURCE_COUNT]; /* share of the window with "some" stalled; < 0: not known */
	double memory_left_s; /* until there is none, should it go on falling; TRACK_FREE: it is not
				 short */
};

struct pressure {
	double value;       /* < 0: not known */
	uint32_t victim;    /* id; 0: the host */
	unsigned int steps; /* how many classes may give way for it */
};

/* govern_guests.c: states in step with the guests. 0 or -ENOMEM with everything as before. */
int govern_guests_update(struct govern *g, const struct govern_input *in);
int govern_ladder_update(struct govern *g, const struct govern_input *in);

/* govern_demand.c */
void govern_demand_update(struct govern *g, const struct govern_turn *turn);
/* Floor and limit of a guest's track; limit TRACK_FREE: none. */
void govern_track_bounds(const struct govern_turn *turn, const struct govern_guest *guest,
			 enum track_id track, double *ret_floor, double *ret_full);
/* No guest with a cap of this resource fills it. */
bool govern_slack(const struct govern *g, enum resource r);
/* Sums of claims of a resource: of the guests whose class may give way, and of all. */
void govern_claims(const struct govern *g, const struct govern_turn *turn, enum resource r,
		   double *ret_yielding, double *ret_all);
enum resource govern_track_resource(enum track_id track);
/* The guest in the sample when asked for ids in rising order; *at is where to go on. NULL: none. */
const struct sample_guest *govern_next(const struct sample *s, size_t *at, uint32_t id);
void govern_culprits(const struct govern *g, enum resource r, uint32_t culprits[3]);

/* signal.c */
void signal_turn_init(struct govern *g, struct govern_turn *turn, const struct govern_input *in);
void signal_feel(struct govern *g, const struct govern_turn *turn);
/* Memory will be used up before the usual steps can help. */
bool signal_brink(const struct govern_turn *turn, enum resource r);
struct pressure signal_pressure(const struct govern *g, const struct govern_turn *turn,
				enum resource r);

/* govern_caps.c: caps of all guests from the levels; whether any changed. */
bool govern_caps_update(struct govern *g, const struct govern_turn *turn);

#endif
