/* SPDX-License-Identifier: GPL-2.0-or-later */
/* series_private - what a run leaves behind, for series.c that records and measure.c that judges.
 */
#ifndef QOSD_T_SIM_SERIES_PRIVATE_H
#define QOSD_T_SIM_SERIES_PRIVATE_H

#include "t/sim/measure.h"
#include "t/sim/scenario.h"

struct point { /* one tick */
	double at_s, pressure[RESOURCE_COUNT], depth[RESOURCE_COUNT];
	uint8_t state[RESOURCE_COUNT], event[RESOURCE_COUNT];
	float work[3], busy, available;
};

struct work {
	double wanted[RESOURCE_COUNT], got[RESOURCE_COUNT]; /* in the storm */
	double settled[RESOURCE_COUNT];                     /* got, in the settled storm */
	double run_s, wait_s, ops, latency;                 /* settled storm */
	double resident;                                    /* least part of the working set */
	double up_s;
	unsigned int writes, second_writes, peak_writes; /* settled storm; in a second of all */
	long second;
};

struct series {
	const struct scenario *sc;
	struct point *points;
	size_t count, capacity;
	struct work *work; /* per vm */
	size_t nvms;
	double busy_s, steps_s, available_min, reaction_s;
	unsigned int bad_order; /* ticks in a row */
	struct faults faults;
	const struct world *world;
};

double series_settled_s(const struct scenario *sc);
bool series_in_storm(const struct scenario *sc, double now_s);

#endif
