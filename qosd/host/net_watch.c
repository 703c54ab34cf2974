/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * net_watch - keeps the picture of qdiscs and filters by the kernel's notifications.
 *
 * The descriptor to poll is an epoll of three: the notification socket, the events of removed pins
 * of links, and an eventfd that is set when a drain outside of the poll loop (every read of a knob
 * drains) met something that the owner is to hear of.
 */
#include "qosd/host/net_watch.h"

#include <errno.h>
#include <linux/rtnetlink.h>
#include <netlink/attr.h>
#include <netlink/netlink.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "qosd/core/mem.h"
#include "qosd/host/net_ask.h"
#include "qosd/host/net_link.h"
#include "qosd/host/net_parse.h"
#include "qosd/host/net_table.h"

#define EVENT_BYTES  (64 << 10)
#define SOCKET_BYTES (4 << 20)
#define DUMP_TRIES   3

struct net_watch {
	struct net_nl *nl; /* dumps */
	struct net_tcx *tcx;
	int events, wake, poll;
	char ifb_name[IF_NAMESIZE];
	struct net_ifb ifb;
	bool known; /* the picture is complete */
	bool pending;
	uint32_t *gone;
	size_t gone_count, gone_capacity;
	char *buffer;
	struct net_table devices;
	unsigned int walking; /* through devices: none but the one at hand is dropped meanwhile */
};

/* The owner is to look at this device; where it serves another one, at that. */
static void note_change(struct net_watch *w, struct net_dev *dev)
{
	struct net_dev *subject = dev->serves ? net_table_find(&w->devices, dev->serves) : dev;

	if (!subject)
		return;
	subject->changed = true;
	if (subject->shaped[0] || subject->shaped[1] || subject->ifindex == w->ifb.ifindex)
		w->pending = true;
}

/* ---- qdiscs and filters ---- */

static void on_qdisc(void *user, struct nlmsghdr *h)
{
	struct net_watch *w = user;
	const struct tcmsg *tc = nlmsg_data(h);
	struct net_dev *dev;

	if (tc->tcm_handle == 0 && !net_table_find(&w->devices, (uint32_t)tc->tcm_ifindex))
		return; /* a default qdisc of a device that nobody asked for */
	dev = net_table_get(&w->devices, (uint32_t)tc->tcm_ifindex);
	if (!dev)
		return;
	net_parse_qdisc(dev, h);
	note_change(w, dev);
}

static void on_filter(void *user, struct nlmsghdr *h)
{
	net_parse_filter(user, h);
}

/* Of a root qdisc that is plain else: they would go with it. */
static void on_root_filter(void *user, struct nlmsghdr *h)
{
	(void)h;
	((struct net_dev *)user)->foreign_root++;
}

int net_watch_filters(struct net_watch *w, struct net_dev *dev, struct qerr *err)
{
	int r = 0;

	if (dev->filters_known)
		return 0;
	dev->program_id = dev->redirect = 0;
	dev->counter_id[0] = dev->counter_id[1] = 0;
	dev->redirect_there = false;
	dev->foreign_egress = dev->foreign_ingress = dev->foreign_root = 0;
	if (dev->root_quantum && dev->root_handle)
		r = net_ask_filters(w->nl, dev->ifindex, dev->root_handle, on_root_filter, dev);
	if (r == 0 && dev->slot == NET_SLOT_CLSACT)
		r = net_ask_filters(w->nl, dev->ifindex, NET_HOOK_EGRESS, on_filter, dev);
	if (r == 0 && dev->slot != NET_SLOT_NONE)
		r = net_ask_filters(w->nl, dev->ifindex,
				    dev->slot == NET_SLOT_CLSACT ? NET_HOOK_INGRESS
								 : NET_SLOT_HANDLE,
				    on_filter, dev);
	if (r < 0)
		return qerr_set(err, r, "cannot list the filters of device %u: %s", dev->ifindex,
				net_nl_why(w->nl));
	dev->filters_known = true;
	return 0;
}

static void on_class(void *user, struct nlmsghdr *h)
{
	net_parse_class(user, h);
}

uint64_t net_watch_class(struct net_watch *w, struct net_dev *dev)
{
	if (!net_parse_is_our_htb(dev))
		return 0;
	if (!dev->class_known) {
		dev->class_bps = 0;
		dev->class_known = net_ask_classes(w->nl, dev->ifindex, on_class, dev) == 0;
	}
	return dev->class_bps;
}

/* ---- links ---- */

static void ifb_lost(struct net_watch *w)
{
	memset(&w->ifb, 0, sizeof(w->ifb));
	w->pending = true;
}

static void on_ifb(struct net_watch *w, const struct net_dev *link, uint32_t queues, bool is_ifb)
{
	struct net_ifb now = {
		.ifindex = link->ifindex, .is_ifb = is_ifb, .up = link->up, .queues = queues
	};

	if (memcmp(&now, &w->ifb, sizeof(now)) != 0) {
		w->ifb = now;
		w->pending = true;
	}
}

/* An ifb has gone: the kernel tells nothing of the filter that redirects to it. */
static void forget_redirect(struct net_watch *w, uint32_t ifindex)
{
	struct net_dev *dev = ifindex ? net_table_find(&w->devices, ifindex) : NULL;

	if (!dev)
		return;
	dev->filters_known = false;
	note_change(w, dev);
}

static void on_gone(struct net_watch *w, uint32_t ifindex)
{
	struct net_dev *dev = net_table_find(&w->devices, ifindex);

	if (ifindex == w->ifb.ifindex)
		ifb_lost(w);
	if (!dev)
		return;
	forget_redirect(w, dev->serves);
	if ((dev->shaped[0] || dev->shaped[1]) &&
	    mem_grow(&w->gone, &w->gone_capacity, w->gone_count + 1, sizeof(*w->gone)) == 0) {
		w->gone[w->gone_count++] = ifindex;
		w->pending = true;
	}
	net_table_drop(&w->devices, ifindex);
}

/* What has changed of a link that we know or, as an ifb of ours, want to know. */
static void note_link(struct net_watch *w, const struct net_dev *now)
{
	struct net_dev *dev = now->serves ? net_table_get(&w->devices, now->ifindex)
					  : net_table_find(&w->devices, now->ifindex);

	if (!dev)
		return;
	if (dev->name[0] && (dev->up != now->up || strcmp(dev->name, now->name) != 0))
		note_change(w, dev);
	memcpy(dev->name, now->name, sizeof(dev->name));
	net_table_serve(&w->devices, dev, now->serves);
	dev->up = now->up;
	dev->mtu = now->mtu;
	dev->turned = now->turned;
	dev->on_ovs = now->on_ovs;
}

static void on_link(void *user, struct nlmsghdr *h)
{
	struct net_watch *w = user;
	const struct ifinfomsg *info = nlmsg_data(h);
	struct net_dev link = { .ifindex = (uint32_t)info->ifi_index };
	uint32_t queues;
	bool is_ifb;

	if (info->ifi_family != AF_UNSPEC) /* a bridge port that left is no device that left */
		return;
	if (h->nlmsg_type == RTM_DELLINK) {
		on_gone(w, link.ifindex);
		return;
	}
	if (net_parse_link(&link, h, &queues, &is_ifb) < 0)
		return;
	if (strcmp(link.name, w->ifb_name) == 0)
		on_ifb(w, &link, queues, is_ifb);
	else if (link.ifindex == w->ifb.ifindex)
		ifb_lost(w);
	note_link(w, &link);
}

/* ---- links of programs ---- */

static void doubt_one(void *user, struct net_dev *dev)
{
	dev->links_ns = 0;
	note_change(user, dev);
}

static void doubt(void *user, uint32_t ifindex)
{
	struct net_watch *w = user;
	struct net_dev *dev = net_table_find(&w->devices, ifindex);

	if (dev)
		doubt_one(w, dev);
	else if (!ifindex)
		net_table_each(&w->devices, doubt_one, w);
}

/* ---- the whole picture ---- */

static void on_event(struct net_watch *w, struct nlmsghdr *h)
{
	struct net_dev *dev;

	switch (h->nlmsg_type) {
	case RTM_NEWQDISC:
	case RTM_DELQDISC:
		on_qdisc(w, h);
		break;
	case RTM_NEWTFILTER:
	case RTM_DELTFILTER:
		dev = net_table_find(&w->devices,
				     (uint32_t)((struct tcmsg *)nlmsg_data(h))->tcm_ifindex);
		if (dev) {
			dev->filters_known = false;
			note_change(w, dev);
		}
		break;
	case RTM_NEWTCLASS:
	case RTM_DELTCLASS:
		dev = net_table_find(&w->devices,
				     (uint32_t)((struct tcmsg *)nlmsg_data(h))->tcm_ifindex);
		if (dev && dev->class_known) {
			net_parse_class(dev, h);
			note_change(w, dev);
		}
		break;
	case RTM_NEWLINK:
	case RTM_DELLINK:
		on_link(w, h);
		break;
	}
}

static void unlearn(void *user, struct net_dev *dev)
{
	(void)user;
	net_parse_clear(dev);
	dev->changed = true;
}

static void drop_if_gone(void *user, struct net_dev *dev)
{
	char name[IF_NAMESIZE];

	if (!if_indextoname(dev->ifindex, name))
		on_gone(user, dev->ifindex);
}

static int learn(struct net_watch *w, struct qerr *err)
{
	int r;

	net_watch_each(w, drop_if_gone, w);
	net_watch_each(w, unlearn, w);
	memset(&w->ifb, 0, sizeof(w->ifb));
	r = net_ask_qdiscs(w->nl, on_qdisc, w);
	for (int i = 0; r == 0 && i < DUMP_TRIES; i++) {
		r = net_ask_links(w->nl, on_link, w);
		if (r != -EAGAIN) /* a link came or went meanwhile */
			break;
		r = i + 1 < DUMP_TRIES ? 0 : r;
	}
	if (r < 0)
		return qerr_set(err, r, "cannot list the qdiscs: %s", net_nl_why(w->nl));
	w->known = true;
	w->pending = true;
	return 0;
}

static void wake_owner(struct net_watch *w)
{
	uint64_t one = 1;

	if (w->pending && write(w->wake, &one, sizeof(one)) < 0)
		w->pending = true; /* full: it is awake anyway */
}

int net_watch_drain(struct net_watch *w, struct qerr *err)
{
	bool was_pending = w->pending;
	struct nlmsghdr *h;
	ssize_t n;
	int left, r = 0;

	for (;;) {
		n = recv(w->events, w->buffer, EVENT_BYTES, MSG_DONTWAIT);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == ENOBUFS) {
			w->known = false;
			continue;
		}
		if (n <= 0)
			break;
		left = (int)n;
		for (h = (struct nlmsghdr *)w->buffer; nlmsg_ok(h, left); h = nlmsg_next(h, &left))
			on_event(w, h);
	}
	if (w->tcx->watched >= 0)
		net_tcx_handle(w->tcx, doubt, w);
	if (!w->known)
		r = learn(w, err);
	if (!was_pending)
		wake_owner(w);
	return r;
}

/* Asking for an unknown name makes the kernel search for a module of that name, so look first. */
uint32_t net_watch_index(const char *device)
{
	char path[64];

	if (strchr(device, '/'))
		return 0;
	snprintf(path, sizeof(path), "/sys/class/net/%s", device);
	return access(path, F_OK) == 0 ? if_nametoindex(device) : 0;
}

struct net_dev *net_watch_device(struct net_watch *w, uint32_t ifindex)
{
	struct net_dev *dev = net_table_get(&w->devices, ifindex);

	if (!dev || dev->name[0])
		return dev;
	if (net_ask_link(w->nl, ifindex, on_link, w) == 0 && dev->name[0])
		return dev;
	if (!w->walking)
		net_table_drop(&w->devices, ifindex);
	return NULL;
}

struct net_dev *net_watch_serving(struct net_watch *w, uint32_t ifindex)
{
	return net_table_serving(&w->devices, ifindex);
}

void net_watch_each(struct net_watch *w, void (*fn)(void *user, struct net_dev *dev), void *user)
{
	w->walking++;
	net_table_each(&w->devices, fn, user);
	w->walking--;
}

const struct net_ifb *net_watch_ifb(const struct net_watch *w)
{
	return &w->ifb;
}

bool net_watch_take_pending(struct net_watch *w)
{
	bool pending = w->pending;
	uint64_t n;

	if (read(w->wake, &n, sizeof(n)) < 0 && !pending)
		return false;
	w->pending = false;
	return pending;
}

uint32_t net_watch_take_gone(struct net_watch *w)
{
	return w->gone_count > 0 ? w->gone[--w->gone_count] : 0;
}

/* ---- making and freeing ---- */

static int open_events(void)
{
	static const int groups[] = { RTNLGRP_LINK, RTNLGRP_TC };
	int bytes = SOCKET_BYTES, fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	struct sockaddr_nl self = { .nl_family = AF_NETLINK };

	if (fd < 0)
		return -errno;
	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof(bytes)) < 0)
		setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes));
	if (bind(fd, (struct sockaddr *)&self, sizeof(self)) < 0)
		goto fail;
	for (size_t i = 0; i < ARRAY_SIZE(groups); i++)
		if (setsockopt(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &groups[i], sizeof(int)) <
		    0)
			goto fail;
	return fd;
fail:
	bytes = -errno;
	close(fd);
	return bytes;
}

static int open_all(struct net_watch *w, struct qerr *err)
{
	struct epoll_event in = { .events = EPOLLIN };
	int r = net_nl_open(&w->nl, err);

	if (r < 0)
		return r;
	w->buffer = malloc(EVENT_BYTES);
	if (!w->buffer)
		return qerr_set(err, -ENOMEM, "out of memory");
	w->events = open_events();
	if (w->events < 0)
		return qerr_set(err, w->events, "cannot watch the network devices: %s",
				strerror(-w->events));
	w->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	w->poll = epoll_create1(EPOLL_CLOEXEC);
	if (w->wake < 0 || w->poll < 0 || epoll_ctl(w->poll, EPOLL_CTL_ADD, w->events, &in) < 0 ||
	    epoll_ctl(w->poll, EPOLL_CTL_ADD, w->wake, &in) < 0)
		return qerr_set(err, -errno, "cannot watch the network devices: %s",
				strerror(errno));
	if (w->tcx->events >= 0) /* without these removed pins are found later */
		epoll_ctl(w->poll, EPOLL_CTL_ADD, w->tcx->events, &in);
	return 0;
}

int net_watch_new(const char *ifb_name, struct net_tcx *tcx, struct net_watch **ret,
		  struct qerr *err)
{
	struct net_watch *w = calloc(1, sizeof(*w));
	int r;

	if (!w)
		return qerr_set(err, -ENOMEM, "out of memory");
	w->events = w->wake = w->poll = -1;
	w->tcx = tcx;
	net_parse_name(w->ifb_name, ifb_name);
	r = open_all(w, err);
	if (r < 0) {
		net_watch_free(w);
		return r;
	}
	*ret = w;
	return 0;
}

void net_watch_free(struct net_watch *w)
{
	int fds[3];

	if (!w)
		return;
	fds[0] = w->events, fds[1] = w->wake, fds[2] = w->poll;
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
		if (fds[i] >= 0)
			close(fds[i]);
	net_table_done(&w->devices);
	net_nl_close(w->nl);
	free(w->buffer);
	free(w->gone);
	free(w);
}

int net_watch_poll_fd(const struct net_watch *w)
{
	return w->poll;
}
