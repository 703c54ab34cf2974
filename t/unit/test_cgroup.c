/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The cgroup adapter on trees of ordinary files that look like cgroup v2 and v1, with a /proc to
 * match. What real kernels and systemd add is tried in the lab.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "cgroup_tree.h"
#include "qosd/host/cgroup_priv.h"

/* ---- v2 ---- */

static void test_bind_v2(void)
{
	struct tree t;

	tree_open(&t, put_v2);
	CU_ASSERT_FALSE(cgroup_is_v1(t.adapter));
	ASSERT_STR(t.guest->cgroup, TOP_V2);
	ASSERT_STR(t.guest->cgroup_memory, TOP_V2);
	CU_ASSERT_TRUE(t.guest->systemd);
	CU_ASSERT_EQUAL(t.guest->start_ticks, 1239);
	CU_ASSERT_EQUAL_FATAL(t.guest->nvcpu_tids, 2);
	CU_ASSERT_EQUAL(t.guest->vcpu_tids[0], 60);
	CU_ASSERT_EQUAL(t.guest->vcpu_tids[1], 61);
	/* Once more, as after a hot-plug: nothing leaks, nothing doubles. */
	CU_ASSERT_EQUAL(cgroup_bind_guest(t.adapter, t.guest), 0);
	CU_ASSERT_EQUAL(t.guest->nvcpu_tids, 2);
	tree_close(&t);
}

static void test_bind_refused(void)
{
	struct tree t;
	struct guest *g;

	tree_open(&t, put_v2);
	g = new_guest(2, 51);
	CU_ASSERT_EQUAL(cgroup_bind_guest(t.adapter, g), -ESRCH);
	g->pid = 0;
	CU_ASSERT_EQUAL(cgroup_bind_guest(t.adapter, g), -ESRCH);
	/* A QEMU in somebody's login session has no group of its own. */
	put(&t, "proc/50/cgroup", "0::/user.slice/session-1.scope\n");
	g->pid = 50;
	CU_ASSERT_EQUAL(cgroup_bind_guest(t.adapter, g), -ENOENT);
	CU_ASSERT_PTR_NULL(g->cgroup);
	guest_unref(g);
	tree_close(&t);
}

static void test_files_v2(void)
{
	struct tree t;

	tree_open(&t, put_v2);
	ASSERT_STR(read_knob(&t, NULL, KNOB_CPU_WEIGHT), "100");
	round_trip(&t, NULL, KNOB_CPU_WEIGHT, "400");
	/* The weight that counts against other guests is the scope's. */
	ASSERT_STR(get(&t, "cg/machine.slice/a.scope/cpu.weight"), "400");
	ASSERT_STR(get(&t, "cg" TOP_V2 "/cpu.weight"), "100");
	round_trip(&t, NULL, KNOB_MEMORY_MIN, "33554432");
	round_trip(&t, NULL, KNOB_MEMORY_LOW, "8192");
	ASSERT_STR(read_knob(&t, NULL, KNOB_SWAP_MAX), "max");
	round_trip(&t, NULL, KNOB_SWAP_MAX, "0");
	round_trip(&t, NULL, KNOB_SWAP_MAX, "max");
	round_trip(&t, "/machine.slice", KNOB_MEMORY_MIN, "33554432");
	ASSERT_STR(get(&t, "cg/machine.slice/memory.min"), "33554432");
	tree_close(&t);
}

static void test_absent_v2(void)
{
	struct tree t;

	tree_open(&t, put_v2);
	remove_below(&t, "cg" TOP_V2 "/memory.swap.max");
	ASSERT_STR(read_knob(&t, NULL, KNOB_SWAP_MAX), "EOPNOTSUPP");
	CU_ASSERT_EQUAL(apply_knob(&t, NULL, KNOB_SWAP_MAX, "0"), -EOPNOTSUPP);
	remove_below(&t, "cg" TOP_V2 "/vcpu0/cpu.max.burst");
	remove_below(&t, "cg" TOP_V2 "/vcpu1/cpu.max.burst");
	ASSERT_STR(read_knob(&t, NULL, KNOB_CPU_MAX_BURST), "0");
	CU_ASSERT_EQUAL(apply_knob(&t, NULL, KNOB_CPU_MAX_BURST, "0"), 0);
	CU_ASSERT_EQUAL(apply_knob(&t, NULL, KNOB_CPU_MAX_BURST, "1000"), -EOPNOTSUPP);
	round_trip(&t, NULL, KNOB_CPU_MAX, "50000 20000");
	ASSERT_STR(read_knob(&t, "/machine.slice", KNOB_CPU_WEIGHT), "EOPNOTSUPP");
	ASSERT_STR(read_knob(&t, "/machine.slice", KNOB_CPU_MAX), "EOPNOTSUPP");
	ASSERT_STR(read_knob(&t, NULL, KNOB_NET_IN), "EOPNOTSUPP");
	ASSERT_STR(read_knob(&t, "/nowhere.slice", KNOB_MEMORY_MIN), "ENOENT");
	tree_close(&t);
}

static void test_quota_v2(void)
{
	struct tree t;

	tree_open(&t, put_v2);
	ASSERT_STR(read_knob(&t, NULL, KNOB_CPU_MAX), "max 100000");
	round_trip(&t, NULL, KNOB_CPU_MAX, "50001 20000");
	ASSERT_STR(get(&t, "cg" TOP_V2 "/vcpu0/cpu.max"), "25001 20000");
	ASSERT_STR(get(&t, "cg" TOP_V2 "/vcpu1/cpu.max"), "25000 20000");
	ASSERT_STR(get(&t, "cg" TOP_V2 "/emulator/cpu.max"), "max 100000");
	round_trip(&t, NULL, KNOB_CPU_MAX_BURST, "10001");
	/* A smaller quota takes the burst down with it. */
	round_trip(&t, NULL, KNOB_CPU_MAX, "8000 20000");
	ASSERT_STR(read_knob(&t, NULL, KNOB_CPU_MAX_BURST), "8000");
	/* Less than the kernel takes is its least. */
	CU_ASSERT_EQUAL(apply_knob(&t, NULL, KNOB_CPU_MAX, "1500 20000"), 0);
	ASSERT_STR(get(&t, "cg" TOP_V2 "/vcpu1/cpu.max"), "1000 20000");
	round_trip(&t, NULL, KNOB_CPU_MAX, "max 100000");
	tree_close(&t);
}

/* ---- vCPUs that come and go ---- */

struct told {
	uint32_t id, times;
};

static void on_change(void *user, uint32_t guest_id)
{
	struct told *told = user;

	told->id = guest_id;
	told->times++;
}

static struct told what_changed(const struct tree *t)
{
	struct told told = { 0 };

	cgroup_changes_collect(t->adapter, on_change, &told);
	return told;
}

static void test_plugged(void)
{
	struct tree t;

	tree_open(&t, put_v2);
	CU_ASSERT_FATAL(cgroup_changes_fd(t.adapter) >= 0);
	put_v2_vcpu(&t, 2, "max 100000");
	CU_ASSERT_EQUAL(what_changed(&t).times, 0); /* not looked at yet */
	ASSERT_STR(read_knob(&t, NULL, KNOB_CPU_MAX), "max 100000");
	put(&t, "cg" TOP_V2 "/iothread1/cpu.max", "max 100000\n");
	CU_ASSERT_EQUAL(what_changed(&t).times, 0);
	put_v2_vcpu(&t, 3, "max 100000");
	CU_ASSERT_EQUAL(what_changed(&t).id, 1);
	CU_ASSERT_EQUAL(what_changed(&t).times, 0);
	remove_below(&t, "cg" TOP_V2 "/vcpu3");
	CU_ASSERT_EQUAL(what_changed(&t).id, 1);
	t.adapter->ops->forget(t.adapter, t.guest);
	put_v2_vcpu(&t, 4, "max 100000");
	CU_ASSERT_EQUAL(what_changed(&t).times, 0);
	ASSERT_STR(read_knob(&t, NULL, KNOB_CPU_MAX), "max 100000"); /* opened anew */
	remove_below(&t, "cg" TOP_V2);
	CU_ASSERT_EQUAL(what_changed(&t).id, 1);
	put_v2_vcpu(&t, 0, "max 100000"); /* of the next of that name */
	CU_ASSERT_EQUAL(what_changed(&t).times, 0);
	tree_close(&t);
}

static struct timespec changed_at(const struct tree *t, const char *file)
{
	struct stat st = { 0 };
	char path[512];

	snprintf(path, sizeof(path), "%s/%s", t->root, file);
	stat(path, &st);
	return st.st_mtim;
}

static void make_old(const struct tree *t, const char *file)
{
	static const struct timespec old[2] = { { .tv_sec = 1000 }, { .tv_sec = 1000 } };
	char path[512];

	snprintf(path, sizeof(path), "%s/%s", t->root, file);
	utimensat(AT_FDCWD, path, old, 0);
}

/* Writing the same value again would refill the quota. */
static void test_no_rewrite(void)
{
	struct tree t;

	tree_open(&t, put_v2);
	put_v2_vcpu(&t, 0, "25000 20000");
	make_old(&t, "cg" TOP_V2 "/vcpu0/cpu.max");
	make_old(&t, "cg" TOP_V2 "/vcpu1/cpu.max");
	round_trip(&t, NULL, KNOB_CPU_MAX, "50000 20000");
	CU_ASSERT_EQUAL(changed_at(&t, "cg" TOP_V2 "/vcpu0/cpu.max").tv_sec, 1000);
	CU_ASSERT_NOT_EQUAL(changed_at(&t, "cg" TOP_V2 "/vcpu1/cpu.max").tv_sec, 1000);
	tree_close(&t);
}

static void test_hotplug(void)
{
	struct tree t;
	struct knob_value want = knob_quota(50000, 20000), free_run = knob_quota(KNOB_MAX, 100000);
	struct knob_value now;
	struct target target;

	tree_open(&t, put_v2);
	round_trip(&t, NULL, KNOB_CPU_MAX, "50000 20000");
	put_v2_vcpu(&t, 2, "max 100000");
	t.guest->vcpus = 3;
	/* Neither what was wanted nor no limit at all holds now. */
	target = target_of(&t, NULL);
	CU_ASSERT_EQUAL(t.adapter->ops->read(t.adapter, &target, KNOB_CPU_MAX, &now, NULL), 0);
	CU_ASSERT_FALSE(knob_holds(KNOB_CPU_MAX, &want, &now));
	CU_ASSERT_FALSE(knob_holds(KNOB_CPU_MAX, &free_run, &now));
	round_trip(&t, NULL, KNOB_CPU_MAX, "75000 20000");
	ASSERT_STR(get(&t, "cg" TOP_V2 "/vcpu2/cpu.max"), "25000 20000");
	remove_below(&t, "cg" TOP_V2 "/vcpu2");
	t.guest->vcpus = 2;
	ASSERT_STR(read_knob(&t, NULL, KNOB_CPU_MAX), "50000 20000");
	round_trip(&t, NULL, KNOB_CPU_MAX, "60000 20000");
	tree_close(&t);
}

/* A successor of the same name is not taken for the guest that has gone. */
static void test_gone(void)
{
	struct tree t;

	tree_open(&t, put_v2);
	ASSERT_STR(read_knob(&t, NULL, KNOB_MEMORY_MIN), "0");
	remove_below(&t, "cg/machine.slice/a.scope");
	put_v2(&t);
	ASSERT_STR(read_knob(&t, NULL, KNOB_MEMORY_LOW), "ENOENT");
	ASSERT_STR(read_knob(&t, NULL, KNOB_CPU_MAX), "ENOENT");
	CU_ASSERT_EQUAL(apply_knob(&t, NULL, KNOB_MEMORY_LOW, "4096"), -ENOENT);
	CU_ASSERT_EQUAL(apply_knob(&t, NULL, KNOB_CPU_MAX, "50000 20000"), -ENOENT);
	ASSERT_STR(get(&t, "cg" TOP_V2 "/memory.low"), "0");
	ASSERT_STR(get(&t, "cg" TOP_V2 "/vcpu0/cpu.max"), "max 100000");
	/* Not after forgetting it either: another process has the number now. */
	t.adapter->ops->forget(t.adapter, t.guest);
	put(&t, "proc/50/stat", "50 (qemu) S 1 50 50 0 -1 1 1 0 0 0 2 1 0 0 20 0 6 0 9999 1 2\n");
	ASSERT_STR(read_knob(&t, NULL, KNOB_MEMORY_LOW), "ESRCH");
	/* A slice that was made anew is the same slice. */
	round_trip(&t, "/machine.slice", KNOB_MEMORY_MIN, "4096");
	remove_below(&t, "cg/machine.slice");
	ASSERT_STR(read_knob(&t, "/machine.slice", KNOB_MEMORY_LOW), "ENOENT");
	put_v2(&t);
	ASSERT_STR(read_knob(&t, "/machine.slice", KNOB_MEMORY_LOW), "0");
	tree_close(&t);
}

static void test_usage_v2(void)
{
	struct cgroup_usage u;
	uint64_t total, available;
	struct tree t;

	tree_open(&t, put_v2);
	CU_ASSERT_EQUAL_FATAL(cgroup_read_usage(t.adapter, t.guest, &u), 0);
	CU_ASSERT_EQUAL(u.cpu_us, 5000);
	CU_ASSERT_EQUAL(u.vcpu_run_ns, 3000);
	CU_ASSERT_EQUAL(u.vcpu_wait_ns, 600);
	CU_ASSERT_EQUAL(u.memory_bytes, 300 * MIB);
	CU_ASSERT_EQUAL(u.swap_bytes, 4096);
	CU_ASSERT_EQUAL(u.nr_throttled, 3);
	CU_ASSERT_EQUAL(cgroup_read_meminfo(t.adapter, &total, &available), 0);
	CU_ASSERT_EQUAL(total, 4 * MIB);
	CU_ASSERT_EQUAL(available, MIB);
	tree_close(&t);
}

/* ---- protection through the chain ---- */

/* Set the three levels (MiB), with the guest using 300 and a sibling scope promised `other`. */
static uint64_t effective(uint64_t slice, uint64_t scope, uint64_t top, uint64_t other)
{
	uint64_t bytes = 7;
	struct tree t;

	tree_open(&t, put_v2);
	put_memory(&t, "/machine.slice", slice * MIB, 400 * MIB);
	put_memory(&t, "/machine.slice/a.scope", scope * MIB, 300 * MIB);
	put_memory(&t, TOP_V2, top * MIB, 300 * MIB);
	put_memory(&t, "/machine.slice/b.scope", other * MIB, 100 * MIB);
	CU_ASSERT_EQUAL(cgroup_effective_min(t.adapter, t.guest, &bytes), 0);
	tree_close(&t);
	return bytes / MIB;
}

static void test_effective(void)
{
	CU_ASSERT_EQUAL(effective(0, 0, 0, 0), 0);
	CU_ASSERT_EQUAL(effective(0, 0, 310, 0), 0); /* without the groups above: nothing */
	CU_ASSERT_EQUAL(effective(0, 310, 310, 0), 0);
	CU_ASSERT_EQUAL(effective(310, 310, 310, 0), 310);
	CU_ASSERT_EQUAL(effective(100, 310, 310, 0), 100);
	CU_ASSERT_EQUAL(effective(310, 310, 310, 310), 155); /* promised twice: halves */
	CU_ASSERT_EQUAL(effective(620, 310, 310, 310), 310);
	CU_ASSERT_EQUAL(effective(400, 300, 300, 100), 300); /* exact sum */
	CU_ASSERT(effective(310, 310, 0, 0) >= 300);         /* flows down to the only child */
	CU_ASSERT(effective(1000, 100, 100, 0) > 100);       /* a surplus protects for free */
}

static void test_effective_step(void)
{
	struct cgroup_protection p = {
		.min = 100, .usage = 300, .parent_usage = 400, .siblings_min = 200
	};

	CU_ASSERT_EQUAL(cgroup_effective_step(&p, 200, true), 100);
	CU_ASSERT_EQUAL(cgroup_effective_step(&p, 100, true), 50);
	CU_ASSERT_EQUAL(cgroup_effective_step(&p, 0, true), 0);
	CU_ASSERT_EQUAL(cgroup_effective_step(&p, 300, false), 100);
	CU_ASSERT_EQUAL(cgroup_effective_step(&p, 300, true), 200);
	p.usage = 50; /* not used yet: promised all the same, but no part of the surplus */
	CU_ASSERT_EQUAL(cgroup_effective_step(&p, 300, true), 100);
	p = (struct cgroup_protection){ 0 };
	CU_ASSERT_EQUAL(cgroup_effective_step(&p, 0, true), 0);
	CU_ASSERT_EQUAL(cgroup_effective_step(&p, 300, true), 0);
}

/* ---- v1 ---- */

static void test_v1(void)
{
	struct cgroup_usage u;
	uint64_t bytes = 7;
	struct tree t;

	tree_open(&t, put_v1);
	CU_ASSERT_TRUE(cgroup_is_v1(t.adapter));
	ASSERT_STR(t.guest->cgroup, TOP_V1);
	ASSERT_STR(t.guest->cgroup_memory, TOP_V1);
	CU_ASSERT_FALSE(t.guest->systemd);
	CU_ASSERT_EQUAL(t.guest->vcpu_tids[1], 61);
	ASSERT_STR(read_knob(&t, NULL, KNOB_CPU_WEIGHT), "100");
	round_trip(&t, NULL, KNOB_CPU_WEIGHT, "400");
	ASSERT_STR(get(&t, "cg/cpu" TOP_V1 "/cpu.shares"), "4096");
	CU_ASSERT_EQUAL(apply_knob(&t, NULL, KNOB_CPU_WEIGHT, "10001"), -ERANGE);
	ASSERT_STR(read_knob(&t, NULL, KNOB_CPU_MAX), "max 100000");
	round_trip(&t, NULL, KNOB_CPU_MAX, "50001 20000");
	ASSERT_STR(get(&t, "cg/cpu" TOP_V1 "/vcpu0/cpu.cfs_quota_us"), "25001");
	ASSERT_STR(get(&t, "cg/cpu" TOP_V1 "/vcpu0/cpu.cfs_period_us"), "20000");
	round_trip(&t, NULL, KNOB_CPU_MAX, "8000 20000");
	round_trip(&t, NULL, KNOB_CPU_MAX, "max 100000");
	ASSERT_STR(get(&t, "cg/cpu" TOP_V1 "/vcpu1/cpu.cfs_quota_us"), "-1");
	ASSERT_STR(read_knob(&t, NULL, KNOB_CPU_MAX_BURST), "0");
	CU_ASSERT_EQUAL(cgroup_read_usage(t.adapter, t.guest, &u), 0);
	CU_ASSERT(u.cpu_us == 5000 && u.vcpu_run_ns == 3000);
	CU_ASSERT(u.memory_bytes == 8192 && u.swap_bytes == 4096);
	CU_ASSERT_EQUAL(cgroup_effective_min(t.adapter, t.guest, &bytes), 0);
	CU_ASSERT_EQUAL(bytes, 0);
	tree_close(&t);
}

static void test_v1_memory(void)
{
	uint64_t bytes = 7;
	struct tree t;

	tree_open(&t, put_v1);
	ASSERT_STR(read_knob(&t, NULL, KNOB_MEMORY_MIN), "max");
	round_trip(&t, NULL, KNOB_MEMORY_MIN, "33554432");
	CU_ASSERT_EQUAL(cgroup_effective_min(t.adapter, t.guest, &bytes), 0);
	CU_ASSERT_EQUAL(bytes, 33554432);
	round_trip(&t, NULL, KNOB_MEMORY_MIN, "0");
	CU_ASSERT_EQUAL(apply_knob(&t, NULL, KNOB_MEMORY_MIN, "max"), 0);
	ASSERT_STR(get(&t, "cg/memory" TOP_V1 "/memory.soft_limit_in_bytes"), "-1");
	ASSERT_STR(read_knob(&t, NULL, KNOB_MEMORY_LOW), "0");
	CU_ASSERT_EQUAL(apply_knob(&t, NULL, KNOB_MEMORY_LOW, "0"), 0);
	CU_ASSERT_EQUAL(apply_knob(&t, NULL, KNOB_MEMORY_LOW, "4096"), -EOPNOTSUPP);
	ASSERT_STR(read_knob(&t, NULL, KNOB_SWAP_MAX), "max");
	round_trip(&t, NULL, KNOB_SWAP_MAX, "0");
	round_trip(&t, NULL, KNOB_SWAP_MAX, "max");
	ASSERT_STR(get(&t, "cg/memory" TOP_V1 "/memory.swappiness"), "40");
	CU_ASSERT_EQUAL(apply_knob(&t, NULL, KNOB_SWAP_MAX, "4096"), -EOPNOTSUPP);
	tree_close(&t);
}

/* ---- the rest ---- */

static bool has_finding(const struct diag_list *list, const char *part)
{
	for (size_t i = 0; i < list->count; i++)
		if (list->items[i].text && strstr(list->items[i].text, part))
			return true;
	return false;
}

static void test_probe(void)
{
	struct diag_list list = { 0 };
	struct tree t;

	tree_open(&t, put_v2);
	t.adapter->ops->probe(t.adapter, &list);
	CU_ASSERT_EQUAL(list.errors, 0);
	CU_ASSERT_TRUE(has_finding(&list, "cgroup v2"));
	CU_ASSERT_FALSE(has_finding(&list, "recursiveprot"));
	diag_clear(&list);
	put(&t, "cg/cgroup.subtree_control", "cpuset cpu\n");
	put(&t, "cg/machine.slice/memory.max", "max\n");
	t.adapter->ops->probe(t.adapter, &list);
	CU_ASSERT_TRUE(has_finding(&list, "memory controller is not enabled below the root"));
	CU_ASSERT_TRUE(has_finding(&list, "memory.swap.max is missing"));
	diag_clear(&list);
	tree_close(&t);
}

static unsigned int open_files(void)
{
	unsigned int n = 0;

	for (int fd = 0; fd < 1024; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

/* Descriptors are kept within the budget, given back by forget, and not needed. */
static void test_budget(void)
{
	unsigned int before = open_files();
	struct cgroup_usage u;
	struct cgroup_ctx *ctx;
	struct tree t;

	tree_open(&t, put_v2);
	ctx = t.adapter->ctx;
	ctx->fs.limit = 7;
	for (int i = 0; i < 3; i++) {
		round_trip(&t, NULL, KNOB_CPU_MAX, i % 2 ? "50000 20000" : "40000 20000");
		round_trip(&t, NULL, KNOB_MEMORY_MIN, "4096");
		CU_ASSERT_EQUAL(cgroup_read_usage(t.adapter, t.guest, &u), 0);
		CU_ASSERT_EQUAL(u.vcpu_run_ns, 3000);
	}
	CU_ASSERT(ctx->fs.used <= 7);
	t.adapter->ops->forget(t.adapter, t.guest);
	CU_ASSERT_EQUAL(ctx->fs.used, 0);
	t.adapter->ops->forget(t.adapter, t.guest); /* twice is fine */
	tree_close(&t);
	CU_ASSERT_EQUAL(open_files(), before);
}

static const struct test tests[] = {
	{ "v2: a guest is bound to its groups", test_bind_v2 },
	{ "what is no guest is not bound", test_bind_refused },
	{ "v2: knobs that are one file", test_files_v2 },
	{ "v2: files that are not there", test_absent_v2 },
	{ "v2: quota is spread over vCPUs", test_quota_v2 },
	{ "vCPUs that are plugged and unplugged are told", test_plugged },
	{ "what holds is not written again", test_no_rewrite },
	{ "vCPUs come and go", test_hotplug },
	{ "a guest that has gone is no other", test_gone },
	{ "v2: usage", test_usage_v2 },
	{ "effective minimum through the chain", test_effective },
	{ "effective minimum, one step", test_effective_step },
	{ "v1: CPU", test_v1 },
	{ "v1: memory", test_v1_memory },
	{ "findings", test_probe },
	{ "open files are bounded", test_budget },
};

int main(void)
{
	return harness_run("cgroup", tests, ARRAY_SIZE(tests));
}
