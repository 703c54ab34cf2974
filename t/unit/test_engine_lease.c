/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test_engine_lease - throttles over the daemon's end: taken over by the next one, or not at all.
 * There is no keeper here (test_lease has it): what it would do is done by the tests.
 */
#include <sys/stat.h>

#include "t/unit/overload_bench.h"

#define S UINT64_C(1000000)

static void attach_lease(struct storm *s)
{
	struct protection *p = s->b->e->protection;
	struct qerr err = { 0 };

	if (lease_open(s->b->state_dir, &p->lease, &err) < 0)
		abort();
	lease_take_over(p->lease, engine_now_us(s->b->e));
}

/* Kill -9, and the next daemon, which has not heard from libvirt yet. */
static void restart(struct storm *s)
{
	bench_kill(s->b);
	bench_boot(s->b);
	storm_attach(s);
	attach_lease(s);
}

static struct storm *storm_raging(const char *policy)
{
	struct storm *s = storm_three(policy);

	attach_lease(s);
	storm_rages(s);
	storm_pass(s, 3 * S);
	return s;
}

static bool throttled(struct storm *s)
{
	return strncmp(bench_knob(s->b, "batch1", KNOB_CPU_MAX), "max", 3) != 0;
}

static unsigned long quota_mcpu(struct storm *s)
{
	char *period;
	unsigned long quota = strtoul(bench_knob(s->b, "batch1", KNOB_CPU_MAX), &period, 10);

	return quota * 1000 / strtoul(period, NULL, 10);
}

static bool held(const struct storm *s)
{
	return s->b->e->protection->lease->header->state == LEASE_HELD;
}

static void test_renewed(void)
{
	struct storm *s = storm_raging(STORM_POLICY("enforce"));
	struct lease *l = s->b->e->protection->lease;
	size_t len;
	char *text;

	CU_ASSERT(throttled(s));
	CU_ASSERT(held(s));
	CU_ASSERT_EQUAL(l->header->until_us, s->now_us + 15 * S);
	CU_ASSERT(l->header->depth[RESOURCE_CPU] > 0);
	text = must(lease_read(l, &len));
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "set 3 1 0 cpu.max max 100000\n"));
	free(text);
	storm_pass(s, S);
	CU_ASSERT_EQUAL(l->header->until_us, s->now_us + 15 * S);
	storm_is_over(s);
	storm_pass(s, 200 * S);
	CU_ASSERT(!throttled(s));
	CU_ASSERT(!held(s));
	storm_free(s);
}

/* Guests come and go while others are throttled. */
static void test_newcomer(void)
{
	struct storm *s = storm_raging(STORM_POLICY("enforce"));
	size_t len;
	char *text;

	bench_guest(s->b, "batch2", 4, 2, 2 * GIB, "bronze");
	bench_publish(s->b);
	bench_settle(s->b);
	storm_load(s, "batch2", 1.9, 0.1);
	storm_pass(s, 2 * S);
	text = must(lease_read(s->b->e->protection->lease, &len));
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "set 4 1 0 cpu.max max 100000\n"));
	CU_ASSERT(strncmp(bench_knob(s->b, "batch2", KNOB_CPU_MAX), "max", 3) != 0);
	free(text);
	storm_free(s);
}

/* How often a write lifted the quota of batch1. */
static size_t lifted(const struct bench *b, size_t from)
{
	size_t n = 0;

	for (size_t i = from; i < b->world.nlog; i++)
		n += strcmp(b->world.log[i].target, "guest:batch1") == 0 &&
		     b->world.log[i].knob == KNOB_CPU_MAX && b->world.log[i].direction > 0;
	return n;
}

static void test_adopted(void)
{
	struct storm *s = storm_raging(STORM_POLICY("enforce"));
	double depth = s->b->e->protection->out.resources[RESOURCE_CPU].depth;
	size_t nlog = s->b->world.nlog;

	restart(s);
	storm_pass(s, S); /* libvirt has not answered: nothing is known, nothing written */
	CU_ASSERT_EQUAL(s->b->world.nlog, nlog);
	bench_publish(s->b);
	bench_settle(s->b);
	CU_ASSERT(throttled(s));
	/* The level is that of before; the guest's part of it is reckoned anew, in one step. */
	CU_ASSERT(lifted(s->b, nlog) <= 1);
	CU_ASSERT(quota_mcpu(s) < 500); /* of 2000 */
	CU_ASSERT(held(s));
	CU_ASSERT_EQUAL(bench_logged(s->b, "throttles of the daemon before are taken over"), 1);
	CU_ASSERT(s->b->e->protection->out.resources[RESOURCE_CPU].depth > depth - 0.3);
	storm_is_over(s);
	storm_pass(s, 5 * S);
	CU_ASSERT(throttled(s)); /* gently */
	storm_pass(s, 200 * S);
	CU_ASSERT(!throttled(s));
	CU_ASSERT(!held(s));
	CU_ASSERT_EQUAL(s->b->e->repaired, 0);
	storm_free(s);
}

/* The storm goes on: its first 2 s tell nothing, and nothing is given back for that. */
static void test_adopted_unsettled(void)
{
	struct storm *s = storm_raging(STORM_POLICY("enforce"));
	double depth;

	restart(s);
	bench_publish(s->b);
	bench_settle(s->b);
	depth = s->b->e->protection->out.resources[RESOURCE_CPU].depth;
	CU_ASSERT(depth > 0);
	for (int i = 0; i < 15; i++) {
		storm_pass(s, TICK_US);
		CU_ASSERT(throttled(s));
		CU_ASSERT_EQUAL(s->b->e->protection->out.resources[RESOURCE_CPU].depth, depth);
	}
	storm_free(s);
}

/* The keeper was quicker than the next daemon. */
static void test_lapsed_before(void)
{
	struct storm *s = storm_raging(STORM_POLICY("enforce"));

	bench_kill(s->b);
	bench_meddle(s->b, "batch1", TARGET_GUEST, 0, KNOB_CPU_MAX, "max 100000");
	bench_boot(s->b);
	storm_attach(s);
	attach_lease(s);
	s->b->e->protection->lease->header->state = LEASE_FREE;
	storm_is_over(s);
	bench_publish(s->b);
	bench_settle(s->b);
	storm_pass(s, S);
	CU_ASSERT(!throttled(s));
	CU_ASSERT_EQUAL(bench_logged(s->b, "are taken over"), 0);
	storm_free(s);
}

/* qosd was stopped for so long that the keeper gave the steady values back. */
static void test_lapsed_meanwhile(void)
{
	struct storm *s = storm_raging(STORM_POLICY("enforce"));

	s->b->e->protection->lease->header->state = LEASE_FREE;
	bench_meddle(s->b, "batch1", TARGET_GUEST, 0, KNOB_CPU_MAX, "max 100000");
	storm_pass(s, S);
	CU_ASSERT(throttled(s));
	CU_ASSERT(held(s));
	CU_ASSERT_EQUAL(bench_logged(s->b, "throttles have lapsed"), 1);
	CU_ASSERT_EQUAL(s->b->e->repaired, 0); /* nobody else is to blame */
	storm_free(s);
}

/* No throttle without a lease. */
static void test_no_lease(void)
{
	struct storm *s = storm_three(STORM_POLICY("enforce"));
	struct lease *l;
	int fd;

	attach_lease(s);
	l = s->b->e->protection->lease;
	fd = l->fd;
	l->fd = -1; /* nothing can be recorded */
	storm_rages(s);
	storm_pass(s, 3 * S);
	CU_ASSERT(!throttled(s));
	CU_ASSERT_EQUAL(bench_logged(s->b, "nobody is throttled"), 1);
	l->fd = fd;
	storm_pass(s, S);
	CU_ASSERT(throttled(s));
	storm_free(s);
}

static void test_stop(void)
{
	struct storm *s = storm_raging(STORM_POLICY("enforce"));

	overload_stand_down(s->b->e);
	CU_ASSERT(!throttled(s));
	CU_ASSERT(!held(s));
	storm_free(s);
}

/* The keeper must not put class values over those of before qosd. */
static void test_release(void)
{
	struct storm *s = storm_raging(STORM_POLICY("enforce"));
	struct qerr err = { 0 };

	CU_ASSERT_EQUAL(engine_release(s->b->e, NULL, &err), 0);
	CU_ASSERT(!held(s));
	storm_pass(s, 3 * S);
	CU_ASSERT(!held(s));
	CU_ASSERT(!throttled(s));
	storm_free(s);
}

/* What a stopped daemon could not write itself is left to the keeper, soon. */
static void test_stop_in_flight(void)
{
	struct storm *s = storm_raging(STORM_POLICY("enforce"));

	s->b->fakes[ADAPTER_CGROUP].async = true;
	overload_stand_down(s->b->e);
	CU_ASSERT(held(s));
	CU_ASSERT(s->b->e->protection->lease->header->until_us <= engine_now_us(s->b->e) + 3 * S);
	bench_deliver(s->b, ADAPTER_CGROUP);
	storm_free(s);
}

/* What has a value of before on disk goes on: nobody stays throttled because of a full disk. */
static void test_full_disk(void)
{
	struct storm *s = storm_raging(STORM_POLICY("enforce"));
	struct stat st;

	CU_ASSERT(throttled(s));
	CU_ASSERT_EQUAL_FATAL(stat(s->b->baseline_path, &st), 0);
	bench_limit_files((rlim_t)st.st_size);
	bench_guest(s->b, "web2", 5, 1, 1 * GIB, "silver");
	bench_publish(s->b);
	bench_settle(s->b);
	CU_ASSERT_PTR_NOT_NULL(engine_trouble(s->b->e));
	CU_ASSERT(held(s));
	storm_is_over(s);
	storm_pass(s, 30 * S);
	CU_ASSERT_PTR_NOT_NULL(engine_trouble(s->b->e));
	CU_ASSERT(!throttled(s));
	CU_ASSERT(!held(s));
	bench_limit_files(RLIM_INFINITY);
	bench_pass(s->b, 2 * S);
	CU_ASSERT_PTR_NULL(engine_trouble(s->b->e));
	CU_ASSERT_EQUAL(bench_unmet(s->b), 0);
	storm_free(s);
}

/* A knob that fails for ever is no throttle that is left. */
static void test_degraded(void)
{
	struct storm *s = storm_raging(STORM_POLICY("enforce"));

	CU_ASSERT(throttled(s));
	bench_meddle(s->b, "batch1", TARGET_GUEST, 0, KNOB_MEMORY_LOW, "4096");
	s->b->fakes[ADAPTER_CGROUP].fail[KNOB_MEMORY_LOW] = -EIO;
	storm_is_over(s);
	engine_mark_all(s->b->e);
	storm_pass(s, 30 * S);
	CU_ASSERT(!throttled(s));
	CU_ASSERT(!held(s));
	s->b->fakes[ADAPTER_CGROUP].fail[KNOB_CPU_MAX] = -EIO; /* but this one may be */
	storm_rages(s);
	storm_pass(s, 3 * S);
	storm_is_over(s);
	storm_pass(s, 30 * S);
	CU_ASSERT(held(s));
	storm_free(s);
}

/* A kernel without bursts: its quotas are written at once all the same. */
static void test_no_bursts(void)
{
	struct storm *s = storm_three(STORM_POLICY("enforce"));

	attach_lease(s);
	bench_publish(s->b);
	bench_settle(s->b);
	bench_meddle(s->b, "batch1", TARGET_GUEST, 0, KNOB_CPU_MAX_BURST, "5000");
	s->b->fakes[ADAPTER_CGROUP].fail[KNOB_CPU_MAX_BURST] = -EIO;
	engine_mark_all(s->b->e);
	storm_pass(s, 200 * S); /* retries are a minute apart by now */
	storm_rages(s);
	storm_pass(s, 3 * S);
	CU_ASSERT(throttled(s));
	storm_free(s);
}

static const struct test tests[] = {
	{ "a full disk keeps no throttle", test_full_disk },
	{ "what fails for ever is no throttle", test_degraded },
	{ "bursts that fail keep no quota back", test_no_bursts },
	{ "renewed at each tick", test_renewed },
	{ "newcomers are covered", test_newcomer },
	{ "the next daemon takes over", test_adopted },
	{ "... also in a storm, which it does not judge at once", test_adopted_unsettled },
	{ "lapsed before the next daemon", test_lapsed_before },
	{ "lapsed while qosd stood still", test_lapsed_meanwhile },
	{ "no throttle without a lease", test_no_lease },
	{ "a stop gives back", test_stop },
	{ "release leaves nothing to lapse", test_release },
	{ "a stop leaves the rest to the keeper", test_stop_in_flight },
};

int main(void)
{
	return harness_run("engine lease", tests, ARRAY_SIZE(tests));
}
