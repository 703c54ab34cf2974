/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fuzz_conf - any configuration text: either a policy whose normal form reads in again as the same,
 * or at least one error; never both, never neither.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "qosd/core/mem.h"
#include "qosd/host/conf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
const char *__lsan_default_suppressions(void);

/* libconfig 1.5 loses the string it was reading when it meets a syntax error. */
const char *__lsan_default_suppressions(void)
{
	return "leak:libconfig.so";
}

static void check_normal_form(const struct policy *p)
{
	CLEANUP_FREE char *printed = policy_print(p);
	CLEANUP_FREE char *again = NULL;
	struct diag_list findings = { 0 };
	struct policy *back = printed ? conf_read_text(printed, "printed", &findings) : NULL;

	if (!back)
		abort();
	again = policy_print(back);
	if (!again || strcmp(again, printed) != 0)
		abort();
	policy_free(back);
	diag_clear(&findings);
}

static void format_all(struct diag_list *findings)
{
	char buf[512];

	diag_sort(findings);
	for (size_t i = 0; i < findings->count; i++)
		diag_format(&findings->items[i], buf, sizeof(buf));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	CLEANUP_FREE char *text = strndup((const char *)data, size);
	struct diag_list findings = { 0 };
	struct policy *p;

	if (!text)
		return 0;
	p = conf_read_text(text, "fuzz", &findings);
	if (!p != (findings.errors > 0))
		abort();
	if (p) {
		check_normal_form(p);
		policy_check(p, NULL, &findings);
	}
	format_all(&findings);
	policy_free(p);
	diag_clear(&findings);
	return 0;
}
