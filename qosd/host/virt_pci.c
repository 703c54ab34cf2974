/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * virt_pci - the card and the number of a virtual function that a guest drives itself, from sysfs:
 *
 *	bus/pci/devices/ADDRESS/physfn         -> the card; absent: no virtual function
 *	bus/pci/devices/ADDRESS/physfn/virtfnN -> the function with number N
 *	bus/pci/devices/ADDRESS/physfn/net/    the card's network devices, none without a driver
 *
 * The address comes from a domain XML: it goes into a path only if it is exactly one. A card in
 * switchdev mode has devices that stand for its functions, too: those have a port name like
 *"pf0vf1", and are passed over.
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "qosd/host/virt_priv.h"

#define VFS_MAX 65536u /* what PCI can count */

/* "0000:3b:02.1", as sysfs writes it. */
static bool address_sound(const char *address)
{
	char again[GUEST_DEVICE_MAX + 16];
	unsigned int domain, bus, slot, function;

	if (strlen(address) >= GUEST_DEVICE_MAX ||
	    sscanf(address, "%7x:%2x:%2x.%1x", &domain, &bus, &slot, &function) != 4)
		return false;
	snprintf(again, sizeof(again), "%04x:%02x:%02x.%x", domain, bus, slot, function);
	return strcmp(address, again) == 0;
}

/* The start of a file below an open directory, without its newline; "": there is none. */
static void read_at(int dir, const char *path, char *buf, size_t size)
{
	int fd = openat(dir, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	ssize_t n = fd < 0 ? -1 : read(fd, buf, size - 1);

	if (fd >= 0)
		close(fd);
	buf[n > 0 ? n : 0] = '\0';
	buf[strcspn(buf, "\n")] = '\0';
}

/* Takes over fd. */
static DIR *open_list(int fd)
{
	DIR *list = fd < 0 ? NULL : fdopendir(fd);

	if (fd >= 0 && !list)
		close(fd);
	return list;
}

static DIR *open_card(const char *sysfs, const char *address)
{
	char path[512];
	int n = snprintf(path, sizeof(path), "%s/bus/pci/devices/%s/physfn", sysfs, address);

	if (n < 0 || (size_t)n >= sizeof(path))
		return NULL;
	return open_list(open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
}

/* Does this link of the card's lead to the address? */
static bool leads_to(int card, const char *link, const char *address)
{
	char to[256];
	ssize_t n = readlinkat(card, link, to, sizeof(to) - 1);
	const char *last;

	if (n < 0)
		return false;
	to[n] = '\0';
	last = strrchr(to, '/');
	return strcmp(last ? last + 1 : to, address) == 0;
}

static bool find_number(DIR *card, const char *address, uint32_t *ret)
{
	const struct dirent *d;
	unsigned int number;
	int end;

	while ((d = readdir(card))) {
		end = 0;
		if (sscanf(d->d_name, "virtfn%u%n", &number, &end) != 1 || d->d_name[end] ||
		    number >= VFS_MAX || !leads_to(dirfd(card), d->d_name, address))
			continue;
		*ret = number;
		return true;
	}
	return false;
}

static void consider(int net, const char *name, struct guest_nic *nic)
{
	char path[64], text[32];
	unsigned long ifindex;

	if (name[0] == '.' || strlen(name) >= sizeof(nic->card))
		return;
	snprintf(path, sizeof(path), "%s/phys_port_name", name);
	read_at(net, path, text, sizeof(text));
	if (strstr(text, "vf") || strstr(text, "sf"))
		return;
	snprintf(path, sizeof(path), "%s/ifindex", name);
	read_at(net, path, text, sizeof(text));
	ifindex = strtoul(text, NULL, 10);
	if (!ifindex || ifindex > INT32_MAX || (nic->card_ifindex && nic->card_ifindex < ifindex))
		return;
	nic->card_ifindex = (uint32_t)ifindex;
	strcpy(nic->card, name);
}

/* Of several ports the first: drivers take rates of all their functions on it. */
static void find_card(DIR *card, struct guest_nic *nic)
{
	DIR *net = open_list(openat(dirfd(card), "net", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
	const struct dirent *d;

	while (net && (d = readdir(net)))
		consider(dirfd(net), d->d_name, nic);
	if (net)
		closedir(net);
}

void virt_find_vf(const char *sysfs, struct guest_nic *nic)
{
	DIR *card;

	nic->vf = false;
	nic->vf_number = nic->card_ifindex = 0;
	memset(nic->card, 0, sizeof(nic->card));
	if (!address_sound(nic->pci))
		return;
	card = open_card(sysfs ? sysfs : "/sys", nic->pci);
	if (!card)
		return;
	nic->vf = true;
	if (find_number(card, nic->pci, &nic->vf_number))
		find_card(card, nic);
	closedir(card);
}
