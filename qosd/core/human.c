/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "qosd/core/human.h"

#include <stdio.h>

#include "qosd/core/mem.h"

static const char *const size_units[] = { "B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB" };

char *human_size(uint64_t bytes, char buf[HUMAN_TEXT_MAX])
{
	unsigned int unit = 0, tenths;

	while (unit + 1 < ARRAY_SIZE(size_units) && bytes >> (10 * (unit + 1)))
		unit++;
	if (!unit) {
		snprintf(buf, HUMAN_TEXT_MAX, "%lluB", (unsigned long long)bytes);
		return buf;
	}
	/* The ten bits below the unit are all that one decimal needs. */
	tenths = (unsigned int)((bytes >> (10 * (unit - 1))) % 1024 * 10 / 1024);
	bytes >>= 10 * unit;
	if (tenths)
		snprintf(buf, HUMAN_TEXT_MAX, "%llu.%u%s", (unsigned long long)bytes, tenths,
			 size_units[unit]);
	else
		snprintf(buf, HUMAN_TEXT_MAX, "%llu%s", (unsigned long long)bytes,
			 size_units[unit]);
	return buf;
}

char *human_rate(uint64_t bps, char buf[HUMAN_TEXT_MAX])
{
	static const char *const units[] = { "bit", "kbit", "Mbit", "Gbit", "Tbit" };
	unsigned int unit = 0, tenths = 0;

	for (; unit + 1 < ARRAY_SIZE(units) && bps >= 1000; bps /= 1000, unit++)
		tenths = (unsigned int)(bps % 1000 / 100);
	if (tenths)
		snprintf(buf, HUMAN_TEXT_MAX, "%llu.%u%s", (unsigned long long)bps, tenths,
			 units[unit]);
	else
		snprintf(buf, HUMAN_TEXT_MAX, "%llu%s", (unsigned long long)bps, units[unit]);
	return buf;
}

char *human_mcpu(uint64_t mcpu, char buf[HUMAN_TEXT_MAX])
{
	unsigned int rest = (unsigned int)(mcpu % 1000), digits = 3;
	unsigned long long whole = mcpu / 1000;

	if (!rest) {
		snprintf(buf, HUMAN_TEXT_MAX, "%llu CPU%s", whole, whole == 1 ? "" : "s");
		return buf;
	}
	for (; rest % 10 == 0; rest /= 10)
		digits--;
	snprintf(buf, HUMAN_TEXT_MAX, "%llu.%0*u CPUs", whole, (int)digits, rest);
	return buf;
}
