/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * assume - a class that the operator just gave holds at once, before libvirt has written it.
 */
#include <errno.h>
#include <stdio.h>

#include "qosd/daemon/engine.h"

/* The inventory with one guest's class replaced (guests are immutable: a changed copy). */
static int replace_class(struct engine *e, uint32_t id, const char *class_name)
{
	struct inventory *next = inventory_new(e->inventory->count);
	int r = next ? 0 : -ENOMEM;

	for (size_t i = 0; r == 0 && i < e->inventory->count; i++) {
		struct guest *old = e->inventory->guests[i];
		struct guest *g = old->id == id ? guest_with_class(old, class_name) : guest_ref(old);

		r = g ? inventory_add(next, g) : -ENOMEM;
		guest_unref(g);
	}
	if (r < 0) {
		inventory_free(next);
		return r;
	}
	inventory_free(e->inventory);
	e->inventory = next;
	return 0;
}

static const char *assumed(const struct guest_row *row)
{
	return row->assumed_class[0] ? row->assumed_class : NULL;
}

int engine_set_class(struct engine *e, const struct guest *g, const char *class_name)
{
	struct guest_row *row = guests_find(&e->guests, g->id);
	uint64_t ticket = ++e->next_ticket;
	int r;

	if (!row)
		return -ENOENT;
	r = virt_set_class(e->virt, g->uuid, class_name, ticket);
	if (r < 0)
		return r;
	snprintf(row->assumed_class, sizeof(row->assumed_class), "%s", class_name ? class_name : "");
	row->assumed_ticket = ticket;
	row->released = false;
	row->dirty = true;
	return replace_class(e, g->id, class_name);
}

void engine_assume_classes(struct engine *e)
{
	for (size_t i = 0; i < e->guests.count; i++) {
		const struct guest_row *row = &e->guests.rows[i];

		if (row->assumed_ticket && replace_class(e, row->id, assumed(row)) < 0)
			log_message(&e->log, LOG_ERR, NULL, "out of memory: a class comes late");
	}
}

bool engine_class_done(struct engine *e, uint64_t ticket, int result, const struct qerr *err)
{
	for (size_t i = 0; i < e->guests.count; i++) {
		struct guest_row *row = &e->guests.rows[i];

		if (row->assumed_ticket != ticket)
			continue;
		row->assumed_ticket = 0;
		if (result < 0)
			log_error(&e->log, LOG_WARNING, &(struct log_about){ .error = result },
				  "the class is not in the domain's metadata", err);
		virt_refresh(e->virt, row->uuid);
		return true;
	}
	return false;
}
