/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_virt_process - which process a guest is, when it is another one, and when its group comes.
 */
#include <sys/stat.h>

#include "t/unit/virt_bench.h"

static uint32_t before_id;

static bool is_new_incarnation(struct fixture *f)
{
	return find(f, "test") && find(f, "test")->id != before_id;
}

static void test_incarnation(void)
{
	struct process p;
	struct fixture f;

	process_new(&p);
	f = start_with(&p, 0);
	CU_ASSERT_FATAL(until(&f, is_bound));
	CU_ASSERT_EQUAL(find(&f, "test")->pid, p.pid);
	CU_ASSERT_EQUAL(find(&f, "test")->start_ticks, virt_process_start_ticks(p.pid));
	CU_ASSERT(find(&f, "test")->start_ticks > 0);
	before_id = find(&f, "test")->id;

	/* Another process: seen at the next ping although no event tells of it. */
	end_child(p.pid);
	p.pid = make_child(p.dir);
	CU_ASSERT(until(&f, is_new_incarnation));
	CU_ASSERT_EQUAL(find(&f, "test")->pid, p.pid);
	stop(&f);
	process_end(&p);
}

/* A guest whose group is not there yet is shown without, and looked at again by itself. */
static void test_bound_later(void)
{
	struct process p;
	struct fixture f;

	process_new(&p);
	p.binder.result = -ENOENT;
	f = start_with(&p, 0);
	CU_ASSERT_FATAL(until(&f, has_inventory));
	CU_ASSERT_FALSE(is_bound(&f));
	before_id = find(&f, "test")->id;
	pthread_mutex_lock(&p.binder.lock);
	p.binder.result = 0;
	pthread_mutex_unlock(&p.binder.lock);
	CU_ASSERT(until(&f, is_bound));
	CU_ASSERT_EQUAL(find(&f, "test")->id, before_id);
	stop(&f);
	process_end(&p);
}

static void test_start_ticks(void)
{
	CU_ASSERT(virt_process_start_ticks(getpid()) > 0);
	CU_ASSERT_EQUAL(virt_process_start_ticks(0), 0);
	CU_ASSERT_EQUAL(virt_process_find("/nonexistent", "x"), 0);
	CU_ASSERT_EQUAL(virt_process_find("/proc", "../etc/x"), 0);
	CU_ASSERT_EQUAL(virt_device_ifindex("lo"), 1);
	CU_ASSERT_EQUAL(virt_device_ifindex("nosuchdevice"), 0);
	CU_ASSERT_EQUAL(virt_device_ifindex(""), 0);
}

/* ---- renamed devices ---- */

static void put_file(const char *root, const char *device, const char *name, const char *text)
{
	char path[256];
	FILE *f;

	snprintf(path, sizeof(path), "%s/class", root);
	mkdir(path, 0755);
	snprintf(path, sizeof(path), "%s/class/net", root);
	mkdir(path, 0755);
	snprintf(path, sizeof(path), "%s/class/net/%s", root, device);
	mkdir(path, 0755);
	snprintf(path, sizeof(path), "%s/class/net/%s/%s", root, device, name);
	f = must(fopen(path, "w"));
	fputs(text, f);
	fclose(f);
}

static void put_device(const char *root, const char *device, const char *index, const char *mac)
{
	put_file(root, device, "ifindex", index);
	put_file(root, device, "address", mac);
}

/* By its address, which no guest can change: of a tap, of a macvtap, of nothing else. */
static void test_renamed(void)
{
	char root[] = "/tmp/qosd-sysfs-XXXXXX", command[64];

	CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(root));
	CU_ASSERT_EQUAL(virt_device_by_mac(root, "52:54:00:aa:bb:01"), 0);
	put_device(root, "br0", "2\n", "fe:54:00:aa:bb:01\n"); /* the lowest of its ports' */
	CU_ASSERT_EQUAL(virt_device_by_mac(root, "52:54:00:aa:bb:01"), 0);
	put_device(root, "other", "7\n", "fe:54:00:aa:bb:01\n");
	put_file(root, "other", "tun_flags", "0x1002\n");
	CU_ASSERT_EQUAL(virt_device_by_mac(root, "52:54:00:AA:BB:01"), 7);
	put_device(root, "mv", "9\n", "52:54:00:aa:bb:02\n");
	CU_ASSERT_EQUAL(virt_device_by_mac(root, "52:54:00:aa:bb:02"), 0);
	put_file(root, "mv", "tap9", "");
	CU_ASSERT_EQUAL(virt_device_by_mac(root, "52:54:00:aa:bb:02"), 9);
	put_device(root, "third", "8\n", "fa:54:00:aa:bb:03\n");
	put_file(root, "third", "tun_flags", "0x1002\n");
	CU_ASSERT_EQUAL(virt_device_by_mac(root, "fe:54:00:aa:bb:03"), 8);
	/* Whose a name of libvirt's is libvirt tells. */
	put_device(root, "vnet3", "12\n", "fe:54:00:aa:bb:04\n");
	put_file(root, "vnet3", "tun_flags", "0x1002\n");
	CU_ASSERT_EQUAL(virt_device_by_mac(root, "52:54:00:aa:bb:04"), 0);
	put_device(root, "vnet3-web", "13\n", "fe:54:00:aa:bb:04\n");
	put_file(root, "vnet3-web", "tun_flags", "0x1002\n");
	CU_ASSERT_EQUAL(virt_device_by_mac(root, "52:54:00:aa:bb:04"), 13);
	/* The same address twice: neither is certain. */
	put_device(root, "twin", "11\n", "fe:54:00:aa:bb:01\n");
	put_file(root, "twin", "tun_flags", "0x1002\n");
	CU_ASSERT_EQUAL(virt_device_by_mac(root, "52:54:00:aa:bb:01"), 0);
	CU_ASSERT_EQUAL(virt_device_by_mac(root, ""), 0);
	snprintf(command, sizeof(command), "rm -rf %s", root);
	CU_ASSERT_EQUAL(system(command), 0);
}

static const struct test tests[] = {
	{ "a new process is a new incarnation", test_incarnation },
	{ "bound later", test_bound_later },
	{ "process and device files", test_start_ticks },
	{ "renamed devices", test_renamed },
};

int main(void)
{
	return harness_run("virt process", tests, ARRAY_SIZE(tests));
}
