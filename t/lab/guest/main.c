/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The lab guest: a program instead of an operating system. It does one of six loads, as told by
 * lines on the serial port ("load cpu" -> "ok"), and always forwards frames between its NICs.
 *
 * vCPU 0 looks after the devices whenever an interrupt came, and else works like the others. Work
 * is cut in chunks of some hundred microseconds at most, so that a new load, a frame or a command
 * is never kept waiting. With nothing to do every vCPU halts.
 */
#include "t/lab/guest/guest.h"

#define SPINS_PER_CHUNK 2000
#define PAGES_PER_CHUNK 32
#define HEAP_START      0x200000u

static struct lab_page *const page = (struct lab_page *)LAB_PAGE_ADDRESS;
static volatile uint32_t load; /* enum lab_load */
static uint32_t heap_end = HEAP_START, ram_end;
static volatile uint32_t ram_left;     /* ram_end without what the balloon has */
static volatile uint32_t memory_start; /* set before any load: where `memory` begins */

static struct {
	uint32_t next; /* page that the memory load writes next; 0 = not begun */
	uint32_t random;
} place[LAB_MAX_CPUS];

void *take_memory(uint32_t bytes, uint32_t alignment)
{
	uint32_t at = (heap_end + alignment - 1) & ~(alignment - 1);

	if (at + bytes > ram_end)
		return NULL;
	heap_end = at + bytes;
	return (void *)at;
}

static uint8_t cmos(uint8_t reg)
{
	out8(0x70, reg);
	return in8(0x71);
}

/* RAM below the PCI hole, from the board's non-volatile memory. */
static uint32_t find_ram(void)
{
	uint32_t above_16m = cmos(0x34) | cmos(0x35) << 8;
	uint32_t above_1m = cmos(0x30) | cmos(0x31) << 8;

	return above_16m ? 0x1000000u + (above_16m << 16) : 0x100000u + (above_1m << 10);
}

void spin_chunk(uint32_t cpu)
{
	int i;

	for (i = 0; i < SPINS_PER_CHUNK; i++)
		__asm__ volatile("" : : : "memory");
	page->work[cpu].spins++;
}

/* The first time, a page gets content that does not compress. */
static void fill_page(uint32_t at, uint32_t *random)
{
	uint32_t *word = (uint32_t *)at;
	uint32_t i, x = *random;

	for (i = 0; i < LAB_TOUCH_BYTES / 4; i++) {
		x ^= x << 13;
		x ^= x >> 17;
		x ^= x << 5;
		word[i] = x;
	}
	*random = x;
}

/* Each vCPU writes its share of RAM, page by page: all of a page at first, then a word of it. */
static void memory_chunk(uint32_t cpu)
{
	uint32_t share = ((ram_left - memory_start) / page->cpus) & ~(LAB_TOUCH_BYTES - 1);
	uint32_t begin = memory_start + cpu * share;
	struct lab_work *work = &page->work[cpu];
	int i, n = work->passes ? PAGES_PER_CHUNK : 1;

	if (!place[cpu].next) {
		place[cpu].next = begin;
		place[cpu].random = 0x9e3779b9u ^ ((cpu + 1) << 8);
	}
	for (i = 0; i < n; i++) {
		if (work->passes)
			*(volatile uint32_t *)place[cpu].next += 1;
		else
			fill_page(place[cpu].next, &place[cpu].random);
		work->pages++;
		place[cpu].next += LAB_TOUCH_BYTES;
		if (place[cpu].next >= begin + share) {
			place[cpu].next = begin;
			work->passes++;
			return;
		}
	}
}

/* Returns 0 when this vCPU has nothing to do. */
static int work_chunk(uint32_t cpu)
{
	switch (load) {
	case LAB_CPU:
		spin_chunk(cpu);
		return 1;
	case LAB_MEMORY:
		memory_chunk(cpu);
		return 1;
	case LAB_SERVICE:
		return cpu == 0 && service_turn(page);
	default:
		return 0;
	}
}

static int same(const char *a, const char *b)
{
	while (*a && *a == *b)
		a++, b++;
	return *a == *b;
}

static void obey(const char *line)
{
	static const char *const commands[] = {
		[LAB_IDLE] = "load idle",
		[LAB_CPU] = "load cpu",
		[LAB_NET] = "load net",
		[LAB_MEMORY] = "load memory",
		[LAB_DISK] = "load disk",
		[LAB_SERVICE] = "load service",
		[LAB_DISK_READ] = "load disk-read",
		[LAB_DISK_WRITE] = "load disk-write",
	};
	uint32_t i;

	for (i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		if (!same(line, commands[i]))
			continue;
		load = page->load = i;
		service_set(page, load == LAB_SERVICE);
		cpu_wake_others();
		serial_say("ok\n");
		return;
	}
	serial_say(same(line, "hello") ? "ok\n" : "unknown\n");
}

static void look_after_devices(void)
{
	char line[64];

	do {
		devices_pending = 0;
		while (serial_line(line, sizeof(line)))
			obey(line);
		disk_turn(load);
		ram_left = balloon_turn(ram_end);
		while (net_forward())
			;
	} while (net_rest());
	page->fault = guest_fault;
}

void guest_ap(uint32_t cpu)
{
	cpu_setup_interrupts(cpu);
	for (;;) {
		__asm__ volatile("cli");
		if (!load || !memory_start || !work_chunk(cpu))
			__asm__ volatile("sti; hlt");
		else
			__asm__ volatile("sti");
	}
}

void guest_main(void)
{
	uint32_t wanted = cmos(0x5f) + 1;

	ram_end = find_ram();
	page->ram_kib = ram_end >> 10;
	cpus_up = 1;
	cpu_setup_interrupts(0);
	cpu_start_others(wanted < LAB_MAX_CPUS ? wanted : LAB_MAX_CPUS);
	serial_setup();
	net_setup(page);
	disk_setup(page);
	balloon_setup();
	ram_left = ram_end;
	memory_start = (heap_end + 4095) & ~4095u;
	page->cpus = cpus_up;
	page->version = LAB_PAGE_VERSION;
	page->magic = LAB_PAGE_MAGIC;
	devices_pending = 1;
	for (;;) {
		if (devices_pending)
			look_after_devices();
		if (work_chunk(0))
			continue;
		__asm__ volatile("cli");
		if (!devices_pending)
			__asm__ volatile("sti; hlt; cli");
		__asm__ volatile("sti");
	}
}
