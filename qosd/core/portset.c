/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "qosd/core/portset.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define PORT_MAX 65535u

/* ---- text ---- */

/* Digits at *p: a port. Moves *p behind them. */
static int take_port(const char **p, uint32_t *ret)
{
	uint32_t port = 0;

	if (**p < '0' || **p > '9')
		return -EINVAL;
	for (; **p >= '0' && **p <= '9'; (*p)++)
		if (port <= PORT_MAX)
			port = port * 10 + (uint32_t)(**p - '0');
	if (port == 0 || port > PORT_MAX)
		return -ERANGE;
	*ret = port;
	return 0;
}

static int take_range(const char **p, uint32_t *first, uint32_t *last)
{
	int r = take_port(p, first);

	*last = *first;
	if (r == 0 && **p == '-') {
		(*p)++;
		r = take_port(p, last);
	}
	return r == 0 && *last < *first ? -EINVAL : r;
}

/* Joins a range with all that it touches. -ERANGE: there are too many. */
static int add_range(struct portset *set, uint32_t first, uint32_t last)
{
	uint32_t from = 0, to;

	while (from < set->count && set->ranges[from].last + 1u < first)
		from++;
	for (to = from; to < set->count && set->ranges[to].first <= last + 1u; to++) {
		first = set->ranges[to].first < first ? set->ranges[to].first : first;
		last = set->ranges[to].last > last ? set->ranges[to].last : last;
	}
	if (to == from && set->count == PORTSET_RANGES)
		return -ERANGE;
	memmove(&set->ranges[from + 1], &set->ranges[to],
		(set->count - to) * sizeof(set->ranges[0]));
	set->count = set->count - (to - from) + 1;
	set->ranges[from] = (struct port_range){ (uint16_t)first, (uint16_t)last };
	memset(&set->ranges[set->count], 0, (PORTSET_RANGES - set->count) * sizeof(set->ranges[0]));
	return 0;
}

int portset_parse(const char *text, struct portset *ret)
{
	struct portset set = { 0 };
	uint32_t first = 0, last = 0;
	const char *p = text;
	int r = 0;

	while (r == 0 && *p) {
		if (p != text && *p++ != ',')
			return -EINVAL;
		while (*p == ' ')
			p++;
		r = take_range(&p, &first, &last);
		if (r == 0)
			r = add_range(&set, first, last);
	}
	if (r == 0)
		*ret = set;
	return r;
}

char *portset_format(const struct portset *set, char *buf, size_t size)
{
	size_t len = 0;

	buf[0] = '\0';
	for (uint32_t i = 0; i < set->count; i++) {
		const struct port_range *range = &set->ranges[i];
		char text[16];
		int n = range->first == range->last
				? snprintf(text, sizeof(text), "%s%u", i ? "," : "", range->first)
				: snprintf(text, sizeof(text), "%s%u-%u", i ? "," : "",
					   range->first, range->last);

		if (n < 0 || len + (size_t)n >= size)
			break;
		memcpy(buf + len, text, (size_t)n + 1);
		len += (size_t)n;
	}
	return buf;
}

/* ---- sets ---- */

bool portset_empty(const struct portset *set)
{
	return set->count == 0;
}

struct portset portset_and(const struct portset *a, const struct portset *b)
{
	struct portset both = { 0 };
	uint32_t i = 0, k = 0;

	while (i < a->count && k < b->count && both.count < PORTSET_RANGES) {
		uint16_t first = a->ranges[i].first > b->ranges[k].first ? a->ranges[i].first
									 : b->ranges[k].first;
		uint16_t last = a->ranges[i].last < b->ranges[k].last ? a->ranges[i].last
								      : b->ranges[k].last;

		if (first <= last)
			both.ranges[both.count++] = (struct port_range){ first, last };
		if (a->ranges[i].last < b->ranges[k].last)
			i++;
		else
			k++;
	}
	return both;
}
