/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * net_carry - limits of a qosd with another layout of the maps, taken over without a gap.
 *
 * Its pins stand in a directory of their own (v1, v2 ...). The limits are copied into the new maps
 * before the new programs take the place of the old ones, each by one replacement; then the old
 * pins go. Cut short at any point, the next start does the rest.
 */
#ifndef QOSD_HOST_NET_CARRY_H
#define QOSD_HOST_NET_CARRY_H

#include "qosd/host/net_bpf.h"

/* Pins of an older layout are there. */
bool net_carry_pending(const struct net_bpf *b);
/* Copy what they limit into the maps of b, which are open; entries that are there stay. */
int net_carry_copy(struct net_bpf *b, struct qerr *err);
/* Remove the old pins: nothing runs with them any more. */
void net_carry_finish(const struct net_bpf *b);

#endif
