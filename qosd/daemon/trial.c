/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "qosd/daemon/trial.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "qosd/core/mem.h"
#include "qosd/daemon/episode.h"
#include "qosd/daemon/files.h"
#include "qosd/daemon/view.h"

#define TRIAL_FILE_MAX ((size_t)16 << 20)

/* ---- the file ---- */

static char *trial_path(const struct engine *e, char buf[FILES_PATH_MAX])
{
	snprintf(buf, FILES_PATH_MAX, "%s/policy/trial.conf", e->options.state_dir);
	return buf;
}

static int save(const struct engine *e, const struct policy *p, struct qerr *err)
{
	char path[FILES_PATH_MAX];
	char *text CLEANUP_FREE = policy_print(p);

	if (!text)
		return qerr_set(err, -ENOMEM, "out of memory");
	return files_replace(trial_path(e, path), text, strlen(text), true, err);
}

bool trial_unconfirmed(const struct engine *e, const char *text)
{
	char path[FILES_PATH_MAX];
	int r;
	char *tried CLEANUP_FREE = files_read(trial_path(e, path), TRIAL_FILE_MAX, NULL, &r);

	return tried && strcmp(tried, text) == 0;
}

void trial_forget(const struct engine *e)
{
	char path[FILES_PATH_MAX];

	(void)unlink(trial_path(e, path));
}

/* ---- begin and end ---- */

static void trial_free(struct trial *t)
{
	if (!t)
		return;
	sd_event_source_disable_unref(t->timer);
	policy_free(t->policy);
	free(t);
}

/* Time is over, or a tick found a reason to undo. */
static int on_end(sd_event_source *s, uint64_t usec, void *user)
{
	struct engine *e = user;
	char why[QERR_TEXT_MAX] = "nobody confirmed it in time";

	(void)s;
	(void)usec;
	if (e->trial->why[0])
		memcpy(why, e->trial->why, sizeof(why));
	trial_undo(e, why);
	return 0;
}

static struct trial *trial_new(struct engine *e, uint32_t permille, uint64_t for_us)
{
	struct trial *t = calloc(1, sizeof(*t));
	struct timespec now;

	if (!t)
		return NULL;
	clock_gettime(CLOCK_REALTIME, &now);
	t->permille = permille;
	t->until_us = engine_now_us(e) + for_us;
	t->until_ms = (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000 + for_us / 1000;
	for (int r = 0; r < RESOURCE_COUNT; r++)
		t->pressed[r] = episode_now(e, (enum resource)r) != NULL;
	if (sd_event_add_time(e->event, &t->timer, CLOCK_MONOTONIC, t->until_us, 0, on_end, e) <
	    0) {
		free(t);
		return NULL;
	}
	return t;
}

static void retry_guests(struct engine *e)
{
	for (size_t i = 0; i < e->guests.count; i++)
		guests_retry(&e->guests.rows[i]);
}

int trial_start(struct engine *e, struct policy *fresh, uint32_t permille, uint64_t for_us,
		struct qerr *err)
{
	struct trial *t;
	int r;

	if (e->trial)
		return qerr_set(err, -EBUSY,
				"another policy is on trial; `qosctl confirm` or `qosctl undo` it "
				"first");
	r = save(e, fresh, err);
	if (r < 0)
		return qerr_wrap(err, "the trial is not begun, for a restart would not know of it");
	t = trial_new(e, permille, for_us);
	if (!t)
		return qerr_set(err, -ENOMEM, "out of memory");
	t->policy = fresh;
	e->trial = t;
	retry_guests(e);
	engine_turn(e);
	log_message(
		&e->log, LOG_NOTICE, NULL,
		"%s is on trial for %.1f%% of the guests and %.0f s; policy generation %u is in "
		"force for the others",
		fresh->path ? fresh->path : "a policy", permille / 10.0, (double)for_us / 1e6,
		e->generation);
	return 0;
}

/* No turn was made since the trial: the picture still borrows from its policy. */
static void forget_picture(struct engine *e, const struct policy *canary)
{
	if (!e->picture || e->picture->canary != canary)
		return;
	picture_free(TAKE_PTR(e->picture));
	e->enforced_before = false;
}

void trial_undo(struct engine *e, const char *why)
{
	struct trial *t = TAKE_PTR(e->trial);

	log_message(
		&e->log, LOG_NOTICE, NULL,
		"the trial of %s is undone: %s; policy generation %u is in force for all guests",
		t->policy->path ? t->policy->path : "a policy", why, e->generation);
	retry_guests(e);
	engine_turn(e);
	forget_picture(e, t->policy);
	trial_free(t);
}

struct policy *trial_take(struct engine *e)
{
	struct trial *t = TAKE_PTR(e->trial);
	struct policy *p = TAKE_PTR(t->policy);

	trial_free(t);
	return p;
}

void trial_drop(struct engine *e)
{
	trial_free(TAKE_PTR(e->trial));
}

void trial_classify(const struct engine *e, const struct guest *g, struct assignment *ret)
{
	const struct trial *t = e->trial;

	picture_classify(e->policy, t ? t->policy : NULL, t ? t->permille : 0, g, ret);
}

/* ---- pressure ---- */

void trial_tick(struct engine *e, const struct govern_output *out)
{
	struct trial *t = e->trial;

	for (int r = 0; t && r < RESOURCE_COUNT; r++) {
		bool pressed = out->resources[r].state != GOVERNOR_CALM;

		if (pressed && !t->pressed[r] && !t->why[0]) {
			/* Not here: those who gave us this tick still look at the picture. */
			snprintf(t->why, sizeof(t->why), "%s got pressed (%.2f)", resource_names[r],
				 out->resources[r].pressure);
			(void)sd_event_source_set_time(t->timer, 0);
		}
		t->pressed[r] = pressed;
	}
}

/* ---- view ---- */

json_t *trial_view(const struct engine *e)
{
	const struct trial *t = e->trial;
	uint64_t now_us = engine_now_us(e);
	size_t guests = 0;

	if (!t)
		return json_null();
	for (size_t i = 0; e->inventory && i < e->inventory->count; i++)
		guests += picture_on_trial(e->inventory->guests[i], t->permille);
	return json_pack("{s:o, s:f, s:I, s:o, s:f}", "policy", view_text(t->policy->path), "share",
			 t->permille / 1000.0, "guests", (json_int_t)guests, "until",
			 view_time_ms(t->until_ms), "left_s",
			 t->until_us > now_us ? (double)(t->until_us - now_us) / 1e6 : 0.0);
}
