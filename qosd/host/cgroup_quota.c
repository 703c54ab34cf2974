/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cpu.max and cpu.max.burst of a guest, spread over its vCPU groups.
 *
 * A cap on the whole guest would starve QEMU's main loop and I/O threads, so each vCPU group gets
 * an even share; the remainder goes one microsecond each to the first ones, so that what is read
 * back adds up to exactly what was wanted. Groups that are not even (a hot-plugged vCPU starts at
 * "max") are no value that anybody wants: they read as the sum of the finite ones with period 0.
 *
 * Rewriting cpu.max refills the quota of the running period, so a group is written only when its
 * value differs. Burst must never exceed quota: it is lowered first. What was read or written last
 * is remembered for a burst and a quota that are about to be lowered.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "qosd/host/cgroup_priv.h"
#include "qosd/host/cgroup_text.h"

#define QUOTA_MIN_US 1000 /* the kernel's floor, per group */

static uint64_t even_share(uint64_t total, size_t n, size_t i)
{
	return total == KNOB_MAX ? KNOB_MAX : total / n + (i < total % n);
}

static uint64_t quota_share(uint64_t total, size_t n, size_t i)
{
	uint64_t share = even_share(total, n, i);

	return share < QUOTA_MIN_US ? QUOTA_MIN_US : share;
}

/* ---- one group ---- */

static int read_quota(struct cgroup_ctx *ctx, struct cgroup_dir *dir, struct cgroup_quota *ret)
{
	char buf[64];
	int r = cgroup_dir_read(dir, &ctx->fs, ctx->v1 ? CGROUP_V1_QUOTA : CGROUP_CPU_MAX, buf,
				sizeof(buf));

	if (r < 0)
		return r;
	if (!ctx->v1)
		return cgroup_text_quota(buf, &ret->quota_us, &ret->period_us);
	r = cgroup_text_v1_quota(buf, &ret->quota_us);
	return r < 0 ? r : cgroup_dir_read_u64(dir, &ctx->fs, CGROUP_V1_PERIOD, &ret->period_us);
}

static int look_quota(struct cgroup_ctx *ctx, struct cgroup_vcpu *v)
{
	int r = read_quota(ctx, &v->dir, &v->quota);

	v->quota_known = r == 0;
	return r;
}

static enum cgroup_file burst_file(const struct cgroup_ctx *ctx)
{
	return ctx->v1 ? CGROUP_V1_BURST : CGROUP_CPU_MAX_BURST;
}

/* A kernel without bursts has none. */
static int look_burst(struct cgroup_ctx *ctx, struct cgroup_vcpu *v)
{
	int r = cgroup_dir_read_u64(&v->dir, &ctx->fs, burst_file(ctx), &v->burst_us);

	if (r == -EOPNOTSUPP)
		v->burst_us = 0;
	v->burst_known = r == 0 || r == -EOPNOTSUPP;
	return v->burst_known ? 0 : r;
}

static int write_burst(struct cgroup_ctx *ctx, struct cgroup_vcpu *v, uint64_t burst_us)
{
	int r = cgroup_dir_write_u64(&v->dir, &ctx->fs, burst_file(ctx), burst_us);

	v->burst_us = burst_us;
	v->burst_known = r == 0;
	return r;
}

/* No burst above a quota that is about to be lowered: the kernel would refuse the quota. */
static int make_way(struct cgroup_ctx *ctx, struct cgroup_vcpu *v, uint64_t quota_us)
{
	int r = 0;

	if (quota_us >= v->quota.quota_us)
		return 0;
	if (!v->burst_known)
		r = look_burst(ctx, v);
	return r == 0 && v->burst_us > quota_us ? write_burst(ctx, v, quota_us) : r;
}

static int write_v1_quota(struct cgroup_ctx *ctx, struct cgroup_dir *dir, uint64_t quota_us)
{
	if (quota_us == KNOB_MAX)
		return cgroup_dir_write(dir, &ctx->fs, CGROUP_V1_QUOTA, "-1\n");
	return cgroup_dir_write_u64(dir, &ctx->fs, CGROUP_V1_QUOTA, quota_us);
}

/*
 * v1 has two files. A smaller quota goes before its period, a larger one behind: the share between
 * the two writes is never above both the old and the new one, which a capped parent would refuse.
 */
static int write_one_v1(struct cgroup_ctx *ctx, struct cgroup_dir *dir,
			const struct cgroup_quota *now, const struct cgroup_quota *to)
{
	int r = 0;

	if (to->quota_us < now->quota_us)
		r = write_v1_quota(ctx, dir, to->quota_us);
	if (r == 0 && to->period_us != now->period_us)
		r = cgroup_dir_write_u64(dir, &ctx->fs, CGROUP_V1_PERIOD, to->period_us);
	if (r == 0 && to->quota_us > now->quota_us)
		r = write_v1_quota(ctx, dir, to->quota_us);
	return r;
}

static int write_one_v2(struct cgroup_ctx *ctx, struct cgroup_dir *dir,
			const struct cgroup_quota *to)
{
	char text[64];

	if (to->quota_us == KNOB_MAX)
		snprintf(text, sizeof(text), "max %" PRIu64 "\n", to->period_us);
	else
		snprintf(text, sizeof(text), "%" PRIu64 " %" PRIu64 "\n", to->quota_us,
			 to->period_us);
	return cgroup_dir_write(dir, &ctx->fs, CGROUP_CPU_MAX, text);
}

static bool holds(const struct cgroup_vcpu *v, const struct cgroup_quota *to)
{
	return v->quota.quota_us == to->quota_us && v->quota.period_us == to->period_us;
}

static int write_one(struct cgroup_ctx *ctx, struct cgroup_vcpu *v, const struct cgroup_quota *to)
{
	int r = make_way(ctx, v, to->quota_us);

	if (r < 0)
		return r;
	return ctx->v1 ? write_one_v1(ctx, &v->dir, &v->quota, to) : write_one_v2(ctx, &v->dir, to);
}

/*
 * What is known to be another value is written without a look: a throttle of all guests costs one
 * call for each vCPU. What seems to hold is looked at, and so is what the kernel refuses.
 */
static int apply_one(struct cgroup_ctx *ctx, struct cgroup_vcpu *v, const struct cgroup_quota *to)
{
	bool guessed = v->quota_known && !holds(v, to);
	int r = guessed ? 0 : look_quota(ctx, v);

	if (r < 0 || holds(v, to))
		return r;
	r = write_one(ctx, v, to);
	if (r == -EINVAL && guessed) {
		v->burst_known = false;
		r = look_quota(ctx, v);
		if (r == 0 && !holds(v, to))
			r = write_one(ctx, v, to);
	}
	v->quota = *to;
	v->quota_known = r == 0;
	return r;
}

/* ---- all groups of a guest ---- */

/* The value as a whole; period 0 when the groups differ by more than the remainder. */
static int sum_quota(struct cgroup_ctx *ctx, struct cgroup_node *node, struct knob_value *ret)
{
	uint64_t least = KNOB_MAX, most = 0, sum = 0, period = 0;
	bool same_period = true;

	for (size_t i = 0; i < node->nvcpus; i++) {
		const struct cgroup_quota *q = &node->vcpus[i].quota;
		int r = look_quota(ctx, &node->vcpus[i]);

		if (r < 0)
			return r;
		if (i > 0 && q->period_us != period)
			same_period = false;
		period = q->period_us;
		least = q->quota_us < least ? q->quota_us : least;
		most = q->quota_us > most ? q->quota_us : most;
		if (q->quota_us != KNOB_MAX)
			sum += q->quota_us;
	}
	if (least == KNOB_MAX) /* no cap: the period means nothing */
		*ret = knob_quota(KNOB_MAX, period);
	else
		*ret = knob_quota(sum, same_period && most - least <= 1 ? period : 0);
	return 0;
}

static int sum_burst(struct cgroup_ctx *ctx, struct cgroup_node *node, struct knob_value *ret)
{
	uint64_t least = KNOB_MAX, most = 0, sum = 0;

	for (size_t i = 0; i < node->nvcpus; i++) {
		int r = look_burst(ctx, &node->vcpus[i]);
		uint64_t burst = node->vcpus[i].burst_us;

		if (r < 0)
			return r;
		least = burst < least ? burst : least;
		most = burst > most ? burst : most;
		sum += burst;
	}
	*ret = knob_u64(most - least <= 1 ? sum : KNOB_MAX);
	return 0;
}

static int set_quota(struct cgroup_ctx *ctx, struct cgroup_node *node,
		     const struct knob_value *value)
{
	for (size_t i = 0; i < node->nvcpus; i++) {
		struct cgroup_quota to = { quota_share(value->quota_us, node->nvcpus, i),
					   value->period_us };
		int r = apply_one(ctx, &node->vcpus[i], &to);

		if (r < 0)
			return r;
	}
	return 0;
}

static int set_burst(struct cgroup_ctx *ctx, struct cgroup_node *node, uint64_t burst_us)
{
	for (size_t i = 0; i < node->nvcpus; i++) {
		uint64_t to = even_share(burst_us, node->nvcpus, i);
		int r = look_burst(ctx, &node->vcpus[i]);

		if (r == 0 && node->vcpus[i].burst_us != to)
			r = write_burst(ctx, &node->vcpus[i], to);
		if (r < 0)
			return r;
	}
	return 0;
}

enum work { READ_QUOTA, READ_BURST, SET_QUOTA, SET_BURST };

static int run(struct cgroup_ctx *ctx, struct cgroup_node *node, enum work work,
	       const struct knob_value *value, struct knob_value *ret)
{
	switch (work) {
	case READ_QUOTA:
		return sum_quota(ctx, node, ret);
	case READ_BURST:
		return sum_burst(ctx, node, ret);
	case SET_QUOTA:
		return set_quota(ctx, node, value);
	default:
		return set_burst(ctx, node, value->u64);
	}
}

/* No vCPU groups: the guest is ending (libvirt removes them first), or it never had any. */
static int without_vcpus(struct cgroup_ctx *ctx, const struct guest *g, struct cgroup_node *node)
{
	bool gone =
		cgroup_dir_gone(&node->top[CGROUP_CPU], &ctx->fs) || cgroup_proc_check(ctx, g) < 0;

	return gone ? -ENOENT : -ENXIO;
}

/* Run `work` on the guest's node; once more when a vCPU group went away meanwhile (unplugged). */
static int on_vcpus(struct cgroup_ctx *ctx, const struct guest *g, enum work work,
		    const struct knob_value *value, struct knob_value *ret)
{
	struct cgroup_node *node;
	int r = cgroup_node_guest(ctx, g, &node);

	if (r < 0)
		return r;
	if (node->nvcpus == 0)
		return without_vcpus(ctx, g, node);
	r = run(ctx, node, work, value, ret);
	if (r != -ENOENT)
		return r;
	r = cgroup_node_scan_vcpus(ctx, node);
	if (r < 0)
		return r;
	return node->nvcpus ? run(ctx, node, work, value, ret) : -ENOENT;
}

static int explain(const struct guest *g, const char *what, int r, struct qerr *err)
{
	switch (r) {
	case -ENOENT:
	case -ESRCH:
		return qerr_set(err, r, "the groups of guest %s have gone", g->name);
	case -EINVAL:
		return qerr_set(err, r,
				"the kernel refuses this %s for guest %s: the period is "
				"1 ms to 1 s, a burst is no more than the quota",
				what, g->name);
	case -ENXIO:
		return qerr_set(err, -EOPNOTSUPP,
				"guest %s has no vCPU groups; let libvirt use the cpu controller "
				"(cgroup_controllers in qemu.conf)",
				g->name);
	case -EOPNOTSUPP:
		return qerr_set(err, r,
				"the vCPU groups of guest %s have no %s: the kernel does "
				"not offer it, or the cpu controller is off",
				g->name, what);
	default:
		return qerr_set(err, r, "cannot set or read %s of guest %s: %s", what, g->name,
				strerror(-r));
	}
}

int cgroup_quota_read(struct cgroup_ctx *ctx, const struct guest *g, struct knob_value *ret,
		      struct qerr *err)
{
	int r = on_vcpus(ctx, g, READ_QUOTA, NULL, ret);

	return r < 0 ? explain(g, "cpu.max", r, err) : 0;
}

int cgroup_quota_apply(struct cgroup_ctx *ctx, const struct guest *g,
		       const struct knob_value *value, struct qerr *err)
{
	int r = on_vcpus(ctx, g, SET_QUOTA, value, NULL);

	return r < 0 ? explain(g, "cpu.max", r, err) : 0;
}

int cgroup_burst_read(struct cgroup_ctx *ctx, const struct guest *g, struct knob_value *ret,
		      struct qerr *err)
{
	int r = on_vcpus(ctx, g, READ_BURST, NULL, ret);

	return r < 0 ? explain(g, "cpu.max.burst", r, err) : 0;
}

int cgroup_burst_apply(struct cgroup_ctx *ctx, const struct guest *g, uint64_t burst_us,
		       struct qerr *err)
{
	const struct knob_value value = knob_u64(burst_us);
	int r = on_vcpus(ctx, g, SET_BURST, &value, NULL);

	return r < 0 ? explain(g, "cpu.max.burst", r, err) : 0;
}
