/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The work page: what a lab guest did, kept in its own memory.
 *
 * Both kinds of guest (the program that real QEMU runs and the stand-in emulator) keep this
 * structure at the same offset of their RAM. `lab-netio stat` reads it from outside through
 * process_vm_readv(), so that reading costs the guest nothing and works while the guest is
 * throttled, paused or busy. Every counter has one writer and only grows.
 */
#ifndef T_LAB_GUEST_PAGE_H
#define T_LAB_GUEST_PAGE_H

#define LAB_PAGE_ADDRESS 0x9000u /* offset in guest RAM */
#define LAB_PAGE_MAGIC   0x51304c61u
#define LAB_PAGE_VERSION 3u
#define LAB_MAX_CPUS     64
#define LAB_TOUCH_BYTES  4096u  /* what one count of `pages` stands for */
#define LAB_DISK_BYTES   16384u /* what one count of `disk_*` stands for */

enum lab_load {
	LAB_IDLE,
	LAB_CPU,
	LAB_NET,
	LAB_MEMORY,
	LAB_DISK,
	LAB_SERVICE,
	LAB_DISK_READ,
	LAB_DISK_WRITE,
	LAB_LOADS
};

typedef unsigned long long lab_count __attribute__((aligned(8))); /* alike in 32 and 64 bits */

/* One vCPU's work: one cache line. */
struct lab_work {
	lab_count spins;  /* chunks of a fixed number of loop turns */
	lab_count pages;  /* memory pages written */
	lab_count passes; /* times the vCPU's share of memory was written through */
	lab_count unused[5];
};

/*
 * The service load: a request is due every LAB_SERVICE_PERIOD_MS, come what may, and takes
 * LAB_SERVICE_CHUNKS chunks of spinning. Latency: from when it was due to when its work began, so
 * a vCPU that wakes late, or is behind, shows. Counted in a histogram with 16 buckets an octave. So
 * many a second that what the host's kernel does by the second (it begins each group's pressure
 * average anew every two) is well below one in a hundred.
 */
#define LAB_SERVICE_PERIOD_MS 5u
#define LAB_SERVICE_CHUNKS    10u
#define LAB_LATENCY_BUCKETS   400u /* from 2^8 to 2^33 ticks */

struct lab_service {
	lab_count ticks_per_ms;      /* of the clock that the histogram counts in; 0: not begun */
	lab_count requests, skipped; /* served; not even begun because it was a second behind */
	lab_count latency[LAB_LATENCY_BUCKETS];
};

static inline unsigned int lab_latency_bucket(lab_count ticks)
{
	unsigned int high = 63 - (unsigned int)__builtin_clzll(ticks | 256);
	unsigned int bucket = (high - 8) * 16 + (unsigned int)((ticks | 256) >> (high - 4) & 15);

	return bucket < LAB_LATENCY_BUCKETS ? bucket : LAB_LATENCY_BUCKETS - 1;
}

/* The middle of a bucket, in ticks. */
static inline double lab_latency_ticks(unsigned int bucket)
{
	return (double)(1ull << (bucket / 16 + 8)) * (1 + (bucket % 16 + 0.5) / 16);
}

struct lab_page {
	unsigned int magic, version;
	unsigned int cpus; /* vCPUs that came up */
	unsigned int load; /* enum lab_load now in force */
	unsigned int ram_kib;
	unsigned int nics;  /* pairs of NICs found */
	unsigned int fault; /* vector + 1 of the CPU fault that stopped a vCPU */
	unsigned int unused;
	lab_count packets_in, packets_out; /* forwarded towards the guest, from the guest */
	lab_count disk_reads, disk_writes;
	struct lab_work work[LAB_MAX_CPUS];
	struct lab_service service;
	/* Of disk requests, from when they were made; in ticks as service's. */
	lab_count disk_latency[LAB_LATENCY_BUCKETS];
};

#endif
