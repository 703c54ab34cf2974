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
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "qosd/host/net_ifb.h"
#include "qosd/host/net_parse.h"
#include "qosd/host/net_probe.h"
#include "qosd/host/net_shape.h"

#define PIN_DIR  "/sys/fs/bpf/qosd"
#define IFB_NAME "qosd-ifb"

#define LINK_MBIT_MAX 10000000 /* 10 Tbit/s */

/* ---- targets ---- */

static const struct guest_nic *nic_of(const struct target *t)
{
	if (t->kind != TARGET_NIC || !t->guest || t->index >= t->guest->nnics)
		return NULL;
	return &t->guest->nics[t->index];
}

static bool has_tap(const struct guest_nic *nic)
{
	return nic->device[0] && strcmp(nic->type, "direct") != 0;
}

/* The index that libvirt did not tell. Asking for an unknown name makes the kernel search for a
 * module of that name, so look first. */
static uint32_t index_of(const char *device)
{
	char path[64];

	if (strchr(device, '/'))
		return 0;
	snprintf(path, sizeof(path), "/sys/class/net/%s", device);
	return access(path, F_OK) == 0 ? if_nametoindex(device) : 0;
}

static int find_device(struct net *n, const struct guest_nic *nic, struct net_dev **ret,
		       struct qerr *err)
{
	uint32_t ifindex;
	int r = net_watch_drain(n->watch, err);

	if (r < 0)
		return r;
	if (!n->adopted)
		net_shape_adopt(n, NULL); /* apply will tell what is wrong */
	ifindex = nic->ifindex ? nic->ifindex : index_of(nic->device);
	*ret = ifindex ? net_watch_device(n->watch, ifindex, nic->device) : NULL;
	return *ret ? 0 : qerr_set(err, -ENOENT, "%s has gone", nic->device);
}

static enum edt_direction direction_of(enum knob_id knob)
{
	return knob == KNOB_NET_IN ? EDT_IN : EDT_OUT;
}

static bool is_ours(enum knob_id knob)
{
	return knob == KNOB_NET_IN || knob == KNOB_NET_OUT;
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
	enum edt_direction direction = direction_of(knob);
	struct net_dev *dev;
	struct edt_cfg cfg;
	int r;

	if (!nic || !is_ours(knob))
		return qerr_set(err, -ENOENT, "no such NIC");
	*ret = (struct knob_value){ .type = KNOB_U64, .u64 = KNOB_MAX };
	if (!has_tap(nic))
		return 0;
	r = find_device(n, nic, &dev, err);
	if (r < 0)
		return r;
	if (net_bpf_get_cfg(&n->bpf, EDT_KEY(dev->ifindex, direction), &cfg) == 0 &&
	    cfg.rate_bps != 0) {
		dev->shaped[direction] = true;
		if (net_shape_holds(n, dev, direction)) {
			ret->u64 = cfg.rate_bps;
			return 0;
		}
	}
	if (net_shape_remains(n, dev, direction))
		ret->u64 = 0;
	return 0;
}

static int set_rate(struct net *n, const struct guest_nic *nic, enum edt_direction direction,
		    uint64_t rate_bps, struct qerr *err)
{
	struct net_dev *dev;
	int r = find_device(n, nic, &dev, err);

	if (r < 0)
		return r;
	r = rate_bps == KNOB_MAX ? net_shape_clear(n, dev, direction, err)
				 : net_shape_set(n, dev, direction, rate_bps, err);
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
	if (c->to.u64 == 0)
		return qerr_set(err, -EINVAL, "a limit of 0 bit/s would cut %s off", nic->device);
	if (!has_tap(nic)) {
		if (c->to.u64 == KNOB_MAX)
			return 0;
		return qerr_set(err, -ENOTSUP,
				"NIC %u (%s) has no tap on the host, so its bandwidth cannot be "
				"limited; give it a bridge or a network, or no net.limit",
				c->target.index, nic->type);
	}
	return set_rate(n, nic, direction_of(c->knob), c->to.u64, err);
}

static void op_forget(struct adapter *a, const struct guest *g)
{
	struct net *n = a->ctx;
	struct net_dev *dev;

	for (size_t i = 0; i < g->nnics; i++) {
		if (!has_tap(&g->nics[i]) || find_device(n, &g->nics[i], &dev, NULL) < 0)
			continue; /* a device that goes takes its entries with it: see lose() */
		if (n->readonly)
			continue;
		for (int d = 0; d < 2; d++)
			if (dev && dev->shaped[d]) {
				net_shape_clear(n, dev, d, NULL);
				if (find_device(n, &g->nics[i], &dev, NULL) < 0)
					dev = NULL;
			}
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
	net_parse_name(n->ifb_name, config->ifb_name ? config->ifb_name : IFB_NAME);
	r = net_bpf_init(&n->bpf, config->pin_dir ? config->pin_dir : PIN_DIR, err);
	if (r == 0)
		r = net_nl_open(&n->nl, err);
	if (r == 0)
		r = net_watch_new(n->ifb_name, &n->watch, err);
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
	net_shares_done(&n->shares);
	free(n);
}

void net_set_readonly(struct adapter *a, bool readonly)
{
	struct net *n = a->ctx;

	if (n->readonly && !readonly) { /* finish what was only looked at */
		n->adopted = false;
		net_bpf_done(&n->bpf);
	}
	n->readonly = readonly;
}

/* ---- counters ---- */

static uint64_t queue_ns_now(const struct edt_state *s)
{
	struct timespec t;
	uint64_t window;

	clock_gettime(CLOCK_MONOTONIC, &t);
	window = ((uint64_t)t.tv_sec * 1000000000ULL + (uint64_t)t.tv_nsec) >> EDT_WINDOW_SHIFT;
	if (window == s->window)
		return s->queue_ns > s->queue_old_ns ? s->queue_ns : s->queue_old_ns;
	return window == s->window + 1 ? s->queue_ns : 0;
}

int net_read_counters(struct adapter *a, uint32_t ifindex, bool in, struct net_counters *ret)
{
	struct net *n = a->ctx;
	struct edt_state s;
	int r;

	if (!net_bpf_is_open(&n->bpf))
		net_bpf_look(&n->bpf, NULL);
	r = net_bpf_get_state(&n->bpf, EDT_KEY(ifindex, in ? EDT_IN : EDT_OUT), &s);
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

static int read_number(const char *device, const char *name, uint64_t *ret)
{
	char path[96], text[32];
	ssize_t len;
	int fd;

	snprintf(path, sizeof(path), "/sys/class/net/%.15s/statistics/%s", device, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	len = read(fd, text, sizeof(text) - 1);
	close(fd);
	if (len <= 0)
		return -ENOENT;
	text[len] = '\0';
	*ret = strtoull(text, NULL, 10);
	return 0;
}

int net_read_link_bytes(const char *device, uint64_t *ret_in, uint64_t *ret_out)
{
	uint64_t in, out;
	int r;

	if (!device[0] || strchr(device, '/'))
		return -ENOENT;
	r = read_number(device, "tx_bytes", &in);
	if (r == 0)
		r = read_number(device, "rx_bytes", &out);
	if (r < 0)
		return r;
	*ret_in = in;
	*ret_out = out;
	return 0;
}

int net_read_link_speed(const char *device, uint64_t *ret_bps)
{
	uint64_t mbit;
	int r = strchr(device, '/') ? -ENOENT : read_number(device, "../speed", &mbit);

	if (r < 0 || mbit == 0 || mbit > LINK_MBIT_MAX) /* unknown is -1, also as 32 bits */
		return -ENOENT;
	*ret_bps = mbit * 1000000;
	return 0;
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
		broken |= dev->shaped[d] && !net_shape_holds(l->n, dev, d);
	if (broken)
		l->lost(l->user, dev->ifindex);
}

static void lose(struct net *n, uint32_t ifindex, struct losing *l)
{
	if (!n->readonly) {
		net_bpf_delete(&n->bpf, EDT_KEY(ifindex, EDT_IN));
		net_bpf_delete(&n->bpf, EDT_KEY(ifindex, EDT_OUT));
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

	net_watch_drain(n->watch, NULL);
	if (!net_watch_take_pending(n->watch))
		return;
	while ((ifindex = net_watch_take_gone(n->watch)) != 0) {
		lose(n, ifindex, &l);
		any_gone = true;
	}
	if (any_gone)
		net_ifb_drop(n);
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
		r = net_shape_adopt(n, err);
	if (r == 0)
		r = net_bpf_keys(&n->bpf, &keys, &count);
	if (r < 0)
		return r;
	free(keys);
	if (count > 0)
		return qerr_set(err, -EBUSY, "%zu limits of NICs are still in force", count);
	net_ifb_drop(n);
	n->adopted = false;
	return net_bpf_unpin(&n->bpf, err);
}
