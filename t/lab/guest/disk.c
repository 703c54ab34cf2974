/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The disk loads, with QUEUE requests under way: a virtio disk written and read in turn, start to
 * end over and over; or only one of these, in steps of STRIDE requests. QEMU makes one request of
 * neighbours that come together, so only the latter are counted there one by one.
 */
#include "t/lab/guest/guest.h"

#define VIRTIO_VENDOR 0x1af4
#define VIRTIO_BLOCK  0x1001
#define QUEUE         4
#define STRIDE        5
#define SECTORS       (LAB_DISK_BYTES / 512)

struct request {
	struct {
		uint32_t type, unused;
		uint64_t sector;
	} head;
	uint8_t status;
	uint8_t busy, write;
	char *data;
	uint64_t began; /* ticks */
};

static struct virtq queue;
static struct request *requests;
static uint32_t disk_sectors, next_sector;
static int reading;
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

/* Where the next request goes. */
static uint32_t take_sector(uint32_t load)
{
	uint32_t sector, step = load == LAB_DISK ? SECTORS : STRIDE * SECTORS;

	if (next_sector + SECTORS > disk_sectors) {
		next_sector = load == LAB_DISK ? 0 : next_sector - disk_sectors / SECTORS * SECTORS;
		reading = !reading;
	}
	sector = next_sector;
	next_sector += step;
	return sector;
}

static void submit(int i, uint32_t load)
{
	struct request *r = &requests[i];
	struct virtq_desc *d = &queue.desc[3 * i];

	r->head.sector = take_sector(load);
	if (load != LAB_DISK)
		reading = load == LAB_DISK_READ;
	r->write = !reading; /* the first pass over the disk writes */
	r->head.type = r->write;
	r->busy = 1;
	r->began = ticks();
	d[0] = (struct virtq_desc){ (uint32_t)&r->head, sizeof(r->head), DESC_NEXT, 3 * i + 1 };
	d[1] = (struct virtq_desc){ (uint32_t)r->data, LAB_DISK_BYTES,
				    DESC_NEXT | (r->write ? 0 : DESC_WRITE), 3 * i + 2 };
	d[2] = (struct virtq_desc){ (uint32_t)&r->status, 1, DESC_WRITE, 0 };
	virtq_offer(&queue, 3 * i);
}

/* One that was made has ended. */
static void complete(struct request *r)
{
	r->busy = 0;
	if (r->status != 0)
		return;
	if (r->write)
		counters->disk_writes++;
	else
		counters->disk_reads++;
	counters->disk_latency[lab_latency_bucket(ticks() - r->began)]++;
}

void disk_turn(uint32_t load)
{
	int wanted = load == LAB_DISK || load == LAB_DISK_READ || load == LAB_DISK_WRITE;
	uint32_t id, bytes;
	int i, n = 0;

	if (disk_sectors < SECTORS)
		return;
	while (virtq_take(&queue, &id, &bytes))
		complete(&requests[id / 3]);
	if (wanted)
		service_calibrate(counters);
	for (i = 0; wanted && i < QUEUE; i++)
		if (!requests[i].busy) {
			submit(i, load);
			n++;
		}
	if (n)
		virtq_kick(&queue);
}
