/* SPDX-License-Identifier: GPL-2.0-or-later */
/* scenarios_base - the host and the classes that most scenarios share. */
#include "t/sim/scenario.h"

const struct host_spec host_usual = {
	.cpus = 8,
	.memory_gib = 64,
	.uplink_mbps = 10000,
	.disk_iops = 20000,
	.disk_service_s = 0.0005,
};

const struct class_spec classes_usual[] = {
	{ .name = "gold",
	  .rank = 0,
	  .cpu_weight = 400,
	  .cpu_reservation_permille = 500,
	  .memory_reservation_permille = 1000,
	  .net_reservation_mbps = 1000 },
	{ .name = "silver",
	  .rank = 1,
	  .cpu_weight = 100,
	  .cpu_reservation_permille = 100,
	  .cpu_floor_permille = 300,
	  .memory_reservation_permille = 250,
	  .memory_floor_permille = 750,
	  .net_floor_mbps = 50,
	  .disk_floor_iops = 200 },
	{ .name = "bronze",
	  .rank = 2,
	  .cpu_weight = 25,
	  .cpu_floor_permille = 100,
	  .cpu_limit_permille = 1000,
	  .memory_floor_permille = 500,
	  .net_floor_mbps = 5,
	  .disk_floor_iops = 50 },
	{ 0 },
};

const struct class_spec classes_flat[] = {
	{ .name = "gold",
	  .rank = 0,
	  .cpu_weight = 100,
	  .memory_reservation_permille = 1000,
	  .net_reservation_mbps = 1000 },
	{ .name = "silver",
	  .rank = 1,
	  .cpu_weight = 100,
	  .cpu_floor_permille = 300,
	  .memory_floor_permille = 750,
	  .net_floor_mbps = 50,
	  .disk_floor_iops = 200 },
	{ .name = "bronze",
	  .rank = 2,
	  .cpu_weight = 100,
	  .cpu_floor_permille = 100,
	  .memory_floor_permille = 500,
	  .net_floor_mbps = 5,
	  .disk_floor_iops = 50 },
	{ 0 },
};
