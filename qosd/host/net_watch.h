/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * net_watch - what is attached to which device, as the kernel told us last.
 *
 * One dump of all qdiscs at the start, then the kernel's notifications keep the picture true:
 * they are queued before the change's author gets its answer, so after net_watch_drain() (one
 * system call when nothing happened) the picture is the present. Filters are asked for, one device
 * at a time, when the device is looked at and something has changed there. If notifications were
 * lost (ENOBUFS), everything is asked for again.
 *
 * Only this module parses rtnetlink. Nothing here writes to the host.
 */
#ifndef QOSD_HOST_NET_WATCH_H
#define QOSD_HOST_NET_WATCH_H

#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "qosd/host/net_nl.h"

#define NET_KIND_MAX 16

enum net_slot { NET_SLOT_NONE, NET_SLOT_CLSACT, NET_SLOT_INGRESS };

struct net_dev {
	struct net_dev *next;
	uint32_t ifindex;
	char name[IF_NAMESIZE]; /* "" until the device is looked at */
	/* root qdisc; handle 0: the kernel's default */
	char root_kind[NET_KIND_MAX];
	uint32_t root_handle;
	bool root_plain;                  /* without parameters: its kind alone makes it again */
	uint32_t fq_limit, fq_flow_limit; /* kind fq */
	uint64_t fq_children;             /* kind mq: bit N-1: class N has fq with our limits */
	/* the place that clsact and ingress share, and its filters */
	enum net_slot slot;
	bool filters_known;
	uint32_t program_id; /* our filter on the egress hook, 0 none */
	uint32_t redirect;   /* our redirect on the ingress hook: target ifindex, 0 none */
	bool redirect_there; /* also when its target has gone */
	uint16_t foreign_egress, foreign_ingress;
	/* the owner's notes */
	bool shaped[2]; /* by enum edt_direction */
	bool changed;   /* something happened since the owner looked */
};

struct net_ifb {
	uint32_t ifindex; /* 0: there is none */
	bool is_ifb;      /* false: another kind of device has the name */
	bool up;
	uint32_t queues;
};

struct net_watch;

int net_watch_new(const char *ifb_name, struct net_watch **ret, struct qerr *err);
void net_watch_free(struct net_watch *w);
int net_watch_poll_fd(const struct net_watch *w);
/* Take in all notifications. 0 or negative errno. */
int net_watch_drain(struct net_watch *w, struct qerr *err);
/*
 * The device with this index, its name checked. Borrowed until the next drain.
 * NULL: no such device, or it has another name (`name` NULL: any).
 */
struct net_dev *net_watch_device(struct net_watch *w, uint32_t ifindex, const char *name);
/* Make dev's filters known. 0 or negative errno; -ENODEV the device has gone. */
int net_watch_filters(struct net_watch *w, struct net_dev *dev, struct qerr *err);
const struct net_ifb *net_watch_ifb(const struct net_watch *w);
/* Forget what is remembered of the device (not what is on it). */
void net_watch_drop(struct net_watch *w, uint32_t ifindex);
void net_watch_each(struct net_watch *w, void (*fn)(void *user, struct net_dev *dev), void *user);

/* Something happened to a shaped device since the last call. Resets it. */
bool net_watch_take_pending(struct net_watch *w);
/* Next shaped device that vanished, 0 none. */
uint32_t net_watch_take_gone(struct net_watch *w);

#endif
