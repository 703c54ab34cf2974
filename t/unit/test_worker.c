/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "harness.h"
#include "qosd/host/worker.h"

#define SECOND_US 1000000

struct collected {
	uint64_t tickets[64];
	int results[64];
	char text[QERR_TEXT_MAX];
	size_t count;
};

static void note(void *user, uint64_t ticket, int result, const struct qerr *err)
{
	struct collected *c = user;

	c->tickets[c->count] = ticket;
	c->results[c->count++] = result;
	memcpy(c->text, err->text, sizeof(c->text));
}

/* Collect until `count` jobs have completed, 5 s at most. */
static void collect(struct worker *w, struct collected *c, size_t count)
{
	struct pollfd p = { .fd = worker_fd(w), .events = POLLIN };

	while (c->count < count && poll(&p, 1, 5000) > 0)
		worker_collect(w, note, c);
	CU_ASSERT_EQUAL(c->count, count);
}

static int return_number(void *arg, struct qerr *err)
{
	int n = *(int *)arg;

	return n < 0 ? qerr_set(err, n, "number %d", n) : 0;
}

static int *number(int n)
{
	int *p = malloc(sizeof(*p));

	*p = n;
	return p;
}

static void test_order_and_results(void)
{
	struct collected c = { .count = 0 };
	struct worker *w;

	CU_ASSERT_EQUAL_FATAL(worker_new("a-name-longer-than-the-kernel-takes", 64, &w), 0);
	for (int i = 0; i < 20; i++)
		CU_ASSERT_EQUAL(worker_submit(w, return_number, number(-i), free, 100 + i), 0);
	collect(w, &c, 20);
	for (size_t i = 0; i < c.count; i++) {
		CU_ASSERT_EQUAL(c.tickets[i], 100 + i);
		CU_ASSERT_EQUAL(c.results[i], -(int)i);
	}
	ASSERT_STR(c.text, "number -19");
	worker_collect(w, note, &c);
	CU_ASSERT_EQUAL(c.count, 20); /* nothing completes twice */
	worker_free(w, SECOND_US);
}

struct gate {
	sem_t entered, leave;
};

static int pass_gate(void *arg, struct qerr *err)
{
	struct gate *g = arg;

	(void)err;
	sem_post(&g->entered);
	while (sem_wait(&g->leave) < 0)
		;
	return 0;
}

static void gate_init(struct gate *g)
{
	sem_init(&g->entered, 0, 0);
	sem_init(&g->leave, 0, 0);
}

static void count_free(void *arg)
{
	atomic_fetch_add((atomic_int *)arg, 1);
}

static int do_nothing(void *arg, struct qerr *err)
{
	(void)arg;
	(void)err;
	return 0;
}

static void test_bounded(void)
{
	struct collected c = { .count = 0 };
	atomic_int freed = 0;
	struct gate gate;
	struct worker *w;

	gate_init(&gate);
	CU_ASSERT_EQUAL_FATAL(worker_new("w", 2, &w), 0);
	CU_ASSERT_EQUAL(worker_submit(w, pass_gate, &gate, NULL, 1), 0);
	sem_wait(&gate.entered);
	CU_ASSERT_EQUAL(worker_submit(w, do_nothing, &freed, count_free, 2), 0);
	CU_ASSERT_EQUAL(worker_submit(w, do_nothing, &freed, count_free, 3), 0);
	CU_ASSERT_EQUAL(worker_submit(w, do_nothing, &freed, count_free, 4), -EAGAIN);
	CU_ASSERT_EQUAL(freed, 1); /* taken over in any case */
	sem_post(&gate.leave);
	collect(w, &c, 3);
	CU_ASSERT_EQUAL(freed, 3);
	worker_free(w, SECOND_US);
}

static void test_stalled(void)
{
	static const struct timespec pause = { .tv_nsec = 20000000 };
	struct collected c = { .count = 0 };
	struct gate gate;
	struct worker *w;

	gate_init(&gate);
	CU_ASSERT_EQUAL_FATAL(worker_new("w", 2, &w), 0);
	CU_ASSERT_EQUAL(worker_stalled_us(w), 0);
	CU_ASSERT_EQUAL(worker_submit(w, pass_gate, &gate, NULL, 1), 0);
	sem_wait(&gate.entered);
	nanosleep(&pause, NULL);
	CU_ASSERT(worker_stalled_us(w) >= 20000);
	sem_post(&gate.leave);
	collect(w, &c, 1);
	CU_ASSERT_EQUAL(worker_stalled_us(w), 0);
	worker_free(w, SECOND_US);
}

/* The owner leaves while a job hangs: queued jobs are dropped, the thread ends later by itself. */
static void test_left_behind(void)
{
	static struct gate gate; /* outlives this function, as the thread does */
	static atomic_int freed;
	struct worker *w;

	gate_init(&gate);
	CU_ASSERT_EQUAL_FATAL(worker_new("w", 8, &w), 0);
	CU_ASSERT_EQUAL(worker_submit(w, pass_gate, &gate, NULL, 1), 0);
	sem_wait(&gate.entered);
	CU_ASSERT_EQUAL(worker_submit(w, do_nothing, &freed, count_free, 2), 0);
	worker_free(w, 1000);
	CU_ASSERT_EQUAL(freed, 0);
	sem_post(&gate.leave);
	for (int i = 0; i < 500 && freed == 0; i++) {
		static const struct timespec pause = { .tv_nsec = 10000000 };

		nanosleep(&pause, NULL);
	}
	CU_ASSERT_EQUAL(freed, 1);
}

struct crowd {
	struct worker *w;
	uint64_t first;
};

static void *submit_some(void *arg)
{
	struct crowd *c = arg;

	for (uint64_t i = 0; i < 8; i++)
		worker_submit(c->w, do_nothing, NULL, NULL, c->first + i);
	return NULL;
}

static void test_many_submitters(void)
{
	struct collected c = { .count = 0 };
	struct crowd crowd[4];
	pthread_t threads[4];
	uint64_t seen = 0;
	struct worker *w;

	CU_ASSERT_EQUAL_FATAL(worker_new("w", 64, &w), 0);
	for (int i = 0; i < 4; i++) {
		crowd[i] = (struct crowd){ w, (uint64_t)i * 8 };
		pthread_create(&threads[i], NULL, submit_some, &crowd[i]);
	}
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	collect(w, &c, 32);
	for (size_t i = 0; i < c.count; i++)
		seen |= UINT64_C(1) << c.tickets[i];
	CU_ASSERT_EQUAL(seen, UINT64_C(0xffffffff));
	worker_free(w, SECOND_US);
}

static void test_free_null(void)
{
	worker_free(NULL, 0);
}

static const struct test tests[] = {
	{ "jobs run in order and complete once", test_order_and_results },
	{ "the queue is bounded", test_bounded },
	{ "a long job is told of", test_stalled },
	{ "a hanging job is left behind", test_left_behind },
	{ "several threads submit", test_many_submitters },
	{ "freeing nothing", test_free_null },
};

int main(void)
{
	return harness_run("worker", tests, ARRAY_SIZE(tests));
}
