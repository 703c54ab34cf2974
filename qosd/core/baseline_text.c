/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * baseline_text - the file form, written and read strictly (it may be damaged, or not ours).
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "qosd/core/baseline_private.h"

static bool plain(char c)
{
	return c > ' ' && c <= '~' && c != '%';
}

/* Escaped key into buf; false if it does not fit. */
static bool escape(const char *key, char *buf, size_t size)
{
	static const char hex[] = "0123456789ABCDEF";
	size_t len = 0;

	for (; *key; key++) {
		unsigned char c = (unsigned char)*key;

		if (len + 4 > size)
			return false;
		if (plain(*key)) {
			buf[len++] = *key;
			continue;
		}
		buf[len++] = '%';
		buf[len++] = hex[c >> 4];
		buf[len++] = hex[c & 15];
	}
	buf[len] = '\0';
	return true;
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* The opposite, of `len` bytes; an escape that was not needed is refused. */
static bool unescape(const char *text, size_t len, char key[BASELINE_KEY_MAX])
{
	size_t n = 0;

	for (size_t i = 0; i < len; i++) {
		int c = (unsigned char)text[i];

		if (c == '%') {
			int high = i + 2 < len ? hex_digit(text[i + 1]) : -1;
			int low = i + 2 < len ? hex_digit(text[i + 2]) : -1;

			c = high < 0 || low < 0 ? 0 : high << 4 | low;
			if (!c || plain((char)c))
				return false;
			i += 2;
		} else if (!plain(text[i])) {
			return false;
		}
		if (n + 1 >= BASELINE_KEY_MAX)
			return false;
		key[n++] = (char)c;
	}
	key[n] = '\0';
	return n > 0;
}

char *baseline_format_line(const struct baseline_entry *e, char *buf, size_t size)
{
	char key[3 * BASELINE_KEY_MAX + 4], value[KNOB_TEXT_MAX];

	if (!escape(e->key, key, sizeof(key)))
		key[0] = '\0';
	snprintf(buf, size, "%s\t%s\t%s", key, knob_get(e->knob)->name,
		 knob_value_format(&e->value, value, sizeof(value)));
	return buf;
}

struct fields { /* of a line; knob and value are terminated copies */
	const char *key;
	size_t key_len;
	char knob[32];
	char value[KNOB_TEXT_MAX];
};

static bool copy_field(const char *from, size_t len, char *to, size_t size)
{
	if (len >= size || memchr(from, '\0', len))
		return false;
	memcpy(to, from, len);
	to[len] = '\0';
	return true;
}

static bool split(const char *line, size_t len, struct fields *f)
{
	const char *end = line + len, *tab = memchr(line, '\t', len), *second;

	if (!tab)
		return false;
	second = memchr(tab + 1, '\t', (size_t)(end - tab - 1));
	if (!second)
		return false;
	f->key = line;
	f->key_len = (size_t)(tab - line);
	return copy_field(tab + 1, (size_t)(second - tab - 1), f->knob, sizeof(f->knob)) &&
	       copy_field(second + 1, (size_t)(end - second - 1), f->value, sizeof(f->value));
}

int baseline_parse_line(struct baseline *b, const char *line, size_t len, struct qerr *err)
{
	char key[BASELINE_KEY_MAX];
	struct identity id;
	struct knob_value value;
	struct cpuset room;
	struct fields f;
	enum knob_id knob;
	int r;

	if (!split(line, len, &f))
		return qerr_set(err, -EINVAL, "not of the form KEY<TAB>KNOB<TAB>VALUE");
	if (!unescape(f.key, f.key_len, key) || identity_parse(key, &id) < 0)
		return qerr_set(err, -EINVAL, "the key names no target");
	if (knob_find(f.knob, &knob) < 0)
		return qerr_set(err, -EINVAL, "there is no knob \"%s\"", f.knob);
	if (!(knob_get(knob)->targets >> id.kind & 1))
		return qerr_set(err, -EINVAL, "%s is no knob of this kind of target", f.knob);
	if (knob_value_parse(knob_get(knob)->type, f.value, &room, &value) < 0)
		return qerr_set(err, -EINVAL, "\"%.60s\" is no value of %s", f.value, f.knob);
	r = baseline_insert(b, key, knob, &value);
	if (r < 0)
		return qerr_set(err, r, "out of memory");
	if (r == 0)
		return qerr_set(err, -EINVAL, "this target and knob are there already");
	return 0;
}

int baseline_parse(struct baseline *b, const char *text, size_t size, struct qerr *err)
{
	const char *end = text + size, *newline;
	unsigned int line = 1;

	newline = memchr(text, '\n', size);
	if (!newline || (size_t)(newline - text) != strlen(BASELINE_HEADER) ||
	    memcmp(text, BASELINE_HEADER, strlen(BASELINE_HEADER)) != 0)
		return qerr_set(err, -EINVAL, "line 1: not \"" BASELINE_HEADER "\"");
	for (text = newline + 1; text < end; text = newline + 1) {
		int r;

		line++;
		newline = memchr(text, '\n', (size_t)(end - text));
		if (!newline)
			break;
		r = baseline_parse_line(b, text, (size_t)(newline - text), err);
		if (r < 0) {
			qerr_wrap(err, "line %u", line);
			return r;
		}
	}
	return 0;
}
