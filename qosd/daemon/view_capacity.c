/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * view_capacity - what this host has, what is promised of it, and what can still be promised.
 *
 * The same numbers as admission decides by (the ledger of the last picture), and who has them.
 */
#include <stdlib.h>

#include "qosd/core/mem.h"
#include "qosd/core/netshare.h"
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

	return json_pack("{s:i, s:i, s:i, s:i, s:o, s:o, s:o, s:o, s:o}", "total",
			 (int)cpuset_count(&e->host->online), "housekeeping",
			 (int)cpuset_count(&p->policy->host.reserve.cpus), "dedicated",
			 (int)l->dedicated_used_cpus, "dedicated_free",
			 (int)rest(l->dedicated_capacity_cpus, l->dedicated_used_cpus), "shared",
			 cpus_of(l->shared_capacity_mcpu), "shared_reserved",
			 cpus_of(l->shared_reserved_mcpu), "shared_free",
			 cpus_of(rest(l->shared_capacity_mcpu, l->shared_reserved_mcpu)),
			 "rbd_shared", cpus_of(l->clients_shared.mcpu), "rbd_housekeeping",
			 cpus_of(l->clients_host.mcpu));
}

/* What the cards of guests reserve on each network of the policy; NULL when out of memory. */
static uint64_t *reserved_by_network(const struct picture *p)
{
	uint64_t *bps = calloc(p->policy->nnetworks + 1, sizeof(*bps));

	for (size_t i = 0; bps && i < p->inventory->count; i++) {
		const struct guest *g = p->inventory->guests[i];

		for (size_t k = 0; k < g->nnics; k++) {
			uint32_t n = netshare_network_of(p->policy, &g->nics[k]);

			if (n != NETSHARE_NONE)
				bps[n] += p->assign[i].effective.net.reservation_bps;
		}
	}
	return bps;
}

/* Networks with one uplink share its rate, which any of them may give, and what is left of it. */
static void look_at_uplink(const struct policy *policy, uint32_t network, const uint64_t *reserved,
			   uint64_t *ret_rate_bps, uint64_t *ret_free_bps)
{
	uint32_t line = netshare_line_of(policy, network);
	uint64_t rate_bps = POLICY_NONE_U64, promised_bps = 0;

	for (uint32_t i = line; i < policy->nnetworks; i++) {
		const struct network *n = &policy->networks[i];

		if (netshare_line_of(policy, i) != line)
			continue;
		if (rate_bps == POLICY_NONE_U64)
			rate_bps = n->rate_bps;
		promised_bps += n->reservation_bps + reserved[i];
	}
	*ret_rate_bps = rate_bps;
	*ret_free_bps =
		rate_bps == POLICY_NONE_U64 ? POLICY_NONE_U64 : rest(rate_bps, promised_bps);
}

static json_t *bps_or_null(uint64_t bps)
{
	return bps == POLICY_NONE_U64 ? json_null() : json_integer((json_int_t)bps);
}

static json_t *capacity_network(const struct policy *policy, uint32_t index,
				const uint64_t *reserved)
{
	const struct network *n = &policy->networks[index];
	uint64_t rate_bps, free_bps;

	look_at_uplink(policy, index, reserved, &rate_bps, &free_bps);
	return json_pack("{s:o, s:o, s:o, s:o, s:I, s:I, s:o}", "name", view_text(n->name),
			 "device", view_text(n->device), "uplink", view_text(netshare_uplink(n)),
			 "rate_bps", bps_or_null(rate_bps), "host_bps",
			 (json_int_t)n->reservation_bps, "reserved_bps",
			 (json_int_t)reserved[index], "free_bps", bps_or_null(free_bps));
}

static json_t *capacity_networks(const struct picture *p)
{
	uint64_t *reserved CLEANUP_FREE = reserved_by_network(p);
	json_t *list = reserved ? json_array() : NULL;

	for (uint32_t i = 0; list && i < p->policy->nnetworks; i++)
		json_array_append_new(list, capacity_network(p->policy, i, reserved));
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
