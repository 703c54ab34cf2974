/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * inventory - the guests that libvirt tells of become those that the engine works with.
 */
#include <errno.h>
#include <signal.h>
#include <string.h>

#include "qosd/core/mem.h"
#include "qosd/daemon/engine.h"
#include "qosd/daemon/rbd.h"
#include "qosd/host/cgroup.h"

static bool process_lives(const struct guest *g)
{
	return g->pid && (kill(g->pid, 0) == 0 || errno != ESRCH);
}

/*
 * A guest that is not in the inventory any more. Its baselines go with its process, and so do the
 * limits of its NICs; while that lives, libvirt was only unable to tell of it this time. What is
 * cached of it goes in any case.
 */
static void on_guest_gone(void *user, const struct guest_row *row)
{
	struct engine *e = user;
	const struct guest *g = e->picture ? inventory_by_id(e->picture->inventory, row->id) : NULL;
	bool lives = g && process_lives(g);

	if (row->assumed_ticket)
		e->classes_assumed--;
	if (!g)
		return;
	for (size_t i = 0; i < ARRAY_SIZE(e->adapters); i++)
		if (e->adapters[i] && e->adapters[i]->ops->forget && !(lives && i == ADAPTER_NET))
			e->adapters[i]->ops->forget(e->adapters[i], g);
	if (!lives)
		e->baseline_rewrite |= baseline_drop_guest(e->baseline, g) > 0;
	log_message(&e->log, LOG_INFO, &(struct log_about){ .guest = g->name },
		    row->start_ticks ? "guest %s has stopped"
				     : "guest %s was not started: it went before it had a process",
		    g->name);
}

/* Its place in g->disks, or g->ndisks. */
static uint32_t find_disk(const struct guest *g, const char *target)
{
	uint32_t i = 0;

	while (i < g->ndisks && strcmp(g->disks[i].target, target) != 0)
		i++;
	return i;
}

/*
 * The next disk of that name is another one: what the old one had says nothing about it. Where only
 * the image behind it is another, QEMU's limits stay the disk's, and librbd's went with its client.
 */
static void forget_unplugged(struct engine *e, const struct guest *old, const struct guest *g)
{
	struct target t = { .kind = TARGET_DISK, .guest_id = old->id, .guest = old };

	for (; t.index < old->ndisks; t.index++) {
		uint32_t now = find_disk(g, old->disks[t.index].target);
		int knob = now < g->ndisks ? KNOB_RBD_READ_IOPS : KNOB_DISK_READ_IOPS;

		if (now < g->ndisks &&
		    guest_rbd_same(guest_rbd_of(old, t.index), guest_rbd_of(g, now)))
			continue;
		for (; knob <= KNOB_RBD_BURST_S; knob++)
			e->baseline_rewrite |=
				baseline_drop(e->baseline, &t, (enum knob_id)knob) > 0;
	}
}

/*
 * A guest that is new or looks different (a new NIC) is read back at the next turn. When none
 * does, libvirt told of a change that guests do not show: somebody set pins.
 */
static void mark_changed_guests(struct engine *e, const struct inventory *before)
{
	bool changed = !before || before->count != e->inventory->count;

	for (size_t i = 0; i < e->inventory->count; i++) {
		const struct guest *g = e->inventory->guests[i];
		const struct guest *old = before ? inventory_by_id(before, g->id) : NULL;
		struct guest_row *row = guests_find(&e->guests, g->id);

		if (!row || old == g)
			continue;
		if (old)
			forget_unplugged(e, old, g);
		guests_mark(row);
		changed = true;
	}
	for (size_t i = 0; !changed && i < e->guests.count; i++)
		e->guests.rows[i].lanes[ADAPTER_LIBVIRT].dirty = true;
}

void engine_take_inventory(struct engine *e, struct inventory *fresh)
{
	struct inventory *before = e->inventory;
	bool releasing = engine_releasing(e);

	engine_give_back_vfs(e, fresh);
	e->inventory = fresh;
	if (guests_sync(&e->guests, fresh, on_guest_gone, e) < 0)
		log_message(&e->log, LOG_ERR, NULL, "out of memory: some guests are not managed");
	engine_assume_classes(e);
	state_restore_words(e);
	if (engine_releasing(e) != releasing)
		engine_settle_mode(e); /* a release of before goes on, or its guest has stopped */
	mark_changed_guests(e, before);
	rbd_new_inventory(e);
	if (e->ceph_qos)
		ceph_qos_watch(e->ceph_qos, fresh);
	inventory_free(before);
	engine_mark(e);
}

/* ---- vCPUs that are plugged and unplugged ---- */

static void on_vcpu(void *user, uint32_t guest_id)
{
	struct engine *e = user;
	const struct guest_row *row = guests_find(&e->guests, guest_id);

	if (row)
		virt_refresh(e->virt, row->uuid);
}

static int on_cgroup(sd_event_source *s, int fd, uint32_t events, void *user)
{
	struct engine *e = user;

	(void)s;
	(void)fd;
	(void)events;
	cgroup_changes_collect(e->adapters[ADAPTER_CGROUP], on_vcpu, e);
	return 0;
}

int engine_watch_vcpus(struct engine *e)
{
	int fd = cgroup_changes_fd(e->adapters[ADAPTER_CGROUP]);

	return fd < 0 ? 0 : sd_event_add_io(e->event, NULL, fd, EPOLLIN, on_cgroup, e);
}
