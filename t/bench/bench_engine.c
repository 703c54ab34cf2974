/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * bench_engine - what the daemon's turns cost: 1000 guests (2 vCPUs, 1 NIC) on 512 CPUs, the whole
 * engine with its files; the host is a table in memory.
 *
 *	cold     first turn ever: all differs, baselines go to disk, everything is written
 *	restart  first turn of a new daemon on a host where everything holds
 *	no-op    a turn for which nothing is dirty
 *	drift    a turn that reads every knob back and finds nothing
 *	one      a turn in which one guest got another class
 *
 *	bench_engine [GUESTS [RUNS]]
 *
 * A table goes to standard error, one JSON object to standard output. Times are CPU time of this
 * process in ms, rss_mib is its peak with the table of the host, whose size is told beside it. Exit
 * status 1 when a goal is missed (they stand for 1000 guests).
 */
#include <malloc.h>
#include <sys/resource.h>
#include <time.h>

#include "t/unit/engine_bench.h"

static const double goal_noop_ms = 5, goal_rss_mib = 32;

static struct host *large_host(void)
{
	return host_regular(4, 64, 2, 4096 * GIB);
}

static void add_guests(struct bench *b, uint32_t guests)
{
	static const char *const classes[] = { "gold",   "silver", "silver", "silver", "bronze",
					       "bronze", "bronze", "bronze", "bronze", "bronze" };

	for (uint32_t id = 1; id <= guests; id++) {
		const char *class_name = classes[id % ARRAY_SIZE(classes)];
		char name[32], path[256];
		struct guest *g;

		snprintf(name, sizeof(name), "instance-%08x", id * 2654435761U);
		snprintf(path, sizeof(path),
			 "/machine.slice/machine-%s.slice/machine-qemu\\x2d%u\\x2d%s.scope/libvirt",
			 class_name, id, name);
		g = bench_guest(b, name, id, 2, 2 * GIB, class_name);
		set_text(&g->cgroup, path);
	}
}

/* ---- measuring ---- */

static double now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static int compare_doubles(const void *pa, const void *pb)
{
	double a = *(const double *)pa, b = *(const double *)pb;

	return (a > b) - (a < b);
}

struct result {
	const char *name;
	double goal_ms; /* 0: none */
	double p50_ms, p99_ms;
	unsigned int reads, writes; /* of the last turn */
};

enum kind { COLD, RESTART, NOOP, DRIFT, ONE, KINDS };

static void prepare_turn(struct bench *b, enum kind kind, size_t run)
{
	if (kind == COLD) {
		(void)unlink(b->baseline_path);
		memset(b->world.cells, 0, b->world.ncells * sizeof(*b->world.cells));
	}
	if (kind == COLD || kind == RESTART) {
		bench_kill(b);
		bench_boot(b);
		bench_publish(b);
	}
	if (kind == DRIFT)
		b->e->read_all = true;
	if (kind == ONE)
		bench_set_class(b, b->running->guests[run % b->running->count]->name,
				run % 2 ? "bronze" : "silver");
}

static void measure(struct bench *b, enum kind kind, size_t runs, struct result *ret)
{
	double *ms = must(calloc(runs, sizeof(*ms)));

	for (size_t i = 0; i < runs; i++) {
		unsigned int reads, writes;
		double began;

		prepare_turn(b, kind, i);
		reads = bench_reads(b);
		writes = bench_writes(b);
		began = now_ms();
		bench_turn(b);
		ms[i] = now_ms() - began;
		ret->reads = bench_reads(b) - reads;
		ret->writes = bench_writes(b) - writes;
	}
	qsort(ms, runs, sizeof(*ms), compare_doubles);
	ret->p50_ms = ms[runs / 2];
	ret->p99_ms = ms[runs * 99 / 100];
	free(ms);
}

static double peak_rss_mib(void)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	return (double)usage.ru_maxrss / 1024;
}

static void print_table(FILE *out, const struct result *results)
{
	fprintf(out, "%-8s %8s %8s %9s %9s %9s\n", "", "reads", "writes", "p50 ms", "p99 ms",
		"goal ms");
	for (size_t i = 0; i < KINDS; i++) {
		const struct result *r = &results[i];

		fprintf(out, "%-8s %8u %8u %9.2f %9.2f", r->name, r->reads, r->writes, r->p50_ms,
			r->p99_ms);
		if (r->goal_ms > 0)
			fprintf(out, " %9.2f  %s", r->goal_ms,
				r->p99_ms <= r->goal_ms ? "reached" : "missed");
		fputc('\n', out);
	}
}

static void print_json(const struct result *results, uint32_t guests, size_t runs, double rss_mib,
		       double host_mib)
{
	printf("{ \"guests\": %u, \"runs\": %zu, \"rss_mib\": %.1f, \"host_mib\": %.1f", guests,
	       runs, rss_mib, host_mib);
	for (size_t i = 0; i < KINDS; i++) {
		const struct result *r = &results[i];

		printf(", \"%s\": { \"reads\": %u, \"writes\": %u, \"p50_ms\": %.3f, "
		       "\"p99_ms\": %.3f }",
		       r->name, r->reads, r->writes, r->p50_ms, r->p99_ms);
	}
	puts(" }");
}

int main(int argc, char **argv)
{
	struct result results[KINDS] = {
		[COLD] = { .name = "cold" },
		[RESTART] = { .name = "restart" },
		[NOOP] = { .name = "no-op", .goal_ms = goal_noop_ms },
		[DRIFT] = { .name = "drift" },
		[ONE] = { .name = "one" },
	};
	uint32_t guests = argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 10) : 1000;
	size_t runs = argc > 2 ? strtoul(argv[2], NULL, 10) : 200, ncells = 64;
	bool missed = false;
	double rss_mib, host_mib;
	struct bench *b;
	FILE *out = stderr;

	if (!guests || !runs)
		return 2;
	mallopt(M_MMAP_THRESHOLD, 64 << 20); /* as the daemon does */
	mallopt(M_TRIM_THRESHOLD, 64 << 20);
	while (ncells < guests * 24)
		ncells *= 2;
	b = bench_new_on(BENCH_ENFORCE, large_host, ncells);
	add_guests(b, guests);
	for (int k = 0; k < KINDS; k++) {
		measure(b, (enum kind)k, k == COLD || k == RESTART ? (runs + 3) / 4 : runs,
			&results[k]);
		missed |= results[k].goal_ms > 0 && results[k].p99_ms > results[k].goal_ms;
	}
	rss_mib = peak_rss_mib();
	host_mib = (double)(ncells * sizeof(struct cell)) / (1 << 20);
	fprintf(out, "%u guests, %zu runs, CPU time\n", guests, runs);
	print_table(out, results);
	fprintf(out, "peak RSS %.1f MiB with the fake host's %.1f, goal %.0f\n", rss_mib, host_mib,
		goal_rss_mib);
	print_json(results, guests, runs, rss_mib, host_mib);
	bench_free(b);
	return missed || rss_mib - host_mib > goal_rss_mib;
}
