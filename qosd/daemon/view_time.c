/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdio.h>
#include <time.h>

#include "qosd/daemon/view.h"

json_t *view_time_ms(uint64_t ms)
{
	time_t seconds = (time_t)(ms / 1000);
	char day[32], text[48];
	struct tm tm;

	if (!ms || !gmtime_r(&seconds, &tm) ||
	    !strftime(day, sizeof(day), "%Y-%m-%dT%H:%M:%S", &tm))
		return json_null();
	if (ms % 1000)
		snprintf(text, sizeof(text), "%s.%03uZ", day, (unsigned int)(ms % 1000));
	else
		snprintf(text, sizeof(text), "%sZ", day);
	return json_string(text);
}
