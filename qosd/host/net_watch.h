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
#include "qosd/host/net_tcx.h"

#define NET_KIND_MAX 16
#define NET_OWN_IFB  "qosd-" /* and the index of the NIC that the ifb serves */

enum net_slot { NET_SLOT_NONE, NET_SLOT_CLSACT, NET_SLOT_INGRESS };

struct net_queue { /* since it was made */
	uint64_t bytes, packets, dropped_packets, marked_packets;
	uint64_t backlog_bytes; /* now */
};

struct net_dev {
	struct net_dev *next;
	uint32_t ifindex;
	char name[IF_NAMESIZE]; /* "" until the device is looked at */
	bool up;
	uint32_t mtu;
	bool turned;     /* macvtap: what leaves it comes from the guest, see net.c */
	bool on_ovs;     /* a port of Open vSwitch */
	uint32_t serves; /* an ifb of one NIC (NET_OWN_IFB): that NIC's index; 0: none such */
	struct net_dev *next_serving;
	/* root qdisc; handle 0: the kernel's default */
	char root_kind[NET_KIND_MAX];
	uint32_t root_handle;
	bool root_plain;                  /* without parameters: its kind alone makes it again */
	uint32_t root_quantum;            /* kind fq_codel, else plain: bytes */
	uint32_t fq_limit, fq_flow_limit; /* kind fq */
	uint64_t fq_children;             /* kind mq: bit N-1: class N has fq with our limits */
	uint32_t htb_notes;               /* kind htb with our handle */
	bool class_known;
	uint64_t class_bps;           /* the rate of our class of HTB, 0: there is none */
	uint32_t class_burst_us;      /* ... and its burst */
	char leaf_kind[NET_KIND_MAX]; /* its queue, "": none of ours */
	struct net_queue queue;       /* ... when its owner counted last */
	/* the place that clsact and ingress share, and its filters */
	enum net_slot slot;
	bool filters_known;
	uint32_t program_id;    /* our filter on the egress hook, 0 none */
	uint32_t counter_id[2]; /* our counters on the ingress and the egress hook, 0 none */
	uint32_t redirect;      /* our redirect on the ingress hook: target ifindex, 0 none */
	bool redirect_there;    /* also when its target has gone */
	bool redirect_u32;      /* its kind: u32, else matchall */
	uint32_t redirect_handle;
	uint16_t foreign_egress, foreign_ingress, foreign_root;
	/* not the device itself, but a virtual function of it: see net_vf.h */
	bool is_vf;
	uint32_t vf, vf_min_mbit, vf_max_mbit;
	/* the owner's notes */
	uint32_t links[NET_LINKS]; /* programs of our TCX links here, 0: none */
	uint32_t others;           /* TCX programs of others on the ingress hook */
	uint64_t links_ns;         /* when they were looked at; 0: not yet, or they have changed */
	bool shaped[2];            /* by enum edt_direction */
	uint32_t burst_us;         /* that its limits are to have, 0: not told */
	bool changed;              /* something happened since the owner looked */
};

struct net_ifb {
	uint32_t ifindex; /* 0: there is none */
	bool is_ifb;      /* false: another kind of device has the name */
	bool up;
	uint32_t queues;
};

struct net_watch;

/* tcx is borrowed: the pins of its links are watched, too. */
int net_watch_new(const char *ifb_name, struct net_tcx *tcx, struct net_watch **ret,
		  struct qerr *err);
void net_watch_free(struct net_watch *w);
int net_watch_poll_fd(const struct net_watch *w);
/* Take in all notifications. 0 or negative errno. */
int net_watch_drain(struct net_watch *w, struct qerr *err);
/*
 * The device with this index, which is what names a device: names may change, and the kernel uses
 * no index twice. Borrowed until the next drain. NULL: no such device.
 */
struct net_dev *net_watch_device(struct net_watch *w, uint32_t ifindex);
/* The ifb that serves this NIC alone, NULL: none. */
struct net_dev *net_watch_serving(struct net_watch *w, uint32_t ifindex);
/* The index of a device of this name, 0: there is none. */
uint32_t net_watch_index(const char *device);
/* Make dev's filters known. 0 or negative errno; -ENODEV the device has gone. */
int net_watch_filters(struct net_watch *w, struct net_dev *dev, struct qerr *err);
/* The rate of our class of HTB, 0: none, or the root qdisc is no HTB of ours. */
uint64_t net_watch_class(struct net_watch *w, struct net_dev *dev);
const struct net_ifb *net_watch_ifb(const struct net_watch *w);
void net_watch_each(struct net_watch *w, void (*fn)(void *user, struct net_dev *dev), void *user);

/* Something happened to a shaped device since the last call. Resets it. */
bool net_watch_take_pending(struct net_watch *w);
/* Next shaped device that vanished, 0 none. */
uint32_t net_watch_take_gone(struct net_watch *w);

#endif
