/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * plan_private - what the files that build a plan share. Only for plan_*.c.
 */
#ifndef QOSD_CORE_PLAN_PRIVATE_H
#define QOSD_CORE_PLAN_PRIVATE_H

#include "qosd/core/plan.h"

struct guest_memory { /* what a guest's own group gets */
	uint64_t min_bytes, low_bytes;
};

/* Treatment of the i-th guest of the inventory. */
static inline enum guest_treatment plan_treatment(const struct plan_input *in, size_t i)
{
	return in->treatment ? (enum guest_treatment)in->treatment[i] : GUEST_MANAGED;
}

struct guest_memory plan_guest_memory(const struct plan_input *in, size_t i);
struct reason plan_reason(const struct plan_input *in, size_t i, enum reason_kind kind);
/*
 * Append memory.min and memory.low of all groups above managed guests, sorted by path. 0, -ENOMEM.
 * `memory` has one element per guest.
 */
int plan_add_ancestors(struct plan *p, const struct plan_input *in,
		       const struct guest_memory *memory);

#endif
