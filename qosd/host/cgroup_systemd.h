/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cgroup_systemd - properties of systemd units, set over D-Bus on the worker's thread.
 *
 * systemd rewrites all values of a group that it owns whenever it likes (each daemon-reload does),
 * so what should stay there must be told to it. Set at run time only: of a guest's scope the
 * settings vanish with the guest, of a slice at the next boot.
 */
#ifndef QOSD_HOST_CGROUP_SYSTEMD_H
#define QOSD_HOST_CGROUP_SYSTEMD_H

#include <stdbool.h>
#include <stdint.h>

#include "qosd/host/worker.h"

struct cgroup_systemd;

/* One D-Bus connection, opened at first use. Counted by reference: jobs hold one. */
struct cgroup_systemd *cgroup_systemd_new(void);
void cgroup_systemd_unref(struct cgroup_systemd *s); /* NULL is fine */

struct cgroup_unit_setting {
	const char *unit;     /* "machine.slice" */
	const char *property; /* "MemoryMin" */
	uint64_t value;       /* as the property has it */
	const char *file;     /* the group's file in which the value will show */
	uint64_t shows;       /* ... and what it will then hold */
};

/*
 * Set one property; the strings are copied. -EINPROGRESS: the ticket completes later through the
 * worker, when the value is in the file; -EAGAIN: the worker has too much to do; -ENOMEM.
 */
int cgroup_systemd_set(struct cgroup_systemd *s, struct worker *w,
		       const struct cgroup_unit_setting *setting, uint64_t ticket,
		       struct qerr *err);

#endif
