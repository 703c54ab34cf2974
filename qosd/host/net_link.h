/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * net_link - the writes of the network adapter: qdiscs, filters and the ifb, by rtnetlink.
 *
 * What is ours is known by its mark: qdiscs by their handle, filters by preference and handle.
 * A root qdisc with handle 0 is the kernel's default. All functions return 0 or a negative errno
 * and then fill err; deleting what is not there is success. -ENODEV: the device has gone.
 * -EOPNOTSUPP: this kernel lacks that kind of qdisc, filter or device.
 */
#ifndef QOSD_HOST_NET_LINK_H
#define QOSD_HOST_NET_LINK_H

#include <linux/pkt_sched.h>
#include <stdbool.h>
#include <stdint.h>

#include "qosd/host/net_nl.h"

#define NET_ROOT_HANDLE   0x71050000u /* tc shows 7105: */
#define NET_FILTER_PREF   7u
#define NET_FILTER_HANDLE 0x7105u
#define NET_COUNT_HANDLE  0x7106u                      /* of those that count */
#define NET_U32_NODE      (NET_FILTER_HANDLE & 0xfffu) /* what of a u32 filter's handle is ours */
#define NET_CLASS_ID      (NET_ROOT_HANDLE | 1)        /* the one class of our HTB */
#define NET_LEAF_HANDLE   0x71060000u                  /* the queue below it */
#define NET_HTB_R2Q       100u                         /* at least: see net_link_set_htb */
#define NET_SLOT_HANDLE   0xffff0000u                  /* where clsact and ingress sit */
#define NET_HOOK_EGRESS   (TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_EGRESS))
#define NET_HOOK_INGRESS  (TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_INGRESS))

/* The program's end of the queue is to be the only dropper, so fq gets room for everything in it.
 */
#define NET_FQ_LIMIT      200000u /* at least: see net_link_set_fq */
#define NET_FQ_FLOW_LIMIT 100000u

/*
 * Does the kernel know this kind of qdisc, perhaps by loading its module? Asked for one on the
 * loopback device with a parameter that none can have, it tells so or refuses the parameter.
 */
bool net_link_has_qdisc(struct net_nl *nl, const char *kind);
int net_link_add_clsact(struct net_nl *nl, uint32_t ifindex, struct qerr *err);
int net_link_add_ingress(struct net_nl *nl, uint32_t ifindex, struct qerr *err);
/* Delete clsact or ingress, whichever is there, with all its filters. */
int net_link_del_slot(struct net_nl *nl, uint32_t ifindex, struct qerr *err);
/*
 * fq at parent (TC_H_ROOT or a class of mq), handle 0: the kernel chooses. The limit of a NIC's is
 * NET_FQ_LIMIT plus the notes (flags of edt_cfg, less than 32), so that they outlive the maps; that
 * of the ifb's, at least NET_FQ_LIMIT.
 */
int net_link_set_fq(struct net_nl *nl, uint32_t ifindex, uint32_t parent, uint32_t handle,
		    uint32_t limit, struct qerr *err);
/*
 * HTB at the root, all packets in NET_CLASS_ID. Its ratio of rate to quantum, which the class does
 * not use, is NET_HTB_R2Q plus the notes.
 */
int net_link_set_htb(struct net_nl *nl, uint32_t ifindex, uint32_t notes, struct qerr *err);
/* The class, in whole bytes a second; one that is there changes and loses no packet. */
int net_link_set_class(struct net_nl *nl, uint32_t ifindex, uint64_t rate_bps, uint32_t burst_us,
		       struct qerr *err);
/* A new queue for it: fq_codel, or a FIFO where that is absent. */
int net_link_set_leaf(struct net_nl *nl, uint32_t ifindex, uint64_t rate_bps, struct qerr *err);
/* The FIFO's length, for another rate. */
int net_link_set_fifo(struct net_nl *nl, uint32_t ifindex, uint64_t rate_bps, struct qerr *err);
int net_link_set_mq(struct net_nl *nl, uint32_t ifindex, struct qerr *err);
/* A root qdisc of this kind without parameters, in place of whatever is there. */
int net_link_set_root(struct net_nl *nl, uint32_t ifindex, const char *kind, struct qerr *err);
/* Delete the root qdisc with our handle; the kernel then puts its default there. */
int net_link_del_root(struct net_nl *nl, uint32_t ifindex, struct qerr *err);
/* A program on a hook of clsact; an earlier one of this handle is replaced without a gap. */
int net_link_set_program(struct net_nl *nl, uint32_t ifindex, uint32_t hook, uint32_t handle,
			 int prog_fd, const char *name, struct qerr *err);
/* Everything that comes in goes to ifb_ifindex. -EEXIST: there is a redirect of ours already. */
int net_link_set_redirect(struct net_nl *nl, uint32_t ifindex, uint32_t ifb_ifindex,
			  struct qerr *err);
int net_link_del_program(struct net_nl *nl, uint32_t ifindex, uint32_t hook, uint32_t handle,
			 struct qerr *err);
/* The redirect with this handle, of kind u32 or matchall. */
int net_link_del_redirect(struct net_nl *nl, uint32_t ifindex, uint32_t handle, bool u32,
			  struct qerr *err);

int net_link_add_ifb(struct net_nl *nl, const char *name, uint32_t queues, struct qerr *err);
/* Up, and without an IPv6 address of its own. */
int net_link_set_up(struct net_nl *nl, uint32_t ifindex, struct qerr *err);
/* The request of the function below. NULL when out of memory. */
struct nl_msg *net_link_vf_message(uint32_t ifindex, uint32_t vf, uint32_t min_mbit,
				   uint32_t max_mbit);
/* Rates of a card's virtual function, 0: none. -EOPNOTSUPP: its driver takes none. */
int net_link_set_vf_rate(struct net_nl *nl, uint32_t ifindex, uint32_t vf, uint32_t min_mbit,
			 uint32_t max_mbit, struct qerr *err);
int net_link_del(struct net_nl *nl, uint32_t ifindex, struct qerr *err);

#endif
