/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "qosd/core/knob.h"
#include "qosd/host/cgroup_fs.h"
#include "qosd/host/cgroup_text.h"

static const char *const file_names[CGROUP_FILES] = {
	[CGROUP_CPU_WEIGHT] = "cpu.weight",
	[CGROUP_CPU_MAX] = "cpu.max",
	[CGROUP_CPU_MAX_BURST] = "cpu.max.burst",
	[CGROUP_CPU_STAT] = "cpu.stat",
	[CGROUP_MEMORY_MIN] = "memory.min",
	[CGROUP_MEMORY_LOW] = "memory.low",
	[CGROUP_MEMORY_CURRENT] = "memory.current",
	[CGROUP_MEMORY_SWAP_MAX] = "memory.swap.max",
	[CGROUP_MEMORY_SWAP_CURRENT] = "memory.swap.current",
	[CGROUP_MEMORY_PRESSURE] = "memory.pressure",
	[CGROUP_IO_PRESSURE] = "io.pressure",
	[CGROUP_CPU_IDLE] = "cpu.idle",
	[CGROUP_FREEZE] = "cgroup.freeze",
	[CGROUP_V1_SHARES] = "cpu.shares",
	[CGROUP_V1_QUOTA] = "cpu.cfs_quota_us",
	[CGROUP_V1_PERIOD] = "cpu.cfs_period_us",
	[CGROUP_V1_BURST] = "cpu.cfs_burst_us",
	[CGROUP_V1_CPU_USAGE] = "cpuacct.usage",
	[CGROUP_V1_SOFT_LIMIT] = "memory.soft_limit_in_bytes",
	[CGROUP_V1_SWAPPINESS] = "memory.swappiness",
	[CGROUP_V1_MEMORY_USAGE] = "memory.usage_in_bytes",
	[CGROUP_V1_MEMORY_STAT] = "memory.stat",
};

const char *cgroup_file_name(enum cgroup_file file)
{
	return file_names[file];
}

/* ---- budget: how many descriptors may stay open ---- */

static bool budget_take(struct cgroup_fs *fs)
{
	if (atomic_fetch_add(&fs->used, 1) < fs->limit)
		return true;
	atomic_fetch_sub(&fs->used, 1);
	return false;
}

static void close_counted(struct cgroup_fs *fs, int *fd)
{
	if (*fd < 0)
		return;
	close(*fd);
	*fd = -1;
	atomic_fetch_sub(&fs->used, 1);
}

/* ---- directories ---- */

void cgroup_dir_init(struct cgroup_dir *d)
{
	memset(d, 0, sizeof(*d));
	d->fd = -1;
	for (int i = 0; i < CGROUP_FILES; i++)
		d->files[i] = -1;
}

int cgroup_dir_open(struct cgroup_dir *d, struct cgroup_fs *fs, int root_fd, const char *path)
{
	cgroup_dir_close(d, fs);
	while (*path == '/')
		path++;
	d->fd = openat(root_fd, *path ? path : ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (d->fd < 0)
		return errno == ENOTDIR ? -ENOENT : -errno;
	atomic_fetch_add(&fs->used, 1); /* without its directory nothing can be read at all */
	return 0;
}

void cgroup_dir_close(struct cgroup_dir *d, struct cgroup_fs *fs)
{
	for (int i = 0; i < CGROUP_FILES; i++)
		close_counted(fs, &d->files[i]);
	close_counted(fs, &d->fd);
	d->writable = 0;
}

/* Nothing is found any more in the directory of a removed group. */
bool cgroup_dir_gone(const struct cgroup_dir *d, const struct cgroup_fs *fs)
{
	struct stat st;

	if (fs->plain)
		return fstat(d->fd, &st) < 0 || st.st_nlink == 0;
	return faccessat(d->fd, "cgroup.procs", F_OK, 0) < 0;
}

/* What an error of the kernel means here. */
static int explain(const struct cgroup_dir *d, const struct cgroup_fs *fs, int error)
{
	switch (error) {
	case ENODEV:
		return -ENOENT;
	case ENOENT:
		return cgroup_dir_gone(d, fs) ? -ENOENT : -EOPNOTSUPP;
	default:
		return -error;
	}
}

/*
 * A descriptor for the file, kept when the budget allows (*ret_kept). One that was kept for reading
 * only is opened again when writing is wanted.
 */
static int file_fd(struct cgroup_dir *d, struct cgroup_fs *fs, enum cgroup_file file,
		   bool write_too, bool *ret_kept)
{
	uint32_t bit = UINT32_C(1) << file;
	int fd;

	if (d->fd < 0)
		return -ENOENT;
	if (d->files[file] >= 0 && (!write_too || (d->writable & bit))) {
		*ret_kept = true;
		return d->files[file];
	}
	close_counted(fs, &d->files[file]);
	fd = openat(d->fd, file_names[file], (write_too ? O_RDWR : O_RDONLY) | O_CLOEXEC);
	if (fd < 0)
		return explain(d, fs, errno);
	*ret_kept = budget_take(fs);
	if (*ret_kept) {
		d->files[file] = fd;
		d->writable = write_too ? d->writable | bit : d->writable & ~bit;
	}
	return fd;
}

int cgroup_dir_read(struct cgroup_dir *d, struct cgroup_fs *fs, enum cgroup_file file, char *buf,
		    size_t size)
{
	bool kept;
	int fd = file_fd(d, fs, file, false, &kept);
	int r;

	if (fd < 0)
		return fd;
	r = cgroup_read_fd(fd, buf, size);
	if (!kept)
		close(fd);
	return r < 0 ? explain(d, fs, -r) : r;
}

int cgroup_dir_write(struct cgroup_dir *d, struct cgroup_fs *fs, enum cgroup_file file,
		     const char *text)
{
	size_t len = strlen(text);
	bool kept;
	int fd = file_fd(d, fs, file, true, &kept);
	int r = 0;
	ssize_t n;

	if (fd < 0)
		return fd;
	n = pwrite(fd, text, len, 0);
	if (n < 0)
		r = -errno;
	else if ((size_t)n != len)
		r = -EIO;
	else if (fs->plain && ftruncate(fd, n) < 0)
		r = -errno;
	if (!kept)
		close(fd);
	return r < 0 ? explain(d, fs, -r) : 0;
}

int cgroup_dir_read_u64(struct cgroup_dir *d, struct cgroup_fs *fs, enum cgroup_file file,
			uint64_t *ret)
{
	char buf[64];
	int r = cgroup_dir_read(d, fs, file, buf, sizeof(buf));

	return r < 0 ? r : cgroup_text_u64(buf, ret);
}

int cgroup_dir_write_u64(struct cgroup_dir *d, struct cgroup_fs *fs, enum cgroup_file file,
			 uint64_t value)
{
	char buf[32];

	if (value == KNOB_MAX)
		return cgroup_dir_write(d, fs, file, "max\n");
	snprintf(buf, sizeof(buf), "%" PRIu64 "\n", value);
	return cgroup_dir_write(d, fs, file, buf);
}

/* ---- whole files ---- */

int cgroup_read_fd(int fd, char *buf, size_t size)
{
	size_t len = 0;

	for (;;) {
		ssize_t n = pread(fd, buf + len, size - len, (off_t)len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		len += (size_t)n;
		if (len == size)
			return -E2BIG;
		/* The kernel fills the buffer as far as the file goes: a short read is the end. */
		buf[len] = '\0';
		return (int)len;
	}
}

int cgroup_read_path(int dir_fd, const char *path, char *buf, size_t size)
{
	int fd = openat(dir_fd, path, O_RDONLY | O_CLOEXEC);
	int r;

	if (fd < 0)
		return -errno;
	r = cgroup_read_fd(fd, buf, size);
	close(fd);
	return r;
}
