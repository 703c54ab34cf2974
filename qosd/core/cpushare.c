/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "qosd/core/cpushare.h"

#include <stdlib.h>

/* Reservations never take more than this part of the pool: the others must get something. */
#define RHO_MAX 0.999

static double clamp_weight(double w)
{
	if (w < 1)
		return 1;
	return w > CPUSHARE_WEIGHT_MAX ? CPUSHARE_WEIGHT_MAX : w;
}

/* Class weight under a common scale (1 or less), in whole numbers. */
static double scaled(uint32_t weight, double scale)
{
	return clamp_weight((double)(uint64_t)(weight * scale));
}

static double round_up(double x)
{
	double whole = (double)(uint64_t)x;

	return whole < x ? whole + 1 : whole;
}

static int compare_need(const void *pa, const void *pb, void *context)
{
	const struct cpushare *s = context;
	const struct cpushare *a = &s[*(const uint32_t *)pa], *b = &s[*(const uint32_t *)pb];
	/* weight / reservation, crosswise so that nothing is divided by zero */
	double left = (double)a->weight * (double)b->reservation_mcpu;
	double right = (double)b->weight * (double)a->reservation_mcpu;

	if (left < right || left > right)
		return left < right ? -1 : 1;
	return *(const uint32_t *)pa < *(const uint32_t *)pb ? -1 : 1;
}

struct pool {
	const struct cpushare *shares;
	const uint32_t *order; /* neediest first */
	size_t count;
	double mcpu;  /* capacity */
	double cut;   /* what of each reservation is kept: 1, or less when they pass the pool */
	double scale; /* of the class weights */
};

/* Decide how many of the neediest are raised; returns the sum of all weights. */
static double solve_sum(const struct pool *p, size_t *ret_raised)
{
	double rest = 0, rho = 0, sum;
	size_t raised = 0;

	for (size_t i = 0; i < p->count; i++)
		rest += scaled(p->shares[i].weight, p->scale);
	sum = rest;
	while (raised < p->count) {
		const struct cpushare *next = &p->shares[p->order[raised]];
		double own = scaled(next->weight, p->scale);
		double share = (double)next->reservation_mcpu * p->cut / p->mcpu;

		if (own >= share * sum)
			break;
		raised++;
		rest -= own;
		rho += share;
		sum = (rest + (double)raised) / (1 - rho);
	}
	*ret_raised = raised;
	return sum;
}

/* Weight of the i-th neediest for this sum of all. */
static double raised_weight(const struct pool *p, size_t i, double sum)
{
	const struct cpushare *s = &p->shares[p->order[i]];

	return round_up((double)s->reservation_mcpu * p->cut / p->mcpu * sum);
}

static double cut_to_pool(const struct cpushare *shares, size_t count, double pool_mcpu)
{
	double reserved = 0;

	for (size_t i = 0; i < count; i++)
		reserved += (double)shares[i].reservation_mcpu;
	return reserved > pool_mcpu * RHO_MAX ? pool_mcpu * RHO_MAX / reserved : 1;
}

static void write_results(struct cpushare *shares, const struct pool *p, size_t raised, double sum)
{
	for (size_t i = 0; i < p->count; i++) {
		struct cpushare *s = &shares[p->order[i]];
		double w = i < raised ? raised_weight(p, i, sum) : scaled(s->weight, p->scale);

		s->result = (uint32_t)clamp_weight(w);
	}
}

static double largest(const struct pool *p, size_t raised, double sum)
{
	double max = 0;

	for (size_t i = 0; i < raised; i++) {
		double w = raised_weight(p, i, sum);

		if (w > max)
			max = w;
	}
	return max;
}

void cpushare_solve(struct cpushare *shares, size_t count, uint64_t pool_mcpu)
{
	struct pool p = { .shares = shares, .count = count, .mcpu = (double)pool_mcpu, .scale = 1 };
	uint32_t *order = pool_mcpu && count ? calloc(count, sizeof(*order)) : NULL;
	size_t raised;
	double sum, max;

	for (size_t i = 0; i < count; i++) {
		shares[i].result = (uint32_t)clamp_weight(shares[i].weight);
		if (order)
			order[i] = (uint32_t)i;
	}
	if (!order)
		return; /* no pool, or no memory: class weights as they are */
	qsort_r(order, count, sizeof(*order), compare_need, shares);
	p.order = order;
	p.cut = cut_to_pool(shares, count, p.mcpu);
	sum = solve_sum(&p, &raised);
	max = largest(&p, raised, sum);
	for (int round = 0; max > CPUSHARE_WEIGHT_MAX && round < 8; round++) {
		p.scale *= 0.99 * CPUSHARE_WEIGHT_MAX / max;
		sum = solve_sum(&p, &raised);
		max = largest(&p, raised, sum);
	}
	write_results(shares, &p, raised, sum);
	free(order);
}
