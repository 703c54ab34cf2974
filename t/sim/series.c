/* SPDX-License-Identifier: GPL-2.0-or-later */
/* series - recording a run, and what must hold in every tick of it. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "qosd/core/mem.h"
#include "t/sim/series_private.h"
#include "t/unit/make.h"

#define SETTLED_S 5.0 /* default: after the onset all must be steady */

struct series *series_new(const struct scenario *sc, const struct world *w)
{
	struct series *s = must(calloc(1, sizeof(*s)));

	s->sc = sc;
	s->world = w;
	s->nvms = w->nvms;
	s->work = must(calloc(w->nvms, sizeof(*s->work)));
	s->available_min = 1;
	s->reaction_s = -1;
	for (size_t i = 0; i < w->nvms; i++)
		s->work[i].resident = 1;
	return s;
}

void series_free(struct series *s)
{
	free(s->points);
	free(s->work);
	free(s);
}

const struct faults *series_faults(const struct series *s)
{
	return &s->faults;
}

double series_settled_s(const struct scenario *sc)
{
	return sc->storm_from_s + (sc->settled_s > 0 ? sc->settled_s : SETTLED_S);
}

bool series_in_storm(const struct scenario *sc, double now_s)
{
	return now_s >= sc->storm_from_s && now_s < sc->storm_until_s;
}

/* ---- what must hold in every tick ---- */

static void check_caps(struct series *s, const struct govern_guest *g, const struct guest_caps *c)
{
	bool capped = c->cpu_mcpu != THROTTLE_NONE || c->net_in_bps != THROTTLE_NONE ||
		      c->net_out_bps != THROTTLE_NONE || c->disk_iops != THROTTLE_NONE ||
		      c->memory_bytes != THROTTLE_NONE || c->freeze || c->cpu_soft;

	if (c->cpu_mcpu < g->cpu_floor_mcpu || c->net_in_bps < g->net_floor_bps ||
	    c->net_out_bps < g->net_floor_bps || c->disk_iops < g->disk_floor_iops ||
	    c->memory_bytes < g->memory_floor_bytes)
		s->faults.floor++;
	if (capped && (g->rank == 0 || g->exempt))
		s->faults.rank0++;
}

/* Of the classes that have guests: one is touched only while all of higher rank are at 0. */
static bool order_holds(const struct govern_input *in, const struct govern_output *out, int r)
{
	uint16_t lowest[64], highest[64];
	bool there[64] = { false };

	memset(lowest, 0xff, sizeof(lowest));
	memset(highest, 0, sizeof(highest));
	for (size_t i = 0; i < in->nguests; i++) {
		const struct govern_guest *g = &in->guests[i];
		uint16_t level = out->classes[g->qclass->index].level[r];

		there[g->rank] = true;
		lowest[g->rank] = level < lowest[g->rank] ? level : lowest[g->rank];
		highest[g->rank] = level > highest[g->rank] ? level : highest[g->rank];
	}
	for (int rank = 1; rank < 63; rank++)
		for (int later = rank + 1; later < 64; later++)
			if (there[rank] && there[later] && lowest[rank] < 1000 &&
			    highest[later] > 0)
				return false;
	return true;
}

static void check_depths(struct series *s, const struct govern_output *out)
{
	for (int r = 0; r < RESOURCE_COUNT; r++) {
		double depth = out->resources[r].depth;

		if (!(depth >= 0) || !(depth <= 64))
			s->faults.bad++;
		for (size_t c = 0; c < out->nclasses; c++)
			if (out->classes[c].level[r] > 1000)
				s->faults.bad++;
	}
}

/* ---- recording ---- */

static void class_work(struct series *s, const struct world *w, struct point *p)
{
	for (uint32_t c = 0; c < 3; c++) {
		double got = 0;

		for (size_t i = 0; i < s->nvms; i++)
			if (w->vms[i].spec->class_index == c && w->vms[i].up)
				got += w->vms[i].got[s->sc->resource];
		p->work[c] = (float)got;
	}
	p->busy = (float)(w->busy_cpus / w->host->cpus);
	p->available = (float)(w->available_bytes / (w->host->memory_gib * WORLD_GIB));
}

static void add_point(struct series *s, const struct world *w, const struct govern_output *out)
{
	struct point p = { .at_s = w->now_s };

	for (int r = 0; r < RESOURCE_COUNT; r++) {
		p.pressure[r] = out->resources[r].pressure;
		p.depth[r] = out->resources[r].depth;
		p.state[r] = (uint8_t)out->resources[r].state;
		p.event[r] = (uint8_t)out->resources[r].event;
	}
	class_work(s, w, &p);
	if (mem_grow(&s->points, &s->capacity, s->count + 1, sizeof(p)) < 0)
		abort();
	s->points[s->count++] = p;
}

void series_tick(struct series *s, const struct world *w, const struct govern_input *in,
		 const struct govern_output *out, int error, bool manual)
{
	bool order = true;

	if (error) {
		s->faults.error++;
		return;
	}
	add_point(s, w, out);
	check_depths(s, out);
	for (size_t i = 0; i < in->nguests; i++)
		check_caps(s, &in->guests[i], &out->caps[i]);
	for (int r = 0; r < RESOURCE_COUNT; r++)
		order = order && order_holds(in, out, r);
	/* A guest that just started may bring its class back onto the ladder: one tick of grace. */
	s->bad_order = order || manual ? 0 : s->bad_order + 1;
	if (s->bad_order > 1)
		s->faults.order++;
}

static void step_vm(struct series *s, const struct world *w, size_t i, bool settled)
{
	const struct vm *vm = &w->vms[i];
	struct work *k = &s->work[i];

	k->up_s += WORLD_STEP_S;
	if (!series_in_storm(s->sc, w->now_s))
		return;
	if (vm->want[RESOURCE_MEMORY] > 0)
		k->resident = fmin(k->resident, vm->resident_bytes / vm->want[RESOURCE_MEMORY]);
	for (int r = 0; r < RESOURCE_COUNT; r++) {
		k->wanted[r] += vm->want[r] * WORLD_STEP_S;
		k->got[r] += fmin(vm->got[r], vm->want[r]) * WORLD_STEP_S;
		if (settled)
			k->settled[r] += vm->got[r] * WORLD_STEP_S;
	}
	if (!settled)
		return;
	k->run_s += vm->got[RESOURCE_CPU] * WORLD_STEP_S;
	k->wait_s += vm->wait_cpus * WORLD_STEP_S;
	k->ops += vm->got[RESOURCE_DISK] * WORLD_STEP_S;
	k->latency += vm->got[RESOURCE_DISK] * vm->disk_latency_s * WORLD_STEP_S;
}

void series_step(struct series *s, const struct world *w)
{
	bool settled = w->now_s >= series_settled_s(s->sc) && series_in_storm(s->sc, w->now_s);

	for (size_t i = 0; i < s->nvms; i++)
		if (w->vms[i].up)
			step_vm(s, w, i, settled);
	if (!settled)
		return;
	s->steps_s += WORLD_STEP_S;
	s->busy_s += w->busy_cpus / w->host->cpus * WORLD_STEP_S;
	s->available_min =
		fmin(s->available_min, w->available_bytes / (w->host->memory_gib * WORLD_GIB));
}

void series_write(struct series *s, const struct world *w, size_t i)
{
	struct work *k = &s->work[i];
	long second = (long)floor(w->now_s);

	if (s->reaction_s < 0 && series_in_storm(s->sc, w->now_s))
		s->reaction_s = w->now_s - s->sc->storm_from_s;
	if (k->up_s < 1)
		return; /* its class's values, written when it starts */
	if (w->now_s >= series_settled_s(s->sc) && series_in_storm(s->sc, w->now_s))
		k->writes++;
	k->second_writes = second == k->second ? k->second_writes + 1 : 1;
	k->second = second;
	if (k->second_writes > k->peak_writes)
		k->peak_writes = k->second_writes;
}

/* ---- printing ---- */

void series_print(const struct series *s, FILE *f)
{
	fprintf(f, "# %s: %s\n# time_s", s->sc->name, s->sc->what);
	for (int r = 0; r < RESOURCE_COUNT; r++)
		fprintf(f, "\t%s_pressure\t%s_depth\t%s_state", resource_names[r],
			resource_names[r], resource_names[r]);
	fprintf(f, "\tfirst_class\tsecond_class\tthird_class\tcpu_busy\tmemory_available\n");
	for (size_t i = 0; i < s->count; i++) {
		const struct point *p = &s->points[i];

		fprintf(f, "%.2f", p->at_s);
		for (int r = 0; r < RESOURCE_COUNT; r++)
			fprintf(f, "\t%.3f\t%.3f\t%u", p->pressure[r], p->depth[r], p->state[r]);
		fprintf(f, "\t%g\t%g\t%g\t%.3f\t%.3f\n", (double)p->work[0], (double)p->work[1],
			(double)p->work[2], (double)p->busy, (double)p->available);
	}
}
