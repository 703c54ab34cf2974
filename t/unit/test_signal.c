/* SPDX-License-Identifier: GPL-2.0-or-later */
/* signal - who counts as a victim, of what, and by how much. */
#include "t/unit/harness.h"
#include "t/unit/make_govern.h"

static double pressure(const struct stage *s, enum resource r)
{
	return s->out.resources[r].pressure;
}

static void test_cpu_wait(void)
{
	struct stage *s = stage_new();
	size_t gold = stage_add(s, GOLD), bronze = stage_add(s, BRONZE);

	CU_ASSERT(stage_tick(s, 1)->resources[RESOURCE_CPU].pressure < 0); /* nothing yet */
	s->actors[gold] = (struct actor){ .run = 0.96, .wait = 0.04 };
	s->actors[bronze] = (struct actor){ .run = 1, .wait = 1 };
	stage_run(s, 2, 0.1);
	CU_ASSERT_DOUBLE_EQUAL(pressure(s, RESOURCE_CPU), 0.8, 0.02); /* target: 5 % */
	CU_ASSERT_EQUAL(s->out.resources[RESOURCE_CPU].victim, s->guests[gold].id);
	s->actors[gold].wait = 0;
	stage_run(s, 2, 0.1);
	CU_ASSERT(pressure(s, RESOURCE_CPU) < 0.05); /* bronze's own wait is nobody's pain */
	stage_free(s);
}

static void test_cpu_throttled_says_nothing(void)
{
	struct stage *s = stage_new();
	size_t gold = stage_add(s, GOLD);

	stage_add(s, BRONZE);
	s->actors[gold] = (struct actor){ .run = 0.5, .wait = 0.5, .throttled = 3 };
	stage_run(s, 3, 0.1);
	CU_ASSERT_EQUAL(pressure(s, RESOURCE_CPU), 0);
	s->actors[gold].throttled = 0;
	stage_run(s, 0.2, 0.1);
	CU_ASSERT(pressure(s, RESOURCE_CPU) > 5);
	stage_free(s);
}

/* A protected guest that has waited for nothing so far. */
static struct stage *stage_in_peace(size_t *gold)
{
	struct stage *s = stage_new();

	*gold = stage_add(s, GOLD);
	stage_add(s, BRONZE);
	s->actors[*gold].run = 1;
	stage_run(s, 1, 0.1);
	return s;
}

/* A program that was started spoils one window: seen, but no reason to act, now or later. */
static void test_cpu_one_window(void)
{
	size_t gold;
	struct stage *s = stage_in_peace(&gold);

	s->actors[gold].wait = 1;
	stage_tick(s, 0.1);
	CU_ASSERT_DOUBLE_EQUAL(pressure(s, RESOURCE_CPU), 0.95, 1e-9);
	s->actors[gold].wait = 0;
	for (int i = 0; i < 10; i++) {
		stage_tick(s, 0.1);
		CU_ASSERT(pressure(s, RESOURCE_CPU) < 1);
	}
	s->actors[gold].wait = 1; /* and a second one later is again the first */
	stage_tick(s, 0.1);
	CU_ASSERT_DOUBLE_EQUAL(pressure(s, RESOURCE_CPU), 0.95, 1e-9);
	CU_ASSERT_EQUAL(s->out.resources[RESOURCE_CPU].state, GOVERNOR_CALM);
	stage_free(s);
}

/* Two windows are a storm, at the onset and after every step. */
static void test_cpu_two_windows(void)
{
	const struct govern_resource *cpu;
	size_t gold;
	struct stage *s = stage_in_peace(&gold);

	cpu = &s->out.resources[RESOURCE_CPU];
	s->actors[gold].wait = 1;
	stage_run(s, 0.2, 0.1);
	CU_ASSERT(cpu->pressure > 1);
	CU_ASSERT_EQUAL(cpu->event, GOVERNOR_ONSET);
	for (int i = 0; i < 2; i++) { /* the step's own window, and the first after it */
		stage_tick(s, 0.1);
		CU_ASSERT_DOUBLE_EQUAL(cpu->pressure, 0.95, 1e-9);
		CU_ASSERT_EQUAL(cpu->event, GOVERNOR_NOTHING);
	}
	stage_tick(s, 0.1);
	CU_ASSERT(cpu->pressure > 5);
	CU_ASSERT_EQUAL(cpu->event, GOVERNOR_DEEPER);
	stage_free(s);
}

/* What waits there are while we settle is no storm, nor does it count towards one later. */
static void test_cpu_settling(void)
{
	const struct govern_resource *cpu;
	size_t gold;
	struct stage *s = stage_in_peace(&gold);

	cpu = &s->out.resources[RESOURCE_CPU];
	s->in.settling = true;
	s->actors[gold].wait = 1;
	for (int i = 0; i < 20; i++) {
		stage_tick(s, 0.1);
		CU_ASSERT_DOUBLE_EQUAL(cpu->pressure, 0.95, 1e-9);
	}
	s->in.settling = false;
	stage_tick(s, 0.1);
	CU_ASSERT_DOUBLE_EQUAL(cpu->pressure, 0.95, 1e-9);
	stage_tick(s, 0.1);
	CU_ASSERT_EQUAL(cpu->event, GOVERNOR_ONSET);
	stage_free(s);
}

/* Looks in quick succession (the kernel told of a stall) do not make two windows of one. */
static void test_cpu_short_windows(void)
{
	size_t gold;
	struct stage *s = stage_in_peace(&gold);

	s->actors[gold].wait = 1;
	stage_tick(s, 0.1);
	stage_run(s, 0.04, 0.02);
	CU_ASSERT_DOUBLE_EQUAL(pressure(s, RESOURCE_CPU), 0.95, 1e-9);
	CU_ASSERT_EQUAL(s->out.resources[RESOURCE_CPU].state, GOVERNOR_CALM);
	stage_tick(s, 0.1); /* nor do they come between two */
	CU_ASSERT_EQUAL(s->out.resources[RESOURCE_CPU].event, GOVERNOR_ONSET);
	stage_free(s);
}

static void test_cpu_idle_says_nothing(void)
{
	struct stage *s = stage_new();
	size_t gold = stage_add(s, GOLD);

	stage_add(s, BRONZE);
	s->actors[gold] = (struct actor){ .run = 0.001, .wait = 0.004 };
	stage_run(s, 2, 0.1);
	CU_ASSERT_EQUAL(pressure(s, RESOURCE_CPU), 0);
	stage_free(s);
}

/* On CPUs of its own: nobody who gives way would give it anything. */
static void test_cpu_alone_says_nothing(void)
{
	struct stage *s = stage_new();
	size_t gold = stage_add(s, GOLD);

	stage_add(s, BRONZE);
	s->guests[gold].cpu_alone = true;
	s->actors[gold].wait = 0.5;
	stage_run(s, 3, 0.1);
	CU_ASSERT(pressure(s, RESOURCE_CPU) <= 0);
	CU_ASSERT_EQUAL(s->out.resources[RESOURCE_CPU].depth, 0);
	stage_free(s);
}

static void test_cpu_worst_counts(void)
{
	struct stage *s = stage_new();
	size_t last = 0;

	for (int i = 0; i < 8; i++) {
		last = stage_add(s, GOLD);
		s->actors[last] = (struct actor){ .run = 1 };
	}
	stage_add(s, BRONZE);
	s->actors[last].wait = 0.25;
	stage_run(s, 0.3, 0.1);
	CU_ASSERT(pressure(s, RESOURCE_CPU) > 3);
	CU_ASSERT_EQUAL(s->out.resources[RESOURCE_CPU].victim, s->guests[last].id);
	stage_free(s);
}

static void test_cpu_same_at_any_tick(void)
{
	double seen[2];

	for (int k = 0; k < 2; k++) {
		struct stage *s = stage_new();
		size_t gold = stage_add(s, GOLD);

		s->actors[gold] = (struct actor){ .run = 1, .wait = 0.02 };
		stage_run(s, 3, k ? 1 : 0.1);
		seen[k] = pressure(s, RESOURCE_CPU);
		stage_free(s);
	}
	CU_ASSERT_DOUBLE_EQUAL(seen[0], seen[1], 0.02);
}

static void test_cpu_reserved_silver(void)
{
	struct stage *s = stage_new();
	size_t silver = stage_add(s, SILVER), bronze = stage_add(s, BRONZE);

	s->actors[silver] = (struct actor){ .run = 0.5, .wait = 0.5 };
	s->actors[bronze] = (struct actor){ .run = 2 };
	stage_run(s, 1, 0.1);
	CU_ASSERT_EQUAL(pressure(s, RESOURCE_CPU), 0); /* nothing was promised to it */
	s->guests[silver].cpu_reserved_mcpu = 1000;
	stage_run(s, 5, 0.1);
	CU_ASSERT(s->out.classes[BRONZE].level[RESOURCE_CPU] == 0);
	/* bronze is at its floor; silver itself is not throttled for its own pain */
	CU_ASSERT_EQUAL(s->out.classes[SILVER].level[RESOURCE_CPU], 1000);
	s->actors[silver].run = 1.2; /* it has what it reserved */
	stage_run(s, 2, 0.1);
	CU_ASSERT(pressure(s, RESOURCE_CPU) < 1);
	stage_free(s);
}

/* A throttle's period may be two windows long: the one without a mark says nothing either. */
static void test_cpu_between_marks(void)
{
	struct stage *s = stage_new();
	bool felt = false;
	size_t silver = stage_add(s, SILVER);
	struct govern_manual manual = { "silver", RESOURCE_CPU, 500, s->now_us + 60000000 };

	s->in.manual = &manual;
	s->in.nmanual = 1;
	stage_add(s, BRONZE);
	s->guests[silver].cpu_reserved_mcpu = 1000;
	s->actors[silver] = (struct actor){ .run = 0.5, .wait = 0.5 };
	for (int i = 0; i < 20; i++) {
		s->actors[silver].throttled = i % 2;
		stage_tick(s, 0.1);
		CU_ASSERT(i < 3 || pressure(s, RESOURCE_CPU) <= 0);
	}
	s->actors[silver].throttled = 0;
	for (int i = 0; i < 10; i++) {
		stage_tick(s, 0.1);
		felt |= pressure(s, RESOURCE_CPU) > 5;
	}
	CU_ASSERT(felt);
	stage_free(s);
}

static void test_memory(void)
{
	struct stage *s = stage_new();
	size_t gold = stage_add(s, GOLD), bronze = stage_add(s, BRONZE);

	s->available_bytes = 64 * GIB * 5 / 100 * 2;
	stage_run(s, 2, 0.1);
	CU_ASSERT_DOUBLE_EQUAL(pressure(s, RESOURCE_MEMORY), 0.5, 0.01);
	CU_ASSERT_EQUAL(s->out.resources[RESOURCE_MEMORY].victim, 0);
	s->actors[bronze].stall = 0.9;
	stage_run(s, 2, 0.1);
	CU_ASSERT_DOUBLE_EQUAL(pressure(s, RESOURCE_MEMORY), 0.5, 0.01);
	s->actors[gold].stall = 0.2;
	stage_run(s, 5, 0.1);
	CU_ASSERT_DOUBLE_EQUAL(pressure(s, RESOURCE_MEMORY), 2, 0.1); /* target: 10 % */
	CU_ASSERT_EQUAL(s->out.resources[RESOURCE_MEMORY].victim, s->guests[gold].id);
	s->actors[gold].stall = 0;
	s->policy->overload.memory_low_bytes = 8 * GIB;
	s->available_bytes = 4 * GIB;
	stage_run(s, 5, 0.1);
	CU_ASSERT_DOUBLE_EQUAL(pressure(s, RESOURCE_MEMORY), 2, 0.01);
	stage_free(s);
}

static void test_memory_psi_alone_is_nothing(void)
{
	struct stage *s = stage_new();

	stage_add(s, GOLD);
	stage_add(s, BRONZE);
	s->psi[RESOURCE_MEMORY] = 0.5;
	stage_run(s, 2, 0.1);
	CU_ASSERT(pressure(s, RESOURCE_MEMORY) < 0.1);
	s->available_bytes = 5 * GIB; /* short as well: 0.64 of the mark */
	stage_tick(s, 0.1);
	CU_ASSERT_DOUBLE_EQUAL(pressure(s, RESOURCE_MEMORY), 5, 0.1);
	stage_tick(s, 0.1); /* we act: from now on it may be our own doing */
	CU_ASSERT(pressure(s, RESOURCE_MEMORY) < 0.7);
	stage_free(s);
}

static void test_net_short(void)
{
	struct stage *s = stage_new();
	size_t gold = stage_add(s, GOLD), bronze = stage_add(s, BRONZE);

	s->guests[gold].net_reserved_bps = 400000000;
	s->actors[gold].in_bps = 300e6;
	s->actors[bronze].in_bps = 600e6;
	s->uplink_in = 0.9;
	stage_run(s, 3, 0.1);
	CU_ASSERT_EQUAL(pressure(s, RESOURCE_NET), 0);
	/* full, and gold still gets what it wants */
	s->actors[bronze].in_bps = 690e6;
	s->uplink_in = 0.99;
	stage_run(s, 2, 0.1);
	CU_ASSERT_EQUAL(pressure(s, RESOURCE_NET), 0);
	/* pushed aside: a third of its need is missing */
	s->actors[gold].in_bps = 200e6;
	stage_tick(s, 0.1);
	stage_tick(s, 0.1);
	CU_ASSERT(pressure(s, RESOURCE_NET) > 2);
	CU_ASSERT_EQUAL(s->out.resources[RESOURCE_NET].victim, s->guests[gold].id);
	/* not full any more: it wants no more than this */
	s->uplink_in = 0.5;
	stage_tick(s, 0.1);
	CU_ASSERT_EQUAL(pressure(s, RESOURCE_NET), 0);
	stage_free(s);
}

static void test_net_drops(void)
{
	struct stage *s = stage_new();
	size_t gold = stage_add(s, GOLD);

	stage_add(s, BRONZE);
	s->guests[gold].net_reserved_bps = 400000000;
	s->actors[gold] = (struct actor){ .in_bps = 200e6, .in_dropped_bps = 10e6 };
	stage_run(s, 1, 0.1);
	CU_ASSERT_DOUBLE_EQUAL(pressure(s, RESOURCE_NET), 10, 0.5); /* half of it, target 5 % */
	/* drops at its own limit are its own affair */
	s->guests[gold].net_in_full_bps = 200000000;
	stage_tick(s, 0.1);
	CU_ASSERT_EQUAL(pressure(s, RESOURCE_NET), 0);
	stage_free(s);
}

static void test_disk(void)
{
	struct stage *s = stage_new();
	size_t gold = stage_add(s, GOLD), bronze = stage_add(s, BRONZE);

	s->actors[bronze] = (struct actor){ .disk_ops = 5000, .disk_latency_ms = 300 };
	s->actors[gold] = (struct actor){ .disk_ops = 100, .disk_latency_ms = 15 };
	stage_run(s, 3, 0.1);
	CU_ASSERT_DOUBLE_EQUAL(pressure(s, RESOURCE_DISK), 0.5, 0.02); /* target 30 ms */
	s->actors[gold].disk_latency_ms = 90;
	stage_run(s, 3, 0.1);
	CU_ASSERT_DOUBLE_EQUAL(pressure(s, RESOURCE_DISK), 3, 0.1);
	s->guests[gold].disk_full_iops = 100; /* it waits for its own limit */
	stage_tick(s, 0.1);
	CU_ASSERT_EQUAL(pressure(s, RESOURCE_DISK), 0);
	s->guests[gold].disk_full_iops = THROTTLE_NONE;
	stage_tick(s, 0.1);
	CU_ASSERT(pressure(s, RESOURCE_DISK) > 1);
	s->actors[gold].disk_bytes = 400000;
	s->guests[gold].disk_full_bytes_ps = 400000; /* ... of bytes */
	stage_tick(s, 0.1);
	CU_ASSERT_EQUAL(pressure(s, RESOURCE_DISK), 0);
	stage_free(s);
}

static void test_unreadable(void)
{
	struct stage *s = stage_new();
	size_t gold = stage_add(s, GOLD);

	stage_add(s, BRONZE);
	stage_tick(s, 0.1);
	stage_sample(s, 0.1);
	sample_guest_init(&s->samples[s->now].guests[gold], s->guests[gold].id);
	s->samples[s->now].memory_available_bytes = SAMPLE_UNKNOWN;
	CU_ASSERT_EQUAL(govern_tick(s->govern, stage_input(s), &s->out), 0);
	CU_ASSERT(pressure(s, RESOURCE_MEMORY) < 0);
	CU_ASSERT_EQUAL(pressure(s, RESOURCE_CPU), 0);
	stage_free(s);
}

/* The victim cannot be read for a while in the storm: nothing is decided by what is old. */
static void test_missing_reading(void)
{
	struct stage *s = stage_new();
	size_t gold = stage_add(s, GOLD);
	double depth;

	stage_add(s, BRONZE);
	s->actors[gold] = (struct actor){ .run = 1, .wait = 1 };
	stage_run(s, 0.3, 0.1);
	depth = s->out.resources[RESOURCE_CPU].depth;
	CU_ASSERT(depth > 0);
	for (int i = 0; i < 30; i++) {
		stage_sample(s, 0.1);
		sample_guest_init(&s->samples[s->now].guests[gold], s->guests[gold].id);
		govern_tick(s->govern, stage_input(s), &s->out);
		if (i < 9)
			CU_ASSERT_DOUBLE_EQUAL(pressure(s, RESOURCE_CPU), 0.9, 1e-9);
	}
	CU_ASSERT(pressure(s, RESOURCE_CPU) < 0);
	CU_ASSERT_EQUAL(s->out.resources[RESOURCE_CPU].depth, depth);
	stage_free(s);
}

/* The reading that would show what a step did is missing: the next one says it alone. */
static void test_missed_after_a_step(void)
{
	struct stage *s = stage_new();
	size_t gold = stage_add(s, GOLD);

	stage_add(s, BRONZE);
	s->actors[gold] = (struct actor){ .run = 1, .wait = 0.4 };
	stage_run(s, 0.3, 0.1);
	CU_ASSERT(s->out.resources[RESOURCE_CPU].depth > 0);
	s->actors[gold].wait = 0;
	for (int i = 0; i < 4; i++) { /* longer than the lag */
		stage_sample(s, 0.1);
		sample_guest_init(&s->samples[s->now].guests[gold], s->guests[gold].id);
		govern_tick(s->govern, stage_input(s), &s->out);
	}
	stage_run(s, 0.2, 0.1); /* a difference needs two readings */
	CU_ASSERT_DOUBLE_EQUAL(pressure(s, RESOURCE_CPU), 0, 1e-9);
	stage_free(s);
}

/* One that takes all it may of what it wants. */
static void run_greedy(struct stage *s, size_t guest, double want_bps, double seconds)
{
	for (double t = 0; t < seconds; t += 0.1) {
		double cap = (double)s->out.caps[guest].net_in_bps;

		s->actors[guest].in_bps = want_bps < cap ? want_bps : cap;
		stage_tick(s, 0.1);
	}
}

/* While throttled, a nearly full uplink stops the giving back; not when nobody fills its cap. */
static void test_net_guard(void)
{
	struct stage *s = stage_new();
	double depth[RESOURCE_COUNT] = { [RESOURCE_NET] = 0.5 };
	size_t bronze;

	s->guests[stage_add(s, GOLD)].net_reserved_bps = 400000000;
	bronze = stage_add(s, BRONZE);
	s->uplink_in = 0.92;
	stage_run(s, 1, 0.1);
	CU_ASSERT_EQUAL(pressure(s, RESOURCE_NET), 0);
	govern_adopt(s->govern, depth, s->now_us);
	run_greedy(s, bronze, 600e6, 30);
	CU_ASSERT_DOUBLE_EQUAL(pressure(s, RESOURCE_NET), 0.9, 0.02);
	CU_ASSERT_EQUAL(s->out.resources[RESOURCE_NET].depth, 0.5);
	run_greedy(s, bronze, 1e6, 30);
	CU_ASSERT_EQUAL(s->out.resources[RESOURCE_NET].depth, 0);
	stage_free(s);
}

static const struct test tests[] = {
	{ "CPU: what a protected guest waits", test_cpu_wait },
	{ "CPU: a guest held by its own quota says nothing", test_cpu_throttled_says_nothing },
	{ "CPU: one window over the target is not enough", test_cpu_one_window },
	{ "CPU: two windows in a row are, after each step anew", test_cpu_two_windows },
	{ "CPU: not before we have settled", test_cpu_settling },
	{ "CPU: short windows do not count", test_cpu_short_windows },
	{ "CPU: an idle guest says nothing", test_cpu_idle_says_nothing },
	{ "CPU: a guest on cores of its own says nothing", test_cpu_alone_says_nothing },
	{ "CPU: one victim among many counts", test_cpu_worst_counts },
	{ "CPU: the same at a tick of 1 s and of 100 ms", test_cpu_same_at_any_tick },
	{ "CPU: a reservation is protected from lower classes only", test_cpu_reserved_silver },
	{ "CPU: between two marks of one quota", test_cpu_between_marks },
	{ "memory: stalls of protected guests, and the watermark", test_memory },
	{ "memory: PSI alone is nothing", test_memory_psi_alone_is_nothing },
	{ "net: short of the reservation on a full uplink", test_net_short },
	{ "net: short with drops", test_net_drops },
	{ "CPU: a reading missed after a step", test_missed_after_a_step },
	{ "net: a nearly full uplink while throttled", test_net_guard },
	{ "disk: latency", test_disk },
	{ "a victim whose reading is missing", test_missing_reading },
	{ "counters that cannot be read", test_unreadable },
};

int main(void)
{
	return harness_run("signal", tests, ARRAY_SIZE(tests));
}
