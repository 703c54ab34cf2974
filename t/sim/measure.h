/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * measure - what a run is judged by.
 *
 * Every tick leaves a point in a series, every step of the world adds to what guests wanted and
 * got. The measures are computed from these at the end. Some things must hold in every run
 * whatever its bounds; they are counted as faults (struct faults).
 */
#ifndef QOSD_T_SIM_MEASURE_H
#define QOSD_T_SIM_MEASURE_H

#include <stdio.h>

#include "qosd/core/govern.h"
#include "t/sim/world.h"

enum measure {
	MEASURE_NONE,
	REACTION_S, /* storm -> first knob in force; -1: never */
	SETTLE_S,   /* storm -> mean pressure of the next 2 s at or below 1; -1: never */
	PEAK,       /* highest depth in the storm */
	NEEDED,     /* least depth that holds the pressure at 1, found by trying */
	OVERSHOOT,  /* PEAK - NEEDED */
	EXCESS,     /* mean depth when settled - NEEDED */
	TURNS,      /* changes of direction of the depth, when settled */
	PAIN,       /* part of the settled storm with pressure over 1.05 */
	LONGEST_S, /* longest time without a break over 1 when settled: how fast relapses are met */
	RELEASE_S, /* end of storm -> depth 0 for good; -1: never */
	RELEASE_RATE, /* fastest fall of the depth within any second */
	DEPTH_LAST,   /* depth when the storm ends */
	DEPTH_MEAN,   /* over the whole run */
	ONSETS,       /* events of the whole run */
	RELAPSES,
	FUTILES,
	WORK_GOLD, /* got / wanted in the storm, of the guests of the first, second, third class */
	WORK_SILVER,
	WORK_BRONZE,
	WORK_LIGHT,      /* the least of any guest marked light */
	WAIT_GOLD,       /* part of runnable time spent waiting, first class, settled storm */
	LATENCY_GOLD_MS, /* of disk operations, first class, settled storm */
	RESIDENT_GOLD,   /* least part of the working set in memory, first class, in the storm */
	UNFAIRNESS,      /* 1 - Jain's index among the heavy guests of the third class, settled */
	BUSY,            /* CPU use of the host in the settled storm, 0..1 */
	AVAILABLE_MIN,   /* least MemAvailable as a part of RAM in the settled storm */
	WRITES,          /* knob changes a second of the busiest guest, settled storm */
	WRITES_PEAK,     /* most knob changes of one guest within any second */
	MEASURE_COUNT
};
extern const char *const measure_names[MEASURE_COUNT];

enum bound_kind { AT_MOST, AT_LEAST };

struct bound {
	enum measure what;
	enum bound_kind kind;
	double value;
	int resource; /* 0: the scenario's; else enum resource + 1 */
};

struct faults {             /* all must be 0 */
	unsigned int floor; /* a cap below the floor of the guest's class */
	unsigned int
		order; /* a class throttled while one that gives way earlier is not at its floor */
	unsigned int rank0; /* a guest of rank 0, or an exempt one, capped */
	unsigned int bad;   /* depth or level out of range, not a number */
	unsigned int error; /* govern_tick failed */
};

struct scenario;
struct series;

/* NEEDED is not computed here: give it, one per resource (< 0: not asked). */
struct series *series_new(const struct scenario *sc, const struct world *w);
void series_free(struct series *s);
/* After each govern_tick. `manual`: the operator's order stands, so the order of classes may not.
 */
void series_tick(struct series *s, const struct world *w, const struct govern_input *in,
		 const struct govern_output *out, int error, bool manual);
void series_step(struct series *s, const struct world *w);
/* A knob of vms[i] was written and is in force now. */
void series_write(struct series *s, const struct world *w, size_t i);
const struct faults *series_faults(const struct series *s);
double series_measure(const struct series *s, enum measure what, enum resource r,
		      const double needed[RESOURCE_COUNT]);
/* Mean pressure between two times; < 0 when it is never known. */
double series_pressure(const struct series *s, enum resource r, double from_s, double until_s);
/* One line a tick, tab-separated, with a heading: for plots. */
void series_print(const struct series *s, FILE *f);

#endif
