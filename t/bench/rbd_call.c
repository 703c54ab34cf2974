/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * rbd_call - what one change of a limit by librbd's admin socket costs.
 *
 *	rbd_call PID POOL IMAGE COUNT     time of `config set`, `config unset` and `config get`
 */
#include <stdio.h>
#include <stdlib.h>

#include "qosd/host/ceph_asok.h"
#include "t/bench/measure.h"

#define KEY       "rbd_qos_iops_limit"
#define COUNT_MAX 100000

static double wall_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static int set_limit(const struct ceph_asok *s)
{
	return ceph_asok_config_set(s, KEY, "1000000", NULL);
}

static int unset_limit(const struct ceph_asok *s)
{
	return ceph_asok_config_unset(s, KEY, NULL);
}

static int get_limit(const struct ceph_asok *s)
{
	char text[CEPH_ASOK_VALUE_MAX];

	return ceph_asok_config_get(s, KEY, text, sizeof(text), NULL);
}

static const struct {
	const char *name;
	int (*run)(const struct ceph_asok *s);
} calls[] = { { "set", set_limit }, { "get", get_limit }, { "unset", unset_limit } };

#define CALLS (sizeof(calls) / sizeof(calls[0]))

int main(int argc, char **argv)
{
	static double ms[CALLS][COUNT_MAX];
	struct guest_rbd rbd = { 0 };
	struct ceph_asok socket;
	struct qerr err = { 0 };
	size_t count = argc == 5 ? strtoul(argv[4], NULL, 10) : 0;

	if (!count || count > COUNT_MAX) {
		fprintf(stderr, "usage: rbd_call PID POOL IMAGE COUNT\n");
		return 2;
	}
	snprintf(rbd.pool, sizeof(rbd.pool), "%s", argv[2]);
	snprintf(rbd.image, sizeof(rbd.image), "%s", argv[3]);
	if (ceph_asok_find(atoi(argv[1]), &rbd, &socket, &err) < 0) {
		fprintf(stderr, "%s\n", err.text);
		return 1;
	}
	for (size_t i = 0; i < count; i++) {
		for (size_t k = 0; k < CALLS; k++) {
			double from = wall_ms();

			if (calls[k].run(&socket) < 0)
				return 1;
			ms[k][i] = wall_ms() - from;
		}
	}
	for (size_t k = 0; k < CALLS; k++) {
		struct measured m = measure_percentiles(ms[k], count);

		printf("%-6s p50 %.3f ms  p99 %.3f ms\n", calls[k].name, m.p50_ms, m.p99_ms);
	}
	return 0;
}
