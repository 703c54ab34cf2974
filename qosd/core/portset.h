/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * portset - a set of TCP or UDP ports 1..65535, a plain value.
 *
 * Text form: ports and ranges, "3300,6789,6800-7568"; "" for the empty set. Always in normal form:
 * ranges ascend and neither touch nor overlap, so equal sets are equal memory.
 */
#ifndef QOSD_CORE_PORTSET_H
#define QOSD_CORE_PORTSET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PORTSET_RANGES   32
#define PORTSET_TEXT_MAX (PORTSET_RANGES * 12 + 1)

struct port_range {
	uint16_t first, last;
};

struct portset {
	uint32_t count;
	struct port_range ranges[PORTSET_RANGES]; /* the rest is zero */
};

/* 0, -EINVAL (no such form), -ERANGE (no such port, or too many ranges); *ret is untouched then. */
int portset_parse(const char *text, struct portset *ret);
/* Returns buf. `size` >= PORTSET_TEXT_MAX always suffices; if less, ranges at the end are cut. */
char *portset_format(const struct portset *set, char *buf, size_t size);

bool portset_empty(const struct portset *set);
/* The ports that both have, as many as there is room for; empty only if there is none. */
struct portset portset_and(const struct portset *a, const struct portset *b);

#endif
