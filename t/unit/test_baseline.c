/* SPDX-License-Identifier: GPL-2.0-or-later */
/* baseline - first values kept, given back to the same VM only, and the file form. */
#include <errno.h>

#include "qosd/core/baseline.h"
#include "t/unit/harness.h"
#include "t/unit/make.h"

static struct target on(const struct guest *g, enum target_kind kind, uint32_t index)
{
	return (struct target){ .kind = kind, .index = index, .guest_id = g->id, .guest = g };
}

static const struct target slice = { .kind = TARGET_CGROUP, .path = "/machine.slice" };

static int put_u64(struct baseline *b, const struct target *t, enum knob_id knob, uint64_t n)
{
	struct knob_value v = knob_u64(n);

	return baseline_put(b, t, knob, &v);
}

/* Everything of one guest. */
static void put_guest(struct baseline *b, const struct guest *g)
{
	struct target t = on(g, TARGET_GUEST, 0);
	struct knob_value quota = knob_quota(KNOB_MAX, 100000);
	struct cpuset all = { { 0xff } };
	struct knob_value cpus = knob_cpuset(&all);

	CU_ASSERT_EQUAL(put_u64(b, &t, KNOB_CPU_WEIGHT, 100), 1);
	CU_ASSERT_EQUAL(baseline_put(b, &t, KNOB_CPU_MAX, &quota), 1);
	t = on(g, TARGET_VCPU, 1);
	CU_ASSERT_EQUAL(baseline_put(b, &t, KNOB_CPU_AFFINITY, &cpus), 1);
	t = on(g, TARGET_EMULATOR, 0);
	CU_ASSERT_EQUAL(baseline_put(b, &t, KNOB_CPU_AFFINITY, &cpus), 1);
	for (uint32_t i = 0; i < g->nnics; i++) {
		t = on(g, TARGET_NIC, i);
		CU_ASSERT_EQUAL(put_u64(b, &t, KNOB_NET_IN, KNOB_MAX), 1);
	}
}

static void test_first_stays(void)
{
	struct baseline *b = baseline_new();
	struct guest *g = make_guest("a", 1, 2, GIB);
	struct target t = on(g, TARGET_GUEST, 0);

	CU_ASSERT_PTR_NULL(baseline_get(b, &t, KNOB_CPU_WEIGHT));
	CU_ASSERT_EQUAL(put_u64(b, &t, KNOB_CPU_WEIGHT, 100), 1);
	CU_ASSERT_EQUAL(put_u64(b, &t, KNOB_CPU_WEIGHT, 400), 0);
	CU_ASSERT_EQUAL(baseline_get(b, &t, KNOB_CPU_WEIGHT)->u64, 100);
	CU_ASSERT_PTR_NULL(baseline_get(b, &t, KNOB_MEMORY_MIN));
	g->start_ticks++; /* another start of the same VM */
	CU_ASSERT_PTR_NULL(baseline_get(b, &t, KNOB_CPU_WEIGHT));
	CU_ASSERT_EQUAL(put_u64(b, &t, KNOB_CPU_WEIGHT, 300), 1);
	CU_ASSERT_EQUAL(baseline_count(b), 2);
	CU_ASSERT_EQUAL(baseline_drop(b, &t, KNOB_CPU_WEIGHT), 1);
	CU_ASSERT_EQUAL(baseline_drop(b, &t, KNOB_CPU_WEIGHT), 0);
	g->start_ticks--;
	CU_ASSERT_EQUAL(baseline_get(b, &t, KNOB_CPU_WEIGHT)->u64, 100);
	guest_unref(g);
	baseline_free(b);
	baseline_free(NULL);
}

/* A CPU set is lent only for the call, and kept until its entry is dropped. */
static void test_lent_cpus(void)
{
	struct baseline *b = baseline_new();
	struct guest *g = make_guest("a", 1, 3, GIB);
	struct target t = on(g, TARGET_VCPU, 0);
	struct cpuset set = { { 1 } };
	struct knob_value v = knob_cpuset(&set);

	for (t.index = 0; t.index < 3; t.index++) {
		set.bits[0] = UINT64_C(1) << t.index;
		CU_ASSERT_EQUAL(baseline_put(b, &t, KNOB_CPU_AFFINITY, &v), 1);
	}
	t.index = 1;
	CU_ASSERT_EQUAL(baseline_drop(b, &t, KNOB_CPU_AFFINITY), 1);
	t.index = 0;
	CU_ASSERT_EQUAL(baseline_get(b, &t, KNOB_CPU_AFFINITY)->cpuset->bits[0], 1);
	t.index = 2;
	CU_ASSERT_EQUAL(baseline_get(b, &t, KNOB_CPU_AFFINITY)->cpuset->bits[0], 4);
	guest_unref(g);
	baseline_free(b);
}

static void test_no_identity(void)
{
	struct baseline *b = baseline_new();
	struct guest *g = make_guest("a", 1, 2, GIB);
	struct target t = on(g, TARGET_NIC, 0);
	struct target group = { .kind = TARGET_CGROUP, .path = "machine.slice" };

	CU_ASSERT_EQUAL(put_u64(b, &t, KNOB_NET_IN, 1), -EINVAL); /* no such card */
	make_nic(g, "", 5);
	CU_ASSERT_EQUAL(put_u64(b, &t, KNOB_NET_IN, 1), -EINVAL);
	make_nic(g, "vnet0", 0);
	t.index = 1;
	CU_ASSERT_EQUAL(put_u64(b, &t, KNOB_NET_IN, 1), -EINVAL);
	t = on(g, TARGET_GUEST, 0);
	CU_ASSERT_EQUAL(put_u64(b, &t, KNOB_NET_IN, 1), -EINVAL);  /* not of a guest */
	CU_ASSERT_EQUAL(put_u64(b, &t, KNOB_CPU_MAX, 1), -EINVAL); /* not of this type */
	strcpy(g->uuid, "../../etc");
	CU_ASSERT_EQUAL(put_u64(b, &t, KNOB_CPU_WEIGHT, 1), -EINVAL);
	CU_ASSERT_EQUAL(put_u64(b, &group, KNOB_MEMORY_MIN, 1), -EINVAL);
	CU_ASSERT_EQUAL(baseline_count(b), 0);
	guest_unref(g);
	baseline_free(b);
}

static void test_drop(void)
{
	struct baseline *b = baseline_new();
	struct guest *a = make_guest("a", 1, 2, GIB), *c = make_guest("c", 2, 2, GIB);
	struct target scope = { .kind = TARGET_CGROUP,
				.path = "/machine.slice/machine-qemu\\x2d1\\x2da.scope" };

	make_nic(a, "vnet0", 7);
	put_guest(b, a);
	put_guest(b, c);
	CU_ASSERT_EQUAL(put_u64(b, &scope, KNOB_MEMORY_MIN, 0), 1);
	CU_ASSERT_EQUAL(put_u64(b, &slice, KNOB_MEMORY_MIN, 0), 1);
	CU_ASSERT_EQUAL(baseline_count(b), 11);
	CU_ASSERT_EQUAL(baseline_drop_guest(b, a), 6);
	CU_ASSERT_EQUAL(baseline_drop_guest(b, a), 0);
	CU_ASSERT_EQUAL(baseline_count(b), 5);
	CU_ASSERT_PTR_NOT_NULL(baseline_get(b, &slice, KNOB_MEMORY_MIN));
	CU_ASSERT_PTR_NULL(baseline_get(b, &scope, KNOB_MEMORY_MIN));
	guest_unref(a);
	guest_unref(c);
	baseline_free(b);
}

static void test_retain(void)
{
	struct baseline *b = baseline_new();
	struct inventory *inv = inventory_new(0);
	struct guest *a = add_guest(inv, make_guest("a", 1, 2, GIB)), *c;
	struct target scope = { .kind = TARGET_CGROUP,
				.path = "/machine.slice/machine-qemu\\x2d1\\x2da.scope" };
	struct target t = on(a, TARGET_GUEST, 0);

	c = make_guest("c", 2, 2, GIB);
	put_guest(b, a);
	put_guest(b, c);
	CU_ASSERT_EQUAL(put_u64(b, &scope, KNOB_MEMORY_MIN, 0), 1);
	CU_ASSERT_EQUAL(put_u64(b, &slice, KNOB_MEMORY_MIN, 0), 1);
	CU_ASSERT_EQUAL(baseline_retain(b, inv), 4);
	CU_ASSERT_PTR_NOT_NULL(baseline_get(b, &t, KNOB_CPU_WEIGHT));
	CU_ASSERT_PTR_NOT_NULL(baseline_get(b, &scope, KNOB_MEMORY_MIN));
	inventory_free(inv);
	inv = inventory_new(0);
	CU_ASSERT_EQUAL(baseline_retain(b, inv), 5);
	CU_ASSERT_EQUAL(baseline_count(b), 1); /* the slice stays */
	guest_unref(c);
	inventory_free(inv);
	baseline_free(b);
}

/* ---- the file form ---- */

static char *format_all(const struct baseline *b)
{
	size_t size = baseline_count(b) * BASELINE_LINE_MAX + 64, len;
	char *text = must(malloc(size));

	len = (size_t)sprintf(text, "%s\n", BASELINE_HEADER);
	for (size_t i = 0; i < baseline_count(b); i++) {
		baseline_format_line(baseline_at(b, i), text + len, BASELINE_LINE_MAX);
		len += strlen(text + len);
		text[len++] = '\n';
	}
	text[len] = '\0';
	return text;
}

static void test_round_trip(void)
{
	static const char expected[] =
		"qosd-baseline 1\n"
		"00000000-0000-4000-8000-000000000001@100\tcpu.weight\t100\n"
		"00000000-0000-4000-8000-000000000001@100\tcpu.max\tmax 100000\n"
		"00000000-0000-4000-8000-000000000001@100/vcpu1\tcpu.affinity\t0-7\n"
		"00000000-0000-4000-8000-000000000001@100/emulator\tcpu.affinity\t0-7\n"
		"00000000-0000-4000-8000-000000000001@100/nic/vnet0#7\tnet.in\tmax\n"
		"/a%20b%09c%25%FF\\x2d\tmemory.min\t0\n";
	struct baseline *b = baseline_new(), *again = baseline_new();
	struct guest *g = make_guest("a", 1, 2, GIB);
	struct target odd = { .kind = TARGET_CGROUP, .path = "/a b\tc%\xff\\x2d" };
	struct qerr err = { 0 };
	char *text, *second;

	make_nic(g, "vnet0", 7);
	put_guest(b, g);
	CU_ASSERT_EQUAL(put_u64(b, &odd, KNOB_MEMORY_MIN, 0), 1);
	text = format_all(b);
	ASSERT_STR(text, expected);
	CU_ASSERT_EQUAL(baseline_parse(again, text, strlen(text), &err), 0);
	CU_ASSERT_EQUAL(baseline_get(again, &odd, KNOB_MEMORY_MIN)->u64, 0);
	second = format_all(again);
	ASSERT_STR(second, expected);
	free(text);
	free(second);
	guest_unref(g);
	baseline_free(b);
	baseline_free(again);
}

#define ID "00000000-0000-4000-8000-000000000001"

static void test_bad_lines(void)
{
	static const char *const bad[] = {
		"",
		"\t\t",
		"/a\tmemory.min",
		"/a\tmemory.min\t0\t",
		"/a\tmemory.min\t0\r",
		"/a\tmemory.max\t0",
		"/a\tcpu.weight\t1",
		"/a\tmemory.min\t-1",
		"/\tmemory.min\t0",
		"a\tmemory.min\t0",
		"/a b\tmemory.min\t0",
		"/a%2\tmemory.min\t0",
		"/a%2f\tmemory.min\t0",
		"/a%41\tmemory.min\t0",
		"/a%00\tmemory.min\t0",
		ID "\tcpu.weight\t1",
		ID "@\tcpu.weight\t1",
		ID "@01\tcpu.weight\t1",
		ID "@1/\tcpu.weight\t1",
		ID "@1/vcpu\tcpu.affinity\t1",
		ID "@1/vcpu4294967296\tcpu.affinity\t1",
		ID "@1/emulator2\tcpu.affinity\t1",
		ID "@1/nic/#1\tnet.in\t1",
		ID "@1/nic/a/b#1\tnet.in\t1",
		ID "@1/nic/a#0\tnet.in\t1",
		ID "@1/nic/abcdefghijklmnop#1\tnet.in\t1",
		ID "@99999999999999999999\tcpu.weight\t1",
		"00000000-0000-4000-8000-00000000000A@1\tcpu.weight\t1",
	};
	struct baseline *b = baseline_new();
	struct qerr err;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		int r = baseline_parse_line(b, bad[i], strlen(bad[i]), &err);

		if (r != -EINVAL)
			fprintf(stderr, "\naccepted: %s\n", bad[i]);
		CU_ASSERT_EQUAL(r, -EINVAL);
	}
	CU_ASSERT_EQUAL(baseline_parse_line(b, "/a\tmemory.min\0x0", 15, &err), -EINVAL);
	CU_ASSERT_EQUAL(baseline_count(b), 0);
	CU_ASSERT_EQUAL(baseline_parse_line(b, "/a\tmemory.min\t0", 15, &err), 0);
	CU_ASSERT_EQUAL(baseline_parse_line(b, "/a\tmemory.min\t1", 15, &err), -EINVAL);
	baseline_free(b);
}

static int parse(struct baseline *b, const char *text, struct qerr *err)
{
	return baseline_parse(b, text, strlen(text), err);
}

static void test_file(void)
{
	struct baseline *b = baseline_new();
	struct qerr err = { 0 };

	CU_ASSERT_EQUAL(parse(b, "", &err), -EINVAL);
	CU_ASSERT_EQUAL(parse(b, "qosd-baseline 2\n", &err), -EINVAL);
	CU_ASSERT_EQUAL(parse(b, "qosd-baseline 1", &err), -EINVAL);
	CU_ASSERT_EQUAL(parse(b, "qosd-baseline 1\n", &err), 0);
	/* Broken off in the middle of the last line: the write it would have allowed never was. */
	CU_ASSERT_EQUAL(parse(b, "qosd-baseline 1\n/a\tmemory.min\t0\n/b\tmemory.m", &err), 0);
	CU_ASSERT_EQUAL(baseline_count(b), 1);
	CU_ASSERT_EQUAL(parse(b, "qosd-baseline 1\n/c\tmemory.min\t0\n/b\n", &err), -EINVAL);
	ASSERT_STR(err.text, "line 3: not of the form KEY<TAB>KNOB<TAB>VALUE");
	baseline_free(b);
}

/* Whatever is read comes out the same again; damage never gets further than an error. */
static void test_damage(void)
{
	static const char good[] =
		BASELINE_HEADER "\n" ID "@1/nic/vnet0#7\tnet.in\tmax\n"
				"/a%20b\tmemory.min\t4096\n" ID "@1\tcpu.max\tmax 100000\n";
	uint64_t seed = 5;

	for (int round = 0; round < 5000; round++) {
		struct baseline *b = baseline_new();
		char text[sizeof(good)];
		size_t at = next_random(&seed) % (sizeof(good) - 1);

		memcpy(text, good, sizeof(good));
		text[at] = (char)next_random(&seed);
		if (baseline_parse(b, text, sizeof(good) - 1, NULL) == 0) {
			char *again = format_all(b);

			CU_ASSERT_EQUAL(strncmp(again, text, strlen(again)), 0);
			free(again);
		}
		baseline_free(b);
	}
}

/* ---- giving back ---- */

static void test_plan_one(void)
{
	struct baseline *b = baseline_new();
	struct inventory *inv = inventory_new(0);
	struct guest *a = add_guest(inv, make_guest("a", 1, 2, GIB));
	struct guest *c = add_guest(inv, make_guest("c", 2, 2, GIB));
	struct target scope = { .kind = TARGET_CGROUP,
				.path = "/machine.slice/machine-qemu\\x2d1\\x2da.scope" };
	struct target vcpu = on(a, TARGET_VCPU, 1);
	struct plan *p;

	make_nic(a, "vnet0", 7);
	put_guest(b, a);
	put_guest(b, c);
	put_u64(b, &scope, KNOB_MEMORY_MIN, 0);
	put_u64(b, &slice, KNOB_MEMORY_MIN, 0);
	p = baseline_plan(b, inv, a);
	CU_ASSERT_EQUAL(p->count, 6);
	CU_ASSERT_PTR_NOT_NULL(plan_find(p, &scope, KNOB_MEMORY_MIN));
	CU_ASSERT_PTR_NULL(plan_find(p, &slice, KNOB_MEMORY_MIN));
	CU_ASSERT_EQUAL(plan_find(p, &vcpu, KNOB_CPU_AFFINITY)->why.kind, WHY_BASELINE);
	plan_free(p);
	p = baseline_plan(b, inv, NULL);
	CU_ASSERT_EQUAL(p->count, 11);
	CU_ASSERT_PTR_NOT_NULL(plan_find(p, &slice, KNOB_MEMORY_MIN));
	plan_free(p);
	a->start_ticks++; /* another process: nothing of the old one fits it */
	c->vcpus = 1;     /* vCPU 1 was unplugged */
	p = baseline_plan(b, inv, NULL);
	CU_ASSERT_EQUAL(p->count, 3 + 2);
	plan_free(p);
	a->start_ticks--;
	a->nics[0].ifindex = 8; /* another card of the same name */
	p = baseline_plan(b, inv, a);
	CU_ASSERT_EQUAL(p->count, 5);
	plan_free(p);
	inventory_free(inv);
	baseline_free(b);
}

static void test_orphans(void)
{
	struct scene *s = scene_new(make_policy(), host_regular(1, 8, 1, 64 * GIB));
	struct target gold = { .kind = TARGET_CGROUP, .path = "/machine.slice/machine-gold.slice" };
	struct baseline *b = baseline_new();
	struct plan *p;

	scene_add(s, "a", 1, 2, GIB, "bronze");
	set_text(&scene_add(s, "g", 2, 2, GIB, "gold")->cgroup,
		 "/machine.slice/machine-gold.slice/x.scope/libvirt");
	scene_settle(s);
	put_u64(b, &slice, KNOB_MEMORY_MIN, 0);
	put_u64(b, &gold, KNOB_MEMORY_MIN, 4096);
	p = plan_build(&s->input);
	CU_ASSERT_EQUAL(baseline_plan_orphans(b, &s->input, p), 0);
	plan_free(p);
	s->treatment[scene_index(s, "g")] = GUEST_HELD;
	p = plan_build(&s->input);
	CU_ASSERT_EQUAL(baseline_plan_orphans(b, &s->input, p), 0);
	plan_free(p);
	scene_stop(s, "g");
	scene_settle(s);
	p = plan_build(&s->input);
	CU_ASSERT_EQUAL(baseline_plan_orphans(b, &s->input, p), 1);
	CU_ASSERT_EQUAL(plan_find(p, &gold, KNOB_MEMORY_MIN)->want.u64, 4096);
	CU_ASSERT_EQUAL(plan_find(p, &slice, KNOB_MEMORY_MIN)->why.kind, WHY_ANCESTOR_MIN);
	plan_free(p);
	baseline_free(b);
	scene_free(s);
}

static void test_many(void)
{
	struct baseline *b = baseline_new();
	struct inventory *inv = inventory_new(0);

	for (uint32_t id = 1; id <= 500; id++) {
		char name[16];

		snprintf(name, sizeof(name), "g%u", id);
		put_guest(b, add_guest(inv, make_guest(name, id, 2, GIB)));
	}
	CU_ASSERT_EQUAL(baseline_count(b), 2000);
	for (size_t i = 0; i < inv->count; i += 2)
		CU_ASSERT_EQUAL(baseline_drop_guest(b, inv->guests[i]), 4);
	for (size_t i = 0; i < inv->count; i++) {
		struct target t = on(inv->guests[i], TARGET_EMULATOR, 0);

		CU_ASSERT_EQUAL(!!baseline_get(b, &t, KNOB_CPU_AFFINITY), i % 2);
	}
	inventory_free(inv);
	baseline_free(b);
}

/* A function's rate is the card's: it stays in the store when its guest has gone. */
static void test_vf(void)
{
	struct baseline *b = baseline_new(), *again = baseline_new();
	struct inventory *inv = inventory_new(0);
	struct guest *a = add_guest(inv, make_guest("a", 1, 2, GIB)), left;
	struct target t = on(a, TARGET_NIC, 0);
	struct baseline_entry *e;
	char line[BASELINE_LINE_MAX];
	struct guest_nic nic;
	struct plan *p;
	size_t at = 0;

	make_vf(a, "0000:3b:10.2");
	CU_ASSERT_EQUAL(put_u64(b, &t, KNOB_NET_OUT, 300000000), 1);
	baseline_format_line(baseline_at(b, 0), line, sizeof(line));
	CU_ASSERT_PTR_NOT_NULL(strstr(line, "/vf/0000:3b:10.2\tnet.out\t300000000"));
	CU_ASSERT_EQUAL(baseline_parse_line(again, line, strlen(line), NULL), 0);
	ASSERT_STR(baseline_at(again, 0)->key, baseline_at(b, 0)->key);
	p = baseline_plan(b, inv, NULL);
	CU_ASSERT_EQUAL(p->count, 1);
	plan_free(p);
	CU_ASSERT_PTR_NULL(baseline_next_left(b, inv, &at, &left, &nic));
	CU_ASSERT_EQUAL(baseline_drop_guest(b, a), 0);
	strcpy(a->nics[0].pci, "0000:3b:10.4"); /* it has another one now */
	at = 0;
	e = baseline_next_left(b, inv, &at, &left, &nic);
	CU_ASSERT_PTR_NOT_NULL_FATAL(e);
	CU_ASSERT_EQUAL(e->value.u64, 300000000);
	ASSERT_STR(nic.pci, "0000:3b:10.2");
	t = on(&left, TARGET_NIC, 0);
	CU_ASSERT_PTR_EQUAL(baseline_get(b, &t, KNOB_NET_OUT), &e->value);
	CU_ASSERT_PTR_NULL(baseline_next_left(b, inv, &at, &left, &nic));
	e->vf.left_since = 7;
	baseline_note_set(b, &t, KNOB_NET_OUT, &e->value);
	CU_ASSERT_EQUAL(e->vf.set_bps, 300000000);
	a->start_ticks = 0; /* runs, but was not looked at */
	at = 0;
	CU_ASSERT_PTR_NULL(baseline_next_left(b, inv, &at, &left, &nic));
	CU_ASSERT_EQUAL(e->vf.left_since, 0); /* it is left no more */
	CU_ASSERT_EQUAL(e->vf.set_bps, 300000000);
	inventory_free(inv);
	inv = inventory_new(0);
	CU_ASSERT_EQUAL(baseline_retain(b, inv), 0);
	inventory_free(inv);
	baseline_free(b);
	baseline_free(again);
}

static const struct test tests[] = {
	{ "the first value stays", test_first_stays },
	{ "CPU sets are copied", test_lent_cpus },
	{ "targets without identity", test_no_identity },
	{ "virtual functions outlive guests", test_vf },
	{ "a guest is dropped with its scope", test_drop },
	{ "what has gone is forgotten", test_retain },
	{ "the file form, and back", test_round_trip },
	{ "lines that are refused", test_bad_lines },
	{ "whole files", test_file },
	{ "damaged files", test_damage },
	{ "giving back", test_plan_one },
	{ "groups without guests", test_orphans },
	{ "many", test_many },
};

int main(void)
{
	return harness_run("baseline", tests, ARRAY_SIZE(tests));
}
