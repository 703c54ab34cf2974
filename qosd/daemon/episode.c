/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "qosd/daemon/episode.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "qosd/core/mem.h"
#include "qosd/daemon/engine.h"
#include "qosd/daemon/trial.h"

#define CLOSE_LIMIT_US 2000000ULL

static uint64_t clock_us(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

/* ---- life ---- */

struct episodes *episodes_open(struct engine *e)
{
	struct episodes *all = calloc(1, sizeof(*all));

	if (!all)
		return NULL;
	all->next_id = 1;
	episode_file_load(e, all);
	return all;
}

void episodes_close(struct engine *e)
{
	if (!e->episodes)
		return;
	episode_drop_followers(e);
	episode_file_flush(e, CLOSE_LIMIT_US);
	free(e->episodes->past);
	free(TAKE_PTR(e->episodes));
}

/* ---- who ---- */

static bool find_name(void *user, uint32_t id, const char **ret_name, const char **ret_class)
{
	const struct picture *p = ((struct engine *)user)->picture;

	for (size_t i = 0; p && i < p->inventory->count; i++) {
		if (p->inventory->guests[i]->id != id)
			continue;
		*ret_name = p->inventory->guests[i]->name;
		*ret_class = p->assign[i].effective.name;
		return true;
	}
	return false;
}

/* ---- the log: one line at the onset, one at the end ---- */

static struct log_about about_episode(const struct episode *e)
{
	return (struct log_about){ .episode = e->id, .resource = resource_names[e->resource] };
}

static void log_onset(const struct engine *e, const struct episode *one)
{
	struct log_about about = about_episode(one);
	char cause[EPISODE_CAUSE_MAX];

	log_message(&e->log, LOG_NOTICE, &about, "%s overload %llu begins: %s",
		    resource_names[one->resource], (unsigned long long)one->id,
		    episode_cause(one, cause, sizeof(cause)));
}

static void log_end(const struct engine *e, const struct episode *one)
{
	struct log_about about = about_episode(one);
	char cause[EPISODE_CAUSE_MAX], reaction[48] = "no throttle";

	if (one->reaction_ms != EPISODE_UNKNOWN)
		snprintf(reaction, sizeof(reaction), "throttled within %llu ms",
			 (unsigned long long)one->reaction_ms);
	log_message(&e->log, LOG_NOTICE, &about,
		    "%s overload %llu is over after %.1f s: peak pressure %.2f, %s, %llu writes, "
		    "%u relapses; %s",
		    resource_names[one->resource], (unsigned long long)one->id,
		    (double)(one->ended_ms - one->began_ms) / 1e3, (double)one->peak_permille / 1e3,
		    reaction, (unsigned long long)one->actions, one->relapses,
		    episode_cause(one, cause, sizeof(cause)));
}

/* ---- ticks ---- */

/* In its place by id, which is near the end; the oldest goes when there are too many. */
static void keep(struct episodes *all, const struct episode *one)
{
	size_t at;

	if (all->count == EPISODES_KEPT) {
		memmove(all->past, all->past + 1, --all->count * sizeof(*all->past));
	} else if (mem_grow(&all->past, &all->capacity, all->count + 1, sizeof(*all->past)) < 0) {
		return; /* it is in the file, and was told */
	}
	for (at = all->count; at > 0 && all->past[at - 1].id > one->id; at--)
		all->past[at] = all->past[at - 1];
	all->past[at] = *one;
	all->count++;
}

static void tell(struct engine *e, enum episode_news news, const struct episode *one)
{
	struct episodes *all = e->episodes;

	if (news == EPISODE_SAME)
		return;
	if (news == EPISODE_BEGAN) {
		all->next_id++;
		all->total[one->resource]++;
		log_onset(e, one);
	}
	if (news == EPISODE_ENDED) {
		log_end(e, one);
		keep(all, one);
	}
	if (news != EPISODE_CHANGED)
		episode_tell_followers(e, one);
	episode_file_put(e, one);
}

void episode_trigger(struct engine *e, enum resource r, uint64_t at_us)
{
	if (e->episodes)
		e->episodes->trigger_us[r] = at_us;
}

/*
 * Writes belong to the overloads whose depth this tick changed. When none did (a guest was started,
 * caps moved with the demand) they belong to all.
 */
static void enter_writes(struct engine *e)
{
	struct episodes *all = e->episodes;
	uint64_t writes = all->writes;
	bool moved = false;

	all->writes = 0;
	for (int r = 0; r < RESOURCE_COUNT; r++)
		moved |= all->tracks[r].moved;
	for (int r = 0; r < RESOURCE_COUNT; r++) {
		struct episode_track *t = &all->tracks[r];

		if ((!moved || t->moved) && episode_acted(t, writes, all->written_us))
			episode_file_put(e, &t->now);
	}
}

void episode_tick(struct engine *e, const struct govern_output *out, const struct sample *now)
{
	struct episode_names names = { .find = find_name, .user = e };
	struct episode_tick tick = { .at_us = now->at_us, .names = &names };

	if (!e->episodes)
		return;
	tick.wall_ms = clock_us(CLOCK_REALTIME) / 1000;
	for (int r = 0; r < RESOURCE_COUNT; r++) {
		struct episode_track *t = &e->episodes->tracks[r];

		tick.found = &out->resources[r];
		tick.trigger_us = e->episodes->trigger_us[r];
		tell(e, episode_step(t, (enum resource)r, &tick, e->episodes->next_id), &t->now);
	}
	enter_writes(e);
	trial_tick(e, out);
}

void episode_actions(struct engine *e, size_t knobs_written)
{
	if (!e->episodes || !knobs_written)
		return;
	e->episodes->writes += knobs_written;
	e->episodes->written_us = clock_us(CLOCK_MONOTONIC);
}

const struct episode *episode_now(const struct engine *e, enum resource r)
{
	const struct episode *one = e->episodes ? &e->episodes->tracks[r].now : NULL;

	return one && one->id && !one->ended_ms ? one : NULL;
}
