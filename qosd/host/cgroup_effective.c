/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How much of a guest's memory the whole chain of groups above it protects.
 *
 * The law is the kernel's own effective_protection() (mm/memcontrol.c of 6.1; mm/page_counter.c
 * since 6.11), from the top of the tree down:
 *
 *   first level   E = min
 *   below         P = min(min, usage)                        what the group claims
 *                 S = sum of P over all children of the parent
 *                 E = P * E(parent) / S                      if S > E(parent): all get less
 *                 E = P                                      else, and with memory_recursiveprot
 *                   + (E(parent) - S) * (usage - P) / (usage(parent) - S)
 *                                                            what is left over flows down
 *
 * The kernel asks what is protected now. People ask what is promised, so it is taken that every
 * group uses at least its min: P = min, and usage is never less than min. A guest that has touched
 * little then shows its reservation, and one whose siblings were promised too much shows less.
 *
 * Without a reservation anywhere the result is 0. On v1 there is no protection, only the soft
 * limit: the result is its value, 0 when unlimited.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "qosd/host/cgroup_priv.h"
#include "qosd/host/cgroup_text.h"

#define SUM_VALID_US 200000 /* one sum over the children serves all guests of one look */

static uint64_t more(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

static uint64_t less(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static uint64_t scale(uint64_t value, uint64_t times, uint64_t by)
{
	return (uint64_t)((unsigned __int128)value * times / by);
}

uint64_t cgroup_effective_step(const struct cgroup_protection *p, uint64_t parent_effective,
			       bool recursive)
{
	uint64_t usage = more(p->usage, p->min);
	uint64_t siblings = more(p->siblings_min, p->min);
	uint64_t parent_usage = more(more(p->parent_usage, siblings), usage);

	if (siblings > parent_effective)
		return scale(p->min, parent_effective, siblings);
	if (!recursive || parent_effective == siblings || usage == p->min ||
	    parent_usage == siblings)
		return p->min;
	return p->min + scale(parent_effective - siblings,
			      less(usage - p->min, parent_usage - siblings),
			      parent_usage - siblings);
}

static uint64_t now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

/* "max" protects all that there can be; a limit far from overflow says the same. */
static uint64_t clamp(uint64_t bytes)
{
	return less(bytes, UINT64_C(1) << 56);
}

static int read_child_min(int dir_fd, const char *name, uint64_t *ret)
{
	char path[300], buf[64];
	int r;

	if ((size_t)snprintf(path, sizeof(path), "%s/memory.min", name) >= sizeof(path))
		return -ENAMETOOLONG;
	r = cgroup_read_path(dir_fd, path, buf, sizeof(buf));
	return r < 0 ? r : cgroup_text_u64(buf, ret);
}

/* Sum of memory.min over the groups in a directory. */
static int sum_children(const struct cgroup_dir *d, uint64_t *ret)
{
	int fd = openat(d->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;
	uint64_t sum = 0, v;

	if (!dir) {
		int r = -errno;

		if (fd >= 0)
			close(fd);
		return r;
	}
	while ((entry = readdir(dir)))
		if (entry->d_type == DT_DIR && entry->d_name[0] != '.' &&
		    read_child_min(fd, entry->d_name, &v) == 0)
			sum += clamp(v);
	closedir(dir);
	*ret = clamp(sum);
	return 0;
}

static int children_min(struct cgroup_node *node, uint64_t *ret)
{
	uint64_t now = now_us();
	int r;

	if (!node->summed_at_us || now - node->summed_at_us > SUM_VALID_US) {
		r = sum_children(&node->top[CGROUP_CPU], &node->children_min_bytes);
		if (r < 0)
			return r;
		node->summed_at_us = now;
	}
	*ret = node->children_min_bytes;
	return 0;
}

static int read_min_and_usage(struct cgroup_ctx *ctx, struct cgroup_dir *dir, uint64_t *min,
			      uint64_t *usage)
{
	int r = cgroup_dir_read_u64(dir, &ctx->fs, CGROUP_MEMORY_MIN, min);

	if (r == 0)
		r = cgroup_dir_read_u64(dir, &ctx->fs, CGROUP_MEMORY_CURRENT, usage);
	*min = clamp(*min);
	return r;
}

/* One level down: `path` is the group, `dir` its directory, `parent` the node above. */
static int step(struct cgroup_ctx *ctx, struct cgroup_dir *dir, struct cgroup_node *parent,
		uint64_t *parent_usage, uint64_t *effective)
{
	struct cgroup_protection p = { .parent_usage = *parent_usage };
	int r = read_min_and_usage(ctx, dir, &p.min, &p.usage);

	if (r < 0)
		return r;
	if (!parent) { /* below the root nothing is shared out */
		*effective = p.min;
		*parent_usage = p.usage;
		return 0;
	}
	r = children_min(parent, &p.siblings_min);
	if (r < 0)
		return r;
	*effective = cgroup_effective_step(&p, *effective, ctx->recursive_min);
	*parent_usage = p.usage;
	return 0;
}

/* Down the groups above the guest; *parent is the last of them. */
static int walk_ancestors(struct cgroup_ctx *ctx, const char *top, struct cgroup_node **parent,
			  uint64_t *usage, uint64_t *effective)
{
	char path[CGROUP_PATH_MAX];

	for (const char *p = strchr(top + 1, '/'); p; p = strchr(p + 1, '/')) {
		struct cgroup_node *node;
		int r;

		memcpy(path, top, (size_t)(p - top));
		path[p - top] = '\0';
		r = cgroup_node_path(ctx, path, &node);
		if (r == 0)
			r = step(ctx, &node->top[CGROUP_CPU], *parent, usage, effective);
		if (r == -ENOENT) { /* made anew since it was opened: the next look finds it */
			cgroup_node_drop_path(ctx, path);
			return r;
		}
		if (r < 0)
			return r;
		*parent = node;
	}
	return 0;
}

static int soft_limit(struct cgroup_ctx *ctx, const struct guest *g, uint64_t *ret)
{
	const struct target t = { .kind = TARGET_GUEST, .guest_id = g->id, .guest = g };
	struct knob_value v;
	int r = cgroup_knob_read(ctx, &t, KNOB_MEMORY_MIN, &v, NULL);

	if (r < 0)
		return r;
	*ret = v.u64 == KNOB_MAX ? 0 : v.u64;
	return 0;
}

int cgroup_effective_min(struct adapter *a, const struct guest *g, uint64_t *ret_bytes)
{
	struct cgroup_ctx *ctx = a->ctx;
	struct cgroup_node *parent = NULL, *node;
	uint64_t usage = 0, effective = 0;
	int r;

	cgroup_node_make_room(ctx);
	if (ctx->v1)
		return soft_limit(ctx, g, ret_bytes);
	r = cgroup_node_guest(ctx, g, &node);
	if (r < 0)
		return r;
	if (strlen(g->cgroup) >= CGROUP_PATH_MAX)
		return -ENAMETOOLONG;
	r = walk_ancestors(ctx, g->cgroup, &parent, &usage, &effective);
	if (r == 0)
		r = step(ctx, &node->top[CGROUP_CPU], parent, &usage, &effective);
	if (r < 0)
		return r;
	*ret_bytes = effective;
	return 0;
}
