/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Nodes: the open directories of guests and of groups above them, found by guest id or by path.
 *
 * A guest's directories are opened once, right after its process has been checked to be the bound
 * one. From then on they name exactly this incarnation, whatever happens to the names.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "qosd/core/mem.h"
#include "qosd/host/cgroup_priv.h"
#include "qosd/host/cgroup_text.h"

static struct cgroup_node **bucket_of(struct cgroup_ctx *ctx, uint32_t guest_id, const char *path)
{
	uint32_t hash = guest_id * UINT32_C(2654435761);

	for (const char *p = path ? path : ""; *p; p++)
		hash = (hash ^ (unsigned char)*p) * UINT32_C(16777619);
	return &ctx->buckets[(hash >> 16 ^ hash) % CGROUP_BUCKETS];
}

/* Where the node hangs, or the end of its bucket. Exactly one key is given. */
static struct cgroup_node **find(struct cgroup_ctx *ctx, uint32_t guest_id, const char *path)
{
	struct cgroup_node **at = bucket_of(ctx, guest_id, path);

	for (; *at; at = &(*at)->next)
		if (path ? (*at)->path && strcmp((*at)->path, path) == 0
			 : (*at)->guest_id == guest_id)
			break;
	return at;
}

static void close_vcpus(struct cgroup_ctx *ctx, struct cgroup_node *node)
{
	for (size_t i = 0; i < node->nvcpus; i++)
		cgroup_dir_close(&node->vcpus[i].dir, &ctx->fs);
	free(node->vcpus);
	node->vcpus = NULL;
	node->nvcpus = 0;
}

static void close_threads(struct cgroup_ctx *ctx, struct cgroup_node *node)
{
	for (size_t i = 0; i < node->nthreads; i++)
		if (node->threads[i].fd >= 0) {
			close(node->threads[i].fd);
			atomic_fetch_sub(&ctx->fs.used, 1);
		}
	free(node->threads);
}

static void node_free(struct cgroup_ctx *ctx, struct cgroup_node *node)
{
	cgroup_watch_drop(ctx, node);
	close_vcpus(ctx, node);
	close_threads(ctx, node);
	for (int i = 0; i < CGROUP_TREES; i++)
		cgroup_dir_close(&node->top[i], &ctx->fs);
	cgroup_dir_close(&node->unit, &ctx->fs);
	free(node->path);
	free(node);
}

static void unlink_and_free(struct cgroup_ctx *ctx, struct cgroup_node **at)
{
	struct cgroup_node *node = *at;

	if (!node)
		return;
	*at = node->next;
	node_free(ctx, node);
}

void cgroup_node_drop_guest(struct cgroup_ctx *ctx, uint32_t guest_id)
{
	unlink_and_free(ctx, find(ctx, guest_id, NULL));
}

void cgroup_node_drop_path(struct cgroup_ctx *ctx, const char *path)
{
	unlink_and_free(ctx, find(ctx, 0, path));
}

void cgroup_node_drop_all(struct cgroup_ctx *ctx)
{
	for (size_t i = 0; i < CGROUP_BUCKETS; i++)
		while (ctx->buckets[i])
			unlink_and_free(ctx, &ctx->buckets[i]);
}

void cgroup_node_make_room(struct cgroup_ctx *ctx)
{
	if (atomic_load(&ctx->fs.used) >= ctx->fs.limit)
		cgroup_node_drop_all(ctx);
}

static struct cgroup_node *node_new(uint32_t guest_id, const char *path)
{
	struct cgroup_node *node = calloc(1, sizeof(*node));

	if (!node)
		return NULL;
	node->guest_id = guest_id;
	node->watch = -1;
	for (int i = 0; i < CGROUP_TREES; i++)
		cgroup_dir_init(&node->top[i]);
	cgroup_dir_init(&node->unit);
	if (path) {
		node->path = strdup(path);
		if (!node->path) {
			free(node);
			return NULL;
		}
	}
	return node;
}

static int vcpu_compare(const void *a, const void *b)
{
	const struct cgroup_vcpu *va = a, *vb = b;

	return va->index < vb->index ? -1 : va->index > vb->index;
}

/* Open one vCPU group and append it; one that has gone meanwhile is no error. */
static int add_vcpu(struct cgroup_ctx *ctx, struct cgroup_node *node, size_t *capacity,
		    const char *name, unsigned int index)
{
	struct cgroup_vcpu *v;
	int r = mem_grow(&node->vcpus, capacity, node->nvcpus + 1, sizeof(*node->vcpus));

	if (r < 0)
		return r;
	v = &node->vcpus[node->nvcpus];
	*v = (struct cgroup_vcpu){ .index = index };
	cgroup_dir_init(&v->dir);
	r = cgroup_dir_open(&v->dir, &ctx->fs, node->top[CGROUP_CPU].fd, name);
	if (r == 0)
		node->nvcpus++;
	return r == -ENOENT ? 0 : r;
}

int cgroup_node_scan_vcpus(struct cgroup_ctx *ctx, struct cgroup_node *node)
{
	int fd = openat(node->top[CGROUP_CPU].fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	size_t capacity = 0;
	struct dirent *entry;
	unsigned int index;
	DIR *dir;
	int r = 0;

	if (fd < 0)
		return errno == ENODEV ? -ENOENT : -errno;
	dir = fdopendir(fd);
	if (!dir) {
		r = -errno;
		close(fd);
		return r;
	}
	close_vcpus(ctx, node);
	while (r == 0 && (entry = readdir(dir)))
		if (cgroup_text_vcpu_index(entry->d_name, &index) == 0)
			r = add_vcpu(ctx, node, &capacity, entry->d_name, index);
	closedir(dir);
	if (node->nvcpus)
		qsort(node->vcpus, node->nvcpus, sizeof(*node->vcpus), vcpu_compare);
	return r;
}

int cgroup_weight_path(const struct guest *g, char *buf, size_t size)
{
	if (g->systemd && !cgroup_text_unit(g->cgroup))
		return cgroup_text_parent(g->cgroup, buf, size);
	if (strlen(g->cgroup) >= size)
		return -ENAMETOOLONG;
	strcpy(buf, g->cgroup);
	return 0;
}

static int open_guest(struct cgroup_ctx *ctx, struct cgroup_node *node, const struct guest *g)
{
	char path[CGROUP_PATH_MAX];
	int r = cgroup_dir_open(&node->top[CGROUP_CPU], &ctx->fs, ctx->root_fds[CGROUP_CPU],
				g->cgroup);

	if (r == 0 && ctx->v1 && g->cgroup_memory)
		r = cgroup_dir_open(&node->top[CGROUP_MEMORY], &ctx->fs,
				    ctx->root_fds[CGROUP_MEMORY], g->cgroup_memory);
	if (r == 0)
		r = cgroup_weight_path(g, path, sizeof(path));
	if (r == 0 && strcmp(path, g->cgroup) != 0)
		r = cgroup_dir_open(&node->unit, &ctx->fs, ctx->root_fds[CGROUP_CPU], path);
	if (r == 0) {
		cgroup_watch_add(ctx, node); /* before the look: nothing is missed between */
		r = cgroup_node_scan_vcpus(ctx, node);
	}
	/* Last: the process lives, so all that was opened is its own. */
	return r < 0 ? r : cgroup_proc_check(ctx, g);
}

int cgroup_node_guest(struct cgroup_ctx *ctx, const struct guest *g, struct cgroup_node **ret)
{
	struct cgroup_node **at = find(ctx, g->id, NULL);
	struct cgroup_node *node = *at;
	int r;

	if (node) {
		*ret = node;
		/* A vCPU was plugged or unplugged since. */
		return node->nvcpus == g->vcpus ? 0 : cgroup_node_scan_vcpus(ctx, node);
	}
	if (!g->cgroup || !g->id)
		return -ENOENT;
	node = node_new(g->id, NULL);
	if (!node)
		return -ENOMEM;
	r = open_guest(ctx, node, g);
	if (r < 0) {
		node_free(ctx, node);
		return r;
	}
	*at = node;
	*ret = node;
	return 0;
}

int cgroup_node_path(struct cgroup_ctx *ctx, const char *path, struct cgroup_node **ret)
{
	enum cgroup_tree tree = cgroup_memory_tree(ctx);
	struct cgroup_node **at = find(ctx, 0, path);
	struct cgroup_node *node = *at;
	int r;

	if (node) {
		*ret = node;
		return 0;
	}
	node = node_new(0, path);
	if (!node)
		return -ENOMEM;
	r = cgroup_dir_open(&node->top[tree], &ctx->fs, ctx->root_fds[tree], path);
	if (r < 0) {
		node_free(ctx, node);
		return r;
	}
	*at = node;
	*ret = node;
	return 0;
}
