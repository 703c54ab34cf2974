/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * virt_bench - the libvirt adapter against libvirt's own test driver (test:///default).
 *
 * The driver runs in this process, keeps one domain "test" at first, has events, metadata and
 * emulator pins, and shares its state among the connections of a process: so a second connection
 * plays the operator. A process id comes from a pid file that the bench writes for a child.
 */
#ifndef QOSD_T_VIRT_BENCH_H
#define QOSD_T_VIRT_BENCH_H

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "qosd/host/virt_priv.h"
#include "t/unit/harness.h"
#include "t/unit/make.h"

#define URI     "test:///default"
#define WAIT_MS 5000
#define XML(name, uuid)                                                                            \
	"<domain type='test'><name>" name "</name><uuid>" uuid "</uuid>"                           \
	"<memory unit='MiB'>16</memory><vcpu>2</vcpu><os><type>hvm</type></os></domain>"
#define UUID_A "11111111-2222-3333-4444-555555555555"

struct fixture {
	struct virt *v;
	struct inventory *inv; /* the newest taken */
	unsigned int taken;
	/* completions */
	unsigned int done;
	uint64_t tickets[16];
	int results[16];
	char texts[16][QERR_TEXT_MAX];
};

static inline void note_done(void *user, uint64_t ticket, int r, const struct qerr *err)
{
	struct fixture *f = user;

	if (f->done < ARRAY_SIZE(f->tickets)) {
		f->tickets[f->done] = ticket;
		f->results[f->done] = r;
		strcpy(f->texts[f->done], err->text);
	}
	f->done++;
}

static inline void collect(struct fixture *f)
{
	struct inventory *inv = virt_take_inventory(f->v);

	if (inv) {
		inventory_free(f->inv);
		f->inv = inv;
		f->taken++;
	}
	virt_collect(f->v, note_done, f);
}

/* Serve the eventfd, as the loop does, until the condition holds. */
static inline bool until(struct fixture *f, bool (*holds)(struct fixture *f))
{
	uint64_t end = virt_now_us() + WAIT_MS * 1000;
	struct pollfd p = { .fd = virt_fd(f->v), .events = POLLIN };

	do {
		collect(f);
		if (holds(f))
			return true;
		poll(&p, 1, 50);
	} while (virt_now_us() < end);
	return false;
}

static inline bool has_inventory(struct fixture *f)
{
	return f->inv != NULL;
}

static inline bool one_done(struct fixture *f)
{
	return f->done >= 1;
}

static inline struct guest *find(struct fixture *f, const char *name)
{
	return f->inv ? inventory_find(f->inv, name) : NULL;
}

static inline struct fixture start(const struct virt_config *config)
{
	struct fixture f = { 0 };
	struct qerr err = { 0 };

	CU_ASSERT_EQUAL(virt_new(config, &f.v, &err), 0);
	ASSERT_STR(err.text, "");
	CU_ASSERT_PTR_NOT_NULL_FATAL(f.v);
	return f;
}

static inline struct fixture start_default(void)
{
	struct fixture f = start(&(struct virt_config){ .uri = URI, .run_dir = "/nonexistent" });

	CU_ASSERT_FATAL(until(&f, has_inventory));
	return f;
}

static inline void stop(struct fixture *f)
{
	virt_free(f->v, 5000000);
	inventory_free(f->inv);
}

/* ---- a domain with a process ---- */

static inline pid_t make_child(const char *dir)
{
	char path[256];
	FILE *file;
	pid_t pid = fork();

	if (pid == 0) {
		for (;;)
			pause();
	}
	snprintf(path, sizeof(path), "%s/test.pid", dir);
	file = fopen(path, "w");
	fprintf(file, "%d", (int)pid);
	fclose(file);
	return pid;
}

static inline void end_child(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

struct binder {
	pthread_mutex_t lock; /* held: bind waits */
	atomic_uint calls;
	int result;
};

static inline int bind_guest(void *ctx, struct guest *g)
{
	struct binder *b = ctx;
	int result;

	atomic_fetch_add(&b->calls, 1);
	pthread_mutex_lock(&b->lock);
	result = b->result;
	pthread_mutex_unlock(&b->lock);
	if (result < 0)
		return result;
	g->cgroup = strdup("/machine.slice/test.scope/libvirt");
	g->vcpu_tids = calloc(1, sizeof(int));
	g->vcpu_tids[0] = g->pid;
	g->nvcpu_tids = 1;
	return 0;
}

static inline bool is_bound(struct fixture *f)
{
	return find(f, "test") && find(f, "test")->cgroup;
}

/* The domain "test" with a child for its process, whose binding can be held up. */
struct process {
	char dir[32];
	pid_t pid;
	struct binder binder;
};

static inline void process_new(struct process *p)
{
	*p = (struct process){ .dir = "/tmp/test_virt.XXXXXX",
			       .binder.lock = PTHREAD_MUTEX_INITIALIZER };
	CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(p->dir));
	p->pid = make_child(p->dir);
}

static inline struct fixture start_with(struct process *p, uint64_t hung_us)
{
	return start(&(struct virt_config){ .uri = URI,
					    .run_dir = p->dir,
					    .bind = bind_guest,
					    .bind_ctx = &p->binder,
					    .hung_us = hung_us });
}

static inline void process_end(struct process *p)
{
	char path[64];

	end_child(p->pid);
	snprintf(path, sizeof(path), "%s/test.pid", p->dir);
	unlink(path);
	rmdir(p->dir);
}

/* ---- pins ---- */

static inline struct change pin_to(const struct guest *g, uint8_t kind, uint32_t index,
				   unsigned int cpu)
{
	struct change c = {
		.target = { .kind = kind, .index = index, .guest = g, .guest_id = g->id },
		.knob = KNOB_CPU_AFFINITY
	};
	struct cpuset *set = make_room_for_cpus();

	*set = (struct cpuset){ 0 };
	cpuset_add(set, cpu);
	c.to = knob_cpuset(set);
	return c;
}

#endif
