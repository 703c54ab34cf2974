/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cpuset_store - CPU sets that many values point to: immutable copies, in an arena.
 *
 * Most values of a plan have one of very few sets (the shared pool, all CPUs), so a set that equals
 * one of the last kept is not kept again. All zero is an empty store.
 */
#ifndef QOSD_CORE_CPUSET_STORE_H
#define QOSD_CORE_CPUSET_STORE_H

#include "qosd/core/cpuset.h"

struct arena;

struct cpuset_store {
	struct arena *arena;
	const struct cpuset *latest[4];
	unsigned int next; /* place in `latest` of the one to be forgotten */
};

/* An equal set that lives as long as the store; NULL when out of memory. */
const struct cpuset *cpuset_store_keep(struct cpuset_store *s, const struct cpuset *set);
void cpuset_store_done(struct cpuset_store *s);

#endif
