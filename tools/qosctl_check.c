/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * qosctl_check - findings; and `check`, which reads policy files itself and needs no daemon.
 *
 * Checks against a host are the daemon's (reload, plan): a policy may be checked on any machine.
 */
#include <stdlib.h>
#include <string.h>

#include "qosd/core/diag.h"
#include "qosd/core/mem.h"
#include "qosd/core/policy.h"
#include "qosd/host/conf.h"
#include "tools/qosctl.h"

/* "FILE:LINE: severity: path: message; fix", parts that are absent left out. */
static void finding_format(const json_t *f, const char *file, char *buf, size_t size)
{
	const char *severity = json_string_value(json_at(f, "severity"));
	const char *path = json_string_value(json_at(f, "path"));
	const char *fix = json_string_value(json_at(f, "fix"));
	char place[512] = "";

	if (!file)
		file = json_string_value(json_at(f, "file"));
	if (file && json_number(f, "line") > 0)
		snprintf(place, sizeof(place), "%s:%.0f: ", file, json_number(f, "line"));
	else if (file)
		snprintf(place, sizeof(place), "%s: ", file);
	snprintf(buf, size, "%s%s%s%s%s%s%s%s", place,
		 severity && strcmp(severity, "error") != 0 ? severity : "",
		 severity && strcmp(severity, "error") != 0 ? ": " : "", path ? path : "",
		 path ? ": " : "", json_text(f, "message"), fix ? "; " : "", fix ? fix : "");
}

void findings_print(const json_t *findings, const char *file, FILE *out)
{
	const json_t *f;
	size_t i;

	json_array_foreach (findings, i, f) {
		char line[2048];

		finding_format(f, file, line, sizeof(line));
		fprintf(out, "%s\n", text_clean(line));
	}
}

void findings_forget_lines(const json_t *findings)
{
	json_t *f;
	size_t i;

	json_array_foreach (findings, i, f)
		json_object_set_new(f, "line", json_null());
}

bool findings_matter(const json_t *findings)
{
	const json_t *f;
	size_t i;

	json_array_foreach (findings, i, f)
		if (strcmp(json_text(f, "severity"), "info") != 0)
			return true;
	return false;
}

static json_t *finding_as_json(const struct diag *d)
{
	json_t *f = json_pack("{s:s*, s:s, s:s*, s:s, s:s*}", "file", d->file, "severity",
			      diag_severity_name(d->severity), "path", d->path, "message",
			      d->text ? d->text : "", "fix", d->fix);

	if (f && d->line)
		json_object_set_new(f, "line", json_integer(d->line));
	return f;
}

static json_t *findings_as_json(const struct diag_list *list)
{
	json_t *findings = json_array();

	for (size_t i = 0; i < list->count; i++)
		if (json_array_append_new(findings, finding_as_json(&list->items[i])) < 0)
			qosctl_out_of_memory();
	return findings;
}

char *policy_normal_form(const struct qosctl *ctl, const char *path)
{
	struct diag_list list = { 0 };
	struct policy *p = conf_load(path, NULL, &list);
	char *text = p ? policy_print(p) : NULL;
	json_t *answer;

	if (p && !text)
		qosctl_out_of_memory();
	if (!p) {
		answer = json_pack("{s:o}", "findings", findings_as_json(&list));
		qosctl_fail(EXIT_FAILED, "the proposed policy has errors; nothing is planned");
		findings_print(json_at(answer, "findings"), NULL, stderr);
		if (ctl->json)
			json_print(answer, false);
		json_decref(answer);
	}
	policy_free(p);
	diag_clear(&list);
	return text;
}

int verb_check(struct qosctl *ctl, int argc, char **argv)
{
	struct diag_list list = { 0 };
	json_t *all = json_object(), *findings;
	bool matter;

	for (int i = 0; i < argc; i++)
		policy_free(conf_load(argv[i], NULL, &list));
	diag_sort(&list);
	findings = findings_as_json(&list);
	if (ctl->json) {
		json_object_set(all, "findings", findings);
		json_print(all, false);
	} else if (list.count == 0) {
		printf("%s\n", argc == 1 ? "the policy is fine" : "the policies are fine");
	} else {
		findings_print(findings, NULL, stdout);
	}
	matter = findings_matter(findings) || list.errors > 0;
	json_decref(findings);
	json_decref(all);
	diag_clear(&list);
	return matter ? EXIT_FINDINGS : EXIT_DONE;
}
