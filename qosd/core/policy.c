/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * policy - life of a policy: defaults, growth, look-up, overrides, where settings came from.
 *
 * The defaults stand here and nowhere else: the reader starts from them, the printer shows them.
 */
#include "qosd/core/policy.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "qosd/core/arena.h"
#include "qosd/core/mem.h"

#define MS     UINT64_C(1000)
#define SECOND (1000 * MS)
#define MIB    (UINT64_C(1) << 20)
#define GIB    (UINT64_C(1) << 30)

static const struct overload overload_defaults = {
	.tick_us = 100 * MS,
	.cpu_target_wait_permille = 50,
	.memory_low_bytes = POLICY_NONE_U64,
	.memory_target_pressure_permille = 100,
	.net_target_short_permille = 50,
	.net_target_delay_us = 10 * MS,
	.disk_target_latency_us = 30 * MS,
	.release_hold_us = 10 * SECOND,
	.release_step_permille = 100,
	.lease_us = 15 * SECOND,
};

static const struct qclass class_defaults = {
	.admission = ADMIT_REFUSE,
	.cpu = {
		.placement = PLACEMENT_ANY,
		.threads = THREADS_SHARE,
		.limit_permille = POLICY_NONE_U32,
		.floor_permille = 100,
		.weight = 100,
	},
	.memory = {
		.reservation = { .relative = true, .value = 0 },
		.low = { .relative = true, .value = 0 },
		.overhead = { .relative = false, .value = 128 * MIB },
		.floor = { .relative = true, .value = 500 },
		.swap = SWAP_ALLOW,
		.balloon = BALLOON_SAFE,
	},
	.net = {
		.limit_bps = POLICY_NONE_U64,
		.in_limit_bps = POLICY_NONE_U64,
		.out_limit_bps = POLICY_NONE_U64,
		.weight = 1,
	},
	.disk = {
		.read_iops = POLICY_NONE_U64,
		.write_iops = POLICY_NONE_U64,
		.total_iops = POLICY_NONE_U64,
		.read_bps = POLICY_NONE_U64,
		.write_bps = POLICY_NONE_U64,
		.total_bps = POLICY_NONE_U64,
		.burst_iops = POLICY_NONE_U64,
		.burst_bps = POLICY_NONE_U64,
		.burst_us = SECOND,
		.floor_iops = POLICY_NONE_U64,
		.floor_bps = POLICY_NONE_U64,
		.weight = 100,
	},
	.rbd = {
		.cache = RBD_CACHE_KEEP,
		.cache_size_bytes = POLICY_NONE_U64,
		.max_dirty_bytes = POLICY_NONE_U64,
		.target_dirty_bytes = POLICY_NONE_U64,
		.max_dirty_age_us = POLICY_NONE_U64,
		.in_force_bytes = POLICY_NONE_U64,
	},
};

struct policy *policy_new(void)
{
	struct arena *arena = arena_new();
	struct policy *p = arena ? arena_alloc(arena, sizeof(*p)) : NULL;

	if (!p) {
		arena_free(arena);
		return NULL;
	}
	p->arena = arena;
	p->mode = MODE_OBSERVE;
	p->host.reserve.memory_bytes = GIB;
	p->host.disk = (struct host_disk){ .iops = POLICY_NONE_U64, .bps = POLICY_NONE_U64 };
	p->ceph.cache_budget_bytes = POLICY_NONE_U64;
	p->overload = overload_defaults;
	p->ceph.timeout_us = 3 * SECOND;
	return p;
}

void policy_free(struct policy *p)
{
	if (!p)
		return;
	free(p->origins);
	arena_free(p->arena); /* `p` itself lies in it */
}

/*
 * Room for one more element at the end of an arena array, zeroed. The array grows at powers of
 * two; the old copy stays in the arena, which at most doubles the memory.
 */
static void *array_push(struct arena *arena, void **array, size_t *count, size_t size)
{
	size_t n = *count;

	if ((n & (n - 1)) == 0) { /* 0, 1, 2, 4, 8...: full */
		void *grown = arena_alloc(arena, (n ? 2 * n : 1) * size);

		if (!grown)
			return NULL;
		if (n)
			memcpy(grown, *array, n * size);
		*array = grown;
	}
	(*count)++;
	return (char *)*array + n * size;
}

struct qclass *policy_add_class(struct policy *p)
{
	void *array = p->classes;
	struct qclass *c = array_push(p->arena, &array, &p->nclasses, sizeof(*c));

	if (!c)
		return NULL;
	p->classes = array;
	*c = class_defaults;
	c->index = (uint32_t)p->nclasses - 1;
	return c;
}

struct match_rule *policy_add_rule(struct policy *p)
{
	void *array = p->rules;
	struct match_rule *rule = array_push(p->arena, &array, &p->nrules, sizeof(*rule));

	if (rule)
		p->rules = array;
	return rule;
}

struct network *policy_add_network(struct policy *p)
{
	void *array = p->networks;
	struct network *n = array_push(p->arena, &array, &p->nnetworks, sizeof(*n));

	if (!n)
		return NULL;
	p->networks = array;
	n->rate_bps = POLICY_NONE_U64;
	n->mark = POLICY_NONE_U32;
	return n;
}

const struct qclass *policy_class(const struct policy *p, const char *name)
{
	for (size_t i = 0; name && i < p->nclasses; i++)
		if (p->classes[i].name && strcmp(p->classes[i].name, name) == 0)
			return &p->classes[i];
	return NULL;
}

/* ---- overrides ---- */

static int refuse_override(const char *path, struct qerr *err)
{
	return qerr_set(err, -EINVAL,
			"\"%.60s\" cannot be set per guest; "
			"use a key of cpu, memory, net or disk such as \"cpu.limit\"",
			path);
}

int policy_class_override(struct qclass *c, const char *path, const char *value,
			  struct arena *arena, struct qerr *err)
{
	const struct policy_key *group, *key;
	const char *dot = strchr(path, '.');
	char name[POLICY_NAME_MAX];
	int r;

	if (!dot || (size_t)(dot - path) >= sizeof(name))
		return refuse_override(path, err);
	memcpy(name, path, (size_t)(dot - path));
	name[dot - path] = '\0';
	group = policy_key_find(&policy_class_group, name);
	if (!group || group->type != KEY_GROUP)
		return refuse_override(path, err);
	key = policy_key_find(group->group, dot + 1);
	if (!key || !key->per_guest)
		return refuse_override(path, err);
	r = policy_key_set(key, (char *)c + group->offset, value, arena, err);
	if (r < 0)
		qerr_wrap(err, "%s", path);
	return r;
}

/* ---- origins ---- */

int policy_origin_add(struct policy *p, const char *path, const char *file, unsigned int line,
		      bool bad)
{
	struct policy_origin *last = p->norigins ? &p->origins[p->norigins - 1] : NULL;
	struct policy_origin o = { .line = line, .bad = bad };

	/* Neighbours mostly share the file: one copy of its name serves them. */
	if (last && last->file && file && strcmp(last->file, file) == 0)
		o.file = last->file;
	else
		o.file = arena_strdup(p->arena, file);
	o.path = arena_strdup(p->arena, path);
	if (!o.path || (file && !o.file))
		return -ENOMEM;
	if (mem_grow(&p->origins, &p->origins_capacity, p->norigins + 1, sizeof(o)) < 0)
		return -ENOMEM;
	p->origins[p->norigins++] = o;
	p->origins_sorted = false;
	return 0;
}

static int compare_origins(const void *a, const void *b)
{
	return strcmp(((const struct policy_origin *)a)->path,
		      ((const struct policy_origin *)b)->path);
}

/* Cut the last part of a path: "a[2].b" -> "a[2]" -> "a" -> "". */
static void path_up(char *path)
{
	char *dot = strrchr(path, '.'), *bracket = strrchr(path, '[');
	char *end = dot > bracket ? dot : bracket;

	*(end ? end : path) = '\0';
}

const struct policy_origin *policy_origin_find(struct policy *p, const char *path)
{
	char text[256];
	struct policy_origin key = { .path = text };

	if (!p->norigins)
		return NULL;
	if (!p->origins_sorted)
		qsort(p->origins, p->norigins, sizeof(p->origins[0]), compare_origins);
	p->origins_sorted = true;
	snprintf(text, sizeof(text), "%s", path);
	for (; text[0]; path_up(text)) {
		const struct policy_origin *found =
			bsearch(&key, p->origins, p->norigins, sizeof(key), compare_origins);

		if (found)
			return found;
	}
	return NULL;
}
