/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * control_bench - the control server on a real socket, with methods made for tests, and clients.
 *
 * Server and clients share one thread: a client's step is a non-blocking send or receive, and the
 * loop is turned until what is awaited has come or TRIES turns have passed.
 */
#ifndef QOSD_T_CONTROL_BENCH_H
#define QOSD_T_CONTROL_BENCH_H

#include <errno.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "qosd/daemon/control.h"
#include "qosd/daemon/varlink.h"
#include "t/unit/harness.h"

#define TURN_US     20000
#define TRIES       250 /* 5 s */
#define REPLY_MAX   ((size_t)64 << 20)
#define PREFIX      "org.test.Unit."
#define ADMIN_GROUP "daemon" /* groups that every Debian has */
#define READ_GROUP  "games"

struct fixture {
	sd_event *event;
	struct control *control;
	char dir[64], path[96];
	struct control_call *kept; /* by Later and Follow */
	unsigned int gone;         /* times that a kept call's client went away */
	unsigned int served;       /* handlers run */
	unsigned int logged;
};

struct client {
	int fd;
	struct varlink_buffer in;
};

/* ---- the methods ---- */

static inline int echo(struct control_call *call, json_t *parameters, void *user)
{
	struct fixture *f = user;

	f->served++;
	return control_reply(call, json_incref(parameters));
}

static inline int big(struct control_call *call, json_t *parameters, void *user)
{
	size_t size = (size_t)json_integer_value(json_object_get(parameters, "size"));
	char *text = malloc(size + 1);
	int r;

	((struct fixture *)user)->served++;
	memset(text, 'x', size);
	text[size] = '\0';
	r = control_reply(call, json_pack("{s:s}", "text", text));
	free(text);
	return r < 0 ? 0 : r;
}

static inline void on_gone(struct control_call *call, void *arg)
{
	struct fixture *f = arg;

	CU_ASSERT(control_call_gone(call));
	f->gone++;
}

static inline int keep(struct control_call *call, json_t *parameters, void *user)
{
	struct fixture *f = user;

	(void)parameters;
	f->served++;
	control_call_unref(f->kept);
	f->kept = control_call_ref(call);
	control_call_on_gone(call, on_gone, f);
	return 0;
}

static inline int lose(struct control_call *call, json_t *parameters, void *user)
{
	(void)call;
	(void)parameters;
	(void)user;
	return 0;
}

static inline int fail(struct control_call *call, json_t *parameters, void *user)
{
	(void)call;
	(void)parameters;
	(void)user;
	return -EIO;
}

static inline int reply_null(struct control_call *call, json_t *parameters, void *user)
{
	(void)parameters;
	(void)user;
	return control_reply(call, json_pack("{s:s}", "text", "\xff"));
}

static inline int answer_twice(struct control_call *call, json_t *parameters, void *user)
{
	(void)parameters;
	(void)user;
	CU_ASSERT(control_error_with(call, "Refused", json_pack("{s:i}", "count", 7), "no %s",
				     "way") == 0);
	CU_ASSERT(control_reply(call, json_object()) == -EALREADY);
	CU_ASSERT(control_reply_more(call, json_object()) == -EALREADY);
	return -EIO; /* answered already: must not be told again */
}

static const struct control_method methods[] = {
	{ .name = "Echo",
	  .right = CONTROL_READ,
	  .handler = echo,
	  .params = { { "text", CONTROL_STRING, false },
		      { "count", CONTROL_INT, true },
		      { "ratio", CONTROL_NUMBER, true },
		      { "flag", CONTROL_BOOL, true } } },
	{ .name = "Write",
	  .right = CONTROL_WRITE,
	  .handler = echo,
	  .params = { { "text", CONTROL_STRING, true } } },
	{ .name = "Often", .right = CONTROL_WRITE, .handler = echo, .routine = true },
	{ .name = "Root",
	  .right = CONTROL_ROOT,
	  .handler = echo,
	  .params = { { "text", CONTROL_STRING, true } } },
	{ .name = "Big",
	  .right = CONTROL_READ,
	  .handler = big,
	  .params = { { "size", CONTROL_INT, false } } },
	{ .name = "Later", .right = CONTROL_READ, .handler = keep },
	{ .name = "Lose", .right = CONTROL_READ, .handler = lose },
	{ .name = "Fail", .right = CONTROL_READ, .handler = fail },
	{ .name = "Null", .right = CONTROL_READ, .handler = reply_null },
	{ .name = "Twice", .right = CONTROL_READ, .handler = answer_twice },
};

/* ---- the bench ---- */

static inline void count_log(void *user, int priority, const char *sentence)
{
	(void)priority;
	((struct fixture *)user)->logged++;
	CU_ASSERT(strlen(sentence) > 0);
}

static inline struct control_config config_for(struct fixture *f)
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

static inline void begin_with(struct fixture *f, uint64_t idle_us, uint64_t stall_us)
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

static inline void begin(struct fixture *f)
{
	begin_with(f, 0, 0);
}

static inline void end(struct fixture *f)
{
	control_free(f->control);
	control_call_unref(f->kept);
	sd_event_unref(f->event);
	CU_ASSERT(access(f->path, F_OK) < 0); /* the socket is gone */
	CU_ASSERT(rmdir(f->dir) == 0);
}

static inline void turn(struct fixture *f)
{
	CU_ASSERT_FATAL(sd_event_run(f->event, TURN_US) >= 0);
}

/* Turn until nothing happens any more. */
static inline void settle(struct fixture *f)
{
	for (int i = 0; i < TRIES && sd_event_run(f->event, 0) > 0; i++)
		continue;
}

static inline int connect_to(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	memcpy(address.sun_path, path, strlen(path) + 1);
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
		close(fd);
		return -errno;
	}
	return fd;
}

static inline struct client client_new(struct fixture *f)
{
	struct client c = { .fd = connect_to(f->path) };

	CU_ASSERT_FATAL(c.fd >= 0);
	settle(f);
	return c;
}

static inline void client_done(struct client *c)
{
	if (c->fd >= 0)
		close(c->fd);
	c->fd = -1;
	varlink_buffer_done(&c->in);
}

static inline void put(struct client *c, const char *text)
{
	size_t size = strlen(text) + 1;

	CU_ASSERT(send(c->fd, text, size, MSG_NOSIGNAL) == (ssize_t)size);
}

/* One read without waiting: > 0, 0 at the end, negative errno. */
static inline ssize_t get(struct client *c)
{
	ssize_t n;

	CU_ASSERT_FATAL(varlink_buffer_reserve(&c->in, 65536) == 0);
	n = recv(c->fd, c->in.data + c->in.end, 65536, MSG_DONTWAIT);
	if (n > 0)
		c->in.end += (size_t)n;
	return n < 0 ? -errno : n;
}

/* The next message, or NULL when the server closed or none came in time. */
static inline json_t *await_message(struct fixture *f, struct client *c)
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

static inline bool await_close(struct fixture *f, struct client *c)
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

static inline void expect_error(struct fixture *f, struct client *c, const char *code)
{
	json_t *reply = await_message(f, c);
	const char *message =
		json_string_value(json_object_get(json_object_get(reply, "parameters"), "message"));

	ASSERT_STR(json_string_value(json_object_get(reply, "error")), code);
	CU_ASSERT(message && *message);
	json_decref(reply);
}

static inline void expect_text(struct fixture *f, struct client *c, const char *text)
{
	json_t *reply = await_message(f, c);

	CU_ASSERT(reply && !json_object_get(reply, "error"));
	ASSERT_STR(json_string_value(json_object_get(json_object_get(reply, "parameters"), "text")),
		   text);
	json_decref(reply);
}

#define ECHO(text) "{\"method\":\"" PREFIX "Echo\",\"parameters\":{\"text\":\"" text "\"}}"
#define CALL(name) "{\"method\":\"" PREFIX name "\"}"

#endif
