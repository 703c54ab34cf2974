/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * arena - memory that is freed all at once (one per policy, one per plan).
 *
 * Returned memory is zeroed, aligned for any type, and lives until arena_free(). Not thread safe.
 */
#ifndef QOSD_CORE_ARENA_H
#define QOSD_CORE_ARENA_H

#include <stddef.h>

struct arena;

struct arena *arena_new(void);                      /* NULL when out of memory */
void arena_free(struct arena *a);                   /* NULL is fine */
void *arena_alloc(struct arena *a, size_t size);    /* NULL when out of memory */
char *arena_strdup(struct arena *a, const char *s); /* NULL in, NULL out */
char *arena_printf(struct arena *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
