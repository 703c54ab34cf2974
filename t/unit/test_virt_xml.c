/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_virt_xml - domain XML read into guests; the class edited in metadata. */
#include <errno.h>

#include "qosd/host/virt_priv.h"
#include "t/unit/harness.h"

#define UUID "6695eb01-f6a4-8304-79aa-97f2502e193f"

static char *fixture(const char *name, size_t *len)
{
	static char data[1 << 16];
	const char *dir = getenv("FIXTURES");
	char path[512];
	FILE *file;

	snprintf(path, sizeof(path), "%s/xml/%s", dir ? dir : "t/fixtures", name);
	file = fopen(path, "r");
	*len = file ? fread(data, 1, sizeof(data) - 1, file) : 0;
	if (file)
		fclose(file);
	else
		perror(path);
	data[*len] = '\0';
	return data;
}

static struct guest *parse_fixture(const char *name)
{
	struct guest *g = NULL;
	struct qerr err = { 0 };
	size_t len;
	const char *xml = fixture(name, &len);

	CU_ASSERT_EQUAL(virt_parse_domain_xml(xml, len, &g, &err), 0);
	ASSERT_STR(err.text, "");
	CU_ASSERT_PTR_NOT_NULL_FATAL(g);
	return g;
}

static int parse_text(const char *xml)
{
	struct guest *g = NULL;
	struct qerr err = { 0 };
	int r = virt_parse_domain_xml(xml, strlen(xml), &g, &err);

	CU_ASSERT_EQUAL(r, err.code);
	CU_ASSERT((r == 0) == (g != NULL));
	guest_unref(g);
	return r;
}

/* What libvirt writes for no limit is none. */
static void test_hard_limit(void)
{
	static const struct {
		const char *memtune;
		uint64_t bytes;
	} cases[] = {
		{ "", 0 },
		{ "<memtune><hard_limit unit='KiB'>1048576</hard_limit></memtune>", 1 << 30 },
		{ "<memtune><soft_limit unit='KiB'>1048576</soft_limit></memtune>", 0 },
		{ "<memtune><hard_limit unit='G'>2</hard_limit></memtune>", UINT64_C(2) << 30 },
		{ "<memtune><hard_limit unit='KiB'>9007199254740991</hard_limit></memtune>", 0 },
		{ "<memtune><hard_limit>much</hard_limit></memtune>", 0 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct guest *g = NULL;
		char xml[512];
		int len = snprintf(xml, sizeof(xml),
				   "<domain><name>a</name><uuid>" UUID
				   "</uuid><memory>1</memory>%s<vcpu>1</vcpu></domain>",
				   cases[i].memtune);

		CU_ASSERT_EQUAL_FATAL(virt_parse_domain_xml(xml, (size_t)len, &g, NULL), 0);
		CU_ASSERT_EQUAL(g->hard_limit_bytes, cases[i].bytes);
		guest_unref(g);
	}
}

static void test_identity(void)
{
	struct guest *g = parse_fixture("nova.xml");

	ASSERT_STR(g->name, "instance-0000002a");
	ASSERT_STR(g->uuid, "8f2c1b7e-2f5a-4d0f-9a35-0c6a3d0d9b11");
	ASSERT_STR(g->title, "db <primary>");
	CU_ASSERT_EQUAL(g->vcpus, 3);
	CU_ASSERT_EQUAL(g->memory_bytes, UINT64_C(8) << 30);
	CU_ASSERT_EQUAL(g->pid, 0);
	guest_unref(g);
}

static void test_metadata(void)
{
	struct guest *g = parse_fixture("nova.xml");

	ASSERT_STR(g->flavor, "m1.large");
	ASSERT_STR(g->project, "billing");
	ASSERT_STR(g->class_name, "gold");
	CU_ASSERT_EQUAL_FATAL(g->noverrides, 2);
	ASSERT_STR(g->overrides[0].key, "cpu.limit");
	ASSERT_STR(g->overrides[0].value, "50%");
	ASSERT_STR(g->overrides[1].key, "net.limit");
	ASSERT_STR(g->overrides[1].value, "2Gbit");
	guest_unref(g);

	g = parse_fixture("nova10.xml");
	ASSERT_STR(g->flavor, "m1.tiny");
	ASSERT_STR(g->project, "4a4a");
	CU_ASSERT_EQUAL(g->memory_bytes, UINT64_C(512) << 20);
	guest_unref(g);

	g = parse_fixture("plain-set.xml");
	CU_ASSERT_PTR_NULL(g->class_name);
	CU_ASSERT_EQUAL_FATAL(g->noverrides, 1);
	ASSERT_STR(g->overrides[0].key, "cpu.weight");
	CU_ASSERT_EQUAL(g->memory_bytes, UINT64_C(2) << 30);
	guest_unref(g);
}

static void test_nics(void)
{
	static const char *const expected[][4] = {
		{ "bridge", "tap4f2a", "br-int", "52:54:00:12:34:56" },
		{ "network", "vnet0", "virbr0", "52:54:00:12:34:57" },
		{ "direct", "macvtap0", "eth1", "52:54:00:12:34:58" },
		{ "vhostuser", "", "", "52:54:00:12:34:59" },
		{ "hostdev", "", "", "52:54:00:12:34:5a" },
	};
	struct guest *g = parse_fixture("nova.xml");

	CU_ASSERT_EQUAL_FATAL(g->nnics, ARRAY_SIZE(expected));
	for (size_t i = 0; i < g->nnics; i++) {
		ASSERT_STR(g->nics[i].type, expected[i][0]);
		ASSERT_STR(g->nics[i].device, expected[i][1]);
		ASSERT_STR(g->nics[i].bridge, expected[i][2]);
		ASSERT_STR(g->nics[i].mac, expected[i][3]);
		CU_ASSERT_EQUAL(g->nics[i].ifindex, 0);
		ASSERT_STR(g->nics[i].pci,
			   strcmp(g->nics[i].type, "hostdev") == 0 ? "0000:03:10.0" : "");
		CU_ASSERT(!g->nics[i].vf);
	}
	guest_unref(g);
}

/* The PCI address of a NIC, with this source. */
static void assert_pci(const char *source, const char *expected)
{
	static const char format[] =
		"<domain><name>a</name><uuid>8f2c1b7e-0000-4000-8000-000000000001</uuid>"
		"<memory>65536</memory><vcpu>1</vcpu><devices><interface type='hostdev'>"
		"<source>%s</source></interface></devices></domain>";
	struct qerr err = { 0 };
	struct guest *g;
	char xml[1024];
	int n = snprintf(xml, sizeof(xml), format, source);

	CU_ASSERT_EQUAL_FATAL(virt_parse_domain_xml(xml, (size_t)n, &g, &err), 0);
	CU_ASSERT_EQUAL_FATAL(g->nnics, 1);
	ASSERT_STR(g->nics[0].pci, expected);
	guest_unref(g);
}

#define PCI(d, b, s, f)                                                                            \
	"<address type='pci' domain='" d "' bus='" b "' slot='" s "' function='" f "'/>"

static void test_pci(void)
{
	assert_pci(PCI("0x0000", "0x3b", "0x1f", "0x7"), "0000:3b:1f.7");
	assert_pci(PCI("0x10000", "0xE1", "0x0", "0x00"), "10000:e1:00.0");
	assert_pci(PCI("0xfffffff", "0xff", "0x1f", "0x7"), "fffffff:ff:1f.7");
	assert_pci(PCI("0x10000000", "0x3b", "0x1f", "0x7"), "");
	assert_pci(PCI("0x0000", "0x100", "0x1f", "0x7"), "");
	assert_pci(PCI("0x0000", "0x3b", "0x20", "0x7"), "");
	assert_pci(PCI("0x0000", "0x3b", "0x1f", "0x8"), "");
	assert_pci(PCI("0x0000", "0x-1", "0x1f", "0x7"), "");
	assert_pci(PCI("0x0000", "0x 1", "0x1f", "0x7"), "");
	assert_pci(PCI("0x0000", "0x3b/..", "0x1f", "0x7"), "");
	assert_pci(PCI("0x0000", "0x", "0x1f", "0x7"), "");
	assert_pci(PCI("0x0000", "59", "0x1f", "0x7"), "");
	assert_pci(PCI("0xffffffffffffffffffff", "0x3b", "0x1f", "0x7"), "");
	assert_pci("<address type='usb' domain='0x0' bus='0x1' slot='0x2' function='0x0'/>", "");
	assert_pci("<address type='pci' bus='0x1' slot='0x2' function='0x0'/>", "");
	assert_pci("", "");
}

static void test_disks(void)
{
	struct guest *g = parse_fixture("nova.xml");

	CU_ASSERT_EQUAL_FATAL(g->ndisks, 4);
	ASSERT_STR(g->disks[0].target, "vda");
	ASSERT_STR(g->disks[0].source, "vms/8f2c1b7e_disk");
	ASSERT_STR(g->disks[0].cache, "writeback");
	CU_ASSERT(g->disks[0].rbd);
	ASSERT_STR(g->disks[1].source, "/var/lib/libvirt/images/data.qcow2");
	ASSERT_STR(g->disks[1].cache, "");
	CU_ASSERT(!g->disks[1].rbd);
	ASSERT_STR(g->disks[2].source, "/dev/vg0/scratch");
	ASSERT_STR(g->disks[3].source, "");
	guest_unref(g);
}

static void test_odd_devices(void)
{
	struct guest *g = parse_fixture("odd-devices.xml");

	CU_ASSERT_PTR_NULL(g->title);
	CU_ASSERT_EQUAL(g->memory_bytes, 16 << 20);
	CU_ASSERT_EQUAL_FATAL(g->nnics, 4);
	for (size_t i = 0; i < g->nnics; i++)
		ASSERT_STR(g->nics[i].device, "");
	CU_ASSERT_EQUAL(g->ndisks, 1);
	guest_unref(g);
}

static void test_minimal(void)
{
	struct guest *g = parse_fixture("minimal.xml");

	ASSERT_STR(g->name, "tiny");
	CU_ASSERT_EQUAL(g->memory_bytes, 16 << 20); /* KiB when no unit is given */
	CU_ASSERT_PTR_NULL(g->class_name);
	CU_ASSERT_PTR_NULL(g->flavor);
	CU_ASSERT_EQUAL(g->nnics, 0);
	guest_unref(g);
}

static void test_no_doctype(void)
{
	size_t len;

	CU_ASSERT_EQUAL(parse_text(fixture("doctype.xml", &len)), -EINVAL);
	CU_ASSERT_EQUAL(parse_text(fixture("external.xml", &len)), -EINVAL);
}

static void test_refused(void)
{
	static const char *const bad[] = {
		"",
		"<domain",
		"<network><name>x</name></network>",
		"<domain/>",
		"<domain><name>x</name><uuid>no</uuid><memory>1</memory><vcpu>1</vcpu></domain>",
		"<domain><name>x</name><uuid>" UUID
		"0</uuid><memory>1</memory><vcpu>1</vcpu></domain>",
		"<domain><name>a&#10;b</name><uuid>" UUID
		"</uuid><memory>1</memory><vcpu>1</vcpu></domain>",
		"<domain><name/><uuid>" UUID "</uuid><memory>1</memory><vcpu>1</vcpu></domain>",
		"<domain><name>x</name><uuid>" UUID
		"</uuid><memory>-1</memory><vcpu>1</vcpu></domain>",
		"<domain><name>x</name><uuid>" UUID
		"</uuid><memory unit='parsec'>1</memory><vcpu>1</vcpu></domain>",
		"<domain><name>x</name><uuid>" UUID
		"</uuid><memory unit='TiB'>99999999</memory><vcpu>1</vcpu></domain>",
		"<domain><name>x</name><uuid>" UUID
		"</uuid><memory>1</memory><vcpu>0</vcpu></domain>",
		"<domain><name>x</name><uuid>" UUID
		"</uuid><memory>1</memory><vcpu>1e3</vcpu></domain>",
	};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		CU_ASSERT_EQUAL(parse_text(bad[i]), -EINVAL);
}

static void test_bounds(void)
{
	static char xml[VIRT_XML_MAX + 64];
	struct guest *g = NULL;
	size_t n;

	memset(xml, ' ', sizeof(xml));
	CU_ASSERT_EQUAL(virt_parse_domain_xml(xml, VIRT_XML_MAX + 1, &g, NULL), -E2BIG);

	n = (size_t)sprintf(xml,
			    "<domain><name>%0255d</name><uuid>" UUID "</uuid><memory>1</memory>"
			    "<vcpu>1</vcpu><metadata><qos xmlns='urn:qosd:1' class='%0100d'>",
			    1, 1);
	for (int i = 0; i < 100; i++)
		n += (size_t)sprintf(xml + n, "<set key='k%d' value='v'/>", i);
	n += (size_t)sprintf(xml + n, "<set key='%0200d' value='v'/></qos></metadata><devices>", 1);
	for (int i = 0; i < 1000; i++)
		n += (size_t)sprintf(xml + n, "<disk/><interface/>");
	n += (size_t)sprintf(xml + n, "</devices></domain>");
	CU_ASSERT_EQUAL(virt_parse_domain_xml(xml, n, &g, NULL), 0);
	CU_ASSERT_PTR_NOT_NULL_FATAL(g);
	CU_ASSERT_EQUAL(strlen(g->name), 255);
	CU_ASSERT_PTR_NULL(g->class_name);
	CU_ASSERT_EQUAL(g->noverrides, 32);
	CU_ASSERT_EQUAL(g->nnics, 128);
	CU_ASSERT_EQUAL(g->ndisks, 512);
	guest_unref(g);

	sprintf(xml,
		"<domain><name>%0256d</name><uuid>" UUID
		"</uuid><memory>1</memory><vcpu>1</vcpu></domain>",
		1);
	CU_ASSERT_EQUAL(parse_text(xml), -EINVAL);
}

static void assert_edit(const char *old, const char *class_name, const char *expected)
{
	char *text = NULL;

	CU_ASSERT_EQUAL(virt_metadata_edit(old, class_name, &text), 0);
	if (expected)
		ASSERT_STR(text, expected);
	else
		CU_ASSERT_PTR_NULL(text);
	free(text);
}

static void test_edit(void)
{
	char *text = NULL;

	assert_edit(NULL, "gold", "<qos class=\"gold\"/>");
	assert_edit(NULL, NULL, NULL);
	assert_edit("<qos class=\"gold\"/>", "bronze", "<qos class=\"bronze\"/>");
	assert_edit("<qos class=\"gold\"/>", NULL, NULL);
	assert_edit("<qos class=\"gold\"><set key=\"a\" value=\"b\"/></qos>", NULL,
		    "<qos><set key=\"a\" value=\"b\"/></qos>");
	assert_edit("<qos><set key=\"a\" value=\"b\"/></qos>", "gold",
		    "<qos class=\"gold\"><set key=\"a\" value=\"b\"/></qos>");
	assert_edit(NULL, "<&\">", "<qos class=\"&lt;&amp;&quot;&gt;\"/>");
	CU_ASSERT_EQUAL(virt_metadata_edit("<qos", "gold", &text), -EINVAL);
	CU_ASSERT_EQUAL(virt_metadata_edit("<!DOCTYPE qos []><qos/>", "gold", &text), -EINVAL);
}

#define RBD_DOMAIN(devices)                                                                        \
	"<domain><name>r</name><uuid>" UUID "</uuid><memory>1024</memory><vcpu>1</vcpu>"           \
	"<devices>" devices "</devices></domain>"

static struct guest *parse_rbd(const char *xml)
{
	struct guest *g = NULL;

	CU_ASSERT_EQUAL(virt_parse_domain_xml(xml, strlen(xml), &g, NULL), 0);
	CU_ASSERT_PTR_NOT_NULL_FATAL(g);
	return g;
}

static void test_rbd(void)
{
	struct guest *g = parse_rbd(RBD_DOMAIN(
		"<disk type='file' device='disk'><source file='/a'/><target dev='vda'/></disk>"
		"<disk type='network' device='disk'><driver name='qemu' cache='writeback'/>"
		"<auth username='libvirt'><secret type='ceph' uuid='x'/></auth>"
		"<source protocol='rbd' name='vms/disk-1'><host name='10.0.0.1' port='6789'/>"
		"<host name='10.0.0.2'/><snapshot name='s1'/><config file='/etc/ceph/vm.conf'/>"
		"</source><target dev='vdb'/></disk>"
		"<disk type='network' device='disk'><source protocol='rbd' name='p/n/i'>"
		"<auth username='cinder'/></source><target dev='vdc'/></disk>"
		"<disk type='network' device='disk'><source protocol='nbd' name='x/y'/>"
		"<target dev='vdd'/></disk>"));
	struct guest *copy = guest_with_class(g, "gold");

	CU_ASSERT_EQUAL(g->ndisks, 4);
	CU_ASSERT_EQUAL_FATAL(g->nrbds, 2);
	CU_ASSERT_PTR_NULL(guest_rbd_of(g, 0));
	CU_ASSERT_PTR_NULL(guest_rbd_of(g, 3));
	CU_ASSERT_PTR_EQUAL(guest_rbd_of(g, 1), &g->rbds[0]);
	ASSERT_STR(g->rbds[0].pool, "vms");
	ASSERT_STR(g->rbds[0].ns, "");
	ASSERT_STR(g->rbds[0].image, "disk-1");
	ASSERT_STR(g->rbds[0].snapshot, "s1");
	ASSERT_STR(g->rbds[0].user, "libvirt");
	ASSERT_STR(g->rbds[0].conf, "/etc/ceph/vm.conf");
	ASSERT_STR(g->rbds[0].monitors, "10.0.0.1:6789,10.0.0.2");
	ASSERT_STR(g->disks[1].cache, "writeback");
	ASSERT_STR(g->rbds[1].ns, "n");
	ASSERT_STR(g->rbds[1].image, "i");
	ASSERT_STR(g->rbds[1].user, "cinder");
	ASSERT_STR(g->rbds[1].conf, "");
	CU_ASSERT_EQUAL_FATAL(copy->nrbds, 2);
	CU_ASSERT_EQUAL(memcmp(copy->rbds, g->rbds, 2 * sizeof(*g->rbds)), 0);
	guest_unref(copy);
	guest_unref(g);
}

/* Names that do not fit, or are none, leave the disk without a place: nothing is looked up. */
static void test_rbd_odd(void)
{
	char xml[1024], longest[128];
	struct guest *g = parse_rbd(
		RBD_DOMAIN("<disk type='network'><source protocol='rbd' name='alone'/></disk>"
			   "<disk type='network'><source protocol='rbd'/></disk>"));

	CU_ASSERT_EQUAL(g->nrbds, 2);
	ASSERT_STR(g->rbds[0].pool, "");
	ASSERT_STR(g->rbds[1].image, "");
	guest_unref(g);
	memset(longest, 'a', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	snprintf(xml, sizeof(xml),
		 RBD_DOMAIN("<disk type='network'><source protocol='rbd' name='p/%s'/></disk>"),
		 longest);
	g = parse_rbd(xml);
	ASSERT_STR(g->rbds[0].pool, "p");
	ASSERT_STR(g->rbds[0].image, "");
	guest_unref(g);
}

static const struct test tests[] = {
	{ "where RBD images lie", test_rbd },
	{ "odd RBD names", test_rbd_odd },

	{ "identity and size", test_identity },
	{ "a hard limit of memory", test_hard_limit },
	{ "class, overrides, flavor and project", test_metadata },
	{ "network devices", test_nics },
	{ "the PCI address of one", test_pci },
	{ "disks", test_disks },
	{ "odd devices do not hide a guest", test_odd_devices },
	{ "the least that makes a domain", test_minimal },
	{ "no DOCTYPE, no entities", test_no_doctype },
	{ "what is refused", test_refused },
	{ "bounds", test_bounds },
	{ "editing the class keeps the rest", test_edit },
};

int main(void)
{
	return harness_run("virt_xml", tests, ARRAY_SIZE(tests));
}
