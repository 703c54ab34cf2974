/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Limits of disks in a plan: the class's, what overload leaves of them, and their keys. */
#include "t/unit/plan_bench.h"

static void test_disk_limits(void)
{
	struct hot *h = hot_new();
	struct plan *p = plan_of(h);

	ASSERT_STR(said(h, p, "batch", TARGET_DISK, 0, KNOB_DISK_READ_IOPS), "-");
	plan_free(p);
	class_of(h, "bronze")->disk.read_iops = 100;
	class_of(h, "bronze")->disk.total_bps = 2000000;
	p = plan_of(h);
	ASSERT_STR(said(h, p, "batch", TARGET_DISK, 0, KNOB_DISK_READ_IOPS),
		   "100 (class bronze: limit 100 reads a second)");
	ASSERT_STR(said(h, p, "batch", TARGET_DISK, 0, KNOB_DISK_WRITE_IOPS),
		   "max (class bronze: no limit of its own)");
	ASSERT_STR(said(h, p, "batch", TARGET_DISK, 0, KNOB_DISK_TOTAL_BPS),
		   "2000000 (class bronze: limit 1.9MiB a second in all)");
	/* No CD-ROM. */
	ASSERT_STR(said(h, p, "batch", TARGET_DISK, 1, KNOB_DISK_READ_IOPS), "-");
	plan_free(p);
	hot_free(h);
}

static uint64_t limit_of(struct hot *h, const struct plan *p, enum knob_id knob)
{
	const struct plan_entry *e = entry(h, p, "batch", TARGET_DISK, 0, knob);

	return e ? e->want.u64 : KNOB_MAX;
}

static void assert_unit(struct hot *h, const struct class_disk *d, uint64_t cap)
{
	struct plan *p = plan_of(h);
	uint64_t read = limit_of(h, p, KNOB_DISK_READ_IOPS);
	uint64_t write = limit_of(h, p, KNOB_DISK_WRITE_IOPS);
	uint64_t total = limit_of(h, p, KNOB_DISK_TOTAL_IOPS);
	uint64_t both = read == KNOB_MAX || write == KNOB_MAX ? KNOB_MAX : read + write;
	uint64_t least = both < total ? both : total;

	/* libvirt takes one kind only, and 0 as no limit. */
	CU_ASSERT_TRUE(total == KNOB_MAX || (read == KNOB_MAX && write == KNOB_MAX));
	CU_ASSERT_TRUE(read && write && total);
	/* Never wider than the class, nor than the cap (but for one each way). */
	CU_ASSERT_TRUE((read < total ? read : total) <= d->read_iops);
	CU_ASSERT_TRUE((write < total ? write : total) <= d->write_iops);
	CU_ASSERT_TRUE(least <= d->total_iops);
	/* Where one way alone had no limit, it gets at least half of the cap. */
	if (both != KNOB_MAX && d->write_iops == POLICY_NONE_U64)
		CU_ASSERT_TRUE(write >= cap / 2);
	if (both != KNOB_MAX && d->read_iops == POLICY_NONE_U64)
		CU_ASSERT_TRUE(read >= cap / 2);
	CU_ASSERT_TRUE(cap == THROTTLE_NONE || least <= (cap < 2 ? 2 : cap));
	plan_free(p);
}

static void test_disk_caps(void)
{
	static const uint64_t values[] = { 1, 2, 50, 99, 150, POLICY_NONE_U64 };
	const size_t n = sizeof(values) / sizeof(values[0]);
	struct hot *h = hot_new();
	struct class_disk *d = &class_of(h, "bronze")->disk;

	for (size_t i = 0; i < n * n * n * n; i++) {
		d->read_iops = values[i % n];
		d->write_iops = values[i / n % n];
		d->total_iops = values[i / n / n % n];
		if (d->total_iops != POLICY_NONE_U64)
			d->read_iops = d->write_iops = POLICY_NONE_U64;
		caps_of(h, "batch")->disk_iops = i % 7 ? values[i / n / n / n] : 0;
		assert_unit(h, d, caps_of(h, "batch")->disk_iops);
	}
	hot_free(h);
}

static void test_disk_cap_reason(void)
{
	struct hot *h = hot_new();
	struct plan *p;

	caps_of(h, "batch")->disk_iops = 60;
	caps_of(h, "batch")->disk_bytes_ps = 4 * MIB;
	caps_of(h, "batch")->level[RESOURCE_DISK] = 10;
	p = plan_of(h);
	ASSERT_STR(said(h, p, "batch", TARGET_DISK, 0, KNOB_DISK_TOTAL_IOPS),
		   "60 (class bronze: throttled to 60 operations a second, level 10 of 1000)");
	ASSERT_STR(said(h, p, "batch", TARGET_DISK, 0, KNOB_DISK_TOTAL_BPS),
		   "4194304 (class bronze: throttled to 4MiB a second in all, level 10 of 1000)");
	plan_free(p);
	hot_free(h);
}

/* ---- an RBD disk whose librbd can be asked ---- */

static void make_live(struct hot *h, const char *name, bool live)
{
	h->rbd_live[scene_index(h->scene, name)] = live;
}

static void test_rbd_caps(void)
{
	struct hot *h = hot_new();
	struct plan *p;

	class_of(h, "bronze")->disk.read_iops = 500;
	caps_of(h, "batch")->disk_iops = 60;
	caps_of(h, "batch")->level[RESOURCE_DISK] = 10;
	make_live(h, "batch", true);
	p = plan_of(h);
	/* The class's limit stays with libvirt, the throttle is librbd's. */
	ASSERT_STR(said(h, p, "batch", TARGET_DISK, 0, KNOB_DISK_READ_IOPS),
		   "500 (class bronze: limit 500 reads a second)");
	ASSERT_STR(said(h, p, "batch", TARGET_DISK, 0, KNOB_DISK_TOTAL_IOPS),
		   "max (class bronze: no limit of its own)");
	ASSERT_STR(said(h, p, "batch", TARGET_DISK, 0, KNOB_RBD_TOTAL_IOPS),
		   "60 (class bronze: throttled to 60 operations a second, level 10 of 1000)");
	ASSERT_STR(said(h, p, "batch", TARGET_DISK, 0, KNOB_RBD_READ_BPS), "-");
	plan_free(p);
	/* Without its socket both are libvirt's. */
	make_live(h, "batch", false);
	p = plan_of(h);
	ASSERT_STR(said(h, p, "batch", TARGET_DISK, 0, KNOB_RBD_TOTAL_IOPS), "-");
	ASSERT_STR(said(h, p, "batch", TARGET_DISK, 0, KNOB_DISK_TOTAL_IOPS),
		   "60 (class bronze: throttled to 60 operations a second, level 10 of 1000)");
	plan_free(p);
	hot_free(h);
}

static void test_rbd_limits(void)
{
	struct hot *h = hot_new();
	struct plan *p;

	class_of(h, "bronze")->disk.write_bps = 3000000;
	class_of(h, "bronze")->rbd.qos = RBD_QOS_RBD;
	make_live(h, "batch", true);
	p = plan_of(h);
	ASSERT_STR(said(h, p, "batch", TARGET_DISK, 0, KNOB_RBD_WRITE_BPS),
		   "3000000 (class bronze: limit 2.8MiB a second written)");
	ASSERT_STR(said(h, p, "batch", TARGET_DISK, 0, KNOB_DISK_WRITE_BPS), "-");
	plan_free(p);
	/* A limit holds, also where librbd cannot be asked. */
	make_live(h, "batch", false);
	p = plan_of(h);
	ASSERT_STR(said(h, p, "batch", TARGET_DISK, 0, KNOB_RBD_WRITE_BPS), "-");
	ASSERT_STR(said(h, p, "batch", TARGET_DISK, 0, KNOB_DISK_WRITE_BPS),
		   "3000000 (class bronze: limit 2.8MiB a second written)");
	plan_free(p);
	hot_free(h);
}

/* ---- parts of the host's storage ---- */

static void test_parts(void)
{
	struct disk_part part = { .guest_id = 2, .rate = { 80, 5000000 } }; /* batch, vda */
	struct hot *h = hot_new();
	struct plan *p;

	h->parts =
		(struct disk_parts){ .items = &part, .count = 1, .capacity = { 200, 800000000 } };
	class_of(h, "bronze")->disk.total_iops = 90;
	class_of(h, "bronze")->disk.burst_iops = 900;
	class_of(h, "bronze")->disk.weight = 25;
	p = plan_of(h);
	ASSERT_STR(
		said(h, p, "batch", TARGET_DISK, 0, KNOB_DISK_TOTAL_IOPS),
		"80 (class bronze: share of host.disk: 80 operations a second of 200 (weight 25))");
	ASSERT_STR(said(h, p, "batch", TARGET_DISK, 0, KNOB_DISK_TOTAL_BPS),
		   "5000000 (class bronze: share of host.disk: 4.7MiB a second in all of 800MB/s "
		   "(weight 25))");
	ASSERT_STR(said(h, p, "batch", TARGET_DISK, 0, KNOB_DISK_BURST_IOPS), "-");
	plan_free(p);
	/* The least of class, part and overload holds. */
	caps_of(h, "batch")->disk_iops = 60;
	class_of(h, "bronze")->disk.total_bps = 4000000;
	p = plan_of(h);
	ASSERT_STR(said(h, p, "batch", TARGET_DISK, 0, KNOB_DISK_TOTAL_IOPS),
		   "60 (class bronze: throttled to 60 operations a second, level 1000 of 1000)");
	ASSERT_STR(said(h, p, "batch", TARGET_DISK, 0, KNOB_DISK_TOTAL_BPS),
		   "4000000 (class bronze: limit 3.8MiB a second in all)");
	plan_free(p);
	/* Parts go the way of throttles. */
	caps_of(h, "batch")->disk_iops = THROTTLE_NONE;
	make_live(h, "batch", true);
	p = plan_of(h);
	ASSERT_STR(said(h, p, "batch", TARGET_DISK, 0, KNOB_DISK_TOTAL_IOPS),
		   "90 (class bronze: limit 90 operations a second)");
	ASSERT_STR(
		said(h, p, "batch", TARGET_DISK, 0, KNOB_RBD_TOTAL_IOPS),
		"80 (class bronze: share of host.disk: 80 operations a second of 200 (weight 25))");
	plan_free(p);
	hot_free(h);
}

static void test_bursts(void)
{
	struct hot *h = hot_new();
	struct class_disk *d = &class_of(h, "bronze")->disk;
	struct plan *p;

	d->burst_iops = 900;
	d->burst_us = 5000000;
	p = plan_of(h);
	/* Nothing to go above. */
	ASSERT_STR(said(h, p, "batch", TARGET_DISK, 0, KNOB_DISK_BURST_IOPS), "-");
	plan_free(p);
	d->total_iops = 300;
	p = plan_of(h);
	ASSERT_STR(said(h, p, "batch", TARGET_DISK, 0, KNOB_DISK_BURST_IOPS),
		   "900 (class bronze: burst 900 operations a second)");
	ASSERT_STR(said(h, p, "batch", TARGET_DISK, 0, KNOB_DISK_BURST_S),
		   "5 (class bronze: burst 5 s long)");
	ASSERT_STR(said(h, p, "batch", TARGET_DISK, 0, KNOB_DISK_BURST_BPS), "-");
	plan_free(p);
	/* Who is throttled has no burst. */
	caps_of(h, "batch")->disk_iops = 60;
	p = plan_of(h);
	ASSERT_STR(said(h, p, "batch", TARGET_DISK, 0, KNOB_DISK_BURST_IOPS), "-");
	plan_free(p);
	hot_free(h);
}

static void test_disk_floor(void)
{
	struct qclass c = { .disk = { .read_iops = POLICY_NONE_U64,
				      .write_iops = POLICY_NONE_U64,
				      .total_iops = POLICY_NONE_U64,
				      .read_bps = 1000,
				      .write_bps = 9000,
				      .total_bps = POLICY_NONE_U64,
				      .floor_iops = POLICY_NONE_U64,
				      .floor_bps = POLICY_NONE_U64 } };

	CU_ASSERT_EQUAL(class_disk_limit_iops(&c), UINT64_MAX);
	CU_ASSERT_EQUAL(class_disk_floor_iops(&c), 50);
	CU_ASSERT_EQUAL(class_disk_limit_bytes_ps(&c), 10000);
	CU_ASSERT_EQUAL(class_disk_floor_bytes_ps(&c), 1000);
	c.disk.floor_bps = 20000; /* an override of the limit can get there */
	CU_ASSERT_EQUAL(class_disk_floor_bytes_ps(&c), 10000);
	c.disk.total_iops = 3;
	CU_ASSERT_EQUAL(class_disk_floor_iops(&c), 1);
}

static void test_disk_key(void)
{
	struct hot *h = hot_new();
	struct baseline *b = must(baseline_new()), *again = must(baseline_new());
	struct guest *g = guest_of(h, "batch");
	struct target disk = { .kind = TARGET_DISK, .index = 0, .guest_id = g->id, .guest = g };
	struct knob_value max = knob_u64(KNOB_MAX);
	char line[BASELINE_LINE_MAX], text[TARGET_TEXT_MAX];

	baseline_put(b, &disk, KNOB_DISK_READ_BPS, &max);
	ASSERT_STR(baseline_format_line(baseline_at(b, 0), line, sizeof(line)),
		   "00000000-0000-4000-8000-000000000002@200/disk/vda\tdisk.read_bps\tmax");
	CU_ASSERT_EQUAL(baseline_parse_line(again, line, strlen(line), NULL), 0);
	CU_ASSERT_PTR_NOT_NULL(baseline_get(again, &disk, KNOB_DISK_READ_BPS));
	ASSERT_STR(target_format(&disk, text, sizeof(text)), "guest:batch/vda");
	baseline_free(b);
	baseline_free(again);
	hot_free(h);
}

static const struct test tests[] = {
	{ "disk limits of the class", test_disk_limits },
	{ "disk caps never widen, and suit libvirt", test_disk_caps },
	{ "disk caps say why", test_disk_cap_reason },
	{ "throttles of RBD disks go to librbd", test_rbd_caps },
	{ "limits of RBD disks where the class says so", test_rbd_limits },
	{ "parts of the host's storage", test_parts },
	{ "bursts", test_bursts },
	{ "a disk always keeps something", test_disk_floor },
	{ "a disk's key in the baseline", test_disk_key },
};

int main(void)
{
	return harness_run("plan_disk", tests, ARRAY_SIZE(tests));
}
