/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Errors, time, numbers, network namespaces. */
#include "t/lab/netio/netio.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

void fail(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	fputs("lab-netio: ", stderr);
	vfprintf(stderr, format, args);
	fputc('\n', stderr);
	va_end(args);
	exit(1);
}

double now_s(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

long number_arg(const char *option, const char *text, long min, long max)
{
	char *end;
	long value;

	errno = 0;
	value = strtol(text, &end, 10);
	if (errno || end == text || *end || value < min || value > max)
		fail("%s needs a whole number from %ld to %ld, not '%s'.", option, min, max, text);
	return value;
}

void ns_enter(const char *netns)
{
	char path[300];
	int fd;

	snprintf(path, sizeof(path), "/run/netns/%s", netns);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		fail("There is no network namespace %s: %s.", netns, strerror(errno));
	if (setns(fd, CLONE_NEWNET) < 0)
		fail("Cannot enter the network namespace %s: %s.", netns, strerror(errno));
	close(fd);
}

int ns_socket(const char *netns, int domain, int type, int protocol)
{
	int home = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
	int fd;

	if (home < 0)
		fail("Cannot open this thread's network namespace: %s.", strerror(errno));
	ns_enter(netns);
	fd = socket(domain, type | SOCK_CLOEXEC, protocol);
	if (fd < 0)
		fail("Cannot make a socket in %s: %s.", netns, strerror(errno));
	if (setns(home, CLONE_NEWNET) < 0)
		fail("Cannot leave the network namespace %s: %s.", netns, strerror(errno));
	close(home);
	return fd;
}
