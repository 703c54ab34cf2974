/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * topology - hwloc's view of this machine (or of an hwloc XML file) as a core `struct host`.
 */
#ifndef QOSD_HOST_TOPOLOGY_H
#define QOSD_HOST_TOPOLOGY_H

#include "qosd/core/err.h"
#include "qosd/core/host.h"

/* xml_path NULL: this machine. 0 or negative errno. Caller frees with host_free. */
int topology_read(const char *xml_path, struct host **ret, struct qerr *err);

#endif
