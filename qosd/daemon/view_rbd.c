/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * view_rbd - RBD disks as `list`, `show` and `doctor` tell of them.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "qosd/core/human.h"
#include "qosd/core/mem.h"
#include "qosd/daemon/rbd.h"
#include "qosd/daemon/view.h"

#define OPEN_US UINT64_C(120000000) /* a look so soon after the start saw what the open saw */

static const char *const cluster_names[] = {
	[RBD_CLUSTER_UNKNOWN] = "not looked at yet",
	[RBD_CLUSTER_NOT_BUILT] = "not built in",
	[RBD_CLUSTER_OFF] = "not asked (ceph.user is not set)",
	[RBD_CLUSTER_FINE] = "known",
	[RBD_CLUSTER_AWAY] = "no answer",
	[RBD_CLUSTER_DENIED] = "not permitted",
	[RBD_CLUSTER_OTHER] = "another cluster",
	[RBD_CLUSTER_GONE] = "no such image",
	[RBD_CLUSTER_ODD] = "cannot be read",
};
static const char *const socket_names[] = { "unknown", "none", "answers", "silent" };
static const char *const wish_names[] = { NULL, "none", "writethrough", "writeback",
					  "writearound" };

/* ---- the subject of the rules ---- */

/* What the client read when it opened the image: its own word where it can be asked. */
static void in_force(const struct ceph_image *first, const char *cache_mode,
		     struct rbd_effective *ret)
{
	struct rbd_layers seen;

	if (!first->open_known) {
		rbd_resolve(&first->layers, ret);
		return;
	}
	seen = first->open;
	if (!seen.values[RBD_QEMU][RBD_CACHE])
		rbd_layers_qemu(&seen, cache_mode);
	rbd_resolve(&seen, ret);
}

bool rbd_in_force(const struct engine *e, uint32_t guest_id, uint32_t disk,
		  struct rbd_effective *ret)
{
	const struct rbd_row *row = rbd_row_find(e->rbd, guest_id);
	const struct guest *g = inventory_by_id(e->inventory, guest_id);

	for (size_t k = 0; row && g && k < g->nrbds; k++) {
		const struct ceph_image *first = ceph_look_find(row->first, &g->rbds[k]);

		if (g->rbds[k].disk != disk || !first)
			continue;
		in_force(first, g->disks[disk].cache, ret);
		return true;
	}
	return false;
}

uint64_t rbd_guest_bytes(const struct engine *e, const struct guest *g)
{
	uint64_t bytes = RBD_FIRST_BYTES;
	struct rbd_effective now;

	for (size_t k = 0; k < g->nrbds; k++) {
		if (!rbd_in_force(e, g->id, g->rbds[k].disk, &now))
			return POLICY_NONE_U64;
		bytes += rbd_memory_bytes(&now, RBD_INFLIGHT_BYTES);
	}
	return g->nrbds ? bytes : POLICY_NONE_U64;
}

static bool seen_at_start(const struct guest *g, const struct ceph_image *first)
{
	long hz = sysconf(_SC_CLK_TCK);
	uint64_t started_us = hz > 0 ? g->start_ticks * UINT64_C(1000000) / (uint64_t)hz : 0;

	return started_us && first->at_us < started_us + OPEN_US;
}

/* What the guest may take with the bound of each cache, against what libvirt lets it have. */
static void fill_memory(struct engine *e, const struct guest *g, const struct qclass *c,
			struct rbd_subject *ret)
{
	uint64_t bytes = g->nrbds ? RBD_FIRST_BYTES : 0;
	struct rbd_effective now;

	for (size_t k = 0; k < g->nrbds; k++)
		if (rbd_in_force(e, g->id, g->rbds[k].disk, &now))
			bytes += rbd_memory_bytes(&now, RBD_INFLIGHT_BYTES);
	ret->memory_have_bytes = g->hard_limit_bytes;
	ret->memory_need_bytes = g->memory_bytes + class_memory_overhead(c, g) + bytes;
}

static void fill_found(const struct ceph_image *image, struct rbd_subject *ret)
{
	ret->layers = &image->layers;
	rbd_resolve(&image->layers, &ret->next);
	ret->file = image->file;
	ret->file_line = image->file_line;
	ret->file_trouble = image->file_trouble;
	ret->socket = image->socket;
	ret->object_cacher = image->object_cacher;
	for (int k = 0; k < RBD_KEYS; k++)
		ret->live[k] = image->live[k][0] ? image->live[k] : NULL;
	ret->cluster = image->cluster;
	ret->cluster_trouble = image->cluster_trouble;
	ret->cluster_full = image->cluster_full;
	ret->cluster_strong = image->cluster_strong;
	ret->plugin_missing = image->plugin_missing;
	ret->plugin = image->plugin;
}

bool rbd_subject(struct engine *e, size_t index, size_t image, struct rbd_subject *ret)
{
	const struct guest *g = e->picture->inventory->guests[index];
	const struct assignment *a = &e->picture->assign[index];
	const struct rbd_row *row = rbd_row_find(e->rbd, g->id);
	const struct guest_rbd *rbd = &g->rbds[image];
	const struct ceph_image *latest = row ? ceph_look_find(row->latest, rbd) : NULL;
	const struct ceph_image *first = row ? ceph_look_find(row->first, rbd) : NULL;
	const struct ceph_policy *ceph = &e->policy->ceph;

	if (!latest || !first)
		return false;
	*ret = (struct rbd_subject){ .guest = g->name,
				     .disk = &g->disks[rbd->disk],
				     .rbd = rbd,
				     .class_name = a->base ? a->base->name : NULL,
				     .wish = a->base ? &a->effective.rbd : NULL };
	fill_found(latest, ret);
	if (image == 0) /* told once for all disks */
		ret->process = row->latest->process;
	in_force(first, ret->disk->cache, &ret->now);
	ret->now_known = true;
	ret->now_from_start = seen_at_start(g, first);
	for (size_t i = 0; i < GUEST_TUNES; i++)
		ret->iotune |= ret->disk->tune[i] != 0;
	/* The guests' own user, or the administrator, may cut clients off. */
	ret->cluster_strong |=
		ret->cluster == RBD_CLUSTER_FINE && ceph->user &&
		(strcmp(ceph->user, rbd->user) == 0 || strcmp(ceph->user, "admin") == 0);
	fill_memory(e, g, &a->effective, ret);
	return true;
}

/* ---- JSON ---- */

static json_t *view_findings_of(const struct rbd_subject *s)
{
	struct rbd_finding *list = calloc(rbd_rules_count, sizeof(*list));
	size_t n = list ? rbd_lint(s, list, rbd_rules_count) : 0;
	json_t *all = json_array();

	for (size_t i = 0; i < n; i++)
		json_array_append_new(
			all, json_pack("{s:s, s:s, s:o, s:s, s:o}", "id", list[i].rule->id,
				       "severity", diag_severity_name(list[i].rule->severity),
				       "message", view_text(list[i].what), "why", list[i].rule->why,
				       "fix", view_text(list[i].fix)));
	free(list);
	return all;
}

/* Where it comes from, as far as is known. */
static void say_from(const struct rbd_subject *s, const struct rbd_value *v,
		     char buf[RBD_FROM_MAX + 32])
{
	size_t len;

	rbd_from((enum rbd_layer)v->layer, s->rbd, s->disk->cache, buf, RBD_FROM_MAX);
	len = strlen(buf);
	snprintf(buf + len, 32, "%s", v->sure ? "" : "; overrides unknown");
}

static json_t *view_setting(const struct rbd_subject *s, enum rbd_key key)
{
	const struct rbd_value *now = &s->now.values[key], *next = &s->next.values[key];
	char now_from[RBD_FROM_MAX + 32], next_from[RBD_FROM_MAX + 32];

	say_from(s, now, now_from);
	say_from(s, next, next_from);
	return json_pack("{s:s, s:o, s:o, s:o, s:o}", "key", rbd_keys[key].name, "in_force",
			 view_text(now->text), "in_force_from", view_text(now_from), "next",
			 view_text(next->text), "next_from", view_text(next_from));
}

static json_t *view_settings(const struct rbd_subject *s)
{
	json_t *list = json_array();

	for (int k = 0; k < RBD_KEYS; k++)
		json_array_append_new(list, view_setting(s, (enum rbd_key)k));
	return list;
}

static json_t *view_bytes(const struct rbd_subject *s, enum rbd_key key)
{
	return json_pack("{s:I, s:I}", "in_force", (json_int_t)s->now.values[key].number, "next",
			 (json_int_t)s->next.values[key].number);
}

static json_t *count_or_null(uint64_t n)
{
	return n ? json_integer((json_int_t)n) : json_null();
}

static json_t *view_process(const struct rbd_process *p)
{
	return json_pack("{s:o, s:o, s:o, s:o}", "files", count_or_null(p->files), "files_max",
			 count_or_null(p->files_max), "threads", count_or_null(p->threads),
			 "threads_max", count_or_null(p->threads_max));
}

static json_t *view_known(const struct rbd_subject *s, const struct ceph_image *image,
			  const struct rbd_process *process)
{
	const char *wish = s->wish ? wish_names[s->wish->cache] : NULL;

	return json_pack(
		"{s:o, s:s, s:s, s:b, s:o, s:o, s:o, s:I, s:o, s:o, s:s, s:o, s:o, s:o, s:o}",
		"mode",
		json_pack("{s:o, s:s, s:s}", "wanted", view_text(wish), "in_force",
			  rbd_mode_names[s->now.mode], "next", rbd_mode_names[s->next.mode]),
		"ceph", cluster_names[s->cluster], "socket", socket_names[s->socket],
		"seen_at_start", s->now_from_start, "cache_size_bytes",
		view_bytes(s, RBD_CACHE_SIZE), "max_dirty_bytes",
		view_bytes(s, RBD_CACHE_MAX_DIRTY), "size_bytes",
		image->size_bytes ? json_integer((json_int_t)image->size_bytes) : json_null(),
		"memory_bytes", (json_int_t)rbd_memory_bytes(&s->now, RBD_INFLIGHT_BYTES),
		"buffer_bytes",
		image->buffer_bytes ? json_integer((json_int_t)image->buffer_bytes) : json_null(),
		"socket_path", view_text(image->socket_path[0] ? image->socket_path : NULL), "conf",
		rbd_conf_path(s->rbd), "trouble",
		view_text(image->cluster_trouble[0] ? image->cluster_trouble : NULL), "settings",
		view_settings(s), "findings", view_findings_of(s), "process",
		view_process(process));
}

static json_t *view_image(struct engine *e, size_t index, size_t image)
{
	const struct guest *g = e->picture->inventory->guests[index];
	const struct guest_rbd *rbd = &g->rbds[image];
	const struct guest_disk *d = &g->disks[rbd->disk];
	const struct rbd_row *row = rbd_row_find(e->rbd, g->id);
	char spec[RBD_SPEC_MAX];
	struct rbd_subject s;
	json_t *known = NULL, *one;

	one = json_pack("{s:o, s:o, s:o, s:o, s:o, s:s}", "device", view_text(d->target), "image",
			view_text(rbd_spec(rbd, spec, sizeof(spec))), "pool", view_text(rbd->pool),
			"qemu_cache", view_text(d->cache[0] ? d->cache : NULL), "user",
			view_text(rbd->user[0] ? rbd->user : NULL), "ceph",
			ceph_built_in() ? cluster_names[RBD_CLUSTER_UNKNOWN] : "not built in");
	if (rbd_subject(e, index, image, &s))
		known = view_known(&s, ceph_look_find(row->latest, rbd), &row->latest->process);
	if (one && known)
		json_object_update(one, known);
	json_decref(known);
	return one;
}

json_t *view_rbd(struct engine *e, size_t index)
{
	const struct guest *g = e->picture->inventory->guests[index];
	json_t *list = json_array();

	for (size_t k = 0; k < g->nrbds; k++)
		json_array_append_new(list, view_image(e, index, k));
	return list;
}

/* ---- doctor ---- */

static void doctor_image(struct engine *e, size_t index, size_t image, struct diag_list *findings)
{
	const struct guest *g = e->picture->inventory->guests[index];
	struct rbd_finding *list = calloc(rbd_rules_count, sizeof(*list));
	struct rbd_subject s;
	char topic[GUEST_NAME_MAX + 64];
	size_t n = 0;

	if (list && rbd_subject(e, index, image, &s))
		n = rbd_lint(&s, list, rbd_rules_count);
	for (size_t i = 0; i < n; i++) {
		snprintf(topic, sizeof(topic), "%s %s/%s", list[i].rule->id, g->name,
			 s.disk->target);
		diag_add(findings, list[i].rule->severity, NULL, 0, topic, list[i].fix, "%s: %s",
			 list[i].what, list[i].rule->why);
	}
	free(list);
}

static void doctor_room(uint64_t need_mcpu, uint64_t have_mcpu, const char *where, const char *fix,
			struct diag_list *findings)
{
	char need[HUMAN_TEXT_MAX], have[HUMAN_TEXT_MAX];

	if (need_mcpu > have_mcpu)
		diag_add(
			findings, DIAG_WARNING, NULL, 0, "ceph cpu", fix,
			"RBD clients may take %s at the limits of their disks or host.disk, and there are %s "
			"%s: storage and all else there will wait for each other",
			human_mcpu(need_mcpu, need), human_mcpu(have_mcpu, have), where);
}

/* Where the threads of RBD clients run: see ledger.h. */
static void doctor_clients(const struct engine *e, struct diag_list *findings)
{
	struct cpuset own = cpuset_and(&e->host->online, &e->policy->host.reserve.cpus);
	const struct ledger *l = &e->picture->ledger;
	uint64_t left_mcpu = l->shared_capacity_mcpu > l->shared_reserved_mcpu
				     ? l->shared_capacity_mcpu - l->shared_reserved_mcpu
				     : 0;

	doctor_room(
		l->clients_host.mcpu, (uint64_t)cpuset_count(&own) * 1000, "that are housekeeping",
		"more host.reserve.cpus, a class's cpu.emulator, or lower disk limits", findings);
	doctor_room(l->clients_shared.mcpu, left_mcpu, "that guests share and nobody has reserved",
		    "lower disk limits, or host.disk for all of them together", findings);
}

void rbd_doctor(struct engine *e, struct diag_list *findings)
{
	bool any = false;

	if (!e->rbd || !e->picture || !e->picture->plan)
		return;
	for (size_t i = 0; i < e->picture->inventory->count; i++)
		for (size_t k = 0; k < e->picture->inventory->guests[i]->nrbds; k++) {
			doctor_image(e, i, k, findings);
			any = true;
		}
	if (any && !ceph_built_in())
		diag_add(findings, DIAG_INFO, NULL, 0, "ceph",
			 "apt-get install librbd-dev librados-dev and build anew",
			 "qosd was built without librbd: what images and pools override is not "
			 "known");
	doctor_clients(e, findings);
	rbd_daemons_lint(&e->rbd->daemons, e->host->memory_bytes,
			 e->picture->ledger.memory_reserved_bytes +
				 e->policy->host.reserve.memory_bytes,
			 findings);
}

static json_t *view_osd(const struct rbd_osd *o)
{
	return json_pack("{s:o, s:i, s:o, s:I, s:I, s:b}", "id", view_text(o->id), "pid", o->pid,
			 "target_bytes",
			 o->target_bytes ? json_integer((json_int_t)o->target_bytes) : json_null(),
			 "rss_bytes", (json_int_t)o->rss_bytes, "peak_bytes",
			 (json_int_t)o->peak_bytes, "open_loop", o->open_loop);
}

json_t *view_ceph(const struct engine *e)
{
	const struct rbd_daemons *d = e->rbd ? &e->rbd->daemons : NULL;
	json_t *osds;

	if (!d || (!d->nosds && !d->nmons && !d->nmgrs))
		return json_null();
	osds = json_array();
	for (uint32_t i = 0; i < d->nosds; i++)
		json_array_append_new(osds, view_osd(&d->osds[i]));
	return json_pack("{s:o, s:I, s:I, s:I}", "osds", osds, "mons", (json_int_t)d->nmons, "mgrs",
			 (json_int_t)d->nmgrs, "reserve_bytes",
			 (json_int_t)e->host->services_bytes);
}
