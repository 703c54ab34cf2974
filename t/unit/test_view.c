/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_view - what the daemon tells of guests, their cards and itself, as programs read it. */
#include "qosd/daemon/view.h"
#include "t/unit/overload_bench.h"

#define NICS 16 /* by the number in the device's name */

struct stage {
	struct storm *s;
	struct engine *e;
	struct nic_reading in[NICS], out[NICS];
};

/* The storm's sampler knows no context but its own. */
static struct stage *stage;

static void read_nic(void *ctx, const struct guest_nic *nic, struct nic_reading *ret_in,
		     struct nic_reading *ret_out)
{
	unsigned int n = 0;

	(void)ctx;
	CU_ASSERT_EQUAL_FATAL(sscanf(nic->device, "vnet%u", &n), 1);
	*ret_in = stage->in[n];
	*ret_out = stage->out[n];
}

static void open_stage(const char *policy)
{
	struct bench *b = bench_three(policy);

	stage = must(calloc(1, sizeof(*stage)));
	for (size_t i = 0; i < NICS; i++)
		stage->in[i].bytes = stage->out[i].bytes = SAMPLE_UNKNOWN;
	stage->s = storm_new(b);
	stage->e = b->e;
	b->e->protection->sampler.nic = read_nic;
	bench_publish(b);
	bench_settle(b);
	storm_pass(stage->s, 1000000);
}

static void close_stage(void)
{
	storm_free(stage->s);
	free(TAKE_PTR(stage));
}

static const json_t *find(const char *name, const json_t *list)
{
	const json_t *guest;
	size_t i;

	json_array_foreach (json_object_get(list, "guests"), i, guest)
		if (strcmp(json_string_value(json_object_get(guest, "name")), name) == 0)
			return guest;
	CU_FAIL_FATAL("no such guest");
	return NULL;
}

/* One second passes; what is shown afterwards of guest `name`. The list is the caller's. */
static const json_t *look(const char *name, json_t **ret_list)
{
	storm_pass(stage->s, 1000000);
	engine_sample(stage->e, 0);
	*ret_list = must(view_list(stage->e, true));
	return find(name, *ret_list);
}

static double number(const json_t *object, const char *key)
{
	const json_t *value = json_object_get(object, key);

	CU_ASSERT(json_is_number(value));
	return json_number_value(value);
}

static const json_t *nic_of(const json_t *guest)
{
	return json_array_get(json_object_get(guest, "net"), 0);
}

static const char *text(const json_t *object, const char *key)
{
	const char *s = json_string_value(json_object_get(object, key));

	return s ? s : "";
}

static bool is_null(const json_t *object, const char *key)
{
	return json_is_null(json_object_get(object, key));
}

/* ---- CPU ---- */

static void test_cpu_counters(void)
{
	json_t *list;
	const json_t *cpu;
	double run_s, wait_s;

	open_stage(BENCH_ENFORCE);
	storm_load(stage->s, "db1", 0.5, 0.25);
	(void)look("db1", &list);
	json_decref(list);
	cpu = json_object_get(look("db1", &list), "cpu");
	CU_ASSERT_DOUBLE_EQUAL(number(cpu, "usage"), 0.5, 2e-3);
	CU_ASSERT_DOUBLE_EQUAL(number(cpu, "wait"), 1.0 / 3, 2e-3);
	run_s = number(cpu, "run_ms") / 1e3;
	wait_s = number(cpu, "wait_ms") / 1e3;
	CU_ASSERT_DOUBLE_EQUAL(run_s, 1, 2e-3);
	CU_ASSERT_DOUBLE_EQUAL(wait_s, 0.5, 2e-3);
	json_decref(list);
	/* a vCPU goes, and its time with it: what the guest has used does not */
	stage->s->sums[1].run_ns /= 2;
	cpu = json_object_get(look("db1", &list), "cpu");
	CU_ASSERT(number(cpu, "run_ms") / 1e3 >= run_s);
	run_s = number(cpu, "run_ms") / 1e3;
	json_decref(list);
	cpu = json_object_get(look("db1", &list), "cpu");
	CU_ASSERT_DOUBLE_EQUAL(number(cpu, "run_ms") / 1e3, run_s + 0.5, 2e-3);
	json_decref(list);
	close_stage();
}

/* A brief list has nothing that must be read from the host; the full one has. */
static void test_brief(void)
{
	const struct fake *f;
	unsigned int reads;
	const json_t *guest;
	json_t *list;

	open_stage(BENCH_ENFORCE);
	f = &stage->s->b->fakes[knob_get(KNOB_CPU_MAX)->adapter];
	reads = f->reads;
	guest = look("batch1", &list);
	CU_ASSERT_EQUAL(f->reads, reads);
	CU_ASSERT_PTR_NULL(json_object_get(guest, "memory"));
	CU_ASSERT_PTR_NULL(json_object_get(guest, "disk"));
	CU_ASSERT_PTR_NULL(json_object_get(json_object_get(guest, "cpu"), "limit"));
	ASSERT_STR(text(guest, "class"), "bronze");
	CU_ASSERT(is_null(guest, "degraded") && is_null(guest, "throttle"));
	json_decref(list);
	close_stage();
}

/* ---- cards ---- */

static void test_nic(void)
{
	struct nic_reading *in;
	struct usage *u;
	const json_t *nic;
	json_t *list;

	open_stage(BENCH_ENFORCE);
	in = &stage->in[3];
	*in = (struct nic_reading){ .bytes = 1000, .counted = true };
	in->shaper.offered_bytes = 2000;
	(void)look("batch1", &list);
	json_decref(list);
	in->bytes += 1250000; /* 10 Mbit/s of the 40 that it wants */
	in->shaper.offered_bytes += 5000000;
	in->shaper.dropped_packets = 12;
	in->shaper.marked_packets = 3;
	in->shaper.queue_ns_max = 2500000;
	(void)look("batch1", &list);
	json_decref(list);
	u = bench_row(stage->s->b, "batch1")->usage;
	u->before.offered_at_us = u->last.offered_at_us - 1000000;
	list = must(view_list(stage->e, true));
	nic = nic_of(find("batch1", list));
	ASSERT_STR(text(nic, "device"), "vnet3");
	CU_ASSERT_EQUAL(number(nic, "in_limit_bps"), 20000000);
	CU_ASSERT_EQUAL(number(nic, "in_bps"), 10000000);
	CU_ASSERT_EQUAL(number(nic, "in_offered_bps"), 40000000);
	CU_ASSERT_EQUAL(number(nic, "in_bytes"), 1251000);
	CU_ASSERT_EQUAL(number(nic, "in_offered_bytes"), 5002000);
	CU_ASSERT_EQUAL(number(nic, "in_dropped"), 12);
	CU_ASSERT_EQUAL(number(nic, "in_marked"), 3);
	CU_ASSERT_EQUAL(number(nic, "in_queue_us"), 2500);
	CU_ASSERT(is_null(nic, "unshaped"));
	/* nothing is known of the other direction: that is not 0 */
	CU_ASSERT(is_null(nic, "out_bytes") && is_null(nic, "out_bps"));
	CU_ASSERT_PTR_NULL(json_object_get(nic, "out_dropped"));
	CU_ASSERT(is_null(nic, "out_offered_bps"));
	json_decref(list);
	close_stage();
}

/* A limit that was taken away and set anew: its counters begin again, and no rate comes of it. */
static void test_nic_counts_anew(void)
{
	const json_t *nic;
	json_t *list;

	open_stage(BENCH_ENFORCE);
	stage->in[3] = (struct nic_reading){ .bytes = 5000, .counted = true };
	stage->in[3].shaper.offered_bytes = 5000;
	(void)look("batch1", &list);
	json_decref(list);
	stage->in[3].bytes = 4000;
	stage->in[3].shaper.offered_bytes = 10;
	nic = nic_of(look("batch1", &list));
	CU_ASSERT(is_null(nic, "in_bps") && is_null(nic, "in_offered_bps"));
	json_decref(list);
	close_stage();
}

static void test_why_unshaped(void)
{
	const json_t *nic;
	json_t *list;

	open_stage(BENCH_ENFORCE);
	nic = nic_of(look("db1", &list)); /* gold has no net.limit */
	CU_ASSERT(is_null(nic, "in_limit_bps"));
	ASSERT_STR(text(nic, "unshaped"), "its class has no net.limit");
	json_decref(list);
	close_stage();

	open_stage(BENCH_OBSERVE);
	nic = nic_of(look("batch1", &list));
	ASSERT_STR(text(nic, "unshaped"), "mode observe: nothing is set");
	json_decref(list);
	close_stage();
}

static void test_why_unshaped_trouble(void)
{
	struct bench *b;
	const json_t *nic;
	json_t *list;

	open_stage(BENCH_ENFORCE);
	b = stage->s->b;
	b->fakes[knob_get(KNOB_NET_IN)->adapter].fail[KNOB_NET_IN] = -ENOTSUP;
	b->fakes[knob_get(KNOB_NET_IN)->adapter].fail[KNOB_NET_OUT] = -ENOTSUP;
	bench_meddle(b, "batch1", TARGET_NIC, 0, KNOB_NET_IN, "max");
	bench_meddle(b, "batch1", TARGET_NIC, 0, KNOB_NET_OUT, "max");
	bench_drift(b);
	nic = nic_of(look("batch1", &list));
	CU_ASSERT(strstr(text(nic, "unshaped"), "the host says") != NULL);
	json_decref(list);
	close_stage();
}

/* A virtual function: limited in one direction, and told so of the other. */
static void test_vf(void)
{
	struct guest *g;
	const json_t *nic;
	json_t *list, *doctor;
	char *said;

	open_stage(BENCH_ENFORCE);
	g = must(inventory_find(stage->s->b->running, "batch1"));
	g->nnics = 0;
	make_vf(g, "0000:3b:10.2");
	bench_meddle(stage->s->b, "batch1", TARGET_NIC, 0, KNOB_NET_IN, "max");
	bench_meddle(stage->s->b, "batch1", TARGET_NIC, 0, KNOB_NET_OUT, "max");
	engine_mark_all(stage->e);
	bench_settle(stage->s->b);
	nic = nic_of(look("batch1", &list));
	ASSERT_STR(text(nic, "device"), "eth0/vf1");
	CU_ASSERT_EQUAL(number(nic, "out_limit_bps"), 20000000);
	CU_ASSERT(is_null(nic, "in_limit_bps") && is_null(nic, "unshaped"));
	CU_ASSERT(strstr(text(nic, "in_unshaped"), "only what a virtual function sends") != NULL);
	json_decref(list);
	doctor = must(view_doctor(stage->e));
	said = must(json_dumps(doctor, 0));
	CU_ASSERT(strstr(said, "guest batch1: NIC eth0/vf1 cannot be limited towards the guest") !=
		  NULL);
	free(said);
	json_decref(doctor);
	bench_set_class(stage->s->b, "batch1", "silver"); /* no limit */
	bench_settle(stage->s->b);
	nic = nic_of(look("batch1", &list));
	ASSERT_STR(text(nic, "unshaped"), "its class has no net.limit");
	json_decref(list);
	close_stage();
}

#define DEAF "{ name = \"deaf\"; rank = 2; net = { in_limit = \"20Mbit\"; }; }"

/* A class that limits only what no card can, and a card that refuses. */
static void test_vf_in_only(void)
{
	struct guest *g;
	const json_t *nic;
	json_t *list;

	open_stage(BENCH_POLICY("enforce", BENCH_BRONZE ", " DEAF));
	g = must(inventory_find(stage->s->b->running, "batch1"));
	g->nnics = 0;
	make_vf(g, "0000:3b:10.2");
	bench_meddle(stage->s->b, "batch1", TARGET_NIC, 0, KNOB_NET_IN, "max");
	bench_meddle(stage->s->b, "batch1", TARGET_NIC, 0, KNOB_NET_OUT, "max");
	bench_set_class(stage->s->b, "batch1", "deaf");
	bench_settle(stage->s->b);
	nic = nic_of(look("batch1", &list));
	CU_ASSERT(is_null(nic, "unshaped")); /* out: no limit */
	CU_ASSERT(strstr(text(nic, "in_unshaped"), "only what a virtual function sends") != NULL);
	json_decref(list);
	stage->s->b->fakes[ADAPTER_NET].fail[KNOB_NET_OUT] = -EINVAL;
	bench_set_class(stage->s->b, "batch1", "bronze");
	bench_settle(stage->s->b);
	nic = nic_of(look("batch1", &list));
	CU_ASSERT(strstr(text(nic, "unshaped"), "the host says Invalid argument") != NULL);
	json_decref(list);
	close_stage();
}

/* ---- capacity ---- */

#define UPLINKS                                                                                    \
	"mode = \"observe\";\nnetworks = ("                                                        \
	" { name = \"tenant\"; device = \"br0\"; uplink = \"bond0\"; },"                           \
	" { name = \"storage\"; device = \"bond0.7\"; uplink = \"bond0\"; rate = \"10Gbit\";"      \
	" reservation = \"4Gbit\"; },"                                                             \
	" { name = \"backup\"; device = \"br1\"; rate = \"1Gbit\"; },"                             \
	" { name = \"own\"; device = \"eth9\"; } );\n"                                             \
	"classes = ( { name = \"gold\"; rank = 0; net = { reservation = \"1Gbit\"; }; },"          \
	" { name = \"silver\"; rank = 1; net = { reservation = \"500Mbit\"; }; },"                 \
	" { name = \"bronze\"; rank = 2; net = { reservation = \"2Gbit\"; }; } );\n"               \
	"default_class = \"silver\";\n"

/* db1 (gold) and web1 (silver) on br0, batch1 (bronze) on br1. */
static struct bench *open_uplinks(void)
{
	struct bench *b = bench_three(UPLINKS);

	for (size_t i = 0; i < b->running->count; i++) {
		struct guest *g = b->running->guests[i];

		strcpy(g->nics[0].bridge, strcmp(g->name, "batch1") == 0 ? "br1" : "br0");
	}
	bench_publish(b);
	bench_settle(b);
	return b;
}

/* What networks on one uplink have is told with each of them; what is left is left once. */
static void test_capacity_of_uplinks(void)
{
	struct bench *b = open_uplinks();
	json_t *all = must(view_capacity(b->e)), *list = json_object_get(all, "networks");
	const json_t *tenant = json_array_get(list, 0), *storage = json_array_get(list, 1);
	const json_t *backup = json_array_get(list, 2), *own = json_array_get(list, 3);

	CU_ASSERT_EQUAL(json_array_size(list), 4);
	ASSERT_STR(text(tenant, "uplink"), "bond0");
	CU_ASSERT_EQUAL(number(tenant, "rate_bps"), 10e9); /* storage says so */
	CU_ASSERT_EQUAL(number(tenant, "host_bps"), 0);
	CU_ASSERT_EQUAL(number(tenant, "reserved_bps"), 1.5e9);
	CU_ASSERT_EQUAL(number(tenant, "free_bps"), 4.5e9);
	CU_ASSERT_EQUAL(number(storage, "host_bps"), 4e9);
	CU_ASSERT_EQUAL(number(storage, "reserved_bps"), 0);
	CU_ASSERT_EQUAL(number(storage, "free_bps"), 4.5e9);
	ASSERT_STR(text(backup, "uplink"), "br1");
	CU_ASSERT_EQUAL(number(backup, "reserved_bps"), 2e9);
	CU_ASSERT_EQUAL(number(backup, "free_bps"), 0); /* more is promised than there is */
	CU_ASSERT(is_null(own, "rate_bps") && is_null(own, "free_bps"));
	json_decref(all);
	bench_free(b);
}

/* ---- the daemon itself ---- */

static void test_status(void)
{
	json_t *status, *rung;
	const json_t *tick;
	double count = 0;
	size_t i;

	open_stage(BENCH_ENFORCE);
	storm_pass(stage->s, 5000000);
	stage->e->protection->rungs[OVERLOAD_RUNGS] += 2; /* two that took very long */
	stage->e->protection->ticks += 2;
	status = must(view_status(stage->e));
	tick = json_object_get(status, "tick");
	json_array_foreach (json_object_get(tick, "rungs"), i, rung) {
		count += number(rung, "count");
		if (i < OVERLOAD_RUNGS)
			CU_ASSERT_DOUBLE_EQUAL(number(rung, "up_to_s"), 16e-6 * (1 << i), 1e-9);
	}
	CU_ASSERT_EQUAL(i, OVERLOAD_RUNGS + 1);
	CU_ASSERT(
		is_null(json_array_get(json_object_get(tick, "rungs"), OVERLOAD_RUNGS), "up_to_s"));
	CU_ASSERT(count > 5);
	CU_ASSERT_EQUAL(number(tick, "count"), count);
	CU_ASSERT_EQUAL(number(status, "ticks"), count);
	CU_ASSERT_EQUAL(number(status, "written"), (double)stage->e->written);
	CU_ASSERT(stage->e->written > 0);
	CU_ASSERT_EQUAL(number(json_object_get(status, "episodes_begun"), "cpu"), 0);
	json_decref(status);
	close_stage();
}

static void test_episodes_begun(void)
{
	json_t *status;

	open_stage(STORM_POLICY("enforce"));
	storm_is_over(stage->s);
	storm_pass(stage->s, 3000000);
	storm_rages(stage->s);
	storm_pass(stage->s, 5000000);
	status = must(view_status(stage->e));
	CU_ASSERT_EQUAL(number(json_object_get(status, "episodes_begun"), "cpu"), 1);
	CU_ASSERT_EQUAL(number(json_object_get(status, "episodes_begun"), "net"), 0);
	json_decref(status);
	close_stage();
}

int main(void)
{
	static const struct test tests[] = {
		{ "CPU counters never fall", test_cpu_counters },
		{ "a brief list", test_brief },
		{ "a card: may, wants, gets", test_nic },
		{ "a card's counters begin anew", test_nic_counts_anew },
		{ "why a card is not shaped", test_why_unshaped },
		{ "why a card is not shaped: the host", test_why_unshaped_trouble },
		{ "a virtual function", test_vf },
		{ "a virtual function, limited only the other way", test_vf_in_only },
		{ "capacity of shared uplinks", test_capacity_of_uplinks },
		{ "counters since the start", test_status },
		{ "overloads that began", test_episodes_begun },
	};

	return harness_run("view", tests, ARRAY_SIZE(tests));
}
