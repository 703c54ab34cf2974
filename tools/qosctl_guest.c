/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * qosctl_guest - verbs that show guests: list, show, explain.
 */
#include <string.h>

#include "qosd/core/mem.h"
#include "tools/qosctl.h"

const char *const guest_table_headers[] = { "GUEST",    "CLASS",  ">VCPUS", ">MEMORY",   ">CPU",
					    ">WAIT",    ">LIMIT", "CPUSET", ">RESERVED", ">NET IN",
					    ">NET OUT", "STATE",  NULL };

static void add_cpus(struct table *t, const json_t *value)
{
	if (json_is_number(value))
		table_add(t, PLAIN, "%.2f", json_number_value(value));
	else
		table_add(t, PLAIN, "-");
}

/* The rate over all NICs; "-" without any. */
static void add_net_rate(struct table *t, const json_t *guest, const char *key)
{
	const json_t *nics = json_at(guest, "net"), *nic;
	char text[HUMAN_MAX];
	bool known = false;
	double sum = 0;
	size_t i;

	json_array_foreach (nics, i, nic) {
		known = known || json_at(nic, key);
		sum += json_number(nic, key);
	}
	table_add(t, PLAIN, "%s", known ? human_bps(sum, text) : "-");
}

void guest_table_add(struct table *t, const json_t *g)
{
	char memory[HUMAN_MAX], wait[HUMAN_MAX], reserved[HUMAN_MAX], marks[160];
	bool degraded = json_at(g, "degraded") != NULL;
	bool throttled = *throttle_marks(g, marks, sizeof(marks));

	table_add(t, BOLD, "%s", json_text(g, "name"));
	table_add(t, PLAIN, "%s", json_text(g, "class"));
	table_add(t, PLAIN, "%.0f", json_number(g, "vcpus"));
	table_add(t, PLAIN, "%s",
		  human_json(json_at(g, "memory_bytes"), human_bytes, true, memory));
	add_cpus(t, json_at(g, "cpu.usage"));
	table_add(t, json_number(g, "cpu.wait") >= 0.1 ? YELLOW : PLAIN, "%s",
		  human_json(json_at(g, "cpu.wait"), human_share, false, wait));
	add_cpus(t, json_at(g, "cpu.limit"));
	table_add(t, PLAIN, "%s", json_text(g, "cpu.cpuset"));
	table_add(t, PLAIN, "%s",
		  human_json(json_at(g, "memory.reserved_bytes"), human_bytes, true, reserved));
	add_net_rate(t, g, "in_bps");
	add_net_rate(t, g, "out_bps");
	table_add(t,
		  degraded    ? RED
		  : throttled ? YELLOW
			      : PLAIN,
		  "%s%s%s", degraded ? json_text(g, "degraded") : "",
		  degraded && throttled ? "; " : "", throttled || degraded ? marks : "ok");
}

static void print_list(const json_t *guests, bool colour)
{
	struct table *t = table_new(guest_table_headers), *nics = table_new(nic_table_headers);
	const json_t *guest;
	size_t i;

	json_array_foreach (guests, i, guest) {
		guest_table_add(t, guest);
		nic_table_add_all(nics, guest);
	}
	table_print(t, colour, 0, 0);
	if (table_rows(nics) > 0)
		putchar('\n');
	table_print(nics, colour, 0, 0);
}

int verb_list(struct qosctl *ctl, int argc, char **argv)
{
	json_t *answer = NULL;
	int r = qosctl_call(ctl, "List", NULL, CALL_SECONDS, &answer);

	(void)argc;
	(void)argv;
	if (r)
		return r;
	if (ctl->json) {
		json_print(answer, false);
	} else if (json_array_size(json_at(answer, "guests")) == 0) {
		printf("no guests\n");
	} else {
		print_list(json_at(answer, "guests"), ctl->colour);
	}
	json_decref(answer);
	return EXIT_DONE;
}

/* ---- explain ---- */

/* "guest:web1/vcpu0" -> "vcpu0", "guest:web1" -> "guest": the table is about one guest. */
static const char *short_target(const char *target, const char *guest)
{
	size_t size = strlen(guest);

	if (strncmp(target, "guest:", 6) != 0 || strncmp(target + 6, guest, size) != 0)
		return target;
	if (target[6 + size] == '/')
		return target + 6 + size + 1;
	return target[6 + size] == '\0' ? "guest" : target;
}

static void print_knobs(const json_t *knobs, const char *guest, bool colour)
{
	static const char *const headers[] = { "TARGET",   "KNOB",   "WANT", "ACTUAL",
					       "BASELINE", "REASON", NULL };
	struct table *t = table_new(headers);
	const json_t *k;
	size_t i;

	json_array_foreach (knobs, i, k) {
		const char *want = json_text(k, "want"), *actual = json_text(k, "actual");
		const char *error = json_string_value(json_at(k, "error"));
		bool differs = json_at(k, "want") && strcmp(want, actual) != 0;

		table_add(t, PLAIN, "%s", short_target(json_text(k, "target"), guest));
		table_add(t, PLAIN, "%s", json_text(k, "knob"));
		table_add(t, PLAIN, "%s", want);
		table_add(t, differs ? YELLOW : PLAIN, "%s", actual);
		table_add(t, PLAIN, "%s", json_text(k, "baseline"));
		table_add(t, PLAIN, "%s%s%s", json_text(k, "reason"),
			  error ? "; cannot be read: " : "", error ? error : "");
	}
	table_print(t, colour, 0, 0);
}

static json_t *guest_parameter(const char *name)
{
	return json_pack("{s:s}", "guest", name);
}

int verb_explain(struct qosctl *ctl, int argc, char **argv)
{
	json_t *answer = NULL;
	const json_t *knobs;
	int r;

	(void)argc;
	r = qosctl_call(ctl, "Explain", guest_parameter(argv[0]), CALL_SECONDS, &answer);
	if (r)
		return r;
	knobs = json_at(answer, "knobs");
	if (ctl->json)
		json_print(answer, false);
	else if (json_array_size(knobs) == 0)
		printf("qosd sets nothing for this guest\n");
	else
		print_knobs(knobs, json_text(answer, "guest"), ctl->colour);
	json_decref(answer);
	return EXIT_DONE;
}

/* ---- show ---- */

static void show_text(const char *name, const char *text)
{
	printf("%-12s ", name);
	text_print(text, false, PLAIN);
	putchar('\n');
}

/* Members that not every guest has: a line only when there is something. */
static void show_if_any(const json_t *g, const char *key)
{
	if (json_at(g, key))
		show_text(key, json_text(g, key));
}

static void show_cpu(const json_t *g)
{
	char wait[HUMAN_MAX], limit[HUMAN_MAX] = "no limit", text[512];

	if (json_at(g, "cpu.limit"))
		snprintf(limit, sizeof(limit), "limit %.2f", json_number(g, "cpu.limit"));
	snprintf(text, sizeof(text), "%.0f vCPUs, uses %.2f, waits %s, %s, on %s",
		 json_number(g, "vcpus"), json_number(g, "cpu.usage"),
		 human_json(json_at(g, "cpu.wait"), human_share, false, wait), limit,
		 json_text(g, "cpu.cpuset"));
	show_text("cpu", text);
}

static void show_memory(const json_t *g)
{
	char size[HUMAN_MAX], reserved[HUMAN_MAX], effective[HUMAN_MAX], text[256];

	snprintf(text, sizeof(text), "%s, reserved %s, effective %s",
		 human_json(json_at(g, "memory_bytes"), human_bytes, true, size),
		 human_json(json_at(g, "memory.reserved_bytes"), human_bytes, false, reserved),
		 human_json(json_at(g, "memory.effective_bytes"), human_bytes, false, effective));
	show_text("memory", text);
}

static void show_reservation(const json_t *g)
{
	char memory[HUMAN_MAX], net[HUMAN_MAX], text[256];

	if (!json_at(g, "reservation"))
		return;
	snprintf(text, sizeof(text), "%.2f CPUs, memory %s, net %s",
		 json_number(g, "reservation.cpu"),
		 human_json(json_at(g, "reservation.memory_bytes"), human_bytes, true, memory),
		 human_json(json_at(g, "reservation.net_bps"), human_bps, true, net));
	show_text("reservation", text);
}

/* Disks: whatever the daemon tells of them. */
static void show_list(const json_t *g, const char *key)
{
	const json_t *item;
	size_t i;

	json_array_foreach (json_at(g, key), i, item) {
		CLEANUP_FREE char *text = json_line(item);

		show_text(key, text);
	}
}

static void show_overrides(const json_t *g)
{
	const json_t *o;
	char text[512];
	size_t i;

	json_array_foreach (json_at(g, "overrides"), i, o) {
		snprintf(text, sizeof(text), "%s = %s", json_text(o, "key"), json_text(o, "value"));
		show_text("override", text);
	}
}

static void print_guest(const json_t *g, bool colour)
{
	const json_t *knobs = json_at(g, "knobs");
	char text[512], held[HUMAN_MAX];

	show_text("guest", json_text(g, "name"));
	show_text("uuid", json_text(g, "uuid"));
	snprintf(text, sizeof(text), "%s (%s)", json_text(g, "class"), json_text(g, "class_from"));
	show_text("class", text);
	show_if_any(g, "title");
	show_if_any(g, "flavor");
	show_if_any(g, "project");
	show_if_any(g, "cgroup");
	show_cpu(g);
	show_memory(g);
	show_reservation(g);
	nic_show_all(g, show_text);
	throttle_show(g, show_text);
	show_list(g, "disk");
	rbd_show(g, show_text);
	show_overrides(g);
	if (json_at(g, "hold_s")) {
		snprintf(text, sizeof(text), "for another %s",
			 human_seconds(json_number(g, "hold_s"), held));
		show_text("held", text);
	}
	show_if_any(g, "degraded");
	rbd_print_settings(g, colour);
	if (json_array_size(knobs) == 0)
		return;
	putchar('\n');
	print_knobs(knobs, json_text(g, "name"), colour);
}

int verb_show(struct qosctl *ctl, int argc, char **argv)
{
	json_t *answer = NULL;
	int r;

	(void)argc;
	r = qosctl_call(ctl, "Show", guest_parameter(argv[0]), CALL_SECONDS, &answer);
	if (r)
		return r;
	if (ctl->json)
		json_print(answer, false);
	else
		print_guest(answer, ctl->colour);
	json_decref(answer);
	return EXIT_DONE;
}
