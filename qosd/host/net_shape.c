/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * net_shape - qdiscs, filters and map entries of one device, in the order that net_shape.h tells.
 */
#include "qosd/host/net_shape.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "qosd/core/mem.h"

#define IFB_QUEUES_MAX 16

static const char *const prog_names[2] = { [EDT_IN] = "qosd:in", [EDT_OUT] = "qosd:out" };

/* Root qdiscs that fq may replace, since their kind is all there is to give back. */
static const struct {
	const char *kind;
	uint32_t flag;
} plain_roots[] = {
	{ "noqueue", EDT_HAD_NOQUEUE },
	{ "pfifo_fast", EDT_HAD_PFIFO_FAST },
	{ "fq_codel", EDT_HAD_FQ_CODEL },
};

static uint32_t key_of(const struct net_dev *dev, enum edt_direction direction)
{
	return EDT_KEY(dev->ifindex, direction);
}

static enum edt_direction other_of(enum edt_direction direction)
{
	return direction == EDT_IN ? EDT_OUT : EDT_IN;
}

/* ---- what is in place ---- */

/* Ours by its mark, perhaps with limits that somebody has changed. */
static bool root_is_ours(const struct net_dev *dev)
{
	return dev->root_handle == NET_ROOT_HANDLE && strcmp(dev->root_kind, "fq") == 0;
}

static bool root_is_our_fq(const struct net_dev *dev)
{
	return root_is_ours(dev) && dev->fq_limit >= NET_FQ_LIMIT &&
	       dev->fq_flow_limit >= NET_FQ_FLOW_LIMIT;
}

static bool root_is_our_mq(const struct net_dev *dev)
{
	return dev->root_handle == NET_ROOT_HANDLE && strcmp(dev->root_kind, "mq") == 0;
}

static uint64_t queue_bits(uint32_t queues)
{
	return queues >= 64 ? UINT64_MAX : (1ULL << queues) - 1;
}

static bool ifb_root_holds(const struct net_dev *dev, uint32_t queues)
{
	if (queues <= 1)
		return root_is_our_fq(dev);
	return root_is_our_mq(dev) && (dev->fq_children & queue_bits(queues)) == queue_bits(queues);
}

bool net_shape_ifb_holds(struct net *n)
{
	const struct net_ifb *ifb = net_watch_ifb(n->watch);
	struct net_dev *dev;

	if (!ifb->ifindex || !ifb->is_ifb || !ifb->up)
		return false;
	dev = net_watch_device(n->watch, ifb->ifindex, n->ifb_name);
	return dev && ifb_root_holds(dev, ifb->queues) && dev->slot == NET_SLOT_CLSACT &&
	       net_watch_filters(n->watch, dev, NULL) == 0 && dev->program_id != 0 &&
	       dev->program_id == n->bpf.prog_id[EDT_OUT];
}

bool net_shape_holds(struct net *n, struct net_dev *dev, enum edt_direction direction)
{
	if (dev->slot != NET_SLOT_CLSACT || net_watch_filters(n->watch, dev, NULL) < 0)
		return false;
	if (direction == EDT_IN)
		return root_is_our_fq(dev) && dev->program_id != 0 &&
		       dev->program_id == n->bpf.prog_id[EDT_IN];
	return dev->redirect != 0 && dev->redirect == net_watch_ifb(n->watch)->ifindex &&
	       net_shape_ifb_holds(n);
}

/* Something of ours is on the device in this direction, whole or not. */
static bool anything_there(const struct net_dev *dev, enum edt_direction direction)
{
	return direction == EDT_IN ? dev->program_id != 0 : dev->redirect_there;
}

/* ---- the ifb ---- */

static uint32_t wanted_queues(void)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);

	return cpus < 1 ? 1 : cpus > IFB_QUEUES_MAX ? IFB_QUEUES_MAX : (uint32_t)cpus;
}

static int set_ifb_root(struct net *n, struct net_dev *dev, uint32_t queues, struct qerr *err)
{
	int r = 0;

	if (ifb_root_holds(dev, queues))
		return 0;
	if (queues <= 1)
		return net_link_set_fq(n->nl, dev->ifindex, TC_H_ROOT, NET_ROOT_HANDLE, err);
	if (!root_is_our_mq(dev))
		r = net_link_set_mq(n->nl, dev->ifindex, err);
	for (uint32_t i = 1; r == 0 && i <= queues; i++)
		r = net_link_set_fq(n->nl, dev->ifindex, NET_ROOT_HANDLE | i,
				    NET_ROOT_HANDLE + (i << 16), err);
	return r;
}

static int make_ifb(struct net *n, struct qerr *err)
{
	const struct net_ifb *ifb = net_watch_ifb(n->watch);
	int r = 0;

	if (!ifb->ifindex) {
		r = net_link_add_ifb(n->nl, n->ifb_name, wanted_queues(), err);
		if (r == 0)
			r = net_watch_drain(n->watch, err);
	}
	if (r < 0)
		return r;
	if (!ifb->ifindex || !ifb->is_ifb)
		return qerr_set(err, -EBUSY, "%s is no ifb; rename or remove that device",
				n->ifb_name);
	return ifb->up ? 0 : net_link_set_up(n->nl, ifb->ifindex, err);
}

static int ensure_ifb(struct net *n, struct qerr *err)
{
	const struct net_ifb *ifb = net_watch_ifb(n->watch);
	struct net_dev *dev;
	int r;

	if (net_shape_ifb_holds(n))
		return 0;
	r = make_ifb(n, err);
	if (r < 0)
		return r;
	dev = net_watch_device(n->watch, ifb->ifindex, n->ifb_name);
	if (!dev)
		return qerr_set(err, -ENODEV, "%s has gone", n->ifb_name);
	r = set_ifb_root(n, dev, ifb->queues, err);
	if (r == 0 && dev->slot == NET_SLOT_NONE)
		r = net_link_add_clsact(n->nl, dev->ifindex, err);
	if (r == 0)
		r = net_link_set_program(n->nl, dev->ifindex, n->bpf.prog_fd[EDT_OUT],
					 prog_names[EDT_OUT], err);
	return r;
}

static void count_redirected(void *user, struct net_dev *dev)
{
	*(size_t *)user += dev->shaped[EDT_OUT];
}

void net_shape_drop_ifb(struct net *n)
{
	const struct net_ifb *ifb = net_watch_ifb(n->watch);
	size_t users = 0;

	if (n->readonly || !ifb->ifindex || !ifb->is_ifb)
		return;
	net_watch_each(n->watch, count_redirected, &users);
	if (users == 0)
		net_link_del(n->nl, ifb->ifindex, NULL);
}

/* ---- attaching ---- */

/* The note on a root qdisc with a handle, 0: none can be made. */
static uint32_t root_flag(const struct net_dev *dev)
{
	for (size_t i = 0; dev->root_plain && i < ARRAY_SIZE(plain_roots); i++)
		if (strcmp(dev->root_kind, plain_roots[i].kind) == 0)
			return plain_roots[i].flag;
	return 0;
}

static int refuse_foreign(const struct net_dev *dev, enum edt_direction direction, struct qerr *err)
{
	if (direction == EDT_IN && dev->root_handle != 0 && !root_is_ours(dev) && !root_flag(dev))
		return qerr_set(
			err, -EBUSY,
			"%s has a root qdisc that is not qosd's (%s %x:); remove <bandwidth> "
			"from the domain XML, or run: tc qdisc del dev %s root",
			dev->name, dev->root_kind, dev->root_handle >> 16, dev->name);
	if (dev->foreign_ingress == 0 || (direction == EDT_IN && dev->slot == NET_SLOT_CLSACT))
		return 0;
	return qerr_set(
		err, -EBUSY,
		"%s has %u ingress filters that are not qosd's; remove <bandwidth> from the "
		"domain XML, or run: tc qdisc del dev %s %s",
		dev->name, dev->foreign_ingress, dev->name,
		dev->slot == NET_SLOT_CLSACT ? "clsact" : "ingress");
}

/* The notes on what will have to be given back. */
static uint32_t flags_for(const struct net *n, const struct net_dev *dev,
			  enum edt_direction direction)
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
	if (direction == EDT_OUT)
		flags &= ~EDT_HAD_ROOT;
	else if (dev->root_handle != 0 && !root_is_ours(dev))
		flags = (flags & ~EDT_HAD_ROOT) | root_flag(dev);
	if (dev->slot == NET_SLOT_INGRESS)
		return flags | EDT_OWNS_CLSACT | EDT_HAD_INGRESS;
	if (dev->slot == NET_SLOT_NONE || (!known && orphans))
		flags |= EDT_OWNS_CLSACT;
	return flags;
}

static int ensure_clsact(struct net *n, const struct net_dev *dev, struct qerr *err)
{
	int r = 0;

	if (dev->slot == NET_SLOT_CLSACT)
		return 0;
	if (dev->slot == NET_SLOT_INGRESS)
		r = net_link_del_slot(n->nl, dev->ifindex, err);
	return r < 0 ? r : net_link_add_clsact(n->nl, dev->ifindex, err);
}

static int attach_in(struct net *n, const struct net_dev *dev, struct qerr *err)
{
	int r = 0;

	if (!root_is_our_fq(dev))
		r = net_link_set_fq(n->nl, dev->ifindex, TC_H_ROOT, NET_ROOT_HANDLE, err);
	if (r == 0 && (dev->program_id == 0 || dev->program_id != n->bpf.prog_id[EDT_IN]))
		r = net_link_set_program(n->nl, dev->ifindex, n->bpf.prog_fd[EDT_IN],
					 prog_names[EDT_IN], err);
	return r;
}

/* The ifb first, which drains: so the device is looked up only then. */
static int attach_out(struct net *n, uint32_t ifindex, struct qerr *err)
{
	int r = ensure_ifb(n, err);
	uint32_t ifb_ifindex = net_watch_ifb(n->watch)->ifindex;
	struct net_dev *dev = net_watch_device(n->watch, ifindex, NULL);

	if (r == 0 && !dev)
		r = qerr_set(err, -ENODEV, "device %u has gone", ifindex);
	if (r == 0)
		r = net_watch_filters(n->watch, dev, err);
	if (r < 0 || dev->redirect == ifb_ifindex)
		return r;
	if (dev->redirect_there) /* matchall cannot be changed */
		r = net_link_del_filter(n->nl, ifindex, NET_HOOK_INGRESS, err);
	return r < 0 ? r : net_link_set_redirect(n->nl, ifindex, ifb_ifindex, err);
}

static int attach(struct net *n, struct net_dev *dev, enum edt_direction direction,
		  uint64_t rate_bps, bool limited, struct qerr *err)
{
	uint32_t key = key_of(dev, direction), flags = flags_for(n, dev, direction);
	struct edt_cfg cfg = net_bpf_profile(limited ? rate_bps : 0, flags);
	int r = net_bpf_make_state(&n->bpf, key, err);

	if (r == 0)
		r = net_bpf_set_cfg(&n->bpf, key, &cfg, err);
	if (r == 0)
		r = ensure_clsact(n, dev, err);
	dev->shaped[direction] = true;
	if (r == 0)
		r = direction == EDT_IN ? attach_in(n, dev, err) : attach_out(n, key >> 1, err);
	if (r == 0 && !limited) {
		cfg = net_bpf_profile(rate_bps, flags);
		r = net_bpf_set_cfg(&n->bpf, key, &cfg, err);
	}
	return r;
}

/* Attach programs of this build in place of those of another; no packet is lost. */
static void renew(void *user, struct net_dev *dev)
{
	struct net *n = user;
	bool is_ifb = dev->ifindex == net_watch_ifb(n->watch)->ifindex;
	enum edt_direction direction = is_ifb ? EDT_OUT : EDT_IN;

	if ((is_ifb || dev->shaped[EDT_IN]) && net_watch_filters(n->watch, dev, NULL) == 0 &&
	    dev->program_id != 0)
		net_link_set_program(n->nl, dev->ifindex, n->bpf.prog_fd[direction],
				     prog_names[direction], NULL);
}

static int make_ready(struct net *n, struct qerr *err)
{
	bool replaced;
	int r;

	if (n->bpf.loaded)
		return 0;
	r = net_bpf_ready(&n->bpf, &replaced, err);
	if (r == 0 && replaced) {
		net_watch_each(n->watch, renew, n);
		r = net_watch_drain(n->watch, err);
	}
	n->adopted |= r == 0;
	return r;
}

int net_shape_set(struct net *n, struct net_dev *dev, enum edt_direction direction,
		  uint64_t rate_bps, struct qerr *err)
{
	uint32_t key = key_of(dev, direction), ifindex = dev->ifindex;
	struct edt_cfg cfg;
	bool limited;
	int r = make_ready(n, err);

	if (r < 0)
		return r;
	dev = net_watch_device(n->watch, ifindex, NULL);
	if (!dev)
		return qerr_set(err, -ENODEV, "device %u has gone", ifindex);
	limited = net_bpf_get_cfg(&n->bpf, key, &cfg) == 0 && cfg.rate_bps != 0;
	if (limited && net_shape_holds(n, dev, direction)) {
		cfg = net_bpf_profile(rate_bps, cfg.flags);
		return net_bpf_set_cfg(&n->bpf, key, &cfg, err);
	}
	r = net_watch_filters(n->watch, dev, err);
	if (r == 0)
		r = refuse_foreign(dev, direction, err);
	if (r < 0)
		return r;
	r = attach(n, dev, direction, rate_bps, limited, err);
	if (r < 0 && !limited && net_watch_drain(n->watch, NULL) == 0) {
		dev = net_watch_device(n->watch, ifindex, NULL);
		if (dev)
			net_shape_clear(n, dev, direction, NULL);
		else
			net_bpf_delete(&n->bpf, key);
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
	if (r < 0 || dev->foreign_egress || dev->foreign_ingress)
		return r;
	r = net_link_del_slot(n->nl, dev->ifindex, err);
	if (r == 0 && (flags & EDT_HAD_INGRESS))
		r = net_link_add_ingress(n->nl, dev->ifindex, err);
	return r;
}

static int give_back_root(struct net *n, const struct net_dev *dev, uint32_t flags,
			  struct qerr *err)
{
	for (size_t i = 0; i < ARRAY_SIZE(plain_roots); i++)
		if (flags & plain_roots[i].flag)
			return net_link_set_root(n->nl, dev->ifindex, plain_roots[i].kind, err);
	return net_link_del_root(n->nl, dev->ifindex, err);
}

static int detach(struct net *n, struct net_dev *dev, enum edt_direction direction, uint32_t flags,
		  struct qerr *err)
{
	int r = net_watch_filters(n->watch, dev, err);

	if (r < 0)
		return r;
	if (anything_there(dev, direction))
		r = net_link_del_filter(n->nl, dev->ifindex,
					direction == EDT_IN ? NET_HOOK_EGRESS : NET_HOOK_INGRESS,
					err);
	if (r == 0 && direction == EDT_IN && root_is_ours(dev))
		r = give_back_root(n, dev, flags, err);
	return r;
}

int net_shape_clear(struct net *n, struct net_dev *dev, enum edt_direction direction,
		    struct qerr *err)
{
	uint32_t key = key_of(dev, direction), ifindex = dev->ifindex;
	struct edt_cfg cfg = { 0 };
	int r;

	net_bpf_get_cfg(&n->bpf, key, &cfg);
	r = detach(n, dev, direction, cfg.flags, err);
	if (r == 0)
		r = net_watch_drain(n->watch, err);
	dev = net_watch_device(n->watch, ifindex, NULL);
	if (r == 0 && dev)
		r = give_back_slot(n, dev, direction, cfg.flags, err);
	if (r < 0 && r != -ENODEV)
		return r;
	net_bpf_delete(&n->bpf, key);
	if (dev)
		dev->shaped[direction] = false;
	if (direction == EDT_OUT)
		net_shape_drop_ifb(n);
	return 0;
}

/* ---- adopting ---- */

/* Whole, or to be finished: an entry whose attachment was cut short in making or in removing. */
static void adopt_entry(struct net *n, uint32_t key)
{
	enum edt_direction direction = key & 1;
	struct net_dev *dev = net_watch_device(n->watch, key >> 1, NULL);
	struct edt_cfg cfg;

	if (!dev) {
		if (!n->readonly)
			net_bpf_delete(&n->bpf, key);
		return;
	}
	if (net_bpf_get_cfg(&n->bpf, key, &cfg) < 0)
		return;
	dev->shaped[direction] = true;
	if (n->readonly || net_watch_filters(n->watch, dev, NULL) < 0)
		return;
	if (cfg.rate_bps == 0 || !anything_there(dev, direction))
		net_shape_clear(n, dev, direction, NULL);
}

int net_shape_adopt(struct net *n, struct qerr *err)
{
	uint32_t *keys;
	size_t count;
	int r;

	if (n->adopted)
		return 0;
	r = net_bpf_look(&n->bpf, err);
	if (r < 0)
		return r == -ENOENT ? 0 : r;
	r = net_bpf_keys(&n->bpf, &keys, &count);
	if (r < 0)
		return qerr_set(err, r, "out of memory");
	n->adopted = true;
	for (size_t i = 0; i < count; i++) /* all marks before the first is cleared */
		if (net_watch_device(n->watch, keys[i] >> 1, NULL))
			net_watch_device(n->watch, keys[i] >> 1, NULL)->shaped[keys[i] & 1] = true;
	for (size_t i = 0; i < count; i++)
		adopt_entry(n, keys[i]);
	free(keys);
	net_shape_drop_ifb(n);
	return n->readonly ? 0 : make_ready(n, err);
}
