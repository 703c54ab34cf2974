/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * rbd_lint - the table of rules, and the words that they share.
 */
#include "qosd/core/rbd_lint.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "qosd/core/mem.h"
#include "qosd/core/rbd_lint_private.h"

/* clang-format off */
const struct rbd_rule rbd_rules[] = {
	{ "RBD-CACHE-IGNORED", DIAG_WARNING, "the file that people edit is not the one that wins",
	  rbd_check_cache_ignored },
	{ "RBD-CACHE-IMAGE-WINS", DIAG_ERROR,
	  "migration and flushes are planned by the domain's cache mode", rbd_check_image_wins },
	{ "RBD-UNSAFE", DIAG_ERROR, "nothing is gained, and data may be lost", rbd_check_unsafe },
	{ "RBD-WTUF-OFF", DIAG_ERROR, "a guest that never flushes loses data in a crash",
	  rbd_check_wtuf },
	{ "RBD-DIRTY-ORDER", DIAG_ERROR,
	  "Ceph takes it without a word, and the cache outgrows its size or stalls",
	  rbd_check_order },
	{ "RBD-SIZE-UNUSED", DIAG_INFO, "memory that was planned for serves nothing",
	  rbd_check_size_unused },
	{ "RBD-WRITEBACK-INTENT", DIAG_INFO, "every read goes to the cluster", rbd_check_intent },
	{ "RBD-WRITETHROUGH", DIAG_WARNING, "writes are as slow as without a cache",
	  rbd_check_writethrough },
	{ "RBD-DIRTY-AGE", DIAG_WARNING, "that much is lost when the host dies", rbd_check_age },
	{ "RBD-GARBAGE", DIAG_ERROR, "Ceph says nothing and goes on without it",
	  rbd_check_garbage },
	{ "RBD-LIVE-STALE", DIAG_WARNING, "no cache setting acts on an open image",
	  rbd_check_stale },
	{ "RBD-PLUGIN-MISSING", DIAG_ERROR, "the guest will not start: its disk cannot be opened",
	  rbd_check_plugin },
	{ "RBD-PWL-HOST", DIAG_WARNING,
	  "unwritten data lie on this host alone: no migration, no failover", rbd_check_write_log },
	{ "RBD-MEM", DIAG_ERROR, "the kernel kills a guest at its hard limit", rbd_check_memory },
	{ "RBD-FILES", DIAG_WARNING,
	  "at its limit the client reaches no further OSD, and the guest's requests hang",
	  rbd_check_files },
	{ "RBD-THREADS", DIAG_WARNING, "at its limit QEMU opens no further disk, or ends",
	  rbd_check_threads },
	{ "RBD-QOS-CLASH", DIAG_WARNING, "the lower of both wins, whichever is looked at",
	  rbd_check_qos_clash },
	{ "RBD-CONF-PATH", DIAG_ERROR, "AppArmor lets QEMU read no other file",
	  rbd_check_conf_path },
	{ "RBD-CONF-FILE", DIAG_ERROR, "the guest will not start", rbd_check_conf_file },
	{ "RBD-NO-ASOK", DIAG_INFO,
	  "what is in force cannot be asked, nor throttled without libvirt", rbd_check_no_socket },
	{ "RBD-ASOK-SHARED", DIAG_WARNING, "only the first disk gets a socket",
	  rbd_check_shared_socket },
	{ "RBD-ASOK-SILENT", DIAG_WARNING,
	  "a client that cannot answer for 30 s loses its lock, and the guest its disk",
	  rbd_check_silent_socket },
	{ "RBD-CAPS", DIAG_WARNING,
	  "a write to a stopped guest's image would cut the guest off from its disk",
	  rbd_check_caps },
	{ "RBD-CLUSTER", DIAG_WARNING, "what images and pools override is not known",
	  rbd_check_cluster },
	{ "RBD-FULL", DIAG_ERROR, "guests stand still at their next write", rbd_check_full },
	{ "RBD-CLASS-QEMU", DIAG_WARNING, "QEMU's cache mode decides: data safety goes first",
	  rbd_check_wish_qemu },
	{ "RBD-CLASS", DIAG_WARNING, "the class's promise is not kept", rbd_check_wish },
};
/* clang-format on */
const size_t rbd_rules_count = ARRAY_SIZE(rbd_rules);

bool rbd_say(char *what, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(what, RBD_WHAT_MAX, fmt, args);
	va_end(args);
	return true;
}

bool rbd_mend(char *fix, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(fix, RBD_FIX_MAX, fmt, args);
	va_end(args);
	return true;
}

/* The command that takes a key out of the layer it comes from, or sets it there. */
void rbd_mend_key(const struct rbd_subject *s, enum rbd_layer layer, enum rbd_key key,
		  const char *value, char *fix)
{
	char spec[RBD_SPEC_MAX], entity[96];
	const char *name = rbd_keys[key].name;
	struct guest_rbd image = *s->rbd;

	image.snapshot[0] = '\0';
	rbd_spec(&image, spec, sizeof(spec));
	rbd_entity(s->rbd, entity, sizeof(entity));
	if (layer == RBD_IMAGE)
		rbd_mend(fix, value ? "rbd config image set %s %s %s" : "rbd config image rm %s %s",
			 spec, name, value);
	else if (layer == RBD_POOL)
		rbd_mend(fix, value ? "rbd config pool set %s %s %s" : "rbd config pool rm %s %s",
			 s->rbd->pool, name, value);
	else if (layer == RBD_MON)
		rbd_mend(fix, value ? "ceph config set %s %s %s" : "ceph config rm %s %s", entity,
			 name, value);
	else if (value)
		rbd_mend(fix, "write %s = %s under [%s] in %s", name, value, entity,
			 rbd_conf_path(s->rbd));
	else
		rbd_mend(fix, "take %s out of %s", name, rbd_conf_path(s->rbd));
}

size_t rbd_lint(const struct rbd_subject *s, struct rbd_finding *list, size_t max)
{
	size_t n = 0;

	for (size_t i = 0; i < rbd_rules_count && n < max; i++) {
		list[n].rule = &rbd_rules[i];
		list[n].what[0] = list[n].fix[0] = '\0';
		n += rbd_rules[i].check(s, list[n].what, list[n].fix);
	}
	return n;
}
