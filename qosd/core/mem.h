/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * mem - the few cleanup macros this tree uses, and no more.
 */
#ifndef QOSD_CORE_MEM_H
#define QOSD_CORE_MEM_H

#include <stdlib.h>

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define CLEANUP(fn)   __attribute__((cleanup(fn)))

/* Hand over a pointer: yields it and leaves NULL behind. */
#define TAKE_PTR(p)                                                                                \
	({                                                                                         \
		__typeof__(p) taken_ = (p);                                                        \
		(p) = NULL;                                                                        \
		taken_;                                                                            \
	})

static inline void mem_free_ptr(void *p)
{
	free(*(void **)p);
}
#define CLEANUP_FREE CLEANUP(mem_free_ptr)

/*
 * Grow *array so that it holds at least `need` elements of `size` bytes; *cap is its capacity.
 * 0, or -ENOMEM with the array untouched. Amortised doubling.
 */
int mem_grow(void *array, size_t *cap, size_t need, size_t size);

#endif
