/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "qosd/core/netshare_private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "qosd/core/mem.h"
#include "qosd/core/share.h"

#define DEMAND_LEAST UINT64_C(16000)
#define HOST_ACTIVE  64 /* uses a 64th of its reservation: all of it is kept */
#define HOST_ROOM    16 /* else a sixteenth, with which to show that */
#define WAKE         16 /* one that asks for nothing may take a sixteenth */
#define CONTENDED    90 /* percent of the line that is asked for */
#define RELAXED      75
#define RELAX_US     UINT64_C(1000000) /* asked for less than that for so long: all are free */
#define LEAVES       75                /* percent of its part: who uses less leaves some of it */
#define ABOUT        90                /* percent of its part: it may have that already */
#define KEPT         8                 /* an eighth of what is left, or WAKE, is not given away */
#define BUSY         50                /* percent: look closely */
#define SAME         64                /* a change by less than a 64th is none */
#define SAME_IDLE    4                 /* ... or, of one that asks for nothing, a quarter */
#define QUANTUM      1000              /* rates are whole kbit/s */
#define CLOSEST_US   UINT64_C(1000)    /* two rounds closer than this tell nothing */
#define LOST_MOST    8                 /* at most an eighth of a line is left for what gets lost */
#define LOST_ROUNDS  8                 /* that loss is averaged over */

/* ---- life ---- */

struct netshare *netshare_new(void)
{
	return calloc(1, sizeof(struct netshare));
}

void netshare_free(struct netshare *s)
{
	if (!s)
		return;
	free(s->nics);
	free(s->next);
	free(s->rates);
	free(s->shares);
	free(s->slots);
	free(s->states);
	free(s->lines);
	free(s->line_of);
	free(s);
}

void netshare_reset(struct netshare *s)
{
	s->nnics = s->nlines = 0;
	s->round_us = 0;
	s->adopted = false;
}

int netshare_adopt(struct netshare *s, const struct netshare_rate *rates, size_t count)
{
	netshare_reset(s);
	if (mem_grow(&s->nics, &s->nics_room, count, sizeof(*s->nics)) < 0)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++) {
		s->nics[i] = (struct nic_state){ .ifindex = rates[i].ifindex };
		for (size_t d = 0; d < NETSHARE_DIRECTIONS; d++)
			s->nics[i].seen[d].rate_bps = rates[i].rate_bps[d];
	}
	s->nnics = count;
	s->adopted = count != 0;
	return 0;
}

static int make_room(struct netshare *s, size_t nnics, size_t nlines)
{
	if (mem_grow(&s->nics, &s->nics_room, nnics, sizeof(*s->nics)) < 0 ||
	    mem_grow(&s->next, &s->next_room, nnics, sizeof(*s->next)) < 0 ||
	    mem_grow(&s->rates, &s->rates_room, nnics, sizeof(*s->rates)) < 0 ||
	    mem_grow(&s->shares, &s->shares_room, nnics + nlines, sizeof(*s->shares)) < 0 ||
	    mem_grow(&s->slots, &s->slots_room, nnics + nlines, sizeof(*s->slots)) < 0 ||
	    mem_grow(&s->states, &s->states_room, nlines, sizeof(*s->states)) < 0 ||
	    mem_grow(&s->lines, &s->lines_room, nlines, sizeof(*s->lines)) < 0 ||
	    mem_grow(&s->line_of, &s->line_of_room, nlines, sizeof(*s->line_of)) < 0)
		return -ENOMEM;
	return 0;
}

static void take_networks(struct netshare *s, const struct policy *p, uint64_t now_us)
{
	if (p->nnetworks && (!s->round_us || p->nnetworks != s->nlines)) {
		memset(s->states, 0, p->nnetworks * sizeof(*s->states));
		memset(s->lines, 0, p->nnetworks * sizeof(*s->lines));
	}
	s->nlines = p->nnetworks;
	for (uint32_t i = 0; i < p->nnetworks; i++) {
		s->line_of[i] = netshare_line_of(p, i);
		for (size_t d = 0; s->adopted && d < NETSHARE_DIRECTIONS; d++) {
			s->states[i].contended[d] = true;
			s->states[i].asked_us[d] = now_us;
		}
	}
	s->adopted = false;
}

/* ---- what was done since the round before ---- */

static uint64_t nic_limit(const struct netshare_input *in, const struct netshare_nic *nic, size_t d)
{
	return least(nic->limit_bps[d], in->networks[nic->network].capacity_bps);
}

static void look_at_nic(const struct netshare_input *in, const struct netshare_nic *nic,
			struct nic_state *n, uint64_t dt_us)
{
	for (size_t d = 0; d < NETSHARE_DIRECTIONS; d++)
		netshare_look(&n->seen[d], &nic->count[d],
			      least(n->seen[d].rate_bps, nic_limit(in, nic, d)), dt_us);
}

/* The NICs of now with what is remembered of them; both are sorted. */
static void take_nics(struct netshare *s, const struct netshare_input *in, uint64_t dt_us)
{
	struct nic_state *before = s->nics;
	size_t k = 0, room = s->nics_room;

	for (size_t i = 0; i < in->nnics; i++) {
		struct nic_state *n = &s->next[i];
		uint32_t ifindex = in->nics[i].ifindex;

		while (k < s->nnics && before[k].ifindex < ifindex)
			k++;
		*n = (struct nic_state){ .ifindex = ifindex };
		for (size_t d = 0; d < NETSHARE_DIRECTIONS; d++)
			n->seen[d].rate_bps = NETSHARE_FREE;
		if (k < s->nnics && before[k].ifindex == ifindex)
			*n = before[k];
		look_at_nic(in, &in->nics[i], n, dt_us);
	}
	s->nics = s->next;
	s->nics_room = s->next_room;
	s->next = before;
	s->next_room = room;
	s->nnics = in->nnics;
}

/* ---- what is wanted ---- */

static uint64_t demand_of(const struct seen *s, uint64_t limit)
{
	uint64_t content = s->use_bps + DEMAND_LEAST;

	return s->hungry ? limit : least(content, limit);
}

/* A device that is not there carries nothing; what cannot be told apart may be there all the same.
 */
static bool is_unknown(const struct seen *s, const struct network *n)
{
	return !s->told && netshare_told_apart(n);
}

/*
 * The host's traffic: nobody knows whether it wants more than it gets. So all of a reservation is
 * kept once a part of it is used, and what it uses beyond counts as that of a NIC of weight 1.
 */
static struct share host_share(const struct seen *s, const struct network *n, uint64_t capacity)
{
	struct share share = { .reservation = n->reservation_bps, .limit = capacity, .weight = 1 };

	if (!n->reservation_bps)
		return (struct share){ 0 };
	share.demand = n->reservation_bps;
	if (s->use_bps <= n->reservation_bps / HOST_ACTIVE && !is_unknown(s, n))
		share.demand /= HOST_ROOM;
	share.demand = least(most(share.demand, s->use_bps + DEMAND_LEAST), capacity);
	return share;
}

/* What of the reservations of NICs fits beside the host's, as a part of each. */
static double fitting(const struct netshare *s, const struct netshare_input *in, uint32_t line,
		      uint64_t capacity)
{
	double nics = 0, host = 0, room;

	for (size_t i = 0; i < in->nnics; i++)
		if (s->line_of[in->nics[i].network] == line)
			nics += (double)in->nics[i].reservation_bps;
	for (uint32_t i = 0; i < in->policy->nnetworks; i++)
		if (s->line_of[i] == line)
			host += (double)in->policy->networks[i].reservation_bps;
	room = (double)capacity > host ? (double)capacity - host : 0;
	return nics > room ? room / nics : 1;
}

static void promise(struct netshare *s, const struct netshare_input *in, uint32_t line,
		    uint64_t capacity)
{
	double part = fitting(s, in, line, capacity);

	for (size_t i = 0; i < in->nnics; i++)
		if (s->line_of[in->nics[i].network] == line)
			s->rates[i].guaranteed_bps =
				(uint64_t)((double)in->nics[i].reservation_bps * part);
}

/* ---- one line, one direction ---- */

struct division {
	struct netshare *s;
	const struct netshare_input *in;
	uint32_t line;
	size_t d;
	uint64_t capacity, dt_us;
	size_t count; /* of shares: the host's first */
	size_t nhosts;
};

static bool on_line(const struct division *v, uint32_t network)
{
	return v->s->line_of[network] == v->line;
}

static void count_host(struct division *v, uint32_t network)
{
	netshare_look(&v->s->states[network].host[v->d], &v->in->networks[network].host[v->d],
		      NETSHARE_FREE, v->dt_us);
}

/*
 * A device's counters count what is told apart on its way through it as well; those of the uplink,
 * where a network has no other device, its guests too.
 */
static void count_once(struct division *v, uint32_t network)
{
	const struct network *all = v->in->policy->networks, *n = &all[network];
	struct seen *s = &v->s->states[network].host[v->d];
	bool is_uplink = strcmp(n->device, netshare_uplink(n)) == 0;

	if (netshare_told_apart(n))
		return;
	for (uint32_t i = 0; i < v->in->policy->nnetworks; i++)
		if (on_line(v, i) && netshare_told_apart(&all[i]) &&
		    (is_uplink || strcmp(all[i].device, n->device) == 0))
			s->use_bps -= least(s->use_bps, v->s->states[i].host[v->d].use_bps);
	for (size_t i = 0; is_uplink && i < v->in->nnics; i++)
		if (on_line(v, v->in->nics[i].network))
			s->use_bps -= least(s->use_bps, v->s->nics[i].seen[v->d].use_bps);
}

static void gather(struct division *v)
{
	for (uint32_t i = 0; i < v->in->policy->nnetworks; i++)
		if (on_line(v, i))
			count_host(v, i);
	for (uint32_t i = 0; i < v->in->policy->nnetworks; i++) {
		if (!on_line(v, i))
			continue;
		count_once(v, i);
		v->s->shares[v->count++] = host_share(&v->s->states[i].host[v->d],
						      &v->in->policy->networks[i], v->capacity);
	}
	v->nhosts = v->count;
	for (size_t i = 0; i < v->in->nnics; i++) {
		const struct netshare_nic *nic = &v->in->nics[i];
		uint64_t limit = nic_limit(v->in, nic, v->d);

		if (!on_line(v, nic->network))
			continue;
		v->s->shares[v->count++] = (struct share){
			.reservation = v->s->rates[i].guaranteed_bps,
			.limit = limit,
			.demand = demand_of(&v->s->nics[i].seen[v->d], limit),
			.weight = nic->weight,
		};
	}
}

static uint64_t asked(const struct division *v)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < v->count; i++)
		sum += v->s->shares[i].demand;
	return sum;
}

static bool contend(struct division *v, uint64_t demand)
{
	struct line_state *state = &v->s->states[v->line];
	uint64_t now_us = v->in->now_us;

	if (demand > percent(v->capacity, RELAXED))
		state->asked_us[v->d] = now_us;
	if (demand > percent(v->capacity, CONTENDED))
		state->contended[v->d] = true;
	else if (now_us - state->asked_us[v->d] >= RELAX_US)
		state->contended[v->d] = false;
	return state->contended[v->d];
}

static bool same_rate(uint64_t a, uint64_t b, uint64_t part)
{
	uint64_t high = most(a, b), low = least(a, b);

	return high - low < high / part || high == low;
}

static void settle_nic(struct division *v, size_t i, const struct share *share, bool contended)
{
	struct seen *seen = &v->s->nics[i].seen[v->d];
	const struct netshare_nic *nic = &v->in->nics[i];
	uint64_t limit = nic_limit(v->in, nic, v->d), rate = share->rate;
	uint64_t owned = v->s->rates[i].guaranteed_bps;
	uint64_t wakes = seen->use_bps + seen->use_bps / 4 + v->capacity / WAKE;
	bool asks = seen->hungry || share->demand >= limit / WAKE;

	if (!seen->hungry)
		rate = most(rate, wakes);
	else if (seen->leaves)
		rate = most(rate, least(wakes, 2 * rate));
	rate = most(most(rate - rate % QUANTUM, owned), NETSHARE_LEAST_BPS);
	if (!contended || nic->exempt || rate >= limit)
		rate = NETSHARE_FREE;
	else if (!seen->told && nic->count[v->d].known)
		rate = most(seen->rate_bps, owned); /* it is new, or adopted */
	if (seen->rate_bps == NETSHARE_FREE || rate == NETSHARE_FREE || seen->rate_bps < owned ||
	    !same_rate(seen->rate_bps, rate, asks ? SAME : SAME_IDLE))
		seen->rate_bps = rate;
	v->s->rates[i].rate_bps[v->d] = seen->rate_bps;
}

/* What the host's traffic is not to have, the NICs may take together. */
static void settle_line(struct division *v)
{
	struct netshare_line *line = &v->s->lines[v->line];
	uint64_t host = 0, rate;
	size_t k = 0;

	for (uint32_t i = 0; i < v->in->policy->nnetworks; i++) {
		if (!on_line(v, i))
			continue;
		host += least(v->s->shares[k].rate, v->s->shares[k].demand);
		k++;
	}
	rate = v->capacity - least(host, v->capacity - v->capacity / WAKE);
	if (!same_rate(line->rate_bps[v->d], rate, SAME))
		line->rate_bps[v->d] = rate;
}

/*
 * What NICs drop on its way in has crossed the uplink all the same, and who sends it learns of that
 * a round trip later: room is left for it, or it would be the uplink that drops, anybody's packets.
 * What is promised is not touched.
 */
static uint64_t lost_on_the_way(struct division *v)
{
	struct line_state *state = &v->s->states[v->line];
	uint64_t lost = 0, promised = 0;

	if (v->d != NETSHARE_IN)
		return 0;
	for (size_t k = 0; k < v->count; k++)
		promised += v->s->shares[k].reservation;
	for (size_t i = 0; i < v->in->nnics; i++)
		if (on_line(v, v->in->nics[i].network))
			lost += v->s->nics[i].seen[v->d].lost_bps;
	state->lost_bps = state->lost_bps - state->lost_bps / LOST_ROUNDS + lost / LOST_ROUNDS;
	return least(least(state->lost_bps, v->capacity / LOST_MOST),
		     v->capacity - least(promised, v->capacity));
}

/*
 * Who wants more need not use what it may: flows of TCP that recover from losses do not for a
 * while. They keep their part, and most of what they leave of it is spare; the rest they grow into
 * until the next round. Spare and part may be more than the line together: it sees to it that no
 * more is sent (edt_line.h); behind HTB, which has no such clock, that lasts for a round. What is
 * lost was asked for: a flood that the line held back leaves nothing. Nor does who was kept to less
 * than its part until now. `demand` counts what they ask for instead of all they may.
 */
static uint64_t left_over(struct division *v, uint64_t *demand)
{
	uint64_t left = 0;
	size_t k = v->nhosts;

	for (size_t i = 0; i < v->in->nnics; i++) {
		struct seen *seen = &v->s->nics[i].seen[v->d];
		uint64_t asked = seen->use_bps + seen->lost_bps;
		struct share *share;

		if (!on_line(v, v->in->nics[i].network))
			continue;
		share = &v->s->shares[k++];
		seen->leaves = seen->hungry && seen->rate_bps >= percent(share->rate, ABOUT) &&
			       asked < percent(share->rate, LEAVES);
		if (!seen->leaves)
			continue;
		*demand -= share->demand - asked;
		share->demand = share->rate;
		left += share->rate - asked;
	}
	return left - least(left / KEPT, v->capacity / WAKE);
}

static void divide(struct division *v, bool *busy)
{
	uint64_t demand, spare;
	size_t k;
	bool contended;

	gather(v);
	v->capacity -= lost_on_the_way(v);
	demand = asked(v);
	share_divide(v->capacity, v->s->shares, v->count, v->s->slots);
	settle_line(v);
	spare = left_over(v, &demand);
	contended = contend(v, demand);
	if (contended && spare)
		share_divide(v->capacity + spare, v->s->shares, v->count, v->s->slots);
	k = v->nhosts;
	for (size_t i = 0; i < v->in->nnics; i++)
		if (on_line(v, v->in->nics[i].network))
			settle_nic(v, i, &v->s->shares[k++], contended);
	v->s->lines[v->line].contended[v->d] = contended;
	*busy |= contended || demand > percent(v->capacity, BUSY);
}

/* ---- the round ---- */

static void round_line(struct netshare *s, const struct netshare_input *in, uint32_t line,
		       uint64_t dt_us, bool *busy)
{
	uint64_t capacity = in->networks[line].capacity_bps;

	promise(s, in, line, capacity);
	for (size_t d = 0; d < NETSHARE_DIRECTIONS; d++) {
		struct division v = {
			.s = s, .in = in, .line = line, .d = d, .capacity = capacity, .dt_us = dt_us
		};

		divide(&v, busy);
	}
}

int netshare_round(struct netshare *s, const struct netshare_input *in, struct netshare_output *ret)
{
	uint64_t dt_us = s->round_us ? in->now_us - s->round_us : 0;
	bool busy = false;

	if (make_room(s, in->nnics, in->policy->nnetworks) < 0) {
		*ret = (struct netshare_output){ 0 }; /* some of what it borrows may have moved */
		return -ENOMEM;
	}
	if (dt_us < CLOSEST_US)
		dt_us = 0;
	take_networks(s, in->policy, in->now_us);
	s->round_us = in->now_us;
	take_nics(s, in, dt_us);
	for (size_t i = 0; i < in->nnics; i++)
		s->rates[i] =
			(struct netshare_rate){ .ifindex = in->nics[i].ifindex,
						.rate_bps = { NETSHARE_FREE, NETSHARE_FREE } };
	for (uint32_t i = 0; i < s->nlines; i++) {
		if (s->line_of[i] == i && in->networks[i].capacity_bps)
			round_line(s, in, i, dt_us, &busy);
		else
			s->lines[i] = (struct netshare_line){ 0 };
	}
	*ret = (struct netshare_output){ .rates = s->rates,
					 .count = in->nnics,
					 .lines = s->lines,
					 .nlines = s->nlines,
					 .busy = busy };
	return 0;
}
