/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fuzz_metrics - any JSON as the daemon's two answers ({"status": {..}, "list": {..}}) to metrics.
 *
 * Whatever comes in: what goes out is a page that a strict reader takes, line by line. Each line is
 * a comment of the three kinds or one sample; a sample belongs to the family told last, its labels
 * are quoted to the end, and its value is a number.
 */
#include <ctype.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "tools/exporter.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void demand(bool holds)
{
	if (!holds)
		abort();
}

static size_t name_size(const char *text)
{
	size_t n = 0;

	while (text[n] == '_' || islower((unsigned char)text[n]))
		n++;
	return n;
}

/* After the opening quote; behind the closing one. */
static const char *skip_value(const char *p)
{
	while (*p != '"') {
		demand(*p != '\0');
		if (*p == '\\') {
			p++;
			demand(*p == '"' || *p == '\\' || *p == 'n');
		}
		p++;
	}
	return p + 1;
}

/* After the opening brace; behind the closing one. */
static const char *skip_labels(const char *p)
{
	do {
		size_t n = name_size(p);

		demand(n > 0 && p[n] == '=' && p[n + 1] == '"');
		p = skip_value(p + n + 2);
	} while (*p++ == ',');
	demand(p[-1] == '}');
	return p;
}

static void check_sample(const char *line, const char *family)
{
	size_t n = name_size(line);
	char *end;

	demand(n >= strlen(family) && strncmp(line, family, strlen(family)) == 0);
	line += n;
	if (*line == '{')
		line = skip_labels(line + 1);
	demand(*line == ' ' && (isdigit((unsigned char)line[1]) || line[1] == '-'));
	(void)strtod(line + 1, &end);
	demand(*end == '\0');
}

static void check_page(char *page, enum exposition form)
{
	char family[128] = "", kind[8] = "", *end;
	bool ended = false;

	for (; *page; page = end + 1) {
		end = strchr(page, '\n');
		demand(end != NULL && !ended);
		*end = '\0';
		ended = strcmp(page, "# EOF") == 0;
		if (ended)
			demand(form == EXPOSITION_OPENMETRICS);
		else if (*page == '#')
			demand(sscanf(page, "# %7[A-Z] %127[a-z_]", kind, family) == 2 &&
			       (strcmp(kind, "HELP") == 0 || strcmp(kind, "TYPE") == 0 ||
				strcmp(kind, "UNIT") == 0));
		else
			check_sample(page, family);
	}
	demand(ended == (form == EXPOSITION_OPENMETRICS));
}

static void write_and_check(const struct reading *r, enum exposition form)
{
	char *page = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&page, &size);

	demand(out != NULL);
	metrics_write(out, r, form);
	demand(fclose(out) == 0 && strlen(page) == size);
	check_page(page, form);
	free(page);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	json_t *root = json_loadb((const char *)data, size, JSON_REJECT_DUPLICATES, NULL);
	struct reading r = { .status = json_object_get(root, "status"),
			     .list = json_object_get(root, "list"),
			     .readings = 1,
			     .took_s = 0.25 };

	write_and_check(&r, EXPOSITION_TEXT);
	write_and_check(&r, EXPOSITION_OPENMETRICS);
	json_decref(root);
	return 0;
}
