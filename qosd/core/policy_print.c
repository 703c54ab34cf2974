/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * policy_print - the normal form: every value in force, in the order of the key tables.
 *
 * Strings that are not set are left out, as the reader's default is "not set" too. Numbers that
 * libconfig could wrap are written as strings.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "qosd/core/mem.h"
#include "qosd/core/policy.h"

#define BARE_DIGITS_MAX 9 /* fits in libconfig's 32-bit integers */

struct text {
	char *data;
	size_t len, capacity;
	bool failed; /* out of memory */
};

static void put(struct text *t, const char *s, size_t len)
{
	if (t->failed || mem_grow(&t->data, &t->capacity, t->len + len + 1, 1) < 0) {
		t->failed = true;
		return;
	}
	memcpy(t->data + t->len, s, len);
	t->len += len;
	t->data[t->len] = '\0';
}

static void puts_text(struct text *t, const char *s)
{
	put(t, s, strlen(s));
}

static void put_indent(struct text *t, unsigned int depth)
{
	while (depth-- > 0)
		put(t, "\t", 1);
}

static void put_quoted(struct text *t, const char *s)
{
	char escape[8];

	put(t, "\"", 1);
	for (; *s; s++) {
		if (*s == '"' || *s == '\\')
			snprintf(escape, sizeof(escape), "\\%c", *s);
		else if ((unsigned char)*s < 0x20 || *s == 0x7f)
			snprintf(escape, sizeof(escape), "\\x%02x", (unsigned char)*s);
		else
			snprintf(escape, sizeof(escape), "%c", *s);
		puts_text(t, escape);
	}
	put(t, "\"", 1);
}

/* What may be not set, and then stays away. */
static bool is_string(enum key_type type)
{
	return type == KEY_NAME || type == KEY_PATTERN || type == KEY_DEVICE || type == KEY_PATH ||
	       type == KEY_PORTS;
}

static bool is_bare(const struct policy_key *key, const char *value)
{
	return (key->type == KEY_COUNT32 || key->type == KEY_COUNT64) && value[0] >= '0' &&
	       value[0] <= '9' && strlen(value) <= BARE_DIGITS_MAX;
}

static void put_scalar(struct text *t, const struct policy_key *key, const void *base,
		       unsigned int depth)
{
	char value[POLICY_VALUE_MAX];

	policy_key_format(key, base, value, sizeof(value));
	if (is_string(key->type) && !value[0])
		return;
	put_indent(t, depth);
	puts_text(t, key->name);
	puts_text(t, " = ");
	if (is_bare(key, value))
		puts_text(t, value);
	else
		put_quoted(t, value);
	puts_text(t, ";\n");
}

static void put_keys(struct text *t, const struct policy_group *g, const void *base,
		     unsigned int depth);

static void put_group(struct text *t, const struct policy_key *key, const void *base,
		      unsigned int depth)
{
	put_indent(t, depth);
	puts_text(t, key->name);
	puts_text(t, " = {\n");
	put_keys(t, key->group, (const char *)base + key->offset, depth + 1);
	put_indent(t, depth);
	puts_text(t, "};\n");
}

static void put_list(struct text *t, const struct policy_key *key, const void *base,
		     unsigned int depth)
{
	size_t count = *(const size_t *)((const char *)base + key->count_offset);
	const char *element;

	/* The field points to some struct type; memcpy keeps the aliasing rules. */
	memcpy(&element, (const char *)base + key->offset, sizeof(element));
	put_indent(t, depth);
	puts_text(t, key->name);
	puts_text(t, count ? " = (\n" : " = (");
	for (size_t i = 0; i < count; i++, element += key->element_size) {
		put_indent(t, depth + 1);
		puts_text(t, "{\n");
		put_keys(t, key->group, element, depth + 2);
		put_indent(t, depth + 1);
		puts_text(t, i + 1 < count ? "},\n" : "}\n");
	}
	if (count)
		put_indent(t, depth);
	puts_text(t, ");\n");
}

static void put_keys(struct text *t, const struct policy_group *g, const void *base,
		     unsigned int depth)
{
	for (size_t i = 0; i < g->nkeys; i++) {
		const struct policy_key *key = &g->keys[i];

		if (key->type == KEY_GROUP)
			put_group(t, key, base, depth);
		else if (key->type == KEY_LIST)
			put_list(t, key, base, depth);
		else
			put_scalar(t, key, base, depth);
	}
}

char *policy_print(const struct policy *p)
{
	struct text t = { 0 };

	put_keys(&t, &policy_root_group, p, 0);
	if (t.failed) {
		free(t.data);
		return NULL;
	}
	return t.data;
}
