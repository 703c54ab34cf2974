/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * scenario - one situation, what may go wrong in it, and what must come out.
 *
 * A scenario names its storm: the time in which somebody wants too much. What is measured
 * (measure.h) is told relative to it. Bounds follow from what the operator was promised, not from
 * what the code does today: see README.md for where each comes from.
 */
#ifndef QOSD_T_SIM_SCENARIO_H
#define QOSD_T_SIM_SCENARIO_H

#include "qosd/core/policy.h"
#include "t/sim/measure.h"
#include "t/sim/world.h"

struct class_spec { /* 0: the default of the policy */
	const char *name;
	uint32_t rank;
	uint32_t cpu_weight, cpu_reservation_permille, cpu_floor_permille, cpu_limit_permille;
	uint32_t memory_reservation_permille, memory_floor_permille;
	uint32_t net_reservation_mbps, net_floor_mbps, net_limit_mbps;
	uint32_t disk_floor_iops, disk_limit_iops;
};

struct sensor_spec {
	double lag_s;                       /* readings are this old */
	double noise;                       /* deviation of each difference, as a part of it */
	double tick_jitter;                 /* ticks come late by up to this part */
	double missed;                      /* chance that a guest's reading is missing */
	double lost_from_s, lost_until_s;   /* nothing about guests can be read */
	double stuck_from_s, stuck_until_s; /* no tick at all */
};

struct manual_spec {
	const char *class_name;
	enum resource resource;
	uint32_t level_permille;
	double at_s, until_s;
};

#define SCENARIO_CLASSES 8 /* at the most */

struct scenario {
	const char *name, *what;
	uint64_t seed;
	double duration_s;
	double tick_s;               /* 0: 0.1 */
	double hold_s, release_step; /* 0: the policy's defaults; step as a part, a second */
	enum resource resource;      /* that the bounds are about */
	double storm_from_s, storm_until_s;
	double settled_s; /* after the onset: what comes later must be steady; 0: 5 */
	const struct host_spec *host;
	const struct class_spec *classes; /* ended by one without a name; NULL: classes_usual */
	const struct guest_spec *guests;  /* ended by count 0 */
	struct sensor_spec sensor;
	double actuator_delay_s[RESOURCE_COUNT]; /* 0: 5 ms */
	struct manual_spec manual;
	double killed_s, restarted_s; /* qosd is dead in between */
	const struct bound *bounds;   /* ended by MEASURE_NONE */
};

extern const struct class_spec classes_usual[]; /* as in the shipped qosd.conf, with floors */
extern const struct class_spec classes_flat[];  /* the same, all of one CPU weight */
extern const struct host_spec host_usual;       /* 8 CPUs, 64 GiB, no swap, 10 Gbit/s, 20000 IOPS */

struct scenario_list {
	const struct scenario *scenarios;
	size_t count;
};
extern const struct scenario_list scenarios_cpu, scenarios_hard, scenarios_trouble,
	scenarios_memory, scenarios_io;

#endif
