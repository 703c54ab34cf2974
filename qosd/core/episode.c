/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "qosd/core/episode.h"

#include <stdio.h>
#include <string.h>

#include "qosd/core/mem.h"

#define NAME_SHOWN_MAX  64 /* bytes of a guest's name, its end included */
#define CLASS_SHOWN_MAX 32

/* ---- who, in words ---- */

static const struct {
	const char *victim; /* after its name */
	const char *host;
} suffered[RESOURCE_COUNT] = {
	[RESOURCE_CPU] = { "waited for CPU", "the host's CPUs were short" },
	[RESOURCE_MEMORY] = { "stalled on memory", "the host was short of memory" },
	[RESOURCE_NET] = { "was short of bandwidth", "the host's network was full" },
	[RESOURCE_DISK] = { "waited for its disks", "the host's disks were slow" },
};

/* At most size - 1 bytes of `text` without a broken character at the end. Names come from outside:
 * control characters become '?'. */
static void copy_name(const char *text, char *buf, size_t size)
{
	size_t len = strlen(text);

	if (len >= size) {
		len = size - 1;
		while (len && ((unsigned char)text[len] & 0xc0) == 0x80)
			len--;
	}
	for (size_t i = 0; i < len; i++)
		buf[i] = (unsigned char)text[i] < 0x20 || text[i] == 0x7f ? '?' : text[i];
	buf[len] = '\0';
}

/* "web1 (silver)"; false: nobody knows the guest. */
static bool name_guest(const struct episode_names *names, uint32_t id, char *buf, size_t size)
{
	char name[NAME_SHOWN_MAX], qclass[CLASS_SHOWN_MAX];
	const char *full = NULL, *full_class = NULL;

	if (!id || !names || !names->find(names->user, id, &full, &full_class) || !full)
		return false;
	copy_name(full, name, sizeof(name));
	copy_name(full_class ? full_class : "none", qclass, sizeof(qclass));
	snprintf(buf, size, "%s (%s)", name, qclass);
	return true;
}

static size_t append(char *buf, size_t size, size_t len, const char *text)
{
	if (len < size)
		len += (size_t)snprintf(buf + len, size - len, "%s", text);
	return len;
}

/* "; the use of web1 (silver), web2 (silver) rose". Whether anybody could be named. */
static bool append_culprits(const struct episode_tick *tick, char *buf, size_t size, size_t len)
{
	const struct govern_resource *f = tick->found;
	char name[NAME_SHOWN_MAX + CLASS_SHOWN_MAX + 4];
	bool any = false;

	for (size_t i = 0; i < ARRAY_SIZE(f->culprits); i++) {
		if (!name_guest(tick->names, f->culprits[i], name, sizeof(name)))
			continue;
		len = append(buf, size, len, any ? ", " : "; the use of ");
		len = append(buf, size, len, name);
		any = true;
	}
	append(buf, size, len,
	       any ? " rose" : "; no guest's use rose, so it came from the host itself");
	return any;
}

/* What was short, who suffered, whose use rose. */
static void explain(struct episode_track *t, const struct episode_tick *tick)
{
	char name[NAME_SHOWN_MAX + CLASS_SHOWN_MAX + 4];
	char *buf = t->now.why;
	size_t size = sizeof(t->now.why), len = 0;

	t->has_victim = name_guest(tick->names, tick->found->victim, name, sizeof(name));
	if (t->has_victim) {
		len = append(buf, size, len, name);
		len = append(buf, size, len, " ");
		len = append(buf, size, len, suffered[t->now.resource].victim);
	} else {
		len = append(buf, size, len, suffered[t->now.resource].host);
	}
	t->has_culprits = append_culprits(tick, buf, size, len);
}

char *episode_cause(const struct episode *e, char *buf, size_t size)
{
	snprintf(buf, size, "%s%s%s", e->why,
		 e->effect == EPISODE_NO_HELP ? "; throttling did not help, the cause is elsewhere"
					      : "",
		 e->interrupted ? "; qosd was started anew meanwhile" : "");
	return buf;
}

/* ---- one tick ---- */

static uint64_t permille(double ratio)
{
	if (!(ratio > 0))
		return 0;
	return ratio < 1e12 ? (uint64_t)(ratio * 1000 + 0.5) : (uint64_t)1000000000000000;
}

static void begin(struct episode_track *t, enum resource r, const struct episode_tick *tick,
		  uint64_t id)
{
	uint64_t onset_us = t->over_since_us ? t->over_since_us : tick->at_us;

	if (tick->trigger_us && tick->trigger_us < onset_us &&
	    onset_us - tick->trigger_us <= EPISODE_TRIGGER_US)
		onset_us = tick->trigger_us;
	t->now = (struct episode){ .id = id, .resource = r, .reaction_ms = EPISODE_UNKNOWN };
	t->onset_us = onset_us;
	t->now.began_ms = tick->wall_ms - (tick->at_us - onset_us) / 1000;
	explain(t, tick);
}

/* Who was not known at the onset may be so now. True when the sentence says more. */
static bool learn(struct episode_track *t, const struct episode_tick *tick)
{
	const struct govern_resource *f = tick->found;
	bool victim = t->has_victim, culprits = t->has_culprits;

	if (t->now.interrupted || f->state != GOVERNOR_PRESSED)
		return false;
	if ((victim || !f->victim) && (culprits || !f->culprits[0]))
		return false;
	if ((victim && !f->victim) || (culprits && !f->culprits[0]))
		return false; /* it would say less about the other */
	explain(t, tick);
	return t->has_victim != victim || t->has_culprits != culprits;
}

/* True when the effect is newly known. */
static bool judge(struct episode *e, const struct govern_resource *f)
{
	if (f->event == GOVERNOR_FUTILE) {
		e->effect = EPISODE_NO_HELP;
		return true;
	}
	if (f->event == GOVERNOR_DEEPER || f->event == GOVERNOR_RELAPSE) {
		e->effect = EPISODE_EFFECT_UNKNOWN; /* it tries again */
		return false;
	}
	if (e->effect == EPISODE_EFFECT_UNKNOWN && e->actions && f->depth > 0 && f->pressure >= 0 &&
	    f->pressure < 1.0) {
		e->effect = EPISODE_HELPED;
		return true;
	}
	return false;
}

static void note_extremes(struct episode *e, const struct govern_resource *f)
{
	if (permille(f->pressure) > e->peak_permille)
		e->peak_permille = permille(f->pressure);
	if (permille(f->depth) > e->depth_permille)
		e->depth_permille = permille(f->depth);
}

static enum episode_news step_calm(struct episode_track *t, const struct episode_tick *tick)
{
	if (!t->calm_since_us) {
		t->calm_since_us = tick->at_us;
		t->calm_since_ms = tick->wall_ms;
	}
	if (tick->at_us - t->calm_since_us < EPISODE_APART_US)
		return EPISODE_SAME;
	t->now.ended_ms = t->calm_since_ms;
	t->calm_since_us = 0;
	return EPISODE_ENDED;
}

static enum episode_news step_on(struct episode_track *t, const struct episode_tick *tick)
{
	bool more;

	if (t->calm_since_us || tick->found->event == GOVERNOR_RELAPSE)
		t->now.relapses++;
	t->calm_since_us = 0;
	note_extremes(&t->now, tick->found);
	more = judge(&t->now, tick->found);
	more |= learn(t, tick);
	return more ? EPISODE_CHANGED : EPISODE_SAME;
}

static void watch(struct episode_track *t, const struct episode_tick *tick)
{
	if (!(tick->found->pressure > 1.0))
		t->over_since_us = 0;
	else if (!t->over_since_us)
		t->over_since_us = tick->at_us;
	t->moved = tick->found->depth != t->depth;
	t->depth = tick->found->depth;
}

enum episode_news episode_step(struct episode_track *t, enum resource r,
			       const struct episode_tick *tick, uint64_t next_id)
{
	bool calm = tick->found->state == GOVERNOR_CALM;

	watch(t, tick);
	if (t->now.ended_ms)
		t->now = (struct episode){ 0 };
	if (!t->now.id && calm)
		return EPISODE_SAME;
	if (!t->now.id) {
		begin(t, r, tick, next_id);
		note_extremes(&t->now, tick->found);
		return EPISODE_BEGAN;
	}
	return calm ? step_calm(t, tick) : step_on(t, tick);
}

bool episode_acted(struct episode_track *t, uint64_t writes, uint64_t now_us)
{
	if (!t->now.id || t->now.ended_ms || !writes)
		return false;
	t->now.actions += writes;
	if (!t->onset_us || t->now.reaction_ms != EPISODE_UNKNOWN || !(t->depth > 0))
		return false;
	t->now.reaction_ms = (now_us - t->onset_us) / 1000;
	return true;
}

void episode_resume(struct episode_track *t, const struct episode *e)
{
	*t = (struct episode_track){ .now = *e };
	t->now.interrupted = true;
}
