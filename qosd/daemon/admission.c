/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * admission - what the hook asks before a guest starts, and tells when it has started or stopped.
 *
 * The newcomer is entered into the ledger after all that run and all that were let in a moment
 * ago, so that two guests that start together cannot both take the last free memory. A guest that
 * does not fit is refused only where its class says `admission = "refuse"` and qosd enforces.
 */
#include <errno.h>
#include <string.h>

#include "qosd/daemon/engine.h"

#define PENDING_US 120000000ULL /* a start that took longer has failed */

static void drop_pending(struct pending_admission *p)
{
	guest_unref(p->guest);
	memset(p, 0, sizeof(*p));
}

static void expire_pending(struct engine *e)
{
	uint64_t now_us = engine_now_us(e);

	for (size_t i = 0; i < ENGINE_PENDING_MAX; i++) {
		struct pending_admission *p = &e->pending[i];

		if (!p->guest)
			continue;
		if (p->until_us <= now_us ||
		    (e->inventory && inventory_find(e->inventory, p->guest->uuid)))
			drop_pending(p);
	}
}

static void forget_pending(struct engine *e, const char *uuid)
{
	for (size_t i = 0; i < ENGINE_PENDING_MAX; i++)
		if (e->pending[i].guest && strcmp(e->pending[i].guest->uuid, uuid) == 0)
			drop_pending(&e->pending[i]);
}

static void remember_pending(struct engine *e, struct guest *g)
{
	for (size_t i = 0; i < ENGINE_PENDING_MAX; i++) {
		if (e->pending[i].guest)
			continue;
		e->pending[i].guest = guest_ref(g);
		e->pending[i].until_us = engine_now_us(e) + PENDING_US;
		return;
	}
}

/* What is promised already: to guests that run and to those that are about to. */
static void ledger_of_now(struct engine *e, struct ledger *ledger)
{
	struct assignment assign;

	ledger_init(ledger, e->policy, e->host);
	if (e->picture && e->picture->plan)
		*ledger = e->picture->ledger;
	for (size_t i = 0; i < ENGINE_PENDING_MAX; i++) {
		if (!e->pending[i].guest)
			continue;
		classify(e->policy, e->pending[i].guest, &assign);
		(void)ledger_admit(ledger, e->host, e->pending[i].guest, &assign.effective, NULL);
	}
}

static bool admit(struct engine *e, struct guest *g, struct qerr *err)
{
	struct assignment assign;
	struct ledger ledger;
	int r;

	ledger_of_now(e, &ledger);
	classify(e->policy, g, &assign);
	r = ledger_admit(&ledger, e->host, g, &assign.effective, err);
	if (r == 0) {
		remember_pending(e, g);
		return true;
	}
	if (assign.effective.admission == ADMIT_REFUSE && engine_enforcing(e)) {
		log_message(&e->log, LOG_WARNING, &(struct log_about){ .guest = g->name, .error = r },
			    "%s is refused: %s", g->name, err->text);
		return false;
	}
	log_message(&e->log, LOG_NOTICE, &(struct log_about){ .guest = g->name, .error = r },
		    "%s starts without its reservation: %s", g->name, err->text);
	return true;
}

int engine_hook(struct engine *e, const char *phase, const char *xml, size_t len, bool *ret_admit,
		struct qerr *err)
{
	struct guest *g = NULL;
	int r = virt_parse_domain_xml(xml, len, &g, err);

	*ret_admit = true;
	if (r < 0)
		return r;
	expire_pending(e);
	if (strcmp(phase, "prepare") == 0) {
		forget_pending(e, g->uuid);
		*ret_admit = admit(e, g, err);
	} else if (strcmp(phase, "release") == 0 || strcmp(phase, "stopped") == 0) {
		forget_pending(e, g->uuid);
		virt_refresh(e->virt, g->uuid);
	} else {
		virt_refresh(e->virt, g->uuid);
	}
	guest_unref(g);
	return 0;
}
