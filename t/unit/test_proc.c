/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The texts of the kernel, as it writes them and as it never would.
 */
#include <errno.h>
#include <stdint.h>

#include "harness.h"
#include "qosd/core/knob.h"
#include "qosd/host/cgroup_text.h"

static void test_numbers(void)
{
	static const struct {
		const char *text;
		int result;
		uint64_t value;
	} cases[] = {
		{ "0\n", 0, 0 },
		{ "18446744073709551614\n", 0, UINT64_MAX - 1 },
		{ "max\n", 0, KNOB_MAX },
		{ "100", 0, 100 },
		{ "18446744073709551616\n", -ERANGE, 7 },
		{ "99999999999999999999999\n", -ERANGE, 7 },
		{ "", -EINVAL, 7 },
		{ "\n", -EINVAL, 7 },
		{ "-1\n", -EINVAL, 7 },
		{ "+1\n", -EINVAL, 7 },
		{ " 1\n", -EINVAL, 7 },
		{ "1 2\n", -EINVAL, 7 },
		{ "1\n\n", -EINVAL, 7 },
		{ "maximum\n", -EINVAL, 7 },
		{ "0x10\n", -EINVAL, 7 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		uint64_t v = 7;

		CU_ASSERT_EQUAL(cgroup_text_u64(cases[i].text, &v), cases[i].result);
		CU_ASSERT_EQUAL(v, cases[i].value);
	}
}

static void test_quota(void)
{
	uint64_t quota = 0, period = 0;

	CU_ASSERT_EQUAL(cgroup_text_quota("max 100000\n", &quota, &period), 0);
	CU_ASSERT(quota == KNOB_MAX && period == 100000);
	CU_ASSERT_EQUAL(cgroup_text_quota("50000 20000\n", &quota, &period), 0);
	CU_ASSERT(quota == 50000 && period == 20000);
	CU_ASSERT_EQUAL(cgroup_text_quota("50000\n", &quota, &period), -EINVAL);
	CU_ASSERT_EQUAL(cgroup_text_quota("50000 max\n", &quota, &period), -EINVAL);
	CU_ASSERT_EQUAL(cgroup_text_quota("50000  20000\n", &quota, &period), -EINVAL);
	CU_ASSERT_EQUAL(cgroup_text_quota("", &quota, &period), -EINVAL);
	CU_ASSERT(quota == 50000 && period == 20000);

	CU_ASSERT_EQUAL(cgroup_text_v1_quota("-1\n", &quota), 0);
	CU_ASSERT_EQUAL(quota, KNOB_MAX);
	CU_ASSERT_EQUAL(cgroup_text_v1_quota("25000\n", &quota), 0);
	CU_ASSERT_EQUAL(quota, 25000);
	CU_ASSERT_EQUAL(cgroup_text_v1_quota("-2\n", &quota), -EINVAL);
	CU_ASSERT_EQUAL(cgroup_text_v1_quota("-\n", &quota), -EINVAL);
	CU_ASSERT_EQUAL(cgroup_text_v1_quota("max\n", &quota), -EINVAL);
}

static void test_flat(void)
{
	static const char stat[] = "usage_usec 123\nuser_usec 100\nnr_throttled 9\nlast 5";
	uint64_t v = 7;

	CU_ASSERT_EQUAL(cgroup_text_flat(stat, "usage_usec", &v), 0);
	CU_ASSERT_EQUAL(v, 123);
	CU_ASSERT_EQUAL(cgroup_text_flat(stat, "nr_throttled", &v), 0);
	CU_ASSERT_EQUAL(v, 9);
	CU_ASSERT_EQUAL(cgroup_text_flat(stat, "last", &v), 0);
	CU_ASSERT_EQUAL(v, 5);
	CU_ASSERT_EQUAL(cgroup_text_flat(stat, "usage", &v), -ENOENT);
	CU_ASSERT_EQUAL(cgroup_text_flat(stat, "usec", &v), -ENOENT);
	CU_ASSERT_EQUAL(cgroup_text_flat("", "usage", &v), -ENOENT);
	CU_ASSERT_EQUAL(cgroup_text_flat("usage x\n", "usage", &v), -EINVAL);
	CU_ASSERT_EQUAL(cgroup_text_flat("usage 1x\n", "usage", &v), -EINVAL);
	CU_ASSERT_EQUAL(v, 5);
}

static void test_meminfo(void)
{
	static const char text[] = "MemTotal:        2014152 kB\nMemFree:  5 kB\n"
				   "MemAvailable:    1833164 kB\nHugePages_Total:       0\n";
	uint64_t v = 7;

	CU_ASSERT_EQUAL(cgroup_text_meminfo(text, "MemTotal", &v), 0);
	CU_ASSERT_EQUAL(v, UINT64_C(2014152) * 1024);
	CU_ASSERT_EQUAL(cgroup_text_meminfo(text, "MemAvailable", &v), 0);
	CU_ASSERT_EQUAL(v, UINT64_C(1833164) * 1024);
	CU_ASSERT_EQUAL(cgroup_text_meminfo(text, "Mem", &v), -ENOENT);
	CU_ASSERT_EQUAL(cgroup_text_meminfo(text, "HugePages_Total", &v), -EINVAL);
	CU_ASSERT_EQUAL(cgroup_text_meminfo("MemTotal: 18446744073709551615 kB\n", "MemTotal", &v),
			-ERANGE);
}

static void test_paths(void)
{
	static const char v1[] = "12:blkio:/x\n11:cpu,cpuacct:/machine/a.libvirt-qemu/vcpu0\n"
				 "10:memory:/machine/a.libvirt-qemu\n1:name=systemd:/\n0::/\n";
	char buf[64] = "kept";

	CU_ASSERT_EQUAL(cgroup_text_path("0::/machine/x/emulator\n", NULL, buf, sizeof(buf)), 0);
	ASSERT_STR(buf, "/machine/x/emulator");
	CU_ASSERT_EQUAL(cgroup_text_path(v1, "cpu", buf, sizeof(buf)), 0);
	ASSERT_STR(buf, "/machine/a.libvirt-qemu/vcpu0");
	CU_ASSERT_EQUAL(cgroup_text_path(v1, "cpuacct", buf, sizeof(buf)), 0);
	CU_ASSERT_EQUAL(cgroup_text_path(v1, "memory", buf, sizeof(buf)), 0);
	ASSERT_STR(buf, "/machine/a.libvirt-qemu");
	CU_ASSERT_EQUAL(cgroup_text_path(v1, NULL, buf, sizeof(buf)), 0);
	ASSERT_STR(buf, "/");
	CU_ASSERT_EQUAL(cgroup_text_path(v1, "cpuset", buf, sizeof(buf)), -ENOENT);
	CU_ASSERT_EQUAL(cgroup_text_path(v1, "cpua", buf, sizeof(buf)), -ENOENT);
	CU_ASSERT_EQUAL(cgroup_text_path("0::/a:b/c:d\n", NULL, buf, sizeof(buf)), 0);
	ASSERT_STR(buf, "/a:b/c:d");
	CU_ASSERT_EQUAL(cgroup_text_path("0::/a (deleted)\n", NULL, buf, sizeof(buf)), -ENOENT);
	CU_ASSERT_EQUAL(cgroup_text_path("0::/0123456789\n", NULL, buf, 11), -ENAMETOOLONG);
	CU_ASSERT_EQUAL(cgroup_text_path("0::/012345678\n", NULL, buf, 11), 0);
	CU_ASSERT_EQUAL(cgroup_text_path("nonsense\n", NULL, buf, sizeof(buf)), -EINVAL);
	CU_ASSERT_EQUAL(cgroup_text_path("0::\n", NULL, buf, sizeof(buf)), -EINVAL);
	CU_ASSERT_EQUAL(cgroup_text_path("", NULL, buf, sizeof(buf)), -EINVAL);
}

static void test_start_ticks(void)
{
	static const char plain[] = "203 (qemu-system-x86) S 1 203 203 0 -1 138412352 1 0 0 0 "
				    "250 10 0 0 20 0 6 0 1239 1 2 3\n";
	static const char odd[] = "203 (a ) S 1 (b) c) R 1 203 203 0 -1 138412352 1 0 0 0 "
				  "250 10 0 0 20 0 6 0 77 1 2 3\n";
	uint64_t v = 7;

	CU_ASSERT_EQUAL(cgroup_text_start_ticks(plain, &v), 0);
	CU_ASSERT_EQUAL(v, 1239);
	CU_ASSERT_EQUAL(cgroup_text_start_ticks(odd, &v), 0);
	CU_ASSERT_EQUAL(v, 77);
	CU_ASSERT_EQUAL(cgroup_text_start_ticks("", &v), -EINVAL);
	CU_ASSERT_EQUAL(cgroup_text_start_ticks("203 (x)", &v), -EINVAL);
	CU_ASSERT_EQUAL(cgroup_text_start_ticks("203 (x) S 1 2 3\n", &v), -EINVAL);
	CU_ASSERT_EQUAL(v, 77);
}

static void test_schedstat(void)
{
	uint64_t run = 0, wait = 0;

	CU_ASSERT_EQUAL(cgroup_text_schedstat("2517259967 1076757463 812\n", &run, &wait), 0);
	CU_ASSERT(run == 2517259967 && wait == 1076757463);
	CU_ASSERT_EQUAL(cgroup_text_schedstat("1 2\n", &run, &wait), -EINVAL);
	CU_ASSERT_EQUAL(cgroup_text_schedstat("1 2 3 4\n", &run, &wait), -EINVAL);
	CU_ASSERT_EQUAL(cgroup_text_schedstat("1 -2 3\n", &run, &wait), -EINVAL);
	CU_ASSERT_EQUAL(run, 2517259967);
}

static void test_mount_options(void)
{
	static const char text[] =
		"24 1 0:22 / /proc rw,relatime - proc proc rw\n"
		"30 24 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 "
		"rw,nsdelegate,memory_recursiveprot\n";
	static const char covered[] =
		"30 24 0:26 / /sys/fs/cgroup rw shared:4 master:2 - cgroup2 x rw,memory_recursiveprot\n"
		"31 30 0:27 / /sys/fs/cgroup rw - cgroup2 x rw\n";

	CU_ASSERT_TRUE(cgroup_text_mount_option(text, "/sys/fs/cgroup", "memory_recursiveprot"));
	CU_ASSERT_TRUE(cgroup_text_mount_option(text, "/sys/fs/cgroup", "nsdelegate"));
	CU_ASSERT_FALSE(cgroup_text_mount_option(text, "/sys/fs/cgroup", "memory"));
	CU_ASSERT_FALSE(cgroup_text_mount_option(text, "/sys/fs/cgroup", "nosuid"));
	CU_ASSERT_FALSE(cgroup_text_mount_option(text, "/sys/fs", "nsdelegate"));
	CU_ASSERT_FALSE(
		cgroup_text_mount_option(covered, "/sys/fs/cgroup", "memory_recursiveprot"));
	CU_ASSERT_FALSE(cgroup_text_mount_option("", "/", "rw"));
	CU_ASSERT_FALSE(cgroup_text_mount_option("1 2 3 4 /a\n", "/a", "rw"));
}

static void check_top(const char *path, const char *top)
{
	char buf[128];

	strcpy(buf, path);
	CU_ASSERT_EQUAL(cgroup_text_strip_to_top(buf), strcmp(path, top) != 0);
	ASSERT_STR(buf, top);
}

static void test_top_group(void)
{
	check_top("/machine.slice/a.scope/libvirt/emulator", "/machine.slice/a.scope/libvirt");
	check_top("/machine.slice/a.scope/libvirt/vcpu12", "/machine.slice/a.scope/libvirt");
	check_top("/machine/a.libvirt-qemu/iothread1", "/machine/a.libvirt-qemu");
	check_top("/machine/a.libvirt-qemu", "/machine/a.libvirt-qemu");
	check_top("/machine/vcpu", "/machine/vcpu");
	check_top("/machine/vcpu0x", "/machine/vcpu0x");
	check_top("/emulator", "/emulator");
	CU_ASSERT_TRUE(cgroup_text_is_guest("/machine.slice/a.scope/libvirt"));
	CU_ASSERT_TRUE(cgroup_text_is_guest("/machine/qemu-1-a.libvirt-qemu"));
	CU_ASSERT_TRUE(cgroup_text_is_guest("/machine.slice/machine-qemu\\x2d1\\x2da.scope"));
	CU_ASSERT_FALSE(cgroup_text_is_guest("/"));
	CU_ASSERT_FALSE(cgroup_text_is_guest("/user.slice/session-1.scope"));
	CU_ASSERT_FALSE(cgroup_text_is_guest("/machine/.libvirt-qemu"));
}

static void test_names(void)
{
	char buf[16];
	unsigned int index = 7;

	CU_ASSERT_EQUAL(cgroup_text_vcpu_index("vcpu0", &index), 0);
	CU_ASSERT_EQUAL(index, 0);
	CU_ASSERT_EQUAL(cgroup_text_vcpu_index("vcpu4095", &index), 0);
	CU_ASSERT_EQUAL(index, 4095);
	CU_ASSERT_EQUAL(cgroup_text_vcpu_index("vcpu4096", &index), -EINVAL);
	CU_ASSERT_EQUAL(cgroup_text_vcpu_index("vcpu", &index), -EINVAL);
	CU_ASSERT_EQUAL(cgroup_text_vcpu_index("emulator", &index), -EINVAL);

	CU_ASSERT_EQUAL(cgroup_text_parent("/a/b/c", buf, sizeof(buf)), 0);
	ASSERT_STR(buf, "/a/b");
	CU_ASSERT_EQUAL(cgroup_text_parent("/a", buf, sizeof(buf)), 0);
	ASSERT_STR(buf, "/");
	CU_ASSERT_EQUAL(cgroup_text_parent("/0123456789abcdef/b", buf, sizeof(buf)), -ENAMETOOLONG);

	ASSERT_STR(cgroup_text_unit("/machine.slice/machine-qemu\\x2d1\\x2da.scope"),
		   "machine-qemu\\x2d1\\x2da.scope");
	ASSERT_STR(cgroup_text_unit("/machine.slice"), "machine.slice");
	ASSERT_STR(cgroup_text_unit("/_cpu.slice"), "cpu.slice");
	CU_ASSERT_PTR_NULL(cgroup_text_unit("/machine.slice/a.scope/libvirt"));
	CU_ASSERT_PTR_NULL(cgroup_text_unit("/machine"));
	CU_ASSERT_PTR_NULL(cgroup_text_unit("/.slice"));
	CU_ASSERT_PTR_NULL(cgroup_text_unit("/"));
}

static void test_shares(void)
{
	for (uint64_t weight = 1; weight <= 10000; weight++) {
		uint64_t shares = cgroup_weight_to_shares(weight);

		/* The kernel takes 2..262144. */
		if (shares < 2 || shares > 262144 || cgroup_shares_to_weight(shares) != weight) {
			CU_FAIL("weight does not survive");
			return;
		}
	}
	CU_ASSERT_EQUAL(cgroup_weight_to_shares(100), 1024);
	CU_ASSERT_EQUAL(cgroup_weight_to_shares(400), 4096);
	CU_ASSERT_EQUAL(cgroup_shares_to_weight(0), 1);
	CU_ASSERT_EQUAL(cgroup_shares_to_weight(2), 1);
	CU_ASSERT(cgroup_shares_to_weight(UINT64_MAX) > 10000);
}

static const struct test tests[] = {
	{ "numbers", test_numbers },
	{ "quota and period", test_quota },
	{ "flat-keyed files", test_flat },
	{ "meminfo", test_meminfo },
	{ "groups of a process", test_paths },
	{ "start time of a process", test_start_ticks },
	{ "run and wait times", test_schedstat },
	{ "mount options", test_mount_options },
	{ "top group of a guest", test_top_group },
	{ "names of vCPUs, parents, units", test_names },
	{ "weights survive cgroup v1", test_shares },
};

int main(void)
{
	return harness_run("proc", tests, ARRAY_SIZE(tests));
}
