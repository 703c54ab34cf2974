/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * make - small builders for core tests: guests, a policy with three classes, a whole situation.
 *
 * They abort when memory runs out: a test has nothing better to do.
 */
#ifndef QOSD_T_MAKE_H
#define QOSD_T_MAKE_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "qosd/core/classify.h"
#include "qosd/core/guest.h"
#include "qosd/core/host.h"
#include "qosd/core/ledger.h"
#include "qosd/core/placement.h"
#include "qosd/core/plan.h"
#include "qosd/core/policy.h"

#define GIB (UINT64_C(1) << 30)
#define MIB (UINT64_C(1) << 20)

static inline void *must(void *p)
{
	if (!p)
		abort();
	return p;
}

/* A repeatable random number. */
static inline uint32_t next_random(uint64_t *seed)
{
	*seed = *seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (uint32_t)(*seed >> 33);
}

/* Room for one of the last 64 CPU sets that a test made. */
static inline struct cpuset *make_room_for_cpus(void)
{
	static struct cpuset rooms[64];
	static unsigned int next;

	return &rooms[next++ % 64];
}

static inline struct guest *make_guest(const char *name, uint32_t id, uint32_t vcpus,
				       uint64_t memory_bytes)
{
	struct guest *g = must(guest_new());
	char path[512];

	g->id = id;
	g->name = must(strdup(name));
	snprintf(g->uuid, sizeof(g->uuid), "00000000-0000-4000-8000-%012x", id);
	g->vcpus = vcpus;
	g->memory_bytes = memory_bytes;
	g->pid = (int)id + 1000;
	g->start_ticks = id * 100;
	g->systemd = true;
	snprintf(path, sizeof(path), "/machine.slice/machine-qemu\\x2d%u\\x2d%.200s.scope/libvirt",
		 id, name);
	g->cgroup = must(strdup(path));
	g->cgroup_memory = must(strdup(path));
	return g;
}

static inline void make_nic(struct guest *g, const char *device, uint32_t ifindex)
{
	struct guest_nic *nic;

	g->nics = must(realloc(g->nics, (g->nnics + 1) * sizeof(*g->nics)));
	nic = &g->nics[g->nnics++];
	memset(nic, 0, sizeof(*nic));
	snprintf(nic->device, sizeof(nic->device), "%s", device);
	nic->ifindex = ifindex;
}

/* Virtual function 1 of eth0, which the guest drives itself. */
static inline void make_vf(struct guest *g, const char *pci)
{
	struct guest_nic *nic;

	make_nic(g, "", 0);
	nic = &g->nics[g->nnics - 1];
	snprintf(nic->type, sizeof(nic->type), "hostdev");
	snprintf(nic->pci, sizeof(nic->pci), "%s", pci);
	nic->vf = true;
	nic->vf_number = 1;
	snprintf(nic->card, sizeof(nic->card), "eth0");
	nic->card_ifindex = 2;
}

static inline void make_override(struct guest *g, const char *key, const char *value)
{
	g->overrides = must(realloc(g->overrides, (g->noverrides + 1) * sizeof(*g->overrides)));
	g->overrides[g->noverrides].key = must(strdup(key));
	g->overrides[g->noverrides++].value = must(strdup(value));
}

static inline void set_text(char **field, const char *text)
{
	free(*field);
	*field = must(strdup(text));
}

/* Put a guest into an inventory that keeps the only reference. */
static inline struct guest *add_guest(struct inventory *inv, struct guest *g)
{
	if (inventory_add(inv, g) < 0)
		abort();
	guest_unref(g);
	return g;
}

static inline struct qclass *make_class(struct policy *p, const char *name, uint32_t rank)
{
	struct qclass *c = must(policy_add_class(p));

	c->name = (char *)name; /* not owned: policies live in arenas */
	c->rank = rank;
	return c;
}

/*
 * gold: dedicated, weight 400, all memory reserved, no swap. silver: weight 200. bronze: shared,
 * 10 % reserved, limit 50 %, 20 Mbit/s. Default: silver.
 */
static inline struct policy *make_policy(void)
{
	struct policy *p = must(policy_new());
	struct qclass *c;

	p->host.reserve.memory_bytes = 1 * GIB;
	c = make_class(p, "gold", 0);
	c->cpu.placement = PLACEMENT_DEDICATED;
	c->cpu.weight = 400;
	c->memory.reservation = (struct amount){ .relative = true, .value = 1000 };
	c->memory.swap = SWAP_NONE;
	c = make_class(p, "silver", 1);
	c->cpu.weight = 200;
	c->memory.low = (struct amount){ .relative = true, .value = 500 };
	c = make_class(p, "bronze", 2);
	c->cpu.placement = PLACEMENT_SHARED;
	c->cpu.reservation_permille = 100;
	c->cpu.limit_permille = 500;
	c->net.limit_bps = 20000000;
	p->default_class_name = (char *)"silver";
	for (size_t i = 0; i < p->nclasses; i++)
		p->classes[i].index = (uint32_t)i;
	return p;
}

struct scene { /* everything that a plan is made from; borrowed: policy, host, inventory */
	struct policy *policy;
	struct host *host;
	struct inventory *inv;
	struct assignment *assign;
	bool *admitted;
	uint8_t *treatment;
	struct qerr *errs;
	struct ledger ledger;
	struct placement *placement;
	struct plan_input input;
};

static inline struct scene *scene_new(struct policy *policy, struct host *host)
{
	struct scene *s = must(calloc(1, sizeof(*s)));

	s->policy = policy;
	s->host = host;
	s->inv = must(inventory_new(0));
	return s;
}

static inline struct guest *scene_add(struct scene *s, const char *name, uint32_t id,
				      uint32_t vcpus, uint64_t memory_bytes, const char *class_name)
{
	struct guest *g = make_guest(name, id, vcpus, memory_bytes);

	set_text(&g->class_name, class_name);
	return add_guest(s->inv, g);
}

/* Classify, admit and place all guests anew; earlier placement is the previous one. */
static inline void scene_settle(struct scene *s)
{
	size_t n = s->inv->count;
	struct placement *before = s->placement;

	s->assign = must(realloc(s->assign, (n + 1) * sizeof(*s->assign)));
	s->admitted = must(realloc(s->admitted, (n + 1) * sizeof(*s->admitted)));
	s->errs = must(realloc(s->errs, (n + 1) * sizeof(*s->errs)));
	free(s->treatment);
	s->treatment = must(calloc(n + 1, sizeof(*s->treatment)));
	for (size_t i = 0; i < n; i++)
		classify(s->policy, s->inv->guests[i], &s->assign[i]);
	if (ledger_build(&s->ledger, s->policy, s->host, s->inv, s->assign, s->admitted, s->errs) <
	    0)
		abort();
	s->placement =
		must(placement_compute(s->policy, s->host, s->inv, s->assign, s->admitted, before));
	placement_free(before);
	s->input = (struct plan_input){ .policy = s->policy,
					.host = s->host,
					.inventory = s->inv,
					.assign = s->assign,
					.admitted = s->admitted,
					.placement = s->placement,
					.treatment = s->treatment };
}

/* Stop one guest: a new inventory without it. */
static inline void scene_stop(struct scene *s, const char *name)
{
	struct inventory *rest = must(inventory_new(0));

	for (size_t i = 0; i < s->inv->count; i++)
		if (strcmp(s->inv->guests[i]->name, name) != 0 &&
		    inventory_add(rest, s->inv->guests[i]) < 0)
			abort();
	inventory_free(s->inv);
	s->inv = rest;
}

/* Frees the policy and the host too. */
static inline void scene_free(struct scene *s)
{
	placement_free(s->placement);
	inventory_free(s->inv);
	policy_free(s->policy);
	host_free(s->host);
	free(s->assign);
	free(s->admitted);
	free(s->errs);
	free(s->treatment);
	free(s);
}

static inline size_t scene_index(const struct scene *s, const char *name)
{
	for (size_t i = 0; i < s->inv->count; i++)
		if (strcmp(s->inv->guests[i]->name, name) == 0)
			return i;
	abort();
}

#endif
