/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * net_nl - rtnetlink requests by libnl.
 *
 * libnl maps the kernel's errno to codes of its own and drops the extended acknowledgement, which
 * is the only good explanation of a refused qdisc. So the error callback is ours and keeps both.
 */
#include "qosd/host/net_nl.h"

#include <errno.h>
#include <netlink/attr.h>
#include <netlink/errno.h>
#include <netlink/netlink.h>
#include <netlink/socket.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>

#define NL_TIME_LIMIT_S 2
#define NL_BUFFER_BYTES (1 << 20)

struct net_nl {
	struct nl_sock *sock;
	struct nl_cb *cb;
	void (*seen)(void *user, struct nlmsghdr *h);
	void *user;
	int code; /* of the running request: 0 or negative errno */
	char why[160];
};

int net_nl_errno(int nl_error)
{
	static const struct {
		int nl, code;
	} map[] = {
		{ NLE_SUCCESS, 0 },
		{ NLE_INTR, -EINTR },
		{ NLE_AGAIN, -EAGAIN },
		{ NLE_EXIST, -EEXIST },
		{ NLE_NOADDR, -ENODEV },
		{ NLE_OBJ_NOTFOUND, -ENOENT },
		{ NLE_NODEV, -ENODEV },
		{ NLE_PERM, -EPERM },
		{ NLE_NOACCESS, -EACCES },
		{ NLE_NOMEM, -ENOMEM },
		{ NLE_BUSY, -EBUSY },
		{ NLE_INVAL, -EINVAL },
		{ NLE_OPNOTSUPP, -EOPNOTSUPP },
		{ NLE_DUMP_INTR, -EAGAIN },
	};

	for (size_t i = 0; i < sizeof(map) / sizeof(map[0]); i++)
		if (map[i].nl == abs(nl_error))
			return map[i].code;
	return -EIO;
}

static int on_valid(struct nl_msg *msg, void *user)
{
	struct net_nl *nl = user;

	if (nl->seen)
		nl->seen(nl->user, nlmsg_hdr(msg));
	return NL_OK;
}

static void keep_explanation(struct net_nl *nl, struct nlmsgerr *e)
{
	struct nlmsghdr *h = (struct nlmsghdr *)((char *)e - NLMSG_HDRLEN);
	size_t skip = sizeof(*e);
	struct nlattr *text;

	snprintf(nl->why, sizeof(nl->why), "%s", strerror(-e->error));
	if (!(h->nlmsg_flags & NLM_F_ACK_TLVS))
		return;
	if (!(h->nlmsg_flags & NLM_F_CAPPED))
		skip += NLMSG_ALIGN(e->msg.nlmsg_len) - NLMSG_HDRLEN;
	if (h->nlmsg_len < NLMSG_HDRLEN + skip)
		return;
	text = nla_find((struct nlattr *)((char *)e + skip),
			(int)(h->nlmsg_len - NLMSG_HDRLEN - skip), NLMSGERR_ATTR_MSG);
	if (text)
		snprintf(nl->why, sizeof(nl->why), "%.*s", nla_len(text), (char *)nla_data(text));
	nl->why[strcspn(nl->why, "\n")] = '\0';
}

static int on_error(struct sockaddr_nl *from, struct nlmsgerr *e, void *user)
{
	struct net_nl *nl = user;

	(void)from;
	nl->code = e->error;
	if (e->error)
		keep_explanation(nl, e);
	return NL_STOP;
}

static int on_end(struct nl_msg *msg, void *user)
{
	(void)msg;
	(void)user;
	return NL_STOP;
}

static int setup(struct net_nl *nl)
{
	struct timeval limit = { .tv_sec = NL_TIME_LIMIT_S };
	int one = 1, fd, r;

	nl->sock = nl_socket_alloc();
	nl->cb = nl_cb_alloc(NL_CB_DEFAULT);
	if (!nl->sock || !nl->cb)
		return -ENOMEM;
	r = nl_connect(nl->sock, NETLINK_ROUTE);
	if (r < 0)
		return net_nl_errno(r);
	nl_socket_set_buffer_size(nl->sock, NL_BUFFER_BYTES, 0);
	nl_socket_disable_auto_ack(nl->sock); /* exchange() asks for what it waits for */
	fd = nl_socket_get_fd(nl->sock);
	if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)) < 0)
		return -errno;
	setsockopt(fd, SOL_NETLINK, NETLINK_EXT_ACK, &one, sizeof(one));
	setsockopt(fd, SOL_NETLINK, NETLINK_CAP_ACK, &one, sizeof(one));
	nl_cb_set(nl->cb, NL_CB_VALID, NL_CB_CUSTOM, on_valid, nl);
	nl_cb_set(nl->cb, NL_CB_FINISH, NL_CB_CUSTOM, on_end, nl);
	nl_cb_set(nl->cb, NL_CB_ACK, NL_CB_CUSTOM, on_end, nl);
	nl_cb_err(nl->cb, NL_CB_CUSTOM, on_error, nl);
	return 0;
}

int net_nl_open(struct net_nl **ret, struct qerr *err)
{
	struct net_nl *nl = calloc(1, sizeof(*nl));
	int r = nl ? setup(nl) : -ENOMEM;

	if (r < 0) {
		net_nl_close(nl);
		return qerr_set(err, r, "cannot open a netlink socket: %s", strerror(-r));
	}
	*ret = nl;
	return 0;
}

void net_nl_close(struct net_nl *nl)
{
	if (!nl)
		return;
	nl_cb_put(nl->cb);
	nl_socket_free(nl->sock);
	free(nl);
}

static int exchange(struct net_nl *nl, struct nl_msg *msg, int flags)
{
	int r;

	if (!msg)
		return -ENOMEM;
	nl->code = 0;
	nlmsg_hdr(msg)->nlmsg_flags |= NLM_F_REQUEST | flags;
	r = nl_send_auto(nl->sock, msg);
	nlmsg_free(msg);
	if (r >= 0)
		r = nl_recvmsgs(nl->sock, nl->cb);
	if (nl->code)
		return nl->code;
	if (r >= 0)
		return 0;
	r = net_nl_errno(r);
	snprintf(nl->why, sizeof(nl->why), "%s", strerror(-r));
	return r;
}

int net_nl_talk(struct net_nl *nl, struct nl_msg *msg)
{
	nl->seen = NULL;
	return exchange(nl, msg, NLM_F_ACK);
}

int net_nl_ask(struct net_nl *nl, struct nl_msg *msg, void (*seen)(void *user, struct nlmsghdr *h),
	       void *user)
{
	nl->seen = seen;
	nl->user = user;
	return exchange(nl, msg, 0);
}

int net_nl_dump(struct net_nl *nl, struct nl_msg *msg, void (*seen)(void *user, struct nlmsghdr *h),
		void *user)
{
	nl->seen = seen;
	nl->user = user;
	return exchange(nl, msg, NLM_F_DUMP);
}

const char *net_nl_why(const struct net_nl *nl)
{
	return nl->why[0] ? nl->why : "no answer";
}
