/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * hostcount - counts the host's own traffic on an uplink, told apart by port, control group and
 * mark.
 *
 * On the egress hook a packet is the host's own if nothing received it before: it has no ingress
 * interface, and the socket that sent it, if it still has one, is an internet socket. (What a guest
 * sends came in by its tap; a macvtap's queue is a socket of no family; what is routed or bridged
 * for others came in somewhere.) One that has lost its socket, as those that a bridge floods, has
 * no group any more. The first rule that matches has it, and its flow is remembered.
 *
 * On the ingress hook there is neither a socket nor a mark, and a port alone does not tell the host
 * from a guest behind the same bridge. So what comes in is counted if it answers a remembered flow
 * of the host's, by the same rule. What is never answered, not even by an acknowledgement, is not
 * seen.
 *
 * Ports are known of TCP and UDP, in the first fragment alone. VLAN tags and IPv6's common
 * extension headers are passed over. Bytes are those of layer 2: of a packet that stands for many
 * on the wire, all headers count. Nothing is changed or dropped, and other filters go on
 * (TC_ACT_UNSPEC).
 *
 * Needs Linux 5.7; Ethernet.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/pkt_cls.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h> /* after the types it needs */

#include "bpf/hostcount.h"

#define FAMILY_INET      2
#define FAMILY_INET6     10
#define TAGS             2 /* of VLANs */
#define EXTENSIONS       4 /* of IPv6's headers */
#define FRAGMENT_OFFSET  0x1fff
#define FRAGMENT6_OFFSET 0xfff8
#define IS_IPV6          256
#define TCP_LENGTH_AT    12
#define UDP_BYTES        8

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct hostcount_rules);
} qosd_hrules SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, HOSTCOUNT_UPLINKS);
	__type(key, __u32);
	__type(value, struct hostcount_uplink);
} qosd_hup SEC(".maps");

struct { /* the rules that ask for a port */
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, HOSTCOUNT_PORTS);
	__type(key, __u32);
	__type(value, __u64);
} qosd_hport SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, HOSTCOUNT_KEYS);
	__type(key, struct hostcount_key);
	__type(value, __u64);
} qosd_hkey SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, HOSTCOUNT_FLOWS);
	__type(key, struct hostcount_flow);
	__type(value, struct hostcount_origin);
} qosd_hflow SEC(".maps");

struct { /* bytes, by HOSTCOUNT_SLOT */
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, HOSTCOUNT_RULES * 2);
	__type(key, __u32);
	__type(value, __u64);
} qosd_hcount SEC(".maps");

/* Set before load; false on kernels that do not tell a packet's group. */
volatile const __u32 knows_groups = 1;

struct packet {
	struct hostcount_flow flow; /* local is the source, until it is turned */
	__u32 at;                   /* where the header of TCP or UDP begins */
	__u32 with_ports;
};

/* ---- what the packet is ---- */

static __always_inline void parse_ports(struct __sk_buff *skb, struct packet *p, __u32 protocol)
{
	__u16 ports[2];

	if (protocol != IPPROTO_TCP && protocol != IPPROTO_UDP)
		return;
	if (bpf_skb_load_bytes(skb, p->at, ports, sizeof(ports)) < 0)
		return;
	p->flow.local_port = ports[0];
	p->flow.remote_port = ports[1];
	p->flow.protocol |= protocol;
	p->with_ports = 1;
}

static __always_inline void parse_ipv4(struct __sk_buff *skb, struct packet *p)
{
	struct iphdr ip;

	if (bpf_skb_load_bytes(skb, p->at, &ip, sizeof(ip)) < 0)
		return;
	if (ip.frag_off & bpf_htons(FRAGMENT_OFFSET))
		return;
	p->flow.local[0] = ip.saddr;
	p->flow.remote[0] = ip.daddr;
	p->at += ip.ihl * 4;
	parse_ports(skb, p, ip.protocol);
}

/* Moves p->at behind one extension header. 0: it is none, or one that tells of a later fragment. */
static __always_inline int pass_extension(struct __sk_buff *skb, struct packet *p, __u8 *next)
{
	__u8 header[4];

	if (*next != IPPROTO_HOPOPTS && *next != IPPROTO_ROUTING && *next != IPPROTO_DSTOPTS &&
	    *next != IPPROTO_FRAGMENT)
		return 0;
	if (bpf_skb_load_bytes(skb, p->at, header, sizeof(header)) < 0)
		return 0;
	if (*next == IPPROTO_FRAGMENT) {
		p->at += 8;
		*next = (header[2] << 8 | header[3]) & FRAGMENT6_OFFSET ? IPPROTO_NONE : header[0];
		return 1;
	}
	p->at += (header[1] + 1) * 8;
	*next = header[0];
	return 1;
}

static __always_inline void parse_ipv6(struct __sk_buff *skb, struct packet *p)
{
	struct ipv6hdr ip;
	__u8 next;

	if (bpf_skb_load_bytes(skb, p->at, &ip, sizeof(ip)) < 0)
		return;
	__builtin_memcpy(p->flow.local, &ip.saddr, sizeof(p->flow.local));
	__builtin_memcpy(p->flow.remote, &ip.daddr, sizeof(p->flow.remote));
	p->flow.protocol = IS_IPV6;
	p->at += sizeof(ip);
	next = ip.nexthdr;
#pragma unroll
	for (int i = 0; i < EXTENSIONS; i++)
		if (!pass_extension(skb, p, &next))
			break;
	parse_ports(skb, p, next);
}

static __always_inline void parse(struct __sk_buff *skb, struct packet *p)
{
	__u16 type;

	p->flow.ifindex = skb->ifindex;
	p->at = ETH_HLEN;
	if (bpf_skb_load_bytes(skb, ETH_HLEN - 2, &type, sizeof(type)) < 0)
		return;
#pragma unroll
	for (int i = 0; i < TAGS; i++) {
		if (type != bpf_htons(ETH_P_8021Q) && type != bpf_htons(ETH_P_8021AD))
			break;
		if (bpf_skb_load_bytes(skb, p->at + 2, &type, sizeof(type)) < 0)
			return;
		p->at += 4;
	}
	if (type == bpf_htons(ETH_P_IP))
		parse_ipv4(skb, p);
	else if (type == bpf_htons(ETH_P_IPV6))
		parse_ipv6(skb, p);
}

/* ---- whose it is ---- */

static __always_inline int is_own(struct __sk_buff *skb)
{
	struct bpf_sock *sk;

	if (skb->ingress_ifindex)
		return 0;
	sk = skb->sk;
	return !sk || sk->family == FAMILY_INET || sk->family == FAMILY_INET6;
}

static __always_inline __u64 asking(__u32 kind, __u64 value)
{
	struct hostcount_key key = { .kind = kind, .value = value };
	__u64 *rules = bpf_map_lookup_elem(&qosd_hkey, &key);

	return rules ? *rules : 0;
}

static __always_inline __u64 rules_of_port(__u16 port)
{
	__u32 key = bpf_ntohs(port);
	__u64 *rules = bpf_map_lookup_elem(&qosd_hport, &key);

	return rules ? *rules : 0;
}

/* The rules that ask for its group, or for one above. */
static __always_inline __u64 rules_of_group(struct __sk_buff *skb, __u32 levels)
{
	__u64 rules = 0, id;

	if (!knows_groups)
		return 0;
	for (__u32 level = 1; level <= HOSTCOUNT_LEVELS && level <= levels; level++) {
		id = bpf_skb_ancestor_cgroup_id(skb, level);
		if (!id)
			break;
		rules |= asking(HOSTCOUNT_GROUP, id);
	}
	return rules;
}

/* Of the candidates, the rules of which all that they ask for matches. */
static __always_inline __u64 matching(struct __sk_buff *skb, const struct packet *p,
				      const struct hostcount_rules *r, __u64 rules)
{
	__u64 ports = 0, groups = 0, marks = 0;

	if ((rules & r->ports) && p->with_ports)
		ports = rules_of_port(p->flow.local_port) | rules_of_port(p->flow.remote_port);
	rules &= ports | ~r->ports;
	if ((rules & r->marks) && skb->mark)
		marks = asking(HOSTCOUNT_MARK, skb->mark);
	rules &= marks | ~r->marks;
	if (rules & r->groups)
		groups = rules_of_group(skb, r->levels);
	return rules & (groups | ~r->groups);
}

static __always_inline __u32 lowest(__u64 rules)
{
	__u32 n = 0;

	if (!(rules & 0xffffffff))
		n += 32, rules >>= 32;
	if (!(rules & 0xffff))
		n += 16, rules >>= 16;
	if (!(rules & 0xff))
		n += 8, rules >>= 8;
	if (!(rules & 0xf))
		n += 4, rules >>= 4;
	if (!(rules & 3))
		n += 2, rules >>= 2;
	return n + !(rules & 1);
}

/* ---- counting ---- */

static __always_inline void count(__u32 rule, __u32 direction, __u32 bytes)
{
	__u32 slot = HOSTCOUNT_SLOT(rule, direction);
	__u64 *sum = bpf_map_lookup_elem(&qosd_hcount, &slot);

	if (sum)
		*sum += bytes;
}

static __always_inline void remember(const struct packet *p, __u32 rule, __u32 generation)
{
	struct hostcount_origin now = { .rule = rule, .generation = generation };
	struct hostcount_origin *known = bpf_map_lookup_elem(&qosd_hflow, &p->flow);

	if (!known || known->rule != rule || known->generation != generation)
		bpf_map_update_elem(&qosd_hflow, &p->flow, &now, BPF_ANY);
}

/*
 * What this packet was on the wire. The kernel says it of what leaves; of what came in, the
 * receiver may have joined many packets into one with one header.
 */
static __always_inline __u32 bytes_received(struct __sk_buff *skb, const struct packet *p)
{
	__u32 bytes = skb->len, size = skb->gso_size, header = p->at + UDP_BYTES;
	__u8 words;

	if (!size)
		return bytes;
	if ((p->flow.protocol & 0xff) == IPPROTO_TCP) {
		if (bpf_skb_load_bytes(skb, p->at + TCP_LENGTH_AT, &words, 1) < 0)
			return bytes;
		header = p->at + (words >> 4) * 4;
	}
	if (header >= bytes)
		return bytes;
	return bytes + ((bytes - header + size - 1) / size - 1) * header;
}

static __always_inline struct hostcount_uplink *here(struct __sk_buff *skb)
{
	__u32 ifindex = skb->ifindex;
	struct hostcount_uplink *up = bpf_map_lookup_elem(&qosd_hup, &ifindex);

	return up && up->rules ? up : 0;
}

SEC("tc")
int hostcount_out(struct __sk_buff *skb)
{
	struct hostcount_uplink *up = here(skb);
	struct hostcount_rules *r;
	struct packet p = { 0 };
	__u32 zero = 0, rule;
	__u64 rules;

	if (!up || !is_own(skb))
		return TC_ACT_UNSPEC;
	r = bpf_map_lookup_elem(&qosd_hrules, &zero);
	if (!r)
		return TC_ACT_UNSPEC;
	parse(skb, &p);
	rules = matching(skb, &p, r, up->rules);
	if (!rules)
		return TC_ACT_UNSPEC;
	rule = lowest(rules);
	count(rule, HOSTCOUNT_OUT, skb->wire_len);
	if (p.with_ports)
		remember(&p, rule, r->generation);
	return TC_ACT_UNSPEC;
}

/* The other end's packet names the host's end last. */
static __always_inline void turn(struct hostcount_flow *f)
{
	__u16 port = f->local_port;

#pragma unroll
	for (int i = 0; i < 4; i++) {
		__u32 word = f->local[i];

		f->local[i] = f->remote[i];
		f->remote[i] = word;
	}
	f->local_port = f->remote_port;
	f->remote_port = port;
}

SEC("tc")
int hostcount_in(struct __sk_buff *skb)
{
	struct hostcount_uplink *up = here(skb);
	struct hostcount_origin *origin;
	struct hostcount_rules *r;
	struct packet p = { 0 };
	__u32 zero = 0;

	if (!up)
		return TC_ACT_UNSPEC;
	r = bpf_map_lookup_elem(&qosd_hrules, &zero);
	if (!r)
		return TC_ACT_UNSPEC;
	parse(skb, &p);
	if (!p.with_ports)
		return TC_ACT_UNSPEC;
	turn(&p.flow);
	origin = bpf_map_lookup_elem(&qosd_hflow, &p.flow);
	if (origin && origin->generation == r->generation)
		count(origin->rule, HOSTCOUNT_IN, bytes_received(skb, &p));
	return TC_ACT_UNSPEC;
}

char hostcount_license[] SEC("license") = "GPL";
