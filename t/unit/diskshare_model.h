/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * diskshare_model - a model of a host's storage, a second at a time: disks that want to do so much,
 * and do what their parts let them. What is counted is a second old, as libvirt's statistics are.
 */
#ifndef QOSD_T_DISKSHARE_MODEL_H
#define QOSD_T_DISKSHARE_MODEL_H

#include <stdlib.h>

#include "qosd/core/diskshare.h"
#include "t/unit/harness.h"

#define SECOND    UINT64_C(1000000)
#define DISKS_MAX 24
#define SETTLED   12 /* seconds */

struct disk_model {
	uint64_t offered, limit, floor; /* a second; limit 0: none */
	uint32_t weight, id;
	bool exempt, hidden; /* not counted */
	uint64_t done, shown, got;
};

struct model {
	uint64_t capacity, carries; /* as it is told; what it can do. 0: anything */
	struct disk_model disks[DISKS_MAX];
	size_t n;
	enum diskshare_unit unit;
	struct diskshare *shares;
	struct diskshare_output out;
	uint64_t now_us;
	unsigned int changes; /* rounds that changed something */
};

static inline struct model model_new(uint64_t capacity)
{
	return (struct model){ .capacity = capacity, .shares = diskshare_new(), .now_us = SECOND };
}

static inline size_t add(struct model *m, uint64_t offered, uint32_t weight)
{
	m->disks[m->n] = (struct disk_model){ .offered = offered,
					      .weight = weight,
					      .id = 10 + (uint32_t)m->n };
	return m->n++;
}

static inline uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* Disks are in the order of their ids in the output, not in the model. */
static inline uint64_t part(const struct model *m, size_t i)
{
	for (size_t k = 0; k < m->out.count; k++)
		if (m->out.parts[k].guest_id == m->disks[i].id)
			return m->out.parts[k].rate[m->unit];
	return DISKSHARE_FREE;
}

static inline void serve(struct model *m)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < m->n; i++) {
		struct disk_model *d = &m->disks[i];

		d->got = least(d->offered, part(m, i));
		d->got = d->limit ? least(d->got, d->limit) : d->got;
		sum += d->got;
	}
	for (size_t i = 0; i < m->n; i++) {
		struct disk_model *d = &m->disks[i];

		if (m->carries && sum > m->carries)
			d->got = d->got * m->carries / sum;
		d->shown = d->done;
		d->done += d->got;
	}
}

static inline int compare_disks(const void *pa, const void *pb)
{
	const struct diskshare_disk *a = pa, *b = pb;

	return (a->guest_id > b->guest_id) - (a->guest_id < b->guest_id);
}

static inline void round_now(struct model *m)
{
	struct diskshare_disk disks[DISKS_MAX];
	struct diskshare_input in = { .now_us = m->now_us,
				      .capacity = { DISKSHARE_FREE, DISKSHARE_FREE },
				      .disks = disks,
				      .ndisks = m->n };

	in.capacity[m->unit] = m->capacity;
	for (size_t i = 0; i < m->n; i++) {
		const struct disk_model *d = &m->disks[i];

		disks[i] = (struct diskshare_disk){ .guest_id = d->id,
						    .weight = d->weight,
						    .exempt = d->exempt,
						    .at_us = d->hidden ? 0 : m->now_us,
						    .limit = { DISKSHARE_FREE, DISKSHARE_FREE } };
		disks[i].count[m->unit] = d->shown;
		disks[i].floor[m->unit] = d->floor;
		if (d->limit)
			disks[i].limit[m->unit] = d->limit;
	}
	qsort(disks, m->n, sizeof(*disks), compare_disks);
	CU_ASSERT_EQUAL(diskshare_round(m->shares, &in, &m->out), 0);
	m->changes += m->out.changed;
}

static inline void run(struct model *m, unsigned int seconds)
{
	for (; seconds; seconds--) {
		serve(m);
		m->now_us += SECOND;
		round_now(m);
	}
}

static inline uint64_t got(const struct model *m)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < m->n; i++)
		sum += m->disks[i].got;
	return sum;
}

static inline bool all_free(const struct model *m)
{
	for (size_t i = 0; i < m->n; i++)
		if (part(m, i) != DISKSHARE_FREE)
			return false;
	return true;
}

#endif
