/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * virt_jobs - changes that wait for the calls thread, and the results that wait for the loop.
 *
 * Bounded, first in first out, but one job of a kind per target: a newer pin or balloon takes the
 * place of the queued one, whose ticket completes with -ECANCELED; limits of one disk go together.
 * Every ticket accepted completes exactly once.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "qosd/core/mem.h"
#include "qosd/host/virt_priv.h"

struct virt_job *virt_job_new(enum virt_job_kind kind, uint64_t ticket)
{
	struct virt_job *job = calloc(1, sizeof(*job));

	if (job) {
		job->kind = kind;
		job->ticket = ticket;
	}
	return job;
}

void virt_job_free(struct virt_job *job)
{
	struct virt_job *next;

	for (; job; job = next) {
		next = job->merged;
		free(job->class_name);
		free(job);
	}
}

static bool has_target(const struct virt_job *job)
{
	return job->kind != VIRT_JOB_CLASS;
}

static struct virt_job **bucket_of(struct virt_jobs *jobs, const struct virt_job *job)
{
	uint32_t hash = job->guest_id * 31 + job->target_kind * 7 + job->index + job->kind;

	return &jobs->buckets[hash % VIRT_JOB_BUCKETS];
}

static struct virt_job *find_same(struct virt_jobs *jobs, const struct virt_job *like)
{
	struct virt_job *job;

	for (job = *bucket_of(jobs, like); job; job = job->bucket_next)
		if (!job->cancelled && job->kind == like->kind && job->guest_id == like->guest_id &&
		    job->target_kind == like->target_kind && job->index == like->index &&
		    strcmp(job->disk, like->disk) == 0)
			return job;
	return NULL;
}

static void unlink_job(struct virt_jobs *jobs, struct virt_job *gone)
{
	struct virt_job **p;

	for (p = bucket_of(jobs, gone); *p; p = &(*p)->bucket_next) {
		if (*p == gone) {
			*p = gone->bucket_next;
			return;
		}
	}
}

/* Under lock. */
static void add_done(struct virt *v, struct virt_job *job, int result)
{
	struct virt_jobs *jobs = &v->jobs;

	job->result = result;
	job->next = NULL;
	if (jobs->done_last)
		jobs->done_last->next = job;
	else
		jobs->done_first = job;
	jobs->done_last = job;
	virt_notify(v);
}

static void append(struct virt_jobs *jobs, struct virt_job *job)
{
	if (jobs->last)
		jobs->last->next = job;
	else
		jobs->first = job;
	jobs->last = job;
	jobs->count++;
	if (has_target(job)) {
		struct virt_job **bucket = bucket_of(jobs, job);

		job->bucket_next = *bucket;
		*bucket = job;
	}
}

/* The queued job takes over the new value and ticket; the new one carries the old ticket home. */
static void supersede(struct virt *v, struct virt_job *queued, struct virt_job *newer)
{
	uint64_t ticket = queued->ticket;

	queued->ticket = newer->ticket;
	queued->cpus = newer->cpus;
	queued->bytes = newer->bytes;
	newer->ticket = ticket;
	qerr_set(&newer->err, -ECANCELED, "a later change of the same target took its place");
	add_done(v, newer, -ECANCELED);
}

/* Limits of the same disk: the newer ones win where both speak, and both jobs end together. */
static void merge_tune(struct virt_job *queued, struct virt_job *newer)
{
	for (unsigned int i = 0; i < GUEST_TUNES; i++)
		if (newer->tune_set & 1u << i)
			queued->tune[i] = newer->tune[i];
	queued->tune_set |= newer->tune_set;
	newer->merged = queued->merged;
	queued->merged = newer;
}

int virt_job_submit(struct virt *v, struct virt_job *job, struct qerr *err)
{
	struct virt_job *queued;
	int r = 0;

	if (virt_state(v) == VIRT_HUNG) {
		r = qerr_set(err, -EAGAIN, "libvirt does not answer");
	} else if (virt_state(v) != VIRT_CONNECTED) {
		r = qerr_set(err, -EAGAIN, "libvirt is not connected");
	}
	if (r < 0) {
		virt_job_free(job);
		return r;
	}
	pthread_mutex_lock(&v->lock);
	queued = has_target(job) ? find_same(&v->jobs, job) : NULL;
	/* Again, for virt_jobs_fail_all() may have been there since. */
	if (atomic_load(&v->state) != VIRT_CONNECTED) {
		virt_job_free(job);
		r = qerr_set(err, -EAGAIN, "libvirt is not connected");
	} else if (queued && job->kind == VIRT_JOB_TUNE) {
		merge_tune(queued, job);
	} else if (queued) {
		supersede(v, queued, job);
	} else if (v->jobs.count >= VIRT_JOBS_MAX) {
		virt_job_free(job);
		r = qerr_set(err, -EAGAIN, "too many changes wait for libvirt");
	} else {
		append(&v->jobs, job);
		pthread_cond_broadcast(&v->wake);
	}
	pthread_mutex_unlock(&v->lock);
	return r;
}

/* Under lock. */
static struct virt_job *pop(struct virt_jobs *jobs)
{
	struct virt_job *job = jobs->first;

	if (!job)
		return NULL;
	jobs->first = job->next;
	if (!jobs->first)
		jobs->last = NULL;
	jobs->count--;
	job->next = NULL;
	if (has_target(job))
		unlink_job(jobs, job);
	return job;
}

struct virt_job *virt_job_take(struct virt *v)
{
	struct virt_job *job;

	pthread_mutex_lock(&v->lock);
	while ((job = pop(&v->jobs)) && job->cancelled)
		virt_job_free(job);
	pthread_mutex_unlock(&v->lock);
	return job;
}

/* With all that went into it. Under lock. */
static void finish(struct virt *v, struct virt_job *job, int result)
{
	const struct qerr err = job->err;
	struct virt_job *next;

	for (; job; job = next) {
		next = TAKE_PTR(job->merged);
		job->err = err;
		add_done(v, job, result);
	}
}

void virt_job_finish(struct virt *v, struct virt_job *job, int result)
{
	pthread_mutex_lock(&v->lock);
	finish(v, job, result);
	pthread_mutex_unlock(&v->lock);
}

static void finish_with(struct virt *v, struct virt_job *job, int result, const char *text)
{
	qerr_set(&job->err, result, "%s", text);
	finish(v, job, result);
}

/*
 * The guest has gone: its queued jobs complete now. The queue keeps an empty shell of each, since
 * the one that reports is a copy; out of memory the job simply runs and finds no guest.
 */
void virt_jobs_cancel_guest(struct virt *v, uint32_t guest_id)
{
	struct virt_job *job, *report;

	pthread_mutex_lock(&v->lock);
	for (job = v->jobs.first; job; job = job->next) {
		if (!has_target(job) || job->guest_id != guest_id || job->cancelled)
			continue;
		report = virt_job_new(job->kind, job->ticket);
		if (!report)
			continue;
		job->cancelled = true;
		report->merged = TAKE_PTR(job->merged);
		finish_with(v, report, -ESRCH, "the guest has gone");
	}
	pthread_mutex_unlock(&v->lock);
}

void virt_jobs_fail_all(struct virt *v, int result, const char *text)
{
	struct virt_job *job;

	pthread_mutex_lock(&v->lock);
	while ((job = pop(&v->jobs))) {
		if (job->cancelled)
			virt_job_free(job);
		else
			finish_with(v, job, result, text);
	}
	pthread_mutex_unlock(&v->lock);
}

void virt_jobs_free(struct virt *v)
{
	struct virt_job *job, *next;

	while ((job = pop(&v->jobs)))
		virt_job_free(job);
	for (job = v->jobs.done_first; job; job = next) {
		next = job->next;
		virt_job_free(job);
	}
	v->jobs.done_first = v->jobs.done_last = NULL;
}
