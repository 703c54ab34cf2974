/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * mem - growing arrays.
 */
#include "qosd/core/mem.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>

#define FIRST_CAPACITY 8

int mem_grow(void *array, size_t *cap, size_t need, size_t size)
{
	size_t want = *cap ? *cap : FIRST_CAPACITY, bytes;
	void *old, *grown;

	if (need <= *cap)
		return 0;
	while (want < need) {
		if (want > SIZE_MAX / 2)
			return -ENOMEM;
		want *= 2;
	}
	if (__builtin_mul_overflow(want, size, &bytes))
		return -ENOMEM;
	/* `array` points to a pointer of some object type; memcpy keeps the aliasing rules. */
	memcpy(&old, array, sizeof(old));
	grown = realloc(old, bytes);
	if (!grown)
		return -ENOMEM;
	memcpy(array, &grown, sizeof(grown));
	*cap = want;
	return 0;
}
