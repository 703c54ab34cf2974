/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * varlink - frames and messages: bytes on one side, JSON on the other. No sockets, no clock.
 *
 * A message is a JSON object ended by one NUL byte. A call has `method` and may have `parameters`,
 * `more` (answer with a stream), `oneway` (no answer); a reply has `parameters` and may have
 * `continues` or `error`. Shared by the daemon and its clients.
 */
#ifndef QOSD_DAEMON_VARLINK_H
#define QOSD_DAEMON_VARLINK_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "qosd/core/err.h"

/* ---- frames ---- */

/* Bytes that came in (or wait to go out): data[begin, end). Zeroed is empty. */
struct varlink_buffer {
	char *data;
	size_t begin, end, capacity;
	size_t scanned; /* data[begin, scanned) holds no NUL: no byte is looked at twice */
};

void varlink_buffer_done(struct varlink_buffer *b); /* frees the bytes; the buffer is empty again */
size_t varlink_buffer_size(const struct varlink_buffer *b);
/* Room for `size` more bytes at data + end (add to `end` what was put there). 0 or -ENOMEM. */
int varlink_buffer_reserve(struct varlink_buffer *b, size_t size);
int varlink_buffer_append(struct varlink_buffer *b, const void *bytes, size_t size);
void varlink_buffer_consume(struct varlink_buffer *b, size_t size);
/*
 * Take the next whole message: 1 and its text (without the NUL; valid until the buffer is changed),
 * 0 when none is complete yet, -EMSGSIZE when it is longer than `limit` bytes.
 */
int varlink_buffer_next(struct varlink_buffer *b, size_t limit, const char **ret_text,
			size_t *ret_size);

/* ---- messages ---- */

struct varlink_request {
	json_t *root;       /* owns all below */
	const char *method; /* "org.qosd.Control.Status" */
	json_t *parameters; /* an object; an empty one when absent */
	bool more, oneway;
};

/* 0; -EBADMSG with a sentence (not JSON, not an object, wrong types); -ENOMEM. */
int varlink_request_parse(const char *text, size_t size, struct varlink_request *ret,
			  struct qerr *err);
void varlink_request_done(struct varlink_request *r);

struct varlink_reply {
	json_t *root;
	json_t *parameters; /* an object; an empty one when absent */
	const char *error;  /* NULL: a good reply */
	bool continues;
};

int varlink_reply_parse(const char *text, size_t size, struct varlink_reply *ret, struct qerr *err);
void varlink_reply_done(struct varlink_reply *r);

/* Append `message` (borrowed) and its NUL. 0, -ENOMEM, or -EMSGSIZE when longer than `limit`. */
int varlink_append(struct varlink_buffer *b, const json_t *message, size_t limit);

/* "org.qosd.Control" of "org.qosd.Control.Status"; false if there is no dot. Length in *ret_size.
 */
bool varlink_split(const char *method, size_t *ret_interface_size, const char **ret_name);

#endif
