/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * replay - the governor of today on samples of another day. It is the same function that the
 * daemon runs, so what is printed is what would have been done.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "qosd/core/govern_text.h"
#include "qosd/core/mem.h"
#include "qosd/daemon/record.h"

static const char *const event_names[] = {
	[GOVERNOR_NOTHING] = "",        [GOVERNOR_ONSET] = " onset",
	[GOVERNOR_DEEPER] = " deeper",  [GOVERNOR_RELAPSE] = " relapse",
	[GOVERNOR_FUTILE] = " no help", [GOVERNOR_BACK] = " giving back",
	[GOVERNOR_OVER] = " over",
};

struct replay {
	const struct policy *policy;
	struct govern *govern;
	struct govern_text text;
	uint64_t began_us;
	struct govern_resource last[RESOURCE_COUNT];
	struct govern_class classes[GOVERN_CLASSES_MAX];
	bool all;
	FILE *out;
};

static bool decided(const struct replay *r, const struct govern_output *o)
{
	for (size_t i = 0; i < RESOURCE_COUNT; i++)
		if (o->resources[i].event != GOVERNOR_NOTHING ||
		    o->resources[i].state != r->last[i].state ||
		    o->resources[i].depth != r->last[i].depth)
			return true;
	for (size_t i = 0; i < o->nclasses && i < GOVERN_CLASSES_MAX; i++)
		if (memcmp(o->classes[i].level, r->classes[i].level, sizeof(r->classes[i].level)) !=
		    0)
			return true;
	return false;
}

static void remember(struct replay *r, const struct govern_output *o)
{
	memcpy(r->last, o->resources, sizeof(r->last));
	for (size_t i = 0; i < o->nclasses && i < GOVERN_CLASSES_MAX; i++)
		r->classes[i] = o->classes[i];
}

/* "cpu p 2.41 depth 0.50 pressed deeper, victim 3, culprits 5 6" */
static void print_resource(FILE *out, enum resource r, const struct govern_resource *g)
{
	const char *before = ", culprits";

	if (g->pressure < 0)
		fprintf(out, "  %s p -", resource_names[r]);
	else
		fprintf(out, "  %s p %.2f", resource_names[r], g->pressure);
	fprintf(out, " depth %.2f %s%s", g->depth, governor_state_names[g->state],
		event_names[g->event]);
	if (g->victim)
		fprintf(out, ", victim %u", g->victim);
	for (size_t i = 0; i < ARRAY_SIZE(g->culprits); i++) {
		if (!g->culprits[i])
			continue;
		fprintf(out, "%s %u", before, g->culprits[i]);
		before = "";
	}
}

/* "  bronze cpu 500 net 750": those below 1000; "  levels full" when there are none. */
static void print_levels(const struct replay *r, const struct govern_output *o)
{
	bool any = false;

	for (size_t i = 0; i < o->nclasses && i < r->policy->nclasses; i++) {
		bool named = false;

		for (size_t x = 0; x < RESOURCE_COUNT; x++) {
			if (o->classes[i].level[x] >= 1000)
				continue;
			if (!named)
				fprintf(r->out, "  %s", r->policy->classes[i].name);
			named = any = true;
			fprintf(r->out, " %s %u%s", resource_names[x], o->classes[i].level[x],
				o->classes[i].manual[x] ? " by hand" : "");
		}
	}
	if (!any)
		fputs("  levels full", r->out);
}

static size_t count_capped(const struct govern_output *o, size_t nguests)
{
	size_t n = 0;

	for (size_t i = 0; i < nguests; i++) {
		const struct guest_caps *c = &o->caps[i];

		n += c->cpu_mcpu != THROTTLE_NONE || c->net_in_bps != THROTTLE_NONE ||
		     c->net_out_bps != THROTTLE_NONE || c->disk_iops != THROTTLE_NONE ||
		     c->disk_bytes_ps != THROTTLE_NONE || c->memory_bytes != THROTTLE_NONE ||
		     c->cpu_soft || c->freeze;
	}
	return n;
}

static void print_tick(const struct replay *r, const struct govern_input *in,
		       const struct govern_output *o)
{
	size_t capped = count_capped(o, in->nguests);

	fprintf(r->out, "%9.3f", (double)(in->now->at_us - r->began_us) / 1e6);
	for (int i = 0; i < RESOURCE_COUNT; i++)
		if (r->all || o->resources[i].state != GOVERNOR_CALM ||
		    o->resources[i].event != GOVERNOR_NOTHING || r->last[i].state != GOVERNOR_CALM)
			print_resource(r->out, (enum resource)i, &o->resources[i]);
	print_levels(r, o);
	if (capped)
		fprintf(r->out, "  %zu of %zu guests capped", capped, in->nguests);
	fputc('\n', r->out);
}

static int run_tick(struct replay *r)
{
	struct govern_input in = govern_text_input(&r->text, r->policy);
	struct govern_output o;

	if (!r->began_us)
		r->began_us = in.now->at_us;
	if (govern_tick(r->govern, &in, &o) < 0)
		return -ENOMEM;
	if (r->all || decided(r, &o))
		print_tick(r, &in, &o);
	remember(r, &o);
	return 0;
}

/* One line of the file without its end. 1: it is there, 0: no more, -EINVAL: too long, or torn. */
static int next_line(FILE *f, char line[GOVERN_TEXT_LINE_MAX + 2])
{
	size_t len;

	if (!fgets(line, GOVERN_TEXT_LINE_MAX + 2, f))
		return ferror(f) ? -EIO : 0;
	len = strlen(line);
	if (!len || line[len - 1] != '\n')
		return -EINVAL;
	line[len - 1] = '\0';
	return 1;
}

static int run_file(struct replay *r, FILE *f, struct qerr *err)
{
	char line[GOVERN_TEXT_LINE_MAX + 2];
	int x;

	while ((x = next_line(f, line)) > 0) {
		x = govern_text_line(&r->text, r->policy, line, err);
		if (x < 0)
			return x;
		if (x > 0 && run_tick(r) < 0)
			return qerr_set(err, -ENOMEM, "out of memory");
	}
	if (x < 0)
		return qerr_set(err, x, "line %u is %s", r->text.line + 1,
				x == -EIO ? "not readable" : "too long or torn");
	return 0;
}

int replay(const char *path, const struct policy *policy, bool all, FILE *out, struct qerr *err)
{
	struct replay r = { .policy = policy, .all = all, .out = out };
	FILE *f = fopen(path, "re");
	int x;

	if (!f)
		return qerr_set(err, -EIO, "cannot read %s: %s", path, strerror(errno));
	for (size_t i = 0; i < GOVERN_CLASSES_MAX * RESOURCE_COUNT; i++)
		r.classes[i / RESOURCE_COUNT].level[i % RESOURCE_COUNT] = 1000;
	r.govern = govern_new();
	x = r.govern ? run_file(&r, f, err) : qerr_set(err, -ENOMEM, "out of memory");
	if (x < 0)
		qerr_wrap(err, "%s", path);
	govern_text_done(&r.text);
	govern_free(r.govern);
	fclose(f);
	return x;
}
