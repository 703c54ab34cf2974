/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * measure - what the benchmarks share: the guests that they decide for, CPU time, memory.
 *
 * Freed memory stays with the process, as in the daemon, so that a plan a second does not cost its
 * page faults again.
 */
#ifndef QOSD_T_MEASURE_H
#define QOSD_T_MEASURE_H

#include <malloc.h>
#include <sys/resource.h>
#include <time.h>

#include "qosd/core/mem.h"
#include "t/unit/make.h"

/* Cells of a fake host for so many guests: a power of two, at most half of them used. */
static inline size_t measure_cells(uint32_t guests)
{
	size_t cells = 64;

	while (cells < (size_t)guests * 24)
		cells *= 2;
	return cells;
}

/* The class of a guest: a tenth gold, three tenths silver, the others bronze. */
static inline const char *measure_class(uint32_t id)
{
	return id % 10 == 0 ? "gold" : id % 10 < 4 ? "silver" : "bronze";
}

static inline void measure_name(uint32_t id, char name[32])
{
	snprintf(name, 32, "instance-%08x", id * 2654435761U);
}

/* Into a slice of its class and a scope, as systemd makes them. */
static inline void measure_settle_guest(struct guest *g)
{
	char path[256];

	snprintf(path, sizeof(path),
		 "/machine.slice/machine-%s.slice/machine-qemu\\x2d%u\\x2d%s.scope/libvirt",
		 measure_class(g->id), g->id, g->name);
	set_text(&g->cgroup, path);
}

static inline struct host *measure_host(void)
{
	return host_regular(4, 64, 2, 4096 * GIB);
}

static inline void measure_begin(void)
{
	mallopt(M_MMAP_THRESHOLD, 64 << 20);
	mallopt(M_TRIM_THRESHOLD, 64 << 20);
}

/* CPU time of this process. */
static inline double measure_now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static inline double measure_peak_rss_mib(void)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	return (double)usage.ru_maxrss / 1024;
}

struct measured {
	double first_ms, p50_ms, p99_ms;
};

static inline int measure_compare(const void *pa, const void *pb)
{
	double a = *(const double *)pa, b = *(const double *)pb;

	return (a > b) - (a < b);
}

/* Sorts them. */
static inline struct measured measure_percentiles(double *ms, size_t runs)
{
	struct measured m = { .first_ms = ms[0] };

	qsort(ms, runs, sizeof(*ms), measure_compare);
	m.p50_ms = ms[runs / 2];
	m.p99_ms = ms[runs * 99 / 100];
	return m;
}

#endif
