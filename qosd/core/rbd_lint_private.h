/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * rbd_lint_private - what the rbd_lint*.c files share.
 *
 * A check returns true when it found something, with both sentences filled in.
 */
#ifndef QOSD_CORE_RBD_LINT_PRIVATE_H
#define QOSD_CORE_RBD_LINT_PRIVATE_H

#include "qosd/core/rbd_lint.h"

/* Both return true. */
bool rbd_say(char *what, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
bool rbd_mend(char *fix, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* The command that sets a key in a layer, or with value NULL takes it out of there. */
void rbd_mend_key(const struct rbd_subject *s, enum rbd_layer layer, enum rbd_key key,
		  const char *value, char *fix);

bool rbd_check_cache_ignored(const struct rbd_subject *s, char *what, char *fix);
bool rbd_check_image_wins(const struct rbd_subject *s, char *what, char *fix);
bool rbd_check_unsafe(const struct rbd_subject *s, char *what, char *fix);
bool rbd_check_wtuf(const struct rbd_subject *s, char *what, char *fix);
bool rbd_check_order(const struct rbd_subject *s, char *what, char *fix);
bool rbd_check_size_unused(const struct rbd_subject *s, char *what, char *fix);
bool rbd_check_intent(const struct rbd_subject *s, char *what, char *fix);
bool rbd_check_writethrough(const struct rbd_subject *s, char *what, char *fix);
bool rbd_check_age(const struct rbd_subject *s, char *what, char *fix);
bool rbd_check_garbage(const struct rbd_subject *s, char *what, char *fix);
bool rbd_check_stale(const struct rbd_subject *s, char *what, char *fix);
bool rbd_check_conf_path(const struct rbd_subject *s, char *what, char *fix);
bool rbd_check_conf_file(const struct rbd_subject *s, char *what, char *fix);
bool rbd_check_no_socket(const struct rbd_subject *s, char *what, char *fix);
bool rbd_check_shared_socket(const struct rbd_subject *s, char *what, char *fix);
bool rbd_check_silent_socket(const struct rbd_subject *s, char *what, char *fix);
bool rbd_check_plugin(const struct rbd_subject *s, char *what, char *fix);
bool rbd_check_write_log(const struct rbd_subject *s, char *what, char *fix);
bool rbd_check_qos_clash(const struct rbd_subject *s, char *what, char *fix);
bool rbd_check_memory(const struct rbd_subject *s, char *what, char *fix);
bool rbd_check_files(const struct rbd_subject *s, char *what, char *fix);
bool rbd_check_threads(const struct rbd_subject *s, char *what, char *fix);
bool rbd_check_cluster(const struct rbd_subject *s, char *what, char *fix);
bool rbd_check_full(const struct rbd_subject *s, char *what, char *fix);
bool rbd_check_caps(const struct rbd_subject *s, char *what, char *fix);
bool rbd_check_wish_qemu(const struct rbd_subject *s, char *what, char *fix);
bool rbd_check_wish(const struct rbd_subject *s, char *what, char *fix);

#endif
