/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * harness - one CUnit suite per program: a table of named tests and a main.
 *
 *	static const struct test tests[] = { { "parses sizes", test_sizes }, ... };
 *	int main(void) { return harness_run("unit", tests, ARRAY_SIZE(tests)); }
 *
 * Exit status 0 when all passed. CUnit's closing summary goes to standard output.
 */
#ifndef QOSD_T_HARNESS_H
#define QOSD_T_HARNESS_H

#include <CUnit/Basic.h>
#include <CUnit/CUnit.h>
#include <stdio.h>
#include <string.h>

#include "qosd/core/mem.h"

struct test {
	const char *name;
	void (*run)(void);
};

static inline int harness_run(const char *suite_name, const struct test *tests, size_t count)
{
	CU_pSuite suite;
	unsigned int failed;

	if (CU_initialize_registry() != CUE_SUCCESS)
		return 1;
	suite = CU_add_suite(suite_name, NULL, NULL);
	for (size_t i = 0; suite && i < count; i++)
		if (!CU_add_test(suite, tests[i].name, tests[i].run))
			suite = NULL;
	if (!suite) {
		fprintf(stderr, "%s: %s\n", suite_name, CU_get_error_msg());
		CU_cleanup_registry();
		return 1;
	}
	CU_basic_set_mode(CU_BRM_NORMAL);
	CU_basic_run_tests();
	failed = CU_get_number_of_failures();
	CU_cleanup_registry();
	return failed ? 1 : 0;
}

/* A string comparison that shows both sides when it fails. */
#define ASSERT_STR(actual, expected)                                                               \
	do {                                                                                       \
		const char *a_ = (actual), *e_ = (expected);                                       \
		if (!a_ || strcmp(a_, e_) != 0)                                                    \
			fprintf(stderr, "\n%s:%d: got \"%s\", expected \"%s\"\n", __FILE__,        \
				__LINE__, a_ ? a_ : "(null)", e_);                                 \
		CU_ASSERT_TRUE(!(!a_ || strcmp(a_, e_)));                                          \
	} while (0)

#endif
