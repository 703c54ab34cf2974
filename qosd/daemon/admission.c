/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * admission - what the hook asks before a guest starts, and tells when one has stopped.
 *
 * The newcomer is entered into a ledger made anew by the plan's own rule: after all of its rank or
 * better that run, and all that were let in a moment ago, so that two guests that start together
 * cannot both take the last free memory. Guests whose end the hook told of do not count, even while
 * the inventory still has them. One that does not fit is refused only where its class says
 * `admission = "refuse"` and qosd enforces. While CPU or memory is short, a class may ask that none
 * of its guests starts (`admission_overload = "refuse"`); others start throttled as their class is.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "qosd/core/mem.h"
#include "qosd/daemon/overload.h"
#include "qosd/daemon/rbd.h"
#include "qosd/daemon/trial.h"

#define PENDING_US 120000000ULL /* a start that took longer has failed */
#define STOPPED_US 10000000ULL  /* the inventory has dropped it long before */

/* ---- let in, not yet running ---- */

static void drop_pending(struct pending_admission *p)
{
	guest_unref(p->guest);
	memset(p, 0, sizeof(*p));
}

static void expire(struct engine *e)
{
	uint64_t now_us = engine_now_us(e);

	for (size_t i = 0; i < ENGINE_PENDING_MAX; i++) {
		struct pending_admission *p = &e->pending[i];

		if (p->guest &&
		    (p->until_us <= now_us ||
		     (e->picture && inventory_find(e->picture->inventory, p->guest->uuid))))
			drop_pending(p);
		if (e->stopped[i].until_us <= now_us)
			e->stopped[i].uuid[0] = '\0';
	}
}

static void forget_pending(struct engine *e, const char *uuid)
{
	for (size_t i = 0; i < ENGINE_PENDING_MAX; i++)
		if (e->pending[i].guest && strcasecmp(e->pending[i].guest->uuid, uuid) == 0)
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

/* ---- stopped, perhaps still in the inventory ---- */

static void remember_stopped(struct engine *e, const char *uuid)
{
	for (size_t i = 0; i < ENGINE_PENDING_MAX; i++) {
		struct stopped_guest *s = &e->stopped[i];

		if (s->uuid[0] && strcasecmp(s->uuid, uuid) != 0)
			continue;
		memcpy(s->uuid, uuid, sizeof(s->uuid));
		s->until_us = engine_now_us(e) + STOPPED_US;
		return;
	}
}

static void forget_stopped(struct engine *e, const char *uuid)
{
	for (size_t i = 0; i < ENGINE_PENDING_MAX; i++)
		if (strcasecmp(e->stopped[i].uuid, uuid) == 0)
			e->stopped[i].uuid[0] = '\0';
}

static bool has_stopped(const struct engine *e, const char *uuid)
{
	for (size_t i = 0; i < ENGINE_PENDING_MAX; i++)
		if (e->stopped[i].uuid[0] && strcasecmp(e->stopped[i].uuid, uuid) == 0)
			return true;
	return false;
}

/* ---- the ledger before the newcomer ---- */

/* Guests that run, in the plan's order, as far as they come before one of this rank. -ENOMEM. */
static int enter_running(struct engine *e, const char *newcomer, uint32_t rank,
			 struct ledger *ledger)
{
	const struct picture *p = e->picture;
	uint32_t *order CLEANUP_FREE = calloc(p->inventory->count + 1, sizeof(*order));

	if (!order || ledger_order(p->inventory, p->assign, order) < 0)
		return -ENOMEM;
	for (size_t i = 0; i < p->inventory->count; i++) {
		const struct guest *g = p->inventory->guests[order[i]];
		const struct qclass *c = &p->assign[order[i]].effective;
		const struct guest_row *row = guests_find(&e->guests, g->id);

		if (!p->admitted[order[i]] || c->rank > rank || (row && row->released) ||
		    strcasecmp(g->uuid, newcomer) == 0 || has_stopped(e, g->uuid))
			continue;
		(void)ledger_admit(ledger, e->host, g, c, NULL);
	}
	return 0;
}

static int ledger_before(struct engine *e, const struct guest *g, uint32_t rank,
			 struct ledger *ledger)
{
	struct assignment assign;

	ledger_init(ledger, e->policy, e->host);
	if (enter_running(e, g->uuid, rank, ledger) < 0)
		return -ENOMEM;
	for (size_t i = 0; i < ENGINE_PENDING_MAX; i++) {
		if (!e->pending[i].guest)
			continue;
		trial_classify(e, e->pending[i].guest, &assign);
		if (assign.effective.rank <= rank)
			(void)ledger_admit(ledger, e->host, e->pending[i].guest, &assign.effective,
					   NULL);
	}
	return 0;
}

/* May it start now, as far as overload is concerned? */
static bool fits_overload(struct engine *e, const struct guest *g, const struct qclass *c,
			  struct qerr *err)
{
	enum resource r;

	if (!c->rank || c->admission_overload != OVERLOAD_REFUSE || !engine_enforcing(e) ||
	    !overload_presses(e, &r))
		return true;
	qerr_set(err, -EBUSY,
		 "the host is short of %s and class %s starts no guest then; try again when "
		 "`qosctl status` tells that it is calm",
		 resource_names[r], c->name);
	log_message(&e->log, LOG_WARNING, &(struct log_about){ .guest = g->name, .error = -EBUSY },
		    "%s is refused: %s", g->name, err->text);
	return false;
}

static bool admit(struct engine *e, struct guest *g, struct qerr *err)
{
	struct log_about about = { .guest = g->name };
	struct assignment assign;
	struct ledger ledger;

	if (!e->picture) {
		log_message(&e->log, LOG_NOTICE, &about,
			    "%s starts unchecked: libvirt has not told yet which guests run",
			    g->name);
		return true;
	}
	trial_classify(e, g, &assign);
	if (!fits_overload(e, g, &assign.effective, err))
		return false;
	if (ledger_before(e, g, assign.effective.rank, &ledger) < 0)
		return true;
	about.error = ledger_admit(&ledger, e->host, g, &assign.effective, err);
	if (about.error == 0) {
		remember_pending(e, g);
		return true;
	}
	if (assign.effective.admission == ADMIT_REFUSE && engine_enforcing(e)) {
		log_message(&e->log, LOG_WARNING, &about, "%s is refused: %s", g->name, err->text);
		return false;
	}
	log_message(&e->log, LOG_NOTICE, &about, "%s starts without its reservation: %s", g->name,
		    err->text);
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
	expire(e);
	if (strcmp(phase, "prepare") == 0) {
		forget_pending(e, g->uuid);
		forget_stopped(e, g->uuid);
		*ret_admit = admit(e, g, err);
	} else if (strcmp(phase, "release") == 0 || strcmp(phase, "stopped") == 0) {
		forget_pending(e, g->uuid);
		remember_stopped(e, g->uuid);
		if (e->virt)
			virt_refresh(e->virt, g->uuid);
	}
	if (*ret_admit)
		rbd_hook(e, g, phase);
	guest_unref(g);
	return 0;
}
