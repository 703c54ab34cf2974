/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * exporter - what the files of qos-exporter share.
 *
 *   qos-exporter.c      options, the HTTP server
 *   exporter_reading.c  asks the daemon: two calls, whatever the number of guests
 *   exporter_metrics.c  answers to text; a table of metrics
 */
#ifndef QOSD_TOOLS_EXPORTER_H
#define QOSD_TOOLS_EXPORTER_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "qosd/core/err.h"

struct reading {
	json_t *status, *list; /* both, or neither: then err says why */
	struct qerr err;
	double took_s;
	uint64_t readings, errors; /* since the start, with this one */
};

/* Ask the daemon anew, for `limit_ms` at the most. The counters of *r go on. */
void reading_take(struct reading *r, const char *socket, unsigned int limit_ms);
void reading_done(struct reading *r);

enum exposition { EXPOSITION_TEXT, EXPOSITION_OPENMETRICS };

/* All metrics of the reading, or, without the daemon, those that tell that. */
void metrics_write(FILE *out, const struct reading *r, enum exposition form);

#endif
