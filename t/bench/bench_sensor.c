/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * bench_sensor - what a sample costs, and which source of vCPU times is cheaper.
 *
 *	bench_sensor [RUNS]
 *
 * Rows: threads that sleep stand for vCPUs (4 a guest) and for the rest of the host; the iterator,
 * schedstat with open descriptors, and sensor_read() with the iterator on the real /proc, without
 * groups and NICs.
 *
 * A table goes to standard error, one JSON object to standard output. Times are CPU time of this
 * process in us, the median of RUNS. Exit status 0; 77: this kernel or user has no iterator.
 */
#include <fcntl.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/sysinfo.h>
#include <time.h>
#include <unistd.h>

#include "qosd/core/mem.h"
#include "qosd/host/sensor_priv.h"
#include "t/bench/crowd.h"

#define VCPUS_A_GUEST 4
#define RUNS_MAX      1000

static double now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static int compare_doubles(const void *pa, const void *pb)
{
	double a = *(const double *)pa, b = *(const double *)pb;

	return (a > b) - (a < b);
}

/* ---- one row ---- */

struct row {
	size_t vcpus, others;
	double iterator_us, schedstat_us, sample_us;
};

struct bench {
	struct crowd crowd;
	struct inventory *inv;
	struct policy *policy;
	struct sensor *sensor;
	struct sample sample;
	int *fds; /* schedstat of each vCPU */
	size_t nfds, seen;
};

static void add_guests(struct bench *b, size_t vcpus)
{
	for (size_t i = 0; i < vcpus; i += VCPUS_A_GUEST) {
		struct guest *g = crowd_must(guest_new());

		g->id = (uint32_t)(i / VCPUS_A_GUEST + 1);
		g->name = crowd_must(strdup("guest"));
		g->pid = getpid();
		g->nvcpu_tids = vcpus - i < VCPUS_A_GUEST ? vcpus - i : VCPUS_A_GUEST;
		g->vcpu_tids = crowd_must(calloc(g->nvcpu_tids, sizeof(*g->vcpu_tids)));
		memcpy(g->vcpu_tids, b->crowd.tids + i, g->nvcpu_tids * sizeof(*g->vcpu_tids));
		if (inventory_add(b->inv, g) < 0)
			abort();
		guest_unref(g);
	}
}

static void open_schedstats(struct bench *b, size_t vcpus)
{
	b->fds = crowd_must(calloc(vcpus, sizeof(*b->fds)));
	for (b->nfds = 0; b->nfds < vcpus; b->nfds++) {
		char path[64];

		snprintf(path, sizeof(path), "/proc/self/task/%d/schedstat",
			 b->crowd.tids[b->nfds]);
		b->fds[b->nfds] = open(path, O_RDONLY | O_CLOEXEC);
		if (b->fds[b->nfds] < 0)
			break;
	}
}

static void count_seen(void *user, const struct vcpu_times *t)
{
	(void)t;
	(*(size_t *)user)++;
}

static void run_iterator(struct bench *b)
{
	b->seen = 0;
	if (sensor_vcpu_read(&b->sensor->vcpu, count_seen, &b->seen) < 0)
		abort();
}

static void run_schedstat(struct bench *b)
{
	char text[96];

	for (size_t i = 0; i < b->nfds; i++)
		if (sensor_read_fd(b->fds[i], text, sizeof(text)) <= 0)
			abort();
}

static void run_sample(struct bench *b)
{
	if (sensor_read(b->sensor, b->inv, b->policy, &b->sample, NULL) < 0)
		abort();
}

static double measure(struct bench *b, void (*run)(struct bench *b), size_t runs)
{
	static double us[RUNS_MAX];

	run(b);
	for (size_t i = 0; i < runs; i++) {
		double began = now_us();

		run(b);
		us[i] = now_us() - began;
	}
	qsort(us, runs, sizeof(*us), compare_doubles);
	return us[runs / 2];
}

/* False: no iterator. */
static bool measure_row(struct row *row, size_t runs)
{
	struct sensor_config config = { 0 };
	struct bench b = { 0 };
	bool ok;

	crowd_start(&b.crowd, row->vcpus + row->others);
	b.policy = crowd_must(policy_new());
	b.inv = crowd_must(inventory_new(row->vcpus / VCPUS_A_GUEST + 1));
	add_guests(&b, row->vcpus);
	open_schedstats(&b, row->vcpus);
	if (sensor_new(&config, &b.sensor, NULL) < 0)
		abort();
	run_sample(&b);
	ok = b.sensor->vcpu.link_fd >= 0 && b.nfds == row->vcpus;
	if (ok) {
		b.sensor->iterate = true;
		row->iterator_us = measure(&b, run_iterator, runs);
		ok = b.seen == row->vcpus;
		row->schedstat_us = measure(&b, run_schedstat, runs);
		row->sample_us = measure(&b, run_sample, runs);
	} else {
		fprintf(stderr, "bench_sensor: no iterator: %s\n", b.sensor->vcpu_why);
	}
	for (size_t i = 0; i < b.nfds; i++)
		close(b.fds[i]);
	free(b.fds);
	sensor_free(b.sensor);
	sample_done(&b.sample);
	inventory_free(b.inv);
	policy_free(b.policy);
	crowd_end(&b.crowd);
	return ok;
}

/* ---- what loading costs ---- */

static double resident_mib(void)
{
	long pages = 0;
	FILE *f = fopen("/proc/self/statm", "r");

	if (!f || fscanf(f, "%*d %ld", &pages) != 1)
		pages = 0;
	if (f)
		fclose(f);
	return (double)pages * (double)sysconf(_SC_PAGESIZE) / 1048576;
}

static void measure_load(double *ret_ms, double *ret_mib, double *ret_peak_mib)
{
	struct sensor_config config = { 0 };
	double before = resident_mib(), began = now_us();
	struct sensor *s;
	struct rusage usage;

	if (sensor_new(&config, &s, NULL) < 0)
		abort();
	*ret_ms = (now_us() - began) / 1e3;
	*ret_mib = resident_mib() - before;
	getrusage(RUSAGE_SELF, &usage);
	*ret_peak_mib = (double)usage.ru_maxrss / 1024 - before;
	sensor_free(s);
}

int main(int argc, char **argv)
{
	struct row rows[] = { { .vcpus = 100 },
			      { .vcpus = 100, .others = 900 },
			      { .vcpus = 800, .others = 1200 },
			      { .vcpus = 4000, .others = 2000 } };
	size_t runs = argc > 1 ? strtoul(argv[1], NULL, 10) : 50;
	double load_ms, load_mib, peak_mib;

	if (!runs || runs > RUNS_MAX)
		runs = 50;
	measure_load(&load_ms, &load_mib, &peak_mib);
	fprintf(stderr, "loading: %.1f ms, %.1f MiB stay resident, %.1f at the peak\n", load_ms,
		load_mib, peak_mib);
	fprintf(stderr, "%7s %7s %12s %13s %10s\n", "vcpus", "others", "iterator us",
		"schedstat us", "sample us");
	printf("{ \"load_ms\": %.3f, \"load_mib\": %.2f, \"rows\": [", load_ms, load_mib);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct row *r = &rows[i];

		if (!measure_row(r, runs))
			return 77;
		fprintf(stderr, "%7zu %7zu %12.1f %13.1f %10.1f\n", r->vcpus, r->others,
			r->iterator_us, r->schedstat_us, r->sample_us);
		printf("%s { \"vcpus\": %zu, \"others\": %zu, \"iterator_us\": %.2f, "
		       "\"schedstat_us\": %.2f, \"sample_us\": %.2f }",
		       i ? "," : "", r->vcpus, r->others, r->iterator_us, r->schedstat_us,
		       r->sample_us);
	}
	printf(" ] }\n");
	return 0;
}
