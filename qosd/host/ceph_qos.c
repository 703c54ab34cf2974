/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ceph_qos - the table of disks on the loop's side, and the two jobs of the worker's side: look and
 * set. The table is shared under `lock`, which is never held over a call.
 */
#include "qosd/host/ceph_qos.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "qosd/core/mem.h"
#include "qosd/host/ceph_disks.h"

#define QUEUE_MAX    8192
#define RETRY_MIN_US UINT64_C(10000000)
#define RETRY_MAX_US UINT64_C(600000000)
#define SICK_US      UINT64_C(2000000) /* after a call that timed out: not before */

struct ceph_qos {
	atomic_uint refs; /* the loop's, and one for each job */
	struct adapter adapter;
	struct worker *worker;
	pthread_mutex_t lock; /* guards all below */
	struct ceph_disks disks;
};

static uint64_t now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static void drop(struct ceph_qos *c)
{
	if (atomic_fetch_sub(&c->refs, 1) != 1)
		return;
	ceph_disks_done(&c->disks);
	pthread_mutex_destroy(&c->lock);
	free(c);
}

/* ---- the worker's side ---- */

struct job {
	struct ceph_qos *c; /* a reference: a job that hangs may outlive the loop */
	struct guest *guest;
	uint32_t index;
	struct ceph_asok asok; /* empty path: not known */
	/* set */
	unsigned int knob;
	uint64_t value, base;
};

/* Under lock: the disk that the job was made for; NULL: another one is in its place by now. */
static struct ceph_disk *disk_of(const struct job *job)
{
	struct ceph_disk *d = ceph_disks_find(&job->c->disks, job->guest->id, job->index);

	return d && ceph_disk_is_of(d, job->guest) ? d : NULL;
}

static void job_free(void *arg)
{
	struct job *job = arg;

	guest_unref(job->guest);
	drop(job->c);
	free(job);
}

static void note_absent(struct ceph_qos *c, struct ceph_disk *d, uint64_t now)
{
	uint64_t waited = d->retry_us > d->looked_us ? d->retry_us - d->looked_us : 0;

	waited = waited ? waited * 2 : RETRY_MIN_US;
	c->disks.changed |= d->state == DISK_LIVE;
	d->state = DISK_ABSENT;
	d->retry_us = now + (waited < RETRY_MAX_US ? waited : RETRY_MAX_US);
}

/*
 * Only the certain word that there is no socket makes a disk absent, for what is absent counts as
 * given back. A QEMU that did not answer in time may hold a limit: it stays, or becomes, unknown
 * and is looked for again at the next watch.
 */
static void note_look(struct ceph_qos *c, struct ceph_disk *d, int result, uint64_t now)
{
	if (result == 0) {
		c->disks.changed |= d->state != DISK_LIVE;
		d->state = DISK_LIVE;
	} else if (result == -ENOENT || result == -ESRCH) {
		note_absent(c, d, now);
	} else if (d->state != DISK_LIVE) {
		d->state = DISK_UNKNOWN;
	}
	d->looking = false;
	d->looked_us = now;
}

/* Another disk of the same QEMU was not answered for a moment ago: nor would this one be. */
static bool is_silent(struct ceph_qos *c, const struct job *job)
{
	uint64_t now = now_us();
	bool silent = false;

	pthread_mutex_lock(&c->lock);
	for (size_t i = ceph_disks_place(&c->disks, job->guest->id, 0);
	     i < c->disks.count && c->disks.items[i].guest_id == job->guest->id; i++)
		silent |= c->disks.items[i].index != job->index && now < c->disks.items[i].sick_us;
	pthread_mutex_unlock(&c->lock);
	return silent;
}

static int run_look(void *arg, struct qerr *err)
{
	struct job *job = arg;
	struct ceph_qos *c = job->c;
	bool silent = is_silent(c, job);
	struct ceph_limits limits;
	struct ceph_disk *d;
	int r = -ETIMEDOUT;

	(void)err;
	if (!silent)
		r = ceph_limits_read(job->guest->pid, guest_rbd_of(job->guest, job->index),
				     &job->asok, &limits);
	pthread_mutex_lock(&c->lock);
	d = disk_of(job);
	if (d && r == -ETIMEDOUT && !silent)
		d->sick_us = now_us() + SICK_US;
	if (d && r == 0) {
		d->asok = job->asok;
		d->limits = limits;
		d->sick_us = 0;
	}
	if (d)
		note_look(c, d, r, now_us());
	pthread_mutex_unlock(&c->lock);
	return 0;
}

/* A QEMU that stands still costs its time limit once, not once for each value. */
static bool is_sick(struct ceph_qos *c, const struct job *job)
{
	struct ceph_disk *d;
	bool sick;

	pthread_mutex_lock(&c->lock);
	d = disk_of(job);
	sick = d && now_us() < d->sick_us;
	pthread_mutex_unlock(&c->lock);
	return sick;
}

static int run_set(void *arg, struct qerr *err)
{
	struct job *job = arg;
	struct ceph_qos *c = job->c;
	uint64_t value = 0;
	struct ceph_disk *d;
	int r;

	if (is_sick(c, job))
		return qerr_set(err, -ETIMEDOUT, "librbd in QEMU does not answer");
	r = ceph_limits_set(&job->asok, job->knob, job->value, job->base, &value, err);
	pthread_mutex_lock(&c->lock);
	d = disk_of(job);
	if (d && r == 0)
		d->limits.values[job->knob] = value;
	else if (d && r == -ETIMEDOUT)
		d->sick_us = now_us() + SICK_US;
	pthread_mutex_unlock(&c->lock);
	return r;
}

/* ---- the loop's side ---- */

static struct job *new_job(struct ceph_qos *c, const struct ceph_disk *d)
{
	struct job *job = calloc(1, sizeof(*job));

	if (!job)
		return NULL;
	atomic_fetch_add(&c->refs, 1);
	*job = (struct job){ .c = c, .guest = guest_ref(d->guest), .index = d->index };
	if (d->state == DISK_LIVE)
		job->asok = d->asok;
	return job;
}

/* Under lock. */
static void start_look(struct ceph_qos *c, struct ceph_disk *d)
{
	struct job *job = d->looking ? NULL : new_job(c, d);

	if (job)
		d->looking = worker_submit(c->worker, run_look, job, job_free, 0) == 0;
}

static void watch_disk(struct ceph_qos *c, struct guest *g, uint32_t index, uint64_t now)
{
	struct ceph_disk *d = ceph_disks_find(&c->disks, g->id, index);

	if (!d)
		d = ceph_disks_add(&c->disks, g, index);
	if (!d)
		return;
	if (d->guest != g) {
		guest_unref(d->guest);
		d->guest = guest_ref(g);
	}
	if (d->state == DISK_UNKNOWN || (d->state == DISK_ABSENT && now >= d->retry_us))
		start_look(c, d);
}

void ceph_qos_watch(struct ceph_qos *c, const struct inventory *inv)
{
	uint64_t now = now_us();

	pthread_mutex_lock(&c->lock);
	ceph_disks_keep(&c->disks, inv);
	for (size_t i = 0; i < inv->count; i++) {
		struct guest *g = inv->guests[i];

		for (size_t k = 0; g->pid && k < g->nrbds; k++)
			if (g->rbds[k].disk < CEPH_QOS_DISKS_MAX)
				watch_disk(c, g, g->rbds[k].disk, now);
	}
	pthread_mutex_unlock(&c->lock);
}

uint64_t ceph_qos_live(const struct ceph_qos *c, const struct guest *g)
{
	struct ceph_qos *locked = (struct ceph_qos *)c;
	uint64_t bits = 0;

	pthread_mutex_lock(&locked->lock);
	for (size_t at = ceph_disks_place(&c->disks, g->id, 0);
	     at < c->disks.count && c->disks.items[at].guest_id == g->id; at++)
		if (c->disks.items[at].state == DISK_LIVE)
			bits |= UINT64_C(1) << c->disks.items[at].index;
	pthread_mutex_unlock(&locked->lock);
	return bits;
}

bool ceph_qos_looked(const struct ceph_qos *c)
{
	struct ceph_qos *locked = (struct ceph_qos *)c;
	bool looking = false;

	pthread_mutex_lock(&locked->lock);
	for (size_t i = 0; i < c->disks.count; i++)
		looking |= c->disks.items[i].looking;
	pthread_mutex_unlock(&locked->lock);
	return !looking;
}

struct collect {
	worker_done done;
	void *user;
};

static void on_done(void *user, uint64_t ticket, int result, const struct qerr *err)
{
	struct collect *collect = user;

	if (ticket) /* else a look */
		collect->done(collect->user, ticket, result, err);
}

bool ceph_qos_collect(struct ceph_qos *c, worker_done done, void *user)
{
	struct collect collect = { done, user };
	bool changed;

	worker_collect(c->worker, on_done, &collect);
	pthread_mutex_lock(&c->lock);
	changed = c->disks.changed;
	c->disks.changed = false;
	pthread_mutex_unlock(&c->lock);
	return changed;
}

/* ---- the adapter ---- */

static void qos_probe(struct adapter *a, struct diag_list *findings)
{
	struct ceph_qos *c = a->ctx;
	unsigned int live = 0, absent = 0;

	pthread_mutex_lock(&c->lock);
	for (size_t i = 0; i < c->disks.count; i++) {
		live += c->disks.items[i].state == DISK_LIVE;
		absent += c->disks.items[i].state == DISK_ABSENT;
	}
	pthread_mutex_unlock(&c->lock);
	if (live)
		diag_add(findings, DIAG_INFO, NULL, 0, "ceph", NULL,
			 "%u RBD disk%s can be limited without libvirt", live,
			 live == 1 ? "" : "s");
	if (absent)
		diag_add(findings, DIAG_INFO, NULL, 0, "ceph",
			 "set admin_socket under [client] in ceph.conf, and start the guests anew",
			 "%u RBD disk%s no admin socket: limits go through libvirt alone", absent,
			 absent == 1 ? " has" : "s have");
}

/* Will it be looked for? */
static bool has_image(const struct target *t)
{
	return t->kind == TARGET_DISK && t->guest && t->guest->pid &&
	       t->index < CEPH_QOS_DISKS_MAX && guest_rbd_of(t->guest, t->index);
}

/* Under lock: the disk of a target, if it can be asked. */
static int live_disk(struct ceph_qos *c, const struct target *t, struct ceph_disk **ret,
		     struct qerr *err)
{
	struct ceph_disk *d =
		t->kind == TARGET_DISK ? ceph_disks_find(&c->disks, t->guest_id, t->index) : NULL;

	if (d ? d->state == DISK_ABSENT : !has_image(t))
		return qerr_set(err, -EOPNOTSUPP,
				"librbd of this disk has no admin socket; set admin_socket under "
				"[client] in ceph.conf, and start the guest anew");
	if (!d || d->state == DISK_UNKNOWN)
		return qerr_set(err, -EAGAIN, "the disk's admin socket is being looked for");
	*ret = d;
	return 0;
}

static int qos_read(struct adapter *a, const struct target *t, enum knob_id knob,
		    struct knob_value *ret, struct qerr *err)
{
	struct ceph_qos *c = a->ctx;
	struct ceph_disk *d;
	uint64_t value = 0;
	int r;

	pthread_mutex_lock(&c->lock);
	r = live_disk(c, t, &d, err);
	if (r == 0) {
		value = d->limits.values[knob - KNOB_RBD_READ_IOPS];
		if (now_us() - d->looked_us > CEPH_QOS_FRESH_US)
			start_look(c, d);
	}
	pthread_mutex_unlock(&c->lock);
	if (r == 0)
		*ret = knob_u64(value ? value : KNOB_MAX);
	return r;
}

static int qos_apply(struct adapter *a, const struct change *change, uint64_t ticket,
		     struct qerr *err)
{
	struct ceph_qos *c = a->ctx;
	struct job *job = NULL;
	struct ceph_disk *d;
	int r;

	pthread_mutex_lock(&c->lock);
	r = live_disk(c, &change->target, &d, err);
	if (r == 0) {
		job = new_job(c, d);
		if (job) {
			job->knob = change->knob - KNOB_RBD_READ_IOPS;
			job->value = change->to.u64 == KNOB_MAX ? 0 : change->to.u64;
			job->base = d->limits.bases[job->knob];
		}
	}
	pthread_mutex_unlock(&c->lock);
	if (r < 0)
		return r;
	if (!job)
		return qerr_set(err, -ENOMEM, "out of memory");
	r = worker_submit(c->worker, run_set, job, job_free, ticket);
	return r < 0 ? qerr_set(err, r, "too many changes wait for librbd") : -EINPROGRESS;
}

static void qos_forget(struct adapter *a, const struct guest *g)
{
	struct ceph_qos *c = a->ctx;

	pthread_mutex_lock(&c->lock);
	ceph_disks_drop(&c->disks, g);
	pthread_mutex_unlock(&c->lock);
}

static const struct adapter_ops qos_ops = {
	.name = "ceph",
	.probe = qos_probe,
	.read = qos_read,
	.apply = qos_apply,
	.forget = qos_forget,
};

struct adapter *ceph_qos_adapter(struct ceph_qos *c)
{
	return &c->adapter;
}

/* ---- life ---- */

int ceph_qos_new(struct ceph_qos **ret, struct qerr *err)
{
	struct ceph_qos *c = calloc(1, sizeof(*c));
	int r = c ? worker_new("qosd-rbd-qos", QUEUE_MAX, &c->worker) : -ENOMEM;

	if (r < 0) {
		free(c);
		return qerr_set(err, r, "cannot start a worker thread: %s", strerror(-r));
	}
	atomic_init(&c->refs, 1);
	pthread_mutex_init(&c->lock, NULL);
	c->adapter = (struct adapter){ .ops = &qos_ops, .ctx = c };
	*ret = c;
	return 0;
}

void ceph_qos_free(struct ceph_qos *c, uint64_t timeout_us)
{
	if (!c)
		return;
	worker_free(c->worker, timeout_us);
	drop(c);
}

int ceph_qos_fd(const struct ceph_qos *c)
{
	return worker_fd(c->worker);
}
