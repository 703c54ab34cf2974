/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * usage - what each guest takes, for people: two samples per guest, rates are their difference.
 *
 * The samples of CPU time and of bytes are those of overload protection, only further apart: a tick
 * is too short for a figure that people compare. What the shaper counts is read here, every few
 * seconds and when somebody asks and the last sample is old.
 */
#include <stdlib.h>
#include <string.h>

#include "qosd/daemon/overload.h"

static struct nic_flow flow_of(const struct nic_reading *r)
{
	return (struct nic_flow){ .bytes = r->bytes,
				  .offered_bytes =
					  r->counted ? r->shaper.offered_bytes : SAMPLE_UNKNOWN };
}

static void sample_nics(const struct sampler *sampler, const struct guest *g,
			struct usage_sample *s)
{
	for (size_t i = 0; sampler->nic && i < g->nnics && s->nnics < GUEST_NICS_SAMPLED; i++) {
		struct nic_sample *n = &s->nics[s->nnics];
		struct nic_reading in, out;

		if (!g->nics[i].device[0])
			continue;
		sampler->nic(sampler->ctx, &g->nics[i], &in, &out);
		n->in = flow_of(&in);
		n->out = flow_of(&out);
		memcpy(n->device, g->nics[i].device, sizeof(n->device));
		s->nnics++;
	}
}

/* What the tick has measured already; false: nothing new. */
static bool take_measured(const struct engine *e, uint32_t id, struct usage_sample *s)
{
	const struct protection *p = e->protection;
	const struct sample *newest = &p->samples[p->newest];
	const struct sample_guest *g = p->nsamples ? sample_find(newest, id) : NULL;

	if (!g || g->run_ns == SAMPLE_UNKNOWN || g->wait_ns == SAMPLE_UNKNOWN)
		return false;
	s->at_us = newest->at_us;
	s->run_ns = g->run_ns;
	s->wait_ns = g->wait_ns;
	return true;
}

static void add_growth(uint64_t *sum, uint64_t before, uint64_t now)
{
	uint64_t grown = sample_delta(before, now);

	if (grown != SAMPLE_UNKNOWN)
		*sum += grown;
}

static void take(struct usage *u, const struct usage_sample *s)
{
	add_growth(&u->run_ns, u->last.run_ns, s->run_ns);
	add_growth(&u->wait_ns, u->last.wait_ns, s->wait_ns);
	u->before = u->last;
	u->last = *s;
}

static void sample_guest(struct engine *e, const struct guest *g, struct guest_row *row)
{
	struct usage_sample s = { 0 };

	if (!take_measured(e, g->id, &s))
		return;
	if (!row->usage)
		row->usage = calloc(1, sizeof(*row->usage));
	if (!row->usage || row->usage->last.at_us == s.at_us)
		return;
	s.offered_at_us = engine_now_us(e);
	sample_nics(&e->protection->sampler, g, &s);
	take(row->usage, &s);
}

void engine_sample(struct engine *e, uint64_t max_age_us)
{
	uint64_t now_us = engine_now_us(e);

	for (size_t i = 0; e->inventory && i < e->inventory->count; i++) {
		const struct guest *g = e->inventory->guests[i];
		struct guest_row *row = guests_find(&e->guests, g->id);

		if (row && (!row->usage || now_us - row->usage->last.at_us >= max_age_us))
			sample_guest(e, g, row);
	}
}
