/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * netshare_private - what a round remembers of each NIC and line: for netshare*.c alone.
 */
#ifndef QOSD_CORE_NETSHARE_PRIVATE_H
#define QOSD_CORE_NETSHARE_PRIVATE_H

#include "qosd/core/netshare.h"

struct seen { /* of one NIC or network, one direction */
	struct netshare_count count;
	bool told; /* it was counted twice: use and loss hold */
	bool hungry;
	bool leaves; /* ... but asks for little of its part */
	uint64_t use_bps, lost_bps;
	uint64_t rate_bps; /* in force; NETSHARE_FREE: all that its limit allows */
};

struct nic_state {
	uint32_t ifindex;
	struct seen seen[NETSHARE_DIRECTIONS];
};

struct line_state {
	bool contended[NETSHARE_DIRECTIONS];
	uint64_t asked_us[NETSHARE_DIRECTIONS]; /* when much was asked for last */
	uint64_t lost_bps;                      /* what NICs drop that has come in, averaged */
	struct seen host[NETSHARE_DIRECTIONS];  /* of this network itself */
};

struct netshare {
	uint64_t round_us; /* 0: no round yet */
	bool adopted;      /* the rates of `nics` are in force, of before */
	struct nic_state *nics, *next;
	struct netshare_rate *rates;
	struct share *shares;
	struct share_slot *slots;
	struct line_state *states; /* by network, as the next two */
	struct netshare_line *lines;
	uint32_t *line_of;
	size_t nnics, nics_room, next_room, rates_room, shares_room, slots_room;
	size_t nlines, states_room, lines_room, line_of_room;
};

/* What it did since the round before, dt_us ago (0: nobody knows), when it might `may_bps`. */
void netshare_look(struct seen *s, const struct netshare_count *now, uint64_t may_bps,
		   uint64_t dt_us);

static inline uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static inline uint64_t most(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

static inline uint64_t percent(uint64_t of, uint64_t n)
{
	return of / 100 * n;
}

#endif
