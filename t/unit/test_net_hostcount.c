/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The counting programs themselves, run by the kernel (BPF_PROG_TEST_RUN) on packets that go
 * nowhere: which rule has a packet, what is the host's own, and what comes back. Needs the right to
 * load programs, else it passes with a word. The packets stand for those of the loopback device
 * (index 1).
 */
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/pkt_cls.h>
#include <stdlib.h>

#include "bpf/hostcount.h"
#include "bpf/hostcount.skel.h"
#include "t/unit/harness.h"

#define IFINDEX   1
#define RULE(n)   (UINT64_C(1) << (n))
#define TCP_BYTES 54 /* the headers of an empty segment */

static struct hostcount *skel; /* set once by main */

struct wire { /* a packet, and what the kernel knows of it */
	unsigned char data[2048];
	uint32_t bytes, mark, ingress_ifindex, gso_size;
};

/* ---- packets ---- */

static void put16(unsigned char *at, uint32_t value)
{
	at[0] = (unsigned char)(value >> 8);
	at[1] = (unsigned char)value;
}

/* IPv4, from 10.0.0.FROM to 10.0.0.TO. */
static struct wire ipv4(uint8_t protocol, uint8_t from, uint32_t port, uint8_t to, uint32_t to_port)
{
	struct wire w = { .bytes = 200 };
	unsigned char *ip = w.data + 14;

	put16(w.data + 12, 0x0800);
	ip[0] = 0x45;
	put16(ip + 2, w.bytes - 14);
	ip[8] = 64;
	ip[9] = protocol;
	ip[12] = ip[16] = 10;
	ip[15] = from;
	ip[19] = to;
	put16(ip + 20, port);
	put16(ip + 22, to_port);
	ip[32] = 5 << 4;
	return w;
}

static struct wire udp(uint32_t port, uint32_t to_port)
{
	return ipv4(17, 1, port, 2, to_port);
}

static struct wire udp_back(uint32_t port, uint32_t to_port)
{
	return ipv4(17, 2, port, 1, to_port);
}

/* With so many bytes of extension headers between: a hop-by-hop header of 8 and a fragment's. */
static struct wire ipv6(uint32_t port, uint32_t to_port, bool back, bool extended, uint32_t offset)
{
	struct wire w = { .bytes = 300 };
	unsigned char *ip = w.data + 14, *at = ip + 40;

	put16(w.data + 12, 0x86dd);
	ip[0] = 0x60;
	put16(ip + 4, w.bytes - 54);
	ip[6] = extended ? 0 : 17;
	ip[8] = ip[24] = 0xfd;
	ip[23] = back ? 2 : 1;
	ip[39] = back ? 1 : 2;
	if (extended) {
		at[0] = 44; /* a fragment's header comes next, which is 8 bytes always */
		at[8] = 17;
		put16(at + 10, offset << 3 | 1);
		at += 16;
	}
	put16(at, port);
	put16(at + 2, to_port);
	return w;
}

static void add_tag(struct wire *w)
{
	memmove(w->data + 16, w->data + 12, w->bytes - 12);
	put16(w->data + 12, 0x8100);
	put16(w->data + 14, 7);
	w->bytes += 4;
}

static void run(const struct bpf_program *program, struct wire w)
{
	struct __sk_buff context = { .mark = w.mark,
				     .ifindex = IFINDEX,
				     .ingress_ifindex = w.ingress_ifindex,
				     .gso_size = w.gso_size };
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = w.data, .data_size_in = w.bytes,
		    .ctx_in = &context, .ctx_size_in = sizeof(context));

	CU_ASSERT_EQUAL(bpf_prog_test_run_opts(bpf_program__fd(program), &opts), 0);
	CU_ASSERT_EQUAL((int)opts.retval, TC_ACT_UNSPEC);
}

static void leaves(struct wire w)
{
	run(skel->progs.hostcount_out, w);
}

static void arrives(struct wire w)
{
	run(skel->progs.hostcount_in, w);
}

/* ---- rules ---- */

static void set_head(struct hostcount_rules head)
{
	uint32_t zero = 0;

	CU_ASSERT_EQUAL(bpf_map_update_elem(bpf_map__fd(skel->maps.qosd_hrules), &zero, &head, 0),
			0);
}

static void set_port(uint32_t port, uint64_t rules)
{
	CU_ASSERT_EQUAL(bpf_map_update_elem(bpf_map__fd(skel->maps.qosd_hport), &port, &rules, 0),
			0);
}

static void set_key(uint32_t kind, uint64_t value, uint64_t rules)
{
	struct hostcount_key key = { .kind = kind, .value = value };

	CU_ASSERT_EQUAL(bpf_map_update_elem(bpf_map__fd(skel->maps.qosd_hkey), &key, &rules, 0), 0);
}

static void set_uplink(uint64_t rules)
{
	struct hostcount_uplink up = { .rules = rules };
	uint32_t ifindex = IFINDEX;

	CU_ASSERT_EQUAL(bpf_map_update_elem(bpf_map__fd(skel->maps.qosd_hup), &ifindex, &up, 0), 0);
}

/* Bytes of a rule since the last call. */
static uint64_t bytes_of(uint32_t rule, uint32_t direction)
{
	size_t cpus = (size_t)libbpf_num_possible_cpus();
	uint64_t sum = 0, *sums = calloc(cpus, sizeof(*sums)), *none = calloc(cpus, sizeof(*none));
	uint32_t slot = HOSTCOUNT_SLOT(rule, direction);
	int fd = bpf_map__fd(skel->maps.qosd_hcount);

	CU_ASSERT_EQUAL(bpf_map_lookup_elem(fd, &slot, sums), 0);
	CU_ASSERT_EQUAL(bpf_map_update_elem(fd, &slot, none, 0), 0);
	for (size_t i = 0; i < cpus; i++)
		sum += sums[i];
	free(sums);
	free(none);
	return sum;
}

static uint64_t sent(uint32_t rule)
{
	return bytes_of(rule, HOSTCOUNT_OUT);
}

static uint64_t received(uint32_t rule)
{
	return bytes_of(rule, HOSTCOUNT_IN);
}

/* Rule 2 has port 6800, rule 63 ports 6800 and 6801. */
static void ports_of_two(void)
{
	set_head((struct hostcount_rules){ .ports = RULE(2) | RULE(63), .generation = 1 });
	set_port(6800, RULE(2) | RULE(63));
	set_port(6801, RULE(63));
	set_uplink(RULE(2) | RULE(63));
}

/* ---- tests ---- */

static void test_ports(void)
{
	ports_of_two();
	leaves(udp(6800, 9)); /* local or remote; the first rule has it */
	leaves(udp(9, 6800));
	CU_ASSERT_EQUAL(sent(2), 400);
	CU_ASSERT_EQUAL(sent(63), 0);
	leaves(udp(6801, 9));
	CU_ASSERT_EQUAL(sent(63), 200);
	leaves(udp(6802, 9));
	leaves(ipv4(1, 1, 6800, 2, 9)); /* ICMP has none */
	CU_ASSERT_EQUAL(sent(2) + sent(63), 0);
	set_uplink(RULE(63)); /* rule 2 is of another uplink */
	leaves(udp(6800, 9));
	CU_ASSERT_EQUAL(sent(63), 200);
	set_uplink(0);
	leaves(udp(6800, 9));
	CU_ASSERT_EQUAL(sent(2) + sent(63), 0);
}

/* What came in somewhere is somebody else's. */
static void test_own(void)
{
	struct wire w = udp(6800, 9);

	ports_of_two();
	w.ingress_ifindex = 5;
	leaves(w);
	CU_ASSERT_EQUAL(sent(2), 0);
	arrives(udp_back(9, 6800)); /* nothing of the host's that it answers */
	CU_ASSERT_EQUAL(received(2), 0);
}

static void test_answers(void)
{
	struct wire w = udp_back(19, 6800);

	ports_of_two();
	leaves(udp(6800, 19));
	arrives(w);
	CU_ASSERT_EQUAL(received(2), 200);
	add_tag(&w);
	arrives(w);
	add_tag(&w);
	arrives(w);
	CU_ASSERT_EQUAL(received(2), 204 + 208);
	arrives(udp_back(20, 6800)); /* another port, address, protocol */
	arrives(ipv4(17, 3, 19, 1, 6800));
	arrives(ipv4(6, 2, 19, 1, 6800));
	arrives(udp(6800, 19));
	CU_ASSERT_EQUAL(received(2), 0);
	set_head((struct hostcount_rules){ .ports = RULE(2), .generation = 2 });
	arrives(udp_back(19, 6800)); /* remembered under other rules */
	CU_ASSERT_EQUAL(received(2), 0);
	leaves(udp(6800, 19));
	arrives(udp_back(19, 6800));
	CU_ASSERT_EQUAL(received(2), 200);
	CU_ASSERT_EQUAL(sent(2), 400);
}

/* One that stands for many: each of them had headers. */
static void test_joined(void)
{
	struct wire w = ipv4(6, 2, 29, 1, 6800);

	ports_of_two();
	leaves(ipv4(6, 1, 6800, 2, 29));
	w.bytes = TCP_BYTES + 1000;
	arrives(w);
	CU_ASSERT_EQUAL(received(2), w.bytes);
	w.gso_size = 100;
	arrives(w);
	CU_ASSERT_EQUAL(received(2), 1000 + 10 * TCP_BYTES);
	w.gso_size = 300;
	arrives(w);
	CU_ASSERT_EQUAL(received(2), 1000 + 4 * TCP_BYTES);
	CU_ASSERT_EQUAL(sent(2), 200);
}

/* Only the first fragment has ports. */
static void test_fragments(void)
{
	struct wire first = udp(6800, 39), next = first;

	ports_of_two();
	put16(first.data + 20, 0x2000); /* more are to come */
	put16(next.data + 20, 0x2010);
	leaves(first);
	leaves(next);
	CU_ASSERT_EQUAL(sent(2), 200);
}

static void test_ipv6(void)
{
	ports_of_two();
	leaves(ipv6(6800, 49, false, false, 0));
	arrives(ipv6(49, 6800, true, false, 0));
	CU_ASSERT_EQUAL(sent(2), 300);
	CU_ASSERT_EQUAL(received(2), 300);
	arrives(ipv6(49, 6800, true, true, 0)); /* behind two extension headers */
	CU_ASSERT_EQUAL(received(2), 300);
	arrives(ipv6(49, 6800, true, true, 185));
	CU_ASSERT_EQUAL(received(2), 0);
	leaves(ipv6(6801, 49, false, true, 0));
	CU_ASSERT_EQUAL(sent(63), 300);
}

static void test_mark(void)
{
	struct wire w = udp(59, 59), icmp = ipv4(1, 1, 0, 2, 0);

	set_head((struct hostcount_rules){ .marks = RULE(4), .generation = 3 });
	set_key(HOSTCOUNT_MARK, 16, RULE(4));
	set_uplink(RULE(4));
	leaves(w);
	w.mark = 17;
	leaves(w);
	CU_ASSERT_EQUAL(sent(4), 0);
	w.mark = icmp.mark = 16;
	leaves(w);
	leaves(icmp); /* it needs no ports for that, but is not known when it comes back */
	arrives(udp_back(59, 59));
	arrives(ipv4(1, 2, 0, 1, 0));
	CU_ASSERT_EQUAL(sent(4), 400);
	CU_ASSERT_EQUAL(received(4), 200);
}

/* All that a rule asks for must match. */
static void test_both(void)
{
	struct wire w = udp(6805, 69);

	set_head((struct hostcount_rules){
		.ports = RULE(1) | RULE(2), .marks = RULE(1), .generation = 4 });
	set_key(HOSTCOUNT_MARK, 16, RULE(1));
	set_port(6805, RULE(1) | RULE(2));
	set_uplink(RULE(1) | RULE(2));
	leaves(w);
	CU_ASSERT_EQUAL(sent(2), 200);
	w.mark = 16;
	leaves(w);
	CU_ASSERT_EQUAL(sent(1), 200);
	w = udp(69, 69);
	w.mark = 16;
	leaves(w);
	CU_ASSERT_EQUAL(sent(1) + sent(2), 0);
}

/* A packet of which next to nothing is there. */
static void test_short(void)
{
	struct wire w = udp(6800, 79);

	ports_of_two();
	w.bytes = 36;
	leaves(w);
	arrives(w);
	CU_ASSERT_EQUAL(sent(2), 0);
}

int main(void)
{
	static const struct test tests[] = {
		{ "ports, and the first rule", test_ports },
		{ "what is not the host's own", test_own },
		{ "what comes back", test_answers },
		{ "packets that were joined", test_joined },
		{ "fragments", test_fragments },
		{ "IPv6", test_ipv6 },
		{ "marks", test_mark },
		{ "ports and a mark", test_both },
		{ "too short", test_short },
	};
	int status;

	libbpf_set_print(NULL);
	skel = hostcount__open_and_load();
	if (!skel) {
		printf("skipped: programs cannot be loaded here (%s)\n", strerror(errno));
		return 77;
	}
	status = harness_run("net_hostcount", tests, ARRAY_SIZE(tests));
	hostcount__destroy(skel);
	return status;
}
