/* SPDX-License-Identifier: GPL-2.0-or-later */
/* placement - by example, and as properties over random histories of starts and stops. */
#include "t/unit/harness.h"
#include "t/unit/make.h"

static const struct placement_guest *placed(const struct scene *s, const char *name)
{
	return &s->placement->guests[scene_index(s, name)];
}

static void assert_set(const struct cpuset *set, const char *expected)
{
	char text[CPUSET_TEXT_MAX];

	ASSERT_STR(cpuset_format(set, text, sizeof(text)), expected);
}

static void test_contract_example(void)
{
	struct scene *s = scene_new(make_policy(), host_regular(1, 8, 1, 64 * GIB));

	cpuset_add(&s->policy->host.reserve.cpus, 0);
	scene_add(s, "gold1", 1, 2, GIB, "gold");
	scene_add(s, "gold2", 2, 2, GIB, "gold");
	scene_add(s, "bronze1", 3, 2, GIB, "bronze");
	scene_settle(s);
	assert_set(&s->placement->housekeeping, "0");
	assert_set(&s->placement->dedicated, "4-7");
	assert_set(&s->placement->shared, "1-3");
	assert_set(&placed(s, "gold1")->owned, "6-7");
	assert_set(&placed(s, "gold2")->owned, "4-5");
	CU_ASSERT_EQUAL(placed(s, "gold2")->vcpu_cpu[0], 4);
	CU_ASSERT_EQUAL(placed(s, "gold2")->vcpu_cpu[1], 5);
	CU_ASSERT_PTR_NULL(placed(s, "bronze1")->vcpu_cpu);
	CU_ASSERT_PTR_EQUAL(placement_find(s->placement, 2), placed(s, "gold2"));
	CU_ASSERT_PTR_NULL(placement_find(s->placement, 99));
	scene_free(s);
	placement_free(NULL);
}

static void test_threads(void)
{
	struct scene *s = scene_new(make_policy(), host_regular(1, 8, 2, 64 * GIB));
	struct qclass *iso = make_class(s->policy, "iso", 0);

	iso->cpu.placement = PLACEMENT_DEDICATED;
	iso->cpu.threads = THREADS_ISOLATE;
	scene_add(s, "share", 1, 3, GIB, "gold");
	scene_add(s, "iso", 2, 2, GIB, "iso");
	scene_settle(s);
	/* Three vCPUs on two cores, one thread stays empty. */
	assert_set(&placed(s, "share")->owned, "6-7,14-15");
	CU_ASSERT_EQUAL(placed(s, "share")->vcpu_cpu[0], 6);
	CU_ASSERT_EQUAL(placed(s, "share")->vcpu_cpu[1], 7);
	CU_ASSERT_EQUAL(placed(s, "share")->vcpu_cpu[2], 14);
	/* Two vCPUs on two cores, siblings stay empty. */
	assert_set(&placed(s, "iso")->owned, "4-5,12-13");
	CU_ASSERT_EQUAL(placed(s, "iso")->vcpu_cpu[0], 4);
	CU_ASSERT_EQUAL(placed(s, "iso")->vcpu_cpu[1], 5);
	scene_free(s);
}

static void test_numa_best_fit(void)
{
	struct scene *s = scene_new(make_policy(), host_regular(2, 4, 1, 64 * GIB));

	scene_add(s, "three", 1, 3, GIB, "gold");
	scene_settle(s);
	assert_set(&placed(s, "three")->owned, "5-7"); /* node 1 */
	scene_add(s, "four", 2, 4, GIB, "gold");
	scene_settle(s);
	assert_set(&placed(s, "four")->owned, "0-3"); /* node 0: fits nowhere else */
	scene_stop(s, "four");
	scene_add(s, "one", 3, 1, GIB, "gold");
	scene_settle(s);
	assert_set(&placed(s, "one")->owned, "4"); /* the tightest place, node 0 stays whole */
	scene_free(s);
}

static void test_spans_nodes(void)
{
	struct scene *s = scene_new(make_policy(), host_regular(2, 4, 1, 64 * GIB));

	scene_add(s, "big", 1, 7, GIB, "gold");
	scene_settle(s);
	CU_ASSERT_TRUE(placed(s, "big")->dedicated);
	CU_ASSERT_EQUAL(cpuset_count(&placed(s, "big")->owned), 7);
	CU_ASSERT_EQUAL(cpuset_count(&s->placement->shared), 1);
	scene_free(s);
}

static struct host *two_caches(void)
{
	struct host *h = must(host_new());

	for (uint32_t cpu = 0; cpu < 8; cpu++)
		if (host_add_cpu(h, cpu, cpu, cpu / 4, 0) < 0)
			abort();
	if (host_add_node(h, 0, 64 * GIB) < 0 || host_finish(h) < 0)
		abort();
	return h;
}

static void test_cache_best_fit(void)
{
	struct scene *s = scene_new(make_policy(), two_caches());

	scene_add(s, "a", 1, 2, GIB, "gold");
	scene_settle(s);
	assert_set(&placed(s, "a")->owned, "6-7");
	scene_add(s, "b", 2, 3, GIB, "gold");
	scene_settle(s);
	assert_set(&placed(s, "b")->owned, "1-3"); /* does not fit beside a in its cache */
	scene_add(s, "c", 3, 2, GIB, "gold");
	scene_settle(s);
	assert_set(&placed(s, "c")->owned, "4-5");
	scene_free(s);
}

static void test_shortfall(void)
{
	struct scene *s = scene_new(make_policy(), host_regular(1, 4, 1, 64 * GIB));

	scene_add(s, "a", 1, 3, GIB, "gold");
	scene_add(s, "b", 2, 1, GIB, "gold");
	scene_add(s, "huge", 3, UINT32_MAX, GIB, "gold");
	scene_settle(s);
	CU_ASSERT_TRUE(placed(s, "a")->dedicated);
	CU_ASSERT_TRUE(placed(s, "b")->shortfall);
	CU_ASSERT_FALSE(placed(s, "b")->dedicated);
	CU_ASSERT_TRUE(placed(s, "huge")->shortfall);
	CU_ASSERT_EQUAL(cpuset_count(&s->placement->shared), 1);
	scene_free(s);
}

static void test_all_housekeeping(void)
{
	struct scene *s = scene_new(make_policy(), host_regular(1, 2, 1, 64 * GIB));

	s->policy->host.reserve.cpus = s->host->online;
	cpuset_add(&s->policy->host.reserve.cpus, 77); /* offline */
	scene_add(s, "a", 1, 1, GIB, "bronze");
	scene_settle(s);
	assert_set(&s->placement->shared, "0-1");
	assert_set(&s->placement->housekeeping, "0-1");
	scene_free(s);
}

/* A hot-plugged vCPU gets a core next to the others; they stay. An unplugged one gives its back. */
static void test_hotplug(void)
{
	struct scene *s = scene_new(make_policy(), host_regular(2, 4, 1, 64 * GIB));
	struct guest *more = make_guest("a", 1, 3, GIB), *fewer = make_guest("a", 1, 1, GIB);

	scene_add(s, "a", 1, 2, GIB, "gold");
	scene_add(s, "b", 2, 1, GIB, "gold");
	scene_settle(s);
	assert_set(&placed(s, "a")->owned, "6-7");
	assert_set(&placed(s, "b")->owned, "5");
	set_text(&more->class_name, "gold");
	set_text(&fewer->class_name, "gold");
	scene_stop(s, "a");
	add_guest(s->inv, more);
	scene_settle(s);
	assert_set(&placed(s, "a")->owned, "4,6-7");
	CU_ASSERT_EQUAL(placed(s, "a")->vcpu_cpu[2], 4);
	scene_stop(s, "a");
	add_guest(s->inv, fewer);
	scene_settle(s);
	assert_set(&placed(s, "a")->owned, "6");
	scene_free(s);
}

/* The mode changes by reload: a guest never keeps more cores than it would be given. */
static void test_mode_change(void)
{
	struct scene *s = scene_new(make_policy(), host_regular(1, 8, 2, 64 * GIB));
	struct qclass *gold = (struct qclass *)policy_class(s->policy, "gold");

	gold->cpu.threads = THREADS_ISOLATE;
	scene_add(s, "a", 1, 4, GIB, "gold");
	scene_settle(s);
	CU_ASSERT_EQUAL(cpuset_count(&placed(s, "a")->owned), 8);
	gold->cpu.threads = THREADS_SHARE;
	scene_settle(s);
	CU_ASSERT_EQUAL(cpuset_count(&placed(s, "a")->owned), 4);
	gold->cpu.threads = THREADS_ISOLATE;
	scene_settle(s);
	CU_ASSERT_EQUAL(cpuset_count(&placed(s, "a")->owned), 8);
	CU_ASSERT_TRUE(placed(s, "a")->dedicated);
	scene_free(s);
}

/* CPUs that become housekeeping are left. */
static void test_reserve_change(void)
{
	struct scene *s = scene_new(make_policy(), host_regular(1, 8, 1, 64 * GIB));

	scene_add(s, "a", 1, 2, GIB, "gold");
	scene_settle(s);
	assert_set(&placed(s, "a")->owned, "6-7");
	cpuset_add(&s->policy->host.reserve.cpus, 7);
	scene_settle(s);
	assert_set(&placed(s, "a")->owned, "5-6");
	CU_ASSERT_EQUAL(placed(s, "a")->vcpu_cpu[0], 6); /* did not move */
	CU_ASSERT_EQUAL(placed(s, "a")->vcpu_cpu[1], 5);
	scene_free(s);
}

/* ---- properties ---- */

static void check_vcpus(const struct scene *s, size_t i)
{
	const struct placement_guest *g = &s->placement->guests[i];
	bool isolate = s->assign[i].effective.cpu.threads == THREADS_ISOLATE;
	struct cpuset used = { 0 }, cores = { 0 };

	CU_ASSERT_EQUAL(g->nvcpus, s->inv->guests[i]->vcpus);
	for (size_t v = 0; v < g->nvcpus; v++) {
		CU_ASSERT_FALSE(cpuset_has(&used, g->vcpu_cpu[v]));
		cpuset_add(&used, g->vcpu_cpu[v]);
		cpuset_add(&cores, host_cpu_find(s->host, g->vcpu_cpu[v])->core);
	}
	CU_ASSERT_TRUE(cpuset_subset(&used, &g->owned));
	if (isolate)
		CU_ASSERT_EQUAL(cpuset_count(&cores), g->nvcpus);
	CU_ASSERT_EQUAL(cpuset_count(&g->owned),
			ledger_dedicated_cpus(s->host, s->inv->guests[i], &s->assign[i].effective));
}

/* Whole cores, nobody's twice, never housekeeping; and who was admitted has got them. */
static void check_invariants(const struct scene *s)
{
	const struct placement *p = s->placement;
	struct cpuset all = { 0 }, rest;

	for (size_t i = 0; i < p->count; i++) {
		const struct placement_guest *g = &p->guests[i];
		bool asks = s->assign[i].effective.cpu.placement == PLACEMENT_DEDICATED;

		CU_ASSERT_EQUAL(g->dedicated, asks && s->admitted[i]);
		CU_ASSERT_EQUAL(g->shortfall, asks && !s->admitted[i]);
		CU_ASSERT_EQUAL(g->dedicated, !cpuset_empty(&g->owned));
		CU_ASSERT_FALSE(cpuset_intersects(&all, &g->owned));
		all = cpuset_or(&all, &g->owned);
		if (g->dedicated)
			check_vcpus(s, i);
	}
	CU_ASSERT_TRUE(cpuset_equal(&all, &p->dedicated));
	CU_ASSERT_FALSE(cpuset_intersects(&all, &p->housekeeping));
	CU_ASSERT_FALSE(cpuset_empty(&p->shared));
	CU_ASSERT_FALSE(cpuset_intersects(&p->shared, &p->dedicated));
	rest = cpuset_or(&p->shared, &p->dedicated);
	rest = cpuset_or(&rest, &p->housekeeping);
	CU_ASSERT_TRUE(cpuset_equal(&rest, &s->host->online));
}

struct memory { /* CPUs of each guest id before a step */
	struct cpuset owned[512];
	bool dedicated[512];
};

static void remember(const struct scene *s, struct memory *m)
{
	memset(m, 0, sizeof(*m));
	for (size_t i = 0; s->placement && i < s->placement->count; i++) {
		const struct placement_guest *g = &s->placement->guests[i];

		m->owned[g->guest_id] = g->owned;
		m->dedicated[g->guest_id] = g->dedicated;
	}
}

/* Nobody who had cores and still may have some has moved. */
static void check_stable(const struct scene *s, const struct memory *m)
{
	for (size_t i = 0; i < s->placement->count; i++) {
		const struct placement_guest *g = &s->placement->guests[i];

		if (m->dedicated[g->guest_id] && s->admitted[i])
			CU_ASSERT_TRUE(cpuset_equal(&m->owned[g->guest_id], &g->owned));
	}
}

static void check_deterministic(const struct scene *s)
{
	struct placement *again =
		placement_compute(s->policy, s->host, s->inv, s->assign, s->admitted, s->placement);

	for (size_t i = 0; i < again->count; i++)
		CU_ASSERT_TRUE(
			cpuset_equal(&again->guests[i].owned, &s->placement->guests[i].owned));
	placement_free(again);
}

static void one_history(uint64_t seed)
{
	static const char *const classes[] = { "gold", "iso", "bronze", "silver" };
	unsigned int threads = 1 + next_random(&seed) % 2;
	unsigned int nodes = 1 + next_random(&seed) % 4;
	unsigned int cores = 2 + next_random(&seed) % 8;
	struct scene *s = scene_new(make_policy(), host_regular(nodes, cores, threads, 4096 * GIB));
	struct qclass *iso = make_class(s->policy, "iso", 1);
	static struct memory before;

	iso->cpu.placement = PLACEMENT_DEDICATED;
	iso->cpu.threads = THREADS_ISOLATE;
	if (next_random(&seed) % 2)
		cpuset_add(&s->policy->host.reserve.cpus, 0);
	for (uint32_t id = 1; id < 40; id++) {
		char name[16];

		snprintf(name, sizeof(name), "g%u", id);
		remember(s, &before);
		if (s->inv->count && next_random(&seed) % 3 == 0) {
			size_t victim = next_random(&seed) % s->inv->count;

			snprintf(name, sizeof(name), "%s", s->inv->guests[victim]->name);
			scene_stop(s, name);
		} else {
			uint32_t vcpus = 1 + next_random(&seed) % 6;

			scene_add(s, name, id, vcpus, GIB,
				  classes[next_random(&seed) % ARRAY_SIZE(classes)]);
		}
		scene_settle(s);
		check_invariants(s);
		check_stable(s, &before);
		check_deterministic(s);
	}
	scene_free(s);
}

static void test_histories(void)
{
	for (uint64_t seed = 1; seed <= 200; seed++) {
		unsigned int failures = CU_get_number_of_failures();

		one_history(seed * 77);
		if (CU_get_number_of_failures() > failures) {
			fprintf(stderr, "\nfailed with seed %llu\n", (unsigned long long)seed);
			return;
		}
	}
}

/* What a guest leaves is taken by the next one of its size, and the shared pool is as before. */
static void test_reuse(void)
{
	struct scene *s = scene_new(make_policy(), host_regular(2, 8, 2, 64 * GIB));
	struct cpuset owned, shared;

	scene_add(s, "a", 1, 4, GIB, "gold");
	scene_add(s, "b", 2, 6, GIB, "gold");
	scene_add(s, "c", 3, 4, GIB, "gold");
	scene_settle(s);
	owned = placed(s, "b")->owned;
	shared = s->placement->shared;
	scene_stop(s, "b");
	scene_settle(s);
	CU_ASSERT_TRUE(cpuset_subset(&owned, &s->placement->shared));
	scene_add(s, "d", 4, 6, GIB, "gold");
	scene_settle(s);
	CU_ASSERT_TRUE(cpuset_equal(&placed(s, "d")->owned, &owned));
	CU_ASSERT_TRUE(cpuset_equal(&s->placement->shared, &shared));
	scene_free(s);
}

static const struct test tests[] = {
	{ "housekeeping, dedicated, shared", test_contract_example },
	{ "hardware threads shared and isolated", test_threads },
	{ "the tightest NUMA node that fits", test_numa_best_fit },
	{ "a guest larger than a node", test_spans_nodes },
	{ "the tightest cache that fits", test_cache_best_fit },
	{ "not enough cores", test_shortfall },
	{ "all CPUs are housekeeping", test_all_housekeeping },
	{ "vCPUs plugged and unplugged", test_hotplug },
	{ "threads mode changed by reload", test_mode_change },
	{ "reserve changed by reload", test_reserve_change },
	{ "200 random histories", test_histories },
	{ "freed cores are used again", test_reuse },
};

int main(void)
{
	return harness_run("placement", tests, ARRAY_SIZE(tests));
}
