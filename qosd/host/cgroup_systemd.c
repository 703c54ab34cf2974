/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-bus.h>
#include <time.h>

#include "qosd/core/mem.h"
#include "qosd/host/cgroup_fs.h"
#include "qosd/host/cgroup_systemd.h"
#include "qosd/host/cgroup_text.h"

#define CALL_LIMIT_US UINT64_C(2000000)
#define SHOW_STEP_NS  2000000L /* systemd answers before it writes the file: look again */
#define SHOW_STEPS    50

struct cgroup_systemd {
	pthread_mutex_t lock; /* guards refs alone: `bus` is the worker thread's */
	unsigned int refs;
	sd_bus *bus; /* NULL: not open */
};

struct set_job {
	struct cgroup_systemd *systemd;
	char *unit, *file;
	const char *property; /* a constant */
	uint64_t value, shows;
};

struct cgroup_systemd *cgroup_systemd_new(void)
{
	struct cgroup_systemd *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->refs = 1;
	pthread_mutex_init(&s->lock, NULL);
	return s;
}

static struct cgroup_systemd *systemd_ref(struct cgroup_systemd *s)
{
	pthread_mutex_lock(&s->lock);
	s->refs++;
	pthread_mutex_unlock(&s->lock);
	return s;
}

void cgroup_systemd_unref(struct cgroup_systemd *s)
{
	bool last;

	if (!s)
		return;
	pthread_mutex_lock(&s->lock);
	last = --s->refs == 0;
	pthread_mutex_unlock(&s->lock);
	if (!last)
		return;
	sd_bus_close_unref(s->bus);
	pthread_mutex_destroy(&s->lock);
	free(s);
}

static void set_job_free(void *arg)
{
	struct set_job *job = arg;

	cgroup_systemd_unref(job->systemd);
	free(job->unit);
	free(job->file);
	free(job);
}

static int connect_bus(struct cgroup_systemd *s, struct qerr *err)
{
	int r;

	if (s->bus)
		return 0;
	r = sd_bus_open_system(&s->bus);
	if (r < 0) {
		s->bus = NULL;
		return qerr_set(err, r, "systemd's D-Bus cannot be reached: %s", strerror(-r));
	}
	r = sd_bus_set_method_call_timeout(s->bus, CALL_LIMIT_US);
	return r < 0 ? qerr_set(err, r, "D-Bus refuses a time limit: %s", strerror(-r)) : 0;
}

/* The connection broke (the bus was restarted), as opposed to an answer that says no. */
static bool is_broken(int r)
{
	return r == -ENOTCONN || r == -ECONNRESET || r == -EPIPE || r == -ESTALE;
}

static int make_call(sd_bus *bus, const struct set_job *job, sd_bus_message **ret)
{
	int r = sd_bus_message_new_method_call(
		bus, ret, "org.freedesktop.systemd1", "/org/freedesktop/systemd1",
		"org.freedesktop.systemd1.Manager", "SetUnitProperties");

	if (r < 0)
		return r;
	return sd_bus_message_append(*ret, "sba(sv)", job->unit, 1, 1, job->property, "t",
				     job->value);
}

static int answer_error(const struct set_job *job, const sd_bus_error *error, int r,
			struct qerr *err)
{
	if (sd_bus_error_has_name(error, "org.freedesktop.systemd1.NoSuchUnit"))
		return qerr_set(err, -ENOENT, "systemd has no unit %s (any more)", job->unit);
	if (r == -ETIMEDOUT)
		return qerr_set(err, r,
				"systemd did not answer within %d s when asked to set %s "
				"of %s",
				(int)(CALL_LIMIT_US / 1000000), job->property, job->unit);
	return qerr_set(err, r, "systemd does not set %s of %s: %s", job->property, job->unit,
			error->message ? error->message : strerror(-r));
}

static int call_once(const struct set_job *job, struct qerr *err)
{
	sd_bus_error error = SD_BUS_ERROR_NULL;
	sd_bus_message *message = NULL;
	int r = connect_bus(job->systemd, err);

	if (r < 0)
		return r;
	r = make_call(job->systemd->bus, job, &message);
	if (r >= 0)
		r = sd_bus_call(job->systemd->bus, message, CALL_LIMIT_US, &error, NULL);
	sd_bus_message_unref(message);
	if (r < 0)
		r = answer_error(job, &error, r, err);
	sd_bus_error_free(&error);
	if (is_broken(r) || r == -ETIMEDOUT)
		job->systemd->bus = sd_bus_close_unref(job->systemd->bus);
	return r < 0 ? r : 0;
}

/*
 * Wait until the file holds the value. That it does not within the limit is no error: systemd has
 * noted it, and whether the group has it is found by the next reading.
 */
static void wait_until_shown(const struct set_job *job)
{
	for (int i = 0; i < SHOW_STEPS; i++) {
		static const struct timespec step = { .tv_nsec = SHOW_STEP_NS };
		char buf[64];
		uint64_t v;

		if (cgroup_read_path(AT_FDCWD, job->file, buf, sizeof(buf)) < 0 ||
		    cgroup_text_u64(buf, &v) < 0 || v == job->shows)
			return;
		nanosleep(&step, NULL);
	}
}

static int run_set(void *arg, struct qerr *err)
{
	struct set_job *job = arg;
	bool was_open = job->systemd->bus != NULL;
	int r = call_once(job, err);

	if (is_broken(r) && was_open)
		r = call_once(job, err);
	if (r == 0)
		wait_until_shown(job);
	return r;
}

int cgroup_systemd_set(struct cgroup_systemd *s, struct worker *w,
		       const struct cgroup_unit_setting *setting, uint64_t ticket, struct qerr *err)
{
	struct set_job *job = calloc(1, sizeof(*job));
	int r;

	if (!job)
		return qerr_set(err, -ENOMEM, "no memory to set %s", setting->property);
	job->systemd = systemd_ref(s);
	job->unit = strdup(setting->unit);
	job->file = strdup(setting->file);
	job->property = setting->property;
	job->value = setting->value;
	job->shows = setting->shows;
	if (!job->unit || !job->file) {
		set_job_free(job);
		return qerr_set(err, -ENOMEM, "no memory to set %s", setting->property);
	}
	r = worker_submit(w, run_set, job, set_job_free, ticket);
	if (r < 0)
		return qerr_set(err, r,
				"too many settings wait for systemd; %s of %s is tried "
				"again later",
				setting->property, setting->unit);
	return -EINPROGRESS;
}
