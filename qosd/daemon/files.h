/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * files - small files of the daemon: replaced whole, appended to, read whole.
 *
 * A crash or a full disk leaves what was there before. Paths are absolute or relative to the
 * working directory, symbolic links at their end are refused. Functions may wait for the disk.
 */
#ifndef QOSD_DAEMON_FILES_H
#define QOSD_DAEMON_FILES_H

#include <stdbool.h>
#include <stddef.h>

#include "qosd/core/err.h"

#define FILES_PATH_MAX 512

/* Write to PATH.new, then rename; `durable`: on disk (fsync) before that. 0 or negative errno. */
int files_replace(const char *path, const char *text, size_t len, bool durable, struct qerr *err);
/* Appends all or nothing: a part that did not fit is cut off again. The file must be there. */
int files_append(const char *path, const char *text, size_t len, struct qerr *err);
/*
 * The whole file as a string (malloc'd; *ret_len, which may be NULL, is its length), or NULL with
 * *ret_r = 0 when there is none, -EFBIG above `max` bytes, or another negative errno.
 */
char *files_read(const char *path, size_t max, size_t *ret_len, int *ret_r);
/* "cannot write PATH: why", with what to do. Returns r. */
int files_write_error(struct qerr *err, int r, const char *path);

#endif
