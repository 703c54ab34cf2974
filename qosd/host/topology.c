/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * All online CPUs count, also those that the daemon itself may not use: the host's guests may
 * (HWLOC_TOPOLOGY_FLAG_INCLUDE_DISALLOWED). Cores and caches get indices of their own, in hwloc's
 * order; a CPU without an L3 cache shares its "last-level cache" with its package. Where several
 * nodes hold a CPU (memory of two kinds), its node is the nearest one, then the first.
 */
#include <errno.h>
#include <hwloc.h>
#include <string.h>

#include "qosd/host/topology.h"

static uint32_t core_index(hwloc_obj_t pu)
{
	for (hwloc_obj_t o = pu->parent; o; o = o->parent)
		if (o->type == HWLOC_OBJ_CORE)
			return o->logical_index;
	return pu->logical_index;
}

static uint32_t cache_index(hwloc_topology_t topology, hwloc_obj_t pu)
{
	unsigned int caches = (unsigned int)hwloc_get_nbobjs_by_type(topology, HWLOC_OBJ_L3CACHE);

	for (hwloc_obj_t o = pu->parent; o; o = o->parent) {
		if (o->type == HWLOC_OBJ_L3CACHE)
			return o->logical_index;
		if (o->type == HWLOC_OBJ_PACKAGE)
			return caches + o->logical_index;
	}
	return caches;
}

static uint32_t node_of(hwloc_topology_t topology, hwloc_obj_t pu)
{
	hwloc_obj_t node = NULL, best = NULL;
	int best_size = 0;

	while ((node = hwloc_get_next_obj_by_type(topology, HWLOC_OBJ_NUMANODE, node))) {
		int size = hwloc_bitmap_weight(node->cpuset);

		if (!hwloc_bitmap_isset(node->cpuset, pu->os_index))
			continue;
		if (!best || size < best_size) {
			best = node;
			best_size = size;
		}
	}
	return best ? best->os_index : 0;
}

static int add_cpus(hwloc_topology_t topology, struct host *h, struct qerr *err)
{
	hwloc_obj_t pu = NULL;

	while ((pu = hwloc_get_next_obj_by_type(topology, HWLOC_OBJ_PU, pu))) {
		int r;

		if (pu->os_index >= CPUSET_MAX)
			return qerr_set(err, -E2BIG,
					"CPU %u is beyond the %d CPUs that qosd can handle",
					pu->os_index, CPUSET_MAX);
		r = host_add_cpu(h, pu->os_index, core_index(pu), cache_index(topology, pu),
				 node_of(topology, pu));
		if (r < 0)
			return qerr_set(err, r, "cannot note CPU %u: %s", pu->os_index,
					strerror(-r));
	}
	return 0;
}

static int add_nodes(hwloc_topology_t topology, struct host *h, struct qerr *err)
{
	hwloc_obj_t node = NULL;

	while ((node = hwloc_get_next_obj_by_type(topology, HWLOC_OBJ_NUMANODE, node))) {
		int r = host_add_node(h, node->os_index, node->attr->numanode.local_memory);

		if (r < 0)
			return qerr_set(err, r, "cannot note NUMA node %u: %s", node->os_index,
					strerror(-r));
	}
	return 0;
}

static int load(hwloc_topology_t topology, const char *xml_path, struct qerr *err)
{
	const char *what = xml_path ? xml_path : "this machine";

	if (hwloc_topology_set_flags(topology, HWLOC_TOPOLOGY_FLAG_INCLUDE_DISALLOWED) < 0)
		return qerr_set(err, -errno, "hwloc refuses to show all CPUs: %s", strerror(errno));
	if (xml_path && hwloc_topology_set_xml(topology, xml_path) < 0)
		return qerr_set(err, errno ? -errno : -EINVAL,
				"%s cannot be read as an hwloc XML file: %s", what,
				strerror(errno));
	errno = 0;
	if (hwloc_topology_load(topology) < 0)
		return qerr_set(err, errno ? -errno : -EINVAL, "hwloc cannot read %s: %s", what,
				errno ? strerror(errno) : "not a topology");
	return 0;
}

static int convert(hwloc_topology_t topology, struct host *h, struct qerr *err)
{
	int r = add_nodes(topology, h, err);

	if (r < 0)
		return r;
	r = add_cpus(topology, h, err);
	if (r < 0)
		return r;
	r = host_finish(h);
	return r < 0 ? qerr_set(err, r, "the topology has no CPU") : 0;
}

int topology_read(const char *xml_path, struct host **ret, struct qerr *err)
{
	hwloc_topology_t topology;
	struct host *h;
	int r;

	if (hwloc_topology_init(&topology) < 0)
		return qerr_set(err, -ENOMEM, "hwloc cannot start: %s", strerror(errno));
	r = load(topology, xml_path, err);
	if (r < 0)
		goto destroy;
	h = host_new();
	if (!h) {
		r = qerr_set(err, -ENOMEM, "no memory for the topology");
		goto destroy;
	}
	r = convert(topology, h, err);
	if (r < 0)
		host_free(h);
	else
		*ret = h;
destroy:
	hwloc_topology_destroy(topology);
	return r;
}
