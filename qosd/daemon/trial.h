/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * trial - a new policy for a part of the guests first (`qosctl reload --canary 10%`).
 *
 * While a trial lasts two policies live: guests whose UUID falls below the fraction (a stable hash:
 * the same ones each time) have the classes of the new one; all others, and everything that is of
 * the host as a whole (reserve, networks, overload laws, mode), keep the old one. The trial ends
 * with `confirm` (the new policy is in force for all) or `undo`, and by itself as undo when nobody
 * confirms in time or a resource that was calm gets pressed.
 *
 * The policy on trial is kept as STATE_DIR/policy/trial.conf until a policy is accepted: a start
 * that finds the same policy in the configuration file keeps the old one in force, and says so. So
 * a restart is no way for an unconfirmed policy to get in.
 */
#ifndef QOSD_DAEMON_TRIAL_H
#define QOSD_DAEMON_TRIAL_H

#include <jansson.h>

#include "qosd/core/govern.h"
#include "qosd/daemon/engine.h"

struct trial {
	struct policy *policy;
	uint32_t permille;            /* of the guests */
	uint64_t until_us, until_ms;  /* monotonic, wall clock */
	bool pressed[RESOURCE_COUNT]; /* at the last tick */
	char why[QERR_TEXT_MAX];      /* it is to be undone; "": it lasts */
	sd_event_source *timer;
};

/* Takes over `fresh` when it succeeds. -EBUSY: one lasts already. A turn has been made. */
int trial_start(struct engine *e, struct policy *fresh, uint32_t permille, uint64_t for_us,
		struct qerr *err);
/* The old policy is in force for all again. `why` goes to the log. */
void trial_undo(struct engine *e, const char *why);
/* Ends the trial without a turn and hands out its policy, to be put in force. */
struct policy *trial_take(struct engine *e);
void trial_drop(struct engine *e); /* the daemon ends */
/* A resource that gets pressed ends it, soon. */
void trial_tick(struct engine *e, const struct govern_output *out);

/* The class of a guest that does not run yet, by the policy that it will have. */
void trial_classify(const struct engine *e, const struct guest *g, struct assignment *ret);

/* Is a policy with this normal form one that was tried and never confirmed? */
bool trial_unconfirmed(const struct engine *e, const char *text);
/* A policy is accepted: what was tried before is of no interest. */
void trial_forget(const struct engine *e);

/* {policy, share, guests, until, left_s}, or null. */
json_t *trial_view(const struct engine *e);

#endif
