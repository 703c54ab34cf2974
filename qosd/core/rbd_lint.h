/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * rbd_lint - what is wrong with the settings of one RBD disk, or of Ceph's daemons on this host.
 *
 * A table of rules: each looks at one subject and says what is wrong and the command that mends it;
 * why it matters is the rule's own text. All that was measured or read comes in the subject; what
 * is not known is no finding. Nothing here is assumed of a cluster that did not answer.
 */
#ifndef QOSD_CORE_RBD_LINT_H
#define QOSD_CORE_RBD_LINT_H

#include "qosd/core/diag.h"
#include "qosd/core/policy.h"
#include "qosd/core/rbd.h"

enum rbd_file_state {
	RBD_FILE_UNKNOWN,
	RBD_FILE_READ,
	RBD_FILE_MISSING,
	RBD_FILE_BROKEN, /* librados refuses the whole file */
};

enum rbd_cluster_state {
	RBD_CLUSTER_UNKNOWN, /* not asked yet */
	RBD_CLUSTER_NOT_BUILT,
	RBD_CLUSTER_OFF, /* the policy says that it is not asked */
	RBD_CLUSTER_FINE,
	RBD_CLUSTER_AWAY,   /* no answer within the limit */
	RBD_CLUSTER_DENIED, /* qosd's user is unknown there or may not look */
	RBD_CLUSTER_OTHER,  /* the image lies in another cluster than qosd's */
	RBD_CLUSTER_GONE,   /* no such image */
	RBD_CLUSTER_ODD,    /* it answers, but of this image only with an error */
};

enum rbd_socket_state { RBD_SOCKET_UNKNOWN, RBD_SOCKET_NONE, RBD_SOCKET_FINE, RBD_SOCKET_SILENT };

struct rbd_process { /* a guest's QEMU; 0: not known, or no limit */
	int pid;
	uint64_t files, files_max; /* descriptors */
	uint64_t threads, threads_max;
};

struct rbd_subject { /* texts may be NULL where nothing is known */
	const char *guest;
	const struct guest_disk *disk;
	const struct guest_rbd *rbd;
	const struct rbd_layers *layers; /* as they are today */
	struct rbd_effective next;       /* what they give at the next open */
	struct rbd_effective now;        /* in force */
	bool now_known;
	bool now_from_start; /* `now` was looked at when the guest started */

	enum rbd_file_state file;
	unsigned int file_line;
	const char *file_trouble;
	enum rbd_socket_state socket;
	bool object_cacher;         /* the client has one: a cache that serves reads */
	const char *live[RBD_KEYS]; /* what the socket says that it set since the open */

	enum rbd_cluster_state cluster;
	const char *cluster_trouble;
	bool cluster_full, cluster_strong; /* qosd's user may blocklist clients */
	bool plugin_missing;
	const char *plugin;

	const char *class_name;
	const struct class_rbd *wish; /* NULL: none */
	bool iotune;                  /* libvirt limits the disk, too */
	uint64_t memory_need_bytes;   /* guest RAM, overhead and caches */
	uint64_t memory_have_bytes;   /* libvirt's <hard_limit>; 0: none */
	struct rbd_process process;
	bool apparmor;
};

struct rbd_rule {
	const char *id;
	enum diag_severity severity;
	const char *why;
	bool (*check)(const struct rbd_subject *s, char *what, char *fix);
};

#define RBD_WHAT_MAX 240
#define RBD_FIX_MAX  320

struct rbd_finding {
	const struct rbd_rule *rule;
	char what[RBD_WHAT_MAX];
	char fix[RBD_FIX_MAX];
};

extern const struct rbd_rule rbd_rules[];
extern const size_t rbd_rules_count;
/* All findings into list[0..max); how many. max = rbd_rules_count always suffices. */
size_t rbd_lint(const struct rbd_subject *s, struct rbd_finding *list, size_t max);

/* ---- the class's wish against what is ---- */
/* The mode that the class asks for as librbd settings: texts for the keys that it sets. */
#define RBD_TEXT_MAX 32
struct rbd_wanted {
	bool any;
	bool set[RBD_KEYS];
	char text[RBD_KEYS][RBD_TEXT_MAX];
};
/*
 * What has to be written for the class's wish to hold at the next open, for an image whose QEMU has
 * this cache mode. rbd_cache itself is QEMU's to say: it is never among them.
 */
void rbd_wanted(const struct class_rbd *wish, const char *cache_mode, struct rbd_wanted *ret);
/*
 * Does `e` certainly not give what the class asks for? Keys that it leaves to Ceph always do, and
 * those that a layer nobody has looked at may set are not counted.
 */
bool rbd_wish_fails(const struct class_rbd *wish, const struct rbd_effective *e);

/* ---- Ceph's daemons on this host ---- */
struct rbd_osd {
	int pid;
	char id[16];
	uint64_t target_bytes; /* osd_memory_target; 0: unknown */
	uint64_t rss_bytes, peak_bytes;
	bool open_loop; /* without tcmalloc: the target is no bound */
};

struct rbd_daemons {
	struct rbd_osd osds[64];
	uint32_t nosds, nmons, nmgrs;
};

/* Memory that they may take: kept from guests. */
uint64_t rbd_daemons_reserve(const struct rbd_daemons *d);
void rbd_daemons_lint(const struct rbd_daemons *d, uint64_t host_bytes, uint64_t promised_bytes,
		      struct diag_list *findings);

#endif
