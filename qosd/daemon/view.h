/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * view - what the daemon tells, as JSON objects in the shapes of the contract (section 4).
 *
 * Every function returns a new object, or NULL when out of memory. Reading only: nothing here
 * changes the engine but its usage samples.
 */
#ifndef QOSD_DAEMON_VIEW_H
#define QOSD_DAEMON_VIEW_H

#include <jansson.h>

#include "qosd/daemon/engine.h"

struct net_about;

json_t *view_status(struct engine *e);
/*
 * brief: only what needs nothing read from the host but map look-ups and costs microseconds a
 * guest, for programs that ask often.
 */
json_t *view_list(struct engine *e, bool brief);
/* NIC `index` of guest number `guest` in e->picture. */
json_t *view_nic(struct engine *e, size_t guest, uint32_t index);
/* Is it to be limited, in this direction? */
bool view_nic_wanted(const struct engine *e, const struct qclass *c, const struct guest_nic *nic,
		     bool in);
/* How it is limited; an obstacle only where something that is wanted is not in force. */
void view_nic_look(struct engine *e, const struct qclass *c, const struct guest_nic *nic,
		   struct net_about *ret);
/* The guest's two samples when rates can be told from them, else NULL. row NULL is fine. */
const struct usage *view_rates(const struct guest_row *row);
/* Index of the guest in e->picture. */
json_t *view_show(struct engine *e, size_t index);
json_t *view_explain(struct engine *e, size_t index);
json_t *view_changes(const struct diff *diff);           /* array */
json_t *view_findings(const struct diag_list *findings); /* array */
json_t *view_capacity(struct engine *e);                 /* with a picture */
json_t *view_doctor(struct engine *e);

json_t *view_throttles(const struct engine *e); /* the operator's; array */
/* What is taken from a guest (index in e->picture), or null. */
json_t *view_guest_throttle(const struct engine *e, size_t index);

/* A wall-clock time in ms since 1970 as RFC 3339; 0 is null. */
json_t *view_time_ms(uint64_t ms);

/* A JSON string of any bytes: what is no UTF-8 or a control character becomes '?'. NULL is null. */
json_t *view_text(const char *text);

#endif
