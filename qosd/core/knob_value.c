/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * knob_value - values of knobs: made, compared, written and read; and the text form of targets.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "qosd/core/guest.h"
#include "qosd/core/knob.h"

/* ---- targets ---- */

/* Names come from outside: what would upset a terminal or a line is shown as '?'. */
static char *tidy(char *text)
{
	for (char *p = text; *p; p++)
		if ((unsigned char)*p < 0x20 || *p == 0x7f)
			*p = '?';
	return text;
}

static const struct guest_nic *nic_of(const struct target *t)
{
	return t->guest && t->index < t->guest->nnics ? &t->guest->nics[t->index] : NULL;
}

/* Returns buf; "": it has no name on the host. */
static const char *nic_name(const struct target *t, char buf[GUEST_NIC_TEXT_MAX])
{
	buf[0] = '\0';
	return nic_of(t) ? guest_nic_text(nic_of(t), buf) : buf;
}

bool knob_passes(const struct target *t, enum knob_id id)
{
	const struct guest_nic *nic = t->kind == TARGET_NIC ? nic_of(t) : NULL;

	return knob_get(id)->passing || (nic && nic->vf);
}

static const char *disk_name(const struct target *t)
{
	const struct guest *g = t->guest;

	return g && t->index < g->ndisks && g->disks[t->index].target[0] ? g->disks[t->index].target
									 : NULL;
}

char *target_format(const struct target *t, char *buf, size_t size)
{
	const char *name = t->guest && t->guest->name ? t->guest->name : "?";
	char nic[GUEST_NIC_TEXT_MAX];

	switch ((enum target_kind)t->kind) {
	case TARGET_CGROUP:
		snprintf(buf, size, "cgroup:%s", t->path ? t->path : "?");
		break;
	case TARGET_GUEST:
		snprintf(buf, size, "guest:%s", name);
		break;
	case TARGET_VCPU:
		snprintf(buf, size, "guest:%s/vcpu%u", name, t->index);
		break;
	case TARGET_EMULATOR:
		snprintf(buf, size, "guest:%s/emulator", name);
		break;
	case TARGET_NIC:
		if (nic_name(t, nic)[0])
			snprintf(buf, size, "guest:%s/%s", name, nic);
		else
			snprintf(buf, size, "guest:%s/nic%u", name, t->index);
		break;
	case TARGET_DISK:
		if (disk_name(t))
			snprintf(buf, size, "guest:%s/%s", name, disk_name(t));
		else
			snprintf(buf, size, "guest:%s/disk%u", name, t->index);
		break;
	}
	return tidy(buf);
}

static int compare_u32(uint32_t a, uint32_t b)
{
	return (a > b) - (a < b);
}

int target_compare(const struct target *a, const struct target *b)
{
	int r = compare_u32(a->kind, b->kind);

	if (!r && a->path != b->path)
		r = strcmp(a->path ? a->path : "", b->path ? b->path : "");
	if (!r)
		r = compare_u32(a->guest_id, b->guest_id);
	return r ? r : compare_u32(a->index, b->index);
}

unsigned int target_depth(const struct target *t)
{
	const char *path = t->path ? t->path : t->guest ? t->guest->cgroup : NULL;
	unsigned int depth = 0;

	for (path = path ? strchr(path, '/') : NULL; path; path = strchr(path + 1, '/'))
		if (path[1] && path[1] != '/')
			depth++;
	return depth;
}

/* ---- values ---- */

struct knob_value knob_u64(uint64_t v)
{
	return (struct knob_value){ .type = KNOB_U64, .u64 = v };
}

struct knob_value knob_quota(uint64_t quota_us, uint64_t period_us)
{
	struct knob_value v = { .type = KNOB_QUOTA };

	v.quota_us = quota_us;
	v.period_us = period_us;
	return v;
}

struct knob_value knob_cpuset(const struct cpuset *set)
{
	return (struct knob_value){ .type = KNOB_CPUSET, .cpuset = set };
}

bool knob_value_equal(const struct knob_value *a, const struct knob_value *b)
{
	if (a->type != b->type)
		return false;
	switch ((enum knob_type)a->type) {
	case KNOB_U64:
		return a->u64 == b->u64;
	case KNOB_QUOTA:
		return a->quota_us == b->quota_us && a->period_us == b->period_us;
	case KNOB_CPUSET:
		return cpuset_equal(a->cpuset, b->cpuset);
	}
	return false;
}

static int compare_u64(uint64_t a, uint64_t b)
{
	return (a > b) - (a < b);
}

/* Shares of time: to.quota / to.period against from.quota / from.period, in 128 bits. */
static int compare_quota(const struct knob_value *to, const struct knob_value *from)
{
	unsigned __int128 a, b;

	if (to->quota_us == KNOB_MAX || from->quota_us == KNOB_MAX)
		return compare_u64(to->quota_us, from->quota_us);
	a = (unsigned __int128)to->quota_us * from->period_us;
	b = (unsigned __int128)from->quota_us * to->period_us;
	return (a > b) - (a < b);
}

int knob_direction(const struct knob_value *from, const struct knob_value *to)
{
	if (from->type != to->type)
		return 0;
	switch ((enum knob_type)to->type) {
	case KNOB_U64:
		return compare_u64(to->u64, from->u64);
	case KNOB_QUOTA:
		return compare_quota(to, from);
	case KNOB_CPUSET:
		if (cpuset_equal(from->cpuset, to->cpuset))
			return 0;
		if (cpuset_subset(to->cpuset, from->cpuset))
			return -1;
		return cpuset_subset(from->cpuset, to->cpuset) ? 1 : 0;
	}
	return 0;
}

/* ---- text ---- */

char *knob_value_format(const struct knob_value *v, char *buf, size_t size)
{
	switch ((enum knob_type)v->type) {
	case KNOB_U64:
		if (v->u64 == KNOB_MAX)
			snprintf(buf, size, "max");
		else
			snprintf(buf, size, "%llu", (unsigned long long)v->u64);
		break;
	case KNOB_QUOTA:
		if (v->quota_us == KNOB_MAX)
			snprintf(buf, size, "max %llu", (unsigned long long)v->period_us);
		else
			snprintf(buf, size, "%llu %llu", (unsigned long long)v->quota_us,
				 (unsigned long long)v->period_us);
		break;
	case KNOB_CPUSET:
		return cpuset_format(v->cpuset, buf, size);
	}
	return buf;
}

/* Decimal digits without a leading zero, or (where allowed) "max"; *p moves behind it. */
static int take_number(const char **p, bool max_allowed, uint64_t *ret)
{
	uint64_t n = 0;
	const char *q = *p;

	if (max_allowed && strncmp(q, "max", 3) == 0) {
		*p = q + 3;
		*ret = KNOB_MAX;
		return 0;
	}
	if (*q < '0' || *q > '9' || (*q == '0' && q[1] >= '0' && q[1] <= '9'))
		return -EINVAL;
	for (; *q >= '0' && *q <= '9'; q++)
		if (__builtin_mul_overflow(n, 10, &n) ||
		    __builtin_add_overflow(n, (uint64_t)(*q - '0'), &n))
			return -EINVAL;
	if (n == KNOB_MAX)
		return -EINVAL;
	*p = q;
	*ret = n;
	return 0;
}

static int parse_quota(const char *text, struct knob_value *ret)
{
	uint64_t quota, period;

	if (take_number(&text, true, &quota) < 0 || *text++ != ' ' ||
	    take_number(&text, false, &period) < 0 || *text || !period)
		return -EINVAL;
	*ret = knob_quota(quota, period);
	return 0;
}

static int parse_cpuset(const char *text, struct cpuset *room, struct knob_value *ret)
{
	struct cpuset set;
	char again[CPUSET_TEXT_MAX];

	if (cpuset_parse(text, &set) < 0 ||
	    strcmp(cpuset_format(&set, again, sizeof(again)), text) != 0)
		return -EINVAL;
	*room = set;
	*ret = knob_cpuset(room);
	return 0;
}

int knob_value_parse(enum knob_type type, const char *text, struct cpuset *room,
		     struct knob_value *ret)
{
	uint64_t n;

	switch (type) {
	case KNOB_U64:
		if (take_number(&text, true, &n) < 0 || *text)
			return -EINVAL;
		*ret = knob_u64(n);
		return 0;
	case KNOB_QUOTA:
		return parse_quota(text, ret);
	case KNOB_CPUSET:
		return parse_cpuset(text, room, ret);
	}
	return -EINVAL;
}
