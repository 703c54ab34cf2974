/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * rbd_lint_place - rules about what lies around an image: files, sockets, plugins, the cluster, and
 * what the class asks for.
 */
#include <stdio.h>
#include <string.h>

#include "qosd/core/human.h"
#include "qosd/core/rbd_lint_private.h"

static uint64_t number(const struct rbd_subject *s, enum rbd_key key)
{
	return s->next.values[key].number;
}

/* ---- the configuration file ---- */

bool rbd_check_conf_path(const struct rbd_subject *s, char *what, char *fix)
{
	const char *path = s->rbd->conf;

	if (!path[0] || rbd_conf_path_ok(path))
		return false;
	rbd_mend(fix, "move it to /etc/ceph/%s.conf and virsh edit %s: <config file=...>", s->guest,
		 s->guest);
	return rbd_say(what, "<config file='%s'> is not one of /etc/ceph/*.conf", path);
}

bool rbd_check_conf_file(const struct rbd_subject *s, char *what, char *fix)
{
	const char *path = rbd_conf_path(s->rbd);

	if (s->file == RBD_FILE_MISSING && (s->rbd->conf[0] || !s->rbd->monitors[0])) {
		rbd_mend(fix, "cp /etc/ceph/ceph.conf %s, or name another <config file=...>", path);
		return rbd_say(what, "%s is not there", path);
	}
	if (s->file != RBD_FILE_BROKEN)
		return false;
	rbd_mend(fix, "sed -n %up %s; ceph-conf -c %s -L tells when it is mended", s->file_line,
		 path, path);
	return rbd_say(what, "%s:%u: %s: Ceph refuses the whole file", path, s->file_line,
		       s->file_trouble ? s->file_trouble : "malformed");
}

/* ---- sockets ---- */

bool rbd_check_no_socket(const struct rbd_subject *s, char *what, char *fix)
{
	const char *path = s->next.values[RBD_ADMIN_SOCKET].text;

	if (s->socket != RBD_SOCKET_NONE)
		return false;
	if (path && path[0]) {
		rbd_mend(fix,
			 "restart %s; if it stays so, let libvirt-qemu write there "
			 "(directory, AppArmor)",
			 s->guest);
		return rbd_say(what, "admin_socket = %.120s is set, but QEMU has no socket", path);
	}
	rbd_mend(fix,
		 "write admin_socket = /run/ceph-guests/$cluster-$type.$id.$pid.$cctid.asok "
		 "under [client] in %s",
		 rbd_conf_path(s->rbd));
	return rbd_say(what, "the client has no admin socket");
}

bool rbd_check_shared_socket(const struct rbd_subject *s, char *what, char *fix)
{
	const char *path = s->next.values[RBD_ADMIN_SOCKET].text;

	if (!path || !path[0] || (strstr(path, "$pid") && strstr(path, "$cctid")))
		return false;
	rbd_mend(fix,
		 "write admin_socket = /run/ceph-guests/$cluster-$type.$id.$pid.$cctid.asok "
		 "under [client] in %s",
		 rbd_conf_path(s->rbd));
	return rbd_say(what,
		       "admin_socket = %.120s is one path for several disks (no $pid, $cctid)",
		       path);
}

bool rbd_check_silent_socket(const struct rbd_subject *s, char *what, char *fix)
{
	if (s->socket != RBD_SOCKET_SILENT)
		return false;
	rbd_mend(fix, "see whether %s is stopped or starved (virsh domstate %s; top)", s->guest,
		 s->guest);
	return rbd_say(what, "the Ceph client in QEMU does not answer on its socket");
}

/* ---- plugins ---- */

bool rbd_check_plugin(const struct rbd_subject *s, char *what, char *fix)
{
	char where[RBD_FROM_MAX];
	enum rbd_layer layer = (enum rbd_layer)s->next.values[RBD_PLUGINS].layer;

	if (!s->plugin_missing)
		return false;
	rbd_mend_key(s, layer, RBD_PLUGINS, NULL, fix);
	return rbd_say(what, "rbd_plugins = %s (%s), but libceph_librbd_%s.so is not installed",
		       s->next.values[RBD_PLUGINS].text,
		       rbd_from(layer, s->rbd, s->disk->cache, where, sizeof(where)), s->plugin);
}

bool rbd_check_write_log(const struct rbd_subject *s, char *what, char *fix)
{
	const char *path = s->next.values[RBD_PWL_PATH].text;
	enum rbd_layer layer = (enum rbd_layer)s->next.values[RBD_PWL_MODE].layer;
	char size[HUMAN_TEXT_MAX];

	if (number(s, RBD_PWL_MODE) == RBD_PWL_DISABLED)
		return false;
	rbd_mend_key(s, layer, RBD_PWL_MODE, "disabled", fix);
	return rbd_say(what, "a persistent write log of %s in %.100s on this host%s",
		       human_size(number(s, RBD_PWL_SIZE), size), path,
		       strcmp(path, "/tmp") == 0 ? ", which is no place for data" : "");
}

/* ---- limits and memory ---- */

bool rbd_check_qos_clash(const struct rbd_subject *s, char *what, char *fix)
{
	char where[RBD_FROM_MAX];

	for (int k = RBD_QOS_FIRST; s->iotune && k <= RBD_QOS_LAST; k++) {
		const struct rbd_value *v = &s->next.values[k];

		if (!v->number)
			continue;
		rbd_mend_key(s, (enum rbd_layer)v->layer, (enum rbd_key)k, NULL, fix);
		return rbd_say(what, "%s = %s (%s) and libvirt's iotune both limit the disk",
			       rbd_keys[k].name, v->text,
			       rbd_from((enum rbd_layer)v->layer, s->rbd, s->disk->cache, where,
					sizeof(where)));
	}
	return false;
}

bool rbd_check_memory(const struct rbd_subject *s, char *what, char *fix)
{
	char need[HUMAN_TEXT_MAX], have[HUMAN_TEXT_MAX];

	if (!s->memory_have_bytes || s->memory_need_bytes <= s->memory_have_bytes)
		return false;
	rbd_mend(fix,
		 "virsh memtune %s --hard-limit %llu --config, or make the caches smaller; libvirt "
		 "advises against a hard limit",
		 s->guest, (unsigned long long)(s->memory_need_bytes / 1024 + 1));
	return rbd_say(what, "with its caches the guest may take %s, but its <hard_limit> is %s",
		       human_size(s->memory_need_bytes, need),
		       human_size(s->memory_have_bytes, have));
}

/*
 * A client holds 16 threads and 15 descriptors for each disk (measured, one OSD), and a connection
 * to each OSD that its data are on, so descriptors grow while it runs.
 */
#define FILES_USUAL UINT64_C(32768) /* for a large cluster */

static bool nearly_used_up(uint64_t used, uint64_t max)
{
	return max && used >= max - max / 4;
}

bool rbd_check_files(const struct rbd_subject *s, char *what, char *fix)
{
	const struct rbd_process *p = &s->process;
	unsigned long long more = p->files_max < FILES_USUAL / 2 ? FILES_USUAL : 2 * p->files_max;

	if (!nearly_used_up(p->files, p->files_max))
		return false;
	rbd_mend(fix,
		 "prlimit --pid %d --nofile=%llu at once; for its next start max_files = %llu in "
		 "/etc/libvirt/qemu.conf, and restart libvirtd",
		 p->pid, more, more);
	return rbd_say(what, "QEMU has %llu of at most %llu files and connections open",
		       (unsigned long long)p->files, (unsigned long long)p->files_max);
}

bool rbd_check_threads(const struct rbd_subject *s, char *what, char *fix)
{
	const struct rbd_process *p = &s->process;

	if (!nearly_used_up(p->threads, p->threads_max))
		return false;
	rbd_mend(
		fix,
		"raise pids.max (systemctl set-property UNIT TasksMax=) of a group in /proc/%d/cgroup",
		p->pid);
	return rbd_say(what, "its group has %llu of at most %llu threads",
		       (unsigned long long)p->threads, (unsigned long long)p->threads_max);
}

/* ---- the cluster ---- */

bool rbd_check_cluster(const struct rbd_subject *s, char *what, char *fix)
{
	const char *trouble = s->cluster_trouble ? s->cluster_trouble : "no answer";

	switch (s->cluster) {
	case RBD_CLUSTER_AWAY:
		rbd_mend(
			fix,
			"ceph -s --connect-timeout 5; if that answers, qosd.service lacks its drop-in "
			"/usr/share/qosd/qosd-ceph.conf");
		return rbd_say(what, "the cluster does not answer: %.160s", trouble);
	case RBD_CLUSTER_DENIED:
		rbd_mend(fix,
			 "(umask 077; ceph auth get-or-create client.qosd mon 'allow r' osd 'allow "
			 "class-read object_prefix rbd_children, allow rwx pool=%s' -o "
			 "/etc/ceph/ceph.client.qosd.keyring)",
			 s->rbd->pool);
		return rbd_say(what, "qosd may not look at the image: %.160s", trouble);
	case RBD_CLUSTER_OTHER:
		rbd_mend(fix, "set ceph.conf in qosd's policy to a file of that cluster");
		return rbd_say(what, "the image lies in another cluster than qosd asks: %.140s",
			       trouble);
	case RBD_CLUSTER_GONE:
		rbd_mend(fix, "rbd info %s/%s; virsh domblklist %s", s->rbd->pool, s->rbd->image,
			 s->guest);
		return rbd_say(what, "the cluster has no such image: %.160s", trouble);
	case RBD_CLUSTER_ODD:
		rbd_mend(fix, "rbd info %s/%s; rbd image-meta ls %s/%s", s->rbd->pool,
			 s->rbd->image, s->rbd->pool, s->rbd->image);
		return rbd_say(what, "the image cannot be looked at: %.160s", trouble);
	default:
		return false;
	}
}

bool rbd_check_full(const struct rbd_subject *s, char *what, char *fix)
{
	if (!s->cluster_full)
		return false;
	rbd_mend(fix, "ceph health detail; ceph df");
	return rbd_say(what, "the cluster is full: writes wait");
}

bool rbd_check_caps(const struct rbd_subject *s, char *what, char *fix)
{
	if (!s->cluster_strong)
		return false;
	rbd_mend(fix,
		 "ceph auth caps client.qosd mon 'allow r' osd 'allow class-read "
		 "object_prefix rbd_children, allow rwx pool=%s'",
		 s->rbd->pool);
	return rbd_say(what, "qosd's Ceph user may blocklist clients");
}

/* ---- the class's wish ---- */

bool rbd_check_wish_qemu(const struct rbd_subject *s, char *what, char *fix)
{
	bool cached = rbd_qemu_cached(s->disk->cache), want_none;

	if (!s->wish || s->wish->cache == RBD_CACHE_KEEP)
		return false;
	want_none = s->wish->cache == RBD_CACHE_NONE;
	if (want_none != cached)
		return false;
	rbd_mend(fix, "virsh edit %s: cache='%s' for %s", s->guest,
		 want_none ? "none" : "writeback", s->disk->target);
	return rbd_say(what,
		       "class %s asks for %s, but the domain says cache=%s, which qosd never "
		       "overrides",
		       s->class_name, want_none ? "no cache" : "a cache",
		       s->disk->cache[0] ? s->disk->cache : "default");
}

static const char *const wish_modes[] = { "keep", "none", "writethrough", "writeback",
					  "writearound" };

bool rbd_check_wish(const struct rbd_subject *s, char *what, char *fix)
{
	char unused[RBD_WHAT_MAX];
	bool now, next;

	if (!s->wish || rbd_check_wish_qemu(s, unused, fix))
		return false;
	next = rbd_wish_fails(s->wish, &s->next);
	now = s->now_known && rbd_wish_fails(s->wish, &s->now);
	if (!next && !now)
		return false;
	if (!next) {
		rbd_mend(fix, "restart or migrate %s", s->guest);
		return rbd_say(what, "class %s asks for another cache (%s): from the next start",
			       s->class_name, wish_modes[s->wish->cache]);
	}
	rbd_mend(fix, "set ceph.apply = \"file\" or \"image\" in qosd's policy, or change the "
		      "settings by hand");
	return rbd_say(what, "class %s asks for another cache (%s) than the disk will get (%s)",
		       s->class_name, wish_modes[s->wish->cache], rbd_mode_names[s->next.mode]);
}
