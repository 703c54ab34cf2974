/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ceph_file - a guest's own ceph.conf: the host's, and a section of ours for the guest's client.
 *
 * Ceph has no include, so the base is copied. Sections of one name are one and the last value wins:
 * ours stands at the end, under the client's full name, the most specific there is. Files are
 * replaced whole by rename(); no fsync, for a guest's start or the loop may wait.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "qosd/core/mem.h"
#include "qosd/host/ceph.h"
#include "qosd/host/ceph_conf.h"

#define MARK "# Made by qosd for one guest from the file below; changes here are overwritten.\n"

static int io_error(struct qerr *err, const char *path)
{
	int r = -errno;

	return qerr_set(err, r, "%s: %s", path, strerror(-r));
}

/*
 * A whole file, malloc'ed, or NULL with errno. `flags`: O_NOFOLLOW for our own file; the base is
 * the host's, who may keep it elsewhere and link to it.
 */
static char *slurp(const char *path, int flags, size_t *ret_len)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | flags);
	char *text = fd >= 0 ? malloc(CEPH_CONF_MAX + 1) : NULL;
	ssize_t n = 1;

	*ret_len = 0;
	while (text && n > 0 && *ret_len < CEPH_CONF_MAX) {
		n = read(fd, text + *ret_len, CEPH_CONF_MAX - *ret_len);
		*ret_len += n > 0 ? (size_t)n : 0;
	}
	if (fd >= 0)
		close(fd);
	if (text)
		text[*ret_len] = '\0';
	return text;
}

/* An empty one is what a crash of the host may leave of ours: nobody else keeps one. */
static bool is_ours(const char *text)
{
	return !*text || strncmp(text, MARK, strlen(MARK)) == 0;
}

bool ceph_file_ours(const char *path)
{
	size_t len;
	char *text CLEANUP_FREE = slurp(path, O_NOFOLLOW, &len);

	return text && is_ours(text);
}

/* The text that the file has to have. */
static char *compose(const char *base, const char *entity, const struct rbd_wanted *wanted,
		     size_t *ret_len)
{
	char *text = NULL;
	FILE *f = open_memstream(&text, ret_len);

	if (!f)
		return NULL;
	fprintf(f, "%s%s", MARK, base);
	if (wanted->any)
		fprintf(f, "\n[%s]\n", entity);
	for (int k = 0; k < RBD_KEYS; k++)
		if (wanted->set[k])
			fprintf(f, "%s = %s\n", rbd_keys[k].name, wanted->text[k]);
	if (fclose(f) != 0) {
		free(text);
		return NULL;
	}
	return text;
}

static int replace(const char *path, const char *text, size_t len, struct qerr *err)
{
	char temporary[512];
	int fd, r = 0;

	if ((size_t)snprintf(temporary, sizeof(temporary), "%s.new", path) >= sizeof(temporary))
		return qerr_set(err, -ENAMETOOLONG, "%s: the name is too long", path);
	(void)unlink(temporary);
	fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0644);
	if (fd < 0)
		return io_error(err, temporary);
	if (write(fd, text, len) != (ssize_t)len || fchmod(fd, 0644) < 0)
		r = io_error(err, temporary);
	close(fd);
	if (r == 0 && rename(temporary, path) < 0)
		r = io_error(err, path);
	if (r < 0)
		(void)unlink(temporary);
	return r;
}

int ceph_file_put(const char *path, const char *base, const char *entity,
		  const struct rbd_wanted *wanted, struct qerr *err)
{
	size_t base_len, have_len, len = 0;
	char *base_text CLEANUP_FREE = slurp(base, 0, &base_len);
	int base_errno = errno;
	char *have CLEANUP_FREE = slurp(path, O_NOFOLLOW, &have_len);
	char *text CLEANUP_FREE = NULL;
	struct ceph_conf *check = NULL;
	int r;

	if (!have && errno != ENOENT)
		return io_error(err, path);
	if (have && !is_ours(have))
		return qerr_set(err, -EPERM, "%s was not made by qosd, so it is left alone", path);
	if (!base_text) {
		errno = base_errno;
		return io_error(err, base);
	}
	text = compose(base_text, entity, wanted, &len);
	if (!text)
		return qerr_set(err, -ENOMEM, "out of memory");
	if (have && have_len == len && memcmp(have, text, len) == 0)
		return 0;
	r = ceph_conf_parse(text, len, &check, NULL, err);
	ceph_conf_free(check);
	if (r < 0)
		return qerr_wrap(err, "%s with a section for %s", base, entity);
	r = replace(path, text, len, err);
	return r < 0 ? r : 1;
}

int ceph_put_file(const struct ceph_put *what, struct qerr *err)
{
	char entity[sizeof(what->rbd.user) + 8];

	if (what->back && !ceph_file_ours(what->rbd.conf))
		return 0;
	return ceph_file_put(what->rbd.conf, what->base,
			     rbd_entity(&what->rbd, entity, sizeof(entity)), &what->wanted, err);
}
