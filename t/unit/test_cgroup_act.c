/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What an overload does to a guest's group: freeze, idle, reclaim; on trees of ordinary files. */
#include <poll.h>

#include "cgroup_tree.h"

static void put_acting(const struct tree *t)
{
	put_v2(t);
	put(t, "cg" TOP_V2 "/cgroup.freeze", "0\n");
	put(t, "cg/machine.slice/a.scope/cpu.idle", "0\n");
	put(t, "cg" TOP_V2 "/memory.reclaim", "%s", "");
}

static void test_freeze(void)
{
	struct tree t;

	tree_open(&t, put_acting);
	ASSERT_STR(read_knob(&t, NULL, KNOB_FREEZE), "0");
	round_trip(&t, NULL, KNOB_FREEZE, "1");
	ASSERT_STR(get(&t, "cg" TOP_V2 "/cgroup.freeze"), "1");
	round_trip(&t, NULL, KNOB_FREEZE, "0");
	CU_ASSERT_EQUAL(apply_knob(&t, "/machine.slice", KNOB_FREEZE, "1"), -EOPNOTSUPP);
	tree_close(&t);
	tree_open(&t, put_v1);
	ASSERT_STR(read_knob(&t, NULL, KNOB_FREEZE), "0");
	CU_ASSERT_EQUAL(apply_knob(&t, NULL, KNOB_FREEZE, "0"), 0);
	CU_ASSERT_EQUAL(apply_knob(&t, NULL, KNOB_FREEZE, "1"), -EOPNOTSUPP);
	tree_close(&t);
}

static void test_idle(void)
{
	struct tree t;

	tree_open(&t, put_acting);
	CU_ASSERT_EQUAL(apply_knob(&t, NULL, KNOB_CPU_WEIGHT, "0"), 0);
	ASSERT_STR(get(&t, "cg/machine.slice/a.scope/cpu.idle"), "1");
	ASSERT_STR(get(&t, "cg/machine.slice/a.scope/cpu.weight"), "100"); /* the kernel's to do */
	put(&t, "cg/machine.slice/a.scope/cpu.weight", "0\n");             /* ... as it does */
	ASSERT_STR(read_knob(&t, NULL, KNOB_CPU_WEIGHT), "0");
	CU_ASSERT_EQUAL(apply_knob(&t, NULL, KNOB_CPU_WEIGHT, "200"), 0);
	ASSERT_STR(get(&t, "cg/machine.slice/a.scope/cpu.idle"), "0");
	ASSERT_STR(get(&t, "cg/machine.slice/a.scope/cpu.weight"), "200");
	/* Nothing is written that is there already. */
	put(&t, "cg/machine.slice/a.scope/cpu.idle", "untouched\n");
	CU_ASSERT_EQUAL(apply_knob(&t, NULL, KNOB_CPU_WEIGHT, "300"), 0);
	ASSERT_STR(get(&t, "cg/machine.slice/a.scope/cpu.idle"), "untouched");
	remove_below(&t, "cg/machine.slice/a.scope/cpu.idle");
	tree_close(&t);
	tree_open(&t, put_v2); /* an old kernel */
	CU_ASSERT_EQUAL(apply_knob(&t, NULL, KNOB_CPU_WEIGHT, "0"), -EOPNOTSUPP);
	CU_ASSERT_EQUAL(apply_knob(&t, NULL, KNOB_CPU_WEIGHT, "50"), 0);
	tree_close(&t);
}

/* ---- reclaim ---- */

struct answer {
	unsigned int count;
	uint64_t ticket;
	int result;
};

static void take_answer(void *user, uint64_t ticket, int result, const struct qerr *err)
{
	struct answer *a = user;

	(void)err;
	a->count++;
	a->ticket = ticket;
	a->result = result;
}

static struct answer wait_answer(struct worker *w)
{
	struct pollfd p = { .fd = worker_fd(w), .events = POLLIN };
	struct answer a = { 0 };

	CU_ASSERT_EQUAL(poll(&p, 1, 5000), 1);
	worker_collect(w, take_answer, &a);
	return a;
}

static struct adapter *with_reclaimer(const struct tree *t, struct worker *w)
{
	char cg[128], proc[128];
	struct cgroup_config config = { .root = cg, .proc = proc, .reclaimer = w };
	struct adapter *a = NULL;

	snprintf(cg, sizeof(cg), "%s/cg", t->root);
	snprintf(proc, sizeof(proc), "%s/proc", t->root);
	CU_ASSERT_EQUAL_FATAL(cgroup_new(&config, &a, NULL), 0);
	return a;
}

static void test_reclaim(void)
{
	struct worker *w = NULL;
	struct adapter *a;
	struct answer answer;
	struct tree t;

	CU_ASSERT_EQUAL_FATAL(worker_new("reclaim", 4, &w), 0);
	tree_open(&t, put_acting);
	a = with_reclaimer(&t, w);
	/* 300 MiB are there, and stay: a step ends some time. */
	put(&t, "cg" TOP_V2 "/memory.reclaim", "%s", "");
	CU_ASSERT_EQUAL(cgroup_reclaim(a, t.guest, 10 * MIB, 7, NULL), -EINPROGRESS);
	answer = wait_answer(w);
	CU_ASSERT_EQUAL(answer.ticket, 7);
	CU_ASSERT_EQUAL(answer.result, 0);
	CU_ASSERT_EQUAL(strlen(get(&t, "cg" TOP_V2 "/memory.reclaim")), 64 * strlen("1048576"));
	/* What is in swap as well is not the guest's own: it has but 20 MiB left. */
	put(&t, "cg" TOP_V2 "/memory.reclaim", "%s", "");
	put(&t, "cg" TOP_V2 "/memory.stat", "anon 1\nswapcached %llu\nfile 2\n", 280 * MIB * 1ULL);
	CU_ASSERT_EQUAL(cgroup_reclaim(a, t.guest, 30 * MIB, 8, NULL), -EINPROGRESS);
	CU_ASSERT_EQUAL(wait_answer(w).count, 1);
	ASSERT_STR(get(&t, "cg" TOP_V2 "/memory.reclaim"), "");
	CU_ASSERT_EQUAL(cgroup_reclaim(a, t.guest, 300 * MIB - 1, 9, NULL), 0);
	CU_ASSERT_EQUAL(cgroup_reclaim(a, t.guest, 300 * MIB, 9, NULL), 0);
	put_memory(&t, TOP_V2, 300 * MIB, 300 * MIB); /* what is reserved is not touched */
	CU_ASSERT_EQUAL(cgroup_reclaim(a, t.guest, 0, 9, NULL), 0);
	put_memory(&t, TOP_V2, 0, 300 * MIB);
	CU_ASSERT_EQUAL(cgroup_reclaim(a, t.guest, UINT64_MAX, 9, NULL), 0);
	remove_below(&t, "cg" TOP_V2 "/memory.reclaim");
	CU_ASSERT_EQUAL(cgroup_reclaim(a, t.guest, 0, 10, NULL), -EOPNOTSUPP);
	CU_ASSERT_EQUAL(cgroup_reclaim(t.adapter, t.guest, 0, 10, NULL), -EOPNOTSUPP);
	cgroup_adapter_free(a);
	tree_close(&t);
	worker_free(w, 1000000);
}

static void test_reclaim_refused(void)
{
	struct worker *w = NULL;
	struct adapter *a;
	struct answer answer;
	char path[512];
	struct tree t;

	CU_ASSERT_EQUAL_FATAL(worker_new("reclaim", 4, &w), 0);
	tree_open(&t, put_acting);
	remove_below(&t, "cg" TOP_V2 "/memory.reclaim");
	/* A device that takes nothing refuses as the kernel can. */
	snprintf(path, sizeof(path), "%s/cg%s/memory.reclaim", t.root, TOP_V2);
	CU_ASSERT_EQUAL_FATAL(symlink("/dev/full", path), 0);
	a = with_reclaimer(&t, w);
	CU_ASSERT_EQUAL(cgroup_reclaim(a, t.guest, 0, 3, NULL), -EINPROGRESS);
	answer = wait_answer(w);
	CU_ASSERT_EQUAL(answer.ticket, 3);
	CU_ASSERT_EQUAL(answer.result, -ENOSPC);
	cgroup_adapter_free(a);
	tree_close(&t);
	worker_free(w, 1000000);
}

static const struct test tests[] = {
	{ "freeze and thaw", test_freeze },
	{ "idle and not", test_idle },
	{ "steps of reclaim", test_reclaim },
	{ "a step that is refused", test_reclaim_refused },
};

int main(void)
{
	return harness_run("cgroup_act", tests, ARRAY_SIZE(tests));
}
