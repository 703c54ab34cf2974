/* SPDX-License-Identifier: GPL-2.0-or-later */
/* govern_text - a recorded run reads back as what it was, and decides the same when replayed. */
#include "qosd/core/govern_text.h"

#include <errno.h>

#include "t/unit/harness.h"
#include "t/unit/make_govern.h"

/* Feed a text line by line; what the last line gave. Counts turns. */
static int feed(struct govern_text *t, const struct policy *p, const char *text, struct qerr *err)
{
	char line[GOVERN_TEXT_LINE_MAX + 16];
	int r = 0;

	while (*text && r >= 0) {
		size_t len = strcspn(text, "\n");

		snprintf(line, sizeof(line), "%.*s", (int)len, text);
		r = govern_text_line(t, p, line, err);
		text += len + (text[len] == '\n');
	}
	return r;
}

static struct stage *small_stage(void)
{
	struct stage *s = stage_new();
	size_t gold = stage_add(s, GOLD);

	stage_add(s, BRONZE);
	s->actors[gold] = (struct actor){ .run = 0.5, .wait = 0.2, .memory_bytes = 1 * GIB };
	return s;
}

static void test_round_trip(void)
{
	struct stage *s = small_stage();
	struct govern_manual manual = { "bronze", RESOURCE_DISK, 300, 77 };
	struct govern_text t = { 0 };
	struct govern_input in;
	char *text = NULL, *again = NULL;

	stage_sample(s, 1);
	s->in.manual = &manual;
	s->in.nmanual = 1;
	s->in.settling = true;
	CU_ASSERT_EQUAL(govern_text_print(stage_input(s), true, &text), 0);
	CU_ASSERT_EQUAL(feed(&t, s->policy, GOVERN_TEXT_HEADER "\n# a comment\n", NULL), 0);
	CU_ASSERT_EQUAL(feed(&t, s->policy, text, NULL), 1);
	in = govern_text_input(&t, s->policy);
	CU_ASSERT_PTR_NULL(in.before);
	CU_ASSERT_EQUAL(in.nguests, 2);
	CU_ASSERT_EQUAL(memcmp(in.guests, s->guests, 2 * sizeof(*in.guests)), 0);
	CU_ASSERT_EQUAL(
		memcmp(in.now->guests, s->samples[s->now].guests, 2 * sizeof(*in.now->guests)), 0);
	CU_ASSERT_EQUAL(in.now->swap_free_bytes, SAMPLE_UNKNOWN);
	CU_ASSERT_EQUAL(in.cpu_pool_mcpu, 8000);
	CU_ASSERT(in.settling);
	CU_ASSERT_EQUAL(govern_text_print(&in, true, &again), 0);
	ASSERT_STR(again, text);
	free(text);
	free(again);
	govern_text_done(&t);
	stage_free(s);
}

/* The same decisions, tick by tick, from the text alone. */
static void test_replay(void)
{
	struct stage *s = small_stage();
	struct govern *replayed = must(govern_new());
	struct govern_text t = { 0 };
	unsigned int pressed = 0;

	CU_ASSERT_EQUAL(govern_text_line(&t, s->policy, GOVERN_TEXT_HEADER, NULL), 0);
	for (int i = 0; i < 300; i++) {
		struct govern_output out;
		struct govern_input in;
		char *text = NULL;

		s->in.settling = i < 55;
		s->actors[0].wait = i > 50 && i < 90 ? 0.4 : 0;
		s->actors[1].run = 1.5;
		stage_tick(s, 0.1);
		CU_ASSERT_EQUAL(govern_text_print(&s->in, i == 0, &text), 0);
		CU_ASSERT_EQUAL(feed(&t, s->policy, text, NULL), 1);
		free(text);
		in = govern_text_input(&t, s->policy);
		CU_ASSERT_EQUAL(govern_tick(replayed, &in, &out), 0);
		for (size_t r = 0; r < RESOURCE_COUNT; r++) {
			CU_ASSERT_EQUAL(out.resources[r].depth, s->out.resources[r].depth);
			CU_ASSERT_EQUAL(out.resources[r].event, s->out.resources[r].event);
		}
		CU_ASSERT_EQUAL(out.caps[1].cpu_mcpu, s->out.caps[1].cpu_mcpu);
		pressed += out.resources[RESOURCE_CPU].depth > 0;
	}
	CU_ASSERT(pressed > 20);
	govern_free(replayed);
	govern_text_done(&t);
	stage_free(s);
}

#define HEAD              GOVERN_TEXT_HEADER "\n"
#define SAMPLE_LINE       "sample 5 1 2 - 3 100 50 0 4000\n"
#define USE(id)           "use " id " 1 2 3 4 5 6 7 8 9 10 11 12 13 14\n"
#define GUEST(id, qclass) "guest " id " " qclass " 2 2 0 1 1 2 3 4 5 6 7 8 9 10 11 12 13 0\n"

static const char *const damaged[] = {
	"",
	"sample 5 1 2 - 3 100 50 0 4000\n", /* no header */
	"qosd-record 2\n",                  /* another form */
	HEAD HEAD,
	HEAD "end\n",
	HEAD "sample - 1 2 - 3 100 50 0 4000\n",
	HEAD "sample 5 1 2 - 3 100 50 0\n",
	HEAD "sample 5 1 2 - 3 100 50 0 4000 1\n",
	HEAD "sample 5 1 2 - 3 100 50 0 4000 \n",
	HEAD "sample  5 1 2 - 3 100 50 0 4000\n",
	HEAD "sample 05 1 2 - 3 100 50 0 4000\n",
	HEAD "sample 5x 1 2 - 3 100 50 0 4000\n",
	HEAD "sample +5 1 2 - 3 100 50 0 4000\n",
	HEAD "sample 18446744073709551615 1 2 - 3 100 50 0 4000\n",
	HEAD "sample 99999999999999999999 1 2 - 3 100 50 0 4000\n",
	HEAD SAMPLE_LINE SAMPLE_LINE,
	HEAD SAMPLE_LINE "end\n" SAMPLE_LINE, /* time stands still */
	HEAD SAMPLE_LINE "what 1\n",
	HEAD SAMPLE_LINE "settling 1\n",
	HEAD SAMPLE_LINE USE("7") "settling\n",
	HEAD SAMPLE_LINE "use 1 2\n",
	HEAD SAMPLE_LINE USE("4294967296"),
	HEAD SAMPLE_LINE USE("7") USE("7"),
	HEAD SAMPLE_LINE USE("7") "uplink 1 2 3\n",
	HEAD SAMPLE_LINE GUEST("7", "bronze"), /* without "guests" */
	HEAD SAMPLE_LINE "guests\n" GUEST("7", "tin"),
	HEAD SAMPLE_LINE "guests\n" GUEST("7", "bronze") GUEST("3", "bronze"),
	HEAD SAMPLE_LINE "guests\nguest 7 bronze 2 2 2 1 1 2 3 4 5 6 7 8 9 10 11 12 13\n",
	HEAD SAMPLE_LINE "manual bronze 4 300 9\n",
	HEAD SAMPLE_LINE "manual bronze 1 1001 9\n",
	HEAD SAMPLE_LINE "manual bronze 1 300 9\n" USE("7"),
	HEAD SAMPLE_LINE "end now\n",
};

static void test_damaged(void)
{
	struct policy *p = make_policy();

	for (size_t i = 0; i < ARRAY_SIZE(damaged); i++) {
		struct govern_text t = { 0 };
		struct qerr err = { 0 };
		int r = *damaged[i] ? feed(&t, p, damaged[i], &err)
				    : govern_text_line(&t, p, "", &err);

		if (r != -EINVAL)
			fprintf(stderr, "taken: %s\n", damaged[i]);
		CU_ASSERT_EQUAL(r, -EINVAL);
		CU_ASSERT(strncmp(err.text, "line ", 5) == 0);
		govern_text_done(&t);
	}
	policy_free(p);
}

static void test_whole_lines_are_taken(void)
{
	struct policy *p = make_policy();
	struct govern_text t = { 0 };
	const char *text = HEAD SAMPLE_LINE "uplink 1000 - 3\n" USE("7")
		USE("9") "guests\n" GUEST("7", "bronze") "manual bronze 1 300 9\nend\n"
							 "sample 6 1 2 - 3 100 50 0 4000\nend\n";
	struct govern_input in;

	CU_ASSERT_EQUAL(feed(&t, p, text, NULL), 1);
	in = govern_text_input(&t, p);
	CU_ASSERT_EQUAL(in.before->nguests, 2);
	CU_ASSERT_EQUAL(in.before->uplinks[0].in_bytes, SAMPLE_UNKNOWN);
	CU_ASSERT_EQUAL(in.now->nguests, 0);
	CU_ASSERT_EQUAL(in.nguests, 1); /* those of before stand */
	CU_ASSERT_EQUAL(in.nmanual, 0); /* what the operator said is said in each turn */
	CU_ASSERT_PTR_EQUAL(in.guests[0].qclass, &p->classes[BRONZE]);
	govern_text_done(&t);
	policy_free(p);
}

static void test_long_line(void)
{
	struct policy *p = make_policy();
	struct govern_text t = { 0 };
	char line[GOVERN_TEXT_LINE_MAX + 2];
	struct qerr err = { 0 };

	memset(line, '#', sizeof(line) - 1);
	line[sizeof(line) - 1] = '\0';
	CU_ASSERT_EQUAL(govern_text_line(&t, p, line, &err), -EINVAL);
	ASSERT_STR(err.text, "line 1 is too long");
	policy_free(p);
}

static const struct test tests[] = {
	{ "a turn reads back as it was", test_round_trip },
	{ "a replay decides the same", test_replay },
	{ "damaged records are refused", test_damaged },
	{ "whole ones are taken", test_whole_lines_are_taken },
	{ "a line without end", test_long_line },
};

int main(void)
{
	return harness_run("sample_text", tests, ARRAY_SIZE(tests));
}
