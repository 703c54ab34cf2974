/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * qosctl_client - one call to the daemon, with a time limit.
 *
 * One connection a call. Every wait is bounded by a deadline on the monotonic clock, so that a
 * daemon that hangs is told as such. Whatever the daemon says is text of others: it is cleaned
 * before it reaches a terminal.
 */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "qosd/core/mem.h"
#include "qosd/daemon/varlink.h"
#include "tools/qosctl.h"

#define INTERFACE "org.qosd.Control."
#define REPLY_MAX ((size_t)64 << 20)
#define READ_SIZE ((size_t)64 << 10)

struct connection {
	const struct qosctl *ctl;
	const char *method;
	int fd;
	int64_t deadline_ms; /* -1: none */
	unsigned int seconds;
	bool quiet;
	struct varlink_buffer in, out;
};

static int64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

__attribute__((format(printf, 3, 4))) static int
complain(const struct connection *c, enum qosctl_exit status, const char *fmt, ...)
{
	char sentence[768];
	va_list ap;

	if (c->quiet)
		return status;
	va_start(ap, fmt);
	vsnprintf(sentence, sizeof(sentence), fmt, ap);
	va_end(ap);
	return qosctl_fail(status, "%s", sentence);
}

/* Wait until the socket is ready for `events`. */
static int wait_for(const struct connection *c, short events)
{
	struct pollfd p = { .fd = c->fd, .events = events };
	int left = -1, r;

	do {
		if (c->deadline_ms >= 0) {
			int64_t rest = c->deadline_ms - now_ms();

			left = rest > 0 ? (int)rest : 0;
		}
		r = poll(&p, 1, left);
	} while (r < 0 && errno == EINTR);
	if (r > 0)
		return EXIT_DONE;
	return complain(c, EXIT_NO_DAEMON,
			"qosd does not answer within %u s; look at: systemctl status qosd",
			c->seconds);
}

static int connect_failed(const struct connection *c, int error)
{
	const char *path = c->ctl->socket;

	if (error == EACCES || error == EPERM)
		return complain(c, EXIT_NOT_PERMITTED,
				"may not use %s; run qosctl as root or join the group qosd", path);
	if (error == ENOENT || error == ECONNREFUSED)
		return complain(c, EXIT_NO_DAEMON,
				"qosd is not running (nobody serves %s); start it with: "
				"systemctl start qosd",
				path);
	return complain(c, EXIT_NO_DAEMON, "cannot reach qosd at %s: %s", path, strerror(error));
}

static int open_connection(struct connection *c)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	const char *path = c->ctl->socket;

	if (strlen(path) >= sizeof(address.sun_path))
		return complain(c, EXIT_USAGE, "the socket path is too long: %s", path);
	memcpy(address.sun_path, path, strlen(path) + 1);
	c->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (c->fd < 0)
		return complain(c, EXIT_FAILED, "cannot make a socket: %s", strerror(errno));
	/* A full queue is reported as EAGAIN at once, not by poll: try again until time is up. */
	while (connect(c->fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
		if (errno != EAGAIN)
			return connect_failed(c, errno);
		if (now_ms() >= c->deadline_ms)
			return wait_for(c, 0);
		usleep(20000);
	}
	return EXIT_DONE;
}

static void close_connection(struct connection *c)
{
	if (c->fd >= 0)
		close(c->fd);
	varlink_buffer_done(&c->in);
	varlink_buffer_done(&c->out);
}

static int send_all(struct connection *c)
{
	while (varlink_buffer_size(&c->out) > 0) {
		ssize_t n = send(c->fd, c->out.data + c->out.begin, varlink_buffer_size(&c->out),
				 MSG_NOSIGNAL);
		int r;

		if (n >= 0) {
			varlink_buffer_consume(&c->out, (size_t)n);
			continue;
		}
		if (errno == EPIPE || errno == ECONNRESET) /* it may have said why: go and read */
			return EXIT_DONE;
		if (errno != EAGAIN && errno != EINTR)
			return complain(c, EXIT_NO_DAEMON, "cannot send to qosd: %s",
					strerror(errno));
		r = wait_for(c, POLLOUT);
		if (r)
			return r;
	}
	return EXIT_DONE;
}

/* Read once, waiting if need be. */
static int receive(struct connection *c)
{
	ssize_t n;
	int r;

	if (varlink_buffer_reserve(&c->in, READ_SIZE) < 0)
		qosctl_out_of_memory();
	r = wait_for(c, POLLIN);
	if (r)
		return r;
	n = recv(c->fd, c->in.data + c->in.end, c->in.capacity - c->in.end, 0);
	if (n > 0)
		c->in.end += (size_t)n;
	else if (n == 0 || (errno != EAGAIN && errno != EINTR))
		return complain(c, EXIT_NO_DAEMON,
				"qosd hung up without an answer; look at: "
				"journalctl -u qosd");
	return EXIT_DONE;
}

static int next_reply(struct connection *c, struct varlink_reply *ret)
{
	struct qerr err = { 0 };
	const char *text;
	size_t size;
	int r;

	while ((r = varlink_buffer_next(&c->in, REPLY_MAX, &text, &size)) == 0) {
		r = receive(c);
		if (r)
			return r;
	}
	if (r < 0)
		return complain(c, EXIT_FAILED, "the answer of qosd is too long");
	if (varlink_reply_parse(text, size, ret, &err) < 0)
		return complain(c, EXIT_FAILED, "qosd sent an answer that cannot be read: %s",
				err.text);
	return EXIT_DONE;
}

/* ---- what the daemon refuses ---- */

static bool error_is(const struct varlink_reply *reply, const char *name)
{
	size_t length = strlen(reply->error), tail = strlen(name);

	return length > tail && reply->error[length - tail - 1] == '.' &&
	       strcmp(reply->error + length - tail, name) == 0;
}

static int refused(const struct connection *c, const struct varlink_reply *reply)
{
	const char *message = json_string_value(json_object_get(reply->parameters, "message"));
	const json_t *findings = json_object_get(reply->parameters, "findings");

	if (error_is(reply, "MethodNotFound") || error_is(reply, "InterfaceNotFound"))
		return complain(c, EXIT_FAILED,
				"the running qosd does not know %s; restart it after an update",
				c->method);
	complain(c, EXIT_FAILED, "%s", message && *message ? message : reply->error);
	if (json_is_array(findings) && !c->quiet) {
		findings_print(findings, NULL, stderr);
		if (c->ctl->json)
			json_print(reply->parameters, false);
	}
	return error_is(reply, "NotPermitted") ? EXIT_NOT_PERMITTED : EXIT_FAILED;
}

/* ---- calls ---- */

static int begin_call(struct connection *c, json_t *parameters, bool more)
{
	char method[128];
	json_t *call;
	int r;

	c->deadline_ms = now_ms() + (int64_t)c->seconds * 1000;
	snprintf(method, sizeof(method), INTERFACE "%s", c->method);
	call = json_pack("{s:s, s:o}", "method", method, "parameters",
			 parameters ? parameters : json_object());
	if (call && more)
		json_object_set_new(call, "more", json_true());
	if (!call || varlink_append(&c->out, call, SIZE_MAX) < 0)
		qosctl_out_of_memory();
	json_decref(call);
	r = open_connection(c);
	return r ? r : send_all(c);
}

static int call(const struct qosctl *ctl, const char *method, json_t *parameters,
		unsigned int seconds, bool quiet, json_t **ret)
{
	struct connection c = {
		.ctl = ctl, .method = method, .fd = -1, .seconds = seconds, .quiet = quiet
	};
	struct varlink_reply reply = { 0 };
	int r;

	r = begin_call(&c, parameters, false);
	if (r == EXIT_DONE)
		r = next_reply(&c, &reply);
	if (r == EXIT_DONE && reply.error)
		r = refused(&c, &reply);
	else if (r == EXIT_DONE)
		*ret = json_incref(reply.parameters);
	varlink_reply_done(&reply);
	close_connection(&c);
	return r;
}

int qosctl_call(const struct qosctl *ctl, const char *method, json_t *parameters,
		unsigned int seconds, json_t **ret)
{
	return call(ctl, method, parameters, seconds, false, ret);
}

json_t *qosctl_ask(const struct qosctl *ctl, const char *method)
{
	json_t *answer = NULL;

	call(ctl, method, NULL, 1, true, &answer);
	return answer;
}

int qosctl_stream(const struct qosctl *ctl, const char *method,
		  bool (*each)(const json_t *answer, void *user), void *user)
{
	struct connection c = { .ctl = ctl, .method = method, .fd = -1, .seconds = CALL_SECONDS };
	bool go_on = true;
	int r;

	r = begin_call(&c, NULL, true);
	while (r == EXIT_DONE && go_on) {
		struct varlink_reply reply = { 0 };

		r = next_reply(&c, &reply);
		if (r == EXIT_DONE && reply.error)
			r = refused(&c, &reply);
		else if (r == EXIT_DONE)
			go_on = each(reply.parameters, user) && reply.continues;
		varlink_reply_done(&reply);
		c.deadline_ms = -1;
	}
	close_connection(&c);
	return r;
}
