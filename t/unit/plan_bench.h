/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * plan_bench - a small scene under overload: three guests, one of each class, and what is left to
 * them; and what a plan says about one of their knobs.
 */
#ifndef QOSD_T_PLAN_BENCH_H
#define QOSD_T_PLAN_BENCH_H

#include "qosd/core/baseline.h"
#include "qosd/core/sample.h"
#include "t/unit/harness.h"
#include "t/unit/make.h"

#define GUESTS_MAX 32

struct hot { /* a scene under overload */
	struct scene *scene;
	struct guest_caps caps[GUESTS_MAX];
	uint64_t rbd_live[GUESTS_MAX];
	struct disk_parts parts;
};

static inline struct guest_caps no_caps(void)
{
	return (struct guest_caps){ .cpu_mcpu = THROTTLE_NONE,
				    .net_in_bps = THROTTLE_NONE,
				    .net_out_bps = THROTTLE_NONE,
				    .disk_iops = THROTTLE_NONE,
				    .disk_bytes_ps = THROTTLE_NONE,
				    .memory_bytes = THROTTLE_NONE,
				    .level = { 1000, 1000, 1000, 1000 } };
}

static inline void make_disk(struct guest *g, const char *target, bool fixed)
{
	struct guest_disk *disk;

	g->disks = must(realloc(g->disks, (g->ndisks + 1) * sizeof(*g->disks)));
	disk = &g->disks[g->ndisks++];
	memset(disk, 0, sizeof(*disk));
	snprintf(disk->target, sizeof(disk->target), "%s", target);
	disk->fixed = fixed;
}

static inline struct hot *hot_new(void)
{
	struct hot *h = must(calloc(1, sizeof(*h)));
	struct guest *g;

	h->scene = scene_new(make_policy(), host_regular(1, 8, 1, 64 * GIB));
	scene_add(h->scene, "web", 1, 2, 2 * GIB, "gold");
	g = scene_add(h->scene, "batch", 2, 2, GIB, "bronze");
	make_nic(g, "vnet0", 7);
	make_nic(g, "", 0);
	make_nic(g, "vnet1", 9);
	make_disk(g, "vda", true);
	make_disk(g, "hdc", false);
	scene_add(h->scene, "app", 3, 2, GIB, "silver");
	for (size_t i = 0; i < GUESTS_MAX; i++)
		h->caps[i] = no_caps();
	return h;
}

static inline struct qclass *class_of(struct hot *h, const char *name)
{
	for (size_t i = 0; i < h->scene->policy->nclasses; i++)
		if (strcmp(h->scene->policy->classes[i].name, name) == 0)
			return &h->scene->policy->classes[i];
	abort();
}

static inline struct guest *guest_of(struct hot *h, const char *name)
{
	return h->scene->inv->guests[scene_index(h->scene, name)];
}

static inline struct guest_caps *caps_of(struct hot *h, const char *name)
{
	return &h->caps[scene_index(h->scene, name)];
}

static inline struct plan *plan_of(struct hot *h)
{
	scene_settle(h->scene);
	h->scene->input.caps = h->caps;
	h->scene->input.rbd_live = h->rbd_live;
	h->scene->input.disk_parts = h->parts.count ? &h->parts : NULL;
	return must(plan_build(&h->scene->input));
}

static inline void hot_free(struct hot *h)
{
	scene_free(h->scene);
	free(h);
}

static inline const struct plan_entry *entry(struct hot *h, const struct plan *p, const char *name,
					     enum target_kind kind, uint32_t index,
					     enum knob_id knob)
{
	const struct guest *g = guest_of(h, name);
	struct target t = { .kind = kind, .index = index, .guest_id = g->id, .guest = g };

	return plan_find(p, &t, knob);
}

/* "VALUE (REASON)", or "-" where the plan says nothing. */
static inline const char *said(struct hot *h, const struct plan *p, const char *name,
			       enum target_kind kind, uint32_t index, enum knob_id knob)
{
	static char text[KNOB_TEXT_MAX + REASON_TEXT_MAX];
	const struct plan_entry *e = entry(h, p, name, kind, index, knob);
	char value[KNOB_TEXT_MAX], why[REASON_TEXT_MAX];

	if (!e)
		return "-";
	snprintf(text, sizeof(text), "%s (%s)", knob_value_format(&e->want, value, sizeof(value)),
		 reason_format(&e->why, why, sizeof(why)));
	return text;
}

#endif
