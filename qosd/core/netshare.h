/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * netshare - guarantees and borrowing among all that use one uplink.
 *
 * Networks with the same uplink share its line, each direction by itself: the NICs of their guests,
 * and the host's own traffic of each network that reserves something. One round takes what each was
 * seen to do since the round before, makes a demand of it, and divides the line (share.h):
 *
 *	hungry (drops, marks, a queue, or nearly all of what it may)   demand = its limit
 *	else                                                           demand = use + a bit
 *
 * Who is hungry and asks for less than three quarters of its part all the same, as flows of TCP
 * that recover from losses do, keeps that part or more, and most of what it leaves is divided once
 * more among the others. (To give it less until it takes more let a flood of UDP starve 64 flows
 * beside it for seconds.)
 *
 * The host's traffic is not held back by anybody: its part is what the NICs leave free, and they
 * cannot take it. All that it has reserved is kept for it as soon as it uses a little of that. What
 * is told apart on the uplink is not counted once more as that of the device it passes; while it is
 * not known, all of its reservation is kept.
 *
 * While a line has room for everybody's demand nobody is held back: then, and while rates are not
 * known yet, the data plane alone keeps the sum to the line and each NIC's guarantee (edt_line.h).
 * So rates may add up to more than there is, which nobody has to give up anything for: nobody's is
 * less than what it is guaranteed, nor than a trickle where guarantees take all of the line,
 * and who is content may take a quarter and a sixteenth of the line more, with which to wake up.
 *
 * Towards guests a little less is divided while their NICs drop: that has crossed the line, too.
 *
 * Pure: counters and time come in, rates go out. bit/s of layer 2, bytes since whenever.
 */
#ifndef QOSD_CORE_NETSHARE_H
#define QOSD_CORE_NETSHARE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "qosd/core/guest.h"
#include "qosd/core/policy.h"

#define NETSHARE_FREE UINT64_MAX /* not held back */
#define NETSHARE_NONE UINT32_MAX /* no network */

#define NETSHARE_LEAST_BPS UINT64_C(8000) /* slower is no network at all */

enum netshare_direction { NETSHARE_IN, NETSHARE_OUT, NETSHARE_DIRECTIONS };

struct netshare_count { /* since it was first counted */
	bool known;
	uint64_t bytes;
	uint64_t pressed;    /* packets dropped or marked */
	uint64_t lost_bytes; /* dropped */
	uint64_t queue_ns;   /* largest delay of late */
};

struct netshare_nic {
	uint32_t ifindex; /* ascending in the array */
	uint32_t network; /* in the policy */
	uint32_t weight;
	bool exempt; /* counted, but not held back */
	uint64_t reservation_bps;
	uint64_t limit_bps[NETSHARE_DIRECTIONS]; /* NETSHARE_FREE: none */
	struct netshare_count count[NETSHARE_DIRECTIONS];
};

struct netshare_network {      /* one for each of the policy */
	uint64_t capacity_bps; /* of its uplink; 0: not known, then nothing is shared */
	struct netshare_count host[NETSHARE_DIRECTIONS]; /* the host's own traffic */
};

struct netshare_input {
	uint64_t now_us;
	const struct policy *policy;
	const struct netshare_network *networks;
	const struct netshare_nic *nics;
	size_t nnics;
};

struct netshare_rate { /* of one NIC, sorted by ifindex */
	uint32_t ifindex;
	uint64_t guaranteed_bps;
	uint64_t rate_bps[NETSHARE_DIRECTIONS]; /* NETSHARE_FREE: not held back */
};

struct netshare_line { /* one for each network: the first with an uplink stands for it */
	uint64_t rate_bps[NETSHARE_DIRECTIONS]; /* of all NICs together; 0: no such line */
	bool contended[NETSHARE_DIRECTIONS];
};

struct netshare_output { /* borrowed of the state until its next round */
	const struct netshare_rate *rates;
	size_t count;
	const struct netshare_line *lines;
	size_t nlines;
	bool busy; /* a line is contended, or close to it: come back soon */
};

struct netshare;

struct netshare *netshare_new(void); /* NULL when out of memory */
void netshare_free(struct netshare *s);
/* Everything is as after netshare_new(): nobody is held back. */
void netshare_reset(struct netshare *s);
/*
 * After a start: these rates are in force (of a daemon before), sorted by ifindex. They stay until
 * the second round, which has seen something. 0 or -ENOMEM.
 */
int netshare_adopt(struct netshare *s, const struct netshare_rate *rates, size_t count);
/* 0 or -ENOMEM: then *ret knows nothing, and what is remembered stays for the next round. */
int netshare_round(struct netshare *s, const struct netshare_input *in,
		   struct netshare_output *ret);

/* ---- for the plan ---- */

struct nic_part { /* what one NIC may have of its network's uplink */
	uint32_t ifindex;
	const char *network; /* borrowed of the policy */
	uint64_t capacity_bps;
	uint64_t rate_bps[NETSHARE_DIRECTIONS]; /* NETSHARE_FREE: not held back */
};

struct nic_parts { /* sorted by ifindex */
	struct nic_part *items;
	size_t count;
};

/* NULL: it shares nothing. `parts` may be NULL. */
const struct nic_part *nic_parts_find(const struct nic_parts *parts, uint32_t ifindex);
void nic_parts_free(struct nic_parts *parts); /* malloc'd with its items; NULL is fine */
/* Is anybody held back? */
bool nic_parts_any(const struct nic_parts *parts);

/* ---- who is on which network ---- */
/* The network, not told apart, whose device is this NIC's bridge or parent; NETSHARE_NONE: none. */
uint32_t netshare_network_of(const struct policy *p, const struct guest_nic *nic);
/* The first network with the same uplink. */
uint32_t netshare_line_of(const struct policy *p, uint32_t network);
/* The device that all its traffic passes. */
const char *netshare_uplink(const struct network *n);
/*
 * Is its traffic told apart on the uplink, by ports, cgroup or mark? Then it is the host's alone:
 * no NIC belongs to it, whatever its device is.
 */
bool netshare_told_apart(const struct network *n);

#endif
