/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * methods - the handlers of the control socket: what `qosctl` and the hook can ask for.
 *
 * Reading methods answer at once from the engine. Writing ones start their changes and answer when
 * all of them are in force (or after a few seconds), so that a script can rely on the answer.
 */
#include "qosd/daemon/methods.h"
#include "qosd/core/mem.h"
#include "qosd/daemon/methods_private.h"
#include "qosd/daemon/varlink_text.h"
#include "qosd/daemon/view.h"

/* ---- helpers ---- */

const char *text_param(json_t *parameters, const char *name)
{
	return json_string_value(json_object_get(parameters, name));
}

int not_ready(struct control_call *call, const struct engine *e)
{
	return control_error(call, "Failed", "libvirt has not answered yet (%s): no guest is known",
			     virt_state_name(virt_state(e->virt)));
}

long find_guest(struct control_call *call, const struct engine *e, json_t *parameters)
{
	const char *name = text_param(parameters, "guest");
	long index;

	if (!e->picture || !e->picture->plan) {
		not_ready(call, e);
		return -1;
	}
	index = picture_index(e->picture, name);
	if (index < 0)
		control_error(
			call, "NoSuchGuest",
			"no guest named \"%s\" runs on this host; `qosctl list` shows those that do",
			name);
	return index;
}

int reply_findings_error(struct control_call *call, struct diag_list *findings,
			 const struct qerr *err)
{
	int r = control_error_with(call, "Refused",
				   json_pack("{s:o}", "findings", view_findings(findings)), "%s",
				   err->text);

	diag_clear(findings);
	return r;
}

int no_such_class(struct control_call *call, const char *name)
{
	return control_error(call, "NoSuchClass",
			     "the policy has no class \"%s\"; `qosctl status` shows the classes",
			     name);
}

/* ---- the table ---- */

#define REQUIRED false
#define OPTIONAL true

const struct control_method methods_table[METHODS_COUNT] = {
	{ .name = "Status", .right = CONTROL_READ, .handler = m_status },
	{ .name = "List",
	  .right = CONTROL_READ,
	  .handler = m_list,
	  .params = { { "brief", CONTROL_BOOL, OPTIONAL } } },
	{ .name = "Show",
	  .right = CONTROL_READ,
	  .handler = m_show,
	  .params = { { "guest", CONTROL_STRING, REQUIRED } } },
	{ .name = "Explain",
	  .right = CONTROL_READ,
	  .handler = m_explain,
	  .params = { { "guest", CONTROL_STRING, REQUIRED } } },
	{ .name = "Plan",
	  .right = CONTROL_READ,
	  .handler = m_plan,
	  .params = { { "text", CONTROL_STRING, OPTIONAL } } },
	{ .name = "Check",
	  .right = CONTROL_READ,
	  .handler = m_check,
	  .params = { { "text", CONTROL_STRING, REQUIRED },
		      { "name", CONTROL_STRING, OPTIONAL } } },
	{ .name = "Episodes", .right = CONTROL_READ, .handler = m_episodes },
	{ .name = "Capacity", .right = CONTROL_READ, .handler = m_capacity },
	{ .name = "Doctor", .right = CONTROL_READ, .handler = m_doctor },
	{ .name = "Policy", .right = CONTROL_READ, .handler = m_policy },
	{ .name = "Version", .right = CONTROL_READ, .handler = m_version },
	{ .name = "Reload",
	  .right = CONTROL_WRITE,
	  .handler = m_reload,
	  .params = { { "path", CONTROL_STRING, OPTIONAL },
		      { "canary", CONTROL_INT, OPTIONAL },
		      { "seconds", CONTROL_NUMBER, OPTIONAL } } },
	{ .name = "Confirm", .right = CONTROL_WRITE, .handler = m_confirm },
	{ .name = "Undo", .right = CONTROL_WRITE, .handler = m_undo },
	{ .name = "SetMode",
	  .right = CONTROL_WRITE,
	  .handler = m_set_mode,
	  .params = { { "mode", CONTROL_STRING, REQUIRED } } },
	{ .name = "SetClass",
	  .right = CONTROL_WRITE,
	  .handler = m_set_class,
	  .params = { { "guest", CONTROL_STRING, REQUIRED },
		      { "class", CONTROL_STRING, OPTIONAL } } },
	{ .name = "Throttle",
	  .right = CONTROL_WRITE,
	  .handler = m_throttle,
	  .params = { { "class", CONTROL_STRING, REQUIRED },
		      { "resource", CONTROL_STRING, REQUIRED },
		      { "level", CONTROL_INT, REQUIRED },
		      { "seconds", CONTROL_NUMBER, REQUIRED } } },
	{ .name = "Hold",
	  .right = CONTROL_WRITE,
	  .handler = m_hold,
	  .params = { { "guest", CONTROL_STRING, REQUIRED },
		      { "seconds", CONTROL_NUMBER, REQUIRED } } },
	{ .name = "Release",
	  .right = CONTROL_WRITE,
	  .handler = m_release,
	  .params = { { "guest", CONTROL_STRING, OPTIONAL } } },
	{ .name = "Hook",
	  .right = CONTROL_WRITE,
	  .handler = m_hook,
	  .routine = true,
	  .params = { { "guest", CONTROL_STRING, REQUIRED },
		      { "phase", CONTROL_STRING, REQUIRED },
		      { "xml", CONTROL_STRING, OPTIONAL } } },
};

static void control_log(void *user, int priority, const char *sentence)
{
	struct engine *e = user;

	log_message(&e->log, priority, NULL, "%s", sentence);
}

int methods_start(struct engine *e, struct qerr *err)
{
	struct control_config config = {
		.path = e->options.socket_path ? e->options.socket_path : "/run/qosd/control.sock",
		.interface = "org.qosd.Control",
		.description = qosd_varlink_text,
		.version = PACKAGE_VERSION,
		.methods = methods_table,
		.nmethods = METHODS_COUNT,
		.user = e,
		.log = control_log,
	};

	return control_new(e->event, &config, &e->control, err);
}
