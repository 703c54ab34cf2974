/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * qosctl_throttle - throttles and trials in words, for `status`, `list`, `show` and `top`.
 */
#include <stdio.h>
#include <string.h>

#include "qosd/core/mem.h"
#include "tools/qosctl.h"

static const char *const resources[] = { "cpu", "memory", "net", "disk" };

char *throttle_marks(const json_t *guest, char *line, size_t size)
{
	size_t len = 0;

	line[0] = '\0';
	for (size_t r = 0; r < ARRAY_SIZE(resources) && len < size; r++) {
		const json_t *one = json_at(json_at(guest, "throttle"), resources[r]);
		char share[HUMAN_MAX];

		if (one)
			len += (size_t)snprintf(
				line + len, size - len, "%s%s %s",
				len ? ", " : "throttled: ", resources[r],
				human_share(json_number(one, "level") / 1000, share));
	}
	return line;
}

/* ---- status ---- */

static void print_cleaned(char *line)
{
	puts(text_clean(line));
}

static void print_word(const json_t *word)
{
	char line[512], share[HUMAN_MAX];

	snprintf(line, sizeof(line), "throttle  class %s, %s: %s until %s",
		 json_text(word, "class"), json_text(word, "resource"),
		 human_share(json_number(word, "level") / 1000, share), json_text(word, "until"));
	print_cleaned(line);
}

static void print_trial(const json_t *trial)
{
	char line[512], share[HUMAN_MAX], left[HUMAN_MAX];

	snprintf(line, sizeof(line),
		 "trial     %s for %s of the guests (%.0f); undone in %s unless confirmed",
		 json_text(trial, "policy"), human_share(json_number(trial, "share"), share),
		 json_number(trial, "guests"), human_seconds(json_number(trial, "left_s"), left));
	print_cleaned(line);
}

void throttle_print_words(const json_t *status)
{
	const json_t *words = json_at(status, "throttles"), *word;
	const json_t *trial = json_at(status, "trial");
	size_t i;

	if (trial || json_array_size(words) > 0)
		putchar('\n');
	json_array_foreach (words, i, word)
		print_word(word);
	if (trial)
		print_trial(trial);
}

/* ---- show ---- */

static char *cap_cpus(double cpus, char buf[HUMAN_MAX])
{
	snprintf(buf, HUMAN_MAX, "%.2f CPUs", cpus);
	return buf;
}

static char *cap_iops(double iops, char buf[HUMAN_MAX])
{
	snprintf(buf, HUMAN_MAX, "%.0f IO/s", iops);
	return buf;
}

static char *cap_byte_rate(double bytes, char buf[HUMAN_MAX])
{
	size_t len = strlen(human_bytes(bytes, buf));

	snprintf(buf + len, HUMAN_MAX - len, "/s");
	return buf;
}

void throttle_show(const json_t *guest, void (*show)(const char *name, const char *text))
{
	static const struct {
		size_t resource;
		const char *key, *what;
		char *(*format)(double, char *);
	} caps[] = {
		{ 0, "cap", "", cap_cpus },
		{ 1, "cap_bytes", "", human_bytes },
		{ 2, "in_cap_bps", "in ", human_bps },
		{ 2, "out_cap_bps", "out ", human_bps },
		{ 3, "cap_iops", "", cap_iops },
		{ 3, "cap_bytes_ps", "", cap_byte_rate },
	};

	for (size_t r = 0; r < ARRAY_SIZE(resources); r++) {
		const json_t *one = json_at(json_at(guest, "throttle"), resources[r]);
		char share[HUMAN_MAX], number[HUMAN_MAX], text[256];
		size_t len;

		if (!one)
			continue;
		len = (size_t)snprintf(text, sizeof(text), "%s at level %s", resources[r],
				       human_share(json_number(one, "level") / 1000, share));
		for (size_t i = 0; i < ARRAY_SIZE(caps) && len < sizeof(text); i++)
			if (caps[i].resource == r && json_at(one, caps[i].key))
				len += (size_t)snprintf(
					text + len, sizeof(text) - len, ", %sat most %s",
					caps[i].what,
					caps[i].format(json_number(one, caps[i].key), number));
		show("throttled", text);
	}
}
