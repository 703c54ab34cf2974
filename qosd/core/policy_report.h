/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * policy_report - how the cross checks report: used by policy_check*.c only.
 *
 * A check names the setting by its path; the report finds file and line by the policy's origins.
 */
#ifndef QOSD_CORE_POLICY_REPORT_H
#define QOSD_CORE_POLICY_REPORT_H

#include "qosd/core/policy.h"

struct policy_report {
	struct policy *policy;   /* NULL: a class alone, without places */
	const struct host *host; /* NULL: not known */
	struct diag_list *findings;
	size_t errors; /* added by this run */
	bool any_bad;  /* some origin is bad */
};

#define REPORT_PATH_MAX 128

void policy_report(struct policy_report *r, enum diag_severity severity, const char *path,
		   const char *fix, const char *fmt, ...) __attribute__((format(printf, 5, 6)));
/* Is a setting that begins with `prefix` and ends with `suffix` bad? Then leave its checks out. */
bool policy_report_bad(const struct policy_report *r, const char *prefix, const char *suffix);
/* All checks of one class alone; `path` is "classes[2]", or "" for a class without a place. */
void policy_report_class(struct policy_report *r, const struct qclass *c, const char *path);
/* Networks, and what classes reserve of them. */
void policy_report_networks(struct policy_report *r);

#endif
