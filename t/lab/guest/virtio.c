/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * virtio, legacy interface (ports of BAR 0). All queues of all devices raise the same MSI-X
 * vector, through table entry 0. The ring's size is the device's.
 */
#include "t/lab/guest/guest.h"

#define REG_DEVICE_FEATURES 0
#define REG_FEATURES        4
#define REG_QUEUE_PAGE      8
#define REG_QUEUE_SIZE      12
#define REG_QUEUE_SELECT    14
#define REG_NOTIFY          16
#define REG_STATUS          18
#define REG_CONFIG_VECTOR   20
#define REG_QUEUE_VECTOR    22

#define STATUS_ACKNOWLEDGED 1
#define STATUS_DRIVER       2
#define STATUS_READY        4
#define NO_INTERRUPT        1
#define NO_NOTIFY           1
#define NO_VECTOR           0xffff

uint32_t virtio_begin(uint16_t io, uint32_t wanted_features)
{
	uint32_t features;

	out8(io + REG_STATUS, 0);
	out8(io + REG_STATUS, STATUS_ACKNOWLEDGED | STATUS_DRIVER);
	features = in32(io + REG_DEVICE_FEATURES) & wanted_features;
	out32(io + REG_FEATURES, features);
	out16(io + REG_CONFIG_VECTOR, NO_VECTOR);
	return features;
}

int virtq_setup(struct virtq *q, uint16_t io, uint16_t index)
{
	uint32_t ring_bytes;
	char *ring;

	out16(io + REG_QUEUE_SELECT, index);
	q->io = io;
	q->index = index;
	q->seen = 0;
	q->size = in16(io + REG_QUEUE_SIZE);
	if (!q->size)
		return -1;
	ring_bytes = (16u * q->size + 6 + 2u * q->size + 4095) & ~4095u;
	ring = take_memory(ring_bytes + 6 + 8u * q->size, 4096);
	if (!ring)
		return -1;
	q->desc = (struct virtq_desc *)ring;
	q->avail = (struct virtq_avail *)(ring + 16u * q->size);
	q->used = (struct virtq_used *)(ring + ring_bytes);
	out32(io + REG_QUEUE_PAGE, (uint32_t)ring >> 12);
	out16(io + REG_QUEUE_VECTOR, 0);
	return 0;
}

void virtio_ready(uint16_t io)
{
	out8(io + REG_STATUS, STATUS_ACKNOWLEDGED | STATUS_DRIVER | STATUS_READY);
}

void virtq_offer(struct virtq *q, uint16_t head)
{
	uint16_t index = q->avail->index;

	q->avail->ring[index & (q->size - 1)] = head;
	fence();
	*(volatile uint16_t *)&q->avail->index = index + 1;
}

void virtq_kick(struct virtq *q)
{
	fence();
	if (!(*(volatile uint16_t *)&q->used->flags & NO_NOTIFY))
		out16(q->io + REG_NOTIFY, q->index);
}

int virtq_take(struct virtq *q, uint32_t *id, uint32_t *bytes)
{
	uint16_t at = q->seen & (q->size - 1);

	if (*(volatile uint16_t *)&q->used->index == q->seen)
		return 0;
	fence();
	*id = q->used->ring[at].id;
	*bytes = q->used->ring[at].bytes;
	q->seen++;
	return 1;
}

void virtq_interrupts(struct virtq *q, int on)
{
	*(volatile uint16_t *)&q->avail->flags = on ? 0 : NO_INTERRUPT;
}
