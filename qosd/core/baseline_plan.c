/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * baseline_plan - giving back is a plan like any other.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "qosd/core/arena.h"
#include "qosd/core/baseline_private.h"
#include "qosd/core/mem.h"

static int compare_uuids(const void *pa, const void *pb)
{
	const struct guest *const *a = pa, *const *b = pb;

	return strcmp((*a)->uuid, (*b)->uuid);
}

struct owners { /* guests that take values back, sorted by uuid */
	const struct guest **guests;
	size_t count;
};

static int owners_make(struct owners *o, const struct inventory *inv, const struct guest *only)
{
	o->guests = calloc(inv->count + 1, sizeof(*o->guests));
	if (!o->guests)
		return -ENOMEM;
	if (only) {
		o->guests[o->count++] = only;
		return 0;
	}
	for (; o->count < inv->count; o->count++)
		o->guests[o->count] = inv->guests[o->count];
	qsort(o->guests, o->count, sizeof(*o->guests), compare_uuids);
	return 0;
}

static const struct guest *owner_of(const struct owners *o, const struct identity *id)
{
	struct guest key;
	const struct guest *pointer = &key, *const * found;

	memcpy(key.uuid, id->uuid, sizeof(key.uuid));
	found = bsearch(&pointer, o->guests, o->count, sizeof(*o->guests), compare_uuids);
	return found && identity_is_guest(id, *found) ? *found : NULL;
}

static bool nic_target(const struct identity *id, struct target *t)
{
	for (uint32_t i = 0; i < t->guest->nnics; i++) {
		const struct guest_nic *nic = &t->guest->nics[i];

		const char *name = id->ifindex ? nic->device : nic->pci;

		if (nic->ifindex == id->ifindex && strcmp(name, id->device) == 0) {
			t->index = i;
			return true;
		}
	}
	return false;
}

static bool disk_target(const struct identity *id, struct target *t)
{
	for (uint32_t i = 0; i < t->guest->ndisks; i++) {
		if (strcmp(t->guest->disks[i].target, id->device) == 0) {
			t->index = i;
			return true;
		}
	}
	return false;
}

/* The living target of a guest's entry; false if it has gone. */
static bool guest_target(const struct owners *o, const struct identity *id, struct target *t)
{
	const struct guest *g = owner_of(o, id);

	if (!g)
		return false;
	*t = (struct target){ .kind = id->kind, .index = id->index, .guest_id = g->id, .guest = g };
	if (id->kind == TARGET_VCPU)
		return id->index < g->vcpus;
	if (id->kind == TARGET_DISK)
		return disk_target(id, t);
	return id->kind != TARGET_NIC || nic_target(id, t);
}

static int add(struct plan *p, const struct target *t, const struct baseline_entry *e)
{
	return plan_add(p, t, e->knob, e->value, (struct reason){ .kind = WHY_BASELINE });
}

static int add_group(struct plan *p, const struct baseline_entry *e)
{
	struct target t = { .kind = TARGET_CGROUP, .path = arena_strdup(p->arena, e->key) };

	return t.path ? add(p, &t, e) : -ENOMEM;
}

static bool is_scope_of(const char *path, const struct guest *g)
{
	size_t len = guest_scope_len(g);

	return len && strncmp(path, g->cgroup, len) == 0 && !path[len];
}

static int add_entry(struct plan *p, const struct owners *o, const struct guest *only,
		     const struct baseline_entry *e)
{
	struct identity id;
	struct target t;

	if (identity_parse(e->key, &id) < 0)
		return 0;
	if (id.kind == TARGET_CGROUP)
		return !only || is_scope_of(e->key, only) ? add_group(p, e) : 0;
	return guest_target(o, &id, &t) ? add(p, &t, e) : 0;
}

struct plan *baseline_plan(const struct baseline *b, const struct inventory *inv,
			   const struct guest *only)
{
	struct owners o = { 0 };
	struct plan *p = plan_new();
	int r = p ? owners_make(&o, inv, only) : -ENOMEM;

	for (size_t i = 0; r == 0 && i < baseline_count(b); i++)
		r = add_entry(p, &o, only, baseline_at(b, i));
	free(o.guests);
	if (r < 0) {
		plan_free(p);
		return NULL;
	}
	plan_sort(p);
	return p;
}

/* Not left either: its guest runs, but could not be looked at this time. */
static bool has_vf(const struct guest *g, const struct identity *id)
{
	if (!g->start_ticks)
		return strcasecmp(g->uuid, id->uuid) == 0;
	if (!identity_is_guest(id, g))
		return false;
	for (size_t i = 0; i < g->nnics; i++)
		if (strcmp(g->nics[i].pci, id->device) == 0)
			return true;
	return false;
}

static bool is_left(const struct inventory *inv, const struct identity *id)
{
	for (size_t i = 0; i < inv->count; i++)
		if (has_vf(inv->guests[i], id))
			return false;
	return true;
}

struct baseline_entry *baseline_next_left(struct baseline *b, const struct inventory *inv,
					  size_t *at, struct guest *ret, struct guest_nic *nic)
{
	while (*at < baseline_count(b)) {
		struct baseline_entry *e = baseline_entry_at(b, (*at)++);
		struct identity id;

		if (!entry_is_vf(e) || identity_parse(e->key, &id) < 0)
			continue;
		if (!is_left(inv, &id)) {
			e->vf = (struct baseline_vf){ .set_bps = e->vf.set_bps };
			continue;
		}
		*nic = (struct guest_nic){ .type = "hostdev", .vf = true };
		memcpy(nic->pci, id.device, sizeof(nic->pci));
		*ret = (struct guest){ .start_ticks = id.start_ticks, .nics = nic, .nnics = 1 };
		memcpy(ret->uuid, id.uuid, sizeof(ret->uuid));
		ret->name = ret->uuid;
		return e;
	}
	return NULL;
}

static bool above_held(const struct plan_input *in, const char *path)
{
	size_t len = strlen(path);

	for (size_t i = 0; in->treatment && i < in->inventory->count; i++) {
		const char *cgroup = in->inventory->guests[i]->cgroup;

		if (in->treatment[i] == GUEST_HELD && cgroup && strncmp(cgroup, path, len) == 0 &&
		    cgroup[len] == '/')
			return true;
	}
	return false;
}

static int add_orphan_group(const struct plan_input *in, struct plan *plan,
			    const struct plan *sorted, const struct baseline_entry *e)
{
	struct target t = { .kind = TARGET_CGROUP, .path = e->key };

	if (plan_find(sorted, &t, e->knob) || above_held(in, e->key))
		return 0;
	return add_group(plan, e) < 0 ? -ENOMEM : 1;
}

/* The managed guests alone. */
static int owners_managed(struct owners *o, const struct plan_input *in)
{
	int r = owners_make(o, in->inventory, NULL);
	size_t kept = 0;

	if (r < 0 || !in->treatment)
		return r;
	for (size_t i = 0; i < in->inventory->count; i++)
		if (in->treatment[i] == GUEST_MANAGED)
			o->guests[kept++] = in->inventory->guests[i];
	o->count = kept;
	qsort(o->guests, kept, sizeof(*o->guests), compare_uuids);
	return 0;
}

/* A knob that passes, of which nothing is wanted any more. */
static int add_orphan_knob(struct plan *plan, const struct plan *sorted, const struct owners *o,
			   const struct baseline_entry *e)
{
	struct identity id;
	struct target t;

	if (identity_parse(e->key, &id) < 0 || !guest_target(o, &id, &t) ||
	    plan_find(sorted, &t, e->knob))
		return 0;
	return add(plan, &t, e) < 0 ? -ENOMEM : 1;
}

static bool passes(const struct baseline_entry *e)
{
	return knob_get(e->knob)->passing || entry_is_vf(e);
}

int baseline_plan_orphans(const struct baseline *b, const struct plan_input *in, struct plan *plan)
{
	size_t planned = plan->count; /* entries before ours: sorted */
	struct owners o = { 0 };
	int added = 0, r = 0;

	for (size_t i = 0; r >= 0 && i < baseline_count(b); i++) {
		const struct baseline_entry *e = baseline_at(b, i);
		struct plan sorted = { .entries = plan->entries, .count = planned };

		r = 0;
		if (e->key[0] == '/')
			r = add_orphan_group(in, plan, &sorted, e);
		else if (passes(e) && !o.guests)
			r = owners_managed(&o, in);
		if (r == 0 && e->key[0] != '/' && passes(e))
			r = add_orphan_knob(plan, &sorted, &o, e);
		added += r > 0;
	}
	free(o.guests);
	if (r < 0)
		return r;
	if (added)
		plan_sort(plan);
	return added;
}
