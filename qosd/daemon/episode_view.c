/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "qosd/core/mem.h"
#include "qosd/daemon/control.h"
#include "qosd/daemon/engine.h"
#include "qosd/daemon/episode.h"
#include "qosd/daemon/view.h"

/* ---- JSON ---- */

static json_t *effective_json(uint32_t effect)
{
	if (effect == EPISODE_EFFECT_UNKNOWN)
		return json_null();
	return json_boolean(effect == EPISODE_HELPED);
}

static json_t *view_episode(const struct episode *e)
{
	char cause[EPISODE_CAUSE_MAX];

	return json_pack("{s:I, s:s, s:o, s:o, s:o, s:f, s:o, s:I, s:o, s:f, s:I}", "id",
			 (json_int_t)e->id, "resource", resource_names[e->resource], "cause",
			 view_text(episode_cause(e, cause, sizeof(cause))), "began",
			 view_time_ms(e->began_ms), "ended", view_time_ms(e->ended_ms),
			 "peak_pressure", (double)e->peak_permille / 1000, "reaction_ms",
			 e->reaction_ms == EPISODE_UNKNOWN
				 ? json_null()
				 : json_integer((json_int_t)e->reaction_ms),
			 "actions", (json_int_t)e->actions, "effective", effective_json(e->effect),
			 "peak_depth", (double)e->depth_permille / 1000, "relapses",
			 (json_int_t)e->relapses);
}

static int by_id(const void *pa, const void *pb)
{
	const struct episode *a = *(const struct episode *const *)pa;
	const struct episode *b = *(const struct episode *const *)pb;

	return (a->id > b->id) - (a->id < b->id);
}

json_t *episode_view_all(const struct engine *e)
{
	const struct episodes *all = e->episodes;
	const struct episode **sorted CLEANUP_FREE = NULL;
	json_t *list = json_array();
	size_t n = 0;

	sorted = all ? calloc(all->count + RESOURCE_COUNT, sizeof(struct episode *)) : NULL;
	for (size_t i = 0; sorted && i < all->count; i++)
		sorted[n++] = &all->past[i];
	for (int r = 0; sorted && r < RESOURCE_COUNT; r++)
		if (episode_now(e, (enum resource)r))
			sorted[n++] = episode_now(e, (enum resource)r);
	if (n)
		qsort(sorted, n, sizeof(*sorted), by_id);
	for (size_t i = 0; i < n; i++)
		json_array_append_new(list, view_episode(sorted[i]));
	return json_pack("{s:o}", "episodes", list);
}

/* ---- those who follow ---- */

static void forget(struct episodes *all, size_t i)
{
	struct control_call *call = all->followers[i];

	all->followers[i] = all->followers[--all->nfollowers];
	control_call_unref(call);
}

static void on_gone(struct control_call *call, void *arg)
{
	struct episodes *all = ((struct engine *)arg)->episodes;

	for (size_t i = 0; i < all->nfollowers; i++)
		if (all->followers[i] == call) {
			forget(all, i);
			return;
		}
}

int episode_follow(struct engine *e, struct control_call *call)
{
	struct episodes *all = e->episodes;
	int r;

	if (!all || all->nfollowers == EPISODES_FOLLOWERS_MAX)
		return control_error(call, "Busy",
				     "%d others follow the episodes already; try again later",
				     EPISODES_FOLLOWERS_MAX);
	r = control_reply_more(call, episode_view_all(e));
	if (r < 0)
		return r == -EPIPE ? 0 : r;
	all->followers[all->nfollowers++] = control_call_ref(call);
	control_call_on_gone(call, on_gone, e);
	return 0;
}

/* A follower that is too slow is dropped by the server, which takes it off the list (on_gone). */
void episode_tell_followers(struct engine *e, const struct episode *one)
{
	struct episodes *all = e->episodes;
	struct control_call *calls[EPISODES_FOLLOWERS_MAX];
	size_t n = all->nfollowers;

	for (size_t i = 0; i < n; i++)
		calls[i] = control_call_ref(all->followers[i]);
	for (size_t i = 0; i < n; i++) {
		(void)control_reply_more(calls[i],
					 json_pack("{s:[o]}", "episodes", view_episode(one)));
		control_call_unref(calls[i]);
	}
}

void episode_drop_followers(struct engine *e)
{
	while (e->episodes && e->episodes->nfollowers)
		forget(e->episodes, 0);
}
