/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * run_golden - every configuration NN-name.conf beside this program's source is read and checked,
 * and what comes out is compared with what is kept:
 *
 *	NN-name.ok	the policy in normal form, when there is no error
 *	NN-name.warn	the warnings of such a policy, when there are any
 *	NN-name.err	the findings, when there is an error
 *
 * A first line "# host: cpus=0-7 memory=16GiB" gives the case a host to be checked against.
 * Each .ok is also read in again and must print the same. The shipped etc/qosd.conf is case 00.
 *
 * run_golden [--update] [DIRECTORY]	DIRECTORY: t/conf; by default $top_srcdir/t/conf
 * run_golden --list-keys		every key with its default, for check-man.sh
 * run_golden --check FILE		the findings of any file
 *
 * Prints TAP. --update writes the files anew: look at the difference before keeping it.
 */
#include <errno.h>
#include <glob.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "qosd/core/host.h"
#include "qosd/core/mem.h"
#include "qosd/core/unit.h"
#include "qosd/host/conf.h"

#define SHIPPED         "../../etc/qosd.conf"
#define NAME_MAX_LENGTH 200

/* What a case gives: texts, NULL when there is nothing of the kind. */
struct outcome {
	char *ok, *warn, *err;
};

static void outcome_done(struct outcome *o)
{
	free(o->ok);
	free(o->warn);
	free(o->err);
}

static char *read_text(const char *path)
{
	FILE *f = fopen(path, "re");
	char *text = NULL;
	size_t size = 0;

	if (!f)
		return NULL;
	if (getdelim(&text, &size, '\0', f) < 0) {
		free(text);
		text = strdup("");
	}
	fclose(f);
	return text;
}

static char *findings_text(const struct diag_list *findings)
{
	char *text = NULL, line[2048];
	size_t size = 0;
	FILE *f;

	if (!findings->count)
		return NULL;
	f = open_memstream(&text, &size);
	if (!f)
		return NULL;
	for (size_t i = 0; i < findings->count; i++) {
		const struct diag *d = &findings->items[i];

		if (d->severity != DIAG_ERROR)
			fprintf(f, "%s: ", diag_severity_name(d->severity));
		fprintf(f, "%s\n", diag_format(d, line, sizeof(line)));
	}
	if (findings->dropped)
		fprintf(f, "and %zu more\n", findings->dropped);
	fclose(f);
	return text;
}

/* The host that the first line asks for; false when it asks for none. */
static bool host_of(const char *path, struct host *ret)
{
	char line[256] = "", cpus[128] = "", memory[64] = "";
	struct host host = { 0 };
	FILE *f = fopen(path, "re");
	bool asked;

	if (!f)
		return false;
	asked = fgets(line, sizeof(line), f) &&
		sscanf(line, "# host: cpus=%127s memory=%63s", cpus, memory) == 2;
	fclose(f);
	if (!asked || cpuset_parse(cpus, &host.online) < 0 ||
	    unit_parse_size(memory, &host.memory_bytes) < 0)
		return false;
	*ret = host;
	return true;
}

static struct outcome run(const char *path)
{
	struct diag_list findings = { 0 };
	struct outcome out = { 0 };
	struct host host;
	bool hosted = host_of(path, &host);
	struct policy *p = conf_load(path, hosted ? &host : NULL, &findings);

	if (p) {
		out.ok = policy_print(p);
		out.warn = findings_text(&findings);
	} else {
		out.err = findings_text(&findings);
	}
	policy_free(p);
	diag_clear(&findings);
	return out;
}

/* print(read(print)) must be print. */
static bool round_trips(const char *printed)
{
	struct diag_list findings = { 0 };
	struct policy *p = conf_read_text(printed, "printed", &findings);
	CLEANUP_FREE char *again = p ? policy_print(p) : NULL;
	bool good = again && strcmp(again, printed) == 0 && policy_check(p, NULL, &findings) == 0;
	CLEANUP_FREE char *text = good ? NULL : findings_text(&findings);

	if (text)
		printf("# %s\n", text);
	policy_free(p);
	diag_clear(&findings);
	return good;
}

static void show_difference(const char *what, const char *expected, const char *actual)
{
	unsigned int line = 1;

	expected = expected ? expected : "";
	actual = actual ? actual : "";
	while (*expected && *actual) {
		size_t le = strcspn(expected, "\n"), la = strcspn(actual, "\n");

		if (le != la || memcmp(expected, actual, le) != 0)
			break;
		expected += le + (expected[le] != '\0');
		actual += la + (actual[la] != '\0');
		line++;
	}
	printf("# %s differs in line %u\n#   expected: %.*s\n#   got:      %.*s\n", what, line,
	       (int)strcspn(expected, "\n"), expected, (int)strcspn(actual, "\n"), actual);
}

static bool compare(const char *stem, const char *suffix, const char *actual)
{
	char path[NAME_MAX_LENGTH + 8];
	CLEANUP_FREE char *expected = NULL;

	snprintf(path, sizeof(path), "%s.%s", stem, suffix);
	expected = read_text(path);
	if (!expected && !actual)
		return true;
	if (expected && actual && strcmp(expected, actual) == 0)
		return true;
	show_difference(path, expected, actual);
	return false;
}

static bool update(const char *stem, const char *suffix, const char *actual)
{
	char path[NAME_MAX_LENGTH + 8];
	FILE *f;

	snprintf(path, sizeof(path), "%s.%s", stem, suffix);
	if (!actual)
		return unlink(path) == 0 || errno == ENOENT;
	f = fopen(path, "we");
	if (!f || fputs(actual, f) < 0) {
		printf("# cannot write %s: %s\n", path, strerror(errno));
		if (f)
			fclose(f);
		return false;
	}
	return fclose(f) == 0;
}

static bool run_case(const char *conf, const char *stem, bool updating)
{
	bool (*visit)(const char *, const char *, const char *) = updating ? update : compare;
	CLEANUP(outcome_done) struct outcome out = run(conf);
	bool good = visit(stem, "ok", out.ok);

	good = visit(stem, "warn", out.warn) && good;
	good = visit(stem, "err", out.err) && good;
	if (out.ok && !round_trips(out.ok)) {
		printf("# the normal form of %s does not read in as the same policy\n", conf);
		good = false;
	}
	if (!out.ok && !out.err) {
		printf("# %s: neither a policy nor a finding\n", conf);
		good = false;
	}
	return good;
}

static int run_all(bool updating)
{
	unsigned int count = 0, failed = 0;
	glob_t cases = { 0 };

	if (glob("[0-9][0-9]-*.conf", 0, NULL, &cases) != 0) {
		fprintf(stderr, "run_golden: there are no cases in this directory\n");
		return 1;
	}
	for (size_t i = 0; i <= cases.gl_pathc; i++) {
		const char *conf = i ? cases.gl_pathv[i - 1] : SHIPPED;
		char stem[NAME_MAX_LENGTH] = "00-shipped";
		bool good;

		if (i)
			snprintf(stem, sizeof(stem), "%.*s", (int)(strlen(conf) - 5), conf);
		good = run_case(conf, stem, updating);
		count++;
		failed += !good;
		printf("%s %u - %s\n", good ? "ok" : "not ok", count, stem);
	}
	globfree(&cases);
	printf("1..%u\n", count);
	return failed ? 1 : 0;
}

/* The sentence that the manual page must have for a key. */
static void print_default(const struct policy_key *key, const void *base)
{
	bool bare = key->type == KEY_COUNT32 || key->type == KEY_COUNT64;
	char value[POLICY_VALUE_MAX];

	policy_key_format(key, base, value, sizeof(value));
	if (key->required)
		printf("Required.\n");
	else if (!value[0] && key->type != KEY_CPUSET)
		printf("Default: not set.\n");
	else if (bare && value[0] >= '0' && value[0] <= '9')
		printf("Default: %s.\n", value);
	else
		printf("Default: \"%s\".\n", value);
}

/* "classes.cpu.limit<tab>Default: "none"." for every key; lists in `base` have one element. */
static void list_keys(const struct policy_group *group, const char *prefix, const void *base)
{
	for (size_t i = 0; i < group->nkeys; i++) {
		const struct policy_key *key = &group->keys[i];
		const void *inner = (const char *)base + key->offset;
		char path[NAME_MAX_LENGTH];

		snprintf(path, sizeof(path), "%.150s%s%.40s", prefix, prefix[0] ? "." : "",
			 key->name);
		if (key->type == KEY_LIST)
			memcpy(&inner, inner, sizeof(inner));
		if (key->group) {
			list_keys(key->group, path, inner);
			continue;
		}
		printf("%s\t", path);
		print_default(key, base);
	}
}

static int list_all_keys(void)
{
	struct policy *p = policy_new();
	bool good = p && policy_add_class(p) && policy_add_rule(p) && policy_add_network(p);

	if (good)
		list_keys(&policy_root_group, "", p);
	policy_free(p);
	return good ? 0 : 1;
}

/* The findings of one file, and whether it is accepted. */
static int check_file(const char *path)
{
	CLEANUP(outcome_done) struct outcome out = run(path);

	fputs(out.err ? out.err : out.warn ? out.warn : "", stdout);
	return out.ok ? 0 : 1;
}

/* The directory of the cases: the argument, or below the source tree that make names. */
static int enter(const char *argument)
{
	const char *top = getenv("top_srcdir");
	CLEANUP_FREE char *dir = NULL;

	if (argument)
		return chdir(argument);
	if (!top)
		return 0;
	if (asprintf(&dir, "%s/t/conf", top) < 0) {
		dir = NULL;
		return -1;
	}
	return chdir(dir);
}

int main(int argc, char **argv)
{
	bool updating = argc > 1 && strcmp(argv[1], "--update") == 0;
	const char *dir = argc > 1 + updating ? argv[1 + updating] : NULL;

	if (argc > 1 && strcmp(argv[1], "--list-keys") == 0)
		return list_all_keys();
	if (argc > 2 && strcmp(argv[1], "--check") == 0)
		return check_file(argv[2]);
	if (enter(dir) < 0) {
		fprintf(stderr, "run_golden: cannot enter the directory of the cases: %s\n",
			strerror(errno));
		return 1;
	}
	return run_all(updating);
}
