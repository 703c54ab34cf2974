/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * net_pin - two builds have the same program if the kernel's tag (a digest of the instructions) is
 * the same. To know the tag of ours it must be loaded, which touches nothing.
 */
#include "qosd/host/net_pin.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#define BPFFS_MAGIC 0xcafe4a11L

void net_pin_close(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

int net_pin_prog_info(int fd, struct bpf_prog_info *info)
{
	uint32_t size = sizeof(*info);

	memset(info, 0, sizeof(*info));
	return bpf_obj_get_info_by_fd(fd, info, &size) < 0 ? -errno : 0;
}

char *net_pin_path(const char *dir, const char *name, char buf[NET_PIN_PATH_BYTES])
{
	snprintf(buf, NET_PIN_PATH_BYTES, "%s/%s", dir, name);
	return buf;
}

/* ---- directories ---- */

static int make_dir(const char *path, struct qerr *err)
{
	if (mkdir(path, 0700) == 0 || errno == EEXIST)
		return 0;
	return qerr_set(err, -errno, "cannot create %s: %s", path, strerror(errno));
}

static void parent_of(const char *dir, char parent[NET_PIN_DIR_BYTES])
{
	snprintf(parent, NET_PIN_DIR_BYTES, "%s", dir);
	*strrchr(parent, '/') = '\0';
}

int net_pin_make_dirs(const char *dir, struct qerr *err)
{
	char parent[NET_PIN_DIR_BYTES];
	struct statfs fs;
	int r;

	parent_of(dir, parent);
	r = make_dir(parent, err);
	if (r < 0)
		return r;
	if (statfs(parent, &fs) < 0 || fs.f_type != BPFFS_MAGIC) {
		rmdir(parent);
		return qerr_set(err, -ENOTSUP,
				"%s is not on bpffs; run: mount -t bpf bpf /sys/fs/bpf", parent);
	}
	return make_dir(dir, err);
}

/* ---- pins ---- */

int net_pin_replace(const char *dir, const char *name, int fd, struct qerr *err)
{
	char path[NET_PIN_PATH_BYTES], fresh[NET_PIN_PATH_BYTES];

	net_pin_path(dir, name, path);
	net_pin_path(dir, "new", fresh);
	unlink(fresh);
	if (bpf_obj_pin(fd, fresh) < 0 || rename(fresh, path) < 0)
		return qerr_set(err, -errno, "cannot pin %s: %s", path, strerror(errno));
	return 0;
}

int net_pin_settle(const char *dir, const char *name, int fresh_fd, int *fd, uint32_t *id,
		   bool *ret_replaced, struct qerr *err)
{
	struct bpf_prog_info fresh, old;
	int r = net_pin_prog_info(fresh_fd, &fresh);

	if (r < 0)
		return qerr_set(err, r, "cannot inspect the program %s", name);
	if (*fd >= 0 && net_pin_prog_info(*fd, &old) == 0) {
		if (memcmp(fresh.tag, old.tag, sizeof(old.tag)) == 0)
			return 0;
		*ret_replaced = true;
	}
	r = net_pin_replace(dir, name, fresh_fd, err);
	if (r < 0)
		return r;
	net_pin_close(fd);
	*fd = fcntl(fresh_fd, F_DUPFD_CLOEXEC, 0);
	if (*fd < 0)
		return qerr_set(err, -errno, "cannot keep the program %s: %s", name,
				strerror(errno));
	*id = fresh.id;
	return 0;
}

int net_pin_remove(const char *dir, const char *const *names, size_t count, struct qerr *err)
{
	char path[NET_PIN_PATH_BYTES], parent[NET_PIN_DIR_BYTES];

	for (size_t i = 0; i < count; i++)
		if (unlink(net_pin_path(dir, names[i], path)) < 0 && errno != ENOENT)
			return qerr_set(err, -errno, "cannot remove %s: %s", path, strerror(errno));
	unlink(net_pin_path(dir, "new", path));
	if (rmdir(dir) < 0 && errno != ENOENT)
		return qerr_set(err, -errno, "cannot remove %s: %s", dir, strerror(errno));
	parent_of(dir, parent);
	rmdir(parent); /* stays when something else is in it */
	return 0;
}

/* ---- libbpf's own words ---- */

static int silent(enum libbpf_print_level level, const char *format, va_list args)
{
	(void)level;
	(void)format;
	(void)args;
	return 0;
}

libbpf_print_fn_t net_pin_hush(void)
{
	return libbpf_set_print(silent);
}
