/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * placement - two passes over the guests that want cores of their own, in order of rank and age:
 * first every guest keeps what it may of its earlier CPUs, then the rest is given from what is
 * left (placement_cores.c). So nobody's cores go to another while their owner still may keep them.
 */
#include "qosd/core/placement.h"

#include <errno.h>
#include <stdlib.h>

#include "qosd/core/ledger.h"
#include "qosd/core/mem.h"
#include "qosd/core/placement_private.h"

void placement_free(struct placement *p)
{
	if (!p)
		return;
	for (size_t i = 0; p->guests && i < p->count; i++)
		free(p->guests[i].vcpu_cpu);
	free(p->guests);
	free(p->by_id);
	free(p);
}

static int compare_ids(const void *pa, const void *pb, void *context)
{
	const struct placement *p = context;
	uint32_t a = p->guests[*(const uint32_t *)pa].guest_id;
	uint32_t b = p->guests[*(const uint32_t *)pb].guest_id;

	return (a > b) - (a < b);
}

struct placement *placement_new(const struct inventory *inv)
{
	struct placement *p = calloc(1, sizeof(*p));

	if (!p)
		return NULL;
	p->guests = calloc(inv->count + 1, sizeof(*p->guests));
	p->by_id = calloc(inv->count + 1, sizeof(*p->by_id));
	if (!p->guests || !p->by_id) {
		placement_free(p);
		return NULL;
	}
	p->count = inv->count;
	for (size_t i = 0; i < p->count; i++) {
		p->guests[i].guest_id = inv->guests[i]->id;
		p->by_id[i] = (uint32_t)i;
	}
	qsort_r(p->by_id, p->count, sizeof(*p->by_id), compare_ids, p);
	return p;
}

const struct placement_guest *placement_find(const struct placement *p, uint32_t guest_id)
{
	size_t low = 0, high = p->count;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (p->guests[p->by_id[mid]].guest_id < guest_id)
			low = mid + 1;
		else
			high = mid;
	}
	if (low < p->count && p->guests[p->by_id[low]].guest_id == guest_id)
		return &p->guests[p->by_id[low]];
	return NULL;
}

struct job { /* what placement_compute was asked */
	const struct inventory *inv;
	const struct assignment *assign;
	const bool *admitted;
	const struct placement *previous;
	const uint32_t *order;
};

static struct want want_of(const struct job *job, uint32_t i)
{
	const struct qclass *c = &job->assign[i].effective;

	return (struct want){ .owner = i + 1,
			      .vcpus = class_vcpus(job->inv->guests[i]),
			      .isolate = c->cpu.threads == THREADS_ISOLATE };
}

static bool wants_cores(const struct job *job, uint32_t i)
{
	return job->assign[i].effective.cpu.placement == PLACEMENT_DEDICATED &&
	       job->inv->guests[i]->vcpus > 0;
}

/* First pass for one guest: its own map of vCPUs to CPUs, as far as the earlier one still is valid.
 */
static int start_guest(struct cores *cores, const struct job *job, uint32_t i,
		       struct placement_guest *pg)
{
	const struct placement_guest *before;
	struct want want = want_of(job, i);

	pg->shortfall = true; /* until it has all its CPUs */
	if (!job->admitted[i] || want.vcpus > CPUSET_MAX)
		return 0;
	pg->vcpu_cpu = malloc(want.vcpus * sizeof(*pg->vcpu_cpu));
	if (!pg->vcpu_cpu)
		return -ENOMEM;
	pg->nvcpus = want.vcpus;
	for (size_t v = 0; v < pg->nvcpus; v++)
		pg->vcpu_cpu[v] = NO_CPU;
	before = job->previous ? placement_find(job->previous, pg->guest_id) : NULL;
	if (before && before->dedicated)
		cores_keep(cores, &want, before->vcpu_cpu, before->nvcpus, pg->vcpu_cpu);
	return 0;
}

/* Second pass: the CPUs that are still missing; all of them or none. */
static void finish_guest(struct cores *cores, const struct job *job, uint32_t i,
			 struct placement_guest *pg)
{
	struct want want = want_of(job, i);

	if (!pg->vcpu_cpu)
		return;
	if (!cores_complete(cores, &want, pg->vcpu_cpu)) {
		cores_release(cores, want.owner);
		free(TAKE_PTR(pg->vcpu_cpu));
		pg->nvcpus = 0;
		return;
	}
	pg->owned = cores_owned(cores, want.owner);
	pg->dedicated = true;
	pg->shortfall = false;
}

static int place_all(struct placement *p, struct cores *cores, const struct job *job)
{
	for (size_t i = 0; i < p->count; i++) {
		uint32_t at = job->order[i];

		if (wants_cores(job, at) && start_guest(cores, job, at, &p->guests[at]) < 0)
			return -ENOMEM;
	}
	for (size_t i = 0; i < p->count; i++)
		finish_guest(cores, job, job->order[i], &p->guests[job->order[i]]);
	for (size_t i = 0; i < p->count; i++)
		p->dedicated = cpuset_or(&p->dedicated, &p->guests[i].owned);
	return 0;
}

struct placement *placement_compute(const struct policy *policy, const struct host *host,
				    const struct inventory *inv, const struct assignment *assign,
				    const bool *admitted, const struct placement *previous)
{
	CLEANUP_FREE uint32_t *order = calloc(inv->count + 1, sizeof(*order));
	struct job job = { inv, assign, admitted, previous, order };
	struct cpuset pool = ledger_pool(policy, host);
	struct placement *p = placement_new(inv);
	struct cores *cores = cores_new(host, &pool);

	if (!order || !p || !cores || ledger_order(inv, assign, order) < 0 ||
	    place_all(p, cores, &job) < 0) {
		placement_free(p);
		cores_free(cores);
		return NULL;
	}
	cores_free(cores);
	p->housekeeping = cpuset_and(&policy->host.reserve.cpus, &host->online);
	p->shared = cpuset_minus(&pool, &p->dedicated);
	return p;
}
