/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test_control_limits - the control server and those who would harm it: slow, silent and too many
 * clients, a taken socket, people without rights.
 *
 * The tests of rights fork, as a process cannot take another user's credentials and come back.
 */
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "t/unit/control_bench.h"

#define NOBODY_UID 65534

/* ---- clients that do not read, say nothing, are too many ---- */

/* A stream's reader that takes nothing is dropped at the bound; nobody else notices. */
static void test_slow_stream_reader(void)
{
	struct fixture f;
	struct client slow, other;
	char text[4096];
	int r = 0, n;

	begin(&f);
	slow = client_new(&f);
	other = client_new(&f);
	put(&slow, "{\"method\":\"" PREFIX "Later\",\"more\":true}");
	settle(&f);
	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	for (n = 0; n < 10000 && r == 0; n++)
		r = control_reply_more(f.kept, json_pack("{s:s}", "text", text));
	CU_ASSERT(r == -EPIPE);
	CU_ASSERT(n * sizeof(text) < 2 * CONTROL_STREAM_OUTPUT_MAX + (1 << 20));
	CU_ASSERT(f.gone == 1 && f.logged == 1);
	put(&other, ECHO("fine"));
	expect_text(&f, &other, "fine");
	client_done(&slow);
	client_done(&other);
	end(&f);
}

/* A client that calls and does not read is not served further, and dropped after the stall time. */
static void test_slow_caller(void)
{
	struct fixture f;
	struct client slow, other;

	begin_with(&f, 0, 300000);
	slow = client_new(&f);
	other = client_new(&f);
	for (int i = 0; i < 100; i++)
		put(&slow, "{\"method\":\"" PREFIX "Big\",\"parameters\":{\"size\":1000000}}");
	for (int i = 0; i < 10; i++)
		turn(&f);
	CU_ASSERT(f.served >= 1 && f.served <= 2);
	put(&other, ECHO("fine"));
	expect_text(&f, &other, "fine");
	for (int i = 0; i < TRIES && control_client_count(f.control) > 1; i++)
		turn(&f);
	CU_ASSERT(control_client_count(f.control) == 1);
	client_done(&slow);
	client_done(&other);
	end(&f);
}

/* A slow reader that does read gets all of it. */
static void test_big_reply(void)
{
	struct fixture f;
	struct client c;
	json_t *reply;

	begin(&f);
	c = client_new(&f);
	put(&c, "{\"method\":\"" PREFIX "Big\",\"parameters\":{\"size\":3000000}}");
	reply = await_message(&f, &c);
	CU_ASSERT(json_string_length(json_object_get(json_object_get(reply, "parameters"),
						     "text")) == 3000000);
	json_decref(reply);
	/* More than the bound: no half answer, the connection ends. */
	put(&c, "{\"method\":\"" PREFIX "Big\",\"parameters\":{\"size\":40000000}}");
	CU_ASSERT(await_close(&f, &c));
	client_done(&c);
	end(&f);
}

static void test_idle(void)
{
	struct fixture f;
	struct client idle, streaming;

	begin_with(&f, 300000, 0);
	idle = client_new(&f);
	streaming = client_new(&f);
	put(&streaming, "{\"method\":\"" PREFIX "Later\",\"more\":true}");
	CU_ASSERT(send(idle.fd, "{", 1, 0) == 1); /* half a message is idle, too */
	CU_ASSERT(await_close(&f, &idle));
	for (int i = 0; i < 20; i++)
		turn(&f);
	CU_ASSERT(control_client_count(f.control) == 1);
	CU_ASSERT(control_reply(f.kept, json_pack("{s:s}", "text", "end")) == 0);
	expect_text(&f, &streaming, "end");
	client_done(&idle);
	client_done(&streaming);
	end(&f);
}

static void test_too_many_clients(void)
{
	struct client clients[CONTROL_CLIENTS_MAX], late;
	struct fixture f;

	begin(&f);
	for (size_t i = 0; i < ARRAY_SIZE(clients); i++)
		clients[i] = client_new(&f);
	CU_ASSERT(control_client_count(f.control) == CONTROL_CLIENTS_MAX);
	for (size_t i = 0; i < ARRAY_SIZE(clients); i++)
		put(&clients[i], ECHO("all"));
	for (size_t i = 0; i < ARRAY_SIZE(clients); i++)
		expect_text(&f, &clients[i], "all");
	late = client_new(&f);
	expect_error(&f, &late, PREFIX "Busy");
	CU_ASSERT(await_close(&f, &late));
	client_done(&late);
	client_done(&clients[0]);
	settle(&f);
	late = client_new(&f);
	put(&late, ECHO("room again"));
	expect_text(&f, &late, "room again");
	client_done(&late);
	for (size_t i = 1; i < ARRAY_SIZE(clients); i++)
		client_done(&clients[i]);
	end(&f);
}

/* Without file descriptors the listener rests instead of spinning, and comes back. */
static void test_no_descriptors(void)
{
	struct rlimit before, tight;
	struct fixture f;
	struct client c;
	int turns = 0, fd;

	begin_with(&f, 0, 400000);
	c = (struct client){ .fd = connect_to(f.path) };
	fd = dup(0);
	close(fd);
	getrlimit(RLIMIT_NOFILE, &before);
	tight = (struct rlimit){ .rlim_cur = (rlim_t)fd, .rlim_max = before.rlim_max };
	setrlimit(RLIMIT_NOFILE, &tight);
	while (turns < 1000 && sd_event_run(f.event, 10000) > 0)
		turns++;
	setrlimit(RLIMIT_NOFILE, &before);
	CU_ASSERT(turns < 10);
	CU_ASSERT(f.logged == 1);
	put(&c, ECHO("served"));
	expect_text(&f, &c, "served");
	client_done(&c);
	end(&f);
}

/* ---- the socket file ---- */

static void test_socket_in_use(void)
{
	struct control *second = NULL;
	struct control_config config;
	struct qerr err = { 0 };
	struct fixture f;
	struct stat st;
	int fd;

	begin(&f);
	config = config_for(&f);
	CU_ASSERT(control_new(f.event, &config, &second, &err) == -EADDRINUSE);
	CU_ASSERT(second == NULL && strstr(err.text, f.path));
	CU_ASSERT(stat(f.path, &st) == 0 && (st.st_mode & 07777) == 0666);
	control_free(f.control);
	/* A file that is no socket is not ours to remove. */
	fd = open(f.path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	close(fd);
	CU_ASSERT(control_new(f.event, &config, &f.control, &err) == -EEXIST);
	unlink(f.path);
	f.control = NULL;
	end(&f);
}

static void test_stale_socket(void)
{
	struct control_config config;
	struct fixture f;
	struct client c;
	pid_t pid;

	begin(&f);
	control_free(f.control);
	config = config_for(&f);
	pid = fork();
	if (pid == 0) { /* a daemon that dies without cleaning up */
		struct sockaddr_un address = { .sun_family = AF_UNIX };
		int fd = socket(AF_UNIX, SOCK_STREAM, 0);

		memcpy(address.sun_path, f.path, strlen(f.path) + 1);
		_exit(bind(fd, (struct sockaddr *)&address, sizeof(address)) || listen(fd, 1));
	}
	waitpid(pid, NULL, 0);
	CU_ASSERT(access(f.path, F_OK) == 0);
	CU_ASSERT_FATAL(control_new(f.event, &config, &f.control, NULL) == 0);
	c = client_new(&f);
	put(&c, ECHO("new"));
	expect_text(&f, &c, "new");
	client_done(&c);
	end(&f);
}

static void test_path_too_long(void)
{
	struct control *control = NULL;
	struct control_config config;
	struct qerr err = { 0 };
	struct fixture f;
	char path[200];

	begin(&f);
	memset(path, 'x', sizeof(path) - 1);
	path[sizeof(path) - 1] = '\0';
	config = config_for(&f);
	config.path = path;
	CU_ASSERT(control_new(f.event, &config, &control, &err) == -ENAMETOOLONG);
	config.path = "/nonexistent/dir/sock";
	CU_ASSERT(control_new(f.event, &config, &control, &err) == -ENOENT);
	end(&f);
}

/* ---- rights ---- */

struct person {
	const char *what;
	uid_t uid;
	const char *group, *supplementary; /* NULL: nogroup / none */
	const char *read, *write, *root;   /* errors expected, NULL: allowed */
};

/* In the child: one blocking call, and whether it got the answer that is expected. */
static bool answered_as(const char *path, const char *method, const char *error)
{
	char text[256], reply[4096];
	struct timeval limit = { .tv_sec = 10 };
	int fd = connect_to(path);
	ssize_t n = 0, got;
	bool ok;

	if (fd < 0)
		return false;
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	snprintf(text, sizeof(text),
		 "{\"method\":\"" PREFIX "%s\",\"parameters\":{\"text\":\"x\"}}", method);
	if (send(fd, text, strlen(text) + 1, MSG_NOSIGNAL) < 0)
		return false;
	while ((got = recv(fd, reply + n, sizeof(reply) - 1 - (size_t)n, 0)) > 0) {
		n += got;
		if (reply[n - 1] == '\0')
			break;
	}
	reply[n] = '\0';
	ok = error ? strstr(reply, error) != NULL : strstr(reply, "\"error\"") == NULL && n > 0;
	if (!ok)
		fprintf(stderr, "\n%s: expected %s, got %s\n", method, error ? error : "an answer",
			reply);
	close(fd);
	return ok;
}

static void become(const struct person *p)
{
	const struct group *primary = getgrnam(p->group ? p->group : "nogroup");
	gid_t gid = primary->gr_gid, extra = 0;
	size_t nextra = 0;

	if (p->supplementary) {
		extra = getgrnam(p->supplementary)->gr_gid;
		nextra = 1;
	}
	if (setgroups(nextra, &extra) < 0 || setresgid(gid, gid, gid) < 0 ||
	    setresuid(p->uid, p->uid, p->uid) < 0)
		_exit(3);
}

static int wait_for_child(struct fixture *f, pid_t pid)
{
	int status = -1;

	for (int i = 0; i < 10 * TRIES; i++) {
		if (waitpid(pid, &status, WNOHANG) == pid)
			return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
		turn(f);
	}
	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	return -1;
}

static void test_rights(void)
{
	static const char denied[] = PREFIX "NotPermitted";
	static const struct person people[] = {
		{ "root", 0, NULL, NULL, NULL, NULL, NULL },
		{ "nobody", NOBODY_UID, NULL, NULL, denied, denied, denied },
		{ "reader", NOBODY_UID, READ_GROUP, NULL, NULL, denied, denied },
		{ "reader by another group", NOBODY_UID, NULL, READ_GROUP, NULL, denied, denied },
		{ "admin", NOBODY_UID, ADMIN_GROUP, NULL, NULL, NULL, denied },
		{ "admin by another group", NOBODY_UID, NULL, ADMIN_GROUP, NULL, NULL, denied },
	};
	struct fixture f;

	if (getuid() != 0) {
		printf("(skipped: needs root) ");
		return;
	}
	begin(&f);
	for (size_t i = 0; i < ARRAY_SIZE(people); i++) {
		const struct person *p = &people[i];
		pid_t pid = fork();

		if (pid == 0) {
			become(p);
			_exit(answered_as(f.path, "Echo", p->read) &&
					      answered_as(f.path, "Write", p->write) &&
					      answered_as(f.path, "Root", p->root) &&
					      answered_as(f.path, "Nothing",
							  p->read ? p->read : "MethodNotFound")
				      ? 0
				      : 1);
		}
		if (wait_for_child(&f, pid) != 0) {
			fprintf(stderr, "\nwrong rights: %s\n", p->what);
			CU_FAIL("rights");
		}
	}
	end(&f);
}

/* In the child: more than a reader may send is refused before it is looked at. */
static bool refused_as_too_long(const char *path)
{
	size_t size = CONTROL_MESSAGE_MAX + 100;
	char *text = calloc(1, size + 1), reply[4096] = "";
	int fd = connect_to(path);
	bool refused;

	memset(text, ' ', size);
	refused = fd >= 0 && send(fd, text, size + 1, MSG_NOSIGNAL) > 0 &&
		  recv(fd, reply, sizeof(reply) - 1, 0) > 0 && strstr(reply, "too long");
	close(fd);
	free(text);
	return refused;
}

static void test_reader_sends_too_much(void)
{
	static const struct person reader = { .what = "reader",
					      .uid = NOBODY_UID,
					      .group = READ_GROUP };
	struct fixture f;
	pid_t pid;

	if (getuid() != 0) {
		printf("(skipped: needs root) ");
		return;
	}
	begin(&f);
	pid = fork();
	if (pid == 0) {
		become(&reader);
		_exit(refused_as_too_long(f.path) ? 0 : 1);
	}
	CU_ASSERT(wait_for_child(&f, pid) == 0);
	end(&f);
}

/* Take as many places as there are, until killed. */
static pid_t crowd(struct fixture *f, const struct person *p)
{
	pid_t pid = fork();

	if (pid == 0) {
		become(p);
		for (int i = 0; i < CONTROL_CLIENTS_MAX; i++)
			connect_to(f->path);
		pause();
		_exit(0);
	}
	for (int i = 0; i < 20; i++)
		turn(f);
	return pid;
}

/* Someone without rights gets few places, a user some, and root always one. */
static void test_places(void)
{
	static const struct person people[] = {
		{ .what = "nobody", .uid = NOBODY_UID - 1 },
		{ .what = "reader 1", .uid = NOBODY_UID - 2, .group = READ_GROUP },
		{ .what = "reader 2", .uid = NOBODY_UID - 3, .group = READ_GROUP },
		{ .what = "reader 3", .uid = NOBODY_UID - 4, .group = READ_GROUP },
		{ .what = "reader 4", .uid = NOBODY_UID - 5, .group = READ_GROUP },
	};
	size_t bound = CONTROL_CLIENTS_MAX - CONTROL_CLIENTS_KEPT;
	struct fixture f;
	struct client c;
	pid_t pids[ARRAY_SIZE(people)];

	if (getuid() != 0) {
		printf("(skipped: needs root) ");
		return;
	}
	begin(&f);
	for (size_t i = 0; i < ARRAY_SIZE(people); i++) {
		size_t wanted = CONTROL_CLIENTS_REFUSED + i * CONTROL_CLIENTS_OF_USER;

		pids[i] = crowd(&f, &people[i]);
		CU_ASSERT(control_client_count(f.control) == (wanted < bound ? wanted : bound));
	}
	c = client_new(&f);
	put(&c, ECHO("root"));
	expect_text(&f, &c, "root");
	for (size_t i = 0; i < ARRAY_SIZE(people); i++) {
		kill(pids[i], SIGKILL);
		waitpid(pids[i], NULL, 0);
	}
	settle(&f);
	CU_ASSERT(control_client_count(f.control) == 1);
	client_done(&c);
	end(&f);
}

static const struct test tests[] = {
	{ "slow reader of a stream", test_slow_stream_reader },
	{ "slow caller", test_slow_caller },
	{ "big reply", test_big_reply },
	{ "idle client", test_idle },
	{ "too many clients", test_too_many_clients },
	{ "out of file descriptors", test_no_descriptors },
	{ "socket in use", test_socket_in_use },
	{ "stale socket", test_stale_socket },
	{ "impossible paths", test_path_too_long },
	{ "rights", test_rights },
	{ "a reader sends too much", test_reader_sends_too_much },
	{ "places for users", test_places },
};

int main(void)
{
	signal(SIGPIPE, SIG_DFL); /* the server must never raise it */
	return harness_run("control limits", tests, ARRAY_SIZE(tests));
}
