/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "qosd/core/ledger.h"

#include <errno.h>
#include <stdlib.h>

#include "qosd/core/human.h"
#include "qosd/core/mem.h"

struct cpuset ledger_pool(const struct policy *policy, const struct host *host)
{
	struct cpuset pool = cpuset_minus(&host->online, &policy->host.reserve.cpus);

	return cpuset_empty(&pool) ? host->online : pool;
}

/* CPUs of the pool that are whole cores, but for one core's worth where all of the pool is. */
static uint32_t dedicated_capacity(const struct host *host, const struct cpuset *pool)
{
	uint32_t whole = 0;

	for (size_t i = 0; i < host->ncores; i++)
		if (cpuset_subset(&host->cores[i].cpus, pool))
			whole += host->cores[i].threads;
	if (whole < cpuset_count(pool))
		return whole;
	return whole > host->threads_per_core ? whole - host->threads_per_core : 0;
}

void ledger_init(struct ledger *l, const struct policy *policy, const struct host *host)
{
	uint64_t reserve = policy->host.reserve.memory_bytes + host->services_bytes;
	struct cpuset pool = ledger_pool(policy, host);

	*l = (struct ledger){ 0 };
	if (host->memory_bytes > reserve)
		l->memory_capacity_bytes = host->memory_bytes - reserve;
	l->rbd_capacity_bytes = policy->ceph.cache_budget_bytes;
	l->dedicated_capacity_cpus = dedicated_capacity(host, &pool);
	l->shared_capacity_mcpu = (uint64_t)cpuset_count(&pool) * 1000;
}

uint32_t ledger_dedicated_cpus(const struct host *host, const struct guest *g,
			       const struct qclass *c)
{
	uint32_t threads = host->threads_per_core ? host->threads_per_core : 1;
	uint32_t vcpus = class_vcpus(g);

	if (c->cpu.threads == THREADS_ISOLATE)
		return vcpus * threads;
	return (vcpus + threads - 1) / threads * threads;
}

static const char *name_of(const struct guest *g)
{
	return g->name ? g->name : g->uuid;
}

static int check_memory(const struct ledger *l, const struct guest *g, uint64_t ask,
			struct qerr *err)
{
	uint64_t left = l->memory_capacity_bytes - l->memory_reserved_bytes;
	char asked[HUMAN_TEXT_MAX], free_text[HUMAN_TEXT_MAX], all[HUMAN_TEXT_MAX];

	if (ask <= left)
		return 0;
	return qerr_set(err, -ENOSPC, "memory: %s asks for %s, %s of %s can still be reserved",
			name_of(g), human_size(ask, asked), human_size(left, free_text),
			human_size(l->memory_capacity_bytes, all));
}

static int check_rbd(const struct ledger *l, const struct guest *g, uint64_t ask, struct qerr *err)
{
	uint64_t left = l->rbd_capacity_bytes - l->rbd_used_bytes;
	char asked[HUMAN_TEXT_MAX], free_text[HUMAN_TEXT_MAX], all[HUMAN_TEXT_MAX];

	if (l->rbd_capacity_bytes == POLICY_NONE_U64 || ask <= left)
		return 0;
	return qerr_set(err, -ENOSPC,
			"RBD caches: those of %s may take %s, %s of ceph.cache_budget %s are left",
			name_of(g), human_size(ask, asked), human_size(left, free_text),
			human_size(l->rbd_capacity_bytes, all));
}

static int check_dedicated(const struct ledger *l, const struct guest *g, uint32_t ask,
			   struct qerr *err)
{
	uint32_t left = l->dedicated_capacity_cpus - l->dedicated_used_cpus;
	uint64_t shared_after;
	char reserved[HUMAN_TEXT_MAX];

	if (ask > left)
		return qerr_set(err, -ENOSPC,
				"cpu: %s asks for %u dedicated CPUs, %u of %u are left", name_of(g),
				ask, left, l->dedicated_capacity_cpus);
	shared_after = l->shared_capacity_mcpu - (uint64_t)ask * 1000;
	if (shared_after < l->shared_reserved_mcpu)
		return qerr_set(err, -ENOSPC,
				"cpu: %s asks for %u dedicated CPUs, which leaves less than the "
				"%s that are reserved in the shared pool",
				name_of(g), ask, human_mcpu(l->shared_reserved_mcpu, reserved));
	return 0;
}

static int check_shared(const struct ledger *l, const struct guest *g, uint64_t ask,
			struct qerr *err)
{
	uint64_t left = l->shared_capacity_mcpu - l->shared_reserved_mcpu;
	char asked[HUMAN_TEXT_MAX], free_text[HUMAN_TEXT_MAX], all[HUMAN_TEXT_MAX];

	if (ask <= left)
		return 0;
	return qerr_set(err, -ENOSPC,
			"cpu: %s asks for %s, %s of %s in the shared pool can still be reserved",
			name_of(g), human_mcpu(ask, asked), human_mcpu(left, free_text),
			human_mcpu(l->shared_capacity_mcpu, all));
}

int ledger_admit(struct ledger *l, const struct host *host, const struct guest *g,
		 const struct qclass *c, struct qerr *err)
{
	bool dedicated = c->cpu.placement == PLACEMENT_DEDICATED;
	uint32_t cpus = dedicated ? ledger_dedicated_cpus(host, g, c) : 0;
	uint64_t mcpu = dedicated ? 0 : class_cpu_reservation_mcpu(c, g);
	uint64_t memory = class_memory_reservation(c, g), rbd = class_memory_rbd_caches(c, g);
	int r = check_memory(l, g, memory, err);

	if (r == 0)
		r = check_rbd(l, g, rbd, err);
	if (r == 0 && dedicated)
		r = check_dedicated(l, g, cpus, err);
	else if (r == 0)
		r = check_shared(l, g, mcpu, err);
	if (r < 0)
		return r;
	l->memory_reserved_bytes += memory;
	l->rbd_used_bytes += rbd;
	l->dedicated_used_cpus += cpus;
	l->shared_capacity_mcpu -= (uint64_t)cpus * 1000;
	l->shared_reserved_mcpu += mcpu;
	return 0;
}

struct rank_key {
	uint32_t rank, id, index;
	uint64_t start_ticks; /* age that a restart of qosd does not change; 0 unknown */
};

static int compare_rank(const void *pa, const void *pb)
{
	const struct rank_key *a = pa, *b = pb;

	if (a->rank != b->rank)
		return a->rank < b->rank ? -1 : 1;
	if (a->start_ticks && b->start_ticks && a->start_ticks != b->start_ticks)
		return a->start_ticks < b->start_ticks ? -1 : 1;
	if (a->id != b->id)
		return a->id < b->id ? -1 : 1;
	return (a->index > b->index) - (a->index < b->index);
}

int ledger_order(const struct inventory *inv, const struct assignment *assign, uint32_t *order)
{
	CLEANUP_FREE struct rank_key *keys = NULL;

	if (!inv->count)
		return 0;
	keys = calloc(inv->count, sizeof(*keys));
	if (!keys)
		return -ENOMEM;
	for (size_t i = 0; i < inv->count; i++)
		keys[i] = (struct rank_key){ .rank = assign[i].effective.rank,
					     .id = inv->guests[i]->id,
					     .start_ticks = inv->guests[i]->start_ticks,
					     .index = (uint32_t)i };
	qsort(keys, inv->count, sizeof(*keys), compare_rank);
	for (size_t i = 0; i < inv->count; i++)
		order[i] = keys[i].index;
	return 0;
}

/* ---- head room ---- */

/* Of one more disk: what is without limit may take all of host.disk. */
static uint64_t more(uint64_t sum, uint64_t limit, uint64_t most)
{
	if (limit == UINT64_MAX)
		limit = most == UINT64_MAX ? 0 : most;
	sum = sum > UINT64_MAX - limit ? UINT64_MAX : sum + limit;
	return sum < most ? sum : most;
}

static void count_clients(struct ledger_clients *sum, const struct host_disk *all,
			  const struct guest *g, const struct qclass *c)
{
	for (size_t i = 0; i < g->ndisks; i++) {
		if (!g->disks[i].rbd || !g->disks[i].fixed)
			continue;
		sum->iops = more(sum->iops, class_disk_limit_iops(c), all->iops);
		sum->bytes_ps = more(sum->bytes_ps, class_disk_limit_bytes_ps(c), all->bps);
	}
	sum->mcpu = class_rbd_clients_mcpu(sum->iops, sum->bytes_ps);
}

/* They run where the emulator does (plan_add_emulator()); CPUs that a class names are its own. */
static void count_guest(struct ledger *l, const struct policy *policy, const struct host *host,
			const struct guest *g, const struct qclass *c, bool admitted)
{
	bool dedicated = admitted && c->cpu.placement == PLACEMENT_DEDICATED;
	bool apart = dedicated && cpuset_intersects(&host->online, &policy->host.reserve.cpus);

	if (cpuset_empty(&c->cpu.emulator))
		count_clients(apart ? &l->clients_host : &l->clients_shared, &policy->host.disk, g,
			      c);
}

int ledger_build(struct ledger *l, const struct policy *policy, const struct host *host,
		 const struct inventory *inv, const struct assignment *assign, bool *admitted,
		 struct qerr *errs)
{
	CLEANUP_FREE uint32_t *order = calloc(inv->count + 1, sizeof(*order));

	ledger_init(l, policy, host);
	for (size_t i = 0; i < inv->count; i++)
		admitted[i] = false;
	if (!order || ledger_order(inv, assign, order) < 0)
		return -ENOMEM;
	for (size_t i = 0; i < inv->count; i++) {
		uint32_t at = order[i];

		if (errs)
			errs[at] = (struct qerr){ 0 };
		admitted[at] = ledger_admit(l, host, inv->guests[at], &assign[at].effective,
					    errs ? &errs[at] : NULL) == 0;
		count_guest(l, policy, host, inv->guests[at], &assign[at].effective, admitted[at]);
	}
	return 0;
}
