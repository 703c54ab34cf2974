/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * placement - which CPUs each guest may use.
 *
 * Dedicated guests get whole physical cores: one vCPU per core (threads = isolate, the siblings
 * stay empty) or one per hardware thread (threads = share; a thread left over by an odd number of
 * vCPUs stays empty too). Two guests never share a core. Each guest is packed into the NUMA node,
 * and within it into the last-level cache, with the least room that is still enough, so that large
 * rooms stay for large guests; only when no node is enough it spans several. High CPU numbers go
 * first, for low ones mostly serve interrupts. All others share what is left: online - dedicated -
 * housekeeping. Only cores that lie wholly outside the housekeeping CPUs are given.
 *
 * Stable: a guest placed before keeps its CPUs as long as they still are valid, also when it gains
 * or loses vCPUs, so that starting or stopping one guest moves no other. Deterministic: the same
 * input gives the same output. At least one CPU always stays in the shared pool. What the ledger
 * admitted fits, on hosts whose cores all have the same number of threads; on mixed ones a guest
 * may end up with `shortfall`.
 */
#ifndef QOSD_CORE_PLACEMENT_H
#define QOSD_CORE_PLACEMENT_H

#include "qosd/core/classify.h"
#include "qosd/core/guest.h"
#include "qosd/core/host.h"
#include "qosd/core/policy.h"

struct placement_guest {
	uint32_t guest_id;
	bool dedicated;      /* it asked for and got cores of its own */
	bool shortfall;      /* it asked for dedicated cores and got none: runs shared */
	struct cpuset owned; /* dedicated: all CPUs taken, siblings kept empty included */
	uint32_t *vcpu_cpu;  /* dedicated: the CPU of each vCPU; NULL if shared */
	size_t nvcpus;
};

struct placement {
	struct cpuset housekeeping, dedicated, shared;
	struct placement_guest *guests; /* in the order of the inventory given */
	size_t count;
	uint32_t *by_id; /* indices into guests, sorted by guest_id */
};

/*
 * `assign[i]` belongs to inv->guests[i]; `admitted[i]` false: never given dedicated cores.
 * `previous` may be NULL. NULL when out of memory.
 */
struct placement *placement_compute(const struct policy *policy, const struct host *host,
				    const struct inventory *inv, const struct assignment *assign,
				    const bool *admitted, const struct placement *previous);
/* One row for each guest, none dedicated: for who knows a placement from elsewhere. NULL: no
 * memory. */
struct placement *placement_new(const struct inventory *inv);
void placement_free(struct placement *p); /* NULL is fine */
/* NULL if there is no such guest. */
const struct placement_guest *placement_find(const struct placement *p, uint32_t guest_id);

#endif
