/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The iterator on threads of this very process that sleep, so that their counters stand still.
 * Where the kernel or the user has none, that is told and the rest is tried.
 */
#include <fcntl.h>
#include <pthread.h>

#include "qosd/host/cgroup_text.h"
#include "sensor_tree.h"

#define THREADS 40

struct sleepers {
	pthread_t threads[THREADS];
	int tids[THREADS];
	pthread_barrier_t ready;
	pthread_mutex_t hold;
};

static void *sleeper(void *arg)
{
	struct sleepers *s = arg;
	int me = 0;

	while (!pthread_equal(s->threads[me], pthread_self()))
		me++;
	s->tids[me] = gettid();
	for (int i = 0; i < 100000 * (me % 4); i++)
		__asm__ volatile(""); /* a different run time each */
	pthread_barrier_wait(&s->ready);
	pthread_mutex_lock(&s->hold);
	pthread_mutex_unlock(&s->hold);
	return NULL;
}

static void sleepers_start(struct sleepers *s)
{
	pthread_barrier_init(&s->ready, NULL, THREADS + 1);
	pthread_mutex_init(&s->hold, NULL);
	pthread_mutex_lock(&s->hold);
	memset(s->threads, 0, sizeof(s->threads));
	for (int i = 0; i < THREADS; i++)
		if (pthread_create(&s->threads[i], NULL, sleeper, s) != 0)
			abort();
	pthread_barrier_wait(&s->ready);
	usleep(50000); /* all of them asleep: their counters stand still */
}

static void sleepers_end(struct sleepers *s)
{
	pthread_mutex_unlock(&s->hold);
	for (int i = 0; i < THREADS; i++)
		pthread_join(s->threads[i], NULL);
	pthread_barrier_destroy(&s->ready);
	pthread_mutex_destroy(&s->hold);
}

static struct guest *guest_of(const struct sleepers *s, uint32_t id, size_t first, size_t count)
{
	struct guest *g = new_guest(id, getpid());

	g->vcpu_tids = calloc(count + 1, sizeof(*g->vcpu_tids));
	if (!g->vcpu_tids)
		abort();
	memcpy(g->vcpu_tids, s->tids + first, count * sizeof(*g->vcpu_tids));
	g->nvcpu_tids = count;
	return g;
}

static void sum_schedstat(const struct guest *g, uint64_t *run, uint64_t *wait)
{
	*run = *wait = 0;
	for (size_t i = 0; i < g->nvcpu_tids; i++) {
		uint64_t r = 0, w = 0;
		char path[64], text[96];
		int fd;

		snprintf(path, sizeof(path), "/proc/self/task/%d/schedstat", g->vcpu_tids[i]);
		fd = open(path, O_RDONLY | O_CLOEXEC);
		CU_ASSERT_TRUE(fd >= 0 && sensor_read_fd(fd, text, sizeof(text)) > 0);
		close(fd);
		CU_ASSERT_EQUAL(cgroup_text_schedstat(text, &r, &w), 0);
		*run += r;
		*wait += w;
	}
}

static void expect_schedstat(struct bench *b, uint32_t id)
{
	const struct sample_guest *g = sample_find(&b->sample, id);
	uint64_t run, wait;

	CU_ASSERT_PTR_NOT_NULL_FATAL(g);
	sum_schedstat(inventory_by_id(b->inv, id), &run, &wait);
	CU_ASSERT_EQUAL(g->run_ns, run);
	CU_ASSERT_EQUAL(g->wait_ns, wait);
	CU_ASSERT_NOT_EQUAL(g->throttled, SAMPLE_UNKNOWN);
}

/* A sensor on the real /proc with the iterator; false: this kernel or user has none. */
static bool open_iterator(struct bench *b)
{
	struct sensor_config config = { 0 };

	memset(b, 0, sizeof(*b));
	b->policy = policy_new();
	b->inv = inventory_new(4);
	CU_ASSERT_EQUAL_FATAL(sensor_new(&config, &b->sensor, NULL), 0);
	if (b->sensor->vcpu.link_fd >= 0)
		return true;
	fprintf(stderr, "(no iterator: %s) ", b->sensor->vcpu_why);
	return false;
}

static void close_iterator(struct bench *b)
{
	sensor_free(b->sensor);
	sample_done(&b->sample);
	inventory_free(b->inv);
	policy_free(b->policy);
}

static void add_and_forget(struct bench *b, struct guest *g)
{
	CU_ASSERT_EQUAL(inventory_add(b->inv, g), 0);
	guest_unref(g);
}

/* The choice by cost depends on this machine; here it is the iterator. */
static void read_iterated(struct bench *b)
{
	b->sensor->iterate = true;
	read_sample(b);
	b->sensor->iterate = true;
	read_sample(b);
}

/* What is asked of a group when the iterator has the rest. */
static int no_threads(void *ctx, const struct guest *g, unsigned int parts,
		      struct sample_guest *ret)
{
	(void)g;
	(void)ret;
	*(unsigned int *)ctx |= parts;
	return 0;
}

static void test_iterator(void)
{
	struct sleepers s;
	struct bench b;
	struct guest *other;
	unsigned int asked = 0;

	sleepers_start(&s);
	if (open_iterator(&b)) {
		add_and_forget(&b, guest_of(&s, 1, 0, 10));
		add_and_forget(&b, guest_of(&s, 2, 10, 20));
		/* Its process is another one: these thread ids were used again. */
		other = guest_of(&s, 3, 30, 10);
		other->pid = 1;
		add_and_forget(&b, other);
		read_iterated(&b);
		b.sensor->config.groups = no_threads;
		b.sensor->config.groups_ctx = &asked;
		read_sample(&b);
		b.sensor->config.groups = NULL;
		CU_ASSERT_FALSE(asked & (SAMPLE_RUN | SAMPLE_THROTTLED));
		expect_schedstat(&b, 1);
		expect_schedstat(&b, 2);
		CU_ASSERT_EQUAL(sample_find(&b.sample, 3)->run_ns, SAMPLE_UNKNOWN);
		/* Guest 1 goes, guest 2 gets fewer vCPUs. */
		inventory_free(b.inv);
		b.inv = inventory_new(4);
		add_and_forget(&b, guest_of(&s, 2, 12, 5));
		read_iterated(&b);
		expect_schedstat(&b, 2);
		/* Off and on again, as by observe and enforce. */
		sensor_set_readonly(b.sensor, true);
		read_sample(&b);
		CU_ASSERT_EQUAL(b.sample.guests[0].run_ns, SAMPLE_UNKNOWN);
		CU_ASSERT_TRUE(says(b.sensor, "observe"));
		sensor_set_readonly(b.sensor, false);
		read_iterated(&b);
		expect_schedstat(&b, 2);
		CU_ASSERT_TRUE(says(b.sensor, "one BPF read"));
	}
	close_iterator(&b);
	sleepers_end(&s);
}

static int take_groups(void *ctx, const struct guest *g, unsigned int parts,
		       struct sample_guest *ret)
{
	(void)ctx;
	(void)g;
	CU_ASSERT_TRUE(parts & SAMPLE_RUN);
	CU_ASSERT_TRUE(parts & SAMPLE_THROTTLED);
	ret->run_ns = 7;
	return 0;
}

/* The kernel takes it away: the next source from this reading on, and the reason is kept. */
static void test_iterator_fails(void)
{
	struct sleepers s;
	struct bench b;

	sleepers_start(&s);
	if (open_iterator(&b)) {
		add_and_forget(&b, guest_of(&s, 1, 0, 10));
		read_iterated(&b);
		expect_schedstat(&b, 1);
		close(b.sensor->vcpu.link_fd);
		b.sensor->vcpu.link_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
		read_sample(&b);
		CU_ASSERT_EQUAL(b.sample.guests[0].run_ns, SAMPLE_UNKNOWN);
		CU_ASSERT_FALSE(b.sensor->iterate);
		CU_ASSERT_TRUE(says(b.sensor, "not by BPF"));
		b.sensor->config.groups = take_groups;
		read_sample(&b);
		CU_ASSERT_EQUAL(b.sample.guests[0].run_ns, 7);
	}
	close_iterator(&b);
	sleepers_end(&s);
}

static void test_choice(void)
{
	/* A laptop: one guest among many threads. A hypervisor: many guests. */
	CU_ASSERT_FALSE(sensor_iterator_pays(1500, 4));
	CU_ASSERT_FALSE(sensor_iterator_pays(1, 0));
	CU_ASSERT_TRUE(sensor_iterator_pays(1500, 400));
	CU_ASSERT_TRUE(sensor_iterator_pays(12000, 4000));
}

static const struct test tests[] = {
	{ "the iterator sees what schedstat says", test_iterator },
	{ "the iterator fails", test_iterator_fails },
	{ "which source is cheaper", test_choice },
};

int main(void)
{
	return harness_run("sensor_vcpu", tests, ARRAY_SIZE(tests));
}
