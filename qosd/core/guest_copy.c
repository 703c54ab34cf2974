/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * guest_copy - published guests never change, so a change is a changed copy.
 */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "qosd/core/guest.h"

/* Copies an array or a string; `ok` is cleared when memory runs out. NULL stays NULL. */
static void *copy_bytes(const void *from, size_t size, bool *ok)
{
	void *to;

	if (!from || !size)
		return NULL;
	to = malloc(size);
	if (to)
		memcpy(to, from, size);
	else
		*ok = false;
	return to;
}

static char *copy_text(const char *from, bool *ok)
{
	return copy_bytes(from, from ? strlen(from) + 1 : 0, ok);
}

static void copy_overrides(const struct guest *from, struct guest *to, bool *ok)
{
	to->overrides = from->noverrides ? calloc(from->noverrides, sizeof(*to->overrides)) : NULL;
	if (from->noverrides && !to->overrides) {
		*ok = false;
		return;
	}
	to->noverrides = from->noverrides;
	for (size_t i = 0; i < from->noverrides; i++) {
		to->overrides[i].key = copy_text(from->overrides[i].key, ok);
		to->overrides[i].value = copy_text(from->overrides[i].value, ok);
	}
}

struct guest *guest_with_class(const struct guest *g, const char *class_name)
{
	struct guest *copy = guest_new();
	bool ok = true;

	if (!copy)
		return NULL;
	copy->id = g->id;
	memcpy(copy->uuid, g->uuid, sizeof(copy->uuid));
	copy->vcpus = g->vcpus;
	copy->memory_bytes = g->memory_bytes;
	copy->hard_limit_bytes = g->hard_limit_bytes;
	copy->balloon = g->balloon;
	copy->current_bytes = g->current_bytes;
	copy->pid = g->pid;
	copy->start_ticks = g->start_ticks;
	copy->systemd = g->systemd;
	copy->name = copy_text(g->name, &ok);
	copy->title = copy_text(g->title, &ok);
	copy->flavor = copy_text(g->flavor, &ok);
	copy->project = copy_text(g->project, &ok);
	copy->class_name = copy_text(class_name, &ok);
	copy->cgroup = copy_text(g->cgroup, &ok);
	copy->cgroup_memory = copy_text(g->cgroup_memory, &ok);
	copy_overrides(g, copy, &ok);
	copy->vcpu_tids = copy_bytes(g->vcpu_tids, g->nvcpu_tids * sizeof(*g->vcpu_tids), &ok);
	copy->nvcpu_tids = copy->vcpu_tids ? g->nvcpu_tids : 0;
	copy->nics = copy_bytes(g->nics, g->nnics * sizeof(*g->nics), &ok);
	copy->nnics = copy->nics ? g->nnics : 0;
	copy->disks = copy_bytes(g->disks, g->ndisks * sizeof(*g->disks), &ok);
	copy->ndisks = copy->disks ? g->ndisks : 0;
	copy->rbds = copy_bytes(g->rbds, g->nrbds * sizeof(*g->rbds), &ok);
	copy->nrbds = copy->rbds ? g->nrbds : 0;
	if (!ok) {
		guest_unref(copy);
		return NULL;
	}
	return copy;
}
