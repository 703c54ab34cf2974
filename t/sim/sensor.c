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
	OPS, /* from here on what the hypervisor counts */
	DISK_BYTES,
	DISK_WAIT,
	COUNTERS
};

#define DISK_COUNTERS  (COUNTERS - OPS)
#define DISK_PERIOD_US UINT64_C(1000000) /* it is asked once a second (host/virt_stats.c) */

struct reading { /* exact, of one moment */
	double (*counters)[COUNTERS];
	double *resident, *swapped;
	bool *up;
	double psi_s[RESOURCE_COUNT], uplink[2], available, swap_free;
};

struct disk_reading { /* of one guest */
	uint64_t from[DISK_COUNTERS], to[DISK_COUNTERS];
};

struct sensor {
	const struct scenario *sc;
	struct rng rng;
	size_t nvms, depth, newest; /* ring of the last `depth` steps */
	struct reading *ring;
	struct reading shown, before; /* what was told last; exact values then */
	struct disk_reading *disks;
	uint64_t disks_at_us;
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
	s->disks = must(calloc(s->nvms, sizeof(*s->disks)));
	return s;
}

void sensor_free(struct sensor *s)
{
	for (size_t i = 0; i < s->depth; i++)
		reading_done(&s->ring[i]);
	reading_done(&s->shown);
	reading_done(&s->before);
	free(s->ring);
	free(s->disks);
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
}

/* As host/virt_stats.c does. */
static uint64_t disk_shown(const struct sensor *s, size_t i, int c, uint64_t now_us)
{
	const struct disk_reading *d = &s->disks[i];

	return sample_climb(d->from[c - OPS], d->to[c - OPS], now_us - s->disks_at_us,
			    DISK_PERIOD_US);
}

static void fill_disk(struct sensor *s, size_t i, uint64_t now_us, struct sample_guest *g)
{
	g->disk_ops = disk_shown(s, i, OPS, now_us);
	g->disk_bytes = disk_shown(s, i, DISK_BYTES, now_us);
	g->disk_wait_ns = disk_shown(s, i, DISK_WAIT, now_us);
}

/* What was shown last of a counter that is read now is where it goes on from. */
static void read_disks(struct sensor *s, uint64_t now_us)
{
	static const double units[DISK_COUNTERS] = { 1, 1, 1e9 };

	for (size_t i = 0; i < s->nvms; i++) {
		for (int c = OPS; c < COUNTERS; c++) {
			struct disk_reading *d = &s->disks[i];

			d->from[c - OPS] = disk_shown(s, i, c, now_us);
			d->to[c - OPS] = scaled(s->shown.counters[i][c], units[c - OPS]);
		}
	}
	s->disks_at_us = now_us;
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
	for (size_t i = 0; i < s->nvms; i++)
		show_guest(s, now, i);
	if (ret->at_us - s->disks_at_us >= DISK_PERIOD_US)
		read_disks(s, ret->at_us);
	for (size_t i = 0; i < s->nvms; i++) {
		struct sample_guest *g;

		if (!w->vms[i].up || !now->up[i])
			continue;
		g = must(sample_add(ret, w->vms[i].id));
		if (lost || (spec->missed > 0 && rng_uniform(&s->rng) < spec->missed))
			continue;
		fill_guest(g, s->shown.counters[i]);
		fill_disk(s, i, ret->at_us, g);
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
