/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * actuator - from caps to knobs, by the real plan: scenario -> policy, host, inventory, placement,
 * then plan_build with the caps of now. What differs from the knobs in force is written after the
 * delay that the path has (cgroup and BPF map writes a few ms, libvirt hundreds).
 */
#ifndef QOSD_T_SIM_ACTUATOR_H
#define QOSD_T_SIM_ACTUATOR_H

#include "qosd/core/govern.h"
#include "t/sim/scenario.h"

struct actuator;

struct actuator *actuator_new(const struct scenario *sc, const struct world *w);
void actuator_free(struct actuator *a);
const struct policy *actuator_policy(const struct actuator *a);
/* Guests that are up now, as govern wants them; borrowed. */
const struct govern_guest *actuator_guests(struct actuator *a, const struct world *w,
					   size_t *ret_count);
/* Decide anew; caps in the order of actuator_guests(), NULL: none. Values become due later. */
void actuator_plan(struct actuator *a, const struct world *w, const struct guest_caps *caps);
/* Put what is due into force; calls `written` for each guest that changed. */
void actuator_apply(struct actuator *a, struct world *w, void (*written)(void *context, size_t vm),
		    void *context);

#endif
