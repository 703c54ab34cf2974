/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Arena and growing arrays: zeroed, aligned, apart from each other, bounded.
 */
#include <errno.h>
#include <stdint.h>

#include "qosd/core/arena.h"
#include "t/unit/harness.h"

static int all_zero(const unsigned char *p, size_t size)
{
	for (size_t i = 0; i < size; i++)
		if (p[i])
			return 0;
	return 1;
}

static void test_alloc(void)
{
	static const size_t sizes[] = { 0, 1, 7, 16, 17, 100, 2048, 2049, 8192, 100000 };
	unsigned char *blocks[500];
	struct arena *a = arena_new();

	CU_ASSERT_PTR_NOT_NULL_FATAL(a);
	for (size_t i = 0; i < ARRAY_SIZE(blocks); i++) {
		size_t size = sizes[i % ARRAY_SIZE(sizes)];

		blocks[i] = arena_alloc(a, size);
		CU_ASSERT_PTR_NOT_NULL_FATAL(blocks[i]);
		CU_ASSERT_EQUAL((uintptr_t)blocks[i] % 16, 0);
		CU_ASSERT(all_zero(blocks[i], size));
		memset(blocks[i], (int)(i % 255 + 1), size);
	}
	for (size_t i = 0; i < ARRAY_SIZE(blocks); i++) {
		size_t size = sizes[i % ARRAY_SIZE(sizes)];

		CU_ASSERT(!size ||
			  (blocks[i][0] == i % 255 + 1 && blocks[i][size - 1] == i % 255 + 1));
	}
	CU_ASSERT_PTR_NULL(arena_alloc(a, SIZE_MAX));
	arena_free(a);
	arena_free(NULL);
}

static void test_strings(void)
{
	struct arena *a = arena_new();
	char text[10000];

	memset(text, 'x', sizeof(text));
	text[sizeof(text) - 1] = '\0';
	ASSERT_STR(arena_strdup(a, "gold"), "gold");
	CU_ASSERT_PTR_NULL(arena_strdup(a, NULL));
	ASSERT_STR(arena_strdup(a, text), text);
	ASSERT_STR(arena_printf(a, "%s-%d", "a", 5), "a-5");
	ASSERT_STR(arena_printf(a, "%s", text), text);
	ASSERT_STR(arena_printf(a, "%s", ""), "");
	arena_free(a);
}

static void test_grow(void)
{
	size_t cap = 0;
	uint32_t *array = NULL;

	for (uint32_t i = 0; i < 1000; i++) {
		CU_ASSERT_EQUAL_FATAL(mem_grow(&array, &cap, i + 1, sizeof(*array)), 0);
		array[i] = i;
	}
	CU_ASSERT(array[0] == 0 && array[999] == 999 && cap >= 1000 && cap < 4000);
	CU_ASSERT_EQUAL(mem_grow(&array, &cap, SIZE_MAX, sizeof(*array)), -ENOMEM);
	CU_ASSERT_EQUAL(array[999], 999);
	free(TAKE_PTR(array));
	CU_ASSERT_PTR_NULL(array);
}

static const struct test tests[] = {
	{ "memory is zeroed, aligned and apart", test_alloc },
	{ "strings are copied whole", test_strings },
	{ "arrays grow and refuse what cannot be", test_grow },
};

int main(void)
{
	return harness_run("arena", tests, ARRAY_SIZE(tests));
}
