/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * baseline - the values that knobs had before qosd touched them, kept so that they can be given
 * back. Written once per (target, knob), before the first write to it; the first value stays.
 *
 * A target is known by a text that outlives the daemon and is never another VM's: a guest by its
 * uuid and the start time of its process, a network card by that and its device and ifindex too, a
 * virtual function of a card by that and its PCI address, a disk by that and its name in the guest,
 *a group by its path:
 *
 *	UUID@TICKS  UUID@TICKS/vcpu0  UUID@TICKS/emulator  UUID@TICKS/nic/vnet0#12
 *	UUID@TICKS/vf/0000:3b:02.1  UUID@TICKS/disk/vda  /machine.slice
 *
 * The file form is one header line, then "key<TAB>knob<TAB>value" lines in the order of the first
 * writes, so it can be appended to. In a key each byte outside '!'..'~', and '%', is written %XX
 * (upper case). Only what format writes is read: anything else is an error with its line number. A
 * last line without its newline is left out, for it was never finished.
 */
#ifndef QOSD_CORE_BASELINE_H
#define QOSD_CORE_BASELINE_H

#include <stddef.h>

#include "qosd/core/err.h"
#include "qosd/core/guest.h"
#include "qosd/core/knob.h"
#include "qosd/core/plan.h"

#define BASELINE_HEADER   "qosd-baseline 1"
#define BASELINE_KEY_MAX  1024 /* with its NUL */
#define BASELINE_LINE_MAX 8192

struct baseline;

/*
 * What the daemon knows of a virtual function's rate, all 0: nothing. In memory alone, so that it
 * is not known of entries of a daemon before.
 */
struct baseline_vf {
	uint64_t set_bps;    /* what qosd set last, or found set as it wants it */
	uint32_t left_since; /* drift check when it was first seen to be left; 0: it is not */
	int pid;             /* of the guest that it is left of */
	int told;            /* the last error of giving it back that was logged */
};

struct baseline_entry {
	const char *key;
	enum knob_id knob;
	bool marked; /* to be forgotten */
	bool stored; /* it is on disk */
	struct knob_value value;
	struct baseline_vf vf;
};

struct baseline *baseline_new(void); /* NULL when out of memory */
void baseline_free(struct baseline *b);

/*
 * Keep the first value: 1 stored, 0 there was one already, -EINVAL (the target has no identity: no
 * proper uuid, path or device; or a value of another type), -ENOMEM.
 */
int baseline_put(struct baseline *b, const struct target *t, enum knob_id knob,
		 const struct knob_value *value);
/* NULL: never touched. Valid, with its CPU set, until the next change of the store. */
const struct knob_value *baseline_get(const struct baseline *b, const struct target *t,
				      enum knob_id knob);

/* qosd set this value, if the target is a virtual function and has an entry. */
void baseline_note_set(struct baseline *b, const struct target *t, enum knob_id knob,
		       const struct knob_value *value);

/* What has been given back, or has gone, is forgotten; how many entries were dropped. */
size_t baseline_drop(struct baseline *b, const struct target *t, enum knob_id knob);
/* The same for many: mark them, then drop them all in one pass. */
void baseline_mark(struct baseline *b, const struct target *t, enum knob_id knob);
size_t baseline_sweep(struct baseline *b);
/* Entries [first, end) are on disk; and those that are not are forgotten. */
void baseline_stored(struct baseline *b, size_t first, size_t end);
size_t baseline_drop_unstored(struct baseline *b);
/*
 * All of one guest, and of the scope that is only its own; but for those of virtual functions,
 * whose limits stay with the card: baseline_next_left().
 */
size_t baseline_drop_guest(struct baseline *b, const struct guest *g);
/* The same of guests that are not in the inventory, and of scopes with none of its guests below. */
size_t baseline_retain(struct baseline *b, const struct inventory *inv);

/* Entries in the order of their first put; the pointer holds until the next change of the store. */
size_t baseline_count(const struct baseline *b);
const struct baseline_entry *baseline_at(const struct baseline *b, size_t i);

/* Without the newline. Returns buf; BASELINE_LINE_MAX bytes always suffice. */
char *baseline_format_line(const struct baseline_entry *e, char *buf, size_t size);
/* One line without its newline, of `len` bytes. 0, -EINVAL with a sentence, -ENOMEM. */
int baseline_parse_line(struct baseline *b, const char *line, size_t len, struct qerr *err);
/* A whole file, header included. What stands before a bad line has been taken. */
int baseline_parse(struct baseline *b, const char *text, size_t size, struct qerr *err);

/*
 * A sorted plan that gives values back (WHY_BASELINE): of one guest and its scope, or (NULL) of
 * all. Guests and cards that are not in the inventory are left out. NULL when out of memory.
 */
struct plan *baseline_plan(const struct baseline *b, const struct inventory *inv,
			   const struct guest *only);
/*
 * The next entry, from place *at on, of a virtual function that no guest of the inventory has: its
 * limit would stay with the card. NULL: there is none. Fills ret with the guest's uuid, for a name
 * too, and a NIC with the PCI address (borrowed from *nic), and the card's part left out. It may
 * change the entry's `vf`; those that are passed over are left no more.
 */
struct baseline_entry *baseline_next_left(struct baseline *b, const struct inventory *inv,
					  size_t *at, struct guest *ret, struct guest_nic *nic);
/*
 * Knobs that pass (knob_passes()), were touched once, and of which `plan` wants nothing of a
 * managed guest get entries (WHY_BASELINE) that give them back; drop them from the store when they
 * hold. Groups that were touched once but are above no managed or held guest any more get entries
 * in `plan`, which was built from `in` (it is sorted afterwards), so that no slice keeps protecting
 * memory for guests that have gone. How many were added, or -ENOMEM.
 */
int baseline_plan_orphans(const struct baseline *b, const struct plan_input *in, struct plan *plan);

#endif
