/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test_engine_share - rounds of bandwidth in the engine: what reaches NICs, lines and members;
 * hold, release, observe, restart and the lease.
 */
#include "qosd/daemon/view.h"
#include "t/unit/share_bench.h"

/* ---- tests ---- */

static void test_calm(void)
{
	struct wire *w = wire_new(SHARE_POLICY("enforce"));
	char why[REASON_TEXT_MAX];

	rounds(w, 3);
	CU_ASSERT_EQUAL(allowed(w, "batch"), CAPACITY);
	ASSERT_STR(reason(w, "batch", why), "class bronze: all of network tenant: 100Mbit");
	CU_ASSERT_EQUAL(w->nmembers, 3);
	CU_ASSERT_EQUAL(w->members[0].ifindex, 101);
	CU_ASSERT_EQUAL(w->members[0].line, 1);
	CU_ASSERT_EQUAL(w->members[0].guaranteed_bps[0], 40 * MBIT);
	CU_ASSERT_EQUAL(w->members[2].guaranteed_bps[1], 0);
	CU_ASSERT(w->lines[1][0] > 98 * MBIT && w->lines[1][1] > 98 * MBIT);
	CU_ASSERT_EQUAL(w->lines[2][0], 0);
	CU_ASSERT(bandwidth_period_us(w->b->e) > ROUND);
	wire_free(w);
}

static void test_contended(void)
{
	struct wire *w = wire_contended(SHARE_POLICY("enforce"));
	char why[REASON_TEXT_MAX];

	CU_ASSERT(allowed(w, "batch") > 98 * MBIT); /* it alone asks */
	CU_ASSERT_EQUAL(bandwidth_period_us(w->b->e), ROUND);
	w->offered[1] = 40 * MBIT;
	rounds(w, 3);
	CU_ASSERT(allowed(w, "db") >= 40 * MBIT);
	CU_ASSERT(allowed(w, "batch") > 58 * MBIT && allowed(w, "batch") <= 60 * MBIT);
	CU_ASSERT_PTR_NOT_NULL(
		strstr(reason(w, "batch", why), "class bronze: shares network tenant: "));
	CU_ASSERT_PTR_NOT_NULL(strstr(why, " of 100Mbit (reservation 0bit, weight 1)"));
	w->offered[2] = 300 * MBIT;
	rounds(w, 3); /* 60 is left: 45 and 15 by weight */
	CU_ASSERT(allowed(w, "web") > 44 * MBIT && allowed(w, "web") < 46 * MBIT);
	CU_ASSERT(allowed(w, "batch") > 14 * MBIT && allowed(w, "batch") < 16 * MBIT);
	w->host_offered = 20 * MBIT;
	rounds(w, 3); /* 40 is left */
	CU_ASSERT(allowed(w, "db") >= 40 * MBIT);
	CU_ASSERT(allowed(w, "web") > 28 * MBIT && allowed(w, "web") < 31 * MBIT);
	CU_ASSERT(w->lines[1][1] > 78 * MBIT && w->lines[1][1] <= 80 * MBIT);
	memset(w->offered, 0, sizeof(w->offered));
	rounds(w, 15);
	CU_ASSERT_EQUAL(allowed(w, "batch"), CAPACITY);
	wire_free(w);
}

/* The line keeps what is reserved on it, so nobody is throttled for that; observed it does not. */
static void test_line_is_no_overload(void)
{
	static const struct {
		const char *policy;
		uint64_t reserved;
	} cases[] = { { SHARE_POLICY("enforce"), 0 }, { SHARE_POLICY("observe"), 40 * MBIT } };

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct wire *w = wire_contended(cases[i].policy);
		const struct protection *p = w->b->e->protection;

		overload_tick(w->b->e);
		CU_ASSERT_EQUAL(p->nguests, 3);
		CU_ASSERT_EQUAL(p->guests[0].net_reserved_bps, cases[i].reserved);
		CU_ASSERT_EQUAL(p->guests[0].net_floor_bps, 40 * MBIT);
		wire_free(w);
	}
}

/* The loop makes rounds by itself, again and again. */
static void test_timer(void)
{
	struct wire *w = wire_contended(SHARE_POLICY("enforce"));
	unsigned int told = w->told;

	for (int i = 0; i < 20 && w->told < told + 2; i++) {
		carry(w, ROUND);
		CU_ASSERT(sd_event_run(w->b->e->event, 200000) >= 0);
	}
	CU_ASSERT(w->told >= told + 2);
	wire_free(w);
}

/* A round writes what changed and nothing else, and reads nothing back. */
static void test_cheap(void)
{
	struct wire *w = wire_contended(SHARE_POLICY("enforce"));
	unsigned int told = w->told;
	uint64_t written = w->b->e->written;
	size_t reads = w->b->fakes[ADAPTER_NET].reads;

	rounds(w, 10);
	CU_ASSERT_EQUAL(w->b->e->written, written);
	w->offered[1] = 40 * MBIT;
	rounds(w, 1);
	CU_ASSERT(w->b->e->written > written && w->b->e->written <= written + 4);
	rounds(w, 10);
	CU_ASSERT_EQUAL(w->b->fakes[ADAPTER_NET].reads, reads);
	CU_ASSERT(w->told >= told);
	bench_drift(w->b); /* all of it holds */
	CU_ASSERT_EQUAL(w->b->e->repaired, 0);
	wire_free(w);
}

static void test_observe(void)
{
	struct wire *w = wire_contended(SHARE_POLICY("observe"));

	w->offered[1] = w->offered[2] = 300 * MBIT;
	rounds(w, 5);
	ASSERT_STR(bench_value(w->b, "batch", TARGET_NIC, 0, KNOB_NET_OUT), "max");
	CU_ASSERT_EQUAL(w->b->e->written, 0);
	CU_ASSERT_EQUAL(w->told, 0);
	CU_ASSERT_EQUAL(w->lines[1][1], 0);
	CU_ASSERT(bandwidth_period_us(w->b->e) > 10 * ROUND);
	wire_free(w);
}

static void test_hold(void)
{
	struct wire *w = wire_contended(SHARE_POLICY("enforce"));

	w->offered[2] = 300 * MBIT;
	rounds(w, 3);
	CU_ASSERT(allowed(w, "batch") < 30 * MBIT);
	bench_row(w->b, "batch")->hold_until_s = (uint64_t)time(NULL) + 1000;
	rounds(w, 2);
	CU_ASSERT_EQUAL(allowed(w, "batch"), CAPACITY); /* what holds it back goes first */
	CU_ASSERT_FALSE(bench_row(w->b, "batch")->capped);
	CU_ASSERT(allowed(w, "web") < CAPACITY);
	wire_free(w);
}

static void test_release(void)
{
	struct wire *w = wire_contended(SHARE_POLICY("enforce"));
	struct qerr err = { 0 };

	w->offered[2] = 300 * MBIT;
	rounds(w, 3);
	CU_ASSERT_EQUAL(engine_release(w->b->e, NULL, &err), 0);
	bench_settle(w->b);
	rounds(w, 3);
	ASSERT_STR(bench_value(w->b, "batch", TARGET_NIC, 0, KNOB_NET_OUT), "max");
	ASSERT_STR(bench_value(w->b, "web", TARGET_NIC, 0, KNOB_NET_OUT), "max");
	wire_free(w);
}

static void test_newcomer(void)
{
	struct wire *w = wire_contended(SHARE_POLICY("enforce"));

	add(w->b, "db2", 4, "gold");
	bench_publish(w->b);
	storm_settle(w->b);
	CU_ASSERT_EQUAL(w->nmembers, 4); /* told before it is first shaped */
	CU_ASSERT_EQUAL(w->members[3].guaranteed_bps[0], 40 * MBIT);
	CU_ASSERT_EQUAL(allowed(w, "db2"), CAPACITY);
	w->offered[4] = 300 * MBIT;
	rounds(w, 3);
	CU_ASSERT(allowed(w, "db2") > 68 * MBIT && allowed(w, "db2") < 72 * MBIT);
	wire_free(w);
}

static void test_reload(void)
{
	struct wire *w = wire_contended(SHARE_POLICY("enforce"));
	struct diag_list findings = { 0 };
	struct qerr err = { 0 };

	w->offered[2] = 300 * MBIT;
	rounds(w, 3);
	write_text(w->b->config_path, STORM_POLICY("enforce"));
	CU_ASSERT_EQUAL(engine_reload(w->b->e, NULL, &findings, &err), 0);
	rounds(w, 1); /* before the turn */
	bench_settle(w->b);
	rounds(w, 2);
	ASSERT_STR(bench_value(w->b, "batch", TARGET_NIC, 0, KNOB_NET_OUT), "max");
	diag_clear(&findings);
	wire_free(w);
}

/* A second gold guest's reservation does not fit beside storage; an uplink tells no speed. */
static void test_findings(void)
{
	struct wire *w = wire_new(SHARE_POLICY("enforce"));
	struct diag_list findings = { 0 };
	struct network *n;
	char text[512];

	rounds(w, 2);
	bandwidth_probe(w->b->e, &findings);
	CU_ASSERT_EQUAL(findings.count, 0);
	add(w->b, "db2", 4, "gold");
	add(w->b, "db3", 5, "gold");
	bench_publish(w->b);
	storm_settle(w->b);
	CU_ASSERT_EQUAL(w->members[0].guaranteed_bps[1], 80 * MBIT / 3);
	n = must(policy_add_network(w->b->e->policy));
	n->name = n->device = (char *)"eth9";
	n->rate_bps = POLICY_NONE_U64;
	bandwidth_probe(w->b->e, &findings);
	CU_ASSERT_EQUAL_FATAL(findings.count, 2);
	ASSERT_STR(
		diag_format(&findings.items[0], text, sizeof(text)),
		"networks: guests reserve 120Mbit of uplink eth0, which has 79.9Mbit for them: each "
		"gets less; lower net.reservation of a class, or start fewer of its guests here");
	CU_ASSERT_PTR_NOT_NULL(
		strstr(diag_format(&findings.items[1], text, sizeof(text)),
		       "the speed of uplink eth9 is not known, so network eth9 shares nothing"));
	diag_clear(&findings);
	wire_free(w);
}

/* A class without net.limit of its own: the network is one. */
static void test_shared_is_limited(void)
{
	struct wire *w = wire_new(SHARE_POLICY("observe"));
	json_t *nic;

	rounds(w, 2);
	nic = view_nic(w->b->e, 0, 0);
	ASSERT_STR(json_string_value(json_object_get(nic, "unshaped")),
		   "mode observe: nothing is set");
	json_decref(nic);
	wire_free(w);
}

/* A link that flaps tells no speed for a while: nobody loses his part of it. */
static void test_link_flap(void)
{
	struct wire *w = wire_new("mode = \"enforce\";\n"
				  "host = { reserve = { memory = \"1GiB\"; cpus = \"0\"; }; };\n"
				  "networks = ( { name = \"tenant\"; device = \"br0\";"
				  " uplink = \"eth0\"; } );\n"
				  "classes = ( { name = \"gold\"; rank = 0;"
				  " net = { reservation = \"40Mbit\"; }; },"
				  " { name = \"bronze\"; rank = 1; } );\n"
				  "default_class = \"bronze\";\n");

	w->speed_bps = CAPACITY;
	w->speed_result = 0;
	w->now_us += 31000 * MS;
	rounds(w, 3);
	CU_ASSERT_EQUAL(w->nmembers, 3);
	CU_ASSERT(w->lines[1][1] > 98 * MBIT);
	w->speed_result = -ENODATA;
	w->now_us += 31000 * MS;
	rounds(w, 3);
	CU_ASSERT_EQUAL(w->nmembers, 3);
	CU_ASSERT(w->lines[1][1] > 98 * MBIT);
	/* It is back, slower: known within a second. */
	w->speed_result = 0;
	w->speed_bps = 75 * MBIT;
	w->now_us += 1000 * MS;
	rounds(w, 3);
	CU_ASSERT(w->lines[1][1] > 73 * MBIT && w->lines[1][1] <= 75 * MBIT);
	w->speed_result = -ENOENT; /* there is no such device any more */
	w->now_us += 31000 * MS;
	rounds(w, 3);
	CU_ASSERT_EQUAL(w->nmembers, 0);
	wire_free(w);
}

/* ---- the host's traffic, told apart ---- */

#define APART_POLICY(mode)                                                                         \
	"mode = \"" mode "\";\nhost = { reserve = { memory = \"1GiB\"; cpus = \"0\"; }; };\n"      \
	"networks = ( { name = \"rbd\"; device = \"br0\"; uplink = \"eth0\"; ports = \"6800\";"    \
	" reservation = \"32Mbit\"; }, { name = \"tenant\"; device = \"br0\"; uplink = \"eth0\";"  \
	" rate = \"100Mbit\"; } );\n"                                                              \
	"classes = ( { name = \"gold\"; rank = 0; }, { name = \"silver\"; rank = 1; },"            \
	" { name = \"bronze\"; rank = 2; } );\ndefault_class = \"silver\";\n"

/* It is kept while it is used, and lent while it is not; guests are on the other network. */
static void test_apart(void)
{
	struct wire *w = wire_contended(APART_POLICY("enforce"));
	char why[REASON_TEXT_MAX];

	CU_ASSERT_EQUAL(w->apart, 1);
	CU_ASSERT_EQUAL(w->nmembers, 3);
	CU_ASSERT(w->lines[1][1] > 96 * MBIT);
	CU_ASSERT_PTR_NOT_NULL(strstr(reason(w, "batch", why), "network tenant"));
	for (int i = 0; i < 5; i++) {
		w->apart_sent += 30 * MBIT / 8 / 10;
		rounds(w, 1);
	}
	CU_ASSERT(w->lines[1][1] > 67 * MBIT && w->lines[1][1] <= 68 * MBIT);
	CU_ASSERT(allowed(w, "batch") <= 68 * MBIT);
	rounds(w, 5);
	CU_ASSERT(w->lines[1][1] > 96 * MBIT);
	wire_free(w);
}

/* Nobody knows whether it is there: nothing of its reservation is lent, and doctor says why. */
static void test_apart_unknown(void)
{
	struct wire *w = wire_new(APART_POLICY("enforce"));
	struct diag_list findings = { 0 };
	char text[512];

	w->apart_unknown = true;
	w->offered[3] = 300 * MBIT;
	rounds(w, 5);
	CU_ASSERT(w->lines[1][1] > 67 * MBIT && w->lines[1][1] <= 68 * MBIT);
	bandwidth_probe(w->b->e, &findings);
	CU_ASSERT_EQUAL_FATAL(findings.count, 1);
	ASSERT_STR(diag_format(&findings.items[0], text, sizeof(text)),
		   "networks: some of the host's traffic is not told apart, so its reservation is "
		   "never lent: eth0 is taken");
	diag_clear(&findings);
	wire_free(w);
}

/* Observing attaches nothing, but says what would stand in the way. */
static void test_apart_observe(void)
{
	struct wire *w = wire_contended(APART_POLICY("observe"));
	struct diag_list findings = { 0 };
	char text[512];

	CU_ASSERT_EQUAL(w->apart, 0);
	bandwidth_probe(w->b->e, &findings);
	CU_ASSERT_EQUAL(findings.count, 0);
	w->apart_unknown = true;
	bandwidth_probe(w->b->e, &findings);
	CU_ASSERT_EQUAL_FATAL(findings.count, 1);
	ASSERT_STR(
		diag_format(&findings.items[0], text, sizeof(text)),
		"networks: the host's traffic of network rbd cannot be told apart: eth0 is taken");
	diag_clear(&findings);
	wire_free(w);
}

/* Counters are taken off with the policy that asked for them, and by a release. */
static void test_apart_ends(void)
{
	struct wire *w = wire_contended(APART_POLICY("enforce"));
	struct diag_list findings = { 0 };
	struct qerr err = { 0 };

	CU_ASSERT_EQUAL(w->apart, 1);
	write_text(w->b->config_path, STORM_POLICY("enforce"));
	CU_ASSERT_EQUAL(engine_reload(w->b->e, NULL, &findings, &err), 0);
	bench_settle(w->b);
	CU_ASSERT_EQUAL(w->apart, 0);
	write_text(w->b->config_path, APART_POLICY("enforce"));
	CU_ASSERT_EQUAL(engine_reload(w->b->e, NULL, &findings, &err), 0);
	bench_settle(w->b);
	rounds(w, 2);
	CU_ASSERT_EQUAL(w->apart, 1);
	CU_ASSERT_EQUAL(engine_release(w->b->e, NULL, &err), 0);
	bench_settle(w->b);
	rounds(w, 2);
	CU_ASSERT_EQUAL(w->apart, 0);
	diag_clear(&findings);
	wire_free(w);
}

/* ---- over the daemon's end ---- */

static void attach_lease(struct wire *w)
{
	struct protection *p = w->b->e->protection;
	struct qerr err = { 0 };

	if (lease_open(w->b->state_dir, &p->lease, &err) < 0)
		abort();
	lease_take_over(p->lease, engine_now_us(w->b->e));
}

static bool leased(const struct wire *w)
{
	return w->b->e->protection->lease->header->state == LEASE_HELD;
}

static struct wire *wire_leased(void)
{
	struct wire *w = wire_new(SHARE_POLICY("enforce"));

	attach_lease(w);
	w->offered[2] = w->offered[3] = 300 * MBIT;
	rounds(w, 5);
	return w;
}

static void test_lease(void)
{
	struct wire *w = wire_leased();
	size_t len;
	char *text;

	CU_ASSERT(leased(w));
	text = must(lease_read(w->b->e->protection->lease, &len));
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "net.out 100000000"));
	free(text);
	storm_pass(w->storm, 1000000);
	CU_ASSERT(leased(w));
	memset(w->offered, 0, sizeof(w->offered));
	rounds(w, 15);
	storm_pass(w->storm, 1000000);
	CU_ASSERT(!leased(w));
	w->offered[2] = w->offered[3] = 300 * MBIT;
	rounds(w, 5);
	CU_ASSERT(leased(w));
	overload_stand_down(w->b->e); /* it stops */
	storm_settle(w->b);
	CU_ASSERT_EQUAL(allowed(w, "batch"), CAPACITY);
	CU_ASSERT(!leased(w));
	wire_free(w);
}

/* kill -9: the next daemon goes on with the same rates. */
static void test_restart(void)
{
	struct wire *w = wire_leased();
	uint64_t web = allowed(w, "web"), batch = allowed(w, "batch");
	uint64_t written;

	CU_ASSERT(web < 80 * MBIT && batch < 30 * MBIT);
	bench_kill(w->b);
	bench_boot(w->b);
	storm_attach(w->storm);
	attach_lease(w);
	attach(w);
	written = w->b->e->written;
	bench_publish(w->b);
	bench_settle(w->b);
	CU_ASSERT_EQUAL(w->b->e->written, written);
	CU_ASSERT_EQUAL(allowed(w, "web"), web);
	CU_ASSERT_EQUAL(allowed(w, "batch"), batch);
	CU_ASSERT(leased(w));
	rounds(w, 3);
	CU_ASSERT(allowed(w, "web") > web - 3 * MBIT && allowed(w, "web") < web + 3 * MBIT);
	wire_free(w);
}

int main(void)
{
	static const struct test tests[] = {
		{ "calm: all may have all", test_calm },
		{ "contended: reservation, weight, storage", test_contended },
		{ "what a line keeps is no overload", test_line_is_no_overload },
		{ "rounds come by themselves", test_timer },
		{ "a round that changes nothing costs nothing", test_cheap },
		{ "observe writes nothing", test_observe },
		{ "hold", test_hold },
		{ "release", test_release },
		{ "a guest comes", test_newcomer },
		{ "a policy without networks", test_reload },
		{ "findings", test_findings },
		{ "a link that flaps", test_link_flap },
		{ "what is shared is limited", test_shared_is_limited },
		{ "the host's traffic told apart", test_apart },
		{ "... that nobody can tell", test_apart_unknown },
		{ "... while observing", test_apart_observe },
		{ "... comes to an end", test_apart_ends },
		{ "shares are leased", test_lease },
		{ "kill -9", test_restart },
	};

	return harness_run("engine_share", tests, ARRAY_SIZE(tests));
}
