/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "t/sim/actuator.h"

#include <math.h>

#include "t/unit/make.h"

#define DELAY_S 0.005

struct pending { /* one value of one knob, by resource: they take different paths */
	struct knobs want;
	double due_s[RESOURCE_COUNT]; /* INFINITY: nothing under way */
};

struct actuator {
	const struct scenario *sc;
	struct scene *scene;
	struct pending *pending; /* per vm */
	size_t nvms;
	bool *up; /* of whom the scene was made */
	struct govern_guest *guests;
	size_t *vm_of; /* guest -> vm */
	size_t nguests;
};

/* ---- policy ---- */

static void class_amount(struct amount *a, uint32_t permille)
{
	if (permille)
		*a = (struct amount){ .relative = true, .value = permille };
}

static void add_class(struct policy *p, const struct class_spec *s)
{
	struct qclass *c = make_class(p, s->name, s->rank);

	if (s->cpu_weight)
		c->cpu.weight = s->cpu_weight;
	if (s->cpu_floor_permille)
		c->cpu.floor_permille = s->cpu_floor_permille;
	if (s->cpu_limit_permille)
		c->cpu.limit_permille = s->cpu_limit_permille;
	c->cpu.reservation_permille = s->cpu_reservation_permille;
	class_amount(&c->memory.reservation, s->memory_reservation_permille);
	class_amount(&c->memory.floor, s->memory_floor_permille);
	c->net.reservation_bps = s->net_reservation_mbps * UINT64_C(1000000);
	c->net.floor_bps = s->net_floor_mbps * UINT64_C(1000000);
	if (s->net_limit_mbps)
		c->net.limit_bps = s->net_limit_mbps * UINT64_C(1000000);
	if (s->disk_limit_iops)
		c->disk.total_iops = s->disk_limit_iops;
}

static struct policy *make_scenario_policy(const struct scenario *sc)
{
	struct policy *p = must(policy_new());

	for (const struct class_spec *s = sc->classes; s->name; s++)
		add_class(p, s);
	for (size_t i = 0; i < p->nclasses; i++)
		p->classes[i].index = (uint32_t)i;
	p->default_class_name = p->classes[0].name;
	p->mode = MODE_ENFORCE;
	if (sc->tick_s > 0)
		p->overload.tick_us = (uint64_t)(sc->tick_s * 1e6 + 0.5);
	if (sc->hold_s > 0)
		p->overload.release_hold_us = (uint64_t)(sc->hold_s * 1e6);
	if (sc->release_step > 0)
		p->overload.release_step_permille = (uint32_t)(sc->release_step * 1000);
	return p;
}

struct actuator *actuator_new(const struct scenario *sc, const struct world *w)
{
	struct actuator *a = must(calloc(1, sizeof(*a)));
	uint64_t memory_bytes = (uint64_t)(sc->host->memory_gib * WORLD_GIB);

	a->sc = sc;
	a->nvms = w->nvms;
	a->scene = scene_new(make_scenario_policy(sc),
			     must(host_regular(1, (unsigned int)sc->host->cpus, 1, memory_bytes)));
	a->pending = must(calloc(w->nvms, sizeof(*a->pending)));
	a->up = must(calloc(w->nvms, sizeof(*a->up)));
	a->guests = must(calloc(w->nvms, sizeof(*a->guests)));
	a->vm_of = must(calloc(w->nvms, sizeof(*a->vm_of)));
	for (size_t i = 0; i < w->nvms; i++) {
		a->pending[i].want = w->vms[i].knobs;
		for (int r = 0; r < RESOURCE_COUNT; r++)
			a->pending[i].due_s[r] = INFINITY;
	}
	return a;
}

void actuator_free(struct actuator *a)
{
	scene_free(a->scene);
	free(a->pending);
	free(a->up);
	free(a->guests);
	free(a->vm_of);
	free(a);
}

const struct policy *actuator_policy(const struct actuator *a)
{
	return a->scene->policy;
}

/* ---- guests ---- */

static struct guest *make_vm_guest(const struct actuator *a, const struct vm *vm)
{
	const struct guest_spec *s = vm->spec;
	char name[16], device[16];
	struct guest *g;

	snprintf(name, sizeof(name), "g%05u", vm->id);
	g = make_guest(name, vm->id, s->vcpus, (uint64_t)(s->memory_gib * WORLD_GIB));
	set_text(&g->class_name, a->sc->classes[s->class_index].name);
	snprintf(device, sizeof(device), "vnet%u", vm->id);
	make_nic(g, device, 100 + vm->id);
	g->balloon = s->no_balloon ? GUEST_BALLOON_NONE : GUEST_BALLOON_SAFE;
	g->current_bytes = g->memory_bytes;
	g->disks = must(calloc(1, sizeof(*g->disks)));
	g->ndisks = 1;
	snprintf(g->disks[0].target, sizeof(g->disks[0].target), "vda");
	g->disks[0].fixed = true;
	return g;
}

static uint64_t part_of(uint64_t whole, uint64_t permille)
{
	return whole * permille / 1000;
}

static struct govern_guest as_governed(const struct actuator *a, const struct vm *vm)
{
	const struct class_spec *s = &a->sc->classes[vm->spec->class_index];
	const struct qclass *c = &a->scene->policy->classes[vm->spec->class_index];
	uint64_t whole_mcpu = vm->spec->vcpus * UINT64_C(1000);
	struct govern_guest g = { .id = vm->id,
				  .qclass = c,
				  .rank = c->rank,
				  .vcpus = vm->spec->vcpus,
				  .exempt = vm->spec->exempt,
				  .no_freeze = true };

	g.cpu_floor_mcpu = part_of(whole_mcpu, c->cpu.floor_permille);
	g.cpu_full_mcpu = c->cpu.limit_permille == POLICY_NONE_U32
				  ? whole_mcpu
				  : part_of(whole_mcpu, c->cpu.limit_permille);
	g.cpu_reserved_mcpu = part_of(whole_mcpu, c->cpu.reservation_permille);
	g.net_floor_bps = c->net.floor_bps;
	g.net_reserved_bps = c->net.reservation_bps;
	g.net_in_full_bps = g.net_out_full_bps = c->net.limit_bps;
	g.disk_floor_iops = s->disk_floor_iops;
	g.disk_full_iops = c->disk.total_iops;
	g.disk_floor_bytes_ps = 0;
	g.disk_full_bytes_ps = THROTTLE_NONE;
	g.memory_bytes = (uint64_t)(vm->spec->memory_gib * WORLD_GIB);
	g.memory_floor_bytes = part_of(g.memory_bytes, c->memory.floor.value);
	return g;
}

static bool changed(const struct actuator *a, const struct world *w)
{
	for (size_t i = 0; i < w->nvms; i++)
		if (a->up[i] != w->vms[i].up)
			return true;
	return false;
}

static void rebuild(struct actuator *a, const struct world *w)
{
	inventory_free(a->scene->inv);
	a->scene->inv = must(inventory_new(w->nvms));
	a->nguests = 0;
	for (size_t i = 0; i < w->nvms; i++) {
		a->up[i] = w->vms[i].up;
		if (!a->up[i])
			continue;
		add_guest(a->scene->inv, make_vm_guest(a, &w->vms[i]));
		a->vm_of[a->nguests] = i;
		a->guests[a->nguests++] = as_governed(a, &w->vms[i]);
	}
	scene_settle(a->scene);
}

const struct govern_guest *actuator_guests(struct actuator *a, const struct world *w,
					   size_t *ret_count)
{
	if (changed(a, w))
		rebuild(a, w);
	*ret_count = a->nguests;
	return a->guests;
}

/* ---- plan ---- */

static double unlimited(uint64_t v)
{
	return v == UINT64_MAX ? INFINITY : (double)v;
}

static void take_entry(struct knobs *k, const struct plan_entry *e)
{
	switch (e->knob) {
	case KNOB_CPU_WEIGHT:
		/* cpu.idle weighs 3 in the kernel where cpu.weight 100 is 1024. */
		k->weight = e->want.u64 ? (double)e->want.u64 : 0.3;
		break;
	case KNOB_CPU_MAX:
		k->cpu_max = e->want.quota_us == KNOB_MAX
				     ? INFINITY
				     : (double)e->want.quota_us / (double)e->want.period_us;
		break;
	case KNOB_MEMORY_MIN:
		if (e->target.kind == TARGET_GUEST)
			k->memory_min_bytes = (double)e->want.u64;
		break;
	case KNOB_NET_IN:
		k->net_bps[NET_IN] = unlimited(e->want.u64);
		break;
	case KNOB_NET_OUT:
		k->net_bps[NET_OUT] = unlimited(e->want.u64);
		break;
	case KNOB_DISK_TOTAL_IOPS:
		k->iops = fmin(k->iops, unlimited(e->want.u64));
		break;
	case KNOB_DISK_READ_IOPS: /* the simulated guest reads only what it may read and write */
	case KNOB_DISK_WRITE_IOPS:
		if (e->want.u64 != KNOB_MAX)
			k->iops = (isinf(k->iops) ? 0 : k->iops) + (double)e->want.u64;
		break;
	case KNOB_BALLOON:
		k->balloon_bytes = (double)e->want.u64;
		break;
	default:
		break;
	}
}

static bool same(double a, double b)
{
	return fabs(a - b) < 1e-9 * fmax(1, fabs(b)) || (isinf(a) && isinf(b));
}

static bool differs(const struct knobs *a, const struct knobs *b, enum resource r)
{
	switch (r) {
	case RESOURCE_CPU:
		return !same(a->weight, b->weight) || !same(a->cpu_max, b->cpu_max);
	case RESOURCE_MEMORY:
		return !same(a->memory_target_bytes, b->memory_target_bytes) ||
		       !same(a->balloon_bytes, b->balloon_bytes) ||
		       !same(a->memory_min_bytes, b->memory_min_bytes);
	case RESOURCE_NET:
		return !same(a->net_bps[0], b->net_bps[0]) || !same(a->net_bps[1], b->net_bps[1]);
	default:
		return !same(a->iops, b->iops);
	}
}

static void want(struct actuator *a, const struct world *w, size_t vm, const struct knobs *k)
{
	struct pending *p = &a->pending[vm];

	for (int r = 0; r < RESOURCE_COUNT; r++) {
		double delay_s =
			a->sc->actuator_delay_s[r] > 0 ? a->sc->actuator_delay_s[r] : DELAY_S;

		if (differs(k, &p->want, r) && isinf(p->due_s[r]))
			p->due_s[r] = w->now_s + delay_s;
	}
	p->want = *k;
}

void actuator_plan(struct actuator *a, const struct world *w, const struct guest_caps *caps)
{
	struct knobs none = { .weight = 100,
			      .cpu_max = INFINITY,
			      .net_bps = { INFINITY, INFINITY },
			      .iops = INFINITY,
			      .memory_target_bytes = INFINITY,
			      .balloon_bytes = INFINITY };
	struct knobs *knobs = must(calloc(a->nguests + 1, sizeof(*knobs)));
	size_t g = 0;
	struct plan *p;

	for (size_t i = 0; i < a->nguests; i++) {
		knobs[i] = none;
		if (caps && caps[i].memory_bytes != THROTTLE_NONE)
			knobs[i].memory_target_bytes = (double)caps[i].memory_bytes;
	}
	a->scene->input.caps = caps;
	p = must(plan_build(&a->scene->input));
	for (size_t k = 0; k < p->count; k++) {
		const struct plan_entry *e = &p->entries[k];

		if (!e->target.guest_id)
			continue;
		for (g = g < a->nguests ? g : 0; a->guests[g].id != e->target.guest_id;)
			g = (g + 1) % a->nguests;
		take_entry(&knobs[g], e);
	}
	plan_free(p);
	for (size_t i = 0; i < a->nguests; i++)
		want(a, w, a->vm_of[i], &knobs[i]);
	free(knobs);
}

/* ---- apply ---- */

static bool put(struct knobs *now, const struct knobs *k, enum resource r)
{
	if (!differs(now, k, r))
		return false;
	if (r == RESOURCE_CPU) {
		now->weight = k->weight;
		now->cpu_max = k->cpu_max;
	} else if (r == RESOURCE_MEMORY) {
		now->memory_target_bytes = k->memory_target_bytes;
		now->memory_min_bytes = k->memory_min_bytes;
		now->balloon_bytes = k->balloon_bytes;
	} else if (r == RESOURCE_NET) {
		now->net_bps[0] = k->net_bps[0];
		now->net_bps[1] = k->net_bps[1];
	} else {
		now->iops = k->iops;
	}
	return true;
}

void actuator_apply(struct actuator *a, struct world *w, void (*written)(void *context, size_t vm),
		    void *context)
{
	for (size_t i = 0; i < w->nvms; i++) {
		for (int r = 0; r < RESOURCE_COUNT; r++) {
			struct knobs now = w->vms[i].knobs;

			if (!w->vms[i].up || a->pending[i].due_s[r] > w->now_s)
				continue;
			a->pending[i].due_s[r] = INFINITY;
			if (!put(&now, &a->pending[i].want, r))
				continue;
			world_write(&w->vms[i], &now, r);
			written(context, i);
		}
	}
}
