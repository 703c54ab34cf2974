/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * client - calls to the daemon on its control socket, with a time limit. Says nothing itself:
 * every failure is a negative errno and one sentence.
 *
 * Every wait is bounded by a deadline on the monotonic clock, so that a daemon that hangs is told
 * as such. Answers are bounded in size.
 */
#ifndef QOSD_TOOLS_CLIENT_H
#define QOSD_TOOLS_CLIENT_H

#include <stdint.h>

#include "qosd/core/err.h"
#include "qosd/daemon/varlink.h"

#define CLIENT_SOCKET "/run/qosd/control.sock"

struct client {
	int fd;
	int64_t deadline_ms; /* -1: none */
	unsigned int limit_ms;
	struct varlink_buffer in, out;
};

/*
 * Connect. All calls together may take `limit_ms`. -ENOENT, -ECONNREFUSED: nobody serves the
 * socket; -EACCES: it may not be used; -ETIMEDOUT; -ENAMETOOLONG: no such path can be. Close it in
 * every case.
 */
int client_open(struct client *c, const char *path, unsigned int limit_ms, struct qerr *err);
void client_close(struct client *c);
/* Whatever comes from now on may take as long as it will: a stream. */
void client_wait_for_ever(struct client *c);

/*
 * Send a call of "org.qosd.Control.METHOD" with `parameters` (taken over, NULL: none); `more` asks
 * for a stream. When the daemon hung up, that is told by client_next(), as it may have said why.
 */
int client_send(struct client *c, const char *method, json_t *parameters, bool more,
		struct qerr *err);
/*
 * The next answer, which may be an error of the daemon's. -ETIMEDOUT, -ECONNRESET: none came;
 * -EBADMSG, -EMSGSIZE: it cannot be read.
 */
int client_next(struct client *c, struct varlink_reply *ret, struct qerr *err);

/* Is it this error, in whatever interface: "NotPermitted"? */
bool client_error_is(const struct varlink_reply *reply, const char *name);
/* Why the daemon refused, as a sentence; valid as long as the reply. */
const char *client_error_text(const struct varlink_reply *reply);

#endif
