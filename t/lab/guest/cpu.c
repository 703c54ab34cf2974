/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vCPUs and interrupts: descriptor table, local APIC, I/O APIC (the serial port's line only; PCI
 * devices use MSI-X), start of the other vCPUs by INIT and SIPI.
 */
#include "t/lab/guest/guest.h"

#define LAPIC          0xfee00000u
#define LAPIC_SPURIOUS 0xf0
#define LAPIC_COMMAND  0x300
#define LAPIC_TIMER    0x320
#define LAPIC_LINT0    0x350
#define LAPIC_INITIAL  0x380
#define LAPIC_CURRENT  0x390
#define LAPIC_DIVIDE   0x3e0
#define IOAPIC         0xfec00000u
#define SERIAL_LINE    4
#define AP_START_PAGE  7

#define ICR_ALL_OTHERS 0xc4000u
#define ICR_INIT       0x500u
#define ICR_SIPI       0x600u
#define DIVIDE_BY_ONE  0xb

struct gate {
	uint16_t low, selector, flags, high;
};

static struct gate gates[256] __attribute__((aligned(8)));

static void lapic_write(uint32_t reg, uint32_t value)
{
	*(volatile uint32_t *)(LAPIC + reg) = value;
}

static uint32_t lapic_read(uint32_t reg)
{
	return *(volatile uint32_t *)(LAPIC + reg);
}

static void ioapic_write(uint32_t reg, uint32_t value)
{
	*(volatile uint32_t *)IOAPIC = reg;
	*(volatile uint32_t *)(IOAPIC + 0x10) = value;
}

void *memset(void *to, int value, size_t bytes)
{
	void *start = to;

	__asm__ volatile("rep stosb" : "+D"(to), "+c"(bytes) : "a"(value) : "memory");
	return start;
}

static void set_gate(int vector, uint32_t entry)
{
	gates[vector] = (struct gate){ entry & 0xffff, 8, 0x8e00, entry >> 16 };
}

static void fill_gates(void)
{
	int i;

	for (i = 0; i < 32; i++)
		set_gate(i, (uint32_t)fault_entries + 8 * i);
	for (; i < 256; i++)
		set_gate(i, (uint32_t)on_interrupt);
	set_gate(VECTOR_SPURIOUS, (uint32_t)on_spurious);
}

void cpu_setup_interrupts(uint32_t cpu)
{
	struct {
		uint16_t limit;
		uint32_t base;
	} __attribute__((packed)) idt = {
		sizeof(gates) - 1,
		(uint32_t)gates,
	};

	if (cpu == 0)
		fill_gates();
	__asm__ volatile("lidt %0" : : "m"(idt));
	lapic_write(LAPIC_SPURIOUS, 0x100 | VECTOR_SPURIOUS);
	lapic_write(LAPIC_LINT0, 0x10000);
	if (cpu != 0)
		return;
	out8(0x21, 0xff);
	out8(0xa1, 0xff);
	ioapic_write(0x10 + 2 * SERIAL_LINE + 1, 0);
	ioapic_write(0x10 + 2 * SERIAL_LINE, VECTOR_SERIAL);
}

void cpu_start_others(uint32_t wanted)
{
	uint32_t i;

	if (wanted < 2)
		return;
	lapic_write(LAPIC_COMMAND, ICR_ALL_OTHERS | ICR_INIT);
	for (i = 0; i < 10000; i++)
		__asm__ volatile("pause");
	lapic_write(LAPIC_COMMAND, ICR_ALL_OTHERS | ICR_SIPI | AP_START_PAGE);
	for (i = 0; i < 100000000 && cpus_up < wanted; i++)
		__asm__ volatile("pause");
}

void cpu_wake_others(void)
{
	lapic_write(LAPIC_COMMAND, ICR_ALL_OTHERS | VECTOR_WAKE);
}

/* QEMU's timer counts nanoseconds when it divides by one. */
void cpu_timer(uint32_t in_ns)
{
	lapic_write(LAPIC_DIVIDE, DIVIDE_BY_ONE);
	lapic_write(LAPIC_TIMER, VECTOR_TIMER);
	lapic_write(LAPIC_INITIAL, in_ns);
}

uint32_t cpu_timer_left_ns(void)
{
	return lapic_read(LAPIC_CURRENT);
}
