/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vf_tree - a sysfs with one card: virtual functions 0 and 1, its device eth0, and beside it the
 * device that stands for function 1.
 */
#ifndef QOSD_T_VF_TREE_H
#define QOSD_T_VF_TREE_H

#include <ftw.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "t/unit/harness.h"

#define VF_CARD "0000:3b:00.0"
#define VF_0    "0000:3b:10.0"
#define VF_1    "0000:3b:10.2"

struct vf_tree {
	char root[32];
};

__attribute__((format(printf, 3, 4))) static inline void
vf_tree_file(const struct vf_tree *t, const char *text, const char *format, ...)
{
	char path[256];
	size_t len = (size_t)snprintf(path, sizeof(path), "%s/", t->root);
	va_list args;
	FILE *f;

	va_start(args, format);
	vsnprintf(path + len, sizeof(path) - len, format, args);
	va_end(args);
	for (char *slash = path + len; (slash = strchr(slash, '/')); slash++) {
		*slash = '\0';
		(void)mkdir(path, 0755);
		*slash = '/';
	}
	f = fopen(path, "we");
	if (!f)
		abort();
	fputs(text, f);
	fclose(f);
}

static inline void vf_tree_link(const struct vf_tree *t, const char *to, const char *path)
{
	char full[256];

	snprintf(full, sizeof(full), "%s/bus/pci/devices/%s", t->root, path);
	if (symlink(to, full) < 0)
		abort();
}

#define VF_DEVICES "bus/pci/devices/"

static inline void vf_tree_make(struct vf_tree *t)
{
	snprintf(t->root, sizeof(t->root), "/tmp/qosd-vf-XXXXXX");
	if (!mkdtemp(t->root))
		abort();
	vf_tree_file(t, "2\n", VF_DEVICES VF_CARD "/sriov_numvfs");
	vf_tree_file(t, "31\n", VF_DEVICES VF_CARD "/net/eth0/ifindex");
	vf_tree_file(t, "p0\n", VF_DEVICES VF_CARD "/net/eth0/phys_port_name");
	vf_tree_file(t, "9\n", VF_DEVICES VF_CARD "/net/eth0r1/ifindex");
	vf_tree_file(t, "pf0vf1\n", VF_DEVICES VF_CARD "/net/eth0r1/phys_port_name");
	vf_tree_file(t, "", VF_DEVICES VF_0 "/config");
	vf_tree_file(t, "", VF_DEVICES VF_1 "/config");
	vf_tree_link(t, "../" VF_CARD, VF_0 "/physfn");
	vf_tree_link(t, "../" VF_CARD, VF_1 "/physfn");
	vf_tree_link(t, "../" VF_0, VF_CARD "/virtfn0");
	vf_tree_link(t, "../" VF_1, VF_CARD "/virtfn1");
}

static inline int vf_tree_remove(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static inline void vf_tree_free(struct vf_tree *t)
{
	(void)nftw(t->root, vf_tree_remove, 8, FTW_DEPTH | FTW_PHYS);
}

#endif
