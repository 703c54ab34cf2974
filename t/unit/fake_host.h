/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fake_host - a host that is a table, and adapters that read and write it.
 *
 * The table (struct world) outlives daemons, as a host does. Each instance of the adapter counts
 * what it does, and can be made to fail, to answer later, or to lose what it was given.
 */
#ifndef QOSD_T_FAKE_HOST_H
#define QOSD_T_FAKE_HOST_H

#include <errno.h>

#include "qosd/core/adapter.h"
#include "qosd/core/mem.h"
#include "t/unit/make.h"

/* ---- the host: one value for each (target, knob) that was ever written ---- */

struct cell {
	uint64_t key; /* 0 free */
	enum knob_id knob;
	struct knob_value value;
	struct cpuset cpus; /* of the value, whose pointer is void: see cell_value */
};

struct written { /* one write that reached an adapter */
	char target[80];
	enum knob_id knob;
	int direction; /* 0 too when the old value was not known */
};

struct world {
	struct cell *cells;
	size_t ncells; /* a power of two; not to be filled beyond a half */
	struct cpuset online;
	bool foreign;     /* what was never written has a value that no plan wants */
	const char *gone; /* this guest's targets are no more */
	bool keep_log;    /* of writes */
	struct written *log;
	size_t nlog, log_capacity;
	const char *baseline_path; /* looked at when the first write comes */
	size_t baseline_lines;
};

static inline uint64_t world_hash(uint64_t hash, const char *text)
{
	for (size_t left = strlen(text); left;) {
		size_t step = left < sizeof(uint64_t) ? left : sizeof(uint64_t);
		uint64_t word = 0;

		memcpy(&word, text, step);
		hash = (hash ^ word) * UINT64_C(0x9e3779b97f4a7c15);
		hash ^= hash >> 29;
		text += step;
		left -= step;
	}
	return hash;
}

static inline uint64_t world_key(const struct target *t, enum knob_id knob)
{
	uint64_t place = (uint64_t)t->kind << 32 | t->index << 8 | knob;
	uint64_t hash = (place + 1) * UINT64_C(0x9e3779b97f4a7c15);

	return world_hash(hash, t->path ? t->path : t->guest->uuid) | 1;
}

static inline struct cell *world_cell(const struct world *w, struct cell *cells, uint64_t key)
{
	size_t at = (size_t)(key >> 20) & (w->ncells - 1);

	while (cells[at].key && cells[at].key != key)
		at = (at + 1) & (w->ncells - 1);
	return &cells[at];
}

static inline struct knob_value cell_value(const struct cell *c)
{
	return c->value.type == KNOB_CPUSET ? knob_cpuset(&c->cpus) : c->value;
}

static inline struct knob_value world_foreign(enum knob_id knob)
{
	static const struct cpuset none;

	switch (knob_get(knob)->type) {
	case KNOB_CPUSET:
		return knob_cpuset(&none);
	case KNOB_QUOTA:
		return knob_quota(7777, 100000);
	case KNOB_U64:
		break;
	}
	return knob_u64(77777);
}

/* What a knob has on a host where nobody has set anything. */
static inline struct knob_value world_default(const struct world *w, enum knob_id knob)
{
	if (w->foreign)
		return world_foreign(knob);
	switch (knob) {
	case KNOB_CPU_AFFINITY:
		return knob_cpuset(&w->online);
	case KNOB_CPU_MAX:
		return knob_quota(KNOB_MAX, 100000);
	case KNOB_CPU_WEIGHT:
		return knob_u64(100);
	default:
		return knob_u64(knob_get(knob)->limit ? KNOB_MAX : 0);
	}
}

static inline struct knob_value world_get(const struct world *w, const struct target *t,
					  enum knob_id knob)
{
	const struct cell *c = world_cell(w, w->cells, world_key(t, knob));

	return c->key ? cell_value(c) : world_default(w, knob);
}

static inline void world_set(struct world *w, const struct target *t, enum knob_id knob,
			     struct knob_value value)
{
	uint64_t key = world_key(t, knob);
	struct cell *c = world_cell(w, w->cells, key);

	*c = (struct cell){ .key = key, .knob = knob, .value = value };
	if (value.type == KNOB_CPUSET)
		c->cpus = *value.cpuset;
}

static inline struct cell *world_snapshot(const struct world *w)
{
	struct cell *copy = must(malloc(w->ncells * sizeof(*copy)));

	memcpy(copy, w->cells, w->ncells * sizeof(*copy));
	return copy;
}

/* How many values differ from the snapshot; what it does not have must be a default value. */
static inline size_t world_differs(const struct world *w, struct cell *snapshot)
{
	size_t differ = 0;

	for (size_t i = 0; i < w->ncells; i++) {
		const struct cell *now = &w->cells[i];
		const struct cell *then = world_cell(w, snapshot, now->key);
		struct knob_value before =
			then->key ? cell_value(then) : world_default(w, now->knob);
		struct knob_value value = cell_value(now);

		differ += now->key && !knob_value_equal(&before, &value);
	}
	return differ;
}

/* ---- the adapter ---- */

struct job { /* given to the worker */
	uint64_t ticket;
	struct target target; /* keeps a reference of its guest */
	char path[128];
	enum knob_id knob;
	struct knob_value to;
	struct cpuset cpus; /* of `to` */
};

struct fake {
	struct adapter adapter;
	struct world *world;
	unsigned int reads, writes, forgets, told;
	bool writing;         /* as told last */
	int fail[KNOB_COUNT]; /* negative errno: writes of this knob fail */
	int fail_read[KNOB_COUNT];
	const char *only; /* failures are this guest's alone; NULL: everybody's */
	bool only_vfs;    /* ... and virtual functions' alone */
	bool async;       /* writes are done by bench_deliver() */
	bool refuse;      /* done, says the worker, and nothing has changed */
	struct job *jobs;
	size_t njobs, capacity;
};

static inline bool fake_concerns(const struct fake *f, const struct target *t)
{
	if (f->only_vfs && !(t->kind == TARGET_NIC && t->guest->nics[t->index].vf))
		return false;
	return !f->only || (t->guest && strcmp(t->guest->name, f->only) == 0);
}

static inline bool fake_gone(const struct fake *f, const struct target *t)
{
	return f->world->gone && t->guest && strcmp(t->guest->name, f->world->gone) == 0;
}

/* 0, or the error that was ordered for this target. */
static inline int fake_error(const struct fake *f, const struct target *t, const int *fail,
			     enum knob_id knob, struct qerr *err)
{
	if (fake_gone(f, t))
		return qerr_set(err, -ENOENT, "it has gone");
	if (fail[knob] && fake_concerns(f, t))
		return qerr_set(err, fail[knob], "%s: the host says %s", knob_get(knob)->name,
				strerror(-fail[knob]));
	return 0;
}

static inline int fake_read(struct adapter *a, const struct target *t, enum knob_id knob,
			    struct knob_value *ret, struct qerr *err)
{
	struct fake *f = a->ctx;
	int r = fake_error(f, t, f->fail_read, knob, err);

	f->reads++;
	if (r == 0)
		*ret = world_get(f->world, t, knob);
	return r;
}

static inline size_t count_lines(const char *path)
{
	FILE *f = fopen(path, "re");
	size_t lines = 0;
	int c;

	while (f && (c = fgetc(f)) != EOF)
		lines += c == '\n';
	if (f)
		fclose(f);
	return lines;
}

static inline void fake_note(struct world *w, const struct change *c)
{
	struct written *x;
	char text[TARGET_TEXT_MAX];

	if (!w->keep_log)
		return;
	if (!w->nlog && w->baseline_path)
		w->baseline_lines = count_lines(w->baseline_path);
	if (mem_grow(&w->log, &w->log_capacity, w->nlog + 1, sizeof(*w->log)) < 0)
		abort();
	x = &w->log[w->nlog++];
	snprintf(x->target, sizeof(x->target), "%.79s",
		 target_format(&c->target, text, sizeof(text)));
	x->knob = c->knob;
	x->direction = c->from_known ? knob_direction(&c->from, &c->to) : 0;
}

static inline void fake_queue(struct fake *f, const struct change *c, uint64_t ticket)
{
	struct job *job;

	if (mem_grow(&f->jobs, &f->capacity, f->njobs + 1, sizeof(*f->jobs)) < 0)
		abort();
	job = &f->jobs[f->njobs++];
	*job = (struct job){ .ticket = ticket, .target = c->target, .knob = c->knob, .to = c->to };
	if (c->target.guest)
		guest_ref((struct guest *)c->target.guest);
	else
		snprintf(job->path, sizeof(job->path), "%s", c->target.path);
	job->target.path = NULL;
	if (c->to.type == KNOB_CPUSET)
		job->cpus = *c->to.cpuset;
}

static inline int fake_apply(struct adapter *a, const struct change *c, uint64_t ticket,
			     struct qerr *err)
{
	struct fake *f = a->ctx;
	int r;

	if (!f->writing)
		return qerr_set(err, -EPERM, "nobody told that writes would come");
	f->writes++;
	fake_note(f->world, c);
	if (f->async) {
		fake_queue(f, c, ticket);
		return -EINPROGRESS;
	}
	r = fake_error(f, &c->target, f->fail, c->knob, err);
	if (r == 0)
		world_set(f->world, &c->target, c->knob, c->to);
	return r;
}

static inline int fake_set_writing(struct adapter *a, bool writing, struct qerr *err)
{
	struct fake *f = a->ctx;

	(void)err;
	f->told++;
	f->writing = writing;
	return 0;
}

static inline void fake_forget(struct adapter *a, const struct guest *g)
{
	struct fake *f = a->ctx;

	(void)g;
	f->forgets++;
}

static const struct adapter_ops fake_ops = {
	.name = "fake",
	.read = fake_read,
	.apply = fake_apply,
	.set_writing = fake_set_writing,
	.forget = fake_forget,
};

#endif
