/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <string.h>

#include "qosd/daemon/methods_private.h"
#include "qosd/daemon/trial.h"
#include "qosd/daemon/view.h"

#define TRIAL_S     600.0 /* when nobody says how long */
#define TRIAL_MAX_S 86400.0

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

/* A share of the guests: on trial. */
static int reload_on_trial(struct control_call *call, struct engine *e, json_t *parameters)
{
	json_int_t permille = json_integer_value(json_object_get(parameters, "canary"));
	json_t *time = json_object_get(parameters, "seconds");
	double seconds = json_is_number(time) ? json_number_value(time) : TRIAL_S;
	struct diag_list findings = { 0 };
	uint64_t written = e->written;
	struct qerr err = { 0 };
	int r;

	if (permille < 1 || permille > 1000)
		return control_invalid(call, "canary",
				       "a trial is for 0.1%% to 100%% of the guests (1 to 1000)");
	if (!(seconds >= 1 && seconds <= TRIAL_MAX_S))
		return control_invalid(call, "seconds", "a trial lasts from 1 s to 24 hours");
	r = engine_try(e, text_param(parameters, "path"), (uint32_t)permille,
		       (uint64_t)(seconds * 1e6), &findings, &err);
	if (r < 0 && findings.count)
		return reply_findings_error(call, &findings, &err);
	diag_clear(&findings);
	if (r < 0)
		return control_error(call, "Failed", "%s", err.text);
	return reply_when_settled(call, e, written, 0,
				  json_pack("{s:I, s:o}", "generation", (json_int_t)e->generation,
					    "trial", trial_view(e)));
}

int m_reload(struct control_call *call, json_t *parameters, void *user)
{
	struct engine *e = user;
	const char *path = text_param(parameters, "path");
	uint64_t written = e->written;
	struct diag_list findings = { 0 };
	struct qerr err = { 0 };
	int r;

	if (path && path[0] != '/')
		return control_invalid(call, "path", "the path must be absolute: %s", path);
	if (json_is_integer(json_object_get(parameters, "canary")))
		return reload_on_trial(call, e, parameters);
	if (json_is_number(json_object_get(parameters, "seconds")))
		return control_invalid(call, "seconds", "only a trial lasts for a time");
	r = engine_reload(e, path, &findings, &err);
	return reply_policy_change(call, e, r, written, &findings, &err);
}

int m_confirm(struct control_call *call, json_t *parameters, void *user)
{
	struct engine *e = user;
	uint64_t written = e->written;
	struct diag_list findings = { 0 };
	struct qerr err = { 0 };
	int r = engine_confirm(e, &err);

	(void)parameters;
	return reply_policy_change(call, e, r, written, &findings, &err);
}

int m_undo(struct control_call *call, json_t *parameters, void *user)
{
	struct engine *e = user;
	uint64_t written = e->written;
	struct diag_list findings = { 0 };
	struct qerr err = { 0 };
	int r = engine_undo(e, &findings, &err);

	(void)parameters;
	return reply_policy_change(call, e, r, written, &findings, &err);
}

int m_set_mode(struct control_call *call, json_t *parameters, void *user)
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
