/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "t/sim/load.h"

#include <math.h>

/* splitmix64: Steele, Lea, Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014. */
static uint64_t next_u64(struct rng *r)
{
	uint64_t z = r->state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

struct rng rng_new(uint64_t seed, uint64_t stream)
{
	struct rng r = { .state = seed };

	r.state = next_u64(&r) + stream;
	r.state = next_u64(&r);
	return r;
}

double rng_uniform(struct rng *r)
{
	return (double)(next_u64(r) >> 11) * 0x1p-53;
}

double rng_exponential(struct rng *r)
{
	return -log(1 - rng_uniform(r));
}

/* Box and Muller, 1958. */
double rng_normal(struct rng *r)
{
	double radius = sqrt(2 * rng_exponential(r));

	return radius * cos(2 * M_PI * rng_uniform(r));
}

static double bursts(const struct load *l, struct load_state *state, struct rng *rng, double now_s)
{
	while (now_s >= state->next_s) {
		double mean_s;

		state->on = !state->on;
		mean_s = l->period_s * (state->on ? l->duty : 1 - l->duty);
		state->next_s = (state->next_s > l->from_s ? state->next_s : l->from_s) +
				mean_s * rng_exponential(rng);
	}
	return state->on ? l->high : l->low;
}

double load_at(const struct load *l, struct load_state *state, struct rng *rng, double now_s)
{
	double age_s = now_s - l->from_s;

	if (l->shape == LOAD_CONST || age_s < 0 || (l->until_s > 0 && now_s >= l->until_s))
		return l->low;
	switch (l->shape) {
	case LOAD_SQUARE:
		return fmod(age_s, l->period_s) < l->duty * l->period_s ? l->high : l->low;
	case LOAD_BURSTS:
		return bursts(l, state, rng, now_s);
	case LOAD_RAMP:
		return l->low + (l->high - l->low) * fmin(1, age_s / l->period_s);
	default:
		return l->high;
	}
}
