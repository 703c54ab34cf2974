/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a guest uses: CPU time, memory and stalls of its groups, run and wait times of its vCPU
 * threads. cgroup_read_usage() is a whole look, cgroup_sample() the parts of one that the overload
 * protection asks for many times a second.
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

#include "qosd/core/mem.h"
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

/* *ret_count: threads that were there. */
static int read_threads(struct cgroup_ctx *ctx, struct cgroup_node *node, const struct guest *g,
			struct cgroup_usage *u, size_t *ret_count)
{
	int r = take_threads(ctx, node, g);

	*ret_count = 0;
	if (r < 0)
		return r;
	for (size_t i = 0; i < node->nthreads; i++) {
		if (node->threads[i].tid <= 0)
			continue;
		r = read_thread(ctx, g->pid, &node->threads[i], u);
		if (r < 0 && r != -ENOENT && r != -ESRCH)
			return r;
		*ret_count += r == 0;
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

/* A kernel without quotas counts none. */
static int look_throttled(struct cgroup_ctx *ctx, struct cgroup_dir *dir,
			  struct cgroup_throttled *t)
{
	char buf[CGROUP_TEXT_MAX] = "";
	uint64_t periods = 0, count = 0;
	int r = cgroup_dir_read(dir, &ctx->fs, CGROUP_CPU_STAT, buf, sizeof(buf));

	if (r < 0 && r != -EOPNOTSUPP)
		return r;
	r = cgroup_text_flat(buf, "nr_throttled", &count);
	if (r == 0 || r == -ENOENT)
		r = cgroup_text_flat(buf, "nr_periods", &periods);
	if (r < 0 && r != -ENOENT)
		return r;
	*t = (struct cgroup_throttled){ .count = count, .unlimited = !periods && !count };
	return 0;
}

static bool has_quota(const struct cgroup_vcpu *v)
{
	return v->quota_known && v->quota.quota_us != KNOB_MAX;
}

/*
 * Periods in which a quota was used up: the top group's and the vCPUs'. A cpu.stat is the dearest
 * file of a sample, and most groups never had a quota: those that have counted no period are read
 * again after look_at_all().
 */
static int read_throttled(struct cgroup_ctx *ctx, struct cgroup_node *node, uint64_t *sum)
{
	int r = 0;

	if (!node->throttled.unlimited)
		r = look_throttled(ctx, &node->top[CGROUP_CPU], &node->throttled);
	*sum += node->throttled.count;
	for (size_t i = 0; r == 0 && i < node->nvcpus; i++) {
		struct cgroup_vcpu *v = &node->vcpus[i];

		if (!v->throttled.unlimited || has_quota(v))
			r = look_throttled(ctx, &v->dir, &v->throttled);
		if (r == -ENOENT) /* unplugged */
			r = 0;
		else
			*sum += v->throttled.count;
	}
	return r;
}

static void look_at_all(struct cgroup_node *node)
{
	node->throttled.unlimited = false;
	for (size_t i = 0; i < node->nvcpus; i++)
		node->vcpus[i].throttled.unlimited = false;
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
	return r < 0 ? r : read_throttled(ctx, node, &u->nr_throttled);
}

static int read_memory(struct cgroup_ctx *ctx, struct cgroup_node *node, uint64_t *ret_bytes)
{
	return read_number(ctx, &node->top[cgroup_memory_tree(ctx)],
			   ctx->v1 ? CGROUP_V1_MEMORY_USAGE : CGROUP_MEMORY_CURRENT, ret_bytes);
}

static int read_swap(struct cgroup_ctx *ctx, struct cgroup_node *node, uint64_t *ret_bytes)
{
	struct cgroup_dir *top = &node->top[cgroup_memory_tree(ctx)];

	if (!ctx->v1)
		return read_number(ctx, top, CGROUP_MEMORY_SWAP_CURRENT, ret_bytes);
	*ret_bytes = 0;
	return add_flat(ctx, top, CGROUP_V1_MEMORY_STAT, "swap", ret_bytes);
}

int cgroup_read_usage(struct adapter *a, const struct guest *g, struct cgroup_usage *ret)
{
	struct cgroup_ctx *ctx = a->ctx;
	struct cgroup_usage u = { 0 };
	struct cgroup_node *node;
	size_t count;
	int r;

	cgroup_node_make_room(ctx);
	r = cgroup_node_guest(ctx, g, &node);
	if (r == 0)
		look_at_all(node);
	if (r == 0)
		r = read_cpu(ctx, node, &u);
	if (r == 0)
		r = read_memory(ctx, node, &u.memory_bytes);
	if (r == 0)
		r = read_swap(ctx, node, &u.swap_bytes);
	if (r == 0)
		r = read_threads(ctx, node, g, &u, &count);
	if (r < 0)
		return r;
	*ret = u;
	return 0;
}

/* ---- the parts of a sample: what cannot be read stays as it is ---- */

static int sample_run(struct cgroup_ctx *ctx, struct cgroup_node *node, const struct guest *g,
		      struct sample_guest *ret)
{
	struct cgroup_usage u = { 0 };
	size_t count;
	int r = read_threads(ctx, node, g, &u, &count);

	if (r < 0 || !count)
		return r;
	ret->run_ns = u.vcpu_run_ns;
	ret->wait_ns = u.vcpu_wait_ns;
	return 0;
}

static int sample_quotas(struct cgroup_ctx *ctx, struct cgroup_node *node, const struct guest *g,
			 struct sample_guest *ret)
{
	(void)ctx;
	(void)g;
	(void)ret;
	look_at_all(node);
	return 0;
}

static int sample_throttled(struct cgroup_ctx *ctx, struct cgroup_node *node, const struct guest *g,
			    struct sample_guest *ret)
{
	uint64_t sum = 0;
	int r = read_throttled(ctx, node, &sum);

	(void)g;
	if (r == 0)
		ret->throttled = sum;
	return r;
}

static int sample_memory(struct cgroup_ctx *ctx, struct cgroup_node *node, const struct guest *g,
			 struct sample_guest *ret)
{
	uint64_t bytes;
	int r = read_memory(ctx, node, &bytes);

	(void)g;
	if (r == 0)
		ret->memory_bytes = bytes;
	return r;
}

static int sample_swap(struct cgroup_ctx *ctx, struct cgroup_node *node, const struct guest *g,
		       struct sample_guest *ret)
{
	uint64_t bytes;
	int r = read_swap(ctx, node, &bytes);

	(void)g;
	if (r == 0)
		ret->swap_bytes = bytes;
	return r;
}

static int read_stall(struct cgroup_ctx *ctx, struct cgroup_node *node, enum cgroup_file file,
		      uint64_t *ret_us)
{
	char buf[256];
	int r;

	if (ctx->v1)
		return 0;
	r = cgroup_dir_read(&node->top[CGROUP_CPU], &ctx->fs, file, buf, sizeof(buf));
	if (r >= 0)
		(void)cgroup_text_psi_some(buf, ret_us);
	return r;
}

static int sample_memory_stall(struct cgroup_ctx *ctx, struct cgroup_node *node,
			       const struct guest *g, struct sample_guest *ret)
{
	(void)g;
	return read_stall(ctx, node, CGROUP_MEMORY_PRESSURE, &ret->memory_stall_us);
}

static int sample_disk_stall(struct cgroup_ctx *ctx, struct cgroup_node *node,
			     const struct guest *g, struct sample_guest *ret)
{
	(void)g;
	return read_stall(ctx, node, CGROUP_IO_PRESSURE, &ret->disk_stall_us);
}

int cgroup_sample(void *adapter, const struct guest *g, unsigned int parts,
		  struct sample_guest *ret)
{
	static const struct {
		enum sample_part part;
		int (*read)(struct cgroup_ctx *ctx, struct cgroup_node *node, const struct guest *g,
			    struct sample_guest *ret);
	} readers[] = {
		{ SAMPLE_RUN, sample_run },
		{ SAMPLE_QUOTAS, sample_quotas }, /* goes first */
		{ SAMPLE_THROTTLED, sample_throttled },
		{ SAMPLE_MEMORY, sample_memory },
		{ SAMPLE_SWAP, sample_swap },
		{ SAMPLE_MEMORY_STALL, sample_memory_stall },
		{ SAMPLE_DISK_STALL, sample_disk_stall },
	};
	struct cgroup_ctx *ctx = ((struct adapter *)adapter)->ctx;
	struct cgroup_node *node;
	int r;

	cgroup_node_make_room(ctx);
	r = cgroup_node_guest(ctx, g, &node);
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(readers); i++) {
		if (!(parts & readers[i].part))
			continue;
		r = readers[i].read(ctx, node, g, ret);
		if (r != -ENOENT)
			r = 0;
	}
	return r;
}
