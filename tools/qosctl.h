/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * qosctl - what the files of the command share.
 *
 *   qosctl.c          options, the table of verbs, help
 *   qosctl_client.c   one call to the daemon (by client.c), and what is said when it fails
 *   qosctl_table.c    tables, units for people
 *   qosctl_read.c     verbs that show the host and its policy
 *   qosctl_guest.c    verbs that show guests
 *   qosctl_nic.c      cards of guests: what each may, wants and gets
 *   qosctl_capacity.c what the host has and has promised
 *   qosctl_episodes.c the overloads, past and present
 *   qosctl_throttle.c levels, trials and throttles in words
 *   qosctl_rbd.c      Ceph RBD disks
 *   qosctl_write.c    verbs that change something
 *   qosctl_check.c    findings; `check`, which needs no daemon
 *   qosctl_top.c      the live view
 *   qosctl_complete.c what may come next on the command line
 *
 * The daemon decides what is allowed and right; this side only asks and shows. A verb's `--json`
 * output is the daemon's answer as it came. Running out of memory ends the program.
 */
#ifndef QOSD_TOOLS_QOSCTL_H
#define QOSD_TOOLS_QOSCTL_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "tools/json.h"
#include "tools/text.h"

enum qosctl_exit {
	EXIT_DONE = 0,
	EXIT_FAILED = 1, /* or refused */
	EXIT_USAGE = 2,
	EXIT_NO_DAEMON = 3,
	EXIT_NOT_PERMITTED = 4,
	EXIT_FINDINGS = 5,
};

enum qosctl_option { OPTION_FOLLOW = 1, OPTION_FOR = 2, OPTION_CLEAR = 4, OPTION_CANARY = 8 };

struct qosctl {
	const char *socket;
	bool json, colour;    /* of standard output */
	unsigned int options; /* enum qosctl_option given */
	const char *for_text; /* of --for, NULL if not given */
	const char *canary_text;
	bool normal_form; /* of a file is what was sent: lines of findings are not the file's */
};

struct qosctl_verb {
	const char *name;
	const char *args;     /* as in the usage line: "CLASS RESOURCE LEVEL", "[FILE]",
				 "observe|enforce" */
	int min, max;         /* number of arguments */
	unsigned int options; /* that the verb takes */
	const char *help;     /* one line; NULL: hidden */
	int (*run)(struct qosctl *ctl, int argc,
		   char **argv); /* the arguments alone; enum qosctl_exit */
};

/* ---- qosctl.c ---- */
extern const struct qosctl_verb qosctl_verbs[];
extern const size_t qosctl_nverbs;
/* By name or unique abbreviation; NULL: none or several. */
const struct qosctl_verb *qosctl_find_verb(const char *name);
const char *qosctl_version(void);
/* One sentence to standard error; returns `status`. */
int qosctl_fail(enum qosctl_exit status, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
__attribute__((noreturn)) void qosctl_out_of_memory(void);
/* The value of --for in seconds; false after a complaint. */
bool qosctl_for_seconds(const struct qosctl *ctl, double *ret);

/* ---- qosctl_client.c ---- */

#define CALL_SECONDS 5
#define PLAN_SECONDS 30 /* planning and what takes a policy */

/*
 * Call "org.qosd.Control.METHOD" with `parameters` (taken over, NULL: none). EXIT_DONE and the
 * answer (owned by the caller) in *ret, or another status after a complaint on standard error.
 */
int qosctl_call(const struct qosctl *ctl, const char *method, json_t *parameters,
		unsigned int seconds, json_t **ret);
/* The same without complaints (completion). */
json_t *qosctl_ask(const struct qosctl *ctl, const char *method);
/*
 * Ask for a stream: `each` gets every answer (borrowed) until the daemon ends it or `each` returns
 * false. The first answer must come in time, the others may take as long as they will.
 */
int qosctl_stream(const struct qosctl *ctl, const char *method,
		  bool (*each)(const json_t *answer, void *user), void *user);

/* ---- qosctl_table.c ---- */
enum colour { PLAIN, BOLD, RED, YELLOW, GREEN };

struct table;
/* Headers, ended by NULL; one that begins with '>' makes its column right-aligned. */
struct table *table_new(const char *const *headers);
/* The next cell of the current row; a full row is followed by the next one. */
void table_add(struct table *t, enum colour colour, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
size_t table_rows(const struct table *t);
/* Nothing without rows. At most `max_rows` rows (0: all), lines cut after `max_width` columns (0:
 * not). Frees the table.
 */
void table_print(struct table *t, bool colour, size_t max_rows, size_t max_width);

/* Print `text` cleaned, with colour if asked. */
void text_print(const char *text, bool colour, enum colour which);

/* Numbers for people, in a buffer of the caller. */
#define HUMAN_MAX 32
char *human_bytes(double bytes, char buf[HUMAN_MAX]);     /* "1.5 GiB" */
char *human_bps(double bps, char buf[HUMAN_MAX]);         /* "950 Mbit/s" */
char *human_seconds(double seconds, char buf[HUMAN_MAX]); /* "3 h 12 min" */
char *human_share(double share, char buf[HUMAN_MAX]);     /* 0.034 -> "3.4%" */
char *human_us(double us, char buf[HUMAN_MAX]);           /* "1.2 ms" */
/* A JSON number by one of the formatters; "-" when it is absent, null, or zero and `zero_is_none`.
 */
char *human_json(const json_t *value, char *(*format)(double, char *), bool zero_is_none,
		 char buf[HUMAN_MAX]);

/* On one line for people: "device vda, rbd no"; malloc'd. */
char *json_line(const json_t *value);
/* As one JSON object: indented, or on one line. Control characters never reach a terminal. */
void json_print(const json_t *object, bool one_line);

/* ---- verbs ---- */
int verb_status(struct qosctl *ctl, int argc, char **argv);
int verb_plan(struct qosctl *ctl, int argc, char **argv);
int verb_episodes(struct qosctl *ctl, int argc, char **argv);
int verb_capacity(struct qosctl *ctl, int argc, char **argv);
int verb_doctor(struct qosctl *ctl, int argc, char **argv);
int verb_policy(struct qosctl *ctl, int argc, char **argv);
int verb_version(struct qosctl *ctl, int argc, char **argv);
int verb_list(struct qosctl *ctl, int argc, char **argv);
int verb_show(struct qosctl *ctl, int argc, char **argv);
int verb_explain(struct qosctl *ctl, int argc, char **argv);
int verb_top(struct qosctl *ctl, int argc, char **argv);
int verb_check(struct qosctl *ctl, int argc, char **argv);
int verb_reload(struct qosctl *ctl, int argc, char **argv);
int verb_confirm(struct qosctl *ctl, int argc, char **argv);
int verb_undo(struct qosctl *ctl, int argc, char **argv);
int verb_mode(struct qosctl *ctl, int argc, char **argv);
int verb_class(struct qosctl *ctl, int argc, char **argv);
int verb_throttle(struct qosctl *ctl, int argc, char **argv);
int verb_hold(struct qosctl *ctl, int argc, char **argv);
int verb_release(struct qosctl *ctl, int argc, char **argv);
int verb_complete(struct qosctl *ctl, int argc, char **argv);

/* qosctl_check.c: "FILE:LINE: what; fix" each on a line of `out`; `file` (may be NULL) wins over
 * theirs. */
void findings_print(const json_t *findings, const char *file, FILE *out);
bool findings_matter(const json_t *findings); /* is one an error or a warning? */
void findings_forget_lines(const json_t *findings);
/* A policy file with all that it includes, malloc'd; NULL after its findings. */
char *policy_normal_form(const struct qosctl *ctl, const char *path);

/* qosctl_guest.c: rows for `list`, `top` */
void guest_table_add(struct table *t, const json_t *guest);
extern const char *const guest_table_headers[];
/* qosctl_nic.c: rows for `list` and `top`, two for each card; lines for `show` */
extern const char *const nic_table_headers[];
void nic_table_add_all(struct table *t, const json_t *guest);
void nic_show_all(const json_t *guest, void (*show)(const char *name, const char *text));
/* qosctl_throttle.c: what `status`, `list`, `show` and `top` tell of throttles. `line` gets at most
 * `size` bytes and is returned. */
char *throttle_marks(const json_t *guest, char *line, size_t size); /* "" if it has none */
void throttle_print_words(const json_t *status); /* the operator's, one a line; and the trial */
void throttle_show(const json_t *guest, void (*show)(const char *name, const char *text));
extern const char *const pressure_table_headers[];
void pressure_table_add_all(struct table *t, const json_t *status); /* qosctl_read.c */
void class_table_add_levels(struct table *t, const json_t *class);  /* the same: four cells */

/* ---- qosctl_rbd.c ---- */
/* One line for each RBD disk. */
void rbd_show(const json_t *g, void (*show)(const char *name, const char *text));
/* Their settings as a table, and what is wrong with them. */
void rbd_print_settings(const json_t *g, bool colour);
/* Ceph's daemons on the host, in one line into buf; false: there are none. */
bool ceph_daemons_text(const json_t *status, char *buf, size_t size);

#endif
