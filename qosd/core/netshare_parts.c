/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * netshare_parts - which NIC is on which network, and parts of NICs by their index.
 */
#include <stdlib.h>
#include <string.h>

#include "qosd/core/netshare.h"

/* ---- who is where ---- */

const char *netshare_uplink(const struct network *n)
{
	return n->uplink ? n->uplink : n->device;
}

bool netshare_told_apart(const struct network *n)
{
	return !portset_empty(&n->ports) || n->cgroup || (n->mark && n->mark != POLICY_NONE_U32);
}

uint32_t netshare_network_of(const struct policy *p, const struct guest_nic *nic)
{
	for (size_t i = 0; nic->bridge[0] && i < p->nnetworks; i++)
		if (!netshare_told_apart(&p->networks[i]) &&
		    strcmp(p->networks[i].device, nic->bridge) == 0)
			return (uint32_t)i;
	return NETSHARE_NONE;
}

/* A network that is being checked may lack its device. */
static bool same_uplink(const struct network *a, const struct network *b)
{
	const char *of_a = netshare_uplink(a), *of_b = netshare_uplink(b);

	return of_a && of_b && strcmp(of_a, of_b) == 0;
}

uint32_t netshare_line_of(const struct policy *p, uint32_t network)
{
	uint32_t i = 0;

	while (i < network && !same_uplink(&p->networks[i], &p->networks[network]))
		i++;
	return i;
}

/* ---- parts ---- */

static int compare_part(const void *key, const void *item)
{
	uint32_t ifindex = *(const uint32_t *)key, other = ((const struct nic_part *)item)->ifindex;

	return (ifindex > other) - (ifindex < other);
}

const struct nic_part *nic_parts_find(const struct nic_parts *parts, uint32_t ifindex)
{
	if (!parts || !parts->count)
		return NULL;
	return bsearch(&ifindex, parts->items, parts->count, sizeof(*parts->items), compare_part);
}

void nic_parts_free(struct nic_parts *parts)
{
	if (parts)
		free(parts->items);
	free(parts);
}

bool nic_parts_any(const struct nic_parts *parts)
{
	for (size_t i = 0; parts && i < parts->count; i++)
		for (size_t d = 0; d < NETSHARE_DIRECTIONS; d++)
			if (parts->items[i].rate_bps[d] != NETSHARE_FREE)
				return true;
	return false;
}
