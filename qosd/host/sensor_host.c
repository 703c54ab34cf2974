/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Pressure and memory of the host, and the triggers by which the kernel wakes a calm daemon.
 *
 * A trigger (Documentation/accounting/psi.rst) fires when tasks stalled for longer than a threshold
 * within a window. The shortest window is 500 ms; the kernel looks ten times in a window, so an
 * onset is told of within threshold + 50 ms.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "qosd/core/mem.h"
#include "qosd/host/cgroup_text.h"
#include "qosd/host/sensor_priv.h"

#define WINDOW_US 500000 /* the kernel takes 500 ms to 10 s */
/* The policy's target for disks is a latency; this much of the time someone waits for one. */
#define DISK_TARGET_PERMILLE 100

static const char *const psi_files[RESOURCE_COUNT] = {
	[RESOURCE_CPU] = "pressure/cpu",
	[RESOURCE_MEMORY] = "pressure/memory",
	[RESOURCE_DISK] = "pressure/io",
};

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

void sensor_host_open(struct sensor_host *h, int proc_fd)
{
	for (int r = 0; r < RESOURCE_COUNT; r++) {
		h->trigger_fd[r] = -1;
		h->trigger_error[r] = 0;
		h->psi_fd[r] =
			psi_files[r] ? openat(proc_fd, psi_files[r], O_RDONLY | O_CLOEXEC) : -1;
	}
	h->meminfo_fd = openat(proc_fd, "meminfo", O_RDONLY | O_CLOEXEC);
}

void sensor_host_drop_triggers(struct sensor_host *h)
{
	for (int r = 0; r < RESOURCE_COUNT; r++)
		close_fd(&h->trigger_fd[r]);
}

void sensor_host_close(struct sensor_host *h)
{
	sensor_host_drop_triggers(h);
	for (int r = 0; r < RESOURCE_COUNT; r++)
		close_fd(&h->psi_fd[r]);
	close_fd(&h->meminfo_fd);
}

int sensor_read_fd(int fd, char *buf, size_t size)
{
	ssize_t n;

	do
		n = pread(fd, buf, size - 1, 0);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	buf[n] = '\0';
	return (int)n;
}

static void read_meminfo(int fd, struct sample *ret, uint64_t *ret_swap_bytes)
{
	char buf[4096];
	const struct {
		const char *key;
		uint64_t *value;
	} wanted[] = {
		{ "MemTotal", &ret->memory_total_bytes },
		{ "MemAvailable", &ret->memory_available_bytes },
		{ "SwapFree", &ret->swap_free_bytes },
		{ "SwapTotal", ret_swap_bytes },
	};

	for (size_t i = 0; i < ARRAY_SIZE(wanted); i++)
		*wanted[i].value = SAMPLE_UNKNOWN;
	if (fd < 0 || sensor_read_fd(fd, buf, sizeof(buf)) <= 0)
		return;
	for (size_t i = 0; i < ARRAY_SIZE(wanted); i++)
		(void)cgroup_text_meminfo(buf, wanted[i].key, wanted[i].value);
}

void sensor_host_read(struct sensor_host *h, struct sample *ret)
{
	char buf[256];

	for (int r = 0; r < RESOURCE_COUNT; r++) {
		ret->psi_some_us[r] = SAMPLE_UNKNOWN;
		if (h->psi_fd[r] >= 0 && sensor_read_fd(h->psi_fd[r], buf, sizeof(buf)) > 0)
			(void)cgroup_text_psi_some(buf, &ret->psi_some_us[r]);
	}
	read_meminfo(h->meminfo_fd, ret, &h->swap_bytes);
}

static uint32_t target_permille(enum resource r, const struct overload *o)
{
	switch (r) {
	case RESOURCE_CPU: /* somebody waits at least as long as any one guest */
		return o->cpu_target_wait_permille;
	case RESOURCE_MEMORY:
		return o->memory_target_pressure_permille;
	default:
		return DISK_TARGET_PERMILLE;
	}
}

int sensor_host_trigger(struct sensor_host *h, int proc_fd, enum resource r,
			const struct overload *o, struct qerr *err)
{
	uint32_t permille = target_permille(r, o);
	char text[64];
	int fd, len;

	close_fd(&h->trigger_fd[r]);
	if (!psi_files[r])
		return qerr_set(err, -EOPNOTSUPP, "the kernel measures no pressure on %s",
				resource_names[r]);
	if (permille < 1 || permille > 1000)
		permille = permille < 1 ? 1 : 1000;
	len = snprintf(text, sizeof(text), "some %u %u", WINDOW_US / 1000 * permille, WINDOW_US);
	fd = openat(proc_fd, psi_files[r], O_RDWR | O_NONBLOCK | O_CLOEXEC);
	/* The kernel takes the text with its closing zero. */
	if (fd >= 0 && write(fd, text, (size_t)len + 1) >= 0) {
		h->trigger_error[r] = 0;
		h->trigger_fd[r] = fd;
		return fd;
	}
	h->trigger_error[r] = -errno;
	close_fd(&fd);
	return qerr_set(err, h->trigger_error[r], "no trigger on /proc/%s: %s", psi_files[r],
			strerror(-h->trigger_error[r]));
}
