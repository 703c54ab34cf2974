/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What TCP and UDP flows through one NIC get of the shaper, by a model. Needs no rights. */
#include "t/unit/net_law_model.h"

static void test_rate(void)
{
	static const uint64_t rates[] = { 1000000, 20000000, 300000000, 10000000000 };

	for (size_t i = 0; i < ARRAY_SIZE(rates); i++) {
		uint64_t ns = rates[i] > 1000000000 ? SECOND / 4 : 10 * SECOND;
		double rate_mbit = (double)rates[i] / 1e6;

		begin(rates[i]);
		add(UDP, 1, 0, 1442 * 8 * SECOND / 2 / rates[i]);
		run(SECOND, ns);
		between("a flood of UDP", mbit(UDP, ns), 0.99 * rate_mbit, 1.01 * rate_mbit);
		if (rates[i] > 300000000)
			continue;
		begin(rates[i]);
		add(TCP, 8, 0, 0);
		run(5 * SECOND, ns);
		between("8 TCP flows", mbit(TCP, ns), 0.98 * rate_mbit, 1.02 * rate_mbit);
	}
}

static void test_long_way(void)
{
	begin(100000000);
	add(TCP, 1, 60 * MS, 0);
	run(2 * SECOND, 8 * SECOND);
	between("one TCP flow over 60 ms", mbit(TCP, 8 * SECOND), 90, 101);
	between("its wait", wait_p99_ms(TCP), 0, 10);
	begin(100000000);
	add(TCP, 8, 10 * MS, 0);
	run(5 * SECOND, 10 * SECOND);
	between("8 TCP flows over 10 ms", mbit(TCP, 10 * SECOND), 99, 101);
	between("their wait", wait_p99_ms(TCP), 0, 10);
	between("their fairness", jain(), 0.95, 1);
}

static void test_many_flows(void)
{
	static const struct {
		uint64_t rate_bps, rtt_ns;
		double wait_ms;
	} cases[] = { { 2000000, 10 * MS, 800 },
		      { 20000000, 10 * MS, 75 },
		      { 100000000, 10 * MS, 10 },
		      { 100000000, 60 * MS, 10 } };

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		begin(cases[i].rate_bps);
		add(TCP, 64, cases[i].rtt_ns, 0);
		run(5 * SECOND, 20 * SECOND);
		between("64 TCP flows", mbit(TCP, 20 * SECOND) * 1e6 / (double)cases[i].rate_bps,
			0.99, 1.03);
		between("their fairness", jain(), 0.95, 1);
		between("their wait", wait_p99_ms(TCP), 0, cases[i].wait_ms);
	}
}

/* The flows end; others begin with the NIC as those left it. */
static void succeed(int count, uint64_t rtt_ns)
{
	flow_count = 0;
	memset(wait_count, 0, sizeof(wait_count));
	world.now_ns += 300 * MS;
	add(TCP, count, rtt_ns, 0);
}

/* Over a long way the flows of a queue come to be alike, and wait for little; and one that is alone
 * after them is not taken for one of many. */
static void test_far_flows(void)
{
	double fair = 0, alone = 0, wait = 0, lost = 0;

	for (uint32_t i = 1; i <= 8; i++) {
		begin(100000000);
		seed = i * 7919;
		add(TCP, 1, 60 * MS, 0);
		run(SECOND, SECOND);
		succeed(8, 60 * MS);
		run(2 * SECOND, 5 * SECOND);
		fair += jain() / 8;
		wait = fmax(wait, wait_p99_ms(TCP));
		for (int k = 0; k < flow_count; k++)
			lost += flows[k].lost / 8.0;
		between("8 flows over 60 ms", mbit(TCP, 5 * SECOND), 99, 101);
		succeed(1, 60 * MS);
		run(2 * SECOND, 6 * SECOND);
		alone += mbit(TCP, 6 * SECOND) / 8;
	}
	between("their fairness", fair, 0.97, 1);
	between("their wait", wait, 0, 9);
	between("bundles that they lose", lost, 8, 80);
	between("one alone after them", alone, 90, 101);
	begin(100000000);
	add(TCP, 8, 0, 0);
	run(2 * SECOND, 4 * SECOND);
	between("how long 8 near flows wait", wait_p99_ms(TCP), 0, 9);
}

/* An even share of the line is 50 and 80. */
static void test_flood(void)
{
	begin(100000000);
	add(UDP, 1, 0, 1442 * 8 * SECOND / 200000000);
	add(TCP, 1, 10 * MS, 0);
	run(5 * SECOND, 10 * SECOND);
	between("TCP beside a flood", mbit(TCP, 10 * SECOND), 45, 60);
	between("how long all wait", wait_p99_ms(TCP), 0, 22);
	begin(100000000);
	add(UDP, 1, 0, 1442 * 8 * SECOND / 1000000000);
	add(TCP, 4, 10 * MS, 0);
	run(5 * SECOND, 10 * SECOND);
	between("4 TCP flows beside a great flood", mbit(TCP, 10 * SECOND), 70, 85);
	between("how long all wait", wait_p99_ms(TCP), 0, 22);
}

/* Four times what the line carries in small packets, of one flow or of any number: the line is
 * full, but no more packets wait for it than may. */
static void check_crowd(uint64_t rate_bps, bool one_flow)
{
	uint64_t *leaves = calloc(MAX_WAITS, sizeof(*leaves)), bytes = 0;
	int first = 0, count = 0, most = 0;

	begin(rate_bps);
	for (; world.now_ns < 2 * SECOND; world.now_ns += 60 * 8 * SECOND / 4 / rate_bps) {
		struct __sk_buff skb = { .wire_len = 60 };

		world.hash = one_flow ? 12345 : rnd() << 16 ^ rnd();
		world.stamp_ns = world.now_ns;
		if (edt_in(&skb) == TC_ACT_SHOT)
			continue;
		bytes += 60;
		if (world.stamp_ns > world.now_ns && count < MAX_WAITS)
			leaves[count++] = world.stamp_ns;
		while (first < count && leaves[first] <= world.now_ns)
			first++;
		most = count - first > most ? count - first : most;
	}
	between("small packets that wait", most, 1, 1.1 * cfg.queue_packets);
	between("what passes of them", (double)bytes * 8 / (double)rate_bps, 0.99, 1.05);
	free(leaves);
}

static void test_small_packets(void)
{
	check_crowd(100000000, true);
	check_crowd(100000000, false);
	check_crowd(400000000, false);
}

/* What leaves at once after a second of silence is the credit, and no more. */
static void test_credit(void)
{
	for (uint64_t burst_us = 5000; burst_us <= 200000; burst_us *= 40) {
		int at_once = 0;

		begin(100000000);
		cfg.burst_ns = burst_us * 1000;
		world.now_ns += SECOND;
		for (int i = 0; i < 3000; i++) {
			struct __sk_buff skb = { .wire_len = 1514 };

			world.stamp_ns = world.now_ns;
			at_once += edt_in(&skb) != TC_ACT_SHOT && world.stamp_ns <= world.now_ns;
		}
		between("packets at once", at_once, (double)burst_us * 12.5 / 1514,
			(double)burst_us * 12.5 / 1514 + 2);
	}
}

/* A guest's virtio header says into how many segments the kernel cuts its packet. */
static double mbit_of(uint64_t rate_bps, uint32_t wire_len, uint32_t len, uint32_t truth,
		      uint64_t step_ns)
{
	uint64_t bytes = 0;

	begin(rate_bps);
	for (; world.now_ns < 20 * SECOND; world.now_ns += step_ns) {
		struct __sk_buff skb = { .wire_len = wire_len, .len = len };

		world.stamp_ns = world.now_ns;
		if (edt_in(&skb) != TC_ACT_SHOT)
			bytes += truth;
	}
	return (double)bytes * 8 / 20e6;
}

static void test_segments(void)
{
	between("segments of one byte", mbit_of(1000000000, 8800000, 65536, 8800000, 20 * MS), 900,
		1040);
	between("a length that is not known", mbit_of(100000000, 0, 65536, 65536, 2 * MS), 90, 102);
	/* What alone takes longer than anybody may wait is no reason for others to wait. */
	between("so many of them", mbit_of(20000000, 8800000, 65536, 8800000, 20 * MS), 0, 0);
	CU_ASSERT_EQUAL(state.next, 0);
	CU_ASSERT(state.dropped_packets > 900);
	CU_ASSERT_EQUAL(state.dropped_bytes, 0); /* no line would have carried them */
}

static void test_pings(void)
{
	begin(20000000);
	add(PING, 1, 0, 20 * MS);
	add(TCP, 64, 10 * MS, 0);
	add(UDP, 1, 0, 1442 * 8 * SECOND / 40000000);
	run(3 * SECOND, 10 * SECOND);
	between("a ping beside all that", wait_p99_ms(PING), 0, 2);
	CU_ASSERT_EQUAL(flows[0].lost, 0);
}

int main(void)
{
	static const struct test tests[] = {
		{ "rates", test_rate },
		{ "long round trips", test_long_way },
		{ "64 flows are alike", test_many_flows },
		{ "8 flows, far and near", test_far_flows },
		{ "a flood", test_flood },
		{ "few small packets wait", test_small_packets },
		{ "what a guest says of its packets", test_segments },
		{ "a burst", test_credit },
		{ "pings pass", test_pings },
	};

	return harness_run("net_law", tests, ARRAY_SIZE(tests));
}
