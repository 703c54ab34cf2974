/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * text - what a terminal may be sent. Names come from tenants: a control character, an escape
 * sequence or a change of writing direction in one must not reach the operator's terminal.
 */
#ifndef QOSD_TOOLS_TEXT_H
#define QOSD_TOOLS_TEXT_H

#include <stddef.h>

/* Control and direction characters become '?'. In place. */
char *text_clean(char *text);
/* The same with line ends and tabs left as they are. */
char *text_clean_lines(char *text);
/* Bytes of the UTF-8 character at `text`, 1 for a stray byte. */
size_t text_char_size(const char *text);

#endif
