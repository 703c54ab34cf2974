/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fuzz_episode - any bytes as a line of the episodes' file.
 *
 * What is accepted is what the writer makes of it, to the byte; what is not leaves the result
 * alone.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "qosd/core/episode.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void demand(bool holds)
{
	if (!holds)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char line[EPISODE_LINE_MAX], cause[EPISODE_CAUSE_MAX];
	struct episode e, before;

	memset(&e, 0x5a, sizeof(e));
	before = e;
	if (episode_parse_line((const char *)data, size, &e) < 0) {
		demand(memcmp(&e, &before, sizeof(e)) == 0);
		return 0;
	}
	demand(e.id > 0 && e.resource < RESOURCE_COUNT && e.effect <= EPISODE_NO_HELP);
	demand(memchr(e.why, '\0', sizeof(e.why)) != NULL);
	episode_format_line(&e, line, sizeof(line));
	demand(strlen(line) == size && memcmp(line, data, size) == 0);
	episode_cause(&e, cause, sizeof(cause));
	demand(strncmp(cause, e.why, strlen(e.why)) == 0);
	return 0;
}
