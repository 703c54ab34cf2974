/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * virt_ping - finds a libvirtd that hangs, on a thread of its own.
 *
 * A call about one domain may rightly wait for seconds, while that domain starts or a slow hook
 * holds it; that is no hung libvirtd. So a cheap call that concerns no domain is made every 2 s
 * beside whatever the calls thread waits for: only its age decides.
 */
#include "qosd/host/virt_priv.h"

virConnectPtr virt_borrow_connection(struct virt *v)
{
	virConnectPtr conn = NULL;

	pthread_mutex_lock(&v->lock);
	if (v->conn && !v->lost && virConnectRef(v->conn) == 0)
		conn = v->conn;
	pthread_mutex_unlock(&v->lock);
	return conn;
}

static void ping(struct virt *v, virConnectPtr conn)
{
	unsigned long version = 0;
	int r;

	atomic_store(&v->ping_since_us, virt_now_us());
	r = virConnectGetLibVersion(conn, &version);
	virResetLastError();
	if (r == 0)
		atomic_store(&v->version, version);
	if (r < 0 && virConnectIsAlive(conn) != 1)
		virt_connection_broke(v, conn);
	atomic_store(&v->ping_since_us, 0);
}

/* Up to 2 s, or until there is an end. */
static void wait_turn(struct virt *v)
{
	uint64_t until_us = virt_now_us() + VIRT_PING_US;

	pthread_mutex_lock(&v->lock);
	while (!atomic_load(&v->stop) && virt_now_us() < until_us)
		virt_wait_until(v, until_us);
	pthread_mutex_unlock(&v->lock);
}

void *virt_ping_main(void *arg)
{
	struct virt *v = arg;

	pthread_setname_np(pthread_self(), "virt-ping");
	while (!atomic_load(&v->stop)) {
		virConnectPtr conn = virt_borrow_connection(v);

		if (conn) {
			ping(v, conn);
			virConnectClose(conn);
		}
		wait_turn(v);
	}
	virt_thread_ends(v);
	return NULL;
}
