/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * edt_line - the clock of a line that many NICs share (an uplink, one direction). Part of
 * edt.bpf.c.
 *
 * Every packet that passes moves the line's clock on by its length at the line's rate. A packet
 * waits for that clock too, but never beyond what its NIC is guaranteed: it may leave as soon as
 * the last one of its NIC is `bytes / guaranteed_bps` old. So a guarantee is in force with the
 * first packet, without anybody's help; what the guaranteed ones take in advance those wait for who
 * borrow. As long as the guarantees fit the line, the sum keeps to its rate.
 *
 * A frame to a group comes to the tap of each guest, but crossed the uplink once, if it did at all,
 * and nobody behind the uplink sends less for its waiting here. So copies towards guests neither
 * wait for the line nor count on it; their NIC's own rate they keep. What comes from a guest to a
 * group is one frame like any other.
 *
 * The clock is read before the NIC's own decision and charged after the last chance of a drop:
 * between two CPUs a packet of each may get the same place, but all are charged. The debt is
 * bounded, should guarantees not fit after all.
 */
#ifndef QOSD_BPF_EDT_LINE_H
#define QOSD_BPF_EDT_LINE_H

#define LINE_DEBT_NS 200000000ULL /* beyond the horizon of those who borrow */

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, EDT_LINES * 2);
	__type(key, __u32);
	__type(value, struct edt_line_cfg);
} qosd_line SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, EDT_LINES * 2);
	__type(key, __u32);
	__type(value, struct edt_line_state);
} qosd_line_st SEC(".maps");

/* Is it a frame to a group of stations, or to all? */
static __always_inline int to_group(const struct __sk_buff *skb)
{
	const unsigned char *address = (const void *)(long)skb->data;

	return (const void *)(address + 1) <= (const void *)(long)skb->data_end && (*address & 1);
}

/* The key of the line that the packet takes time of; 0: of none. */
static __always_inline __u32 line_of(const struct __sk_buff *skb, const struct edt_cfg *c,
				     __u32 direction)
{
	__u32 way = EDT_LINE_WAY(c->flags, direction);

	if (!c->class_id || (way == EDT_IN && to_group(skb)))
		return 0;
	return EDT_LINE_KEY(c->class_id, way);
}

/* When the line is free; 0: there is none. */
static __always_inline __u64 line_free(__u32 key)
{
	struct edt_line_state *line = key ? bpf_map_lookup_elem(&qosd_line_st, &key) : 0;

	return line ? *(volatile __u64 *)&line->next : 0;
}

/* `start`, or when the line lets the packet go if that is later. */
static __always_inline __u64 line_wait(const struct edt_state *s, const struct edt_cfg *c,
				       const struct packet *p, __u64 start)
{
	__u64 line = p->line;

	if (c->guaranteed_bps && s->due < line)
		line = s->due;
	return line > p->now && line > start ? line : start;
}

/* The packet departs: when is the next one due by the guarantee? */
static __always_inline void line_promise(struct edt_state *s, const struct edt_cfg *c,
					 struct packet *p)
{
	if (!c->guaranteed_bps || !p->line_key)
		return;
	p->due_ns = p->bytes * 8 * NSEC_PER_SEC / c->guaranteed_bps;
	s->due = p->departure + p->due_ns;
}

static __always_inline void line_charge(const struct packet *p)
{
	struct edt_line_state *line;
	struct edt_line_cfg *cfg;
	__u64 next, bits = p->bytes * 8 * NSEC_PER_SEC;
	__u32 key = p->line_key;

	if (!key)
		return;
	cfg = bpf_map_lookup_elem(&qosd_line, &key);
	line = bpf_map_lookup_elem(&qosd_line_st, &key);
	if (!cfg || !line || !cfg->rate_bps)
		return;
	next = *(volatile __u64 *)&line->next;
	if (next + cfg->burst_ns < p->now) /* it was idle */
		*(volatile __u64 *)&line->next = p->now - cfg->burst_ns;
	if (next < p->now + LINE_DEBT_NS)
		__sync_fetch_and_add(&line->next, (bits + cfg->rate_bps - 1) / cfg->rate_bps);
	__sync_fetch_and_add(&line->bytes, p->bytes);
}

#endif
