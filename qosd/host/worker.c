/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The thread owns nothing alone: the worker is counted by reference (its owner and its thread), so
 * that an owner who gives up on a job that hangs can leave the thread behind without freeing what
 * it still uses. A job's ticket completes exactly once, unless the worker is freed before.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "qosd/host/worker.h"

struct job {
	struct job *next;
	worker_job run;
	void *arg;
	void (*free_arg)(void *);
	uint64_t ticket;
	int result;
	struct qerr err;
};

struct queue {
	struct job *first, **last;
};

struct worker {
	pthread_mutex_t lock; /* guards everything below but fd */
	pthread_cond_t
		wake; /* for the thread: a job or the end; for the owner: the thread has ended */
	unsigned int refs;
	unsigned int queued, max_queued;
	struct queue waiting, done;
	uint64_t started_us; /* of the running job, 0 when idle */
	bool stop, ended;
	int fd; /* eventfd, readable while `done` is not empty */
};

static uint64_t now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static void queue_init(struct queue *q)
{
	q->first = NULL;
	q->last = &q->first;
}

static void queue_put(struct queue *q, struct job *job)
{
	job->next = NULL;
	*q->last = job;
	q->last = &job->next;
}

static struct job *queue_get(struct queue *q)
{
	struct job *job = q->first;

	if (!job)
		return NULL;
	q->first = job->next;
	if (!q->first)
		q->last = &q->first;
	return job;
}

static void job_free_arg(struct job *job)
{
	if (job->free_arg)
		job->free_arg(job->arg);
	job->arg = NULL;
	job->free_arg = NULL;
}

static void queue_clear(struct queue *q)
{
	struct job *job;

	while ((job = queue_get(q))) {
		job_free_arg(job);
		free(job);
	}
}

static void worker_unref(struct worker *w)
{
	bool last;

	pthread_mutex_lock(&w->lock);
	last = --w->refs == 0;
	pthread_mutex_unlock(&w->lock);
	if (!last)
		return;
	queue_clear(&w->waiting);
	queue_clear(&w->done);
	pthread_cond_destroy(&w->wake);
	pthread_mutex_destroy(&w->lock);
	close(w->fd);
	free(w);
}

/* The next job, or NULL at the end. */
static struct job *wait_for_job(struct worker *w)
{
	struct job *job = NULL;

	pthread_mutex_lock(&w->lock);
	while (!w->stop && !w->waiting.first)
		pthread_cond_wait(&w->wake, &w->lock);
	if (!w->stop) {
		job = queue_get(&w->waiting);
		w->queued--;
		w->started_us = now_us();
	}
	pthread_mutex_unlock(&w->lock);
	return job;
}

static void finish_job(struct worker *w, struct job *job)
{
	static const uint64_t one = 1;
	ssize_t written;

	pthread_mutex_lock(&w->lock);
	queue_put(&w->done, job);
	w->started_us = 0;
	written =
		write(w->fd, &one, sizeof(one)); /* fails only at 2^64-1 results: readable anyway */
	(void)written;
	pthread_mutex_unlock(&w->lock);
}

static void *worker_main(void *arg)
{
	struct worker *w = arg;
	struct job *job;

	while ((job = wait_for_job(w))) {
		job->result = job->run(job->arg, &job->err);
		job_free_arg(job);
		finish_job(w, job);
	}
	pthread_mutex_lock(&w->lock);
	w->ended = true;
	pthread_cond_broadcast(&w->wake);
	pthread_mutex_unlock(&w->lock);
	worker_unref(w);
	return NULL;
}

/* A detached thread that takes no signal: those are for the daemon's loop. */
static int start_thread(struct worker *w, const char *name)
{
	char short_name[16]; /* the kernel's limit */
	sigset_t all, old;
	pthread_attr_t attr;
	pthread_t thread;
	int r;

	r = pthread_attr_init(&attr);
	if (r)
		return -r;
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &old);
	w->refs = 2;
	r = pthread_create(&thread, &attr, worker_main, w);
	if (r == 0) {
		strncpy(short_name, name, sizeof(short_name) - 1);
		short_name[sizeof(short_name) - 1] = '\0';
		/* Nobody can have asked the thread to end yet, so its name can be set from here. */
		pthread_setname_np(thread, short_name);
	} else {
		w->refs = 1;
	}
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	pthread_attr_destroy(&attr);
	return -r;
}

int worker_new(const char *name, unsigned int max_queued, struct worker **ret)
{
	struct worker *w = calloc(1, sizeof(*w));
	pthread_condattr_t attr;
	int r;

	if (!w)
		return -ENOMEM;
	w->refs = 1;
	w->max_queued = max_queued;
	queue_init(&w->waiting);
	queue_init(&w->done);
	w->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (w->fd < 0) {
		r = -errno;
		free(w);
		return r;
	}
	pthread_mutex_init(&w->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&w->wake, &attr);
	pthread_condattr_destroy(&attr);
	r = start_thread(w, name);
	if (r < 0) {
		worker_unref(w);
		return r;
	}
	*ret = w;
	return 0;
}

void worker_free(struct worker *w, uint64_t timeout_us)
{
	uint64_t end_us = now_us() + timeout_us;
	struct timespec end = { .tv_sec = (time_t)(end_us / 1000000),
				.tv_nsec = (long)(end_us % 1000000) * 1000 };
	int r = 0;

	if (!w)
		return;
	pthread_mutex_lock(&w->lock);
	w->stop = true;
	pthread_cond_broadcast(&w->wake);
	while (!w->ended && r != ETIMEDOUT)
		r = pthread_cond_timedwait(&w->wake, &w->lock, &end);
	pthread_mutex_unlock(&w->lock);
	worker_unref(w);
}

int worker_submit(struct worker *w, worker_job run, void *arg, void (*free_arg)(void *),
		  uint64_t ticket)
{
	struct job *job = calloc(1, sizeof(*job));
	int r = -EAGAIN;

	if (!job) {
		if (free_arg)
			free_arg(arg);
		return -EAGAIN;
	}
	job->run = run;
	job->arg = arg;
	job->free_arg = free_arg;
	job->ticket = ticket;
	pthread_mutex_lock(&w->lock);
	if (!w->stop && w->queued < w->max_queued) {
		queue_put(&w->waiting, job);
		w->queued++;
		pthread_cond_signal(&w->wake);
		r = 0;
	}
	pthread_mutex_unlock(&w->lock);
	if (r < 0) {
		job_free_arg(job);
		free(job);
	}
	return r;
}

int worker_fd(const struct worker *w)
{
	return w->fd;
}

void worker_collect(struct worker *w, worker_done done, void *user)
{
	struct queue taken;
	struct job *job;
	uint64_t count;
	ssize_t got;

	queue_init(&taken);
	pthread_mutex_lock(&w->lock);
	got = read(w->fd, &count,
		   sizeof(count)); /* EAGAIN: nothing was ready, and nothing is taken */
	(void)got;
	while ((job = queue_get(&w->done)))
		queue_put(&taken, job);
	pthread_mutex_unlock(&w->lock);
	while ((job = queue_get(&taken))) {
		done(user, job->ticket, job->result, &job->err);
		free(job);
	}
}

uint64_t worker_stalled_us(const struct worker *w)
{
	struct worker *mutable = (struct worker *)w; /* the lock is not part of the value */
	uint64_t started_us, now;

	pthread_mutex_lock(&mutable->lock);
	started_us = w->started_us;
	now = now_us();
	pthread_mutex_unlock(&mutable->lock);
	return started_us ? now - started_us : 0;
}
