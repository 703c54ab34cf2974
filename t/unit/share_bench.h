/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * share_bench - an engine whose guests share an uplink. Traffic is what a test says: each NIC takes
 * what it offers, up to what its knob allows.
 */
#ifndef QOSD_T_SHARE_BENCH_H
#define QOSD_T_SHARE_BENCH_H

#include "qosd/daemon/bandwidth.h"
#include "t/unit/overload_bench.h"

#define MBIT     UINT64_C(1000000)
#define MS       UINT64_C(1000)
#define ROUND    (100 * MS)
#define IFINDEX  100 /* of a bench guest's NIC, and its id */
#define IDS      8
#define LINES    128
#define CAPACITY (100 * MBIT)

#define SHARE_POLICY(mode)                                                                                \
	"mode = \"" mode "\";\nhost = { reserve = { memory = \"1GiB\"; cpus = \"0\"; }; };\n"             \
	"networks = ( { name = \"tenant\"; device = \"br0\"; uplink = \"eth0\"; rate = \"100Mbit\"; },"   \
	" { name = \"storage\"; device = \"eth0.7\"; uplink = \"eth0\"; reservation = \"20Mbit\"; } );\n" \
	"classes = ( { name = \"gold\"; rank = 0; net = { reservation = \"40Mbit\"; }; },"                \
	" { name = \"silver\"; rank = 1; net = { weight = 3; }; },"                                       \
	" { name = \"bronze\"; rank = 2; } );\ndefault_class = \"silver\";\n"

struct wire { /* the host's NICs, out of guests only */
	struct storm *storm;
	struct bench *b;
	uint64_t now_us;
	uint64_t offered[IDS], sent[IDS], dropped[IDS]; /* bit/s; bytes; by guest id */
	uint64_t host_offered, host_sent, apart_sent;
	size_t apart;       /* networks that are told apart; 99: it was never asked for */
	bool apart_unknown; /* ... but that does not work */
	uint64_t speed_bps; /* what the uplink tells */
	int speed_result;
	uint64_t lines[LINES][2];
	struct net_member members[IDS];
	size_t nmembers;
	unsigned int told; /* times that members were told */
};

static inline uint64_t wire_now(void *ctx)
{
	return ((struct wire *)ctx)->now_us;
}

static inline void wire_count(void *ctx, const struct guest_nic *nic, struct netshare_count ret[2])
{
	const struct wire *w = ctx;
	uint32_t id = nic->ifindex - IFINDEX;

	ret[NETSHARE_IN] = (struct netshare_count){ .known = true };
	ret[NETSHARE_OUT] = (struct netshare_count){ .known = true,
						     .bytes = w->sent[id],
						     .pressed = w->dropped[id] };
}

static inline void wire_host(void *ctx, const struct policy *p, uint32_t network,
			     struct netshare_count ret[2])
{
	const struct wire *w = ctx;
	bool apart = netshare_told_apart(&p->networks[network]);
	bool known = !apart || (w->apart && !w->apart_unknown);

	ASSERT_STR(p->networks[network].name, apart ? "rbd" : "storage");
	ret[NETSHARE_IN] = (struct netshare_count){ .known = known };
	ret[NETSHARE_OUT] =
		(struct netshare_count){ .known = known,
					 .bytes = apart ? w->apart_sent : w->host_sent };
}

static inline int wire_apart(void *ctx, const struct policy *p, struct qerr *err)
{
	struct wire *w = ctx;

	w->apart = 0;
	for (size_t i = 0; p && i < p->nnetworks; i++)
		w->apart += netshare_told_apart(&p->networks[i]);
	return w->apart && w->apart_unknown ? qerr_set(err, -EBUSY, "eth0 is taken") : 0;
}

static inline int wire_check(void *ctx, const struct network *n, struct qerr *err)
{
	(void)n;
	return ((struct wire *)ctx)->apart_unknown ? qerr_set(err, -EBUSY, "eth0 is taken") : 0;
}

static inline int wire_speed(void *ctx, const char *device, uint64_t *ret)
{
	const struct wire *w = ctx;

	(void)device;
	*ret = w->speed_bps;
	return w->speed_result;
}

static inline int wire_line(void *ctx, uint32_t line, bool in, uint64_t rate_bps, struct qerr *err)
{
	(void)err;
	((struct wire *)ctx)->lines[line][!in] = rate_bps;
	return 0;
}

static inline int wire_members(void *ctx, struct net_member *members, size_t count,
			       struct qerr *err)
{
	struct wire *w = ctx;

	(void)err;
	w->nmembers = count;
	if (count)
		memcpy(w->members, members, count * sizeof(*members));
	w->told++;
	return 0;
}

static inline void attach(struct wire *w)
{
	struct bandwidth_source source = { .ctx = w,
					   .now_us = wire_now,
					   .count_nic = wire_count,
					   .count_host = wire_host,
					   .tell_apart = wire_apart,
					   .check_apart = wire_check,
					   .link_speed = wire_speed,
					   .set_line = wire_line,
					   .set_members = wire_members };

	bandwidth_set_source(w->b->e->bandwidth, &source);
}

/* What the knob of a guest's NIC allows now. */
static inline uint64_t allowed(struct wire *w, const char *name)
{
	const char *text = bench_value(w->b, name, TARGET_NIC, 0, KNOB_NET_OUT);

	return strcmp(text, "max") == 0 ? CAPACITY : strtoull(text, NULL, 10);
}

static inline void carry(struct wire *w, uint64_t us)
{
	for (size_t i = 0; i < w->b->running->count; i++) {
		const struct guest *g = w->b->running->guests[i];
		uint64_t may = allowed(w, g->name), wants = w->offered[g->id];

		w->sent[g->id] += (wants < may ? wants : may) / 8 * us / 1000000;
		w->dropped[g->id] += wants > may;
	}
	w->host_sent += w->host_offered / 8 * us / 1000000;
	w->now_us += us;
}

static inline void rounds(struct wire *w, unsigned int n)
{
	for (; n; n--) {
		carry(w, ROUND);
		bandwidth_round(w->b->e);
		if (w->b->e->turn_scheduled)
			storm_settle(w->b);
	}
}

static inline struct guest *add(struct bench *b, const char *name, uint32_t id,
				const char *class_name)
{
	struct guest *g = bench_guest(b, name, id, 1, GIB, class_name);

	snprintf(g->nics[0].bridge, sizeof(g->nics[0].bridge), "br0");
	return g;
}

static inline struct wire *wire_new(const char *policy)
{
	struct wire *w = must(calloc(1, sizeof(*w)));
	struct bench *b = bench_new(policy);

	w->b = b;
	add(b, "db", 1, "gold");
	add(b, "web", 2, "silver");
	add(b, "batch", 3, "bronze");
	w->storm = storm_new(b);
	w->now_us = 1000 * MS;
	w->apart = 99;
	w->speed_result = -ENOENT;
	attach(w);
	bench_publish(b);
	bench_settle(b);
	bench_pass(b, BENCH_GROWN_US);
	storm_pass(w->storm, 2000000);
	return w;
}

static inline void wire_free(struct wire *w)
{
	storm_free(w->storm);
	free(w);
}

/* Bronze takes all that it can get, until the rates stand. */
static inline struct wire *wire_contended(const char *policy)
{
	struct wire *w = wire_new(policy);

	w->offered[3] = 300 * MBIT;
	rounds(w, 5);
	return w;
}

static inline const char *reason(struct wire *w, const char *name, char *buf)
{
	const struct guest *g = must(inventory_find(w->b->running, name));
	struct target t = { .kind = TARGET_NIC, .guest_id = g->id, .guest = g };
	const struct plan_entry *e = plan_find(w->b->e->picture->plan, &t, KNOB_NET_OUT);

	return e ? reason_format(&e->why, buf, REASON_TEXT_MAX) : "";
}

#endif
