/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ceph_mons - what a cluster's monitors say: settings of a client, health, their own addresses.
 */
#include <errno.h>
#include <string.h>

#include "qosd/core/mem.h"
#include "qosd/host/ceph_priv.h"

static int fail(struct qerr *err, int r, const char *what)
{
	return qerr_set(err, r, "%s: %s", what, strerror(-r));
}

/* The name comes from a domain's XML: any character may be in it. */
char *ceph_mons_request(const char *entity)
{
	json_t *request = json_pack("{s:s, s:s, s:s}", "prefix", "config get", "who", entity,
				    "format", "json");
	char *text = request ? json_dumps(request, JSON_COMPACT) : NULL;

	json_decref(request);
	return text;
}

int ceph_cluster_mon(struct ceph_cluster *c, const char *entity, struct rbd_layers *layers,
		     struct qerr *err)
{
	char *request CLEANUP_FREE = ceph_mons_request(entity);
	const char *name;
	json_t *all, *one;
	int r = -EINVAL;

	all = request ? ceph_cluster_ask(c, request, &r) : NULL;
	if (!all)
		return fail(err, r, "the monitors' settings");
	json_object_foreach (all, name, one) {
		const char *value = json_string_value(json_object_get(one, "value"));

		if (value && r == 0)
			r = rbd_layers_set(layers, RBD_MON, name, value);
	}
	json_decref(all);
	layers->known[RBD_MON] = r == 0;
	return r;
}

int ceph_cluster_monitors(struct ceph_cluster *c, struct ceph_origin *origin, struct qerr *err)
{
	json_t *dump, *mon, *one;
	size_t i, k;
	int r;

	dump = ceph_cluster_ask(c, "{\"prefix\":\"mon dump\",\"format\":\"json\"}", &r);
	if (!dump)
		return fail(err, r, "the monitors' addresses");
	json_array_foreach (json_object_get(dump, "mons"), i, mon) {
		const json_t *list =
			json_object_get(json_object_get(mon, "public_addrs"), "addrvec");

		json_array_foreach (list, k, one) {
			const char *address = json_string_value(json_object_get(one, "addr"));

			if (address)
				ceph_origin_add(origin, address);
		}
	}
	json_decref(dump);
	return 0;
}

int ceph_cluster_health(struct ceph_cluster *c, bool *ret_full, bool *ret_strong, struct qerr *err)
{
	static const char *const full[] = { "OSD_FULL", "POOL_FULL" };
	json_t *health, *checks;
	int r;

	health = ceph_cluster_ask(c, "{\"prefix\":\"health\",\"format\":\"json\"}", &r);
	if (!health)
		return fail(err, r, "the cluster's health");
	checks = json_object_get(health, "checks");
	*ret_full = false;
	for (size_t i = 0; i < ARRAY_SIZE(full); i++)
		*ret_full |= json_object_get(checks, full[i]) != NULL;
	json_decref(health);
	/* Only a user that may do anything may read keys. */
	health = ceph_cluster_ask(c, "{\"prefix\":\"auth ls\",\"format\":\"json\"}", &r);
	*ret_strong = health != NULL;
	json_decref(health);
	return 0;
}
