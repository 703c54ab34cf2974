/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * net_carry - reads an older layout's limits, of which only rate and flags must be known; since
 * layout 3, whose `cfg` is an array, also whose an entry is.
 */
#include "qosd/host/net_carry.h"

#include <bpf/bpf.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define VALUE_BYTES_MAX 4096

/* The directory of a layout, beside that of b. */
static char *old_dir(const struct net_bpf *b, int layout, char path[sizeof(b->dir)])
{
	memcpy(path, b->dir, sizeof(b->dir));
	snprintf(strrchr(path, 'v'), 8, "v%d", layout);
	return path;
}

bool net_carry_pending(const struct net_bpf *b)
{
	char path[sizeof(b->dir)];

	for (int layout = 0; layout < EDT_LAYOUT; layout++)
		if (access(old_dir(b, layout, path), F_OK) == 0)
			return true;
	return false;
}

/* Whose entry it is; 0: nobody's. */
static uint32_t owner_of(const struct bpf_map_info *info, uint32_t place, const char *value)
{
	uint32_t key = place;

	if (info->type == BPF_MAP_TYPE_ARRAY)
		memcpy(&key, value + offsetof(struct edt_cfg, key), sizeof(key));
	return key;
}

/* One limit, unless the new maps have it already. */
static int carry_one(struct net_bpf *b, uint32_t key, const char *value, struct qerr *err)
{
	struct edt_cfg cfg;
	uint64_t rate_bps;
	uint32_t flags;

	memcpy(&rate_bps, value + offsetof(struct edt_cfg, rate_bps), sizeof(rate_bps));
	memcpy(&flags, value + offsetof(struct edt_cfg, flags), sizeof(flags));
	if (!key || key >= EDT_OWNER(0) || net_bpf_get_cfg(b, key, &cfg) == 0)
		return 0;
	cfg = net_bpf_profile(rate_bps, flags);
	return net_bpf_set_cfg(b, key, &cfg, err);
}

static int carry_map(struct net_bpf *b, int fd, struct qerr *err)
{
	struct bpf_map_info info = { 0 };
	uint32_t size = sizeof(info), key, *last = NULL;
	char value[VALUE_BYTES_MAX];
	int r = 0;

	if (bpf_obj_get_info_by_fd(fd, &info, &size) < 0 || info.key_size != sizeof(key) ||
	    info.value_size < (info.type == BPF_MAP_TYPE_ARRAY
				       ? sizeof(struct edt_cfg)
				       : offsetof(struct edt_cfg, flags) + sizeof(uint32_t)) ||
	    info.value_size > sizeof(value))
		return 0; /* not qosd's */
	while (r == 0 && bpf_map_get_next_key(fd, last, &key) == 0) {
		if (bpf_map_lookup_elem(fd, &key, value) == 0)
			r = carry_one(b, owner_of(&info, key, value), value, err);
		last = &key;
	}
	return r;
}

int net_carry_copy(struct net_bpf *b, struct qerr *err)
{
	char path[sizeof(b->dir) + 8], dir[sizeof(b->dir)];
	int r = 0, fd;

	for (int layout = EDT_LAYOUT - 1; r == 0 && layout >= 0; layout--) {
		snprintf(path, sizeof(path), "%s/cfg", old_dir(b, layout, dir));
		fd = bpf_obj_get(path);
		if (fd < 0)
			continue;
		r = carry_map(b, fd, err);
		close(fd);
	}
	return r;
}

static void remove_pins(const char *dir)
{
	char path[sizeof(((struct net_bpf *)0)->dir) + 32];
	struct dirent *entry;
	DIR *d = opendir(dir);

	while (d && (entry = readdir(d)) != NULL) {
		snprintf(path, sizeof(path), "%s/%.30s", dir, entry->d_name);
		if (entry->d_name[0] != '.')
			unlink(path);
	}
	if (d)
		closedir(d);
	rmdir(dir);
}

void net_carry_finish(const struct net_bpf *b)
{
	char path[sizeof(b->dir)];

	for (int layout = 0; layout < EDT_LAYOUT; layout++)
		if (access(old_dir(b, layout, path), F_OK) == 0)
			remove_pins(path);
}
