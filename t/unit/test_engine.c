/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_engine - the turn: what is read and written from the first look to the drift check. */
#include "t/unit/engine_bench.h"

/* ---- start ---- */

static unsigned int order_of(const struct written *w)
{
	const struct knob *k = knob_get(w->knob);

	return w->direction < 0 ? k->order_lower : k->order_raise;
}

static void check_order(const struct world *w)
{
	size_t misplaced = 0, slice = SIZE_MAX, guest = SIZE_MAX;

	for (size_t i = 1; i < w->nlog; i++)
		misplaced += order_of(&w->log[i - 1]) > order_of(&w->log[i]);
	CU_ASSERT_EQUAL(misplaced, 0);
	for (size_t i = 0; i < w->nlog; i++) {
		if (w->log[i].knob != KNOB_MEMORY_MIN)
			continue;
		if (strcmp(w->log[i].target, "cgroup:/machine.slice") == 0)
			slice = i;
		if (strcmp(w->log[i].target, "guest:db1") == 0)
			guest = i;
	}
	CU_ASSERT(slice < guest && guest < w->nlog); /* parents are raised first */
}

static void test_cold_start(void)
{
	struct bench *b = bench_three(BENCH_ENFORCE);

	bench_turn(b);
	CU_ASSERT_EQUAL(bench_reads(b), 0); /* libvirt has not answered: nothing is known */
	bench_publish(b);
	CU_ASSERT(b->e->turn_scheduled);
	bench_settle(b);
	CU_ASSERT_EQUAL(bench_unmet(b), 0);
	CU_ASSERT(bench_writes(b) > 15);
	CU_ASSERT_EQUAL(bench_writes(b), b->world.nlog);
	check_order(&b->world);
	ASSERT_STR(bench_knob(b, "web1", KNOB_CPU_WEIGHT), "200");
	ASSERT_STR(bench_knob(b, "batch1", KNOB_CPU_MAX), "20000 20000");
	ASSERT_STR(bench_knob(b, "db1", KNOB_MEMORY_MIN), "2147483648");
	ASSERT_STR(bench_value(b, "/machine.slice", TARGET_CGROUP, 0, KNOB_MEMORY_MIN),
		   "3221225472");
	ASSERT_STR(bench_value(b, "batch1", TARGET_NIC, 0, KNOB_NET_IN), "20000000");
	CU_ASSERT(engine_settled(b->e));
	bench_free(b);
}

static void test_baseline_before_first_write(void)
{
	struct bench *b = bench_three(BENCH_ENFORCE);
	struct target t;
	const struct knob_value *v;

	bench_meddle(b, "web1", TARGET_GUEST, 0, KNOB_CPU_WEIGHT, "250");
	bench_publish(b);
	bench_settle(b);
	/* A line for each write, and the header, when the first write came. */
	CU_ASSERT_EQUAL(b->world.baseline_lines, b->world.nlog + 1);
	CU_ASSERT_EQUAL(baseline_count(b->e->baseline), b->world.nlog);
	t = bench_target(b, "web1", TARGET_GUEST, 0);
	v = baseline_get(b->e->baseline, &t, KNOB_CPU_WEIGHT);
	CU_ASSERT(v && v->u64 == 250);
	bench_free(b);
}

/* vCPU groups that somebody set unevenly have no one value: what is given back is no limit. */
static void test_uneven_quota(void)
{
	struct bench *b = bench_three(BENCH_ENFORCE);
	struct target t = bench_target(b, "batch1", TARGET_GUEST, 0);
	const struct knob_value *v;

	world_set(&b->world, &t, KNOB_CPU_MAX, knob_quota(0, 0));
	world_set(&b->world, &t, KNOB_CPU_MAX_BURST, knob_u64(KNOB_MAX));
	bench_publish(b);
	bench_settle(b);
	ASSERT_STR(bench_knob(b, "batch1", KNOB_CPU_MAX), "20000 20000");
	v = baseline_get(b->e->baseline, &t, KNOB_CPU_MAX);
	CU_ASSERT(v && v->quota_us == KNOB_MAX && v->period_us == 100000);
	v = baseline_get(b->e->baseline, &t, KNOB_CPU_MAX_BURST);
	CU_ASSERT(v && v->u64 == 0);
	bench_free(b);
}

static void test_real_loop(void)
{
	struct bench *b = bench_three(BENCH_ENFORCE);

	bench_publish(b);
	for (int i = 0; i < 5 && !bench_writes(b); i++)
		CU_ASSERT(sd_event_run(b->e->event, 50000) >= 0);
	CU_ASSERT_EQUAL(bench_unmet(b), 0);
	CU_ASSERT(!b->e->turn_scheduled);
	bench_free(b);
}

/* ---- when nothing changes ---- */

/* Entries of one lane of a guest. */
static unsigned int entries_of(struct bench *b, const char *name, unsigned int lane)
{
	const struct plan *p = b->e->picture->plan;
	struct guest_row *row = bench_row(b, name);
	unsigned int n = 0;

	for (size_t i = 0; i < p->count; i++)
		n += p->entries[i].target.guest_id == row->id &&
		     guests_lane_id(&p->entries[i].target, p->entries[i].knob) == lane;
	return n;
}

static void test_second_turn(void)
{
	struct bench *b = bench_three(BENCH_ENFORCE);
	unsigned int reads, writes;

	bench_publish(b);
	bench_settle(b);
	bench_turn(b); /* what a fresh start left dirty */
	reads = bench_reads(b);
	writes = bench_writes(b);
	bench_turn(b);
	CU_ASSERT_EQUAL(bench_reads(b), reads);
	CU_ASSERT_EQUAL(bench_writes(b), writes);

	bench_row(b, "web1")->lanes[ADAPTER_CGROUP].dirty = true;
	bench_turn(b);
	CU_ASSERT_EQUAL(bench_reads(b), reads + entries_of(b, "web1", ADAPTER_CGROUP));
	bench_turn(b);
	CU_ASSERT_EQUAL(bench_reads(b), reads + entries_of(b, "web1", ADAPTER_CGROUP));
	CU_ASSERT_EQUAL(bench_writes(b), writes);
	CU_ASSERT_EQUAL(b->e->repaired, 0);
	bench_free(b);
}

static void test_drift(void)
{
	struct bench *b = bench_three(BENCH_ENFORCE);
	unsigned int writes;

	bench_publish(b);
	bench_settle(b);
	bench_meddle(b, "web1", TARGET_GUEST, 0, KNOB_CPU_WEIGHT, "66");
	bench_drift(b); /* libvirt still sets things while a guest starts */
	ASSERT_STR(bench_knob(b, "web1", KNOB_CPU_WEIGHT), "200");
	CU_ASSERT_EQUAL(b->e->repaired, 0);
	bench_pass(b, BENCH_GROWN_US);

	writes = bench_writes(b);
	bench_drift(b);
	CU_ASSERT_EQUAL(bench_writes(b), writes);
	bench_meddle(b, "web1", TARGET_GUEST, 0, KNOB_CPU_WEIGHT, "77");
	bench_turn(b);
	ASSERT_STR(bench_knob(b, "web1", KNOB_CPU_WEIGHT), "77"); /* nobody told */
	bench_drift(b);
	ASSERT_STR(bench_knob(b, "web1", KNOB_CPU_WEIGHT), "200");
	CU_ASSERT_EQUAL(bench_writes(b), writes + 1);
	bench_drift(b);
	bench_pass(b, 1000000);
	CU_ASSERT_EQUAL(bench_writes(b), writes + 1);
	CU_ASSERT_EQUAL(b->e->repaired, 1);
	CU_ASSERT_EQUAL(bench_logged(b, "changed to 77 by somebody else; put back to 200"), 1);
	CU_ASSERT_EQUAL(bench_logged(b, "by somebody else"), 1);
	CU_ASSERT_PTR_NULL(guests_trouble(bench_row(b, "web1")));
	bench_free(b);
}

/* libvirt tells of a change that guests do not show: somebody set pins. */
static void test_pins_changed(void)
{
	struct bench *b = bench_three(BENCH_ENFORCE);
	unsigned int reads;

	bench_publish(b);
	bench_settle(b);
	bench_pass(b, BENCH_GROWN_US);
	bench_meddle(b, "web1", TARGET_VCPU, 1, KNOB_CPU_AFFINITY, "0");
	reads = b->fakes[ADAPTER_CGROUP].reads;
	bench_publish(b);
	bench_settle(b);
	ASSERT_STR(bench_value(b, "web1", TARGET_VCPU, 1, KNOB_CPU_AFFINITY), "1-5");
	CU_ASSERT_EQUAL(b->e->repaired, 1);
	CU_ASSERT_EQUAL(b->fakes[ADAPTER_CGROUP].reads, reads);
	bench_free(b);
}

/* ---- observe ---- */

static void preview(struct bench *b)
{
	struct diff d;

	diff_init(&d);
	CU_ASSERT_EQUAL(engine_preview(b->e, b->e->picture->plan, &d), 0);
	CU_ASSERT(d.count > 15);
	diff_done(&d);
}

static void observe_all(struct bench *b)
{
	struct cell *before = world_snapshot(&b->world);

	bench_publish(b);
	bench_settle(b);
	bench_meddle(b, "web1", TARGET_GUEST, 0, KNOB_CPU_WEIGHT, "100");
	bench_drift(b);
	preview(b);
	bench_set_class(b, "web1", "bronze");
	bench_settle(b);
	bench_stop(b, "web1");
	bench_publish(b);
	bench_settle(b);
	CU_ASSERT_EQUAL(bench_writes(b), 0);
	CU_ASSERT_EQUAL(world_differs(&b->world, before), 0);
	CU_ASSERT_EQUAL(baseline_count(b->e->baseline), 0);
	CU_ASSERT_EQUAL(b->e->repaired, 0);
	free(before);
}

static void test_observe(void)
{
	struct bench *b = bench_three(BENCH_OBSERVE);

	observe_all(b);
	bench_free(b);
}

/* --observe outdoes the file and the operator. */
static void test_observe_option(void)
{
	struct bench *b = bench_three(BENCH_ENFORCE);
	struct qerr err = { 0 };

	bench_kill(b);
	b->observe = true;
	bench_boot(b);
	observe_all(b);
	CU_ASSERT_EQUAL(engine_set_mode(b->e, MODE_ENFORCE, &err), -EPERM);
	CU_ASSERT_EQUAL(engine_release(b->e, NULL, &err), -EPERM);
	CU_ASSERT_EQUAL(bench_writes(b), 0);
	bench_free(b);
}

static void test_enforce_then_observe(void)
{
	struct bench *b = bench_three(BENCH_ENFORCE);
	unsigned int writes;
	struct qerr err = { 0 };

	bench_publish(b);
	bench_settle(b);
	bench_pass(b, BENCH_GROWN_US);
	CU_ASSERT_EQUAL(engine_set_mode(b->e, MODE_OBSERVE, &err), 0);
	CU_ASSERT(!b->fakes[ADAPTER_NET].writing && b->fakes[ADAPTER_NET].told);
	writes = bench_writes(b);
	bench_meddle(b, "web1", TARGET_GUEST, 0, KNOB_CPU_WEIGHT, "77");
	bench_drift(b);
	CU_ASSERT_EQUAL(bench_writes(b), writes);
	ASSERT_STR(bench_knob(b, "db1", KNOB_MEMORY_MIN), "2147483648"); /* values stay */

	CU_ASSERT_EQUAL(engine_set_mode(b->e, MODE_ENFORCE, &err), 0);
	bench_settle(b);
	CU_ASSERT_EQUAL(bench_writes(b), writes + 1);
	CU_ASSERT_EQUAL(bench_unmet(b), 0);
	CU_ASSERT_EQUAL(b->e->repaired, 0); /* whoever set it did no wrong */
	bench_free(b);
}

/* ---- guests come and go ---- */

static void test_cycles(void)
{
	struct bench *b = bench_three(BENCH_ENFORCE);
	size_t entries;

	bench_publish(b);
	bench_settle(b);
	bench_pass(b, BENCH_GROWN_US);
	entries = baseline_count(b->e->baseline);
	for (uint32_t i = 0; i < 100; i++) {
		bench_guest(b, "cycle", 10 + i, 1 + i % 3, 1 * GIB, i % 2 ? "gold" : "bronze");
		bench_publish(b);
		bench_settle(b);
		CU_ASSERT_EQUAL(bench_unmet(b), 0);
		bench_stop(b, "cycle");
		bench_publish(b);
		bench_settle(b);
	}
	CU_ASSERT_EQUAL(bench_unmet(b), 0);
	CU_ASSERT_EQUAL(b->e->guests.count, 3);
	CU_ASSERT_EQUAL(baseline_count(b->e->baseline), entries);
	CU_ASSERT_EQUAL(b->fakes[ADAPTER_NET].forgets, 100);
	CU_ASSERT_EQUAL(b->e->repaired, 0);
	bench_free(b);
}

/* libvirt does not tell of a guest whose process lives: its NICs stay limited. */
static void test_not_told(void)
{
	struct bench *b = bench_three(BENCH_ENFORCE);
	size_t entries;

	bench_guest(b, "odd", 4, 1, 1 * GIB, "bronze")->pid = getpid();
	bench_publish(b);
	bench_settle(b);
	entries = baseline_count(b->e->baseline);
	bench_stop(b, "odd");
	bench_publish(b);
	bench_settle(b);
	CU_ASSERT_EQUAL(b->fakes[ADAPTER_NET].forgets, 0);
	CU_ASSERT_EQUAL(b->fakes[ADAPTER_CGROUP].forgets, 1);
	CU_ASSERT_EQUAL(baseline_count(b->e->baseline), entries);
	bench_stop(b, "web1");
	bench_publish(b);
	bench_settle(b);
	CU_ASSERT_EQUAL(b->fakes[ADAPTER_NET].forgets, 1);
	bench_free(b);
}

/* A guest that dies while it is being written to is nobody's error. */
static void vanish(bool async)
{
	struct bench *b = bench_three(BENCH_ENFORCE);
	size_t entries;

	bench_publish(b);
	bench_settle(b);
	entries = baseline_count(b->e->baseline);
	for (size_t i = 0; i < ADAPTER_COUNT; i++)
		b->fakes[i].async = async;
	bench_pass(b, BENCH_GROWN_US);
	bench_guest(b, "short", 9, 2, 1 * GIB, "bronze");
	bench_publish(b);
	bench_turn(b);
	b->world.gone = "short";
	bench_settle(b);
	bench_pass(b, 200000);
	bench_drift(b);
	CU_ASSERT_PTR_NULL(guests_trouble(bench_row(b, "short")));
	CU_ASSERT_EQUAL(b->e->inflight.open, 0);
	bench_stop(b, "short");
	bench_publish(b);
	bench_settle(b);
	CU_ASSERT_EQUAL(b->e->guests.count, 3);
	CU_ASSERT_EQUAL(baseline_count(b->e->baseline), entries);
	CU_ASSERT_EQUAL(bench_unmet(b), 0);
	CU_ASSERT_EQUAL(b->e->repaired, 0);
	CU_ASSERT_EQUAL(bench_logged(b, "it has gone"), 0);
	bench_free(b);
}

static void test_vanish(void)
{
	vanish(false);
	vanish(true);
}

/* Gone for writes while its values can still be read: written once, not again and again. */
static void test_vanish_slowly(void)
{
	struct bench *b = bench_three(BENCH_ENFORCE);
	struct fake *f = &b->fakes[ADAPTER_LIBVIRT];

	bench_publish(b);
	bench_settle(b);
	bench_pass(b, BENCH_GROWN_US);
	f->async = true;
	f->only = "web1";
	f->fail[KNOB_CPU_AFFINITY] = -ENOENT;
	bench_set_class(b, "web1", "gold");
	bench_settle(b);
	CU_ASSERT(f->writes < 20);
	CU_ASSERT_PTR_NULL(guests_trouble(bench_row(b, "web1")));
	CU_ASSERT_EQUAL(b->e->repaired, 0);
	bench_free(b);
}

static const struct test tests[] = {
	{ "a cold start writes the plan in order", test_cold_start },
	{ "values of before are on disk before the first write", test_baseline_before_first_write },
	{ "uneven quotas are given back as none", test_uneven_quota },
	{ "the loop makes the turn", test_real_loop },
	{ "a second turn reads only what is dirty", test_second_turn },
	{ "drift is put right, counted and told once", test_drift },
	{ "pins set by somebody are seen at once", test_pins_changed },
	{ "observe writes nothing", test_observe },
	{ "--observe writes nothing", test_observe_option },
	{ "enforce, observe, enforce", test_enforce_then_observe },
	{ "a hundred guests come and go", test_cycles },
	{ "a guest that libvirt does not tell of", test_not_told },
	{ "a guest vanishes while written to", test_vanish },
	{ "a guest that only reads is not written again and again", test_vanish_slowly },
};

int main(void)
{
	return harness_run("engine", tests, ARRAY_SIZE(tests));
}
