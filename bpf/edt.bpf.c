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
 *   2. The clock: a packet that would wait beyond the horizon is dropped. The wait before the
 *      packet counts, so that one packet of any size is always let in.
 *   3. CoDel on the wait: marks, or drops if the packet cannot be marked. A dropped packet is not
 *      charged.
 *   4. The stamp. bpf_skb_set_tstamp says that it is a delivery time: a plain one would be taken
 *      for the time of reception when the packet comes back from the ifb to the host itself.
 *
 * edt_in sits on the tap's egress hook, edt_out on the egress hook of the ifb to which everything
 * from the taps is redirected; there skb->ingress_ifindex is the tap. Both let other filters go on
 * (TC_ACT_UNSPEC). Needs Linux 5.1; the stamp as delivery time 5.18.
 */
#include <linux/bpf.h>
#include <linux/pkt_cls.h>

#include <bpf/bpf_helpers.h> /* after the types it needs */

#include "bpf/edt.h"

#define NSEC_PER_SEC     1000000000ULL
#define SPARSE_SHARE     8              /* the lane has an eighth of the rate */
#define SPARSE_CREDIT_NS 20000000ULL    /* what it may save up */
#define SPARSE_DEBT_NS   10000000000ULL /* how far it may push the main clock */
#define FLOW_SHIFT       16             /* unit of flow_until: 65.5 us */
#define FLOW_STALE       (SPARSE_DEBT_NS * 2 >> FLOW_SHIFT)
#define PACKET_BYTES_MAX 0x1fffffU /* keeps bytes * 8e9 within 64 bits */
#define CODEL_FORGET     16        /* intervals after which a dropping state is new */
#define PRIORITY_MASK    15
#define PRIORITY_CONTROL 7 /* fq lets TC_PRIO_CONTROL pass by the departure time */

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, EDT_ENTRIES);
	__type(key, __u32);
	__type(value, struct edt_cfg);
} qosd_cfg SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, EDT_ENTRIES);
	__type(key, __u32);
	__type(value, struct edt_state);
} qosd_st SEC(".maps");

/* Set before load; false on kernels without bpf_skb_set_tstamp. */
volatile const __u32 delivery_time = 1;

enum verdict { PASS_NOW, PASS_LATER, MARK_LATER, DROP };

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
 * lane's own clock must allow it. */
static __always_inline int sparse(struct edt_state *s, const struct edt_cfg *c, __u64 now,
				  __u32 bytes, __u64 ns, __u32 flow)
{
	__u32 ahead = s->flow_until[flow] - (__u32)(now >> FLOW_SHIFT);
	__u64 lane = s->sparse_next;

	if (bytes > c->sparse_bytes || (ahead - 1 < FLOW_STALE))
		return 0;
	if (lane > now || s->next > now + SPARSE_DEBT_NS)
		return 0;
	if (lane + SPARSE_CREDIT_NS < now)
		lane = now - SPARSE_CREDIT_NS;
	s->sparse_next = lane + ns * SPARSE_SHARE;
	return 1;
}

/* One step of Newton's method towards 1/sqrt(codel_count). */
static __always_inline void codel_step(struct edt_state *s)
{
	__u64 inv = s->codel_inv_sqrt, square = inv * inv >> 32;
	__u64 v = (3ULL << 32) - s->codel_count * square;

	s->codel_inv_sqrt = (v >> 2) * inv >> 31;
}

/* Has the delay been above the target for a whole interval? */
static __always_inline int codel_above(struct edt_state *s, const struct edt_cfg *c, __u64 now,
				       __u64 delay)
{
	if (delay <= c->target_ns) {
		s->codel_due = 0;
		return 0;
	}
	if (!s->codel_due) {
		s->codel_due = now + c->interval_ns;
		return 0;
	}
	return now >= s->codel_due;
}

/* CoDel (RFC 8289) on the delay that the packet is about to get. 1: mark or drop it. */
static __always_inline int codel(struct edt_state *s, const struct edt_cfg *c, __u64 now,
				 __u64 delay)
{
	int above = codel_above(s, c, now, delay);
	__u32 since;

	if (s->codel_dropping) {
		if (!above) {
			s->codel_dropping = 0;
			return 0;
		}
		if (now < s->codel_next)
			return 0;
		s->codel_count++;
		codel_step(s);
		s->codel_next += c->interval_ns * s->codel_inv_sqrt >> 32;
		return 1;
	}
	if (!above)
		return 0;
	since = s->codel_count - s->codel_last_count;
	s->codel_dropping = 1;
	if (since > 1 && now - s->codel_next < CODEL_FORGET * c->interval_ns) {
		s->codel_count = since;
		codel_step(s);
	} else {
		s->codel_count = 1;
		s->codel_inv_sqrt = ~0U;
	}
	s->codel_last_count = s->codel_count;
	s->codel_next = now + (c->interval_ns * s->codel_inv_sqrt >> 32);
	return 1;
}

/* Everything that is decided under the lock. *departure and *ns are set unless DROP. */
static __always_inline enum verdict decide(struct edt_state *s, const struct edt_cfg *c, __u64 now,
					   __u32 bytes, __u32 flow, __u64 *departure, __u64 *ns)
{
	__u64 start = s->next, delay, carry = s->carry;
	enum verdict v = PASS_LATER;

	*ns = line_time(s, bytes, c->rate_bps);
	if (start + c->burst_ns < now)
		start = now - c->burst_ns;
	if (sparse(s, c, now, bytes, *ns, flow)) {
		*departure = now;
		v = PASS_NOW;
	} else {
		*departure = start > now ? start : now;
		delay = *departure - now;
		note_delay(s, now, delay);
		if (delay > c->horizon_ns) {
			s->carry = carry;
			s->dropped_packets++;
			s->dropped_bytes += bytes;
			return DROP;
		}
		if (c->target_ns && codel(s, c, now, delay))
			v = MARK_LATER;
		if (v == PASS_LATER)
			s->flow_until[flow] = (*departure >> FLOW_SHIFT) + 1;
	}
	s->next = start + *ns;
	s->packets++;
	s->bytes += bytes;
	return v;
}

/* Mark the packet, or take its charge back: 1 marked, 0 it must be dropped. */
static __always_inline int mark(struct __sk_buff *skb, struct edt_state *s, __u32 bytes, __u64 ns)
{
	int marked = bpf_skb_ecn_set_ce(skb) == 1;

	bpf_spin_lock(&s->lock);
	if (marked) {
		s->marked_packets++;
	} else {
		s->next -= ns;
		s->packets--;
		s->bytes -= bytes;
		s->dropped_packets++;
		s->dropped_bytes += bytes;
	}
	bpf_spin_unlock(&s->lock);
	return marked;
}

static __always_inline int shape(struct __sk_buff *skb, __u32 key)
{
	struct edt_cfg *c = bpf_map_lookup_elem(&qosd_cfg, &key);
	struct edt_state *s;
	__u64 now, departure = 0, ns = 0;
	__u32 bytes, flow;
	enum verdict v;

	if (!c || !c->rate_bps)
		return TC_ACT_UNSPEC;
	s = bpf_map_lookup_elem(&qosd_st, &key);
	if (!s)
		return TC_ACT_UNSPEC;
	bytes = skb->wire_len;
	if (bytes > PACKET_BYTES_MAX)
		bytes = PACKET_BYTES_MAX;
	flow = bpf_get_hash_recalc(skb) & (EDT_FLOWS - 1);
	now = bpf_ktime_get_ns();

	bpf_spin_lock(&s->lock);
	v = decide(s, c, now, bytes, flow, &departure, &ns);
	bpf_spin_unlock(&s->lock);

	if (v == DROP || (v == MARK_LATER && !mark(skb, s, bytes, ns)))
		return TC_ACT_SHOT;
	if ((skb->priority & PRIORITY_MASK) == PRIORITY_CONTROL)
		skb->priority = 0;
	if (v == PASS_NOW || departure <= now)
		skb->tstamp = 0;
	else if (!delivery_time ||
		 bpf_skb_set_tstamp(skb, departure, BPF_SKB_TSTAMP_DELIVERY_MONO) < 0)
		skb->tstamp = departure; /* an old kernel, or neither IPv4 nor IPv6 */
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

char edt_license[] SEC("license") = "GPL";
