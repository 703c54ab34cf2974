/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test_engine_round - what a round of bandwidth leaves alone, and what it takes back.
 */
#include "t/unit/share_bench.h"

/* A small turn reads nothing, so what waits for a turn still does: a retry, a worker's news. */
static void test_leaves_lanes_alone(void)
{
	struct wire *w = wire_contended(SHARE_POLICY("enforce"));
	struct fake *f = &w->b->fakes[ADAPTER_CGROUP];
	struct lane *lane = &bench_row(w->b, "web")->lanes[LANE_WEIGHT];
	struct lane *other = &bench_row(w->b, "db")->lanes[ADAPTER_LIBVIRT];
	uint64_t written;

	f->fail[KNOB_CPU_WEIGHT] = -EIO;
	bench_meddle(w->b, "web", TARGET_GUEST, 0, KNOB_CPU_WEIGHT, "55");
	bench_drift(w->b);
	CU_ASSERT_EQUAL(lane->failures, 1);
	lane->retry_us = 1; /* it is due */
	other->dirty = other->stale = true;
	written = w->b->e->written;
	w->offered[1] = 40 * MBIT;
	carry(w, ROUND);
	bandwidth_round(w->b->e);
	CU_ASSERT(w->b->e->written > written);
	CU_ASSERT(lane->dirty && lane->failures == 1 && lane->trouble.code == -EIO);
	CU_ASSERT(other->dirty && other->stale);
	CU_ASSERT_FALSE(bench_row(w->b, "batch")->lanes[ADAPTER_NET].touched);
	f->fail[KNOB_CPU_WEIGHT] = 0;
	bench_turn(w->b);
	CU_ASSERT_EQUAL(bench_unmet(w->b), 0);
	wire_free(w);
}

/* What a round could not write is nobody else's doing. */
static void test_blames_nobody(void)
{
	struct wire *w = wire_contended(SHARE_POLICY("enforce"));
	uint64_t before = allowed(w, "batch");

	guests_mark(bench_row(w->b, "batch"));
	engine_mark(w->b->e);
	w->offered[1] = 40 * MBIT;
	carry(w, ROUND);
	bandwidth_round(w->b->e);
	CU_ASSERT_EQUAL(allowed(w, "batch"), before);
	storm_settle(w->b);
	CU_ASSERT(allowed(w, "batch") < before);
	CU_ASSERT_EQUAL(w->b->e->repaired, 0);
	wire_free(w);
}

/* Lines and members end with the policy that has them, are told so once, and come back with it. */
static void test_networks_go(void)
{
	struct wire *w = wire_contended(SHARE_POLICY("enforce"));
	struct diag_list findings = { 0 };
	struct qerr err = { 0 };
	unsigned int told;

	CU_ASSERT(w->nmembers == 3 && w->lines[1][0] && w->lines[1][1]);
	write_text(w->b->config_path, STORM_POLICY("enforce"));
	CU_ASSERT_EQUAL(engine_reload(w->b->e, NULL, &findings, &err), 0);
	CU_ASSERT_EQUAL(w->nmembers, 0);
	CU_ASSERT_EQUAL(w->lines[1][0] + w->lines[1][1], 0);
	told = w->told;
	bench_drift(w->b);
	CU_ASSERT_EQUAL(w->told, told);
	write_text(w->b->config_path, SHARE_POLICY("enforce"));
	CU_ASSERT_EQUAL(engine_reload(w->b->e, NULL, &findings, &err), 0);
	rounds(w, 5);
	CU_ASSERT(w->nmembers == 3 && w->lines[1][0] && w->lines[1][1]);
	CU_ASSERT(allowed(w, "batch") > 98 * MBIT);
	diag_clear(&findings);
	wire_free(w);
}

/* ... also where the daemon before told them. */
static void test_networks_gone(void)
{
	struct wire *w = wire_contended(SHARE_POLICY("enforce"));

	write_text(w->b->config_path, STORM_POLICY("enforce"));
	bench_kill(w->b);
	bench_boot(w->b);
	storm_attach(w->storm);
	attach(w);
	bench_publish(w->b);
	bench_settle(w->b);
	CU_ASSERT_EQUAL(w->nmembers, 0);
	wire_free(w);
}

int main(void)
{
	static const struct test tests[] = {
		{ "a round leaves other lanes alone", test_leaves_lanes_alone },
		{ "what a busy lane keeps back", test_blames_nobody },
		{ "a policy without networks comes", test_networks_go },
		{ "a policy without networks after a restart", test_networks_gone },
	};

	return harness_run("engine_round", tests, ARRAY_SIZE(tests));
}
