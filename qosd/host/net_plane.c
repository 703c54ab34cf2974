/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * net_plane - a table of the ways, and the choice between them: of two for a device of the host's,
 * of none for a virtual function, which only its card can limit.
 */
#include "qosd/host/net_plane.h"

#include <errno.h>
#include <stdio.h>

#include "qosd/core/mem.h"
#include "qosd/host/net_htb.h"

static const struct plane {
	const char *name;
	enum net_way way;
	bool (*holds)(struct net *n, struct net_dev *dev, enum edt_direction direction);
	bool (*remains)(struct net *n, struct net_dev *dev, enum edt_direction direction);
	uint64_t (*rate)(struct net *n, struct net_dev *dev, enum edt_direction direction);
	int (*set)(struct net *n, struct net_dev *dev, enum edt_direction direction,
		   uint64_t rate_bps, struct qerr *err);
	int (*clear)(struct net *n, struct net_dev *dev, enum edt_direction direction,
		     struct qerr *err);
	/* Of a direction that it holds. The one in force, us; the one that was told
	 * (dev->burst_us). */
	uint64_t (*burst)(struct net *n, struct net_dev *dev, enum edt_direction direction);
	int (*set_burst)(struct net *n, struct net_dev *dev, enum edt_direction direction,
			 struct qerr *err);
} planes[] = {
	{ "edt", NET_WAY_EDT, net_shape_holds, net_shape_remains, net_shape_rate, net_shape_set,
	  net_shape_clear, net_shape_burst, net_shape_set_burst },
	{ "htb", NET_WAY_HTB, net_htb_holds, net_htb_remains, net_htb_rate, net_htb_set,
	  net_htb_clear, net_htb_burst, net_htb_set_burst },
	{ "vf", NET_WAY_VF, net_vf_holds, net_vf_holds, net_vf_rate, net_vf_set, net_vf_clear, NULL,
	  NULL },
};
#define EDT (&planes[0])
#define HTB (&planes[1])
#define VF  (&planes[2])

/* Is this kind of device what the plane can limit? */
static bool serves(const struct plane *p, const struct net_dev *dev)
{
	return dev->is_vf == (p == VF);
}

static bool wanted(const struct net *n, const struct plane *p)
{
	return p == VF || n->way == NET_WAY_AUTO || n->way == p->way;
}

int net_plane_adopt(struct net *n, struct qerr *err)
{
	int r;

	if (n->adopted)
		return 0;
	r = net_shape_adopt(n, err);
	return r < 0 ? r : net_htb_adopt(n, err);
}

/* The way in force; only the one that is wanted, if the operator named one. */
static const struct plane *holder(struct net *n, struct net_dev *dev, enum edt_direction direction)
{
	for (size_t i = 0; i < ARRAY_SIZE(planes); i++)
		if (serves(&planes[i], dev) && wanted(n, &planes[i]) &&
		    planes[i].rate(n, dev, direction) != 0 && planes[i].holds(n, dev, direction))
			return &planes[i];
	return NULL;
}

const char *net_plane_name(struct net *n, struct net_dev *dev, enum edt_direction direction)
{
	const struct plane *p = holder(n, dev, direction);

	return p ? p->name : NULL;
}

uint64_t net_plane_read(struct net *n, struct net_dev *dev, enum edt_direction direction)
{
	const struct plane *p = holder(n, dev, direction);

	if (p) {
		dev->shaped[direction] = true;
		return p->rate(n, dev, direction);
	}
	for (size_t i = 0; i < ARRAY_SIZE(planes); i++)
		if (serves(&planes[i], dev) && planes[i].remains(n, dev, direction))
			return 0;
	return KNOB_MAX;
}

/* Take p off both directions, since they share what they attach to. */
static int leave(struct net *n, const struct plane *p, uint32_t ifindex, struct qerr *err)
{
	struct net_dev *dev;
	int r = 0;

	for (int d = 0; r == 0 && d < 2; d++) {
		dev = net_watch_device(n->watch, ifindex);
		if (dev && p->remains(n, dev, d))
			r = p->clear(n, dev, d, err);
		if (r == 0)
			r = net_watch_drain(n->watch, err);
	}
	return r;
}

static int set_by(struct net *n, const struct plane *p, uint32_t ifindex,
		  enum edt_direction direction, uint64_t rate_bps, struct qerr *err)
{
	int r = leave(n, p == EDT ? HTB : EDT, ifindex, err);
	struct net_dev *dev = net_watch_device(n->watch, ifindex);

	if (r < 0)
		return r;
	if (!dev)
		return qerr_set(err, -ENODEV, "device %u has gone", ifindex);
	return p->set(n, dev, direction, rate_bps, err);
}

/* -EOPNOTSUPP: this host lacks a part of it. */
static int try_edt(struct net *n, uint32_t ifindex, enum edt_direction direction, uint64_t rate_bps,
		   struct qerr *err)
{
	int r = net_shape_possible(n, err);

	if (r == 0) /* or what HTB holds would be taken off in vain */
		r = net_shape_allowed(n, ifindex, direction, err);
	return r < 0 ? r : set_by(n, EDT, ifindex, direction, rate_bps, err);
}

int net_plane_set(struct net *n, struct net_dev *dev, enum edt_direction direction,
		  uint64_t rate_bps, struct qerr *err)
{
	const struct plane *now = holder(n, dev, direction);
	uint32_t ifindex = dev->ifindex;
	int r;

	if (now)
		return now->set(n, dev, direction, rate_bps, err);
	if (dev->is_vf)
		return VF->set(n, dev, direction, rate_bps, err);
	if (n->way == NET_WAY_EDT)
		return try_edt(n, ifindex, direction, rate_bps, err);
	if (n->way == NET_WAY_AUTO && !n->lack[0]) {
		struct qerr why = { 0 };

		r = try_edt(n, ifindex, direction, rate_bps, &why);
		if (r != -EOPNOTSUPP) {
			if (r < 0 && err)
				*err = why;
			return r;
		}
		snprintf(n->lack, sizeof(n->lack), "%s", why.text);
	}
	return set_by(n, HTB, ifindex, direction, rate_bps, err);
}

int net_plane_clear(struct net *n, struct net_dev *dev, enum edt_direction direction,
		    struct qerr *err)
{
	struct net_dev *vf = dev->is_vf ? dev : NULL;
	uint32_t ifindex = dev->ifindex;
	int r = 0;

	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(planes); i++) {
		dev = vf ? vf : net_watch_device(n->watch, ifindex);
		if (dev && serves(&planes[i], dev) && planes[i].remains(n, dev, direction))
			r = planes[i].clear(n, dev, direction, err);
	}
	return r;
}

uint64_t net_plane_burst(struct net *n, struct net_dev *dev)
{
	uint64_t burst = dev->burst_us; /* that both ways are to have */

	for (int d = 0; d < 2; d++) {
		const struct plane *p = holder(n, dev, d);
		uint64_t is = p && p->burst ? p->burst(n, dev, d) : 0;

		if (is && burst && is != burst)
			return 0;
		burst = is ? is : burst;
	}
	dev->burst_us = (uint32_t)burst; /* whatever is limited later joins in */
	return burst ? burst : KNOB_NET_BURST_US;
}

int net_plane_set_burst(struct net *n, struct net_dev *dev, uint64_t burst_us, struct qerr *err)
{
	int r = 0;

	dev->burst_us = burst_us < UINT32_MAX ? (uint32_t)burst_us : UINT32_MAX;
	for (int d = 0; r == 0 && d < 2; d++) {
		const struct plane *p = holder(n, dev, d);

		if (p && p->set_burst && p->burst(n, dev, d) != dev->burst_us)
			r = p->set_burst(n, dev, d, err);
	}
	return r;
}
