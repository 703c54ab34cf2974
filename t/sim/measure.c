/* SPDX-License-Identifier: GPL-2.0-or-later */
/* measure - the measures of a run, computed from its series. */
#include <math.h>

#include "t/sim/series_private.h"

#define CALM_FOR_S 2.0  /* pressure at or below 1 this long: settled */
#define DEADBAND   0.02 /* changes of depth smaller than this are no turn */

const char *const measure_names[MEASURE_COUNT] = {
	[REACTION_S] = "reaction_s",
	[SETTLE_S] = "settle_s",
	[PEAK] = "peak_depth",
	[NEEDED] = "needed_depth",
	[OVERSHOOT] = "overshoot",
	[EXCESS] = "excess_depth",
	[TURNS] = "turns",
	[PAIN] = "pain",
	[LONGEST_S] = "longest_pain_s",
	[RELEASE_S] = "release_s",
	[RELEASE_RATE] = "release_rate",
	[DEPTH_LAST] = "depth_at_end_of_storm",
	[DEPTH_MEAN] = "depth_mean",
	[ONSETS] = "onsets",
	[RELAPSES] = "relapses",
	[FUTILES] = "futile",
	[WORK_GOLD] = "work_first_class",
	[WORK_SILVER] = "work_second_class",
	[WORK_BRONZE] = "work_third_class",
	[WORK_LIGHT] = "work_light",
	[WAIT_GOLD] = "wait_first_class",
	[LATENCY_GOLD_MS] = "latency_first_class_ms",
	[RESIDENT_GOLD] = "resident_first_class",
	[UNFAIRNESS] = "unfairness",
	[BUSY] = "cpu_busy",
	[AVAILABLE_MIN] = "memory_available_min",
	[WRITES] = "writes_per_s",
	[WRITES_PEAK] = "writes_peak_per_s",
};

/* ---- measures of the series ---- */

/* The first moment after the onset from which the mean of the next CALM_FOR_S is within target. */
static double settle_s(const struct series *s, enum resource r)
{
	bool pressed = false;

	for (size_t i = 0; i < s->count; i++) {
		const struct point *p = &s->points[i];

		if (!series_in_storm(s->sc, p->at_s))
			continue;
		pressed |= p->pressure[r] > 1;
		if (pressed && p->pressure[r] <= 1 &&
		    series_pressure(s, r, p->at_s, p->at_s + CALM_FOR_S) <= 1)
			return p->at_s - s->sc->storm_from_s;
	}
	return pressed ? -1 : 0;
}

static double peak(const struct series *s, enum resource r)
{
	double most = 0;

	for (size_t i = 0; i < s->count; i++)
		if (series_in_storm(s->sc, s->points[i].at_s))
			most = fmax(most, s->points[i].depth[r]);
	return most;
}

/* Mean over time between two moments; each point holds until the next. */
static double mean_depth(const struct series *s, enum resource r, double from_s, double until_s)
{
	double sum = 0, time_s = 0;

	for (size_t i = 0; i + 1 < s->count; i++) {
		double dt_s = s->points[i + 1].at_s - s->points[i].at_s;

		if (s->points[i].at_s < from_s || s->points[i].at_s >= until_s)
			continue;
		sum += s->points[i].depth[r] * dt_s;
		time_s += dt_s;
	}
	return time_s > 0 ? sum / time_s : 0;
}

double series_pressure(const struct series *s, enum resource r, double from_s, double until_s)
{
	double sum = 0, time_s = 0;

	for (size_t i = 0; i + 1 < s->count; i++) {
		double dt_s = s->points[i + 1].at_s - s->points[i].at_s;

		if (s->points[i].at_s < from_s || s->points[i].at_s >= until_s ||
		    s->points[i].pressure[r] < 0)
			continue;
		sum += s->points[i].pressure[r] * dt_s;
		time_s += dt_s;
	}
	return time_s > 0 ? sum / time_s : -1;
}

static double turns(const struct series *s, enum resource r)
{
	double edge = -1, from_s = series_settled_s(s->sc);
	unsigned int turns = 0;
	int direction = 0;

	for (size_t i = 0; i < s->count; i++) {
		double depth = s->points[i].depth[r];
		int now;

		if (s->points[i].at_s < from_s || !series_in_storm(s->sc, s->points[i].at_s))
			continue;
		if (edge < 0)
			edge = depth;
		now = depth > edge + DEADBAND ? 1 : depth < edge - DEADBAND ? -1 : 0;
		if (now && direction && now != direction)
			turns++;
		direction = now ? now : direction;
		/* The edge follows in the direction of now, so that only a way back counts. */
		if (now || (direction > 0 && depth > edge) || (direction < 0 && depth < edge))
			edge = depth;
	}
	return turns;
}

static double pain(const struct series *s, enum resource r, double *ret_longest_s)
{
	double from_s = series_settled_s(s->sc), bad_s = 0, run_s = 0, longest_s = 0;

	for (size_t i = 0; i + 1 < s->count; i++) {
		const struct point *p = &s->points[i];
		double dt_s = s->points[i + 1].at_s - p->at_s;

		if (p->at_s < from_s || !series_in_storm(s->sc, p->at_s))
			continue;
		bad_s += p->pressure[r] > 1.05 ? dt_s : 0;
		run_s = p->pressure[r] > 1 ? run_s + dt_s : 0;
		longest_s = fmax(longest_s, run_s);
	}
	*ret_longest_s = longest_s;
	return bad_s / fmax(WORLD_STEP_S, s->sc->storm_until_s - from_s);
}

static double release_s(const struct series *s, enum resource r)
{
	double at_s = -1;

	for (size_t i = 0; i < s->count; i++) {
		const struct point *p = &s->points[i];

		if (p->at_s < s->sc->storm_until_s)
			continue;
		if (p->depth[r] > 0)
			at_s = -1;
		else if (at_s < 0)
			at_s = p->at_s - s->sc->storm_until_s;
	}
	return at_s;
}

static double release_rate(const struct series *s, enum resource r)
{
	double fastest = 0;

	for (size_t i = 0, k = 0; i < s->count; i++) {
		double dt_s;

		while (s->points[i].at_s - s->points[k].at_s > 1.001)
			k++;
		dt_s = fmax(1, s->points[i].at_s - s->points[k].at_s);
		fastest = fmax(fastest, (s->points[k].depth[r] - s->points[i].depth[r]) / dt_s);
	}
	return fastest;
}

static unsigned int events(const struct series *s, enum resource r, enum governor_event e)
{
	unsigned int n = 0;

	for (size_t i = 0; i < s->count; i++)
		n += s->points[i].event[r] == e;
	return n;
}

/* ---- measures of the guests ---- */

static bool is_class(const struct series *s, size_t i, uint32_t class_index)
{
	return s->world->vms[i].spec->class_index == class_index;
}

static double class_ratio(const struct series *s, uint32_t class_index, enum resource r)
{
	double got = 0, wanted = 0;

	for (size_t i = 0; i < s->nvms; i++) {
		if (!is_class(s, i, class_index))
			continue;
		got += s->work[i].got[r];
		wanted += s->work[i].wanted[r];
	}
	return wanted > 0 ? got / wanted : 1;
}

static double light_ratio(const struct series *s, enum resource r)
{
	double least = 1;

	for (size_t i = 0; i < s->nvms; i++)
		if (s->world->vms[i].spec->light && s->work[i].wanted[r] > 0)
			least = fmin(least, s->work[i].got[r] / s->work[i].wanted[r]);
	return least;
}

/* Jain, Chiu, Hawe, "A quantitative measure of fairness", DEC TR-301, 1984: (sum x)^2 / (n sum x^2)
 */
static double unfairness(const struct series *s, enum resource r)
{
	double sum = 0, squares = 0;
	unsigned int n = 0;

	for (size_t i = 0; i < s->nvms; i++) {
		const struct guest_spec *spec = s->world->vms[i].spec;

		if (!is_class(s, i, 2) || spec->light || spec->exempt)
			continue;
		sum += s->work[i].settled[r] / spec->vcpus;
		squares += pow(s->work[i].settled[r] / spec->vcpus, 2);
		n++;
	}
	return n && squares > 0 ? 1 - sum * sum / (n * squares) : 0;
}

struct gold {
	double wait, latency_ms, resident;
};

static struct gold gold_of(const struct series *s)
{
	struct gold g = { .resident = 1 };
	double run_s = 0, wait_s = 0, ops = 0, latency = 0;

	for (size_t i = 0; i < s->nvms; i++) {
		if (!is_class(s, i, 0))
			continue;
		run_s += s->work[i].run_s;
		wait_s += s->work[i].wait_s;
		ops += s->work[i].ops;
		latency += s->work[i].latency;
		g.resident = fmin(g.resident, s->work[i].resident);
	}
	g.wait = run_s + wait_s > 0 ? wait_s / (run_s + wait_s) : 0;
	g.latency_ms = ops > 0 ? latency / ops * 1000 : 0;
	return g;
}

static double most_writes(const struct series *s, bool peak_of_second)
{
	double most = 0;

	for (size_t i = 0; i < s->nvms; i++)
		most = fmax(most, peak_of_second ? s->work[i].peak_writes : s->work[i].writes);
	return peak_of_second ? most : most / fmax(1, s->steps_s);
}

double series_measure(const struct series *s, enum measure what, enum resource r,
		      const double needed[RESOURCE_COUNT])
{
	double longest_s, from_s = series_settled_s(s->sc), until_s = s->sc->storm_until_s;

	switch (what) {
	case REACTION_S:
		return s->reaction_s;
	case SETTLE_S:
		return settle_s(s, r);
	case PEAK:
		return peak(s, r);
	case NEEDED:
		return needed[r];
	case OVERSHOOT:
		return peak(s, r) - needed[r];
	case EXCESS:
		return mean_depth(s, r, from_s, until_s) - needed[r];
	case TURNS:
		return turns(s, r);
	case PAIN:
		return pain(s, r, &longest_s);
	case LONGEST_S:
		pain(s, r, &longest_s);
		return longest_s;
	case RELEASE_S:
		return release_s(s, r);
	case RELEASE_RATE:
		return release_rate(s, r);
	case DEPTH_LAST:
		return mean_depth(s, r, until_s - 1.05, until_s);
	case DEPTH_MEAN:
		return mean_depth(s, r, 0, s->sc->duration_s);
	case ONSETS:
		return events(s, r, GOVERNOR_ONSET);
	case RELAPSES:
		return events(s, r, GOVERNOR_RELAPSE);
	case FUTILES:
		return events(s, r, GOVERNOR_FUTILE);
	case WORK_GOLD:
		return class_ratio(s, 0, r);
	case WORK_SILVER:
		return class_ratio(s, 1, r);
	case WORK_BRONZE:
		return class_ratio(s, 2, r);
	case WORK_LIGHT:
		return light_ratio(s, r);
	case WAIT_GOLD:
		return gold_of(s).wait;
	case LATENCY_GOLD_MS:
		return gold_of(s).latency_ms;
	case RESIDENT_GOLD:
		return gold_of(s).resident;
	case UNFAIRNESS:
		return unfairness(s, r);
	case BUSY:
		return s->busy_s / fmax(WORLD_STEP_S, s->steps_s);
	case AVAILABLE_MIN:
		return s->available_min;
	case WRITES:
		return most_writes(s, false);
	case WRITES_PEAK:
		return most_writes(s, true);
	default:
		return NAN;
	}
}
