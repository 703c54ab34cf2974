/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * net_count_maps - the counting programs and their maps (bpf/hostcount.bpf.c), pinned below bpffs.
 *
 * PIN_DIR/host1/ holds the maps, in and out. "host1" is the layout of the maps: another layout gets
 * another directory, and begins to count anew.
 */
#ifndef QOSD_HOST_NET_COUNT_MAPS_H
#define QOSD_HOST_NET_COUNT_MAPS_H

#include "bpf/hostcount.h"
#include "qosd/host/net_pin.h"

enum {
	NET_COUNT_RULES,
	NET_COUNT_UPLINKS,
	NET_COUNT_PORTS,
	NET_COUNT_KEYS,
	NET_COUNT_FLOWS,
	NET_COUNT_BYTES,
	NET_COUNT_MAPS
};

struct net_count_maps {
	char dir[NET_PIN_DIR_BYTES]; /* PIN_DIR/host1 */
	int map_fd[NET_COUNT_MAPS];  /* -1: not open, as the next one */
	int prog_fd[2];              /* by enum hostcount_direction */
	uint32_t prog_id[2];         /* 0: not known */
	bool loaded;                 /* the programs are those of this build */
	bool knows_groups;           /* they see control groups */
};

struct net_count_key { /* an entry of the map of groups and marks */
	struct hostcount_key key;
	uint64_t rules;
};

struct net_count_told {              /* all that rules ask for */
	struct hostcount_rules head; /* the generation is found */
	const uint64_t *ports;       /* HOSTCOUNT_PORTS */
	const struct net_count_key *keys;
	size_t nkeys;
};

/* Remembers the directory only. -EINVAL: too long. */
int net_count_maps_init(struct net_count_maps *m, const char *pin_dir, struct qerr *err);
void net_count_maps_done(struct net_count_maps *m); /* pins stay */
/* Open what is pinned; writes nothing. -ENOENT: nothing is. */
int net_count_maps_look(struct net_count_maps *m);
/* Programs and maps are ready for use: pinned ones are adopted, missing ones loaded and pinned. */
int net_count_maps_ready(struct net_count_maps *m, struct qerr *err);
int net_count_maps_unpin(struct net_count_maps *m, struct qerr *err);

/* Writes what differs. Flows are forgotten if the same flow may be another rule's now. */
int net_count_maps_tell(const struct net_count_maps *m, const struct net_count_told *told,
			struct qerr *err);
/* Bytes since the maps were made, both ways. */
int net_count_maps_read(const struct net_count_maps *m, uint32_t rule, uint64_t ret[2]);

/* Uplinks. -ENOENT: no such entry. */
int net_count_maps_uplink(const struct net_count_maps *m, uint32_t ifindex,
			  struct hostcount_uplink *ret);
int net_count_maps_set_uplink(const struct net_count_maps *m, uint32_t ifindex,
			      const struct hostcount_uplink *up, struct qerr *err);
void net_count_maps_delete_uplink(const struct net_count_maps *m, uint32_t ifindex);
/* Those that have an entry, at most HOSTCOUNT_UPLINKS. How many. */
size_t net_count_maps_uplinks(const struct net_count_maps *m, uint32_t ret[HOSTCOUNT_UPLINKS]);

#endif
