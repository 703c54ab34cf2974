/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * sample_text - the fields of a record, and a turn written as lines.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "qosd/core/govern_text_private.h"
#include "qosd/core/mem.h"

#define SAMPLE_FIELD(name)                                                                         \
	{                                                                                          \
		offsetof(struct sample_guest, name), 8                                             \
	}
#define GUEST_FIELD(name)                                                                          \
	{                                                                                          \
		offsetof(struct govern_guest, name), sizeof(((struct govern_guest *)0)->name)      \
	}

const struct text_field sample_text_fields[] = {
	SAMPLE_FIELD(run_ns),          SAMPLE_FIELD(wait_ns),       SAMPLE_FIELD(throttled),
	SAMPLE_FIELD(memory_stall_us), SAMPLE_FIELD(disk_stall_us), SAMPLE_FIELD(in_bytes),
	SAMPLE_FIELD(out_bytes),       SAMPLE_FIELD(in_dropped),    SAMPLE_FIELD(out_dropped),
	SAMPLE_FIELD(disk_ops),        SAMPLE_FIELD(disk_bytes),    SAMPLE_FIELD(disk_wait_ns),
	SAMPLE_FIELD(memory_bytes),    SAMPLE_FIELD(swap_bytes),
};
const size_t nsample_text_fields = ARRAY_SIZE(sample_text_fields);

const struct text_field guest_text_fields[] = {
	GUEST_FIELD(rank),
	GUEST_FIELD(vcpus),
	GUEST_FIELD(exempt),
	GUEST_FIELD(no_freeze),
	GUEST_FIELD(cpu_floor_mcpu),
	GUEST_FIELD(cpu_full_mcpu),
	GUEST_FIELD(cpu_reserved_mcpu),
	GUEST_FIELD(net_floor_bps),
	GUEST_FIELD(net_reserved_bps),
	GUEST_FIELD(net_in_full_bps),
	GUEST_FIELD(net_out_full_bps),
	GUEST_FIELD(disk_floor_iops),
	GUEST_FIELD(disk_full_iops),
	GUEST_FIELD(disk_floor_bytes_ps),
	GUEST_FIELD(disk_full_bytes_ps),
	GUEST_FIELD(memory_floor_bytes),
	GUEST_FIELD(memory_bytes),
	GUEST_FIELD(cpu_alone),
};
const size_t nguest_text_fields = ARRAY_SIZE(guest_text_fields);

uint64_t text_field_get(const struct text_field *f, const void *base)
{
	const char *at = (const char *)base + f->offset;
	uint64_t wide;
	uint32_t narrow;

	if (f->size == 8) {
		memcpy(&wide, at, 8);
		return wide;
	}
	if (f->size == 1)
		return *at != 0;
	memcpy(&narrow, at, 4);
	return narrow;
}

bool text_field_set(const struct text_field *f, void *base, uint64_t value)
{
	char *at = (char *)base + f->offset;
	uint32_t narrow = (uint32_t)value;

	if (f->size == 1 && value > 1)
		return false;
	if (f->size == 4 && value > UINT32_MAX)
		return false;
	if (f->size == 8)
		memcpy(at, &value, 8);
	else if (f->size == 4)
		memcpy(at, &narrow, 4);
	else
		*at = (char)value;
	return true;
}

struct text {
	char *data;
	size_t len, capacity;
	bool failed;
};

static void append(struct text *t, const char *word)
{
	size_t len = strlen(word);

	if (t->failed || mem_grow(&t->data, &t->capacity, t->len + len + 1, 1) < 0) {
		t->failed = true;
		return;
	}
	memcpy(t->data + t->len, word, len + 1);
	t->len += len;
}

static void append_number(struct text *t, uint64_t value)
{
	char word[24] = " -";

	if (value != SAMPLE_UNKNOWN)
		snprintf(word, sizeof(word), " %" PRIu64, value);
	append(t, word);
}

static void append_fields(struct text *t, const struct text_field *fields, size_t count,
			  const void *base)
{
	for (size_t i = 0; i < count; i++)
		append_number(t, text_field_get(&fields[i], base));
	append(t, "\n");
}

static void print_sample(struct text *t, const struct govern_input *in)
{
	const struct sample *s = in->now;

	append(t, "sample");
	append_number(t, s->at_us);
	for (size_t r = 0; r < RESOURCE_COUNT; r++)
		append_number(t, s->psi_some_us[r]);
	append_number(t, s->memory_total_bytes);
	append_number(t, s->memory_available_bytes);
	append_number(t, s->swap_free_bytes);
	append_number(t, in->cpu_pool_mcpu);
	append(t, in->settling ? "\nsettling\n" : "\n");
	for (size_t i = 0; i < s->nuplinks; i++) {
		append(t, "uplink");
		append_number(t, s->uplinks[i].rate_bps);
		append_number(t, s->uplinks[i].in_bytes);
		append_number(t, s->uplinks[i].out_bytes);
		append(t, "\n");
	}
	for (size_t i = 0; i < s->nguests; i++) {
		append(t, "use");
		append_number(t, s->guests[i].id);
		append_fields(t, sample_text_fields, nsample_text_fields, &s->guests[i]);
	}
}

static void print_guests(struct text *t, const struct govern_input *in)
{
	append(t, "guests\n");
	for (size_t i = 0; i < in->nguests; i++) {
		append(t, "guest");
		append_number(t, in->guests[i].id);
		append(t, " ");
		append(t, in->guests[i].qclass->name);
		append_fields(t, guest_text_fields, nguest_text_fields, &in->guests[i]);
	}
}

int govern_text_print(const struct govern_input *in, bool with_guests, char **ret_text)
{
	struct text t = { 0 };

	print_sample(&t, in);
	if (with_guests)
		print_guests(&t, in);
	for (size_t i = 0; i < in->nmanual; i++) {
		append(&t, "manual ");
		append(&t, in->manual[i].class_name);
		append_number(&t, in->manual[i].resource);
		append_number(&t, in->manual[i].level_permille);
		append_number(&t, in->manual[i].until_us);
		append(&t, "\n");
	}
	append(&t, "end\n");
	if (t.failed) {
		free(t.data);
		return -ENOMEM;
	}
	*ret_text = t.data;
	return 0;
}
