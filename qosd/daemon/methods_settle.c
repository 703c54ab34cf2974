/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdlib.h>

#include "qosd/daemon/methods_private.h"

#define SETTLE_LIMIT_US 4000000ULL
#define SETTLE_CHECK_US 5000ULL
#define TICK_DELAY_US   50000ULL

struct waiter {
	struct engine *e;
	struct waiter *next;
	struct control_call *call;
	json_t *reply;           /* gets "changes", and "pending" when not all is in force */
	uint32_t class_guest;    /* whose class was set; 0: none */
	uint64_t written_before; /* e->written when the call came */
	uint64_t until_us;
	sd_event_source *timer;
};

static void waiter_free(struct waiter *w)
{
	struct waiter **at = &w->e->waiters;

	while (*at && *at != w)
		at = &(*at)->next;
	if (*at)
		*at = w->next;
	sd_event_source_disable_unref(w->timer);
	control_call_unref(w->call);
	json_decref(w->reply);
	free(w);
}

void methods_stop(struct engine *e)
{
	while (e->waiters)
		waiter_free(e->waiters);
}

static void waiter_answer(struct waiter *w)
{
	struct engine *e = w->e;
	const struct guest_row *row =
		w->class_guest ? guests_find(&e->guests, w->class_guest) : NULL;

	if (row && row->refused.code) {
		control_error(w->call, "Failed", "%s", row->refused.text);
		return;
	}
	json_object_set_new(w->reply, "changes",
			    json_integer((json_int_t)(e->written - w->written_before)));
	if (!engine_settled(e))
		json_object_set_new(
			w->reply, "pending",
			json_integer((json_int_t)(e->inflight.open + e->classes_assumed)));
	control_reply(w->call, json_incref(w->reply));
}

static int on_settle_check(sd_event_source *s, uint64_t usec, void *user)
{
	struct waiter *w = user;

	if (!engine_settled(w->e) && usec < w->until_us && !control_call_gone(w->call)) {
		(void)sd_event_source_set_time(s, engine_now_us(w->e) + SETTLE_CHECK_US);
		return sd_event_source_set_enabled(s, SD_EVENT_ONESHOT);
	}
	waiter_answer(w);
	waiter_free(w);
	return 0;
}

static int reply_later(struct control_call *call, struct engine *e, uint64_t written_before,
		       uint32_t class_guest, json_t *reply, uint64_t delay_us)
{
	struct waiter *w = calloc(1, sizeof(*w));
	uint64_t now_us = engine_now_us(e);

	if (!w || !reply) {
		free(w);
		return control_reply(call, reply);
	}
	*w = (struct waiter){ .e = e,
			      .next = e->waiters,
			      .call = control_call_ref(call),
			      .reply = reply,
			      .class_guest = class_guest,
			      .written_before = written_before,
			      .until_us = now_us + SETTLE_LIMIT_US };
	e->waiters = w;
	if (sd_event_add_time(e->event, &w->timer, CLOCK_MONOTONIC, now_us + delay_us, 1,
			      on_settle_check, w) < 0) {
		waiter_answer(w);
		waiter_free(w);
	}
	return 0;
}

int reply_when_settled(struct control_call *call, struct engine *e, uint64_t written_before,
		       uint32_t class_guest, json_t *reply)
{
	return reply_later(call, e, written_before, class_guest, reply, 0);
}

int reply_after_tick(struct control_call *call, struct engine *e, uint64_t written_before,
		     json_t *reply)
{
	return reply_later(call, e, written_before, 0, reply, TICK_DELAY_US);
}
