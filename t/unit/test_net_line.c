/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The shaper's program itself: the line that NICs share.
 */
#include "t/unit/edt_bench.h"

#define LINE 3

static void put_line(uint64_t rate_bps, uint64_t next)
{
	uint32_t key = EDT_LINE_KEY(LINE, EDT_IN);
	struct edt_line_cfg cfg = { .rate_bps = rate_bps };
	struct edt_line_state state = { .next = next };

	CU_ASSERT_EQUAL(bpf_map_update_elem(bpf_map__fd(skel->maps.qosd_line), &key, &cfg, 0), 0);
	CU_ASSERT_EQUAL(bpf_map_update_elem(bpf_map__fd(skel->maps.qosd_line_st), &key, &state, 0),
			0);
}

static struct edt_line_state get_line(void)
{
	uint32_t key = EDT_LINE_KEY(LINE, EDT_IN);
	struct edt_line_state state = { 0 };

	CU_ASSERT_EQUAL(bpf_map_lookup_elem(bpf_map__fd(skel->maps.qosd_line_st), &key, &state), 0);
	return state;
}

/* Who is guaranteed nothing waits for the line, and moves it on. */
static void test_line_waits(void)
{
	struct edt_cfg cfg = { .rate_bps = 1000000000, .horizon_ns = 200000000, .class_id = LINE };
	uint64_t next = now_ns() + 100000000;
	struct edt_state state = { 0 };

	put(&cfg, &state);
	put_line(8000000, next);
	CU_ASSERT_EQUAL(send_from(101, 1000, 0), TC_ACT_UNSPEC);
	CU_ASSERT_EQUAL(stamp, next);
	CU_ASSERT_EQUAL(get().next, next + 8000);
	CU_ASSERT_EQUAL(get_line().next, next + 1000000);
	CU_ASSERT_EQUAL(get_line().bytes, 1000);
	CU_ASSERT_EQUAL(send_from(101, 1000, 0), TC_ACT_UNSPEC);
	CU_ASSERT_EQUAL(get().next, next + 1000000 + 8000);
}

/* What leaves a macvtap comes from the guest: it is on the line of the other direction, to whomever
 * it goes. */
static void test_line_turned(void)
{
	static unsigned char to_all[500] = { 255, 255, 255, 255, 255, 255 };
	struct edt_cfg cfg = { .rate_bps = 1000000000,
			       .horizon_ns = LATER_NS * 2,
			       .class_id = LINE,
			       .flags = EDT_TURNED };
	struct edt_state state = { 0 };
	struct edt_line_state other = { 0 };
	struct edt_line_cfg line = { .rate_bps = 8000000 };
	uint32_t key = EDT_LINE_KEY(LINE, EDT_OUT);

	put_line(8000000, 7);
	CU_ASSERT_EQUAL(bpf_map_update_elem(bpf_map__fd(skel->maps.qosd_line), &key, &line, 0), 0);
	CU_ASSERT_EQUAL(bpf_map_update_elem(bpf_map__fd(skel->maps.qosd_line_st), &key, &other, 0),
			0);
	put(&cfg, &state);
	CU_ASSERT_EQUAL(send_packet(1000, 0), TC_ACT_UNSPEC);
	CU_ASSERT_EQUAL(run(to_all, sizeof(to_all)), TC_ACT_UNSPEC);
	CU_ASSERT_EQUAL(get_line().bytes, 0);
	CU_ASSERT_EQUAL(bpf_map_lookup_elem(bpf_map__fd(skel->maps.qosd_line_st), &key, &other), 0);
	CU_ASSERT_EQUAL(other.bytes, 1000 + sizeof(to_all));
}

/* A frame to a group, of which each tap gets a copy, neither waits for the line nor moves it on,
 * and takes nothing of a guarantee. */
static void test_line_group(void)
{
	static unsigned char packet[1000] = { 1, 0, 0x5e };
	struct edt_cfg cfg = { .rate_bps = 1000000000,
			       .horizon_ns = 200000000,
			       .class_id = LINE,
			       .guaranteed_bps = 800000 };
	uint64_t next = now_ns() + 100000000;
	struct edt_state state = { 0 };

	put(&cfg, &state);
	put_line(8000000, next);
	CU_ASSERT_EQUAL(run(packet, sizeof(packet)), TC_ACT_UNSPEC);
	CU_ASSERT_EQUAL(stamp, 0);
	CU_ASSERT_EQUAL(get().bytes, sizeof(packet)); /* of its own rate */
	CU_ASSERT_EQUAL(get().due, 0);
	CU_ASSERT_EQUAL(get_line().next, next);
	CU_ASSERT_EQUAL(get_line().bytes, 0);
}

/* Up to its guarantee a NIC does not wait, but the line is charged. */
static void test_line_guarantee(void)
{
	struct edt_cfg cfg = { .rate_bps = 1000000000,
			       .horizon_ns = 2000000000,
			       .class_id = LINE,
			       .guaranteed_bps = 800000 };
	uint64_t before = now_ns(), next = before + 100000000;
	struct edt_state state = { 0 };

	put(&cfg, &state);
	put_line(8000000, next);
	CU_ASSERT_EQUAL(send_from(102, 1000, 0), TC_ACT_UNSPEC);
	state = get();
	CU_ASSERT(state.next < next);
	CU_ASSERT(state.due >= before + 10000000 && state.due < next);
	CU_ASSERT_EQUAL(get_line().next, next + 1000000);
	CU_ASSERT_EQUAL(send_from(102, 1000, 0), TC_ACT_UNSPEC); /* 10 ms after the first */
	CU_ASSERT_EQUAL(get().next, state.due + 8000);
	CU_ASSERT_EQUAL(get().due, state.due + 10000000);
	put_line(8000000, before); /* the line is free before it is due: nobody waits */
	CU_ASSERT_EQUAL(send_from(102, 1000, 0), TC_ACT_UNSPEC);
	CU_ASSERT_EQUAL(get().next, state.due + 16000);
}

/* The sparse lane passes a line that is busy, but not one that is far behind, unless the packet is
 * guaranteed. */
static void test_line_sparse(void)
{
	struct edt_cfg cfg = { .rate_bps = 1000000000,
			       .horizon_ns = 2000000000,
			       .sparse_bytes = 200,
			       .class_id = LINE };
	uint64_t next = now_ns() + 1000000000;
	struct edt_state state = { 0 };

	put(&cfg, &state);
	put_line(8000000, next);
	CU_ASSERT_EQUAL(send_from(105, 100, 0), TC_ACT_UNSPEC);
	CU_ASSERT_EQUAL(stamp, next);
	cfg.guaranteed_bps = 800000;
	put(&cfg, &state);
	CU_ASSERT_EQUAL(send_from(106, 100, 0), TC_ACT_UNSPEC);
	CU_ASSERT_EQUAL(stamp, 0);
	cfg.guaranteed_bps = 0;
	put(&cfg, &state);
	put_line(8000000, now_ns() + 20000000);
	CU_ASSERT_EQUAL(send_from(107, 100, 0), TC_ACT_UNSPEC);
	CU_ASSERT_EQUAL(stamp, 0);
	CU_ASSERT_EQUAL(get_line().bytes, 100);
}

/* What is dropped is not charged, and a line without a rate holds nobody. */
static void test_line_drops(void)
{
	struct edt_cfg cfg = { .rate_bps = 1000000000, .horizon_ns = 50000000, .class_id = LINE };
	uint64_t next = now_ns() + LATER_NS;
	struct edt_state state = { 0 };

	put(&cfg, &state);
	put_line(8000000, next);
	CU_ASSERT_EQUAL(send_from(103, 1000, 0), TC_ACT_SHOT);
	CU_ASSERT_EQUAL(get_line().next, next);
	CU_ASSERT_EQUAL(get_line().bytes, 0);
	put_line(0, 0);
	CU_ASSERT_EQUAL(send_from(103, 1000, 0), TC_ACT_UNSPEC);
	CU_ASSERT_EQUAL(get_line().next, 0);
}

/* CoDel takes the second packet of a flow, but not of one that has crossed a line that is shared.
 */
static void test_line_crossed(void)
{
	struct edt_cfg cfg = { .rate_bps = 1211200, /* a packet takes 10 ms */
			       .horizon_ns = 15000000000,
			       .target_ns = 5000000,
			       .interval_ns = 1000000000,
			       .packet_ns = 10000000 };
	const struct edt_state due = { .next = now_ns() + 2000000000, .codel_due = 1 };
	struct edt_state state = due;

	put_line(1000000000, 0);
	put(&cfg, &state);
	CU_ASSERT_EQUAL(send_from(108, 1514, 0), TC_ACT_UNSPEC);
	CU_ASSERT_EQUAL(send_from(108, 1514, 0), TC_ACT_UNSPEC);
	CU_ASSERT_EQUAL(send_from(108, 1514, 0), TC_ACT_SHOT);
	cfg.class_id = LINE;
	state = due;
	put(&cfg, &state);
	CU_ASSERT_EQUAL(send_from(109, 1514, 0), TC_ACT_UNSPEC);
	CU_ASSERT_EQUAL(send_from(109, 1514, 0), TC_ACT_UNSPEC);
	CU_ASSERT_EQUAL(send_from(109, 1514, 0), TC_ACT_UNSPEC);
	CU_ASSERT_EQUAL(send_from(109, 1514, 0), TC_ACT_SHOT);
}

/* The debt that guaranteed traffic can make is bounded. */
static void test_line_debt(void)
{
	struct edt_cfg cfg = { .rate_bps = 1000000000000,
			       .horizon_ns = LATER_NS,
			       .class_id = LINE,
			       .guaranteed_bps = 1000000000000 };
	struct edt_state state = { 0 };
	uint64_t next;

	put(&cfg, &state);
	put_line(8000, now_ns()); /* a second for each packet */
	for (int i = 0; i < 10; i++)
		CU_ASSERT_EQUAL(send_from(104, 1000, 0), TC_ACT_UNSPEC);
	next = get_line().next;
	CU_ASSERT(next > now_ns() && next < now_ns() + 1300000000);
}

int main(void)
{
	static const struct test tests[] = {
		{ "a shared line makes wait", test_line_waits },
		{ "a macvtap's line", test_line_turned },
		{ "copies for many", test_line_group },
		{ "a guarantee does not wait", test_line_guarantee },
		{ "the sparse lane and the line", test_line_sparse },
		{ "a drop is not charged to the line", test_line_drops },
		{ "what has crossed the line is dropped later", test_line_crossed },
		{ "the line's debt is bounded", test_line_debt },
	};

	return edt_bench_run("net_line", tests, ARRAY_SIZE(tests));
}
