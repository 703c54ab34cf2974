/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ceph_process - what a guest's QEMU has of threads and descriptors, and what it may have.
 *
 * Descriptors: its soft limit. Threads: of the groups above it that bound them ("pids.max"), the
 * fullest, whose count is of all that is in it.
 */
#include <dirent.h>
#include <stdio.h>
#include <string.h>

#include "qosd/core/mem.h"
#include "qosd/host/ceph_priv.h"

void ceph_close_file(FILE **f)
{
	if (*f)
		fclose(*f);
}

FILE *ceph_open_proc(int pid, const char *name)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/%s", pid, name);
	return fopen(path, "re");
}

static uint64_t count_files(int pid)
{
	char path[64];
	DIR *dir;
	uint64_t n = 0;

	snprintf(path, sizeof(path), "/proc/%d/fd", pid);
	dir = opendir(path);
	for (struct dirent *entry; dir && (entry = readdir(dir));)
		n += entry->d_name[0] != '.';
	if (dir)
		closedir(dir);
	return n;
}

static uint64_t files_max(int pid)
{
	FILE *f CLEANUP(ceph_close_file) = ceph_open_proc(pid, "limits");
	unsigned long long soft;
	char line[160];

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "Max open files %llu", &soft) == 1)
			return soft;
	return 0; /* "unlimited" is no number */
}

/* Its group in the hierarchy that counts threads, below /sys/fs/cgroup. */
static bool find_group(int pid, char *path, size_t size)
{
	FILE *f CLEANUP(ceph_close_file) = ceph_open_proc(pid, "cgroup");
	char line[1024];
	bool found = false;

	while (f && fgets(line, sizeof(line), f)) {
		const char *v1 = strstr(line, ":pids:");
		const char *group = v1 ? v1 + 6 : strncmp(line, "0::", 3) == 0 ? line + 3 : NULL;

		line[strcspn(line, "\n")] = '\0';
		if (!group || strstr(group, "/../"))
			continue;
		snprintf(path, size, "/sys/fs/cgroup%s%s", v1 ? "/pids" : "", group);
		found = true;
		if (v1) /* a mixed host: the count is there */
			break;
	}
	return found;
}

static uint64_t read_count(const char *group, const char *name)
{
	char path[1200];
	unsigned long long value = 0;
	FILE *f;

	if ((size_t)snprintf(path, sizeof(path), "%s/%s", group, name) >= sizeof(path))
		return 0;
	f = fopen(path, "re");
	if (f && fscanf(f, "%llu", &value) != 1)
		value = 0; /* "max" */
	if (f)
		fclose(f);
	return value;
}

static void read_threads(int pid, struct rbd_process *ret)
{
	static const size_t root = sizeof("/sys/fs/cgroup") - 1;
	char group[1100];
	double fullest = 0;

	if (!find_group(pid, group, sizeof(group)))
		return;
	for (; strlen(group) > root; *strrchr(group, '/') = '\0') {
		uint64_t max = read_count(group, "pids.max");
		uint64_t now = max ? read_count(group, "pids.current") : 0;

		if (!max || (ret->threads_max && (double)now / (double)max <= fullest))
			continue;
		fullest = (double)now / (double)max;
		ret->threads = now;
		ret->threads_max = max;
	}
}

void ceph_process_read(int pid, struct rbd_process *ret)
{
	*ret = (struct rbd_process){ .pid = pid };
	if (pid <= 0)
		return;
	ret->files = count_files(pid);
	ret->files_max = files_max(pid);
	read_threads(pid, ret);
}
