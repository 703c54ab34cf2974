/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Counting the host's own traffic apart, with real packets: the host has an address on br0 and
 * sends over the uplink up0; the guest behind tap1 uses the same ports. What is attached, adopted,
 * repaired and taken off, beside filters and qdiscs of others.
 */
#include <netinet/in.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "qosd/host/net_tcx.h"
#include "t/unit/net_bench.h"

#define PINS        "/sys/fs/bpf/qosd"
#define FRAMES      10
#define PAYLOAD     1000
#define WIRE_BYTES  (PAYLOAD + 42)
#define GROUP       "/qosd-test-count"
#define GROUP_DIR   "/sys/fs/cgroup" GROUP
#define PORT_RULE   2
#define MARK_RULE   5
#define GROUP_RULE  0
#define RULES_COUNT 3
/* The far end, which the bridge knows: what it floods instead has lost its socket. */
#define NEIGHBOUR                                                                                  \
	"ip neigh replace 10.9.0.2 lladdr 02:00:00:00:00:02 dev br0 && "                           \
	"bridge fdb replace 02:00:00:00:00:02 dev up0 master static"

/* ---- traffic ---- */

/* From the host's own socket. */
static void host_sends(uint16_t port, uint16_t to_port, uint32_t mark)
{
	static const char payload[PAYLOAD];
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(to_port) }, from = to;
	int fd = socket(AF_INET, SOCK_DGRAM, 0), one = 1;

	inet_pton(AF_INET, "10.9.0.2", &to.sin_addr);
	inet_pton(AF_INET, "10.9.0.1", &from.sin_addr);
	from.sin_port = htons(port);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (mark)
		CU_ASSERT_EQUAL(setsockopt(fd, SOL_SOCKET, SO_MARK, &mark, sizeof(mark)), 0);
	CU_ASSERT_EQUAL(bind(fd, (struct sockaddr *)&from, sizeof(from)), 0);
	for (int i = 0; i < FRAMES; i++)
		CU_ASSERT_EQUAL(sendto(fd, payload, PAYLOAD, 0, (struct sockaddr *)&to, sizeof(to)),
				PAYLOAD);
	close(fd);
}

/* UDP frames put onto a device from outside: by a guest (vm1), or by the far end (ext). */
static void frames_from(const char *device, uint16_t port, uint16_t to_port)
{
	unsigned char frame[WIRE_BYTES] = { 2, 0, 0, 0, 0, 8, 2, 0, 0, 0, 0, 9, 8, 0, 0x45 };
	unsigned char *ip = frame + 14;
	uint16_t ports[2] = { htons(port), htons(to_port) };
	bool is_guest = strcmp(device, "vm1") == 0;
	int fd = frame_socket(device);

	ip[2] = (unsigned char)((WIRE_BYTES - 14) >> 8);
	ip[3] = (unsigned char)(WIRE_BYTES - 14);
	ip[8] = 64;
	ip[9] = 17;
	ip[12] = ip[16] = 10;
	ip[13] = ip[17] = 9;
	ip[15] = is_guest ? 3 : 2;
	ip[19] = is_guest ? 2 : 1;
	memcpy(ip + 20, ports, sizeof(ports));
	for (int i = 0; i < FRAMES; i++)
		CU_ASSERT_EQUAL(write(fd, frame, sizeof(frame)), WIRE_BYTES);
	close(fd);
	usleep(20000);
}

/* ---- rules ---- */

static void fill_rules(struct net_host_rule rules[RULES_COUNT])
{
	memset(rules, 0, RULES_COUNT * sizeof(*rules));
	for (int i = 0; i < RULES_COUNT; i++)
		snprintf(rules[i].uplink, sizeof(rules[i].uplink), "up0");
	rules[0].number = GROUP_RULE;
	snprintf(rules[0].cgroup, sizeof(rules[0].cgroup), "%s", GROUP);
	rules[1].number = PORT_RULE;
	CU_ASSERT_EQUAL(portset_parse("6800-6900", &rules[1].ports), 0);
	rules[2].number = MARK_RULE;
	rules[2].mark = 16;
}

/* The two that need no control group. */
static int ask(struct adapter *a, struct qerr *err)
{
	struct net_host_rule rules[RULES_COUNT];

	fill_rules(rules);
	return net_set_host_rules(a, rules + 1, RULES_COUNT - 1, err);
}

static uint64_t out_of(struct adapter *a, uint32_t rule)
{
	uint64_t in = 0, out = 0;

	CU_ASSERT_EQUAL(net_read_host_bytes(a, rule, &in, &out), 0);
	return out;
}

static uint64_t in_of(struct adapter *a, uint32_t rule)
{
	uint64_t in = 0, out = 0;

	CU_ASSERT_EQUAL(net_read_host_bytes(a, rule, &in, &out), 0);
	return in;
}

static struct adapter *asking(void)
{
	struct adapter *a = adapter_new(NET_WAY_AUTO);
	struct qerr err = { 0 };

	CU_ASSERT_PTR_NOT_NULL_FATAL(a);
	CU_ASSERT_EQUAL(ask(a, &err), 0);
	ASSERT_STR(err.text, "");
	return a;
}

static void finish(struct adapter *a)
{
	CU_ASSERT_EQUAL(net_teardown(a, NULL), 0);
	net_free(a);
}

static bool have(const char *pattern)
{
	char command[256];

	snprintf(command, sizeof(command),
		 "{ tc qdisc show dev up0; tc filter show dev up0 ingress; tc filter show dev up0 "
		 "egress; } | grep -q '%s'",
		 pattern);
	return run(command) == 0;
}

/* Does this kernel have TCX? Then there are links of ours and no clsact. */
static bool has_tcx(void)
{
	struct net_tcx t;
	bool there;

	CU_ASSERT_EQUAL(net_tcx_init(&t, PINS, NULL), 0);
	there = net_tcx_there(&t);
	net_tcx_done(&t);
	return there;
}

/* What counts on the uplink, by its ids. */
static char *counters(char *buf, size_t size)
{
	return output_of(has_tcx()
				 ? "for p in " PINS "/links/*; do bpftool link show pinned $p; done"
				 : "tc filter show dev up0 ingress; tc filter show dev up0 egress",
			 buf, size);
}

/* ---- tests ---- */

static void test_counts(void)
{
	struct adapter *a = asking();
	uint64_t out;

	host_sends(6800, 9, 0);
	host_sends(9, 6900, 0);
	CU_ASSERT_EQUAL(out_of(a, PORT_RULE), 2 * FRAMES * WIRE_BYTES);
	CU_ASSERT_EQUAL(in_of(a, PORT_RULE), 0);
	host_sends(9, 9, 16);
	host_sends(9, 9, 17);
	host_sends(6850, 9, 16); /* the lower number goes first */
	CU_ASSERT_EQUAL(out_of(a, MARK_RULE), FRAMES * WIRE_BYTES);
	out = out_of(a, PORT_RULE);
	CU_ASSERT_EQUAL(out, 3 * FRAMES * WIRE_BYTES);
	frames_from("vm1", 6800, 9); /* a guest's */
	CU_ASSERT_EQUAL(out_of(a, PORT_RULE), out);
	frames_from("ext", 9, 6800); /* an answer */
	CU_ASSERT_EQUAL(in_of(a, PORT_RULE), FRAMES * WIRE_BYTES);
	frames_from("ext", 77, 6800); /* to nobody's question */
	CU_ASSERT_EQUAL(in_of(a, PORT_RULE), FRAMES * WIRE_BYTES);
	finish(a);
	CU_ASSERT(!have("clsact"));
	CU_ASSERT(access(PINS, F_OK) != 0);
}

/* The next qosd finds it as it is: not a byte is lost, and no filter is made anew. */
static void test_restart(void)
{
	char before[2048], after[2048];
	struct adapter *a = asking();

	host_sends(6800, 9, 0);
	counters(before, sizeof(before));
	net_free(a); /* as if killed */
	host_sends(6800, 9, 0);
	a = asking();
	CU_ASSERT_EQUAL(out_of(a, PORT_RULE), 2 * FRAMES * WIRE_BYTES);
	frames_from("ext", 9, 6800); /* the flow is still known */
	CU_ASSERT_EQUAL(in_of(a, PORT_RULE), FRAMES * WIRE_BYTES);
	counters(after, sizeof(after));
	ASSERT_STR(after, before);
	if (!has_tcx())
		CU_ASSERT(strstr(after, "qosd:host-in") && strstr(after, "qosd:host-out"));
	CU_ASSERT_EQUAL(access(PINS "/links/", F_OK) == 0, has_tcx());
	net_free(a);
	a = adapter_new(NET_WAY_AUTO); /* ... or takes off what it does not want */
	CU_ASSERT_EQUAL(net_set_host_rules(a, NULL, 0, NULL), 0);
	CU_ASSERT(!have("clsact"));
	CU_ASSERT(access(PINS, F_OK) != 0);
	finish(a);
}

/* What others have there stays, goes first or last, and is never touched. */
static void test_others(void)
{
	struct adapter *a;

	CU_ASSERT_EQUAL(run("tc qdisc add dev up0 clsact && tc filter add dev up0 egress pref 3 "
			    "protocol all u32 match u32 0 0"),
			0);
	a = asking();
	host_sends(6800, 9, 0);
	CU_ASSERT_EQUAL(out_of(a, PORT_RULE), FRAMES * WIRE_BYTES);
	CU_ASSERT_EQUAL(net_set_host_rules(a, NULL, 0, NULL), 0);
	CU_ASSERT(have("clsact") && have("u32") && !have("qosd"));
	CU_ASSERT_EQUAL(ask(a, NULL), 0);
	net_free(a);
	CU_ASSERT_EQUAL(run("rm -r " PINS), 0); /* nobody knows any more who made it */
	a = asking();
	finish(a);
	CU_ASSERT(have("clsact") && have("u32") && !have("qosd"));
	CU_ASSERT_EQUAL(run("tc qdisc del dev up0 clsact"), 0);
}

/* Somebody takes it away: the next round puts it back, and what is there goes on. */
static void test_repairs(void)
{
	struct adapter *a = asking();

	CU_ASSERT_EQUAL(run(has_tcx() ? "rm -r " PINS "/links" : "tc qdisc del dev up0 clsact"), 0);
	CU_ASSERT_EQUAL(ask(a, NULL), 0);
	host_sends(6800, 9, 0);
	CU_ASSERT_EQUAL(out_of(a, PORT_RULE), FRAMES * WIRE_BYTES);
	CU_ASSERT_EQUAL(
		run(has_tcx() ? "rm " PINS "/links/*-host_out" : "tc filter del dev up0 egress"),
		0);
	CU_ASSERT_EQUAL(ask(a, NULL), 0);
	host_sends(6800, 9, 0);
	CU_ASSERT_EQUAL(out_of(a, PORT_RULE), 2 * FRAMES * WIRE_BYTES);
	finish(a);
	CU_ASSERT(!have("clsact"));
}

/* An ingress qdisc of somebody else's leaves no place for filters; links need none. */
static void test_ingress(void)
{
	struct adapter *a = adapter_new(NET_WAY_AUTO);
	struct net_host_rule rules[RULES_COUNT];
	struct qerr err = { 0 };
	uint64_t in, out;

	fill_rules(rules);
	CU_ASSERT_EQUAL(run("tc qdisc add dev up0 ingress"), 0);
	if (has_tcx()) {
		CU_ASSERT_EQUAL(net_check_host_rule(a, &rules[1], NULL), 0);
		CU_ASSERT_EQUAL(ask(a, NULL), 0);
		host_sends(6800, 9, 0);
		CU_ASSERT_EQUAL(out_of(a, PORT_RULE), FRAMES * WIRE_BYTES);
		CU_ASSERT(have("ingress"));
	} else {
		CU_ASSERT_EQUAL(net_check_host_rule(a, &rules[1], NULL), -EBUSY);
		CU_ASSERT_EQUAL(ask(a, &err), -EBUSY);
		ASSERT_STR(err.text, "up0 has an ingress qdisc that is not qosd's, where traffic "
				     "cannot be counted; use clsact in its place");
		CU_ASSERT_EQUAL(net_read_host_bytes(a, PORT_RULE, &in, &out), -ENOENT);
		CU_ASSERT_EQUAL(ask(a, &err), -EBUSY); /* remembered for a while */
	}
	finish(a);
	CU_ASSERT_EQUAL(run("tc qdisc del dev up0 ingress"), 0);
}

static void test_refuses(void)
{
	struct adapter *a = adapter_new(NET_WAY_AUTO);
	struct net_host_rule rules[RULES_COUNT];
	struct qerr err = { 0 };
	uint64_t in, out;

	fill_rules(rules);
	CU_ASSERT_EQUAL(net_check_host_rule(a, &rules[1], NULL), 0);
	snprintf(rules[1].uplink, sizeof(rules[1].uplink), "up9");
	CU_ASSERT_EQUAL(net_set_host_rules(a, rules + 1, 2, &err), -ENODEV);
	ASSERT_STR(err.text, "uplink up9 is not there");
	CU_ASSERT_EQUAL(net_read_host_bytes(a, PORT_RULE, &in, &out), -ENOENT);
	CU_ASSERT_EQUAL(net_read_host_bytes(a, MARK_RULE, &in, &out), 0); /* the others go on */
	net_set_readonly(a, true);
	CU_ASSERT_EQUAL(net_set_host_rules(a, NULL, 0, NULL), 0);
	CU_ASSERT(has_tcx() ? access(PINS "/links", F_OK) == 0 : have("qosd:host-in"));
	net_set_readonly(a, false);
	finish(a);
	CU_ASSERT(!have("clsact"));
}

/* An uplink that goes and comes back, as another device. */
static void test_comes_back(void)
{
	struct adapter *a = asking();
	uint64_t in, out;

	CU_ASSERT_EQUAL(run("ip link del up0"), 0);
	CU_ASSERT_EQUAL(ask(a, NULL), -ENODEV);
	CU_ASSERT_EQUAL(net_read_host_bytes(a, PORT_RULE, &in, &out), -ENOENT);
	CU_ASSERT_EQUAL(run("ip link add up0 type veth peer name ext && ip link set up0 master br0 "
			    "&& ip link set up0 up && ip link set ext up"),
			0);
	CU_ASSERT_EQUAL(run(NEIGHBOUR), 0);
	usleep(2100000); /* it is not tried at once */
	CU_ASSERT_EQUAL(ask(a, NULL), 0);
	host_sends(6800, 9, 0);
	CU_ASSERT_EQUAL(out_of(a, PORT_RULE), FRAMES * WIRE_BYTES);
	finish(a);
}

/* ---- a control group ---- */

static bool group_make(void)
{
	return mkdir(GROUP_DIR, 0755) == 0 || errno == EEXIST;
}

/* From a process in the group below. */
static void group_sends(const char *below)
{
	char command[128];
	pid_t pid = fork();
	int status = -1;

	if (pid == 0) {
		snprintf(command, sizeof(command), "mkdir -p %s%s && echo %d > %s%s/cgroup.procs",
			 GROUP_DIR, below, (int)getpid(), GROUP_DIR, below);
		if (run(command) != 0)
			_exit(1);
		host_sends(9, 9, 0);
		_exit(0);
	}
	CU_ASSERT(waitpid(pid, &status, 0) == pid && status == 0);
}

static void test_group(void)
{
	struct adapter *a = adapter_new(NET_WAY_AUTO);
	struct net_host_rule rules[RULES_COUNT];
	struct stat root;
	struct qerr err = { 0 };

	fill_rules(rules);
	if (run("mkdir -p /sys/fs/cgroup && mount -t cgroup2 none /sys/fs/cgroup 2> /dev/null")) {
		CU_ASSERT_EQUAL(net_set_host_rules(a, rules, 1, &err), -ENOTSUP);
		printf("    (%s)\n", err.text);
		finish(a);
		return;
	}
	if (stat("/sys/fs/cgroup", &root) < 0 || root.st_ino != 1) {
		printf("    (in a namespace of cgroups, where levels count from elsewhere)\n");
		run("umount /sys/fs/cgroup");
		finish(a);
		return;
	}
	CU_ASSERT_EQUAL(net_set_host_rules(a, rules, RULES_COUNT, &err), 0); /* not yet there */
	CU_ASSERT(group_make());
	CU_ASSERT_EQUAL(net_set_host_rules(a, rules, RULES_COUNT, &err), 0);
	group_sends("");
	group_sends("/inner");
	host_sends(9, 9, 0);
	CU_ASSERT_EQUAL(out_of(a, GROUP_RULE), 2 * FRAMES * WIRE_BYTES);
	run("rmdir " GROUP_DIR "/inner " GROUP_DIR);
	CU_ASSERT(group_make()); /* made anew: another one, with the same name */
	CU_ASSERT_EQUAL(net_set_host_rules(a, rules, RULES_COUNT, &err), 0);
	group_sends("");
	CU_ASSERT_EQUAL(out_of(a, GROUP_RULE), 3 * FRAMES * WIRE_BYTES);
	run("rmdir " GROUP_DIR "; umount /sys/fs/cgroup");
	finish(a);
}

int main(void)
{
	static const struct test tests[] = {
		{ "ports and marks", test_counts },     { "a restart", test_restart },
		{ "filters of others", test_others },   { "what somebody takes off", test_repairs },
		{ "an ingress qdisc", test_ingress },   { "an ingress qdisc", test_ingress },
		{ "where it cannot be", test_refuses }, { "an uplink comes back", test_comes_back },
		{ "a control group", test_group },
	};

	if (net_bench_enter() < 0 || run("ip addr add 10.9.0.1/24 dev br0 && " NEIGHBOUR) != 0) {
		printf("skipped: needs root, and HTB, ifb, veth and a bridge in the kernel\n");
		return 77;
	}
	return harness_run("net_count", tests, ARRAY_SIZE(tests));
}
