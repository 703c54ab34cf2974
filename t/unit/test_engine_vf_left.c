/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test_engine_vf_left - rates of virtual functions whose guest has gone: given back to the card, or
 * taken over by who has the function next.
 */
#include "t/unit/vf_bench.h"

static void test_stopped(void)
{
	struct vf_tree tree;
	struct bench *b = bench_vf(&tree, BENCH_POLICY("enforce", SLOW), "fast");
	struct guest *g = guest_ref(inventory_find(b->running, "web1"));

	bench_stop(b, "web1");
	bench_publish(b);
	bench_settle(b);
	CU_ASSERT_EQUAL(left(b, g).u64, 777000000);
	CU_ASSERT_EQUAL(baseline_count(b->e->baseline), 0);
	guest_unref(g);
	free_both(b, &tree);
}

/* Another reading of libvirt's: the guest could not be told of, but its process is there. */
static void test_not_told(void)
{
	struct vf_tree tree;
	struct bench *b = bench_vf(&tree, BENCH_POLICY("enforce", SLOW), "silver");
	struct guest *g = guest_ref(inventory_find(b->running, "web1"));

	g->pid = getpid();
	bench_set_class(b, "web1", "fast");
	bench_settle(b);
	bench_stop(b, "web1");
	bench_publish(b);
	CU_ASSERT_EQUAL(left(b, g).u64, 300000000);
	bench_settle(b);
	for (int i = 0; i < 5; i++)
		look_again(b);
	CU_ASSERT_EQUAL(left(b, g).u64, 300000000);
	CU_ASSERT_EQUAL(kept(b), 1);
	guest_unref(g);
	free_both(b, &tree);
}

/* It runs, but the first looks of a new daemon do not have it: nothing is known of its process. */
static void test_not_told_yet(void)
{
	struct vf_tree tree;
	struct bench *b = bench_vf(&tree, BENCH_POLICY("enforce", SLOW), "fast");
	struct guest *g = guest_ref(inventory_find(b->running, "web1"));

	bench_kill(b);
	bench_stop(b, "web1");
	bench_boot(b);
	b->e->sysfs = tree.root;
	bench_publish(b);
	bench_publish(b);
	look_again(b);
	CU_ASSERT_EQUAL(left(b, g).u64, 300000000);
	inventory_add(b->running, g);
	bench_publish(b);
	bench_settle(b);
	bench_stop(b, "web1"); /* one look that it missed is forgotten by now */
	g->pid = getpid();
	bench_publish(b);
	look_again(b);
	CU_ASSERT_EQUAL(left(b, g).u64, 300000000);
	guest_unref(g);
	free_both(b, &tree);
}

/* It stopped while no daemon ran; the card is busy at first, then gives way. */
static void test_stopped_unseen(void)
{
	struct vf_tree tree;
	struct bench *b = bench_vf(&tree, BENCH_POLICY("enforce", SLOW), "fast");
	struct guest *g = guest_ref(inventory_find(b->running, "web1"));

	bench_kill(b);
	bench_stop(b, "web1");
	bench_guest(b, "db1", 2, 2, 2 * GIB, "silver");
	bench_boot(b);
	b->e->sysfs = tree.root;
	b->fakes[ADAPTER_NET].fail[KNOB_NET_OUT] = -EINVAL;
	bench_publish(b);
	bench_settle(b);
	for (int i = 0; i < 4; i++)
		look_again(b);
	CU_ASSERT_EQUAL(left(b, g).u64, 300000000);
	CU_ASSERT_EQUAL(bench_logged(b, VF_1), 1); /* once */
	(void)baseline_retain(b->e->baseline, b->e->inventory);
	b->fakes[ADAPTER_NET].fail[KNOB_NET_OUT] = 0;
	look_again(b);
	CU_ASSERT_EQUAL(left(b, g).u64, 777000000);
	look_again(b);
	CU_ASSERT_EQUAL(left(b, g).u64, 777000000);
	guest_unref(g);
	free_both(b, &tree);
}

/* Each entry's trouble is told, once; a card that is busy is no guest that lives. */
static void test_told(void)
{
	struct vf_tree tree;
	struct bench *b = bench_vf(&tree, BENCH_POLICY("enforce", SLOW), "fast");
	struct guest *g = bench_guest(b, "db1", 2, 2, 2 * GIB, "fast");

	g->nnics = 0;
	make_vf(g, VF_0);
	bench_publish(b);
	bench_settle(b);
	b->fakes[ADAPTER_NET].fail[KNOB_NET_OUT] = -EBUSY;
	bench_stop(b, "web1");
	bench_publish(b);
	look_again(b);
	CU_ASSERT_EQUAL(bench_logged(b, VF_1), 1);
	bench_stop(b, "db1");
	bench_publish(b);
	look_again(b);
	CU_ASSERT_EQUAL(bench_logged(b, VF_1), 1);
	CU_ASSERT_EQUAL(bench_logged(b, VF_0), 1);
	free_both(b, &tree);
}

/* ---- another guest has the function by now: take_over() ---- */

/* It is limited, and what it gives back later is what the first guest found. */
static void test_taken_over(void)
{
	struct vf_tree tree;
	struct bench *b = bench_vf(&tree, BENCH_POLICY("enforce", SLOW), "fast");
	struct guest *g = guest_ref(inventory_find(b->running, "web1"));

	take_over(b, "slow", "300000000");
	CU_ASSERT_EQUAL(left(b, g).u64, 300000000); /* nothing was written for web1 */
	ASSERT_STR(sent_by_db1(b), "1000000");
	CU_ASSERT_EQUAL(kept(b), 1);
	bench_set_class(b, "db1", "silver");
	bench_settle(b);
	ASSERT_STR(sent_by_db1(b), "777000000");
	guest_unref(g);
	free_both(b, &tree);
}

static void test_taken_over_unlimited(void)
{
	struct vf_tree tree;
	struct bench *b = bench_vf(&tree, BENCH_POLICY("enforce", SLOW), "fast");

	take_over(b, "silver", "300000000");
	ASSERT_STR(sent_by_db1(b), "777000000");
	CU_ASSERT_EQUAL(kept(b), 0);
	free_both(b, &tree);
}

/* Somebody has set a rate for the new guest. */
static void test_taken_over_set(void)
{
	struct vf_tree tree;
	struct bench *b = bench_vf(&tree, BENCH_POLICY("enforce", SLOW), "fast");

	take_over(b, "silver", "555000000");
	ASSERT_STR(sent_by_db1(b), "555000000");
	bench_set_class(b, "db1", "slow");
	bench_settle(b);
	ASSERT_STR(sent_by_db1(b), "1000000");
	bench_set_class(b, "db1", "silver");
	bench_settle(b);
	ASSERT_STR(sent_by_db1(b), "555000000");
	free_both(b, &tree);
}

/* It could not be given back before; and the same in observe mode, or by a daemon before. */
static void test_taken_over_late(void)
{
	struct vf_tree tree;
	struct bench *b = bench_vf(&tree, BENCH_POLICY("enforce", SLOW), "fast");
	struct guest *g = guest_ref(inventory_find(b->running, "web1"));

	bench_stop(b, "web1");
	b->fakes[ADAPTER_NET].fail[KNOB_NET_OUT] = -EINVAL;
	bench_publish(b);
	bench_settle(b);
	b->fakes[ADAPTER_NET].fail[KNOB_NET_OUT] = 0;
	inventory_add(b->running, g); /* for take_over() */
	take_over(b, "silver", "300000000");
	ASSERT_STR(sent_by_db1(b), "777000000");
	guest_unref(g);
	free_both(b, &tree);
}

static void test_taken_over_observed(void)
{
	struct vf_tree tree;
	struct bench *b = bench_vf(&tree, BENCH_POLICY("enforce", SLOW), "fast");
	struct qerr err = { 0 };

	CU_ASSERT_EQUAL(engine_set_mode(b->e, MODE_OBSERVE, &err), 0);
	take_over(b, "slow", "300000000");
	ASSERT_STR(sent_by_db1(b), "300000000");
	CU_ASSERT_EQUAL(engine_set_mode(b->e, MODE_ENFORCE, &err), 0);
	bench_settle(b);
	ASSERT_STR(sent_by_db1(b), "1000000");
	bench_set_class(b, "db1", "silver");
	bench_settle(b);
	ASSERT_STR(sent_by_db1(b), "777000000");
	free_both(b, &tree);
}

static void test_taken_over_unseen(void)
{
	struct vf_tree tree;
	struct bench *b = bench_vf(&tree, BENCH_POLICY("enforce", SLOW), "fast");

	bench_kill(b);
	bench_boot(b);
	b->e->sysfs = tree.root;
	take_over(b, "silver", "300000000");
	ASSERT_STR(sent_by_db1(b), "777000000");
	free_both(b, &tree);
}

/* The new owner's value of before is not on disk: then the old one's stays, and nothing is written.
 */
static void test_taken_over_full_disk(void)
{
	struct vf_tree tree;
	struct bench *b = bench_vf(&tree, BENCH_POLICY("enforce", SLOW), "fast");

	bench_limit_files(0);
	take_over(b, "slow", "300000000");
	ASSERT_STR(sent_by_db1(b), "300000000");
	CU_ASSERT_EQUAL(kept(b), 1);
	bench_limit_files(RLIM_INFINITY);
	look_again(b);
	bench_pass(b, 1000000);
	ASSERT_STR(sent_by_db1(b), "1000000");
	bench_set_class(b, "db1", "silver");
	bench_settle(b);
	ASSERT_STR(sent_by_db1(b), "777000000");
	free_both(b, &tree);
}

/* ---- releasing all ---- */

/* Its guest has stopped, and the card refuses: the release goes on until it does not. */
static void test_release_left(void)
{
	struct vf_tree tree;
	struct bench *b = bench_vf(&tree, BENCH_POLICY("enforce", SLOW), "fast");
	struct guest *g = guest_ref(inventory_find(b->running, "web1"));
	struct qerr err = { 0 };

	bench_stop(b, "web1");
	bench_guest(b, "db1", 2, 2, 2 * GIB, "silver");
	b->fakes[ADAPTER_NET].fail[KNOB_NET_OUT] = -EINVAL;
	bench_publish(b);
	bench_settle(b);
	b->fakes[ADAPTER_NET].only_vfs = true;
	CU_ASSERT_EQUAL(engine_release(b->e, NULL, &err), 0);
	bench_settle(b);
	bench_pass(b, 2000000);
	CU_ASSERT(engine_releasing(b->e));
	CU_ASSERT_EQUAL(bench_logged(b, "every value is as it was"), 0);
	CU_ASSERT_EQUAL(bench_logged(b, VF_1), 1);
	b->fakes[ADAPTER_NET].fail[KNOB_NET_OUT] = 0;
	bench_pass(b, 2000000);
	CU_ASSERT(!engine_releasing(b->e));
	CU_ASSERT_EQUAL(bench_logged(b, "every value is as it was"), 1);
	CU_ASSERT_EQUAL(left(b, g).u64, 777000000);
	guest_unref(g);
	free_both(b, &tree);
}

/* In observe mode its guest stopped, and another one has it: both are of the release. */
static void test_release_taken_over(void)
{
	struct vf_tree tree;
	struct bench *b = bench_vf(&tree, BENCH_POLICY("enforce", SLOW), "fast");
	struct qerr err = { 0 };

	CU_ASSERT_EQUAL(engine_set_mode(b->e, MODE_OBSERVE, &err), 0);
	take_over(b, "slow", "300000000");
	CU_ASSERT_EQUAL(engine_release(b->e, NULL, &err), 0);
	bench_settle(b);
	ASSERT_STR(sent_by_db1(b), "777000000");
	CU_ASSERT(!engine_releasing(b->e));
	CU_ASSERT_EQUAL(kept(b), 0);
	free_both(b, &tree);
}

/* Killed in the middle of a release, and started anew with --observe: nothing is written. */
static void test_release_observed(void)
{
	struct vf_tree tree;
	struct bench *b = bench_vf(&tree, BENCH_POLICY("enforce", SLOW), "fast");
	struct guest *web1 = guest_ref(inventory_find(b->running, "web1"));
	struct qerr err = { 0 };
	unsigned int writes;

	bench_guest(b, "db1", 2, 2, 2 * GIB, "slow");
	bench_publish(b);
	bench_settle(b);
	b->fakes[ADAPTER_NET].fail[KNOB_NET_OUT] = -EINVAL;
	b->fakes[ADAPTER_CGROUP].fail[KNOB_CPU_WEIGHT] = -EINVAL;
	CU_ASSERT_EQUAL(engine_release(b->e, NULL, &err), 0);
	CU_ASSERT(engine_releasing(b->e));
	bench_kill(b);
	b->observe = true;
	b->fakes[ADAPTER_NET].fail[KNOB_NET_OUT] = 0;
	b->fakes[ADAPTER_CGROUP].fail[KNOB_CPU_WEIGHT] = 0;
	bench_stop(b, "web1");
	bench_boot(b);
	b->e->sysfs = tree.root;
	writes = bench_writes(b);
	bench_publish(b);
	bench_settle(b);
	for (int i = 0; i < 4; i++)
		look_again(b);
	bench_drift(b);
	bench_pass(b, 2000000);
	CU_ASSERT_EQUAL(bench_writes(b), writes);
	CU_ASSERT_EQUAL(left(b, web1).u64, 300000000);
	ASSERT_STR(bench_value(b, "db1", TARGET_NIC, 0, KNOB_NET_OUT), "1500000");
	bench_kill(b);
	b->observe = false; /* and the release is not forgotten */
	bench_boot(b);
	b->e->sysfs = tree.root;
	bench_publish(b);
	for (int i = 0; i < 4; i++)
		look_again(b);
	bench_pass(b, 2000000);
	CU_ASSERT_EQUAL(left(b, web1).u64, 777000000);
	ASSERT_STR(bench_value(b, "db1", TARGET_NIC, 0, KNOB_NET_OUT), "max");
	guest_unref(web1);
	free_both(b, &tree);
}

/* ---- it goes ---- */

/* Unplugged, or the whole function is no more: then there is nothing to write. */
static void test_unplugged(void)
{
	struct vf_tree tree;
	struct bench *b = bench_vf(&tree, BENCH_POLICY("enforce", SLOW), "fast");
	struct guest *g = guest_ref(inventory_find(b->running, "web1"));
	struct guest *bare = must(guest_with_class(g, "fast"));
	unsigned int writes = b->fakes[ADAPTER_NET].writes;

	g->pid = bare->pid = getpid(); /* it runs on */
	bare->nnics = 0;
	CU_ASSERT_EQUAL(inventory_replace(b->running, bare), 0);
	bench_publish(b);
	bench_settle(b);
	CU_ASSERT_EQUAL(left(b, g).u64, 777000000);
	CU_ASSERT_EQUAL(b->fakes[ADAPTER_NET].writes, writes + 1);
	guest_unref(bare);
	guest_unref(g);
	free_both(b, &tree);
}

static void test_no_card(void)
{
	struct vf_tree tree;
	struct bench *b = bench_vf(&tree, BENCH_POLICY("enforce", SLOW), "fast");
	unsigned int writes = b->fakes[ADAPTER_NET].writes;

	vf_tree_free(&tree);
	bench_stop(b, "web1");
	bench_publish(b);
	bench_settle(b);
	CU_ASSERT_EQUAL(b->fakes[ADAPTER_NET].writes, writes);
	CU_ASSERT_EQUAL(baseline_count(b->e->baseline), 0);
	bench_free(b);
}

/* The card leaves the function out while VFIO resets it: its rate is given back afterwards. */
static void test_reset(void)
{
	struct vf_tree tree;
	struct bench *b = bench_vf(&tree, BENCH_POLICY("enforce", SLOW), "fast");
	struct guest *g = guest_ref(inventory_find(b->running, "web1"));

	bench_stop(b, "web1");
	b->fakes[ADAPTER_NET].fail[KNOB_NET_OUT] = -EAGAIN;
	bench_publish(b);
	b->fakes[ADAPTER_NET].fail[KNOB_NET_OUT] = -ENOENT;
	look_again(b);
	CU_ASSERT_EQUAL(kept(b), 1);
	CU_ASSERT_EQUAL(bench_logged(b, VF_1), 0);
	b->fakes[ADAPTER_NET].fail[KNOB_NET_OUT] = 0;
	look_again(b);
	CU_ASSERT_EQUAL(left(b, g).u64, 777000000);
	CU_ASSERT_EQUAL(kept(b), 0);
	guest_unref(g);
	free_both(b, &tree);
}

/* The write itself says that the card takes no rates: then nothing more can be done. */
static void test_refused(void)
{
	struct vf_tree tree;
	struct bench *b = bench_vf(&tree, BENCH_POLICY("enforce", SLOW), "fast");

	bench_stop(b, "web1");
	b->fakes[ADAPTER_NET].fail[KNOB_NET_OUT] = -EOPNOTSUPP;
	bench_publish(b);
	CU_ASSERT_EQUAL(kept(b), 0);
	free_both(b, &tree);
}

/* The card's driver was unbound: the function is there, and so may be its rate. */
static void test_no_driver(void)
{
	struct vf_tree tree;
	struct bench *b = bench_vf(&tree, BENCH_POLICY("enforce", SLOW), "fast");
	struct guest *g = guest_ref(inventory_find(b->running, "web1"));
	char net[128], away[128];

	snprintf(net, sizeof(net), "%s/" VF_DEVICES VF_CARD "/net", tree.root);
	snprintf(away, sizeof(away), "%s/away", tree.root);
	CU_ASSERT_EQUAL(rename(net, away), 0);
	bench_stop(b, "web1");
	bench_publish(b);
	look_again(b);
	CU_ASSERT_EQUAL(kept(b), 1);
	CU_ASSERT_EQUAL(bench_logged(b, VF_1), 1);
	CU_ASSERT_EQUAL(rename(away, net), 0);
	look_again(b);
	CU_ASSERT_EQUAL(left(b, g).u64, 777000000);
	guest_unref(g);
	free_both(b, &tree);
}

static const struct test tests[] = {
	{ "release of what a guest left", test_release_left },
	{ "release when another guest has it", test_release_taken_over },
	{ "release, killed, and --observe", test_release_observed },
	{ "its guest has stopped", test_stopped },
	{ "its guest was only not told of", test_not_told },
	{ "its guest was not told of since the daemon began", test_not_told_yet },
	{ "its guest stopped while no daemon ran", test_stopped_unseen },
	{ "each trouble is told once", test_told },
	{ "another guest has it, and a limit", test_taken_over },
	{ "another guest has it, without a limit", test_taken_over_unlimited },
	{ "another guest has it, and a rate by somebody", test_taken_over_set },
	{ "another guest has it, after a failure", test_taken_over_late },
	{ "another guest has it, in observe mode", test_taken_over_observed },
	{ "another guest has it, after a restart", test_taken_over_unseen },
	{ "another guest has it, and the disk is full", test_taken_over_full_disk },
	{ "it was unplugged", test_unplugged },
	{ "it is no more", test_no_card },
	{ "it is being reset", test_reset },
	{ "its card refuses", test_refused },
	{ "its card has no driver", test_no_driver },
};

int main(void)
{
	return harness_run("engine_vf_left", tests, ARRAY_SIZE(tests));
}
