/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * conf_tree - walk libconfig's settings along the key tables and fill a policy.
 *
 * Never stops at the first mistake: a refused value leaves its default in place and is marked bad
 * in the policy's origins, and the walk goes on.
 */
#include "qosd/host/conf_tree.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "qosd/core/arena.h"
#include "qosd/core/mem.h"
#include "qosd/host/conf_scan.h"

#define PATH_TEXT_MAX 256

struct reader {
	struct policy *policy;
	const char *name; /* of the main file */
	struct diag_list *findings;
	size_t scan_first, scan_end; /* which findings the scan made */
};

/* A place in the tree: the setting with its path for people. */
struct place {
	config_setting_t *setting;
	char path[PATH_TEXT_MAX];
};

static const char *place_file(const struct reader *r, const struct place *at)
{
	const char *file = config_setting_source_file(at->setting);

	return file ? conf_display_name(file) : r->name;
}

__attribute__((format(printf, 4, 5))) static void
refuse(const struct reader *r, const struct place *at, const char *fix, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	diag_addv(r->findings, DIAG_ERROR, place_file(r, at),
		  config_setting_source_line(at->setting), at->path, fix, fmt, args);
	va_end(args);
}

static void remember(const struct reader *r, const struct place *at, bool bad)
{
	if (policy_origin_add(r->policy, at->path, place_file(r, at),
			      config_setting_source_line(at->setting), bad) < 0)
		refuse(r, at, "free some and try again", "out of memory");
}

static void place_member(struct place *ret, const struct place *parent, config_setting_t *setting,
			 const char *name)
{
	int n = snprintf(ret->path, sizeof(ret->path), "%.180s%s%.60s", parent->path,
			 parent->path[0] ? "." : "", name);

	ret->setting = setting;
	if (n < 0)
		ret->path[0] = '\0';
}

static const char *type_name(const config_setting_t *setting)
{
	switch (config_setting_type(setting)) {
	case CONFIG_TYPE_GROUP:
		return "a group { }";
	case CONFIG_TYPE_INT:
	case CONFIG_TYPE_INT64:
		return "a bare number";
	case CONFIG_TYPE_FLOAT:
		return "a bare number with a point";
	case CONFIG_TYPE_STRING:
		return "a string";
	case CONFIG_TYPE_BOOL:
		return "a boolean";
	case CONFIG_TYPE_ARRAY:
		return "an array [ ]";
	case CONFIG_TYPE_LIST:
		return "a list ( )";
	default:
		return "nothing";
	}
}

static const char *wanted_name(const struct policy_key *key)
{
	switch (key->type) {
	case KEY_COUNT32:
	case KEY_COUNT64:
		return "a count";
	case KEY_SIZE:
	case KEY_RATE:
	case KEY_BYTE_RATE:
	case KEY_TIME:
	case KEY_SHARE:
	case KEY_AMOUNT:
		return "a string with a unit";
	case KEY_GROUP:
		return "a group { }";
	case KEY_LIST:
		return "a list ( )";
	default:
		return "a string";
	}
}

static void refuse_type(const struct reader *r, const struct place *at,
			const struct policy_key *key)
{
	char advice[200];

	refuse(r, at, policy_key_advice(key, advice, sizeof(advice)), "this is %s, not %s",
	       type_name(at->setting), wanted_name(key));
	remember(r, at, true);
}

/* ---- scalars ---- */

static bool is_count(const struct policy_key *key)
{
	return key->type == KEY_COUNT32 || key->type == KEY_COUNT64;
}

/* The value as text; NULL when the setting's type cannot be one for this key. */
static const char *scalar_text(const struct place *at, const struct policy_key *key,
			       char digits[24])
{
	switch (config_setting_type(at->setting)) {
	case CONFIG_TYPE_STRING:
		return config_setting_get_string(at->setting);
	case CONFIG_TYPE_INT:
	case CONFIG_TYPE_INT64:
		if (!is_count(key))
			return NULL;
		snprintf(digits, 24, "%lld", config_setting_get_int64(at->setting));
		return digits;
	default:
		return NULL;
	}
}

/* Has the scan found a number on this line that libconfig wraps? Then it has been reported. */
static bool scan_refused(const struct reader *r, const struct place *at)
{
	const char *file = place_file(r, at);
	unsigned int line = config_setting_source_line(at->setting);

	for (size_t i = r->scan_first; i < r->scan_end; i++)
		if (r->findings->items[i].line == line &&
		    strcmp(r->findings->items[i].file, file) == 0)
			return true;
	return false;
}

/* Split "what is wrong; what would be right" at the last mark: the value itself may hold one. */
static void refuse_value(const struct reader *r, const struct place *at, char *sentence)
{
	char *fix = NULL;

	for (char *next = strstr(sentence, "; "); next; next = strstr(next + 2, "; "))
		fix = next;
	if (fix)
		*fix = '\0';
	refuse(r, at, fix ? fix + 2 : NULL, "%s", sentence);
}

static void read_scalar(const struct reader *r, const struct place *at,
			const struct policy_key *key, void *base)
{
	char digits[24];
	const char *text = scalar_text(at, key, digits);
	struct qerr err = { 0 };
	bool good;

	if (!text) {
		refuse_type(r, at, key);
		return;
	}
	good = policy_key_set(key, base, text, r->policy->arena, &err) == 0;
	if (!good && !(config_setting_is_number(at->setting) && scan_refused(r, at)))
		refuse_value(r, at, err.text);
	remember(r, at, !good);
}

/* ---- groups ---- */

static void read_group(const struct reader *r, const struct place *at,
		       const struct policy_group *group, void *base);

static void list_keys(const struct policy_group *group, char *buf, size_t size)
{
	size_t len = (size_t)snprintf(buf, size, "known here:");

	for (size_t i = 0; i < group->nkeys && len < size; i++) {
		int n = snprintf(buf + len, size - len, "%s %s", i ? "," : "", group->keys[i].name);

		len += n > 0 ? (size_t)n : 0;
	}
}

static void refuse_unknown(const struct reader *r, const struct place *at,
			   const struct policy_group *group)
{
	const struct policy_key *meant =
		policy_key_nearest(group, config_setting_name(at->setting));
	char fix[300];

	if (meant)
		snprintf(fix, sizeof(fix), "did you mean \"%s\"?", meant->name);
	else
		list_keys(group, fix, sizeof(fix));
	refuse(r, at, fix, "there is no such setting");
	remember(r, at, true);
}

static void check_required(const struct reader *r, const struct place *at,
			   const struct policy_group *group)
{
	for (size_t i = 0; i < group->nkeys; i++) {
		const struct policy_key *key = &group->keys[i];
		struct place missing;
		char fix[64];

		if (!key->required || config_setting_get_member(at->setting, key->name))
			continue;
		place_member(&missing, at, at->setting, key->name);
		snprintf(fix, sizeof(fix), "write for example %s = %s", key->name, key->example);
		refuse(r, at, fix, "%s is missing", key->name);
		remember(r, &missing, true);
	}
}

/* ---- lists ---- */

static void *add_network(struct policy *p, unsigned int line)
{
	struct network *n = policy_add_network(p);

	if (n)
		n->line = line;
	return n;
}

static void *add_class(struct policy *p, unsigned int line)
{
	struct qclass *c = policy_add_class(p);

	if (c)
		c->line = line;
	return c;
}

static void *add_rule(struct policy *p, unsigned int line)
{
	struct match_rule *rule = policy_add_rule(p);

	if (rule)
		rule->line = line;
	return rule;
}

static const struct {
	const char *name;
	void *(*add)(struct policy *p, unsigned int line);
} lists[] = {
	{ "networks", add_network },
	{ "classes", add_class },
	{ "match", add_rule },
};

static void *list_add(const struct reader *r, const char *name, const struct place *element)
{
	for (size_t i = 0; i < ARRAY_SIZE(lists); i++)
		if (strcmp(lists[i].name, name) == 0)
			return lists[i].add(r->policy,
					    config_setting_source_line(element->setting));
	return NULL;
}

static void read_element(const struct reader *r, const struct place *at,
			 const struct policy_key *key)
{
	void *element;

	if (!config_setting_is_group(at->setting)) {
		char fix[64];

		snprintf(fix, sizeof(fix), "write %s = ( { ... }, { ... } )", key->name);
		refuse(r, at, fix, "this is %s, not a group { }", type_name(at->setting));
		remember(r, at, true);
		return;
	}
	element = list_add(r, key->name, at);
	if (!element) {
		refuse(r, at, "free some and try again", "out of memory");
		return;
	}
	remember(r, at, false);
	read_group(r, at, key->group, element);
}

static void read_list(const struct reader *r, const struct place *at, const struct policy_key *key)
{
	int count = config_setting_length(at->setting);
	bool empty_array = config_setting_is_array(at->setting) && count == 0;

	if (!config_setting_is_list(at->setting) && !empty_array) {
		refuse_type(r, at, key);
		return;
	}
	if ((uint64_t)count > key->max) {
		refuse(r, at, "leave some out", "there are %d of them, more than the %u allowed",
		       count, (unsigned int)key->max);
		remember(r, at, true);
		return;
	}
	remember(r, at, false);
	for (int i = 0; i < count; i++) {
		struct place element;

		element.setting = config_setting_get_elem(at->setting, (unsigned int)i);
		snprintf(element.path, sizeof(element.path), "%s[%d]", key->name, i);
		read_element(r, &element, key);
	}
}

static void read_key(const struct reader *r, const struct place *at, const struct policy_key *key,
		     void *base)
{
	if (key->type == KEY_LIST) {
		read_list(r, at, key);
	} else if (key->type != KEY_GROUP) {
		read_scalar(r, at, key, base);
	} else if (!config_setting_is_group(at->setting)) {
		refuse_type(r, at, key);
	} else {
		remember(r, at, false);
		read_group(r, at, key->group, (char *)base + key->offset);
	}
}

static void read_group(const struct reader *r, const struct place *at,
		       const struct policy_group *group, void *base)
{
	int count = config_setting_length(at->setting);

	for (int i = 0; i < count; i++) {
		config_setting_t *setting = config_setting_get_elem(at->setting, (unsigned int)i);
		const char *name = config_setting_name(setting);
		const struct policy_key *key = policy_key_find(group, name);
		struct place member;

		place_member(&member, at, setting, name);
		if (key)
			read_key(r, &member, key, base);
		else
			refuse_unknown(r, &member, group);
	}
	check_required(r, at, group);
}

/* ---- the whole ---- */

static unsigned int member_line(config_setting_t *root, const char *name)
{
	config_setting_t *setting = config_setting_get_member(root, name);

	return setting ? config_setting_source_line(setting) : 0;
}

struct policy *conf_tree_read(config_t *config, const char *name, size_t scan_first,
			      struct diag_list *findings)
{
	struct policy *p = policy_new();
	struct reader r = { p, name, findings, scan_first, findings->count };
	struct place root = { .setting = config_root_setting(config) };

	if (p)
		p->path = arena_strdup(p->arena, name);
	if (!p || !p->path) {
		diag_add(findings, DIAG_ERROR, name, 0, NULL, "free some and try again",
			 "out of memory");
		policy_free(p);
		return NULL;
	}
	p->mode_line = member_line(root.setting, "mode");
	p->default_class_line = member_line(root.setting, "default_class");
	read_group(&r, &root, &policy_root_group, p);
	return p;
}
