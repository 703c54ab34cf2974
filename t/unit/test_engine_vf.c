/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test_engine_vf - limits of virtual functions: only where the class has one, given back to the
 * card also when the guest has gone.
 */
#include "t/unit/engine_bench.h"
#include "t/unit/vf_tree.h"

#define SLOW                                                                                       \
	"{ name = \"slow\"; rank = 2; net = { limit = \"1500kbit\"; }; }, "                        \
	"{ name = \"fast\"; rank = 2; net = { limit = \"300Mbit\"; }; }"

/* A guest with nothing but function 1 of the card, which somebody has held to 777 Mbit/s. */
static struct bench *bench_vf(struct vf_tree *t, const char *mode, const char *class_name)
{
	struct bench *b = bench_new(mode);
	struct guest *g = bench_guest(b, "web1", 1, 2, 2 * GIB, class_name);

	vf_tree_make(t);
	b->e->sysfs = t->root;
	g->start_ticks = virt_process_start_ticks(getpid()); /* its pid is none yet */
	g->nnics = 0;
	make_vf(g, VF_1);
	bench_meddle(b, "web1", TARGET_NIC, 0, KNOB_NET_OUT, "777000000");
	bench_publish(b);
	bench_settle(b);
	bench_pass(b, BENCH_GROWN_US);
	return b;
}

static void free_both(struct bench *b, struct vf_tree *t)
{
	bench_free(b);
	vf_tree_free(t);
}

static const char *sent(struct bench *b)
{
	return bench_value(b, "web1", TARGET_NIC, 0, KNOB_NET_OUT);
}

static size_t entries_of(struct bench *b, enum knob_id knob)
{
	size_t n = 0;

	for (size_t i = 0; i < b->e->picture->plan->count; i++)
		n += b->e->picture->plan->entries[i].knob == knob;
	return n;
}

static void test_classes(void)
{
	struct vf_tree tree;
	struct bench *b = bench_vf(&tree, BENCH_POLICY("enforce", SLOW), "silver");

	bench_drift(b);
	ASSERT_STR(sent(b), "777000000"); /* a class without a limit leaves others' alone */
	CU_ASSERT_EQUAL(entries_of(b, KNOB_NET_OUT), 0);
	bench_set_class(b, "web1", "fast");
	bench_settle(b);
	ASSERT_STR(sent(b), "300000000");
	CU_ASSERT_EQUAL(entries_of(b, KNOB_NET_IN), 0);
	bench_set_class(b, "web1", "slow");
	bench_settle(b);
	ASSERT_STR(sent(b), "1000000");
	bench_set_class(b, "web1", "silver");
	bench_settle(b);
	bench_turn(b);
	ASSERT_STR(sent(b), "777000000");
	CU_ASSERT_EQUAL(b->e->repaired, 0);
	free_both(b, &tree);
}

static void test_drift(void)
{
	struct vf_tree tree;
	struct bench *b = bench_vf(&tree, BENCH_POLICY("enforce", SLOW), "slow");
	unsigned int writes = bench_writes(b);

	bench_drift(b); /* 1.5 Mbit/s is no whole number of them, and yet held */
	CU_ASSERT_EQUAL(bench_writes(b), writes);
	CU_ASSERT_EQUAL(bench_unmet(b), 0);
	bench_meddle(b, "web1", TARGET_NIC, 0, KNOB_NET_OUT, "max");
	bench_drift(b);
	ASSERT_STR(sent(b), "1000000");
	CU_ASSERT_EQUAL(b->e->repaired, 1);
	free_both(b, &tree);
}

/* What the card refuses does not keep the same guest's tap back, nor is a round kept from it. */
static void test_beside_tap(void)
{
	struct bench *b = bench_new(BENCH_POLICY("enforce", SLOW));
	struct guest *g = bench_guest(b, "web1", 1, 2, 2 * GIB, "fast");
	const struct lane *taps;

	make_vf(g, VF_1);
	b->fakes[ADAPTER_NET].only_vfs = true;
	b->fakes[ADAPTER_NET].fail[KNOB_NET_OUT] = -EINVAL;
	bench_publish(b);
	bench_settle(b);
	bench_pass(b, BENCH_GROWN_US);
	taps = &bench_row(b, "web1")->lanes[ADAPTER_NET];
	CU_ASSERT(!taps->failures && !taps->dirty && !taps->stale);
	CU_ASSERT(bench_row(b, "web1")->lanes[LANE_VF].failures > 0);
	CU_ASSERT_PTR_NOT_NULL(guests_trouble(bench_row(b, "web1")));
	bench_set_class(b, "web1", "slow");
	bench_settle(b);
	ASSERT_STR(sent(b), "1500000"); /* at once, while the function waits for its next try */
	ASSERT_STR(bench_value(b, "web1", TARGET_NIC, 1, KNOB_NET_OUT), "max");
	b->fakes[ADAPTER_NET].fail[KNOB_NET_OUT] = 0;
	bench_pass(b, 60000000);
	ASSERT_STR(bench_value(b, "web1", TARGET_NIC, 1, KNOB_NET_OUT), "1000000");
	b->fakes[ADAPTER_NET].async = true; /* and it is known whose a change in flight was */
	bench_set_class(b, "web1", "fast");
	bench_settle(b);
	CU_ASSERT_EQUAL(bench_row(b, "web1")->lanes[LANE_VF].inflight, 0);
	ASSERT_STR(bench_value(b, "web1", TARGET_NIC, 1, KNOB_NET_OUT), "300000000");
	bench_free(b);
}

static void test_release(void)
{
	struct vf_tree tree;
	struct bench *b = bench_vf(&tree, BENCH_POLICY("enforce", SLOW), "fast");
	struct qerr err = { 0 };

	ASSERT_STR(sent(b), "300000000");
	CU_ASSERT_EQUAL(engine_release(b->e, NULL, &err), 0);
	bench_settle(b);
	ASSERT_STR(sent(b), "777000000");
	CU_ASSERT(!engine_releasing(b->e));
	CU_ASSERT_EQUAL(baseline_count(b->e->baseline), 0);
	free_both(b, &tree);
}

static void test_observe(void)
{
	struct vf_tree tree;
	struct bench *b = bench_vf(&tree, BENCH_POLICY("observe", SLOW), "fast");

	bench_drift(b);
	ASSERT_STR(sent(b), "777000000");
	CU_ASSERT_EQUAL(bench_writes(b), 0);
	CU_ASSERT_EQUAL(entries_of(b, KNOB_NET_OUT), 1);
	free_both(b, &tree);
}

/* Functions with a rate of before in the store. */
static size_t kept(struct bench *b)
{
	size_t n = 0;

	for (size_t i = 0; i < baseline_count(b->e->baseline); i++)
		n += strstr(baseline_at(b->e->baseline, i)->key, "/vf/") != NULL;
	return n;
}

/* A drift check without its turn. */
static void look_again(struct bench *b)
{
	b->e->drifts++;
	engine_give_back_vfs(b->e, b->e->inventory);
}

/* What the card has of a guest that is not in the inventory any more. */
static struct knob_value left(struct bench *b, const struct guest *g)
{
	struct target t = { .kind = TARGET_NIC, .guest_id = g->id, .guest = g };

	return world_get(&b->world, &t, KNOB_NET_OUT);
}

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

/* ---- another guest has the function by now ---- */

/* web1 has stopped; db1 has its function, and the card this rate. */
static void take_over(struct bench *b, const char *class_name, const char *rate)
{
	struct guest *g = bench_guest(b, "db1", 2, 2, 2 * GIB, class_name);

	g->nnics = 0;
	make_vf(g, VF_1);
	bench_stop(b, "web1");
	bench_meddle(b, "db1", TARGET_NIC, 0, KNOB_NET_OUT, rate);
	bench_publish(b);
	bench_settle(b);
	bench_turn(b);
}

static const char *sent_by_db1(struct bench *b)
{
	return bench_value(b, "db1", TARGET_NIC, 0, KNOB_NET_OUT);
}

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

/* A guest whose function the card leaves out is limited as soon as it does not; nobody is blamed.
 */
static void test_absent(void)
{
	struct vf_tree tree;
	struct bench *b = bench_vf(&tree, BENCH_POLICY("enforce", SLOW), "silver");
	struct fake *f = &b->fakes[ADAPTER_NET];

	f->fail_read[KNOB_NET_OUT] = -EAGAIN;
	bench_set_class(b, "web1", "fast");
	bench_settle(b);
	CU_ASSERT_FALSE(guests_quiet(bench_row(b, "web1")));
	bench_pass(b, 1000000);
	CU_ASSERT_PTR_NULL(guests_trouble(bench_row(b, "web1")));
	f->fail_read[KNOB_NET_OUT] = -EIO; /* as net_vf says then */
	bench_pass(b, 1000000);
	CU_ASSERT_PTR_NOT_NULL(guests_trouble(bench_row(b, "web1")));
	f->fail_read[KNOB_NET_OUT] = 0;
	bench_pass(b, 1000000);
	ASSERT_STR(sent(b), "300000000");
	bench_pass(b, 1000000);
	CU_ASSERT_PTR_NULL(guests_trouble(bench_row(b, "web1")));
	CU_ASSERT_EQUAL(b->e->repaired, 0);
	free_both(b, &tree);
}

static const struct test tests[] = {
	{ "classes with and without a limit", test_classes },
	{ "drift is repaired, rounding is none", test_drift },
	{ "release of what a guest left", test_release_left },
	{ "release when another guest has it", test_release_taken_over },
	{ "release, killed, and --observe", test_release_observed },
	{ "a tap beside it does not suffer", test_beside_tap },
	{ "release gives the card's rate back", test_release },
	{ "observe writes nothing", test_observe },
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
	{ "it was unplugged", test_unplugged },
	{ "it is no more", test_no_card },
	{ "it is being reset", test_reset },
	{ "its card refuses", test_refused },
	{ "its card has no driver", test_no_driver },
	{ "a guest's function is absent", test_absent },
};

int main(void)
{
	return harness_run("engine_vf", tests, ARRAY_SIZE(tests));
}
