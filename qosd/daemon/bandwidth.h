/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * bandwidth - what NICs may have of the uplinks that they share: the rounds.
 *
 * A round reads what NICs and the host's own networks did, divides each line (core/netshare.h), and
 * writes what changed. It is a small turn: the picture stays, only the entries of NICs in its plan
 * get new values, by the rule that made them (plan_refresh_nics), and go through the same apply. So
 * explain, drift, release and dry run know shares as they know limits. A share is leased as a
 * throttle is: without qosd it ends, and the data plane keeps the line and its guarantees alone.
 *
 * Rounds come each tenth of a second while a line is contended or nearly so, else seldom. They ask
 * and write what is ours alone.
 */
#ifndef QOSD_DAEMON_BANDWIDTH_H
#define QOSD_DAEMON_BANDWIDTH_H

#include "qosd/core/diag.h"
#include "qosd/core/netshare.h"
#include "qosd/daemon/engine.h"
#include "qosd/host/net.h"

struct bandwidth_source { /* where counts come from and lines go to: the adapter, or a test */
	void *ctx;
	uint64_t (*now_us)(void *ctx); /* monotonic */
	void (*count_nic)(void *ctx, const struct guest_nic *nic,
			  struct netshare_count ret[NETSHARE_DIRECTIONS]);
	void (*count_host)(void *ctx, const struct policy *p, uint32_t network,
			   struct netshare_count ret[NETSHARE_DIRECTIONS]);
	/* What of the host's traffic is to be told apart: these networks, or nothing (NULL). */
	int (*tell_apart)(void *ctx, const struct policy *p, struct qerr *err);
	/* What stands in the way of that for one network; reads only. */
	int (*check_apart)(void *ctx, const struct network *n, struct qerr *err);
	int (*link_speed)(void *ctx, const char *device, uint64_t *ret_bps);
	int (*set_line)(void *ctx, uint32_t line, bool in, uint64_t rate_bps, struct qerr *err);
	int (*set_members)(void *ctx, struct net_member *members, size_t count, struct qerr *err);
};

struct bandwidth; /* NULL source.count_nic: nothing is shared */

struct bandwidth *bandwidth_new(void); /* NULL when out of memory */
void bandwidth_free(struct bandwidth *b);
void bandwidth_set_source(struct bandwidth *b, const struct bandwidth_source *source);
/* With the adapters there. */
void bandwidth_start(struct engine *e);

/* Read, divide, write at once what has changed. */
void bandwidth_round(struct engine *e);
/* From one round to the next, as things are. */
uint64_t bandwidth_period_us(const struct engine *e);
/* The last round took so long. */
uint64_t bandwidth_cost_us(const struct engine *e);
/*
 * Parts of the NICs of e->inventory in the networks of a policy (malloc'd with its items; steady:
 * as if nobody were held back). NULL: nothing is shared, or out of memory.
 */
struct nic_parts *bandwidth_parts(struct engine *e, const struct policy *p, bool steady);
/* Before the first picture: shares that are in force are taken over. */
void bandwidth_adopt(struct engine *e);
/* There is a new picture, not yet written: its NICs are told which line they share. */
void bandwidth_before_write(struct engine *e);
/* All shares end with the turn that follows (mode observe, stop, release). */
void bandwidth_stand_down(struct engine *e);

/* What stands in the way of sharing: uplinks that do not tell their speed, too much reserved. */
void bandwidth_probe(struct engine *e, struct diag_list *findings);
/* Is one of this guest's NICs held back? */
bool bandwidth_holds(const struct nic_parts *parts, const struct guest *g);

#endif
