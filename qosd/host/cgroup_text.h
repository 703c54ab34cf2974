/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cgroup_text - the texts of the kernel that the cgroup adapter reads, parsed. Pure functions.
 *
 * Strict: a text that is not as the kernel writes it is -EINVAL, never a guess. A result is
 * touched only on success. Numbers that do not fit in 64 bits are -ERANGE.
 */
#ifndef QOSD_HOST_CGROUP_TEXT_H
#define QOSD_HOST_CGROUP_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* One number and an optional newline; "max" is KNOB_MAX. */
int cgroup_text_u64(const char *text, uint64_t *ret);
/* cpu.max: "QUOTA PERIOD" or "max PERIOD", in us. */
int cgroup_text_quota(const char *text, uint64_t *ret_quota_us, uint64_t *ret_period_us);
/* cpu.cfs_quota_us of cgroup v1: -1 is KNOB_MAX. */
int cgroup_text_v1_quota(const char *text, uint64_t *ret_quota_us);
/* A line "KEY NUMBER" of a flat-keyed file (cpu.stat, memory.stat). -ENOENT: no such key. */
int cgroup_text_flat(const char *text, const char *key, uint64_t *ret);
/*
 * memory.pressure, /proc/pressure/cpu and the like: total of the line "some", us. -ENOENT: no such
 * line.
 */
int cgroup_text_psi_some(const char *text, uint64_t *ret_us);
/* A line "KEY:   NUMBER kB" of /proc/meminfo, in bytes. -ENOENT: no such key. */
int cgroup_text_meminfo(const char *text, const char *key, uint64_t *ret_bytes);
/*
 * /proc/PID/cgroup: path of the group in the v1 hierarchy with `controller`, or in the v2 one
 * (controller NULL). -ENOENT: no such hierarchy, or the group was removed; -ENAMETOOLONG.
 */
int cgroup_text_path(const char *text, const char *controller, char *buf, size_t size);
/* /proc/PID/stat: field 22, start time in clock ticks. The command may hold any character. */
int cgroup_text_start_ticks(const char *text, uint64_t *ret_ticks);
/* /proc/PID/task/TID/schedstat: "RUN WAIT SLICES"; ns on CPU and ns waiting for one. */
int cgroup_text_schedstat(const char *text, uint64_t *ret_run_ns, uint64_t *ret_wait_ns);
/* /proc/self/mountinfo: does the file system mounted at `mount_point` have `option`? */
bool cgroup_text_mount_option(const char *text, const char *mount_point, const char *option);

/* Strip what libvirt makes below a guest's top group: "/emulator", "/vcpuN", "/iothreadN". True:
 * did. */
bool cgroup_text_strip_to_top(char *path);
/* Is the group named as libvirt names those that hold one guest and nothing else? */
bool cgroup_text_is_guest(const char *path);
/* "vcpu12" -> 12; anything else -EINVAL. */
int cgroup_text_vcpu_index(const char *name, unsigned int *ret);
/* Write the parent of `path` to buf ("/a/b" -> "/a", "/a" -> "/"). -ENAMETOOLONG. */
int cgroup_text_parent(const char *path, char *buf, size_t size);
/* The systemd unit that a group's last name stands for, or NULL. Points into `path`. */
const char *cgroup_text_unit(const char *path);

/* cpu.weight 1..10000 <-> cpu.shares of v1, so that weight -> shares -> weight is exact. */
uint64_t cgroup_weight_to_shares(uint64_t weight);
uint64_t cgroup_shares_to_weight(uint64_t shares);

#endif
