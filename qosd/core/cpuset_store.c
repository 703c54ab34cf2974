/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "qosd/core/cpuset_store.h"

#include "qosd/core/arena.h"
#include "qosd/core/mem.h"

const struct cpuset *cpuset_store_keep(struct cpuset_store *s, const struct cpuset *set)
{
	struct cpuset *copy;

	for (size_t i = 0; i < ARRAY_SIZE(s->latest); i++)
		if (s->latest[i] && cpuset_equal(s->latest[i], set))
			return s->latest[i];
	if (!s->arena)
		s->arena = arena_new();
	copy = s->arena ? arena_alloc(s->arena, sizeof(*copy)) : NULL;
	if (!copy)
		return NULL;
	*copy = *set;
	s->latest[s->next++ % ARRAY_SIZE(s->latest)] = copy;
	return copy;
}

void cpuset_store_done(struct cpuset_store *s)
{
	arena_free(s->arena);
	*s = (struct cpuset_store){ 0 };
}
