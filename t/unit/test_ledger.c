/* SPDX-License-Identifier: GPL-2.0-or-later */
/* ledger - admission. */
#include <errno.h>

#include "t/unit/harness.h"
#include "t/unit/make.h"

static void test_capacity(void)
{
	struct policy *p = make_policy();
	struct host *h = host_regular(1, 4, 2, 8 * GIB);
	struct ledger l;
	struct cpuset pool;

	ledger_init(&l, p, h);
	CU_ASSERT_EQUAL(l.memory_capacity_bytes, 7 * GIB);
	CU_ASSERT_EQUAL(l.shared_capacity_mcpu, 8000);
	CU_ASSERT_EQUAL(l.dedicated_capacity_cpus, 6); /* one core stays shared */
	cpuset_add(&p->host.reserve.cpus, 0);
	ledger_init(&l, p, h);
	CU_ASSERT_EQUAL(l.shared_capacity_mcpu, 7000);
	CU_ASSERT_EQUAL(l.dedicated_capacity_cpus, 6); /* the broken core does that */
	p->host.reserve.memory_bytes = 9 * GIB;
	p->host.reserve.cpus = h->online;
	ledger_init(&l, p, h);
	CU_ASSERT_EQUAL(l.memory_capacity_bytes, 0);
	pool = ledger_pool(p, h);
	CU_ASSERT_FALSE(cpuset_empty(&pool));
	host_free(h);
	policy_free(p);
}

static void test_dedicated_cpus(void)
{
	struct policy *p = make_policy();
	struct host *h = host_regular(1, 4, 2, 8 * GIB);
	struct qclass c = *policy_class(p, "gold");
	struct guest *g = make_guest("a", 1, 3, GIB);

	CU_ASSERT_EQUAL(ledger_dedicated_cpus(h, g, &c), 4);
	c.cpu.threads = THREADS_ISOLATE;
	CU_ASSERT_EQUAL(ledger_dedicated_cpus(h, g, &c), 6);
	guest_unref(g);
	host_free(h);
	policy_free(p);
}

static void test_rbd_budget(void)
{
	struct policy *p = make_policy();
	struct host *h = host_regular(1, 4, 1, 8 * GIB);
	struct guest *g = make_guest("web1", 1, 1, GIB);
	struct qclass c = *policy_class(p, "bronze");
	struct qerr err = { 0 };
	struct ledger l;

	g->disks = must(calloc(1, sizeof(*g->disks)));
	g->ndisks = 1;
	g->disks[0].rbd = true;
	c.rbd.in_force_bytes = 300 * MIB;
	h->services_bytes = GIB;
	p->ceph.cache_budget_bytes = 512 * MIB;
	ledger_init(&l, p, h);
	CU_ASSERT_EQUAL(l.memory_capacity_bytes, 6 * GIB);
	CU_ASSERT_EQUAL(ledger_admit(&l, h, g, &c, &err), 0);
	CU_ASSERT_EQUAL(l.rbd_used_bytes, 300 * MIB);
	CU_ASSERT_EQUAL(ledger_admit(&l, h, g, &c, &err), -ENOSPC);
	ASSERT_STR(err.text, "RBD caches: those of web1 may take 300MiB, 212MiB of "
			     "ceph.cache_budget 512MiB are left");
	CU_ASSERT_EQUAL(l.rbd_used_bytes, 300 * MIB);
	p->ceph.cache_budget_bytes = POLICY_NONE_U64;
	ledger_init(&l, p, h);
	for (int i = 0; i < 5; i++)
		CU_ASSERT_EQUAL(ledger_admit(&l, h, g, &c, &err), 0);
	guest_unref(g);
	host_free(h);
	policy_free(p);
}

static void test_sentences(void)
{
	struct policy *p = make_policy();
	struct host *h = host_regular(1, 4, 1, 8 * GIB);
	struct guest *g = make_guest("web1", 1, 2, 6 * GIB);
	const struct qclass *gold = policy_class(p, "gold");
	struct ledger l, before;
	struct qerr err = { 0 };

	ledger_init(&l, p, h);
	CU_ASSERT_EQUAL(ledger_admit(&l, h, g, gold, &err), 0);
	CU_ASSERT_EQUAL(l.dedicated_used_cpus, 2);
	CU_ASSERT_EQUAL(l.shared_capacity_mcpu, 2000);
	before = l;
	CU_ASSERT_EQUAL(ledger_admit(&l, h, g, gold, &err), -ENOSPC);
	ASSERT_STR(err.text, "memory: web1 asks for 6.1GiB, 896MiB of 7GiB can still be reserved");
	CU_ASSERT_EQUAL(memcmp(&l, &before, sizeof(l)), 0);
	g->memory_bytes = 100 * MIB;
	CU_ASSERT_EQUAL(ledger_admit(&l, h, g, gold, &err), -ENOSPC);
	ASSERT_STR(err.text, "cpu: web1 asks for 2 dedicated CPUs, 1 of 3 are left");
	CU_ASSERT_EQUAL(ledger_admit(&l, h, g, gold, NULL), -ENOSPC);
	guest_unref(g);
	host_free(h);
	policy_free(p);
}

static void test_shared(void)
{
	struct policy *p = make_policy();
	struct host *h = host_regular(1, 4, 1, 8 * GIB);
	struct guest *g = make_guest("b1", 1, 25, GIB);
	struct guest *d = make_guest("web1", 2, 2, GIB);
	struct ledger l;
	struct qerr err = { 0 };

	ledger_init(&l, p, h);
	CU_ASSERT_EQUAL(ledger_admit(&l, h, g, policy_class(p, "bronze"), &err), 0);
	CU_ASSERT_EQUAL(l.shared_reserved_mcpu, 2500);
	CU_ASSERT_EQUAL(ledger_admit(&l, h, d, policy_class(p, "gold"), &err), -ENOSPC);
	ASSERT_STR(err.text, "cpu: web1 asks for 2 dedicated CPUs, which leaves less than the "
			     "2.5 CPUs that are reserved in the shared pool");
	CU_ASSERT_EQUAL(ledger_admit(&l, h, g, policy_class(p, "bronze"), &err), -ENOSPC);
	ASSERT_STR(err.text, "cpu: b1 asks for 2.5 CPUs, 1.5 CPUs of 4 CPUs in the shared pool "
			     "can still be reserved");
	guest_unref(g);
	guest_unref(d);
	host_free(h);
	policy_free(p);
}

static void test_build(void)
{
	struct scene *s = scene_new(make_policy(), host_regular(1, 8, 1, 8 * GIB));
	uint32_t order[4];

	scene_add(s, "a-young", 9, 1, 3 * GIB, "gold");
	scene_add(s, "b-bronze", 1, 1, 3 * GIB, "bronze");
	scene_add(s, "c-old", 3, 1, 3 * GIB, "gold");
	scene_add(s, "d-middle", 5, 1, 3 * GIB, "gold");
	scene_settle(s);
	CU_ASSERT_EQUAL(ledger_order(s->inv, s->assign, order), 0);
	CU_ASSERT(order[0] == 2 && order[1] == 3 && order[2] == 0 && order[3] == 1);
	CU_ASSERT_FALSE(s->admitted[0]); /* the newcomer takes from nobody */
	CU_ASSERT_TRUE(s->admitted[1]);
	CU_ASSERT_TRUE(s->admitted[2]);
	CU_ASSERT_TRUE(s->admitted[3]);
	CU_ASSERT_EQUAL(s->errs[0].code, -ENOSPC);
	CU_ASSERT_EQUAL(s->errs[1].code, 0);
	CU_ASSERT_EQUAL(s->ledger.memory_reserved_bytes, 2 * (3 * GIB + 128 * MIB));
	scene_free(s);
}

static void scene_disks(struct scene *s)
{
	for (size_t i = 0; i < s->inv->count; i++) {
		struct guest *g = s->inv->guests[i];

		g->disks = must(calloc(2, sizeof(*g->disks)));
		g->ndisks = 2;
		g->disks[0].rbd = g->disks[0].fixed = true;
		g->disks[1].rbd = true; /* a CD-ROM */
	}
}

/* 10000 operations a second cost librbd 0.6 CPU: counted where the emulator runs, refusing nobody.
 */
static void test_rbd_clients(void)
{
	struct scene *s = scene_new(make_policy(), host_regular(1, 4, 1, 64 * GIB));
	struct qclass *gold, *bronze;

	gold = (struct qclass *)policy_class(s->policy, "gold");
	bronze = (struct qclass *)policy_class(s->policy, "bronze");
	gold->disk.total_iops = bronze->disk.total_iops = 10000;
	scene_add(s, "a", 1, 2, GIB, "gold");
	scene_add(s, "b", 2, 1, GIB, "bronze");
	scene_add(s, "c", 3, 2, GIB, "gold"); /* has no cores of its own: one always stays shared */
	scene_disks(s);
	scene_settle(s);
	CU_ASSERT_FALSE(s->admitted[2]);
	CU_ASSERT_EQUAL(s->ledger.clients_shared.mcpu, 1800);
	CU_ASSERT_EQUAL(s->ledger.clients_host.mcpu, 0);
	cpuset_add(&s->policy->host.reserve.cpus, 0);
	scene_settle(s);
	CU_ASSERT_EQUAL(s->ledger.clients_host.mcpu, 600);
	CU_ASSERT_EQUAL(s->ledger.clients_shared.mcpu, 1200);
	s->policy->host.disk.iops = 15000; /* together they do no more, of bytes up to 25 MB/s */
	s->policy->host.disk.bps = 25000000;
	scene_settle(s);
	CU_ASSERT_EQUAL(s->ledger.clients_shared.mcpu, 900 + 20);
	cpuset_add(&bronze->cpu.emulator, 1); /* CPUs of its own: the operator's to count */
	scene_settle(s);
	CU_ASSERT_EQUAL(s->ledger.clients_shared.mcpu, 600 + 20);
	scene_free(s);
}

static const struct test tests[] = {
	{ "RBD clients take CPUs beside the vCPUs", test_rbd_clients },
	{ "capacity", test_capacity },
	{ "RBD caches within their budget, memory without services", test_rbd_budget },
	{ "dedicated guests take whole cores", test_dedicated_cpus },
	{ "refusals say what is left", test_sentences },
	{ "the shared pool", test_shared },
	{ "by rank, then by age", test_build },
};

int main(void)
{
	return harness_run("ledger", tests, ARRAY_SIZE(tests));
}
