/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * bench_tick - what a tick of overload protection costs the daemon, without its sensor (that is
 * bench_sensor): 1000 guests (2 vCPUs, 1 NIC) of one class, the whole engine with its files.
 *
 *	calm     a tick in which nothing changes
 *	pressed  a tick with everybody throttled in which nothing changes
 *	onset    the first throttle of all guests: with the lease taken
 *	level    everybody is throttled to another level
 *	files    the same, with the host's cgroups as files in memory and the daemon's own adapter
 *
 *	bench_tick [GUESTS [RUNS [DIR]]]
 *
 * DIR in a cgroup v2 mount: real cgroups are made there, and removed, instead of files.
 *
 * A table goes to standard error, one JSON object to standard output. Times are CPU time of this
 * process in ms. Exit status 1 when a goal is missed (they stand for 1000 guests).
 */
#include "qosd/host/cgroup.h"
#include "t/bench/group_files.h"
#include "t/bench/measure.h"
#include "t/unit/overload_bench.h"

#define S       UINT64_C(1000000)
#define FOREVER (100000 * S)

#define GOAL_LEVEL_MS 20

/* Without limits of its own, so that a level is the only thing that moves. */
#define TICK_POLICY                                                                                \
	"mode = \"enforce\";\nhost = { reserve = { memory = \"1GiB\"; cpus = \"0\"; }; };\n"       \
	"classes = ( { name = \"gold\"; rank = 0; }, { name = \"bronze\"; rank = 1; } );\n"        \
	"default_class = \"bronze\";\noverload = { lease = \"1h\"; };\n"

enum kind { CALM, PRESSED, ONSET, LEVEL, FILES, KINDS };

static const struct {
	const char *name;
	double goal_ms; /* 0: none */
} kinds[KINDS] = {
	[CALM] = { "calm", 0 },
	[PRESSED] = { "pressed", 0 },
	[ONSET] = { "onset", GOAL_LEVEL_MS },
	[LEVEL] = { "level", GOAL_LEVEL_MS },
	[FILES] = { "files", GOAL_LEVEL_MS },
};

struct result {
	struct measured time;
	unsigned int writes; /* of the last tick */
};

static void add_guests(struct storm *s, uint32_t guests)
{
	for (uint32_t id = 1; id <= guests; id++) {
		struct guest *g;
		char name[32];

		measure_name(id, name);
		g = bench_guest(s->b, name, id, 2, 2 * GIB, "bronze");
		measure_settle_guest(g);
		g->pid = 0; /* no process: the adapter asks no /proc for it */
		s->loads[id] = (struct storm_load){ .run = 0.1 + id % 17 * 0.1 };
	}
}

/* ---- cgroups as files, or real ones ---- */

/* The tree's adapter takes the place of the table's. */
static struct adapter *use_files(struct storm *s, const char *root)
{
	struct cgroup_config config = { .root = root };
	struct adapter *files = NULL;
	struct qerr err = { 0 };

	group_files_begin(root);
	for (size_t i = 0; i < s->b->running->count; i++)
		group_files_make(root, s->b->running->guests[i]);
	if (cgroup_new(&config, &files, &err) < 0) {
		fprintf(s->b->real_stderr, "%s\n", err.text);
		exit(1);
	}
	s->b->e->adapters[ADAPTER_CGROUP] = files;
	bench_drift(s->b);
	return files;
}

/* ---- measuring ---- */

static void set_level(struct storm *s, uint32_t level_permille)
{
	struct qerr err = { 0 };

	if (engine_throttle(s->b->e, "bronze", RESOURCE_CPU, level_permille, FOREVER, &err) < 0)
		abort();
}

/* A throttle lasts at least this long: its cap is raised once a second at the most. */
static void prepare_tick(struct storm *s, enum kind kind, size_t run)
{
	if (kind == LEVEL || kind == FILES)
		set_level(s, run % 2 ? 200 : 500);
	if (kind == ONSET) {
		set_level(s, 1000);
		storm_pass(s, 3 * S);
		set_level(s, 200);
	}
}

static void measure(struct storm *s, enum kind kind, size_t runs, struct result *ret)
{
	double *ms = must(calloc(runs, sizeof(*ms)));

	for (size_t i = 0; i < runs; i++) {
		uint64_t written;
		double began;

		prepare_tick(s, kind, i);
		s->now_us += kind == CALM || kind == PRESSED ? TICK_US : 2 * S;
		written = s->b->e->written;
		began = measure_now_ms();
		overload_tick(s->b->e);
		ms[i] = measure_now_ms() - began;
		ret->writes = (unsigned int)(s->b->e->written - written);
		storm_settle(s->b);
	}
	ret->time = measure_percentiles(ms, runs);
	free(ms);
}

static bool print(FILE *out, const struct result *results, uint32_t guests, size_t runs)
{
	bool missed = false;

	fprintf(out, "%u guests, %zu runs, CPU time\n%-8s %8s %9s %9s %9s\n", guests, runs, "",
		"writes", "p50 ms", "p99 ms", "goal ms");
	printf("{ \"guests\": %u, \"runs\": %zu", guests, runs);
	for (size_t i = 0; i < KINDS; i++) {
		const struct result *r = &results[i];
		bool bad = kinds[i].goal_ms > 0 && r->time.p99_ms > kinds[i].goal_ms;

		missed |= bad;
		fprintf(out, "%-8s %8u %9.2f %9.2f", kinds[i].name, r->writes, r->time.p50_ms,
			r->time.p99_ms);
		if (kinds[i].goal_ms > 0)
			fprintf(out, " %9.2f  %s", kinds[i].goal_ms, bad ? "missed" : "reached");
		fputc('\n', out);
		printf(", \"%s\": { \"writes\": %u, \"p50_ms\": %.3f, \"p99_ms\": %.3f }",
		       kinds[i].name, r->writes, r->time.p50_ms, r->time.p99_ms);
	}
	puts(" }");
	return missed;
}

int main(int argc, char **argv)
{
	struct result results[KINDS] = { 0 };
	uint32_t guests = argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 10) : 1000;
	size_t runs = argc > 2 ? strtoul(argv[2], NULL, 10) : 200;
	FILE *out = stderr;
	struct adapter *files;
	struct qerr err = { 0 };
	struct storm *s;
	char root[64];
	bool missed;

	if (!guests || guests >= STORM_GUESTS || !runs)
		return 2;
	measure_begin();
	s = storm_new(bench_new_on(TICK_POLICY, measure_host, measure_cells(guests)));
	if (lease_open(s->b->state_dir, &s->b->e->protection->lease, &err) < 0)
		return 1;
	add_guests(s, guests);
	bench_publish(s->b);
	storm_settle(s->b);
	storm_pass(s, 5 * S);
	measure(s, CALM, runs, &results[CALM]);
	set_level(s, 200);
	storm_pass(s, 3 * S);
	measure(s, PRESSED, runs, &results[PRESSED]);
	measure(s, ONSET, (runs + 3) / 4, &results[ONSET]);
	measure(s, LEVEL, runs, &results[LEVEL]);
	snprintf(root, sizeof(root), "%.40s/qosd-tick-%d", argc > 3 ? argv[3] : "/dev/shm",
		 (int)getpid());
	files = use_files(s, root);
	measure(s, FILES, runs, &results[FILES]);
	s->b->e->adapters[ADAPTER_CGROUP] = NULL;
	cgroup_adapter_free(files);
	group_files_end(root);
	missed = print(out, results, guests, runs);
	storm_free(s);
	return missed;
}
