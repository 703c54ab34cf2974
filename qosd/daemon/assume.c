/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * assume - a class that the operator just gave holds at once, before libvirt has written it; what
 * libvirt refuses is taken back and told.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "qosd/daemon/engine.h"

/* The inventory with one guest's class replaced: guests are immutable, so by a changed copy. */
static int replace_class(struct engine *e, uint32_t id, const char *class_name)
{
	const struct guest *old = inventory_by_id(e->inventory, id);
	struct inventory *next = old ? inventory_copy(e->inventory) : NULL;
	struct guest *g = next ? guest_with_class(old, class_name) : NULL;
	int r = g ? inventory_replace(next, g) : -ENOMEM;

	guest_unref(g);
	if (r < 0) {
		inventory_free(next);
		return old ? r : -ENOENT;
	}
	inventory_free(e->inventory);
	e->inventory = next;
	return 0;
}

static const char *or_null(const char *class_name)
{
	return class_name[0] ? class_name : NULL;
}

int engine_set_class(struct engine *e, const struct guest *g, const char *class_name,
		     struct qerr *err)
{
	struct guest_row *row = guests_find(&e->guests, g->id);
	uint64_t ticket = ++e->next_ticket;

	if (e->options.observe)
		return qerr_set(err, -EPERM, "qosd was started with --observe and writes nothing");
	if (!row || !g->id)
		return qerr_set(err, -ENOENT, "%s has just stopped", g->name);
	if (virt_set_class(e->virt, g->uuid, class_name, ticket) < 0)
		return qerr_set(err, -EAGAIN, "libvirt does not take the class now (%s); try again",
				virt_state_name(virt_state(e->virt)));
	if (!row->assumed_ticket) {
		e->classes_assumed++;
		snprintf(row->class_before, sizeof(row->class_before), "%s",
			 g->class_name ? g->class_name : "");
	}
	snprintf(row->assumed_class, sizeof(row->assumed_class), "%s",
		 class_name ? class_name : "");
	row->assumed_ticket = ticket;
	row->refused.code = 0;
	row->released = row->giving_back = false;
	guests_retry(row);
	state_save_runtime(e);
	if (replace_class(e, g->id, class_name) < 0)
		return qerr_set(err, -ENOMEM, "out of memory");
	return 0;
}

void engine_assume_classes(struct engine *e)
{
	for (size_t i = 0; e->classes_assumed && i < e->guests.count; i++) {
		const struct guest_row *row = &e->guests.rows[i];

		if (row->assumed_ticket &&
		    replace_class(e, row->id, or_null(row->assumed_class)) < 0)
			log_message(&e->log, LOG_ERR, NULL, "out of memory: a class comes late");
	}
}

static void take_class_back(struct engine *e, struct guest_row *row, const struct qerr *err)
{
	const struct guest *g = e->inventory ? inventory_by_id(e->inventory, row->id) : NULL;

	row->refused = *err;
	qerr_wrap(&row->refused, "class %s was not taken",
		  row->assumed_class[0] ? row->assumed_class : "(none)");
	if (!g)
		return;
	log_error(&e->log, LOG_WARNING, &(struct log_about){ .guest = g->name, .error = err->code },
		  g->name, &row->refused);
	(void)replace_class(e, row->id, or_null(row->class_before));
	guests_mark(row);
	engine_mark(e);
}

bool engine_class_done(struct engine *e, uint64_t ticket, int result, const struct qerr *err)
{
	for (size_t i = 0; e->classes_assumed && i < e->guests.count; i++) {
		struct guest_row *row = &e->guests.rows[i];

		if (row->assumed_ticket != ticket)
			continue;
		row->assumed_ticket = 0;
		e->classes_assumed--;
		if (result < 0)
			take_class_back(e, row, err);
		virt_refresh(e->virt, row->uuid);
		return true;
	}
	return false;
}
