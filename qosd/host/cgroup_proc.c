/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * From a QEMU process to its groups and vCPU threads, and what else /proc tells.
 *
 * A process id may be used again at any time: the start time is read before and after the rest, so
 * that what is filled in belongs to one process. Thread safe: uses only what never changes.
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

static int read_proc(const struct cgroup_ctx *ctx, int pid, const char *file, char *buf,
		     size_t size)
{
	char path[64];
	int r;

	snprintf(path, sizeof(path), "%d/%s", pid, file);
	r = cgroup_read_path(ctx->proc_fd, path, buf, size);
	return r == -ENOENT ? -ESRCH : r;
}

static int start_ticks(const struct cgroup_ctx *ctx, int pid, uint64_t *ret)
{
	char buf[1024];
	int r = read_proc(ctx, pid, "stat", buf, sizeof(buf));

	return r < 0 ? r : cgroup_text_start_ticks(buf, ret);
}

int cgroup_proc_check(struct cgroup_ctx *ctx, const struct guest *g)
{
	uint64_t ticks;
	int r;

	if (!g->pid)
		return 0;
	r = start_ticks(ctx, g->pid, &ticks);
	if (r < 0)
		return r;
	return ticks == g->start_ticks ? 0 : -ESRCH;
}

/* The guest's top group in one hierarchy; caller frees. */
static int top_group(const char *text, const char *controller, char **ret)
{
	char path[CGROUP_PATH_MAX];
	int r = cgroup_text_path(text, controller, path, sizeof(path));

	if (r < 0)
		return r;
	/* A QEMU that shares its group with others (a login session's) is nothing to set values on.
	 */
	if (!cgroup_text_strip_to_top(path) && !cgroup_text_is_guest(path))
		return -ENOENT;
	*ret = strdup(path);
	return *ret ? 0 : -ENOMEM;
}

static int bind_groups(const struct cgroup_ctx *ctx, struct guest *g)
{
	char text[CGROUP_TEXT_MAX], parent[CGROUP_PATH_MAX];
	const char *unit;
	int r = read_proc(ctx, g->pid, "cgroup", text, sizeof(text));

	if (r < 0)
		return r;
	mem_free_ptr(&g->cgroup);
	mem_free_ptr(&g->cgroup_memory);
	g->cgroup = g->cgroup_memory = NULL;
	r = top_group(text, ctx->v1 ? "cpu" : NULL, &g->cgroup);
	if (r < 0)
		return r;
	r = top_group(text, ctx->v1 ? "memory" : NULL, &g->cgroup_memory);
	if (r < 0)
		return r;
	r = cgroup_text_parent(g->cgroup, parent, sizeof(parent));
	if (r < 0)
		return r;
	unit = cgroup_text_unit(parent);
	g->systemd = unit && strcmp(unit + strlen(unit) - strlen(".scope"), ".scope") == 0;
	return 0;
}

/* The thread in the group of one vCPU, or -1 when there is none. */
static int thread_of(const struct cgroup_ctx *ctx, int top_fd, const char *vcpu)
{
	char path[300], buf[CGROUP_TEXT_MAX];
	int tid;

	snprintf(path, sizeof(path), "%s/%s", vcpu, ctx->v1 ? "tasks" : "cgroup.threads");
	if (cgroup_read_path(top_fd, path, buf, sizeof(buf)) <= 0)
		return -1;
	tid = atoi(buf);
	return tid > 0 ? tid : -1;
}

static int note_thread(struct guest *g, size_t *capacity, unsigned int index, int tid)
{
	int r = mem_grow(&g->vcpu_tids, capacity, index + 1, sizeof(*g->vcpu_tids));

	if (r < 0)
		return r;
	while (g->nvcpu_tids <= index)
		g->vcpu_tids[g->nvcpu_tids++] = -1;
	g->vcpu_tids[index] = tid;
	return 0;
}

static int bind_threads(const struct cgroup_ctx *ctx, struct guest *g)
{
	const char *path = g->cgroup + strspn(g->cgroup, "/");
	int fd = openat(ctx->root_fds[CGROUP_CPU], *path ? path : ".",
			O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	size_t capacity = 0;
	struct dirent *entry;
	unsigned int index;
	int r = 0;

	if (!dir) {
		r = -errno;
		if (fd >= 0)
			close(fd);
		return r;
	}
	mem_free_ptr(&g->vcpu_tids);
	g->vcpu_tids = NULL;
	g->nvcpu_tids = 0;
	while (r == 0 && (entry = readdir(dir)))
		if (cgroup_text_vcpu_index(entry->d_name, &index) == 0)
			r = note_thread(g, &capacity, index, thread_of(ctx, fd, entry->d_name));
	closedir(dir);
	return r;
}

int cgroup_bind_guest(void *adapter, struct guest *g)
{
	const struct cgroup_ctx *ctx = ((const struct adapter *)adapter)->ctx;
	uint64_t before, after;
	int r;

	if (g->pid <= 0)
		return -ESRCH;
	r = start_ticks(ctx, g->pid, &before);
	if (r < 0)
		return r;
	r = bind_groups(ctx, g);
	if (r < 0)
		return r;
	r = bind_threads(ctx, g);
	if (r < 0)
		return r;
	r = start_ticks(ctx, g->pid, &after);
	if (r < 0)
		return r;
	if (before != after)
		return -ESRCH;
	g->start_ticks = after;
	return 0;
}

int cgroup_read_meminfo(struct adapter *a, uint64_t *ret_total, uint64_t *ret_available)
{
	const struct cgroup_ctx *ctx = a->ctx;
	char buf[8192];
	uint64_t total, available;
	int r = cgroup_read_path(ctx->proc_fd, "meminfo", buf, sizeof(buf));

	if (r < 0)
		return r;
	r = cgroup_text_meminfo(buf, "MemTotal", &total);
	if (r < 0)
		return r;
	r = cgroup_text_meminfo(buf, "MemAvailable", &available);
	if (r < 0)
		return r;
	*ret_total = total;
	*ret_available = available;
	return 0;
}
