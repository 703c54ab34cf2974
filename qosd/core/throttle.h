/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * throttle - a class's level made into caps of its guests, by max-min water filling.
 *
 * Of guests that want d_i, with floors f_i, a level of L permille leaves the class
 *
 *	B = sum f_i + L/1000 * sum (max(d_i, f_i) - f_i)
 *
 * The water level w (per unit of size: vCPU or NIC weight) is the one at which the sum of
 * min(d_i, max(f_i, w * size_i)) is B. Each guest's cap is max(f_i, w * size_i): who wants less
 * than its part is untouched, the heavy ones pay for it all. (Max-min fairness: Bertsekas and
 * Gallager, Data Networks, 6.5.2.)
 */
#ifndef QOSD_CORE_THROTTLE_H
#define QOSD_CORE_THROTTLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define THROTTLE_NONE UINT64_MAX /* no cap */

/* What a guest may take under the levels of now; THROTTLE_NONE: no cap beyond its class's limit. */
struct guest_caps {
	uint64_t cpu_mcpu;                 /* all vCPUs together, 1/1000 CPU */
	bool cpu_soft;                     /* its weight is lowered (no stalls: the first rung) */
	uint64_t net_in_bps, net_out_bps;  /* all its NICs together; the plan divides */
	uint64_t disk_iops, disk_bytes_ps; /* all its disks together; likewise */
	uint64_t memory_bytes;             /* reclaim and balloon down to this */
	bool freeze;                       /* last rung; only where the class opts in */
	uint16_t level[4];                 /* permille per enum resource, for the reason */
};

struct throttle_share {
	double demand, floor, full; /* one unit for all of them; floor <= full */
	double size;                /* > 0 */
	double cap;                 /* out; >= full: none needed */
};

/*
 * Caps of the guests of one class and resource at `level` permille (above 1000 counts as 1000).
 * When nobody wants more than its floor the cap is floor + level * (full - floor). Cannot fail; the
 * cost is some ten passes over the guests, nothing is allocated.
 */
void throttle_fill(struct throttle_share *shares, size_t count, uint32_t level_permille);

#endif
