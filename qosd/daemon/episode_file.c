/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * episode_file - STATE_DIR/episodes: a line for each thing that became known of an episode; the
 * last line of an id counts.
 *
 * It grows by appending until EPISODES_FILE_MAX, and is then written anew with what is in memory,
 * the newest half of its bound. A line that a crash tore, or that is damaged, is left out and gone
 * with the next writing.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>

#include "qosd/core/mem.h"
#include "qosd/daemon/engine.h"
#include "qosd/daemon/episode.h"
#include "qosd/daemon/files.h"

#define FILE_READ_MAX    (2 * EPISODES_FILE_MAX) /* one of ours is never that long */
#define WORKER_QUEUE_MAX 64
#define WORKER_STOP_US   100000ULL

static char *file_path(const struct engine *e, char buf[FILES_PATH_MAX])
{
	snprintf(buf, FILES_PATH_MAX, "%s/episodes", e->options.state_dir);
	return buf;
}

/* ---- reading at start ---- */

static struct episode *find_id(struct episodes *all, uint64_t id)
{
	for (size_t i = all->count; i > 0; i--)
		if (all->past[i - 1].id == id)
			return &all->past[i - 1];
	return NULL;
}

/* A later line of the same id takes the place of the earlier. -ENOMEM. */
static int take_record(struct episodes *all, const struct episode *one)
{
	struct episode *known = find_id(all, one->id);

	if (known) {
		*known = *one;
		return 0;
	}
	if (mem_grow(&all->past, &all->capacity, all->count + 1, sizeof(*all->past)) < 0)
		return -ENOMEM;
	all->past[all->count++] = *one;
	if (one->id >= all->next_id)
		all->next_id = one->id + 1;
	return 0;
}

static int by_id(const void *pa, const void *pb)
{
	const struct episode *a = pa, *b = pb;

	return (a->id > b->id) - (a->id < b->id);
}

/* What lasted when the daemon ended goes on, one for each resource; others ended unseen. */
static void resume_open(struct episodes *all)
{
	size_t kept = 0;

	for (size_t i = all->count; i > 0; i--) {
		struct episode *one = &all->past[i - 1];

		if (one->ended_ms)
			continue;
		if (!all->tracks[one->resource].now.id) {
			episode_resume(&all->tracks[one->resource], one);
			one->id = 0;
			continue;
		}
		one->ended_ms = one->began_ms;
		one->interrupted = true;
	}
	for (size_t i = 0; i < all->count; i++)
		if (all->past[i].id)
			all->past[kept++] = all->past[i];
	all->count = kept;
}

static void keep_newest(struct episodes *all)
{
	size_t extra = all->count > EPISODES_KEPT ? all->count - EPISODES_KEPT : 0;

	if (!extra)
		return;
	memmove(all->past, all->past + extra, EPISODES_KEPT * sizeof(*all->past));
	all->count = EPISODES_KEPT;
}

/* Lines that could not be read. */
static size_t take_lines(struct episodes *all, const char *text, size_t len)
{
	const char *end = text + len, *newline;
	size_t bad = 0;

	for (; text < end; text = newline + 1) {
		struct episode one;

		newline = memchr(text, '\n', (size_t)(end - text));
		if (!newline)
			return bad + 1;
		if (episode_parse_line(text, (size_t)(newline - text), &one) < 0)
			bad++;
		else if (take_record(all, &one) < 0)
			return bad;
	}
	return bad;
}

void episode_file_load(struct engine *e, struct episodes *all)
{
	char path[FILES_PATH_MAX];
	size_t len = 0, bad;
	int r;
	char *text CLEANUP_FREE = files_read(file_path(e, path), FILE_READ_MAX, &len, &r);

	all->file.rewrite = true;
	if (r < 0)
		log_message(&e->log, LOG_WARNING, NULL,
			    "%s cannot be read (%s): earlier overloads are forgotten", path,
			    strerror(-r));
	if (!text)
		return;
	bad = take_lines(all, text, len);
	if (bad)
		log_message(&e->log, LOG_WARNING, NULL,
			    "%s: %zu lines are torn or damaged and left out", path, bad);
	qsort(all->past, all->count, sizeof(*all->past), by_id);
	resume_open(all);
	keep_newest(all);
	all->file.rewrite = bad > 0;
	all->file.bytes = len;
}

/* ---- writing: on a thread ---- */

struct write_job {
	char path[FILES_PATH_MAX];
	char *text;
	size_t len;
	bool whole;
};

static int run_job(void *arg, struct qerr *err)
{
	const struct write_job *job = arg;

	return job->whole ? files_replace(job->path, job->text, job->len, false, err)
			  : files_append(job->path, job->text, job->len, err);
}

static void free_job(void *arg)
{
	struct write_job *job = arg;

	free(job->text);
	free(job);
}

static void job_done(void *user, uint64_t ticket, int result, const struct qerr *err)
{
	struct engine *e = user;
	struct episode_file *f = &e->episodes->file;

	(void)ticket;
	f->waiting--;
	if (result == 0) {
		f->failing = false;
		return;
	}
	f->rewrite = true;
	if (!f->failing)
		log_error(&e->log, LOG_WARNING, NULL, "overloads are not kept on disk", err);
	f->failing = true;
}

static int on_worker(sd_event_source *s, int fd, uint32_t events, void *user)
{
	struct engine *e = user;

	(void)s;
	(void)fd;
	(void)events;
	worker_collect(e->episodes->file.worker, job_done, e);
	return 0;
}

static int start_worker(struct engine *e)
{
	struct episode_file *f = &e->episodes->file;
	int r = 0;

	if (f->worker)
		return 0;
	r = worker_new("qosd-episodes", WORKER_QUEUE_MAX, &f->worker);
	if (r < 0)
		return r;
	return sd_event_add_io(e->event, &f->event, worker_fd(f->worker), EPOLLIN, on_worker, e);
}

/* ---- what is written ---- */

/* The newest records that fit in half the bound, oldest first; malloc'd. NULL: out of memory. */
static char *print_all(const struct episodes *all, size_t *ret_len)
{
	char line[EPISODE_LINE_MAX], *text = NULL;
	size_t room = EPISODES_FILE_MAX / 2, first = all->count;
	FILE *out = open_memstream(&text, ret_len);

	if (!out)
		return NULL;
	for (; first > 0; first--) {
		size_t len = strlen(episode_format_line(&all->past[first - 1], line, sizeof(line)));

		if (len + 1 > room)
			break;
		room -= len + 1;
	}
	for (; first < all->count; first++)
		fprintf(out, "%s\n", episode_format_line(&all->past[first], line, sizeof(line)));
	for (size_t r = 0; r < RESOURCE_COUNT; r++)
		if (all->tracks[r].now.id && !all->tracks[r].now.ended_ms)
			fprintf(out, "%s\n",
				episode_format_line(&all->tracks[r].now, line, sizeof(line)));
	if (fclose(out) != 0) {
		free(text);
		return NULL;
	}
	return text;
}

static char *print_one(const struct episode *one, size_t *ret_len)
{
	char line[EPISODE_LINE_MAX], *text = NULL;
	int len = asprintf(&text, "%s\n", episode_format_line(one, line, sizeof(line)));

	if (len < 0)
		return NULL;
	*ret_len = (size_t)len;
	return text;
}

static int submit(struct engine *e, char *text, size_t len, bool whole)
{
	struct write_job *job = calloc(1, sizeof(*job));

	if (!job || !text) {
		free(text);
		free(job);
		return -ENOMEM;
	}
	file_path(e, job->path);
	job->text = text;
	job->len = len;
	job->whole = whole;
	return worker_submit(e->episodes->file.worker, run_job, job, free_job, 0);
}

static void handed_over(struct episode_file *f, int r, size_t bytes)
{
	f->rewrite = r < 0;
	if (r < 0)
		return;
	f->waiting++;
	f->bytes = bytes;
}

static void put_whole(struct engine *e)
{
	size_t len = 0;
	char *text = print_all(e->episodes, &len);

	handed_over(&e->episodes->file, submit(e, text, len, true), len);
}

void episode_file_put(struct engine *e, const struct episode *one)
{
	struct episode_file *f = &e->episodes->file;
	size_t len = 0;
	char *text;

	if (start_worker(e) < 0) {
		f->rewrite = true;
		return;
	}
	if (f->rewrite || f->bytes + EPISODE_LINE_MAX > EPISODES_FILE_MAX) {
		put_whole(e);
		return;
	}
	text = print_one(one, &len);
	handed_over(f, submit(e, text, len, false), f->bytes + len);
}

static uint64_t now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static void wait_for_writes(struct engine *e, uint64_t until_us)
{
	struct episode_file *f = &e->episodes->file;

	while (f->waiting && now_us() < until_us) {
		struct pollfd p = { .fd = worker_fd(f->worker), .events = POLLIN };

		(void)poll(&p, 1, (int)((until_us - now_us()) / 1000 + 1));
		worker_collect(f->worker, job_done, e);
	}
}

void episode_file_flush(struct engine *e, uint64_t limit_us)
{
	struct episode_file *f = &e->episodes->file;

	if (!f->worker)
		return;
	wait_for_writes(e, now_us() + limit_us);
	if (f->rewrite) { /* it may be that the disk takes something again */
		put_whole(e);
		wait_for_writes(e, now_us() + limit_us);
	}
	f->event = sd_event_source_disable_unref(f->event);
	worker_free(TAKE_PTR(f->worker), WORKER_STOP_US);
	f->rewrite |= f->waiting > 0;
	f->waiting = 0;
}
