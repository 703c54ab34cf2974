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

/* "; the use of web1 (silver), web2 (silver) rose" */
static void append_culprits(const struct episode_track *t, const struct episode_names *names,
			    char *buf, size_t size, size_t len)
{
	char name[NAME_SHOWN_MAX + CLASS_SHOWN_MAX + 4];
	bool any = false;

	for (size_t i = 0; i < EPISODE_NAMED; i++) {
		if (!name_guest(names, t->culprits[i], name, sizeof(name)))
			continue;
		len = append(buf, size, len, any ? ", " : "; the use of ");
		len = append(buf, size, len, name);
		any = true;
	}
	append(buf, size, len,
	       any ? " rose" : "; no guest's use rose, so it came from the host itself");
}

/* What was short, who suffered, whose use rose. */
static void explain(struct episode_track *t, const struct episode_names *names)
{
	char name[NAME_SHOWN_MAX + CLASS_SHOWN_MAX + 4];
	char *buf = t->now.why;
	size_t size = sizeof(t->now.why), len = 0;

	if (name_guest(names, t->victim, name, sizeof(name))) {
		len = append(buf, size, len, name);
		len = append(buf, size, len, " ");
		len = append(buf, size, len, suffered[t->now.resource].victim);
	} else {
		len = append(buf, size, len, suffered[t->now.resource].host);
	}
	append_culprits(t, names, buf, size, len);
}

/* The place of a suspect, else a free one, else that of the one named least. */
static struct episode_suspect *find_suspect(struct episode_track *t, uint32_t id)
{
	struct episode_suspect *least = &t->suspects[0];

	for (size_t i = 0; i < EPISODE_SUSPECTS; i++) {
		struct episode_suspect *s = &t->suspects[i];

		if (s->id == id)
			return s;
		if (s->weight < least->weight)
			least = s;
	}
	return least;
}

/* The first of a tick counts most. */
static void accuse(struct episode_track *t, const struct govern_resource *f)
{
	uint32_t weight = ARRAY_SIZE(f->culprits);

	for (size_t i = 0; i < ARRAY_SIZE(f->culprits); i++, weight--) {
		struct episode_suspect *s;

		if (!f->culprits[i])
			continue;
		s = find_suspect(t, f->culprits[i]);
		s->id = f->culprits[i];
		s->weight += weight;
	}
}

static const struct episode_suspect *worst_but(const struct episode_track *t, const uint32_t *taken,
					       size_t ntaken)
{
	const struct episode_suspect *worst = NULL;

	for (size_t i = 0; i < EPISODE_SUSPECTS; i++) {
		const struct episode_suspect *s = &t->suspects[i];
		bool seen = !s->id;

		for (size_t k = 0; k < ntaken; k++)
			seen |= taken[k] == s->id;
		if (!seen && (!worst || s->weight > worst->weight))
			worst = s;
	}
	return worst;
}

/* Name those who were accused most. True when they are others than before. */
static bool name_culprits(struct episode_track *t)
{
	uint32_t named[EPISODE_NAMED] = { 0 };
	bool same;

	for (size_t i = 0; i < EPISODE_NAMED; i++) {
		const struct episode_suspect *s = worst_but(t, named, i);

		named[i] = s ? s->id : 0;
	}
	same = memcmp(named, t->culprits, sizeof(named)) == 0;
	memcpy(t->culprits, named, sizeof(named));
	return !same;
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
	memset(t->suspects, 0, sizeof(t->suspects));
	memset(t->culprits, 0, sizeof(t->culprits));
	accuse(t, tick->found);
	(void)name_culprits(t);
	t->victim = tick->found->victim;
	explain(t, tick->names);
}

/*
 * Who suffers and whose use rises, as long as it is pressed. True when somebody is named where
 * nobody was: worth telling; who exactly it was is told at the end.
 */
static bool learn(struct episode_track *t, const struct episode_tick *tick)
{
	const struct govern_resource *f = tick->found;
	bool no_victim = !t->victim, no_culprit = !t->culprits[0], others;

	if (t->now.interrupted || f->state != GOVERNOR_PRESSED)
		return false;
	accuse(t, f);
	others = name_culprits(t);
	if (no_victim)
		t->victim = f->victim;
	if (others || (no_victim && t->victim))
		explain(t, tick->names);
	return (no_victim && t->victim) || (no_culprit && t->culprits[0]);
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
	if (t->now.ended_ms < t->now.began_ms) /* the wall clock was set back */
		t->now.ended_ms = t->now.began_ms;
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
