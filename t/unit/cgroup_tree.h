/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cgroup_tree - ordinary files in a temporary directory that look like cgroup v2 or v1 with one
 * guest of two vCPUs, and a /proc to match; and knobs of it as texts.
 */
#ifndef QOSD_T_CGROUP_TREE_H
#define QOSD_T_CGROUP_TREE_H

#include <errno.h>
#include <ftw.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "harness.h"
#include "qosd/host/cgroup.h"

#define TOP_V2 "/machine.slice/a.scope/libvirt"
#define TOP_V1 "/machine/qemu-1-a.libvirt-qemu"
#define MIB    (UINT64_C(1024) * 1024)

/* ---- a tree ---- */

struct tree {
	char root[64];
	struct adapter *adapter;
	struct guest *guest;
};

static inline void make_dirs(char *path)
{
	for (char *p = strchr(path + 1, '/'); p; p = strchr(p + 1, '/')) {
		*p = '\0';
		mkdir(path, 0755);
		*p = '/';
	}
}

__attribute__((format(printf, 3, 4))) static inline void put(const struct tree *t, const char *file,
							     const char *fmt, ...)
{
	char path[512];
	va_list args;
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", t->root, file);
	make_dirs(path);
	f = fopen(path, "w");
	if (!f)
		abort();
	va_start(args, fmt);
	vfprintf(f, fmt, args);
	va_end(args);
	fclose(f);
}

static inline const char *get(const struct tree *t, const char *file)
{
	static char text[1024];
	char path[512];
	size_t len;
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", t->root, file);
	f = fopen(path, "r");
	if (!f)
		return "(none)";
	len = fread(text, 1, sizeof(text) - 1, f);
	fclose(f);
	text[len] = '\0';
	if (len && text[len - 1] == '\n')
		text[len - 1] = '\0';
	return text;
}

static inline int remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	(void)st;
	(void)flag;
	(void)ftw;
	return remove(path);
}

static inline void remove_below(const struct tree *t, const char *name)
{
	char path[512];

	snprintf(path, sizeof(path), "%s/%s", t->root, name);
	nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static inline void put_process(const struct tree *t, const char *groups)
{
	put(t, "proc/self/mountinfo",
	    "30 24 0:26 / %s/cg rw - cgroup2 cgroup2 rw,nsdelegate,memory_recursiveprot\n",
	    t->root);
	put(t, "proc/meminfo", "MemTotal: 4096 kB\nMemAvailable: 1024 kB\n");
	put(t, "proc/50/stat",
	    "50 (qemu (x) S 1) S 1 50 50 0 -1 1 1 0 0 0 2 1 0 0 20 0 6 0 1239 1 2\n");
	put(t, "proc/50/cgroup", "%s", groups);
	put(t, "proc/50/task/60/schedstat", "1000 200 3\n");
	put(t, "proc/50/task/61/schedstat", "2000 400 3\n");
}

static inline void put_v2_vcpu(const struct tree *t, int vcpu, const char *quota)
{
	char file[128];

	snprintf(file, sizeof(file), "cg" TOP_V2 "/vcpu%d/cpu.max", vcpu);
	put(t, file, "%s\n", quota);
	snprintf(file, sizeof(file), "cg" TOP_V2 "/vcpu%d/cpu.max.burst", vcpu);
	put(t, file, "0\n");
	snprintf(file, sizeof(file), "cg" TOP_V2 "/vcpu%d/cpu.stat", vcpu);
	put(t, file, "usage_usec 10\nnr_throttled %d\n", vcpu + 1);
	snprintf(file, sizeof(file), "cg" TOP_V2 "/vcpu%d/cgroup.threads", vcpu);
	put(t, file, "%d\n", 60 + vcpu);
}

static inline void put_memory(const struct tree *t, const char *group, uint64_t min,
			      uint64_t current)
{
	char file[128];

	snprintf(file, sizeof(file), "cg%s/memory.min", group);
	put(t, file, "%llu\n", (unsigned long long)min);
	snprintf(file, sizeof(file), "cg%s/memory.current", group);
	put(t, file, "%llu\n", (unsigned long long)current);
}

static inline void put_v2(const struct tree *t)
{
	put(t, "cg/cgroup.controllers", "cpuset cpu memory\n");
	put(t, "cg/cgroup.subtree_control", "cpuset cpu memory\n");
	put_memory(t, "/machine.slice", 0, 400 * MIB);
	put_memory(t, "/machine.slice/a.scope", 0, 300 * MIB);
	put_memory(t, TOP_V2, 0, 300 * MIB);
	put(t, "cg/machine.slice/memory.low", "0\n");
	put(t, "cg/machine.slice/a.scope/cpu.weight", "100\n");
	put(t, "cg" TOP_V2 "/cpu.weight", "100\n");
	put(t, "cg" TOP_V2 "/cpu.stat", "usage_usec 5000\nnr_throttled 0\n");
	put(t, "cg" TOP_V2 "/memory.low", "0\n");
	put(t, "cg" TOP_V2 "/memory.swap.max", "max\n");
	put(t, "cg" TOP_V2 "/memory.swap.current", "4096\n");
	put(t, "cg" TOP_V2 "/emulator/cpu.max", "max 100000\n");
	put_v2_vcpu(t, 0, "max 100000");
	put_v2_vcpu(t, 1, "max 100000");
	put_process(t, "0::" TOP_V2 "/emulator\n");
}

static inline void put_v1(const struct tree *t)
{
	static const char *const vcpus[] = { "vcpu0", "vcpu1" };
	char file[128];

	for (size_t i = 0; i < ARRAY_SIZE(vcpus); i++) {
		snprintf(file, sizeof(file), "cg/cpu" TOP_V1 "/%s/cpu.cfs_quota_us", vcpus[i]);
		put(t, file, "-1\n");
		snprintf(file, sizeof(file), "cg/cpu" TOP_V1 "/%s/cpu.cfs_period_us", vcpus[i]);
		put(t, file, "100000\n");
		snprintf(file, sizeof(file), "cg/cpu" TOP_V1 "/%s/tasks", vcpus[i]);
		put(t, file, "%zu\n", 60 + i);
	}
	put(t, "cg/cpu" TOP_V1 "/cpu.shares", "1024\n");
	put(t, "cg/cpu" TOP_V1 "/cpuacct.usage", "5000000\n");
	put(t, "cg/memory" TOP_V1 "/memory.soft_limit_in_bytes", "9223372036854771712\n");
	put(t, "cg/memory" TOP_V1 "/memory.swappiness", "60\n");
	put(t, "cg/memory/machine/memory.swappiness", "40\n");
	put(t, "cg/memory" TOP_V1 "/memory.usage_in_bytes", "8192\n");
	put(t, "cg/memory" TOP_V1 "/memory.stat", "cache 1\nswap 4096\n");
	put_process(t, "3:cpu,cpuacct:" TOP_V1 "/emulator\n2:memory:" TOP_V1 "\n");
}

static inline struct guest *new_guest(uint32_t id, int pid)
{
	struct guest *g = guest_new();

	g->id = id;
	g->pid = pid;
	g->name = strdup("a");
	g->vcpus = 2;
	return g;
}

static inline void tree_open(struct tree *t, void (*fill)(const struct tree *t))
{
	char cg[128], proc[128];
	struct cgroup_config config = { .root = cg, .proc = proc };
	struct qerr err = { 0 };

	strcpy(t->root, "/tmp/qosd-cgroup-XXXXXX");
	if (!mkdtemp(t->root))
		abort();
	fill(t);
	snprintf(cg, sizeof(cg), "%s/cg", t->root);
	snprintf(proc, sizeof(proc), "%s/proc", t->root);
	CU_ASSERT_EQUAL_FATAL(cgroup_new(&config, &t->adapter, &err), 0);
	t->guest = new_guest(1, 50);
	CU_ASSERT_EQUAL_FATAL(cgroup_bind_guest(t->adapter, t->guest), 0);
}

static inline void tree_close(struct tree *t)
{
	cgroup_adapter_free(t->adapter);
	guest_unref(t->guest);
	nftw(t->root, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* ---- knobs as texts ---- */

static inline struct target target_of(const struct tree *t, const char *group)
{
	if (group)
		return (struct target){ .kind = TARGET_CGROUP, .path = group };
	return (struct target){ .kind = TARGET_GUEST, .guest_id = t->guest->id, .guest = t->guest };
}

static inline const char *read_knob(const struct tree *t, const char *group, enum knob_id knob)
{
	static char text[KNOB_TEXT_MAX];
	const struct target target = target_of(t, group);
	struct qerr err = { 0 };
	struct knob_value v;
	int r = t->adapter->ops->read(t->adapter, &target, knob, &v, &err);

	if (r == 0)
		return knob_value_format(&v, text, sizeof(text));
	CU_ASSERT_EQUAL(err.code, r);
	snprintf(text, sizeof(text), "%s", strerrorname_np(-r));
	return text;
}

static inline int apply_knob(const struct tree *t, const char *group, enum knob_id knob,
			     const char *value)
{
	struct change c = { .target = target_of(t, group), .knob = knob };
	struct qerr err = { 0 };
	struct cpuset room;
	int r;

	CU_ASSERT_EQUAL_FATAL(knob_value_parse(knob_get(knob)->type, value, &room, &c.to), 0);
	r = t->adapter->ops->apply(t->adapter, &c, 1, &err);
	CU_ASSERT_EQUAL(err.code, r);
	return r;
}

/* Apply, and find the same value when reading. */
static inline void round_trip(const struct tree *t, const char *group, enum knob_id knob,
			      const char *value)
{
	CU_ASSERT_EQUAL(apply_knob(t, group, knob, value), 0);
	ASSERT_STR(read_knob(t, group, knob), value);
}

#endif
