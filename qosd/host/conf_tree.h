/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * conf_tree - from libconfig's settings to a policy; used by conf.c only.
 */
#ifndef QOSD_HOST_CONF_TREE_H
#define QOSD_HOST_CONF_TREE_H

#include <libconfig.h>
#include <stddef.h>

#include "qosd/core/diag.h"
#include "qosd/core/policy.h"

/*
 * NULL only without memory; otherwise a policy, half-read when there are findings: what was refused
 * has its default and is marked bad in the origins. `scan_first`: findings from there on were made
 * by conf_scan over the same text. `name` stands for the main file.
 */
struct policy *conf_tree_read(config_t *config, const char *name, size_t scan_first,
			      struct diag_list *findings);

#endif
