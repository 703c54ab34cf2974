/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_virt_pci - which card a virtual function belongs to, by a sysfs of our own. */
#include "qosd/host/virt.h"
#include "t/unit/vf_tree.h"

static struct guest_nic find(const struct vf_tree *t, const char *pci)
{
	struct guest_nic nic = { .vf = true, .vf_number = 77, .card = "old", .card_ifindex = 77 };

	snprintf(nic.pci, sizeof(nic.pci), "%s", pci);
	virt_find_vf(t->root, &nic);
	return nic;
}

static void test_found(void)
{
	struct vf_tree t;
	struct guest_nic nic;

	vf_tree_make(&t);
	nic = find(&t, VF_1);
	CU_ASSERT(nic.vf);
	CU_ASSERT_EQUAL(nic.vf_number, 1);
	ASSERT_STR(nic.card, "eth0"); /* not the lower index, which stands for a function */
	CU_ASSERT_EQUAL(nic.card_ifindex, 31);
	CU_ASSERT_PTR_NULL(guest_nic_obstacle(
		&(struct guest_nic){ .type = "hostdev", .vf = nic.vf, .card_ifindex = 31 }));
	nic = find(&t, VF_0);
	CU_ASSERT_EQUAL(nic.vf_number, 0);
	CU_ASSERT_EQUAL(nic.card_ifindex, 31);
	vf_tree_free(&t);
}

static void assert_none(const struct guest_nic *nic)
{
	CU_ASSERT(!nic->vf);
	CU_ASSERT_EQUAL(nic->vf_number, 0);
	CU_ASSERT_EQUAL(nic->card_ifindex, 0);
	ASSERT_STR(nic->card, "");
}

/* A whole card, one that is not there, and what is no address. */
static void test_none(void)
{
	static const char *const none[] = {
		VF_CARD,
		"0000:3b:10.1",
		"",
		"..",
		"../../../etc",
		"0000:3b:10.2/",
		"0000:3b:10.2 ",
		"0:3b:10.2",
		"0000:3B:10.2",
		"0000:3b:10.9999",
		"0x00:3b:10.2",
		" 000:3b:10.2",
		"-001:3b:10.2",
		"0000:3b:10,2",
		"fffffff:ff:ff.f",
	};
	struct guest_nic nic;
	struct vf_tree t;

	vf_tree_make(&t);
	for (size_t i = 0; i < ARRAY_SIZE(none); i++) {
		nic = find(&t, none[i]);
		assert_none(&nic);
	}
	vf_tree_free(&t);
}

/* The card's driver is gone, and so is its network device. */
static void test_no_device(void)
{
	char path[128];
	struct guest_nic nic;
	struct vf_tree t;

	vf_tree_make(&t);
	snprintf(path, sizeof(path), "%s/" VF_DEVICES VF_CARD "/net/eth0/ifindex", t.root);
	CU_ASSERT_EQUAL(unlink(path), 0);
	nic = find(&t, VF_1);
	CU_ASSERT(nic.vf && nic.card_ifindex == 0);
	ASSERT_STR(nic.card, "");
	vf_tree_free(&t);
}

/* The card does not name the function: without its number nothing can be limited. */
static void test_no_number(void)
{
	char path[128];
	struct guest_nic nic;
	struct vf_tree t;

	vf_tree_make(&t);
	snprintf(path, sizeof(path), "%s/" VF_DEVICES VF_CARD "/virtfn1", t.root);
	CU_ASSERT_EQUAL(unlink(path), 0);
	vf_tree_link(&t, "../" VF_1, VF_CARD "/virtfn1x");
	vf_tree_link(&t, "../" VF_1, VF_CARD "/virtfn99999");
	nic = find(&t, VF_1);
	CU_ASSERT(nic.vf && nic.card_ifindex == 0);
	vf_tree_free(&t);
}

static const struct test tests[] = {
	{ "card and number of a function", test_found },
	{ "what is no function", test_none },
	{ "a card without a device", test_no_device },
	{ "a function without a number", test_no_number },
};

int main(void)
{
	return harness_run("virt_pci", tests, ARRAY_SIZE(tests));
}
