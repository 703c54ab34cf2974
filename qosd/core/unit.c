/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * unit - numbers with units, exact in both directions.
 *
 * A text is INTEGER[.FRACTION][blank]UNIT. The value is INTEGER * m + FRACTION * m / 10^digits for
 * the unit's multiplier m; it must be a whole number, else the text is refused ("1.0001kB"). The
 * fraction is reduced by greatest common divisors first, so nothing can overflow on the way.
 */
#include "qosd/core/unit.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "qosd/core/mem.h"

#define FORMAT_DECIMALS_MAX 3 /* "1.125GiB" is readable, more is not */

struct unit {
	const char *name;
	uint64_t multiplier;
};

/* Ascending. The first one names a zero. */
static const struct unit size_units[] = {
	{ "B", 1 },
	{ "kB", UINT64_C(1000) },
	{ "KiB", UINT64_C(1) << 10 },
	{ "MB", UINT64_C(1000000) },
	{ "MiB", UINT64_C(1) << 20 },
	{ "GB", UINT64_C(1000000000) },
	{ "GiB", UINT64_C(1) << 30 },
	{ "TB", UINT64_C(1000000000000) },
	{ "TiB", UINT64_C(1) << 40 },
};

static const struct unit byte_rate_units[] = {
	{ "B/s", 1 },
	{ "kB/s", UINT64_C(1000) },
	{ "KiB/s", UINT64_C(1) << 10 },
	{ "MB/s", UINT64_C(1000000) },
	{ "MiB/s", UINT64_C(1) << 20 },
	{ "GB/s", UINT64_C(1000000000) },
	{ "GiB/s", UINT64_C(1) << 30 },
	{ "TB/s", UINT64_C(1000000000000) },
	{ "TiB/s", UINT64_C(1) << 40 },
};

static const struct unit rate_units[] = {
	{ "bit", 1 },
	{ "kbit", UINT64_C(1000) },
	{ "Mbit", UINT64_C(1000000) },
	{ "Gbit", UINT64_C(1000000000) },
	{ "Tbit", UINT64_C(1000000000000) },
};

static const struct unit time_units[] = {
	{ "us", 1 },
	{ "ms", UINT64_C(1000) },
	{ "s", UINT64_C(1000000) },
	{ "min", UINT64_C(60000000) },
	{ "h", UINT64_C(3600000000) },
};

static const struct unit share_units[] = {
	{ "%", 10 },
};

struct decimal {
	uint64_t whole, fraction, scale; /* whole + fraction / scale, scale a power of ten */
	unsigned int digits;             /* after the point, as written */
};

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static uint64_t gcd(uint64_t a, uint64_t b)
{
	while (b) {
		uint64_t rest = a % b;

		a = b;
		b = rest;
	}
	return a;
}

/* Digits at *p, which moves behind them; at least one. */
static int take_digits(const char **p, uint64_t *ret)
{
	uint64_t n = 0;
	int r = 0;

	if (!is_digit(**p))
		return -EINVAL;
	for (; is_digit(**p); (*p)++)
		if (__builtin_mul_overflow(n, UINT64_C(10), &n) ||
		    __builtin_add_overflow(n, (uint64_t)(**p - '0'), &n))
			r = -ERANGE;
	*ret = n;
	return r;
}

/* The digits after the point; trailing zeros do not count. */
static int take_fraction(const char **p, struct decimal *d)
{
	unsigned int zeros = 0;

	if (!is_digit(**p))
		return -EINVAL;
	for (; is_digit(**p); (*p)++) {
		d->digits++;
		if (**p == '0') {
			zeros++;
			continue;
		}
		for (zeros++; zeros > 0; zeros--) {
			if (d->scale > UINT64_C(100000000000000000))
				return -EINVAL;
			d->scale *= 10;
			d->fraction *= 10;
		}
		d->fraction += (uint64_t)(**p - '0');
	}
	return 0;
}

static int take_decimal(const char **p, struct decimal *ret)
{
	struct decimal d = { .scale = 1 };
	int r = take_digits(p, &d.whole);

	if (r == 0 && **p == '.') {
		(*p)++;
		r = take_fraction(p, &d);
	}
	*ret = d;
	return r;
}

static int scale_up(const struct decimal *d, uint64_t multiplier, uint64_t *ret)
{
	uint64_t common = gcd(d->scale, multiplier), value;
	uint64_t rest = d->scale / common; /* must go into the fraction */

	if (d->fraction % rest)
		return -EINVAL;
	if (__builtin_mul_overflow(d->whole, multiplier, &value) ||
	    __builtin_add_overflow(value, d->fraction / rest * (multiplier / common), &value))
		return -ERANGE;
	*ret = value;
	return 0;
}

static int parse(const char *text, const struct unit *units, size_t count, unsigned int max_digits,
		 uint64_t *ret)
{
	const char *p = text;
	struct decimal d;
	int r = take_decimal(&p, &d);

	if (r == -EINVAL || d.digits > max_digits)
		return -EINVAL;
	if (*p == ' ')
		p++;
	for (size_t i = 0; i < count; i++)
		if (strcmp(p, units[i].name) == 0)
			return r < 0 ? r : scale_up(&d, units[i].multiplier, ret);
	return -EINVAL;
}

int unit_parse_size(const char *text, uint64_t *ret_bytes)
{
	return parse(text, size_units, ARRAY_SIZE(size_units), UINT32_MAX, ret_bytes);
}

int unit_parse_rate(const char *text, uint64_t *ret_bps)
{
	return parse(text, rate_units, ARRAY_SIZE(rate_units), UINT32_MAX, ret_bps);
}

int unit_parse_byte_rate(const char *text, uint64_t *ret_bytes_per_s)
{
	return parse(text, byte_rate_units, ARRAY_SIZE(byte_rate_units), UINT32_MAX,
		     ret_bytes_per_s);
}

int unit_parse_time(const char *text, uint64_t *ret_us)
{
	return parse(text, time_units, ARRAY_SIZE(time_units), UINT32_MAX, ret_us);
}

int unit_parse_share(const char *text, uint32_t *ret_permille)
{
	uint64_t permille;
	int r = parse(text, share_units, ARRAY_SIZE(share_units), 1, &permille);

	if (r < 0)
		return r;
	if (permille > UINT32_MAX)
		return -ERANGE;
	*ret_permille = (uint32_t)permille;
	return 0;
}

int unit_parse_count(const char *text, uint64_t *ret_count)
{
	const char *p = text;
	uint64_t count = 0;
	int r = take_digits(&p, &count);

	if (*p)
		return -EINVAL;
	if (r == 0)
		*ret_count = count;
	return r;
}

/* "1.5GiB": value in this unit with at most three decimals; 0 when that is not exact or below 1. */
static size_t format_in(uint64_t value, const struct unit *u, char *buf)
{
	uint64_t whole = value / u->multiplier, rest = value % u->multiplier;
	unsigned int decimals = 0, fraction = 0;

	while (rest) {
		if (++decimals > FORMAT_DECIMALS_MAX)
			return 0;
		rest *= 10; /* multipliers stay below 2^41 */
		fraction = fraction * 10 + (unsigned int)(rest / u->multiplier);
		rest %= u->multiplier;
	}
	if (!whole)
		return 0;
	if (!decimals)
		snprintf(buf, UNIT_TEXT_MAX, "%" PRIu64 "%s", whole, u->name);
	else
		snprintf(buf, UNIT_TEXT_MAX, "%" PRIu64 ".%0*u%s", whole, (int)decimals, fraction,
			 u->name);
	return strlen(buf);
}

/* The shortest text wins, and among equals the larger unit. */
static char *format(uint64_t value, const struct unit *units, size_t count, char *buf)
{
	char text[UNIT_TEXT_MAX];
	size_t best = UNIT_TEXT_MAX;

	snprintf(buf, UNIT_TEXT_MAX, "0%s", units[0].name);
	for (size_t i = 0; value && i < count; i++) {
		size_t len = format_in(value, &units[i], text);

		if (len && len <= best) {
			memcpy(buf, text, len + 1);
			best = len;
		}
	}
	return buf;
}

char *unit_format_size(uint64_t bytes, char buf[UNIT_TEXT_MAX])
{
	return format(bytes, size_units, ARRAY_SIZE(size_units), buf);
}

char *unit_format_rate(uint64_t bps, char buf[UNIT_TEXT_MAX])
{
	return format(bps, rate_units, ARRAY_SIZE(rate_units), buf);
}

char *unit_format_byte_rate(uint64_t bytes_per_s, char buf[UNIT_TEXT_MAX])
{
	return format(bytes_per_s, byte_rate_units, ARRAY_SIZE(byte_rate_units), buf);
}

char *unit_format_time(uint64_t us, char buf[UNIT_TEXT_MAX])
{
	return format(us, time_units, ARRAY_SIZE(time_units), buf);
}

char *unit_format_share(uint32_t permille, char buf[UNIT_TEXT_MAX])
{
	if (permille % 10)
		snprintf(buf, UNIT_TEXT_MAX, "%" PRIu32 ".%" PRIu32 "%%", permille / 10,
			 permille % 10);
	else
		snprintf(buf, UNIT_TEXT_MAX, "%" PRIu32 "%%", permille / 10);
	return buf;
}

uint64_t unit_permille_of(uint64_t value, uint32_t permille)
{
	uint64_t whole, rest = value % 1000 * permille / 1000;

	if (__builtin_mul_overflow(value / 1000, (uint64_t)permille, &whole) ||
	    __builtin_add_overflow(whole, rest, &whole))
		return UINT64_MAX;
	return whole;
}
