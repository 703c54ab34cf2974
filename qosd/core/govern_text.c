/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * govern_text - the reader of records.
 */
#include "qosd/core/govern_text.h"

#include <errno.h>
#include <string.h>

#include "qosd/core/govern_text_private.h"
#include "qosd/core/mem.h"

#define MANUAL_MAX 256

/* Lines come in this order within a turn. */
enum section { NOTHING, BETWEEN, SAMPLE, USE, GUESTS, MANUAL };

struct words { /* what is left of a line */
	const char *at;
};

/* The next word, which must be there, into buf. */
static bool take_word(struct words *w, char *buf, size_t size)
{
	size_t len = strcspn(w->at, " ");

	if (len == 0 || len >= size)
		return false;
	memcpy(buf, w->at, len);
	buf[len] = '\0';
	w->at += len;
	if (*w->at == ' ' && *++w->at == '\0')
		return false;
	return true;
}

static bool take_number(struct words *w, uint64_t *ret)
{
	char buf[24];
	uint64_t n = 0;

	if (!take_word(w, buf, sizeof(buf)))
		return false;
	if (strcmp(buf, "-") == 0) {
		*ret = SAMPLE_UNKNOWN;
		return true;
	}
	for (const char *p = buf; *p; p++) {
		uint64_t digit = (uint64_t)(*p - '0');

		if (*p < '0' || *p > '9' || n > (UINT64_MAX - 1 - digit) / 10)
			return false;
		n = 10 * n + digit;
	}
	*ret = n;
	return buf[0] != '0' || !buf[1];
}

static bool take_known(struct words *w, uint64_t max, uint64_t *ret)
{
	return take_number(w, ret) && *ret <= max && *ret != SAMPLE_UNKNOWN;
}

static bool take_fields(struct words *w, const struct text_field *fields, size_t count, void *base)
{
	for (size_t i = 0; i < count; i++) {
		uint64_t value;

		if (!take_number(w, &value) || !text_field_set(&fields[i], base, value))
			return false;
	}
	return true;
}

/* The takers: 0, -EINVAL (the caller says which line), -ENOMEM. */

static int take_header(struct govern_text *t, const struct policy *policy, struct words *w)
{
	uint64_t version;

	(void)t;
	(void)policy;
	return take_known(w, 1, &version) && version == 1 ? 0 : -EINVAL;
}

static int take_sample(struct govern_text *t, const struct policy *policy, struct words *w)
{
	uint64_t last_us = t->samples[t->now].at_us, at_us;
	struct sample *s;

	(void)policy;
	if (!take_known(w, UINT64_MAX, &at_us) || (t->turns && at_us <= last_us))
		return -EINVAL;
	t->now = 1 - t->now;
	s = &t->samples[t->now];
	sample_reset(s, at_us);
	t->nmanual = 0;
	t->settling = false;
	for (size_t r = 0; r < RESOURCE_COUNT; r++)
		if (!take_number(w, &s->psi_some_us[r]))
			return -EINVAL;
	return take_number(w, &s->memory_total_bytes) &&
			       take_number(w, &s->memory_available_bytes) &&
			       take_number(w, &s->swap_free_bytes) &&
			       take_known(w, UINT64_MAX, &t->cpu_pool_mcpu)
		       ? 0
		       : -EINVAL;
}

static int take_settling(struct govern_text *t, const struct policy *policy, struct words *w)
{
	(void)policy;
	(void)w;
	t->settling = true;
	return 0;
}

static int take_uplink(struct govern_text *t, const struct policy *policy, struct words *w)
{
	struct sample *s = &t->samples[t->now];
	struct sample_uplink *u;

	(void)policy;
	if (s->nuplinks == SAMPLE_UPLINKS_MAX)
		return -EINVAL;
	u = &s->uplinks[s->nuplinks++];
	return take_number(w, &u->rate_bps) && take_number(w, &u->in_bytes) &&
			       take_number(w, &u->out_bytes)
		       ? 0
		       : -EINVAL;
}

static int take_use(struct govern_text *t, const struct policy *policy, struct words *w)
{
	struct sample *s = &t->samples[t->now];
	struct sample_guest *g;
	uint64_t id;

	(void)policy;
	if (!take_known(w, UINT32_MAX, &id) || s->nguests == GOVERN_TEXT_GUESTS_MAX ||
	    (s->nguests && s->guests[s->nguests - 1].id >= id))
		return -EINVAL;
	g = sample_add(s, (uint32_t)id);
	if (!g)
		return -ENOMEM;
	return take_fields(w, sample_text_fields, nsample_text_fields, g) ? 0 : -EINVAL;
}

static int take_guests(struct govern_text *t, const struct policy *policy, struct words *w)
{
	(void)policy;
	(void)w;
	t->nguests = 0;
	return 0;
}

static int take_guest(struct govern_text *t, const struct policy *policy, struct words *w)
{
	char name[POLICY_NAME_MAX];
	struct govern_guest g = { 0 };
	uint64_t id;

	if (!take_known(w, UINT32_MAX, &id) || t->nguests == GOVERN_TEXT_GUESTS_MAX ||
	    (t->nguests && t->guests[t->nguests - 1].id >= id) || !take_word(w, name, sizeof(name)))
		return -EINVAL;
	g.id = (uint32_t)id;
	g.qclass = policy_class(policy, name);
	if (!g.qclass || !take_fields(w, guest_text_fields, nguest_text_fields, &g))
		return -EINVAL;
	if (mem_grow(&t->guests, &t->guests_capacity, t->nguests + 1, sizeof(g)) < 0)
		return -ENOMEM;
	t->guests[t->nguests++] = g;
	return 0;
}

static int take_manual(struct govern_text *t, const struct policy *policy, struct words *w)
{
	struct govern_manual m = { 0 };
	uint64_t resource, level;

	(void)policy;
	if (t->nmanual == MANUAL_MAX || !take_word(w, m.class_name, sizeof(m.class_name)) ||
	    !take_known(w, RESOURCE_COUNT - 1, &resource) || !take_known(w, 1000, &level) ||
	    !take_known(w, UINT64_MAX, &m.until_us))
		return -EINVAL;
	m.resource = (uint32_t)resource;
	m.level_permille = (uint32_t)level;
	if (mem_grow(&t->manual, &t->manual_capacity, t->nmanual + 1, sizeof(m)) < 0)
		return -ENOMEM;
	t->manual[t->nmanual++] = m;
	return 0;
}

static int take_end(struct govern_text *t, const struct policy *policy, struct words *w)
{
	(void)policy;
	(void)w;
	t->turns++;
	return 1;
}

static const struct {
	const char *word;
	int (*take)(struct govern_text *t, const struct policy *policy, struct words *w);
	enum section first, last; /* where it may stand */
	enum section then;
} lines[] = {
	{ "qosd-record", take_header, NOTHING, NOTHING, BETWEEN },
	{ "sample", take_sample, BETWEEN, BETWEEN, SAMPLE },
	{ "settling", take_settling, SAMPLE, SAMPLE, SAMPLE },
	{ "uplink", take_uplink, SAMPLE, SAMPLE, SAMPLE },
	{ "use", take_use, SAMPLE, USE, USE },
	{ "guests", take_guests, SAMPLE, USE, GUESTS },
	{ "guest", take_guest, GUESTS, GUESTS, GUESTS },
	{ "manual", take_manual, SAMPLE, MANUAL, MANUAL },
	{ "end", take_end, SAMPLE, MANUAL, BETWEEN },
};

static int take_line(struct govern_text *t, const struct policy *policy, const char *line)
{
	struct words w = { .at = line };
	char word[16];

	if (!take_word(&w, word, sizeof(word)))
		return -EINVAL;
	for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
		int r;

		if (strcmp(word, lines[i].word) != 0)
			continue;
		if (t->section < lines[i].first || t->section > lines[i].last)
			return -EINVAL;
		r = lines[i].take(t, policy, &w);
		if (r >= 0 && *w.at)
			return -EINVAL;
		t->section = lines[i].then;
		return r;
	}
	return -EINVAL;
}

int govern_text_line(struct govern_text *t, const struct policy *policy, const char *line,
		     struct qerr *err)
{
	int r;

	t->line++;
	if (line[0] == '#' && strnlen(line, GOVERN_TEXT_LINE_MAX + 1) <= GOVERN_TEXT_LINE_MAX)
		return 0;
	if (strnlen(line, GOVERN_TEXT_LINE_MAX + 1) > GOVERN_TEXT_LINE_MAX)
		return qerr_set(err, -EINVAL, "line %u is too long", t->line);
	r = take_line(t, policy, line);
	if (r == -ENOMEM)
		return qerr_set(err, r, "out of memory at line %u", t->line);
	if (r < 0)
		return qerr_set(err, r,
				"line %u is damaged, out of place, or of another policy: %.60s",
				t->line, line);
	return r;
}

struct govern_input govern_text_input(const struct govern_text *t, const struct policy *policy)
{
	return (struct govern_input){ .policy = policy,
				      .now = &t->samples[t->now],
				      .before = t->turns > 1 ? &t->samples[1 - t->now] : NULL,
				      .guests = t->guests,
				      .nguests = t->nguests,
				      .manual = t->manual,
				      .nmanual = t->nmanual,
				      .cpu_pool_mcpu = t->cpu_pool_mcpu,
				      .settling = t->settling };
}

void govern_text_done(struct govern_text *t)
{
	sample_done(&t->samples[0]);
	sample_done(&t->samples[1]);
	free(t->guests);
	free(t->manual);
	memset(t, 0, sizeof(*t));
}
