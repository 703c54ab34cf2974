/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * world_memory - who is resident and who stalls.
 *
 * A guest touches its working set; what is not resident has to be brought in: fresh pages at
 * TOUCH_BPS each, swapped ones at SWAP_IN_BPS for all, and guests stall for the latter. Below the
 * host's low watermark the kernel reclaims from all guests in proportion to what they have beyond
 * memory.min (proportional reclaim with protection: mm/vmscan.c, get_scan_count), at KERNEL_BPS;
 * whoever wants more than that gives stalls for the part of the time that it did not get (direct
 * reclaim).
 *
 * qosd's own squeeze (memory.reclaim towards a target) goes at RECLAIM_BPS over all guests
 * together: 71 MB in 0.77 s were measured in a small VM. It leaves no lasting limit, so guests swap
 * in again, and it ends when swap is full. A balloon takes pages out of the guest's reach at
 * BALLOON_BPS each; what the guest then misses it swaps by itself, on its own disk. Working sets
 * that shrink give their pages back at once.
 */
#include <math.h>

#include "t/sim/world.h"

#define TOUCH_BPS   (1.0 * WORLD_GIB)
#define SWAP_IN_BPS (0.20 * WORLD_GIB) /* of all guests together: one device */
#define KERNEL_BPS  (0.50 * WORLD_GIB)
#define RECLAIM_BPS (0.25 * WORLD_GIB)
#define BALLOON_BPS (0.25 * WORLD_GIB)
#define WATERMARK   0.01 /* of RAM: mm/page_alloc.c keeps about this much on large hosts */

static double swap_out(struct world *w, struct vm *vm, double bytes)
{
	double moved = fmin(fmax(0, bytes), fmin(vm->resident_bytes, w->swap_free_bytes));

	vm->resident_bytes -= moved;
	vm->swapped_bytes += moved;
	w->swap_free_bytes -= moved;
	return moved;
}

/* The balloon moves towards what it was told; what the guest wants must fit beside it. */
static void balloon(struct vm *vm)
{
	double whole = vm->spec->memory_gib * WORLD_GIB, step = BALLOON_BPS * WORLD_STEP_S;
	double goal = fmax(0, whole - vm->knobs.balloon_bytes);

	vm->balloon_bytes += fmin(step, fmax(-step, goal - vm->balloon_bytes));
	vm->fit_bytes = fmin(vm->want[RESOURCE_MEMORY], whole - vm->balloon_bytes);
}

/* Working sets that shrink give their pages back (free page reporting, or the guest's balloon). */
static void shrink(struct world *w, struct vm *vm)
{
	double extra = vm->resident_bytes + vm->swapped_bytes - vm->fit_bytes;
	double from_swap = fmin(fmax(0, extra), vm->swapped_bytes);

	if (extra <= 0)
		return;
	vm->swapped_bytes -= from_swap;
	w->swap_free_bytes += from_swap;
	vm->resident_bytes -= extra - from_swap;
}

/* Bytes that the guest would bring in during this step; *ret_swap: of them from swap. */
static double wants_in(const struct world *w, const struct vm *vm, double *ret_swap)
{
	double fresh = vm->fit_bytes - vm->resident_bytes - vm->swapped_bytes;
	double part = w->swapped_bytes > 0 ? vm->swapped_bytes / w->swapped_bytes : 0;

	/* The colder a page the less often it is touched: half of what is out is wanted at a time.
	 */
	*ret_swap = fmin(vm->swapped_bytes / 2, part * SWAP_IN_BPS * WORLD_STEP_S);
	return fmin(fmax(0, fresh), TOUCH_BPS * WORLD_STEP_S) + *ret_swap;
}

static void squeeze(struct world *w)
{
	double total = 0, budget = RECLAIM_BPS * WORLD_STEP_S;

	for (size_t i = 0; i < w->nvms; i++)
		total += fmax(0, w->vms[i].resident_bytes - w->vms[i].knobs.memory_target_bytes);
	for (size_t i = 0; total > 0 && i < w->nvms; i++) {
		struct vm *vm = &w->vms[i];
		double over = fmax(0, vm->resident_bytes - vm->knobs.memory_target_bytes);

		swap_out(w, vm, over * fmin(1, budget / total));
	}
}

static double kernel_reclaim(struct world *w, double bytes)
{
	double total = 0, freed = 0;

	bytes = fmin(bytes, KERNEL_BPS * WORLD_STEP_S);
	for (size_t i = 0; i < w->nvms; i++)
		total += fmax(0, w->vms[i].resident_bytes - w->vms[i].knobs.memory_min_bytes);
	for (size_t i = 0; total > 0 && i < w->nvms; i++) {
		struct vm *vm = &w->vms[i];
		double part = fmax(0, vm->resident_bytes - vm->knobs.memory_min_bytes) / total;

		freed += swap_out(w, vm, bytes * fmin(1, part));
	}
	return freed;
}

static double available(const struct world *w)
{
	double free_bytes = w->host->memory_gib * WORLD_GIB - w->memory_host_bytes;

	for (size_t i = 0; i < w->nvms; i++)
		free_bytes -= w->vms[i].up ? w->vms[i].resident_bytes : 0;
	return free_bytes;
}

static void bring_in(struct world *w, struct vm *vm, double part)
{
	double swap, bytes = wants_in(w, vm, &swap);
	double from_swap = swap * part;

	/* With half of its working set out a guest does nothing but wait for it. */
	vm->memory_stall = vm->fit_bytes > 0 ? fmin(1, 2 * vm->swapped_bytes / vm->fit_bytes) : 0;
	if (bytes > 1e-3 * TOUCH_BPS * WORLD_STEP_S)
		vm->memory_stall = fmax(vm->memory_stall, 1 - part);
	vm->swapped_bytes -= from_swap;
	w->swap_free_bytes += from_swap;
	vm->resident_bytes += bytes * part;
	vm->got[RESOURCE_MEMORY] = vm->resident_bytes;
	vm->memory_stall_s += vm->memory_stall * WORLD_STEP_S;
}

void world_memory(struct world *w)
{
	double watermark = WATERMARK * w->host->memory_gib * WORLD_GIB, room, need = 0, calm = 1;
	double swap;

	for (size_t i = 0; i < w->nvms; i++) {
		if (!w->vms[i].up)
			continue;
		balloon(&w->vms[i]);
		shrink(w, &w->vms[i]);
	}
	squeeze(w);
	w->swapped_bytes = 0;
	for (size_t i = 0; i < w->nvms; i++)
		w->swapped_bytes += w->vms[i].swapped_bytes;
	room = available(w) - watermark;
	for (size_t i = 0; i < w->nvms; i++)
		need += w->vms[i].up ? wants_in(w, &w->vms[i], &swap) : 0;
	if (need > room)
		room += kernel_reclaim(w, need - room);
	for (size_t i = 0; i < w->nvms; i++) {
		if (!w->vms[i].up)
			continue;
		bring_in(w, &w->vms[i], need > 0 ? fmin(1, fmax(0, room) / need) : 1);
		calm *= 1 - w->vms[i].memory_stall;
	}
	w->available_bytes = fmax(0, available(w));
	w->psi_share[RESOURCE_MEMORY] = 1 - calm;
}
