/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The shaper's program as ordinary code, with a clock that the test moves, and flows through one
 * NIC. TCP is a model: CUBIC with HyStart, SACK and segments sent in bundles, one acknowledgement a
 * bundle; the line behind the shaper is as fast as need be.
 */
#ifndef QOSD_T_NET_LAW_MODEL_H
#define QOSD_T_NET_LAW_MODEL_H

#include <linux/bpf.h>
#include <linux/pkt_cls.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>

#include "t/unit/harness.h"

/* What the program takes from the kernel. */
#define __BPF_HELPERS__
#define SEC(name)
#undef __always_inline
#define __always_inline     inline
#define __uint(name, value) int(*name)[value]
#define __type(name, value) __typeof__(value) *name
static struct { /* the world as the program sees it */
	uint64_t now_ns, stamp_ns;
	uint32_t hash;
} world;
static void *look_up(const void *map, const void *key);
#define bpf_map_lookup_elem(map, key)    look_up(map, key)
#define bpf_ktime_get_ns()               world.now_ns
#define bpf_get_hash_recalc(skb)         world.hash
#define bpf_redirect(ifindex, flags)     ((void)(flags), (ifindex))
#define bpf_spin_lock(lock)              ((void)(lock))
#define bpf_spin_unlock(lock)            ((void)(lock))
#define bpf_skb_ecn_set_ce(skb)          ((void)(skb), 0)
#define bpf_skb_set_tstamp(skb, ns, how) (world.stamp_ns = (ns), 0)
int edt_in(struct __sk_buff *skb);
int edt_out(struct __sk_buff *skb);
int edt_divert(struct __sk_buff *skb);
#include "bpf/edt.bpf.c"
#include "qosd/host/net_bpf.h"

#define MS        1000000ULL
#define SECOND    (1000 * MS)
#define MTU       1514
#define MSS       1448
#define MAX_FLOWS 80
#define MAX_SENT  (1 << 16)
#define MAX_WAITS (1 << 20)
#define NEVER     UINT64_MAX

struct bundle {
	uint64_t sent_ns, back_ns; /* when its acknowledgement arrives; NEVER: it was dropped */
	int segments;
	bool settled; /* acknowledged or known to be lost */
};

enum kind { TCP, UDP, PING };

struct flow {
	enum kind kind;
	uint32_t hash;
	uint64_t rtt_ns, next_ns, interval_ns; /* UDP and ping: when the next packet is due */
	struct bundle *bundles;
	int count, first, acked, recover, round_end, round_count;
	double window, threshold, most, origin, climb_s;
	uint64_t epoch_ns, smooth_ns, least_ns, round_ns, timeout_ns;
	int in_flight;
	uint64_t bytes; /* what left while it was measured */
	int lost;
};

static struct edt_cfg cfg;
static struct edt_state state;
static __u64 cells[FLOWS];
static struct flow flows[MAX_FLOWS];
static int flow_count;
static double *waits_ms[3]; /* by kind */
static int wait_count[3];
static uint64_t measured_from, measured_until;
static uint32_t seed;

static void *look_up(const void *map, const void *key)
{
	static uint64_t near; /* device 0, towards the guest: slot 0 */

	if (map == &qosd_near)
		return &near;
	if (map == &qosd_cfg)
		return &cfg;
	if (map == &qosd_st)
		return &state;
	return &cells[*(const __u32 *)key];
}

static uint32_t rnd(void)
{
	seed = seed * 1664525 + 1013904223;
	return seed >> 8;
}

/* When the packet leaves, or NEVER. */
static uint64_t shape_packet(struct flow *f, uint32_t bytes)
{
	struct __sk_buff skb = { .wire_len = bytes };

	world.hash = f->hash;
	world.stamp_ns = world.now_ns;
	if (edt_in(&skb) == TC_ACT_SHOT) {
		f->lost++;
		return NEVER;
	}
	if (world.stamp_ns >= measured_from && world.stamp_ns < measured_until)
		f->bytes += bytes;
	if (world.now_ns >= measured_from) {
		if (wait_count[f->kind] < MAX_WAITS)
			waits_ms[f->kind][wait_count[f->kind]++] =
				(double)(world.stamp_ns - world.now_ns) / 1e6;
	}
	return world.stamp_ns;
}

/* ---- TCP ---- */

/* A bundle is what leaves in a millisecond. */
static int bundle_size(const struct flow *f)
{
	double pace = f->window < f->threshold / 2 ? 2 : 1.2;
	int n = f->smooth_ns ? (int)(f->window * pace * MS / (double)f->smooth_ns) : 2;

	return n < 2 ? 2 : n > 44 ? 44 : n;
}

static void tcp_send(struct flow *f)
{
	for (;;) {
		int room = (int)f->window - f->in_flight, n = bundle_size(f);
		struct bundle *b = &f->bundles[f->count];
		uint64_t leaves;

		if (room < 1 || (room < n && room * 3 < f->window && f->in_flight && n > 2))
			return;
		if (f->count == MAX_SENT) {
			CU_FAIL("the model has no room for more bundles");
			return;
		}
		*b = (struct bundle){ .sent_ns = world.now_ns, .segments = n < room ? n : room };
		f->in_flight += b->segments;
		leaves = shape_packet(f, (uint32_t)b->segments * MTU);
		b->back_ns = leaves == NEVER ? NEVER : leaves + f->rtt_ns;
		f->timeout_ns = world.now_ns + 2 * f->smooth_ns + 400 * MS;
		f->count++;
	}
}

static void tcp_cut(struct flow *f, int bundle)
{
	if (bundle < f->recover)
		return; /* the same loss */
	f->most = f->window < f->most ? f->window * 0.85 : f->window;
	f->window = f->window * 0.7 > 2 ? f->window * 0.7 : 2;
	f->threshold = f->window;
	f->epoch_ns = 0;
	f->recover = f->count;
}

static void tcp_slow_start(struct flow *f, int bundle, uint64_t rtt_ns, int segments)
{
	uint64_t more = f->least_ns / 8;

	f->window += segments;
	if (bundle >= f->round_end) {
		f->round_end = f->count;
		f->round_ns = NEVER;
		f->round_count = 0;
	}
	if (rtt_ns < f->round_ns)
		f->round_ns = rtt_ns;
	more = more < 4 * MS ? 4 * MS : more > 16 * MS ? 16 * MS : more;
	if (++f->round_count >= 8 && f->round_ns > f->least_ns + more && f->window > 16)
		f->threshold = f->window; /* HyStart */
}

static void tcp_cubic(struct flow *f, int segments)
{
	double t_s, target, reno;

	if (!f->epoch_ns) {
		f->epoch_ns = world.now_ns;
		f->origin = f->most > f->window ? f->most : f->window;
		f->climb_s = cbrt((f->origin - f->window) / 0.4);
	}
	t_s = (double)(world.now_ns - f->epoch_ns + f->smooth_ns) / 1e9;
	target = f->origin + 0.4 * pow(t_s - f->climb_s, 3);
	reno = f->threshold + 0.53 * (double)(world.now_ns - f->epoch_ns) / (double)f->smooth_ns;
	if (reno > target)
		target = reno;
	if (target > f->window)
		f->window += fmin(target / f->window - 1, 0.5) * segments;
}

static void tcp_settle(struct flow *f, struct bundle *b)
{
	if (!b->settled)
		f->in_flight -= b->segments;
	b->settled = true;
}

static void tcp_acknowledge(struct flow *f)
{
	struct bundle *b = &f->bundles[f->acked];
	uint64_t rtt_ns = world.now_ns - b->sent_ns;

	tcp_settle(f, b);
	f->smooth_ns = f->smooth_ns ? f->smooth_ns * 7 / 8 + rtt_ns / 8 : rtt_ns;
	if (rtt_ns < f->least_ns)
		f->least_ns = rtt_ns;
	for (; f->first < f->acked; f->first++)
		if (!f->bundles[f->first].settled) {
			tcp_settle(f, &f->bundles[f->first]);
			tcp_cut(f, f->first);
		}
	if (f->window < f->threshold)
		tcp_slow_start(f, f->acked, rtt_ns, b->segments);
	else if (f->acked >= f->recover)
		tcp_cubic(f, b->segments);
	f->acked++;
	tcp_send(f);
}

static void tcp_time_out(struct flow *f)
{
	for (int i = f->first; i < f->count; i++)
		tcp_settle(f, &f->bundles[i]);
	f->first = f->acked = f->recover = f->count;
	f->most = f->window;
	f->threshold = f->window * 0.7 > 2 ? f->window * 0.7 : 2;
	f->window = 1;
	f->epoch_ns = 0;
	tcp_send(f);
}

/* ---- all flows ---- */

/* Acknowledgements come in order: the first one that is still to come, else the time-out. */
static uint64_t due_ns(struct flow *f)
{
	if (f->kind != TCP || !f->count)
		return f->next_ns;
	while (f->acked < f->count && f->bundles[f->acked].back_ns == NEVER)
		f->acked++;
	return f->acked < f->count ? f->bundles[f->acked].back_ns : f->timeout_ns;
}

static void act(struct flow *f)
{
	if (f->kind == TCP && !f->count) {
		tcp_send(f);
	} else if (f->kind == TCP && f->acked < f->count) {
		tcp_acknowledge(f);
	} else if (f->kind == TCP) {
		tcp_time_out(f);
	} else {
		shape_packet(f, f->kind == UDP ? 1442 : 98);
		f->next_ns += f->interval_ns / 2 + rnd() % f->interval_ns;
	}
}

static void add(enum kind kind, int count, uint64_t rtt_ns, uint64_t interval_ns)
{
	for (int i = 0; i < count; i++) {
		struct flow *f = &flows[flow_count++];
		struct bundle *bundles = f->bundles;

		*f = (struct flow){ .kind = kind,
				    .hash = rnd() << 16 ^ rnd(),
				    .rtt_ns = rtt_ns + 30000 + rnd() % 50000,
				    .next_ns = world.now_ns + rnd() % (100 * MS),
				    .interval_ns = interval_ns,
				    .bundles = bundles,
				    .window = 10,
				    .threshold = 1e9,
				    .least_ns = NEVER };
		if (kind == TCP && !f->bundles)
			f->bundles = calloc(MAX_SENT, sizeof(*f->bundles));
	}
}

static void begin(uint64_t rate_bps)
{
	cfg = net_bpf_profile(rate_bps, 0);
	memset(&state, 0, sizeof(state));
	memset(cells, 0, sizeof(cells));
	memset(wait_count, 0, sizeof(wait_count));
	flow_count = 0;
	seed = 1;
	world.now_ns = SECOND;
	for (int i = 0; i < 3; i++)
		if (!waits_ms[i])
			waits_ms[i] = malloc(MAX_WAITS * sizeof(double));
}

static void run(uint64_t warm_up_ns, uint64_t ns)
{
	uint64_t end = world.now_ns + warm_up_ns + ns;

	measured_from = world.now_ns + warm_up_ns;
	measured_until = end;
	for (;;) {
		struct flow *next = &flows[0];

		for (int i = 1; i < flow_count; i++)
			if (due_ns(&flows[i]) < due_ns(next))
				next = &flows[i];
		if (due_ns(next) > end)
			break;
		world.now_ns = due_ns(next);
		act(next);
	}
	world.now_ns = end;
}

/* ---- what came of it ---- */

static double mbit(enum kind kind, uint64_t ns)
{
	double sum = 0;

	for (int i = 0; i < flow_count; i++)
		if (flows[i].kind == kind)
			sum += (double)flows[i].bytes * 8e3 / (double)ns;
	return sum;
}

static double jain(void)
{
	double sum = 0, squares = 0;

	for (int i = 0; i < flow_count; i++) {
		sum += (double)flows[i].bytes;
		squares += (double)flows[i].bytes * (double)flows[i].bytes;
	}
	return sum * sum / (squares * flow_count);
}

static int by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double wait_p99_ms(enum kind kind)
{
	qsort(waits_ms[kind], (size_t)wait_count[kind], sizeof(double), by_size);
	return wait_count[kind] ? waits_ms[kind][wait_count[kind] * 99 / 100] : -1;
}

static void between(const char *what, double value, double low, double high)
{
	if (value < low || value > high)
		fprintf(stderr, "\n%s: %.3f is not in %.3f..%.3f\n", what, value, low, high);
	CU_ASSERT_TRUE(value >= low && value <= high);
}

#endif
