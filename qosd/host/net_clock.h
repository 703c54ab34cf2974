/* SPDX-License-Identifier: GPL-2.0-or-later */
/* net_clock - nanoseconds of CLOCK_MONOTONIC. */
#ifndef QOSD_HOST_NET_CLOCK_H
#define QOSD_HOST_NET_CLOCK_H

#include <stdint.h>
#include <time.h>

static inline uint64_t clock_now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000ULL + (uint64_t)t.tv_nsec;
}

#endif
