/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Byte counters of guests' NICs and of uplinks, all from one pass over /proc/net/dev.
 *
 * That file is made without the network's big lock (RTNL), which adding a tap or asking a driver
 * for its speed can hold for long; netlink and the speed in sysfs wait for it. So an uplink's
 * speed, where the policy does not give it, is asked rarely.
 *
 * A tap's own view is turned to the guest's: what the host sends into a tap, the guest receives.
 * A macvtap counts as its guest does.
 */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "qosd/core/mem.h"
#include "qosd/host/sensor_priv.h"

#define BUFFER_BYTES     16384
#define SPEED_AGE_US     30000000 /* a renegotiated link is noticed within this */
#define BITS_PER_MEGABIT 1000000

int sensor_link_open(struct sensor_link *l, int proc_fd, const char *sys)
{
	char path[512];

	l->class_fd = -1;
	/* Not self/net: a thread's namespace is the process's here. */
	l->dev_fd = openat(proc_fd, "net/dev", O_RDONLY | O_CLOEXEC);
	if ((size_t)snprintf(path, sizeof(path), "%s/class/net", sys) < sizeof(path))
		l->class_fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	l->buf = malloc(BUFFER_BYTES);
	return l->buf ? 0 : -ENOMEM;
}

void sensor_link_close(struct sensor_link *l)
{
	if (l->dev_fd >= 0)
		close(l->dev_fd);
	if (l->class_fd >= 0)
		close(l->class_fd);
	free(l->buf);
	free(l->nics);
}

/* ---- the index ---- */

bool sensor_link_take_uplinks(struct sensor_link *l, const struct policy *policy)
{
	bool changed = false;
	size_t n = 0;

	for (size_t i = 0; i < policy->nnetworks && n < SAMPLE_UPLINKS_MAX; i++) {
		const char *device = policy->networks[i].uplink;
		struct sensor_uplink *u = &l->uplinks[n];

		if (!device || !device[0] || strlen(device) >= sizeof(u->device))
			continue;
		if (n >= l->nuplinks || strcmp(u->device, device) != 0) {
			*u = (struct sensor_uplink){ .asked_bps = SAMPLE_UNKNOWN };
			strcpy(u->device, device);
			changed = true;
		}
		u->given_bps = policy->networks[i].rate_bps;
		n++;
	}
	changed |= n != l->nuplinks;
	l->nuplinks = n;
	return changed;
}

static int by_device(const void *a, const void *b)
{
	return strcmp(((const struct sensor_nic *)a)->device,
		      ((const struct sensor_nic *)b)->device);
}

static int add(struct sensor_link *l, const struct sensor_nic *nic)
{
	int r = mem_grow(&l->nics, &l->capacity, l->nnics + 1, sizeof(*l->nics));

	if (r == 0)
		l->nics[l->nnics++] = *nic;
	return r;
}

static int add_guest(struct sensor_link *l, const struct guest *g, uint32_t slot)
{
	struct sensor_nic nic = { .slot = slot,
				  .in_bytes = SAMPLE_UNKNOWN,
				  .out_bytes = SAMPLE_UNKNOWN };
	int r = 0;

	for (size_t i = 0; r == 0 && i < g->nnics; i++) {
		if (!g->nics[i].device[0])
			continue;
		memcpy(nic.device, g->nics[i].device, sizeof(nic.device));
		nic.macvtap = strcmp(g->nics[i].type, "direct") == 0;
		r = add(l, &nic);
	}
	return r;
}

int sensor_link_index(struct sensor_link *l, const struct inventory *inv)
{
	int r = 0;

	l->nnics = 0;
	for (size_t i = 0; r == 0 && inv && i < inv->count; i++)
		r = add_guest(l, inv->by_id[i], (uint32_t)i);
	for (size_t i = 0; r == 0 && i < l->nuplinks; i++) {
		struct sensor_nic nic = { .slot = (uint32_t)i, .uplink = true };

		memcpy(nic.device, l->uplinks[i].device, sizeof(nic.device));
		r = add(l, &nic);
	}
	if (l->nnics)
		qsort(l->nics, l->nnics, sizeof(*l->nics), by_device);
	return r;
}

/* The first of its name: networks may share an uplink. NULL: none of ours. */
static struct sensor_nic *find(const struct sensor_link *l, const char *device)
{
	size_t low = 0, high = l->nnics;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (strcmp(l->nics[middle].device, device) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low < l->nnics && strcmp(l->nics[low].device, device) == 0 ? &l->nics[low] : NULL;
}

/* ---- reading ---- */

static void add_known(uint64_t *sum, uint64_t value)
{
	*sum = *sum == SAMPLE_UNKNOWN ? value : *sum + value;
}

static void count(struct sensor_nic *nic, uint64_t rx, uint64_t tx, struct sample *ret)
{
	bool turned = !nic->uplink && !nic->macvtap;
	uint64_t in = turned ? tx : rx, out = turned ? rx : tx;

	nic->in_bytes = in;
	nic->out_bytes = out;
	if (nic->uplink) {
		ret->uplinks[nic->slot].in_bytes = in;
		ret->uplinks[nic->slot].out_bytes = out;
	} else {
		add_known(&ret->guests[nic->slot].in_bytes, in);
		add_known(&ret->guests[nic->slot].out_bytes, out);
	}
}

static void take_line(const struct sensor_link *l, const char *device, uint64_t rx, uint64_t tx,
		      struct sample *ret)
{
	struct sensor_nic *nic = find(l, device);

	for (; nic && nic < l->nics + l->nnics && strcmp(nic->device, device) == 0; nic++)
		count(nic, rx, tx, ret);
}

static void read_counters(const struct sensor_link *l, struct sample *ret)
{
	char device[GUEST_DEVICE_MAX];
	size_t have = 0;
	off_t at = 0;
	ssize_t n;

	/* The kernel gives whole lines, but a file need not. */
	while ((n = pread(l->dev_fd, l->buf + have, BUFFER_BYTES - 1 - have, at)) > 0) {
		const char *p = l->buf;
		uint64_t rx, tx;
		int r;

		at += n;
		have += (size_t)n;
		l->buf[have] = '\0';
		while ((r = sensor_text_net_dev(&p, device, &rx, &tx)) != -ENOENT)
			if (r == 0)
				take_line(l, device, rx, tx, ret);
		have -= (size_t)(p - l->buf);
		memmove(l->buf, p, have);
		if (have == BUFFER_BYTES - 1)
			return;
	}
}

/* Mbit/s; a link that is down, or a virtual one, says -1 or fails. */
static uint64_t ask_speed(const struct sensor_link *l, const char *device)
{
	char path[64], text[32];
	uint64_t mbit = 0;
	int fd, r = -1;

	snprintf(path, sizeof(path), "%s/speed", device);
	fd = openat(l->class_fd, path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0) {
		r = sensor_read_fd(fd, text, sizeof(text));
		close(fd);
	}
	for (int i = 0; r > 0 && i < 9 && isdigit((unsigned char)text[i]); i++)
		mbit = mbit * 10 + (uint64_t)(text[i] - '0');
	return mbit ? mbit * BITS_PER_MEGABIT : SAMPLE_UNKNOWN;
}

static uint64_t uplink_rate(const struct sensor_link *l, struct sensor_uplink *u, uint64_t now_us)
{
	if (u->given_bps != POLICY_NONE_U64)
		return u->given_bps;
	if (!u->asked_at_us || now_us - u->asked_at_us >= SPEED_AGE_US) {
		u->asked_bps = ask_speed(l, u->device);
		u->asked_at_us = now_us;
	}
	return u->asked_bps;
}

void sensor_link_read(struct sensor_link *l, struct sample *ret)
{
	ret->nuplinks = l->nuplinks;
	for (size_t i = 0; i < l->nuplinks; i++)
		ret->uplinks[i] = (struct sample_uplink){
			.rate_bps = uplink_rate(l, &l->uplinks[i], ret->at_us),
			.in_bytes = SAMPLE_UNKNOWN,
			.out_bytes = SAMPLE_UNKNOWN,
		};
	for (size_t i = 0; i < l->nnics; i++)
		l->nics[i].in_bytes = l->nics[i].out_bytes = SAMPLE_UNKNOWN;
	if (l->dev_fd >= 0 && l->nnics)
		read_counters(l, ret);
}

int sensor_link_bytes(const struct sensor_link *l, const char *device, uint64_t *ret_in,
		      uint64_t *ret_out)
{
	const struct sensor_nic *nic = find(l, device);

	if (!nic || nic->in_bytes == SAMPLE_UNKNOWN)
		return -ENOENT;
	*ret_in = nic->in_bytes;
	*ret_out = nic->out_bytes;
	return 0;
}
