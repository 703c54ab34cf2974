/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * netshare_look - from two counts to what was done, and whether more is wanted.
 */
#include "qosd/core/netshare_private.h"

#define QUEUE_NS   4000000ULL /* a longer queue wants more */
#define NEARLY_ALL 10         /* uses all but a tenth of what it may: wants more */

/* Whoever could not have all that it asked for, of `may_bps`, wants more. */
static bool is_hungry(const struct seen *s, const struct netshare_count *now, uint64_t may_bps)
{
	return now->pressed > s->count.pressed || now->queue_ns > QUEUE_NS ||
	       s->use_bps > may_bps - may_bps / NEARLY_ALL;
}

static uint64_t rate_of(uint64_t bytes, uint64_t dt_us)
{
	return (uint64_t)((double)bytes * 8e6 / (double)dt_us);
}

void netshare_look(struct seen *s, const struct netshare_count *now, uint64_t may_bps,
		   uint64_t dt_us)
{
	bool told = now->known && s->count.known && now->bytes >= s->count.bytes &&
		    now->pressed >= s->count.pressed && now->lost_bytes >= s->count.lost_bytes &&
		    dt_us;

	s->told = told;
	s->use_bps = told ? rate_of(now->bytes - s->count.bytes, dt_us) : 0;
	s->lost_bps = told ? rate_of(now->lost_bytes - s->count.lost_bytes, dt_us) : 0;
	s->hungry = told && is_hungry(s, now, may_bps);
	s->count = *now;
}
