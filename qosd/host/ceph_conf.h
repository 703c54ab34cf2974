/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ceph_conf - Ceph's configuration file, read by the grammar that Ceph itself uses.
 *
 * One mistake and librados refuses the whole file (the guest does not start), so it is refused
 * here, too, with the line. Sections of one name are one; the last of two equal keys wins; blanks
 * in keys are underscores; case counts. Metavariables stay as they are.
 */
#ifndef QOSD_HOST_CEPH_CONF_H
#define QOSD_HOST_CEPH_CONF_H

#include <stddef.h>

#include "qosd/core/err.h"

#define CEPH_CONF_MAX ((size_t)1 << 20)

struct ceph_conf;

/*
 * 0; -EINVAL malformed, *ret_line tells where and err what; -ENOMEM. `text` needs no end. ret_line
 * may be NULL.
 */
int ceph_conf_parse(const char *text, size_t len, struct ceph_conf **ret, unsigned int *ret_line,
		    struct qerr *err);
/* The same of a file: also -ENOENT, -EFBIG above CEPH_CONF_MAX, or what open() says. */
int ceph_conf_load(const char *path, struct ceph_conf **ret, unsigned int *ret_line,
		   struct qerr *err);
void ceph_conf_free(struct ceph_conf *c); /* NULL is fine */
/* What a client ("client.libvirt") gets: of its own section, of its kind's, of [global]; or NULL.
 */
const char *ceph_conf_get(const struct ceph_conf *c, const char *entity, const char *key);

#endif
