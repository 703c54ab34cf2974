/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test_lease - the lease's file and text, and the keeper as a real process on a tree of files that
 * looks like cgroup v2.
 */
#include <inttypes.h>
#include <signal.h>
#include <sys/wait.h>
#include <time.h>

#include "qosd/core/mem.h"
#include "qosd/daemon/keeper.h"
#include "t/unit/cgroup_tree.h"

#define VCPU0   "cg" TOP_V2 "/vcpu0/cpu.max"
#define VCPU1   "cg" TOP_V2 "/vcpu1/cpu.max"
#define UUID    "00000000-0000-4000-8000-000000000001"
#define SECOND  UINT64_C(1000000)
#define WAIT_MS 10000 /* for what takes some milliseconds: a busy machine is no failure */
/* What must be done before a lease ends: a machine that stands still for a second is no failure. */
#define IN_TIME (3 * SECOND)

static uint64_t now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * SECOND + (uint64_t)t.tv_nsec / 1000;
}

/* ---- a guest, throttled to 20 %, whose steady quota is 80 % ---- */

struct scene {
	struct tree tree;
	struct inventory *inv;
	struct plan *steady;
	struct lease *lease;
	struct keeper_config config;
	char cg[128], proc[128];
};

static void scene_plan(struct scene *s, uint64_t quota_us)
{
	struct target t = target_of(&s->tree, NULL);
	struct reason why = { .kind = WHY_CLASS_WEIGHT };

	s->steady = plan_new();
	CU_ASSERT_PTR_NOT_NULL_FATAL(s->steady);
	CU_ASSERT_EQUAL(plan_add(s->steady, &t, KNOB_CPU_MAX, knob_quota(quota_us, 20000), why), 0);
	CU_ASSERT_EQUAL(plan_add(s->steady, &t, KNOB_CPU_MAX_BURST, knob_u64(0), why), 0);
	CU_ASSERT_EQUAL(plan_add(s->steady, &t, KNOB_MEMORY_MIN, knob_u64(4096), why), 0);
	plan_sort(s->steady);
}

static void scene_open(struct scene *s)
{
	struct guest *g;
	struct qerr err = { 0 };

	memset(s, 0, sizeof(*s));
	tree_open(&s->tree, put_v2);
	g = s->tree.guest;
	memcpy(g->uuid, UUID, sizeof(UUID));
	g->nics = calloc(1, sizeof(*g->nics));
	strcpy(g->nics[0].device, "vnet0");
	g->nics[0].ifindex = 12;
	g->nnics = 1;
	s->inv = inventory_new(1);
	CU_ASSERT_EQUAL_FATAL(inventory_add(s->inv, g), 0);
	scene_plan(s, 32000);
	snprintf(s->cg, sizeof(s->cg), "%s/cg", s->tree.root);
	snprintf(s->proc, sizeof(s->proc), "%s/proc", s->tree.root);
	s->config = (struct keeper_config){ .cgroup_root = s->cg, .proc = s->proc };
	CU_ASSERT_EQUAL_FATAL(lease_open(s->tree.root, &s->lease, &err), 0);
	CU_ASSERT_EQUAL(apply_knob(&s->tree, NULL, KNOB_CPU_MAX, "8000 20000"), 0);
}

static void scene_close(struct scene *s)
{
	lease_close(s->lease);
	plan_free(s->steady);
	inventory_free(s->inv);
	tree_close(&s->tree);
}

/* What a daemon does at its start; it is killed by scene_kill(). */
static void scene_start(struct scene *s)
{
	struct qerr err = { 0 };

	lease_take_over(s->lease, now_us());
	CU_ASSERT_EQUAL_FATAL(keeper_start(s->lease, &s->config, &err), 0);
}

static int scene_kill(struct scene *s)
{
	int pid = s->lease->keeper_pid;

	lease_close(TAKE_PTR(s->lease));
	return pid;
}

static void record(struct scene *s, uint64_t until_us)
{
	struct qerr err = { 0 };

	CU_ASSERT_EQUAL(lease_record(s->lease, s->steady, s->inv, until_us, &err), 0);
}

static bool ended(int pid)
{
	for (int ms = 0; ms < WAIT_MS; ms += 10) {
		int status;

		if (waitpid(pid, &status, WNOHANG) == pid)
			return WIFEXITED(status) && WEXITSTATUS(status) == 0;
		usleep(10000);
	}
	kill(pid, SIGKILL);
	(void)waitpid(pid, NULL, 0);
	return false;
}

static bool becomes(const struct scene *s, const char *file, const char *text)
{
	for (int ms = 0; ms < WAIT_MS; ms += 10) {
		if (strcmp(get(&s->tree, file), text) == 0)
			return true;
		usleep(10000);
	}
	return false;
}

/* ---- the file ---- */

static void test_file(void)
{
	const double depth[RESOURCE_COUNT] = { 1.25, 0, 0.5, 0 };
	double seen[RESOURCE_COUNT];
	struct qerr err = { 0 };
	struct scene s;

	scene_open(&s);
	CU_ASSERT(!lease_held(s.lease, seen));
	record(&s, now_us() + 60 * SECOND);
	CU_ASSERT(lease_renew(s.lease, now_us() + 70 * SECOND, depth));
	lease_close(s.lease); /* the next daemon */
	CU_ASSERT_EQUAL_FATAL(lease_open(s.tree.root, &s.lease, &err), 0);
	CU_ASSERT(lease_held(s.lease, seen));
	CU_ASSERT_EQUAL(memcmp(seen, depth, sizeof(depth)), 0);
	lease_drop(s.lease);
	CU_ASSERT(!lease_held(s.lease, seen));
	CU_ASSERT(!lease_renew(s.lease, now_us(), depth));
	scene_close(&s);
}

/* A lease of another boot, or one that is none, is begun anew. */
static void test_damaged(void)
{
	double depth[RESOURCE_COUNT];
	struct qerr err = { 0 };
	struct scene s;

	scene_open(&s);
	record(&s, now_us() + 60 * SECOND);
	s.lease->header->boot_id[0] ^= 1;
	lease_close(s.lease);
	CU_ASSERT_EQUAL_FATAL(lease_open(s.tree.root, &s.lease, &err), 0);
	CU_ASSERT(!lease_held(s.lease, depth));
	record(&s, now_us() + 60 * SECOND);
	s.lease->header->active = 7;
	lease_close(s.lease);
	CU_ASSERT_EQUAL_FATAL(lease_open(s.tree.root, &s.lease, &err), 0);
	CU_ASSERT(!lease_held(s.lease, depth));
	lease_close(s.lease);
	remove_below(&s.tree, "lease");
	CU_ASSERT_EQUAL(symlink("/etc/passwd", strcat(s.cg, "/../lease")), 0);
	CU_ASSERT(lease_open(s.tree.root, &s.lease, &err) < 0);
	s.lease = NULL;
	scene_close(&s);
}

/* The old text stays whole until the new one is there. */
static void test_two_places(void)
{
	struct scene s;
	size_t len;
	char *text;

	scene_open(&s);
	record(&s, 1);
	plan_free(s.steady);
	scene_plan(&s, 16000);
	record(&s, 1);
	text = lease_read(s.lease, &len);
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "cpu.max 16000 20000"));
	free(text);
	s.lease->header->active = !s.lease->header->active;
	text = lease_read(s.lease, &len);
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "cpu.max 32000 20000"));
	free(text);
	scene_close(&s);
}

static void test_text(void)
{
	struct inventory *inv = NULL;
	struct plan *plan = NULL;
	struct qerr err = { 0 };
	struct scene s;
	size_t len, again;
	char *text, *second;

	scene_open(&s);
	text = lease_text_print(s.steady, s.inv, &len);
	CU_ASSERT_PTR_NULL(strstr(text, "memory.min")); /* no throttle moves it */
	CU_ASSERT_EQUAL_FATAL(lease_text_parse(text, &inv, &plan, &err), 0);
	CU_ASSERT_EQUAL(plan->count, 2);
	CU_ASSERT_EQUAL(inv->guests[0]->start_ticks, 1239);
	CU_ASSERT_EQUAL(inv->guests[0]->nics[0].ifindex, 12);
	second = lease_text_print(plan, inv, &again);
	ASSERT_STR(second, text);
	free(second);
	free(text);
	plan_free(plan);
	inventory_free(inv);
	scene_close(&s);
}

/* What a card keeps for a virtual function no throttle moves. */
static void test_vf_text(void)
{
	struct target t = { .kind = TARGET_NIC, .guest_id = 1 };
	struct reason why = { .kind = WHY_NET_LIMIT };
	struct scene s;
	size_t len;
	char *text;

	scene_open(&s);
	t.guest = s.inv->guests[0];
	t.guest_id = t.guest->id;
	CU_ASSERT_EQUAL(plan_add(s.steady, &t, KNOB_NET_OUT, knob_u64(1000000), why), 0);
	text = lease_text_print(s.steady, s.inv, &len);
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "net.out"));
	free(text);
	t.guest->nics[0].vf = true;
	text = lease_text_print(s.steady, s.inv, &len);
	CU_ASSERT_PTR_NULL(strstr(text, "net.out"));
	free(text);
	scene_close(&s);
}

/* librbd's lever is found again by the image. */
static void test_rbd_text(void)
{
	static const char text[] = "qosd-lease 1\nguest 1 50 1239 2 " UUID "\n"
				   "disk 1 vda\ndisk 1 vdb\nrbd 1 1 rbd - vm1 -\n"
				   "set 1 5 1 rbd.total_iops max\n";
	struct inventory *inv = NULL;
	struct plan *plan = NULL;
	char *again;
	size_t len;

	CU_ASSERT_EQUAL_FATAL(lease_text_parse(text, &inv, &plan, NULL), 0);
	CU_ASSERT_PTR_NULL(guest_rbd_of(inv->guests[0], 0));
	ASSERT_STR(guest_rbd_of(inv->guests[0], 1)->image, "vm1");
	ASSERT_STR(guest_rbd_of(inv->guests[0], 1)->ns, "");
	again = lease_text_print(plan, inv, &len);
	ASSERT_STR(again, text);
	free(again);
	plan_free(plan);
	inventory_free(inv);
}

static void test_bad_text(void)
{
#define GUEST "qosd-lease 1\nguest 1 50 1239 2 " UUID "\n"
	static const char *const bad[] = {
		"",
		"qosd-lease 2\n",
		"qosd-lease 1\nguest 0 50 1239 2 " UUID "\n",
		"qosd-lease 1\nguest 1 50 1239 0 " UUID "\n",
		"qosd-lease 1\nguest 1 50 1239 9999 " UUID "\n",
		"qosd-lease 1\nguest 1 50 1239 2 ../x\n",
		GUEST "guest 1 50 1239 2 " UUID "\n",
		GUEST "nic 2 vnet0 3\n",
		GUEST "nic 1 ../vnet0 3\n",
		GUEST "set 1 1 0 cpu.max\n",
		GUEST "set 1 1 0 cpu.max 10\n",
		GUEST "set 1 1 0 memory.min 10\n",
		GUEST "set 1 1 0 cpu.none 10\n",
		GUEST "set 2 1 0 cpu.max max 100000\n",
		GUEST "set 1 4 0 net.in 1000\n",
		GUEST "set 1 5 0 disk.total_iops 100\n",
		GUEST "disk 1 vda\nset 1 5 1 disk.total_iops 100\n",
		GUEST "rbd 1 0 rbd - vm1 -\n",
		GUEST "disk 1 vda\nrbd 1 0 rbd - vm1\n",
		GUEST "disk 1 vda\nrbd 1 1 rbd - vm1 -\n",
		GUEST "disk 1 vda\nrbd 2 0 rbd - vm1 -\n",
		GUEST "disk 1 vda\nrbd 1 0 rbd - ../vm1 -\n",
		GUEST "disk 1 vda\nrbd 1 0 rbd - vm1 -\nrbd 1 0 rbd - vm2 -\n",
		GUEST "set 1 99 0 cpu.max max 100000\n",
		GUEST "set 1 1 0 cpu.max max 1000", /* torn */
		GUEST "anything\n",
	};
	struct inventory *inv;
	struct plan *plan;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct qerr err = { 0 };

		CU_ASSERT_EQUAL(lease_text_parse(bad[i], &inv, &plan, &err), -EINVAL);
		CU_ASSERT_EQUAL(err.code, -EINVAL);
	}
#undef GUEST
}

/* ---- the keeper ---- */

static void test_lapse(void)
{
	struct scene s;
	int pid;

	scene_open(&s);
	scene_start(&s);
	record(&s, now_us() + IN_TIME);
	pid = scene_kill(&s);
	ASSERT_STR(get(&s.tree, VCPU0), "4000 20000");
	CU_ASSERT(becomes(&s, VCPU0, "16000 20000"));
	CU_ASSERT(becomes(&s, VCPU1, "16000 20000"));
	CU_ASSERT(ended(pid));
	scene_close(&s);
}

/* A daemon that is stopped for long keeps its keeper, and the next throttle is watched as well. */
static void test_lapse_alive(void)
{
	double depth[RESOURCE_COUNT] = { 0 };
	struct scene s;
	int pid;

	scene_open(&s);
	scene_start(&s);
	record(&s, now_us());
	CU_ASSERT(becomes(&s, VCPU1, "16000 20000"));
	while (s.lease->header->state == LEASE_LAPSING)
		usleep(1000);
	CU_ASSERT(!lease_renew(s.lease, now_us(), depth));
	CU_ASSERT_EQUAL(apply_knob(&s.tree, NULL, KNOB_CPU_MAX, "8000 20000"), 0);
	record(&s, now_us() + SECOND / 10);
	CU_ASSERT(becomes(&s, VCPU1, "16000 20000"));
	pid = scene_kill(&s);
	CU_ASSERT(ended(pid));
	scene_close(&s);
}

static void test_renewed(void)
{
	double depth[RESOURCE_COUNT] = { 0 };
	struct scene s;
	int pid;

	scene_open(&s);
	scene_start(&s);
	record(&s, now_us() + 2 * SECOND);
	CU_ASSERT(lease_renew(s.lease, now_us() + 600 * SECOND, depth));
	usleep(2200000);
	ASSERT_STR(get(&s.tree, VCPU0), "4000 20000");
	lease_drop(s.lease);
	pid = scene_kill(&s); /* nothing is throttled: it goes at once */
	CU_ASSERT(ended(pid));
	ASSERT_STR(get(&s.tree, VCPU0), "4000 20000");
	scene_close(&s);
}

/* The next daemon has taken over: the old keeper goes and touches nothing. */
static void test_relieved(void)
{
	struct qerr err = { 0 };
	struct scene s;
	int old, young;

	scene_open(&s);
	scene_start(&s);
	record(&s, now_us() + IN_TIME);
	old = scene_kill(&s);
	CU_ASSERT_EQUAL_FATAL(lease_open(s.tree.root, &s.lease, &err), 0);
	scene_start(&s);
	record(&s, now_us() + 600 * SECOND);
	CU_ASSERT(ended(old));
	ASSERT_STR(get(&s.tree, VCPU0), "4000 20000");
	lease_drop(s.lease);
	young = scene_kill(&s);
	CU_ASSERT(ended(young));
	scene_close(&s);
}

/* Another process has the guest's number now. */
static void test_other_process(void)
{
	struct scene s;
	int pid;

	scene_open(&s);
	s.tree.guest->start_ticks++;
	scene_start(&s);
	record(&s, now_us());
	pid = scene_kill(&s);
	CU_ASSERT(ended(pid));
	ASSERT_STR(get(&s.tree, VCPU0), "4000 20000");
	scene_close(&s);
}

static const struct test tests[] = {
	{ "a lease outlives the process", test_file },
	{ "damaged and foreign files", test_damaged },
	{ "two places", test_two_places },
	{ "text there and back", test_text },
	{ "not of a virtual function", test_vf_text },
	{ "RBD disks in the text", test_rbd_text },
	{ "bad texts", test_bad_text },
	{ "lapses when the daemon is dead", test_lapse },
	{ "lapses when the daemon stands still", test_lapse_alive },
	{ "stays while it is renewed", test_renewed },
	{ "relieved by the next daemon", test_relieved },
	{ "another process of the same number", test_other_process },
};

int main(void)
{
	return harness_run("lease", tests, ARRAY_SIZE(tests));
}
