/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * view_nic - one NIC of a guest: what it may, what it wants, what it gets, and what the shaper does
 * with the rest.
 *
 * Each direction has the same members, with "in_" (towards the guest) or "out_" before them. Limits
 * are read back from the host, rates are of the last two usage samples, counters and delay are the
 * shaper's as of now.
 */
#include <string.h>
#include <time.h>

#include "qosd/daemon/overload.h"
#include "qosd/daemon/view.h"

struct nic_view {
	struct engine *e;
	const struct guest *guest;
	const struct qclass *class;
	const struct guest_row *row; /* NULL: none */
	const struct guest_nic *nic;
	uint32_t index; /* of the NIC */
	json_t *json;
};

enum member { SHAPER, LIMIT, RATE, OFFERED_RATE, BYTES, OFFERED, DROPPED, MARKED, QUEUE, UNSHAPED };

static const char *const members[][2] = {
	[SHAPER] = { "out_shaper", "in_shaper" },
	[LIMIT] = { "out_limit_bps", "in_limit_bps" },
	[RATE] = { "out_bps", "in_bps" },
	[OFFERED_RATE] = { "out_offered_bps", "in_offered_bps" },
	[BYTES] = { "out_bytes", "in_bytes" },
	[OFFERED] = { "out_offered_bytes", "in_offered_bytes" },
	[DROPPED] = { "out_dropped", "in_dropped" },
	[MARKED] = { "out_marked", "in_marked" },
	[QUEUE] = { "out_queue_us", "in_queue_us" },
	[UNSHAPED] = { "out_unshaped", "in_unshaped" },
};

static void add(const struct nic_view *v, bool in, enum member m, json_t *value)
{
	json_object_set_new(v->json, members[m][in], value);
}

static json_t *counter(uint64_t value)
{
	return value == SAMPLE_UNKNOWN ? json_null() : json_integer((json_int_t)value);
}

/* ---- what it may ---- */

static json_t *limit_json(const struct nic_view *v, bool in)
{
	struct target t = {
		.kind = TARGET_NIC, .index = v->index, .guest_id = v->guest->id, .guest = v->guest
	};
	struct knob_value actual;

	if (engine_read(v->e, &t, in ? KNOB_NET_IN : KNOB_NET_OUT, &actual, NULL) < 0 ||
	    actual.u64 == KNOB_MAX || !actual.u64)
		return json_null(); /* 0: what is left of a limit, see knob.h */
	return json_integer((json_int_t)actual.u64);
}

/* ---- what it wants and gets ---- */

static const struct nic_sample *find(const struct usage_sample *s, const char *device)
{
	for (size_t i = 0; i < s->nnics; i++)
		if (strcmp(s->nics[i].device, device) == 0)
			return &s->nics[i];
	return NULL;
}

static json_t *rate_json(uint64_t before, uint64_t now, uint64_t gap_us)
{
	uint64_t bytes = sample_delta(before, now);

	if (bytes == SAMPLE_UNKNOWN || !gap_us)
		return json_null();
	return json_integer((json_int_t)(8 * (double)bytes * 1e6 / (double)gap_us));
}

/* Null without two samples of it. */
static void add_rates(const struct nic_view *v, bool in)
{
	const struct usage *u = view_rates(v->row);
	const struct nic_sample *a = u ? find(&u->before, v->nic->device) : NULL;
	const struct nic_sample *b = u ? find(&u->last, v->nic->device) : NULL;
	const struct nic_flow *before, *now;

	if (!a || !b) {
		add(v, in, RATE, json_null());
		add(v, in, OFFERED_RATE, json_null());
		return;
	}
	before = in ? &a->in : &a->out;
	now = in ? &b->in : &b->out;
	add(v, in, RATE, rate_json(before->bytes, now->bytes, u->last.at_us - u->before.at_us));
	add(v, in, OFFERED_RATE,
	    rate_json(before->offered_bytes, now->offered_bytes,
		      u->last.offered_at_us - u->before.offered_at_us));
}

/* ---- what the shaper does ---- */

static void add_reading(const struct nic_view *v, bool in, const struct nic_reading *r)
{
	const struct net_counters *c = &r->shaper;

	add(v, in, BYTES, counter(r->bytes));
	if (!r->counted)
		return;
	add(v, in, OFFERED, counter(c->offered_bytes));
	add(v, in, DROPPED, counter(c->dropped_packets));
	add(v, in, MARKED, counter(c->marked_packets));
	add(v, in, QUEUE, counter(c->queue_ns_max / 1000));
}

/* By its class, or its network: what it shares is the most that it may have. */
bool view_nic_wanted(const struct engine *e, const struct qclass *c, const struct guest_nic *nic,
		     bool in)
{
	return class_net_limit(c, in) != POLICY_NONE_U64 ||
	       (nic->ifindex && nic_parts_find(e->picture->parts, nic->ifindex));
}

/* Something is wanted and all of that is in force: what stands in another's way is none. */
static bool has_all(const struct engine *e, const struct qclass *c, const struct guest_nic *nic,
		    const struct net_about *about)
{
	bool in = view_nic_wanted(e, c, nic, true), out = view_nic_wanted(e, c, nic, false);

	return (in || out) && (!in || about->way[0]) && (!out || about->way[1]);
}

void view_nic_look(struct engine *e, const struct qclass *c, const struct guest_nic *nic,
		   struct net_about *ret)
{
	net_look(e->adapters[ADAPTER_NET], nic, ret);
	if (has_all(e, c, nic, ret))
		ret->obstacle[0] = '\0';
}

/*
 * Why no limit is in force, for people; NULL: none is wanted. in_obstacle: why there is none
 * towards the guest, which is told of that direction.
 */
static const char *why_unshaped(const struct nic_view *v, const char *in_obstacle)
{
	const struct qerr *trouble =
		v->row ? &v->row->lanes[v->nic->vf ? LANE_VF : ADAPTER_NET].trouble : NULL;

	if (!view_nic_wanted(v->e, v->class, v->nic, true) &&
	    !view_nic_wanted(v->e, v->class, v->nic, false))
		return "its class has no net.limit";
	if (in_obstacle && !view_nic_wanted(v->e, v->class, v->nic, false))
		return NULL;
	if (!engine_enforcing(v->e))
		return "mode observe: nothing is set";
	if (v->row && (v->row->released || guests_held(v->row, (uint64_t)time(NULL))))
		return "the operator holds or released the guest";
	return trouble && trouble->code ? trouble->text : "its limit is not in force yet";
}

json_t *view_nic(struct engine *e, size_t guest, uint32_t index)
{
	const struct guest *g = e->picture->inventory->guests[guest];
	const struct guest_nic *n = &g->nics[index];
	const struct sampler *sampler = &e->protection->sampler;
	struct nic_reading in, out;
	struct net_about about;
	char name[GUEST_NIC_TEXT_MAX];
	struct nic_view v = { .e = e,
			      .guest = g,
			      .class = &e->picture->assign[guest].effective,
			      .row = guests_find(&e->guests, g->id),
			      .nic = n,
			      .index = index };
	json_t *in_limit = limit_json(&v, true), *out_limit = limit_json(&v, false);
	bool shaped = !json_is_null(in_limit) || !json_is_null(out_limit);

	v.json = json_pack("{s:o}", "device",
			   view_text(guest_nic_text(n, name)[0] ? name : n->type));
	add(&v, true, LIMIT, in_limit);
	add(&v, false, LIMIT, out_limit);
	add_rates(&v, true);
	add_rates(&v, false);
	if (sampler->nic && n->device[0]) {
		sampler->nic(sampler->ctx, n, &in, &out);
		add_reading(&v, true, &in);
		add_reading(&v, false, &out);
	}
	json_object_set_new(v.json, "mac", view_text(n->mac));
	json_object_set_new(v.json, "type", view_text(n->type));
	view_nic_look(e, v.class, n, &about);
	add(&v, true, SHAPER, view_text(about.way[0]));
	add(&v, false, SHAPER, view_text(about.way[1]));
	json_object_set_new(v.json, "unshaped",
			    view_text(about.obstacle[0] ? about.obstacle
				      : shaped          ? NULL
							: why_unshaped(&v, about.in_obstacle)));
	if (about.in_obstacle)
		add(&v, true, UNSHAPED, view_text(about.in_obstacle));
	return v.json;
}
