/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * bandwidth_private - what the files of bandwidth share. Only for bandwidth*.c.
 */
#ifndef QOSD_DAEMON_BANDWIDTH_PRIVATE_H
#define QOSD_DAEMON_BANDWIDTH_PRIVATE_H

#include "qosd/daemon/bandwidth.h"

#define BANDWIDTH_LINES 64 /* as many networks as a policy may have */

struct bandwidth {
	struct bandwidth_source source;
	struct netshare *shares;
	struct netshare_output out;    /* of the last round; borrowed */
	struct netshare_rate *adopted; /* what it borrows of until then */
	bool divided;                  /* there has been a round */
	bool ended;                    /* the data plane knows that nothing is shared */
	const struct policy *policy;   /* of the last round */
	sd_event_source *timer;

	struct netshare_nic *nics;
	struct net_member *members;
	size_t nics_room, members_room, count;
	struct netshare_network networks[BANDWIDTH_LINES];
	uint64_t speed_us[BANDWIDTH_LINES];  /* when the link was asked last; 0: never */
	uint64_t speed_bps[BANDWIDTH_LINES]; /* the last that it told; 0: none */
	bool speed_unsure[BANDWIDTH_LINES];  /* it told one, but not the last time */

	uint64_t cost_us;
	int told;          /* negative errno that was logged last */
	struct qerr apart; /* why not all that was asked for is told apart; code 0: it is */
};

/* Is there anything to divide? */
bool bandwidth_is_used(const struct engine *e);
/* The policy in force may be another one: nothing of the rounds before holds then. */
void bandwidth_take_policy(struct engine *e);
/* What the uplink of a network carries, 0: not known. */
uint64_t bandwidth_capacity(struct engine *e, const struct policy *p, uint32_t network);
/* NULL: it had no part in the last round. */
const struct netshare_rate *bandwidth_rate(const struct bandwidth *b, uint32_t ifindex);
size_t bandwidth_nics(const struct inventory *inv);

#endif
