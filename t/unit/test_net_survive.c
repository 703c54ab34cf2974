/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Frames that flow through a limited NIC while qosd is killed, restarted and replaced by another
 * build: none is lost, none overtakes another. By HTB on any kernel, by eBPF where there is fq
 * (in the lab).
 */
#include <bpf/bpf.h>

#include "bpf/edt.h"
#include "t/unit/net_bench.h"

#define STRINGIFY_(x) #x
#define STRINGIFY(x)  STRINGIFY_(x)

#define RATE_BPS  20000000ULL
#define FRAMES    1200
#define PERIOD_NS 700000 /* a frame takes 606 us of the rate */
#define PINS      "/sys/fs/bpf/qosd"
#define PINS_NOW  PINS "/v" STRINGIFY(EDT_LAYOUT)

static struct one_nic tap; /* set once by main */

struct stream { /* frames with their number in them, one way */
	int in, out, sent, received, disordered;
	uint32_t last;
	uint64_t next_ns;
};

static struct stream stream_new(const char *from, const char *to)
{
	struct stream s = { .in = frame_socket(from), .out = frame_socket(to) };

	s.next_ns = now_ns();
	return s;
}

static void stream_take(struct stream *s, int wait_ms)
{
	struct pollfd p = { .fd = s->out, .events = POLLIN };
	unsigned char frame[FRAME_BYTES];
	uint32_t number;

	while (poll(&p, 1, wait_ms) > 0 && recv(s->out, frame, sizeof(frame), 0) == FRAME_BYTES) {
		memcpy(&number, frame + 100, sizeof(number));
		s->disordered += number <= s->last;
		s->last = number;
		s->received++;
	}
}

/* One frame, at its time. */
static void stream_step(struct stream *s)
{
	unsigned char frame[FRAME_BYTES];
	uint32_t number = (uint32_t)++s->sent;

	while (now_ns() < s->next_ns)
		usleep(100);
	s->next_ns += PERIOD_NS;
	frame_fill(frame);
	memcpy(frame + 100, &number, sizeof(number));
	CU_ASSERT_EQUAL(write(s->in, frame, sizeof(frame)), FRAME_BYTES);
	stream_take(s, 0);
}

static void stream_end(struct stream *s, const char *what)
{
	stream_take(s, 500);
	CU_ASSERT_EQUAL(s->received, s->sent);
	CU_ASSERT_EQUAL(s->disordered, 0);
	printf("    %s: %d sent, %d lost, %d out of order\n", what, s->sent, s->sent - s->received,
	       s->disordered);
	close(s->in);
	close(s->out);
}

static bool have_edt(void)
{
	bool fq = run("exec 2> /dev/null; ip link add try0 type ifb && tc qdisc add dev try0 root "
		      "fq") == 0;

	run("ip link del try0 2> /dev/null");
	return fq;
}

static void set_both(struct adapter *a)
{
	struct qerr err = { 0 };

	CU_ASSERT_EQUAL(limit(a, &tap, KNOB_NET_IN, RATE_BPS, &err), 0);
	CU_ASSERT_EQUAL(limit(a, &tap, KNOB_NET_OUT, RATE_BPS, &err), 0);
	ASSERT_STR(err.text, "");
}

static void holds_both(struct adapter *a, const char *way)
{
	struct net_about about;

	CU_ASSERT_EQUAL(limit_read(a, &tap, KNOB_NET_IN), RATE_BPS);
	CU_ASSERT_EQUAL(limit_read(a, &tap, KNOB_NET_OUT), RATE_BPS);
	net_look(a, &tap.nic, &about);
	ASSERT_STR(about.way[0], way);
	ASSERT_STR(about.way[1], way);
}

/* Nothing, as before a successor that finds all as it left it. */
static void same_build(void)
{
}

/* The pinned programs are not those of this build: each stands where the other one should. */
static void other_build(void)
{
	int in = bpf_obj_get(PINS_NOW "/in"), out = bpf_obj_get(PINS_NOW "/out");

	CU_ASSERT(in >= 0 && out >= 0);
	unlink(PINS_NOW "/in");
	unlink(PINS_NOW "/out");
	CU_ASSERT_EQUAL(bpf_obj_pin(out, PINS_NOW "/in"), 0);
	CU_ASSERT_EQUAL(bpf_obj_pin(in, PINS_NOW "/out"), 0);
	close(in);
	close(out);
}

/* What is pinned is of an older layout. */
static void other_layout(void)
{
	CU_ASSERT_EQUAL(rename(PINS_NOW, PINS "/v0"), 0);
}

/* A limit of the map of now, in one of layout 2: a hash by key, its value 72 bytes. */
static void put_in_hash(int hash, int slots, int now, uint32_t key)
{
	struct edt_cfg cfg;
	uint32_t slot;

	_Static_assert(sizeof(cfg) == 72, "as it was in layout 2");
	CU_ASSERT_EQUAL(bpf_map_lookup_elem(slots, &key, &slot), 0);
	CU_ASSERT_EQUAL(bpf_map_lookup_elem(now, &slot, &cfg), 0);
	cfg.key = 0;
	cfg.queue_packets = 0;
	CU_ASSERT_EQUAL(bpf_map_update_elem(hash, &key, &cfg, 0), 0);
}

/* What is pinned is of layout 2. */
static void layout_two(void)
{
	int slots = bpf_obj_get(PINS_NOW "/slot"), now = bpf_obj_get(PINS_NOW "/cfg");
	int hash =
		bpf_map_create(BPF_MAP_TYPE_HASH, "qosd_cfg", 4, sizeof(struct edt_cfg), 16, NULL);
	uint32_t ifindex = if_nametoindex("tap1");

	CU_ASSERT(slots >= 0 && now >= 0 && hash >= 0);
	for (uint32_t d = 0; d < 2; d++)
		put_in_hash(hash, slots, now, EDT_KEY(ifindex, d));
	CU_ASSERT_EQUAL(run("rm -r " PINS_NOW " && mkdir " PINS "/v2"), 0);
	CU_ASSERT_EQUAL(bpf_obj_pin(hash, PINS "/v2/cfg"), 0);
	close(hash);
	close(slots);
	close(now);
}

/* Frames flow in both directions while qosd starts again ten times, each after `change`. */
static void check_stream(enum net_way way, const char *name, void (*change)(void), const char *what)
{
	struct adapter *a = adapter_new(way);
	struct stream in, out;
	char text[96];

	CU_ASSERT_PTR_NOT_NULL_FATAL(a);
	set_both(a);
	in = stream_new("ext", "vm1");
	out = stream_new("vm1", "ext");
	for (int i = 0; i < FRAMES; i++) {
		stream_step(&in);
		stream_step(&out);
		if (i % (FRAMES / 10) != FRAMES / 20)
			continue;
		net_free(a); /* as if killed: nothing is taken off */
		change();
		a = adapter_new(way);
		CU_ASSERT_PTR_NOT_NULL_FATAL(a);
		holds_both(a, name);
	}
	snprintf(text, sizeof(text), "%s, %s, towards the guest", name, what);
	stream_end(&in, text);
	snprintf(text, sizeof(text), "%s, %s, from the guest", name, what);
	stream_end(&out, text);
	CU_ASSERT(access(PINS "/v0", F_OK) != 0);
	CU_ASSERT(access(PINS "/v2", F_OK) != 0);
	a->ops->forget(a, &tap.guest);
	CU_ASSERT_EQUAL(net_teardown(a, NULL), 0);
	net_free(a);
}

static void test_restart(void)
{
	check_stream(NET_WAY_HTB, "htb", same_build, "restarted");
	if (have_edt())
		check_stream(NET_WAY_EDT, "edt", same_build, "restarted");
}

/* The rate of a line in the map, 0: none. */
static uint64_t line_rate(uint32_t line, enum edt_direction direction)
{
	struct edt_line_cfg cfg = { 0 };
	uint32_t key = EDT_LINE_KEY(line, direction);
	int fd = bpf_obj_get(PINS_NOW "/line");

	if (fd < 0)
		return 0;
	CU_ASSERT_EQUAL(bpf_map_lookup_elem(fd, &key, &cfg), 0);
	close(fd);
	return cfg.rate_bps;
}

/* Lines that are told before the limits of an older layout are taken over. */
static void test_lines(void)
{
	struct net_member member = { .ifindex = tap.nic.ifindex,
				     .line = 3,
				     .guaranteed_bps = { 1000000, 2000000 } };
	struct adapter *a;
	struct qerr err = { 0 };

	if (!have_edt()) {
		printf("    (no fq in this kernel)\n");
		return;
	}
	a = adapter_new(NET_WAY_EDT);
	CU_ASSERT_PTR_NOT_NULL_FATAL(a);
	set_both(a);
	net_free(a);
	other_layout();
	a = adapter_new(NET_WAY_EDT);
	CU_ASSERT_PTR_NOT_NULL_FATAL(a);
	CU_ASSERT_EQUAL(net_set_line(a, 3, true, 5 * RATE_BPS, &err), 0);
	CU_ASSERT_EQUAL(net_set_members(a, &member, 1, &err), 0);
	holds_both(a, "edt");
	CU_ASSERT_EQUAL(line_rate(3, EDT_IN), 5 * RATE_BPS);
	CU_ASSERT_EQUAL(line_rate(3, EDT_OUT), 0);
	CU_ASSERT_EQUAL(net_set_line(a, 3, false, RATE_BPS, &err), 0); /* and later */
	CU_ASSERT_EQUAL(line_rate(3, EDT_OUT), RATE_BPS);
	a->ops->forget(a, &tap.guest);
	CU_ASSERT_EQUAL(net_teardown(a, NULL), 0);
	net_free(a);
}

/* The entry of a NIC in the map of now. */
static struct edt_cfg entry_of(uint32_t key)
{
	int slots = bpf_obj_get(PINS_NOW "/slot"), now = bpf_obj_get(PINS_NOW "/cfg");
	struct edt_cfg cfg = { 0 };
	uint32_t slot = EDT_ENTRIES;

	CU_ASSERT_EQUAL(bpf_map_lookup_elem(slots, &key, &slot), 0);
	CU_ASSERT_EQUAL(bpf_map_lookup_elem(now, &slot, &cfg), 0);
	close(slots);
	close(now);
	return cfg;
}

/* An entry of layout 2, of a build that did not bound the packets that wait, is completed. */
static void test_older_entry(void)
{
	uint32_t key = EDT_KEY(tap.nic.ifindex, EDT_OUT);
	struct adapter *a;

	if (!have_edt()) {
		printf("    (no fq in this kernel)\n");
		return;
	}
	a = adapter_new(NET_WAY_EDT);
	CU_ASSERT_PTR_NOT_NULL_FATAL(a);
	set_both(a);
	net_free(a);
	CU_ASSERT_EQUAL(entry_of(key).key, key);
	CU_ASSERT(entry_of(key).queue_packets != 0);
	layout_two();
	a = adapter_new(NET_WAY_EDT);
	CU_ASSERT_PTR_NOT_NULL_FATAL(a);
	holds_both(a, "edt");
	CU_ASSERT_EQUAL(entry_of(key).key, key);
	CU_ASSERT_EQUAL(entry_of(key).rate_bps, RATE_BPS);
	CU_ASSERT(entry_of(key).queue_packets != 0);
	a->ops->forget(a, &tap.guest);
	CU_ASSERT_EQUAL(net_teardown(a, NULL), 0);
	net_free(a);
}

/* What could not be written is not taken for written. (The last test: its maps stay as they are.)
 */
static void test_told_again(void)
{
	struct net_member member = { .ifindex = tap.nic.ifindex, .line = 5 };
	struct qerr err = { 0 };
	struct adapter *a;

	if (!have_edt()) {
		printf("    (no fq in this kernel)\n");
		return;
	}
	a = adapter_new(NET_WAY_EDT);
	CU_ASSERT_PTR_NOT_NULL_FATAL(a);
	set_both(a);
	CU_ASSERT_EQUAL(bpf_map_freeze(bpf_obj_get(PINS_NOW "/cfg")), 0);
	CU_ASSERT_EQUAL(bpf_map_freeze(bpf_obj_get(PINS_NOW "/line")), 0);
	for (int i = 0; i < 2; i++) {
		CU_ASSERT_EQUAL(net_set_line(a, 5, true, RATE_BPS, &err), -EPERM);
		CU_ASSERT_EQUAL(net_set_members(a, &member, 1, &err), -EPERM);
	}
	net_free(a);
}

static void test_upgrade(void)
{
	if (!have_edt()) {
		printf("    (no fq in this kernel)\n");
		return;
	}
	check_stream(NET_WAY_EDT, "edt", other_build, "another build");
	check_stream(NET_WAY_EDT, "edt", other_layout, "another layout of the maps");
	check_stream(NET_WAY_EDT, "edt", layout_two, "layout 2 of the maps");
}

/* The operator names the other way: the limit moves there and back, and nothing is left. */
static void test_moves(void)
{
	struct adapter *a;

	if (!have_edt()) {
		printf("    (no fq in this kernel)\n");
		return;
	}
	a = adapter_new(NET_WAY_AUTO);
	set_both(a);
	holds_both(a, "edt");
	for (int i = 0; i < 2; i++) {
		net_set_way(a, NET_WAY_HTB);
		CU_ASSERT_EQUAL(limit_read(a, &tap, KNOB_NET_IN), 0);
		CU_ASSERT_EQUAL(limit_read(a, &tap, KNOB_NET_OUT), 0);
		set_both(a);
		holds_both(a, "htb");
		CU_ASSERT_EQUAL(run("tc qdisc show dev tap1 | grep -q 'htb 7105:'"), 0);
		net_set_way(a, NET_WAY_EDT);
		CU_ASSERT_EQUAL(limit_read(a, &tap, KNOB_NET_IN), 0);
		set_both(a);
		holds_both(a, "edt");
		CU_ASSERT(run("tc qdisc show dev tap1 | grep -q htb") != 0);
		CU_ASSERT(run("ip link show type ifb | grep -q 'qosd-[0-9]'") != 0);
	}
	a->ops->forget(a, &tap.guest);
	CU_ASSERT(run("tc qdisc show dev tap1 | grep -qE 'htb|fq |clsact'") != 0);
	CU_ASSERT_EQUAL(net_teardown(a, NULL), 0);
	net_free(a);
}

int main(void)
{
	static const struct test tests[] = {
		{ "a restart loses no frame", test_restart },
		{ "an upgrade loses no frame", test_upgrade },
		{ "lines of an upgraded host", test_lines },
		{ "an entry of an older build", test_older_entry },
		{ "from one way to the other", test_moves },
		{ "what could not be written", test_told_again },
	};

	if (net_bench_enter() < 0) {
		printf("skipped: needs root, and HTB, ifb, veth and a bridge in the kernel\n");
		return 77;
	}
	one_nic(&tap, "tap1");
	return harness_run("net_survive", tests, ARRAY_SIZE(tests));
}
