/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * diag - collect, order and format findings.
 *
 * A hostile or generated file can hold any number of mistakes, so at most DIAG_MAX findings are
 * kept; the others are only counted (`errors` for the verdict, `dropped` for the reader).
 */
#include "qosd/core/diag.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "qosd/core/mem.h"

/* 0 and a copy (NULL of NULL), or -1. */
static int copy_text(char **ret, const char *text)
{
	*ret = text ? strdup(text) : NULL;
	return text && !*ret ? -1 : 0;
}

static void diag_done(struct diag *d)
{
	free(d->file);
	free(d->path);
	free(d->text);
	free(d->fix);
}

__attribute__((format(printf, 1, 0))) static char *format_text(const char *fmt, va_list args)
{
	char text[1024];

	if (vsnprintf(text, sizeof(text), fmt, args) < 0)
		return NULL;
	/* Parts of a foreign file are quoted in here: nothing of it may reach a terminal as code.
	 */
	for (char *p = text; *p; p++)
		if ((unsigned char)*p < 0x20 || *p == 0x7f)
			*p = '?';
	return strdup(text);
}

void diag_addv(struct diag_list *list, enum diag_severity severity, const char *file,
	       unsigned int line, const char *path, const char *fix, const char *fmt, va_list args)
{
	struct diag d = { .severity = severity, .line = line, .sequence = list->count };
	int lost;

	if (severity == DIAG_ERROR)
		list->errors++;
	if (list->count >= DIAG_MAX ||
	    mem_grow(&list->items, &list->capacity, list->count + 1, sizeof(d)) < 0) {
		list->dropped++;
		return;
	}
	d.text = format_text(fmt, args);
	lost = copy_text(&d.file, file);
	lost |= copy_text(&d.path, path);
	lost |= copy_text(&d.fix, fix);
	if (lost || !d.text) {
		diag_done(&d);
		list->dropped++;
		return;
	}
	list->items[list->count++] = d;
}

void diag_add(struct diag_list *list, enum diag_severity severity, const char *file,
	      unsigned int line, const char *path, const char *fix, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	diag_addv(list, severity, file, line, path, fix, fmt, args);
	va_end(args);
}

void diag_clear(struct diag_list *list)
{
	for (size_t i = 0; i < list->count; i++)
		diag_done(&list->items[i]);
	free(list->items);
	memset(list, 0, sizeof(*list));
}

static int compare(const void *va, const void *vb)
{
	const struct diag *a = va, *b = vb;
	int r = strcmp(a->file ? a->file : "", b->file ? b->file : "");

	if (r)
		return r;
	if (a->line != b->line)
		return a->line < b->line ? -1 : 1;
	return a->sequence < b->sequence ? -1 : a->sequence > b->sequence;
}

void diag_sort(struct diag_list *list)
{
	if (list->count > 1)
		qsort(list->items, list->count, sizeof(list->items[0]), compare);
	for (size_t i = 0; i < list->count; i++)
		list->items[i].sequence = i;
}

char *diag_format(const struct diag *d, char *buf, size_t size)
{
	char line[16] = "";

	if (d->line)
		snprintf(line, sizeof(line), ":%u", d->line);
	snprintf(buf, size, "%s%s%s%s%s%s%s%s", d->file ? d->file : "", d->file ? line : "",
		 d->file ? ": " : "", d->path ? d->path : "", d->path ? ": " : "", d->text,
		 d->fix ? "; " : "", d->fix ? d->fix : "");
	return buf;
}

const char *diag_severity_name(enum diag_severity severity)
{
	switch (severity) {
	case DIAG_ERROR:
		return "error";
	case DIAG_WARNING:
		return "warning";
	case DIAG_INFO:
		return "info";
	}
	return "error";
}
