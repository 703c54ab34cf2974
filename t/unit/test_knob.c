/* SPDX-License-Identifier: GPL-2.0-or-later */
/* knob - the table, values, kernel rounding, directions. */
#include <errno.h>

#include "qosd/core/knob.h"
#include "t/unit/harness.h"
#include "t/unit/make.h"

static struct knob_value set_value(const char *text)
{
	struct knob_value v = { 0 };

	if (knob_value_parse(KNOB_CPUSET, text, make_room_for_cpus(), &v) < 0)
		abort();
	return v;
}

static void test_table(void)
{
	enum knob_id id;

	for (unsigned int i = 0; i < KNOB_COUNT; i++) {
		const struct knob *k = knob_get(i);

		CU_ASSERT_EQUAL(knob_find(k->name, &id), 0);
		CU_ASSERT_EQUAL(id, i);
		CU_ASSERT(k->order_lower < 100 && k->order_raise > 100);
		CU_ASSERT(k->targets && k->adapter < ADAPTER_COUNT);
		CU_ASSERT(k->unit && k->help && k->help[0]);
	}
	CU_ASSERT_EQUAL(knob_find("cpu.wait", &id), -ENOENT);
	CU_ASSERT_PTR_NULL(knob_get(KNOB_COUNT));
	/* The burst must never be above the quota. */
	CU_ASSERT(knob_get(KNOB_CPU_MAX_BURST)->order_lower < knob_get(KNOB_CPU_MAX)->order_lower);
	CU_ASSERT(knob_get(KNOB_CPU_MAX_BURST)->order_raise > knob_get(KNOB_CPU_MAX)->order_raise);
}

static void test_text(void)
{
	static const struct {
		enum knob_type type;
		const char *text;
	} good[] = {
		{ KNOB_U64, "0" },
		{ KNOB_U64, "max" },
		{ KNOB_U64, "18446744073709551614" },
		{ KNOB_QUOTA, "max 100000" },
		{ KNOB_QUOTA, "50000 20000" },
		{ KNOB_CPUSET, "" },
		{ KNOB_CPUSET, "0-3,8,1023" },
	};
	static const struct {
		enum knob_type type;
		const char *text;
	} bad[] = {
		{ KNOB_U64, "" },
		{ KNOB_U64, "-1" },
		{ KNOB_U64, "1 " },
		{ KNOB_U64, " 1" },
		{ KNOB_U64, "01" },
		{ KNOB_U64, "maximum" },
		{ KNOB_U64, "18446744073709551615" },
		{ KNOB_U64, "99999999999999999999" },
		{ KNOB_QUOTA, "max" },
		{ KNOB_QUOTA, "50000" },
		{ KNOB_QUOTA, "1  2" },
		{ KNOB_QUOTA, "1 max" },
		{ KNOB_QUOTA, "1 2 3" },
		{ KNOB_QUOTA, "1 0" },
		{ KNOB_CPUSET, "1,0" },
		{ KNOB_CPUSET, "0-0" },
		{ KNOB_CPUSET, "0,1" },
		{ KNOB_CPUSET, "1024" },
		{ KNOB_CPUSET, "0\n" },
		{ 17, "0" },
	};
	char again[KNOB_TEXT_MAX];
	struct knob_value v = knob_u64(42);
	struct cpuset room;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		CU_ASSERT_EQUAL(knob_value_parse(bad[i].type, bad[i].text, &room, &v), -EINVAL);
		CU_ASSERT_EQUAL(v.u64, 42);
	}
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		CU_ASSERT_EQUAL(knob_value_parse(good[i].type, good[i].text, &room, &v), 0);
		CU_ASSERT_EQUAL(v.type, good[i].type);
		ASSERT_STR(knob_value_format(&v, again, sizeof(again)), good[i].text);
	}
}

static bool holds(enum knob_id id, struct knob_value want, struct knob_value actual)
{
	return knob_holds(id, &want, &actual);
}

static void test_rounding(void)
{
	CU_ASSERT_TRUE(holds(KNOB_MEMORY_MIN, knob_u64(4097), knob_u64(4096)));
	CU_ASSERT_FALSE(holds(KNOB_MEMORY_MIN, knob_u64(4096), knob_u64(8192)));
	CU_ASSERT_FALSE(holds(KNOB_MEMORY_MIN, knob_u64(8192), knob_u64(4096)));
	CU_ASSERT_TRUE(holds(KNOB_MEMORY_LOW, knob_u64(INT64_MAX), knob_u64(KNOB_MAX)));
	CU_ASSERT_TRUE(holds(KNOB_SWAP_MAX, knob_u64(KNOB_MAX), knob_u64(KNOB_MAX)));
	CU_ASSERT_FALSE(holds(KNOB_SWAP_MAX, knob_u64(KNOB_MAX), knob_u64(0)));
	CU_ASSERT_FALSE(holds(KNOB_CPU_WEIGHT, knob_u64(101), knob_u64(100)));
	CU_ASSERT_TRUE(
		holds(KNOB_CPU_MAX, knob_quota(KNOB_MAX, 100000), knob_quota(KNOB_MAX, 20000)));
	CU_ASSERT_FALSE(holds(KNOB_CPU_MAX, knob_quota(50000, 100000), knob_quota(10000, 20000)));
	CU_ASSERT_FALSE(holds(KNOB_CPU_MAX, knob_quota(1, 1), knob_u64(1)));
	CU_ASSERT_TRUE(holds(KNOB_CPU_AFFINITY, set_value("0-3"), set_value("0-3")));
}

static int direction(struct knob_value from, struct knob_value to)
{
	return knob_direction(&from, &to);
}

static void test_direction(void)
{
	CU_ASSERT(direction(knob_u64(1), knob_u64(2)) > 0);
	CU_ASSERT(direction(knob_u64(KNOB_MAX), knob_u64(2)) < 0);
	CU_ASSERT(direction(knob_u64(2), knob_u64(2)) == 0);
	CU_ASSERT(direction(knob_quota(KNOB_MAX, 100000), knob_quota(90000, 20000)) < 0);
	CU_ASSERT(direction(knob_quota(50000, 100000), knob_quota(20000, 20000)) > 0);
	CU_ASSERT(direction(knob_quota(50000, 100000), knob_quota(10000, 20000)) == 0);
	CU_ASSERT(direction(set_value("0-3"), set_value("1")) < 0);
	CU_ASSERT(direction(set_value("1"), set_value("0-3")) > 0);
	CU_ASSERT(direction(set_value("1"), set_value("2")) == 0);
	CU_ASSERT(direction(set_value("1"), set_value("1")) == 0);
}

static void assert_target(const struct target *t, const char *expected)
{
	char text[TARGET_TEXT_MAX];

	ASSERT_STR(target_format(t, text, sizeof(text)), expected);
}

static void test_targets(void)
{
	struct guest *g = make_guest("web1", 3, 2, GIB);
	struct target t = { .kind = TARGET_GUEST, .guest_id = 3, .guest = g };

	make_nic(g, "vnet0", 7);
	make_nic(g, "", 8);
	assert_target(&t, "guest:web1");
	CU_ASSERT_EQUAL(target_depth(&t), 3);
	t.kind = TARGET_VCPU;
	assert_target(&t, "guest:web1/vcpu0");
	t.kind = TARGET_EMULATOR;
	assert_target(&t, "guest:web1/emulator");
	t.kind = TARGET_NIC;
	assert_target(&t, "guest:web1/vnet0");
	t.index = 1;
	assert_target(&t, "guest:web1/nic1");
	t.index = 2;
	assert_target(&t, "guest:web1/nic2");
	set_text(&g->name, "evil\033[2J\nname");
	t.kind = TARGET_GUEST;
	assert_target(&t, "guest:evil?[2J?name");
	t = (struct target){ .kind = TARGET_CGROUP, .path = "/machine.slice/a.slice" };
	assert_target(&t, "cgroup:/machine.slice/a.slice");
	CU_ASSERT_EQUAL(target_depth(&t), 2);
	guest_unref(g);
}

/* A total order: antisymmetric, transitive by construction of its keys. */
static void test_target_order(void)
{
	const struct target t[] = {
		{ .kind = TARGET_CGROUP, .path = "/a" },
		{ .kind = TARGET_CGROUP, .path = "/a/b" },
		{ .kind = TARGET_GUEST, .guest_id = 1 },
		{ .kind = TARGET_GUEST, .guest_id = 2 },
		{ .kind = TARGET_VCPU, .guest_id = 1, .index = 0 },
		{ .kind = TARGET_VCPU, .guest_id = 1, .index = 1 },
		{ .kind = TARGET_VCPU, .guest_id = 2, .index = 0 },
		{ .kind = TARGET_NIC, .guest_id = 1 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(t); i++)
		for (size_t k = 0; k < ARRAY_SIZE(t); k++) {
			int r = target_compare(&t[i], &t[k]);

			CU_ASSERT((i < k && r < 0) || (i == k && r == 0) || (i > k && r > 0));
		}
}

static const struct test tests[] = {
	{ "the table", test_table },
	{ "text and back, strictly", test_text },
	{ "the kernel's rounding is no drift", test_rounding },
	{ "directions", test_direction },
	{ "targets as text", test_targets },
	{ "targets in order", test_target_order },
};

int main(void)
{
	return harness_run("knob", tests, ARRAY_SIZE(tests));
}
