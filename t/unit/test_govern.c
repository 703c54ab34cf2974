/* SPDX-License-Identifier: GPL-2.0-or-later */
/* govern - whole ticks: who gives way, by how much, and how it is given back. */
#include "t/unit/harness.h"
#include "t/unit/make_govern.h"

#define CPU RESOURCE_CPU

/*
 * A host of 4 CPUs without quotas of its own: guests want `want` CPUs, get at most their cap, and
 * what is too much is waited for by all in proportion. Each of them is one actor.
 */
static void share_cpu(struct stage *s, const double *want)
{
	double sum = 0, cut;

	for (size_t i = 0; i < s->nguests; i++) {
		uint64_t cap = s->out.caps ? s->out.caps[i].cpu_mcpu : THROTTLE_NONE;
		double most = cap == THROTTLE_NONE ? 1e9 : (double)cap / 1000;

		s->actors[i].run = want[i] < most ? want[i] : most;
		s->actors[i].throttled = want[i] > most;
		sum += s->actors[i].run;
	}
	cut = sum > 4 ? 4 / sum : 1;
	for (size_t i = 0; i < s->nguests; i++) {
		s->actors[i].wait = s->actors[i].run * (1 - cut);
		s->actors[i].run *= cut;
	}
}

static void storm(struct stage *s, const double *want, double seconds)
{
	for (double t = 0; t < seconds - 1e-9; t += 0.1) {
		share_cpu(s, want);
		stage_tick(s, 0.1);
	}
}

/* gold 1 CPU, silver 0.5, and as many bronze as wanted. */
static struct stage *scene(size_t nbronze)
{
	struct stage *s = stage_new();

	stage_add(s, GOLD);
	stage_add(s, SILVER);
	for (size_t i = 0; i < nbronze; i++)
		stage_add(s, BRONZE);
	return s;
}

static const double calm[] = { 1, 0.5, 0.2, 0.2, 0.2, 0.2 };
static const double busy[] = { 1, 0.5, 2, 2, 2, 0.3 };

static void test_storm(void)
{
	struct stage *s = scene(4);
	bool floors = true;

	storm(s, calm, 5);
	CU_ASSERT_FALSE(s->out.fast);
	for (int i = 0; i < 100; i++) {
		storm(s, busy, 0.1);
		for (size_t k = 2; k < s->nguests; k++)
			floors &= s->out.caps[k].cpu_mcpu >= s->guests[k].cpu_floor_mcpu;
	}
	CU_ASSERT(floors);
	CU_ASSERT(s->out.fast);
	CU_ASSERT_EQUAL(s->out.classes[GOLD].level[CPU], 1000);
	CU_ASSERT_EQUAL(s->out.classes[SILVER].level[CPU], 1000);
	CU_ASSERT(s->out.classes[BRONZE].level[CPU] < 900);
	CU_ASSERT(s->actors[0].run > 0.95); /* gold has what it wants */
	CU_ASSERT(s->actors[1].run > 0.47);
	/* the heavy ones pay, all alike; the light one is untouched */
	CU_ASSERT(s->out.caps[5].cpu_mcpu > 300);
	CU_ASSERT(s->actors[5].run > 0.28);
	CU_ASSERT(s->actors[2].run < 1.2);
	CU_ASSERT(s->out.caps[2].cpu_soft);
	CU_ASSERT_EQUAL(s->out.caps[0].cpu_mcpu, THROTTLE_NONE);
	CU_ASSERT_EQUAL(s->out.caps[1].cpu_mcpu, THROTTLE_NONE);
	CU_ASSERT_EQUAL(s->out.caps[2].level[CPU], s->out.classes[BRONZE].level[CPU]);
	stage_free(s);
}

static void test_reaction(void)
{
	struct stage *s = scene(4);

	storm(s, calm, 5);
	storm(s, busy, 0.1);
	CU_ASSERT_EQUAL(s->out.resources[CPU].event, GOVERNOR_NOTHING); /* it may be chance */
	CU_ASSERT(s->out.fast);
	storm(s, busy, 0.1);
	CU_ASSERT_EQUAL(s->out.resources[CPU].event, GOVERNOR_ONSET);
	storm(s, busy, 0.4);
	CU_ASSERT(s->out.caps[2].cpu_mcpu < 2000);
	CU_ASSERT(s->out.caps_changed || s->out.resources[CPU].pressure <= 1);
	stage_free(s);
}

/* Even at its floor bronze takes so much that gold waits 30 times as long as it should: it helps.
 */
static void test_strict_target(void)
{
	struct stage *s = scene(8);
	const double want[] = { 1, 0.5, 4, 4, 4, 4, 4, 4, 4, 4 };

	s->policy->overload.cpu_target_wait_permille = 10;
	for (size_t i = 2; i < s->nguests; i++)
		s->guests[i].cpu_floor_mcpu = 600;
	storm(s, want, 20);
	CU_ASSERT(s->out.resources[CPU].pressure > 25);
	CU_ASSERT_EQUAL(s->out.resources[CPU].state, GOVERNOR_PRESSED);
	CU_ASSERT_EQUAL(s->out.classes[BRONZE].level[CPU], 0);
	stage_free(s);
}

static void test_claims_do_not_shrink(void)
{
	struct stage *s = scene(3);
	const double want[] = { 1, 0.5, 2, 2, 2 };
	uint64_t early;

	storm(s, calm, 3);
	storm(s, want, 3);
	early = s->out.caps[2].cpu_mcpu;
	storm(s, want, 6); /* within the hold: nothing is given back, nothing spirals down */
	CU_ASSERT(s->out.caps[2].cpu_mcpu >= early * 9 / 10);
	CU_ASSERT(s->out.caps[2].cpu_mcpu > s->guests[2].cpu_floor_mcpu);
	stage_free(s);
}

static void test_few_writes(void)
{
	struct stage *s = scene(4);
	uint64_t last, changes = 0, raised_us = 0;
	bool seldom = true;

	storm(s, calm, 3);
	storm(s, busy, 2);
	last = s->out.caps[2].cpu_mcpu;
	for (int i = 0; i < 600; i++) {
		uint64_t cap;

		storm(s, i < 300 ? busy : calm, 0.1);
		cap = s->out.caps[2].cpu_mcpu;
		if (cap > last) {
			seldom &= s->now_us - raised_us >= 1000000;
			raised_us = s->now_us;
		}
		changes += cap != last;
		last = cap;
	}
	CU_ASSERT(seldom);
	CU_ASSERT(changes < 40);
	CU_ASSERT_EQUAL(last, THROTTLE_NONE);
	CU_ASSERT_EQUAL(s->out.resources[CPU].state, GOVERNOR_CALM);
	CU_ASSERT_FALSE(s->out.fast);
	stage_free(s);
}

/* The tick that tells of the end leaves no cap behind. */
static void test_over(void)
{
	struct stage *s = scene(2);
	bool over = false;

	for (size_t i = 0; i < s->nguests; i++)
		s->actors[i] = (struct actor){ .disk_ops = 500, .disk_latency_ms = 2 };
	stage_run(s, 3, 0.1);
	s->actors[0].disk_latency_ms = 100;
	stage_run(s, 3, 0.1);
	CU_ASSERT(s->out.caps[2].disk_iops < 500);
	s->actors[0].disk_latency_ms = 2;
	for (int i = 0; i < 600 && !over; i++) {
		stage_tick(s, 0.1);
		over = s->out.resources[RESOURCE_DISK].event == GOVERNOR_OVER;
	}
	CU_ASSERT(over && s->out.caps_changed);
	CU_ASSERT_EQUAL(s->out.caps[2].disk_iops, THROTTLE_NONE);
	CU_ASSERT_EQUAL(s->out.caps[2].disk_bytes_ps, THROTTLE_NONE);
	stage_free(s);
}

static void test_silver_after_bronze(void)
{
	struct stage *s = scene(2);
	const double want[] = { 3.5, 2, 2, 2 };

	s->guests[0].vcpus = 4;
	s->guests[0].cpu_full_mcpu = 4000;
	storm(s, calm, 3);
	for (int i = 0; i < 80; i++) {
		storm(s, want, 0.1);
		if (s->out.classes[SILVER].level[CPU] < 1000)
			CU_ASSERT_EQUAL(s->out.classes[BRONZE].level[CPU], 0);
	}
	CU_ASSERT(s->out.classes[SILVER].level[CPU] < 1000);
	CU_ASSERT(s->out.caps[2].cpu_mcpu == s->guests[2].cpu_floor_mcpu);
	stage_free(s);
}

static void test_exempt(void)
{
	struct stage *s = scene(3);
	const double want[] = { 1, 0.5, 2, 2, 2 };

	s->guests[2].exempt = true;
	storm(s, calm, 3);
	storm(s, want, 3);
	CU_ASSERT_EQUAL(s->out.caps[2].cpu_mcpu, THROTTLE_NONE);
	CU_ASSERT_EQUAL(s->out.caps[2].level[CPU], 1000);
	CU_ASSERT_FALSE(s->out.caps[2].cpu_soft);
	CU_ASSERT(s->out.caps[3].cpu_mcpu < 2000);
	stage_free(s);
}

static void test_manual(void)
{
	struct stage *s = scene(2);
	struct govern_manual manual[] = {
		{ "bronze", CPU, 300, 0 },
		{ "gold", CPU, 0, 0 },
	};
	const double want[] = { 0.5, 0.5, 0.8, 0.8 };

	storm(s, want, 2);
	manual[0].until_us = manual[1].until_us = s->now_us + 30000000;
	s->in.manual = manual;
	s->in.nmanual = 2;
	storm(s, want, 20);
	CU_ASSERT_EQUAL(s->out.classes[BRONZE].level[CPU], 300);
	CU_ASSERT(s->out.classes[BRONZE].manual[CPU]);
	CU_ASSERT_EQUAL(s->out.classes[GOLD].level[CPU], 1000); /* rank 0 never */
	CU_ASSERT_EQUAL(s->out.classes[SILVER].level[CPU], 1000);
	/* 0.2 + 0.3 * (2 - 0.2): the claim of a guest at its cap grew to all it may take */
	CU_ASSERT(s->out.caps[2].cpu_mcpu <= 740 && s->out.caps[2].cpu_mcpu > 600);
	storm(s, want, 12);
	CU_ASSERT_EQUAL(s->out.classes[BRONZE].level[CPU], 1000);
	CU_ASSERT_EQUAL(s->out.caps[2].cpu_mcpu, THROTTLE_NONE);
	stage_free(s);
}

static void test_gentle_start(void)
{
	struct stage *s = scene(3);
	const double want[] = { 1, 0.5, 2, 2, 2, 2 };
	uint64_t first;

	storm(s, calm, 3);
	storm(s, want, 2);
	stage_add(s, BRONZE);
	storm(s, want, 0.1);
	CU_ASSERT(s->out.caps_changed);
	CU_ASSERT(s->out.caps[5].cpu_mcpu < 300); /* next to its floor */
	first = s->out.caps[5].cpu_mcpu;
	storm(s, want, 9);
	CU_ASSERT(s->out.caps[5].cpu_mcpu > first);
	CU_ASSERT(s->out.caps[5].cpu_mcpu * 10 >= s->out.caps[2].cpu_mcpu * 8);
	stage_free(s);
}

static void test_start_when_calm_is_free(void)
{
	struct stage *s = scene(2);

	storm(s, calm, 3);
	stage_add(s, BRONZE);
	storm(s, calm, 1);
	CU_ASSERT_EQUAL(s->out.caps[4].cpu_mcpu, THROTTLE_NONE);
	stage_free(s);
}

static void test_classes_come_and_go(void)
{
	struct stage *s = scene(1);
	double depth[RESOURCE_COUNT] = { 1.4 };

	govern_adopt(s->govern, depth, s->now_us);
	storm(s, calm, 0.2);
	CU_ASSERT_EQUAL(s->out.classes[BRONZE].level[CPU], 0);
	CU_ASSERT_EQUAL(s->out.classes[SILVER].level[CPU], 600);
	s->nguests = 2; /* the only bronze one goes: silver does not fall to its floor */
	storm(s, calm, 0.1);
	CU_ASSERT_EQUAL(s->out.classes[SILVER].level[CPU], 600);
	CU_ASSERT_DOUBLE_EQUAL(s->out.resources[CPU].depth, 0.4, 1e-9);
	stage_add(s, BRONZE); /* and one comes: it gives way before silver */
	storm(s, calm, 0.1);
	CU_ASSERT_EQUAL(s->out.classes[SILVER].level[CPU], 600);
	CU_ASSERT_EQUAL(s->out.classes[BRONZE].level[CPU], 0);
	stage_free(s);
}

static void test_adopt_and_reset(void)
{
	struct stage *s = scene(2);
	double depth[RESOURCE_COUNT] = { 0.5, 0, 0, 0 };

	govern_adopt(s->govern, depth, s->now_us);
	storm(s, calm, 0.1);
	CU_ASSERT_EQUAL(s->out.classes[BRONZE].level[CPU], 500);
	CU_ASSERT(s->out.caps[2].cpu_mcpu >= 200 && s->out.caps[2].cpu_mcpu < 2000);
	storm(s, calm, 8);
	CU_ASSERT_EQUAL(s->out.classes[BRONZE].level[CPU], 500);
	storm(s, calm, 10);
	CU_ASSERT_EQUAL(s->out.classes[BRONZE].level[CPU], 1000);
	CU_ASSERT_EQUAL(s->out.caps[2].cpu_mcpu, THROTTLE_NONE);
	storm(s, busy, 3);
	CU_ASSERT(s->out.classes[BRONZE].level[CPU] < 1000);
	govern_reset(s->govern);
	storm(s, calm, 0.1);
	CU_ASSERT_EQUAL(s->out.classes[BRONZE].level[CPU], 1000);
	CU_ASSERT_EQUAL(s->out.caps[2].cpu_mcpu, THROTTLE_NONE);
	CU_ASSERT(s->out.caps_changed);
	stage_free(s);
}

static void test_culprits(void)
{
	struct stage *s = scene(4);
	const double want[] = { 1, 0.5, 0.2, 2, 0.2, 1.9 };

	s->actors[2].run = 0.2;
	storm(s, calm, 20);
	storm(s, want, 0.1);
	CU_ASSERT_EQUAL(s->out.resources[CPU].victim, s->guests[0].id);
	storm(s, want, 4);
	CU_ASSERT_EQUAL(s->out.resources[CPU].culprits[0] + s->out.resources[CPU].culprits[1],
			s->guests[3].id + s->guests[5].id);
	CU_ASSERT_EQUAL(s->out.resources[CPU].culprits[2], 0);
	stage_free(s);
}

static void test_memory_ladder(void)
{
	struct stage *s = scene(3);

	s->guests[4].no_freeze = false;
	s->actors[3].memory_bytes = 1 * GIB; /* below its floor: light */
	s->actors[2].memory_bytes = 4 * GIB;
	stage_run(s, 3, 0.1);
	s->available_bytes = 2 * GIB; /* the mark is 3.2 GiB */
	stage_run(s, 3, 0.1);
	CU_ASSERT(s->out.caps[2].memory_bytes < 4 * GIB);
	CU_ASSERT(s->out.caps[2].memory_bytes >= s->guests[2].memory_floor_bytes);
	CU_ASSERT_FALSE(s->out.caps[4].freeze);
	for (int i = 0; i < 200; i++) {
		/* each second of being short gets a little more short: it is not futile yet */
		s->available_bytes = (uint64_t)((1.6 + 0.006 * i) * (double)GIB);
		stage_tick(s, 0.1);
	}
	CU_ASSERT_EQUAL(s->out.classes[BRONZE].level[RESOURCE_MEMORY], 0);
	CU_ASSERT_EQUAL(s->out.caps[2].memory_bytes, s->guests[2].memory_floor_bytes);
	CU_ASSERT(s->out.caps[4].freeze);
	CU_ASSERT_FALSE(s->out.caps[2].freeze); /* it does not opt in */
	s->available_bytes = 40 * GIB;
	stage_run(s, 60, 0.5);
	CU_ASSERT_FALSE(s->out.caps[4].freeze);
	CU_ASSERT_EQUAL(s->out.caps[2].memory_bytes, THROTTLE_NONE);
	stage_free(s);
}

/* Seconds from the mark until bronze is at its floor, and (*ret_frozen) until the one that may be
 * is frozen; memory falls by so many bytes a second, without swap or with it. 10: not in time. */
static double until_floor(double fall_bps, uint64_t swap_bytes, double *ret_frozen)
{
	struct stage *s = scene(3);
	double floor_s = 10;

	*ret_frozen = 10;
	s->guests[4].no_freeze = false;
	s->swap_free_bytes = swap_bytes;
	s->available_bytes = 32 * GIB / 10; /* the mark */
	stage_run(s, 3, 0.1);
	for (double t = 0.1; t < 10 && s->available_bytes > fall_bps / 10; t += 0.1) {
		s->available_bytes -= (uint64_t)(fall_bps / 10);
		stage_tick(s, 0.1);
		if (s->out.classes[BRONZE].level[RESOURCE_MEMORY] == 0 && floor_s > t)
			floor_s = t;
		if (s->out.caps[4].freeze && *ret_frozen > t)
			*ret_frozen = t;
		CU_ASSERT_FALSE(s->out.caps[2].freeze); /* it does not opt in */
	}
	stage_free(s);
	return floor_s;
}

/* Memory that will be gone before the usual steps can help. */
static void test_memory_brink(void)
{
	double frozen_s;

	CU_ASSERT(until_floor(2 * GIB, 0, &frozen_s) < 0.5);
	CU_ASSERT(frozen_s < 0.5);
	CU_ASSERT(until_floor(GIB / 2, 0, &frozen_s) < 1); /* 6 s are left: balloons first ... */
	CU_ASSERT(frozen_s > 3 && frozen_s < 5);           /* ... 2 s are left */
	CU_ASSERT(until_floor(GIB / 16, 0, &frozen_s) > 5);
	CU_ASSERT(until_floor(2 * GIB, 64 * GIB, &frozen_s) > 1);
	CU_ASSERT(frozen_s >= 10);
}

/* Much at once, and then no more: large pages for a guest, say. */
static void test_memory_jump(void)
{
	struct stage *s = scene(3);

	s->guests[4].no_freeze = false;
	s->swap_free_bytes = 0;
	stage_run(s, 5, 1);
	s->available_bytes = 3 * GIB; /* below the mark of 3.2 */
	stage_tick(s, 1);
	for (int i = 0; i < 20; i++) {
		stage_tick(s, 0.1);
		CU_ASSERT_FALSE(s->out.caps[4].freeze);
	}
	stage_free(s);
}

/* The operator holds the class down for longer than the shortage lasts. */
static void test_memory_thaws(void)
{
	const struct govern_manual manual = { .resource = RESOURCE_MEMORY,
					      .level_permille = 0,
					      .class_name = "bronze",
					      .until_us = UINT64_MAX };
	struct stage *s = scene(3);

	s->guests[4].no_freeze = false;
	s->swap_free_bytes = 0;
	s->in.manual = &manual;
	s->in.nmanual = 1;
	s->available_bytes = 32 * GIB / 10;
	stage_run(s, 2, 0.1);
	for (int i = 0; i < 10; i++) {
		s->available_bytes -= GIB / 5;
		stage_tick(s, 0.1);
	}
	CU_ASSERT(s->out.caps[4].freeze);
	s->available_bytes = 50 * GIB;
	stage_run(s, 60, 0.5);
	CU_ASSERT_EQUAL(s->out.resources[RESOURCE_MEMORY].state, GOVERNOR_CALM);
	CU_ASSERT_EQUAL(s->out.classes[BRONZE].level[RESOURCE_MEMORY], 0);
	CU_ASSERT_FALSE(s->out.caps[4].freeze);
	stage_free(s);
}

static void test_net_caps(void)
{
	struct stage *s = scene(2);

	s->guests[0].net_reserved_bps = 400000000;
	s->actors[0] = (struct actor){ .in_bps = 380e6 };
	s->actors[2] = (struct actor){ .in_bps = 100e6, .out_bps = 50e6 };
	s->actors[3] = (struct actor){ .in_bps = 20e6 };
	s->uplink_in = 0.5;
	stage_run(s, 3, 0.1);
	s->actors[0].in_bps = 200e6;
	s->actors[2].in_bps = 760e6;
	s->uplink_in = 0.99;
	stage_run(s, 0.5, 0.1);
	CU_ASSERT(s->out.caps[2].net_in_bps < 760000000);
	CU_ASSERT(s->out.caps[2].net_in_bps >= 1000000);
	CU_ASSERT(s->out.caps[3].net_in_bps > 20000000); /* light: untouched */
	CU_ASSERT_EQUAL(s->out.caps[0].net_in_bps, THROTTLE_NONE);
	CU_ASSERT_EQUAL(s->out.caps[2].cpu_mcpu, THROTTLE_NONE);
	stage_free(s);
}

static void test_disk_caps(void)
{
	struct stage *s = scene(2);

	s->actors[0] = (struct actor){ .disk_ops = 100, .disk_latency_ms = 5 };
	s->actors[2] = (struct actor){ .disk_ops = 3000, .disk_bytes = 3000 * 4096 };
	s->actors[3] = (struct actor){ .disk_ops = 20, .disk_bytes = 20 * 4096 };
	stage_run(s, 3, 0.1);
	s->actors[0].disk_latency_ms = 120;
	stage_run(s, 3, 0.1);
	CU_ASSERT(s->out.caps[2].disk_iops < 3000 && s->out.caps[2].disk_iops >= 50);
	CU_ASSERT(s->out.caps[3].disk_iops >= 50);
	CU_ASSERT(s->out.caps[2].disk_bytes_ps < 3000 * 4096);
	CU_ASSERT(s->out.caps[2].disk_bytes_ps >= 1 << 20);
	stage_free(s);
}

/* A hypervisor that does not answer is not a disk at rest: what nobody knows is held like any
 * doubt. */
static void test_disks_unknown(void)
{
	struct stage *s = scene(2);
	uint64_t cap;

	s->actors[0] = (struct actor){ .disk_ops = 100, .disk_latency_ms = 120 };
	s->actors[2] = (struct actor){ .disk_ops = 3000, .disk_bytes = 3000 * 4096 };
	stage_run(s, 3, 0.1);
	cap = s->out.caps[2].disk_iops;
	CU_ASSERT(cap < 3000);
	s->actors[0].disks_unknown = s->actors[2].disks_unknown = true;
	stage_run(s, 9, 0.1);
	CU_ASSERT_EQUAL(s->out.caps[2].disk_iops, cap);
	CU_ASSERT(s->out.resources[RESOURCE_DISK].pressure < 0);
	s->actors[0].disks_unknown = s->actors[2].disks_unknown = false;
	s->actors[0].disk_latency_ms = 2;
	stage_run(s, 120, 0.1);
	CU_ASSERT_EQUAL(s->out.caps[2].disk_iops, THROTTLE_NONE);
	/* While nobody is throttled the hypervisor is not asked: stalls tell. */
	s->actors[0].disks_unknown = true;
	stage_run(s, 10, 0.1);
	CU_ASSERT_EQUAL(s->out.resources[RESOURCE_DISK].pressure, 0);
	stage_free(s);
}

static void test_long_throttled_first(void)
{
	struct stage *s = scene(2);
	const double want[] = { 1, 0.5, 2, 2 };

	storm(s, calm, 3);
	storm(s, want, 5);
	/* as if the other had been held for a minute longer */
	s->govern->states[2].tracks[TRACK_CPU].capped_us -= 60000000;
	while (s->out.resources[CPU].state != GOVERNOR_RELEASING)
		storm(s, calm, 0.1);
	storm(s, want, 1.5);
	CU_ASSERT(s->out.caps[2].cpu_mcpu > s->out.caps[3].cpu_mcpu);
	stage_free(s);
}

static void test_nobody_and_many(void)
{
	struct stage *s = stage_new();

	stage_tick(s, 0.1);
	stage_tick(s, 0.1);
	CU_ASSERT_FALSE(s->out.fast);
	stage_add(s, BRONZE);
	stage_run(s, 0.5, 0.1);
	CU_ASSERT_EQUAL(s->out.resources[CPU].pressure, 0);
	s->nguests = 0;
	stage_run(s, 0.5, 0.1);
	CU_ASSERT_EQUAL(s->out.nclasses, 3);
	stage_free(s);
}

static const struct test tests[] = {
	{ "a CPU storm: bronze pays, by weight and need", test_storm },
	{ "it is met in the second window", test_reaction },
	{ "a strict target: what helps is seen to help", test_strict_target },
	{ "our throttling does not shrink what a guest may claim", test_claims_do_not_shrink },
	{ "caps are written seldom, raised once a second", test_few_writes },
	{ "who is told of the end finds no cap left", test_over },
	{ "silver gives way only when bronze is at its floor", test_silver_after_bronze },
	{ "exempt guests are never capped", test_exempt },
	{ "the operator's word goes first, until it ends", test_manual },
	{ "a guest that starts under pressure grows into its part", test_gentle_start },
	{ "one that starts in the calm is free", test_start_when_calm_is_free },
	{ "a class comes or goes: the others keep their levels", test_classes_come_and_go },
	{ "depths adopted after a restart, and reset", test_adopt_and_reset },
	{ "whose use rose", test_culprits },
	{ "memory: down to the floor, freeze last", test_memory_ladder },
	{ "memory: no time for steps", test_memory_brink },
	{ "memory: a jump is no fall", test_memory_jump },
	{ "memory: thawed when it is over, though held by hand", test_memory_thaws },
	{ "network caps by direction", test_net_caps },
	{ "disk caps", test_disk_caps },
	{ "disks of which nothing is known", test_disks_unknown },
	{ "who was held longest gets its part first", test_long_throttled_first },
	{ "no guests, no victims", test_nobody_and_many },
};

int main(void)
{
	return harness_run("govern", tests, ARRAY_SIZE(tests));
}
