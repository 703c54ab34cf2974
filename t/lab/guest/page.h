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
#define LAB_PAGE_VERSION 1u
#define LAB_MAX_CPUS     64
#define LAB_TOUCH_BYTES  4096u  /* what one count of `pages` stands for */
#define LAB_DISK_BYTES   16384u /* what one count of `disk_*` stands for */

enum lab_load { LAB_IDLE, LAB_CPU, LAB_NET, LAB_MEMORY, LAB_DISK };

typedef unsigned long long lab_count __attribute__((aligned(8))); /* alike in 32 and 64 bits */

/* One vCPU's work: one cache line. */
struct lab_work {
	lab_count spins;  /* chunks of a fixed number of loop turns */
	lab_count pages;  /* memory pages written */
	lab_count passes; /* times the vCPU's share of memory was written through */
	lab_count unused[5];
};

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
};

#endif
