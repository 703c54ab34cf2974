/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * run - one scenario from beginning to end: the world steps, qosd's decisions tick.
 *
 * The unmodified govern_tick() and plan_build() decide. This loop does what the daemon's does: tick
 * at overload.tick while anything is pressed, else once a second or when a PSI trigger fires.
 */
#ifndef QOSD_T_SIM_RUN_H
#define QOSD_T_SIM_RUN_H

#include "t/sim/measure.h"
#include "t/sim/scenario.h"

struct result {
	struct series *series;
	struct world *world;
	double needed[RESOURCE_COUNT]; /* < 0: nobody asked */
};

void run_scenario(const struct scenario *sc, struct result *ret);
void result_done(struct result *r);

#endif
