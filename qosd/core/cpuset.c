/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cpuset - bit operations on 1024 CPUs, and the kernel's list format.
 */
#include "qosd/core/cpuset.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* Decimal number at *p, which moves behind it. */
static int take_cpu(const char **p, unsigned int *ret)
{
	unsigned int cpu = 0;

	if (**p < '0' || **p > '9')
		return -EINVAL;
	for (; **p >= '0' && **p <= '9'; (*p)++) {
		cpu = cpu * 10 + (unsigned int)(**p - '0');
		if (cpu >= CPUSET_MAX)
			return -ERANGE;
	}
	*ret = cpu;
	return 0;
}

/* One "3" or "8-11" at *p. */
static int take_range(const char **p, struct cpuset *set)
{
	unsigned int first, last;
	int r = take_cpu(p, &first);

	if (r < 0)
		return r;
	last = first;
	if (**p == '-') {
		(*p)++;
		r = take_cpu(p, &last);
		if (r < 0)
			return r;
	}
	if (last < first)
		return -EINVAL;
	for (unsigned int cpu = first; cpu <= last; cpu++)
		cpuset_add(set, cpu);
	return 0;
}

int cpuset_parse(const char *text, struct cpuset *ret)
{
	struct cpuset set = { 0 };
	const char *p = text;

	while (*p && *p != '\n') {
		int r = take_range(&p, &set);

		if (r < 0)
			return r;
		if (*p == ',') {
			p++;
			if (*p < '0' || *p > '9')
				return -EINVAL;
		} else if (*p && *p != '\n') {
			return -EINVAL;
		}
	}
	if (*p == '\n' && p[1])
		return -EINVAL;
	*ret = set;
	return 0;
}

char *cpuset_format(const struct cpuset *set, char *buf, size_t size)
{
	size_t len = 0;

	if (size)
		buf[0] = '\0';
	for (unsigned int first = cpuset_next(set, 0); first < CPUSET_MAX;) {
		unsigned int last = first;
		const char *comma = len ? "," : "";
		int n;

		while (cpuset_has(set, last + 1))
			last++;
		if (last == first)
			n = snprintf(buf + len, size - len, "%s%u", comma, first);
		else
			n = snprintf(buf + len, size - len, "%s%u-%u", comma, first, last);
		if (n < 0 || (size_t)n >= size - len)
			break;
		len += (size_t)n;
		first = cpuset_next(set, last + 1);
	}
	return buf;
}

void cpuset_add(struct cpuset *set, unsigned int cpu)
{
	if (cpu < CPUSET_MAX)
		set->bits[cpu / 64] |= UINT64_C(1) << (cpu % 64);
}

void cpuset_del(struct cpuset *set, unsigned int cpu)
{
	if (cpu < CPUSET_MAX)
		set->bits[cpu / 64] &= ~(UINT64_C(1) << (cpu % 64));
}

bool cpuset_has(const struct cpuset *set, unsigned int cpu)
{
	return cpu < CPUSET_MAX && (set->bits[cpu / 64] >> (cpu % 64) & 1);
}

bool cpuset_empty(const struct cpuset *set)
{
	for (size_t i = 0; i < CPUSET_WORDS; i++)
		if (set->bits[i])
			return false;
	return true;
}

bool cpuset_equal(const struct cpuset *a, const struct cpuset *b)
{
	return memcmp(a->bits, b->bits, sizeof(a->bits)) == 0;
}

bool cpuset_subset(const struct cpuset *inner, const struct cpuset *outer)
{
	for (size_t i = 0; i < CPUSET_WORDS; i++)
		if (inner->bits[i] & ~outer->bits[i])
			return false;
	return true;
}

bool cpuset_intersects(const struct cpuset *a, const struct cpuset *b)
{
	for (size_t i = 0; i < CPUSET_WORDS; i++)
		if (a->bits[i] & b->bits[i])
			return true;
	return false;
}

unsigned int cpuset_count(const struct cpuset *set)
{
	unsigned int count = 0;

	for (size_t i = 0; i < CPUSET_WORDS; i++)
		count += (unsigned int)__builtin_popcountll(set->bits[i]);
	return count;
}

struct cpuset cpuset_and(const struct cpuset *a, const struct cpuset *b)
{
	struct cpuset set;

	for (size_t i = 0; i < CPUSET_WORDS; i++)
		set.bits[i] = a->bits[i] & b->bits[i];
	return set;
}

struct cpuset cpuset_or(const struct cpuset *a, const struct cpuset *b)
{
	struct cpuset set;

	for (size_t i = 0; i < CPUSET_WORDS; i++)
		set.bits[i] = a->bits[i] | b->bits[i];
	return set;
}

struct cpuset cpuset_minus(const struct cpuset *a, const struct cpuset *b)
{
	struct cpuset set;

	for (size_t i = 0; i < CPUSET_WORDS; i++)
		set.bits[i] = a->bits[i] & ~b->bits[i];
	return set;
}

unsigned int cpuset_next(const struct cpuset *set, unsigned int from)
{
	for (unsigned int word = from / 64; word < CPUSET_WORDS; word++) {
		uint64_t bits = set->bits[word];

		if (word == from / 64)
			bits &= ~UINT64_C(0) << (from % 64);
		if (bits)
			return word * 64 + (unsigned int)__builtin_ctzll(bits);
	}
	return CPUSET_MAX;
}
