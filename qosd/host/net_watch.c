/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * net_watch - keeps the picture of qdiscs and filters by the kernel's notifications.
 *
 * The descriptor to poll is an epoll of two: the notification socket, and an eventfd that is set
 * when a drain outside of the poll loop (every read of a knob drains) met something that the owner
 * is to hear of.
 */
#include "qosd/host/net_watch.h"

#include <errno.h>
#include <linux/rtnetlink.h>
#include <netlink/attr.h>
#include <netlink/netlink.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "qosd/core/mem.h"
#include "qosd/host/net_link.h"
#include "qosd/host/net_parse.h"

#define BUCKETS      1024u
#define EVENT_BYTES  (64 << 10)
#define SOCKET_BYTES (4 << 20)
#define DUMP_TRIES   3

struct net_watch {
	struct net_nl *nl; /* dumps */
	int events, wake, poll;
	char ifb_name[IF_NAMESIZE];
	struct net_ifb ifb;
	bool known; /* the picture is complete */
	bool pending;
	uint32_t *gone;
	size_t gone_count, gone_capacity;
	char *buffer;
	struct net_dev *buckets[BUCKETS];
};

/* ---- the table of devices ---- */

static struct net_dev **place_of(struct net_watch *w, uint32_t ifindex)
{
	struct net_dev **p = &w->buckets[ifindex % BUCKETS];

	while (*p && (*p)->ifindex != ifindex)
		p = &(*p)->next;
	return p;
}

static struct net_dev *dev_get(struct net_watch *w, uint32_t ifindex)
{
	struct net_dev **p = place_of(w, ifindex);

	if (!*p) {
		*p = calloc(1, sizeof(**p));
		if (*p)
			(*p)->ifindex = ifindex;
	}
	return *p;
}

void net_watch_drop(struct net_watch *w, uint32_t ifindex)
{
	struct net_dev **p = place_of(w, ifindex), *dev = *p;

	if (!dev)
		return;
	*p = dev->next;
	free(dev);
}

void net_watch_each(struct net_watch *w, void (*fn)(void *user, struct net_dev *dev), void *user)
{
	struct net_dev *dev, *next;

	for (size_t i = 0; i < BUCKETS; i++)
		for (dev = w->buckets[i]; dev; dev = next) {
			next = dev->next;
			fn(user, dev);
		}
}

/* The owner is to look at this device. */
static void note_change(struct net_watch *w, struct net_dev *dev)
{
	dev->changed = true;
	if (dev->shaped[0] || dev->shaped[1] || dev->ifindex == w->ifb.ifindex)
		w->pending = true;
}

/* ---- qdiscs and filters ---- */

static void on_qdisc(void *user, struct nlmsghdr *h)
{
	struct net_watch *w = user;
	const struct tcmsg *tc = nlmsg_data(h);
	struct net_dev *dev;

	if (tc->tcm_handle == 0 && !*place_of(w, (uint32_t)tc->tcm_ifindex))
		return; /* a default qdisc of a device that nobody asked for */
	dev = dev_get(w, (uint32_t)tc->tcm_ifindex);
	if (!dev)
		return;
	net_parse_qdisc(dev, h);
	note_change(w, dev);
}

static void on_filter(void *user, struct nlmsghdr *h)
{
	net_parse_filter(user, h);
}

static int dump_filters(struct net_watch *w, struct net_dev *dev, uint32_t parent)
{
	struct tcmsg tc = { .tcm_family = AF_UNSPEC,
			    .tcm_ifindex = (int)dev->ifindex,
			    .tcm_parent = parent };
	struct nl_msg *msg = nlmsg_alloc_simple(RTM_GETTFILTER, 0);

	if (msg && nlmsg_append(msg, &tc, sizeof(tc), NLMSG_ALIGNTO) < 0) {
		nlmsg_free(msg);
		msg = NULL;
	}
	return net_nl_dump(w->nl, msg, on_filter, dev);
}

int net_watch_filters(struct net_watch *w, struct net_dev *dev, struct qerr *err)
{
	int r = 0;

	if (dev->filters_known)
		return 0;
	dev->program_id = dev->redirect = 0;
	dev->redirect_there = false;
	dev->foreign_egress = dev->foreign_ingress = 0;
	if (dev->slot == NET_SLOT_CLSACT)
		r = dump_filters(w, dev, NET_HOOK_EGRESS);
	if (r == 0 && dev->slot != NET_SLOT_NONE)
		r = dump_filters(w, dev,
				 dev->slot == NET_SLOT_CLSACT ? NET_HOOK_INGRESS : NET_SLOT_HANDLE);
	if (r < 0)
		return qerr_set(err, r, "cannot list the filters of device %u: %s", dev->ifindex,
				net_nl_why(w->nl));
	dev->filters_known = true;
	return 0;
}

/* ---- links ---- */

static void ifb_lost(struct net_watch *w)
{
	memset(&w->ifb, 0, sizeof(w->ifb));
	w->pending = true;
}

static void on_ifb(struct net_watch *w, const struct ifinfomsg *info, struct nlattr **t)
{
	struct nlattr *i[IFLA_INFO_MAX + 1] = { NULL };
	struct net_ifb now = { .ifindex = (uint32_t)info->ifi_index,
			       .up = info->ifi_flags & IFF_UP };

	if (t[IFLA_LINKINFO] && nla_parse_nested(i, IFLA_INFO_MAX, t[IFLA_LINKINFO], NULL) == 0 &&
	    i[IFLA_INFO_KIND])
		now.is_ifb = strcmp(nla_get_string(i[IFLA_INFO_KIND]), "ifb") == 0;
	if (t[IFLA_NUM_TX_QUEUES])
		now.queues = nla_get_u32(t[IFLA_NUM_TX_QUEUES]);
	if (memcmp(&now, &w->ifb, sizeof(now)) != 0) {
		w->ifb = now;
		w->pending = true;
	}
}

static void on_gone(struct net_watch *w, uint32_t ifindex)
{
	struct net_dev *dev = *place_of(w, ifindex);

	if (ifindex == w->ifb.ifindex)
		ifb_lost(w);
	if (!dev)
		return;
	if ((dev->shaped[0] || dev->shaped[1]) &&
	    mem_grow(&w->gone, &w->gone_capacity, w->gone_count + 1, sizeof(*w->gone)) == 0) {
		w->gone[w->gone_count++] = ifindex;
		w->pending = true;
	}
	net_watch_drop(w, ifindex);
}

static void on_link(void *user, struct nlmsghdr *h)
{
	struct net_watch *w = user;
	const struct ifinfomsg *info = nlmsg_data(h);
	uint32_t ifindex = (uint32_t)info->ifi_index;
	struct nlattr *t[IFLA_MAX + 1];
	struct net_dev *dev;
	const char *name;

	if (info->ifi_family != AF_UNSPEC) /* a bridge port that left is no device that left */
		return;
	if (h->nlmsg_type == RTM_DELLINK) {
		on_gone(w, ifindex);
		return;
	}
	if (nlmsg_parse(h, sizeof(*info), t, IFLA_MAX, NULL) < 0 || !t[IFLA_IFNAME])
		return;
	name = nla_get_string(t[IFLA_IFNAME]);
	if (strcmp(name, w->ifb_name) == 0)
		on_ifb(w, info, t);
	else if (ifindex == w->ifb.ifindex)
		ifb_lost(w);
	dev = *place_of(w, ifindex);
	if (dev && dev->name[0] && strcmp(dev->name, name) != 0) {
		net_parse_name(dev->name, name);
		note_change(w, dev);
	}
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
		dev = *place_of(w, (uint32_t)((struct tcmsg *)nlmsg_data(h))->tcm_ifindex);
		if (dev) {
			dev->filters_known = false;
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

static int ask_link(struct net_watch *w)
{
	struct ifinfomsg info = { .ifi_family = AF_UNSPEC };
	struct nl_msg *msg = nlmsg_alloc_simple(RTM_GETLINK, 0);

	if (msg && nlmsg_append(msg, &info, sizeof(info), NLMSG_ALIGNTO) < 0) {
		nlmsg_free(msg);
		msg = NULL;
	}
	return net_nl_dump(w->nl, msg, on_link, w);
}

/* The index of a device may be another's by now: after lost notifications names decide. */
static void drop_if_gone(void *user, struct net_dev *dev)
{
	char name[IF_NAMESIZE];

	if (!if_indextoname(dev->ifindex, name) || (dev->name[0] && strcmp(dev->name, name) != 0))
		on_gone(user, dev->ifindex);
}

static int learn(struct net_watch *w, struct qerr *err)
{
	struct tcmsg tc = { .tcm_family = AF_UNSPEC };
	struct nl_msg *msg = nlmsg_alloc_simple(RTM_GETQDISC, 0);
	int r;

	net_watch_each(w, drop_if_gone, w);
	net_watch_each(w, unlearn, w);
	memset(&w->ifb, 0, sizeof(w->ifb));
	if (msg && nlmsg_append(msg, &tc, sizeof(tc), NLMSG_ALIGNTO) < 0) {
		nlmsg_free(msg);
		msg = NULL;
	}
	r = net_nl_dump(w->nl, msg, on_qdisc, w);
	for (int i = 0; r == 0 && i < DUMP_TRIES; i++) {
		r = ask_link(w);
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
	if (!w->known)
		r = learn(w, err);
	if (!was_pending)
		wake_owner(w);
	return r;
}

struct net_dev *net_watch_device(struct net_watch *w, uint32_t ifindex, const char *name)
{
	struct net_dev *dev = *place_of(w, ifindex);
	char now[IF_NAMESIZE];

	if (!dev || !dev->name[0]) {
		if (!if_indextoname(ifindex, now))
			return NULL;
		dev = dev_get(w, ifindex);
		if (!dev)
			return NULL;
		net_parse_name(dev->name, now);
	}
	return !name || strcmp(dev->name, name) == 0 ? dev : NULL;
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
	return 0;
}

int net_watch_new(const char *ifb_name, struct net_watch **ret, struct qerr *err)
{
	struct net_watch *w = calloc(1, sizeof(*w));
	int r;

	if (!w)
		return qerr_set(err, -ENOMEM, "out of memory");
	w->events = w->wake = w->poll = -1;
	net_parse_name(w->ifb_name, ifb_name);
	r = open_all(w, err);
	if (r < 0) {
		net_watch_free(w);
		return r;
	}
	*ret = w;
	return 0;
}

static void free_dev(void *user, struct net_dev *dev)
{
	(void)user;
	free(dev);
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
	net_watch_each(w, free_dev, NULL);
	net_nl_close(w->nl);
	free(w->buffer);
	free(w->gone);
	free(w);
}

int net_watch_poll_fd(const struct net_watch *w)
{
	return w->poll;
}
