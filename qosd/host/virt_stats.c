/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * virt_stats - what guests did to their disks, read from the hypervisor once a second while
 * somebody wants to know.
 *
 * One bulk call for all guests, on a thread of its own with the connection's reference: a guest
 * whose QEMU does not answer may keep this call waiting, and nothing else. Guests that are busy
 * with another call are left out of a reading (NOWAIT); theirs is then not known. What is shown
 * climbs from one reading to the next (sample_climb), for samples are taken more often. When it has
 * arrived nothing is known until the next reading: a counter at rest would say that the disk is.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "qosd/core/mem.h"
#include "qosd/host/virt_priv.h"

/* ---- the thread ---- */

static uint64_t field(const virDomainStatsRecord *record, unsigned int disk, const char *name)
{
	unsigned long long value = 0;
	char key[64];

	snprintf(key, sizeof(key), "block.%u.%s", disk, name);
	if (virTypedParamsGetULLong(record->params, record->nparams, key, &value) < 1)
		return 0;
	return value;
}

/* A list that grows; `failed`: out of memory, the reading is given up. */
struct reading {
	struct virt_disk_counts *items;
	size_t count, room;
	bool failed;
};

static void count_disk(struct reading *r, const char *uuid, const virDomainStatsRecord *record,
		       unsigned int disk)
{
	const char *target = NULL;
	struct virt_disk_counts *c;
	char key[64];

	r->failed |= mem_grow(&r->items, &r->room, r->count + 1, sizeof(*r->items)) < 0;
	if (r->failed)
		return;
	c = &r->items[r->count++];
	memset(c, 0, sizeof(*c));
	memcpy(c->uuid, uuid, sizeof(c->uuid));
	snprintf(key, sizeof(key), "block.%u.name", disk);
	if (virTypedParamsGetString(record->params, record->nparams, key, &target) == 1)
		snprintf(c->target, sizeof(c->target), "%.15s", target);
	c->to.ops = field(record, disk, "rd.reqs") + field(record, disk, "wr.reqs");
	c->to.bytes = field(record, disk, "rd.bytes") + field(record, disk, "wr.bytes");
	c->to.wait_ns = field(record, disk, "rd.times") + field(record, disk, "wr.times") +
			field(record, disk, "fl.times");
	c->from = c->to;
}

static void count_guest(struct reading *r, const virDomainStatsRecord *record)
{
	char uuid[VIR_UUID_STRING_BUFLEN];
	unsigned int disks = 0;

	if (virDomainGetUUIDString(record->dom, uuid) < 0 ||
	    virTypedParamsGetUInt(record->params, record->nparams, "block.count", &disks) < 1)
		return;
	for (unsigned int i = 0; i < disks; i++)
		count_disk(r, uuid, record, i);
}

static int compare_counts(const void *pa, const void *pb)
{
	const struct virt_disk_counts *a = pa, *b = pb;
	int c = strcmp(a->uuid, b->uuid);

	return c ? c : strcmp(a->target, b->target);
}

static struct virt_disk_sum shown(const struct virt_disk_counts *c, uint64_t age_us,
				  uint64_t span_us)
{
	return (struct virt_disk_sum){
		.ops = sample_climb(c->from.ops, c->to.ops, age_us, span_us),
		.bytes = sample_climb(c->from.bytes, c->to.bytes, age_us, span_us),
		.wait_ns = sample_climb(c->from.wait_ns, c->to.wait_ns, age_us, span_us),
	};
}

/* A disk that was in the reading before goes on from what is shown of it. */
static void go_on(const struct virt *v, struct virt_disk_counts *c, uint64_t now_us)
{
	const struct virt_disk_counts *before =
		v->counts ? bsearch(c, v->counts, v->ncounts, sizeof(*c), compare_counts) : NULL;

	if (!before)
		return;
	c->from = shown(before, now_us - v->counts_at_us, v->counts_span_us);
	c->climbs = true;
}

/* The reading of before is read without the lock: only this thread changes it. */
void virt_stats_publish(struct virt *v, struct virt_disk_counts *counts, size_t count,
			uint64_t now_us)
{
	uint64_t span_us = now_us - v->counts_at_us;
	struct virt_disk_counts *old;

	qsort(counts, count, sizeof(*counts), compare_counts);
	for (size_t i = 0; i < count && span_us < VIRT_STATS_KEEP_US; i++)
		go_on(v, &counts[i], now_us);
	pthread_mutex_lock(&v->lock);
	old = v->counts;
	v->counts = counts;
	v->ncounts = count;
	v->counts_at_us = now_us;
	v->counts_span_us = span_us;
	pthread_mutex_unlock(&v->lock);
	free(old);
}

static void take_records(struct virt *v, virDomainStatsRecordPtr *records, int n)
{
	struct reading r = { 0 };

	for (int i = 0; i < n; i++)
		count_guest(&r, records[i]);
	if (!r.items && !r.failed) /* no disk at all is a reading, too */
		r.items = calloc(1, sizeof(*r.items));
	if (r.failed || !r.items)
		free(r.items);
	else
		virt_stats_publish(v, r.items, r.count, virt_now_us());
}

struct guests { /* references */
	struct guest **items;
	size_t count;
};

static void drop_guests(struct guests *g)
{
	for (size_t i = 0; i < g->count; i++)
		guest_unref(g->items[i]);
	free(g->items);
}

/* All that are known, then without those that are not frozen: mostly none is left. */
static struct guests frozen_guests(struct virt *v)
{
	struct guests all = { 0 }, frozen = { 0 };

	pthread_mutex_lock(&v->lock);
	all.items = calloc(v->nknown + 1, sizeof(*all.items));
	for (; all.items && all.count < v->nknown; all.count++)
		all.items[all.count] = guest_ref(v->known[all.count]->guest);
	pthread_mutex_unlock(&v->lock);
	frozen.items = all.items;
	for (size_t i = 0; i < all.count; i++) {
		if (virt_process_frozen(all.items[i]))
			frozen.items[frozen.count++] = all.items[i];
		else
			guest_unref(all.items[i]);
	}
	return frozen;
}

static bool is_among(const struct guests *g, virDomainPtr dom)
{
	char uuid[VIR_UUID_STRING_BUFLEN];

	if (virDomainGetUUIDString(dom, uuid) < 0)
		return false;
	for (size_t i = 0; i < g->count; i++)
		if (strcmp(g->items[i]->uuid, uuid) == 0)
			return true;
	return false;
}

/* A frozen QEMU does not answer: the others are asked for by name. */
static int ask_others(virConnectPtr conn, const struct guests *frozen,
		      virDomainStatsRecordPtr **ret)
{
	virDomainPtr *doms = NULL;
	int n = virConnectListAllDomains(conn, &doms, VIR_CONNECT_LIST_DOMAINS_ACTIVE), r, kept = 0;

	for (int i = 0; i < n; i++) {
		if (is_among(frozen, doms[i]))
			virDomainFree(doms[i]);
		else
			doms[kept++] = doms[i];
	}
	if (n >= 0)
		doms[kept] = NULL;
	r = kept > 0 ? virDomainListGetStats(doms, VIR_DOMAIN_STATS_BLOCK, ret,
					     VIR_CONNECT_GET_ALL_DOMAINS_STATS_NOWAIT)
		     : -1;
	while (kept > 0)
		virDomainFree(doms[--kept]);
	free(doms);
	return r;
}

static void read_counts(struct virt *v, virConnectPtr conn)
{
	virDomainStatsRecordPtr *records = NULL;
	struct guests frozen = frozen_guests(v);
	int n;

	if (frozen.count)
		n = ask_others(conn, &frozen, &records);
	else
		n = virConnectGetAllDomainStats(conn, VIR_DOMAIN_STATS_BLOCK, &records,
						VIR_CONNECT_GET_ALL_DOMAINS_STATS_ACTIVE |
							VIR_CONNECT_GET_ALL_DOMAINS_STATS_NOWAIT);
	drop_guests(&frozen);
	virResetLastError();
	if (n < 0)
		return;
	take_records(v, records, n);
	virDomainStatsRecordListFree(records);
}

/* Until a reading is wanted and the last one is a second old. */
static void wait_wanted(struct virt *v, uint64_t next_us)
{
	uint64_t now = virt_now_us();

	pthread_mutex_lock(&v->lock);
	while (!atomic_load(&v->stop) && (now < next_us || now > v->counts_wanted_us)) {
		virt_wait_until(v, now < next_us ? next_us : now + VIRT_PING_US);
		now = virt_now_us();
	}
	pthread_mutex_unlock(&v->lock);
}

void *virt_stats_main(void *arg)
{
	struct virt *v = arg;
	uint64_t next_us = 0;

	pthread_setname_np(pthread_self(), "virt-stats");
	for (;;) {
		virConnectPtr conn;

		wait_wanted(v, next_us);
		if (atomic_load(&v->stop))
			break;
		next_us = virt_now_us() + VIRT_STATS_US;
		conn = virt_borrow_connection(v);
		if (!conn)
			continue;
		read_counts(v, conn);
		virConnectClose(conn);
	}
	virt_thread_ends(v);
	return NULL;
}

/* ---- the loop ---- */

void virt_disk_stats_want(struct virt *v, uint64_t for_us)
{
	uint64_t now = virt_now_us();

	pthread_mutex_lock(&v->lock);
	if (v->counts_wanted_us < now)
		pthread_cond_broadcast(&v->wake);
	if (v->counts_wanted_us < now + for_us)
		v->counts_wanted_us = now + for_us;
	pthread_mutex_unlock(&v->lock);
}

/* Under lock: the disk, or where it would be. A key without a target: a guest's first one. */
static size_t place_of(const struct virt *v, const struct virt_disk_counts *key)
{
	size_t low = 0, high = v->ncounts;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (compare_counts(&v->counts[middle], key) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* Under lock: it is one of the guest's disks. */
static bool is_of(const struct virt *v, size_t i, const struct guest *g)
{
	return i < v->ncounts && strcmp(v->counts[i].uuid, g->uuid) == 0;
}

int virt_disk_stats(struct virt *v, const struct guest *g, struct sample_guest *ret)
{
	struct virt_disk_counts key = { 0 };
	struct virt_disk_sum sum = { 0 };
	uint64_t age_us;
	bool known;

	memcpy(key.uuid, g->uuid, sizeof(key.uuid));
	pthread_mutex_lock(&v->lock);
	age_us = virt_now_us() - v->counts_at_us;
	known = age_us <= v->counts_span_us && is_of(v, place_of(v, &key), g);
	for (size_t i = place_of(v, &key); known && is_of(v, i, g); i++) {
		struct virt_disk_sum now = shown(&v->counts[i], age_us, v->counts_span_us);

		known = v->counts[i].climbs;
		sum.ops += now.ops;
		sum.bytes += now.bytes;
		sum.wait_ns += now.wait_ns;
	}
	pthread_mutex_unlock(&v->lock);
	if (!known)
		return -ENODATA;
	ret->disk_ops = sum.ops;
	ret->disk_bytes = sum.bytes;
	ret->disk_wait_ns = sum.wait_ns;
	return 0;
}

int virt_disk_count(struct virt *v, const struct guest *g, uint32_t disk, uint64_t *ret_ops,
		    uint64_t *ret_bytes, uint64_t *ret_at_us)
{
	const struct virt_disk_counts *c = NULL;
	struct virt_disk_counts key = { 0 };

	if (disk >= g->ndisks || !g->disks[disk].target[0])
		return -ENODATA;
	memcpy(key.uuid, g->uuid, sizeof(key.uuid));
	memcpy(key.target, g->disks[disk].target, sizeof(key.target));
	pthread_mutex_lock(&v->lock);
	if (v->counts && virt_now_us() - v->counts_at_us < VIRT_STATS_KEEP_US)
		c = bsearch(&key, v->counts, v->ncounts, sizeof(key), compare_counts);
	if (c) {
		*ret_ops = c->to.ops;
		*ret_bytes = c->to.bytes;
		*ret_at_us = v->counts_at_us;
	}
	pthread_mutex_unlock(&v->lock);
	return c ? 0 : -ENODATA;
}
