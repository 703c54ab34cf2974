/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * bench_plan - what deciding costs: 1000 guests (2 vCPUs, 1 NIC) in slices and scopes as systemd
 * makes them, on 512 CPUs; the adapter is a table in memory.
 *
 *	cold    classify, admit, place, plan, read, diff, sort on a host with default values
 *	worst   the same when every single value differs (no goal of its own)
 *	no-op   the same when everything holds already: nothing is found
 *
 *	bench_plan [GUESTS [RUNS]]
 *
 * The first cold run pays page faults for memory that is used again later, and is shown by itself.
 *
 * A table goes to standard error, one JSON object to standard output. Times are CPU time of this
 * process in ms; rss_mib is the peak with the table of the host, whose size is told beside it. Exit
 * status 1 when a goal is missed (they stand for 1000 guests).
 */
#include "qosd/core/adapter.h"
#include "t/bench/measure.h"
#include "t/unit/fake_host.h"

static const double goal_cold_ms = 10, goal_noop_ms = 5, goal_rss_mib = 32;

static struct scene *make_scene(uint32_t guests)
{
	struct scene *s = scene_new(make_policy(), measure_host());

	for (unsigned int cpu = 0; cpu < 4; cpu++)
		cpuset_add(&s->policy->host.reserve.cpus, cpu);
	for (uint32_t id = 1; id <= guests; id++) {
		char name[32], device[GUEST_DEVICE_MAX];
		struct guest *g;

		measure_name(id, name);
		snprintf(device, sizeof(device), "vnet%u", id);
		g = scene_add(s, name, id, 2, 2 * GIB, measure_class(id));
		measure_settle_guest(g);
		make_nic(g, device, 100 + id);
	}
	return s;
}

/* One turn of the daemon without its loop: decide, read back, compare, sort. Returns the plan. */
static struct plan *reconcile(struct scene *s, struct adapter *a, struct diff *d)
{
	struct plan *p;

	scene_settle(s);
	p = must(plan_build(&s->input));
	for (size_t i = 0; i < p->count; i++) {
		const struct plan_entry *e = &p->entries[i];
		struct knob_value actual;
		int r = a->ops->read(a, &e->target, e->knob, &actual, NULL);

		if (diff_entry(d, e, r < 0 ? NULL : &actual) < 0)
			abort();
	}
	diff_sort(d);
	return p;
}

/* ---- measuring ---- */

struct result {
	struct measured time;
	size_t entries, changes;
};

/* The host as new and no earlier placement each time for cold; everything applied for no-op. */
static struct result measure(struct scene *s, struct fake *f, size_t runs, bool cold)
{
	double *ms = must(calloc(runs, sizeof(*ms)));
	struct result r;
	size_t entries = 0, changes = 0;

	for (size_t i = 0; i < runs; i++) {
		struct diff d;
		struct plan *p;
		double began;

		diff_init(&d);
		if (cold) {
			placement_free(TAKE_PTR(s->placement));
			memset(f->world->cells, 0, f->world->ncells * sizeof(struct cell));
		}
		began = measure_now_ms();
		p = reconcile(s, &f->adapter, &d);
		ms[i] = measure_now_ms() - began;
		entries = p->count;
		changes = d.count;
		diff_done(&d);
		plan_free(p);
	}
	r = (struct result){ measure_percentiles(ms, runs), entries, changes };
	free(ms);
	return r;
}

static void apply_all(struct scene *s, struct fake *f)
{
	struct diff d;
	struct plan *p;

	diff_init(&d);
	p = reconcile(s, &f->adapter, &d);
	for (size_t i = 0; i < d.count; i++)
		fake_apply(&f->adapter, &d.changes[i], i, NULL);
	diff_done(&d);
	plan_free(p);
}

static bool reached(const struct result *r, double goal)
{
	return r->time.first_ms <= goal && r->time.p99_ms <= goal;
}

static void print_row(const char *name, const struct result *r, double goal)
{
	fprintf(stderr, "%-8s %8zu %8zu %9.2f %9.2f %9.2f", name, r->entries, r->changes,
		r->time.first_ms, r->time.p50_ms, r->time.p99_ms);
	if (goal > 0)
		fprintf(stderr, " %9.2f  %s", goal, reached(r, goal) ? "reached" : "missed");
	fputc('\n', stderr);
}

static void print_json(uint32_t guests, size_t runs, const struct result *cold,
		       const struct result *worst, const struct result *noop, double rss_mib,
		       double host_mib)
{
	printf("{ \"guests\": %u, \"runs\": %zu, \"entries\": %zu, \"cold_changes\": %zu, "
	       "\"cold_ms\": { \"first\": %.3f, \"p50\": %.3f, \"p99\": %.3f }, ",
	       guests, runs, cold->entries, cold->changes, cold->time.first_ms, cold->time.p50_ms,
	       cold->time.p99_ms);
	printf("\"worst_ms\": { \"p50\": %.3f, \"p99\": %.3f }, \"noop_changes\": %zu, "
	       "\"noop_ms\": { \"p50\": %.3f, \"p99\": %.3f }, \"rss_mib\": %.1f, "
	       "\"host_mib\": %.1f }\n",
	       worst->time.p50_ms, worst->time.p99_ms, noop->changes, noop->time.p50_ms,
	       noop->time.p99_ms, rss_mib, host_mib);
}

int main(int argc, char **argv)
{
	uint32_t guests = argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 10) : 1000;
	size_t runs = argc > 2 ? strtoul(argv[2], NULL, 10) : 200;
	struct scene *s = make_scene(guests);
	struct world w = { .ncells = measure_cells(guests), .online = s->host->online };
	struct fake f = { .adapter = { &fake_ops, &f }, .world = &w, .writing = true };
	struct result cold, worst, noop;
	double rss_mib, host_mib = (double)(w.ncells * sizeof(struct cell)) / (1 << 20);

	if (!guests || !runs)
		return 2;
	measure_begin();
	w.cells = must(calloc(w.ncells, sizeof(*w.cells)));
	cold = measure(s, &f, runs, true);
	w.foreign = true;
	worst = measure(s, &f, runs, true);
	apply_all(s, &f);
	noop = measure(s, &f, runs, false);
	rss_mib = measure_peak_rss_mib();
	fprintf(stderr, "%u guests, %zu runs, CPU time\n", guests, runs);
	fprintf(stderr, "%-8s %8s %8s %9s %9s %9s %9s\n", "", "entries", "changes", "first ms",
		"p50 ms", "p99 ms", "goal ms");
	print_row("cold", &cold, goal_cold_ms);
	print_row("worst", &worst, 0);
	print_row("no-op", &noop, goal_noop_ms);
	fprintf(stderr, "peak RSS %.1f MiB with the fake host's %.1f, goal %.0f\n", rss_mib,
		host_mib, goal_rss_mib);
	print_json(guests, runs, &cold, &worst, &noop, rss_mib, host_mib);
	free(w.cells);
	scene_free(s);
	return !reached(&cold, goal_cold_ms) || !reached(&noop, goal_noop_ms) ||
	       rss_mib - host_mib > goal_rss_mib || noop.changes;
}
