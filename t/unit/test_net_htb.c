/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The fallback by HTB on this machine's own kernel, with real packets. Needs root and HTB, ifb,
 * veth and a bridge, else it is skipped with the reason.
 */
#include <linux/if_tun.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "t/unit/net_bench.h"

#define MBIT 1000000ULL

static struct one_nic tap; /* set once by main */

static struct adapter *start(enum net_way way)
{
	struct adapter *a = adapter_new(way);

	CU_ASSERT_PTR_NOT_NULL_FATAL(a);
	return a;
}

static void set(struct adapter *a, enum knob_id knob, uint64_t rate_bps)
{
	struct qerr err = { 0 };

	CU_ASSERT_EQUAL(limit(a, &tap, knob, rate_bps, &err), 0);
	ASSERT_STR(err.text, "");
}

static char *state(char *buf, size_t size)
{
	return output_of("tc qdisc show dev tap1; tc filter show dev tap1 ingress; ip -o link show "
			 "type ifb | sed 's/.*: \\(.*\\): <.*/\\1/'",
			 buf, size);
}

/*
 * A burst drains at the rate: never sooner, and at the best of some tries hardly slower. It lasts
 * 80 ms, so that no queue drops any of it.
 */
static void check_rate(const char *from, const char *to, uint64_t rate_bps)
{
	int count = (int)(rate_bps * 8 / 100 / (FRAME_BYTES * 8));
	int saved = 2 + (int)(rate_bps * 5 / 1000 / (FRAME_BYTES * 8)); /* sent at once */
	int in = frame_socket(from), out = frame_socket(to);
	double best = 0;

	for (int i = 0; i < 5 && best < 0.99 * (double)rate_bps; i++) {
		uint64_t start_ns = now_ns();
		struct burst b;

		burst_send(in, count);
		b = burst_receive(out, count, saved);
		CU_ASSERT_EQUAL(b.received, count);
		CU_ASSERT(b.last_ns - start_ns > burst_least_ns(rate_bps, count));
		best = b.bps > best ? b.bps : best;
	}
	CU_ASSERT(best > 0.9 * (double)rate_bps);
	printf("    %s to %s: %.0f of %llu bit/s\n", from, to, best, (unsigned long long)rate_bps);
	close(in);
	close(out);
}

static void test_rates(void)
{
	struct adapter *a = start(NET_WAY_HTB);
	struct net_counters in = { 0 }, out = { 0 };

	set(a, KNOB_NET_IN, 4 * MBIT);
	set(a, KNOB_NET_OUT, 2 * MBIT);
	check_rate("ext", "vm1", 4 * MBIT);
	check_rate("vm1", "ext", 2 * MBIT);
	usleep(60000); /* counters may be 50 ms old */
	CU_ASSERT_EQUAL(net_read_counters(a, tap.nic.ifindex, true, &in), 0);
	CU_ASSERT_EQUAL(net_read_counters(a, tap.nic.ifindex, false, &out), 0);
	CU_ASSERT(in.packets >= 20 && in.bytes >= 20 * FRAME_BYTES);
	CU_ASSERT(out.packets >= 10 && out.bytes >= 10 * FRAME_BYTES);
	CU_ASSERT_EQUAL(in.dropped_packets, 0);
	set(a, KNOB_NET_IN, 40 * MBIT);
	set(a, KNOB_NET_OUT, 30 * MBIT);
	check_rate("ext", "vm1", 40 * MBIT);
	check_rate("vm1", "ext", 30 * MBIT);
	set(a, KNOB_NET_IN, KNOB_MAX);
	set(a, KNOB_NET_OUT, KNOB_MAX);
	net_free(a);
}

/* Told before or after the limits, kept by whoever starts then, and by new rates. */
static void test_burst(void)
{
	struct adapter *a = start(NET_WAY_HTB);

	CU_ASSERT_EQUAL(limit_read(a, &tap, KNOB_NET_BURST), KNOB_NET_BURST_US);
	set(a, KNOB_NET_IN, 4 * MBIT);
	CU_ASSERT_EQUAL(limit_read(a, &tap, KNOB_NET_BURST), KNOB_NET_BURST_US);
	set(a, KNOB_NET_BURST, 123457);
	set(a, KNOB_NET_OUT, 2 * MBIT);
	CU_ASSERT_EQUAL(limit_read(a, &tap, KNOB_NET_BURST), 123457);
	net_free(a);
	a = start(NET_WAY_HTB);
	CU_ASSERT_EQUAL(limit_read(a, &tap, KNOB_NET_BURST), 123457);
	set(a, KNOB_NET_IN, 8 * MBIT);
	CU_ASSERT_EQUAL(limit_read(a, &tap, KNOB_NET_BURST), 123457);
	set(a, KNOB_NET_BURST, KNOB_NET_BURST_US);
	net_free(a);
	a = start(NET_WAY_HTB);
	CU_ASSERT_EQUAL(limit_read(a, &tap, KNOB_NET_BURST), KNOB_NET_BURST_US);
	set(a, KNOB_NET_OUT, KNOB_MAX);
	set(a, KNOB_NET_BURST, 50000);
	net_free(a);
	/* Who has not read it gives the other way what every limit has: they differ. */
	a = start(NET_WAY_HTB);
	set(a, KNOB_NET_OUT, 2 * MBIT);
	CU_ASSERT_EQUAL(limit_read(a, &tap, KNOB_NET_BURST), 0);
	set(a, KNOB_NET_BURST, 50000);
	CU_ASSERT_EQUAL(limit_read(a, &tap, KNOB_NET_BURST), 50000);
	set(a, KNOB_NET_OUT, KNOB_MAX);
	net_free(a);
	/* Who has read it does not. */
	a = start(NET_WAY_HTB);
	CU_ASSERT_EQUAL(limit_read(a, &tap, KNOB_NET_BURST), 50000);
	set(a, KNOB_NET_OUT, 2 * MBIT);
	CU_ASSERT_EQUAL(limit_read(a, &tap, KNOB_NET_BURST), 50000);
	set(a, KNOB_NET_IN, KNOB_MAX);
	set(a, KNOB_NET_OUT, KNOB_MAX);
	net_free(a);
}

/* More than the queue holds is dropped, and counted. */
static void test_queue_ends(void)
{
	struct adapter *a = start(NET_WAY_HTB);
	int in = frame_socket("ext"), out = frame_socket("vm1");
	struct net_counters c = { 0 };
	struct burst b;

	set(a, KNOB_NET_IN, 8 * MBIT); /* 100 ms are 66 frames */
	burst_send(in, 200);
	b = burst_receive(out, 200, 0);
	if (run("tc qdisc show dev tap1 | grep -q bfifo") == 0)
		CU_ASSERT(b.received >= 66 && b.received < 80);
	CU_ASSERT(b.received < 200);
	usleep(60000);
	CU_ASSERT_EQUAL(net_read_counters(a, tap.nic.ifindex, true, &c), 0);
	/* The kernel may send something of its own. */
	CU_ASSERT(c.packets >= (uint64_t)b.received && c.packets < (uint64_t)b.received + 5);
	CU_ASSERT(c.packets + c.dropped_packets >= 200 && c.packets + c.dropped_packets < 205);
	CU_ASSERT(c.offered_bytes > 195 * FRAME_BYTES && c.offered_bytes < 205 * FRAME_BYTES);
	close(in);
	close(out);
	set(a, KNOB_NET_IN, KNOB_MAX);
	net_free(a);
}

/* A rate is changed while packets wait for it: none is lost. */
static void test_change(void)
{
	struct adapter *a = start(NET_WAY_HTB);
	int in = frame_socket("ext"), out = frame_socket("vm1");

	set(a, KNOB_NET_IN, 1 * MBIT);
	burst_send(in, 45);
	for (uint64_t rate = 1; rate <= 20; rate++)
		set(a, KNOB_NET_IN, rate * MBIT);
	CU_ASSERT_EQUAL(burst_receive(out, 45, 0).received, 45);
	close(in);
	close(out);
	set(a, KNOB_NET_IN, KNOB_MAX);
	net_free(a);
}

static void test_release(void)
{
	char before[2048], after[2048];
	struct adapter *a = start(NET_WAY_HTB);

	for (int with_root = 0; with_root < 2; with_root++) {
		if (with_root)
			CU_ASSERT_EQUAL(run("tc qdisc replace dev tap1 root noqueue"), 0);
		state(before, sizeof(before));
		set(a, KNOB_NET_IN, 30000001); /* HTB counts bytes */
		set(a, KNOB_NET_OUT, 4 * MBIT);
		CU_ASSERT_EQUAL(limit_read(a, &tap, KNOB_NET_IN), 30000000);
		CU_ASSERT_EQUAL(limit_read(a, &tap, KNOB_NET_OUT), 4 * MBIT);
		set(a, KNOB_NET_IN, KNOB_MAX);
		CU_ASSERT_EQUAL(limit_read(a, &tap, KNOB_NET_IN), KNOB_MAX);
		CU_ASSERT_EQUAL(limit_read(a, &tap, KNOB_NET_OUT), 4 * MBIT);
		set(a, KNOB_NET_OUT, KNOB_MAX);
		state(after, sizeof(after));
		CU_ASSERT_EQUAL(strncmp(after, before, 14),
				0); /* the kind; handles are dealt out */
		CU_ASSERT_PTR_NULL(strstr(after, "qosd-"));
		CU_ASSERT_PTR_NULL(strstr(after, "clsact"));
	}
	CU_ASSERT_EQUAL(run("tc qdisc del dev tap1 root"), 0);
	CU_ASSERT_EQUAL(net_teardown(a, NULL), 0);
	net_free(a);
}

/* Whoever comes next finds the limits in the kernel, and writes nothing to have them. */
static void test_adopt(void)
{
	char before[2048], after[2048];
	struct adapter *a = start(NET_WAY_HTB);

	set(a, KNOB_NET_IN, 5 * MBIT);
	set(a, KNOB_NET_OUT, 6 * MBIT);
	net_free(a); /* as if killed: nothing is taken off */
	state(before, sizeof(before));
	a = start(NET_WAY_AUTO);
	CU_ASSERT_EQUAL(limit_read(a, &tap, KNOB_NET_IN), 5 * MBIT);
	CU_ASSERT_EQUAL(limit_read(a, &tap, KNOB_NET_OUT), 6 * MBIT);
	CU_ASSERT_EQUAL(net_teardown(a, NULL), -EBUSY);
	ASSERT_STR(state(after, sizeof(after)), before);
	check_rate("ext", "vm1", 5 * MBIT);
	check_rate("vm1", "ext", 6 * MBIT);
	a->ops->forget(a, &tap.guest);
	CU_ASSERT_PTR_NULL(strstr(state(after, sizeof(after)), "htb"));
	CU_ASSERT_PTR_NULL(strstr(after, "qosd-"));
	net_free(a);
}

/* An attachment cut short is taken away by the next one. */
static void test_cut_short(void)
{
	char text[2048];
	struct adapter *a = start(NET_WAY_HTB);

	set(a, KNOB_NET_IN, 5 * MBIT);
	set(a, KNOB_NET_OUT, 6 * MBIT);
	net_free(a);
	CU_ASSERT_EQUAL(run("tc filter del dev tap1 ingress; tc class del dev tap1 classid 7105:1 "
			    "2> /dev/null; tc qdisc del dev tap1 root"),
			0);
	a = start(NET_WAY_HTB);
	CU_ASSERT_EQUAL(limit_read(a, &tap, KNOB_NET_IN), KNOB_MAX);
	CU_ASSERT_EQUAL(limit_read(a, &tap, KNOB_NET_OUT), KNOB_MAX);
	CU_ASSERT_PTR_NULL(strstr(state(text, sizeof(text)), "qosd-"));
	CU_ASSERT_PTR_NULL(strstr(text, "clsact"));
	net_free(a);
}

static void on_lost(void *user, uint32_t ifindex)
{
	*(uint32_t *)user = ifindex;
}

/* What somebody removes is noticed, reads as what no plan wants, and is whole after the next set.
 */
static void test_notices(void)
{
	static const char *const breaks[] = {
		"tc qdisc del dev tap1 root",
		"tc qdisc del dev tap1 clsact",
		"tc filter del dev tap1 ingress",
		"ip link del %s",
		"ip link set %s down",
		"tc qdisc del dev %s root",
		"tc class change dev %s parent 7105: classid 7105:1 htb rate 77kbit quantum 1514",
	};
	struct adapter *a = start(NET_WAY_HTB);
	char ifb[IF_NAMESIZE], command[160], text[2048];

	snprintf(ifb, sizeof(ifb), "qosd-%u", tap.nic.ifindex);
	for (size_t i = 0; i < ARRAY_SIZE(breaks); i++) {
		uint32_t lost = 0;
		uint64_t in, out;

		set(a, KNOB_NET_IN, 5 * MBIT);
		set(a, KNOB_NET_OUT, 6 * MBIT);
		net_watch_handle(a, on_lost, &lost);
		CU_ASSERT_EQUAL(lost, 0);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
		snprintf(command, sizeof(command), breaks[i], ifb);
#pragma GCC diagnostic pop
		CU_ASSERT_EQUAL(run(command), 0);
		in = limit_read(a, &tap, KNOB_NET_IN), out = limit_read(a, &tap, KNOB_NET_OUT);
		CU_ASSERT(in != 5 * MBIT || out != 6 * MBIT);
		net_watch_handle(a, on_lost, &lost);
		CU_ASSERT(lost == tap.nic.ifindex || out == 77000);
	}
	set(a, KNOB_NET_IN, 5 * MBIT);
	set(a, KNOB_NET_OUT, 6 * MBIT);
	CU_ASSERT_EQUAL(limit_read(a, &tap, KNOB_NET_IN), 5 * MBIT);
	CU_ASSERT_EQUAL(limit_read(a, &tap, KNOB_NET_OUT), 6 * MBIT);
	a->ops->forget(a, &tap.guest);
	CU_ASSERT_PTR_NULL(strstr(state(text, sizeof(text)), "htb"));
	CU_ASSERT_PTR_NULL(strstr(text, "clsact"));
	net_free(a);
}

/* The index names the device, whatever it is called; with it goes its ifb. */
static void test_renamed_and_gone(void)
{
	char text[2048];
	struct adapter *a = start(NET_WAY_HTB);
	struct one_nic nic;
	uint32_t lost = 0;

	CU_ASSERT_EQUAL(run("ip link add old0 type veth peer name old1"), 0);
	one_nic(&nic, "old0");
	CU_ASSERT_EQUAL(limit(a, &nic, KNOB_NET_OUT, 3 * MBIT, NULL), 0);
	CU_ASSERT_EQUAL(run("ip link set old0 name new0"), 0);
	CU_ASSERT_EQUAL(limit_read(a, &nic, KNOB_NET_OUT), 3 * MBIT);
	CU_ASSERT_EQUAL(limit(a, &nic, KNOB_NET_IN, 2 * MBIT, NULL), 0);
	CU_ASSERT_EQUAL(limit_read(a, &nic, KNOB_NET_IN), 2 * MBIT);
	CU_ASSERT_PTR_NOT_NULL(strstr(state(text, sizeof(text)), "qosd-"));
	CU_ASSERT_EQUAL(run("ip link del new0"), 0);
	net_watch_handle(a, on_lost, &lost);
	CU_ASSERT_EQUAL(lost, nic.nic.ifindex);
	CU_ASSERT_PTR_NULL(strstr(state(text, sizeof(text)), "qosd-"));
	net_free(a);
	/* ... also when nobody was there to see it go */
	a = start(NET_WAY_HTB);
	CU_ASSERT_EQUAL(run("ip link add old0 type veth peer name old1"), 0);
	one_nic(&nic, "old0");
	CU_ASSERT_EQUAL(limit(a, &nic, KNOB_NET_OUT, 3 * MBIT, NULL), 0);
	net_free(a);
	CU_ASSERT_EQUAL(run("ip link del old0"), 0);
	a = start(NET_WAY_HTB);
	CU_ASSERT_EQUAL(limit_read(a, &tap, KNOB_NET_OUT), KNOB_MAX);
	CU_ASSERT_PTR_NULL(strstr(state(text, sizeof(text)), "qosd-"));
	net_free(a);
}

static void refused(struct adapter *a, enum knob_id knob, const char *words)
{
	char before[2048], after[2048];
	struct net_about about;
	struct qerr err = { 0 };

	state(before, sizeof(before));
	CU_ASSERT_EQUAL(limit(a, &tap, knob, MBIT, &err), -EBUSY);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.text, words));
	net_look(a, &tap.nic, &about);
	ASSERT_STR(about.obstacle, err.text);
	ASSERT_STR(state(after, sizeof(after)), before);
}

static void test_foreign(void)
{
	struct adapter *a = start(NET_WAY_HTB);
	struct net_about about;

	CU_ASSERT_EQUAL(run("tc qdisc add dev tap1 root handle 1: htb"), 0);
	refused(a, KNOB_NET_IN, "tc qdisc del dev tap1 root");
	CU_ASSERT_EQUAL(run("tc qdisc del dev tap1 root"), 0);
	CU_ASSERT_EQUAL(run("tc qdisc add dev tap1 ingress && tc filter add dev tap1 parent ffff: "
			    "protocol all u32 match u32 0 0 flowid :1"),
			0);
	refused(a, KNOB_NET_OUT, "tc qdisc del dev tap1 ingress");
	set(a, KNOB_NET_IN, MBIT); /* which needs nothing of that */
	set(a, KNOB_NET_IN, KNOB_MAX);
	CU_ASSERT_EQUAL(run("tc qdisc del dev tap1 ingress && tc qdisc add dev tap1 ingress"), 0);
	set(a, KNOB_NET_OUT, MBIT); /* an empty one is shared */
	net_look(a, &tap.nic, &about);
	CU_ASSERT_PTR_NULL(about.way[0]);
	ASSERT_STR(about.way[1], "htb");
	ASSERT_STR(about.obstacle, "");
	check_rate("vm1", "ext", MBIT);
	set(a, KNOB_NET_OUT, KNOB_MAX);
	CU_ASSERT_EQUAL(run("tc qdisc show dev tap1 | grep -q ingress"), 0);
	CU_ASSERT_EQUAL(run("tc qdisc del dev tap1 ingress"), 0);
	net_free(a);
}

/* ---- macvtap: a device of the guest's, so what leaves it comes from the guest ---- */

/* QEMU's end of it: a character device, which takes and gives whole frames. */
static int open_macvtap(const char *device)
{
	char path[128], text[64];
	unsigned int major_number, minor_number;
	struct ifreq ifr = { .ifr_flags = IFF_TAP | IFF_NO_PI };
	int fd;

	snprintf(path, sizeof(path), "cat /sys/class/net/%s/macvtap/tap*/dev", device);
	if (sscanf(output_of(path, text, sizeof(text)), "%u:%u", &major_number, &minor_number) != 2)
		return -1;
	snprintf(path, sizeof(path), "/tmp/qosd-test-%d", (int)getpid());
	if (mknod(path, S_IFCHR | 0600, makedev(major_number, minor_number)) < 0)
		return -1;
	fd = open(path, O_RDWR | O_NONBLOCK);
	unlink(path);
	if (fd >= 0 && ioctl(fd, TUNSETIFF, &ifr) < 0) {
		close(fd);
		return -1;
	}
	return fd;
}

#define MACVTAP_FRAMES 20 /* 61 ms at 4 Mbit/s: no queue drops any */

/* The guest sends: its frames reach the wire at the rate. */
static void macvtap_sends(int fd)
{
	int wire = frame_socket("far0");
	unsigned char frame[FRAME_BYTES];
	uint64_t start_ns = now_ns();
	struct burst b;

	frame_fill(frame);
	frame[5]++; /* not to itself */
	for (int i = 0; i < MACVTAP_FRAMES; i++)
		CU_ASSERT_EQUAL(write(fd, frame, sizeof(frame)), FRAME_BYTES);
	b = burst_receive(wire, MACVTAP_FRAMES, 4);
	CU_ASSERT_EQUAL(b.received, MACVTAP_FRAMES);
	CU_ASSERT(b.last_ns - start_ns > burst_least_ns(4 * MBIT, MACVTAP_FRAMES));
	printf("    from a macvtap: %.0f of 4000000 bit/s\n", b.bps);
	close(wire);
}

/* ... and receives. */
static void macvtap_receives(int fd)
{
	int wire = frame_socket("far0"), received = 0;
	struct pollfd p = { .fd = fd, .events = POLLIN };
	uint64_t start_ns = now_ns();
	char frame[2048];

	burst_send(wire, MACVTAP_FRAMES);
	while (received < MACVTAP_FRAMES && poll(&p, 1, 1000) > 0)
		received += read(fd, frame, sizeof(frame)) == FRAME_BYTES;
	CU_ASSERT_EQUAL(received, MACVTAP_FRAMES);
	CU_ASSERT(now_ns() - start_ns > burst_least_ns(4 * MBIT, MACVTAP_FRAMES));
	close(wire);
}

static void check_macvtap(enum net_way way, const struct one_nic *nic, int fd)
{
	struct adapter *a = start(way);
	struct net_counters in = { 0 }, out = { 0 };

	/* One way at a time: a limit on the wrong one would let the frames pass at once. */
	CU_ASSERT_EQUAL(limit(a, nic, KNOB_NET_OUT, 4 * MBIT, NULL), 0);
	CU_ASSERT_EQUAL(limit_read(a, nic, KNOB_NET_IN), KNOB_MAX);
	macvtap_sends(fd);
	usleep(60000);
	CU_ASSERT_EQUAL(net_read_counters(a, nic->nic.ifindex, true, &in), -ENOENT);
	CU_ASSERT_EQUAL(net_read_counters(a, nic->nic.ifindex, false, &out), 0);
	CU_ASSERT(out.packets >= MACVTAP_FRAMES);
	CU_ASSERT_EQUAL(limit(a, nic, KNOB_NET_OUT, KNOB_MAX, NULL), 0);
	CU_ASSERT_EQUAL(limit(a, nic, KNOB_NET_IN, 4 * MBIT, NULL), 0);
	CU_ASSERT_EQUAL(limit_read(a, nic, KNOB_NET_IN), 4 * MBIT);
	CU_ASSERT_EQUAL(limit_read(a, nic, KNOB_NET_OUT), KNOB_MAX);
	macvtap_receives(fd);
	a->ops->forget(a, &nic->guest);
	CU_ASSERT(run("tc qdisc show dev mvt0 | grep -qE 'htb|fq |clsact'") != 0);
	net_free(a);
}

static void test_macvtap(void)
{
	uint64_t in = 0, out = 0;
	struct one_nic nic;
	int fd;

	if (run("exec 2> /dev/null; ip link add low0 type veth peer name far0 && "
		"ip link set low0 up && ip link set far0 up && ip link add link low0 name mvt0 "
		"address 02:00:00:00:00:08 type macvtap mode bridge && ip link set mvt0 up")) {
		printf("    (no macvtap in this kernel)\n");
		return;
	}
	one_nic(&nic, "mvt0");
	snprintf(nic.nic.type, sizeof(nic.nic.type), "direct");
	fd = open_macvtap("mvt0");
	CU_ASSERT_FATAL(fd >= 0);
	check_macvtap(NET_WAY_HTB, &nic, fd);
	check_macvtap(NET_WAY_AUTO, &nic, fd);
	CU_ASSERT_EQUAL(net_read_link_bytes("mvt0", &in, &out), 0);
	CU_ASSERT(in >= 40 * 1500 && out >= 40 * 1500);
	close(fd);
	CU_ASSERT_EQUAL(run("ip link del low0"), 0);
}

/* By itself the best way that the kernel has. */
static void test_auto(void)
{
	bool fq =
		run("ip link add try0 type ifb && tc qdisc add dev try0 root fq 2> /dev/null") == 0;
	struct adapter *a = start(NET_WAY_AUTO);
	struct net_about about;

	run("ip link del try0");
	set(a, KNOB_NET_IN, MBIT);
	set(a, KNOB_NET_OUT, MBIT);
	net_look(a, &tap.nic, &about);
	ASSERT_STR(about.way[0], fq ? "edt" : "htb");
	ASSERT_STR(about.way[1], fq ? "edt" : "htb");
	a->ops->forget(a, &tap.guest);
	CU_ASSERT_EQUAL(net_teardown(a, NULL), 0);
	net_free(a);
}

int main(void)
{
	static const struct test tests[] = {
		{ "a burst drains at the rate, both ways", test_rates },
		{ "a burst", test_burst },
		{ "the queue has an end", test_queue_ends },
		{ "a change of rate loses nothing", test_change },
		{ "release gives the device back", test_release },
		{ "a successor adopts", test_adopt },
		{ "what was cut short is taken away", test_cut_short },
		{ "what somebody removes is noticed", test_notices },
		{ "renamed, and gone", test_renamed_and_gone },
		{ "foreign qdiscs and filters stay", test_foreign },
		{ "macvtap", test_macvtap },
		{ "chosen by itself", test_auto },
	};

	if (net_bench_enter() < 0) {
		printf("skipped: needs root, and HTB, ifb, veth and a bridge in the kernel\n");
		return 77;
	}
	one_nic(&tap, "tap1");
	return harness_run("net_htb", tests, ARRAY_SIZE(tests));
}
