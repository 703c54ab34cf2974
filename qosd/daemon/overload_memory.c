/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * overload_memory - memory is not a knob: it is taken step by step, and each step takes its time.
 *
 * Each tick, every guest that has more than its cap is asked for one step, unless one of it is
 * under way or the last one found nothing to take. Steps run on a thread of their own, one after
 * the other; the ticket of a step is its guest's id.
 */
#include <errno.h>
#include <string.h>

#include "qosd/core/mem.h"
#include "qosd/daemon/overload.h"
#include "qosd/host/cgroup.h"

#define STEPS_QUEUED_MAX 64
#define STOP_US          100000ULL  /* a step that runs on is left behind */
#define REST_US          5000000ULL /* a guest that gave nothing is asked again after it */

static int cgroup_step(void *ctx, const struct guest *g, uint64_t down_to_bytes, uint64_t ticket,
		       struct qerr *err)
{
	return cgroup_reclaim(ctx, g, down_to_bytes, ticket, err);
}

void overload_reclaim_done(void *user, uint64_t ticket, int result, const struct qerr *err)
{
	struct engine *e = user;
	struct guest_row *row = guests_find(&e->guests, (uint32_t)ticket);

	(void)err;
	if (!row || !ticket)
		return; /* its guest has gone */
	row->reclaiming = false;
	if (result < 0)
		row->reclaim_after_us =
			e->protection->samples[e->protection->newest].at_us + REST_US;
}

static int on_reclaimed(sd_event_source *s, int fd, uint32_t events, void *user)
{
	struct engine *e = user;

	(void)s;
	(void)fd;
	(void)events;
	worker_collect(e->protection->reclaimer, overload_reclaim_done, e);
	return 0;
}

int overload_start_reclaimer(struct engine *e, struct worker **ret, struct qerr *err)
{
	struct protection *p = e->protection;
	int r = worker_new("qosd-reclaim", STEPS_QUEUED_MAX, &p->reclaimer);

	if (r >= 0)
		r = sd_event_add_io(e->event, &p->reclaimed, worker_fd(p->reclaimer), EPOLLIN,
				    on_reclaimed, e);
	if (r < 0)
		return qerr_set(err, r, "cannot start a worker thread: %s", strerror(-r));
	p->reclaim = cgroup_step;
	*ret = p->reclaimer;
	return 0;
}

void overload_stop_reclaimer(struct protection *p)
{
	sd_event_source_disable_unref(p->reclaimed);
	worker_free(p->reclaimer, STOP_US);
}

/* Has guest k more than its cap, and may it be asked? */
static bool wants_step(const struct protection *p, size_t k, const struct guest_row *row)
{
	const struct sample *now = &p->samples[p->newest];
	uint64_t cap = p->out.caps[k].memory_bytes;
	const struct sample_guest *g;

	if (cap == THROTTLE_NONE || row->reclaiming || row->reclaim_after_us > now->at_us)
		return false;
	g = sample_find(now, p->guests[k].id);
	return g && g->memory_bytes != SAMPLE_UNKNOWN && g->memory_bytes > cap;
}

size_t overload_memory_step(struct engine *e)
{
	struct protection *p = e->protection;
	void *ctx = e->adapters[ADAPTER_CGROUP];
	size_t started = 0;
	int r = 0;

	if (!p->reclaim || !p->ticked || !engine_enforcing(e) || !e->inventory)
		return 0;
	for (size_t k = 0; k < p->nguests && r != -EBUSY && r != -EOPNOTSUPP; k++) {
		uint32_t id = p->guests[k].id;
		const struct guest *g = inventory_by_id(e->inventory, id);
		struct guest_row *row = guests_find(&e->guests, id);

		if (!g || !row || !wants_step(p, k, row))
			continue;
		r = p->reclaim(ctx, g, p->out.caps[k].memory_bytes, id, NULL);
		row->reclaiming = r == -EINPROGRESS;
		started += row->reclaiming;
	}
	if (r == -EOPNOTSUPP)
		p->reclaim = NULL; /* `qosctl doctor` tells why */
	return started;
}
