/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * engine - the daemon's one context: everything that changes while qosd runs is in here.
 *
 * One loop, one direction: events (libvirt, hook, operator, netlink, timers) only mark what is
 * dirty; once per turn the engine makes a picture (plan), reads back what the dirty part of the
 * host really has, and applies the difference. Restart, drift, release and dry run are the same
 * turn with another plan or without the last step.
 */
#ifndef QOSD_DAEMON_ENGINE_H
#define QOSD_DAEMON_ENGINE_H

#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-event.h>

#include "qosd/core/adapter.h"
#include "qosd/core/baseline.h"
#include "qosd/core/diff.h"
#include "qosd/core/govern.h"
#include "qosd/daemon/guests.h"
#include "qosd/daemon/log.h"
#include "qosd/daemon/picture.h"
#include "qosd/host/ceph.h"
#include "qosd/host/virt.h"
#include "qosd/host/worker.h"

struct control;

struct engine_options {
	const char *config_path; /* NULL: the default place */
	const char *socket_path;
	const char *state_dir;
	const char *run_dir; /* NULL: state_dir */
	const char *libvirt_uri;
	const char *record_path; /* NULL: nothing is recorded */
	bool observe; /* --observe: never write, whatever the policy or the operator says */
	bool verbose;
};

struct inflight {          /* a change handed to a worker */
	uint64_t ticket;   /* ascending in the array */
	uint32_t guest_id; /* 0: a group above guests */
	enum knob_id knob;
	unsigned int lane; /* of its row */
	bool done;
};

struct inflight_queue {
	struct inflight *items;
	size_t head, count, capacity; /* items[head, count); those done at the head are dropped */
	size_t open;                  /* not done */
};

struct pending_admission { /* let in by the hook, not yet seen running */
	struct guest *guest;
	uint64_t until_us; /* monotonic */
};

#define ENGINE_PENDING_MAX 64

struct stopped_guest { /* the hook told of its end, the inventory may still have it */
	char uuid[GUEST_UUID_MAX];
	uint64_t until_us;
};

struct saved_word { /* what the operator said of a guest before qosd was restarted */
	char uuid[GUEST_UUID_MAX];
	uint64_t start_ticks;
	uint64_t hold_until_s;
	bool released;
};

struct waiter;     /* methods.c: an answer that waits until changes are in force */
struct protection; /* overload.c: what the governor works with */
struct bandwidth;  /* bandwidth.c: what NICs may have of the uplinks they share */
struct storage;    /* storage.c: what disks may have of the host's storage */
struct episodes;   /* episode.c: what it remembers of overloads */
struct recorder;   /* record.c: what the governor sees, to a file */
struct rbd_watch;  /* rbd.h: what is known of RBD disks */
struct trial;      /* trial.c: a policy that a part of the guests has first */

struct engine {
	struct engine_options options;
	struct logger log;
	sd_event *event;
	sd_event_source *turn_timer, *retry_timer, *drift_timer, *sample_timer;
	uint64_t started_us;
	int lock_fd;              /* on the state directory: one daemon at a time */
	struct qerr trouble;      /* of the daemon itself: the policy file; code 0: none */
	struct qerr disk_trouble; /* values of before cannot be put on disk; code 0: they can */

	/* the wish */
	struct policy *policy;
	uint32_t generation;
	uint32_t mode;                            /* enum policy_mode in force */
	bool mode_overridden;                     /* by the operator, differs from the file's */
	char saved_mode[16], saved_file_mode[16]; /* of the daemon before */
	struct trial *trial;                      /* NULL: no policy is on trial */
	bool giving_back; /* `release`: every value of before is being written back */
	struct plan
		*back; /* values given back at the last turn; NULL: none. Guests are not valid */

	/* the host */
	struct host *host;
	bool cgroup_v1;
	struct worker *systemd_worker;
	struct virt *virt;
	struct ceph_qos *ceph_qos; /* NULL: none (tests) */
	enum virt_state virt_before;
	struct adapter *adapters[ADAPTER_COUNT];
	struct rbd_watch *rbd; /* NULL: nobody looks (tests) */
	struct control *control;
	struct inventory *inventory; /* NULL until libvirt has answered once */

	/* what is, and what should be */
	struct guest_table guests;
	struct picture *picture; /* of the last turn; its plan is what should hold */
	struct placement
		*placement; /* seed for the next picture: of the last one, or of the host */
	struct baseline *baseline;
	size_t baseline_saved; /* entries of it that are in the file */
	bool baseline_rewrite; /* the file has entries that are none any more */
	bool baseline_unsaved; /* ... or lacks some that are */
	bool read_all;         /* next turn reads back every knob */
	bool enforced_before;  /* the picture's plan has been written */
	bool turn_scheduled;

	struct inflight_queue inflight;
	uint64_t next_ticket;
	unsigned int classes_assumed; /* not yet written to metadata */

	struct pending_admission pending[ENGINE_PENDING_MAX];
	struct stopped_guest stopped[ENGINE_PENDING_MAX];
	struct saved_word *saved_words; /* not yet matched with a guest */
	size_t nsaved_words;
	struct waiter *waiters;

	/* overload protection */
	struct protection *protection;
	struct bandwidth *bandwidth;
	struct storage *storage;
	struct episodes *episodes; /* NULL: none kept */
	struct recorder *recorder; /* NULL: nothing is recorded */

	uint64_t written;    /* knobs, since start */
	uint64_t repaired;   /* foreign changes put right since start */
	unsigned int drifts; /* drift checks since start */
	const char *sysfs;   /* NULL: /sys; another in tests */
};

/* ---- life (engine.c) ---- */
int engine_new(const struct engine_options *options, struct engine **ret, struct qerr *err);
/*
 * The first half of it: loop, files and policy, but no adapters, no libvirt and no socket. Takes
 * over `host`, also when it fails. Tests go on from here with adapters of their own.
 */
int engine_new_bare(const struct engine_options *options, struct host *host, struct engine **ret,
		    struct qerr *err);
void engine_free(struct engine *e);             /* values stay in the kernel */
int engine_run(struct engine *e);               /* until SIGTERM or SIGINT; exit status */
uint64_t engine_now_us(const struct engine *e); /* CLOCK_MONOTONIC of this turn of the loop */
/* Takes over the guests of now; a turn follows. */
void engine_take_inventory(struct engine *e, struct inventory *fresh);
/* From now on a vCPU that comes or goes has its guest looked at. 0 or negative errno. */
int engine_watch_vcpus(struct engine *e);
/* Something changed: make a turn soon. */
void engine_mark(struct engine *e);
/* Make the turn that is due, or one that is not, at once. */
void engine_turn_now(struct engine *e);
/* Something may differ anywhere: the next turn reads everything back. */
void engine_mark_all(struct engine *e);
/* Make a turn at this time at the latest (back-off or hold that ends). */
void engine_mark_at(struct engine *e, uint64_t at_us);
bool engine_enforcing(const struct engine *e);
/* What is wrong with the daemon itself, most telling first; NULL: nothing. */
const struct qerr *engine_trouble(const struct engine *e);

/* ---- the turn (reconcile.c) ---- */
void engine_turn(struct engine *e);
/* The picture that `policy` gives for the guests of now; NULL when out of memory or no inventory.
 */
struct picture *engine_picture(struct engine *e, const struct policy *policy);

/* The same for the policy in force as if nobody were throttled. */
struct picture *engine_picture_steady(struct engine *e);

/* ---- comparing (compare.c) ---- */
/* Read one knob's actual value through its adapter. */
int engine_read(struct engine *e, const struct target *t, enum knob_id knob, struct knob_value *ret,
		struct qerr *err);
/*
 * What differs between a plan and the host, for writing. Reads entries that `previous` (NULL: none)
 * does not have with the same value, those of dirty lanes, and with `all` everything. Lanes that
 * are not ready are left for later, entries of which `other` (NULL: none) speaks too are left to
 * that plan. Read errors and foreign changes are noted. 0 or -ENOMEM.
 */
int engine_compare(struct engine *e, const struct plan *plan, const struct plan *previous,
		   const struct plan *other, bool all, struct diff *ret);
/* The same for people: everything is read, nothing is noted. 0 or -ENOMEM. */
int engine_preview(struct engine *e, const struct plan *plan, struct diff *ret);
/* After the writes: lanes that needed none are well; those that wait ask for a turn of their own.
 */
void engine_settle_lanes(struct engine *e);
/* The same after writes of a turn that read nothing back: what else waits for a turn still does. */
void engine_settle_written(struct engine *e, const struct diff *d);

/* ---- writing (apply.c) ---- */
/* Record baselines, then write in order. Errors go to the guests concerned. */
void engine_apply(struct engine *e, struct diff *d);
/* A worker finished a change. */
void engine_change_done(void *engine, uint64_t ticket, int result, const struct qerr *err);
/* Nothing is scheduled, in flight or being given back. */
bool engine_settled(const struct engine *e);

/* ---- giving back (release.c) ---- */
/*
 * From now on one guest (NULL: all) gets its baselines back, turn by turn until all hold; the mode
 * becomes observe when it is all. -EAGAIN: no inventory yet.
 */
int engine_release(struct engine *e, const struct guest *only, struct qerr *err);
/* Values to give back at this turn as a plan (empty if none); NULL when out of memory. */
struct plan *engine_release_plan(struct engine *e);
/* Entries of that plan which hold are forgotten; the release is over when none is left. */
void engine_release_settle(struct engine *e, const struct plan *plan);
/* What the plan gives back of passing knobs (baseline_plan_orphans) and holds is forgotten, too. */
void engine_passing_settle(struct engine *e, const struct plan *wanted);
/* Is anything being given back? Not with --observe. */
bool engine_releasing(const struct engine *e);
/* The operator says enforce: nothing stays released. */
void engine_take_back(struct engine *e);

/* ---- rates of virtual functions that their guests left behind (vf_left.c) ---- */
/* Give back those that no guest of `now` has; how many could not be yet, but may be later. */
size_t engine_give_back_vfs(struct engine *e, const struct inventory *now);

/* ---- policy (reload.c) ---- */
/* First load at start: findings are logged. */
int engine_load_policy(struct engine *e, struct qerr *err);
/* Accept whole or keep the old one. -EINVAL: findings hold why. */
int engine_reload(struct engine *e, const char *path, struct diag_list *findings, struct qerr *err);
/* The policy of the generation before, or the end of a trial. */
int engine_undo(struct engine *e, struct diag_list *findings, struct qerr *err);
/*
 * Put a policy on trial for `permille` (1..1000) of the guests; undone unless confirmed within
 * for_us. -EINVAL: findings hold why; -EBUSY: another one is on trial.
 */
int engine_try(struct engine *e, const char *path, uint32_t permille, uint64_t for_us,
	       struct diag_list *findings, struct qerr *err);
/* The policy on trial is accepted. -ENOENT: there is none. */
int engine_confirm(struct engine *e, struct qerr *err);
int engine_set_mode(struct engine *e, enum policy_mode mode, struct qerr *err);
/* Writing may begin or end: tell the adapters. */
void engine_settle_mode(struct engine *e);

/* ---- files (state.c) ---- */
/* Lock the state directory and read what an earlier daemon left. -EBUSY: another one runs. */
int state_open(struct engine *e, struct qerr *err);
/* After the policy is loaded: mode, generation, files of now. Never fails: trouble is noted. */
void state_settle(struct engine *e);
/* Put new baselines on disk. Until it succeeds nothing may be written to the host. */
int state_save_baseline(struct engine *e, struct qerr *err);
/* Mode, holds, releases. Trouble is noted and logged, the state in memory counts. */
void state_save_runtime(struct engine *e);
int state_save_policy(struct engine *e, uint32_t generation, const char *text, struct qerr *err);
/* Path of a saved generation in buf. */
char *state_policy_path(const struct engine *e, uint32_t generation, char *buf, size_t size);
/* Give rows of guests that are new to this process what the operator said before the restart. */
void state_restore_words(struct engine *e);

/* ---- admission (admission.c) ---- */
/* The hook's question or news. *ret_admit false only at prepare, with the sentence in err. */
int engine_hook(struct engine *e, const char *phase, const char *xml, size_t len, bool *ret_admit,
		struct qerr *err);

/* ---- class by the operator (assume.c) ---- */
/*
 * In force at once on our own copy of the guest; written to the domain's metadata, which makes it
 * last and travel, behind by libvirt. class_name NULL: clear. -EAGAIN: libvirt takes nothing now.
 */
int engine_set_class(struct engine *e, const struct guest *g, const char *class_name,
		     struct qerr *err);
/* Put classes that libvirt has not written yet into a fresh inventory. */
void engine_assume_classes(struct engine *e);
/* True when the ticket was a class written to metadata. */
bool engine_class_done(struct engine *e, uint64_t ticket, int result, const struct qerr *err);

/* ---- measuring (usage.c) ---- */
/* Sample all guests unless the last sample is younger than max_age_us. */
void engine_sample(struct engine *e, uint64_t max_age_us);

/* ---- overload protection (overload.c, throttle.c) ---- */
/*
 * The operator's word: class `class_name` gets at most `level_permille` of resource r (0: its
 * floor, 1000: no throttle, whatever the governor says) for the next for_us. 1000 for 0 us ends an
 * earlier word. In force at once; survives a restart. -ENOENT: no such class, -EPERM: rank 0 never
 * gives way, -ENOSPC: too many at once, -EINVAL: a level above 1000.
 */
int engine_throttle(struct engine *e, const char *class_name, enum resource r,
		    uint32_t level_permille, uint64_t for_us, struct qerr *err);

/* ---- records of overloads (episode.c) ---- */
/* After each tick, once what it changed is written. `out` and `now` are valid during the call. */
void episode_tick(struct engine *e, const struct govern_output *out, const struct sample *now);
/* Before it, when the tick wrote something: knobs written or given to a worker. */
void episode_actions(struct engine *e, size_t knobs_written);

/* ---- socket (methods.c) ---- */
int methods_start(struct engine *e, struct qerr *err);
void methods_stop(struct engine *e); /* drop answers that still wait */

#endif
