/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * `rate`: goodput of flows between two namespaces, as the receiver sees it, after a warm-up that
 * leaves out TCP's slow start, and the round trips that TCP meets. `stream`: both directions at
 * full speed until it is ended.
 */
#include "t/lab/netio/netio.h"

#include <arpa/inet.h>
#include <getopt.h>
#include <inttypes.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define WARM_UP_MS          1000
#define RTT_EVERY_MS        20
#define MAX_RTTS            100000
#define DEFAULT_OFFERED_BPS 30e6

struct rate_options {
	struct flow_plan plan;
	long seconds, warm_up_ms;
	bool json;
};

static struct in_addr address_arg(const char *option, const char *text)
{
	struct in_addr address;

	if (inet_pton(AF_INET, text, &address) != 1)
		fail("%s needs an IPv4 address, not '%s'.", option, text);
	return address;
}

static void parse(int argc, char **argv, struct rate_options *o)
{
	static const struct option options[] = {
		{ "from", 1, 0, 'f' },    { "to", 1, 0, 't' },         { "address", 1, 0, 'a' },
		{ "udp", 0, 0, 'u' },     { "offered", 1, 0, 'o' },    { "flows", 1, 0, 'n' },
		{ "seconds", 1, 0, 's' }, { "warm-up-ms", 1, 0, 'w' }, { "json", 0, 0, 'j' },
		{ 0, 0, 0, 0 },
	};
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1)
		switch (c) {
		case 'f':
			o->plan.from = optarg;
			break;
		case 't':
			o->plan.to = optarg;
			break;
		case 'a':
			o->plan.address = address_arg("--address", optarg);
			break;
		case 'u':
			o->plan.udp = true;
			break;
		case 'o':
			o->plan.offered_bps =
				(double)number_arg("--offered", optarg, 1000, 10000000000);
			break;
		case 'n':
			o->plan.flows = (int)number_arg("--flows", optarg, 1, MAX_FLOWS);
			break;
		case 's':
			o->seconds = number_arg("--seconds", optarg, 1, 600);
			break;
		case 'w':
			o->warm_up_ms = number_arg("--warm-up-ms", optarg, 0, 60000);
			break;
		case 'j':
			o->json = true;
			break;
		default:
			exit(2);
		}
	if (!o->plan.from || !o->plan.to || !o->plan.address.s_addr)
		fail("rate needs --from, --to and --address.");
}

static void pause_ms(long ms)
{
	const struct timespec t = { ms / 1000, ms % 1000 * 1000000 };

	nanosleep(&t, NULL);
}

static double read_received(struct flow_set *set, uint64_t *received)
{
	int i;

	for (i = 0; i < set->plan.flows; i++)
		received[i] = __atomic_load_n(&set->received[i], __ATOMIC_RELAXED);
	return now_s();
}

static unsigned int retransmits(const struct flow_set *set)
{
	unsigned int sum = 0;
	int i;

	for (i = 0; i < set->plan.flows && !set->plan.udp; i++) {
		struct tcp_info info;
		socklen_t size = sizeof(info);

		if (!getsockopt(set->sender[i], IPPROTO_TCP, TCP_INFO, &info, &size))
			sum += info.tcpi_total_retrans;
	}
	return sum;
}

/* The smoothed round trip of all flows, taken again and again. */
struct rtts {
	unsigned int us[MAX_RTTS];
	int count;
};

static void take_rtts(const struct flow_set *set, struct rtts *r)
{
	struct tcp_info info;
	socklen_t size;
	int i;

	for (i = 0; i < set->plan.flows && !set->plan.udp; i++) {
		size = sizeof(info);
		if (r->count < MAX_RTTS &&
		    !getsockopt(set->sender[i], IPPROTO_TCP, TCP_INFO, &info, &size))
			r->us[r->count++] = info.tcpi_rtt;
	}
}

static int by_size(const void *a, const void *b)
{
	unsigned int x = *(const unsigned int *)a, y = *(const unsigned int *)b;

	return (x > y) - (x < y);
}

static unsigned int rtt_percentile(const struct rtts *r, int percent)
{
	return r->count ? r->us[(r->count * percent + 99) / 100 - 1] : 0;
}

static void report(const struct rate_options *o, const double *flow_bps, unsigned int resent,
		   struct rtts *rtts)
{
	double sum = 0, squares = 0;
	int i, n = o->plan.flows;

	for (i = 0; i < n; i++) {
		sum += flow_bps[i];
		squares += flow_bps[i] * flow_bps[i];
	}
	if (!o->json) {
		printf("%.0f\n", sum);
		return;
	}
	qsort(rtts->us, (size_t)rtts->count, sizeof(rtts->us[0]), by_size);
	printf("{ \"goodput_bps\": %.0f, \"jain\": %.4f, \"retransmits\": %u,"
	       " \"rtt_p50_us\": %u, \"rtt_p99_us\": %u, \"flow_bps\": [",
	       sum, squares > 0 ? sum * sum / (n * squares) : 1.0, resent, rtt_percentile(rtts, 50),
	       rtt_percentile(rtts, 99));
	for (i = 0; i < n; i++)
		printf("%s%.0f", i ? ", " : " ", flow_bps[i]);
	puts(" ] }");
}

int verb_rate(int argc, char **argv)
{
	struct rate_options o = {
		.plan = { .flows = 1, .offered_bps = DEFAULT_OFFERED_BPS },
		.seconds = 4,
		.warm_up_ms = WARM_UP_MS,
	};
	uint64_t first[MAX_FLOWS], last[MAX_FLOWS];
	double bps[MAX_FLOWS], began, ended;
	static struct rtts rtts;
	unsigned int resent;
	struct flow_set *set;
	int i;

	parse(argc, argv, &o);
	set = flow_start(&o.plan);
	pause_ms(o.warm_up_ms);
	resent = retransmits(set);
	began = read_received(set, first);
	while (now_s() < began + (double)o.seconds - RTT_EVERY_MS / 1e3) {
		pause_ms(RTT_EVERY_MS);
		take_rtts(set, &rtts);
	}
	pause_ms((long)((began + (double)o.seconds - now_s()) * 1000));
	ended = read_received(set, last);
	for (i = 0; i < o.plan.flows; i++)
		bps[i] = (double)(last[i] - first[i]) * 8 / (ended - began);
	report(&o, bps, retransmits(set) - resent, &rtts);
	return 0;
}

int verb_stream(int argc, char **argv)
{
	struct flow_plan there = { .flows = 1 }, back;

	if (argc < 5)
		fail("stream needs a namespace and its address, twice.");
	there.from = argv[1];
	there.to = argv[3];
	there.address = address_arg("IP", argv[4]);
	back = there;
	back.from = argv[3];
	back.to = argv[1];
	back.address = address_arg("IP", argv[2]);
	flow_start(&there);
	flow_start(&back);
	puts("running");
	fflush(stdout);
	for (;;)
		pause();
}
