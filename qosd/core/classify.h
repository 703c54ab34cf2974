/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * classify - which class a guest belongs to, and by which rule; with its own overrides applied.
 *
 * The first that applies: the class that `qosctl class` or the domain's metadata names, the match
 * rules in order, the default class. A name that the policy does not know falls through to the
 * next and is told as a finding on the guest. A guest that no class fits gets the neutral class
 * "none": weight 100, nothing reserved, nothing limited.
 */
#ifndef QOSD_CORE_CLASSIFY_H
#define QOSD_CORE_CLASSIFY_H

#include "qosd/core/err.h"
#include "qosd/core/guest.h"
#include "qosd/core/policy.h"

#define CLASSIFY_FROM_MAX 128

struct assignment {
	const struct qclass *base;    /* in the policy; NULL: no class fits */
	struct qclass effective;      /* base with the guest's overrides; strings are base's */
	char from[CLASSIFY_FROM_MAX]; /* "metadata", "match name db-*", "default_class", "none" */
	bool overridden;              /* at least one of the guest's overrides is in `effective` */
	struct qerr finding;          /* code 0: none; else what is wrong with the metadata */
};

/* Works before and after policy_check() has resolved the names. Fills all of *ret. */
void classify(const struct policy *policy, const struct guest *guest, struct assignment *ret);
/* The neutral class, e.g. for a released guest, which is to own and to be limited by nothing. */
void classify_none(const char *from, struct assignment *ret);

/* The guest's own sizes applied to a class (units as named). All sums saturate. */

/*
 * Bytes reserved of the guest's memory, with QEMU's overhead and what its RBD clients may take; 0:
 * nothing. The latter is a bound that held for every load measured, far above cache_size.
 */
uint64_t class_memory_reservation(const struct qclass *c, const struct guest *g);
uint64_t class_memory_overhead(const struct qclass *c, const struct guest *g);
uint64_t class_memory_rbd_caches(const struct qclass *c, const struct guest *g);
/* What RBD clients take beside the vCPUs for so much, in 1/1000 CPU. */
uint64_t class_rbd_clients_mcpu(uint64_t iops, uint64_t bytes_ps);
uint64_t class_memory_low(const struct qclass *c, const struct guest *g);
/* In 1/1000 CPU. */
uint64_t class_cpu_reservation_mcpu(const struct qclass *c, const struct guest *g);
/* In 1/1000 CPU, what an overload leaves; never above the limit. */
uint64_t class_cpu_floor_mcpu(const struct qclass *c, const struct guest *g);
/* In bit/s; UINT64_MAX (KNOB_MAX): none. */
uint64_t class_net_limit(const struct qclass *c, bool in);
/* vCPUs that are counted: the guest's, but no more than GUEST_VCPUS_MAX. */
uint32_t class_vcpus(const struct guest *g);
/* Bytes that an overload leaves. */
uint64_t class_memory_floor(const struct qclass *c, const struct guest *g);
/*
 * What each disk may take in all (read and write together) and what an overload leaves it;
 * UINT64_MAX: no limit. The floor is never above the limit, and is 10 % of the limit, else
 * 50 operations and 4 MB a second, where the class names none.
 */
uint64_t class_disk_limit_iops(const struct qclass *c);
uint64_t class_disk_limit_bytes_ps(const struct qclass *c);
uint64_t class_disk_floor_iops(const struct qclass *c);
uint64_t class_disk_floor_bytes_ps(const struct qclass *c);
/*
 * The limit, or `cap_mcpu` (1/1000 CPU, all vCPUs together; UINT64_MAX: none) where that is less,
 * as quota and period of all vCPUs together: 20 ms periods (short: long stalls are soft
 * lockups in the guest), longer ones up to 1 s where a vCPU's part would fall under the kernel's
 * least quota of 1 ms, and up to 100 ms for a cap of less than 5 ms. *ret_quota_us divides evenly
 * by the vCPUs; UINT64_MAX (KNOB_MAX): no limit.
 */
void class_cpu_quota(const struct qclass *c, const struct guest *g, uint64_t cap_mcpu,
		     uint64_t *ret_quota_us, uint64_t *ret_period_us);

#endif
