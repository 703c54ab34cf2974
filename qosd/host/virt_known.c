/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * virt_known - values of running guests that libvirt owns and that are in its XML: limits of disks
 * and the balloon. Asking libvirt would block, so the loop reads them here.
 *
 * The calls thread writes them after each look at a guest and after each of its own changes, in
 * the order in which libvirt has them; a change by somebody else comes with an event, which only
 * asks for another look. Everything is under the lock of struct virt.
 */
#include <stdlib.h>
#include <string.h>

#include "qosd/core/mem.h"
#include "qosd/host/virt_priv.h"

/* The place where the id is or would be. */
static size_t known_place(const struct virt *v, uint32_t guest_id)
{
	size_t low = 0, high = v->nknown;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (v->known[middle]->guest_id < guest_id)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

struct virt_known *virt_known_find(const struct virt *v, uint32_t guest_id)
{
	size_t i = known_place(v, guest_id);

	return i < v->nknown && v->known[i]->guest_id == guest_id ? v->known[i] : NULL;
}

struct virt_known *virt_known_by_uuid(const struct virt *v, const char *uuid)
{
	for (size_t i = v->nknown; i-- > 0;)
		if (strcmp(v->known[i]->guest->uuid, uuid) == 0)
			return v->known[i];
	return NULL;
}

struct virt_known_disk *virt_known_disk(struct virt_known *k, const char *target)
{
	for (size_t i = 0; i < k->ndisks; i++)
		if (strcmp(k->disks[i].target, target) == 0)
			return &k->disks[i];
	return NULL;
}

static void known_free(struct virt_known *k)
{
	guest_unref(k->guest);
	free(k);
}

static struct virt_known *known_of(struct guest *g)
{
	struct virt_known *k = calloc(1, sizeof(*k) + g->ndisks * sizeof(k->disks[0]));

	if (!k)
		return NULL;
	k->guest_id = g->id;
	k->guest = guest_ref(g);
	k->balloon_bytes = g->current_bytes;
	k->ndisks = g->ndisks;
	for (size_t i = 0; i < g->ndisks; i++) {
		memcpy(k->disks[i].target, g->disks[i].target, sizeof(k->disks[i].target));
		memcpy(k->disks[i].tune, g->disks[i].tune, sizeof(k->disks[i].tune));
	}
	return k;
}

/* Under lock. Takes over `k`. */
static void put(struct virt *v, struct virt_known *k)
{
	size_t i = known_place(v, k->guest_id);

	if (i < v->nknown && v->known[i]->guest_id == k->guest_id) {
		k->asked_bytes = v->known[i]->asked_bytes;
		k->asked_at_us = v->known[i]->asked_at_us;
		k->given_back = v->known[i]->given_back;
		k->balloon_bytes = v->known[i]->balloon_bytes; /* has it come nearer? */
		virt_balloon_heard(k, k->guest->current_bytes);
		known_free(v->known[i]);
		v->known[i] = k;
		return;
	}
	if (mem_grow(&v->known, &v->known_capacity, v->nknown + 1, sizeof(*v->known)) < 0) {
		known_free(k);
		return;
	}
	memmove(&v->known[i + 1], &v->known[i], (v->nknown - i) * sizeof(*v->known));
	v->known[i] = k;
	v->nknown++;
}

/* Without memory the guest stays as it was known, or unknown: its limits then wait. */
void virt_known_update(struct virt *v, struct guest *g)
{
	struct virt_known *k = known_of(g);

	if (!k)
		return;
	pthread_mutex_lock(&v->lock);
	put(v, k);
	pthread_mutex_unlock(&v->lock);
}

void virt_known_forget(struct virt *v, uint32_t guest_id)
{
	size_t i;

	pthread_mutex_lock(&v->lock);
	i = known_place(v, guest_id);
	if (i < v->nknown && v->known[i]->guest_id == guest_id) {
		known_free(v->known[i]);
		v->nknown--;
		memmove(&v->known[i], &v->known[i + 1], (v->nknown - i) * sizeof(*v->known));
	}
	pthread_mutex_unlock(&v->lock);
}

void virt_known_free(struct virt *v)
{
	for (size_t i = 0; i < v->nknown; i++)
		known_free(v->known[i]);
	free(v->known);
}
