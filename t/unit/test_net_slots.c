/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Slots of NICs in the shaper's maps: given, found by either map, given back, used again, and known
 * to the next one who opens them.
 */
#include <bpf/bpf.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <unistd.h>

#include "qosd/host/net_bpf.h"
#include "t/unit/net_bench.h"

#define PINS  "/sys/fs/bpf/qosd-slots"
#define KEY   EDT_KEY(5, EDT_OUT)
#define RIVAL (KEY + EDT_ENTRIES) /* has the same place in qosd_near */

static struct net_bpf maps; /* opened by each test */

/* False: this kernel has no shaper. That it had one before and has none now is a failure. */
static bool maps_open(void)
{
	static bool had;
	struct qerr err = { 0 };
	bool replaced;
	int r = net_bpf_init(&maps, PINS, &err);

	if (r == 0)
		r = net_bpf_ready(&maps, &replaced, &err);
	if (r < 0)
		printf("    (no shaper: %s)\n", err.text);
	CU_ASSERT(r == 0 || !had);
	had |= r == 0;
	return r == 0;
}

static void maps_close(void)
{
	CU_ASSERT_EQUAL(net_bpf_unpin(&maps, NULL), 0);
}

static void set(uint32_t key, uint64_t rate_bps)
{
	struct edt_cfg cfg = net_bpf_profile(rate_bps, 0);

	CU_ASSERT_EQUAL(net_bpf_set_cfg(&maps, key, &cfg, NULL), 0);
}

/* The rate in force; 0: there is no entry. */
static uint64_t rate_of(uint32_t key)
{
	struct edt_cfg cfg;
	int r = net_bpf_get_cfg(&maps, key, &cfg);

	if (r < 0) {
		CU_ASSERT_EQUAL(r, -ENOENT);
		return 0;
	}
	CU_ASSERT_EQUAL(cfg.key, key);
	return cfg.rate_bps;
}

static size_t count_keys(void)
{
	uint32_t *keys;
	size_t count;

	CU_ASSERT_EQUAL_FATAL(net_bpf_keys(&maps, &keys, &count), 0);
	free(keys);
	return count;
}

/* As qosd_slot says. */
static uint32_t slot_of(uint32_t key)
{
	uint32_t slot = EDT_ENTRIES;

	(void)bpf_map_lookup_elem(maps.map_fd[NET_MAP_SLOT], &key, &slot);
	return slot;
}

static void test_rivals(void)
{
	struct edt_state state;

	if (!maps_open())
		return;
	CU_ASSERT_EQUAL(rate_of(KEY), 0);
	CU_ASSERT_EQUAL(net_bpf_get_state(&maps, KEY, &state), -ENOENT);
	set(KEY, 1000);
	set(RIVAL, 2000);
	set(KEY, 3000);
	CU_ASSERT_NOT_EQUAL(slot_of(KEY), slot_of(RIVAL));
	CU_ASSERT_EQUAL(rate_of(KEY), 3000);
	CU_ASSERT_EQUAL(rate_of(RIVAL), 2000);
	CU_ASSERT_EQUAL(net_bpf_get_state(&maps, KEY, &state), 0);
	CU_ASSERT_EQUAL(count_keys(), 2);
	net_bpf_delete(&maps, KEY); /* leaves the place in qosd_near to whose it is */
	CU_ASSERT_EQUAL(rate_of(KEY), 0);
	CU_ASSERT_EQUAL(rate_of(RIVAL), 2000);
	CU_ASSERT(EDT_NEAR_HAS(maps.slots.near[EDT_NEAR_PLACE(RIVAL)], RIVAL));
	net_bpf_delete(&maps, RIVAL);
	CU_ASSERT_EQUAL(maps.slots.near[EDT_NEAR_PLACE(RIVAL)], 0);
	CU_ASSERT_EQUAL(rate_of(RIVAL), 0);
	net_bpf_delete(&maps, RIVAL);
	CU_ASSERT_EQUAL(count_keys(), 0);
	maps_close();
}

/* A slot that is given again begins anew. */
static void test_used_again(void)
{
	struct edt_state state = { .bytes = 77 };
	uint32_t slot;

	if (!maps_open())
		return;
	set(KEY, 1000);
	slot = slot_of(KEY);
	CU_ASSERT_EQUAL(bpf_map_update_elem(maps.map_fd[NET_MAP_STATE], &slot, &state, 0), 0);
	set(KEY, 2000); /* a change of rate leaves the state alone */
	CU_ASSERT_EQUAL(net_bpf_get_state(&maps, KEY, &state), 0);
	CU_ASSERT_EQUAL(state.bytes, 77);
	net_bpf_delete(&maps, KEY);
	maps.slots.next += EDT_ENTRIES - 1; /* all others have had their turn */
	set(RIVAL, 3000);
	CU_ASSERT_EQUAL(slot_of(RIVAL), slot);
	CU_ASSERT_EQUAL(net_bpf_get_state(&maps, RIVAL, &state), 0);
	CU_ASSERT_EQUAL(state.bytes, 0);
	CU_ASSERT_EQUAL(rate_of(RIVAL), 3000);
	maps_close();
}

/* The next one to open the pins gives out none that is taken. */
static void test_next(void)
{
	if (!maps_open())
		return;
	set(KEY, 1000);
	set(RIVAL, 2000);
	net_bpf_delete(&maps, KEY);
	net_bpf_done(&maps);
	CU_ASSERT_EQUAL(net_bpf_look(&maps, NULL), 0);
	CU_ASSERT_EQUAL(rate_of(RIVAL), 2000);
	set(KEY, 3000);
	set(KEY + 1, 4000);
	CU_ASSERT_EQUAL(slot_of(KEY), 0);
	CU_ASSERT_EQUAL(slot_of(RIVAL), 1);
	CU_ASSERT_EQUAL(slot_of(KEY + 1), 2);
	CU_ASSERT_EQUAL(rate_of(RIVAL), 2000);
	maps_close();
}

/* As the daemon and its keeper, which do not know what the other one did meanwhile. */
static void test_two_writers(void)
{
	struct edt_cfg cfg = net_bpf_profile(5000, 0);
	struct net_bpf other;

	if (!maps_open())
		return;
	set(KEY, 1000);
	CU_ASSERT_EQUAL(net_bpf_init(&other, PINS, NULL), 0);
	CU_ASSERT_EQUAL_FATAL(net_bpf_look(&other, NULL), 0);
	CU_ASSERT_EQUAL(net_bpf_set_cfg(&other, KEY + 1, &cfg, NULL), 0);
	set(RIVAL, 2000);
	CU_ASSERT_EQUAL(net_bpf_set_cfg(&other, RIVAL + 1, &cfg, NULL), 0);
	CU_ASSERT_EQUAL(rate_of(KEY), 1000);
	CU_ASSERT_EQUAL(rate_of(RIVAL), 2000);
	CU_ASSERT_EQUAL(rate_of(KEY + 1), 5000);
	CU_ASSERT_EQUAL(rate_of(RIVAL + 1), 5000);
	CU_ASSERT_EQUAL(count_keys(), 4);
	net_bpf_delete(&maps, KEY + 1);
	CU_ASSERT_EQUAL(net_bpf_get_cfg(&other, KEY + 1, &cfg), -ENOENT);
	net_bpf_done(&other);
	maps_close();
}

/* qosd_near tells of a slot that is another's: as if it told nothing. */
static void test_stale_near(void)
{
	uint32_t place = EDT_NEAR_PLACE(KEY);
	uint64_t near;

	if (!maps_open())
		return;
	set(KEY, 1000);
	set(RIVAL, 2000);
	near = EDT_NEAR_OF(KEY, slot_of(RIVAL));
	CU_ASSERT_EQUAL(bpf_map_update_elem(maps.map_fd[NET_MAP_NEAR], &place, &near, 0), 0);
	CU_ASSERT_EQUAL(rate_of(KEY), 1000);
	set(KEY, 3000);
	CU_ASSERT_EQUAL(rate_of(KEY), 3000);
	CU_ASSERT_EQUAL(rate_of(RIVAL), 2000);
	net_bpf_delete(&maps, KEY);
	CU_ASSERT_EQUAL(rate_of(KEY), 0);
	CU_ASSERT_EQUAL(rate_of(RIVAL), 2000);
	maps_close();
}

/* Another's entry in the slot is not taken for its own, nor harmed. */
static void test_foreign_entry(void)
{
	struct edt_cfg cfg = { .key = RIVAL, .rate_bps = 7 };
	uint32_t slot;

	if (!maps_open())
		return;
	set(KEY, 1000);
	slot = slot_of(KEY);
	CU_ASSERT_EQUAL(bpf_map_update_elem(maps.map_fd[NET_MAP_CFG], &slot, &cfg, 0), 0);
	CU_ASSERT_EQUAL(rate_of(KEY), 0);
	set(KEY, 2000);
	CU_ASSERT_EQUAL(rate_of(KEY), 2000);
	CU_ASSERT_NOT_EQUAL(slot_of(KEY), slot);
	slot = slot_of(KEY);
	CU_ASSERT_EQUAL(bpf_map_update_elem(maps.map_fd[NET_MAP_CFG], &slot, &cfg, 0), 0);
	net_bpf_delete(&maps, KEY);
	CU_ASSERT_EQUAL(slot_of(KEY), EDT_ENTRIES);
	CU_ASSERT_EQUAL(bpf_map_lookup_elem(maps.map_fd[NET_MAP_CFG], &slot, &cfg), 0);
	CU_ASSERT_EQUAL(cfg.rate_bps, 7);
	maps_close();
}

/* Somebody removed one pin: all begins anew, not half of it. */
static void check_lost_pin(const char *pin)
{
	char command[128];

	if (!maps_open())
		return;
	set(KEY, 1000);
	net_bpf_done(&maps);
	snprintf(command, sizeof(command), "rm " PINS "/v*/%s", pin);
	CU_ASSERT_EQUAL(run(command), 0);
	CU_ASSERT_EQUAL(net_bpf_look(&maps, NULL), -ENOENT);
	if (!maps_open())
		return;
	CU_ASSERT_EQUAL(count_keys(), 0);
	CU_ASSERT_EQUAL(rate_of(KEY), 0);
	set(RIVAL, 2000);
	set(KEY, 3000);
	CU_ASSERT_EQUAL(rate_of(RIVAL), 2000);
	CU_ASSERT_EQUAL(rate_of(KEY), 3000);
	CU_ASSERT_EQUAL(count_keys(), 2);
	maps_close();
}

static void test_lost_pin(void)
{
	check_lost_pin("slot");
	check_lost_pin("near");
	check_lost_pin("cfg");
	check_lost_pin("st");
}

/* Pins that another one makes at this moment are not touched. */
static void test_lock(void)
{
	struct qerr err = { 0 };
	struct net_bpf other;
	bool replaced;
	int fd;

	if (!maps_open())
		return;
	fd = open(maps.dir, O_RDONLY | O_DIRECTORY);
	CU_ASSERT_EQUAL(flock(fd, LOCK_EX), 0);
	CU_ASSERT_EQUAL(net_bpf_init(&other, PINS, NULL), 0);
	CU_ASSERT_EQUAL(net_bpf_ready(&other, &replaced, &err), -EBUSY);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "another qosd"));
	net_bpf_done(&other);
	close(fd);
	CU_ASSERT_EQUAL(net_bpf_ready(&other, &replaced, NULL), 0);
	CU_ASSERT_FALSE(replaced);
	set(KEY, 1000);
	CU_ASSERT_EQUAL(net_bpf_get_cfg(&other, KEY, &(struct edt_cfg){ 0 }), 0);
	net_bpf_done(&other);
	maps_close();
}

/* Want of descriptors, wherever it begins, is not taken for maps that are missing. */
static void test_no_descriptors(void)
{
	struct rlimit before, few;
	bool replaced;
	int lowest, r;

	if (!maps_open())
		return;
	set(KEY, 1000);
	net_bpf_done(&maps);
	CU_ASSERT_EQUAL(getrlimit(RLIMIT_NOFILE, &before), 0);
	lowest = dup(STDOUT_FILENO);
	close(lowest);
	for (int spare = 0; spare < 40; spare++) {
		few = before;
		few.rlim_cur = (rlim_t)lowest + (rlim_t)spare;
		CU_ASSERT_EQUAL(setrlimit(RLIMIT_NOFILE, &few), 0);
		r = net_bpf_look(&maps, NULL);
		CU_ASSERT(r == -EMFILE || (r == 0 && spare >= NET_MAPS_NEEDED));
		net_bpf_done(&maps);
		r = net_bpf_ready(&maps, &replaced, NULL);
		CU_ASSERT(r == -EMFILE || (r == 0 && spare > NET_MAPS));
		CU_ASSERT_FALSE(replaced);
		net_bpf_done(&maps);
		CU_ASSERT_EQUAL(setrlimit(RLIMIT_NOFILE, &before), 0);
	}
	CU_ASSERT_EQUAL(r, 0);
	if (!maps_open())
		return;
	CU_ASSERT_EQUAL(rate_of(KEY), 1000);
	maps_close();
}

/* What is pinned there and is not ours stays. */
static void test_other_pins(void)
{
	if (!maps_open())
		return;
	set(KEY, 1000);
	CU_ASSERT_EQUAL(bpf_obj_pin(maps.map_fd[NET_MAP_IFB], PINS "/v3/somebodys"), 0);
	net_bpf_done(&maps);
	CU_ASSERT_EQUAL(run("rm " PINS "/v3/cfg"), 0);
	if (!maps_open())
		return;
	set(KEY, 2000);
	CU_ASSERT_EQUAL(rate_of(KEY), 2000);
	CU_ASSERT_EQUAL(unlink(PINS "/v3/somebodys"), 0);
	maps_close();
}

/* One that cannot be opened is not taken for missing either. */
static void test_unopened(void)
{
	struct qerr err = { 0 };
	bool replaced;

	if (!maps_open())
		return;
	set(KEY, 1000);
	net_bpf_done(&maps);
	CU_ASSERT_EQUAL(run("cd " PINS "/v3 && mv near far && mkdir near"), 0);
	CU_ASSERT(net_bpf_ready(&maps, &replaced, &err) < 0);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "cannot open " PINS "/v3/near"));
	CU_ASSERT_EQUAL(run("cd " PINS "/v3 && rmdir near && mv far near"), 0);
	if (!maps_open())
		return;
	CU_ASSERT_EQUAL(rate_of(KEY), 1000);
	maps_close();
}

static void test_large_index(void)
{
	struct edt_cfg cfg = net_bpf_profile(1000, 0);

	if (!maps_open())
		return;
	CU_ASSERT_EQUAL(net_bpf_set_cfg(&maps, EDT_KEY(1U << 30, EDT_IN), &cfg, NULL), -ERANGE);
	set(EDT_KEY((1U << 30) - 1, EDT_OUT), 1000);
	CU_ASSERT_EQUAL(count_keys(), 1);
	maps_close();
}

static void test_all_taken(void)
{
	struct edt_cfg cfg = net_bpf_profile(1000, 0);
	struct qerr err = { 0 };

	if (!maps_open())
		return;
	for (uint32_t key = 2; key < EDT_ENTRIES + 2; key++)
		CU_ASSERT_EQUAL(net_bpf_set_cfg(&maps, key, &cfg, NULL), 0);
	CU_ASSERT_EQUAL(net_bpf_set_cfg(&maps, RIVAL, &cfg, &err), -ENOSPC);
	CU_ASSERT_EQUAL(rate_of(RIVAL), 0);
	net_bpf_delete(&maps, KEY);
	CU_ASSERT_EQUAL(net_bpf_set_cfg(&maps, RIVAL, &cfg, NULL), 0);
	CU_ASSERT_EQUAL(rate_of(RIVAL), 1000);
	maps_close();
}

int main(void)
{
	static const struct test tests[] = {
		{ "two keys of one place", test_rivals },
		{ "a slot that is used again", test_used_again },
		{ "the next one to open them", test_next },
		{ "two who write", test_two_writers },
		{ "another's entry", test_foreign_entry },
		{ "one pin is lost", test_lost_pin },
		{ "a stale place", test_stale_near },
		{ "one at a time", test_lock },
		{ "no descriptors", test_no_descriptors },
		{ "others' pins", test_other_pins },
		{ "a pin that cannot be opened", test_unopened },
		{ "a very large index", test_large_index },
		{ "no slot is left", test_all_taken },
	};

	if (net_bench_enter() < 0) {
		printf("skipped: needs root, and HTB, ifb, veth and a bridge in the kernel\n");
		return 77;
	}
	return harness_run("net_slots", tests, ARRAY_SIZE(tests));
}
