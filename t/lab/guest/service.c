/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The service load: what a tenant's server feels. A request is due at every multiple of the period
 * from when the load began (an open loop: being late does not make fewer requests due), the vCPU
 * halts between them, and each takes the same work. Time is the CPU's counter, whose speed is
 * measured once against the local APIC's timer, which counts nanoseconds. The timer is set anew for
 * each request, so that the two clocks do not drift apart.
 */
#include "t/lab/guest/guest.h"

#define CALIBRATE_NS 50000000u
#define STEADY_NS    20000u /* a pair of readings that took longer is taken again */

static uint64_t next_tick, period_ticks;

/* a / b where the result fits in 32 bits. */
static uint32_t divide(uint64_t a, uint32_t b)
{
	uint32_t quotient, rest;

	__asm__("divl %4"
		: "=a"(quotient), "=d"(rest)
		: "a"((uint32_t)a), "d"((uint32_t)(a >> 32)), "r"(b));
	return quotient;
}

/* Both clocks at one moment: nanoseconds since the timer began, and ticks. */
static uint32_t read_pair(uint64_t *ret_ticks)
{
	uint32_t before, after;

	do {
		before = cpu_timer_left_ns();
		*ret_ticks = ticks();
		after = cpu_timer_left_ns();
	} while (before - after > STEADY_NS);
	return ~before;
}

static uint32_t calibrate(void)
{
	uint64_t from, to;
	uint32_t from_ns, to_ns;

	cpu_timer(~0u);
	from_ns = read_pair(&from);
	do
		to_ns = read_pair(&to);
	while (to_ns - from_ns < CALIBRATE_NS);
	return divide((to - from) * 1000000u, to_ns - from_ns);
}

void service_calibrate(struct lab_page *page)
{
	if (!page->service.ticks_per_ms)
		page->service.ticks_per_ms = calibrate();
}

void service_set(struct lab_page *page, int wanted)
{
	if (!wanted) {
		cpu_timer(0);
		return;
	}
	service_calibrate(page);
	period_ticks = page->service.ticks_per_ms * LAB_SERVICE_PERIOD_MS;
	next_tick = ticks() + period_ticks;
}

int service_turn(struct lab_page *page)
{
	struct lab_service *s = &page->service;
	uint64_t now = ticks();
	uint32_t i;

	if ((int64_t)(now - next_tick) < 0) {
		cpu_timer(divide((next_tick - now) * 1000000u, (uint32_t)s->ticks_per_ms) + 1);
		return 0;
	}
	s->latency[lab_latency_bucket(now - next_tick)]++;
	for (i = 0; i < LAB_SERVICE_CHUNKS; i++)
		spin_chunk(0);
	s->requests++;
	next_tick += period_ticks;
	while ((int64_t)(now - next_tick) > (int64_t)(s->ticks_per_ms * 1000)) {
		next_tick += period_ticks;
		s->skipped++;
	}
	return 1;
}
