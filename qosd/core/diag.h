/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * diag - a list of findings, so that one run shows all that is wrong, not the first.
 *
 * A finding reads `file:line: what is wrong; what would be right`. The list owns its texts.
 */
#ifndef QOSD_CORE_DIAG_H
#define QOSD_CORE_DIAG_H

#include <stdarg.h>
#include <stddef.h>

enum diag_severity { DIAG_ERROR, DIAG_WARNING, DIAG_INFO };

struct diag {
	enum diag_severity severity;
	char *file;        /* NULL: about the whole */
	unsigned int line; /* 0: not about a line */
	char *path; /* setting, e.g. "classes[2].cpu.limit"; or topic, e.g. "net"; NULL allowed */
	char *text; /* "what is wrong" */
	char *fix;  /* "what would be right"; NULL allowed */
	size_t sequence; /* keeps the order of equal places when sorted */
};

#define DIAG_MAX 1000 /* findings kept; what goes beyond is only counted */

struct diag_list {
	struct diag *items;
	size_t count, capacity;
	size_t errors;  /* how many are DIAG_ERROR, the dropped ones among them */
	size_t dropped; /* not kept: beyond DIAG_MAX, or no memory */
};

/* `fix` may be NULL. Never fails: lack of memory drops the text but counts the error. */
void diag_add(struct diag_list *list, enum diag_severity severity, const char *file,
	      unsigned int line, const char *path, const char *fix, const char *fmt, ...)
	__attribute__((format(printf, 7, 8)));
void diag_addv(struct diag_list *list, enum diag_severity severity, const char *file,
	       unsigned int line, const char *path, const char *fix, const char *fmt, va_list args)
	__attribute__((format(printf, 7, 0)));
void diag_clear(struct diag_list *list);
/* Order by file, line, then as found (stable). */
void diag_sort(struct diag_list *list);
/* "file:line: path: text; fix" (parts that are absent left out) into buf; returns buf. */
char *diag_format(const struct diag *d, char *buf, size_t size);
const char *diag_severity_name(enum diag_severity severity); /* "error", "warning", "info" */

#endif
