/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "qosd/daemon/files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int write_all(int fd, const char *text, size_t len)
{
	while (len) {
		ssize_t n = write(fd, text, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		text += n;
		len -= (size_t)n;
	}
	return 0;
}

int files_write_error(struct qerr *err, int r, const char *path)
{
	return qerr_set(err, r, "cannot write %s: %s%s", path, strerror(-r),
			r == -ENOSPC ? "; make room there" : "");
}

int files_replace(const char *path, const char *text, size_t len, bool durable, struct qerr *err)
{
	char temporary[FILES_PATH_MAX + 8];
	int fd, r;

	snprintf(temporary, sizeof(temporary), "%s.new", path);
	fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return files_write_error(err, -errno, temporary);
	r = write_all(fd, text, len);
	if (r == 0 && durable && fsync(fd) < 0)
		r = -errno;
	if (close(fd) < 0 && r == 0)
		r = -errno;
	if (r == 0 && rename(temporary, path) < 0)
		r = -errno;
	if (r < 0)
		unlink(temporary);
	return r < 0 ? files_write_error(err, r, path) : 0;
}

int files_append(const char *path, const char *text, size_t len, struct qerr *err)
{
	int fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC | O_NOFOLLOW);
	struct stat st;
	int r = 0;

	if (fd < 0)
		return files_write_error(err, -errno, path);
	if (fstat(fd, &st) < 0)
		r = -errno;
	if (r == 0)
		r = write_all(fd, text, len);
	if (r < 0 && r != -EBADF && ftruncate(fd, st.st_size) < 0)
		r = -errno;
	close(fd);
	return r < 0 ? files_write_error(err, r, path) : 0;
}

char *files_read(const char *path, size_t max, size_t *ret_len, int *ret_r)
{
	FILE *f = fopen(path, "re");
	char *text = NULL;
	struct stat st;

	*ret_r = 0;
	if (!f) {
		*ret_r = errno == ENOENT ? 0 : -errno;
		return NULL;
	}
	if (fstat(fileno(f), &st) < 0 || st.st_size < 0 || (size_t)st.st_size > max)
		*ret_r = -EFBIG;
	else if (!(text = calloc(1, (size_t)st.st_size + 1)))
		*ret_r = -ENOMEM;
	else if (fread(text, 1, (size_t)st.st_size, f) != (size_t)st.st_size)
		*ret_r = -EIO;
	fclose(f);
	if (*ret_r < 0) {
		free(text);
		return NULL;
	}
	if (ret_len)
		*ret_len = (size_t)st.st_size;
	return text;
}
