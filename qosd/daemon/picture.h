/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * picture - one turn's view: from policy, host and inventory to the plan, with all steps between.
 *
 * Pure composition of the core's modules (classify -> ledger -> placement -> plan); nothing is read
 * from or written to the host. Made anew each turn; between turns only the rounds of bandwidth.h
 * change it, and only what NICs may have. Borrows the policy and the host, holds references to its
 * guests.
 */
#ifndef QOSD_DAEMON_PICTURE_H
#define QOSD_DAEMON_PICTURE_H

#include "qosd/core/baseline.h"
#include "qosd/core/classify.h"
#include "qosd/core/guest.h"
#include "qosd/core/host.h"
#include "qosd/core/ledger.h"
#include "qosd/core/placement.h"
#include "qosd/core/plan.h"
#include "qosd/core/policy.h"

struct picture {
	const struct policy *policy;
	const struct policy *canary; /* on trial; NULL: none */
	struct inventory *inventory; /* own copy of the list, sorted as the inventory is */
	struct assignment *assign;   /* one per guest */
	bool *admitted;              /* one per guest */
	struct qerr *refusals;       /* one per guest; code 0 when admitted */
	struct ledger ledger;        /* after all guests were entered */
	struct placement *placement;
	struct guest_caps *caps;       /* one per guest; NULL: nobody is throttled */
	struct nic_parts *parts;       /* of what NICs share; NULL: nothing */
	struct disk_parts *disk_parts; /* of the host's storage; NULL: nobody is held back */
	struct plan *plan;
};

struct picture_input {
	const struct policy *policy;
	const struct policy *canary; /* on trial for canary_permille of the guests; NULL: none */
	uint32_t canary_permille;
	const struct host *host;
	const struct inventory *inventory;
	const uint8_t *treatment; /* enum guest_treatment, one per guest; NULL: all managed */
	const struct placement *previous; /* NULL: none */
	const struct baseline
		*baseline;         /* groups touched before get their value back; NULL: none */
	const uint64_t *rbd_live;  /* see plan_input; NULL: none */
	const uint64_t *rbd_bytes; /* class_rbd.in_force_bytes, one per guest; NULL: not known */
	bool cgroup_v1;
	struct guest_caps *caps; /* one per guest, malloc'd: taken over; NULL: none throttled */
	struct nic_parts *parts; /* malloc'd: taken over; NULL: nothing is shared */
	struct disk_parts *disk_parts; /* likewise; NULL: no disk is held back */
};

struct picture *picture_make(const struct picture_input *in); /* NULL when out of memory */
void picture_free(struct picture *p);                         /* NULL is fine */

/* Is anybody held below its limits, by overload or by what NICs or disks share? */
bool picture_throttles(const struct picture *p);
/* Is this one of the guests that a policy on trial is tried with? The same each time. */
bool picture_on_trial(const struct guest *g, uint32_t permille);
/* Its class, by the policy on trial (`canary`, NULL: none) if it is one of those. */
void picture_classify(const struct policy *policy, const struct policy *canary, uint32_t permille,
		      const struct guest *g, struct assignment *ret);

/* Index of a guest in the picture's arrays, or -1. */
long picture_index(const struct picture *p, const char *name_or_uuid);

#endif
