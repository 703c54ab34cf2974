/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "qosd/daemon/pressure.h"

#include <stdio.h>
#include <unistd.h>

const char *const pressure_names[PRESSURE_COUNT] = { "cpu", "memory", "net", "disk" };

static const char *const psi_paths[PRESSURE_COUNT] = {
	[PRESSURE_CPU] = "/proc/pressure/cpu",
	[PRESSURE_MEMORY] = "/proc/pressure/memory",
	[PRESSURE_DISK] = "/proc/pressure/io",
};

/* "some avg10=1.23 ...": percent of time in which some task waited. */
static bool read_psi(const char *path, double *ret_percent)
{
	FILE *f = fopen(path, "re");
	bool ok;

	if (!f)
		return false;
	ok = fscanf(f, "some avg10=%lf", ret_percent) == 1;
	fclose(f);
	return ok;
}

void pressure_read(const struct overload *targets, struct pressure *ret)
{
	const double target_percent[PRESSURE_COUNT] = {
		[PRESSURE_CPU] = targets->cpu_target_wait_permille / 10.0,
		[PRESSURE_MEMORY] = targets->memory_target_pressure_permille / 10.0,
		[PRESSURE_DISK] = targets->memory_target_pressure_permille / 10.0,
	};

	for (int i = 0; i < PRESSURE_COUNT; i++) {
		double percent = 0;

		ret->known[i] =
			psi_paths[i] && target_percent[i] > 0 && read_psi(psi_paths[i], &percent);
		ret->value[i] = ret->known[i] ? percent / target_percent[i] : 0;
	}
}

void pressure_probe(struct diag_list *findings)
{
	if (access(psi_paths[PRESSURE_CPU], R_OK) == 0)
		return;
	diag_add(findings, DIAG_WARNING, NULL, 0, "pressure",
		 "boot with psi=1 on the kernel command line",
		 "the kernel gives no pressure information (/proc/pressure)");
}
