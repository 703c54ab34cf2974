/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * net_htb - the fallback where the kernel has no fq or eBPF may not be used: HTB with one class.
 *
 * Towards the device: HTB at its root. What comes in from the device is redirected to an ifb of its
 * own, "qosd-" and the device's index, with HTB at its root. So no packet is looked up among other
 * NICs' classes, and no two NICs share a lock. The queue is fq_codel, or a FIFO of 100 ms where
 * that is absent too.
 *
 * Nothing is remembered but by the kernel: the rate is the class's, the notes on what was there
 * before are in HTB's parameters (net_link.h), the ifb's name tells whom it serves. The redirect
 * comes last in attaching and goes first in taking off; the ifb goes last, with its notes.
 */
#ifndef QOSD_HOST_NET_HTB_H
#define QOSD_HOST_NET_HTB_H

#include "qosd/host/net_shape.h"

/* As those of net_shape.h. */
bool net_htb_holds(struct net *n, struct net_dev *dev, enum edt_direction direction);
bool net_htb_remains(struct net *n, struct net_dev *dev, enum edt_direction direction);
/* The rate of the class, whether all else is in place or not; 0: there is none. */
uint64_t net_htb_rate(struct net *n, struct net_dev *dev, enum edt_direction direction);
int net_htb_set(struct net *n, struct net_dev *dev, enum edt_direction direction, uint64_t rate_bps,
		struct qerr *err);
int net_htb_clear(struct net *n, struct net_dev *dev, enum edt_direction direction,
		  struct qerr *err);
/* The burst in force, us, 0: there is none; and dev->burst_us put in force where there is a class.
 */
uint64_t net_htb_burst(struct net *n, struct net_dev *dev, enum edt_direction direction);
int net_htb_set_burst(struct net *n, struct net_dev *dev, enum edt_direction direction,
		      struct qerr *err);
/* Take notice of what is attached; finishes what was cut short unless readonly. */
int net_htb_adopt(struct net *n, struct qerr *err);
/* The device has gone: its ifb is of no use. */
void net_htb_lose(struct net *n, uint32_t ifindex);
/* What comes in from dev is redirected to its own ifb. Its filters must be known. */
bool net_htb_redirects(struct net *n, const struct net_dev *dev);
/* How many directions of NICs have anything of HTB's. */
size_t net_htb_count(struct net *n);
/* Counters of the queue and its rate, at most 50 ms old. -ENOENT: there is none. */
int net_htb_queue(struct net *n, struct net_dev *dev, enum edt_direction direction, uint64_t now_ns,
		  struct net_queue *ret, uint64_t *ret_bps);

#endif
