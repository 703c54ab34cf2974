/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * plan_private - what the files that build a plan share. Only for plan_*.c.
 */
#ifndef QOSD_CORE_PLAN_PRIVATE_H
#define QOSD_CORE_PLAN_PRIVATE_H

#include "qosd/core/plan.h"
#include "qosd/core/sample.h"

struct guest_memory { /* what a guest's own group gets */
	uint64_t min_bytes, low_bytes;
};

/* Treatment of the i-th guest of the inventory. */
static inline enum guest_treatment plan_treatment(const struct plan_input *in, size_t i)
{
	return in->treatment ? (enum guest_treatment)in->treatment[i] : GUEST_MANAGED;
}

struct build {
	const struct plan_input *in;
	struct plan *plan;
	uint32_t *order;             /* inventory indices by guest id */
	struct guest_memory *memory; /* per guest */
	uint32_t *weight;            /* per guest: what reservations make of the class's */
	uint32_t *soft_weight;       /* per guest: the same while it is throttled softly */
};

static inline struct target plan_target(const struct build *b, uint32_t i, enum target_kind kind,
					uint32_t index)
{
	const struct guest *g = b->in->inventory->guests[i];

	return (struct target){ .kind = kind, .index = index, .guest_id = g->id, .guest = g };
}

static inline const struct qclass *plan_class(const struct build *b, uint32_t i)
{
	return &b->in->assign[i].effective;
}

/* What overload leaves the i-th guest; NULL: all of its limits. */
static inline const struct guest_caps *plan_caps(const struct build *b, uint32_t i)
{
	return b->in->caps ? &b->in->caps[i] : NULL;
}

struct guest_memory plan_guest_memory(const struct plan_input *in, size_t i);
struct reason plan_reason(const struct plan_input *in, size_t i, enum reason_kind kind);
/*
 * Append memory.min and memory.low of all groups above managed guests, sorted by path. 0, -ENOMEM.
 * `memory` has one element per guest.
 */
int plan_add_ancestors(struct plan *p, const struct plan_input *in,
		       const struct guest_memory *memory);

/* ---- for one guest; 0 or -ENOMEM ---- */
/* plan_cpu.c */
int plan_solve_weights(struct build *b); /* of all guests, before the others */
int plan_add_weight(struct build *b, const struct target *t, uint32_t i);
int plan_add_cpu_limit(struct build *b, const struct target *t, uint32_t i);
int plan_add_vcpus(struct build *b, uint32_t i);
int plan_add_emulator(struct build *b, uint32_t i);
/* plan_memory.c */
int plan_add_balloon(struct build *b, const struct target *t, uint32_t i);
int plan_add_freeze(struct build *b, const struct target *t, uint32_t i);
/* plan_device.c */
int plan_add_nics(struct build *b, uint32_t i);
/* plan_disk.c */
int plan_add_disks(struct build *b, uint32_t i);

#endif
