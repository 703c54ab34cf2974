/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * virt - life and the loop's side: everything here returns at once.
 *
 * The loop and the threads meet in three places: the pending inventory (only the newest counts),
 * the queue of jobs with the list of finished ones, and the state, which is computed when asked
 * for, so that a thread stuck in a call of libvirt cannot hide it.
 */
#include "qosd/host/virt.h"

#include <errno.h>
#include <libxml/parser.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "qosd/core/mem.h"
#include "qosd/host/virt_priv.h"

uint64_t virt_now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

void virt_notify(struct virt *v)
{
	uint64_t one = 1;

	/* A full counter is readable as well: nothing is lost when this fails. */
	if (write(v->event_fd, &one, sizeof(one)) < 0)
		return;
}

static void virt_destroy(struct virt *v)
{
	virt_jobs_free(v);
	virt_records_free(v);
	virt_known_free(v);
	free(v->counts);
	inventory_free(v->pending);
	if (v->event_fd >= 0)
		close(v->event_fd);
	pthread_cond_destroy(&v->wake);
	pthread_mutex_destroy(&v->lock);
	free(v->uri);
	free(v->run_dir);
	free(v);
}

static int virt_init_lock(struct virt *v)
{
	pthread_condattr_t attr;
	int r;

	r = pthread_condattr_init(&attr);
	if (r)
		return -r;
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	r = pthread_cond_init(&v->wake, &attr);
	pthread_condattr_destroy(&attr);
	if (r)
		return -r;
	pthread_mutex_init(&v->lock, NULL);
	return 0;
}

static struct virt *virt_alloc(const struct virt_config *config)
{
	struct virt *v = calloc(1, sizeof(*v));

	if (!v)
		return NULL;
	if (virt_init_lock(v) < 0) {
		free(v);
		return NULL;
	}
	v->uri = strdup(config->uri ? config->uri : "qemu:///system");
	v->run_dir = strdup(config->run_dir ? config->run_dir : "/run/libvirt/qemu");
	v->resync_us = config->resync_us ? config->resync_us : UINT64_C(60000000);
	v->hung_us = config->hung_us ? config->hung_us : UINT64_C(1000000);
	v->bind = config->bind;
	v->bind_ctx = config->bind_ctx;
	v->backoff_us = VIRT_BACKOFF_MIN_US;
	v->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	atomic_init(&v->state, VIRT_CONNECTING);
	atomic_init(&v->call_limit_us, v->hung_us); /* set anew before each connecting */
	virt_adapter_init(v);
	if (!v->uri || !v->run_dir || v->event_fd < 0) {
		virt_destroy(v);
		return NULL;
	}
	return v;
}

void virt_thread_ends(struct virt *v)
{
	pthread_mutex_lock(&v->lock);
	v->threads--;
	pthread_cond_broadcast(&v->wake);
	pthread_mutex_unlock(&v->lock);
}

static void virt_stop_callers(struct virt *v, unsigned int started)
{
	pthread_mutex_lock(&v->lock);
	atomic_store(&v->stop, true);
	pthread_cond_broadcast(&v->wake);
	pthread_mutex_unlock(&v->lock);
	while (started-- > 0)
		pthread_join(v->callers[started], NULL);
}

static int virt_start_calling(struct virt *v)
{
	static void *(*const mains[VIRT_CALLERS])(void *) = { virt_ping_main, virt_stats_main,
							      virt_calls_main };

	v->threads = VIRT_CALLERS;
	for (unsigned int i = 0; i < VIRT_CALLERS; i++) {
		int r = -pthread_create(&v->callers[i], NULL, mains[i], v);

		if (r < 0) {
			virt_stop_callers(v, i);
			return r;
		}
	}
	return 0;
}

/* Signals are the loop's: our threads take none. */
static int virt_start_threads(struct virt *v, struct qerr *err)
{
	sigset_t all, before;
	int r;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	r = virt_events_start(v, err);
	if (r == 0) {
		r = virt_start_calling(v);
		if (r < 0) {
			qerr_set(err, r, "cannot start libvirt's threads: %s", strerror(-r));
			virt_events_stop(v);
		}
	}
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return r;
}

int virt_new(const struct virt_config *config, struct virt **ret, struct qerr *err)
{
	struct virt *v;
	int r;

	xmlInitParser(); /* before there are threads */
	v = virt_alloc(config);
	if (!v)
		return qerr_set(err, -ENOMEM, "out of memory or file descriptors for libvirt");
	r = virt_start_threads(v, err);
	if (r < 0) {
		virt_destroy(v);
		return r;
	}
	*ret = v;
	return 0;
}

static bool virt_wait_finished(struct virt *v, uint64_t timeout_us)
{
	uint64_t until_us = virt_now_us() + timeout_us;
	struct timespec until = { .tv_sec = (time_t)(until_us / 1000000),
				  .tv_nsec = (long)(until_us % 1000000) * 1000 };
	bool finished;
	int r = 0;

	pthread_mutex_lock(&v->lock);
	atomic_store(&v->stop, true);
	pthread_cond_broadcast(&v->wake);
	while (v->threads > 0 && r == 0)
		r = pthread_cond_timedwait(&v->wake, &v->lock, &until);
	finished = v->threads == 0;
	pthread_mutex_unlock(&v->lock);
	return finished;
}

/*
 * A call that hangs cannot be taken back. Its thread is then left behind together with `v`, which
 * it may still touch: memory is lost once, at the end of the process, and nothing is freed twice.
 */
void virt_free(struct virt *v, uint64_t timeout_us)
{
	bool finished;

	if (!v)
		return;
	finished = virt_wait_finished(v, timeout_us);
	for (unsigned int i = 0; i < VIRT_CALLERS; i++) {
		if (finished)
			pthread_join(v->callers[i], NULL);
		else
			pthread_detach(v->callers[i]);
	}
	virt_events_stop(v);
	if (finished)
		virt_destroy(v);
}

int virt_fd(const struct virt *v)
{
	return v->event_fd;
}

static void virt_clear_event(struct virt *v)
{
	uint64_t count;

	if (read(v->event_fd, &count, sizeof(count)) < 0)
		return; /* was not readable: the same */
}

struct inventory *virt_take_inventory(struct virt *v)
{
	struct inventory *inv;

	pthread_mutex_lock(&v->lock);
	inv = TAKE_PTR(v->pending);
	if (!v->jobs.done_first)
		virt_clear_event(v);
	pthread_mutex_unlock(&v->lock);
	return inv;
}

void virt_collect(struct virt *v,
		  void (*done)(void *user, uint64_t ticket, int r, const struct qerr *err),
		  void *user)
{
	struct virt_job *job, *next;

	pthread_mutex_lock(&v->lock);
	job = v->jobs.done_first;
	v->jobs.done_first = v->jobs.done_last = NULL;
	if (!v->pending)
		virt_clear_event(v);
	pthread_mutex_unlock(&v->lock);

	for (; job; job = next) {
		next = job->next;
		done(user, job->ticket, job->result, &job->err);
		virt_job_free(job);
	}
}

enum virt_state virt_state(const struct virt *v)
{
	uint64_t call = atomic_load(&v->call_since_us);
	uint64_t ping = atomic_load(&v->ping_since_us);
	uint64_t now = virt_now_us();

	if (call && now > call + atomic_load(&v->call_limit_us))
		return VIRT_HUNG;
	if (ping && now > ping + v->hung_us)
		return VIRT_HUNG;
	return (enum virt_state)atomic_load(&v->state);
}

const char *virt_state_name(enum virt_state s)
{
	static const char *const names[] = {
		[VIRT_CONNECTING] = "connecting",
		[VIRT_CONNECTED] = "connected",
		[VIRT_RECONNECTING] = "reconnecting",
		[VIRT_HUNG] = "hung",
	};

	return (size_t)s < ARRAY_SIZE(names) ? names[s] : "unknown";
}

unsigned long virt_version(const struct virt *v)
{
	return atomic_load(&v->version);
}

void virt_refresh(struct virt *v, const char *uuid)
{
	virt_mark_dirty(v, uuid);
}

int virt_set_class(struct virt *v, const char *uuid, const char *class_name, uint64_t ticket)
{
	struct virt_job *job;

	if (strlen(uuid) >= GUEST_UUID_MAX)
		return -EINVAL;
	job = virt_job_new(VIRT_JOB_CLASS, ticket);
	if (!job)
		return -ENOMEM;
	strcpy(job->uuid, uuid);
	if (class_name) {
		job->class_name = strdup(class_name);
		if (!job->class_name) {
			virt_job_free(job);
			return -ENOMEM;
		}
	}
	return virt_job_submit(v, job, NULL);
}

struct adapter *virt_adapter(struct virt *v)
{
	return &v->adapter;
}
