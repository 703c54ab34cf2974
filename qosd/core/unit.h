/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * unit - text with a unit <-> exact integers, with overflow checks and without floating point.
 *
 *   size     bytes          "4GiB" "512MiB" "64KiB" "100B" "4GB"
 *                          (KiB, MiB, GiB, TiB: powers of 1024; kB, MB, GB, TB: of 1000)
 *   rate     bit/s          "20Mbit" "1.5Gbit" "64kbit" "800bit"
 *   brate    bytes/s        "400MB/s" "1GiB/s" "100B/s"
 *   time     microseconds   "250ms" "10s" "5us" "2min" "1h"
 *   share    permille       "150%" "12.5%" -> 1500, 125     (one decimal at the most)
 *   count    plain          "20000"
 *
 * Parsers take the whole string or nothing: 0 and *ret, or -EINVAL (no such form), -ERANGE (too
 * large); *ret is untouched on failure. One blank between number and unit is allowed.
 * Formatters write the shortest exact form that parses back to the same number (lossless round
 * trip) into buf and return buf. UNIT_TEXT_MAX bytes always suffice.
 */
#ifndef QOSD_CORE_UNIT_H
#define QOSD_CORE_UNIT_H

#include <stddef.h>
#include <stdint.h>

#define UNIT_TEXT_MAX 32

int unit_parse_size(const char *text, uint64_t *ret_bytes);
int unit_parse_rate(const char *text, uint64_t *ret_bps);
int unit_parse_byte_rate(const char *text, uint64_t *ret_bytes_per_s);
int unit_parse_time(const char *text, uint64_t *ret_us);
int unit_parse_share(const char *text, uint32_t *ret_permille);
int unit_parse_count(const char *text, uint64_t *ret_count);

char *unit_format_size(uint64_t bytes, char buf[UNIT_TEXT_MAX]);
char *unit_format_rate(uint64_t bps, char buf[UNIT_TEXT_MAX]);
char *unit_format_byte_rate(uint64_t bytes_per_s, char buf[UNIT_TEXT_MAX]);
char *unit_format_time(uint64_t us, char buf[UNIT_TEXT_MAX]);
char *unit_format_share(uint32_t permille, char buf[UNIT_TEXT_MAX]);

/* value * permille / 1000, saturating at UINT64_MAX. */
uint64_t unit_permille_of(uint64_t value, uint32_t permille);

#endif
