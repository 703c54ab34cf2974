/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The adapter: finds the mounts, and hands each knob to the file that knows it.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "qosd/host/cgroup_priv.h"
#include "qosd/host/cgroup_systemd.h"
#include "qosd/host/cgroup_text.h"

#define OPEN_FILES_MAX 262144

/* ---- the vtable ---- */

static int adapter_read(struct adapter *a, const struct target *t, enum knob_id knob,
			struct knob_value *ret, struct qerr *err)
{
	struct cgroup_ctx *ctx = a->ctx;

	cgroup_node_make_room(ctx);
	if (knob != KNOB_CPU_MAX && knob != KNOB_CPU_MAX_BURST)
		return cgroup_knob_read(ctx, t, knob, ret, err);
	if (t->kind != TARGET_GUEST || !t->guest)
		return qerr_set(err, -EOPNOTSUPP, "%s is a guest's", knob_get(knob)->name);
	return knob == KNOB_CPU_MAX ? cgroup_quota_read(ctx, t->guest, ret, err)
				    : cgroup_burst_read(ctx, t->guest, ret, err);
}

static int adapter_apply(struct adapter *a, const struct change *c, uint64_t ticket,
			 struct qerr *err)
{
	struct cgroup_ctx *ctx = a->ctx;

	cgroup_node_make_room(ctx);
	if (c->to.type != knob_get(c->knob)->type)
		return qerr_set(err, -EINVAL, "%s takes another form of value",
				knob_get(c->knob)->name);
	if (c->knob != KNOB_CPU_MAX && c->knob != KNOB_CPU_MAX_BURST)
		return cgroup_knob_apply(ctx, c, ticket, err);
	if (c->target.kind != TARGET_GUEST || !c->target.guest)
		return qerr_set(err, -EOPNOTSUPP, "%s is a guest's", knob_get(c->knob)->name);
	return c->knob == KNOB_CPU_MAX ? cgroup_quota_apply(ctx, c->target.guest, &c->to, err)
				       : cgroup_burst_apply(ctx, c->target.guest, c->to.u64, err);
}

static void adapter_forget(struct adapter *a, const struct guest *g)
{
	struct cgroup_ctx *ctx = a->ctx;
	char scope[CGROUP_PATH_MAX];

	cgroup_node_drop_guest(ctx, g->id);
	if (g->cgroup && g->systemd && cgroup_text_parent(g->cgroup, scope, sizeof(scope)) == 0)
		cgroup_node_drop_path(ctx, scope);
}

static const struct adapter_ops ops = {
	.name = "cgroup",
	.probe = cgroup_probe,
	.read = adapter_read,
	.apply = adapter_apply,
	.forget = adapter_forget,
};

/* ---- making ---- */

static bool is_dir_below(const char *root, const char *name)
{
	char path[CGROUP_PATH_MAX];
	struct stat st;

	return (size_t)snprintf(path, sizeof(path), "%s/%s", root, name) < sizeof(path) &&
	       stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

static int join(const char *root, const char *name, char **ret)
{
	return asprintf(ret, "%s/%s", root, name) < 0 ? -ENOMEM : 0;
}

/* A given tree: v1 when it has one directory per controller, as /sys/fs/cgroup has there. */
static int given_roots(struct cgroup_ctx *ctx, const char *root)
{
	int r;

	ctx->v1 = is_dir_below(root, "cpu") && is_dir_below(root, "memory");
	if (ctx->v1) {
		r = join(root, "cpu", &ctx->roots[CGROUP_CPU]);
		return r < 0 ? r : join(root, "memory", &ctx->roots[CGROUP_MEMORY]);
	}
	ctx->roots[CGROUP_CPU] = strdup(root);
	ctx->roots[CGROUP_MEMORY] = strdup(root);
	return ctx->roots[CGROUP_CPU] && ctx->roots[CGROUP_MEMORY] ? 0 : -ENOMEM;
}

static int find_roots(struct cgroup_ctx *ctx, struct qerr *err)
{
	static const char *const controllers[CGROUP_TREES] = { "cpu", "memory" };
	struct statfs fs;
	int r = cgroup_lib_init(err);

	if (r < 0)
		return r;
	for (int i = 0; i < CGROUP_TREES; i++) {
		r = cgroup_lib_mount_point(controllers[i], &ctx->roots[i]);
		if (r < 0)
			return qerr_set(err, r,
					"the kernel's %s controller is not mounted; enable "
					"it (kernel parameter cgroup_enable=%s) and mount it",
					controllers[i], controllers[i]);
	}
	if (statfs(ctx->roots[CGROUP_CPU], &fs) < 0)
		return qerr_set(err, -errno, "cannot look at %s: %s", ctx->roots[CGROUP_CPU],
				strerror(errno));
	ctx->v1 = fs.f_type != CGROUP2_SUPER_MAGIC;
	return 0;
}

static int open_roots(struct cgroup_ctx *ctx, const char *proc, struct qerr *err)
{
	const char *const paths[] = { ctx->roots[CGROUP_CPU], ctx->roots[CGROUP_MEMORY], proc };
	int *const fds[] = { &ctx->root_fds[CGROUP_CPU], &ctx->root_fds[CGROUP_MEMORY],
			     &ctx->proc_fd };
	struct statfs fs;

	for (size_t i = 0; i < 3; i++) {
		*fds[i] = open(paths[i], O_PATH | O_DIRECTORY | O_CLOEXEC);
		if (*fds[i] < 0)
			return qerr_set(err, -errno, "cannot open %s: %s", paths[i],
					strerror(errno));
	}
	ctx->fs.plain = fstatfs(ctx->root_fds[CGROUP_CPU], &fs) == 0 &&
			fs.f_type != CGROUP2_SUPER_MAGIC && fs.f_type != CGROUP_SUPER_MAGIC;
	return 0;
}

/* Without this mount option a slice's surplus is nobody's; with it, it flows down. */
static void read_mount_options(struct cgroup_ctx *ctx)
{
	static const size_t size = 256 * 1024;
	char *text = malloc(size);

	if (text && cgroup_read_path(ctx->proc_fd, "self/mountinfo", text, size) > 0)
		ctx->recursive_min = cgroup_text_mount_option(text, ctx->roots[CGROUP_MEMORY],
							      "memory_recursiveprot");
	free(text);
}

/* Half of what the process may open is ours to keep open. */
static unsigned int open_files_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return 256;
	if (limit.rlim_cur == RLIM_INFINITY || limit.rlim_cur / 2 > OPEN_FILES_MAX)
		return OPEN_FILES_MAX;
	return (unsigned int)(limit.rlim_cur / 2);
}

static int setup(struct cgroup_ctx *ctx, const struct cgroup_config *config, struct qerr *err)
{
	int r;

	ctx->own_root = config->root != NULL;
	r = config->root ? given_roots(ctx, config->root) : find_roots(ctx, err);
	if (r < 0)
		return r == -ENOMEM ? qerr_set(err, r, "no memory for the cgroup adapter") : r;
	r = open_roots(ctx, config->proc ? config->proc : "/proc", err);
	if (r < 0)
		return r;
	read_mount_options(ctx);
	ctx->fs.limit = open_files_limit();
	ctx->booted = !ctx->own_root && sd_booted() > 0;
	ctx->worker = config->worker;
	ctx->reclaimer = config->reclaimer;
	ctx->systemd = cgroup_systemd_new();
	return ctx->systemd ? 0 : qerr_set(err, -ENOMEM, "no memory for the cgroup adapter");
}

int cgroup_new(const struct cgroup_config *config, struct adapter **ret, struct qerr *err)
{
	struct cgroup_ctx *ctx = calloc(1, sizeof(*ctx));
	int r;

	if (!ctx)
		return qerr_set(err, -ENOMEM, "no memory for the cgroup adapter");
	ctx->root_fds[CGROUP_CPU] = ctx->root_fds[CGROUP_MEMORY] = ctx->proc_fd = -1;
	cgroup_watch_open(ctx);
	ctx->adapter.ops = &ops;
	ctx->adapter.ctx = ctx;
	r = setup(ctx, config, err);
	if (r < 0) {
		cgroup_adapter_free(&ctx->adapter);
		return r;
	}
	*ret = &ctx->adapter;
	return 0;
}

void cgroup_adapter_free(struct adapter *a)
{
	struct cgroup_ctx *ctx;

	if (!a)
		return;
	ctx = a->ctx;
	cgroup_node_drop_all(ctx);
	cgroup_watch_close(ctx);
	for (int i = 0; i < CGROUP_TREES; i++) {
		if (ctx->root_fds[i] >= 0)
			close(ctx->root_fds[i]);
		free(ctx->roots[i]);
	}
	if (ctx->proc_fd >= 0)
		close(ctx->proc_fd);
	cgroup_systemd_unref(ctx->systemd);
	free(ctx);
}

bool cgroup_is_v1(const struct adapter *a)
{
	return ((const struct cgroup_ctx *)a->ctx)->v1;
}
