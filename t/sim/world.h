/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * world - the simulated host: guests that want things, and what contention leaves them.
 *
 * A fluid model in steps of WORLD_STEP_S: within a step every rate is constant. The parts
 * (world_cpu.c, world_memory.c, world_net.c, world_disk.c) each read what guests want and what
 * their knobs allow, and add to the counters that a real host has. They know nothing of qosd; the
 * formulas and where they come from stand at the head of each.
 *
 * Units: CPUs, bytes, bit/s, operations/s, seconds. INFINITY: not limited.
 */
#ifndef QOSD_T_SIM_WORLD_H
#define QOSD_T_SIM_WORLD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "qosd/core/sample.h"
#include "t/sim/load.h"

#define WORLD_STEP_S 0.01
#define WORLD_GIB    1073741824.0

enum direction { NET_IN, NET_OUT };

struct guest_spec { /* `count` guests alike */
	const char *name;
	uint32_t class_index; /* into the scenario's classes */
	uint32_t count, vcpus;
	double memory_gib;
	struct load cpu, memory, net[2], disk; /* CPUs, GiB, Mbit/s, IOPS of one guest */
	double start_s, stop_s;                /* stop 0: stays */
	double spread_s;                       /* they start and step one after another over this */
	bool light;                            /* wants less than its part: must stay untouched */
	bool exempt;                           /* held by the operator */
	bool no_balloon;                       /* its memory can only be reclaimed */
	bool udp;                              /* does not slow down when packets are dropped */
	uint32_t queue_depth;                  /* of its disk; 0: 32 */
};

struct host_spec {
	double cpus, memory_gib, swap_gib;
	double uplink_mbps;                     /* each direction; 0: no uplink known */
	double disk_iops, disk_service_s;       /* what the disks can do; latency of one alone */
	struct load cpu, memory, net_out, disk; /* the host's own needs; they go first */
};

struct knobs { /* in force on one guest */
	double weight, cpu_max;
	double net_bps[2];
	double iops; /* of its disk */
	double memory_min_bytes, memory_target_bytes, balloon_bytes;
};

struct vm {
	const struct guest_spec *spec;
	uint32_t id, index; /* index within the spec */
	bool up;
	struct rng rng;
	struct load_state load_state[5];
	struct knobs knobs;
	double cpu_bonus; /* CPU seconds granted by rewriting cpu.max */
	/* wanted and got in this step */
	double want[RESOURCE_COUNT], got[RESOURCE_COUNT];
	double net_want[2], net_got[2];
	double wait_cpus, memory_stall, disk_latency_s;
	double resident_bytes, swapped_bytes, balloon_bytes, fit_bytes;
	/* counters since the start */
	double run_s, wait_s, throttled, memory_stall_s, disk_stall_s;
	double net_bytes[2], net_dropped[2];
	double disk_ops, disk_bytes, disk_wait_s;
};

struct world {
	const struct host_spec *host;
	struct vm *vms; /* in order of id */
	size_t nvms;
	double now_s;
	struct rng rng;
	struct load_state load_state[4];
	double cpu_host, memory_host_bytes, net_host_bps, disk_host_iops; /* of this step */
	double available_bytes, swap_free_bytes, swapped_bytes, busy_cpus;
	double psi_s[RESOURCE_COUNT];     /* counters */
	double psi_share[RESOURCE_COUNT]; /* of this step */
	double uplink_bytes[2];
	double *scratch; /* 7 * nvms + 2 */
};

struct world *world_new(const struct host_spec *host, const struct guest_spec *specs, size_t nspecs,
			uint64_t seed);
void world_free(struct world *w);
void world_step(struct world *w); /* WORLD_STEP_S */
/* Knobs of one resource were written: what the kernel does at that moment besides. */
void world_write(struct vm *vm, const struct knobs *k, enum resource r);

void world_cpu(struct world *w);
void world_memory(struct world *w);
void world_net(struct world *w);
void world_disk(struct world *w);

/*
 * Weighted max-min: x_i = min(want_i, weight_i * level), sum x_i = min(capacity, sum want_i).
 * Returns the level, INFINITY when all are satisfied. (Bertsekas and Gallager, Data Networks,
 * 6.5.2.)
 */
double world_share(const double *want, const double *weight, size_t n, double capacity,
		   double *ret);

#endif
