/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * qosctl_write - verbs that change something. Whether they may, the daemon decides.
 */
#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "qosd/core/mem.h"
#include "qosd/core/unit.h"
#include "tools/qosctl.h"

/*
 * Make the call and end the verb: the answer as JSON, or one line of text from it, which the
 * caller's printer makes (`what` is for it).
 */
static int change(const struct qosctl *ctl, const char *method, json_t *parameters,
		  void (*print)(const json_t *answer, char **what), char **what)
{
	json_t *answer = NULL;
	int r;

	if (!parameters)
		qosctl_out_of_memory();
	r = qosctl_call(ctl, method, parameters, PLAN_SECONDS, &answer);
	if (r)
		return r;
	if (ctl->json)
		json_print(answer, false);
	else
		print(answer, what);
	json_decref(answer);
	return EXIT_DONE;
}

/* One line, cleaned: guest and class names are text of others. */
__attribute__((format(printf, 1, 2))) static void say(const char *fmt, ...)
{
	char line[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	puts(text_clean(line));
}

static void print_generation(const json_t *answer, char **what)
{
	(void)what;
	say("policy generation %.0f is in force, %.0f changes", json_number(answer, "generation"),
	    json_number(answer, "changes"));
}

static void print_trial(const json_t *answer, char **what)
{
	(void)what;
	say("policy on trial for %.0f guests until %s, %.0f changes; qosctl confirm takes it, "
	    "qosctl undo ends it",
	    json_number(answer, "trial.guests"), json_text(answer, "trial.until"),
	    json_number(answer, "changes"));
}

/* Parameters of a reload that is tried first; false after a complaint. */
static bool add_canary(const struct qosctl *ctl, json_t *parameters)
{
	uint32_t permille;
	double seconds;

	if (unit_parse_share(ctl->canary_text, &permille) < 0 || permille < 1 || permille > 1000) {
		qosctl_fail(EXIT_USAGE, "\"%s\" is no part of the guests; write 0.1%% to 100%%",
			    ctl->canary_text);
		return false;
	}
	json_object_set_new(parameters, "canary", json_integer(permille));
	if (!ctl->for_text)
		return true;
	if (!qosctl_for_seconds(ctl, &seconds))
		return false;
	json_object_set_new(parameters, "seconds", json_real(seconds));
	return true;
}

int verb_reload(struct qosctl *ctl, int argc, char **argv)
{
	bool canary = ctl->options & OPTION_CANARY;
	char path[PATH_MAX];
	json_t *parameters;

	if (!canary && ctl->for_text)
		return qosctl_fail(EXIT_USAGE, "reload: --for goes with --canary");
	/* The daemon reads the file, from another working directory. */
	if (argc == 1 && !realpath(argv[0], path))
		return qosctl_fail(EXIT_FAILED, "cannot read %s: %s", argv[0], strerror(errno));
	parameters = json_object();
	if (canary && !add_canary(ctl, parameters)) {
		json_decref(parameters);
		return EXIT_USAGE;
	}
	if (argc == 1)
		json_object_set_new(parameters, "path", json_string(path));
	return change(ctl, "Reload", parameters, canary ? print_trial : print_generation, NULL);
}

int verb_confirm(struct qosctl *ctl, int argc, char **argv)
{
	(void)argc;
	(void)argv;
	return change(ctl, "Confirm", json_object(), print_generation, NULL);
}

int verb_undo(struct qosctl *ctl, int argc, char **argv)
{
	(void)argc;
	(void)argv;
	return change(ctl, "Undo", json_object(), print_generation, NULL);
}

static void print_mode(const json_t *answer, char **what)
{
	(void)what;
	say("mode %s", json_text(answer, "mode"));
}

int verb_mode(struct qosctl *ctl, int argc, char **argv)
{
	(void)argc;
	if (strcmp(argv[0], "observe") != 0 && strcmp(argv[0], "enforce") != 0)
		return qosctl_fail(EXIT_USAGE, "\"%s\" is no mode; choose observe or enforce",
				   argv[0]);
	return change(ctl, "SetMode", json_pack("{s:s}", "mode", argv[0]), print_mode, NULL);
}

static void print_class(const json_t *answer, char **what)
{
	if (what[1])
		say("%s is in class %s", what[0], what[1]);
	else if (json_at(answer, "class"))
		say("%s is in class %s again, by the rules", what[0], json_text(answer, "class"));
	else
		say("%s is in the class that the rules give it", what[0]);
}

int verb_class(struct qosctl *ctl, int argc, char **argv)
{
	bool clear = ctl->options & OPTION_CLEAR;
	char *what[] = { argv[0], argc == 2 ? argv[1] : NULL };

	if (clear == (argc == 2))
		return qosctl_fail(EXIT_USAGE, "class: give either a class or --clear");
	return change(ctl, "SetClass",
		      clear ? json_pack("{s:s, s:n}", "guest", argv[0], "class")
			    : json_pack("{s:s, s:s}", "guest", argv[0], "class", argv[1]),
		      print_class, what);
}

/* "30%" or permille "300" -> 0..1000. */
static bool parse_level(const char *text, uint32_t *ret_permille)
{
	uint64_t count;

	if (unit_parse_count(text, &count) == 0 && count <= 1000)
		*ret_permille = (uint32_t)count;
	else if (unit_parse_share(text, ret_permille) < 0)
		return false;
	return *ret_permille <= 1000;
}

static void print_throttle(const json_t *answer, char **what)
{
	if (json_at(answer, "until"))
		say("class %s is held at %s of its %s until %s", what[0], what[2], what[1],
		    json_text(answer, "until"));
	else
		say("the %s of class %s is the governor's again", what[1], what[0]);
}

int verb_throttle(struct qosctl *ctl, int argc, char **argv)
{
	char level_text[HUMAN_MAX];
	char *what[] = { argv[0], argv[1], level_text };
	uint32_t level;
	double seconds;

	(void)argc;
	if (!parse_level(argv[2], &level))
		return qosctl_fail(EXIT_USAGE,
				   "\"%s\" is no level; write 0%% (the floor) to 100%% (the limit)",
				   argv[2]);
	if (!qosctl_for_seconds(ctl, &seconds))
		return EXIT_USAGE;
	human_share(level / 1000.0, level_text);
	return change(ctl, "Throttle",
		      json_pack("{s:s, s:s, s:i, s:f}", "class", argv[0], "resource", argv[1],
				"level", (int)level, "seconds", seconds),
		      print_throttle, what);
}

static void print_hold(const json_t *answer, char **what)
{
	if (json_at(answer, "until"))
		say("%s is left as it is until %s", what[0], json_text(answer, "until"));
	else
		say("%s is managed again", what[0]);
}

int verb_hold(struct qosctl *ctl, int argc, char **argv)
{
	double seconds;

	(void)argc;
	if (!qosctl_for_seconds(ctl, &seconds))
		return EXIT_USAGE;
	return change(ctl, "Hold", json_pack("{s:s, s:f}", "guest", argv[0], "seconds", seconds),
		      print_hold, argv);
}

static void print_release(const json_t *answer, char **what)
{
	(void)what;
	say("%.0f values are as they were before qosd", json_number(answer, "changes"));
}

int verb_release(struct qosctl *ctl, int argc, char **argv)
{
	return change(ctl, "Release", argc ? json_pack("{s:s}", "guest", argv[0]) : json_object(),
		      print_release, argv);
}
