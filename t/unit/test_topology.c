/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "harness.h"
#include "qosd/host/topology.h"

static struct host *read_fixture(const char *name)
{
	const char *top = getenv("top_srcdir");
	struct qerr err = { 0 };
	struct host *h = NULL;
	char path[512];
	int r;

	snprintf(path, sizeof(path), "%s/t/fixtures/hwloc/%s.xml", top ? top : ".", name);
	r = topology_read(path, &h, &err);
	if (r < 0)
		fprintf(stderr, "\n%s: %s\n", path, err.text);
	CU_ASSERT_EQUAL_FATAL(r, 0);
	return h;
}

static void check_cpu(const struct host *h, uint32_t cpu, uint32_t core, uint32_t llc,
		      uint32_t node)
{
	const struct host_cpu *c = host_cpu_find(h, cpu);

	CU_ASSERT_PTR_NOT_NULL_FATAL(c);
	CU_ASSERT_EQUAL(c->core, core);
	CU_ASSERT_EQUAL(c->llc, llc);
	CU_ASSERT_EQUAL(c->node, node);
}

static void test_two_sockets(void)
{
	struct host *h = read_fixture("smt-two-sockets");
	struct cpuset siblings;
	char text[CPUSET_TEXT_MAX];

	CU_ASSERT_EQUAL(h->ncpus, 32);
	CU_ASSERT_EQUAL(h->nnodes, 2);
	CU_ASSERT_EQUAL(h->nodes[0].memory_bytes, UINT64_C(64000000000));
	CU_ASSERT_EQUAL(h->memory_bytes, UINT64_C(128000000000));
	ASSERT_STR(cpuset_format(&h->online, text, sizeof(text)), "0-31");
	ASSERT_STR(cpuset_format(&h->nodes[1].cpus, text, sizeof(text)), "16-31");
	check_cpu(h, 0, 0, 0, 0);
	check_cpu(h, 1, 0, 0, 0);
	check_cpu(h, 8, 4, 1, 0);
	check_cpu(h, 31, 15, 3, 1);
	siblings = host_siblings(h, 31);
	ASSERT_STR(cpuset_format(&siblings, text, sizeof(text)), "30-31");
	host_free(h);
}

static void test_no_l3(void)
{
	struct host *h = read_fixture("small-no-l3");

	CU_ASSERT_EQUAL(h->ncpus, 4);
	CU_ASSERT_EQUAL(h->nnodes, 1);
	for (uint32_t cpu = 0; cpu < 4; cpu++)
		check_cpu(h, cpu, cpu, 0, 0);
	host_free(h);
}

static void test_four_nodes(void)
{
	struct host *h = read_fixture("one-socket-four-nodes");

	CU_ASSERT_EQUAL(h->ncpus, 64);
	CU_ASSERT_EQUAL(h->nnodes, 4);
	check_cpu(h, 17, 8, 2, 1);
	check_cpu(h, 63, 31, 7, 3);
	host_free(h);
}

/* Each package has ordinary memory and some of another kind: CPUs belong to the first. */
static void test_two_kinds_of_memory(void)
{
	struct host *h = read_fixture("two-kinds-of-memory");
	struct cpuset siblings;
	char text[CPUSET_TEXT_MAX];

	CU_ASSERT_EQUAL(h->ncpus, 8);
	CU_ASSERT_EQUAL(h->nnodes, 4);
	check_cpu(h, 0, 0, 0, 0);
	check_cpu(h, 4, 0, 0, 0);
	check_cpu(h, 7, 3, 1, 2);
	siblings = host_siblings(h, 1);
	ASSERT_STR(cpuset_format(&siblings, text, sizeof(text)), "1,5");
	CU_ASSERT(cpuset_empty(&h->nodes[1].cpus));
	host_free(h);
}

static void test_this_machine(void)
{
	struct qerr err = { 0 };
	struct host *h = NULL;

	CU_ASSERT_EQUAL_FATAL(topology_read(NULL, &h, &err), 0);
	CU_ASSERT(h->ncpus > 0);
	CU_ASSERT(h->nnodes > 0);
	CU_ASSERT(h->memory_bytes > 0);
	CU_ASSERT_EQUAL(cpuset_count(&h->online), h->ncpus);
	host_free(h);
}

static void test_bad_files(void)
{
	struct qerr err = { 0 };
	struct host *h = NULL;

	CU_ASSERT(topology_read("/nonexistent/topology.xml", &h, &err) < 0);
	CU_ASSERT(strstr(err.text, "/nonexistent/topology.xml") != NULL);
	CU_ASSERT(topology_read("/proc/self/status", &h, &err) < 0);
	CU_ASSERT_PTR_NULL(h);
}

static const struct test tests[] = {
	{ "two sockets with threads", test_two_sockets },
	{ "no L3 cache: the package stands for it", test_no_l3 },
	{ "one socket, four nodes", test_four_nodes },
	{ "two kinds of memory", test_two_kinds_of_memory },
	{ "this machine", test_this_machine },
	{ "files that are no topology", test_bad_files },
};

int main(void)
{
	return harness_run("topology", tests, ARRAY_SIZE(tests));
}
