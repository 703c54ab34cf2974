/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cgroup_watch - tells when groups of a guest's vCPUs come and go.
 *
 * libvirt has no event for a vCPU that is plugged or unplugged, but it makes or removes the vCPU's
 * group; inotify sees that. Each open guest node has a watch on its top group, which ends with
 * either of them. Without inotify the slow resync tells, as ever.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "qosd/core/mem.h"
#include "qosd/host/cgroup_priv.h"
#include "qosd/host/cgroup_text.h"

void cgroup_watch_open(struct cgroup_ctx *ctx)
{
	ctx->watch_fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	if (ctx->watch_fd < 0)
		ctx->watch_error = errno;
}

void cgroup_watch_close(struct cgroup_ctx *ctx)
{
	if (ctx->watch_fd >= 0)
		close(ctx->watch_fd);
	free(ctx->watches);
}

/* The kernel numbers watches upwards, so they are in order; the place of wd or of the next one. */
static size_t place_of(const struct cgroup_ctx *ctx, int wd)
{
	size_t low = 0, high = ctx->nwatches;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (ctx->watches[middle].wd < wd)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static uint32_t guest_of(const struct cgroup_ctx *ctx, int wd)
{
	size_t i = place_of(ctx, wd);

	return i < ctx->nwatches && ctx->watches[i].wd == wd ? ctx->watches[i].guest_id : 0;
}

static void forget(struct cgroup_ctx *ctx, int wd)
{
	size_t i = place_of(ctx, wd);

	if (!guest_of(ctx, wd))
		return;
	ctx->nwatches--;
	memmove(&ctx->watches[i], &ctx->watches[i + 1],
		(ctx->nwatches - i) * sizeof(*ctx->watches));
}

void cgroup_watch_add(struct cgroup_ctx *ctx, struct cgroup_node *node)
{
	char path[64];
	size_t i;

	node->watch = -1;
	if (ctx->watch_fd < 0 || mem_grow(&ctx->watches, &ctx->watches_capacity, ctx->nwatches + 1,
					  sizeof(*ctx->watches)) < 0)
		return;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", node->top[CGROUP_CPU].fd);
	node->watch = inotify_add_watch(ctx->watch_fd, path, IN_CREATE | IN_DELETE | IN_ONLYDIR);
	if (node->watch < 0) {
		if (errno == ENOSPC) /* else the group has gone: normal */
			ctx->watch_error = errno;
		return;
	}
	forget(ctx, node->watch);
	i = place_of(ctx, node->watch);
	memmove(&ctx->watches[i + 1], &ctx->watches[i],
		(ctx->nwatches - i) * sizeof(*ctx->watches));
	ctx->watches[i] = (struct cgroup_watch){ .wd = node->watch, .guest_id = node->guest_id };
	ctx->nwatches++;
}

void cgroup_watch_drop(struct cgroup_ctx *ctx, struct cgroup_node *node)
{
	/* Another incarnation's, where the kernel has given the number anew. */
	if (node->watch < 0 || guest_of(ctx, node->watch) != node->guest_id)
		return;
	forget(ctx, node->watch);
	(void)inotify_rm_watch(ctx->watch_fd, node->watch); /* it went with its group: normal */
}

int cgroup_changes_fd(const struct adapter *a)
{
	return ((const struct cgroup_ctx *)a->ctx)->watch_fd;
}

/* Events were lost: it may be any of them. */
static void tell_all(const struct cgroup_ctx *ctx, void (*changed)(void *user, uint32_t guest_id),
		     void *user)
{
	for (size_t i = 0; i < ctx->nwatches; i++)
		changed(user, ctx->watches[i].guest_id);
}

/* Of one event; 0: none of ours. */
static uint32_t changed_guest(struct cgroup_ctx *ctx, const struct inotify_event *event)
{
	uint32_t guest_id = guest_of(ctx, event->wd);
	unsigned int index;

	if (event->mask & IN_IGNORED) {
		forget(ctx, event->wd);
		return 0;
	}
	return event->len && cgroup_text_vcpu_index(event->name, &index) == 0 ? guest_id : 0;
}

void cgroup_changes_collect(struct adapter *a, void (*changed)(void *user, uint32_t guest_id),
			    void *user)
{
	struct cgroup_ctx *ctx = a->ctx;
	char buf[4096] __attribute__((aligned(__alignof__(struct inotify_event))));
	uint32_t last = 0;
	ssize_t n;

	while ((n = read(ctx->watch_fd, buf, sizeof(buf))) > 0)
		for (const char *p = buf; p < buf + n;) {
			const struct inotify_event *event = (const void *)p;
			uint32_t guest_id = changed_guest(ctx, event);

			if (event->mask & IN_Q_OVERFLOW)
				tell_all(ctx, changed, user);
			if (guest_id && guest_id != last)
				changed(user, guest_id);
			last = guest_id ? guest_id : last;
			p += sizeof(*event) + event->len;
		}
}
