/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * policy - all that the configuration says, typed, in one arena.
 *
 * A policy is made whole (by host/conf from a file, or by tests), checked whole (policy_check) and
 * then never changes; a reload makes a second one. One table per group (policy_keys) names every
 * key with its type and place: reader, printer, overrides and completion all walk it, so that they
 * cannot drift apart. Optional values use the NONE constants below; defaults are filled in by
 * policy_new / policy_add_*, so a printed policy shows every value that is in force.
 */
#ifndef QOSD_CORE_POLICY_H
#define QOSD_CORE_POLICY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "qosd/core/cpuset.h"
#include "qosd/core/diag.h"
#include "qosd/core/err.h"
#include "qosd/core/portset.h"

#define POLICY_NONE_U64 UINT64_MAX /* "no limit" / not set */
#define POLICY_NONE_U32 UINT32_MAX
#define POLICY_NAME_MAX 64

/* How deep a control group of networks may be, as bpf/hostcount.h. */
#define POLICY_CGROUP_LEVELS 16

enum policy_mode { MODE_OBSERVE, MODE_ENFORCE };
enum cpu_placement { PLACEMENT_ANY, PLACEMENT_SHARED, PLACEMENT_DEDICATED };
enum cpu_threads { THREADS_SHARE, THREADS_ISOLATE }; /* SMT siblings of a dedicated core */
enum swap_rule { SWAP_ALLOW, SWAP_NONE };
/* Safe: only balloons that deflate by themselves before the guest runs out of memory. */
enum balloon_rule { BALLOON_NO, BALLOON_SAFE, BALLOON_YES };
/* A guest that does not fit: the hook says no, or it starts degraded. */
enum admission_rule { ADMIT_REFUSE, ADMIT_DEGRADE };
/* A guest that wants to start while the host is pressed: let in, under its class's level; or not.
 */
enum admission_overload_rule { OVERLOAD_ADMIT, OVERLOAD_REFUSE };
/* Who holds an RBD disk's limits: QEMU, by libvirt; or librbd, where it has an admin socket. */
enum rbd_qos_rule { RBD_QOS_LIBVIRT, RBD_QOS_RBD };
enum rbd_cache_mode {
	RBD_CACHE_KEEP, /* whatever Ceph and QEMU say */
	RBD_CACHE_NONE,
	RBD_CACHE_WRITETHROUGH,
	RBD_CACHE_WRITEBACK,
	RBD_CACHE_WRITEAROUND,
};

/* An absolute amount or a share of the guest's own size. */
struct amount {
	bool relative;  /* true: value is permille of the guest's size; false: bytes */
	uint64_t value; /* 0 = nothing */
};

struct class_cpu {
	uint32_t placement;            /* enum cpu_placement; default any */
	uint32_t threads;              /* enum cpu_threads; default share */
	uint32_t reservation_permille; /* of one CPU per vCPU; default 0 */
	uint32_t limit_permille;       /* of one CPU per vCPU; POLICY_NONE_U32 = none */
	uint32_t floor_permille;       /* never throttled below; default 10% */
	uint32_t weight;               /* cgroup v2 cpu.weight 1..10000; default 100 */
	uint64_t burst_us;             /* cpu.max.burst per vCPU; default 0 */
	struct cpuset emulator;        /* for emulator and I/O threads; empty = housekeeping CPUs */
	uint32_t idle; /* bool; runs only when no other guest wants the CPU; default no */
};

struct class_memory {
	struct amount reservation; /* memory.min; percent of guest RAM or bytes */
	struct amount low;         /* memory.low, on top of nothing: best-effort protection */
	struct amount overhead; /* QEMU's own memory counted into the reservation; default 128MiB */
	struct amount floor;    /* overload ladder never reclaims below; default 50% */
	uint32_t swap;          /* enum swap_rule; default allow */
	uint32_t balloon;       /* enum balloon_rule; default safe */
	uint32_t freeze;        /* bool; may stand still as the last resort; default no */
};

struct class_net {
	uint64_t reservation_bps; /* default 0 */
	uint64_t limit_bps;       /* both directions, each; POLICY_NONE_U64 = none */
	uint64_t in_limit_bps;    /* towards the guest; NONE = limit_bps */
	uint64_t out_limit_bps;   /* from the guest; NONE = limit_bps */
	uint64_t floor_bps;       /* default 0 */
	uint64_t burst_us;        /* credit while idle; default 0 */
	uint32_t weight;          /* default 1 */
};

struct class_disk { /* limits: 1.., or NONE (the default) = no limit; 0 never comes out of a file */
	uint64_t read_iops, write_iops, total_iops;
	uint64_t read_bps, write_bps, total_bps; /* bytes/s */
	uint64_t burst_iops,
		burst_bps;   /* above each limit of the unit, for a time; NONE (default) */
	uint64_t burst_us;   /* whole seconds; default 1s */
	uint64_t floor_iops; /* never throttled below, reads and writes together; NONE = auto */
	uint64_t floor_bps;  /* bytes/s; see class_disk_floor_iops() */
	uint32_t weight;     /* of each disk in host.disk; 1..10000; default 100 */
};

struct class_rbd {      /* numbers: NONE (the default) = whatever Ceph says */
	uint32_t cache; /* enum rbd_cache_mode; default keep */
	uint32_t qos;   /* enum rbd_qos_rule; default libvirt */
	uint64_t cache_size_bytes, max_dirty_bytes, target_dirty_bytes;
	uint64_t max_dirty_age_us;
	/*
	 * No key: the most that librbd may take for all of this guest's disks, as they are open;
	 * NONE: not known, so what the class and QEMU's cache mode make of Ceph's defaults counts.
	 */
	uint64_t in_force_bytes;
};

struct qclass { /* one service class ("class" for people) */
	char *name;
	uint32_t rank;               /* 0 is never throttled; the highest gives way first */
	uint32_t admission;          /* enum admission_rule; default refuse */
	uint32_t admission_overload; /* enum admission_overload_rule; default admit */
	struct class_cpu cpu;
	struct class_memory memory;
	struct class_net net;
	struct class_disk disk;
	struct class_rbd rbd;
	uint32_t index;    /* place in policy.classes */
	unsigned int line; /* where it begins in the file */
};

/* All patterns given must match; NULL = not asked. Globs as fnmatch(3) "*?[]". */
struct match_rule {
	char *name, *uuid, *title, *flavor, *project;
	char *class_name;
	const struct qclass *qclass; /* resolved by policy_check */
	unsigned int line;
};

struct network {
	char *name, *device, *uplink;
	uint64_t rate_bps;        /* NONE = ask the link */
	uint64_t reservation_bps; /* for the host's own traffic; default 0 */
	/* Which of the host's traffic on the uplink that is: all that are given must match. None is
	 * given: all of the device's. */
	struct portset ports; /* local or remote port of TCP or UDP; empty = not asked */
	char *cgroup;         /* below the root of cgroup v2, with all below it; NULL = not asked */
	uint32_t mark;        /* the firewall's; NONE or 0 = not asked */
	unsigned int line;
};

struct host_reserve {
	uint64_t memory_bytes; /* default 1GiB: the host's own */
	struct cpuset cpus;    /* housekeeping; empty = none set aside */
};

struct overload {
	uint64_t tick_us;                  /* default 100ms */
	uint32_t cpu_target_wait_permille; /* default 5% */
	uint64_t memory_low_bytes;         /* MemAvailable watermark; default 5% of RAM = NONE */
	uint32_t memory_target_pressure_permille; /* default 10% */
	uint32_t net_target_short_permille;       /* default 5% */
	uint64_t net_target_delay_us;             /* default 10ms */
	uint64_t disk_target_latency_us;          /* default 30ms */
	uint64_t release_hold_us;                 /* default 10s */
	uint32_t release_step_permille;           /* default 10% */
	uint64_t lease_us; /* throttles of a qosd that is dead lapse after it; default 15s */
};

/* Where a class's cache settings are written for the next open of an image. */
enum ceph_apply { CEPH_APPLY_NONE, CEPH_APPLY_FILE, CEPH_APPLY_IMAGE };

struct ceph_policy {
	char *conf; /* NULL: /etc/ceph/ceph.conf */
	char *user; /* without "client."; NULL: no cluster is asked */
	uint32_t apply;
	uint64_t timeout_us;         /* default 3s */
	uint64_t cache_budget_bytes; /* all RBD clients of this host; NONE (default): no bound */
};

struct arena;

/* Where a setting stands in the files: "classes[2].cpu.limit" came from line 17 of `file`. */
struct policy_origin {
	char *path;
	char *file;
	unsigned int line;
	bool bad; /* its value was refused when read, so the default stands in its place */
};

struct host_disk { /* what all disks of guests together may take; NONE (default): not shared */
	uint64_t iops;
	uint64_t bps; /* bytes/s */
};

enum policy_shaper { SHAPER_AUTO, SHAPER_EDT, SHAPER_HTB }; /* what limits NICs */

struct policy_host {
	struct host_reserve reserve;
	uint32_t shaper; /* enum policy_shaper; default auto */
	struct host_disk disk;
};

struct policy {
	struct arena *arena; /* owns everything below but `origins` */
	char *path;          /* file it was read from, NULL if none */
	uint32_t mode;       /* enum policy_mode; default observe */
	struct policy_host host;
	struct network *networks;
	size_t nnetworks;
	struct qclass *classes; /* in file order */
	size_t nclasses;
	struct match_rule *rules;
	size_t nrules;
	char *default_class_name;
	const struct qclass *default_class; /* resolved by policy_check */
	unsigned int default_class_line;
	unsigned int mode_line;
	struct overload overload;
	struct ceph_policy ceph;
	struct policy_origin *origins; /* texts in the arena; see policy_origin_* */
	size_t norigins, origins_capacity;
	bool origins_sorted;
};

/* ---- the key tables (policy_keys.c) ---- */
enum key_type {
	KEY_NAME,      /* char *: 1..63 of [A-Za-z0-9._-] */
	KEY_PATTERN,   /* char *: a glob, 1..255 printable */
	KEY_DEVICE,    /* char *: interface name, 1..15 */
	KEY_PATH,      /* char *: absolute, 2..255 printable */
	KEY_ENUM,      /* uint32_t, with words */
	KEY_COUNT32,   /* uint32_t: bare integer */
	KEY_COUNT64,   /* uint64_t: bare integer or string of digits */
	KEY_SIZE,      /* uint64_t bytes */
	KEY_RATE,      /* uint64_t bit/s; "none" = POLICY_NONE_U64 */
	KEY_BYTE_RATE, /* uint64_t bytes/s; "none" */
	KEY_TIME,      /* uint64_t us */
	KEY_SHARE,     /* uint32_t permille; "none" = POLICY_NONE_U32 where optional */
	KEY_AMOUNT,    /* struct amount: "100%" or "4GiB" */
	KEY_CPUSET,    /* struct cpuset */
	KEY_PORTS,     /* struct portset */
	KEY_GROUP,     /* sub-table at offset */
	KEY_LIST,      /* list of groups (networks, classes, match): handled by name */
};

struct policy_key {
	const char *name;
	enum key_type type;
	size_t offset;                    /* into the group's struct */
	const char *const *words;         /* KEY_ENUM: NULL-terminated, index = value */
	const struct policy_group *group; /* KEY_GROUP / KEY_LIST element */
	uint64_t min, max;     /* inclusive bounds of the number (KEY_AMOUNT: permille); a
				  list: of its length. 0,0 = any */
	bool optional_none;    /* POLICY_NONE_* is a value, written as `none_word` */
	const char *none_word; /* NULL: "none" */
	bool required;
	bool per_guest;                    /* may be overridden in a guest's metadata */
	const char *example;               /* what would be right: `"4GiB"` */
	const char *help;                  /* one line, for the man page and completion */
	size_t count_offset, element_size; /* KEY_LIST: its size_t count, bytes of an element */
};

struct policy_group {
	const char *name; /* "classes", "cpu", ... */
	const struct policy_key *keys;
	size_t nkeys;
};

extern const struct policy_group policy_root_group;  /* offsets into struct policy */
extern const struct policy_group policy_class_group; /* offsets into struct qclass */

const struct policy_key *policy_key_find(const struct policy_group *g, const char *name);
/* The key that was probably meant by `name`; NULL when nothing is close. */
const struct policy_key *policy_key_nearest(const struct policy_group *g, const char *name);

/*
 * Set one scalar key from its text form ("150%", "gold", "0-3") in the struct at `base`.
 * 0, or -EINVAL / -ERANGE with a sentence `what is wrong; what would be right` (the last "; "
 * parts them). Strings go to `arena`; without one, keys that hold strings are refused.
 */
int policy_key_set(const struct policy_key *key, void *base, const char *text, struct arena *arena,
		   struct qerr *err);
/*
 * Text form of a scalar key's value (parses back to the same) into buf; returns buf. A string that
 * is not set gives "". POLICY_VALUE_MAX bytes always suffice.
 */
#define POLICY_VALUE_MAX CPUSET_TEXT_MAX
char *policy_key_format(const struct policy_key *key, const void *base, char *buf, size_t size);
/* What would be right for this key, e.g. `write for example "5Gbit"`, into buf; returns buf. */
char *policy_key_advice(const struct policy_key *key, char *buf, size_t size);

/*
 * Override one per-guest key of a copy of a class: path "cpu.limit", value "150%". `arena` may be
 * NULL when the type needs no string memory (that is so for all per-guest keys of today).
 * 0, or -EINVAL / -ERANGE with a sentence as from policy_key_set; the class is then untouched.
 */
int policy_class_override(struct qclass *c, const char *path, const char *value,
			  struct arena *arena, struct qerr *err);

/* ---- life ---- */
struct policy *policy_new(void);    /* defaults, no classes; NULL when out of memory */
void policy_free(struct policy *p); /* NULL is fine */
/* Append one with defaults; NULL when out of memory. Pointers stay valid until the next add. */
struct qclass *policy_add_class(struct policy *p);
struct match_rule *policy_add_rule(struct policy *p);
struct network *policy_add_network(struct policy *p);

const struct qclass *policy_class(const struct policy *p, const char *name); /* NULL: unknown */

/* Remember where a setting stands. -ENOMEM is the only error. */
int policy_origin_add(struct policy *p, const char *path, const char *file, unsigned int line,
		      bool bad);
/* The origin of `path`, or of the nearest setting around it; NULL when nothing is known. */
const struct policy_origin *policy_origin_find(struct policy *p, const char *path);

/* ---- normal form (policy_print.c): libconfig text that reads in again as the same policy ---- */
/* malloc'd text, or NULL when out of memory. print(read(print(p))) == print(p). */
char *policy_print(const struct policy *p);

/* ---- cross checks (policy_check.c) ---- */
struct host;
/*
 * All findings of the whole: names unique and known, ranks without holes beginning at 0, floor <=
 * limit, reservation <= limit, reserve inside the host, dedicated classes possible, networks ...
 * `host` may be NULL (checks against the host are left out, as in `qosctl check` elsewhere).
 * Resolves rule->qclass and default_class. Returns 0, or -EINVAL when it added an error.
 * Checks that lean on a value marked bad in the origins are left out: that one is known already.
 */
int policy_check(struct policy *p, const struct host *host, struct diag_list *findings);
/* The part that looks at one class alone, for a class changed by a guest's overrides. */
int policy_class_check(const struct qclass *c, struct diag_list *findings);

#endif
