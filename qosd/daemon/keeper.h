/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * keeper - a process beside the daemon that does nothing but wait: when the lease runs out because
 * the daemon is dead, or stopped for long, it gives throttled guests their steady values.
 *
 * It is forked before the daemon has threads, holds no descriptor but the lease and a pipe that
 * tells it of the daemon's end, and ends by itself: at once when the daemon has gone and nothing is
 * throttled, else when the lease has lapsed, or a newer daemon has taken over.
 */
#ifndef QOSD_DAEMON_KEEPER_H
#define QOSD_DAEMON_KEEPER_H

#include "qosd/daemon/lease.h"

struct keeper_config {
	const char *libvirt_uri;
	const char *cgroup_root, *proc; /* as of struct cgroup_config */
	const char *pin_dir;            /* as of struct net_config */
};

/*
 * Fork it for the daemon that has just taken over `l` (lease_take_over). The config's texts must
 * outlive this process's use of them, as main's arguments do. 0 or negative errno.
 */
int keeper_start(struct lease *l, const struct keeper_config *config, struct qerr *err);

#endif
