/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What this host's cgroups can do, and what is missing with its fix. Looks only; never waits.
 *
 * Some files exist only below the root, so the first group that has the file they go with is asked.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "qosd/core/mem.h"
#include "qosd/host/cgroup_priv.h"
#include "qosd/host/cgroup_text.h"

#define TOPIC      "cgroup"
#define BUS_SOCKET "/run/dbus/system_bus_socket"

static void note(struct diag_list *list, enum diag_severity severity, const char *text,
		 const char *fix)
{
	diag_add(list, severity, NULL, 0, TOPIC, fix, "%s", text);
}

static bool has_word(const char *text, const char *word)
{
	size_t len = strlen(word);

	for (const char *p = text; *p; p += strcspn(p, " \n"), p += strspn(p, " \n"))
		if (strncmp(p, word, len) == 0 && strchr(" \n", p[len]))
			return true;
	return false;
}

/* Controllers that the children of `group` get. */
static void check_controllers(struct cgroup_ctx *ctx, const char *group, bool required,
			      struct diag_list *list)
{
	static const char *const controllers[] = { "cpu", "memory", "cpuset" };
	char path[128], text[512];

	snprintf(path, sizeof(path), "%s/cgroup.subtree_control", group);
	if (cgroup_read_path(ctx->root_fds[CGROUP_CPU], path, text, sizeof(text)) < 0) {
		if (required)
			note(list, DIAG_ERROR, "cgroup.subtree_control of the root cannot be read",
			     "mount cgroup2 at /sys/fs/cgroup");
		return;
	}
	for (size_t i = 0; i < ARRAY_SIZE(controllers); i++)
		if (!has_word(text, controllers[i]))
			diag_add(list, required ? DIAG_ERROR : DIAG_WARNING, NULL, 0, TOPIC,
				 "libvirt and systemd enable it when the kernel offers it: look at "
				 "cgroup.controllers above and at the kernel's command line",
				 "the %s controller is not enabled below %s", controllers[i],
				 strcmp(group, ".") == 0 ? "the root" : group);
}

/* 1: a group with `file` has `wanted`, too; 0: it has not; -ENOENT: no group with `file`. */
static int group_has(struct cgroup_ctx *ctx, enum cgroup_tree tree, const char *file,
		     const char *wanted)
{
	int fd = openat(ctx->root_fds[tree], ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;
	int found = -ENOENT;

	if (!dir) {
		if (fd >= 0)
			close(fd);
		return -ENOENT;
	}
	while (found < 0 && (entry = readdir(dir))) {
		char path[300];

		if (entry->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "%s/%s", entry->d_name, file);
		if (faccessat(fd, path, F_OK, 0) < 0)
			continue;
		snprintf(path, sizeof(path), "%s/%s", entry->d_name, wanted);
		found = faccessat(fd, path, F_OK, 0) == 0;
	}
	closedir(dir);
	return found;
}

static bool bus_answers(void)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX, .sun_path = BUS_SOCKET };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	bool ok = fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0;

	if (fd >= 0)
		close(fd);
	return ok;
}

static void probe_v2(struct cgroup_ctx *ctx, struct diag_list *list)
{
	note(list, DIAG_INFO, "cgroup v2", NULL);
	check_controllers(ctx, ".", true, list);
	check_controllers(ctx, "machine.slice", false, list);
	check_controllers(ctx, "machine", false, list);
	if (!ctx->recursive_min)
		note(list, DIAG_WARNING,
		     "cgroup2 is mounted without memory_recursiveprot, so that a group's protection "
		     "does not reach groups below it that have none of their own",
		     "mount -o remount,nsdelegate,memory_recursiveprot /sys/fs/cgroup");
	if (group_has(ctx, CGROUP_MEMORY, "memory.max", "memory.swap.max") == 0)
		note(list, DIAG_WARNING,
		     "memory.swap.max is missing: swap cannot be kept from a class",
		     "boot with swapaccount=1");
	if (group_has(ctx, CGROUP_CPU, "cpu.max", "cpu.max.burst") == 0)
		note(list, DIAG_INFO,
		     "this kernel has no cpu.max.burst: capped guests get no bursts",
		     "kernel 5.14 or later");
	if (group_has(ctx, CGROUP_CPU, "cpu.weight", "cpu.idle") == 0)
		note(list, DIAG_INFO, "this kernel has no cpu.idle: idle classes do not work",
		     "kernel 5.15 or later");
	if (group_has(ctx, CGROUP_MEMORY, "memory.max", "memory.reclaim") == 0)
		note(list, DIAG_WARNING,
		     "this kernel has no memory.reclaim: an overload of memory cannot be eased "
		     "step by step",
		     "kernel 5.19 or later");
	else if (!ctx->reclaimer)
		note(list, DIAG_INFO, "there is no thread to reclaim memory on", NULL);
}

static void probe_v1(struct cgroup_ctx *ctx, struct diag_list *list)
{
	note(list, DIAG_INFO, "cgroup v1", NULL);
	note(list, DIAG_WARNING,
	     "cgroup v1 cannot protect memory: a reservation is only a soft limit, without a "
	     "guarantee, and memory.low does not exist",
	     "boot with systemd.unified_cgroup_hierarchy=1");
	note(list, DIAG_INFO,
	     "cgroup v1 has no memory.reclaim, no cgroup.freeze and no cpu.idle: under overload "
	     "guests are neither reclaimed from nor frozen, and idle classes get the least weight",
	     "boot with systemd.unified_cgroup_hierarchy=1");
	if (group_has(ctx, CGROUP_CPU, "cpu.shares", "cpu.cfs_quota_us") == 0)
		note(list, DIAG_ERROR, "the kernel has no cpu.cfs_quota_us: CPU limits do not work",
		     "a kernel with CONFIG_CFS_BANDWIDTH");
}

void cgroup_probe(struct adapter *a, struct diag_list *list)
{
	struct cgroup_ctx *ctx = a->ctx;

	if (ctx->v1)
		probe_v1(ctx, list);
	else
		probe_v2(ctx, list);
	if (ctx->watch_error)
		diag_add(list, DIAG_WARNING, NULL, 0, TOPIC,
			 ctx->watch_error == EMFILE
				 ? "raise fs.inotify.max_user_instances (sysctl) and restart qosd"
			 : ctx->watch_error == ENOSPC
				 ? "raise fs.inotify.max_user_watches (sysctl) and restart qosd"
				 : "a kernel with CONFIG_INOTIFY_USER",
			 "inotify does not tell of vCPUs that are plugged (%s): such a one may be "
			 "without its limit for a minute",
			 strerror(ctx->watch_error));
	if (!ctx->booted)
		return;
	if (!ctx->worker)
		note(list, DIAG_ERROR, "there is no thread to ask systemd for what it owns", NULL);
	else if (!bus_answers())
		note(list, DIAG_ERROR,
		     "the system D-Bus does not answer at " BUS_SOCKET ": weights of guests and "
		     "reservations of slices cannot be set",
		     "systemctl start dbus.socket");
}
