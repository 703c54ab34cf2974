/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * virt_xml_disk - a <disk> of a domain XML: its limits, and where an RBD image lies.
 */
#include <stdio.h>
#include <string.h>

#include "qosd/core/mem.h"
#include "qosd/host/virt_xml_node.h"

/* 0 where there is none. */
static uint64_t read_u64(const xmlNode *parent, const char *name)
{
	char *text CLEANUP_FREE = node_content(node_child(parent, name), 32);
	uint64_t value = 0;

	return text && node_parse_number(text, UINT64_MAX, &value) == 0 ? value : 0;
}

/* In the order of KNOB_DISK_READ_IOPS..; a burst of one of a unit's limits is the unit's. */
static void read_tune(const xmlNode *iotune, uint64_t tune[GUEST_TUNES])
{
	static const struct {
		const char *name, *burst, *length;
	} names[GUEST_LIMITS] = {
#define NAMES(what) { what, what "_max", what "_max_length" }
		NAMES("read_iops_sec"),  NAMES("write_iops_sec"),  NAMES("total_iops_sec"),
		NAMES("read_bytes_sec"), NAMES("write_bytes_sec"), NAMES("total_bytes_sec"),
#undef NAMES
	};

	for (size_t i = 0; iotune && i < GUEST_LIMITS; i++) {
		uint64_t *burst = &tune[GUEST_LIMITS + i / 3], *length = &tune[GUEST_TUNES - 1];

		tune[i] = read_u64(iotune, names[i].name);
		if (!*burst)
			*burst = read_u64(iotune, names[i].burst);
		if (!*length)
			*length = read_u64(iotune, names[i].length);
	}
}

static bool is_fixed_disk(const xmlNode *node)
{
	char device[16], type[16];

	node_copy_attribute(node, "type", type, sizeof(type));
	if (node_copy_attribute(node, "device", device, sizeof(device)) &&
	    strcmp(device, "disk") != 0 && strcmp(device, "lun") != 0)
		return false;
	return strcmp(type, "vhostuser") != 0 && strcmp(type, "vhostvdpa") != 0;
}

void virt_xml_read_disk(const xmlNode *node, struct guest_disk *disk)
{
	static const char *const names[] = { "name", "file", "dev", "dir", "volume" };
	const xmlNode *source = node_child(node, "source");

	memset(disk, 0, sizeof(*disk));
	node_copy_attribute(node_child(node, "target"), "dev", disk->target, sizeof(disk->target));
	node_copy_attribute(node_child(node, "driver"), "cache", disk->cache, sizeof(disk->cache));
	disk->rbd = node_attribute_is(source, "protocol", "rbd");
	disk->fixed = is_fixed_disk(node);
	read_tune(node_child(node, "iotune"), disk->tune);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (node_copy_attribute(source, names[i], disk->source, sizeof(disk->source)))
			break;
}

/* ---- RBD ---- */

#define RBD_NAME_MAX 320

/* A part of pool/namespace/image; "" where it does not fit: then nothing is looked up. */
static void copy_part(char *to, size_t size, const char *from, size_t len)
{
	if (len >= size)
		len = 0;
	memcpy(to, from, len);
	to[len] = '\0';
}

/* "pool/image" or "pool/namespace/image" */
static void read_rbd_name(const char *name, struct guest_rbd *rbd)
{
	const char *first = strchr(name, '/'), *last = strrchr(name, '/');

	if (!first)
		return;
	copy_part(rbd->pool, sizeof(rbd->pool), name, (size_t)(first - name));
	if (last > first)
		copy_part(rbd->ns, sizeof(rbd->ns), first + 1, (size_t)(last - first - 1));
	copy_part(rbd->image, sizeof(rbd->image), last + 1, strlen(last + 1));
}

/* One more "host:port"; those that do not fit any more are left out. */
static void add_monitor(const xmlNode *host, char *list, size_t size)
{
	char name[128], port[8];
	size_t len = strlen(list), more;

	if (!node_copy_attribute(host, "name", name, sizeof(name)))
		return;
	node_copy_attribute(host, "port", port, sizeof(port));
	more = strlen(name) + strlen(port) + 2;
	if (len + more < size)
		snprintf(list + len, size - len, "%s%s%s%s", len ? "," : "", name,
			 port[0] ? ":" : "", port);
}

void virt_xml_read_rbd(const xmlNode *node, uint32_t disk, struct guest_rbd *rbd)
{
	const xmlNode *source = node_child(node, "source"), *n;
	char *name CLEANUP_FREE = node_attribute(source, "name", RBD_NAME_MAX);
	const xmlNode *auth = node_child(source, "auth");

	memset(rbd, 0, sizeof(*rbd));
	rbd->disk = disk;
	if (name)
		read_rbd_name(name, rbd);
	/* libvirt writes it where the domain's author had it. */
	node_copy_attribute(auth ? auth : node_child(node, "auth"), "username", rbd->user,
			    sizeof(rbd->user));
	node_copy_attribute(node_child(source, "snapshot"), "name", rbd->snapshot,
			    sizeof(rbd->snapshot));
	node_copy_attribute(node_child(source, "config"), "file", rbd->conf, sizeof(rbd->conf));
	for (n = source ? source->children : NULL; n; n = n->next)
		if (node_is(n, NULL, "host"))
			add_monitor(n, rbd->monitors, sizeof(rbd->monitors));
}
