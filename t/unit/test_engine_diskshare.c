/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test_engine_diskshare - host.disk in the engine: what reaches disks, and when; class limits,
 * throttles, hold, release, observe, restart and the lease. I/O is what a test says: each disk does
 * what it wants, up to what its knobs allow, and that is counted a second later.
 */
#include "qosd/daemon/storage.h"
#include "t/unit/overload_bench.h"

#define SECOND  UINT64_C(1000000)
#define SETTLED 12
#define IDS     8
#define DISKS   2 /* of each guest at the most */

#define DISK_POLICY(mode, host, bronze)                                                            \
	"mode = \"" mode "\";\nhost = { reserve = { memory = \"1GiB\"; cpus = \"0\"; }; " host     \
	"};\nclasses = ( { name = \"gold\"; rank = 0; disk = { floor_iops = 1; }; },"              \
	" { name = \"silver\"; rank = 1; disk = { weight = 300; floor_iops = 1; }; },"             \
	" { name = \"bronze\"; rank = 2; disk = { " bronze "floor_iops = 1; }; } );\n"             \
	"default_class = \"silver\";\n"
#define SHARED  "disk = { iops = 200; }; "
#define ENFORCE DISK_POLICY("enforce", SHARED, "")

struct rack { /* the host's storage */
	struct storm *storm;
	struct bench *b;
	uint64_t wants[IDS][DISKS], done[IDS][DISKS], shown[IDS][DISKS]; /* operations */
	unsigned int wanted; /* times that counts were asked for */
	bool silent;
};

static uint64_t rack_now(void *ctx)
{
	return ((struct rack *)ctx)->storm->now_us;
}

static void rack_want(void *ctx)
{
	((struct rack *)ctx)->wanted++;
}

static uint64_t rack_count(void *ctx, const struct guest *g, uint32_t disk,
			   uint64_t ret[DISKSHARE_UNITS])
{
	const struct rack *r = ctx;

	ret[DISKSHARE_IOPS] = r->shown[g->id][disk];
	ret[DISKSHARE_BPS] = r->shown[g->id][disk] * 4096;
	return r->silent ? 0 : r->storm->now_us;
}

static void attach(struct rack *r)
{
	struct storage_source source = {
		.ctx = r, .now_us = rack_now, .want = rack_want, .count = rack_count
	};

	storage_set_source(r->b->e->storage, &source);
}

static uint64_t knob_of(struct rack *r, const char *name, uint32_t disk, enum knob_id knob)
{
	const char *text = bench_value(r->b, name, TARGET_DISK, disk, knob);

	return strcmp(text, "max") == 0 ? 1000000 : strtoull(text, NULL, 10);
}

/* What the knobs of a disk allow now. */
static uint64_t allowed(struct rack *r, const char *name, uint32_t disk)
{
	uint64_t both = knob_of(r, name, disk, KNOB_DISK_READ_IOPS) +
			knob_of(r, name, disk, KNOB_DISK_WRITE_IOPS);
	uint64_t total = knob_of(r, name, disk, KNOB_DISK_TOTAL_IOPS);

	return both < total ? both : total;
}

static bool is_free(struct rack *r, const char *name)
{
	return allowed(r, name, 0) == 1000000;
}

static void serve(struct rack *r)
{
	memcpy(r->shown, r->done, sizeof(r->shown));
	for (size_t i = 0; i < r->b->running->count; i++) {
		const struct guest *g = r->b->running->guests[i];

		for (uint32_t k = 0; k < g->ndisks; k++) {
			uint64_t may = allowed(r, g->name, k), wants = r->wants[g->id][k];

			r->done[g->id][k] += wants < may ? wants : may;
		}
	}
}

static void pass(struct rack *r, unsigned int seconds)
{
	for (; seconds; seconds--) {
		serve(r);
		storm_pass(r->storm, SECOND);
	}
}

static struct guest *add(struct bench *b, const char *name, uint32_t id, const char *class_name,
			 uint32_t ndisks)
{
	struct guest *g = bench_guest(b, name, id, 1, GIB, class_name);

	g->disks = must(calloc(ndisks, sizeof(*g->disks)));
	g->ndisks = ndisks;
	for (uint32_t k = 0; k < ndisks; k++) {
		snprintf(g->disks[k].target, sizeof(g->disks[k].target), "vd%c", 'a' + (char)k);
		g->disks[k].fixed = true;
	}
	return g;
}

static struct rack *rack_new(const char *policy)
{
	struct rack *r = must(calloc(1, sizeof(*r)));
	struct bench *b = bench_new(policy);

	r->b = b;
	add(b, "db", 1, "gold", 1);
	add(b, "web", 2, "silver", 1);
	add(b, "batch", 3, "bronze", 1);
	r->storm = storm_new(b);
	attach(r);
	bench_publish(b);
	bench_settle(b);
	bench_pass(b, BENCH_GROWN_US);
	pass(r, 3);
	return r;
}

/* Silver and bronze take all that they can get, until the parts stand. */
static struct rack *rack_contended(const char *policy)
{
	struct rack *r = rack_new(policy);

	r->wants[2][0] = r->wants[3][0] = 1000;
	pass(r, SETTLED);
	return r;
}

static void rack_free(struct rack *r)
{
	storm_free(r->storm);
	free(r);
}

static void assert_about(uint64_t value, uint64_t wanted)
{
	CU_ASSERT(value * 100 >= wanted * 90 && value * 100 <= wanted * 110);
	if (value * 100 < wanted * 90 || value * 100 > wanted * 110)
		fprintf(stderr, "# %lu is not %lu\n", (unsigned long)value, (unsigned long)wanted);
}

static const char *reason(struct rack *r, const char *name, enum knob_id knob, char *buf)
{
	const struct guest *g = must(inventory_find(r->b->running, name));
	struct target t = { .kind = TARGET_DISK, .guest_id = g->id, .guest = g };
	const struct plan_entry *e = plan_find(r->b->e->picture->plan, &t, knob);

	return e ? reason_format(&e->why, buf, REASON_TEXT_MAX) : "";
}

/* ---- tests ---- */

static void test_fits(void)
{
	struct rack *r = rack_new(ENFORCE);
	uint64_t written = r->b->e->written;

	r->wants[2][0] = r->wants[3][0] = 70;
	pass(r, SETTLED);
	CU_ASSERT(is_free(r, "web") && is_free(r, "batch"));
	CU_ASSERT_EQUAL(r->b->e->written, written);
	CU_ASSERT(r->wanted > 0);
	rack_free(r);
}

static void test_not_configured(void)
{
	struct rack *r = rack_contended(DISK_POLICY("enforce", "", ""));

	CU_ASSERT(is_free(r, "web") && is_free(r, "batch"));
	CU_ASSERT_EQUAL(r->wanted, 0); /* nothing is read, either */
	rack_free(r);
}

static void test_contended(void)
{
	struct rack *r = rack_contended(ENFORCE);
	char why[REASON_TEXT_MAX];
	unsigned int writes;
	uint64_t ticks;

	assert_about(allowed(r, "web", 0), 150);
	assert_about(allowed(r, "batch", 0), 50);
	CU_ASSERT(is_free(r, "db"));
	CU_ASSERT_EQUAL(allowed(r, "web", 0) + allowed(r, "batch", 0), 200);
	ASSERT_STR(reason(r, "web", KNOB_DISK_TOTAL_IOPS, why),
		   "class silver: share of host.disk: 150 operations a second of 200 (weight 300)");
	ASSERT_STR(reason(r, "web", KNOB_DISK_READ_IOPS, why), "class silver: no limit of its own");
	writes = r->b->fakes[ADAPTER_LIBVIRT].writes;
	ticks = r->b->e->protection->ticks;
	pass(r, 20);
	CU_ASSERT_EQUAL(r->b->fakes[ADAPTER_LIBVIRT].writes, writes);
	CU_ASSERT(r->b->e->protection->ticks >= ticks + 20);
	/* Rank 0 has its weight, and no more than that. */
	r->wants[1][0] = 1000;
	pass(r, SETTLED);
	assert_about(allowed(r, "db", 0), 40);
	assert_about(allowed(r, "web", 0), 120);
	assert_about(allowed(r, "batch", 0), 40);
	/* What it waits for then is its own part, and no reason to throttle others. */
	CU_ASSERT_EQUAL(r->b->e->protection->guests[0].disk_full_iops, allowed(r, "db", 0));
	CU_ASSERT_EQUAL(r->b->e->protection->guests[0].disk_full_bytes_ps, THROTTLE_NONE);
	bench_drift(r->b); /* all of it holds */
	CU_ASSERT_EQUAL(r->b->e->repaired, 0);
	rack_free(r);
}

static void test_end(void)
{
	struct rack *r = rack_contended(ENFORCE);

	CU_ASSERT(picture_throttles(r->b->e->picture));
	CU_ASSERT(bench_row(r->b, "web")->capped);
	memset(r->wants, 0, sizeof(r->wants));
	pass(r, SETTLED);
	CU_ASSERT(is_free(r, "web") && is_free(r, "batch"));
	CU_ASSERT(!picture_throttles(r->b->e->picture));
	CU_ASSERT(!bench_row(r->b, "web")->capped);
	bench_turn(r->b);
	for (size_t i = 0; i < baseline_count(r->b->e->baseline); i++)
		CU_ASSERT_NOT_EQUAL(baseline_at(r->b->e->baseline, i)->knob, KNOB_DISK_TOTAL_IOPS);
	rack_free(r);
}

/* The lower of limit and part holds; what a limited guest cannot use is the others'. */
static void test_class_limit(void)
{
	struct rack *r = rack_contended(
		DISK_POLICY("enforce", SHARED, "weight = 900; read_iops = 10; write_iops = 20; "));
	char why[REASON_TEXT_MAX];

	CU_ASSERT_EQUAL(allowed(r, "batch", 0), 30);
	ASSERT_STR(reason(r, "batch", KNOB_DISK_READ_IOPS, why),
		   "class bronze: limit 10 reads a second");
	assert_about(allowed(r, "web", 0), 170);
	rack_free(r);
}

/* An overload takes more: its cap holds, and the others have what that leaves. */
static void test_throttle(void)
{
	struct rack *r = rack_contended(ENFORCE);
	struct qerr err = { 0 };
	char why[REASON_TEXT_MAX];

	CU_ASSERT_EQUAL(engine_throttle(r->b->e, "bronze", RESOURCE_DISK, 0, 1000 * SECOND, &err),
			0);
	pass(r, SETTLED);
	CU_ASSERT_EQUAL(allowed(r, "batch", 0), 1); /* its floor */
	ASSERT_STR(reason(r, "batch", KNOB_DISK_TOTAL_IOPS, why),
		   "class bronze: throttled to 1 operations a second, level 0 of 1000");
	assert_about(allowed(r, "web", 0), 199);
	rack_free(r);
}

/* A limit that a disk had before qosd is not widened by a part. */
static void test_own_limit(void)
{
	struct rack *r = rack_new(ENFORCE);

	bench_meddle(r->b, "batch", TARGET_DISK, 0, KNOB_DISK_TOTAL_IOPS, "30");
	r->wants[2][0] = r->wants[3][0] = 1000;
	pass(r, SETTLED);
	CU_ASSERT_EQUAL(allowed(r, "batch", 0), 30);
	assert_about(allowed(r, "web", 0), 170);
	r->wants[1][0] = 1000;
	pass(r, SETTLED);
	CU_ASSERT(allowed(r, "batch", 0) <= 30);
	memset(r->wants, 0, sizeof(r->wants));
	pass(r, SETTLED);
	CU_ASSERT_EQUAL(allowed(r, "batch", 0), 30);
	rack_free(r);
}

/* Each disk has a part of its own: one that rests leaves its part to the busy one. */
static void test_two_disks(void)
{
	struct rack *r = rack_new(ENFORCE);

	add(r->b, "two", 4, "bronze", 2);
	bench_publish(r->b);
	storm_settle(r->b);
	r->wants[3][0] = r->wants[4][0] = 1000;
	pass(r, SETTLED);
	assert_about(allowed(r, "batch", 0), 100);
	assert_about(allowed(r, "two", 0), 100);
	CU_ASSERT_EQUAL(allowed(r, "two", 1), 1000000);
	r->wants[4][1] = 1000;
	pass(r, SETTLED);
	assert_about(allowed(r, "batch", 0), 67);
	assert_about(allowed(r, "two", 0), 67);
	assert_about(allowed(r, "two", 1), 67);
	rack_free(r);
}

static void test_observe(void)
{
	struct rack *r = rack_contended(DISK_POLICY("observe", SHARED, ""));
	char why[REASON_TEXT_MAX];

	CU_ASSERT(is_free(r, "web") && is_free(r, "batch"));
	CU_ASSERT_EQUAL(r->b->e->written, 0);
	CU_ASSERT_PTR_NOT_NULL(strstr(reason(r, "batch", KNOB_DISK_TOTAL_IOPS, why),
				      "class bronze: share of host.disk: "));
	rack_free(r);
}

static void test_hold(void)
{
	struct rack *r = rack_contended(ENFORCE);

	bench_row(r->b, "batch")->hold_until_s = (uint64_t)time(NULL) + 1000;
	pass(r, 3);
	CU_ASSERT(is_free(r, "batch")); /* what holds it back goes first */
	CU_ASSERT_FALSE(bench_row(r->b, "batch")->capped);
	CU_ASSERT(!is_free(r, "web"));
	rack_free(r);
}

static void test_release(void)
{
	struct rack *r = rack_contended(ENFORCE);
	struct qerr err = { 0 };

	CU_ASSERT_EQUAL(engine_release(r->b->e, NULL, &err), 0);
	bench_settle(r->b);
	pass(r, 3);
	CU_ASSERT(is_free(r, "web") && is_free(r, "batch"));
	rack_free(r);
}

static void test_reload(void)
{
	struct rack *r = rack_contended(ENFORCE);
	struct diag_list findings = { 0 };
	struct qerr err = { 0 };

	write_text(r->b->config_path,
		   DISK_POLICY("enforce", "disk = { iops = 400; }; ", "weight = 300; "));
	CU_ASSERT_EQUAL(engine_reload(r->b->e, NULL, &findings, &err), 0);
	pass(r, SETTLED);
	assert_about(allowed(r, "web", 0), 200);
	assert_about(allowed(r, "batch", 0), 200);
	write_text(r->b->config_path, DISK_POLICY("enforce", "", ""));
	CU_ASSERT_EQUAL(engine_reload(r->b->e, NULL, &findings, &err), 0);
	storm_settle(r->b);
	CU_ASSERT(is_free(r, "web") && is_free(r, "batch"));
	pass(r, 3);
	CU_ASSERT(is_free(r, "web") && is_free(r, "batch"));
	diag_clear(&findings);
	rack_free(r);
}

/* libvirt tells nothing any more: what is in force stays. */
static void test_silence(void)
{
	struct rack *r = rack_contended(ENFORCE);
	uint64_t written = r->b->e->written, web = allowed(r, "web", 0);

	r->silent = true;
	pass(r, 30);
	CU_ASSERT_EQUAL(r->b->e->written, written);
	CU_ASSERT_EQUAL(allowed(r, "web", 0), web);
	rack_free(r);
}

/* ---- over the daemon's end ---- */

static void attach_lease(struct rack *r)
{
	struct protection *p = r->b->e->protection;
	struct qerr err = { 0 };

	if (lease_open(r->b->state_dir, &p->lease, &err) < 0)
		abort();
	lease_take_over(p->lease, engine_now_us(r->b->e));
}

static bool leased(const struct rack *r)
{
	return r->b->e->protection->lease->header->state == LEASE_HELD;
}

static struct rack *rack_leased(void)
{
	struct rack *r = rack_new(ENFORCE);

	attach_lease(r);
	r->wants[2][0] = r->wants[3][0] = 1000;
	pass(r, SETTLED);
	return r;
}

static void test_lease(void)
{
	struct rack *r = rack_leased();
	size_t len;
	char *text;

	CU_ASSERT(leased(r) && !is_free(r, "web"));
	text = must(lease_read(r->b->e->protection->lease, &len));
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "disk.total_iops max"));
	free(text);
	memset(r->wants, 0, sizeof(r->wants));
	pass(r, SETTLED);
	CU_ASSERT(!leased(r) && is_free(r, "web"));
	r->wants[2][0] = r->wants[3][0] = 1000;
	pass(r, SETTLED);
	CU_ASSERT(leased(r) && !is_free(r, "web"));
	overload_stand_down(r->b->e); /* it stops */
	storm_settle(r->b);
	CU_ASSERT(is_free(r, "web") && is_free(r, "batch"));
	CU_ASSERT(!leased(r));
	rack_free(r);
}

/* kill -9: the next daemon goes on with the same parts. */
static void test_restart(void)
{
	struct rack *r = rack_leased();
	uint64_t web = allowed(r, "web", 0), batch = allowed(r, "batch", 0), written;

	bench_kill(r->b);
	bench_boot(r->b);
	storm_attach(r->storm);
	attach_lease(r);
	attach(r);
	written = r->b->e->written;
	bench_publish(r->b);
	bench_settle(r->b);
	CU_ASSERT_EQUAL(r->b->e->written, written);
	CU_ASSERT_EQUAL(allowed(r, "web", 0), web);
	CU_ASSERT_EQUAL(allowed(r, "batch", 0), batch);
	CU_ASSERT(leased(r));
	pass(r, SETTLED);
	CU_ASSERT_EQUAL(allowed(r, "web", 0), web);
	memset(r->wants, 0, sizeof(r->wants));
	pass(r, SETTLED);
	CU_ASSERT(is_free(r, "web") && is_free(r, "batch"));
	rack_free(r);
}

int main(void)
{
	static const struct test tests[] = {
		{ "what fits is left alone", test_fits },
		{ "without host.disk", test_not_configured },
		{ "contended: by weight, written once", test_contended },
		{ "all is given back when it is over", test_end },
		{ "limits of the class", test_class_limit },
		{ "throttles", test_throttle },
		{ "limits of before qosd", test_own_limit },
		{ "two disks", test_two_disks },
		{ "observe writes nothing", test_observe },
		{ "hold", test_hold },
		{ "release", test_release },
		{ "another policy", test_reload },
		{ "nothing is counted any more", test_silence },
		{ "parts are leased", test_lease },
		{ "parts survive kill -9", test_restart },
	};

	return harness_run("engine diskshare", tests, ARRAY_SIZE(tests));
}
