/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * bench_share - what a round of division costs: NICs of one uplink, a third of which asks for all,
 * a third for a little, both directions; and disks likewise, in operations and in bytes. Nothing is
 * read or written.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "qosd/core/diskshare.h"
#include "qosd/core/netshare.h"
#include "qosd/core/share.h"

#define NICS_MAX 4096
#define ROUNDS   200

static double cpu_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static double divide_us(size_t count)
{
	static struct share shares[NICS_MAX];
	static struct share_slot slots[NICS_MAX];
	double began;

	for (size_t i = 0; i < count; i++)
		shares[i] = (struct share){ .reservation = i % 7 * 1000000,
					    .limit = SHARE_NO_LIMIT,
					    .demand = i % 3 ? i * 10007 : SHARE_NO_LIMIT,
					    .weight = 1 + i % 5 };
	began = cpu_us();
	for (int r = 0; r < ROUNDS; r++)
		share_divide(10000000000, shares, count, slots);
	return (cpu_us() - began) / ROUNDS;
}

static void move(struct netshare_nic *nics, size_t count)
{
	for (size_t i = 0; i < count; i++)
		for (size_t d = 0; d < NETSHARE_DIRECTIONS; d++) {
			nics[i].count[d].known = true;
			nics[i].count[d].bytes += i % 3 ? 1000 : 10000000;
			nics[i].count[d].pressed += i % 3 == 0;
		}
}

static double round_us(size_t count)
{
	static struct netshare_nic nics[NICS_MAX];
	struct network networks[] = {
		{ .name = (char *)"tenant", .device = (char *)"br0", .uplink = (char *)"eth0" },
		{ .name = (char *)"storage",
		  .device = (char *)"eth0.7",
		  .uplink = (char *)"eth0",
		  .reservation_bps = 4000000000 }
	};
	struct policy policy = { .networks = networks, .nnetworks = 2 };
	struct netshare_network nets[2] = { { .capacity_bps = 10000000000 },
					    { .capacity_bps = 10000000000 } };
	struct netshare_input in = {
		.policy = &policy, .networks = nets, .nics = nics, .nnics = count
	};
	struct netshare *shares = netshare_new();
	struct netshare_output out;
	double spent = 0;

	for (size_t i = 0; i < count; i++)
		nics[i] = (struct netshare_nic){ .ifindex = (uint32_t)i + 1,
						 .weight = 1 + i % 5,
						 .reservation_bps = i % 7 * 100000,
						 .limit_bps = { NETSHARE_FREE, NETSHARE_FREE } };
	for (int r = 0; shares && r < ROUNDS; r++) {
		double began;

		in.now_us += 100000;
		move(nics, count);
		began = cpu_us();
		if (netshare_round(shares, &in, &out) < 0)
			break;
		spent += cpu_us() - began;
	}
	netshare_free(shares);
	return spent / ROUNDS;
}

static void work(struct diskshare_disk *disks, const struct diskshare_output *out, size_t count,
		 uint64_t now_us)
{
	for (size_t i = 0; i < count; i++) {
		uint64_t part = out->count ? out->parts[i].rate[DISKSHARE_IOPS] : DISKSHARE_FREE;
		uint64_t ops = i % 3 ? 1 + i % 3 : 1000;

		ops = ops < part ? ops : part;
		disks[i].at_us = now_us;
		disks[i].count[DISKSHARE_IOPS] += ops;
		disks[i].count[DISKSHARE_BPS] += ops * 65536;
	}
}

static double disk_round_us(size_t count)
{
	static struct diskshare_disk disks[NICS_MAX];
	struct diskshare_input in = { .capacity = { 50 * count, 50 * count * 65536 },
				      .disks = disks,
				      .ndisks = count };
	struct diskshare *shares = diskshare_new();
	struct diskshare_output out = { 0 };
	double spent = 0;

	for (size_t i = 0; i < count; i++)
		disks[i] = (struct diskshare_disk){ .guest_id = (uint32_t)i + 1,
						    .weight = 25u << 2 * (i % 3),
						    .limit = { DISKSHARE_FREE, DISKSHARE_FREE },
						    .floor = { 50, 4000000 } };
	for (int r = 0; shares && r < ROUNDS; r++) {
		double began;

		in.now_us += 1000000;
		work(disks, &out, count, in.now_us);
		began = cpu_us();
		if (diskshare_round(shares, &in, &out) < 0)
			break;
		spent += cpu_us() - began;
	}
	diskshare_free(shares);
	return spent / ROUNDS;
}

int main(void)
{
	static const size_t counts[] = { 64, 200, 1000, 4000 };

	for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++)
		printf("%5zu NICs: one division %7.1f us, a round of both directions %7.1f us CPU; "
		       "disks: a round of both units %7.1f us CPU\n",
		       counts[i], divide_us(counts[i]), round_us(counts[i]),
		       disk_round_us(counts[i]));
	return 0;
}
