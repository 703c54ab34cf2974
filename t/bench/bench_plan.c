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
 * Freed memory stays with the process, so that a plan a second does not cost its page faults again;
 * the first cold run pays them and is shown by itself.
 *
 * A table goes to standard error, one JSON object to standard output. Times are CPU time of this
 * process in ms; rss_mib is the peak of the whole program with the adapter's table. Exit status 1
 * when a goal is missed (they stand for 1000 guests).
 */
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "qosd/core/adapter.h"
#include "qosd/core/mem.h"
#include "t/unit/make.h"

enum { SLOTS_PER_GUEST = 32 };

static const double goal_cold_ms = 10, goal_noop_ms = 5, goal_rss_mib = 32;

/* ---- the fake adapter: one value per (target, knob) ---- */

struct slot {
	uint64_t key; /* 0 free */
	uint32_t value;
};

struct fake {
	struct slot *slots;
	struct knob_value *values;
	size_t count, capacity;
	size_t nslots; /* a power of two */
	struct cpuset online;
	bool all_differ; /* what was never written has a foreign value, not the default */
};

static uint64_t hash_step(uint64_t hash, uint64_t n)
{
	return (hash ^ n) * UINT64_C(0x9e3779b97f4a7c15) ^ hash >> 29;
}

static uint64_t key_of(const struct target *t, enum knob_id knob)
{
	uint64_t hash = hash_step(hash_step(t->kind + 1, t->index), knob);
	const char *path = t->path ? t->path : "";

	hash = hash_step(hash, t->guest_id);
	for (; *path; path++)
		hash = (hash ^ (unsigned char)*path) * UINT64_C(0x100000001b3);
	return hash | 1;
}

static struct slot *slot_of(struct fake *f, uint64_t key)
{
	size_t at = (size_t)(key >> 20) & (f->nslots - 1);

	while (f->slots[at].key && f->slots[at].key != key)
		at = (at + 1) & (f->nslots - 1);
	return &f->slots[at];
}

/* What a knob has on a host where nobody has set anything. */
static struct knob_value default_value(const struct fake *f, enum knob_id knob)
{
	switch (knob) {
	case KNOB_CPU_AFFINITY:
		return knob_cpuset(&f->online);
	case KNOB_CPU_MAX:
		return knob_quota(KNOB_MAX, 100000);
	case KNOB_CPU_WEIGHT:
		return knob_u64(100);
	case KNOB_SWAP_MAX:
	case KNOB_NET_IN:
	case KNOB_NET_OUT:
		return knob_u64(KNOB_MAX);
	default:
		return knob_u64(0);
	}
}

/* A value that no plan wants. */
static struct knob_value foreign_value(enum knob_id knob)
{
	static const struct cpuset none;

	switch (knob_get(knob)->type) {
	case KNOB_CPUSET:
		return knob_cpuset(&none);
	case KNOB_QUOTA:
		return knob_quota(7777, 100000);
	case KNOB_U64:
		break;
	}
	return knob_u64(77777);
}

static int fake_read(struct adapter *a, const struct target *t, enum knob_id knob,
		     struct knob_value *ret, struct qerr *err)
{
	struct fake *f = a->ctx;
	struct slot *slot = slot_of(f, key_of(t, knob));

	(void)err;
	if (slot->key)
		*ret = f->values[slot->value];
	else
		*ret = f->all_differ ? foreign_value(knob) : default_value(f, knob);
	return 0;
}

static int fake_apply(struct adapter *a, const struct change *c, uint64_t ticket, struct qerr *err)
{
	struct fake *f = a->ctx;
	uint64_t key = key_of(&c->target, c->knob);
	struct slot *slot = slot_of(f, key);

	(void)ticket;
	(void)err;
	if (!slot->key) {
		if (mem_grow(&f->values, &f->capacity, f->count + 1, sizeof(*f->values)) < 0)
			abort();
		slot->key = key;
		slot->value = (uint32_t)f->count++;
	}
	f->values[slot->value] = c->to;
	return 0;
}

static const struct adapter_ops fake_ops = { .name = "fake",
					     .read = fake_read,
					     .apply = fake_apply };

/* ---- the situation ---- */

static struct scene *make_scene(uint32_t guests)
{
	static const char *const classes[] = { "gold",   "silver", "silver", "silver", "bronze",
					       "bronze", "bronze", "bronze", "bronze", "bronze" };
	struct scene *s = scene_new(make_policy(), host_regular(4, 64, 2, 4096 * GIB));

	for (unsigned int cpu = 0; cpu < 4; cpu++)
		cpuset_add(&s->policy->host.reserve.cpus, cpu);
	for (uint32_t id = 1; id <= guests; id++) {
		const char *class_name = classes[id % ARRAY_SIZE(classes)];
		char name[32], path[256], device[GUEST_DEVICE_MAX];
		struct guest *g;

		snprintf(name, sizeof(name), "instance-%08x", id * 2654435761U);
		snprintf(path, sizeof(path),
			 "/machine.slice/machine-%s.slice/machine-qemu\\x2d%u\\x2d%s.scope/libvirt",
			 class_name, id, name);
		g = scene_add(s, name, id, 2, 2 * GIB, class_name);
		set_text(&g->cgroup, path);
		snprintf(device, sizeof(device), "vnet%u", id);
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
	double first, p50, p99;
	size_t entries, changes;
};

static struct result percentiles(double *ms, size_t runs)
{
	struct result r = { .first = ms[0] };

	qsort(ms, runs, sizeof(*ms), compare_doubles);
	r.p50 = ms[runs / 2];
	r.p99 = ms[runs * 99 / 100];
	return r;
}

/* `fake` empty and no earlier placement each time for cold; everything applied for no-op. */
static struct result measure(struct scene *s, struct fake *f, size_t runs, bool cold)
{
	struct adapter a = { &fake_ops, f };
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
			memset(f->slots, 0, f->nslots * sizeof(*f->slots));
		}
		began = now_ms();
		p = reconcile(s, &a, &d);
		ms[i] = now_ms() - began;
		entries = p->count;
		changes = d.count;
		diff_done(&d);
		plan_free(p);
	}
	r = percentiles(ms, runs);
	r.entries = entries;
	r.changes = changes;
	free(ms);
	return r;
}

static void apply_all(struct scene *s, struct fake *f)
{
	struct adapter a = { &fake_ops, f };
	struct diff d;
	struct plan *p;

	diff_init(&d);
	p = reconcile(s, &a, &d);
	for (size_t i = 0; i < d.count; i++)
		fake_apply(&a, &d.changes[i], i, NULL);
	diff_done(&d);
	plan_free(p);
}

static double peak_rss_mib(void)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	return (double)usage.ru_maxrss / 1024;
}

static bool reached(const struct result *r, double goal)
{
	return r->first <= goal && r->p99 <= goal;
}

static void print_row(const char *name, const struct result *r, double goal)
{
	fprintf(stderr, "%-8s %8zu %8zu %9.2f %9.2f %9.2f", name, r->entries, r->changes, r->first,
		r->p50, r->p99);
	if (goal > 0)
		fprintf(stderr, " %9.2f  %s", goal, reached(r, goal) ? "reached" : "missed");
	fputc('\n', stderr);
}

int main(int argc, char **argv)
{
	uint32_t guests = argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 10) : 1000;
	size_t runs = argc > 2 ? strtoul(argv[2], NULL, 10) : 200;
	struct scene *s = make_scene(guests);
	struct fake f = { .nslots = 64 };
	struct result cold, worst, noop;
	double rss;

	if (!runs)
		return 2;
	mallopt(M_MMAP_THRESHOLD, 64 << 20);
	mallopt(M_TRIM_THRESHOLD, 64 << 20);
	while (f.nslots < guests * SLOTS_PER_GUEST)
		f.nslots *= 2;
	f.slots = must(calloc(f.nslots, sizeof(*f.slots)));
	f.online = s->host->online;
	cold = measure(s, &f, runs, true);
	f.all_differ = true;
	worst = measure(s, &f, runs, true);
	apply_all(s, &f);
	noop = measure(s, &f, runs, false);
	rss = peak_rss_mib();
	fprintf(stderr, "%u guests, %zu runs, CPU time\n", guests, runs);
	fprintf(stderr, "%-8s %8s %8s %9s %9s %9s %9s\n", "", "entries", "changes", "first ms",
		"p50 ms", "p99 ms", "goal ms");
	print_row("cold", &cold, goal_cold_ms);
	print_row("worst", &worst, 0);
	print_row("no-op", &noop, goal_noop_ms);
	fprintf(stderr, "peak RSS %.1f MiB, goal %.0f\n", rss, goal_rss_mib);
	printf("{ \"guests\": %u, \"runs\": %zu, \"entries\": %zu, \"cold_changes\": %zu, "
	       "\"cold_ms\": { \"first\": %.3f, \"p50\": %.3f, \"p99\": %.3f }, "
	       "\"worst_ms\": { \"p50\": %.3f, \"p99\": %.3f }, \"noop_changes\": %zu, "
	       "\"noop_ms\": { \"p50\": %.3f, \"p99\": %.3f }, \"rss_mib\": %.1f }\n",
	       guests, runs, cold.entries, cold.changes, cold.first, cold.p50, cold.p99, worst.p50,
	       worst.p99, noop.changes, noop.p50, noop.p99, rss);
	free(f.slots);
	free(f.values);
	scene_free(s);
	return !reached(&cold, goal_cold_ms) || !reached(&noop, goal_noop_ms) ||
	       rss > goal_rss_mib || noop.changes;
}
