/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <time.h>

#include "qosd/core/mem.h"
#include "tools/client.h"
#include "tools/exporter.h"

static double now_s(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static int ask(struct client *c, const char *method, json_t *parameters, json_t **ret,
	       struct qerr *err)
{
	struct varlink_reply reply = { 0 };
	int r = client_send(c, method, parameters, false, err);

	if (r == 0)
		r = client_next(c, &reply, err);
	if (r == 0 && reply.error)
		r = qerr_set(err, -EPROTO, "%s: %s", method, client_error_text(&reply));
	else if (r == 0)
		*ret = json_incref(reply.parameters);
	varlink_reply_done(&reply);
	return r;
}

static void forget(struct reading *r)
{
	json_decref(r->status);
	json_decref(r->list);
	r->status = r->list = NULL;
	r->err = (struct qerr){ 0 };
}

void reading_take(struct reading *r, const char *socket, unsigned int limit_ms)
{
	double began_s = now_s();
	struct client c;
	int error;

	forget(r);
	error = client_open(&c, socket, limit_ms, &r->err);
	if (error == 0)
		error = ask(&c, "Status", NULL, &r->status, &r->err);
	if (error == 0)
		error = ask(&c, "List", json_pack("{s:b}", "brief", 1), &r->list, &r->err);
	client_close(&c);
	r->readings++;
	if (error < 0) {
		json_decref(TAKE_PTR(r->status));
		r->errors++;
	}
	r->took_s = now_s() - began_s;
}

void reading_done(struct reading *r)
{
	forget(r);
}
