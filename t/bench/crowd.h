/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * crowd - threads of this process that sleep: stand-ins for vCPUs and for the rest of a host.
 */
#ifndef QOSD_T_CROWD_H
#define QOSD_T_CROWD_H

#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

static inline void *crowd_must(void *p)
{
	if (!p)
		abort();
	return p;
}

struct crowd {
	pthread_t *threads;
	int *tids;
	size_t count;
	pthread_barrier_t ready;
	pthread_mutex_t hold;
};

struct member {
	struct crowd *crowd;
	size_t index;
};

static inline void *sleeper(void *arg)
{
	struct member m = *(struct member *)arg;

	free(arg);
	m.crowd->tids[m.index] = gettid();
	pthread_barrier_wait(&m.crowd->ready);
	pthread_mutex_lock(&m.crowd->hold);
	pthread_mutex_unlock(&m.crowd->hold);
	return NULL;
}

static inline void crowd_start(struct crowd *c, size_t count)
{
	pthread_attr_t attr;

	c->count = count;
	c->threads = crowd_must(calloc(count, sizeof(*c->threads)));
	c->tids = crowd_must(calloc(count, sizeof(*c->tids)));
	pthread_barrier_init(&c->ready, NULL, (unsigned int)count + 1);
	pthread_mutex_init(&c->hold, NULL);
	pthread_mutex_lock(&c->hold);
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 65536);
	for (size_t i = 0; i < count; i++) {
		struct member *m = crowd_must(malloc(sizeof(*m)));

		*m = (struct member){ .crowd = c, .index = i };
		if (pthread_create(&c->threads[i], &attr, sleeper, m) != 0)
			abort();
	}
	pthread_attr_destroy(&attr);
	pthread_barrier_wait(&c->ready);
	usleep(200000);
}

static inline void crowd_end(struct crowd *c)
{
	pthread_mutex_unlock(&c->hold);
	for (size_t i = 0; i < c->count; i++)
		pthread_join(c->threads[i], NULL);
	pthread_barrier_destroy(&c->ready);
	pthread_mutex_destroy(&c->hold);
	free(c->threads);
	free(c->tids);
}

#endif
