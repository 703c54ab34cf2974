/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * methods_private - what the handlers of the control socket share; nobody else includes it.
 *
 *   methods.c         the table: names, rights, parameters
 *   methods_read.c    what answers at once from the engine
 *   methods_guest.c   what changes or asks about one guest or class
 *   methods_policy.c  what changes the policy and the mode
 *   methods_settle.c  answers that wait until changes are in force
 */
#ifndef QOSD_DAEMON_METHODS_PRIVATE_H
#define QOSD_DAEMON_METHODS_PRIVATE_H

#include "qosd/daemon/control.h"
#include "qosd/daemon/engine.h"

/* ---- methods_settle.c ---- */
/*
 * Answer when all changes are in force, or after a few seconds: `reply` (taken over) with
 * "changes", and "pending" when not all is. `written_before`: e->written at the beginning of the
 * call. `class_guest`: whose class was set, so that libvirt's refusal is told; 0: none.
 */
int reply_when_settled(struct control_call *call, struct engine *e, uint64_t written_before,
		       uint32_t class_guest, json_t *reply);

/* The same after the tick of overload protection that overload_tick_soon() asked for. */
int reply_after_tick(struct control_call *call, struct engine *e, uint64_t written_before,
		     json_t *reply);

/* ---- methods.c ---- */
/* A text parameter; NULL when absent. */
const char *text_param(json_t *parameters, const char *name);
int not_ready(struct control_call *call, const struct engine *e);
/* Index of the guest named in the call; on -1 the error has been sent. */
long find_guest(struct control_call *call, const struct engine *e, json_t *parameters);
int no_such_class(struct control_call *call, const char *name);
/* The error "Refused" with findings, which are cleared. */
int reply_findings_error(struct control_call *call, struct diag_list *findings,
			 const struct qerr *err);

/* ---- handlers ---- */
int m_status(struct control_call *call, json_t *parameters, void *user);
int m_list(struct control_call *call, json_t *parameters, void *user);
int m_show(struct control_call *call, json_t *parameters, void *user);
int m_explain(struct control_call *call, json_t *parameters, void *user);
int m_plan(struct control_call *call, json_t *parameters, void *user);
int m_check(struct control_call *call, json_t *parameters, void *user);
int m_episodes(struct control_call *call, json_t *parameters, void *user);
int m_capacity(struct control_call *call, json_t *parameters, void *user);
int m_doctor(struct control_call *call, json_t *parameters, void *user);
int m_policy(struct control_call *call, json_t *parameters, void *user);
int m_version(struct control_call *call, json_t *parameters, void *user);
int m_reload(struct control_call *call, json_t *parameters, void *user);
int m_confirm(struct control_call *call, json_t *parameters, void *user);
int m_undo(struct control_call *call, json_t *parameters, void *user);
int m_set_mode(struct control_call *call, json_t *parameters, void *user);
int m_set_class(struct control_call *call, json_t *parameters, void *user);
int m_throttle(struct control_call *call, json_t *parameters, void *user);
int m_hold(struct control_call *call, json_t *parameters, void *user);
int m_release(struct control_call *call, json_t *parameters, void *user);
int m_hook(struct control_call *call, json_t *parameters, void *user);

#endif
