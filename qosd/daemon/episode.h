/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * episode - the daemon's memory of overloads: told in the log, kept on disk, shown and followed.
 *
 *   episode.c       takes each tick of the governor, keeps the records, tells the log
 *   episode_file.c  STATE_DIR/episodes: one line for each thing that became known
 *   episode_view.c  records as JSON, and the clients that follow them
 *
 * Bounded everywhere: EPISODES_KEPT records in memory, EPISODES_FILE_MAX bytes on disk,
 * EPISODES_FOLLOWERS_MAX clients. The loop never waits for the disk: a thread of its own writes,
 * begun at the first record. A disk that takes nothing is told once; records then live in memory
 * and are written when it takes something again.
 */
#ifndef QOSD_DAEMON_EPISODE_H
#define QOSD_DAEMON_EPISODE_H

#include <jansson.h>
#include <stdbool.h>
#include <systemd/sd-event.h>

#include "qosd/core/episode.h"
#include "qosd/core/govern.h"

#define EPISODES_KEPT          1000
#define EPISODES_FILE_MAX      ((size_t)1 << 20)
#define EPISODES_FOLLOWERS_MAX 16

struct engine;
struct control_call;
struct worker;

struct episode_file {
	size_t bytes;           /* in it, with what waits to be written */
	bool rewrite;           /* it lacks something: write it whole */
	bool failing;           /* told already */
	unsigned int waiting;   /* writes handed to the thread */
	struct worker *worker;  /* NULL: nothing written yet */
	sd_event_source *event; /* of the worker's results */
};

struct episodes {
	struct episode *past; /* ended, by id */
	size_t count, capacity;
	uint64_t next_id;
	struct episode_track tracks[RESOURCE_COUNT];
	uint64_t trigger_us[RESOURCE_COUNT]; /* monotonic; of the kernel's last word */
	uint64_t total[RESOURCE_COUNT];      /* begun since start */
	uint64_t writes, written_us;         /* of this tick, not yet entered */
	struct episode_file file;
	struct control_call *followers[EPISODES_FOLLOWERS_MAX];
	size_t nfollowers;
};

/* ---- life: with the state directory open; episodes of before are read. NULL: out of memory. ----
 */
struct episodes *episodes_open(struct engine *e);
void episodes_close(struct engine *e); /* writes what waits, with a time limit */

/* ---- episode.c, called by the loop of overload protection ---- */
/* The kernel's trigger told of pressure at this time (monotonic): the onset, if one follows. */
void episode_trigger(struct engine *e, enum resource r, uint64_t at_us);
/* episode_actions() and episode_tick() are declared in engine.h. */
/* The overload of now; NULL: there is none. */
const struct episode *episode_now(const struct engine *e, enum resource r);

/* ---- episode_file.c ---- */
void episode_file_load(struct engine *e, struct episodes *all);
/* One record, soon. */
void episode_file_put(struct engine *e, const struct episode *one);
/* Wait until all that waits is written, up to `limit_us`. */
void episode_file_flush(struct engine *e, uint64_t limit_us);

/* ---- episode_view.c ---- */
/* {"episodes": [...]}, past and present, oldest first; NULL when out of memory. */
json_t *episode_view_all(const struct engine *e);
/* Answer with all, then with each that begins or ends. Returns as a control handler does. */
int episode_follow(struct engine *e, struct control_call *call);
void episode_tell_followers(struct engine *e, const struct episode *one);
void episode_drop_followers(struct engine *e);

#endif
