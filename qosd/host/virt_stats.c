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

static void add_disk(struct virt_disk_sum *c, const virDomainStatsRecord *record, unsigned int disk)
{
	c->ops += field(record, disk, "rd.reqs") + field(record, disk, "wr.reqs");
	c->bytes += field(record, disk, "rd.bytes") + field(record, disk, "wr.bytes");
	c->wait_ns += field(record, disk, "rd.times") + field(record, disk, "wr.times") +
		      field(record, disk, "fl.times");
}

/* False: this reading has nothing of the guest's disks. */
static bool count_guest(struct virt_disk_counts *c, const virDomainStatsRecord *record)
{
	unsigned int disks = 0;

	memset(c, 0, sizeof(*c));
	if (virDomainGetUUIDString(record->dom, c->uuid) < 0 ||
	    virTypedParamsGetUInt(record->params, record->nparams, "block.count", &disks) < 1)
		return false;
	for (unsigned int i = 0; i < disks; i++)
		add_disk(&c->to, record, i);
	c->from = c->to;
	return true;
}

static int compare_counts(const void *pa, const void *pb)
{
	const struct virt_disk_counts *a = pa, *b = pb;

	return strcmp(a->uuid, b->uuid);
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

/* A guest that was in the reading before goes on from what is shown of it. */
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
	struct virt_disk_counts *counts = calloc((size_t)n + 1, sizeof(*counts));
	size_t count = 0;

	if (!counts)
		return;
	for (int i = 0; i < n; i++)
		count += count_guest(&counts[count], records[i]);
	virt_stats_publish(v, counts, count, virt_now_us());
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

int virt_disk_stats(struct virt *v, const struct guest *g, struct sample_guest *ret)
{
	const struct virt_disk_counts *c = NULL;
	struct virt_disk_counts key;
	struct virt_disk_sum now;
	uint64_t age_us;

	memcpy(key.uuid, g->uuid, sizeof(key.uuid));
	pthread_mutex_lock(&v->lock);
	age_us = virt_now_us() - v->counts_at_us;
	if (v->counts && age_us <= v->counts_span_us)
		c = bsearch(&key, v->counts, v->ncounts, sizeof(key), compare_counts);
	if (c && !c->climbs)
		c = NULL;
	if (c) {
		now = shown(c, age_us, v->counts_span_us);
		ret->disk_ops = now.ops;
		ret->disk_bytes = now.bytes;
		ret->disk_wait_ns = now.wait_ns;
	}
	pthread_mutex_unlock(&v->lock);
	return c ? 0 : -ENODATA;
}
