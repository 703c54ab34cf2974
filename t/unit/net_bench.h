/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A network of its own for tests with real packets (root, and HTB, ifb, veth and a bridge in the
 * kernel), and frames sent and timed by the kernel's own clock.
 *
 *	vm1 -- tap1 \
 *	             br0
 *	ext -- up0  /
 *
 * A burst is put into the queue at once and drains by the kernel's timers alone, so what is
 * measured does not depend on how busy this machine is, except upwards: it may take longer.
 */
#ifndef QOSD_T_NET_BENCH_H
#define QOSD_T_NET_BENCH_H

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "qosd/core/guest.h"
#include "qosd/core/knob.h"
#include "qosd/host/net.h"
#include "t/unit/harness.h"

#define FRAME_BYTES  1514
#define NET_PROTOCOL 0x88b5 /* for experiments */

static inline int run(const char *command)
{
	return system(command);
}

/* The output of a command, cut if it is longer than the buffer. */
static inline char *output_of(const char *command, char *buf, size_t size)
{
	FILE *f = popen(command, "r");
	size_t n = f ? fread(buf, 1, size - 1, f) : 0;

	buf[n] = '\0';
	if (f)
		pclose(f);
	return buf;
}

/* 0, or -1: this machine cannot. */
static inline int net_bench_enter(void)
{
	if (unshare(CLONE_NEWNET | CLONE_NEWNS) < 0 ||
	    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("sysfs", "/sys", "sysfs", 0, NULL) < 0)
		return -1;
	if (run("exec 2> /dev/null; mount -t bpf bpf /sys/fs/bpf; ip link set lo up &&"
		"ip link add try0 type ifb && tc qdisc add dev try0 root htb && ip link del try0"))
		return -1;
	return run("exec 2> /dev/null;"
		   "for i in all default; do echo 1 > /proc/sys/net/ipv6/conf/$i/disable_ipv6; done;"
		   "ip link add br0 type bridge && ip link add tap1 type veth peer name vm1 &&"
		   "ip link add up0 type veth peer name ext &&"
		   "ip link set tap1 master br0 && ip link set up0 master br0 &&"
		   "for i in br0 tap1 vm1 up0 ext; do ip link set $i up || exit 1; done")
		       ? -1
		       : 0;
}

/* ---- frames ---- */

static inline int frame_socket(const char *device)
{
	struct sockaddr_ll at = { .sll_family = AF_PACKET,
				  .sll_protocol = htons(NET_PROTOCOL),
				  .sll_ifindex = (int)if_nametoindex(device) };
	int bytes = 8 << 20, one = 1, fd = socket(AF_PACKET, SOCK_RAW, 0);

	CU_ASSERT(fd >= 0 && bind(fd, (struct sockaddr *)&at, sizeof(at)) == 0);
	setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &bytes, sizeof(bytes));
	setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof(bytes));
	setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPNS, &one, sizeof(one));
	return fd;
}

/* To a station of nobody's; a bridge floods it. */
static inline void frame_fill(unsigned char frame[FRAME_BYTES])
{
	static const unsigned char head[] = { 2, 0, 0, 0, 0, 8, 2, 0, 0, 0, 0, 1, 0x88, 0xb5 };

	memset(frame, 0, FRAME_BYTES);
	memcpy(frame, head, sizeof(head));
}

static inline uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return (uint64_t)t.tv_sec * 1000000000ULL + (uint64_t)t.tv_nsec;
}

/* The time at which the kernel received one more frame; 0: none came for a second. */
static inline uint64_t frame_receive(int fd)
{
	char data[2048], control[128];
	struct iovec iov = { data, sizeof(data) };
	struct msghdr m = { .msg_iov = &iov,
			    .msg_iovlen = 1,
			    .msg_control = control,
			    .msg_controllen = sizeof(control) };
	struct pollfd p = { .fd = fd, .events = POLLIN };
	struct timespec t = { 0 };

	if (poll(&p, 1, 1000) <= 0 || recvmsg(fd, &m, 0) < 0)
		return 0;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c))
		if (c->cmsg_type == SCM_TIMESTAMPNS)
			memcpy(&t, CMSG_DATA(c), sizeof(t));
	return (uint64_t)t.tv_sec * 1000000000ULL + (uint64_t)t.tv_nsec;
}

struct burst {
	int received;
	double bps;       /* between the frame after the first `skip` ones and the last */
	uint64_t last_ns; /* the time of the last one, CLOCK_REALTIME */
};

/* Receive what comes until nothing has for a second, or `count` have. */
static inline struct burst burst_receive(int fd, int count, int skip)
{
	struct burst b = { 0 };
	uint64_t first = 0, last = 0, at;

	while (b.received < count && (at = frame_receive(fd)) != 0) {
		first = b.received++ > skip ? first : at;
		last = at;
	}
	b.last_ns = last;
	if (last > first)
		b.bps = (b.received - 1 - skip) * FRAME_BYTES * 8.0 / (double)(last - first) * 1e9;
	return b;
}

static inline void burst_send(int fd, int count)
{
	unsigned char frame[FRAME_BYTES];

	frame_fill(frame);
	for (int i = 0; i < count; i++)
		CU_ASSERT_EQUAL(write(fd, frame, sizeof(frame)), FRAME_BYTES);
}

/* The least time that so many frames may take: HTB saves up 5 ms, and lets one frame go on credit.
 */
static inline uint64_t burst_least_ns(uint64_t rate_bps, int count)
{
	return (uint64_t)((count - 1) * FRAME_BYTES * 8 * 0.99e9 / (double)rate_bps) - 5000000;
}

/* ---- the adapter ---- */

/* A guest with one NIC, `device`. */
struct one_nic {
	struct guest guest;
	struct guest_nic nic;
};

static inline void one_nic(struct one_nic *o, const char *device)
{
	memset(o, 0, sizeof(*o));
	snprintf(o->nic.device, sizeof(o->nic.device), "%s", device);
	snprintf(o->nic.type, sizeof(o->nic.type), "bridge");
	o->nic.ifindex = if_nametoindex(device);
	o->guest.id = 1;
	o->guest.nics = &o->nic;
	o->guest.nnics = 1;
}

static inline struct adapter *adapter_new(enum net_way way)
{
	struct net_config config = { .way = way };
	struct qerr err = { 0 };
	struct adapter *a = NULL;

	if (net_new(&config, &a, &err) < 0)
		fprintf(stderr, "%s\n", err.text);
	return a;
}

static inline int limit(struct adapter *a, const struct one_nic *o, enum knob_id knob,
			uint64_t rate_bps, struct qerr *err)
{
	struct change c = { .knob = knob, .to = knob_u64(rate_bps) };

	c.target = (struct target){ .kind = TARGET_NIC, .guest_id = 1, .guest = &o->guest };
	return a->ops->apply(a, &c, 0, err);
}

static inline uint64_t limit_read(struct adapter *a, const struct one_nic *o, enum knob_id knob)
{
	struct target t = { .kind = TARGET_NIC, .guest_id = 1, .guest = &o->guest };
	struct knob_value v = { 0 };
	struct qerr err = { 0 };

	if (a->ops->read(a, &t, knob, &v, &err) < 0)
		fprintf(stderr, "%s\n", err.text);
	return v.u64;
}

#endif
