/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * sim - overload protection against a simulated host.
 *
 *	sim                  every scenario: one line each as of TAP, and the bounds below it
 *	sim NAME...          these
 *	sim NAME --trace     its time series, tab-separated
 *	sim --table          one row of Markdown for each scenario
 *	sim --list           names and what they show
 *	sim --seeds N        every scenario with N other seeds each: how far bounds are from luck
 *
 * Exit status: 0 all bounds kept, 1 not, 2 usage.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "qosd/core/mem.h"
#include "t/sim/run.h"
#include "t/unit/make.h"

struct options {
	bool trace, table, list;
	unsigned long seeds;
	const char *names[64];
	size_t nnames;
};

static const struct scenario_list *const lists[] = { &scenarios_cpu, &scenarios_hard,
						     &scenarios_trouble, &scenarios_memory,
						     &scenarios_io };

/* Bounds of every scenario: the promise does not depend on the situation. */
static bool kept(const struct bound *b, double value)
{
	if (isnan(value))
		return false;
	/* -1 stands for "never": it keeps no bound on a time. */
	if ((b->what == SETTLE_S || b->what == RELEASE_S || b->what == REACTION_S) && value < 0)
		return false;
	return b->kind == AT_MOST ? value <= b->value : value >= b->value;
}

static enum resource resource_of(const struct scenario *sc, const struct bound *b)
{
	return b->resource ? (enum resource)(b->resource - 1) : sc->resource;
}

static double measured(const struct scenario *sc, const struct result *r, const struct bound *b)
{
	return series_measure(r->series, b->what, resource_of(sc, b), r->needed);
}

static unsigned int count_faults(const struct faults *f)
{
	return f->floor + f->order + f->rank0 + f->bad + f->error;
}

static unsigned int missed(const struct scenario *sc, const struct result *r)
{
	unsigned int n = count_faults(series_faults(r->series)) != 0;

	for (int i = 0; sc->bounds[i].what; i++)
		n += !kept(&sc->bounds[i], measured(sc, r, &sc->bounds[i]));
	return n;
}

static void print_bounds(const struct scenario *sc, const struct result *r)
{
	const struct faults *f = series_faults(r->series);

	if (count_faults(f))
		printf("#   MISSED faults: below floor %u, wrong order %u, protected capped %u, bad value %u, failed %u\n",
		       f->floor, f->order, f->rank0, f->bad, f->error);
	for (int i = 0; sc->bounds[i].what; i++) {
		const struct bound *b = &sc->bounds[i];
		double value = measured(sc, r, b);

		printf("#   %s %s %s %.4g (%s %g)\n", kept(b, value) ? "kept  " : "MISSED",
		       resource_names[resource_of(sc, b)], measure_names[b->what], value,
		       b->kind == AT_MOST ? "at most" : "at least", b->value);
	}
}

static void print_tap(const struct scenario *sc, const struct result *r, unsigned int number)
{
	printf("%s %u - %s: %s\n", missed(sc, r) ? "not ok" : "ok", number, sc->name, sc->what);
	print_bounds(sc, r);
	fflush(stdout);
}

static void print_row(const struct scenario *sc, const struct result *r)
{
	printf("| %s | %s | %s |", sc->name, sc->what, missed(sc, r) ? "**missed**" : "kept");
	for (int i = 0; sc->bounds[i].what; i++) {
		const struct bound *b = &sc->bounds[i];

		printf("%s %s%s%s %.3g (%s %g)", i ? "," : "",
		       b->resource ? resource_names[b->resource - 1] : "", b->resource ? " " : "",
		       measure_names[b->what], measured(sc, r, b),
		       b->kind == AT_MOST ? "<=" : ">=", b->value);
	}
	printf(" |\n");
}

/* The same scenario with other random numbers: how many of n miss a bound? */
static bool try_seeds(const struct scenario *sc, unsigned long n)
{
	unsigned long bad = 0;

	for (unsigned long i = 0; i < n; i++) {
		struct scenario other = *sc;
		struct result r;

		other.seed = sc->seed + 1000 * (i + 1);
		run_scenario(&other, &r);
		if (missed(&other, &r)) {
			bad++;
			printf("# %s with seed %llu\n", sc->name, (unsigned long long)other.seed);
			print_bounds(&other, &r);
		}
		result_done(&r);
	}
	printf("%s - %s: %lu of %lu seeds miss a bound\n", bad ? "not ok" : "ok", sc->name, bad, n);
	return bad == 0;
}

static bool chosen(const struct options *o, const struct scenario *sc)
{
	for (size_t i = 0; i < o->nnames; i++)
		if (strcmp(o->names[i], sc->name) == 0)
			return true;
	return o->nnames == 0;
}

static bool run_one(const struct options *o, const struct scenario *sc, unsigned int number)
{
	struct result r;
	bool good;

	if (o->list) {
		printf("%-28s %s\n", sc->name, sc->what);
		return true;
	}
	if (o->seeds)
		return try_seeds(sc, o->seeds);
	run_scenario(sc, &r);
	good = missed(sc, &r) == 0;
	if (o->trace)
		series_print(r.series, stdout);
	else if (o->table)
		print_row(sc, &r);
	else
		print_tap(sc, &r, number);
	result_done(&r);
	return good;
}

static int run_all(const struct options *o)
{
	unsigned int number = 0, bad = 0;

	for (size_t l = 0; l < ARRAY_SIZE(lists); l++) {
		for (size_t i = 0; i < lists[l]->count; i++) {
			struct scenario sc = lists[l]->scenarios[i];

			if (!sc.classes)
				sc.classes = classes_usual;
			if (!chosen(o, &sc))
				continue;
			number++;
			bad += !run_one(o, &sc, number);
		}
	}
	if (!o->list && !o->trace && !o->table)
		printf("1..%u\n", number);
	if (!number)
		fprintf(stderr, "sim: no scenario has that name; see sim --list\n");
	return !number ? 2 : bad ? 1 : 0;
}

int main(int argc, char **argv)
{
	struct options o = { 0 };

	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--trace") == 0)
			o.trace = true;
		else if (strcmp(argv[i], "--table") == 0)
			o.table = true;
		else if (strcmp(argv[i], "--list") == 0)
			o.list = true;
		else if (strcmp(argv[i], "--seeds") == 0 && i + 1 < argc)
			o.seeds = strtoul(argv[++i], NULL, 10);
		else if (argv[i][0] != '-' && o.nnames < ARRAY_SIZE(o.names))
			o.names[o.nnames++] = argv[i];
		else
			return fprintf(stderr,
				       "usage: sim [NAME...] [--trace | --table | --list | --seeds N]\n"),
			       2;
	}
	return run_all(&o);
}
