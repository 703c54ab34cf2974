/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * diff - what has to be written so that the plan holds, in the order in which it must be written.
 *
 * Changes borrow guests, class names, cgroup paths and wanted CPU sets as the plan's entries do
 * (the plan owns the last two): the plan, its inventory and its policy must outlive the diff, and
 * an adapter that works later than its call of apply copies what it needs.
 */
#ifndef QOSD_CORE_DIFF_H
#define QOSD_CORE_DIFF_H

#include "qosd/core/plan.h"

struct change { /* borrows what its plan entry does: guests, paths, class names */
	struct target target;
	enum knob_id knob;
	struct knob_value from; /* read back from the host; only the type holds if not from_known */
	bool from_known;        /* false: could not be read */
	struct knob_value to;
	struct reason why;
};

struct diff {
	struct change *changes; /* in order of application */
	size_t count, capacity;
	struct cpuset_store cpusets; /* of the values that were read */
};

void diff_init(struct diff *d);
void diff_done(struct diff *d);
/*
 * Compare one entry with what was read (`actual` NULL: unknown; its CPU set is copied) and append a
 * change if it does not hold. 1 appended, 0 holds, -ENOMEM.
 */
int diff_entry(struct diff *d, const struct plan_entry *e, const struct knob_value *actual);
/*
 * Put changes into the order of writes (see knob.h). Stable. A change whose old value is not known
 * is placed as if the kernel's default were to be changed.
 */
void diff_sort(struct diff *d);

#endif
