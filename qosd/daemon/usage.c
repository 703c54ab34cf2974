/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * usage - what each guest takes: two samples per guest, rates are their difference.
 *
 * Sampled every few seconds, and when somebody asks and the last sample is old: a calm host pays
 * next to nothing for it.
 */
#include <stdlib.h>
#include <string.h>

#include "qosd/daemon/engine.h"
#include "qosd/host/cgroup.h"
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

static void sample_guest(struct engine *e, const struct guest *g, struct guest_row *row,
			 uint64_t now_us)
{
	struct usage_sample s = { .at_us = now_us };

	if (cgroup_read_usage(e->adapters[ADAPTER_CGROUP], g, &s.cgroup) < 0)
		return;
	sample_nics(g, &s);
	if (!row->usage)
		row->usage = calloc(1, sizeof(*row->usage));
	if (!row->usage)
		return;
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
			sample_guest(e, g, row, now_us);
	}
}
