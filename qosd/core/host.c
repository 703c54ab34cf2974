/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * host - builds the topology model: CPUs first, then what follows from them (cores, nodes).
 */
#include "qosd/core/host.h"

#include <errno.h>
#include <stdlib.h>

#include "qosd/core/mem.h"

struct host *host_new(void)
{
	return calloc(1, sizeof(struct host));
}

void host_free(struct host *h)
{
	if (!h)
		return;
	free(h->cpus);
	free(h->nodes);
	free(h->cores);
	free(h);
}

int host_add_cpu(struct host *h, uint32_t cpu, uint32_t core, uint32_t llc, uint32_t node)
{
	if (cpu >= CPUSET_MAX)
		return -ERANGE;
	if (cpuset_has(&h->online, cpu))
		return -EEXIST;
	if (mem_grow(&h->cpus, &h->cpus_capacity, h->ncpus + 1, sizeof(*h->cpus)) < 0)
		return -ENOMEM;
	h->cpus[h->ncpus++] =
		(struct host_cpu){ .cpu = cpu, .core = core, .llc = llc, .node = node };
	cpuset_add(&h->online, cpu);
	return 0;
}

static struct host_node *find_node(const struct host *h, uint32_t node)
{
	for (size_t i = 0; i < h->nnodes; i++)
		if (h->nodes[i].node == node)
			return &h->nodes[i];
	return NULL;
}

int host_add_node(struct host *h, uint32_t node, uint64_t memory_bytes)
{
	if (find_node(h, node))
		return -EEXIST;
	if (mem_grow(&h->nodes, &h->nodes_capacity, h->nnodes + 1, sizeof(*h->nodes)) < 0)
		return -ENOMEM;
	h->nodes[h->nnodes++] = (struct host_node){ .node = node, .memory_bytes = memory_bytes };
	return 0;
}

static int compare_u32(uint32_t a, uint32_t b)
{
	return (a > b) - (a < b);
}

static int compare_cpus(const void *a, const void *b)
{
	return compare_u32(((const struct host_cpu *)a)->cpu, ((const struct host_cpu *)b)->cpu);
}

static int compare_nodes(const void *a, const void *b)
{
	return compare_u32(((const struct host_node *)a)->node,
			   ((const struct host_node *)b)->node);
}

static int compare_cores(const void *pa, const void *pb)
{
	const struct host_core *a = pa, *b = pb;
	int r = compare_u32(a->node, b->node);

	if (!r)
		r = compare_u32(a->llc, b->llc);
	return r ? r : compare_u32(cpuset_next(&a->cpus, 0), cpuset_next(&b->cpus, 0));
}

static int fill_nodes(struct host *h)
{
	for (size_t i = 0; i < h->ncpus; i++) {
		int r = host_add_node(h, h->cpus[i].node, 0);

		if (r < 0 && r != -EEXIST)
			return r;
		cpuset_add(&find_node(h, h->cpus[i].node)->cpus, h->cpus[i].cpu);
	}
	qsort(h->nodes, h->nnodes, sizeof(*h->nodes), compare_nodes);
	h->memory_bytes = 0;
	for (size_t i = 0; i < h->nnodes; i++)
		h->memory_bytes += h->nodes[i].memory_bytes;
	return 0;
}

static struct host_core *find_core(const struct host *h, uint32_t core)
{
	for (size_t i = 0; i < h->ncores; i++)
		if (h->cores[i].core == core)
			return &h->cores[i];
	return NULL;
}

static int fill_cores(struct host *h)
{
	h->cores = calloc(h->ncpus, sizeof(*h->cores));
	if (!h->cores)
		return -ENOMEM;
	for (size_t i = 0; i < h->ncpus; i++) {
		const struct host_cpu *cpu = &h->cpus[i];
		struct host_core *core = find_core(h, cpu->core);

		if (!core) {
			core = &h->cores[h->ncores++];
			*core = (struct host_core){ .core = cpu->core,
						    .llc = cpu->llc,
						    .node = cpu->node };
		}
		cpuset_add(&core->cpus, cpu->cpu);
		if (++core->threads > h->threads_per_core)
			h->threads_per_core = core->threads;
	}
	qsort(h->cores, h->ncores, sizeof(*h->cores), compare_cores);
	return 0;
}

int host_finish(struct host *h)
{
	int r;

	if (!h->ncpus)
		return -EINVAL;
	qsort(h->cpus, h->ncpus, sizeof(*h->cpus), compare_cpus);
	r = fill_nodes(h);
	return r < 0 ? r : fill_cores(h);
}

const struct host_cpu *host_cpu_find(const struct host *h, uint32_t cpu)
{
	struct host_cpu key = { .cpu = cpu };

	return bsearch(&key, h->cpus, h->ncpus, sizeof(*h->cpus), compare_cpus);
}

struct cpuset host_siblings(const struct host *h, uint32_t cpu)
{
	const struct host_cpu *found = host_cpu_find(h, cpu);
	const struct host_core *core = found ? find_core(h, found->core) : NULL;

	return core ? core->cpus : (struct cpuset){ 0 };
}

/* One hardware thread of every core; false when out of memory. */
static bool add_threads(struct host *h, unsigned int nodes, unsigned int cores_per_node,
			unsigned int thread)
{
	unsigned int cores = nodes * cores_per_node;

	for (unsigned int core = 0; core < cores; core++) {
		unsigned int node = core / cores_per_node;

		if (host_add_cpu(h, thread * cores + core, core, node, node) < 0)
			return false;
	}
	return true;
}

struct host *host_regular(unsigned int nodes, unsigned int cores_per_node, unsigned int threads,
			  uint64_t memory_bytes)
{
	struct host *h;
	bool ok = true;

	if (!nodes || nodes > CPUSET_MAX || !cores_per_node || cores_per_node > CPUSET_MAX ||
	    !threads || threads > CPUSET_MAX ||
	    (uint64_t)nodes * cores_per_node * threads > CPUSET_MAX)
		return NULL;
	h = host_new();
	if (!h)
		return NULL;
	for (unsigned int node = 0; ok && node < nodes; node++)
		ok = host_add_node(h, node, memory_bytes / nodes) == 0;
	for (unsigned int thread = 0; ok && thread < threads; thread++)
		ok = add_threads(h, nodes, cores_per_node, thread);
	if (!ok || host_finish(h) < 0) {
		host_free(h);
		return NULL;
	}
	return h;
}
