/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * net_hook - how the shaper's programs get their packets: by TCX links where the kernel has those,
 * else by filters of clsact.
 *
 * NET_PROG_DIVERT is what brings a guest's packets to the ifb: that program, or a redirecting
 * filter. Where a filter of ours is, filters stay, so that a new kernel or qosd rebuilds nothing
 * that is in force; where a link and a filter of ours met (an older qosd was here meanwhile) the
 * link stays. Programs of others on the ingress hook would not see what is redirected before them,
 * and may end the way of a packet to a filter after them: so nothing is diverted beside them,
 * unless it was before. Removed pins are told; that a link was taken off otherwise is found when
 * the last look is a minute old.
 */
#ifndef QOSD_HOST_NET_HOOK_H
#define QOSD_HOST_NET_HOOK_H

#include "qosd/host/net_shape.h"

/* Make known what is on dev. 0 or negative errno; -ENODEV: the device has gone. */
int net_hook_look(struct net *n, struct net_dev *dev, struct qerr *err);
/* Is prog to be put there by a link, which needs no clsact? After net_hook_look(). */
bool net_hook_by_link(struct net *n, const struct net_dev *dev, enum net_prog prog);
/* Is anything of ours there for prog, whole or not? After net_hook_look(). */
bool net_hook_there(struct net *n, const struct net_dev *dev, enum net_prog prog);
/* The id of the program there, 0: none (a filter that redirects runs none). After a look. */
uint32_t net_hook_program(const struct net_dev *dev, enum net_prog prog);
/* Is it there, the program the one that is pinned, and the ifb the one that is there? */
bool net_hook_holds(struct net *n, struct net_dev *dev, enum net_prog prog);
/* Others' programs are where the guest's packets come in, and nothing of ours yet: -EBUSY. After
 * net_hook_look(). */
int net_hook_refuse_others(struct net *n, const struct net_dev *dev, struct qerr *err);
/* Put it there; one that is there is replaced without a gap. By filter: clsact must be there. After
 * net_hook_look(). */
int net_hook_set(struct net *n, struct net_dev *dev, enum net_prog prog, struct qerr *err);
/* Take it off. Absent is fine. */
int net_hook_clear(struct net *n, struct net_dev *dev, enum net_prog prog, struct qerr *err);
/* The device has gone: so may what is kept of it. */
void net_hook_forget(struct net *n, uint32_t ifindex);

#endif
