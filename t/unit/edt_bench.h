/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The shaper's program run by the kernel (BPF_PROG_TEST_RUN) on packets that go nowhere. They stand
 * for those of the loopback device (ifindex 1). Needs the right to load programs.
 */
#ifndef QOSD_T_EDT_BENCH_H
#define QOSD_T_EDT_BENCH_H

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/pkt_cls.h>
#include <time.h>
#include <unistd.h>

#include "bpf/edt.h"
#include "bpf/edt.skel.h"
#include "t/unit/harness.h"

#define IFINDEX  1
#define SLOT     7                /* found by qosd_slot alone */
#define LATER_NS 1000000000000ULL /* so far ahead that time does not pass meanwhile */

static struct edt *skel; /* set once by main */

static inline uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000ULL + (uint64_t)t.tv_nsec;
}

static inline void put(const struct edt_cfg *cfg, const struct edt_state *state)
{
	uint32_t key = EDT_KEY(IFINDEX, EDT_IN), slot = SLOT;
	struct edt_cfg own = *cfg;

	own.key = key;
	CU_ASSERT_EQUAL(bpf_map_update_elem(bpf_map__fd(skel->maps.qosd_cfg), &slot, &own, 0), 0);
	CU_ASSERT_EQUAL(bpf_map_update_elem(bpf_map__fd(skel->maps.qosd_st), &slot, state, 0), 0);
	CU_ASSERT_EQUAL(bpf_map_update_elem(bpf_map__fd(skel->maps.qosd_slot), &key, &slot, 0), 0);
}

static inline struct edt_state get(void)
{
	uint32_t slot = SLOT;
	struct edt_state state = { 0 };

	CU_ASSERT_EQUAL(bpf_map_lookup_elem_flags(bpf_map__fd(skel->maps.qosd_st), &slot, &state,
						  BPF_F_LOCK),
			0);
	return state;
}

static uint64_t stamp; /* the last packet's, when it was let pass */

/* A packet through edt_in. Returns the program's verdict. */
static inline int run(unsigned char *packet, uint32_t bytes)
{
	struct __sk_buff context = { .wire_len = bytes, .ifindex = IFINDEX }, after = { 0 };
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = packet, .data_size_in = bytes,
		    .ctx_in = &context, .ctx_size_in = sizeof(context), .ctx_out = &after,
		    .ctx_size_out = sizeof(after));

	CU_ASSERT_EQUAL(bpf_prog_test_run_opts(bpf_program__fd(skel->progs.edt_in), &opts), 0);
	stamp = after.tstamp;
	return (int)opts.retval;
}

/* An IPv4 UDP packet of so many bytes from a port; ecn: the two bits. */
static inline int send_from(uint8_t port, uint32_t bytes, uint8_t ecn)
{
	static unsigned char packet[1514];

	packet[12] = 8; /* IPv4 */
	packet[14] = 0x45;
	packet[15] = ecn;
	packet[22] = 64;
	packet[23] = 17;
	packet[26] = 10;
	packet[30] = 10;
	packet[34] = port;
	packet[36] = 9;
	return run(packet, bytes);
}

static inline int send_packet(uint32_t bytes, uint8_t ecn)
{
	return send_from(1, bytes, ecn);
}

/* The tests of a program, status 77 where it cannot be loaded. */
static inline int edt_bench_run(const char *name, const struct test *tests, size_t count)
{
	int status;

	libbpf_set_print(NULL);
	skel = edt__open_and_load();
	if (!skel) {
		printf("skipped: programs cannot be loaded here (%s)\n", strerror(errno));
		return 77;
	}
	status = harness_run(name, tests, count);
	edt__destroy(skel);
	return status;
}

#endif
