/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * view_guest - one guest, as `list`, `show` and `explain` tell of it.
 *
 * Values called actual and effective are read from the host at this moment.
 */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "qosd/core/mem.h"
#include "qosd/daemon/rbd.h"
#include "qosd/daemon/view.h"
#include "qosd/host/cgroup.h"

#define SAMPLE_MAX_AGE_US 900000ULL
#define SAMPLE_MIN_GAP_US 1000ULL

/* ---- CPU: rates from two samples ---- */

const struct usage *view_rates(const struct guest_row *row)
{
	const struct usage *u = row ? row->usage : NULL;

	return u && u->before.at_us && u->last.at_us - u->before.at_us >= SAMPLE_MIN_GAP_US ? u
											    : NULL;
}

static double per_second(uint64_t before, uint64_t now, uint64_t gap_us)
{
	return now > before && gap_us ? (double)(now - before) * 1e6 / (double)gap_us : 0;
}

/* CPUs in use, the share of runnable time spent waiting, and both since the guest began. */
static void add_cpu_use(json_t *cpu, const struct guest_row *row)
{
	const struct usage *u = view_rates(row);
	json_t *usage = NULL, *wait = NULL;
	double run_ns, wait_ns;

	if (u) {
		uint64_t gap_us = u->last.at_us - u->before.at_us;

		run_ns = per_second(u->before.run_ns, u->last.run_ns, gap_us);
		wait_ns = per_second(u->before.wait_ns, u->last.wait_ns, gap_us);
		usage = json_real(run_ns / 1e9);
		wait = json_real(run_ns + wait_ns > 0 ? wait_ns / (run_ns + wait_ns) : 0);
	}
	json_object_set_new(cpu, "usage", usage ? usage : json_null());
	json_object_set_new(cpu, "wait", wait ? wait : json_null());
	if (row && row->usage) {
		json_object_set_new(cpu, "run_ms",
				    json_integer((json_int_t)(row->usage->run_ns / 1000000)));
		json_object_set_new(cpu, "wait_ms",
				    json_integer((json_int_t)(row->usage->wait_ns / 1000000)));
	}
}

/* ---- parts ---- */

static struct target guest_target(const struct guest *g, enum target_kind kind, uint32_t index)
{
	struct target t = { .kind = (uint8_t)kind, .index = index, .guest_id = g->id, .guest = g };

	return t;
}

/* CPUs that any vCPU may use, as the kernel has it now. */
static struct cpuset guest_cpuset(struct engine *e, const struct guest *g)
{
	struct cpuset all = { { 0 } };

	for (uint32_t v = 0; v < g->vcpus; v++) {
		struct target t = guest_target(g, TARGET_VCPU, v);
		struct knob_value actual;

		if (engine_read(e, &t, KNOB_CPU_AFFINITY, &actual, NULL) == 0)
			all = cpuset_or(&all, actual.cpuset);
	}
	return all;
}

/* The limit in force in CPUs, "max" is null. */
static json_t *cpu_limit(struct engine *e, const struct guest *g)
{
	struct target t = guest_target(g, TARGET_GUEST, 0);
	struct knob_value actual;

	if (engine_read(e, &t, KNOB_CPU_MAX, &actual, NULL) < 0 || actual.quota_us == KNOB_MAX ||
	    !actual.period_us)
		return json_null();
	return json_real((double)actual.quota_us / (double)actual.period_us);
}

/* What the kernel has now. */
static void add_cpu_limits(json_t *cpu, struct engine *e, const struct guest *g)
{
	char text[CPUSET_TEXT_MAX];
	struct cpuset set = guest_cpuset(e, g);

	json_object_set_new(cpu, "cpuset",
			    cpuset_empty(&set)
				    ? json_null()
				    : json_string(cpuset_format(&set, text, sizeof(text))));
	json_object_set_new(cpu, "limit", cpu_limit(e, g));
}

static json_t *view_memory(struct engine *e, const struct guest *g)
{
	struct target t = guest_target(g, TARGET_GUEST, 0);
	struct knob_value own;
	uint64_t effective_bytes;
	json_t *effective = json_null();

	if (engine_read(e, &t, KNOB_MEMORY_MIN, &own, NULL) < 0)
		own = knob_u64(0);
	if (cgroup_effective_min(e->adapters[ADAPTER_CGROUP], g, &effective_bytes) == 0)
		effective = json_integer((json_int_t)effective_bytes);
	return json_pack("{s:I, s:o}", "reserved_bytes",
			 (json_int_t)(own.u64 == KNOB_MAX ? 0 : own.u64), "effective_bytes",
			 effective);
}

static json_t *view_disk(const struct guest_disk *d)
{
	return json_pack("{s:o, s:o, s:o, s:b}", "device", view_text(d->target), "source",
			 view_text(d->source), "cache", view_text(d->cache[0] ? d->cache : NULL),
			 "rbd", d->rbd);
}

static json_t *view_disks(const struct guest *g)
{
	json_t *list = json_array();

	for (size_t i = 0; i < g->ndisks; i++)
		json_array_append_new(list, view_disk(&g->disks[i]));
	return list;
}

/* ---- a guest ---- */

/* What qosd knows without asking the host, but for its NICs, which are cheap. */
static json_t *view_guest_brief(struct engine *e, size_t index)
{
	const struct guest *g = e->picture->inventory->guests[index];
	const struct assignment *a = &e->picture->assign[index];
	const struct guest_row *row = guests_find(&e->guests, g->id);
	const struct qerr *trouble = row ? guests_trouble(row) : NULL;
	json_t *net = json_array(), *cpu = json_object();

	add_cpu_use(cpu, row);
	for (uint32_t i = 0; i < g->nnics; i++)
		json_array_append_new(net, view_nic(e, index, i));
	return json_pack("{s:o, s:s, s:o, s:o, s:I, s:I, s:o, s:o, s:o, s:o}", "name",
			 view_text(g->name), "uuid", g->uuid, "class", view_text(a->base->name),
			 "class_from", view_text(a->from), "vcpus", (json_int_t)g->vcpus,
			 "memory_bytes", (json_int_t)g->memory_bytes, "degraded",
			 view_text(trouble ? trouble->text : NULL), "cpu", cpu, "net", net,
			 "throttle", view_guest_throttle(e, index));
}

static json_t *view_guest(struct engine *e, size_t index)
{
	const struct guest *g = e->picture->inventory->guests[index];
	json_t *guest = view_guest_brief(e, index);

	add_cpu_limits(json_object_get(guest, "cpu"), e, g);
	json_object_set_new(guest, "memory", view_memory(e, g));
	json_object_set_new(guest, "disk", view_disks(g));
	json_object_set_new(guest, "rbd", view_rbd(e, index));
	return guest;
}

json_t *view_list(struct engine *e, bool brief)
{
	json_t *guests = json_array();

	engine_sample(e, SAMPLE_MAX_AGE_US);
	for (size_t i = 0; e->picture && e->picture->plan && i < e->picture->inventory->count; i++)
		json_array_append_new(guests, brief ? view_guest_brief(e, i) : view_guest(e, i));
	return json_pack("{s:o}", "guests", guests);
}

/* ---- explain ---- */

/* Does this entry concern the guest: its own, or of a group above its group? */
static bool concerns(const struct plan_entry *entry, const struct guest *g)
{
	size_t len;

	if (entry->target.kind != TARGET_CGROUP)
		return entry->target.guest_id == g->id;
	len = strlen(entry->target.path);
	return g->cgroup && strncmp(g->cgroup, entry->target.path, len) == 0 &&
	       g->cgroup[len] == '/';
}

static json_t *value_json(const struct knob_value *v)
{
	char text[KNOB_TEXT_MAX];

	return v ? json_string(knob_value_format(v, text, sizeof(text))) : json_null();
}

/* `unmanaged`: why the guest's own knobs are left as they are; NULL when qosd manages it. */
static json_t *view_knob(struct engine *e, const struct plan_entry *entry, const char *unmanaged)
{
	char target[TARGET_TEXT_MAX], why[REASON_TEXT_MAX];
	bool left_alone = unmanaged && entry->target.kind != TARGET_CGROUP;
	struct knob_value actual;
	struct qerr err = { 0 };
	bool known = engine_read(e, &entry->target, entry->knob, &actual, &err) == 0;
	json_t *knob = json_pack(
		"{s:o, s:s, s:o, s:o, s:o, s:o}", "target",
		view_text(target_format(&entry->target, target, sizeof(target))), "knob",
		knob_get(entry->knob)->name, "want", value_json(left_alone ? NULL : &entry->want),
		"actual", value_json(known ? &actual : NULL), "baseline",
		value_json(baseline_get(e->baseline, &entry->target, entry->knob)), "reason",
		view_text(left_alone ? unmanaged : reason_format(&entry->why, why, sizeof(why))));

	if (!known)
		json_object_set_new(knob, "error", view_text(err.text));
	return knob;
}

static const char *why_unmanaged(const struct guest_row *row)
{
	if (row && row->released)
		return "released: left as it was before qosd, until it starts anew or gets a class";
	if (row && guests_held(row, (uint64_t)time(NULL)))
		return "held by the operator: left as it is";
	return NULL;
}

static json_t *view_knobs(struct engine *e, const struct guest *g)
{
	const char *unmanaged = why_unmanaged(guests_find(&e->guests, g->id));
	struct picture_input in = {
		.policy = e->policy,
		.host = e->host,
		.inventory = e->picture->inventory,
		.previous = e->picture->placement,
		.cgroup_v1 = e->cgroup_v1,
	};
	/* A guest that is left alone has no entries in the plan in force: show what could be set.
	 */
	struct picture *all = unmanaged ? picture_make(&in) : NULL;
	const struct plan *plan = all ? all->plan : e->picture->plan;
	json_t *knobs = json_array();

	for (size_t i = 0; i < plan->count; i++)
		if (concerns(&plan->entries[i], g))
			json_array_append_new(knobs, view_knob(e, &plan->entries[i], unmanaged));
	picture_free(all);
	return knobs;
}

json_t *view_explain(struct engine *e, size_t index)
{
	const struct guest *g = e->picture->inventory->guests[index];

	return json_pack("{s:o, s:o}", "guest", view_text(g->name), "knobs", view_knobs(e, g));
}

/* ---- show: the row of list and all that is known besides ---- */

static json_t *view_overrides(const struct guest *g)
{
	json_t *list = json_array();

	for (size_t i = 0; i < g->noverrides; i++)
		json_array_append_new(list,
				      json_pack("{s:o, s:o}", "key", view_text(g->overrides[i].key),
						"value", view_text(g->overrides[i].value)));
	return list;
}

static json_t *view_reservation(const struct guest *g, const struct qclass *c)
{
	return json_pack("{s:f, s:I, s:I}", "cpu",
			 (double)class_cpu_reservation_mcpu(c, g) / 1000.0, "memory_bytes",
			 (json_int_t)class_memory_reservation(c, g), "net_bps",
			 (json_int_t)c->net.reservation_bps);
}

json_t *view_show(struct engine *e, size_t index)
{
	const struct guest *g = e->picture->inventory->guests[index];
	const struct qclass *c = &e->picture->assign[index].effective;
	const struct guest_row *row = guests_find(&e->guests, g->id);
	uint64_t now_s = (uint64_t)time(NULL);
	json_t *show, *more;

	engine_sample(e, SAMPLE_MAX_AGE_US);
	show = view_guest(e, index);
	more = json_pack(
		"{s:o, s:o, s:o, s:I, s:o, s:o, s:o, s:o, s:o}", "title", view_text(g->title),
		"flavor", view_text(g->flavor), "project", view_text(g->project), "pid",
		(json_int_t)g->pid, "cgroup", view_text(g->cgroup), "hold_s",
		row && guests_held(row, now_s) ? json_real((double)(row->hold_until_s - now_s))
					       : json_null(),
		"reservation", view_reservation(g, c), "overrides", view_overrides(g), "knobs",
		view_knobs(e, g));
	if (show && more)
		json_object_update(show, more);
	json_decref(more);
	return show;
}
