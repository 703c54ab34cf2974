/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * control - the control socket: a varlink server on the daemon's sd-event loop.
 *
 * The daemon hands in a table of methods; the server does the rest: it accepts, asks the kernel
 * who the peer is (SO_PEERCRED, SO_PEERGROUPS), cuts frames, checks rights and parameter types,
 * calls the handler, and writes the reply when the peer takes it. Nothing here blocks.
 *
 * A handler answers at once or later. One call of a client is in work at a time, so replies keep
 * the order of calls; a call that is in work stops the reading of its client, nobody else's.
 * A client that goes away turns its call into an empty shell: replies to it are dropped.
 *
 * Bounds (see the constants below): message size, clients, clients of one user, idle time, output
 * not taken by its reader. Some places are kept for root, so that nobody can lock out the hook.
 *
 * Served besides the table: org.varlink.service.GetInfo and GetInterfaceDescription.
 * Errors sent by the server itself: org.varlink.service.{MethodNotFound, InvalidParameter,
 * InterfaceNotFound} and INTERFACE.{NotPermitted, Failed, Busy}.
 */
#ifndef QOSD_DAEMON_CONTROL_H
#define QOSD_DAEMON_CONTROL_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <systemd/sd-event.h>

#include "qosd/core/err.h"

#define CONTROL_MESSAGE_MAX        ((size_t)64 << 10) /* bytes, from those who may only read */
#define CONTROL_WRITER_MESSAGE_MAX ((size_t)2 << 20)  /* from those who may write: domain XML */
#define CONTROL_OUTPUT_MAX         ((size_t)32 << 20) /* of one client, not yet taken */
#define CONTROL_STREAM_OUTPUT_MAX                                                                  \
	((size_t)256 << 10) /* a stream's reader this far behind is dropped */
#define CONTROL_CLIENTS_MAX     64
#define CONTROL_CLIENTS_KEPT    16          /* of these for root alone */
#define CONTROL_CLIENTS_OF_USER 16          /* of one user other than root */
#define CONTROL_CLIENTS_REFUSED 4           /* who have no right at all and wait to be told so */
#define CONTROL_IDLE_US         60000000ULL /* without a call or a stream */
#define CONTROL_STALL_US        10000000ULL /* output waits and the peer takes nothing */

struct control;
struct control_call;

/* Who may call; who may the later may the earlier, too. */
enum control_right { CONTROL_READ, CONTROL_WRITE, CONTROL_ROOT };

enum control_type { CONTROL_STRING, CONTROL_INT, CONTROL_NUMBER, CONTROL_BOOL };

struct control_param {
	const char *name; /* NULL ends the list */
	enum control_type type;
	bool optional; /* may be absent or null */
};

#define CONTROL_PARAMS_MAX 6

/*
 * Answers `call` by exactly one of control_reply(), control_error*() now, or later after
 * control_call_ref(). `parameters` is an object (borrowed, lives as long as the call) that has
 * been checked: no unknown names, all needed ones there, types right (null may stand for absent).
 * Return 0; a negative errno without an answer is told to the client as Failed.
 */
typedef int (*control_handler)(struct control_call *call, json_t *parameters, void *user);

struct control_method {
	const char *name; /* without the interface: "Status" */
	enum control_right right;
	control_handler handler;
	struct control_param params[CONTROL_PARAMS_MAX + 1];
	bool routine; /* called by programs all the time: not worth a line in the log */
};

struct control_peer {
	pid_t pid; /* a hint for people only: pids are reused */
	uid_t uid;
	gid_t gid;
	bool may_read, may_write;
};

struct control_config {
	const char *path;        /* of the socket; a socket file that nobody serves is replaced */
	const char *interface;   /* "org.qosd.Control" */
	const char *description; /* its text in varlink's language (qosd.varlink) */
	const char *version;     /* for GetInfo */
	const struct control_method *methods; /* must outlive the server */
	size_t nmethods;
	void *user;                                                  /* given to handlers and log */
	void (*log)(void *user, int priority, const char *sentence); /* as syslog; NULL: none */
	const char *admin_group;    /* NULL: "qosd-admin"; a missing group is nobody */
	const char *read_group;     /* NULL: "qosd" */
	uint64_t idle_us, stall_us; /* 0: the constants above */
	int64_t priority;           /* of its event sources; larger is served later */
};

/*
 * Bind, listen and attach to `event`. Strings of `config` are copied. 0; -EADDRINUSE when another
 * daemon serves the socket; or another negative errno with a sentence.
 */
int control_new(sd_event *event, const struct control_config *config, struct control **ret,
		struct qerr *err);
/*
 * Drop all clients (their calls' on_gone is called), close, and unlink the socket if it still is
 * ours. Calls that the daemon still holds stay valid shells. Not from a handler. NULL is fine.
 */
void control_free(struct control *c);
size_t control_client_count(const struct control *c);

/* ---- one call ---- */
struct control_call *control_call_ref(struct control_call *call);
/* The last reference dropped without an answer is told to the client as Failed. NULL is fine. */
void control_call_unref(struct control_call *call);
const struct control_peer *control_call_peer(const struct control_call *call);
const char *control_call_method(const struct control_call *call); /* "Status" */
bool control_call_more(const struct control_call *call); /* the client asked for a stream */
bool control_call_gone(const struct control_call *call); /* nobody waits: answered or hung up */
/* Called at most once, from the loop, when the client goes before the answer. May unref the call.
 */
void control_call_on_gone(struct control_call *call, void (*gone)(struct control_call *, void *),
			  void *arg);

/*
 * The last (or only) answer. Takes over `parameters` in every case. NULL (it could not be made: out
 * of memory, text that is not UTF-8) is told as Failed; an empty answer is json_object().
 * 0, -EPIPE when nobody waits any more, -EALREADY when answered before, -EMSGSIZE, -ENOMEM.
 */
int control_reply(struct control_call *call, json_t *parameters);
/*
 * One answer of a stream ("continues"); only when control_call_more(), else -EINVAL. Takes over
 * `parameters` (NULL: -ENOMEM). -EPIPE also when the reader was so far behind that it has been
 * dropped.
 */
int control_reply_more(struct control_call *call, json_t *parameters);
/*
 * Answer with an error: `code` without a dot is put below the interface ("NoSuchGuest" ->
 * org.qosd.Control.NoSuchGuest). The sentence becomes parameters.message.
 */
int control_error(struct control_call *call, const char *code, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/* The same with more parameters beside the message (an object, taken over; NULL is none). */
int control_error_with(struct control_call *call, const char *code, json_t *parameters,
		       const char *fmt, ...) __attribute__((format(printf, 4, 5)));
/* A wrong value (not type) of a parameter: org.varlink.service.InvalidParameter with a sentence. */
int control_invalid(struct control_call *call, const char *parameter, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

#endif
