/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * methods - the handlers of the control socket: what `qosctl` and the hook can ask for.
 *
 * Reading methods answer at once from the engine. Writing ones start their changes and answer when
 * all of them are in force (or after SETTLE_LIMIT_US), so that a script can rely on the answer.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>

#include "qosd/core/mem.h"
#include "qosd/daemon/control.h"
#include "qosd/daemon/engine.h"
#include "qosd/daemon/varlink_text.h"
#include "qosd/daemon/view.h"
#include "qosd/host/conf.h"

#define SETTLE_LIMIT_US 4000000ULL
#define SETTLE_CHECK_US 5000ULL
#define HOLD_MAX_S      (30.0 * 86400)

/* ---- answers that wait until changes are in force ---- */

struct waiter {
	struct engine *e;
	struct waiter *next;
	struct control_call *call;
	json_t *reply;           /* gets "changes", and "pending" when not all is in force */
	uint32_t class_guest;    /* whose class was set; 0: none */
	uint64_t written_before; /* e->written when the call came */
	uint64_t until_us;
	sd_event_source *timer;
};

static void waiter_free(struct waiter *w)
{
	struct waiter **at = &w->e->waiters;

	while (*at && *at != w)
		at = &(*at)->next;
	if (*at)
		*at = w->next;
	sd_event_source_disable_unref(w->timer);
	control_call_unref(w->call);
	json_decref(w->reply);
	free(w);
}

void methods_stop(struct engine *e)
{
	while (e->waiters)
		waiter_free(e->waiters);
}

static void waiter_answer(struct waiter *w)
{
	struct engine *e = w->e;
	const struct guest_row *row =
		w->class_guest ? guests_find(&e->guests, w->class_guest) : NULL;

	if (row && row->refused.code) {
		control_error(w->call, "Failed", "%s", row->refused.text);
		return;
	}
	json_object_set_new(w->reply, "changes",
			    json_integer((json_int_t)(e->written - w->written_before)));
	if (!engine_settled(e))
		json_object_set_new(
			w->reply, "pending",
			json_integer((json_int_t)(e->inflight.open + e->classes_assumed)));
	control_reply(w->call, json_incref(w->reply));
}

static int on_settle_check(sd_event_source *s, uint64_t usec, void *user)
{
	struct waiter *w = user;

	if (!engine_settled(w->e) && usec < w->until_us && !control_call_gone(w->call)) {
		(void)sd_event_source_set_time(s, engine_now_us(w->e) + SETTLE_CHECK_US);
		return sd_event_source_set_enabled(s, SD_EVENT_ONESHOT);
	}
	waiter_answer(w);
	waiter_free(w);
	return 0;
}

/* Takes over `reply`. `written_before`: e->written at the beginning of the call. */
static int reply_when_settled(struct control_call *call, struct engine *e, uint64_t written_before,
			      uint32_t class_guest, json_t *reply)
{
	struct waiter *w = calloc(1, sizeof(*w));
	uint64_t now_us = engine_now_us(e);

	if (!w || !reply) {
		free(w);
		return control_reply(call, reply);
	}
	*w = (struct waiter){ .e = e,
			      .next = e->waiters,
			      .call = control_call_ref(call),
			      .reply = reply,
			      .class_guest = class_guest,
			      .written_before = written_before,
			      .until_us = now_us + SETTLE_LIMIT_US };
	e->waiters = w;
	if (sd_event_add_time(e->event, &w->timer, CLOCK_MONOTONIC, now_us, 1, on_settle_check, w) <
	    0) {
		waiter_answer(w);
		waiter_free(w);
	}
	return 0;
}

/* ---- helpers ---- */

static const char *text_param(json_t *parameters, const char *name)
{
	return json_string_value(json_object_get(parameters, name));
}

static int not_ready(struct control_call *call, const struct engine *e)
{
	return control_error(call, "Failed", "libvirt has not answered yet (%s): no guest is known",
			     virt_state_name(virt_state(e->virt)));
}

/* Index of the guest named in the call; on -1 the error has been sent. */
static long find_guest(struct control_call *call, const struct engine *e, json_t *parameters)
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

static int reply_findings_error(struct control_call *call, struct diag_list *findings,
				const struct qerr *err)
{
	int r = control_error_with(call, "Refused",
				   json_pack("{s:o}", "findings", view_findings(findings)), "%s",
				   err->text);

	diag_clear(findings);
	return r;
}

/* ---- reading ---- */

static int m_status(struct control_call *call, json_t *parameters, void *user)
{
	(void)parameters;
	return control_reply(call, view_status(user));
}

static int m_list(struct control_call *call, json_t *parameters, void *user)
{
	(void)parameters;
	return control_reply(call, view_list(user));
}

static int m_show(struct control_call *call, json_t *parameters, void *user)
{
	long index = find_guest(call, user, parameters);

	return index < 0 ? 0 : control_reply(call, view_show(user, (size_t)index));
}

static int m_explain(struct control_call *call, json_t *parameters, void *user)
{
	long index = find_guest(call, user, parameters);

	return index < 0 ? 0 : control_reply(call, view_explain(user, (size_t)index));
}

/* The policy in `text` checked against this host, or NULL with findings. */
static struct policy *policy_from_text(const struct engine *e, const char *text, const char *name,
				       struct diag_list *findings)
{
	struct policy *p = conf_read_text(text, name, findings);

	if (p && policy_check(p, e->host, findings) < 0) {
		policy_free(p);
		p = NULL;
	}
	return p;
}

static int reply_plan(struct control_call *call, struct engine *e, const struct policy *policy,
		      const struct diag_list *findings)
{
	struct picture *p = engine_picture(e, policy);
	struct diff diff;
	json_t *reply;

	if (!p)
		return not_ready(call, e);
	diff_init(&diff);
	(void)engine_preview(e, p->plan, &diff);
	reply = json_pack("{s:o, s:o}", "changes", view_changes(&diff), "findings",
			  view_findings(findings));
	diff_done(&diff);
	picture_free(p);
	return control_reply(call, reply);
}

static int m_plan(struct control_call *call, json_t *parameters, void *user)
{
	struct engine *e = user;
	const char *text = text_param(parameters, "text");
	struct diag_list findings = { 0 };
	struct policy *p;
	int r;

	if (!text)
		return reply_plan(call, e, e->policy, &findings);
	p = policy_from_text(e, text, "(proposed)", &findings);
	if (!p)
		return reply_findings_error(
			call, &findings,
			&(struct qerr){
				.text = "the proposed policy has errors; nothing is planned" });
	r = reply_plan(call, e, p, &findings);
	policy_free(p);
	diag_clear(&findings);
	return r;
}

static int m_check(struct control_call *call, json_t *parameters, void *user)
{
	const char *name = text_param(parameters, "name");
	struct diag_list findings = { 0 };
	struct policy *p = policy_from_text(user, text_param(parameters, "text"),
					    name ? name : "(text)", &findings);
	int r = control_reply(call, json_pack("{s:o}", "findings", view_findings(&findings)));

	policy_free(p);
	diag_clear(&findings);
	return r;
}

/* This version has no governor, so there has been no episode. */
static int m_episodes(struct control_call *call, json_t *parameters, void *user)
{
	(void)parameters;
	(void)user;
	return control_reply(call, json_pack("{s:[]}", "episodes"));
}

static int m_doctor(struct control_call *call, json_t *parameters, void *user)
{
	(void)parameters;
	return control_reply(call, view_doctor(user));
}

static int m_policy(struct control_call *call, json_t *parameters, void *user)
{
	struct engine *e = user;
	char *text CLEANUP_FREE = policy_print(e->policy);

	(void)parameters;
	return control_reply(call, json_pack("{s:o, s:o, s:I}", "text", view_text(text), "path",
					     view_text(e->policy->path), "generation",
					     (json_int_t)e->generation));
}

static int m_version(struct control_call *call, json_t *parameters, void *user)
{
	struct utsname u;

	(void)parameters;
	(void)user;
	return control_reply(call,
			     json_pack("{s:s, s:o}", "version", PACKAGE_VERSION, "kernel",
				       uname(&u) == 0 ? json_string(u.release) : json_null()));
}

/* ---- writing ---- */

static int reply_policy_change(struct control_call *call, struct engine *e, int r, uint64_t written,
			       struct diag_list *findings, const struct qerr *err)
{
	if (r < 0 && findings->count)
		return reply_findings_error(call, findings, err);
	diag_clear(findings);
	if (r < 0)
		return control_error(call, "Failed", "%s", err->text);
	return reply_when_settled(call, e, written, 0,
				  json_pack("{s:I}", "generation", (json_int_t)e->generation));
}

static int m_reload(struct control_call *call, json_t *parameters, void *user)
{
	struct engine *e = user;
	const char *path = text_param(parameters, "path");
	uint64_t written = e->written;
	struct diag_list findings = { 0 };
	struct qerr err = { 0 };
	int r;

	if (path && path[0] != '/')
		return control_invalid(call, "path", "the path must be absolute: %s", path);
	r = engine_reload(e, path, &findings, &err);
	return reply_policy_change(call, e, r, written, &findings, &err);
}

static int m_undo(struct control_call *call, json_t *parameters, void *user)
{
	struct engine *e = user;
	uint64_t written = e->written;
	struct diag_list findings = { 0 };
	struct qerr err = { 0 };
	int r = engine_undo(e, &findings, &err);

	(void)parameters;
	return reply_policy_change(call, e, r, written, &findings, &err);
}

static int m_set_mode(struct control_call *call, json_t *parameters, void *user)
{
	struct engine *e = user;
	const char *mode = text_param(parameters, "mode");
	uint64_t written = e->written;
	struct qerr err = { 0 };
	bool enforce = strcmp(mode, "enforce") == 0;

	if (!enforce && strcmp(mode, "observe") != 0)
		return control_invalid(call, "mode", "the mode is observe or enforce, not \"%s\"",
				       mode);
	if (engine_set_mode(e, enforce ? MODE_ENFORCE : MODE_OBSERVE, &err) < 0)
		return control_error(call, "Failed", "%s", err.text);
	return reply_when_settled(call, e, written, 0, json_pack("{s:s}", "mode", mode));
}

static int m_set_class(struct control_call *call, json_t *parameters, void *user)
{
	struct engine *e = user;
	const char *name = text_param(parameters, "class");
	long index = find_guest(call, e, parameters);
	uint64_t written = e->written;
	struct qerr err = { 0 };
	struct guest *g;
	uint32_t id;
	int r;

	if (index < 0)
		return 0;
	if (name && !policy_class(e->policy, name))
		return control_error(
			call, "NoSuchClass",
			"the policy has no class \"%s\"; `qosctl status` shows the classes", name);
	g = guest_ref(e->picture->inventory->guests[index]);
	id = g->id;
	r = engine_set_class(e, g, name, &err);
	guest_unref(g);
	if (r < 0)
		return control_error(call, "Failed", "%s", err.text);
	engine_turn(e);
	return reply_when_settled(call, e, written, id,
				  json_pack("{s:o, s:o}", "guest",
					    view_text(text_param(parameters, "guest")), "class",
					    view_text(name)));
}

static int m_throttle(struct control_call *call, json_t *parameters, void *user)
{
	(void)parameters;
	(void)user;
	return control_error(call, "Failed",
			     "this version has no governor and cannot throttle a class; lower the "
			     "class's limit and `qosctl reload` instead");
}

static json_t *view_until(uint64_t until_s)
{
	time_t t = (time_t)until_s;
	char text[32];
	struct tm tm;

	if (!until_s || !gmtime_r(&t, &tm) ||
	    !strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm))
		return json_null();
	return json_string(text);
}

static int m_hold(struct control_call *call, json_t *parameters, void *user)
{
	struct engine *e = user;
	double seconds = json_number_value(json_object_get(parameters, "seconds"));
	long index = find_guest(call, e, parameters);
	uint64_t written = e->written, until_s;
	struct guest_row *row;

	if (index < 0)
		return 0;
	if (!(seconds >= 0 && seconds <= HOLD_MAX_S))
		return control_invalid(call, "seconds",
				       "a hold lasts from 0 seconds (end it) to 30 days");
	row = guests_find(&e->guests, e->picture->inventory->guests[index]->id);
	if (!row)
		return control_error(call, "NoSuchGuest", "the guest has just stopped");
	row->hold_until_s = seconds > 0 ? (uint64_t)time(NULL) + (uint64_t)(seconds + 0.999) : 0;
	until_s = row->hold_until_s;
	guests_retry(row);
	engine_turn(e);
	state_save_runtime(e);
	return reply_when_settled(call, e, written, 0,
				  json_pack("{s:o}", "until", view_until(until_s)));
}

static int m_release(struct control_call *call, json_t *parameters, void *user)
{
	struct engine *e = user;
	struct qerr err = { 0 };
	const struct guest *only = NULL;
	uint64_t written = e->written;

	if (text_param(parameters, "guest")) {
		long index = find_guest(call, e, parameters);

		if (index < 0)
			return 0;
		only = e->picture->inventory->guests[index];
	}
	if (engine_release(e, only, &err) < 0)
		return control_error(call, "Failed", "%s", err.text);
	return reply_when_settled(call, e, written, 0, json_object());
}

static int m_hook(struct control_call *call, json_t *parameters, void *user)
{
	const char *xml = text_param(parameters, "xml");
	struct qerr err = { 0 };
	bool admit = true;

	if (control_call_peer(call)->uid != 0)
		return control_error(call, "NotPermitted",
				     "only root (libvirt's hook) may call this");
	if (!xml ||
	    engine_hook(user, text_param(parameters, "phase"), xml, strlen(xml), &admit, &err) < 0)
		return control_reply(call, json_pack("{s:b, s:n}", "admit", true, "reason"));
	return control_reply(call, json_pack("{s:b, s:o}", "admit", admit, "reason",
					     view_text(admit ? NULL : err.text)));
}

/* ---- the table ---- */

#define REQUIRED false
#define OPTIONAL true

static const struct control_method methods[] = {
	{ .name = "Status", .right = CONTROL_READ, .handler = m_status },
	{ .name = "List", .right = CONTROL_READ, .handler = m_list },
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
	{ .name = "Doctor", .right = CONTROL_READ, .handler = m_doctor },
	{ .name = "Policy", .right = CONTROL_READ, .handler = m_policy },
	{ .name = "Version", .right = CONTROL_READ, .handler = m_version },
	{ .name = "Reload",
	  .right = CONTROL_WRITE,
	  .handler = m_reload,
	  .params = { { "path", CONTROL_STRING, OPTIONAL } } },
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
		.methods = methods,
		.nmethods = ARRAY_SIZE(methods),
		.user = e,
		.log = control_log,
	};

	return control_new(e->event, &config, &e->control, err);
}
