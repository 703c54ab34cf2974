/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ceph_without - in place of ceph_cluster.c where librbd's headers were not there at build time.
 */
#include <errno.h>

#include "qosd/host/ceph_cluster.h"

bool ceph_built_in(void)
{
	return false;
}

int ceph_cluster_open(const char *conf, const char *user, uint64_t timeout_us,
		      struct ceph_cluster **ret, struct qerr *err)
{
	(void)conf, (void)user, (void)timeout_us, (void)ret;
	return qerr_set(err, -ENOSYS, "qosd was built without librbd");
}

/* There is never a cluster, so nothing below is reached. */
void ceph_cluster_close(struct ceph_cluster *c)
{
	(void)c;
}

const char *ceph_cluster_fsid(const struct ceph_cluster *c)
{
	(void)c;
	return "";
}

int ceph_cluster_image(struct ceph_cluster *c, const struct guest_rbd *rbd,
		       struct rbd_layers *layers, uint64_t *ret_size_bytes, struct qerr *err)
{
	(void)c, (void)rbd, (void)layers, (void)ret_size_bytes, (void)err;
	return -ENOSYS;
}

json_t *ceph_cluster_ask(struct ceph_cluster *c, const char *request, int *ret_r)
{
	(void)c, (void)request;
	*ret_r = -ENOSYS;
	return NULL;
}

int ceph_cluster_put(struct ceph_cluster *c, const struct guest_rbd *rbd,
		     const struct rbd_wanted *wanted, struct qerr *err)
{
	(void)c, (void)rbd, (void)wanted, (void)err;
	return -ENOSYS;
}
