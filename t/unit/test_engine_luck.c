/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test_engine_luck - some hundred things that operators, guests, workers and the host do in any
 * order while guests are throttled. Whatever it was: when all is quiet again each guest has what
 * its class says, and after a release the host is as it was before qosd.
 */
#include "qosd/daemon/trial.h"
#include "t/unit/overload_bench.h"

#define S      UINT64_C(1000000)
#define SEEDS  30
#define STEPS  120
#define GUESTS 6

#define LUCK_POLICY(classes)                                                                       \
	"mode = \"enforce\";\nhost = { reserve = { memory = \"1GiB\"; cpus = \"0\"; }; };\n"       \
	"classes = ( { name = \"gold\"; rank = 0; }, " classes " );\n"                             \
	"default_class = \"gold\";\n"
#define SILVER                                                                                     \
	"{ name = \"silver\"; rank = 1; cpu = { weight = 200; }; net = { limit = \"1Gbit\"; }; }"
#define BRONZE "{ name = \"bronze\"; rank = 2; cpu = { limit = \"150%\"; }; }"
#define SLOW   "{ name = \"bronze\"; rank = 2; disk = { total_iops = 300; }; }"
#define IRON   "{ name = \"iron\"; rank = 3; }"

static const char *const policies[] = {
	LUCK_POLICY(SILVER ", " BRONZE), /* the first is the last */
	LUCK_POLICY(BRONZE ", " SILVER), LUCK_POLICY(SILVER),
	LUCK_POLICY(SILVER ", " SLOW),   LUCK_POLICY(IRON ", " SILVER ", " BRONZE),
};

static const char *const classes[] = { "gold", "silver", "bronze" };

struct luck {
	struct storm *s;
	struct bench *b;
	uint64_t seed;
	uint32_t next_id;
	struct qerr err; /* of what was refused */
};

static uint32_t any(struct luck *l, uint32_t n)
{
	return next_random(&l->seed) % n;
}

/* ---- guests ---- */

static void add_disk(struct guest *g, const char *target)
{
	g->disks = must(realloc(g->disks, (g->ndisks + 1) * sizeof(*g->disks)));
	memset(&g->disks[g->ndisks], 0, sizeof(*g->disks));
	strcpy(g->disks[g->ndisks].target, target);
	g->disks[g->ndisks++].fixed = true;
}

static void start_guest(struct luck *l, unsigned int n)
{
	char name[16];

	snprintf(name, sizeof(name), "web%u", n);
	add_disk(bench_guest(l->b, name, l->next_id++, 2, GIB, classes[any(l, 3)]), "vda");
}

static const struct guest *any_guest(struct luck *l)
{
	return l->b->running->guests[any(l, (uint32_t)l->b->running->count)];
}

static void restart_guest(struct luck *l)
{
	unsigned int n = any(l, GUESTS);
	char name[16];

	snprintf(name, sizeof(name), "web%u", n);
	bench_stop(l->b, name);
	if (any(l, 2)) { /* seen without it */
		bench_publish(l->b);
		bench_settle(l->b);
	}
	start_guest(l, n);
	bench_publish(l->b);
}

/* What is plugged in later is another device. */
static void unplug(struct luck *l, struct guest *g)
{
	struct target t = { .guest_id = g->id, .guest = g };

	g->nnics = g->ndisks = 1;
	for (t.index = 1; t.index < 3; t.index++) {
		for (int knob = 0; knob < KNOB_COUNT; knob++) {
			t.kind = knob_get((enum knob_id)knob)->targets & 1 << TARGET_NIC
					 ? TARGET_NIC
					 : TARGET_DISK;
			world_set(&l->b->world, &t, (enum knob_id)knob,
				  world_default(&l->b->world, (enum knob_id)knob));
		}
	}
}

static void plug(struct luck *l)
{
	struct guest *g = must(guest_with_class(any_guest(l), classes[any(l, 3)]));
	char device[GUEST_DEVICE_MAX];

	if (g->nnics < 3) {
		snprintf(device, sizeof(device), "tap%u.%zu", g->id, g->nnics);
		make_nic(g, device, 1000 + 10 * g->id + (uint32_t)g->nnics);
		add_disk(g, g->nnics == 2 ? "vdb" : "vdc");
	} else {
		unplug(l, g);
	}
	if (inventory_replace(l->b->running, g) < 0)
		abort();
	guest_unref(g);
	bench_publish(l->b);
}

/* ---- the operator ---- */

static void reload(struct luck *l, unsigned int which)
{
	struct diag_list findings = { 0 };

	write_text(l->b->config_path, policies[which]);
	(void)engine_reload(l->b->e, NULL, &findings, &l->err);
	diag_clear(&findings);
}

static void try_policy(struct luck *l)
{
	struct diag_list findings = { 0 };

	if (l->b->e->trial) {
		if (any(l, 2))
			(void)engine_confirm(l->b->e, &l->err);
		else
			trial_undo(l->b->e, "of bad luck");
		return;
	}
	write_text(l->b->config_path, policies[any(l, ARRAY_SIZE(policies))]);
	(void)engine_try(l->b->e, NULL, 500, 600 * S, &findings, &l->err);
	diag_clear(&findings);
}

static void throttle(struct luck *l)
{
	(void)engine_throttle(l->b->e, classes[1 + any(l, 2)],
			      (enum resource)any(l, RESOURCE_COUNT), 100 * any(l, 11),
			      any(l, 30) * S, &l->err);
}

static void hold(struct luck *l)
{
	struct guest_row *row = bench_row(l->b, any_guest(l)->name);

	row->hold_until_s = row->hold_until_s ? 0 : (uint64_t)time(NULL) + 600;
	engine_mark(l->b->e);
}

/* ---- the host ---- */

static void storm(struct luck *l, bool rages)
{
	for (size_t i = 0; i < l->b->running->count; i++)
		l->s->loads[l->b->running->guests[i]->id] =
			rages ? (struct storm_load){ 1.5, 0.5 } : (struct storm_load){ 0.2, 0 };
}

static void workers(struct luck *l)
{
	struct fake *f = &l->b->fakes[any(l, ADAPTER_COUNT)];
	static const int errors[] = { 0, 0, -EIO, -EBUSY, -EAGAIN, -ESRCH };

	f->async = any(l, 2);
	f->fail[any(l, KNOB_COUNT)] = errors[any(l, ARRAY_SIZE(errors))];
	f->fail_read[any(l, KNOB_COUNT)] = errors[any(l, ARRAY_SIZE(errors))];
	l->s->fail = any(l, 8) ? 0 : -ENOMEM;
}

static void all_well(struct luck *l)
{
	for (size_t i = 0; i < ADAPTER_COUNT; i++) {
		struct fake *f = &l->b->fakes[i];

		f->async = f->refuse = false;
		memset(f->fail, 0, sizeof(f->fail));
		memset(f->fail_read, 0, sizeof(f->fail_read));
	}
	l->s->fail = 0;
	storm(l, false);
}

static void attach(struct luck *l)
{
	struct protection *p = l->b->e->protection;

	storm_attach(l->s);
	if (lease_open(l->b->state_dir, &p->lease, NULL) < 0)
		abort();
	lease_take_over(p->lease, engine_now_us(l->b->e));
}

static void kill_daemon(struct luck *l)
{
	bench_kill(l->b);
	bench_boot(l->b);
	attach(l);
	bench_publish(l->b);
}

/* ---- any of it ---- */

static void step(struct luck *l)
{
	struct engine *e = l->b->e;

	switch (any(l, 16)) {
	case 0:
	case 1:
		storm(l, any(l, 2));
		break;
	case 2:
	case 3:
	case 4:
		throttle(l);
		break;
	case 5:
		hold(l);
		break;
	case 6:
		(void)engine_release(e, any_guest(l), &l->err);
		break;
	case 7:
		if (any(l, 3) == 0)
			(void)engine_release(e, NULL, &l->err);
		(void)engine_set_mode(e, MODE_ENFORCE, &l->err);
		break;
	case 8:
		(void)engine_set_mode(e, any(l, 2) ? MODE_OBSERVE : MODE_ENFORCE, &l->err);
		break;
	case 9:
		bench_set_class(l->b, any_guest(l)->name, classes[any(l, 3)]);
		break;
	case 10:
		restart_guest(l);
		break;
	case 11:
		plug(l);
		break;
	case 12:
		reload(l, any(l, ARRAY_SIZE(policies)));
		break;
	case 13:
		try_policy(l);
		break;
	case 14:
		workers(l);
		break;
	default:
		if (any(l, 4) == 0)
			kill_daemon(l);
	}
	/* Workers answer now or later; a drift check may come in between. */
	if (any(l, 2))
		(void)bench_deliver(l->b, (enum adapter_id)any(l, ADAPTER_COUNT));
	l->s->now_us += TICK_US * any(l, 8);
	overload_tick(l->b->e);
	if (any(l, 8) == 0)
		bench_drift(l->b);
	if (any(l, 3) == 0)
		storm_pass(l->s, any(l, 3) * S);
}

/* ---- what must hold ---- */

static void quiet(struct luck *l)
{
	struct engine *e = l->b->e;

	all_well(l);
	if (e->trial)
		trial_undo(e, "of bad luck");
	reload(l, 0);
	for (size_t i = 0; i < e->guests.count; i++)
		e->guests.rows[i].hold_until_s = 0;
	(void)engine_set_mode(e, MODE_OBSERVE,
			      NULL); /* so that all that was released is taken back */
	(void)engine_set_mode(e, MODE_ENFORCE, &l->err);
	while (e->protection->nmanual)
		(void)engine_throttle(e, e->protection->manual[0].class_name,
				      (enum resource)e->protection->manual[0].resource, 1000, 0,
				      NULL);
	storm_pass(l->s, 300 * S);
	bench_pass(l->b, 120 * S);
	bench_drift(l->b);
	bench_settle(l->b);
	storm_pass(l->s, 3 * S);
}

static bool has_target(const struct target *t, enum knob_id knob)
{
	if (!(knob_get(knob)->targets >> t->kind & 1) || t->kind == TARGET_CGROUP)
		return false;
	return (t->kind != TARGET_NIC || t->index < t->guest->nnics) &&
	       (t->kind != TARGET_DISK || t->index < t->guest->ndisks);
}

/* Values of a guest that are not as before qosd. */
static size_t changed_values(struct luck *l, const struct guest *g)
{
	char target[TARGET_TEXT_MAX], value[KNOB_TEXT_MAX];
	size_t n = 0;

	for (uint32_t k = 0; k < KNOB_COUNT * 32; k++) {
		enum knob_id knob = (enum knob_id)(k / 32);
		struct target t = {
			.kind = (uint8_t)(k % 8), .index = k / 8 % 4, .guest_id = g->id, .guest = g
		};
		struct knob_value is = world_get(&l->b->world, &t, knob),
				  was = world_default(&l->b->world, knob);

		if (!has_target(&t, knob) || knob_holds(knob, &was, &is))
			continue;
		fprintf(l->b->real_stderr, "%s %s is %s\n",
			target_format(&t, target, sizeof(target)), knob_get(knob)->name,
			knob_value_format(&is, value, sizeof(value)));
		n++;
	}
	return n;
}

static size_t all_changed_values(struct luck *l)
{
	size_t n = 0;

	for (size_t i = 0; i < l->b->running->count; i++)
		n += changed_values(l, l->b->running->guests[i]);
	return n;
}

/* Values that wait to be given back to guests that run. */
static size_t passing_baselines(struct luck *l)
{
	size_t n = 0;

	(void)baseline_retain(l->b->e->baseline, l->b->e->inventory);
	for (size_t i = 0; i < baseline_count(l->b->e->baseline); i++)
		n += knob_get(baseline_at(l->b->e->baseline, i)->knob)->passing;
	return n;
}

static bool quiet_is_right(struct luck *l)
{
	bool right;

	quiet(l);
	right = !l->b->e->picture->caps && bench_unmet(l->b) == 0 && passing_baselines(l) == 0 &&
		l->b->e->protection->lease->header->state == LEASE_FREE;
	if (!right)
		fprintf(l->b->real_stderr, "quiet: caps %d unmet %zu passing %zu lease %d\n",
			l->b->e->picture->caps != NULL, bench_unmet(l->b), passing_baselines(l),
			(int)l->b->e->protection->lease->header->state);
	(void)engine_release(l->b->e, NULL, &l->err);
	bench_settle(l->b);
	bench_pass(l->b, 120 * S);
	return right && all_changed_values(l) == 0 && !engine_releasing(l->b->e);
}

static bool one_run(uint64_t seed)
{
	struct luck l = { .b = bench_new(policies[0]), .seed = seed, .next_id = 1 };
	bool right;

	l.b->world.keep_log = false;
	l.s = storm_new(l.b);
	attach(&l);
	for (unsigned int n = 0; n < GUESTS; n++)
		start_guest(&l, n);
	bench_publish(l.b);
	bench_settle(l.b);
	for (unsigned int i = 0; i < STEPS; i++)
		step(&l);
	right = quiet_is_right(&l);
	storm_free(l.s);
	return right;
}

static void test_luck(void)
{
	for (uint64_t seed = 1; seed <= SEEDS; seed++) {
		bool right = one_run(seed);

		CU_ASSERT(right);
		if (!right)
			fprintf(stderr, "seed %llu\n", (unsigned long long)seed);
	}
}

static const struct test tests[] = {
	{ "whatever happens, all is given back", test_luck },
};

int main(void)
{
	return harness_run("engine luck", tests, ARRAY_SIZE(tests));
}
