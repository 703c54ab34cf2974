/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * view_capacity - what this host has, what is promised of it, and what can still be promised.
 *
 * The same numbers as admission decides by (the ledger of the last picture), and who has them.
 */
#include <string.h>

#include "qosd/daemon/view.h"

static uint64_t rest(uint64_t all, uint64_t used)
{
	return all > used ? all - used : 0;
}

static json_t *cpus_of(uint64_t mcpu)
{
	return json_real((double)mcpu / 1000);
}

/* Part of the reservations of admitted guests that is for their RBD clients. */
static uint64_t reserved_for_rbd(const struct picture *p)
{
	uint64_t bytes = 0;

	for (size_t i = 0; i < p->inventory->count; i++) {
		const struct qclass *c = &p->assign[i].effective;

		if (p->admitted[i] && class_memory_reservation(c, p->inventory->guests[i]))
			bytes += class_memory_rbd_caches(c, p->inventory->guests[i]);
	}
	return bytes;
}

static json_t *capacity_memory(const struct engine *e, const struct picture *p)
{
	const struct ledger *l = &p->ledger;

	return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "total_bytes",
			 (json_int_t)e->host->memory_bytes, "reserve_bytes",
			 (json_int_t)p->policy->host.reserve.memory_bytes, "services_bytes",
			 (json_int_t)e->host->services_bytes, "reservable_bytes",
			 (json_int_t)l->memory_capacity_bytes, "reserved_bytes",
			 (json_int_t)l->memory_reserved_bytes, "reserved_rbd_bytes",
			 (json_int_t)reserved_for_rbd(p), "free_bytes",
			 (json_int_t)rest(l->memory_capacity_bytes, l->memory_reserved_bytes));
}

static json_t *capacity_rbd(const struct ledger *l)
{
	bool bounded = l->rbd_capacity_bytes != POLICY_NONE_U64;

	return json_pack(
		"{s:o, s:I, s:o}", "budget_bytes",
		bounded ? json_integer((json_int_t)l->rbd_capacity_bytes) : json_null(),
		"used_bytes", (json_int_t)l->rbd_used_bytes, "free_bytes",
		bounded ? json_integer((json_int_t)rest(l->rbd_capacity_bytes, l->rbd_used_bytes))
			: json_null());
}

static json_t *capacity_cpu(const struct engine *e, const struct picture *p)
{
	const struct ledger *l = &p->ledger;

	return json_pack("{s:i, s:i, s:i, s:i, s:o, s:o, s:o}", "total",
			 (int)cpuset_count(&e->host->online), "housekeeping",
			 (int)cpuset_count(&p->policy->host.reserve.cpus), "dedicated",
			 (int)l->dedicated_used_cpus, "dedicated_free",
			 (int)rest(l->dedicated_capacity_cpus, l->dedicated_used_cpus), "shared",
			 cpus_of(l->shared_capacity_mcpu), "shared_reserved",
			 cpus_of(l->shared_reserved_mcpu), "shared_free",
			 cpus_of(rest(l->shared_capacity_mcpu, l->shared_reserved_mcpu)));
}

/* What guests reserve on a network's bridge: each of their cards there. */
static uint64_t guests_on_network(const struct picture *p, const char *device)
{
	uint64_t bps = 0;

	for (size_t i = 0; i < p->inventory->count; i++) {
		const struct guest *g = p->inventory->guests[i];

		for (size_t k = 0; k < g->nnics; k++)
			if (device && strcmp(g->nics[k].bridge, device) == 0)
				bps += p->assign[i].effective.net.reservation_bps;
	}
	return bps;
}

static json_t *capacity_network(const struct picture *p, const struct network *n)
{
	uint64_t guests = guests_on_network(p, n->device);
	bool known = n->rate_bps != POLICY_NONE_U64;

	return json_pack(
		"{s:o, s:o, s:o, s:I, s:I, s:o}", "name", view_text(n->name), "device",
		view_text(n->device), "rate_bps",
		known ? json_integer((json_int_t)n->rate_bps) : json_null(), "host_bps",
		(json_int_t)n->reservation_bps, "reserved_bps", (json_int_t)guests, "free_bps",
		known ? json_integer((json_int_t)rest(n->rate_bps, n->reservation_bps + guests))
		      : json_null());
}

static json_t *capacity_networks(const struct picture *p)
{
	json_t *list = json_array();

	for (size_t i = 0; i < p->policy->nnetworks; i++)
		json_array_append_new(list, capacity_network(p, &p->policy->networks[i]));
	return list;
}

static json_t *capacity_class(const struct picture *p, const struct qclass *c)
{
	uint64_t guests = 0, memory = 0, rbd = 0, mcpu = 0;

	for (size_t i = 0; i < p->inventory->count; i++) {
		const struct guest *g = p->inventory->guests[i];
		const struct qclass *own = &p->assign[i].effective;

		if (p->assign[i].base != c)
			continue;
		guests++;
		if (!p->admitted[i])
			continue;
		memory += class_memory_reservation(own, g);
		rbd += class_memory_rbd_caches(own, g);
		mcpu += class_cpu_reservation_mcpu(own, g);
	}
	return json_pack("{s:s, s:I, s:I, s:I, s:o}", "name", c->name, "guests", (json_int_t)guests,
			 "memory_bytes", (json_int_t)memory, "rbd_bytes", (json_int_t)rbd, "cpu",
			 cpus_of(mcpu));
}

static json_t *capacity_classes(const struct picture *p)
{
	json_t *list = json_array();

	for (size_t i = 0; i < p->policy->nclasses; i++)
		json_array_append_new(list, capacity_class(p, &p->policy->classes[i]));
	return list;
}

json_t *view_capacity(struct engine *e)
{
	const struct picture *p = e->picture;

	return json_pack("{s:o, s:o, s:o, s:o, s:o}", "memory", capacity_memory(e, p), "rbd",
			 capacity_rbd(&p->ledger), "cpu", capacity_cpu(e, p), "networks",
			 capacity_networks(p), "classes", capacity_classes(p));
}
