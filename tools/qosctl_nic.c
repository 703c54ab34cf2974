/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * qosctl_nic - the cards of guests: what each may, wants and gets, in each direction.
 */
#include <string.h>

#include "qosd/core/mem.h"
#include "tools/qosctl.h"

const char *const nic_table_headers[] = { "GUEST",  "NIC",   "WAY",      ">MAY",
					  ">WANTS", ">GETS", ">DROPPED", ">MARKED",
					  ">DELAY", "STATE", NULL };

static const char *const directions[] = { "in", "out" };

/* The member of the direction: "in_bps". */
static const json_t *way_at(const json_t *nic, const char *direction, const char *name)
{
	char key[48];

	snprintf(key, sizeof(key), "%s_%s", direction, name);
	return json_at(nic, key);
}

static char *human_count(double count, char buf[HUMAN_MAX])
{
	snprintf(buf, HUMAN_MAX, "%.0f", count);
	return buf;
}

static void add_cell(struct table *t, const json_t *value, char *(*format)(double, char *),
		     bool zero_is_none)
{
	char text[HUMAN_MAX];

	table_add(t, PLAIN, "%s", human_json(value, format, zero_is_none, text));
}

static void add_way(struct table *t, const json_t *guest, const json_t *nic, const char *direction)
{
	const char *unshaped = json_string_value(json_at(nic, "unshaped"));

	if (!unshaped) /* the NIC is, but perhaps not in this direction */
		unshaped = json_string_value(way_at(nic, direction, "unshaped"));
	table_add(t, BOLD, "%s", json_text(guest, "name"));
	table_add(t, PLAIN, "%s", json_text(nic, "device"));
	table_add(t, PLAIN, "%s", direction);
	add_cell(t, way_at(nic, direction, "limit_bps"), human_bps, true);
	add_cell(t, way_at(nic, direction, "offered_bps"), human_bps, false);
	add_cell(t, way_at(nic, direction, "bps"), human_bps, false);
	add_cell(t, way_at(nic, direction, "dropped"), human_count, false);
	add_cell(t, way_at(nic, direction, "marked"), human_count, false);
	add_cell(t, way_at(nic, direction, "queue_us"), human_us, false);
	if (json_number_value(way_at(nic, direction, "limit_bps")) > 0)
		table_add(t, PLAIN, "shaped");
	else
		table_add(t, PLAIN, "%s%s", unshaped ? "not shaped: " : "no limit",
			  unshaped ? unshaped : "");
}

void nic_table_add_all(struct table *t, const json_t *guest)
{
	const json_t *nic;
	size_t i;

	json_array_foreach (json_at(guest, "net"), i, nic)
		for (size_t d = 0; d < ARRAY_SIZE(directions); d++)
			add_way(t, guest, nic, directions[d]);
}

/* ---- show: a line for each direction, without what is not known ---- */

struct part {
	const char *before, *member, *after;
	char *(*format)(double, char *);
	bool zero_is_none; /* a limit */
};

static const struct part parts[] = {
	{ "may ", "limit_bps", "", human_bps, true },
	{ "wants ", "offered_bps", "", human_bps, false },
	{ "gets ", "bps", "", human_bps, false },
	{ "", "dropped", " dropped", human_count, false },
	{ "", "marked", " marked", human_count, false },
	{ "delay ", "queue_us", "", human_us, false },
};

static void show_way(const json_t *nic, const char *direction,
		     void (*show)(const char *name, const char *text))
{
	const char *between = ": ";
	char text[512], number[HUMAN_MAX];
	size_t size = (size_t)snprintf(text, sizeof(text), "%.100s %s", json_text(nic, "device"),
				       direction);

	for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
		const struct part *p = &parts[i];
		const json_t *value = way_at(nic, direction, p->member);

		if (!value)
			continue;
		size += (size_t)snprintf(
			text + size, sizeof(text) - size, "%s%s%s%s", between, p->before,
			human_json(value, p->format, p->zero_is_none, number), p->after);
		between = ", ";
	}
	if (*between == ',')
		show("net", text);
}

void nic_show_all(const json_t *guest, void (*show)(const char *name, const char *text))
{
	const json_t *nic;
	char text[512];
	size_t i;

	json_array_foreach (json_at(guest, "net"), i, nic) {
		for (size_t d = 0; d < ARRAY_SIZE(directions); d++)
			show_way(nic, directions[d], show);
		if (json_at(nic, "unshaped")) {
			snprintf(text, sizeof(text), "%.100s is not shaped: %s",
				 json_text(nic, "device"), json_text(nic, "unshaped"));
			show("net", text);
		} else if (json_at(nic, "in_unshaped")) {
			snprintf(text, sizeof(text), "%.100s in is not shaped: %s",
				 json_text(nic, "device"), json_text(nic, "in_unshaped"));
			show("net", text);
		}
	}
}
