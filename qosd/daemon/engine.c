/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * engine - life of the daemon's context and its event sources. What a turn does is in reconcile.c.
 */
#include "qosd/daemon/engine.h"
#include "qosd/daemon/bandwidth.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <systemd/sd-daemon.h>
#include <time.h>
#include <unistd.h>

#include "qosd/core/mem.h"
#include "qosd/daemon/control.h"
#include "qosd/daemon/episode.h"
#include "qosd/daemon/overload.h"
#include "qosd/daemon/rbd.h"
#include "qosd/daemon/record.h"
#include "qosd/daemon/storage.h"
#include "qosd/daemon/trial.h"
#include "qosd/host/cgroup.h"
#include "qosd/host/net.h"
#include "qosd/host/topology.h"

#define TURN_DELAY_US         10000ULL    /* events that come together make one turn */
#define DRIFT_PERIOD_US       10000000ULL /* everything is read back this often */
#define BASELINE_SWEEP_DRIFTS 6
#define SAMPLE_PERIOD_US      5000000ULL
#define WORKER_QUEUE_MAX      16384
#define WORKER_STOP_US        2000000ULL
#define ACCURACY_US           50000ULL /* lets the kernel join wake-ups of the slow timers */

uint64_t engine_now_us(const struct engine *e)
{
	uint64_t now_us = 0;

	(void)sd_event_now(e->event, CLOCK_MONOTONIC, &now_us);
	return now_us;
}

bool engine_enforcing(const struct engine *e)
{
	return e->mode == MODE_ENFORCE && !e->options.observe;
}

const struct qerr *engine_trouble(const struct engine *e)
{
	if (e->disk_trouble.code)
		return &e->disk_trouble;
	if (e->protection->trouble.code)
		return &e->protection->trouble;
	return e->trouble.code ? &e->trouble : NULL;
}

void engine_mark(struct engine *e)
{
	if (e->turn_scheduled)
		return;
	e->turn_scheduled = true;
	(void)sd_event_source_set_time(e->turn_timer, engine_now_us(e) + TURN_DELAY_US);
	(void)sd_event_source_set_enabled(e->turn_timer, SD_EVENT_ONESHOT);
}

void engine_turn_now(struct engine *e)
{
	e->turn_scheduled = false;
	(void)sd_event_source_set_enabled(e->turn_timer, SD_EVENT_OFF);
	engine_turn(e);
}

void engine_mark_all(struct engine *e)
{
	e->read_all = true;
	engine_mark(e);
}

void engine_mark_at(struct engine *e, uint64_t at_us)
{
	uint64_t set_us = UINT64_MAX;
	int enabled = SD_EVENT_OFF;

	(void)sd_event_source_get_enabled(e->retry_timer, &enabled);
	(void)sd_event_source_get_time(e->retry_timer, &set_us);
	if (enabled != SD_EVENT_OFF && set_us <= at_us)
		return;
	(void)sd_event_source_set_time(e->retry_timer, at_us);
	(void)sd_event_source_set_enabled(e->retry_timer, SD_EVENT_ONESHOT);
}

/* ---- event handlers ---- */

static int on_turn(sd_event_source *s, uint64_t usec, void *user)
{
	struct engine *e = user;

	(void)s;
	(void)usec;
	e->turn_scheduled = false;
	engine_turn(e);
	return 0;
}

static int on_retry(sd_event_source *s, uint64_t usec, void *user)
{
	(void)s;
	(void)usec;
	engine_mark(user);
	return 0;
}

static int rearm(sd_event_source *s, struct engine *e, uint64_t period_us)
{
	int r = sd_event_source_set_time(s, engine_now_us(e) + period_us);

	return r < 0 ? r : sd_event_source_set_enabled(s, SD_EVENT_ONESHOT);
}

static int on_sample(sd_event_source *s, uint64_t usec, void *user)
{
	struct engine *e = user;

	(void)usec;
	engine_sample(e, SAMPLE_PERIOD_US / 2);
	return rearm(s, e, SAMPLE_PERIOD_US);
}

/* libvirt is back: what failed because of it is tried again at once. */
static void note_virt_state(struct engine *e)
{
	enum virt_state now = virt_state(e->virt);

	if (now == e->virt_before)
		return;
	if (e->virt_before != VIRT_CONNECTING || now != VIRT_CONNECTED)
		log_message(&e->log, now == VIRT_CONNECTED ? LOG_INFO : LOG_WARNING, NULL,
			    "libvirt: %s", virt_state_name(now));
	e->virt_before = now;
	if (now != VIRT_CONNECTED)
		return;
	for (size_t i = 0; i < e->guests.count; i++) {
		e->guests.rows[i].lanes[ADAPTER_LIBVIRT].retry_us = 0;
		e->guests.rows[i].lanes[ADAPTER_LIBVIRT].dirty = true;
	}
	engine_mark(e);
}

static int on_virt(sd_event_source *s, int fd, uint32_t events, void *user)
{
	struct engine *e = user;
	struct inventory *fresh = virt_take_inventory(e->virt);

	(void)s;
	(void)fd;
	(void)events;
	/* Inventory first: one that is older than a finished job must not undo what the job did. */
	if (fresh)
		engine_take_inventory(e, fresh);
	virt_collect(e->virt, engine_change_done, e);
	note_virt_state(e);
	return 0;
}

static int on_worker(sd_event_source *s, int fd, uint32_t events, void *user)
{
	struct engine *e = user;

	(void)s;
	(void)fd;
	(void)events;
	worker_collect(e->systemd_worker, engine_change_done, e);
	return 0;
}

static int on_ceph(sd_event_source *s, int fd, uint32_t events, void *user)
{
	struct engine *e = user;

	(void)s;
	(void)fd;
	(void)events;
	if (ceph_qos_collect(e->ceph_qos, engine_change_done, e))
		engine_mark(e); /* other disks have librbd's lever than before */
	return 0;
}

/* Values of guests that ended unseen (before a restart of qosd) are of no use to anybody. */
static void sweep_baselines(struct engine *e)
{
	if (++e->drifts % BASELINE_SWEEP_DRIFTS == 0 && e->inventory &&
	    virt_state(e->virt) == VIRT_CONNECTED)
		e->baseline_rewrite |= baseline_retain(e->baseline, e->inventory) > 0;
}

static int on_drift(sd_event_source *s, uint64_t usec, void *user)
{
	struct engine *e = user;

	(void)usec;
	sweep_baselines(e);
	note_virt_state(e);
	if (e->inventory && e->ceph_qos)
		ceph_qos_watch(e->ceph_qos, e->inventory);
	if (e->inventory)
		engine_give_back_vfs(e, e->inventory);
	engine_mark_all(e);
	return rearm(s, e, DRIFT_PERIOD_US);
}

/* Somebody touched a NIC that is shaped: read its guest back. */
static void on_nic_lost(void *user, uint32_t ifindex)
{
	struct engine *e = user;

	for (size_t i = 0; e->inventory && i < e->inventory->count; i++) {
		const struct guest *g = e->inventory->guests[i];
		struct guest_row *row = guests_find(&e->guests, g->id);

		for (size_t n = 0; row && n < g->nnics; n++)
			if (g->nics[n].ifindex == ifindex)
				row->lanes[ADAPTER_NET].dirty = true;
	}
	engine_mark(e);
}

static int on_net(sd_event_source *s, int fd, uint32_t events, void *user)
{
	struct engine *e = user;

	(void)s;
	(void)fd;
	(void)events;
	net_watch_handle(e->adapters[ADAPTER_NET], on_nic_lost, e);
	return 0;
}

static int on_stop(sd_event_source *s, const struct signalfd_siginfo *si, void *user)
{
	struct engine *e = user;

	(void)si;
	overload_stand_down(e);
	(void)state_save_baseline(e, NULL);
	log_message(&e->log, LOG_INFO, NULL, "stopping; limits stay in force");
	return sd_event_exit(sd_event_source_get_event(s), 0);
}

static int on_hup(sd_event_source *s, const struct signalfd_siginfo *si, void *user)
{
	struct engine *e = user;
	struct diag_list findings = { 0 };
	struct qerr err = { 0 };

	(void)s;
	(void)si;
	sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%llu", (unsigned long long)engine_now_us(e));
	(void)engine_reload(e, NULL, &findings, &err);
	diag_clear(&findings);
	sd_notify(0, "READY=1");
	return 0;
}

/* ---- start ---- */

static int add_signal(struct engine *e, int signo, sd_event_signal_handler_t handler)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, signo);
	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
		return -errno;
	return sd_event_add_signal(e->event, NULL, signo, handler, e);
}

static int add_timer(struct engine *e, sd_event_source **ret, uint64_t delay_us,
		     uint64_t accuracy_us, sd_event_time_handler_t handler, int enabled)
{
	uint64_t now_us;
	int r = sd_event_now(e->event, CLOCK_MONOTONIC, &now_us);

	if (r < 0)
		return r;
	r = sd_event_add_time(e->event, ret, CLOCK_MONOTONIC, now_us + delay_us, accuracy_us,
			      handler, e);
	return r < 0 ? r : sd_event_source_set_enabled(*ret, enabled);
}

static int start_loop(struct engine *e, struct qerr *err)
{
	int r = sd_event_default(&e->event);

	if (r >= 0)
		r = add_signal(e, SIGTERM, on_stop);
	if (r >= 0)
		r = add_signal(e, SIGINT, on_stop);
	if (r >= 0)
		r = add_signal(e, SIGHUP, on_hup);
	if (r >= 0)
		r = sd_event_set_watchdog(e->event, true);
	if (r >= 0)
		r = add_timer(e, &e->turn_timer, 0, 1, on_turn, SD_EVENT_OFF);
	if (r >= 0)
		r = add_timer(e, &e->retry_timer, 0, ACCURACY_US, on_retry, SD_EVENT_OFF);
	if (r >= 0)
		r = add_timer(e, &e->drift_timer, DRIFT_PERIOD_US, ACCURACY_US, on_drift,
			      SD_EVENT_ONESHOT);
	if (r >= 0)
		r = add_timer(e, &e->sample_timer, SAMPLE_PERIOD_US, ACCURACY_US, on_sample,
			      SD_EVENT_ONESHOT);
	if (r < 0)
		return qerr_set(err, r, "cannot set up the event loop: %s", strerror(-r));
	return 0;
}

static int start_adapters(struct engine *e, struct qerr *err)
{
	struct cgroup_config cgroup = { 0 };
	struct net_config net = { .readonly = !engine_enforcing(e) && !engine_releasing(e),
				  .way = (enum net_way)e->policy->host.shaper };
	struct virt_config virt = { .uri = e->options.libvirt_uri, .bind = cgroup_bind_guest };
	int r = worker_new("qosd-systemd", WORKER_QUEUE_MAX, &e->systemd_worker);

	if (r < 0)
		return qerr_set(err, r, "cannot start a worker thread: %s", strerror(-r));
	cgroup.worker = e->systemd_worker;
	r = overload_start_reclaimer(e, &cgroup.reclaimer, err);
	if (r < 0)
		return r;
	r = cgroup_new(&cgroup, &e->adapters[ADAPTER_CGROUP], err);
	if (r < 0)
		return r;
	e->cgroup_v1 = cgroup_is_v1(e->adapters[ADAPTER_CGROUP]);
	r = net_new(&net, &e->adapters[ADAPTER_NET], err);
	if (r < 0)
		return r;
	virt.bind_ctx = e->adapters[ADAPTER_CGROUP];
	r = virt_new(&virt, &e->virt, err);
	if (r < 0)
		return r;
	e->adapters[ADAPTER_LIBVIRT] = virt_adapter(e->virt);
	r = ceph_qos_new(&e->ceph_qos, err);
	if (r < 0)
		return r;
	e->adapters[ADAPTER_CEPH] = ceph_qos_adapter(e->ceph_qos);
	return 0;
}

static int watch_adapters(struct engine *e, struct qerr *err)
{
	int net_fd = net_watch_fd(e->adapters[ADAPTER_NET]);
	int r = sd_event_add_io(e->event, NULL, virt_fd(e->virt), EPOLLIN, on_virt, e);

	if (r >= 0)
		r = sd_event_add_io(e->event, NULL, worker_fd(e->systemd_worker), EPOLLIN,
				    on_worker, e);
	if (r >= 0)
		r = sd_event_add_io(e->event, NULL, ceph_qos_fd(e->ceph_qos), EPOLLIN, on_ceph, e);
	if (r >= 0 && net_fd >= 0)
		r = sd_event_add_io(e->event, NULL, net_fd, EPOLLIN, on_net, e);
	if (r >= 0)
		r = engine_watch_vcpus(e);
	if (r < 0)
		return qerr_set(err, r, "cannot watch the adapters: %s", strerror(-r));
	return 0;
}

int engine_new_bare(const struct engine_options *options, struct host *host, struct engine **ret,
		    struct qerr *err)
{
	struct engine *e = calloc(1, sizeof(*e));
	int r;

	if (!e) {
		host_free(host);
		return qerr_set(err, -ENOMEM, "out of memory");
	}
	e->options = *options;
	e->host = host;
	e->log = logger_make(options->verbose);
	e->lock_fd = -1;
	e->baseline = baseline_new();
	e->protection = protection_new();
	e->bandwidth = bandwidth_new();
	e->storage = storage_new();
	r = e->baseline && e->protection && e->bandwidth && e->storage
		    ? start_loop(e, err)
		    : qerr_set(err, -ENOMEM, "out of memory");
	if (r >= 0)
		r = state_open(e, err);
	if (r >= 0)
		r = engine_load_policy(e, err);
	if (r < 0) {
		engine_free(e);
		return r;
	}
	state_settle(e);
	e->episodes = episodes_open(e);
	e->started_us = engine_now_us(e);
	e->read_all = true;
	*ret = e;
	return 0;
}

int engine_new(const struct engine_options *options, struct engine **ret, struct qerr *err)
{
	struct host *host = NULL;
	struct engine *e = NULL;
	int r = topology_read(NULL, &host, err);

	if (r >= 0)
		r = engine_new_bare(options, host, &e, err);
	if (r < 0)
		return r;
	r = overload_start_lease(e, err);
	if (r >= 0 && options->record_path)
		r = recorder_open(options->record_path, &e->recorder, err);
	if (r >= 0)
		r = start_adapters(e, err);
	if (r >= 0)
		r = watch_adapters(e, err);
	if (r >= 0)
		r = overload_start(e, err);
	if (r >= 0) {
		bandwidth_start(e);
		storage_start(e);
	}
	if (r >= 0)
		r = rbd_start(e, err);
	if (r >= 0)
		r = methods_start(e, err);
	if (r < 0) {
		engine_free(e);
		return r;
	}
	*ret = e;
	return 0;
}

int engine_run(struct engine *e)
{
	int r;

	sd_notifyf(0, "READY=1\nSTATUS=%s, policy generation %u",
		   engine_enforcing(e) ? "enforcing" : "observing", e->generation);
	log_message(&e->log, LOG_INFO, NULL, "qosd %s is ready: mode %s, %zu classes from %s",
		    PACKAGE_VERSION, engine_enforcing(e) ? "enforce" : "observe",
		    e->policy->nclasses, e->policy->path ? e->policy->path : "(no file)");
	r = sd_event_loop(e->event);
	sd_notify(0, "STOPPING=1");
	return r < 0 ? 1 : r;
}

void engine_free(struct engine *e)
{
	if (!e)
		return;
	methods_stop(e);
	control_free(e->control);
	episodes_close(e);
	protection_free(e->protection);
	bandwidth_free(e->bandwidth);
	storage_free(e->storage);
	recorder_close(e->recorder);
	for (size_t i = 0; i < ARRAY_SIZE(e->pending); i++)
		guest_unref(e->pending[i].guest);
	rbd_stop(e);
	virt_free(e->virt, WORKER_STOP_US);
	worker_free(e->systemd_worker, WORKER_STOP_US);
	ceph_qos_free(e->ceph_qos, WORKER_STOP_US);
	net_free(e->adapters[ADAPTER_NET]);
	cgroup_adapter_free(e->adapters[ADAPTER_CGROUP]);
	picture_free(e->picture);
	trial_drop(e);
	plan_free(e->back);
	placement_free(e->placement);
	inventory_free(e->inventory);
	guests_done(&e->guests);
	baseline_free(e->baseline);
	free(e->inflight.items);
	policy_free(e->policy);
	host_free(e->host);
	sd_event_source_unref(e->turn_timer);
	sd_event_source_unref(e->retry_timer);
	sd_event_source_unref(e->drift_timer);
	free(e->saved_words);
	sd_event_source_unref(e->sample_timer);
	sd_event_unref(e->event);
	if (e->lock_fd >= 0)
		close(e->lock_fd);
	free(e);
}
