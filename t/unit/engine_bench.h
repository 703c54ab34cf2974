/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * engine_bench - the daemon's engine on a fake host: no libvirt, no root, no waiting.
 *
 * Time passes only when a test says so (bench_pass), and a turn is made only when the engine asked
 * for one (bench_settle) or the test makes it (bench_turn). What the daemon logs goes to a string.
 */
#ifndef QOSD_T_ENGINE_BENCH_H
#define QOSD_T_ENGINE_BENCH_H

#include <ftw.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include "qosd/daemon/engine.h"
#include "t/unit/fake_host.h"
#include "t/unit/harness.h"

/* ---- the engine on it ---- */

struct bench {
	char dir[32], state_dir[64], config_path[64], baseline_path[96];
	bool observe; /* --observe */
	struct host *(*make_host)(void);
	struct world world;
	struct fake fakes[ADAPTER_COUNT];
	struct inventory *running; /* guests of the host */
	struct engine *e;
	FILE *real_stderr;
	char *log; /* of the daemon */
	size_t log_size;
	char text[KNOB_TEXT_MAX];
};

/* gold owns cores and memory, silver is protected, bronze is limited. */
#define BENCH_GOLD                                                                                 \
	"{ name = \"gold\"; rank = 0; cpu = { placement = \"dedicated\"; weight = 400; };"         \
	" memory = { reservation = \"100%\"; overhead = \"0%\"; swap = \"none\"; }; }"
#define BENCH_SILVER                                                                               \
	"{ name = \"silver\"; rank = 1; cpu = { weight = 200; }; memory = { low = \"50%\"; }; }"
#define BENCH_BRONZE_LIMIT(limit, rate)                                                            \
	"{ name = \"bronze\"; rank = 2; cpu = { placement = \"shared\"; limit = \"" limit          \
	"\"; weight = 50; }; memory = { reservation = \"50%\"; overhead = \"0%\"; };"              \
	" net = { limit = \"" rate "\"; }; }"
#define BENCH_POLICY(mode, bronze)                                                                 \
	"mode = \"" mode "\";\nhost = { reserve = { memory = \"1GiB\"; cpus = \"0\"; }; };\n"      \
	"classes = ( " BENCH_GOLD ", " BENCH_SILVER ", " bronze " );\n"                            \
	"default_class = \"silver\";\n"
#define BENCH_BRONZE  BENCH_BRONZE_LIMIT("50%", "20Mbit")
#define BENCH_ENFORCE BENCH_POLICY("enforce", BENCH_BRONZE)
#define BENCH_OBSERVE BENCH_POLICY("observe", BENCH_BRONZE)

static inline void write_text(const char *path, const char *text)
{
	FILE *f = must(fopen(path, "we"));

	fputs(text, f);
	fclose(f);
}

/* The daemon starts (again) on the same host. */
static inline void bench_boot(struct bench *b)
{
	struct engine_options options = { .config_path = b->config_path,
					  .state_dir = b->state_dir,
					  .observe = b->observe };
	struct qerr err = { 0 };

	if (engine_new_bare(&options, b->make_host(), &b->e, &err) < 0) {
		fflush(stderr);
		fprintf(b->real_stderr, "%s%s\n", b->log, err.text);
		abort();
	}
	b->world.online = b->e->host->online;
	for (size_t i = 0; i < ADAPTER_COUNT; i++) {
		struct fake *f = &b->fakes[i];

		f->adapter = (struct adapter){ .ops = &fake_ops, .ctx = f };
		f->world = &b->world;
		f->writing = engine_enforcing(b->e) || b->e->giving_back;
		b->e->adapters[i] = &f->adapter;
	}
}

/* kill -9, as far as values and files are concerned: what is in flight never comes back. */
static inline void bench_kill(struct bench *b)
{
	for (size_t i = 0; i < ADAPTER_COUNT; i++) {
		for (size_t k = 0; k < b->fakes[i].njobs; k++)
			guest_unref((struct guest *)b->fakes[i].jobs[k].target.guest);
		b->fakes[i].njobs = 0;
		b->e->adapters[i] = NULL; /* ours */
	}
	engine_free(TAKE_PTR(b->e));
}

static inline struct host *bench_small_host(void)
{
	return host_regular(1, 8, 1, 16 * GIB);
}

static inline struct bench *bench_new_on(const char *policy, struct host *(*make_host)(void),
					 size_t ncells)
{
	struct bench *b = must(calloc(1, sizeof(*b)));

	snprintf(b->dir, sizeof(b->dir), "/tmp/qosd-engine-XXXXXX");
	must(mkdtemp(b->dir));
	snprintf(b->state_dir, sizeof(b->state_dir), "%s/state", b->dir);
	snprintf(b->config_path, sizeof(b->config_path), "%s/qosd.conf", b->dir);
	snprintf(b->baseline_path, sizeof(b->baseline_path), "%s/baseline", b->state_dir);
	write_text(b->config_path, policy);
	b->make_host = make_host;
	b->world.ncells = ncells;
	b->world.cells = must(calloc(ncells, sizeof(*b->world.cells)));
	b->world.baseline_path = b->baseline_path;
	b->running = must(inventory_new(0));
	b->real_stderr = stderr;
	stderr = must(open_memstream(&b->log, &b->log_size)); /* a variable in glibc */
	bench_boot(b);
	return b;
}

static inline struct bench *bench_new(const char *policy)
{
	struct bench *b = bench_new_on(policy, bench_small_host, 1 << 12);

	b->world.keep_log = true;
	return b;
}

static inline int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

/* What a failed assertion said went into the daemon's log: show those lines. */
static inline void bench_show_failures(struct bench *b)
{
	fclose(stderr);
	stderr = b->real_stderr;
	for (char *line = strtok(b->log, "\n"); line; line = strtok(NULL, "\n"))
		if (strncmp(line, "qosd: ", 6) != 0)
			fprintf(stderr, "%s\n", line);
	free(b->log);
}

static inline void bench_free(struct bench *b)
{
	bench_kill(b);
	bench_show_failures(b);
	for (size_t i = 0; i < ADAPTER_COUNT; i++)
		free(b->fakes[i].jobs);
	inventory_free(b->running);
	free(b->world.cells);
	free(b->world.log);
	(void)nftw(b->dir, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
	free(b);
}

/* ---- guests come and go ---- */

static inline void bench_publish(struct bench *b)
{
	engine_take_inventory(b->e, must(inventory_copy(b->running)));
}

static inline struct guest *bench_guest(struct bench *b, const char *name, uint32_t id,
					uint32_t vcpus, uint64_t memory_bytes,
					const char *class_name)
{
	struct guest *g = make_guest(name, id, vcpus, memory_bytes);
	char device[GUEST_DEVICE_MAX];

	g->pid = 0x70000000 + (int)id; /* beyond any process */
	set_text(&g->class_name, class_name);
	snprintf(device, sizeof(device), "vnet%u", id);
	make_nic(g, device, 100 + id);
	return add_guest(b->running, g);
}

static inline void bench_stop(struct bench *b, const char *name)
{
	struct inventory *rest = must(inventory_new(0));

	for (size_t i = 0; i < b->running->count; i++)
		if (strcmp(b->running->guests[i]->name, name) != 0 &&
		    inventory_add(rest, b->running->guests[i]) < 0)
			abort();
	inventory_free(b->running);
	b->running = rest;
}

/* Its metadata names another class. */
static inline void bench_set_class(struct bench *b, const char *name, const char *class_name)
{
	struct guest *old = must(inventory_find(b->running, name));
	struct guest *g = must(guest_with_class(old, class_name));

	if (inventory_replace(b->running, g) < 0)
		abort();
	guest_unref(g);
	bench_publish(b);
}

static inline struct guest_row *bench_row(struct bench *b, const char *name)
{
	const struct guest *g = must(inventory_find(b->running, name));

	return must(guests_find(&b->e->guests, g->id));
}

/* ---- turns, workers and time ---- */

static inline void bench_turn(struct bench *b)
{
	b->e->turn_scheduled = false;
	(void)sd_event_source_set_enabled(b->e->turn_timer, SD_EVENT_OFF);
	engine_turn(b->e);
}

static inline void bench_drift(struct bench *b)
{
	engine_mark_all(b->e);
	bench_turn(b);
}

static inline void job_finish(struct bench *b, struct fake *f, struct job *job)
{
	struct qerr err = { 0 };
	int r;

	if (!job->target.guest)
		job->target.path = job->path;
	if (job->to.type == KNOB_CPUSET)
		job->to.cpuset = &job->cpus;
	r = fake_error(f, &job->target, f->fail, job->knob, &err);
	if (r == 0 && !f->refuse)
		world_set(&b->world, &job->target, job->knob, job->to);
	engine_change_done(b->e, job->ticket, r, &err);
	guest_unref((struct guest *)job->target.guest);
}

/* The worker of one adapter finishes what it was given. How many changes that were. */
static inline size_t bench_deliver(struct bench *b, enum adapter_id id)
{
	struct fake *f = &b->fakes[id];
	struct job *jobs = TAKE_PTR(f->jobs);
	size_t njobs = f->njobs;

	f->njobs = f->capacity = 0;
	for (size_t i = 0; i < njobs; i++)
		job_finish(b, f, &jobs[i]);
	free(jobs);
	return njobs;
}

/* Workers answer and turns are made until nothing more is asked for; how many turns. */
static inline unsigned int bench_settle(struct bench *b)
{
	unsigned int turns = 0;
	bool moved = true;

	while (moved && turns < 40) {
		moved = false;
		for (size_t i = 0; i < ADAPTER_COUNT; i++)
			moved |= bench_deliver(b, (enum adapter_id)i) > 0;
		if (!b->e->turn_scheduled)
			continue;
		bench_turn(b);
		turns++;
		moved = true;
	}
	CU_ASSERT(turns < 40);
	return turns;
}

#define BENCH_GROWN_US 6000000ULL /* from then on foreign changes are somebody's fault */

static inline uint64_t earlier(uint64_t at_us, uint64_t us)
{
	return at_us <= us ? 1 : at_us - us;
}

/* All that waits for a time has waited this long; what is due then is done. */
static inline void bench_pass(struct bench *b, uint64_t us)
{
	struct engine *e = b->e;
	uint64_t at_us = 0;
	int enabled = SD_EVENT_OFF;

	for (size_t i = 0; i <= e->guests.count; i++) {
		struct guest_row *row =
			i < e->guests.count ? &e->guests.rows[i] : &e->guests.groups;

		for (size_t a = 0; a < LANE_COUNT; a++)
			row->lanes[a].retry_us = earlier(row->lanes[a].retry_us, us);
		row->seen_us = row->seen_us ? earlier(row->seen_us, us) : 0;
	}
	for (size_t i = 0; i < ENGINE_PENDING_MAX; i++) {
		e->pending[i].until_us = earlier(e->pending[i].until_us, us);
		e->stopped[i].until_us = earlier(e->stopped[i].until_us, us);
	}
	(void)sd_event_source_get_enabled(e->retry_timer, &enabled);
	(void)sd_event_source_get_time(e->retry_timer, &at_us);
	if (enabled != SD_EVENT_OFF) {
		(void)sd_event_source_set_time(e->retry_timer, earlier(at_us, us));
		if (earlier(at_us, us) <= engine_now_us(e)) {
			(void)sd_event_source_set_enabled(e->retry_timer, SD_EVENT_OFF);
			engine_mark(e);
		}
	}
	(void)bench_settle(b);
}

/* ---- looking ---- */

static inline unsigned int bench_writes(const struct bench *b)
{
	unsigned int n = 0;

	for (size_t i = 0; i < ADAPTER_COUNT; i++)
		n += b->fakes[i].writes;
	return n;
}

static inline unsigned int bench_reads(const struct bench *b)
{
	unsigned int n = 0;

	for (size_t i = 0; i < ADAPTER_COUNT; i++)
		n += b->fakes[i].reads;
	return n;
}

/* A target by name: "web1" (with kind and index) or a path of a group. */
static inline struct target bench_target(struct bench *b, const char *name, enum target_kind kind,
					 uint32_t index)
{
	struct target t = { .kind = kind, .index = index };

	if (kind == TARGET_CGROUP) {
		t.path = name;
		return t;
	}
	t.guest = must(inventory_find(b->running, name));
	t.guest_id = t.guest->id;
	return t;
}

static inline const char *bench_value(struct bench *b, const char *name, enum target_kind kind,
				      uint32_t index, enum knob_id knob)
{
	struct target t = bench_target(b, name, kind, index);
	struct knob_value v = world_get(&b->world, &t, knob);

	return knob_value_format(&v, b->text, sizeof(b->text));
}

static inline const char *bench_knob(struct bench *b, const char *name, enum knob_id knob)
{
	return bench_value(b, name, TARGET_GUEST, 0, knob);
}

/* Somebody else sets a value. */
static inline void bench_meddle(struct bench *b, const char *name, enum target_kind kind,
				uint32_t index, enum knob_id knob, const char *text)
{
	struct target t = bench_target(b, name, kind, index);
	struct knob_value v;
	struct cpuset room;

	if (knob_value_parse(knob_get(knob)->type, text, &room, &v) < 0)
		abort();
	world_set(&b->world, &t, knob, v);
}

/* Entries of the plan that do not hold on the host. */
static inline size_t bench_unmet(struct bench *b)
{
	const struct plan *p = b->e->picture->plan;
	size_t unmet = 0;

	for (size_t i = 0; i < p->count; i++) {
		struct knob_value is =
			world_get(&b->world, &p->entries[i].target, p->entries[i].knob);

		unmet += !knob_holds(p->entries[i].knob, &p->entries[i].want, &is);
	}
	return unmet;
}

/* How often the daemon's log has this text. */
static inline size_t bench_logged(struct bench *b, const char *needle)
{
	size_t n = 0;

	fflush(stderr);
	for (const char *at = b->log; at && (at = strstr(at, needle)); at++)
		n++;
	return n;
}

/* One guest of each class, the plan written. */
static inline struct bench *bench_three(const char *policy)
{
	struct bench *b = bench_new(policy);

	bench_guest(b, "db1", 1, 2, 2 * GIB, "gold");
	bench_guest(b, "web1", 2, 2, 2 * GIB, "silver");
	bench_guest(b, "batch1", 3, 2, 2 * GIB, "bronze");
	return b;
}

/* As a full disk: no file gets longer than that. */
static inline void bench_limit_files(rlim_t bytes)
{
	struct rlimit limit;

	signal(SIGXFSZ, SIG_IGN);
	getrlimit(RLIMIT_FSIZE, &limit);
	limit.rlim_cur = bytes;
	setrlimit(RLIMIT_FSIZE, &limit);
}

#endif
