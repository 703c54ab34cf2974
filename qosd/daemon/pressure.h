/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pressure - the host's own signal of each resource, relative to the policy's target (1.0).
 *
 * From /proc/pressure (PSI "some avg10", percent): what the host as a whole feels. The network
 * has no such signal in the kernel and is not known here.
 */
#ifndef QOSD_DAEMON_PRESSURE_H
#define QOSD_DAEMON_PRESSURE_H

#include <stdbool.h>

#include "qosd/core/diag.h"
#include "qosd/core/policy.h"

enum pressure_resource {
	PRESSURE_CPU,
	PRESSURE_MEMORY,
	PRESSURE_NET,
	PRESSURE_DISK,
	PRESSURE_COUNT
};

extern const char *const pressure_names[PRESSURE_COUNT];

struct pressure {
	bool known[PRESSURE_COUNT];
	double value[PRESSURE_COUNT];
};

void pressure_read(const struct overload *targets, struct pressure *ret);
void pressure_probe(struct diag_list *findings);

#endif
