/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * reload - a new policy is read, checked against this host and accepted whole, or the old one
 * stays in force. Undo is a reload of the generation before, or the end of a trial (trial.c).
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "qosd/core/mem.h"
#include "qosd/daemon/engine.h"
#include "qosd/daemon/overload.h"
#include "qosd/daemon/rbd.h"
#include "qosd/daemon/trial.h"
#include "qosd/host/conf.h"
#include "qosd/host/net.h"

#define FINDING_TEXT_MAX 512

static void log_findings(const struct engine *e, const struct diag_list *findings)
{
	char text[FINDING_TEXT_MAX];

	for (size_t i = 0; i < findings->count; i++) {
		const struct diag *d = &findings->items[i];

		if (d->severity != DIAG_INFO)
			log_message(&e->log, d->severity == DIAG_ERROR ? LOG_ERR : LOG_WARNING,
				    NULL, "%s", diag_format(d, text, sizeof(text)));
	}
}

static const char *config_path(const struct engine *e)
{
	return e->options.config_path ? e->options.config_path : QOSD_SYSCONFDIR "/qosd/qosd.conf";
}

/* A policy that was accepted once and is kept: for a start with a broken file. */
static struct policy *last_accepted(struct engine *e)
{
	struct diag_list findings = { 0 };
	struct policy *p = NULL;
	char path[512];

	if (e->generation)
		p = conf_load(state_policy_path(e, e->generation, path, sizeof(path)), e->host,
			      &findings);
	diag_clear(&findings);
	return p;
}

static int fall_back(struct engine *e, struct policy **p, const struct qerr *err)
{
	*p = last_accepted(e);
	if (!*p)
		return err->code;
	e->trouble = *err;
	log_message(&e->log, LOG_ERR, NULL,
		    "%s is refused; the last accepted policy (generation %u) is in force",
		    config_path(e), e->generation);
	return 0;
}

/* A trial does not outlive the daemon, and its policy does not come in by a restart. */
static void refuse_unconfirmed(struct engine *e, struct policy **p)
{
	char *text CLEANUP_FREE = policy_print(*p);
	struct policy *tried = *p;
	struct qerr err = { 0 };

	if (!text || !trial_unconfirmed(e, text))
		return;
	qerr_set(&err, -EPERM,
		 "%s was on trial and never confirmed; take it with `qosctl reload`, or put the "
		 "policy of before back into the file",
		 config_path(e));
	log_message(&e->log, LOG_WARNING, NULL, "%s", err.text);
	if (fall_back(e, p, &err) < 0)
		*p = tried; /* the only policy there is */
	else
		policy_free(tried);
}

int engine_load_policy(struct engine *e, struct qerr *err)
{
	struct diag_list findings = { 0 };
	struct policy *p = conf_load(config_path(e), e->host, &findings);

	log_findings(e, &findings);
	diag_clear(&findings);
	if (p) {
		refuse_unconfirmed(e, &p);
	} else {
		qerr_set(err, -EINVAL, "%s is not a valid policy; see the findings above",
			 config_path(e));
		if (fall_back(e, &p, err) < 0)
			return -EINVAL;
	}
	e->policy = p;
	e->mode = p->mode;
	return 0;
}

void engine_settle_mode(struct engine *e)
{
	bool writing = engine_enforcing(e) || engine_releasing(e);

	for (size_t i = 0; i < ARRAY_SIZE(e->adapters); i++) {
		struct adapter *a = e->adapters[i];
		struct qerr err = { 0 };

		if (a && a->ops->set_writing && a->ops->set_writing(a, writing, &err) < 0)
			log_error(&e->log, LOG_WARNING, NULL, a->ops->name, &err);
	}
	e->mode_overridden = e->mode != e->policy->mode;
	overload_settle_mode(e);
	rbd_settle(e);
}

static void set_mode(struct engine *e, enum policy_mode mode)
{
	if (mode == MODE_ENFORCE && e->mode != mode)
		overload_begin_anew(e);
	e->mode = mode;
	if (mode == MODE_ENFORCE)
		engine_take_back(e);
	engine_settle_mode(e);
	if (e->inventory)
		engine_give_back_vfs(e, e->inventory); /* before anything is set for others */
}

/* From here nothing fails: the new policy is in force. */
static void switch_policy(struct engine *e, struct policy *fresh, uint32_t generation)
{
	struct policy *old = e->policy;
	enum policy_mode mode = fresh->mode != old->mode ? fresh->mode : e->mode;

	if (mode == MODE_OBSERVE)
		overload_stand_down(e);
	e->policy = fresh;
	e->generation = generation;
	e->trouble.code = 0;
	net_set_way(e->adapters[ADAPTER_NET], (enum net_way)fresh->host.shaper);
	if (mode != e->mode)
		set_mode(e, mode);
	for (size_t i = 0; i < e->guests.count; i++)
		guests_retry(&e->guests.rows[i]);
	engine_settle_mode(e);
	engine_turn(e); /* also drops the last borrower of the old policy, the picture of before */
	if (e->picture && e->picture->policy == old) {
		picture_free(e->picture);
		e->picture = NULL;
		e->enforced_before = false;
	}
	policy_free(old);
	state_save_runtime(e);
	log_message(&e->log, LOG_INFO, NULL, "policy generation %u is in force (%s)", generation,
		    fresh->path ? fresh->path : "no file");
}

/* The text of what will be the next generation is on disk. */
static int save_next(struct engine *e, const struct policy *fresh, struct qerr *err)
{
	char *text CLEANUP_FREE = policy_print(fresh);
	int r = text ? state_save_policy(e, e->generation + 1, text, err)
		     : qerr_set(err, -ENOMEM, "out of memory");

	if (r < 0)
		return qerr_wrap(err, "the policy is not taken, for it could not be gone back to");
	return 0;
}

/* Not to be opened, where the unit's sandbox (ProtectHome, PrivateTmp) shows others or none. */
static bool is_hidden(const char *path)
{
	static const char *const hidden[] = { "/home/", "/root/", "/run/user/", "/tmp/",
					      "/var/tmp/" };

	for (size_t i = 0; i < ARRAY_SIZE(hidden); i++)
		if (strncmp(path, hidden[i], strlen(hidden[i])) == 0)
			return access(path, R_OK) < 0;
	return false;
}

/* A checked policy, or NULL with findings: the one in force stays. */
static struct policy *load_fresh(struct engine *e, const char *path, struct diag_list *findings,
				 struct qerr *err)
{
	struct policy *fresh = conf_load(path, e->host, findings);

	log_findings(e, findings);
	if (!fresh) {
		qerr_set(err, -EINVAL, "%s is refused; policy generation %u stays in force%s", path,
			 e->generation,
			 is_hidden(path) ? "; the daemon's unit hides /home, /root and /tmp from "
					   "it: put the file below /etc/qosd"
					 : "");
		log_message(&e->log, LOG_ERR, NULL, "%s", err->text);
	}
	return fresh;
}

static int refuse_during_trial(struct engine *e, struct qerr *err)
{
	if (!e->trial)
		return 0;
	qerr_set(err, -EBUSY,
		 "a policy is on trial; `qosctl confirm` or `qosctl undo` it, then reload");
	log_message(&e->log, LOG_WARNING, NULL, "nothing is reloaded: %s", err->text);
	return -EBUSY;
}

int engine_reload(struct engine *e, const char *path, struct diag_list *findings, struct qerr *err)
{
	struct policy *fresh;
	int r = refuse_during_trial(e, err);

	if (r < 0)
		return r;
	fresh = load_fresh(e, path ? path : config_path(e), findings, err);
	if (!fresh)
		return -EINVAL;
	r = save_next(e, fresh, err);
	if (r < 0) {
		policy_free(fresh);
		return r;
	}
	trial_forget(e);
	switch_policy(e, fresh, e->generation + 1);
	return 0;
}

int engine_try(struct engine *e, const char *path, uint32_t permille, uint64_t for_us,
	       struct diag_list *findings, struct qerr *err)
{
	struct policy *fresh;
	int r = refuse_during_trial(e, err);

	if (r < 0)
		return r;
	fresh = load_fresh(e, path ? path : config_path(e), findings, err);
	if (!fresh)
		return -EINVAL;
	r = trial_start(e, fresh, permille, for_us, err);
	if (r < 0)
		policy_free(fresh);
	return r;
}

int engine_confirm(struct engine *e, struct qerr *err)
{
	int r;

	if (!e->trial)
		return qerr_set(err, -ENOENT,
				"no policy is on trial; begin with `qosctl reload --canary 10%%`");
	r = save_next(e, e->trial->policy, err);
	if (r < 0)
		return r;
	trial_forget(e);
	switch_policy(e, trial_take(e), e->generation + 1);
	return 0;
}

int engine_undo(struct engine *e, struct diag_list *findings, struct qerr *err)
{
	char path[512];
	struct policy *fresh;
	uint32_t back = e->generation - 1;

	if (e->trial) {
		trial_undo(e, "the operator says so");
		return 0;
	}
	if (e->generation < 2)
		return qerr_set(err, -ENOENT,
				"there is no policy before generation %u to go back to",
				e->generation);
	fresh = conf_load(state_policy_path(e, back, path, sizeof(path)), e->host, findings);
	if (!fresh)
		return qerr_set(err, -EINVAL,
				"generation %u is not kept any more, or no longer valid on "
				"this host",
				back);
	switch_policy(e, fresh, back);
	return 0;
}

int engine_set_mode(struct engine *e, enum policy_mode mode, struct qerr *err)
{
	if (mode == MODE_ENFORCE && e->options.observe)
		return qerr_set(err, -EPERM,
				"qosd was started with --observe; restart it without to "
				"enforce");
	if (mode == MODE_OBSERVE)
		overload_stand_down(e);
	set_mode(e, mode);
	engine_turn(e);
	state_save_runtime(e);
	log_message(&e->log, LOG_INFO, NULL, "mode is now %s",
		    mode == MODE_ENFORCE ? "enforce" : "observe");
	return 0;
}
