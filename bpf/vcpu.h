/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * vcpu - what the iterator over threads and qosd share.
 *
 * qosd puts the vCPU threads of its guests into `qosd_vcpus`; one read of the iterator gives one
 * struct vcpu_times for each of them that is alive. Counters only grow while the thread lives.
 */
#ifndef QOSD_BPF_VCPU_H
#define QOSD_BPF_VCPU_H

#include <linux/types.h>

#define VCPU_ENTRIES 65536

struct vcpu_owner {     /* value of qosd_vcpus; its key is the thread's id */
	__u32 pid;      /* of its process: a thread id that was used again is not taken */
	__u32 guest_id; /* as qosd counts incarnations; given back unchanged */
};

struct vcpu_times {
	__u64 run_ns, wait_ns; /* as /proc/PID/task/TID/schedstat: on a CPU, runnable without one */
	__u32 tid, guest_id;
	__u32 throttled;       /* periods in which the quota of its own group was used up */
	__u32 throttled_above; /* the same of all groups above that one, summed */
};

#endif
