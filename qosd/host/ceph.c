/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One worker thread runs all jobs. `struct ceph` is counted by reference (its owner and each job),
 * so that a job that still waits for a cluster when the daemon ends can be left behind.
 */
#include "qosd/host/ceph.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "qosd/core/mem.h"
#include "qosd/host/ceph_priv.h"
#include "qosd/host/worker.h"

#define JOBS_MAX     1024
#define AWAY_US      UINT64_C(60000000) /* a cluster that did not answer is left alone so long */
#define TIMEOUT_US   UINT64_C(3000000)
#define DEFAULT_CONF "/etc/ceph/ceph.conf"

struct written {
	struct written *next;
	struct ceph_written what;
};

struct looked {
	struct looked *next;
	struct ceph_look *look;
};

struct ceph {
	atomic_uint refs;
	struct worker *worker; /* the owner's */

	pthread_mutex_t lock; /* of what follows, up to the thread's own */
	char conf[256], user[64];
	uint64_t timeout_us;
	unsigned int generation; /* of the three above */
	struct looked *looks, **looks_end;
	struct written *written, **written_end;
	struct rbd_daemons daemons;
	bool daemons_known;

	/* the thread's own */
	struct ceph_asked asked;
	unsigned int asked_generation;
	uint64_t asked_at_us;
};

struct look_job {
	struct ceph *c;
	struct guest *g;
};

struct put_job {
	struct ceph *c;
	struct guest_rbd rbd;
	struct rbd_wanted wanted;
	char guest[GUEST_NAME_MAX];
};

static uint64_t now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

void ceph_look_free(struct ceph_look *l)
{
	for (size_t i = 0; l && i < l->count; i++) {
		rbd_layers_done(&l->images[i].layers);
		rbd_layers_done(&l->images[i].open);
	}
	free(l);
}

static void ceph_unref(struct ceph *c)
{
	struct ceph_look *look;
	struct ceph_written skipped;

	if (atomic_fetch_sub(&c->refs, 1) != 1)
		return;
	while ((look = ceph_take_look(c)))
		ceph_look_free(look);
	while (ceph_take_written(c, &skipped))
		;
	ceph_cluster_close(c->asked.cluster);
	pthread_mutex_destroy(&c->lock);
	free(c);
}

/* ---- the cluster, on the thread ---- */

static enum rbd_cluster_state state_of(int r)
{
	if (r == -ENOSYS)
		return RBD_CLUSTER_NOT_BUILT;
	return r == -EACCES ? RBD_CLUSTER_DENIED : RBD_CLUSTER_AWAY;
}

static void open_cluster(struct ceph *c, const char *conf, const char *user, uint64_t timeout_us)
{
	struct ceph_asked *a = &c->asked;
	struct qerr err = { 0 };
	int r = ceph_cluster_open(conf, user, timeout_us, &a->cluster, &err);

	a->state = r < 0 ? state_of(r) : RBD_CLUSTER_FINE;
	snprintf(a->trouble, sizeof(a->trouble), "%.*s", (int)sizeof(a->trouble) - 1, err.text);
	/* Our user is too strong where it is the guests' own administrator. */
	if (r == 0 && ceph_cluster_health(a->cluster, &a->full, &a->strong, &err) < 0)
		a->full = a->strong = false;
}

/* A connection that is fresh enough, or the reason why there is none. */
static const struct ceph_asked *ask(struct ceph *c)
{
	struct ceph_asked *a = &c->asked;
	char conf[sizeof(c->conf)], user[sizeof(c->user)];
	unsigned int generation;
	uint64_t timeout_us;
	bool away;

	pthread_mutex_lock(&c->lock);
	memcpy(conf, c->conf, sizeof(conf));
	memcpy(user, c->user, sizeof(user));
	timeout_us = c->timeout_us;
	generation = c->generation;
	pthread_mutex_unlock(&c->lock);
	away = a->state == RBD_CLUSTER_AWAY && now_us() - c->asked_at_us < AWAY_US;
	if (c->asked_generation == generation && (a->cluster || away))
		return a;
	ceph_cluster_close(a->cluster);
	*a = (struct ceph_asked){ .state = RBD_CLUSTER_OFF };
	if (!ceph_built_in())
		a->state = RBD_CLUSTER_NOT_BUILT;
	else if (user[0])
		open_cluster(c, conf, user, timeout_us);
	c->asked_generation = generation;
	c->asked_at_us = now_us();
	return a;
}

/* It does not answer any more: the images after this one need not wait for it as well. */
static void note_away(struct ceph *c, const struct ceph_image *image)
{
	if (!c->asked.cluster || image->cluster != RBD_CLUSTER_AWAY)
		return;
	ceph_cluster_close(c->asked.cluster);
	c->asked.cluster = NULL;
	c->asked.state = RBD_CLUSTER_AWAY;
	memcpy(c->asked.trouble, image->cluster_trouble, sizeof(c->asked.trouble));
	c->asked_at_us = now_us();
}

/* Connections are not kept: threads and memory of librados go with them. */
static void let_go(struct ceph *c)
{
	ceph_cluster_close(c->asked.cluster);
	c->asked.cluster = NULL;
}

/* ---- jobs, on the thread ---- */

static int look_images(struct ceph *c, const struct guest *g, struct ceph_look *look)
{
	struct ceph_sockets *sockets = malloc(sizeof(*sockets));
	int r = sockets ? 0 : -ENOMEM;

	if (sockets)
		ceph_sockets_read(g->pid, sockets);
	for (size_t i = 0; r == 0 && i < g->nrbds; i++) {
		struct ceph_image *image = &look->images[i];

		look->count = i + 1;
		r = rbd_layers_init(&image->layers);
		if (r == 0)
			r = rbd_layers_init(&image->open);
		if (r == 0)
			r = ceph_look_image(ask(c), sockets, g, &g->rbds[i], image);
		note_away(c, image);
	}
	let_go(c);
	if (sockets)
		ceph_sockets_done(sockets);
	free(sockets);
	return r;
}

static int run_look(void *arg, struct qerr *err)
{
	struct look_job *job = arg;
	struct looked *one = calloc(1, sizeof(*one));
	int r = one ? 0 : -ENOMEM;

	if (one)
		one->look = calloc(1, sizeof(*one->look) +
					      job->g->nrbds * sizeof(one->look->images[0]));
	if (one && one->look) {
		one->look->guest_id = job->g->id;
		r = look_images(job->c, job->g, one->look);
		one->look->at_us = now_us();
	}
	if (!one || !one->look || r < 0) {
		ceph_look_free(one ? one->look : NULL);
		free(one);
		return qerr_set(err, -ENOMEM, "out of memory");
	}
	pthread_mutex_lock(&job->c->lock);
	*job->c->looks_end = one;
	job->c->looks_end = &one->next;
	pthread_mutex_unlock(&job->c->lock);
	return 0;
}

static void free_look_job(void *arg)
{
	struct look_job *job = arg;

	guest_unref(job->g);
	ceph_unref(job->c);
	free(job);
}

static int run_daemons(void *arg, struct qerr *err)
{
	struct ceph *c = arg;
	struct rbd_daemons found;

	(void)err;
	ceph_find_daemons(&found);
	pthread_mutex_lock(&c->lock);
	c->daemons = found;
	c->daemons_known = true;
	pthread_mutex_unlock(&c->lock);
	return 0;
}

static void free_daemons_job(void *arg)
{
	ceph_unref(arg);
}

static int run_put(void *arg, struct qerr *err)
{
	struct put_job *job = arg;
	struct written *w = calloc(1, sizeof(*w));
	const struct ceph_asked *asked = ask(job->c);
	int r = -EAGAIN;

	if (!w)
		return qerr_set(err, -ENOMEM, "out of memory");
	if (asked->cluster)
		r = ceph_cluster_put(asked->cluster, &job->rbd, &job->wanted, &w->what.err);
	else
		qerr_set(&w->what.err, r, "%s", asked->trouble);
	let_go(job->c);
	w->what.result = r;
	memcpy(w->what.guest, job->guest, sizeof(w->what.guest));
	rbd_spec(&job->rbd, w->what.spec, sizeof(w->what.spec));
	pthread_mutex_lock(&job->c->lock);
	*job->c->written_end = w;
	job->c->written_end = &w->next;
	pthread_mutex_unlock(&job->c->lock);
	return 0;
}

static void free_put_job(void *arg)
{
	struct put_job *job = arg;

	ceph_unref(job->c);
	free(job);
}

/* ---- the loop's side ---- */

int ceph_new(struct ceph **ret, struct qerr *err)
{
	struct ceph *c = calloc(1, sizeof(*c));
	int r;

	if (!c)
		return qerr_set(err, -ENOMEM, "out of memory");
	atomic_init(&c->refs, 1);
	pthread_mutex_init(&c->lock, NULL);
	c->looks_end = &c->looks;
	c->written_end = &c->written;
	c->timeout_us = TIMEOUT_US;
	snprintf(c->conf, sizeof(c->conf), DEFAULT_CONF);
	r = worker_new("qosd-ceph", JOBS_MAX, &c->worker);
	if (r < 0) {
		ceph_unref(c);
		return qerr_set(err, r, "cannot start a thread for Ceph: %s", strerror(-r));
	}
	*ret = c;
	return 0;
}

void ceph_free(struct ceph *c, uint64_t timeout_us)
{
	if (!c)
		return;
	worker_free(c->worker, timeout_us);
	ceph_unref(c);
}

int ceph_fd(const struct ceph *c)
{
	return worker_fd(c->worker);
}

void ceph_configure(struct ceph *c, const struct ceph_config *config)
{
	pthread_mutex_lock(&c->lock);
	snprintf(c->conf, sizeof(c->conf), "%s", config->conf ? config->conf : DEFAULT_CONF);
	snprintf(c->user, sizeof(c->user), "%s", config->user ? config->user : "");
	c->timeout_us = config->timeout_us ? config->timeout_us : TIMEOUT_US;
	c->generation++;
	pthread_mutex_unlock(&c->lock);
}

int ceph_look_at(struct ceph *c, struct guest *g)
{
	struct look_job *job = calloc(1, sizeof(*job));

	if (!job)
		return -ENOMEM;
	atomic_fetch_add(&c->refs, 1);
	*job = (struct look_job){ .c = c, .g = guest_ref(g) };
	return worker_submit(c->worker, run_look, job, free_look_job, 0);
}

int ceph_look_at_daemons(struct ceph *c)
{
	atomic_fetch_add(&c->refs, 1);
	return worker_submit(c->worker, run_daemons, c, free_daemons_job, 0);
}

int ceph_image_put(struct ceph *c, const struct guest *g, const struct guest_rbd *rbd,
		   const struct rbd_wanted *wanted)
{
	struct put_job *job = calloc(1, sizeof(*job));

	if (!job)
		return -ENOMEM;
	atomic_fetch_add(&c->refs, 1);
	*job = (struct put_job){ .c = c, .rbd = *rbd, .wanted = *wanted };
	snprintf(job->guest, sizeof(job->guest), "%s", g->name ? g->name : g->uuid);
	return worker_submit(c->worker, run_put, job, free_put_job, 0);
}

static void on_done(void *user, uint64_t ticket, int result, const struct qerr *err)
{
	(void)user, (void)ticket, (void)result, (void)err; /* what counts is in the lists */
}

struct ceph_look *ceph_take_look(struct ceph *c)
{
	struct ceph_look *look = NULL;
	struct looked *one;

	pthread_mutex_lock(&c->lock);
	one = c->looks;
	if (one) {
		c->looks = one->next;
		if (!c->looks)
			c->looks_end = &c->looks;
		look = one->look;
	}
	pthread_mutex_unlock(&c->lock);
	free(one);
	return look;
}

bool ceph_take_written(struct ceph *c, struct ceph_written *ret)
{
	struct written *one;

	pthread_mutex_lock(&c->lock);
	one = c->written;
	if (one) {
		c->written = one->next;
		if (!c->written)
			c->written_end = &c->written;
		*ret = one->what;
	}
	pthread_mutex_unlock(&c->lock);
	free(one);
	return one != NULL;
}

void ceph_collect(struct ceph *c)
{
	worker_collect(c->worker, on_done, NULL);
}

bool ceph_take_daemons(struct ceph *c, struct rbd_daemons *ret)
{
	bool known;

	pthread_mutex_lock(&c->lock);
	known = c->daemons_known;
	*ret = c->daemons;
	pthread_mutex_unlock(&c->lock);
	return known;
}
