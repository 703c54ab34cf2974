/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test_engine_vf - limits of virtual functions while their guests run: only where the class has
 * one.
 */
#include "t/unit/vf_bench.h"

static size_t entries_of(struct bench *b, enum knob_id knob)
{
	size_t n = 0;

	for (size_t i = 0; i < b->e->picture->plan->count; i++)
		n += b->e->picture->plan->entries[i].knob == knob;
	return n;
}

static void test_classes(void)
{
	struct vf_tree tree;
	struct bench *b = bench_vf(&tree, BENCH_POLICY("enforce", SLOW), "silver");

	bench_drift(b);
	ASSERT_STR(sent(b), "777000000"); /* a class without a limit leaves others' alone */
	CU_ASSERT_EQUAL(entries_of(b, KNOB_NET_OUT), 0);
	bench_set_class(b, "web1", "fast");
	bench_settle(b);
	ASSERT_STR(sent(b), "300000000");
	CU_ASSERT_EQUAL(entries_of(b, KNOB_NET_IN), 0);
	bench_set_class(b, "web1", "slow");
	bench_settle(b);
	ASSERT_STR(sent(b), "1000000");
	bench_set_class(b, "web1", "silver");
	bench_settle(b);
	bench_turn(b);
	ASSERT_STR(sent(b), "777000000");
	CU_ASSERT_EQUAL(b->e->repaired, 0);
	free_both(b, &tree);
}

static void test_drift(void)
{
	struct vf_tree tree;
	struct bench *b = bench_vf(&tree, BENCH_POLICY("enforce", SLOW), "slow");
	unsigned int writes = bench_writes(b);

	bench_drift(b); /* 1.5 Mbit/s is no whole number of them, and yet held */
	CU_ASSERT_EQUAL(bench_writes(b), writes);
	CU_ASSERT_EQUAL(bench_unmet(b), 0);
	bench_meddle(b, "web1", TARGET_NIC, 0, KNOB_NET_OUT, "max");
	bench_drift(b);
	ASSERT_STR(sent(b), "1000000");
	CU_ASSERT_EQUAL(b->e->repaired, 1);
	free_both(b, &tree);
}

/* What the card refuses does not keep the same guest's tap back, nor is a round kept from it. */
static void test_beside_tap(void)
{
	struct bench *b = bench_new(BENCH_POLICY("enforce", SLOW));
	struct guest *g = bench_guest(b, "web1", 1, 2, 2 * GIB, "fast");
	const struct lane *taps;

	make_vf(g, VF_1);
	b->fakes[ADAPTER_NET].only_vfs = true;
	b->fakes[ADAPTER_NET].fail[KNOB_NET_OUT] = -EINVAL;
	bench_publish(b);
	bench_settle(b);
	bench_pass(b, BENCH_GROWN_US);
	taps = &bench_row(b, "web1")->lanes[ADAPTER_NET];
	CU_ASSERT(!taps->failures && !taps->dirty && !taps->stale);
	CU_ASSERT(bench_row(b, "web1")->lanes[LANE_VF].failures > 0);
	CU_ASSERT_PTR_NOT_NULL(guests_trouble(bench_row(b, "web1")));
	bench_set_class(b, "web1", "slow");
	bench_settle(b);
	ASSERT_STR(sent(b), "1500000"); /* at once, while the function waits for its next try */
	ASSERT_STR(bench_value(b, "web1", TARGET_NIC, 1, KNOB_NET_OUT), "max");
	b->fakes[ADAPTER_NET].fail[KNOB_NET_OUT] = 0;
	bench_pass(b, 60000000);
	ASSERT_STR(bench_value(b, "web1", TARGET_NIC, 1, KNOB_NET_OUT), "1000000");
	b->fakes[ADAPTER_NET].async = true; /* and it is known whose a change in flight was */
	bench_set_class(b, "web1", "fast");
	bench_settle(b);
	CU_ASSERT_EQUAL(bench_row(b, "web1")->lanes[LANE_VF].inflight, 0);
	ASSERT_STR(bench_value(b, "web1", TARGET_NIC, 1, KNOB_NET_OUT), "300000000");
	bench_free(b);
}

static void test_release(void)
{
	struct vf_tree tree;
	struct bench *b = bench_vf(&tree, BENCH_POLICY("enforce", SLOW), "fast");
	struct qerr err = { 0 };

	ASSERT_STR(sent(b), "300000000");
	CU_ASSERT_EQUAL(engine_release(b->e, NULL, &err), 0);
	bench_settle(b);
	ASSERT_STR(sent(b), "777000000");
	CU_ASSERT(!engine_releasing(b->e));
	CU_ASSERT_EQUAL(baseline_count(b->e->baseline), 0);
	free_both(b, &tree);
}

static void test_observe(void)
{
	struct vf_tree tree;
	struct bench *b = bench_vf(&tree, BENCH_POLICY("observe", SLOW), "fast");

	bench_drift(b);
	ASSERT_STR(sent(b), "777000000");
	CU_ASSERT_EQUAL(bench_writes(b), 0);
	CU_ASSERT_EQUAL(entries_of(b, KNOB_NET_OUT), 1);
	free_both(b, &tree);
}

/* A guest whose function the card leaves out is limited as soon as it does not; nobody is blamed.
 */
static void test_absent(void)
{
	struct vf_tree tree;
	struct bench *b = bench_vf(&tree, BENCH_POLICY("enforce", SLOW), "silver");
	struct fake *f = &b->fakes[ADAPTER_NET];

	f->fail_read[KNOB_NET_OUT] = -EAGAIN;
	bench_set_class(b, "web1", "fast");
	bench_settle(b);
	CU_ASSERT_FALSE(guests_quiet(bench_row(b, "web1")));
	bench_pass(b, 1000000);
	CU_ASSERT_PTR_NULL(guests_trouble(bench_row(b, "web1")));
	f->fail_read[KNOB_NET_OUT] = -EIO; /* as net_vf says then */
	bench_pass(b, 1000000);
	CU_ASSERT_PTR_NOT_NULL(guests_trouble(bench_row(b, "web1")));
	f->fail_read[KNOB_NET_OUT] = 0;
	bench_pass(b, 1000000);
	ASSERT_STR(sent(b), "300000000");
	bench_pass(b, 1000000);
	CU_ASSERT_PTR_NULL(guests_trouble(bench_row(b, "web1")));
	CU_ASSERT_EQUAL(b->e->repaired, 0);
	free_both(b, &tree);
}

static const struct test tests[] = {
	{ "classes with and without a limit", test_classes },
	{ "drift is repaired, rounding is none", test_drift },
	{ "a tap beside it does not suffer", test_beside_tap },
	{ "release gives the card's rate back", test_release },
	{ "observe writes nothing", test_observe },
	{ "a guest's function is absent", test_absent },
};

int main(void)
{
	return harness_run("engine_vf", tests, ARRAY_SIZE(tests));
}
