/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_replay - what was recorded of a storm decides the same again; records of any kind of damage.
 */
#include "qosd/daemon/record.h"
#include "t/unit/engine_bench.h"
#include "t/unit/make_govern.h"

#define TICKS 400
#define TEXT  96

struct run {
	struct bench *b;
	struct stage *s;
	char path[64];
	char live[TICKS][TEXT]; /* what was decided of the CPU at each tick */
	char *printed;          /* by the replay */
	size_t size;
};

static struct run *run_new(void)
{
	struct run *r = must(calloc(1, sizeof(*r)));

	r->b = bench_new(BENCH_OBSERVE);
	r->s = stage_new();
	stage_add(r->s, GOLD);
	stage_add(r->s, BRONZE);
	stage_add(r->s, BRONZE);
	snprintf(r->path, sizeof(r->path), "%s/record", r->b->dir);
	return r;
}

static void run_free(struct run *r)
{
	recorder_close(TAKE_PTR(r->b->e->recorder));
	stage_free(r->s);
	bench_free(r->b);
	free(r->printed);
	free(r);
}

static void begin_record(struct run *r)
{
	struct qerr err = { 0 };

	CU_ASSERT_EQUAL_FATAL(recorder_open(r->path, &r->b->e->recorder, &err), 0);
}

/* One tick as the daemon does it. */
static void live_tick(struct run *r, size_t i)
{
	const struct govern_resource *cpu = &r->s->out.resources[RESOURCE_CPU];

	stage_sample(r->s, 0.1);
	record_tick(r->b->e, stage_input(r->s));
	if (govern_tick(r->s->govern, stage_input(r->s), &r->s->out) < 0)
		abort();
	snprintf(r->live[i], TEXT, "depth %.2f %s", cpu->depth, governor_state_names[cpu->state]);
}

/* Calm, a storm that gold feels, calm again. */
static void live_storm(struct run *r)
{
	for (size_t i = 0; i < TICKS; i++) {
		bool storm = i >= 20 && i < 60;

		r->s->actors[0].run = 1;
		r->s->actors[0].wait =
			storm && r->s->out.resources[RESOURCE_CPU].depth < 0.6 ? 0.5 : 0.01;
		r->s->actors[1].run = r->s->actors[2].run = storm ? 2 : 0.1;
		live_tick(r, i);
	}
	recorder_close(TAKE_PTR(r->b->e->recorder));
}

static int print_replay(struct run *r, bool all, struct qerr *err)
{
	FILE *out = must(open_memstream(&r->printed, &r->size));
	int x = replay(r->path, r->s->policy, all, out, err);

	fclose(out);
	return x;
}

static void test_same_decisions(void)
{
	struct run *r = run_new();
	struct qerr err = { 0 };
	char *line, *rest = NULL;
	size_t i = 0;

	begin_record(r);
	live_storm(r);
	CU_ASSERT_EQUAL(print_replay(r, true, &err), 0);
	CU_ASSERT_PTR_NOT_NULL(strstr(r->printed, " onset"));
	CU_ASSERT_PTR_NOT_NULL(strstr(r->printed, " over"));
	CU_ASSERT_PTR_NOT_NULL(strstr(r->printed, "bronze cpu "));
	for (line = strtok_r(r->printed, "\n", &rest); line && i < TICKS;
	     line = strtok_r(NULL, "\n", &rest), i++) {
		char *cpu = must(strstr(line, "  cpu "));

		CU_ASSERT_PTR_NOT_NULL(strstr(cpu, r->live[i]));
	}
	CU_ASSERT_EQUAL(i, TICKS);
	CU_ASSERT_PTR_NULL(line);
	run_free(r);
}

/* Without `all` only what changes something is told. */
static void test_only_decisions(void)
{
	struct run *r = run_new();
	struct qerr err = { 0 };
	size_t lines = 0;

	begin_record(r);
	live_storm(r);
	CU_ASSERT_EQUAL(print_replay(r, false, &err), 0);
	for (const char *c = r->printed; *c; c++)
		lines += *c == '\n';
	CU_ASSERT(lines > 5 && lines < TICKS / 2);
	CU_ASSERT_PTR_NOT_NULL(strstr(r->printed, " onset"));
	run_free(r);
}

static void test_damaged(void)
{
	struct run *r = run_new();
	struct qerr err = { 0 };
	FILE *f;

	CU_ASSERT_EQUAL(print_replay(r, false, &err), -EIO);
	begin_record(r);
	live_storm(r);
	f = must(fopen(r->path, "ae"));
	fputs("sample 12", f);
	fclose(f);
	free(r->printed);
	CU_ASSERT_EQUAL(print_replay(r, false, &err), -EINVAL);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "torn"));
	CU_ASSERT_PTR_NOT_NULL(strstr(r->printed, " onset")); /* what came before is told */
	f = must(fopen(r->path, "we"));
	fputs("#!/bin/sh\n", f);
	fclose(f);
	free(r->printed);
	CU_ASSERT_EQUAL(print_replay(r, false, &err), 0); /* a comment, and nothing else */
	f = must(fopen(r->path, "we"));
	for (int i = 0; i < 3000; i++)
		fputs("x", f);
	fclose(f);
	free(r->printed);
	CU_ASSERT_EQUAL(print_replay(r, false, &err), -EINVAL);
	run_free(r);
}

/* A full disk ends the record, and is told; the daemon goes on. */
static void test_full_disk(void)
{
	struct run *r = run_new();
	struct qerr err = { 0 };

	if (recorder_open("/dev/full", &r->b->e->recorder, &err) == 0) {
		live_storm(r);
		CU_ASSERT_EQUAL(bench_logged(r->b, "the record of overload protection ends"), 1);
	}
	CU_ASSERT(recorder_open("/nowhere/at/all", &r->b->e->recorder, &err) < 0);
	run_free(r);
}

static const struct test tests[] = {
	{ "the same decisions", test_same_decisions },
	{ "only decisions are told", test_only_decisions },
	{ "damaged records", test_damaged },
	{ "a full disk", test_full_disk },
};

int main(void)
{
	return harness_run("replay", tests, ARRAY_SIZE(tests));
}
