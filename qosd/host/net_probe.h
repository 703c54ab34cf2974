/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * net_probe - what this host lacks for shaping NICs, for `qosctl doctor`. Reads only.
 */
#ifndef QOSD_HOST_NET_PROBE_H
#define QOSD_HOST_NET_PROBE_H

#include "qosd/core/diag.h"
#include "qosd/host/net_shape.h"

void net_probe(struct net *n, struct diag_list *findings);

#endif
