/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fuzz_unit - any text: what a parser takes must come back the same from the formatter.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "qosd/core/mem.h"
#include "qosd/core/unit.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct {
	int (*parse)(const char *text, uint64_t *ret);
	char *(*format)(uint64_t value, char buf[UNIT_TEXT_MAX]);
} kinds[] = {
	{ unit_parse_size, unit_format_size },
	{ unit_parse_rate, unit_format_rate },
	{ unit_parse_byte_rate, unit_format_byte_rate },
	{ unit_parse_time, unit_format_time },
};

static void try_share(const char *text)
{
	char buf[UNIT_TEXT_MAX];
	uint32_t permille = 0, back = 0;

	if (unit_parse_share(text, &permille) == 0 &&
	    (unit_parse_share(unit_format_share(permille, buf), &back) != 0 || back != permille))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	CLEANUP_FREE char *text = strndup((const char *)data, size);
	char buf[UNIT_TEXT_MAX];
	uint64_t value = 0, back = 0;

	if (!text)
		return 0;
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		if (kinds[i].parse(text, &value) == 0 &&
		    (kinds[i].parse(kinds[i].format(value, buf), &back) != 0 || back != value))
			abort();
	try_share(text);
	unit_parse_count(text, &value);
	return 0;
}
