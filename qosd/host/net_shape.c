/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * net_shape - qdiscs, filters and map entries of one device, in the order that net_shape.h tells.
 */
#include "qosd/host/net_shape.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "qosd/core/mem.h"
#include "qosd/host/net_carry.h"
#include "qosd/host/net_found.h"
#include "qosd/host/net_hook.h"
#include "qosd/host/net_ifb.h"

static uint32_t key_of(const struct net_dev *dev, enum edt_direction direction)
{
	return EDT_KEY(dev->ifindex, direction);
}

static enum edt_direction other_of(enum edt_direction direction)
{
	return direction == EDT_IN ? EDT_OUT : EDT_IN;
}

/* ---- what is in place ---- */

bool net_root_is_ours(const struct net_dev *dev)
{
	return dev->root_handle == NET_ROOT_HANDLE && strcmp(dev->root_kind, "fq") == 0;
}

bool net_root_is_our_fq(const struct net_dev *dev)
{
	return net_root_is_ours(dev) && dev->fq_limit >= NET_FQ_LIMIT &&
	       dev->fq_flow_limit >= NET_FQ_FLOW_LIMIT;
}

/* The notes that fq carries, 0: none. */
static uint32_t notes_of(const struct net_dev *dev)
{
	uint32_t notes = net_root_is_our_fq(dev) ? dev->fq_limit - NET_FQ_LIMIT : 0;

	return notes <= EDT_NOTES ? notes : 0;
}

bool net_shape_holds(struct net *n, struct net_dev *dev, enum edt_direction direction)
{
	if (direction == EDT_IN)
		return net_root_is_our_fq(dev) && net_hook_holds(n, dev, NET_PROG_IN);
	return net_hook_holds(n, dev, NET_PROG_DIVERT) && net_ifb_holds(n);
}

uint64_t net_shape_rate(struct net *n, struct net_dev *dev, enum edt_direction direction)
{
	struct edt_cfg cfg;

	return net_bpf_get_cfg(&n->bpf, key_of(dev, direction), &cfg) == 0 ? cfg.rate_bps : 0;
}

/* What brings the packets of this direction. */
static enum net_prog prog_of(enum edt_direction direction)
{
	return direction == EDT_IN ? NET_PROG_IN : NET_PROG_DIVERT;
}

/* Something of ours is on the device in this direction, whole or not. */
static bool anything_there(struct net *n, const struct net_dev *dev, enum edt_direction direction)
{
	return net_hook_there(n, dev, prog_of(direction));
}

bool net_shape_remains(struct net *n, struct net_dev *dev, enum edt_direction direction)
{
	struct edt_cfg cfg;

	return net_bpf_get_cfg(&n->bpf, key_of(dev, direction), &cfg) == 0 ||
	       (direction == EDT_IN && net_root_is_ours(dev)) ||
	       (net_hook_look(n, dev, NULL) == 0 && anything_there(n, dev, direction));
}

/* ---- attaching ---- */

/* Towards the guest, filters on the ingress hook are in the way only where clsact must take their
 * place. */
static int refuse_foreign(struct net *n, const struct net_dev *dev, enum edt_direction direction,
			  struct qerr *err)
{
	bool needs_slot = dev->slot != NET_SLOT_CLSACT && !net_hook_by_link(n, dev, NET_PROG_IN);
	int r;

	if (direction == EDT_IN) {
		r = net_found_refuse_root(dev, err);
		return r < 0 || !needs_slot ? r : net_found_refuse_filters(dev, err);
	}
	r = net_found_refuse_filters(dev, err);
	return r < 0 ? r : net_hook_refuse_others(n, dev, err);
}

/* The notes on what will have to be given back. */
static uint32_t flags_for(struct net *n, const struct net_dev *dev, enum edt_direction direction)
{
	bool orphans = dev->program_id != 0 || dev->redirect_there;
	struct edt_cfg cfg;
	uint32_t flags = 0;
	bool known = false;

	for (int i = 0; i < 2; i++)
		if (net_bpf_get_cfg(&n->bpf, key_of(dev, i), &cfg) == 0) {
			flags |= cfg.flags;
			known = true;
		}
	if (!known)
		flags = notes_of(dev);
	if (direction == EDT_OUT)
		flags &= ~EDT_HAD_ROOT;
	else if (dev->root_handle != 0 && !net_root_is_ours(dev))
		flags = (flags & ~EDT_HAD_ROOT) | net_found_root(dev);
	if (net_hook_by_link(n, dev, prog_of(direction)))
		return flags;
	if (dev->slot == NET_SLOT_INGRESS)
		return flags | EDT_OWNS_CLSACT | EDT_HAD_INGRESS;
	if (dev->slot == NET_SLOT_NONE || (!known && !flags && orphans))
		flags |= EDT_OWNS_CLSACT;
	return flags;
}

static int ensure_clsact(struct net *n, const struct net_dev *dev, enum net_prog prog,
			 struct qerr *err)
{
	int r = 0;

	if (dev->slot == NET_SLOT_CLSACT || net_hook_by_link(n, dev, prog))
		return 0;
	if (dev->slot == NET_SLOT_INGRESS)
		r = net_link_del_slot(n->nl, dev->ifindex, err);
	return r < 0 ? r : net_link_add_clsact(n->nl, dev->ifindex, err);
}

static int attach_in(struct net *n, struct net_dev *dev, uint32_t flags, struct qerr *err)
{
	int r = 0;

	if (!net_root_is_our_fq(dev))
		r = net_link_set_fq(n->nl, dev->ifindex, TC_H_ROOT, NET_ROOT_HANDLE,
				    NET_FQ_LIMIT + (flags & EDT_NOTES), err);
	if (r == 0 && !net_hook_holds(n, dev, NET_PROG_IN))
		r = net_hook_set(n, dev, NET_PROG_IN, err);
	return r;
}

/* The ifb first, which drains: so the device is looked up only then. */
static int attach_out(struct net *n, uint32_t ifindex, struct qerr *err)
{
	int r = net_ifb_ensure(n, err);
	struct net_dev *dev = net_watch_device(n->watch, ifindex);

	if (r == 0 && !dev)
		r = qerr_set(err, -ENODEV, "device %u has gone", ifindex);
	if (r == 0)
		r = net_hook_look(n, dev, err);
	if (r < 0 || net_hook_holds(n, dev, NET_PROG_DIVERT))
		return r;
	return net_hook_set(n, dev, NET_PROG_DIVERT, err);
}

/* The entry for a rate; the NIC stays on the line that it shares. */
static struct edt_cfg profile(const struct net *n, uint32_t key, uint64_t rate_bps, uint32_t flags)
{
	struct edt_cfg cfg = net_bpf_profile(rate_bps, flags), old;
	const struct net_dev *dev = net_watch_device(n->watch, key >> 1);
	bool known = net_bpf_get_cfg(&n->bpf, key, &old) == 0;

	if (dev && dev->turned)
		cfg.flags |= EDT_TURNED;
	if (dev && dev->burst_us)
		cfg.burst_ns = (uint64_t)dev->burst_us * 1000;
	else if (known && old.burst_ns)
		cfg.burst_ns = old.burst_ns;
	net_shares_fill(&n->shares, key, known ? &old : NULL, &cfg);
	return cfg;
}

static int attach(struct net *n, struct net_dev *dev, enum edt_direction direction,
		  uint64_t rate_bps, bool limited, struct qerr *err)
{
	uint32_t key = key_of(dev, direction), flags = flags_for(n, dev, direction);
	struct edt_cfg cfg = profile(n, key, limited ? rate_bps : 0, flags);
	int r = net_bpf_set_cfg(&n->bpf, key, &cfg, err);

	if (r == 0)
		r = ensure_clsact(n, dev, prog_of(direction), err);
	dev->shaped[direction] = true;
	if (r == 0)
		r = direction == EDT_IN ? attach_in(n, dev, flags, err)
					: attach_out(n, key >> 1, err);
	if (r == 0 && !limited) {
		cfg = profile(n, key, rate_bps, flags);
		r = net_bpf_set_cfg(&n->bpf, key, &cfg, err);
	}
	return r;
}

/* Attach programs of this build in place of those of another; no packet is lost. */
static void renew(void *user, struct net_dev *dev)
{
	struct net *n = user;
	bool is_ifb = dev->ifindex == net_watch_ifb(n->watch)->ifindex;
	enum net_prog prog = is_ifb ? NET_PROG_OUT : NET_PROG_IN;

	if (!is_ifb && !dev->shaped[EDT_IN] && !dev->shaped[EDT_OUT])
		return;
	if (net_hook_look(n, dev, NULL) < 0)
		return;
	if (net_hook_there(n, dev, prog))
		net_hook_set(n, dev, prog, NULL);
	if (dev->links[NET_PROG_DIVERT]) /* a filter that redirects runs no program */
		net_hook_set(n, dev, NET_PROG_DIVERT, NULL);
}

/* Programs and maps of this build, and in them the lines that were told before they were there. */
static int load(struct net *n, bool *ret_replaced, struct qerr *err)
{
	int r = net_bpf_ready(&n->bpf, ret_replaced, err);

	if (r == 0)
		r = net_shares_ready(&n->shares, &n->bpf, err);
	n->bpf.loaded &= r == 0;
	return r;
}

static int make_ready(struct net *n, struct qerr *err)
{
	bool replaced;
	int r;

	if (n->bpf.loaded)
		return 0;
	r = load(n, &replaced, err);
	if (r == 0 && replaced) {
		net_watch_each(n->watch, renew, n);
		r = net_watch_drain(n->watch, err);
	}
	n->adopted |= r == 0;
	return r;
}

/* -EOPNOTSUPP, but for what another try may mend. */
static int cannot(int r)
{
	return net_bpf_try_again(r) ? r : -EOPNOTSUPP;
}

int net_shape_possible(struct net *n, struct qerr *err)
{
	int r;

	if (!net_link_has_qdisc(n->nl, "fq"))
		return qerr_set(err, -EOPNOTSUPP, "the kernel lacks the fq qdisc");
	r = make_ready(n, err);
	return r < 0 ? cannot(r) : 0;
}

int net_shape_allowed(struct net *n, uint32_t ifindex, enum edt_direction direction,
		      struct qerr *err)
{
	struct net_dev *dev = net_watch_device(n->watch, ifindex);
	int r;

	if (!dev)
		return qerr_set(err, -ENODEV, "device %u has gone", ifindex);
	dev->links_ns = 0;
	r = net_hook_look(n, dev, err);
	return r < 0 || direction == EDT_IN ? r : net_hook_refuse_others(n, dev, err);
}

uint64_t net_shape_burst(struct net *n, struct net_dev *dev, enum edt_direction direction)
{
	struct edt_cfg cfg;

	return net_bpf_get_cfg(&n->bpf, key_of(dev, direction), &cfg) == 0 ? cfg.burst_ns / 1000
									   : 0;
}

int net_shape_set_burst(struct net *n, struct net_dev *dev, enum edt_direction direction,
			struct qerr *err)
{
	uint32_t key = key_of(dev, direction);
	struct edt_cfg cfg;

	if (net_bpf_get_cfg(&n->bpf, key, &cfg) < 0)
		return 0;
	cfg.burst_ns = (uint64_t)dev->burst_us * 1000;
	return net_bpf_set_cfg(&n->bpf, key, &cfg, err);
}

int net_shape_set(struct net *n, struct net_dev *dev, enum edt_direction direction,
		  uint64_t rate_bps, struct qerr *err)
{
	uint32_t key = key_of(dev, direction), ifindex = dev->ifindex;
	struct edt_cfg cfg;
	bool limited;
	int r = make_ready(n, err);

	if (r < 0)
		return cannot(r);
	dev = net_watch_device(n->watch, ifindex);
	if (!dev)
		return qerr_set(err, -ENODEV, "device %u has gone", ifindex);
	limited = net_bpf_get_cfg(&n->bpf, key, &cfg) == 0 && cfg.rate_bps != 0;
	if (limited && net_shape_holds(n, dev, direction)) {
		cfg = profile(n, key, rate_bps, cfg.flags);
		return net_bpf_set_cfg(&n->bpf, key, &cfg, err);
	}
	dev->links_ns = 0; /* others' programs come and go unheard */
	r = net_hook_look(n, dev, err);
	if (r == 0)
		r = refuse_foreign(n, dev, direction, err);
	if (r < 0)
		return r;
	r = attach(n, dev, direction, rate_bps, limited, err);
	if (r < 0 && !limited && net_watch_drain(n->watch, NULL) == 0) {
		dev = net_watch_device(n->watch, ifindex);
		if (dev)
			net_shape_clear(n, dev, direction, NULL);
		else
			net_shape_forget(n, ifindex);
	}
	return r;
}

/* ---- taking off ---- */

static int give_back_slot(struct net *n, struct net_dev *dev, enum edt_direction direction,
			  uint32_t flags, struct qerr *err)
{
	uint32_t other_key = key_of(dev, other_of(direction));
	struct edt_cfg other;
	int r;

	if (net_bpf_get_cfg(&n->bpf, other_key, &other) == 0) {
		flags &= ~EDT_HAD_ROOT;
		if ((other.flags | flags) == other.flags)
			return 0;
		other.flags |= flags;
		return net_bpf_set_cfg(&n->bpf, other_key, &other, err);
	}
	if (!(flags & EDT_OWNS_CLSACT) || dev->slot != NET_SLOT_CLSACT)
		return 0;
	r = net_watch_filters(n->watch, dev, err);
	if (r < 0 || net_found_filters(dev))
		return r;
	r = net_link_del_slot(n->nl, dev->ifindex, err);
	if (r == 0 && (flags & EDT_HAD_INGRESS))
		r = net_link_add_ingress(n->nl, dev->ifindex, err);
	return r;
}

static int detach(struct net *n, struct net_dev *dev, enum edt_direction direction, uint32_t flags,
		  struct qerr *err)
{
	int r = net_hook_clear(n, dev, prog_of(direction), err);

	if (r == 0 && direction == EDT_IN && net_root_is_ours(dev))
		r = net_found_give_back_root(n->nl, dev, flags, err);
	return r;
}

/* The notes of the entry, or what the device itself tells. -ENODEV: it has gone. */
static int flags_of(struct net *n, struct net_dev *dev, enum edt_direction direction, uint32_t *ret,
		    struct qerr *err)
{
	struct edt_cfg cfg;
	int r;

	if (net_bpf_get_cfg(&n->bpf, key_of(dev, direction), &cfg) == 0) {
		*ret = cfg.flags;
		return 0;
	}
	r = net_hook_look(n, dev, err);
	*ret = notes_of(dev);
	if (r == 0 && *ret == 0 && (dev->program_id || dev->redirect_there) &&
	    anything_there(n, dev, direction))
		*ret = EDT_OWNS_CLSACT; /* what is not known is taken for ours, if it is empty */
	return r;
}

int net_shape_clear(struct net *n, struct net_dev *dev, enum edt_direction direction,
		    struct qerr *err)
{
	uint32_t key = key_of(dev, direction), ifindex = dev->ifindex, flags = 0;
	int r = flags_of(n, dev, direction, &flags, err);

	if (r == 0)
		r = detach(n, dev, direction, flags, err);
	if (r == 0)
		r = net_watch_drain(n->watch, err);
	dev = net_watch_device(n->watch, ifindex);
	if (r == 0 && dev)
		r = give_back_slot(n, dev, direction, flags, err);
	if (r < 0 && r != -ENODEV)
		return r;
	net_bpf_delete(&n->bpf, key);
	if (dev)
		dev->shaped[direction] = false;
	if (direction == EDT_OUT)
		net_ifb_drop(n);
	return 0;
}

void net_shape_forget(struct net *n, uint32_t ifindex)
{
	net_hook_forget(n, ifindex);
	net_bpf_delete(&n->bpf, EDT_KEY(ifindex, EDT_IN));
	net_bpf_delete(&n->bpf, EDT_KEY(ifindex, EDT_OUT));
}

/* ---- adopting ---- */

/* Whole, or to be finished: an entry whose attachment was cut short in making or in removing. */
static void adopt_entry(struct net *n, uint32_t key)
{
	enum edt_direction direction = key & 1;
	struct net_dev *dev = net_watch_device(n->watch, key >> 1);
	struct edt_cfg cfg;
	int r;

	if (!dev) {
		if (!n->readonly)
			net_shape_forget(n, key >> 1);
		return;
	}
	r = net_bpf_get_cfg(&n->bpf, key, &cfg);
	if (r == -ENOENT && !n->readonly) /* a key with another's entry */
		net_bpf_delete(&n->bpf, key);
	if (r < 0)
		return;
	dev->shaped[direction] = true;
	if (n->readonly || net_hook_look(n, dev, NULL) < 0)
		return;
	if (cfg.rate_bps == 0 || !anything_there(n, dev, direction))
		net_shape_clear(n, dev, direction, NULL);
}

/* What a filter or link of ours still runs, though its pin has gone. */
static void recover(void *user, struct net_dev *dev)
{
	struct net *n = user;
	bool is_ifb = dev->ifindex == net_watch_ifb(n->watch)->ifindex;

	if (net_hook_look(n, dev, NULL) < 0)
		return;
	for (int prog = 0; prog < NET_PROGS; prog++)
		if (n->bpf.prog_fd[prog] < 0 && (prog == NET_PROG_OUT) == is_ifb &&
		    net_hook_program(dev, prog) != 0)
			net_bpf_recover(&n->bpf, prog, net_hook_program(dev, prog));
}

/* Limits of another layout: into new maps. The filters still run the old programs. */
static int carry(struct net *n, struct qerr *err)
{
	bool replaced;
	int r = load(n, &replaced, err);

	return r < 0 ? r : net_carry_copy(&n->bpf, err);
}

/* Open the maps, by their pins or by what is attached. -ENOENT: there are none. */
static int find_maps(struct net *n, struct qerr *err)
{
	int r;

	if (!n->readonly && net_carry_pending(&n->bpf))
		return carry(n, err);
	r = net_bpf_look(&n->bpf, err);
	if (r != -ENOENT)
		return r;
	net_watch_each(n->watch, recover, n);
	if (!net_bpf_is_open(&n->bpf)) {
		net_bpf_done(&n->bpf);
		return -ENOENT;
	}
	return n->readonly ? 0 : net_bpf_pin_again(&n->bpf, err);
}

/* The new programs into the place of the old ones, without a gap; then the old maps may go. */
static void finish_carrying(struct net *n)
{
	net_watch_each(n->watch, renew, n);
	if (net_watch_drain(n->watch, NULL) == 0)
		net_carry_finish(&n->bpf);
}

int net_shape_adopt(struct net *n, struct qerr *err)
{
	uint32_t *keys;
	size_t count;
	int r;

	if (n->adopted)
		return 0;
	net_tcx_watch(&n->tcx);
	if (!n->readonly)
		net_tcx_sweep(&n->tcx);
	r = find_maps(n, err);
	if (r < 0) {
		n->adopted = r == -ENOENT;
		return r == -ENOENT ? 0 : r;
	}
	r = net_bpf_keys(&n->bpf, &keys, &count);
	if (r < 0)
		return qerr_set(err, r, "out of memory");
	n->adopted = true;
	for (size_t i = 0; i < count; i++) /* all marks before the first is cleared */
		if (net_watch_device(n->watch, keys[i] >> 1))
			net_watch_device(n->watch, keys[i] >> 1)->shaped[keys[i] & 1] = true;
	if (n->bpf.loaded)
		finish_carrying(n);
	for (size_t i = 0; i < count; i++)
		adopt_entry(n, keys[i]);
	free(keys);
	net_ifb_drop(n);
	if (!n->readonly && n->shares.told)
		net_shares_settle(n, NULL);
	if (!n->readonly)
		make_ready(n,
			   NULL); /* who sets a limit will hear why not; giving back needs it not */
	return 0;
}
