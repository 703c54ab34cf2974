/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * conf_scan - see conf_scan.h.
 *
 * One pass over the bytes; each take_* function eats one kind of token. Nothing is interpreted
 * beyond what is needed to know where strings, comments and numbers are.
 */
#include "qosd/host/conf_scan.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "qosd/core/mem.h"

/* What a file shares with the files that it includes. */
struct shared {
	size_t included_bytes;
	unsigned int settings[CONF_DEPTH_MAX + 1]; /* seen in the open group of each depth */
};

struct scan {
	const char *p, *end;
	const char *name, *include_dir;
	unsigned int line, depth;
	bool line_start; /* only blanks since the line began: @include may stand here */
	unsigned int include_depth;
	struct shared *shared;
	struct diag_list *findings;
};

/* ---- files ---- */

const char *conf_display_name(const char *path)
{
	return strncmp(path, "./", 2) == 0 ? path + 2 : path;
}

static int read_all(int fd, char *buf, size_t size, size_t *ret_len)
{
	size_t len = 0;

	while (len < size) {
		ssize_t n = read(fd, buf + len, size - len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		len += (size_t)n;
	}
	*ret_len = len;
	return 0;
}

static int open_regular(const char *path, const char **ret_reason)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	struct stat st;

	if (fd < 0) {
		*ret_reason = strerror(errno);
		return -errno;
	}
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		*ret_reason = "it is not a regular file";
	else if ((uint64_t)st.st_size > CONF_BYTES_MAX)
		*ret_reason = "it is larger than 1MiB";
	else
		return fd;
	close(fd);
	return -EINVAL;
}

static char *read_fd(int fd, size_t *ret_len, const char **ret_reason)
{
	char *text = malloc(CONF_BYTES_MAX + 3);
	size_t len = 0;
	int r = text ? read_all(fd, text, CONF_BYTES_MAX + 1, &len) : -ENOMEM;

	if (r == 0 && len <= CONF_BYTES_MAX) {
		text[len++] = '\n';
		text[len] = '\0';
		*ret_len = len;
		return text;
	}
	*ret_reason = r < 0 ? strerror(-r) : "it is larger than 1MiB";
	free(text);
	return NULL;
}

char *conf_slurp(const char *path, size_t *ret_len, const char *from, unsigned int from_line,
		 struct diag_list *findings)
{
	const char *reason = NULL;
	char *text = NULL;
	int fd = open_regular(path, &reason);

	if (fd >= 0) {
		text = read_fd(fd, ret_len, &reason);
		close(fd);
	}
	if (!text && from)
		diag_add(findings, DIAG_ERROR, from, from_line, "@include",
			 "name a readable file, relative to the main file's directory",
			 "cannot read %s: %s", path, reason);
	else if (!text)
		diag_add(findings, DIAG_ERROR, path, 0, NULL, "name a readable file",
			 "cannot be read: %s", reason);
	return text;
}

/* ---- tokens ---- */

static bool is_letter(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '*';
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool begins(const struct scan *s, const char *word)
{
	size_t len = strlen(word);

	return (size_t)(s->end - s->p) >= len && memcmp(s->p, word, len) == 0;
}

static void step(struct scan *s)
{
	if (*s->p == '\n')
		s->line++;
	s->p++;
}

static void take_line_comment(struct scan *s)
{
	while (s->p < s->end && *s->p != '\n')
		s->p++;
}

static int take_block_comment(struct scan *s)
{
	unsigned int line = s->line;

	for (s->p += 2; s->p < s->end && !begins(s, "*/");)
		step(s);
	if (s->p < s->end) {
		s->p += 2;
		return 0;
	}
	diag_add(s->findings, DIAG_ERROR, s->name, line, NULL, "end it with */",
		 "this comment has no end");
	return -EINVAL;
}

static int take_string(struct scan *s)
{
	unsigned int line = s->line;

	for (s->p++; s->p < s->end && *s->p != '"';) {
		if (*s->p == '\\' && s->p + 1 < s->end)
			step(s);
		step(s);
	}
	if (s->p < s->end) {
		s->p++;
		return 0;
	}
	diag_add(s->findings, DIAG_ERROR, s->name, line, NULL, "end it with a \"",
		 "this string has no end");
	return -EINVAL;
}

static void take_name(struct scan *s)
{
	while (s->p < s->end && (is_letter(*s->p) || is_digit(*s->p) || strchr("-_", *s->p)))
		s->p++;
}

/* Does the literal [text, end) survive libconfig's 32-bit (or with L 64-bit) integers? */
static bool integer_fits(const char *text, const char *end)
{
	bool wide = end[-1] == 'L' || end[-1] == 'l';
	bool hex = text[0] == '0' && (text[1] == 'x' || text[1] == 'X');
	uint64_t n = 0, max = wide ? INT64_MAX : INT32_MAX;

	for (const char *p = hex ? text + 2 : text; p < end && *p != 'L' && *p != 'l'; p++) {
		unsigned int base = hex ? 16 : 10;
		unsigned int digit = is_digit(*p) ? (unsigned int)(*p - '0')
						  : ((unsigned int)*p | 0x20) - 'a' + 10;

		if (digit >= base)
			return true; /* a point or exponent, or no number: refused later */
		n = n * base + digit;
		if (n > max)
			return false;
	}
	return true;
}

static void take_number(struct scan *s)
{
	const char *text = s->p;

	while (s->p < s->end && (is_digit(*s->p) || is_letter(*s->p) || *s->p == '.'))
		s->p++;
	if (!integer_fits(text, s->p))
		diag_add(s->findings, DIAG_ERROR, s->name, s->line, NULL,
			 "write it as a string, with a unit where the setting has one",
			 "the bare number %.*s is too large for libconfig", (int)(s->p - text),
			 text);
}

static int take_bracket(struct scan *s)
{
	if (strchr("{([", *s->p))
		s->depth++;
	else if (s->depth > 0)
		s->depth--;
	s->p++;
	if (s->depth <= CONF_DEPTH_MAX) {
		if (strchr("{([", s->p[-1]))
			s->shared->settings[s->depth] = 0;
		return 0;
	}
	diag_add(s->findings, DIAG_ERROR, s->name, s->line, NULL, "remove the extra brackets",
		 "groups and lists are nested more than %d deep", CONF_DEPTH_MAX);
	return -EINVAL;
}

/* One more setting in the open group. libconfig compares each with all before it. */
static int take_assignment(struct scan *s)
{
	s->p++;
	if (++s->shared->settings[s->depth] != CONF_SETTINGS_MAX + 1)
		return 0;
	diag_add(s->findings, DIAG_ERROR, s->name, s->line, NULL,
		 "remove those that qosd has no use for",
		 "there are more than %d settings in one group", CONF_SETTINGS_MAX);
	return -EINVAL;
}

/* ---- includes ---- */

static int scan_all(struct scan *s);

static int refuse_include(const struct scan *s, const char *what, const char *fix)
{
	diag_add(s->findings, DIAG_ERROR, s->name, s->line, "@include", fix, "%s", what);
	return -EINVAL;
}

static int scan_included(const struct scan *from, const char *path)
{
	size_t len = 0;
	CLEANUP_FREE char *text = conf_slurp(path, &len, from->name, from->line, from->findings);
	struct scan s = *from;

	if (!text)
		return -EINVAL;
	s.shared->included_bytes += len;
	if (s.shared->included_bytes > CONF_BYTES_MAX)
		return refuse_include(from, "all files together are larger than 1MiB",
				      "include less");
	s.p = text;
	s.end = text + len;
	s.name = conf_display_name(path);
	s.line = 1;
	s.line_start = true;
	s.include_depth++;
	return scan_all(&s);
}

/* @include "FILE", where libconfig would see it. The path has no escapes in practice. */
static int take_include(struct scan *s)
{
	const char *name, *quote;
	char path[PATH_MAX];
	int n;

	s->p += strlen("@include");
	s->p += strspn(s->p, " \t");
	name = s->p + 1;
	quote = *s->p == '"' ? memchr(name, '"', (size_t)(s->end - name)) : NULL;
	if (!quote || memchr(name, '\n', (size_t)(quote - name)) ||
	    memchr(name, '\\', (size_t)(quote - name)))
		return refuse_include(s, "no file is named", "write @include \"FILE\"");
	s->p = quote + 1;
	if (!s->include_dir)
		return refuse_include(s, "cannot be used in a text without a file",
				      "put the settings in here");
	if (name[0] == '/' || name == quote)
		return refuse_include(s, "the file's name must be relative",
				      "name it relative to the main file's directory");
	if (s->include_depth >= CONF_INCLUDE_DEPTH_MAX)
		return refuse_include(s, "files include each other too deep", "remove the loop");
	n = snprintf(path, sizeof(path), "%s/%.*s", s->include_dir, (int)(quote - name), name);
	if (n < 0 || (size_t)n >= sizeof(path))
		return refuse_include(s, "the file's name is too long", "use a shorter one");
	return scan_included(s, path);
}

/* ---- the whole ---- */

static int take_token(struct scan *s)
{
	bool line_start = s->line_start;

	s->line_start = *s->p == '\n' || (line_start && (*s->p == ' ' || *s->p == '\t'));
	if (*s->p == '"')
		return take_string(s);
	if (*s->p == '#' || begins(s, "//"))
		take_line_comment(s);
	else if (begins(s, "/*"))
		return take_block_comment(s);
	else if (line_start && begins(s, "@include"))
		return take_include(s);
	else if (strchr("{([])}", *s->p))
		return take_bracket(s);
	else if (*s->p == '=' || *s->p == ':')
		return take_assignment(s);
	else if (is_letter(*s->p))
		take_name(s);
	else if (is_digit(*s->p))
		take_number(s);
	else
		step(s);
	return 0;
}

static int scan_all(struct scan *s)
{
	int result = 0;

	if (memchr(s->p, '\0', (size_t)(s->end - s->p))) {
		diag_add(s->findings, DIAG_ERROR, s->name, 0, NULL, "remove it",
			 "there is a NUL byte in this file");
		return -EINVAL;
	}
	while (s->p < s->end) {
		int r = take_token(s);

		if (r < 0)
			result = r;
		if (s->depth > CONF_DEPTH_MAX)
			break;
	}
	return result;
}

int conf_scan(const char *text, size_t len, const char *name, const char *include_dir,
	      struct diag_list *findings)
{
	struct shared shared = { 0 };
	struct scan s = {
		.p = text,
		.end = text + len,
		.name = name,
		.include_dir = include_dir,
		.line = 1,
		.line_start = true,
		.shared = &shared,
		.findings = findings,
	};

	return scan_all(&s);
}
