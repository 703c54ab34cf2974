/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * farewell - makes a fault of libvirtd visible; preloaded into it (virt.sh).
 *
 * libvirtd gives back what it keeps for a client's events when the client has gone. Where one of
 * the client's calls was being answered, two of its threads do so at once and free it twice; that
 * mostly goes well, for it takes some microseconds. Here it takes 10 ms each, and is told:
 * "farewell CONNECTION ID", with "twice" behind where another thread was at it.
 */
#include <dlfcn.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

struct _virConnect;
int virConnectDomainEventDeregisterAny(struct _virConnect *conn, int id);

static atomic_int inside;

int virConnectDomainEventDeregisterAny(struct _virConnect *conn, int id)
{
	int (*deregister)(struct _virConnect *, int) =
		(int (*)(struct _virConnect *, int))dlsym(RTLD_NEXT, __func__);
	const char *twice = atomic_fetch_add(&inside, 1) > 0 ? " twice" : "";
	int r;

	dprintf(STDERR_FILENO, "farewell %p %d%s\n", (void *)conn, id, twice);
	usleep(10000);
	r = deregister(conn, id);
	atomic_fetch_sub(&inside, 1);
	return r;
}
