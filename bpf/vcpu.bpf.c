/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * vcpu - run and wait times of all guests' vCPU threads in one read.
 *
 * The kernel walks all threads of the host and calls vcpu_dump for each; those in `qosd_vcpus`
 * are written out. Nothing is hooked and nothing changes on the host: it runs only while it is
 * read.
 *
 * The types below are the parts of the kernel's own that are read; where they lie in the running
 * kernel is found at load time (CO-RE). Needs BTF (CONFIG_DEBUG_INFO_BTF), CONFIG_SCHED_INFO and
 * Linux 5.8. A kernel without CFS bandwidth control throttles nobody.
 */
#include <linux/bpf.h>

#include <bpf/bpf_core_read.h> /* after the types it needs */
#include <bpf/bpf_helpers.h>

#include "bpf/vcpu.h"

#define GROUPS_ABOVE 8 /* machine.slice / tier / scope / libvirt, with room */

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)
struct cfs_bandwidth {
	int nr_throttled;
};

struct task_group {
	struct task_group *parent;
	struct cfs_bandwidth cfs_bandwidth;
};

struct sched_entity {
	__u64 sum_exec_runtime;
};

struct sched_info {
	unsigned long long run_delay;
};

struct task_struct {
	int pid, tgid;
	struct sched_entity se;
	struct sched_info sched_info;
	struct task_group *sched_task_group;
};

struct seq_file;

struct bpf_iter_meta {
	struct seq_file *seq;
};

struct bpf_iter__task {
	struct bpf_iter_meta *meta;
	struct task_struct *task;
};
#pragma clang attribute pop

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, VCPU_ENTRIES);
	__type(key, __u32);
	__type(value, struct vcpu_owner);
} qosd_vcpus SEC(".maps");

static __always_inline void count_throttled(struct task_group *group, struct vcpu_times *times)
{
	if (!group || !bpf_core_field_exists(group->cfs_bandwidth))
		return;
	times->throttled = (__u32)group->cfs_bandwidth.nr_throttled;
#pragma unroll
	for (int i = 0; i < GROUPS_ABOVE; i++) {
		group = group->parent;
		if (!group)
			return;
		times->throttled_above += (__u32)group->cfs_bandwidth.nr_throttled;
	}
}

SEC("iter/task")
int vcpu_dump(struct bpf_iter__task *ctx)
{
	struct task_struct *task = ctx->task;
	struct vcpu_times times = { 0 };
	struct vcpu_owner *owner;
	__u32 tid;

	if (!task) /* the end */
		return 0;
	tid = (__u32)task->pid;
	owner = bpf_map_lookup_elem(&qosd_vcpus, &tid);
	if (!owner || owner->pid != (__u32)task->tgid)
		return 0;
	times.tid = tid;
	times.guest_id = owner->guest_id;
	times.run_ns = task->se.sum_exec_runtime;
	times.wait_ns = task->sched_info.run_delay;
	if (bpf_core_field_exists(task->sched_task_group))
		count_throttled(task->sched_task_group, &times);
	/* Full: the kernel shows this thread again at the next read(). */
	bpf_seq_write(ctx->meta->seq, &times, sizeof(times));
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
