/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * usage - what each guest takes, for people: two samples per guest, rates are their difference.
 *
 * The samples of CPU time are those of overload protection, only further apart: a tick is too short
 * for a figure that people compare. Bytes of NICs are read here, every few seconds and when
 * somebody asks and the last ones are old.
 */
#include <stdlib.h>
#include <string.h>

#include "qosd/daemon/overload.h"
#include "qosd/host/net.h"

static void sample_nics(const struct guest *g, struct usage_sample *s)
{
	s->nnics = 0;
	for (size_t i = 0; i < g->nnics && s->nnics < GUEST_NICS_SAMPLED; i++) {
		struct nic_sample *n = &s->nics[s->nnics];

		if (!g->nics[i].ifindex ||
		    net_read_link_bytes(g->nics[i].device, &n->in_bytes, &n->out_bytes) < 0)
			continue;
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

static void sample_guest(struct engine *e, const struct guest *g, struct guest_row *row)
{
	struct usage_sample s = { 0 };

	if (!take_measured(e, g->id, &s))
		return;
	if (!row->usage)
		row->usage = calloc(1, sizeof(*row->usage));
	if (!row->usage || row->usage->last.at_us == s.at_us)
		return;
	s.nics_at_us = engine_now_us(e);
	sample_nics(g, &s);
	row->usage->before = row->usage->last;
	row->usage->last = s;
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
