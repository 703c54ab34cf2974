/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * control_private - what the files of the control server share; nobody else includes it.
 *
 *   control.c         the server: listening, limits, the sweep over idle and stalled clients
 *   control_client.c  one connection: reading, cutting, writing, going away
 *   control_call.c    one call: rights, types, the handler, the answer
 *   control_service.c org.varlink.service
 *   control_socket.c  the socket file and the peer's credentials
 *
 * Ownership: the server owns its clients. A call is owned by those who hold references (the
 * dispatcher while the handler runs, the daemon if it answers later); client->call and call->client
 * point at each other without owning, and are both cleared when the call is answered or the client
 * goes. A dropped client is closed at once and freed by the next sweep of the dead, so that no
 * function on the stack is left with a dangling client.
 */
#ifndef QOSD_DAEMON_CONTROL_PRIVATE_H
#define QOSD_DAEMON_CONTROL_PRIVATE_H

#include "qosd/daemon/control.h"
#include "qosd/daemon/varlink.h"

#define CONTROL_SERVICE_INTERFACE "org.varlink.service"
#define CONTROL_INVALID_PARAMETER CONTROL_SERVICE_INTERFACE ".InvalidParameter"

struct control_client {
	struct control *server;
	struct control_client *next; /* in server->clients or server->dead */
	int fd;                      /* -1: dropped */
	struct control_peer peer;
	sd_event_source *io, *again; /* again: messages are left, but others had to get a turn */
	struct varlink_buffer in, out;
	struct control_call *call; /* in work, not owned */
	uint64_t active_us;        /* last call begun or ended, or output taken (CLOCK_MONOTONIC) */
	bool eof;                  /* nothing more will come; answers are still wanted */
	bool closing;              /* close when the output is out */
};

struct control_call {
	unsigned int refs;
	struct control_client *client; /* not owned; NULL: answered or gone */
	const struct control_method *method;
	struct varlink_request request;
	struct control_peer peer;
	bool answered;
	void (*gone)(struct control_call *call, void *arg);
	void *gone_arg;
};

struct control {
	struct control_config config; /* strings are ours */
	sd_event *event;
	sd_event_source *listener, *sweeper, *reaper;
	struct control_client *clients, *dead;
	size_t nclients;
	gid_t admin_gid, read_gid; /* (gid_t) -1: no such group */
	dev_t socket_dev;          /* identity of the socket file */
	ino_t socket_ino;
	uint64_t log_window_us; /* complaints about clients: a few in a window of time */
	unsigned int logged;
};

/* control.c */
uint64_t control_now(const struct control *c); /* us, CLOCK_MONOTONIC */
/* Tell the daemon of a misbehaving client; cut to a few lines in a while. */
void control_complain(struct control *c, int priority, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
void control_log(const struct control *c, int priority, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* control_client.c */
int control_client_new(struct control *c, int fd, const struct control_peer *peer);
/* Close now, free later. */
void control_client_drop(struct control_client *client);
void control_client_free(struct control_client *client); /* of a dropped one */
/* Send what waits and can be sent; drops the client when it is gone. */
void control_client_flush(struct control_client *client);
/* The call in work is over: go on with the next message when the loop comes round. */
void control_client_resume(struct control_client *client);

/* control_call.c */
/* Begin the call in `text`. The client may have been dropped on return. */
void control_call_begin(struct control_client *client, const char *text, size_t size);
/* The client goes: turn its call into a shell and tell whoever holds it. */
void control_call_abandon(struct control_call *call);
/* Queue an error that answers no particular call (`code` in full). */
void control_client_error(struct control_client *client, const char *code, const char *sentence);
/* {"error": CODE, "parameters": {.., "message": SENTENCE}}; `parameters` taken over, may be NULL.
 */
json_t *control_error_message(const char *code, json_t *parameters, const char *sentence);

/* control_service.c */
const struct control_method *control_service_find(const char *name); /* its user is the server */

/* control_socket.c */
/* Listening, non-blocking, at `path`; identity of the file in dev and ino. fd or negative errno. */
int control_socket_listen(const char *path, dev_t *ret_dev, ino_t *ret_ino, struct qerr *err);
void control_socket_unlink(const char *path, dev_t dev, ino_t ino);
gid_t control_group(const char *name); /* (gid_t) -1: no such group */
/* Who is at the other end, by the kernel's word at connect time. 0 or negative errno. */
int control_socket_peer(int fd, gid_t admin_gid, gid_t read_gid, struct control_peer *ret);

#endif
