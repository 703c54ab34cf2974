/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * glob - one pass with a single place to go back to: the latest '*'. An earlier one never needs to
 * take more, for what follows it has matched already.
 */
#include "qosd/core/glob.h"

#include <stddef.h>

static unsigned char folded(char c, bool fold)
{
	unsigned char u = (unsigned char)c;

	return fold && u >= 'A' && u <= 'Z' ? (unsigned char)(u + 32) : u;
}

/* The ']' that ends the bracket whose inside begins at p; NULL if there is none. */
static const char *bracket_end(const char *p)
{
	if (*p == '!' || *p == '^')
		p++;
	if (*p == ']') /* the first one is a member */
		p++;
	for (; *p && *p != ']'; p++)
		if (*p == '\\' && p[1])
			p++;
	return *p ? p : NULL;
}

static char member(const char **p)
{
	if (**p == '\\')
		(*p)++;
	return *(*p)++;
}

/* Is c in the bracket [p, end)? */
static bool in_bracket(const char *p, const char *end, char c, bool fold)
{
	bool negated = *p == '!' || *p == '^', found = false;
	unsigned char u = folded(c, fold);

	if (negated)
		p++;
	while (p < end) {
		unsigned char first = folded(member(&p), fold), last = first;

		if (*p == '-' && p + 1 < end) {
			p++;
			last = folded(member(&p), fold);
		}
		found |= u >= first && u <= last;
	}
	return found != negated;
}

/* Match the one pattern element at p (not a '*') with c; the place behind it, or NULL. */
static const char *match_one(const char *p, char c, bool fold)
{
	if (*p == '[') {
		const char *end = bracket_end(p + 1);

		if (end)
			return in_bracket(p + 1, end, c, fold) ? end + 1 : NULL;
	} else if (*p == '?') {
		return p + 1;
	} else if (*p == '\\' && p[1]) {
		p++;
	}
	return *p && folded(*p, fold) == folded(c, fold) ? p + 1 : NULL;
}

bool glob_match(const char *pattern, const char *text, bool fold)
{
	const char *star = NULL, *star_text = NULL;

	while (*text) {
		const char *next;

		if (*pattern == '*') {
			star = ++pattern;
			star_text = text;
			continue;
		}
		next = match_one(pattern, *text, fold);
		if (next) {
			pattern = next;
			text++;
		} else if (star) {
			pattern = star;
			text = ++star_text;
		} else {
			return false;
		}
	}
	while (*pattern == '*')
		pattern++;
	return !*pattern;
}
