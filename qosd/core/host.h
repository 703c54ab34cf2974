/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * host - the topology model: CPUs with their core, last-level cache and NUMA node, and memory.
 *
 * Filled by host/topology (hwloc) from the machine, or from an hwloc XML file of another machine,
 * or by tests by hand. Pure data: no library type appears here.
 */
#ifndef QOSD_CORE_HOST_H
#define QOSD_CORE_HOST_H

#include <stddef.h>
#include <stdint.h>

#include "qosd/core/cpuset.h"

struct host_cpu {
	uint32_t cpu;  /* logical number as the kernel counts */
	uint32_t core; /* index of the physical core, unique in the host */
	uint32_t llc;  /* index of the last-level cache */
	uint32_t node; /* NUMA node, as the kernel counts */
};

struct host_node {
	uint32_t node;
	uint64_t memory_bytes;
	struct cpuset cpus;
};

struct host_core { /* a physical core; made by host_finish */
	uint32_t core, llc, node;
	struct cpuset cpus; /* its online hardware threads */
	unsigned int threads;
};

struct host {
	struct host_cpu *cpus; /* online ones, ascending */
	size_t ncpus, cpus_capacity;
	struct host_node *nodes; /* ascending */
	size_t nnodes, nodes_capacity;
	struct host_core *cores; /* sorted by node, then llc, then lowest CPU */
	size_t ncores;
	unsigned int threads_per_core; /* of the widest core */
	struct cpuset online;
	uint64_t memory_bytes;
	uint64_t services_bytes; /* of it: what services beside the guests may take (Ceph's) */
};

struct host *host_new(void);    /* NULL when out of memory */
void host_free(struct host *h); /* NULL is fine */
/* 0, -ERANGE (cpu >= CPUSET_MAX), -EEXIST (that CPU or node is there already), -ENOMEM. */
int host_add_cpu(struct host *h, uint32_t cpu, uint32_t core, uint32_t llc, uint32_t node);
int host_add_node(struct host *h, uint32_t node, uint64_t memory_bytes);
/*
 * Sort, fill `online`, `cores`, node CPU sets and the sum of memory; a node that a CPU names but
 * nobody added gets made, without memory. Call once after the adds. 0, -EINVAL (no CPU), -ENOMEM.
 */
int host_finish(struct host *h);
const struct host_cpu *host_cpu_find(const struct host *h, uint32_t cpu); /* NULL if offline */
/* All online CPUs of the same physical core, `cpu` included; empty if it is offline. */
struct cpuset host_siblings(const struct host *h, uint32_t cpu);
/*
 * A regular machine: nodes x cores x threads, CPU numbers as Linux gives them (the first threads of
 * all cores, then the second ones), one last-level cache a node, memory in even parts. NULL when
 * out of memory or when there would be no CPU or too many.
 */
struct host *host_regular(unsigned int nodes, unsigned int cores_per_node, unsigned int threads,
			  uint64_t memory_bytes);

#endif
