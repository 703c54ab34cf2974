/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * state - the daemon's files: what must outlive it. Each is replaced whole (write, fsync, rename),
 * so that a crash or a full disk leaves the old one.
 *
 *   STATE_DIR/baseline       values that knobs had before qosd touched them
 *   STATE_DIR/runtime.json   the operator's words: mode, holds, releases; policy generation
 *   STATE_DIR/policy/N.conf  accepted policies in normal form, the last POLICY_KEPT of them
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "qosd/core/mem.h"
#include "qosd/daemon/engine.h"

#define POLICY_KEPT	 8
#define STATE_FILE_MAX	 (16 << 20)
#define STATE_PATH_MAX	 512

/* ---- files replaced whole ---- */

static int write_all(int fd, const char *text, size_t len)
{
	while (len) {
		ssize_t n = write(fd, text, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		text += n;
		len -= (size_t)n;
	}
	return fsync(fd) < 0 ? -errno : 0;
}

static int replace_file(const char *path, const char *text, size_t len, struct qerr *err)
{
	char temporary[STATE_PATH_MAX + 8];
	int fd, r;

	snprintf(temporary, sizeof(temporary), "%s.new", path);
	fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return qerr_set(err, -errno, "cannot write %s: %s", temporary, strerror(errno));
	r = write_all(fd, text, len);
	if (close(fd) < 0 && r == 0)
		r = -errno;
	if (r == 0 && rename(temporary, path) < 0)
		r = -errno;
	if (r < 0) {
		unlink(temporary);
		return qerr_set(err, r, "cannot write %s: %s", path, strerror(-r));
	}
	return 0;
}

/* The whole file as a string, or NULL (*ret_r = 0 when there is none). */
static char *read_file(const char *path, int *ret_r)
{
	FILE *f = fopen(path, "re");
	char *text = NULL;
	struct stat st;

	*ret_r = 0;
	if (!f) {
		*ret_r = errno == ENOENT ? 0 : -errno;
		return NULL;
	}
	if (fstat(fileno(f), &st) < 0 || st.st_size > STATE_FILE_MAX)
		*ret_r = -EFBIG;
	else if (!(text = calloc(1, (size_t)st.st_size + 1)))
		*ret_r = -ENOMEM;
	else if (fread(text, 1, (size_t)st.st_size, f) != (size_t)st.st_size)
		*ret_r = -EIO;
	fclose(f);
	if (*ret_r < 0) {
		free(text);
		return NULL;
	}
	return text;
}

static char *state_path(const struct engine *e, const char *name, char buf[STATE_PATH_MAX])
{
	snprintf(buf, STATE_PATH_MAX, "%s/%s", e->options.state_dir, name);
	return buf;
}

static int make_directories(const struct engine *e, struct qerr *err)
{
	char path[STATE_PATH_MAX];

	if (mkdir(e->options.state_dir, 0700) < 0 && errno != EEXIST)
		return qerr_set(err, -errno, "cannot make %s: %s", e->options.state_dir,
				strerror(errno));
	if (mkdir(state_path(e, "policy", path), 0700) < 0 && errno != EEXIST)
		return qerr_set(err, -errno, "cannot make %s: %s", path, strerror(errno));
	return 0;
}

/* ---- baseline ---- */

/* The store as text; NULL when out of memory. */
static char *print_baseline(const struct baseline *b)
{
	char line[BASELINE_LINE_MAX], *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	if (!f)
		return NULL;
	fprintf(f, "%s\n", BASELINE_HEADER);
	for (size_t i = 0; i < baseline_count(b); i++)
		fprintf(f, "%s\n", baseline_format_line(baseline_at(b, i), line, sizeof(line)));
	if (fclose(f) != 0) {
		free(text);
		return NULL;
	}
	return text;
}

int state_save_baseline(struct engine *e, struct qerr *err)
{
	char path[STATE_PATH_MAX];
	char *text CLEANUP_FREE = print_baseline(e->baseline);

	if (!text)
		return qerr_set(err, -ENOMEM, "out of memory");
	return replace_file(state_path(e, "baseline", path), text, strlen(text), err);
}

static int load_baseline(struct engine *e, struct qerr *err)
{
	char path[STATE_PATH_MAX];
	int r;
	char *text CLEANUP_FREE = read_file(state_path(e, "baseline", path), &r);

	if (r < 0)
		return qerr_set(err, r, "cannot read %s: %s", path, strerror(-r));
	if (!text)
		return 0;
	r = baseline_parse(e->baseline, text, strlen(text), err);
	return r < 0 ? qerr_wrap(err, "%s", path) : 0;
}

/* ---- runtime.json ---- */

static const char *const mode_words[] = { "observe", "enforce" };

static json_t *word_json(const struct guest_row *row)
{
	if (!row->hold_until_s && !row->released)
		return NULL;
	return json_pack("{s:s, s:I, s:I, s:b}", "uuid", row->uuid, "start_ticks",
			 (json_int_t)row->start_ticks, "hold_until_s",
			 (json_int_t)row->hold_until_s, "released", row->released);
}

int state_save_runtime(struct engine *e, struct qerr *err)
{
	char path[STATE_PATH_MAX];
	json_t *words = json_array();
	json_t *root = json_pack("{s:i, s:s*, s:s, s:o}", "generation", (int)e->generation, "mode",
				 e->mode_overridden ? mode_words[e->mode] : NULL, "file_mode",
				 mode_words[e->policy->mode], "guests", words);
	char *text;
	int r;

	for (size_t i = 0; i < e->guests.count; i++) {
		json_t *word = word_json(&e->guests.rows[i]);

		if (word)
			json_array_append_new(words, word);
	}
	text = root ? json_dumps(root, JSON_INDENT(1)) : NULL;
	json_decref(root);
	if (!text)
		return qerr_set(err, -ENOMEM, "out of memory");
	r = replace_file(state_path(e, "runtime.json", path), text, strlen(text), err);
	free(text);
	return r;
}

static void load_words(struct engine *e, json_t *guests)
{
	size_t i;
	json_t *item;

	e->saved_words = calloc(json_array_size(guests) + 1, sizeof(*e->saved_words));
	if (!e->saved_words)
		return;
	json_array_foreach(guests, i, item) {
		struct saved_word *w = &e->saved_words[e->nsaved_words];
		const char *uuid = json_string_value(json_object_get(item, "uuid"));

		if (!uuid || strlen(uuid) >= sizeof(w->uuid))
			continue;
		memcpy(w->uuid, uuid, strlen(uuid) + 1);
		w->start_ticks = (uint64_t)json_integer_value(json_object_get(item, "start_ticks"));
		w->hold_until_s = (uint64_t)json_integer_value(json_object_get(item, "hold_until_s"));
		w->released = json_is_true(json_object_get(item, "released"));
		e->nsaved_words++;
	}
}

/* The operator's mode holds over a restart, unless the file's mode was changed since: the last word wins. */
static void load_mode(struct engine *e, json_t *root)
{
	const char *mode = json_string_value(json_object_get(root, "mode"));
	const char *file_mode = json_string_value(json_object_get(root, "file_mode"));

	if (!mode || !file_mode || strcmp(file_mode, mode_words[e->policy->mode]) != 0)
		return;
	e->mode = strcmp(mode, "enforce") == 0 ? MODE_ENFORCE : MODE_OBSERVE;
	e->mode_overridden = e->mode != e->policy->mode;
}

/* The policy of this start is a new generation only if it differs from the last one saved. */
static int settle_generation(struct engine *e, struct qerr *err)
{
	char path[STATE_PATH_MAX];
	int r;
	char *now CLEANUP_FREE = policy_print(e->policy);
	char *saved CLEANUP_FREE = NULL;

	if (!now)
		return qerr_set(err, -ENOMEM, "out of memory");
	saved = read_file(state_policy_path(e, e->generation, path, sizeof(path)), &r);
	if (saved && strcmp(saved, now) == 0)
		return 0;
	e->generation++;
	return state_save_policy(e, e->generation, now, err);
}

static void load_runtime(struct engine *e)
{
	char path[STATE_PATH_MAX];
	json_error_t error;
	json_t *root = json_load_file(state_path(e, "runtime.json", path), 0, &error);

	if (!json_is_object(root)) {
		if (access(path, F_OK) == 0)
			log_message(&e->log, LOG_WARNING, NULL,
				    "%s cannot be read (%s): holds and mode of before are lost", path,
				    error.text);
		json_decref(root);
		return;
	}
	e->generation = (uint32_t)json_integer_value(json_object_get(root, "generation"));
	load_mode(e, root);
	load_words(e, json_object_get(root, "guests"));
	json_decref(root);
}

void state_restore_words(struct engine *e)
{
	for (size_t i = 0; i < e->nsaved_words;) {
		const struct saved_word *w = &e->saved_words[i];
		struct guest_row *row = guests_find_uuid(&e->guests, w->uuid);

		if (!row) {
			i++;
			continue;
		}
		row->hold_until_s = w->hold_until_s;
		row->released = w->released && w->start_ticks == row->start_ticks;
		e->saved_words[i] = e->saved_words[--e->nsaved_words];
	}
}

/* ---- policies ---- */

char *state_policy_path(const struct engine *e, uint32_t generation, char *buf, size_t size)
{
	snprintf(buf, size, "%s/policy/%u.conf", e->options.state_dir, generation);
	return buf;
}

int state_save_policy(struct engine *e, uint32_t generation, const char *text, struct qerr *err)
{
	char path[STATE_PATH_MAX];
	int r = replace_file(state_policy_path(e, generation, path, sizeof(path)), text, strlen(text),
			     err);

	if (r == 0 && generation > POLICY_KEPT)
		(void)unlink(state_policy_path(e, generation - POLICY_KEPT, path, sizeof(path)));
	return r;
}

int state_load(struct engine *e, struct qerr *err)
{
	int r = make_directories(e, err);

	if (r < 0)
		return r;
	e->mode = e->policy->mode;
	load_runtime(e);
	r = load_baseline(e, err);
	if (r == 0)
		r = settle_generation(e, err);
	return r == 0 ? state_save_runtime(e, err) : r;
}
