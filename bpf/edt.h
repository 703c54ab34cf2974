/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * edt - what the shaper's program and qosd share: the values of its maps.
 *
 * A NIC's direction, EDT_KEY(ifindex, direction), has a slot: its place in `qosd_cfg` and
 * `qosd_st`. `qosd_slot` tells the slot of each key, and under EDT_OWNER(slot) whose a slot is: who
 * claims one puts that there first. `qosd_near` tells the slot of the last key that was put in each
 * of its places, in one step of an array; what it does not tell, `qosd_slot` does. A NIC without a
 * slot, with another's entry in it, or with rate 0 is not shaped.
 *
 * All but `qosd_st` are written by qosd alone and read by the program; `qosd_st` is made by qosd
 * and then written by the program alone, so that a change of rate never clobbers a clock. Arrays
 * are written in place: a packet may meet members of the entry of before beside those of after.
 * `qosd_line` and `qosd_line_st` are the same for lines that NICs share, their places are
 * EDT_LINE_KEY.
 *
 * The layout is part of the name of the pin directory (v3): whoever changes the size or the
 * meaning of a member raises EDT_LAYOUT; rate_bps, flags and (since 3) key keep their places in all
 * layouts, so that limits can be carried over. `unused` is zero in layout 3, and becomes a member
 * only where 0 means that it is not known.
 * Times are nanoseconds of CLOCK_MONOTONIC, rates bit/s of layer 2 (skb->wire_len).
 */
#ifndef QOSD_BPF_EDT_H
#define QOSD_BPF_EDT_H

#include <linux/bpf.h>
#include <linux/types.h>

#define EDT_LAYOUT  3
#define EDT_ENTRIES 16384 /* two for each NIC */
#define EDT_LINES   128   /* uplinks that NICs share; line 0 is none */

enum edt_direction { EDT_IN, EDT_OUT }; /* towards the guest, from the guest */
#define EDT_KEY(ifindex, direction)   ((__u32)(ifindex) << 1 | (__u32)(direction))
#define EDT_LINE_KEY(line, direction) ((__u32)(line) << 1 | (__u32)(direction))

#define EDT_SLOTS (2 * EDT_ENTRIES) /* entries of qosd_slot */
/* Keys are below: devices with an index of 2^30 or more are not shaped. */
#define EDT_OWNER(slot) (0x80000000U | (__u32)(slot))

/* qosd_near: the place of a key, and what is there: key and slot, 0: nothing. No key is 0. */
#define EDT_NEAR_PLACE(key)     ((__u32)(key) & (EDT_ENTRIES - 1))
#define EDT_NEAR_OF(key, slot)  ((__u64)(key) << 32 | (__u32)(slot))
#define EDT_NEAR_HAS(near, key) ((__u32)((near) >> 32) == (__u32)(key))
#define EDT_NEAR_SLOT(near)     ((__u32)(near))

/* Flags of edt_cfg: qosd's own notes on the device, so that it can be left as it was found. */
#define EDT_OWNS_CLSACT 1u /* qosd made the clsact qdisc */
#define EDT_HAD_INGRESS 2u /* an empty ingress qdisc was there before */
/* The root qdisc that fq replaced, none: the kernel's default. Only EDT_IN's entry has them. */
#define EDT_HAD_NOQUEUE    4u
#define EDT_HAD_PFIFO_FAST 8u
#define EDT_HAD_FQ_CODEL   16u
#define EDT_HAD_ROOT       (EDT_HAD_NOQUEUE | EDT_HAD_PFIFO_FAST | EDT_HAD_FQ_CODEL)
#define EDT_NOTES          31u /* all of them */
/* A device of the guest's own (macvtap): what leaves it comes from the guest. Of the lines that
 * NICs share it takes the one of the other direction. */
#define EDT_TURNED                     32u
#define EDT_LINE_WAY(flags, direction) ((__u32)(direction) ^ !!((flags)&EDT_TURNED))

struct edt_cfg {
	__u64 rate_bps;
	__u64 horizon_ns;     /* a packet that would wait longer is dropped */
	__u64 target_ns;      /* CoDel's target; 0: no CoDel */
	__u64 interval_ns;    /* CoDel's interval */
	__u64 burst_ns;       /* credit kept while idle */
	__u32 sparse_bytes;   /* packets up to this size may use the sparse lane; 0: no lane */
	__u32 class_id;       /* the line that it shares, 0: none */
	__u32 flags;          /* EDT_OWNS_CLSACT, EDT_HAD_... */
	__u32 packet_ns;      /* time of a full packet: a flow with so little queued is spared */
	__u64 guaranteed_bps; /* of the line, whatever others do */
	__u32 queue_packets;  /* about so many may wait; 0: as many as the horizon lets in */
	__u32 key;            /* whose it is */
};

/* Of qosd_line: written by qosd alone. Rate 0: the line is not known. */
struct edt_line_cfg {
	__u64 rate_bps;
	__u64 burst_ns; /* credit kept while idle */
};

/* Of qosd_line_st: written by the program alone. */
struct edt_line_state {
	__u64 next; /* when the line is free again */
	__u64 bytes;
};

#define EDT_GAPS         16  /* departures that the mean remembers */
#define EDT_SHARES       128 /* packets that the mean share remembers */
#define EDT_WINDOW_SHIFT 27  /* the largest delay is kept for windows of 134 ms */

struct edt_state {
	struct bpf_spin_lock lock;
	__u32 shares; /* mean share of the queue that a packet's flow has, times EDT_SHARES */
	__u64 next;   /* when the line is free again */
	__u64 carry;  /* what the division left over, bit * 1e9 */
	__u64 sparse_next;
	__u64 bytes, packets;
	__u64 dropped_bytes, dropped_packets;
	__u64 marked_packets, delayed_packets; /* of those that passed */
	__u64 window;                          /* now >> EDT_WINDOW_SHIFT of queue_ns */
	__u64 queue_ns;                        /* largest delay in that window */
	__u64 queue_old_ns;                    /* ... in the window before */
	__u64 codel_due;      /* delay above target since this time less one interval; 0: below */
	__u64 codel_next;     /* when to drop next; both by the time of departure */
	__u64 codel_delay_ns; /* the delay when it last was due */
	__u64 fattest_ns;     /* the most that a flow had queued lately */
	__u32 codel_count, codel_last_count;
	__u32 codel_inv_sqrt; /* 1/sqrt(count), 32 bits after the point */
	__u32 codel_dropping;
	__u64 due;         /* when the next packet is due by the guarantee */
	__u64 latest;      /* departure of the packet that departs last */
	__u64 gap_ns;      /* mean time from one departure to the next, times EDT_GAPS */
	__u64 greedy_next; /* no flow loses a packet for its share alone before that */
	__u64 unused[9];   /* 64 bytes and more: CPUs that write neighbours share no cache line */
};

#endif
