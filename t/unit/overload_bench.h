/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * overload_bench - the engine under load: a test says what guests take and how long they wait, and
 * time passes tick by tick, in samples only.
 */
#ifndef QOSD_T_OVERLOAD_BENCH_H
#define QOSD_T_OVERLOAD_BENCH_H

#include "qosd/daemon/overload.h"
#include "t/unit/engine_bench.h"

#define STORM_GUESTS 4096
#define TICK_US      UINT64_C(100000)

struct storm_load { /* of one guest, in CPUs */
	double run, wait;
};

struct storm {
	struct bench *b;
	struct storm_load loads[STORM_GUESTS]; /* by id */
	struct sample_guest sums[STORM_GUESTS];
	uint64_t now_us, read_us;
	uint64_t memory_bytes; /* of each guest */
	int fail;              /* negative errno of the next reads */
	bool noise;            /* all waits tremble */
};

static inline void storm_read_guest(struct storm *s, const struct guest *g, double dt_ns,
				    struct sample *ret)
{
	struct sample_guest *sum = &s->sums[g->id], *out = must(sample_add(ret, g->id));

	sum->run_ns += (uint64_t)(s->loads[g->id].run * dt_ns);
	sum->wait_ns += (uint64_t)(s->loads[g->id].wait * dt_ns);
	out->run_ns = sum->run_ns;
	out->wait_ns = sum->wait_ns;
	out->throttled = 0;
	out->memory_bytes = s->memory_bytes;
	out->swap_bytes = 0;
}

static inline int storm_read(void *ctx, const struct inventory *inv, const struct policy *policy,
			     struct sample *ret, struct qerr *err)
{
	struct storm *s = ctx;

	(void)policy;
	if (s->fail)
		return qerr_set(err, s->fail, "no sample: the host says %s", strerror(-s->fail));
	sample_reset(ret, s->now_us);
	ret->memory_total_bytes = 16 * GIB;
	ret->memory_available_bytes = 8 * GIB;
	for (size_t i = 0; i < inv->count; i++)
		storm_read_guest(s, inv->by_id[i], (double)(s->now_us - s->read_us) * 1e3, ret);
	s->read_us = s->now_us;
	return 0;
}

/* To a daemon that has just started, too. */
static inline void storm_attach(struct storm *s)
{
	s->b->e->protection->sampler = (struct sampler){ .read = storm_read, .ctx = s };
}

static inline struct storm *storm_new(struct bench *b)
{
	struct storm *s = must(calloc(1, sizeof(*s)));

	s->b = b;
	s->now_us = s->read_us = engine_now_us(b->e);
	s->memory_bytes = GIB;
	storm_attach(s);
	return s;
}

/* bench_settle() for benchmarks, too, where nothing can be asserted. */
static inline void storm_settle(struct bench *b)
{
	unsigned int rounds = 0;
	bool moved = true;

	while (moved || b->e->turn_scheduled) {
		moved = false;
		for (size_t i = 0; i < ADAPTER_COUNT; i++)
			moved |= bench_deliver(b, (enum adapter_id)i) > 0;
		if (b->e->turn_scheduled)
			bench_turn(b);
		if (rounds++ == 40)
			abort();
	}
}

/* Time passes, and ticks come as often as the engine asks for them. How many. */
static inline unsigned int storm_pass(struct storm *s, uint64_t us)
{
	uint64_t end_us = s->now_us + us;
	unsigned int ticks = 0;

	while (s->now_us < end_us) {
		uint64_t period_us = overload_period_us(s->b->e);

		s->now_us += period_us < end_us - s->now_us ? period_us : end_us - s->now_us;
		overload_tick(s->b->e);
		storm_settle(s->b);
		ticks++;
	}
	return ticks;
}

static inline void storm_load(struct storm *s, const char *name, double run, double wait)
{
	const struct guest *g = must(inventory_find(s->b->running, name));

	s->loads[g->id] = (struct storm_load){ .run = run, .wait = wait };
}

/* Everybody wants all, and the protected guest waits for what the others take. */
static inline void storm_rages(struct storm *s)
{
	storm_load(s, "db1", 1.2, 0.6);
	storm_load(s, "web1", 0.2, 0.1);
	storm_load(s, "batch1", 1.9, 0.1);
}

static inline void storm_is_over(struct storm *s)
{
	storm_load(s, "db1", 0.5, 0);
	storm_load(s, "web1", 0.2, 0);
	storm_load(s, "batch1", 0.2, 0);
}

static inline uint16_t storm_level(const struct storm *s, const char *class_name, enum resource r)
{
	const struct qclass *c = must((void *)policy_class(s->b->e->policy, class_name));

	return s->b->e->protection->out.classes[c->index].level[r];
}

/* Three guests, steady, of which the bronze one has no limit. */
#define STORM_POLICY(mode)                                                                         \
	"mode = \"" mode "\";\nhost = { reserve = { memory = \"1GiB\"; cpus = \"0\"; }; };\n"      \
	"classes = ( { name = \"gold\"; rank = 0; }, { name = \"silver\"; rank = 1; },"            \
	" { name = \"bronze\"; rank = 2; admission_overload = \"refuse\"; } );\n"                  \
	"default_class = \"silver\";\n"

static inline struct storm *storm_three(const char *policy)
{
	struct bench *b = bench_three(policy);
	struct storm *s = storm_new(b);

	bench_publish(b);
	bench_settle(b);
	bench_pass(b, BENCH_GROWN_US);
	storm_is_over(s);
	storm_pass(s, 3000000);
	return s;
}

static inline void storm_free(struct storm *s)
{
	bench_free(s->b);
	free(s);
}

#endif
