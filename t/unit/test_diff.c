/* SPDX-License-Identifier: GPL-2.0-or-later */
/* diff - what has to be written, and in which order. */
#include "qosd/core/diff.h"
#include "t/unit/harness.h"
#include "t/unit/make.h"

static struct knob_value value(enum knob_id knob, const char *text)
{
	struct knob_value v = { 0 };

	if (knob_value_parse(knob_get(knob)->type, text, make_room_for_cpus(), &v) < 0)
		abort();
	return v;
}

/* One change; from NULL: not known. */
static void change(struct diff *d, const struct target *t, enum knob_id knob, const char *from,
		   const char *to)
{
	struct plan_entry e = { .target = *t, .knob = knob, .want = value(knob, to) };
	struct knob_value actual;

	if (from)
		actual = value(knob, from);
	CU_ASSERT_EQUAL(diff_entry(d, &e, from ? &actual : NULL), 1);
}

static void assert_order(struct diff *d, const char *const *expected, size_t count)
{
	diff_sort(d);
	CU_ASSERT_EQUAL(d->count, count);
	for (size_t i = 0; i < count; i++) {
		char text[TARGET_TEXT_MAX], to[KNOB_TEXT_MAX],
			line[TARGET_TEXT_MAX + KNOB_TEXT_MAX + 64];
		const struct change *c = &d->changes[i];

		snprintf(line, sizeof(line), "%s %s %s",
			 target_format(&c->target, text, sizeof(text)), knob_get(c->knob)->name,
			 knob_value_format(&c->to, to, sizeof(to)));
		ASSERT_STR(line, expected[i]);
	}
	diff_done(d);
}

static struct guest *guest_a, *guest_b;

static struct target on(const struct guest *g, enum target_kind kind, uint32_t index)
{
	return (struct target){ .kind = kind, .index = index, .guest_id = g->id, .guest = g };
}

static const struct target slice = { .kind = TARGET_CGROUP, .path = "/machine.slice" };
static const struct target scope_a = { .kind = TARGET_CGROUP,
				       .path = "/machine.slice/machine-qemu\\x2d1\\x2da.scope" };

static void test_entry(void)
{
	struct target t = on(guest_a, TARGET_GUEST, 0);
	struct plan_entry e = { .target = t, .knob = KNOB_MEMORY_MIN, .want = knob_u64(4097) };
	struct knob_value actual = knob_u64(4096);
	struct diff d;

	diff_init(&d);
	CU_ASSERT_EQUAL(diff_entry(&d, &e, &actual), 0);
	actual.u64 = 0;
	CU_ASSERT_EQUAL(diff_entry(&d, &e, &actual), 1);
	CU_ASSERT_TRUE(d.changes[0].from_known);
	CU_ASSERT_EQUAL(d.changes[0].from.u64, 0);
	CU_ASSERT_EQUAL(diff_entry(&d, &e, NULL), 1);
	CU_ASSERT_FALSE(d.changes[1].from_known);
	CU_ASSERT_EQUAL(d.changes[1].to.u64, 4097);
	diff_sort(&d);
	diff_done(&d);
	diff_sort(&d);
	diff_done(&d);
}

/* A CPU set is lent to plan and diff only for the call. */
static void test_lent(void)
{
	struct target t = on(guest_a, TARGET_EMULATOR, 0);
	struct cpuset want = { { 1 } }, is = { { 6 } };
	struct knob_value actual = knob_cpuset(&is);
	struct plan *p = must(plan_new());
	struct diff d;

	diff_init(&d);
	CU_ASSERT_EQUAL(
		plan_add(p, &t, KNOB_CPU_AFFINITY, knob_cpuset(&want), (struct reason){ 0 }), 0);
	CU_ASSERT_EQUAL(diff_entry(&d, &p->entries[0], &actual), 1);
	want.bits[0] = is.bits[0] = 0xff;
	CU_ASSERT_EQUAL(p->entries[0].want.cpuset->bits[0], 1);
	CU_ASSERT_EQUAL(d.changes[0].from.cpuset->bits[0], 6);
	CU_ASSERT_EQUAL(d.changes[0].to.cpuset->bits[0], 1);
	CU_ASSERT_EQUAL(diff_entry(&d, &p->entries[0], NULL), 1);
	CU_ASSERT(cpuset_empty(d.changes[1].from.cpuset));
	diff_done(&d);
	plan_free(p);
}

static void test_burst(void)
{
	static const char *const lower[] = { "guest:a cpu.max.burst 1000",
					     "guest:a cpu.max 20000 20000" };
	static const char *const raise[] = { "guest:a cpu.max 50000 20000",
					     "guest:a cpu.max.burst 9000" };
	struct target t = on(guest_a, TARGET_GUEST, 0);
	struct diff d;

	diff_init(&d);
	change(&d, &t, KNOB_CPU_MAX, "90000 20000", "20000 20000");
	change(&d, &t, KNOB_CPU_MAX_BURST, "80000", "1000");
	assert_order(&d, lower, 2);
	change(&d, &t, KNOB_CPU_MAX_BURST, "1000", "9000");
	change(&d, &t, KNOB_CPU_MAX, "1000 20000", "50000 20000");
	assert_order(&d, raise, 2);
}

static void test_tree(void)
{
	static const char *const up[] = {
		"cgroup:/machine.slice memory.min 8192",
		"cgroup:/machine.slice/machine-qemu\\x2d1\\x2da.scope memory.min 8192",
		"guest:a memory.min 8192",
	};
	static const char *const down[] = {
		"guest:a memory.min 0",
		"cgroup:/machine.slice/machine-qemu\\x2d1\\x2da.scope memory.min 0",
		"cgroup:/machine.slice memory.min 0",
	};
	struct target a = on(guest_a, TARGET_GUEST, 0);
	struct diff d;

	diff_init(&d);
	change(&d, &a, KNOB_MEMORY_MIN, "0", "8192");
	change(&d, &slice, KNOB_MEMORY_MIN, "0", "8192");
	change(&d, &scope_a, KNOB_MEMORY_MIN, "0", "8192");
	assert_order(&d, up, 3);
	change(&d, &slice, KNOB_MEMORY_MIN, "8192", "0");
	change(&d, &a, KNOB_MEMORY_MIN, "8192", "0");
	change(&d, &scope_a, KNOB_MEMORY_MIN, "8192", "0");
	assert_order(&d, down, 3);
}

/* One guest gives memory back, another gets it: first down, then up. */
static void test_narrow_first(void)
{
	static const char *const order[] = {
		"guest:a memory.min 0",
		"cgroup:/machine.slice memory.min 16384",
		"guest:b memory.min 8192",
	};
	struct target a = on(guest_a, TARGET_GUEST, 0), b = on(guest_b, TARGET_GUEST, 0);
	struct diff d;

	diff_init(&d);
	change(&d, &b, KNOB_MEMORY_MIN, "0", "8192");
	change(&d, &slice, KNOB_MEMORY_MIN, "12288", "16384");
	change(&d, &a, KNOB_MEMORY_MIN, "8192", "0");
	assert_order(&d, order, 3);
}

static void test_cores(void)
{
	static const char *const claim[] = {
		"guest:b/vcpu0 cpu.affinity 0-5", /* releases 6 and 7 */
		"guest:a/vcpu0 cpu.affinity 6",   /* then they are claimed */
		"guest:a/vcpu1 cpu.affinity 7",
	};
	static const char *const give_back[] = {
		"guest:a/vcpu0 cpu.affinity 5",     /* moves away from 6 */
		"guest:b/vcpu0 cpu.affinity 0-4,6", /* takes it */
	};
	static const char *const widen[] = {
		"guest:a/vcpu1 cpu.affinity 4",     /* leaves 7 */
		"guest:b/vcpu0 cpu.affinity 0-5,7", /* grows into it */
	};
	struct target a0 = on(guest_a, TARGET_VCPU, 0), a1 = on(guest_a, TARGET_VCPU, 1);
	struct target b0 = on(guest_b, TARGET_VCPU, 0);
	struct diff d;

	diff_init(&d);
	change(&d, &a0, KNOB_CPU_AFFINITY, "0-7", "6");
	change(&d, &a1, KNOB_CPU_AFFINITY, "0-7", "7");
	change(&d, &b0, KNOB_CPU_AFFINITY, "0-7", "0-5");
	assert_order(&d, claim, 3);
	change(&d, &b0, KNOB_CPU_AFFINITY, "0-4", "0-4,6");
	change(&d, &a0, KNOB_CPU_AFFINITY, "6", "5");
	assert_order(&d, give_back, 2);
	change(&d, &b0, KNOB_CPU_AFFINITY, "0-5", "0-5,7");
	change(&d, &a1, KNOB_CPU_AFFINITY, "7", "4");
	assert_order(&d, widen, 2);
}

static void test_unknown(void)
{
	static const char *const order[] = {
		"guest:b/vcpu0 cpu.affinity 0-5",
		"guest:a/vcpu0 cpu.affinity 6",
		"guest:a cpu.max.burst 0",
		"guest:a cpu.max 20000 20000",
		"guest:a/vnet0 net.in 1000",
		"guest:a memory.swap.max 0",
		"cgroup:/machine.slice memory.min 4096",
		"guest:a memory.min 4096",
	};
	struct target a = on(guest_a, TARGET_GUEST, 0), a0 = on(guest_a, TARGET_VCPU, 0);
	struct target b0 = on(guest_b, TARGET_VCPU, 0), nic = on(guest_a, TARGET_NIC, 0);
	struct diff d;

	diff_init(&d);
	change(&d, &a, KNOB_MEMORY_MIN, NULL, "4096");
	change(&d, &slice, KNOB_MEMORY_MIN, NULL, "4096");
	change(&d, &a, KNOB_CPU_MAX, NULL, "20000 20000");
	change(&d, &a, KNOB_CPU_MAX_BURST, NULL, "0");
	change(&d, &nic, KNOB_NET_IN, NULL, "1000");
	change(&d, &a, KNOB_SWAP_MAX, NULL, "0");
	change(&d, &a0, KNOB_CPU_AFFINITY, NULL, "6");
	change(&d, &b0, KNOB_CPU_AFFINITY, NULL, "0-5");
	assert_order(&d, order, ARRAY_SIZE(order));
}

/*
 * Property: while random plans follow each other, written in order, the sum of the guests never
 * passes the slice's memory.min on the way, and nobody's burst passes its quota.
 */
struct model {
	uint64_t min[8], slice_min, quota[8], burst[8];
};

static void write_one(struct model *m, const struct change *c)
{
	uint32_t i = c->target.guest_id;

	if (c->target.kind == TARGET_CGROUP)
		m->slice_min = c->to.u64;
	else if (c->knob == KNOB_MEMORY_MIN)
		m->min[i] = c->to.u64;
	else if (c->knob == KNOB_CPU_MAX)
		m->quota[i] = c->to.quota_us;
	else
		m->burst[i] = c->to.u64;
}

static void compare_to(struct diff *d, const struct target *t, enum knob_id knob,
		       struct knob_value from, struct knob_value to)
{
	struct plan_entry e = { .target = *t, .knob = knob, .want = to };

	if (diff_entry(d, &e, &from) < 0)
		abort();
}

static void make_diff(struct diff *d, const struct model *from, const struct model *to)
{
	compare_to(d, &slice, KNOB_MEMORY_MIN, knob_u64(from->slice_min), knob_u64(to->slice_min));
	for (uint32_t i = 0; i < 8; i++) {
		struct target t = on(guest_a, TARGET_GUEST, 0);

		t.guest_id = i;
		compare_to(d, &t, KNOB_MEMORY_MIN, knob_u64(from->min[i]), knob_u64(to->min[i]));
		compare_to(d, &t, KNOB_CPU_MAX_BURST, knob_u64(from->burst[i]),
			   knob_u64(to->burst[i]));
		compare_to(d, &t, KNOB_CPU_MAX, knob_quota(from->quota[i], 20000),
			   knob_quota(to->quota[i], 20000));
	}
}

static void random_model(struct model *m, uint64_t *seed)
{
	m->slice_min = 0;
	for (size_t i = 0; i < 8; i++) {
		m->min[i] = 4096 * (next_random(seed) % 10);
		m->slice_min += m->min[i];
		m->quota[i] = 1000 + next_random(seed) % 20000;
		m->burst[i] = next_random(seed) % m->quota[i];
	}
}

static void test_on_the_way(void)
{
	uint64_t seed = 3;
	struct model now = { .slice_min = 0 }, next;

	for (size_t i = 0; i < 8; i++)
		now.quota[i] = 1000;
	for (int round = 0; round < 500; round++) {
		struct diff d;

		random_model(&next, &seed);
		diff_init(&d);
		make_diff(&d, &now, &next);
		diff_sort(&d);
		for (size_t k = 0; k < d.count; k++) {
			uint64_t sum = 0;

			write_one(&now, &d.changes[k]);
			for (size_t i = 0; i < 8; i++) {
				sum += now.min[i];
				CU_ASSERT(now.burst[i] <= now.quota[i]);
			}
			CU_ASSERT(sum <= now.slice_min);
		}
		CU_ASSERT_EQUAL(memcmp(&now, &next, sizeof(now)), 0);
		diff_done(&d);
	}
}

static const struct test tests[] = {
	{ "one entry", test_entry },
	{ "CPU sets are copied", test_lent },
	{ "burst and quota", test_burst },
	{ "up from the root, down from the leaves", test_tree },
	{ "give before take", test_narrow_first },
	{ "release cores before claiming them", test_cores },
	{ "values that could not be read", test_unknown },
	{ "nothing is broken on the way", test_on_the_way },
};

int main(void)
{
	int r;

	guest_a = make_guest("a", 1, 2, GIB);
	guest_b = make_guest("b", 2, 2, GIB);
	make_nic(guest_a, "vnet0", 5);
	r = harness_run("diff", tests, ARRAY_SIZE(tests));
	guest_unref(guest_a);
	guest_unref(guest_b);
	return r;
}
