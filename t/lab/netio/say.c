/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One line to a guest's serial port and its one-line answer. The port has room for one client at a
 * time, so clients queue at a lock beside the socket. A guest that has just been started may not
 * listen yet: "hello" is repeated until it answers, then the line is said once.
 */
#include "t/lab/netio/netio.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static void lock_port(const char *path)
{
	char lock[300];
	int fd;

	snprintf(lock, sizeof(lock), "%s.lock", path);
	fd = open(lock, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0 || flock(fd, LOCK_EX) < 0)
		fail("Cannot lock %s: %s.", lock, strerror(errno));
}

static int connect_port(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		fail("The guest's serial port %s does not answer: %s.", path, strerror(errno));
	return fd;
}

/* Reads until a line ends or `until` passes. Returns 1 with a line. */
static int read_line(int fd, char *line, size_t size, double until)
{
	size_t used = 0;
	double left;

	while ((left = until - now_s()) > 0 && used < size - 1) {
		struct pollfd p = { .fd = fd, .events = POLLIN };

		if (poll(&p, 1, (int)(left * 1000) + 1) <= 0)
			continue;
		if (read(fd, line + used, 1) != 1)
			fail("The guest closed its serial port.");
		if (line[used] == '\n') {
			line[used] = 0;
			return 1;
		}
		used++;
	}
	return 0;
}

static int ask(int fd, const char *text, char *answer, size_t size, double until)
{
	char line[200];
	int n = snprintf(line, sizeof(line), "%s\n", text);

	if (n >= (int)sizeof(line) || send(fd, line, n, MSG_NOSIGNAL) != n)
		fail("Cannot write to the guest's serial port: %s.", strerror(errno));
	return read_line(fd, answer, size, until);
}

int verb_say(int argc, char **argv)
{
	double until, try;
	char answer[200];
	int fd;

	if (argc < 3)
		fail("say needs a socket and a line.");
	until = now_s() + (argc > 3 ? number_arg("SECONDS", argv[3], 1, 600) : 30);
	lock_port(argv[1]);
	fd = connect_port(argv[1]);
	do {
		try = now_s() + 2;
		if (now_s() > until)
			fail("The guest did not answer on its serial port in time.");
	} while (!ask(fd, "hello", answer, sizeof(answer), try < until ? try : until));
	while (read_line(fd, answer, sizeof(answer), now_s() + 0.001))
		; /* answers to earlier hellos */
	if (!ask(fd, argv[2], answer, sizeof(answer), until))
		fail("The guest did not answer '%s' in time.", argv[2]);
	if (strcmp(answer, "ok"))
		fail("The guest answered '%s' to '%s'.", answer, argv[2]);
	return 0;
}
