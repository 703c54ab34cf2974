/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * control_call - one call: who may make it, are its parameters right, the handler, the answer.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <syslog.h>

#include "qosd/core/mem.h"
#include "qosd/daemon/control_private.h"

/* ---- answers ---- */

json_t *control_error_message(const char *code, json_t *parameters, const char *sentence)
{
	if (!parameters)
		parameters = json_object();
	if (json_object_set_new(parameters, "message", json_string(sentence)) < 0) {
		json_decref(parameters);
		return NULL;
	}
	return json_pack("{s:s, s:o}", "error", code, "parameters", parameters);
}

/* Queue one message and send what can be sent. The client may have been dropped on return. */
static int queue(struct control_client *client, json_t *message, size_t limit)
{
	size_t waiting = varlink_buffer_size(&client->out);
	int r = -ENOMEM;

	if (message)
		r = waiting > limit ? -EMSGSIZE
				    : varlink_append(&client->out, message, limit - waiting);
	json_decref(message);
	if (r == 0)
		control_client_flush(client);
	return r;
}

void control_client_error(struct control_client *client, const char *code, const char *sentence)
{
	if (queue(client, control_error_message(code, NULL, sentence), CONTROL_OUTPUT_MAX) < 0)
		control_client_drop(client);
}

/* The call is over: cut the ties and let the client go on. */
static struct control_client *detach(struct control_call *call)
{
	struct control_client *client = TAKE_PTR(call->client);

	call->answered = true;
	client->call = NULL;
	client->active_us = control_now(client->server);
	return client;
}

static int check_waiting(const struct control_call *call)
{
	if (call->answered)
		return -EALREADY;
	return call->client ? 0 : -EPIPE;
}

/* Send the last message of a call. Takes over `message`; NULL: out of memory. */
static int finish(struct control_call *call, json_t *message)
{
	struct control_client *client;
	int r = check_waiting(call);

	if (r < 0) {
		json_decref(message);
		return r;
	}
	client = detach(call);
	if (call->request.oneway) {
		json_decref(message);
	} else {
		r = queue(client, message, CONTROL_OUTPUT_MAX);
		if (r < 0) /* an answer that cannot be told: the client must not wait for it */
			control_client_drop(client);
	}
	control_client_resume(client);
	return r;
}

static json_t *reply_message(json_t *parameters, bool continues)
{
	if (continues)
		return json_pack("{s:o, s:b}", "parameters", parameters, "continues", 1);
	return json_pack("{s:o}", "parameters", parameters);
}

int control_reply(struct control_call *call, json_t *parameters)
{
	if (!parameters)
		return control_error(call, "Failed", "qosd could not put together its answer");
	return finish(call, reply_message(parameters, false));
}

int control_reply_more(struct control_call *call, json_t *parameters)
{
	struct control_client *client = call->client;
	json_t *message = parameters ? reply_message(parameters, true) : NULL;
	int r = check_waiting(call);

	if (r == 0 && (!call->request.more || !message))
		r = message ? -EINVAL : -ENOMEM;
	if (r < 0) {
		json_decref(message);
		return r;
	}
	/* What one reply brings is allowed; what piles up is not. */
	if (varlink_buffer_size(&client->out) <= CONTROL_STREAM_OUTPUT_MAX) {
		r = queue(client, message, CONTROL_OUTPUT_MAX);
		if (r == 0)
			return client->fd < 0 ? -EPIPE : 0;
	} else {
		json_decref(message);
		control_complain(
			client->server, LOG_NOTICE,
			"control: dropped a reader that is too slow for %s (uid %u, pid %d)",
			call->method->name, client->peer.uid, client->peer.pid);
	}
	control_client_drop(client);
	return -EPIPE;
}

/* "NoSuchGuest" -> "org.qosd.Control.NoSuchGuest"; full names stay. */
static void full_code(const struct control_call *call, const char *code, char *buf, size_t size)
{
	if (strchr(code, '.') || !call->client)
		snprintf(buf, size, "%s", code);
	else
		snprintf(buf, size, "%s.%s", call->client->server->config.interface, code);
}

__attribute__((format(printf, 4, 0))) static int error_va(struct control_call *call,
							  const char *code, json_t *parameters,
							  const char *fmt, va_list ap)
{
	char sentence[1024], full[256];

	vsnprintf(sentence, sizeof(sentence), fmt, ap);
	full_code(call, code, full, sizeof(full));
	return finish(call, control_error_message(full, parameters, sentence));
}

int control_error(struct control_call *call, const char *code, const char *fmt, ...)
{
	va_list ap;
	int r;

	va_start(ap, fmt);
	r = error_va(call, code, NULL, fmt, ap);
	va_end(ap);
	return r;
}

int control_error_with(struct control_call *call, const char *code, json_t *parameters,
		       const char *fmt, ...)
{
	va_list ap;
	int r;

	va_start(ap, fmt);
	r = error_va(call, code, parameters, fmt, ap);
	va_end(ap);
	return r;
}

int control_invalid(struct control_call *call, const char *parameter, const char *fmt, ...)
{
	va_list ap;
	int r;

	va_start(ap, fmt);
	r = error_va(call, CONTROL_INVALID_PARAMETER, json_pack("{s:s}", "parameter", parameter),
		     fmt, ap);
	va_end(ap);
	return r;
}

/* ---- life ---- */

struct control_call *control_call_ref(struct control_call *call)
{
	call->refs++;
	return call;
}

void control_call_unref(struct control_call *call)
{
	if (!call || --call->refs > 0)
		return;
	if (call->client) {
		call->refs = 1; /* alive while the answer is sent */
		control_error(call, "Failed", "qosd has no answer to %s", call->method->name);
	}
	varlink_request_done(&call->request);
	free(call);
}

void control_call_abandon(struct control_call *call)
{
	void (*gone)(struct control_call *, void *) = TAKE_PTR(call->gone);

	call->client = NULL;
	if (gone)
		gone(call, call->gone_arg);
}

const struct control_peer *control_call_peer(const struct control_call *call)
{
	return &call->peer;
}

const char *control_call_method(const struct control_call *call)
{
	return call->method->name;
}

bool control_call_more(const struct control_call *call)
{
	return call->request.more;
}

bool control_call_gone(const struct control_call *call)
{
	return !call->client;
}

void control_call_on_gone(struct control_call *call, void (*gone)(struct control_call *, void *),
			  void *arg)
{
	call->gone = gone;
	call->gone_arg = arg;
}

/* ---- dispatch ---- */

static bool has_type(const json_t *value, enum control_type type)
{
	switch (type) {
	case CONTROL_STRING:
		return json_is_string(value);
	case CONTROL_INT:
		return json_is_integer(value);
	case CONTROL_NUMBER:
		return json_is_number(value);
	case CONTROL_BOOL:
		return json_is_boolean(value);
	}
	return false;
}

static const char *type_name(enum control_type type)
{
	static const char *const names[] = { [CONTROL_STRING] = "a string",
					     [CONTROL_INT] = "an integer",
					     [CONTROL_NUMBER] = "a number",
					     [CONTROL_BOOL] = "true or false" };

	return names[type];
}

static const struct control_param *find_param(const struct control_method *m, const char *name)
{
	for (const struct control_param *p = m->params; p->name; p++)
		if (strcmp(p->name, name) == 0)
			return p;
	return NULL;
}

/* All there, none too many, types right? Answers the call if not. */
static bool check_parameters(struct control_call *call)
{
	json_t *parameters = call->request.parameters, *value;
	const char *name;

	json_object_foreach (parameters, name, value) {
		if (!find_param(call->method, name)) {
			control_invalid(call, name, "%s has no parameter %s", call->method->name,
					name);
			return false;
		}
	}
	for (const struct control_param *p = call->method->params; p->name; p++) {
		value = json_object_get(parameters, p->name);
		if (!value || json_is_null(value)) {
			if (p->optional)
				continue;
			control_invalid(call, p->name, "%s needs the parameter %s",
					call->method->name, p->name);
			return false;
		}
		if (!has_type(value, p->type)) {
			control_invalid(call, p->name, "%s must be %s", p->name,
					type_name(p->type));
			return false;
		}
	}
	return true;
}

/* May this peer make the call? Answers it if not. */
static bool check_right(struct control_call *call)
{
	const struct control_peer *peer = &call->peer;
	struct control_client *client = call->client;
	const struct control_config *config = &client->server->config;

	if (!peer->may_read) {
		control_complain(client->server, LOG_NOTICE, "control: refused uid %u (pid %d)",
				 peer->uid, peer->pid);
		control_error(call, "NotPermitted",
			      "only root and members of the groups %s and %s may talk to qosd",
			      config->admin_group, config->read_group);
		client->closing = true;
		return false;
	}
	if (call->method->right == CONTROL_WRITE && !peer->may_write) {
		control_error(call, "NotPermitted",
			      "only root and members of the group %s may change anything",
			      config->admin_group);
		return false;
	}
	if (call->method->right == CONTROL_ROOT && peer->uid != 0) {
		control_error(call, "NotPermitted", "only root may call %s", call->method->name);
		return false;
	}
	return true;
}

static void run_handler(struct control_call *call, void *user)
{
	const struct control *server = call->client->server;
	int r;

	if (call->method->right == CONTROL_WRITE && !call->method->routine)
		control_log(server, LOG_INFO, "control: %s by uid %u (pid %d)", call->method->name,
			    call->peer.uid, call->peer.pid);
	r = call->method->handler(call, call->request.parameters, user);
	if (r < 0 && call->client)
		control_error(call, "Failed", "%s failed: %s", call->method->name, strerror(-r));
}

static const struct control_method *find_method(const struct control *c, const char *name)
{
	for (size_t i = 0; i < c->config.nmethods; i++)
		if (strcmp(c->config.methods[i].name, name) == 0)
			return &c->config.methods[i];
	return NULL;
}

/* Method and the user pointer of its handler; answers the call if there is none. */
static bool resolve(struct control_call *call, void **ret_user)
{
	static const struct control_method unknown = { .name = "(unknown)" };
	struct control *c = call->client->server;
	const char *method = call->request.method, *name;
	size_t size;

	call->method = &unknown;
	if (call->peer.may_read && varlink_split(method, &size, &name)) {
		const char *ours = c->config.interface, *service = CONTROL_SERVICE_INTERFACE;
		bool is_ours = strlen(ours) == size && memcmp(method, ours, size) == 0;
		bool is_service = strlen(service) == size && memcmp(method, service, size) == 0;
		const struct control_method *found = NULL;

		if (is_ours)
			found = find_method(c, name);
		else if (is_service)
			found = control_service_find(name);
		if (found) {
			call->method = found;
			*ret_user = is_ours ? c->config.user : c;
			return true;
		}
		if (!is_ours && !is_service) {
			control_error_with(call, CONTROL_SERVICE_INTERFACE ".InterfaceNotFound",
					   json_pack("{s:s#}", "interface", method, (int)size),
					   "this service has no interface %.*s", (int)size, method);
			return false;
		}
	}
	if (!check_right(call))
		return false;
	control_error_with(call, CONTROL_SERVICE_INTERFACE ".MethodNotFound",
			   json_pack("{s:s}", "method", method), "there is no method %s", method);
	return false;
}

static void dispatch(struct control_call *call)
{
	void *user = NULL;

	if (resolve(call, &user) && check_right(call) && check_parameters(call))
		run_handler(call, user);
}

void control_call_begin(struct control_client *client, const char *text, size_t size)
{
	struct qerr err = { 0 };
	struct control_call *call = calloc(1, sizeof(*call));

	if (!call) {
		control_client_drop(client);
		return;
	}
	if (varlink_request_parse(text, size, &call->request, &err) < 0) {
		free(call);
		client->closing = true;
		control_client_error(client, CONTROL_INVALID_PARAMETER, err.text);
		return;
	}
	call->refs = 1;
	call->client = client;
	call->peer = client->peer;
	client->call = call;
	client->active_us = control_now(client->server);
	dispatch(call);
	control_call_unref(call);
}
