/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cpuset - a set of logical CPU numbers 0..CPUSET_MAX-1, a plain value.
 *
 * Text form is the kernel's list format: "0-3,8,10-11", "" for the empty set.
 */
#ifndef QOSD_CORE_CPUSET_H
#define QOSD_CORE_CPUSET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CPUSET_MAX      1024
#define CPUSET_WORDS    (CPUSET_MAX / 64)
#define CPUSET_TEXT_MAX 4096 /* longest list of CPUSET_MAX CPUs fits */

struct cpuset {
	uint64_t bits[CPUSET_WORDS];
};

/*
 * Kernel list format, as in sysfs files: one line end after it is allowed, the step form "0-7:2/4"
 * is refused. 0, -EINVAL (no such form), -ERANGE (CPU too large); *ret is untouched on failure.
 */
int cpuset_parse(const char *text, struct cpuset *ret);
/*
 * Writes the shortest list; returns buf. `size` >= CPUSET_TEXT_MAX always suffices; if less, whole
 * ranges at the end are left out.
 */
char *cpuset_format(const struct cpuset *set, char *buf, size_t size);

void cpuset_add(struct cpuset *set, unsigned int cpu); /* cpu >= CPUSET_MAX is ignored */
void cpuset_del(struct cpuset *set, unsigned int cpu);
bool cpuset_has(const struct cpuset *set, unsigned int cpu);
bool cpuset_empty(const struct cpuset *set);
bool cpuset_equal(const struct cpuset *a, const struct cpuset *b);
bool cpuset_subset(const struct cpuset *inner, const struct cpuset *outer);
bool cpuset_intersects(const struct cpuset *a, const struct cpuset *b);
unsigned int cpuset_count(const struct cpuset *set);
struct cpuset cpuset_and(const struct cpuset *a, const struct cpuset *b);
struct cpuset cpuset_or(const struct cpuset *a, const struct cpuset *b);
struct cpuset cpuset_minus(const struct cpuset *a, const struct cpuset *b);
/* The lowest CPU >= from, or CPUSET_MAX when there is none. */
unsigned int cpuset_next(const struct cpuset *set, unsigned int from);

#endif
