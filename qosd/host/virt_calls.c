/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * virt_calls - the thread that makes all calls of libvirt but the ping and disk statistics.
 *
 * One turn does one kind of work, a due refresh before jobs, so that neither starves the other.
 * Before each call the clock is started (virt_calling), before each wait it is stopped: the age of
 * the running call, and that of the ping, tell that libvirt hangs. Keepalive breaks a hung
 * connection after 6 to 12 s; connecting again to a stopped libvirtd blocks until it runs again,
 * which is how its return is noticed.
 *
 * There are two connections: one for calls, one for events. libvirtd (seen in 9.0) frees what it
 * keeps for a client's events twice, and dies of it now and then, when a client goes away while one
 * of its calls is being answered; and a libvirtd that hangs is one that is answering. So the
 * connection with events has no call under way, but while events are registered and given back.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "qosd/host/virt_priv.h"

#define KEEPALIVE_INTERVAL_S 2
#define KEEPALIVE_COUNT      3 /* of the connection for events, which so breaks first */
#define KEEPALIVE_CALLS      5
#define PATIENCE             10 /* a call other than the ping may take that many times hung_us */

enum work { WORK_STOP, WORK_LOST, WORK_REFRESH, WORK_JOB, WORK_CARE };

void virt_calling(struct virt *v)
{
	atomic_store(&v->call_since_us, virt_now_us());
}

static void virt_idle(struct virt *v)
{
	atomic_store(&v->call_since_us, 0);
}

static int errno_of(const virError *e)
{
	switch (e->code) {
	case VIR_ERR_NO_DOMAIN:
		return -ENOENT;
	case VIR_ERR_OPERATION_TIMEOUT:
		return -ETIMEDOUT;
	case VIR_ERR_ACCESS_DENIED:
	case VIR_ERR_AUTH_FAILED:
	case VIR_ERR_OPERATION_DENIED:
		return -EACCES;
	case VIR_ERR_NO_SUPPORT:
	case VIR_ERR_OPERATION_UNSUPPORTED:
	case VIR_ERR_ARGUMENT_UNSUPPORTED:
	case VIR_ERR_CONFIG_UNSUPPORTED:
		return -EOPNOTSUPP;
	case VIR_ERR_INVALID_ARG:
	case VIR_ERR_OPERATION_INVALID:
		return -EINVAL;
	case VIR_ERR_NO_MEMORY:
		return -ENOMEM;
	case VIR_ERR_SYSTEM_ERROR:
		return e->int1 > 0 ? -e->int1 : -EIO;
	default:
		return -EIO;
	}
}

void virt_connection_broke(struct virt *v, virConnectPtr conn)
{
	pthread_mutex_lock(&v->lock);
	if (v->conn == conn) {
		v->broke_hung = v->broke_hung || virt_state(v) == VIRT_HUNG;
		v->lost = true;
		pthread_cond_broadcast(&v->wake);
	}
	pthread_mutex_unlock(&v->lock);
}

int virt_failed(struct virt *v, struct qerr *err, const char *fmt, ...)
{
	const virError *e = virGetLastError(); /* the next call overwrites it */
	const char *message = e && e->message ? e->message : "libvirt gives no reason";
	int code = e ? errno_of(e) : -EIO;
	char what[QERR_TEXT_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(what, sizeof(what), fmt, ap);
	va_end(ap);
	qerr_set(err, code, "%s: %.160s", what, message);
	virResetLastError();
	if (!v->conn || virConnectIsAlive(v->conn) == 1)
		return code;
	virt_connection_broke(v, v->conn);
	if (err)
		err->code = -EAGAIN;
	return -EAGAIN;
}

bool virt_usable(struct virt *v)
{
	bool usable;

	pthread_mutex_lock(&v->lock);
	usable = !v->lost;
	pthread_mutex_unlock(&v->lock);
	return usable && !atomic_load(&v->stop);
}

static void set_last_error(struct virt *v, const char *text)
{
	pthread_mutex_lock(&v->lock);
	snprintf(v->last_error, sizeof(v->last_error), "%s", text);
	pthread_mutex_unlock(&v->lock);
}

/* ---- connection ---- */

static void set_connection(struct virt *v, virConnectPtr conn)
{
	pthread_mutex_lock(&v->lock);
	v->conn = conn;
	v->lost = false;
	v->broke_hung = false;
	pthread_mutex_unlock(&v->lock);
}

static void set_events_connection(struct virt *v, virConnectPtr conn)
{
	pthread_mutex_lock(&v->lock);
	v->events_conn = conn;
	pthread_mutex_unlock(&v->lock);
}

/*
 * The question is for a libvirtd that hangs: it does so here, not with a call about events. (Where
 * the connection for calls is dead while that for events lives, nobody can be asked.)
 */
static void close_events(struct virt *v)
{
	virConnectPtr conn = v->events_conn;
	unsigned long version;

	virt_calling(v);
	virConnectGetLibVersion(v->conn, &version);
	virt_events_deregister(v);
	set_events_connection(v, NULL);
	virt_calling(v);
	virConnectClose(conn);
}

static void close_connection(struct virt *v)
{
	virConnectPtr conn = v->conn;

	if (v->events_conn)
		close_events(v);
	set_connection(v, NULL);
	virt_calling(v);
	if (conn)
		virConnectClose(conn);
	virt_idle(v);
}

/* The state stays "hung" when that is what broke the connection, until libvirt is heard again. */
static void drop_connection(struct virt *v)
{
	bool hung;

	pthread_mutex_lock(&v->lock);
	hung = v->broke_hung || virt_state(v) == VIRT_HUNG;
	pthread_mutex_unlock(&v->lock);
	atomic_store(&v->state, hung ? VIRT_HUNG : VIRT_RECONNECTING);
	set_last_error(v,
		       hung ? "libvirtd stopped to answer" : "the connection to libvirt was lost");
	virt_jobs_fail_all(v, -EAGAIN, "the connection to libvirt was lost");
	virt_notify(v);
	close_connection(v); /* may take seconds if it hangs */
}

static int connect_to(struct virt *v, unsigned int keepalive_count, virConnectPtr *ret,
		      struct qerr *err)
{
	virt_calling(v);
	*ret = virConnectOpen(v->uri);
	if (!*ret)
		return virt_failed(v, err, "cannot connect to %s", v->uri);
	/* Drivers within this process have no keepalive and need none. */
	virt_calling(v);
	virConnectSetKeepAlive(*ret, KEEPALIVE_INTERVAL_S, keepalive_count);
	return 0;
}

static int open_connection(struct virt *v, struct qerr *err)
{
	bool was_hung = atomic_load(&v->state) == VIRT_HUNG;
	virConnectPtr conn;
	int r;

	atomic_store(&v->call_limit_us, was_hung ? v->hung_us : PATIENCE * v->hung_us);
	r = connect_to(v, KEEPALIVE_CALLS, &conn, err);
	if (r < 0)
		return r;
	set_connection(v, conn);
	r = connect_to(v, KEEPALIVE_COUNT, &conn, err);
	if (r < 0)
		return r;
	set_events_connection(v, conn);
	return virt_events_register(v, err);
}

static void connected(struct virt *v)
{
	uint64_t now = virt_now_us();

	atomic_store(&v->call_limit_us, PATIENCE * v->hung_us);
	v->backoff_us = VIRT_BACKOFF_MIN_US;
	v->next_care_us = now + VIRT_PING_US;
	v->was_connected = true;
	set_last_error(v, "");
	pthread_mutex_lock(&v->lock);
	v->dirty_all = true; /* events were missed */
	v->dirty_at_us = now;
	v->announce_at_us = now;
	pthread_mutex_unlock(&v->lock);
	atomic_store(&v->state, VIRT_CONNECTED);
}

static int connect_once(struct virt *v)
{
	struct qerr err = { 0 };
	int r = open_connection(v, &err);

	if (r == 0) {
		connected(v);
		return 0;
	}
	close_connection(v);
	set_last_error(v, err.text);
	atomic_store(&v->state, v->was_connected ? VIRT_RECONNECTING : VIRT_CONNECTING);
	return r;
}

/* ---- waiting ---- */

void virt_wait_until(struct virt *v, uint64_t until_us)
{
	struct timespec until = { .tv_sec = (time_t)(until_us / 1000000),
				  .tv_nsec = (long)(until_us % 1000000) * 1000 };

	pthread_cond_timedwait(&v->wake, &v->lock, &until);
}

static void wait_backoff(struct virt *v)
{
	uint64_t until_us = virt_now_us() + v->backoff_us;

	pthread_mutex_lock(&v->lock);
	while (!atomic_load(&v->stop) && virt_now_us() < until_us)
		virt_wait_until(v, until_us);
	pthread_mutex_unlock(&v->lock);
	v->backoff_us *= 2;
	if (v->backoff_us > VIRT_BACKOFF_MAX_US)
		v->backoff_us = VIRT_BACKOFF_MAX_US;
}

static bool due(uint64_t at_us, uint64_t now_us, uint64_t *next_us)
{
	if (!at_us)
		return false;
	if (at_us < *next_us)
		*next_us = at_us;
	return at_us <= now_us;
}

/* Under lock: what there is to do now; else false and the time of the next thing. */
static bool find_work(struct virt *v, enum work *ret, uint64_t *next_us)
{
	uint64_t now = virt_now_us();
	bool refresh;

	*next_us = UINT64_MAX;
	refresh = due(v->dirty_at_us, now, next_us);
	refresh = due(v->announce_at_us, now, next_us) || refresh;
	refresh = due(v->next_resync_us, now, next_us) || refresh;
	if (atomic_load(&v->stop))
		*ret = WORK_STOP;
	else if (v->lost)
		*ret = WORK_LOST;
	else if (due(v->next_care_us, now, next_us)) /* rare, and must not starve */
		*ret = WORK_CARE;
	else if (refresh)
		*ret = WORK_REFRESH;
	else if (v->jobs.first)
		*ret = WORK_JOB;
	else
		return false;
	return true;
}

static enum work wait_work(struct virt *v)
{
	enum work work;
	uint64_t next_us;

	virt_idle(v);
	pthread_mutex_lock(&v->lock);
	while (!find_work(v, &work, &next_us))
		virt_wait_until(v, next_us);
	pthread_mutex_unlock(&v->lock);
	return work;
}

/* ---- work ---- */

static void do_refresh(struct virt *v)
{
	struct qerr err = { 0 };

	if (virt_refresh_now(v, &err) == 0 || !virt_usable(v))
		return;
	/* libvirt refused something that is not about one guest: again, but not at once. */
	set_last_error(v, err.text);
	pthread_mutex_lock(&v->lock);
	v->dirty_all = true;
	v->dirty_at_us = virt_now_us() + VIRT_PING_US;
	pthread_mutex_unlock(&v->lock);
}

static void do_job(struct virt *v)
{
	static int (*const run[])(struct virt *, const struct virt_job *, struct qerr *) = {
		[VIRT_JOB_PIN] = virt_pin_run,
		[VIRT_JOB_CLASS] = virt_class_run,
		[VIRT_JOB_TUNE] = virt_tune_run,
		[VIRT_JOB_BALLOON] = virt_balloon_run,
	};
	struct virt_job *job = virt_job_take(v);

	if (job)
		virt_job_finish(v, job, run[job->kind](v, job, &job->err));
}

static void do_care(struct virt *v)
{
	v->next_care_us = virt_now_us() + VIRT_PING_US;
	virt_look_after(v);
}

static void serve(struct virt *v)
{
	for (;;) {
		switch (wait_work(v)) {
		case WORK_STOP:
			close_connection(v);
			return;
		case WORK_LOST:
			drop_connection(v);
			return;
		case WORK_REFRESH:
			do_refresh(v);
			break;
		case WORK_JOB:
			do_job(v);
			break;
		case WORK_CARE:
			do_care(v);
			break;
		}
	}
}

void *virt_calls_main(void *arg)
{
	struct virt *v = arg;

	pthread_setname_np(pthread_self(), "virt-calls");
	while (!atomic_load(&v->stop)) {
		if (connect_once(v) == 0)
			serve(v);
		else
			wait_backoff(v);
	}
	virt_thread_ends(v);
	return NULL;
}
