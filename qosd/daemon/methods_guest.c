/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <string.h>
#include <time.h>

#include "qosd/daemon/methods_private.h"
#include "qosd/daemon/view.h"

#define HOLD_MAX_S (30.0 * 86400)

int m_set_class(struct control_call *call, json_t *parameters, void *user)
{
	struct engine *e = user;
	const char *name = text_param(parameters, "class");
	long index = find_guest(call, e, parameters);
	uint64_t written = e->written;
	struct qerr err = { 0 };
	struct guest *g;
	uint32_t id;
	int r;

	if (index < 0)
		return 0;
	if (name && !policy_class(e->policy, name))
		return no_such_class(call, name);
	g = guest_ref(e->picture->inventory->guests[index]);
	id = g->id;
	r = engine_set_class(e, g, name, &err);
	guest_unref(g);
	if (r < 0)
		return control_error(call, "Failed", "%s", err.text);
	engine_turn(e);
	return reply_when_settled(call, e, written, id,
				  json_pack("{s:o, s:o}", "guest",
					    view_text(text_param(parameters, "guest")), "class",
					    view_text(name)));
}

static int find_resource(const char *name, enum resource *ret)
{
	for (int r = 0; r < RESOURCE_COUNT; r++) {
		if (strcmp(resource_names[r], name) != 0)
			continue;
		*ret = (enum resource)r;
		return 0;
	}
	return -ENOENT;
}

/* 0 seconds: an earlier word ends. */
int m_throttle(struct control_call *call, json_t *parameters, void *user)
{
	struct engine *e = user;
	const char *name = text_param(parameters, "class");
	json_int_t level = json_integer_value(json_object_get(parameters, "level"));
	double seconds = json_number_value(json_object_get(parameters, "seconds"));
	uint64_t written = e->written, for_us, until_ms;
	struct qerr err = { 0 };
	enum resource resource;

	if (!policy_class(e->policy, name))
		return no_such_class(call, name);
	if (find_resource(text_param(parameters, "resource"), &resource) < 0)
		return control_invalid(call, "resource",
				       "the resource is cpu, memory, net or disk, not \"%s\"",
				       text_param(parameters, "resource"));
	if (level < 0 || level > 1000)
		return control_invalid(call, "level", "a level is from 0 (the floor) to 1000");
	if (!(seconds >= 0 && seconds <= HOLD_MAX_S))
		return control_invalid(call, "seconds",
				       "a throttle lasts from 0 seconds (end it) to 30 days");
	for_us = (uint64_t)(seconds * 1e6);
	until_ms = for_us ? ((uint64_t)time(NULL) + for_us / 1000000) * 1000 : 0;
	if (engine_throttle(e, name, resource, for_us ? (uint32_t)level : 1000, for_us, &err) < 0)
		return control_error(call, "Failed", "%s", err.text);
	return reply_after_tick(call, e, written,
				json_pack("{s:o}", "until", view_time_ms(until_ms)));
}

int m_hold(struct control_call *call, json_t *parameters, void *user)
{
	struct engine *e = user;
	double seconds = json_number_value(json_object_get(parameters, "seconds"));
	long index = find_guest(call, e, parameters);
	uint64_t written = e->written, until_s;
	struct guest_row *row;

	if (index < 0)
		return 0;
	if (!(seconds >= 0 && seconds <= HOLD_MAX_S))
		return control_invalid(call, "seconds",
				       "a hold lasts from 0 seconds (end it) to 30 days");
	row = guests_find(&e->guests, e->picture->inventory->guests[index]->id);
	if (!row)
		return control_error(call, "NoSuchGuest", "the guest has just stopped");
	row->hold_until_s = seconds > 0 ? (uint64_t)time(NULL) + (uint64_t)(seconds + 0.999) : 0;
	until_s = row->hold_until_s;
	guests_retry(row);
	engine_turn(e);
	state_save_runtime(e);
	return reply_when_settled(call, e, written, 0,
				  json_pack("{s:o}", "until", view_time_ms(until_s * 1000)));
}

int m_release(struct control_call *call, json_t *parameters, void *user)
{
	struct engine *e = user;
	struct qerr err = { 0 };
	const struct guest *only = NULL;
	uint64_t written = e->written;

	if (text_param(parameters, "guest")) {
		long index = find_guest(call, e, parameters);

		if (index < 0)
			return 0;
		only = e->picture->inventory->guests[index];
	}
	if (engine_release(e, only, &err) < 0)
		return control_error(call, "Failed", "%s", err.text);
	return reply_when_settled(call, e, written, 0, json_object());
}

int m_hook(struct control_call *call, json_t *parameters, void *user)
{
	const char *xml = text_param(parameters, "xml");
	struct qerr err = { 0 };
	bool admit = true;

	if (control_call_peer(call)->uid != 0)
		return control_error(call, "NotPermitted",
				     "only root (libvirt's hook) may call this");
	if (!xml ||
	    engine_hook(user, text_param(parameters, "phase"), xml, strlen(xml), &admit, &err) < 0)
		return control_reply(call, json_pack("{s:b, s:n}", "admit", true, "reason"));
	return control_reply(call, json_pack("{s:b, s:o}", "admit", admit, "reason",
					     view_text(admit ? NULL : err.text)));
}
