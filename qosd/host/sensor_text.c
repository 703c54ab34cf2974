/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Lines of /proc/net/dev:
 *
 *	  vnet0: RX-BYTES packets errs drop fifo frame compressed multicast TX-BYTES packets ...
 */
#include <ctype.h>
#include <errno.h>
#include <string.h>

#include "qosd/host/sensor_priv.h"

#define FIELDS_BETWEEN 7 /* of received, after its bytes */

static int take_number(const char **p, uint64_t *ret)
{
	const char *s = *p;
	uint64_t v = 0;

	while (*s == ' ')
		s++;
	if (!isdigit((unsigned char)*s))
		return -EINVAL;
	for (; isdigit((unsigned char)*s); s++)
		if (__builtin_mul_overflow(v, 10, &v) ||
		    __builtin_add_overflow(v, (uint64_t)(*s - '0'), &v))
			return -EINVAL;
	*p = s;
	*ret = v;
	return 0;
}

int sensor_text_net_dev(const char **p, char device[GUEST_DEVICE_MAX], uint64_t *ret_rx,
			uint64_t *ret_tx)
{
	const char *s = *p, *end = strchr(s, '\n'), *colon;
	uint64_t rx, tx;

	if (!end)
		return -ENOENT;
	*p = end + 1;
	s += strspn(s, " ");
	/* A name may hold any character but '/', ':' and space; an alias as "eth0:1" is no device.
	 */
	colon = memchr(s, ':', (size_t)(end - s));
	if (!colon || colon == s || colon - s >= GUEST_DEVICE_MAX)
		return -EINVAL;
	memcpy(device, s, (size_t)(colon - s));
	device[colon - s] = '\0';
	s = colon + 1;
	if (take_number(&s, &rx) < 0)
		return -EINVAL;
	for (int i = 0; i < FIELDS_BETWEEN; i++)
		if (take_number(&s, &tx) < 0)
			return -EINVAL;
	if (take_number(&s, &tx) < 0)
		return -EINVAL;
	*ret_rx = rx;
	*ret_tx = tx;
	return 0;
}
