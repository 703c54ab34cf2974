/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "qosd/daemon/view.h"
#include "qosd/daemon/bandwidth.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "qosd/core/mem.h"
#include "qosd/daemon/episode.h"
#include "qosd/daemon/overload.h"
#include "qosd/daemon/rbd.h"
#include "qosd/daemon/trial.h"
#include "qosd/host/net.h"
#include "qosd/host/sensor.h"

json_t *view_text(const char *text)
{
	char *clean CLEANUP_FREE = NULL;
	json_t *s;

	if (!text)
		return json_null();
	s = json_string(text);
	if (s)
		return s;
	clean = strdup(text);
	for (unsigned char *c = (unsigned char *)clean; c && *c; c++)
		if (*c < 0x20 || *c >= 0x7f)
			*c = '?';
	return clean ? json_string(clean) : NULL;
}

static json_t *view_cpuset(const struct cpuset *set)
{
	char text[CPUSET_TEXT_MAX];

	return json_string(cpuset_format(set, text, sizeof(text)));
}

/* ---- status ---- */

static json_t *view_host(const struct engine *e)
{
	const struct picture *p = e->picture;
	bool planned = p && p->plan;
	uint64_t capacity = planned ? p->ledger.memory_capacity_bytes : e->host->memory_bytes;
	struct cpuset none = { { 0 } };

	return json_pack("{s:o, s:o, s:o, s:o, s:I, s:I, s:I}", "cpus",
			 view_cpuset(&e->host->online), "housekeeping_cpus",
			 view_cpuset(&e->policy->host.reserve.cpus), "dedicated_cpus",
			 view_cpuset(planned ? &p->placement->dedicated : &none), "shared_cpus",
			 view_cpuset(planned ? &p->placement->shared : &e->host->online),
			 "memory_bytes", (json_int_t)e->host->memory_bytes, "memory_reserved_bytes",
			 (json_int_t)(planned ? p->ledger.memory_reserved_bytes : 0),
			 "memory_reservable_bytes", (json_int_t)capacity);
}

static size_t guests_of_class(const struct engine *e, const struct qclass *c)
{
	size_t n = 0;

	if (!e->picture || !e->picture->plan)
		return 0;
	for (size_t i = 0; i < e->picture->inventory->count; i++)
		n += e->picture->assign[i].base == c;
	return n;
}

/* Permille of class i, as the governor has it, be it written (enforce) or not (observe). */
static int level(const struct protection *p, size_t i, enum resource r)
{
	return p->ticked && i < p->out.nclasses ? p->out.classes[i].level[r] : 1000;
}

static json_t *view_classes(const struct engine *e)
{
	const struct protection *p = e->protection;
	json_t *list = json_array();

	for (size_t i = 0; i < e->policy->nclasses; i++) {
		const struct qclass *c = &e->policy->classes[i];
		json_t *levels = json_object();

		for (uint32_t r = 0; r < RESOURCE_COUNT; r++)
			json_object_set_new(levels, resource_names[r],
					    json_integer(level(p, i, (enum resource)r)));
		json_array_append_new(list, json_pack("{s:s, s:I, s:I, s:o}", "name", c->name,
						      "rank", (json_int_t)c->rank, "guests",
						      (json_int_t)guests_of_class(e, c), "level",
						      levels));
	}
	return list;
}

/* An empty object where nothing is known: no signal, or no tick yet. */
static json_t *view_pressure(const struct engine *e)
{
	const struct protection *p = e->protection;
	json_t *all = json_object();

	for (uint32_t i = 0; i < RESOURCE_COUNT; i++) {
		const struct govern_resource *r = &p->out.resources[i];
		bool known = p->ticked && (r->pressure >= 0 || r->depth > 0);
		json_t *one = json_object();

		if (known) {
			json_object_set_new(one, "value",
					    r->pressure < 0 ? json_null() : json_real(r->pressure));
			json_object_set_new(one, "depth", json_real(r->depth));
			json_object_set_new(one, "state",
					    json_string(governor_state_names[r->state]));
		}
		json_object_set_new(all, resource_names[i], one);
	}
	return all;
}

static size_t count_degraded(const struct engine *e)
{
	size_t n = 0;

	for (size_t i = 0; i < e->guests.count; i++)
		n += guests_trouble(&e->guests.rows[i]) != NULL;
	return n;
}

/* How long looks of overload protection took: how many up to each length. */
static json_t *view_tick(const struct protection *p)
{
	json_t *rungs = json_array();

	for (size_t i = 0; i <= OVERLOAD_RUNGS; i++) {
		json_t *up_to = i < OVERLOAD_RUNGS ? json_real((double)overload_rung_us(i) / 1e6)
						   : json_null();

		json_array_append_new(rungs, json_pack("{s:o, s:I}", "up_to_s", up_to, "count",
						       (json_int_t)p->rungs[i]));
	}
	return json_pack("{s:I, s:f, s:o}", "count", (json_int_t)p->ticks, "sum_s",
			 (double)p->tick_us_sum / 1e6, "rungs", rungs);
}

/* Overloads that began since the start. */
static json_t *view_episodes_begun(const struct episodes *all)
{
	json_t *counts = json_object();

	for (int r = 0; r < RESOURCE_COUNT; r++)
		json_object_set_new(counts, resource_names[r],
				    json_integer(all ? (json_int_t)all->total[r] : 0));
	return counts;
}

static const char *libvirt_state(const struct engine *e)
{
	return virt_state_name(e->virt ? virt_state(e->virt) : VIRT_CONNECTING);
}

static json_t *view_status_now(struct engine *e)
{
	const struct qerr *trouble = engine_trouble(e);
	double uptime_s = (double)(engine_now_us(e) - e->started_us) / 1e6;

	return json_pack(
		"{s:s, s:s, s:f, s:{s:o, s:I}, s:s, s:o, s:o, s:o, s:I, s:I, s:I, s:I, s:I, s:b, s:o, s:o, "
		"s:o, s:o}",
		"version", PACKAGE_VERSION, "mode", engine_enforcing(e) ? "enforce" : "observe",
		"uptime_s", uptime_s, "policy", "path", view_text(e->policy->path), "generation",
		(json_int_t)e->generation, "libvirt", libvirt_state(e), "host", view_host(e),
		"pressure", view_pressure(e), "classes", view_classes(e), "guests",
		(json_int_t)(e->inventory ? e->inventory->count : 0), "degraded",
		(json_int_t)count_degraded(e), "in_flight", (json_int_t)e->inflight.open,
		"repaired", (json_int_t)e->repaired, "ticks", (json_int_t)e->protection->ticks,
		"releasing", engine_releasing(e), "trouble",
		view_text(trouble ? trouble->text : NULL), "throttles", view_throttles(e), "trial",
		trial_view(e), "ceph", view_ceph(e));
}

json_t *view_status(struct engine *e)
{
	json_t *status = view_status_now(e);
	json_t *since_start =
		json_pack("{s:I, s:o, s:o}", "written", (json_int_t)e->written, "episodes_begun",
			  view_episodes_begun(e->episodes), "tick", view_tick(e->protection));

	if (status && since_start)
		json_object_update(status, since_start);
	json_decref(since_start);
	return status;
}

/* ---- findings and changes ---- */

json_t *view_findings(const struct diag_list *findings)
{
	json_t *list = json_array();

	for (size_t i = 0; i < findings->count; i++) {
		const struct diag *d = &findings->items[i];
		bool topic = d->path && !d->file; /* about the host, not about a setting */
		json_t *one = json_pack("{s:s, s:o, s:o, s:o, s:o, s:o, s:o}", "severity",
					diag_severity_name(d->severity), "file", view_text(d->file),
					"line", d->line ? json_integer(d->line) : json_null(),
					"path", view_text(topic ? NULL : d->path), "topic",
					view_text(topic ? d->path : NULL), "message",
					view_text(d->text), "fix", view_text(d->fix));

		json_array_append_new(list, one);
	}
	return list;
}

json_t *view_changes(const struct diff *diff)
{
	char target[TARGET_TEXT_MAX], from[KNOB_TEXT_MAX], to[KNOB_TEXT_MAX], why[REASON_TEXT_MAX];
	json_t *list = json_array();

	for (size_t i = 0; i < diff->count; i++) {
		const struct change *c = &diff->changes[i];
		json_t *was = c->from_known
				      ? json_string(knob_value_format(&c->from, from, sizeof(from)))
				      : json_null();

		json_array_append_new(
			list,
			json_pack("{s:o, s:s, s:o, s:s, s:o}", "target",
				  view_text(target_format(&c->target, target, sizeof(target))),
				  "knob", knob_get(c->knob)->name, "from", was, "to",
				  knob_value_format(&c->to, to, sizeof(to)), "reason",
				  view_text(reason_format(&c->why, why, sizeof(why)))));
	}
	return list;
}

/* ---- doctor ---- */

/* Something wrong where the NIC is to be limited, else only good to know. */
static enum diag_severity obstacle_severity(const struct engine *e, const struct qclass *c,
					    const struct guest_nic *nic)
{
	return view_nic_wanted(e, c, nic, true) || view_nic_wanted(e, c, nic, false) ? DIAG_WARNING
										     : DIAG_INFO;
}

static void find_obstacle(struct engine *e, size_t guest, const struct guest_nic *nic,
			  struct diag_list *findings)
{
	const char *name = e->picture->inventory->guests[guest]->name;
	const struct qclass *c = &e->picture->assign[guest].effective;
	struct net_about about;
	char text[GUEST_NIC_TEXT_MAX];

	view_nic_look(e, c, nic, &about);
	if (!guest_nic_text(nic, text)[0])
		snprintf(text, sizeof(text), "%s", nic->mac);
	if (about.obstacle[0])
		diag_add(findings, obstacle_severity(e, c, nic), NULL, 0, "net", NULL,
			 "guest %s: NIC %s cannot be limited: %s", name, text, about.obstacle);
	else if (about.in_obstacle && view_nic_wanted(e, c, nic, true))
		diag_add(findings, DIAG_WARNING, NULL, 0, "net", NULL,
			 "guest %s: NIC %s cannot be limited towards the guest: %s", name, text,
			 about.in_obstacle);
}

/* NICs that no limit can reach, each with its reason. */
static void find_obstacles(struct engine *e, struct diag_list *findings)
{
	const struct inventory *inv = e->picture ? e->picture->inventory : NULL;

	for (size_t i = 0; inv && i < inv->count; i++)
		for (size_t k = 0; k < inv->guests[i]->nnics; k++)
			find_obstacle(e, i, &inv->guests[i]->nics[k], findings);
}

json_t *view_doctor(struct engine *e)
{
	const struct qerr *trouble = engine_trouble(e);
	struct diag_list findings = { 0 };
	json_t *capabilities = json_object(), *list;

	for (size_t i = 0; i < ADAPTER_COUNT; i++) {
		struct adapter *a = e->adapters[i];
		size_t before = findings.errors, found = findings.count;

		if (!a || !a->ops->probe)
			continue;
		a->ops->probe(a, &findings);
		json_object_set_new(capabilities, a->ops->name,
				    json_pack("{s:b, s:I}", "works", findings.errors == before,
					      "findings", (json_int_t)(findings.count - found)));
	}
	if (e->protection->sensor)
		sensor_probe(e->protection->sensor, &findings);
	find_obstacles(e, &findings);
	rbd_doctor(e, &findings);
	bandwidth_probe(e, &findings);
	if (trouble)
		diag_add(&findings, DIAG_ERROR, NULL, 0, "qosd", NULL, "%s", trouble->text);
	list = view_findings(&findings);
	diag_clear(&findings);
	return json_pack("{s:o, s:o}", "findings", list, "capabilities", capabilities);
}
