/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * reload - a new policy is read, checked against this host and accepted whole, or the old one
 * stays in force. Undo is a reload of the generation before.
 */
#include <errno.h>
#include <string.h>

#include "qosd/core/mem.h"
#include "qosd/daemon/engine.h"
#include "qosd/host/conf.h"
#include "qosd/host/net.h"

#define FINDING_TEXT_MAX 512

static void log_findings(const struct engine *e, const struct diag_list *findings)
{
	char text[FINDING_TEXT_MAX];

	for (size_t i = 0; i < findings->count; i++) {
		const struct diag *d = &findings->items[i];

		if (d->severity != DIAG_INFO)
			log_message(&e->log, d->severity == DIAG_ERROR ? LOG_ERR : LOG_WARNING, NULL, "%s",
				    diag_format(d, text, sizeof(text)));
	}
}

static const char *config_path(const struct engine *e)
{
	return e->options.config_path ? e->options.config_path : QOSD_SYSCONFDIR "/qosd/qosd.conf";
}

int engine_load_policy(struct engine *e, struct qerr *err)
{
	struct diag_list findings = { 0 };
	struct policy *p = conf_load(config_path(e), e->host, &findings);

	log_findings(e, &findings);
	diag_clear(&findings);
	if (!p)
		return qerr_set(err, -EINVAL, "%s is not a valid policy; see the findings above",
				config_path(e));
	e->policy = p;
	e->mode = p->mode;
	return 0;
}

/* Writing may begin or end with the mode: the NIC shaper prepares nothing while observing. */
static void settle_mode(struct engine *e)
{
	net_set_readonly(e->adapters[ADAPTER_NET], !engine_enforcing(e));
	e->mode_overridden = e->mode != e->policy->mode;
}

/* From here nothing fails: the new policy is in force. */
static void switch_policy(struct engine *e, struct policy *fresh, uint32_t generation)
{
	struct policy *old = e->policy;

	if (fresh->mode != old->mode)
		e->mode = fresh->mode;
	e->policy = fresh;
	e->generation = generation;
	settle_mode(e);
	engine_turn(e); /* also drops the last borrowers of the old policy */
	if (e->picture && e->picture->policy == old) {
		picture_free(e->picture);
		e->picture = NULL;
		e->read_all = true;
	}
	policy_free(old);
	log_message(&e->log, LOG_INFO, NULL, "policy generation %u is in force (%s)", generation,
		    fresh->path ? fresh->path : "no file");
}

static int accept_policy(struct engine *e, struct policy *fresh, struct qerr *err)
{
	char *text CLEANUP_FREE = policy_print(fresh);
	uint32_t generation = e->generation + 1;
	int r = text ? state_save_policy(e, generation, text, err) :
		       qerr_set(err, -ENOMEM, "out of memory");

	if (r < 0) {
		policy_free(fresh);
		return r;
	}
	switch_policy(e, fresh, generation);
	return state_save_runtime(e, err);
}

int engine_reload(struct engine *e, const char *path, struct diag_list *findings, struct qerr *err)
{
	struct policy *fresh;

	path = path ? path : config_path(e);
	fresh = conf_load(path, e->host, findings);
	log_findings(e, findings);
	if (!fresh) {
		log_message(&e->log, LOG_ERR, NULL,
			    "%s is refused; policy generation %u stays in force", path, e->generation);
		return qerr_set(err, -EINVAL, "%s is refused; policy generation %u stays in force", path,
				e->generation);
	}
	return accept_policy(e, fresh, err);
}

int engine_undo(struct engine *e, struct diag_list *findings, struct qerr *err)
{
	char path[512];
	struct policy *fresh;
	uint32_t back = e->generation - 1;

	if (e->generation < 2)
		return qerr_set(err, -ENOENT, "there is no policy before generation %u to go back to",
				e->generation);
	fresh = conf_load(state_policy_path(e, back, path, sizeof(path)), e->host, findings);
	if (!fresh)
		return qerr_set(err, -EINVAL, "generation %u is not kept any more, or no longer valid on "
				"this host", back);
	switch_policy(e, fresh, back);
	return state_save_runtime(e, err);
}

int engine_set_mode(struct engine *e, enum policy_mode mode, struct qerr *err)
{
	if (mode == MODE_ENFORCE && e->options.observe)
		return qerr_set(err, -EPERM, "qosd was started with --observe; restart it without to "
				"enforce");
	e->mode = mode;
	settle_mode(e);
	for (size_t i = 0; mode == MODE_ENFORCE && i < e->guests.count; i++)
		e->guests.rows[i].released = false;
	e->read_all = true;
	engine_turn(e);
	log_message(&e->log, LOG_INFO, NULL, "mode is now %s",
		    mode == MODE_ENFORCE ? "enforce" : "observe");
	return state_save_runtime(e, err);
}
