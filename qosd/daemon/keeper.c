/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * keeper - waiting, and giving back by the same adapters as the daemon's.
 *
 * What nobody else owns goes first (quotas, rates), then what systemd writes, then what libvirt
 * does, each with a time limit: a daemon that hangs because libvirtd does is no reason to leave
 * guests throttled.
 */
#include "qosd/daemon/keeper.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include "qosd/core/mem.h"
#include "qosd/daemon/log.h"
#include "qosd/host/ceph.h"
#include "qosd/host/cgroup.h"
#include "qosd/host/net.h"
#include "qosd/host/virt.h"

#define NAME            "qosd-keeper"
#define WORKER_QUEUE    16384
#define WORKER_WAIT_MS  5000
#define LIBVIRT_WAIT_MS 10000
#define LIBVIRT_STOP_MS 2000 /* to say goodbye: see virt_calls.c why it should */
#define POLL_MS         100
#define LOOK_MS         60000

static uint64_t now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

/* ---- giving back ---- */

struct giving {
	const struct lease *lease;
	struct inventory *inv; /* of the lease; pid 0: it has ended */
	struct plan *plan;
	struct inventory *running; /* as libvirt tells; NULL: it has not */
	struct worker *worker;
	struct ceph_qos *ceph_qos;
	struct virt *virt;
	struct adapter *adapters[ADAPTER_COUNT];
	size_t written, waiting, failed;
};

static void on_done(void *user, uint64_t ticket, int result, const struct qerr *err)
{
	struct giving *g = user;

	(void)ticket;
	(void)err;
	if (g->waiting)
		g->waiting--;
	g->failed += result < 0;
}

/* The guest that was throttled, and not another process of its number. */
static bool still_runs(struct adapter *cgroup, struct guest *g)
{
	uint64_t start_ticks = g->start_ticks;

	return g->pid && cgroup_bind_guest(cgroup, g) == 0 && g->start_ticks == start_ticks;
}

static void forget_ended(struct giving *g)
{
	for (size_t i = 0; i < g->inv->count; i++) {
		struct guest *guest = g->inv->guests[i];

		if (!still_runs(g->adapters[ADAPTER_CGROUP], guest))
			guest->pid = 0;
	}
}

/* libvirt's side knows a guest by an id of its own. False: it has ended, or its disk has gone. */
static bool known_to_libvirt(const struct giving *g, struct target *t)
{
	const struct guest *was = t->guest, *is = inventory_find(g->running, was->uuid);

	if (!is || is->pid != was->pid)
		return false;
	t->guest = is;
	t->guest_id = is->id;
	if (t->kind != TARGET_DISK)
		return true;
	for (uint32_t i = 0; i < is->ndisks; i++) {
		if (strcmp(is->disks[i].target, was->disks[t->index].target) != 0)
			continue;
		t->index = i;
		return true;
	}
	return false;
}

/* What differs from the steady values, of one kind of owner. -ENOMEM. */
static int compare(struct giving *g, bool libvirt, struct diff *d)
{
	for (size_t i = 0; i < g->plan->count; i++) {
		struct plan_entry x = g->plan->entries[i];
		enum adapter_id id = knob_get(x.knob)->adapter;
		struct adapter *a = g->adapters[id];
		struct knob_value actual;

		if (!a || !x.target.guest->pid || (id == ADAPTER_LIBVIRT) != libvirt ||
		    (libvirt && !known_to_libvirt(g, &x.target)) ||
		    a->ops->read(a, &x.target, x.knob, &actual, NULL) < 0)
			continue;
		if (diff_entry(d, &x, &actual) < 0)
			return -ENOMEM;
	}
	diff_sort(d);
	return 0;
}

/* Not when a new daemon has taken the lease over meanwhile: what it writes stands. */
static bool is_mine(const struct lease *l)
{
	return l->header->owner == l->token;
}

static void write_back(struct giving *g, bool libvirt)
{
	struct diff d;

	diff_init(&d);
	if (compare(g, libvirt, &d) < 0)
		g->failed++;
	for (size_t i = 0; i < d.count && is_mine(g->lease); i++) {
		struct adapter *a = g->adapters[knob_get(d.changes[i].knob)->adapter];
		int r = a->ops->apply(a, &d.changes[i], i + 1, NULL);

		g->written++;
		g->waiting += r == -EINPROGRESS;
		g->failed += r < 0 && r != -EINPROGRESS && r != -ENOENT && r != -ESRCH;
	}
	diff_done(&d);
}

static void wait_fd(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	(void)poll(&p, 1, POLL_MS);
}

static void wait_workers(struct giving *g)
{
	for (int ms = 0; g->waiting && ms < WORKER_WAIT_MS; ms += POLL_MS) {
		struct pollfd p[] = { { .fd = worker_fd(g->worker), .events = POLLIN },
				      { .fd = -1, .events = POLLIN } };

		if (g->ceph_qos)
			p[1].fd = ceph_qos_fd(g->ceph_qos);
		(void)poll(p, ARRAY_SIZE(p), POLL_MS);
		worker_collect(g->worker, on_done, g);
		if (g->ceph_qos)
			ceph_qos_collect(g->ceph_qos, on_done, g);
	}
	g->failed += g->waiting;
	g->waiting = 0;
}

/* Those whose librbd holds a limit are known after a look. */
static void write_rbd(struct giving *g)
{
	if (!g->ceph_qos)
		return;
	ceph_qos_watch(g->ceph_qos, g->inv);
	for (int ms = 0; !ceph_qos_looked(g->ceph_qos) && ms < WORKER_WAIT_MS; ms += POLL_MS) {
		wait_fd(ceph_qos_fd(g->ceph_qos));
		ceph_qos_collect(g->ceph_qos, on_done, g);
	}
	write_back(g, false); /* all else holds already */
	wait_workers(g);
}

static bool libvirt_has_any(const struct giving *g)
{
	for (size_t i = 0; i < g->plan->count; i++)
		if (knob_get(g->plan->entries[i].knob)->adapter == ADAPTER_LIBVIRT &&
		    g->plan->entries[i].target.guest->pid)
			return true;
	return false;
}

/* libvirt's own values, if it answers: it has when it tells which guests run. */
static void write_libvirt(struct giving *g, const struct keeper_config *config)
{
	struct virt_config vc = { .uri = config->libvirt_uri };
	int ms = 0;

	if (!libvirt_has_any(g) || virt_new(&vc, &g->virt, NULL) < 0)
		return;
	g->adapters[ADAPTER_LIBVIRT] = virt_adapter(g->virt);
	for (; !(g->running = virt_take_inventory(g->virt)) && ms < LIBVIRT_WAIT_MS; ms += POLL_MS)
		wait_fd(virt_fd(g->virt));
	if (g->running)
		write_back(g, true);
	for (; g->waiting && ms < LIBVIRT_WAIT_MS; ms += POLL_MS) {
		wait_fd(virt_fd(g->virt));
		virt_collect(g->virt, on_done, g);
	}
	g->failed += g->waiting;
	g->waiting = 0;
}

/* One that is not there leaves the others to do their part. */
static int open_adapters(struct giving *g, const struct keeper_config *config,
			 const struct logger *log, struct qerr *err)
{
	struct cgroup_config cc = { .root = config->cgroup_root, .proc = config->proc };
	struct net_config nc = { .pin_dir = config->pin_dir };
	int r = worker_new(NAME, WORKER_QUEUE, &g->worker);

	if (r < 0)
		return qerr_set(err, r, "cannot start a thread: %s", strerror(-r));
	cc.worker = g->worker;
	r = cgroup_new(&cc, &g->adapters[ADAPTER_CGROUP], err);
	if (r < 0)
		return r;
	if (net_new(&nc, &g->adapters[ADAPTER_NET], err) < 0)
		log_error(log, LOG_ERR, NULL, "limits of NICs are not given back", err);
	if (ceph_qos_new(&g->ceph_qos, err) < 0)
		log_error(log, LOG_ERR, NULL, "limits of librbd are not given back", err);
	else
		g->adapters[ADAPTER_CEPH] = ceph_qos_adapter(g->ceph_qos);
	return 0;
}

static void close_adapters(struct giving *g)
{
	virt_free(g->virt, LIBVIRT_STOP_MS * 1000);
	worker_free(g->worker, POLL_MS * 1000);
	ceph_qos_free(g->ceph_qos, POLL_MS * 1000);
	net_free(g->adapters[ADAPTER_NET]);
	cgroup_adapter_free(g->adapters[ADAPTER_CGROUP]);
	plan_free(g->plan);
	inventory_free(g->running);
	inventory_free(g->inv);
}

static void give_back(const struct lease *l, const struct keeper_config *config)
{
	struct logger log = { .max_level = LOG_INFO }; /* standard error: the journal's socket is
							* the daemon's */
	struct giving g = { .lease = l };
	struct qerr err = { 0 };
	size_t len;
	char *text CLEANUP_FREE = lease_read(l, &len);
	int r = text ? lease_text_parse(text, &g.inv, &g.plan, &err) : -EIO;

	if (r == 0)
		r = open_adapters(&g, config, &log, &err);
	if (r == 0) {
		forget_ended(&g);
		write_back(&g, false);
		wait_workers(&g);
		write_rbd(&g);
		write_libvirt(&g, config);
		log_message(&log, LOG_WARNING, NULL,
			    "the throttles were not renewed in time and have lapsed: %zu values "
			    "are as their classes say again, %zu could not be set",
			    g.written - g.failed, g.failed);
	} else {
		log_error(&log, LOG_ERR, NULL,
			  "the throttles were not renewed in time and cannot be ended", &err);
	}
	close_adapters(&g);
}

/* ---- waiting ---- */

static void lapse(struct lease *l, const struct keeper_config *config)
{
	uint_fast32_t held = LEASE_HELD;

	if (!atomic_compare_exchange_strong(&l->header->state, &held, LEASE_LAPSING))
		return;
	give_back(l, config);
	if (is_mine(l))
		l->header->state = LEASE_FREE;
}

/* Until something may have happened (a look now and then costs nothing); -1: no time limit. */
static int wait_ms(const struct lease *l)
{
	uint64_t until_us = l->header->until_us, now = now_us();

	if (l->header->state != LEASE_HELD)
		return -1;
	if (until_us <= now)
		return 0;
	return until_us - now < LOOK_MS * 1000ULL ? (int)((until_us - now) / 1000) + 1 : LOOK_MS;
}

/* True when the daemon has gone. */
static bool listen_for_end(int alive_fd, int ms)
{
	struct pollfd p = { .fd = alive_fd, .events = POLLIN };
	char drop[64];

	if (poll(&p, 1, ms) <= 0)
		return false;
	return read(alive_fd, drop, sizeof(drop)) == 0;
}

static void keep(struct lease *l, int alive_fd, const struct keeper_config *config)
{
	bool orphan = false;

	while (is_mine(l)) {
		int ms = wait_ms(l);

		if (ms == 0)
			lapse(l, config);
		else if (orphan && ms < 0)
			return;
		else if (listen_for_end(orphan ? -1 : alive_fd, ms))
			orphan = true;
	}
}

/* ---- the process ---- */

/* As `ps`, `pidof` and `pgrep` see it: not another qosd. */
static void take_name(void)
{
	size_t room = strlen(program_invocation_name);

	(void)prctl(PR_SET_NAME, NAME);
	if (room >= strlen(NAME))
		strncpy(program_invocation_name, NAME, room); /* and zeros to its end */
}

/* Keep the lease, the pipe and standard error: not the daemon's lock, nor what it listens on. */
static int drop_descriptors(const struct lease *l, int alive_fd)
{
	int low = l->fd < alive_fd ? l->fd : alive_fd;
	int high = l->fd < alive_fd ? alive_fd : l->fd;

	if ((low > 3 && close_range(3, (unsigned int)low - 1, 0) < 0) ||
	    (high > low + 1 && close_range((unsigned int)low + 1, (unsigned int)high - 1, 0) < 0) ||
	    close_range((unsigned int)high + 1, ~0U, 0) < 0)
		return -errno;
	return 0;
}

static _Noreturn void be_keeper(struct lease *l, int alive_fd, const struct keeper_config *config)
{
	sigset_t none;

	sigemptyset(&none);
	(void)setsid();
	take_name();
	signal(SIGTERM, SIG_DFL);
	signal(SIGPIPE, SIG_IGN);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	l->alive_fd = -1;
	if (drop_descriptors(l, alive_fd) < 0)
		_exit(1);
	keep(l, alive_fd, config);
	_exit(0);
}

int keeper_start(struct lease *l, const struct keeper_config *config, struct qerr *err)
{
	int ends[2];
	pid_t pid;

	if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0)
		return qerr_set(err, -errno, "cannot make a pipe: %s", strerror(errno));
	pid = fork();
	if (pid < 0) {
		close(ends[0]);
		close(ends[1]);
		return qerr_set(err, -errno, "cannot start the keeper of throttles: %s",
				strerror(errno));
	}
	if (pid == 0)
		be_keeper(l, ends[0], config);
	close(ends[0]);
	l->alive_fd = ends[1];
	l->keeper_pid = (int)pid;
	return 0;
}
