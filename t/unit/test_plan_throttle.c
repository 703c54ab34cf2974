/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What overload does to a plan: caps of CPU, network and memory, and how they are given back. */
#include "qosd/core/diff.h"
#include "t/unit/plan_bench.h"

/* ---- CPU ---- */

static void test_cpu_cap(void)
{
	struct hot *h = hot_new();
	struct plan *p;

	class_of(h, "bronze")->cpu.burst_us = 5000;
	caps_of(h, "batch")->cpu_mcpu = 400; /* of two vCPUs that may have 500 each */
	caps_of(h, "batch")->level[RESOURCE_CPU] = 250;
	p = plan_of(h);
	ASSERT_STR(said(h, p, "batch", TARGET_GUEST, 0, KNOB_CPU_MAX),
		   "20000 50000 (class bronze: throttled to 0.4 CPUs, level 250 of 1000)");
	ASSERT_STR(said(h, p, "batch", TARGET_GUEST, 0, KNOB_CPU_MAX_BURST),
		   "0 (class bronze: no burst while throttled)");
	ASSERT_STR(said(h, p, "app", TARGET_GUEST, 0, KNOB_CPU_MAX),
		   "max 100000 (class silver: no limit)");
	plan_free(p);

	/* A guest without a limit gets one; a cap above the limit is none. */
	caps_of(h, "app")->cpu_mcpu = 1500;
	caps_of(h, "batch")->cpu_mcpu = 1000;
	p = plan_of(h);
	ASSERT_STR(said(h, p, "app", TARGET_GUEST, 0, KNOB_CPU_MAX),
		   "30000 20000 (class silver: throttled to 1.5 CPUs, level 1000 of 1000)");
	ASSERT_STR(said(h, p, "batch", TARGET_GUEST, 0, KNOB_CPU_MAX),
		   "20000 20000 (class bronze: limit 50% of 2 vCPUs)");
	ASSERT_STR(said(h, p, "batch", TARGET_GUEST, 0, KNOB_CPU_MAX_BURST),
		   "10000 (class bronze: burst of 5ms for each vCPU)");
	plan_free(p);
	hot_free(h);
}

/* Even parts of whole microseconds, never under the kernel's least of 1 ms a vCPU. */
static void test_cpu_quota_bounds(void)
{
	static const uint64_t caps[] = { 0, 1, 7, 50, 333, 1000, 4095999, UINT64_MAX - 1 };
	struct hot *h = hot_new();
	struct guest *g = guest_of(h, "app");

	for (uint32_t vcpus = 1; vcpus < 70; vcpus += 3) {
		for (size_t i = 0; i < sizeof(caps) / sizeof(caps[0]); i++) {
			uint64_t quota, period, share;

			g->vcpus = vcpus;
			class_cpu_quota(class_of(h, "silver"), g, caps[i], &quota, &period);
			CU_ASSERT_EQUAL(quota % vcpus, 0);
			CU_ASSERT_TRUE(quota / vcpus >= 1000);
			CU_ASSERT_TRUE(period >= 20000 && period <= 1000000);
			share = quota * 1000 / period;
			if (caps[i] / vcpus >= 500 && caps[i] < 1000000)
				CU_ASSERT_EQUAL(period, 20000);
			if (caps[i] / vcpus >= 10 && caps[i] < 1000000)
				CU_ASSERT_TRUE(period <= 100000);
			if (caps[i] / vcpus >= 1 && caps[i] < 1000000)
				CU_ASSERT_TRUE(share <= caps[i] &&
					       share + vcpus >= caps[i] * 9 / 10);
		}
	}
	hot_free(h);
}

/* The promise of cpushare: weight / sum * pool is at least the reservation. */
static void assert_reservations(struct hot *h, const struct plan *p, uint64_t pool_mcpu)
{
	struct inventory *inv = h->scene->inv;
	uint64_t sum = 0;

	for (size_t i = 0; i < inv->count; i++)
		sum += entry(h, p, inv->guests[i]->name, TARGET_GUEST, 0, KNOB_CPU_WEIGHT)
			       ->want.u64;
	for (size_t i = 0; i < inv->count; i++) {
		const struct guest *g = inv->guests[i];
		uint64_t weight = entry(h, p, g->name, TARGET_GUEST, 0, KNOB_CPU_WEIGHT)->want.u64;
		uint64_t reserved = class_cpu_reservation_mcpu(&h->scene->assign[i].effective, g);

		CU_ASSERT_TRUE(weight >= 1);
		CU_ASSERT_TRUE(weight * pool_mcpu >= reserved * sum);
	}
}

static void test_soft_weight(void)
{
	struct hot *h = hot_new();
	struct plan *p;
	uint64_t seed = 7;

	class_of(h, "gold")->cpu.placement = PLACEMENT_ANY;
	class_of(h, "gold")->cpu.reservation_permille = 500;
	caps_of(h, "app")->cpu_soft = true;
	caps_of(h, "app")->level[RESOURCE_CPU] = 900;
	p = plan_of(h);
	ASSERT_STR(said(h, p, "app", TARGET_GUEST, 0, KNOB_CPU_WEIGHT),
		   "20 (class silver: throttled to cpu.weight 20 instead of 200, level 900 of "
		   "1000)");
	plan_free(p);
	for (int round = 0; round < 200; round++) {
		class_of(h, "gold")->cpu.reservation_permille = next_random(&seed) % 1001;
		class_of(h, "silver")->cpu.reservation_permille = next_random(&seed) % 1001;
		class_of(h, "bronze")->cpu.reservation_permille = next_random(&seed) % 501;
		class_of(h, "silver")->cpu.weight = 1 + next_random(&seed) % 10000;
		for (size_t i = 0; i < 3; i++)
			h->caps[i].cpu_soft = next_random(&seed) % 2;
		p = plan_of(h);
		assert_reservations(h, p, 8000);
		plan_free(p);
	}
	hot_free(h);
}

static uint64_t weight_of(struct hot *h, const struct plan *p, const char *name)
{
	return entry(h, p, name, TARGET_GUEST, 0, KNOB_CPU_WEIGHT)->want.u64;
}

static uint64_t floor_of(struct hot *h, const char *name, const char *qclass)
{
	return (uint64_t)class_of(h, qclass)->cpu.floor_permille * guest_of(h, name)->vcpus;
}

/*
 * However busy all are, a lower weight leaves a guest its floor, or what it had if that was less;
 * where floors ask for more than half of the pool, that much of each.
 */
static void test_soft_weight_keeps_floors(void)
{
	struct hot *h = hot_new();
	uint64_t seed = 11;
	unsigned int lowered = 0, cut = 0;

	class_of(h, "gold")->cpu.placement = PLACEMENT_ANY;
	guest_of(h, "app")->vcpus = 6;
	for (int round = 0; round < 1000; round++) {
		struct plan *steady, *soft;
		uint64_t sum = 0, floors = 0;

		class_of(h, "silver")->cpu.weight = 1 + next_random(&seed) % 1000;
		class_of(h, "silver")->cpu.floor_permille = 1 + next_random(&seed) % 1000;
		class_of(h, "bronze")->cpu.floor_permille = 1 + next_random(&seed) % 500;
		caps_of(h, "app")->cpu_soft = caps_of(h, "batch")->cpu_soft = false;
		steady = plan_of(h);
		caps_of(h, "app")->cpu_soft = true;
		caps_of(h, "batch")->cpu_soft = next_random(&seed) % 2;
		soft = plan_of(h);
		for (size_t i = 0; i < h->scene->inv->count; i++)
			sum += weight_of(h, soft, h->scene->inv->guests[i]->name);
		floors = floor_of(h, "app", "silver");
		if (caps_of(h, "batch")->cpu_soft)
			floors += floor_of(h, "batch", "bronze");
		cut += floors > 4000;
		if (floors < 4000)
			floors = 4000;
		CU_ASSERT_TRUE(weight_of(h, soft, "app") == weight_of(h, steady, "app") ||
			       weight_of(h, soft, "app") * 8000 >=
				       floor_of(h, "app", "silver") * 4000 / floors * sum);
		lowered += weight_of(h, soft, "app") < weight_of(h, steady, "app");
		plan_free(steady);
		plan_free(soft);
	}
	CU_ASSERT_TRUE(lowered > 100);
	CU_ASSERT_TRUE(cut > 10);
	hot_free(h);
}

/* Who is throttled softly changes nobody else's weight: each is written once and once back. */
static void test_soft_weight_is_alone(void)
{
	struct hot *h = hot_new();
	struct plan *before, *after;

	class_of(h, "bronze")->cpu.weight = 1; /* raised for its reservation */
	before = plan_of(h);
	caps_of(h, "app")->cpu_soft = true;
	after = plan_of(h);
	CU_ASSERT_TRUE(entry(h, before, "batch", TARGET_GUEST, 0, KNOB_CPU_WEIGHT)->want.u64 > 1);
	CU_ASSERT_EQUAL(entry(h, before, "batch", TARGET_GUEST, 0, KNOB_CPU_WEIGHT)->want.u64,
			entry(h, after, "batch", TARGET_GUEST, 0, KNOB_CPU_WEIGHT)->want.u64);
	plan_free(before);
	plan_free(after);
	hot_free(h);
}

static void test_idle(void)
{
	struct hot *h = hot_new();
	struct plan *p;

	class_of(h, "silver")->cpu.idle = 1;
	p = plan_of(h);
	ASSERT_STR(said(h, p, "app", TARGET_GUEST, 0, KNOB_CPU_WEIGHT),
		   "0 (class silver: idle: runs only when no other guest wants the CPU)");
	plan_free(p);
	scene_settle(h->scene);
	h->scene->input.cgroup_v1 = true;
	p = must(plan_build(&h->scene->input));
	CU_ASSERT_EQUAL(entry(h, p, "app", TARGET_GUEST, 0, KNOB_CPU_WEIGHT)->want.u64, 1);
	plan_free(p);
	hot_free(h);
}

/* ---- network ---- */

static void test_net_cap(void)
{
	struct hot *h = hot_new();
	struct plan *p;

	caps_of(h, "batch")->net_in_bps = 10000000;
	caps_of(h, "batch")->net_out_bps = 0;
	caps_of(h, "batch")->level[RESOURCE_NET] = 500;
	p = plan_of(h);
	/* Two cards that can be shaped share it. */
	ASSERT_STR(
		said(h, p, "batch", TARGET_NIC, 0, KNOB_NET_IN),
		"5000000 (class bronze: throttled to 5Mbit towards the guest, level 500 of 1000)");
	ASSERT_STR(said(h, p, "batch", TARGET_NIC, 2, KNOB_NET_OUT),
		   "8000 (class bronze: throttled to 8kbit from the guest, level 500 of 1000)");
	plan_free(p);
	caps_of(h, "batch")->net_in_bps = 40000000; /* each has a limit of 20 Mbit/s */
	p = plan_of(h);
	ASSERT_STR(said(h, p, "batch", TARGET_NIC, 0, KNOB_NET_IN),
		   "20000000 (class bronze: limit 20Mbit towards the guest)");
	plan_free(p);
	hot_free(h);
}

#define NET(index, knob, text) ASSERT_STR(said(h, p, "batch", TARGET_NIC, index, knob), text)

/* The least of class, uplink, share and overload counts, and between turns only NICs change. */
static void test_net_parts(void)
{
	struct nic_part items[] = {
		{ 7, "tenant", 15000000, { NETSHARE_FREE, 312345000 } },
		{ 9, "tenant", 1000000000, { 12000000, NETSHARE_FREE } },
	};
	struct nic_parts parts = { items, 2 };
	struct hot *h = hot_new();
	struct diff changed;
	struct plan *p;

	class_of(h, "bronze")->net.reservation_bps = 5000000;
	scene_settle(h->scene);
	h->scene->input.caps = h->caps;
	h->scene->input.parts = &parts;
	p = must(plan_build(&h->scene->input));
	NET(0, KNOB_NET_IN, "15000000 (class bronze: all of network tenant: 15Mbit)");
	NET(0, KNOB_NET_OUT, "15000000 (class bronze: all of network tenant: 15Mbit)");
	NET(2, KNOB_NET_IN,
	    "12000000 (class bronze: shares network tenant: 12Mbit of 1Gbit (reservation 5Mbit, "
	    "weight 1))");
	NET(2, KNOB_NET_OUT, "20000000 (class bronze: limit 20Mbit from the guest)");
	items[0].rate_bps[NETSHARE_IN] = 10240000;
	caps_of(h, "batch")->net_out_bps = 20000000;
	diff_init(&changed);
	CU_ASSERT_EQUAL(
		plan_refresh_nics(p, &h->scene->input, scene_index(h->scene, "batch"), &changed),
		0);
	CU_ASSERT_EQUAL_FATAL(changed.count, 3);
	CU_ASSERT_EQUAL(changed.changes[0].from.u64, 15000000);
	CU_ASSERT_EQUAL(changed.changes[0].to.u64, 10240000);
	NET(0, KNOB_NET_IN,
	    "10240000 (class bronze: shares network tenant: 10.2Mbit of 15Mbit (reservation 5Mbit, "
	    "weight 1))");
	NET(0, KNOB_NET_OUT,
	    "10000000 (class bronze: throttled to 10Mbit from the guest, level 1000 of 1000)");
	CU_ASSERT_EQUAL(
		plan_refresh_nics(p, &h->scene->input, scene_index(h->scene, "app"), &changed), 0);
	CU_ASSERT_EQUAL(changed.count, 3);
	diff_done(&changed);
	plan_free(p);
	hot_free(h);
}

/* ---- memory ---- */

static void test_balloon(void)
{
	struct hot *h = hot_new();
	struct plan *p;

	caps_of(h, "app")->memory_bytes = 700 * MIB;
	caps_of(h, "app")->level[RESOURCE_MEMORY] = 300;
	caps_of(h, "web")->memory_bytes = GIB;
	guest_of(h, "app")->balloon = GUEST_BALLOON_PLAIN;
	guest_of(h, "web")->balloon = GUEST_BALLOON_SAFE;
	p = plan_of(h); /* not without a balloon that deflates by itself */
	ASSERT_STR(said(h, p, "app", TARGET_GUEST, 0, KNOB_BALLOON), "-");
	ASSERT_STR(said(h, p, "web", TARGET_GUEST, 0, KNOB_BALLOON), "-"); /* rank 0 */
	plan_free(p);
	class_of(h, "silver")->memory.balloon = BALLOON_YES;
	p = plan_of(h);
	ASSERT_STR(
		said(h, p, "app", TARGET_GUEST, 0, KNOB_BALLOON),
		"738197504 (class silver: throttled to 704MiB of its memory, level 300 of 1000)");
	plan_free(p);
	caps_of(h, "app")->memory_bytes = 0; /* the floor is half */
	p = plan_of(h);
	CU_ASSERT_EQUAL(entry(h, p, "app", TARGET_GUEST, 0, KNOB_BALLOON)->want.u64, 512 * MIB);
	plan_free(p);
	class_of(h, "silver")->memory.reservation = (struct amount){ false, 900 * MIB };
	p = plan_of(h);
	CU_ASSERT_EQUAL(entry(h, p, "app", TARGET_GUEST, 0, KNOB_BALLOON)->want.u64, 912 * MIB);
	plan_free(p);
	class_of(h, "silver")->memory.balloon = BALLOON_NO;
	p = plan_of(h);
	ASSERT_STR(said(h, p, "app", TARGET_GUEST, 0, KNOB_BALLOON), "-");
	plan_free(p);
	hot_free(h);
}

static void test_freeze(void)
{
	struct hot *h = hot_new();
	struct plan *p;

	for (size_t i = 0; i < GUESTS_MAX; i++)
		h->caps[i].freeze = true;
	class_of(h, "gold")->memory.freeze = 1;
	class_of(h, "bronze")->memory.freeze = 1;
	p = plan_of(h);
	ASSERT_STR(said(h, p, "web", TARGET_GUEST, 0, KNOB_FREEZE), "-"); /* rank 0 */
	ASSERT_STR(said(h, p, "app", TARGET_GUEST, 0, KNOB_FREEZE), "-"); /* its class says no */
	ASSERT_STR(said(h, p, "batch", TARGET_GUEST, 0, KNOB_FREEZE),
		   "1 (class bronze: stopped as the last resort, memory at level 1000 of 1000)");
	plan_free(p);
	guest_of(h, "batch")->disks[1].rbd = true;
	p = plan_of(h);
	ASSERT_STR(said(h, p, "batch", TARGET_GUEST, 0, KNOB_FREEZE), "-");
	plan_free(p);
	hot_free(h);
}

/* ---- giving back ---- */

static void test_given_back(void)
{
	struct hot *h = hot_new();
	struct baseline *b = must(baseline_new());
	struct guest *g = guest_of(h, "batch");
	struct target disk = { .kind = TARGET_DISK, .index = 0, .guest_id = g->id, .guest = g };
	struct target whole = { .kind = TARGET_GUEST, .guest_id = g->id, .guest = g };
	struct knob_value before = knob_u64(777), weight = knob_u64(123);
	struct plan *p;

	CU_ASSERT_EQUAL(baseline_put(b, &disk, KNOB_DISK_TOTAL_IOPS, &before), 1);
	CU_ASSERT_EQUAL(baseline_put(b, &whole, KNOB_CPU_WEIGHT, &weight), 1);
	caps_of(h, "batch")->disk_iops = 60;
	p = plan_of(h); /* while it is wanted, it is wanted */
	CU_ASSERT_EQUAL(baseline_plan_orphans(b, &h->scene->input, p), 0);
	plan_free(p);
	caps_of(h, "batch")->disk_iops = THROTTLE_NONE;
	p = plan_of(h);
	CU_ASSERT_EQUAL(baseline_plan_orphans(b, &h->scene->input, p), 1);
	ASSERT_STR(said(h, p, "batch", TARGET_DISK, 0, KNOB_DISK_TOTAL_IOPS),
		   "777 (released: as it was before qosd)");
	plan_free(p);
	p = plan_of(h); /* the operator's word goes before */
	h->scene->treatment[scene_index(h->scene, "batch")] = GUEST_HELD;
	CU_ASSERT_EQUAL(baseline_plan_orphans(b, &h->scene->input, p), 0);
	plan_free(p);
	baseline_mark(b, &disk, KNOB_DISK_TOTAL_IOPS);
	CU_ASSERT_EQUAL(baseline_sweep(b), 1);
	CU_ASSERT_PTR_NULL(baseline_get(b, &disk, KNOB_DISK_TOTAL_IOPS));
	CU_ASSERT_PTR_NOT_NULL(baseline_get(b, &whole, KNOB_CPU_WEIGHT));
	baseline_free(b);
	hot_free(h);
}

static const struct test tests[] = {
	{ "a CPU cap lowers the quota and ends the burst", test_cpu_cap },
	{ "quotas are even and never too small", test_cpu_quota_bounds },
	{ "a soft throttle keeps reservations", test_soft_weight },
	{ "... and floors", test_soft_weight_keeps_floors },
	{ "... and leaves other weights alone", test_soft_weight_is_alone },
	{ "an idle class has weight 0", test_idle },
	{ "a network cap is shared by the cards", test_net_cap },
	{ "cards of a shared uplink", test_net_parts },
	{ "the balloon, where it is allowed", test_balloon },
	{ "freezing, where it is allowed", test_freeze },
	{ "passing knobs are given back", test_given_back },
};

int main(void)
{
	return harness_run("plan_throttle", tests, ARRAY_SIZE(tests));
}
