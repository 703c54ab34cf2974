/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The sensor on a tree of ordinary files that looks like a host with one guest (cgroup_tree.h), fed
 * by the cgroup adapter. The iterator: test_sensor_vcpu.c; real guests: the lab.
 */
#include <fcntl.h>

#include "qosd/host/cgroup_text.h"
#include "sensor_tree.h"

/* ---- texts ---- */

static void test_net_dev_text(void)
{
	static const char *const bad[] = { " face |bytes packets\n", "vnet0 1 2 3\n",
					   ":1 2 3 4 5 6 7 8 9\n", "vnet0: 1 2 3 4 5 6 7 8\n",
					   "vnet0: 1 2 3 4 5 6 7 x 9\n",
					   "vnet0: 99999999999999999999 2 3 4 5 6 7 8 9\n",
					   "name-of-16-chars: 1 2 3 4 5 6 7 8 9\n",
					   /* never on into the next line */
					   "vnet0: 1 2 3 4 5 6 7\n 8 9 9\n" };
	const char *p = "  v: 1 2 3 4 5 6 7 8 9 10\n15-characters-x:11 2 3 4 5 6 7 8 19\nrest: 1";
	char device[GUEST_DEVICE_MAX];
	uint64_t rx, tx;

	CU_ASSERT_EQUAL(sensor_text_net_dev(&p, device, &rx, &tx), 0);
	ASSERT_STR(device, "v");
	CU_ASSERT_EQUAL(rx, 1);
	CU_ASSERT_EQUAL(tx, 9);
	CU_ASSERT_EQUAL(sensor_text_net_dev(&p, device, &rx, &tx), 0);
	ASSERT_STR(device, "15-characters-x");
	CU_ASSERT_EQUAL(tx, 19);
	CU_ASSERT_EQUAL(sensor_text_net_dev(&p, device, &rx, &tx), -ENOENT);
	ASSERT_STR(p, "rest: 1");
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		p = bad[i];
		CU_ASSERT_EQUAL(sensor_text_net_dev(&p, device, &rx, &tx), -EINVAL);
		CU_ASSERT_EQUAL(p, strchr(bad[i], '\n') + 1);
	}
}

static void test_psi_text(void)
{
	uint64_t us = 1;

	CU_ASSERT_EQUAL(cgroup_text_psi_some("some avg10=0.00 total=123\nfull total=9\n", &us), 0);
	CU_ASSERT_EQUAL(us, 123);
	CU_ASSERT_EQUAL(cgroup_text_psi_some("full avg10=0.00 total=9\n", &us), -ENOENT);
	CU_ASSERT_EQUAL(cgroup_text_psi_some("some avg10=0.00\nfull total=9\n", &us), -EINVAL);
	CU_ASSERT_EQUAL(cgroup_text_psi_some("some total=\n", &us), -EINVAL);
	CU_ASSERT_EQUAL(cgroup_text_psi_some("some total=1x\n", &us), -EINVAL);
	CU_ASSERT_EQUAL(us, 123);
}

/* ---- a whole sample ---- */

static void test_sample_v2(void)
{
	struct bench b;
	const struct sample_guest *g;

	bench_open(&b, put_v2_host);
	g = read_guest(&b, 1);
	CU_ASSERT_EQUAL(b.sample.nguests, 1);
	CU_ASSERT_TRUE(b.sample.at_us > 0);
	CU_ASSERT_EQUAL(g->run_ns, 3000);
	CU_ASSERT_EQUAL(g->wait_ns, 600);
	CU_ASSERT_EQUAL(g->throttled, 0 + 1 + 2);
	CU_ASSERT_EQUAL(g->memory_bytes, 300 * MIB);
	CU_ASSERT_EQUAL(g->swap_bytes, 4096);
	CU_ASSERT_EQUAL(g->memory_stall_us, 11);
	CU_ASSERT_EQUAL(g->disk_stall_us, 22);
	CU_ASSERT_EQUAL(g->in_bytes, 2000); /* what the host sends */
	CU_ASSERT_EQUAL(g->out_bytes, 1000);
	CU_ASSERT_EQUAL(g->in_dropped, SAMPLE_UNKNOWN);
	CU_ASSERT_EQUAL(g->disk_ops, SAMPLE_UNKNOWN);
	CU_ASSERT_EQUAL(b.sample.psi_some_us[RESOURCE_CPU], 100);
	CU_ASSERT_EQUAL(b.sample.psi_some_us[RESOURCE_MEMORY], 200);
	CU_ASSERT_EQUAL(b.sample.psi_some_us[RESOURCE_DISK], 300);
	CU_ASSERT_EQUAL(b.sample.psi_some_us[RESOURCE_NET], SAMPLE_UNKNOWN);
	CU_ASSERT_EQUAL(b.sample.memory_total_bytes, 4 * MIB);
	CU_ASSERT_EQUAL(b.sample.memory_available_bytes, MIB);
	CU_ASSERT_EQUAL(b.sample.swap_free_bytes, 16384);
	bench_close(&b);
}

static void test_sample_v1(void)
{
	struct bench b;
	const struct sample_guest *g;

	bench_open(&b, put_v1_host);
	g = read_guest(&b, 1);
	CU_ASSERT_EQUAL(g->run_ns, 3000);
	CU_ASSERT_EQUAL(g->throttled, 6);
	CU_ASSERT_EQUAL(g->memory_bytes, 8192);
	CU_ASSERT_EQUAL(g->swap_bytes, 4096);
	CU_ASSERT_EQUAL(g->memory_stall_us, SAMPLE_UNKNOWN);
	CU_ASSERT_EQUAL(g->disk_stall_us, SAMPLE_UNKNOWN);
	bench_close(&b);
}

/* A kernel with psi=0, without swap; a process that has gone in between. */
static void test_missing(void)
{
	struct bench b;
	const struct sample_guest *g;

	bench_open(&b, put_v2_host);
	remove_below(&b.t, "cg" TOP_V2 "/memory.pressure");
	remove_below(&b.t, "proc/50/task/61/schedstat");
	remove_below(&b.t, "proc/pressure");
	sensor_free(b.sensor);
	b.sensor = new_sensor(&b, false);
	g = read_guest(&b, 1);
	CU_ASSERT_EQUAL(g->memory_stall_us, SAMPLE_UNKNOWN);
	CU_ASSERT_EQUAL(g->disk_stall_us, 22);
	CU_ASSERT_EQUAL(g->run_ns, 1000);
	CU_ASSERT_EQUAL(b.sample.psi_some_us[RESOURCE_CPU], SAMPLE_UNKNOWN);
	remove_below(&b.t, "proc/50/task");
	b.t.adapter->ops->forget(b.t.adapter, b.t.guest);
	CU_ASSERT_EQUAL(read_guest(&b, 1)->run_ns, SAMPLE_UNKNOWN);
	bench_close(&b);
}

static void test_gone_guest(void)
{
	struct guest *g = new_guest(7, 50);
	struct bench b;
	const struct sample_guest *gone;

	bench_open(&b, put_v2_host);
	g->cgroup = strdup("/machine.slice/b.scope/libvirt");
	g->cgroup_memory = strdup("/machine.slice/b.scope/libvirt");
	CU_ASSERT_EQUAL(inventory_add(b.inv, g), 0);
	gone = read_guest(&b, 7);
	CU_ASSERT_EQUAL(gone->run_ns, SAMPLE_UNKNOWN);
	CU_ASSERT_EQUAL(gone->memory_bytes, SAMPLE_UNKNOWN);
	CU_ASSERT_EQUAL(b.sample.guests[0].run_ns, 3000);
	CU_ASSERT_FALSE(says(b.sensor, "guests stall")); /* only this one is not known */
	guest_unref(g);
	bench_close(&b);
}

/* ---- what is not read each time ---- */

static void test_stalls_follow_the_host(void)
{
	struct bench b;

	bench_open(&b, put_v2_host);
	CU_ASSERT_EQUAL(read_guest(&b, 1)->memory_stall_us, 11);
	put_guest_pressure(&b.t, 1100, 2200);
	/* The host stood still: as it was, and not read. */
	CU_ASSERT_EQUAL(read_guest(&b, 1)->memory_stall_us, 11);
	put_pressure(&b.t, 100, 201, 300);
	CU_ASSERT_EQUAL(read_guest(&b, 1)->memory_stall_us, 1100);
	CU_ASSERT_EQUAL(b.sample.guests[0].disk_stall_us, 22);
	put_pressure(&b.t, 100, 201, 301);
	CU_ASSERT_EQUAL(read_guest(&b, 1)->disk_stall_us, 2200);
	CU_ASSERT_EQUAL(b.sample.guests[0].memory_stall_us, 1100);
	bench_close(&b);
}

static void test_gauges_age(void)
{
	struct bench b;

	bench_open(&b, put_v2_host);
	CU_ASSERT_EQUAL(read_guest(&b, 1)->swap_bytes, 4096);
	put(&b.t, "cg" TOP_V2 "/memory.swap.current", "8192\n");
	CU_ASSERT_EQUAL(read_guest(&b, 1)->swap_bytes, 4096);
	b.sensor->gauges_at_us -= 1000000;
	CU_ASSERT_EQUAL(read_guest(&b, 1)->swap_bytes, 8192);
	put(&b.t, "proc/50/task/61/schedstat", "2500 401 3\n");
	CU_ASSERT_EQUAL(read_guest(&b, 1)->run_ns, 3500); /* every time */
	bench_close(&b);
}

static void put_stat(const struct bench *b, const char *group, int periods, int throttled)
{
	char file[128];

	snprintf(file, sizeof(file), "cg" TOP_V2 "%s/cpu.stat", group);
	put(&b->t, file, "usage_usec 1\nnr_periods %d\nnr_throttled %d\n", periods, throttled);
}

/* Groups without a quota are not asked each time, but for those that have got one from us. */
static void test_quotas_age(void)
{
	struct bench b;

	bench_open(&b, put_v2_host);
	put_stat(&b, "", 0, 0);
	put_stat(&b, "/vcpu0", 0, 0);
	put_stat(&b, "/vcpu1", 3, 0);
	CU_ASSERT_EQUAL(read_guest(&b, 1)->throttled, 0);
	put_stat(&b, "", 9, 400);
	put_stat(&b, "/vcpu0", 9, 30);
	put_stat(&b, "/vcpu1", 9, 2);
	CU_ASSERT_EQUAL(read_guest(&b, 1)->throttled, 2);
	CU_ASSERT_EQUAL(apply_knob(&b.t, NULL, KNOB_CPU_MAX, "40000 20000"), 0);
	CU_ASSERT_EQUAL(read_guest(&b, 1)->throttled, 32);
	b.sensor->gauges_at_us -= 1000000;
	CU_ASSERT_EQUAL(read_guest(&b, 1)->throttled, 432);
	put_stat(&b, "", 10, 401);
	CU_ASSERT_EQUAL(read_guest(&b, 1)->throttled, 433); /* each time from now on */
	bench_close(&b);
}

/* ---- guests come and go ---- */

static void test_inventory_changes(void)
{
	struct bench b;
	struct guest *g;

	bench_open(&b, put_v2_host);
	(void)read_guest(&b, 1);
	/* A vCPU was unplugged: the same incarnation, seen anew. */
	g = new_guest(1, 50);
	CU_ASSERT_EQUAL_FATAL(cgroup_bind_guest(b.t.adapter, g), 0);
	g->nvcpu_tids = 1;
	CU_ASSERT_EQUAL(inventory_replace(b.inv, g), 0);
	put_guest_pressure(&b.t, 1100, 2200);
	CU_ASSERT_EQUAL(read_guest(&b, 1)->run_ns, 1000);
	CU_ASSERT_EQUAL(b.sample.guests[0].memory_stall_us, 11);      /* known from before */
	CU_ASSERT_EQUAL(b.sample.guests[0].in_bytes, SAMPLE_UNKNOWN); /* it has no NIC now */
	guest_unref(g);
	/* All gone, as when libvirtd is not there yet. */
	CU_ASSERT_EQUAL(sensor_read(b.sensor, NULL, b.policy, &b.sample, NULL), 0);
	CU_ASSERT_EQUAL(b.sample.nguests, 0);
	CU_ASSERT_EQUAL(read_guest(&b, 1)->memory_stall_us, 1100);
	bench_close(&b);
}

static int take_disk(void *ctx, const struct guest *g, struct sample_guest *ret)
{
	ret->disk_ops = *(const uint64_t *)ctx + g->id;
	return 0;
}

static int take_drops(void *ctx, const struct guest *g, struct sample_guest *ret)
{
	(void)g;
	ret->in_dropped = *(const uint64_t *)ctx;
	return 0;
}

static void test_callbacks(void)
{
	uint64_t ops = 40, dropped = 50;
	struct bench b;

	bench_open(&b, put_v2_host);
	b.sensor->config.groups = NULL;
	b.sensor->config.disk = take_disk;
	b.sensor->config.disk_ctx = &ops;
	b.sensor->config.drops = take_drops;
	b.sensor->config.drops_ctx = &dropped;
	CU_ASSERT_EQUAL(read_guest(&b, 1)->disk_ops, 41);
	CU_ASSERT_EQUAL(b.sample.guests[0].in_dropped, 50);
	CU_ASSERT_EQUAL(b.sample.guests[0].run_ns, SAMPLE_UNKNOWN);
	bench_close(&b);
}

/* ---- networks ---- */

static struct network *add_network(struct bench *b, const char *uplink, uint64_t rate_bps)
{
	struct network *n = policy_add_network(b->policy);

	n->uplink = (char *)uplink; /* the policy frees its arena only */
	n->rate_bps = rate_bps;
	return n;
}

static void test_uplinks(void)
{
	struct bench b;

	bench_open(&b, put_v2_host);
	add_network(&b, "eth0", POLICY_NONE_U64);
	add_network(&b, NULL, 5);
	add_network(&b, "eth0", 4000000);
	add_network(&b, "eth7", POLICY_NONE_U64);
	read_sample(&b);
	CU_ASSERT_EQUAL_FATAL(b.sample.nuplinks, 3);
	CU_ASSERT_EQUAL(b.sample.uplinks[0].rate_bps, UINT64_C(10000000000));
	CU_ASSERT_EQUAL(b.sample.uplinks[0].in_bytes, 70000); /* the host receives */
	CU_ASSERT_EQUAL(b.sample.uplinks[0].out_bytes, 80000);
	CU_ASSERT_EQUAL(b.sample.uplinks[1].rate_bps, 4000000);
	CU_ASSERT_EQUAL(b.sample.uplinks[1].out_bytes, 80000);
	CU_ASSERT_EQUAL(b.sample.uplinks[2].rate_bps, SAMPLE_UNKNOWN);
	CU_ASSERT_EQUAL(b.sample.uplinks[2].in_bytes, SAMPLE_UNKNOWN);
	/* The next policy has other ones. */
	policy_free(b.policy);
	b.policy = policy_new();
	add_network(&b, "lo", 9);
	read_sample(&b);
	CU_ASSERT_EQUAL_FATAL(b.sample.nuplinks, 1);
	CU_ASSERT_EQUAL(b.sample.uplinks[0].in_bytes, 5);
	for (int i = 0; i < SAMPLE_UPLINKS_MAX; i++)
		add_network(&b, "eth0", 1);
	read_sample(&b);
	CU_ASSERT_EQUAL(b.sample.nuplinks, SAMPLE_UPLINKS_MAX);
	bench_close(&b);
}

/* A link that is down says -1; it is asked again later, not each time. */
static void test_speed_age(void)
{
	struct bench b;

	bench_open(&b, put_v2_host);
	put(&b.t, "sys/class/net/eth0/speed", "-1\n");
	add_network(&b, "eth0", POLICY_NONE_U64);
	read_sample(&b);
	CU_ASSERT_EQUAL(b.sample.uplinks[0].rate_bps, SAMPLE_UNKNOWN);
	put(&b.t, "sys/class/net/eth0/speed", "100\n");
	read_sample(&b);
	CU_ASSERT_EQUAL(b.sample.uplinks[0].rate_bps, SAMPLE_UNKNOWN);
	b.sensor->link.uplinks[0].asked_at_us = 0;
	read_sample(&b);
	CU_ASSERT_EQUAL(b.sample.uplinks[0].rate_bps, 100000000);
	bench_close(&b);
}

static void test_nics(void)
{
	uint64_t in = 0, out = 0;
	struct bench b;

	bench_open(&b, put_v2_host);
	put(&b.t, "proc/net/dev",
	    HEAD " vnet0: 1 0 0 0 0 0 0 0 10 0\nvnet1: 2 0 0 0 0 0 0 0 20 0\n"
		 "macvtap0: 400 0 0 0 0 0 0 0 4000 0\n");
	add_nic(b.t.guest, "vnet1", "network");
	add_nic(b.t.guest, "macvtap0", "direct");
	add_nic(b.t.guest, "", "vhostuser");
	add_nic(b.t.guest, "vnet9", "bridge"); /* not there any more */
	CU_ASSERT_EQUAL(read_guest(&b, 1)->in_bytes, 10 + 20 + 400);
	CU_ASSERT_EQUAL(b.sample.guests[0].out_bytes, 1 + 2 + 4000);
	/* one by one */
	CU_ASSERT_EQUAL(sensor_nic_bytes(b.sensor, "vnet1", &in, &out), 0);
	CU_ASSERT(in == 20 && out == 2);
	CU_ASSERT_EQUAL(sensor_nic_bytes(b.sensor, "macvtap0", &in, &out), 0);
	CU_ASSERT(in == 400 && out == 4000);
	CU_ASSERT_EQUAL(sensor_nic_bytes(b.sensor, "vnet9", &in, &out), -ENOENT);
	CU_ASSERT_EQUAL(sensor_nic_bytes(b.sensor, "nobody's", &in, &out), -ENOENT);
	/* one goes: what it had is not told any more */
	put(&b.t, "proc/net/dev", HEAD " vnet0: 1 0 0 0 0 0 0 0 10 0\n");
	(void)read_guest(&b, 1);
	CU_ASSERT_EQUAL(sensor_nic_bytes(b.sensor, "vnet1", &in, &out), -ENOENT);
	CU_ASSERT_EQUAL(sensor_nic_bytes(b.sensor, "vnet0", &in, &out), 0);
	bench_close(&b);
}

/* More than the buffer holds, so that reads end within lines. */
static void test_many_nics(void)
{
	static char text[200000];
	size_t len = (size_t)sprintf(text, HEAD);
	struct bench b;

	for (int i = 0; i < 2000; i++)
		len += (size_t)sprintf(text + len, "%8s%d: %d 0 0 0 0 0 0 0 %d 0 0 0 0 0 0 0\n",
				       "tap", i, i, i * 2);
	bench_open(&b, put_v2_host);
	put(&b.t, "proc/net/dev", "%s", text);
	for (int i = 0; i < 2000; i++) {
		char device[16];

		snprintf(device, sizeof(device), "tap%d", i);
		add_nic(b.t.guest, device, "bridge");
	}
	CU_ASSERT_EQUAL(read_guest(&b, 1)->out_bytes, 1999 * 1000);
	CU_ASSERT_EQUAL(b.sample.guests[0].in_bytes, 1999 * 1000 * 2);
	bench_close(&b);
}

/* ---- triggers ---- */

static void test_triggers(void)
{
	struct bench b;
	struct qerr err = { 0 };
	char text[64] = "";
	int fd, again;

	bench_open(&b, put_v2_host);
	b.policy->overload.memory_target_pressure_permille = 120;
	fd = sensor_trigger_fd(b.sensor, RESOURCE_MEMORY, &b.policy->overload, &err);
	CU_ASSERT_TRUE_FATAL(fd >= 0);
	CU_ASSERT_TRUE(pread(fd, text, sizeof(text) - 1, 0) > 0);
	ASSERT_STR(text, "some 60000 500000");
	/* Again, with another policy: the old one has gone. */
	b.policy->overload.memory_target_pressure_permille = 0;
	again = sensor_trigger_fd(b.sensor, RESOURCE_MEMORY, &b.policy->overload, &err);
	CU_ASSERT_EQUAL(again, fd); /* the number was free again */
	CU_ASSERT_TRUE(pread(fd, text, sizeof(text) - 1, 0) > 0);
	ASSERT_STR(text, "some 500 500000");
	CU_ASSERT_EQUAL(sensor_trigger_fd(b.sensor, RESOURCE_NET, &b.policy->overload, &err),
			-EOPNOTSUPP);
	remove_below(&b.t, "proc/pressure/io");
	CU_ASSERT_EQUAL(sensor_trigger_fd(b.sensor, RESOURCE_DISK, &b.policy->overload, &err),
			-ENOENT);
	CU_ASSERT_EQUAL(err.code, -ENOENT);
	sensor_set_readonly(b.sensor, true);
	CU_ASSERT_EQUAL(fcntl(fd, F_GETFD), -1);
	CU_ASSERT_EQUAL(sensor_trigger_fd(b.sensor, RESOURCE_CPU, &b.policy->overload, &err),
			-EROFS);
	bench_close(&b);
}

/* ---- what it says of itself ---- */

static void test_probe(void)
{
	struct bench b;

	bench_open(&b, put_v2_host);
	(void)read_guest(&b, 1);
	CU_ASSERT_TRUE(says(b.sensor, "schedstat"));
	CU_ASSERT_TRUE(says(b.sensor, "not wanted"));
	CU_ASSERT_FALSE(says(b.sensor, "pressure on"));
	CU_ASSERT_FALSE(says(b.sensor, "does not count"));
	CU_ASSERT_FALSE(says(b.sensor, "stall"));
	remove_below(&b.t, "proc/pressure/io");
	(void)sensor_trigger_fd(b.sensor, RESOURCE_DISK, &b.policy->overload, NULL);
	CU_ASSERT_TRUE(says(b.sensor, "runs short of disk"));
	bench_close(&b);

	bench_open(&b, put_v1_host);
	remove_below(&b.t, "proc/pressure/memory");
	remove_below(&b.t, "proc/self/schedstat");
	sensor_free(b.sensor);
	b.sensor = new_sensor(&b, true);
	(void)read_guest(&b, 1);
	CU_ASSERT_TRUE(says(b.sensor, "pressure on memory"));
	CU_ASSERT_TRUE(says(b.sensor, "does not count"));
	CU_ASSERT_TRUE(says(b.sensor, "guests stall"));
	CU_ASSERT_TRUE(says(b.sensor, "observe"));
	bench_close(&b);
}

static const struct test tests[] = {
	{ "lines of /proc/net/dev", test_net_dev_text },
	{ "totals of pressure", test_psi_text },
	{ "a sample on cgroup v2", test_sample_v2 },
	{ "a sample on cgroup v1", test_sample_v1 },
	{ "files that are missing", test_missing },
	{ "a guest that has gone", test_gone_guest },
	{ "stalls are read when the host has some", test_stalls_follow_the_host },
	{ "gauges are read once a second", test_gauges_age },
	{ "quotas are looked for once a second", test_quotas_age },
	{ "guests come, change and go", test_inventory_changes },
	{ "what other adapters know", test_callbacks },
	{ "uplinks", test_uplinks },
	{ "a link's speed is asked rarely", test_speed_age },
	{ "NICs of every kind", test_nics },
	{ "more NICs than the buffer holds", test_many_nics },
	{ "triggers", test_triggers },
	{ "what doctor says", test_probe },
};

int main(void)
{
	return harness_run("sensor", tests, ARRAY_SIZE(tests));
}
