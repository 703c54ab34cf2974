/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * virt_xml - a domain XML (libvirt's own, or what a hook hands over) read into a guest.
 *
 * Parts of it come from tenants or other tools, so it is read without trust: at most VIRT_XML_MAX
 * bytes, no DOCTYPE (hence no entities), no network, and bounds on every text and list. Name and
 * uuid must be sound. What is optional and too long or malformed is left out, so that one odd
 * device does not hide a guest. Sizes are bytes.
 */
#include <ctype.h>
#include <errno.h>
#include <libxml/parser.h>
#include <libxml/tree.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "qosd/core/mem.h"
#include "qosd/host/virt_priv.h"
#include "qosd/host/virt_xml_node.h"

#define TITLE_MAX        512
#define CLASS_MAX        64
#define OVERRIDES_MAX    32
#define OVERRIDE_KEY_MAX 64
#define OVERRIDE_VAL_MAX 128
#define NOVA_NAME_MAX    256
#define NICS_MAX         128
#define DISKS_MAX        512
#define VCPUS_MAX        4096
#define UNLIMITED_BYTES  (UINT64_C(1) << 62) /* libvirt writes 2^53-1 KiB for no limit */

/* ---- size ---- */

static uint64_t unit_bytes(const char *unit)
{
	static const struct {
		const char *name;
		uint64_t bytes;
	} units[] = {
		{ "b", 1 },
		{ "bytes", 1 },
		{ "KB", 1000 },
		{ "k", 1024 },
		{ "KiB", 1024 },
		{ "MB", 1000000 },
		{ "M", UINT64_C(1) << 20 },
		{ "MiB", UINT64_C(1) << 20 },
		{ "GB", 1000000000 },
		{ "G", UINT64_C(1) << 30 },
		{ "GiB", UINT64_C(1) << 30 },
		{ "TB", UINT64_C(1000000000000) },
		{ "T", UINT64_C(1) << 40 },
		{ "TiB", UINT64_C(1) << 40 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(units); i++)
		if (strcmp(unit, units[i].name) == 0)
			return units[i].bytes;
	return 0;
}

/* A size in bytes. 0 or -EINVAL. */
static int read_size(const xmlNode *node, uint64_t *ret)
{
	char *text CLEANUP_FREE = node_content(node, 32);
	char *unit CLEANUP_FREE = node_attribute(node, "unit", 8);
	uint64_t scale = unit_bytes(unit ? unit : "KiB"), value;

	if (!text || !scale || node_parse_number(text, UINT64_MAX / scale, &value) < 0)
		return -EINVAL;
	*ret = value * scale;
	return 0;
}

static int read_memory(const xmlNode *root, struct guest *g, struct qerr *err)
{
	if (read_size(node_child(root, "memory"), &g->memory_bytes) < 0)
		return qerr_set(err, -EINVAL, "guest %s: its memory size is missing or malformed",
				g->name);
	if (read_size(node_child(root, "currentMemory"), &g->current_bytes) < 0)
		g->current_bytes = g->memory_bytes;
	if (read_size(node_child(node_child(root, "memtune"), "hard_limit"), &g->hard_limit_bytes) <
		    0 ||
	    g->hard_limit_bytes >= UNLIMITED_BYTES)
		g->hard_limit_bytes = 0;
	return 0;
}

static int read_vcpus(const xmlNode *root, struct guest *g, struct qerr *err)
{
	const xmlNode *node = node_child(root, "vcpu");
	char *most CLEANUP_FREE = node_content(node, 16);
	char *now CLEANUP_FREE = node_attribute(node, "current", 16);
	uint64_t value;

	if (!most || node_parse_number(now ? now : most, VCPUS_MAX, &value) < 0 || value == 0)
		return qerr_set(err, -EINVAL,
				"guest %s: its number of vCPUs is missing or malformed", g->name);
	g->vcpus = (uint32_t)value;
	return 0;
}

/* ---- identity ---- */

static bool uuid_sound(const char *uuid)
{
	for (size_t i = 0; i < GUEST_UUID_MAX - 1; i++) {
		bool dash = i == 8 || i == 13 || i == 18 || i == 23;

		if (dash ? uuid[i] != '-' : !isxdigit((unsigned char)uuid[i]))
			return false;
	}
	return uuid[GUEST_UUID_MAX - 1] == '\0';
}

static int read_identity(const xmlNode *root, struct guest *g, struct qerr *err)
{
	char *uuid CLEANUP_FREE = node_content(node_child(root, "uuid"), GUEST_UUID_MAX);

	g->name = node_content(node_child(root, "name"), GUEST_NAME_MAX);
	if (!g->name)
		return qerr_set(
			err, -EINVAL,
			"a guest's name is missing, longer than %d bytes or has control characters",
			GUEST_NAME_MAX - 1);
	if (!uuid || !uuid_sound(uuid))
		return qerr_set(err, -EINVAL, "guest %s: its uuid is missing or malformed",
				g->name);
	for (size_t i = 0; i < GUEST_UUID_MAX; i++)
		g->uuid[i] = (char)tolower((unsigned char)uuid[i]);
	g->title = node_content(node_child(root, "title"), TITLE_MAX);
	return 0;
}

/* ---- metadata ---- */

static int add_override(struct guest *g, size_t *capacity, const xmlNode *node)
{
	struct guest_override o = { .key = node_attribute(node, "key", OVERRIDE_KEY_MAX),
				    .value = node_attribute(node, "value", OVERRIDE_VAL_MAX) };

	if (!o.key || !o.value ||
	    mem_grow(&g->overrides, capacity, g->noverrides + 1, sizeof(o)) < 0) {
		bool out_of_memory = o.key && o.value;

		free(o.key);
		free(o.value);
		return out_of_memory ? -ENOMEM : 0;
	}
	g->overrides[g->noverrides++] = o;
	return 0;
}

/* <qosd:qos class="gold"><qosd:set key="cpu.limit" value="50%"/></qosd:qos> */
static int read_qos(const xmlNode *metadata, struct guest *g)
{
	const xmlNode *qos = node_child_ns(metadata, VIRT_QOS_URI, "qos");
	xmlNode *n;
	size_t capacity = 0;
	int r = 0;

	if (!qos)
		return 0;
	g->class_name = node_attribute(qos, "class", CLASS_MAX);
	for (n = qos->children; n && r == 0 && g->noverrides < OVERRIDES_MAX; n = n->next)
		if (node_is(n, VIRT_QOS_URI, "set") || node_is(n, NULL, "set"))
			r = add_override(g, &capacity, n);
	return r;
}

static void read_nova(const xmlNode *metadata, struct guest *g)
{
	static const char *const namespaces[] = {
		"http://openstack.org/xmlns/libvirt/nova/1.1",
		"http://openstack.org/xmlns/libvirt/nova/1.0",
	};

	for (size_t i = 0; i < ARRAY_SIZE(namespaces); i++) {
		const char *ns = namespaces[i];
		const xmlNode *instance = node_child_ns(metadata, ns, "instance"), *project;

		if (!instance)
			continue;
		project = node_child_ns(node_child_ns(instance, ns, "owner"), ns, "project");
		g->flavor = node_attribute(node_child_ns(instance, ns, "flavor"), "name",
					   NOVA_NAME_MAX);
		g->project = node_content(project, NOVA_NAME_MAX);
		if (!g->project)
			g->project = node_attribute(project, "uuid", NOVA_NAME_MAX);
		return;
	}
}

/* ---- devices ---- */

/* A name that can be a network device and a path component. */
static bool device_sound(const char *name)
{
	if (!strcmp(name, ".") || !strcmp(name, ".."))
		return false;
	for (; *name; name++)
		if (*name == '/' || *name == ':' || isspace((unsigned char)*name))
			return false;
	return true;
}

static void copy_device(const xmlNode *node, const char *name, char buf[GUEST_DEVICE_MAX])
{
	if (!node_copy_attribute(node, name, buf, GUEST_DEVICE_MAX) || !device_sound(buf))
		buf[0] = '\0';
}

static bool has_host_device(const char *type)
{
	static const char *const without[] = { "vhostuser", "hostdev", "vdpa", "user" };

	for (size_t i = 0; i < ARRAY_SIZE(without); i++)
		if (strcmp(type, without[i]) == 0)
			return false;
	return true;
}

/* libvirt writes parts of a PCI address as "0x1f". */
static bool read_hex(const xmlNode *node, const char *name, uint32_t most, uint32_t *ret)
{
	char *text CLEANUP_FREE = node_attribute(node, name, 12);
	unsigned long value;
	char *end;

	if (!text || strncmp(text, "0x", 2) != 0 || !isxdigit((unsigned char)text[2]))
		return false;
	value = strtoul(text + 2, &end, 16);
	*ret = (uint32_t)value;
	return !*end && value <= most;
}

/* <address type='pci' domain='0x0000' bus='0x3b' slot='0x02' function='0x1'/> */
static void read_pci(const xmlNode *source, struct guest_nic *nic)
{
	const xmlNode *address = node_child(source, "address");
	uint32_t domain, bus, slot, function;

	if (node_attribute_is(address, "type", "pci") &&
	    read_hex(address, "domain", 0xfffffff, &domain) &&
	    read_hex(address, "bus", 0xff, &bus) && read_hex(address, "slot", 0x1f, &slot) &&
	    read_hex(address, "function", 7, &function))
		snprintf(nic->pci, sizeof(nic->pci), "%04x:%02x:%02x.%x", domain & 0xfffffff,
			 bus & 0xff, slot & 0x1f, function & 7);
}

static void read_nic(const xmlNode *node, struct guest_nic *nic)
{
	const xmlNode *source = node_child(node, "source");

	memset(nic, 0, sizeof(*nic));
	node_copy_attribute(node, "type", nic->type, sizeof(nic->type));
	node_copy_attribute(node_child(node, "mac"), "address", nic->mac, sizeof(nic->mac));
	if (strcmp(nic->type, "hostdev") == 0)
		read_pci(source, nic);
	if (!has_host_device(nic->type))
		return;
	copy_device(node_child(node, "target"), "dev", nic->device);
	copy_device(source, "bridge", nic->bridge);
	if (!nic->bridge[0])
		copy_device(source, "dev", nic->bridge);
}

static uint32_t read_balloon(const xmlNode *balloon)
{
	if (!balloon || node_attribute_is(balloon, "model", "none"))
		return GUEST_BALLOON_NONE;
	return node_attribute_is(balloon, "autodeflate", "on") ? GUEST_BALLOON_SAFE
							       : GUEST_BALLOON_PLAIN;
}

static int add_nic(const xmlNode *node, struct guest *g, size_t *capacity)
{
	if (g->nnics == NICS_MAX)
		return 0;
	if (mem_grow(&g->nics, capacity, g->nnics + 1, sizeof(*g->nics)) < 0)
		return -ENOMEM;
	read_nic(node, &g->nics[g->nnics++]);
	return 0;
}

static int add_disk(const xmlNode *node, struct guest *g, size_t *capacity, size_t *rbd_capacity)
{
	struct guest_disk *disk;

	if (g->ndisks == DISKS_MAX)
		return 0;
	if (mem_grow(&g->disks, capacity, g->ndisks + 1, sizeof(*g->disks)) < 0)
		return -ENOMEM;
	disk = &g->disks[g->ndisks];
	virt_xml_read_disk(node, disk);
	if (disk->rbd) {
		if (mem_grow(&g->rbds, rbd_capacity, g->nrbds + 1, sizeof(*g->rbds)) < 0)
			return -ENOMEM;
		virt_xml_read_rbd(node, (uint32_t)g->ndisks, &g->rbds[g->nrbds++]);
	}
	g->ndisks++;
	return 0;
}

static int read_devices(const xmlNode *devices, struct guest *g)
{
	size_t nics = 0, disks = 0, rbds = 0;
	int r = 0;

	g->balloon = read_balloon(node_child(devices, "memballoon"));
	for (const xmlNode *n = devices ? devices->children : NULL; n && r == 0; n = n->next) {
		if (node_is(n, NULL, "interface"))
			r = add_nic(n, g, &nics);
		else if (node_is(n, NULL, "disk"))
			r = add_disk(n, g, &disks, &rbds);
	}
	return r;
}

/* ---- the whole ---- */

static int read_domain(const xmlNode *root, struct guest *g, struct qerr *err)
{
	const xmlNode *metadata = node_child(root, "metadata");
	int r = read_identity(root, g, err);

	if (r == 0)
		r = read_memory(root, g, err);
	if (r == 0)
		r = read_vcpus(root, g, err);
	if (r < 0)
		return r;
	read_nova(metadata, g);
	r = read_qos(metadata, g);
	if (r == 0)
		r = read_devices(node_child(root, "devices"), g);
	return r == 0 ? 0 : qerr_set(err, r, "out of memory for guest %s", g->name);
}

/* Called at a DOCTYPE. libvirt never writes one. */
static void refuse_doctype(void *context, const xmlChar *name, const xmlChar *external,
			   const xmlChar *system)
{
	(void)name, (void)external, (void)system;
	xmlStopParser(context);
}

static xmlDoc *parse_document(const char *xml, size_t len)
{
	xmlParserCtxt *context = xmlNewParserCtxt();
	xmlDoc *doc;

	if (!context)
		return NULL;
	context->sax->internalSubset = refuse_doctype;
	doc = xmlCtxtReadMemory(context, xml, (int)len, "domain.xml", NULL,
				XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING);
	xmlFreeParserCtxt(context);
	return doc;
}

int virt_parse_domain_xml(const char *xml, size_t len, struct guest **ret, struct qerr *err)
{
	const xmlNode *root;
	struct guest *g;
	xmlDoc *doc;
	int r;

	if (len > VIRT_XML_MAX)
		return qerr_set(err, -E2BIG, "a domain XML of %zu bytes is longer than %zu", len,
				VIRT_XML_MAX);
	doc = parse_document(xml, len);
	root = doc ? xmlDocGetRootElement(doc) : NULL;
	if (!root || !node_is(root, NULL, "domain")) {
		xmlFreeDoc(doc);
		return qerr_set(err, -EINVAL, "this is not a domain XML");
	}
	g = guest_new();
	r = g ? read_domain(root, g, err) : qerr_set(err, -ENOMEM, "out of memory");
	xmlFreeDoc(doc);
	if (r < 0)
		guest_unref(g);
	else
		*ret = g;
	return r;
}
