/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * world_net - what the uplink carries, in each direction by itself.
 *
 * Each guest is shaped to its rate first; beyond that it loses packets: TCP about DROP_TCP of what
 * passes (a congestion window of some 100 packets that loses one a round), UDP all that is too
 * much. What is left competes for the uplink, where flows share max-min with equal parts (TCP with
 * equal round trips: Chiu and Jain, 1989); the host's own traffic goes first.
 */
#include <math.h>

#include "t/sim/world.h"

#define DROP_TCP 0.01

static void one_direction(struct world *w, int d)
{
	double *want = w->scratch, *weight = want + w->nvms, *got = weight + w->nvms;
	double host_bps = d == NET_OUT ? w->net_host_bps : 0;
	double rate_bps = w->host->uplink_mbps * 1e6, total_bps = fmin(rate_bps, host_bps);

	for (size_t i = 0; i < w->nvms; i++) {
		const struct vm *vm = &w->vms[i];

		want[i] = vm->up ? fmin(vm->net_want[d], vm->knobs.net_bps[d]) : 0;
		weight[i] = 1;
	}
	world_share(want, weight, w->nvms, fmax(0, rate_bps - host_bps), got);
	for (size_t i = 0; i < w->nvms; i++) {
		struct vm *vm = &w->vms[i];
		double lost_bps = vm->net_want[d] - vm->knobs.net_bps[d];

		if (!vm->up)
			continue;
		vm->net_got[d] = got[i];
		vm->net_bytes[d] += got[i] / 8 * WORLD_STEP_S;
		if (lost_bps > 0)
			vm->net_dropped[d] +=
				(vm->spec->udp ? lost_bps : DROP_TCP * got[i]) / 8 * WORLD_STEP_S;
		total_bps += got[i];
	}
	w->uplink_bytes[d] += total_bps / 8 * WORLD_STEP_S;
}

void world_net(struct world *w)
{
	one_direction(w, NET_IN);
	one_direction(w, NET_OUT);
	for (size_t i = 0; i < w->nvms; i++) {
		struct vm *vm = &w->vms[i];

		vm->want[RESOURCE_NET] = vm->net_want[NET_IN] + vm->net_want[NET_OUT];
		vm->got[RESOURCE_NET] = vm->net_got[NET_IN] + vm->net_got[NET_OUT];
	}
}
