/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * qosctl_table - tables, and units for people.
 *
 * Widths are counted in characters, not bytes. Whatever goes into a table is cleaned (text.h).
 */
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "qosd/core/mem.h"
#include "tools/qosctl.h"

#define MAX_COLUMNS 16

struct cell {
	char *text;
	enum colour colour;
	size_t width;
};

struct table {
	const char *headers[MAX_COLUMNS];
	bool right[MAX_COLUMNS];
	size_t ncolumns;
	struct cell *cells; /* row by row */
	size_t count, capacity;
};

/* ---- text ---- */

static size_t text_width(const char *text)
{
	size_t width = 0;

	for (; *text; text++)
		width += ((unsigned char)*text & 0xc0) != 0x80;
	return width;
}

/* Bytes of the first `width` characters. */
static size_t text_cut(const char *text, size_t width)
{
	size_t at = 0;

	while (text[at] && width > 0) {
		at += text_char_size(text + at);
		width--;
	}
	return at;
}

static const char *colour_code(enum colour colour)
{
	static const char *const codes[] = {
		[PLAIN] = "",          [BOLD] = "\033[1m",   [RED] = "\033[31m",
		[YELLOW] = "\033[33m", [GREEN] = "\033[32m",
	};

	return codes[colour];
}

static void put_coloured(const char *text, size_t size, bool colour, enum colour which)
{
	bool coded = colour && which != PLAIN;

	printf("%s%.*s%s", coded ? colour_code(which) : "", (int)size, text,
	       coded ? "\033[0m" : "");
}

void text_print(const char *text, bool colour, enum colour which)
{
	CLEANUP_FREE char *copy = strdup(text);

	if (!copy)
		qosctl_out_of_memory();
	text_clean(copy);
	put_coloured(copy, strlen(copy), colour, which);
}

/* ---- tables ---- */

struct table *table_new(const char *const *headers)
{
	struct table *t = calloc(1, sizeof(*t));

	if (!t)
		qosctl_out_of_memory();
	for (; headers[t->ncolumns] && t->ncolumns < MAX_COLUMNS; t->ncolumns++) {
		const char *header = headers[t->ncolumns];

		t->right[t->ncolumns] = *header == '>';
		t->headers[t->ncolumns] = header + (*header == '>');
	}
	return t;
}

void table_add(struct table *t, enum colour colour, const char *fmt, ...)
{
	char *text = NULL;
	va_list ap;
	int r;

	va_start(ap, fmt);
	r = vasprintf(&text, fmt, ap);
	va_end(ap);
	if (r < 0 || mem_grow(&t->cells, &t->capacity, t->count + 1, sizeof(*t->cells)) < 0)
		qosctl_out_of_memory();
	text_clean(text);
	t->cells[t->count++] = (struct cell){ text, colour, text_width(text) };
}

size_t table_rows(const struct table *t)
{
	return t->count / t->ncolumns;
}

static void measure(const struct table *t, size_t nrows, size_t *widths)
{
	for (size_t c = 0; c < t->ncolumns; c++) {
		widths[c] = text_width(t->headers[c]);
		for (size_t r = 0; r < nrows; r++) {
			size_t width = t->cells[r * t->ncolumns + c].width;

			widths[c] = width > widths[c] ? width : widths[c];
		}
	}
}

struct line {
	bool colour;
	size_t left; /* characters that still fit */
};

static void put_spaces(struct line *line, size_t count)
{
	if (count > line->left)
		count = line->left;
	printf("%*s", (int)count, "");
	line->left -= count;
}

static void put_cell(struct line *line, const char *text, enum colour colour)
{
	size_t width = text_width(text), shown = width < line->left ? width : line->left;

	put_coloured(text, text_cut(text, shown), line->colour, colour);
	line->left -= shown;
}

/* One row; `row` NULL is the headers. The last column is not padded. */
static void print_row(const struct table *t, const struct cell *row, const size_t *widths,
		      struct line line)
{
	for (size_t c = 0; c < t->ncolumns; c++) {
		const char *text = row ? row[c].text : t->headers[c];
		size_t pad = widths[c] - (row ? row[c].width : text_width(text));
		bool last = c + 1 == t->ncolumns;

		if (t->right[c])
			put_spaces(&line, pad);
		put_cell(&line, text, row ? row[c].colour : BOLD);
		if (!last)
			put_spaces(&line, (t->right[c] ? 0 : pad) + 2);
	}
	putchar('\n');
}

void table_print(struct table *t, bool colour, size_t max_rows, size_t max_width)
{
	struct line line = { colour, max_width ? max_width : SIZE_MAX };
	size_t widths[MAX_COLUMNS] = { 0 }, nrows = table_rows(t);

	if (max_rows && nrows > max_rows)
		nrows = max_rows;
	measure(t, nrows, widths);
	if (nrows)
		print_row(t, NULL, widths, line);
	for (size_t r = 0; r < nrows; r++)
		print_row(t, &t->cells[r * t->ncolumns], widths, line);
	for (size_t i = 0; i < t->count; i++)
		free(t->cells[i].text);
	free(t->cells);
	free(t);
}

/* ---- numbers ---- */

/* Three digits that matter at the most, no ".0" at the end. */
static char *scaled(double value, double step, const char *const *units, size_t nunits, char *buf)
{
	size_t unit = 0;
	char number[HUMAN_MAX];

	while (fabs(value) >= step && unit + 1 < nunits) {
		value /= step;
		unit++;
	}
	snprintf(number, sizeof(number), "%.*f", fabs(value) < 100 ? 1 : 0, value);
	if (strlen(number) > 2 && strcmp(number + strlen(number) - 2, ".0") == 0)
		number[strlen(number) - 2] = '\0';
	snprintf(buf, HUMAN_MAX, "%.20s %s", number, units[unit]);
	return buf;
}

char *human_bytes(double bytes, char buf[HUMAN_MAX])
{
	static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB" };

	return scaled(bytes, 1024, units, ARRAY_SIZE(units), buf);
}

char *human_bps(double bps, char buf[HUMAN_MAX])
{
	static const char *const units[] = { "bit/s", "kbit/s", "Mbit/s", "Gbit/s", "Tbit/s" };

	return scaled(bps, 1000, units, ARRAY_SIZE(units), buf);
}

char *human_seconds(double seconds, char buf[HUMAN_MAX])
{
	unsigned long s = seconds > 0 && seconds < 1e12 ? (unsigned long)seconds : 0;

	if (s >= 86400)
		snprintf(buf, HUMAN_MAX, "%lu d %lu h", s / 86400, s / 3600 % 24);
	else if (s >= 3600)
		snprintf(buf, HUMAN_MAX, "%lu h %lu min", s / 3600, s / 60 % 60);
	else if (s >= 60)
		snprintf(buf, HUMAN_MAX, "%lu min %lu s", s / 60, s % 60);
	else
		snprintf(buf, HUMAN_MAX, "%lu s", s);
	return buf;
}

char *human_us(double us, char buf[HUMAN_MAX])
{
	static const char *const units[] = { "us", "ms", "s" };

	return scaled(us, 1000, units, ARRAY_SIZE(units), buf);
}

char *human_share(double share, char buf[HUMAN_MAX])
{
	double percent = share * 100;
	bool whole = fabs(percent - round(percent)) < 0.05;

	snprintf(buf, HUMAN_MAX, "%.*f%%", whole ? 0 : 1, percent);
	return buf;
}

char *human_json(const json_t *value, char *(*format)(double, char *), bool zero_is_none,
		 char buf[HUMAN_MAX])
{
	double number = json_number_value(value);

	if (!json_is_number(value) || (zero_is_none && number == 0))
		return strcpy(buf, "-");
	return format(number, buf);
}

/* ---- JSON ---- */

static void put_value(FILE *out, const json_t *value)
{
	if (json_is_string(value))
		fputs(json_string_value(value), out);
	else if (json_is_boolean(value))
		fputs(json_is_true(value) ? "yes" : "no", out);
	else
		json_dumpf(value, out, JSON_COMPACT | JSON_ENCODE_ANY);
}

char *json_line(const json_t *value)
{
	json_t *object = json_deep_copy(value), *member;
	const char *key, *between = "";
	char *line = NULL;
	size_t size;
	FILE *out = open_memstream(&line, &size);

	if (!object || !out)
		qosctl_out_of_memory();
	if (json_is_object(object)) {
		json_object_foreach (object, key, member) {
			if (json_is_null(member))
				continue;
			fprintf(out, "%s%s ", between, key);
			put_value(out, member);
			between = ", ";
		}
	} else {
		put_value(out, object);
	}
	json_decref(object);
	if (fclose(out) != 0)
		qosctl_out_of_memory();
	return line;
}

void json_print(const json_t *object, bool one_line)
{
	size_t flags = one_line ? JSON_COMPACT : JSON_INDENT(2);
	bool terminal = isatty(STDOUT_FILENO);
	CLEANUP_FREE char *text = json_dumps(object, flags | (terminal ? JSON_ENSURE_ASCII : 0));

	if (!text)
		qosctl_out_of_memory();
	for (const char *c = text; *c; c++) {
		if (terminal && *c == 0x7f) /* the one control character that jansson leaves */
			fputs("\\u007f", stdout);
		else
			putchar(*c);
	}
	putchar('\n');
	fflush(stdout);
}
