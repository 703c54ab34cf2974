/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One worker thread does all tasks: writes first, for a guest's start may wait for them, then
 * looks. One look of a guest and one write to a place wait at the most: a later one takes its
 * place, so that a slow cluster piles nothing up. The worker has one job at a time, which does one
 * task and asks for the next. `struct ceph` is counted by reference (its owner and the job), so
 * that a job that still waits for a cluster when the daemon ends can be left behind.
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

#define JOBS_MAX     4                  /* one is ever asked for */
#define PUTS_MAX     4096               /* that wait */
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

struct put { /* that waits */
	struct put *next;
	struct ceph_put what;
};

struct look { /* that waits */
	struct look *next;
	struct guest *g; /* a reference */
};

struct ceph {
	atomic_uint refs;
	struct worker *worker; /* the owner's, who frees it */

	pthread_mutex_t lock; /* of what follows, up to the thread's own */
	char conf[256], user[64];
	uint64_t timeout_us;
	unsigned int generation; /* of the three above */
	struct looked *looks, **looks_end;
	struct written *written, **written_end;
	struct rbd_daemons daemons;
	bool daemons_known;
	struct put *puts, **puts_end;
	struct look *waiting, **waiting_end;
	size_t nputs;
	bool daemons_wanted;
	bool busy;  /* the worker has a job */
	bool ended; /* there is no worker any more */

	/* the thread's own */
	struct ceph_asked asked;
	char asked_conf[256];
	unsigned int asked_generation;
	uint64_t asked_at_us;
};

static uint64_t now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static struct put *next_put(struct ceph *c)
{
	struct put *p = c->puts;

	if (p) {
		c->nputs--;
		c->puts = p->next;
		if (!c->puts)
			c->puts_end = &c->puts;
	}
	return p;
}

static struct look *next_look(struct ceph *c)
{
	struct look *l = c->waiting;

	if (l) {
		c->waiting = l->next;
		if (!c->waiting)
			c->waiting_end = &c->waiting;
	}
	return l;
}

static void free_look(struct look *l)
{
	if (l)
		guest_unref(l->g);
	free(l);
}

static void ceph_unref(struct ceph *c)
{
	struct ceph_look *look;
	struct ceph_written skipped;

	if (atomic_fetch_sub(&c->refs, 1) != 1)
		return;
	while (c->puts)
		free(next_put(c));
	while (c->waiting)
		free_look(next_look(c));
	while ((look = ceph_take_look(c)))
		ceph_look_free(look);
	while (ceph_take_written(c, &skipped))
		;
	ceph_cluster_close(c->asked.cluster);
	pthread_mutex_destroy(&c->lock);
	free(c);
}

/* ---- the cluster, on the thread ---- */

/* A connection that is fresh enough, or the reason why there is none. */
static const struct ceph_asked *ask(struct ceph *c)
{
	struct ceph_asked *a = &c->asked;
	char user[sizeof(c->user)];
	unsigned int generation;
	uint64_t timeout_us;
	bool away;

	pthread_mutex_lock(&c->lock);
	memcpy(c->asked_conf, c->conf, sizeof(c->asked_conf));
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
		ceph_asked_open(a, c->asked_conf, user, timeout_us);
	c->asked_generation = generation;
	c->asked_at_us = now_us();
	return a;
}

/* It does not answer any more: the images after this one need not wait for it as well. */
static void note_away(struct ceph *c, const char *trouble)
{
	if (!c->asked.cluster)
		return;
	ceph_cluster_close(c->asked.cluster);
	c->asked.cluster = NULL;
	c->asked.state = RBD_CLUSTER_AWAY;
	snprintf(c->asked.trouble, sizeof(c->asked.trouble), "%.*s",
		 (int)sizeof(c->asked.trouble) - 1, trouble);
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
	ceph_process_read(g->pid, &look->process);
	for (size_t i = 0; r == 0 && i < g->nrbds; i++) {
		struct ceph_image *image = &look->images[i];

		look->count = i + 1;
		image->rbd = g->rbds[i];
		r = rbd_layers_init(&image->layers);
		if (r == 0)
			r = rbd_layers_init(&image->open);
		if (r == 0)
			r = ceph_look_image(ask(c), sockets, g, &g->rbds[i], image);
		image->at_us = now_us();
		if (image->cluster == RBD_CLUSTER_AWAY)
			note_away(c, image->cluster_trouble);
	}
	let_go(c);
	if (sockets)
		ceph_sockets_done(sockets);
	free(sockets);
	return r;
}

static void run_look(struct ceph *c, const struct guest *g)
{
	struct looked *one = calloc(1, sizeof(*one));
	int r = one ? 0 : -ENOMEM;

	if (one)
		one->look = calloc(1, sizeof(*one->look) + g->nrbds * sizeof(one->look->images[0]));
	if (one && one->look) {
		one->look->guest_id = g->id;
		r = look_images(c, g, one->look);
		one->look->at_us = now_us();
	}
	if (!one || !one->look || r < 0) { /* out of memory: the next look may do better */
		ceph_look_free(one ? one->look : NULL);
		free(one);
		return;
	}
	pthread_mutex_lock(&c->lock);
	*c->looks_end = one;
	c->looks_end = &one->next;
	pthread_mutex_unlock(&c->lock);
}

static void run_daemons(struct ceph *c)
{
	struct rbd_daemons found;

	ceph_find_daemons(&found);
	pthread_mutex_lock(&c->lock);
	c->daemons = found;
	c->daemons_known = true;
	pthread_mutex_unlock(&c->lock);
}

static int put_image(struct ceph *c, const struct ceph_put *put, struct qerr *err)
{
	const struct ceph_asked *asked = ask(c);
	int r = -EAGAIN;

	if (!asked->cluster)
		return qerr_set(err, r, "%s", asked->trouble);
	r = ceph_check_same(asked, &put->rbd, err);
	if (r == 0)
		r = ceph_cluster_put(asked->cluster, &put->rbd, &put->wanted, err);
	if (r < 0 && ceph_image_state(r) == RBD_CLUSTER_AWAY)
		note_away(c, err->text);
	let_go(c);
	return r;
}

static void run_put(struct ceph *c, const struct ceph_put *put)
{
	struct written *w = calloc(1, sizeof(*w));

	if (!w)
		return;
	w->what.put = *put;
	w->what.result = put->place == CEPH_IMAGE ? put_image(c, put, &w->what.err)
						  : ceph_put_file(put, &w->what.err);
	pthread_mutex_lock(&c->lock);
	*c->written_end = w;
	c->written_end = &w->next;
	pthread_mutex_unlock(&c->lock);
}

static void free_job(void *arg)
{
	ceph_unref(arg);
}

static int run_next(void *arg, struct qerr *err);

/* Under lock: see that the worker has a job while there is a task. */
static void start(struct ceph *c)
{
	bool any = c->puts || c->waiting || c->daemons_wanted;

	if (c->busy || c->ended || !any)
		return;
	atomic_fetch_add(&c->refs, 1);
	c->busy = worker_submit(c->worker, run_next, c, free_job, 0) == 0;
}

static int run_next(void *arg, struct qerr *err)
{
	struct ceph *c = arg;
	struct look *look = NULL;
	struct put *put;
	bool daemons;

	(void)err;
	pthread_mutex_lock(&c->lock);
	put = next_put(c);
	daemons = !put && c->daemons_wanted;
	c->daemons_wanted &= !daemons;
	if (!put && !daemons)
		look = next_look(c);
	pthread_mutex_unlock(&c->lock);
	if (put)
		run_put(c, &put->what);
	else if (daemons)
		run_daemons(c);
	else if (look)
		run_look(c, look->g);
	free(put);
	free_look(look);
	pthread_mutex_lock(&c->lock);
	c->busy = false;
	start(c);
	pthread_mutex_unlock(&c->lock);
	return 0;
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
	c->puts_end = &c->puts;
	c->waiting_end = &c->waiting;
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
	pthread_mutex_lock(&c->lock);
	c->ended = true; /* a job that goes on must not ask the worker for the next one */
	pthread_mutex_unlock(&c->lock);
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
	struct look *l;

	pthread_mutex_lock(&c->lock);
	for (l = c->waiting; l && l->g->id != g->id; l = l->next)
		;
	if (l) {
		guest_unref(l->g);
		l->g = guest_ref(g);
	} else if ((l = calloc(1, sizeof(*l)))) {
		l->g = guest_ref(g);
		*c->waiting_end = l;
		c->waiting_end = &l->next;
		start(c);
	}
	pthread_mutex_unlock(&c->lock);
	return l ? 0 : -ENOMEM;
}

void ceph_look_at_daemons(struct ceph *c)
{
	pthread_mutex_lock(&c->lock);
	c->daemons_wanted = true;
	start(c);
	pthread_mutex_unlock(&c->lock);
}

/* One that waits, to the same place. */
static struct put *same_put(const struct ceph *c, const struct ceph_put *what)
{
	struct put *p = c->puts;

	while (p && (p->what.place != what->place || !guest_rbd_same(&p->what.rbd, &what->rbd)))
		p = p->next;
	return p;
}

int ceph_put(struct ceph *c, const struct ceph_put *what)
{
	struct put *p;
	int r = 0;

	pthread_mutex_lock(&c->lock);
	p = same_put(c, what);
	if (p) {
		p->what = *what;
	} else if (c->nputs >= PUTS_MAX) {
		r = -EAGAIN;
	} else if (!(p = calloc(1, sizeof(*p)))) {
		r = -ENOMEM;
	} else {
		p->what = *what;
		*c->puts_end = p;
		c->puts_end = &p->next;
		c->nputs++;
		start(c);
	}
	pthread_mutex_unlock(&c->lock);
	return r;
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
