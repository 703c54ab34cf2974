/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test_engine_rbd - settings that were written for the next open are taken out again. No cluster
 * answers here, so what is asked for is looked at, and what becomes of it is told by the test.
 */
#include <poll.h>

#include "qosd/daemon/rbd.h"
#include "t/unit/engine_bench.h"

#define WAIT_MS 20000
#define POLICY(apply)                                                                              \
	BENCH_POLICY("enforce",                                                                    \
		     "{ name = \"bronze\"; rank = 2; rbd = { cache = \"writeback\"; }; }")         \
	"ceph = { conf = \"/nonexistent/ceph.conf\"; apply = \"" apply "\"; };\n"

static void start_watch(struct bench *b)
{
	struct qerr err = { 0 };

	CU_ASSERT_EQUAL_FATAL(rbd_start(b->e, &err), 0);
}

static struct bench *bench_rbd(const char *policy)
{
	struct bench *b = bench_new(policy);
	struct guest *g = bench_guest(b, "web1", 1, 2, 2 * GIB, "bronze");

	g->disks = must(calloc(1, sizeof(*g->disks)));
	g->rbds = must(calloc(1, sizeof(*g->rbds)));
	g->ndisks = g->nrbds = 1;
	g->disks[0] = (struct guest_disk){ .target = "vda", .rbd = true, .fixed = true };
	g->rbds[0] = (struct guest_rbd){ .pool = "vms", .image = "disk-1" };
	start_watch(b);
	bench_publish(b);
	bench_settle(b);
	return b;
}

/* The next write that was asked for; false: none was. */
static bool asked(struct bench *b, struct ceph_put *ret)
{
	struct rbd_watch *w = b->e->rbd;
	bool any;

	for (int ms = 0; ms < WAIT_MS && !w->any_written; ms += 10) {
		struct pollfd p = { .fd = ceph_fd(w->ceph), .events = POLLIN };

		if (poll(&p, 1, 10) == 0 && ms > 500)
			break;
		ceph_collect(w->ceph);
		rbd_take_written(b->e);
	}
	any = w->any_written;
	*ret = w->last.put;
	w->any_written = false;
	return any;
}

static void hook(struct bench *b, const char *phase)
{
	rbd_hook(b->e, must(inventory_find(b->running, "web1")), phase);
}

static void written(struct bench *b, const struct ceph_put *put)
{
	struct ceph_written w = { .put = *put, .result = 1 };

	rbd_written(b->e, &w);
	rbd_traces_save(b->e);
	b->e->rbd->any_written = false;
}

static void restart(struct bench *b)
{
	bench_kill(b);
	bench_boot(b);
	start_watch(b);
	bench_publish(b);
	bench_settle(b);
}

static void stop_guest(struct bench *b)
{
	bench_stop(b, "web1");
	bench_publish(b);
	bench_settle(b);
}

static void release_all(struct bench *b)
{
	struct qerr err = { 0 };

	CU_ASSERT_EQUAL(engine_release(b->e, NULL, &err), 0);
	bench_settle(b);
	CU_ASSERT(!engine_releasing(b->e));
}

static void test_released(void)
{
	struct bench *b = bench_rbd(POLICY("image"));
	struct ceph_put put;

	hook(b, "prepare");
	CU_ASSERT(asked(b, &put) && put.wanted.any && !put.back);
	written(b, &put);
	CU_ASSERT_EQUAL(b->e->rbd->ntraces, 1);
	release_all(b);
	/* The image is open: it is left alone until its guest stops. */
	rbd_write_all(b->e);
	CU_ASSERT_FALSE(asked(b, &put));
	hook(b, "release");
	CU_ASSERT(asked(b, &put) && !put.wanted.any && put.back);
	written(b, &put);
	CU_ASSERT_EQUAL(b->e->rbd->ntraces, 0);
	/* Nothing of ours is in there any more, and nothing comes in. */
	hook(b, "prepare");
	CU_ASSERT_FALSE(asked(b, &put));
	bench_free(b);
}

/* The daemon was away when the guest stopped, or the cluster was. */
static void test_released_later(void)
{
	struct bench *b = bench_rbd(POLICY("image"));
	struct ceph_put put;

	hook(b, "prepare");
	CU_ASSERT(asked(b, &put) && put.wanted.any);
	release_all(b);
	stop_guest(b);
	restart(b);
	CU_ASSERT_EQUAL(b->e->rbd->ntraces, 1);
	CU_ASSERT_TRUE(b->e->rbd->give_back);
	rbd_write_all(b->e);
	CU_ASSERT(asked(b, &put) && !put.wanted.any && put.back && put.quiet);
	ASSERT_STR(put.rbd.image, "disk-1");
	CU_ASSERT_EQUAL(b->e->rbd->ntraces, 1); /* there was no cluster */
	rbd_write_all(b->e);
	CU_ASSERT_TRUE(asked(b, &put));
	written(b, &put);
	restart(b);
	CU_ASSERT_EQUAL(b->e->rbd->ntraces, 0);
	bench_free(b);
}

/* To observe is not to release; to enforce ends a release. */
static void test_modes(void)
{
	struct bench *b = bench_rbd(POLICY("image"));
	struct qerr err = { 0 };
	struct ceph_put put;

	hook(b, "prepare");
	CU_ASSERT_TRUE(asked(b, &put));
	CU_ASSERT_EQUAL(engine_set_mode(b->e, MODE_OBSERVE, &err), 0);
	hook(b, "release");
	CU_ASSERT_FALSE(asked(b, &put));
	release_all(b);
	CU_ASSERT_EQUAL(engine_set_mode(b->e, MODE_ENFORCE, &err), 0);
	hook(b, "release");
	CU_ASSERT(asked(b, &put) && put.wanted.any);
	bench_free(b);
}

/* What was written where the policy writes no more. */
static void test_other_place(void)
{
	struct bench *b = bench_rbd(POLICY("image"));
	struct diag_list findings = { 0 };
	struct qerr err = { 0 };
	struct ceph_put put;

	hook(b, "prepare");
	CU_ASSERT_TRUE(asked(b, &put));
	write_text(b->config_path, POLICY("none"));
	CU_ASSERT_EQUAL(engine_reload(b->e, NULL, &findings, &err), 0);
	diag_clear(&findings);
	bench_settle(b);
	CU_ASSERT_FALSE(asked(b, &put));
	stop_guest(b);
	rbd_write_all(b->e);
	CU_ASSERT(asked(b, &put) && !put.wanted.any && put.back);
	bench_free(b);
}

/* The file of a guest that is shut off is no less ours; one that is not there is not made. */
static void test_file(void)
{
	struct bench *b = bench_rbd(POLICY("file"));
	struct ceph_put put = { .place = CEPH_FILE, .guest = "gone" };

	strcpy(put.rbd.conf, "/etc/ceph/qosd-test-of-no-guest.conf");
	rbd_trace_add(b->e->rbd, &put);
	rbd_write_all(b->e);
	CU_ASSERT_FALSE(b->e->rbd->traces[0].asked);
	restart(b);
	CU_ASSERT_EQUAL_FATAL(b->e->rbd->ntraces, 1);
	release_all(b);
	CU_ASSERT_TRUE(b->e->rbd->ntraces == 0 || b->e->rbd->traces[0].asked);
	CU_ASSERT_FALSE(asked(b, &put)); /* no image is */
	CU_ASSERT_EQUAL(b->e->rbd->ntraces, 0);
	CU_ASSERT_EQUAL(access("/etc/ceph/qosd-test-of-no-guest.conf", F_OK), -1);
	bench_free(b);
}

static const struct test tests[] = {
	{ "released: out of the image when its guest stops", test_released },
	{ "... or when it can be, also after a restart", test_released_later },
	{ "modes", test_modes },
	{ "ceph.apply names another place", test_other_place },
	{ "a guest's own file", test_file },
};

int main(void)
{
	return harness_run("engine rbd", tests, ARRAY_SIZE(tests));
}
