/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * policy_keys - every key of the configuration: name, type, place, bounds, example, help.
 *
 * The only place where a key is defined. To add one: a field in policy.h, its default in policy.c,
 * a row here, a paragraph in qosd.conf(5) (t/conf/check-man.sh asks for it).
 * A group's struct may be the parent's own (offset 0): the groups below `overload` share one.
 */
#include <string.h>

#include "qosd/core/mem.h"
#include "qosd/core/policy.h"

#define KIB         (UINT64_C(1) << 10)
#define MIB         (UINT64_C(1) << 20)
#define GIB         (UINT64_C(1) << 30)
#define TIB         (UINT64_C(1) << 40)
#define SIZE_LIMIT  (1024 * TIB)               /* 1 PiB: sums of them cannot overflow */
#define RATE_LIMIT  UINT64_C(10000000000000)   /* 10 Tbit/s */
#define BLOCK_LIMIT UINT64_C(1000000000000000) /* QEMU's own bound on block throttling */
#define MS          UINT64_C(1000)
#define SECOND      (1000 * MS)
#define HOUR        (3600 * SECOND)
#define PERCENT     UINT64_C(10)

static const char *const mode_words[] = { "observe", "enforce", NULL };
static const char *const shaper_words[] = { "auto", "edt", "htb", NULL };
static const char *const placement_words[] = { "any", "shared", "dedicated", NULL };
static const char *const threads_words[] = { "share", "isolate", NULL };
static const char *const swap_words[] = { "allow", "none", NULL };
static const char *const no_yes_words[] = { "no", "yes", NULL };
static const char *const balloon_words[] = { "no", "safe", "yes", NULL };
static const char *const admission_words[] = { "refuse", "degrade", NULL };
static const char *const admission_overload_words[] = { "admit", "refuse", NULL };
static const char *const ceph_apply_words[] = { "none", "file", "image", NULL };
static const char *const rbd_qos_words[] = { "libvirt", "rbd", NULL };
static const char *const rbd_cache_words[] = { "keep",      "none",        "writethrough",
					       "writeback", "writearound", NULL };

/* The rows are filled by hand: clang-format would give each field a line. */
/* clang-format off */

/* ---- classes ---- */

static const struct policy_key cpu_keys[] = {
	{ .name = "placement", .type = KEY_ENUM, .offset = offsetof(struct class_cpu, placement),
	  .words = placement_words, .per_guest = true,
	  .help = "which CPUs the vCPUs run on: any, the shared pool, or cores of their own" },
	{ .name = "threads", .type = KEY_ENUM, .offset = offsetof(struct class_cpu, threads),
	  .words = threads_words, .per_guest = true,
	  .help = "whether two vCPUs of a dedicated guest may share one core's threads" },
	{ .name = "reservation", .type = KEY_SHARE,
	  .offset = offsetof(struct class_cpu, reservation_permille), .min = 0,
	  .max = 100 * PERCENT, .per_guest = true, .example = "\"100%\"",
	  .help = "guaranteed share of one CPU for each vCPU" },
	{ .name = "limit", .type = KEY_SHARE,
	  .offset = offsetof(struct class_cpu, limit_permille), .min = 1, .max = 1000 * PERCENT,
	  .optional_none = true, .per_guest = true, .example = "\"150%\"",
	  .help = "most CPU time for each vCPU; 0.1% is the least the kernel can enforce" },
	{ .name = "floor", .type = KEY_SHARE,
	  .offset = offsetof(struct class_cpu, floor_permille), .min = 1, .max = 100 * PERCENT,
	  .per_guest = true, .example = "\"20%\"",
	  .help = "share of one CPU for each vCPU that an overload never takes away" },
	{ .name = "weight", .type = KEY_COUNT32, .offset = offsetof(struct class_cpu, weight),
	  .min = 1, .max = 10000, .per_guest = true, .example = "100",
	  .help = "share against other guests when the CPUs are busy" },
	{ .name = "burst", .type = KEY_TIME, .offset = offsetof(struct class_cpu, burst_us),
	  .min = 0, .max = 10 * SECOND, .per_guest = true, .example = "\"20ms\"",
	  .help = "unused quota that each vCPU may save up and spend above its limit" },
	{ .name = "emulator", .type = KEY_CPUSET, .offset = offsetof(struct class_cpu, emulator),
	  .per_guest = true, .example = "\"0-1\"",
	  .help = "CPUs for QEMU's own and I/O threads; empty: housekeeping or shared ones" },
	{ .name = "idle", .type = KEY_ENUM, .offset = offsetof(struct class_cpu, idle),
	  .words = no_yes_words, .per_guest = true,
	  .help = "whether it runs only when no other guest wants the CPU" },
};

static const struct policy_key memory_keys[] = {
	{ .name = "reservation", .type = KEY_AMOUNT,
	  .offset = offsetof(struct class_memory, reservation), .min = 0, .max = 100 * PERCENT,
	  .per_guest = true, .example = "\"100%\"",
	  .help = "guest memory that is never reclaimed" },
	{ .name = "low", .type = KEY_AMOUNT, .offset = offsetof(struct class_memory, low),
	  .min = 0, .max = 100 * PERCENT, .per_guest = true, .example = "\"50%\"",
	  .help = "guest memory that is reclaimed only when nothing else is left" },
	{ .name = "overhead", .type = KEY_AMOUNT,
	  .offset = offsetof(struct class_memory, overhead), .min = 0, .max = 100 * PERCENT,
	  .per_guest = true, .example = "\"128MiB\"",
	  .help = "QEMU's own memory, counted into a reservation" },
	{ .name = "floor", .type = KEY_AMOUNT, .offset = offsetof(struct class_memory, floor),
	  .min = 0, .max = 100 * PERCENT, .per_guest = true, .example = "\"50%\"",
	  .help = "guest memory that an overload never takes away" },
	{ .name = "swap", .type = KEY_ENUM, .offset = offsetof(struct class_memory, swap),
	  .words = swap_words, .per_guest = true,
	  .help = "whether guest memory may be swapped out" },
	{ .name = "balloon", .type = KEY_ENUM, .offset = offsetof(struct class_memory, balloon),
	  .words = balloon_words, .per_guest = true,
	  .help = "whether an overload may take memory by the balloon; safe: if it gives way in time" },
	{ .name = "freeze", .type = KEY_ENUM, .offset = offsetof(struct class_memory, freeze),
	  .words = no_yes_words, .per_guest = true,
	  .help = "whether an overload may stop the guest as the last resort" },
};

static const struct policy_key net_keys[] = {
	{ .name = "reservation", .type = KEY_RATE,
	  .offset = offsetof(struct class_net, reservation_bps), .min = 0, .max = RATE_LIMIT,
	  .per_guest = true, .example = "\"1Gbit\"",
	  .help = "guaranteed rate of each NIC, each way" },
	{ .name = "limit", .type = KEY_RATE, .offset = offsetof(struct class_net, limit_bps),
	  .min = 8000, .max = RATE_LIMIT, .optional_none = true, .per_guest = true,
	  .example = "\"5Gbit\"",
	  .help = "highest rate of each NIC, each way" },
	{ .name = "in_limit", .type = KEY_RATE,
	  .offset = offsetof(struct class_net, in_limit_bps), .min = 8000, .max = RATE_LIMIT,
	  .optional_none = true, .none_word = "same", .per_guest = true, .example = "\"5Gbit\"",
	  .help = "highest rate towards the guest; same: as limit" },
	{ .name = "out_limit", .type = KEY_RATE,
	  .offset = offsetof(struct class_net, out_limit_bps), .min = 8000, .max = RATE_LIMIT,
	  .optional_none = true, .none_word = "same", .per_guest = true, .example = "\"5Gbit\"",
	  .help = "highest rate from the guest; same: as limit" },
	{ .name = "floor", .type = KEY_RATE, .offset = offsetof(struct class_net, floor_bps),
	  .min = 0, .max = RATE_LIMIT, .per_guest = true, .example = "\"20Mbit\"",
	  .help = "rate of each NIC that an overload never takes away" },
	{ .name = "burst", .type = KEY_TIME, .offset = offsetof(struct class_net, burst_us),
	  .min = 0, .max = 10 * SECOND, .per_guest = true, .example = "\"20ms\"",
	  .help = "credit saved up while idle, as time at the limit" },
	{ .name = "weight", .type = KEY_COUNT32, .offset = offsetof(struct class_net, weight),
	  .min = 1, .max = 10000, .per_guest = true, .example = "1",
	  .help = "share of bandwidth that nobody has reserved" },
};

static const struct policy_key disk_keys[] = {
	{ .name = "read_iops", .type = KEY_COUNT64,
	  .offset = offsetof(struct class_disk, read_iops), .min = 1, .max = BLOCK_LIMIT,
	  .optional_none = true, .per_guest = true, .example = "20000",
	  .help = "most reads a second of each disk" },
	{ .name = "write_iops", .type = KEY_COUNT64,
	  .offset = offsetof(struct class_disk, write_iops), .min = 1, .max = BLOCK_LIMIT,
	  .optional_none = true, .per_guest = true, .example = "20000",
	  .help = "most writes a second of each disk" },
	{ .name = "total_iops", .type = KEY_COUNT64,
	  .offset = offsetof(struct class_disk, total_iops), .min = 1, .max = BLOCK_LIMIT,
	  .optional_none = true, .per_guest = true, .example = "20000",
	  .help = "most reads and writes together a second of each disk" },
	{ .name = "read_bps", .type = KEY_BYTE_RATE,
	  .offset = offsetof(struct class_disk, read_bps), .min = 1, .max = BLOCK_LIMIT,
	  .optional_none = true, .per_guest = true, .example = "\"400MB/s\"",
	  .help = "most bytes a second read from each disk" },
	{ .name = "write_bps", .type = KEY_BYTE_RATE,
	  .offset = offsetof(struct class_disk, write_bps), .min = 1, .max = BLOCK_LIMIT,
	  .optional_none = true, .per_guest = true, .example = "\"400MB/s\"",
	  .help = "most bytes a second written to each disk" },
	{ .name = "total_bps", .type = KEY_BYTE_RATE,
	  .offset = offsetof(struct class_disk, total_bps), .min = 1, .max = BLOCK_LIMIT,
	  .optional_none = true, .per_guest = true, .example = "\"400MB/s\"",
	  .help = "most bytes a second read and written together of each disk" },
	{ .name = "burst_iops", .type = KEY_COUNT64,
	  .offset = offsetof(struct class_disk, burst_iops), .min = 1, .max = BLOCK_LIMIT,
	  .optional_none = true, .per_guest = true, .example = "40000",
	  .help = "operations a second of each disk for burst_time, after it did less than its limit" },
	{ .name = "burst_bps", .type = KEY_BYTE_RATE,
	  .offset = offsetof(struct class_disk, burst_bps), .min = 1, .max = BLOCK_LIMIT,
	  .optional_none = true, .per_guest = true, .example = "\"800MB/s\"",
	  .help = "bytes a second of each disk for burst_time, after it did less than its limit" },
	{ .name = "burst_time", .type = KEY_TIME, .offset = offsetof(struct class_disk, burst_us),
	  .min = SECOND, .max = HOUR, .per_guest = true, .example = "\"10s\"",
	  .help = "how long a burst may last, in whole seconds" },
	{ .name = "floor_iops", .type = KEY_COUNT64,
	  .offset = offsetof(struct class_disk, floor_iops), .min = 1, .max = BLOCK_LIMIT,
	  .optional_none = true, .none_word = "auto", .per_guest = true, .example = "50",
	  .help = "operations a second of each disk that an overload never takes away" },
	{ .name = "floor_bps", .type = KEY_BYTE_RATE,
	  .offset = offsetof(struct class_disk, floor_bps), .min = 1, .max = BLOCK_LIMIT,
	  .optional_none = true, .none_word = "auto", .per_guest = true, .example = "\"4MB/s\"",
	  .help = "bytes a second of each disk that an overload never takes away" },
	{ .name = "weight", .type = KEY_COUNT32, .offset = offsetof(struct class_disk, weight),
	  .min = 1, .max = 10000, .per_guest = true, .example = "100",
	  .help = "share of host.disk for each disk when all want more than that" },
};

static const struct policy_key rbd_keys[] = {
	{ .name = "qos", .type = KEY_ENUM, .offset = offsetof(struct class_rbd, qos),
	  .words = rbd_qos_words,
	  .help = "who holds disk limits of RBD images: libvirt, or librbd by its admin socket" },
	{ .name = "cache", .type = KEY_ENUM, .offset = offsetof(struct class_rbd, cache),
	  .words = rbd_cache_words,
	  .help = "librbd's cache mode; keep: whatever Ceph says" },
	{ .name = "cache_size", .type = KEY_SIZE,
	  .offset = offsetof(struct class_rbd, cache_size_bytes), .min = 4 * KIB, .max = 64 * GIB,
	  .optional_none = true, .none_word = "keep", .example = "\"64MiB\"",
	  .help = "cache of each image" },
	{ .name = "max_dirty", .type = KEY_SIZE,
	  .offset = offsetof(struct class_rbd, max_dirty_bytes), .min = 0, .max = 64 * GIB,
	  .optional_none = true, .none_word = "keep", .example = "\"24MiB\"",
	  .help = "most unwritten data in the cache; below cache_size" },
	{ .name = "target_dirty", .type = KEY_SIZE,
	  .offset = offsetof(struct class_rbd, target_dirty_bytes), .min = 0, .max = 64 * GIB,
	  .optional_none = true, .none_word = "keep", .example = "\"16MiB\"",
	  .help = "unwritten data at which writing back begins; below max_dirty" },
	{ .name = "max_dirty_age", .type = KEY_TIME,
	  .offset = offsetof(struct class_rbd, max_dirty_age_us), .min = 0, .max = HOUR,
	  .optional_none = true, .none_word = "keep", .example = "\"1s\"",
	  .help = "longest time that data stays unwritten" },
};

static const struct policy_group cpu_group = { "cpu", cpu_keys, ARRAY_SIZE(cpu_keys) };
static const struct policy_group memory_group = { "memory", memory_keys, ARRAY_SIZE(memory_keys) };
static const struct policy_group net_group = { "net", net_keys, ARRAY_SIZE(net_keys) };
static const struct policy_group disk_group = { "disk", disk_keys, ARRAY_SIZE(disk_keys) };
static const struct policy_group rbd_group = { "rbd", rbd_keys, ARRAY_SIZE(rbd_keys) };

static const struct policy_key class_keys[] = {
	{ .name = "name", .type = KEY_NAME, .offset = offsetof(struct qclass, name),
	  .required = true, .example = "\"gold\"",
	  .help = "the class's name" },
	{ .name = "rank", .type = KEY_COUNT32, .offset = offsetof(struct qclass, rank), .min = 0,
	  .max = 63, .required = true, .example = "0",
	  .help = "order of giving way: 0 is never throttled, the highest is first" },
	{ .name = "admission", .type = KEY_ENUM, .offset = offsetof(struct qclass, admission),
	  .words = admission_words,
	  .help = "a guest whose reservations do not fit: refuse its start, or start it without" },
	{ .name = "admission_overload", .type = KEY_ENUM,
	  .offset = offsetof(struct qclass, admission_overload), .words = admission_overload_words,
	  .help = "starts while CPU or memory is overloaded: admit, throttled as its class, or refuse" },
	{ .name = "cpu", .type = KEY_GROUP, .offset = offsetof(struct qclass, cpu),
	  .group = &cpu_group,
	  .help = "CPU time and placement" },
	{ .name = "memory", .type = KEY_GROUP, .offset = offsetof(struct qclass, memory),
	  .group = &memory_group,
	  .help = "memory" },
	{ .name = "net", .type = KEY_GROUP, .offset = offsetof(struct qclass, net),
	  .group = &net_group,
	  .help = "network bandwidth" },
	{ .name = "disk", .type = KEY_GROUP, .offset = offsetof(struct qclass, disk),
	  .group = &disk_group,
	  .help = "disk operations and throughput" },
	{ .name = "rbd", .type = KEY_GROUP, .offset = offsetof(struct qclass, rbd),
	  .group = &rbd_group,
	  .help = "Ceph RBD client cache" },
};

const struct policy_group policy_class_group = { "classes", class_keys, ARRAY_SIZE(class_keys) };

/* ---- match rules, networks, host ---- */

static const struct policy_key match_keys[] = {
	{ .name = "name", .type = KEY_PATTERN, .offset = offsetof(struct match_rule, name),
	  .example = "\"db-*\"",
	  .help = "pattern for the guest's name" },
	{ .name = "uuid", .type = KEY_PATTERN, .offset = offsetof(struct match_rule, uuid),
	  .example = "\"4dea22b3-*\"",
	  .help = "pattern for the guest's UUID" },
	{ .name = "title", .type = KEY_PATTERN, .offset = offsetof(struct match_rule, title),
	  .example = "\"*database*\"",
	  .help = "pattern for the guest's title" },
	{ .name = "flavor", .type = KEY_PATTERN, .offset = offsetof(struct match_rule, flavor),
	  .example = "\"m1.*\"",
	  .help = "pattern for its OpenStack Nova flavor" },
	{ .name = "project", .type = KEY_PATTERN, .offset = offsetof(struct match_rule, project),
	  .example = "\"finance\"",
	  .help = "pattern for its OpenStack project" },
	{ .name = "class", .type = KEY_NAME, .offset = offsetof(struct match_rule, class_name),
	  .required = true, .example = "\"gold\"",
	  .help = "class of the guests that match" },
};

static const struct policy_key network_keys[] = {
	{ .name = "name", .type = KEY_NAME, .offset = offsetof(struct network, name),
	  .required = true, .example = "\"tenant\"",
	  .help = "the network's name" },
	{ .name = "device", .type = KEY_DEVICE, .offset = offsetof(struct network, device),
	  .required = true, .example = "\"br0\"",
	  .help = "bridge or interface it uses" },
	{ .name = "uplink", .type = KEY_DEVICE, .offset = offsetof(struct network, uplink),
	  .example = "\"eth0\"",
	  .help = "physical interface behind the bridge" },
	{ .name = "rate", .type = KEY_RATE, .offset = offsetof(struct network, rate_bps),
	  .min = 1000000, .max = RATE_LIMIT, .optional_none = true, .none_word = "auto",
	  .example = "\"10Gbit\"",
	  .help = "what the uplink carries; auto: its link speed" },
	{ .name = "reservation", .type = KEY_RATE,
	  .offset = offsetof(struct network, reservation_bps), .min = 0, .max = RATE_LIMIT,
	  .example = "\"4Gbit\"",
	  .help = "rate kept for the host's own traffic" },
	{ .name = "ports", .type = KEY_PORTS, .offset = offsetof(struct network, ports),
	  .example = "\"3300,6789,6800-7568\"",
	  .help = "TCP and UDP ports, local or remote, that tell that traffic apart" },
	{ .name = "cgroup", .type = KEY_PATH, .offset = offsetof(struct network, cgroup),
	  .example = "\"/system.slice/ceph-osd.target\"",
	  .help = "control group below the root of cgroup v2 whose traffic it is" },
	{ .name = "mark", .type = KEY_COUNT32, .offset = offsetof(struct network, mark), .min = 1,
	  .max = UINT32_MAX - 1, .optional_none = true, .example = "16",
	  .help = "firewall mark of the packets that it is" },
};

static const struct policy_key reserve_keys[] = {
	{ .name = "memory", .type = KEY_SIZE,
	  .offset = offsetof(struct host_reserve, memory_bytes), .min = 0, .max = SIZE_LIMIT,
	  .example = "\"2GiB\"",
	  .help = "memory kept for the host itself" },
	{ .name = "cpus", .type = KEY_CPUSET, .offset = offsetof(struct host_reserve, cpus),
	  .example = "\"0\"",
	  .help = "housekeeping CPUs kept free of vCPUs; empty: none" },
};

static const struct policy_group match_group = { "match", match_keys, ARRAY_SIZE(match_keys) };
static const struct policy_group network_group = { "networks", network_keys,
						   ARRAY_SIZE(network_keys) };
static const struct policy_group reserve_group = { "reserve", reserve_keys,
						   ARRAY_SIZE(reserve_keys) };

static const struct policy_key host_disk_keys[] = {
	{ .name = "iops", .type = KEY_COUNT64, .offset = offsetof(struct host_disk, iops),
	  .min = 1, .max = BLOCK_LIMIT, .optional_none = true, .example = "20000",
	  .help = "reads and writes a second that the storage carries for all guests' disks" },
	{ .name = "bps", .type = KEY_BYTE_RATE, .offset = offsetof(struct host_disk, bps),
	  .min = 1, .max = BLOCK_LIMIT, .optional_none = true, .example = "\"800MB/s\"",
	  .help = "bytes a second that the storage carries for all guests' disks" },
};

static const struct policy_group host_disk_group = { "disk", host_disk_keys,
						     ARRAY_SIZE(host_disk_keys) };

static const struct policy_key host_keys[] = {
	{ .name = "reserve", .type = KEY_GROUP, .offset = 0, .group = &reserve_group,
	  .help = "what the host keeps for itself" },
	{ .name = "shaper", .type = KEY_ENUM, .offset = offsetof(struct policy_host, shaper),
	  .words = shaper_words,
	  .help = "what limits network cards: eBPF with fq, HTB, or the better one that works" },
	{ .name = "disk", .type = KEY_GROUP, .offset = offsetof(struct policy_host, disk),
	  .group = &host_disk_group,
	  .help = "what the storage carries, shared by disk.weight" },
};

static const struct policy_group host_group = { "host", host_keys, ARRAY_SIZE(host_keys) };

/* ---- overload ---- */

static const struct policy_key overload_cpu_keys[] = {
	{ .name = "target_wait", .type = KEY_SHARE,
	  .offset = offsetof(struct overload, cpu_target_wait_permille), .min = 1,
	  .max = 100 * PERCENT, .example = "\"5%\"",
	  .help = "share of their time that vCPUs of protected guests may wait for a CPU" },
};

static const struct policy_key overload_memory_keys[] = {
	{ .name = "low", .type = KEY_SIZE, .offset = offsetof(struct overload, memory_low_bytes),
	  .min = MIB, .max = SIZE_LIMIT, .optional_none = true, .none_word = "auto",
	  .example = "\"4GiB\"",
	  .help = "available memory below which the host is pressed; auto: 5% of RAM" },
	{ .name = "target_pressure", .type = KEY_SHARE,
	  .offset = offsetof(struct overload, memory_target_pressure_permille), .min = 1,
	  .max = 100 * PERCENT, .example = "\"10%\"",
	  .help = "memory pressure (PSI some) that is still fine" },
};

static const struct policy_key overload_net_keys[] = {
	{ .name = "target_short", .type = KEY_SHARE,
	  .offset = offsetof(struct overload, net_target_short_permille), .min = 1,
	  .max = 100 * PERCENT, .example = "\"5%\"",
	  .help = "share of its reservation that a protected guest may miss" },
	{ .name = "target_delay", .type = KEY_TIME,
	  .offset = offsetof(struct overload, net_target_delay_us), .min = 100,
	  .max = 10 * SECOND, .example = "\"10ms\"",
	  .help = "queueing delay that is still fine" },
};

static const struct policy_key overload_disk_keys[] = {
	{ .name = "target_latency", .type = KEY_TIME,
	  .offset = offsetof(struct overload, disk_target_latency_us), .min = 100,
	  .max = 10 * SECOND, .example = "\"30ms\"",
	  .help = "disk latency of protected guests that is still fine" },
};

static const struct policy_key release_keys[] = {
	{ .name = "hold", .type = KEY_TIME, .offset = offsetof(struct overload, release_hold_us),
	  .min = 0, .max = HOUR, .example = "\"10s\"",
	  .help = "clean time before anything is given back" },
	{ .name = "step", .type = KEY_SHARE,
	  .offset = offsetof(struct overload, release_step_permille), .min = 1 * PERCENT,
	  .max = 100 * PERCENT, .example = "\"10%\"",
	  .help = "how much is given back at a time" },
};

static const struct policy_group overload_cpu_group = { "cpu", overload_cpu_keys,
							ARRAY_SIZE(overload_cpu_keys) };
static const struct policy_group overload_memory_group = { "memory", overload_memory_keys,
							   ARRAY_SIZE(overload_memory_keys) };
static const struct policy_group overload_net_group = { "net", overload_net_keys,
							ARRAY_SIZE(overload_net_keys) };
static const struct policy_group overload_disk_group = { "disk", overload_disk_keys,
							 ARRAY_SIZE(overload_disk_keys) };
static const struct policy_group release_group = { "release", release_keys,
						   ARRAY_SIZE(release_keys) };

static const struct policy_key overload_keys[] = {
	{ .name = "tick", .type = KEY_TIME, .offset = offsetof(struct overload, tick_us),
	  .min = 10 * MS, .max = 10 * SECOND, .example = "\"100ms\"",
	  .help = "time between two looks while the host is pressed" },
	{ .name = "cpu", .type = KEY_GROUP, .group = &overload_cpu_group,
	  .help = "when the CPUs count as overloaded" },
	{ .name = "memory", .type = KEY_GROUP, .group = &overload_memory_group,
	  .help = "when memory counts as overloaded" },
	{ .name = "net", .type = KEY_GROUP, .group = &overload_net_group,
	  .help = "when the network counts as overloaded" },
	{ .name = "disk", .type = KEY_GROUP, .group = &overload_disk_group,
	  .help = "when disks count as overloaded" },
	{ .name = "release", .type = KEY_GROUP, .group = &release_group,
	  .help = "how throttled classes get everything back" },
	{ .name = "lease", .type = KEY_TIME, .offset = offsetof(struct overload, lease_us),
	  .min = 3 * SECOND, .max = HOUR, .example = "\"15s\"",
	  .help = "throttles end after this time when qosd does not renew them (it has died)" },
};

static const struct policy_group overload_group = { "overload", overload_keys,
						    ARRAY_SIZE(overload_keys) };

/* ---- Ceph ---- */

static const struct policy_key ceph_keys[] = {
	{ .name = "conf", .type = KEY_PATH, .offset = offsetof(struct ceph_policy, conf),
	  .example = "\"/etc/ceph/ceph.conf\"",
	  .help = "configuration of the cluster that is asked, and base of files made for guests" },
	{ .name = "user", .type = KEY_NAME, .offset = offsetof(struct ceph_policy, user),
	  .example = "\"qosd\"",
	  .help = "Ceph user, without client., that looks at images; absent: no cluster is asked" },
	{ .name = "apply", .type = KEY_ENUM, .offset = offsetof(struct ceph_policy, apply),
	  .words = ceph_apply_words,
	  .help = "where cache settings of classes are written for the next start of a guest" },
	{ .name = "timeout", .type = KEY_TIME, .offset = offsetof(struct ceph_policy, timeout_us),
	  .min = SECOND, .max = 60 * SECOND, .example = "\"3s\"",
	  .help = "how long a cluster may take to answer" },
	{ .name = "cache_budget", .type = KEY_SIZE, .offset = offsetof(struct ceph_policy,
	  cache_budget_bytes),
	  .min = 0, .max = SIZE_LIMIT, .optional_none = true, .example = "\"16GiB\"",
	  .help = "memory that the RBD clients of all guests together may take" },
};

static const struct policy_group ceph_group = { "ceph", ceph_keys, ARRAY_SIZE(ceph_keys) };

/* ---- the whole ---- */

static const struct policy_key root_keys[] = {
	{ .name = "mode", .type = KEY_ENUM, .offset = offsetof(struct policy, mode),
	  .words = mode_words,
	  .help = "observe: report only, write nothing; enforce: act" },
	{ .name = "host", .type = KEY_GROUP, .offset = offsetof(struct policy, host),
	  .group = &host_group,
	  .help = "the host's own needs" },
	{ .name = "networks", .type = KEY_LIST, .offset = offsetof(struct policy, networks),
	  .count_offset = offsetof(struct policy, nnetworks),
	  .element_size = sizeof(struct network), .group = &network_group, .max = 64,
	  .help = "independent networks and what they carry" },
	{ .name = "classes", .type = KEY_LIST, .offset = offsetof(struct policy, classes),
	  .count_offset = offsetof(struct policy, nclasses),
	  .element_size = sizeof(struct qclass), .group = &policy_class_group, .max = 64,
	  .help = "service classes" },
	{ .name = "match", .type = KEY_LIST, .offset = offsetof(struct policy, rules),
	  .count_offset = offsetof(struct policy, nrules),
	  .element_size = sizeof(struct match_rule), .group = &match_group, .max = 1024,
	  .help = "rules that give guests their class; the first that matches wins" },
	{ .name = "default_class", .type = KEY_NAME,
	  .offset = offsetof(struct policy, default_class_name), .example = "\"silver\"",
	  .help = "class of guests that nothing else gives one" },
	{ .name = "overload", .type = KEY_GROUP, .offset = offsetof(struct policy, overload),
	  .group = &overload_group,
	  .help = "when and how lower classes give way" },
	{ .name = "ceph", .type = KEY_GROUP, .offset = offsetof(struct policy, ceph),
	  .group = &ceph_group,
	  .help = "the Ceph cluster behind RBD disks" },
};

const struct policy_group policy_root_group = { "", root_keys, ARRAY_SIZE(root_keys) };

/* clang-format on */

const struct policy_key *policy_key_find(const struct policy_group *g, const char *name)
{
	for (size_t i = 0; i < g->nkeys; i++)
		if (strcmp(g->keys[i].name, name) == 0)
			return &g->keys[i];
	return NULL;
}
