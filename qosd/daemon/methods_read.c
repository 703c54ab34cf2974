/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <sys/utsname.h>

#include "qosd/core/mem.h"
#include "qosd/daemon/episode.h"
#include "qosd/daemon/methods_private.h"
#include "qosd/daemon/view.h"
#include "qosd/host/conf.h"

int m_status(struct control_call *call, json_t *parameters, void *user)
{
	(void)parameters;
	return control_reply(call, view_status(user));
}

int m_list(struct control_call *call, json_t *parameters, void *user)
{
	bool brief = json_is_true(json_object_get(parameters, "brief"));

	return control_reply(call, view_list(user, brief));
}

int m_show(struct control_call *call, json_t *parameters, void *user)
{
	long index = find_guest(call, user, parameters);

	return index < 0 ? 0 : control_reply(call, view_show(user, (size_t)index));
}

int m_explain(struct control_call *call, json_t *parameters, void *user)
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

int m_plan(struct control_call *call, json_t *parameters, void *user)
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

int m_check(struct control_call *call, json_t *parameters, void *user)
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

int m_episodes(struct control_call *call, json_t *parameters, void *user)
{
	(void)parameters;
	if (control_call_more(call))
		return episode_follow(user, call);
	return control_reply(call, episode_view_all(user));
}

int m_capacity(struct control_call *call, json_t *parameters, void *user)
{
	struct engine *e = user;

	(void)parameters;
	if (!e->picture || !e->picture->plan)
		return not_ready(call, e);
	return control_reply(call, view_capacity(e));
}

int m_doctor(struct control_call *call, json_t *parameters, void *user)
{
	(void)parameters;
	return control_reply(call, view_doctor(user));
}

int m_policy(struct control_call *call, json_t *parameters, void *user)
{
	struct engine *e = user;
	char *text CLEANUP_FREE = policy_print(e->policy);

	(void)parameters;
	return control_reply(call, json_pack("{s:o, s:o, s:I}", "text", view_text(text), "path",
					     view_text(e->policy->path), "generation",
					     (json_int_t)e->generation));
}

static json_t *libvirt_version(const struct engine *e)
{
	unsigned long v = e->virt ? virt_version(e->virt) : 0;

	return v ? json_sprintf("%lu.%lu.%lu", v / 1000000, v / 1000 % 1000, v % 1000)
		 : json_null();
}

int m_version(struct control_call *call, json_t *parameters, void *user)
{
	struct utsname u;

	(void)parameters;
	return control_reply(call,
			     json_pack("{s:s, s:o, s:o}", "version", PACKAGE_VERSION, "libvirt",
				       libvirt_version(user), "kernel",
				       uname(&u) == 0 ? json_string(u.release) : json_null()));
}
