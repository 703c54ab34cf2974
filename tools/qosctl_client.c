/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * qosctl_client - one call to the daemon, and what is said when it fails.
 *
 * One connection a call. Whatever the daemon says is text of others: it is cleaned before it
 * reaches a terminal.
 */
#include <errno.h>
#include <string.h>

#include "qosd/core/mem.h"
#include "tools/client.h"
#include "tools/qosctl.h"

struct asking {
	const struct qosctl *ctl;
	const char *method;
	bool quiet;
	struct client client;
};

static enum qosctl_exit exit_status(int error)
{
	switch (error) {
	case -EACCES:
		return EXIT_NOT_PERMITTED;
	case -ENAMETOOLONG:
		return EXIT_USAGE;
	case -EBADMSG:
	case -EMSGSIZE:
	case -ENOMEM:
		return EXIT_FAILED;
	default:
		return EXIT_NO_DAEMON;
	}
}

/* The way to the daemon failed. */
static int complain(const struct asking *a, int error, const struct qerr *err)
{
	if (!a->quiet)
		qosctl_fail(EXIT_FAILED, "%s", err->text);
	return exit_status(error);
}

static int refused(const struct asking *a, const struct varlink_reply *reply)
{
	const json_t *findings = json_object_get(reply->parameters, "findings");

	if (a->quiet)
		return EXIT_FAILED;
	if (client_error_is(reply, "MethodNotFound") || client_error_is(reply, "InterfaceNotFound"))
		return qosctl_fail(EXIT_FAILED,
				   "the running qosd does not know org.qosd.Control.%s; restart it "
				   "after an update",
				   a->method);
	qosctl_fail(EXIT_FAILED, "%s", client_error_text(reply));
	if (a->ctl->normal_form)
		findings_forget_lines(findings);
	if (json_is_array(findings)) {
		findings_print(findings, NULL, stderr);
		if (a->ctl->json)
			json_print(reply->parameters, false);
	}
	return client_error_is(reply, "NotPermitted") ? EXIT_NOT_PERMITTED : EXIT_FAILED;
}

static int begin(struct asking *a, json_t *parameters, unsigned int seconds, bool more)
{
	struct qerr err = { 0 };
	int r = client_open(&a->client, a->ctl->socket, seconds * 1000, &err);

	if (r < 0)
		json_decref(parameters);
	else
		r = client_send(&a->client, a->method, parameters, more, &err);
	return r < 0 ? complain(a, r, &err) : EXIT_DONE;
}

static int next(struct asking *a, struct varlink_reply *ret)
{
	struct qerr err = { 0 };
	int r = client_next(&a->client, ret, &err);

	if (r < 0)
		return complain(a, r, &err);
	return ret->error ? refused(a, ret) : EXIT_DONE;
}

static int call(struct asking *a, json_t *parameters, unsigned int seconds, json_t **ret)
{
	struct varlink_reply reply = { 0 };
	int r = begin(a, parameters, seconds, false);

	if (r == EXIT_DONE)
		r = next(a, &reply);
	if (r == EXIT_DONE)
		*ret = json_incref(reply.parameters);
	varlink_reply_done(&reply);
	client_close(&a->client);
	return r;
}

int qosctl_call(const struct qosctl *ctl, const char *method, json_t *parameters,
		unsigned int seconds, json_t **ret)
{
	struct asking a = { .ctl = ctl, .method = method };

	return call(&a, parameters, seconds, ret);
}

json_t *qosctl_ask(const struct qosctl *ctl, const char *method)
{
	struct asking a = { .ctl = ctl, .method = method, .quiet = true };
	json_t *answer = NULL;

	call(&a, NULL, 1, &answer);
	return answer;
}

int qosctl_stream(const struct qosctl *ctl, const char *method,
		  bool (*each)(const json_t *answer, void *user), void *user)
{
	struct asking a = { .ctl = ctl, .method = method };
	bool go_on = true;
	int r = begin(&a, NULL, CALL_SECONDS, true);

	while (r == EXIT_DONE && go_on) {
		struct varlink_reply reply = { 0 };

		r = next(&a, &reply);
		if (r == EXIT_DONE)
			go_on = each(reply.parameters, user) && reply.continues;
		varlink_reply_done(&reply);
		client_wait_for_ever(&a.client);
	}
	client_close(&a.client);
	return r;
}
