/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "qosd/daemon/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
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

#define FIELD_MAX  320
#define FIELDS_MAX 8

struct fields {
	char message[LOG_TEXT_MAX + 16];
	char text[FIELDS_MAX][FIELD_MAX];
	struct iovec iov[FIELDS_MAX + 1];
	int count;
};

static void add_text(struct fields *f, char *text)
{
	replace_controls(text);
	f->iov[f->count].iov_base = text;
	f->iov[f->count++].iov_len = strlen(text);
}

__attribute__((format(printf, 2, 3))) static void add_field(struct fields *f, const char *fmt, ...)
{
	char *text = f->text[f->count];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, FIELD_MAX, fmt, ap);
	va_end(ap);
	add_text(f, text);
}

static void send_journal(int level, const struct log_about *about, const char *text)
{
	struct fields f = { .count = 0 };

	add_field(&f, "PRIORITY=%d", level);
	if (about && about->guest)
		add_field(&f, "QOSD_GUEST=%s", about->guest);
	if (about && about->knob)
		add_field(&f, "QOSD_KNOB=%s", about->knob);
	if (about && about->error)
		add_field(&f, "QOSD_ERRNO=%d", -about->error);
	if (about && about->episode)
		add_field(&f, "QOSD_EPISODE=%llu", about->episode);
	if (about && about->resource)
		add_field(&f, "QOSD_RESOURCE=%s", about->resource);
	snprintf(f.message, sizeof(f.message), "MESSAGE=%s", text);
	add_text(&f, f.message);
	(void)sd_journal_sendv(f.iov, f.count);
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
