/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * governor - the law of one resource: from pressure to depth. One implementation for all four.
 *
 * Pressure p is 1.0 at target. Depth T is the place on the ladder of classes, 0 (nobody gives way)
 * .. steps (all that may give way are at their floor). Fast down: while p > 1 T grows in proportion
 * to the excess, never more than step_max at once, and not again before the signal can show what
 * the last step did (lag). Slow up: after `hold` of clean time T falls by `release_step` a second.
 * A relapse while giving back is met at once; the next time T rests just above the depth at which
 * it happened until a doubled hold is over (up to 8 times), or until those who are throttled do not
 * fill their caps any more. All that is forgotten after a long calm. When going deeper does not
 * lower p the cause is elsewhere: T is given back, and the governor leaves this resource alone for
 * a while that doubles too, but no longer than until those who may give way claim clearly more than
 * they did then: that is another cause. On the brink (memory that is gone before the next steps) a
 * class gives way all at once, and a verdict ends when less is left than ever in this storm.
 *
 * Pure: time is an argument (us, monotonic). No allocation.
 */
#ifndef QOSD_CORE_GOVERNOR_H
#define QOSD_CORE_GOVERNOR_H

#include <stdbool.h>
#include <stdint.h>

#include "qosd/core/policy.h"
#include "qosd/core/sample.h"

enum governor_state { GOVERNOR_CALM, GOVERNOR_PRESSED, GOVERNOR_HOLDING, GOVERNOR_RELEASING };
extern const char *const governor_state_names[]; /* "calm", "pressed", "holding", "releasing" */

struct governor_law {              /* constants of one resource */
	double gain;               /* depth per unit of excess (p - 1) */
	double step_min, step_max; /* depth of one step down the ladder */
	double step_entry;         /* the first step into a class beyond the first */
	double clean;              /* p below this counts as clean, e.g. 0.8: hysteresis */
	uint64_t lag_us;           /* before the signal shows what a step did */
	uint64_t judge_us;         /* after the last step, before it is judged whether it helps */
	uint64_t class_us;         /* at the floor of a class, before the next one is touched */
	uint64_t hold_us;          /* clean time before giving back */
	double release_step;       /* depth given back per second */
	/* A throttle that does not help: when all gave way ... */
	double futile_gain; /* ... p must have fallen by this part, e.g. 0.25 */
	uint64_t futile_us; /* else leave it alone this long, doubled each time */
	double claim_least; /* unless they claim more: this at least; the resource's unit */
};

/* The law of a resource under a policy's `overload` group; sources of the constants are there. */
struct governor_law governor_law_of(enum resource r, const struct overload *o);

struct governor { /* state of one resource; all zero at first */
	double depth;
	uint32_t state;          /* enum governor_state */
	uint64_t at_us;          /* of the last step */
	uint64_t act_after_us;   /* no step down before */
	uint64_t clean_since_us; /* 0: not clean */
	uint64_t hold_us;        /* of now: grown by relapses; 0: the law's */
	uint64_t calm_since_us;
	double onset_pressure, onset_depth; /* for judging whether deeper helps */
	double relapse_depth;               /* where giving back went wrong last; < 0: nowhere */
	uint64_t alone_until_us;            /* it did not help: leave alone */
	unsigned int futile;                /* times in a row */
	bool giving_up;                     /* stepping back because it did not help ... */
	bool unblamed;                      /* ... for those who are throttled wanted less */
	double held_depth;                  /* that was enough last */
	uint64_t slack_since_us;            /* 0: not slack */
	double smooth_pressure;             /* slower average, for judging */
	uint64_t judge_after_us;            /* the last step has not shown all before */
	double futile_pressure, futile_at_depth; /* where it was given up */
	double claim_most, pressure_most; /* of this storm: nothing below them is another cause */
};

enum governor_event {
	GOVERNOR_NOTHING,
	GOVERNOR_ONSET,
	GOVERNOR_DEEPER,
	GOVERNOR_RELAPSE,
	GOVERNOR_FUTILE,
	GOVERNOR_BACK,
	GOVERNOR_OVER
};

struct governor_reading {
	double pressure; /* < 0: not known (T is kept, and given back after the hold as if clean) */
	unsigned int steps; /* how many classes may give way; 0: nothing to do, depth stays 0 */
	bool slack;         /* none of those who are throttled fills its cap */
	bool brink;         /* it will be used up, with harm, before the usual steps can help */
	bool frozen;        /* somebody is stopped: p cannot fall by what he does */
	/* What those who may give way, and all guests, would take if nobody held them; any unit. */
	double claim, claim_all;
};

enum governor_event governor_step(struct governor *g, const struct governor_law *law,
				  const struct governor_reading *in, uint64_t now_us);

/* Level of the class at place `place` (0: gives way first): 1000 * clamp(1 - (T - place), 0, 1). */
uint32_t governor_level(double depth, unsigned int place);
/* Something may still change without a new pressure: tick fast. */
bool governor_active(const struct governor *g);

#endif
