/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The parts of the guest program and what they offer one another. 32-bit protected mode without
 * paging: an address is a physical address. Only vCPU 0 touches devices.
 */
#ifndef T_LAB_GUEST_GUEST_H
#define T_LAB_GUEST_GUEST_H

#include <stddef.h>
#include <stdint.h>

#include "t/lab/guest/page.h"

#define VECTOR_SERIAL   0x40
#define VECTOR_DEVICE   0x41
#define VECTOR_WAKE     0x42
#define VECTOR_TIMER    0x43
#define VECTOR_SPURIOUS 0xff

/* boot.S */
extern volatile uint32_t cpus_up;         /* vCPUs that run, the first included */
extern volatile uint32_t devices_pending; /* an interrupt came since vCPU 0 last looked */
extern volatile uint32_t guest_fault;
extern char fault_entries[];
void on_interrupt(void);
void on_spurious(void);
void guest_main(void);
void guest_ap(uint32_t cpu);

static inline void out8(uint16_t port, uint8_t value)
{
	__asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port) : "memory");
}

static inline void out16(uint16_t port, uint16_t value)
{
	__asm__ volatile("outw %0, %1" : : "a"(value), "Nd"(port) : "memory");
}

static inline void out32(uint16_t port, uint32_t value)
{
	__asm__ volatile("outl %0, %1" : : "a"(value), "Nd"(port) : "memory");
}

static inline uint8_t in8(uint16_t port)
{
	uint8_t value;

	__asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port) : "memory");
	return value;
}

static inline uint16_t in16(uint16_t port)
{
	uint16_t value;

	__asm__ volatile("inw %1, %0" : "=a"(value) : "Nd"(port) : "memory");
	return value;
}

static inline uint32_t in32(uint16_t port)
{
	uint32_t value;

	__asm__ volatile("inl %1, %0" : "=a"(value) : "Nd"(port) : "memory");
	return value;
}

static inline uint64_t ticks(void) /* the CPU's counter */
{
	uint64_t t;

	__asm__ volatile("rdtsc" : "=A"(t));
	return t;
}

static inline void fence(void)
{
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
}

/* cpu.c */
void cpu_setup_interrupts(uint32_t cpu); /* each vCPU for itself; the first one with cpu 0 first */
void cpu_start_others(uint32_t wanted);  /* returns when `wanted` vCPUs are up, or after a while */
void cpu_wake_others(void);
/* The local APIC's timer, this vCPU's: counts down to one interrupt; 0 stops it. */
void cpu_timer(uint32_t in_ns);
uint32_t cpu_timer_left_ns(void);
void *memset(void *to, int value, size_t bytes);

/* service.c: the load of that name, on vCPU 0 */
void service_set(struct lab_page *page, int wanted);
int service_turn(struct lab_page *page);       /* 1 when it served a request */
void service_calibrate(struct lab_page *page); /* how many ticks a millisecond has, once */

/* main.c */
void spin_chunk(uint32_t cpu);
/* Memory that is never given back, aligned, zero */
void *take_memory(uint32_t bytes, uint32_t alignment);

/* serial.c: lines of text on the first serial port */
void serial_setup(void);
int serial_line(char *line, int size); /* 1 when a whole line is there */
void serial_say(const char *text);

/* pci.c */
struct pci_device {
	uint8_t slot;
	uint16_t vendor, device;
	uint16_t io; /* base of I/O BAR 0 */
};
int pci_scan(struct pci_device *found, int max, uint16_t vendor);
int pci_enable_msix(const struct pci_device *pci, uint8_t vector);

/* virtio.c: the legacy interface by I/O port, split rings, no interrupt moderation by event index
 */
struct virtq {
	uint16_t io, index, size, seen;
	struct virtq_desc *desc;
	struct virtq_avail *avail;
	struct virtq_used *used;
};
struct virtq_desc {
	uint64_t address;
	uint32_t bytes;
	uint16_t flags, next;
};
struct virtq_avail {
	uint16_t flags, index, ring[];
};
struct virtq_used {
	uint16_t flags, index;
	struct {
		uint32_t id, bytes;
	} ring[];
};
#define DESC_NEXT  1
#define DESC_WRITE 2
uint32_t virtio_begin(uint16_t io, uint32_t wanted_features); /* returns the features agreed on */
int virtq_setup(struct virtq *q, uint16_t io, uint16_t index);
void virtio_ready(uint16_t io);
void virtq_offer(struct virtq *q, uint16_t head); /* kick afterwards */
void virtq_kick(struct virtq *q);
int virtq_take(struct virtq *q, uint32_t *id, uint32_t *bytes); /* 1 when one was used */
void virtq_interrupts(struct virtq *q, int on);
#define VIRTIO_CONFIG_MSIX 24 /* offset of the device's own fields with MSI-X on */

/* net.c, disk.c */
void net_setup(struct lab_page *page);
int net_forward(void); /* moves what is there; 1 when something moved */
int net_rest(void);    /* asks for interrupts; 1 when something came meanwhile */
void disk_setup(struct lab_page *page);
void disk_turn(uint32_t load); /* collects finished requests; starts new ones of a disk load */

/* balloon.c */
void balloon_setup(void);
uint32_t
balloon_turn(uint32_t ram_end); /* gives or takes what the host asks; the end that is left */

#endif
