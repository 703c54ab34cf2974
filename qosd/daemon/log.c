/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "qosd/daemon/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <systemd/sd-journal.h>
#include <unistd.h>

#include "qosd/core/mem.h"

#define LOG_TEXT_MAX 1024

/* systemd names the device and inode of the stream it gave us: only then is stderr the journal. */
static bool stderr_is_journal(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	unsigned long long dev, ino;
	struct stat st;

	if (!stream || sscanf(stream, "%llu:%llu", &dev, &ino) != 2)
		return false;
	if (fstat(STDERR_FILENO, &st) < 0)
		return false;
	return st.st_dev == dev && st.st_ino == ino;
}

struct logger logger_make(bool verbose)
{
	struct logger l = {
		.journal = stderr_is_journal(),
		.max_level = verbose ? LOG_DEBUG : LOG_INFO,
	};

	return l;
}

static void replace_controls(char *text)
{
	for (unsigned char *c = (unsigned char *)text; *c; c++)
		if (*c < 0x20 || *c == 0x7f)
			*c = '?';
}

static void send_journal(int level, const struct log_about *about, const char *text)
{
	char message[LOG_TEXT_MAX + 16], priority[24], guest[300], knob[80], error[40];
	struct iovec iov[5];
	int n = 0;
	struct {
		char *buf;
		size_t size;
		int len;
	} fields[] = {
		{ message, sizeof(message),
		  snprintf(message, sizeof(message), "MESSAGE=%s", text) },
		{ priority, sizeof(priority),
		  snprintf(priority, sizeof(priority), "PRIORITY=%d", level) },
		{ guest, sizeof(guest),
		  about && about->guest
			  ? snprintf(guest, sizeof(guest), "QOSD_GUEST=%s", about->guest)
			  : 0 },
		{ knob, sizeof(knob),
		  about && about->knob ? snprintf(knob, sizeof(knob), "QOSD_KNOB=%s", about->knob)
				       : 0 },
		{ error, sizeof(error),
		  about && about->error
			  ? snprintf(error, sizeof(error), "QOSD_ERRNO=%d", -about->error)
			  : 0 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(fields); i++) {
		if (fields[i].len <= 0)
			continue;
		replace_controls(fields[i].buf);
		iov[n].iov_base = fields[i].buf;
		iov[n++].iov_len = (size_t)fields[i].len < fields[i].size ? (size_t)fields[i].len
									  : fields[i].size - 1;
	}
	(void)sd_journal_sendv(iov, n);
}

void log_message(const struct logger *l, int level, const struct log_about *about, const char *fmt,
		 ...)
{
	char text[LOG_TEXT_MAX];
	va_list ap;

	if (level > l->max_level)
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	replace_controls(text);
	if (l->journal)
		send_journal(level, about, text);
	else
		fprintf(stderr, "qosd: %s\n", text);
}

void log_error(const struct logger *l, int level, const struct log_about *about,
	       const char *context, const struct qerr *err)
{
	log_message(l, level, about, "%s: %s", context, err->text);
}
