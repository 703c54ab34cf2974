/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_ceph_conf - Ceph's configuration file; and a guest's own one made of it. */
#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "qosd/host/ceph.h"
#include "qosd/host/ceph_conf.h"
#include "t/unit/harness.h"

/* Each was put before ceph-conf 16.2.15: `size` is what it made of rbd_cache_size. */
static void test_values(void)
{
	static const struct {
		const char *text, *size;
	} cases[] = {
		{ "[client]\nrbd_cache_size = 1M\n", "1M" },
		{ "[client]\nrbd cache size = 1M\n[client]\nrbd_cache_size=2M\n", "2M" },
		{ "[client.libvirt]\nrbd cache size = 3M\n[client]\nrbd_cache_size=2M\n", "3M" },
		{ "[global]\nrbd_cache_size = 4M # c\n", "4M" },
		{ "rbd_cache_size = 5M\n", "5M" },
		{ "[client]\nrbd cache   size = 6M ; c\n", "6M" },
		{ "[client]\nrbd_cache_size = \"7M\"\n", "7M" },
		{ "[client]\nrbd_cache_size = '7M' # c\n", "7M" },
		{ "[client]\nrbd-cache-size = 8M\n", NULL },
		{ "[client]\nRBD_cache_size = 10M\n", NULL },
		{ "[ client ]\nrbd_cache_size = 11M\n", NULL },
		{ "[client.other]\nrbd_cache_size = 11M\n", NULL },
		{ "[client]\nrbd_cache_size = \\\n12M\n", "12M" },
		{ "[client]\n\n ; x\n\t# y\nrbd_cache_size = 13M\n\n[mon]\nfoo=bar\n", "13M" },
		{ "[client] ; c\nrbd_cache_size = 14M\n", "14M" },
		{ "\n\n[client]\nrbd_cache_size =\n", "" },
		{ "[client]\nfoo = a\\;b\nrbd_cache_size = 15M\n", "15M" },
		{ "[client]\r\nrbd_cache_size = 16M\r\n", "16M" },
		{ "[client]\nrbd_cache_size = a\\#b\n", "a#b" },
		{ "", NULL },
		{ "# c", NULL },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct ceph_conf *c = NULL;
		struct qerr err = { 0 };
		const char *size;

		CU_ASSERT_EQUAL_FATAL(
			ceph_conf_parse(cases[i].text, strlen(cases[i].text), &c, NULL, &err), 0);
		size = ceph_conf_get(c, "client.libvirt", "rbd_cache_size");
		if (cases[i].size)
			ASSERT_STR(size, cases[i].size);
		else
			CU_ASSERT_PTR_NULL(size);
		ceph_conf_free(c);
	}
}

/* What Ceph refuses, and the line that it is about. */
static void test_refused(void)
{
	static const struct {
		const char *text;
		unsigned int line;
	} cases[] = {
		{ "[client]\nrbd_cache_size = 9M", 2 },
		{ "[client]\nrbd_cache_size\n", 2 },
		{ "[client]\nrbd_cache_size = \"9#M\"\n", 2 },
		{ "[client\nrbd_cache_size = 9M\n", 1 },
		{ "[client]\nfoo = \"a b\" c\n", 2 },
		{ "[]\nrbd_cache_size = 9M\n", 1 },
		{ "x=1\n[client]\nrbd_cache_size = 9M\n", 2 },
		{ "x=1\ny=2\n", 2 },
		{ "# c\nx=1\n", 2 },
		{ "   \n[client]\n", 1 },
		{ "[client]\n [global]\n", 2 },
		{ "[client]\n=3\n", 2 },
		{ "[client]\na = \\\nb\nc\n", 4 },
		{ "[client]\nmon_host = \xff\n", 2 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct ceph_conf *c = NULL;
		struct qerr err = { 0 };
		unsigned int line = 0;

		CU_ASSERT_EQUAL(
			ceph_conf_parse(cases[i].text, strlen(cases[i].text), &c, &line, &err),
			-EINVAL);
		CU_ASSERT_PTR_NULL(c);
		CU_ASSERT_EQUAL(line, cases[i].line);
		CU_ASSERT_EQUAL(err.code, -EINVAL);
		if (line != cases[i].line)
			fprintf(stderr, "\n%s: line %u\n", cases[i].text, line);
	}
}

static void write_text(const char *path, const char *text)
{
	FILE *f = fopen(path, "we");

	CU_ASSERT_PTR_NOT_NULL_FATAL(f);
	fputs(text, f);
	fclose(f);
}

static const char *value_in(const char *path, const char *key)
{
	static char value[128];
	struct ceph_conf *c = NULL;
	const char *text;

	if (ceph_conf_load(path, &c, NULL, NULL) < 0)
		return NULL;
	text = ceph_conf_get(c, "client.libvirt", key);
	snprintf(value, sizeof(value), "%s", text ? text : "");
	ceph_conf_free(c);
	return value;
}

static void test_file(void)
{
	char dir[] = "/tmp/qosd-conf-XXXXXX", base[64], own[64], foreign[64], link[64];
	struct rbd_wanted wanted = { .any = true }, none = { 0 };
	struct qerr err = { 0 };
	struct stat st;

	CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(dir));
	snprintf(base, sizeof(base), "%s/base.conf", dir);
	snprintf(own, sizeof(own), "%s/own.conf", dir);
	snprintf(foreign, sizeof(foreign), "%s/foreign.conf", dir);
	snprintf(link, sizeof(link), "%s/link.conf", dir);
	write_text(base, "[global]\nmon_host = 10.0.0.1\n[client]\nrbd_cache_size = 1M\n");
	write_text(foreign, "[client]\n");
	wanted.set[RBD_CACHE_SIZE] = true;
	strcpy(wanted.text[RBD_CACHE_SIZE], "67108864");

	CU_ASSERT_EQUAL(ceph_file_put(own, base, "client.libvirt", &wanted, &err), 1);
	CU_ASSERT_TRUE(ceph_file_ours(own));
	ASSERT_STR(value_in(own, "rbd_cache_size"), "67108864");
	ASSERT_STR(value_in(own, "mon_host"), "10.0.0.1");
	CU_ASSERT_EQUAL(stat(own, &st), 0);
	CU_ASSERT_EQUAL(st.st_mode & 07777, 0644);
	/* Nothing to do the second time; given back, the guest can still start. */
	CU_ASSERT_EQUAL(ceph_file_put(own, base, "client.libvirt", &wanted, &err), 0);
	CU_ASSERT_EQUAL(ceph_file_put(own, base, "client.libvirt", &none, &err), 1);
	ASSERT_STR(value_in(own, "rbd_cache_size"), "1M");
	/* What others made is theirs, also through a link. */
	CU_ASSERT_EQUAL(ceph_file_put(foreign, base, "client.libvirt", &wanted, &err), -EPERM);
	CU_ASSERT_FALSE(ceph_file_ours(foreign));
	unlink(own);
	CU_ASSERT_EQUAL(symlink(foreign, own), 0);
	CU_ASSERT(ceph_file_put(own, base, "client.libvirt", &wanted, &err) < 0);
	unlink(own);
	/* An empty one is ours: what a crash of the host left. */
	write_text(own, "");
	CU_ASSERT_EQUAL(ceph_file_put(own, base, "client.libvirt", &wanted, &err), 1);
	unlink(own);
	/* The host may keep its own file elsewhere. */
	CU_ASSERT_EQUAL(symlink(base, link), 0);
	CU_ASSERT_EQUAL(ceph_file_put(own, link, "client.libvirt", &wanted, &err), 1);
	ASSERT_STR(value_in(own, "mon_host"), "10.0.0.1");
	unlink(own);
	unlink(link);
	/* A base that Ceph would refuse makes no file. */
	write_text(base, "mon_host = 10.0.0.1\n");
	CU_ASSERT_EQUAL(ceph_file_put(own, base, "client.libvirt", &wanted, &err), -EINVAL);
	CU_ASSERT_EQUAL(access(own, F_OK), -1);
	unlink(base);
	CU_ASSERT_EQUAL(ceph_file_put(own, base, "client.libvirt", &wanted, &err), -ENOENT);
	unlink(foreign);
	CU_ASSERT_EQUAL(rmdir(dir), 0);
}

static const struct test tests[] = {
	{ "values as ceph-conf reads them", test_values },
	{ "what Ceph refuses", test_refused },
	{ "a guest's own file", test_file },
};

int main(void)
{
	return harness_run("ceph_conf", tests, ARRAY_SIZE(tests));
}
