/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * placement_cores - choosing cores. Cores are sorted by node, then cache, so both are ranges.
 *
 * `seats` are the vCPUs that a core has room for: one, or one per thread.
 */
#include <stdlib.h>
#include <string.h>

#include "qosd/core/mem.h"
#include "qosd/core/placement_private.h"

struct cores {
	const struct host *host;
	size_t count;       /* host->ncores */
	uint32_t *owner;    /* of each core; 0 free, OUTSIDE never given */
	uint16_t *core_of;  /* index of each CPU's core, CPUSET_MAX entries */
	size_t free, spare; /* free cores, and how many of them must stay free */
};

#define OUTSIDE UINT32_MAX
#define NO_CORE UINT16_MAX

static void map_cpus(struct cores *c, size_t core)
{
	const struct cpuset *cpus = &c->host->cores[core].cpus;

	for (unsigned int cpu = cpuset_next(cpus, 0); cpu < CPUSET_MAX;
	     cpu = cpuset_next(cpus, cpu + 1))
		c->core_of[cpu] = (uint16_t)core;
}

struct cores *cores_new(const struct host *host, const struct cpuset *pool)
{
	struct cores *c = calloc(1, sizeof(*c));
	size_t whole_cpus = 0;

	if (!c)
		return NULL;
	*c = (struct cores){ .host = host, .count = host->ncores };
	c->owner = calloc(c->count + 1, sizeof(*c->owner));
	c->core_of = malloc(CPUSET_MAX * sizeof(*c->core_of));
	if (!c->owner || !c->core_of) {
		cores_free(c);
		return NULL;
	}
	memset(c->core_of, 0xff, CPUSET_MAX * sizeof(*c->core_of));
	for (size_t i = 0; i < c->count; i++) {
		map_cpus(c, i);
		if (cpuset_subset(&host->cores[i].cpus, pool)) {
			c->free++;
			whole_cpus += host->cores[i].threads;
		} else {
			c->owner[i] = OUTSIDE;
		}
	}
	/* CPUs of broken cores keep the shared pool alive; without any, one core has to. */
	c->spare = whole_cpus < cpuset_count(pool) ? 0 : 1;
	return c;
}

void cores_free(struct cores *c)
{
	if (!c)
		return;
	free(c->owner);
	free(c->core_of);
	free(c);
}

static bool take(struct cores *c, size_t core, uint32_t owner)
{
	if (c->owner[core] == owner)
		return true;
	if (c->owner[core] || c->free <= c->spare)
		return false;
	c->owner[core] = owner;
	c->free--;
	return true;
}

void cores_release(struct cores *c, uint32_t owner)
{
	for (size_t i = 0; i < c->count; i++) {
		if (c->owner[i] == owner) {
			c->owner[i] = 0;
			c->free++;
		}
	}
}

struct cpuset cores_owned(const struct cores *c, uint32_t owner)
{
	struct cpuset set = { 0 };

	for (size_t i = 0; i < c->count; i++)
		if (c->owner[i] == owner)
			set = cpuset_or(&set, &c->host->cores[i].cpus);
	return set;
}

static uint32_t seats_of(const struct cores *c, size_t core, bool isolate)
{
	return isolate ? 1 : c->host->cores[core].threads;
}

/* Is this CPU, or with isolate its core, taken by a vCPU of the guest? */
static bool seat_taken(const struct cores *c, const struct want *want, const uint32_t *vcpu_cpu,
		       uint32_t cpu)
{
	for (uint32_t v = 0; v < want->vcpus; v++) {
		if (vcpu_cpu[v] == NO_CPU)
			continue;
		if (vcpu_cpu[v] == cpu ||
		    (want->isolate && c->core_of[vcpu_cpu[v]] == c->core_of[cpu]))
			return true;
	}
	return false;
}

void cores_keep(struct cores *c, const struct want *want, const uint32_t *before, size_t nbefore,
		uint32_t *vcpu_cpu)
{
	uint32_t seats = 0; /* on the cores kept so far */

	for (size_t v = 0; v < want->vcpus && v < nbefore; v++) {
		uint32_t cpu = before[v];
		uint16_t core = cpu < CPUSET_MAX ? c->core_of[cpu] : NO_CORE;

		if (core == NO_CORE || seat_taken(c, want, vcpu_cpu, cpu))
			continue;
		if (c->owner[core] != want->owner) {
			/* With these cores there is a seat for each already: no more of them. */
			if (seats >= want->vcpus || !take(c, core, want->owner))
				continue;
			seats += seats_of(c, core, want->isolate);
		}
		vcpu_cpu[v] = cpu;
	}
}

struct range { /* of cores */
	size_t begin, end;
};

static bool same_group(const struct host_core *a, const struct host_core *b, bool by_cache)
{
	return a->node == b->node && (!by_cache || a->llc == b->llc);
}

static uint32_t free_seats(const struct cores *c, struct range r, bool isolate)
{
	uint32_t seats = 0;

	for (size_t i = r.begin; i < r.end; i++)
		if (!c->owner[i])
			seats += seats_of(c, i, isolate);
	return seats;
}

static bool holds_core_of(const struct cores *c, struct range r, uint32_t owner)
{
	for (size_t i = r.begin; i < r.end; i++)
		if (c->owner[i] == owner)
			return true;
	return false;
}

struct choice {
	struct range range;
	uint32_t seats;
	bool home; /* the guest has cores here already */
};

/* Enough beats not enough; at home beats elsewhere; then the tightest fit, or the largest part. */
static bool better(const struct choice *a, const struct choice *b, uint32_t need)
{
	bool a_fits = a->seats >= need, b_fits = b->seats >= need;

	if (a_fits != b_fits)
		return a_fits;
	if (a->home != b->home)
		return a->home && a->seats > 0;
	if (a->seats == b->seats)
		return true; /* a comes later: higher CPU numbers */
	return a_fits ? a->seats < b->seats : a->seats > b->seats;
}

/* The best node (or cache, by_cache) within a range of cores. */
static struct choice best_group(const struct cores *c, struct range within, bool by_cache,
				const struct want *want, uint32_t need)
{
	struct choice best = { { 0, 0 }, 0, false };
	const struct host_core *cores = c->host->cores;

	for (size_t begin = within.begin, end; begin < within.end; begin = end) {
		struct choice next = { { begin, begin }, 0, false };

		for (end = begin + 1; end < within.end; end++)
			if (!same_group(&cores[begin], &cores[end], by_cache))
				break;
		next.range.end = end;
		next.seats = free_seats(c, next.range, want->isolate);
		next.home = holds_core_of(c, next.range, want->owner);
		if (next.seats && (!best.seats || better(&next, &best, need)))
			best = next;
	}
	return best;
}

/* Take free cores from the top of a range until `need` seats are there; returns seats got. */
static uint32_t take_from(struct cores *c, struct range r, const struct want *want, uint32_t need)
{
	uint32_t got = 0;

	for (size_t i = r.end; i > r.begin && got < need; i--)
		if (!c->owner[i - 1] && take(c, i - 1, want->owner))
			got += seats_of(c, i - 1, want->isolate);
	return got;
}

/* Take whole cores with room for `need` vCPUs: node by node, in each cache by cache. */
static bool take_cores(struct cores *c, const struct want *want, uint32_t need)
{
	while (need) {
		struct range all = { 0, c->count };
		struct choice node = best_group(c, all, false, want, need);
		struct choice cache = best_group(c, node.range, true, want, need);
		uint32_t got = take_from(c, cache.range, want, need);

		if (!got)
			return false;
		need -= got < need ? got : need;
	}
	return true;
}

/* Free seats on cores that the guest owns go to its vCPUs in ascending order; returns how many
 * lack. */
static uint32_t seat_vcpus(const struct cores *c, const struct want *want, uint32_t *vcpu_cpu)
{
	struct cpuset owned = cores_owned(c, want->owner);
	unsigned int cpu = cpuset_next(&owned, 0);
	uint32_t lack = 0;

	for (uint32_t v = 0; v < want->vcpus; v++) {
		if (vcpu_cpu[v] != NO_CPU)
			continue;
		while (cpu < CPUSET_MAX && seat_taken(c, want, vcpu_cpu, cpu))
			cpu = cpuset_next(&owned, cpu + 1);
		if (cpu < CPUSET_MAX)
			vcpu_cpu[v] = cpu;
		else
			lack++;
	}
	return lack;
}

bool cores_complete(struct cores *c, const struct want *want, uint32_t *vcpu_cpu)
{
	uint32_t lack = seat_vcpus(c, want, vcpu_cpu);

	if (!lack)
		return true;
	return take_cores(c, want, lack) && seat_vcpus(c, want, vcpu_cpu) == 0;
}
