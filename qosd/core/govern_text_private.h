/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * govern_text_private - the fields of a record, one table for writer and reader.
 */
#ifndef QOSD_CORE_GOVERN_TEXT_PRIVATE_H
#define QOSD_CORE_GOVERN_TEXT_PRIVATE_H

#include "qosd/core/govern_text.h"

struct text_field {
	size_t offset, size; /* 8: "-" for UINT64_MAX; 4; 1: bool */
};

extern const struct text_field sample_text_fields[]; /* of struct sample_guest, after the id */
extern const struct text_field guest_text_fields[];  /* of struct govern_guest, after the class */
extern const size_t nsample_text_fields, nguest_text_fields;

/* The value of a field; UINT64_MAX: "-". */
uint64_t text_field_get(const struct text_field *f, const void *base);
/* false: out of its range */
bool text_field_set(const struct text_field *f, void *base, uint64_t value);

#endif
