/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <ctype.h>
#include <errno.h>
#include <string.h>

#include "qosd/core/knob.h"
#include "qosd/core/mem.h"
#include "qosd/host/cgroup_text.h"

#define VCPU_INDEX_MAX 4096

/* Decimal digits at *p, which moves behind them. */
static int take_number(const char **p, uint64_t *ret)
{
	const char *s = *p;
	uint64_t v = 0;

	if (!isdigit((unsigned char)*s))
		return -EINVAL;
	for (; isdigit((unsigned char)*s); s++) {
		unsigned int digit = (unsigned int)(*s - '0');

		if (v > (UINT64_MAX - digit) / 10)
			return -ERANGE;
		v = v * 10 + digit;
	}
	*p = s;
	*ret = v;
	return 0;
}

static int take_number_or_max(const char **p, uint64_t *ret)
{
	if (strncmp(*p, "max", 3) != 0)
		return take_number(p, ret);
	*p += 3;
	*ret = KNOB_MAX;
	return 0;
}

static bool at_end(const char *p)
{
	return *p == '\0' || (p[0] == '\n' && p[1] == '\0');
}

/* The start of the next line, or NULL. */
static const char *next_line(const char *p)
{
	p = strchr(p, '\n');
	return p && p[1] ? p + 1 : NULL;
}

int cgroup_text_u64(const char *text, uint64_t *ret)
{
	uint64_t v;
	int r = take_number_or_max(&text, &v);

	if (r < 0)
		return r;
	if (!at_end(text))
		return -EINVAL;
	*ret = v;
	return 0;
}

int cgroup_text_quota(const char *text, uint64_t *ret_quota_us, uint64_t *ret_period_us)
{
	uint64_t quota, period;
	int r = take_number_or_max(&text, &quota);

	if (r < 0)
		return r;
	if (*text++ != ' ')
		return -EINVAL;
	r = take_number(&text, &period);
	if (r < 0)
		return r;
	if (!at_end(text))
		return -EINVAL;
	*ret_quota_us = quota;
	*ret_period_us = period;
	return 0;
}

int cgroup_text_v1_quota(const char *text, uint64_t *ret_quota_us)
{
	if (strncmp(text, "max", 3) == 0)
		return -EINVAL;
	if (text[0] != '-')
		return cgroup_text_u64(text, ret_quota_us);
	if (text[1] != '1' || !at_end(text + 2))
		return -EINVAL;
	*ret_quota_us = KNOB_MAX;
	return 0;
}

int cgroup_text_flat(const char *text, const char *key, uint64_t *ret)
{
	size_t len = strlen(key);

	for (const char *line = text; line; line = next_line(line)) {
		const char *p = line + len;
		uint64_t v;
		int r;

		if (strncmp(line, key, len) != 0 || *p != ' ')
			continue;
		p++;
		r = take_number(&p, &v);
		if (r < 0)
			return r;
		if (*p != '\n' && *p != '\0')
			return -EINVAL;
		*ret = v;
		return 0;
	}
	return -ENOENT;
}

int cgroup_text_psi_some(const char *text, uint64_t *ret_us)
{
	static const char total[] = " total=";

	for (const char *line = text; line; line = next_line(line)) {
		const char *p, *end = line + strcspn(line, "\n");
		uint64_t v;
		int r;

		if (strncmp(line, "some ", 5) != 0)
			continue;
		p = strstr(line, total);
		if (!p)
			return -EINVAL;
		p += sizeof(total) - 1;
		r = take_number(&p, &v);
		if (r < 0)
			return r;
		if (p != end) /* or it was on a later line */
			return -EINVAL;
		*ret_us = v;
		return 0;
	}
	return -ENOENT;
}

int cgroup_text_meminfo(const char *text, const char *key, uint64_t *ret_bytes)
{
	size_t len = strlen(key);

	for (const char *line = text; line; line = next_line(line)) {
		const char *p = line + len;
		uint64_t v;
		int r;

		if (strncmp(line, key, len) != 0 || *p != ':')
			continue;
		p++;
		p += strspn(p, " \t");
		r = take_number(&p, &v);
		if (r < 0)
			return r;
		if (strncmp(p, " kB", 3) != 0 || (p[3] != '\n' && p[3] != '\0'))
			return -EINVAL;
		if (v > UINT64_MAX / 1024)
			return -ERANGE;
		*ret_bytes = v * 1024;
		return 0;
	}
	return -ENOENT;
}

/* Is `word` one of the comma-separated words in [list, end)? */
static bool list_has(const char *list, const char *end, const char *word)
{
	size_t len = strlen(word);

	while (list < end) {
		const char *comma = memchr(list, ',', (size_t)(end - list));
		const char *stop = comma ? comma : end;

		if ((size_t)(stop - list) == len && memcmp(list, word, len) == 0)
			return true;
		list = stop + 1;
	}
	return false;
}

int cgroup_text_path(const char *text, const char *controller, char *buf, size_t size)
{
	static const char gone[] = " (deleted)";

	for (const char *line = text; line; line = next_line(line)) {
		const char *end = line + strcspn(line, "\n");
		const char *names = memchr(line, ':', (size_t)(end - line));
		const char *path = names ? memchr(names + 1, ':', (size_t)(end - names - 1)) : NULL;
		size_t len;

		if (!path)
			return -EINVAL;
		names++;
		if (controller ? !list_has(names, path, controller) : names != path)
			continue;
		path++;
		len = (size_t)(end - path);
		if (len == 0 || *path != '/')
			return -EINVAL;
		if (len >= sizeof(gone) &&
		    strncmp(end - (sizeof(gone) - 1), gone, sizeof(gone) - 1) == 0)
			return -ENOENT;
		if (len >= size)
			return -ENAMETOOLONG;
		memcpy(buf, path, len);
		buf[len] = '\0';
		return 0;
	}
	return -ENOENT;
}

int cgroup_text_start_ticks(const char *text, uint64_t *ret_ticks)
{
	/* "PID (COMMAND) STATE ...": the command ends at the last parenthesis; state is field 3. */
	const char *p = strrchr(text, ')');

	if (!p)
		return -EINVAL;
	p++;
	for (int field = 2; field < 22; field++) {
		if (field > 2)
			p += strcspn(p, " ");
		if (*p++ != ' ')
			return -EINVAL;
	}
	uint64_t v;
	int r = take_number(&p, &v);

	if (r < 0)
		return r;
	if (*p != ' ' && !at_end(p))
		return -EINVAL;
	*ret_ticks = v;
	return 0;
}

int cgroup_text_schedstat(const char *text, uint64_t *ret_run_ns, uint64_t *ret_wait_ns)
{
	uint64_t v[3];

	for (size_t i = 0; i < ARRAY_SIZE(v); i++) {
		int r;

		if (i > 0 && *text++ != ' ')
			return -EINVAL;
		r = take_number(&text, &v[i]);
		if (r < 0)
			return r;
	}
	if (!at_end(text))
		return -EINVAL;
	*ret_run_ns = v[0];
	*ret_wait_ns = v[1];
	return 0;
}

/* Field `index` (from 0) of the space-separated line at `line`; its length in *ret_len. */
static const char *line_field(const char *line, unsigned int index, size_t *ret_len)
{
	for (; index > 0; index--) {
		line += strcspn(line, " \n");
		if (*line != ' ')
			return NULL;
		line++;
	}
	*ret_len = strcspn(line, " \n");
	return line;
}

bool cgroup_text_mount_option(const char *text, const char *mount_point, const char *option)
{
	bool found = false;

	/* "ID PARENT MAJ:MIN ROOT MOUNTPOINT OPTIONS [TAGS...] - TYPE SOURCE SUPEROPTIONS" */
	for (const char *line = text; line; line = next_line(line)) {
		size_t len;
		const char *at = line_field(line, 4, &len);
		const char *end = line + strcspn(line, "\n");
		const char *dash;

		if (!at || len != strlen(mount_point) || memcmp(at, mount_point, len) != 0)
			continue;
		dash = strstr(at, " - ");
		if (!dash || dash > end)
			continue;
		at = line_field(dash + 3, 2, &len);
		/* The last mount at this place is the one that is seen. */
		found = at && list_has(at, at + len, option);
	}
	return found;
}

static bool is_part_of_guest(const char *name)
{
	static const char iothread[] = "iothread";
	unsigned int index;

	return strcmp(name, "emulator") == 0 || cgroup_text_vcpu_index(name, &index) == 0 ||
	       (strncmp(name, iothread, strlen(iothread)) == 0 &&
		isdigit((unsigned char)name[strlen(iothread)]));
}

bool cgroup_text_strip_to_top(char *path)
{
	char *slash = strrchr(path, '/');

	if (!slash || slash == path || !is_part_of_guest(slash + 1))
		return false;
	*slash = '\0';
	return true;
}

bool cgroup_text_is_guest(const char *path)
{
	static const char tail[] = ".libvirt-qemu", machine[] = "machine-";
	const char *slash = strrchr(path, '/');
	const char *name = slash ? slash + 1 : path;
	size_t len = strlen(name);

	return strcmp(name, "libvirt") == 0 || strncmp(name, machine, strlen(machine)) == 0 ||
	       (len > strlen(tail) && strcmp(name + len - strlen(tail), tail) == 0);
}

int cgroup_text_vcpu_index(const char *name, unsigned int *ret)
{
	uint64_t v;

	if (strncmp(name, "vcpu", 4) != 0)
		return -EINVAL;
	name += 4;
	if (take_number(&name, &v) < 0 || *name || v >= VCPU_INDEX_MAX)
		return -EINVAL;
	*ret = (unsigned int)v;
	return 0;
}

int cgroup_text_parent(const char *path, char *buf, size_t size)
{
	const char *slash = strrchr(path, '/');
	size_t len = slash && slash != path ? (size_t)(slash - path) : 1;

	if (len >= size)
		return -ENAMETOOLONG;
	memcpy(buf, slash ? path : "/", len);
	buf[len] = '\0';
	return 0;
}

const char *cgroup_text_unit(const char *path)
{
	static const char *const kinds[] = { ".scope", ".slice", ".service" };
	const char *name = strrchr(path, '/');
	size_t len;

	name = name ? name + 1 : path;
	/* systemd puts "_" before a name that would look like a file of the kernel's. */
	if (*name == '_')
		name++;
	len = strlen(name);
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		size_t kind_len = strlen(kinds[i]);

		if (len > kind_len && strcmp(name + len - kind_len, kinds[i]) == 0)
			return name;
	}
	return NULL;
}

/* Both defaults mean the same: 100 of cpu.weight is 1024 of cpu.shares. */
uint64_t cgroup_weight_to_shares(uint64_t weight)
{
	return (weight * 1024 + 50) / 100;
}

uint64_t cgroup_shares_to_weight(uint64_t shares)
{
	uint64_t weight =
		shares > UINT64_MAX / 200 ? UINT64_MAX / 1024 : (shares * 100 + 512) / 1024;

	return weight ? weight : 1;
}
