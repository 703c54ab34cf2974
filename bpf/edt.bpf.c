/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * edt - gives each packet of a shaped NIC its earliest departure time; the fq qdisc behind keeps
 * the packet until then.
 *
 * One clock per NIC and direction says when the line is free again. A packet departs at that time
 * and moves it on by its own length at the rate. The wait is known at once, so queue control
 * happens on arrival:
 *
 *   1. Sparse lane: a small packet of a flow that has nothing queued departs now, on a second
 *      clock of an eighth of the rate. It is charged to the main clock like any other. No flow is
 *      ever reordered by this.
 *   2. The horizon ends the queue. A flow may have as much queued as is free, so flows that send
 *      too much share the queue evenly, and with it the line; one that does not is not touched.
 *      What is queued before the packet counts, so that one of any size is always let in. Packets
 *      of all NICs wait in the same fq, which counts packets: so small ones, of which many depart
 *      in little time, find the end nearer.
 *   3. CoDel on the wait: marks, or drops if the packet cannot be marked, but only packets of those
 *      flows that have the most queued. It runs by the time of departure, as CoDel behind a
 *      queue does: a packet that is missing is missed then. The longer the wait the quicker its
 *      pace, and while it has no effect the queue's end comes nearer. A dropped packet is not
 *      charged.
 *   4. A wait above the target also marks or drops a packet of a flow with far more than an even
 *      share of the queue, at once, but not more often than each flow in turn could bear it. One
 *      FIFO gives each flow of a TCP what its window is of all windows, and over a long way windows
 *      grow too slowly to be alike by CoDel alone.
 *   5. The line that the NIC shares with others, if any, makes it wait: see edt_line.h.
 *   6. The stamp. bpf_skb_set_tstamp says that it is a delivery time: a plain one would be taken
 *      for the time of reception when the packet comes back from the ifb to the host itself.
 *
 * edt_in sits on the tap's egress hook, edt_out on the egress hook of the ifb to which everything
 * from the taps is redirected; there skb->ingress_ifindex is the tap. Both let other filters go on
 * (TC_ACT_UNSPEC). edt_divert redirects, on a tap's ingress hook, where a filter does not; before
 * Linux 6.4 an ifb drops what a program redirects to it. Needs Linux 5.5; the stamp as delivery
 * time 5.18.
 */
#include <linux/bpf.h>
#include <linux/pkt_cls.h>

#include <bpf/bpf_helpers.h> /* after the types it needs */

#include "bpf/edt.h"

#define NSEC_PER_SEC     1000000000ULL
#define SPARSE_SHARE     8              /* the lane has an eighth of the rate */
#define SPARSE_CREDIT_NS 20000000ULL    /* what it may save up */
#define SPARSE_DEBT_NS   10000000000ULL /* how far it may push the main clock */
#define SPARSE_LINE_NS   25000000ULL    /* ... and the line: what is left of a flood waits less */
#define FLOWS            131072         /* of all NICs together; power of two */
#define FLOW_SHIFT       14             /* unit of time in a flow's cell: 16.4 us */
#define FLOW_STALE       (SPARSE_DEBT_NS * 2 >> FLOW_SHIFT)
#define SHARE_BITS       20
#define REFUSED_BITS     2
#define REFUSED_MASK     ((1U << REFUSED_BITS) - 1)
#define TAG_BITS         10
#define TAG_MASK         ((1U << TAG_BITS) - 1)
#define PACKET_BYTES_MAX 0x1fffffffU /* keeps bytes * 8 within 32 bits, * 8e9 within 64 */
#define HONEST_BYTES     0x20000U    /* no 64 KiB take more on the wire, with segments of any use */
#define ROOM_TARGETS     3           /* are always room */
#define GAP_MAX_NS       NSEC_PER_SEC
#define PRIORITY_MASK    15
#define PRIORITY_CONTROL 7 /* fq lets TC_PRIO_CONTROL pass by the departure time */

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, EDT_SLOTS);
	__type(key, __u32);
	__type(value, __u32);
} qosd_slot SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, EDT_ENTRIES);
	__type(key, __u32);
	__type(value, __u64);
} qosd_near SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, EDT_ENTRIES);
	__type(key, __u32);
	__type(value, struct edt_cfg);
} qosd_cfg SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, EDT_ENTRIES);
	__type(key, __u32);
	__type(value, struct edt_state);
} qosd_st SEC(".maps");

/*
 * What flows have queued. A cell holds until when (32 bits of 16.4 us), the share of the line's
 * time until then (20 bits), whether one of the last three packets was refused (2 bits: 3, 2, 1,
 * no), and a tag, by which a cell of another flow or NIC is seen and taken over. Cells are read and
 * written whole.
 */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, FLOWS);
	__type(key, __u32);
	__type(value, __u64);
} qosd_flows SEC(".maps");

/* [0]: the index of the ifb, 0: there is none. Written by qosd alone. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} qosd_ifb SEC(".maps");

/* Set before load; false on kernels without bpf_skb_set_tstamp. */
volatile const __u32 delivery_time = 1;

enum verdict { PASS, MARK, DROP };

struct packet {
	__u64 now;
	__u64 queued; /* what its flow has queued, as time of the line */
	__u64 claim;  /* the same, half more for a flow that goes on when it is refused */
	__u64 departure, ns;
	__u64 line;     /* when the line that it takes time of is free; 0: there is none */
	__u64 due_ns;   /* what it takes of the NIC's guarantee there */
	__u32 line_key; /* 0: no line */
	__u32 bytes, tag, refused;
	__u32 crafted; /* nearly all of it headers, by what a guest says */
};

#include "bpf/edt_line.h"

/* Packets of a flow leave evenly until the last one has left: never 0 before. */
static __always_inline void flow_read(struct packet *p, __u64 cell)
{
	__u64 ahead = (__u32)((__u32)(cell >> 32) - (__u32)(p->now >> FLOW_SHIFT));
	__u32 low = cell;
	__u64 share = low >> (TAG_BITS + REFUSED_BITS);

	if (ahead - 1 >= FLOW_STALE)
		return;
	if ((low & TAG_MASK) != p->tag) { /* this flow may have had the cell: no lane for it */
		p->queued = 1;
		return;
	}
	p->refused = low >> TAG_BITS & REFUSED_MASK;
	p->queued = (share * (ahead << FLOW_SHIFT) >> SHARE_BITS) + 1;
	p->claim = p->refused ? p->queued + (p->queued >> 1) : p->queued;
}

/* The flow's cell with a packet more that has to wait. */
static __always_inline __u64 flow_cell(const struct packet *p)
{
	__u64 until = p->departure + p->ns;
	__u64 share = ((p->queued + p->ns) << SHARE_BITS) / (until - p->now);
	__u64 refused = p->refused ? p->refused - 1 : 0;

	if (share >> SHARE_BITS)
		share = (1U << SHARE_BITS) - 1;
	return ((until >> FLOW_SHIFT) + 1) << 32 | share << (TAG_BITS + REFUSED_BITS) |
	       refused << TAG_BITS | p->tag;
}

/* The time that `bytes` take at the rate. What the division leaves over goes to the next packet,
 * so that rates stay exact where a packet takes few nanoseconds. */
static __always_inline __u64 line_time(struct edt_state *s, __u32 bytes, __u64 rate_bps)
{
	__u64 bits = bytes * 8 * NSEC_PER_SEC, ns;

	if (s->carry < rate_bps) /* else it stems from another rate */
		bits += s->carry;
	ns = bits / rate_bps;
	s->carry = bits - ns * rate_bps;
	return ns;
}

static __always_inline void note_delay(struct edt_state *s, __u64 now, __u64 delay)
{
	__u64 window = now >> EDT_WINDOW_SHIFT;

	if (s->window != window) {
		s->queue_old_ns = s->window + 1 == window ? s->queue_ns : 0;
		s->queue_ns = 0;
		s->window = window;
	}
	if (delay > s->queue_ns)
		s->queue_ns = delay;
}

/* May this packet leave at once? It must be small, its flow must have nothing queued, and the
 * lane's own clock must allow it. Lanes of many NICs are more than their line carries: once it is
 * far behind, they wait as well. */
static __always_inline int sparse(struct edt_state *s, const struct edt_cfg *c,
				  const struct packet *p)
{
	__u64 lane = s->sparse_next;

	if (p->bytes > c->sparse_bytes || p->queued)
		return 0;
	if (lane > p->now || s->next > p->now + SPARSE_DEBT_NS ||
	    line_wait(s, c, p, p->now) > p->now + SPARSE_LINE_NS)
		return 0;
	if (lane + SPARSE_CREDIT_NS < p->now)
		lane = p->now - SPARSE_CREDIT_NS;
	s->sparse_next = lane + p->ns * SPARSE_SHARE;
	return 1;
}

#include "bpf/edt_codel.h"

/* Where the queue ends: the horizon, or nearer what the packets that it may hold take. */
static __always_inline __u64 queue_end(const struct edt_state *s, const struct edt_cfg *c)
{
	__u64 end = s->gap_ns * c->queue_packets / EDT_GAPS;

	return end && end < c->horizon_ns ? end : c->horizon_ns;
}

/* How long the queue may be: to its end, but once CoDel has been at it for long, in vain, twice
 * that by the root of its count. */
static __always_inline __u64 room(const struct edt_state *s, const struct edt_cfg *c, __u64 end)
{
	__u64 room = (end >> 8) * s->codel_inv_sqrt >> 23, least = ROOM_TARGETS * c->target_ns;

	if (!s->codel_dropping)
		return end;
	if (room < least)
		room = least;
	return room < end ? room : end;
}

/* Is there no room for the packet? */
static __always_inline int over(const struct edt_state *s, const struct edt_cfg *c,
				const struct packet *p)
{
	__u64 delay = p->departure - p->now, end = queue_end(s, c);

	return delay > end || (p->claim > least_queued(c, p) && delay + p->claim > room(s, c, end));
}

/* The packet departs. One in the sparse lane, which passes others, tells nothing. */
static __always_inline void note_departure(struct edt_state *s, const struct packet *p)
{
	__u64 gap = p->departure - s->latest;

	if (p->departure < s->latest)
		return;
	s->latest = p->departure;
	s->gap_ns += (gap < GAP_MAX_NS ? gap : GAP_MAX_NS) - s->gap_ns / EDT_GAPS;
}

/* It takes nothing of the line, not even what the division left over. */
static __always_inline enum verdict refuse(struct edt_state *s, const struct packet *p, __u64 carry)
{
	s->carry = carry;
	s->dropped_packets++;
	s->dropped_bytes += p->bytes;
	return DROP;
}

/* Everything that is decided under the lock; sets p->departure and p->ns. */
static __always_inline enum verdict decide(struct edt_state *s, const struct edt_cfg *c,
					   struct packet *p)
{
	__u64 start = s->next, carry = s->carry;
	enum verdict v = PASS;

	p->ns = line_time(s, p->bytes, c->rate_bps);
	if (p->crafted && p->ns > c->horizon_ns) {
		p->bytes = 0; /* nobody's line carries it: it is lost, but asked for nothing */
		return refuse(s, p, carry);
	}
	if (start + c->burst_ns < p->now)
		start = p->now - c->burst_ns;
	p->departure = p->now;
	p->due_ns = 0;
	if (start <= p->now && p->line <= p->now) {
		s->codel_due = 0;
		s->codel_dropping = 0;
		line_promise(s, c, p);
	} else if (!sparse(s, c, p)) {
		start = line_wait(s, c, p, start);
		if (start > p->now)
			p->departure = start;
		note_delay(s, p->now, p->departure - p->now);
		if (p->claim > s->fattest_ns)
			s->fattest_ns = p->claim;
		if (over(s, c, p))
			return refuse(s, p, carry);
		s->delayed_packets += p->departure > p->now;
		if (c->target_ns && (codel(s, c, p) | greedy(s, c, p)))
			v = MARK;
		line_promise(s, c, p);
	}
	note_departure(s, p);
	s->next = start + p->ns;
	s->packets++;
	s->bytes += p->bytes;
	return v;
}

/* Mark the packet, or take its charge back: 1 marked, 0 it must be dropped. */
static __always_inline int mark(struct __sk_buff *skb, struct edt_state *s, const struct packet *p)
{
	int marked = bpf_skb_ecn_set_ce(skb) == 1;

	bpf_spin_lock(&s->lock);
	if (marked) {
		s->marked_packets++;
	} else {
		s->next -= p->ns;
		s->due -= p->due_ns;
		s->packets--;
		s->bytes -= p->bytes;
		s->delayed_packets--;
		s->dropped_packets++;
		s->dropped_bytes += p->bytes;
	}
	bpf_spin_unlock(&s->lock);
	return marked;
}

static __always_inline __u64 *flow_of(__u32 hash, __u32 key, __u32 *tag)
{
	__u32 i = (hash ^ key * 0x9e3779b1U) & (FLOWS - 1);

	*tag = hash >> (32 - TAG_BITS);
	return bpf_map_lookup_elem(&qosd_flows, &i);
}

static __always_inline struct edt_cfg *entry_at(__u32 slot, __u32 key)
{
	struct edt_cfg *c = bpf_map_lookup_elem(&qosd_cfg, &slot);

	return c && c->key == key ? c : 0;
}

static __always_inline struct edt_cfg *entry_of(__u32 key, __u32 *ret_slot)
{
	__u32 place = EDT_NEAR_PLACE(key), *slot;
	__u64 *at = bpf_map_lookup_elem(&qosd_near, &place);
	__u64 near = at ? *(volatile __u64 *)at : 0;
	struct edt_cfg *c = 0;

	if (EDT_NEAR_HAS(near, key)) {
		*ret_slot = EDT_NEAR_SLOT(near);
		c = entry_at(*ret_slot, key);
	}
	if (c)
		return c;
	slot = bpf_map_lookup_elem(&qosd_slot, &key);
	if (!slot)
		return 0;
	*ret_slot = *slot;
	return entry_at(*ret_slot, key);
}

/*
 * What it takes on the wire. A guest's virtio header tells into how many segments the kernel may
 * cut it: one byte in each makes megabytes of headers of 64 KiB, and nonsense makes some kernels
 * say 0.
 */
static __always_inline __u32 wire_bytes(const struct __sk_buff *skb)
{
	__u32 bytes = skb->wire_len;

	if (bytes < skb->len)
		bytes = skb->len;
	return bytes < PACKET_BYTES_MAX ? bytes : PACKET_BYTES_MAX;
}

static __always_inline int shape(struct __sk_buff *skb, __u32 key)
{
	__u32 slot = 0;
	struct edt_cfg *c = entry_of(key, &slot);
	struct edt_state *s;
	struct packet p = { 0 };
	enum verdict v;
	__u64 *flow = 0;

	if (!c || !c->rate_bps)
		return TC_ACT_UNSPEC;
	s = bpf_map_lookup_elem(&qosd_st, &slot);
	if (!s)
		return TC_ACT_UNSPEC;
	p.bytes = wire_bytes(skb);
	p.crafted = p.bytes > HONEST_BYTES && p.bytes / 4 > skb->len;
	p.line_key = line_of(skb, c, key & 1);
	p.line = line_free(p.line_key);
	p.now = bpf_ktime_get_ns();
	if (s->next > p.now ||
	    p.line > p.now) { /* else nothing is queued, and nothing has to wait */
		flow = flow_of(bpf_get_hash_recalc(skb), key, &p.tag);
		if (flow)
			flow_read(&p, *flow);
	}

	bpf_spin_lock(&s->lock);
	v = decide(s, c, &p);
	bpf_spin_unlock(&s->lock);

	if (v == DROP) {
		if (p.queued && flow)
			*flow |= REFUSED_MASK << TAG_BITS;
		return TC_ACT_SHOT;
	}
	if (v == MARK && !mark(skb, s, &p))
		return TC_ACT_SHOT;
	line_charge(&p);
	if ((skb->priority & PRIORITY_MASK) == PRIORITY_CONTROL)
		skb->priority = 0;
	if (p.departure == p.now) {
		skb->tstamp = 0;
		return TC_ACT_UNSPEC;
	}
	if (flow)
		*flow = flow_cell(&p);
	if (!delivery_time ||
	    bpf_skb_set_tstamp(skb, p.departure, BPF_SKB_TSTAMP_DELIVERY_MONO) < 0)
		skb->tstamp = p.departure; /* an old kernel, or neither IPv4 nor IPv6 */
	return TC_ACT_UNSPEC;
}

SEC("tc")
int edt_in(struct __sk_buff *skb)
{
	return shape(skb, EDT_KEY(skb->ifindex, EDT_IN));
}

SEC("tc")
int edt_out(struct __sk_buff *skb)
{
	return shape(skb, EDT_KEY(skb->ingress_ifindex, EDT_OUT));
}

SEC("tc")
int edt_divert(struct __sk_buff *skb)
{
	__u32 first = 0, *ifb = bpf_map_lookup_elem(&qosd_ifb, &first);

	(void)skb;
	return ifb && *ifb ? (int)bpf_redirect(*ifb, 0) : TC_ACT_UNSPEC;
}

char edt_license[] SEC("license") = "GPL";
