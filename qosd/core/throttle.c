/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * throttle - the water level, found by Newton's method in a bracket.
 *
 * The sum of min(d, max(f, w * size)) over the guests is a piecewise linear function of w that
 * never falls. A Newton step from inside the right piece lands exactly on the root, and every step
 * that would leave the bracket is a bisection instead; so nothing is sorted and nothing allocated.
 */
#include "qosd/core/throttle.h"

/* Bisection alone halves the bracket each time: after this many no bit of a double is left. */
#define ROUNDS_MAX 128
#define EXACT      1e-12 /* of the sum: rounding of the additions themselves */

static double want(const struct throttle_share *s)
{
	double demand = s->demand > s->floor ? s->demand : s->floor;

	return s->full > s->floor && demand > s->full ? s->full : demand;
}

/* What all take at water level w, and by how much more with each unit of w. */
static double taken(const struct throttle_share *shares, size_t count, double w, double *ret_slope)
{
	double sum = 0, slope = 0;

	for (size_t i = 0; i < count; i++) {
		const struct throttle_share *s = &shares[i];
		double part = w * s->size, limit = want(s);

		if (part < s->floor) {
			sum += s->floor;
		} else if (part < limit) {
			sum += part;
			slope += s->size;
		} else {
			sum += limit;
		}
	}
	*ret_slope = slope;
	return sum;
}

static double water_level(const struct throttle_share *shares, size_t count, double budget,
			  double high)
{
	double low = 0, w = high / 2;

	for (int round = 0; round < ROUNDS_MAX && low < high; round++) {
		double slope, miss = budget - taken(shares, count, w, &slope);

		if (miss <= EXACT * budget && miss >= -EXACT * budget)
			break;
		if (miss > 0)
			low = w;
		else
			high = w;
		w = slope > 0 ? w + miss / slope : low - 1;
		if (w <= low || w >= high)
			w = low + (high - low) / 2;
	}
	return w;
}

/* Nobody wants more than its floor: each may have its level's part of what it might want. */
static void fill_idle(struct throttle_share *shares, size_t count, double level)
{
	for (size_t i = 0; i < count; i++)
		shares[i].cap = shares[i].floor + level * (shares[i].full - shares[i].floor);
}

void throttle_fill(struct throttle_share *shares, size_t count, uint32_t level_permille)
{
	double level = level_permille < 1000 ? level_permille / 1000.0 : 1;
	double floors = 0, wants = 0, high = 0, w;

	for (size_t i = 0; i < count; i++) {
		double limit = want(&shares[i]);

		shares[i].cap = level < 1 ? shares[i].floor : shares[i].full;
		floors += shares[i].floor;
		wants += limit;
		if (limit > shares[i].floor && limit > high * shares[i].size)
			high = limit / shares[i].size;
	}
	if (level <= 0 || level >= 1)
		return;
	if (high <= 0) {
		fill_idle(shares, count, level);
		return;
	}
	w = water_level(shares, count, floors + level * (wants - floors), high);
	for (size_t i = 0; i < count; i++)
		if (w * shares[i].size > shares[i].floor)
			shares[i].cap = w * shares[i].size;
}
