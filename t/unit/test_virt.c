/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_virt - guests come and go, their classes, and the adapter's own life. */
#include "t/unit/virt_bench.h"

/* ---- inventory ---- */

static void test_connects(void)
{
	struct fixture f = start_default();
	struct guest *g = find(&f, "test");

	CU_ASSERT_EQUAL(virt_state(f.v), VIRT_CONNECTED);
	ASSERT_STR(virt_state_name(virt_state(f.v)), "connected");
	CU_ASSERT_EQUAL(f.inv->count, 1);
	CU_ASSERT_PTR_NOT_NULL_FATAL(g);
	CU_ASSERT_EQUAL(g->id, 1);
	CU_ASSERT_EQUAL(g->vcpus, 2);
	CU_ASSERT_EQUAL(g->memory_bytes, UINT64_C(8) << 30);
	stop(&f);
}

static bool has_version(struct fixture *f)
{
	return virt_version(f->v) != 0;
}

static void test_version(void)
{
	struct fixture f = start_default();
	unsigned long ours = 0;

	CU_ASSERT_EQUAL(virGetVersion(&ours, NULL, NULL), 0); /* the test driver runs in here */
	CU_ASSERT(until(&f, has_version));
	CU_ASSERT_EQUAL(virt_version(f.v), ours);
	stop(&f);
}

static bool has_a(struct fixture *f)
{
	return find(f, "a") != NULL;
}

static bool lacks_a(struct fixture *f)
{
	return find(f, "a") == NULL;
}

static void test_start_stop(void)
{
	struct fixture f = start_default();
	virConnectPtr operator= virConnectOpen(URI);
	struct guest *test = guest_ref(find(&f, "test"));
	virDomainPtr dom;
	uint32_t first;

	dom = virDomainCreateXML(operator, XML("a", UUID_A), 0);
	CU_ASSERT_FATAL(until(&f, has_a));
	CU_ASSERT_EQUAL(f.inv->count, 2);
	CU_ASSERT_PTR_EQUAL(find(&f, "test"), test); /* unchanged: the very same */
	first = find(&f, "a")->id;
	virDomainDestroy(dom);
	virDomainFree(dom);
	CU_ASSERT_FATAL(until(&f, lacks_a));
	CU_ASSERT_PTR_EQUAL(find(&f, "test"), test);

	dom = virDomainCreateXML(operator, XML("a", UUID_A), 0);
	CU_ASSERT_FATAL(until(&f, has_a));
	CU_ASSERT(find(&f, "a")->id > first); /* another incarnation */
	virDomainSuspend(dom);
	virt_refresh(f.v, NULL);
	usleep(3 * VIRT_COALESCE_US);
	collect(&f);
	CU_ASSERT(find(&f, "a") != NULL); /* paused guests are guests */
	virDomainDestroy(dom);
	virDomainFree(dom);
	CU_ASSERT(until(&f, lacks_a));
	guest_unref(test);
	virConnectClose(operator);
	stop(&f);
}

/* Destroyed again before it can be looked at: nothing but its absence. */
static void test_short_lives(void)
{
	struct fixture f = start_default();
	virConnectPtr operator= virConnectOpen(URI);

	for (int i = 0; i < 50; i++) {
		virDomainPtr dom = virDomainCreateXML(operator, XML("a", UUID_A), 0);

		CU_ASSERT_PTR_NOT_NULL_FATAL(dom);
		virDomainDestroy(dom);
		virDomainFree(dom);
	}
	usleep(2 * VIRT_COALESCE_US);
	CU_ASSERT(until(&f, lacks_a));
	CU_ASSERT_EQUAL(virt_state(f.v), VIRT_CONNECTED);
	CU_ASSERT(f.taken < 30); /* 100 events, coalesced */
	virConnectClose(operator);
	stop(&f);
}

static void test_no_change_no_inventory(void)
{
	struct fixture f = start_default();
	unsigned int taken = f.taken;

	for (int i = 0; i < 3; i++) {
		virt_refresh(f.v, i ? find(&f, "test")->uuid : NULL);
		usleep(3 * VIRT_COALESCE_US);
		collect(&f);
	}
	CU_ASSERT_EQUAL(f.taken, taken);
	virt_refresh(f.v, "no uuid");
	virt_refresh(f.v, "much too long for a uuid, which makes it a refresh of all guests");
	usleep(3 * VIRT_COALESCE_US);
	collect(&f);
	CU_ASSERT_EQUAL(virt_state(f.v), VIRT_CONNECTED);
	stop(&f);
}

#define MANY 300 /* more than are remembered one by one */

static bool has_many(struct fixture *f)
{
	return f->inv && f->inv->count == MANY + 1;
}

static bool has_one(struct fixture *f)
{
	return f->inv && f->inv->count == 1;
}

static void test_many_guests(void)
{
	struct fixture f = start_default();
	virConnectPtr operator= virConnectOpen(URI);
	virDomainPtr doms[MANY];
	char xml[512];

	for (int i = 0; i < MANY; i++) {
		snprintf(xml, sizeof(xml), XML("g%d", "11111111-2222-3333-4444-%012d"), i, i);
		doms[i] = virDomainCreateXML(operator, xml, 0);
		CU_ASSERT_PTR_NOT_NULL_FATAL(doms[i]);
	}
	CU_ASSERT(until(&f, has_many));
	for (size_t i = 1; i < f.inv->count; i++)
		CU_ASSERT(strcmp(f.inv->guests[i - 1]->name, f.inv->guests[i]->name) < 0);
	for (int i = 0; i < MANY; i++) {
		virDomainDestroy(doms[i]);
		virDomainFree(doms[i]);
	}
	CU_ASSERT(until(&f, has_one));
	virConnectClose(operator);
	stop(&f);
}

/* ---- class ---- */

static bool is_gold(struct fixture *f)
{
	const char *class_name = find(f, "test") ? find(f, "test")->class_name : NULL;

	return class_name && strcmp(class_name, "gold") == 0;
}

static bool is_silver(struct fixture *f)
{
	const char *class_name = find(f, "test") ? find(f, "test")->class_name : NULL;

	return class_name && strcmp(class_name, "silver") == 0;
}

static bool is_classless(struct fixture *f)
{
	return find(f, "test") && !find(f, "test")->class_name;
}

static void test_class(void)
{
	struct fixture f = start_default();
	virConnectPtr operator= virConnectOpen(URI);
	virDomainPtr dom = virDomainLookupByName(operator, "test");
	uint32_t id = find(&f, "test")->id;
	char uuid[GUEST_UUID_MAX];

	strcpy(uuid, find(&f, "test")->uuid);
	CU_ASSERT_EQUAL(
		virDomainSetMetadata(dom, VIR_DOMAIN_METADATA_ELEMENT,
				     "<qos class='gold'><set key='cpu.limit' value='50%'/></qos>",
				     "qosd", VIRT_QOS_URI, VIR_DOMAIN_AFFECT_LIVE),
		0);
	CU_ASSERT_FATAL(until(&f, is_gold));
	CU_ASSERT_EQUAL(find(&f, "test")->id, id);
	CU_ASSERT_EQUAL(find(&f, "test")->noverrides, 1);

	CU_ASSERT_EQUAL(virt_set_class(f.v, uuid, "silver", 77), 0);
	CU_ASSERT_FATAL(until(&f, one_done));
	CU_ASSERT_EQUAL(f.tickets[0], 77);
	CU_ASSERT_EQUAL(f.results[0], 0);
	CU_ASSERT_FATAL(until(&f, is_silver));
	CU_ASSERT_EQUAL(find(&f, "test")->noverrides, 1);

	CU_ASSERT_EQUAL(virt_set_class(f.v, uuid, NULL, 78), 0);
	CU_ASSERT_FATAL(until(&f, is_classless));
	CU_ASSERT_EQUAL(find(&f, "test")->noverrides, 1);
	virDomainSetMetadata(dom, VIR_DOMAIN_METADATA_ELEMENT, NULL, "qosd", VIRT_QOS_URI,
			     VIR_DOMAIN_AFFECT_LIVE | VIR_DOMAIN_AFFECT_CONFIG);
	virDomainFree(dom);
	virConnectClose(operator);
	stop(&f);
}

static void test_class_of_nobody(void)
{
	struct fixture f = start_default();

	CU_ASSERT_EQUAL(virt_set_class(f.v, UUID_A, "gold", 5), 0);
	CU_ASSERT_FATAL(until(&f, one_done));
	CU_ASSERT_EQUAL(f.results[0], -ENOENT);
	CU_ASSERT(f.texts[0][0] != '\0');
	stop(&f);
}

/* ---- life ---- */

static void test_unreachable(void)
{
	struct fixture f = start(&(struct virt_config){ .uri = "test:///nonexistent/node.xml" });
	struct diag_list findings = { 0 };
	uint64_t begin;
	struct qerr err = { 0 };
	struct guest g = { .id = 1, .name = (char *)"x" };
	struct change c = pin_to(&g, TARGET_EMULATOR, 0, 0);

	usleep(100000);
	collect(&f);
	CU_ASSERT_PTR_NULL(f.inv);
	CU_ASSERT_EQUAL(virt_state(f.v), VIRT_CONNECTING);
	virt_adapter(f.v)->ops->probe(virt_adapter(f.v), &findings);
	CU_ASSERT_FATAL(findings.count >= 1);
	CU_ASSERT_EQUAL(findings.items[0].severity, DIAG_ERROR);
	CU_ASSERT_PTR_NOT_NULL(
		strstr(findings.items[0].text, "cannot connect to test:///nonexistent"));
	diag_clear(&findings);
	CU_ASSERT_EQUAL(virt_adapter(f.v)->ops->apply(virt_adapter(f.v), &c, 1, &err), -EAGAIN);
	CU_ASSERT_EQUAL(virt_set_class(f.v, UUID_A, "gold", 1), -EAGAIN);
	begin = virt_now_us();
	stop(&f);
	CU_ASSERT(virt_now_us() - begin < 1000000); /* back-off does not delay the end */
}

static void test_one_at_a_time(void)
{
	struct fixture f = start_default();
	struct virt *second = NULL;
	struct qerr err = { 0 };

	CU_ASSERT_EQUAL(virt_new(&(struct virt_config){ .uri = URI }, &second, &err), -EBUSY);
	CU_ASSERT_PTR_NULL(second);
	stop(&f);
	virt_free(NULL, 0);
}

static void test_many_lives(void)
{
	for (int i = 0; i < 20; i++) {
		struct fixture f = start(&(struct virt_config){ .uri = URI });

		if (i % 2)
			CU_ASSERT(until(&f, has_inventory));
		stop(&f);
	}
}

static const struct test tests[] = {
	{ "connects and lists", test_connects },
	{ "libvirt's version", test_version },
	{ "guests start and stop", test_start_stop },
	{ "short lives", test_short_lives },
	{ "many guests", test_many_guests },
	{ "nothing new, nothing published", test_no_change_no_inventory },
	{ "the class in the metadata", test_class },
	{ "the class of a guest that is not there", test_class_of_nobody },
	{ "libvirt cannot be reached", test_unreachable },
	{ "one at a time", test_one_at_a_time },
	{ "many lives", test_many_lives },
};

int main(void)
{
	return harness_run("virt", tests, ARRAY_SIZE(tests));
}
