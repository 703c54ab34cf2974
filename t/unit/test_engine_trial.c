/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_engine_trial - a new policy for a part of the guests: confirm, undo, pressure, time, crash.
 */
#include <signal.h>
#include <sys/stat.h>

#include "qosd/daemon/episode.h"
#include "qosd/daemon/trial.h"
#include "t/unit/engine_bench.h"

#define S UINT64_C(1000000)

/* The same classes; bronze weighs 25 instead of 50, its NIC gets less, and there is a new class. */
#define NEW_BRONZE                                                                                 \
	"{ name = \"bronze\"; rank = 2; cpu = { placement = \"shared\"; limit = \"50%\";"          \
	" weight = 25; }; memory = { reservation = \"50%\"; overhead = \"0%\"; };"                 \
	" net = { limit = \"10Mbit\"; }; }, { name = \"iron\"; rank = 3; cpu = { weight = 11; }; }"
#define NEW_POLICY                                                                                 \
	BENCH_POLICY("enforce", NEW_BRONZE)                                                        \
	"match = ( { name = \"iron-*\"; class = \"iron\"; } );\n"
#define GUESTS 40

/* Forty bronze guests, of which the trial gets some. */
static struct bench *bench_many(void)
{
	struct bench *b = bench_new(BENCH_ENFORCE);
	char name[16];

	for (uint32_t i = 1; i <= GUESTS; i++) {
		struct guest *g;

		snprintf(name, sizeof(name), i % 8 ? "batch%u" : "iron-%u", i);
		g = bench_guest(b, name, i, 1, 64 * MIB, "bronze");
		if (i % 8 == 0) { /* the rules decide */
			free(g->class_name);
			g->class_name = NULL;
		}
		snprintf(g->uuid, sizeof(g->uuid), "6f1c2a34-0b1d-4c5e-8f90-1122%08x",
			 i * 2654435761u);
	}
	bench_publish(b);
	bench_settle(b);
	CU_ASSERT_EQUAL(bench_unmet(b), 0);
	return b;
}

static size_t count_weight(struct bench *b, const char *weight)
{
	size_t n = 0;

	for (size_t i = 0; i < b->running->count; i++)
		n += strcmp(bench_knob(b, b->running->guests[i]->name, KNOB_CPU_WEIGHT), weight) ==
		     0;
	return n;
}

static int try_policy(struct bench *b, uint32_t permille)
{
	struct diag_list findings = { 0 };
	struct qerr err = { 0 };
	char path[64];
	int r;

	snprintf(path, sizeof(path), "%s/new.conf", b->dir);
	write_text(path, NEW_POLICY);
	r = engine_try(b->e, path, permille, 600 * S, &findings, &err);
	diag_clear(&findings);
	bench_settle(b);
	return r;
}

static void test_part_of_guests(void)
{
	struct bench *b = bench_many();
	size_t before = count_weight(b, "50"), tried;
	json_t *view;

	CU_ASSERT_EQUAL(before, 35);
	CU_ASSERT_EQUAL(try_policy(b, 400), 0);
	CU_ASSERT_EQUAL(bench_unmet(b), 0);
	tried = count_weight(b, "25") + count_weight(b, "11");
	CU_ASSERT(tried >= 8 && tried <= 24);
	CU_ASSERT(count_weight(b, "25") > 0);
	CU_ASSERT(count_weight(b, "50") > 0);
	CU_ASSERT_EQUAL(b->e->generation, 1);
	view = must(trial_view(b->e));
	CU_ASSERT_EQUAL(json_integer_value(json_object_get(view, "guests")), (json_int_t)tried);
	CU_ASSERT_EQUAL(json_number_value(json_object_get(view, "share")), 0.4);
	json_decref(view);
	/* whatever their values, all are known by classes of the policy in force */
	for (size_t i = 0; i < b->e->picture->inventory->count; i++) {
		const struct assignment *a = &b->e->picture->assign[i];

		CU_ASSERT(a->base >= b->e->policy->classes &&
			  a->base < b->e->policy->classes + b->e->policy->nclasses);
	}
	/* the same guests at each turn: nothing is written */
	b->world.nlog = 0;
	bench_drift(b);
	bench_settle(b);
	CU_ASSERT_EQUAL(b->world.nlog, 0);
	bench_free(b);
}

static void test_share_is_kept(void)
{
	unsigned int chosen[4] = { 0 };
	static const uint32_t shares[4] = { 1, 100, 500, 1000 };

	for (uint32_t i = 0; i < 10000; i++) {
		struct guest g = { .id = i + 1 };

		snprintf(g.uuid, sizeof(g.uuid), "%08x-0b1d-4c5e-8f90-112233445566",
			 i * 2654435761u);
		for (size_t k = 0; k < 4; k++) {
			chosen[k] += picture_on_trial(&g, shares[k]);
			/* who is in a small trial is in a larger one */
			if (k)
				CU_ASSERT(picture_on_trial(&g, shares[k]) ||
					  !picture_on_trial(&g, shares[k - 1]));
		}
	}
	CU_ASSERT(chosen[0] >= 2 && chosen[0] <= 25);
	CU_ASSERT(chosen[1] >= 850 && chosen[1] <= 1150);
	CU_ASSERT(chosen[2] >= 4700 && chosen[2] <= 5300);
	CU_ASSERT_EQUAL(chosen[3], 10000);
}

static void test_confirm(void)
{
	struct bench *b = bench_many();
	struct qerr err = { 0 };

	CU_ASSERT_EQUAL(engine_confirm(b->e, &err), -ENOENT);
	CU_ASSERT_EQUAL(try_policy(b, 400), 0);
	CU_ASSERT_EQUAL(engine_confirm(b->e, &err), 0);
	bench_settle(b);
	CU_ASSERT_PTR_NULL(b->e->trial);
	CU_ASSERT_EQUAL(b->e->generation, 2);
	CU_ASSERT_EQUAL(count_weight(b, "25"), 35);
	CU_ASSERT_EQUAL(count_weight(b, "11"), 5);
	CU_ASSERT_EQUAL(bench_unmet(b), 0);
	bench_free(b);
}

static void test_undo(void)
{
	struct bench *b = bench_many();
	struct diag_list findings = { 0 };
	struct qerr err = { 0 };

	CU_ASSERT_EQUAL(try_policy(b, 1000), 0);
	CU_ASSERT_EQUAL(count_weight(b, "25"), 35);
	CU_ASSERT_EQUAL(engine_undo(b->e, &findings, &err), 0);
	bench_settle(b);
	CU_ASSERT_EQUAL(b->e->generation, 1);
	CU_ASSERT_EQUAL(count_weight(b, "50"), 35);
	CU_ASSERT_EQUAL(count_weight(b, "11"), 0);
	CU_ASSERT_EQUAL(bench_unmet(b), 0);
	CU_ASSERT_EQUAL(bench_logged(b, "is undone: the operator says so"), 1);
	bench_free(b);
}

/* One trial at a time, and no other policy meanwhile. */
static void test_busy(void)
{
	struct bench *b = bench_many();
	struct diag_list findings = { 0 };
	struct qerr err = { 0 };

	CU_ASSERT_EQUAL(try_policy(b, 100), 0);
	CU_ASSERT_EQUAL(try_policy(b, 200), -EBUSY);
	CU_ASSERT_EQUAL(engine_reload(b->e, NULL, &findings, &err), -EBUSY);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "qosctl confirm"));
	CU_ASSERT_EQUAL(b->e->trial->permille, 100);
	diag_clear(&findings);
	bench_free(b);
}

static void tick(struct bench *b, enum governor_state cpu, enum governor_state net)
{
	struct sample now = { .at_us = engine_now_us(b->e) };
	struct govern_output out = { 0 };

	out.resources[RESOURCE_CPU] = (struct govern_resource){ .pressure = 1.5, .state = cpu };
	out.resources[RESOURCE_NET] = (struct govern_resource){ .pressure = 2.5, .state = net };
	episode_tick(b->e, &out, &now);
}

static void run_loop(struct bench *b)
{
	for (int i = 0; i < 20; i++)
		(void)sd_event_run(b->e->event, 1000);
	bench_settle(b);
}

static void test_pressure(void)
{
	struct bench *b = bench_many();

	tick(b, GOVERNOR_PRESSED, GOVERNOR_CALM);
	CU_ASSERT_EQUAL(try_policy(b, 400), 0);
	tick(b, GOVERNOR_PRESSED, GOVERNOR_CALM); /* as before the trial */
	run_loop(b);
	CU_ASSERT_PTR_NOT_NULL(b->e->trial);
	tick(b, GOVERNOR_PRESSED, GOVERNOR_PRESSED);
	run_loop(b);
	CU_ASSERT_PTR_NULL(b->e->trial);
	CU_ASSERT_EQUAL(bench_logged(b, "is undone: net got pressed (2.50)"), 1);
	CU_ASSERT_EQUAL(count_weight(b, "50"), 35);
	bench_free(b);
}

static void test_time(void)
{
	struct bench *b = bench_many();

	CU_ASSERT_EQUAL(try_policy(b, 400), 0);
	(void)sd_event_source_set_time(b->e->trial->timer, 1);
	run_loop(b);
	CU_ASSERT_PTR_NULL(b->e->trial);
	CU_ASSERT_EQUAL(bench_logged(b, "is undone: nobody confirmed it in time"), 1);
	CU_ASSERT_EQUAL(count_weight(b, "50"), 35);
	bench_free(b);
}

static void restart(struct bench *b)
{
	bench_kill(b);
	bench_boot(b);
	bench_publish(b);
	bench_settle(b);
}

/* A crash ends the trial; the policy on trial does not come in by the back door, ever. */
static void test_restart(void)
{
	struct bench *b = bench_many();
	struct diag_list findings = { 0 };
	struct qerr err = { 0 };

	write_text(b->config_path, NEW_POLICY);
	CU_ASSERT_EQUAL(engine_try(b->e, NULL, 400, 600 * S, &findings, &err), 0);
	bench_settle(b);
	for (int i = 0; i < 2; i++) {
		restart(b);
		CU_ASSERT_PTR_NULL(b->e->trial);
		CU_ASSERT_EQUAL(b->e->generation, 1);
		CU_ASSERT_EQUAL(count_weight(b, "50"), 35);
		CU_ASSERT_PTR_NOT_NULL(engine_trouble(b->e));
	}
	CU_ASSERT_EQUAL(bench_logged(b, "was on trial and never confirmed"), 2);
	/* the operator's reload is a clear word */
	CU_ASSERT_EQUAL(engine_reload(b->e, NULL, &findings, &err), 0);
	bench_settle(b);
	CU_ASSERT_EQUAL(count_weight(b, "25"), 35);
	restart(b);
	CU_ASSERT_EQUAL(count_weight(b, "25"), 35);
	CU_ASSERT_PTR_NULL(engine_trouble(b->e));
	bench_free(b);
}

/* A file that was changed since is another policy. */
static void test_restart_with_another(void)
{
	struct bench *b = bench_many();

	CU_ASSERT_EQUAL(try_policy(b, 400), 0);
	restart(b);
	CU_ASSERT_PTR_NULL(engine_trouble(b->e));
	CU_ASSERT_EQUAL(count_weight(b, "50"), 35);
	bench_free(b);
}

static void test_refused(void)
{
	struct bench *b = bench_many();
	struct diag_list findings = { 0 };
	struct qerr err = { 0 };

	write_text(b->config_path, "mode = \"perhaps\";\n");
	CU_ASSERT_EQUAL(engine_try(b->e, NULL, 400, 600 * S, &findings, &err), -EINVAL);
	CU_ASSERT(findings.errors > 0);
	CU_ASSERT_PTR_NULL(b->e->trial);
	diag_clear(&findings);
	bench_free(b);
}

/* The disk takes nothing: no trial that a restart would not know of, no confirmed policy lost. */
static void test_full_disk(void)
{
	struct bench *b = bench_many();
	struct qerr err = { 0 };
	char path[128];

	snprintf(path, sizeof(path), "%s/policy/trial.conf.new", b->state_dir);
	CU_ASSERT_EQUAL(mkdir(path, 0700), 0);
	CU_ASSERT(try_policy(b, 400) < 0);
	CU_ASSERT_PTR_NULL(b->e->trial);
	CU_ASSERT_EQUAL(rmdir(path), 0);
	CU_ASSERT_EQUAL(try_policy(b, 400), 0);
	snprintf(path, sizeof(path), "%s/policy/2.conf.new", b->state_dir);
	CU_ASSERT_EQUAL(mkdir(path, 0700), 0);
	CU_ASSERT(engine_confirm(b->e, &err) < 0);
	CU_ASSERT_PTR_NOT_NULL(b->e->trial);
	CU_ASSERT_EQUAL(rmdir(path), 0);
	CU_ASSERT_EQUAL(engine_confirm(b->e, &err), 0);
	bench_settle(b);
	CU_ASSERT_EQUAL(count_weight(b, "25"), 35);
	bench_free(b);
}

static const struct test tests[] = {
	{ "a part of the guests", test_part_of_guests },
	{ "the share is kept, and grows", test_share_is_kept },
	{ "confirm", test_confirm },
	{ "undo", test_undo },
	{ "one at a time", test_busy },
	{ "pressure ends it", test_pressure },
	{ "time ends it", test_time },
	{ "a restart ends it", test_restart },
	{ "another file at a restart", test_restart_with_another },
	{ "a refused policy", test_refused },
	{ "a full disk", test_full_disk },
};

int main(void)
{
	signal(SIGPIPE, SIG_IGN);
	return harness_run("engine_trial", tests, ARRAY_SIZE(tests));
}
