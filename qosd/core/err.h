/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * err - one error with its context.
 *
 * A function that can fail for a reason a person must act on returns a negative errno and fills a
 * `struct qerr` with one plain sentence: what is wrong, where, and what to do. The error is made
 * once, where it is known, wrapped with context on the way up, and logged once at the top.
 * Passing NULL is allowed everywhere: the sentence is then dropped.
 */
#ifndef QOSD_CORE_ERR_H
#define QOSD_CORE_ERR_H

#define QERR_TEXT_MAX 256

struct qerr {
	int code;                 /* negative errno, 0 = no error */
	char text[QERR_TEXT_MAX]; /* one sentence, no newline, cut when too long */
};

/* Record `code` (negative errno) with a sentence; returns `code`. */
int qerr_set(struct qerr *err, int code, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* Put "CONTEXT: " before the sentence; returns the code already held (-EIO when `err` is NULL). */
int qerr_wrap(struct qerr *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
