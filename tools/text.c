/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tools/text.h"

#include <stdbool.h>
#include <string.h>

/* Bytes of the UTF-8 character at `s`, 1 for a stray byte. */
static size_t utf8_size(const unsigned char *s)
{
	size_t size = s[0] < 0x80 ? 1 : s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : 4;

	for (size_t i = 1; i < size; i++)
		if ((s[i] & 0xc0) != 0x80)
			return 1;
	return size;
}

/* Control characters (C0, DEL, C1), line separators, and what changes the direction of writing. */
static bool is_unsafe(const unsigned char *s, size_t size)
{
	if (size == 1)
		return s[0] < 0x20 || s[0] >= 0x7f;
	if (size == 2)
		return s[0] == 0xc2 && s[1] < 0xa0;
	if (size == 3 && s[0] == 0xe2 && s[1] == 0x80)
		return (s[2] >= 0xa8 && s[2] <= 0xae) || s[2] == 0x8e || s[2] == 0x8f;
	return size == 3 && s[0] == 0xe2 && s[1] == 0x81 && s[2] >= 0xa6 && s[2] <= 0xa9;
}

static char *clean(char *text, const char *kept)
{
	unsigned char *from = (unsigned char *)text, *to = from;

	while (*from) {
		size_t size = utf8_size(from);

		if (is_unsafe(from, size) && !(size == 1 && strchr(kept, *from))) {
			*to++ = '?';
		} else {
			memmove(to, from, size);
			to += size;
		}
		from += size;
	}
	*to = '\0';
	return text;
}

char *text_clean(char *text)
{
	return clean(text, "");
}

char *text_clean_lines(char *text)
{
	return clean(text, "\n\t");
}

size_t text_char_size(const char *text)
{
	return utf8_size((const unsigned char *)text);
}
