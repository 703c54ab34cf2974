/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * virt_events - libvirt's event loop on a thread of its own, and the callbacks that run on it.
 *
 * Callbacks mark what has to be looked at; the calls thread looks. libvirt has one event
 * loop in a process: it is registered once and run by at most one `struct virt` at a time.
 */
#include <errno.h>
#include <string.h>

#include "qosd/core/mem.h"
#include "qosd/host/virt_priv.h"

static pthread_once_t loop_once = PTHREAD_ONCE_INIT;
static int loop_registered = -1; /* written under loop_once only */
static atomic_bool loop_used;    /* libvirt's loop is one per process */

void virt_mark_dirty(struct virt *v, const char *uuid)
{
	bool known = false;

	pthread_mutex_lock(&v->lock);
	if (!v->dirty_at_us)
		v->dirty_at_us = virt_now_us() + VIRT_COALESCE_US;
	for (size_t i = 0; uuid && i < v->ndirty && !known; i++)
		known = strcmp(v->dirty[i], uuid) == 0;
	if (!uuid || (!known && v->ndirty == VIRT_DIRTY_MAX) || strlen(uuid) >= GUEST_UUID_MAX)
		v->dirty_all = true;
	else if (!known)
		strcpy(v->dirty[v->ndirty++], uuid);
	pthread_cond_broadcast(&v->wake);
	pthread_mutex_unlock(&v->lock);
}

static void mark_domain(struct virt *v, virDomainPtr dom)
{
	char uuid[VIR_UUID_STRING_BUFLEN];

	virt_mark_dirty(v, virDomainGetUUIDString(dom, uuid) == 0 ? uuid : NULL);
}

static int on_lifecycle(virConnectPtr conn, virDomainPtr dom, int event, int detail, void *opaque)
{
	(void)conn, (void)event, (void)detail;
	mark_domain(opaque, dom);
	return 0;
}

static void on_metadata(virConnectPtr conn, virDomainPtr dom, int type, const char *uri,
			void *opaque)
{
	(void)conn, (void)type, (void)uri;
	mark_domain(opaque, dom);
}

static void on_device(virConnectPtr conn, virDomainPtr dom, const char *alias, void *opaque)
{
	(void)conn, (void)alias;
	mark_domain(opaque, dom);
}

/*
 * Of a disk's limits, if it is about them: are they other than we know? Ours are known already.
 * Bursts come with the next look at the guest.
 */
static bool disk_differs(struct virt *v, virDomainPtr dom, virTypedParameterPtr params, int nparams)
{
	static const char *const names[GUEST_LIMITS] = {
		VIR_DOMAIN_TUNABLE_BLKDEV_READ_IOPS_SEC,
		VIR_DOMAIN_TUNABLE_BLKDEV_WRITE_IOPS_SEC,
		VIR_DOMAIN_TUNABLE_BLKDEV_TOTAL_IOPS_SEC,
		VIR_DOMAIN_TUNABLE_BLKDEV_READ_BYTES_SEC,
		VIR_DOMAIN_TUNABLE_BLKDEV_WRITE_BYTES_SEC,
		VIR_DOMAIN_TUNABLE_BLKDEV_TOTAL_BYTES_SEC,
	};
	const char *target = NULL;
	char uuid[VIR_UUID_STRING_BUFLEN];
	struct virt_known_disk *disk;
	struct virt_known *k;
	bool differs;

	if (virTypedParamsGetString(params, nparams, VIR_DOMAIN_TUNABLE_BLKDEV_DISK, &target) < 1 ||
	    virDomainGetUUIDString(dom, uuid) < 0)
		return false;
	pthread_mutex_lock(&v->lock);
	k = virt_known_by_uuid(v, uuid);
	disk = k ? virt_known_disk(k, target) : NULL;
	differs = !disk;
	for (unsigned int i = 0; disk && i < GUEST_LIMITS; i++) {
		unsigned long long value = disk->tune[i];

		virTypedParamsGetULLong(params, nparams, names[i], &value);
		differs |= value != disk->tune[i];
	}
	pthread_mutex_unlock(&v->lock);
	return differs;
}

/* The guest follows its balloon, at most once a second. */
static void on_balloon(virConnectPtr conn, virDomainPtr dom, unsigned long long actual_kib,
		       void *opaque)
{
	char uuid[VIR_UUID_STRING_BUFLEN];
	struct virt *v = opaque;
	struct virt_known *k;

	(void)conn;
	if (virDomainGetUUIDString(dom, uuid) < 0)
		return;
	pthread_mutex_lock(&v->lock);
	k = virt_known_by_uuid(v, uuid);
	if (k)
		virt_balloon_heard(k, actual_kib * 1024);
	pthread_mutex_unlock(&v->lock);
}

/*
 * Pins and quotas are not part of a guest, but the daemon may want to compare again. Our own pins
 * come by here as well, so many of these become one.
 */
static void on_tunable(virConnectPtr conn, virDomainPtr dom, virTypedParameterPtr params,
		       int nparams, void *opaque)
{
	struct virt *v = opaque;

	(void)conn;
	if (disk_differs(v, dom, params, nparams))
		mark_domain(v, dom);
	pthread_mutex_lock(&v->lock);
	if (!v->announce_at_us) {
		v->announce_at_us = virt_now_us() + VIRT_ANNOUNCE_US;
		pthread_cond_broadcast(&v->wake);
	}
	pthread_mutex_unlock(&v->lock);
}

static void on_close(virConnectPtr conn, int reason, void *opaque)
{
	struct virt *v = opaque;

	(void)reason;
	pthread_mutex_lock(&v->lock);
	if (conn == v->events_conn) { /* not one of before, told late */
		v->lost = true;
		pthread_cond_broadcast(&v->wake);
	}
	pthread_mutex_unlock(&v->lock);
}

static const struct {
	int id;
	virConnectDomainEventGenericCallback callback;
	bool needed;
} event_table[VIRT_EVENTS] = {
	{ VIR_DOMAIN_EVENT_ID_LIFECYCLE, VIR_DOMAIN_EVENT_CALLBACK(on_lifecycle), true },
	{ VIR_DOMAIN_EVENT_ID_METADATA_CHANGE, VIR_DOMAIN_EVENT_CALLBACK(on_metadata), false },
	{ VIR_DOMAIN_EVENT_ID_DEVICE_ADDED, VIR_DOMAIN_EVENT_CALLBACK(on_device), false },
	{ VIR_DOMAIN_EVENT_ID_DEVICE_REMOVED, VIR_DOMAIN_EVENT_CALLBACK(on_device), false },
	{ VIR_DOMAIN_EVENT_ID_TUNABLE, VIR_DOMAIN_EVENT_CALLBACK(on_tunable), false },
	{ VIR_DOMAIN_EVENT_ID_BALLOON_CHANGE, VIR_DOMAIN_EVENT_CALLBACK(on_balloon), false },
};

int virt_events_register(struct virt *v, struct qerr *err)
{
	virt_calling(v);
	if (virConnectRegisterCloseCallback(v->events_conn, on_close, v, NULL) < 0)
		return virt_failed(v, err, "cannot learn of a closed connection");
	for (size_t i = 0; i < VIRT_EVENTS; i++) {
		virt_calling(v);
		v->event_ids[i] = virConnectDomainEventRegisterAny(
			v->events_conn, NULL, event_table[i].id, event_table[i].callback, v, NULL);
		if (v->event_ids[i] < 0 && event_table[i].needed)
			return virt_failed(v, err, "cannot receive events");
	}
	return 0;
}

void virt_events_deregister(struct virt *v)
{
	for (size_t i = 0; i < VIRT_EVENTS; i++) {
		if (v->event_ids[i] < 0)
			continue;
		virt_calling(v);
		virConnectDomainEventDeregisterAny(v->events_conn, v->event_ids[i]);
		v->event_ids[i] = -1;
	}
	/* Last, for unlike these it waits for one of libvirtd's ordinary workers. */
	virt_calling(v);
	virConnectUnregisterCloseCallback(v->events_conn, on_close);
}

static void ignore_error(void *user, virErrorPtr error)
{
	(void)user, (void)error; /* libvirt's default prints to standard error */
}

static void loop_register(void)
{
	virSetErrorFunc(NULL, ignore_error);
	loop_registered = virInitialize() < 0 ? -1 : virEventRegisterDefaultImpl();
}

static void *loop_main(void *arg)
{
	struct virt *v = arg;

	pthread_setname_np(pthread_self(), "virt-events");
	while (!atomic_load(&v->stop))
		if (virEventRunDefaultImpl() < 0)
			break;
	return NULL;
}

static void loop_wake(int timer, void *opaque)
{
	(void)timer, (void)opaque; /* its only use is that the loop turns */
}

int virt_events_start(struct virt *v, struct qerr *err)
{
	int r;

	pthread_once(&loop_once, loop_register);
	if (loop_registered < 0)
		return qerr_set(err, -EIO, "libvirt's event loop cannot be registered");
	if (atomic_exchange(&loop_used, true))
		return qerr_set(err, -EBUSY, "libvirt's event loop is in use already");
	for (size_t i = 0; i < VIRT_EVENTS; i++)
		v->event_ids[i] = -1;
	r = -pthread_create(&v->events_thread, NULL, loop_main, v);
	if (r < 0) {
		atomic_store(&loop_used, false);
		return qerr_set(err, r, "cannot start libvirt's event thread: %s", strerror(-r));
	}
	return 0;
}

void virt_events_stop(struct virt *v)
{
	int timer;

	atomic_store(&v->stop, true);
	timer = virEventAddTimeout(0, loop_wake, NULL, NULL);
	pthread_join(v->events_thread, NULL);
	if (timer >= 0)
		virEventRemoveTimeout(timer);
	atomic_store(&loop_used, false);
}
