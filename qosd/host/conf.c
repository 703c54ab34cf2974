/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * conf - from a file or text to a policy: scan (conf_scan), parse (libconfig), walk (conf_tree).
 *
 * Reading goes on after a mistake, and the cross checks run on what could be read, so that one run
 * shows all findings; a policy with an error never leaves this file.
 */
#include "qosd/host/conf.h"

#include <libconfig.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "qosd/core/mem.h"
#include "qosd/host/conf_scan.h"
#include "qosd/host/conf_tree.h"

static const struct {
	const char *text, *fix;
} parse_fixes[] = {
	{ "syntax error", "look for a missing ';', ',', '\"' or bracket here or just before" },
	{ "duplicate setting name", "give each setting once" },
};

static void refuse_parse(const config_t *config, const char *name, struct diag_list *findings)
{
	const char *text = config_error_text(config), *file = config_error_file(config);
	const char *fix = NULL;
	int line = config_error_line(config);

	text = text ? text : "cannot be parsed";
	for (size_t i = 0; i < ARRAY_SIZE(parse_fixes); i++)
		if (strcmp(parse_fixes[i].text, text) == 0)
			fix = parse_fixes[i].fix;
	file = file ? conf_display_name(file) : name;
	diag_add(findings, DIAG_ERROR, file, line > 0 ? (unsigned int)line : 0, NULL, fix, "%s",
		 text);
}

/* `include_dir` NULL refuses @include. As conf_tree_read, or NULL after findings. */
static struct policy *read_text(const char *text, size_t len, const char *name,
				const char *include_dir, struct diag_list *findings)
{
	size_t scan_first = findings->count;
	struct policy *p = NULL;
	config_t config;

	if (conf_scan(text, len, name, include_dir, findings) < 0)
		return NULL;
	config_init(&config);
	if (include_dir)
		config_set_include_dir(&config, include_dir);
	if (config_read_string(&config, text) == CONFIG_TRUE)
		p = conf_tree_read(&config, name, scan_first, findings);
	else
		refuse_parse(&config, name, findings);
	config_destroy(&config);
	return p;
}

/* The directory of `path`: "." or all before the last slash. NULL without memory. */
static char *directory_of(const char *path)
{
	const char *slash = strrchr(path, '/');

	if (!slash)
		return strdup(".");
	return slash == path ? strdup("/") : strndup(path, (size_t)(slash - path));
}

static struct policy *read_file(const char *path, struct diag_list *findings)
{
	size_t len = 0;
	CLEANUP_FREE char *text = conf_slurp(path, &len, NULL, 0, findings);
	CLEANUP_FREE char *dir = text ? directory_of(path) : NULL;

	if (!text)
		return NULL;
	if (!dir) {
		diag_add(findings, DIAG_ERROR, path, 0, NULL, "free some and try again",
			 "out of memory");
		return NULL;
	}
	return read_text(text, len, path, dir, findings);
}

/* Give out only what had no error since `errors_before`. */
static struct policy *keep_if_good(struct policy *p, const struct diag_list *findings,
				   size_t errors_before)
{
	if (p && findings->errors == errors_before)
		return p;
	policy_free(p);
	return NULL;
}

struct policy *conf_read_file(const char *path, struct diag_list *findings)
{
	size_t errors_before = findings->errors;

	return keep_if_good(read_file(path, findings), findings, errors_before);
}

struct policy *conf_read_text(const char *text, const char *name, struct diag_list *findings)
{
	size_t errors_before = findings->errors, len = strlen(text);
	CLEANUP_FREE char *copy = NULL;

	if (len > CONF_BYTES_MAX) {
		diag_add(findings, DIAG_ERROR, name, 0, NULL, "leave some out",
			 "the text is larger than 1MiB");
		return NULL;
	}
	/* libconfig sees a comment at the very end only when a line end follows. */
	if (asprintf(&copy, "%s\n", text) < 0) {
		copy = NULL;
		diag_add(findings, DIAG_ERROR, name, 0, NULL, "free some and try again",
			 "out of memory");
		return NULL;
	}
	return keep_if_good(read_text(copy, len + 1, name, NULL, findings), findings,
			    errors_before);
}

struct policy *conf_load(const char *path, const struct host *host, struct diag_list *findings)
{
	size_t errors_before = findings->errors;
	struct policy *p = read_file(path, findings);

	if (p)
		policy_check(p, host, findings);
	diag_sort(findings);
	return keep_if_good(p, findings, errors_before);
}
