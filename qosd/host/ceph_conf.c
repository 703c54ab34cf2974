/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Lines are made first: a backslash at the end of a line joins it with the next one. Then each line
 * is nothing, a comment, [a section] or key = value. A value may be in quotes; outside of them a
 * backslash takes the next character as it is.
 */
#include "qosd/host/ceph_conf.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "qosd/core/arena.h"
#include "qosd/core/mem.h"

struct entry {
	const char *section, *key, *value;
};

struct ceph_conf {
	struct arena *arena; /* owns the texts */
	struct entry *entries;
	size_t count, capacity;
	/* while it is read */
	const char *section; /* NULL: before the first one, where line 1 alone may be a setting */
	unsigned int line;
};

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

static bool is_comment(char c)
{
	return c == '#' || c == ';';
}

static const char *skip_blanks(const char *p)
{
	while (is_blank(*p))
		p++;
	return p;
}

static bool is_end(const char *p)
{
	p = skip_blanks(p);
	return !*p || is_comment(*p);
}

static char *trim(char *text)
{
	size_t len = strlen(text), lead = strspn(text, " \t\r\n\f\v");

	while (len > lead && strchr(" \t\r\n\f\v", text[len - 1]))
		len--;
	text[len] = '\0';
	return text + lead;
}

/* ---- one line ---- */

static int refuse(struct qerr *err, const char *what)
{
	return qerr_set(err, -EINVAL, "%s", what);
}

static int read_section(struct ceph_conf *c, const char *line, struct qerr *err)
{
	size_t len = strcspn(line + 1, "]#;");
	char *name;

	if (line[1 + len] != ']' || !len || !is_end(line + len + 2))
		return refuse(err, "a section is [name] and nothing else");
	if (!c->section && c->count)
		return refuse(err, "settings stand before the first section");
	name = arena_alloc(c->arena, len + 1);
	if (!name)
		return -ENOMEM;
	memcpy(name, line + 1, len);
	c->section = name;
	return 0;
}

/* White space within, however much, is as good as one underscore. */
static char *read_key(struct ceph_conf *c, const char *line, size_t len)
{
	char *key = arena_alloc(c->arena, len + 1), *p;

	if (!key)
		return NULL;
	memcpy(key, line, len);
	key = trim(key);
	p = key;
	for (const char *from = key; *from; from++) {
		bool blank = strchr(" \t\f\v", *from) != NULL;

		if (!blank || !strchr(" \t\f\v", from[1]))
			*p++ = blank ? '_' : *from;
	}
	*p = '\0';
	return key;
}

/* `p` is at the first character of the value. */
static int read_value(const char *p, char *value, struct qerr *err)
{
	char quote = *p == '"' || *p == '\'' ? *p++ : '\0';
	char *to = value;

	for (; *p && !is_comment(*p) && (!quote || *p != quote); p++) {
		if (*p == '\\' && p[1])
			p++;
		*to++ = *p;
	}
	*to = '\0';
	if (quote && (*p != quote || !is_end(p + 1)))
		return refuse(err, "a value in quotes ends with the quote and holds no # or ;");
	return 0;
}

static int read_setting(struct ceph_conf *c, const char *line, struct qerr *err)
{
	const char *start = skip_blanks(line);
	size_t len = strcspn(start, "=[#;");
	struct entry e = { .section = c->section ? c->section : "global" };
	char *value;
	int r;

	if (start[len] != '=' || !len)
		return refuse(err, "this is no \"key = value\"");
	if (!c->section && c->line > 1)
		return refuse(err, "a setting stands in no section");
	value = arena_alloc(c->arena, strlen(start) + 1);
	e.key = read_key(c, start, len);
	if (!value || !e.key || mem_grow(&c->entries, &c->capacity, c->count + 1, sizeof(e)) < 0)
		return -ENOMEM;
	r = read_value(skip_blanks(start + len + 1), value, err);
	if (r < 0)
		return r;
	e.value = trim(value);
	c->entries[c->count++] = e;
	return 0;
}

static int read_line(struct ceph_conf *c, const char *line, struct qerr *err)
{
	if (!c->section && !c->count && line[0] && !line[strspn(line, " \t")])
		return refuse(err, "the file begins with a line of blanks");
	if (is_end(line))
		return 0;
	if (line[0] == '[')
		return read_section(c, line, err);
	return read_setting(c, line, err);
}

/* ---- all lines ---- */

/* Length of the end of line at `p`, 0: there is none. */
static size_t eol_length(const char *p, const char *end)
{
	if (p < end && *p == '\n')
		return 1;
	if (p < end && *p == '\r')
		return p + 1 < end && p[1] == '\n' ? 2 : 1;
	return 0;
}

/* The next line without its end into buf, joined lines as one; `*lines`: how many it took. */
static const char *next_line(const char *p, const char *end, char *buf, unsigned int *lines)
{
	size_t n;

	*lines = 1;
	while (p < end && !eol_length(p, end)) {
		n = *p == '\\' ? eol_length(p + 1, end) : 0;
		if (n) {
			p += 1 + n;
			++*lines;
		} else {
			*buf++ = *p++;
		}
	}
	*buf = '\0';
	return p;
}

static int read_lines(struct ceph_conf *c, const char *text, size_t len, unsigned int *line,
		      struct qerr *err)
{
	char *buf CLEANUP_FREE = malloc(len + 1);
	const char *p = text, *end = text + len;
	unsigned int lines = 1;
	int r = buf ? 0 : -ENOMEM;

	for (*line = 1; r == 0 && p < end; *line += lines) {
		p = next_line(p, end, buf, &lines);
		if (p == end && !is_end(buf))
			return refuse(err, "the last line has no end");
		p += eol_length(p, end);
		c->line = *line;
		r = read_line(c, buf, err);
		if (r < 0)
			break;
	}
	return r;
}

/* Ceph refuses a file that is no UTF-8. The place of the first such byte, or len. */
static size_t utf8_end(const unsigned char *s, size_t len)
{
	size_t i = 0;

	while (i < len) {
		size_t more = s[i] < 0x80   ? 0
			      : s[i] < 0xc2 ? 9
			      : s[i] < 0xe0 ? 1
			      : s[i] < 0xf0 ? 2
			      : s[i] < 0xf5 ? 3
					    : 9;

		if (more == 9 || len - i <= more)
			return i;
		for (size_t k = 1; k <= more; k++)
			if ((s[i + k] & 0xc0) != 0x80)
				return i;
		i += more + 1;
	}
	return len;
}

int ceph_conf_parse(const char *text, size_t len, struct ceph_conf **ret, unsigned int *ret_line,
		    struct qerr *err)
{
	size_t sound = utf8_end((const unsigned char *)text, len);
	struct ceph_conf *c = calloc(1, sizeof(*c));
	unsigned int line = 1;
	int r = -ENOMEM;

	if (c)
		c->arena = arena_new();
	if (c && c->arena) {
		r = read_lines(c, text, sound, &line, err);
		if (sound < len || memchr(text, '\0', len))
			r = refuse(err, "this is no UTF-8 text");
	}
	if (ret_line)
		*ret_line = line;
	if (r < 0) {
		ceph_conf_free(c);
		return r == -ENOMEM ? qerr_set(err, r, "out of memory") : r;
	}
	*ret = c;
	return 0;
}

void ceph_conf_free(struct ceph_conf *c)
{
	if (!c)
		return;
	arena_free(c->arena);
	free(c->entries);
	free(c);
}

/* ---- files ---- */

static int read_file(const char *path, char **ret, size_t *ret_len)
{
	char *text CLEANUP_FREE = malloc(CEPH_CONF_MAX + 1);
	int fd = text ? open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK) : -1;
	struct stat st;
	size_t len = 0;
	ssize_t n = 1;

	if (fd < 0)
		return text ? -errno : -ENOMEM;
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
		close(fd);
		return -EINVAL;
	}
	while (n > 0 && len <= CEPH_CONF_MAX) {
		n = read(fd, text + len, CEPH_CONF_MAX + 1 - len);
		len += n > 0 ? (size_t)n : 0;
	}
	close(fd);
	if (n < 0 || len > CEPH_CONF_MAX)
		return n < 0 ? -EIO : -EFBIG;
	*ret_len = len;
	*ret = TAKE_PTR(text);
	return 0;
}

int ceph_conf_load(const char *path, struct ceph_conf **ret, unsigned int *ret_line,
		   struct qerr *err)
{
	char *text CLEANUP_FREE = NULL;
	size_t len = 0;
	int r = read_file(path, &text, &len);

	if (r < 0)
		return qerr_set(err, r, "%s cannot be read: %s", path, strerror(-r));
	return ceph_conf_parse(text, len, ret, ret_line, err);
}

/* ---- look-up ---- */

static const char *get_in(const struct ceph_conf *c, const char *section, size_t len,
			  const char *key)
{
	for (size_t i = c->count; i-- > 0;) {
		const struct entry *e = &c->entries[i];

		if (strncmp(e->section, section, len) == 0 && !e->section[len] &&
		    strcmp(e->key, key) == 0)
			return e->value;
	}
	return NULL;
}

const char *ceph_conf_get(const struct ceph_conf *c, const char *entity, const char *key)
{
	const char *value = get_in(c, entity, strlen(entity), key);

	if (!value)
		value = get_in(c, entity, strcspn(entity, "."), key);
	return value ? value : get_in(c, "global", strlen("global"), key);
}
