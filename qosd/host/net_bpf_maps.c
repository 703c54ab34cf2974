/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the shaper's maps hold (bpf/edt.h): limits and clocks of NICs, lines, the ifb.
 *
 * A key gets its slot with net_bpf_make_state() and has it until net_bpf_delete(). The program
 * finds it by qosd_near or qosd_slot, in which it stands only while its cfg and state are its own:
 * written last, taken out first. A program that runs meanwhile may still use the slot that it has
 * found; if that is given to another NIC at once, a packet is charged to the wrong one.
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

static void take(struct net_slots *s, uint32_t slot, bool taken)
{
	uint64_t bit = UINT64_C(1) << slot % 64;

	if (taken)
		s->taken[slot / 64] |= bit;
	else
		s->taken[slot / 64] &= ~bit;
}

static int slot_by_hash(const struct net_bpf *b, uint32_t key, uint32_t *ret)
{
	if (bpf_map_lookup_elem(b->map_fd[NET_MAP_SLOT], &key, ret) < 0)
		return -errno;
	return *ret < EDT_ENTRIES ? 0 : -ERANGE;
}

int net_bpf_learn_slots(struct net_bpf *b)
{
	struct net_slots *s = &b->slots;
	uint32_t *keys, slot;
	size_t count;
	void *near;
	int r;

	if (s->known)
		return 0;
	r = net_bpf_keys(b, &keys, &count);
	if (r < 0)
		return r;
	for (size_t i = 0; i < count; i++)
		if (slot_by_hash(b, keys[i], &slot) == 0)
			take(s, slot, true);
	free(keys);
	near = mmap(NULL, NEAR_BYTES, PROT_READ, MAP_SHARED, b->map_fd[NET_MAP_NEAR], 0);
	s->near = near == MAP_FAILED ? NULL : near; /* then by the hash alone */
	s->known = true;
	return 0;
}

/* As the program finds it. */
static int slot_of(const struct net_bpf *b, uint32_t key, uint32_t *ret)
{
	const volatile uint64_t *places = b->slots.near;
	uint64_t near = places ? places[EDT_NEAR_PLACE(key)] : 0;

	if (!b->slots.known)
		return -ENOENT;
	if (!EDT_NEAR_HAS(near, key))
		return slot_by_hash(b, key, ret);
	*ret = EDT_NEAR_SLOT(near);
	return *ret < EDT_ENTRIES ? 0 : -ERANGE;
}

static int free_slot(const struct net_slots *s, uint32_t *ret)
{
	for (uint32_t i = 0; i < ARRAY_SIZE(s->taken); i++) {
		if (s->taken[i] == UINT64_MAX)
			continue;
		*ret = i * 64 + (uint32_t)__builtin_ctzll(~s->taken[i]);
		return 0;
	}
	return -ENOSPC;
}

static int put(const struct net_bpf *b, enum net_map map, uint32_t key, const void *value)
{
	return bpf_map_update_elem(b->map_fd[map], &key, value, BPF_ANY) < 0 ? -errno : 0;
}

static int give_slot(struct net_bpf *b, uint32_t key, const struct edt_cfg *cfg)
{
	struct edt_state state = { 0 };
	uint32_t slot;
	uint64_t near;
	int r = free_slot(&b->slots, &slot);

	if (r == 0)
		r = put(b, NET_MAP_STATE, slot, &state);
	if (r == 0)
		r = put(b, NET_MAP_CFG, slot, cfg);
	if (r == 0)
		r = put(b, NET_MAP_SLOT, key, &slot);
	if (r < 0)
		return r;
	take(&b->slots, slot, true);
	near = EDT_NEAR_OF(key, slot);
	(void)put(b, NET_MAP_NEAR, EDT_NEAR_PLACE(key), &near); /* slower without */
	return 0;
}

/* ---- limits and clocks ---- */

int net_bpf_get_cfg(const struct net_bpf *b, uint32_t key, struct edt_cfg *ret)
{
	uint32_t slot;
	int r = slot_of(b, key, &slot);

	if (r < 0)
		return r;
	return bpf_map_lookup_elem(b->map_fd[NET_MAP_CFG], &slot, ret) < 0 ? -errno : 0;
}

int net_bpf_set_cfg(struct net_bpf *b, uint32_t key, const struct edt_cfg *cfg, struct qerr *err)
{
	struct edt_cfg own = *cfg;
	uint32_t slot;
	int r = slot_of(b, key, &slot);

	own.key = key;
	if (r == 0)
		r = put(b, NET_MAP_CFG, slot, &own);
	else if (r == -ENOENT && b->slots.known)
		r = give_slot(b, key, &own);
	if (r < 0)
		return qerr_set(err, r, "cannot write the limit of device %u: %s", key >> 1,
				strerror(-r));
	return 0;
}

int net_bpf_get_state(const struct net_bpf *b, uint32_t key, struct edt_state *ret)
{
	uint32_t slot;
	int r = slot_of(b, key, &slot);

	if (r < 0)
		return r;
	return bpf_map_lookup_elem_flags(b->map_fd[NET_MAP_STATE], &slot, ret, BPF_F_LOCK) < 0
		       ? -errno
		       : 0;
}

void net_bpf_delete(struct net_bpf *b, uint32_t key)
{
	struct edt_cfg none = { 0 };
	uint64_t nothing = 0, near = 0;
	uint32_t slot, place = EDT_NEAR_PLACE(key);

	if (slot_of(b, key, &slot) < 0)
		return;
	(void)bpf_map_lookup_elem(b->map_fd[NET_MAP_NEAR], &place, &near);
	if (EDT_NEAR_HAS(near, key))
		(void)put(b, NET_MAP_NEAR, place, &nothing);
	bpf_map_delete_elem(b->map_fd[NET_MAP_SLOT], &key);
	(void)put(b, NET_MAP_CFG, slot, &none);
	take(&b->slots, slot, false);
}

int net_bpf_keys(const struct net_bpf *b, uint32_t **ret, size_t *ret_count)
{
	uint32_t *keys = NULL, key, *last = NULL;
	size_t count = 0, capacity = 0;
	int r = 0;

	while (net_bpf_is_open(b) &&
	       bpf_map_get_next_key(b->map_fd[NET_MAP_SLOT], last, &key) == 0) {
		r = mem_grow(&keys, &capacity, count + 1, sizeof(*keys));
		if (r < 0) {
			free(keys);
			return r;
		}
		keys[count++] = key;
		last = &keys[count - 1];
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
	r = put(b, NET_MAP_LINE, EDT_LINE_KEY(line, direction), &cfg);
	if (r < 0)
		return qerr_set(err, r, "cannot write the rate of line %u: %s", line, strerror(-r));
	return 0;
}

int net_bpf_set_ifb(const struct net_bpf *b, uint32_t ifindex, struct qerr *err)
{
	int r;

	if (b->map_fd[NET_MAP_IFB] < 0)
		return qerr_set(err, -ENOENT, "the network shaper is not loaded");
	r = put(b, NET_MAP_IFB, 0, &ifindex);
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
