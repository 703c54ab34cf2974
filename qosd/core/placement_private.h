/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * placement_private - who owns which core, while a placement is being made. Only for placement.c
 * and placement_cores.c.
 */
#ifndef QOSD_CORE_PLACEMENT_PRIVATE_H
#define QOSD_CORE_PLACEMENT_PRIVATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "qosd/core/host.h"

#define NO_CPU UINT32_MAX

struct want {           /* of one guest */
	uint32_t owner; /* > 0, unique */
	uint32_t vcpus;
	bool isolate; /* one vCPU per core */
};

struct cores;

/* The cores that lie wholly inside the pool, all free. NULL when out of memory. */
struct cores *cores_new(const struct host *host, const struct cpuset *pool);
void cores_free(struct cores *c);
/*
 * Take over what is valid of an earlier map: vcpu_cpu[v] is set for the vCPUs that keep their CPU.
 * Never more cores than the guest would be given anew.
 */
void cores_keep(struct cores *c, const struct want *want, const uint32_t *before, size_t nbefore,
		uint32_t *vcpu_cpu);
/* Give CPUs to all vCPUs that have none (NO_CPU). False: not enough; some cores may be taken. */
bool cores_complete(struct cores *c, const struct want *want, uint32_t *vcpu_cpu);
void cores_release(struct cores *c, uint32_t owner);
struct cpuset cores_owned(const struct cores *c, uint32_t owner);

#endif
