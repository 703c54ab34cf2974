/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * qosctl_rbd - RBD disks for people: the mode wanted, in force and from the next start; each
 * setting with where it comes from; what is wrong, why it matters and what mends it.
 */
#include <string.h>

#include "tools/qosctl.h"

void rbd_show(const json_t *g, void (*show)(const char *name, const char *text))
{
	char size[HUMAN_MAX], memory[HUMAN_MAX], text[768];
	const json_t *image;
	size_t i;

	json_array_foreach (json_at(g, "rbd"), i, image) {
		if (json_at(image, "mode"))
			snprintf(
				text, sizeof(text),
				"%s: %s, %s; cache wanted %s, in force %s, from the next start %s; "
				"takes up to %s; cluster: %s; socket: %s",
				json_text(image, "device"), json_text(image, "image"),
				human_json(json_at(image, "size_bytes"), human_bytes, true, size),
				json_text(image, "mode.wanted"), json_text(image, "mode.in_force"),
				json_text(image, "mode.next"),
				human_json(json_at(image, "memory_bytes"), human_bytes, true,
					   memory),
				json_text(image, "ceph"), json_text(image, "socket"));
		else
			snprintf(text, sizeof(text), "%s: %s; ceph: %s", json_text(image, "device"),
				 json_text(image, "image"), json_text(image, "ceph"));
		show("rbd", text);
	}
}

static bool is_default(const char *from)
{
	return strncmp(from, "Ceph's default", strlen("Ceph's default")) == 0;
}

/* Settings that nobody has made are left out, but for those of the cache. */
static bool worth_a_row(const json_t *setting)
{
	const char *key = json_text(setting, "key");

	return strncmp(key, "rbd_cache", strlen("rbd_cache")) == 0 ||
	       !is_default(json_text(setting, "next_from")) ||
	       !is_default(json_text(setting, "in_force_from"));
}

static void add_settings(struct table *t, const json_t *image)
{
	const json_t *s;
	size_t i;

	json_array_foreach (json_at(image, "settings"), i, s) {
		bool changes = strcmp(json_text(s, "in_force"), json_text(s, "next")) != 0;

		if (!worth_a_row(s))
			continue;
		table_add(t, PLAIN, "%s", json_text(image, "device"));
		table_add(t, PLAIN, "%s", json_text(s, "key"));
		table_add(t, PLAIN, "%s", json_text(s, "in_force"));
		table_add(t, PLAIN, "%s", json_text(s, "in_force_from"));
		table_add(t, changes ? YELLOW : PLAIN, "%s", json_text(s, "next"));
		table_add(t, PLAIN, "%s", json_text(s, "next_from"));
	}
}

static void print_findings(const json_t *image, bool colour)
{
	const json_t *f;
	size_t i;

	json_array_foreach (json_at(image, "findings"), i, f) {
		const char *severity = json_text(f, "severity");

		text_print(json_text(image, "device"), colour, BOLD);
		printf(" ");
		text_print(severity, colour, strcmp(severity, "error") == 0 ? RED : YELLOW);
		printf(" %s: ", json_text(f, "id"));
		text_print(json_text(f, "message"), false, PLAIN);
		printf(": ");
		text_print(json_text(f, "why"), false, PLAIN);
		printf("\n    fix: ");
		text_print(json_text(f, "fix"), false, PLAIN);
		putchar('\n');
	}
}

void rbd_print_settings(const json_t *g, bool colour)
{
	static const char *const headers[] = { "DISK", "SETTING",     "IN FORCE", "FROM",
					       "NEXT", "FROM (NEXT)", NULL };
	struct table *t;
	const json_t *image;
	size_t i;

	if (json_array_size(json_at(g, "rbd")) == 0)
		return;
	putchar('\n');
	t = table_new(headers);
	json_array_foreach (json_at(g, "rbd"), i, image)
		add_settings(t, image);
	table_print(t, colour, 0, 0);
	json_array_foreach (json_at(g, "rbd"), i, image)
		print_findings(image, colour);
}

bool ceph_daemons_text(const json_t *status, char *buf, size_t size)
{
	char reserve[HUMAN_MAX];
	const json_t *ceph = json_at(status, "ceph");

	if (!ceph)
		return false;
	snprintf(buf, size, "%zu OSDs, %.0f monitors, %.0f managers here: %s kept for them",
		 json_array_size(json_at(ceph, "osds")), json_number(ceph, "mons"),
		 json_number(ceph, "mgrs"),
		 human_json(json_at(ceph, "reserve_bytes"), human_bytes, true, reserve));
	return true;
}
