/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The memory balloon: gives pages from the end of RAM to the host, as many as it asks for, and
 * takes them back. The device has no MSI-X vectors, so it is looked at whenever another one is: a
 * guest with nothing to do follows at the next command (`load idle` again will do).
 */
#include "t/lab/guest/guest.h"

#define VIRTIO_VENDOR  0x1af4
#define VIRTIO_BALLOON 0x1002
#define CONFIG         20 /* without MSI-X */
#define CONFIG_WANTED  CONFIG
#define CONFIG_ACTUAL  (CONFIG + 4)
#define PAGES_AT_ONCE  1024
#define PATIENCE       100000000

static struct virtq inflate, deflate;
static uint32_t *numbers; /* of the pages under way */
static uint32_t given;    /* pages that the host has */
static uint16_t io;

void balloon_setup(void)
{
	struct pci_device found[32];
	int i, n = pci_scan(found, 32, VIRTIO_VENDOR);

	for (i = 0; i < n && found[i].device != VIRTIO_BALLOON; i++)
		;
	numbers = take_memory(PAGES_AT_ONCE * sizeof(*numbers), 4096);
	if (i == n || !numbers)
		return;
	virtio_begin(found[i].io, 0);
	if (virtq_setup(&inflate, found[i].io, 0) < 0 || virtq_setup(&deflate, found[i].io, 1) < 0)
		return;
	virtio_ready(found[i].io);
	io = found[i].io;
}

/* The host has seen the page numbers when it hands their buffer back. */
static int move(struct virtq *q, uint32_t first, uint32_t count)
{
	uint32_t i, id, bytes;

	for (i = 0; i < count; i++)
		numbers[i] = first + i;
	q->desc[0] = (struct virtq_desc){ (uint32_t)numbers, count * sizeof(*numbers), 0, 0 };
	virtq_offer(q, 0);
	virtq_kick(q);
	for (i = 0; i < PATIENCE; i++)
		if (virtq_take(q, &id, &bytes))
			return 0;
	return -1;
}

uint32_t balloon_turn(uint32_t ram_end)
{
	uint32_t wanted = io ? in32(io + CONFIG_WANTED) : 0, n;
	int r = 0;

	while (io && r == 0 && given != wanted) {
		n = given < wanted ? wanted - given : given - wanted;
		if (n > PAGES_AT_ONCE)
			n = PAGES_AT_ONCE;
		if (given < wanted) {
			r = move(&inflate, (ram_end >> 12) - given - n, n);
			given += n;
		} else {
			given -= n;
			r = move(&deflate, (ram_end >> 12) - given - n, n);
		}
		out32(io + CONFIG_ACTUAL, given);
	}
	return ram_end - (given << 12);
}
