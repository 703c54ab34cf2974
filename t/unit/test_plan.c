/* SPDX-License-Identifier: GPL-2.0-or-later */
/* plan - what should hold, and why; sums along the tree; treatments. */
#include "t/unit/harness.h"
#include "t/unit/make.h"

static struct scene *usual(void)
{
	struct scene *s = scene_new(make_policy(), host_regular(1, 8, 1, 64 * GIB));
	struct guest *g;

	cpuset_add(&s->policy->host.reserve.cpus, 0);
	scene_add(s, "web1", 1, 2, 2 * GIB, "gold");
	g = scene_add(s, "batch", 2, 2, GIB, "bronze");
	make_nic(g, "vnet0", 7);
	make_nic(g, "", 0);
	make_nic(g, "vnet1", 9);
	scene_add(s, "app", 3, 1, GIB, "silver");
	scene_settle(s);
	return s;
}

static struct target guest_target(const struct scene *s, const char *name, enum target_kind kind,
				  uint32_t index)
{
	const struct guest *g = s->inv->guests[scene_index(s, name)];

	return (struct target){ .kind = kind, .index = index, .guest_id = g->id, .guest = g };
}

static void assert_entry(const struct plan *p, const struct target *t, enum knob_id knob,
			 const char *value, const char *reason)
{
	const struct plan_entry *e = plan_find(p, t, knob);
	char text[KNOB_TEXT_MAX], why[REASON_TEXT_MAX];

	CU_ASSERT_PTR_NOT_NULL_FATAL(e);
	ASSERT_STR(knob_value_format(&e->want, text, sizeof(text)), value);
	ASSERT_STR(reason_format(&e->why, why, sizeof(why)), reason);
}

static void assert_guest(const struct scene *s, const struct plan *p, const char *name,
			 enum knob_id knob, const char *value, const char *reason)
{
	struct target t = guest_target(s, name, TARGET_GUEST, 0);

	assert_entry(p, &t, knob, value, reason);
}

static void assert_group(const struct plan *p, const char *path, enum knob_id knob,
			 const char *value, const char *reason)
{
	struct target t = { .kind = TARGET_CGROUP, .path = path };

	assert_entry(p, &t, knob, value, reason);
}

static void test_gold(void)
{
	struct scene *s = usual();
	struct plan *p = plan_build(&s->input);
	struct target t;

	assert_guest(s, p, "web1", KNOB_CPU_WEIGHT, "400", "class gold: cpu.weight 400");
	assert_guest(s, p, "web1", KNOB_CPU_MAX, "max 100000", "class gold: no limit");
	assert_guest(s, p, "web1", KNOB_CPU_MAX_BURST, "0", "class gold: no burst");
	assert_guest(s, p, "web1", KNOB_MEMORY_MIN, "2281701376",
		     "class gold: 100% of 2GiB RAM and 128MiB for QEMU itself");
	assert_guest(s, p, "web1", KNOB_MEMORY_LOW, "0", "class gold: nothing reserved");
	assert_guest(s, p, "web1", KNOB_SWAP_MAX, "0", "class gold: no swap");
	t = guest_target(s, "web1", TARGET_VCPU, 0);
	assert_entry(p, &t, KNOB_CPU_AFFINITY, "6", "class gold: dedicated CPU 6");
	t = guest_target(s, "web1", TARGET_VCPU, 1);
	assert_entry(p, &t, KNOB_CPU_AFFINITY, "7", "class gold: dedicated CPU 7");
	t = guest_target(s, "web1", TARGET_EMULATOR, 0);
	assert_entry(p, &t, KNOB_CPU_AFFINITY, "0",
		     "class gold: emulator threads on the housekeeping CPUs");
	plan_free(p);
	plan_free(NULL);
	scene_free(s);
}

static void test_bronze(void)
{
	struct scene *s = usual();
	struct plan *p = plan_build(&s->input);
	struct target t;

	assert_guest(s, p, "batch", KNOB_CPU_WEIGHT, "100", "class bronze: cpu.weight 100");
	assert_guest(s, p, "batch", KNOB_CPU_MAX, "20000 20000",
		     "class bronze: limit 50% of 2 vCPUs");
	assert_guest(s, p, "batch", KNOB_MEMORY_MIN, "0", "class bronze: nothing reserved");
	assert_guest(s, p, "batch", KNOB_SWAP_MAX, "max", "class bronze: may use swap");
	t = guest_target(s, "batch", TARGET_VCPU, 1);
	assert_entry(p, &t, KNOB_CPU_AFFINITY, "1-5",
		     "class bronze: shared CPUs, without dedicated and housekeeping ones");
	t = guest_target(s, "batch", TARGET_EMULATOR, 0);
	assert_entry(p, &t, KNOB_CPU_AFFINITY, "1-5",
		     "class bronze: emulator threads on the shared CPUs");
	t = guest_target(s, "batch", TARGET_NIC, 0);
	assert_entry(p, &t, KNOB_NET_IN, "20000000",
		     "class bronze: limit 20Mbit towards the guest");
	assert_entry(p, &t, KNOB_NET_OUT, "20000000", "class bronze: limit 20Mbit from the guest");
	t = guest_target(s, "batch", TARGET_NIC, 1);
	CU_ASSERT_PTR_NULL(plan_find(p, &t, KNOB_NET_IN)); /* no host device */
	t = guest_target(s, "batch", TARGET_NIC, 2);
	CU_ASSERT_PTR_NOT_NULL(plan_find(p, &t, KNOB_NET_IN));
	assert_guest(s, p, "app", KNOB_MEMORY_LOW, "536870912",
		     "class silver: 50% of 1GiB RAM protected as long as there is other memory to "
		     "take");
	plan_free(p);
	scene_free(s);
}

static void test_weight_raised(void)
{
	struct scene *s = usual();
	struct plan *p;

	((struct qclass *)policy_class(s->policy, "bronze"))->cpu.reservation_permille = 1000;
	scene_settle(s);
	p = plan_build(&s->input);
	assert_guest(s, p, "batch", KNOB_CPU_WEIGHT, "134",
		     "class bronze: cpu.weight 100 raised to 134 so that its reservation of 2 CPUs "
		     "holds");
	plan_free(p);
	scene_free(s);
}

static void test_burst(void)
{
	struct scene *s = usual();
	struct qclass *bronze = (struct qclass *)policy_class(s->policy, "bronze");
	struct plan *p;

	bronze->cpu.burst_us = 5000;
	scene_settle(s);
	p = plan_build(&s->input);
	assert_guest(s, p, "batch", KNOB_CPU_MAX_BURST, "10000",
		     "class bronze: burst of 5ms for each vCPU");
	plan_free(p);
	bronze->cpu.burst_us = 5000000; /* more than the quota: the kernel would refuse */
	scene_settle(s);
	p = plan_build(&s->input);
	assert_guest(s, p, "batch", KNOB_CPU_MAX_BURST, "20000",
		     "class bronze: burst of 10ms for each vCPU");
	plan_free(p);
	scene_free(s);
}

static void test_groups(void)
{
	struct scene *s = usual();
	struct plan *p;

	scene_add(s, "web2", 4, 1, GIB, "gold");
	scene_settle(s);
	p = plan_build(&s->input);
	assert_group(p, "/machine.slice", KNOB_MEMORY_MIN, "3489660928",
		     "sum of the reservations of 2 guests below");
	assert_group(p, "/machine.slice", KNOB_MEMORY_LOW, "536870912",
		     "the memory.low of the one guest below that has one");
	assert_group(p, "/machine.slice/machine-qemu\\x2d1\\x2dweb1.scope", KNOB_MEMORY_MIN,
		     "2281701376", "the reservation of the one guest below that has one");
	assert_group(p, "/machine.slice/machine-qemu\\x2d2\\x2dbatch.scope", KNOB_MEMORY_MIN, "0",
		     "no guest below has a reservation");
	plan_free(p);
	s->input.cgroup_v1 = true;
	p = plan_build(&s->input);
	CU_ASSERT_NOT_EQUAL(p->entries[0].target.kind, TARGET_CGROUP);
	for (size_t i = 0; i < p->count; i++)
		CU_ASSERT_NOT_EQUAL(p->entries[i].knob, KNOB_MEMORY_LOW);
	plan_free(p);
	scene_free(s);
}

/* Other layouts: no systemd, nested slices, no group, paths that make no sense. */
static void test_paths(void)
{
	static const char *const paths[] = {
		"/machine/qemu-1-a.libvirt-qemu",
		"/q.slice/q-gold.slice/x.scope/libvirt",
		"/q.slice/q-gold.slice/y.scope/libvirt",
		"//odd//",
		"/",
		"",
		"relative/x",
		"/top",
	};
	struct scene *s = scene_new(make_policy(), host_regular(1, 16, 1, 64 * GIB));
	struct plan *p;
	struct guest *g;
	size_t groups = 0;

	for (uint32_t i = 0; i < ARRAY_SIZE(paths); i++) {
		char name[8];

		snprintf(name, sizeof(name), "g%u", i);
		set_text(&scene_add(s, name, i + 1, 1, GIB, "gold")->cgroup, paths[i]);
	}
	g = scene_add(s, "none", 50, 1, GIB, "gold");
	free(TAKE_PTR(g->cgroup));
	scene_settle(s);
	p = plan_build(&s->input);
	assert_group(p, "/machine", KNOB_MEMORY_MIN, "1207959552",
		     "the reservation of the one guest below that has one");
	assert_group(p, "/q.slice", KNOB_MEMORY_MIN, "2415919104",
		     "sum of the reservations of 2 guests below");
	assert_group(p, "/q.slice/q-gold.slice", KNOB_MEMORY_MIN, "2415919104",
		     "sum of the reservations of 2 guests below");
	for (size_t i = 0; i < p->count; i++)
		groups += p->entries[i].target.kind == TARGET_CGROUP;
	CU_ASSERT_EQUAL(groups, 2 * (1 + 2 + 2 + 1)); /* "/odd" as "//odd" */
	plan_free(p);
	scene_free(s);
}

static void test_no_cgroup(void)
{
	struct scene *s = usual();
	struct guest *g = s->inv->guests[scene_index(s, "web1")];
	struct target t = guest_target(s, "web1", TARGET_GUEST, 0);
	struct plan *p;

	free(TAKE_PTR(g->cgroup));
	p = plan_build(&s->input);
	CU_ASSERT_PTR_NULL(plan_find(p, &t, KNOB_CPU_WEIGHT));
	t.kind = TARGET_VCPU;
	CU_ASSERT_PTR_NOT_NULL(plan_find(p, &t, KNOB_CPU_AFFINITY));
	plan_free(p);
	scene_free(s);
}

static bool mentions(const struct plan *p, const struct scene *s, const char *name)
{
	size_t at = 0;

	return plan_next_of(p, s->inv->guests[scene_index(s, name)]->id, &at);
}

static void test_treatment(void)
{
	struct scene *s = usual();
	struct plan *p;
	struct target scope = { .kind = TARGET_CGROUP,
				.path = "/machine.slice/machine-qemu\\x2d1\\x2dweb1.scope" };

	s->treatment[scene_index(s, "web1")] = GUEST_HELD;
	p = plan_build(&s->input);
	CU_ASSERT_FALSE(mentions(p, s, "web1"));
	CU_ASSERT_TRUE(mentions(p, s, "batch"));
	CU_ASSERT_PTR_NULL(plan_find(p, &scope, KNOB_MEMORY_MIN));
	assert_group(p, "/machine.slice", KNOB_MEMORY_MIN, "2281701376",
		     "the reservation of the one guest below that has one");
	plan_free(p);
	s->treatment[scene_index(s, "web1")] = GUEST_RELEASED;
	p = plan_build(&s->input);
	CU_ASSERT_FALSE(mentions(p, s, "web1"));
	assert_group(p, "/machine.slice", KNOB_MEMORY_MIN, "0", "no guest below has a reservation");
	plan_free(p);
	memset(s->treatment, GUEST_RELEASED, s->inv->count);
	p = plan_build(&s->input);
	CU_ASSERT_EQUAL(p->count, 0);
	plan_free(p);
	s->input.treatment = NULL;
	p = plan_build(&s->input);
	CU_ASSERT_TRUE(mentions(p, s, "web1"));
	plan_free(p);
	scene_free(s);
}

static void test_not_admitted(void)
{
	struct scene *s = usual();
	struct target t;
	struct plan *p;

	s->policy->host.reserve.memory_bytes = 63 * GIB;
	scene_settle(s);
	p = plan_build(&s->input);
	assert_guest(s, p, "web1", KNOB_MEMORY_MIN, "0",
		     "class gold: asks for 2.1GiB; the guest was not admitted, so nothing is "
		     "reserved");
	t = guest_target(s, "web1", TARGET_VCPU, 0);
	assert_entry(p, &t, KNOB_CPU_AFFINITY, "1-7",
		     "class gold: asks for dedicated CPUs, got none, so runs on the shared CPUs");
	assert_group(p, "/machine.slice", KNOB_MEMORY_MIN, "0", "no guest below has a reservation");
	plan_free(p);
	scene_free(s);
}

static void test_emulator_set(void)
{
	struct scene *s = usual();
	struct qclass *gold = (struct qclass *)policy_class(s->policy, "gold");
	struct target t;
	struct plan *p;

	cpuset_add(&gold->cpu.emulator, 3);
	cpuset_add(&gold->cpu.emulator, 7);  /* somebody's own */
	cpuset_add(&gold->cpu.emulator, 99); /* offline */
	scene_settle(s);
	p = plan_build(&s->input);
	t = guest_target(s, "web1", TARGET_EMULATOR, 0);
	assert_entry(p, &t, KNOB_CPU_AFFINITY, "3",
		     "class gold: emulator threads on the class's emulator CPUs");
	plan_free(p);
	scene_free(s);
}

static void test_overridden(void)
{
	struct scene *s = usual();
	struct plan *p;

	make_override(s->inv->guests[scene_index(s, "batch")], "cpu.limit", "100%");
	scene_settle(s);
	p = plan_build(&s->input);
	assert_guest(s, p, "batch", KNOB_CPU_MAX, "40000 20000",
		     "class bronze with its own settings: limit 100% of 2 vCPUs");
	plan_free(p);
	scene_free(s);
}

static void test_sorted(void)
{
	struct scene *s = usual();
	struct plan *p = plan_build(&s->input), *q = plan_new();

	for (size_t i = 1; i < p->count; i++) {
		int r = target_compare(&p->entries[i - 1].target, &p->entries[i].target);

		CU_ASSERT(r < 0 || (r == 0 && p->entries[i - 1].knob < p->entries[i].knob));
	}
	for (size_t i = p->count; i > 0; i--)
		CU_ASSERT_EQUAL(plan_add(q, &p->entries[i - 1].target, p->entries[i - 1].knob,
					 p->entries[i - 1].want, p->entries[i - 1].why),
				0);
	plan_sort(q);
	for (size_t i = 0; i < p->count; i++) {
		CU_ASSERT_EQUAL(target_compare(&p->entries[i].target, &q->entries[i].target), 0);
		CU_ASSERT_EQUAL(p->entries[i].knob, q->entries[i].knob);
	}
	plan_free(q);
	plan_free(p);
	scene_free(s);
}

static void test_empty(void)
{
	struct scene *s = scene_new(make_policy(), host_regular(1, 2, 1, GIB));
	struct plan *p;

	scene_settle(s);
	p = plan_build(&s->input);
	CU_ASSERT_EQUAL(p->count, 0);
	plan_free(p);
	scene_free(s);
}

/* Where something limits the card; at least what limits keep anyway. */
static void test_net_burst(void)
{
	struct scene *s = usual();
	struct qclass *bronze = &s->assign[scene_index(s, "batch")].effective;
	struct target t = guest_target(s, "batch", TARGET_NIC, 0);
	struct plan *p = plan_build(&s->input);

	CU_ASSERT_PTR_NULL(plan_find(p, &t, KNOB_NET_BURST));
	plan_free(p);
	bronze->net.burst_us = 50000;
	p = plan_build(&s->input);
	assert_entry(p, &t, KNOB_NET_BURST, "50000", "class bronze: burst of 50ms");
	plan_free(p);
	bronze->net.burst_us = 1;
	p = plan_build(&s->input);
	assert_entry(p, &t, KNOB_NET_BURST, "5000", "class bronze: burst of 5ms");
	plan_free(p);
	bronze->net.limit_bps = POLICY_NONE_U64;
	p = plan_build(&s->input);
	CU_ASSERT_PTR_NULL(plan_find(p, &t, KNOB_NET_BURST));
	plan_free(p);
	scene_free(s);
}

static void test_reasons(void)
{
	char text[REASON_TEXT_MAX], small[12];

	for (unsigned int kind = 0; kind <= WHY_COUNT; kind++) {
		struct reason r = {
			.kind = (uint8_t)kind, .subject = "gold", .a = 3, .b = 4, .c = 5, .d = 6
		};

		reason_format(&r, text, sizeof(text));
		CU_ASSERT_EQUAL(strncmp(text, "class gold: ", 12), 0);
		CU_ASSERT(strlen(text) > 12);
		reason_format(&r, small, sizeof(small));
		CU_ASSERT(strlen(small) < sizeof(small));
	}
}

/* What a virtual function sends, in whole Mbit/s; overload leaves it alone. */
static void test_vf(void)
{
	static const uint64_t limits[][2] = {
		{ 20000000, 20000000 },
		{ 1500000, 1000000 },
		{ 100000, 1000000 },
		{ 2999999, 2000000 },
	};
	struct scene *s = usual();
	struct guest *g = s->inv->guests[scene_index(s, "batch")];
	struct guest_caps caps[8] = { 0 }; /* nothing at all */
	struct qclass *bronze = &s->assign[scene_index(s, "batch")].effective;
	struct target t;
	struct plan *p;

	g->nnics = 0;
	make_vf(g, "0000:3b:10.2");
	t = guest_target(s, "batch", TARGET_NIC, 0);
	s->input.caps = caps;
	for (size_t i = 0; i < ARRAY_SIZE(limits); i++) {
		bronze->net.limit_bps = limits[i][0];
		p = plan_build(&s->input);
		CU_ASSERT_PTR_NULL(plan_find(p, &t, KNOB_NET_IN));
		CU_ASSERT_PTR_NOT_NULL_FATAL(plan_find(p, &t, KNOB_NET_OUT));
		CU_ASSERT_EQUAL(plan_find(p, &t, KNOB_NET_OUT)->want.u64, limits[i][1]);
		plan_free(p);
	}
	bronze->net.limit_bps = 1500000;
	p = plan_build(&s->input);
	assert_entry(p, &t, KNOB_NET_OUT, "1000000",
		     "class bronze: limit 1.5Mbit from the guest, by the card in whole Mbit/s, at "
		     "least one: 1Mbit");
	plan_free(p);
	bronze->net.limit_bps = POLICY_NONE_U64;
	p = plan_build(&s->input);
	CU_ASSERT_PTR_NULL(plan_find(p, &t, KNOB_NET_OUT));
	plan_free(p);
	scene_free(s);
}

static const struct test tests[] = {
	{ "a dedicated guest", test_gold },
	{ "a limited guest", test_bronze },
	{ "a virtual function", test_vf },
	{ "a weight raised for a reservation", test_weight_raised },
	{ "burst within the quota", test_burst },
	{ "groups above get the exact sum", test_groups },
	{ "any layout of groups", test_paths },
	{ "no group, no knobs of the group", test_no_cgroup },
	{ "held and released guests", test_treatment },
	{ "a guest that does not fit", test_not_admitted },
	{ "emulator CPUs of the class", test_emulator_set },
	{ "a guest's own settings", test_overridden },
	{ "sorted", test_sorted },
	{ "no guests", test_empty },
	{ "bursts of cards", test_net_burst },
	{ "every reason is a sentence", test_reasons },
};

int main(void)
{
	return harness_run("plan", tests, ARRAY_SIZE(tests));
}
