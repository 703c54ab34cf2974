/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test_hook - the hook program (HOOK_BIN) run as libvirt runs it, against daemons that answer well,
 * badly, late or not at all. Only a clear refusal at `prepare` may fail, and never after 500 ms.
 */
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "t/unit/harness.h"

#define LIMIT_MS 500
#define SLACK_MS 150 /* starting a process on a busy machine */
#define DOMAIN   "<domain type='kvm'><name>web1</name><title>\"quoted\" \xc3\xa9</title></domain>"

struct run {
	int status;
	long ms;
	char errors[1024];
	char call[1 << 16]; /* what the daemon received */
};

struct script { /* how the daemon behaves */
	const char *reply;
	size_t reply_len;
	bool mute; /* reads, never answers */
	bool drip; /* one byte each 20 ms */
	bool slam; /* closes at once */
};

static char dir[] = "/tmp/test_hook.XXXXXX", path[64];

static long now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int listen_here(void)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	strcpy(address.sun_path, path);
	unlink(path);
	CU_ASSERT_EQUAL_FATAL(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	CU_ASSERT_EQUAL_FATAL(listen(fd, 4), 0);
	return fd;
}

static void answer(int fd, const struct script *s)
{
	for (size_t i = 0; s->drip; i = (i + 1) % s->reply_len) {
		if (send(fd, s->reply + i, 1, MSG_NOSIGNAL) < 0)
			return;
		usleep(20000);
	}
	if (s->mute)
		pause();
	if (send(fd, s->reply, s->reply_len, MSG_NOSIGNAL) < 0)
		return;
	usleep(300000); /* the connection stays open: the NUL ends the reply, not the closing */
}

/* A child that serves one call and passes it on to `copy`. */
static pid_t serve(int listener, const struct script *s, int copy)
{
	pid_t pid = fork();
	char data[4096];
	int fd;
	ssize_t n;

	if (pid != 0)
		return pid;
	alarm(5);
	fd = accept(listener, NULL, NULL);
	if (s->slam)
		_exit(0);
	do {
		n = read(fd, data, sizeof(data));
		if (n > 0 && write(copy, data, (size_t)n) < 0)
			_exit(1);
	} while (n > 0 && data[n - 1] != '\0');
	close(copy);
	answer(fd, s);
	_exit(0);
}

static void slurp(int fd, char *buf, size_t size)
{
	size_t len = 0;
	ssize_t n;

	while (len < size - 1 && (n = read(fd, buf + len, size - 1 - len)) > 0)
		len += (size_t)n;
	buf[len] = '\0';
	close(fd);
}

static pid_t start_hook(const char *phase, int in, int err)
{
	const char *program = getenv("HOOK_BIN");
	pid_t pid = fork();

	if (pid != 0)
		return pid;
	dup2(in, STDIN_FILENO);
	dup2(err, STDERR_FILENO);
	setenv("QOSD_SOCKET", path, 1);
	execl(program ? program : "./qos-hook", "50-qosd", "web1", phase, "begin", "-", NULL);
	_exit(127);
}

/* An unlinked file that holds the text, open at its beginning. */
static int file_of(const char *text, size_t len)
{
	FILE *file = tmpfile();
	int fd = dup(fileno(file));

	if (fwrite(text, 1, len, file) != len)
		perror("tmpfile");
	fclose(file);
	lseek(fd, 0, SEEK_SET);
	return fd;
}

/* `script` NULL: nobody listens. `in` is closed. */
static struct run run_hook(const char *phase, int in, const struct script *script)
{
	struct run r = { 0 };
	int err[2], copy = file_of("", 0), listener = script ? listen_here() : -1;
	pid_t daemon = -1, hook;
	long begin;

	if (script)
		daemon = serve(listener, script, copy);
	if (pipe2(err, O_CLOEXEC) < 0) /* after the daemon, which must not hold it */
		return r;
	begin = now_ms();
	hook = start_hook(phase, in, err[1]);
	close(err[1]);
	close(in);
	slurp(err[0], r.errors, sizeof(r.errors));
	waitpid(hook, &r.status, 0);
	r.ms = now_ms() - begin;
	r.status = WIFEXITED(r.status) ? WEXITSTATUS(r.status) : -1;
	if (daemon > 0) {
		kill(daemon, SIGKILL);
		waitpid(daemon, NULL, 0);
		close(listener);
		unlink(path);
	}
	lseek(copy, 0, SEEK_SET);
	slurp(copy, r.call, sizeof(r.call));
	if (r.ms >= LIMIT_MS + SLACK_MS)
		fprintf(stderr, "the hook took %ld ms at %s\n", r.ms, phase);
	CU_ASSERT(r.ms < LIMIT_MS + SLACK_MS);
	return r;
}

static struct run run_with_reply(const char *phase, const char *reply)
{
	struct script s = { .reply = reply, .reply_len = strlen(reply) + 1 };

	return run_hook(phase, file_of(DOMAIN, strlen(DOMAIN)), &s);
}

#define REFUSAL "{\"parameters\":{\"admit\":false,\"reason\":\"16 GiB asked, 3 GiB left\"}}"

static void test_refusal(void)
{
	struct run r = run_with_reply("prepare", REFUSAL);

	CU_ASSERT_EQUAL(r.status, 1);
	ASSERT_STR(r.errors, "qosd: 16 GiB asked, 3 GiB left\n");
}

static void test_reason_is_tamed(void)
{
	struct run r = run_with_reply(
		"prepare", "{\"parameters\":{\"admit\":false,\"reason\":\"a\\n\\u001b[1mb\"}}");

	CU_ASSERT_EQUAL(r.status, 1);
	ASSERT_STR(r.errors, "qosd: a  [1mb\n");
	r = run_with_reply("prepare", "{\"parameters\":{\"admit\":false}}");
	CU_ASSERT_EQUAL(r.status, 1);
	ASSERT_STR(r.errors, "qosd: this host is full\n");
}

static void test_admission(void)
{
	struct run r = run_with_reply("prepare", "{\"parameters\":{\"admit\":true}}");

	CU_ASSERT_EQUAL(r.status, 0);
	ASSERT_STR(r.errors, "");
}

static void test_call(void)
{
	struct run r = run_with_reply("started", "{\"parameters\":{\"admit\":true}}");
	json_t *call = json_loads(r.call, 0, NULL), *parameters;

	CU_ASSERT_PTR_NOT_NULL_FATAL(call);
	parameters = json_object_get(call, "parameters");
	ASSERT_STR(json_string_value(json_object_get(call, "method")), "org.qosd.Control.Hook");
	ASSERT_STR(json_string_value(json_object_get(parameters, "guest")), "web1");
	ASSERT_STR(json_string_value(json_object_get(parameters, "phase")), "started");
	ASSERT_STR(json_string_value(json_object_get(parameters, "xml")), DOMAIN);
	json_decref(call);
}

static void test_other_phases(void)
{
	static const char *const phases[] = { "start",   "started",   "stopped",
					      "release", "migrate",   "restore",
					      "attach",  "reconnect", "whatever" };

	for (size_t i = 0; i < ARRAY_SIZE(phases); i++) {
		struct run r = run_with_reply(phases[i], REFUSAL);

		CU_ASSERT_EQUAL(r.status, 0);
		ASSERT_STR(r.errors, "");
	}
}

static void test_bad_replies(void)
{
	static const char *const replies[] = {
		"",
		"{",
		"[]",
		"null",
		"{\"parameters\":{\"admit\":\"no\"}}",
		"{\"parameters\":{\"admit\":0}}",
		"{\"parameters\":[false]}",
		"{\"parameters\":{\"admit\":false,\"reason\":7}}",
		"{\"parameters\":{\"admit\":false,\"admit\":false}}",
		"{\"error\":\"org.qosd.Control.X\",\"parameters\":{\"admit\":false}}",
		"{\"continues\":true,\"parameters\":{\"admit\":false}}",
		"{\"admit\":false}",
		REFUSAL " and more",
		"\xff\xfe",
	};

	for (size_t i = 0; i < ARRAY_SIZE(replies); i++) {
		struct run r = run_with_reply("prepare", replies[i]);

		CU_ASSERT_EQUAL(r.status, 0);
		ASSERT_STR(r.errors, "");
	}
}

static void assert_open(struct run r)
{
	CU_ASSERT_EQUAL(r.status, 0);
	ASSERT_STR(r.errors, "");
}

static void test_two_messages(void)
{
	static const char two[] = REFUSAL "\0" REFUSAL;
	struct script s = { .reply = two, .reply_len = sizeof(two) };

	assert_open(run_hook("prepare", file_of(DOMAIN, strlen(DOMAIN)), &s));
}

static void test_bad_daemons(void)
{
	static char endless[100000];
	struct script mute = { .mute = true };
	struct script slam = { .slam = true };
	struct script drip = { .reply = "{ ", .reply_len = 2, .drip = true };
	struct script flood = { .reply = endless, .reply_len = sizeof(endless) };

	memset(endless, ' ', sizeof(endless));
	assert_open(run_hook("prepare", file_of(DOMAIN, strlen(DOMAIN)), NULL));
	assert_open(run_hook("prepare", file_of(DOMAIN, strlen(DOMAIN)), &mute));
	assert_open(run_hook("prepare", file_of(DOMAIN, strlen(DOMAIN)), &slam));
	assert_open(run_hook("prepare", file_of(DOMAIN, strlen(DOMAIN)), &drip));
	assert_open(run_hook("prepare", file_of(DOMAIN, strlen(DOMAIN)), &flood));
}

/* The daemon accepts nobody and its queue is full. */
static void test_full_backlog(void)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int listener = listen_here(), fds[16], n = 0;
	int err[2];
	char text[64];
	int status;
	pid_t hook;
	long begin;

	strcpy(address.sun_path, path);
	while (n < 16) {
		fds[n] = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
		if (connect(fds[n++], (struct sockaddr *)&address, sizeof(address)) < 0)
			break;
	}
	CU_ASSERT(pipe2(err, O_CLOEXEC) == 0);
	begin = now_ms();
	hook = start_hook("prepare", file_of(DOMAIN, strlen(DOMAIN)), err[1]);
	close(err[1]);
	slurp(err[0], text, sizeof(text));
	waitpid(hook, &status, 0);
	CU_ASSERT(now_ms() - begin < LIMIT_MS + SLACK_MS);
	CU_ASSERT_EQUAL(status, 0);
	while (n > 0)
		close(fds[--n]);
	close(listener);
	unlink(path);
}

static void test_input(void)
{
	struct script s = { .reply = REFUSAL, .reply_len = sizeof(REFUSAL) };
	static char big[(1 << 20) + 10];
	int quiet[2];

	memset(big, ' ', sizeof(big));
	assert_open(run_hook("prepare", file_of(big, sizeof(big)), &s)); /* too long */
	assert_open(run_hook("prepare", file_of("", 0), &s));
	assert_open(run_hook("prepare", file_of("\xff\xff", 2), &s)); /* not UTF-8 */
	CU_ASSERT_EQUAL(pipe2(quiet, O_CLOEXEC), 0);
	assert_open(run_hook("prepare", dup(quiet[0]), &s)); /* never ends */
	close(quiet[0]);
	close(quiet[1]);

	memset(big, 'x', 900000);
	CU_ASSERT_EQUAL(run_hook("prepare", file_of(big, 900000), &s).status,
			1); /* large but fine */
}

static const struct test tests[] = {
	{ "a refusal at prepare", test_refusal },
	{ "the reason cannot play with the terminal", test_reason_is_tamed },
	{ "admission", test_admission },
	{ "the call", test_call },
	{ "no other phase fails", test_other_phases },
	{ "bad replies", test_bad_replies },
	{ "two messages", test_two_messages },
	{ "no daemon, or a bad one", test_bad_daemons },
	{ "a full backlog", test_full_backlog },
	{ "input", test_input },
};

int main(void)
{
	int r;

	if (!mkdtemp(dir))
		return 1;
	signal(SIGPIPE, SIG_IGN);
	snprintf(path, sizeof(path), "%s/control.sock", dir);
	r = harness_run("hook", tests, ARRAY_SIZE(tests));
	rmdir(dir);
	return r;
}
