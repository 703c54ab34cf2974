/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * baseline - the store: an array in order of arrival and a hash table of (key, knob) over it.
 * Dropping compacts the array and makes the table anew: it is rare, and costs one pass.
 */
#include "qosd/core/baseline.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "qosd/core/baseline_private.h"
#include "qosd/core/mem.h"

struct baseline {
	struct baseline_entry *entries; /* each owns its key, and the CPU set behind it */
	size_t count, capacity;
	uint32_t *slots; /* index + 1, open addressing; a power of two, at most half full */
	size_t nslots;
};

struct baseline *baseline_new(void)
{
	return calloc(1, sizeof(struct baseline));
}

void baseline_free(struct baseline *b)
{
	if (!b)
		return;
	for (size_t i = 0; i < b->count; i++)
		free((char *)b->entries[i].key);
	free(b->entries);
	free(b->slots);
	free(b);
}

static size_t hash_of(const char *key, enum knob_id knob)
{
	uint64_t hash = UINT64_C(0xcbf29ce484222325) ^ knob; /* FNV-1a */

	for (; *key; key++)
		hash = (hash ^ (unsigned char)*key) * UINT64_C(0x100000001b3);
	return (size_t)(hash ^ hash >> 32);
}

/* The slot of this entry, or the free one where it belongs. */
static size_t find_slot(const struct baseline *b, const char *key, enum knob_id knob)
{
	size_t at = hash_of(key, knob) & (b->nslots - 1);

	for (; b->slots[at]; at = (at + 1) & (b->nslots - 1)) {
		const struct baseline_entry *e = &b->entries[b->slots[at] - 1];

		if (e->knob == knob && strcmp(e->key, key) == 0)
			break;
	}
	return at;
}

static void fill_slots(struct baseline *b)
{
	if (b->nslots)
		memset(b->slots, 0, b->nslots * sizeof(*b->slots));
	for (size_t i = 0; i < b->count; i++) {
		const struct baseline_entry *e = &b->entries[i];

		b->slots[find_slot(b, e->key, e->knob)] = (uint32_t)i + 1;
	}
}

static int make_room(struct baseline *b)
{
	size_t nslots = b->nslots ? b->nslots * 2 : 64;
	uint32_t *slots;

	if (mem_grow(&b->entries, &b->capacity, b->count + 1, sizeof(*b->entries)) < 0)
		return -ENOMEM;
	if (2 * (b->count + 1) <= b->nslots)
		return 0;
	slots = calloc(nslots, sizeof(*slots));
	if (!slots)
		return -ENOMEM;
	free(b->slots);
	b->slots = slots;
	b->nslots = nslots;
	fill_slots(b);
	return 0;
}

/* An entry with its texts in one piece of memory, which begins with the key. 0 or -ENOMEM. */
static int make_entry(struct baseline_entry *ret, const char *key, enum knob_id knob,
		      const struct knob_value *value)
{
	const size_t align = _Alignof(struct cpuset), len = strlen(key) + 1;
	size_t set_at = (len + align - 1) / align * align;
	bool is_set = value->type == KNOB_CPUSET;
	char *copy = malloc(is_set ? set_at + sizeof(struct cpuset) : len);

	if (!copy)
		return -ENOMEM;
	memcpy(copy, key, len);
	*ret = (struct baseline_entry){ .key = copy, .knob = knob, .value = *value };
	if (is_set)
		ret->value.cpuset = memcpy(copy + set_at, value->cpuset, sizeof(struct cpuset));
	return 0;
}

int baseline_insert(struct baseline *b, const char *key, enum knob_id knob,
		    const struct knob_value *value)
{
	size_t slot;

	if (make_room(b) < 0)
		return -ENOMEM;
	slot = find_slot(b, key, knob);
	if (b->slots[slot])
		return 0;
	if (make_entry(&b->entries[b->count], key, knob, value) < 0)
		return -ENOMEM;
	b->slots[slot] = (uint32_t)++b->count;
	return 1;
}

static int key_of(const struct target *t, char key[BASELINE_KEY_MAX])
{
	struct identity id;
	int r = identity_of(t, &id);

	return r < 0 ? r : identity_format(&id, key);
}

int baseline_put(struct baseline *b, const struct target *t, enum knob_id knob,
		 const struct knob_value *value)
{
	char key[BASELINE_KEY_MAX];
	const struct knob *k = knob_get(knob);

	if (!k || k->type != value->type || !(k->targets >> t->kind & 1) || key_of(t, key) < 0)
		return -EINVAL;
	return baseline_insert(b, key, knob, value);
}

const struct knob_value *baseline_get(const struct baseline *b, const struct target *t,
				      enum knob_id knob)
{
	char key[BASELINE_KEY_MAX];
	size_t slot;

	if (!b->count || key_of(t, key) < 0)
		return NULL;
	slot = find_slot(b, key, knob);
	return b->slots[slot] ? &b->entries[b->slots[slot] - 1].value : NULL;
}

size_t baseline_count(const struct baseline *b)
{
	return b->count;
}

const struct baseline_entry *baseline_at(const struct baseline *b, size_t i)
{
	return i < b->count ? &b->entries[i] : NULL;
}

struct baseline_entry *baseline_entry_at(struct baseline *b, size_t i)
{
	return i < b->count ? &b->entries[i] : NULL;
}

void baseline_note_set(struct baseline *b, const struct target *t, enum knob_id knob,
		       const struct knob_value *value)
{
	char key[BASELINE_KEY_MAX];
	size_t slot;

	if (t->kind != TARGET_NIC || knob != KNOB_NET_OUT || !knob_passes(t, knob) || !b->count ||
	    key_of(t, key) < 0)
		return;
	slot = find_slot(b, key, knob);
	if (b->slots[slot])
		b->entries[b->slots[slot] - 1].vf.set_bps = value->u64;
}

/* ---- dropping ---- */

/* Drop all entries that `gone` names; the others keep their order. */
static size_t drop_if(struct baseline *b,
		      bool (*gone)(const struct baseline_entry *e, const void *context),
		      const void *context)
{
	size_t kept = 0, before = b->count;

	for (size_t i = 0; i < before; i++) {
		if (gone(&b->entries[i], context))
			free((char *)b->entries[i].key);
		else
			b->entries[kept++] = b->entries[i];
	}
	b->count = kept;
	if (kept < before)
		fill_slots(b);
	return before - kept;
}

static bool is_entry(const struct baseline_entry *e, const void *context)
{
	return e == context;
}

size_t baseline_drop(struct baseline *b, const struct target *t, enum knob_id knob)
{
	char key[BASELINE_KEY_MAX];
	size_t slot;

	if (!b->count || key_of(t, key) < 0)
		return 0;
	slot = find_slot(b, key, knob);
	if (!b->slots[slot])
		return 0;
	return drop_if(b, is_entry, &b->entries[b->slots[slot] - 1]);
}

void baseline_mark(struct baseline *b, const struct target *t, enum knob_id knob)
{
	char key[BASELINE_KEY_MAX];
	size_t slot;

	if (!b->count || key_of(t, key) < 0)
		return;
	slot = find_slot(b, key, knob);
	if (b->slots[slot])
		b->entries[b->slots[slot] - 1].marked = true;
}

static bool is_marked(const struct baseline_entry *e, const void *context)
{
	(void)context;
	return e->marked;
}

size_t baseline_sweep(struct baseline *b)
{
	return drop_if(b, is_marked, NULL);
}

void baseline_stored(struct baseline *b, size_t first, size_t end)
{
	for (size_t i = first; i < end && i < b->count; i++)
		b->entries[i].stored = true;
}

static bool is_unstored(const struct baseline_entry *e, const void *context)
{
	(void)context;
	return !e->stored;
}

size_t baseline_drop_unstored(struct baseline *b)
{
	return drop_if(b, is_unstored, NULL);
}

static bool is_path(const char *key, const char *path, size_t len)
{
	return len && strncmp(key, path, len) == 0 && !key[len];
}

static bool of_guest(const struct baseline_entry *e, const void *context)
{
	const struct guest *g = context;
	struct identity id;

	if (entry_is_vf(e)) /* with the card, not with the guest */
		return false;
	if (e->key[0] == '/')
		return is_path(e->key, g->cgroup, guest_scope_len(g));
	return strncmp(e->key, g->uuid, GUEST_UUID_MAX - 1) == 0 &&
	       identity_parse(e->key, &id) == 0 && identity_is_guest(&id, g);
}

size_t baseline_drop_guest(struct baseline *b, const struct guest *g)
{
	return drop_if(b, of_guest, g);
}

/* What lives: owners and scopes as texts, each sorted. */
struct scope {
	const char *path; /* not terminated; in a guest */
	size_t len;
};

struct living {
	const struct inventory *inventory;
	char (*owners)[GUEST_UUID_MAX + 24];
	struct scope *scopes;
	size_t count;
};

static int compare_owners(const void *a, const void *b)
{
	return strcmp(a, b);
}

static int compare_scopes(const void *pa, const void *pb)
{
	const struct scope *a = pa, *b = pb;
	int r = a->len && b->len ? memcmp(a->path, b->path, a->len < b->len ? a->len : b->len) : 0;

	return r ? r : (a->len > b->len) - (a->len < b->len);
}

/* A guest that runs, but whose process could not be looked at this time: it may own the key. */
static bool unread(const struct living *l, const char *owner)
{
	for (size_t i = 0; i < l->count; i++) {
		const struct guest *g = l->inventory->guests[i];

		if (!g->start_ticks && strncasecmp(g->uuid, owner, GUEST_UUID_MAX - 1) == 0)
			return true;
	}
	return false;
}

static bool is_dead(const struct baseline_entry *e, const void *context)
{
	const struct living *l = context;
	size_t len = strcspn(e->key, "/");
	char owner[GUEST_UUID_MAX + 24] = "";

	if (e->key[0] == '/') {
		struct scope scope = { e->key, strlen(e->key) };

		if (scope.len < 6 || strcmp(e->key + scope.len - 6, ".scope") != 0)
			return false;
		return !bsearch(&scope, l->scopes, l->count, sizeof(*l->scopes), compare_scopes);
	}
	if (entry_is_vf(e))
		return false;
	if (len >= sizeof(owner))
		return true;
	memcpy(owner, e->key, len);
	if (unread(l, owner))
		return false;
	return !bsearch(owner, l->owners, l->count, sizeof(*l->owners), compare_owners);
}

static void fill_living(struct living *l, const struct inventory *inv)
{
	for (size_t i = 0; i < inv->count; i++) {
		const struct guest *g = inv->guests[i];
		struct identity id = { .kind = TARGET_GUEST, .start_ticks = g->start_ticks };
		char key[BASELINE_KEY_MAX];

		memcpy(id.uuid, g->uuid, sizeof(id.uuid));
		id.uuid[GUEST_UUID_MAX - 1] = '\0';
		if (identity_format(&id, key) == 0)
			memcpy(l->owners[i], key, strlen(key) + 1);
		l->scopes[i] = (struct scope){ g->cgroup, guest_scope_len(g) };
	}
	qsort(l->owners, l->count, sizeof(*l->owners), compare_owners);
	qsort(l->scopes, l->count, sizeof(*l->scopes), compare_scopes);
}

size_t baseline_retain(struct baseline *b, const struct inventory *inv)
{
	struct living l = { .inventory = inv, .count = inv->count };
	size_t dropped = 0;

	if (!b->count)
		return 0;
	l.owners = calloc(inv->count + 1, sizeof(*l.owners));
	l.scopes = calloc(inv->count + 1, sizeof(*l.scopes));
	/* Without memory nothing is dropped: the next time will do. */
	if (l.owners && l.scopes) {
		fill_living(&l, inv);
		dropped = drop_if(b, is_dead, &l);
	}
	free(l.owners);
	free(l.scopes);
	return dropped;
}
