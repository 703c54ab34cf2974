/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * episode_text - the line of an episode in its file, written and read strictly.
 *
 * The keys are always there and always in this order, so that the reader needs no more of JSON than
 * numbers, a few words and one string.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "qosd/core/episode.h"
#include "qosd/core/mem.h"

const char *const episode_effect_names[] = {
	[EPISODE_EFFECT_UNKNOWN] = "unknown",
	[EPISODE_HELPED] = "helped",
	[EPISODE_NO_HELP] = "no help",
};

/* ---- writing ---- */

static void escape(const char *text, char *buf, size_t size)
{
	size_t len = 0;

	for (; *text && len + 3 <= size; text++) {
		if (*text == '"' || *text == '\\')
			buf[len++] = '\\';
		buf[len++] = (unsigned char)*text < 0x20 || *text == 0x7f ? '?' : *text;
	}
	buf[len] = '\0';
}

static const char *number_or_null(uint64_t value, uint64_t null, char buf[24])
{
	if (value == null)
		return "null";
	snprintf(buf, 24, "%llu", (unsigned long long)value);
	return buf;
}

char *episode_format_line(const struct episode *e, char *buf, size_t size)
{
	char why[2 * EPISODE_WHY_MAX + 4], ended[24], reaction[24];

	escape(e->why, why, sizeof(why));
	snprintf(buf, size,
		 "{\"id\":%llu,\"resource\":\"%s\",\"began_ms\":%llu,\"ended_ms\":%s,"
		 "\"peak_permille\":%llu,\"depth_permille\":%llu,\"reaction_ms\":%s,"
		 "\"actions\":%llu,\"relapses\":%u,\"effect\":\"%s\",\"interrupted\":%s,"
		 "\"why\":\"%s\"}",
		 (unsigned long long)e->id, resource_names[e->resource],
		 (unsigned long long)e->began_ms, number_or_null(e->ended_ms, 0, ended),
		 (unsigned long long)e->peak_permille, (unsigned long long)e->depth_permille,
		 number_or_null(e->reaction_ms, EPISODE_UNKNOWN, reaction),
		 (unsigned long long)e->actions, e->relapses, episode_effect_names[e->effect],
		 e->interrupted ? "true" : "false", why);
	return buf;
}

/* ---- reading: each step moves `at` on, or ends all at `bad` ---- */

struct reader {
	const char *at, *end;
	bool bad;
};

static bool take(struct reader *r, const char *literal)
{
	size_t len = strlen(literal);

	if (r->bad || (size_t)(r->end - r->at) < len || memcmp(r->at, literal, len) != 0)
		return false;
	r->at += len;
	return true;
}

static void need(struct reader *r, const char *literal)
{
	if (!take(r, literal))
		r->bad = true;
}

static uint64_t number(struct reader *r)
{
	const char *first = r->at;
	uint64_t value = 0;

	while (!r->bad && r->at < r->end && *r->at >= '0' && *r->at <= '9' && r->at - first < 19)
		value = value * 10 + (uint64_t)(*r->at++ - '0');
	if (r->at == first || value > INT64_MAX || (*first == '0' && r->at - first > 1))
		r->bad = true;
	return value;
}

static uint64_t number_or(struct reader *r, uint64_t null)
{
	return take(r, "null") ? null : number(r);
}

static uint32_t small_number(struct reader *r)
{
	uint64_t value = number(r);

	if (value > UINT32_MAX)
		r->bad = true;
	return (uint32_t)value;
}

/* One of the words, with the quote that ends it. */
static uint32_t word(struct reader *r, const char *const *words, size_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		struct reader before = *r;

		if (take(r, words[i]) && take(r, "\""))
			return i;
		*r = before;
	}
	r->bad = true;
	return 0;
}

static bool flag(struct reader *r)
{
	if (take(r, "true"))
		return true;
	need(r, "false");
	return false;
}

/* Up to and with the quote that ends it. */
static void text(struct reader *r, char *buf, size_t size)
{
	size_t len = 0;

	while (!r->bad && r->at < r->end && *r->at != '"') {
		char c = *r->at++;

		if (c == '\\') {
			c = r->at < r->end ? *r->at++ : '\0';
			r->bad |= c != '"' && c != '\\';
		}
		r->bad |= (unsigned char)c < 0x20 || c == 0x7f || len + 1 >= size;
		if (!r->bad)
			buf[len++] = c;
	}
	buf[len] = '\0';
	need(r, "\"");
}

static void read_fields(struct reader *r, struct episode *e)
{
	need(r, "{\"id\":");
	e->id = number(r);
	need(r, ",\"resource\":\"");
	e->resource = word(r, resource_names, RESOURCE_COUNT);
	need(r, ",\"began_ms\":");
	e->began_ms = number(r);
	need(r, ",\"ended_ms\":");
	e->ended_ms = number_or(r, 0);
	need(r, ",\"peak_permille\":");
	e->peak_permille = number(r);
	need(r, ",\"depth_permille\":");
	e->depth_permille = number(r);
	need(r, ",\"reaction_ms\":");
	e->reaction_ms = number_or(r, EPISODE_UNKNOWN);
	need(r, ",\"actions\":");
	e->actions = number(r);
	need(r, ",\"relapses\":");
	e->relapses = small_number(r);
	need(r, ",\"effect\":\"");
	e->effect = word(r, episode_effect_names, ARRAY_SIZE(episode_effect_names));
	need(r, ",\"interrupted\":");
	e->interrupted = flag(r);
	need(r, ",\"why\":\"");
	text(r, e->why, sizeof(e->why));
	need(r, "}");
}

int episode_parse_line(const char *line, size_t len, struct episode *ret)
{
	struct reader r = { .at = line, .end = line + len };
	struct episode e = { 0 };

	if (len >= EPISODE_LINE_MAX)
		return -EINVAL;
	read_fields(&r, &e);
	if (r.bad || r.at != r.end || !e.id || e.id > INT64_MAX / 2)
		return -EINVAL;
	*ret = e;
	return 0;
}
