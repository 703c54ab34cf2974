/* SPDX-License-Identifier: GPL-2.0-or-later */
/* netshare - who recovers from losses or wakes up beside a flood: it keeps its part, and lends it.
 */
#include "t/unit/netshare_model.h"

/* Flows of TCP that recover from losses: of their half they use little, but lose of that, too. */
static void test_recovers(void)
{
	static const double uses[] = { 0.55, 0.3, 0.02 };
	struct line_model m;
	struct nic_model *tcp, *flood;

	model_init(&m, 100 * MBIT, 0);
	tcp = model_add(&m, 0, 1);
	flood = model_add(&m, 0, 1);
	flood->offered = 300 * MBIT;
	for (size_t k = 0; k < ARRAY_SIZE(uses); k++) {
		tcp->offered = 300 * MBIT;
		run(&m, 2);
		tcp->queue = 0;
		tcp->offered = uses[k] * 50 * MBIT;
		for (int i = 0; i < 20; i++) {
			run(&m, 0.1);
			tcp->dropped += 12000; /* a packet */
		}
		CU_ASSERT(tcp->got >= 0.99 * tcp->offered);
		CU_ASSERT(flood->got + tcp->got >= 0.92 * m.capacity);
		CU_ASSERT(rate_of(&m, 0) >= 49 * MBIT); /* it is not kept from more */
	}
	for (int i = 0; i < 5;
	     i++) { /* as UDP that something else holds back: it wants all of it */
		run(&m, 0.1);
		tcp->dropped += 30 * MBIT;
	}
	CU_ASSERT(rate_of(&m, 1) <= 51 * MBIT);
	tcp->offered = 300 * MBIT;
	run(&m, 0.3);
	CU_ASSERT(tcp->got >= 0.49 * m.capacity);
	model_done(&m);
}

/* `count` NICs of weight 1 recover, each using `use` of its part, beside a flood of weight `heavy`.
 */
static void recover_beside(struct line_model *m, size_t count, double heavy, double use)
{
	struct nic_model *flood;

	model_init(m, 100 * MBIT, 0);
	for (size_t i = 0; i < count; i++)
		model_add(m, 0, 1)->offered = 300 * MBIT;
	flood = model_add(m, 0, heavy);
	flood->offered = 300 * MBIT;
	run(m, 2);
	for (size_t i = 0; i < count; i++) {
		m->nics[i].queue = 0;
		m->nics[i].offered = use * rate_of(m, i);
	}
	for (int k = 0; k < 20; k++) {
		run(m, 0.1);
		for (size_t i = 0; i < count; i++)
			m->nics[i].dropped += 12000; /* a packet */
	}
}

/* An eighth of what ten of them leave would be a tenth of the line: they keep a sixteenth. */
static void test_many_keep_little(void)
{
	struct line_model m;

	recover_beside(&m, 10, 1, 0.1);
	CU_ASSERT(rate_of(&m, 10) >= 82 * MBIT);
	CU_ASSERT(rate_of(&m, 0) >= 8 * MBIT); /* each its part, all the same */
	model_done(&m);
}

/* Room to grow is twice a small part at most, not a sixteenth of the line. */
static void test_small_part(void)
{
	struct line_model m;

	recover_beside(&m, 1, 49, 0.3);
	CU_ASSERT(rate_of(&m, 0) >= 2 * MBIT);
	CU_ASSERT(rate_of(&m, 0) <= 4.2 * MBIT);
	model_done(&m);
}

/* It takes no more than it may, or less: its part is its own in the next round, all of it. */
static void test_wakes(void)
{
	static const double uses[] = { 1, 0.25 };

	for (size_t k = 0; k < ARRAY_SIZE(uses); k++) {
		struct line_model m;
		struct nic_model *tcp, *flood;
		double least_flood = 100 * MBIT, most_tcp = 0;

		model_init(&m, 100 * MBIT, 0);
		tcp = model_add(&m, 0, 1);
		flood = model_add(&m, 0, 1);
		flood->offered = 300 * MBIT;
		run(&m, 3);
		CU_ASSERT(rate_of(&m, 0) < 10 * MBIT);
		tcp->offered = uses[k] * rate_of(&m, 0);
		tcp->dropped += 12000;
		for (int i = 0; i < 12; i++) {
			run(&m, 0.01);
			least_flood = least(least_flood, rate_of(&m, 1));
			most_tcp = -least(-most_tcp, -rate_of(&m, 0));
		}
		CU_ASSERT(least_flood <= 51 * MBIT);
		CU_ASSERT(most_tcp >= 49 * MBIT);
		model_done(&m);
	}
}

static const struct test tests[] = {
	{ "who recovers keeps its part and lends it", test_recovers },
	{ "many that recover keep little of the line", test_many_keep_little },
	{ "one with a small part grows to twice of it", test_small_part },
	{ "who wakes up has its part at once", test_wakes },
};

int main(void)
{
	return harness_run("netshare_recover", tests, ARRAY_SIZE(tests));
}
