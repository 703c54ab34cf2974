/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fuzz_record - any text as a recorded run: what is taken must print to the same turn again, and a
 * tick made of it must keep its promises (depths on the ladder, caps not below floors).
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "qosd/core/govern_text.h"
#include "qosd/core/mem.h"
#include "t/unit/make.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void print_again(const struct govern_input *in)
{
	char *first = NULL, *second = NULL;
	struct govern_text t = { 0 };
	char *rest, *line;

	if (govern_text_print(in, true, &first) < 0)
		return;
	rest = must(strdup(first));
	govern_text_line(&t, in->policy, GOVERN_TEXT_HEADER, NULL);
	for (char *at = rest; (line = strsep(&at, "\n")) && *line;)
		if (govern_text_line(&t, in->policy, line, NULL) < 0)
			abort();
	struct govern_input again = govern_text_input(&t, in->policy);

	if (govern_text_print(&again, true, &second) < 0 || strcmp(first, second) != 0)
		abort();
	free(rest);
	free(first);
	free(second);
	govern_text_done(&t);
}

static void decide(struct govern *g, const struct govern_input *in)
{
	struct govern_output out;

	if (govern_tick(g, in, &out) < 0)
		return;
	for (size_t r = 0; r < RESOURCE_COUNT; r++)
		if (!(out.resources[r].depth >= 0 && out.resources[r].depth <= 3))
			abort();
	for (size_t i = 0; i < in->nguests; i++)
		if (out.caps[i].cpu_mcpu < in->guests[i].cpu_floor_mcpu ||
		    (in->guests[i].rank == 0 && out.caps[i].cpu_mcpu != THROTTLE_NONE))
			abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	CLEANUP_FREE char *text = strndup((const char *)data, size);
	struct policy *p = make_policy();
	struct govern *g = govern_new();
	struct govern_text t = { 0 };
	char *line;
	int r = 0;

	for (char *at = text; g && at && r >= 0 && (line = strsep(&at, "\n"));) {
		r = govern_text_line(&t, p, line, NULL);
		if (r == 1) {
			struct govern_input in = govern_text_input(&t, p);

			print_again(&in);
			decide(g, &in);
		}
	}
	govern_text_done(&t);
	govern_free(g);
	policy_free(p);
	return 0;
}
