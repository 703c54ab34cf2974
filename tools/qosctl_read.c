/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * qosctl_read - verbs that show the host and its policy.
 *
 * Each asks once and prints either the answer as it came or a text made from it. Members that are
 * absent print as "-", so that a newer or older daemon is still readable.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "qosd/core/mem.h"
#include "tools/qosctl.h"

#define PLAN_FILE_MAX ((size_t)1 << 20)

static const char *const resources[] = { "cpu", "memory", "net", "disk" };

static void print_field(const char *name, const char *text)
{
	printf("%-9s ", name);
	text_print(text, false, PLAIN);
	putchar('\n');
}

/* ---- status ---- */

static enum colour state_colour(const char *state)
{
	if (strcmp(state, "calm") == 0)
		return GREEN;
	if (strcmp(state, "pressed") == 0)
		return RED;
	return strcmp(state, "-") == 0 ? PLAIN : YELLOW;
}

const char *const pressure_table_headers[] = { "RESOURCE", ">PRESSURE", ">DEPTH", "STATE", NULL };

void pressure_table_add_all(struct table *t, const json_t *status)
{
	for (size_t i = 0; i < ARRAY_SIZE(resources); i++) {
		const json_t *p = json_at(json_at(status, "pressure"), resources[i]);
		const char *state = json_text(p, "state");

		table_add(t, PLAIN, "%s", resources[i]);
		if (json_at(p, "value"))
			table_add(t, PLAIN, "%.2f", json_number(p, "value"));
		else
			table_add(t, PLAIN, "-");
		if (json_at(p, "depth"))
			table_add(t, PLAIN, "%.2f", json_number(p, "depth"));
		else
			table_add(t, PLAIN, "-");
		table_add(t, state_colour(state), "%s", state);
	}
}

static void add_level(struct table *t, const json_t *class, const char *resource)
{
	const json_t *level = json_at(json_at(class, "level"), resource);
	char share[HUMAN_MAX];

	if (!level)
		table_add(t, PLAIN, "-");
	else
		table_add(t, json_number_value(level) < 1000 ? YELLOW : PLAIN, "%s",
			  human_share(json_number_value(level) / 1000, share));
}

void class_table_add_levels(struct table *t, const json_t *class)
{
	for (size_t r = 0; r < ARRAY_SIZE(resources); r++)
		add_level(t, class, resources[r]);
}

static void print_classes(const json_t *classes, bool colour)
{
	static const char *const headers[] = { "CLASS",   ">RANK", ">GUESTS", ">CPU",
					       ">MEMORY", ">NET",  ">DISK",   NULL };
	struct table *t = table_new(headers);
	const json_t *class;
	size_t i;

	json_array_foreach (classes, i, class) {
		table_add(t, PLAIN, "%s", json_text(class, "name"));
		table_add(t, PLAIN, "%.0f", json_number(class, "rank"));
		table_add(t, PLAIN, "%.0f", json_number(class, "guests"));
		class_table_add_levels(t, class);
	}
	table_print(t, colour, 0, 0);
}

static void print_host(const json_t *host)
{
	char all[HUMAN_MAX], reserved[HUMAN_MAX], left[HUMAN_MAX], text[512];

	snprintf(text, sizeof(text), "%s: housekeeping %s, dedicated %s, shared %s",
		 json_text(host, "cpus"), json_text(host, "housekeeping_cpus"),
		 json_text(host, "dedicated_cpus"), json_text(host, "shared_cpus"));
	print_field("cpus", text);
	/* `reservable` is all that may be promised; what is left of it is what an operator asks
	 * for. */
	snprintf(text, sizeof(text), "%s: %s reserved of %s that may be",
		 human_json(json_at(host, "memory_bytes"), human_bytes, true, all),
		 human_json(json_at(host, "memory_reserved_bytes"), human_bytes, false, reserved),
		 human_json(json_at(host, "memory_reservable_bytes"), human_bytes, true, left));
	print_field("memory", text);
}

/* What should not be, or not for long. */
static void print_conditions(const json_t *s, bool colour)
{
	if (json_at(s, "trouble")) {
		printf("%-9s ", "trouble");
		text_print(json_text(s, "trouble"), colour, RED);
		putchar('\n');
	}
	if (json_is_true(json_at(s, "releasing")))
		print_field("releasing", "values of before qosd are being given back");
}

static void print_status(const json_t *s, bool colour)
{
	const char *libvirt = json_text(s, "libvirt");
	bool connected = strcmp(libvirt, "connected") == 0;
	double degraded = json_number(s, "degraded");
	char up[HUMAN_MAX], text[512];
	struct table *pressure;

	snprintf(text, sizeof(text), "%s, %s, up %s", json_text(s, "version"), json_text(s, "mode"),
		 human_seconds(json_number(s, "uptime_s"), up));
	print_field("qosd", text);
	snprintf(text, sizeof(text), "%s, generation %.0f", json_text(s, "policy.path"),
		 json_number(s, "policy.generation"));
	print_field("policy", text);
	printf("%-9s ", "libvirt");
	text_print(libvirt, colour, connected ? PLAIN : RED);
	printf("\n%-9s %.0f, ", "guests", json_number(s, "guests"));
	snprintf(text, sizeof(text), "%.0f degraded", degraded);
	text_print(text, colour, degraded > 0 ? RED : PLAIN);
	putchar('\n');
	print_conditions(s, colour);
	print_host(json_at(s, "host"));
	if (ceph_daemons_text(s, text, sizeof(text)))
		print_field("ceph", text);
	putchar('\n');
	pressure = table_new(pressure_table_headers);
	pressure_table_add_all(pressure, s);
	table_print(pressure, colour, 0, 0);
	putchar('\n');
	print_classes(json_at(s, "classes"), colour);
	throttle_print_words(s);
}

int verb_status(struct qosctl *ctl, int argc, char **argv)
{
	json_t *status = NULL;
	int r = qosctl_call(ctl, "Status", NULL, CALL_SECONDS, &status);

	(void)argc;
	(void)argv;
	if (r)
		return r;
	if (ctl->json)
		json_print(status, false);
	else
		print_status(status, ctl->colour);
	json_decref(status);
	return EXIT_DONE;
}

/* ---- plan ---- */

static void close_file(FILE **f)
{
	if (*f)
		fclose(*f);
}

/* The whole of a text file, malloc'd; NULL after a complaint. */
static char *read_file(const char *path)
{
	CLEANUP(close_file) FILE *f = fopen(path, "re");
	CLEANUP_FREE char *text = malloc(PLAN_FILE_MAX + 1);
	size_t size;

	if (!text)
		qosctl_out_of_memory();
	if (!f) {
		qosctl_fail(EXIT_FAILED, "cannot read %s: %s", path, strerror(errno));
		return NULL;
	}
	size = fread(text, 1, PLAN_FILE_MAX + 1, f);
	if (ferror(f) || size > PLAN_FILE_MAX || memchr(text, '\0', size)) {
		qosctl_fail(EXIT_FAILED, "cannot read %s: %s", path,
			    ferror(f) ? strerror(errno) : "it is no policy (binary or over 1 MiB)");
		return NULL;
	}
	text[size] = '\0';
	return TAKE_PTR(text);
}

static void print_changes(const json_t *changes, bool colour)
{
	static const char *const headers[] = { "TARGET", "KNOB", "FROM", "TO", "REASON", NULL };
	struct table *t = table_new(headers);
	const json_t *change;
	size_t i;

	json_array_foreach (changes, i, change) {
		table_add(t, PLAIN, "%s", json_text(change, "target"));
		table_add(t, PLAIN, "%s", json_text(change, "knob"));
		table_add(t, PLAIN, "%s", json_text(change, "from"));
		table_add(t, BOLD, "%s", json_text(change, "to"));
		table_add(t, PLAIN, "%s", json_text(change, "reason"));
	}
	table_print(t, colour, 0, 0);
}

/*
 * The policy in a file as text for the daemon, which reads no file for `plan`: as it is, or in
 * normal form with all that it includes. NULL after a complaint.
 */
static char *policy_as_text(struct qosctl *ctl, const char *path)
{
	CLEANUP_FREE char *text = read_file(path);

	ctl->normal_form = text && strstr(text, "@include");
	return ctl->normal_form ? policy_normal_form(ctl, path) : TAKE_PTR(text);
}

int verb_plan(struct qosctl *ctl, int argc, char **argv)
{
	CLEANUP_FREE char *text = NULL;
	json_t *plan = NULL, *parameters = NULL;
	const json_t *changes;
	int r;

	if (argc == 1) {
		text = policy_as_text(ctl, argv[0]);
		if (!text)
			return EXIT_FAILED;
		parameters = json_pack("{s:s}", "text", text);
		if (!parameters)
			return qosctl_fail(EXIT_FAILED, "%s is not UTF-8 text", argv[0]);
	}
	r = qosctl_call(ctl, "Plan", parameters, PLAN_SECONDS, &plan);
	if (r)
		return r;
	if (ctl->normal_form)
		findings_forget_lines(json_at(plan, "findings"));
	changes = json_at(plan, "changes");
	r = json_array_size(changes) > 0 ? EXIT_FINDINGS : EXIT_DONE;
	if (ctl->json) {
		json_print(plan, false);
	} else {
		findings_print(json_at(plan, "findings"), argc == 1 ? argv[0] : NULL, stdout);
		if (r == EXIT_FINDINGS)
			print_changes(changes, ctl->colour);
		else
			printf("nothing would change\n");
	}
	json_decref(plan);
	return r;
}

/* ---- doctor ---- */

static enum colour severity_colour(const char *severity)
{
	if (strcmp(severity, "error") == 0)
		return RED;
	return strcmp(severity, "warning") == 0 ? YELLOW : PLAIN;
}

static void print_doctor_findings(const json_t *findings, bool colour)
{
	const json_t *f;
	size_t i;

	json_array_foreach (findings, i, f) {
		const char *severity = json_text(f, "severity");

		text_print(severity, colour, severity_colour(severity));
		printf("%*s", (int)(strlen(severity) < 9 ? 9 - strlen(severity) : 1), "");
		text_print(json_text(f, "topic"), colour, BOLD);
		printf(": ");
		text_print(json_text(f, "message"), false, PLAIN);
		if (json_at(f, "fix")) {
			printf("\n         fix: ");
			text_print(json_text(f, "fix"), false, PLAIN);
		}
		putchar('\n');
	}
	if (json_array_size(findings) == 0)
		printf("nothing to mend\n");
}

static void print_capability(const char *name, const json_t *value)
{
	CLEANUP_FREE char *text = json_line(value);

	printf("%-20s ", name);
	text_print(text, false, PLAIN);
	putchar('\n');
}

int verb_doctor(struct qosctl *ctl, int argc, char **argv)
{
	json_t *answer = NULL, *capabilities, *value;
	const json_t *findings;
	const char *name;
	int r = qosctl_call(ctl, "Doctor", NULL, CALL_SECONDS, &answer);

	(void)argc;
	(void)argv;
	if (r)
		return r;
	findings = json_at(answer, "findings");
	if (ctl->json) {
		json_print(answer, false);
	} else {
		print_doctor_findings(findings, ctl->colour);
		capabilities = json_object_get(answer, "capabilities");
		if (json_object_size(capabilities) > 0)
			putchar('\n');
		json_object_foreach (capabilities, name, value)
			print_capability(name, value);
	}
	r = findings_matter(findings) ? EXIT_FINDINGS : EXIT_DONE;
	json_decref(answer);
	return r;
}

/* ---- policy, version ---- */

int verb_policy(struct qosctl *ctl, int argc, char **argv)
{
	json_t *answer = NULL;
	int r = qosctl_call(ctl, "Policy", NULL, CALL_SECONDS, &answer);
	CLEANUP_FREE char *text = NULL;

	(void)argc;
	(void)argv;
	if (r)
		return r;
	text = strdup(json_text(answer, "text"));
	if (!text)
		qosctl_out_of_memory();
	if (ctl->json)
		json_print(answer, false);
	else
		fputs(text_clean_lines(text), stdout);
	json_decref(answer);
	return EXIT_DONE;
}

int verb_version(struct qosctl *ctl, int argc, char **argv)
{
	json_t *answer = NULL;
	int r;

	(void)argc;
	(void)argv;
	if (!ctl->json)
		printf("%-9s %s\n", "qosctl", qosctl_version());
	r = qosctl_call(ctl, "Version", NULL, CALL_SECONDS, &answer);
	if (r)
		return r;
	if (ctl->json) {
		json_object_set_new(answer, "qosctl", json_string(qosctl_version()));
		json_print(answer, false);
	} else {
		print_field("qosd", json_text(answer, "version"));
		if (json_at(answer, "libvirt"))
			print_field("libvirt", json_text(answer, "libvirt"));
		print_field("kernel", json_text(answer, "kernel"));
	}
	json_decref(answer);
	return EXIT_DONE;
}
