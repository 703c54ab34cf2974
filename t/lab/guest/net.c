/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Frames between pairs of virtio NICs. A pair is the NIC on the host's bridge and a private one
 * whose tap sits in the namespace that plays the guest's network stack; they are told apart by
 * the first byte of the MAC and matched by its last three.
 *
 * A receive buffer holds a whole 64 KiB segmented frame. It is given to the other NIC as it is:
 * the virtio header at its front (checksum and segmentation still to be done) has the same form in
 * both directions, so nothing is copied. Descriptor i of a transmit ring always stands for receive
 * buffer i of the other NIC, and returns there when sent.
 */
#include "t/lab/guest/guest.h"

#define VIRTIO_VENDOR     0x1af4
#define VIRTIO_NET        0x1000
#define MAX_PAIRS         4
#define MAX_NICS          (2 * MAX_PAIRS)
#define BUFFERS           32
#define BUFFER_BYTES      (68 * 1024)
#define PRIVATE_MAC_BYTE  0x06
#define HEADER_DATA_VALID 2

/* checksum, guest checksum, MAC, and segmentation of TCP over IPv4 with ECN, both ways */
#define FEATURES (1u << 0 | 1u << 1 | 1u << 5 | 1u << 7 | 1u << 9 | 1u << 11 | 1u << 13)

struct nic {
	uint16_t io;
	uint8_t mac[6];
	struct virtq rx, tx;
	char *buffers;
	struct nic *other;
	lab_count *packets;
};

static struct nic nics[MAX_NICS];
static int count;

static void offer_buffer(struct nic *nic, uint32_t i)
{
	nic->rx.desc[i] = (struct virtq_desc){
		.address = (uint32_t)(nic->buffers + i * BUFFER_BYTES),
		.bytes = BUFFER_BYTES,
		.flags = DESC_WRITE,
	};
	virtq_offer(&nic->rx, i);
}

static int nic_setup(struct nic *nic, const struct pci_device *pci)
{
	int i;

	nic->io = pci->io;
	if (pci_enable_msix(pci, VECTOR_DEVICE) < 0)
		return -1;
	virtio_begin(pci->io, FEATURES);
	for (i = 0; i < 6; i++)
		nic->mac[i] = in8(pci->io + VIRTIO_CONFIG_MSIX + i);
	nic->buffers = take_memory(BUFFERS * BUFFER_BYTES, 4096);
	if (!nic->buffers || virtq_setup(&nic->rx, pci->io, 0) < 0 ||
	    virtq_setup(&nic->tx, pci->io, 1) < 0)
		return -1;
	return 0;
}

static int is_private(const struct nic *nic)
{
	return nic->mac[0] == PRIVATE_MAC_BYTE;
}

static void pair(struct nic *a, struct lab_page *page)
{
	struct nic *b;

	for (b = nics; b < nics + count; b++) {
		if (is_private(a) || !is_private(b) || a->mac[3] != b->mac[3] ||
		    a->mac[4] != b->mac[4] || a->mac[5] != b->mac[5])
			continue;
		a->other = b;
		b->other = a;
		a->packets = &page->packets_in;
		b->packets = &page->packets_out;
		page->nics++;
	}
}

static void nic_begin(struct nic *nic)
{
	int i;

	virtq_interrupts(&nic->tx, 0);
	virtio_ready(nic->io);
	for (i = 0; i < BUFFERS; i++)
		offer_buffer(nic, i);
	virtq_kick(&nic->rx);
}

void net_setup(struct lab_page *page)
{
	struct pci_device found[32];
	int i, n = pci_scan(found, 32, VIRTIO_VENDOR);

	for (i = 0; i < n && count < MAX_NICS; i++)
		if (found[i].device == VIRTIO_NET && nic_setup(&nics[count], &found[i]) == 0)
			count++;
	for (i = 0; i < count; i++)
		pair(&nics[i], page);
	for (i = 0; i < count; i++)
		if (nics[i].other)
			nic_begin(&nics[i]);
}

/* Buffers that nic's other side has sent go back to nic. Returns how many. */
static int collect_sent(struct nic *nic)
{
	uint32_t id, bytes;
	int n = 0;

	while (virtq_take(&nic->other->tx, &id, &bytes)) {
		offer_buffer(nic, id);
		n++;
	}
	if (n)
		virtq_kick(&nic->rx);
	return n;
}

/* Sends what nic received out of its other side. Returns how many frames. */
static int send_on(struct nic *nic)
{
	struct virtq *tx = &nic->other->tx;
	uint32_t id, bytes;
	int n = 0;

	while (virtq_take(&nic->rx, &id, &bytes)) {
		char *buffer = nic->buffers + id * BUFFER_BYTES;

		buffer[0] &= ~HEADER_DATA_VALID;
		tx->desc[id] = (struct virtq_desc){ .address = (uint32_t)buffer, .bytes = bytes };
		virtq_offer(tx, id);
		n++;
	}
	if (n)
		virtq_kick(tx);
	*nic->packets += n;
	return n;
}

int net_forward(void)
{
	int i, moved = 0;

	for (i = 0; i < count; i++) {
		if (!nics[i].other)
			continue;
		virtq_interrupts(&nics[i].rx, 0);
		moved |= collect_sent(&nics[i]);
		moved |= send_on(&nics[i]);
	}
	return moved != 0;
}

/* A sent buffer is collected with the next traffic; only a ring that runs dry asks to be told. */
int net_rest(void)
{
	int i, more = 0;

	for (i = 0; i < count; i++) {
		struct nic *nic = &nics[i];
		uint16_t unsent;

		if (!nic->other)
			continue;
		unsent = nic->other->tx.avail->index - nic->other->tx.seen;
		virtq_interrupts(&nic->other->tx, unsent >= BUFFERS / 2);
		virtq_interrupts(&nic->rx, 1);
		fence();
		more |= *(volatile uint16_t *)&nic->rx.used->index != nic->rx.seen;
		if (unsent >= BUFFERS / 2)
			more |= *(volatile uint16_t *)&nic->other->tx.used->index !=
				nic->other->tx.seen;
	}
	return more;
}
