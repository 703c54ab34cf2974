/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * PCI without a BIOS: bus 0 only, function 0 only. This program gives each device that it wants
 * its I/O ports (BAR 0) and the memory of its MSI-X table.
 */
#include "t/lab/guest/guest.h"

#define PCI_COMMAND      0x04
#define PCI_BAR0         0x10
#define PCI_CAPABILITIES 0x34
#define CAP_MSIX         0x11
#define IO_FIRST         0xc000
#define IO_EACH          0x100
#define TABLE_FIRST      0xfe000000u
#define TABLE_EACH       0x10000u
#define MSIX_ENTRIES     3

static uint32_t pci_read(uint8_t slot, uint8_t offset)
{
	out32(0xcf8, 0x80000000u | slot << 11 | (offset & 0xfc));
	return in32(0xcfc);
}

static void pci_write(uint8_t slot, uint8_t offset, uint32_t value)
{
	out32(0xcf8, 0x80000000u | slot << 11 | (offset & 0xfc));
	out32(0xcfc, value);
}

int pci_scan(struct pci_device *found, int max, uint16_t vendor)
{
	int n = 0;
	uint8_t slot;

	for (slot = 0; slot < 32 && n < max; slot++) {
		uint32_t id = pci_read(slot, 0);

		if ((id & 0xffff) != vendor)
			continue;
		found[n].slot = slot;
		found[n].vendor = vendor;
		found[n].device = id >> 16;
		found[n].io = IO_FIRST + IO_EACH * slot;
		pci_write(slot, PCI_BAR0, found[n].io);
		pci_write(slot, PCI_COMMAND, 7);
		n++;
	}
	return n;
}

static uint8_t find_capability(uint8_t slot, uint8_t wanted)
{
	uint8_t at = pci_read(slot, PCI_CAPABILITIES) & 0xfc;
	int i;

	for (i = 0; at && i < 16; i++) {
		uint32_t head = pci_read(slot, at);

		if ((head & 0xff) == wanted)
			return at;
		at = (head >> 8) & 0xfc;
	}
	return 0;
}

int pci_enable_msix(const struct pci_device *pci, uint8_t vector)
{
	uint8_t cap = find_capability(pci->slot, CAP_MSIX);
	uint32_t where, table_at = TABLE_FIRST + TABLE_EACH * pci->slot;
	volatile uint32_t *table;
	int i;

	if (!cap)
		return -1;
	where = pci_read(pci->slot, cap + 4);
	pci_write(pci->slot, PCI_BAR0 + 4 * (where & 7), table_at);
	table = (volatile uint32_t *)(table_at + (where & ~7u));
	for (i = 0; i < MSIX_ENTRIES; i++) {
		table[4 * i] = 0xfee00000u;
		table[4 * i + 1] = 0;
		table[4 * i + 2] = vector;
		table[4 * i + 3] = 0;
	}
	pci_write(pci->slot, cap, (pci_read(pci->slot, cap) & 0x3fffffffu) | 0x80000000u);
	return 0;
}
