/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * group_files - cgroups of guests as files in memory, or real ones below a cgroup v2 mount.
 */
#ifndef QOSD_T_GROUP_FILES_H
#define QOSD_T_GROUP_FILES_H

#include <ftw.h>
#include <sys/stat.h>

#include "t/unit/engine_bench.h"

/* What the kernel has put there stays. */
static inline void group_file(const char *dir, const char *name, const char *text)
{
	char path[600];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	if (access(path, F_OK) < 0)
		write_text(path, text);
}

static inline void group_level(const char *dir)
{
	char path[600];

	if (mkdir(dir, 0755) < 0)
		return;
	snprintf(path, sizeof(path), "%s/cgroup.subtree_control", dir);
	if (access(path, F_OK) == 0)
		write_text(path, "+cpu +memory");
}

static inline void group_path(char *path)
{
	for (char *p = strchr(path + 1, '/'); p; p = strchr(p + 1, '/')) {
		*p = '\0';
		group_level(path);
		*p = '/';
	}
	(void)mkdir(path, 0755);
}

static inline int group_remove(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	(void)remove(path); /* the kernel's own files go with their group */
	return 0;
}

static inline void group_files_make(const char *root, const struct guest *g)
{
	char dir[512];

	for (uint32_t v = 0; v < g->vcpus; v++) {
		snprintf(dir, sizeof(dir), "%s%s/vcpu%u", root, g->cgroup, v);
		group_path(dir);
		group_file(dir, "cpu.max", "max 100000\n");
		group_file(dir, "cpu.max.burst", "0\n");
		group_file(dir, "cgroup.threads", "1\n");
		group_file(dir, "cpu.stat", "usage_usec 0\nnr_throttled 0\n");
	}
	snprintf(dir, sizeof(dir), "%s%s", root, g->cgroup);
	group_file(dir, "cpu.weight", "100\n");
	group_file(dir, "memory.swap.max", "max\n");
	group_file(dir, "memory.min", "0\n");
	group_file(dir, "memory.low", "0\n");
	group_file(dir, "memory.current", "1073741824\n");
	group_file(dir, "memory.swap.current", "0\n");
	group_file(dir, "memory.pressure", "some avg10=0.00 avg60=0.00 avg300=0.00 total=0\n");
	group_file(dir, "io.pressure", "some avg10=0.00 avg60=0.00 avg300=0.00 total=0\n");
}

/* `root` is made if it is not there. */
static inline void group_files_begin(const char *root)
{
	char path[512];

	snprintf(path, sizeof(path), "%s/", root);
	group_path(path);
	group_file(root, "cgroup.controllers", "cpuset cpu memory\n");
}

static inline void group_files_end(const char *root)
{
	(void)nftw(root, group_remove, 16, FTW_DEPTH | FTW_PHYS);
}

#endif
