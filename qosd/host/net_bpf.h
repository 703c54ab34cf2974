/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * net_bpf - the shaper's programs and maps (bpf/edt.bpf.c), pinned below a directory of bpffs.
 *
 * PIN_DIR/v3/ holds slot, near, cfg, st, line, line_st, ifb, in, out and divert. Filters and links
 * hold the programs and the programs hold the maps, so limits stay in force whoever dies; these
 * pins are only how the next qosd finds them. "v3" is the layout of the maps: another layout gets
 * another directory.
 */
#ifndef QOSD_HOST_NET_BPF_H
#define QOSD_HOST_NET_BPF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bpf/edt.h"
#include "qosd/core/err.h"
#include "qosd/host/net_pin.h"
#include "qosd/host/net_tcx.h"

enum net_map {
	NET_MAP_SLOT,
	NET_MAP_NEAR,
	NET_MAP_CFG,
	NET_MAP_STATE,
	NET_MAPS_NEEDED, /* those before it: without one of them nothing is shaped */
	NET_MAP_LINE = NET_MAPS_NEEDED,
	NET_MAP_LINE_STATE,
	NET_MAP_IFB,
	NET_MAPS
};

struct net_slots {            /* net_bpf_maps.c */
	const uint64_t *near; /* qosd_near, mapped */
	uint32_t next;        /* the one to try first */
};

struct net_bpf {
	char dir[NET_PIN_DIR_BYTES]; /* PIN_DIR/v3 */
	int map_fd[NET_MAPS];        /* -1: not open */
	int prog_fd[NET_PROGS];      /* -1: not open */
	uint32_t prog_id[NET_PROGS]; /* 0: not known */
	bool loaded;                 /* the programs are those of this build */
	struct net_slots slots;
};

/* Remembers the directory only. -EINVAL: too long. */
int net_bpf_init(struct net_bpf *b, const char *pin_dir, struct qerr *err);
void net_bpf_done(struct net_bpf *b);          /* pins stay */
bool net_bpf_is_open(const struct net_bpf *b); /* the maps; a program may be missing */
/* Is it an error that another try may mend (memory, descriptors, another qosd)? */
bool net_bpf_try_again(int r);
/* Open what is pinned; writes nothing. -ENOENT: the maps are not pinned, or not ours to open. */
int net_bpf_look(struct net_bpf *b, struct qerr *err);
/*
 * Somebody removed the pins: find the maps by a program that is still attached, and keep it as the
 * one in its place. -ENOENT: the program has no such maps. Others: it cannot be looked at.
 */
int net_bpf_recover(struct net_bpf *b, enum net_prog prog, uint32_t program_id);
/* Pin what is open anew. */
int net_bpf_pin_again(struct net_bpf *b, struct qerr *err);
/*
 * Make programs and maps ready for use: pinned ones are adopted, missing ones loaded and pinned.
 * *ret_replaced: the pinned programs were of another build; the filters still run those.
 */
int net_bpf_ready(struct net_bpf *b, bool *ret_replaced, struct qerr *err);
/* Remove pins and directories. */
int net_bpf_unpin(struct net_bpf *b, struct qerr *err);

/* ---- net_bpf_maps.c; -ENOENT: no entry, or nothing is open ---- */
int net_bpf_get_cfg(const struct net_bpf *b, uint32_t key, struct edt_cfg *ret);
/* A key without an entry gets one, with a state of all zero. -ENOSPC: there is no room. */
int net_bpf_set_cfg(struct net_bpf *b, uint32_t key, const struct edt_cfg *cfg, struct qerr *err);
int net_bpf_get_state(const struct net_bpf *b, uint32_t key, struct edt_state *ret);
/* The rate of a line that NICs share (1..EDT_LINES-1), one direction; 0: it is not known. */
int net_bpf_set_line(const struct net_bpf *b, uint32_t line, enum edt_direction direction,
		     uint64_t rate_bps, struct qerr *err);
/* Where NET_PROG_DIVERT sends packets: the ifb's index, 0: nowhere, they pass. */
int net_bpf_set_ifb(const struct net_bpf *b, uint32_t ifindex, struct qerr *err);
uint32_t net_bpf_ifb(const struct net_bpf *b); /* 0 also if it cannot be read */
/* Absent is fine. */
void net_bpf_delete(struct net_bpf *b, uint32_t key);
/* All keys with a slot; the caller frees *ret. 0 or -ENOMEM. */
int net_bpf_keys(const struct net_bpf *b, uint32_t **ret, size_t *ret_count);
/* For net_bpf.c. When the maps have been opened, and before they are closed. */
int net_bpf_learn_slots(struct net_bpf *b);
void net_bpf_forget_slots(struct net_bpf *b);

/* The entry for a rate in bit/s; flags as in edt.h. No I/O. */
struct edt_cfg net_bpf_profile(uint64_t rate_bps, uint32_t flags);

#endif
