/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vf_left - rates of virtual functions that their guests left behind.
 *
 * The rate is the card's and stays with it, so its baseline stays in the store when the guest goes,
 * and is looked after here, at each inventory and each drift check, until one of these holds:
 *
 * - The card has the rate of before again, is no more, or refuses rates.
 * - Another guest has the function: it takes the value of before over as its own, and the plan sees
 *   to it, which limits that guest or gives the value back. But if the card shows another rate than
 *   the one that qosd set last, somebody else has set it, for that guest: then it is left alone.
 *   Where one of the two is not known (after a restart, or while the function is reset) the rate is
 *   taken for qosd's: that it was, since there is an entry.
 *
 * Nothing is given back while the guest may only not have been told of by libvirt: while its
 * process lives, or, if that is not known (after a restart), until two drift checks have missed it.
 */
#include <errno.h>
#include <string.h>

#include "qosd/daemon/engine.h"

#define DRIFTS_LEFT 2

enum outcome {
	DONE,      /* nothing of it is left to be done */
	HANDED_ON, /* another guest has it: the plan does the rest */
	WAITS,     /* not now */
	NO_CARD,   /* its card has no driver, so nobody can do it */
	FAILED,    /* the card's driver did not do it this time */
};

/* The same guest as was left: it runs, and was told of. */
static bool is_told(const struct inventory *now, const struct guest *left)
{
	for (size_t i = 0; i < now->count; i++)
		if (now->guests[i]->start_ticks == left->start_ticks &&
		    strcmp(now->guests[i]->uuid, left->uuid) == 0)
			return true;
	return false;
}

static const struct guest *seen_before(const struct engine *e, const struct guest *left)
{
	const struct guest *g =
		e->picture ? inventory_find(e->picture->inventory, left->uuid) : NULL;

	return g && g->start_ticks == left->start_ticks && strcmp(g->uuid, left->uuid) == 0 ? g
											    : NULL;
}

/* Or libvirt was perhaps only unable to tell of its guest. */
static bool is_free(const struct engine *e, const struct inventory *now, const struct guest *left,
		    struct baseline_vf *vf)
{
	const struct guest *before = seen_before(e, left);

	if (is_told(now, left))
		return true;
	if (before)
		vf->pid = before->pid;
	if (vf->pid)
		return virt_process_start_ticks(vf->pid) != left->start_ticks;
	if (!vf->left_since)
		vf->left_since = e->drifts + 1;
	return e->drifts + 1 - vf->left_since >= DRIFTS_LEFT;
}

/* The NIC of another guest that is the same function. */
static bool find_holder(const struct inventory *now, const char *pci, struct target *ret)
{
	for (size_t i = 0; i < now->count; i++) {
		const struct guest *g = now->guests[i];

		for (uint32_t k = 0; k < g->nnics; k++) {
			if (!g->nics[k].vf || strcmp(g->nics[k].pci, pci) != 0)
				continue;
			*ret = (struct target){
				.kind = TARGET_NIC, .index = k, .guest_id = g->id, .guest = g
			};
			return true;
		}
	}
	return false;
}

static enum outcome hand_on(struct engine *e, const struct baseline_entry *entry,
			    const struct target *to)
{
	struct knob_value value = entry->value, set = knob_u64(entry->vf.set_bps), is;
	int r;

	if (!to->guest->start_ticks)
		return WAITS; /* not looked at closely yet: it has no name in the store */
	if (set.u64 && engine_read(e, to, KNOB_NET_OUT, &is, NULL) == 0 && is.u64 != set.u64)
		return DONE;
	r = baseline_put(e->baseline, to, KNOB_NET_OUT, &value);
	if (r > 0 && state_save_baseline(e, NULL) < 0) {
		(void)baseline_drop(e->baseline, to, KNOB_NET_OUT);
		r = -EIO; /* or neither of the two would be on disk */
	}
	if (r > 0)
		baseline_note_set(e->baseline, to, KNOB_NET_OUT, &set);
	return r < 0 ? WAITS : HANDED_ON;
}

static enum outcome give_back(struct engine *e, struct guest *g, const struct knob_value *value,
			      struct qerr *err)
{
	struct adapter *net = e->adapters[ADAPTER_NET];
	struct change c = { .target = { .kind = TARGET_NIC, .guest = g },
			    .knob = KNOB_NET_OUT,
			    .to = *value,
			    .why = { .kind = WHY_BASELINE } };
	int r;

	virt_find_vf(e->sysfs, &g->nics[0]);
	if (!g->nics[0].vf)
		return DONE; /* no function any more: its rate went with it */
	if (!guest_nic_is_vf(&g->nics[0])) {
		qerr_set(err, -ENODEV, "its rate cannot be given back: %s",
			 guest_nic_obstacle(&g->nics[0]));
		return NO_CARD;
	}
	r = net->ops->apply(net, &c, ++e->next_ticket, err);
	if (r == -ENOENT || r == -EAGAIN)
		return WAITS; /* the card has just gone, or resets the function */
	return r == 0 || r == -EOPNOTSUPP ? DONE : FAILED;
}

static void tell(struct engine *e, struct baseline_vf *vf, const char *pci, const struct qerr *err)
{
	if (vf->told != err->code)
		log_error(&e->log, LOG_WARNING, &(struct log_about){ .error = err->code }, pci,
			  err);
	vf->told = err->code;
}

static enum outcome settle(struct engine *e, const struct inventory *now,
			   struct baseline_entry *entry, struct guest *left)
{
	struct guest_nic *nic = &left->nics[0];
	enum outcome outcome = WAITS;
	struct qerr err = { 0 };
	struct target holder;

	if (find_holder(now, nic->pci, &holder))
		return hand_on(e, entry, &holder);
	if (is_free(e, now, left, &entry->vf))
		outcome = give_back(e, left, &entry->value, &err);
	if (outcome == FAILED || outcome == NO_CARD)
		tell(e, &entry->vf, nic->pci, &err);
	return outcome;
}

size_t engine_give_back_vfs(struct engine *e, const struct inventory *now)
{
	bool writing = engine_enforcing(e) || (e->giving_back && !e->options.observe);
	struct baseline_entry *entry;
	size_t at = 0, waiting = 0;
	struct guest_nic nic;
	struct guest left;

	while (writing && (entry = baseline_next_left(e->baseline, now, &at, &left, &nic))) {
		struct target t = { .kind = TARGET_NIC, .guest = &left };
		enum outcome outcome = settle(e, now, entry, &left);

		nic.vf = true; /* its name in the store, also when it is none any more */
		if (outcome == DONE || outcome == HANDED_ON)
			baseline_mark(e->baseline, &t, KNOB_NET_OUT);
		waiting += outcome != DONE && outcome != NO_CARD;
	}
	if (baseline_sweep(e->baseline))
		e->baseline_rewrite = true;
	return waiting;
}
