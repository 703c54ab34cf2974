/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * load - what a guest, or the host itself, wants over time, and the seeded random numbers behind
 * it.
 *
 * A load is a shape between two values. Its unit is that of its resource: CPUs, GiB of working set,
 * Mbit/s, operations a second. Times are seconds of virtual time.
 */
#ifndef QOSD_T_SIM_LOAD_H
#define QOSD_T_SIM_LOAD_H

#include <stdint.h>

struct rng {
	uint64_t state;
};

struct rng rng_new(uint64_t seed, uint64_t stream);
double rng_uniform(struct rng *r);     /* [0, 1) */
double rng_normal(struct rng *r);      /* mean 0, deviation 1 */
double rng_exponential(struct rng *r); /* mean 1 */

enum load_shape {
	LOAD_CONST,  /* low */
	LOAD_STEP,   /* high from from_s to until_s, else low */
	LOAD_SQUARE, /* from from_s to until_s: high for `duty` of each period_s; else low */
	LOAD_BURSTS, /* the same on average, with random times on and off (exponential) */
	LOAD_RAMP,   /* from low to high within period_s after from_s; low again at until_s */
};

struct load {
	enum load_shape shape;
	double low, high;
	double from_s, until_s; /* until 0: for ever */
	double period_s, duty;
};

/* Initialisers of the two shapes that nearly all guests have. */
#define STEADY(value)                                                                              \
	{                                                                                          \
		.shape = LOAD_CONST, .low = (value)                                                \
	}
#define STEP(before, after, from, until)                                                           \
	{                                                                                          \
		.shape = LOAD_STEP, .low = (before), .high = (after), .from_s = (from),            \
		.until_s = (until)                                                                 \
	}

struct load_state { /* of LOAD_BURSTS; all zero at first */
	double next_s;
	int on;
};

/* The value at `now_s`, which must not go back. */
double load_at(const struct load *l, struct load_state *state, struct rng *rng, double now_s);

#endif
