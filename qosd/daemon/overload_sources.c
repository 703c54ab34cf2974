/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * overload_sources - the sensor, what it asks of the other adapters, and when that is worth its
 * cost.
 *
 * Groups are cheap. Drops are two map look-ups for each card: only of guests that are shaped. Disk
 * latencies come from libvirt, a second at a time and on its own thread: only while the host's
 * disks have somebody waiting, or a throttle is in force. Who waits for an RBD image waits for the
 * network, of which the kernel knows no more: while a protected guest has one, libvirt is asked now
 * and then in any case.
 */
#include <errno.h>

#include "qosd/daemon/overload.h"
#include "qosd/host/cgroup.h"
#include "qosd/host/net.h"
#include "qosd/host/sensor.h"

#define DISK_WAIT_PERMILLE 5 /* of the time in which somebody waits for a disk */
#define DISK_WANT_US       UINT64_C(5000000)
#define RBD_LOOK_US        UINT64_C(4000000) /* two readings that far apart still make one of now */
#define RBD_WANT_US        UINT64_C(100000)  /* one */

static int read_sensor(void *ctx, const struct inventory *inv, const struct policy *policy,
		       struct sample *ret, struct qerr *err)
{
	struct engine *e = ctx;

	return sensor_read(e->protection->sensor, inv, policy, ret, err);
}

static void read_nic(void *ctx, const struct guest_nic *nic, struct nic_reading *ret_in,
		     struct nic_reading *ret_out)
{
	struct engine *e = ctx;
	struct adapter *net = e->adapters[ADAPTER_NET];

	ret_in->bytes = ret_out->bytes = SAMPLE_UNKNOWN;
	(void)sensor_nic_bytes(e->protection->sensor, nic->device, &ret_in->bytes, &ret_out->bytes);
	ret_in->counted =
		nic->ifindex && net_read_counters(net, nic->ifindex, true, &ret_in->shaper) == 0;
	ret_out->counted =
		nic->ifindex && net_read_counters(net, nic->ifindex, false, &ret_out->shaper) == 0;
}

static bool is_shaped(const struct protection *p, const struct guest *g)
{
	const struct govern_guest *found = overload_find_guest(p, g->id);
	const struct guest_caps *caps;

	if (!found)
		return false;
	caps = &p->out.caps[found - p->guests];
	return found->net_in_full_bps != THROTTLE_NONE ||
	       found->net_out_full_bps != THROTTLE_NONE || caps->net_in_bps != THROTTLE_NONE ||
	       caps->net_out_bps != THROTTLE_NONE;
}

static int read_drops(void *ctx, const struct guest *g, struct sample_guest *ret)
{
	struct engine *e = ctx;
	struct net_counters c;
	uint64_t in = 0, out = 0;

	if (!engine_enforcing(e) || !is_shaped(e->protection, g))
		return -ENOENT;
	for (size_t i = 0; i < g->nnics; i++) {
		uint32_t ifindex = g->nics[i].ifindex;

		if (!ifindex)
			continue;
		if (net_read_counters(e->adapters[ADAPTER_NET], ifindex, true, &c) == 0)
			in += c.dropped_bytes;
		if (net_read_counters(e->adapters[ADAPTER_NET], ifindex, false, &c) == 0)
			out += c.dropped_bytes;
	}
	ret->in_dropped = in;
	ret->out_dropped = out;
	return 0;
}

static int read_disk(void *ctx, const struct guest *g, struct sample_guest *ret)
{
	struct engine *e = ctx;

	return virt_disk_stats(e->virt, g, ret);
}

/* Somebody on this host waits for a disk, or gives way for who did. */
static bool disks_press(const struct protection *p)
{
	const struct sample *now = &p->samples[p->newest], *before = &p->samples[!p->newest];
	uint64_t waited_us =
		sample_delta(before->psi_some_us[RESOURCE_DISK], now->psi_some_us[RESOURCE_DISK]);

	return waited_us == SAMPLE_UNKNOWN ||
	       waited_us * 1000 > (now->at_us - before->at_us) * DISK_WAIT_PERMILLE ||
	       p->out.resources[RESOURCE_DISK].depth > 0 ||
	       p->out.resources[RESOURCE_DISK].pressure > 1;
}

/* After a tick: will the next ones need to know how long disks take? */
void overload_want_disks(struct engine *e)
{
	struct protection *p = e->protection;
	uint64_t now_us = p->samples[p->newest].at_us;

	if (!e->virt || p->nsamples < 2)
		return;
	if (disks_press(p)) {
		virt_disk_stats_want(e->virt, DISK_WANT_US);
	} else if (p->protects_rbd && now_us - p->rbd_looked_us >= RBD_LOOK_US) {
		p->rbd_looked_us = now_us;
		virt_disk_stats_want(e->virt, RBD_WANT_US);
	}
}

int overload_open_sensor(struct engine *e, struct qerr *err)
{
	struct sensor_config config = { .readonly = !engine_enforcing(e),
					.groups = cgroup_sample,
					.groups_ctx = e->adapters[ADAPTER_CGROUP],
					.disk = read_disk,
					.disk_ctx = e,
					.drops = read_drops,
					.drops_ctx = e };
	struct protection *p = e->protection;
	int r = sensor_new(&config, &p->sensor, err);

	if (r == 0)
		p->sampler = (struct sampler){ .read = read_sensor, .nic = read_nic, .ctx = e };
	return r;
}
