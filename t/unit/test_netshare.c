/* SPDX-License-Identifier: GPL-2.0-or-later */
/* netshare - rounds against the model of an uplink. Bounds are those that the lab checks with real
 * traffic. */
#include <errno.h>

#include "t/unit/netshare_model.h"

/* ---- the bounds ---- */

static void test_guarantee(void)
{
	struct line_model m;
	struct nic_model *gold, *bronze, *silver;

	model_init(&m, 100 * MBIT, 0);
	gold = model_add(&m, 50 * MBIT, 1);
	silver = model_add(&m, 0, 1);
	bronze = model_add(&m, 0, 1);
	bronze->offered = 300 * MBIT;
	run(&m, 3);
	CU_ASSERT(bronze->got >= 0.98 * m.capacity); /* it alone asks */
	gold->offered = 50 * MBIT;
	run(&m, 0.3);
	CU_ASSERT(gold->got >= 0.98 * 50 * MBIT);
	run(&m, 0.2);
	CU_ASSERT(bronze->got >= 0.98 * (m.capacity - gold->got));
	silver->offered = 100 * MBIT;
	run(&m, 1);
	CU_ASSERT(gold->got >= 0.98 * 50 * MBIT);
	CU_ASSERT(silver->got >= 0.9 * bronze->got && bronze->got >= 0.9 * silver->got);
	gold->offered = silver->offered = 0;
	run(&m, 0.5);
	CU_ASSERT(bronze->got >= 0.98 * m.capacity);
	model_done(&m);
}

static void test_weights(void)
{
	struct line_model m;

	model_init(&m, 120 * MBIT, 0);
	model_add(&m, 20 * MBIT, 3)->offered = 500 * MBIT;
	model_add(&m, 0, 1)->offered = 500 * MBIT;
	model_add(&m, 0, 1)->offered = 5 * MBIT;
	run(&m, 2);
	CU_ASSERT_DOUBLE_EQUAL(m.nics[0].got, (20 + 71) * MBIT, 3 * MBIT);
	CU_ASSERT_DOUBLE_EQUAL(m.nics[1].got, 24 * MBIT, 3 * MBIT);
	CU_ASSERT_DOUBLE_EQUAL(m.nics[2].got, 5 * MBIT, 0.1 * MBIT);
	model_done(&m);
}

static void test_storm_and_storage(void)
{
	struct line_model m;

	model_init(&m, 100 * MBIT, 40 * MBIT);
	for (int i = 0; i < 10; i++)
		model_add(&m, 0, 1);
	m.host_offered = 40 * MBIT;
	run(&m, 2);
	CU_ASSERT(m.host_got >= 40 * MBIT); /* alone */
	for (int i = 0; i < 10; i++)
		m.nics[i].offered = 100 * MBIT;
	for (int i = 0; i < 200; i++) { /* not for a moment */
		run(&m, 0.01);
		CU_ASSERT(m.host_got >= 0.999 * 40 * MBIT);
	}
	m.host_offered = 0; /* lent at once, given back at once */
	run(&m, 0.5);
	CU_ASSERT(m.nics[0].got * 10 >= 0.95 * m.capacity);
	m.host_offered = 40 * MBIT;
	run(&m, 0.3);
	CU_ASSERT(m.host_got >= 0.98 * 40 * MBIT);
	model_done(&m);
}

static uint64_t line_out(const struct line_model *m)
{
	return m->out.lines[0].rate_bps[NETSHARE_OUT];
}

/* The host's traffic on one device, of which some is told apart by its ports. */
static void model_apart(struct line_model *m)
{
	model_init(m, 100 * MBIT, 16 * MBIT);
	m->networks[2] = (struct network){ .name = (char *)"rbd",
					   .device = (char *)"eth0.7",
					   .uplink = (char *)"eth0",
					   .reservation_bps = 32 * MBIT,
					   .ports = { 1, { { 6800, 7568 } } } };
	m->policy.nnetworks = 3;
	m->apart_known = true;
	model_add(m, 0, 1)->offered = 300 * MBIT;
}

/* Each keeps what it reserves as soon as it uses it, and no byte counts twice. */
static void test_told_apart(void)
{
	struct line_model m;

	model_apart(&m);
	run(&m, 2); /* idle: a sixteenth of each is kept */
	CU_ASSERT(line_out(&m) > 96 * MBIT && line_out(&m) <= 97.1 * MBIT);
	for (int i = 0; i < 20; i++) { /* all that passes the device is told apart */
		m.host_sent += 30 * MBIT * 0.1;
		m.apart_sent += 30 * MBIT * 0.1;
		run(&m, 0.1);
	}
	CU_ASSERT(line_out(&m) > 66 * MBIT && line_out(&m) < 68 * MBIT);
	for (int i = 0; i < 20; i++) { /* some is not */
		m.host_sent += 42 * MBIT * 0.1;
		m.apart_sent += 30 * MBIT * 0.1;
		run(&m, 0.1);
	}
	CU_ASSERT(line_out(&m) > 51 * MBIT && line_out(&m) < 53 * MBIT);
	run(&m, 1); /* lent again */
	CU_ASSERT(line_out(&m) > 96 * MBIT);
	netshare_free(m.shares);
}

/* What cannot be counted may be there: all that is reserved for it is kept. */
static void test_apart_unknown(void)
{
	struct line_model m;

	model_apart(&m);
	m.apart_known = false;
	run(&m, 2);
	CU_ASSERT(line_out(&m) > 66 * MBIT && line_out(&m) < 68 * MBIT);
	netshare_free(m.shares);
}

/* Room for all: nobody is held back, and nothing is watched closely. */
static void test_calm(void)
{
	struct line_model m;

	model_init(&m, 1000 * MBIT, 100 * MBIT);
	for (int i = 0; i < 20; i++)
		model_add(&m, 10 * MBIT, 1)->offered = 10 * MBIT;
	run(&m, 3);
	CU_ASSERT_FALSE(m.out.busy);
	for (size_t i = 0; i < m.nnics; i++) {
		CU_ASSERT_EQUAL(m.out.rates[i].rate_bps[NETSHARE_OUT], NETSHARE_FREE);
		CU_ASSERT_EQUAL(m.out.rates[i].guaranteed_bps, 10 * MBIT);
	}
	m.nics[3].offered = 5000 * MBIT; /* a storm: held back within a round, and free again */
	run(&m, 1);
	CU_ASSERT(m.out.lines[0].contended[NETSHARE_OUT]);
	CU_ASSERT_FALSE(m.out.lines[0].contended[NETSHARE_IN]);
	m.nics[3].offered = 0;
	for (int i = 0; i < 20; i++) { /* some loses a packet now and then: no storm */
		m.nics[5].dropped += 12000;
		run(&m, 0.1);
	}
	CU_ASSERT_FALSE(m.out.lines[0].contended[NETSHARE_OUT]);
	CU_ASSERT_EQUAL(m.out.rates[3].rate_bps[NETSHARE_OUT], NETSHARE_FREE);
	model_done(&m);
}

/* What cannot be kept is cut in proportion, and the host's reservation goes first. */
static void test_too_much(void)
{
	struct line_model m;

	model_init(&m, 100 * MBIT, 40 * MBIT);
	model_add(&m, 80 * MBIT, 1);
	model_add(&m, 40 * MBIT, 1);
	run(&m, 1);
	CU_ASSERT_EQUAL(m.out.rates[0].guaranteed_bps, 40 * MBIT);
	CU_ASSERT_EQUAL(m.out.rates[1].guaranteed_bps, 20 * MBIT);
	model_done(&m);
}

/* Guarantees take all of the line: who has none keeps a trickle, for no NIC takes a rate of 0. */
static void test_trickle(void)
{
	uint64_t lowest = NETSHARE_FREE;
	struct line_model m;

	model_init(&m, 100 * MBIT, 0);
	model_add(&m, 60 * MBIT, 1)->offered = 200 * MBIT;
	model_add(&m, 40 * MBIT, 1)->offered = 200 * MBIT;
	model_add(&m, 0, 1)->offered = 200 * MBIT;
	for (int i = 0; i < 200; i++) {
		run(&m, 0.01);
		if (m.out.rates[2].rate_bps[NETSHARE_OUT] < lowest)
			lowest = m.out.rates[2].rate_bps[NETSHARE_OUT];
	}
	CU_ASSERT_EQUAL(lowest, NETSHARE_LEAST_BPS);
	CU_ASSERT(m.nics[0].got >= 0.98 * 60 * MBIT && m.nics[1].got >= 0.98 * 40 * MBIT);
	model_done(&m);
}

/* Demands that stand still: so do the rates. */
static void test_stands_still(void)
{
	struct line_model m;
	uint64_t before[NICS_MAX];

	model_init(&m, 100 * MBIT, 0);
	for (int i = 0; i < 8; i++)
		model_add(&m, i * MBIT, 1 + i % 3)->offered = (i + 1) * 7 * MBIT;
	run(&m, 3);
	for (size_t i = 0; i < m.nnics; i++)
		before[i] = m.out.rates[i].rate_bps[NETSHARE_OUT];
	for (int k = 0; k < 30; k++) {
		run(&m, 0.1);
		for (size_t i = 0; i < m.nnics; i++)
			CU_ASSERT_EQUAL(m.out.rates[i].rate_bps[NETSHARE_OUT], before[i]);
	}
	model_done(&m);
}

/* A guarantee that rises by little is in force at once, also where nobody asks for it. */
static void test_guarantee_rises(void)
{
	struct netshare_rate before[] = { { .ifindex = 10,
					    .rate_bps = { NETSHARE_FREE, 30000000 } } };
	struct line_model m;
	struct nic_model *gold;

	model_init(&m, 100 * MBIT, 0);
	gold = model_add(&m, 40 * MBIT, 1);
	model_add(&m, 0, 1)->offered = 500 * MBIT;
	CU_ASSERT_EQUAL(netshare_adopt(m.shares, before, 1), 0);
	round_now(&m); /* nothing is known of its use yet */
	CU_ASSERT_EQUAL(m.out.rates[0].rate_bps[NETSHARE_OUT], 40 * MBIT);
	run(&m, 2);
	for (; gold->reservation <= 48 * MBIT; gold->reservation += 0.0777 * MBIT) {
		run(&m, 0.1);
		round_now(&m);
		CU_ASSERT(m.out.rates[0].rate_bps[NETSHARE_OUT] >= m.out.rates[0].guaranteed_bps);
	}
	model_done(&m);
}

/* A daemon that has just begun keeps the rates of the one before until it has seen something. */
/* What the rates of both directions are after a second in which a hungry NIC loses so much. */
static void lose(struct line_model *m, double lost_bps, uint64_t ret[NETSHARE_DIRECTIONS])
{
	struct netshare_network nets[2] = { { .capacity_bps = (uint64_t)m->capacity },
					    { .capacity_bps = (uint64_t)m->capacity } };
	struct netshare_nic nic = { .ifindex = 10, .weight = 1 };
	struct netshare_input in = {
		.policy = &m->policy, .networks = nets, .nics = &nic, .nnics = 1
	};

	for (int i = 0; i < 100; i++) {
		struct netshare_count count = { .known = true };

		in.now_us = m->now_us += ROUND_US;
		count.bytes = (uint64_t)(m->capacity / 8 * (double)in.now_us / 1e6);
		count.pressed = (uint64_t)i;
		count.lost_bytes = (uint64_t)(lost_bps / 8 * (double)in.now_us / 1e6);
		for (size_t d = 0; d < NETSHARE_DIRECTIONS; d++) {
			nic.limit_bps[d] = NETSHARE_FREE;
			nic.count[d] = count;
		}
		CU_ASSERT_EQUAL(netshare_round(m->shares, &in, &m->out), 0);
	}
	for (size_t d = 0; d < NETSHARE_DIRECTIONS; d++)
		ret[d] = m->out.lines[0].rate_bps[d];
}

/* What came in and was dropped has crossed the uplink; what did not go out has not. */
static void test_lost_on_the_way(void)
{
	uint64_t none[NETSHARE_DIRECTIONS], some[NETSHARE_DIRECTIONS], most[NETSHARE_DIRECTIONS];
	struct line_model m;

	model_init(&m, 100 * MBIT, 0);
	lose(&m, 0, none);
	netshare_reset(m.shares);
	lose(&m, 4 * MBIT, some);
	netshare_reset(m.shares);
	lose(&m, 60 * MBIT, most);
	CU_ASSERT_DOUBLE_EQUAL((double)(none[NETSHARE_IN] - some[NETSHARE_IN]), 4 * MBIT, MBIT);
	CU_ASSERT_DOUBLE_EQUAL((double)(none[NETSHARE_IN] - most[NETSHARE_IN]), 12.5 * MBIT, MBIT);
	CU_ASSERT_EQUAL(some[NETSHARE_OUT], none[NETSHARE_OUT]);
	CU_ASSERT_EQUAL(most[NETSHARE_OUT], none[NETSHARE_OUT]);
	model_done(&m);
}

static void test_adopts(void)
{
	struct netshare_rate before[] = { { .ifindex = 10,
					    .rate_bps = { NETSHARE_FREE, 7000000 } } };
	struct line_model m;

	model_init(&m, 100 * MBIT, 0);
	model_add(&m, 0, 1)->offered = 500 * MBIT;
	model_add(&m, 0, 1)->offered = 500 * MBIT;
	CU_ASSERT_EQUAL(netshare_adopt(m.shares, before, 1), 0);
	round_now(&m);
	CU_ASSERT_EQUAL(m.out.rates[0].rate_bps[NETSHARE_OUT], 7000000);
	CU_ASSERT_EQUAL(m.out.rates[0].rate_bps[NETSHARE_IN], NETSHARE_FREE);
	CU_ASSERT_EQUAL(m.out.rates[1].rate_bps[NETSHARE_OUT], NETSHARE_FREE);
	run(&m, 1);
	CU_ASSERT_DOUBLE_EQUAL(m.nics[0].got, 50 * MBIT, 2 * MBIT);
	netshare_reset(m.shares);
	round_now(&m);
	CU_ASSERT_EQUAL(m.out.rates[0].rate_bps[NETSHARE_OUT], NETSHARE_FREE);
	model_done(&m);
}

/* More NICs than there is memory for: nothing is left that points to what may have moved. */
static void test_no_memory(void)
{
	struct netshare_network nets[2] = { { .capacity_bps = 1 } };
	struct netshare_input in = { .networks = nets, .nnics = SIZE_MAX / 4 };
	struct line_model m;

	model_init(&m, 100 * MBIT, 0);
	model_add(&m, 0, 1)->offered = 50 * MBIT;
	run(&m, 1);
	in.policy = &m.policy;
	in.now_us = m.now_us;
	CU_ASSERT_EQUAL(netshare_round(m.shares, &in, &m.out), -ENOMEM);
	CU_ASSERT_PTR_NULL(m.out.rates);
	CU_ASSERT_PTR_NULL(m.out.lines);
	CU_ASSERT_EQUAL(m.out.count + m.out.nlines, 0);
	run(&m, 0.5);
	CU_ASSERT(m.nics[0].got >= 0.98 * 50 * MBIT);
	model_done(&m);
}

/* ---- bursts at random ---- */

static double any(unsigned short seed[3], double below)
{
	return erand48(seed) * below;
}

/*
 * Each asks for a tenth of a second up to 1.6 s and rests likewise: who owns something has it
 * 300 ms after asking, and of a line that all this changes on little lies idle.
 */
static bool bursts(unsigned short seed[3])
{
	struct line_model m;
	double since[NICS_MAX] = { 0 }, until[NICS_MAX] = { 0 };
	double left = 90 * MBIT, used = 0, could = 0;
	size_t n = 2 + (size_t)any(seed, NICS_MAX - 2);
	bool good = true;

	model_init(&m, 100 * MBIT, 0);
	for (size_t i = 0; i < n; i++) {
		double owns = i % 2 ? 0 : any(seed, left / 2);

		left -= owns;
		model_add(&m, owns, 1 + (double)(int)any(seed, 5));
	}
	for (double t = 0; t < 8 && good; t += 0.05) {
		double sum = 0, wanted = 0;

		run(&m, 0.05);
		for (size_t i = 0; i < n; i++) {
			struct nic_model *nic = &m.nics[i];

			sum += nic->got;
			wanted += nic->offered;
			if (nic->offered > 0 && t - since[i] > 0.3 &&
			    nic->got < 0.98 * least(nic->offered, nic->reservation))
				good = false;
			if (t < until[i])
				continue;
			nic->offered = nic->offered > 0 ? 0 : any(seed, 150 * MBIT);
			since[i] = t;
			until[i] = t + 0.1 + any(seed, 1.5);
		}
		if (wanted > 1.2 * m.capacity) {
			used += sum;
			could += m.capacity;
		}
	}
	model_done(&m);
	return good && used >= 0.88 * could;
}

static void test_bursts(void)
{
	for (unsigned short k = 0; k < 200; k++) {
		unsigned short seed[3] = { k, 5, 2026 };

		if (bursts(seed))
			continue;
		fprintf(stderr, "\nseed %u\n", k);
		CU_FAIL("a guarantee was missed, or the line lay idle");
		return;
	}
}

/* ---- who is where ---- */

static void test_membership(void)
{
	struct network networks[] = {
		{ .name = (char *)"a", .device = (char *)"br0", .uplink = (char *)"eth0" },
		{ .name = (char *)"b", .device = (char *)"eth1" },
		{ .name = (char *)"c", .device = (char *)"br1", .uplink = (char *)"eth1" }
	};
	struct policy policy = { .networks = networks, .nnetworks = 3 };
	struct guest_nic nic = { .bridge = "br1" }, other = { .bridge = "virbr0" }, none = { 0 };

	CU_ASSERT_EQUAL(netshare_network_of(&policy, &nic), 2);
	networks[2].mark = POLICY_NONE_U32;
	CU_ASSERT_EQUAL(netshare_network_of(&policy, &nic), 2);
	networks[2].mark = 7; /* the host's traffic alone */
	CU_ASSERT_EQUAL(netshare_network_of(&policy, &nic), NETSHARE_NONE);
	CU_ASSERT_EQUAL(netshare_network_of(&policy, &other), NETSHARE_NONE);
	CU_ASSERT_EQUAL(netshare_network_of(&policy, &none), NETSHARE_NONE);
	CU_ASSERT_EQUAL(netshare_line_of(&policy, 2), 1);
	CU_ASSERT_EQUAL(netshare_line_of(&policy, 0), 0);
	ASSERT_STR(netshare_uplink(&networks[1]), "eth1");
}

static const struct test tests[] = {
	{ "gold asks, bronze floods", test_guarantee },
	{ "the rest goes by weight", test_weights },
	{ "a storm costs storage nothing", test_storm_and_storage },
	{ "traffic of the host, told apart", test_told_apart },
	{ "... that nobody can tell", test_apart_unknown },
	{ "room for all", test_calm },
	{ "more reserved than there is", test_too_much },
	{ "guarantees take all", test_trickle },
	{ "steady demands, steady rates", test_stands_still },
	{ "a guarantee that rises", test_guarantee_rises },
	{ "lost on the way in", test_lost_on_the_way },
	{ "rates of before", test_adopts },
	{ "no memory", test_no_memory },
	{ "bursts", test_bursts },
	{ "who is on which line", test_membership },
};

int main(void)
{
	return harness_run("netshare", tests, ARRAY_SIZE(tests));
}
