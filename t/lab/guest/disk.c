/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The disk load: a virtio disk written and read in turn, start to end over and over, with QUEUE
 * requests under way.
 */
#include "t/lab/guest/guest.h"

#define VIRTIO_VENDOR 0x1af4
#define VIRTIO_BLOCK  0x1001
#define QUEUE         4
#define SECTORS       (LAB_DISK_BYTES / 512)

struct request {
	struct {
		uint32_t type, unused;
		uint64_t sector;
	} head;
	uint8_t status;
	uint8_t busy, write;
	char *data;
};

static struct virtq queue;
static struct request *requests;
static uint32_t disk_sectors, next_sector;
static int writing;
static struct lab_page *counters;

void disk_setup(struct lab_page *page)
{
	struct pci_device found[32];
	int i, n = pci_scan(found, 32, VIRTIO_VENDOR);

	for (i = 0; i < n && found[i].device != VIRTIO_BLOCK; i++)
		;
	if (i == n || pci_enable_msix(&found[i], VECTOR_DEVICE) < 0)
		return;
	virtio_begin(found[i].io, 0);
	requests = take_memory(QUEUE * sizeof(*requests), 64);
	if (!requests || virtq_setup(&queue, found[i].io, 0) < 0)
		return;
	for (n = 0; n < QUEUE; n++)
		requests[n].data = take_memory(LAB_DISK_BYTES, 4096);
	virtio_ready(found[i].io);
	counters = page;
	disk_sectors = in32(found[i].io + VIRTIO_CONFIG_MSIX);
}

static void submit(int i)
{
	struct request *r = &requests[i];
	struct virtq_desc *d = &queue.desc[3 * i];

	if (next_sector + SECTORS > disk_sectors) {
		next_sector = 0;
		writing = !writing;
	}
	r->write = !writing; /* the first pass over the disk writes */
	r->head.type = r->write;
	r->head.sector = next_sector;
	r->busy = 1;
	next_sector += SECTORS;
	d[0] = (struct virtq_desc){ (uint32_t)&r->head, sizeof(r->head), DESC_NEXT, 3 * i + 1 };
	d[1] = (struct virtq_desc){ (uint32_t)r->data, LAB_DISK_BYTES,
				    DESC_NEXT | (r->write ? 0 : DESC_WRITE), 3 * i + 2 };
	d[2] = (struct virtq_desc){ (uint32_t)&r->status, 1, DESC_WRITE, 0 };
	virtq_offer(&queue, 3 * i);
}

void disk_turn(int wanted)
{
	uint32_t id, bytes;
	int i, n = 0;

	if (disk_sectors < SECTORS)
		return;
	while (virtq_take(&queue, &id, &bytes)) {
		struct request *r = &requests[id / 3];

		r->busy = 0;
		if (r->status == 0 && r->write)
			counters->disk_writes++;
		else if (r->status == 0)
			counters->disk_reads++;
	}
	for (i = 0; wanted && i < QUEUE; i++)
		if (!requests[i].busy) {
			submit(i);
			n++;
		}
	if (n)
		virtq_kick(&queue);
}
