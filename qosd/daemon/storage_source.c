/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * storage_source - what disks did, as the hypervisor counts it: read by libvirt's statistics
 * thread.
 */
#include "qosd/daemon/storage.h"

#define WANT_US UINT64_C(5000000)

static uint64_t now_us(void *ctx)
{
	return engine_now_us(ctx);
}

static void want(void *ctx)
{
	virt_disk_stats_want(((struct engine *)ctx)->virt, WANT_US);
}

static uint64_t count(void *ctx, const struct guest *g, uint32_t disk,
		      uint64_t ret[DISKSHARE_UNITS])
{
	uint64_t at_us;

	return virt_disk_count(((struct engine *)ctx)->virt, g, disk, &ret[DISKSHARE_IOPS],
			       &ret[DISKSHARE_BPS], &at_us) < 0
		       ? 0
		       : at_us;
}

void storage_start(struct engine *e)
{
	struct storage_source source = { .ctx = e, .now_us = now_us, .want = want, .count = count };

	storage_set_source(e->storage, &source);
}
