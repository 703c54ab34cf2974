/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * govern - the parts of a tick in their order.
 *
 *	guests, ladder -> demand, feelings -> pressures -> depths -> levels -> caps
 */
#include "qosd/core/govern.h"

#include <errno.h>
#include <string.h>

#include "qosd/core/govern_private.h"
#include "qosd/core/mem.h"

#define FAST_PRESSURE 0.5 /* from here on it is worth looking more often */
/* CPU PSI as a hint of an onset: much of the time someone waits, and a victim begins to feel it. */
#define HINT_PSI      0.3
#define HINT_PRESSURE 0.25

struct govern *govern_new(void)
{
	return calloc(1, sizeof(struct govern));
}

void govern_free(struct govern *g)
{
	if (!g)
		return;
	free(g->states);
	free(g->spare);
	free(g->caps);
	free(g->by_class);
	free(g->class_begin);
	free(g->bottom_us);
	free(g->shares);
	free(g->classes);
	free(g->ladder.places);
	free(g->ladder.ranks);
	free(g->spare_ladder.places);
	free(g->spare_ladder.ranks);
	free(g);
}

static const struct govern_manual *manual_for(const struct govern_input *in, const struct qclass *c,
					      uint32_t r)
{
	for (size_t i = 0; i < in->nmanual; i++)
		if (in->manual[i].resource == r && in->now->at_us < in->manual[i].until_us &&
		    strcmp(in->manual[i].class_name, c->name) == 0)
			return &in->manual[i];
	return NULL;
}

static uint16_t level_of(const struct govern *g, size_t c, size_t r)
{
	if (g->ladder.places[c] == PLACE_NONE)
		return 1000;
	return (uint16_t)governor_level(g->governors[r].depth, g->ladder.places[c]);
}

static void set_levels(struct govern *g, const struct govern_input *in)
{
	for (size_t c = 0; c < in->policy->nclasses; c++)
		for (uint32_t r = 0; r < RESOURCE_COUNT; r++) {
			const struct govern_manual *m = manual_for(in, &in->policy->classes[c], r);
			bool manual = m && in->policy->classes[c].rank > 0;
			uint32_t said =
				manual && m->level_permille < 1000 ? m->level_permille : 1000;

			g->classes[c].manual[r] = manual;
			g->classes[c].level[r] = manual ? (uint16_t)said : level_of(g, c, r);
		}
}

static bool any_frozen(const struct govern *g)
{
	for (size_t i = 0; i < g->nstates; i++)
		if (g->states[i].frozen)
			return true;
	return false;
}

static void step_resource(struct govern *g, const struct govern_turn *turn, enum resource r,
			  struct govern_resource *ret)
{
	struct governor_law law = governor_law_of(r, &turn->in->policy->overload);
	struct pressure p = signal_pressure(g, turn, r);
	struct governor *gov = &g->governors[r];
	struct governor_reading reading = { .pressure = p.value,
					    .steps = p.steps,
					    .slack = govern_slack(g, r),
					    .brink = signal_brink(turn, r),
					    .frozen = r == RESOURCE_MEMORY && any_frozen(g) };

	govern_claims(g, turn, r, &reading.claim, &reading.claim_all);
	/* a victim that is on the ladder itself asks for no more than the classes below it */
	if (p.steps < gov->depth)
		reading.steps = g->ladder.count;
	ret->event = governor_step(gov, &law, &reading, turn->in->now->at_us);
	ret->pressure = p.value;
	ret->victim = p.victim;
	ret->depth = gov->depth;
	ret->state = gov->state;
	memset(ret->culprits, 0, sizeof(ret->culprits));
	if (gov->state != GOVERNOR_CALM || p.value > 1)
		govern_culprits(g, r, ret->culprits);
}

static bool is_fast(const struct govern *g, const struct govern_turn *turn,
		    const struct govern_output *out)
{
	for (size_t r = 0; r < RESOURCE_COUNT; r++)
		if (governor_active(&g->governors[r]) || out->resources[r].pressure > FAST_PRESSURE)
			return true;
	return turn->psi[RESOURCE_CPU] > HINT_PSI &&
	       out->resources[RESOURCE_CPU].pressure > HINT_PRESSURE;
}

int govern_tick(struct govern *g, const struct govern_input *in, struct govern_output *ret)
{
	struct govern_turn turn;

	memset(ret, 0, sizeof(*ret));
	g->guests_changed = false;
	if (govern_guests_update(g, in) < 0 || govern_ladder_update(g, in) < 0)
		return -ENOMEM;
	signal_turn_init(g, &turn, in);
	govern_demand_update(g, &turn);
	signal_feel(g, &turn);
	for (uint32_t r = 0; r < RESOURCE_COUNT; r++)
		step_resource(g, &turn, (enum resource)r, &ret->resources[r]);
	set_levels(g, in);
	ret->caps_changed = govern_caps_update(g, &turn);
	ret->classes = g->classes;
	ret->nclasses = in->policy->nclasses;
	ret->caps = g->caps;
	ret->fast = is_fast(g, &turn, ret);
	return 0;
}

void govern_adopt(struct govern *g, const double depth[RESOURCE_COUNT], uint64_t now_us)
{
	for (size_t r = 0; r < RESOURCE_COUNT; r++) {
		if (!(depth[r] > 0))
			continue;
		g->governors[r] = (struct governor){ .depth = depth[r],
						     .state = GOVERNOR_HOLDING,
						     .at_us = now_us,
						     .clean_since_us = now_us,
						     .calm_since_us = now_us,
						     .relapse_depth = -1 };
		g->adopted = true;
	}
}

void govern_reset(struct govern *g)
{
	memset(g->governors, 0, sizeof(g->governors));
	g->memory_fall_bps = 0;
	g->nstates = 0; /* guests are met anew, without caps */
	g->adopted = false;
	g->ladder.count = 0;
	if (g->bottom_us)
		memset(g->bottom_us, 0, g->classes_capacity * sizeof(*g->bottom_us));
}
