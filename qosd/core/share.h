/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * share - who gets how much of one capacity: weighted max-min with guarantees and borrowing.
 *
 * Three fills, each by weight and each bounded (progressive filling: Bertsekas and Gallager, Data
 * Networks, 6.5.2):
 *
 *	1. what is owned    min(demand, reservation), all of it; when that is more than there is,
 *	                    filled with the reservations as weights
 *	2. what is asked    up to min(demand, limit) on top, by weight
 *	3. what is lent     the rest, which nobody asks for, up to the limit: head room for who
 *wakes up before the next division
 *
 * So nobody is above its limit; nobody is below min(demand, reservation, limit) while those fit;
 * nothing is left over while somebody wants it; the order of the array does not matter; and the
 * rates add up to at most the capacity. Whole numbers of any unit (bit/s, operations a second):
 * rounding down leaves less than one for each of the shares. All reservations together are below
 * 2^63.
 */
#ifndef QOSD_CORE_SHARE_H
#define QOSD_CORE_SHARE_H

#include <stddef.h>
#include <stdint.h>

#define SHARE_NO_LIMIT UINT64_MAX

struct share {
	uint64_t reservation;
	uint64_t limit;  /* SHARE_NO_LIMIT: none */
	uint64_t demand; /* what it would take if it could */
	uint32_t weight; /* 0: borrows nothing */
	uint64_t rate;   /* out */
};

struct share_slot { /* scratch */
	uint64_t room, weight;
	size_t index;
};

/* `scratch` has `count` elements. O(n log n); cannot fail, allocates nothing. */
void share_divide(uint64_t capacity, struct share *shares, size_t count,
		  struct share_slot *scratch);

#endif
