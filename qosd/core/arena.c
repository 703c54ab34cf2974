/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * arena - a chain of blocks; allocation moves a mark inside the newest one.
 *
 * Requests larger than a block get one of their own, put behind the newest so that the room left
 * there is still used. Blocks come from calloc, hence all memory handed out is zero.
 */
#include "qosd/core/arena.h"

#include <stdalign.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK_BYTES 8192

struct block {
	struct block *next;
	size_t used, size;
	alignas(max_align_t) unsigned char data[];
};

struct arena {
	struct block *newest;
};

struct arena *arena_new(void)
{
	return calloc(1, sizeof(struct arena));
}

void arena_free(struct arena *a)
{
	struct block *next;

	if (!a)
		return;
	for (struct block *b = a->newest; b; b = next) {
		next = b->next;
		free(b);
	}
	free(a);
}

static struct block *block_new(size_t size)
{
	struct block *b = calloc(1, sizeof(*b) + size);

	if (b)
		b->size = size;
	return b;
}

static void *alloc_own_block(struct arena *a, size_t size)
{
	struct block *b = block_new(size);

	if (!b)
		return NULL;
	b->used = size;
	if (a->newest) {
		b->next = a->newest->next;
		a->newest->next = b;
	} else {
		a->newest = b;
	}
	return b->data;
}

void *arena_alloc(struct arena *a, size_t size)
{
	const size_t align = alignof(max_align_t);
	struct block *b = a->newest;
	void *p;

	if (size > SIZE_MAX / 2)
		return NULL;
	size = size ? (size + align - 1) / align * align : align;
	if (size > BLOCK_BYTES / 4)
		return alloc_own_block(a, size);
	if (!b || b->size - b->used < size) {
		b = block_new(BLOCK_BYTES);
		if (!b)
			return NULL;
		b->next = a->newest;
		a->newest = b;
	}
	p = b->data + b->used;
	b->used += size;
	return p;
}

char *arena_strdup(struct arena *a, const char *s)
{
	size_t len;
	char *copy;

	if (!s)
		return NULL;
	len = strlen(s) + 1;
	copy = arena_alloc(a, len);
	return copy ? memcpy(copy, s, len) : NULL;
}

char *arena_printf(struct arena *a, const char *fmt, ...)
{
	va_list args;
	char *text;
	int len;

	va_start(args, fmt);
	len = vsnprintf(NULL, 0, fmt, args);
	va_end(args);
	if (len < 0)
		return NULL;
	text = arena_alloc(a, (size_t)len + 1);
	if (!text)
		return NULL;
	va_start(args, fmt);
	vsnprintf(text, (size_t)len + 1, fmt, args);
	va_end(args);
	return text;
}
