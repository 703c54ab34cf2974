/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cpushare - cgroup weights that keep reservations in the shared pool.
 *
 * When all are busy guest i gets C * w_i / sum(w) of a pool of C CPUs. The class weight W_i holds
 * as it is as long as that is at least the guest's reservation r_i; else its weight is raised just
 * enough. With R the set of raised guests and rho = sum over R of r_i / C, all weights add up to
 *
 *	S = (sum of W outside R + |R|) / (1 - rho),   w_i = ceil(r_i * S / C) for i in R
 *
 * where |R| pays for rounding up, so that the promise holds in whole numbers. Guests enter R in
 * order of W_i / r_i, neediest first, until the next one has enough. When a weight would pass the
 * kernel's 10000 the class weights are scaled down together. Reservations beyond the pool (which
 * admission prevents) are cut in proportion.
 */
#ifndef QOSD_CORE_CPUSHARE_H
#define QOSD_CORE_CPUSHARE_H

#include <stddef.h>
#include <stdint.h>

struct cpushare {
	uint32_t weight;           /* in: of the class */
	uint64_t reservation_mcpu; /* in: 1/1000 CPU */
	uint32_t result;           /* out: weight to set, 1..10000 */
};

#define CPUSHARE_WEIGHT_MAX 10000

/*
 * pool_mcpu: capacity of the pool in 1/1000 CPU. O(n log n). Never fails: without memory the class
 * weights stand as they are.
 */
void cpushare_solve(struct cpushare *shares, size_t count, uint64_t pool_mcpu);

#endif
