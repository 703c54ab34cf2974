/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_engine_overload - from samples to throttles, and back: what the tick writes and when. */
#include "t/unit/overload_bench.h"

#define S UINT64_C(1000000)

/* ---- down and up ---- */

static bool throttled(struct storm *s, const char *name)
{
	const char *quota = bench_knob(s->b, name, KNOB_CPU_MAX);

	return strncmp(quota, "max", 3) != 0;
}

static void test_storm(void)
{
	struct storm *s = storm_three(STORM_POLICY("enforce"));

	CU_ASSERT(!throttled(s, "batch1"));
	CU_ASSERT_EQUAL(storm_level(s, "bronze", RESOURCE_CPU), 1000);
	storm_rages(s);
	storm_pass(s, 3 * S);
	CU_ASSERT(throttled(s, "batch1"));
	CU_ASSERT(!throttled(s, "db1"));
	CU_ASSERT(storm_level(s, "bronze", RESOURCE_CPU) < 1000);
	CU_ASSERT_EQUAL(storm_level(s, "gold", RESOURCE_CPU), 1000);
	CU_ASSERT_EQUAL(bench_unmet(s->b), 0);
	CU_ASSERT_EQUAL(s->b->e->repaired, 0);
	storm_free(s);
}

/* A storm from the first sample on: the first 2 s are our own start's, and count for nothing. */
static void test_settles_first(void)
{
	struct bench *b = bench_three(STORM_POLICY("enforce"));
	struct storm *s = storm_new(b);
	uint64_t settled_us;

	bench_publish(b);
	bench_settle(b);
	bench_pass(b, BENCH_GROWN_US);
	storm_rages(s);
	storm_pass(s, S);
	settled_us = b->e->protection->settled_us;
	CU_ASSERT_EQUAL_FATAL(settled_us, s->now_us + 2 * S);
	storm_pass(s, settled_us + TICK_US - s->now_us); /* the first window after them */
	CU_ASSERT(!throttled(s, "batch1"));
	storm_pass(s, 3 * TICK_US);
	CU_ASSERT(throttled(s, "batch1"));
	storm_free(s);
}

static void test_given_back(void)
{
	struct storm *s = storm_three(STORM_POLICY("enforce"));
	struct cell *before = world_snapshot(&s->b->world);

	storm_rages(s);
	storm_pass(s, 3 * S);
	CU_ASSERT(world_differs(&s->b->world, before) > 0);
	storm_is_over(s);
	storm_pass(s, 5 * S);
	CU_ASSERT(throttled(s, "batch1")); /* not before the hold is over */
	storm_pass(s, 120 * S);
	CU_ASSERT(!throttled(s, "batch1"));
	CU_ASSERT_EQUAL(world_differs(&s->b->world, before), 0);
	CU_ASSERT_EQUAL(s->b->e->protection->out.resources[RESOURCE_CPU].state, GOVERNOR_CALM);
	CU_ASSERT_EQUAL(s->b->e->repaired, 0);
	CU_ASSERT(engine_settled(s->b->e));
	free(before);
	storm_free(s);
}

static void test_pace(void)
{
	struct storm *s = storm_three(STORM_POLICY("enforce"));

	CU_ASSERT_EQUAL(overload_period_us(s->b->e), S);
	storm_rages(s);
	storm_pass(s, 2 * S);
	CU_ASSERT_EQUAL(overload_period_us(s->b->e), TICK_US);
	storm_is_over(s);
	storm_pass(s, 200 * S);
	CU_ASSERT_EQUAL(overload_period_us(s->b->e), S);
	s->b->e->protection->alert_until_us = engine_now_us(s->b->e) + 60 * S;
	CU_ASSERT_EQUAL(overload_period_us(s->b->e), TICK_US); /* the kernel told of a stall */
	storm_free(s);
}

/* Ticks keep no time that a guest may keep, too. */
static void test_no_rhythm(void)
{
	unsigned int hits[10] = { 0 };
	uint32_t turn = 0;

	for (int i = 0; i < 100; i++) {
		uint64_t early_us = overload_early_us(&turn, TICK_US);

		CU_ASSERT_FATAL(early_us < TICK_US / 10);
		hits[early_us / (TICK_US / 100)]++;
	}
	for (int i = 0; i < 10; i++)
		CU_ASSERT(hits[i] >= 8 && hits[i] <= 12);
	CU_ASSERT_EQUAL(overload_early_us(&turn, S), 0);
}

/* A tick that changes nothing makes no turn: nothing is read. */
static void test_calm_costs_nothing(void)
{
	struct storm *s = storm_three(STORM_POLICY("enforce"));
	unsigned int reads = bench_reads(s->b), writes = bench_writes(s->b);
	const struct picture *picture = s->b->e->picture;

	CU_ASSERT_EQUAL(storm_pass(s, 20 * S), 20);
	CU_ASSERT_EQUAL(bench_reads(s->b), reads);
	CU_ASSERT_EQUAL(bench_writes(s->b), writes);
	CU_ASSERT_PTR_EQUAL(s->b->e->picture, picture);
	storm_free(s);
}

/* ---- what it does not wait for ---- */

/* libvirt and systemd hang: the quota is written by the tick itself. */
static void test_workers_hang(void)
{
	struct storm *s = storm_three(STORM_POLICY("enforce"));
	struct bench *b = s->b;

	b->fakes[ADAPTER_LIBVIRT].async = true;
	bench_row(b, "batch1")->lanes[ADAPTER_CGROUP].inflight = 1; /* a weight that never ends */
	storm_rages(s);
	for (int i = 0; i < 30; i++) {
		s->now_us += TICK_US;
		overload_tick(b->e);
	}
	CU_ASSERT(throttled(s, "batch1"));
	bench_row(b, "batch1")->lanes[ADAPTER_CGROUP].inflight = 0;
	storm_free(s);
}

/* A guest with a knob that cannot be set is throttled as others are. */
static void test_degraded_guest(void)
{
	struct storm *s = storm_three(STORM_POLICY("enforce"));
	struct bench *b = s->b;

	b->fakes[ADAPTER_CGROUP].fail[KNOB_CPU_WEIGHT] = -EACCES;
	bench_meddle(b, "batch1", TARGET_GUEST, 0, KNOB_CPU_WEIGHT, "7");
	bench_drift(b);
	CU_ASSERT_PTR_NOT_NULL(guests_trouble(bench_row(b, "batch1")));
	storm_rages(s);
	storm_pass(s, 3 * S);
	CU_ASSERT(throttled(s, "batch1"));
	storm_free(s);
}

/* What was wanted but never written is not taken for the value of before qosd. */
static void test_late_write(void)
{
	struct storm *s = storm_three(STORM_POLICY("enforce"));
	struct bench *b = s->b;
	struct target t = bench_target(b, "batch1", TARGET_GUEST, 0);
	const struct knob_value *v;
	uint16_t level;

	bench_row(b, "batch1")->lanes[LANE_QUOTA].inflight = 1;
	storm_rages(s);
	do {
		s->now_us += TICK_US;
		overload_tick(b->e);
		level = storm_level(s, "bronze", RESOURCE_CPU);
	} while (level > 800);
	CU_ASSERT(!throttled(s, "batch1"));
	bench_row(b, "batch1")->lanes[LANE_QUOTA].inflight = 0;
	while (storm_level(s, "bronze", RESOURCE_CPU) >= level) {
		s->now_us += TICK_US;
		overload_tick(b->e);
	}
	CU_ASSERT(throttled(s, "batch1"));
	v = baseline_get(b->e->baseline, &t, KNOB_CPU_MAX);
	CU_ASSERT(v && v->quota_us == KNOB_MAX);
	storm_free(s);
}

/* Nor is what was wanted of a guest whose groups were not there yet. */
static void test_not_there_yet(void)
{
	struct storm *s = storm_three(STORM_POLICY("enforce"));
	struct bench *b = s->b;
	struct qerr err = { 0 };
	const struct knob_value *v;
	struct target t;

	bench_guest(b, "batch2", 4, 2, GIB, "bronze");
	t = bench_target(b, "batch2", TARGET_GUEST, 0);
	bench_meddle(b, "batch2", TARGET_GUEST, 0, KNOB_CPU_MAX, "30000 100000");
	b->fakes[ADAPTER_CGROUP].only = "batch2";
	b->fakes[ADAPTER_CGROUP].fail_read[KNOB_CPU_MAX] = -ENOENT;
	bench_publish(b);
	bench_settle(b);
	b->fakes[ADAPTER_CGROUP].fail_read[KNOB_CPU_MAX] = 0;
	CU_ASSERT_EQUAL(engine_throttle(b->e, "bronze", RESOURCE_CPU, 0, 30 * S, &err), 0);
	storm_pass(s, 2 * S);
	CU_ASSERT(throttled(s, "batch2"));
	v = baseline_get(b->e->baseline, &t, KNOB_CPU_MAX);
	CU_ASSERT(v && v->quota_us == 30000);
	storm_free(s);
}

static void test_no_sample(void)
{
	struct storm *s = storm_three(STORM_POLICY("enforce"));
	const char *quota;
	char before[64];

	storm_rages(s);
	storm_pass(s, 3 * S);
	snprintf(before, sizeof(before), "%.60s", bench_knob(s->b, "batch1", KNOB_CPU_MAX));
	s->fail = -ENOMEM;
	storm_pass(s, 3 * S);
	bench_drift(s->b);
	quota = bench_knob(s->b, "batch1", KNOB_CPU_MAX);
	ASSERT_STR(quota, before); /* as it was, as long as nothing is known */
	CU_ASSERT_EQUAL(bench_logged(s->b, "overload protection stands still"), 1);
	storm_free(s);
}

/* ---- modes and the operator ---- */

static void test_observe(void)
{
	struct storm *s = storm_three(STORM_POLICY("observe"));
	struct diff d;
	size_t quotas = 0;

	storm_rages(s);
	storm_pass(s, S + TICK_US); /* the first window is of a calm host's pace */
	CU_ASSERT_EQUAL(bench_writes(s->b), 0);
	CU_ASSERT(storm_level(s, "bronze", RESOURCE_CPU) < 1000); /* shown as it would be */
	diff_init(&d);
	CU_ASSERT_EQUAL(engine_preview(s->b->e, s->b->e->picture->plan, &d), 0);
	for (size_t i = 0; i < d.count; i++)
		quotas += d.changes[i].why.kind == WHY_CPU_THROTTLED ||
			  d.changes[i].why.kind == WHY_WEIGHT_THROTTLED;
	CU_ASSERT(quotas > 0);
	diff_done(&d);
	storm_free(s);
}

/* In observe nothing helps, of course: that says nothing about what will. */
static void test_enforce_begins_anew(void)
{
	struct storm *s = storm_three(STORM_POLICY("observe"));
	struct qerr err = { 0 };

	storm_rages(s);
	storm_pass(s, 60 * S);
	CU_ASSERT_EQUAL(engine_set_mode(s->b->e, MODE_ENFORCE, &err), 0);
	storm_pass(s, 3 * S);
	CU_ASSERT(storm_level(s, "bronze", RESOURCE_CPU) < 1000);
	CU_ASSERT(throttled(s, "batch1"));
	storm_free(s);
}

/* A storm under way at our start: what is felt then may be our own doing. */
static void test_start_settles(void)
{
	struct bench *b = bench_three(STORM_POLICY("enforce"));
	struct storm *s = storm_new(b);

	storm_rages(s);
	bench_publish(b);
	bench_settle(b);
	b->e->protection->alert_until_us = s->now_us + 5 * S; /* the kernel told of it */
	storm_pass(s, 19 * S / 10);
	CU_ASSERT(!throttled(s, "batch1"));
	CU_ASSERT_EQUAL(storm_level(s, "bronze", RESOURCE_CPU), 1000);
	storm_pass(s, 9 * S / 10);
	CU_ASSERT(storm_level(s, "bronze", RESOURCE_CPU) < 1000);
	storm_free(s);
}

static void test_mode_observe_gives_back(void)
{
	struct storm *s = storm_three(STORM_POLICY("enforce"));
	struct cell *before = world_snapshot(&s->b->world);
	struct qerr err = { 0 };

	storm_rages(s);
	storm_pass(s, 3 * S);
	storm_is_over(s);
	CU_ASSERT_EQUAL(engine_set_mode(s->b->e, MODE_OBSERVE, &err), 0);
	bench_settle(s->b);
	CU_ASSERT_EQUAL(world_differs(&s->b->world, before), 0);
	storm_pass(s, TICK_US);
	CU_ASSERT_EQUAL(storm_level(s, "bronze", RESOURCE_CPU), 1000); /* nothing to release */
	storm_rages(s);
	storm_pass(s, 3 * S);
	CU_ASSERT_EQUAL(world_differs(&s->b->world, before), 0);
	free(before);
	storm_free(s);
}

static void test_stop_gives_back(void)
{
	struct storm *s = storm_three(STORM_POLICY("enforce"));
	struct cell *before = world_snapshot(&s->b->world);

	storm_rages(s);
	storm_pass(s, 3 * S);
	overload_stand_down(s->b->e);
	CU_ASSERT_EQUAL(world_differs(&s->b->world, before), 0);
	free(before);
	storm_free(s);
}

static void test_release(void)
{
	struct storm *s = storm_three(STORM_POLICY("enforce"));
	struct qerr err = { 0 };

	storm_rages(s);
	storm_pass(s, 3 * S);
	CU_ASSERT_EQUAL(engine_release(s->b->e, NULL, &err), 0);
	bench_settle(s->b);
	bench_pass(s->b, 2 * S);
	storm_pass(s, 3 * S);
	ASSERT_STR(bench_knob(s->b, "batch1", KNOB_CPU_MAX), "max 100000");
	ASSERT_STR(bench_knob(s->b, "batch1", KNOB_CPU_WEIGHT), "100");
	storm_free(s);
}

/* A hold leaves a guest as its class says, not as the overload has it. */
static void test_hold(void)
{
	struct storm *s = storm_three(STORM_POLICY("enforce"));
	struct bench *b = s->b;

	storm_rages(s);
	storm_pass(s, 3 * S);
	CU_ASSERT(throttled(s, "batch1"));
	bench_row(b, "batch1")->hold_until_s = (uint64_t)time(NULL) + 600;
	engine_mark(b->e);
	bench_settle(b);
	CU_ASSERT(!throttled(s, "batch1"));
	bench_meddle(b, "batch1", TARGET_GUEST, 0, KNOB_CPU_MAX, "30000 20000");
	storm_pass(s, 3 * S);
	bench_drift(b);
	ASSERT_STR(bench_knob(b, "batch1", KNOB_CPU_MAX), "30000 20000"); /* it is held */
	storm_free(s);
}

static void test_manual(void)
{
	struct storm *s = storm_three(STORM_POLICY("enforce"));
	struct engine *e = s->b->e;
	struct qerr err = { 0 };

	CU_ASSERT_EQUAL(engine_throttle(e, "gold", RESOURCE_CPU, 0, S, &err), -EPERM);
	CU_ASSERT_EQUAL(engine_throttle(e, "tin", RESOURCE_CPU, 0, S, &err), -ENOENT);
	CU_ASSERT_EQUAL(engine_throttle(e, "bronze", RESOURCE_CPU, 1001, S, &err), -EINVAL);
	CU_ASSERT_EQUAL(engine_throttle(e, "bronze", RESOURCE_CPU, 500, 30 * S, &err), 0);
	storm_pass(s, S);
	CU_ASSERT(throttled(s, "batch1"));
	CU_ASSERT_EQUAL(storm_level(s, "bronze", RESOURCE_CPU), 500);
	storm_pass(s, 40 * S);
	CU_ASSERT_EQUAL(e->protection->nmanual, 0);
	CU_ASSERT(!throttled(s, "batch1"));
	CU_ASSERT_EQUAL(engine_throttle(e, "bronze", RESOURCE_CPU, 500, 30 * S, &err), 0);
	CU_ASSERT_EQUAL(engine_throttle(e, "bronze", RESOURCE_CPU, 200, 30 * S, &err), 0);
	CU_ASSERT_EQUAL(e->protection->nmanual, 1);
	CU_ASSERT_EQUAL(engine_throttle(e, "bronze", RESOURCE_CPU, 1000, 0, &err), 0);
	CU_ASSERT_EQUAL(e->protection->nmanual, 0);
	storm_free(s);
}

static void test_manual_survives(void)
{
	struct storm *s = storm_three(STORM_POLICY("enforce"));
	struct qerr err = { 0 };

	CU_ASSERT_EQUAL(engine_throttle(s->b->e, "bronze", RESOURCE_NET, 300, 600 * S, &err), 0);
	bench_kill(s->b);
	bench_boot(s->b);
	CU_ASSERT_EQUAL(s->b->e->protection->nmanual, 1);
	CU_ASSERT_EQUAL(s->b->e->protection->manual[0].level_permille, 300);
	CU_ASSERT_EQUAL(s->b->e->protection->manual[0].resource, RESOURCE_NET);
	storm_free(s);
}

/* ---- memory ---- */

struct steps {                 /* a reclaimer that remembers what it was asked */
	unsigned int asked[8]; /* by guest id */
	uint64_t down_to_bytes;
	int answer;
};
static struct steps steps;

static int note_step(void *ctx, const struct guest *g, uint64_t down_to_bytes, uint64_t ticket,
		     struct qerr *err)
{
	(void)ctx;
	(void)err;
	CU_ASSERT_EQUAL(ticket, g->id);
	steps.asked[g->id]++;
	steps.down_to_bytes = down_to_bytes;
	return steps.answer;
}

/* One step of a guest at a time; who gave nothing is left alone for a while. */
static void test_memory(void)
{
	struct storm *s = storm_three(STORM_POLICY("enforce"));
	struct engine *e = s->b->e;
	struct qerr err = { 0 };

	steps = (struct steps){ .answer = -EINPROGRESS };
	e->protection->reclaim = note_step;
	s->memory_bytes = 3 * GIB / 2;
	CU_ASSERT_EQUAL(engine_throttle(e, "bronze", RESOURCE_MEMORY, 0, 600 * S, &err), 0);
	storm_pass(s, 5 * S);
	CU_ASSERT_EQUAL(steps.asked[3], 1);
	CU_ASSERT(steps.down_to_bytes >= GIB && steps.down_to_bytes < s->memory_bytes);
	overload_reclaim_done(e, 3, 0, NULL);
	storm_pass(s, 5 * S);
	CU_ASSERT_EQUAL(steps.asked[3], 2);
	overload_reclaim_done(e, 3, -EAGAIN, &err);
	storm_pass(s, 4 * S);
	CU_ASSERT_EQUAL(steps.asked[3], 2);
	storm_pass(s, 2 * S);
	CU_ASSERT_EQUAL(steps.asked[3], 3);
	overload_reclaim_done(e, 3, 0, NULL);
	overload_reclaim_done(e, 77, 0, NULL); /* its guest has gone */
	s->memory_bytes = GIB / 2;
	storm_pass(s, 5 * S);
	CU_ASSERT_EQUAL(steps.asked[3], 3);
	CU_ASSERT_EQUAL(steps.asked[1] + steps.asked[2], 0);
	storm_free(s);
}

static void test_memory_cannot(void)
{
	struct storm *s = storm_three(STORM_POLICY("enforce"));
	struct engine *e = s->b->e;
	struct qerr err = { 0 };

	steps = (struct steps){ .answer = -EOPNOTSUPP };
	e->protection->reclaim = note_step;
	s->memory_bytes = 3 * GIB / 2;
	CU_ASSERT_EQUAL(engine_throttle(e, "bronze", RESOURCE_MEMORY, 0, 600 * S, &err), 0);
	storm_pass(s, 10 * S);
	CU_ASSERT_EQUAL(steps.asked[3], 1);
	storm_free(s);
}

static void test_memory_observe(void)
{
	struct storm *s = storm_three(STORM_POLICY("observe"));
	struct qerr err = { 0 };

	steps = (struct steps){ .answer = -EINPROGRESS };
	s->b->e->protection->reclaim = note_step;
	s->memory_bytes = 3 * GIB / 2;
	CU_ASSERT_EQUAL(engine_throttle(s->b->e, "bronze", RESOURCE_MEMORY, 0, 600 * S, &err), 0);
	storm_pass(s, 5 * S);
	CU_ASSERT_EQUAL(steps.asked[3], 0);
	storm_free(s);
}

/* ---- admission ---- */

static bool admitted(struct bench *b, const char *class_name, struct qerr *err)
{
	char xml[1024];
	bool admit = false;

	snprintf(xml, sizeof(xml),
		 "<domain type='kvm'><name>new</name>"
		 "<uuid>4dea22b3-1d52-d8f3-2516-782e98ab3f%s</uuid>"
		 "<metadata><q:qos xmlns:q='urn:qosd:1' class='%s'/></metadata>"
		 "<memory unit='KiB'>1048576</memory><vcpu>1</vcpu></domain>",
		 class_name[0] == 'g' ? "00" : "01", class_name);
	CU_ASSERT_EQUAL(engine_hook(b->e, "prepare", xml, strlen(xml), &admit, err), 0);
	return admit;
}

static void test_admission(void)
{
	struct storm *s = storm_three(STORM_POLICY("enforce"));
	struct qerr err = { 0 };

	CU_ASSERT(admitted(s->b, "bronze", &err));
	storm_rages(s);
	storm_pass(s, 3 * S);
	CU_ASSERT(!admitted(s->b, "bronze", &err));
	CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "short of cpu and class bronze starts no guest"));
	CU_ASSERT(admitted(s->b, "silver", &err));
	CU_ASSERT(admitted(s->b, "gold", &err));
	storm_free(s);
}

static const struct test tests[] = {
	{ "storm", test_storm },
	{ "not in the first 2 s", test_settles_first },
	{ "given back", test_given_back },
	{ "pace", test_pace },
	{ "... without a rhythm", test_no_rhythm },
	{ "calm costs nothing", test_calm_costs_nothing },
	{ "workers hang", test_workers_hang },
	{ "degraded guest", test_degraded_guest },
	{ "a write that comes late", test_late_write },
	{ "a guest that is not all there yet", test_not_there_yet },
	{ "no sample", test_no_sample },
	{ "observe", test_observe },
	{ "enforce begins anew", test_enforce_begins_anew },
	{ "a start settles", test_start_settles },
	{ "mode observe gives back", test_mode_observe_gives_back },
	{ "stop gives back", test_stop_gives_back },
	{ "release", test_release },
	{ "hold", test_hold },
	{ "manual", test_manual },
	{ "manual survives a restart", test_manual_survives },
	{ "memory is taken step by step", test_memory },
	{ "a host that cannot reclaim", test_memory_cannot },
	{ "observe takes no memory", test_memory_observe },
	{ "admission", test_admission },
};

int main(void)
{
	return harness_run("engine overload", tests, ARRAY_SIZE(tests));
}
