/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ceph_daemons - OSDs, monitors and managers that run on this host, from /proc and their sockets.
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "qosd/core/mem.h"
#include "qosd/core/rbd.h"
#include "qosd/host/ceph_asok.h"
#include "qosd/host/ceph_priv.h"

#define KIB UINT64_C(1024)

static void read_memory(int pid, struct rbd_osd *o)
{
	FILE *f CLEANUP(ceph_close_file) = ceph_open_proc(pid, "status");
	unsigned long long kib;
	char line[128];

	while (f && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "VmRSS: %llu", &kib) == 1)
			o->rss_bytes = kib * KIB;
		else if (sscanf(line, "VmHWM: %llu", &kib) == 1)
			o->peak_bytes = kib * KIB;
	}
}

/* Without tcmalloc, for all that can be seen: that takes CAP_SYS_PTRACE where it is not root's. */
static bool lacks_tcmalloc(int pid)
{
	FILE *f CLEANUP(ceph_close_file) = ceph_open_proc(pid, "maps");
	bool lacks = false;
	char line[512];

	while (f && fgets(line, sizeof(line), f)) {
		if (strstr(line, "tcmalloc"))
			return false;
		lacks = true;
	}
	return lacks;
}

/* "-i 3" or "--id 3" among its arguments. */
static void read_id(int pid, char *id, size_t size)
{
	FILE *f CLEANUP(ceph_close_file) = ceph_open_proc(pid, "cmdline");
	char text[1024];
	size_t len = f ? fread(text, 1, sizeof(text) - 1, f) : 0;

	text[len] = '\0';
	snprintf(id, size, "?");
	for (const char *p = text, *next; p < text + len; p = next) {
		next = p + strlen(p) + 1;
		if ((strcmp(p, "-i") == 0 || strcmp(p, "--id") == 0) && next < text + len)
			snprintf(id, size, "%.15s", next);
	}
}

static void read_target(int pid, struct rbd_osd *o)
{
	struct ceph_asok list[4];
	int n = ceph_asok_list(pid, list, ARRAY_SIZE(list));
	char text[32];

	for (int i = 0; i < n && !o->target_bytes; i++)
		if (ceph_asok_config_get(&list[i], "osd_memory_target", text, sizeof(text), NULL) ==
		    0)
			(void)rbd_parse(RBD_CACHE_SIZE, text, &o->target_bytes);
}

static void add_daemon(int pid, const char *comm, struct rbd_daemons *ret)
{
	struct rbd_osd *o;

	if (strcmp(comm, "ceph-mon") == 0)
		ret->nmons++;
	else if (strcmp(comm, "ceph-mgr") == 0)
		ret->nmgrs++;
	if (strcmp(comm, "ceph-osd") != 0 || ret->nosds == ARRAY_SIZE(ret->osds))
		return;
	o = &ret->osds[ret->nosds++];
	o->pid = pid;
	read_id(pid, o->id, sizeof(o->id));
	read_memory(pid, o);
	o->open_loop = lacks_tcmalloc(pid);
	read_target(pid, o);
}

void ceph_find_daemons(struct rbd_daemons *ret)
{
	DIR *dir = opendir("/proc");
	struct dirent *entry;

	memset(ret, 0, sizeof(*ret));
	while (dir && (entry = readdir(dir))) {
		int pid = atoi(entry->d_name);
		FILE *f CLEANUP(ceph_close_file) = pid > 0 ? ceph_open_proc(pid, "comm") : NULL;
		char comm[32] = "";

		if (!f || !fgets(comm, sizeof(comm), f) || strncmp(comm, "ceph-", 5) != 0)
			continue;
		comm[strcspn(comm, "\n")] = '\0';
		add_daemon(pid, comm, ret);
	}
	if (dir)
		closedir(dir);
}
