/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * adapter - what the daemon asks of whatever reads and writes knobs: a small vtable, no code.
 *
 * All functions are called on the daemon's loop. `read` never blocks and never asks another
 * daemon: it reads the kernel. `apply` either finishes at once (0 or an error) or hands the change
 * to its own worker thread and returns -EINPROGRESS: the outcome comes later through the worker's
 * completion with the ticket given (a ticket completes exactly once).
 * -ENOENT / -ESRCH mean that the target has gone, which is normal.
 */
#ifndef QOSD_CORE_ADAPTER_H
#define QOSD_CORE_ADAPTER_H

#include "qosd/core/diag.h"
#include "qosd/core/diff.h"
#include "qosd/core/err.h"

struct adapter;

struct adapter_ops {
	const char *name;
	/* What can this host do, and why not (findings with fixes, for `qosctl doctor`). */
	void (*probe)(struct adapter *a, struct diag_list *findings);
	/* A CPU set that is read is lent until the adapter's next call. */
	int (*read)(struct adapter *a, const struct target *t, enum knob_id knob,
		    struct knob_value *ret, struct qerr *err);
	int (*apply)(struct adapter *a, const struct change *c, uint64_t ticket, struct qerr *err);
	/*
	 * From now on changes may come, or none will: an adapter that prepares things of its own
	 * does it only while writing, and takes them away afterwards if nothing uses them. NULL: no
	 * matter.
	 */
	int (*set_writing)(struct adapter *a, bool writing, struct qerr *err);
	/* The guest has gone: drop what is cached and remove what was left behind for it. Not
	 * called for NICs while its process lives. */
	void (*forget)(struct adapter *a, const struct guest *g);
};

struct adapter {
	const struct adapter_ops *ops;
	void *ctx;
};

#endif
