/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test_control - the control server on a real socket, with a table of methods made for the test.
 *
 * Server and clients share one thread: a client's step is a non-blocking send or receive, and the
 * loop is turned until what is awaited has come or TRIES turns have passed. Only the test of
 * rights forks, as a process cannot take another user's credentials and come back.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "qosd/daemon/control.h"
#include "qosd/daemon/varlink.h"
#include "t/unit/harness.h"

#define TURN_US	      20000
#define TRIES	      250 /* 5 s */
#define REPLY_MAX     ((size_t) 64 << 20)
#define PREFIX	      "org.test.Unit."
#define NOBODY_UID    65534
#define ADMIN_GROUP   "daemon" /* groups that every Debian has */
#define READ_GROUP    "games"

struct fixture {
	sd_event *event;
	struct control *control;
	char dir[64], path[96];
	struct control_call *kept; /* by Later and Follow */
	unsigned int gone;	   /* times that a kept call's client went away */
	unsigned int served;	   /* handlers run */
	unsigned int logged;
};

struct client {
	int fd;
	struct varlink_buffer in;
};

/* ---- the methods ---- */

static int echo(struct control_call *call, json_t *parameters, void *user)
{
	struct fixture *f = user;

	f->served++;
	return control_reply(call, json_incref(parameters));
}

static int big(struct control_call *call, json_t *parameters, void *user)
{
	size_t size = (size_t) json_integer_value(json_object_get(parameters, "size"));
	char *text = malloc(size + 1);
	int r;

	((struct fixture *) user)->served++;
	memset(text, 'x', size);
	text[size] = '\0';
	r = control_reply(call, json_pack("{s:s}", "text", text));
	free(text);
	return r < 0 ? 0 : r;
}

static void on_gone(struct control_call *call, void *arg)
{
	struct fixture *f = arg;

	CU_ASSERT(control_call_gone(call));
	f->gone++;
}

static int keep(struct control_call *call, json_t *parameters, void *user)
{
	struct fixture *f = user;

	(void) parameters;
	f->served++;
	control_call_unref(f->kept);
	f->kept = control_call_ref(call);
	control_call_on_gone(call, on_gone, f);
	return 0;
}

static int lose(struct control_call *call, json_t *parameters, void *user)
{
	(void) call;
	(void) parameters;
	(void) user;
	return 0;
}

static int fail(struct control_call *call, json_t *parameters, void *user)
{
	(void) call;
	(void) parameters;
	(void) user;
	return -EIO;
}

static int reply_null(struct control_call *call, json_t *parameters, void *user)
{
	(void) parameters;
	(void) user;
	return control_reply(call, json_pack("{s:s}", "text", "\xff"));
}

static int answer_twice(struct control_call *call, json_t *parameters, void *user)
{
	(void) parameters;
	(void) user;
	CU_ASSERT(control_error_with(call, "Refused", json_pack("{s:i}", "count", 7), "no %s",
				     "way") == 0);
	CU_ASSERT(control_reply(call, json_object()) == -EALREADY);
	CU_ASSERT(control_reply_more(call, json_object()) == -EALREADY);
	return -EIO; /* answered already: must not be told again */
}

static const struct control_method methods[] = {
	{ "Echo", CONTROL_READ, echo,
	  { { "text", CONTROL_STRING, false }, { "count", CONTROL_INT, true },
	    { "ratio", CONTROL_NUMBER, true }, { "flag", CONTROL_BOOL, true } } },
	{ "Write", CONTROL_WRITE, echo, { { "text", CONTROL_STRING, true } } },
	{ "Root", CONTROL_ROOT, echo, { { "text", CONTROL_STRING, true } } },
	{ "Big", CONTROL_READ, big, { { "size", CONTROL_INT, false } } },
	{ "Later", CONTROL_READ, keep, { { 0 } } },
	{ "Lose", CONTROL_READ, lose, { { 0 } } },
	{ "Fail", CONTROL_READ, fail, { { 0 } } },
	{ "Null", CONTROL_READ, reply_null, { { 0 } } },
	{ "Twice", CONTROL_READ, answer_twice, { { 0 } } },
};

/* ---- the bench ---- */

static void count_log(void *user, int priority, const char *sentence)
{
	(void) priority;
	((struct fixture *) user)->logged++;
	CU_ASSERT(strlen(sentence) > 0);
}

static struct control_config config_for(struct fixture *f)
{
	return (struct control_config){
		.path = f->path,
		.interface = "org.test.Unit",
		.description = "interface org.test.Unit\n",
		.version = "9.8.7",
		.methods = methods,
		.nmethods = ARRAY_SIZE(methods),
		.user = f,
		.log = count_log,
		.admin_group = ADMIN_GROUP,
		.read_group = READ_GROUP,
	};
}

static void begin_with(struct fixture *f, uint64_t idle_us, uint64_t stall_us)
{
	struct control_config config;
	struct qerr err = { 0 };

	*f = (struct fixture){ 0 };
	strcpy(f->dir, "/tmp/qosd-control-XXXXXX");
	CU_ASSERT_FATAL(mkdtemp(f->dir) != NULL);
	CU_ASSERT(chmod(f->dir, 0755) == 0);
	snprintf(f->path, sizeof(f->path), "%s/sock", f->dir);
	CU_ASSERT_FATAL(sd_event_new(&f->event) >= 0);
	config = config_for(f);
	config.idle_us = idle_us;
	config.stall_us = stall_us;
	CU_ASSERT_FATAL(control_new(f->event, &config, &f->control, &err) == 0);
}

static void begin(struct fixture *f)
{
	begin_with(f, 0, 0);
}

static void end(struct fixture *f)
{
	control_free(f->control);
	control_call_unref(f->kept);
	sd_event_unref(f->event);
	CU_ASSERT(access(f->path, F_OK) < 0); /* the socket is gone */
	CU_ASSERT(rmdir(f->dir) == 0);
}

static void turn(struct fixture *f)
{
	CU_ASSERT_FATAL(sd_event_run(f->event, TURN_US) >= 0);
}

/* Turn until nothing happens any more. */
static void settle(struct fixture *f)
{
	for (int i = 0; i < TRIES && sd_event_run(f->event, 0) > 0; i++)
		continue;
}

static int connect_to(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	memcpy(address.sun_path, path, strlen(path) + 1);
	if (connect(fd, (struct sockaddr *) &address, sizeof(address)) < 0) {
		close(fd);
		return -errno;
	}
	return fd;
}

static struct client client_new(struct fixture *f)
{
	struct client c = { .fd = connect_to(f->path) };

	CU_ASSERT_FATAL(c.fd >= 0);
	settle(f);
	return c;
}

static void client_done(struct client *c)
{
	if (c->fd >= 0)
		close(c->fd);
	c->fd = -1;
	varlink_buffer_done(&c->in);
}

static void put(struct client *c, const char *text)
{
	size_t size = strlen(text) + 1;

	CU_ASSERT(send(c->fd, text, size, MSG_NOSIGNAL) == (ssize_t) size);
}

/* One read without waiting: > 0, 0 at the end, negative errno. */
static ssize_t get(struct client *c)
{
	ssize_t n;

	CU_ASSERT_FATAL(varlink_buffer_reserve(&c->in, 65536) == 0);
	n = recv(c->fd, c->in.data + c->in.end, 65536, MSG_DONTWAIT);
	if (n > 0)
		c->in.end += (size_t) n;
	return n < 0 ? -errno : n;
}

/* The next message, or NULL when the server closed or none came in time. */
static json_t *await_message(struct fixture *f, struct client *c)
{
	for (int i = 0; i < TRIES; i++) {
		const char *text;
		size_t size;
		ssize_t n;

		if (varlink_buffer_next(&c->in, REPLY_MAX, &text, &size) == 1)
			return json_loadb(text, size, 0, NULL);
		n = get(c);
		if (n == 0 || (n < 0 && n != -EAGAIN))
			return NULL;
		if (n < 0)
			turn(f);
	}
	return NULL;
}

static bool await_close(struct fixture *f, struct client *c)
{
	for (int i = 0; i < TRIES; i++) {
		ssize_t n = get(c);

		if (n == 0 || n == -ECONNRESET)
			return true;
		if (n < 0)
			turn(f);
	}
	return false;
}

static void expect_error(struct fixture *f, struct client *c, const char *code)
{
	json_t *reply = await_message(f, c);
	const char *message = json_string_value(
		json_object_get(json_object_get(reply, "parameters"), "message"));

	ASSERT_STR(json_string_value(json_object_get(reply, "error")), code);
	CU_ASSERT(message && *message);
	json_decref(reply);
}

static void expect_text(struct fixture *f, struct client *c, const char *text)
{
	json_t *reply = await_message(f, c);

	CU_ASSERT(reply && !json_object_get(reply, "error"));
	ASSERT_STR(json_string_value(json_object_get(json_object_get(reply, "parameters"), "text")),
		   text);
	json_decref(reply);
}

#define ECHO(text) "{\"method\":\"" PREFIX "Echo\",\"parameters\":{\"text\":\"" text "\"}}"
#define CALL(name) "{\"method\":\"" PREFIX name "\"}"

/* ---- framing ---- */

static void test_split_at_every_byte(void)
{
	static const char bytes[] = ECHO("one") "\0" ECHO("two");
	struct fixture f;

	begin(&f);
	for (size_t cut = 0; cut <= sizeof(bytes); cut++) {
		struct client c = client_new(&f);

		CU_ASSERT(send(c.fd, bytes, cut, 0) == (ssize_t) cut);
		settle(&f);
		CU_ASSERT(send(c.fd, bytes + cut, sizeof(bytes) - cut, 0) ==
			  (ssize_t) (sizeof(bytes) - cut));
		expect_text(&f, &c, "one");
		expect_text(&f, &c, "two");
		client_done(&c);
	}
	end(&f);
}

/* Many calls in one write are all answered, in order, and another client gets its turn between. */
static void test_pipelined(void)
{
	struct varlink_buffer out = { 0 };
	struct fixture f;
	struct client c, other;
	char text[128], number[16];

	begin(&f);
	c = client_new(&f);
	other = client_new(&f);
	for (int i = 0; i < 1000; i++) {
		int n = snprintf(text, sizeof(text),
				 "{\"method\":\"" PREFIX "Echo\",\"parameters\":{\"text\":\"%d\"}}", i);

		CU_ASSERT(varlink_buffer_append(&out, text, (size_t) n + 1) == 0);
	}
	CU_ASSERT(send(c.fd, out.data, out.end, 0) == (ssize_t) out.end);
	put(&other, ECHO("me too"));
	expect_text(&f, &other, "me too");
	CU_ASSERT(f.served < 500);
	for (int i = 0; i < 1000; i++) {
		snprintf(number, sizeof(number), "%d", i);
		expect_text(&f, &c, number);
	}
	varlink_buffer_done(&out);
	client_done(&c);
	client_done(&other);
	end(&f);
}

static void test_bad_json(void)
{
	static const char *const bad[] = { "", "hello", "[1]", "{\"method\":1}", "{\"method\":\"a.B\"" };
	struct fixture f;

	begin(&f);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct client c = client_new(&f);

		put(&c, bad[i]);
		put(&c, ECHO("never"));
		expect_error(&f, &c, "org.varlink.service.InvalidParameter");
		CU_ASSERT(await_close(&f, &c));
		client_done(&c);
	}
	CU_ASSERT(f.served == 0);
	settle(&f);
	CU_ASSERT(control_client_count(f.control) == 0);
	end(&f);
}

static void test_oversize(void)
{
	size_t size = CONTROL_WRITER_MESSAGE_MAX + 100000, sent = 0;
	char *bytes = malloc(size);
	struct fixture f;
	struct client c;

	begin(&f);
	memset(bytes, ' ', size);
	c = client_new(&f);
	while (sent < size) {
		ssize_t n = send(c.fd, bytes, size - sent, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n > 0)
			sent += (size_t) n;
		else if (errno != EAGAIN)
			break;
		settle(&f);
	}
	CU_ASSERT(sent <= size); /* the rest was not even taken */
	expect_error(&f, &c, "org.varlink.service.InvalidParameter");
	CU_ASSERT(await_close(&f, &c));
	client_done(&c);
	free(bytes);
	end(&f);
}

/* A domain XML of a megabyte goes through for root. */
static void test_large_message(void)
{
	size_t size = 1 << 20, at = 0;
	struct varlink_buffer out = { 0 };
	char *xml = malloc(size + 1);
	struct fixture f;
	struct client c;
	json_t *call;

	begin(&f);
	memset(xml, '<', size);
	xml[size] = '\0';
	call = json_pack("{s:s, s:{s:s}}", "method", PREFIX "Root", "parameters", "text", xml);
	CU_ASSERT(varlink_append(&out, call, CONTROL_WRITER_MESSAGE_MAX) == 0);
	c = client_new(&f);
	while (at < out.end) {
		ssize_t n = send(c.fd, out.data + at, out.end - at, MSG_DONTWAIT);

		at += n > 0 ? (size_t) n : 0;
		settle(&f);
	}
	expect_text(&f, &c, xml);
	json_decref(call);
	free(xml);
	varlink_buffer_done(&out);
	client_done(&c);
	end(&f);
}

/* A client that shuts its sending side still gets its answers: `printf ... | nc -N -U`. */
static void test_half_closed(void)
{
	struct fixture f;
	struct client c;

	begin(&f);
	c = client_new(&f);
	put(&c, CALL("Later"));
	put(&c, ECHO("after"));
	shutdown(c.fd, SHUT_WR);
	settle(&f);
	CU_ASSERT_FATAL(f.kept != NULL);
	CU_ASSERT(control_reply(f.kept, json_pack("{s:s}", "text", "late")) == 0);
	expect_text(&f, &c, "late");
	expect_text(&f, &c, "after");
	CU_ASSERT(await_close(&f, &c));
	client_done(&c);
	end(&f);
}

/* ---- calls ---- */

static void test_wrong_parameters(void)
{
	static const char *const bad[] = {
		"{}", "{\"text\":null}", "{\"text\":1}", "{\"text\":[\"x\"]}",
		"{\"text\":\"x\",\"count\":1.5}", "{\"text\":\"x\",\"count\":\"1\"}",
		"{\"text\":\"x\",\"ratio\":true}", "{\"text\":\"x\",\"flag\":0}",
		"{\"text\":\"x\",\"colour\":\"red\"}",
	};
	static const char *const good[] = {
		"{\"text\":\"x\"}", "{\"text\":\"x\",\"count\":null}", "{\"text\":\"x\",\"count\":-1}",
		"{\"text\":\"x\",\"ratio\":1}", "{\"text\":\"x\",\"ratio\":1.5,\"flag\":false}",
	};
	struct fixture f;
	struct client c;
	char text[256];

	begin(&f);
	c = client_new(&f);
	for (size_t i = 0; i < ARRAY_SIZE(bad) + ARRAY_SIZE(good); i++) {
		bool is_bad = i < ARRAY_SIZE(bad);

		snprintf(text, sizeof(text), "{\"method\":\"" PREFIX "Echo\",\"parameters\":%s}",
			 is_bad ? bad[i] : good[i - ARRAY_SIZE(bad)]);
		put(&c, text);
		if (is_bad)
			expect_error(&f, &c, "org.varlink.service.InvalidParameter");
		else
			expect_text(&f, &c, "x");
	}
	CU_ASSERT(f.served == ARRAY_SIZE(good));
	client_done(&c);
	end(&f);
}

static void test_unknown_names(void)
{
	struct fixture f;
	struct client c;

	begin(&f);
	c = client_new(&f);
	put(&c, CALL("Nothing"));
	expect_error(&f, &c, "org.varlink.service.MethodNotFound");
	put(&c, "{\"method\":\"org.varlink.service.Nothing\"}");
	expect_error(&f, &c, "org.varlink.service.MethodNotFound");
	put(&c, "{\"method\":\"Echo\"}");
	expect_error(&f, &c, "org.varlink.service.MethodNotFound");
	put(&c, "{\"method\":\"org.elsewhere.Echo\"}");
	expect_error(&f, &c, "org.varlink.service.InterfaceNotFound");
	put(&c, "{\"method\":\"org.varlink.service.GetInterfaceDescription\","
		"\"parameters\":{\"interface\":\"org.elsewhere\"}}");
	expect_error(&f, &c, "org.varlink.service.InterfaceNotFound");
	client_done(&c);
	end(&f);
}

static void test_service(void)
{
	struct fixture f;
	struct client c;
	json_t *message, *reply;

	begin(&f);
	c = client_new(&f);
	put(&c, "{\"method\":\"org.varlink.service.GetInfo\"}");
	message = await_message(&f, &c);
	reply = json_object_get(message, "parameters");
	ASSERT_STR(json_string_value(json_object_get(reply, "product")), "qosd");
	ASSERT_STR(json_string_value(json_object_get(reply, "version")), "9.8.7");
	CU_ASSERT(json_array_size(json_object_get(reply, "interfaces")) == 2);
	json_decref(message);
	put(&c, "{\"method\":\"org.varlink.service.GetInterfaceDescription\","
		"\"parameters\":{\"interface\":\"org.test.Unit\"}}");
	message = await_message(&f, &c);
	reply = json_object_get(message, "parameters");
	ASSERT_STR(json_string_value(json_object_get(reply, "description")),
		   "interface org.test.Unit\n");
	json_decref(message);
	client_done(&c);
	end(&f);
}

static void test_handler_errors(void)
{
	struct fixture f;
	struct client c;
	json_t *reply;

	begin(&f);
	c = client_new(&f);
	put(&c, CALL("Fail"));
	expect_error(&f, &c, PREFIX "Failed");
	put(&c, CALL("Lose"));
	expect_error(&f, &c, PREFIX "Failed");
	put(&c, CALL("Null"));
	expect_error(&f, &c, PREFIX "Failed");
	put(&c, CALL("Twice"));
	reply = await_message(&f, &c);
	ASSERT_STR(json_string_value(json_object_get(reply, "error")), PREFIX "Refused");
	CU_ASSERT(json_integer_value(json_object_get(json_object_get(reply, "parameters"), "count")) == 7);
	json_decref(reply);
	put(&c, ECHO("still there"));
	expect_text(&f, &c, "still there");
	client_done(&c);
	end(&f);
}

static void test_oneway(void)
{
	struct fixture f;
	struct client c;

	begin(&f);
	c = client_new(&f);
	put(&c, "{\"method\":\"" PREFIX "Echo\",\"parameters\":{\"text\":\"quiet\"},\"oneway\":true}");
	put(&c, "{\"method\":\"" PREFIX "Fail\",\"oneway\":true}");
	put(&c, "{\"method\":\"" PREFIX "Nothing\",\"oneway\":true}");
	put(&c, ECHO("loud"));
	expect_text(&f, &c, "loud");
	CU_ASSERT(f.served == 2);
	client_done(&c);
	end(&f);
}

/* ---- later answers ---- */

/* The answer keeps its place: a second call waits, another client does not. */
static void test_later(void)
{
	struct fixture f;
	struct client c, other;

	begin(&f);
	c = client_new(&f);
	other = client_new(&f);
	put(&c, CALL("Later"));
	put(&c, ECHO("second"));
	put(&other, ECHO("other"));
	expect_text(&f, &other, "other");
	CU_ASSERT(f.served == 2);
	CU_ASSERT(!control_call_gone(f.kept));
	CU_ASSERT(control_call_peer(f.kept)->uid == getuid());
	ASSERT_STR(control_call_method(f.kept), "Later");
	CU_ASSERT(control_reply_more(f.kept, json_object()) == -EINVAL); /* it did not ask */
	CU_ASSERT(control_reply(f.kept, json_pack("{s:s}", "text", "first")) == 0);
	expect_text(&f, &c, "first");
	expect_text(&f, &c, "second");
	CU_ASSERT(f.gone == 0);
	client_done(&c);
	client_done(&other);
	end(&f);
}

static void test_gone_before_answer(void)
{
	struct fixture f;
	struct client c;

	begin(&f);
	c = client_new(&f);
	put(&c, CALL("Later"));
	settle(&f);
	CU_ASSERT_FATAL(f.kept != NULL);
	client_done(&c);
	settle(&f);
	CU_ASSERT(f.gone == 1);
	CU_ASSERT(control_call_gone(f.kept));
	CU_ASSERT(control_client_count(f.control) == 0);
	CU_ASSERT(control_reply(f.kept, json_object()) == -EPIPE);
	CU_ASSERT(control_error(f.kept, "Failed", "too late") == -EPIPE);
	end(&f);
}

/* A call that outlives the server is a harmless shell; its end is told. */
static void test_free_with_call_in_work(void)
{
	struct fixture f;
	struct client c;

	begin(&f);
	c = client_new(&f);
	put(&c, CALL("Later"));
	settle(&f);
	control_free(f.control);
	f.control = NULL;
	CU_ASSERT(f.gone == 1);
	CU_ASSERT(control_reply(f.kept, json_object()) == -EPIPE);
	CU_ASSERT(await_close(&f, &c));
	client_done(&c);
	end(&f);
}

static void test_dropped_reference_is_told(void)
{
	struct fixture f;
	struct client c;

	begin(&f);
	c = client_new(&f);
	put(&c, CALL("Later"));
	settle(&f);
	control_call_unref(f.kept);
	f.kept = NULL;
	expect_error(&f, &c, PREFIX "Failed");
	client_done(&c);
	end(&f);
}

static void test_stream(void)
{
	struct fixture f;
	struct client c;

	begin(&f);
	c = client_new(&f);
	put(&c, "{\"method\":\"" PREFIX "Later\",\"more\":true}");
	put(&c, ECHO("then"));
	settle(&f);
	for (int i = 0; i < 3; i++) {
		json_t *reply;

		CU_ASSERT(control_reply_more(f.kept, json_object()) == 0);
		reply = await_message(&f, &c);
		CU_ASSERT(json_is_true(json_object_get(reply, "continues")));
		json_decref(reply);
	}
	CU_ASSERT(control_reply(f.kept, json_pack("{s:s}", "text", "last")) == 0);
	expect_text(&f, &c, "last");
	expect_text(&f, &c, "then");
	client_done(&c);
	end(&f);
}

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
	CU_ASSERT(json_string_length(json_object_get(json_object_get(reply, "parameters"), "text")) ==
		  3000000);
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
	tight = (struct rlimit){ .rlim_cur = (rlim_t) fd, .rlim_max = before.rlim_max };
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
		_exit(bind(fd, (struct sockaddr *) &address, sizeof(address)) || listen(fd, 1));
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
	snprintf(text, sizeof(text), "{\"method\":\"" PREFIX "%s\",\"parameters\":{\"text\":\"x\"}}",
		 method);
	if (send(fd, text, strlen(text) + 1, MSG_NOSIGNAL) < 0)
		return false;
	while ((got = recv(fd, reply + n, sizeof(reply) - 1 - (size_t) n, 0)) > 0) {
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
					  p->read ? p->read : "MethodNotFound") ? 0 : 1);
		}
		if (wait_for_child(&f, pid) != 0) {
			fprintf(stderr, "\nwrong rights: %s\n", p->what);
			CU_FAIL("rights");
		}
	}
	end(&f);
}

/* Someone without rights gets few places, a user some, and root always one. */
static void test_places(void)
{
	static const struct person nobody = { "nobody", NOBODY_UID, NULL, NULL, NULL, NULL, NULL };
	static const struct person reader = { "reader", NOBODY_UID, READ_GROUP, NULL, NULL, NULL, NULL };
	struct fixture f;
	struct client c;
	pid_t pids[2];

	if (getuid() != 0) {
		printf("(skipped: needs root) ");
		return;
	}
	begin(&f);
	for (int who = 0; who < 2; who++) {
		pids[who] = fork();
		if (pids[who] == 0) {
			become(who ? &reader : &nobody);
			for (int i = 0; i < CONTROL_CLIENTS_MAX; i++)
				connect_to(f.path);
			pause();
			_exit(0);
		}
		for (int i = 0; i < 20; i++)
			turn(&f);
		CU_ASSERT(control_client_count(f.control) ==
			  (who ? CONTROL_CLIENTS_OF_USER : CONTROL_CLIENTS_REFUSED));
	}
	c = client_new(&f);
	put(&c, ECHO("root"));
	expect_text(&f, &c, "root");
	for (int who = 0; who < 2; who++) {
		kill(pids[who], SIGKILL);
		waitpid(pids[who], NULL, 0);
	}
	settle(&f);
	CU_ASSERT(control_client_count(f.control) == 1);
	client_done(&c);
	end(&f);
}

static const struct test tests[] = {
	{ "messages cut at every byte", test_split_at_every_byte },
	{ "pipelined calls", test_pipelined },
	{ "bad JSON", test_bad_json },
	{ "oversize message", test_oversize },
	{ "a megabyte from root", test_large_message },
	{ "half-closed client", test_half_closed },
	{ "wrong parameters", test_wrong_parameters },
	{ "unknown names", test_unknown_names },
	{ "org.varlink.service", test_service },
	{ "handlers that fail", test_handler_errors },
	{ "oneway", test_oneway },
	{ "later answer", test_later },
	{ "gone before the answer", test_gone_before_answer },
	{ "server freed with a call in work", test_free_with_call_in_work },
	{ "reference dropped without answer", test_dropped_reference_is_told },
	{ "stream", test_stream },
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
	{ "places for users", test_places },
};

int main(void)
{
	signal(SIGPIPE, SIG_DFL); /* the server must never raise it */
	return harness_run("control", tests, ARRAY_SIZE(tests));
}
