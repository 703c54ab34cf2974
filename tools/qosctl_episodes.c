/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * qosctl_episodes - the overloads, past and present; with -f one line for each that begins or ends.
 */
#include <stdio.h>

#include "tools/qosctl.h"

static const char *const episode_headers[] = { ">ID",       "RESOURCE", "BEGAN",  "ENDED", ">PEAK",
					       ">REACTION", ">ACTIONS", "EFFECT", "CAUSE", NULL };

static void episode_add(struct table *t, const json_t *e)
{
	const json_t *effective = json_at(e, "effective");
	bool over = json_at(e, "ended") != NULL;

	table_add(t, PLAIN, "%.0f", json_number(e, "id"));
	table_add(t, PLAIN, "%s", json_text(e, "resource"));
	table_add(t, PLAIN, "%s", json_text(e, "began"));
	table_add(t, over ? PLAIN : RED, "%s", over ? json_text(e, "ended") : "lasting");
	table_add(t, PLAIN, "%.2f", json_number(e, "peak_pressure"));
	if (json_at(e, "reaction_ms"))
		table_add(t, PLAIN, "%.0f ms", json_number(e, "reaction_ms"));
	else
		table_add(t, PLAIN, "-");
	table_add(t, PLAIN, "%.0f", json_number(e, "actions"));
	table_add(t, json_is_false(effective) ? YELLOW : PLAIN, "%s",
		  !effective                ? "-"
		  : json_is_true(effective) ? "helped"
					    : "no help");
	table_add(t, PLAIN, "%s", json_text(e, "cause"));
}

static void print_episodes(const json_t *episodes, bool colour)
{
	struct table *t = table_new(episode_headers);
	const json_t *e;
	size_t i;

	json_array_foreach (episodes, i, e)
		episode_add(t, e);
	table_print(t, colour, 0, 0);
}

/* One line for each event of the stream; past ones are the first answer. */
static bool follow_episode(const json_t *answer, void *user)
{
	const struct qosctl *ctl = user;
	const json_t *e;
	size_t i;

	if (ctl->json) {
		json_print(answer, true);
		return !ferror(stdout);
	}
	json_array_foreach (json_at(answer, "episodes"), i, e) {
		char line[1024], *clean;

		snprintf(line, sizeof(line), "%s  %s %.0f %s, peak %.2f, %.0f actions: %s",
			 json_text(e, json_at(e, "ended") ? "ended" : "began"),
			 json_text(e, "resource"), json_number(e, "id"),
			 json_at(e, "ended") ? "ended" : "began", json_number(e, "peak_pressure"),
			 json_number(e, "actions"), json_text(e, "cause"));
		clean = text_clean(line);
		puts(clean);
	}
	return fflush(stdout) == 0;
}

int verb_episodes(struct qosctl *ctl, int argc, char **argv)
{
	json_t *answer = NULL;
	int r;

	(void)argc;
	(void)argv;
	if (ctl->options & OPTION_FOLLOW)
		return qosctl_stream(ctl, "Episodes", follow_episode, ctl);
	r = qosctl_call(ctl, "Episodes", NULL, CALL_SECONDS, &answer);
	if (r)
		return r;
	if (ctl->json)
		json_print(answer, false);
	else if (json_array_size(json_at(answer, "episodes")) == 0)
		printf("no overload so far\n");
	else
		print_episodes(json_at(answer, "episodes"), ctl->colour);
	json_decref(answer);
	return EXIT_DONE;
}
