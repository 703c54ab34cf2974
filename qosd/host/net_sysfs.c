/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * net_sysfs - what /sys/class/net tells of a link: its counters and its speed.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "qosd/host/net.h"

#define LINK_MBIT_MAX 10000000 /* 10 Tbit/s */

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
		return -ENODATA;
	text[len] = '\0';
	*ret = strtoull(text, NULL, 10);
	return 0;
}

static bool is_macvtap(const char *device)
{
	char path[64];

	snprintf(path, sizeof(path), "/sys/class/net/%.15s/macvtap", device);
	return access(path, F_OK) == 0;
}

int net_read_link_bytes(const char *device, uint64_t *ret_in, uint64_t *ret_out)
{
	bool turned = is_macvtap(device);
	uint64_t in, out;
	int r;

	if (!device[0] || strchr(device, '/'))
		return -ENOENT;
	r = read_number(device, turned ? "rx_bytes" : "tx_bytes", &in);
	if (r == 0)
		r = read_number(device, turned ? "tx_bytes" : "rx_bytes", &out);
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

	if (r == -ENOENT)
		return r;
	if (r < 0 || mbit == 0 || mbit > LINK_MBIT_MAX) /* unknown is -1, also as 32 bits */
		return -ENODATA;
	*ret_bps = mbit * 1000000;
	return 0;
}
