/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * libcgroup, as far as it is sound: finding the mounts, and setting single values of groups that
 * exist, with exactly the values to change. Never its read-modify-write (it writes back all that it
 * read), nor its create and delete (they would bring a group back that has just gone).
 *
 * The only file that includes libcgroup.h, whose `struct cgroup` and cgroup_free() are its own.
 */
#include <errno.h>
#include <libcgroup.h>
#include <stdlib.h>

#include "qosd/host/cgroup_priv.h"

/* libcgroup would print to standard output. */
static void say_nothing(void *user, int level, const char *fmt, va_list args)
{
	(void)user;
	(void)level;
	(void)fmt;
	(void)args;
}

int cgroup_lib_init(struct qerr *err)
{
	int r;

	cgroup_set_logger(say_nothing, CGROUP_LOG_ERROR, NULL);
	r = cgroup_init();
	if (r == 0)
		return 0;
	if (r == ECGROUPNOTMOUNTED)
		return qerr_set(
			err, -ENOENT,
			"no cgroup file system is mounted; mount cgroup2 at /sys/fs/cgroup");
	return qerr_set(err, -EIO, "libcgroup cannot read the cgroup mounts: %s",
			cgroup_strerror(r));
}

int cgroup_lib_mount_point(const char *controller, char **ret)
{
	switch (cgroup_get_subsys_mount_point(controller, ret)) {
	case 0:
		return 0;
	case ECGROUPNOTEXIST:
		return -ENOENT;
	default:
		return -EIO;
	}
}

static int set_value(struct cgroup *group, const char *controller, const char *file,
		     const char *text)
{
	struct cgroup_controller *c = cgroup_add_controller(group, controller);
	int r;

	if (!c)
		return -ENOMEM;
	if (cgroup_add_value_string(c, file, text) != 0)
		return -EINVAL;
	r = cgroup_modify_cgroup(group);
	if (r == 0)
		return 0;
	/* Only with this code does libcgroup hand on what the kernel said. */
	return r == ECGOTHER && cgroup_get_last_errno() > 0 ? -cgroup_get_last_errno() : -ENODATA;
}

int cgroup_lib_write(const char *path, const char *controller, const char *file, const char *text)
{
	struct cgroup *group;
	int r;

	while (*path == '/')
		path++;
	group = cgroup_new_cgroup(path);
	if (!group)
		return -ENOMEM;
	r = set_value(group, controller, file, text);
	cgroup_free(&group);
	return r;
}
