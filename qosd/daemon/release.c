/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * release - off means off: every knob gets its baseline back.
 *
 * Releasing is applying another plan, the one that the baseline store holds. A released guest is
 * left alone until it starts anew, gets a class by `qosctl class`, or `qosctl mode enforce` takes
 * all back. Releasing all also turns the mode to observe: nothing is taken back by the next turn.
 */
#include <errno.h>
#include <string.h>

#include "qosd/daemon/engine.h"
#include "qosd/host/net.h"

static void mark_released(struct engine *e, const struct guest *only)
{
	for (size_t i = 0; i < e->guests.count; i++) {
		struct guest_row *row = &e->guests.rows[i];

		if (only && row->id != only->id)
			continue;
		row->released = true;
		row->hold_until_s = 0;
		guests_recovered(row);
	}
}

/* Read-back is part of the comparison, so a value that already is as before is not written. */
static int write_baselines(struct engine *e, const struct plan *plan, size_t *ret_changes)
{
	struct diff diff;
	int r;

	diff_init(&diff);
	r = engine_compare(e, plan, NULL, &diff);
	if (r == 0) {
		*ret_changes = diff.count;
		engine_apply(e, &diff);
	}
	diff_done(&diff);
	return r;
}

int engine_release(struct engine *e, const struct guest *only, size_t *ret_changes, struct qerr *err)
{
	struct plan *plan;
	int r;

	*ret_changes = 0;
	if (e->options.observe)
		return qerr_set(err, -EPERM, "qosd was started with --observe and writes nothing");
	if (!e->inventory)
		return qerr_set(err, -EAGAIN, "libvirt has not answered yet; try again");
	if (!only) {
		e->mode = MODE_OBSERVE;
		e->mode_overridden = e->mode != e->policy->mode;
	}
	mark_released(e, only);
	plan = baseline_plan(e->baseline, e->inventory, only);
	r = plan ? write_baselines(e, plan, ret_changes) : -ENOMEM;
	plan_free(plan);
	if (r < 0)
		return qerr_set(err, r, "cannot give the values back: %s", strerror(-r));
	if (!only) {
		(void)net_teardown(e->adapters[ADAPTER_NET], NULL);
		net_set_readonly(e->adapters[ADAPTER_NET], true);
	}
	engine_mark(e);
	log_message(&e->log, LOG_INFO, only ? &(struct log_about){ .guest = only->name } : NULL,
		    "released %s: %zu values as they were before qosd", only ? only->name : "all guests",
		    *ret_changes);
	return state_save_runtime(e, err);
}
