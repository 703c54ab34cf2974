/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * sensor - the world as qosd gets to see it: late, noisy, with holes.
 *
 * Counters stay counters: noise is put on each difference, so that they never fall.
 */
#ifndef QOSD_T_SIM_SENSOR_H
#define QOSD_T_SIM_SENSOR_H

#include "qosd/core/sample.h"
#include "t/sim/scenario.h"

struct sensor;

struct sensor *sensor_new(const struct scenario *sc, const struct world *w);
void sensor_free(struct sensor *s);
void sensor_step(struct sensor *s, const struct world *w); /* after every world_step */
void sensor_read(struct sensor *s, const struct world *w, struct sample *ret);
/* A PSI trigger (150 ms of stall in 1 s, at most one event a second) fired since the last call. */
bool sensor_triggered(struct sensor *s, const struct world *w);

#endif
