/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The shaper's program itself: clock, carry, horizon, CoDel, sparse lane, fairness of flows.
 */
#include "t/unit/edt_bench.h"

/* A packet of another protocol. */
static int send_ethertype(uint16_t type, uint32_t bytes)
{
	static unsigned char packet[1514];

	packet[12] = (unsigned char)(type >> 8);
	packet[13] = (unsigned char)type;
	packet[14] = type == 0x86dd ? 0x60 : 0;
	return run(packet, bytes);
}

static void test_unlimited(void)
{
	struct edt_cfg cfg = { .rate_bps = 0 };
	struct edt_state state = { .next = 5 };

	put(&cfg, &state);
	CU_ASSERT_EQUAL(send_packet(1514, 0), TC_ACT_UNSPEC);
	state = get();
	CU_ASSERT_EQUAL(state.next, 5);
	CU_ASSERT_EQUAL(state.packets, 0);
}

static void put_near(uint64_t near)
{
	uint32_t place = EDT_NEAR_PLACE(EDT_KEY(IFINDEX, EDT_IN));

	CU_ASSERT_EQUAL(bpf_map_update_elem(bpf_map__fd(skel->maps.qosd_near), &place, &near, 0),
			0);
}

/* Is the packet counted in SLOT? */
static bool counted(void)
{
	uint64_t before = get().packets;

	CU_ASSERT_EQUAL(send_packet(1514, 0), TC_ACT_UNSPEC);
	return get().packets != before;
}

/* The place in qosd_near may tell the slot, be another NIC's, or be empty. */
static void test_slots(void)
{
	struct edt_cfg cfg = { .rate_bps = 1000000, .horizon_ns = 1000000000 };
	struct edt_state state = { .next = 0 };
	uint32_t key = EDT_KEY(IFINDEX, EDT_IN), slot = SLOT, wrong = SLOT + 1;

	put(&cfg, &state);
	CU_ASSERT_TRUE(counted());
	put_near(EDT_NEAR_OF(key + EDT_ENTRIES, wrong));
	CU_ASSERT_TRUE(counted());
	put_near(EDT_NEAR_OF(key, wrong)); /* a slot that is not its own */
	CU_ASSERT_TRUE(counted());
	CU_ASSERT_EQUAL(bpf_map_delete_elem(bpf_map__fd(skel->maps.qosd_slot), &key), 0);
	CU_ASSERT_FALSE(counted());
	put_near(EDT_NEAR_OF(key, SLOT));
	CU_ASSERT_TRUE(counted());
	put_near(0);
	CU_ASSERT_FALSE(counted());
	put(&cfg, &state);
	CU_ASSERT_TRUE(counted());
	cfg.key = key + 2; /* another's entry, as where a slot is given anew at this moment */
	CU_ASSERT_EQUAL(bpf_map_update_elem(bpf_map__fd(skel->maps.qosd_cfg), &slot, &cfg, 0), 0);
	CU_ASSERT_FALSE(counted());
}

/* A thousand packets move the clock by exactly their length, at any rate. */
static void check_rate(uint64_t rate_bps, uint32_t bytes)
{
	struct edt_cfg cfg = { .rate_bps = rate_bps, .horizon_ns = UINT64_MAX / 2 };
	uint64_t start = now_ns() + LATER_NS;
	struct edt_state state = { .next = start };
	long double want = 1000.0L * bytes * 8 * 1e9L / rate_bps;

	put(&cfg, &state);
	for (int i = 0; i < 1000; i++)
		CU_ASSERT_EQUAL(send_packet(bytes, 0), TC_ACT_UNSPEC);
	state = get();
	CU_ASSERT(state.next - start <= (uint64_t)want + 1);
	CU_ASSERT(state.next - start + 1 >= (uint64_t)want);
	CU_ASSERT_EQUAL(state.packets, 1000);
	CU_ASSERT_EQUAL(state.bytes, 1000ULL * bytes);
}

static void test_rates(void)
{
	check_rate(64000, 1514);
	check_rate(20000000, 1514);
	check_rate(1000000007, 60);
	check_rate(100000000000, 60); /* 4.8 ns */
	check_rate(100000000000, 1514);
}

static void test_idle_credit(void)
{
	struct edt_cfg cfg = { .rate_bps = 8000, .horizon_ns = 1, .burst_ns = 5000000000 };
	struct edt_state state = { .next = 0 };
	uint64_t now;

	put(&cfg, &state); /* 125 bytes take 125 ms: 40 fit into 5 s */
	for (int i = 0; i < 40; i++)
		CU_ASSERT_EQUAL(send_packet(125, 0), TC_ACT_UNSPEC);
	now = now_ns();
	state = get();
	CU_ASSERT(state.next <= now + 1000000);
	CU_ASSERT(state.next + 2000000000 > now);
}

static void test_horizon(void)
{
	struct edt_cfg cfg = { .rate_bps = 1000000, .horizon_ns = LATER_NS };
	struct edt_state state = { .next = now_ns() + 2 * LATER_NS };

	put(&cfg, &state);
	CU_ASSERT_EQUAL(send_packet(1514, 0), TC_ACT_SHOT);
	state = get();
	CU_ASSERT_EQUAL(state.dropped_packets, 1);
	CU_ASSERT_EQUAL(state.dropped_bytes, 1514);
	CU_ASSERT_EQUAL(state.packets, 0);
	CU_ASSERT_EQUAL(state.carry, 0);
	CU_ASSERT(state.queue_ns > LATER_NS);
}

/* Above the target for longer than an interval of departures: drop what cannot be marked, mark what
 * can. A line that is slow, so that time does not pass meanwhile: a packet takes 1 s. */
static void test_codel(void)
{
	struct edt_cfg cfg = { .rate_bps = 12112,
			       .horizon_ns = 15000000000,
			       .target_ns = 500000000,
			       .interval_ns = 1500000000 };
	uint64_t start = now_ns() + 1000000000;
	struct edt_state state = { .next = start };

	put(&cfg, &state);
	CU_ASSERT_EQUAL(send_packet(1514, 0), TC_ACT_UNSPEC); /* the interval begins */
	CU_ASSERT_EQUAL(get().codel_due, start + 1500000000);
	CU_ASSERT_EQUAL(send_packet(1514, 0), TC_ACT_UNSPEC); /* departs 1 s later */
	CU_ASSERT_EQUAL(send_packet(1514, 0), TC_ACT_SHOT);
	state = get();
	CU_ASSERT_EQUAL(state.dropped_packets, 1);
	CU_ASSERT_EQUAL(state.packets, 2);
	CU_ASSERT_EQUAL(state.delayed_packets, 2);
	CU_ASSERT_EQUAL(state.next, start + 2000000000);
	CU_ASSERT_EQUAL(send_packet(1514, 2), TC_ACT_UNSPEC); /* not yet again */
	CU_ASSERT_EQUAL(send_packet(1514, 2), TC_ACT_UNSPEC);
	CU_ASSERT_EQUAL(get().marked_packets, 0);
	CU_ASSERT_EQUAL(send_packet(1514, 2), TC_ACT_UNSPEC);
	state = get();
	CU_ASSERT_EQUAL(state.marked_packets, 1);
	CU_ASSERT_EQUAL(state.packets, 5);
	CU_ASSERT_EQUAL(state.codel_count, 2); /* one step of Newton from 1: */
	CU_ASSERT(state.codel_inv_sqrt >> 28 == 7 || state.codel_inv_sqrt >> 28 == 8); /* 0.5 */
}

/* CoDel waits for a flow that has more queued; a delay that falls needs nothing. */
static void test_codel_spares(void)
{
	struct edt_cfg cfg = { .rate_bps = 1211200, /* a packet takes 10 ms */
			       .horizon_ns = 15000000000,
			       .target_ns = 5000000,
			       .interval_ns = 1000000000,
			       .packet_ns = 10000000 };
	struct edt_state state = { .next = now_ns() + 2000000000 };

	put(&cfg, &state);
	for (int i = 0; i < 50; i++)
		CU_ASSERT_EQUAL(send_from(10, 1514, 0), TC_ACT_UNSPEC);
	for (int i = 0; i < 4; i++)
		CU_ASSERT_EQUAL(send_from(11, 1514, 0), TC_ACT_UNSPEC);
	state = get();
	state.codel_due = 1; /* since long */
	put(&cfg, &state);
	CU_ASSERT_EQUAL(send_from(11, 1514, 0), TC_ACT_UNSPEC);
	CU_ASSERT_EQUAL(send_from(12, 1514, 0), TC_ACT_UNSPEC);
	CU_ASSERT_EQUAL(send_from(10, 1514, 0), TC_ACT_SHOT);
	state = get();
	CU_ASSERT(state.codel_delay_ns > 2000000000);
	CU_ASSERT_EQUAL(state.codel_count, 1);
	state.codel_next = 1; /* due again, but the delay has been twice as long */
	state.codel_delay_ns *= 2;
	put(&cfg, &state);
	CU_ASSERT_EQUAL(send_from(10, 1514, 0), TC_ACT_UNSPEC);
	CU_ASSERT_EQUAL(get().codel_count, 1);
	state = get();
	state.codel_next = 1;
	put(&cfg, &state);
	CU_ASSERT_EQUAL(send_from(10, 1514, 0), TC_ACT_SHOT);
	CU_ASSERT_EQUAL(get().codel_count, 2);
}

static uint32_t accepted(uint8_t port)
{
	uint32_t n = 0;

	while (n < 10000 && send_from(port, 1514, 0) == TC_ACT_UNSPEC)
		n++;
	return n;
}

/* A flow may have as much queued as is free: half of the room, then half of the rest, and one that
 * has next to nothing queued always gets in. The longer CoDel is at it, the less room. */
static void test_flows_share_the_room(void)
{
	struct edt_cfg cfg = { .rate_bps = 1211200,
			       .horizon_ns = 16000000000,
			       .interval_ns = 1000000000,
			       .packet_ns = 10000000 };
	struct edt_state state = { .next = 0 };
	uint32_t first, second;

	put(&cfg, &state);
	first = accepted(20); /* 8 s, of 10 ms each */
	CU_ASSERT(first >= 780 && first <= 820);
	second = accepted(21);
	CU_ASSERT(second >= 380 && second <= 420);
	CU_ASSERT(accepted(22) >= 180);
	CU_ASSERT_EQUAL(send_from(20, 1514, 0), TC_ACT_SHOT);
	CU_ASSERT_EQUAL(send_from(23, 1514, 0), TC_ACT_UNSPEC);

	cfg.target_ns = 100000000;
	state = (struct edt_state){ .codel_dropping = 1,
				    .codel_due = 1,
				    .codel_next = UINT64_MAX / 2,
				    .codel_count = 256,
				    .codel_inv_sqrt = 1U << 28 };
	put(&cfg, &state); /* room is 16 s * 2 / 16 */
	state.next = now_ns() + cfg.target_ns + 1000000000;
	state.codel_next = state.next + 100000000000;
	put(&cfg, &state);
	first = accepted(24); /* 1.1 s are queued: 0.45 are left for it */
	CU_ASSERT(first >= 40 && first <= 50);
}

/* What is neither IPv4 nor UDP is shaped as well, and ARP takes the lane. */
static void test_other_protocols(void)
{
	struct edt_cfg cfg = { .rate_bps = 1000000, .horizon_ns = 5000000000, .sparse_bytes = 200 };
	struct edt_state state = { .next = now_ns() + 1000000000 };

	put(&cfg, &state);
	CU_ASSERT_EQUAL(send_ethertype(0x86dd, 1514), TC_ACT_UNSPEC);
	CU_ASSERT_EQUAL(stamp, state.next);
	CU_ASSERT_EQUAL(send_ethertype(0x88b5, 1514), TC_ACT_UNSPEC); /* not IP */
	CU_ASSERT_EQUAL(stamp, state.next + 12112000);
	CU_ASSERT_EQUAL(send_ethertype(0x0806, 60), TC_ACT_UNSPEC);
	CU_ASSERT_EQUAL(stamp, 0);
	CU_ASSERT_EQUAL(get().packets, 3);
	CU_ASSERT_EQUAL(get().delayed_packets, 2);
	CU_ASSERT_EQUAL(get().next, state.next + 2 * 12112000 + 480000);
}

/* Small packets of a flow with nothing queued pass a full queue, but not without end. */
static void test_sparse(void)
{
	struct edt_cfg cfg = { .rate_bps = 80000000, .horizon_ns = 100000000, .sparse_bytes = 200 };
	struct edt_state state = { .next = now_ns() + 3000000000 };
	int passed = 0;

	put(&cfg, &state);
	CU_ASSERT_EQUAL(send_from(2, 1514, 0), TC_ACT_SHOT);
	CU_ASSERT_EQUAL(send_from(2, 200, 0), TC_ACT_UNSPEC);
	for (int i = 0; i < 10000;
	     i++) /* 200 bytes take 160 us of the lane, whose credit is 20 ms */
		passed += send_from(2, 200, 0) == TC_ACT_UNSPEC;
	CU_ASSERT(passed >= 120);
	CU_ASSERT(passed < 9000);
	state = get();
	CU_ASSERT_EQUAL(state.packets, (uint64_t)passed + 1); /* charged like any other */
	CU_ASSERT_EQUAL(state.bytes, (uint64_t)(passed + 1) * 200);
}

/* The flow has something queued: a small packet must not overtake it. */
static void test_no_reordering(void)
{
	struct edt_cfg cfg = { .rate_bps = 1000000, .horizon_ns = 1000000000, .sparse_bytes = 200 };
	struct edt_state state = { .next = now_ns() + 500000000 };
	uint64_t before;

	put(&cfg, &state);
	CU_ASSERT_EQUAL(send_from(3, 1514, 0), TC_ACT_UNSPEC);
	before = get().next;
	CU_ASSERT_EQUAL(send_from(3, 100, 0), TC_ACT_UNSPEC);
	state = get();
	CU_ASSERT_EQUAL(state.sparse_next, 0);
	CU_ASSERT_EQUAL(state.next, before + 800000);
}

int main(void)
{
	static const struct test tests[] = {
		{ "rate 0 is no limit", test_unlimited },
		{ "how a NIC is found", test_slots },
		{ "rates are exact from 64 kbit/s to 100 Gbit/s", test_rates },
		{ "credit while idle", test_idle_credit },
		{ "the horizon drops", test_horizon },
		{ "CoDel drops and marks", test_codel },
		{ "CoDel spares whom it should", test_codel_spares },
		{ "flows share the room", test_flows_share_the_room },
		{ "other protocols", test_other_protocols },
		{ "the sparse lane", test_sparse },
		{ "no flow is reordered", test_no_reordering },
	};

	return edt_bench_run("net_edt", tests, ARRAY_SIZE(tests));
}
