/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * log - the one place where the daemon speaks: to the journal with fields, else to standard error.
 *
 * Under systemd each message carries QOSD_GUEST, QOSD_KNOB, QOSD_ERRNO, QOSD_EPISODE and
 * QOSD_RESOURCE where they apply, so that `journalctl QOSD_GUEST=web1` tells the story of one
 * guest. Texts are one sentence. Control characters (names come from outside) are replaced by '?'.
 */
#ifndef QOSD_DAEMON_LOG_H
#define QOSD_DAEMON_LOG_H

#include <stdbool.h>
#include <syslog.h>

#include "qosd/core/err.h"

struct logger {
	bool journal;  /* standard error is the journal's stream */
	int max_level; /* LOG_INFO, LOG_DEBUG: less urgent messages are dropped */
};

struct logger logger_make(bool verbose);

struct log_about { /* what a message is about; NULL / 0 where nothing */
	const char *guest;
	const char *knob;
	int error;                  /* negative errno */
	unsigned long long episode; /* id of an overload */
	const char *resource;
};

void log_message(const struct logger *l, int level, const struct log_about *about, const char *fmt,
		 ...) __attribute__((format(printf, 4, 5)));
/* "CONTEXT: sentence of err" at `level`. */
void log_error(const struct logger *l, int level, const struct log_about *about,
	       const char *context, const struct qerr *err);

#endif
