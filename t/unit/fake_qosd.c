/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fake_qosd - the real control server with canned answers, for tests of its clients.
 *
 *	fake_qosd SOCKET FOLDER LOG
 *	fake_qosd --raw SOCKET TEXT...	each caller gets the next text as it is; then ends
 *	fake_qosd --equal FILE FILE	exit 0 when both hold the same JSON (an array: its first)
 *
 * Each method answers with FOLDER/METHOD.json: an object is the answer, an array is a stream when
 * the client asks for one (else its first member is the answer), {"error": CODE, "parameters":
 *{..}} is an error, {"fake": "hang"} never answers, {"fake": "exit"} ends the program in the call.
 * Every call is one line in LOG: "METHOD PARAMETERS". Prints "ready" when it can be called, and
 * ends by SIGTERM. FAKE_QOSD_READERS names the group that may read, instead of qosd.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "qosd/core/mem.h"
#include "qosd/daemon/methods.h"

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
		r = control_error_with(call, error,
				       json_incref(json_object_get(canned, "parameters")), "%s",
				       json_string_value(json_object_get(
					       json_object_get(canned, "parameters"), "message")));
	else if (json_is_array(canned))
		r = answer_stream(call, canned);
	else
		r = control_reply(call, json_incref(canned));
	json_decref(canned);
	return r;
}

static void ready(void)
{
	puts("ready");
	fflush(stdout);
}

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
		ready();
		r = sd_event_loop(event);
	}
	if (r < 0)
		fprintf(stderr, "fake_qosd: %s\n", err.code ? err.text : strerror(-r));
	control_free(control);
	sd_event_unref(event);
	return r < 0 ? 1 : 0;
}

static int serve_raw(const char *path, char **texts, int count)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	char call[4096];

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	if (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 || listen(fd, 5) < 0)
		return 1;
	ready();
	for (int i = 0; i < count; i++) {
		int client = accept(fd, NULL, NULL);

		if (recv(client, call, sizeof(call), 0) <= 0 ||
		    send(client, texts[i], strlen(texts[i]) + 1, MSG_NOSIGNAL) < 0)
			return 1;
		close(client);
	}
	close(fd);
	return 0;
}

static json_t *load(const char *path)
{
	json_t *all = json_load_file(path, 0, NULL), *first;

	if (!json_is_array(all))
		return all;
	first = json_incref(json_array_get(all, 0));
	json_decref(all);
	return first;
}

static int compare_files(const char *a, const char *b)
{
	json_t *one = load(a), *other = load(b);
	int r = one && other && json_equal(one, other) ? 0 : 1;

	json_decref(one);
	json_decref(other);
	return r;
}

int main(int argc, char **argv)
{
	struct control_config config = { .interface = "org.qosd.Control",
					 .description = "interface org.qosd.Control\n",
					 .version = "0.1.0",
					 .nmethods = METHODS_COUNT };
	struct control_method methods[METHODS_COUNT];
	struct fake fake;
	sigset_t term;
	int r;

	if (argc > 3 && strcmp(argv[1], "--raw") == 0)
		return serve_raw(argv[2], argv + 3, argc - 3);
	if (argc == 4 && strcmp(argv[1], "--equal") == 0)
		return compare_files(argv[2], argv[3]);
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
	for (size_t i = 0; i < METHODS_COUNT; i++) {
		methods[i] = methods_table[i];
		methods[i].handler = answer;
	}
	config.methods = methods;
	config.read_group = getenv("FAKE_QOSD_READERS");
	config.path = argv[1];
	config.user = &fake;
	r = serve(&config);
	fclose(fake.log);
	return r;
}
