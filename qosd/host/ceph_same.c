/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ceph_same - is an image in the cluster that qosd asks? Pools and images of two clusters may have
 * the same names, so a write goes only where it is certain.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "qosd/host/ceph_priv.h"

#define SEPARATORS ", ;\t"
#define NUMERIC    "0123456789abcdefABCDEF.:"

void ceph_origin_read(const struct ceph_conf *conf, const char *path, struct ceph_origin *ret)
{
	const char *fsid = conf ? ceph_conf_get(conf, "client", "fsid") : NULL;
	const char *monitors = conf ? ceph_conf_get(conf, "client", "mon_host") : NULL;

	*ret = (struct ceph_origin){ .path = path };
	snprintf(ret->fsid, sizeof(ret->fsid), "%s", fsid ? fsid : "");
	snprintf(ret->monitors, sizeof(ret->monitors), "%s", monitors ? monitors : "");
}

/* "[v2:10.0.0.1:3300/0" is "10.0.0.1:3300", "[::1]:6789" is "::1:6789", as libvirt's list has it.
 */
static void plain_address(const char *text, size_t len, char *buf, size_t size)
{
	size_t n = 0;

	for (; len && *text == '['; len--)
		text++;
	if (len > 3 && text[0] == 'v' && text[2] == ':') {
		text += 3;
		len -= 3;
	}
	for (size_t i = 0; i < len && text[i] != '/' && n + 1 < size; i++)
		if (text[i] != '[' && text[i] != ']')
			buf[n++] = text[i];
	buf[n] = '\0';
}

static void add_text(struct ceph_origin *o, const char *text)
{
	size_t len = strlen(o->monitors);

	if (*text && len + strlen(text) + 2 <= sizeof(o->monitors))
		snprintf(o->monitors + len, sizeof(o->monitors) - len, "%s%s", len ? "," : "",
			 text);
}

void ceph_origin_add(struct ceph_origin *o, const char *address)
{
	char plain[64], *port;

	plain_address(address, strlen(address), plain, sizeof(plain));
	add_text(o, plain);
	port = strrchr(plain, ':');
	if (port)
		*port = '\0';
	add_text(o, plain);
}

static bool has_address(const char *list, const char *wanted)
{
	char one[64];

	for (list += strspn(list, SEPARATORS); *list; list += strspn(list, SEPARATORS)) {
		size_t len = strcspn(list, SEPARATORS);

		plain_address(list, len, one, sizeof(one));
		if (strcmp(one, wanted) == 0)
			return true;
		list += len;
	}
	return false;
}

/* By monitors: one in common tells, and so do addresses that are all unknown. */
static enum ceph_same same_monitors(const char *list, const struct ceph_origin *ours)
{
	bool numeric = ours->monitors[0] && *list;
	char one[64];

	for (list += strspn(list, SEPARATORS); *list; list += strspn(list, SEPARATORS)) {
		size_t len = strcspn(list, SEPARATORS);

		plain_address(list, len, one, sizeof(one));
		if (has_address(ours->monitors, one))
			return CEPH_SAME;
		numeric &= one[strspn(one, NUMERIC)] == '\0';
		list += len;
	}
	return numeric ? CEPH_OTHER : CEPH_UNTOLD;
}

enum ceph_same ceph_same_cluster(const struct guest_rbd *rbd, const struct ceph_origin *file,
				 const struct ceph_origin *ours)
{
	bool both = file->fsid[0] && ours->fsid[0];

	if (both && strcmp(file->fsid, ours->fsid) != 0)
		return CEPH_OTHER;
	if (rbd->monitors[0])
		return same_monitors(rbd->monitors, ours);
	if (both || strcmp(file->path, ours->path) == 0)
		return CEPH_SAME;
	return same_monitors(file->monitors, ours);
}

int ceph_check_same(const struct ceph_asked *asked, const struct guest_rbd *rbd, struct qerr *err)
{
	struct ceph_conf *conf = NULL;
	struct ceph_origin file;
	enum ceph_same same;

	(void)ceph_conf_load(rbd_conf_path(rbd), &conf, NULL, NULL);
	ceph_origin_read(conf, rbd_conf_path(rbd), &file);
	same = ceph_same_cluster(rbd, &file, &asked->origin);
	ceph_conf_free(conf);
	if (same == CEPH_OTHER)
		return qerr_set(err, -EXDEV,
				"image %s/%s lies in another cluster than that of %s, which qosd "
				"asks: it is left alone",
				rbd->pool, rbd->image, asked->origin.path);
	if (same == CEPH_UNTOLD)
		return qerr_set(err, -EXDEV,
				"nothing tells whether image %s/%s lies in the cluster of %s; "
				"write fsid into %s, or addresses in place of names into <host>",
				rbd->pool, rbd->image, asked->origin.path, rbd_conf_path(rbd));
	return 0;
}
