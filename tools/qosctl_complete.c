/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * qosctl_complete - what may come next on the command line; for the shell's completion.
 *
 * `qosctl complete WORD...` prints the candidates for the last word, one a line. The words of a
 * verb's usage line say what kind of thing is asked; names of guests and classes come from the
 * running daemon. Never complains: a completion that fails is an empty one.
 */
#include <string.h>

#include "qosd/core/mem.h"
#include "tools/qosctl.h"

static void offer(const char *word, const char *prefix)
{
	/* A name with control characters cannot be offered as a line. */
	for (const char *c = word; *c; c++)
		if ((unsigned char)*c < ' ' || *c == 0x7f)
			return;
	if (strncmp(word, prefix, strlen(prefix)) == 0)
		puts(word);
}

static void offer_names(struct qosctl *ctl, const char *method, const char *list,
			const char *prefix)
{
	json_t *answer = qosctl_ask(ctl, method);
	const json_t *item;
	size_t i;

	json_array_foreach (json_at(answer, list), i, item)
		offer(json_text(item, "name"), prefix);
	json_decref(answer);
}

static void offer_verbs(const char *prefix)
{
	for (size_t i = 0; i < qosctl_nverbs; i++)
		if (qosctl_verbs[i].help)
			offer(qosctl_verbs[i].name, prefix);
}

static void offer_words(const char *const *words, size_t count, const char *prefix)
{
	for (size_t i = 0; i < count; i++)
		offer(words[i], prefix);
}

static void offer_options(const struct qosctl_verb *v, const char *prefix)
{
	static const char *const always[] = { "--json", "--socket", "--help", "--version" };

	offer_words(always, ARRAY_SIZE(always), prefix);
	if (v && (v->options & OPTION_FOLLOW))
		offer("--follow", prefix);
	if (v && (v->options & OPTION_FOR))
		offer("--for", prefix);
	if (v && (v->options & OPTION_CANARY))
		offer("--canary", prefix);
	if (v && (v->options & OPTION_CLEAR))
		offer("--clear", prefix);
}

/* The word of the usage line for argument `n`, without brackets, in buf; false: no more. */
static bool argument_kind(const char *args, size_t n, char *buf, size_t size)
{
	for (; *args == ' ' || n > 0; n--) {
		args += strcspn(args, " ");
		args += strspn(args, " ");
	}
	args += strspn(args, "[");
	snprintf(buf, size, "%.*s", (int)strcspn(args, " ]."), args);
	return *buf != '\0';
}

static void offer_argument(struct qosctl *ctl, const struct qosctl_verb *v, size_t n,
			   const char *prefix)
{
	static const char *const resources[] = { "cpu", "memory", "net", "disk" };
	static const char *const modes[] = { "observe", "enforce" };
	char kind[64];

	if (!argument_kind(v->args, n, kind, sizeof(kind)))
		return;
	if (strcmp(kind, "GUEST") == 0)
		offer_names(ctl, "List", "guests", prefix);
	else if (strcmp(kind, "CLASS") == 0)
		offer_names(ctl, "Status", "classes", prefix);
	else if (strcmp(kind, "VERB") == 0)
		offer_verbs(prefix);
	else if (strcmp(kind, "RESOURCE") == 0)
		offer_words(resources, ARRAY_SIZE(resources), prefix);
	else if (strcmp(kind, "observe|enforce") == 0)
		offer_words(modes, ARRAY_SIZE(modes), prefix);
}

/* Options that take the next word as their value. */
static bool takes_value(const char *word)
{
	return strcmp(word, "--socket") == 0 || strcmp(word, "--for") == 0 ||
	       strcmp(word, "--canary") == 0;
}

int verb_complete(struct qosctl *ctl, int argc, char **argv)
{
	const struct qosctl_verb *verb = NULL;
	const char *last = argc > 0 ? argv[argc - 1] : "";
	size_t arguments = 0;

	for (int i = 0; i + 1 < argc; i++) {
		if (takes_value(argv[i])) {
			if (i + 2 >= argc) /* the value itself is asked for: files, or a time */
				return EXIT_DONE;
			if (strcmp(argv[i], "--socket") == 0)
				ctl->socket = argv[i + 1];
			i++;
		} else if (argv[i][0] == '-') {
			continue;
		} else if (!verb) {
			verb = qosctl_find_verb(argv[i]);
			if (!verb)
				return EXIT_DONE;
		} else {
			arguments++;
		}
	}
	if (last[0] == '-')
		offer_options(verb, last);
	else if (!verb)
		offer_verbs(last);
	else
		offer_argument(ctl, verb, arguments, last);
	return EXIT_DONE;
}
