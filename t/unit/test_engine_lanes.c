/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_engine_lanes - errors, back-off and writes in flight: one lane's trouble is its own. */
#include "t/unit/engine_bench.h"

#define MS UINT64_C(1000)
#define S  UINT64_C(1000000)

static struct lane *lane_of(struct bench *b, const char *name, size_t id)
{
	return &bench_row(b, name)->lanes[id];
}

/* Three guests, all written, old enough that foreign changes are told. */
static struct bench *bench_settled(void)
{
	struct bench *b = bench_three(BENCH_ENFORCE);

	bench_publish(b);
	bench_settle(b);
	bench_pass(b, BENCH_GROWN_US);
	return b;
}

static const char *trouble_of(struct bench *b, const char *name)
{
	const struct qerr *err = guests_trouble(bench_row(b, name));

	return err ? err->text : "";
}

/* ---- errors ---- */

static void test_degraded(void)
{
	struct bench *b = bench_three(BENCH_ENFORCE);
	struct fake *f = &b->fakes[ADAPTER_CGROUP];

	f->only = "web1";
	f->fail[KNOB_CPU_WEIGHT] = -EACCES;
	bench_publish(b);
	bench_settle(b);
	ASSERT_STR(trouble_of(b, "web1"), "cpu.weight: the host says Permission denied");
	ASSERT_STR(trouble_of(b, "db1"), "");
	CU_ASSERT_EQUAL(bench_unmet(b), 1); /* its other knobs, and all others, are written */
	CU_ASSERT_EQUAL(bench_logged(b, "web1: cpu.weight: the host says"), 1);

	f->fail[KNOB_CPU_WEIGHT] = 0;
	bench_pass(b, 1 * S);
	CU_ASSERT_EQUAL(bench_unmet(b), 0);
	ASSERT_STR(trouble_of(b, "web1"), "cpu.weight: the host says Permission denied");
	bench_pass(b, 100 * MS); /* read back: it holds */
	ASSERT_STR(trouble_of(b, "web1"), "");
	CU_ASSERT_EQUAL(lane_of(b, "web1", LANE_WEIGHT)->failures, 0);
	CU_ASSERT_EQUAL(b->e->repaired, 0);
	bench_free(b);
}

static void test_back_off(void)
{
	static const unsigned int waits_ms[] = { 125,  250,   500,   1000,  2000,  4000,
						 8000, 16000, 32000, 60000, 60000, 60000 };
	struct bench *b = bench_settled();
	struct fake *f = &b->fakes[ADAPTER_CGROUP];

	f->only = "web1";
	f->fail[KNOB_CPU_WEIGHT] = -EIO;
	bench_set_class(b, "web1", "bronze");
	bench_settle(b);
	for (size_t i = 0; i < ARRAY_SIZE(waits_ms); i++) {
		unsigned int writes = f->writes;

		bench_drift(b); /* turns for other reasons do not hurry it */
		bench_pass(b, waits_ms[i] * MS - 20 * MS);
		CU_ASSERT_EQUAL(f->writes, writes);
		bench_pass(b, 20 * MS);
		CU_ASSERT_EQUAL(f->writes, writes + 1);
	}
	CU_ASSERT_EQUAL(bench_logged(b, "Input/output error"), 1);
	f->fail[KNOB_CPU_WEIGHT] = 0;
	bench_pass(b, 60 * S);
	bench_pass(b, 100 * MS);
	ASSERT_STR(trouble_of(b, "web1"), "");
	f->fail[KNOB_CPU_WEIGHT] = -EIO;
	bench_set_class(b, "web1", "silver");
	bench_settle(b);
	CU_ASSERT_EQUAL(lane_of(b, "web1", LANE_WEIGHT)->failures, 1); /* from the start */
	bench_free(b);
}

static void test_read_error(void)
{
	struct bench *b = bench_settled();
	struct fake *f = &b->fakes[ADAPTER_NET];
	unsigned int writes = bench_writes(b);

	f->only = "batch1";
	f->fail_read[KNOB_NET_IN] = -EIO;
	bench_drift(b);
	ASSERT_STR(trouble_of(b, "batch1"), "net.in: the host says Input/output error");
	CU_ASSERT_EQUAL(bench_writes(b), writes);
	f->fail_read[KNOB_NET_IN] = 0;
	bench_pass(b, 1 * S);
	ASSERT_STR(trouble_of(b, "batch1"), "");
	/* What cannot be read does not matter where nothing is wanted. */
	f->only = "web1";
	f->fail_read[KNOB_NET_IN] = -EOPNOTSUPP;
	bench_drift(b);
	ASSERT_STR(trouble_of(b, "web1"), "");
	bench_free(b);
}

/* libvirt takes nothing: what cgroups and NICs promise is given all the same. */
static void test_lanes_apart(void)
{
	struct bench *b = bench_three(BENCH_ENFORCE);

	b->fakes[ADAPTER_LIBVIRT].fail[KNOB_CPU_AFFINITY] = -EAGAIN;
	bench_publish(b);
	bench_settle(b);
	ASSERT_STR(bench_knob(b, "web1", KNOB_CPU_WEIGHT), "200");
	ASSERT_STR(bench_value(b, "batch1", TARGET_NIC, 0, KNOB_NET_OUT), "20000000");
	ASSERT_STR(trouble_of(b, "web1"),
		   "cpu.affinity: the host says Resource temporarily unavailable");
	bench_set_class(b, "web1", "bronze"); /* and while it waits */
	bench_settle(b);
	ASSERT_STR(bench_value(b, "web1", TARGET_NIC, 0, KNOB_NET_OUT), "20000000");
	ASSERT_STR(bench_knob(b, "web1", KNOB_CPU_MAX), "20000 20000");
	b->fakes[ADAPTER_LIBVIRT].fail[KNOB_CPU_AFFINITY] = 0;
	bench_pass(b, 1 * S);
	bench_pass(b, 100 * MS);
	CU_ASSERT_EQUAL(bench_unmet(b), 0);
	ASSERT_STR(trouble_of(b, "web1"), "");
	CU_ASSERT_EQUAL(b->e->repaired, 0);
	bench_free(b);
}

/* ---- in flight ---- */

static void test_in_flight(void)
{
	struct bench *b = bench_three(BENCH_ENFORCE);
	struct fake *virt = &b->fakes[ADAPTER_LIBVIRT];
	unsigned int writes;

	virt->async = true;
	bench_publish(b);
	bench_turn(b);
	CU_ASSERT_EQUAL(b->e->inflight.open, virt->njobs);
	CU_ASSERT(virt->njobs > 6);
	CU_ASSERT(!engine_settled(b->e));
	ASSERT_STR(bench_knob(b, "web1", KNOB_CPU_WEIGHT), "200"); /* others do not wait */
	writes = virt->writes;
	bench_set_class(b, "batch1", "silver");
	bench_drift(b);
	ASSERT_STR(bench_value(b, "batch1", TARGET_NIC, 0, KNOB_NET_IN), "max");
	CU_ASSERT_EQUAL(virt->writes, writes); /* nothing twice */
	bench_settle(b);
	CU_ASSERT_EQUAL(virt->writes, writes);
	CU_ASSERT_EQUAL(bench_unmet(b), 0);
	CU_ASSERT(engine_settled(b->e));
	CU_ASSERT_EQUAL(b->e->repaired, 0);
	bench_free(b);
}

/* Done, says libvirt, but the value is another one: told, and tried again with back-off. */
static void test_does_not_hold(void)
{
	struct bench *b = bench_settled();
	struct fake *virt = &b->fakes[ADAPTER_LIBVIRT];
	unsigned int writes;

	virt->async = virt->refuse = true;
	bench_meddle(b, "web1", TARGET_VCPU, 0, KNOB_CPU_AFFINITY, "0");
	writes = virt->writes;
	bench_drift(b);
	bench_settle(b);
	CU_ASSERT_EQUAL(virt->writes, writes + 1);
	CU_ASSERT_EQUAL(b->e->repaired, 1);
	CU_ASSERT_EQUAL(lane_of(b, "web1", ADAPTER_LIBVIRT)->trouble.code, -EBUSY);
	ASSERT_STR(trouble_of(b, "web1"), "cpu.affinity was set to 1-5 but is 0: something else on "
					  "this host sets or restricts it");
	for (unsigned int i = 0; i < 600; i++)
		bench_pass(b, 100 * MS);
	CU_ASSERT(virt->writes < writes + 10); /* in a minute */
	CU_ASSERT_EQUAL(b->e->repaired, 1);
	CU_ASSERT_EQUAL(bench_logged(b, "was set to 1-5 but is 0"), 1);
	virt->refuse = false;
	bench_pass(b, 60 * S);
	bench_pass(b, 60 * S);
	CU_ASSERT_EQUAL(bench_unmet(b), 0);
	ASSERT_STR(trouble_of(b, "web1"), "");
	bench_free(b);
}

/* One of several changes that were given to the worker together fails: its own error is told. */
static void test_one_of_many_fails(void)
{
	struct bench *b = bench_three(BENCH_ENFORCE);
	struct fake *f = &b->fakes[ADAPTER_CGROUP];

	f->async = true;
	f->only = "batch1";
	f->fail[KNOB_CPU_WEIGHT] = -EACCES;
	bench_publish(b);
	bench_settle(b);
	for (int i = 0; i < 3; i++) {
		ASSERT_STR(trouble_of(b, "batch1"), "cpu.weight: the host says Permission denied");
		CU_ASSERT_EQUAL(bench_unmet(b), 1);
		bench_pass(b, 10 * S);
	}
	f->fail[KNOB_CPU_WEIGHT] = 0;
	bench_pass(b, 60 * S);
	CU_ASSERT_EQUAL(bench_unmet(b), 0);
	ASSERT_STR(trouble_of(b, "batch1"), "");
	CU_ASSERT_EQUAL(b->e->repaired, 0);
	bench_free(b);
}

/* The plan changes while its last version is with the worker: no foreign hand, no trouble. */
static void test_plan_changes_in_flight(void)
{
	struct bench *b = bench_settled();
	struct fake *f = &b->fakes[ADAPTER_CGROUP];

	f->async = true;
	bench_set_class(b, "web1", "bronze");
	bench_turn(b);
	CU_ASSERT(f->njobs > 0);
	bench_set_class(b, "web1", "silver");
	bench_turn(b);
	bench_turn(b);
	bench_settle(b);
	ASSERT_STR(bench_knob(b, "web1", KNOB_CPU_WEIGHT), "200");
	ASSERT_STR(bench_knob(b, "web1", KNOB_CPU_MAX), "max 100000");
	CU_ASSERT_EQUAL(bench_unmet(b), 0);
	CU_ASSERT_EQUAL(b->e->repaired, 0);
	ASSERT_STR(trouble_of(b, "web1"), "");
	CU_ASSERT_PTR_NULL(guests_trouble(&b->e->guests.groups));
	bench_free(b);
}

/* The same on a host that does not hold what it is given: still no endless loop. */
static void test_changed_and_refused(void)
{
	struct bench *b = bench_settled();
	struct fake *f = &b->fakes[ADAPTER_CGROUP];
	unsigned int writes;

	f->async = true;
	bench_set_class(b, "web1", "bronze");
	bench_turn(b);
	bench_set_class(b, "web1", "silver");
	bench_turn(b);
	f->only = "web1";
	f->refuse = true;
	bench_meddle(b, "web1", TARGET_GUEST, 0, KNOB_CPU_WEIGHT, "55");
	writes = f->writes;
	bench_settle(b);
	CU_ASSERT(f->writes < writes + 10);
	CU_ASSERT_EQUAL(lane_of(b, "web1", LANE_WEIGHT)->trouble.code, -EBUSY);
	bench_free(b);
}

/* The plan changes while a lane waits after an error. */
static void test_plan_changes_in_back_off(void)
{
	struct bench *b = bench_settled();
	struct fake *f = &b->fakes[ADAPTER_CGROUP];

	f->only = "web1";
	f->fail[KNOB_CPU_MAX] = -EIO;
	bench_set_class(b, "web1", "bronze");
	bench_settle(b);
	bench_set_class(b, "web1", "gold");
	bench_settle(b);
	f->fail[KNOB_CPU_MAX] = 0;
	bench_pass(b, 1 * S);
	bench_pass(b, 100 * MS);
	CU_ASSERT_EQUAL(bench_unmet(b), 0);
	ASSERT_STR(trouble_of(b, "web1"), "");
	CU_ASSERT_EQUAL(b->e->repaired, 0);
	bench_free(b);
}

/* A worker that was stopped or asked for something newer says cancelled: written again. */
static void test_cancelled(void)
{
	struct bench *b = bench_settled();
	struct fake *f = &b->fakes[ADAPTER_CGROUP];

	f->async = true;
	f->fail[KNOB_CPU_WEIGHT] = -ECANCELED;
	bench_set_class(b, "web1", "bronze");
	bench_turn(b);
	bench_deliver(b, ADAPTER_CGROUP);
	f->fail[KNOB_CPU_WEIGHT] = 0;
	bench_settle(b);
	CU_ASSERT_EQUAL(bench_unmet(b), 0);
	ASSERT_STR(trouble_of(b, "web1"), "");
	CU_ASSERT_EQUAL(b->e->repaired, 0);
	bench_free(b);
}

static const struct test tests[] = {
	{ "an error is its guest's alone", test_degraded },
	{ "back-off grows to a minute", test_back_off },
	{ "what cannot be read", test_read_error },
	{ "a failing lane holds up no other", test_lanes_apart },
	{ "writes in flight hold up no other", test_in_flight },
	{ "what does not hold is told, with back-off", test_does_not_hold },
	{ "one of many fails", test_one_of_many_fails },
	{ "the plan changes in flight", test_plan_changes_in_flight },
	{ "the plan changes in flight and is refused", test_changed_and_refused },
	{ "the plan changes in back-off", test_plan_changes_in_back_off },
	{ "cancelled changes are written again", test_cancelled },
};

int main(void)
{
	return harness_run("engine lanes", tests, ARRAY_SIZE(tests));
}
