/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * make_govern - a stage for tests of govern and its signals: guests as numbers, whose use in the
 * next window is said by the test, and samples made of it.
 */
#ifndef QOSD_T_MAKE_GOVERN_H
#define QOSD_T_MAKE_GOVERN_H

#include "qosd/core/govern_private.h"
#include "t/unit/make.h"

#define STAGE_GUESTS 16
#define GOLD         0u
#define SILVER       1u
#define BRONZE       2u

struct actor {            /* rates of the next window */
	double run, wait; /* CPUs */
	double stall;     /* share of the time */
	double in_bps, out_bps, in_dropped_bps;
	double disk_ops, disk_latency_ms, disk_bytes;
	bool disks_unknown; /* the hypervisor says nothing of them */
	uint64_t throttled; /* periods in the window */
	uint64_t memory_bytes;
};

struct stage {
	struct policy *policy;
	struct govern *govern;
	struct govern_guest guests[STAGE_GUESTS];
	struct actor actors[STAGE_GUESTS];
	size_t nguests;
	struct sample samples[2];
	unsigned int now;
	unsigned int turns;
	double uplink_in, uplink_out; /* share of its rate in the next window */
	double psi[RESOURCE_COUNT];
	uint64_t available_bytes, swap_free_bytes; /* swap: SAMPLE_UNKNOWN at first */
	uint64_t now_us;
	struct govern_input in;
	struct govern_output out;
};

#define STAGE_UPLINK_BPS UINT64_C(1000000000)

static inline struct stage *stage_new(void)
{
	struct stage *s = must(calloc(1, sizeof(*s)));

	s->policy = make_policy();
	s->govern = must(govern_new());
	s->available_bytes = 60 * GIB;
	s->swap_free_bytes = SAMPLE_UNKNOWN;
	s->now_us = 5000000000;
	return s;
}

static inline void stage_free(struct stage *s)
{
	govern_free(s->govern);
	policy_free(s->policy);
	sample_done(&s->samples[0]);
	sample_done(&s->samples[1]);
	free(s);
}

/* Ids rise with each guest. 2 vCPUs, 4 GiB; returns its index. */
static inline size_t stage_add(struct stage *s, unsigned int class_index)
{
	size_t i = s->nguests++;

	s->guests[i] = (struct govern_guest){
		.id = i ? s->guests[i - 1].id + 1 : 10,
		.qclass = &s->policy->classes[class_index],
		.rank = s->policy->classes[class_index].rank,
		.vcpus = 2,
		.no_freeze = true,
		.cpu_floor_mcpu = 200,
		.cpu_full_mcpu = 2000,
		.net_floor_bps = 1000000,
		.net_in_full_bps = THROTTLE_NONE,
		.net_out_full_bps = THROTTLE_NONE,
		.disk_floor_iops = 50,
		.disk_full_iops = THROTTLE_NONE,
		.disk_floor_bytes_ps = 1 << 20,
		.disk_full_bytes_ps = THROTTLE_NONE,
		.memory_floor_bytes = 2 * GIB,
		.memory_bytes = 4 * GIB,
	};
	s->actors[i] = (struct actor){ .memory_bytes = 3 * GIB };
	return i;
}

/* A counter of the sample before, grown by rate * seconds. */
static inline uint64_t grown(uint64_t before, double rate, double seconds)
{
	return (before == SAMPLE_UNKNOWN ? 0 : before) + (uint64_t)(rate * seconds + 0.5);
}

static inline void stage_use(struct sample_guest *g, const struct sample_guest *was,
			     const struct actor *a, double s)
{
	struct sample_guest zero = { 0 };

	if (!was)
		was = &zero;
	g->run_ns = grown(was->run_ns, a->run * 1e9, s);
	g->wait_ns = grown(was->wait_ns, a->wait * 1e9, s);
	g->throttled = was->throttled + a->throttled;
	g->memory_stall_us = grown(was->memory_stall_us, a->stall * 1e6, s);
	g->disk_stall_us = was->disk_stall_us;
	g->in_bytes = grown(was->in_bytes, a->in_bps / 8, s);
	g->out_bytes = grown(was->out_bytes, a->out_bps / 8, s);
	g->in_dropped = grown(was->in_dropped, a->in_dropped_bps / 8, s);
	g->out_dropped = was->out_dropped;
	g->disk_ops = grown(was->disk_ops, a->disk_ops, s);
	g->disk_bytes = grown(was->disk_bytes, a->disk_bytes, s);
	g->disk_wait_ns = grown(was->disk_wait_ns, a->disk_ops * a->disk_latency_ms * 1e6, s);
	if (a->disks_unknown)
		g->disk_ops = g->disk_bytes = g->disk_wait_ns = SAMPLE_UNKNOWN;
	g->memory_bytes = a->memory_bytes;
	g->swap_bytes = 0;
}

/* The sample after a window of what the actors do. */
static inline void stage_sample(struct stage *s, double seconds)
{
	const struct sample *was = &s->samples[s->now];
	struct sample *is = &s->samples[1 - s->now];
	bool first = s->turns == 0;

	s->now_us += (uint64_t)(seconds * 1e6 + 0.5);
	sample_reset(is, s->now_us);
	is->memory_total_bytes = 64 * GIB;
	is->memory_available_bytes = s->available_bytes;
	is->swap_free_bytes = s->swap_free_bytes;
	for (size_t r = 0; r < RESOURCE_COUNT; r++)
		is->psi_some_us[r] =
			grown(first ? 0 : was->psi_some_us[r], s->psi[r] * 1e6, seconds);
	is->nuplinks = 1;
	is->uplinks[0].rate_bps = STAGE_UPLINK_BPS;
	is->uplinks[0].in_bytes = grown(first ? 0 : was->uplinks[0].in_bytes,
					s->uplink_in * STAGE_UPLINK_BPS / 8, seconds);
	is->uplinks[0].out_bytes = grown(first ? 0 : was->uplinks[0].out_bytes,
					 s->uplink_out * STAGE_UPLINK_BPS / 8, seconds);
	for (size_t i = 0; i < s->nguests; i++)
		stage_use(must(sample_add(is, s->guests[i].id)),
			  first ? NULL : sample_find(was, s->guests[i].id), &s->actors[i], seconds);
	s->now = 1 - s->now;
	s->turns++;
}

static inline struct govern_input *stage_input(struct stage *s)
{
	s->in.policy = s->policy;
	s->in.now = &s->samples[s->now];
	s->in.before = s->turns > 1 ? &s->samples[1 - s->now] : NULL;
	s->in.guests = s->guests;
	s->in.nguests = s->nguests;
	s->in.cpu_pool_mcpu = 8000;
	return &s->in;
}

static inline struct govern_output *stage_tick(struct stage *s, double seconds)
{
	stage_sample(s, seconds);
	if (govern_tick(s->govern, stage_input(s), &s->out) < 0)
		abort();
	return &s->out;
}

static inline void stage_run(struct stage *s, double seconds, double tick_s)
{
	for (double t = 0; t < seconds - 1e-9; t += tick_s)
		stage_tick(s, tick_s);
}

#endif
