/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * rbd_lint_cache - rules about a cache's settings: what contradicts, what is lost, what is not
 * taken.
 */
#include <stdio.h>
#include <string.h>

#include "qosd/core/human.h"
#include "qosd/core/rbd_lint_private.h"
#include "qosd/core/unit.h"

static const char *from(const struct rbd_subject *s, enum rbd_layer layer, char buf[RBD_FROM_MAX])
{
	return rbd_from(layer, s->rbd, s->disk->cache, buf, RBD_FROM_MAX);
}

static const char *cache_mode(const struct rbd_subject *s)
{
	return s->disk->cache[0] ? s->disk->cache : "writeback (QEMU's default)";
}

static uint64_t number(const struct rbd_subject *s, enum rbd_key key)
{
	return s->next.values[key].number;
}

static enum rbd_layer layer_of(const struct rbd_subject *s, enum rbd_key key)
{
	return (enum rbd_layer)s->next.values[key].layer;
}

/* ---- which layer wins ---- */

bool rbd_check_cache_ignored(const struct rbd_subject *s, char *what, char *fix)
{
	bool wanted = rbd_qemu_cached(s->disk->cache);
	char where[RBD_FROM_MAX];
	uint64_t n;

	for (enum rbd_layer layer = RBD_FILE; layer >= RBD_MON; layer--) {
		const char *text = s->layers->values[layer][RBD_CACHE];

		if (!text || rbd_parse(RBD_CACHE, text, &n) < 0 || (n != 0) == wanted)
			continue;
		rbd_mend_key(s, layer, RBD_CACHE, NULL, fix);
		return rbd_say(what, "rbd_cache = %s in %s has no effect: QEMU's cache=%s decides",
			       text, from(s, layer, where), cache_mode(s));
	}
	return false;
}

bool rbd_check_image_wins(const struct rbd_subject *s, char *what, char *fix)
{
	const struct rbd_value *v = &s->next.values[RBD_CACHE];
	char where[RBD_FROM_MAX];

	if (v->layer < RBD_POOL || (v->number != 0) == rbd_qemu_cached(s->disk->cache))
		return false;
	rbd_mend_key(s, layer_of(s, RBD_CACHE), RBD_CACHE, NULL, fix);
	return rbd_say(what, "rbd_cache = %s of %s turns the domain's cache=%s around", v->text,
		       from(s, layer_of(s, RBD_CACHE), where), cache_mode(s));
}

bool rbd_check_unsafe(const struct rbd_subject *s, char *what, char *fix)
{
	if (strcmp(s->disk->cache, "unsafe") != 0)
		return false;
	rbd_mend(fix, "virsh edit %s: cache='writeback' for %s", s->guest, s->disk->target);
	if (!number(s, RBD_CACHE_WTUF))
		return rbd_say(what, "cache=unsafe drops the guest's flushes, and without "
				     "writethrough until flush data are lost in a crash");
	return rbd_say(what, "cache=unsafe drops the guest's flushes, and librbd, which waits for "
			     "the first one, never begins to write back");
}

bool rbd_check_wtuf(const struct rbd_subject *s, char *what, char *fix)
{
	char where[RBD_FROM_MAX];

	if (number(s, RBD_CACHE_WTUF) || s->next.mode == RBD_MODE_NONE)
		return false;
	rbd_mend_key(s, layer_of(s, RBD_CACHE_WTUF), RBD_CACHE_WTUF, NULL, fix);
	return rbd_say(what, "writethrough until flush is off, by %s",
		       from(s, layer_of(s, RBD_CACHE_WTUF), where));
}

/* ---- sizes ---- */

static bool below(uint64_t small, uint64_t large)
{
	return small < large || small == 0;
}

/* Without a read cache only dirty data count: size does not matter. */
bool rbd_check_order(const struct rbd_subject *s, char *what, char *fix)
{
	uint64_t size = number(s, RBD_CACHE_SIZE), max = number(s, RBD_CACHE_MAX_DIRTY),
		 target = number(s, RBD_CACHE_TARGET_DIRTY);
	char a[HUMAN_TEXT_MAX], b[HUMAN_TEXT_MAX], value[RBD_TEXT_MAX], where[RBD_FROM_MAX];
	bool sized = s->next.mode == RBD_MODE_WRITEBACK;
	enum rbd_key key = RBD_CACHE_MAX_DIRTY;

	if (s->next.mode != RBD_MODE_WRITEBACK && s->next.mode != RBD_MODE_WRITEAROUND)
		return false;
	if (sized && !below(max, size)) {
		rbd_say(what, "max_dirty %s (%s) is not below cache_size %s", human_size(max, a),
			from(s, layer_of(s, key), where), human_size(size, b));
		snprintf(value, sizeof(value), "%llu", (unsigned long long)(size / 4 * 3));
	} else if (!below(target, max)) {
		key = RBD_CACHE_TARGET_DIRTY;
		rbd_say(what, "target_dirty %s (%s) is not below max_dirty %s",
			human_size(target, a), from(s, layer_of(s, key), where),
			human_size(max, b));
		snprintf(value, sizeof(value), "%llu", (unsigned long long)(max / 3 * 2));
	} else {
		return false;
	}
	rbd_mend_key(s, layer_of(s, key) < RBD_FILE ? RBD_FILE : layer_of(s, key), key, value, fix);
	return true;
}

bool rbd_check_size_unused(const struct rbd_subject *s, char *what, char *fix)
{
	const struct rbd_value *v = &s->next.values[RBD_CACHE_SIZE];
	char where[RBD_FROM_MAX];

	if (v->layer == RBD_DEFAULT || s->next.mode == RBD_MODE_WRITEBACK ||
	    s->next.mode == RBD_MODE_WRITETHROUGH)
		return false;
	rbd_mend_key(s, layer_of(s, RBD_CACHE_SIZE), RBD_CACHE_SIZE, NULL, fix);
	return rbd_say(what, "cache_size %s (%s) is not used: the mode is %s", v->text,
		       from(s, layer_of(s, RBD_CACHE_SIZE), where), rbd_mode_names[s->next.mode]);
}

bool rbd_check_intent(const struct rbd_subject *s, char *what, char *fix)
{
	if (strcmp(s->disk->cache, "writeback") != 0 || s->next.mode != RBD_MODE_WRITEAROUND ||
	    layer_of(s, RBD_CACHE_POLICY) != RBD_DEFAULT)
		return false;
	rbd_mend_key(s, RBD_FILE, RBD_CACHE_POLICY, "writeback", fix);
	return rbd_say(what, "cache=writeback gives no read cache: Ceph's default policy is "
			     "writearound");
}

bool rbd_check_writethrough(const struct rbd_subject *s, char *what, char *fix)
{
	bool dirty = number(s, RBD_CACHE_MAX_DIRTY) > 0;
	enum rbd_key key = dirty ? RBD_CACHE_POLICY : RBD_CACHE_MAX_DIRTY;
	char where[RBD_FROM_MAX];

	if (!number(s, RBD_CACHE) || strcmp(s->disk->cache, "writethrough") == 0 ||
	    (dirty && s->next.mode != RBD_MODE_WRITETHROUGH))
		return false;
	if (s->wish && s->wish->cache == RBD_CACHE_WRITETHROUGH)
		return false;
	rbd_mend_key(s, layer_of(s, key), key, NULL, fix);
	return rbd_say(what,
		       "every write waits for the cluster: %s = %s (%s), although the domain "
		       "says cache=%s",
		       rbd_keys[key].name, s->next.values[key].text,
		       from(s, layer_of(s, key), where), cache_mode(s));
}

#define AGE_MAX_US UINT64_C(30000000)

bool rbd_check_age(const struct rbd_subject *s, char *what, char *fix)
{
	enum rbd_key key = RBD_CACHE_MAX_DIRTY_AGE;
	char age[UNIT_TEXT_MAX], where[RBD_FROM_MAX];

	if (s->next.mode != RBD_MODE_WRITEBACK || number(s, key) <= AGE_MAX_US)
		return false;
	rbd_mend_key(s, layer_of(s, key), key, NULL, fix);
	return rbd_say(what, "unwritten data may get %s old (%s)",
		       unit_format_time(number(s, key), age), from(s, layer_of(s, key), where));
}

/* ---- texts that Ceph does not take ---- */

bool rbd_check_garbage(const struct rbd_subject *s, char *what, char *fix)
{
	char where[RBD_FROM_MAX];
	uint64_t n;

	for (int layer = RBD_LAYERS; layer-- > RBD_MON;) {
		for (int k = 0; k < RBD_KEYS; k++) {
			const char *text = s->layers->values[layer][k];

			if (!text || rbd_parse((enum rbd_key)k, text, &n) == 0)
				continue;
			rbd_mend_key(s, (enum rbd_layer)layer, (enum rbd_key)k,
				     rbd_keys[k].fallback, fix);
			return rbd_say(what,
				       "%s = \"%.60s\" in %s is not taken by Ceph, %s is "
				       "used",
				       rbd_keys[k].name, text,
				       from(s, (enum rbd_layer)layer, where),
				       s->next.values[k].text);
		}
	}
	return false;
}

/* ---- since the open ---- */

/* What a layer that could not be looked at may have set, now or then, is no difference. */
static bool differs(const struct rbd_subject *s, enum rbd_key key)
{
	const struct rbd_value *now = &s->now.values[key], *next = &s->next.values[key];

	return now->sure && next->sure && now->number != next->number;
}

bool rbd_check_stale(const struct rbd_subject *s, char *what, char *fix)
{
	char where[RBD_FROM_MAX];

	for (int k = RBD_CACHE; k <= RBD_PARENT_CACHE; k++) {
		if (s->live[k] && k != RBD_CACHE) {
			rbd_mend(fix, "restart or migrate %s; rbd config image set makes it last",
				 s->guest);
			return rbd_say(what,
				       "%s was set to %s through the client's socket: "
				       "reported, but not in force",
				       rbd_keys[k].name, s->live[k]);
		}
		if (!s->now_known || k == RBD_PLUGINS || k == RBD_PWL_PATH ||
		    !differs(s, (enum rbd_key)k))
			continue;
		rbd_mend(fix, "restart or migrate %s", s->guest);
		return rbd_say(what,
			       "%s is %s now (%s), but %s in force since the image was opened",
			       rbd_keys[k].name, s->next.values[k].text,
			       from(s, layer_of(s, (enum rbd_key)k), where), s->now.values[k].text);
	}
	return false;
}
