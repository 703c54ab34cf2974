/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * record - what overload protection saw, to a file (`qosd --record`), and what it would decide of
 * it (`qosd --replay`): to look into a real overload afterwards, or to try another policy on it.
 *
 * The text is govern_text.h's. A record ends at RECORD_MAX bytes, or when the disk takes no more;
 * both are told, and the daemon goes on. It is for a person who looks at one problem: writing it
 * may wait for the disk.
 */
#ifndef QOSD_DAEMON_RECORD_H
#define QOSD_DAEMON_RECORD_H

#include <stdio.h>

#include "qosd/core/govern.h"
#include "qosd/daemon/engine.h"

#define RECORD_MAX ((size_t)256 << 20)

struct recorder;

/* A new file (what is there is replaced; not through a symbolic link). 0 or negative errno. */
int recorder_open(const char *path, struct recorder **ret, struct qerr *err);
void recorder_close(struct recorder *r); /* NULL is fine */
/* Each tick, before the governor. Without --record nothing is done. */
void record_tick(struct engine *e, const struct govern_input *in);

/*
 * Give a record to the governor under `policy` and print to `out` what it decides: a line for each
 * tick at which something changed, with `all` for every tick. 0, -EIO, or -EINVAL (the record is
 * damaged; what came before has been printed).
 */
int replay(const char *path, const struct policy *policy, bool all, FILE *out, struct qerr *err);

#endif
