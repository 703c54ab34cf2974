/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Findings and errors: form, order, bounds.
 */
#include <errno.h>

#include "qosd/core/diag.h"
#include "qosd/core/err.h"
#include "t/unit/harness.h"

static void test_format(void)
{
	struct diag_list list = { 0 };
	char buf[256], small[8];

	diag_add(&list, DIAG_ERROR, "a.conf", 7, "mode", "write x", "%s is wrong", "this");
	diag_add(&list, DIAG_WARNING, "a.conf", 0, NULL, NULL, "text");
	diag_add(&list, DIAG_INFO, NULL, 9, "net", NULL, "text");
	ASSERT_STR(diag_format(&list.items[0], buf, sizeof(buf)),
		   "a.conf:7: mode: this is wrong; write x");
	ASSERT_STR(diag_format(&list.items[1], buf, sizeof(buf)), "a.conf: text");
	ASSERT_STR(diag_format(&list.items[2], buf, sizeof(buf)), "net: text");
	ASSERT_STR(diag_format(&list.items[0], small, sizeof(small)), "a.conf:");
	CU_ASSERT_EQUAL(list.errors, 1);
	ASSERT_STR(diag_severity_name(list.items[1].severity), "warning");
	diag_clear(&list);
	CU_ASSERT(list.count == 0 && list.errors == 0 && !list.items);
}

static void test_no_control_characters(void)
{
	struct diag_list list = { 0 };

	diag_add(&list, DIAG_ERROR, NULL, 0, NULL, NULL, "a\x1b[31mb\nc\x7f");
	ASSERT_STR(list.items[0].text, "a?[31mb?c?");
	diag_clear(&list);
}

static void test_sort(void)
{
	static const struct {
		const char *file;
		unsigned int line;
		const char *text;
	} in[] = {
		{ "b", 2, "4" }, { "a", 9, "2" }, { NULL, 0, "0" },
		{ "b", 2, "5" }, { "a", 3, "1" }, { "b", 1, "3" },
	};
	struct diag_list list = { 0 };

	for (size_t i = 0; i < ARRAY_SIZE(in); i++)
		diag_add(&list, DIAG_ERROR, in[i].file, in[i].line, NULL, NULL, "%s", in[i].text);
	diag_sort(&list);
	for (size_t i = 0; i < list.count; i++)
		CU_ASSERT_EQUAL(list.items[i].text[0], (char)('0' + i));
	diag_add(&list, DIAG_ERROR, "b", 2, NULL, NULL, "6");
	diag_sort(&list);
	ASSERT_STR(list.items[list.count - 1].text, "6");
	diag_clear(&list);
}

static void test_bound(void)
{
	struct diag_list list = { 0 };

	for (unsigned int i = 0; i < DIAG_MAX + 10; i++)
		diag_add(&list, DIAG_ERROR, "f", i, NULL, NULL, "finding %u", i);
	CU_ASSERT_EQUAL(list.count, DIAG_MAX);
	CU_ASSERT_EQUAL(list.dropped, 10);
	CU_ASSERT_EQUAL(list.errors, DIAG_MAX + 10);
	diag_clear(&list);
	diag_sort(&list);
}

static void test_err(void)
{
	struct qerr err = { 0 };

	CU_ASSERT_EQUAL(qerr_set(&err, -ENOENT, "no guest \"%s\"", "web"), -ENOENT);
	ASSERT_STR(err.text, "no guest \"web\"");
	CU_ASSERT_EQUAL(qerr_wrap(&err, "class %s", "gold"), -ENOENT);
	ASSERT_STR(err.text, "class gold: no guest \"web\"");
	CU_ASSERT_EQUAL(err.code, -ENOENT);
	CU_ASSERT_EQUAL(qerr_set(NULL, -EINVAL, "dropped"), -EINVAL);
	CU_ASSERT(qerr_wrap(NULL, "dropped") < 0);
	CU_ASSERT_EQUAL(qerr_set(&err, EPERM, "a\nb\x1b\n"), -EPERM);
	ASSERT_STR(err.text, "a b");
}

static void test_err_long(void)
{
	struct qerr err = { 0 };
	char text[QERR_TEXT_MAX + 50];

	memset(text, 'x', sizeof(text));
	text[sizeof(text) - 1] = '\0';
	memcpy(text + QERR_TEXT_MAX - 2, "\xc3\xa9", 2); /* cut in the middle of a character */
	qerr_set(&err, -EIO, "%s", text);
	CU_ASSERT_EQUAL(strlen(err.text), QERR_TEXT_MAX - 2);
	qerr_wrap(&err, "%s", text);
	CU_ASSERT(strlen(err.text) < QERR_TEXT_MAX);
}

static const struct test tests[] = {
	{ "a finding is one line with its place", test_format },
	{ "foreign control characters do not get through", test_no_control_characters },
	{ "sorted by file and line, else as found", test_sort },
	{ "a flood is counted, not kept", test_bound },
	{ "errors are made, wrapped and dropped", test_err },
	{ "long errors are cut at a whole character", test_err_long },
};

int main(void)
{
	return harness_run("diag", tests, ARRAY_SIZE(tests));
}
