/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The iterator over threads (bpf/vcpu.bpf.c): loaded, told which threads to show, and read.
 *
 * It is not pinned: it shapes nothing, and goes with this process. A kernel that loads it may still
 * show nothing, as in a PID namespace whose numbers are not the kernel's own; so it must first show
 * the thread that asks.
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>

#include "bpf/vcpu.skel.h"
#include "qosd/core/mem.h"
#include "qosd/host/sensor_priv.h"

/* The kernel fills 8 pages at a time at most. */
#define BUFFER_BYTES (32768 / sizeof(struct vcpu_times) * sizeof(struct vcpu_times))

void sensor_vcpu_init(struct sensor_vcpu *v)
{
	*v = (struct sensor_vcpu){ .link_fd = -1, .map_fd = -1 };
}

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

void sensor_vcpu_close(struct sensor_vcpu *v)
{
	close_fd(&v->link_fd);
	close_fd(&v->map_fd);
	free(v->buf);
	v->buf = NULL;
}

static int silent(enum libbpf_print_level level, const char *format, va_list args)
{
	(void)level;
	(void)format;
	(void)args;
	return 0;
}

/* Keeps only what reading needs: map and link hold the program. */
static int load(struct sensor_vcpu *v)
{
	struct vcpu *skel = vcpu__open_and_load();
	int r;

	if (!skel)
		return -errno;
	r = vcpu__attach(skel);
	if (r == 0) {
		v->map_fd = fcntl(bpf_map__fd(skel->maps.qosd_vcpus), F_DUPFD_CLOEXEC, 0);
		v->link_fd = fcntl(bpf_link__fd(skel->links.vcpu_dump), F_DUPFD_CLOEXEC, 0);
		if (v->map_fd < 0 || v->link_fd < 0)
			r = -errno;
	}
	vcpu__destroy(skel);
	return r;
}

static int show(struct sensor_vcpu *v, int pid, int tid, uint32_t guest_id)
{
	const struct vcpu_owner owner = { .pid = (uint32_t)pid, .guest_id = guest_id };

	return bpf_map_update_elem(v->map_fd, &tid, &owner, BPF_ANY) < 0 ? -errno : 0;
}

static void note_self(void *user, const struct vcpu_times *t)
{
	*(bool *)user |= t->tid == (uint32_t)gettid() && t->run_ns > 0;
}

static int prove(struct sensor_vcpu *v, struct qerr *err)
{
	bool seen = false;
	int tid = gettid(), r = show(v, getpid(), tid, 0);

	if (r == 0)
		r = sensor_vcpu_read(v, note_self, &seen);
	(void)bpf_map_delete_elem(v->map_fd, &tid);
	if (r < 0)
		return qerr_set(err, r, "reading it failed: %s", strerror(-r));
	return seen ? 0
		    : qerr_set(err, -ENOTSUP,
			       "it does not show this process: is this a PID "
			       "namespace of its own?");
}

int sensor_vcpu_open(struct sensor_vcpu *v, struct qerr *err)
{
	libbpf_print_fn_t print;
	int r;

	if (v->link_fd >= 0)
		return 0;
	v->buf = malloc(BUFFER_BYTES);
	if (!v->buf)
		return qerr_set(err, -ENOMEM, "no memory");
	print = libbpf_set_print(silent);
	r = load(v);
	libbpf_set_print(print);
	if (r < 0)
		(void)qerr_set(err, r, "the kernel does not take the program: %s", strerror(-r));
	else
		r = prove(v, err);
	if (r < 0)
		sensor_vcpu_close(v);
	return r;
}

int sensor_vcpu_add(struct sensor_vcpu *v, const struct guest *g)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < g->nvcpu_tids; i++)
		if (g->vcpu_tids[i] > 0)
			r = show(v, g->pid, g->vcpu_tids[i], g->id);
	return r;
}

void sensor_vcpu_remove(struct sensor_vcpu *v, const struct guest *g)
{
	if (v->map_fd < 0)
		return;
	for (size_t i = 0; i < g->nvcpu_tids; i++)
		if (g->vcpu_tids[i] > 0)
			(void)bpf_map_delete_elem(v->map_fd, &g->vcpu_tids[i]);
}

int sensor_vcpu_read(struct sensor_vcpu *v, void (*seen)(void *user, const struct vcpu_times *t),
		     void *user)
{
	int fd = bpf_iter_create(v->link_fd);
	ssize_t n;

	if (fd < 0)
		return -errno;
	for (;;) {
		n = read(fd, v->buf, BUFFER_BYTES);
		if (n < 0 && (errno == EINTR || errno == EAGAIN))
			continue;
		if (n <= 0)
			break;
		for (ssize_t at = 0; at + (ssize_t)sizeof(struct vcpu_times) <= n;
		     at += (ssize_t)sizeof(struct vcpu_times)) {
			struct vcpu_times t;

			memcpy(&t, v->buf + at, sizeof(t));
			seen(user, &t);
		}
	}
	n = n < 0 ? -errno : 0;
	close(fd);
	return (int)n;
}
