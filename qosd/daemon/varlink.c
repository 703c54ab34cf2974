/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * varlink - frames and messages; see varlink.h.
 *
 * Invariants of a buffer: begin <= scanned <= end <= capacity. Room in front is reused before the
 * memory grows, and an emptied large buffer gives its memory back, so that one large message does
 * not stay for ever.
 */
#include "qosd/daemon/varlink.h"

#include <errno.h>
#include <string.h>

#include "qosd/core/mem.h"

#define BUFFER_KEPT ((size_t)16 << 10) /* bytes that an empty buffer may keep */

void varlink_buffer_done(struct varlink_buffer *b)
{
	free(b->data);
	*b = (struct varlink_buffer){ 0 };
}

size_t varlink_buffer_size(const struct varlink_buffer *b)
{
	return b->end - b->begin;
}

static void move_to_front(struct varlink_buffer *b)
{
	if (b->begin == 0)
		return;
	memmove(b->data, b->data + b->begin, b->end - b->begin);
	b->scanned -= b->begin;
	b->end -= b->begin;
	b->begin = 0;
}

int varlink_buffer_reserve(struct varlink_buffer *b, size_t size)
{
	if (size <= b->capacity - b->end)
		return 0;
	/* Moving pays only when at least half of the room is free in front: amortised linear. */
	if (b->begin >= b->capacity / 2)
		move_to_front(b);
	if (size <= b->capacity - b->end)
		return 0;
	return mem_grow(&b->data, &b->capacity, b->end + size, 1);
}

int varlink_buffer_append(struct varlink_buffer *b, const void *bytes, size_t size)
{
	int r = varlink_buffer_reserve(b, size);

	if (r < 0)
		return r;
	if (size)
		memcpy(b->data + b->end, bytes, size);
	b->end += size;
	return 0;
}

void varlink_buffer_consume(struct varlink_buffer *b, size_t size)
{
	b->begin += size;
	if (b->scanned < b->begin)
		b->scanned = b->begin;
	if (b->begin < b->end)
		return;
	if (b->capacity > BUFFER_KEPT)
		varlink_buffer_done(b);
	b->begin = b->end = b->scanned = 0;
}

int varlink_buffer_next(struct varlink_buffer *b, size_t limit, const char **ret_text,
			size_t *ret_size)
{
	const char *nul = NULL;
	size_t size;

	if (b->begin == b->end)
		varlink_buffer_consume(b,
				       0); /* empty: start at the front, give large memory back */
	if (b->scanned < b->end)
		nul = memchr(b->data + b->scanned, '\0', b->end - b->scanned);
	size = nul ? (size_t)(nul - b->data) - b->begin : b->end - b->begin;
	if (size > limit)
		return -EMSGSIZE;
	if (!nul) {
		b->scanned = b->end;
		return 0;
	}
	*ret_text = b->data + b->begin;
	*ret_size = size;
	b->begin += size + 1;
	b->scanned = b->begin;
	return 1;
}

/* ---- messages ---- */

/* The object in `text`, or an error that says where it stops being one. */
static int load_object(const char *text, size_t size, json_t **ret, struct qerr *err)
{
	json_error_t e;
	json_t *root = json_loadb(text, size, JSON_REJECT_DUPLICATES, &e);

	if (!root)
		return qerr_set(err, -EBADMSG, "not JSON: %s (byte %d)", e.text, e.position);
	if (!json_is_object(root)) {
		json_decref(root);
		return qerr_set(err, -EBADMSG, "a message must be a JSON object");
	}
	*ret = root;
	return 0;
}

/* The object under parameters; an empty one is put there when it is absent or null. */
static int take_parameters(json_t *root, json_t **ret, struct qerr *err)
{
	json_t *parameters = json_object_get(root, "parameters");

	if (!parameters || json_is_null(parameters)) {
		parameters = json_object();
		if (!parameters || json_object_set_new(root, "parameters", parameters) < 0)
			return qerr_set(err, -ENOMEM, "out of memory");
	}
	if (!json_is_object(parameters))
		return qerr_set(err, -EBADMSG, "parameters must be an object");
	*ret = parameters;
	return 0;
}

static int take_flag(const json_t *root, const char *name, bool *ret, struct qerr *err)
{
	const json_t *flag = json_object_get(root, name);

	if (flag && !json_is_null(flag) && !json_is_boolean(flag))
		return qerr_set(err, -EBADMSG, "%s must be true or false", name);
	*ret = json_is_true(flag);
	return 0;
}

static int take_string(const json_t *root, const char *name, const char **ret, struct qerr *err)
{
	const json_t *string = json_object_get(root, name);

	if (string && !json_is_null(string) && !json_is_string(string))
		return qerr_set(err, -EBADMSG, "%s must be a string", name);
	*ret = json_string_value(string);
	return 0;
}

static int read_request(struct varlink_request *r, struct qerr *err)
{
	int e;

	if ((e = take_string(r->root, "method", &r->method, err)) < 0 ||
	    (e = take_parameters(r->root, &r->parameters, err)) < 0 ||
	    (e = take_flag(r->root, "more", &r->more, err)) < 0 ||
	    (e = take_flag(r->root, "oneway", &r->oneway, err)) < 0)
		return e;
	if (!r->method)
		return qerr_set(err, -EBADMSG, "a call must name its method");
	if (r->more && r->oneway)
		return qerr_set(err, -EBADMSG, "a call cannot be both more and oneway");
	return 0;
}

int varlink_request_parse(const char *text, size_t size, struct varlink_request *ret,
			  struct qerr *err)
{
	struct varlink_request request = { 0 };
	int r = load_object(text, size, &request.root, err);

	if (r < 0)
		return r;
	r = read_request(&request, err);
	if (r < 0) {
		varlink_request_done(&request);
		return r;
	}
	*ret = request;
	return 0;
}

void varlink_request_done(struct varlink_request *r)
{
	json_decref(r->root);
	*r = (struct varlink_request){ 0 };
}

int varlink_reply_parse(const char *text, size_t size, struct varlink_reply *ret, struct qerr *err)
{
	struct varlink_reply reply = { 0 };
	int r = load_object(text, size, &reply.root, err);

	if (r < 0)
		return r;
	if ((r = take_parameters(reply.root, &reply.parameters, err)) < 0 ||
	    (r = take_string(reply.root, "error", &reply.error, err)) < 0 ||
	    (r = take_flag(reply.root, "continues", &reply.continues, err)) < 0) {
		varlink_reply_done(&reply);
		return r;
	}
	*ret = reply;
	return 0;
}

void varlink_reply_done(struct varlink_reply *r)
{
	json_decref(r->root);
	*r = (struct varlink_reply){ 0 };
}

struct dump_state {
	struct varlink_buffer *buffer;
	size_t left; /* bytes that the message may still take */
	int error;
};

static int dump_bytes(const char *bytes, size_t size, void *data)
{
	struct dump_state *d = data;

	d->error = size > d->left ? -EMSGSIZE : varlink_buffer_append(d->buffer, bytes, size);
	d->left -= d->error ? 0 : size;
	return d->error ? -1 : 0;
}

int varlink_append(struct varlink_buffer *b, const json_t *message, size_t limit)
{
	struct dump_state d = { .buffer = b, .left = limit };
	size_t before = varlink_buffer_size(b);
	int r = 0;

	if (json_dump_callback(message, dump_bytes, &d, JSON_COMPACT) < 0)
		r = d.error ? d.error : -ENOMEM;
	if (r == 0)
		r = varlink_buffer_append(b, "", 1);
	if (r < 0) /* as it was: never half a message */
		b->end = b->begin + before;
	return r;
}

bool varlink_split(const char *method, size_t *ret_interface_size, const char **ret_name)
{
	const char *dot = strrchr(method, '.');

	if (!dot || dot == method || dot[1] == '\0')
		return false;
	*ret_interface_size = (size_t)(dot - method);
	*ret_name = dot + 1;
	return true;
}
