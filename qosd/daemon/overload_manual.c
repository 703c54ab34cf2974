/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * overload_manual - the operator's own throttles: one word for each class and resource, in force
 * until its time is over, also over a restart.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "qosd/daemon/overload.h"

static struct govern_manual *find(struct protection *p, const char *class_name, uint32_t r)
{
	for (size_t i = 0; i < p->nmanual; i++)
		if (p->manual[i].resource == r && strcmp(p->manual[i].class_name, class_name) == 0)
			return &p->manual[i];
	return NULL;
}

static void drop(struct protection *p, struct govern_manual *m)
{
	*m = p->manual[--p->nmanual];
}

/* A new word takes the place of the one before. -ENOSPC. */
static int put(struct protection *p, const struct govern_manual *word)
{
	struct govern_manual *m = find(p, word->class_name, word->resource);

	if (!m && p->nmanual == OVERLOAD_MANUAL_MAX)
		return -ENOSPC;
	if (!m)
		m = &p->manual[p->nmanual++];
	*m = *word;
	return 0;
}

static int refuse(const struct engine *e, const char *class_name, uint32_t level_permille,
		  struct qerr *err)
{
	const struct qclass *c = policy_class(e->policy, class_name);

	if (!c)
		return qerr_set(err, -ENOENT, "there is no class \"%s\"", class_name);
	if (!c->rank)
		return qerr_set(err, -EPERM,
				"class %s has rank 0, which is never throttled; give it another "
				"rank in the policy",
				class_name);
	if (level_permille > 1000)
		return qerr_set(err, -EINVAL, "a level is from 0%% (the floor) to 100%%");
	return 0;
}

int engine_throttle(struct engine *e, const char *class_name, enum resource r,
		    uint32_t level_permille, uint64_t for_us, struct qerr *err)
{
	struct protection *p = e->protection;
	struct govern_manual word = { .resource = r, .level_permille = level_permille };
	int x = refuse(e, class_name, level_permille, err);

	if (x < 0)
		return x;
	snprintf(word.class_name, sizeof(word.class_name), "%s", class_name);
	if (__builtin_add_overflow(engine_now_us(e), for_us, &word.until_us))
		word.until_us = UINT64_MAX;
	if (for_us)
		x = put(p, &word);
	else if (find(p, class_name, r))
		drop(p, find(p, class_name, r));
	if (x < 0)
		return qerr_set(err, x, "there are %d throttles by hand already; end one first",
				OVERLOAD_MANUAL_MAX);
	if (for_us)
		log_message(&e->log, LOG_INFO, NULL, "the operator sets %s of class %s to %u.%u%%",
			    resource_names[r], class_name, level_permille / 10,
			    level_permille % 10);
	else
		log_message(&e->log, LOG_INFO, NULL,
			    "the operator's throttle of %s of class %s ends", resource_names[r],
			    class_name);
	state_save_runtime(e);
	overload_tick_soon(e);
	return 0;
}

void overload_expire_manual(struct engine *e)
{
	struct protection *p = e->protection;
	uint64_t now_us = p->samples[p->newest].at_us;
	bool dropped = false;

	for (size_t i = 0; i < p->nmanual;) {
		if (p->manual[i].until_us > now_us) {
			i++;
			continue;
		}
		log_message(&e->log, LOG_INFO, NULL,
			    "the operator's throttle of %s of class %s is over",
			    resource_names[p->manual[i].resource], p->manual[i].class_name);
		drop(p, &p->manual[i]);
		dropped = true;
	}
	if (dropped)
		state_save_runtime(e);
}

/* ---- over a restart: times of the wall clock ---- */

json_t *overload_manual_json(const struct engine *e)
{
	const struct protection *p = e->protection;
	uint64_t now_us = engine_now_us(e);
	json_t *list = json_array();

	for (size_t i = 0; i < p->nmanual; i++) {
		const struct govern_manual *m = &p->manual[i];
		uint64_t left_us = m->until_us > now_us ? m->until_us - now_us : 0;
		uint64_t until_s = (uint64_t)time(NULL) + left_us / 1000000;

		json_array_append_new(
			list, json_pack("{s:s, s:s, s:i, s:I}", "class", m->class_name, "resource",
					resource_names[m->resource], "level",
					(int)m->level_permille, "until_s", (json_int_t)until_s));
	}
	return list;
}

static void load_one(struct engine *e, json_t *item)
{
	const char *class_name, *resource;
	struct govern_manual word = { .resource = RESOURCE_COUNT };
	json_int_t level, until_s, now_s = (json_int_t)time(NULL);

	if (json_unpack(item, "{s:s, s:s, s:I, s:I}", "class", &class_name, "resource", &resource,
			"level", &level, "until_s", &until_s) < 0)
		return;
	for (uint32_t r = 0; r < RESOURCE_COUNT; r++)
		if (strcmp(resource, resource_names[r]) == 0)
			word.resource = r;
	if (word.resource == RESOURCE_COUNT || level < 0 || level > 1000 || until_s <= now_s ||
	    until_s - now_s > INT32_MAX || strlen(class_name) >= sizeof(word.class_name))
		return;
	memcpy(word.class_name, class_name, strlen(class_name) + 1);
	word.level_permille = (uint32_t)level;
	word.until_us = engine_now_us(e) + (uint64_t)(until_s - now_s) * 1000000;
	(void)put(e->protection, &word);
}

void overload_manual_load(struct engine *e, json_t *list)
{
	size_t i;
	json_t *item;

	json_array_foreach (list, i, item)
		load_one(e, item);
}
