/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ceph_found - looks as values: an image in them is known by what the domain says of it, never by
 * its place, for disks come and go.
 */
#include <stdlib.h>

#include "qosd/host/ceph.h"

static void image_done(struct ceph_image *image)
{
	rbd_layers_done(&image->layers);
	rbd_layers_done(&image->open);
}

void ceph_look_free(struct ceph_look *l)
{
	for (size_t i = 0; l && i < l->count; i++)
		image_done(&l->images[i]);
	free(l);
}

struct ceph_image *ceph_look_find(const struct ceph_look *l, const struct guest_rbd *rbd)
{
	for (size_t i = 0; l && i < l->count; i++)
		if (guest_rbd_same(&l->images[i].rbd, rbd))
			return (struct ceph_image *)&l->images[i];
	return NULL;
}

static int copy_image(struct ceph_image *to, const struct ceph_image *from)
{
	int r;

	*to = *from;
	to->layers.arena = to->open.arena = NULL;
	r = rbd_layers_copy(&to->layers, &from->layers);
	return r < 0 ? r : rbd_layers_copy(&to->open, &from->open);
}

/* Its texts go along. */
static void move_image(struct ceph_image *to, struct ceph_image *from)
{
	*to = *from;
	from->layers.arena = from->open.arena = NULL;
}

static bool saw_all(const struct ceph_image *image)
{
	return image->layers.known[RBD_IMAGE];
}

struct ceph_look *ceph_look_in_force(struct ceph_look *before, const struct ceph_look *latest,
				     bool *ret_changed)
{
	struct ceph_look *l = calloc(1, sizeof(*l) + latest->count * sizeof(l->images[0]));
	int r = 0;

	*ret_changed = !before || before->count != latest->count;
	for (size_t i = 0; l && r == 0 && i < latest->count; i++) {
		const struct ceph_image *now = &latest->images[i];
		struct ceph_image *first = ceph_look_find(before, &now->rbd);

		l->count = i + 1;
		if (first && (saw_all(first) || !saw_all(now))) {
			move_image(&l->images[i], first);
			continue;
		}
		r = copy_image(&l->images[i], now);
		*ret_changed = true;
	}
	ceph_look_free(before);
	if (!l || r < 0) {
		ceph_look_free(l);
		return NULL;
	}
	l->guest_id = latest->guest_id;
	l->at_us = latest->at_us;
	l->process = latest->process;
	return l;
}
