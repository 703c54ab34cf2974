/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_engine_state - disk, restart, reboot, reload: what outlives a daemon, and what does not. */
#include <sys/stat.h>

#include "t/unit/engine_bench.h"

#define S UINT64_C(1000000)

/* Three guests on a host where web1 had a weight of its own; all written. */
static struct bench *bench_settled(void)
{
	struct bench *b = bench_three(BENCH_ENFORCE);

	bench_meddle(b, "web1", TARGET_GUEST, 0, KNOB_CPU_WEIGHT, "250");
	bench_publish(b);
	bench_settle(b);
	bench_pass(b, BENCH_GROWN_US);
	CU_ASSERT_EQUAL(bench_unmet(b), 0);
	return b;
}

static void restart(struct bench *b)
{
	bench_kill(b);
	bench_boot(b);
	bench_publish(b);
	bench_settle(b);
}

static void state_file(struct bench *b, const char *name, char path[128])
{
	snprintf(path, 128, "%.60s/%s", b->state_dir, name);
}

/* ---- a full disk ---- */

static void test_full_disk_at_start(void)
{
	struct bench *b = bench_three(BENCH_ENFORCE);
	char path[128];

	state_file(b, "baseline.new", path);
	CU_ASSERT_EQUAL(mkdir(path, 0700), 0); /* in the way of the file that is to be written */
	bench_publish(b);
	bench_settle(b);
	bench_pass(b, 1 * S);
	bench_pass(b, 1 * S);
	CU_ASSERT_EQUAL(bench_writes(b), 0);
	CU_ASSERT_PTR_NOT_NULL(engine_trouble(b->e));
	CU_ASSERT_EQUAL(bench_logged(b, "nothing new is written to guests"), 1);
	CU_ASSERT_EQUAL(rmdir(path), 0);
	bench_pass(b, 1 * S);
	CU_ASSERT_EQUAL(bench_unmet(b), 0);
	CU_ASSERT_PTR_NULL(engine_trouble(b->e));
	CU_ASSERT_EQUAL(b->world.baseline_lines, b->world.nlog + 1);
	bench_free(b);
}

static off_t file_size(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 ? st.st_size : -1;
}

/* The disk gets full while a line is appended: the part that fitted is taken off again. */
static void test_full_disk_later(void)
{
	struct bench *b = bench_settled();
	off_t size = file_size(b->baseline_path);
	size_t nlog = b->world.nlog;

	bench_limit_files((rlim_t)size + 20);
	bench_guest(b, "web2", 4, 1, 1 * GIB, "silver");
	bench_publish(b);
	bench_settle(b);
	for (size_t i = nlog; i < b->world.nlog; i++)
		CU_ASSERT_PTR_NULL(strstr(b->world.log[i].target, "web2"));
	CU_ASSERT_EQUAL(file_size(b->baseline_path), size);
	CU_ASSERT_PTR_NOT_NULL_FATAL(engine_trouble(b->e));
	bench_limit_files(RLIM_INFINITY);
	bench_pass(b, 1 * S);
	CU_ASSERT_EQUAL(bench_unmet(b), 0);
	CU_ASSERT_PTR_NULL(engine_trouble(b->e));
	CU_ASSERT_EQUAL(count_lines(b->baseline_path), baseline_count(b->e->baseline) + 1);
	CU_ASSERT_EQUAL(b->e->repaired, 0);
	bench_free(b);
}

/* Giving back needs no room on the disk. */
static void test_full_disk_in_release(void)
{
	struct bench *b = bench_settled();
	struct qerr err = { 0 };
	char path[128];

	state_file(b, "baseline.new", path);
	CU_ASSERT_EQUAL(mkdir(path, 0700), 0);
	b->fakes[ADAPTER_LIBVIRT].async = true;
	b->fakes[ADAPTER_LIBVIRT].fail[KNOB_CPU_AFFINITY] = -EIO;
	CU_ASSERT_EQUAL(engine_release(b->e, NULL, &err), 0);
	bench_settle(b);
	b->fakes[ADAPTER_LIBVIRT].fail[KNOB_CPU_AFFINITY] = 0;
	bench_pass(b, 2 * S);
	bench_pass(b, 2 * S);
	CU_ASSERT(!engine_releasing(b->e));
	ASSERT_STR(bench_value(b, "web1", TARGET_VCPU, 0, KNOB_CPU_AFFINITY), "0-7");
	ASSERT_STR(bench_knob(b, "web1", KNOB_CPU_WEIGHT), "250");
	rmdir(path);
	bench_free(b);
}

static void test_broken_baseline(void)
{
	struct bench *b = bench_settled();
	char aside[128];

	bench_kill(b);
	write_text(b->baseline_path, "qosd-baseline 1\nthis is\tnot a line of ours\n");
	bench_boot(b);
	state_file(b, "baseline.bad", aside);
	CU_ASSERT_EQUAL(count_lines(aside), 2);
	CU_ASSERT_EQUAL(bench_logged(b, "cannot be used"), 1);
	bench_publish(b);
	bench_settle(b);
	bench_set_class(b, "web1", "bronze");
	bench_settle(b);
	CU_ASSERT_EQUAL(bench_unmet(b), 0);
	CU_ASSERT_EQUAL(count_lines(b->baseline_path), baseline_count(b->e->baseline) + 1);
	bench_free(b);
}

/* ---- restart ---- */

static void test_restart(void)
{
	struct bench *b = bench_three(BENCH_ENFORCE);
	struct cell *before = world_snapshot(&b->world);
	unsigned int writes;
	size_t entries;
	struct qerr err = { 0 };

	bench_publish(b);
	bench_settle(b);
	writes = bench_writes(b);
	entries = baseline_count(b->e->baseline);
	restart(b);
	restart(b);
	CU_ASSERT_EQUAL(bench_writes(b), writes);
	CU_ASSERT_EQUAL(baseline_count(b->e->baseline), entries);
	CU_ASSERT_EQUAL(bench_unmet(b), 0);
	CU_ASSERT_EQUAL(b->e->repaired, 0);
	CU_ASSERT_EQUAL(engine_release(b->e, NULL, &err), 0);
	bench_settle(b);
	CU_ASSERT_EQUAL(world_differs(&b->world, before), 0);
	free(before);
	bench_free(b);
}

/* Killed between the writes: the next daemon writes the rest, with the baselines of the first. */
static void test_killed_in_the_middle(void)
{
	struct bench *b = bench_three(BENCH_ENFORCE);
	struct cell *before = world_snapshot(&b->world);
	struct qerr err = { 0 };

	b->fakes[ADAPTER_LIBVIRT].async = true;
	bench_publish(b);
	bench_turn(b);
	restart(b);
	CU_ASSERT_EQUAL(bench_unmet(b), 0);
	CU_ASSERT_EQUAL(engine_release(b->e, NULL, &err), 0);
	bench_settle(b);
	CU_ASSERT_EQUAL(world_differs(&b->world, before), 0);
	free(before);
	bench_free(b);
}

/* Cores of a dedicated guest stay its own, where a fresh placement would choose others. */
static void test_restart_keeps_placement(void)
{
	struct bench *b = bench_new(BENCH_ENFORCE);
	char cpu[16];
	unsigned int writes;

	bench_guest(b, "db1", 1, 2, 1 * GIB, "gold");
	bench_publish(b);
	bench_settle(b);
	bench_guest(b, "db2", 2, 2, 1 * GIB, "gold");
	bench_publish(b);
	bench_settle(b);
	snprintf(cpu, sizeof(cpu), "%.15s",
		 bench_value(b, "db2", TARGET_VCPU, 0, KNOB_CPU_AFFINITY));
	bench_stop(b, "db1");
	bench_publish(b);
	bench_settle(b);
	writes = bench_writes(b);
	restart(b);
	CU_ASSERT_EQUAL(bench_writes(b), writes);
	ASSERT_STR(bench_value(b, "db2", TARGET_VCPU, 0, KNOB_CPU_AFFINITY), cpu);
	bench_stop(b, "db2"); /* the same guest started anew is placed afresh, elsewhere */
	bench_guest(b, "db3", 3, 2, 1 * GIB, "gold");
	bench_publish(b);
	bench_settle(b);
	CU_ASSERT(strcmp(bench_value(b, "db3", TARGET_VCPU, 0, KNOB_CPU_AFFINITY), cpu) != 0);
	bench_free(b);
}

/* runtime.json as a daemon of another boot would have left it. */
static void reboot(struct bench *b)
{
	char path[128], text[4096], *id;
	FILE *f;
	size_t len;

	bench_kill(b);
	state_file(b, "runtime.json", path);
	f = must(fopen(path, "re"));
	len = fread(text, 1, sizeof(text) - 1, f);
	fclose(f);
	text[len] = '\0';
	id = must(strstr(text, "\"boot_id\": \""));
	memset(id + strlen("\"boot_id\": \""), '0', 8);
	write_text(path, text);
}

static void test_reboot(void)
{
	struct bench *b = bench_settled();

	CU_ASSERT(baseline_count(b->e->baseline) > 15);
	bench_row(b, "web1")->hold_until_s = (uint64_t)time(NULL) + 600;
	state_save_runtime(b->e);
	reboot(b);
	bench_boot(b);
	CU_ASSERT_EQUAL(baseline_count(b->e->baseline), 0);
	CU_ASSERT_EQUAL(b->e->nsaved_words, 0); /* of guests that have ended */
	bench_kill(b);                          /* before anything was written */
	bench_boot(b);
	CU_ASSERT_EQUAL(baseline_count(b->e->baseline), 0);
	bench_free(b);
}

/* A time that no clock will ever tell, of a damaged file, is no reason to look for it all the time.
 */
static void test_endless_hold(void)
{
	struct bench *b = bench_settled();
	uint64_t at_us = 0;

	bench_row(b, "web1")->hold_until_s = UINT64_MAX;
	bench_turn(b);
	CU_ASSERT(sd_event_source_get_time(b->e->retry_timer, &at_us) >= 0);
	CU_ASSERT(at_us > engine_now_us(b->e) + S);
	bench_free(b);
}

/* A first look that could not see the process must not lose what the operator said. */
static void test_word_waits_for_process(void)
{
	struct bench *b = bench_settled();
	struct guest *g;
	struct qerr err = { 0 };

	CU_ASSERT_EQUAL(engine_release(b->e, inventory_find(b->e->inventory, "web1"), &err), 0);
	bench_settle(b);
	bench_kill(b);
	bench_boot(b);
	g = must(guest_with_class(inventory_find(b->running, "web1"), "silver"));
	g->start_ticks = 0;
	CU_ASSERT_EQUAL(inventory_replace(b->running, g), 0);
	bench_publish(b);
	bench_settle(b);
	g->start_ticks = 200;
	bench_publish(b);
	bench_settle(b);
	CU_ASSERT(bench_row(b, "web1")->released);
	ASSERT_STR(bench_knob(b, "web1", KNOB_CPU_WEIGHT), "250");
	guest_unref(g);
	bench_free(b);
}

static void test_mode_over_a_restart(void)
{
	struct bench *b = bench_settled();
	struct qerr err = { 0 };

	CU_ASSERT_EQUAL(engine_set_mode(b->e, MODE_OBSERVE, &err), 0);
	restart(b);
	CU_ASSERT(!engine_enforcing(b->e) && b->e->mode_overridden);
	bench_kill(b);
	write_text(b->config_path, BENCH_OBSERVE); /* the file's mode was changed since, */
	bench_boot(b);
	CU_ASSERT(!b->e->mode_overridden);
	bench_kill(b);
	write_text(b->config_path, BENCH_ENFORCE); /* twice: the last word wins */
	bench_boot(b);
	CU_ASSERT(engine_enforcing(b->e));
	bench_free(b);
}

/* ---- policies ---- */

static void test_reload_refused(void)
{
	struct bench *b = bench_settled();
	const struct policy *old = b->e->policy;
	struct diag_list findings = { 0 };
	struct qerr err = { 0 };
	unsigned int writes = bench_writes(b);

	write_text(b->config_path, "mode = \"perhaps\"; clases = ();\n");
	CU_ASSERT_EQUAL(engine_reload(b->e, NULL, &findings, &err), -EINVAL);
	CU_ASSERT(findings.errors >= 2);
	CU_ASSERT_PTR_EQUAL(b->e->policy, old);
	CU_ASSERT_EQUAL(b->e->generation, 1);
	bench_drift(b);
	CU_ASSERT_EQUAL(bench_writes(b), writes);
	diag_clear(&findings);

	/* A start with that file: the last accepted policy, and this is told until it is mended. */
	restart(b);
	CU_ASSERT_PTR_NOT_NULL_FATAL(engine_trouble(b->e));
	bench_set_class(b, "web1", "bronze");
	bench_settle(b);
	CU_ASSERT_EQUAL(bench_unmet(b), 0);
	CU_ASSERT_PTR_NOT_NULL(engine_trouble(b->e));
	write_text(b->config_path, BENCH_ENFORCE);
	CU_ASSERT_EQUAL(engine_reload(b->e, NULL, &findings, &err), 0);
	CU_ASSERT_PTR_NULL(engine_trouble(b->e));
	diag_clear(&findings);
	bench_free(b);
}

static void test_reload_and_undo(void)
{
	struct bench *b = bench_settled();
	struct diag_list findings = { 0 };
	struct qerr err = { 0 };
	unsigned int writes = bench_writes(b);

	write_text(b->config_path, BENCH_POLICY("enforce", BENCH_BRONZE_LIMIT("100%", "50Mbit")));
	CU_ASSERT_EQUAL(engine_reload(b->e, NULL, &findings, &err), 0);
	bench_settle(b);
	CU_ASSERT_EQUAL(bench_writes(b), writes + 3); /* cpu.max, net.in, net.out */
	ASSERT_STR(bench_knob(b, "batch1", KNOB_CPU_MAX), "40000 20000");
	ASSERT_STR(bench_value(b, "batch1", TARGET_NIC, 0, KNOB_NET_OUT), "50000000");
	CU_ASSERT_EQUAL(b->e->generation, 2);
	CU_ASSERT_EQUAL(engine_undo(b->e, &findings, &err), 0);
	bench_settle(b);
	CU_ASSERT_EQUAL(bench_writes(b), writes + 6);
	ASSERT_STR(bench_knob(b, "batch1", KNOB_CPU_MAX), "20000 20000");
	CU_ASSERT_EQUAL(b->e->generation, 1);
	CU_ASSERT_EQUAL(engine_undo(b->e, &findings, &err), -ENOENT);
	CU_ASSERT_EQUAL(b->e->repaired, 0);
	diag_clear(&findings);
	bench_free(b);
}

/* A policy that could not be gone back to is not taken. */
static void test_reload_on_full_disk(void)
{
	struct bench *b = bench_settled();
	struct diag_list findings = { 0 };
	struct qerr err = { 0 };
	char path[128];

	state_file(b, "policy/2.conf.new", path);
	CU_ASSERT_EQUAL(mkdir(path, 0700), 0);
	write_text(b->config_path, BENCH_POLICY("enforce", BENCH_BRONZE_LIMIT("100%", "50Mbit")));
	CU_ASSERT(engine_reload(b->e, NULL, &findings, &err) < 0);
	CU_ASSERT_EQUAL(b->e->generation, 1);
	ASSERT_STR(bench_knob(b, "batch1", KNOB_CPU_MAX), "20000 20000");
	diag_clear(&findings);
	bench_free(b);
}

static const struct test tests[] = {
	{ "a full disk at the start", test_full_disk_at_start },
	{ "a full disk later", test_full_disk_later },
	{ "a full disk keeps no release back", test_full_disk_in_release },
	{ "a broken baseline file is put aside", test_broken_baseline },
	{ "a restart writes nothing and knows what was before", test_restart },
	{ "killed in the middle", test_killed_in_the_middle },
	{ "a restart keeps the placement", test_restart_keeps_placement },
	{ "a reboot voids what was before", test_reboot },
	{ "a hold without end", test_endless_hold },
	{ "the operator's word waits for the process", test_word_waits_for_process },
	{ "the mode survives a restart", test_mode_over_a_restart },
	{ "a refused reload keeps the old policy", test_reload_refused },
	{ "a reload writes the difference; undo", test_reload_and_undo },
	{ "a reload that cannot be undone is refused", test_reload_on_full_disk },
};

int main(void)
{
	return harness_run("engine state", tests, ARRAY_SIZE(tests));
}
