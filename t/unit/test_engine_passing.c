/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_engine_passing - knobs that are planned only while wanted get their values of before back.
 */
#include "t/unit/engine_bench.h"

#define SLOW                                                                                       \
	"{ name = \"slow\"; rank = 2; disk = { total_iops = 100; }; }, "                           \
	"{ name = \"ways\"; rank = 3; disk = { read_iops = 50; write_iops = 60; }; }"

static void add_disk(struct bench *b, const char *name)
{
	struct guest *g = must(inventory_find(b->running, name));

	g->disks = must(calloc(1, sizeof(*g->disks)));
	g->ndisks = 1;
	strcpy(g->disks[0].target, "vda");
	g->disks[0].fixed = true;
}

static struct bench *bench_disk(const char *mode)
{
	struct bench *b = bench_new(mode);

	bench_guest(b, "web1", 1, 2, 2 * GIB, "silver");
	add_disk(b, "web1");
	bench_publish(b);
	bench_settle(b);
	return b;
}

static const char *total(struct bench *b)
{
	return bench_value(b, "web1", TARGET_DISK, 0, KNOB_DISK_TOTAL_IOPS);
}

static size_t baselines_of(struct bench *b, enum knob_id knob)
{
	size_t n = 0;

	for (size_t i = 0; i < baseline_count(b->e->baseline); i++)
		n += baseline_at(b->e->baseline, i)->knob == knob;
	return n;
}

/* A card's burst goes back to what every limit keeps, and nothing of it is remembered. */
static void test_burst(void)
{
	struct bench *b = bench_new(
		BENCH_POLICY("enforce", "{ name = \"quick\"; rank = 2;"
					" net = { limit = \"10Mbit\"; burst = \"50ms\"; }; }"));

	bench_guest(b, "web1", 1, 2, 2 * GIB, "silver");
	bench_publish(b);
	bench_settle(b);
	CU_ASSERT_EQUAL(baselines_of(b, KNOB_NET_BURST), 0);
	bench_set_class(b, "web1", "quick");
	bench_settle(b);
	ASSERT_STR(bench_value(b, "web1", TARGET_NIC, 0, KNOB_NET_BURST), "50000");
	CU_ASSERT_EQUAL(baselines_of(b, KNOB_NET_BURST), 1);
	bench_set_class(b, "web1", "silver");
	bench_settle(b);
	ASSERT_STR(bench_value(b, "web1", TARGET_NIC, 0, KNOB_NET_BURST), "5000");
	CU_ASSERT_EQUAL(baselines_of(b, KNOB_NET_BURST), 0);
	bench_free(b);
}

static void test_back(void)
{
	struct bench *b = bench_disk(BENCH_POLICY("enforce", SLOW));

	bench_meddle(b, "web1", TARGET_DISK, 0, KNOB_DISK_TOTAL_IOPS, "777");
	bench_drift(b);
	ASSERT_STR(total(b), "777"); /* a class without limits leaves others' alone */
	CU_ASSERT_EQUAL(b->e->repaired, 0);
	bench_set_class(b, "web1", "slow");
	bench_settle(b);
	ASSERT_STR(total(b), "100");
	CU_ASSERT_EQUAL(baselines_of(b, KNOB_DISK_TOTAL_IOPS), 1);
	bench_set_class(b, "web1", "ways");
	bench_settle(b);
	ASSERT_STR(bench_value(b, "web1", TARGET_DISK, 0, KNOB_DISK_WRITE_IOPS), "60");
	ASSERT_STR(total(b), "max");
	bench_set_class(b, "web1", "silver");
	bench_settle(b);
	bench_turn(b);
	ASSERT_STR(total(b), "777");
	ASSERT_STR(bench_value(b, "web1", TARGET_DISK, 0, KNOB_DISK_WRITE_IOPS), "max");
	CU_ASSERT_EQUAL(baselines_of(b, KNOB_DISK_TOTAL_IOPS), 0);
	/* From here it is the operator's again. */
	bench_meddle(b, "web1", TARGET_DISK, 0, KNOB_DISK_TOTAL_IOPS, "55");
	bench_drift(b);
	ASSERT_STR(total(b), "55");
	bench_free(b);
}

static void test_back_by_worker(void)
{
	struct bench *b = bench_disk(BENCH_POLICY("enforce", SLOW));

	b->fakes[ADAPTER_LIBVIRT].async = true;
	bench_set_class(b, "web1", "slow");
	bench_settle(b);
	ASSERT_STR(total(b), "100");
	bench_set_class(b, "web1", "silver");
	bench_settle(b);
	bench_turn(b);
	ASSERT_STR(total(b), "max");
	CU_ASSERT_EQUAL(baselines_of(b, KNOB_DISK_TOTAL_IOPS), 0);
	bench_free(b);
}

/* Killed while it held, and started anew with another class: the file remembers. */
static void test_back_after_restart(void)
{
	struct bench *b = bench_disk(BENCH_POLICY("enforce", SLOW));

	bench_meddle(b, "web1", TARGET_DISK, 0, KNOB_DISK_TOTAL_IOPS, "777");
	bench_set_class(b, "web1", "slow");
	bench_settle(b);
	bench_kill(b);
	bench_boot(b);
	bench_set_class(b, "web1", "silver");
	bench_settle(b);
	bench_turn(b);
	ASSERT_STR(total(b), "777");
	bench_free(b);
}

static void test_released(void)
{
	struct bench *b = bench_disk(BENCH_POLICY("enforce", SLOW));

	bench_meddle(b, "web1", TARGET_DISK, 0, KNOB_DISK_TOTAL_IOPS, "777");
	bench_set_class(b, "web1", "ways");
	bench_settle(b);
	CU_ASSERT_EQUAL(engine_release(b->e, NULL, NULL), 0);
	bench_settle(b);
	ASSERT_STR(total(b), "777");
	ASSERT_STR(bench_value(b, "web1", TARGET_DISK, 0, KNOB_DISK_READ_IOPS), "max");
	CU_ASSERT_FALSE(engine_releasing(b->e));
	bench_free(b);
}

/* Somebody sets what qosd had found as it wants it: that is not the value of before. */
static void test_foreign(void)
{
	struct bench *b = bench_disk(BENCH_POLICY("enforce", SLOW));

	bench_meddle(b, "web1", TARGET_DISK, 0, KNOB_DISK_TOTAL_IOPS, "777");
	bench_set_class(b, "web1", "slow");
	bench_settle(b);
	bench_pass(b, BENCH_GROWN_US);
	bench_meddle(b, "web1", TARGET_DISK, 0, KNOB_DISK_READ_IOPS, "999");
	bench_drift(b);
	CU_ASSERT_EQUAL(b->e->repaired, 1);
	bench_set_class(b, "web1", "silver");
	bench_settle(b);
	bench_turn(b);
	ASSERT_STR(total(b), "777");
	ASSERT_STR(bench_value(b, "web1", TARGET_DISK, 0, KNOB_DISK_READ_IOPS), "max");
	bench_free(b);
}

/* What cannot be given back now stays remembered. */
static void test_back_fails(void)
{
	struct bench *b = bench_disk(BENCH_POLICY("enforce", SLOW));

	bench_set_class(b, "web1", "slow");
	bench_settle(b);
	b->fakes[ADAPTER_LIBVIRT].fail[KNOB_DISK_TOTAL_IOPS] = -EIO;
	bench_set_class(b, "web1", "silver");
	bench_settle(b);
	CU_ASSERT_EQUAL(baselines_of(b, KNOB_DISK_TOTAL_IOPS), 1);
	b->fakes[ADAPTER_LIBVIRT].fail[KNOB_DISK_TOTAL_IOPS] = 0;
	bench_pass(b, 60000000);
	bench_turn(b);
	ASSERT_STR(total(b), "max");
	CU_ASSERT_EQUAL(baselines_of(b, KNOB_DISK_TOTAL_IOPS), 0);
	bench_free(b);
}

/* What was given back is forgotten for the next daemon too. */
static void test_forgotten_on_disk(void)
{
	struct bench *b = bench_disk(BENCH_POLICY("enforce", SLOW));

	bench_set_class(b, "web1", "slow");
	bench_settle(b);
	bench_set_class(b, "web1", "silver");
	bench_settle(b);
	ASSERT_STR(total(b), "max");
	bench_drift(b);
	bench_kill(b);
	bench_meddle(b, "web1", TARGET_DISK, 0, KNOB_DISK_TOTAL_IOPS, "55");
	bench_boot(b);
	bench_publish(b);
	bench_settle(b);
	bench_drift(b);
	ASSERT_STR(total(b), "55");
	bench_free(b);
}

static void plug(struct bench *b, bool in)
{
	struct guest *g = must(guest_with_class(inventory_find(b->running, "web1"), "slow"));

	free(g->disks);
	free(g->rbds);
	g->disks = NULL;
	g->rbds = NULL;
	g->ndisks = g->nrbds = 0;
	CU_ASSERT_EQUAL(inventory_replace(b->running, g), 0);
	guest_unref(g);
	if (in)
		add_disk(b, "web1");
	bench_publish(b);
	bench_settle(b);
}

/* A disk is unplugged while it is held back, and another of that name comes in its place. */
static void test_unplugged(void)
{
	struct bench *b = bench_disk(BENCH_POLICY("enforce", SLOW));
	struct target t;

	bench_meddle(b, "web1", TARGET_DISK, 0, KNOB_DISK_TOTAL_IOPS, "777");
	bench_set_class(b, "web1", "slow");
	bench_settle(b);
	plug(b, false);
	CU_ASSERT_EQUAL(baselines_of(b, KNOB_DISK_TOTAL_IOPS), 0);
	t = bench_target(b, "web1", TARGET_DISK, 0);
	world_set(&b->world, &t, KNOB_DISK_TOTAL_IOPS, knob_u64(KNOB_MAX));
	plug(b, true);
	ASSERT_STR(total(b), "100");
	bench_set_class(b, "web1", "silver");
	bench_settle(b);
	bench_turn(b);
	ASSERT_STR(total(b), "max");
	bench_free(b);
}

/* web1 has one disk, vda: this image. */
static void plug_image(struct bench *b, const char *image)
{
	struct guest *old = must(inventory_find(b->running, "web1"));
	struct guest *g = must(guest_with_class(old, "silver"));

	free(g->disks);
	free(g->rbds);
	g->disks = must(calloc(1, sizeof(*g->disks)));
	g->rbds = must(calloc(1, sizeof(*g->rbds)));
	g->ndisks = g->nrbds = 1;
	g->disks[0] = (struct guest_disk){ .target = "vda", .rbd = true, .fixed = true };
	g->rbds[0] = (struct guest_rbd){ .pool = "vms" };
	strcpy(g->rbds[0].image, image);
	if (inventory_replace(b->running, g) < 0)
		abort();
	guest_unref(g);
	bench_publish(b);
}

/* librbd's values went with the client of the image; libvirt's with the disk, bursts too. */
static void test_other_image(void)
{
	struct bench *b = bench_disk(BENCH_POLICY("enforce", SLOW));
	struct knob_value before = knob_u64(777);
	struct target t;

	plug_image(b, "disk-1");
	bench_settle(b);
	t = bench_target(b, "web1", TARGET_DISK, 0);
	CU_ASSERT_EQUAL(baseline_put(b->e->baseline, &t, KNOB_RBD_TOTAL_IOPS, &before), 1);
	CU_ASSERT_EQUAL(baseline_put(b->e->baseline, &t, KNOB_RBD_BURST_S, &before), 1);
	CU_ASSERT_EQUAL(baseline_put(b->e->baseline, &t, KNOB_DISK_BURST_S, &before), 1);
	plug_image(b, "disk-1");
	CU_ASSERT_EQUAL(baselines_of(b, KNOB_RBD_BURST_S), 1);
	plug_image(b, "disk-2");
	CU_ASSERT_EQUAL(baselines_of(b, KNOB_RBD_TOTAL_IOPS), 0);
	CU_ASSERT_EQUAL(baselines_of(b, KNOB_RBD_BURST_S), 0);
	CU_ASSERT_EQUAL(baselines_of(b, KNOB_DISK_BURST_S), 1);
	plug(b, false);
	CU_ASSERT_EQUAL(baselines_of(b, KNOB_DISK_BURST_S), 0);
	bench_free(b);
}

static const struct test tests[] = {
	{ "given back when no longer wanted", test_back },
	{ "a card's burst", test_burst },
	{ "... by a worker", test_back_by_worker },
	{ "... after a restart", test_back_after_restart },
	{ "... by release", test_released },
	{ "... when it can be", test_back_fails },
	{ "... and not what came in between", test_foreign },
	{ "... and forgotten on disk as well", test_forgotten_on_disk },
	{ "a disk is unplugged", test_unplugged },
	{ "another image behind a disk", test_other_image },
};

int main(void)
{
	return harness_run("engine passing", tests, ARRAY_SIZE(tests));
}
