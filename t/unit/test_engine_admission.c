/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_engine_admission - the hook's question: does this guest still fit? */
#include "qosd/daemon/trial.h"
#include "t/unit/engine_bench.h"

#define S UINT64_C(1000000)

/* 16 GiB, 1 of them the host's. Nothing dedicated: here it is memory alone that is short. */
#define CLASS(name, rank, more)                                                                    \
	"{ name = \"" name "\"; rank = " rank "; " more                                            \
	" memory = { reservation = \"100%\"; overhead = \"0%\"; }; }"
#define POLICY(mode)                                                                               \
	"mode = \"" mode "\"; host = { reserve = { memory = \"1GiB\"; }; };\n"                     \
	"classes = ( " CLASS("gold", "0", "") ", " CLASS("silver", "1", "") ", " CLASS(            \
		"bronze", "2", "admission = \"degrade\";") ");\n"                                  \
							   "default_class = \"silver\";\n"

/* Ask as libvirt's hook does, with the domain's XML. `id` gives the uuid that make_guest() makes.
 */
static bool ask(struct bench *b, const char *phase, const char *name, uint32_t id,
		const char *class_name, unsigned int gib, char reason[QERR_TEXT_MAX])
{
	char xml[1024];
	bool admit = false;
	struct qerr err = { 0 };

	snprintf(xml, sizeof(xml),
		 "<domain type='kvm'><name>%s</name>"
		 "<uuid>00000000-0000-4000-8000-%012x</uuid>"
		 "<metadata><q:qos xmlns:q='urn:qosd:1' class='%s'/></metadata>"
		 "<memory unit='GiB'>%u</memory><vcpu>1</vcpu></domain>",
		 name, id, class_name, gib);
	CU_ASSERT_EQUAL(engine_hook(b->e, phase, xml, strlen(xml), &admit, &err), 0);
	if (reason)
		snprintf(reason, QERR_TEXT_MAX, "%s", err.text);
	return admit;
}

static bool prepare(struct bench *b, const char *name, uint32_t id, const char *class_name,
		    unsigned int gib)
{
	return ask(b, "prepare", name, id, class_name, gib, NULL);
}

/* 12 of 15 GiB are taken, by three guests of these classes. */
static struct bench *bench_filled(const char *policy, const char *a, const char *c, const char *d)
{
	struct bench *b = bench_new(policy);

	bench_guest(b, "a", 1, 1, 4 * GIB, a);
	bench_guest(b, "c", 2, 1, 4 * GIB, c);
	bench_guest(b, "d", 3, 1, 4 * GIB, d);
	bench_publish(b);
	bench_settle(b);
	return b;
}

static void test_refuse_when_full(void)
{
	struct bench *b = bench_filled(POLICY("enforce"), "silver", "silver", "silver");
	char reason[QERR_TEXT_MAX];

	CU_ASSERT(!ask(b, "prepare", "web9", 9, "silver", 4, reason));
	CU_ASSERT_PTR_NOT_NULL(strstr(reason, "memory: web9 asks for 4GiB, 3GiB of 15GiB"));
	CU_ASSERT(prepare(b, "web9", 9, "silver", 3));
	CU_ASSERT_EQUAL(bench_logged(b, "web9 is refused"), 1);
	bench_free(b);
}

static void test_degrade(void)
{
	struct bench *b = bench_filled(POLICY("enforce"), "silver", "silver", "silver");

	CU_ASSERT(prepare(b, "batch9", 9, "bronze", 4));
	CU_ASSERT_EQUAL(bench_logged(b, "batch9 starts without its reservation"), 1);
	bench_free(b);
}

static void test_observe_refuses_nobody(void)
{
	struct bench *b = bench_filled(POLICY("observe"), "silver", "silver", "silver");

	CU_ASSERT(prepare(b, "web9", 9, "silver", 4));
	bench_free(b);
}

/* A guest that has stopped does not count, though the inventory still has it. */
static void test_stopped(void)
{
	struct bench *b = bench_filled(POLICY("enforce"), "silver", "silver", "silver");

	CU_ASSERT(!prepare(b, "web9", 9, "silver", 7));
	CU_ASSERT(ask(b, "release", "c", 2, "silver", 4, NULL));
	CU_ASSERT(prepare(b, "web9", 9, "silver", 7));
	CU_ASSERT(!prepare(b, "web10", 10, "silver", 1)); /* all is promised now */
	/* The stopped one starts again: it needs its room anew. */
	CU_ASSERT(!prepare(b, "c", 2, "silver", 4));
	bench_free(b);
}

/* Two that start at the same time cannot both have the last memory. */
static void test_two_pending(void)
{
	struct bench *b = bench_filled(POLICY("enforce"), "silver", "silver", "silver");

	CU_ASSERT(prepare(b, "web8", 8, "silver", 2));
	CU_ASSERT(!prepare(b, "web9", 9, "silver", 2));
	CU_ASSERT(prepare(b, "web8", 8, "silver", 3)); /* itself, asking again, is not counted */
	CU_ASSERT(ask(b, "stopped", "web8", 8, "silver", 3, NULL)); /* its start has failed */
	CU_ASSERT(prepare(b, "web9", 9, "silver", 2));

	/* It runs: counted once. */
	bench_guest(b, "web9", 9, 1, 2 * GIB, "silver");
	bench_publish(b);
	bench_settle(b);
	CU_ASSERT(!prepare(b, "web10", 10, "silver", 2));
	CU_ASSERT(prepare(b, "web10", 10, "silver", 1));
	bench_free(b);
}

/* A start that nobody heard of again is not waited for for ever. */
static void test_pending_expires(void)
{
	struct bench *b = bench_filled(POLICY("enforce"), "silver", "silver", "silver");

	CU_ASSERT(prepare(b, "web8", 8, "silver", 2));
	bench_pass(b, 60 * S);
	CU_ASSERT(!prepare(b, "web9", 9, "silver", 2));
	bench_pass(b, 61 * S);
	CU_ASSERT(prepare(b, "web9", 9, "silver", 2));
	bench_free(b);
}

/* Those of a higher rank give way: they are no reason to refuse one of rank 0. */
static void test_rank_first(void)
{
	struct bench *b = bench_filled(POLICY("enforce"), "bronze", "bronze", "silver");

	CU_ASSERT(prepare(b, "batch7", 7, "bronze", 3)); /* pending, and of the lowest */
	CU_ASSERT(prepare(b, "db8", 8, "gold", 11));
	CU_ASSERT(!prepare(b, "db9", 9, "gold", 5)); /* the other gold one counts */
	bench_guest(b, "db8", 8, 1, 11 * GIB, "gold");
	bench_publish(b);
	bench_settle(b);
	ASSERT_STR(bench_knob(b, "db8", KNOB_MEMORY_MIN), "11811160064");
	ASSERT_STR(bench_knob(b, "c", KNOB_MEMORY_MIN), "0");
	CU_ASSERT_PTR_NOT_NULL(guests_trouble(bench_row(b, "c"))); /* and is told so */
	bench_free(b);
}

/* What was given back owns nothing. */
static void test_released(void)
{
	struct bench *b = bench_filled(POLICY("enforce"), "silver", "silver", "silver");
	struct qerr err = { 0 };

	CU_ASSERT_EQUAL(engine_release(b->e, inventory_find(b->e->inventory, "c"), &err), 0);
	bench_settle(b);
	CU_ASSERT(prepare(b, "web9", 9, "silver", 7));
	bench_free(b);
}

static void test_unknown_host(void)
{
	struct bench *b = bench_new(POLICY("enforce"));
	struct qerr err = { 0 };
	bool admit = false;

	CU_ASSERT(prepare(b, "web9", 9, "silver", 64));
	CU_ASSERT_EQUAL(bench_logged(b, "starts unchecked"), 1);
	CU_ASSERT(engine_hook(b->e, "prepare", "<nothing/>", 10, &admit, &err) < 0);
	CU_ASSERT(admit); /* what is not understood is never refused */
	bench_free(b);
}

/* More starts than there is room to remember: none is lost, none is refused for it. */
static void test_many_pending(void)
{
	struct bench *b = bench_new(POLICY("enforce"));

	bench_publish(b);
	bench_settle(b);
	for (uint32_t i = 0; i < 2 * ENGINE_PENDING_MAX; i++)
		CU_ASSERT(prepare(b, "boot", 100 + i, "bronze", 1));
	for (uint32_t i = 0; i < 2 * ENGINE_PENDING_MAX; i++)
		CU_ASSERT(ask(b, "release", "boot", 100 + i, "bronze", 1, NULL));
	CU_ASSERT(prepare(b, "db9", 9, "gold", 15));
	bench_free(b);
}

/* libvirt may give a start up before the guest has a process; that is no guest that has stopped. */
static void test_start_given_up(void)
{
	struct bench *b = bench_filled(POLICY("enforce"), "silver", "silver", "silver");
	struct guest *g = bench_guest(b, "web9", 9, 1, 1 * GIB, "silver");

	g->start_ticks = 0;
	g->pid = 0;
	bench_publish(b);
	bench_settle(b);
	bench_stop(b, "web9");
	bench_stop(b, "a");
	bench_publish(b);
	bench_settle(b);
	CU_ASSERT_EQUAL(bench_logged(b, "guest web9 was not started"), 1);
	CU_ASSERT_EQUAL(bench_logged(b, "guest a has stopped"), 1);
	CU_ASSERT_EQUAL(bench_logged(b, "has stopped"), 1);
	bench_free(b);
}

#define REFUSING                                                                                   \
	"mode = \"enforce\"; host = { reserve = { memory = \"1GiB\"; }; };\n"                      \
	"classes = ( " CLASS("gold", "0", "") ", " CLASS("silver", "1", "") ", " CLASS(            \
		"bronze", "2", "admission = \"refuse\";") ");\ndefault_class = \"silver\";\n"

/* A guest that will be one of the trial is asked for by the policy on trial. */
static void test_trial(void)
{
	struct bench *b = bench_filled(POLICY("enforce"), "silver", "silver", "silver");
	struct diag_list findings = { 0 };
	struct qerr err = { 0 };

	CU_ASSERT(prepare(b, "new", 4, "bronze", 4));
	write_text(b->config_path, REFUSING);
	CU_ASSERT_EQUAL(engine_try(b->e, NULL, 1000, 600 * S, &findings, &err), 0);
	diag_clear(&findings);
	CU_ASSERT(!prepare(b, "new", 4, "bronze", 4));
	CU_ASSERT(prepare(b, "small", 5, "bronze", 1));
	trial_undo(b->e, "of a test");
	CU_ASSERT(prepare(b, "new", 4, "bronze", 4));
	bench_free(b);
}

static const struct test tests[] = {
	{ "a full host refuses, in one sentence", test_refuse_when_full },
	{ "a class that may start degraded", test_degrade },
	{ "observe refuses nobody", test_observe_refuses_nobody },
	{ "a stopped guest does not count", test_stopped },
	{ "two pending guests", test_two_pending },
	{ "a pending guest expires", test_pending_expires },
	{ "a lower rank goes first", test_rank_first },
	{ "a released guest owns nothing", test_released },
	{ "without libvirt's answer nobody is refused", test_unknown_host },
	{ "more pending guests than places", test_many_pending },
	{ "a start that is given up", test_start_given_up },
	{ "a policy on trial", test_trial },
};

int main(void)
{
	return harness_run("engine admission", tests, ARRAY_SIZE(tests));
}
