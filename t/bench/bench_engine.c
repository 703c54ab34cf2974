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
#include "t/bench/measure.h"
#include "t/unit/engine_bench.h"

static const double goal_noop_ms = 5, goal_rss_mib = 32;

static void add_guests(struct bench *b, uint32_t guests)
{
	for (uint32_t id = 1; id <= guests; id++) {
		char name[32];

		measure_name(id, name);
		measure_settle_guest(bench_guest(b, name, id, 2, 2 * GIB, measure_class(id)));
	}
}

/* ---- measuring ---- */

struct result {
	const char *name;
	double goal_ms; /* 0: none */
	struct measured time;
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
		began = measure_now_ms();
		bench_turn(b);
		ms[i] = measure_now_ms() - began;
		ret->reads = bench_reads(b) - reads;
		ret->writes = bench_writes(b) - writes;
	}
	ret->time = measure_percentiles(ms, runs);
	free(ms);
}

static void print_table(FILE *out, const struct result *results)
{
	fprintf(out, "%-8s %8s %8s %9s %9s %9s\n", "", "reads", "writes", "p50 ms", "p99 ms",
		"goal ms");
	for (size_t i = 0; i < KINDS; i++) {
		const struct result *r = &results[i];

		fprintf(out, "%-8s %8u %8u %9.2f %9.2f", r->name, r->reads, r->writes,
			r->time.p50_ms, r->time.p99_ms);
		if (r->goal_ms > 0)
			fprintf(out, " %9.2f  %s", r->goal_ms,
				r->time.p99_ms <= r->goal_ms ? "reached" : "missed");
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
		       r->name, r->reads, r->writes, r->time.p50_ms, r->time.p99_ms);
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
	size_t runs = argc > 2 ? strtoul(argv[2], NULL, 10) : 200;
	size_t ncells = measure_cells(guests);
	bool missed = false;
	double rss_mib, host_mib;
	struct bench *b;
	FILE *out = stderr;

	if (!guests || !runs)
		return 2;
	measure_begin();
	b = bench_new_on(BENCH_ENFORCE, measure_host, ncells);
	add_guests(b, guests);
	for (int k = 0; k < KINDS; k++) {
		measure(b, (enum kind)k, k == COLD || k == RESTART ? (runs + 3) / 4 : runs,
			&results[k]);
		missed |= results[k].goal_ms > 0 && results[k].time.p99_ms > results[k].goal_ms;
	}
	rss_mib = measure_peak_rss_mib();
	host_mib = (double)(ncells * sizeof(struct cell)) / (1 << 20);
	fprintf(out, "%u guests, %zu runs, CPU time\n", guests, runs);
	print_table(out, results);
	fprintf(out, "peak RSS %.1f MiB with the fake host's %.1f, goal %.0f\n", rss_mib, host_mib,
		goal_rss_mib);
	print_json(results, guests, runs, rss_mib, host_mib);
	bench_free(b);
	return missed || rss_mib - host_mib > goal_rss_mib;
}
