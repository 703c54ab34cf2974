/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * rbd_wish - a class's `rbd` group as librbd settings.
 */
#include <stdio.h>
#include <string.h>

#include "qosd/core/mem.h"
#include "qosd/core/rbd_lint.h"

#define SECOND_US 1000000

/* Places in enum rbd_cache_mode. */
static const enum rbd_mode modes[] = {
	[RBD_CACHE_NONE] = RBD_MODE_NONE,
	[RBD_CACHE_WRITETHROUGH] = RBD_MODE_WRITETHROUGH,
	[RBD_CACHE_WRITEBACK] = RBD_MODE_WRITEBACK,
	[RBD_CACHE_WRITEAROUND] = RBD_MODE_WRITEAROUND,
};

struct wish_number {
	enum rbd_key key;
	uint64_t value; /* POLICY_NONE_U64: left to Ceph */
};

#define WISH_NUMBERS 4

static void wish_numbers(const struct class_rbd *w, struct wish_number ret[WISH_NUMBERS])
{
	ret[0] = (struct wish_number){ RBD_CACHE_SIZE, w->cache_size_bytes };
	ret[1] = (struct wish_number){ RBD_CACHE_MAX_DIRTY, w->max_dirty_bytes };
	ret[2] = (struct wish_number){ RBD_CACHE_TARGET_DIRTY, w->target_dirty_bytes };
	ret[3] = (struct wish_number){ RBD_CACHE_MAX_DIRTY_AGE, w->max_dirty_age_us };
}

static void want(struct rbd_wanted *w, enum rbd_key key, uint64_t number)
{
	w->any = w->set[key] = true;
	if (rbd_keys[key].type == RBD_WORD)
		snprintf(w->text[key], RBD_TEXT_MAX, "%s", rbd_keys[key].words[number]);
	else if (rbd_keys[key].type == RBD_SECONDS && number % SECOND_US)
		snprintf(w->text[key], RBD_TEXT_MAX, "%llu.%06llu",
			 (unsigned long long)(number / SECOND_US),
			 (unsigned long long)(number % SECOND_US));
	else
		snprintf(w->text[key], RBD_TEXT_MAX, "%llu",
			 (unsigned long long)(rbd_keys[key].type == RBD_SECONDS ? number / SECOND_US
										: number));
}

static enum rbd_policy policy_of(uint32_t cache)
{
	if (cache == RBD_CACHE_WRITEBACK)
		return RBD_POLICY_WRITEBACK;
	return cache == RBD_CACHE_WRITETHROUGH ? RBD_POLICY_WRITETHROUGH : RBD_POLICY_WRITEAROUND;
}

void rbd_wanted(const struct class_rbd *wish, const char *cache_mode, struct rbd_wanted *ret)
{
	struct wish_number numbers[WISH_NUMBERS];

	memset(ret, 0, sizeof(*ret));
	if (!rbd_qemu_cached(cache_mode) || wish->cache == RBD_CACHE_NONE)
		return;
	if (wish->cache != RBD_CACHE_KEEP)
		want(ret, RBD_CACHE_POLICY, policy_of(wish->cache));
	wish_numbers(wish, numbers);
	for (size_t i = 0; i < WISH_NUMBERS; i++)
		if (numbers[i].value != POLICY_NONE_U64)
			want(ret, numbers[i].key, numbers[i].value);
}

static bool mode_is_sure(const struct rbd_effective *e)
{
	return e->values[RBD_CACHE].sure && e->values[RBD_CACHE_POLICY].sure &&
	       e->values[RBD_CACHE_MAX_DIRTY].sure;
}

bool rbd_wish_fails(const struct class_rbd *wish, const struct rbd_effective *e)
{
	struct wish_number numbers[WISH_NUMBERS];

	if (wish->cache != RBD_CACHE_KEEP && modes[wish->cache] != e->mode && mode_is_sure(e))
		return true;
	wish_numbers(wish, numbers);
	for (size_t i = 0; e->mode != RBD_MODE_NONE && i < WISH_NUMBERS; i++) {
		const struct rbd_value *v = &e->values[numbers[i].key];

		if (numbers[i].value != POLICY_NONE_U64 && numbers[i].value != v->number && v->sure)
			return true;
	}
	return false;
}
