/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fuzz_cpuset - any text: a list that is taken must come back as the same set, and be stable.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "qosd/core/cpuset.h"
#include "qosd/core/mem.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	CLEANUP_FREE char *text = strndup((const char *)data, size);
	char first[CPUSET_TEXT_MAX], second[CPUSET_TEXT_MAX];
	struct cpuset set, back;

	if (!text || cpuset_parse(text, &set) != 0)
		return 0;
	cpuset_format(&set, first, sizeof(first));
	if (cpuset_parse(first, &back) != 0 || !cpuset_equal(&set, &back))
		abort();
	if (strcmp(cpuset_format(&back, second, sizeof(second)), first) != 0)
		abort();
	return 0;
}
