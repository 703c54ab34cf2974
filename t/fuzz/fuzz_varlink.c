/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fuzz_varlink - any bytes as what a client of the control socket sends.
 *
 * The first byte says who the client is and how the rest is cut into writes; the rest goes through
 * a socket into the real server. Whatever comes in: what goes out is whole replies, one to a call
 * at most, and when the client has gone nothing of it is left.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "qosd/core/mem.h"
#include "qosd/daemon/control_private.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define TURNS_MAX 100000

struct bench {
	sd_event *event;
	struct control *control;
	struct control_call *kept;
};

static struct bench bench;

static void demand(bool holds)
{
	if (!holds)
		abort();
}

static int echo(struct control_call *call, json_t *parameters, void *user)
{
	(void)user;
	return control_reply(call, json_incref(parameters));
}

static int keep(struct control_call *call, json_t *parameters, void *user)
{
	struct bench *b = user;

	(void)parameters;
	control_call_unref(b->kept);
	b->kept = control_call_ref(call);
	return 0;
}

static int stream(struct control_call *call, json_t *parameters, void *user)
{
	for (int i = 0; control_call_more(call) && i < 3; i++)
		(void)control_reply_more(call, json_deep_copy(parameters));
	return echo(call, parameters, user);
}

static int fail(struct control_call *call, json_t *parameters, void *user)
{
	(void)call;
	(void)parameters;
	(void)user;
	return -5;
}

#define ALL_TYPES                                                                                  \
	{                                                                                          \
		{ "s", CONTROL_STRING, true }, { "i", CONTROL_INT, true },                         \
			{ "n", CONTROL_NUMBER, true }, { "b", CONTROL_BOOL, true },                \
	}

static const struct control_method methods[] = {
	{ .name = "Echo", .right = CONTROL_READ, .handler = echo, .params = ALL_TYPES },
	{ .name = "Write", .right = CONTROL_WRITE, .handler = echo, .params = ALL_TYPES },
	{ .name = "Root", .right = CONTROL_ROOT, .handler = echo, .params = ALL_TYPES },
	{ .name = "Stream", .right = CONTROL_READ, .handler = stream, .params = ALL_TYPES },
	{ .name = "Keep", .right = CONTROL_READ, .handler = keep },
	{ .name = "Fail", .right = CONTROL_READ, .handler = fail },
};

static void open_bench(void)
{
	char dir[] = "/tmp/fuzz-varlink-XXXXXX", path[64];
	struct control_config config = { .path = path,
					 .interface = "f.F",
					 .description = "interface f.F\n",
					 .version = "1",
					 .methods = methods,
					 .nmethods = ARRAY_SIZE(methods),
					 .user = &bench };

	demand(mkdtemp(dir) != NULL);
	snprintf(path, sizeof(path), "%s/sock", dir);
	demand(sd_event_new(&bench.event) >= 0);
	demand(control_new(bench.event, &config, &bench.control, NULL) == 0);
	demand(unlink(path) == 0 &&
	       rmdir(dir) == 0); /* nobody connects: clients come by socketpair */
}

static void run_loop(void)
{
	int turns = 0;

	while (sd_event_run(bench.event, 0) > 0)
		demand(++turns < TURNS_MAX);
}

/* Take what has come; every frame must be a reply. */
static void check_replies(int fd, struct varlink_buffer *in)
{
	const char *text;
	size_t size;
	ssize_t n;

	do {
		demand(varlink_buffer_reserve(in, 65536) == 0);
		n = recv(fd, in->data + in->end, 65536, MSG_DONTWAIT);
		in->end += n > 0 ? (size_t)n : 0;
	} while (n > 0);
	while (varlink_buffer_next(in, SIZE_MAX, &text, &size) == 1) {
		struct varlink_reply reply;

		demand(varlink_reply_parse(text, size, &reply, NULL) == 0);
		demand(!reply.error || json_object_get(reply.parameters, "message"));
		varlink_reply_done(&reply);
	}
}

static void converse(int fd, const uint8_t *data, size_t size, size_t step)
{
	struct varlink_buffer in = { 0 };

	for (size_t at = 0; at < size; at += step) {
		size_t n = size - at < step ? size - at : step;

		if (send(fd, data + at, n, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
			break; /* hung up on us, or not taking any more */
		run_loop();
		check_replies(fd, &in);
	}
	if (bench.kept)
		(void)control_reply(bench.kept, json_object());
	run_loop();
	check_replies(fd, &in);
	demand(varlink_buffer_size(&in) == 0); /* no half reply */
	varlink_buffer_done(&in);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const size_t steps[] = { 65536, 1, 7, 100 };
	struct control_peer peer = { .pid = 1, .uid = 1000, .gid = 1000 };
	int fds[2];

	if (size < 1)
		return 0;
	if (!bench.control)
		open_bench();
	peer.uid = data[0] & 4 ? 1000 : 0;
	peer.may_write = !(data[0] & 8);
	peer.may_read = peer.may_write || !(data[0] & 16);
	demand(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) == 0);
	demand(control_client_new(bench.control, fds[1], &peer) == 0);
	/* A byte at a time is slow: only for what is short. */
	converse(fds[0], data + 1, size - 1, size > 2000 ? 65536 : steps[data[0] & 3]);
	close(fds[0]);
	run_loop();
	demand(control_client_count(bench.control) == 0);
	control_call_unref(TAKE_PTR(bench.kept));
	return 0;
}
