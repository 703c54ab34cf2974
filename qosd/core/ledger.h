/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ledger - what is promised against what there is.
 *
 * Memory: sum of reservations <= RAM - host reserve - services (Ceph's daemons on the host). RBD
 * clients of all guests together: within ceph.cache_budget. CPU: dedicated guests need whole cores
 * (or threads) outside the housekeeping CPUs; the others' reserved shares must fit the shared pool.
 * What RBD clients may take beside the vCPUs is counted as head room, also of guests that were not
 * admitted, and refuses nobody: it is what limits of disks allow, not what is promised.
 * The rule of admission is the same for a guest that asks at the hook and for one that runs:
 * guests are entered in order of rank, then of age (id), so that a newcomer never takes from those
 * that were there before it within its rank.
 */
#ifndef QOSD_CORE_LEDGER_H
#define QOSD_CORE_LEDGER_H

#include "qosd/core/classify.h"
#include "qosd/core/guest.h"
#include "qosd/core/host.h"
#include "qosd/core/policy.h"

/* Each within host.disk, which a disk without a limit may have all of; without that it counts
 * nothing. */
struct ledger_clients {
	uint64_t iops, bytes_ps, mcpu;
};

struct ledger {
	uint64_t memory_capacity_bytes; /* RAM - host reserve - services */
	uint64_t memory_reserved_bytes; /* of admitted guests */
	uint64_t rbd_capacity_bytes;    /* the budget; POLICY_NONE_U64: none */
	uint64_t rbd_used_bytes;        /* of admitted guests, whether they reserve memory or not */
	uint32_t dedicated_capacity_cpus; /* logical CPUs that may be dedicated */
	uint32_t dedicated_used_cpus;
	uint64_t shared_capacity_mcpu; /* what is left for the shared pool, 1/1000 CPU */
	uint64_t shared_reserved_mcpu;
	/* Head room: what RBD clients of all guests may do at the limits of their disks. */
	struct ledger_clients clients_shared; /* in the pool, beside what is reserved there */
	struct ledger_clients clients_host;   /* on the housekeeping CPUs */
};

/* Online CPUs outside the housekeeping ones: for guests. Never empty while a CPU is online. */
struct cpuset ledger_pool(const struct policy *policy, const struct host *host);
/*
 * Empty ledger of this host under this policy. Only whole cores inside the pool can be dedicated,
 * and one core's worth always stays shared.
 */
void ledger_init(struct ledger *l, const struct policy *policy, const struct host *host);
/*
 * Enter one guest: 0 and the ledger is charged, or -ENOSPC with one sentence that names the
 * resource, what is asked and what is left ("memory: web1 asks for 4GiB, 1.5GiB of 14GiB can still
 * be reserved"), and the ledger is as before.
 */
int ledger_admit(struct ledger *l, const struct host *host, const struct guest *g,
		 const struct qclass *c, struct qerr *err);
/*
 * Logical CPUs a dedicated guest takes on this host: whole cores, so siblings count, whether they
 * run another vCPU of the same guest (threads = share) or stay empty (isolate, or an odd number).
 */
uint32_t ledger_dedicated_cpus(const struct host *host, const struct guest *g,
			       const struct qclass *c);
/* Fill order[] with indices into inv->guests (as many): by rank, then by age (id). 0, -ENOMEM. */
int ledger_order(const struct inventory *inv, const struct assignment *assign, uint32_t *order);
/*
 * Init, then enter all guests in that order. admitted[i] and errs[i] belong to inv->guests[i];
 * errs may be NULL, else errs[i].code is 0 or -ENOSPC. 0, or -ENOMEM (nobody admitted).
 */
int ledger_build(struct ledger *l, const struct policy *policy, const struct host *host,
		 const struct inventory *inv, const struct assignment *assign, bool *admitted,
		 struct qerr *errs);

#endif
