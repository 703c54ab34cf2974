/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * json - members of the daemon's answers by path: "cpu.usage". What is absent or null reads as
 * nothing, so that a newer or older daemon is still readable.
 */
#ifndef QOSD_TOOLS_JSON_H
#define QOSD_TOOLS_JSON_H

#include <jansson.h>

/* Absent or null: NULL. */
const json_t *json_at(const json_t *object, const char *path);
/* A string, or "-" */
const char *json_text(const json_t *object, const char *path);
double json_number(const json_t *object, const char *path); /* 0 when absent */

#endif
