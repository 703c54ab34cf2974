/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * policy_value - one value of one key: text -> typed field, typed field -> text, and advice.
 *
 * Every type has a setter and a formatter that invert each other. A setter checks the key's bounds
 * and leaves the field alone when it refuses.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "qosd/core/arena.h"
#include "qosd/core/mem.h"
#include "qosd/core/policy.h"
#include "qosd/core/unit.h"

#define NAME_LENGTH_MAX    (POLICY_NAME_MAX - 1)
#define PATTERN_LENGTH_MAX 255
#define DEVICE_LENGTH_MAX  15 /* IFNAMSIZ - 1 */

static const char *const type_nouns[] = {
	[KEY_NAME] = "a name",
	[KEY_PATTERN] = "a pattern",
	[KEY_DEVICE] = "an interface name",
	[KEY_PATH] = "an absolute path",
	[KEY_ENUM] = "one of the words",
	[KEY_COUNT32] = "a count",
	[KEY_COUNT64] = "a count",
	[KEY_SIZE] = "a size in whole bytes",
	[KEY_RATE] = "a rate in bit/s",
	[KEY_BYTE_RATE] = "a rate in bytes/s",
	[KEY_TIME] = "a time",
	[KEY_SHARE] = "a share in percent with at most one decimal",
	[KEY_AMOUNT] = "a share in percent or a size",
	[KEY_CPUSET] = "a list of CPUs",
	[KEY_PORTS] = "a list of ports",
	[KEY_GROUP] = "a group",
	[KEY_LIST] = "a list",
};

static const char *none_word(const struct policy_key *key)
{
	return key->none_word ? key->none_word : "none";
}

static bool is_wide(enum key_type type)
{
	return type != KEY_COUNT32 && type != KEY_SHARE && type != KEY_ENUM;
}

/* ---- numbers ---- */

static int parse_number(enum key_type type, const char *text, uint64_t *ret)
{
	uint32_t permille;
	int r;

	switch (type) {
	case KEY_COUNT32:
	case KEY_COUNT64:
		return unit_parse_count(text, ret);
	case KEY_SIZE:
		return unit_parse_size(text, ret);
	case KEY_RATE:
		return unit_parse_rate(text, ret);
	case KEY_BYTE_RATE:
		return unit_parse_byte_rate(text, ret);
	case KEY_TIME:
		return unit_parse_time(text, ret);
	case KEY_SHARE:
		r = unit_parse_share(text, &permille);
		if (r == 0)
			*ret = permille;
		return r;
	default:
		return -EINVAL;
	}
}

static void format_number(enum key_type type, uint64_t n, char buf[UNIT_TEXT_MAX])
{
	switch (type) {
	case KEY_SIZE:
		unit_format_size(n, buf);
		break;
	case KEY_RATE:
		unit_format_rate(n, buf);
		break;
	case KEY_BYTE_RATE:
		unit_format_byte_rate(n, buf);
		break;
	case KEY_TIME:
		unit_format_time(n, buf);
		break;
	case KEY_SHARE:
	case KEY_AMOUNT:
		unit_format_share((uint32_t)n, buf);
		break;
	default:
		snprintf(buf, UNIT_TEXT_MAX, "%" PRIu64, n);
	}
}

/* ---- refusals ---- */

/* The words of an enum: `"observe" or "enforce"`. */
static void list_words(const char *const *words, char *buf, size_t size)
{
	size_t len = 0;

	buf[0] = '\0';
	for (size_t i = 0; words[i] && len < size; i++) {
		const char *joint = i == 0 ? "" : words[i + 1] ? ", " : " or ";
		int n = snprintf(buf + len, size - len, "%s\"%s\"", joint, words[i]);

		len += n > 0 ? (size_t)n : 0;
	}
}

char *policy_key_advice(const struct policy_key *key, char *buf, size_t size)
{
	char words[160];

	if (key->type == KEY_ENUM) {
		list_words(key->words, words, sizeof(words));
		snprintf(buf, size, "write %s", words);
	} else if (key->type == KEY_GROUP) {
		snprintf(buf, size, "write %s = { ... }", key->name);
	} else if (key->type == KEY_LIST) {
		snprintf(buf, size, "write %s = ( { ... }, { ... } )", key->name);
	} else if (key->optional_none) {
		snprintf(buf, size, "write for example %s, or \"%s\"", key->example,
			 none_word(key));
	} else {
		snprintf(buf, size, "write for example %s", key->example);
	}
	return buf;
}

static int refuse_form(const struct policy_key *key, const char *text, struct qerr *err)
{
	char advice[200];

	return qerr_set(err, -EINVAL, "\"%.40s\" is not %s; %s", text, type_nouns[key->type],
			policy_key_advice(key, advice, sizeof(advice)));
}

static int refuse_range(const struct policy_key *key, enum key_type type, const char *text,
			struct qerr *err)
{
	char min[UNIT_TEXT_MAX], max[UNIT_TEXT_MAX];

	format_number(type, key->min, min);
	format_number(type, key->max, max);
	return qerr_set(err, -ERANGE, "\"%.40s\" is out of range; write a value from %s to %s",
			text, min, max);
}

/* ---- setters ---- */

static void store(const struct policy_key *key, void *field, uint64_t n)
{
	if (is_wide(key->type))
		*(uint64_t *)field = n;
	else
		*(uint32_t *)field = (uint32_t)n;
}

static int set_number(const struct policy_key *key, void *field, const char *text, struct qerr *err)
{
	uint64_t n = 0;
	int r;

	if (key->optional_none && strcmp(text, none_word(key)) == 0) {
		store(key, field, is_wide(key->type) ? POLICY_NONE_U64 : POLICY_NONE_U32);
		return 0;
	}
	r = parse_number(key->type, text, &n);
	if (r == -EINVAL)
		return refuse_form(key, text, err);
	if (r == -ERANGE || n < key->min || (key->max && n > key->max))
		return refuse_range(key, key->type, text, err);
	store(key, field, n);
	return 0;
}

static int set_amount(const struct policy_key *key, struct amount *field, const char *text,
		      struct qerr *err)
{
	const uint64_t size_max = UINT64_C(1) << 50; /* 1 PiB: sums cannot overflow */
	uint64_t bytes;
	uint32_t permille;
	int r = unit_parse_share(text, &permille);

	if (r == 0 && permille >= key->min && permille <= key->max) {
		*field = (struct amount){ .relative = true, .value = permille };
		return 0;
	}
	if (r == 0 || r == -ERANGE)
		return refuse_range(key, KEY_SHARE, text, err);
	r = unit_parse_size(text, &bytes);
	if (r == 0 && bytes <= size_max) {
		*field = (struct amount){ .relative = false, .value = bytes };
		return 0;
	}
	if (r == -EINVAL)
		return refuse_form(key, text, err);
	return qerr_set(err, -ERANGE, "\"%.40s\" is out of range; write at most 1024TiB", text);
}

static int set_enum(const struct policy_key *key, uint32_t *field, const char *text,
		    struct qerr *err)
{
	for (uint32_t i = 0; key->words[i]; i++)
		if (strcmp(text, key->words[i]) == 0) {
			*field = i;
			return 0;
		}
	return refuse_form(key, text, err);
}

static int set_cpuset(const struct policy_key *key, struct cpuset *field, const char *text,
		      struct qerr *err)
{
	int r = cpuset_parse(text, field);

	if (r == -ERANGE)
		return qerr_set(err, r, "\"%.40s\" is out of range; write CPUs from 0 to %d", text,
				CPUSET_MAX - 1);
	return r < 0 ? refuse_form(key, text, err) : 0;
}

static int set_ports(const struct policy_key *key, struct portset *field, const char *text,
		     struct qerr *err)
{
	struct portset ports = { 0 };
	int r = portset_parse(text, &ports);

	if (r == -ERANGE)
		return qerr_set(err, r,
				"\"%.40s\" is out of range; write ports from 1 to 65535, in %d "
				"ranges at the most",
				text, PORTSET_RANGES);
	if (r < 0 || portset_empty(&ports))
		return refuse_form(key, text, err);
	*field = ports;
	return 0;
}

static bool is_letter_or_digit(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

/* Names go into command lines and file names: no blanks, no "-x", no "..". */
static bool name_ok(const char *text)
{
	size_t len = strlen(text);

	if (len < 1 || len > NAME_LENGTH_MAX || !is_letter_or_digit(text[0]))
		return false;
	for (const char *p = text; *p; p++)
		if (!is_letter_or_digit(*p) && !strchr("._-", *p))
			return false;
	return true;
}

static bool pattern_ok(const char *text)
{
	size_t len = strlen(text);

	if (len < 1 || len > PATTERN_LENGTH_MAX)
		return false;
	for (const char *p = text; *p; p++)
		if ((unsigned char)*p < 0x20 || *p == 0x7f)
			return false;
	return true;
}

/* What the kernel's dev_valid_name() takes. */
static bool device_ok(const char *text)
{
	size_t len = strlen(text);

	if (len < 1 || len > DEVICE_LENGTH_MAX || !strcmp(text, ".") || !strcmp(text, ".."))
		return false;
	for (const char *p = text; *p; p++)
		if ((unsigned char)*p <= 0x20 || *p == 0x7f || *p == '/' || *p == ':')
			return false;
	return true;
}

static int set_string(const struct policy_key *key, char **field, const char *text,
		      struct arena *arena, struct qerr *err)
{
	char advice[200];
	char *copy;

	policy_key_advice(key, advice, sizeof(advice));
	if (key->type == KEY_NAME && !name_ok(text))
		return qerr_set(err, -EINVAL,
				"\"%.40s\" is not a name of 1 to %d letters, digits, '.', '_', '-' "
				"that begins with a letter or digit; %s",
				text, NAME_LENGTH_MAX, advice);
	if (key->type == KEY_PATTERN && !pattern_ok(text))
		return qerr_set(err, -EINVAL,
				"\"%.40s\" is not a pattern of 1 to %d printable characters; %s",
				text, PATTERN_LENGTH_MAX, advice);
	if (key->type == KEY_DEVICE && !device_ok(text))
		return qerr_set(err, -EINVAL,
				"\"%.40s\" is not an interface name of 1 to %d characters; %s",
				text, DEVICE_LENGTH_MAX, advice);
	if (key->type == KEY_PATH && (text[0] != '/' || !text[1] || !pattern_ok(text)))
		return qerr_set(err, -EINVAL, "\"%.40s\" is not an absolute path; %s", text,
				advice);
	if (!arena)
		return qerr_set(err, -EINVAL, "%s cannot be set here; leave it out", key->name);
	copy = arena_strdup(arena, text);
	if (!copy)
		return qerr_set(err, -ENOMEM, "out of memory; free some and try again");
	*field = copy;
	return 0;
}

int policy_key_set(const struct policy_key *key, void *base, const char *text, struct arena *arena,
		   struct qerr *err)
{
	void *field = (char *)base + key->offset;

	switch (key->type) {
	case KEY_NAME:
	case KEY_PATTERN:
	case KEY_DEVICE:
	case KEY_PATH:
		return set_string(key, field, text, arena, err);
	case KEY_ENUM:
		return set_enum(key, field, text, err);
	case KEY_AMOUNT:
		return set_amount(key, field, text, err);
	case KEY_CPUSET:
		return set_cpuset(key, field, text, err);
	case KEY_PORTS:
		return set_ports(key, field, text, err);
	case KEY_GROUP:
	case KEY_LIST:
		return refuse_form(key, text, err);
	default:
		return set_number(key, field, text, err);
	}
}

/* ---- formatters ---- */

static void format_amount(const struct amount *a, char text[UNIT_TEXT_MAX])
{
	if (a->relative)
		unit_format_share((uint32_t)a->value, text);
	else
		unit_format_size(a->value, text);
}

static void format_numeric(const struct policy_key *key, const void *field,
			   char text[UNIT_TEXT_MAX])
{
	bool wide = is_wide(key->type);
	uint64_t n = wide ? *(const uint64_t *)field : *(const uint32_t *)field;

	if (key->optional_none && n == (wide ? POLICY_NONE_U64 : POLICY_NONE_U32))
		snprintf(text, UNIT_TEXT_MAX, "%s", none_word(key));
	else
		format_number(key->type, n, text);
}

static const char *enum_word(const struct policy_key *key, uint32_t value)
{
	for (uint32_t i = 0; key->words[i]; i++)
		if (i == value)
			return key->words[i];
	return "";
}

char *policy_key_format(const struct policy_key *key, const void *base, char *buf, size_t size)
{
	const void *field = (const char *)base + key->offset;
	const char *string;
	char text[UNIT_TEXT_MAX] = "";

	switch (key->type) {
	case KEY_NAME:
	case KEY_PATTERN:
	case KEY_DEVICE:
	case KEY_PATH:
		string = *(char *const *)field;
		snprintf(buf, size, "%s", string ? string : "");
		return buf;
	case KEY_ENUM:
		snprintf(buf, size, "%s", enum_word(key, *(const uint32_t *)field));
		return buf;
	case KEY_CPUSET:
		return cpuset_format(field, buf, size);
	case KEY_PORTS:
		return portset_format(field, buf, size);
	case KEY_AMOUNT:
		format_amount(field, text);
		break;
	case KEY_GROUP:
	case KEY_LIST:
		break;
	default:
		format_numeric(key, field, text);
	}
	snprintf(buf, size, "%s", text);
	return buf;
}

/* ---- slips of the pen ---- */

static unsigned int min3(unsigned int a, unsigned int b, unsigned int c)
{
	unsigned int m = a < b ? a : b;

	return m < c ? m : c;
}

/* Edits (change, insert, drop, swap of neighbours) from `a` to `b`; both below 32 bytes. */
static unsigned int edit_distance(const char *a, const char *b)
{
	unsigned int rows[3][32], *before = rows[0], *above = rows[1], *now = rows[2], *spare;
	size_t la = strlen(a), lb = strlen(b);

	for (unsigned int j = 0; j <= lb; j++)
		above[j] = before[j] = j;
	for (unsigned int i = 1; i <= la; i++) {
		now[0] = i;
		for (unsigned int j = 1; j <= lb; j++) {
			unsigned int change = above[j - 1] + (a[i - 1] != b[j - 1]);

			now[j] = min3(change, above[j] + 1, now[j - 1] + 1);
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
			    before[j - 2] + 1 < now[j])
				now[j] = before[j - 2] + 1;
		}
		spare = before;
		before = above;
		above = now;
		now = spare;
	}
	return above[lb];
}

const struct policy_key *policy_key_nearest(const struct policy_group *g, const char *name)
{
	const struct policy_key *best = NULL;
	unsigned int best_distance = 3; /* more than two slips is another word */

	if (strlen(name) >= 32)
		return NULL;
	for (size_t i = 0; i < g->nkeys; i++) {
		unsigned int d = edit_distance(name, g->keys[i].name);

		if (d < best_distance && d * 2 <= strlen(g->keys[i].name)) {
			best = &g->keys[i];
			best_distance = d;
		}
	}
	return best;
}
