/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * conf_scan - look over a configuration's text before libconfig reads it.
 *
 * libconfig 1.5 wraps integers silently (4294967297 reads as 1), ends the program when an @include
 * names a directory, waits for ever on a FIFO, leaks on an unfinished string, and needs minutes for
 * a group of 100000 settings. So a small scanner of the same lexical rules goes first and reports
 * these, with file and line.
 */
#ifndef QOSD_HOST_CONF_SCAN_H
#define QOSD_HOST_CONF_SCAN_H

#include <stddef.h>

#include "qosd/core/diag.h"

#define CONF_BYTES_MAX         ((size_t)1 << 20) /* of one file, and of all included together */
#define CONF_DEPTH_MAX         16                /* of nested groups and lists */
#define CONF_SETTINGS_MAX      256               /* in one group */
#define CONF_INCLUDE_DEPTH_MAX 8

/*
 * Read a regular file of at most CONF_BYTES_MAX bytes: malloc'd text with a line end and a NUL
 * added, *ret_len without the NUL. NULL and a finding (at file:line `from`, when given) if not.
 */
char *conf_slurp(const char *path, size_t *ret_len, const char *from, unsigned int from_line,
		 struct diag_list *findings);

/*
 * `name` is what findings call the text; `include_dir` is where @include looks, NULL: refused.
 * 0, or -EINVAL when libconfig must not see the text. A number too large is a finding, but no
 * reason to stop: the other settings can still be read.
 */
int conf_scan(const char *text, size_t len, const char *name, const char *include_dir,
	      struct diag_list *findings);

/* How findings name a file: without a leading "./". */
const char *conf_display_name(const char *path);

#endif
