/* SPDX-License-Identifier: GPL-2.0-or-later */
/* vCPU threads: what the real guest's loads do, in small steps, while the guest runs. */
#include "t/lab/light/light.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define SPINS_PER_STEP 20000
#define PAGES_PER_STEP 32
#define MEMORY_START   (2u << 20) /* the work page lies below */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static bool running;

struct vcpu {
	struct light *light;
	int index;
	size_t next; /* offset that the memory load writes next; 0 = not begun */
	uint32_t random;
	int disk_fd; /* -1 = not open */
	off_t disk_at;
	bool disk_reading;
	uint64_t next_ns; /* when the next request of the service load is due; 0: not begun */
};

static void spin_step(struct vcpu *v)
{
	int i;

	for (i = 0; i < SPINS_PER_STEP; i++)
		__asm__ volatile("" : : : "memory");
	v->light->page->work[v->index].spins++;
}

static void fill_page(uint32_t *word, uint32_t *random)
{
	size_t i;

	for (i = 0; i < LAB_TOUCH_BYTES / sizeof(*word); i++) {
		*random ^= *random << 13;
		*random ^= *random >> 17;
		*random ^= *random << 5;
		word[i] = *random;
	}
}

/* Each vCPU writes its share, page by page: first with content that does not compress. */
static void memory_step(struct vcpu *v)
{
	struct lab_work *work = &v->light->page->work[v->index];
	size_t share = (v->light->options.ram_bytes - MEMORY_START) / v->light->page->cpus &
		       ~(size_t)(LAB_TOUCH_BYTES - 1);
	size_t begin = MEMORY_START + v->index * share;
	int i;

	if (!v->next) {
		v->next = begin;
		v->random = 0x9e3779b9u ^ (uint32_t)(v->index + 1) << 8;
	}
	for (i = 0; i < PAGES_PER_STEP; i++) {
		uint32_t *word = (uint32_t *)(void *)(v->light->ram + v->next);

		if (work->passes)
			++*(volatile uint32_t *)word;
		else
			fill_page(word, &v->random);
		work->pages++;
		v->next += LAB_TOUCH_BYTES;
		if (v->next >= begin + share) {
			v->next = begin;
			work->passes++;
		}
	}
}

/* The first vCPU writes and reads the disk file in turn, start to end, or does only one of them. */
static void disk_step(struct vcpu *v)
{
	static char data[LAB_DISK_BYTES];
	struct lab_page *page = v->light->page;
	ssize_t n;

	if (v->disk_fd < 0)
		v->disk_fd = open(v->light->options.disk, O_RDWR | O_CLOEXEC);
	if (v->disk_fd < 0 || v->disk_at + LAB_DISK_BYTES > lseek(v->disk_fd, 0, SEEK_END)) {
		v->disk_reading = !v->disk_reading;
		v->disk_at = 0;
		usleep(1000);
		return;
	}
	if (page->load != LAB_DISK)
		v->disk_reading = page->load == LAB_DISK_READ;
	n = v->disk_reading ? pread(v->disk_fd, data, sizeof(data), v->disk_at)
			    : pwrite(v->disk_fd, data, sizeof(data), v->disk_at);
	v->disk_at += LAB_DISK_BYTES;
	if (n == (ssize_t)sizeof(data) && v->disk_reading)
		page->disk_reads++;
	else if (n == (ssize_t)sizeof(data))
		page->disk_writes++;
}

static uint64_t clock_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

#define ANEW_NS 20000000000ULL /* so late is no lateness: it was stopped */

/* As in the real guest (guest/service.c), with nanoseconds for ticks. */
static void service_step(struct vcpu *v)
{
	const uint64_t period_ns = LAB_SERVICE_PERIOD_MS * 1000000ull;
	struct lab_service *s = &v->light->page->service;
	struct timespec due;
	uint64_t now_ns;
	unsigned int i;

	s->ticks_per_ms = 1000000;
	if (!v->next_ns || clock_ns() > v->next_ns + ANEW_NS)
		v->next_ns = clock_ns() + period_ns;
	due.tv_sec = (time_t)(v->next_ns / 1000000000);
	due.tv_nsec = (long)(v->next_ns % 1000000000);
	clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &due, NULL);
	now_ns = clock_ns();
	s->latency[lab_latency_bucket(now_ns - v->next_ns)]++;
	for (i = 0; i < LAB_SERVICE_CHUNKS; i++)
		spin_step(v);
	s->requests++;
	v->next_ns += period_ns;
	while (now_ns > v->next_ns + 1000000000) {
		v->next_ns += period_ns;
		s->skipped++;
	}
}

static bool has_work(const struct vcpu *v)
{
	unsigned int load = v->light->page->load;

	return running && (load == LAB_CPU || load == LAB_MEMORY ||
			   ((load == LAB_DISK || load == LAB_SERVICE) && v->index == 0));
}

static void *run_vcpu(void *arg)
{
	struct vcpu *v = arg;
	char name[16];

	snprintf(name, sizeof(name), "CPU %d/TCG", v->index);
	prctl(PR_SET_NAME, name);
	__atomic_store_n(&v->light->tid[v->index], (pid_t)syscall(SYS_gettid), __ATOMIC_RELEASE);
	for (;;) {
		unsigned int load;

		pthread_mutex_lock(&lock);
		while (!has_work(v))
			pthread_cond_wait(&changed, &lock);
		load = v->light->page->load;
		pthread_mutex_unlock(&lock);
		if (load == LAB_CPU)
			spin_step(v);
		else if (load == LAB_MEMORY)
			memory_step(v);
		else if (load == LAB_SERVICE)
			service_step(v);
		else
			disk_step(v);
	}
	return NULL;
}

void vcpus_start(struct light *light)
{
	pthread_attr_t small_stack;
	pthread_t thread;
	int i;

	light->page->cpus = light->options.vcpus;
	pthread_attr_init(&small_stack);
	pthread_attr_setstacksize(&small_stack, 64 * 1024);
	for (i = 0; i < light->options.vcpus; i++) {
		struct vcpu *v = calloc(1, sizeof(*v));

		if (!v)
			fail("There is no memory for vCPU %d.", i);
		*v = (struct vcpu){ .light = light, .index = i, .disk_fd = -1 };
		if (pthread_create(&thread, &small_stack, run_vcpu, v))
			fail("Cannot start the thread of vCPU %d.", i);
	}
	for (i = 0; i < light->options.vcpus; i++)
		while (!__atomic_load_n(&light->tid[i], __ATOMIC_ACQUIRE))
			usleep(200);
}

void vcpus_run(bool run)
{
	pthread_mutex_lock(&lock);
	running = run;
	pthread_cond_broadcast(&changed);
	pthread_mutex_unlock(&lock);
}

void vcpus_load(struct light *light, enum lab_load load)
{
	pthread_mutex_lock(&lock);
	light->page->load = load;
	pthread_cond_broadcast(&changed);
	pthread_mutex_unlock(&lock);
}
