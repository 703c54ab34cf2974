/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * net_ifb - the one device through which all passes that guests send: what comes in from their taps
 * is redirected to it, and its egress hook runs the shaper.
 */
#ifndef QOSD_HOST_NET_IFB_H
#define QOSD_HOST_NET_IFB_H

#include "qosd/host/net_shape.h"

/* It is there and has all it needs. */
bool net_ifb_holds(struct net *n);
/* Make what is missing. -EBUSY: another kind of device has the name. */
int net_ifb_ensure(struct net *n, struct qerr *err);
/* Remove it if nothing is redirected to it; not when readonly. */
void net_ifb_drop(struct net *n);

#endif
