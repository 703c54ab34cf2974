/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Parallel flows between two namespaces: one thread sends on all of them, another receives, drops
 * and counts. TCP sends as fast as the connection takes it; UDP sends at an even rate, in bursts
 * of a few milliseconds, whatever becomes of it.
 */
#include "t/lab/netio/netio.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define CONNECT_TIMEOUT_S 15
#define TCP_CHUNK_BYTES   (128 * 1024)
#define UDP_PAYLOAD_BYTES 1400
#define UDP_BURST         32
#define UDP_PAUSE_NS      2000000

static const char zeros[TCP_CHUNK_BYTES];

/* A socket of the receiving side, bound to its address and a port of the kernel's choice. */
static int bind_receiver(const struct flow_plan *plan, int type, struct sockaddr_in *at)
{
	int fd = ns_socket(plan->to, AF_INET, type, 0);
	socklen_t size = sizeof(*at);

	*at = (struct sockaddr_in){ .sin_family = AF_INET, .sin_addr = plan->address };
	if (bind(fd, (struct sockaddr *)at, sizeof(*at)) < 0 ||
	    getsockname(fd, (struct sockaddr *)at, &size) < 0)
		fail("Cannot bind to %s in %s: %s.", inet_ntoa(plan->address), plan->to,
		     strerror(errno));
	return fd;
}

static int bind_sender(const struct flow_plan *plan, int type)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr = plan->from_address };
	int fd = ns_socket(plan->from, AF_INET, type | SOCK_NONBLOCK, 0);

	if (bind(fd, (struct sockaddr *)&at, sizeof(at)) < 0)
		fail("Cannot bind to %s in %s: %s.", inet_ntoa(plan->from_address), plan->from,
		     strerror(errno));
	return fd;
}

static void wait_for(int fd, short events, const char *what)
{
	struct pollfd p = { .fd = fd, .events = events };

	if (poll(&p, 1, CONNECT_TIMEOUT_S * 1000) <= 0)
		fail("No TCP connection (%s) within %d s.", what, CONNECT_TIMEOUT_S);
}

static void connect_tcp(struct flow_set *set, int i, int listener, const struct sockaddr_in *at)
{
	int error = 0, fd = bind_sender(&set->plan, SOCK_STREAM);
	socklen_t size = sizeof(error);

	if (connect(fd, (const struct sockaddr *)at, sizeof(*at)) < 0 && errno != EINPROGRESS)
		fail("Cannot connect from %s to %s: %s.", set->plan.from, inet_ntoa(at->sin_addr),
		     strerror(errno));
	wait_for(fd, POLLOUT, "connecting");
	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) < 0 || error)
		fail("Cannot connect from %s to %s: %s.", set->plan.from, inet_ntoa(at->sin_addr),
		     strerror(error));
	wait_for(listener, POLLIN, "accepting");
	set->sender[i] = fd;
	set->receiver[i] = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (set->receiver[i] < 0)
		fail("Cannot accept a connection in %s: %s.", set->plan.to, strerror(errno));
}

static void connect_udp(struct flow_set *set, int i)
{
	struct sockaddr_in at;
	int size = 4 << 20;

	set->receiver[i] = bind_receiver(&set->plan, SOCK_DGRAM | SOCK_NONBLOCK, &at);
	setsockopt(set->receiver[i], SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size));
	set->sender[i] = bind_sender(&set->plan, SOCK_DGRAM);
	if (connect(set->sender[i], (struct sockaddr *)&at, sizeof(at)) < 0)
		fail("Cannot send from %s to %s: %s.", set->plan.from, inet_ntoa(at.sin_addr),
		     strerror(errno));
}

static void fill_poll(struct pollfd *p, const int *fds, int n, short events)
{
	int i;

	for (i = 0; i < n; i++)
		p[i] = (struct pollfd){ .fd = fds[i], .events = events };
}

/* MSG_TRUNC: the kernel drops the bytes of a TCP stream without copying them. */
static void *receive(void *arg)
{
	struct flow_set *set = arg;
	struct pollfd p[MAX_FLOWS];
	int i, turns;
	ssize_t n;

	fill_poll(p, set->receiver, set->plan.flows, POLLIN);
	while (poll(p, set->plan.flows, -1) >= 0)
		for (i = 0; i < set->plan.flows; i++)
			for (turns = 0; p[i].revents && turns < 64; turns++) {
				n = recv(p[i].fd, NULL, set->plan.udp ? 0 : 1 << 20, MSG_TRUNC);
				if (n < 0 && errno == EAGAIN)
					break;
				if (n <= 0) {
					p[i].fd = -1;
					break;
				}
				__atomic_fetch_add(&set->received[i], (uint64_t)n,
						   __ATOMIC_RELAXED);
			}
	return NULL;
}

static void *send_tcp(void *arg)
{
	struct flow_set *set = arg;
	struct pollfd p[MAX_FLOWS];
	int i;

	fill_poll(p, set->sender, set->plan.flows, POLLOUT);
	while (poll(p, set->plan.flows, -1) >= 0)
		for (i = 0; i < set->plan.flows; i++)
			if (p[i].revents && send(p[i].fd, zeros, sizeof(zeros), MSG_NOSIGNAL) < 0 &&
			    errno != EAGAIN)
				p[i].fd = -1;
	return NULL;
}

static void *send_udp(void *arg)
{
	const double packet_s = UDP_PAYLOAD_BYTES * 8 / ((struct flow_set *)arg)->plan.offered_bps;
	const struct timespec pause = { .tv_nsec = UDP_PAUSE_NS };
	struct flow_set *set = arg;
	struct mmsghdr message[UDP_BURST];
	struct iovec data = { (void *)(uintptr_t)zeros, UDP_PAYLOAD_BYTES };
	double next = now_s();
	int i, flow = 0;

	memset(message, 0, sizeof(message));
	for (i = 0; i < UDP_BURST; i++)
		message[i].msg_hdr = (struct msghdr){ .msg_iov = &data, .msg_iovlen = 1 };
	for (;;) {
		double late = now_s() - next;
		int n = (int)(late / packet_s);

		if (late > 0.1) /* the CPU was away: no burst to catch up */
			next += late - 0.1;
		if (n < 1) {
			nanosleep(&pause, NULL);
			continue;
		}
		if (n > UDP_BURST)
			n = UDP_BURST;
		sendmmsg(set->sender[flow], message, n, MSG_NOSIGNAL);
		next += n * packet_s;
		flow = (flow + 1) % set->plan.flows;
	}
	return NULL;
}

struct flow_set *flow_start(const struct flow_plan *plan)
{
	struct flow_set *set = calloc(1, sizeof(*set));
	struct sockaddr_in at;
	pthread_t thread;
	int i, listener = -1;

	if (!set)
		fail("There is no memory.");
	set->plan = *plan;
	/* These threads stand for machines elsewhere, which do not compete for this CPU. */
	setpriority(PRIO_PROCESS, 0, -10);
	if (!plan->udp) {
		listener = bind_receiver(plan, SOCK_STREAM, &at);
		if (listen(listener, MAX_FLOWS) < 0)
			fail("Cannot listen in %s: %s.", plan->to, strerror(errno));
	}
	for (i = 0; i < plan->flows; i++) {
		if (plan->udp)
			connect_udp(set, i);
		else
			connect_tcp(set, i, listener, &at);
	}
	if (listener >= 0)
		close(listener);
	if (pthread_create(&thread, NULL, receive, set) ||
	    pthread_create(&thread, NULL, plan->udp ? send_udp : send_tcp, set))
		fail("Cannot start a thread.");
	return set;
}
