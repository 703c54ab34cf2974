/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * `ping`: ICMP echo at an even pace from a namespace; prints the median and the 99th percentile of
 * the round trip. The kernel stamps the answers, so that the time this program waits for a CPU
 * does not count. An answer that has not come within 2 s is lost.
 */
#include "t/lab/netio/netio.h"

#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/ip_icmp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define MAX_COUNT 10000
#define WAIT_S    2.0

struct pinger {
	int fd;
	uint16_t id;
	int sent, answered;
	double began_s[MAX_COUNT]; /* real time */
	double rtt_us[MAX_COUNT];  /* of answers, in the order of arrival */
};

static double real_s(const struct timespec *t)
{
	return (double)t->tv_sec + (double)t->tv_nsec / 1e9;
}

static uint16_t checksum(const void *data, size_t bytes)
{
	const uint16_t *word = data;
	uint32_t sum = 0;

	for (; bytes > 1; bytes -= 2)
		sum += *word++;
	sum = (sum >> 16) + (sum & 0xffff);
	return (uint16_t) ~(sum + (sum >> 16));
}

static void send_echo(struct pinger *p)
{
	struct {
		struct icmphdr head;
		char data[56];
	} packet = {
		.head = { .type = ICMP_ECHO, .un.echo = { p->id, htons((uint16_t)p->sent) } },
	};
	struct timespec now;

	packet.head.checksum = checksum(&packet, sizeof(packet));
	clock_gettime(CLOCK_REALTIME, &now);
	p->began_s[p->sent++] = real_s(&now);
	if (send(p->fd, &packet, sizeof(packet), MSG_NOSIGNAL) < 0 && errno != ENOBUFS)
		fail("Cannot send an echo request: %s.", strerror(errno));
}

static double arrival_s(struct msghdr *m)
{
	struct cmsghdr *c;
	struct timespec t;

	for (c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c))
		if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_TIMESTAMPNS) {
			memcpy(&t, CMSG_DATA(c), sizeof(t));
			return real_s(&t);
		}
	clock_gettime(CLOCK_REALTIME, &t);
	return real_s(&t);
}

static void take_answer(struct pinger *p)
{
	char data[200], control[128];
	struct iovec v = { data, sizeof(data) };
	struct msghdr m = { .msg_iov = &v,
			    .msg_iovlen = 1,
			    .msg_control = control,
			    .msg_controllen = sizeof(control) };
	ssize_t n = recvmsg(p->fd, &m, MSG_DONTWAIT);
	size_t at = (size_t)(data[0] & 15) * 4;
	struct icmphdr head;
	int i;

	if (n < (ssize_t)(at + sizeof(head)))
		return;
	memcpy(&head, data + at, sizeof(head));
	i = ntohs(head.un.echo.sequence);
	if (head.type != ICMP_ECHOREPLY || head.un.echo.id != p->id || i >= p->sent ||
	    p->began_s[i] == 0)
		return;
	p->rtt_us[p->answered++] = (arrival_s(&m) - p->began_s[i]) * 1e6;
	p->began_s[i] = 0;
}

static int by_size(const void *a, const void *b)
{
	double d = *(const double *)a - *(const double *)b;

	return d < 0 ? -1 : d > 0;
}

/* The smallest value that at least `percent` of all are not above. */
static double percentile(const double *sorted, int n, int percent)
{
	return sorted[(n * percent + 99) / 100 - 1];
}

static void run(struct pinger *p, int count, int interval_ms)
{
	double next = now_s(), end = next + count * interval_ms / 1e3 + WAIT_S;

	while (now_s() < end && p->answered < count) {
		struct pollfd poll_fd = { .fd = p->fd, .events = POLLIN };
		double until = p->sent < count ? next : end;
		int wait_ms = (int)((until - now_s()) * 1000);

		if (poll(&poll_fd, 1, wait_ms > 0 ? wait_ms : 0) > 0)
			take_answer(p);
		if (p->sent < count && now_s() >= next) {
			send_echo(p);
			next += interval_ms / 1e3;
		}
	}
}

static void open_pinger(struct pinger *p, const char *netns, const char *address)
{
	struct sockaddr_in to = { .sin_family = AF_INET };
	int on = 1;

	if (inet_pton(AF_INET, address, &to.sin_addr) != 1)
		fail("--address needs an IPv4 address, not '%s'.", address);
	p->id = (uint16_t)getpid();
	p->fd = ns_socket(netns, AF_INET, SOCK_RAW, IPPROTO_ICMP);
	setsockopt(p->fd, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof(on));
	if (connect(p->fd, (struct sockaddr *)&to, sizeof(to)) < 0)
		fail("Cannot reach %s from %s: %s.", address, netns, strerror(errno));
	setpriority(PRIO_PROCESS, 0, -10);
}

int verb_ping(int argc, char **argv)
{
	static const struct option options[] = {
		{ "from", 1, 0, 'f' },        { "address", 1, 0, 'a' }, { "count", 1, 0, 'n' },
		{ "interval-ms", 1, 0, 'i' }, { "json", 0, 0, 'j' },    { 0, 0, 0, 0 },
	};
	const char *netns = NULL, *address = NULL;
	static struct pinger p;
	bool json = false;
	int c, count = 100, interval_ms = 20;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1)
		switch (c) {
		case 'f':
			netns = optarg;
			break;
		case 'a':
			address = optarg;
			break;
		case 'n':
			count = (int)number_arg("--count", optarg, 1, MAX_COUNT);
			break;
		case 'i':
			interval_ms = (int)number_arg("--interval-ms", optarg, 1, 10000);
			break;
		case 'j':
			json = true;
			break;
		default:
			exit(2);
		}
	if (!netns || !address)
		fail("ping needs --from and --address.");
	open_pinger(&p, netns, address);
	run(&p, count, interval_ms);
	if (!p.answered)
		fail("None of %d echo requests was answered.", count);
	qsort(p.rtt_us, p.answered, sizeof(p.rtt_us[0]), by_size);
	if (!json)
		printf("p50_us %.0f p99_us %.0f\n", percentile(p.rtt_us, p.answered, 50),
		       percentile(p.rtt_us, p.answered, 99));
	else
		printf("{ \"p50_us\": %.0f, \"p99_us\": %.0f, \"sent\": %d, \"lost\": %d }\n",
		       percentile(p.rtt_us, p.answered, 50), percentile(p.rtt_us, p.answered, 99),
		       p.sent, p.sent - p.answered);
	return 0;
}
