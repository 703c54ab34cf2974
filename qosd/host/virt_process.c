/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * virt_process - a guest's QEMU process and host devices, from files of libvirt and the kernel.
 *
 * libvirt's API does not tell the process id; its pid file does. The start time (field 22 of
 * /proc/PID/stat, clock ticks) makes a process id unique. Interface indexes come from sysfs:
 * if_nametoindex() of an unknown name makes the kernel load modules.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "qosd/host/virt_priv.h"

/* The file's beginning as a string; bytes read, or -1. */
static ssize_t read_text(const char *path, char *buf, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	ssize_t n;

	if (fd < 0)
		return -1;
	n = read(fd, buf, size - 1);
	close(fd);
	if (n >= 0)
		buf[n] = '\0';
	return n;
}

/* Decimal digits, then white space or the end; 0 when it is anything else or above max. */
static uint64_t read_number(const char *path, uint64_t max)
{
	char text[32];
	uint64_t value = 0;
	const char *p = text;

	if (read_text(path, text, sizeof(text)) <= 0)
		return 0;
	for (; *p >= '0' && *p <= '9'; p++) {
		value = value * 10 + (uint64_t)(*p - '0');
		if (value > max)
			return 0;
	}
	return *p == '\0' || *p == '\n' || *p == ' ' ? value : 0;
}

int virt_process_find(const char *run_dir, const char *name)
{
	char path[512];

	if (!name || strchr(name, '/'))
		return 0;
	if ((size_t)snprintf(path, sizeof(path), "%s/%s.pid", run_dir, name) >= sizeof(path))
		return 0;
	return (int)read_number(path, INT32_MAX);
}

/* Fields count from 1; the second is in brackets and may hold anything, brackets too. */
uint64_t virt_process_start_ticks(int pid)
{
	char path[64], text[1024];
	const char *p;
	unsigned long long ticks;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	if (read_text(path, text, sizeof(text)) <= 0)
		return 0;
	p = strrchr(text, ')');
	for (int field = 2; p && field < 22; field++) {
		p = strchr(p, ' ');
		if (p)
			p++;
	}
	return p && sscanf(p, "%llu", &ticks) == 1 ? ticks : 0;
}

uint32_t virt_device_ifindex(const char *device)
{
	char path[64];

	if (!device[0])
		return 0;
	snprintf(path, sizeof(path), "/sys/class/net/%s/ifindex", device);
	return (uint32_t)read_number(path, INT32_MAX);
}

/* ---- a device by its address ---- */

static bool is_there(const char *sysfs, const char *device, const char *file)
{
	char path[PATH_MAX];

	return (size_t)snprintf(path, sizeof(path), "%s/class/net/%s/%s", sysfs, device, file) <
		       sizeof(path) &&
	       access(path, F_OK) == 0;
}

static bool has_address(const char *sysfs, const char *device, const char *mac)
{
	char path[PATH_MAX], text[sizeof(((struct guest_nic *)0)->mac) + 1];

	if ((size_t)snprintf(path, sizeof(path), "%s/class/net/%s/address", sysfs, device) >=
		    sizeof(path) ||
	    read_text(path, text, sizeof(text)) <= 0)
		return false;
	text[strcspn(text, "\n")] = '\0';
	return strcasecmp(text, mac) == 0;
}

static uint32_t index_in(const char *sysfs, const char *device)
{
	char path[PATH_MAX];

	if ((size_t)snprintf(path, sizeof(path), "%s/class/net/%s/ifindex", sysfs, device) >=
	    sizeof(path))
		return 0;
	return (uint32_t)read_number(path, INT32_MAX);
}

/* A name that libvirt gives by itself: then the device is whose libvirt says. */
static bool is_of_libvirt(const char *device)
{
	size_t stem = strcspn(device, "0123456789"), digits = strspn(device + stem, "0123456789");

	return digits && !device[stem + digits] &&
	       ((stem == 4 && strncmp(device, "vnet", stem) == 0) ||
		(stem == 7 && strncmp(device, "macvtap", stem) == 0));
}

/* The index of the device if it is the host's end of a NIC: a tap's address is `tap_mac`. */
static uint32_t index_if_end(const char *sysfs, const char *device, const char *mac,
			     const char *tap_mac)
{
	uint32_t index;
	char tap[16];

	if (has_address(sysfs, device, tap_mac) && is_there(sysfs, device, "tun_flags"))
		return index_in(sysfs, device);
	if (!has_address(sysfs, device, mac))
		return 0;
	index = index_in(sysfs, device);
	snprintf(tap, sizeof(tap), "tap%u", index);
	return index && is_there(sysfs, device, tap) ? index : 0;
}

uint32_t virt_device_by_mac(const char *sysfs, const char *mac)
{
	char path[PATH_MAX], tap_mac[sizeof(((struct guest_nic *)0)->mac)];
	const struct dirent *d;
	uint32_t found = 0;
	DIR *dir = NULL;

	if (strlen(mac) != sizeof(tap_mac) - 1)
		return 0;
	snprintf(tap_mac, sizeof(tap_mac), "%s%s", strncasecmp(mac, "fe", 2) == 0 ? "fa" : "fe",
		 mac + 2);
	if ((size_t)snprintf(path, sizeof(path), "%s/class/net", sysfs) < sizeof(path))
		dir = opendir(path);
	while (dir && (d = readdir(dir))) {
		bool other = d->d_name[0] == '.' || is_of_libvirt(d->d_name);
		uint32_t index = other ? 0 : index_if_end(sysfs, d->d_name, mac, tap_mac);

		if (index && found) { /* two: neither is certain */
			found = 0;
			break;
		}
		found = index ? index : found;
	}
	if (dir)
		closedir(dir);
	return found;
}

bool virt_process_frozen(const struct guest *g)
{
	char path[1100];

	if (!g->cgroup || (size_t)snprintf(path, sizeof(path), "/sys/fs/cgroup%s/cgroup.freeze",
					   g->cgroup) >= sizeof(path))
		return false;
	return read_number(path, 1) == 1;
}
