/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cgroup_fs - files of groups, read and written through descriptors that stay open.
 *
 * A group's directory is held by an O_PATH descriptor, its files by descriptors that are opened at
 * first use, so that a reading costs one pread(). Descriptors of a removed group give ENODEV for
 * ever, even when a group of the same name has come: a guest's values are never taken for those of
 * its successor. All descriptors count against one budget; beyond it, files are opened for one use
 * (directories always stay open: the owner closes them when the budget is used up).
 *
 * Errors: -ENOENT the group has gone; -EOPNOTSUPP the group has no such file; else the kernel's
 * own. A directory is not thread safe; the budget is.
 */
#ifndef QOSD_HOST_CGROUP_FS_H
#define QOSD_HOST_CGROUP_FS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The files, by their place in struct cgroup_dir. */
enum cgroup_file {
	/* v2 */
	CGROUP_CPU_WEIGHT,
	CGROUP_CPU_MAX,
	CGROUP_CPU_MAX_BURST,
	CGROUP_CPU_STAT, /* v1 too */
	CGROUP_MEMORY_MIN,
	CGROUP_MEMORY_LOW,
	CGROUP_MEMORY_CURRENT,
	CGROUP_MEMORY_SWAP_MAX,
	CGROUP_MEMORY_SWAP_CURRENT,
	CGROUP_CPU_IDLE,
	CGROUP_FREEZE,
	CGROUP_MEMORY_PRESSURE,
	CGROUP_IO_PRESSURE,
	/* v1 */
	CGROUP_V1_SHARES,
	CGROUP_V1_QUOTA,
	CGROUP_V1_PERIOD,
	CGROUP_V1_BURST,
	CGROUP_V1_CPU_USAGE,
	CGROUP_V1_SOFT_LIMIT,
	CGROUP_V1_SWAPPINESS,
	CGROUP_V1_MEMORY_USAGE,
	CGROUP_V1_MEMORY_STAT,
	CGROUP_FILES
};

const char *cgroup_file_name(enum cgroup_file file);

struct cgroup_fs {
	atomic_uint used; /* descriptors kept open */
	unsigned int limit;
	bool plain; /* ordinary files stand for the kernel's (tests, benchmarks) */
};

struct cgroup_dir {
	int fd;                  /* O_PATH, -1: not open */
	int files[CGROUP_FILES]; /* -1: not open */
	uint32_t writable;       /* bit per file: its descriptor is for writing, too */
};

void cgroup_dir_init(struct cgroup_dir *d);
/* Open `path` ("/" or "/a/b") below `root_fd`. 0, -ENOENT, -ENAMETOOLONG, other. */
int cgroup_dir_open(struct cgroup_dir *d, struct cgroup_fs *fs, int root_fd, const char *path);
/* Has the group of an open directory been removed? */
bool cgroup_dir_gone(const struct cgroup_dir *d, const struct cgroup_fs *fs);
void cgroup_dir_close(struct cgroup_dir *d, struct cgroup_fs *fs);

#define CGROUP_TEXT_MAX 4096
/* Read the whole file as a string. Length or negative errno; -E2BIG: it does not fit. */
int cgroup_dir_read(struct cgroup_dir *d, struct cgroup_fs *fs, enum cgroup_file file, char *buf,
		    size_t size);
int cgroup_dir_write(struct cgroup_dir *d, struct cgroup_fs *fs, enum cgroup_file file,
		     const char *text);
int cgroup_dir_read_u64(struct cgroup_dir *d, struct cgroup_fs *fs, enum cgroup_file file,
			uint64_t *ret);
/* KNOB_MAX is written as "max". */
int cgroup_dir_write_u64(struct cgroup_dir *d, struct cgroup_fs *fs, enum cgroup_file file,
			 uint64_t value);

/* Read a whole file by path as a string. Length or negative errno; longer than `size`: -E2BIG. */
int cgroup_read_path(int dir_fd, const char *path, char *buf, size_t size);
/* The same of an open descriptor, from its beginning. */
int cgroup_read_fd(int fd, char *buf, size_t size);

#endif
