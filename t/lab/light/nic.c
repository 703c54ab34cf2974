/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Frames between the tap on the host's bridge and the tap of the guest's inside, as they are: both
 * carry the virtio header, so frames of 64 KiB that still want checksum and segmentation pass
 * whole.
 */
#include "t/lab/light/light.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <linux/virtio_net.h>
#include <net/if.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <unistd.h>

#define FRAME_BYTES     (68 * 1024)
#define FRAMES_PER_TURN 32

struct pair {
	int outer, inner;
	struct lab_page *page;
	unsigned char frame[FRAME_BYTES];
};

static int open_inner(const char *name)
{
	struct ifreq request = { .ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR };
	int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);

	snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", name);
	if (fd < 0 || ioctl(fd, TUNSETIFF, &request) < 0)
		fail("Cannot open the tap %s: %s.", name, strerror(errno));
	return fd;
}

/* A plain 10-byte header, and large frames with checksums left open. */
static void set_offloads(int fd)
{
	int header_bytes = sizeof(struct virtio_net_hdr);

	if (fcntl(fd, F_SETFL, O_NONBLOCK) < 0 || ioctl(fd, TUNSETVNETHDRSZ, &header_bytes) < 0 ||
	    ioctl(fd, TUNSETOFFLOAD, TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO_ECN) < 0)
		fail("Cannot set up a tap: %s.", strerror(errno));
}

/* Moves up to FRAMES_PER_TURN frames; what the other side does not take is lost, as on a wire. */
static unsigned int move(struct pair *p, int from, int to)
{
	unsigned int moved;

	for (moved = 0; moved < FRAMES_PER_TURN; moved++) {
		ssize_t n = read(from, p->frame, sizeof(p->frame));

		if (n <= 0)
			break;
		p->frame[0] &= (unsigned char)~VIRTIO_NET_HDR_F_DATA_VALID;
		if (write(to, p->frame, (size_t)n) < 0 && errno == EBADFD)
			break;
	}
	return moved;
}

static void *forward(void *arg)
{
	struct pair *p = arg;
	struct pollfd fds[2] = { { .fd = p->outer, .events = POLLIN },
				 { .fd = p->inner, .events = POLLIN } };

	prctl(PR_SET_NAME, "lab-nic");
	while (poll(fds, 2, -1) >= 0 || errno == EINTR) {
		unsigned int in = move(p, p->outer, p->inner), out = move(p, p->inner, p->outer);

		p->page->packets_in += in;
		p->page->packets_out += out;
		if (!in && !out)
			usleep(1000); /* an interface is down */
	}
	return NULL;
}

void nics_start(struct light *light)
{
	const struct light_options *o = &light->options;
	pthread_t thread;
	int i;

	for (i = 0; i < o->outer_nics && i < o->inner_nics; i++) {
		struct pair *p = calloc(1, sizeof(*p));

		if (!p)
			fail("There is no memory for NIC %d.", i);
		p->outer = o->outer_fd[i];
		p->inner = open_inner(o->inner_tap[i]);
		p->page = light->page;
		set_offloads(p->outer);
		set_offloads(p->inner);
		light->page->nics++;
		if (pthread_create(&thread, NULL, forward, p))
			fail("Cannot start the thread of NIC %d.", i);
	}
}
