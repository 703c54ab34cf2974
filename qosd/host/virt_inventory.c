/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * virt_inventory - the running domains as guests: look, compare, publish. Runs on the calls thread.
 *
 * A record per running domain holds its guest. A new look that finds nothing different keeps the
 * very same `struct guest`; a difference makes a new one with the same id; another process or
 * domain id is another incarnation and gets the next id. Whole inventories are published, so that
 * a reader never sees half a refresh. Guests that vanish while they are looked at are normal.
 */
#include <errno.h>
#include <net/if.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "qosd/core/mem.h"
#include "qosd/host/virt_priv.h"

/* ---- comparing ---- */

static bool text_same(const char *a, const char *b)
{
	return a == b || (a && b && strcmp(a, b) == 0);
}

static bool overrides_same(const struct guest *a, const struct guest *b)
{
	if (a->noverrides != b->noverrides)
		return false;
	for (size_t i = 0; i < a->noverrides; i++)
		if (!text_same(a->overrides[i].key, b->overrides[i].key) ||
		    !text_same(a->overrides[i].value, b->overrides[i].value))
			return false;
	return true;
}

/* Arrays of NICs, disks and images are zeroed before they are filled: bytes can be compared. */
static bool array_same(const void *a, size_t na, const void *b, size_t nb, size_t size)
{
	return na == nb && (na == 0 || memcmp(a, b, na * size) == 0);
}

/* Limits apart: virt_known keeps them, and they change often. */
static bool disks_same(const struct guest *a, const struct guest *b)
{
	if (a->ndisks != b->ndisks)
		return false;
	for (size_t i = 0; i < a->ndisks; i++)
		if (memcmp(&a->disks[i], &b->disks[i], offsetof(struct guest_disk, tune)) != 0)
			return false;
	return true;
}

static bool devices_same(const struct guest *a, const struct guest *b)
{
	return array_same(a->nics, a->nnics, b->nics, b->nnics, sizeof(*a->nics)) &&
	       disks_same(a, b) &&
	       array_same(a->rbds, a->nrbds, b->rbds, b->nrbds, sizeof(*a->rbds));
}

static bool process_same(const struct guest *a, const struct guest *b)
{
	return a->pid == b->pid && a->start_ticks == b->start_ticks &&
	       array_same(a->vcpu_tids, a->nvcpu_tids, b->vcpu_tids, b->nvcpu_tids, sizeof(int)) &&
	       text_same(a->cgroup, b->cgroup) && text_same(a->cgroup_memory, b->cgroup_memory) &&
	       a->systemd == b->systemd;
}

static bool guest_same(const struct guest *a, const struct guest *b)
{
	return strcmp(a->uuid, b->uuid) == 0 && text_same(a->name, b->name) &&
	       text_same(a->title, b->title) && text_same(a->flavor, b->flavor) &&
	       text_same(a->project, b->project) && text_same(a->class_name, b->class_name) &&
	       a->vcpus == b->vcpus && a->memory_bytes == b->memory_bytes &&
	       a->hard_limit_bytes == b->hard_limit_bytes && a->balloon == b->balloon &&
	       overrides_same(a, b) && devices_same(a, b) && process_same(a, b);
}

static bool same_incarnation(const struct virt_record *record, int domain_id, const struct guest *g)
{
	const struct guest *old = record->guest;

	if (record->domain_id != domain_id)
		return false;
	if (!old->pid || !g->pid)
		return true;
	return old->pid == g->pid && old->start_ticks == g->start_ticks;
}

/* ---- records ---- */

/* The place where uuid is or would be. */
static size_t record_place(const struct virt *v, const char *uuid)
{
	size_t low = 0, high = v->nrecords;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (strcmp(v->records[middle].uuid, uuid) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static struct virt_record *record_find(const struct virt *v, const char *uuid)
{
	size_t i = record_place(v, uuid);

	return i < v->nrecords && strcmp(v->records[i].uuid, uuid) == 0 ? &v->records[i] : NULL;
}

const struct virt_record *virt_record_of_guest(const struct virt *v, uint32_t guest_id)
{
	for (size_t i = 0; i < v->nrecords; i++)
		if (v->records[i].guest->id == guest_id)
			return &v->records[i];
	return NULL;
}

static void record_drop(struct virt *v, struct virt_record *record)
{
	size_t i = (size_t)(record - v->records);

	virt_known_forget(v, record->guest->id);
	guest_unref(record->guest);
	memmove(record, record + 1, (v->nrecords - i - 1) * sizeof(*record));
	v->nrecords--;
	v->changed = true;
}

static void record_forget(struct virt *v, const char *uuid)
{
	struct virt_record *record = record_find(v, uuid);

	if (record)
		record_drop(v, record);
}

static struct virt_record *record_insert(struct virt *v, const char *uuid)
{
	size_t i = record_place(v, uuid);
	struct virt_record *record;

	if (mem_grow(&v->records, &v->records_capacity, v->nrecords + 1, sizeof(*record)) < 0)
		return NULL;
	record = &v->records[i];
	memmove(record + 1, record, (v->nrecords - i) * sizeof(*record));
	memset(record, 0, sizeof(*record));
	strcpy(record->uuid, uuid);
	v->nrecords++;
	return record;
}

void virt_records_free(struct virt *v)
{
	for (size_t i = 0; i < v->nrecords; i++)
		guest_unref(v->records[i].guest);
	free(v->records);
	v->records = NULL;
	v->nrecords = v->records_capacity = 0;
}

/* Takes over `g` in any case. */
static int record_update(struct virt *v, int domain_id, struct guest *g, bool unbound)
{
	struct virt_record *record = record_find(v, g->uuid);

	if (record && same_incarnation(record, domain_id, g)) {
		g->id = record->guest->id;
		record->seen = true;
		record->unbound = unbound;
		virt_known_update(v, g);
		if (guest_same(record->guest, g)) {
			guest_unref(g);
			return 0;
		}
	} else {
		g->id = ++v->last_id;
	}
	if (!record)
		record = record_insert(v, g->uuid);
	if (!record) {
		guest_unref(g);
		return -ENOMEM;
	}
	if (record->guest && record->guest->id != g->id)
		virt_known_forget(v, record->guest->id);
	virt_known_update(v, g);
	guest_unref(record->guest);
	record->guest = g;
	record->domain_id = domain_id;
	record->unbound = unbound;
	record->seen = true;
	v->changed = true;
	return 0;
}

/* ---- looking ---- */

static void set_guest_error(struct virt *v, const char *text)
{
	pthread_mutex_lock(&v->lock);
	snprintf(v->guest_error, sizeof(v->guest_error), "%s", text);
	pthread_mutex_unlock(&v->lock);
}

/* The index of a device that somebody has renamed: libvirt goes on telling the old name. */
static uint32_t index_before(const struct guest *before, const struct guest_nic *nic)
{
	char name[IF_NAMESIZE];

	for (size_t i = 0; before && i < before->nnics; i++) {
		const struct guest_nic *old = &before->nics[i];

		if (strcmp(old->device, nic->device) == 0 && strcmp(old->mac, nic->mac) == 0)
			return old->ifindex && if_indextoname(old->ifindex, name) ? old->ifindex
										  : 0;
	}
	return 0;
}

static bool is_anothers(const struct virt *v, const struct guest *g, uint32_t ifindex)
{
	for (size_t i = 0; i < v->nrecords; i++) {
		const struct guest *other = v->records[i].guest;

		for (size_t k = 0; strcmp(other->uuid, g->uuid) != 0 && k < other->nnics; k++)
			if (other->nics[k].ifindex == ifindex)
				return true;
	}
	return false;
}

/* Nobody knew the device before: a rename that we did not see. */
static uint32_t index_by_mac(const struct virt *v, const struct guest *g,
			     const struct guest_nic *nic)
{
	uint32_t ifindex = guest_nic_obstacle(nic) ? 0 : virt_device_by_mac("/sys", nic->mac);

	return ifindex && !is_anothers(v, g, ifindex) ? ifindex : 0;
}

static void find_devices(const struct virt *v, struct guest *g, const struct guest *before)
{
	for (size_t i = 0; i < g->nnics; i++) {
		struct guest_nic *nic = &g->nics[i];

		virt_find_vf(NULL, nic);
		nic->ifindex = virt_device_ifindex(nic->device);
		if (!nic->ifindex && nic->device[0])
			nic->ifindex = index_before(before, nic);
		if (!nic->ifindex && nic->device[0])
			nic->ifindex = index_by_mac(v, g, nic);
	}
}

/* What libvirt's XML does not tell; true when nothing is missing. */
static bool complete_guest(struct virt *v, struct guest *g, const struct guest *before)
{
	find_devices(v, g, before);
	g->pid = virt_process_find(v->run_dir, g->name);
	g->start_ticks = g->pid ? virt_process_start_ticks(g->pid) : 0;
	if (!g->start_ticks)
		g->pid = 0; /* a stale pid file */
	if (!v->bind)
		return true;
	return g->pid && v->bind(v->bind_ctx, g) == 0;
}

/* 0; negative when this domain could not be read: its record stays as it is. */
static int look_at(struct virt *v, virDomainPtr dom, struct qerr *err)
{
	char uuid[VIR_UUID_STRING_BUFLEN];
	struct virt_record *record;
	struct guest *g;
	bool same_start;
	char *xml;
	int r, domain_id = (int)virDomainGetID(dom);

	if (virDomainGetUUIDString(dom, uuid) < 0)
		return virt_failed(v, err, "a domain has no uuid");
	record = record_find(v, uuid);
	if (record)
		record->seen = true;
	same_start = record && record->domain_id == domain_id;
	if (domain_id == -1) {
		record_forget(v, uuid);
		return 0;
	}
	virt_calling(v);
	xml = virDomainGetXMLDesc(dom, 0);
	if (!xml) {
		r = virt_failed(v, err, "guest %s cannot be read", virDomainGetName(dom));
		if (r == -ENOENT)
			record_forget(v, uuid);
		return r == -ENOENT ? 0 : r;
	}
	r = virt_parse_domain_xml(xml, strlen(xml), &g, err);
	free(xml);
	if (r == 0) {
		bool unbound = !complete_guest(v, g, same_start ? record->guest : NULL);

		r = record_update(v, domain_id, g, unbound);
	}
	return r;
}

static void look_and_note(struct virt *v, virDomainPtr dom)
{
	struct qerr err = { 0 };

	if (look_at(v, dom, &err) < 0)
		set_guest_error(v, err.text);
}

static int refresh_all(struct virt *v, struct qerr *err)
{
	virDomainPtr *doms = NULL;
	int n;

	virt_calling(v);
	n = virConnectListAllDomains(v->conn, &doms, VIR_CONNECT_LIST_DOMAINS_ACTIVE);
	if (n < 0)
		return virt_failed(v, err, "guests cannot be listed");
	set_guest_error(v, "");
	for (size_t i = 0; i < v->nrecords; i++)
		v->records[i].seen = false;
	for (int i = 0; i < n; i++) {
		if (virt_usable(v))
			look_and_note(v, doms[i]);
		virDomainFree(doms[i]);
	}
	free(doms);
	if (!virt_usable(v))
		return -EAGAIN;
	for (size_t i = v->nrecords; i-- > 0;)
		if (!v->records[i].seen)
			record_drop(v, &v->records[i]);
	v->next_resync_us = virt_now_us() + v->resync_us;
	return 0;
}

static int refresh_one(struct virt *v, const char *uuid, struct qerr *err)
{
	virDomainPtr dom;
	int r;

	virt_calling(v);
	dom = virDomainLookupByUUIDString(v->conn, uuid);
	if (!dom) {
		r = virt_failed(v, err, "guest %s cannot be looked up", uuid);
		if (r == -ENOENT)
			record_forget(v, uuid);
		return r == -ENOENT || r == -EINVAL ? 0 : r;
	}
	look_and_note(v, dom);
	virDomainFree(dom);
	return virt_usable(v) ? 0 : -EAGAIN;
}

/* ---- publishing ---- */

static struct inventory *build_inventory(const struct virt *v)
{
	struct inventory *inv = inventory_new(v->nrecords);

	for (size_t i = 0; inv && i < v->nrecords; i++) {
		if (inventory_add(inv, v->records[i].guest) < 0) {
			inventory_free(inv);
			return NULL;
		}
	}
	return inv;
}

static int publish(struct virt *v, struct qerr *err)
{
	struct inventory *inv = build_inventory(v), *old;

	if (!inv)
		return qerr_set(err, -ENOMEM, "out of memory for the list of guests");
	pthread_mutex_lock(&v->lock);
	old = v->pending;
	v->pending = inv;
	virt_notify(v);
	pthread_mutex_unlock(&v->lock);
	inventory_free(old);
	v->changed = false;
	return 0;
}

struct wanted { /* what was marked, taken from under the lock */
	bool all, announce;
	size_t n;
	char uuids[VIRT_DIRTY_MAX][GUEST_UUID_MAX];
};

static void take_dirty(struct virt *v, struct wanted *w)
{
	uint64_t now = virt_now_us();

	pthread_mutex_lock(&v->lock);
	w->all = v->dirty_all || (v->next_resync_us && v->next_resync_us <= now);
	w->announce = v->announce_at_us && v->announce_at_us <= now;
	w->n = v->ndirty;
	memcpy(w->uuids, v->dirty, v->ndirty * sizeof(v->dirty[0]));
	v->dirty_all = false;
	v->ndirty = 0;
	v->dirty_at_us = 0;
	if (w->announce)
		v->announce_at_us = 0;
	pthread_mutex_unlock(&v->lock);
}

int virt_refresh_now(struct virt *v, struct qerr *err)
{
	struct wanted w;
	int r = 0;

	take_dirty(v, &w);
	if (w.all)
		r = refresh_all(v, err);
	for (size_t i = 0; !w.all && r == 0 && i < w.n; i++)
		r = refresh_one(v, w.uuids[i], err);
	if (w.announce)
		v->changed = true;
	return r == 0 && v->changed ? publish(v, err) : r;
}

void virt_look_after(struct virt *v)
{
	for (size_t i = 0; i < v->nrecords; i++) {
		const struct virt_record *record = &v->records[i];
		int pid = record->guest->pid;

		if (record->unbound || (pid > 0 && kill(pid, 0) < 0 && errno == ESRCH))
			virt_mark_dirty(v, record->uuid);
	}
}
