/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a guest uses: CPU time and memory of its groups, run and wait times of its vCPU threads.
 *
 * Descriptors stay open (one pread() a value). A vCPU thread that has ended counts for nothing, so
 * sums can fall when a vCPU is unplugged: callers take differences per incarnation and drop
 * negative ones.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "qosd/host/cgroup_priv.h"
#include "qosd/host/cgroup_text.h"

static bool same_threads(const struct cgroup_node *node, const struct guest *g)
{
	if (node->nthreads != g->nvcpu_tids)
		return false;
	for (size_t i = 0; i < node->nthreads; i++)
		if (node->threads[i].tid != g->vcpu_tids[i])
			return false;
	return true;
}

/* Make the node's list of threads the guest's. */
static int take_threads(struct cgroup_ctx *ctx, struct cgroup_node *node, const struct guest *g)
{
	struct cgroup_thread *threads;

	if (same_threads(node, g))
		return 0;
	threads = calloc(g->nvcpu_tids + 1, sizeof(*threads));
	if (!threads)
		return -ENOMEM;
	for (size_t i = 0; i < node->nthreads; i++)
		if (node->threads[i].fd >= 0) {
			close(node->threads[i].fd);
			atomic_fetch_sub(&ctx->fs.used, 1);
		}
	free(node->threads);
	for (size_t i = 0; i < g->nvcpu_tids; i++)
		threads[i] = (struct cgroup_thread){ .tid = g->vcpu_tids[i], .fd = -1 };
	node->threads = threads;
	node->nthreads = g->nvcpu_tids;
	return 0;
}

static int read_thread(struct cgroup_ctx *ctx, int pid, struct cgroup_thread *t,
		       struct cgroup_usage *u)
{
	char buf[96], path[64];
	uint64_t run, wait;
	int r, fd = t->fd;

	if (fd < 0) {
		snprintf(path, sizeof(path), "%d/task/%d/schedstat", pid, t->tid);
		fd = openat(ctx->proc_fd, path, O_RDONLY | O_CLOEXEC);
		if (fd < 0)
			return -errno;
		if (atomic_fetch_add(&ctx->fs.used, 1) < ctx->fs.limit)
			t->fd = fd;
		else
			atomic_fetch_sub(&ctx->fs.used, 1);
	}
	r = cgroup_read_fd(fd, buf, sizeof(buf));
	if (t->fd < 0)
		close(fd);
	if (r >= 0)
		r = cgroup_text_schedstat(buf, &run, &wait);
	if (r < 0)
		return r;
	u->vcpu_run_ns += run;
	u->vcpu_wait_ns += wait;
	return 0;
}

static int read_threads(struct cgroup_ctx *ctx, struct cgroup_node *node, const struct guest *g,
			struct cgroup_usage *u)
{
	int r = take_threads(ctx, node, g);

	if (r < 0)
		return r;
	for (size_t i = 0; i < node->nthreads; i++) {
		if (node->threads[i].tid <= 0)
			continue;
		r = read_thread(ctx, g->pid, &node->threads[i], u);
		if (r < 0 && r != -ENOENT && r != -ESRCH)
			return r;
	}
	return 0;
}

/* One key of cpu.stat or memory.stat, added to *sum; a key or file that is not there adds 0. */
static int add_flat(struct cgroup_ctx *ctx, struct cgroup_dir *dir, enum cgroup_file file,
		    const char *key, uint64_t *sum)
{
	char buf[CGROUP_TEXT_MAX];
	uint64_t v = 0;
	int r = cgroup_dir_read(dir, &ctx->fs, file, buf, sizeof(buf));

	if (r == -EOPNOTSUPP)
		return 0;
	if (r < 0)
		return r;
	r = cgroup_text_flat(buf, key, &v);
	*sum += v;
	return r == -ENOENT ? 0 : r;
}

/* A file with one number; one that is not there reads as 0. */
static int read_number(struct cgroup_ctx *ctx, struct cgroup_dir *dir, enum cgroup_file file,
		       uint64_t *ret)
{
	int r = cgroup_dir_read_u64(dir, &ctx->fs, file, ret);

	if (r != -EOPNOTSUPP)
		return r;
	*ret = 0;
	return 0;
}

static int read_cpu(struct cgroup_ctx *ctx, struct cgroup_node *node, struct cgroup_usage *u)
{
	struct cgroup_dir *top = &node->top[CGROUP_CPU];
	uint64_t ns = 0;
	int r;

	if (ctx->v1)
		r = read_number(ctx, top, CGROUP_V1_CPU_USAGE, &ns);
	else
		r = add_flat(ctx, top, CGROUP_CPU_STAT, "usage_usec", &u->cpu_us);
	if (ctx->v1)
		u->cpu_us = ns / 1000;
	if (r == 0)
		r = add_flat(ctx, top, CGROUP_CPU_STAT, "nr_throttled", &u->nr_throttled);
	for (size_t i = 0; r == 0 && i < node->nvcpus; i++) {
		r = add_flat(ctx, &node->vcpus[i].dir, CGROUP_CPU_STAT, "nr_throttled",
			     &u->nr_throttled);
		if (r == -ENOENT) /* unplugged */
			r = 0;
	}
	return r;
}

static int read_memory(struct cgroup_ctx *ctx, struct cgroup_node *node, struct cgroup_usage *u)
{
	struct cgroup_dir *top = &node->top[cgroup_memory_tree(ctx)];
	int r;

	if (ctx->v1) {
		r = read_number(ctx, top, CGROUP_V1_MEMORY_USAGE, &u->memory_bytes);
		return r < 0 ? r
			     : add_flat(ctx, top, CGROUP_V1_MEMORY_STAT, "swap", &u->swap_bytes);
	}
	r = read_number(ctx, top, CGROUP_MEMORY_CURRENT, &u->memory_bytes);
	return r < 0 ? r : read_number(ctx, top, CGROUP_MEMORY_SWAP_CURRENT, &u->swap_bytes);
}

int cgroup_read_usage(struct adapter *a, const struct guest *g, struct cgroup_usage *ret)
{
	struct cgroup_ctx *ctx = a->ctx;
	struct cgroup_usage u = { 0 };
	struct cgroup_node *node;
	int r;

	cgroup_node_make_room(ctx);
	r = cgroup_node_guest(ctx, g, &node);
	if (r == 0)
		r = read_cpu(ctx, node, &u);
	if (r == 0)
		r = read_memory(ctx, node, &u);
	if (r == 0)
		r = read_threads(ctx, node, g, &u);
	if (r < 0)
		return r;
	*ret = u;
	return 0;
}
