/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * world_disk - latency and throughput of disks that all guests share.
 *
 * Below saturation latency is that of M/M/1, service / (1 - use), as long as queues are open.
 * Queues are not: a guest has at most queue_depth operations under way, so at saturation the
 * latency is (all operations under way) / (operations a second), and operations divide by queue
 * depth (Little, 1961). The lesser of both holds. A guest held back by its own limit waits for that
 * limit too, within its depth: the hypervisor counts that time.
 */
#include <math.h>

#include "t/sim/world.h"

#define OP_BYTES 4096

static double depth_of(const struct vm *vm)
{
	return vm->spec->queue_depth ? vm->spec->queue_depth : 32;
}

static void account(struct vm *vm, double got_iops, double latency_s)
{
	bool limited = vm->want[RESOURCE_DISK] > vm->knobs.iops;
	double stall;

	if (limited && vm->knobs.iops > 0)
		latency_s = fmax(latency_s, depth_of(vm) / vm->knobs.iops);
	stall = got_iops > 0 ? fmin(1, got_iops * latency_s) : 0;
	vm->got[RESOURCE_DISK] = got_iops;
	vm->disk_latency_s = latency_s;
	vm->disk_ops += got_iops * WORLD_STEP_S;
	vm->disk_bytes += got_iops * OP_BYTES * WORLD_STEP_S;
	vm->disk_wait_s += got_iops * latency_s * WORLD_STEP_S;
	vm->disk_stall_s += stall * WORLD_STEP_S;
}

void world_disk(struct world *w)
{
	double *want = w->scratch, *weight = want + w->nvms, *got = weight + w->nvms;
	double iops = fmax(1, w->host->disk_iops - w->disk_host_iops);
	double asked = 0, served = 0, depth = 0, use, latency_s, calm = 1;

	for (size_t i = 0; i < w->nvms; i++) {
		const struct vm *vm = &w->vms[i];

		want[i] = vm->up ? fmin(vm->want[RESOURCE_DISK], vm->knobs.iops) : 0;
		weight[i] = depth_of(vm);
		asked += want[i];
		depth += want[i] > 0 ? depth_of(vm) : 0;
	}
	world_share(want, weight, w->nvms, iops, got);
	for (size_t i = 0; i < w->nvms; i++)
		served += got[i];
	use = fmin(0.999, asked / iops);
	latency_s = w->host->disk_service_s * w->host->disk_iops / iops / (1 - use);
	if (served > 0)
		latency_s = fmin(latency_s, fmax(depth / served, w->host->disk_service_s));
	for (size_t i = 0; i < w->nvms; i++) {
		if (!w->vms[i].up)
			continue;
		account(&w->vms[i], got[i], latency_s);
		calm *= 1 - fmin(1, got[i] * latency_s);
	}
	w->psi_share[RESOURCE_DISK] = 1 - calm;
}
