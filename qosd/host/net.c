/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * net - the adapter for guests' NICs: knobs to rates, and what the daemon may ask besides.
 *
 * Reading is cheap: one empty receive (nothing happened), one map look-up, and comparisons with
 * the remembered picture of the device. A limit counts only if all that enforces it is in place;
 * what is left of one reads as 0, which no plan wants: so the next apply repairs it or, when the
 * limit is given back, takes it away.
 */
#include "qosd/host/net.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "qosd/host/net_clock.h"
#include "qosd/host/net_found.h"
#include "qosd/host/net_htb.h"
#include "qosd/host/net_ifb.h"
#include "qosd/host/net_parse.h"
#include "qosd/host/net_plane.h"
#include "qosd/host/net_probe.h"

#define PIN_DIR  "/sys/fs/bpf/qosd"
#define IFB_NAME "qosd-ifb"

/* ---- targets ---- */

static const struct guest_nic *nic_of(const struct target *t)
{
	if (t->kind != TARGET_NIC || !t->guest || t->index >= t->guest->nnics)
		return NULL;
	return &t->guest->nics[t->index];
}

static int find_device(struct net *n, const struct guest_nic *nic, struct net_dev **ret,
		       struct qerr *err)
{
	uint32_t ifindex;
	int r;

	if (guest_nic_is_vf(nic))
		return net_vf_find(n, nic, ret, err);
	r = net_watch_drain(n->watch, err);
	if (r < 0)
		return r;
	if (!n->adopted)
		net_plane_adopt(n, NULL); /* apply will tell what is wrong */
	ifindex = nic->ifindex ? nic->ifindex : net_watch_index(nic->device);
	*ret = ifindex ? net_watch_device(n->watch, ifindex) : NULL;
	return *ret ? 0 : qerr_set(err, -ENOENT, "%s has gone", nic->device);
}

/*
 * What the guest receives leaves its tap, but comes in on its macvtap: that is a device of the
 * guest's, above the host's own.
 */
static enum edt_direction direction_of(const struct net_dev *dev, bool in)
{
	return in != dev->turned ? EDT_IN : EDT_OUT;
}

static bool is_ours(enum knob_id knob)
{
	return knob == KNOB_NET_IN || knob == KNOB_NET_OUT || knob == KNOB_NET_BURST;
}

/* ---- the vtable ---- */

static void op_probe(struct adapter *a, struct diag_list *findings)
{
	net_probe(a->ctx, findings);
}

static int op_read(struct adapter *a, const struct target *t, enum knob_id knob,
		   struct knob_value *ret, struct qerr *err)
{
	struct net *n = a->ctx;
	const struct guest_nic *nic = nic_of(t);
	struct net_dev *dev;
	int r;

	if (!nic || !is_ours(knob))
		return qerr_set(err, -ENOENT, "no such NIC");
	*ret = knob_u64(knob == KNOB_NET_BURST ? KNOB_NET_BURST_US : KNOB_MAX);
	if (nic->vf && !guest_nic_is_vf(nic))
		return qerr_set(err, -EOPNOTSUPP, "%s", guest_nic_obstacle(nic));
	if (guest_nic_obstacle(nic))
		return 0;
	r = find_device(n, nic, &dev, err);
	if (r < 0)
		return r;
	ret->u64 = knob == KNOB_NET_BURST
			   ? net_plane_burst(n, dev)
			   : net_plane_read(n, dev, direction_of(dev, knob == KNOB_NET_IN));
	return 0;
}

static int set_burst(struct net *n, const struct guest_nic *nic, uint64_t burst_us,
		     struct qerr *err)
{
	struct net_dev *dev;
	int r = find_device(n, nic, &dev, err);

	if (r == 0)
		r = net_plane_set_burst(n, dev, burst_us, err);
	return r == -ENODEV ? -ENOENT : r;
}

static int set_rate(struct net *n, const struct guest_nic *nic, bool in, uint64_t rate_bps,
		    struct qerr *err)
{
	struct net_dev *dev;
	int r = find_device(n, nic, &dev, err);

	if (r < 0)
		return r;
	r = rate_bps == KNOB_MAX ? net_plane_clear(n, dev, direction_of(dev, in), err)
				 : net_plane_set(n, dev, direction_of(dev, in), rate_bps, err);
	return r == -ENODEV ? -ENOENT : r;
}

static int op_apply(struct adapter *a, const struct change *c, uint64_t ticket, struct qerr *err)
{
	struct net *n = a->ctx;
	const struct guest_nic *nic = nic_of(&c->target);

	(void)ticket;
	if (!nic || !is_ours(c->knob))
		return qerr_set(err, -ENOENT, "no such NIC");
	if (n->readonly)
		return qerr_set(err, -EROFS, "nothing is written in observe mode");
	if (c->to.u64 == 0 && c->knob != KNOB_NET_BURST)
		return qerr_set(err, -EINVAL, "a limit of 0 bit/s would cut %s off", nic->device);
	if (guest_nic_obstacle(nic)) {
		if (c->to.u64 == KNOB_MAX || c->knob == KNOB_NET_BURST)
			return 0; /* its limit tells */
		return qerr_set(err, -ENOTSUP, "NIC %u (%s) cannot be limited: %s", c->target.index,
				nic->type, guest_nic_obstacle(nic));
	}
	if (c->knob == KNOB_NET_BURST)
		return set_burst(n, nic, c->to.u64, err);
	return set_rate(n, nic, c->knob == KNOB_NET_IN, c->to.u64, err);
}

static void op_forget(struct adapter *a, const struct guest *g)
{
	struct net *n = a->ctx;
	struct net_dev *dev;

	/*
	 * A device that goes takes its entries with it: see lose(). What a virtual function had is
	 * not known here.
	 */
	for (size_t i = 0; i < g->nnics && !n->readonly; i++)
		for (int d = 0; !guest_nic_obstacle(&g->nics[i]) && d < 2; d++) {
			if (guest_nic_is_vf(&g->nics[i]) ||
			    find_device(n, &g->nics[i], &dev, NULL) < 0)
				continue;
			dev->burst_us = 0;
			if (dev->shaped[d])
				net_plane_clear(n, dev, d, NULL);
		}
}

/* Nothing of ours stays when nothing is shaped any more; what is shaped stays in force. */
static int op_set_writing(struct adapter *a, bool writing, struct qerr *err)
{
	struct net *n = a->ctx;
	int r = 0;

	if (!writing && !n->readonly)
		r = net_teardown(a, err);
	net_set_readonly(a, !writing);
	return r == -EBUSY ? 0 : r;
}

/* ---- making ---- */

int net_new(const struct net_config *config, struct adapter **ret, struct qerr *err)
{
	static const struct adapter_ops ops = { .name = "net",
						.probe = op_probe,
						.read = op_read,
						.apply = op_apply,
						.set_writing = op_set_writing,
						.forget = op_forget };
	struct net *n = calloc(1, sizeof(*n));
	int r;

	if (!n)
		return qerr_set(err, -ENOMEM, "out of memory");
	n->adapter.ops = &ops;
	n->adapter.ctx = n;
	n->readonly = config->readonly;
	n->way = config->way;
	net_parse_name(n->ifb_name, config->ifb_name ? config->ifb_name : IFB_NAME);
	r = net_bpf_init(&n->bpf, config->pin_dir ? config->pin_dir : PIN_DIR, err);
	if (r == 0)
		r = net_tcx_init(&n->tcx, config->pin_dir ? config->pin_dir : PIN_DIR, err);
	if (r == 0)
		r = net_count_init(&n->count, config->pin_dir ? config->pin_dir : PIN_DIR, err);
	if (r == 0)
		r = net_nl_open(&n->nl, err);
	if (r == 0)
		r = net_watch_new(n->ifb_name, &n->tcx, &n->watch, err);
	if (r < 0) {
		net_free(&n->adapter);
		return r;
	}
	*ret = &n->adapter;
	return 0;
}

void net_free(struct adapter *a)
{
	struct net *n = a ? a->ctx : NULL;

	if (!n)
		return;
	net_watch_free(n->watch);
	net_nl_close(n->nl);
	net_bpf_done(&n->bpf);
	net_tcx_done(&n->tcx);
	net_shares_done(&n->shares);
	net_count_done(&n->count);
	net_vfs_done(&n->vfs);
	free(n);
}

void net_set_readonly(struct adapter *a, bool readonly)
{
	struct net *n = a->ctx;

	if (n->readonly && !readonly) { /* finish what was only looked at */
		n->adopted = false;
		net_bpf_done(&n->bpf);
		net_count_begin(&n->count);
	}
	n->readonly = readonly;
}

/* NULL: an adapter of another kind, which stands for this one in a test. */
static struct net *net_of(struct adapter *a)
{
	return a && a->ops->probe == op_probe ? a->ctx : NULL;
}

void net_set_way(struct adapter *a, enum net_way way)
{
	if (net_of(a))
		net_of(a)->way = way;
}

/* ---- what limits a NIC ---- */

void net_look(struct adapter *a, const struct guest_nic *nic, struct net_about *ret)
{
	struct net *n = net_of(a);
	const char *obstacle = guest_nic_obstacle(nic);
	struct net_dev *dev;
	struct qerr err = { 0 };
	int r;

	memset(ret, 0, sizeof(*ret));
	if (obstacle) {
		snprintf(ret->obstacle, sizeof(ret->obstacle), "%s", obstacle);
		return;
	}
	ret->in_obstacle = guest_nic_is_vf(nic) ? NET_VF_SENDS_ONLY : NULL;
	if (!n)
		return;
	r = find_device(n, nic, &dev, &err);
	if (r == -EOPNOTSUPP)
		snprintf(ret->obstacle, sizeof(ret->obstacle), "%s", err.text);
	if (r < 0)
		return;
	for (int out = 0; out < 2; out++)
		ret->way[out] = net_plane_name(n, dev, direction_of(dev, !out));
	if (dev->is_vf || (ret->way[0] && ret->way[1]))
		return;
	if (net_watch_filters(n->watch, dev, NULL) == 0 &&
	    (net_found_refuse_root(dev, &err) < 0 || net_found_refuse_filters(dev, &err) < 0))
		snprintf(ret->obstacle, sizeof(ret->obstacle), "%s", err.text);
}

/* ---- the host's own traffic ---- */

int net_set_host_rules(struct adapter *a, const struct net_host_rule *rules, size_t count,
		       struct qerr *err)
{
	struct net *n = net_of(a);

	return !n || n->readonly ? 0 : net_count_set(n, rules, count, err);
}

int net_check_host_rule(struct adapter *a, const struct net_host_rule *rule, struct qerr *err)
{
	struct net *n = net_of(a);

	return n ? net_count_check(n, rule, err) : 0;
}

int net_read_host_bytes(struct adapter *a, uint32_t number, uint64_t *ret_in, uint64_t *ret_out)
{
	struct net *n = net_of(a);

	return n ? net_count_read(&n->count, number, ret_in, ret_out) : -ENOENT;
}

/* ---- counters ---- */

static uint64_t queue_ns_now(const struct edt_state *s)
{
	uint64_t window = clock_now_ns() >> EDT_WINDOW_SHIFT;

	if (window == s->window)
		return s->queue_ns > s->queue_old_ns ? s->queue_ns : s->queue_old_ns;
	return window == s->window + 1 ? s->queue_ns : 0;
}

static int read_edt(struct net *n, uint32_t key, struct net_counters *ret)
{
	struct edt_state s;
	int r = net_bpf_get_state(&n->bpf, key, &s);

	if (r < 0)
		return r;
	*ret = (struct net_counters){
		.bytes = s.bytes,
		.packets = s.packets,
		.dropped_packets = s.dropped_packets,
		.dropped_bytes = s.dropped_bytes,
		.marked_packets = s.marked_packets,
		.delayed_packets = s.delayed_packets,
		.offered_bytes = s.bytes + s.dropped_bytes,
		.queue_ns_max = queue_ns_now(&s),
	};
	return 0;
}

/* The kernel counts no bytes of what it drops: taken for packets of the usual length. */
static int read_htb(struct net *n, struct net_dev *dev, enum edt_direction direction,
		    struct net_counters *ret)
{
	uint64_t rate_bps, dropped_bytes;
	struct net_queue q;
	int r = net_htb_queue(n, dev, direction, clock_now_ns(), &q, &rate_bps);

	if (r < 0)
		return r;
	dropped_bytes = q.packets ? q.dropped_packets * (q.bytes / q.packets) : 0;
	*ret = (struct net_counters){
		.bytes = q.bytes,
		.packets = q.packets,
		.dropped_packets = q.dropped_packets,
		.dropped_bytes = dropped_bytes,
		.marked_packets = q.marked_packets,
		.offered_bytes = q.bytes + q.backlog_bytes + dropped_bytes,
		.queue_ns_max = q.backlog_bytes * 8 * 1000000 / (rate_bps / 1000 + 1),
	};
	return 0;
}

int net_read_counters(struct adapter *a, uint32_t ifindex, bool in, struct net_counters *ret)
{
	struct net *n = net_of(a);
	struct net_dev *dev = n && ifindex ? net_watch_device(n->watch, ifindex) : NULL;
	enum edt_direction direction;

	if (!dev)
		return -ENOENT;
	direction = direction_of(dev, in);
	if (!net_bpf_is_open(&n->bpf))
		net_bpf_look(&n->bpf, NULL);
	if (read_edt(n, EDT_KEY(ifindex, direction), ret) == 0)
		return 0;
	return read_htb(n, dev, direction, ret);
}

/* ---- watching ---- */

struct losing {
	struct net *n;
	void (*lost)(void *user, uint32_t ifindex);
	void *user;
	bool ifb_broken;
};

/* A device that we shape has changed: is everything still in place? */
static void check(void *user, struct net_dev *dev)
{
	struct losing *l = user;
	bool broken = false;

	if (!dev->changed && !(l->ifb_broken && dev->shaped[EDT_OUT]))
		return;
	dev->changed = false;
	for (int d = 0; d < 2; d++)
		broken |= dev->shaped[d] && !net_plane_name(l->n, dev, d);
	if (broken)
		l->lost(l->user, dev->ifindex);
}

static void lose(struct net *n, uint32_t ifindex, struct losing *l)
{
	if (!n->readonly) {
		net_shape_forget(n, ifindex);
		net_htb_lose(n, ifindex);
	}
	l->lost(l->user, ifindex);
}

int net_watch_fd(struct adapter *a)
{
	return net_watch_poll_fd(((struct net *)a->ctx)->watch);
}

void net_watch_handle(struct adapter *a, void (*lost)(void *user, uint32_t ifindex), void *user)
{
	struct net *n = a->ctx;
	struct losing l = { .n = n, .lost = lost, .user = user };
	bool any_gone = false;
	uint32_t ifindex;
	int r;

	r = net_watch_drain(n->watch, NULL);
	if (!net_watch_take_pending(n->watch))
		return;
	while ((ifindex = net_watch_take_gone(n->watch)) != 0) {
		lose(n, ifindex, &l);
		any_gone = true;
	}
	if (any_gone)
		net_ifb_drop(n);
	if (r == 0 && !n->readonly && !net_watch_ifb(n->watch)->ifindex)
		net_bpf_set_ifb(&n->bpf, 0, NULL); /* rather without a limit than into the void */
	l.ifb_broken = !net_ifb_holds(n);
	net_watch_each(n->watch, check, &l);
}

/* ---- the end ---- */

int net_teardown(struct adapter *a, struct qerr *err)
{
	struct net *n = a->ctx;
	uint32_t *keys;
	size_t count;
	int r;

	if (n->readonly)
		return qerr_set(err, -EROFS, "nothing is written in observe mode");
	r = net_watch_drain(n->watch, err);
	if (r == 0)
		r = net_count_remove(n, err);
	if (r == 0)
		r = net_plane_adopt(n, err);
	if (r == 0)
		r = net_bpf_keys(&n->bpf, &keys, &count);
	if (r < 0)
		return r;
	free(keys);
	count += net_htb_count(n);
	if (count > 0)
		return qerr_set(err, -EBUSY, "%zu limits of NICs are still in force", count);
	net_ifb_drop(n);
	n->adopted = false;
	r = net_tcx_remove(&n->tcx, err);
	return r < 0 ? r : net_bpf_unpin(&n->bpf, err);
}
