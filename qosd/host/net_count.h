/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * net_count - counts the host's own traffic apart at uplinks, by two programs there
 * (bpf/hostcount.bpf.c).
 *
 * An uplink's entry in the map is there whenever something of ours is on the uplink: it is made
 * first, with the note whether clsact is ours, and removed last. So the next qosd can finish what
 * was cut short. Filters and qdiscs of others stay; a clsact of ours goes when its last filter has
 * gone. Where the kernel has no TCX an ingress qdisc of others leaves no place for counting.
 *
 * A control group is known by its id, which is another one each time it is made: so it is looked up
 * each time that the rules are told.
 */
#ifndef QOSD_HOST_NET_COUNT_H
#define QOSD_HOST_NET_COUNT_H

#include "qosd/host/net.h"
#include "qosd/host/net_count_maps.h"

struct net_count_rule {
	struct net_host_rule asked;
	uint32_t ifindex;  /* 0: the uplink is not there */
	uint64_t group_id; /* 0: the group is not there */
};

struct net_count {
	struct net_count_maps maps;
	struct net_count_rule *rules;
	size_t count, capacity;
	bool told;        /* the maps have these rules */
	bool placed;      /* each uplink has its entry, and no other has */
	bool removed;     /* nothing of ours is anywhere */
	uint64_t counted; /* a bit for each rule that is in force */
	struct qerr lack; /* what failed last; it is tried again, but not at each call */
	uint64_t retry_ns;
};

struct net;

int net_count_init(struct net_count *c, const char *pin_dir, struct qerr *err);
void net_count_done(struct net_count *c); /* counters go on */
/* What is in force is not known: look at all of it again. */
void net_count_begin(struct net_count *c);
/* As net_set_host_rules. Cheap when nothing has changed. */
int net_count_set(struct net *n, const struct net_host_rule *rules, size_t count, struct qerr *err);
/* As net_check_host_rule. */
int net_count_check(struct net *n, const struct net_host_rule *rule, struct qerr *err);
/* As net_read_host_bytes. */
int net_count_read(const struct net_count *c, uint32_t number, uint64_t *ret_in, uint64_t *ret_out);
/* Take everything off, also what an earlier qosd left. */
int net_count_remove(struct net *n, struct qerr *err);

#endif
