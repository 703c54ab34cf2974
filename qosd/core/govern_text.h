/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * govern_text - what govern_tick saw, as lines of text, and back: `qosd --record`, `--replay`.
 *
 *	qosd-record 1
 *	sample AT_US PSI_CPU PSI_MEMORY PSI_NET PSI_DISK TOTAL AVAILABLE SWAP_FREE CPU_POOL
 *	settling                          (struct govern_input's, if it is true)
 *	uplink RATE IN OUT
 *	use ID RUN WAIT THROTTLED ...     (the fields of struct sample_guest, in their order)
 *	guests                            (from here on these guests; without it those of before)
 *	guest ID CLASS RANK VCPUS ...     (the fields of struct govern_guest)
 *	manual CLASS RESOURCE LEVEL UNTIL_US
 *	end
 *
 * One blank between words; numbers are decimal, "-" is not known or no limit; lines that begin with
 * # are comments. The reader is strict and bounded: it refuses anything else, with the line's
 * number, and takes nothing for granted (the file may be damaged, or not ours).
 */
#ifndef QOSD_CORE_GOVERN_TEXT_H
#define QOSD_CORE_GOVERN_TEXT_H

#include "qosd/core/err.h"
#include "qosd/core/govern.h"

#define GOVERN_TEXT_HEADER     "qosd-record 1" /* the first line of a file */
#define GOVERN_TEXT_LINE_MAX   1024            /* bytes, without the newline */
#define GOVERN_TEXT_GUESTS_MAX 65536

/*
 * One turn as text, "sample" to "end". with_guests: write the guests as well; needed in the first
 * turn and whenever they changed. malloc'd text for the caller to free; 0 or -ENOMEM.
 */
int govern_text_print(const struct govern_input *in, bool with_guests, char **ret_text);

struct govern_text { /* a reader; all zero at first */
	struct sample samples[2];
	unsigned int now; /* index of the latest */
	unsigned int turns;
	struct govern_guest *guests;
	size_t nguests, guests_capacity;
	struct govern_manual *manual;
	size_t nmanual, manual_capacity;
	uint64_t cpu_pool_mcpu;
	bool settling;
	unsigned int line, section;
};

/*
 * Take one line, without its newline. Classes are looked up in `policy`, which must stay.
 * 1: a turn is complete (govern_text_input), 0: more to come; -EINVAL or -ENOMEM with a sentence:
 * the reader is of no more use.
 */
int govern_text_line(struct govern_text *t, const struct policy *policy, const char *line,
		     struct qerr *err);
/* The turn that is complete; borrowed from the reader until its next line. */
struct govern_input govern_text_input(const struct govern_text *t, const struct policy *policy);
void govern_text_done(struct govern_text *t);

#endif
