/* SPDX-License-Identifier: GPL-2.0-or-later */
/* diskshare - worked examples of rounds; its laws are in test_diskshare_law.c. */
#include "t/unit/diskshare_model.h"

static void assert_near(uint64_t value, uint64_t wanted, uint64_t percent)
{
	CU_ASSERT(value * 100 >= wanted * (100 - percent));
	CU_ASSERT(value * 100 <= wanted * (100 + percent));
	if (value * 100 < wanted * (100 - percent) || value * 100 > wanted * (100 + percent))
		fprintf(stderr, "# %lu is not %lu\n", (unsigned long)value, (unsigned long)wanted);
}

/* ---- examples ---- */

static void test_fits(void)
{
	struct model m = model_new(200);

	add(&m, 70, 300);
	add(&m, 60, 100);
	run(&m, 30);
	CU_ASSERT_EQUAL(m.changes, 0);
	CU_ASSERT(all_free(&m));
	CU_ASSERT_EQUAL(got(&m), 130);
	diskshare_free(m.shares);
}

static void test_weights(void)
{
	struct model m = model_new(200);
	unsigned int changes;

	m.carries = 300;
	add(&m, 1000, 300);
	add(&m, 1000, 100);
	run(&m, SETTLED);
	assert_near(m.disks[0].got, 150, 5);
	assert_near(m.disks[1].got, 50, 5);
	assert_near(got(&m), 200, 5);
	changes = m.changes;
	run(&m, 60);
	CU_ASSERT_EQUAL(m.changes, changes);
	CU_ASSERT(changes <= 4);
	diskshare_free(m.shares);
}

/* Bytes are divided as operations are, and by themselves. */
static void test_bytes(void)
{
	struct model m = model_new(800000000);

	m.unit = DISKSHARE_BPS;
	add(&m, 2000000000, 400);
	add(&m, 2000000000, 100);
	run(&m, SETTLED);
	assert_near(m.disks[0].got, 640000000, 5);
	assert_near(m.disks[1].got, 160000000, 5);
	CU_ASSERT_EQUAL(m.out.parts[0].rate[DISKSHARE_IOPS], DISKSHARE_FREE);
	CU_ASSERT(m.out.contended[DISKSHARE_BPS] && !m.out.contended[DISKSHARE_IOPS]);
	diskshare_free(m.shares);
}

static void test_light(void)
{
	struct model m = model_new(200);

	add(&m, 1000, 100);
	for (size_t i = 0; i < 3; i++)
		add(&m, 10, 100);
	for (unsigned int s = 0; s < 30; s++) {
		run(&m, 1);
		for (size_t i = 1; i < m.n; i++)
			CU_ASSERT_EQUAL(part(&m, i), DISKSHARE_FREE);
	}
	CU_ASSERT(m.disks[0].got >= 155 && m.disks[0].got <= 170);
	diskshare_free(m.shares);
}

static void test_alone(void)
{
	struct model m = model_new(200);

	add(&m, 1000, 100);
	run(&m, SETTLED);
	CU_ASSERT_EQUAL(m.disks[0].got, 200);
	m.disks[0].offered = 100;
	run(&m, SETTLED);
	CU_ASSERT(all_free(&m));
	diskshare_free(m.shares);
}

/* Its own limit holds it, so it needs no part, and the other one gets what is left. */
static void test_limit(void)
{
	struct model m = model_new(200);

	m.disks[add(&m, 1000, 1000)].limit = 30;
	add(&m, 1000, 1);
	run(&m, SETTLED);
	CU_ASSERT_EQUAL(part(&m, 0), DISKSHARE_FREE);
	assert_near(m.disks[1].got, 170, 5);
	diskshare_free(m.shares);
}

static void test_floors(void)
{
	struct model m = model_new(200), narrow = model_new(200);

	m.disks[add(&m, 1000, 1)].floor = 50;
	m.disks[add(&m, 1000, 99)].floor = 50;
	add(&m, 1000, 1);
	run(&m, SETTLED);
	CU_ASSERT_EQUAL(part(&m, 0), 50);
	assert_near(part(&m, 1), 148, 5);
	CU_ASSERT(part(&m, 2) >= 1 && part(&m, 2) <= 2);
	diskshare_free(m.shares);
	for (size_t i = 0; i < 10; i++) /* 500 in all */
		narrow.disks[add(&narrow, 1000, 1 + (uint32_t)i)].floor = 50;
	run(&narrow, SETTLED);
	for (size_t i = 0; i < 10; i++)
		CU_ASSERT_EQUAL(part(&narrow, i), 20);
	diskshare_free(narrow.shares);
}

/* As many kinds of floors as disks: still floors are kept and no more is given than there is. */
static void test_many_floors(void)
{
	struct model m = model_new(1000);

	for (size_t i = 0; i < DISKS_MAX; i++)
		m.disks[add(&m, 10000, 1u << i / 2)].floor = 40;
	run(&m, SETTLED);
	CU_ASSERT(got(&m) <= 1050);
	CU_ASSERT(got(&m) >= 900);
	for (size_t i = 0; i < DISKS_MAX; i++)
		CU_ASSERT(part(&m, i) >= 36);
	diskshare_free(m.shares);
}

/* It is not held, and takes nothing of what the others have by weight. */
static void test_exempt(void)
{
	struct model m = model_new(210);

	m.disks[add(&m, 120, 100)].exempt = true;
	add(&m, 1000, 100);
	add(&m, 1000, 100);
	run(&m, SETTLED);
	CU_ASSERT_EQUAL(part(&m, 0), DISKSHARE_FREE);
	CU_ASSERT_EQUAL(m.disks[0].got, 120);
	assert_near(m.disks[1].got, 70, 5);
	assert_near(m.disks[2].got, 70, 5);
	m.disks[0].offered = 20;
	run(&m, SETTLED);
	assert_near(m.disks[1].got, 92, 10);
	diskshare_free(m.shares);
}

/* ---- changes ---- */

static void test_end(void)
{
	struct model m = model_new(200);

	add(&m, 1000, 100);
	add(&m, 1000, 100);
	run(&m, SETTLED);
	CU_ASSERT(!all_free(&m));
	m.disks[0].offered = m.disks[1].offered = 5;
	run(&m, 8);
	CU_ASSERT(all_free(&m));
	CU_ASSERT(!m.out.contended[DISKSHARE_IOPS]);
	diskshare_free(m.shares);
}

/* A light disk's ups and downs move the part of a heavy one by less than is worth a change. */
static void test_small_moves(void)
{
	struct model m = model_new(200);
	unsigned int changes;

	add(&m, 1000, 100);
	add(&m, 10, 100);
	run(&m, SETTLED);
	changes = m.changes;
	for (unsigned int s = 0; s < 40; s++) {
		m.disks[1].offered = s / 3 % 2 ? 16 : 10;
		run(&m, 1);
	}
	CU_ASSERT_EQUAL(m.changes, changes);
	diskshare_free(m.shares);
}

/* What one gives up goes to the others at once, and stays theirs although use lags behind. */
static void test_no_swing(void)
{
	struct model m = model_new(300);
	uint64_t before;

	for (size_t i = 0; i < 3; i++)
		add(&m, 1000, 100);
	run(&m, SETTLED);
	m.disks[2].offered = 2;
	before = part(&m, 0);
	for (unsigned int s = 0; s < 20; s++) {
		run(&m, 1);
		CU_ASSERT(part(&m, 0) >= before);
		before = part(&m, 0);
	}
	CU_ASSERT(before >= 140 && before <= 155);
	diskshare_free(m.shares);
}

/* Who was held and rests has room for what its weight gives it, until it rests for long. */
static void test_wakes(void)
{
	struct model m = model_new(300);

	for (size_t i = 0; i < 3; i++)
		add(&m, 1000, 100);
	run(&m, SETTLED);
	m.disks[2].offered = 0;
	run(&m, 6);
	m.disks[2].offered = 1000;
	run(&m, 1);
	CU_ASSERT(m.disks[2].got >= 90);
	run(&m, SETTLED);
	assert_near(got(&m), 300, 5);
	m.disks[2].offered = 0;
	run(&m, 20);
	CU_ASSERT_EQUAL(part(&m, 2), DISKSHARE_FREE);
	diskshare_free(m.shares);
}

static void test_unknown(void)
{
	struct model m = model_new(200);
	uint64_t parts[2];

	add(&m, 1000, 300);
	add(&m, 1000, 100);
	m.disks[0].hidden = m.disks[1].hidden = true;
	run(&m, 5);
	CU_ASSERT(all_free(&m)); /* of whom nothing is known nothing is taken */
	m.disks[0].hidden = m.disks[1].hidden = false;
	run(&m, SETTLED);
	parts[0] = part(&m, 0);
	parts[1] = part(&m, 1);
	m.disks[0].hidden = m.disks[1].hidden = true;
	run(&m, 60);
	CU_ASSERT_EQUAL(part(&m, 0), parts[0]);
	CU_ASSERT_EQUAL(part(&m, 1), parts[1]);
	diskshare_free(m.shares);
}

static void test_adopted(void)
{
	struct disk_part parts[] = { { .guest_id = 10, .rate = { 150, DISKSHARE_FREE } },
				     { .guest_id = 11, .rate = { 50, DISKSHARE_FREE } } };
	struct model m = model_new(200), gone = model_new(200);

	add(&m, 1000, 300);
	add(&m, 1000, 100);
	m.disks[0].hidden = m.disks[1].hidden = true;
	CU_ASSERT_EQUAL(diskshare_adopt(m.shares, parts, 2), 0);
	run(&m, 3);
	CU_ASSERT_EQUAL(m.changes, 0);
	CU_ASSERT_EQUAL(part(&m, 0), 150);
	m.disks[0].hidden = m.disks[1].hidden = false;
	run(&m, SETTLED);
	CU_ASSERT_EQUAL(m.changes, 0);
	diskshare_free(m.shares);
	/* Nothing is ever counted: they do not stay for good. */
	add(&gone, 0, 300);
	gone.disks[0].hidden = true;
	CU_ASSERT_EQUAL(diskshare_adopt(gone.shares, parts, 2), 0);
	run(&gone, 20);
	CU_ASSERT(all_free(&gone));
	diskshare_free(gone.shares);
}

static void test_not_shared(void)
{
	struct model m = model_new(200);

	add(&m, 1000, 300);
	run(&m, SETTLED);
	CU_ASSERT(!all_free(&m));
	m.capacity = DISKSHARE_FREE;
	run(&m, 1);
	CU_ASSERT(all_free(&m) && !m.out.contended[DISKSHARE_IOPS]);
	diskshare_free(m.shares);
}

static void test_find(void)
{
	struct disk_part items[] = { { .guest_id = 3, .index = 0 },
				     { .guest_id = 3, .index = 2 },
				     { .guest_id = 9, .index = 1 } };
	struct disk_parts parts = { .items = items, .count = 3 };

	CU_ASSERT_PTR_EQUAL(disk_parts_find(&parts, 3, 2), &items[1]);
	CU_ASSERT_PTR_NULL(disk_parts_find(&parts, 3, 1));
	CU_ASSERT_PTR_NULL(disk_parts_find(NULL, 3, 2));
	CU_ASSERT(disk_parts_hold(&parts, 9));
	CU_ASSERT(!disk_parts_hold(&parts, 4) && !disk_parts_hold(NULL, 9));
	disk_parts_free(NULL);
}

int main(void)
{
	static const struct test tests[] = {
		{ "what fits is left alone", test_fits },
		{ "by weight, with few changes", test_weights },
		{ "bytes", test_bytes },
		{ "light disks are not touched", test_light },
		{ "one alone", test_alone },
		{ "a limit of its own", test_limit },
		{ "floors", test_floors },
		{ "floors of many kinds", test_many_floors },
		{ "exempt", test_exempt },
		{ "all are free when it is over", test_end },
		{ "small moves change nothing", test_small_moves },
		{ "no swinging", test_no_swing },
		{ "a disk that was held wakes up", test_wakes },
		{ "without counts", test_unknown },
		{ "adopted", test_adopted },
		{ "no longer shared", test_not_shared },
		{ "finding a part", test_find },
	};

	return harness_run("diskshare", tests, ARRAY_SIZE(tests));
}
