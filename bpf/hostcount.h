/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * hostcount - what the counting programs and qosd share: rules, and the values of the maps.
 *
 * A rule stands for one network of the policy, and is a bit of 64: the lowest one goes first. It
 * asks for ports, a control group or a mark, and matches when all that it asks for does. All maps
 * but `qosd_hcount` and `qosd_hflow` are written by qosd alone. The layout is part of the name of
 * the pin directory: whoever changes a map raises HOSTCOUNT_LAYOUT.
 */
#ifndef QOSD_BPF_HOSTCOUNT_H
#define QOSD_BPF_HOSTCOUNT_H

#include <linux/types.h>

#define HOSTCOUNT_LAYOUT  1
#define HOSTCOUNT_RULES   64
#define HOSTCOUNT_PORTS   65536
#define HOSTCOUNT_UPLINKS 64
#define HOSTCOUNT_KEYS    256   /* groups and marks, with room for a change */
#define HOSTCOUNT_FLOWS   65536 /* connections that are remembered, of all uplinks */
#define HOSTCOUNT_LEVELS  16    /* how deep a group may be */

enum hostcount_direction { HOSTCOUNT_IN, HOSTCOUNT_OUT }; /* as the uplink sees it */
#define HOSTCOUNT_SLOT(rule, direction) ((__u32)(rule) << 1 | (__u32)(direction))

struct hostcount_rules {            /* qosd_hrules[0] */
	__u64 ports, groups, marks; /* the rules that ask for one */
	__u32 levels;               /* the deepest group that is asked for; 0: none */
	__u32 generation;           /* a flow of another one is not remembered any more */
};

#define HOSTCOUNT_OWNS_CLSACT 1u /* qosd made the clsact qdisc */

struct hostcount_uplink { /* qosd_hup, by ifindex */
	__u64 rules;      /* that hold here */
	__u32 flags;
	__u32 spare;
};

enum hostcount_kind { HOSTCOUNT_GROUP, HOSTCOUNT_MARK };

struct hostcount_key { /* of qosd_hkey, whose value is the rules that ask for it */
	__u64 value;   /* the group's id, the mark */
	__u32 kind;
	__u32 spare;
};

struct hostcount_flow { /* of qosd_hflow; addresses and ports as in the packet */
	__u32 local[4], remote[4];
	__u16 local_port, remote_port;
	__u32 ifindex;
	__u32 protocol; /* TCP or UDP, and 256 for IPv6 */
};

struct hostcount_origin { /* what is remembered of it */
	__u32 rule;
	__u32 generation;
};

#endif
