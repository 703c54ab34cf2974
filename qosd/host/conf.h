/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * conf - the configuration file, read with libconfig into a policy.
 *
 * Walks the settings along the key tables of core/policy: unknown keys, wrong types and bad units
 * are findings with file and line, all of them in one run. Cross checks are core/policy_check's.
 */
#ifndef QOSD_HOST_CONF_H
#define QOSD_HOST_CONF_H

#include "qosd/core/diag.h"
#include "qosd/core/policy.h"

/*
 * Read `path`; findings are added. The policy (NULL if there is an error among the findings or the
 * file cannot be read) is not yet cross-checked. @include is relative to the file's directory.
 */
struct policy *conf_read_file(const char *path, struct diag_list *findings);
/*
 * The same from text (tests, fuzzing, checks of a proposed file); `name` stands for the file.
 * @include is refused.
 */
struct policy *conf_read_text(const char *text, const char *name, struct diag_list *findings);
/*
 * Read and cross-check in one go; host may be NULL. All findings of both, sorted by file and line;
 * NULL when there is an error among them, otherwise a policy with its class names resolved.
 */
struct policy *conf_load(const char *path, const struct host *host, struct diag_list *findings);

#endif
