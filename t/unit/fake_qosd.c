/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fake_qosd - the real control server with canned answers, for tests of its clients.
 *
 *	fake_qosd SOCKET FOLDER LOG
 *
 * Each method answers with FOLDER/METHOD.json: an object is the answer, an array is a stream when
 * the client asks for one (else its first member is the answer), {"error": CODE, "parameters": {..}}
 * is an error, {"fake": "hang"} never answers, {"fake": "exit"} ends the program in the call.
 * Every call is one line in LOG: "METHOD PARAMETERS". Prints "ready" when it can be called, and
 * ends by SIGTERM.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "qosd/core/mem.h"
#include "qosd/daemon/control.h"

struct fake {
	const char *folder;
	FILE *log;
};

static void note(struct fake *f, const char *method, const json_t *parameters)
{
	char *text = json_dumps(parameters, JSON_COMPACT | JSON_SORT_KEYS);

	fprintf(f->log, "%s %s\n", method, text);
	fflush(f->log);
	free(text);
}

static int answer_stream(struct control_call *call, const json_t *answers)
{
	size_t count = json_array_size(answers);

	if (!control_call_more(call))
		return control_reply(call, json_incref(json_array_get(answers, 0)));
	for (size_t i = 0; i + 1 < count; i++)
		control_reply_more(call, json_incref(json_array_get(answers, i)));
	return control_reply(call, json_incref(json_array_get(answers, count - 1)));
}

static int answer_fake(struct control_call *call, const char *what)
{
	if (strcmp(what, "exit") == 0)
		_exit(0);
	control_call_ref(call); /* for ever: that is what the test wants */
	return 0;
}

static int answer(struct control_call *call, json_t *parameters, void *user)
{
	struct fake *f = user;
	const char *what, *error;
	char path[4096];
	json_t *canned;
	int r;

	note(f, control_call_method(call), parameters);
	snprintf(path, sizeof(path), "%s/%s.json", f->folder, control_call_method(call));
	canned = json_load_file(path, 0, NULL);
	what = json_string_value(json_object_get(canned, "fake"));
	error = json_string_value(json_object_get(canned, "error"));
	if (!canned)
		r = control_error(call, "Failed", "no fixture %s", path);
	else if (what)
		r = answer_fake(call, what);
	else if (error)
		r = control_error_with(
			call, error, json_incref(json_object_get(canned, "parameters")), "%s",
			json_string_value(json_object_get(json_object_get(canned, "parameters"),
							  "message")));
	else if (json_is_array(canned))
		r = answer_stream(call, canned);
	else
		r = control_reply(call, json_incref(canned));
	json_decref(canned);
	return r;
}

#define GUEST	    { "guest", CONTROL_STRING, false }
#define MAYBE(name) { name, CONTROL_STRING, true }
#define SECONDS	    { "seconds", CONTROL_NUMBER, false }

static const struct control_method methods[] = {
	{ "Status", CONTROL_READ, answer, { { 0 } } },
	{ "List", CONTROL_READ, answer, { { 0 } } },
	{ "Show", CONTROL_READ, answer, { GUEST } },
	{ "Explain", CONTROL_READ, answer, { GUEST } },
	{ "Plan", CONTROL_READ, answer, { MAYBE("text") } },
	{ "Check", CONTROL_READ, answer, { { "text", CONTROL_STRING, false }, MAYBE("name") } },
	{ "Episodes", CONTROL_READ, answer, { { 0 } } },
	{ "Doctor", CONTROL_READ, answer, { { 0 } } },
	{ "Policy", CONTROL_READ, answer, { { 0 } } },
	{ "Version", CONTROL_READ, answer, { { 0 } } },
	{ "Reload", CONTROL_WRITE, answer, { MAYBE("path") } },
	{ "Undo", CONTROL_WRITE, answer, { { 0 } } },
	{ "SetMode", CONTROL_WRITE, answer, { { "mode", CONTROL_STRING, false } } },
	{ "SetClass", CONTROL_WRITE, answer, { GUEST, MAYBE("class") } },
	{ "Throttle", CONTROL_WRITE, answer,
	  { { "class", CONTROL_STRING, false }, { "resource", CONTROL_STRING, false },
	    { "level", CONTROL_INT, false }, SECONDS } },
	{ "Hold", CONTROL_WRITE, answer, { GUEST, SECONDS } },
	{ "Release", CONTROL_WRITE, answer, { MAYBE("guest") } },
	{ "Hook", CONTROL_ROOT, answer,
	  { GUEST, { "phase", CONTROL_STRING, false }, MAYBE("xml") } },
};

static int serve(const struct control_config *config)
{
	struct control *control = NULL;
	struct qerr err = { 0 };
	sd_event *event = NULL;
	int r;

	r = sd_event_new(&event);
	if (r >= 0)
		r = sd_event_add_signal(event, NULL, SIGTERM, NULL, NULL);
	if (r >= 0)
		r = control_new(event, config, &control, &err);
	if (r >= 0) {
		puts("ready");
		fflush(stdout);
		r = sd_event_loop(event);
	}
	if (r < 0)
		fprintf(stderr, "fake_qosd: %s\n", err.code ? err.text : strerror(-r));
	control_free(control);
	sd_event_unref(event);
	return r < 0 ? 1 : 0;
}

int main(int argc, char **argv)
{
	struct control_config config = { .interface = "org.qosd.Control",
					 .description = "interface org.qosd.Control\n",
					 .version = "0.1.0",
					 .methods = methods,
					 .nmethods = ARRAY_SIZE(methods) };
	struct fake fake;
	sigset_t term;
	int r;

	if (argc != 4) {
		fprintf(stderr, "usage: fake_qosd SOCKET FOLDER LOG\n");
		return 2;
	}
	sigemptyset(&term);
	sigaddset(&term, SIGTERM);
	sigprocmask(SIG_BLOCK, &term, NULL);
	fake = (struct fake){ argv[2], fopen(argv[3], "ae") };
	if (!fake.log) {
		fprintf(stderr, "fake_qosd: %s: %s\n", argv[3], strerror(errno));
		return 1;
	}
	config.path = argv[1];
	config.user = &fake;
	r = serve(&config);
	fclose(fake.log);
	return r;
}
