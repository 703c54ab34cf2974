/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the shaper's maps hold (bpf/edt.h): limits and clocks of NICs, lines, the ifb.
 *
 * A key has its slot from the first net_bpf_set_cfg() to net_bpf_delete(). The program finds it by
 * qosd_near or qosd_slot, where it stands only while cfg and state are its own: written last, taken
 * out first. The daemon and its keeper may both give slots: whoever puts EDT_OWNER there first has
 * it. Slots are given in turn, so that a program that runs meanwhile does not find another NIC in
 * the one that it has looked up. Who is killed while he gives or takes one leaves it claimed for
 * good: one of EDT_ENTRIES.
 */
#include <bpf/bpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "qosd/core/mem.h"
#include "qosd/host/net_bpf.h"

#define NEAR_BYTES    (EDT_ENTRIES * sizeof(uint64_t))
#define LINE_BURST_NS 1000000ULL /* credit that a line keeps while idle */

/* ---- slots ---- */

void net_bpf_forget_slots(struct net_bpf *b)
{
	if (b->slots.near)
		munmap((void *)(uintptr_t)b->slots.near, NEAR_BYTES);
	b->slots = (struct net_slots){ 0 };
}

int net_bpf_learn_slots(struct net_bpf *b)
{
	void *near;

	if (b->slots.near)
		return 0;
	near = mmap(NULL, NEAR_BYTES, PROT_READ, MAP_SHARED, b->map_fd[NET_MAP_NEAR], 0);
	if (near == MAP_FAILED)
		return -errno;
	b->slots.near = near;
	return 0;
}

static int put(const struct net_bpf *b, enum net_map map, uint32_t key, const void *value,
	       uint64_t flags)
{
	return bpf_map_update_elem(b->map_fd[map], &key, value, flags) < 0 ? -errno : 0;
}

static int drop(const struct net_bpf *b, uint32_t key)
{
	return bpf_map_delete_elem(b->map_fd[NET_MAP_SLOT], &key) < 0 ? -errno : 0;
}

/* By qosd_near alone. -ENOENT: that tells nothing. */
static int slot_near(const struct net_bpf *b, uint32_t key, uint32_t *ret)
{
	const volatile uint64_t *places = b->slots.near;
	uint64_t near = places ? places[EDT_NEAR_PLACE(key)] : 0;

	if (!EDT_NEAR_HAS(near, key))
		return -ENOENT;
	*ret = EDT_NEAR_SLOT(near);
	return 0;
}

/* By qosd_slot. -ENOENT: it has none, or nothing is open. */
static int slot_by_hash(const struct net_bpf *b, uint32_t key, uint32_t *ret)
{
	if (!net_bpf_is_open(b))
		return -ENOENT;
	return bpf_map_lookup_elem(b->map_fd[NET_MAP_SLOT], &key, ret) < 0 ? -errno : 0;
}

static int entry_at(const struct net_bpf *b, uint32_t slot, uint32_t key, struct edt_cfg *ret)
{
	if (bpf_map_lookup_elem(b->map_fd[NET_MAP_CFG], &slot, ret) < 0)
		return -errno;
	return ret->key == key ? 0 : -ESTALE;
}

/* The slot with its entry, as the program finds it. -ENOENT: it has none; -ESTALE: nor is the one
 * that qosd_slot tells its own. */
static int entry_of(const struct net_bpf *b, uint32_t key, uint32_t *ret_slot, struct edt_cfg *ret)
{
	int r = slot_near(b, key, ret_slot);

	if (r == 0)
		r = entry_at(b, *ret_slot, key, ret);
	if (r == 0)
		return 0;
	r = slot_by_hash(b, key, ret_slot);
	return r == 0 ? entry_at(b, *ret_slot, key, ret) : r;
}

/* The program does not find it any more. */
static void hide(const struct net_bpf *b, uint32_t key)
{
	uint64_t nothing = 0;
	uint32_t slot;

	if (slot_near(b, key, &slot) == 0)
		(void)put(b, NET_MAP_NEAR, EDT_NEAR_PLACE(key), &nothing, BPF_ANY);
	(void)drop(b, key);
}

/* A slot that nobody has, for this key. */
static int claim(struct net_bpf *b, uint32_t key, uint32_t *ret)
{
	int r = -EEXIST;

	for (uint32_t i = 0; r == -EEXIST && i < EDT_ENTRIES; i++) {
		*ret = b->slots.next++ % EDT_ENTRIES;
		r = put(b, NET_MAP_SLOT, EDT_OWNER(*ret), &key, BPF_NOEXIST);
	}
	return r == -EEXIST ? -ENOSPC : r;
}

static int give_slot(struct net_bpf *b, uint32_t key, const struct edt_cfg *cfg)
{
	struct edt_state state = { 0 };
	struct edt_cfg none = { 0 };
	uint32_t slot;
	uint64_t near;
	int r = key < EDT_OWNER(0) ? claim(b, key, &slot) : -ERANGE;

	if (r < 0)
		return r;
	r = put(b, NET_MAP_STATE, slot, &state, BPF_ANY);
	if (r == 0)
		r = put(b, NET_MAP_CFG, slot, cfg, BPF_ANY);
	if (r == 0)
		r = put(b, NET_MAP_SLOT, key, &slot, BPF_NOEXIST);
	if (r < 0) {
		(void)put(b, NET_MAP_CFG, slot, &none, BPF_ANY);
		(void)drop(b, EDT_OWNER(slot));
		return r;
	}
	near = EDT_NEAR_OF(key, slot);
	(void)put(b, NET_MAP_NEAR, EDT_NEAR_PLACE(key), &near, BPF_ANY); /* slower without */
	return 0;
}

/* ---- limits and clocks ---- */

int net_bpf_get_cfg(const struct net_bpf *b, uint32_t key, struct edt_cfg *ret)
{
	uint32_t slot;
	int r = entry_of(b, key, &slot, ret);

	return r == -ESTALE ? -ENOENT : r;
}

static const char *why(int r)
{
	switch (r) {
	case -ENOSPC:
		return "all places for limits are taken";
	case -ERANGE:
		return "its index is too large";
	default:
		return strerror(-r);
	}
}

int net_bpf_set_cfg(struct net_bpf *b, uint32_t key, const struct edt_cfg *cfg, struct qerr *err)
{
	struct edt_cfg own = *cfg, old;
	uint32_t slot;
	int r = entry_of(b, key, &slot, &old);

	own.key = key;
	if (r == 0)
		r = put(b, NET_MAP_CFG, slot, &own, BPF_ANY);
	if (r == -ESTALE)
		hide(b, key);
	if (r == -ESTALE || r == -ENOENT)
		r = give_slot(b, key, &own);
	if (r == -EEXIST && entry_of(b, key, &slot, &old) == 0) /* another was quicker */
		r = put(b, NET_MAP_CFG, slot, &own, BPF_ANY);
	if (r < 0)
		return qerr_set(err, r, "cannot write the limit of device %u: %s", key >> 1,
				why(r));
	return 0;
}

int net_bpf_get_state(const struct net_bpf *b, uint32_t key, struct edt_state *ret)
{
	uint32_t slot;
	int r = slot_near(b, key, &slot);

	if (r < 0)
		r = slot_by_hash(b, key, &slot);
	if (r < 0)
		return r;
	return bpf_map_lookup_elem_flags(b->map_fd[NET_MAP_STATE], &slot, ret, BPF_F_LOCK) < 0
		       ? -errno
		       : 0;
}

void net_bpf_delete(struct net_bpf *b, uint32_t key)
{
	struct edt_cfg none = { 0 }, old;
	uint32_t slot;
	bool own = entry_of(b, key, &slot, &old) == 0;

	if (!net_bpf_is_open(b))
		return;
	hide(b, key);
	if (!own)
		return;
	(void)put(b, NET_MAP_CFG, slot, &none, BPF_ANY);
	(void)drop(b, EDT_OWNER(slot));
}

int net_bpf_keys(const struct net_bpf *b, uint32_t **ret, size_t *ret_count)
{
	uint32_t *keys = NULL, key, *last = NULL, at;
	size_t count = 0, capacity = 0;
	int r = 0;

	while (net_bpf_is_open(b) &&
	       bpf_map_get_next_key(b->map_fd[NET_MAP_SLOT], last, &key) == 0) {
		at = key;
		last = &at;
		if (key >= EDT_OWNER(0))
			continue;
		r = mem_grow(&keys, &capacity, count + 1, sizeof(*keys));
		if (r < 0) {
			free(keys);
			return r;
		}
		keys[count++] = key;
	}
	*ret = keys;
	*ret_count = count;
	return 0;
}

/* ---- lines, and the ifb ---- */

int net_bpf_set_line(const struct net_bpf *b, uint32_t line, enum edt_direction direction,
		     uint64_t rate_bps, struct qerr *err)
{
	struct edt_line_cfg cfg = { .rate_bps = rate_bps, .burst_ns = LINE_BURST_NS };
	int r;

	if (b->map_fd[NET_MAP_LINE] < 0)
		return qerr_set(err, -ENOENT, "the network shaper is not loaded");
	r = put(b, NET_MAP_LINE, EDT_LINE_KEY(line, direction), &cfg, BPF_ANY);
	if (r < 0)
		return qerr_set(err, r, "cannot write the rate of line %u: %s", line, strerror(-r));
	return 0;
}

int net_bpf_set_ifb(const struct net_bpf *b, uint32_t ifindex, struct qerr *err)
{
	int r;

	if (b->map_fd[NET_MAP_IFB] < 0)
		return qerr_set(err, -ENOENT, "the network shaper is not loaded");
	r = put(b, NET_MAP_IFB, 0, &ifindex, BPF_ANY);
	if (r < 0)
		return qerr_set(err, r, "cannot write the index of the ifb: %s", strerror(-r));
	return 0;
}

uint32_t net_bpf_ifb(const struct net_bpf *b)
{
	uint32_t first = 0, ifindex;

	if (b->map_fd[NET_MAP_IFB] < 0 ||
	    bpf_map_lookup_elem(b->map_fd[NET_MAP_IFB], &first, &ifindex) < 0)
		return 0;
	return ifindex;
}
