/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * edt_codel - which packets the queue of a NIC marks or drops before it is full. Part of edt.bpf.c.
 *
 * Two rules, both on the wait that a packet is about to get. CoDel (RFC 8289), one for all flows of
 * the NIC, takes packets of those that have the most queued. And a flow with far more than an even
 * share of the queue loses a packet as soon as the wait is above the target.
 */
#ifndef QOSD_BPF_EDT_CODEL_H
#define QOSD_BPF_EDT_CODEL_H

#define CODEL_FORGET    16 /* intervals after which a dropping state is new */
#define CODEL_COUNT_MAX 0xfffffU
#define PACE_TARGETS    4  /* of CoDel's: for each of them once more in the same time */
#define WHOLE_BITS      16 /* of a flow's share of the queue: 1 << 16 is all of it */
#define NEARLY_WHOLE    (7U << (WHOLE_BITS - 3))
#define LEAST_MEAN      (1U << (WHOLE_BITS - 8)) /* to pace by: ever new flows make it nothing */
#define GREEDY(mean)    ((mean)*7 / 4)

/* One step of Newton's method towards 1/sqrt(codel_count). */
static __always_inline void codel_step(struct edt_state *s)
{
	__u64 inv = s->codel_inv_sqrt, square = inv * inv >> 32;
	__u64 v = (3ULL << 32) - s->codel_count * square;

	s->codel_inv_sqrt = (v >> 2) * inv >> 31;
}

/* With no more than this queued no flow loses a packet while there is room. One packet; two of what
 * has crossed a shared line on its way here: it would cross it again, and what many flows lose then
 * is more than the line can spare. (A TCP that has two under way is as slow as it gets by its own
 * will.) */
static __always_inline __u64 least_queued(const struct edt_cfg *c, const struct packet *p)
{
	int crossed = p->line_key && (p->line_key & 1) == EDT_IN;

	return (__u64)c->packet_ns << crossed;
}

/* Is the turn not this flow's? Neither with little queued nor with clearly less than the
 * fattest. What the fattest had is forgotten bit by bit, so that soon somebody has the turn. */
static __always_inline int spared(struct edt_state *s, const struct edt_cfg *c,
				  const struct packet *p)
{
	if (p->claim > least_queued(c, p) && p->claim * 8 >= s->fattest_ns * 7)
		return 0;
	s->fattest_ns -= s->fattest_ns >> 4;
	return 1;
}

/* Has the delay been above the target for a whole interval? */
static __always_inline int codel_above(struct edt_state *s, const struct edt_cfg *c, __u64 at,
				       __u64 delay)
{
	if (delay <= c->target_ns) {
		s->codel_due = 0;
		return 0;
	}
	if (!s->codel_due) {
		s->codel_due = at + c->interval_ns;
		return 0;
	}
	return at >= s->codel_due;
}

static __always_inline void codel_begin(struct edt_state *s, const struct edt_cfg *c, __u64 at)
{
	__u32 since = s->codel_count - s->codel_last_count;

	s->codel_dropping = 1;
	if (since > 1 && (__s64)(at - s->codel_next) < (__s64)(CODEL_FORGET * c->interval_ns)) {
		s->codel_count = since;
		codel_step(s);
	} else {
		s->codel_count = 1;
		s->codel_inv_sqrt = ~0U;
	}
	s->codel_last_count = s->codel_count;
	s->codel_next = at + (c->interval_ns * s->codel_inv_sqrt >> 32);
}

/* CoDel (RFC 8289) on the delay that the packet is about to get. 1: mark or drop it. A delay that
 * has fallen by an eighth since the last time is left alone this time. */
static __always_inline int codel(struct edt_state *s, const struct edt_cfg *c,
				 const struct packet *p)
{
	__u64 at = p->departure, delay = at - p->now;
	int above = codel_above(s, c, at, delay), falling = 0;

	if (!above) {
		s->codel_dropping = 0;
		return 0;
	}
	if (s->codel_dropping && (__s64)(at - s->codel_next) < 0)
		return 0;
	if (spared(s, c, p))
		return 0;
	if (!s->codel_dropping) {
		codel_begin(s, c, at);
	} else {
		falling = delay < s->codel_delay_ns - (s->codel_delay_ns >> 3);
		if (!falling && s->codel_count < CODEL_COUNT_MAX) {
			s->codel_count++;
			codel_step(s);
		}
		s->codel_next += (c->interval_ns * s->codel_inv_sqrt >> 32) /
				 (delay / (PACE_TARGETS * c->target_ns) + 1);
	}
	s->codel_delay_ns = delay;
	return !falling;
}

/*
 * Is it the turn of this packet's flow because of its share of the queue? The mean of shares over
 * packets is the sum of their squares over flows (Simpson's index): 1/N where N flows are alike,
 * more where they are not. It remembers flows that have gone, so whoever has nearly all of the
 * queue is taken for alone. N flows lose as many packets in half an interval, together.
 */
static __always_inline int greedy(struct edt_state *s, const struct edt_cfg *c,
				  const struct packet *p)
{
	__u64 delay = p->departure - p->now;
	__u32 share = 1U << WHOLE_BITS, mean;

	if (delay <= c->target_ns)
		return 0;
	if (p->claim < delay)
		share = (p->claim << WHOLE_BITS) / delay;
	if (!s->shares) /* not known: one flow */
		s->shares = EDT_SHARES << WHOLE_BITS;
	mean = s->shares / EDT_SHARES;
	s->shares += share - mean;
	if (share > NEARLY_WHOLE || share < GREEDY(mean) || p->now < s->greedy_next ||
	    p->claim <= least_queued(c, p))
		return 0;
	if (mean < LEAST_MEAN)
		mean = LEAST_MEAN;
	s->greedy_next = p->now + (c->interval_ns * mean >> (WHOLE_BITS + 1));
	return 1;
}

#endif
