/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * netshare_model - rounds against a model of an uplink in simulated time: NICs with queues that
 * their own rates and the line's clock serve (bpf/edt_line.h), a host network beside them, and
 * demands that come and go.
 */
#ifndef QOSD_T_NETSHARE_MODEL_H
#define QOSD_T_NETSHARE_MODEL_H

#include <stdlib.h>

#include "qosd/core/netshare.h"
#include "t/unit/harness.h"

#define MBIT     1000000.0
#define STEP_US  10000
#define ROUND_US 100000
#define SLOW_US  400000
#define NICS_MAX 40
#define QUEUE_S  0.1 /* a queue holds what its rate carries in so long */

struct nic_model {
	double offered, reservation, limit, weight; /* bit/s; limit 0: none */
	double queue, sent, dropped;                /* bits, since the beginning */
	double got;                                 /* bit/s in the last step */
};

struct line_model {
	double capacity, host_offered, host_sent, host_got;
	double apart_sent; /* of host_sent, what is told apart */
	bool apart_known;
	struct nic_model nics[NICS_MAX];
	size_t nnics;
	struct network networks[3];
	struct policy policy;
	struct netshare *shares;
	struct netshare_output out;
	uint64_t now_us, next_round_us;
	double over; /* largest excess over the capacity in a step */
};

static inline void model_init(struct line_model *m, double capacity, double host_reservation)
{
	*m = (struct line_model){ .capacity = capacity, .now_us = 1000000 };
	m->networks[0] = (struct network){ .name = (char *)"tenant",
					   .device = (char *)"br0",
					   .uplink = (char *)"eth0" };
	m->networks[1] = (struct network){ .name = (char *)"storage",
					   .device = (char *)"eth0.7",
					   .uplink = (char *)"eth0",
					   .reservation_bps = (uint64_t)host_reservation };
	m->policy.networks = m->networks;
	m->policy.nnetworks = 2;
	m->shares = netshare_new();
	m->next_round_us = m->now_us;
}

static inline struct nic_model *model_add(struct line_model *m, double reservation, double weight)
{
	struct nic_model *n = &m->nics[m->nnics++];

	*n = (struct nic_model){ .reservation = reservation, .weight = weight };
	return n;
}

static inline double least(double a, double b)
{
	return a < b ? a : b;
}

static inline double rate_of(const struct line_model *m, size_t i)
{
	double rate = m->capacity;

	if (m->out.rates && m->out.rates[i].rate_bps[NETSHARE_OUT] != NETSHARE_FREE)
		rate = (double)m->out.rates[i].rate_bps[NETSHARE_OUT];
	return m->nics[i].limit > 0 ? least(rate, m->nics[i].limit) : rate;
}

/* What each may send in this step by its own clock, then what the line lets through. */
static inline void serve(struct line_model *m, double dt)
{
	double line = m->out.lines ? (double)m->out.lines[0].rate_bps[NETSHARE_OUT] : m->capacity;
	double asks[NICS_MAX], owned = 0, borrowed = 0, room, sum = 0;

	for (size_t i = 0; i < m->nnics; i++) {
		struct nic_model *n = &m->nics[i];

		n->queue += n->offered * dt;
		asks[i] = least(n->queue / dt, rate_of(m, i));
		n->got = least(asks[i], n->reservation);
		owned += n->got;
		borrowed += asks[i] - n->got;
	}
	room = line > owned ? line - owned : 0;
	for (size_t i = 0; i < m->nnics; i++) {
		struct nic_model *n = &m->nics[i];
		double lost;

		if (borrowed > 0)
			n->got += (asks[i] - n->got) * least(1, room / borrowed);
		n->sent += n->got * dt;
		n->queue -= n->got * dt;
		lost = n->queue - QUEUE_S * rate_of(m, i);
		if (lost > 0) {
			n->queue -= lost;
			n->dropped += lost;
		}
		sum += n->got;
	}
	m->host_got = least(m->host_offered, m->capacity - sum);
	m->host_sent += m->host_got * dt;
	if (sum - m->capacity > m->over)
		m->over = sum - m->capacity;
}

static inline void round_now(struct line_model *m)
{
	struct netshare_nic nics[NICS_MAX];
	struct netshare_network nets[3] = { { .capacity_bps = (uint64_t)m->capacity },
					    { .capacity_bps = (uint64_t)m->capacity },
					    { .capacity_bps = (uint64_t)m->capacity } };
	struct netshare_input in = { .now_us = m->now_us,
				     .policy = &m->policy,
				     .networks = nets,
				     .nics = nics,
				     .nnics = m->nnics };

	nets[1].host[NETSHARE_OUT] =
		(struct netshare_count){ .known = true, .bytes = (uint64_t)(m->host_sent / 8) };
	nets[2].host[NETSHARE_OUT] =
		(struct netshare_count){ .known = m->apart_known,
					 .bytes = (uint64_t)(m->apart_sent / 8) };
	for (size_t i = 0; i < m->nnics; i++) {
		const struct nic_model *n = &m->nics[i];

		nics[i] = (struct netshare_nic){
			.ifindex = 10 + (uint32_t)i,
			.weight = (uint32_t)n->weight,
			.reservation_bps = (uint64_t)n->reservation,
			.limit_bps = { NETSHARE_FREE,
				       n->limit > 0 ? (uint64_t)n->limit : NETSHARE_FREE },
			.count = { { .known = true },
				   { .known = true,
				     .bytes = (uint64_t)(n->sent / 8),
				     .pressed = (uint64_t)(n->dropped / 12000),
				     .lost_bytes = (uint64_t)(n->dropped / 8),
				     .queue_ns = (uint64_t)(n->queue / rate_of(m, i) * 1e9) } },
		};
	}
	CU_ASSERT_EQUAL(netshare_round(m->shares, &in, &m->out), 0);
	m->next_round_us = m->now_us + (m->out.busy ? ROUND_US : SLOW_US);
}

static inline void run(struct line_model *m, double seconds)
{
	uint64_t until = m->now_us + (uint64_t)(seconds * 1e6);

	for (; m->now_us < until; m->now_us += STEP_US) {
		if (m->now_us >= m->next_round_us)
			round_now(m);
		serve(m, STEP_US / 1e6);
	}
}

static inline void model_done(struct line_model *m)
{
	CU_ASSERT(m->over <= m->capacity * 1e-6);
	netshare_free(m->shares);
}

#endif
