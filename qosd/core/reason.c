/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * reason - reasons as sentences, made only when a person asks.
 */
#include <stdio.h>
#include <string.h>

#include "qosd/core/human.h"
#include "qosd/core/mem.h"
#include "qosd/core/plan.h"
#include "qosd/core/unit.h"

typedef void (*say)(const struct reason *r, char *buf, size_t size);

static unsigned long long num(uint64_t n)
{
	return n;
}

static void say_weight(const struct reason *r, char *buf, size_t size)
{
	snprintf(buf, size, "cpu.weight %llu", num(r->a));
}

static void say_weight_raised(const struct reason *r, char *buf, size_t size)
{
	char cpus[HUMAN_TEXT_MAX];

	snprintf(buf, size, "cpu.weight %llu raised to %llu so that its reservation of %s holds",
		 num(r->a), num(r->b), human_mcpu(r->c, cpus));
}

static void say_weight_lowered(const struct reason *r, char *buf, size_t size)
{
	snprintf(buf, size,
		 "cpu.weight %llu lowered to %llu so that the reservations of others hold",
		 num(r->a), num(r->b));
}

static void say_cpu_limit(const struct reason *r, char *buf, size_t size)
{
	char share[UNIT_TEXT_MAX];

	snprintf(buf, size, "limit %s of %llu vCPU%s", unit_format_share((uint32_t)r->a, share),
		 num(r->b), r->b == 1 ? "" : "s");
}

static void say_burst(const struct reason *r, char *buf, size_t size)
{
	char time[UNIT_TEXT_MAX];

	snprintf(buf, size, "burst of %s for each vCPU", unit_format_time(r->a, time));
}

static void say_net_burst(const struct reason *r, char *buf, size_t size)
{
	char time[UNIT_TEXT_MAX];

	snprintf(buf, size, "burst of %s", unit_format_time(r->a, time));
}

static void say_dedicated(const struct reason *r, char *buf, size_t size)
{
	snprintf(buf, size, "dedicated CPU %llu", num(r->a));
}

static void say_emulator(const struct reason *r, char *buf, size_t size)
{
	static const char *const where[] = {
		[EMULATOR_HOUSEKEEPING] = "the housekeeping CPUs",
		[EMULATOR_CLASS] = "the class's emulator CPUs",
		[EMULATOR_SHARED] = "the shared CPUs",
	};

	snprintf(buf, size, "emulator threads on %s", r->a < ARRAY_SIZE(where) ? where[r->a] : "?");
}

/* "100% of 2GiB RAM" or "1GiB" */
static void say_amount(const struct reason *r, char *buf, size_t size)
{
	char bytes[HUMAN_TEXT_MAX], share[UNIT_TEXT_MAX];

	human_size(r->b, bytes);
	if (r->a)
		snprintf(buf, size, "%s of %s RAM", unit_format_share((uint32_t)r->a, share),
			 bytes);
	else
		snprintf(buf, size, "%s", bytes);
}

static void say_memory(const struct reason *r, char *buf, size_t size)
{
	char amount[96], overhead[HUMAN_TEXT_MAX], caches[HUMAN_TEXT_MAX];

	say_amount(r, amount, sizeof(amount));
	if (r->c && r->d)
		snprintf(buf, size, "%s, %s for QEMU itself and %s for RBD caches", amount,
			 human_size(r->c, overhead), human_size(r->d, caches));
	else if (r->c)
		snprintf(buf, size, "%s and %s for QEMU itself", amount,
			 human_size(r->c, overhead));
	else if (r->d)
		snprintf(buf, size, "%s and %s for RBD caches", amount, human_size(r->d, caches));
	else
		snprintf(buf, size, "%s", amount);
}

static void say_not_admitted(const struct reason *r, char *buf, size_t size)
{
	char bytes[HUMAN_TEXT_MAX];

	snprintf(buf, size, "asks for %s; the guest was not admitted, so nothing is reserved",
		 human_size(r->a, bytes));
}

static void say_low(const struct reason *r, char *buf, size_t size)
{
	char amount[96];

	say_amount(r, amount, sizeof(amount));
	snprintf(buf, size, "%s protected as long as there is other memory to take", amount);
}

static void say_sum(const struct reason *r, char *buf, size_t size, const char *what)
{
	if (r->a == 0)
		snprintf(buf, size, "no guest below has a %s", what);
	else if (r->a == 1)
		snprintf(buf, size, "the %s of the one guest below that has one", what);
	else
		snprintf(buf, size, "sum of the %ss of %llu guests below", what, num(r->a));
}

static void say_ancestor_min(const struct reason *r, char *buf, size_t size)
{
	say_sum(r, buf, size, "reservation");
}

static void say_ancestor_low(const struct reason *r, char *buf, size_t size)
{
	say_sum(r, buf, size, "memory.low");
}

static void say_swap(const struct reason *r, char *buf, size_t size)
{
	snprintf(buf, size, r->a ? "may use swap" : "no swap");
}

static void say_net(const struct reason *r, char *buf, size_t size)
{
	char rate[UNIT_TEXT_MAX], whole[UNIT_TEXT_MAX];
	int len = snprintf(buf, size, "limit %s %s the guest", unit_format_rate(r->a, rate),
			   r->b ? "towards" : "from");

	if (r->c && len > 0 && (size_t)len < size)
		snprintf(buf + len, size - (size_t)len,
			 ", by the card in whole Mbit/s, at least one: %s",
			 unit_format_rate(r->c, whole));
}

/* "100 reads a second", "4MiB a second written" */
static void say_disk(const struct reason *r, char *buf, size_t size, const char *before)
{
	static const char *const what[KNOB_OF_DISK] = { "reads",      "writes",  "operations",
							"read",       "written", "in all",
							"operations", "in all",  "s" };
	bool by_rbd = r->b >= KNOB_RBD_READ_IOPS;
	uint64_t which = r->b - (by_rbd ? KNOB_RBD_READ_IOPS : KNOB_DISK_READ_IOPS);
	char bytes[HUMAN_TEXT_MAX];

	if (which >= ARRAY_SIZE(what))
		snprintf(buf, size, "%s?", before);
	else if (strcmp(what[which], "s") == 0)
		snprintf(buf, size, "%s%llu s long", before, num(r->a));
	else if (strcmp(knob_get((enum knob_id)r->b)->unit, "1/s") == 0)
		snprintf(buf, size, "%s%llu %s a second", before, num(r->a), what[which]);
	else
		snprintf(buf, size, "%s%s a second %s", before, human_size(r->a, bytes),
			 what[which]);
}

static void say_disk_limit(const struct reason *r, char *buf, size_t size)
{
	say_disk(r, buf, size, "limit ");
}

/* "share of host.disk: 75 operations a second of 300 (weight 100)" */
static void say_disk_shared(const struct reason *r, char *buf, size_t size)
{
	bool bytes = strcmp(knob_get((enum knob_id)r->b)->unit, "1/s") != 0;
	char what[96], of[UNIT_TEXT_MAX];

	if (bytes)
		unit_format_byte_rate(r->c, of);
	else
		snprintf(of, sizeof(of), "%llu", num(r->c));
	say_disk(r, what, sizeof(what), "");
	snprintf(buf, size, "share of host.disk: %s of %s (weight %llu)", what, of, num(r->d));
}

/* ---- shared networks ---- */

static void say_net_line(const struct reason *r, char *buf, size_t size)
{
	char rate[UNIT_TEXT_MAX];

	snprintf(buf, size, "all of network %s: %s", r->network, unit_format_rate(r->a, rate));
}

static void say_net_shared(const struct reason *r, char *buf, size_t size)
{
	char rate[HUMAN_TEXT_MAX], of[UNIT_TEXT_MAX], reserved[UNIT_TEXT_MAX];

	snprintf(buf, size, "shares network %s: %s of %s (reservation %s, weight %llu)", r->network,
		 human_rate(r->a, rate), unit_format_rate(r->b, of),
		 unit_format_rate(r->c, reserved), num(r->d));
}

static void say_disk_burst(const struct reason *r, char *buf, size_t size)
{
	say_disk(r, buf, size, "burst ");
}

/* ---- overload ---- */

/* "throttled to WHAT, level 400 of 1000" */
static void say_throttled(const struct reason *r, char *buf, size_t size, const char *what)
{
	snprintf(buf, size, "throttled to %s, level %llu of 1000", what, num(r->d));
}

static void say_cpu_throttled(const struct reason *r, char *buf, size_t size)
{
	char cpus[HUMAN_TEXT_MAX];

	say_throttled(r, buf, size, human_mcpu(r->a, cpus));
}

static void say_weight_throttled(const struct reason *r, char *buf, size_t size)
{
	char what[64];

	snprintf(what, sizeof(what), "cpu.weight %llu instead of %llu", num(r->b), num(r->a));
	say_throttled(r, buf, size, what);
}

static void say_net_throttled(const struct reason *r, char *buf, size_t size)
{
	char rate[UNIT_TEXT_MAX], what[96];

	snprintf(what, sizeof(what), "%s %s the guest", unit_format_rate(r->a, rate),
		 r->b ? "towards" : "from");
	say_throttled(r, buf, size, what);
}

static void say_disk_throttled(const struct reason *r, char *buf, size_t size)
{
	char what[96];

	say_disk(r, what, sizeof(what), "");
	say_throttled(r, buf, size, what);
}

static void say_balloon(const struct reason *r, char *buf, size_t size)
{
	char bytes[HUMAN_TEXT_MAX], what[96];

	snprintf(what, sizeof(what), "%s of its memory", human_size(r->a, bytes));
	say_throttled(r, buf, size, what);
}

static void say_freeze(const struct reason *r, char *buf, size_t size)
{
	snprintf(buf, size, "stopped as the last resort, memory at level %llu of 1000", num(r->d));
}

static const struct {
	const char *text; /* a fixed sentence, or */
	say say;
} reasons[WHY_COUNT] = {
	[WHY_CLASS_WEIGHT] = { NULL, say_weight },
	[WHY_WEIGHT_RAISED] = { NULL, say_weight_raised },
	[WHY_WEIGHT_LOWERED] = { NULL, say_weight_lowered },
	[WHY_CPU_LIMIT] = { NULL, say_cpu_limit },
	[WHY_NO_LIMIT] = { "no limit", NULL },
	[WHY_BURST] = { NULL, say_burst },
	[WHY_NO_BURST] = { "no burst", NULL },
	[WHY_NET_BURST] = { NULL, say_net_burst },
	[WHY_DEDICATED] = { NULL, say_dedicated },
	[WHY_SHARED_POOL] = { "shared CPUs, without dedicated and housekeeping ones", NULL },
	[WHY_DEDICATED_SHORT] = { "asks for dedicated CPUs, got none, so runs on the shared CPUs",
				  NULL },
	[WHY_EMULATOR] = { NULL, say_emulator },
	[WHY_MEMORY_RESERVED] = { NULL, say_memory },
	[WHY_MEMORY_NOT_ADMITTED] = { NULL, say_not_admitted },
	[WHY_MEMORY_LOW] = { NULL, say_low },
	[WHY_NO_RESERVATION] = { "nothing reserved", NULL },
	[WHY_ANCESTOR_MIN] = { NULL, say_ancestor_min },
	[WHY_ANCESTOR_LOW] = { NULL, say_ancestor_low },
	[WHY_SWAP] = { NULL, say_swap },
	[WHY_NET_LIMIT] = { NULL, say_net },
	[WHY_NET_LINE] = { NULL, say_net_line },
	[WHY_NET_SHARED] = { NULL, say_net_shared },
	[WHY_CPU_IDLE] = { "idle: runs only when no other guest wants the CPU", NULL },
	[WHY_DISK_LIMIT] = { NULL, say_disk_limit },
	[WHY_DISK_BURST] = { NULL, say_disk_burst },
	[WHY_DISK_SHARED] = { NULL, say_disk_shared },
	[WHY_NO_DISK_LIMIT] = { "no limit of its own", NULL },
	[WHY_CPU_THROTTLED] = { NULL, say_cpu_throttled },
	[WHY_BURST_THROTTLED] = { "no burst while throttled", NULL },
	[WHY_WEIGHT_THROTTLED] = { NULL, say_weight_throttled },
	[WHY_NET_THROTTLED] = { NULL, say_net_throttled },
	[WHY_DISK_THROTTLED] = { NULL, say_disk_throttled },
	[WHY_BALLOON] = { NULL, say_balloon },
	[WHY_FREEZE] = { NULL, say_freeze },
	[WHY_BASELINE] = { "released: as it was before qosd", NULL },
	[WHY_HOLD] = { "held by the operator: left as it is", NULL },
};

char *reason_format(const struct reason *r, char *buf, size_t size)
{
	int len = 0;

	if (r->subject)
		len = snprintf(buf, size, "class %s%s: ", r->subject,
			       r->overridden ? " with its own settings" : "");
	if (len < 0 || (size_t)len >= size)
		return buf;
	if (r->kind >= WHY_COUNT)
		snprintf(buf + len, size - (size_t)len, "?");
	else if (reasons[r->kind].say)
		reasons[r->kind].say(r, buf + len, size - (size_t)len);
	else
		snprintf(buf + len, size - (size_t)len, "%s", reasons[r->kind].text);
	return buf;
}
