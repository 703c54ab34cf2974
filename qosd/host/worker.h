/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * worker - one thread with a queue, for calls that may block (libvirt, systemd's D-Bus).
 *
 * Jobs run in the order of submission. Results are collected on the daemon's loop when the
 * worker's eventfd is readable. The queue is bounded; a job that runs longer than its limit cannot
 * be stopped, but worker_stalled_us() tells of it and new jobs are refused beyond the bound.
 */
#ifndef QOSD_HOST_WORKER_H
#define QOSD_HOST_WORKER_H

#include <stdint.h>

#include "qosd/core/err.h"

struct worker;

/* Runs on the worker's thread; 0 or negative errno. `arg` is freed with `free_arg` afterwards. */
typedef int (*worker_job)(void *arg, struct qerr *err);
/* Runs on the caller of worker_collect(). */
typedef void (*worker_done)(void *user, uint64_t ticket, int result, const struct qerr *err);

int worker_new(const char *name, unsigned int max_queued, struct worker **ret);
/* Stop taking jobs, wait up to timeout_us for the running one, then detach the thread. NULL is
 * fine. */
void worker_free(struct worker *w, uint64_t timeout_us);
/* Takes over `arg` in any case. 0, -EAGAIN when the queue is full. */
int worker_submit(struct worker *w, worker_job job, void *arg, void (*free_arg)(void *),
		  uint64_t ticket);
int worker_fd(const struct worker *w); /* readable when results wait */
void worker_collect(struct worker *w, worker_done done, void *user);
/* How long the running job has taken so far, 0 when idle (CLOCK_MONOTONIC). Any thread. */
uint64_t worker_stalled_us(const struct worker *w);

#endif
