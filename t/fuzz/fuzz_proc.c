/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fuzz_proc - any bytes as what the kernel shows of processes and groups.
 *
 * The first byte chooses the parser. What was accepted must keep what cgroup_text.h promises, and
 * a result is touched only on success.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "qosd/core/knob.h"
#include "qosd/core/mem.h"
#include "qosd/host/cgroup_text.h"

#define UNTOUCHED UINT64_C(0x5a5a5a5a5a5a5a5a)
#define PATH_SIZE 64

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void demand(bool holds)
{
	if (!holds)
		abort();
}

/* A failed parse leaves the result as it was. */
static void check_u64(int r, uint64_t v)
{
	demand(r == 0 || (r < 0 && v == UNTOUCHED));
}

static void number(const char *text)
{
	uint64_t v = UNTOUCHED;

	check_u64(cgroup_text_u64(text, &v), v);
}

static void quota(const char *text)
{
	uint64_t quota_us = UNTOUCHED, period_us = UNTOUCHED;
	int r = cgroup_text_quota(text, &quota_us, &period_us);

	check_u64(r, quota_us);
	check_u64(r, period_us);
	quota_us = UNTOUCHED;
	check_u64(cgroup_text_v1_quota(text, &quota_us), quota_us);
}

static void keyed(const char *text)
{
	uint64_t v = UNTOUCHED;

	check_u64(cgroup_text_flat(text, "nr_throttled", &v), v);
	v = UNTOUCHED;
	check_u64(cgroup_text_flat(text, "swap", &v), v);
	v = UNTOUCHED;
	check_u64(cgroup_text_meminfo(text, "MemAvailable", &v), v);
}

static void group(const char *text)
{
	static const char *const controllers[] = { NULL, "cpu", "memory" };
	char path[PATH_SIZE], parent[PATH_SIZE];
	const char *unit;

	for (size_t i = 0; i < ARRAY_SIZE(controllers); i++) {
		memset(path, 'x', sizeof(path));
		if (cgroup_text_path(text, controllers[i], path, sizeof(path)) < 0) {
			demand(path[0] == 'x');
			continue;
		}
		demand(memchr(path, '\0', sizeof(path)) && path[0] == '/' && !strchr(path, '\n'));
		cgroup_text_strip_to_top(path);
		demand(path[0] == '/');
		cgroup_text_is_guest(path);
		demand(cgroup_text_parent(path, parent, sizeof(parent)) == 0);
		demand(parent[0] == '/' && strncmp(path, parent, strlen(parent)) == 0);
		unit = cgroup_text_unit(path);
		demand(!unit || (unit > path && unit < path + strlen(path)));
	}
}

static void process(const char *text)
{
	uint64_t v = UNTOUCHED, run = UNTOUCHED, wait = UNTOUCHED;
	int r;

	check_u64(cgroup_text_start_ticks(text, &v), v);
	r = cgroup_text_schedstat(text, &run, &wait);
	check_u64(r, run);
	check_u64(r, wait);
}

static void names(const char *text)
{
	unsigned int index = 7777;

	demand(cgroup_text_vcpu_index(text, &index) == 0 ? index < 4096 : index == 7777);
	cgroup_text_mount_option(text, "/sys/fs/cgroup", "memory_recursiveprot");
	cgroup_text_mount_option(text, "/", "rw");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static void (*const parsers[])(
		const char *) = { number, quota, keyed, group, process, names };
	char *text;

	if (size == 0)
		return 0;
	text = strndup((const char *)data + 1, size - 1);
	if (!text)
		return 0;
	parsers[data[0] % ARRAY_SIZE(parsers)](text);
	free(text);
	return 0;
}
