/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * net_tcx - programs on devices by TCX links (Linux 6.6).
 *
 * A link needs no qdisc to carry it, so an ingress qdisc of somebody else's is not in the way, and
 * what tc removes does not touch it. It holds its program, and its pin holds it: PIN_DIR/links has
 * one for each device and program, beside the maps' directory, so that another layout of those does
 * not touch it. The removal of a pin is an event; a link that is detached otherwise tells nobody.
 * When a device goes its links stay behind without one until they are forgotten.
 */
#ifndef QOSD_HOST_NET_TCX_H
#define QOSD_HOST_NET_TCX_H

#include <stdbool.h>
#include <stdint.h>

#include "qosd/core/err.h"
#include "qosd/host/net_pin.h"

enum net_prog {
	/* of bpf/edt.bpf.c; the first two as enum edt_direction */
	NET_PROG_IN,     /* on the NIC, egress */
	NET_PROG_OUT,    /* on the ifb, egress */
	NET_PROG_DIVERT, /* on the NIC, ingress */
	NET_PROGS,
	/* of bpf/hostcount.bpf.c, on an uplink */
	NET_PROG_COUNT_IN = NET_PROGS,
	NET_PROG_COUNT_OUT,
	NET_LINKS
};

#define NET_TCX_UNKNOWN UINT32_MAX /* the id of a program that may not be asked for */

struct net_tcx {
	char dir[NET_PIN_DIR_BYTES];
	bool asked, there;   /* does the kernel have TCX? */
	int events;          /* of removed pins; poll it. -1: none can be had */
	int watched;         /* the directory's, -1: it is not watched */
	uint64_t patient_ns; /* no link that is going is waited for before that */
};

/* Remembers the directory only. -EINVAL: too long. */
int net_tcx_init(struct net_tcx *t, const char *pin_dir, struct qerr *err);
void net_tcx_done(struct net_tcx *t); /* links stay */
/* Be told of pins that are removed from now on. Called again, it does nothing. */
void net_tcx_watch(struct net_tcx *t);
/* Calls back for each device of which a pin was removed, by whomever, since the last call; with 0
 * if any may have lost one. */
void net_tcx_handle(struct net_tcx *t, void (*fn)(void *user, uint32_t ifindex), void *user);
/* Does this kernel have TCX? Asks once. */
bool net_tcx_there(struct net_tcx *t);
/*
 * The id of the program that our link holds on this device; 0: there is no link of ours.
 * NET_TCX_UNKNOWN: there is a pin, but this process may not look at what it holds.
 */
uint32_t net_tcx_program(const struct net_tcx *t, uint32_t ifindex, enum net_prog prog);
/*
 * Link the program to the device and pin the link; a link that is there gets the new program
 * without a gap. -ENODEV: the device has gone.
 */
int net_tcx_set(struct net_tcx *t, uint32_t ifindex, enum net_prog prog, int prog_fd,
		struct qerr *err);
/* Take it off, and its pin. Absent is fine. */
int net_tcx_clear(const struct net_tcx *t, uint32_t ifindex, enum net_prog prog, struct qerr *err);
/*
 * All pins for prog (NET_LINKS: for any), whatever they hold, until fn returns true. Was there one?
 * fn may remove the pin.
 */
bool net_tcx_each(const struct net_tcx *t, enum net_prog prog,
		  bool (*fn)(void *user, uint32_t ifindex, const char *path), void *user);
/* Has any device that is there a pin for prog? */
bool net_tcx_any(const struct net_tcx *t, enum net_prog prog);
/* Remove the pins of devices that have gone. */
void net_tcx_sweep(const struct net_tcx *t);
/* Programs on the ingress hook that are none of ours (the ids by enum net_prog), 16 at the most. */
uint32_t net_tcx_others(uint32_t ifindex, const uint32_t ours[NET_LINKS]);
/* Remove all pins that are left, and the directory. */
int net_tcx_remove(const struct net_tcx *t, struct qerr *err);

#endif
