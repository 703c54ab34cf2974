/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * view_throttle - what overload protection takes from guests, and what the operator said of it.
 */
#include <time.h>

#include "qosd/daemon/overload.h"
#include "qosd/daemon/view.h"

json_t *view_throttles(const struct engine *e)
{
	const struct protection *p = e->protection;
	uint64_t now_us = engine_now_us(e);
	struct timespec wall;
	json_t *list = json_array();

	clock_gettime(CLOCK_REALTIME, &wall);
	for (size_t i = 0; p && i < p->nmanual; i++) {
		const struct govern_manual *m = &p->manual[i];
		uint64_t left_us = m->until_us > now_us ? m->until_us - now_us : 0;
		uint64_t until_us = (uint64_t)wall.tv_nsec / 1000 + left_us;
		uint64_t until_s = (uint64_t)wall.tv_sec + (until_us + 500000) / 1000000;

		json_array_append_new(list,
				      json_pack("{s:s, s:s, s:I, s:o}", "class", m->class_name,
						"resource", resource_names[m->resource], "level",
						(json_int_t)m->level_permille, "until",
						view_time_ms(until_s * 1000)));
	}
	return list;
}

static void add_cap(json_t *to, const char *name, uint64_t value)
{
	if (value != THROTTLE_NONE)
		json_object_set_new(to, name, json_integer((json_int_t)value));
}

/* One resource's caps with its level; null without any. Takes over `caps`. */
static json_t *with_level(json_t *caps, uint16_t level)
{
	if (json_object_size(caps) == 0) {
		json_decref(caps);
		return json_null();
	}
	json_object_set_new(caps, "level", json_integer(level));
	return caps;
}

json_t *view_guest_throttle(const struct engine *e, size_t index)
{
	const struct guest_caps *c = e->picture->caps ? &e->picture->caps[index] : NULL;
	json_t *cpu, *memory, *net, *disk;

	if (!c || !guest_caps_any(c))
		return json_null();
	cpu = json_object();
	memory = json_object();
	net = json_object();
	disk = json_object();
	if (c->cpu_mcpu != THROTTLE_NONE)
		json_object_set_new(cpu, "cap", json_real((double)c->cpu_mcpu / 1000));
	if (c->cpu_soft)
		json_object_set_new(cpu, "soft", json_true());
	add_cap(memory, "cap_bytes", c->memory_bytes);
	if (c->freeze)
		json_object_set_new(cpu, "frozen", json_true());
	add_cap(net, "in_cap_bps", c->net_in_bps);
	add_cap(net, "out_cap_bps", c->net_out_bps);
	add_cap(disk, "cap_iops", c->disk_iops);
	add_cap(disk, "cap_bytes_ps", c->disk_bytes_ps);
	return json_pack("{s:o, s:o, s:o, s:o}", "cpu", with_level(cpu, c->level[RESOURCE_CPU]),
			 "memory", with_level(memory, c->level[RESOURCE_MEMORY]), "net",
			 with_level(net, c->level[RESOURCE_NET]), "disk",
			 with_level(disk, c->level[RESOURCE_DISK]));
}
