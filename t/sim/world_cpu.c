/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * world_cpu - who runs and who waits.
 *
 * Run time: weighted max-min over the CPUs that the host itself leaves, each guest bounded by its
 * demand and its quota (the fluid limit of a fair scheduler: Parekh and Gallager, "A generalized
 * processor sharing approach to flow control", 1993).
 *
 * Waiting, per second of run time, while the guest gets all that it wants:
 *
 *	BASE + PREEMPT * P * S,   P = (use of all others / CPUs) ^ (sqrt(2 (CPUs + 1)) - 1)
 *
 * P: chance that a vCPU that wakes finds all CPUs taken (Sakasegawa's approximation of M/M/c,
 * 1977). S: weight of the competitors on a CPU against theirs and its own: how long until the
 * scheduler lets it in. BASE and PREEMPT are fitted to two measurements on a real kernel (a guest
 * of 30 % duty beside a spinner of the same weight on 2 CPUs waits 3.5 % of the time, beside one
 * of cpu.idle 0.8 %); a third, the spinner capped to half (3.2 %), comes out as 2.4 %.
 *
 * A guest that wants more than it gets has all its vCPUs on the run queue, and what does not run
 * waits, its own quota counted (run_delay includes throttled time: measured). In between, from 85 %
 * of what it could get if it asked for all its vCPUs, waiting grows linearly.
 */
#include <math.h>
#include <stdlib.h>

#include "t/sim/world.h"

#define BASE     0.02
#define PREEMPT  0.33
#define PERIOD_S 0.02 /* of cpu.max */

struct claim { /* a guest's demand and weight, sorted by demand / weight */
	double want, weight;
};

struct cpu_sums {
	double cpus, used, weight_active;
	const struct claim *claims; /* sorted */
	const double *wants;        /* [k]: sum of the demands of the first k */
	const double *weights;      /* [k]: sum of the weights of all but the first k */
	size_t count;
};

/* A refill of the quota is taken within some steps, half of what is left of it in each. */
static double allowed(const struct vm *vm)
{
	return vm->up ? fmin(vm->want[RESOURCE_CPU],
			     vm->knobs.cpu_max + vm->cpu_bonus / 2 / WORLD_STEP_S)
		      : 0;
}

/* Weight that the guest puts on all run queues together. */
static double active_weight(const struct vm *vm)
{
	return vm->knobs.weight * fmin(1, vm->got[RESOURCE_CPU] / vm->spec->vcpus);
}

static double contention(const struct vm *vm, const struct cpu_sums *s)
{
	double others = (s->used - vm->got[RESOURCE_CPU]) / s->cpus;
	double busy = pow(fmin(1, fmax(0, others)), sqrt(2 * (s->cpus + 1)) - 1);
	double rivals = fmax(0, s->weight_active - active_weight(vm)) / s->cpus;
	double own = vm->knobs.weight / vm->spec->vcpus;

	return vm->got[RESOURCE_CPU] * (BASE + PREEMPT * busy * rivals / (rivals + own));
}

/* All take min(want, weight * level), but this guest takes weight * level. */
static double taken(const struct cpu_sums *s, size_t k, double level, const struct vm *vm)
{
	double more = vm->knobs.weight * level - allowed(vm);

	return s->wants[k] + level * s->weights[k] + fmax(0, more);
}

/* What the guest would get if it asked for all its vCPUs, the others asking as they do. */
static double could_get(const struct vm *vm, const struct cpu_sums *s)
{
	size_t low = 0, high = s->count;
	double level, own, weights;

	while (low < high) { /* the first claim that is not satisfied at the level sought */
		size_t middle = (low + high) / 2;
		const struct claim *c = &s->claims[middle];

		if (taken(s, middle, c->want / c->weight, vm) < s->cpus)
			low = middle + 1;
		else
			high = middle;
	}
	/* wants + level * weights + (own weight * level - own want, where that is more) = CPUs */
	own = allowed(vm);
	weights = s->weights[low];
	level = weights > 0 ? (s->cpus - s->wants[low]) / weights : INFINITY;
	if (vm->knobs.weight * level > own)
		level = (s->cpus - s->wants[low] + own) / (weights + vm->knobs.weight);
	return fmin(vm->spec->vcpus, vm->knobs.weight * level);
}

/* All vCPUs queued when it is short; a part of that when it soon will be. */
static double queued(const struct vm *vm, const struct cpu_sums *s)
{
	double could, use;

	if (vm->got[RESOURCE_CPU] + s->cpus - s->used >= vm->spec->vcpus)
		return 0;
	could = could_get(vm, s);
	if (could >= vm->spec->vcpus && vm->got[RESOURCE_CPU] >= vm->want[RESOURCE_CPU] - 1e-9)
		return 0;
	use = could > 0 ? vm->want[RESOURCE_CPU] / could : 1;
	return (vm->spec->vcpus - vm->got[RESOURCE_CPU]) * fmin(1, fmax(0, (use - 0.85) / 0.15));
}

static void account(struct vm *vm, const struct cpu_sums *s)
{
	bool throttled = vm->want[RESOURCE_CPU] > vm->knobs.cpu_max;
	double most = vm->spec->vcpus - vm->got[RESOURCE_CPU];

	vm->wait_cpus = 0;
	if (vm->want[RESOURCE_CPU] > 0)
		vm->wait_cpus = throttled ? most : fmin(most, contention(vm, s) + queued(vm, s));
	if (throttled)
		vm->throttled += WORLD_STEP_S / PERIOD_S;
	vm->run_s += vm->got[RESOURCE_CPU] * WORLD_STEP_S;
	vm->wait_s += vm->wait_cpus * WORLD_STEP_S;
	vm->cpu_bonus /= 2; /* a refill is for the period of now: what is left of it is lost */
}

static int compare_claims(const void *pa, const void *pb)
{
	const struct claim *a = pa, *b = pb;
	double left = a->want * b->weight, right = b->want * a->weight;

	return (left > right) - (left < right);
}

/* Sorted claims with their sums, in the world's scratch memory from `room` on. */
static void sort_claims(const struct world *w, double *room, struct cpu_sums *s)
{
	struct claim *claims = (struct claim *)room;
	double *wants = room + 2 * w->nvms, *weights = wants + w->nvms + 1;

	for (size_t i = 0; i < w->nvms; i++)
		claims[i] = (struct claim){ allowed(&w->vms[i]), w->vms[i].knobs.weight };
	qsort(claims, w->nvms, sizeof(*claims), compare_claims);
	wants[0] = weights[w->nvms] = 0;
	for (size_t i = 0; i < w->nvms; i++)
		wants[i + 1] = wants[i] + claims[i].want;
	for (size_t i = w->nvms; i-- > 0;)
		weights[i] = weights[i + 1] + claims[i].weight;
	s->claims = claims;
	s->wants = wants;
	s->weights = weights;
	s->count = w->nvms;
}

void world_cpu(struct world *w)
{
	double *want = w->scratch, *weight = want + w->nvms, *got = weight + w->nvms;
	struct cpu_sums s = { .cpus = fmax(0.01, w->host->cpus - w->cpu_host) };
	double waiting = 0;

	for (size_t i = 0; i < w->nvms; i++) {
		want[i] = allowed(&w->vms[i]);
		weight[i] = w->vms[i].knobs.weight;
	}
	world_share(want, weight, w->nvms, s.cpus, got);
	sort_claims(w, got + w->nvms, &s);
	for (size_t i = 0; i < w->nvms; i++) {
		w->vms[i].got[RESOURCE_CPU] = got[i];
		s.used += got[i];
		s.weight_active += active_weight(&w->vms[i]);
	}
	for (size_t i = 0; i < w->nvms; i++) {
		if (w->vms[i].up)
			account(&w->vms[i], &s);
		waiting += w->vms[i].up ? w->vms[i].wait_cpus : 0;
	}
	w->busy_cpus = s.used + w->cpu_host;
	/* "some": at least one task waits, with waiting tasks independent of each other. */
	w->psi_share[RESOURCE_CPU] = 1 - exp(-waiting);
}
