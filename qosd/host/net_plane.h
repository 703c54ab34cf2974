/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * net_plane - which way limits a NIC: eBPF and fq (net_shape.h), HTB (net_htb.h), or, if it is a
 * virtual function that the guest drives itself, its card (net_vf.h).
 *
 * By itself eBPF, and HTB from the first time on that the kernel turns out to lack a part of it. A
 * limit that is in force keeps its way until it is given back, unless the operator names the other
 * one: then it reads as 0, which no plan wants, and the next write moves it.
 */
#ifndef QOSD_HOST_NET_PLANE_H
#define QOSD_HOST_NET_PLANE_H

#include "qosd/host/net_shape.h"

/* Take notice of all that an earlier qosd left. */
int net_plane_adopt(struct net *n, struct qerr *err);
/* The way that holds this direction, NULL: none. */
const char *net_plane_name(struct net *n, struct net_dev *dev, enum edt_direction direction);
/* bit/s in force; 0: there are only remains of a limit, KNOB_MAX: nothing. */
uint64_t net_plane_read(struct net *n, struct net_dev *dev, enum edt_direction direction);
int net_plane_set(struct net *n, struct net_dev *dev, enum edt_direction direction,
		  uint64_t rate_bps, struct qerr *err);
int net_plane_clear(struct net *n, struct net_dev *dev, enum edt_direction direction,
		    struct qerr *err);
/* The burst of the limits in force, us, else the one that they would have; 0: they differ. */
uint64_t net_plane_burst(struct net *n, struct net_dev *dev);
/* For the limits in force and those to come. */
int net_plane_set_burst(struct net *n, struct net_dev *dev, uint64_t burst_us, struct qerr *err);

#endif
