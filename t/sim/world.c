/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "t/sim/world.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "t/unit/make.h"

static const struct knobs free_knobs = {
	.weight = 100,
	.cpu_max = INFINITY,
	.net_bps = { INFINITY, INFINITY },
	.iops = INFINITY,
	.memory_target_bytes = INFINITY,
	.balloon_bytes = INFINITY,
};

struct world *world_new(const struct host_spec *host, const struct guest_spec *specs, size_t nspecs,
			uint64_t seed)
{
	struct world *w = must(calloc(1, sizeof(*w)));
	size_t n = 0;

	for (size_t i = 0; i < nspecs; i++)
		w->nvms += specs[i].count;
	w->host = host;
	w->rng = rng_new(seed, 0);
	w->vms = must(calloc(w->nvms, sizeof(*w->vms)));
	w->scratch = must(calloc(7 * w->nvms + 2, sizeof(*w->scratch)));
	w->swap_free_bytes = host->swap_gib * WORLD_GIB;
	w->available_bytes = host->memory_gib * WORLD_GIB;
	for (size_t i = 0; i < nspecs; i++) {
		for (uint32_t k = 0; k < specs[i].count; k++) {
			struct vm *vm = &w->vms[n++];

			vm->spec = &specs[i];
			vm->id = (uint32_t)n;
			vm->index = k;
			vm->rng = rng_new(seed, n);
			vm->knobs = free_knobs;
		}
	}
	return w;
}

void world_free(struct world *w)
{
	free(w->vms);
	free(w->scratch);
	free(w);
}

double world_share(const double *want, const double *weight, size_t n, double capacity, double *ret)
{
	double level = 0, left = capacity;
	bool again = true;

	for (size_t i = 0; i < n; i++)
		ret[i] = -1;
	while (again) {
		double weights = 0;

		again = false;
		for (size_t i = 0; i < n; i++)
			weights += ret[i] < 0 ? weight[i] : 0;
		if (weights <= 0)
			return INFINITY;
		level = left > 0 ? left / weights : 0;
		for (size_t i = 0; i < n; i++) {
			if (ret[i] >= 0 || want[i] > weight[i] * level)
				continue;
			ret[i] = want[i];
			left -= want[i];
			again = true;
		}
	}
	for (size_t i = 0; i < n; i++)
		if (ret[i] < 0)
			ret[i] = weight[i] * level;
	return level;
}

static void reset_vm(struct vm *vm)
{
	vm->knobs = free_knobs;
	vm->resident_bytes = vm->swapped_bytes = vm->balloon_bytes = 0;
	memset(vm->want, 0, sizeof(vm->want));
	memset(vm->got, 0, sizeof(vm->got));
	memset(vm->net_want, 0, sizeof(vm->net_want));
	memset(vm->net_got, 0, sizeof(vm->net_got));
	vm->wait_cpus = vm->memory_stall = vm->disk_latency_s = 0;
}

static void vm_wants(struct vm *vm, double now_s)
{
	const struct guest_spec *s = vm->spec;
	double late_s = s->spread_s * vm->index / s->count, local_s = now_s - late_s;
	bool up = local_s >= s->start_s && (s->stop_s <= 0 || now_s < s->stop_s);
	struct load_state *state = vm->load_state;

	if (!up && vm->up)
		reset_vm(vm);
	vm->up = up;
	if (!up)
		return;
	vm->want[RESOURCE_CPU] =
		fmin(load_at(&s->cpu, &state[0], &vm->rng, local_s), (double)s->vcpus);
	vm->want[RESOURCE_MEMORY] =
		fmin(load_at(&s->memory, &state[1], &vm->rng, local_s), s->memory_gib) * WORLD_GIB;
	for (int d = 0; d < 2; d++)
		vm->net_want[d] = load_at(&s->net[d], &state[2 + d], &vm->rng, local_s) * 1e6;
	vm->want[RESOURCE_DISK] = load_at(&s->disk, &state[4], &vm->rng, local_s);
}

void world_step(struct world *w)
{
	const struct host_spec *h = w->host;

	w->now_s += WORLD_STEP_S;
	w->cpu_host = load_at(&h->cpu, &w->load_state[0], &w->rng, w->now_s);
	w->memory_host_bytes =
		load_at(&h->memory, &w->load_state[1], &w->rng, w->now_s) * WORLD_GIB;
	w->net_host_bps = load_at(&h->net_out, &w->load_state[2], &w->rng, w->now_s) * 1e6;
	w->disk_host_iops = load_at(&h->disk, &w->load_state[3], &w->rng, w->now_s);
	for (size_t i = 0; i < w->nvms; i++)
		vm_wants(&w->vms[i], w->now_s);
	world_cpu(w);
	world_memory(w);
	if (h->uplink_mbps > 0)
		world_net(w);
	if (h->disk_iops > 0)
		world_disk(w);
	for (int r = 0; r < RESOURCE_COUNT; r++)
		w->psi_s[r] += w->psi_share[r] * WORLD_STEP_S;
}

/*
 * Writing cpu.max, even the same value, refills the quota of the running period (facts: a 20 % cap
 * rewritten at 10 Hz gives 40 % with 100 ms periods); ours last 20 ms.
 */
void world_write(struct vm *vm, const struct knobs *k, enum resource r)
{
	if (r == RESOURCE_CPU && isfinite(k->cpu_max))
		vm->cpu_bonus += k->cpu_max * 0.02;
	vm->knobs = *k;
}
