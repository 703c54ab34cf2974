/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * policy_check_class - what must fit together inside one class.
 *
 * Always: floor <= limit and reservation <= limit, per resource. The kernel's and libvirt's own
 * rules are checked here as well, so that a write is not refused in the midst of an overload.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "qosd/core/policy_report.h"
#include "qosd/core/unit.h"

#define SECOND_US              UINT64_C(1000000)
#define CPU_PERIOD_US          100000 /* the kernel's default; a burst must fit its quota */
#define CEPH_SIZE_DEFAULT      (UINT64_C(32) << 20)
#define CEPH_MAX_DIRTY_DEFAULT (UINT64_C(24) << 20)
#define CEPH_TARGET_DEFAULT    (UINT64_C(16) << 20)

struct class_report {
	struct policy_report *report;
	const char *path; /* of the class, "" for none */
};

__attribute__((format(printf, 5, 6))) static void say(const struct class_report *r,
						      enum diag_severity severity, const char *key,
						      const char *fix, const char *fmt, ...)
{
	char path[REPORT_PATH_MAX], text[400];
	va_list args;

	snprintf(path, sizeof(path), "%s%s%s", r->path, r->path[0] ? "." : "", key);
	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	policy_report(r->report, severity, path, fix, "%s", text);
}

static bool group_bad(const struct class_report *r, const char *group)
{
	char prefix[REPORT_PATH_MAX];

	snprintf(prefix, sizeof(prefix), "%s.%s", r->path, group);
	return policy_report_bad(r->report, prefix, "");
}

/* ---- cpu ---- */

static void check_cpu_share(const struct class_report *r, const char *key, uint32_t share,
			    uint32_t limit)
{
	char have[UNIT_TEXT_MAX], most[UNIT_TEXT_MAX], fix[128];
	const char *name = strchr(key, '.') + 1;

	if (limit == POLICY_NONE_U32 || share <= limit)
		return;
	unit_format_share(share, have);
	unit_format_share(limit, most);
	snprintf(fix, sizeof(fix), "write %s = \"%s\" or less, or raise the limit", name, most);
	say(r, DIAG_ERROR, key, fix, "%s %s is above the limit %s", name, have, most);
}

static void check_cpu_burst(const struct class_report *r, const struct class_cpu *cpu)
{
	char have[UNIT_TEXT_MAX], most[UNIT_TEXT_MAX], fix[128];
	uint64_t quota_us = unit_permille_of(CPU_PERIOD_US, cpu->limit_permille);

	if (!cpu->burst_us)
		return;
	if (cpu->limit_permille == POLICY_NONE_U32) {
		say(r, DIAG_ERROR, "cpu.burst", "set cpu.limit too, or leave burst out",
		    "a burst without a limit has no meaning");
		return;
	}
	if (cpu->burst_us <= quota_us)
		return;
	unit_format_time(cpu->burst_us, have);
	unit_format_time(quota_us, most);
	snprintf(fix, sizeof(fix), "write burst = \"%s\" or less", most);
	say(r, DIAG_ERROR, "cpu.burst", fix,
	    "burst %s is above the quota of %s in a period of 100ms, which the kernel refuses",
	    have, most);
}

static void check_cpu_placement(const struct class_report *r, const struct class_cpu *cpu)
{
	bool dedicated = cpu->placement == PLACEMENT_DEDICATED;

	if (!dedicated && cpu->threads == THREADS_ISOLATE)
		say(r, DIAG_WARNING, "cpu.threads",
		    "write placement = \"dedicated\", or leave threads out",
		    "\"isolate\" has no effect without dedicated cores");
	if (!dedicated)
		return;
	if (cpu->limit_permille < 1000)
		say(r, DIAG_WARNING, "cpu.limit", "write limit = \"100%\" or more, or leave it out",
		    "a limit below 100%% leaves part of the dedicated cores unused");
	if (cpu->reservation_permille != 0 && cpu->reservation_permille != 1000)
		say(r, DIAG_WARNING, "cpu.reservation",
		    "write reservation = \"100%\", or leave it out",
		    "dedicated cores are a reservation of 100%%, whatever is written here");
}

/* An idle guest runs on what all others leave: nothing can be promised to it. */
static void check_cpu_idle(const struct class_report *r, const struct qclass *c)
{
	if (!c->cpu.idle)
		return;
	if (c->cpu.reservation_permille)
		say(r, DIAG_ERROR, "cpu.idle", "leave either idle or cpu.reservation out",
		    "an idle class cannot have CPU time reserved");
	if (c->rank == 0)
		say(r, DIAG_ERROR, "cpu.idle", "leave idle out, or give the class another rank",
		    "a class of rank 0 gives way to nobody, so it cannot be idle");
	if (c->cpu.placement == PLACEMENT_DEDICATED)
		say(r, DIAG_WARNING, "cpu.idle", "leave either idle or dedicated cores out",
		    "idle has no effect on dedicated cores");
}

static void check_cpu(const struct class_report *r, const struct class_cpu *cpu)
{
	check_cpu_share(r, "cpu.reservation", cpu->reservation_permille, cpu->limit_permille);
	check_cpu_share(r, "cpu.floor", cpu->floor_permille, cpu->limit_permille);
	check_cpu_burst(r, cpu);
	check_cpu_placement(r, cpu);
}

/* ---- memory ---- */

static void check_memory(const struct class_report *r, const struct class_memory *memory,
			 uint32_t rank)
{
	if (memory->freeze && rank == 0)
		say(r, DIAG_ERROR, "memory.freeze",
		    "leave freeze out, or give the class another rank",
		    "a class of rank 0 is never throttled, so it cannot be frozen");
	if (memory->floor.value == 0)
		say(r, DIAG_WARNING, "memory.floor", "write for example floor = \"50%\"",
		    "a floor of nothing lets an overload take all of a guest's memory");
}

/* ---- net ---- */

static void check_net_rate(const struct class_report *r, const char *key, uint64_t rate,
			   const char *limit_name, uint64_t limit)
{
	char have[UNIT_TEXT_MAX], most[UNIT_TEXT_MAX], fix[128];
	const char *name = strchr(key, '.') + 1;

	if (limit == POLICY_NONE_U64 || rate <= limit)
		return;
	unit_format_rate(rate, have);
	unit_format_rate(limit, most);
	snprintf(fix, sizeof(fix), "write %s = \"%s\" or less, or raise %s", name, most,
		 limit_name);
	say(r, DIAG_ERROR, key, fix, "%s %s is above %s %s", name, have, limit_name, most);
}

/* A direction without a limit of its own has the common one; that is reported once. */
static void check_net(const struct class_report *r, const struct class_net *net)
{
	const struct {
		const char *name;
		uint64_t bps;
	} limits[] = {
		{ "limit", net->limit_bps },
		{ "in_limit", net->in_limit_bps },
		{ "out_limit", net->out_limit_bps },
	};
	bool own_in = net->in_limit_bps != POLICY_NONE_U64;
	bool own_out = net->out_limit_bps != POLICY_NONE_U64;

	for (size_t i = own_in && own_out ? 1 : 0; i < 3; i++) {
		check_net_rate(r, "net.reservation", net->reservation_bps, limits[i].name,
			       limits[i].bps);
		check_net_rate(r, "net.floor", net->floor_bps, limits[i].name, limits[i].bps);
	}
	if (net->burst_us && net->limit_bps == POLICY_NONE_U64 && !own_in && !own_out)
		say(r, DIAG_WARNING, "net.burst", "set net.limit too, or leave burst out",
		    "a burst without a limit acts only where a network is shared");
}

/* ---- disk and rbd ---- */

static bool is_set(uint64_t value)
{
	return value != POLICY_NONE_U64;
}

static uint64_t both(uint64_t a, uint64_t b)
{
	return a > UINT64_MAX - b ? UINT64_MAX : a + b;
}

/* The floor is for reads and writes together, as is what they may take together. */
static void check_disk_floor(const struct class_report *r, const char *key, uint64_t floor,
			     uint64_t limit)
{
	char fix[128];
	const char *name = strchr(key, '.') + 1;

	if (!is_set(floor) || floor <= limit)
		return;
	snprintf(fix, sizeof(fix), "lower %s, write %s = \"auto\", or raise the limit", name, name);
	say(r, DIAG_ERROR, key, fix, "%s is above what reads and writes together may take", name);
}

/* A burst goes above limits: QEMU and librbd refuse one that is below them. */
static void check_disk_burst(const struct class_report *r, const char *key, uint64_t burst,
			     const uint64_t limits[3])
{
	const char *name = strchr(key, '.') + 1;
	bool limited = false;

	if (!is_set(burst))
		return;
	for (int i = 0; i < 3; i++) {
		limited |= is_set(limits[i]);
		if (is_set(limits[i]) && burst < limits[i]) {
			say(r, DIAG_ERROR, key, "raise it above the limits, or leave it out",
			    "%s is below a limit of its unit", name);
			return;
		}
	}
	if (!limited)
		say(r, DIAG_WARNING, key, "set a limit of its unit too, or leave it out",
		    "%s without a limit has no effect", name);
}

static void check_disk(const struct class_report *r, const struct class_disk *disk)
{
	check_disk_floor(r, "disk.floor_iops", disk->floor_iops,
			 is_set(disk->total_iops) ? disk->total_iops
						  : both(disk->read_iops, disk->write_iops));
	check_disk_floor(r, "disk.floor_bps", disk->floor_bps,
			 is_set(disk->total_bps) ? disk->total_bps
						 : both(disk->read_bps, disk->write_bps));
	check_disk_burst(r, "disk.burst_iops", disk->burst_iops,
			 (const uint64_t[]){ disk->read_iops, disk->write_iops, disk->total_iops });
	check_disk_burst(r, "disk.burst_bps", disk->burst_bps,
			 (const uint64_t[]){ disk->read_bps, disk->write_bps, disk->total_bps });
	if (disk->burst_us % SECOND_US)
		say(r, DIAG_ERROR, "disk.burst_time", "write whole seconds",
		    "burst_time has a part of a second");
	if (is_set(disk->total_iops) && (is_set(disk->read_iops) || is_set(disk->write_iops)))
		say(r, DIAG_ERROR, "disk.total_iops",
		    "keep either total_iops, or read_iops and write_iops",
		    "libvirt refuses a total together with a read or write limit");
	if (is_set(disk->total_bps) && (is_set(disk->read_bps) || is_set(disk->write_bps)))
		say(r, DIAG_ERROR, "disk.total_bps",
		    "keep either total_bps, or read_bps and write_bps",
		    "libvirt refuses a total together with a read or write limit");
}

/* ---- rbd ---- */

struct rbd_bound {
	const char *key;
	uint64_t bytes, ceph_default;
};

/*
 * Ceph documents target_dirty < max_dirty < cache_size and checks nothing; 0: write through. Of two
 * that the class sets this is a mistake; where one is left to Ceph it is so with Ceph's default,
 * which the cluster may have changed.
 */
static void check_rbd_order(const struct class_report *r, const struct rbd_bound *small,
			    const struct rbd_bound *large)
{
	bool both = is_set(small->bytes) && is_set(large->bytes);
	uint64_t below = is_set(small->bytes) ? small->bytes : small->ceph_default;
	uint64_t above = is_set(large->bytes) ? large->bytes : large->ceph_default;
	char have[UNIT_TEXT_MAX], most[UNIT_TEXT_MAX], fix[128], key[32];

	if ((!is_set(small->bytes) && !is_set(large->bytes)) || below < above || below == 0)
		return;
	unit_format_size(below, have);
	unit_format_size(above, most);
	snprintf(key, sizeof(key), "rbd.%s", is_set(small->bytes) ? small->key : large->key);
	snprintf(fix, sizeof(fix), "write %s below \"%s\", or raise %s", small->key, most,
		 large->key);
	say(r, both ? DIAG_ERROR : DIAG_WARNING, key, fix, "%s%s %s is not below %s%s %s",
	    is_set(small->bytes) ? "" : "Ceph's default ", small->key, have,
	    is_set(large->bytes) ? "" : "Ceph's default ", large->key, most);
}

static void check_rbd_unused(const struct class_report *r, const struct class_rbd *rbd)
{
	bool any = is_set(rbd->cache_size_bytes) || is_set(rbd->max_dirty_bytes) ||
		   is_set(rbd->target_dirty_bytes) || is_set(rbd->max_dirty_age_us);

	if (rbd->cache == RBD_CACHE_NONE && any)
		say(r, DIAG_WARNING, "rbd.cache",
		    "write cache = \"writeback\" or \"writethrough\", or leave the sizes out",
		    "sizes have no effect with this cache mode");
	else if (rbd->cache == RBD_CACHE_WRITEAROUND && is_set(rbd->cache_size_bytes))
		say(r, DIAG_WARNING, "rbd.cache_size",
		    "write max_dirty, which bounds what is not yet written, or leave it out",
		    "cache_size has no effect with writearound, which serves no reads");
}

/* A mode that is left to Ceph is not known: only what the class says itself must fit then. */
static void check_rbd(const struct class_report *r, const struct class_rbd *rbd)
{
	const struct rbd_bound size = { "cache_size", rbd->cache_size_bytes, CEPH_SIZE_DEFAULT },
			       max = { "max_dirty", rbd->max_dirty_bytes, CEPH_MAX_DIRTY_DEFAULT },
			       target = { "target_dirty", rbd->target_dirty_bytes,
					  CEPH_TARGET_DEFAULT };
	bool back = rbd->cache == RBD_CACHE_WRITEBACK;
	bool dirty = back || rbd->cache == RBD_CACHE_WRITEAROUND;

	if (back || (is_set(max.bytes) && is_set(size.bytes)))
		check_rbd_order(r, &max, &size);
	if (max.bytes != 0 && (dirty || (is_set(target.bytes) && is_set(max.bytes))))
		check_rbd_order(r, &target, &max);
	check_rbd_unused(r, rbd);
}

void policy_report_class(struct policy_report *report, const struct qclass *c, const char *path)
{
	struct class_report r = { report, path };

	if (!group_bad(&r, "cpu"))
		check_cpu(&r, &c->cpu);
	if (!group_bad(&r, "cpu"))
		check_cpu_idle(&r, c);
	if (!group_bad(&r, "memory"))
		check_memory(&r, &c->memory, c->rank);
	if (!group_bad(&r, "net"))
		check_net(&r, &c->net);
	if (!group_bad(&r, "disk"))
		check_disk(&r, &c->disk);
	if (!group_bad(&r, "rbd"))
		check_rbd(&r, &c->rbd);
}

int policy_class_check(const struct qclass *c, struct diag_list *findings)
{
	struct policy_report report = { .findings = findings };

	policy_report_class(&report, c, "");
	return report.errors ? -EINVAL : 0;
}
