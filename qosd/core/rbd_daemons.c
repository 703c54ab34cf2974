/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * rbd_daemons - memory of Ceph's own daemons on a host that runs guests, too.
 *
 * An OSD keeps its memory near osd_memory_target only where it is built with tcmalloc; else the
 * target bounds nothing but its cache. So the larger of 1.2 times the target and 1.1 times the most
 * it ever had is kept from guests; 2 GiB for a monitor and 4 GiB for a manager (Ceph's advice).
 */
#include "qosd/core/human.h"
#include "qosd/core/rbd_lint.h"

#define GIB            (UINT64_C(1) << 30)
#define TARGET_DEFAULT (4 * GIB)
#define TARGET_LEAST   UINT64_C(939524096)

static uint64_t osd_reserve(const struct rbd_osd *o)
{
	uint64_t target = o->target_bytes ? o->target_bytes : TARGET_DEFAULT;
	uint64_t planned = target / 10 * 12, seen = o->peak_bytes / 10 * 11;

	return planned > seen ? planned : seen;
}

uint64_t rbd_daemons_reserve(const struct rbd_daemons *d)
{
	uint64_t bytes = d->nmons * 2 * GIB + d->nmgrs * 4 * GIB;

	for (uint32_t i = 0; i < d->nosds; i++)
		bytes += osd_reserve(&d->osds[i]);
	return bytes;
}

static void lint_osd(const struct rbd_osd *o, struct diag_list *findings)
{
	char rss[HUMAN_TEXT_MAX], target[HUMAN_TEXT_MAX];

	if (o->open_loop)
		diag_add(
			findings, DIAG_INFO, NULL, 0, "OSD-TCMALLOC",
			"ceph tell osd.N perf dump shows mapped_bytes; use an OSD built with tcmalloc",
			"osd.%s is built without tcmalloc: osd_memory_target bounds its cache, not "
			"its memory (%s of a target of %s)",
			o->id, human_size(o->rss_bytes, rss), human_size(o->target_bytes, target));
	if (o->target_bytes && o->rss_bytes > o->target_bytes / 10 * 12)
		diag_add(findings, DIAG_WARNING, NULL, 0, "OSD-OVER",
			 "ceph config set osd osd_memory_target, or restart the OSD",
			 "osd.%s uses %s, more than its target of %s: that memory is missing from "
			 "what guests were promised",
			 o->id, human_size(o->rss_bytes, rss), human_size(o->target_bytes, target));
	if (o->target_bytes && o->target_bytes < TARGET_LEAST)
		diag_add(findings, DIAG_WARNING, NULL, 0, "OSD-TARGET",
			 "ceph config set osd osd_memory_target 939524096",
			 "osd.%s has a target of %s, below the 896 MiB that Ceph can work with",
			 o->id, human_size(o->target_bytes, target));
}

void rbd_daemons_lint(const struct rbd_daemons *d, uint64_t host_bytes, uint64_t promised_bytes,
		      struct diag_list *findings)
{
	uint64_t reserve = rbd_daemons_reserve(d);
	char need[HUMAN_TEXT_MAX], all[HUMAN_TEXT_MAX], promised[HUMAN_TEXT_MAX];

	for (uint32_t i = 0; i < d->nosds; i++)
		lint_osd(&d->osds[i], findings);
	if (reserve && reserve + promised_bytes > host_bytes)
		diag_add(
			findings, DIAG_ERROR, NULL, 0, "OSD-RESERVE",
			"ceph config set osd osd_memory_target to less, or promise less to guests",
			"Ceph's daemons here may take %s and %s are promised to guests, but the host "
			"has %s",
			human_size(reserve, need), human_size(promised_bytes, promised),
			human_size(host_bytes, all));
}
