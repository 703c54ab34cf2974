/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tools/client.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "qosd/core/mem.h"

#define INTERFACE "org.qosd.Control."
#define REPLY_MAX ((size_t)64 << 20)
#define READ_SIZE ((size_t)64 << 10)

static int64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static int no_memory(struct qerr *err)
{
	return qerr_set(err, -ENOMEM, "out of memory");
}

/* Wait until the socket is ready for `events`. */
static int wait_for(const struct client *c, short events, struct qerr *err)
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
		return 0;
	return qerr_set(err, -ETIMEDOUT,
			"qosd does not answer within %.3g s; look at: systemctl status qosd",
			c->limit_ms / 1000.0);
}

static int connect_failed(const char *path, int error, struct qerr *err)
{
	if (error == EACCES || error == EPERM)
		return qerr_set(err, -EACCES,
				"may not use %s; run it as root or as a member of the group qosd",
				path);
	if (error == ENOENT || error == ECONNREFUSED)
		return qerr_set(err, -error,
				"qosd is not running (nobody serves %s); start it with: "
				"systemctl start qosd",
				path);
	return qerr_set(err, -error, "cannot reach qosd at %s: %s", path, strerror(error));
}

int client_open(struct client *c, const char *path, unsigned int limit_ms, struct qerr *err)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	*c = (struct client){ .fd = -1, .limit_ms = limit_ms, .deadline_ms = now_ms() + limit_ms };
	if (strlen(path) >= sizeof(address.sun_path))
		return qerr_set(err, -ENAMETOOLONG, "the socket path is too long: %s", path);
	memcpy(address.sun_path, path, strlen(path) + 1);
	c->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (c->fd < 0)
		return qerr_set(err, -errno, "cannot make a socket: %s", strerror(errno));
	/* A full queue is reported as EAGAIN at once, not by poll: try again until time is up. */
	while (connect(c->fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
		if (errno != EAGAIN)
			return connect_failed(path, errno, err);
		if (now_ms() >= c->deadline_ms)
			return wait_for(c, 0, err);
		usleep(20000);
	}
	return 0;
}

void client_close(struct client *c)
{
	if (c->fd >= 0)
		close(c->fd);
	c->fd = -1;
	varlink_buffer_done(&c->in);
	varlink_buffer_done(&c->out);
}

void client_wait_for_ever(struct client *c)
{
	c->deadline_ms = -1;
}

/* ---- sending ---- */

static int flush(struct client *c, struct qerr *err)
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
			return 0;
		if (errno != EAGAIN && errno != EINTR)
			return qerr_set(err, -errno, "cannot send to qosd: %s", strerror(errno));
		r = wait_for(c, POLLOUT, err);
		if (r < 0)
			return r;
	}
	return 0;
}

int client_send(struct client *c, const char *method, json_t *parameters, bool more,
		struct qerr *err)
{
	char name[128];
	json_t *call;
	int r;

	snprintf(name, sizeof(name), INTERFACE "%s", method);
	call = json_pack("{s:s, s:o}", "method", name, "parameters",
			 parameters ? parameters : json_object());
	if (call && more)
		json_object_set_new(call, "more", json_true());
	r = call ? varlink_append(&c->out, call, SIZE_MAX) : -ENOMEM;
	json_decref(call);
	return r < 0 ? no_memory(err) : flush(c, err);
}

/* ---- receiving ---- */

/* Read once, waiting if need be. */
static int receive(struct client *c, struct qerr *err)
{
	ssize_t n;
	int r;

	if (varlink_buffer_reserve(&c->in, READ_SIZE) < 0)
		return no_memory(err);
	r = wait_for(c, POLLIN, err);
	if (r < 0)
		return r;
	n = recv(c->fd, c->in.data + c->in.end, c->in.capacity - c->in.end, 0);
	if (n > 0)
		c->in.end += (size_t)n;
	else if (n == 0 || (errno != EAGAIN && errno != EINTR))
		return qerr_set(err, -ECONNRESET,
				"qosd hung up without an answer; look at: journalctl -u qosd");
	return 0;
}

int client_next(struct client *c, struct varlink_reply *ret, struct qerr *err)
{
	struct qerr why = { 0 };
	const char *text;
	size_t size;
	int r;

	while ((r = varlink_buffer_next(&c->in, REPLY_MAX, &text, &size)) == 0) {
		r = receive(c, err);
		if (r < 0)
			return r;
	}
	if (r < 0)
		return qerr_set(err, -EMSGSIZE, "the answer of qosd is too long");
	if (varlink_reply_parse(text, size, ret, &why) < 0)
		return qerr_set(err, -EBADMSG, "qosd sent an answer that cannot be read: %s",
				why.text);
	return 0;
}

/* ---- what the daemon refuses ---- */

bool client_error_is(const struct varlink_reply *reply, const char *name)
{
	size_t length = strlen(reply->error), tail = strlen(name);

	return length > tail && reply->error[length - tail - 1] == '.' &&
	       strcmp(reply->error + length - tail, name) == 0;
}

const char *client_error_text(const struct varlink_reply *reply)
{
	const char *message = json_string_value(json_object_get(reply->parameters, "message"));

	return message && *message ? message : reply->error;
}
