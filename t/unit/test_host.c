/* SPDX-License-Identifier: GPL-2.0-or-later */
/* host - the topology model. */
#include <errno.h>

#include "t/unit/harness.h"
#include "t/unit/make.h"

static void assert_set(const struct cpuset *set, const char *expected)
{
	char text[CPUSET_TEXT_MAX];

	ASSERT_STR(cpuset_format(set, text, sizeof(text)), expected);
}

static void test_regular(void)
{
	struct host *h = host_regular(2, 4, 2, 8 * GIB);
	struct cpuset siblings;

	CU_ASSERT_EQUAL(h->ncpus, 16);
	CU_ASSERT_EQUAL(h->ncores, 8);
	CU_ASSERT_EQUAL(h->nnodes, 2);
	CU_ASSERT_EQUAL(h->threads_per_core, 2);
	CU_ASSERT_EQUAL(h->memory_bytes, 8 * GIB);
	assert_set(&h->online, "0-15");
	assert_set(&h->nodes[0].cpus, "0-3,8-11");
	assert_set(&h->nodes[1].cpus, "4-7,12-15");
	siblings = host_siblings(h, 13);
	assert_set(&siblings, "5,13");
	siblings = host_siblings(h, 99);
	assert_set(&siblings, "");
	CU_ASSERT_EQUAL(host_cpu_find(h, 13)->core, 5);
	CU_ASSERT_EQUAL(host_cpu_find(h, 13)->node, 1);
	CU_ASSERT_PTR_NULL(host_cpu_find(h, 16));
	host_free(h);
	host_free(NULL);
}

static void test_irregular(void)
{
	struct host *h = host_new();

	CU_ASSERT_EQUAL(host_finish(h), -EINVAL);
	CU_ASSERT_EQUAL(host_add_cpu(h, 9, 70, 3, 4), 0);
	CU_ASSERT_EQUAL(host_add_cpu(h, 2, 70, 3, 4), 0);
	CU_ASSERT_EQUAL(host_add_cpu(h, 5, 1, 0, 0), 0);
	CU_ASSERT_EQUAL(host_add_cpu(h, 5, 2, 0, 0), -EEXIST);
	CU_ASSERT_EQUAL(host_add_cpu(h, CPUSET_MAX, 2, 0, 0), -ERANGE);
	CU_ASSERT_EQUAL(host_add_node(h, 4, 3 * GIB), 0);
	CU_ASSERT_EQUAL(host_add_node(h, 4, 3 * GIB), -EEXIST);
	CU_ASSERT_EQUAL(host_finish(h), 0);
	CU_ASSERT_EQUAL(h->cpus[0].cpu, 2);
	CU_ASSERT_EQUAL(h->ncores, 2);
	CU_ASSERT_EQUAL(h->cores[0].node, 0);
	CU_ASSERT_EQUAL(h->cores[1].threads, 2);
	CU_ASSERT_EQUAL(h->nnodes, 2); /* node 0 made: nobody added it */
	CU_ASSERT_EQUAL(h->memory_bytes, 3 * GIB);
	host_free(h);
}

static void test_impossible(void)
{
	CU_ASSERT_PTR_NULL(host_regular(0, 1, 1, GIB));
	CU_ASSERT_PTR_NULL(host_regular(1, 0, 1, GIB));
	CU_ASSERT_PTR_NULL(host_regular(1, 1, 0, GIB));
	CU_ASSERT_PTR_NULL(host_regular(2, 512, 2, GIB));
	CU_ASSERT_PTR_NULL(host_regular(UINT32_MAX, UINT32_MAX, UINT32_MAX, GIB));
}

static const struct test tests[] = {
	{ "a regular machine", test_regular },
	{ "an irregular machine", test_irregular },
	{ "impossible machines", test_impossible },
};

int main(void)
{
	return harness_run("host", tests, ARRAY_SIZE(tests));
}
