/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_engine_release - off means off: every value as before; and guests that are left alone. */
#include <time.h>

#include "t/unit/engine_bench.h"

#define MS UINT64_C(1000)
#define S  UINT64_C(1000000)

/* A host on which an administrator has set things, and what it looked like then. */
static struct bench *bench_lived_in(struct cell **ret_before)
{
	struct bench *b = bench_three(BENCH_ENFORCE);

	bench_meddle(b, "web1", TARGET_GUEST, 0, KNOB_CPU_WEIGHT, "250");
	bench_meddle(b, "web1", TARGET_GUEST, 0, KNOB_CPU_MAX, "30000 100000");
	bench_meddle(b, "web1", TARGET_VCPU, 1, KNOB_CPU_AFFINITY, "2-3");
	bench_meddle(b, "batch1", TARGET_GUEST, 0, KNOB_MEMORY_LOW, "67108864");
	bench_meddle(b, "batch1", TARGET_GUEST, 0, KNOB_CPU_WEIGHT, "50"); /* as qosd wants it */
	bench_meddle(b, "db1", TARGET_GUEST, 0, KNOB_SWAP_MAX, "1073741824");
	bench_meddle(b, "db1", TARGET_EMULATOR, 0, KNOB_CPU_AFFINITY, "1-7");
	bench_meddle(b, "/machine.slice", TARGET_CGROUP, 0, KNOB_MEMORY_MIN, "4096");
	*ret_before = world_snapshot(&b->world);
	return b;
}

static struct bench *bench_enforced(struct cell **ret_before)
{
	struct bench *b = bench_lived_in(ret_before);

	bench_publish(b);
	bench_settle(b);
	bench_pass(b, BENCH_GROWN_US);
	CU_ASSERT_EQUAL(bench_unmet(b), 0);
	CU_ASSERT(world_differs(&b->world, *ret_before) > 15);
	return b;
}

static void release(struct bench *b, const char *name)
{
	const struct guest *only = name ? must(inventory_find(b->e->inventory, name)) : NULL;
	struct qerr err = { 0 };

	CU_ASSERT_EQUAL(engine_release(b->e, only, &err), 0);
	ASSERT_STR(err.text, "");
}

static void check_all_as_before(struct bench *b, struct cell *before)
{
	CU_ASSERT_EQUAL(world_differs(&b->world, before), 0);
	CU_ASSERT_EQUAL(baseline_count(b->e->baseline), 0);
	CU_ASSERT_EQUAL(count_lines(b->baseline_path), 1); /* its header */
	CU_ASSERT(!engine_releasing(b->e));
	CU_ASSERT(engine_settled(b->e));
	CU_ASSERT(!engine_enforcing(b->e));
	for (size_t i = 0; i < ADAPTER_COUNT; i++)
		CU_ASSERT(!b->fakes[i].writing);
	CU_ASSERT_EQUAL(b->e->repaired, 0);
	for (size_t i = 0; i < b->e->guests.count; i++)
		CU_ASSERT_PTR_NULL(guests_trouble(&b->e->guests.rows[i]));
	CU_ASSERT_PTR_NULL(guests_trouble(&b->e->guests.groups));
	CU_ASSERT_EQUAL(bench_logged(b, "every value is as it was before qosd"), 1);
}

static void free_both(struct bench *b, struct cell *before)
{
	bench_free(b);
	free(before);
}

static void make_async(struct bench *b)
{
	for (size_t i = 0; i < ADAPTER_COUNT; i++)
		b->fakes[i].async = true;
}

/* ---- all ---- */

static void test_all(void)
{
	struct cell *before;
	struct bench *b = bench_enforced(&before);
	unsigned int writes;

	release(b, NULL);
	bench_settle(b);
	check_all_as_before(b, before);
	writes = bench_writes(b);
	bench_drift(b);
	CU_ASSERT_EQUAL(bench_writes(b), writes);
	free_both(b, before);
}

static void test_all_async(void)
{
	struct cell *before;
	struct bench *b = bench_lived_in(&before);

	make_async(b);
	bench_publish(b);
	bench_settle(b);
	CU_ASSERT_EQUAL(bench_unmet(b), 0);
	release(b, NULL);
	CU_ASSERT(engine_releasing(b->e) && b->fakes[ADAPTER_LIBVIRT].writing);
	bench_settle(b);
	check_all_as_before(b, before);
	free_both(b, before);
}

/* What was wanted before is still with the workers when the release comes. */
static void test_in_flight(void)
{
	struct cell *before;
	struct bench *b = bench_lived_in(&before);

	make_async(b);
	bench_publish(b);
	bench_turn(b);
	CU_ASSERT(b->e->inflight.open > 15);
	release(b, NULL);
	bench_turn(b);
	bench_deliver(b, ADAPTER_CGROUP);
	bench_turn(b);
	bench_settle(b);
	check_all_as_before(b, before);
	CU_ASSERT_EQUAL(bench_logged(b, "something else on this host"), 0);
	free_both(b, before);
}

static void test_failures(void)
{
	struct cell *before;
	struct bench *b = bench_enforced(&before);
	struct fake *virt = &b->fakes[ADAPTER_LIBVIRT];

	make_async(b);
	virt->fail[KNOB_CPU_AFFINITY] = -EIO;
	release(b, NULL);
	bench_settle(b);
	CU_ASSERT(engine_releasing(b->e));
	CU_ASSERT(virt->writing);
	ASSERT_STR(bench_knob(b, "web1", KNOB_CPU_WEIGHT), "250"); /* the rest is given back */
	bench_pass(b, 10 * S);
	CU_ASSERT(engine_releasing(b->e));
	virt->fail[KNOB_CPU_AFFINITY] = 0;
	virt->refuse = true;
	bench_pass(b, 10 * S);
	bench_pass(b, 10 * S);
	CU_ASSERT(engine_releasing(b->e));
	CU_ASSERT(virt->writes < 60); /* no endless loop */
	virt->refuse = false;
	bench_pass(b, 60 * S);
	bench_pass(b, 60 * S);
	check_all_as_before(b, before);
	free_both(b, before);
}

/* A release that was not over goes on in the next daemon. */
static void test_over_a_restart(void)
{
	struct cell *before;
	struct bench *b = bench_enforced(&before);

	make_async(b);
	release(b, NULL);
	bench_deliver(b, ADAPTER_CGROUP);
	bench_kill(b);
	bench_boot(b);
	CU_ASSERT(b->fakes[ADAPTER_NET].writing);
	bench_publish(b);
	bench_settle(b);
	check_all_as_before(b, before);
	free_both(b, before);
}

static void test_without_guests(void)
{
	struct bench *b = bench_new(BENCH_ENFORCE);
	struct qerr err = { 0 };

	CU_ASSERT_EQUAL(engine_release(b->e, NULL, &err), -EAGAIN);
	bench_publish(b);
	bench_settle(b);
	release(b, NULL);
	CU_ASSERT(!engine_releasing(b->e));
	bench_free(b);
}

/* The slice that no guest is in any more keeps nothing. */
static void test_last_guest_stops(void)
{
	struct cell *before;
	struct bench *b = bench_enforced(&before);

	bench_stop(b, "db1");
	bench_stop(b, "batch1");
	bench_stop(b, "web1");
	bench_publish(b);
	bench_settle(b);
	ASSERT_STR(bench_value(b, "/machine.slice", TARGET_CGROUP, 0, KNOB_MEMORY_MIN), "4096");
	free_both(b, before);
}

/* ---- one ---- */

/* Values of one guest that are not as before. */
static size_t own_differences(struct bench *b, struct cell *before, const char *name)
{
	const struct plan *p = b->e->picture->plan;
	size_t n = 0;

	for (size_t i = 0; i < p->count; i++) {
		const struct target *t = &p->entries[i].target;
		const struct cell *then =
			world_cell(&b->world, before, world_key(t, p->entries[i].knob));
		struct knob_value is = world_get(&b->world, t, p->entries[i].knob);
		struct knob_value was =
			then->key ? cell_value(then) : world_default(&b->world, p->entries[i].knob);

		n += t->guest && strcmp(t->guest->name, name) == 0 && !knob_value_equal(&is, &was);
	}
	return n;
}

static void release_one(bool async)
{
	struct cell *before;
	struct bench *b = bench_enforced(&before);
	struct qerr err = { 0 };

	if (async)
		make_async(b);
	CU_ASSERT(own_differences(b, before, "web1") > 3);
	release(b, "web1");
	bench_settle(b);
	bench_drift(b);
	bench_settle(b);
	bench_pass(b, 2 * S);
	CU_ASSERT(!engine_releasing(b->e));
	CU_ASSERT(engine_enforcing(b->e) && b->fakes[ADAPTER_CGROUP].writing);
	ASSERT_STR(bench_knob(b, "web1", KNOB_CPU_WEIGHT), "250");
	ASSERT_STR(bench_knob(b, "web1", KNOB_CPU_MAX), "30000 100000");
	ASSERT_STR(bench_knob(b, "web1", KNOB_MEMORY_LOW), "0");
	ASSERT_STR(bench_value(b, "web1", TARGET_VCPU, 1, KNOB_CPU_AFFINITY), "2-3");
	ASSERT_STR(bench_knob(b, "db1", KNOB_CPU_WEIGHT), "400");
	ASSERT_STR(bench_knob(b, "batch1", KNOB_CPU_MAX), "20000 20000");
	ASSERT_STR(bench_value(b, "/machine.slice", TARGET_CGROUP, 0, KNOB_MEMORY_LOW), "0");
	CU_ASSERT_EQUAL(bench_unmet(b), 0);
	CU_ASSERT_EQUAL(b->e->repaired, 0);
	CU_ASSERT_PTR_NULL(guests_trouble(&b->e->guests.groups));

	bench_meddle(b, "web1", TARGET_GUEST, 0, KNOB_CPU_WEIGHT, "9"); /* none of our business */
	bench_drift(b);
	bench_settle(b);
	ASSERT_STR(bench_knob(b, "web1", KNOB_CPU_WEIGHT), "9");

	CU_ASSERT_EQUAL(engine_set_mode(b->e, MODE_ENFORCE, &err), 0); /* takes all back */
	bench_settle(b);
	ASSERT_STR(bench_knob(b, "web1", KNOB_CPU_WEIGHT), "200");
	CU_ASSERT(!bench_row(b, "web1")->released);
	CU_ASSERT_EQUAL(bench_unmet(b), 0);
	CU_ASSERT_EQUAL(b->e->repaired, 0);
	free_both(b, before);
}

static void test_one(void)
{
	release_one(false);
	release_one(true);
}

static void test_one_over_a_restart(void)
{
	struct cell *before;
	struct bench *b = bench_enforced(&before);
	unsigned int writes;

	release(b, "web1");
	bench_settle(b);
	bench_kill(b);
	bench_boot(b);
	writes = bench_writes(b);
	bench_publish(b);
	bench_settle(b);
	CU_ASSERT_EQUAL(bench_writes(b), writes);
	CU_ASSERT(bench_row(b, "web1")->released);
	ASSERT_STR(bench_knob(b, "web1", KNOB_CPU_WEIGHT), "250");
	free_both(b, before);
}

/* In observe mode, with limits of before still in force, one guest is to be released by workers. */
static struct bench *bench_releasing_one(struct cell **ret_before)
{
	struct bench *b = bench_enforced(ret_before);
	struct qerr err = { 0 };

	CU_ASSERT_EQUAL(engine_set_mode(b->e, MODE_OBSERVE, &err), 0);
	make_async(b);
	release(b, "web1");
	CU_ASSERT(b->fakes[ADAPTER_NET].writing);
	return b;
}

/* A release that was not over goes on, although nothing else is written. */
static void test_one_goes_on_while_observing(void)
{
	struct cell *before;
	struct bench *b = bench_releasing_one(&before);

	ASSERT_STR(bench_knob(b, "web1", KNOB_CPU_WEIGHT), "200");
	bench_kill(b);
	bench_boot(b);
	CU_ASSERT(!engine_enforcing(b->e) && !b->fakes[ADAPTER_NET].writing);
	bench_publish(b);
	CU_ASSERT(engine_releasing(b->e) && b->fakes[ADAPTER_NET].writing);
	bench_settle(b);
	ASSERT_STR(bench_knob(b, "web1", KNOB_CPU_WEIGHT), "250");
	ASSERT_STR(bench_knob(b, "web1", KNOB_CPU_MAX), "30000 100000");
	ASSERT_STR(bench_value(b, "web1", TARGET_VCPU, 1, KNOB_CPU_AFFINITY), "2-3");
	ASSERT_STR(bench_knob(b, "batch1", KNOB_CPU_MAX), "20000 20000");
	CU_ASSERT(!engine_releasing(b->e) && !b->fakes[ADAPTER_NET].writing);
	CU_ASSERT_PTR_NULL(guests_trouble(bench_row(b, "web1")));
	free_both(b, before);
}

/* Two releases, the second while the first is in flight. */
static void test_two_in_flight(void)
{
	struct cell *before;
	struct bench *b = bench_enforced(&before);

	make_async(b);
	release(b, "web1");
	release(b, "batch1");
	bench_settle(b);
	bench_pass(b, 2 * S);
	CU_ASSERT(!engine_releasing(b->e));
	ASSERT_STR(bench_knob(b, "web1", KNOB_CPU_WEIGHT), "250");
	ASSERT_STR(bench_knob(b, "batch1", KNOB_CPU_MAX), "max 100000");
	ASSERT_STR(bench_knob(b, "batch1", KNOB_MEMORY_LOW), "67108864");
	CU_ASSERT_EQUAL(bench_logged(b, "something else on this host"), 0);
	release(b, NULL);
	bench_settle(b);
	check_all_as_before(b, before);
	free_both(b, before);
}

static void test_guest_stops_in_release(void)
{
	struct cell *before;
	struct bench *b = bench_enforced(&before);

	make_async(b);
	release(b, "web1");
	b->world.gone = "web1";
	bench_stop(b, "web1");
	bench_publish(b);
	bench_settle(b);
	bench_pass(b, 2 * S);
	CU_ASSERT(!engine_releasing(b->e));
	CU_ASSERT_EQUAL(bench_unmet(b), 0);
	CU_ASSERT_EQUAL(b->e->guests.count, 2);
	free_both(b, before);
}

/* Nothing is left to be given back: adapters need not be ready to write any more. */
/* For a moment nobody knows of a guest, which runs on: nothing is forgotten until all is back. */
static void test_out_of_sight(void)
{
	struct cell *before;
	struct bench *b = bench_enforced(&before);

	for (size_t i = 0; i < ADAPTER_COUNT; i++) {
		b->fakes[i].only = "web1";
		for (size_t knob = 0; knob < KNOB_COUNT; knob++)
			b->fakes[i].fail_read[knob] = b->fakes[i].fail[knob] = -ESRCH;
	}
	release(b, NULL);
	bench_settle(b);
	CU_ASSERT(engine_releasing(b->e));
	for (size_t i = 0; i < ADAPTER_COUNT; i++) {
		memset(b->fakes[i].fail_read, 0, sizeof(b->fakes[i].fail_read));
		b->fakes[i].async =
			true; /* the workers still find no guest, and are not asked for ever */
	}
	bench_pass(b, 2 * S);
	CU_ASSERT(engine_releasing(b->e));
	for (size_t i = 0; i < ADAPTER_COUNT; i++)
		memset(b->fakes[i].fail, 0, sizeof(b->fakes[i].fail));
	bench_pass(b, 2 * S);
	bench_pass(b, 2 * S);
	check_all_as_before(b, before);
	free_both(b, before);
}

static void test_last_released_guest_stops(void)
{
	struct cell *before;
	struct bench *b = bench_releasing_one(&before);

	b->world.gone = "web1";
	bench_stop(b, "web1");
	bench_publish(b);
	bench_settle(b);
	CU_ASSERT(!engine_releasing(b->e) && !b->fakes[ADAPTER_NET].writing);
	free_both(b, before);
}

/* ---- hold ---- */

static void hold(struct bench *b, const char *name, uint64_t until_s)
{
	struct guest_row *row = bench_row(b, name);

	row->hold_until_s = until_s;
	guests_retry(row);
	bench_turn(b);
}

static void test_hold(void)
{
	struct cell *before;
	struct bench *b = bench_enforced(&before);
	uint64_t now_s = (uint64_t)time(NULL);

	hold(b, "batch1", now_s + 3600);
	bench_meddle(b, "batch1", TARGET_GUEST, 0, KNOB_CPU_MAX, "max 100000");
	bench_set_class(b, "batch1", "silver");
	bench_settle(b);
	bench_drift(b);
	ASSERT_STR(bench_knob(b, "batch1", KNOB_CPU_MAX), "max 100000");
	ASSERT_STR(bench_knob(b, "batch1", KNOB_CPU_WEIGHT), "50");
	ASSERT_STR(bench_value(b, "batch1", TARGET_NIC, 0, KNOB_NET_IN), "20000000");
	ASSERT_STR(bench_knob(b, "web1", KNOB_CPU_WEIGHT), "200"); /* others are managed */

	bench_kill(b); /* the word is saved by whoever gives it; not here */
	bench_boot(b);
	bench_publish(b);
	bench_settle(b);
	CU_ASSERT_EQUAL(bench_unmet(b), 0);
	hold(b, "batch1", now_s + 3600);
	state_save_runtime(b->e);
	bench_set_class(b, "batch1", "bronze");
	bench_settle(b);
	bench_kill(b);
	bench_boot(b);
	bench_publish(b);
	bench_settle(b);
	CU_ASSERT(guests_held(bench_row(b, "batch1"), now_s));
	ASSERT_STR(bench_knob(b, "batch1", KNOB_CPU_WEIGHT), "200");

	hold(b, "batch1", 0);
	bench_settle(b);
	ASSERT_STR(bench_knob(b, "batch1", KNOB_CPU_WEIGHT), "50");
	CU_ASSERT_EQUAL(bench_unmet(b), 0);
	CU_ASSERT_EQUAL(b->e->repaired, 0);
	free_both(b, before);
}

/* The end of a hold is a change that nobody tells of. */
static void test_hold_ends(void)
{
	struct cell *before;
	struct bench *b = bench_enforced(&before);

	hold(b, "web1", (uint64_t)time(NULL) + 5);
	bench_meddle(b, "web1", TARGET_GUEST, 0, KNOB_CPU_WEIGHT, "7");
	bench_drift(b);
	ASSERT_STR(bench_knob(b, "web1", KNOB_CPU_WEIGHT), "7");
	bench_row(b, "web1")->hold_until_s = (uint64_t)time(NULL); /* five seconds later */
	bench_pass(b, 6 * S);
	ASSERT_STR(bench_knob(b, "web1", KNOB_CPU_WEIGHT), "200");
	free_both(b, before);
}

static const struct test tests[] = {
	{ "all: every value as before", test_all },
	{ "all, by workers", test_all_async },
	{ "all, while changes are in flight", test_in_flight },
	{ "failures are tried again until all holds", test_failures },
	{ "a release goes on after a restart", test_over_a_restart },
	{ "nothing to give back", test_without_guests },
	{ "groups without guests get their values back", test_last_guest_stops },
	{ "one guest alone, and taken back", test_one },
	{ "a released guest stays so over a restart", test_one_over_a_restart },
	{ "one guest, over a restart in observe mode", test_one_goes_on_while_observing },
	{ "two guests, the second in between", test_two_in_flight },
	{ "a guest stops while it is released", test_guest_stops_in_release },
	{ "a guest that nobody knows of for a moment", test_out_of_sight },
	{ "the last one that is released stops", test_last_released_guest_stops },
	{ "a held guest is left alone", test_hold },
	{ "a hold ends by itself", test_hold_ends },
};

int main(void)
{
	return harness_run("engine release", tests, ARRAY_SIZE(tests));
}
