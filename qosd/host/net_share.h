/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * net_share - which NICs share which line, and what each is guaranteed of it (bpf/edt_line.h).
 *
 * The daemon tells all of it at once, and only what differs is written. What it told is remembered,
 * so that a NIC that is shaped later, or anew, joins its line with its first entry. A process that
 * was told nothing (the keeper) leaves what is in the entries.
 */
#ifndef QOSD_HOST_NET_SHARE_H
#define QOSD_HOST_NET_SHARE_H

#include "qosd/host/net.h"
#include "qosd/host/net_bpf.h"

struct net_shares {
	struct net_member *members; /* sorted by ifindex */
	size_t count, capacity;
	bool told;
	bool settled;                     /* ... and all entries say so */
	uint64_t line_bps[EDT_LINES * 2]; /* by EDT_LINE_KEY; 0: no such line */
};

void net_shares_done(struct net_shares *s);
/* Membership of a new entry; `old` is the entry in force, NULL: none. */
void net_shares_fill(const struct net_shares *s, uint32_t key, const struct edt_cfg *old,
		     struct edt_cfg *cfg);
/* Brings the entries of NICs that are shaped already in line with what was told, as many as can be:
 * the first error. */
struct net;
int net_shares_settle(struct net *n, struct qerr *err);
/* Programs have been loaded, in whichever way: all rates of lines are written. */
int net_shares_ready(const struct net_shares *s, const struct net_bpf *bpf, struct qerr *err);

#endif
