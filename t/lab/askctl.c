/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * lab-askctl - how long qosd takes to answer, on the socket alone.
 *
 *	lab-askctl [--socket PATH] SECONDS INTERVAL_MS
 *
 * One connection, made before anything is measured; org.qosd.Control.Status every INTERVAL_MS. A
 * time is from the call's first byte sent to the answer's last byte received, CLOCK_MONOTONIC; what
 * is done with the answer does not count. "asking" is printed after the first answer, and in the
 *end one line for each state of libvirt that was told: STATE ANSWERS P50 P99 MAX (in ms). Exit
 *status: 0 done, 1 no answer (within 10 s) or not one of Status, 2 usage.
 */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "qosd/core/mem.h"
#include "qosd/daemon/varlink.h"

#define ANSWER_LIMIT_S 10
#define ANSWER_BYTES   ((size_t)1 << 20)
#define READ_BYTES     ((size_t)64 << 10)

static const char call[] = "{\"method\":\"org.qosd.Control.Status\"}"; /* its NUL ends the frame */

struct state {
	char name[32];
	double *ms;
	size_t count, capacity;
};

struct asker {
	int fd;
	struct varlink_buffer in;
	struct state states[4];
	size_t nstates;
};

static int complain(const char *what, int r)
{
	fprintf(stderr, "lab-askctl: %s: %s\n", what, strerror(-r));
	return r;
}

static double now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static int open_socket(const char *path)
{
	struct timeval limit = { .tv_sec = ANSWER_LIMIT_S };
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)) < 0 ||
	    connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		return complain(path, -errno);
	return fd;
}

/* Send the call and receive the whole answer: *ret_text stays valid until the next call. */
static int ask(struct asker *a, const char **ret_text, size_t *ret_size)
{
	ssize_t n;
	int r;

	if (send(a->fd, call, sizeof(call), MSG_NOSIGNAL) != (ssize_t)sizeof(call))
		return -errno;
	while ((r = varlink_buffer_next(&a->in, ANSWER_BYTES, ret_text, ret_size)) == 0) {
		r = varlink_buffer_reserve(&a->in, READ_BYTES);
		if (r < 0)
			return r;
		n = recv(a->fd, a->in.data + a->in.end, a->in.capacity - a->in.end, 0);
		if (n <= 0)
			return n < 0 ? -errno : -ECONNRESET;
		a->in.end += (size_t)n;
	}
	return r < 0 ? r : 0;
}

static int count(struct asker *a, const char *name, double ms)
{
	struct state *s = a->states;
	int r;

	while (s < a->states + a->nstates && strcmp(s->name, name) != 0)
		s++;
	if (s == a->states + ARRAY_SIZE(a->states))
		return -EBADMSG;
	if (s == a->states + a->nstates) {
		a->nstates++;
		snprintf(s->name, sizeof(s->name), "%s", name);
	}
	r = mem_grow(&s->ms, &s->capacity, s->count + 1, sizeof(*s->ms));
	if (r == 0)
		s->ms[s->count++] = ms;
	return r;
}

static int ask_once(struct asker *a)
{
	struct varlink_reply reply = { 0 };
	const char *text, *state;
	double began = now_ms(), ms;
	size_t size;
	int r = ask(a, &text, &size);

	ms = now_ms() - began;
	if (r < 0)
		return r;
	r = varlink_reply_parse(text, size, &reply, NULL);
	if (r < 0)
		return r;
	state = json_string_value(json_object_get(reply.parameters, "libvirt"));
	r = state ? count(a, state, ms) : -EBADMSG;
	varlink_reply_done(&reply);
	return r;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* The smallest value that at least `share` of all do not exceed. */
static double quantile(const struct state *s, double share)
{
	size_t rank = (size_t)ceil(share * (double)s->count);

	return s->ms[rank > 0 ? rank - 1 : 0];
}

static void report(struct asker *a)
{
	for (size_t i = 0; i < a->nstates; i++) {
		struct state *s = &a->states[i];

		qsort(s->ms, s->count, sizeof(*s->ms), compare);
		printf("%s %zu %.2f %.2f %.2f\n", s->name, s->count, quantile(s, 0.5),
		       quantile(s, 0.99), s->ms[s->count - 1]);
	}
}

static int run(struct asker *a, double seconds, double interval_ms)
{
	double end = now_ms() + seconds * 1e3;
	bool first = true;

	while (now_ms() < end) {
		int r = ask_once(a);

		if (r < 0)
			return complain("no good answer", r);
		if (first) {
			printf("asking\n");
			fflush(stdout);
			first = false;
		}
		usleep((useconds_t)(interval_ms * 1e3));
	}
	report(a);
	return 0;
}

int main(int argc, char **argv)
{
	const char *path = "/run/qosd/control.sock";
	struct asker a = { 0 };
	int r;

	if (argc == 5 && strcmp(argv[1], "--socket") == 0) {
		path = argv[2];
		argv += 2;
		argc -= 2;
	}
	if (argc != 3 || atof(argv[1]) <= 0 || atof(argv[2]) <= 0) {
		fprintf(stderr, "usage: lab-askctl [--socket PATH] SECONDS INTERVAL_MS\n");
		return 2;
	}
	a.fd = open_socket(path);
	if (a.fd < 0)
		return 1;
	r = run(&a, atof(argv[1]), atof(argv[2]));
	for (size_t i = 0; i < a.nstates; i++)
		free(a.states[i].ms);
	varlink_buffer_done(&a.in);
	close(a.fd);
	return r < 0;
}
