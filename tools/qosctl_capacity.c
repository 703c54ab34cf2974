/* SPDX-License-Identifier: GPL-2.0-or-later */
/* qosctl_capacity - what the host has, what is promised of it, and what is left. */
#include <stdio.h>
#include <string.h>

#include "qosd/core/mem.h"
#include "tools/qosctl.h"

/* What is left is told when it is nothing, too: that is not the same as not known. */
static bool zero_is_none(const char *field)
{
	return strcmp(field, "free_bytes") != 0 && strcmp(field, "free_bps") != 0;
}

static void add_bytes(struct table *t, const json_t *object, const char *field)
{
	char text[HUMAN_MAX];

	table_add(t, PLAIN, "%s",
		  human_json(json_at(object, field), human_bytes, zero_is_none(field), text));
}

static void add_bps(struct table *t, const json_t *object, const char *field)
{
	char text[HUMAN_MAX];

	table_add(t, PLAIN, "%s",
		  human_json(json_at(object, field), human_bps, zero_is_none(field), text));
}

static void print_memory(const json_t *answer, bool colour)
{
	static const char *const headers[] = { "MEMORY",    ">TOTAL", ">HOST", ">SERVICES",
					       ">RESERVED", ">FREE",  NULL };
	static const char *const fields[] = { "total_bytes", "reserve_bytes", "services_bytes",
					      "reserved_bytes", "free_bytes" };
	const json_t *memory = json_at(answer, "memory"), *rbd = json_at(answer, "rbd");
	struct table *t = table_new(headers);

	table_add(t, PLAIN, "guests");
	for (size_t i = 0; i < ARRAY_SIZE(fields); i++)
		add_bytes(t, memory, fields[i]);
	table_add(t, PLAIN, "RBD caches");
	add_bytes(t, rbd, "budget_bytes");
	table_add(t, PLAIN, "-");
	table_add(t, PLAIN, "-");
	add_bytes(t, rbd, "used_bytes");
	add_bytes(t, rbd, "free_bytes");
	table_print(t, colour, 0, 0);
}

static void print_cpu(const json_t *cpu, bool colour)
{
	static const char *const headers[] = { "CPUS",    ">TOTAL",    ">HOST", ">DEDICATED",
					       ">SHARED", ">RESERVED", ">FREE", NULL };
	static const char *const fields[] = { "total",  "housekeeping",    "dedicated",
					      "shared", "shared_reserved", "shared_free" };
	struct table *t = table_new(headers);

	table_add(t, PLAIN, "guests");
	for (size_t i = 0; i < ARRAY_SIZE(fields); i++)
		table_add(t, PLAIN, "%.4g", json_number(cpu, fields[i]));
	if (json_number(cpu, "rbd_shared") + json_number(cpu, "rbd_housekeeping") > 0) {
		table_add(t, PLAIN, "RBD clients");
		table_add(t, PLAIN, "-");
		table_add(t, PLAIN, "%.4g", json_number(cpu, "rbd_housekeeping"));
		table_add(t, PLAIN, "-");
		table_add(t, PLAIN, "%.4g", json_number(cpu, "rbd_shared"));
		table_add(t, PLAIN, "-");
		table_add(t, PLAIN, "-");
	}
	table_print(t, colour, 0, 0);
}

static void print_networks(const json_t *networks, bool colour)
{
	static const char *const headers[] = { "NETWORK",   "UPLINK", ">RATE", ">HOST",
					       ">RESERVED", ">FREE",  NULL };
	struct table *t = table_new(headers);
	const json_t *n;
	size_t i;

	json_array_foreach (networks, i, n) {
		table_add(t, PLAIN, "%s", json_text(n, "name"));
		table_add(t, PLAIN, "%s", json_text(n, "uplink"));
		add_bps(t, n, "rate_bps");
		add_bps(t, n, "host_bps");
		add_bps(t, n, "reserved_bps");
		add_bps(t, n, "free_bps");
	}
	table_print(t, colour, 0, 0);
}

static void print_classes(const json_t *classes, bool colour)
{
	static const char *const headers[] = { "CLASS",       ">GUESTS", ">MEMORY",
					       ">RBD CACHES", ">CPU",    NULL };
	struct table *t = table_new(headers);
	const json_t *c;
	size_t i;

	json_array_foreach (classes, i, c) {
		table_add(t, PLAIN, "%s", json_text(c, "name"));
		table_add(t, PLAIN, "%.0f", json_number(c, "guests"));
		add_bytes(t, c, "memory_bytes");
		add_bytes(t, c, "rbd_bytes");
		table_add(t, PLAIN, "%.4g", json_number(c, "cpu"));
	}
	table_print(t, colour, 0, 0);
}

static void print_capacity(const json_t *answer, bool colour)
{
	print_memory(answer, colour);
	putchar('\n');
	print_cpu(json_at(answer, "cpu"), colour);
	if (json_array_size(json_at(answer, "networks")) > 0) {
		putchar('\n');
		print_networks(json_at(answer, "networks"), colour);
	}
	putchar('\n');
	print_classes(json_at(answer, "classes"), colour);
}

int verb_capacity(struct qosctl *ctl, int argc, char **argv)
{
	json_t *answer = NULL;
	int r = qosctl_call(ctl, "Capacity", NULL, CALL_SECONDS, &answer);

	(void)argc;
	(void)argv;
	if (r)
		return r;
	if (ctl->json)
		json_print(answer, false);
	else
		print_capacity(answer, ctl->colour);
	json_decref(answer);
	return EXIT_DONE;
}
