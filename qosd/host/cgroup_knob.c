/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Knobs that are one file of one group: cpu.weight, memory.min, memory.low, memory.swap.max.
 *
 * One row per knob tells the file in v2 and v1, systemd's property, and how v1's number becomes
 * v2's and back. Who writes depends on the group: a group that is a systemd unit is systemd's, and
 * is asked for over D-Bus; every other is written directly.
 *
 * v1 knows less:
 *   cpu.shares                  = weight * 1024 / 100, exact for 1..10000 in both directions
 *   memory.soft_limit_in_bytes  = the reservation: global reclaim takes first from groups above
 *                                 their soft limit. No reservation is 0 (taken from first); as
 *                                 libvirt leaves it, unlimited, reads as KNOB_MAX
 *   memory.swappiness           0 for "no swap"; anything else reads as KNOB_MAX, and KNOB_MAX
 *                                 gives it the parent's value
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "qosd/core/mem.h"
#include "qosd/host/cgroup_priv.h"
#include "qosd/host/cgroup_systemd.h"
#include "qosd/host/cgroup_text.h"

#define NO_FILE        CGROUP_FILES
#define WEIGHT_MIN     1
#define WEIGHT_DEFAULT 100
#define WEIGHT_MAX     10000
/* What an unlimited counter reads as in v1: LONG_MAX rounded down to a page of up to 64 KiB. */
#define V1_UNLIMITED_FROM UINT64_C(9223372036854710272)

enum v1_form { V1_NONE, V1_SHARES, V1_BYTES, V1_SWAPPINESS };

struct knob_file {
	enum knob_id knob;
	enum cgroup_tree tree;
	const char *controller; /* as libcgroup names it; NULL: it does not know the file */
	enum cgroup_file v2, v1;
	enum v1_form v1_form;
	const char *property; /* systemd's, of v2; NULL: none */
	bool of_groups;       /* TARGET_CGROUP has it, too */
};

static const struct knob_file knob_files[] = {
	{ KNOB_CPU_WEIGHT, CGROUP_CPU, "cpu", CGROUP_CPU_WEIGHT, CGROUP_V1_SHARES, V1_SHARES,
	  "CPUWeight", false },
	{ KNOB_MEMORY_MIN, CGROUP_MEMORY, "memory", CGROUP_MEMORY_MIN, CGROUP_V1_SOFT_LIMIT,
	  V1_BYTES, "MemoryMin", true },
	{ KNOB_MEMORY_LOW, CGROUP_MEMORY, "memory", CGROUP_MEMORY_LOW, NO_FILE, V1_NONE,
	  "MemoryLow", true },
	{ KNOB_SWAP_MAX, CGROUP_MEMORY, "memory", CGROUP_MEMORY_SWAP_MAX, CGROUP_V1_SWAPPINESS,
	  V1_SWAPPINESS, NULL, false },
	{ KNOB_FREEZE, CGROUP_CPU, NULL, CGROUP_FREEZE, NO_FILE, V1_NONE, NULL, false },
};

static const struct knob_file *file_of(enum knob_id knob)
{
	for (size_t i = 0; i < ARRAY_SIZE(knob_files); i++)
		if (knob_files[i].knob == knob)
			return &knob_files[i];
	return NULL;
}

/* Where a knob of a target is. */
struct place {
	const struct knob_file *knob;
	enum cgroup_file file; /* NO_FILE: this host has no such thing */
	enum cgroup_tree tree;
	struct cgroup_dir *dir;
	char path[CGROUP_PATH_MAX];
};

static int locate_guest(struct cgroup_ctx *ctx, const struct guest *g, struct place *p)
{
	const char *path = p->tree == CGROUP_MEMORY && ctx->v1 ? g->cgroup_memory : g->cgroup;
	struct cgroup_node *node;
	int r;

	if (!path || strlen(path) >= sizeof(p->path))
		return -ENOENT;
	strcpy(p->path, path);
	r = cgroup_node_guest(ctx, g, &node);
	if (r < 0)
		return r;
	p->dir = &node->top[p->tree];
	if (p->knob->knob != KNOB_CPU_WEIGHT || node->unit.fd < 0)
		return 0;
	p->dir = &node->unit;
	return cgroup_weight_path(g, p->path, sizeof(p->path));
}

static int locate_group(struct cgroup_ctx *ctx, const char *path, struct place *p)
{
	struct cgroup_node *node;
	int r;

	if (strlen(path) >= sizeof(p->path))
		return -ENAMETOOLONG;
	strcpy(p->path, path);
	r = cgroup_node_path(ctx, path, &node);
	if (r < 0)
		return r;
	p->dir = &node->top[p->tree];
	return 0;
}

static int locate(struct cgroup_ctx *ctx, const struct target *t, enum knob_id knob,
		  struct place *p)
{
	p->knob = file_of(knob);
	p->dir = NULL;
	p->path[0] = '\0';
	if (!p->knob)
		return -EOPNOTSUPP;
	p->file = ctx->v1 ? p->knob->v1 : p->knob->v2;
	p->tree = p->knob->tree == CGROUP_MEMORY ? cgroup_memory_tree(ctx) : CGROUP_CPU;
	if (t->kind == TARGET_GUEST && t->guest)
		return locate_guest(ctx, t->guest, p);
	if (t->kind == TARGET_CGROUP && p->knob->of_groups && t->path)
		return locate_group(ctx, t->path, p);
	return -EOPNOTSUPP;
}

/* ---- v1's numbers ---- */

static uint64_t from_v1(enum v1_form form, uint64_t raw)
{
	switch (form) {
	case V1_SHARES:
		return cgroup_shares_to_weight(raw);
	case V1_BYTES:
		return raw >= V1_UNLIMITED_FROM ? KNOB_MAX : raw;
	case V1_SWAPPINESS:
		return raw == 0 ? 0 : KNOB_MAX;
	default:
		return raw;
	}
}

static int parent_swappiness(struct cgroup_ctx *ctx, const char *path, char *buf, size_t size)
{
	char parent[CGROUP_PATH_MAX], file[CGROUP_PATH_MAX + 32];
	int r = cgroup_text_parent(path, parent, sizeof(parent));

	if (r < 0)
		return r;
	snprintf(file, sizeof(file), "%s/%s", parent + 1, cgroup_file_name(CGROUP_V1_SWAPPINESS));
	r = cgroup_read_path(ctx->root_fds[CGROUP_MEMORY], file + strspn(file, "/"), buf, size);
	if (r > 0 && buf[r - 1] == '\n')
		buf[r - 1] = '\0';
	return r < 0 ? r : 0;
}

/* The text to write; -EOPNOTSUPP: v1 cannot say this. */
static int value_text(struct cgroup_ctx *ctx, const struct place *p, uint64_t value, char *buf,
		      size_t size)
{
	if (!ctx->v1) {
		snprintf(buf, size, value == KNOB_MAX ? "max" : "%" PRIu64, value);
		return 0;
	}
	switch (p->knob->v1_form) {
	case V1_SHARES:
		if (value < WEIGHT_MIN || value > WEIGHT_MAX) /* shares could be more */
			return -ERANGE;
		snprintf(buf, size, "%" PRIu64, cgroup_weight_to_shares(value));
		return 0;
	case V1_BYTES:
		snprintf(buf, size, value == KNOB_MAX ? "-1" : "%" PRIu64, value);
		return 0;
	case V1_SWAPPINESS:
		if (value == KNOB_MAX)
			return parent_swappiness(ctx, p->path, buf, size);
		snprintf(buf, size, "0");
		return value == 0 ? 0 : -EOPNOTSUPP;
	default:
		return -EOPNOTSUPP;
	}
}

/* ---- reading ---- */

static int missing(const struct place *p, int r, const char *verb, struct qerr *err)
{
	const char *file = p->file == NO_FILE ? "such value" : cgroup_file_name(p->file);

	if (r == -ENOENT || r == -ESRCH)
		return qerr_set(err, r, "%s has gone", *p->path ? p->path : "the guest's group");
	if (r == -EOPNOTSUPP)
		return qerr_set(err, r,
				"%s has no %s: this kernel, or the controllers enabled "
				"above the group, do not offer it",
				p->path, file);
	return qerr_set(err, r, "cannot %s %s of %s: %s", verb, file, p->path, strerror(-r));
}

int cgroup_knob_read(struct cgroup_ctx *ctx, const struct target *t, enum knob_id knob,
		     struct knob_value *ret, struct qerr *err)
{
	struct place p;
	uint64_t v;
	int r = locate(ctx, t, knob, &p);

	if (r < 0)
		return missing(&p, r, "find", err);
	if (p.file == NO_FILE) {
		*ret = knob_u64(0);
		return 0;
	}
	r = cgroup_dir_read_u64(p.dir, &ctx->fs, p.file, &v);
	if (r == -ENOENT && t->kind == TARGET_CGROUP) {
		/* The group may have been made anew, as slices are. */
		cgroup_node_drop_path(ctx, t->path);
		r = locate(ctx, t, knob, &p);
		if (r == 0)
			r = cgroup_dir_read_u64(p.dir, &ctx->fs, p.file, &v);
	}
	if (r < 0)
		return missing(&p, r, "read", err);
	*ret = knob_u64(ctx->v1 ? from_v1(p.knob->v1_form, v) : v);
	return 0;
}

/* ---- writing ---- */

/* The unit that systemd would write this file for, or NULL when nobody else does. */
static const char *owner(const struct cgroup_ctx *ctx, const struct place *p)
{
	if (!ctx->booted || !p->knob->property)
		return NULL;
	if (ctx->v1 && p->knob->knob != KNOB_CPU_WEIGHT)
		return NULL;
	return cgroup_text_unit(p->path);
}

/* What the kernel makes of the value: whole pages. */
static uint64_t as_shown(const struct place *p, uint64_t value)
{
	if (value == KNOB_MAX || p->knob->tree != CGROUP_MEMORY)
		return value;
	return value & ~(uint64_t)4095;
}

static int ask_systemd(struct cgroup_ctx *ctx, const struct place *p, const char *unit,
		       uint64_t value, uint64_t ticket, struct qerr *err)
{
	bool weight = p->knob->knob == KNOB_CPU_WEIGHT;
	char file[2 * CGROUP_PATH_MAX];
	struct cgroup_unit_setting setting = {
		.unit = unit,
		.property = p->knob->property,
		/* The default weight is said by not saying one, so that nothing is left at release.
		 */
		.value = weight && value == WEIGHT_DEFAULT ? UINT64_MAX : value,
		.file = file,
		.shows = ctx->v1 ? cgroup_weight_to_shares(value) : as_shown(p, value),
	};

	if (!ctx->worker)
		return qerr_set(err, -EOPNOTSUPP,
				"%s belongs to systemd, and there is no thread "
				"to ask it",
				unit);
	if ((size_t)snprintf(file, sizeof(file), "%s%s/%s", ctx->roots[p->tree], p->path,
			     cgroup_file_name(p->file)) >= sizeof(file))
		return qerr_set(err, -ENAMETOOLONG, "the path of %s is too long", unit);
	return cgroup_systemd_set(ctx->systemd, ctx->worker, &setting, ticket, err);
}

/* By libcgroup where its set path is sound; by ourselves where it hides the kernel's answer. */
static int write_text(struct cgroup_ctx *ctx, const struct place *p, const char *text)
{
	char now[64];
	int r = cgroup_dir_read(p->dir, &ctx->fs, p->file, now, sizeof(now));

	/* A path is as good as our descriptor only while the group lives. */
	if (r < 0)
		return r;
	if (!ctx->own_root && p->knob->controller) {
		r = cgroup_lib_write(p->path, p->knob->controller, cgroup_file_name(p->file), text);
		if (r != -ENODATA)
			return r == -ENODEV ? -ENOENT : r;
	}
	return cgroup_dir_write(p->dir, &ctx->fs, p->file, text);
}

static int refuse(const struct place *p, const struct change *c, int r, struct qerr *err)
{
	char text[KNOB_TEXT_MAX];

	if (r == -ENOENT || r == -ESRCH)
		return missing(p, r, "write", err);
	if (p->file == NO_FILE)
		return qerr_set(err, r, "cgroup v1 has no %s", knob_get(c->knob)->name);
	return qerr_set(err, r, "cannot write %s to %s of %s: %s",
			knob_value_format(&c->to, text, sizeof(text)), cgroup_file_name(p->file),
			p->path, strerror(-r));
}

/*
 * Weight 0 is cpu.idle: while it is 1 the kernel shows weight 0 and refuses to be given another,
 * and afterwards the weight is 100. Where systemd owns the weight it owns cpu.idle, too: 252 sets
 * it anew at each change of the unit, and takes weight 0 for "idle".
 */
static int set_idle(struct cgroup_ctx *ctx, struct place *p, bool idle)
{
	uint64_t weight;
	int r;

	if (!idle) {
		r = cgroup_dir_read_u64(p->dir, &ctx->fs, p->file, &weight);
		if (r < 0 || weight)
			return r;
	}
	return cgroup_dir_write_u64(p->dir, &ctx->fs, CGROUP_CPU_IDLE, idle);
}

int cgroup_knob_apply(struct cgroup_ctx *ctx, const struct change *c, uint64_t ticket,
		      struct qerr *err)
{
	struct place p;
	const char *unit;
	char text[32];
	int r = locate(ctx, &c->target, c->knob, &p);

	if (r < 0)
		return missing(&p, r, "find", err);
	if (p.file == NO_FILE)
		return c->to.u64 == 0 ? 0 : refuse(&p, c, -EOPNOTSUPP, err);
	unit = owner(ctx, &p);
	if (unit)
		return ask_systemd(ctx, &p, unit, c->to.u64, ticket, err);
	if (c->knob == KNOB_CPU_WEIGHT && !ctx->v1) {
		r = set_idle(ctx, &p, c->to.u64 == 0);
		if (r == -EOPNOTSUPP)
			return qerr_set(err, r,
					"this kernel has no cpu.idle (it came with 5.15): idle "
					"classes need it");
		if (r < 0 || c->to.u64 == 0)
			return r < 0 ? refuse(&p, c, r, err) : 0;
	}
	r = value_text(ctx, &p, c->to.u64, text, sizeof(text));
	if (r == 0)
		r = write_text(ctx, &p, text);
	return r < 0 ? refuse(&p, c, r, err) : 0;
}
