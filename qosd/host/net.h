/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * net - shaping of guests' NICs in both directions by one eBPF program (earliest departure time)
 * and the fq qdisc, without forking anything: libbpf for programs and maps, libnl-route for qdiscs,
 * links and filters.
 *
 * Towards the guest ("in"): clsact egress of the tap stamps skb->tstamp, root fq of the tap delays.
 * From the guest ("out"): tap ingress is redirected by mirred to one shared ifb, whose clsact
 * egress stamps (keyed by ingress_ifindex) and whose fq delays. Rates count L2 bytes
 * (skb->wire_len). Maps and programs are pinned under bpffs so that limits outlive the daemon and
 * are adopted by the next one. A limit is one map write. Knobs: KNOB_NET_IN, KNOB_NET_OUT and
 * KNOB_NET_BURST on TARGET_NIC. What a guest sends by a virtual function of a card, the card limits
 * (net_vf.h), without a burst of ours.
 */
#ifndef QOSD_HOST_NET_H
#define QOSD_HOST_NET_H

#include <net/if.h>

#include "qosd/core/adapter.h"
#include "qosd/core/portset.h"

/* What limits NICs, see net_plane.h; in the order of enum policy_shaper. */
enum net_way {
	NET_WAY_AUTO,
	NET_WAY_EDT,
	NET_WAY_HTB,
	NET_WAY_VF, /* of virtual functions, and of nothing else: not to be chosen */
};

struct net_config {
	const char *pin_dir;  /* NULL: /sys/fs/bpf/qosd */
	const char *ifb_name; /* NULL: "qosd-ifb" */
	bool readonly;        /* observe: load, attach and create nothing; only look */
	enum net_way way;
};

struct net_about {               /* one NIC */
	const char *way[2];      /* what limits it, towards the guest and from it; NULL: nothing */
	char obstacle[256];      /* why it cannot be limited, "": it can */
	const char *in_obstacle; /* why only what it sends can be; NULL: no such reason */
};

struct net_counters { /* since the NIC was first shaped; one direction */
	uint64_t bytes, packets, dropped_packets, dropped_bytes, marked_packets;
	uint64_t delayed_packets; /* of those that passed */
	uint64_t offered_bytes;   /* bytes that asked to pass: passed + dropped */
	uint64_t queue_ns_max;    /* largest delay given in the last 134 to 268 ms */
};

/*
 * Cheap: remembers the configuration. Programs are loaded, or pinned ones adopted, at the first
 * write that needs them. 0 or negative errno.
 */
int net_new(const struct net_config *config, struct adapter **ret, struct qerr *err);
void net_free(struct adapter *a); /* limits stay in force */
/* Leave enforce or enter it: readonly true never writes. */
void net_set_readonly(struct adapter *a, bool readonly);
/* From now on limit NICs this way. */
void net_set_way(struct adapter *a, enum net_way way);
/* What limits this NIC, or what prevents it. Reads only. */
void net_look(struct adapter *a, const struct guest_nic *nic, struct net_about *ret);
/* Counters of one NIC, -ENOENT when not shaped in that direction. in: towards the guest. */
int net_read_counters(struct adapter *a, uint32_t ifindex, bool in, struct net_counters *ret);
/* Link byte counters from the kernel (tap's own view turned to the guest's), for usage. */
int net_read_link_bytes(const char *device, uint64_t *ret_in, uint64_t *ret_out);
/*
 * Lines that NICs share (1..127), and who is on which with what guarantee; see net_share.h. A rate
 * of 0 takes the line out of force. Members: all of them; the array is put into order.
 */
struct net_member {
	uint32_t ifindex, line;
	uint64_t guaranteed_bps[2]; /* towards the guest, from it */
};
int net_set_line(struct adapter *a, uint32_t line, bool in, uint64_t rate_bps, struct qerr *err);
int net_set_members(struct adapter *a, struct net_member *members, size_t count, struct qerr *err);
/*
 * The host's own traffic that is counted apart at uplinks; see net_count.h. Rules: all of them,
 * zeroed beyond what they say, the lower number first; none takes all counters off. Others' filters
 * and qdiscs stay. What one rule lacks does not stop the others: the first lack is returned.
 */
struct net_host_rule {
	uint32_t number; /* 0..63 */
	uint32_t mark;   /* 0: not asked */
	struct portset ports;
	char uplink[IF_NAMESIZE];
	char cgroup[256]; /* below the root of cgroup v2; "": not asked */
};
int net_set_host_rules(struct adapter *a, const struct net_host_rule *rules, size_t count,
		       struct qerr *err);
/* What would stand in the way of such a rule here. Reads only. 0 or negative errno. */
int net_check_host_rule(struct adapter *a, const struct net_host_rule *rule, struct qerr *err);
/* Bytes that the uplink received and sent of it. -ENOENT: it is not counted. */
int net_read_host_bytes(struct adapter *a, uint32_t number, uint64_t *ret_in, uint64_t *ret_out);
/* What the link of a device carries, bit/s. -ENOENT: no such device; -ENODATA: it tells none. */
int net_read_link_speed(const char *device, uint64_t *ret_bps);
/* Remove programs, pins, ifb: only when no NIC is shaped any more. */
int net_teardown(struct adapter *a, struct qerr *err);
/* Netlink watch: fd to poll; net_watch_handle reads it and calls back for each NIC that lost its
 * shaping or vanished. */
int net_watch_fd(struct adapter *a);
void net_watch_handle(struct adapter *a, void (*lost)(void *user, uint32_t ifindex), void *user);

#endif
