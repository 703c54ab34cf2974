/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "qosd/daemon/record.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "qosd/core/govern_text.h"
#include "qosd/core/mem.h"

struct recorder {
	FILE *file; /* NULL: it is over */
	size_t bytes;
	struct govern_guest *guests; /* of the last tick */
	size_t nguests, capacity;
	uint32_t generation; /* of the policy */
};

int recorder_open(const char *path, struct recorder **ret, struct qerr *err)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	struct recorder *r = fd < 0 ? NULL : calloc(1, sizeof(*r));

	if (fd < 0)
		return qerr_set(err, -errno, "cannot record to %s: %s", path, strerror(errno));
	if (!r || !(r->file = fdopen(fd, "w"))) {
		close(fd);
		free(r);
		return qerr_set(err, -ENOMEM, "out of memory");
	}
	r->bytes = (size_t)fprintf(r->file, "%s\n", GOVERN_TEXT_HEADER);
	*ret = r;
	return 0;
}

void recorder_close(struct recorder *r)
{
	if (!r)
		return;
	if (r->file)
		fclose(r->file);
	free(r->guests);
	free(r);
}

/* Also true when only bytes between the fields differ: that costs a few lines, no more. */
static bool guests_changed(const struct recorder *r, const struct govern_input *in)
{
	return r->nguests != in->nguests ||
	       (in->nguests &&
		memcmp(r->guests, in->guests, in->nguests * sizeof(*in->guests)) != 0);
}

static int keep_guests(struct recorder *r, const struct govern_input *in)
{
	r->nguests = 0;
	if (mem_grow(&r->guests, &r->capacity, in->nguests, sizeof(*r->guests)) < 0)
		return -ENOMEM;
	if (in->nguests)
		memcpy(r->guests, in->guests, in->nguests * sizeof(*in->guests));
	r->nguests = in->nguests;
	return 0;
}

static int write_tick(struct recorder *r, const struct govern_input *in, uint32_t generation)
{
	bool with_guests = generation != r->generation || guests_changed(r, in);
	char *text CLEANUP_FREE = NULL;
	size_t len;

	if (govern_text_print(in, with_guests, &text) < 0 ||
	    (with_guests && keep_guests(r, in) < 0))
		return -ENOMEM;
	len = strlen(text);
	if (r->bytes + len > RECORD_MAX)
		return -EFBIG;
	if (generation != r->generation)
		fprintf(r->file, "# policy generation %u\n", generation);
	r->generation = generation;
	r->bytes += len;
	if (fwrite(text, 1, len, r->file) != len || fflush(r->file) != 0)
		return errno ? -errno : -EIO;
	return 0;
}

void record_tick(struct engine *e, const struct govern_input *in)
{
	struct recorder *r = e->recorder;
	int x;

	if (!r || !r->file)
		return;
	x = write_tick(r, in, e->generation);
	if (x == 0)
		return;
	log_message(&e->log, LOG_WARNING, NULL, "the record of overload protection ends: %s",
		    x == -EFBIG ? "it has become as long as it may" : strerror(-x));
	fclose(TAKE_PTR(r->file));
}
