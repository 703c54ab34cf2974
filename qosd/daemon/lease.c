/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * lease - the shared file. Who is in charge is one number in its header: a keeper whose daemon's
 * number is not there any more has been relieved.
 */
#include "qosd/daemon/lease.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "qosd/core/mem.h"

#define LEASE_MAGIC  "qosdls1" /* 8 bytes with its NUL; to be changed with the header */
#define HEADER_BYTES 4096

_Static_assert(sizeof(struct lease_header) <= HEADER_BYTES, "the header is one page");

static off_t place_of(uint32_t slot)
{
	return HEADER_BYTES + (off_t)(slot & 1) * (off_t)LEASE_TEXT_MAX;
}

static int write_at(int fd, const char *text, size_t len, off_t at)
{
	while (len) {
		ssize_t n = pwrite(fd, text, len, at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		text += n;
		len -= (size_t)n;
		at += n;
	}
	return 0;
}

static void read_boot_id(char id[40])
{
	FILE *f = fopen("/proc/sys/kernel/random/boot_id", "re");

	memset(id, 0, 40);
	if (!f)
		return;
	if (fscanf(f, "%39s", id) != 1)
		id[0] = '\0';
	fclose(f);
}

/* ---- life ---- */

static bool header_valid(const struct lease_header *h, const char boot_id[40])
{
	return memcmp(h->magic, LEASE_MAGIC, sizeof(h->magic)) == 0 &&
	       memcmp(h->boot_id, boot_id, sizeof(h->boot_id)) == 0 && h->active <= 1 &&
	       h->state <= LEASE_LAPSING && h->text_bytes[0] <= LEASE_TEXT_MAX &&
	       h->text_bytes[1] <= LEASE_TEXT_MAX;
}

/*
 * The header's page must exist before it is mapped: a full file system then gives an error here and
 * not a SIGBUS later. Texts are written by pwrite() for the same reason.
 */
static int map_header(struct lease *l)
{
	char zeros[HEADER_BYTES] = { 0 }, boot_id[40];
	struct stat st;
	int r = 0;

	if (fstat(l->fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode) || st.st_uid != geteuid())
		return -EPERM;
	if (st.st_size < HEADER_BYTES)
		r = write_at(l->fd, zeros, sizeof(zeros), 0);
	if (r < 0)
		return r;
	l->header = mmap(NULL, HEADER_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, l->fd, 0);
	if (l->header == MAP_FAILED) {
		l->header = NULL;
		return -errno;
	}
	read_boot_id(boot_id);
	if (!header_valid(l->header, boot_id)) {
		memset(l->header, 0, sizeof(*l->header));
		memcpy(l->header->magic, LEASE_MAGIC, sizeof(l->header->magic));
		memcpy(l->header->boot_id, boot_id, sizeof(boot_id));
	}
	return 0;
}

int lease_open(const char *dir, struct lease **ret, struct qerr *err)
{
	struct lease *l = calloc(1, sizeof(*l));
	char path[512];
	int r;

	if (!l)
		return qerr_set(err, -ENOMEM, "out of memory");
	l->alive_fd = -1;
	snprintf(path, sizeof(path), "%s/lease", dir);
	l->fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	r = l->fd < 0 ? -errno : map_header(l);
	if (r < 0) {
		lease_close(l);
		return qerr_set(err, r, "cannot use %s: %s", path, strerror(-r));
	}
	*ret = l;
	return 0;
}

void lease_close(struct lease *l)
{
	if (!l)
		return;
	if (l->header)
		munmap(l->header, HEADER_BYTES);
	if (l->fd >= 0)
		close(l->fd);
	if (l->alive_fd >= 0)
		close(l->alive_fd);
	free(l);
}

void lease_take_over(struct lease *l, uint64_t now_us)
{
	l->token = now_us << 22 | (uint64_t)getpid(); /* PIDs have at most 22 bits */
	l->header->owner = l->token;
}

/* ---- held, renewed, dropped ---- */

bool lease_held(const struct lease *l, double ret_depth[RESOURCE_COUNT])
{
	memcpy(ret_depth, l->header->depth, sizeof(l->header->depth));
	for (size_t i = 0; i < RESOURCE_COUNT; i++)
		if (!(ret_depth[i] >= 0 && ret_depth[i] <= 64)) /* not a number either */
			ret_depth[i] = 0;
	return l->header->state == LEASE_HELD;
}

int lease_record(struct lease *l, const struct plan *steady, const struct inventory *inv,
		 uint64_t until_us, struct qerr *err)
{
	uint32_t slot = !l->header->active;
	size_t len = 0;
	char *text CLEANUP_FREE = lease_text_print(steady, inv, &len);
	int r = !text ? -ENOMEM : len > LEASE_TEXT_MAX ? -E2BIG : 0;

	if (r == 0)
		r = write_at(l->fd, text, len, place_of(slot));
	if (r < 0)
		return qerr_set(err, r, "steady values of the guests cannot be kept aside: %s",
				strerror(-r));
	l->header->text_bytes[slot] = len;
	l->header->until_us = until_us;
	l->header->active = slot;
	if (l->header->state == LEASE_HELD)
		return 0;
	l->header->state = LEASE_HELD;
	if (l->alive_fd >= 0 && write(l->alive_fd, "h", 1) < 0)
		return 0; /* a pipe that is full wakes the keeper as well */
	return 0;
}

bool lease_renew(struct lease *l, uint64_t until_us, const double depth[RESOURCE_COUNT])
{
	memcpy(l->header->depth, depth, sizeof(l->header->depth));
	l->header->until_us = until_us;
	return l->header->state == LEASE_HELD;
}

void lease_drop(struct lease *l)
{
	memset(l->header->depth, 0, sizeof(l->header->depth));
	l->header->state = LEASE_FREE;
}

char *lease_read(const struct lease *l, size_t *ret_len)
{
	uint32_t slot = l->header->active & 1;
	size_t len = l->header->text_bytes[slot], at = 0;
	char *text = len <= LEASE_TEXT_MAX ? calloc(1, len + 1) : NULL;

	while (text && at < len) {
		ssize_t n = pread(l->fd, text + at, len - at, place_of(slot) + (off_t)at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			free(text);
			return NULL;
		}
		at += (size_t)n;
	}
	*ret_len = len;
	return text;
}
