/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * err - make and wrap one-sentence errors.
 *
 * Foreign texts (libvirt, Ceph, the kernel) end up in here, so control characters become blanks
 * and a trailing line end goes away: one error is one line, whatever it was made of.
 */
#include "qosd/core/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/* One line, and no half of a UTF-8 character at the end of a text that was cut. */
static void text_tidy(char *text, bool cut)
{
	size_t len;

	for (char *p = text; *p; p++)
		if ((unsigned char)*p < 0x20 || *p == 0x7f)
			*p = ' ';
	len = strlen(text);
	if (cut) {
		while (len > 0 && ((unsigned char)text[len - 1] & 0xc0) == 0x80)
			len--;
		if (len > 0 && (unsigned char)text[len - 1] >= 0xc0)
			len--;
	}
	while (len > 0 && text[len - 1] == ' ')
		len--;
	text[len] = '\0';
}

int qerr_set(struct qerr *err, int code, const char *fmt, ...)
{
	char text[QERR_TEXT_MAX];
	va_list args;
	int len;

	if (code > 0)
		code = -code;
	if (!err)
		return code;
	va_start(args, fmt);
	len = vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	if (len < 0)
		text[0] = '\0';
	text_tidy(text, len >= (int)sizeof(text));
	memcpy(err->text, text, sizeof(text));
	err->code = code;
	return code;
}

int qerr_wrap(struct qerr *err, const char *fmt, ...)
{
	char context[QERR_TEXT_MAX], text[2 * QERR_TEXT_MAX + 2];
	va_list args;

	if (!err)
		return -EIO;
	va_start(args, fmt);
	if (vsnprintf(context, sizeof(context), fmt, args) < 0)
		context[0] = '\0';
	va_end(args);
	snprintf(text, sizeof(text), "%s: %s", context, err->text);
	return qerr_set(err, err->code, "%s", text);
}
