/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * qosctl - asks qosd and tells it. Options, the table of verbs, help.
 *
 * The table of verbs is the one source: help, abbreviations, the count of arguments, completion
 * and the tests of man page and completion all read it.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include "tools/client.h"
#include "tools/qosctl.h"

#include <getopt.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "qosd/core/mem.h"
#include "qosd/core/unit.h"

#ifndef PACKAGE_VERSION
#define PACKAGE_VERSION "0.1.0"
#endif

static int verb_help(struct qosctl *ctl, int argc, char **argv);

const struct qosctl_verb qosctl_verbs[] = {
	{ "status", "", 0, 0, 0, "the host at a glance: mode, pressure, classes", verb_status },
	{ "list", "", 0, 0, 0, "all guests with class, use, waiting and limits", verb_list },
	{ "show", "GUEST", 1, 1, 0, "everything about one guest", verb_show },
	{ "explain", "GUEST", 1, 1, 0, "each knob of a guest: wanted, actual, baseline, and why",
	  verb_explain },
	{ "top", "", 0, 0, 0, "live view of pressure and guests", verb_top },
	{ "plan", "[FILE]", 0, 1, 0, "what would change, and why; with FILE: under that policy",
	  verb_plan },
	{ "check", "FILE...", 1, 1000, 0, "check policy files; needs no daemon", verb_check },
	{ "episodes", "", 0, 0, OPTION_FOLLOW, "overloads, past and present", verb_episodes },
	{ "capacity", "", 0, 0, 0, "what the host has, what is promised, and what is left",
	  verb_capacity },
	{ "doctor", "", 0, 0, 0, "what this host can and cannot do, and the fix", verb_doctor },
	{ "policy", "", 0, 0, 0, "the policy in force, in normal form", verb_policy },
	{ "version", "", 0, 0, 0, "versions of qosctl, qosd and what they run on", verb_version },
	{ "reload", "[FILE]", 0, 1, OPTION_CANARY | OPTION_FOR,
	  "take the policy from its file, or from FILE; or try it first", verb_reload },
	{ "confirm", "", 0, 0, 0, "the policy on trial is good: take it for all guests",
	  verb_confirm },
	{ "undo", "", 0, 0, 0, "end a trial, or back to the policy before the last reload",
	  verb_undo },
	{ "mode", "observe|enforce", 1, 1, 0, "only report, or act", verb_mode },
	{ "class", "GUEST [CLASS]", 1, 2, OPTION_CLEAR,
	  "put a guest in a class; with --clear: let the rules decide", verb_class },
	{ "throttle", "CLASS RESOURCE LEVEL", 3, 3, OPTION_FOR,
	  "hold a class at a level (0%..100%) of cpu, memory, net or disk", verb_throttle },
	{ "hold", "GUEST", 1, 1, OPTION_FOR, "leave a guest as it is for a time", verb_hold },
	{ "release", "[GUEST]", 0, 1, 0, "give one guest, or all, what they had before qosd",
	  verb_release },
	{ "help", "[VERB]", 0, 1, 0, "this text, or that of one verb", verb_help },
	{ "complete", "WORD...", 0, 1000, 0, NULL, verb_complete },
};
const size_t qosctl_nverbs = ARRAY_SIZE(qosctl_verbs);

static const struct {
	unsigned int option;
	const char *text, *help;
} verb_options[] = {
	{ OPTION_FOLLOW, "-f, --follow", "go on with each overload that begins or ends" },
	{ OPTION_CANARY, "--canary SHARE", "only for this part of the guests, e.g. 10%" },
	{ OPTION_FOR, "--for TIME", "how long: 30s, 10min, 1h" },
	{ OPTION_CLEAR, "--clear", "forget the class given to the guest" },
};

const char *qosctl_version(void)
{
	return PACKAGE_VERSION;
}

int qosctl_fail(enum qosctl_exit status, const char *fmt, ...)
{
	char sentence[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(sentence, sizeof(sentence), fmt, ap);
	va_end(ap);
	fprintf(stderr, "qosctl: %s\n", text_clean(sentence));
	return status;
}

void qosctl_out_of_memory(void)
{
	exit(qosctl_fail(EXIT_FAILED, "out of memory"));
}

bool qosctl_for_seconds(const struct qosctl *ctl, double *ret)
{
	uint64_t us;

	if (!ctl->for_text) {
		qosctl_fail(EXIT_USAGE, "how long? Add a time, as in --for 10min");
		return false;
	}
	if (unit_parse_time(ctl->for_text, &us) < 0) {
		qosctl_fail(EXIT_USAGE, "\"%s\" is no time; write it as in --for 10min",
			    ctl->for_text);
		return false;
	}
	*ret = (double)us / 1e6;
	return true;
}

/* ---- help ---- */

/* A time is all that a verb without --canary wants to know by --for: it refuses without. */
static bool option_needed(const struct qosctl_verb *v, unsigned int option)
{
	return option == OPTION_FOR && !(v->options & OPTION_CANARY);
}

static void print_verb_usage(const struct qosctl_verb *v, FILE *out)
{
	fprintf(out, "usage: qosctl [--json] [--socket PATH] %s%s%s", v->name, *v->args ? " " : "",
		v->args);
	for (size_t i = 0; i < ARRAY_SIZE(verb_options); i++)
		if (v->options & verb_options[i].option)
			fprintf(out, option_needed(v, verb_options[i].option) ? " %s" : " [%s]",
				verb_options[i].text);
	fputc('\n', out);
}

static void print_verb_help(const struct qosctl_verb *v)
{
	print_verb_usage(v, stdout);
	if (v->help)
		printf("\n  %s\n", v->help);
	for (size_t i = 0; i < ARRAY_SIZE(verb_options); i++)
		if (v->options & verb_options[i].option)
			printf("  %-14s %s\n", verb_options[i].text, verb_options[i].help);
}

/* "  throttle CLASS ... --for TIME   what it does", over two lines where it is long. */
static void print_verb_line(const struct qosctl_verb *v)
{
	char usage[96];
	int size;

	size = snprintf(usage, sizeof(usage), "%s %s%s", v->name, v->args,
			v->options & OPTION_CANARY   ? " [--canary SHARE [--for TIME]]"
			: v->options & OPTION_FOR    ? " --for TIME"
			: v->options & OPTION_FOLLOW ? "[-f]"
			: v->options & OPTION_CLEAR  ? " [--clear]"
						     : "");
	if (size > 24)
		printf("  %s\n  %-24s %s\n", usage, "", v->help);
	else
		printf("  %-24s %s\n", usage, v->help);
}

static void print_help(void)
{
	printf("usage: qosctl [--json] [--socket PATH] VERB [ARGUMENT...]\n\n");
	for (size_t i = 0; i < qosctl_nverbs; i++)
		if (qosctl_verbs[i].help)
			print_verb_line(&qosctl_verbs[i]);
	printf("\n  --json         one JSON object instead of text\n"
	       "  --socket PATH  of the daemon (%s)\n"
	       "  --help, --version\n\n"
	       "Verbs may be shortened as long as they are unique. Exit status: 0 done, 1 failed or\n"
	       "refused, 2 usage, 3 no daemon, 4 not permitted, 5 findings (check, doctor, plan).\n",
	       CLIENT_SOCKET);
}

static json_t *verb_as_json(const struct qosctl_verb *v)
{
	return json_pack("{s:s, s:s, s:s}", "name", v->name, "arguments", v->args, "help", v->help);
}

static int help_as_json(const struct qosctl_verb *only)
{
	json_t *verbs = json_array(), *all = json_object();

	for (size_t i = 0; i < qosctl_nverbs; i++)
		if (qosctl_verbs[i].help && (!only || only == &qosctl_verbs[i]))
			json_array_append_new(verbs, verb_as_json(&qosctl_verbs[i]));
	json_object_set_new(all, "verbs", verbs);
	json_print(all, false);
	json_decref(all);
	return EXIT_DONE;
}

const struct qosctl_verb *qosctl_find_verb(const char *name)
{
	const struct qosctl_verb *found = NULL;
	size_t size = strlen(name), matches = 0;

	for (size_t i = 0; i < qosctl_nverbs; i++) {
		const struct qosctl_verb *v = &qosctl_verbs[i];

		if (strcmp(v->name, name) == 0)
			return v;
		if (v->help && size > 0 && strncmp(v->name, name, size) == 0) {
			found = v;
			matches++;
		}
	}
	return matches == 1 ? found : NULL;
}

static const struct qosctl_verb *find_or_complain(const char *name)
{
	const struct qosctl_verb *v = qosctl_find_verb(name);

	if (!v)
		qosctl_fail(EXIT_USAGE, "\"%s\" is no verb, or short for several; try qosctl help",
			    name);
	return v;
}

static int verb_help(struct qosctl *ctl, int argc, char **argv)
{
	const struct qosctl_verb *v = argc ? find_or_complain(argv[0]) : NULL;

	if (argc && !v)
		return EXIT_USAGE;
	if (ctl->json)
		return help_as_json(v);
	if (v)
		print_verb_help(v);
	else
		print_help();
	return EXIT_DONE;
}

/* ---- options ---- */

enum { LONG_JSON = 256, LONG_SOCKET, LONG_HELP, LONG_VERSION, LONG_FOR, LONG_CLEAR, LONG_CANARY };

static const struct option long_options[] = {
	{ "json", no_argument, NULL, LONG_JSON },
	{ "socket", required_argument, NULL, LONG_SOCKET },
	{ "help", no_argument, NULL, LONG_HELP },
	{ "version", no_argument, NULL, LONG_VERSION },
	{ "follow", no_argument, NULL, 'f' },
	{ "for", required_argument, NULL, LONG_FOR },
	{ "clear", no_argument, NULL, LONG_CLEAR },
	{ "canary", required_argument, NULL, LONG_CANARY },
	{ 0 },
};

struct command_line {
	bool help, version;
};

/* False: a usage error, told by getopt. Arguments are left from optind on. */
static bool parse_options(struct qosctl *ctl, struct command_line *line, int argc, char **argv)
{
	int option;

	while ((option = getopt_long(argc, argv, "hf", long_options, NULL)) != -1) {
		switch (option) {
		case LONG_JSON:
			ctl->json = true;
			break;
		case LONG_SOCKET:
			ctl->socket = optarg;
			break;
		case 'h':
		case LONG_HELP:
			line->help = true;
			break;
		case LONG_VERSION:
			line->version = true;
			break;
		case 'f':
			ctl->options |= OPTION_FOLLOW;
			break;
		case LONG_FOR:
			ctl->options |= OPTION_FOR;
			ctl->for_text = optarg;
			break;
		case LONG_CANARY:
			ctl->options |= OPTION_CANARY;
			ctl->canary_text = optarg;
			break;
		case LONG_CLEAR:
			ctl->options |= OPTION_CLEAR;
			break;
		default:
			return false;
		}
	}
	return true;
}

/* JSON, and so the daemon, knows no other text. */
static bool is_utf8(const char *text)
{
	json_t *string = json_string(text);

	json_decref(string);
	return string != NULL;
}

static int run_verb(struct qosctl *ctl, const struct qosctl_verb *v, int argc, char **argv)
{
	if (argc < v->min || argc > v->max || (ctl->options & ~v->options)) {
		qosctl_fail(EXIT_USAGE, "%s: %s", v->name,
			    argc < v->min   ? "an argument is missing"
			    : argc > v->max ? "too many arguments"
					    : "it does not take this option");
		print_verb_usage(v, stderr);
		return EXIT_USAGE;
	}
	for (int i = 0; i < argc; i++)
		if (!is_utf8(argv[i]))
			return qosctl_fail(EXIT_USAGE, "an argument is not UTF-8 text: %s",
					   argv[i]);
	return v->run(ctl, argc, argv);
}

static bool wants_colour(void)
{
	const char *no_colour = getenv("NO_COLOR"), *term = getenv("TERM");

	return isatty(STDOUT_FILENO) && !(no_colour && *no_colour) &&
	       !(term && strcmp(term, "dumb") == 0);
}

/* What was printed did not all arrive: a full disk, a closed pipe. */
static int close_output(int status)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return status;
	return qosctl_fail(EXIT_FAILED, "cannot write to standard output");
}

int main(int argc, char **argv)
{
	struct qosctl ctl = { .socket = CLIENT_SOCKET, .colour = wants_colour() };
	struct command_line line = { 0 };
	const struct qosctl_verb *v;

	if (argc > 1 && strcmp(argv[1], "complete") == 0) /* its words are not our options */
		return close_output(verb_complete(&ctl, argc - 2, argv + 2));
	if (!parse_options(&ctl, &line, argc, argv))
		return EXIT_USAGE;
	if (line.version) {
		printf("qosctl %s\n", qosctl_version());
		return close_output(EXIT_DONE);
	}
	if (optind >= argc) {
		if (line.help)
			return close_output(verb_help(&ctl, 0, NULL));
		return qosctl_fail(EXIT_USAGE, "what to do? Try qosctl status, or qosctl help");
	}
	if (line.help)
		return close_output(verb_help(&ctl, 1, argv + optind));
	v = find_or_complain(argv[optind]);
	if (!v)
		return EXIT_USAGE;
	return close_output(run_verb(&ctl, v, argc - optind - 1, argv + optind + 1));
}
