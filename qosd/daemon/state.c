/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * state - the daemon's files: what must outlive it.
 *
 *   STATE_DIR/lock           held while a daemon uses the directory
 *   STATE_DIR/baseline       values that knobs had before qosd touched them; grows by appending,
 * and is void after a reboot, as the values themselves are STATE_DIR/runtime.json   the operator's
 * words: mode, holds, releases; policy generation STATE_DIR/policy/N.conf  accepted policies in
 * normal form, the last POLICY_KEPT of them (and rbd.json: rbd_trace.c)
 *
 * Files are replaced whole (write, rename), so that a crash or a full disk leaves the old one.
 * Policies reach the disk (fsync); the rest only has to outlive the process. A file that cannot be
 * read is put aside under another name and never keeps the daemon down.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "qosd/core/mem.h"
#include "qosd/daemon/engine.h"
#include "qosd/daemon/files.h"
#include "qosd/daemon/overload.h"

#define POLICY_KEPT    8
#define PIECE_ENTRIES  256 /* of the baseline, written at a time */
#define STATE_FILE_MAX (16 << 20)
#define STATE_PATH_MAX FILES_PATH_MAX

static void put_aside(struct engine *e, const char *path, const char *why)
{
	char aside[STATE_PATH_MAX + 8];

	snprintf(aside, sizeof(aside), "%s.bad", path);
	(void)rename(path, aside);
	log_message(&e->log, LOG_ERR, NULL, "%s cannot be used (%s); it is kept as %s", path, why,
		    aside);
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

static int lock_directory(struct engine *e, struct qerr *err)
{
	char path[STATE_PATH_MAX];

	e->lock_fd =
		open(state_path(e, "lock", path), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (e->lock_fd < 0)
		return files_write_error(err, -errno, path);
	if (flock(e->lock_fd, LOCK_EX | LOCK_NB) < 0)
		return qerr_set(err, -EBUSY,
				"another qosd uses %s; stop it, or give this one its own "
				"--state-dir and --socket",
				e->options.state_dir);
	return 0;
}

/* ---- baseline ---- */

/* Entries [first, end) as text, with the header before the very first; NULL when out of memory. */
static char *print_baseline(const struct baseline *b, size_t first, size_t end, size_t *ret_len)
{
	char line[BASELINE_LINE_MAX], *text = NULL;
	FILE *f = open_memstream(&text, ret_len);

	if (!f)
		return NULL;
	if (first == 0)
		fprintf(f, "%s\n", BASELINE_HEADER);
	for (size_t i = first; i < end; i++)
		fprintf(f, "%s\n", baseline_format_line(baseline_at(b, i), line, sizeof(line)));
	if (fclose(f) != 0) {
		free(text);
		return NULL;
	}
	return text;
}

/* Entries [first, end) appended, or for first 0 the file made anew. */
static int put_baseline(const struct engine *e, size_t first, size_t end, struct qerr *err)
{
	char path[STATE_PATH_MAX];
	size_t len = 0;
	int r;
	char *text CLEANUP_FREE = print_baseline(e->baseline, first, end, &len);

	if (!text)
		return qerr_set(err, -ENOMEM, "out of memory");
	state_path(e, "baseline", path);
	r = first ? files_append(path, text, len, err) : files_replace(path, text, len, false, err);
	if (r == 0)
		baseline_stored(e->baseline, first, end);
	return r;
}

/*
 * A file with entries that are none any more is replaced whole, for half of it would have lost the
 * others. What is new is appended piece by piece: as one text it would weigh more than the entries.
 */
int state_save_baseline(struct engine *e, struct qerr *err)
{
	size_t count = baseline_count(e->baseline);
	int r = 0;

	if (e->baseline_rewrite) {
		r = put_baseline(e, 0, count, err);
		e->baseline_saved = r == 0 ? count : e->baseline_saved;
	}
	while (r == 0 && e->baseline_saved < count) {
		size_t end = e->baseline_saved + PIECE_ENTRIES;

		end = end < count ? end : count;
		r = put_baseline(e, e->baseline_saved, end, err);
		e->baseline_saved = r == 0 ? end : e->baseline_saved;
	}
	if (r == 0)
		e->baseline_rewrite = e->baseline_unsaved = false;
	return r;
}

static void load_baseline(struct engine *e, bool same_boot)
{
	char path[STATE_PATH_MAX];
	struct qerr err = { 0 };
	int r;
	char *text CLEANUP_FREE =
		files_read(state_path(e, "baseline", path), STATE_FILE_MAX, NULL, &r);

	e->baseline_rewrite = true;
	if (r < 0)
		put_aside(e, path, strerror(-r));
	if (!text || !same_boot)
		return; /* the values of before the reboot are in force anyway */
	if (baseline_parse(e->baseline, text, strlen(text), &err) < 0)
		put_aside(e, path, err.text);
	else
		baseline_stored(e->baseline, 0, baseline_count(e->baseline));
}

/* ---- runtime.json ---- */

static const char *const mode_words[] = { "observe", "enforce" };

static json_t *word_json(const char *uuid, uint64_t start_ticks, uint64_t hold_until_s,
			 bool released)
{
	return json_pack("{s:s, s:I, s:I, s:b}", "uuid", uuid, "start_ticks",
			 (json_int_t)start_ticks, "hold_until_s", (json_int_t)hold_until_s,
			 "released", released);
}

/* What was said of guests that run, and of those that were not seen again yet. */
static json_t *words_json(const struct engine *e)
{
	json_t *words = json_array();

	for (size_t i = 0; i < e->guests.count; i++) {
		const struct guest_row *row = &e->guests.rows[i];

		if (row->hold_until_s || row->released)
			json_array_append_new(words, word_json(row->uuid, row->start_ticks,
							       row->hold_until_s, row->released));
	}
	for (size_t i = 0; i < e->nsaved_words; i++) {
		const struct saved_word *w = &e->saved_words[i];

		json_array_append_new(
			words, word_json(w->uuid, w->start_ticks, w->hold_until_s, w->released));
	}
	return words;
}

/* Changes with each boot of the host; "" if unknown. */
static void read_boot_id(char id[64])
{
	FILE *f = fopen("/proc/sys/kernel/random/boot_id", "re");

	id[0] = '\0';
	if (!f)
		return;
	if (fscanf(f, "%63s", id) != 1)
		id[0] = '\0';
	fclose(f);
}

void state_save_runtime(struct engine *e)
{
	char path[STATE_PATH_MAX], boot_id[64];
	struct qerr err = { 0 };
	json_t *root;
	char *text;
	int r;

	read_boot_id(boot_id);
	root = json_pack("{s:s, s:i, s:s*, s:s, s:b, s:o, s:o}", "boot_id", boot_id, "generation",
			 (int)e->generation, "mode",
			 e->mode_overridden ? mode_words[e->mode] : NULL, "file_mode",
			 mode_words[e->policy->mode], "giving_back", e->giving_back, "guests",
			 words_json(e), "throttles", overload_manual_json(e));
	text = root ? json_dumps(root, JSON_INDENT(1)) : NULL;
	json_decref(root);
	r = text ? files_replace(state_path(e, "runtime.json", path), text, strlen(text), false,
				 &err)
		 : qerr_set(&err, -ENOMEM, "out of memory");
	free(text);
	if (r < 0)
		log_error(&e->log, LOG_WARNING, NULL,
			  "mode, holds and releases will not outlive a restart", &err);
}

static void load_words(struct engine *e, json_t *guests)
{
	size_t i;
	json_t *item;

	e->saved_words = calloc(json_array_size(guests) + 1, sizeof(*e->saved_words));
	if (!e->saved_words)
		return;
	json_array_foreach (guests, i, item) {
		struct saved_word *w = &e->saved_words[e->nsaved_words];
		const char *uuid = json_string_value(json_object_get(item, "uuid"));

		if (!uuid || strlen(uuid) >= sizeof(w->uuid))
			continue;
		memcpy(w->uuid, uuid, strlen(uuid) + 1);
		w->start_ticks = (uint64_t)json_integer_value(json_object_get(item, "start_ticks"));
		w->hold_until_s =
			(uint64_t)json_integer_value(json_object_get(item, "hold_until_s"));
		w->released = json_is_true(json_object_get(item, "released"));
		e->nsaved_words++;
	}
}

/* The operator's mode holds over a restart, unless the file's mode was changed since: the last word
 * wins. */
static void restore_mode(struct engine *e)
{
	if (!e->saved_mode[0] || strcmp(e->saved_file_mode, mode_words[e->policy->mode]) != 0)
		return;
	e->mode = strcmp(e->saved_mode, "enforce") == 0 ? MODE_ENFORCE : MODE_OBSERVE;
	e->mode_overridden = e->mode != e->policy->mode;
}

static void copy_word(char *to, size_t size, json_t *from)
{
	snprintf(to, size, "%s", json_is_string(from) ? json_string_value(from) : "");
}

/* True when the file is of this boot. */
static bool load_runtime(struct engine *e)
{
	char path[STATE_PATH_MAX], boot_id[64], saved_boot_id[64];
	json_error_t error;
	json_t *root = json_load_file(state_path(e, "runtime.json", path), 0, &error);
	bool same_boot;

	if (!json_is_object(root)) {
		if (access(path, F_OK) == 0)
			put_aside(e, path, error.text);
		json_decref(root);
		return true; /* unknown: better keep what is there */
	}
	e->generation = (uint32_t)json_integer_value(json_object_get(root, "generation"));
	e->giving_back = json_is_true(json_object_get(root, "giving_back"));
	copy_word(e->saved_mode, sizeof(e->saved_mode), json_object_get(root, "mode"));
	copy_word(e->saved_file_mode, sizeof(e->saved_file_mode),
		  json_object_get(root, "file_mode"));
	copy_word(saved_boot_id, sizeof(saved_boot_id), json_object_get(root, "boot_id"));
	overload_manual_load(e, json_object_get(root, "throttles"));
	read_boot_id(boot_id);
	same_boot = strcmp(boot_id, saved_boot_id) == 0;
	if (same_boot) /* or all of those guests have ended */
		load_words(e, json_object_get(root, "guests"));
	json_decref(root);
	return same_boot;
}

void state_restore_words(struct engine *e)
{
	for (size_t i = 0; i < e->nsaved_words;) {
		const struct saved_word *w = &e->saved_words[i];
		struct guest_row *row = guests_find_uuid(&e->guests, w->uuid);

		if (!row || !row->start_ticks) { /* not looked at closely yet */
			i++;
			continue;
		}
		if (w->start_ticks == row->start_ticks) {
			row->hold_until_s = w->hold_until_s;
			row->released = row->giving_back = w->released;
		}
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
	int r = files_replace(state_policy_path(e, generation, path, sizeof(path)), text,
			      strlen(text), true, err);

	if (r == 0 && generation > POLICY_KEPT)
		(void)unlink(state_policy_path(e, generation - POLICY_KEPT, path, sizeof(path)));
	return r;
}

/* The policy of this start is a new generation only if it differs from the last one saved. */
static void settle_generation(struct engine *e)
{
	char path[STATE_PATH_MAX];
	struct qerr err = { 0 };
	int r;
	char *now CLEANUP_FREE = policy_print(e->policy);
	char *saved CLEANUP_FREE = files_read(
		state_policy_path(e, e->generation, path, sizeof(path)), STATE_FILE_MAX, NULL, &r);

	if (!now || (saved && strcmp(saved, now) == 0))
		return;
	e->generation++;
	if (state_save_policy(e, e->generation, now, &err) < 0)
		log_error(&e->log, LOG_WARNING, NULL, "this policy cannot be gone back to", &err);
}

int state_open(struct engine *e, struct qerr *err)
{
	int r = make_directories(e, err);

	if (r == 0)
		r = lock_directory(e, err);
	if (r < 0)
		return r;
	load_baseline(e, load_runtime(e));
	return 0;
}

void state_settle(struct engine *e)
{
	restore_mode(e);
	settle_generation(e);
	/* Void entries must be off the disk before runtime.json says that it is of this boot. */
	(void)state_save_baseline(e, NULL);
	state_save_runtime(e);
}
