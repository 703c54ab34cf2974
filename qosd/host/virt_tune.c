/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * virt_tune - limits of disks by libvirt's block I/O tuning, for any driver, on a running guest.
 *
 * libvirt knows three limits for each unit (operations and bytes a second): reading, writing, and
 * both together, and refuses a total beside one of the others. Changes arrive one by one, so a
 * limit that is set puts away those of its unit that cannot stand beside it (virt_tune_resolve). A
 * burst (`*_max` for `*_max_length` seconds) belongs to one limit in libvirt, and to all of a unit
 * in qosd. One that somebody else gave the disk stays as long as it is above the limit.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "qosd/core/mem.h"
#include "qosd/host/virt_priv.h"

#define TUNE_MAX UINT64_C(1000000000000000) /* QEMU's own bound */

enum { TUNE_READ, TUNE_WRITE, TUNE_TOTAL, TUNE_OF_UNIT };
enum { TUNE_BURST = GUEST_LIMITS, TUNE_BURST_S = TUNE_BURST + 2 }; /* of each unit; for how long */

#define BURST_BITS (7u << TUNE_BURST)

static const struct {
	const char *name, *burst, *length;
} fields[GUEST_LIMITS] = {
#define FIELD(what)                                                                                \
	{                                                                                          \
		VIR_DOMAIN_BLOCK_IOTUNE_##what##_SEC, VIR_DOMAIN_BLOCK_IOTUNE_##what##_SEC_MAX,    \
			VIR_DOMAIN_BLOCK_IOTUNE_##what##_SEC_MAX_LENGTH                            \
	}
	FIELD(READ_IOPS),  FIELD(WRITE_IOPS),  FIELD(TOTAL_IOPS),
	FIELD(READ_BYTES), FIELD(WRITE_BYTES), FIELD(TOTAL_BYTES),
#undef FIELD
};

/* ---- on the loop ---- */

static int disk_of(const struct target *t, const struct guest_disk **ret, struct qerr *err)
{
	const struct guest *g = t->guest;

	if (t->kind != TARGET_DISK || !g || t->index >= g->ndisks)
		return qerr_set(err, -EINVAL, "disk limits belong to a guest's disk");
	if (!g->disks[t->index].target[0])
		return qerr_set(err, -EOPNOTSUPP, "%s: a disk has no name", g->name);
	*ret = &g->disks[t->index];
	return 0;
}

int virt_tune_read(struct adapter *a, const struct target *t, enum knob_id knob,
		   struct knob_value *ret, struct qerr *err)
{
	struct virt *v = virt_of_adapter(a);
	const struct guest_disk *disk = NULL;
	struct virt_known_disk *known = NULL;
	struct virt_known *k;
	uint64_t value = 0;
	int r = disk_of(t, &disk, err);

	if (r < 0)
		return r;
	pthread_mutex_lock(&v->lock);
	k = virt_known_find(v, t->guest->id);
	known = k ? virt_known_disk(k, disk->target) : NULL;
	if (known)
		value = known->tune[knob - KNOB_DISK_READ_IOPS];
	pthread_mutex_unlock(&v->lock);
	if (!known)
		return qerr_set(err, -ESRCH, "%s/%s: it has gone", t->guest->name, disk->target);
	*ret = knob_u64(value ? value : KNOB_MAX);
	return 0;
}

int virt_tune_apply(struct adapter *a, const struct change *c, uint64_t ticket, struct qerr *err)
{
	unsigned int field = c->knob - KNOB_DISK_READ_IOPS;
	const struct guest_disk *disk = NULL;
	struct virt_job *job;
	int r = disk_of(&c->target, &disk, err);

	if (r < 0)
		return r;
	if (c->to.u64 == 0)
		return qerr_set(err, -EINVAL, "%s/%s: a limit of nothing would be none",
				c->target.guest->name, disk->target);
	job = virt_job_new(VIRT_JOB_TUNE, ticket);
	if (!job)
		return qerr_set(err, -ENOMEM, "out of memory");
	job->guest_id = c->target.guest_id;
	job->target_kind = TARGET_DISK;
	job->index = c->target.index;
	memcpy(job->disk, disk->target, sizeof(job->disk));
	job->tune_set = 1u << field;
	job->tune[field] = c->to.u64 == KNOB_MAX ? 0 : c->to.u64 < TUNE_MAX ? c->to.u64 : TUNE_MAX;
	r = virt_job_submit(virt_of_adapter(a), job, err);
	return r < 0 ? r : -EINPROGRESS;
}

/* ---- on the calls thread ---- */

/* One unit: three limits from `at` on. What is given wins over what was; of both, a total. */
static void resolve_unit(uint64_t *limits, unsigned int set)
{
	bool total = limits[TUNE_TOTAL] && set & 1u << TUNE_TOTAL;
	bool parts = (limits[TUNE_READ] && set & 1u << TUNE_READ) ||
		     (limits[TUNE_WRITE] && set & 1u << TUNE_WRITE);

	if (!limits[TUNE_TOTAL])
		return;
	if (total || !parts)
		limits[TUNE_READ] = limits[TUNE_WRITE] = 0;
	else
		limits[TUNE_TOTAL] = 0;
}

void virt_tune_resolve(const uint64_t now[GUEST_TUNES], const uint64_t wanted[GUEST_TUNES],
		       unsigned int set, uint64_t ret[GUEST_TUNES])
{
	for (unsigned int i = 0; i < GUEST_TUNES; i++)
		ret[i] = set & 1u << i ? wanted[i] : now[i];
	resolve_unit(ret, set);
	resolve_unit(ret + TUNE_OF_UNIT, set >> TUNE_OF_UNIT);
}

struct params {
	virTypedParameterPtr items;
	int count, room;
	int failed; /* 0, or -1 for ever */
};

static void add_param(struct params *p, const char *name, uint64_t value)
{
	if (p->failed == 0)
		p->failed = virTypedParamsAddULLong(&p->items, &p->count, &p->room, name, value);
}

/* The burst that limit `i` is to have; 0: none, as libvirt refuses one without a limit. */
static uint64_t burst_of(const uint64_t tune[GUEST_TUNES], unsigned int i)
{
	return tune[i] ? tune[TUNE_BURST + i / TUNE_OF_UNIT] : 0;
}

static int set_tune(struct virt *v, virDomainPtr dom, const char *disk,
		    const uint64_t tune[GUEST_TUNES], bool bursts)
{
	struct params p = { 0 };
	int r;

	for (unsigned int i = 0; i < GUEST_LIMITS; i++) {
		uint64_t burst = burst_of(tune, i);

		add_param(&p, fields[i].name, tune[i]);
		if (!bursts)
			continue;
		add_param(&p, fields[i].burst, burst);
		add_param(&p, fields[i].length, burst ? tune[TUNE_BURST_S] : 0);
	}
	virt_calling(v);
	r = p.failed ? p.failed
		     : virDomainSetBlockIoTune(dom, disk, p.items, (unsigned int)p.count,
					       VIR_DOMAIN_AFFECT_LIVE);
	virTypedParamsFree(p.items, p.count);
	return r;
}

/* False: the disk is not known. */
static bool tune_now(struct virt *v, const struct virt_job *job, uint64_t ret[GUEST_TUNES])
{
	struct virt_known_disk *disk;
	struct virt_known *k;

	pthread_mutex_lock(&v->lock);
	k = virt_known_find(v, job->guest_id);
	disk = k ? virt_known_disk(k, job->disk) : NULL;
	if (disk)
		memcpy(ret, disk->tune, sizeof(disk->tune));
	pthread_mutex_unlock(&v->lock);
	return disk;
}

static void remember(struct virt *v, const struct virt_job *job, const uint64_t tune[GUEST_TUNES])
{
	struct virt_known_disk *disk;
	struct virt_known *k;

	pthread_mutex_lock(&v->lock);
	k = virt_known_find(v, job->guest_id);
	disk = k ? virt_known_disk(k, job->disk) : NULL;
	if (disk)
		memcpy(disk->tune, tune, sizeof(disk->tune));
	pthread_mutex_unlock(&v->lock);
}

static int tune_domain(struct virt *v, virDomainPtr dom, const char *name,
		       const struct virt_job *job, struct qerr *err)
{
	uint64_t now[GUEST_TUNES], tune[GUEST_TUNES];

	if (!tune_now(v, job, now))
		return qerr_set(err, -ESRCH, "guest:%s/%s: it has gone", name, job->disk);
	virt_tune_resolve(now, job->tune, job->tune_set, tune);
	remember(v, job, tune); /* before: so our own event, which may come first, is known */
	if (set_tune(v, dom, job->disk, tune, job->tune_set & BURST_BITS) < 0) {
		int r = virt_failed(v, err, "guest:%s/%s: limits cannot be set", name, job->disk);

		/* A burst below the new limit is refused: without bursts, then. */
		memset(&tune[TUNE_BURST], 0, sizeof(tune) - TUNE_BURST * sizeof(tune[0]));
		if ((r != -EINVAL && r != -EOPNOTSUPP) ||
		    set_tune(v, dom, job->disk, tune, true) < 0) {
			remember(v, job, now);
			return r;
		}
		remember(v, job, tune);
	}
	return 0;
}

int virt_tune_run(struct virt *v, const struct virt_job *job, struct qerr *err)
{
	int r = virt_with_domain(v, job, tune_domain, err);

	if (r == 0)
		*err = (struct qerr){ 0 };
	return r;
}
