/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_engine_episode - overloads told, kept on disk, taken up after a restart, and followed. */
#include <poll.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "qosd/daemon/control.h"
#include "qosd/daemon/episode.h"
#include "qosd/daemon/varlink.h"
#include "t/unit/engine_bench.h"

#define S  UINT64_C(1000000)
#define MS UINT64_C(1000)

/* ---- a governor of our own ---- */

struct storm {
	struct bench *b;
	uint64_t at_us;
	struct govern_output out;
	char path[128];
};

static void storm_init(struct storm *s, struct bench *b)
{
	*s = (struct storm){ .b = b, .at_us = engine_now_us(b->e) + 1000 * S };
	snprintf(s->path, sizeof(s->path), "%.60s/episodes", b->state_dir);
}

static void storm_tick(struct storm *s)
{
	struct sample now = { .at_us = s->at_us };

	episode_tick(s->b->e, &s->out, &now);
	s->at_us += 100 * MS;
	for (size_t r = 0; r < RESOURCE_COUNT; r++)
		s->out.resources[r].event = GOVERNOR_NOTHING;
}

static void storm_press(struct storm *s, enum resource r, size_t writes)
{
	s->out.resources[r] = (struct govern_resource){ .pressure = 2.5,
							.depth = 0.5,
							.state = GOVERNOR_PRESSED,
							.event = GOVERNOR_ONSET,
							.victim = 1,
							.culprits = { 3 } };
	episode_actions(s->b->e, writes);
	storm_tick(s);
}

static void storm_calm(struct storm *s, enum resource r)
{
	s->out.resources[r] = (struct govern_resource){ .state = GOVERNOR_CALM };
	for (int i = 0; i <= 30; i++)
		storm_tick(s);
}

static void storm_pass(struct storm *s, enum resource r)
{
	storm_press(s, r, 7);
	storm_calm(s, r);
}

static struct bench *bench_ready(struct storm *s)
{
	struct bench *b = bench_three(BENCH_ENFORCE);

	bench_publish(b);
	bench_settle(b);
	storm_init(s, b);
	return b;
}

static void restart(struct bench *b)
{
	bench_kill(b);
	bench_boot(b);
	bench_publish(b);
	bench_settle(b);
}

/* All records, as a client gets them. */
static json_t *shown(struct bench *b)
{
	json_t *all = must(episode_view_all(b->e));
	json_t *list = json_incref(json_object_get(all, "episodes"));

	json_decref(all);
	return list;
}

static json_int_t shown_int(const json_t *list, size_t i, const char *key)
{
	return json_integer_value(json_object_get(json_array_get(list, i), key));
}

static const char *shown_text(const json_t *list, size_t i, const char *key)
{
	return json_string_value(json_object_get(json_array_get(list, i), key));
}

/* ---- tests ---- */

static void test_told_and_shown(void)
{
	struct storm s;
	struct bench *b = bench_ready(&s);
	json_t *list = shown(b);

	CU_ASSERT_EQUAL(json_array_size(list), 0);
	json_decref(list);
	storm_press(&s, RESOURCE_CPU, 7);
	CU_ASSERT_EQUAL(bench_logged(b, "cpu overload 1 begins: db1 (gold) waited for CPU; the use "
					"of batch1 (bronze) rose"),
			1);
	list = shown(b);
	CU_ASSERT_EQUAL(json_array_size(list), 1);
	CU_ASSERT_EQUAL(shown_int(list, 0, "actions"), 7);
	CU_ASSERT_TRUE(json_is_null(json_object_get(json_array_get(list, 0), "ended")));
	CU_ASSERT_TRUE(json_is_null(json_object_get(json_array_get(list, 0), "effective")));
	json_decref(list);
	s.out.resources[RESOURCE_CPU].pressure = 0.5;
	storm_tick(&s);
	storm_calm(&s, RESOURCE_CPU);
	CU_ASSERT_EQUAL(bench_logged(b, "cpu overload 1 is over after "), 1);
	CU_ASSERT_EQUAL(bench_logged(b, "overload"), 2);
	list = shown(b);
	CU_ASSERT_EQUAL(json_array_size(list), 1);
	ASSERT_STR(shown_text(list, 0, "resource"), "cpu");
	CU_ASSERT_PTR_NOT_NULL(shown_text(list, 0, "ended"));
	CU_ASSERT_TRUE(json_is_true(json_object_get(json_array_get(list, 0), "effective")));
	json_decref(list);
	bench_free(b);
}

/* Two overloads at a time; the writes of a tick are those of the one that moved. */
static void test_two_at_once(void)
{
	struct storm s;
	struct bench *b = bench_ready(&s);
	json_t *list;

	storm_press(&s, RESOURCE_CPU, 5);
	storm_press(&s, RESOURCE_NET, 3);
	storm_calm(&s, RESOURCE_CPU);
	list = shown(b);
	CU_ASSERT_EQUAL(json_array_size(list), 2);
	CU_ASSERT_EQUAL(shown_int(list, 0, "actions"), 5);
	ASSERT_STR(shown_text(list, 1, "resource"), "net");
	CU_ASSERT_EQUAL(shown_int(list, 1, "actions"), 3);
	json_decref(list);
	bench_free(b);
}

static void test_outlives_restart(void)
{
	struct storm s;
	struct bench *b = bench_ready(&s);
	json_t *before, *after;

	storm_pass(&s, RESOURCE_CPU);
	storm_pass(&s, RESOURCE_DISK);
	before = shown(b);
	restart(b);
	after = shown(b);
	CU_ASSERT_EQUAL(json_array_size(after), 2);
	CU_ASSERT_TRUE(json_equal(before, after));
	json_decref(before);
	json_decref(after);
	storm_press(&s, RESOURCE_CPU, 1);
	CU_ASSERT_EQUAL(episode_now(b->e, RESOURCE_CPU)->id, 3);
	bench_free(b);
}

/* An overload that lasted when qosd ended goes on when the governor took it up ... */
static void test_goes_on(void)
{
	struct storm s;
	struct bench *b = bench_ready(&s);

	storm_press(&s, RESOURCE_CPU, 1);
	restart(b);
	s.out.resources[RESOURCE_CPU].state = GOVERNOR_HOLDING;
	storm_tick(&s);
	CU_ASSERT_EQUAL(bench_logged(b, "begins"), 1);
	CU_ASSERT_EQUAL(episode_now(b->e, RESOURCE_CPU)->id, 1);
	storm_calm(&s, RESOURCE_CPU);
	CU_ASSERT_EQUAL(bench_logged(b, "qosd was started anew meanwhile"), 1);
	CU_ASSERT_PTR_NULL(episode_now(b->e, RESOURCE_CPU));
	/* ... and is over when it did not. */
	storm_press(&s, RESOURCE_NET, 1);
	restart(b);
	memset(&s.out, 0, sizeof(s.out));
	storm_calm(&s, RESOURCE_NET);
	CU_ASSERT_PTR_NULL(episode_now(b->e, RESOURCE_NET));
	CU_ASSERT_EQUAL(bench_logged(b, "net overload 2 is over"), 1);
	bench_free(b);
}

static void append_text(const char *path, const char *text)
{
	FILE *f = must(fopen(path, "ae"));

	fputs(text, f);
	fclose(f);
}

static size_t lines_in(const char *path)
{
	FILE *f = fopen(path, "re");
	size_t n = 0;
	int c;

	while (f && (c = fgetc(f)) != EOF)
		n += c == '\n';
	if (f)
		fclose(f);
	return n;
}

static void test_torn_line(void)
{
	struct storm s;
	struct bench *b = bench_ready(&s);
	json_t *list;

	storm_pass(&s, RESOURCE_CPU);
	bench_kill(b);
	append_text(s.path, "no episode at all\n{\"id\":2,\"resource\":\"cpu\",\"beg");
	bench_boot(b);
	CU_ASSERT_EQUAL(bench_logged(b, "2 lines are torn or damaged"), 1);
	bench_publish(b);
	bench_settle(b);
	storm_pass(&s, RESOURCE_CPU);
	restart(b);
	CU_ASSERT_EQUAL(bench_logged(b, "torn or damaged"), 1); /* mended by the next writing */
	list = shown(b);
	CU_ASSERT_EQUAL(json_array_size(list), 2);
	CU_ASSERT_EQUAL(shown_int(list, 1, "id"), 2);
	json_decref(list);
	bench_free(b);
}

static void test_full_disk(void)
{
	struct storm s;
	struct bench *b = bench_ready(&s);
	char in_the_way[160];
	json_t *list;

	snprintf(in_the_way, sizeof(in_the_way), "%s.new", s.path);
	CU_ASSERT_EQUAL(mkdir(in_the_way, 0700), 0);
	storm_pass(&s, RESOURCE_CPU);
	episode_file_flush(b->e, 5 * S);
	storm_pass(&s, RESOURCE_CPU);
	episode_file_flush(b->e, 5 * S);
	CU_ASSERT_EQUAL(bench_logged(b, "overloads are not kept on disk"), 1);
	list = shown(b);
	CU_ASSERT_EQUAL(json_array_size(list), 2);
	json_decref(list);
	CU_ASSERT_EQUAL(lines_in(s.path), 0);
	CU_ASSERT_EQUAL(rmdir(in_the_way), 0);
	storm_pass(&s, RESOURCE_MEMORY);
	restart(b);
	list = shown(b);
	CU_ASSERT_EQUAL(json_array_size(list), 3);
	json_decref(list);
	bench_free(b);
}

/* Thousands of overloads: memory and file stay within their bounds, the newest are kept. */
static void test_bounds(void)
{
	struct storm s;
	struct bench *b = bench_ready(&s);
	struct stat st = { 0 };
	json_t *list;

	for (int i = 0; i < 1500; i++) {
		storm_pass(&s, RESOURCE_CPU);
		if (i % 8 == 0) /* the thread is not asked for more than its queue holds */
			episode_file_flush(b->e, 5 * S);
	}
	episode_file_flush(b->e, 5 * S);
	list = shown(b);
	CU_ASSERT_EQUAL(json_array_size(list), EPISODES_KEPT);
	CU_ASSERT_EQUAL(shown_int(list, 0, "id"), 501);
	json_decref(list);
	CU_ASSERT_EQUAL(stat(s.path, &st), 0);
	CU_ASSERT(st.st_size > 100000);
	CU_ASSERT((size_t)st.st_size <= EPISODES_FILE_MAX);
	restart(b);
	list = shown(b);
	CU_ASSERT_EQUAL(json_array_size(list), EPISODES_KEPT);
	CU_ASSERT_EQUAL(shown_int(list, EPISODES_KEPT - 1, "id"), 1500);
	json_decref(list);
	bench_free(b);
}

/* ---- those who follow ---- */

struct client {
	int fd;
	struct varlink_buffer in;
};

static void client_open(struct client *c, const char *path)
{
	static const char call[] =
		"{\"method\":\"org.qosd.Control.Episodes\",\"parameters\":{},\"more\":true}";
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	*c = (struct client){ .fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0) };
	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	CU_ASSERT_EQUAL(connect(c->fd, (struct sockaddr *)&address, sizeof(address)), 0);
	CU_ASSERT_EQUAL(send(c->fd, call, sizeof(call), MSG_NOSIGNAL), (ssize_t)sizeof(call));
}

static void client_close(struct client *c)
{
	close(c->fd);
	varlink_buffer_done(&c->in);
}

/* The loop has done all that can be done now. */
static void run_loop(struct bench *b)
{
	for (int i = 0; i < 20; i++)
		(void)sd_event_run(b->e->event, 1000);
}

/* How many answers have come; *ret_last: the text of the last one. */
static unsigned int client_answers(struct client *c, char *ret_last, size_t size)
{
	unsigned int n = 0;
	const char *text;
	size_t len;
	ssize_t got;

	do {
		CU_ASSERT_EQUAL(varlink_buffer_reserve(&c->in, 65536), 0);
		got = recv(c->fd, c->in.data + c->in.end, 65536, MSG_DONTWAIT);
		if (got > 0)
			c->in.end += (size_t)got;
	} while (got > 0);
	while (varlink_buffer_next(&c->in, 1 << 20, &text, &len) == 1) {
		snprintf(ret_last, size, "%.*s", (int)len, text);
		n++;
	}
	return n;
}

static void serve(struct bench *b, char path[96])
{
	struct qerr err = { 0 };

	snprintf(path, 96, "%s/sock", b->dir);
	b->e->options.socket_path = path;
	CU_ASSERT_EQUAL_FATAL(methods_start(b->e, &err), 0);
}

static void test_followers(void)
{
	struct storm s;
	struct bench *b = bench_ready(&s);
	struct client one, two;
	char path[96], last[2048];

	serve(b, path);
	storm_pass(&s, RESOURCE_CPU);
	client_open(&one, path);
	client_open(&two, path);
	run_loop(b);
	CU_ASSERT_EQUAL(client_answers(&one, last, sizeof(last)), 1);
	CU_ASSERT_PTR_NOT_NULL(strstr(last, "\"continues\""));
	CU_ASSERT_PTR_NOT_NULL(strstr(last, "\"id\":1"));
	CU_ASSERT_EQUAL(b->e->episodes->nfollowers, 2);
	storm_press(&s, RESOURCE_CPU, 1);
	run_loop(b);
	CU_ASSERT_EQUAL(client_answers(&one, last, sizeof(last)), 1);
	CU_ASSERT_PTR_NOT_NULL(strstr(last, "\"id\":2"));
	CU_ASSERT_PTR_NULL(strstr(last, "\"id\":1"));
	client_close(&one);
	run_loop(b);
	CU_ASSERT_EQUAL(b->e->episodes->nfollowers, 1);
	storm_calm(&s, RESOURCE_CPU);
	run_loop(b);
	CU_ASSERT_EQUAL(client_answers(&two, last, sizeof(last)), 3);
	client_close(&two);
	run_loop(b);
	CU_ASSERT_EQUAL(b->e->episodes->nfollowers, 0);
	bench_free(b);
}

/* One who never reads is dropped; one too many is told so; nobody else feels it. */
static void test_bad_followers(void)
{
	struct storm s;
	struct bench *b = bench_ready(&s);
	struct client many[EPISODES_FOLLOWERS_MAX + 1];
	char path[96], last[2048] = "";

	serve(b, path);
	for (size_t i = 0; i < ARRAY_SIZE(many); i++)
		client_open(&many[i], path);
	run_loop(b);
	run_loop(b);
	CU_ASSERT_EQUAL(b->e->episodes->nfollowers, EPISODES_FOLLOWERS_MAX);
	CU_ASSERT_EQUAL(client_answers(&many[EPISODES_FOLLOWERS_MAX], last, sizeof(last)), 1);
	CU_ASSERT_PTR_NOT_NULL(strstr(last, "org.qosd.Control.Busy"));
	for (int i = 0; i < 1500; i++) {
		storm_pass(&s, RESOURCE_CPU);
		if (i % 50 == 0)
			CU_ASSERT(client_answers(&many[0], last, sizeof(last)) > 0);
	}
	/* all but the one who read have fallen behind */
	CU_ASSERT_EQUAL(b->e->episodes->nfollowers, 1);
	CU_ASSERT(client_answers(&many[0], last, sizeof(last)) > 0);
	for (size_t i = 0; i < ARRAY_SIZE(many); i++)
		client_close(&many[i]);
	bench_free(b);
}

static const struct test tests[] = {
	{ "told at onset and end, and shown", test_told_and_shown },
	{ "two at once", test_two_at_once },
	{ "records outlive a restart", test_outlives_restart },
	{ "an overload outlives a restart", test_goes_on },
	{ "a torn line", test_torn_line },
	{ "a full disk is told once", test_full_disk },
	{ "memory and file are bounded", test_bounds },
	{ "followers get what begins and ends", test_followers },
	{ "slow and too many followers", test_bad_followers },
};

int main(void)
{
	signal(SIGPIPE, SIG_IGN);
	return harness_run("engine_episode", tests, ARRAY_SIZE(tests));
}
