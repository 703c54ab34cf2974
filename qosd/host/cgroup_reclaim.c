/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cgroup_reclaim - memory taken from a guest step by step, by memory.reclaim (v2, kernel 5.19).
 *
 * No limit is left behind: what the guest touches comes back, and a step that finds nothing to take
 * ends at once. The write blocks until the kernel has reclaimed (measured: 0.3 s for 20 MiB), so it
 * is done on a thread of its own. The files are opened on the loop, relative to the group's
 * directory, so that a group that goes meanwhile is never taken for another.
 *
 * The kernel takes more than is asked, much more where swap is a disk: pages that are being written
 * count as not yet reclaimed, so it goes on to the next ones, and they fill memory until a later
 * reclaim finds them written (measured: 64 MiB in one write took 159 MiB from the guest and freed
 * 30). So a step is made of small writes, with a pause while many pages wait to be freed, and ends
 * when the guest's own pages, those that are not in swap as well, come down to the target.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "qosd/host/cgroup_priv.h"

#define WRITE_BYTES (UINT64_C(1) << 20)
#define PAUSE_US    10000

struct step {
	int reclaim_fd, current_fd, stat_fd; /* stat: -1 where there is none */
	uint64_t down_to;
	char name[64]; /* of the guest, for the sentence */
};

static void step_free(void *arg)
{
	struct step *s = arg;

	close(s->reclaim_fd);
	close(s->current_fd);
	if (s->stat_fd >= 0)
		close(s->stat_fd);
	free(s);
}

/* ---- on the reclaimer's thread ---- */

static uint64_t in_swap_too(const struct step *s)
{
	static const char key[] = "\nswapcached ";
	char text[CGROUP_TEXT_MAX];
	const char *at;

	if (s->stat_fd < 0 || cgroup_read_fd(s->stat_fd, text, sizeof(text)) < 0)
		return 0;
	at = strstr(text, key);
	return at ? strtoull(at + strlen(key), NULL, 10) : 0;
}

struct memory {
	uint64_t all, in_swap_too;
};

static struct memory look(const struct step *s)
{
	struct memory m = { 0 };
	char text[32];

	if (cgroup_read_fd(s->current_fd, text, sizeof(text)) < 0)
		return m;
	m.all = strtoull(text, NULL, 10);
	m.in_swap_too = in_swap_too(s);
	if (m.in_swap_too > m.all)
		m.in_swap_too = m.all;
	return m;
}

/* Is there more to take, or to free, without coming below the target by more than a little? */
static bool goes_on(const struct step *s, const struct memory *m)
{
	uint64_t own = m->all - m->in_swap_too;

	if (m->all < s->down_to + WRITE_BYTES || own < s->down_to - s->down_to / 16)
		return false;
	return own >= s->down_to + WRITE_BYTES || m->in_swap_too >= WRITE_BYTES;
}

static int reclaim(int fd)
{
	char text[32];
	int len = snprintf(text, sizeof(text), "%" PRIu64, WRITE_BYTES);
	ssize_t n;

	do
		n = write(fd, text, (size_t)len);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : 0;
}

static int step_run(void *arg, struct qerr *err)
{
	const struct step *s = arg;
	int r = 0;

	for (uint64_t done = 0; r == 0 && done < CGROUP_RECLAIM_STEP; done += WRITE_BYTES) {
		struct memory m = look(s);

		if (!goes_on(s, &m))
			break;
		if (m.in_swap_too >= WRITE_BYTES)
			usleep(PAUSE_US);
		r = reclaim(s->reclaim_fd);
	}
	if (r == -EAGAIN)
		return qerr_set(err, r,
				"%s: less could be reclaimed than was asked: the rest is in use, "
				"protected, or has no swap to go to",
				s->name);
	if (r == -ENODEV)
		return qerr_set(err, -ENOENT, "%s has gone", s->name);
	if (r < 0)
		return qerr_set(err, r, "%s: memory cannot be reclaimed: %s", s->name,
				strerror(-r));
	return 0;
}

/* ---- on the loop ---- */

/*
 * memory.current is in every group: when it is not there either, not the kernel lacks a thing, the
 * group has gone.
 */
static int open_step(struct step *s, int dir_fd)
{
	int r;

	s->reclaim_fd = openat(dir_fd, "memory.reclaim", O_WRONLY | O_CLOEXEC);
	r = s->reclaim_fd < 0 ? -errno : 0;
	s->current_fd = openat(dir_fd, "memory.current", O_RDONLY | O_CLOEXEC);
	if (s->current_fd >= 0 && r == 0) {
		s->stat_fd = openat(dir_fd, "memory.stat", O_RDONLY | O_CLOEXEC);
		return 0;
	}
	if (s->current_fd < 0)
		r = -errno;
	else
		r = r == -ENOENT ? -EOPNOTSUPP : r;
	if (s->reclaim_fd >= 0)
		close(s->reclaim_fd);
	if (s->current_fd >= 0)
		close(s->current_fd);
	return r;
}

static int submit(struct cgroup_ctx *ctx, const struct guest *g, int dir_fd, uint64_t down_to,
		  uint64_t ticket, struct qerr *err)
{
	struct step *s = calloc(1, sizeof(*s));
	int r = s ? open_step(s, dir_fd) : -ENOMEM;

	if (r < 0) {
		free(s);
		if (r == -EOPNOTSUPP)
			return qerr_set(err, r,
					"this kernel has no memory.reclaim (it came with 5.19)");
		return qerr_set(err, r, "%s: memory.reclaim cannot be opened: %s", g->name,
				strerror(-r));
	}
	s->down_to = down_to;
	snprintf(s->name, sizeof(s->name), "%s", g->name ? g->name : "a guest");
	if (worker_submit(ctx->reclaimer, step_run, s, step_free, ticket) < 0)
		return qerr_set(err, -EBUSY, "earlier steps of reclaim still run");
	return -EINPROGRESS;
}

int cgroup_reclaim(struct adapter *a, const struct guest *g, uint64_t down_to_bytes,
		   uint64_t ticket, struct qerr *err)
{
	struct cgroup_ctx *ctx = a->ctx;
	struct cgroup_node *node;
	uint64_t now, min = 0;
	int r;

	if (ctx->v1 || !ctx->reclaimer)
		return qerr_set(err, -EOPNOTSUPP,
				ctx->v1 ? "cgroup v1 has no memory.reclaim"
					: "there is no thread to reclaim memory on");
	cgroup_node_make_room(ctx);
	r = cgroup_node_guest(ctx, g, &node);
	if (r == 0)
		r = cgroup_dir_read_u64(&node->top[CGROUP_CPU], &ctx->fs, CGROUP_MEMORY_CURRENT,
					&now);
	if (r < 0)
		return qerr_set(err, r, "%s: its memory cannot be read: %s", g->name, strerror(-r));
	/* From 6.2 on the kernel does not spare what the very group has protected. */
	(void)cgroup_dir_read_u64(&node->top[CGROUP_CPU], &ctx->fs, CGROUP_MEMORY_MIN, &min);
	if (down_to_bytes < min)
		down_to_bytes = min;
	if (now < WRITE_BYTES || now - WRITE_BYTES < down_to_bytes)
		return 0;
	return submit(ctx, g, node->top[CGROUP_CPU].fd, down_to_bytes, ticket, err);
}
