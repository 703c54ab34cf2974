/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "qosd/host/net_share.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "qosd/core/mem.h"
#include "qosd/host/net_shape.h"

void net_shares_done(struct net_shares *s)
{
	free(s->members);
}

static int by_ifindex(const void *pa, const void *pb)
{
	const struct net_member *a = pa, *b = pb;

	return (a->ifindex > b->ifindex) - (a->ifindex < b->ifindex);
}

void net_shares_fill(const struct net_shares *s, uint32_t key, const struct edt_cfg *old,
		     struct edt_cfg *cfg)
{
	struct net_member wanted = { .ifindex = key >> 1 };
	const struct net_member *m = NULL;

	if (s->told && s->count)
		m = bsearch(&wanted, s->members, s->count, sizeof(wanted), by_ifindex);
	if (m) {
		cfg->class_id = m->line;
		cfg->guaranteed_bps = m->guaranteed_bps[EDT_LINE_WAY(cfg->flags, key & 1)];
	} else if (!s->told && old) {
		cfg->class_id = old->class_id;
		cfg->guaranteed_bps = old->guaranteed_bps;
	}
}

int net_shares_ready(const struct net_shares *s, const struct net_bpf *bpf, struct qerr *err)
{
	int r = 0;

	for (uint32_t key = 0; r == 0 && key < EDT_LINES * 2; key++)
		if (s->line_bps[key])
			r = net_bpf_set_line(bpf, key >> 1, key & 1, s->line_bps[key], err);
	return r;
}

int net_set_line(struct adapter *a, uint32_t line, bool in, uint64_t rate_bps, struct qerr *err)
{
	struct net *n = a->ctx;
	enum edt_direction direction = in ? EDT_IN : EDT_OUT;
	uint32_t key = EDT_LINE_KEY(line, direction);
	int r;

	if (line == 0 || line >= EDT_LINES)
		return qerr_set(err, -EINVAL, "there is no line %u", line);
	if (n->readonly || n->shares.line_bps[key] == rate_bps)
		return 0;
	r = n->bpf.loaded ? net_bpf_set_line(&n->bpf, line, direction, rate_bps, err) : 0;
	if (r == 0)
		n->shares.line_bps[key] = rate_bps;
	return r;
}

static int settle_entry(struct net *n, uint32_t key, struct qerr *err)
{
	struct edt_cfg old, cfg;

	if (net_bpf_get_cfg(&n->bpf, key, &old) < 0)
		return 0; /* it joins when it is shaped */
	cfg = old;
	cfg.class_id = 0;
	cfg.guaranteed_bps = 0;
	net_shares_fill(&n->shares, key, &old, &cfg);
	return memcmp(&cfg, &old, sizeof(cfg)) == 0 ? 0 : net_bpf_set_cfg(&n->bpf, key, &cfg, err);
}

int net_shares_settle(struct net *n, struct qerr *err)
{
	uint32_t *keys;
	size_t count;
	int first, r = net_bpf_keys(&n->bpf, &keys, &count);

	n->shares.settled = false;
	if (r < 0)
		return qerr_set(err, r, "out of memory");
	first = 0;
	for (size_t i = 0; i < count; i++) {
		r = settle_entry(n, keys[i], first == 0 ? err : NULL);
		if (first == 0)
			first = r;
	}
	free(keys);
	n->shares.settled = first == 0;
	return first;
}

static bool same(const struct net_shares *s, const struct net_member *members, size_t count)
{
	if (!s->told || !s->settled || s->count != count)
		return false;
	for (size_t i = 0; i < count; i++)
		if (s->members[i].ifindex != members[i].ifindex ||
		    s->members[i].line != members[i].line ||
		    s->members[i].guaranteed_bps[0] != members[i].guaranteed_bps[0] ||
		    s->members[i].guaranteed_bps[1] != members[i].guaranteed_bps[1])
			return false;
	return true;
}

int net_set_members(struct adapter *a, struct net_member *members, size_t count, struct qerr *err)
{
	struct net *n = a->ctx;
	struct net_shares *s = &n->shares;
	int r;

	if (n->readonly)
		return 0;
	if (count)
		qsort(members, count, sizeof(*members), by_ifindex);
	if (same(s, members, count))
		return 0;
	if (mem_grow(&s->members, &s->capacity, count, sizeof(*members)) < 0)
		return qerr_set(err, -ENOMEM, "out of memory");
	if (count)
		memcpy(s->members, members, count * sizeof(*members));
	s->count = count;
	s->told = true;
	r = net_bpf_look(&n->bpf, NULL);
	s->settled = !net_bpf_try_again(r);
	if (!s->settled)
		return qerr_set(err, r, "cannot open the network shaper's maps: %s", strerror(-r));
	return r < 0 ? 0 : net_shares_settle(n, err); /* nothing is shaped */
}
