/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * lease - throttles end by themselves when nobody renews them.
 *
 * DIR/lease is one file shared by the daemon and its keeper (keeper.c): a header that both map, and
 * two places for a text (lease_text.c) with the values that throttled guests have when they are not
 * throttled. The daemon writes the text before it throttles anybody, and moves `until` on at each
 * tick. When that time comes the keeper gives the values of the text and the lease is free again.
 *
 * A text is written to the place that is not in use, then the header's `active` is turned over: a
 * daemon killed at any moment leaves a whole one. Times are CLOCK_MONOTONIC microseconds, void
 * after a reboot, as the throttles are. No function waits.
 */
#ifndef QOSD_DAEMON_LEASE_H
#define QOSD_DAEMON_LEASE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "qosd/core/err.h"
#include "qosd/core/plan.h"
#include "qosd/core/sample.h"

#define LEASE_TEXT_MAX ((size_t)4 << 20) /* some 15000 guests */

enum lease_state {
	LEASE_FREE,    /* nothing is throttled */
	LEASE_HELD,    /* until `until_us` */
	LEASE_LAPSING, /* the keeper is giving steady values back */
};

struct lease_header { /* both sides run the same program: no form for others */
	char magic[8];
	char boot_id[40];
	atomic_uint_fast64_t owner;  /* token of the daemon, and of the keeper, in charge */
	atomic_uint_fast32_t state;  /* enum lease_state */
	atomic_uint_fast32_t active; /* place of the text in force: 0 or 1 */
	atomic_uint_fast64_t until_us;
	uint64_t text_bytes[2];
	double depth[RESOURCE_COUNT]; /* of the governor, for the next daemon */
};

struct lease {
	struct lease_header *header; /* mapped */
	int fd;
	uint64_t token; /* the header's owner while we are in charge */
	int alive_fd;   /* our end of the keeper's pipe: it hears when we end; -1: no keeper */
	int keeper_pid; /* 0: none */
};

/* Opens or makes DIR/lease; one that is damaged or of another boot is begun anew. */
int lease_open(const char *dir, struct lease **ret, struct qerr *err);
/* The keeper lives on while something is throttled. NULL is fine. */
void lease_close(struct lease *l);
/* From now on this process is in charge, and an earlier keeper does nothing any more. */
void lease_take_over(struct lease *l, uint64_t now_us);
/* True, with depths, while throttles are in force (those of a daemon before, after a start). */
bool lease_held(const struct lease *l, double ret_depth[RESOURCE_COUNT]);

/*
 * Before the first throttle, and when guests or classes change under throttle: remember what
 * `steady`, a plan without throttles, says, and hold the lease until `until_us`. 0, -E2BIG,
 * -ENOMEM, -ENOSPC: then nobody may be throttled.
 */
int lease_record(struct lease *l, const struct plan *steady, const struct inventory *inv,
		 uint64_t until_us, struct qerr *err);
/* False: it has lapsed meanwhile (this process was stopped for long). */
bool lease_renew(struct lease *l, uint64_t until_us, const double depth[RESOURCE_COUNT]);
/* Nobody is throttled any more. */
void lease_drop(struct lease *l);
/* The text in force (malloc'd, ended by NUL), or NULL. */
char *lease_read(const struct lease *l, size_t *ret_len);

/* ---- the text (lease_text.c) ---- */
/* Does a throttle move this knob? */
bool lease_lapses(enum knob_id knob);
/* malloc'd; NULL when out of memory. */
char *lease_text_print(const struct plan *steady, const struct inventory *inv, size_t *ret_len);
/*
 * Guests (with pid, start_ticks, devices, but no groups; named by their uuid) and the plan of their
 * steady values, sorted, which borrows them. Only what print writes is read. -EINVAL, -ENOMEM.
 */
int lease_text_parse(const char *text, struct inventory **ret_inv, struct plan **ret_plan,
		     struct qerr *err);

#endif
