/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * virt_balloon - the memory that a guest is asked to get along with.
 *
 * Asking returns at once; the guest follows when it can, or never (no driver, nothing to give).
 * So the knob reads as what we asked for, else as what the guest has; whether it follows is told by
 * virt_balloon_check(), and asking again and again would not help.
 */
#include <errno.h>
#include <inttypes.h>

#include "qosd/core/human.h"
#include "qosd/host/virt_priv.h"

#define KIB UINT64_C(1024)
#define MIB (KIB * KIB)

/* ---- on the loop ---- */

int virt_balloon_read(struct adapter *a, const struct target *t, enum knob_id knob,
		      struct knob_value *ret, struct qerr *err)
{
	struct virt *v = virt_of_adapter(a);
	const struct virt_known *k = NULL;
	uint64_t bytes = 0;

	(void)knob;
	if (t->kind != TARGET_GUEST || !t->guest)
		return qerr_set(err, -EINVAL, "a balloon belongs to a guest");
	if (t->guest->balloon == GUEST_BALLOON_NONE)
		return qerr_set(err, -EOPNOTSUPP, "%s has no memory balloon", t->guest->name);
	pthread_mutex_lock(&v->lock);
	k = virt_known_find(v, t->guest->id);
	if (k)
		bytes = k->asked_bytes ? k->asked_bytes : k->balloon_bytes;
	pthread_mutex_unlock(&v->lock);
	if (!bytes)
		return qerr_set(err, -ESRCH, "%s: its balloon is not known", t->guest->name);
	*ret = knob_u64(bytes);
	return 0;
}

int virt_balloon_apply(struct adapter *a, const struct change *c, uint64_t ticket, struct qerr *err)
{
	struct virt_job *job;
	int r;

	if (c->target.kind != TARGET_GUEST || !c->target.guest || c->to.u64 < KIB)
		return qerr_set(err, -EINVAL,
				"a balloon belongs to a guest and leaves it something");
	job = virt_job_new(VIRT_JOB_BALLOON, ticket);
	if (!job)
		return qerr_set(err, -ENOMEM, "out of memory");
	job->guest_id = c->target.guest_id;
	job->target_kind = TARGET_GUEST;
	job->bytes = c->to.u64;
	job->gives_back = c->why.kind == WHY_BASELINE;
	r = virt_job_submit(virt_of_adapter(a), job, err);
	return r < 0 ? r : -EINPROGRESS;
}

/* From what it was asked to have. */
static uint64_t away(const struct virt_known *k, uint64_t bytes)
{
	return bytes > k->asked_bytes ? bytes - k->asked_bytes : k->asked_bytes - bytes;
}

/* libvirt and the guest count in pages and blocks of their own: near enough is there. */
static bool reached(const struct virt_known *k)
{
	uint64_t off = away(k, k->balloon_bytes);

	return off <= MIB || off <= k->asked_bytes / 64;
}

/*
 * A guest that was asked to shrink may take some back by itself, and is not asked again. One that
 * has all that it had before us, or comes no nearer to that, is asked for nothing: what it has
 * later is somebody else's word.
 */
void virt_balloon_heard(struct virt_known *k, uint64_t bytes)
{
	bool late = virt_now_us() > k->asked_at_us + VIRT_BALLOON_US;

	if (away(k, bytes) < away(k, k->balloon_bytes)) { /* on its way */
		k->asked_at_us = virt_now_us();
		late = false;
	}
	k->balloon_bytes = bytes;
	if (!k->given_back || (bytes != k->asked_bytes && !late))
		return;
	k->given_back = false;
	k->asked_bytes = 0;
}

bool virt_balloon_deaf(const struct virt_known *k, uint64_t now_us)
{
	return k->asked_bytes && now_us > k->asked_at_us + VIRT_BALLOON_US && !reached(k);
}

int virt_balloon_check(struct virt *v, const struct guest *g, struct qerr *err)
{
	char asked[HUMAN_TEXT_MAX] = "", has[HUMAN_TEXT_MAX] = "";
	const struct virt_known *k;
	bool deaf;

	pthread_mutex_lock(&v->lock);
	k = virt_known_find(v, g->id);
	deaf = k && virt_balloon_deaf(k, virt_now_us());
	if (deaf) {
		human_size(k->asked_bytes, asked);
		human_size(k->balloon_bytes, has);
	}
	pthread_mutex_unlock(&v->lock);
	if (!deaf)
		return 0;
	return qerr_set(err, -ETIMEDOUT,
			"%s does not follow its memory balloon: it was asked to have %s and has %s",
			g->name, asked, has);
}

/* ---- on the calls thread ---- */

static int balloon_domain(struct virt *v, virDomainPtr dom, const char *name,
			  const struct virt_job *job, struct qerr *err)
{
	struct virt_known *k;

	virt_calling(v);
	if (virDomainSetMemoryFlags(dom, job->bytes / KIB, VIR_DOMAIN_AFFECT_LIVE) < 0)
		return virt_failed(v, err, "guest:%s: its balloon cannot be set", name);
	pthread_mutex_lock(&v->lock);
	k = virt_known_find(v, job->guest_id);
	if (k) {
		k->asked_bytes = job->bytes / KIB * KIB;
		k->asked_at_us = virt_now_us();
		k->given_back = job->gives_back;
	}
	pthread_mutex_unlock(&v->lock);
	return 0;
}

int virt_balloon_run(struct virt *v, const struct virt_job *job, struct qerr *err)
{
	return virt_with_domain(v, job, balloon_domain, err);
}
