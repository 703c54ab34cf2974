/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * human - numbers for sentences: short, and rounded where the exact form would be long.
 *
 * Never parsed again: for values that a program reads use unit.h.
 */
#ifndef QOSD_CORE_HUMAN_H
#define QOSD_CORE_HUMAN_H

#include <stdint.h>

#define HUMAN_TEXT_MAX 32

/* "4GiB", "13.9GiB" (rounded down to one decimal), "100B". Returns buf. */
char *human_size(uint64_t bytes, char buf[HUMAN_TEXT_MAX]);
/* bit/s: "48.4Mbit", "10Gbit", "900bit" (rounded down to one decimal). Returns buf. */
char *human_rate(uint64_t bps, char buf[HUMAN_TEXT_MAX]);
/* 1/1000 CPU: "1 CPU", "0.25 CPUs". Returns buf. */
char *human_mcpu(uint64_t mcpu, char buf[HUMAN_TEXT_MAX]);

#endif
