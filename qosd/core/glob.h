/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * glob - shell patterns: '*', '?', "[a-z]", "[!0-9]" and '\' before a character meant literally.
 *
 * Works on bytes, the same in every locale, without recursion: names and titles come from tenants,
 * so the time is bounded by pattern length x text length. A '[' without its ']' is a plain '['.
 */
#ifndef QOSD_CORE_GLOB_H
#define QOSD_CORE_GLOB_H

#include <stdbool.h>

/* The whole text must match. fold: ASCII letters match in either case. */
bool glob_match(const char *pattern, const char *text, bool fold);

#endif
