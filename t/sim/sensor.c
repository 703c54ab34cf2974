/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "t/sim/sensor.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "t/unit/make.h"

#define TRIGGER_STALL_S  0.15
#define TRIGGER_WINDOW_S 1.0
/* Deviations: a reading further off than this is not noise, it is missing (sensor_spec.missed). */
#define NOISE_MOST 2.5

/* Counters of one guest in the order of `guest_counter`. */
enum {
	RUN,
	WAIT,
	THROTTLED,
	MEMORY_STALL,
	DISK_STALL,
	BYTES_IN,
	BYTES_OUT,
	DROPPED_IN,
	DROPPED_OUT,
	OPS,
	DISK_BYTES,
	DISK_WAIT,
	COUNTERS
};

struct reading { /* exact, of one moment */
	double (*counters)[COUNTERS];
	double *resident, *swapped;
	bool *up;
	double psi_s[RESOURCE_COUNT], uplink[2], available, swap_free;
};

struct sensor {
	const struct scenario *sc;
	struct rng rng;
	size_t nvms, depth, newest; /* ring of the last `depth` steps */
	struct reading *ring;
	struct reading shown, before; /* what was told last; exact values then */
	double trigger_s[RESOURCE_COUNT], trigger_psi[RESOURCE_COUNT];
};

static void reading_init(struct reading *r, size_t n)
{
	r->counters = must(calloc(n, sizeof(*r->counters)));
	r->resident = must(calloc(n, sizeof(double)));
	r->swapped = must(calloc(n, sizeof(double)));
	r->up = must(calloc(n, sizeof(bool)));
}

static void reading_done(struct reading *r)
{
	free(r->counters);
	free(r->resident);
	free(r->swapped);
	free(r->up);
}

static void reading_take(struct reading *r, const struct world *w)
{
	for (size_t i = 0; i < w->nvms; i++) {
		const struct vm *vm = &w->vms[i];
		const double c[COUNTERS] = { vm->run_s,
					     vm->wait_s,
					     vm->throttled,
					     vm->memory_stall_s,
					     vm->disk_stall_s,
					     vm->net_bytes[NET_IN],
					     vm->net_bytes[NET_OUT],
					     vm->net_dropped[NET_IN],
					     vm->net_dropped[NET_OUT],
					     vm->disk_ops,
					     vm->disk_bytes,
					     vm->disk_wait_s };

		memcpy(r->counters[i], c, sizeof(c));
		r->resident[i] = vm->resident_bytes;
		r->swapped[i] = vm->swapped_bytes;
		r->up[i] = vm->up;
	}
	memcpy(r->psi_s, w->psi_s, sizeof(r->psi_s));
	memcpy(r->uplink, w->uplink_bytes, sizeof(r->uplink));
	r->available = w->available_bytes;
	r->swap_free = w->swap_free_bytes;
}

struct sensor *sensor_new(const struct scenario *sc, const struct world *w)
{
	struct sensor *s = must(calloc(1, sizeof(*s)));

	s->sc = sc;
	s->rng = rng_new(sc->seed, 1000000);
	s->nvms = w->nvms;
	s->depth = 1 + (size_t)(sc->sensor.lag_s / WORLD_STEP_S + 0.5);
	s->ring = must(calloc(s->depth, sizeof(*s->ring)));
	for (size_t i = 0; i < s->depth; i++)
		reading_init(&s->ring[i], s->nvms);
	reading_init(&s->shown, s->nvms);
	reading_init(&s->before, s->nvms);
	return s;
}

void sensor_free(struct sensor *s)
{
	for (size_t i = 0; i < s->depth; i++)
		reading_done(&s->ring[i]);
	reading_done(&s->shown);
	reading_done(&s->before);
	free(s->ring);
	free(s);
}

void sensor_step(struct sensor *s, const struct world *w)
{
	s->newest = (s->newest + 1) % s->depth;
	reading_take(&s->ring[s->newest], w);
}

static double noisy(struct sensor *s, double difference)
{
	double n = fmax(-NOISE_MOST, fmin(NOISE_MOST, rng_normal(&s->rng)));

	return difference * fmax(0, 1 + s->sc->sensor.noise * n);
}

static uint64_t scaled(double counter, double unit)
{
	return (uint64_t)(counter * unit);
}

static void fill_guest(struct sample_guest *g, const double c[COUNTERS])
{
	g->run_ns = scaled(c[RUN], 1e9);
	g->wait_ns = scaled(c[WAIT], 1e9);
	g->throttled = scaled(c[THROTTLED], 1);
	g->memory_stall_us = scaled(c[MEMORY_STALL], 1e6);
	g->disk_stall_us = scaled(c[DISK_STALL], 1e6);
	g->in_bytes = scaled(c[BYTES_IN], 1);
	g->out_bytes = scaled(c[BYTES_OUT], 1);
	g->in_dropped = scaled(c[DROPPED_IN], 1);
	g->out_dropped = scaled(c[DROPPED_OUT], 1);
	g->disk_ops = scaled(c[OPS], 1);
	g->disk_bytes = scaled(c[DISK_BYTES], 1);
	g->disk_wait_ns = scaled(c[DISK_WAIT], 1e9);
}

/* Advance what is shown by the true difference with noise; run and wait of a guest share theirs. */
static void show_guest(struct sensor *s, const struct reading *now, size_t i)
{
	for (int c = 0; c < COUNTERS; c++) {
		double d = now->counters[i][c] - s->before.counters[i][c];

		s->shown.counters[i][c] += c == THROTTLED ? d : noisy(s, d);
		s->before.counters[i][c] = now->counters[i][c];
	}
}

static void read_host(struct sensor *s, const struct world *w, const struct reading *now,
		      struct sample *ret)
{
	const struct host_spec *h = w->host;

	for (int r = 0; r < RESOURCE_COUNT; r++) {
		s->shown.psi_s[r] += noisy(s, now->psi_s[r] - s->before.psi_s[r]);
		s->before.psi_s[r] = now->psi_s[r];
		ret->psi_some_us[r] = scaled(s->shown.psi_s[r], 1e6);
	}
	ret->psi_some_us[RESOURCE_NET] = SAMPLE_UNKNOWN;
	ret->memory_total_bytes = (uint64_t)(h->memory_gib * WORLD_GIB);
	ret->memory_available_bytes = (uint64_t)now->available;
	ret->swap_free_bytes = (uint64_t)now->swap_free;
	if (h->uplink_mbps <= 0)
		return;
	for (int d = 0; d < 2; d++) {
		s->shown.uplink[d] += noisy(s, now->uplink[d] - s->before.uplink[d]);
		s->before.uplink[d] = now->uplink[d];
	}
	ret->nuplinks = 1;
	ret->uplinks[0].rate_bps = (uint64_t)(h->uplink_mbps * 1e6);
	ret->uplinks[0].in_bytes = scaled(s->shown.uplink[NET_IN], 1);
	ret->uplinks[0].out_bytes = scaled(s->shown.uplink[NET_OUT], 1);
}

void sensor_read(struct sensor *s, const struct world *w, struct sample *ret)
{
	const struct reading *now = &s->ring[(s->newest + 1) % s->depth];
	const struct sensor_spec *spec = &s->sc->sensor;
	bool lost = w->now_s >= spec->lost_from_s && w->now_s < spec->lost_until_s;

	sample_reset(ret, (uint64_t)(w->now_s * 1e6 + 0.5));
	read_host(s, w, now, ret);
	for (size_t i = 0; i < s->nvms; i++) {
		struct sample_guest *g;

		show_guest(s, now, i);
		if (!w->vms[i].up || !now->up[i])
			continue;
		g = must(sample_add(ret, w->vms[i].id));
		if (lost || (spec->missed > 0 && rng_uniform(&s->rng) < spec->missed))
			continue;
		fill_guest(g, s->shown.counters[i]);
		g->memory_bytes = (uint64_t)now->resident[i];
		g->swap_bytes = (uint64_t)now->swapped[i];
	}
}

bool sensor_triggered(struct sensor *s, const struct world *w)
{
	bool fired = false;

	for (int r = 0; r < RESOURCE_COUNT; r++) {
		if (r == RESOURCE_NET)
			continue;
		if (w->psi_s[r] - s->trigger_psi[r] >= TRIGGER_STALL_S) {
			fired = true;
		} else if (w->now_s < s->trigger_s[r]) {
			continue;
		}
		s->trigger_psi[r] = w->psi_s[r];
		s->trigger_s[r] = w->now_s + TRIGGER_WINDOW_S;
	}
	return fired;
}
