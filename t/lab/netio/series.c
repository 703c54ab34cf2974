/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * `series`: goodput of flows between two namespaces from their first moment on, as the receiver
 * sees it: one line `END_MS BIT/S` for each interval, END_MS by the monotonic clock.
 */
#include "t/lab/netio/netio.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static uint64_t all_received(const struct flow_set *set)
{
	uint64_t sum = 0;

	for (int i = 0; i < set->plan.flows; i++)
		sum += __atomic_load_n(&set->received[i], __ATOMIC_RELAXED);
	return sum;
}

static void until(double at_s)
{
	double left = at_s - now_s();
	struct timespec t = { (time_t)left, (long)((left - (double)(time_t)left) * 1e9) };

	if (left > 0)
		nanosleep(&t, NULL);
}

static void print_series(const struct flow_set *set, double began, double interval_s, long count)
{
	uint64_t last = 0;
	double then = began;

	for (long i = 1; i <= count; i++) {
		uint64_t received;
		double now;

		until(began + (double)i * interval_s);
		now = now_s();
		received = all_received(set);
		printf("%.0f %.0f\n", now * 1e3, (double)(received - last) * 8 / (now - then));
		last = received;
		then = now;
	}
}

int verb_series(int argc, char **argv)
{
	struct flow_plan plan = { 0 };
	long interval_ms, count;
	double began;

	if (argc < 7)
		fail("series needs FROM TO ADDRESS FLOWS INTERVAL-MS COUNT [UDP-BIT/S].");
	plan.from = argv[1];
	plan.to = argv[2];
	if (inet_pton(AF_INET, argv[3], &plan.address) != 1)
		fail("series needs an IPv4 address, not '%s'.", argv[3]);
	plan.flows = (int)number_arg("FLOWS", argv[4], 1, MAX_FLOWS);
	interval_ms = number_arg("INTERVAL-MS", argv[5], 1, 60000);
	count = number_arg("COUNT", argv[6], 1, 100000);
	if (argc > 7) {
		plan.udp = true;
		plan.offered_bps = (double)number_arg("UDP-BIT/S", argv[7], 1000, 10000000000);
	}
	began = now_s();
	print_series(flow_start(&plan), began, (double)interval_ms / 1e3, count);
	return 0;
}
