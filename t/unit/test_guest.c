/* SPDX-License-Identifier: GPL-2.0-or-later */
/* guest - references, and the two orders of the inventory. */
#include "t/unit/harness.h"
#include "t/unit/make.h"

static void test_refs(void)
{
	struct guest *g = make_guest("web1", 1, 2, GIB);

	make_nic(g, "vnet0", 7);
	make_override(g, "cpu.limit", "50%");
	CU_ASSERT_PTR_EQUAL(guest_ref(g), g);
	guest_unref(g);
	ASSERT_STR(g->name, "web1");
	guest_unref(g);
	guest_unref(NULL);
	inventory_free(NULL);
}

static void test_order(void)
{
	static const char *const names[] = { "m", "b", "z", "a", "m", "k" };
	struct inventory *inv = inventory_new(1);

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		add_guest(inv, make_guest(names[i], (uint32_t)(100 - i), 1, GIB));
	CU_ASSERT_EQUAL(inv->count, ARRAY_SIZE(names));
	for (size_t i = 1; i < inv->count; i++) {
		int r = strcmp(inv->guests[i - 1]->name, inv->guests[i]->name);

		CU_ASSERT(r < 0 ||
			  (r == 0 && strcmp(inv->guests[i - 1]->uuid, inv->guests[i]->uuid) < 0));
		CU_ASSERT(inv->by_id[i - 1]->id < inv->by_id[i]->id);
	}
	inventory_free(inv);
}

static void test_find(void)
{
	struct inventory *inv = inventory_new(0);
	struct guest *a = add_guest(inv, make_guest("a", 0xab, 1, GIB));
	struct guest *b = add_guest(inv, make_guest("b", 5, 1, GIB));

	CU_ASSERT_PTR_EQUAL(inventory_find(inv, "a"), a);
	CU_ASSERT_PTR_EQUAL(inventory_find(inv, "b"), b);
	CU_ASSERT_PTR_EQUAL(inventory_find(inv, "00000000-0000-4000-8000-0000000000AB"), a);
	CU_ASSERT_PTR_NULL(inventory_find(inv, ""));
	CU_ASSERT_PTR_NULL(inventory_find(inv, "c"));
	CU_ASSERT_PTR_EQUAL(inventory_by_id(inv, 5), b);
	CU_ASSERT_PTR_NULL(inventory_by_id(inv, 6));
	inventory_free(inv);
}

/* Look-ups agree with a plain search, whatever the order of adding. */
static void test_many(void)
{
	uint64_t seed = 1;
	struct inventory *inv = inventory_new(0);

	for (uint32_t id = 1; id <= 500; id++) {
		char name[32];

		snprintf(name, sizeof(name), "g%u", next_random(&seed) % 400);
		add_guest(inv, make_guest(name, id ^ 0x155, 1, GIB));
	}
	for (size_t i = 0; i < inv->count; i++) {
		struct guest *g = inv->guests[i];

		CU_ASSERT_PTR_EQUAL(inventory_by_id(inv, g->id), g);
		CU_ASSERT_PTR_EQUAL(inventory_find(inv, g->uuid), g);
		ASSERT_STR(inventory_find(inv, g->name)->name, g->name);
	}
	inventory_free(inv);
}

/* A NIC with a device can be limited; of the others the reason is told. */
static void test_nic_obstacle(void)
{
	static const struct {
		struct guest_nic nic;
		const char *words;
	} cases[] = {
		{ { .type = "bridge", .device = "vnet0" }, NULL },
		{ { .type = "direct", .device = "macvtap0" }, NULL },
		{ { .type = "ethernet" }, "no device on the host" },
		{ { .type = "vhostuser", .device = "vhu1" }, "vhost-user" },
		{ { .type = "hostdev" }, "PCI passthrough" },
		{ { .type = "hostdev", .pci = "0000:3b:00.0" }, "no virtual function" },
		{ { .type = "hostdev", .pci = "0000:3b:02.1", .vf = true }, "no network device" },
		{ { .type = "hostdev",
		    .pci = "0000:3b:02.1",
		    .vf = true,
		    .card = "eth0",
		    .card_ifindex = 2 },
		  NULL },
		{ { .type = "vdpa" }, "vDPA" },
		{ { .type = "user" }, "user-mode network" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const char *why = guest_nic_obstacle(&cases[i].nic);

		CU_ASSERT_EQUAL(why != NULL, cases[i].words != NULL);
		CU_ASSERT(!why || strstr(why, cases[i].words));
	}
}

static void test_nic_text(void)
{
	struct guest_nic nic = { .device = "vnet0" };
	char text[GUEST_NIC_TEXT_MAX];

	ASSERT_STR(guest_nic_text(&nic, text), "vnet0");
	nic = (struct guest_nic){ .type = "hostdev", .pci = "0000:3b:00.0" };
	ASSERT_STR(guest_nic_text(&nic, text), "");
	nic.vf = true;
	nic.vf_number = UINT32_MAX;
	strcpy(nic.card, "abcdefghijklmno");
	nic.card_ifindex = 7;
	ASSERT_STR(guest_nic_text(&nic, text), "abcdefghijklmno/vf4294967295");
}

static const struct test tests[] = {
	{ "the last reference frees", test_refs },
	{ "sorted by name and by id", test_order },
	{ "found by name, uuid and id", test_find },
	{ "500 guests in any order", test_many },
	{ "which NICs cannot be limited", test_nic_obstacle },
	{ "what NICs are called", test_nic_text },
};

int main(void)
{
	return harness_run("guest", tests, ARRAY_SIZE(tests));
}
