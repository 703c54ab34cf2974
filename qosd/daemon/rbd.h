/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * rbd - the truth about each RBD disk: what is in force, what comes at the next open, and what of
 * it is wrong; and the settings of classes, written for that next open.
 *
 * Looks come from host/ceph, one at a guest's start and then one a minute. The first look is kept:
 * librbd reads its settings at the open, so what was found then is what is in force, image by
 * image. No setting of a cache acts on an open image, so nothing here is a knob of the plan: values
 * are written where the policy says (a file of the guest's own, at any time; the image, only while
 * nobody has it open) and show as "from the next start".
 */
#ifndef QOSD_DAEMON_RBD_H
#define QOSD_DAEMON_RBD_H

#include <jansson.h>

#include "qosd/daemon/engine.h"
#include "qosd/host/ceph.h"

int rbd_start(struct engine *e, struct qerr *err);
void rbd_stop(struct engine *e);
/* The guests of e->inventory may be others than before. */
void rbd_new_inventory(struct engine *e);
/* The policy or the mode is another one, or guests are given back. */
void rbd_settle(struct engine *e);
/* The hook's news of a guest: "prepare" (it opens its images next), "release" (it has closed them).
 */
void rbd_hook(struct engine *e, struct guest *g, const char *phase);
/* What is in force for a disk (a place in guest->disks). false: not looked at yet. */
bool rbd_in_force(const struct engine *e, uint32_t guest_id, uint32_t disk,
		  struct rbd_effective *ret);

/*
 * The most that librbd may take for all disks of a guest, as they are open
 * (class_rbd.in_force_bytes); POLICY_NONE_U64: not all of them have been looked at.
 */
uint64_t rbd_guest_bytes(const struct engine *e, const struct guest *g);

/* ---- rbd_write.c: for the thread's outcomes and the minute's timer ---- */
void rbd_write_all(struct engine *e);
void rbd_take_written(struct engine *e);
/* One outcome: it is told, and with nothing left there its trace goes. */
void rbd_written(struct engine *e, const struct ceph_written *w);

/* ---- view_rbd.c ---- */
/* One disk of a guest (index in e->picture, image in guest->rbds) as the rules see it. */
bool rbd_subject(struct engine *e, size_t index, size_t image, struct rbd_subject *ret);
json_t *view_rbd(struct engine *e, size_t index); /* array */
/* Findings of all guests and of Ceph's daemons, for `doctor`. */
void rbd_doctor(struct engine *e, struct diag_list *findings);
json_t *view_ceph(const struct engine *e); /* daemons on this host; null: none */

/* ---- for both ---- */
struct rbd_row { /* of one guest that has RBD disks */
	uint32_t guest_id;
	const struct guest *asked;        /* the look is of this guest; never dereferenced */
	struct ceph_look *first, *latest; /* in force, and of now; NULL: none yet */
	bool told;                        /* its findings are in the log */
};

struct rbd_trace { /* what qosd wrote for the next open, and has not taken out again */
	enum ceph_place place;
	char guest[GUEST_NAME_MAX];
	struct guest_rbd rbd; /* CEPH_FILE: conf and user count */
	bool asked;           /* it is being taken out */
};

struct rbd_watch {
	struct ceph *ceph;
	sd_event_source *timer;
	struct rbd_row *rows; /* sorted by guest id */
	size_t count, capacity;
	struct rbd_daemons daemons;
	bool daemons_known;       /* they were looked at */
	struct ceph_written last; /* outcome of the latest write to an image */
	bool any_written;
	struct rbd_trace *traces;
	size_t ntraces, traces_capacity;
	bool traces_unsaved;
	bool give_back; /* all was released, and enforce was not said since */
};

/* ---- rbd_trace.c ---- */
void rbd_traces_load(struct engine *e);
void rbd_traces_save(struct engine *e); /* if anything changed */
/* Mode or releases are others: is all given back? */
void rbd_traces_settle(struct engine *e);
struct rbd_trace *rbd_trace_find(const struct rbd_watch *w, enum ceph_place place,
				 const struct guest_rbd *rbd);
void rbd_trace_add(struct rbd_watch *w, const struct ceph_put *what);
void rbd_trace_drop(struct rbd_watch *w, struct rbd_trace *t);
/* It could not be taken out: the others are tried before it. */
void rbd_trace_defer(struct rbd_watch *w, struct rbd_trace *t);

struct rbd_row *rbd_row_find(const struct rbd_watch *w, uint32_t guest_id);

#endif
